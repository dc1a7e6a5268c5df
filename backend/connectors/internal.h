/* Private to this room: what the registry and a kind of connector owe each other.
 *
 * The registry owns states, timers, tools, histories and calls; a kind only starts, stops, asks and
 * reports. Reports (conn__up, ...) may be made at any time after start, also inside it. */
#ifndef CONNECTORS_INTERNAL_H
#define CONNECTORS_INTERNAL_H

#include "backend/connectors/connectors.h"
#include "backend/telemetry/telemetry.h"

struct conn; /* one connector in the registry */

enum { /* bounds of what a peer may make us keep */
       CONN_MAX_TOOLS = 512,
       CONN_MAX_CALLS = 64, /* running at once, per connector */
       CONN_MAX_NAME = 64,
       CONN_MAX_TITLE = 256,
       CONN_MAX_DESCRIPTION = 8192,
       CONN_LINES = 50, /* of stderr and noise kept */
       CONN_LINE_MAX = 512
};

struct conn_ops {
    const char *kind;
    const char *region, *data; /* where its data stays and of what kind it is, unless configured */
    bool may_restart;          /* false: lives in this process, a failed check never stops it */
    /* Reads the configuration of c; runs nothing. NULL with *e (CONFIG). */
    void *(*make)(struct conn *c, const struct conf *conf, struct error *e);
    /* Comes up: ends in conn__up or conn__down. */
    void (*start)(void *self);
    /* Goes down without a report; orderly: let the peer end by itself first. Running calls were
     * failed. */
    void (*stop)(void *self, bool orderly);
    void (*free)(void *self);
    /* Starts a call; later exactly one conn__call_done, unless cancel came first. */
    enum err (*call)(void *self, struct conn_call *call, const char *tool, const json_t *arguments,
                     struct error *e);
    void (*cancel)(void *self, struct conn_call *call); /* forget it; tell the peer */
    void (*check)(void *self);                          /* ends in conn__checked, or never */
    void (*describe)(void *self, json_t *into);         /* command, stderr, noise; may be NULL */
    /* conn_login and conn_logout; NULL: nobody signs in to this kind. */
    void (*login)(void *self, const char *code, conn_login_done *fn, void *arg);
    void (*logout)(void *self);
    bool asks; /* an MCP server: mcp_client.c may ask it for more than tools, and what it says of
                  its tools is pinned */
};

/* Reports of a kind. */
void conn__up(struct conn *c, const char *version, const char *protocol);
void conn__down(struct conn *c, enum err code,
                const char *why); /* it is dead: restarted with backoff */
void conn__checked(struct conn *c, double latency_ms, enum err code, const char *why);
/* Replaces the tools with those added after begin. A tool whose name is empty, too long, a
 * duplicate, or holds anything but printable ASCII is refused (false); longer texts are cut with a
 * mark. */
struct conn_definition {
    const char *name, *title, *description;
    json_t *input_schema, *output_schema, *annotations; /* taken, also when refused; may be NULL */
    bool read_only; /* known to this kind or by the configuration, not by annotation */
};
void conn__tools_begin(struct conn *c);
bool conn__tools_add(struct conn *c, const struct conn_definition *d);
void conn__tools_end(struct conn *c);
/* Ends a call with a result: takes text (malloc'ed or NULL) and data (or NULL). done runs on a
 * later turn of the loop. */
void conn__call_done(struct conn_call *call, bool is_error, char *text, json_t *data);
/* The same: text was cut and had so many bytes; content (taken) is all that came. */
void conn__call_done_whole(struct conn_call *call, bool is_error, char *text, size_t text_bytes,
                           json_t *content, json_t *data);
void conn__call_fail(struct conn_call *call, enum err code, const char *why);
/* What an HTTP status that is no success means: REFUSED for 4xx, which never opens the breaker, but
 * for 408 and 429, which tell of the peer's state as 5xx do: UPSTREAM. */
enum err conn__http_error(long status);
/* The peer works on it: the time limit begins anew, up to the call's max_ms in all. */
void conn__call_progress(struct conn_call *call, double progress, double total,
                         const char *message);
/* The peer waits for a person: the time limit begins anew (at least 5 s). To be said again while
 * that lasts. */
void conn__call_waits(struct conn_call *call);
/* Its span, and the traceparent that its peer is told; NULL and false: none. */
struct tel_span *conn__call_span(const struct conn_call *call);
bool conn__call_traceparent(const struct conn_call *call, char out[TEL_TRACEPARENT]);
struct tel *conn__tel(const struct conn *c);
bool conn__tells_peers(const struct conn *c);
const char *conn__kind(const struct conn *c);
/* The name and schemas of the tool that is called, as the registry knows it; NULL: not any more. */
const json_t *conn__tool_schema(const struct conn *c, const char *tool, bool output);
/* It is down until a person signs in; no restart. url: where, or NULL. Calls fail as CLOSED. */
void conn__sign_in(struct conn *c, const char *why, const char *url);
/* A person has signed in: it is started again. To be called last, since it stops the kind. */
void conn__signed_in(struct conn *c);
/* When the certificate of its endpoint ends (real ms); 0: it has none, or it is not known. */
void conn__certificate(struct conn *c, int64_t expires_at);
/* Resolves secret:NAME, env:VARIABLE or credential:NAME. OK with *out, which the caller wipes;
 * CONFIG: it is no reference (the text is not repeated, it may be the secret), NOT_FOUND, ... */
enum err conn__secret(struct conn *c, const char *reference, struct vault_text *out,
                      struct error *e);

struct vault *conn__vault(const struct conn *c); /* or NULL */

const char *conn__name(const struct conn *c);
const char *conn__ca_file(const struct conn *c); /* for http_options; "" as a rule */
struct loop *conn__loop(const struct conn *c);
const struct conn_host *conn__host(const struct conn *c); /* or NULL */
void *conn__host_arg(const struct conn *c);               /* conn_setup.arg */

/* The kinds' private words. */
#define CONNECTOR(kind, ops, help) extern const struct conn_ops ops;
#include "backend/connectors/connectors.def"
#undef CONNECTOR
extern const struct conn_ops conn__native_ops;
void *conn__native_make(struct conn *c, const struct conn_native_tool *tools, size_t n, void *arg);

/* schema.c: does value fit the schema (a subset of JSON Schema 2020-12: type, properties, required,
 * additionalProperties, items, enum, const, minimum, maximum, exclusive*, minLength, maxLength,
 * minItems, maxItems)? What it does not know is passed. INVALID with the path in *e. A schema too
 * deep or too large to check is INVALID too: it cannot be known that the arguments fit. */
enum err conn__schema_check(const json_t *schema, const json_t *value, struct error *e);

/* A bounded tail of lines. Zero-initialise; conn__tail_release frees. */
struct conn__tail {
    char *line[CONN_LINES];
    unsigned next, count;
    char part[CONN_LINE_MAX + 1]; /* an unfinished line */
    size_t part_len;
    bool cut;       /* the unfinished line was longer than is kept */
    unsigned fresh; /* lines since the last conn__tail_mark, at most count */
};
void conn__tail_feed(struct conn__tail *t, const char *bytes, size_t len);
void conn__tail_flush(struct conn__tail *t); /* ends an unfinished line */
void conn__tail_mark(struct conn__tail *t);  /* what comes from now on is fresh */
void conn__tail_release(struct conn__tail *t);
json_t *conn__tail_json(const struct conn__tail *t);
/* The last fresh lines (at most n, each cut with a mark to 80 bytes), joined by " | ", appended to
 * out. */
void conn__tail_last(const struct conn__tail *t, unsigned n, struct buf *out);

#endif
