/* Which sources support each sentence of an answer: texts and sources in, states and marks out. */
#include "backend/orchestrator/grounding.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct claims_reader *reader;
static struct gw_source sources[3] = {
    {"1", "tool", "host/disks", "/ (ext4) is 87% full: 219 GiB of 252 GiB used, 31 GiB free.", NULL,
     1},
    {"2", "runbook", "runbooks/en/disk-full.md#Look first",
     "Find what grew with du. Remove old journal files with journalctl --vacuum-size=500M.", NULL,
     1},
    {"3", "tool", "web/nginx", "nginx: active, 3 workers.", NULL, 1},
};

static int set_up(void **state)
{
    (void)state;
    struct error e = {0};
    static const char DATA[] = "{\"connections\": {\"active\": 214}, \"reloads\": 7}";
    reader = claims_reader_new();
    sources[2].data = json_read(DATA, strlen(DATA), 4096, 8, &e);
    return sources[2].data ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    json_decref((json_t *)sources[2].data);
    claims_reader_free(reader);
    return 0;
}

static const struct orch_ground_how FLAG = {.unsupported = ORCH_FLAG};

static struct orch_grounding ground(const char *answer, bool russian, enum orch_unsupported how)
{
    struct orch_grounding g;
    const struct orch_ground_how way = {.russian = russian, .unsupported = how};
    orch_ground(reader, answer, sources, 3, &way, &g);
    return g;
}

static const json_t *sentence(const struct orch_grounding *g, size_t i)
{
    return json_array_get(json_object_get(g->doc, "sentences"), i);
}

static void assert_state(const struct orch_grounding *g, size_t i, const char *state,
                         const char *source)
{
    assert_string_equal(json_str(sentence(g, i), "state", ""), state);
    const json_t *first = json_array_get(json_object_get(sentence(g, i), "sources"), 0);
    assert_string_equal(json_is_string(first) ? json_string_value(first) : "", source);
}

/* Rows of figures have no words to be found by. */
static void quotations_are_supported(void **state)
{
    (void)state;
    static const struct gw_source rows[] = {
        {"1", "tool", "ssh/df", "/dev/sdb1  1.0T 410G 590G  41% /var/spool\nmd0 : [4/3] [UU_U]\n",
         NULL, 1}};
    struct orch_grounding g;
    orch_ground(reader,
                "- “/dev/sdb1 1.0T 410G 590G 41% /var/spool” [1].\n- “md0 : (4/3) (UU_U)” [1].\n"
                "- “/dev/sdb1 1.0T 410G 590G 14% /var/spool” [1].\n- “41% /var” [1].\n",
                rows, 1, &FLAG, &g);
    assert_state(&g, 0, "supported", "1");
    assert_state(&g, 1, "supported", "1");
    assert_string_not_equal(json_str(sentence(&g, 2), "state", ""), "supported");
    assert_null(strstr(g.text ? g.text : "", "41% /var/spool” [1]. (unsupported)"));
    orch_grounding_release(&g);
    static const struct gw_source leaves[] = {
        {"1", "tool", "mq/state", "{\"nodes\":[{\"name\":\"mq-0\",\"state\":\"partitioned\"}]}",
         NULL, 1}};
    orch_ground(reader, "- “nodes 1.state: partitioned” [1].\n- “nodes 1.state: running” [1].\n",
                leaves, 1, &FLAG, &g);
    assert_state(&g, 0, "supported", "1");
    assert_string_not_equal(json_str(sentence(&g, 1), "state", ""), "supported");
    orch_grounding_release(&g);
}

static void each_sentence_has_its_sources(void **state)
{
    (void)state;
    struct orch_grounding g = ground("# The disk\n\nWhat I found:\n\n"
                                     "/ is 87% full, 31744 MiB free. [1] Why?\n\n"
                                     "- Find what grew with du. [2]\n"
                                     "- nginx has 214 active connections. [3]\n",
                                     false, ORCH_FLAG);
    assert_int_equal(g.assessed, 3);
    assert_int_equal(g.supported, 3);
    assert_state(&g, 0, "supported", "1");
    assert_state(&g, 1, "supported", "2");
    assert_state(&g, 2, "supported", "3"); /* from the data */
    assert_null(g.text);
    orch_grounding_release(&g);
}

