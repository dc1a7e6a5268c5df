/* The retention job, acts, holds and roles, over the bus: J1..J3 of backend/retention.c. */
#include "tests/unit/console_harness.h"
#include <sys/syscall.h>
#include <time.h>

static int64_t clock_off_days; /* read by all threads, atomically */

/* The machine's clock, set wrong for this program's own code, not for the libraries that wait by
 * it. Stands in front of the C library's function. */
extern const char __executable_start, etext;
int clock_gettime(clockid_t id, struct timespec *ts)
{
    const char *caller = __builtin_return_address(0);
    long rc = syscall(SYS_clock_gettime, id, ts);
    if (id == CLOCK_REALTIME && caller >= &__executable_start && caller < &etext)
        ts->tv_sec += (time_t)(__atomic_load_n(&clock_off_days, __ATOMIC_RELAXED) * 86400);
    return (int)rc;
}

static void set_days(int64_t days)
{
    __atomic_store_n(&clock_off_days, days, __ATOMIC_RELAXED);
}

static char *config_in(const char *dir, const char *text)
{
    char *path = xasprintf("%s/test.conf", dir);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return path;
}

static const char CONFIG[] = "[retention]\ndialogue_days = 5\ntelemetry_days = 5\n"
                             "operation_days = 0\n[operator]\nname = Example\naddress = Somewhere\n"
                             "responsible = A. Person\nposition = keeper\n";

static json_t *trace_of(struct console *c, const json_t *trace)
{
    char *params = xasprintf("{\"trace_id\": \"%s\"}", json_str(trace, "trace_id", ""));
    json_t *now = call(c, WIRE_traces_get, params);
    free(params);
    return now;
}

static int64_t erased(struct console *c, enum wire_method m, const char *params)
{
    json_t *report = call(c, m, params);
    int64_t n = json_int(report, "erased", -1);
    json_decref(report);
    return n;
}

static char *read_act(const char *dir, const char *act, const char *ending)
{
    char *path = xasprintf("%s/retention/acts/%s.%s", dir, act, ending);
    struct buf text = {0};
    char part[4096];
    size_t n;
    FILE *f = fopen(path, "re");
    while (f && (n = fread(part, 1, sizeof part, f)) > 0)
        buf_add(&text, part, n);
    if (f)
        fclose(f);
    free(path);
    return buf_take(&text);
}

/* J1, J2: what is over its time goes, with its texts in the trace; the act is there and complete.
 */
static void the_job_erases_and_writes_an_act(void **state)
{
    (void)state;
    char *dir = new_dir(), *conf = config_in(dir, CONFIG);
    set_days(0);
    struct console c = console_start(dir, conf, "operator");
    json_t *trace = ask(&c, "is the disk filling up?");
    assert_int_equal(erased(&c, WIRE_retention_run, "{}"), 0);
    set_days(6);
    assert_true(erased(&c, WIRE_retention_run, "{\"dry_run\": true}") > 5);
    json_t *report = call(&c, WIRE_retention_run, "{}");
    const char *act = json_str(report, "act", "");
    assert_true(json_int(report, "erased", 0) > 5);
    assert_true(json_int(report, "act_entry", -1) > json_int(report, "request", -1));
    assert_int_equal(json_array_size(json_object_get(report, "missing")), 0);
    char *text = read_act(dir, act, "txt"), *document = read_act(dir, act, "json");
    assert_non_null(strstr(text, "A. Person"));
    assert_non_null(strstr(document, "\"missing\": []"));
    json_t *now = trace_of(&c, trace);
    assert_string_equal(json_str(now, "question", ""), "[erased]");
    assert_string_equal(json_str(now, "answer", ""), "[erased]");
    assert_string_equal(json_str(json_array_get(json_object_get(now, "sources"), 0), "text", ""),
                        "[erased]");
    assert_true(json_is_object(json_object_get(now, "verdict"))); /* its figures stay */
    json_t *verified = call(&c, WIRE_evidence_verify, "{\"wait\": true}");
    assert_true(json_flag(verified, "ok", false));
    assert_int_equal(json_int(json_object_get(verified, "erased"), "count", -1),
                     json_int(report, "erased", 0));
    json_t *status = call(&c, WIRE_retention_status, NULL);
    assert_true(json_is_string(json_object_get(status, "last_run")));
    assert_int_equal(json_int(json_object_get(status, "acts"), "drafted", -1), 1);
    assert_int_equal(json_int(json_object_get(status, "acts"), "incomplete", -1), 0);
    json_decref(status);
    json_decref(verified);
    json_decref(now);
    json_decref(report);
    json_decref(trace);
    free(text);
    free(document);
    free(conf);
    console_stop(&c, false);
}

