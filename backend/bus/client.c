/* The bus, client side.
 *
 * A call: queued (until the session is open) -> sending -> receiving -> done -> dispatched.
 *
 * 1 nng's threads run on_aio and on_tick only: they move a call from sending to receiving, or put
 * it on the done list and raise the eventfd. All else runs on the caller's thread. 2 From handing a
 * call to nng until it is on the done list, nothing but on_aio touches it. 3 A call that was sent
 * is never sent again. */
#include "backend/bus/client.h"
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    SEND_LIMIT_MS = 10000, /* how long a call waits for the peer to be there */
    POLL_WAIT_MS = 25000,
    POLL_MAX = 256,
    PING_MS = 5000,
    RETRY_MS = 250,
    RECONNECT_MIN_MS = 5,
    RECONNECT_MAX_MS = 50,
    REPLY_MAX = 64 << 20,
    REPLY_DEPTH = 64
};

enum call_state { CALL_SENDING, CALL_RECEIVING };
struct call {
    TAILQ_ENTRY(call) link;     /* in queued, free or done */
    TAILQ_ENTRY(call) all_link; /* every call with a context */
    struct busc *client;
    nng_ctx ctx;
    nng_aio *aio;
    enum call_state state;
    int result; /* of the aio */
    uint64_t sent_ns, done_ns;
    enum wire_method method;
    json_t *params;
    busc_reply *fn;
    void *arg;
};
TAILQ_HEAD(calls, call);

enum session_state { SESSION_NONE, SESSION_OPENING, SESSION_OPEN };

struct busc {
    nng_socket socket;
    int fd; /* eventfd */
    char *name, *role;
    uint64_t next_id, next_key;
    char key_prefix[17];
    enum session_state session;
    json_t *hello;
    struct calls queued, free, all;
    pthread_mutex_t lock; /* guards done and ticked */
    struct calls done;
    bool ticked;
    nng_aio *tick;
    busc_event *event;
    void (*resync)(void *arg);
    void *event_arg;
    int64_t cursor;
    bool polling, live;
    bool interrupted; /* atomically: by a signal's handler or another thread */
    double latency_ms;
};

/* From nng's threads. */

static void raise_fd(const struct busc *c)
{
    uint64_t one = 1;
    while (write(c->fd, &one, sizeof one) < 0 && errno == EINTR)
        continue;
}

static void on_aio(void *arg)
{
    struct call *call = arg;
    struct busc *c = call->client;
    int result = nng_aio_result(call->aio);
    if (call->state == CALL_SENDING && !result) {
        call->state = CALL_RECEIVING;
        nng_aio_set_timeout(call->aio, NNG_DURATION_INFINITE);
        nng_ctx_recv(call->ctx, call->aio);
        return;
    }
    call->result = result;
    call->done_ns = clock_mono_ns();
    pthread_mutex_lock(&c->lock);
    TAILQ_INSERT_TAIL(&c->done, call, link);
    pthread_mutex_unlock(&c->lock);
    raise_fd(c);
}

static void on_tick(void *arg)
{
    struct busc *c = arg;
    if (nng_aio_result(c->tick))
        return;
    pthread_mutex_lock(&c->lock);
    c->ticked = true;
    pthread_mutex_unlock(&c->lock);
    raise_fd(c);
}

/* Sending. */

static struct call *call_new(struct busc *c)
{
    struct call *call = TAILQ_FIRST(&c->free);
    if (call) {
        TAILQ_REMOVE(&c->free, call, link);
        return call;
    }
    call = xcalloc(1, sizeof *call);
    call->client = c;
    BUG_IF(nng_ctx_open(&call->ctx, c->socket));
    BUG_IF(nng_aio_alloc(&call->aio, on_aio, call));
    TAILQ_INSERT_TAIL(&c->all, call, all_link);
    return call;
}

static char *request_text(struct busc *c, struct call *call)
{
    json_t *request = json_object(), *meta = json_object();
    if (c->hello)
        json_puts(meta, "session", json_str(c->hello, "session", ""));
    if (wire_row(call->method)->mutates) {
        char *key = xasprintf("%s-%llu", c->key_prefix, (unsigned long long)++c->next_key);
        json_puts(meta, "idempotency_key", key);
        free(key);
    }
    const char *trace = json_str(json_object_get(call->params, "_meta"), "traceparent", NULL);
    if (trace)
        json_puts(meta, "traceparent", trace);
    json_put(call->params, "_meta", meta);
    json_puts(request, "jsonrpc", "2.0");
    json_puti(request, "id", (int64_t)++c->next_id);
    json_puts(request, "method", wire_row(call->method)->name);
    json_put(request, "params", json_incref(call->params));
    char *text = json_write(request);
    json_decref(request);
    return text;
}

