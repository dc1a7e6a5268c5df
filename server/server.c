/* The server's life: a loop with the bus and one transport. See M1 to M4 of server.h.
 *
 *      new -> asking the backend -> serving -> ended
 *
 * Nothing is read from a peer before the backend has answered once: then the role is known, and a
 * backend that cannot start is an error of the program, not of a request. */
#include "server/internal.h"
#include <stdlib.h>
#include <string.h>

void server__quit(struct server *s, const struct error *e)
{
    if (e && !s->error.code)
        s->error = *e;
    loop_quit(s->loop);
}

static void on_bus(void *arg, int events)
{
    struct server *s = arg;
    (void)events;
    busc_dispatch(s->bus);
    if (busc_interrupted(s->bus))
        server__quit(s, NULL);
}

static void on_first(void *arg, const json_t *result, const struct error *e)
{
    struct server *s = arg;
    if (!result) {
        server__quit(s, e);
        return;
    }
    s->role = bus_role_find(json_str(result, "role", ""));
    s->started = true;
    busc_events(s->bus, server__on_event, server__on_resync, s);
    if (s->stdio)
        server__stdio_start(s->stdio);
}

struct server *server_new(const struct server_options *o, struct busc *bus, struct error *e)
{
    struct server *s = xcalloc(1, sizeof *s);
    s->bus = bus;
    s->write = o->write;
    s->changed = json_object();
    TAILQ_INIT(&s->calls);
    TAILQ_INIT(&s->peers);
    s->loop = loop_new();
    if (!s->loop) {
        err_set(e, ERR_OVERLOADED, "no descriptors are left");
        server_free(s);
        return NULL;
    }
    server__tools_load(s);
    server__prompts_load(s);
    s->tell = loop_timer_new(s->loop, server__tell, s);
    s->bus_watch = loop_watch_new(s->loop, busc_fd(bus), LOOP_READ, on_bus, s);
    if (o->listen && *o->listen)
        s->http = server__http_new(s, o, e);
    else
        s->stdio = server__stdio_new(s);
    if (!s->http && !s->stdio) {
        server_free(s);
        return NULL;
    }
    return s;
}

const char *server_address(const struct server *s)
{
    return s->http ? server__http_address(s->http) : NULL;
}

enum err server_run(struct server *s, struct error *e)
{
    busc_call(s->bus, WIRE_status_get, NULL, on_first, s);
    if (!busc_interrupted(s->bus))
        loop_run(s->loop);
    if (s->error.code)
        *e = s->error;
    return s->error.code;
}

void server_free(struct server *s)
{
    if (!s)
        return;
    server__http_free(s->http);
    server__stdio_free(s->stdio);
    /* Replies that are still to come belong to nobody: the caller frees the bus next. */
    for (struct call *c; (c = TAILQ_FIRST(&s->calls));) {
        c->refs = 1;
        server__release(c);
    }
    loop_watch_free(s->bus_watch);
    loop_timer_free(s->tell);
    server__tools_free(s);
    json_decref(s->prompts);
    json_decref(s->changed);
    if (s->loop)
        loop_free(s->loop);
    free(s);
}
