/* The backend whole, over the bus, on a real state directory: a question becomes a logged answer
 * (O1..O4), roles hold, a failed start says why (K2), stopping is quick (K3). */
#include "backend/base/say.h"
#include "tests/unit/console_harness.h"
#include <netinet/in.h>
#include <poll.h>
#include <sqlite3.h>
#include <sys/socket.h>

static void question_is_answered_from_live_figures(void **state)
{
    (void)state;
    struct console c = console_start(new_dir(), NULL, "operator");
    json_t *trace = ask(&c, "is the disk filling up?");
    assert_string_equal(json_str(trace, "state", ""), "done");
    assert_non_null(strstr(json_str(trace, "answer", ""), "[1]"));
    assert_int_equal(json_array_size(json_object_get(trace, "candidates")), 2);
    bool disks = false;
    size_t i;
    json_t *source;
    json_array_foreach(json_object_get(trace, "sources"), i, source) disks =
        disks || strcmp(json_str(source, "ref", ""), "host/disks") == 0;
    assert_true(disks);
    const json_t *verdict = json_object_get(trace, "verdict");
    assert_true(*json_str(verdict, "winner", ""));
    char *reason = say_english(json_object_get(verdict, "reason_words"));
    assert_true(*reason);
    assert_string_equal(json_str(verdict, "reason", ""), reason);
    free(reason);
    /* every entry it names is in the log, and the log verifies */
    const json_t *entries = json_object_get(trace, "entries");
    assert_true(json_array_size(entries) >= 8);
    for (i = 0; i < json_array_size(entries); i++) {
        json_t *params = json_object();
        json_puti(params, "seq", json_integer_value(json_array_get(entries, i)));
        json_t *entry = busc_wait(c.bus, WIRE_evidence_get, params, WAIT_MS, NULL);
        assert_non_null(entry);
        assert_string_equal(json_str(entry, "trace_id", ""), json_str(trace, "trace_id", "?"));
        json_decref(entry);
    }
    json_t *report = call(&c, WIRE_evidence_verify, "{\"wait\": true}");
    assert_true(json_flag(report, "ok", false));
    json_decref(report);
    json_decref(trace);
    console_stop(&c, false);
}

static void russian_question_gets_a_russian_answer(void **state)
{
    (void)state;
    struct console c = console_start(new_dir(), NULL, "operator");
    json_t *trace = ask(&c, "что с диском?");
    assert_string_equal(json_str(trace, "state", ""), "done");
    assert_string_equal(json_str(trace, "lang", ""), "ru");
    assert_non_null(strstr(json_str(trace, "answer", ""), "аполнен"));
    json_decref(trace);
    console_stop(&c, false);
}

static void answer_and_ledger_survive_a_restart(void **state)
{
    (void)state;
    char *dir = new_dir();
    struct console c = console_start(dir, NULL, "operator");
    json_t *trace = ask(&c, "which process eats memory?");
    char *id = xstrdup(json_str(trace, "trace_id", "")),
         *answer = xstrdup(json_str(trace, "answer", ""));
    json_decref(trace);
    console_stop(&c, true);
    c = console_start(dir, NULL, "operator");
    json_t *turns = call(&c, WIRE_chat_history, NULL);
    json_t *turn = json_array_get(json_object_get(turns, "turns"), 0);
    assert_string_equal(json_str(turn, "trace_id", ""), id);
    assert_string_equal(json_str(turn, "answer", ""), answer);
    json_decref(turns);
    json_t *cost = call(&c, WIRE_cost_summary, NULL);
    assert_true(json_int(json_object_get(cost, "today"), "calls", 0) >= 2);
    json_decref(cost);
    json_t *report = call(&c, WIRE_evidence_verify, "{\"wait\": true}");
    assert_true(json_flag(report, "ok", false));
    json_decref(report);
    free(id);
    free(answer);
    console_stop(&c, false);
}

