/* What the bus accepts and from whom, over real nng: B2, B3 and B5 of backend/bus/bus.h. */
#include "tests/unit/bus_server.h"

/* B5 and the envelope. */

static const struct {
    const char *request;
    int code;
} malformed[] = {
    {"", -32700},
    {"{", -32700},
    {"nonsense", -32700},
    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"session.ping\"}", -32700},
    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.ping\"} {}", -32700},
    {"\"\xff\"", -32700},
    {"[]", -32600},
    {"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.ping\"}]", -32600},
    {"{}", -32600},
    {"{\"jsonrpc\":\"2.0\",\"method\":\"session.ping\"}", -32600},
    {"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"session.ping\"}", -32600},
    {"{\"jsonrpc\":2.0,\"id\":1,\"method\":\"session.ping\"}", -32600},
    {"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"session.ping\"}", -32600},
    {"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"session.ping\"}", -32600},
    {"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"session.ping\"}", -32600},
    {"{\"jsonrpc\":\"2.0\",\"id\":1}", -32600},
    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", -32600},
    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"no.such\"}", -32601},
    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.ping\",\"params\":[]}", -32602},
    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.ping\",\"params\":null}", -32602},
    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.ping\",\"params\":{\"_meta\":1}}", -32602},
    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.ping\",\"params\":{\"_meta\":"
     "{\"session\":\"0123456789012345678901234567890123456789\"}}}",
     -32602},
    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.ping\",\"params\":{\"_meta\":"
     "{\"session\":\"a\\u0000b\"}}}",
     -32700},
    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.ping\",\"params\":{\"_meta\":"
     "{\"idempotency_key\":5}}}",
     -32602},
    {"{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"session.ping\"}", 0},
};

static void malformed_requests_are_refused(void **state)
{
    (void)state;
    struct server s = {0};
    server_start(&s);
    nng_socket raw = raw_open(&s);
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++)
        expect_code(raw, malformed[i].request, malformed[i].code);
    assert_int_equal(s.ran, 0);

    struct buf deep = {0}; /* 33 levels */
    buf_adds(&deep, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.ping\",\"params\":{\"a\":");
    for (int i = 0; i < 31; i++)
        buf_addc(&deep, '[');
    for (int i = 0; i < 31; i++)
        buf_addc(&deep, ']');
    buf_adds(&deep, "}}");
    expect_code(raw, deep.data, -32600);
    buf_clear(&deep);
    for (int i = 0; i < 500000; i++)
        buf_addc(&deep, '[');
    expect_code(raw, deep.data, -32600);
    buf_release(&deep);

    size_t size = BUS_MAX_REQUEST + 1;
    char *huge = malloc(size);
    memset(huge, ' ', size);
    json_t *r = raw_ask_bytes(raw, huge, size);
    assert_string_equal(name_of(r), "TOO_BIG");
    json_decref(r);
    free(huge);
    nng_close(raw);
    server_stop(&s);
}

static void the_id_comes_back(void **state)
{
    (void)state;
    struct server s = {0};
    server_start(&s);
    nng_socket raw = raw_open(&s);
    json_t *r = raw_ask(raw, "{\"jsonrpc\":\"2.0\",\"id\":\"a\\\"b\",\"method\":\"session.ping\"}");
    assert_string_equal(json_str(r, "id", ""), "a\"b");
    assert_true(json_int(json_object_get(r, "result"), "time", 0) > 0);
    json_decref(r);
    r = raw_ask(raw, "{\"jsonrpc\":\"2.0\",\"id\":77,\"method\":\"no.such\"}");
    assert_int_equal(json_int(r, "id", 0), 77);
    json_decref(r);
    nng_close(raw);
    server_stop(&s);
}

/* B2: every row of the table with every role. */

static bool own_method(enum wire_method m)
{
    return m == WIRE_session_hello || m == WIRE_session_bye || m == WIRE_session_ping ||
           m == WIRE_events_next;
}

