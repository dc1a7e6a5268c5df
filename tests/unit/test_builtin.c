/* The built-in models: what they choose, in both languages, and what foreign text cannot do. */
#include "backend/base/text.h"
#include "backend/gateway/gateway.h"
#include "backend/gateway/internal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct run {
    struct loop *loop;
    struct gw *gw;
    struct gw_call *call;
    struct buf text;
    size_t deltas, dones, cancel_after;
    struct gw_usage cancelled;
    struct gw_result result;
    char finish[16];
};

static void on_delta(void *arg, const char *text, size_t len)
{
    struct run *run = arg;
    assert_int_equal(run->dones, 0);
    buf_add(&run->text, text, len);
    run->deltas++;
    if (run->cancel_after && run->deltas == run->cancel_after) {
        struct gw_spent spent;
        gw_cancel(run->call, &spent);
        run->cancelled = gw_spent_usage(&spent);
        gw_spent_release(&spent);
        loop_quit(run->loop);
    }
}

static void on_done(void *arg, const struct gw_result *result)
{
    struct run *run = arg;
    run->dones++;
    run->result = *result;
    snprintf(run->finish, sizeof run->finish, "%s", result->finish_reason);
    assert_string_equal(result->text, run->text.data ? run->text.data : "");
    loop_quit(run->loop);
}

static const struct gw_ops ops = {.delta = on_delta, .done = on_done};

static void run_start(struct run *run)
{
    struct error e = {0};
    *run = (struct run){0};
    run->loop = loop_new();
    struct conf *conf = conf_load(NULL, &e);
    assert_non_null(conf);
    run->gw = gw_new(run->loop, conf, &e);
    if (!run->gw)
        fail_msg("%s", e.detail);
    conf_free(conf);
}

static void run_end(struct run *run)
{
    gw_free(run->gw);
    loop_free(run->loop);
    buf_release(&run->text);
}

/* Asks and returns the answer, to be freed. */
static char *ask(const char *model, const struct gw_request *r)
{
    struct run run;
    struct error e = {0};
    run_start(&run);
    run.call = gw_start(run.gw, model, r, &ops, &run, &e);
    assert_non_null(run.call);
    assert_int_equal(run.deltas, 0); /* nothing inside gw_start */
    loop_run(run.loop);
    assert_int_equal(run.dones, 1);
    assert_int_equal(run.result.error.code, ERR_OK);
    assert_true(run.result.usage.estimated);
    assert_true(run.result.usage.output_tokens > 0);
    char *text = buf_take(&run.text);
    run_end(&run);
    return text;
}

static json_t *finding(const char *severity, const char *topic, const char *en, const char *ru)
{
    json_t *f = json_object();
    json_puts(f, "severity", severity);
    json_puts(f, "topic", topic);
    json_puts(f, "en", en);
    json_puts(f, "ru", ru);
    json_put(f, "judged", json_true());
    return f;
}

static json_t *findings(json_t *a, json_t *b, json_t *c)
{
    json_t *data = json_object(), *list = json_array();
    json_put(data, "findings", list);
    json_t *all[] = {a, b, c};
    for (size_t i = 0; i < 3; i++)
        if (all[i])
            json_array_append_new(list, all[i]);
    return data;
}

static const char runbook_en[] =
    "## Look first\n\n"
    "1. See which file system is full: `df -h`.\n"
    "2. Find the largest directories.\n\n"
    "   ```\n   du -xh / | sort -h | tail\n   ```\n"
    "3. Ask the owner of the disk.\n\n"
    "## Mend\n\n"
    "- **Needs approval:** remove old journals with `journalctl --vacuum-size=200M`.\n"
    "- Grow the volume.\n- Move data elsewhere.\n- Compress old logs on the disk.\n";

