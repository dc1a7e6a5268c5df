/* Sources, sentences and models that disagree: what is told of it in the answer's own text. */
#include "backend/base/json.h"
#include "backend/orchestrator/grounding.h"
#include "backend/orchestrator/marks.h"
#include "backend/orchestrator/standing.h"
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct claims_reader *reader;

static int set_up(void **state)
{
    (void)state;
    reader = claims_reader_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    claims_reader_free(reader);
    return 0;
}

static struct gw_source tool(const char *id, const char *ref, const char *text)
{
    return (struct gw_source){id, "tool", ref, text, NULL, 1};
}

/* The answer with its marks, which the caller frees; how many are disputed. */
static char *told(const char *answer, const struct gw_source *sources, size_t n,
                  const char *const *about, bool russian, enum orch_unsupported how,
                  size_t *disputed)
{
    const struct orch_ground_how way = {
        .russian = russian, .unsupported = how, .conflicts = true, .about = about};
    struct orch_grounding g;
    orch_ground(reader, answer, sources, n, &way, &g);
    char *text = strdup(g.text ? g.text : answer);
    *disputed = g.disputed;
    orch_grounding_release(&g);
    return text;
}

static void assert_told(const char *answer, const struct gw_source *sources, size_t n,
                        const char *const *about, bool russian, const char *expected)
{
    size_t disputed;
    char *text = told(answer, sources, n, about, russian, ORCH_FLAG, &disputed);
    assert_string_equal(text, expected);
    free(text);
}

static void the_measurement_outranks_what_was_told(void **state)
{
    (void)state;
    const struct gw_source s[] = {
        tool("1", "shift/handover_notes",
             "2026-03-01 18:10 db-2 is read-only until the migration ends."),
        tool("2", "mysql/variables", "db-2 is not read-only."),
    };
    assert_told(
        "- db-2 is read-only until the migration ends [1].\n- db-2 is not read-only [2].\n", s, 2,
        NULL, false,
        "- db-2 is read-only until the migration ends [1] (disputed; [2] measured it: “db-2 is "
        "not read-only”).\n- db-2 is not read-only [2].\n");
    const struct gw_source r[] = {
        tool("1", "smena/notes", "app-2 выключен в балансировщике."),
        tool("2", "lb/backends", "app-2 включён в балансировщике."),
    };
    assert_told("app-2 выключен в балансировщике [1].", r, 2, NULL, true,
                "app-2 выключен в балансировщике [1] (спорно; [2] — измерение: «app-2 включён в "
                "балансировщике»).");
    /* Who has the measurement alone is not told of the note. */
    assert_told("app-2 включён в балансировщике [2].", r, 2, NULL, true,
                "app-2 включён в балансировщике [2].");
}

static void the_newer_of_two_outranks(void **state)
{
    (void)state;
    const struct gw_source s[] = {
        tool("1", "a/state", "as of 2026-03-02 03:10\netcd-2 is down."),
        tool("2", "b/state", "as of 2026-03-02 09:40\netcd-2 is up."),
    };
    assert_told("etcd-2 is down [1].", s, 2, NULL, false,
                "etcd-2 is down [1] (disputed; [2] is more recent: “etcd-2 is up”).");
    /* A note that is more recent than the measurement leaves it open. */
    const struct gw_source note[] = {
        tool("1", "a/state", "as of 2026-03-02 03:10\netcd-2 is down."),
        tool("2", "b/notes", "written 2026-03-02 09:40\netcd-2 is up."),
    };
    assert_told("etcd-2 is down [1].", note, 2, NULL, false,
                "etcd-2 is down [1] (disputed: [2] says “etcd-2 is up”).");
}

