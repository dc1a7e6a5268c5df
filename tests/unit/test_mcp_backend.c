/* MCP servers seen from a client of the bus: resources, prompts, completion, elicitation, sampling
 * with its budget, all in the log. Invariants N1, N3, Q2. Needs python3. */
#include "tests/unit/console_harness.h"

static char *config_new(const char *more)
{
    char *path = xasprintf("%s/mcpc-mcp-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    dprintf(
        fd,
        "[connector \"t\"]\nkind = mcp-stdio\ncommand = python3 tests/peers/mcp_features.py --era "
        "modern\nread_tools = *\n%s\n",
        more);
    close(fd);
    return path;
}

static struct console open_console(const char *more, const char *role)
{
    char *config = config_new(more);
    struct console c = console_start(new_dir(), config, role);
    uint64_t until = clock_mono_ms() + WAIT_MS;
    for (bool up = false; !up; usleep(10000)) {
        json_t *row = call(&c, WIRE_connectors_get, "{\"name\":\"t\"}");
        up = strcmp(json_str(row, "state", ""), "ok") == 0 &&
             json_array_size(json_object_get(row, "prompts")) == 1;
        json_decref(row);
        assert_true(clock_mono_ms() < until);
    }
    unlink(config);
    free(config);
    return c;
}

static size_t entries(struct console *c, const char *type)
{
    char *params = xasprintf("{\"type\":\"%s\"}", type);
    json_t *list = call(c, WIRE_evidence_list, params);
    size_t n = json_array_size(json_object_get(list, "entries"));
    json_decref(list);
    free(params);
    return n;
}

static void offers(void **state)
{
    (void)state;
    struct console c = open_console("", "operator");
    json_t *r = call(&c, WIRE_resources_list, "{\"connector\":\"t\"}");
    assert_int_equal(json_array_size(json_object_get(r, "resources")), 5);
    json_decref(r);
    size_t before = entries(&c, "tool.result");
    r = call(&c, WIRE_resources_read, "{\"connector\":\"t\",\"uri\":\"test://3\"}");
    const json_t *one = json_array_get(json_object_get(r, "contents"), 0);
    assert_string_equal(json_str(one, "text", ""), "text of test://3");
    json_decref(r);
    r = call(&c, WIRE_resources_read, "{\"connector\":\"t\",\"uri\":\"test://big\"}");
    one = json_array_get(json_object_get(r, "contents"), 0);
    assert_true(json_is_true(json_object_get(one, "cut")));
    assert_int_equal(json_int(one, "bytes", 0), 300000);
    json_decref(r);
    r = call(&c, WIRE_prompts_get,
             "{\"connector\":\"t\",\"name\":\"greet\",\"arguments\":{\"who\":\"Eve\"}}");
    assert_int_equal(json_array_size(json_object_get(r, "messages")), 1);
    json_decref(r);
    assert_int_equal(entries(&c, "tool.result"), before + 3);
    r = call(&c, WIRE_prompts_complete,
             "{\"connector\":\"t\",\"name\":\"greet\",\"argument\":\"who\",\"value\":\"an\"}");
    assert_int_equal(json_array_size(json_object_get(r, "values")), 2);
    json_decref(r);
    assert_int_equal(
        refused(&c, WIRE_resources_read, "{\"connector\":\"host\",\"uri\":\"x\"}", NULL),
        ERR_UNSUPPORTED);
    assert_int_equal(refused(&c, WIRE_prompts_list, "{\"connector\":\"nobody\"}", NULL),
                     ERR_NOT_FOUND);
    console_stop(&c, false);
}

static json_t *called;
static bool ended;

static void on_called(void *arg, const json_t *result, const struct error *e)
{
    (void)arg;
    (void)e;
    called = result ? json_incref((json_t *)result) : NULL;
    ended = true;
}

static void start_call(struct console *c, const char *tool)
{
    json_t *params = json_object();
    json_puts(params, "connector", "t");
    json_puts(params, "tool", tool);
    ended = false;
    called = NULL;
    busc_call(c->bus, WIRE_tools_call, params, on_called, NULL);
}

static json_t *first_question(struct console *c)
{
    uint64_t until = clock_mono_ms() + WAIT_MS;
    for (;;) {
        json_t *list = call(c, WIRE_elicit_list, NULL);
        json_t *one = json_array_get(json_object_get(list, "questions"), 0);
        if (one) {
            json_incref(one);
            json_decref(list);
            return one;
        }
        json_decref(list);
        assert_true(clock_mono_ms() < until);
        usleep(5000);
    }
}

static void wait_call(struct console *c)
{
    uint64_t until = clock_mono_ms() + WAIT_MS;
    while (!ended && clock_mono_ms() < until)
        json_decref(call(c, WIRE_session_ping, NULL));
    assert_non_null(called);
}

static void elicitation(void **state)
{
    (void)state;
    struct console c = open_console("", "operator");
    start_call(&c, "ask");
    json_t *q = first_question(&c);
    assert_string_equal(json_str(q, "message", ""), "Who is it?");
    char *bad =
        xasprintf("{\"id\":\"%s\",\"action\":\"accept\",\"content\":{}}", json_str(q, "id", ""));
    assert_int_equal(refused(&c, WIRE_elicit_answer, bad, NULL), ERR_INVALID);
    char *good =
        xasprintf("{\"id\":\"%s\",\"action\":\"accept\",\"content\":{\"name\":\"hushhush\"}}",
                  json_str(q, "id", ""));
    json_decref(call(&c, WIRE_elicit_answer, good));
    wait_call(&c);
    assert_non_null(strstr(json_str(called, "text", ""), "hushhush"));
    json_decref(called);
    assert_int_equal(refused(&c, WIRE_elicit_answer, good, NULL), ERR_NOT_FOUND); /* Q2 */
    json_t *found = call(&c, WIRE_evidence_search, "{\"text\":\"hushhush\",\"type\":\"elicit\"}");
    assert_int_equal(json_array_size(json_object_get(found, "entries")), 0);
    json_decref(found);
    assert_true(entries(&c, "elicit") >= 3);
    free(bad);
    free(good);
    json_decref(q);
    console_stop(&c, false);
}

static void sampling(void **state)
{
    (void)state;
    struct console c = open_console("sampling = yes\nsampling_tokens = 400\n", "operator");
    start_call(&c, "model");
    wait_call(&c);
    assert_non_null(strstr(json_str(called, "text", ""), "\"role\": \"assistant\""));
    json_decref(called);
    assert_int_equal(entries(&c, "sample"), 2);
    json_t *ledger = call(&c, WIRE_cost_ledger, NULL);
    const json_t *line = json_array_get(json_object_get(ledger, "lines"), 0);
    assert_string_equal(json_str(line, "connector", ""), "t");
    json_decref(ledger);
    int refusals = 0;
    for (int i = 0; i < 40 && !refusals; i++) { /* N3: the day's budget ends it */
        start_call(&c, "model");
        wait_call(&c);
        refusals = strstr(json_str(called, "text", ""), "budget") != NULL;
        json_decref(called);
    }
    assert_int_equal(refusals, 1);
    console_stop(&c, false);
}

static void stops_while_asked(void **state)
{
    (void)state;
    struct console c = open_console("sampling = ask\n", "operator");
    start_call(&c, "model");
    json_t *q = first_question(&c);
    assert_string_equal(json_str(q, "kind", ""), "sampling");
    json_decref(q);
    console_stop(&c, false);
    json_decref(called);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(offers), cmocka_unit_test(elicitation),
                                       cmocka_unit_test(sampling),
                                       cmocka_unit_test(stops_while_asked)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
