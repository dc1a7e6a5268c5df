/* Calls: who may call what, time limits, delivery.
 *
 * Invariants
 * K1 done runs only from the call's own timer, so never inside conn_call or a kind's code (C2, L2);
 *    the one exception is conn_free, which tells what is left.
 * K2 After ended, the kind does not know the call any more. */
#include "backend/base/clock.h"
#include "backend/connectors/registry_types.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void unlink_call(struct conn_call *call)
{
    struct conn_call **at = &call->conn->running_calls;
    while (*at && *at != call)
        at = &(*at)->next;
    BUG_IF(!*at);
    *at = call->next;
    call->conn->call_count--;
}

static void free_call(struct conn_call *call)
{
    tel_span_end(call->span);
    free(call->tool);
    loop_timer_free(call->timer);
    free((char *)call->options.idempotency);
    free((char *)call->instead_of);
    free(call->text);
    json_decref(call->data);
    json_decref(call->content);
    free(call);
}

static void deliver(struct conn_call *call)
{
    unlink_call(call);
    struct conn_result result = {.error = call->error,
                                 .is_error = call->is_error,
                                 .text = call->text ? call->text : "",
                                 .text_bytes = call->text_bytes,
                                 .content = call->content,
                                 .data = call->data,
                                 .taken_over_by = call->instead_of ? call->conn->name : NULL,
                                 .elapsed_us = call->elapsed_us};
    if (!result.text_bytes)
        result.text_bytes = strlen(result.text);
    call->done(call->arg, &result);
    free_call(call);
}

/* Keeps what the call was for the connector's page; the log has it whole. */
static void remember(const struct conn_call *call)
{
    struct conn *c = call->conn;
    if (!c->past)
        c->past = xcalloc(CONN_PAST, sizeof *c->past);
    struct conn__past *p = &c->past[c->past_count++ % CONN_PAST];
    const char *error = call->error.code != ERR_OK     ? call->error.detail
                        : call->is_error && call->text ? call->text
                                                       : "";
    p->at = clock_real_ms();
    p->ok = call->error.code == ERR_OK && !call->is_error;
    p->elapsed_us = call->elapsed_us;
    snprintf(p->tool, sizeof p->tool, "%s", call->tool);
    snprintf(p->error, sizeof p->error, "%s", error);
}

/* What is told of a call that is over; failed "": it did what it should. */
static void tell(struct conn_call *call, const char *failed)
{
    struct tel *t = conn__tel(call->conn);
    double took = (double)(clock_mono_ns() - call->started_ns) / 1e9;
    struct tel_context before = tel_enter(t, tel_span_context(call->span)); /* for the exemplar */
    tel_add(t, TEL_connector_calls, 1, TEL_LABELS(call->conn->name, failed));
    tel_observe(t, TEL_gen_ai_tool, took, TEL_LABELS(call->tool, failed));
    tel_enter(t, &before);
    if (*failed)
        tel_span_fail(call->span, failed);
    tel_span_end(call->span);
    call->span = NULL;
}

static void end_call(struct conn_call *call)
{
    struct conn *c = call->conn;
    call->ended = true;
    call->elapsed_us = (int64_t)((clock_mono_ns() - call->started_ns) / 1000);
    tell(call, call->error.code ? err_name(call->error.code) : call->is_error ? "tool_error" : "");
    if (call->error.code == ERR_OK) {
        tel_record(&c->calls, (double)call->elapsed_us / 1000.0);
        c->last_success_at = clock_real_ms();
    } else {
        tel_record_failure(&c->calls);
    }
    breaker_end(&c->breaker, call->error.code, call->probe);
    remember(call);
    loop_timer_start(call->timer, 0, 0);
}

void conn__call_done(struct conn_call *call, bool is_error, char *text, json_t *data)
{
    BUG_IF(call->ended);
    call->is_error = is_error;
    call->text = text;
    call->data = data;
    end_call(call);
}