static void two_monitors_are_both_told(void **state)
{
    (void)state;
    const struct gw_source s[] = {
        tool("1", "uptime-a/check", "shop.example.com is up: 200 in 84 ms."),
        tool("2", "uptime-b/check", "shop.example.com is down: connection timed out."),
    };
    const char *answer = "shop.example.com is up [1]. shop.example.com is down [2].";
    size_t disputed;
    assert_int_equal(orch_self_contradictions(reader, answer, s, 2), 1);
    char *text = told(answer, s, 2, NULL, false, ORCH_REMOVE, &disputed);
    assert_int_equal(disputed, 2); /* neither is removed: nobody knows which one holds */
    assert_non_null(strstr(text, "is up [1] (disputed: [2] says “shop.example.com is down"));
    assert_non_null(strstr(text, "is down [2] (disputed: [1] says “shop.example.com is up"));
    assert_int_equal(orch_self_contradictions(reader, text, s, 2), 0);
    free(text);
}

static void what_is_outranked_is_removed_where_the_other_is_said(void **state)
{
    (void)state;
    const struct gw_source s[] = {tool("1", "grafana/panel_cache", "unpaid orders: 118"),
                                  tool("2", "pg/counts", "unpaid orders: 2431")};
    size_t disputed;
    char *text = told("- unpaid orders: 118 [1]\n- unpaid orders: 2431 [2]\n", s, 2, NULL, false,
                      ORCH_REMOVE, &disputed);
    assert_string_equal(text, "- unpaid orders: 2431 [2]\n");
    free(text);
    text = told("- unpaid orders: 118 [1]\n", s, 2, NULL, false, ORCH_REMOVE, &disputed);
    assert_string_equal(
        text, "- unpaid orders: 118 [1] (disputed; [2] measured it: “unpaid orders: 2431”)\n");
    free(text);
}

/* They only seem to disagree. */
static void no_conflicts(void **state)
{
    (void)state;
    static const char *const CASES[][4] = {
        /* of two hosts */
        {"host-app-1/df", "/ is 91% used.", "host-app-2/df", "/ is 34% used."},
        /* of two moments */
        {"prom/history", "At 09:00 the p95 of catalog was 180 ms.", "prom/now",
         "At 12:00 the p95 of catalog was 640 ms."},
        /* two parts of one whole, the same in other units */
        {"nas/volumes", "The volume data of nas-1 is 90% used.", "prom/free",
         "The volume data of nas-1 is 10% free."},
        {"jmx/heap", "The heap of ledger is 1.5 GiB.", "k8s/memory",
         "The heap of ledger is 1536 MiB."},
        /* a limit and a peak; two environments */
        {"gw/limits", "The limit of the key partner is 600 per minute.", "gw/peaks",
         "The peak of the key partner was 2310 per minute."},
        {"k8s-staging/images", "cart runs version 3.0.0.", "k8s-prod/images",
         "cart runs version 2.2.4."},
        /* two events; two siblings, of which one is a cache */
        {"backup/jobs", "pg-orders 2026-03-01 01:00 done, 311 GB", "backup/restores",
         "pg-orders: 2026-02-14, ok"},
        {"backup/jobs", "pg-hr 2026-03-02 02:00: done, 12 GB", "backup/restores",
         "pg-crm 2026-03-02 02:00: failed"},
        {"redis-cache/info", "used 3.99 GB of 4.00 GB", "redis-sessions/info",
         "used 0.2 GB of 4.0 GB"},
        /* counts of opposites; what changes from one look to the next */
        {"shop/paid", "paid orders: 40211", "shop/unpaid", "unpaid orders: 2431"},
        {"probe-a/http", "lk.example.com answers in 70 ms.", "probe-b/http",
         "lk.example.com answers in 75 ms."},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        const struct gw_source s[] = {tool("1", CASES[i][0], CASES[i][1]),
                                      tool("2", CASES[i][2], CASES[i][3])};
        char answer[256];
        size_t disputed;
        snprintf(answer, sizeof answer, "- %s [1]\n- %s [2]\n", CASES[i][1], CASES[i][3]);
        char *text = told(answer, s, 2, NULL, false, ORCH_FLAG, &disputed);
        if (disputed || strcmp(text, answer) != 0)
            fail_msg("%s", text);
        assert_int_equal(orch_self_contradictions(reader, answer, s, 2), 0);
        free(text);
    }
}

