/* Private to the MCP client: what its core (mcp*.c: revisions, requests, features) and a wire
 * (mcp_stdio.c, mcp_http.c: how messages travel) owe each other.
 *
 *   start -> mcp__up (messages may be sent) -> any number of sends and reports -> mcp__down, or
 * stop
 *
 * Invariants
 * W1 Reports may be made at any time between start and the end of the run, also inside start and
 * send; after stop, after mcp__down and after a report that returned false, none until the next
 * start. W2 The core may call stop inside any report; it never calls free there. W3 A wire never
 * sends a message a second time on its own: whether a request may have run is for the core to judge
 * (C3). Resuming the stream of an answer is not sending again. */
#ifndef CONNECTORS_MCP_WIRE_H
#define CONNECTORS_MCP_WIRE_H

#include "backend/connectors/internal.h"

struct mcp; /* the core of one connector */

struct mcp_outgoing {
    json_t *message;    /* the whole JSON-RPC message; borrowed */
    int64_t id;         /* of a request, from 1 on; 0: a notification, or an answer to the server */
    const char *method; /* of a request or notification; NULL for an answer */
    const char *name;   /* tool, prompt or resource URI that it is about (Mcp-Name); NULL: none */
    const json_t *schema; /* input schema of the tool that is called (x-mcp-header), or NULL */
    const char *revision; /* agreed or, in a probe, proposed; NULL in initialize */
    bool modern;          /* 2026-07-28 and later: stateless, one exchange a request */
    bool stays; /* subscriptions/listen: its answer comes when the subscription ends, if ever */
};

struct mcp_wire_ops {
    bool closing_cancels; /* in the modern era cancel itself tells the server: nothing else is sent
                           */
    /* Reads the configuration; runs nothing. NULL with *e (CONFIG). */
    void *(*make)(struct mcp *m, struct conn *c, const struct conf *conf, struct error *e);
    void (*start)(void *self); /* ends in mcp__up, mcp__down or mcp__sign_in */
    /* Takes a message on its way; OK does not mean that it arrived. CLOSED, TOO_BIG, BUSY: it was
     * not sent at all. Each request that was taken ends in one mcp__message with its id or one
     * mcp__lost, unless cancel, stop or mcp__down came first. */
    enum err (*send)(void *self, const struct mcp_outgoing *o);
    /* Nobody waits for this request any more; what still comes for it may be dropped or reported.
     */
    void (*cancel)(void *self, int64_t id);
    /* Ends the run. orderly: let the peer end by itself (close its input, DELETE the session). */
    void (*stop)(void *self, bool orderly);
    void (*free)(void *self);
    void (*describe)(void *self, json_t *into); /* command, url, stderr ...; may be NULL */
    /* Modern era: may a tool with this input schema (or NULL) be called over this wire? May be
     * NULL. */
    bool (*takes_tool)(void *self, const json_t *schema);
    /* Appends what explains an end ("stderr: ..."), or nothing; may be NULL. */
    void (*last_words)(void *self, struct buf *out);
};

/* Reports of a wire. Those that return bool: false when the run ended inside (W1). */
bool mcp__up(struct mcp *m);
/* A message of the server, of any kind; borrowed. An HTTP error whose body is a JSON-RPC error
 * without an id is reported with the id of its request put in, so that the core can judge it (a
 * probe's refusal). */
bool mcp__message(struct mcp *m, const json_t *message);
/* What came in a message's place, or a message nobody can use; kept for the log. */
bool mcp__noise(struct mcp *m, const char *line, size_t len);
/* The request has no answer and will have none: UNREACHABLE (it surely did not arrive), CLOSED (it
 * may have run), UPSTREAM (an HTTP status that is no JSON-RPC error), PROTOCOL. The connector stays
 * up. */
bool mcp__lost(struct mcp *m, int64_t id, enum err code, const char *why);
/* The server forgot the session (HTTP 404): running requests fail as CLOSED and the handshake
 * begins again, on the same run. */
bool mcp__session_lost(struct mcp *m, const char *why);
/* The run is over; the core adds last_words and tells the registry. */
void mcp__down(struct mcp *m, enum err code, const char *why);
/* The run is over: a person must sign in first (connectors login); url: where, or NULL. */
void mcp__sign_in(struct mcp *m, const char *why, const char *url);

/* A kind of connector is a wire under the core: its file has
 *   static void *make(struct conn *c, const struct conf *conf, struct error *e) {
 *       return mcp__make(&wire, c, conf, e);
 *   }
 *   const struct conn_ops conn__mcp_x_ops = {.kind = "mcp-x", .make = make, MCP_CONN_OPS}; */
void *mcp__make(const struct mcp_wire_ops *wire, struct conn *c, const struct conf *conf,
                struct error *e);
void *mcp__wire(const struct mcp *m); /* the wire's self, NULL inside its make */
void mcp__conn_start(void *m);
void mcp__conn_stop(void *m, bool orderly);
void mcp__conn_free(void *m);
enum err mcp__conn_call(void *m, struct conn_call *call, const char *tool, const json_t *arguments,
                        struct error *e);
void mcp__conn_cancel(void *m, struct conn_call *call);
void mcp__conn_check(void *m);
void mcp__conn_describe(void *m, json_t *into);
#define MCP_CONN_OPS                                                                     \
    .may_restart = true, .asks = true, .start = mcp__conn_start, .stop = mcp__conn_stop, \
    .free = mcp__conn_free, .call = mcp__conn_call, .cancel = mcp__conn_cancel,          \
    .check = mcp__conn_check, .describe = mcp__conn_describe

#endif
