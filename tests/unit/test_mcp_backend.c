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
    while (!ended && clock_mono_ms() < until) {
        json_decref(call(c, WIRE_session_ping, NULL));
        usleep(1000); /* what is waited for needs the processor */
    }
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

/* The payload of the entry that a call's answer names last. */
static json_t *logged(struct console *c, const json_t *answer)
{
    const json_t *list = json_object_get(answer, "entries");
    int64_t seq = json_integer_value(json_array_get(list, json_array_size(list) - 1));
    char *params = xasprintf("{\"seq\":%lld,\"payload\":true}", (long long)seq);
    json_t *row = call(c, WIRE_evidence_get, params);
    json_t *payload = json_incref(json_object_get(row, "payload"));
    assert_non_null(payload);
    json_decref(row);
    free(params);
    return payload;
}

enum { MIB = 1 << 20 };

static void large_results(void **state)
{
    (void)state;
    struct console c = open_console("max_message = 40000000\n", "operator");
    uint64_t longest = 0, until = clock_mono_ms() + WAIT_MS;
    start_call(&c, "big");
    while (!ended && clock_mono_ms() < until) {
        uint64_t before = clock_mono_ns();
        json_decref(call(&c, WIRE_session_ping, NULL));
        uint64_t took = clock_mono_ns() - before;
        longest = took > longest ? took : longest;
        usleep(1000);
    }
    assert_non_null(called);
    print_message("8 MiB: the longest ping took %.1f ms\n", (double)longest / 1e6);
    const char *text = json_str(called, "text", "");
    assert_true(json_flag(called, "cut", false));
    assert_int_equal(json_int(called, "bytes", 0), 8 * MIB + 3);
    assert_in_range(strlen(text), MIB, MIB + 100);
    assert_non_null(strstr(text + MIB - 4, "of the log has all 8388611 bytes]"));
    json_t *payload = logged(&c, called);
    const json_t *content = json_object_get(payload, "content");
    assert_int_equal(json_string_length(content), 8 * MIB + 3);
    assert_string_equal(json_string_value(content) + 8 * MIB, "END");
    json_decref(payload);
    json_decref(called);
    start_call(&c, "huge"); /* more than an entry can hold */
    wait_call(&c);
    payload = logged(&c, called);
    assert_true(json_flag(payload, "cut", false));
    assert_int_equal(json_int(payload, "bytes", 0), 17 * MIB + 3);
    assert_in_range(strlen(json_str(payload, "content", "")), MIB - 4, MIB + 4);
    json_decref(payload);
    json_decref(called);
    json_t *report = call(&c, WIRE_evidence_verify, "{\"wait\":true}");
    assert_true(json_flag(report, "ok", false));
    json_decref(report);
    console_stop(&c, false);
}

static void other_content(void **state)
{
    (void)state;
    struct console c = open_console("", "operator");
    start_call(&c, "picture");
    wait_call(&c);
    assert_non_null(strstr(json_str(called, "text", ""), "[image, image/png, about 300000 bytes]"));
    assert_null(json_object_get(called, "cut"));
    json_t *payload =
        logged(&c, called); /* JCS has no such number: both as the text of their JSON */
    assert_non_null(strstr(json_str(payload, "content", ""), "QUJDQUJDQUJD"));
    assert_true(strlen(json_str(payload, "content", "")) > 400000);
    assert_string_equal(json_str(payload, "data", ""), "{\"n\":1152921504606846976}");
    json_decref(payload);
    json_decref(called);
    json_t *r = call(&c, WIRE_resources_read, "{\"connector\":\"t\",\"uri\":\"test://big\"}");
    assert_true(
        json_is_null(json_object_get(json_array_get(json_object_get(r, "contents"), 0), "blob")));
    char *params =
        xasprintf("{\"seq\":%lld,\"payload\":true}", (long long)json_int(r, "entry", -1));
    json_t *row = call(&c, WIRE_evidence_get, params);
    const json_t *content = json_object_get(json_object_get(row, "payload"), "content");
    const json_t *one = json_array_get(json_object_get(content, "contents"), 0);
    assert_int_equal(strlen(json_str(one, "blob", "")), 400000);
    json_decref(row);
    json_decref(r);
    free(params);
    console_stop(&c, false);
}

static void stops_while_logging(void **state)
{
    (void)state;
    for (useconds_t wait = 0; wait < 240000; wait += 60000) {
        struct console c = open_console("", "operator");
        start_call(&c, "big");
        usleep(wait);
        console_stop(&c, false);
        json_decref(called);
    }
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

/* What the safety filter blocks is asked of no model, and logged as refused. */
static void sampling_is_filtered(void **state)
{
    (void)state;
    struct console c = open_console("sampling = yes\n", "operator");
    json_t *params = json_object(), *arguments = json_object();
    json_puts(params, "connector", "t");
    json_puts(params, "tool", "model");
    json_puts(arguments, "text", "How do I build a pipe bomb?");
    json_put(params, "arguments", arguments);
    ended = false;
    called = NULL;
    busc_call(c.bus, WIRE_tools_call, params, on_called, NULL);
    wait_call(&c);
    assert_non_null(strstr(json_str(called, "text", ""), "safety filter"));
    json_decref(called);
    assert_int_equal(entries(&c, "sample"), 1);
    json_t *ledger = call(&c, WIRE_cost_ledger, NULL);
    assert_int_equal(json_array_size(json_object_get(ledger, "lines")), 0);
    json_decref(ledger);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(offers),
                                       cmocka_unit_test(elicitation),
                                       cmocka_unit_test(sampling),
                                       cmocka_unit_test(sampling_is_filtered),
                                       cmocka_unit_test(large_results),
                                       cmocka_unit_test(other_content),
                                       cmocka_unit_test(stops_while_logging),
                                       cmocka_unit_test(stops_while_asked)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
