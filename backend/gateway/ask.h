/* Private to the gateway room: one exchange with a model's server that is no chat. */
#ifndef GATEWAY_ASK_H
#define GATEWAY_ASK_H

#include "backend/gateway/upstream.h"

enum gw__operation { GW__LIST, GW__HEALTH, GW__EMBED };

struct gw_ask {
    struct gw *g;
    const struct gw__model *m;
    struct gw_ask *next, **link; /* of gw->asks */
    gw_asked_fn *fn;
    void *arg;
    enum gw__operation operation;
    uint64_t started;
    struct gw_asked out; /* what is told */
    struct loop_timer *timer;

    /* the exchange under way */
    bool sent, probe; /* the server may have read it; the breaker let it through to see */
    uint64_t sent_at; /* monotonic ms */
    struct tel_span *span;
    char *traceparent; /* W3C: what this is part of, or NULL */
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
    /* sent: an exchange was under way; *spent (may be NULL) gets what was spent. */
    void (*release)(void *state, bool sent, struct gw_spent *spent);
};

struct gw_ask *gw__ask_new(struct gw *g, const char *model, enum gw__operation operation,
                           gw_asked_fn *fn, void *arg, struct error *e);
/* Begins an exchange; url is taken, and request, which is NULL for a GET. step hears of it later,
 * whatever becomes of it. */
void gw__ask_send(struct gw_ask *a, char *url, json_t *request,
                  void (*step)(struct gw_ask *a, const json_t *answer, const struct error *e));
/* Has step called in so many ms, in a later turn of the loop, with no answer. */
void gw__ask_later(struct gw_ask *a, uint64_t ms,
                   void (*step)(struct gw_ask *a, const json_t *answer, const struct error *e));
/* Tells and frees. */
void gw__ask_end(struct gw_ask *a, const struct error *e);

/* embed.c: the input's tokens as an answer with vectors reports them, -1: it does not. */
int64_t gw__embed_tokens(const json_t *answer);

/* told.c: what is told of an exchange. The header for its server, or NULL, is the caller's. */
char *gw__told_ask(struct gw_ask *a);
void gw__told_asked(struct gw_ask *a, const char *outcome, enum err code, const json_t *answer);
/* Of vectors: what their texts took. */
void gw__told_embedded(struct gw *g, const struct gw_model *m, const struct gw_usage *u);

#endif
