/* Calls: limits, usage, and the one `done`.
 *
 * 1 A call is in gw->calls until it is over; it is freed when it is over and no callback of ours is
 *   on the stack (busy). So a caller may cancel it, or start another, inside any callback.
 * 2 ops->stop runs exactly once for each call whose ops->start succeeded.
 * 3 One timer per call watches the nearest of: total, first token, silence since the last event. */
#include "backend/base/clock.h"
#include "backend/gateway/internal.h"
#include <stdlib.h>
#include <string.h>

struct gw *gw_new(struct loop *l, const struct conf *conf, struct error *e)
{
    struct gw *g = xcalloc(1, sizeof *g);
    g->loop = l;
    if (gw__models_load(g, conf, e) != ERR_OK) {
        gw_free(g);
        return NULL;
    }
    return g;
}

void gw_set_vault(struct gw *g, struct vault *v)
{
    g->vault = v;
}

void gw_free(struct gw *g)
{
    if (!g)
        return;
    while (g->calls)
        gw_cancel(g->calls, NULL);
    gw__models_free(g);
    free(g);
}

size_t gw_count(const struct gw *g)
{
    return g->count;
}

const struct gw_model *gw_model(const struct gw *g, size_t i)
{
    BUG_IF(i >= g->count);
    return &g->models[i]->pub;
}

static const struct gw__model *find(const struct gw *g, const char *name)
{
    for (size_t i = 0; i < g->count; i++)
        if (strcmp(g->models[i]->pub.name, name) == 0)
            return g->models[i];
    return NULL;
}

const struct gw_model *gw_find(const struct gw *g, const char *name)
{
    const struct gw__model *m = find(g, name);
    return m ? &m->pub : NULL;
}

static void release(struct gw_call *c)
{
    loop_timer_free(c->limit);
    buf_release(&c->text);
    gw__request_release(&c->r);
    free(c);
}

/* No more callbacks; the API's part is gone. */
static void end(struct gw_call *c)
{
    c->over = true;
    loop_timer_stop(c->limit);
    c->m->ops->stop(c);
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
}

void gw__enter(struct gw_call *c)
{
    c->busy++;
}

void gw__leave(struct gw_call *c)
{
    if (--c->busy == 0 && c->over)
        release(c);
}

/* Limits. */

static uint64_t deadline(const struct gw_call *c, const char **what, uint64_t *limit)
{
    uint64_t total = c->started + c->r.total_ms;
    uint64_t next = c->first ? c->last + c->r.silence_ms : c->started + c->r.first_token_ms;
    if (total <= next) {
        *what = "the whole answer";
        *limit = c->r.total_ms;
        return total;
    }
    *what = c->first ? "the next part of the answer" : "the first part of the answer";
    *limit = c->first ? c->r.silence_ms : c->r.first_token_ms;
    return next;
}

static void watch(struct gw_call *c)
{
    const char *what;
    uint64_t limit, now = clock_mono_ms(), at = deadline(c, &what, &limit);
    loop_timer_start(c->limit, at > now ? at - now : 0, 0);
}

static void on_limit(void *arg)
{
    struct gw_call *c = arg;
    const char *what;
    uint64_t limit;
    if (deadline(c, &what, &limit) > clock_mono_ms()) {
        watch(c);
        return;
    }
    struct error e;
    err_set(&e, ERR_TIMEOUT, "%s: waited %llu ms for %s", c->m->pub.name, (unsigned long long)limit,
            what);
    gw__enter(c);
    gw__finish(c, &e, NULL);
    gw__leave(c);
}

void gw__alive(struct gw_call *c)
{
    c->last = clock_mono_ms();
    if (!c->first) {
        c->first = c->last;
        watch(c); /* the limit changed; later ones are found when the timer fires */
    }
}

/* What a call brings. */

bool gw__delta(struct gw_call *c, const char *text, size_t len)
{
    if (c->over)
        return false;
    if (!len)
        return true;
    gw__alive(c);
    if (c->spoke == 0)
        c->spoke = c->last;
    if (c->text.len + len > GW__TEXT_MAX) {
        struct error e;
        err_set(&e, ERR_TOO_BIG, "%s: the answer is longer than %d bytes", c->m->pub.name,
                GW__TEXT_MAX);
        gw__finish(c, &e, NULL);
        return false;
    }
    buf_add(&c->text, text, len);
    if (c->ops.delta)
        c->ops.delta(c->arg, text, len);
    return !c->over;
}

static int64_t input_estimate(const struct gw_call *c)
{
    const struct gw_request *r = &c->r;
    int64_t n = 0;
    if (!c->m->pub.builtin && r->message_count) {
        for (size_t i = 0; i < r->message_count; i++)
            n += gw_estimate_tokens(r->messages[i].content);
        return n;
    }
    n = gw_estimate_tokens(r->question);
    for (size_t i = 0; c->m->pub.builtin && i < r->source_count; i++)
        n += gw_estimate_tokens(r->sources[i].text);
    return n + gw_estimate_tokens(r->mine) + gw_estimate_tokens(r->other);
}

static struct gw_usage usage_of(const struct gw_call *c)
{
    struct gw_usage u = {c->input_tokens, c->output_tokens, false};
    if (u.input_tokens < 0) {
        u.input_tokens = c->sent ? input_estimate(c) : 0;
        u.estimated = true;
    }
    if (u.output_tokens < 0) {
        u.output_tokens = gw_estimate_tokens(c->text.data) + c->hidden_tokens;
        u.estimated = true;
    }
    return u;
}

void gw__finish(struct gw_call *c, const struct error *e, const char *reason)
{
    if (c->over)
        return;
    uint64_t now = clock_mono_ms();
    struct gw_result result = {
        .error = *e,
        .text = c->text.data ? c->text.data : "",
        .finish_reason = reason    ? reason
                         : e->code ? "error"
                                   : "stop",
        .usage = usage_of(c),
        .elapsed_ms = (int64_t)(now - c->started),
        .first_token_ms = c->spoke ? (int64_t)(c->spoke - c->started) : -1,
        .http_status = c->http_status,
    };
    end(c);
    gw__enter(c);
    if (c->ops.done)
        c->ops.done(c->arg, &result);
    gw__leave(c);
}

struct gw_call *gw_start(struct gw *g, const char *model, const struct gw_request *r,
                         const struct gw_ops *ops, void *arg, struct error *e)
{
    const struct gw__model *m = find(g, model);
    if (!m) {
        err_set(e, ERR_NOT_FOUND, "no model is named \"%s\"", model);
        return NULL;
    }
    struct gw_call *c = xcalloc(1, sizeof *c);
    *c = (struct gw_call){.g = g,
                          .m = m,
                          .ops = *ops,
                          .arg = arg,
                          .started = clock_mono_ms(),
                          .input_tokens = -1,
                          .output_tokens = -1};
    gw__request_copy(&c->r, r);
    c->limit = loop_timer_new(g->loop, on_limit, c);
    if (m->ops->start(c, e) != ERR_OK) {
        release(c);
        return NULL;
    }
    c->sent = true;
    c->next = g->calls;
    c->link = &g->calls;
    if (c->next)
        c->next->link = &c->next;
    g->calls = c;
    watch(c);
    return c;
}

void gw_cancel(struct gw_call *c, struct gw_usage *usage)
{
    if (c->over)
        return; /* inside its own done */
    if (usage)
        *usage = usage_of(c);
    gw__enter(c);
    end(c);
    gw__leave(c);
}