static void call_send(struct busc *c, struct call *call)
{
    char *text = request_text(c, call);
    nng_msg *m;
    BUG_IF(nng_msg_alloc(&m, 0) || nng_msg_append(m, text, strlen(text)));
    free(text);
    nng_aio_set_msg(call->aio, m);
    nng_aio_set_timeout(call->aio, SEND_LIMIT_MS);
    call->state = CALL_SENDING;
    call->sent_ns = clock_mono_ns();
    nng_ctx_send(call->ctx, call->aio);
}

static void on_hello(void *arg, const json_t *result, const struct error *e);

static struct call *call_start(struct busc *c, enum wire_method m, json_t *params, busc_reply *fn,
                               void *arg)
{
    struct call *call = call_new(c);
    call->method = m;
    call->params = params ? params : json_object();
    call->fn = fn;
    call->arg = arg;
    if (c->session == SESSION_OPEN || m == WIRE_session_hello)
        call_send(c, call);
    else
        TAILQ_INSERT_TAIL(&c->queued, call, link);
    return call;
}

static void session_start(struct busc *c)
{
    json_t *p = json_object(), *client = json_object();
    json_puts(client, "name", c->name);
    json_puts(client, "version", MCPC_VERSION);
    json_puti(p, "protocol", BUS_PROTOCOL);
    json_put(p, "client", client);
    if (c->role)
        json_puts(p, "role", c->role);
    c->session = SESSION_OPENING;
    call_start(c, WIRE_session_hello, p, on_hello, c);
}

static struct call *call_make(struct busc *c, enum wire_method m, json_t *params, busc_reply *fn,
                              void *arg)
{
    struct call *call = call_start(c, m, params, fn, arg);
    if (c->session == SESSION_NONE)
        session_start(c); /* it failed before: the call waits for another attempt */
    return call;
}

void busc_call(struct busc *c, enum wire_method m, json_t *params, busc_reply *fn, void *arg)
{
    call_make(c, m, params, fn, arg);
}

/* Receiving. */

static void call_end(struct busc *c, struct call *call, const json_t *result, const struct error *e)
{
    busc_reply *fn = call->fn;
    void *arg = call->arg;
    json_decref(call->params);
    call->params = NULL;
    call->fn = NULL;
    TAILQ_INSERT_HEAD(&c->free, call, link);
    if (fn)
        fn(arg, result, e);
}

static void reply_error(const json_t *error, struct error *e)
{
    const json_t *data = json_object_get(error, "data");
    const char *name = json_str(data, "name", NULL);
    if (name)
        err_set(e, err_from_name(name), "%s", json_str(data, "detail", ""));
    else
        err_set(e, ERR_PROTOCOL, "%s", json_str(error, "message", "an error without a name"));
    if (!e->code)
        e->code = ERR_PROTOCOL;
}

/* The result of a reply, a new reference; NULL with *e. */
static json_t *reply_read(nng_msg *m, struct error *e)
{
    struct error bad = {0};
    json_t *whole = json_read(nng_msg_body(m), nng_msg_len(m), REPLY_MAX, REPLY_DEPTH, &bad);
    json_t *error = json_object_get(whole, "error");
    json_t *result = json_incref(json_object_get(whole, "result"));
    if (error)
        reply_error(error, e);
    else if (!whole)
        err_set(e, ERR_PROTOCOL, "the reply cannot be read: %.200s", bad.detail);
    else if (!result)
        err_set(e, ERR_PROTOCOL, "the reply has neither a result nor an error");
    json_decref(whole);
    if (e->code) {
        json_decref(result);
        return NULL;
    }
    return result;
}

static void call_failed(const struct call *call, struct error *e)
{
    if (call->result == NNG_ETIMEDOUT)
        err_set(e, ERR_UNREACHABLE, "the backend did not come up within %d s",
                SEND_LIMIT_MS / 1000);
    else
        err_set(e, ERR_CLOSED, "%s: %s", wire_row(call->method)->name, nng_strerror(call->result));
}