static void check_role(nng_socket raw, const struct server *s, enum bus_role role)
{
    char *session = role ? raw_hello(raw, bus_role_name(role)) : xstrdup("");
    for (enum wire_method m = 0; m < WIRE_COUNT; m++) {
        if (own_method(m) && m != WIRE_events_next)
            continue;
        int before = s->ran;
        json_t *r = raw_ask(raw,
                            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":{\"after\":"
                            "0,\"_meta\":{\"session\":\"%s\",\"idempotency_key\":\"k%d\"}}}",
                            wire_row(m)->name, session, (int)m);
        bool allowed = role >= wire_row(m)->role && role;
        if (allowed != (code_of(r) == 0))
            fail_msg("%s as %s: %s", wire_row(m)->name, bus_role_name(role), name_of(r));
        if (!allowed)
            assert_string_equal(name_of(r), "DENIED");
        assert_int_equal(s->ran - before, allowed && !own_method(m));
        if (allowed && !own_method(m)) {
            const json_t *result = json_object_get(r, "result");
            assert_string_equal(json_str(result, "role", ""), bus_role_name(role));
            assert_string_equal(json_str(result, "method", ""), wire_row(m)->name);
            assert_false(json_flag(result, "meta", true));
        }
        json_decref(r);
    }
    free(session);
}

static void roles_are_kept_for_every_method(void **state)
{
    (void)state;
    struct server s = {0};
    server_start(&s);
    nng_socket raw = raw_open(&s);
    for (enum bus_role role = BUS_NONE; role <= BUS_OPERATOR; role++)
        check_role(raw, &s, role);
    nng_close(raw);
    server_stop(&s);
}

static void a_session_cannot_raise_its_role(void **state)
{
    (void)state;
    struct server s = {.max_role = BUS_DEMO};
    server_start(&s);
    nng_socket raw = raw_open(&s);
    json_t *r =
        raw_ask(raw, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.hello\",\"params\":"
                     "{\"protocol\":1,\"client\":{},\"role\":\"operator\"}}");
    const json_t *result = json_object_get(r, "result");
    assert_string_equal(json_str(result, "role", ""), "demo");
    assert_string_equal(json_str(result, "environment", ""), "test");
    char *session = xstrdup(json_str(result, "session", ""));
    json_decref(r);
    r = raw_ask(raw,
                "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"chat.ask\",\"params\":{\"_meta\":"
                "{\"session\":\"%s\",\"idempotency_key\":\"k\"}}}",
                session);
    assert_string_equal(name_of(r), "DENIED");
    json_decref(r);
    free(session);
    expect_code(raw,
                "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.hello\",\"params\":"
                "{\"protocol\":1,\"client\":{},\"role\":\"root\"}}",
                -32602);
    expect_code(raw,
                "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.hello\",\"params\":"
                "{\"protocol\":2,\"client\":{}}}",
                -32000 - ERR_UNSUPPORTED);
    nng_close(raw);
    server_stop(&s);
}

static void a_session_ends(void **state)
{
    (void)state;
    struct server s = {0};
    server_start(&s);
    nng_socket raw = raw_open(&s);
    char *session = raw_hello(raw, NULL);
    json_t *r = raw_ask(raw,
                        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.bye\",\"params\":"
                        "{\"_meta\":{\"session\":\"%s\"}}}",
                        session);
    assert_int_equal(code_of(r), 0);
    json_decref(r);
    r = raw_ask(raw,
                "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status.get\",\"params\":{\"_meta\":"
                "{\"session\":\"%s\"}}}",
                session);
    assert_string_equal(name_of(r), "DENIED");
    assert_int_equal(s.ran, 0);
    json_decref(r);
    free(session);
    nng_close(raw);
    server_stop(&s);
}

/* B3. */

static json_t *ask_text(nng_socket raw, const char *session, const char *key, const char *text)
{
    return raw_ask(raw,
                   "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"chat.ask\",\"params\":{\"text\":"
                   "\"%s\",\"_meta\":{\"session\":\"%s\"%s%s%s}}}",
                   text, session, key ? ",\"idempotency_key\":\"" : "", key ? key : "",
                   key ? "\"" : "");
}

