/* The bus, server side.
 *
 * A slot (a REP context with its aio):   idle -> receiving -> held -> sending -> receiving ...
 * A call: read from a slot -> (waiting for bus_ready) -> with its handler or in the polls ->
 * answered.
 *
 * 1 nng's threads run on_aio only, which counts itself in `posted` and hands the slot to the loop.
 * All other functions run on the loop's thread (B4). 2 A slot is held exactly while a call points
 * to it. A call that is answered is freed, but one that its handler still holds when bus_close
 * answers for it: that one loses its slot and is freed when the handler ends it. 3 At least one
 * slot receives as long as fewer than BUS_SLOTS_MAX calls are held; at that bound the oldest poll
 * gives its slot back. 4 The memory of the bus stays until bus_free was called and posted is 0. */
#include "backend/base/clock.h"
#include "backend/bus/internal.h"
#include <nng/protocol/reqrep0/rep.h>
#include <stdlib.h>
#include <string.h>

/* Slots. */

static void slot_handle(void *arg);

static void on_aio(void *arg)
{
    struct bus__slot *s = arg;
    struct bus *b = s->bus;
    pthread_mutex_lock(&b->lock);
    b->posted++;
    pthread_mutex_unlock(&b->lock);
    if (loop_post(b->loop, slot_handle, s))
        return;
    pthread_mutex_lock(&b->lock); /* the loop is over: bus_free looks after the rest */
    b->posted--;
    pthread_mutex_unlock(&b->lock);
}

static void slot_receive(struct bus__slot *s)
{
    s->state = SLOT_RECEIVING;
    s->bus->receiving++;
    nng_ctx_recv(s->ctx, s->aio);
}

static int slot_add(struct bus *b)
{
    struct bus__slot *s = xcalloc(1, sizeof *s);
    s->bus = b;
    int code = nng_ctx_open(&s->ctx, b->socket);
    if (code) {
        free(s);
        return code;
    }
    BUG_IF(nng_aio_alloc(&s->aio, on_aio, s));
    b->slots[b->slot_count++] = s;
    slot_receive(s);
    return 0;
}

static void slots_grow(struct bus *b)
{
    if (b->receiving || b->closed)
        return;
    for (int i = 0; i < 16 && b->slot_count < BUS_SLOTS_MAX; i++)
        if (slot_add(b))
            break;
    if (!b->receiving)
        bus__events_relieve(b);
}

