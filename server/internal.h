/* Shared between the files of the MCP server only. */
#ifndef SERVER_INTERNAL_H
#define SERVER_INTERNAL_H

#include "backend/base/buf.h"
#include "backend/base/httpd.h"
#include "backend/base/loop.h"
#include "server/server.h"
#include <sys/queue.h>

enum {
    SERVER_MESSAGE = 1 << 20, /* bytes of a message */
    SERVER_DEPTH = 32,
    SERVER_CALLS = 64,      /* under way, in all */
    SERVER_PEER_CALLS = 16, /* of one peer */
    SERVER_PAGE = 50,
    SERVER_URIS = 64 /* resources that a peer has subscribed to */
};
/* JSON-RPC 2.0, section 5.1, and what MCP adds. */
enum {
    RPC_PARSE = -32700,
    RPC_REQUEST = -32600,
    RPC_METHOD = -32601,
    RPC_PARAMS = -32602,
    RPC_BUSY = -32603,
    RPC_NO_RESOURCE = -32002, /* until 2025-11-25 */
    RPC_HEADER = -32020,
    RPC_VERSION = -32022
};
enum revision { REV_NONE, REV_2024_11, REV_2025_03, REV_2025_06, REV_2025_11, REV_2026_07 };
enum revision server__revision_find(const char *name);
json_t *server__revisions(void); /* newest first */

/* Whom answers go to: standard output, a session over HTTP, or all requests without one. */
struct peer;
struct peer_ops {
    /* Takes the reference. channel: that of the request it is about, NULL: about none. last: it is
     * the request's answer. */
    void (*send)(struct peer *p, void *channel, json_t *message, bool last);
    /* A request with that channel was cancelled; NULL: it is no matter. */
    void (*drop)(struct peer *p, void *channel);
};
struct peer {
    TAILQ_ENTRY(peer) link;
    struct server *server;
    const struct peer_ops *ops;
    enum revision revision; /* REV_NONE: not initialized; REV_2026_07: each request says it */
    int log_level;          /* RFC 5424's number; -1: nothing is told */
    json_t *uris;           /* subscribed: {uri: true} */
    int calls;
};

struct method_row;
struct tool;
/* A request under way. */
struct call {
    TAILQ_ENTRY(call) link;
    struct server *server;
    struct peer *peer;           /* while it is not over */
    void *channel;               /* of the transport; NULL: gone, or there is none */
    json_t *id, *params, *token; /* token: for progress, or NULL */
    const struct method_row *method;
    enum revision revision;
    int log_level, refs;
    bool over; /* answered or cancelled (M1) */
    double progress;
    /* tools/call */
    const struct tool *tool;
    json_t *arguments;                                /* checked against the tool's schema */
    json_t *(*shape)(struct call *c, const json_t *); /* of an answer of the bus */
    char *trace;                                      /* of `ask`, once it is known */
    struct loop_timer *limit;
    bool looking;
    /* subscriptions/listen */
    json_t *filter;
};

struct server {
    struct loop *loop;
    struct busc *bus;
    struct loop_watch *bus_watch;
    struct loop_timer *tell; /* changes of resources are told together */
    json_t *changed;         /* {uri: true} */
    TAILQ_HEAD(, call) calls;
    TAILQ_HEAD(, peer) peers;
    int call_count;
    struct tool *tools;
    size_t tool_count;
    json_t *prompts;
    enum bus_role role;
    bool write, started;
    struct error error;
    struct http *http;
    struct stdio *stdio;
};

