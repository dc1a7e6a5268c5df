/* Plans over the whole backend, with a real child that really changes something. The invariants are
 * those of backend/orchestrator/plans.h. */
#include "backend/orchestrator/plans.h"
#include "backend/vault/vault.h"
#include "console_harness.h"
#include <fcntl.h>
#include <sodium.h>

struct world {
    char *dir, *values, *config;
    struct console c;
};

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static char *read_text(const char *dir, const char *name)
{
    char *path = xasprintf("%s/%s", dir, name), *text = xcalloc(1, 4096);
    FILE *f = fopen(path, "r");
    if (f) {
        size_t n = fread(text, 1, 4095, f);
        text[n] = '\0';
        fclose(f);
    }
    free(path);
    return text;
}

static struct world world_new(const char *more)
{
    struct world w = {.dir = new_dir(), .values = new_dir()};
    w.config = xasprintf("%s/test.conf", w.values);
    char *text = xasprintf(
        "[console]\nlevel = execute\n[plans]\nverify_seconds = 1\npreview_seconds = 0\n"
        "[connector \"box\"]\nkind = mcp-stdio\nlevel = execute\n"
        "read_tools = get show_backup\ncommand = python3 tests/peers/acting_server.py %s\n%s",
        w.values, more);
    write_file(w.config, text);
    free(text);
    return w;
}

static void world_start(struct world *w, const char *role)
{
    w->c = console_start(w->dir, w->config, role);
    for (int i = 0; i < 1000; i++) {
        json_t *row = call(&w->c, WIRE_connectors_get, "{\"name\":\"box\"}");
        bool up = strcmp(json_str(row, "state", ""), "ok") == 0;
        json_decref(row);
        if (up)
            return;
        usleep(10000);
    }
    fail_msg("the server did not come up");
}