static void slot_send(struct bus__slot *s, const json_t *id, const char *text)
{
    struct buf out = {0};
    char *id_text = id ? json_dumps(id, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    buf_adds(&out, "{\"jsonrpc\":\"2.0\",\"id\":");
    buf_adds(&out, id_text ? id_text : "null");
    buf_addc(&out, ',');
    buf_adds(&out, text);
    buf_addc(&out, '}');
    nng_msg *m;
    BUG_IF(nng_msg_alloc(&m, out.len));
    memcpy(nng_msg_body(m), out.data, out.len);
    nng_aio_set_msg(s->aio, m);
    s->state = SLOT_SENDING;
    nng_ctx_send(s->ctx, s->aio);
    free(id_text);
    buf_release(&out);
}

/* Calls. */

static void call_free(struct bus_call *c)
{
    tel_span_end(c->span);
    bus__request_release(&c->request);
    free(c);
}

static void call_detach(struct bus_call *c)
{
    bus__poll_stop(c);
    TAILQ_REMOVE(c->in_waiting ? &c->bus->waiting : &c->bus->calls, c, link);
}

/* What is told of a request when it is answered. */
static void call_count(struct bus_call *c)
{
    struct tel *t = c->bus->tel;
    bool known = c->request.method != WIRE_COUNT;
    const char *method = known ? wire_row(c->request.method)->name : "unknown";
    const char *failed = c->failed ? err_name(c->failed) : "";
    tel_add(t, TEL_bus_requests, 1, TEL_LABELS(method, failed));
    struct tel_context before = tel_enter(t, tel_span_context(c->span)); /* for the exemplar */
    if (c->request.method != WIRE_events_next)
        tel_observe(t, TEL_bus_duration, (double)(clock_mono_ns() - c->came_ns) / 1e9,
                    TEL_LABELS(method));
    tel_enter(t, &before);
    if (c->failed)
        tel_span_fail(c->span, failed);
}

void bus__call_end(struct bus_call *c, const char *text)
{
    struct bus__key *key = c->key;
    struct bus__session *owner = c->owner;
    struct bus_call *repeats = NULL;
    if (c->bus) {
        call_count(c);
        call_detach(c);
    }
    if (c->bus && key) {
        repeats = key->repeats;
        key->repeats = NULL;
        bus__key_answer(owner, key, text);
    }
    if (c->slot)
        slot_send(c->slot, c->request.id, text);
    for (struct bus_call *next; repeats; repeats = next) {
        next = repeats->next_repeat;
        bus__call_end(repeats, text);
    }
    if (key && c->bus && !owner->id[0])
        bus__session_end(c->bus, owner);
    call_free(c);
}

static void call_fail(struct bus_call *c, int code, const struct error *e)
{
    struct buf text = {0};
    c->failed = e->code;
    bus__write_error(&text, code, e);
    bus__call_end(c, text.data);
    buf_release(&text);
}

void bus_fail(struct bus_call *c, const struct error *e)
{
    struct error unknown;
    if (e->code == ERR_OK) {
        err_set(&unknown, ERR_INTERNAL, "%s failed without a reason",
                wire_row(c->request.method)->name);
        e = &unknown;
    }
    call_fail(c, bus__rpc_code(e->code), e);
}

void bus_reply(struct bus_call *c, json_t *result)
{
    BUG_IF(!result);
    char *json = json_write(result);
    char *text = xasprintf("\"result\":%s", json);
    json_decref(result);
    bus__call_end(c, text);
    free(text);
    free(json);
}

enum wire_method bus_method(const struct bus_call *c)
{
    return c->request.method;
}

const json_t *bus_params(const struct bus_call *c)
{
    return c->request.params;
}

const struct tel_context *bus_context(const struct bus_call *c)
{
    return tel_span_context(c->span);
}

const struct bus_session *bus_session(const struct bus_call *c)
{
    return &c->session;
}

static void refuse(struct bus_call *c, enum err code, const char *detail)
{
    struct error e;
    err_set(&e, code, "%s", detail);
    bus_fail(c, &e);
}

/* The methods that the bus answers itself. */

static void session_hello(struct bus_call *c)
{
    struct bus *b = c->bus;
    const json_t *p = c->request.params;
    const json_t *role = json_object_get(p, "role"), *level = json_object_get(p, "level");
    enum bus_level asked_level = BUS_EXECUTE;
    enum bus_role asked = bus_role_find(json_string_value(role));
    if (json_int(p, "protocol", 0) != BUS_PROTOCOL) {
        refuse(c, ERR_UNSUPPORTED, "this backend speaks protocol 1");
    } else if (!json_is_object(json_object_get(p, "client"))) {
        refuse(c, ERR_INVALID, "client is missing");
    } else if (role && !json_is_null(role) && !asked) {
        refuse(c, ERR_INVALID, "role is one of operator, reviewer, demo");
    } else if (level && !json_is_null(level) &&
               !bus_level_find(json_string_value(level), &asked_level)) {
        refuse(c, ERR_INVALID, "level is one of read, recommend, execute");
    } else {
        struct bus__session *s = bus__session_open(b, asked);
        s->asked_level = asked_level;
        json_t *r = json_object(), *server = json_object();
        json_puts(server, "name", "mcp-console");
        json_puts(server, "version", MCPC_VERSION);
        json_puts(r, "session", s->id);
        json_puti(r, "protocol", BUS_PROTOCOL);
        json_put(r, "server", server);
        json_puts(r, "role", bus_role_name(bus__session_role(b, s)));
        json_puts(r, "level", bus_level_name(bus__session_level(b, s)));
        json_puti(r, "cursor", b->events.next - 1);
        json_puts(r, "environment", b->environment);
        json_put(r, "ready", json_boolean(b->ready));
        bus_reply(c, r);
    }
}

static void session_ping(struct bus_call *c)
{
    json_t *r = json_object();
    json_puti(r, "time", clock_real_ms());
    bus_reply(c, r);
}

/* True when the method is one of the bus's own, which need no role and do not wait. */
static bool answer_own(struct bus_call *c)
{
    struct bus__session *s;
    switch (c->request.method) {
    case WIRE_session_hello:
        session_hello(c);
        return true;
    case WIRE_session_ping:
        session_ping(c);
        return true;
    case WIRE_session_bye:
        s = bus__session_find(c->bus, c->request.session);
        if (s)
            bus__session_end(c->bus, s);
        bus_reply(c, json_object());
        return true;
    default:
        return false;
    }
}

/* B3. True when the call is the first of its key, and goes on to its handler. */
static bool claim_key(struct bus_call *c, struct bus__session *s)
{
    struct bus__key *k = bus__key_find(s, c->request.key);
    uint64_t print = bus__print(c->request.method, c->request.params);
    if (!k) {
        c->owner = s;
        c->key = bus__key_add(s, c->request.key, print);
        return true;
    }
    if (k->print != print) {
        refuse(c, ERR_INVALID, "this idempotency key was used for another request");
    } else if (k->reply) {
        bus__call_end(c, k->reply);
    } else {
        c->next_repeat = k->repeats;
        k->repeats = c;
    }
    return false;
}

/* Its span is the current one while its handler runs; the call may be gone behind that. */
static void handle(struct bus_call *c)
{
    struct bus *b = c->bus;
    const struct wire_row *row = wire_row(c->request.method);
    if (row->mutates || *c->request.parent.trace_id) {
        c->span = tel_span_begin(b->tel, &c->request.parent, TEL_SERVER, "%s", row->name);
        tel_span_text(c->span, "rpc.system.name", "jsonrpc");
        tel_span_text(c->span, "rpc.method", row->name);
        tel_span_text(c->span, "mcp_console.role", bus_role_name(c->session.role));
    }
    struct tel_context before = tel_enter(b->tel, tel_span_context(c->span));
    b->handlers[c->request.method](c, b->arg);
    tel_enter(b->tel, &before);
}

static void dispatch(struct bus_call *c)
{
    struct bus *b = c->bus;
    const struct wire_row *row = wire_row(c->request.method);
    struct error e;
    if (b->failed.code) {
        bus_fail(c, &b->failed);
        return;
    }
    struct bus__session *s = bus__session_find(b, c->request.session);
    if (!s) {
        refuse(c, ERR_DENIED,
               c->request.session[0] ? "there is no such session, or it has ended"
                                     : "open a session first, with session.hello");
        return;
    }
    memcpy(c->session.id, s->id, sizeof s->id);
    c->session.role = bus__session_role(b, s);
    c->session.level = bus__session_level(b, s);
    if (c->session.role < row->role) {
        err_set(&e, ERR_DENIED, "%s needs the role %s; this session has %s", row->name,
                bus_role_name(row->role), bus_role_name(c->session.role));
        bus_fail(c, &e);
    } else if (row->mutates && !c->request.key[0]) {
        refuse(c, ERR_INVALID, "_meta.idempotency_key is missing: the method changes something");
    } else if (!row->mutates || claim_key(c, s)) {
        if (c->request.method == WIRE_events_next)
            bus__events_next(c);
        else if (b->handlers[c->request.method])
            handle(c);
        else
            refuse(c, ERR_UNSUPPORTED, "this backend does not offer the method");
    }
}

static void receive(struct bus__slot *s, nng_msg *m)
{
    struct bus *b = s->bus;
    struct bus_call *c = xcalloc(1, sizeof *c);
    c->bus = b;
    c->slot = s;
    c->came_ns = clock_mono_ns();
    s->state = SLOT_HELD;
    TAILQ_INSERT_TAIL(&b->calls, c, link);
    bool fine = bus__parse(nng_msg_body(m), nng_msg_len(m), &c->request);
    nng_msg_free(m);
    if (!fine) {
        call_fail(c, c->request.code, &c->request.error);
    } else if (b->closed) {
        refuse(c, ERR_CLOSED, "the backend stops");
    } else if (b->failed.code) {
        bus_fail(c, &b->failed);
    } else if (answer_own(c)) {
        return;
    } else if (b->ready) {
        dispatch(c);
    } else {
        TAILQ_REMOVE(&b->calls, c, link);
        TAILQ_INSERT_TAIL(&b->waiting, c, link);
        c->in_waiting = true;
    }
}

static void bus_destroy(struct bus *b);

/* On the loop: an aio of the slot ended. */
static void slot_handle(void *arg)
{
    struct bus__slot *s = arg;
    struct bus *b = s->bus;
    pthread_mutex_lock(&b->lock);
    bool last = --b->posted == 0;
    pthread_mutex_unlock(&b->lock);
    if (b->freed) {
        if (last)
            bus_destroy(b);
        return;
    }
    int code = nng_aio_result(s->aio);
    if (s->state == SLOT_RECEIVING) {
        b->receiving--;
        if (!code)
            receive(s, nng_aio_get_msg(s->aio));
        else
            s->state = SLOT_IDLE;
    } else if (s->state == SLOT_SENDING) {
        if (code) /* the client went away: its message is still ours */
            nng_msg_free(nng_aio_get_msg(s->aio));
        s->state = SLOT_IDLE;
        if (code != NNG_ECLOSED)
            slot_receive(s);
    }
    slots_grow(b);
}

/* Life. */

struct bus *bus_new(struct loop *l, const char *address, bus_handler *const *handlers, void *arg,
                    enum bus_role max_role, const char *environment, struct error *e)
{
    struct bus *b = xcalloc(1, sizeof *b);
    b->loop = l;
    b->handlers = handlers;
    b->arg = arg;
    b->max_role = max_role;
    b->environment = xstrdup(environment);
    pthread_mutex_init(&b->lock, NULL);
    TAILQ_INIT(&b->sessions);
    TAILQ_INIT(&b->calls);
    TAILQ_INIT(&b->waiting);
    bus__events_init(b);
    int code = nng_rep0_open(&b->socket);
    BUG_IF(code == NNG_ENOMEM);
    for (size_t i = 0; !code && i < BUS_SLOTS_FIRST; i++)
        code = slot_add(b);
    /* Not kept on inproc: bus__parse checks again. */
    if (!code)
        code = nng_socket_set_size(b->socket, NNG_OPT_RECVMAXSZ, BUS_MAX_REQUEST + 1);
    if (!code)
        code = nng_listen(b->socket, address, NULL, 0);
    if (!code)
        return b;
    err_set(e, code == NNG_EADDRINUSE ? ERR_LOCKED : ERR_IO, "%s: %s", address, nng_strerror(code));
    bus_free(b);
    return NULL;
}

void bus_set_environment(struct bus *b, const char *environment, enum bus_role max_role)
{
    free(b->environment);
    b->environment = xstrdup(environment);
    b->max_role = max_role;
}

void bus_set_telemetry(struct bus *b, struct tel *t)
{
    b->tel = t;
}

void bus_collect(struct bus *b)
{
    size_t held = 0;
    struct bus_call *c;
    TAILQ_FOREACH(c, &b->calls, link) held++;
    TAILQ_FOREACH(c, &b->waiting, link) held++;
    tel_set(b->tel, TEL_bus_sessions, (double)b->session_count, TEL_NO_LABELS);
    tel_set(b->tel, TEL_bus_waiting, (double)held, TEL_NO_LABELS);
}

void bus_set_level(struct bus *b, enum bus_level max_level)
{
    b->max_level = max_level;
}

void bus_ready(struct bus *b, const struct error *e)
{
    b->ready = true;
    if (e)
        b->failed = *e;
    for (struct bus_call *c; !b->closed && (c = TAILQ_FIRST(&b->waiting));) {
        TAILQ_REMOVE(&b->waiting, c, link);
        TAILQ_INSERT_TAIL(&b->calls, c, link);
        c->in_waiting = false;
        dispatch(c);
    }
}

void bus_close(struct bus *b)
{
    if (b->closed)
        return;
    b->closed = true;
    struct error e;
    struct buf text = {0};
    err_set(&e, ERR_CLOSED, "the backend stops");
    bus__write_error(&text, bus__rpc_code(e.code), &e);
    for (struct bus_call *c; (c = TAILQ_FIRST(&b->waiting));) {
        c->failed = e.code;
        bus__call_end(c, text.data);
    }
    for (struct bus_call *c; (c = TAILQ_FIRST(&b->events.polls));) {
        c->failed = e.code;
        bus__call_end(c, text.data);
    }
    struct bus_call *c;
    TAILQ_FOREACH(c, &b->calls, link) /* their handlers hold them: they only lose their slots */
    if (c->slot) {
        slot_send(c->slot, c->request.id, text.data);
        c->slot = NULL;
    }
    buf_release(&text);
}

/* Frees the memory: no aio runs and no post is under way. */
static void bus_destroy(struct bus *b)
{
    for (size_t i = 0; i < b->slot_count; i++) {
        nng_aio_free(b->slots[i]->aio);
        free(b->slots[i]);
    }
    pthread_mutex_destroy(&b->lock);
    free(b->environment);
    free(b);
}

/* Calls that handlers still hold are theirs to end; repeats of them are held by nobody. */
static void calls_orphan(struct bus *b)
{
    struct bus_call *c, *next;
    TAILQ_FOREACH(c, &b->calls, link)
    for (struct bus_call *r = c->key ? c->key->repeats : NULL; r; r = next) {
        next = r->next_repeat;
        TAILQ_REMOVE(&b->calls, r, link);
        call_free(r);
    }
    while ((c = TAILQ_FIRST(&b->calls))) {
        TAILQ_REMOVE(&b->calls, c, link);
        c->bus = NULL;
        c->owner = NULL;
        c->key = NULL;
    }
}

void bus_free(struct bus *b)
{
    if (!b)
        return;
    bus_close(b);
    calls_orphan(b);
    b->freed = true;
    for (size_t i = 0; i < b->slot_count; i++)
        nng_aio_stop(b->slots[i]->aio);
    nng_close(b->socket);
    for (size_t i = 0; i < b->slot_count; i++) {
        /* A request that came and was not looked at, or a reply that was not sent, is ours. */
        struct bus__slot *s = b->slots[i];
        bool received = s->state == SLOT_RECEIVING && !nng_aio_result(s->aio);
        bool unsent = s->state == SLOT_SENDING && nng_aio_result(s->aio);
        if (received || unsent)
            nng_msg_free(nng_aio_get_msg(s->aio));
    }
    for (struct bus__session *s; (s = TAILQ_FIRST(&b->sessions));)
        bus__session_end(b, s);
    bus__events_release(b);
    pthread_mutex_lock(&b->lock);
    bool last = b->posted == 0;
    pthread_mutex_unlock(&b->lock);
    if (last)
        bus_destroy(b);
}

void bus_library_end(void)
{
    nng_fini();
}