static void the_worst_that_fits_comes_first(void **state)
{
    (void)state;
    static const char *const models[] = {"builtin/lexical", "builtin/vector"};
    json_t *disk = findings(finding("ok", "disk", "/boot is 12% full.", "/boot занят на 12%."),
                            finding("fail", "disk", "/var is 97.4% full.", "/var занят на 97,4%."),
                            finding("warn", "disk", "/home is 86% full.", "/home занят на 86%."));
    json_t *memory = findings(
        finding("ok", "memory", "Memory: 4.1 GiB of 8 GiB used.", "Память: 4,1 ГиБ."), NULL, NULL);
    struct gw_source sources[] = {
        {.id = "1", .kind = "tool", .ref = "host/memory", .data = memory, .fit = 0.3},
        {.id = "2", .kind = "tool", .ref = "host/disks", .data = disk, .fit = 0.9},
        {.id = "3",
         .kind = "runbook",
         .ref = "runbooks/en/disk-full.md#Look first",
         .text = runbook_en,
         .fit = 0.8},
    };
    struct gw_request r = {
        .question = "is the disk filling up?", .lang = "en", .sources = sources, .source_count = 3};
    for (size_t i = 0; i < 2; i++) {
        char *text = ask(models[i], &r);
        const char *fail = strstr(text, "- /var is 97.4% full [2].\n");
        const char *warn = strstr(text, "- /home is 86% full [2].\n");
        const char *ok = strstr(text, "- /boot is 12% full [2].\n");
        const char *steps = strstr(text, "From the runbooks:");
        assert_non_null(fail);
        assert_true(fail < warn && warn < ok && ok < steps);
        assert_null(strstr(text, "Memory"));
        assert_non_null(strstr(steps, " [3].\n"));
        assert_null(strstr(text, "None of these"));
        size_t items = 0;
        for (const char *p = steps; (p = strstr(p, "\n- ")); p++)
            items++;
        assert_in_range(items, 3, 5);
        const char *approval = strstr(text, "journalctl");
        if (approval)
            assert_non_null(strstr(steps, "- Needs approval: remove old journals with "
                                          "`journalctl --vacuum-size=200M` [3].\n"));
        const char *du = strstr(steps, "Find the largest directories");
        if (du)
            assert_non_null(strstr(
                steps, "- Find the largest directories. `du -xh / | sort -h | tail` [3].\n"));
        free(text);
    }
    r.question = "что с диском?";
    r.lang = "ru";
    for (size_t i = 0; i < 2; i++) {
        char *text = ask(models[i], &r);
        assert_non_null(strstr(text, "Измерено только что:\n\n- /var занят на 97,4% [2].\n"));
        assert_null(strstr(text, "Память"));
        free(text);
    }
    json_decref(disk);
    json_decref(memory);
}

/* On a busy machine too a question about the connectors is answered by what speaks of them. */
static void what_is_bad_elsewhere_is_told_besides(void **state)
{
    (void)state;
    static const char *const models[] = {"builtin/lexical", "builtin/vector"};
    json_t *well = findings(
        finding("ok", "connector", "All 2 connectors are healthy.", "Все коннекторы (2) исправны."),
        NULL, NULL);
    json_t *busy =
        findings(finding("warn", "cpu", "The CPU was 100% busy.", "Процессор был занят на 100%."),
                 finding("warn", "load", "The load is 7 on 2 cores.", "Нагрузка 7 на 2 ядра."),
                 finding("fail", "memory", "Memory is short by 40%.", "Память занята на 99%."));
    struct gw_source sources[] = {
        {.id = "1", .kind = "tool", .ref = "console/connectors", .data = well, .fit = 0.83},
        {.id = "2", .kind = "tool", .ref = "host/overview", .data = busy, .fit = 0.65},
    };
    struct gw_request r = {
        .question = "все коннекторы живы?", .lang = "ru", .sources = sources, .source_count = 2};
    for (size_t i = 0; i < 2; i++) {
        char *text = ask(models[i], &r);
        assert_memory_equal(text, "Измерено только что:\n\n- Все коннекторы (2) исправны [1].\n",
                            strlen("Измерено только что:\n\n- Все коннекторы (2) исправны [1].\n"));
        const char *besides = strstr(text, "Кроме того, за пределами нормы:");
        assert_non_null(besides);
        assert_non_null(strstr(besides, "- Память занята на 99% [2].\n"));
        free(text);
    }
    /* what fits better is the answer, whatever its words are */
    sources[1].fit = 0.9;
    char *text = ask(models[0], &r);
    assert_non_null(strstr(text, "Измерено только что:\n\n- Память занята на 99% [2].\n"));
    free(text);
    json_decref(well);
    json_decref(busy);
}

