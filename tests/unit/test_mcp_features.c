/* What the MCP client does beyond tools, in both eras, against tests/peers/mcp_features.py: eras
 * and handshakes, lists, elicitation, sampling, roots, progress, subscriptions. Invariants M1 to
 * M5, E1, E2, I1 to I4, A1 to A3, Q1 to Q4. Needs python3. */
#include "backend/connectors/mcp_client.h"
#include "tests/unit/conn_harness.h"

static struct {
    struct harness *h;
    int asked, over, completed, logs, progress, updated, sampled;
    char id[80], kind[16], url[512], host[64], state[16];
    const char *action, *content; /* what a person answers; NULL: nobody does */
    bool wrong_first;             /* an answer that does not fit comes before */
    struct conn_sample *kept;     /* a model that has not answered */
    bool keep;
} seen;

static void answer_now(void *arg)
{
    (void)arg;
    struct error e = {0};
    json_t *content = seen.content ? json_loads(seen.content, 0, NULL) : NULL;
    if (seen.wrong_first) {
        json_t *bad = json_pack("{s:i}", "name", 7);
        assert_int_equal(conn_question_answer(seen.h->registry, seen.id, "accept", bad, &e),
                         ERR_INVALID);
        assert_non_null(strstr(e.detail, "name"));
        json_decref(bad);
    }
    assert_int_equal(conn_question_answer(seen.h->registry, seen.id, seen.action, content, &e),
                     ERR_OK);
    assert_int_equal(conn_question_answer(seen.h->registry, seen.id, seen.action, content, &e),
                     ERR_NOT_FOUND); /* Q2 */
    json_decref(content);
}

static void on_question(void *arg, const json_t *row)
{
    (void)arg;
    snprintf(seen.state, sizeof seen.state, "%s", json_str(row, "state", ""));
    if (strcmp(seen.state, "complete") == 0)
        seen.completed++;
    else if (strcmp(seen.state, "asked") != 0)
        seen.over++;
    if (strcmp(seen.state, "asked") != 0)
        return;
    seen.asked++;
    snprintf(seen.id, sizeof seen.id, "%s", json_str(row, "id", ""));
    snprintf(seen.kind, sizeof seen.kind, "%s", json_str(row, "kind", ""));
    snprintf(seen.url, sizeof seen.url, "%s", json_str(row, "url", ""));
    snprintf(seen.host, sizeof seen.host, "%s", json_str(row, "host", ""));
    if (seen.action)
        loop_post(seen.h->loop, answer_now, NULL);
}

static void on_sample(void *arg, const char *connector, const json_t *params, struct conn_sample *s)
{
    (void)arg;
    assert_string_equal(connector, "t");
    assert_int_equal(json_int(params, "maxTokens", 0), 50);
    seen.sampled++;
    if (seen.keep) {
        seen.kept = s;
        return;
    }
    conn_sample_answer(s,
                       json_pack("{s:s, s:{s:s, s:s}, s:s}", "role", "assistant", "content", "type",
                                 "text", "text", "hello there", "model", "m"),
                       NULL);
}

static void on_log(void *arg, const char *connector, const char *level, const char *text)
{
    (void)arg;
    (void)connector;
    seen.logs += strcmp(level, "warning") == 0 && strstr(text, "line ");
}

static void on_progress(void *arg, const char *connector, const char *tool, double progress,
                        double total, const char *message)
{
    (void)arg;
    (void)connector;
    assert_string_equal(tool, "slow");
    assert_true(progress >= 1 && total == 8 && strstr(message, "step "));
    seen.progress++;
}

static void on_resource(void *arg, const char *connector, const char *uri)
{
    (void)arg;
    (void)connector;
    seen.updated += strcmp(uri, "test://one") == 0;
}

static const struct conn_host host = {.question = on_question,
                                      .sample = on_sample,
                                      .log = on_log,
                                      .progress = on_progress,
                                      .resource = on_resource};

static void open_era(struct harness *h, const char *era, const char *more)
{
    char text[2048];
    memset(&seen, 0, sizeof seen);
    snprintf(
        text, sizeof text,
        "[connector \"t\"]\nkind = mcp-stdio\ncommand = python3 tests/peers/mcp_features.py --era "
        "%s\nread_tools = *\n%s\n",
        era, more);
    harness_host = &host;
    harness_open(h, text, "t");
    seen.h = h;
    conn_start(h->registry);
    if (!harness_wait(h, CONN_OK, 15000)) {
        json_t *row = harness_row(h);
        fail_msg("not up: %s", json_str(row, "last_error", ""));
    }
}

static const char *const eras[] = {"stateful", "modern"};

