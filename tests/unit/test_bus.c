/* The bus over real nng, with the server on a thread of its own: B1 to B5 of backend/bus/bus.h. */
#include "backend/base/clock.h"
#include "backend/bus/client.h"
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The server: every handler counts, and answers {"method", "role", "n"}. */

struct server {
    pthread_t thread;
    struct loop *loop;
    struct bus *bus;
    char address[64];
    enum bus_role max_role;
    bool not_ready;
    atomic_int ran, up;
    struct loop_timer *later;
    struct bus_call *held[8];
    size_t held_count;
};

static void on_any(struct bus_call *call, void *arg)
{
    struct server *s = arg;
    int n = atomic_fetch_add(&s->ran, 1) + 1;
    if (!strcmp(json_str(bus_params(call), "text", ""), "hold")) {
        s->held[s->held_count++] = call;
        return;
    }
    if (!strcmp(json_str(bus_params(call), "text", ""), "fail")) {
        struct error e;
        err_set(&e, ERR_NO_SPACE, "number %d", n);
        bus_fail(call, &e);
        return;
    }
    json_t *r = json_object();
    json_puts(r, "method", wire_row(bus_method(call))->name);
    json_puts(r, "role", bus_role_name(bus_session(call)->role));
    json_puti(r, "n", n);
    json_put(r, "meta", json_boolean(json_object_get(bus_params(call), "_meta") != NULL));
    bus_reply(call, r);
}

static bus_handler *const handlers[WIRE_COUNT] = {
#define WIRE(id, name, role, mutates, params, result, help) [WIRE_##id] = on_any,
#include "backend/bus/wire.def"
#undef WIRE
};

static void *serve(void *arg)
{
    struct server *s = arg;
    struct error e = {0};
    s->loop = loop_new();
    s->bus = bus_new(s->loop, s->address, handlers, s, s->max_role, "test", &e);
    if (!s->bus)
        abort();
    if (!s->not_ready)
        bus_ready(s->bus, NULL);
    atomic_store(&s->up, 1);
    loop_run(s->loop);
    bus_free(s->bus);
    for (size_t i = 0; i < s->held_count; i++) /* later than the bus: only their memory is left */
        bus_reply(s->held[i], json_object());
    loop_free(s->loop);
    return NULL;
}

static void server_start(struct server *s)
{
    static atomic_int number;
    snprintf(s->address, sizeof s->address, "inproc://test-bus-%d", atomic_fetch_add(&number, 1));
    if (!s->max_role)
        s->max_role = BUS_OPERATOR;
    pthread_create(&s->thread, NULL, serve, s);
    while (!atomic_load(&s->up))
        nanosleep(&(struct timespec){0, 100000}, NULL);
}

static void server_stop(struct server *s)
{
    loop_quit(s->loop);
    pthread_join(s->thread, NULL);
}

/* Runs a function on the server's thread and waits for it. */
struct errand {
    struct server *server;
    void (*fn)(struct server *s, void *arg);
    void *arg;
    atomic_int done;
};

static void run_errand(void *arg)
{
    struct errand *e = arg;
    e->fn(e->server, e->arg);
    atomic_store(&e->done, 1);
}

static void on_server(struct server *s, void (*fn)(struct server *s, void *arg), void *arg)
{
    struct errand e = {.server = s, .fn = fn, .arg = arg};
    assert_true(loop_post(s->loop, run_errand, &e));
    while (!atomic_load(&e.done))
        nanosleep(&(struct timespec){0, 100000}, NULL);
}

/* A raw peer: what it sends is what the server gets. */

static nng_socket raw_open(const struct server *s)
{
    nng_socket raw;
    assert_int_equal(nng_req0_open(&raw), 0);
    assert_int_equal(nng_socket_set_ms(raw, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE), 0);
    assert_int_equal(nng_socket_set_ms(raw, NNG_OPT_RECVTIMEO, 10000), 0);
    assert_int_equal(nng_dial(raw, s->address, NULL, 0), 0);
    return raw;
}