static void world_free(struct world *w)
{
    nftw(w->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    nftw(w->values, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(w->dir);
    free(w->values);
    free(w->config);
}

#define GET(key, want)                                                                 \
    "\"verify\":{\"connector\":\"box\",\"tool\":\"get\",\"arguments\":{\"key\":\"" key \
    "\"},\"check\":{\"pointer\":\"/value\",\"op\":\"==\",\"value\":\"" want "\"}}"
#define DROP(key) \
    "\"rollback\":{\"connector\":\"box\",\"tool\":\"drop\",\"arguments\":{\"key\":\"" key "\"}}"
#define SET(key, value, more)                                               \
    "{\"connector\":\"box\",\"tool\":\"set\",\"arguments\":{\"key\":\"" key \
    "\",\"value\":\"" value "\"" more "},\"expect\":\"" key " is " value "\""
#define PLAN(steps) "{\"title\":\"t\",\"reason\":\"r\",\"steps\":[" steps "]}"
#define LOW PLAN(SET("a", "1", "") "," GET("a", "1") "," DROP("a") "}")

/* Proposes; the id is the caller's, the hash too. */
static json_t *propose(struct console *c, const char *plan)
{
    char *params = xasprintf("{\"plan\":%s}", plan);
    json_t *doc = call(c, WIRE_plans_propose, params);
    free(params);
    return doc;
}

static char *about(const json_t *plan, const char *more)
{
    return xasprintf("{\"id\":\"%s\",\"hash\":\"%s\"%s}", json_str(plan, "id", ""),
                     json_str(plan, "hash", ""), more);
}

static char *just_id(const json_t *plan, const char *more)
{
    return xasprintf("{\"id\":\"%s\"%s}", json_str(plan, "id", ""), more);
}

static void call_plan(struct console *c, enum wire_method m, const json_t *plan, const char *more)
{
    char *params = m == WIRE_plans_approve ? about(plan, more) : just_id(plan, more);
    json_decref(call(c, m, params));
    free(params);
}

static enum err refused_plan(struct console *c, enum wire_method m, const json_t *plan,
                             const char *more)
{
    char *params = m == WIRE_plans_approve ? about(plan, more) : just_id(plan, more);
    enum err code = refused(c, m, params, NULL);
    free(params);
    return code;
}

/* The plan when it is in that state. */
static json_t *until(struct console *c, const json_t *plan, const char *state)
{
    char *params = just_id(plan, "");
    for (int i = 0; i < 1000; i++) {
        json_t *now = call(c, WIRE_plans_get, params);
        if (strcmp(json_str(now, "state", ""), state) == 0) {
            free(params);
            return now;
        }
        if (i == 999)
            print_error("%s: %s\n", json_str(now, "state", ""), json_str(now, "why", ""));
        json_decref(now);
        usleep(10000);
    }
    fail_msg("it did not become %s", state);
    return NULL;
}

static const char *step_str(const json_t *plan, size_t step, const char *key)
{
    return json_str(json_array_get(json_object_get(plan, "steps"), step), key, "");
}

static size_t lines(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static void expect_calls(const struct world *w, const char *want)
{
    char *calls = read_text(w->values, "calls");
    assert_string_equal(calls, want);
    free(calls);
}

static void intact(struct console *c)
{
    json_t *report = call(c, WIRE_evidence_verify, "{\"wait\":true}"),
           *audit = call(c, WIRE_evidence_lineage, "{\"audit\":true}");
    assert_true(json_flag(report, "ok", false));
    if (!json_flag(audit, "ok", false))
        print_error("%s\n", json_dumps(audit, JSON_INDENT(1)));
    assert_true(json_flag(audit, "ok", false));
    json_decref(report);
    json_decref(audit);
}

/* ---- */

static void test_runs_what_was_approved(void **state)
{
    (void)state;
    struct world w = world_new("");
    world_start(&w, NULL);
    json_t *plan = propose(&w.c, LOW);
    assert_string_equal(json_str(plan, "risk", ""), "low");
    assert_int_equal(json_int(plan, "needed", 0), 1);
    assert_int_equal(refused_plan(&w.c, WIRE_plans_run, plan, ""), ERR_INVALID); /* A2 */
    call_plan(&w.c, WIRE_plans_approve, plan, "");
    expect_calls(&w, "");
    call_plan(&w.c, WIRE_plans_run, plan, "");
    json_t *done = until(&w.c, plan, "done");
    assert_string_equal(step_str(done, 0, "state"), "done");
    assert_true(json_flag(json_array_get(json_object_get(done, "steps"), 0), "verified", false));
    expect_calls(&w, "set a 1\n");
    assert_int_equal(refused_plan(&w.c, WIRE_plans_run, plan, ""), ERR_INVALID);
    assert_int_equal(refused_plan(&w.c, WIRE_plans_approve, plan, ""), ERR_INVALID);
    intact(&w.c);
    json_decref(plan);
    json_decref(done);
    console_stop(&w.c, true);
    world_free(&w);
}

static void test_refuses(void **state)
{
    (void)state;
    struct world w = world_new("[connector \"other\"]\nkind = mcp-stdio\nread_tools = get\n"
                               "command = python3 tests/peers/acting_server.py /tmp\n");
    world_start(&w, NULL);
    static const struct {
        const char *plan;
        enum err code;
    } bad[] = {
        {"{}", ERR_INVALID},
        {PLAN(""), ERR_INVALID},
        {PLAN(SET("a", "1", "") ",\"surprise\":1}"), ERR_INVALID},
        {PLAN(SET("a", "1", ",\"fail\":3") "}"), ERR_INVALID}, /* the tool's schema */
        {PLAN("{\"connector\":\"box\",\"tool\":\"none\",\"expect\":\"x\"}"), ERR_NOT_FOUND},
        {PLAN("{\"connector\":\"nobody\",\"tool\":\"set\",\"expect\":\"x\"}"), ERR_NOT_FOUND},
        /* only what reads verifies */
        {PLAN(SET("a", "1", "") ",\"verify\":{\"connector\":\"box\",\"tool\":\"drop\","
                                "\"arguments\":{\"key\":\"a\"},\"check\":{\"op\":\"exists\"}}}"),
         ERR_INVALID},
        {PLAN(SET("a", "1", "") ",\"verify\":{\"connector\":\"box\",\"tool\":\"get\","
                                "\"arguments\":{\"key\":\"a\"},\"check\":{\"op\":\"~\"}}}"),
         ERR_INVALID},
        /* several targets, and the first is not verified */
        {PLAN(SET("a", "1", "") ",\"target\":\"x\"}," SET("b", "1", "") ",\"target\":\"y\"}"),
         ERR_INVALID},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *params = xasprintf("{\"plan\":%s}", bad[i].plan), detail[256];
        enum err code = refused(&w.c, WIRE_plans_propose, params, detail);
        if (code != bad[i].code)
            print_error("%zu: %s\n", i, detail);
        assert_int_equal(code, bad[i].code);
        free(params);
    }
    console_stop(&w.c, true);
    world_free(&w);
}

static void test_rolls_back(void **state)
{
    (void)state;
    struct world w = world_new("");
    world_start(&w, NULL);
    /* the second one is refused by the tool: it and the first are undone, the last first */
    json_t *plan =
        propose(&w.c, PLAN(SET("a", "1", "") "," GET("a", "1") "," DROP("a") "}," SET(
                          "b", "2", ",\"fail\":true") "," GET("b", "2") "," DROP("b") "}"));
    call_plan(&w.c, WIRE_plans_approve, plan, "");
    call_plan(&w.c, WIRE_plans_run, plan, "");
    json_t *end = until(&w.c, plan, "failed");
    assert_string_equal(step_str(end, 0, "state"), "undone");
    assert_string_equal(step_str(end, 1, "undo"), "done");
    assert_true(json_flag(end, "undone", false));
    expect_calls(&w, "set a 1\nset b 2\ndrop b\ndrop a\n");
    json_decref(plan);
    json_decref(end);
    /* a verification that never holds, and a plan that only stops */
    plan =
        propose(&w.c, "{\"title\":\"t\",\"reason\":\"r\",\"on_failure\":\"stop\",\"steps\":[" SET(
                          "c", "3", "") "," GET("c", "4") "," DROP("c") "}]}");
    call_plan(&w.c, WIRE_plans_approve, plan, "");
    call_plan(&w.c, WIRE_plans_run, plan, "");
    end = until(&w.c, plan, "failed");
    assert_string_equal(step_str(end, 0, "state"), "failed");
    assert_string_equal(step_str(end, 0, "observed"), "3");
    expect_calls(&w, "set a 1\nset b 2\ndrop b\ndrop a\nset c 3\n");
    intact(&w.c);
    json_decref(plan);
    json_decref(end);
    console_stop(&w.c, true);
    world_free(&w);
}

static char *signed_by(const unsigned char secret[64], const json_t *plan)
{
    unsigned char signature[64];
    char text[VAULT_BASE64(64)];
    const char *statement = json_str(plan, "statement", "");
    crypto_sign_detached(signature, NULL, (const unsigned char *)statement, strlen(statement),
                         secret);
    vault_base64(signature, sizeof signature, text);
    return xstrdup(text);
}

static void test_two_persons(void **state)
{
    (void)state;
    unsigned char public[32], secret[64];
    char key[VAULT_BASE64(32)];
    assert_true(sodium_init() >= 0);
    crypto_sign_keypair(public, secret);
    vault_base64(public, sizeof public, key);
    char *more = xasprintf("[person \"anna\"]\npublic_key = %s\n", key);
    struct world w = world_new(more);
    free(more);
    world_start(&w, NULL);
    /* dropping cannot be undone, is not verified and says that it destroys: high */
    json_t *plan = propose(&w.c, PLAN("{\"connector\":\"box\",\"tool\":\"drop\",\"arguments\":"
                                      "{\"key\":\"a\"},\"expect\":\"a is gone\"}"));
    assert_string_equal(json_str(plan, "risk", ""), "high");
    assert_int_equal(json_int(plan, "needed", 0), 2);
    call_plan(&w.c, WIRE_plans_approve, plan, "");
    /* another session and another name are the same person */
    struct error e = {0};
    struct busc *second = busc_new(w.c.address, "second", NULL, &e), *first = w.c.bus;
    w.c.bus = second;
    assert_int_equal(refused_plan(&w.c, WIRE_plans_approve, plan, ",\"name\":\"somebody else\""),
                     ERR_DENIED);
    char *signature = signed_by(secret, plan);
    char *by_key = xasprintf(",\"person\":\"anna\",\"signature\":\"%s\"", signature);
    char *wrong = xasprintf(",\"person\":\"boris\",\"signature\":\"%s\"", signature);
    assert_int_equal(refused_plan(&w.c, WIRE_plans_approve, plan, wrong), ERR_DENIED);
    assert_int_equal(refused_plan(&w.c, WIRE_plans_approve, plan, ",\"person\":\"anna\""),
                     ERR_DENIED);
    assert_int_equal(refused_plan(&w.c, WIRE_plans_run, plan, ""), ERR_INVALID);
    /* the signature is of this plan and no other (A1) */
    json_t *other = propose(&w.c, PLAN("{\"connector\":\"box\",\"tool\":\"drop\",\"arguments\":"
                                       "{\"key\":\"b\"},\"expect\":\"b is gone\"}"));
    assert_int_equal(refused_plan(&w.c, WIRE_plans_approve, other, by_key), ERR_DENIED);
    call_plan(&w.c, WIRE_plans_approve, plan, by_key);
    call_plan(&w.c, WIRE_plans_run, plan, "");
    json_decref(until(&w.c, plan, "done"));
    expect_calls(&w, "drop a\n");
    call_plan(&w.c, WIRE_plans_reject, other, ",\"reason\":\"not now\"");
    assert_int_equal(refused_plan(&w.c, WIRE_plans_approve, other, ""), ERR_INVALID);
    intact(&w.c);
    w.c.bus = first;
    busc_free(second);
    free(signature);
    free(by_key);
    free(wrong);
    json_decref(plan);
    json_decref(other);
    console_stop(&w.c, true);
    world_free(&w);
}

static void test_levels(void **state)
{
    (void)state;
    struct world w = world_new("");
    char *text = read_text(w.values, "test.conf"), *level = strstr(text, "level = execute");
    memcpy(level, "level=recommend", strlen("level=recommend"));
    write_file(w.config, text);
    free(text);
    world_start(&w, NULL);
    json_t *plan = propose(&w.c, LOW);
    assert_int_equal(refused_plan(&w.c, WIRE_plans_approve, plan, ""), ERR_DENIED);
    assert_int_equal(refused_plan(&w.c, WIRE_plans_run, plan, ""), ERR_DENIED);
    call_plan(&w.c, WIRE_plans_stop, plan, "");
    json_decref(until(&w.c, plan, "withdrawn"));
    json_decref(plan);
    console_stop(&w.c, true);
    world_start(&w, "reviewer");
    assert_int_equal(refused(&w.c, WIRE_plans_propose, "{\"plan\":" LOW "}", NULL), ERR_DENIED);
    json_t *list = call(&w.c, WIRE_plans_list, NULL);
    assert_int_equal(json_array_size(json_object_get(list, "plans")), 1);
    json_decref(list);
    console_stop(&w.c, true);
    world_free(&w);
}

static void test_changed_definition(void **state)
{
    (void)state;
    struct world w = world_new("");
    world_start(&w, NULL);
    json_t *plan = propose(&w.c, LOW);
    call_plan(&w.c, WIRE_plans_approve, plan, "");
    char *word = xasprintf("%s/word", w.values);
    write_file(word, " does something else now");
    json_decref(call(&w.c, WIRE_connectors_restart, "{\"name\":\"box\"}"));
    for (int i = 0; i < 500; i++) {
        json_t *row = call(&w.c, WIRE_connectors_get, "{\"name\":\"box\"}");
        bool up = strcmp(json_str(row, "state", ""), "ok") == 0 && json_int(row, "restarts", 0) > 0;
        json_decref(row);
        if (up)
            break;
        usleep(10000);
    }
    assert_int_equal(refused_plan(&w.c, WIRE_plans_run, plan, ""), ERR_DENIED);
    expect_calls(&w, "");
    free(word);
    json_decref(plan);
    console_stop(&w.c, true);
    world_free(&w);
}

/* Waits until the server has begun the nth call that it was asked for. */
static void until_called(const struct world *w, size_t nth)
{
    for (int i = 0; i < 300; i++) {
        char *calls = read_text(w->values, "calls");
        bool begun = lines(calls) >= nth;
        free(calls);
        if (begun)
            return;
        usleep(10000);
    }
    fail_msg("it was not called");
}

static void test_stop_and_resolve(void **state)
{
    (void)state;
    struct world w = world_new("");
    world_start(&w, NULL);
    json_t *plan =
        propose(&w.c, PLAN(SET("a", "1", ",\"ms\":700") "," GET("a", "1") "," DROP("a") "}," SET(
                          "b", "2", "") "," GET("b", "2") "," DROP("b") "}"));
    call_plan(&w.c, WIRE_plans_approve, plan, "");
    call_plan(&w.c, WIRE_plans_run, plan, "");
    until_called(&w, 1);
    call_plan(&w.c, WIRE_plans_stop, plan, ",\"reason\":\"enough\"");
    json_t *now = until(&w.c, plan, "unknown");
    assert_string_equal(step_str(now, 0, "state"), "unknown"); /* A4 */
    json_decref(now);
    assert_int_equal(refused_plan(&w.c, WIRE_plans_run, plan, ""), ERR_INVALID);
    usleep(800000); /* the server did it all the same */
    call_plan(&w.c, WIRE_plans_resolve, plan, ",\"outcome\":\"verify\",\"step\":0");
    now = until(&w.c, plan, "stopped");
    assert_string_equal(step_str(now, 0, "state"), "done");
    json_decref(now);
    call_plan(&w.c, WIRE_plans_run, plan, "");
    json_decref(until(&w.c, plan, "done"));
    json_decref(plan);
    /* where nothing is left to do only the end is written */
    plan = propose(&w.c, PLAN(SET("c", "3", ",\"ms\":500") "," GET("c", "3") "," DROP("c") "}"));
    call_plan(&w.c, WIRE_plans_approve, plan, "");
    call_plan(&w.c, WIRE_plans_run, plan, "");
    until_called(&w, 3);
    call_plan(&w.c, WIRE_plans_stop, plan, "");
    json_decref(until(&w.c, plan, "unknown"));
    call_plan(&w.c, WIRE_plans_resolve, plan, ",\"outcome\":\"done\",\"step\":0");
    call_plan(&w.c, WIRE_plans_run, plan, "");
    json_decref(until(&w.c, plan, "done"));
    expect_calls(&w, "set a 1\nset b 2\nset c 3\n");
    intact(&w.c);
    json_decref(plan);
    console_stop(&w.c, true);
    world_free(&w);
}

static void test_restart_replays(void **state)
{
    (void)state;
    struct world w = world_new("");
    world_start(&w, NULL);
    json_t *plan = propose(&w.c, LOW), *approved = propose(&w.c, LOW);
    call_plan(&w.c, WIRE_plans_approve, approved, "");
    console_stop(&w.c, true);
    world_start(&w, NULL);
    json_decref(until(&w.c, plan, "proposed")); /* A5 */
    json_decref(until(&w.c, approved, "approved"));
    call_plan(&w.c, WIRE_plans_run, approved, "");
    json_decref(until(&w.c, approved, "done"));
    console_stop(&w.c, true);
    world_start(&w, NULL);
    json_decref(until(&w.c, approved, "done"));
    expect_calls(&w, "set a 1\n");
    json_decref(plan);
    json_decref(approved);
    console_stop(&w.c, true);
    world_free(&w);
}

static bool killed(struct console *c)
{
    json_t *status = call(c, WIRE_kill_status, NULL);
    bool on = json_flag(status, "on", false);
    json_decref(status);
    return on;
}

/* Stops a plan in the middle of a call: the child is ended before it wrote. */
static json_t *kill_running(struct world *w)
{
    json_t *plan =
        propose(&w->c, PLAN(SET("a", "1", ",\"ms\":3000") "," GET("a", "1") "," DROP("a") "}"));
    call_plan(&w->c, WIRE_plans_approve, plan, "");
    call_plan(&w->c, WIRE_plans_run, plan, "");
    until_called(w, 1);
    json_decref(call(&w->c, WIRE_kill_set, "{\"reason\":\"smoke\"}"));
    json_decref(until(&w->c, plan, "unknown"));
    usleep(100000);
    char *value = read_text(w->values, "value-a"), *file = read_text(w->dir, "KILL");
    assert_string_equal(value, "");
    assert_string_equal(file, "smoke\n");
    free(value);
    free(file);
    return plan;
}

static void test_kill(void **state)
{
    (void)state;
    struct world w = world_new("");
    world_start(&w, NULL);
    json_t *plan = kill_running(&w);
    console_stop(&w.c, true);
    world_start(&w, NULL);
    assert_true(killed(&w.c)); /* over a restart */
    json_t *other = propose(&w.c, LOW);
    call_plan(&w.c, WIRE_plans_approve, other, "");
    assert_int_equal(refused_plan(&w.c, WIRE_plans_run, other, ""), ERR_DENIED);
    /* removing the file by hand lifts nothing */
    char *path = xasprintf("%s/KILL", w.dir);
    assert_int_equal(unlink(path), 0);
    for (int i = 0; i < 300 && access(path, F_OK) != 0; i++)
        usleep(10000);
    assert_int_equal(access(path, F_OK), 0);
    assert_true(killed(&w.c));
    json_decref(call(&w.c, WIRE_kill_clear, "{\"reason\":\"it was steam\"}"));
    assert_false(killed(&w.c));
    assert_int_not_equal(access(path, F_OK), 0);
    call_plan(&w.c, WIRE_plans_run, other, "");
    json_decref(until(&w.c, other, "done"));
    /* the file alone does it, without the bus */
    write_file(path, "by hand\n");
    for (int i = 0; i < 300 && !killed(&w.c); i++)
        usleep(10000);
    assert_true(killed(&w.c));
    size_t logged = 0;
    for (int i = 0; i < 300 && logged < 3; i++) { /* it acts first and logs then */
        json_t *entries = call(&w.c, WIRE_evidence_list, "{\"type\":\"kill\"}");
        logged = json_array_size(json_object_get(entries, "entries"));
        json_decref(entries);
        usleep(10000);
    }
    assert_int_equal(logged, 3);
    intact(&w.c);
    free(path);
    json_decref(plan);
    json_decref(other);
    console_stop(&w.c, true);
    world_free(&w);
}

static void test_checks(void **state)
{
    (void)state;
    static const struct {
        const char *check, *value;
        bool holds;
    } rows[] = {
        {"{\"pointer\":\"/a/1\",\"op\":\"==\",\"value\":2}", "{\"a\":[1,2]}", true},
        {"{\"pointer\":\"/a/1\",\"op\":\"==\",\"value\":2.0}", "{\"a\":[1,2]}", true},
        {"{\"pointer\":\"/a/01\",\"op\":\"exists\"}", "{\"a\":[1,2]}", false},
        {"{\"pointer\":\"/a~1b/~0\",\"op\":\"==\",\"value\":\"x\"}", "{\"a/b\":{\"~\":\"x\"}}",
         true},
        {"{\"pointer\":\"/n\",\"op\":\"<\",\"value\":5}", "{\"n\":\"4\"}", false},
        {"{\"pointer\":\"/n\",\"op\":\"<=\",\"value\":5}", "{\"n\":5}", true},
        {"{\"pointer\":\"/n\",\"op\":\">\",\"value\":5}", "{\"n\":5}", false},
        {"{\"pointer\":\"/x\",\"op\":\"!=\",\"value\":1}", "{}", false},
        {"{\"pointer\":\"/x\",\"op\":\"absent\"}", "{}", true},
        {"{\"pointer\":\"\",\"op\":\"contains\",\"value\":\"ok\"}", "\"all ok\"", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *check = json_loads(rows[i].check, 0, NULL),
               *value = json_loads(rows[i].value, JSON_DECODE_ANY, NULL), *seen;
        if (plans_check(check, value, &seen) != rows[i].holds)
            fail_msg("row %zu", i);
        json_decref(check);
        json_decref(value);
        json_decref(seen);
    }
}

static void test_canary(void **state)
{
    (void)state;
    struct world w = world_new("");
    world_start(&w, NULL);
    /* the first target fails its verification: the others are never touched */
    json_t *plan = propose(
        &w.c, PLAN(SET("a", "1", "") ",\"target\":\"one\"," GET("a", "2") "," DROP("a") "}," SET(
                  "b", "1", "") ",\"target\":\"two\"," GET("b", "1") "," DROP("b") "}"));
    call_plan(&w.c, WIRE_plans_approve, plan, "");
    call_plan(&w.c, WIRE_plans_run, plan, "");
    json_t *end = until(&w.c, plan, "failed");
    assert_string_equal(step_str(end, 1, "state"), "waiting");
    expect_calls(&w, "set a 1\ndrop a\n");
    char *calls = read_text(w.values, "calls");
    assert_int_equal(lines(calls), 2);
    free(calls);
    json_decref(end);
    json_decref(plan);
    console_stop(&w.c, true);
    world_free(&w);
}

/* What a rollback takes from the result of its step, also over a restart (A5). */
static void test_takes_from_results(void **state)
{
    (void)state;
    static const char TAKE[] = "{\"connector\":\"box\",\"tool\":\"enable_backup\",\"arguments\":"
                               "{\"key\":\"a\"},\"expect\":\"x\",\"rollback\":{\"connector\":"
                               "\"box\",\"tool\":\"drop\",\"take\":{\"%s\":\"%s\"}}}";
    static const char *const BAD[][2] = {{"none", "/backup"}, {"key", "backup"}, {"key", ""}};
    struct world w = world_new("");
    world_start(&w, NULL);
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        char *step = xasprintf(TAKE, BAD[i][0], BAD[i][1]);
        char *params = xasprintf("{\"plan\":" PLAN("%s") "}", step);
        assert_int_equal(refused(&w.c, WIRE_plans_propose, params, NULL), ERR_INVALID);
        free(params);
        free(step);
    }
    char *good = xasprintf(TAKE, "key", "/backup"), *gone = xasprintf(TAKE, "key", "/nothing");
    char *text = xasprintf(PLAN("%s," SET("b", "2", ",\"fail\":true") "}"), good);
    json_t *plan = propose(&w.c, text);
    call_plan(&w.c, WIRE_plans_approve, plan, "");
    call_plan(&w.c, WIRE_plans_run, plan, "");
    json_t *end = until(&w.c, plan, "failed");
    expect_calls(&w, "enable_backup a\nset b 2\ndrop backup-a\n");
    assert_string_equal(step_str(end, 0, "state"), "undone");
    json_decref(end);
    console_stop(&w.c, true);
    world_start(&w, NULL);
    end = until(&w.c, plan, "failed");
    const json_t *taken =
        json_object_get(json_array_get(json_object_get(end, "steps"), 0), "taken");
    assert_string_equal(json_str(taken, "/backup", ""), "backup-a");
    json_decref(end);
    json_decref(plan);
    free(text);
    /* what the result does not have is not made up */
    text = xasprintf(PLAN("%s," SET("b", "2", ",\"fail\":true") "}"), gone);
    plan = propose(&w.c, text);
    call_plan(&w.c, WIRE_plans_approve, plan, "");
    call_plan(&w.c, WIRE_plans_run, plan, "");
    end = until(&w.c, plan, "failed");
    assert_string_equal(step_str(end, 0, "undo"), "failed");
    assert_non_null(strstr(step_str(end, 0, "undo_text"), "nothing at /nothing"));
    json_decref(end);
    json_decref(plan);
    free(text);
    free(good);
    free(gone);
    intact(&w.c);
    console_stop(&w.c, true);
    world_free(&w);
}

/* The whole of what a call answered stands in its entry, also where that is large (made ready on a
 * worker); the plan has a short text. */
static void test_whole_results(void **state)
{
    enum { LARGE = 80000 };
    (void)state;
    struct world w = world_new("");
    world_start(&w, NULL);
    char *value = xcalloc(1, LARGE + 1);
    memset(value, 'x', LARGE);
    char *step = xasprintf("{\"connector\":\"box\",\"tool\":\"set\",\"arguments\":{\"key\":\"a\","
                           "\"value\":\"%s\"},\"expect\":\"x\",\"verify\":{\"connector\":\"box\","
                           "\"tool\":\"get\",\"arguments\":{\"key\":\"a\"},\"check\":{\"pointer\":"
                           "\"/value\",\"op\":\"exists\"}}}",
                           value);
    char *text = xasprintf(PLAN("%s"), step);
    json_t *plan = propose(&w.c, text);
    call_plan(&w.c, WIRE_plans_approve, plan, "");
    call_plan(&w.c, WIRE_plans_run, plan, "");
    json_t *done = until(&w.c, plan, "done");
    assert_true(strlen(step_str(done, 0, "text")) < 4097);
    bool whole = false, result = false;
    const json_t *seq;
    size_t i;
    json_array_foreach(json_object_get(done, "entries"), i, seq)
    {
        char *params =
            xasprintf("{\"seq\":%lld,\"payload\":true}", (long long)json_integer_value(seq));
        json_t *entry = call(&w.c, WIRE_evidence_get, params);
        const json_t *payload = json_object_get(entry, "payload");
        const char *what = json_str(payload, "what", "");
        if (strcmp(what, "verify") == 0)
            whole = strcmp(json_str(json_object_get(payload, "data"), "value", ""), value) == 0;
        if (strcmp(what, "result") == 0)
            result = strcmp(json_str(payload, "text", ""), "set") == 0;
        free(params);
        json_decref(entry);
    }
    assert_true(whole);
    assert_true(result);
    json_decref(done);
    json_decref(plan);
    free(text);
    free(step);
    free(value);
    intact(&w.c);
    console_stop(&w.c, true);
    world_free(&w);
}

/* A preview that is too old is made anew when somebody who may approve opens the plan. */
static void test_previews_again(void **state)
{
    (void)state;
    struct world w = world_new("");
    world_start(&w, NULL);
    json_t *plan = propose(
        &w.c, PLAN(SET("a", "9", "") ",\"preview\":{\"connector\":\"box\",\"tool\":\"get\","
                                     "\"arguments\":{\"key\":\"a\"},\"pointer\":\"/value\"}}"));
    json_t *other = propose(&w.c, PLAN(SET("a", "7", "") "}"));
    call_plan(&w.c, WIRE_plans_approve, other, "");
    call_plan(&w.c, WIRE_plans_run, other, "");
    json_decref(until(&w.c, other, "done"));
    bool seen = false;
    for (int i = 0; i < 1000 && !seen; i++) {
        json_t *now = until(&w.c, plan, "proposed");
        seen = strcmp(step_str(now, 0, "before"), "7") == 0;
        json_decref(now);
    }
    assert_true(seen);
    call_plan(&w.c, WIRE_plans_approve, plan, ""); /* one that is under way delays nothing */
    call_plan(&w.c, WIRE_plans_run, plan, "");
    json_decref(until(&w.c, plan, "done"));
    expect_calls(&w, "set a 7\nset a 9\n");
    json_decref(plan);
    json_decref(other);
    intact(&w.c);
    console_stop(&w.c, true);
    world_free(&w);
}

static void expect_part(struct console *c, const json_t *plan, const char *part, const char *tool,
                        const char *arguments)
{
    json_t *whole = until(c, plan, "proposed");
    const json_t *step = json_array_get(json_object_get(whole, "steps"), 0),
                 *made = json_object_get(step, part);
    char *have = json_dumps(json_object_get(made, "arguments"), JSON_COMPACT);
    assert_string_equal(json_str(made, "tool", ""), tool);
    assert_string_equal(have, arguments);
    free(have);
    json_decref(whole);
}

static void test_copilot_proposes(void **state)
{
    (void)state;
    struct world w = world_new("");
    world_start(&w, NULL);
    json_t *trace = ask(&w.c, "set a value: Colour to \"Colour\" and blue-1");
    assert_non_null(strstr(json_str(trace, "answer", ""), "plan was proposed"));
    json_t *list = call(&w.c, WIRE_plans_list, NULL);
    const json_t *plan = json_array_get(json_object_get(list, "plans"), 0);
    assert_string_equal(json_str(plan, "state", ""), "proposed");
    assert_string_equal(json_str(plan, "from", ""), "copilot");
    assert_string_equal(step_str(plan, 0, "tool"), "set");
    expect_calls(&w, ""); /* it never acts */
    /* after.def: set is seen by get; nothing undoes it, because nobody knows what was there */
    expect_part(&w.c, plan, "verify", "get", "{\"key\":\"Colour\"}");
    json_decref(trace);
    json_decref(list);
    trace = ask(&w.c, "enable a backup of \"Orders\"");
    list = call(&w.c, WIRE_plans_list, NULL);
    plan = json_array_get(json_object_get(list, "plans"), 0);
    assert_string_equal(step_str(plan, 0, "tool"), "enable_backup");
    expect_part(&w.c, plan, "verify", "show_backup", "{\"key\":\"Orders\"}");
    expect_part(&w.c, plan, "rollback", "disable_backup", "{\"key\":\"Orders\"}");
    json_decref(trace);
    json_decref(list);
    /* a question about it is none that asks for it */
    trace = ask(&w.c, "how do I set a value?");
    assert_null(strstr(json_str(trace, "answer", ""), "plan was proposed"));
    json_decref(trace);
    intact(&w.c);
    console_stop(&w.c, true);
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checks),
        cmocka_unit_test(test_runs_what_was_approved),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_rolls_back),
        cmocka_unit_test(test_canary),
        cmocka_unit_test(test_two_persons),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_changed_definition),
        cmocka_unit_test(test_stop_and_resolve),
        cmocka_unit_test(test_restart_replays),
        cmocka_unit_test(test_kill),
        cmocka_unit_test(test_takes_from_results),
        cmocka_unit_test(test_whole_results),
        cmocka_unit_test(test_previews_again),
        cmocka_unit_test(test_copilot_proposes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
