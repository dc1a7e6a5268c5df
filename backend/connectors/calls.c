/* Calls: who may call what, time limits, delivery.
 *
 * Invariants
 * K1 done runs only from the call's own timer, so never inside conn_call or a kind's code (C2, L2);
 *    the one exception is conn_free, which tells what is left.
 * K2 After ended, the kind does not know the call any more. */
#include "backend/base/clock.h"
#include "backend/connectors/registry_types.h"
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
    loop_timer_free(call->timer);
    free(call->text);
    json_decref(call->data);
    free(call);
}

static void deliver(struct conn_call *call)
{
    unlink_call(call);
    struct conn_result result = {.error = call->error,
                                 .is_error = call->is_error,
                                 .text = call->text ? call->text : "",
                                 .data = call->data,
                                 .elapsed_us = call->elapsed_us};
    call->done(call->arg, &result);
    free_call(call);
}

static void end_call(struct conn_call *call)
{
    struct conn *c = call->conn;
    call->ended = true;
    call->elapsed_us = (int64_t)((clock_mono_ns() - call->started_ns) / 1000);
    if (call->error.code == ERR_OK) {
        tel_record(&c->calls, (double)call->elapsed_us / 1000.0);
        c->last_success_at = clock_real_ms();
    } else {
        tel_record_failure(&c->calls);
    }
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

static const struct conn__tool *find_tool(const struct conn *c, const char *name)
{
    for (size_t i = 0; i < c->tool_count; i++) {
        if (strcmp(c->tools[i].name, name) == 0)
            return &c->tools[i];
    }
    return NULL;
}

/* C1. Also a connector of level execute only runs what is known to read: nothing here can approve
 * a change yet. */
static enum err may_call(struct conn *c, const char *tool, const json_t *arguments, struct error *e)
{
    if (!c->up)
        return err_set(e, ERR_CLOSED, "connector %s is %s%s%s", c->name, conn_state_name(c->state),
                       *c->last_error ? ": " : "", c->last_error);
    const struct conn__tool *t = find_tool(c, tool);
    if (!t)
        return err_set(e, ERR_NOT_FOUND, "connector %s has no tool %s", c->name, tool);
    if (!t->read_only)
        return err_set(
            e, ERR_DENIED,
            "%s/%s is not known to be read-only; read_tools of the connector names those that are",
            c->name, tool);
    if (c->call_count >= CONN_MAX_CALLS)
        return err_set(e, ERR_BUSY, "%d calls of connector %s are running", CONN_MAX_CALLS,
                       c->name);
    if (arguments && !json_is_object(arguments))
        return err_set(e, ERR_INVALID, "arguments must be an object");
    return t->schema && arguments ? conn__schema_check(t->schema, arguments, e) : ERR_OK;
}

struct conn_call *conn_call(struct conn_registry *r, const char *connector, const char *tool,
                            const json_t *arguments, uint64_t limit_ms, conn_done *done, void *arg,
                            struct error *e)
{
    struct conn *c = conn__find(r, connector);
    if (!c) {
        err_set(e, ERR_NOT_FOUND, "no connector is named %s", connector);
        return NULL;
    }
    json_t *empty = arguments ? NULL : json_object();
    const json_t *given = arguments ? arguments : empty;
    struct conn_call *call = NULL;
    if (may_call(c, tool, given, e) != ERR_OK)
        goto out;
    call = xcalloc(1, sizeof *call);
    call->conn = c;
    call->done = done;
    call->arg = arg;
    call->started_ns = clock_mono_ns();
    call->timer = loop_timer_new(r->loop, on_timer, call);
    call->next = c->running_calls;
    c->running_calls = call;
    c->call_count++;
    loop_timer_start(call->timer, limit_ms && limit_ms < c->timeout_ms ? limit_ms : c->timeout_ms,
                     0);
    if (c->ops->call(c->self, call, tool, given, e) != ERR_OK) {
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
    if (!call->ended)
        call->conn->ops->cancel(call->conn->self, call);
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

void conn__calls_drop(struct conn *c)
{
    while (c->running_calls) {
        struct conn_call *call = c->running_calls;
        if (!call->ended) {
            c->ops->cancel(c->self, call);
            err_set(&call->error, ERR_CLOSED, "the console is stopping");
            call->ended = true;
        }
        deliver(call);
    }
}
