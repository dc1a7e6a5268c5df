/* What the bus tests share: a server on a thread of its own, and a raw peer over real nng. */
#ifndef TESTS_BUS_SERVER_H
#define TESTS_BUS_SERVER_H

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

static inline void on_any(struct bus_call *call, void *arg)
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

static inline void *serve(void *arg)
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

static inline void server_start(struct server *s)
{
    static atomic_int number;
    snprintf(s->address, sizeof s->address, "inproc://test-bus-%d", atomic_fetch_add(&number, 1));
    if (!s->max_role)
        s->max_role = BUS_OPERATOR;
    pthread_create(&s->thread, NULL, serve, s);
    while (!atomic_load(&s->up))
        nanosleep(&(struct timespec){0, 100000}, NULL);
}

static inline void server_stop(struct server *s)
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

static inline void run_errand(void *arg)
{
    struct errand *e = arg;
    e->fn(e->server, e->arg);
    atomic_store(&e->done, 1);
}

static inline void on_server(struct server *s, void (*fn)(struct server *s, void *arg), void *arg)
{
    struct errand e = {.server = s, .fn = fn, .arg = arg};
    assert_true(loop_post(s->loop, run_errand, &e));
    while (!atomic_load(&e.done))
        nanosleep(&(struct timespec){0, 100000}, NULL);
}

/* A raw peer: what it sends is what the server gets. */

static inline nng_socket raw_open(const struct server *s)
{
    nng_socket raw;
    assert_int_equal(nng_req0_open(&raw), 0);
    assert_int_equal(nng_socket_set_ms(raw, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE), 0);
    assert_int_equal(nng_socket_set_ms(raw, NNG_OPT_RECVTIMEO, 10000), 0);
    assert_int_equal(nng_dial(raw, s->address, NULL, 0), 0);
    return raw;
}

static inline json_t *raw_ask_bytes(nng_socket raw, const void *bytes, size_t len)
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

static inline json_t *raw_ask(nng_socket raw, const char *format, ...)
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

static inline int code_of(const json_t *reply)
{
    return (int)json_int(json_object_get(reply, "error"), "code", 0);
}

static inline const char *name_of(const json_t *reply)
{
    return json_str(json_object_get(json_object_get(reply, "error"), "data"), "name", "");
}

static inline void expect_code(nng_socket raw, const char *request, int code)
{
    json_t *r = raw_ask(raw, "%s", request);
    if (code_of(r) != code)
        fail_msg("%s: %d, not %d", request, code_of(r), code);
    assert_non_null(json_object_get(r, "id"));
    json_decref(r);
}

static inline char *raw_hello(nng_socket raw, const char *role)
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

#endif