/* What a machine is found to be against all that runbooks tell to do: no step is disputed. */
static void instructions_are_no_claims(void **state)
{
    (void)state;
    static const char *const FOUND[] = {
        "The load average is 8.55 per core (1 min 17.11, 5 min 13.14, 15 min 12.47; cores: 2).\n"
        "/ (ext4) is 87% full: 219 GiB of 252 GiB used, 31 GiB free.\nProcesses: 153\n"
        "Process fz (pid 4730, user root) uses 32% of one core and 385 MiB of memory (1.6% of "
        "all).\n"
        "The kernel has not killed processes for want of memory since the boot.\nSwap is off.\n"
        "systemd does not run this machine, so there are no units to look at.\n",
        "Средняя нагрузка: 8,15 на ядро за 1 мин (ядер: 2).\nРаздел / заполнен на 32%, свободно "
        "171 ГиБ.\n"
        "Процесс fz (pid 4730) держит 355 МиБ памяти.\n"
        "С момента загрузки ядро не убивало процессы из-за нехватки памяти.\nПодкачка "
        "выключена.\n"};
    size_t books = 0;
    for (int lang = 0; lang < 2; lang++) {
        const char *folder =
            lang ? "backend/knowledge/runbooks/ru" : "backend/knowledge/runbooks/en";
        DIR *dir = opendir(folder);
        assert_non_null(dir);
        for (struct dirent *d; (d = readdir(dir));) {
            char path[512], text[16384];
            snprintf(path, sizeof path, "%s/%s", folder, d->d_name);
            FILE *f = strstr(d->d_name, ".md") ? fopen(path, "r") : NULL;
            if (!f)
                continue;
            text[fread(text, 1, sizeof text - 1, f)] = '\0';
            fclose(f);
            const char *body = strstr(text, "\n## "); /* of the head nothing is quoted */
            body = body ? body : text;
            const struct gw_source s[] = {tool("1", "host/state", FOUND[lang]),
                                          {"2", "runbook", path, body, NULL, 1}};
            char *answer = xasprintf("%s\n[2]\n\n%s [1]\n", body, FOUND[lang]);
            size_t disputed;
            char *out = told(answer, s, 2, NULL, lang, ORCH_FLAG, &disputed);
            if (disputed)
                fail_msg("%s: %s", path, strstr(out, lang ? "(спорно" : "(disputed"));
            free(out);
            free(answer);
            books++;
        }
        closedir(dir);
    }
    assert_true(books > 20);
}

static void the_description_tells_what_a_source_is(void **state)
{
    (void)state;
    const struct gw_source s[] = {
        tool("1", "pg-a/schema", "The schema version of billing is 409."),
        tool("2", "pg-b/schema", "The schema version of billing is 412.")};
    static const char *const ABOUT[] = {"Schema version on the replica",
                                        "Schema version on the primary"};
    assert_told("The schema version of billing is 409 [1].", s, 2, ABOUT, false,
                "The schema version of billing is 409 [1] (disputed; [2] measured it: “The schema "
                "version of billing is 412”).");
    assert_told("The schema version of billing is 412 [2].", s, 2, ABOUT, false,
                "The schema version of billing is 412 [2].");
    assert_told(
        "The schema version of billing is 412 [2].", s, 2, NULL, false,
        "The schema version of billing is 412 [2] (disputed: [1] says “The schema version of "
        "billing is 409”).");
}

static void other_models_are_told_of(void **state)
{
    (void)state;
    const struct gw_source s[] = {tool("1", "a/b", "The backup of pg-users runs every night.")};
    struct error e = {0};
    static const char CLAIMS[] = "[{\"models\": [\"a\", \"b\"], \"a\": \"The last restore test "
                                 "succeeded.\", \"b\": \"The last restore "
                                 "test failed.\", \"verdict\": \"contradicts\", \"score\": 0.95, "
                                 "\"why\": \"opposite\", \"settled\": \"\"}]";
    json_t *claims = json_read(CLAIMS, strlen(CLAIMS), 4096, 8, &e);
    const struct orch_ground_how way = {
        .unsupported = ORCH_NOTE, .conflicts = true, .claims = claims};
    struct orch_grounding g;
    orch_ground(reader,
                "The backup of pg-users runs every night [1]. The last restore test succeeded.", s,
                1, &way, &g);
    assert_string_equal(g.text,
                        "The backup of pg-users runs every night [1]. The last restore test "
                        "succeeded (disputed: b says “The last restore test failed”).");
    orch_grounding_release(&g);
    json_decref(claims);
}

