/* MCP over stdio, against a server of ours that misbehaves on request (tests/peers/mcp_server.py);
 * and the registry's invariants C1 to C4 and R1 to R3. Needs python3. */
#include "backend/connectors/mcp_frame.h"
#include "tests/unit/conn_harness.h"
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#define SERVER "python3 tests/peers/mcp_server.py"

static void open_more(struct harness *h, const char *switches, const char *more)
{
    char text[2048];
    snprintf(text, sizeof text,
             "[connector \"t\"]\nkind = mcp-stdio\ncommand = " SERVER
             " %s\nregion = RU\nlevel = execute\nread_tools = echo add fail env picture sleep "
             "exit\n%s\n",
             switches, more);
    harness_open(h, text, "t");
    conn_start(h->registry);
}

static void open_ok(struct harness *h, const char *switches)
{
    open_more(h, switches, "");
    if (!harness_wait(h, CONN_OK, 10000)) {
        json_t *row = harness_row(h);
        fail_msg("not up: %s", json_str(row, "last_error", ""));
    }
}

static void test_calls(void **state)
{
    (void)state;
    struct harness h;
    struct answer a;
    open_ok(&h, "");
    assert_int_equal(harness_call(&h, "echo", "{\"text\":\"caf\\u00e9 \\n line\"}", 5000, &a),
                     ERR_OK);
    assert_string_equal(a.text, "caf\xc3\xa9 \n line");
    assert_false(a.is_error);
    assert_null(a.data);
    answer_release(&a);
    assert_int_equal(harness_call(&h, "add", "{\"a\":2,\"b\":3}", 5000, &a), ERR_OK);
    assert_int_equal(json_int(a.data, "sum", 0), 5);
    answer_release(&a);
    assert_int_equal(harness_call(&h, "fail", "{}", 5000, &a), ERR_OK);
    assert_true(a.is_error);
    assert_string_equal(a.text, "it went wrong");
    answer_release(&a);
    assert_int_equal(harness_call(&h, "picture", "{}", 5000, &a), ERR_OK);
    assert_string_equal(
        a.text, "one\n[image, image/png, about 300 bytes]\ntwo\n[link to resource file:///b: b]");
    answer_release(&a);
    json_t *row = conn_describe(h.registry, h.name), *calls = json_object_get(row, "calls");
    assert_int_equal(json_array_size(calls), 4);
    assert_true(json_flag(json_array_get(calls, 1), "ok", false));
    assert_false(json_flag(json_array_get(calls, 2), "ok", true));
    assert_string_equal(json_str(json_array_get(calls, 2), "tool", ""), "fail");
    assert_string_equal(json_str(json_array_get(calls, 2), "error", ""), "it went wrong");
    json_decref(row);
    harness_shut(&h);
}

/* C1: an annotation of the server, or the level, is not trust; arguments must fit. */
static void test_refusals(void **state)
{
    (void)state;
    struct harness h;
    struct answer a;
    open_ok(&h, "");
    assert_int_equal(harness_call(&h, "danger", "{}", 1000, &a), ERR_DENIED);
    assert_int_equal(harness_call(&h, "absent", "{}", 1000, &a), ERR_NOT_FOUND);
    assert_int_equal(harness_call(&h, "echo", "{}", 1000, &a), ERR_INVALID);
    assert_non_null(strstr(a.detail, "text"));
    assert_int_equal(harness_call(&h, "echo", "{\"text\":1}", 1000, &a), ERR_INVALID);
    assert_int_equal(harness_call(&h, "echo", "{\"text\":\"a\",\"more\":1}", 1000, &a),
                     ERR_INVALID);
    h.name = "nobody";
    assert_int_equal(harness_call(&h, "echo", "{}", 1000, &a), ERR_NOT_FOUND);
    h.name = "t";
    struct conn_tool tools[64];
    size_t n = conn_tools(h.registry, tools, 64), seen = 0;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(tools[i].connector, "t") != 0)
            continue;
        seen++;
        assert_int_equal(tools[i].level == CONN_READ, strcmp(tools[i].name, "danger") != 0);
        if (strcmp(tools[i].name, "echo") == 0)
            assert_string_equal(tools[i].title, "Echo a text");
    }
    assert_int_equal(seen, 8);
    harness_shut(&h);
}