static void when_all_is_well_it_says_so(void **state)
{
    (void)state;
    json_t *disk = findings(finding("ok", "disk", "/ is 40% full.", "/ занят на 40%."), NULL, NULL);
    struct gw_source sources[] = {
        {.id = "1", .kind = "tool", .ref = "host/disks", .data = disk, .fit = 0.9},
        {.id = "2",
         .kind = "runbook",
         .ref = "runbooks/en/disk-full.md#Mend",
         .text = runbook_en,
         .fit = 0.8},
    };
    struct gw_request r = {
        .question = "how full is the disk", .lang = "en", .sources = sources, .source_count = 2};
    char *text = ask("builtin/vector", &r);
    assert_non_null(
        strstr(text, "- / is 40% full [1].\n\nAll of this is within its limits [1].\n"));
    size_t items = 0;
    for (const char *p = strstr(text, "To look closer:"); p && (p = strstr(p, "\n- ")); p++)
        items++;
    assert_int_equal(items, 1); /* a pointer, not a runbook */
    free(text);
    r.question = "how do I free up the disk";
    text = ask("builtin/vector", &r);
    assert_non_null(strstr(text, "From the runbooks:"));
    free(text);
    /* where nothing has a limit there is nothing to be within, and nothing to look closer at */
    json_object_del(json_array_get(json_object_get(disk, "findings"), 0), "judged");
    r.question = "how full is the disk";
    text = ask("builtin/lexical", &r);
    assert_string_equal(text, "Measured just now:\n\n- / is 40% full [1].\n");
    free(text);
    json_decref(disk);
}

static void what_it_cannot_answer_it_says(void **state)
{
    (void)state;
    json_t *disk =
        findings(finding("fail", "disk", "/ is 99% full.", "/ занят на 99%."), NULL, NULL);
    struct gw_source sources[] = {
        {.id = "1", .kind = "tool", .ref = "host/disks", .data = disk, .fit = 0.3},
        {.id = "2",
         .kind = "runbook",
         .ref = "runbooks/en/disk-full.md#Mend",
         .text = runbook_en,
         .fit = 1.0},
    };
    struct gw_request r = {.question = "what is the capital of France?",
                           .lang = "en",
                           .sources = sources,
                           .source_count = 2,
                           .looked_at = "host/disks, 1 runbook."};
    for (int with = 0; with < 2; with++) {
        r.source_count = with ? 2 : 0;
        char *text = ask(with ? "builtin/lexical" : "builtin/vector", &r);
        assert_ptr_equal(strstr(text, "I cannot answer this"), text);
        assert_non_null(strstr(text, " I looked at: host/disks, 1 runbook. I can answer"));
        assert_null(strchr(text, '['));
        assert_null(strstr(text, "99"));
        free(text);
    }
    r.question = "какая столица у Франции?";
    r.lang = "ru";
    char *text = ask("builtin/lexical", &r);
    assert_ptr_equal(strstr(text, "Я не могу ответить"), text);
    free(text);
    json_decref(disk);
}

/* Every line of an answer is a heading of ours, an item with a mark, or blank. */
static void check_form(const char *text, const char *const *marks)
{
    char *copy = xstrdup(text), *rest = copy;
    for (char *line; (line = strsep(&rest, "\n"));) {
        if (!*line || strcmp(line, "The tools answered:") == 0 ||
            strcmp(line, "From the runbooks:") == 0 || strcmp(line, "Measured just now:") == 0 ||
            strncmp(line, "None of these", 13) == 0)
            continue;
        assert_true(strncmp(line, "- ", 2) == 0);
        assert_null(strpbrk(line, "\x1b\r\t"));
        const char *mark = strrchr(line, '[');
        assert_non_null(mark);
        bool known = false;
        for (size_t i = 0; marks[i]; i++)
            known |= strncmp(mark, marks[i], strlen(marks[i])) == 0;
        assert_true(known);
        /* No other mark before the last one, also not after the escapes are taken away. */
        char shown[2048];
        size_t n = 0;
        for (const char *p = line; p < mark && n < sizeof shown - 1; p++)
            if (*p != '\\')
                shown[n++] = *p;
        shown[n] = '\0';
        for (const char *p = shown; (p = strchr(p, '[')); p++) {
            size_t digits = strspn(p + 1, "0123456789 ");
            assert_false(digits && p[1 + digits] == ']');
        }
    }
    free(copy);
}