static void the_demo_role_reads_and_sees_no_texts(void **state)
{
    (void)state;
    char *dir = new_dir();
    struct console c = console_start(dir, NULL, "operator");
    json_decref(ask(&c, "is the disk filling up?"));
    console_stop(&c, true);
    c = console_start(dir, NULL, "demo");
    assert_int_equal(refused(&c, WIRE_chat_ask, "{\"text\": \"hello\"}", NULL), ERR_DENIED);
    json_t *turns = call(&c, WIRE_chat_history, NULL);
    json_t *turn = json_array_get(json_object_get(turns, "turns"), 0);
    assert_string_equal(json_str(turn, "question", ""), "withheld: role demo");
    json_t *id = json_pack("{s:s}", "trace_id", json_str(turn, "trace_id", ""));
    json_t *trace = busc_wait(c.bus, WIRE_traces_get, id, WAIT_MS, NULL);
    assert_non_null(json_object_get(trace, "grounding"));
    assert_null(json_object_get(json_object_get(trace, "grounding"), "sentences"));
    assert_null(json_object_get(json_object_get(trace, "grounding"), "conflicts"));
    for (size_t i = 0; i < json_array_size(json_object_get(trace, "nodes")); i++)
        assert_null(
            json_object_get(json_array_get(json_object_get(trace, "nodes"), i), "note_words"));
    assert_true(json_is_object(json_object_get(trace, "verdict")));
    assert_null(json_object_get(json_object_get(trace, "verdict"), "claims"));
    json_decref(trace);
    json_decref(turns);
    json_t *entry = call(&c, WIRE_evidence_get, "{\"seq\": 1, \"payload\": true}");
    assert_null(json_object_get(entry, "payload"));
    json_decref(entry);
    console_stop(&c, false);
}

struct audience {
    int turns, tokens;
    bool ended, leaked;
};

static void on_audience_event(void *arg, const char *type, int64_t at, const json_t *data)
{
    struct audience *a = arg;
    (void)at;
    a->tokens += strcmp(type, "token") == 0;
    if (strcmp(type, "turn") != 0)
        return;
    char *text = json_write(data);
    a->leaked = a->leaked || strstr(text, "filling up");
    free(text);
    a->turns++;
    a->ended = a->ended || strcmp(json_str(data, "state", ""), "running") != 0;
}

/* A text of a payload is found by those who may read payloads, and by nobody else. */
static void searching_tells_no_more_than_reading(void **state)
{
    static const char words[] = "{\"text\": \"IS THE DISK filling\"}";
    (void)state;
    char *dir = new_dir();
    struct console c = console_start(dir, NULL, "operator");
    json_decref(ask(&c, "is the disk filling up?"));
    json_t *found = call(&c, WIRE_evidence_search, words);
    assert_true(json_flag(found, "payloads", false));
    assert_true(json_flag(found, "done", false));
    const json_t *entries = json_object_get(found, "entries"),
                 *first = json_array_get(entries, json_array_size(entries) - 1);
    assert_string_equal(json_str(first, "type", ""), "question");
    assert_non_null(strstr(json_str(first, "match", ""), "is the disk filling"));
    json_decref(found);
    json_t *cited = call(&c, WIRE_evidence_search, "{\"control\": \"key-present\"}");
    assert_true(json_is_array(json_object_get(cited, "entries")));
    json_decref(cited);
    assert_int_equal(refused(&c, WIRE_evidence_search, "{\"control\": \"none\"}", NULL),
                     ERR_NOT_FOUND);
    assert_int_equal(refused(&c, WIRE_evidence_search, "{\"types\": [1]}", NULL), ERR_INVALID);
    console_stop(&c, true);
    c = console_start(dir, NULL, "demo");
    found = call(&c, WIRE_evidence_search, words);
    assert_false(json_flag(found, "payloads", true));
    assert_int_equal(json_array_size(json_object_get(found, "entries")), 0);
    json_decref(found);
    console_stop(&c, false);
}