void conn__call_done_whole(struct conn_call *call, bool is_error, char *text, size_t text_bytes,
                           json_t *content, json_t *data)
{
    call->text_bytes = text_bytes;
    call->content = content;
    conn__call_done(call, is_error, text, data);
}

void conn__call_fail(struct conn_call *call, enum err code, const char *why)
{
    BUG_IF(call->ended);
    err_set(&call->error, code, "%s", why);
    if (code != ERR_CLOSED) /* a death is noted by the registry already */
        conn__failed(call->conn, code, why);
    end_call(call);
}

static void on_timer(void *arg)
{
    struct conn_call *call = arg;
    if (call->ended) {
        deliver(call);
        return;
    }
    struct conn *c = call->conn;
    c->ops->cancel(c->self, call);
    uint64_t ms = (clock_mono_ns() - call->started_ns) / 1000000;
    char *why = xasprintf("%s gave no answer in %llu ms", c->name, (unsigned long long)ms);
    conn__call_fail(call, ERR_TIMEOUT, why);
    free(why);
}

const struct conn__tool *conn__tool_find(const struct conn *c, const char *name)
{
    for (size_t i = 0; i < c->tool_count; i++) {
        if (strcmp(c->tools[i].name, name) == 0)
            return &c->tools[i];
    }
    return NULL;
}

bool conn__tool_callable(const struct conn__tool *t)
{
    return t->listed && t->pin == CONN_PINNED;
}

const json_t *conn__tool_schema(const struct conn *c, const char *tool, bool output)
{
    const struct conn__tool *t = conn__tool_find(c, tool);
    return !t ? NULL : output ? t->output_schema : t->schema;
}

struct tel_span *conn__call_span(const struct conn_call *call)
{
    return call->span;
}

bool conn__call_traceparent(const struct conn_call *call, char out[TEL_TRACEPARENT])
{
    const struct tel_context *context = tel_span_context(call->span);
    if (!context || !conn__tells_peers(call->conn))
        return false;
    tel_traceparent(context, out);
    return true;
}

void conn__call_progress(struct conn_call *call, double progress, double total, const char *message)
{
    if (call->ended)
        return;
    uint64_t run_ms = (clock_mono_ns() - call->started_ns) / 1000000;
    if (call->options.max_ms > run_ms) {
        uint64_t left = call->options.max_ms - run_ms;
        if (run_ms + left > call->limit_ms) /* never shorter than without progress */
            loop_timer_start(call->timer, left < call->limit_ms ? left : call->limit_ms, 0);
    }
    if (call->options.progress)
        call->options.progress(call->arg, progress, total, message ? message : "");
}

void conn__call_waits(struct conn_call *call)
{
    enum { LEAST_MS = 5000 };
    if (!call->ended)
        loop_timer_start(call->timer, call->limit_ms < LEAST_MS ? LEAST_MS : call->limit_ms, 0);
}

/* C1, what has to do with levels. */
static enum err may_act(const struct conn *c, const struct conn__tool *t, enum conn_level level,
                        struct error *e)
{
    if (t->level == CONN_READ)
        return ERR_OK;
    if (c->registry->killed)
        return err_set(e, ERR_DENIED, "the kill switch is on: nothing that acts is called");
    if (c->level < t->level)
        return err_set(e, ERR_DENIED,
                       "%s/%s is not known to be read-only, and the connector's level is %s; "
                       "read_tools of the connector names those that only read",
                       c->name, t->name, conn_level_name(c->level));
    if (level < t->level)
        return err_set(e, ERR_DENIED,
                       "%s/%s may change something: it is called by an approved plan only", c->name,
                       t->name);
    return ERR_OK;
}

