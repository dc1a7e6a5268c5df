/* What a model's server is asked besides chats: whether it is well, and which models it has. No
 * text of anybody's goes there.
 *
 * 1 A call waits in b->model_asks until its server has answered or the console stops; each is
 *   answered once. */
#include "backend/gateway/gateway.h"
#include "backend/methods.h"
#include <stdlib.h>

struct model_ask {
    struct model_ask *next, **link;
    struct bus_call *call;
    struct gw_ask *ask;
    bool listing; /* else its health */
};

static void forget(struct model_ask *m)
{
    *m->link = m->next;
    if (m->next)
        m->next->link = m->link;
    free(m);
}

void backend__models_stop(struct backend *b)
{
    const struct error closed = {.code = ERR_CLOSED};
    while (b->model_asks) {
        struct model_ask *m = b->model_asks;
        gw_ask_cancel(m->ask, NULL);
        bus_fail(m->call, &closed);
        forget(m);
    }
}

static void answered(void *arg, const struct gw_asked *a)
{
    struct model_ask *m = arg;
    json_t *result = NULL;
    if (a->error.code == ERR_OK) {
        result = json_object();
        json_puts(result, "model", a->model->name);
        json_puti(result, "elapsed_ms", a->elapsed_ms);
        if (m->listing)
            json_put(result, "available", json_deep_copy(a->models));
        else
            json_put(result, "listed", a->listed < 0 ? json_null() : json_boolean(a->listed));
    }
    method_answer(m->call, result, &a->error);
    forget(m);
}

static void ask(struct bus_call *c, struct backend *b, bool listing)
{
    const char *name;
    struct error e = {0};
    if (!method_text(c, "name", true, &name))
        return;
    struct model_ask *m = xcalloc(1, sizeof *m);
    *m = (struct model_ask){.next = b->model_asks, .call = c, .listing = listing};
    m->link = &b->model_asks;
    if (m->next)
        m->next->link = &m->next;
    b->model_asks = m;
    m->ask = (listing ? gw_list_models : gw_health)(b->gw, name, answered, m, &e);
    if (m->ask)
        return;
    bus_fail(c, &e);
    forget(m);
}

void on_models_check(struct bus_call *c, void *arg)
{
    ask(c, arg, false);
}

void on_models_available(struct bus_call *c, void *arg)
{
    ask(c, arg, true);
}
