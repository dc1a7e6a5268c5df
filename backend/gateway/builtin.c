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

static void compose(struct gw__try *t, struct speaking *s)
{
    if (t->r->task == GW_CRITIQUE)
        gw__critique(t->r, &s->pieces);
    else if (t->r->task == GW_REVIEW)
        gw__review(t->r, t->m->vectors, &s->pieces);
    else
        gw__compose(t->r, t->m->vectors, &s->pieces);
    s->composed = true;
}

static void speak(void *arg)
{
    struct gw__try *t = arg;
    struct speaking *s = t->state;
    gw__enter(t);
    if (!s->composed)
        compose(t, s);
    if (s->next == s->pieces.len) {
        gw__finish(t, &(struct error){0}, "stop");
    } else {
        const char *piece = s->pieces.at[s->next++];
        s->tokens += gw_estimate_tokens(piece);
        if (t->r->max_output_tokens > 0 && s->tokens > t->r->max_output_tokens)
            gw__finish(t, &(struct error){0}, "length");
        else if (gw__delta(t, piece, strlen(piece)))
            loop_timer_start(s->timer, s->next < s->pieces.len ? PIECE_MS : 0, 0);
    }
    gw__leave(t);
}

static enum err start(struct gw__try *t, struct error *e)
{
    (void)e;
    struct speaking *s = xcalloc(1, sizeof *s);
    t->state = s;
    s->timer = loop_timer_new(t->g->loop, speak, t);
    loop_timer_start(s->timer, 0, 0);
    return ERR_OK;
}

static void stop(struct gw__try *t)
{
    struct speaking *s = t->state;
    loop_timer_free(s->timer);
    gw__pieces_release(&s->pieces);
    free(s);
    t->state = NULL;
}

const struct gw__ops gw__builtin_ops = {.start = start, .stop = stop};
