/* Calls: what a client asked for, made of one try or more.
 *
 * 1 A call is in gw->calls from gw_start until its `done` or gw_cancel; then it is freed. Its tries
 *   outlive it only as memory on the stack (try.c, 1).
 * 2 A try that ended is in `spent` before anybody hears of it, and settled (G4). */
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

void gw_set_admission(struct gw *g, const struct gw_admission *a, void *arg)
{
    g->admission = *a;
    g->admission_arg = arg;
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

void gw_spent_release(struct gw_spent *s)
{
    for (size_t i = 0; i < s->count; i++)
        json_decref(s->at[i].raw_usage);
    *s = (struct gw_spent){0};
}

struct gw_usage gw_spent_usage(const struct gw_spent *s)
{
    struct gw_usage sum = {0};
    for (size_t i = 0; i < s->count; i++) {
        const struct gw_usage *u = &s->at[i].usage;
        sum.input_tokens += u->input_tokens;
        sum.cached_tokens += u->cached_tokens;
        sum.cache_write_tokens += u->cache_write_tokens;
        sum.output_tokens += u->output_tokens;
        sum.reasoning_tokens += u->reasoning_tokens;
        sum.estimated |= u->estimated;
    }
    return sum;
}

/* ---- tries */

/* Takes a try that is over into the call's account. */
static void account(struct gw_call *c, const struct gw__try *t, const char *outcome, enum err code)
{
    BUG_IF(c->spent.count == GW_ATTEMPTS);
    struct gw_attempt *a = &c->spent.at[c->spent.count++];
    *a = (struct gw_attempt){
        .model = &t->m->pub,
        .outcome = outcome,
        .code = code,
        .usage = gw__try_usage(t),
        .raw_usage = json_incref(t->raw_usage),
        .key = t->key,
        .http_status = t->http_status,
        .queued_ms = (int64_t)(t->started - c->started),
        .elapsed_ms = (int64_t)(clock_mono_ms() - t->started),
        .first_token_ms = t->spoke ? (int64_t)(t->spoke - t->started) : -1,
    };
    for (size_t i = 0; i < GW__TRIES; i++)
        if (c->tries[i] == t)
            c->tries[i] = NULL;
    if (t->admitted && c->g->admission.settle)
        c->g->admission.settle(c->g->admission_arg, t->ticket, a);
}

static enum err begin(struct gw_call *c, const struct gw__model *m, struct error *e)
{
    const struct gw_admission *admission = &c->g->admission;
    uint64_t ticket = 0;
    size_t place = 0;
    while (c->tries[place])
        BUG_IF(++place == GW__TRIES);
    if (admission->reserve &&
        admission->reserve(c->g->admission_arg, &m->pub, &c->r, gw__input_estimate(m, &c->r),
                           c->r.max_output_tokens, &ticket, e) != ERR_OK)
        return e->code;
    struct gw__try *t = gw__try_start(c, m, 0, e);
    if (!t) {
        const struct gw_attempt none = {
            .model = &m->pub, .outcome = "error", .code = e->code, .first_token_ms = -1};
        if (admission->settle)
            admission->settle(c->g->admission_arg, ticket, &none);
        return e->code;
    }
    t->ticket = ticket;
    t->admitted = admission->reserve != NULL;
    c->tries[place] = t;
    return ERR_OK;
}

static void unlink_call(struct gw_call *c)
{
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
}

static void call_free(struct gw_call *c)
{
    gw_spent_release(&c->spent);
    gw__request_release(&c->r);
    free(c);
}

void gw__call_delta(struct gw_call *c, const char *text, size_t len)
{
    if (!c->spoke)
        c->spoke = clock_mono_ms();
    if (c->ops.delta)
        c->ops.delta(c->arg, text, len);
}

void gw__call_reasoning(struct gw_call *c, const char *text, size_t len)
{
    if (c->ops.reasoning)
        c->ops.reasoning(c->arg, text, len);
}

void gw__call_ended(struct gw_call *c, struct gw__try *t, const struct error *e, const char *reason)
{
    account(c, t, e->code ? "error" : "ok", e->code);
    struct gw_result result = {
        .error = *e,
        .model = &t->m->pub,
        .text = t->text.data ? t->text.data : "",
        .reasoning = t->reasoning.data ? t->reasoning.data : "",
        .tool_calls = t->tool_calls,
        .finish_reason = reason,
        .usage = c->spent.at[c->spent.count - 1].usage,
        .elapsed_ms = (int64_t)(clock_mono_ms() - c->started),
        .first_token_ms = c->spoke ? (int64_t)(c->spoke - c->started) : -1,
        .http_status = t->http_status,
        .spent = &c->spent,
    };
    unlink_call(c);
    c->link = NULL;
    if (c->ops.done)
        c->ops.done(c->arg, &result);
    call_free(c);
}

struct gw_call *gw_start(struct gw *g, const char *model, const struct gw_request *r,
                         const struct gw_ops *ops, void *arg, struct error *e)
{
    const struct gw__model *m = find(g, model);
    if (!m) {
        err_set(e, ERR_NOT_FOUND, "no model is named \"%s\"", model);
        return NULL;
    }
    for (size_t i = 0; i < r->message_count; i++) {
        if (r->messages[i].image) {
            err_set(e, ERR_UNSUPPORTED,
                    "%s: a message holds an image (%.40s); this console sends texts only", model,
                    r->messages[i].image);
            return NULL;
        }
    }
    struct gw_call *c = xcalloc(1, sizeof *c);
    *c = (struct gw_call){.g = g, .ops = *ops, .arg = arg, .started = clock_mono_ms()};
    gw__request_copy(&c->r, r);
    if (begin(c, m, e) != ERR_OK) {
        call_free(c);
        return NULL;
    }
    c->next = g->calls;
    c->link = &g->calls;
    if (c->next)
        c->next->link = &c->next;
    g->calls = c;
    return c;
}

void gw_cancel(struct gw_call *c, struct gw_spent *spent)
{
    if (!c->link)
        return; /* inside its own done */
    for (size_t i = 0; i < GW__TRIES; i++) {
        struct gw__try *t = c->tries[i];
        if (!t)
            continue;
        account(c, t, "cancelled", ERR_CANCELLED);
        gw__try_end(t);
    }
    if (spent) {
        *spent = c->spent;
        c->spent = (struct gw_spent){0};
    }
    unlink_call(c);
    call_free(c);
}