static void a_demo_session_beside_an_operator_hears_no_texts(void **state)
{
    (void)state;
    struct console c = console_start(new_dir(), NULL, "operator");
    struct audience a = {0};
    struct busc *demo = busc_new(c.address, "audience", "demo", NULL);
    busc_events(demo, on_audience_event, NULL, &a);
    json_decref(busc_wait(demo, WIRE_status_get, NULL, WAIT_MS, NULL));
    json_decref(ask(&c, "is the disk filling up?"));
    uint64_t until = clock_mono_ms() + WAIT_MS;
    while (!a.ended && clock_mono_ms() < until) {
        struct pollfd p = {.fd = busc_fd(demo), .events = POLLIN};
        poll(&p, 1, 50);
        busc_dispatch(demo);
    }
    assert_true(a.ended);
    assert_true(a.turns >= 2);
    assert_int_equal(a.tokens, 0);
    assert_false(a.leaked);
    busc_free(demo);
    console_stop(&c, false);
}

static void bad_parameters_are_named(void **state)
{
    (void)state;
    struct console c = console_start(new_dir(), NULL, "operator");
    char detail[256];
    assert_int_equal(refused(&c, WIRE_chat_ask, "{}", detail), ERR_INVALID);
    assert_non_null(strstr(detail, "text"));
    assert_int_equal(refused(&c, WIRE_chat_ask, "{\"text\": \"\"}", detail), ERR_INVALID);
    assert_int_equal(refused(&c, WIRE_traces_list, "{\"limit\": 100000}", detail), ERR_INVALID);
    assert_non_null(strstr(detail, "500"));
    assert_int_equal(refused(&c, WIRE_traces_get, "{\"trace_id\": \"nope\"}", detail),
                     ERR_NOT_FOUND);
    assert_int_equal(refused(&c, WIRE_chat_stop, "{\"trace_id\": \"nope\"}", detail),
                     ERR_NOT_FOUND);
    console_stop(&c, false);
}

static void second_console_is_told_about_the_first(void **state)
{
    (void)state;
    char *dir = new_dir();
    struct console a = console_start(dir, NULL, "operator");
    json_decref(call(&a, WIRE_status_get, NULL));
    struct console b = console_start(dir, NULL, "operator");
    assert_int_equal(refused(&b, WIRE_status_get, NULL, NULL), ERR_LOCKED);
    struct error e;
    assert_int_equal(backend_error(b.backend, &e), ERR_LOCKED);
    console_stop(&b, true);
    json_decref(call(&a, WIRE_status_get, NULL));
    console_stop(&a, false);
}

static void unwritable_state_and_broken_configuration_are_named(void **state)
{
    (void)state;
    struct console c = console_start(xstrdup("/proc/no-such-place"), NULL, "operator");
    char detail[256];
    assert_int_not_equal(refused(&c, WIRE_status_get, NULL, detail), ERR_OK);
    assert_non_null(strstr(detail, "/proc/no-such-place"));
    free(c.dir);
    c.dir = new_dir();
    console_stop(&c, true);
    char *path = xasprintf("%s/broken.conf", c.dir);
    FILE *f = fopen(path, "w");
    fputs("[model \"x\"]\nkind = ollama\nmodle = y\n", f);
    fclose(f);
    struct console d = console_start(c.dir, path, "operator");
    assert_int_equal(refused(&d, WIRE_status_get, NULL, detail), ERR_CONFIG);
    assert_non_null(strstr(detail, "broken.conf:3"));
    assert_non_null(strstr(detail, "\"model\""));
    free(path);
    console_stop(&d, false);
}

static void stopping_while_questions_run_is_quick_and_leaves_a_good_log(void **state)
{
    (void)state;
    char *dir = new_dir();
    struct console c = console_start(dir, NULL, "operator");
    json_decref(call(&c, WIRE_status_get, NULL));
    for (int i = 0; i < 6; i++) {
        json_t *params = json_object();
        json_puts(params, "text", "why is this machine slow?");
        busc_call(c.bus, WIRE_chat_ask, params, NULL, NULL);
    }
    usleep(3000);
    console_stop(&c, true);
    c = console_start(dir, NULL, "operator");
    json_t *report = call(&c, WIRE_evidence_verify, "{\"wait\": true}");
    assert_true(json_flag(report, "ok", false));
    json_decref(report);
    console_stop(&c, false);
}

