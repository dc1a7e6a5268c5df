/* The connector registry: one place that knows each system, its health and what may be done to it.
 *
 * Invariants
 * C1 A tool runs only if its connector is up, and it is known to be read-only by us or by the
 *    configuration (read_tools), or the level allows it: annotations of servers are hints, not
 * trust. C2 Every conn_call that returned a call ends in exactly one `done`, at the latest at its
 * time limit. C3 A call that may have run is never sent again. C4 A connector that misbehaves
 * degrades itself only. */
#ifndef CONNECTORS_H
#define CONNECTORS_H

#include "backend/base/conf.h"
#include "backend/base/errors.h"
#include "backend/base/json.h"
#include "backend/base/loop.h"

/* The name of the connector for the console's own tools: no configured one may have it. */
#define CONN_OWN_NAME "console"

struct conn_registry;
struct conn_call;

enum conn_state { CONN_DISABLED, CONN_STARTING, CONN_OK, CONN_WARN, CONN_FAIL };
enum conn_level { CONN_READ, CONN_RECOMMEND, CONN_EXECUTE };

struct conn_tool { /* belongs to the registry; valid until the loop's next turn */
    const char *connector, *name, *title, *description;
    const json_t *input_schema;
    bool read_only; /* C1: known to us, not by annotation */
};

struct conn_result {
    struct error error; /* OK, or why there is no result */
    bool is_error;      /* the tool itself says that it failed; text says how */
    const char *text;   /* the text content joined; foreign; valid in the callback; never NULL */
    const json_t *data; /* structuredContent, or NULL */
    int64_t elapsed_us;
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

/* Builds every configured connector; a `host` one is made if none is configured. Nothing is started
 * yet. NULL with *e (CONFIG). */
struct conn_registry *conn_new(struct loop *l, const struct conf *conf, conn_changed *changed,
                               void *arg, struct error *e);
/* Adds a connector of this process ("console"); tools must outlive the registry. */
void conn_add_native(struct conn_registry *r, const char *name,
                     const struct conn_native_tool *tools, size_t n, void *arg);
void conn_start(struct conn_registry *r); /* does not block */
void conn_close(struct conn_registry *r); /* does not block: asks every child to end */
void conn_free(struct conn_registry *r);  /* kills what is left */

size_t conn_tools(struct conn_registry *r, struct conn_tool *out,
                  size_t max); /* of connectors that are up */
/* Starts a call. NULL with *e: NOT_FOUND, DENIED (C1), CLOSED, INVALID (arguments do not fit the
 * schema). */
struct conn_call *conn_call(struct conn_registry *r, const char *connector, const char *tool,
                            const json_t *arguments, uint64_t limit_ms, conn_done *done, void *arg,
                            struct error *e);
void conn_cancel(struct conn_call *c); /* no callback runs any more; the peer is told */
/* [{name, kind, state, level, region, allowed_regions, owner, data: [..], version, protocol, tools:
 * n, latency_ms, latency_p95_ms, history: [ms or -1], error_rate, last_error, last_error_at,
 * last_success_at, retry_in_ms, restarts, about}]; numbers are null when not known. Caller owns. */
json_t *conn_list(struct conn_registry *r);
/* One of those with tools: [{name, title, description, input_schema, read_only}], command, stderr:
 * [lines], noise: [lines]. NULL: none of that name. */
json_t *conn_describe(struct conn_registry *r, const char *name);
enum err conn_check(struct conn_registry *r, const char *name,
                    struct error *e); /* health check now */
enum err conn_restart(struct conn_registry *r, const char *name,
                      struct error *e); /* stop and start again */
/* True once every enabled connector has left CONN_STARTING. */
bool conn_settled(const struct conn_registry *r);
const char *conn_state_name(enum conn_state s); /* "disabled", "starting", "ok", "warn", "fail" */

#endif