static void what_nothing_supports_is_marked(void **state)
{
    (void)state;
    const char *answer = "/ is 97% full. [1] The certificate of the proxy expires tomorrow.\n"
                         "- Remove old journal files. [2]\n"
                         "- nginx has 300 active connections. [3]\n";
    struct orch_grounding g = ground(answer, false, ORCH_FLAG);
    assert_state(&g, 0, "contradicted", "");
    assert_string_equal(json_str(sentence(&g, 0), "why", ""), "number: 97% / 87%");
    assert_state(&g, 1, "unsupported", "");
    assert_state(&g, 2, "supported", "2");
    assert_int_equal(g.assessed, 4);
    assert_int_equal(g.supported, 1);
    assert_non_null(g.text);
    assert_non_null(strstr(g.text, "97% full (a source says otherwise: [1] “/ ext4 is 87% full: "));
    assert_non_null(strstr(g.text, "31 GiB free”). [1] The certificate"));
    assert_non_null(strstr(g.text, "expires tomorrow (unsupported).\n- Remove"));
    assert_non_null(strstr(g.text, "journal files. [2]\n- nginx"));
    orch_grounding_release(&g);
    g = ground(answer, false, ORCH_REMOVE);
    assert_string_equal(g.text, "- Remove old journal files. [2]\n");
    assert_int_equal(g.removed, 3);
    orch_grounding_release(&g);
    g = ground(answer, false, ORCH_NOTE);
    assert_null(g.text);
    assert_int_equal(g.contradicted + g.unsupported, 3);
    orch_grounding_release(&g);
}

static void russian_answers(void **state)
{
    (void)state;
    struct orch_grounding g = ground("Диск / заполнен на 87%, свободно 31 ГиБ. [1]\n"
                                     "Сертификат прокси истекает завтра. [1]",
                                     true, ORCH_FLAG);
    assert_state(&g, 0, "supported", "1");
    assert_state(&g, 1, "unsupported", "");
    assert_non_null(strstr(g.text, "завтра (не подтверждено). [1]"));
    orch_grounding_release(&g);
}

/* An answer that cites nothing is marked as a whole; one of which nothing would stay is kept. */
static void whole_answers(void **state)
{
    (void)state;
    struct orch_grounding g =
        ground("The certificate of the proxy expires tomorrow.", false, ORCH_REMOVE);
    assert_int_equal(g.unsupported, 1);
    assert_null(g.text);
    orch_grounding_release(&g);
    g = ground("The certificate of the proxy expires tomorrow. [1]", false, ORCH_REMOVE);
    assert_non_null(strstr(g.text, "(unsupported)"));
    assert_int_equal(g.removed, 0);
    orch_grounding_release(&g);
    g = ground("", false, ORCH_FLAG);
    assert_int_equal(g.assessed, 0);
    assert_null(g.text);
    orch_grounding_release(&g);
}

/* What a cited tool denies no runbook bears out, in whatever words; nor what is cited from a tool.
 */
static void runbooks_do_not_say_how_it_is(void **state)
{
    (void)state;
    static const struct gw_source both[] = {{"1", "tool", "host/disks", "/ is 29% full.", NULL, 1},
                                            {"2", "runbook", "runbooks/disk.md#Full",
                                             "The disk / is 99% full when logs grow quickly.", NULL,
                                             1}};
    struct orch_grounding g;
    orch_ground(reader,
                "/ is 99% full [1].\n- The disk grows quickly [1].\n- Logs grow quickly [2].\n",
                both, 2, &FLAG, &g);
    assert_state(&g, 0, "contradicted", "");
    assert_string_equal(json_str(sentence(&g, 0), "why", ""), "number: 99% / 29%");
    assert_state(&g, 1, "unsupported", "");
    assert_state(&g, 2, "supported", "2");
    orch_grounding_release(&g);
}