/* The turns that a page of history holds, as "2 1", and whether there are more. */
static void assert_page(struct console *c, enum wire_method m, const char *key, int64_t before,
                        int limit, int rows, bool more, int64_t *cursor)
{
    char *params = xasprintf("{\"before\": %lld, \"limit\": %d}", (long long)before, limit);
    json_t *page = call(c, m, params), *row;
    size_t i;
    *cursor = INT64_MAX;
    assert_int_equal(json_array_size(json_object_get(page, key)), rows);
    assert_int_equal(json_flag(page, "more", !more), more);
    json_array_foreach(json_object_get(page, key), i, row)
    {
        int64_t id = json_int(row, "rowid", json_int(row, "id", json_int(row, "seq", -1)));
        *cursor = id < *cursor ? id : *cursor;
    }
    free(params);
    json_decref(page);
}

/* O2, O4: of three models one never answers. */
static void a_late_model_is_dropped_and_no_critique_begins_then(void **state)
{
    (void)state;
    enum { LIMIT_MS = 700 };
    struct sockaddr_in silent = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof silent;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&silent, len), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&silent, &len), 0);
    char *dir = new_dir(), *path = xasprintf("%s/three.conf", dir);
    FILE *f = fopen(path, "w");
    fprintf(f,
            "[model \"slow\"]\nkind = openai\nmodel = x\nurl = http://127.0.0.1:%d\n"
            "[copilot]\nmodels = builtin/lexical builtin/vector slow\ntime_limit_ms = %d\n"
            "[arbitration]\ndivergence_threshold = 0.001\n",
            ntohs(silent.sin_port), LIMIT_MS);
    fclose(f);
    struct console c = console_start(dir, path, "operator");
    json_t *trace = ask(&c, "why is this machine slow?");
    const json_t *verdict = json_object_get(trace, "verdict"), *stage;
    assert_string_equal(json_str(trace, "state", ""), "done");
    assert_true(json_num(verdict, "D", 0) > 0.001);
    assert_int_equal(json_array_size(json_object_get(trace, "critiques")), 0);
    const json_t *slow = json_array_get(json_object_get(trace, "candidates"), 2);
    assert_string_equal(json_str(slow, "model", ""), "slow");
    assert_string_not_equal(json_str(slow, "state", ""), "done");
    size_t i;
    json_t *each;
    json_array_foreach(json_object_get(trace, "stages"), i, each)
    {
        stage = each;
        assert_string_not_equal(json_str(stage, "state", ""), "running");
    }
    json_decref(trace);
    free(path);
    close(fd);
    console_stop(&c, false);
}

static void a_restart_is_logged_before_it_is_done(void **state)
{
    (void)state;
    struct console c = console_start(new_dir(), NULL, "operator");
    json_decref(call(&c, WIRE_connectors_restart, "{\"name\": \"host\"}"));
    json_t *entries = call(&c, WIRE_evidence_list, "{\"type\": \"config\"}");
    assert_int_equal(json_array_size(json_object_get(entries, "entries")), 1);
    json_decref(entries);
    assert_int_equal(refused(&c, WIRE_connectors_restart, "{\"name\": \"nobody\"}", NULL),
                     ERR_NOT_FOUND);
    console_stop(&c, false);
}

