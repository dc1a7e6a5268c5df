/* Calls: what a client asked for, made of one try or more.
 *
 *   gw_start -> a place free? -> try -> text -> done
 *               waits for one      |-> failed before the first token: the same model again after a
 *                                  |   pause, with another key at once, or the next of the chain
 *                                  '-> late: a second try beside it; who speaks first stays
 *
 * 1 A call is in gw->calls from gw_start until its `done` or gw_cancel; then it is freed. Its tries
 *   outlive it only as memory on the stack (try.c, 1).
 * 2 A try that ended is in `spent` before anybody hears of it, and settled (G4).
 * 3 Nothing is tried again once a try showed text or reasoning.
 * 4 A call holds places only for its tries under way and, in `seat`, for the one it was woken for.
 * 5 Whatever it waits for, it ends at its deadline. */
#include "backend/base/clock.h"
#include "backend/gateway/count.h"
#include "backend/gateway/upstream.h"
#include <stdlib.h>
#include <string.h>

struct gw *gw_new(struct loop *l, const struct conf *conf, struct error *e)
{
    struct gw *g = xcalloc(1, sizeof *g);
    g->loop = l;
    int64_t watermark = conf_int(conf, "gateway", "", "watermark");
    g->watermark = watermark > 0 ? (size_t)watermark : 0;
    g->coalesce = (size_t)conf_int(conf, "gateway", "", "coalesce_tokens");
    if (gw__models_load(g, conf, e) != ERR_OK) {
        gw_free(g);
        return NULL;
    }
    gw__meter_open(&g->meter, conf_str(conf, "telemetry", "", "powercap"));
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
    while (g->asks)
        gw_ask_cancel(g->asks, NULL);
    gw__grants_free(g);
    gw__models_free(g);
    gw__count_forget_files(g);
    gw__meter_close(&g->meter);
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

const struct gw__model *gw__find(const struct gw *g, const char *name)
{
    for (size_t i = 0; i < g->count; i++)
        if (strcmp(g->models[i]->pub.name, name) == 0)
            return g->models[i];
    return NULL;
}

const struct gw_model *gw_find(const struct gw *g, const char *name)
{
    const struct gw__model *m = gw__find(g, name);
    return m ? &m->pub : NULL;
}

void gw_spent_release(struct gw_spent *s)
{
    for (size_t i = 0; i < s->count; i++)
        json_decref(s->at[i].raw_usage);
    *s = (struct gw_spent){0};
}

struct gw_spent gw_spent_nothing(const struct gw_model *m, enum err code)
{
    return (struct gw_spent){
        .at = {{.model = m, .outcome = "error", .code = code, .first_token_ms = -1}}, .count = 1};
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

static size_t under_way(const struct gw_call *c)
{
    size_t n = 0;
    for (size_t i = 0; i < GW__TRIES; i++)
        n += c->tries[i] != NULL;
    return n;
}

/* Takes a try that is over into the call's account. */
static void account(struct gw_call *c, struct gw__try *t, const char *outcome, enum err code)
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
    gw__lane_ended(t->m, t, outcome, code);
    gw__told_end(t, a);
    if (t->admitted && c->g->admission.settle)
        c->g->admission.settle(c->g->admission_arg, t->ticket, a);
    gw__lane_leave(c->g, t->m);
}

/* Starts a try; its place is taken already, and given back if it fails. */
static enum err begin(struct gw_call *c, const struct gw__model *m, struct error *e)
{
    const struct gw_admission *admission = &c->g->admission;
    uint64_t ticket = 0, now = clock_mono_ms();
    struct gw__try *t = NULL;
    size_t place = 0;
    while (c->tries[place])
        BUG_IF(++place == GW__TRIES);
    const struct gw_request own = gw__request_for(&c->r, m);
    if (admission->reserve &&
        admission->reserve(c->g->admission_arg, &m->pub, &own, gw__input_estimate(m, &own),
                           own.max_output_tokens, &ticket, e) != ERR_OK)
        goto out;
    bool probe = breaker_begin(&m->lane->breaker);
    t = gw__try_start(c, m, gw__lane_key(m), c->deadline > now ? c->deadline - now : 1, e);
    if (!t) {
        const struct gw_attempt none = {
            .model = &m->pub, .outcome = "error", .code = e->code, .first_token_ms = -1};
        breaker_forget(&m->lane->breaker);
        if (admission->settle)
            admission->settle(c->g->admission_arg, ticket, &none);
        goto out;
    }
    t->probe = probe;
    t->ticket = ticket;
    t->admitted = admission->reserve != NULL;
    c->tries[place] = t;
    if (c->seat.kept == m)
        c->seat.kept = NULL;
    uint64_t hedge = under_way(c) == 1 && !c->r.tools ? gw__lane_hedge_ms(m) : 0;
    if (hedge && c->spent.count + GW__TRIES <= GW_ATTEMPTS)
        loop_timer_start(c->wake, hedge, 0);
    return ERR_OK;
out:
    if (c->seat.kept == m)
        c->seat.kept = NULL;
    gw__lane_leave(c->g, m);
    return e->code;
}

static void note_failure(struct gw_call *c, const struct gw__model *m, const struct error *e)
{
    if (!c->error.code) {
        c->error = *e;
        c->failed = m;
    } else if (m != c->failed) {
        c->later = *e;
    }
}

/* The failure that is told: the first one, and what came of who stood in last. */
static struct error told(const struct gw_call *c)
{
    struct error e = c->error;
    if (c->later.code)
        err_set(&e, c->error.code, "%.250s; then %s", c->error.detail, c->later.detail);
    else if (c->spent.count > 1)
        err_set(&e, c->error.code, "%.400s (tried %zu times)", c->error.detail, c->spent.count);
    return e;
}

/* Goes on with the present model of the chain or one behind it: a try, or a place in its queue.
 * False: none is left, and c->error says why. */
static bool advance(struct gw_call *c)
{
    for (; c->at < c->chain_len; c->at++, c->failures = 0) {
        const struct gw__model *m = c->chain[c->at];
        struct error e = {0};
        if (!breaker_lets(&m->lane->breaker)) {
            err_set(&e, ERR_UNREACHABLE, "%s failed too often: it is left alone for %llu ms more",
                    m->pub.name, (unsigned long long)breaker_wait_ms(&m->lane->breaker));
        } else if (c->seat.kept == m || gw__lane_take(c->g, m)) {
            if (begin(c, m, &e) == ERR_OK)
                return true;
        } else if (gw__lane_wait(c->g, &c->seat, m, &e) == ERR_OK) {
            uint64_t now = clock_mono_ms();
            loop_timer_start(c->wake, c->deadline > now ? c->deadline - now : 0, 0);
            return true;
        }
        gw__lane_unwait(c->g, &c->seat);
        note_failure(c, m, &e);
    }
    return false;
}

static void unlink_call(struct gw_call *c)
{
    loop_timer_stop(c->wake);
    gw__lane_unwait(c->g, &c->seat);
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    c->link = NULL;
}

static void call_free(struct gw_call *c)
{
    if (c->gone)
        *c->gone = true;
    loop_timer_free(c->wake);
    buf_release(&c->held);
    gw_spent_release(&c->spent);
    gw__request_release(&c->r);
    free(c);
}

/* Hands on what was held back. False: the client cancelled, and the call is gone. */
static bool flush(struct gw_call *c)
{
    struct buf held = c->held;
    bool gone = false;
    c->held = (struct buf){0};
    // cppcheck-suppress autoVariables ; reset below
    c->gone = &gone;
    if (held.len && c->ops.delta)
        c->ops.delta(c->arg, held.data, held.len);
    buf_release(&held);
    if (!gone)
        c->gone = NULL;
    return !gone;
}

/* The one done; t NULL: no try is left to tell of. */
static void finish(struct gw_call *c, const struct gw__try *t, const struct error *e,
                   const char *reason)
{
    static const struct gw__try nothing;
    const struct gw__model *m =
        t ? t->m : c->chain[c->at < c->chain_len ? c->at : c->chain_len - 1];
    if (!t)
        t = &nothing;
    struct gw_result result = {
        .error = *e,
        .model = &m->pub,
        .text = t->text.data ? t->text.data : "",
        .reasoning = t->reasoning.data ? t->reasoning.data : "",
        .tool_calls = t->tool_calls,
        .thinking = t->thinking,
        .finish_reason = reason,
        .over_budget = t->over_budget,
        .usage = c->spent.count ? c->spent.at[c->spent.count - 1].usage : (struct gw_usage){0},
        .elapsed_ms = (int64_t)(clock_mono_ms() - c->started),
        .first_token_ms = c->spoke ? (int64_t)(c->spoke - c->started) : -1,
        .http_status = t->http_status,
        .spent = &c->spent,
    };
    unlink_call(c);
    if (c->ops.done)
        c->ops.done(c->arg, &result);
    call_free(c);
}

/* ---- what is done about a failure */

enum next { AGAIN, PAUSE, ELSEWHERE, GIVE_UP };

/* The request itself is at fault: nobody else would take it. */
static bool is_ours(long status)
{
    return status == 400 || status == 413 || status == 422;
}

bool gw__is_passing(enum err code, int64_t status)
{
    if (status >= 400 && status < 500)
        return status == 408 || status == 425 || status == 429;
    return code == ERR_UNREACHABLE || code == ERR_TIMEOUT || code == ERR_UPSTREAM ||
           code == ERR_OVERLOADED || code == ERR_PROTOCOL || code == ERR_CLOSED;
}

static enum next decide(struct gw_call *c, const struct gw__try *t, enum err code, uint64_t *pause)
{
    enum { PATIENCE_MS = 2000 }; /* rather than wait longer, somebody stands in */
    bool others = c->at + 1 < c->chain_len;
    uint64_t now = clock_mono_ms();
    *pause = t->retry_after_ms >= 0 ? (uint64_t)t->retry_after_ms : gw__backoff_ms(c->failures);
    bool rotated = t->http_status == 429 && gw__lane_rotate(t->m, t->key, *pause);
    if (t->spoke || t->reasoning.len || t->tool_calls || c->spent.count == GW_ATTEMPTS ||
        now >= c->deadline || is_ours((long)t->http_status) || code == ERR_TOO_BIG)
        return GIVE_UP;
    if (rotated)
        return AGAIN;
    if (t->m == c->chain[c->at] && gw__is_passing(code, t->http_status) &&
        c->failures < t->m->policy.retries && now + *pause < c->deadline &&
        !(others && *pause > PATIENCE_MS))
        return PAUSE;
    return others ? ELSEWHERE : GIVE_UP;
}

/* Those that lost against t. */
static void drop_others(struct gw_call *c, const struct gw__try *t)
{
    for (size_t i = 0; i < GW__TRIES; i++) {
        struct gw__try *other = c->tries[i];
        if (!other || other == t)
            continue;
        account(c, other, "hedged", ERR_CANCELLED);
        gw__try_end(other);
    }
}

void gw__call_ended(struct gw_call *c, struct gw__try *t, const struct error *e, const char *reason)
{
    static const char *const reasons[] = {"key", "pause", "fallback"}; /* by enum next */
    uint64_t pause;
    account(c, t, e->code ? "error" : "ok", e->code);
    if (e->code && under_way(c))
        return; /* the other of a hedge goes on */
    loop_timer_stop(c->wake);
    drop_others(c, t); /* an answer may end without a word */
    if (!flush(c))
        return;
    if (!e->code) {
        finish(c, t, e, reason);
        return;
    }
    enum next next = decide(c, t, e->code, &pause);
    note_failure(c, t->m, e);
    if (next == GIVE_UP) {
        struct error last = told(c);
        finish(c, t, &last, reason);
        return;
    }
    gw__told_again(t->m, c->g, reasons[next]);
    c->failures++;
    if (next == PAUSE) {
        loop_timer_start(c->wake, pause, 0);
        return;
    }
    if (next == ELSEWHERE) {
        c->at++;
        c->failures = 0;
    }
    if (!advance(c)) {
        struct error last = told(c);
        finish(c, t, &last, reason);
    }
}

/* ---- hedges, places and pauses */

/* A second try beside a late first one: with the model that would stand in, else the same. */
static void hedge(struct gw_call *c)
{
    struct error e = {0};
    size_t at = c->at + 1 < c->chain_len ? c->at + 1 : c->at;
    const struct gw__model *m = c->chain[at];
    if (breaker_lets(&m->lane->breaker) && gw__lane_take(c->g, m) &&
        begin(c, m, &e) == ERR_OK) /* if it cannot be made, the first try is all there is */
        gw__told_again(m, c->g, "hedge");
}

static void on_wake(void *arg)
{
    struct gw_call *c = arg;
    if (under_way(c)) {
        if (!c->winner && under_way(c) < GW__TRIES)
            hedge(c);
        return;
    }
    if (clock_mono_ms() >= c->deadline) {
        struct error e;
        err_set(&e, ERR_TIMEOUT, "%s: waited %llu ms for a place", c->chain[c->at]->pub.name,
                (unsigned long long)(clock_mono_ms() - c->started));
        finish(c, NULL, &e, "error");
        return;
    }
    if (!advance(c)) {
        struct error last = told(c);
        finish(c, NULL, &last, "error");
    }
}

/* The first sign of an answer decides which try it is. */
static void speaks(struct gw_call *c, struct gw__try *t)
{
    if (c->winner == t)
        return;
    c->winner = t;
    loop_timer_stop(c->wake);
    drop_others(c, t);
}

void gw__call_delta(struct gw_call *c, struct gw__try *t, const char *text, size_t len)
{
    speaks(c, t);
    if (!c->spoke)
        c->spoke = clock_mono_ms();
    if (!c->ops.delta)
        return;
    if (c->g->load <= c->g->watermark && !c->held.len) {
        c->ops.delta(c->arg, text, len);
        return;
    }
    buf_add(&c->held, text, len);
    if (c->g->load <= c->g->watermark ||
        gw_estimate_tokens(c->held.data) >= (int64_t)c->g->coalesce)
        (void)flush(c);
}

void gw__call_reasoning(struct gw_call *c, struct gw__try *t, const char *text, size_t len)
{
    speaks(c, t);
    if (c->ops.reasoning)
        c->ops.reasoning(c->arg, text, len);
}

/* ---- from and to the client */

static enum err refuse_images(const char *model, const struct gw_request *r, struct error *e)
{
    for (size_t i = 0; i < r->message_count; i++) {
        if (r->messages[i].image)
            return err_set(e, ERR_UNSUPPORTED,
                           "%s: a message holds an image (%.40s); this console sends texts only",
                           model, r->messages[i].image);
    }
    return ERR_OK;
}

struct gw_call *gw_start(struct gw *g, const char *model, const struct gw_request *r,
                         const struct gw_ops *ops, void *arg, struct error *e)
{
    const struct gw__model *m = gw__find(g, model);
    if (!m) {
        err_set(e, ERR_NOT_FOUND, "no model is named \"%s\"", model);
        return NULL;
    }
    if (refuse_images(model, r, e) != ERR_OK)
        return NULL;
    struct gw_call *c = xcalloc(1, sizeof *c);
    *c = (struct gw_call){.g = g, .ops = *ops, .arg = arg, .started = clock_mono_ms()};
    gw__request_copy(&c->r, r);
    c->deadline =
        c->started + (m->policy.total_ms && m->policy.total_ms < c->r.total_ms ? m->policy.total_ms
                                                                               : c->r.total_ms);
    c->wake = loop_timer_new(g->loop, on_wake, c);
    c->seat = (struct gw__seat){.wake = c->wake, .tag = r->tag};
    c->chain_len = gw__chain(g, m, &c->r, c->chain);
    c->next = g->calls;
    c->link = &g->calls;
    if (c->next)
        c->next->link = &c->next;
    g->calls = c;
    if (!c->chain_len)
        err_set(&c->error, ERR_DENIED, "%s runs in region \"%s\", and the data may only go to: %s",
                model, m->pub.region, c->r.regions);
    uint64_t wait = c->chain_len ? gw__off_peak_ms(m, &c->r) : 0;
    if (wait) {
        c->deadline += wait;
        loop_timer_start(c->wake, wait, 0);
    } else if (!c->chain_len || !advance(c)) {
        *e = told(c);
        unlink_call(c);
        call_free(c);
        return NULL;
    }
    return c;
}

void gw_cancel(struct gw_call *c, struct gw_spent *spent)
{
    if (spent)
        *spent = (struct gw_spent){0};
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
