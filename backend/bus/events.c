/* The ring of events and the long polls that wait for them.
 *
 * 1 Sequence numbers rise by one. The first one of a run is the time of its start in microseconds,
 * so that a cursor of an earlier run is always below the ring (and below 2^53: JSON holds it
 * exactly). 2 ring holds [first, next); a cursor c asks for c + 1 and later, so it is good from
 * first - 1 to next - 1. Any other gets resync. 3 A poll that waits has a cursor of next - 1:
 * nothing was there for it. */
#include "backend/base/clock.h"
#include "backend/bus/internal.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_DEFAULT = 256, MAX_MOST = 1000, WAIT_MOST_MS = 60000, REPLY_BYTES = 1 << 20 };

static struct bus__event *at(struct bus__events *v, int64_t seq)
{
    return &v->ring[seq % BUS_RING];
}

/* Appends the result of a poll. */
static void write_result(struct bus__events *v, enum bus_role role, int64_t after, size_t max,
                         struct buf *out)
{
    bool resync = after < v->first - 1 || after >= v->next;
    int64_t last = resync ? v->next - 1 : after;
    buf_adds(out, "\"result\":{\"events\":[");
    for (size_t n = 0; !resync && n < max && last + 1 < v->next && out->len < REPLY_BYTES;) {
        struct bus__event *e = at(v, ++last);
        if (role < e->from || role > e->to)
            continue;
        if (n++)
            buf_addc(out, ',');
        buf_add(out, e->json, e->size);
    }
    buf_addf(out, "],\"next\":%lld,\"resync\":%s}", (long long)last, resync ? "true" : "false");
}

static void answer(struct bus_call *c)
{
    struct buf text = {0};
    write_result(&c->bus->events, bus_session(c)->role, c->after, c->max, &text);
    bus__call_end(c, text.data);
    buf_release(&text);
}

static void on_wake(void *arg)
{
    struct bus *b = arg;
    b->events.waking = false;
    for (struct bus_call *c; (c = TAILQ_FIRST(&b->events.polls));)
        answer(c);
}

static void on_limit(void *arg)
{
    answer(arg);
}

void bus__events_init(struct bus *b)
{
    struct bus__events *v = &b->events;
    v->first = v->next = clock_real_ms() * 1000;
    TAILQ_INIT(&v->polls);
    v->wake = loop_timer_new(b->loop, on_wake, b);
}

static void forget_first(struct bus__events *v)
{
    struct bus__event *e = at(v, v->first++);
    v->bytes -= e->size;
    free(e->json);
    *e = (struct bus__event){0};
}

void bus__events_release(struct bus *b)
{
    struct bus__events *v = &b->events;
    while (v->first < v->next)
        forget_first(v);
    loop_timer_free(v->wake);
    v->wake = NULL;
}

void bus_forget(struct bus *b)
{
    while (b->events.first < b->events.next)
        forget_first(&b->events);
}

void bus_event(struct bus *b, const char *type, json_t *data)
{
    bus_event_for(b, BUS_NONE, BUS_OPERATOR, type, data);
}

void bus_event_for(struct bus *b, enum bus_role from, enum bus_role to, const char *type,
                   json_t *data)
{
    struct bus__events *v = &b->events;
    if (b->closed)
        return;
    json_t *event = json_object();
    json_puti(event, "seq", v->next);
    json_puts(event, "type", type);
    json_puti(event, "at", clock_real_ms());
    json_put(event, "data", data ? json_incref(data) : json_null());
    char *text = json_write(event);
    json_decref(event);
    struct bus__event e = {.from = from, .to = to, .json = text, .size = strlen(text)};
    while (v->first < v->next &&
           (v->next - v->first == BUS_RING || v->bytes + e.size > BUS_RING_BYTES))
        forget_first(v);
    v->bytes += e.size;
    *at(v, v->next++) = e;
    if (!v->waking && !TAILQ_EMPTY(&v->polls)) {
        v->waking = true;
        loop_timer_start(v->wake, 0, 0);
    }
}

void bus__events_next(struct bus_call *c)
{
    struct bus__events *v = &c->bus->events;
    const json_t *p = c->request.params;
    struct error e;
    int64_t wait_ms = json_int(p, "wait_ms", 0), max = json_int(p, "max", MAX_DEFAULT);
    if (!json_is_integer(json_object_get(p, "after"))) {
        err_set(&e, ERR_INVALID, "after is not a cursor");
        bus_fail(c, &e);
        return;
    }
    if (wait_ms < 0 || wait_ms > WAIT_MOST_MS || max < 1 || max > MAX_MOST) {
        err_set(&e, ERR_INVALID, "wait_ms is 0 to %d, max is 1 to %d", WAIT_MOST_MS, MAX_MOST);
        bus_fail(c, &e);
        return;
    }
    c->after = json_int(p, "after", 0);
    c->max = (size_t)max;
    if (c->after != v->next - 1 || !wait_ms) {
        answer(c);
        return;
    }
    TAILQ_INSERT_TAIL(&v->polls, c, poll_link);
    c->in_polls = true;
    c->poll_limit = loop_timer_new(c->bus->loop, on_limit, c);
    loop_timer_start(c->poll_limit, (uint64_t)wait_ms, 0);
}

bool bus__events_relieve(struct bus *b)
{
    struct bus_call *c = TAILQ_FIRST(&b->events.polls);
    if (!c)
        return false;
    answer(c);
    return true;
}

void bus__poll_stop(struct bus_call *c)
{
    if (c->in_polls)
        TAILQ_REMOVE(&c->bus->events.polls, c, poll_link);
    c->in_polls = false;
    loop_timer_free(c->poll_limit);
    c->poll_limit = NULL;
}