static void pages_tell_truly_whether_there_are_more(void **state)
{
    (void)state;
    struct console c = console_start(new_dir(), NULL, "operator");
    for (int i = 0; i < 3; i++)
        json_decref(ask(&c, "is the disk filling up?"));
    static const struct {
        enum wire_method method;
        const char *key;
    } LISTS[] = {{WIRE_chat_history, "turns"}, {WIRE_traces_list, "traces"}};
    for (size_t i = 0; i < 2; i++) {
        int64_t cursor;
        assert_page(&c, LISTS[i].method, LISTS[i].key, -1, 2, 2, true, &cursor);
        assert_page(&c, LISTS[i].method, LISTS[i].key, cursor, 2, 1, false, &cursor);
        assert_page(&c, LISTS[i].method, LISTS[i].key, -1, 3, 3, false, &cursor);
        assert_page(&c, LISTS[i].method, LISTS[i].key, cursor, 3, 0, false, &cursor);
    }
    int64_t cursor;
    assert_page(&c, WIRE_evidence_list, "entries", 4, 4, 4, false, &cursor);
    assert_page(&c, WIRE_evidence_list, "entries", 5, 4, 4, true, &cursor);
    assert_page(&c, WIRE_evidence_list, "entries", cursor, 1000, 1, false, &cursor);
    assert_page(&c, WIRE_cost_ledger, "lines", -1, 5, 5, true, &cursor);
    assert_page(&c, WIRE_cost_ledger, "lines", cursor, 1, 1, false, &cursor);
    console_stop(&c, false);
}

/* A page of 200 of them is held by a pane: a row that has what only traces.get should give made the
 * console take 15 MiB more. */
static void rows_of_traces_are_small(void **state)
{
    (void)state;
    struct console c = console_start(new_dir(), NULL, "operator");
    json_t *whole = ask(&c, "is the disk filling up?");
    json_t *list = busc_wait(c.bus, WIRE_traces_list, NULL, WAIT_MS, NULL),
           *history = busc_wait(c.bus, WIRE_chat_history, NULL, WAIT_MS, NULL);
    const json_t *row = json_array_get(json_object_get(list, "traces"), 0),
                 *turn = json_array_get(json_object_get(history, "turns"), 0);
    char *of_row = json_write(row), *of_turn = json_write(turn), *of_whole = json_write(whole);
    assert_string_equal(json_str(row, "question", ""), "is the disk filling up?");
    assert_string_equal(json_str(json_object_get(row, "verdict"), "winner", "?"),
                        json_str(json_object_get(whole, "verdict"), "winner", ""));
    assert_true(strlen(of_row) < 1024);
    assert_string_equal(json_str(turn, "answer", "?"), json_str(whole, "answer", ""));
    assert_null(json_object_get(turn, "nodes"));
    assert_true(strlen(of_turn) < strlen(of_whole));
    free(of_row);
    free(of_turn);
    free(of_whole);
    json_decref(list);
    json_decref(history);
    json_decref(whole);
    console_stop(&c, false);
}

static const char *status_of(const json_t *card, const char *id)
{
    size_t i;
    json_t *control;
    json_array_foreach(json_object_get(card, "controls"), i, control)
    {
        if (strcmp(json_str(control, "id", ""), id) == 0)
            return json_str(control, "status", "");
    }
    return "";
}

