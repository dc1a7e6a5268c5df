/* The bus, server side: JSON-RPC 2.0 over nng REP with contexts; sessions, roles, events.
 *
 * A request: {"jsonrpc": "2.0", "id": n, "method": m, "params": {..., "_meta": {"session": s,
 * "idempotency_key": k, "traceparent": t}}}. Errors: {"code", "message", "data": {"name", "detail",
 * "hint"}}; code is JSON-RPC's own (-32700, -32600, -32601, -32602) or -32000 - enum err.
 *
 * Invariants
 * B1 Every request gets exactly one reply, or the connection ends.
 * B2 A method runs only if the session's role is at least its row's (wire.def).
 * B3 The same idempotency key in a session never acts twice: the first reply is answered again.
 * B4 nng's threads only hand messages to the loop.
 * B5 A request over BUS_MAX_REQUEST bytes or BUS_MAX_DEPTH levels is refused. */
#ifndef BUS_H
#define BUS_H

#include "backend/base/errors.h"
#include "backend/base/json.h"
#include "backend/base/loop.h"

enum { BUS_PROTOCOL = 1, BUS_MAX_REQUEST = 1 << 20, BUS_MAX_DEPTH = 32, BUS_RING = 4096 };
enum bus_role { BUS_NONE, BUS_DEMO, BUS_REVIEWER, BUS_OPERATOR };
/* What a session may do to the systems behind the connectors: look, also propose, also act. */
enum bus_level { BUS_READ, BUS_RECOMMEND, BUS_EXECUTE };

enum wire_method {
#define WIRE(id, name, role, mutates, params, result, help) WIRE_##id,
#include "backend/bus/wire.def"
#undef WIRE
    WIRE_COUNT
};
struct wire_row {
    const char *id, *name, *params, *result, *help;
    enum bus_role role;
    bool mutates;
};
const struct wire_row *wire_row(enum wire_method m);
enum wire_method wire_find(const char *name);  /* WIRE_COUNT: none */
const char *bus_role_name(enum bus_role r);    /* "none", "demo", "reviewer", "operator" */
enum bus_role bus_role_find(const char *name); /* BUS_NONE for an unknown one */
const char *bus_level_name(enum bus_level l);  /* "read", "recommend", "execute" */
bool bus_level_find(const char *name, enum bus_level *out); /* false for an unknown one */

struct bus;
struct bus_session {
    char id[33];
    enum bus_role role;
    enum bus_level level; /* BUS_READ for every role but operator */
};
struct bus_call; /* a request under way; ended by exactly one of bus_reply and bus_fail */
typedef void bus_handler(struct bus_call *call, void *arg);

/* handlers has WIRE_COUNT rows; rows for session.hello, session.bye, session.ping and events.next
 * are NULL: the bus answers those itself. max_role: no session gets more. NULL with *e. */
struct bus *bus_new(struct loop *l, const char *address, bus_handler *const *handlers, void *arg,
                    enum bus_role max_role, const char *environment, struct error *e);
/* Until bus_ready requests other than session.* wait in order; with an error they all fail with it.
 */
void bus_ready(struct bus *b, const struct error *e);
void bus_set_environment(struct bus *b, const char *environment, enum bus_role max_role);
/* Where requests are counted and their spans begin (backend/telemetry); borrowed, NULL: nowhere. A
 * request that changes something, or that names a trace in _meta.traceparent, has a span, which is
 * the current one while its handler is called. */
struct tel;
struct tel_context;
const struct tel_context *bus_context(const struct bus_call *c); /* of its span; NULL: none */
void bus_set_telemetry(struct bus *b, struct tel *t);
void bus_collect(struct bus *b);                             /* sets the gauges of the bus */
void bus_set_level(struct bus *b, enum bus_level max_level); /* no session gets more; first: READ */
/* Answers every waiting request with CLOSED; does not block. */
void bus_close(struct bus *b);
/* On the loop's thread, before loop_free. Calls that handlers still hold may be ended later: then
 * only their memory is freed. */
void bus_free(struct bus *b);
/* Frees what the library keeps for the process: after the last bus and the last client. */
void bus_library_end(void);

enum wire_method bus_method(const struct bus_call *c);
const json_t *bus_params(const struct bus_call *c); /* an object, without _meta */
const struct bus_session *bus_session(const struct bus_call *c);
void bus_reply(struct bus_call *c, json_t *result); /* takes the reference */
void bus_fail(struct bus_call *c, const struct error *e);

/* Puts an event in the ring and wakes long polls; data is borrowed (deep copies are not made: do
 * not change it afterwards). */
void bus_event(struct bus *b, const char *type, json_t *data);
/* The same for sessions of the roles from..to only: what the others may see is another event. */
void bus_event_for(struct bus *b, enum bus_role from, enum bus_role to, const char *type,
                   json_t *data);
/* Drops the events that are kept: whoever has not read them yet gets resync. */
void bus_forget(struct bus *b);

#endif
