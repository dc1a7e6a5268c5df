/* Stopping at every moment: a question, a tool called by hand and a verification are under way, and
 * the console stops 0 to 60 ms later (K3). Sanitizers do most of the asserting here. */
#include "tests/unit/console_harness.h"
#include <pthread.h>
#include <sqlite3.h>

static void begin_everything(struct console *c)
{
    json_t *question = json_object(), *tool = json_object(), *verify = json_object();
    json_puts(question, "text", "is the disk filling up, and does the log verify?");
    busc_call(c->bus, WIRE_chat_ask, question, NULL, NULL);
    json_puts(tool, "connector", "console");
    json_puts(tool, "tool", "evidence");
    busc_call(c->bus, WIRE_tools_call, tool, NULL, NULL);
    json_put(verify, "wait", json_true());
    busc_call(c->bus, WIRE_evidence_verify, verify, NULL, NULL);
}

static void log_verifies(struct console *c)
{
    json_t *report = call(c, WIRE_evidence_verify, "{\"wait\": true}");
    assert_true(json_flag(report, "ok", false));
    json_decref(report);
}

static void stops_at_every_moment_after_the_start(void **state)
{
    (void)state;
    char *dir = new_dir();
    for (unsigned ms = 0; ms <= 60; ms++) {
        struct console c = console_start(dir, NULL, "operator");
        begin_everything(&c);
        usleep(ms * 1000);
        console_stop(&c, true);
    }
    struct console c = console_start(dir, NULL, "operator");
    log_verifies(&c);
    console_stop(&c, false);
}

static void stops_at_every_moment_of_an_answer(void **state)
{
    (void)state;
    char *dir = new_dir();
    for (unsigned ms = 0; ms <= 60; ms += 2) {
        struct console c = console_start(dir, NULL, "operator");
        json_decref(call(&c, WIRE_status_get, NULL));
        begin_everything(&c);
        json_decref(call(&c, WIRE_session_ping, NULL)); /* sent, and taken by the backend */
        usleep(ms * 1000);
        console_stop(&c, true);
    }
    struct console c = console_start(dir, NULL, "operator");
    log_verifies(&c);
    console_stop(&c, false);
}

/* A disk that answers only after the console has given up waiting for it. */
static unsigned late_ms;
static void *commit_late(void *arg)
{
    usleep(late_ms * 1000);
    sqlite3_exec(arg, "COMMIT", NULL, NULL, NULL);
    return NULL;
}

static bool stop_on_a_slow_disk(unsigned ms)
{
    late_ms = ms;
    struct console c = console_start(new_dir(), NULL, "operator");
    json_decref(call(&c, WIRE_status_get, NULL));
    sqlite3 *db;
    char *path = xasprintf("%s/console.db", c.dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    usleep(100 * 1000); /* the writes of the start are over */
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    begin_everything(&c);
    json_decref(call(&c, WIRE_session_ping, NULL));
    usleep(20 * 1000);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, commit_late, db), 0);
    busc_free(c.bus);
    bool whole = backend_stop(c.backend);
    pthread_join(thread, NULL);
    sqlite3_close(db);
    free(path);
    free(c.address);
    usleep(300 * 1000); /* the backend's thread, if the stop did not wait for it */
    c = console_start(c.dir, NULL, "operator");
    log_verifies(&c);
    console_stop(&c, false);
    return whole;
}

static void writes_that_end_when_the_rooms_are_gone_find_nobody(void **state)
{
    (void)state;
    stop_on_a_slow_disk(170);
    /* and one that answers when nobody waits for the thread any more: who stopped it is told */
    assert_false(stop_on_a_slow_disk(700));
}

static void a_stop_right_behind_the_question_stops_it(void **state)
{
    (void)state;
    struct console c = console_start(new_dir(), NULL, "operator");
    json_decref(call(&c, WIRE_status_get, NULL));
    json_t *question = json_object();
    json_puts(question, "text", "why is this machine slow?");
    busc_call(c.bus, WIRE_chat_ask, question, NULL, NULL);
    json_t *result = call(&c, WIRE_chat_stop, NULL);
    assert_int_equal(json_int(result, "stopped", -1), 1);
    json_decref(result);
    json_t *again = call(&c, WIRE_chat_stop, NULL);
    assert_int_equal(json_int(again, "stopped", -1), 0);
    json_decref(again);
    uint64_t until = clock_mono_ms() + WAIT_MS;
    char trace_state[16] = "running";
    while (strcmp(trace_state, "running") == 0) {
        assert_true(clock_mono_ms() < until);
        usleep(2000);
        json_t *turns = call(&c, WIRE_chat_history, NULL);
        const json_t *turn = json_array_get(json_object_get(turns, "turns"), 0);
        snprintf(trace_state, sizeof trace_state, "%s", json_str(turn, "state", "running"));
        json_decref(turns);
    }
    assert_string_equal(trace_state, "stopped");
    console_stop(&c, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stops_at_every_moment_after_the_start),
        cmocka_unit_test(stops_at_every_moment_of_an_answer),
        cmocka_unit_test(writes_that_end_when_the_rooms_are_gone_find_nobody),
        cmocka_unit_test(a_stop_right_behind_the_question_stops_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