static void marks_are_found_again(void **state)
{
    (void)state;
    static const char QUOTE[] = "two (2) “of” [3] them, or\nmore. ";
    for (int russian = 0; russian < 2; russian++) {
        for (int mark = ORCH_MARK_UNSUPPORTED; mark <= ORCH_MARK_OPEN; mark++) {
            struct buf text = {0};
            size_t at, len, quote;
            buf_adds(&text, "It is so");
            orch_mark_add(&text, (enum orch_mark)mark, russian, "[2]", QUOTE, strlen(QUOTE));
            buf_adds(&text, ".");
            bool found = orch_mark_find(text.data, text.len, &at, &len);
            assert_int_equal(found, mark != ORCH_MARK_UNSUPPORTED);
            assert_int_equal(orch_marked(text.data, text.len), found);
            if (found) {
                assert_int_equal(at, strlen("It is so "));
                assert_int_equal(at + len + 1, text.len);
                const char *said = orch_mark_quote(text.data + at, len, &quote);
                assert_int_equal(quote, strlen("two 2 of  them, or more"));
                assert_memory_equal(said, "two 2 of  them, or more", quote);
            }
            buf_release(&text);
        }
    }
    assert_true(orch_marked("The two sources disagree on that.", 33));
    assert_false(orch_marked("It is undisputed.", 17));
    assert_false(orch_marked("It (disputed", 0));
}

static void kinds_of_sources(void **state)
{
    (void)state;
    static const struct {
        const char *ref, *about;
        enum orch_standing_kind kind;
    } CASES[] = {
        {"k8s/list_nodes", "Nodes of the cluster", ORCH_MEASURED},
        {"shift/notes", NULL, ORCH_TOLD},
        {"x/y", "Страницы вики про порты", ORCH_TOLD},
        {"x/y", "A cached dashboard panel", ORCH_KEPT},
        {"x/y", "Снимок ночных тревог", ORCH_KEPT},
        {"x/y", "Replication state of the replica, live", ORCH_MEASURED},
        {"redis-cache/info", "Hit ratio of the cache", ORCH_MEASURED},
        {"mail-1/queue", "Mail queue of mail-1", ORCH_MEASURED},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct orch_standing x;
        const struct gw_source s = tool("1", CASES[i].ref, "all is well");
        orch_standing_of(&s, CASES[i].about, &x);
        assert_int_equal(x.kind, CASES[i].kind);
        assert_false(x.dated);
    }
    struct orch_standing x;
    const struct gw_source book = {"1", "runbook", "runbooks/a.md#B", "The limit is 200.", NULL, 1};
    orch_standing_of(&book, NULL, &x);
    assert_int_equal(x.kind, ORCH_TOLD);
    const struct gw_source cert =
        tool("1", "tls/probe", "not after 2026-05-28, updated on 2026-03-02");
    orch_standing_of(&cert, NULL, &x);
    assert_true(x.dated && x.day);
    struct orch_standing y;
    const struct gw_source same = tool("1", "tls/probe", "as of 2026-03-02");
    orch_standing_of(&same, NULL, &y);
    assert_int_equal(orch_stands(&x, &y), ORCH_OPEN); /* the second of the two dates */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_measurement_outranks_what_was_told),
        cmocka_unit_test(the_newer_of_two_outranks),
        cmocka_unit_test(two_monitors_are_both_told),
        cmocka_unit_test(what_is_outranked_is_removed_where_the_other_is_said),
        cmocka_unit_test(no_conflicts),
        cmocka_unit_test(instructions_are_no_claims),
        cmocka_unit_test(the_description_tells_what_a_source_is),
        cmocka_unit_test(other_models_are_told_of),
        cmocka_unit_test(marks_are_found_again),
        cmocka_unit_test(kinds_of_sources),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