static void test_row(void **state)
{
    (void)state;
    struct harness h;
    open_more(&h, "--chatter",
              "check_ms = 100\ndata = metrics logs\nowner = ops\nallowed_regions = RU BY\n");
    assert_true(harness_wait(&h, CONN_OK, 10000));
    harness_run(&h, NULL, 450); /* some pings */
    json_t *row = harness_row(&h);
    assert_string_equal(json_str(row, "kind", ""), "mcp-stdio");
    assert_string_equal(json_str(row, "version", ""), "test-server 1.2.3");
    assert_string_equal(json_str(row, "protocol", ""), "2025-11-25");
    assert_string_equal(json_str(row, "region", ""), "RU");
    assert_string_equal(json_str(row, "level", ""), "execute");
    assert_string_equal(json_str(row, "owner", ""), "ops");
    assert_int_equal(json_array_size(json_object_get(row, "data")), 2);
    assert_int_equal(json_array_size(json_object_get(row, "tools")), 8);
    assert_true(json_array_size(json_object_get(row, "history")) >= 2);
    assert_true(json_num(row, "latency_ms", -1) > 0);
    assert_true(json_num(row, "latency_p95_ms", -1) >= 0);
    assert_true(json_is_null(json_object_get(row, "retry_in_ms")));
    assert_true(json_int(row, "last_success_at", 0) > 0);
    const json_t *lines = json_object_get(row, "stderr");
    assert_true(json_array_size(lines) >= 4 && json_array_size(lines) <= 50);
    assert_true(strlen(json_string_value(json_array_get(lines, 0))) < 600);
    json_decref(row);
    harness_shut(&h);
}

/* Only PATH, HOME, LANG, TERM and what is named. */
static void test_environment(void **state)
{
    (void)state;
    struct harness h;
    struct answer a;
    setenv("CONN_SECRET", "hidden", 1);
    setenv("CONN_NAMED", "given", 1);
    open_more(&h, "", "env = CONN_NAMED NOT_SET_ANYWHERE\n");
    assert_true(harness_wait(&h, CONN_OK, 10000));
    assert_int_equal(harness_call(&h, "env", "{}", 5000, &a), ERR_OK);
    assert_non_null(strstr(a.text, "CONN_NAMED"));
    assert_null(strstr(a.text, "CONN_SECRET"));
    /* Of our own variables no other is seen; shells that wrap python set some for themselves. */
    static const char *const known[] = {"PATH",     "HOME", "LANG",  "TERM", "CONN_NAMED",
                                        "LC_CTYPE", "PWD",  "SHLVL", "_",    "OLDPWD"};
    char *save = NULL;
    for (char *name = strtok_r(a.text, "\n", &save); name; name = strtok_r(NULL, "\n", &save)) {
        bool fine = !getenv(name) || strncmp(name, "PYENV_", 6) == 0;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            fine = fine || strcmp(known[i], name) == 0;
        if (!fine)
            fail_msg("the server sees %s", name);
    }
    answer_release(&a);
    harness_shut(&h);
}

static void test_noise(void **state)
{
    (void)state;
    struct harness h;
    struct answer a;
    open_ok(&h, "--noise --wrong-ids --storm 5");
    assert_int_equal(harness_call(&h, "echo", "{\"text\":\"mine\"}", 5000, &a), ERR_OK);
    assert_string_equal(a.text, "mine"); /* M1 */
    answer_release(&a);
    json_t *row = harness_row(&h);
    const json_t *noise = json_object_get(row, "noise");
    assert_true(json_array_size(noise) >= 6);
    assert_string_equal(json_string_value(json_array_get(noise, 0)),
                        "debug: handling server/discover");
    json_decref(row);
    harness_shut(&h);
}

static size_t lines_with(const char *path, const char *what)
{
    FILE *f = fopen(path, "r");
    char line[4096];
    size_t n = 0;
    while (f && fgets(line, sizeof line, f))
        n += strstr(line, what) != NULL;
    if (f)
        fclose(f);
    return n;
}