static void call_done(struct busc *c, struct call *call)
{
    struct error e = {0};
    json_t *result = NULL;
    if (call->result) {
        call_failed(call, &e);
        if (call->state == CALL_SENDING) { /* what was not sent is still ours */
            nng_msg_free(nng_aio_get_msg(call->aio));
            nng_aio_set_msg(call->aio, NULL);
        }
    } else {
        nng_msg *m = nng_aio_get_msg(call->aio);
        result = reply_read(m, &e);
        nng_msg_free(m);
    }
    c->live = !call->result;
    if (call->method == WIRE_session_ping && !call->result)
        c->latency_ms = (double)(call->done_ns - call->sent_ns) / 1e6;
    call_end(c, call, result, &e);
    json_decref(result);
}

static void on_hello(void *arg, const json_t *result, const struct error *e)
{
    struct busc *c = arg;
    struct calls queued = TAILQ_HEAD_INITIALIZER(queued);
    TAILQ_CONCAT(&queued, &c->queued, link);
    if (result) {
        json_decref(c->hello);
        c->hello = json_incref((json_t *)result);
        c->cursor = json_int(result, "cursor", 0);
        c->session = SESSION_OPEN;
    } else {
        c->session = SESSION_NONE;
    }
    for (struct call *call; (call = TAILQ_FIRST(&queued));) {
        TAILQ_REMOVE(&queued, call, link);
        if (result)
            call_send(c, call);
        else
            call_end(c, call, NULL, e);
    }
}

/* Events. */

static void poll_start(struct busc *c);

/* on_ticked runs in ms from now, and not before. */
static void tick_start(struct busc *c, nng_duration ms)
{
    nng_aio_cancel(c->tick);
    nng_aio_wait(c->tick);
    pthread_mutex_lock(&c->lock);
    c->ticked = false;
    pthread_mutex_unlock(&c->lock);
    nng_sleep_aio(ms, c->tick);
}

static void on_poll(void *arg, const json_t *result, const struct error *e)
{
    struct busc *c = arg;
    c->polling = false;
    if (e->code) {
        tick_start(c, RETRY_MS);
        return;
    }
    c->cursor = json_int(result, "next", c->cursor);
    poll_start(c); /* before the callbacks: the next events travel meanwhile */
    if (json_flag(result, "resync", false) && c->resync)
        c->resync(c->event_arg);
    size_t i;
    json_t *event;
    json_array_foreach(json_object_get(result, "events"), i, event)
        c->event(c->event_arg, json_str(event, "type", ""), json_int(event, "at", 0),
                 json_object_get(event, "data"));
}

static void poll_start(struct busc *c)
{
    json_t *p = json_object();
    if (c->polling) {
        json_decref(p);
        return;
    }
    c->polling = true;
    json_puti(p, "after", c->cursor);
    json_puti(p, "wait_ms", POLL_WAIT_MS);
    json_puti(p, "max", POLL_MAX);
    busc_call(c, WIRE_events_next, p, on_poll, c);
}

static void on_ping(void *arg, const json_t *result, const struct error *e)
{
    struct busc *c = arg;
    (void)result;
    tick_start(c, e->code ? RETRY_MS : PING_MS);
    if (!e->code)
        poll_start(c); /* if none waits: the first time, or after a failure */
}

static void on_ticked(struct busc *c)
{
    busc_call(c, WIRE_session_ping, NULL, on_ping, c);
}

void busc_events(struct busc *c, busc_event *fn, void (*resync)(void *arg), void *arg)
{
    bool started = c->event;
    c->event = fn;
    c->resync = resync;
    c->event_arg = arg;
    if (!started)
        on_ticked(c); /* goes out behind session.hello, which brings the cursor */
}

/* Dispatch. */

static struct call *take_done(struct busc *c, bool *ticked)
{
    pthread_mutex_lock(&c->lock);
    struct call *call = TAILQ_FIRST(&c->done);
    if (call)
        TAILQ_REMOVE(&c->done, call, link);
    *ticked = c->ticked;
    c->ticked = false;
    pthread_mutex_unlock(&c->lock);
    return call;
}

int busc_fd(const struct busc *c)
{
    return c->fd;
}

void busc_dispatch(struct busc *c)
{
    uint64_t count;
    while (read(c->fd, &count, sizeof count) < 0 && errno == EINTR)
        continue;
    bool ticked;
    struct call *call;
    do {
        call = take_done(c, &ticked);
        if (ticked)
            on_ticked(c);
        if (call)
            call_done(c, call);
    } while (call);
}

struct waited {
    bool done;
    json_t *result;
    struct error error;
};

static void on_waited(void *arg, const json_t *result, const struct error *e)
{
    struct waited *w = arg;
    w->done = true;
    w->result = json_incref((json_t *)result);
    w->error = *e;
}