/* C1 */
static enum err may_call(struct conn *c, const char *tool, const json_t *arguments,
                         enum conn_level level, struct error *e)
{
    if (!c->up)
        return err_set(e, ERR_CLOSED, "connector %s is %s%s%s", c->name, conn_state_name(c->state),
                       *c->last_error ? ": " : "", c->last_error);
    const struct conn__tool *t = conn__tool_find(c, tool);
    if (!t)
        return err_set(e, ERR_NOT_FOUND, "connector %s has no tool %s", c->name, tool);
    if (!t->listed)
        return err_set(e, ERR_DENIED, "%s/%s is shut out by tools_allow or tools_deny", c->name,
                       tool);
    if (t->pin != CONN_PINNED)
        return err_set(
            e, ERR_DENIED, "the definition of %s/%s %s; `mcp-console connectors trust` approves it",
            c->name, tool, t->pin == CONN_PIN_NEW ? "was not approved yet" : "has changed");
    if (may_act(c, t, level, e) != ERR_OK)
        return ERR_DENIED;
    if (!breaker_lets(&c->breaker))
        return err_set(e, ERR_CLOSED,
                       "connector %s failed too often: its breaker is %s, %llu ms more (%s)",
                       c->name, breaker_state(&c->breaker),
                       (unsigned long long)breaker_wait_ms(&c->breaker), c->last_error);
    if (c->call_count >= CONN_MAX_CALLS)
        return err_set(e, ERR_BUSY, "%d calls of connector %s are running", CONN_MAX_CALLS,
                       c->name);
    if (arguments && !json_is_object(arguments))
        return err_set(e, ERR_INVALID, "arguments must be an object");
    return t->schema && arguments ? conn__schema_check(t->schema, arguments, e) : ERR_OK;
}

static struct conn *find_qualified(const struct conn_registry *r, const char *qualified,
                                   const char **tool)
{
    for (struct conn *c = r->first; c; c = c->next) {
        for (size_t i = 0; i < c->tool_count; i++) {
            if (strcmp(c->tools[i].qualified, qualified) == 0) {
                *tool = c->tools[i].name;
                return c;
            }
        }
    }
    return NULL;
}

/* The connector that answers in the place of one that is out: only what reads, because to act on
 * another system than was meant is never right. NULL: none that may. */
static struct conn *stand_in(const struct conn *c, const char *tool, const json_t *arguments,
                             enum err why)
{
    struct error none = {0};
    if (why != ERR_CLOSED || !*c->alternative)
        return NULL;
    struct conn *other = conn__find(c->registry, c->alternative);
    const struct conn__tool *t = other && other != c ? conn__tool_find(other, tool) : NULL;
    if (!t || t->level != CONN_READ)
        return NULL;
    return may_call(other, tool, arguments, CONN_READ, &none) == ERR_OK ? other : NULL;
}

/* The span of a call; what is answered in this process is no other system. */
static struct tel_span *span_of(const struct conn_call *call, const struct tel_context *parent)
{
    struct tel *t = conn__tel(call->conn);
    struct tel_context current = tel_current(t);
    const char *kind = call->conn->ops->kind;
    bool here = strcmp(kind, "host") == 0 || strcmp(kind, "native") == 0;
    struct tel_span *s =
        tel_span_begin(t, parent ? parent : &current, here ? TEL_INTERNAL : TEL_CLIENT,
                       "execute_tool %s", call->tool);
    tel_span_text(s, "gen_ai.operation.name", "execute_tool");
    tel_span_text(s, "gen_ai.tool.name", call->tool);
    tel_span_text(s, "gen_ai.tool.type", "extension");
    tel_span_text(s, "mcp_console.connector", call->conn->name);
    tel_span_text(s, "mcp_console.connector.kind", kind);
    if (call->acts)
        tel_span_flag(s, "mcp_console.acts", true);
    return s;
}

static struct conn_call *make_call(struct conn *c, const char *tool,
                                   const struct conn_call_options *o, conn_done *done, void *arg)
{
    struct conn_call *call = xcalloc(1, sizeof *call);
    call->conn = c;
    call->options = *o;
    call->options.idempotency = xstrdup_or_null(o->idempotency);
    call->options.parent = NULL;
    call->tool = xstrdup(tool);
    call->acts = conn__tool_find(c, tool)->level != CONN_READ;
    call->limit_ms = o->limit_ms && o->limit_ms < c->timeout_ms ? o->limit_ms : c->timeout_ms;
    call->done = done;
    call->arg = arg;
    call->started_ns = clock_mono_ns();
    call->timer = loop_timer_new(c->registry->loop, on_timer, call);
    call->span = span_of(call, o->parent);
    call->probe = breaker_begin(&c->breaker);
    call->next = c->running_calls;
    c->running_calls = call;
    c->call_count++;
    loop_timer_start(call->timer, call->limit_ms, 0);
    return call;
}

