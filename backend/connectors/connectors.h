/* The connector registry: one place that knows each system, its health and what may be done to it.
 *
 * Invariants
 * C1 A tool runs only if its connector is up, its definition is the one that was approved, the
 *    lists allow it, and it is known to be read-only by us or by the configuration (read_tools), or
 *    connector and caller may execute and the kill switch is off: annotations of servers are hints,
 *    not trust.
 * C2 Every conn_call that returned a call ends in exactly one `done`, at the latest at its
 *    time limit.
 * C3 A call that may have run is never sent again.
 * C4 A connector that misbehaves degrades itself only. */
#ifndef CONNECTORS_H
#define CONNECTORS_H

#include "backend/base/conf.h"
#include "backend/base/errors.h"
#include "backend/base/json.h"
#include "backend/base/loop.h"
#include "backend/telemetry/telemetry.h"
#include "backend/vault/vault.h"

/* The name of the connector for the console's own tools: no configured one may have it. */
#define CONN_OWN_NAME "console"

struct conn_registry;
struct conn_call;

enum conn_state { CONN_DISABLED, CONN_STARTING, CONN_OK, CONN_WARN, CONN_FAIL, CONN_SIGN_IN };
enum conn_level { CONN_READ, CONN_RECOMMEND, CONN_EXECUTE };

/* What is known of a tool's definition: seen for the first time and not approved, approved as it
 * is, approved once and changed since. */
enum conn_pin { CONN_PIN_NEW, CONN_PINNED, CONN_PIN_CHANGED };

struct conn_tool { /* belongs to the registry; valid until the loop's next turn */
    const char *connector, *name, *title, *description;
    const char *qualified; /* connector__tool: [A-Za-z0-9_-], at most 64, of this tool alone */
    const json_t *input_schema;
    const json_t *output_schema; /* or NULL */
    const json_t *annotations;   /* hints of the server, to be shown only; or NULL */
    enum conn_level level;       /* C1: what a caller needs. CONN_READ: known to us to be read-only,
                                    not by annotation; otherwise CONN_EXECUTE */
    enum conn_pin pin;
    bool callable; /* not suspended by its pin, nor by the lists */
};

struct conn_result {
    struct error error;    /* OK, or why there is no result */
    bool is_error;         /* the tool itself says that it failed; text says how */
    const char *text;      /* the text content joined; foreign; valid in the callback; never NULL */
    size_t text_bytes;     /* of the text before it was cut: more than text has */
    const json_t *content; /* all that came, not cut: a text, or a list of MCP's content blocks;
                              may be referenced but not changed; NULL: text is all */
    const json_t *data;    /* structuredContent, or NULL; as content */
    int64_t elapsed_us;
    const char *taken_over_by; /* the connector that answered in the place of the one asked, which
                                  is out (conf alternative); NULL: the one that was asked */
};
typedef void conn_done(void *arg, const struct conn_result *result);
/* Called on the loop when a connector's state changed: for the log and for events. */
typedef void conn_changed(void *arg, const char *name, enum conn_state from, enum conn_state to,
                          const char *error);

/* A tool of the console itself (cost, health, evidence), implemented above this room: exactly one
 * of `call`, which answers at once (*data is taken over, *text is freed by the registry), and
 * `start`, which answers later by exactly one conn_native_answer. */
struct conn_native_reply;
struct conn_native_tool {
    const char *name, *title, *description;
    const char *input_schema; /* JSON text */
    enum err (*call)(void *arg, const json_t *arguments, json_t **data, char **text,
                     struct error *e);
    void (*start)(void *arg, const json_t *arguments, struct conn_native_reply *reply);
};
/* Ends a started native call: data and text are taken (data may be NULL), or e says why there is
 * none. Fine after the call timed out, was cancelled or the registry was freed: then nobody hears
 * it. */
void conn_native_answer(struct conn_native_reply *reply, json_t *data, char *text,
                        const struct error *e);

/* What a connector's peer asks of the program around this room. */
struct conn_host;

struct conn_setup { /* all borrowed, must outlive the registry; all but loop and conf may be NULL */
    struct loop *loop;
    const struct conf *conf;
    struct vault *vault;   /* for secret:NAME */
    const char *state_dir; /* where pins and switches are kept; NULL: nowhere */
    conn_changed *changed;
    /* Something for the log that is no change of state: type is a row of types.def (conn.drift). */
    void (*told)(void *arg, const char *type, const char *name, const json_t *data);
    void *arg;
    const struct conn_host *host;
    struct tel *tel;  /* where calls and checks are counted, and spans of calls begin */
    bool tells_peers; /* MCP servers are told the span, in _meta.traceparent */
};
/* Builds every configured connector; a `host` one is made if none is configured. Nothing is started
 * yet. NULL with *e (CONFIG). */
struct conn_registry *conn_new(const struct conn_setup *s, struct error *e);
/* Adds a connector of this process ("console"); tools must outlive the registry. */
void conn_add_native(struct conn_registry *r, const char *name,
                     const struct conn_native_tool *tools, size_t n, void *arg);
void conn_start(struct conn_registry *r); /* does not block */
void conn_close(struct conn_registry *r); /* does not block: asks every child to end */
void conn_free(struct conn_registry *r);  /* kills what is left */

size_t conn_tools(struct conn_registry *r, struct conn_tool *out,
                  size_t max); /* of connectors that are up */
/* What the peer says of its progress; total below 0: not known; message foreign, may be "". Runs
 * inside the loop's turn: it must not end the call. */