static json_t *raw_ask_bytes(nng_socket raw, const void *bytes, size_t len)
{
    char *reply;
    size_t size;
    assert_int_equal(nng_send(raw, (void *)bytes, len, 0), 0);
    assert_int_equal(nng_recv(raw, &reply, &size, NNG_FLAG_ALLOC), 0);
    json_t *r = json_loadb(reply, size, 0, NULL);
    nng_free(reply, size);
    assert_non_null(r);
    assert_string_equal(json_str(r, "jsonrpc", ""), "2.0");
    return r;
}

static json_t *raw_ask(nng_socket raw, const char *format, ...)
{
    struct buf text = {0};
    va_list args;
    va_start(args, format);
    buf_vaddf(&text, format, args);
    va_end(args);
    json_t *r = raw_ask_bytes(raw, text.data, text.len);
    buf_release(&text);
    return r;
}

static int code_of(const json_t *reply)
{
    return (int)json_int(json_object_get(reply, "error"), "code", 0);
}

static const char *name_of(const json_t *reply)
{
    return json_str(json_object_get(json_object_get(reply, "error"), "data"), "name", "");
}

static void expect_code(nng_socket raw, const char *request, int code)
{
    json_t *r = raw_ask(raw, "%s", request);
    if (code_of(r) != code)
        fail_msg("%s: %d, not %d", request, code_of(r), code);
    assert_non_null(json_object_get(r, "id"));
    json_decref(r);
}

static char *raw_hello(nng_socket raw, const char *role)
{
    json_t *r = raw_ask(raw,
                        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.hello\",\"params\":"
                        "{\"protocol\":1,\"client\":{},\"role\":%s%s%s}}",
                        role ? "\"" : "", role ? role : "null", role ? "\"" : "");
    char *session = xstrdup(json_str(json_object_get(r, "result"), "session", ""));
    assert_int_equal(strlen(session), 32);
    json_decref(r);
    return session;
}

/* B5 and the envelope. */