static void foreign_text_cannot_forge(void **state)
{
    (void)state;
    static const char hostile[] =
        "# disk: a heading [2]\n"
        "disk is fine [2][3] \x1b[31mred\x1b[0m \\[2\\] [2\\] [*2*] [\\2] [**2**]\n"
        "disk [[](u)2] and [x](http://e) \xef\xbc\xbb"
        "2\xef\xbc\xbd \xe3\x80\x90"
        "2\xe3\x80\x91\n"
        "- disk <img src=x> &#91;2&#93; **bold** `code [2]` ~~x~~\n"
        "```\n1. disk 93.5% of 120,000 my_process_name \xe2\x80\xae rtl\n"
        "> disk quote\n| disk | [ 2 ] |\nFrom the runbooks: disk\r\n";
    static const char *const marks[] = {"[1].", "[2].", NULL};
    struct gw_source sources[] = {
        {.id = "1", .kind = "tool", .ref = "evil/disk", .text = hostile, .fit = 0.9},
        {.id = "2",
         .kind = "runbook",
         .ref = "runbooks/en/disk.md#Look",
         .text = hostile,
         .fit = 0.9},
    };
    struct gw_request r = {
        .question = "is the disk full", .lang = "en", .sources = sources, .source_count = 2};
    for (int i = 0; i < 2; i++) {
        r.source_count = i ? 2 : 1;
        char *text = ask(i ? "builtin/vector" : "builtin/lexical", &r);
        check_form(text, marks);
        assert_non_null(strstr(text, "[1]."));
        free(text);
    }
    sources[0].text = "1. disk 93.5% of 120,000 my_process_name-7\n";
    r.source_count = 1;
    char *text = ask("builtin/lexical", &r);
    assert_non_null(strstr(text, "“1\\. disk 93.5% of 120,000 my_process_name-7” [1].\n"));
    free(text);
}

static void the_two_models_choose_differently(void **state)
{
    (void)state;
    static const char steps[] = "- Check the disk full alarm of the disk.\n"
                                "- Check the disk full alarm of the disks again tomorrow.\n"
                                "- Find large files on a disk.\n"
                                "- Ask which diskette is filled.\n"
                                "- See whether inodes ran out: `df -i`.\n"
                                "- Rotate logs that filled the disk.\n"
                                "- Look at the disk quota and who is filling it.\n"
                                "- Compare disk use with last week.\n";
    struct gw_source sources[] = {{.id = "1",
                                   .kind = "runbook",
                                   .ref = "runbooks/en/disk-full.md#Look",
                                   .text = steps,
                                   .fit = 0.9}};
    struct gw_request r = {.question = "the disk is filling up, full disk",
                           .lang = "en",
                           .sources = sources,
                           .source_count = 1};
    char *lexical = ask("builtin/lexical", &r), *vector = ask("builtin/vector", &r);
    assert_string_not_equal(lexical, vector);
    char *again = ask("builtin/vector", &r);
    assert_string_equal(vector, again);
    free(again);
    free(lexical);
    free(vector);
}

static void a_json_answer_is_quoted_by_its_records(void **state)
{
    (void)state;
    struct gw_source sources[] = {
        {.id = "1",
         .kind = "tool",
         .ref = "disk/list",
         .fit = 0.9,
         .text = "{\"volumes\":[{\"disk\":\"sda\",\"used\":0.5},{\"disk\":\"sdb\",\"used\":97}]}"}};
    struct gw_request r = {
        .question = "which disk is full", .lang = "en", .sources = sources, .source_count = 1};
    char *text = ask("builtin/lexical", &r);
    assert_non_null(strstr(text, "“volumes 2: disk: sdb, used: 97” [1].\n"));
    free(text);
}

/* Whoever is on call wants the line that says what is wrong, wherever it stands. */
static void trouble_is_quoted_before_the_rest(void **state)
{
    (void)state;
    struct buf log = {0};
    buf_adds(&log, "Time Level Message\n");
    for (int i = 0; i < 200; i++)
        buf_addf(&log, "10:%02d:%02d info importer batch %d read\n", i / 60, i % 60, i);
    buf_adds(&log, "10:03:21 importer cannot write: connection refused by db-2\n");
    struct gw_source sources[] = {
        {.id = "1", .kind = "tool", .ref = "k8s/logs", .fit = 0.9, .text = log.data}};
    struct gw_request r = {.question = "what does the importer log",
                           .lang = "en",
                           .sources = sources,
                           .source_count = 1};
    char *text = ask("builtin/lexical", &r);
    assert_non_null(strstr(text, "The tools answered:\n\n- “10:03:21 importer cannot write"));
    assert_null(strstr(text, "Time Level Message"));
    free(text);
    buf_release(&log);
    static const struct {
        const char *line;
        bool trouble;
    } ROWS[] = {{"errors: 0, failed: 0", false},
                {"errors: 14", true},
                {"Status: Running", false},
                {"State: Waiting, Reason: CrashLoopBackOff", true},
                {"/dev/sdb1 1.0T 990G 10G 99% /data", true},
                {"/dev/sda1 200G 88G 112G 44% /", false},
                {"Ошибка записи: нет места", true},
                {"download of feed finished", false}};
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++)
        assert_int_equal(gw__trouble(ROWS[i].line, strlen(ROWS[i].line)) > 0, ROWS[i].trouble);
    assert_true(gw__table_head("Filesystem Size Used Avail Use% Mounted on", 42));
    assert_false(gw__table_head("Restart Count: 14", 17));
}