static void a_key_acts_once(void **state)
{
    (void)state;
    struct server s = {0};
    server_start(&s);
    nng_socket raw = raw_open(&s);
    char *session = raw_hello(raw, NULL), *other = raw_hello(raw, NULL);
    json_t *first = ask_text(raw, session, "k1", "one"),
           *again = ask_text(raw, session, "k1", "one");
    assert_true(json_equal(first, again));
    assert_int_equal(s.ran, 1);
    json_decref(first), json_decref(again);

    json_t *changed = ask_text(raw, session, "k1", "two"); /* another request with that key */
    assert_string_equal(name_of(changed), "INVALID");
    json_t *missing = ask_text(raw, session, NULL, "one");
    assert_string_equal(name_of(missing), "INVALID");
    assert_int_equal(s.ran, 1);
    json_decref(changed), json_decref(missing);

    json_decref(ask_text(raw, other, "k1", "one")); /* keys belong to their session */
    assert_int_equal(s.ran, 2);

    first = ask_text(raw, session, "k2", "fail");
    again = ask_text(raw, session, "k2", "fail");
    assert_string_equal(name_of(first), "NO_SPACE");
    assert_true(json_equal(first, again));
    assert_int_equal(s.ran, 3);
    json_decref(first), json_decref(again);

    for (int i = 0; i < 1100; i++) { /* more than are remembered: the newest still are */
        char key[16];
        snprintf(key, sizeof key, "m%d", i);
        json_decref(ask_text(raw, session, key, "one"));
    }
    int before = s.ran;
    json_decref(ask_text(raw, session, "m1099", "one"));
    json_decref(ask_text(raw, session, "m100", "one"));
    assert_int_equal(s.ran, before);
    free(session), free(other);
    nng_close(raw);
    server_stop(&s);
}

static void answer_held(struct server *s, void *arg)
{
    (void)arg;
    for (size_t i = 0; i < s->held_count; i++) {
        json_t *r = json_object();
        json_puti(r, "held", (int64_t)i);
        bus_reply(s->held[i], r);
    }
    s->held_count = 0;
}

static void a_repeat_waits_for_the_first(void **state)
{
    (void)state;
    struct server s = {0};
    server_start(&s);
    nng_socket raw = raw_open(&s);
    char *session = raw_hello(raw, NULL);
    char *text = xasprintf("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"chat.ask\",\"params\":"
                           "{\"text\":\"hold\",\"_meta\":{\"session\":\"%s\",\"idempotency_key\":"
                           "\"h\"}}}",
                           session);
    enum { N = 3 };
    nng_ctx ctx[N];
    nng_aio *aio[N];
    for (int i = 0; i < N; i++) {
        nng_msg *m;
        assert_int_equal(nng_ctx_open(&ctx[i], raw), 0);
        assert_int_equal(nng_aio_alloc(&aio[i], NULL, NULL), 0);
        nng_msg_alloc(&m, 0);
        nng_msg_append(m, text, strlen(text));
        nng_aio_set_msg(aio[i], m);
        nng_ctx_send(ctx[i], aio[i]);
        nng_aio_wait(aio[i]);
        nng_ctx_recv(ctx[i], aio[i]);
    }
    nanosleep(&(struct timespec){0, 50000000}, NULL);
    assert_int_equal(s.ran, 1);
    on_server(&s, answer_held, NULL);
    for (int i = 0; i < N; i++) {
        nng_aio_wait(aio[i]);
        assert_int_equal(nng_aio_result(aio[i]), 0);
        nng_msg *m = nng_aio_get_msg(aio[i]);
        json_t *r = json_loadb(nng_msg_body(m), nng_msg_len(m), 0, NULL);
        assert_int_equal(json_int(json_object_get(r, "result"), "held", -1), 0);
        json_decref(r);
        nng_msg_free(m);
        nng_aio_free(aio[i]);
    }
    assert_int_equal(s.ran, 1);
    free(session), free(text);
    nng_close(raw);
    server_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_requests_are_refused),
        cmocka_unit_test(the_id_comes_back),
        cmocka_unit_test(roles_are_kept_for_every_method),
        cmocka_unit_test(a_session_cannot_raise_its_role),
        cmocka_unit_test(a_session_ends),
        cmocka_unit_test(a_key_acts_once),
        cmocka_unit_test(a_repeat_waits_for_the_first),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    bus_library_end();
    return failed;
}