static void malformed_requests_are_refused(void **state)
{
    (void)state;
    struct server s = {0};
    server_start(&s);
    nng_socket raw = raw_open(&s);
    static const struct {
        const char *request;
        int code;
    } rows[] = {
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
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.ping\",\"params\":{\"_meta\":1}}",
         -32602},
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
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect_code(raw, rows[i].request, rows[i].code);
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

/* Starting. */

struct got {
    int replies;
    enum err code;
    char detail[256];
};

static void on_reply(void *arg, const json_t *result, const struct error *e)
{
    struct got *g = arg;
    (void)result;
    g->replies++;
    g->code = e->code;
    snprintf(g->detail, sizeof g->detail, "%s", e->detail);
}

static void dispatch_until(struct busc *c, const int *count, int enough)
{
    uint64_t until = clock_mono_ms() + 10000;
    while (*count < enough && clock_mono_ms() < until) {
        struct pollfd ready = {.fd = busc_fd(c), .events = POLLIN};
        poll(&ready, 1, 100);
        busc_dispatch(c);
    }
    assert_int_equal(*count, enough);
}

static void now_ready(struct server *s, void *arg)
{
    bus_set_environment(s->bus, "other", BUS_REVIEWER);
    bus_ready(s->bus, arg);
}

static void requests_wait_until_the_backend_is_ready(void **state)
{
    (void)state;
    struct server s = {.not_ready = true};
    struct got got = {0}, denied = {0};
    server_start(&s);
    struct busc *c = busc_new(s.address, "test", NULL, NULL);
    busc_call(c, WIRE_status_get, NULL, on_reply, &got);
    busc_call(c, WIRE_cost_summary, NULL, on_reply, &got);
    busc_call(c, WIRE_chat_ask, NULL, on_reply, &denied);
    for (int i = 0; i < 20; i++) {
        nanosleep(&(struct timespec){0, 2000000}, NULL);
        busc_dispatch(c);
    }
    assert_int_equal(got.replies, 0);
    assert_false(json_flag(busc_hello(c), "ready", true));
    on_server(&s, now_ready, NULL);
    dispatch_until(c, &got.replies, 2);
    dispatch_until(c, &denied.replies, 1);
    assert_int_equal(got.code, ERR_OK);
    assert_int_equal(denied.code, ERR_DENIED); /* by the role that came with the configuration */
    busc_free(c);
    server_stop(&s);
}

static void a_start_that_failed_fails_every_request(void **state)
{
    (void)state;
    struct server s = {.not_ready = true};
    struct got got = {0};
    struct error e, *why = &(struct error){ERR_LOCKED, "pid 7"};
    server_start(&s);
    struct busc *c = busc_new(s.address, "test", NULL, NULL);
    busc_call(c, WIRE_status_get, NULL, on_reply, &got);
    while (!busc_hello(c))
        busc_dispatch(c);
    on_server(&s, now_ready, why);
    dispatch_until(c, &got.replies, 1);
    assert_int_equal(got.code, ERR_LOCKED);
    assert_string_equal(got.detail, "pid 7");
    assert_null(busc_wait(c, WIRE_session_ping, NULL, 5000, &e));
    assert_int_equal(e.code, ERR_LOCKED);
    struct busc *late = busc_new(s.address, "test", NULL, NULL); /* its hello fails already */
    assert_null(busc_wait(late, WIRE_status_get, NULL, 5000, &e));
    assert_int_equal(e.code, ERR_LOCKED);
    busc_free(late);
    busc_free(c);
    server_stop(&s);
}

/* Events. */

struct seen {
    int events, resyncs;
    int64_t last;
    bool disorder;
};

static void on_event(void *arg, const char *type, int64_t at, const json_t *data)
{
    struct seen *v = arg;
    int64_t n = json_int(data, "n", -1);
    v->disorder = v->disorder || strcmp(type, "tick") || at <= 0 || (v->events && n != v->last + 1);
    v->last = n;
    v->events++;
}

static void on_resync(void *arg)
{
    ((struct seen *)arg)->resyncs++;
}

struct ticks {
    int from, count;
};

static void emit(struct server *s, void *arg)
{
    struct ticks *t = arg;
    for (int i = 0; i < t->count; i++) {
        json_t *data = json_object();
        json_puti(data, "n", t->from + i);
        bus_event(s->bus, "tick", data);
        json_decref(data);
    }
}

static void wait_for_polls(void)
{
    nanosleep(&(struct timespec){0, 30000000}, NULL);
}

static void events_come_in_order(void **state)
{
    (void)state;
    struct server s = {0};
    struct seen seen = {0};
    server_start(&s);
    struct busc *c = busc_new(s.address, "test", NULL, NULL);
    while (!busc_hello(c))
        busc_dispatch(c);
    on_server(&s, emit, &(struct ticks){0, 10}); /* between hello and the first poll */
    busc_events(c, on_event, on_resync, &seen);
    dispatch_until(c, &seen.events, 10);
    for (int i = 0; i < 50; i++)
        on_server(&s, emit, &(struct ticks){10 + 60 * i, 60});
    dispatch_until(c, &seen.events, 3010);
    assert_false(seen.disorder);
    assert_int_equal(seen.resyncs, 0);
    assert_true(busc_live(c));
    assert_true(busc_latency_ms(c) >= 0 && busc_latency_ms(c) < 1000);
    busc_free(c);
    server_stop(&s);
}

static void who_falls_behind_is_told(void **state)
{
    (void)state;
    struct server s = {0};
    struct seen seen = {0};
    server_start(&s);
    struct busc *c = busc_new(s.address, "test", NULL, NULL);
    while (!busc_hello(c))
        busc_dispatch(c);
    on_server(&s, emit, &(struct ticks){0, BUS_RING + 1});
    busc_events(c, on_event, on_resync, &seen);
    dispatch_until(c, &seen.resyncs, 1);
    assert_int_equal(seen.events, 0);
    wait_for_polls();
    on_server(&s, emit, &(struct ticks){5000, 3});
    dispatch_until(c, &seen.events, 3);
    assert_int_equal(seen.resyncs, 1);
    assert_int_equal(seen.last, 5002);

    /* A cursor of another run, below or above, is answered at once. */
    struct error e;
    for (int i = 0; i < 2; i++) {
        json_t *p = json_object();
        json_puti(p, "after", i ? INT64_MAX : 12);
        json_puti(p, "wait_ms", 60000);
        json_t *r = busc_wait(c, WIRE_events_next, p, 5000, &e);
        assert_true(json_flag(r, "resync", false));
        json_decref(r);
    }
    busc_free(c);
    server_stop(&s);
}

static void a_poll_has_a_limit(void **state)
{
    (void)state;
    struct server s = {0};
    struct error e;
    server_start(&s);
    struct busc *c = busc_new(s.address, "test", NULL, NULL);
    while (!busc_hello(c))
        busc_dispatch(c);
    json_t *p = json_object();
    json_puti(p, "after", json_int(busc_hello(c), "cursor", 0));
    json_puti(p, "wait_ms", 30);
    uint64_t before = clock_mono_ms();
    json_t *r = busc_wait(c, WIRE_events_next, p, 5000, &e);
    assert_in_range(clock_mono_ms() - before, 29, 2000);
    assert_int_equal(json_array_size(json_object_get(r, "events")), 0);
    assert_false(json_flag(r, "resync", true));
    json_decref(r);
    static const char *const bad[] = {"{}", "{\"after\":\"x\"}", "{\"after\":1,\"max\":0}",
                                      "{\"after\":1,\"wait_ms\":60001}"};
    for (size_t i = 0; i < 4; i++) {
        assert_null(busc_wait(c, WIRE_events_next, json_loads(bad[i], 0, NULL), 5000, &e));
        assert_int_equal(e.code, ERR_INVALID);
    }
    busc_free(c);
    server_stop(&s);
}

static void hold_polls(struct busc *c, int count, struct got *got)
{
    for (int i = 0; i < count; i++) {
        json_t *p = json_object();
        json_puti(p, "after", json_int(busc_hello(c), "cursor", 0));
        json_puti(p, "wait_ms", 60000);
        busc_call(c, WIRE_events_next, p, on_reply, got);
    }
}

static void a_thousand_polls_are_held_and_woken(void **state)
{
    (void)state;
    struct server s = {0};
    struct got got = {0};
    struct error e;
    server_start(&s);
    struct busc *c = busc_new(s.address, "test", NULL, NULL);
    while (!busc_hello(c))
        busc_dispatch(c);
    hold_polls(c, 1000, &got);
    json_t *r = busc_wait(c, WIRE_status_get, NULL, 5000, &e); /* there is room beside them */
    assert_non_null(r);
    json_decref(r);
    assert_int_equal(got.replies, 0);
    on_server(&s, emit, &(struct ticks){0, 1});
    dispatch_until(c, &got.replies, 1000);
    assert_int_equal(got.code, ERR_OK);
    busc_free(c);
    server_stop(&s);
}

static void polls_beyond_the_bound_do_not_shut_others_out(void **state)
{
    (void)state;
    struct server s = {0};
    struct got got = {0};
    struct error e;
    server_start(&s);
    struct busc *c = busc_new(s.address, "test", NULL, NULL);
    while (!busc_hello(c))
        busc_dispatch(c);
    hold_polls(c, 1200, &got);
    json_t *r = busc_wait(c, WIRE_status_get, NULL, 5000, &e);
    assert_non_null(r);
    json_decref(r);
    assert_true(got.replies >= 1200 - 1024 && got.replies < 400); /* the oldest gave way */
    busc_free(c);
    server_stop(&s);
}

/* The end. */

/* Stops with 200 polls and a call that its handler holds; returns how long it took. */
static uint64_t stop_with_held_requests(void)
{
    struct server s = {0};
    struct got got = {0};
    struct error e;
    server_start(&s);
    struct busc *c = busc_new(s.address, "test", NULL, NULL);
    json_decref(busc_wait(c, WIRE_status_get, NULL, 5000, &e));
    hold_polls(c, 200, &got);
    json_t *p = json_object();
    json_puts(p, "text", "hold");
    busc_call(c, WIRE_chat_ask, p, on_reply, &got); /* its handler answers after the end */
    json_decref(busc_wait(c, WIRE_status_get, NULL, 5000, &e));
    uint64_t before = clock_mono_ms();
    server_stop(&s);
    uint64_t took = clock_mono_ms() - before;
    dispatch_until(c, &got.replies, 201);
    assert_int_equal(got.code, ERR_CLOSED);
    assert_null(busc_wait(c, WIRE_status_get, NULL, 100, &e));
    assert_int_equal(e.code, ERR_TIMEOUT);
    busc_free(c);
    return took;
}

static void stopping_answers_who_waits(void **state)
{
    (void)state;
    uint64_t best = UINT64_MAX; /* of five, for a machine that is busy */
    for (int i = 0; i < 5 && best >= 50; i++) {
        uint64_t took = stop_with_held_requests();
        best = took < best ? took : best;
    }
    assert_in_range(best, 0, 49);
}

static void free_bus(struct server *s, void *arg)
{
    (void)arg;
    bus_free(s->bus);
    s->bus = NULL;
}

static void the_bus_may_end_before_its_loop(void **state)
{
    (void)state;
    struct server s = {0};
    struct got got = {0};
    struct error e;
    server_start(&s);
    struct busc *c = busc_new(s.address, "test", NULL, NULL);
    json_decref(busc_wait(c, WIRE_status_get, NULL, 5000, &e));
    hold_polls(c, 40, &got);
    json_decref(busc_wait(c, WIRE_status_get, NULL, 5000, &e)); /* behind them: they are there */
    for (int i = 0; i < 40; i++)
        busc_call(c, WIRE_status_get, NULL, on_reply, &got);
    on_server(&s, free_bus, NULL);
    struct pollfd ready = {.fd = busc_fd(c), .events = POLLIN};
    for (uint64_t until = clock_mono_ms() + 100; clock_mono_ms() < until;) {
        poll(&ready, 1, 10);
        busc_dispatch(c);
    }
    assert_true(got.replies >= 40); /* those that were there; the rest waits for a new peer */
    busc_free(c);
    server_stop(&s);
}

static void a_client_may_come_first_and_leave_at_any_time(void **state)
{
    (void)state;
    struct server s = {0};
    struct error e = {0};
    struct busc *lonely = busc_new("inproc://nobody", "test", NULL, &e);
    assert_non_null(lonely);
    busc_call(lonely, WIRE_status_get, NULL, on_reply, NULL);
    assert_null(busc_wait(lonely, WIRE_status_get, NULL, 30, &e));
    assert_int_equal(e.code, ERR_TIMEOUT);
    busc_free(lonely);

    struct busc *early = busc_new("inproc://test-bus-early", "test", NULL, &e);
    nanosleep(&(struct timespec){0, 30000000}, NULL);
    s.max_role = BUS_OPERATOR;
    snprintf(s.address, sizeof s.address, "inproc://test-bus-early");
    pthread_create(&s.thread, NULL, serve, &s);
    json_t *r = busc_wait(early, WIRE_status_get, NULL, 5000, &e);
    assert_non_null(r);
    json_decref(r);
    struct got got = {0};
    hold_polls(early, 50, &got);
    for (int i = 0; i < 50; i++)
        busc_call(early, WIRE_status_get, NULL, on_reply, &got);
    busc_free(early); /* with all of them under way */
    struct busc *next = busc_new(s.address, "test", NULL, &e);
    r = busc_wait(next, WIRE_status_get, NULL, 5000, &e);
    assert_non_null(r);
    json_decref(r);
    busc_free(next);
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
        cmocka_unit_test(requests_wait_until_the_backend_is_ready),
        cmocka_unit_test(a_start_that_failed_fails_every_request),
        cmocka_unit_test(events_come_in_order),
        cmocka_unit_test(who_falls_behind_is_told),
        cmocka_unit_test(a_poll_has_a_limit),
        cmocka_unit_test(a_thousand_polls_are_held_and_woken),
        cmocka_unit_test(polls_beyond_the_bound_do_not_shut_others_out),
        cmocka_unit_test(stopping_answers_who_waits),
        cmocka_unit_test(the_bus_may_end_before_its_loop),
        cmocka_unit_test(a_client_may_come_first_and_leave_at_any_time),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    bus_library_end();
    return failed;
}
