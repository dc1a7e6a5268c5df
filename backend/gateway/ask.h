/* Private to the gateway room: one exchange with a model's server that is no chat. */
#ifndef GATEWAY_ASK_H
#define GATEWAY_ASK_H

#include "backend/gateway/upstream.h"

struct gw_ask {
    struct gw *g;
    const struct gw__model *m;
    struct gw_ask *next, **link; /* of gw->asks */
    gw_asked_fn *fn;
    void *arg;
    uint64_t started;
    struct gw_asked out; /* what is told */
    struct loop_timer *timer;

    /* the exchange under way */
    struct http_call *http;
    struct gw__waiter *waiter;
    struct vault_text secret;
    struct buf body;
    char *url, *request; /* request NULL: a GET */
    unsigned key, failures;
    bool renewed, plain; /* plain: the answer need not be JSON */
    /* *e OK: the answer (or NULL, if plain); the step goes on or ends with gw__ask_end. */
    void (*step)(struct gw_ask *a, const json_t *answer, const struct error *e);

    void *state; /* of the step; ended by release */
    void (*release)(void *state);
};

struct gw_ask *gw__ask_new(struct gw *g, const char *model, gw_asked_fn *fn, void *arg,
                           struct error *e);
/* Begins an exchange; url is taken, and request, which is NULL for a GET. step hears of it later,
 * whatever becomes of it. */
void gw__ask_send(struct gw_ask *a, char *url, json_t *request,
                  void (*step)(struct gw_ask *a, const json_t *answer, const struct error *e));
/* Has step called in so many ms, in a later turn of the loop, with no answer. */
void gw__ask_later(struct gw_ask *a, uint64_t ms,
                   void (*step)(struct gw_ask *a, const json_t *answer, const struct error *e));
/* Tells and frees. */
void gw__ask_end(struct gw_ask *a, const struct error *e);

#endif
