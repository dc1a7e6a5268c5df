/* Calls of tools as models make them: a name and arguments that come in pieces, several at once. */
#include "backend/base/clock.h"
#include "backend/gateway/upstream.h"
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 32, NAME_MAX_ = 256 };

void gw__calls_release(struct gw__calls *c)
{
    for (size_t i = 0; i < c->count; i++) {
        free(c->at[i].id);
        free(c->at[i].name);
        buf_release(&c->at[i].args);
    }
    *c = (struct gw__calls){0};
}

static void set_once(char **text, const char *value)
{
    if (!*text && value && *value)
        *text = xstrndup(value, NAME_MAX_);
}

/* The call at a place, a new one if there is none; NULL: too many. */
static struct gw__one_call *call_at(struct gw__calls *c, int64_t place)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->at[i].place == place)
            return &c->at[i];
    if (c->count == GW__CALLS_MAX)
        return NULL;
    c->at[c->count].place = place;
    return &c->at[c->count++];
}

bool gw__call_piece(struct gw__try *t, int64_t place, const char *id, const char *name,
                    const char *args, size_t len)
{
    struct gw__upstream *u = t->state;
    struct gw__one_call *call = call_at(&u->calls, place);
    gw__alive(t);
    if (!call || call->args.len + len > GW__ARGS_MAX) {
        gw__upstream_fail(t, ERR_TOO_BIG,
                          call ? "the arguments of a tool's call are longer than 256 KiB"
                               : "it calls more than 32 tools at once");
        return false;
    }
    if (!t->spoke)
        t->spoke = t->last;
    t->call_bytes += len + (name && !call->name ? strlen(name) : 0);
    set_once(&call->id, id);
    set_once(&call->name, name);
    buf_add(&call->args, args, len);
    return true;
}

bool gw__call_whole(struct gw__try *t, int64_t place, const char *id, const char *name,
                    const json_t *args)
{
    char *text = json_is_object(args) ? json_write(args) : xstrdup("");
    bool goes_on = gw__call_piece(t, place, id, name, text, strlen(text));
    free(text);
    return goes_on;
}

/* No arguments at all are an empty object: some servers leave them out. */
static json_t *arguments_of(const struct gw__one_call *call)
{
    const char *text = call->args.data ? call->args.data : "";
    if (!text[strspn(text, " \t\r\n")] && strlen(text) == call->args.len)
        return json_object();
    return json_read(text, call->args.len, GW__ARGS_MAX, DEPTH, NULL);
}

bool gw__calls_end(struct gw__try *t)
{
    const struct gw__upstream *u = t->state;
    json_t *all = json_array();
    for (size_t i = 0; i < u->calls.count; i++) {
        const struct gw__one_call *call = &u->calls.at[i];
        json_t *arguments = arguments_of(call), *one = json_object();
        if (!call->name || !json_is_object(arguments)) {
            char *why = call->name ? xasprintf("the arguments of its call of %s are no JSON object",
                                               call->name)
                                   : xstrdup("it calls a tool without a name");
            json_decref(arguments);
            json_decref(one);
            json_decref(all);
            gw__upstream_fail(t, ERR_PROTOCOL, why);
            free(why);
            return false;
        }
        char *id = call->id ? xstrdup(call->id) : xasprintf("call_%zu", i + 1);
        json_puts(one, "id", id);
        json_puts(one, "name", call->name);
        json_put(one, "arguments", arguments);
        json_array_append_new(all, one);
        free(id);
    }
    if (u->calls.count)
        t->tool_calls = all;
    else
        json_decref(all);
    return true;
}
