/* The MCP server: M1, M2, M4 of server.h, over a whole backend; what tools answer fits the schemas
 * that they promise. */
#include "console_harness.h"

#include "backend/connectors/internal.h"
#include "server/internal.h"

struct world {
    struct console console;
    struct server *server;
    struct peer peer;
    json_t *answers; /* {id: message} */
    int wanted;
};

static void keep(struct peer *p, void *channel, json_t *message, bool last)
{
    struct world *w = channel;
    const json_t *id = json_object_get(message, "id");
    (void)p;
    if (last) {
        char *key = json_is_string(id) ? xstrdup(json_string_value(id)) : xstrdup("?");
        assert_null(json_object_get(w->answers, key)); /* M1 */
        json_object_set(w->answers, key, message);
        free(key);
        if ((int)json_object_size(w->answers) == w->wanted)
            loop_quit(w->server->loop);
    }
    json_decref(message);
}

static const struct peer_ops OPS = {keep, NULL};

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    struct server_options o = {.listen = "127.0.0.1:0", .rate = 1, .write = true};
    struct error e = {0};
    w->console = console_start(new_dir(), NULL, NULL);
    w->server = server_new(&o, w->console.bus, &e);
    assert_non_null(w->server);
    w->server->role = BUS_OPERATOR;
    server__peer_init(&w->peer, w->server, &OPS);
    w->peer.revision = REV_2025_11;
    w->answers = json_object();
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    server__peer_end(&w->peer);
    server_free(w->server);
    console_stop(&w->console, false);
    json_decref(w->answers);
    free(w);
    return 0;
}

static void take(struct world *w, const char *id, const char *method, json_t *params)
{
    json_t *m = json_object();
    json_puts(m, "jsonrpc", "2.0");
    json_puts(m, "id", id);
    json_puts(m, "method", method);
    json_put(m, "params", params);
    server__take(&w->peer, w, m, false);
    json_decref(m);
}

static const json_t *call_tool(struct world *w, const char *id, const char *name,
                               const char *arguments)
{
    json_t *params = json_object();
    json_puts(params, "name", name);
    json_put(params, "arguments", json_loads(arguments, 0, NULL));
    w->wanted = (int)json_object_size(w->answers) + 1;
    take(w, id, "tools/call", params);
    if (!json_object_get(w->answers, id)) {
        busc_events(w->console.bus, server__on_event, server__on_resync, w->server);
        loop_run(w->server->loop);
    }
    return json_object_get(json_object_get(w->answers, id), "result");
}

static void tools_keep_their_schemas(void **state)
{
    struct world *w = *state;
    static const char *const ALL[][2] = {
        {"ask", "{\"question\": \"are all connectors healthy?\"}"},
        {"search_evidence", "{\"limit\": 5, \"since\": \"2020-01-01T00:00:00.000Z\"}"},
        {"get_evidence", "{\"seq\": 0}"},
        {"verify_evidence", "{}"},
        {"sign_checkpoint", "{}"},
        {"prove_evidence", "{\"seq\": 0}"},
        {"lineage", "{\"id\": \"0\"}"},
        {"connector_health", "{}"},
        {"connector_health", "{\"connector\": \"host\"}"},
        {"cost_summary", "{\"days\": 7}"},
        {"scorecard", "{\"failing_only\": true}"},
        {"console_status", "{}"},
        {"check_connector", "{\"name\": \"host\"}"},
    };
    char id[32];
    const char *trace = NULL;
    for (size_t i = 0; i < sizeof ALL / sizeof *ALL; i++) {
        struct error e = {0};
        snprintf(id, sizeof id, "%zu", i);
        const json_t *result = call_tool(w, id, ALL[i][0], ALL[i][1]),
                     *value = json_object_get(result, "structuredContent");
        const struct tool *t = server__tool_find(w->server, ALL[i][0]);
        if (json_flag(result, "isError", true))
            fail_msg("%s: %s", ALL[i][0], json_dumps(result, 0));
        if (conn__schema_check(json_object_get(t->definition, "outputSchema"), value, &e))
            fail_msg("%s: %s", ALL[i][0], e.detail);
        if (i == 0)
            trace = json_str(value, "trace_id", "");
    }
    char *arguments = xasprintf("{\"trace_id\": \"%s\"}", trace);
    assert_false(json_flag(call_tool(w, "last", "explain_answer", arguments), "isError", true));
    free(arguments);
}

/* M2: what only reads says so, what acts is not offered unless that was allowed. */
static void acts_only_if_allowed(void **state)
{
    struct world *w = *state;
    for (int write = 0; write < 2; write++) {
        w->server->write = write;
        for (const struct tool_row *row = server__tool_rows; row->name; row++) {
            const struct tool *t = server__tool_find(w->server, row->name);
            assert_int_equal(t != NULL, write || !row->write);
            if (t)
                assert_int_equal(
                    json_flag(json_object_get(t->definition, "annotations"), "readOnlyHint", false),
                    !row->write);
        }
    }
    w->server->role = BUS_DEMO;
    assert_null(server__tool_find(w->server, "ask"));
    assert_null(server__tool_find(w->server, "sign_checkpoint"));
}