static bool until_listed(struct harness *h)
{
    struct error e = {0};
    json_t *offers = conn_offers(h->registry, "t", &e);
    bool all = json_array_size(json_object_get(offers, "resources")) == 5 &&
               json_array_size(json_object_get(offers, "templates")) == 1 &&
               json_array_size(json_object_get(offers, "prompts")) == 1;
    json_decref(offers);
    return all;
}

static void test_eras(void **state)
{
    (void)state;
    static const struct {
        const char *era, *protocol;
    } cases[] = {{"stateful", "2025-11-25"},
                 {"modern", "2026-07-28"},
                 {"duplicate", "2025-11-25"},
                 {"silent", "2025-11-25"},
                 {"version", "2025-06-18"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct harness h;
        open_era(&h, cases[i].era, "");
        json_t *row = harness_row(&h);
        assert_string_equal(json_str(row, "protocol", ""), cases[i].protocol);
        assert_string_equal(json_str(row, "instructions", ""), "Be kind.");
        assert_int_equal(json_int(row, "restarts", -1), 0); /* E2: not a failure */
        assert_int_equal(json_array_size(json_object_get(row, "tools")), 13);
        json_decref(row);
        harness_shut(&h);
    }
}

/* A configured revision is the only one. */
static void test_fixed(void **state)
{
    (void)state;
    struct harness h;
    open_era(&h, "stateful", "protocol = 2025-03-26\n");
    json_t *row = harness_row(&h);
    assert_string_equal(json_str(row, "protocol", ""), "2025-03-26");
    json_decref(row);
    harness_shut(&h);
    open_era(&h, "modern", "protocol = 2026-07-28\n");
    harness_shut(&h);
    memset(&seen, 0, sizeof seen);
    harness_open(&h,
                 "[connector \"t\"]\nkind = mcp-stdio\nprotocol = 2026-07-28\ncommand = python3 "
                 "tests/peers/mcp_features.py\n",
                 "t");
    conn_start(h.registry);
    assert_true(harness_wait(&h, CONN_FAIL, 10000));
    harness_shut(&h);
}

struct asked {
    struct harness *h;
    int count;
    json_t *result;
    struct error e;
};

static void on_asked(void *arg, const json_t *result, const struct error *e)
{
    struct asked *a = arg;
    a->count++;
    a->result = result ? json_deep_copy(result) : NULL;
    a->e = *e;
    loop_quit(a->h->loop);
}

static enum err ask(struct harness *h, const char *method, json_t *params, json_t **result)
{
    struct asked a = {.h = h};
    struct error e = {0};
    struct conn_ask *started = conn_ask(h->registry, "t", method, params, 5000, on_asked, &a, &e);
    json_decref(params);
    *result = NULL;
    if (!started)
        return e.code;
    assert_int_equal(a.count, 0);
    harness_run(h, NULL, 8000);
    assert_int_equal(a.count, 1); /* Q1 */
    *result = a.result;
    return a.e.code;
}

static bool until_updated(struct harness *h)
{
    (void)h;
    return seen.updated > 0;
}

static void test_offers(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct harness h;
        struct answer a;
        json_t *result;
        open_era(&h, eras[i], "");
        assert_true(harness_run(&h, until_listed, 5000));
        assert_int_equal(ask(&h, "resources/read", json_pack("{s:s}", "uri", "test://1"), &result),
                         ERR_OK);
        json_t *content = json_array_get(json_object_get(result, "contents"), 0);
        assert_string_equal(json_str(content, "text", ""), "text of test://1");
        json_decref(result);
        assert_int_equal(
            ask(&h, "prompts/get",
                json_pack("{s:s, s:{s:s}}", "name", "greet", "arguments", "who", "Eve"), &result),
            ERR_OK);
        assert_int_equal(json_array_size(json_object_get(result, "messages")), 1);
        json_decref(result);
        assert_int_equal(ask(&h, "completion/complete",
                             json_pack("{s:{s:s, s:s}, s:{s:s, s:s}}", "ref", "type", "ref/prompt",
                                       "name", "greet", "argument", "name", "who", "value", "an"),
                             &result),
                         ERR_OK);
        assert_int_equal(
            json_array_size(json_object_get(json_object_get(result, "completion"), "values")), 2);
        json_decref(result);
        assert_int_equal(ask(&h, "tools/call", json_object(), &result), ERR_UNSUPPORTED);
        assert_int_equal(
            ask(&h, "resources/subscribe", json_pack("{s:s}", "uri", "test://one"), &result),
            ERR_OK);
        json_decref(result);
        harness_run(&h, NULL, 100); /* the listen of the modern era is on its way */
        assert_int_equal(harness_call(&h, "touch", "{}", 5000, &a), ERR_OK);
        answer_release(&a);
        assert_true(harness_run(&h, until_updated, 3000));
        assert_int_equal(harness_call(&h, "log", "{}", 5000, &a), ERR_OK);
        answer_release(&a);
        assert_int_equal(seen.logs, 3);
        json_t *row = harness_row(&h);
        assert_int_equal(json_array_size(json_object_get(row, "logs")), 3);
        assert_int_equal(json_array_size(json_object_get(row, "subscribed")), 1);
        json_decref(row);
        harness_shut(&h);
    }
}

