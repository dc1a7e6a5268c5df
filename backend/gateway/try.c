/* Tries: one exchange with one model each, its limits and its usage.
 *
 * 1 A try is freed when it is over and no callback of ours is on the stack (busy). So a client may
 *   cancel its call, or start another, inside any callback.
 * 2 ops->stop runs exactly once for each try whose ops->start succeeded.
 * 3 One timer per try watches the nearest of: total, first token, silence since the last event. */
#include "backend/base/clock.h"
#include "backend/gateway/count.h"
#include "backend/telemetry/telemetry.h"
#include <stdlib.h>
#include <string.h>

enum { CALL_BYTES_10 = 31 }; /* bytes of JSON that ten tokens are, about (o200k) */

static void release(struct gw__try *t)
{
    loop_timer_free(t->limit);
    buf_release(&t->text);
    buf_release(&t->reasoning);
    json_decref(t->raw_usage);
    json_decref(t->tool_calls);
    json_decref(t->thinking);
    free(t);
}

/* No more callbacks; the API's part is gone. */
static void end(struct gw__try *t)
{
    t->over = true;
    gw__energy_end(t);
    loop_timer_stop(t->limit);
    t->m->ops->stop(t);
}

void gw__enter(struct gw__try *t)
{
    t->busy++;
}

void gw__leave(struct gw__try *t)
{
    if (--t->busy == 0 && t->over)
        release(t);
}

/* Limits. */

static uint64_t deadline(const struct gw__try *t, const char **what, uint64_t *limit)
{
    uint64_t total = t->started + t->total_ms;
    uint64_t next = t->first ? t->last + t->silence_ms : t->started + t->first_token_ms;
    if (total <= next) {
        *what = "the whole answer";
        *limit = t->total_ms;
        return total;
    }
    *what = t->first ? "the next part of the answer" : "the first part of the answer";
    *limit = t->first ? t->silence_ms : t->first_token_ms;
    return next;
}

static void watch(struct gw__try *t)
{
    const char *what;
    uint64_t limit, now = clock_mono_ms(), at = deadline(t, &what, &limit);
    loop_timer_start(t->limit, at > now ? at - now : 0, 0);
}

static void on_limit(void *arg)
{
    struct gw__try *t = arg;
    const char *what;
    uint64_t limit;
    if (deadline(t, &what, &limit) > clock_mono_ms()) {
        watch(t);
        return;
    }
    struct error e;
    err_set(&e, ERR_TIMEOUT, "%s: waited %llu ms for %s", t->m->pub.name, (unsigned long long)limit,
            what);
    gw__enter(t);
    gw__finish(t, &e, NULL);
    gw__leave(t);
}

void gw__alive(struct gw__try *t)
{
    t->last = clock_mono_ms();
    if (!t->first) {
        t->first = t->last;
        watch(t); /* the limit changed; later ones are found when the timer fires */
    }
}

/* What a call brings. */

bool gw__delta(struct gw__try *t, const char *text, size_t len)
{
    if (t->over)
        return false;
    if (!len)
        return true;
    gw__alive(t);
    if (t->spoke == 0)
        t->spoke = t->last;
    if (t->text.len + len > GW__TEXT_MAX) {
        struct error e;
        err_set(&e, ERR_TOO_BIG, "%s: the answer is longer than %d bytes", t->m->pub.name,
                GW__TEXT_MAX);
        gw__finish(t, &e, NULL);
        return false;
    }
    buf_add(&t->text, text, len);
    gw__call_delta(t->call, t, text, len);
    if (!t->over && gw__budget_over(t))
        gw__finish(t, &(struct error){0}, "length");
    return !t->over;
}

bool gw__reasoning(struct gw__try *t, const char *text, size_t len)
{
    if (t->over)
        return false;
    if (!len)
        return true;
    gw__alive(t);
    size_t room = GW__TEXT_MAX - t->reasoning.len, kept = len < room ? len : room;
    buf_add(&t->reasoning, text, kept);
    if (kept < len) { /* what is beyond is counted, not kept */
        char *piece = xstrndup(text + kept, len - kept);
        t->hidden_tokens += gw_estimate_tokens(piece);
        free(piece);
    }
    gw__call_reasoning(t->call, t, text, len);
    if (!t->over && gw__budget_over(t))
        gw__finish(t, &(struct error){0}, "length");
    return !t->over;
}