void busc_interrupt(struct busc *c)
{
    int saved = errno;
    __atomic_store_n(&c->interrupted, true, __ATOMIC_RELAXED);
    ssize_t n = write(c->fd, &(uint64_t){1}, sizeof(uint64_t));
    (void)n; /* a counter that is full wakes as well */
    errno = saved;
}

bool busc_interrupted(const struct busc *c)
{
    return __atomic_load_n(&c->interrupted, __ATOMIC_RELAXED);
}

json_t *busc_wait(struct busc *c, enum wire_method m, json_t *params, uint64_t limit_ms,
                  struct error *e)
{
    struct waited w = {0};
    uint64_t until = clock_mono_ms() + limit_ms;
    struct call *call = call_make(c, m, params, on_waited, &w);
    for (uint64_t now; !w.done && !busc_interrupted(c) && (now = clock_mono_ms()) < until;) {
        struct pollfd ready = {.fd = c->fd, .events = POLLIN};
        uint64_t left = until - now;
        poll(&ready, 1, left < 60000 ? (int)left : 60000);
        if (ready.revents)
            busc_dispatch(c);
    }
    if (!w.done) {
        call->fn = NULL; /* its reply, when it comes, is dropped */
        if (busc_interrupted(c))
            err_set(&w.error, ERR_CANCELLED, "a signal asked for it");
        else
            err_set(&w.error, ERR_TIMEOUT, "%s: no answer within %llu ms", wire_row(m)->name,
                    (unsigned long long)limit_ms);
    }
    if (e)
        *e = w.error;
    return w.result;
}

/* Life. */

struct busc *busc_new(const char *address, const char *client_name, const char *role,
                      struct error *e)
{
    struct busc *c = xcalloc(1, sizeof *c);
    unsigned char random[8];
    BUG_IF(getrandom(random, sizeof random, 0) != (ssize_t)sizeof random);
    text_hex(random, sizeof random, c->key_prefix);
    c->name = xstrdup(client_name);
    c->role = role ? xstrdup(role) : NULL;
    c->latency_ms = -1;
    TAILQ_INIT(&c->queued);
    TAILQ_INIT(&c->free);
    TAILQ_INIT(&c->all);
    TAILQ_INIT(&c->done);
    pthread_mutex_init(&c->lock, NULL);
    BUG_IF(nng_aio_alloc(&c->tick, on_tick, c));
    c->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int code = c->fd < 0 ? NNG_ENOFILES : nng_req0_open(&c->socket);
    if (!code)
        code = nng_socket_set_ms(c->socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
    if (!code)
        code = nng_socket_set_ms(c->socket, NNG_OPT_RECONNMINT, RECONNECT_MIN_MS);
    if (!code)
        code = nng_socket_set_ms(c->socket, NNG_OPT_RECONNMAXT, RECONNECT_MAX_MS);
    if (!code)
        code = nng_dial(c->socket, address, NULL, NNG_FLAG_NONBLOCK);
    if (code) {
        err_set(e, ERR_UNREACHABLE, "%s: %s", address, nng_strerror(code));
        busc_free(c);
        return NULL;
    }
    session_start(c);
    return c;
}

/* nng calls on_aio for nothing any more: what it left behind is ours. */
static void call_free(struct call *call)
{
    json_decref(call->params);
    nng_aio_free(call->aio);
    free(call);
}

void busc_free(struct busc *c)
{
    if (!c)
        return;
    struct call *call;
    nng_aio_stop(c->tick);
    /* Before the socket closes: on_aio may be about to receive, and nng panics when a context goes
     * away under it. A stopped aio starts nothing any more. */
    TAILQ_FOREACH(call, &c->all, all_link)
    nng_aio_stop(call->aio);
    if (nng_socket_id(c->socket) > 0)
        nng_close(c->socket);
    TAILQ_FOREACH(call, &c->done, link)
    if (!call->result || call->state == CALL_SENDING)
        nng_msg_free(nng_aio_get_msg(call->aio));
    while ((call = TAILQ_FIRST(&c->all))) {
        TAILQ_REMOVE(&c->all, call, all_link);
        call_free(call);
    }
    nng_aio_free(c->tick);
    if (c->fd >= 0)
        close(c->fd);
    pthread_mutex_destroy(&c->lock);
    json_decref(c->hello);
    free(c->name);
    free(c->role);
    free(c);
}

const json_t *busc_hello(const struct busc *c)
{
    return c->hello;
}

double busc_latency_ms(const struct busc *c)
{
    return c->latency_ms;
}

bool busc_live(const struct busc *c)
{
    return c->live;
}
