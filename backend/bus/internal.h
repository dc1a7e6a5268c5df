/* Shared between the files of the bus only. */
#ifndef BUS_INTERNAL_H
#define BUS_INTERNAL_H

#include "backend/base/buf.h"
#include "backend/bus/bus.h"
#include "backend/telemetry/telemetry.h"
#include <nng/nng.h>
#include <pthread.h>
#include <sys/queue.h>

enum {
    BUS_MAX_KEY = 128,       /* bytes of an idempotency key */
    BUS_MAX_ID = 64,         /* bytes of a request id that is a string */
    BUS_KEYS = 1024,         /* answered keys that a session remembers */
    BUS_KEY_BYTES = 4 << 20, /* and the bytes of their replies */
    BUS_SESSIONS = 1024,
    BUS_SLOTS_FIRST = 32,
    BUS_SLOTS_MAX = 1024,
    BUS_RING_BYTES = 8 << 20
};
/* JSON-RPC 2.0, section 5.1. */
enum { RPC_PARSE = -32700, RPC_REQUEST = -32600, RPC_METHOD = -32601, RPC_PARAMS = -32602 };

/* parse.c */

/* A request as read; foreign. */
struct bus__request {
    json_t *id; /* integer or string; NULL: none could be read */
    enum wire_method method;
    json_t *params; /* an object without _meta; NULL on failure */
    char session[33];
    char key[BUS_MAX_KEY + 1]; /* "": none */
    struct tel_context parent; /* of its span; all zero: none */
    int code;                  /* of JSON-RPC, 0: fine */
    struct error error;
};
/* False with code and error set; id is set as far as it could be read. Release it in both cases. */
bool bus__parse(const char *bytes, size_t len, struct bus__request *r);
void bus__request_release(struct bus__request *r);
/* The code on the wire of an error of ours. */
int bus__rpc_code(enum err code);
/* Appends "error":{...}. */
void bus__write_error(struct buf *out, int code, const struct error *e);

/* session.c */

struct bus__key { /* an idempotency key: under way, or with its reply */
    TAILQ_ENTRY(bus__key) link;
    char *key;
    uint64_t print; /* of method and parameters: the same key must mean the same request */
    char *reply;    /* "result":... or "error":{...}; NULL while the first request is under way */
    size_t size;
    struct bus_call *repeats; /* requests that wait for the same reply */
};
struct bus__session {
    TAILQ_ENTRY(bus__session) link;
    char id[33];
    enum bus_role asked;         /* BUS_NONE: whatever the backend allows */
    enum bus_level asked_level;  /* at most this */
    TAILQ_HEAD(, bus__key) keys; /* oldest first */
    size_t key_count, key_bytes;
};
TAILQ_HEAD(bus__sessions, bus__session); /* least recently used first */

struct bus__session *bus__session_open(struct bus *b, enum bus_role asked);
struct bus__session *bus__session_find(struct bus *b, const char *id); /* marks it as used */
void bus__session_end(struct bus *b, struct bus__session *s);
enum bus_role bus__session_role(const struct bus *b, const struct bus__session *s);
enum bus_level bus__session_level(const struct bus *b, const struct bus__session *s);
uint64_t bus__print(enum wire_method m, const json_t *params);
struct bus__key *bus__key_find(struct bus__session *s, const char *key);
struct bus__key *bus__key_add(struct bus__session *s, const char *key, uint64_t print);
/* Keeps the reply (copied) and forgets the oldest ones beyond the bounds. */
void bus__key_answer(struct bus__session *s, struct bus__key *k, const char *reply);

/* events.c */

struct bus__event {
    enum bus_role from, to; /* sessions of these roles see it */
    char *json;             /* {"seq":..,"type":..,"at":..,"data":..} */
    size_t size;
};
struct bus__events {
    struct bus__event ring[BUS_RING];
    int64_t first, next; /* sequence numbers: of the oldest in the ring, of the next one */
    size_t bytes;
    TAILQ_HEAD(, bus_call) polls; /* oldest first */
    struct loop_timer *wake;      /* answers the polls once in a turn, with all events of it */
    bool waking;
};
void bus__events_init(struct bus *b);
void bus__events_release(struct bus *b); /* no poll may be left */
void bus__events_next(struct bus_call *c);
/* Answers the poll that has waited longest with nothing; false if there is none. */
bool bus__events_relieve(struct bus *b);
void bus__poll_stop(struct bus_call *c); /* takes a call out of the polls */

/* bus.c */

enum slot_state { SLOT_IDLE, SLOT_RECEIVING, SLOT_HELD, SLOT_SENDING };
struct bus__slot { /* a context: receives a request, holds it, sends its reply */
    struct bus *bus;
    nng_ctx ctx;
    nng_aio *aio;
    enum slot_state state;
};

struct bus_call {
    struct bus *bus;            /* NULL when the bus was freed first */
    struct bus__slot *slot;     /* NULL when it was answered by bus_close */
    TAILQ_ENTRY(bus_call) link; /* in bus->calls or bus->waiting */
    bool in_waiting, in_polls;
    struct bus__request request;
    struct bus_session session;
    uint64_t came_ns;
    enum err failed; /* what it is answered with */
    struct tel_span *span;
    struct bus__session *owner; /* with key: the session that remembers it */
    struct bus__key *key;       /* this call is the first one with it, or NULL */
    struct bus_call *next_repeat;
    /* events.next while it waits */
    TAILQ_ENTRY(bus_call) poll_link;
    struct loop_timer *poll_limit;
    int64_t after;
    size_t max;
};
TAILQ_HEAD(bus__calls, bus_call);

struct bus {
    struct loop *loop;
    bus_handler *const *handlers;
    void *arg;
    enum bus_role max_role;
    enum bus_level max_level;
    char *environment;
    struct tel *tel; /* or NULL */
    bool ready, closed, freed;
    struct error failed; /* why starting failed */
    struct bus__sessions sessions;
    size_t session_count;
    struct bus__calls calls;   /* every call that is not answered */
    struct bus__calls waiting; /* for bus_ready, in order; these are not in calls */
    struct bus__events events;
    nng_socket socket;
    struct bus__slot *slots[BUS_SLOTS_MAX];
    size_t slot_count, receiving;
    pthread_mutex_t lock; /* guards posted */
    size_t posted;        /* aio callbacks on their way through the loop */
};

/* Ends a call with a text that is `"result":...` or `"error":{...}`. */
void bus__call_end(struct bus_call *c, const char *text);

#endif
