/* The two built-in models as an API of the gateway: the answer is composed in the loop's next turn
 * and streamed a sentence a millisecond, so nothing else waits for it. */
#include "backend/gateway/internal.h"
#include <stdlib.h>
#include <string.h>

enum { PIECE_MS = 1 };

struct speaking {
    struct loop_timer *timer;
    struct gw__pieces pieces;
    size_t next;
    int64_t tokens;
    bool composed;
};

static void compose(struct gw_call *c, struct speaking *s)
{
    if (c->r.task == GW_CRITIQUE)
        gw__critique(&c->r, &s->pieces);
    else
        gw__compose(&c->r, c->m->vectors, &s->pieces);
    s->composed = true;
}

static void speak(void *arg)
{
    struct gw_call *c = arg;
    struct speaking *s = c->state;
    gw__enter(c);
    if (!s->composed)
        compose(c, s);
    if (s->next == s->pieces.len) {
        gw__finish(c, &(struct error){0}, "stop");
    } else {
        const char *piece = s->pieces.at[s->next++];
        s->tokens += gw_estimate_tokens(piece);
        if (c->r.max_output_tokens > 0 && s->tokens > c->r.max_output_tokens)
            gw__finish(c, &(struct error){0}, "length");
        else if (gw__delta(c, piece, strlen(piece)))
            loop_timer_start(s->timer, s->next < s->pieces.len ? PIECE_MS : 0, 0);
    }
    gw__leave(c);
}

static enum err start(struct gw_call *c, struct error *e)
{
    (void)e;
    struct speaking *s = xcalloc(1, sizeof *s);
    c->state = s;
    s->timer = loop_timer_new(c->g->loop, speak, c);
    loop_timer_start(s->timer, 0, 0);
    return ERR_OK;
}

static void stop(struct gw_call *c)
{
    struct speaking *s = c->state;
    loop_timer_free(s->timer);
    gw__pieces_release(&s->pieces);
    free(s);
    c->state = NULL;
}

const struct gw__ops gw__builtin_ops = {.kind = "builtin", .start = start, .stop = stop};