static void temporary(char path[64])
{
    snprintf(path, 64, "/tmp/mcpc-conn-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
}

/* A storm of list_changed is one more tools/list each 200 ms, not one each. */
static void test_storm(void **state)
{
    (void)state;
    struct harness h;
    char log[64], switches[128];
    temporary(log);
    snprintf(switches, sizeof switches, "--storm 50 --pages 3 --log %s", log);
    open_ok(&h, switches);
    harness_run(&h, NULL, 500);
    size_t asked = lines_with(log, "tools/list");
    assert_in_range(asked, 8, 16); /* 4 pages each, at 0, 200 and 400 ms */
    json_t *row = harness_row(&h);
    assert_int_equal(json_array_size(json_object_get(row, "tools")), 11);
    json_decref(row);
    harness_shut(&h);
    unlink(log);
}

/* M4, and what this client says of itself. */
static void test_requests_of_server(void **state)
{
    (void)state;
    struct harness h;
    char log[64], switches[128];
    temporary(log);
    snprintf(switches, sizeof switches, "--ask --log %s", log);
    open_ok(&h, switches);
    harness_run(&h, NULL, 150);
    assert_int_equal(lines_with(log, "-32601"), 2);
    assert_int_equal(lines_with(log, "\"result\":{}"), 1);
    assert_int_equal(lines_with(log, "\"protocolVersion\":\"2025-11-25\",\"capabilities\":{}"), 1);
    assert_int_equal(lines_with(log, "notifications/initialized"), 1);
    harness_shut(&h);
    unlink(log);
}

static void test_old_revisions(void **state)
{
    (void)state;
    static const char *const known[] = {"2024-11-05", "2025-03-26", "2025-06-18"};
    for (size_t i = 0; i < 3; i++) {
        struct harness h;
        struct answer a;
        char switches[64];
        snprintf(switches, sizeof switches, "--version %s", known[i]);
        open_ok(&h, switches);
        json_t *row = harness_row(&h);
        assert_string_equal(json_str(row, "protocol", ""), known[i]);
        json_decref(row);
        assert_int_equal(harness_call(&h, "echo", "{\"text\":\"old\"}", 5000, &a), ERR_OK);
        answer_release(&a);
        harness_shut(&h);
    }
    struct harness h;
    open_more(&h, "--version 1999-01-01", "");
    assert_true(harness_wait(&h, CONN_FAIL, 10000));
    assert_non_null(strstr(h.changed_error, "1999-01-01"));
    harness_shut(&h);
}

/* C3, C4: a call that may have run is not sent again; the server comes back. */
static void test_death_and_restart(void **state)
{
    (void)state;
    struct harness h;
    struct answer a;
    open_ok(&h, "");
    assert_int_equal(harness_call(&h, "exit", "{}", 5000, &a), ERR_CLOSED);
    assert_non_null(strstr(a.detail, "fatal: asked to end"));
    assert_non_null(strstr(a.detail, "status 7"));
    answer_release(&a);
    json_t *row = harness_row(&h);
    assert_string_equal(json_str(row, "state", ""), "fail");
    assert_string_equal(json_string_value(json_array_get(json_object_get(row, "stderr"), 0)),
                        "fatal: asked to end");
    int64_t retry = json_int(row, "retry_in_ms", -1);
    assert_in_range(retry, 1, 600); /* R3: 500 ms * 0.8..1.2 */
    json_decref(row);
    assert_int_equal(harness_call(&h, "echo", "{\"text\":\"a\"}", 1000, &a), ERR_CLOSED);
    assert_true(harness_wait(&h, CONN_OK, 10000));
    row = harness_row(&h);
    assert_int_equal(json_int(row, "restarts", 0), 1);
    json_decref(row);
    assert_int_equal(harness_call(&h, "echo", "{\"text\":\"back\"}", 5000, &a), ERR_OK);
    answer_release(&a);
    harness_shut(&h);
}

static bool until_restarted(struct harness *h)
{
    json_t *row = harness_row(h);
    bool is = json_int(row, "restarts", 0) >= h->restarts_want;
    json_decref(row);
    return is;
}

/* R3: each failed start in a row waits longer. */
static void test_backoff_grows(void **state)
{
    (void)state;
    struct harness h;
    open_more(&h, "--die-after 0", "");
    assert_true(harness_wait(&h, CONN_FAIL, 10000));
    assert_true(conn_settled(h.registry) || harness_run(&h, until_settled, 1000));
    assert_non_null(strstr(h.changed_error, "out of cheese"));
    uint64_t first = clock_mono_ms();
    h.restarts_want = 1;
    assert_true(harness_run(&h, until_restarted, 3000));
    uint64_t second = clock_mono_ms();
    h.restarts_want = 2;
    assert_true(harness_run(&h, until_restarted, 3000));
    uint64_t third = clock_mono_ms();
    /* 0.5 s, then 1 s, each times 0.8 to 1.2 and more by a start of python on a busy machine */
    assert_in_range(second - first, 350, 3000);
    assert_in_range(third - second, 800, 3000);
    assert_int_equal(h.changes, 1); /* it stays in fail, and says so once */
    harness_shut(&h);
}

static void test_dies_once(void **state)
{
    (void)state;
    struct harness h;
    char mark[64], switches[128];
    temporary(mark);
    unlink(mark);
    snprintf(switches, sizeof switches, "--die-after 1 --die-once %s", mark);
    open_more(&h, switches, "");
    assert_true(harness_wait(&h, CONN_FAIL, 10000));
    assert_true(harness_wait(&h, CONN_OK, 10000));
    harness_shut(&h);
    unlink(mark);
}

static void test_time_limits(void **state)
{
    (void)state;
    struct harness h;
    struct answer a;
    char log[64], switches[128];
    temporary(log);
    snprintf(switches, sizeof switches, "--log %s", log);
    open_ok(&h, switches);
    uint64_t from = clock_mono_ms();
    assert_int_equal(harness_call(&h, "sleep", "{\"ms\":600}", 150, &a), ERR_TIMEOUT);
    assert_in_range(clock_mono_ms() - from, 140, 500);
    answer_release(&a);
    harness_run(&h, NULL, 800);
    assert_int_equal(lines_with(log, "notifications/cancelled"), 1);
    assert_int_equal(harness_call(&h, "echo", "{\"text\":\"after\"}", 5000, &a), ERR_OK);
    assert_string_equal(a.text, "after"); /* M2: the late answer was dropped */
    answer_release(&a);
    harness_shut(&h);
    unlink(log);
}

static void test_cancel(void **state)
{
    (void)state;
    struct harness h;
    struct answer a = {.h = &h};
    char log[64], switches[128];
    temporary(log);
    snprintf(switches, sizeof switches, "--log %s", log);
    open_ok(&h, switches);
    struct error e = {0};
    json_t *given = json_pack("{s:i}", "ms", 50);
    struct conn_call *call =
        conn_call(h.registry, "t", "sleep", given, &(struct conn_call_options){.limit_ms = 5000},
                  harness_done, &a, &e);
    json_decref(given);
    assert_non_null(call);
    conn_cancel(call);
    harness_run(&h, NULL, 300);
    assert_int_equal(a.count, 0); /* no callback after the cancel */
    assert_int_equal(lines_with(log, "notifications/cancelled"), 1);
    harness_shut(&h);
    unlink(log);
}

static void test_hang_in_ping(void **state)
{
    (void)state;
    struct harness h;
    open_more(&h, "--hang ping", "check_ms = 100\n");
    assert_true(harness_wait(&h, CONN_OK, 10000));
    assert_true(harness_wait(&h, CONN_WARN, 2000));
    assert_true(
        harness_wait(&h, CONN_FAIL, 3000)); /* after three in a row it is ended and started again */
    json_t *row = harness_row(&h);
    assert_true(json_num(row, "error_rate", 0) > 0);
    json_decref(row);
    assert_true(harness_wait(&h, CONN_OK, 5000));
    harness_shut(&h);
}

static void test_hang_in_initialize(void **state)
{
    (void)state;
    struct harness h;
    open_more(&h, "--hang initialize", "timeout_ms = 300\n");
    assert_true(harness_wait(&h, CONN_FAIL, 5000));
    assert_non_null(strstr(h.changed_error, "did not come up"));
    assert_true(conn_settled(h.registry));
    harness_shut(&h);
}

static void test_bad_json(void **state)
{
    (void)state;
    struct harness h;
    struct answer a;
    open_ok(&h, "--bad-json");
    assert_int_equal(harness_call(&h, "echo", "{\"text\":\"a\"}", 200, &a), ERR_TIMEOUT);
    answer_release(&a);
    harness_shut(&h);
}

static void test_big_reply(void **state)
{
    (void)state;
    struct harness h;
    struct answer a;
    open_ok(&h, "--big 10000000");
    assert_int_equal(harness_call(&h, "echo", "{\"text\":\"a\"}", 20000, &a), ERR_OK);
    assert_int_equal(strlen(a.text), 1 << 20); /* the log's: test_mcp_backend */
    answer_release(&a);
    harness_shut(&h);
}

static void held(void *arg)
{
    (void)arg;
    usleep(150000);
}

/* S3: the run that is stopped while a large line of it is being parsed forgets that line. */
static void test_stop_while_parsing(void **state)
{
    (void)state;
    struct harness h;
    struct error e = {0};
    struct answer a = {.h = &h};
    open_ok(&h, "--big 300000 --ignore-term");
    for (int i = 0; i < 4; i++)
        loop_work(h.loop, held, NULL, NULL); /* the line waits for a worker */
    const struct conn_call_options options = {.limit_ms = 5000};
    json_t *arguments = json_pack("{s:s}", "text", "a");
    assert_non_null(
        conn_call(h.registry, h.name, "echo", arguments, &options, harness_done, &a, &e));
    json_decref(arguments);
    harness_run(&h, NULL, 200);
    conn_close(h.registry); /* which ends the call, and that the next turns of the loop */
    harness_run(&h, NULL, 50);
    harness_run(&h, NULL, 300);
    harness_shut(&h);
    answer_release(&a);
}

static void test_line_too_long(void **state)
{
    (void)state;
    struct harness h;
    struct answer a;
    open_ok(&h, "--big 18000000");
    assert_int_equal(harness_call(&h, "echo", "{\"text\":\"a\"}", 20000, &a), ERR_CLOSED);
    assert_non_null(strstr(a.detail, "max_message"));
    answer_release(&a);
    assert_true(harness_wait(&h, CONN_OK, 5000));
    harness_shut(&h);
}

static void test_bad_names(void **state)
{
    (void)state;
    struct harness h;
    open_ok(&h, "--bad-names");
    json_t *row = harness_row(&h);
    json_t *tools = json_object_get(row, "tools"), *t;
    size_t i;
    json_array_foreach(tools, i, t)
    {
        const char *name = json_str(t, "name", "");
        assert_true(*name && strlen(name) <= 128);
        for (const char *p = name; *p; p++)
            assert_true(*p > 0x20 && *p < 0x7f);
    }
    assert_int_equal(json_array_size(tools), 9); /* eight and "good" */
    json_decref(row);
    harness_shut(&h);
}

static pid_t pid_in(const char *path)
{
    FILE *f = fopen(path, "r");
    int pid = 0;
    if (f && fscanf(f, "%d", &pid) != 1)
        pid = 0;
    if (f)
        fclose(f);
    return pid;
}

static bool is_gone(pid_t pid)
{
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return true;
    char *got = fgets(text, sizeof text, f);
    fclose(f);
    return !got || strstr(text, ") Z "); /* a zombie that init has yet to reap */
}

static pid_t orphan;
static bool until_orphan_gone(struct harness *h)
{
    (void)h;
    return is_gone(orphan);
}

/* conn_free leaves nothing behind, even of a server that ignores SIGTERM and has such a child. */
static void test_no_orphan(void **state)
{
    (void)state;
    struct harness h;
    char file[64], switches[128];
    temporary(file);
    snprintf(switches, sizeof switches, "--ignore-term --orphan %s", file);
    open_ok(&h, switches);
    orphan = pid_in(file);
    assert_true(orphan > 0);
    assert_false(is_gone(orphan));
    uint64_t from = clock_mono_ms();
    conn_close(h.registry);
    assert_true(clock_mono_ms() - from < 20); /* does not block */
    assert_true(harness_run(&h, until_orphan_gone, 1000));
    assert_true(clock_mono_ms() - from < 300);
    conn_free(h.registry);
    loop_timer_free(h.tick);
    loop_free(h.loop);
    conf_free(h.conf);
    open_ok(&h, switches); /* and without conn_close's grace */
    orphan = pid_in(file);
    conn_free(h.registry);
    for (int i = 0; i < 100 && !is_gone(orphan); i++)
        usleep(2000);
    assert_true(is_gone(orphan));
    loop_timer_free(h.tick);
    loop_free(h.loop);
    conf_free(h.conf);
    unlink(file);
}

/* C2: what is running when the console stops is told. */
static void test_stop_tells_calls(void **state)
{
    (void)state;
    struct harness h;
    struct answer a = {.h = &h}, b = {.h = &h};
    open_ok(&h, "");
    struct error e = {0};
    json_t *given = json_pack("{s:i}", "ms", 2000);
    assert_non_null(conn_call(h.registry, "t", "sleep", given,
                              &(struct conn_call_options){.limit_ms = 5000}, harness_done, &a, &e));
    assert_non_null(conn_call(h.registry, "t", "sleep", given,
                              &(struct conn_call_options){.limit_ms = 5000}, harness_done, &b, &e));
    json_decref(given);
    conn_close(h.registry);
    harness_run(&h, NULL, 20);
    conn_free(h.registry);
    assert_int_equal(a.count, 1);
    assert_int_equal(a.code, ERR_CLOSED);
    assert_int_equal(b.count, 1);
    answer_release(&a);
    answer_release(&b);
    loop_timer_free(h.tick);
    loop_free(h.loop);
    conf_free(h.conf);
}

static void test_restart_on_demand(void **state)
{
    (void)state;
    struct harness h;
    struct error e = {0};
    open_ok(&h, "");
    assert_int_equal(conn_restart(h.registry, "t", &e), ERR_OK);
    assert_false(conn_settled(h.registry));
    assert_true(harness_wait(&h, CONN_OK, 10000));
    json_t *row = harness_row(&h);
    assert_int_equal(json_int(row, "restarts", 0), 1);
    json_decref(row);
    assert_int_equal(conn_restart(h.registry, "nobody", &e), ERR_NOT_FOUND);
    assert_int_equal(conn_check(h.registry, "nobody", &e), ERR_NOT_FOUND);
    harness_shut(&h);
}

static void test_not_there(void **state)
{
    (void)state;
    struct harness h;
    harness_open(&h, "[connector \"t\"]\nkind = mcp-stdio\ncommand = /nowhere/server --x\n", "t");
    conn_start(h.registry);
    assert_true(harness_wait(&h, CONN_FAIL, 2000));
    assert_non_null(strstr(h.changed_error, "/nowhere/server"));
    harness_shut(&h);
    harness_open(&h, "[connector \"t\"]\nkind = mcp-stdio\ncommand = x\nenabled = no\n", "t");
    conn_start(h.registry);
    assert_true(harness_wait(&h, CONN_DISABLED, 100));
    assert_true(harness_run(&h, until_settled, 2000));
    harness_shut(&h);
}

static void test_bad_configuration(void **state)
{
    (void)state;
    char path[64];
    static const char *const commands[] = {"", "a 'b", "\"\""};
    for (size_t i = 0; i < 3; i++) {
        temporary(path);
        FILE *f = fopen(path, "w");
        fprintf(f, "[connector \"t\"]\nkind = mcp-stdio\ncommand = %s\n", commands[i]);
        fclose(f);
        struct error e = {0};
        struct conf *conf = conf_load(path, &e);
        assert_non_null(conf);
        struct loop *l = loop_new();
        assert_null(conn_new(&(struct conn_setup){.loop = l, .conf = conf}, &e));
        assert_int_equal(e.code, ERR_CONFIG);
        assert_non_null(strstr(e.detail, "command"));
        loop_free(l);
        conf_free(conf);
        unlink(path);
    }
}

static void test_reserved_name(void **state)
{
    (void)state;
    char path[64];
    struct error e = {0};
    temporary(path);
    FILE *f = fopen(path, "w");
    fputs("[connector \"console\"]\nkind = host\n", f);
    fclose(f);
    struct conf *conf = conf_load(path, &e);
    struct loop *l = loop_new();
    assert_non_null(conf);
    assert_null(conn_new(&(struct conn_setup){.loop = l, .conf = conf}, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    loop_free(l);
    conf_free(conf);
    unlink(path);
}

/* ---- pure parts ---- */
static void test_split(void **state)
{
    (void)state;
    struct error e = {0};
    char **w = mcp__split_command("  npx -y 'a b' \"c \\\"d\\\" $X\" e\\ f '' g\"h\"i ", &e);
    static const char *const want[] = {"npx", "-y", "a b", "c \"d\" $X", "e f", "", "ghi"};
    assert_non_null(w);
    for (size_t i = 0; i < 7; i++)
        assert_string_equal(w[i], want[i]);
    assert_null(w[7]);
    free(w);
    assert_null(mcp__split_command("a \"b", &e));
    assert_int_equal(e.code, ERR_CONFIG);
    assert_null(mcp__split_command("   ", &e));
    char many[601] = "";
    for (int i = 0; i < 600; i++)
        many[i] = i % 2 ? ' ' : 'a';
    assert_null(mcp__split_command(many, &e));
}

struct fed {
    int messages, noises;
    int64_t sum;
};
static bool fed_message(void *arg, const json_t *m)
{
    struct fed *f = arg;
    f->messages++;
    f->sum += json_int(m, "id", 0);
    return true;
}
static bool fed_noise(void *arg, const char *line, size_t len)
{
    struct fed *f = arg;
    (void)line;
    assert_true(len > 0);
    f->noises++;
    return true;
}

/* The same messages, however the bytes are cut. */
static void test_frame(void **state)
{
    (void)state;
    static const struct mcp_frame_ops ops = {.message = fed_message, .noise = fed_noise};
    static const char text[] =
        "{\"id\":1}\r\n\n  "
        "\nhello\n{\"id\":2}\n[{\"id\":4},{\"id\":8}]\n[]\n{bad\n\"s\"\n{\"id\":16} x\n{\"id\":32}";
    for (size_t step = 1; step < sizeof text; step++) {
        struct mcp_frame f = {0};
        struct fed fed = {0};
        for (size_t i = 0; i < sizeof text - 1; i += step) {
            size_t n = sizeof text - 1 - i < step ? sizeof text - 1 - i : step;
            assert_int_equal(mcp__frame_feed(&f, text + i, n, &ops, &fed), ERR_OK);
        }
        assert_int_equal(fed.messages, 4);
        assert_int_equal(fed.sum, 15); /* the last line has not ended */
        assert_int_equal(fed.noises, 5);
        buf_release(&f.held);
    }
    struct mcp_frame f = {.max = 10};
    struct fed fed = {0};
    assert_int_equal(mcp__frame_feed(&f, "0123456789\n", 11, &ops, &fed), ERR_OK);
    assert_int_equal(mcp__frame_feed(&f, "01234", 5, &ops, &fed), ERR_OK);
    assert_int_equal(mcp__frame_feed(&f, "567890", 6, &ops, &fed), ERR_TOO_BIG);
    buf_release(&f.held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_frame),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_row),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_noise),
        cmocka_unit_test(test_storm),
        cmocka_unit_test(test_requests_of_server),
        cmocka_unit_test(test_old_revisions),
        cmocka_unit_test(test_death_and_restart),
        cmocka_unit_test(test_backoff_grows),
        cmocka_unit_test(test_dies_once),
        cmocka_unit_test(test_time_limits),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_hang_in_ping),
        cmocka_unit_test(test_hang_in_initialize),
        cmocka_unit_test(test_bad_json),
        cmocka_unit_test(test_big_reply),
        cmocka_unit_test(test_stop_while_parsing),
        cmocka_unit_test(test_line_too_long),
        cmocka_unit_test(test_bad_names),
        cmocka_unit_test(test_no_orphan),
        cmocka_unit_test(test_stop_tells_calls),
        cmocka_unit_test(test_restart_on_demand),
        cmocka_unit_test(test_not_there),
        cmocka_unit_test(test_bad_configuration),
        cmocka_unit_test(test_reserved_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