static void what_cannot_be_read_is_not_assessed(void **state)
{
    (void)state;
    struct console c = console_start(new_dir(), NULL, "operator");
    json_decref(ask(&c, "is the disk filling up?"));
    json_t *card = call(&c, WIRE_score_get, NULL);
    assert_string_equal(status_of(card, "calls-in-ledger"), "pass");
    assert_string_equal(status_of(card, "actions-chained"), "pass");
    json_decref(card);
    sqlite3 *db;
    char *path = xasprintf("%s/console.db", c.dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    assert_int_equal(sqlite3_exec(db, "ALTER TABLE ledger RENAME TO gone", NULL, NULL, NULL), 0);
    sqlite3_close(db);
    free(path);
    card = call(&c, WIRE_score_get, NULL);
    assert_string_equal(status_of(card, "calls-in-ledger"), "not assessed");
    assert_string_equal(status_of(card, "actions-chained"), "not assessed");
    json_decref(card);
    console_stop(&c, false);
}

static void a_part_that_verifies_says_nothing_of_the_whole(void **state)
{
    (void)state;
    struct console c = console_start(new_dir(), NULL, "operator");
    for (int i = 0; i < 110; i++) { /* over 1024 entries, so that there are two parts */
        json_decref(call(&c, WIRE_tools_call, "{\"connector\": \"console\", \"tool\": \"cost\"}"));
        for (int j = 0; j < 4; j++)
            busc_call(c.bus, WIRE_tools_call,
                      json_pack("{s:s, s:s}", "connector", "console", "tool", "cost"), NULL, NULL);
    }
    json_decref(call(&c, WIRE_tools_call, "{\"connector\": \"console\", \"tool\": \"cost\"}"));
    sqlite3 *db;
    char *path = xasprintf("%s/console.db", c.dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    assert_int_equal(sqlite3_exec(db, "UPDATE entries SET ts = ts + 1 WHERE seq = 3", 0, 0, 0), 0);
    sqlite3_close(db);
    free(path);
    json_t *part = call(&c, WIRE_evidence_verify, "{\"from\": 1024, \"wait\": true}");
    assert_int_equal(json_int(part, "from", -1), 1024);
    assert_true(json_flag(part, "ok", false));
    json_decref(part);
    /* Asked together, the two get what each asked for. */
    struct busc *second = busc_new(c.address, "second", "operator", NULL);
    busc_call(second, WIRE_evidence_verify, json_pack("{s:b, s:i}", "wait", 1, "from", 1024), NULL,
              NULL);
    json_t *whole = call(&c, WIRE_evidence_verify, "{\"wait\": true}");
    assert_int_equal(json_int(whole, "from", -1), 0);
    assert_false(json_flag(whole, "ok", true));
    json_decref(whole);
    part = busc_wait(second, WIRE_evidence_verify, json_pack("{s:b, s:i}", "wait", 1, "from", 1024),
                     WAIT_MS, NULL);
    assert_true(json_flag(part, "ok", false));
    json_decref(part);
    json_t *card = call(&c, WIRE_score_get, NULL);
    assert_string_equal(status_of(card, "chain-intact"), "fail");
    json_decref(card);
    busc_free(second);
    console_stop(&c, false);
}

static void score_and_doctor_answer(void **state)
{
    (void)state;
    struct console c = console_start(new_dir(), NULL, "reviewer");
    json_decref(call(&c, WIRE_evidence_verify, "{\"wait\": true}"));
    json_t *card = call(&c, WIRE_score_get, NULL);
    assert_true(json_array_size(json_object_get(card, "controls")) >= 12);
    size_t i;
    json_t *control;
    json_array_foreach(json_object_get(card, "controls"), i, control)
    {
        assert_true(*json_str(control, "law", ""));
        assert_true(*json_str(control, "reason", ""));
    }
    json_decref(card);
    json_t *doctor = call(&c, WIRE_doctor_run, NULL);
    assert_true(json_array_size(json_object_get(doctor, "checks")) >= 8);
    json_decref(doctor);
    console_stop(&c, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(question_is_answered_from_live_figures),
        cmocka_unit_test(russian_question_gets_a_russian_answer),
        cmocka_unit_test(answer_and_ledger_survive_a_restart),
        cmocka_unit_test(the_demo_role_reads_and_sees_no_texts),
        cmocka_unit_test(searching_tells_no_more_than_reading),
        cmocka_unit_test(a_demo_session_beside_an_operator_hears_no_texts),
        cmocka_unit_test(bad_parameters_are_named),
        cmocka_unit_test(second_console_is_told_about_the_first),
        cmocka_unit_test(unwritable_state_and_broken_configuration_are_named),
        cmocka_unit_test(stopping_while_questions_run_is_quick_and_leaves_a_good_log),
        cmocka_unit_test(a_late_model_is_dropped_and_no_critique_begins_then),
        cmocka_unit_test(a_restart_is_logged_before_it_is_done),
        cmocka_unit_test(pages_tell_truly_whether_there_are_more),
        cmocka_unit_test(rows_of_traces_are_small),
        cmocka_unit_test(what_cannot_be_read_is_not_assessed),
        cmocka_unit_test(a_part_that_verifies_says_nothing_of_the_whole),
        cmocka_unit_test(score_and_doctor_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