/* A figure of another tool, of the whole machine, is nothing against a process. */
static void other_tools_have_to_speak_of_the_same(void **state)
{
    (void)state;
    struct error e = {0};
    static const char DATA[] = "{\"memory\": {\"free\": 17142611968}}";
    json_t *data = json_read(DATA, strlen(DATA), 4096, 8, &e);
    const struct gw_source two[] = {{"1", "tool", "host/processes", "All is read here.", NULL, 1},
                                    {"2", "tool", "host/memory", "All is read.", data, 1}};
    struct orch_grounding g;
    orch_ground(
        reader,
        "Process clang (pid 35554) holds 101 MiB of memory (0.4% of all) and uses 8.1% of one "
        "core [1].\n",
        two, 2, &FLAG, &g);
    assert_state(&g, 0, "unsupported", "");
    orch_grounding_release(&g);
    json_decref(data);
}

/* Who says that it is full says how much of it is; what a finding says in the other language is not
 * quoted, nor its field's name. */
static void nothing_is_made_more_of(void **state)
{
    (void)state;
    struct error e = {0};
    static const char DATA[] =
        "{\"findings\": [{\"en\": \"/ is 32% full.\", \"ru\": \"Раздел / заполнен на 32%.\"}]}";
    json_t *data = json_read(DATA, strlen(DATA), 4096, 8, &e);
    const struct gw_source disk[] = {{"1", "tool", "host/disks", "All is read.", data, 1}};
    struct orch_grounding g;
    orch_ground(reader, "/ is full [1].\n- / is 32% full [1].\n- / is not full [1].\n", disk, 1,
                &FLAG, &g);
    assert_state(&g, 0, "contradicted", "");
    assert_string_equal(json_str(sentence(&g, 0), "why", ""), "number: full / 32%");
    assert_state(&g, 1, "supported", "1");
    assert_non_null(
        strstr(g.text, "/ is full [1] (a source says otherwise: [1] “/ is 32% full”)."));
    orch_grounding_release(&g);
    const struct orch_ground_how russian = {.unsupported = ORCH_FLAG, .russian = true};
    orch_ground(reader, "Раздел / заполнен [1].\n", disk, 1, &russian, &g);
    assert_non_null(strstr(g.text, "иное: [1] «Раздел / заполнен на 32%»)."));
    orch_grounding_release(&g);
    json_decref(data);
}

/* A row claims each of its values under its head. */
static void rows_of_tables_are_assessed(void **state)
{
    (void)state;
    static const struct gw_source hosts[] = {
        {"1", "tool", "prom/disks", "web-1 disk: 91% used\nweb-2 disk: 34% used\n", NULL, 1}};
    struct orch_grounding g;
    orch_ground(reader,
                "| host | disk used |\n|---|---|\n| web-1 | 91% [1] |\n| web-2 | 54% [1] |\n",
                hosts, 1, &FLAG, &g);
    assert_int_equal(g.assessed, 2);
    assert_state(&g, 0, "supported", "1");
    assert_state(&g, 1, "contradicted", "");
    assert_non_null(strstr(g.text, "| web-2 | 54% [1] (a source says otherwise: [1] “"));
    assert_non_null(strstr(g.text, "”) |\n"));
    orch_grounding_release(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotations_are_supported),
        cmocka_unit_test(each_sentence_has_its_sources),
        cmocka_unit_test(what_nothing_supports_is_marked),
        cmocka_unit_test(russian_answers),
        cmocka_unit_test(whole_answers),
        cmocka_unit_test(rows_of_tables_are_assessed),
        cmocka_unit_test(runbooks_do_not_say_how_it_is),
        cmocka_unit_test(nothing_is_made_more_of),
        cmocka_unit_test(other_tools_have_to_speak_of_the_same),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