/* I3: other lists never bring it down. */
static void test_lists_fail(void **state)
{
    (void)state;
    struct harness h;
    open_era(&h, "stateful --garbage", "");
    harness_run(&h, NULL, 300);
    struct error e = {0};
    json_t *offers = conn_offers(h.registry, "t", &e);
    const json_t *errors = json_object_get(offers, "errors");
    assert_non_null(strstr(json_str(errors, "resources", ""), "database is down"));
    assert_null(json_object_get(errors, "templates"));
    assert_int_equal(json_array_size(json_object_get(offers, "prompts")), 1);
    json_decref(offers);
    harness_shut(&h);
}

static void test_elicitation(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct harness h;
        struct answer a;
        open_era(&h, eras[i], "");
        seen.action = "accept";
        seen.content = "{\"name\":\"Ada\"}";
        seen.wrong_first = true;
        assert_int_equal(harness_call(&h, "ask", "{}", 5000, &a), ERR_OK);
        assert_string_equal(
            a.text, "{\"action\": \"accept\", \"content\": {\"colour\": \"green\", \"count\": 3, "
                    "\"name\": \"Ada\"}}");
        answer_release(&a);
        assert_int_equal(harness_call(&h, "ask_twice", "{}", 5000, &a), ERR_OK);
        assert_non_null(strstr(a.text, "Ada"));
        answer_release(&a);
        assert_int_equal(seen.asked, 3);
        assert_int_equal(seen.over, 3);
        seen.wrong_first = false;
        seen.action = "decline";
        assert_int_equal(harness_call(&h, "ask", "{}", 5000, &a), ERR_OK);
        assert_string_equal(a.text, "{\"action\": \"decline\"}");
        answer_release(&a);
        /* A form that is none is refused, and nobody is asked. */
        int before = seen.asked;
        enum err code = harness_call(&h, "badform", "{}", 5000, &a);
        assert_true(i == 0 ? code == ERR_OK && strstr(a.text, "-32602") : code == ERR_UPSTREAM);
        answer_release(&a);
        assert_int_equal(seen.asked, before);
        harness_shut(&h);
    }
}

/* A3: a person takes longer than the call's time limit; A2: nobody answers and the server stops. */
static void test_slow_person(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct harness h;
        struct answer a = {.h = &h};
        struct error e = {0};
        open_era(&h, eras[i], "");
        struct conn_call_options o = {.limit_ms = 400};
        assert_non_null(conn_call(h.registry, "t", "ask", NULL, &o, harness_done, &a, &e));
        harness_run(&h, NULL, 1500);
        assert_int_equal(a.count, 0);
        json_t *open = conn_questions(h.registry);
        assert_int_equal(json_array_size(open), 1);
        assert_string_equal(json_str(json_array_get(open, 0), "kind", ""), "form");
        json_decref(open);
        assert_int_equal(conn_restart(h.registry, "t", &e), ERR_OK);
        harness_run(&h, NULL, 50);
        assert_int_equal(a.count, 1);
        assert_int_equal(a.code, ERR_CLOSED);
        assert_int_equal(seen.over, 1);
        open = conn_questions(h.registry);
        assert_int_equal(json_array_size(open), 0);
        json_decref(open);
        answer_release(&a);
        harness_shut(&h);
    }
}

static bool until_completed(struct harness *h)
{
    (void)h;
    return seen.completed > 0;
}

/* Q3: the whole URL; the host is what stands behind user@. */
static void test_url(void **state)
{
    (void)state;
    struct harness h;
    struct answer a;
    open_era(&h, "stateful", "");
    assert_int_equal(harness_call(&h, "url", "{}", 5000, &a), ERR_REFUSED);
    answer_release(&a);
    assert_string_equal(seen.kind, "url");
    assert_string_equal(seen.host, "example.com");
    assert_int_equal(strlen(seen.url), strlen("https://user@example.com/a?b=") + 300);
    assert_true(harness_run(&h, until_completed, 3000));
    json_t *open = conn_questions(h.registry);
    assert_int_equal(json_array_size(open), 0);
    json_decref(open);
    harness_shut(&h);
}