struct conn_call *conn_call(struct conn_registry *r, const char *connector, const char *tool,
                            const json_t *arguments, const struct conn_call_options *options,
                            conn_done *done, void *arg, struct error *e)
{
    static const struct conn_call_options none;
    const struct conn_call_options *o = options ? options : &none;
    struct conn *asked = connector ? conn__find(r, connector) : find_qualified(r, tool, &tool);
    if (!asked) {
        err_set(e, ERR_NOT_FOUND, connector ? "no connector is named %s" : "there is no tool %s",
                connector ? connector : tool);
        return NULL;
    }
    json_t *empty = arguments ? NULL : json_object();
    const json_t *given = arguments ? arguments : empty;
    struct conn_call *call = NULL;
    struct error why = {0};
    struct conn *c = asked;
    if (may_call(c, tool, given, o->level, &why) != ERR_OK)
        c = stand_in(asked, tool, given, why.code);
    asked->taken_over = c && c != asked;
    if (!c) {
        if (e)
            *e = why;
        goto out;
    }
    call = make_call(c, tool, o, done, arg);
    call->instead_of = c != asked ? xstrdup(asked->name) : NULL;
    if (c->ops->call(c->self, call, tool, given, e) != ERR_OK) {
        if (call->probe)
            breaker_forget(&c->breaker);
        tell(call, e && e->code ? err_name(e->code) : "_OTHER");
        unlink_call(call);
        free_call(call);
        call = NULL;
    }
out:
    json_decref(empty);
    return call;
}

void conn_cancel(struct conn_call *call)
{
    if (!call)
        return;
    if (!call->ended) {
        call->conn->ops->cancel(call->conn->self, call);
        if (call->probe)
            breaker_forget(&call->conn->breaker);
        tell(call, err_name(ERR_CANCELLED));
    }
    unlink_call(call);
    free_call(call);
}

void conn__calls_fail(struct conn *c, enum err code, const char *why)
{
    for (struct conn_call *call = c->running_calls; call; call = call->next) {
        if (call->ended)
            continue;
        if (c->running)
            c->ops->cancel(c->self, call);
        conn__call_fail(call, code, why);
    }
}

/* A process that runs an acting call is killed, whatever else it does: a cancellation is only a
 * request. */
static size_t kill_one(struct conn *c)
{
    static const char WHY[] = "stopped by the kill switch";
    size_t n = 0;
    for (struct conn_call *call = c->running_calls; call; call = call->next) {
        if (call->ended || !call->acts)
            continue;
        c->ops->cancel(c->self, call);
        conn__call_fail(call, ERR_CANCELLED, WHY);
        n++;
    }
    if (n && c->running && c->ops->may_restart) {
        c->ops->stop(c->self, false);
        conn__down(c, ERR_CANCELLED, WHY);
    }
    return n;
}

size_t conn_kill(struct conn_registry *r, bool on)
{
    size_t n = 0;
    r->killed = on;
    for (struct conn *c = r->first; c && on; c = c->next)
        n += kill_one(c);
    return n;
}

bool conn_killed(const struct conn_registry *r)
{
    return r->killed;
}

void conn__calls_drop(struct conn *c)
{
    while (c->running_calls) {
        struct conn_call *call = c->running_calls;
        if (!call->ended) {
            c->ops->cancel(c->self, call);
            err_set(&call->error, ERR_CLOSED, "the console is stopping");
            call->ended = true;
            tell(call, err_name(ERR_CLOSED));
        }
        deliver(call);
    }
}