/* M4: more requests than one peer may have under way. */
static void bounds(void **state)
{
    struct world *w = *state;
    int refused = 0;
    char id[32];
    for (int i = 0; i < SERVER_PEER_CALLS + 5; i++) {
        snprintf(id, sizeof id, "%d", i);
        take(w, id, "resources/read",
             json_pack("{s:s}", "uri", "console://status")); /* nothing turns the loop */
        refused += json_object_get(json_object_get(w->answers, id), "error") != NULL;
    }
    assert_int_equal(refused, 5);
    take(w, "0", "resources/read", json_pack("{s:s}", "uri", "console://status"));
    assert_int_equal(
        json_int(json_object_get(json_object_get(w->answers, "0"), "error"), "code", 0),
        RPC_REQUEST); /* that id is under way */
}

static void arguments_are_checked(void **state)
{
    struct world *w = *state;
    static const char *const BAD[][2] = {{"get_evidence", "{}"},
                                         {"get_evidence", "{\"seq\": \"1\"}"},
                                         {"get_evidence", "{\"seq\": -1}"},
                                         {"get_evidence", "{\"seq\": 1, \"more\": 1}"},
                                         {"ask", "{\"question\": \"\"}"},
                                         {"lineage", "{\"id\": \"0\", \"direction\": \"left\"}"},
                                         {"search_evidence", "{\"since\": \"yesterday\"}"},
                                         {"search_evidence", "{\"limit\": 201}"}};
    char id[32];
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        snprintf(id, sizeof id, "%zu", i);
        assert_true(json_flag(call_tool(w, id, BAD[i][0], BAD[i][1]), "isError", false));
    }
}

static void long_payloads_are_cut(void **state)
{
    (void)state;
    char *text = xcalloc(1, 70001);
    memset(text, 'a', 70000);
    memcpy(text + 65525, "\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6", 12);
    for (int shift = 0; shift < 2; shift++) { /* one of them is in the middle of a letter */
        json_t *entry = json_pack("{s:i, s:s}", "seq", 1, "payload", text + shift);
        json_t *cut = server__shape_entry(NULL, entry), *of = json_object_get(cut, "cut");
        assert_true(json_is_null(json_object_get(cut, "payload")));
        assert_int_equal(json_int(of, "bytes", 0), 70002 - shift);
        size_t len = json_string_length(json_object_get(of, "begins"));
        assert_true(len == 65536 || len == 65535);
        json_decref(cut);
        json_decref(entry);
    }
    json_t *entry = json_pack("{s:i, s:s}", "seq", 1, "payload", text + 10000),
           *whole = server__shape_entry(NULL, entry);
    assert_true(json_equal(entry, whole));
    json_decref(entry);
    json_decref(whole);
    free(text);
}

static void headers(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        bool good;
    } HOSTS[] = {{"localhost", true},
                 {"LOCALHOST:80", true},
                 {"127.0.0.1:8096", true},
                 {"[::1]:8096", true},
                 {"agents.example", true},
                 {"evil.example", false},
                 {"localhost.evil", false},
                 {"localhost:8x", false},
                 {"127.0.0.1.evil:80", false},
                 {"", false},
                 {"[::1", false}};
    for (size_t i = 0; i < sizeof HOSTS / sizeof *HOSTS; i++)
        assert_int_equal(
            server__host_good(HOSTS[i].host, "127.0.0.1:8096", false, "agents.example"),
            HOSTS[i].good);
    assert_false(server__host_good(NULL, "127.0.0.1:8096", false, ""));
    assert_false(server__host_good("10.0.0.7:80", "127.0.0.1:8096", false, ""));
    assert_true(server__host_good("10.0.0.7:80", "10.0.0.7:80", true, ""));
    assert_true(server__origin_good("http://localhost:80", "localhost:80", ""));
    assert_false(server__origin_good("null", "localhost:80", ""));
    assert_false(server__origin_good("http://localhost:81", "localhost:80", ""));
    assert_true(server__accepts("text/html, application/json;q=0.9", "application/json"));
    assert_true(server__accepts("*/*", "application/json"));
    assert_true(server__accepts("text/*", "text/event-stream"));
    assert_false(server__accepts("application/jsonx", "application/json"));
    assert_false(server__accepts(NULL, "application/json"));
    char *text = server__header_decode("=?base64?SGVsbG8=?=");
    assert_string_equal(text, "Hello");
    free(text);
    assert_null(server__header_decode("=?base64?SGVsbG8?="));
    assert_null(server__header_decode("h\xc3\xa9"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tools_keep_their_schemas, set_up, tear_down),
        cmocka_unit_test_setup_teardown(acts_only_if_allowed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bounds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(arguments_are_checked, set_up, tear_down),
        cmocka_unit_test(long_payloads_are_cut),
        cmocka_unit_test(headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