struct gw_usage gw__try_usage(const struct gw__try *t)
{
    struct gw_usage u = {.input_tokens = t->input_tokens,
                         .cached_tokens = t->cached_tokens > 0 ? t->cached_tokens : 0,
                         .cache_write_tokens =
                             t->cache_write_tokens > 0 ? t->cache_write_tokens : 0,
                         .output_tokens = t->output_tokens,
                         .reasoning_tokens = t->reasoning_tokens};
    if (u.input_tokens < 0) {
        u.input_tokens = t->sent ? gw__input_estimate(t->m, t->r) : 0;
        u.estimated = true;
    }
    int64_t hidden = t->hidden_tokens;
    if (t->reasoning.len && (u.output_tokens < 0 || u.reasoning_tokens < 0))
        hidden += (int64_t)gw__count_text(t->m, t->reasoning.data, t->reasoning.len);
    if (u.output_tokens < 0) {
        u.output_tokens =
            gw__output_estimate(t) + hidden + (int64_t)(t->call_bytes * 10 / CALL_BYTES_10);
        u.estimated = true;
    }
    if (u.reasoning_tokens < 0)
        u.reasoning_tokens = hidden < u.output_tokens ? hidden : u.output_tokens;
    return u;
}

void gw__finish(struct gw__try *t, const struct error *e, const char *reason)
{
    if (t->over)
        return;
    struct error copy = *e;
    tel_span_list(t->span, "gen_ai.response.finish_reasons", reason);
    if (!copy.code) {
        gw__count_learn(t);
        gw__energy_measured(t);
    }
    if (!copy.code && reason && strcmp(reason, "length") == 0) {
        t->over_budget = t->over_budget || t->max_output == t->room;
        gw__told_cut(t);
    }
    gw__enter(t);
    end(t);
    gw__call_ended(t->call, t, &copy, reason ? reason : copy.code ? "error" : "stop");
    gw__leave(t);
}

void gw__try_end(struct gw__try *t)
{
    gw__enter(t);
    if (!t->over)
        end(t);
    gw__leave(t);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return b && b < a ? b : a;
}

/* The model's limits or the request's, whichever are shorter. Where somebody can stand in, a model
 * that says nothing gets half of the time. */
static void set_limits(struct gw__try *t, uint64_t left_ms)
{
    const struct gw__policy *p = &t->m->policy;
    bool others = t->call->at + 1 < t->call->chain_len;
    t->connect_ms = least(t->r->connect_ms, p->connect_ms);
    t->silence_ms = least(t->r->silence_ms, p->silence_ms);
    t->total_ms = least(left_ms, p->total_ms);
    t->first_token_ms = least(t->r->first_token_ms, p->first_token_ms);
    if (others && !p->first_token_ms)
        t->first_token_ms = least(t->first_token_ms, t->total_ms / 2 + 1);
}

struct gw__try *gw__try_start(struct gw_call *c, const struct gw__model *m, unsigned key,
                              uint64_t left_ms, struct error *e)
{
    struct gw__try *t = xcalloc(1, sizeof *t);
    *t = (struct gw__try){.g = c->g,
                          .m = m,
                          .call = c,
                          .own = gw__request_for(&c->r, m),
                          .started = clock_mono_ms(),
                          .input_tokens = -1,
                          .cached_tokens = -1,
                          .cache_write_tokens = -1,
                          .output_tokens = -1,
                          .reasoning_tokens = -1,
                          .retry_after_ms = -1,
                          .key = key,
                          .max_output = c->r.max_output_tokens};
    t->r = &t->own;
    set_limits(t, left_ms);
    t->limit = loop_timer_new(t->g->loop, on_limit, t);
    gw__told_begin(t);
    t->sent = true;
    if (gw__budget_begin(t, e) != ERR_OK || m->ops->start(t, e) != ERR_OK) {
        gw__told_unstarted(t, e->code);
        release(t);
        return NULL;
    }
    gw__energy_begin(t);
    watch(t);
    return t;
}