typedef void conn_progress(void *arg, double progress, double total, const char *message);
struct conn_call_options {
    uint64_t limit_ms;       /* without an answer or progress; 0, or too long: the connector's */
    uint64_t max_ms;         /* with progress at most this in all; 0: progress extends nothing */
    enum conn_level level;   /* CONN_READ; CONN_EXECUTE: a step of an approved plan */
    const char *idempotency; /* a key of this one intent, for kinds that can pass it on; or NULL */
    conn_progress *progress; /* or NULL; arg is that of done */
    const struct tel_context *parent; /* of the call's span; NULL: the current one; not kept */
};
/* Starts a call. connector NULL: tool is a qualified name. options NULL: all zero. NULL with *e:
 * NOT_FOUND, DENIED (C1), CLOSED, BUSY, INVALID (arguments do not fit the schema). */
struct conn_call *conn_call(struct conn_registry *r, const char *connector, const char *tool,
                            const json_t *arguments, const struct conn_call_options *options,
                            conn_done *done, void *arg, struct error *e);
void conn_cancel(struct conn_call *c); /* no callback runs any more; the peer is told */
/* The kill switch. On: every running call that may change something fails as CANCELLED, the
 * processes that run one are killed, and new ones are DENIED until it is off. Returns how many
 * calls were ended. */
size_t conn_kill(struct conn_registry *r, bool on);
bool conn_killed(const struct conn_registry *r);
/* [{name, kind, state, level, region, allowed_regions, owner, data: [..], version, protocol, tools:
 * n, latency_ms, latency_p95_ms, history: [ms or -1], error_rate, last_error, last_error_at,
 * last_success_at, retry_in_ms, restarts, about}]; numbers are null when not known. Caller owns. */
json_t *conn_list(struct conn_registry *r);
/* One of those with tools: [{name, title, description, input_schema, read_only}], calls: [{at,
 * tool, ok, ms, error}] (the last 50, oldest first), command, stderr: [lines], noise: [lines].
 * NULL: none of that name. */
json_t *conn_describe(struct conn_registry *r, const char *name);
enum err conn_check(struct conn_registry *r, const char *name,
                    struct error *e); /* health check now */
enum err conn_restart(struct conn_registry *r, const char *name,
                      struct error *e); /* stop and start again */
/* A person signs in to a connector (state sign-in). code NULL begins: answer {url, user_code?,
 * done: false}. The address is for a browser, on any machine. Then either the browser comes back to
 * a port of the loopback here, or the code, or the whole address that it was sent to, is given as
 * code: answer {done: true}; the connector is started again. fn is called once, inside or later,
 * with the answer (borrowed) or with an error and NULL. *e: NOT_FOUND, UNSUPPORTED; then fn is not
 * called. */
typedef void conn_login_done(void *arg, const json_t *answer, const struct error *e);
enum err conn_login(struct conn_registry *r, const char *name, const char *code,
                    conn_login_done *fn, void *arg, struct error *e);
/* Forgets its tokens and its registration at the issuer, and starts it again. */
enum err conn_logout(struct conn_registry *r, const char *name, struct error *e);
/* Does value fit a tool's schema? As conn_call checks arguments. INVALID with the path in *e. */
enum err conn_schema_check(const json_t *schema, const json_t *value, struct error *e);
/* Starts or stops a connector, and keeps that over restarts, against the configuration's word. */
enum err conn_enable(struct conn_registry *r, const char *name, bool on, struct error *e);
/* Approves the present definitions of a connector's tools (tool NULL: all that are not approved),
 * or takes approval back (tool NULL: from all). count: how many. NOT_FOUND, CLOSED (it is not up),
 * UNSUPPORTED (nothing of it is pinned), IO. */
enum err conn_trust(struct conn_registry *r, const char *name, const char *tool, bool revoke,
                    size_t *count, struct error *e);
/* [{tool, pin, approved_hash|null, hash, difference}] of the tools that are not approved as they
 * are; NULL: none of that name. Caller owns. */
json_t *conn_drift(struct conn_registry *r, const char *name);
/* [{connector, name, qualified, title, description, input_schema, output_schema?, level, pinned:
 * bool, pin, callable: bool, annotations?}]; connector NULL: of all that are up. Caller owns. */
json_t *conn_tools_json(struct conn_registry *r, const char *connector);
/* A new configuration, which takes the place of the one before it and must outlive the registry:
 * its connectors that differ are replaced, one after another, each when the one before it has come
 * up or failed; the others are not touched. CONFIG with *e: it is wrong, and nothing has changed.
 * changes: names, a line each; NULL: none; the caller frees. */
enum err conn_reload(struct conn_registry *r, const struct conf *conf, char **changes,
                     struct error *e);
void conn_tell_peers(struct conn_registry *r, bool tells); /* as in conn_setup */
/* What is wrong with the registry's own files, for an alert: the i-th; NULL: no more. */
const char *conn_trouble(const struct conn_registry *r, unsigned i);
/* True once every enabled connector has left CONN_STARTING. */
bool conn_settled(const struct conn_registry *r);
const char *
conn_state_name(enum conn_state s); /* "disabled", "starting", "ok", "warn", "fail", "sign-in" */
const char *conn_level_name(enum conn_level l); /* "read", "recommend", "execute" */
const char *conn_pin_name(enum conn_pin p);     /* "new", "pinned", "changed" */

#endif
