/* A connector of this process: tools implemented above this room.
 *
 * A started call and its reply know each other until one of them ends: the reply may come after the
 * call was cancelled or the connector was freed, and then finds nobody. */
#include "backend/base/clock.h"
#include "backend/connectors/internal.h"
#include <stdlib.h>
#include <string.h>

struct conn_native_reply {
    struct native *native;  /* NULL: freed meanwhile */
    struct conn_call *call; /* NULL: over meanwhile */
    struct conn_native_reply *next;
};

struct native {
    struct conn_native_reply *replies;
    struct conn *conn;
    const struct conn_native_tool *tools;
    size_t n;
    void *arg;
};

void *conn__native_make(struct conn *c, const struct conn_native_tool *tools, size_t n, void *arg)
{
    struct native *self = xcalloc(1, sizeof *self);
    *self = (struct native){.conn = c, .tools = tools, .n = n, .arg = arg};
    return self;
}

static void native_start(void *arg)
{
    struct native *self = arg;
    conn__tools_begin(self->conn);
    for (size_t i = 0; i < self->n; i++) {
        const struct conn_native_tool *t = &self->tools[i];
        struct error e = {0};
        json_t *schema = json_read(t->input_schema, strlen(t->input_schema), 65536, 16, &e);
        BUG_IF(!schema);
        struct conn_definition d = {.name = t->name,
                                    .title = t->title,
                                    .description = t->description,
                                    .input_schema = schema,
                                    .read_only = true};
        bool added = conn__tools_add(self->conn, &d);
        BUG_IF(!added);
    }
    conn__tools_end(self->conn);
    conn__up(self->conn, MCPC_VERSION, NULL);
}

static void native_stop(void *arg, bool orderly)
{
    (void)arg;
    (void)orderly;
}

static enum err native_call(void *arg, struct conn_call *call, const char *tool,
                            const json_t *arguments, struct error *e)
{
    struct native *self = arg;
    size_t i = 0;
    while (i < self->n && strcmp(self->tools[i].name, tool) != 0)
        i++;
    if (i == self->n)
        return err_set(e, ERR_NOT_FOUND, "there is no tool %s", tool);
    if (self->tools[i].start) {
        struct conn_native_reply *reply = xcalloc(1, sizeof *reply);
        *reply = (struct conn_native_reply){self, call, self->replies};
        self->replies = reply;
        self->tools[i].start(self->arg, arguments, reply);
        return ERR_OK;
    }
    json_t *data = NULL;
    char *text = NULL;
    struct error why = {0};
    if (self->tools[i].call(self->arg, arguments, &data, &text, &why) == ERR_OK) {
        conn__call_done(call, false, text, data);
        return ERR_OK;
    }
    free(text);
    json_decref(data);
    conn__call_fail(call, why.code == ERR_OK ? ERR_INTERNAL : why.code, why.detail);
    return ERR_OK;
}

void conn_native_answer(struct conn_native_reply *reply, json_t *data, char *text,
                        const struct error *e)
{
    if (reply->native) {
        struct conn_native_reply **at = &reply->native->replies;
        while (*at != reply)
            at = &(*at)->next;
        *at = reply->next;
    }
    if (reply->call && !e) {
        conn__call_done(reply->call, false, text, data);
        text = NULL;
        data = NULL;
    } else if (reply->call) {
        conn__call_fail(reply->call, e->code, e->detail);
    }
    free(text);
    json_decref(data);
    free(reply);
}

static void native_cancel(void *arg, struct conn_call *call)
{
    struct native *self = arg;
    for (struct conn_native_reply *r = self->replies; r; r = r->next) {
        if (r->call == call)
            r->call = NULL;
    }
}

static void native_free(void *arg)
{
    struct native *self = arg;
    for (struct conn_native_reply *r = self->replies; r; r = r->next) {
        r->native = NULL;
        r->call = NULL;
    }
    free(self);
}

static void native_check(void *arg)
{
    struct native *self = arg;
    conn__checked(self->conn, 0, ERR_OK, NULL); /* it is this very process */
}

const struct conn_ops conn__native_ops = {.kind = "native",
                                          .start = native_start,
                                          .stop = native_stop,
                                          .free = native_free,
                                          .call = native_call,
                                          .cancel = native_cancel,
                                          .check = native_check};
