/* Private to the Streamable HTTP wire: mcp_http.c (the run, what is sent) and mcp_http_answer.c
 * (what comes back). */
#ifndef CONNECTORS_MCP_HTTP_H
#define CONNECTORS_MCP_HTTP_H

#include "backend/base/sse.h"
#include "backend/connectors/mcp_frame.h"
#include "backend/connectors/mcp_params.h"
#include "backend/connectors/mcp_wire.h"
#include "backend/connectors/oauth.h"

enum { MCP_HTTP_HEADERS = 16, MCP_HTTP_ERROR_MAX = 65536 };

enum wait { WAIT_NOT, WAIT_TURN, WAIT_AUTH, WAIT_AGAIN };

/* One request on the network and what follows from it: a message on its way with the stream of its
 * answer (and the GETs that take that stream up again), or the stream that the server may send on.
 */
struct exchange {
    struct mcp_http *w;
    struct exchange *next;
    int64_t id;       /* of the request that is still unanswered, 0: none */
    bool server_side; /* the stream for what the server sends unasked */
    bool resuming;    /* what was sent has been sent: from now on GET with Last-Event-ID */
    bool modern, stays, tool_call, first, noting;
    char *body;
    char *own[MCP_PARAMS_MAX + 4]; /* header lines of this message */
    size_t own_count;
    enum wait wait;
    struct http_call *http;
    struct loop_timer *timer; /* WAIT_AGAIN, or the end of an answered stream */
    long status;
    bool stream, json, told; /* told: of this try something was reported */
    struct sse sse;
    struct buf text; /* a body that is no stream */
    struct buf last_id;
    int64_t retry_ms;
    unsigned tries; /* without an event between */
    unsigned refusals;
    uint64_t generation; /* of the token that was sent */
    uint64_t began_ms;
    char *first_error; /* why the newer transport was refused */
    unsigned busy;     /* callbacks that still look at it */
    bool gone;
};

struct mcp_http {
    struct mcp *mcp;
    struct conn *conn;
    char *url;
    char *headers[MCP_HTTP_HEADERS]; /* from the configuration; wiped */
    size_t header_count;
    struct oauth *auth;
    struct exchange *first;
    size_t count;
    bool running;
    uint64_t run;
    char *session, *revision;
    bool noting;         /* notifications/initialized is on its way */
    bool stream_opening; /* the server's stream was asked for and has no answer yet */
    struct loop_timer *stream_limit;
    bool old;       /* the transport of 2024-11-05: answers come on the stream */
    char *post_url; /* where its messages go */
    unsigned sessions_lost;
    struct http_call *deleting;
};

/* mcp_http.c */
struct exchange *mcp_http__exchange(struct mcp_http *w);
void mcp_http__begin(struct exchange *x);
void mcp_http__drop(struct exchange *x);
void mcp_http__enter(struct exchange *x); /* x stays readable until the leave */
void mcp_http__leave(struct exchange *x);
void mcp_http__drop_all(struct mcp_http *w);
void mcp_http__go_on(struct mcp_http *w); /* sends what waited for its turn */
void mcp_http__open_stream(struct mcp_http *w);
void mcp_http__again_in(struct exchange *x, uint64_t ms);
void mcp_http__stream_settled(struct mcp_http *w);

/* mcp_http_answer.c */
extern const struct http_ops mcp_http__ops;
/* True while x may be used after a report. */
bool mcp_http__lose(struct exchange *x, enum err code, const char *why);

#endif