/* rpc.c */
void server__peer_init(struct peer *p, struct server *s, const struct peer_ops *ops);
void server__peer_end(struct peer *p); /* cancels its calls */
/* A message as read, borrowed. modern: it came with the headers of 2026-07-28. */
void server__take(struct peer *p, void *channel, const json_t *message, bool modern);
/* server__take answers it, now or later. */
bool server__is_answered(const json_t *message);
/* An answer to what could not be read; id may be NULL. */
json_t *server__error(const json_t *id, int code, const char *text, json_t *data);
/* Ends the call; takes the reference. */
void server__answer(struct call *c, json_t *result);
void server__fail(struct call *c, int code, json_t *data, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void server__cancel(struct call *c);
/* All that belong to a channel that is gone: cancelled, or going on without it. */
void server__channel_gone(struct server *s, const void *channel, bool cancel);
void server__hold(struct call *c);
void server__release(struct call *c);
/* A notification about a call; takes params. */
void server__notify(struct call *c, const char *method, json_t *params);
void server__progress(struct call *c, double done, double total, const char *text);
void server__log(struct call *c, int level, const char *text);
/* A page of a list; takes rows. False when the call failed for its cursor. */
void server__page(struct call *c, const char *key, json_t *rows);
json_t *server__capabilities(enum revision r);
json_t *server__info(void);
json_t *server__instructions(const struct server *s);

/* server.c */
void server__quit(struct server *s, const struct error *e);

/* tools.c */
struct tool {
    const struct tool_row *row;
    json_t *definition;
};
struct tool_row {
    const char *name;
    enum bus_role role;
    bool write, slow; /* slow: its answer is streamed */
    void (*start)(struct call *c);
};
extern const struct tool_row server__tool_rows[]; /* calls.c; ends with a NULL name */
void server__tools_load(struct server *s);
void server__tools_free(struct server *s);
void server__tools_list(struct call *c);
void server__tools_call(struct call *c);
const struct tool *server__tool_find(const struct server *s, const char *name);
/* What is wrong with arguments, in out; false then. */
bool server__check(const json_t *schema, const json_t *arguments, char out[256]);
/* Ends a tools/call: structured is taken; text NULL: its JSON. */
void server__tool_done(struct call *c, json_t *structured, const char *text);
void server__tool_failed(struct call *c, const struct error *e);

/* calls.c */
void server__on_event(void *arg, const char *type, int64_t at, const json_t *data);
void server__on_resync(void *arg);
/* An answer of evidence.get with a payload of at most 64 KiB: of a longer one `cut` has the size
 * and how it begins. */
json_t *server__shape_entry(struct call *c, const json_t *result);
/* Calls a method; the call is held until its reply. params is taken. */
void server__wire(struct call *c, enum wire_method m, json_t *params, busc_reply *fn);

/* resources.c */
void server__resources_list(struct call *c);
void server__templates_list(struct call *c);
void server__resources_read(struct call *c);
void server__subscribe(struct call *c);
void server__unsubscribe(struct call *c);
void server__listen(struct call *c);
void server__touch(struct server *s, const char *uri); /* it changed: told soon */
void server__tell(void *server);
bool server__uri_known(const char *uri);

/* prompts.c */
void server__prompts_load(struct server *s);
void server__prompts_list(struct call *c);
void server__prompts_get(struct call *c);
void server__complete(struct call *c);

/* stdio.c */
struct stdio *server__stdio_new(struct server *s);
void server__stdio_start(struct stdio *io);
void server__stdio_free(struct stdio *io);

/* http.c */
struct http *server__http_new(struct server *s, const struct server_options *o, struct error *e);
void server__http_free(struct http *h);
const char *server__http_address(const struct http *h);

/* headers.c: what the header of a request says */
/* An origin is the listener's own, or one of a list. */
bool server__origin_good(const char *origin, const char *host, const char *allowed);
/* What is told to the pages of an origin that may ask: lines of the header; the caller frees.
 * preflight: how they may ask (https://fetch.spec.whatwg.org, CORS protocol); wanted: fields of the
 * header, or NULL. */
char *server__origin_headers(const char *origin, bool preflight, const char *wanted);
/* Host names the loopback, the address listened on, or one of a list. */
bool server__host_good(const char *host, const char *address, bool remote, const char *allowed);
/* A media type is in a list of them (Accept). */
bool server__accepts(const char *accept, const char *type);
/* A value, decoded if it has the form =?base64?...?=; NULL if it is wrong. The caller frees. */
char *server__header_decode(const char *value);
/* The headers that 2026-07-28 wants say what the body says; false with what does not. */
bool server__headers_match(struct httpd_request *r, const struct server *s, const json_t *message,
                           char out[256]);

#endif