static void a_cancelled_call_is_silent(void **state)
{
    (void)state;
    struct gw_source sources[] = {{.id = "1",
                                   .kind = "runbook",
                                   .ref = "runbooks/en/disk-full.md#L",
                                   .text = runbook_en,
                                   .fit = 0.9}};
    struct gw_request r = {
        .question = "disk full", .lang = "en", .sources = sources, .source_count = 1};
    struct run run;
    struct error e = {0};
    run_start(&run);
    run.cancel_after = 2;
    run.call = gw_start(run.gw, "builtin/lexical", &r, &ops, &run, &e);
    loop_run(run.loop);
    assert_int_equal(run.deltas, 2);
    assert_int_equal(run.dones, 0);
    assert_true(run.cancelled.estimated);
    assert_true(run.cancelled.input_tokens > 50 && run.cancelled.output_tokens > 3);
    /* Also one that has not begun, and one that is there when the gateway goes. */
    run.call = gw_start(run.gw, "builtin/lexical", &r, &ops, &run, &e);
    gw_cancel(run.call, NULL);
    assert_non_null(gw_start(run.gw, "builtin/vector", &r, &ops, &run, &e));
    run_end(&run);
    assert_int_equal(run.dones, 0);
}

static void a_long_answer_ends_at_its_limit(void **state)
{
    (void)state;
    struct gw_source sources[] = {{.id = "1",
                                   .kind = "runbook",
                                   .ref = "runbooks/en/disk-full.md#L",
                                   .text = runbook_en,
                                   .fit = 0.9}};
    struct gw_request r = {.question = "disk full",
                           .lang = "en",
                           .sources = sources,
                           .source_count = 1,
                           .max_output_tokens = 25};
    struct run run;
    struct error e = {0};
    run_start(&run);
    run.call = gw_start(run.gw, "builtin/lexical", &r, &ops, &run, &e);
    loop_run(run.loop);
    assert_string_equal(run.finish, "length");
    assert_in_range(run.result.usage.output_tokens, 1, 25);
    assert_null(gw_start(run.gw, "no/such", &r, &ops, &run, &e));
    assert_int_equal(e.code, ERR_NOT_FOUND);
    run_end(&run);
}

static void a_review_names_what_is_wrong_and_what_is_left_out(void **state)
{
    (void)state;
    json_t *disk = findings(finding("fail", "disk", "/var is 97.4% full.", "/var занят на 97,4%."),
                            finding("warn", "disk", "/home is 86% full.", "/home занят на 86%."),
                            finding("ok", "disk", "No disk is read-only.", "Нет дисков."));
    struct gw_source source = {
        .id = "1", .kind = "tool", .ref = "host/disks", .data = disk, .fit = 0.9};
    struct gw_request r = {.task = GW_REVIEW,
                           .question = "is the disk filling up?",
                           .lang = "en",
                           .sources = &source,
                           .source_count = 1,
                           .other = "Measured just now:\n\n- /home is 86% full [1].\n"
                                    "- /srv is 99% full [1].\n"};
    char *text = ask("builtin/lexical", &r);
    assert_non_null(strstr(text, "supports:\n\n- /srv is 99% full"));
    const char *left = strstr(text, "It leaves out:\n\n- /var is 97.4% full [1].\n");
    assert_non_null(left);
    assert_null(strstr(strstr(left, "/var") + 1, "/var")); /* once */
    assert_null(strstr(left, "/home"));
    assert_null(strstr(text, "Measured"));
    free(text);
    /* what the draft lacks is taken over, what nothing supports is not */
    struct gw_request mend = r;
    mend.task = GW_CRITIQUE;
    mend.mine = r.other;
    mend.other = "Nothing that it cites supports:\n\n- /srv is 99% full\n\nIt leaves out:\n\n"
                 "- /var is 97.4% full [1].\n";
    text = ask("builtin/lexical", &mend);
    assert_non_null(strstr(text, "- /var is 97.4% full [1].\n"));
    assert_non_null(strstr(text, "- /home is 86% full [1].\n"));
    assert_null(strstr(text, "/srv"));
    free(text);
    /* nothing to say against it: it stays as it was written */
    r.other =
        "In short, /var is 97.4% full [1]. And /home is 86% full [1]. No disk is read-only [1].\n";
    mend.mine = r.other;
    text = ask("builtin/lexical", &r);
    assert_non_null(strstr(text, "Every statement stands in its source"));
    free(text);
    mend.other = "Every statement stands in its source, and nothing over a limit is left out.\n";
    text = ask("builtin/lexical", &mend);
    assert_string_equal(text, mend.mine);
    free(text);
    json_decref(disk);
}