/* J1: a clock that jumps far ahead erases nothing until it is confirmed. */
static void a_jump_of_the_clock_erases_nothing(void **state)
{
    (void)state;
    char *dir = new_dir(), *conf = config_in(dir, CONFIG), detail[256];
    set_days(0);
    struct console c = console_start(dir, conf, "operator");
    json_decref(ask(&c, "is the disk filling up?"));
    json_decref(call(&c, WIRE_retention_status, NULL)); /* the clock is looked at */
    set_days(400);
    assert_int_equal(refused(&c, WIRE_retention_run, "{}", detail), ERR_INVALID);
    assert_non_null(strstr(detail, "400 days ahead"));
    json_t *status = call(&c, WIRE_retention_status, NULL);
    assert_false(json_flag(json_object_get(status, "clock"), "trusted", true));
    json_decref(status);
    console_stop(&c, true);
    c = console_start(dir, conf, "operator"); /* a restart makes the clock no better */
    assert_int_equal(refused(&c, WIRE_retention_run, "{}", NULL), ERR_INVALID);
    assert_true(erased(&c, WIRE_retention_run, "{\"confirm_clock\": true}") > 5);
    assert_int_equal(erased(&c, WIRE_retention_run, "{}"), 0);
    set_days(0);
    free(conf);
    console_stop(&c, false);
}

static bool flag_of(struct console *c, const char *name)
{
    json_t *status = call(c, WIRE_retention_status, NULL);
    bool on = json_flag(status, name, false);
    json_decref(status);
    return on;
}

/* J1: a clock that went back stops nothing: the job of a later day counts as not done. If it stays
 * behind, the time that was trusted follows it, so that it cannot jump there again. */
static void a_clock_that_goes_back_stops_nothing(void **state)
{
    (void)state;
    char *dir = new_dir(), *conf = config_in(dir, CONFIG);
    set_days(3650);
    struct console c = console_start(dir, conf, "operator");
    json_decref(ask(&c, "is the disk filling up?"));
    assert_int_equal(erased(&c, WIRE_retention_run, "{}"), 0);
    assert_false(flag_of(&c, "overdue"));
    set_days(0);
    assert_true(flag_of(&c, "overdue"));
    json_decref(ask(&c, "is the disk filling up?"));
    assert_int_equal(erased(&c, WIRE_retention_run, "{}"), 0);
    assert_false(flag_of(&c, "overdue"));
    set_days(3650); /* for a moment: nothing is lost yet by going forth */
    json_t *status = call(&c, WIRE_retention_status, NULL);
    assert_true(json_flag(json_object_get(status, "clock"), "trusted", false));
    json_decref(status);
    set_days(0);
    json_decref(call(&c, WIRE_retention_status, NULL));
    set_days(2); /* behind for more than a day */
    json_decref(call(&c, WIRE_retention_status, NULL));
    console_stop(&c, true);
    set_days(3652);
    c = console_start(dir, conf, "operator");
    assert_int_equal(refused(&c, WIRE_retention_run, "{}", NULL), ERR_INVALID);
    set_days(0);
    free(conf);
    console_stop(&c, false);
}

/* The job runs by itself when it is overdue, some seconds after the start. */
static void the_job_runs_by_itself(void **state)
{
    (void)state;
    char *dir = new_dir(), *conf = config_in(dir, CONFIG);
    set_days(0);
    struct console c = console_start(dir, conf, "operator");
    json_decref(ask(&c, "is the disk filling up?"));
    json_decref(call(&c, WIRE_retention_run, "{}"));
    console_stop(&c, true);
    set_days(7);
    c = console_start(dir, conf, "operator");
    json_t *status = call(&c, WIRE_retention_status, NULL);
    assert_true(json_flag(status, "overdue", false));
    uint64_t until = clock_mono_ms() + WAIT_MS;
    while (json_flag(status, "overdue", false)) {
        assert_true(clock_mono_ms() < until);
        json_decref(status);
        usleep(100000);
        status = call(&c, WIRE_retention_status, NULL);
    }
    assert_int_equal(json_int(json_object_get(status, "acts"), "drafted", -1), 1);
    json_decref(status);
    set_days(0);
    free(conf);
    console_stop(&c, false);
}