static void test_sampling(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct harness h;
        struct answer a;
        open_era(&h, eras[i], ""); /* Q4: switched off, as it is by default */
        enum err code = harness_call(&h, "model", "{}", 5000, &a);
        assert_true(i == 0 ? code == ERR_OK && strstr(a.text, "-32601") : code == ERR_UPSTREAM);
        assert_int_equal(seen.sampled, 0);
        answer_release(&a);
        harness_shut(&h);
        open_era(&h, eras[i], "sampling = yes\n");
        assert_int_equal(harness_call(&h, "model", "{}", 5000, &a), ERR_OK);
        assert_non_null(strstr(a.text, "hello there"));
        assert_int_equal(seen.asked, 0);
        answer_release(&a);
        harness_shut(&h);
        open_era(&h, eras[i], "sampling = ask\n");
        seen.action = "accept";
        assert_int_equal(harness_call(&h, "model", "{}", 5000, &a), ERR_OK);
        assert_non_null(strstr(a.text, "hello there"));
        answer_release(&a);
        seen.action = "decline";
        code = harness_call(&h, "model", "{}", 5000, &a);
        assert_true(i == 0 ? code == ERR_OK && strstr(a.text, "rejected") : code == ERR_DENIED);
        assert_int_equal(seen.sampled, 1);
        answer_release(&a);
        harness_shut(&h);
    }
}

/* A2: the model answers after the server is gone, or after everything is. */
static void test_late_model(void **state)
{
    (void)state;
    struct harness h;
    struct answer a = {.h = &h};
    struct error e = {0};
    open_era(&h, "modern", "sampling = yes\n");
    seen.keep = true;
    assert_non_null(conn_call(h.registry, "t", "model", NULL, NULL, harness_done, &a, &e));
    harness_run(&h, NULL, 300);
    assert_non_null(seen.kept);
    conn_restart(h.registry, "t", &e);
    harness_run(&h, NULL, 50);
    assert_int_equal(a.count, 1);
    answer_release(&a);
    harness_shut(&h);
    conn_sample_answer(seen.kept, json_object(), NULL);
}

static void test_roots(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct harness h;
        struct answer a;
        open_era(&h, eras[i], "roots = /srv/one file:///srv/two\n");
        assert_int_equal(harness_call(&h, "roots", "{}", 5000, &a), ERR_OK);
        assert_string_equal(
            a.text,
            "{\"roots\": [{\"uri\": \"file:///srv/one\"}, {\"uri\": \"file:///srv/two\"}]}");
        answer_release(&a);
        harness_shut(&h);
    }
}

static void test_progress(void **state)
{
    (void)state;
    struct harness h;
    struct answer a = {.h = &h};
    struct error e = {0};
    open_era(&h, "modern", "");
    struct conn_call_options o = {.limit_ms = 600, .max_ms = 10000};
    assert_non_null(conn_call(h.registry, "t", "slow", NULL, &o, harness_done, &a, &e));
    harness_run(&h, NULL, 5000);
    assert_int_equal(a.code, ERR_OK); /* 1.2 s of work within a limit of 0.6 s, each step told */
    assert_string_equal(a.text, "slow and steady");
    assert_true(seen.progress >= 5);
    answer_release(&a);
    a.h = &h;
    o.max_ms = 0; /* without the cap progress extends nothing */
    assert_non_null(conn_call(h.registry, "t", "slow", NULL, &o, harness_done, &a, &e));
    harness_run(&h, NULL, 5000);
    assert_int_equal(a.code, ERR_TIMEOUT);
    answer_release(&a);
    harness_shut(&h);
}

static void test_output_schema(void **state)
{
    (void)state;
    struct harness h;
    struct answer a;
    open_era(&h, "modern", "");
    assert_int_equal(harness_call(&h, "wrong", "{}", 5000, &a), ERR_OK);
    assert_non_null(strstr(a.text, "does not fit the schema"));
    assert_non_null(a.data);
    answer_release(&a);
    harness_shut(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eras),        cmocka_unit_test(test_fixed),
        cmocka_unit_test(test_offers),      cmocka_unit_test(test_lists_fail),
        cmocka_unit_test(test_elicitation), cmocka_unit_test(test_slow_person),
        cmocka_unit_test(test_url),         cmocka_unit_test(test_sampling),
        cmocka_unit_test(test_late_model),  cmocka_unit_test(test_roots),
        cmocka_unit_test(test_progress),    cmocka_unit_test(test_output_schema)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