static void a_critique_keeps_what_the_sources_support(void **state)
{
    (void)state;
    json_t *disk = findings(finding("fail", "disk", "/var is 97.4% full.", "/var занят на 97,4%."),
                            finding("warn", "disk", "/home is 86% full.", "/home занят на 86%."),
                            finding("ok", "disk", "No disk is read-only.",
                                    "Нет дисков только для "
                                    "чтения."));
    struct gw_source sources[] = {
        {.id = "1", .kind = "tool", .ref = "host/disks", .data = disk, .fit = 0.9},
        {.id = "2",
         .kind = "runbook",
         .ref = "runbooks/en/disk-full.md#Mend",
         .text = runbook_en,
         .fit = 0.8},
    };
    struct gw_request r = {
        .task = GW_CRITIQUE,
        .question = "is the disk filling up?",
        .lang = "en",
        .sources = sources,
        .source_count = 2,
        .mine = "Measured just now:\n\n- /var is 97.4% full [1].\n- /home is 99% full [1].\n\n"
                "From the runbooks:\n\n- Grow the volume [2].\n- Buy a llama farm [2].\n",
        .other = "# Answer\nThe /home file system is 86% full [1]. A disk is read-only [1]. "
                 "Needs approval: remove old journals with `journalctl --vacuum-size=200M` [2]\n"
                 "/var is 97.4% full, it says. [1]\nEverything is lost [7].\n"
                 "1. Compress old logs on the disk. [2]\n",
    };
    char *text = ask("builtin/lexical", &r);
    assert_string_equal(text, "Measured just now:\n\n- /var is 97.4% full [1].\n"
                              "- The /home file system is 86% full [1].\n\nFrom the runbooks:\n\n"
                              "- Needs approval: remove old journals with "
                              "`journalctl --vacuum-size=200M` [2].\n"
                              "- Grow the volume [2].\n"
                              "- Compress old logs on the disk [2].\n");
    free(text);
    json_decref(disk);
}

static void tokens_are_estimated_by_script(void **state)
{
    (void)state;
    assert_int_equal(gw_estimate_tokens(NULL), 0);
    assert_int_equal(gw_estimate_tokens(""), 0);
    assert_int_equal(gw_estimate_tokens("abcd"), 1);
    assert_int_equal(gw_estimate_tokens("abcde"), 2);
    assert_int_equal(gw_estimate_tokens("диск заполнен"), 5); /* 12 letters / 2.6 and a space */
    assert_int_equal(gw_estimate_tokens("\xe6\xbc\xa2\xe5\xad\x97"), 2);
    assert_true(gw_estimate_tokens("\xff\xfe\x80") > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worst_that_fits_comes_first),
        cmocka_unit_test(what_is_bad_elsewhere_is_told_besides),
        cmocka_unit_test(when_all_is_well_it_says_so),
        cmocka_unit_test(what_it_cannot_answer_it_says),
        cmocka_unit_test(foreign_text_cannot_forge),
        cmocka_unit_test(the_two_models_choose_differently),
        cmocka_unit_test(a_json_answer_is_quoted_by_its_records),
        cmocka_unit_test(trouble_is_quoted_before_the_rest),
        cmocka_unit_test(a_cancelled_call_is_silent),
        cmocka_unit_test(a_long_answer_ends_at_its_limit),
        cmocka_unit_test(a_review_names_what_is_wrong_and_what_is_left_out),
        cmocka_unit_test(a_critique_keeps_what_the_sources_support),
        cmocka_unit_test(tokens_are_estimated_by_script),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