/* Roles and parameters; a hold over everything stops what an operator asks for. */
static void roles_and_holds(void **state)
{
    (void)state;
    char *dir = new_dir();
    set_days(0);
    struct console c = console_start(dir, NULL, "reviewer");
    assert_int_equal(refused(&c, WIRE_retention_run, "{}", NULL), ERR_DENIED);
    assert_int_equal(
        refused(&c, WIRE_retention_erase, "{\"first\": 0, \"last\": 1, \"reason\": \"x\"}", NULL),
        ERR_DENIED);
    assert_int_equal(refused(&c, WIRE_retention_hold, "{\"all\": true, \"reason\": \"x\"}", NULL),
                     ERR_DENIED);
    json_decref(call(&c, WIRE_retention_status, NULL));
    json_decref(call(&c, WIRE_retention_holds, NULL));
    json_decref(call(&c, WIRE_retention_acts, NULL));
    console_stop(&c, true);
    c = console_start(dir, NULL, "operator");
    static const char *const bad[] = {
        "{\"reason\": \"x\"}",
        "{\"trace\": \"nope\", \"reason\": \"x\"}",
        "{\"first\": 3, \"last\": 1, \"reason\": \"x\"}",
        "{\"subject\": \"ab\", \"reason\": \"x\"}",
        "{\"subject\": \"abc\"}",
        "{\"all\": true, \"reason\": \"x\"}",
        "{\"subject\": \"abc\", \"first\": 1, \"last\": 2, \"reason\": \"x\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(refused(&c, WIRE_retention_erase, bad[i], NULL), ERR_INVALID);
    json_decref(ask(&c, "is the disk filling up?"));
    json_t *hold = call(&c, WIRE_retention_hold, "{\"all\": true, \"reason\": \"a court asks\"}");
    assert_int_equal(
        erased(&c, WIRE_retention_erase, "{\"subject\": \"disk\", \"reason\": \"a test\"}"), 0);
    char *params = xasprintf("{\"id\": \"%s\", \"reason\": \"over\"}", json_str(hold, "id", ""));
    json_decref(call(&c, WIRE_retention_release, params));
    assert_int_equal(refused(&c, WIRE_retention_release, params, NULL), ERR_NOT_FOUND);
    assert_true(
        erased(&c, WIRE_retention_erase, "{\"subject\": \"disk\", \"reason\": \"a test\"}") > 2);
    assert_int_equal(refused(&c, WIRE_retention_acts, "{\"id\": \"none\"}", NULL), ERR_NOT_FOUND);
    free(params);
    json_decref(hold);
    console_stop(&c, false);
}

/* A console may stop while an erasure is under way; the next one takes it up. */
static void stopping_in_the_middle(void **state)
{
    (void)state;
    char *dir = new_dir();
    set_days(0);
    struct console c = console_start(dir, NULL, "operator");
    for (int i = 0; i < 3; i++)
        json_decref(ask(&c, "is the disk filling up?"));
    json_t *params = json_loads("{\"first\": 0, \"last\": 1000, \"reason\": \"a test\"}", 0, NULL);
    busc_call(c.bus, WIRE_retention_erase, params, NULL, NULL);
    usleep(3000);
    console_stop(&c, true);
    c = console_start(dir, NULL, "operator");
    json_t *verified = call(&c, WIRE_evidence_verify, "{\"wait\": true}");
    assert_true(json_flag(verified, "ok", false));
    json_decref(verified);
    console_stop(&c, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_job_erases_and_writes_an_act),
                                       cmocka_unit_test(a_jump_of_the_clock_erases_nothing),
                                       cmocka_unit_test(a_clock_that_goes_back_stops_nothing),
                                       cmocka_unit_test(the_job_runs_by_itself),
                                       cmocka_unit_test(roles_and_holds),
                                       cmocka_unit_test(stopping_in_the_middle)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
