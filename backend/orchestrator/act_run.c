/* Running a plan: one step at a time, in the order that was approved.
 *
 * 1 Of the steps one is under way: its intent is durable (A3), then its call, then its outcome is
 *   durable, then its verification, then the next.
 * 2 What ends with a time limit, a lost peer or a stop may have run: unknown, and the run is over
 *   (A4). Nothing is undone then, because nobody knows what there is to undo.
 * 3 Otherwise a failure undoes, where the plan wants that, what was done, the last first.
 * 4 With several targets the first one is the canary: it is verified before the others begin, and
 *   again after canary_wait_s. */
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "backend/compliance/compliance.h"
#include "backend/orchestrator/act_internal.h"
#include <string.h>

static void undo_next(struct plan *plan);
static void verify_call(void *arg);

static const char *state_of(const json_t *step)
{
    return json_str(step, "state", "");
}

static bool step_is(const json_t *step, const char *state)
{
    return strcmp(state_of(step), state) == 0;
}

static size_t step_count(const struct plan *plan)
{
    return json_array_size(json_object_get(plan->doc, "steps"));
}

/* The entry permits it: the plan and its approvals; room for two more edges. */
static size_t permits(const struct plan *plan, struct prov_edge edges[ACT_APPROVALS + 3])
{
    size_t n = 0;
    edges[n++] = (struct prov_edge){plan->entry, "permit", -1};
    for (size_t i = 0; i < plan->approval_count; i++)
        edges[n++] = (struct prov_edge){plan->approvals[i], "permit", -1};
    return n;
}

static json_t *event_of(size_t step, const char *what)
{
    json_t *payload = json_object();
    json_puts(payload, "what", what);
    json_puti(payload, "step", (int64_t)step);
    return payload;
}

static void put_call(json_t *payload, const json_t *call)
{
    json_puts(payload, "connector", json_str(call, "connector", ""));
    json_puts(payload, "tool", json_str(call, "tool", ""));
    json_put(payload, "arguments", json_deep_copy(json_object_get(call, "arguments")));
}

/* The same of a part of the step; what is missing of it is said by the call. */
static void put_part(json_t *payload, const struct plan *plan, const char *part)
{
    json_t *call = act__part(plan, plan->step, part, NULL);
    put_call(payload, call);
    json_decref(call);
}

static void put_text(json_t *payload, const char *key, const char *text)
{
    size_t len = strlen(text);
    json_put(payload, key, json_text(text, len < ACT_TEXT ? len : ACT_TEXT));
}

/* ---- the end of a run */

void act__span_begin(struct plan *plan, bool undo)
{
    struct tel *t = plan->owner->rooms.tel;
    struct tel_context current = tel_current(t);
    act__span_end(plan, "_OTHER"); /* of a run that nobody ended */
    plan->span = tel_span_begin(t, &current, TEL_INTERNAL, undo ? "undo plan" : "run plan");
    tel_span_text(plan->span, "mcp_console.plan", plan->id);
    tel_span_int(plan->span, "mcp_console.plan.steps", (int64_t)step_count(plan));
    tel_span_text(plan->span, "mcp_console.plan.risk", json_str(plan->doc, "risk", NULL));
    plan->context = plan->span ? *tel_span_context(plan->span) : current;
}

void act__span_end(struct plan *plan, const char *failed)
{
    if (!plan->span)
        return;
    tel_span_text(plan->span, "mcp_console.outcome", act__state(plan));
    if (failed)
        tel_span_fail(plan->span, failed);
    tel_span_end(plan->span);
    plan->span = NULL;
}

static void ended(struct plan *plan, int64_t seq, const struct error *e, void *arg)
{
    (void)seq, (void)arg;
    bool well = act__state_is(plan, "done");
    act__span_end(plan, e->code ? err_name(e->code) : well ? NULL : "_OTHER");
    plan->running = plan->undoing = plan->wanted_stop = false;
    free(plan->stop_why);
    plan->stop_why = NULL;
}

static void end_run(struct plan *plan, const char *state, const char *why)
{
    struct prov_edge edges[ACT_APPROVALS + 3];
    size_t n = permits(plan, edges);
    json_t *payload = json_object();
    json_puts(payload, "what", "end");
    json_puts(payload, "state", state);
    json_puts(payload, "why", why);
    json_put(payload, "undone", json_boolean(plan->undoing));
    plan->alive = false;
    if (plan->run_entry >= 0)
        edges[n++] = (struct prov_edge){plan->run_entry, "call", -1};
    act__log(plan, "step", "backend", payload, edges, n, ended, NULL);
}

/* Something could not be logged: the console is stopping, or its disk is full. Nothing acts any
 * more; the next start settles what is open. */
static void give_up(struct plan *plan, const struct error *e)
{
    plan->alive = plan->running = plan->undoing = false;
    act__span_end(plan, err_name(e->code));
    json_puts(plan->doc, "why", err_words(e));
    act__tell(plan);
}

static void fail_run(struct plan *plan, const char *why)
{
    if (strcmp(json_str(plan->doc, "on_failure", ""), "rollback") == 0) {
        free(plan->stop_why);
        plan->stop_why = xstrdup(why);
        plan->undoing = true;
        plan->step = step_count(plan);
        undo_next(plan);
    } else {
        end_run(plan, "failed", why);
    }
}

/* ---- outcomes */

/* What became of a call that acts. */
static const char *outcome_of(const struct conn_result *r)
{
    switch (r->error.code) {
    case ERR_OK:
        return r->is_error ? "failed" : "done";
    case ERR_INVALID: /* refused before it was sent */
    case ERR_DENIED:
    case ERR_NOT_FOUND:
    case ERR_BUSY:
        return "failed";
    default:
        return "unknown";
    }
}

struct outcome {
    const char *state, *text;
    int64_t elapsed_us;
    bool ran; /* the peer answered: something may be there to be undone */
    const struct conn_result *result;
};

static struct outcome outcome_from(const struct conn_result *r)
{
    bool answered = r->error.code == ERR_OK;
    return (struct outcome){.state = outcome_of(r),
                            .text = answered ? r->text : err_words(&r->error),
                            .elapsed_us = r->elapsed_us,
                            .ran = answered,
                            .result = r};
}

static void log_outcome(struct plan *plan, const struct outcome *o, act_then *then)
{
    struct prov_edge edges[ACT_APPROVALS + 3];
    size_t n = permits(plan, edges);
    json_t *payload = event_of(plan->step, "result");
    json_puts(payload, "outcome", o->state);
    json_put(payload, "ran", json_boolean(o->ran));
    put_text(payload, "text", o->text);
    json_puti(payload, "elapsed_ms", o->elapsed_us / 1000);
    if (o->result && !plan->undoing) {
        json_t *value = act__value(o->result);
        json_t *taken = act__taken(act__step(plan, plan->step), value);
        if (json_object_size(taken))
            json_put(payload, "taken", json_incref(taken));
        json_decref(taken);
        json_decref(value);
    }
    edges[n++] = (struct prov_edge){plan->at_entry, "call", -1};
    if (plan->undoing)
        edges[n++] = (struct prov_edge){plan->step_entry[plan->step], "undo", -1};
    act__log_result(plan, plan->undoing ? "rollback" : "step", payload, o->result, edges, n, then);
}

/* ---- verification */

static void verified(struct plan *plan, int64_t seq, const struct error *e, void *arg)
{
    const json_t *step = act__step(plan, plan->step);
    bool ok = json_flag(step, "verified", false);
    (void)seq, (void)arg;
    if (plan->resolving) {
        plans_done *done = plan->resolving;
        plan->resolving = NULL;
        plan->alive = false;
        done(plan->resolving_arg, e->code == ERR_OK ? plan->doc : NULL, e);
        return;
    }
    if (e->code != ERR_OK) {
        give_up(plan, e);
    } else if (!ok) {
        char *why = xasprintf("the verification of step %zu failed", plan->step + 1);
        fail_run(plan, why);
        free(why);
    } else {
        act__run_next(plan);
    }
}

static void log_verified(struct plan *plan, bool ok, const json_t *observed,
                         const struct conn_result *r)
{
    const char *text = r->error.code == ERR_OK ? r->text : err_words(&r->error);
    struct prov_edge edges[ACT_APPROVALS + 3];
    size_t n = permits(plan, edges);
    json_t *payload = event_of(plan->step, "verify");
    put_part(payload, plan, "verify");
    json_put(payload, "verified", json_boolean(ok));
    json_puti(payload, "tries", plan->tries);
    if (observed && !json_is_object(observed) && !json_is_array(observed))
        json_put(payload, "observed", json_deep_copy(observed));
    else
        put_text(payload, "observed", text);
    if (plan->resolving) /* a step of which nobody knew: the check says it, or it stays so */
        json_puts(payload, "outcome", ok ? "done" : "unknown");
    else if (!ok)
        json_puts(payload, "outcome", "failed");
    if (plan->step_entry[plan->step] >= 0)
        edges[n++] = (struct prov_edge){plan->step_entry[plan->step], "call", -1};
    act__log_result(plan, "step", payload, r, edges, n, verified);
}

static bool stop_now(struct plan *plan)
{
    if (!plan->wanted_stop && !conn_killed(plan->owner->rooms.conn))
        return false;
    end_run(plan, "stopped", plan->stop_why ? plan->stop_why : "the kill switch is on");
    return true;
}

static void timer_stop(struct plan *plan)
{
    loop_timer_free(plan->timer);
    plan->timer = NULL;
}

static void timer_start(struct plan *plan, loop_fn *fn, uint64_t ms)
{
    timer_stop(plan);
    plan->timer = loop_timer_new(plan->owner->rooms.loop, fn, plan);
    loop_timer_start(plan->timer, ms, 0);
}

static void verify_done(void *arg, const struct conn_result *r)
{
    struct plan *plan = arg;
    const json_t *verify = json_object_get(act__step(plan, plan->step), "verify");
    json_t *observed = NULL, *value = NULL;
    bool ok = false;
    plan->call = NULL;
    plan->tries++;
    if (r->error.code == ERR_OK && !r->is_error) {
        value = act__value(r);
        ok = plans_check(json_object_get(verify, "check"), value, &observed);
    }
    if (!plan->resolving && stop_now(plan)) {
        /* the run is over */
    } else if (ok || plan->resolving || clock_mono_ms() >= plan->verify_until) {
        log_verified(plan, ok, observed, r);
    } else {
        timer_start(plan, verify_call, ACT_VERIFY_EVERY_MS);
    }
    json_decref(observed);
    json_decref(value);
}

static void verify_call(void *arg)
{
    struct plan *plan = arg;
    struct error e = {0};
    timer_stop(plan);
    if (!plan->resolving && stop_now(plan))
        return;
    plan->call = act__call(plan, plan->step, "verify", verify_done, &e);
    if (plan->call)
        return;
    struct conn_result none = {.error = e, .text = ""};
    verify_done(plan, &none);
}

static void verify_begin(struct plan *plan)
{
    plan->tries = 0;
    plan->verify_until = clock_mono_ms() + plan->owner->verify_ms;
    plan->alive = true;
    verify_call(plan);
}

void act__verify_asked(struct plan *plan, size_t step, plans_done *done, void *arg)
{
    plan->step = step;
    plan->resolving = done;
    plan->resolving_arg = arg;
    verify_begin(plan);
}

/* ---- steps */

static void outcome_logged(struct plan *plan, int64_t seq, const struct error *e, void *arg)
{
    const json_t *step = act__step(plan, plan->step);
    (void)seq, (void)arg;
    if (e->code != ERR_OK) {
        give_up(plan, e);
        return;
    }
    if (step_is(step, "unknown")) {
        end_run(plan, "unknown", json_str(step, "text", ""));
    } else if (step_is(step, "failed")) {
        char *why = xasprintf("step %zu failed", plan->step + 1);
        if (!stop_now(plan))
            fail_run(plan, why);
        free(why);
    } else if (stop_now(plan)) {
        return;
    } else if (json_object_get(step, "verify")) {
        verify_begin(plan);
    } else {
        act__run_next(plan);
    }
}

static void call_done(void *arg, const struct conn_result *r)
{
    struct plan *plan = arg;
    plan->call = NULL;
    struct outcome o = outcome_from(r);
    log_outcome(plan, &o, outcome_logged);
}

static void call_logged(struct plan *plan, int64_t seq, const struct error *e, void *arg)
{
    struct error why = *e;
    (void)arg;
    if (e->code != ERR_OK) {
        give_up(plan, e);
        return;
    }
    plan->at_entry = seq;
    if (plan->wanted_stop || conn_killed(plan->owner->rooms.conn))
        err_set(&why, ERR_DENIED, "it was stopped before the call");
    else
        plan->call = act__call(plan, plan->step, NULL, call_done, &why);
    if (!plan->call) { /* nothing was sent */
        struct outcome o = {.state = "failed", .text = err_words(&why)};
        log_outcome(plan, &o, outcome_logged);
    }
}

/* Where the first target's steps end, where there are several. */
static size_t canary_end(const struct plan *plan)
{
    const char *first = json_str(act__step(plan, 0), "target", "");
    size_t i = 1, n = step_count(plan);
    while (i < n && strcmp(json_str(act__step(plan, i), "target", ""), first) == 0)
        i++;
    return i < n ? i : 0;
}

static void canary_again(void *arg)
{
    struct plan *plan = arg;
    timer_stop(plan);
    plan->again_now = true;
    act__run_next(plan);
}

/* True if something of the canary is still to be waited for or verified again. */
static bool canary(struct plan *plan, size_t next)
{
    int64_t wait = json_int(plan->doc, "canary_wait_s", 0);
    size_t end = canary_end(plan);
    if (!wait || !end || next != end || !step_is(act__step(plan, next), "waiting"))
        return false;
    if (!plan->again_now) {
        plan->again = 0;
        timer_start(plan, canary_again, (uint64_t)wait * 1000);
        return true;
    }
    while (plan->again < end && !json_object_get(act__step(plan, plan->again), "verify"))
        plan->again++;
    if (plan->again == end)
        return false;
    plan->step = plan->again++;
    verify_begin(plan);
    return true;
}

void act__run_next(struct plan *plan)
{
    struct prov_edge edges[ACT_APPROVALS + 3];
    size_t next = 0, n = step_count(plan);
    plan->alive = true;
    if (stop_now(plan))
        return;
    while (next < n && step_is(act__step(plan, next), "done"))
        next++;
    if (next == n) {
        end_run(plan, "done", "");
        return;
    }
    if (canary(plan, next))
        return;
    plan->step = next;
    json_t *payload = event_of(next, "call");
    put_call(payload, act__step(plan, next));
    size_t count = permits(plan, edges);
    edges[count++] = (struct prov_edge){plan->run_entry, "call", -1};
    act__log(plan, "step", "backend", payload, edges, count, call_logged, NULL);
}

/* ---- rollbacks */

static void undo_logged(struct plan *plan, int64_t seq, const struct error *e, void *arg)
{
    const char *undo = json_str(act__step(plan, plan->step), "undo", "");
    (void)seq, (void)arg;
    if (e->code != ERR_OK) {
        give_up(plan, e);
    } else if (strcmp(undo, "done") == 0) {
        undo_next(plan);
    } else {
        char *why =
            xasprintf("%s; undoing step %zu did not work, look at it by hand",
                      plan->stop_why ? plan->stop_why : "it was to be undone", plan->step + 1);
        end_run(plan, strcmp(undo, "unknown") == 0 ? "unknown" : "failed", why);
        free(why);
    }
}

static void undo_done(void *arg, const struct conn_result *r)
{
    struct plan *plan = arg;
    plan->call = NULL;
    struct outcome o = outcome_from(r);
    log_outcome(plan, &o, undo_logged);
}

static void undo_call(struct plan *plan, int64_t seq, const struct error *e, void *arg)
{
    struct error why = *e;
    (void)arg;
    if (e->code != ERR_OK) {
        give_up(plan, e);
        return;
    }
    plan->at_entry = seq;
    plan->call = act__call(plan, plan->step, "rollback", undo_done, &why);
    if (!plan->call) {
        struct outcome o = {.state = "failed", .text = err_words(&why)};
        log_outcome(plan, &o, undo_logged);
    }
}

/* What was done, or failed after it ran, from the last to the first (3). */
static void undo_next(struct plan *plan)
{
    struct prov_edge edges[ACT_APPROVALS + 3];
    const json_t *step = NULL;
    size_t at = plan->step;
    plan->alive = true;
    while (at > 0) {
        step = act__step(plan, --at);
        bool ran =
            step_is(step, "done") || (step_is(step, "failed") && json_flag(step, "ran", false));
        if (ran && json_object_get(step, "rollback"))
            break;
        step = NULL;
    }
    if (!step) {
        if (!plan->stop_why) /* which is what was asked for */
            act__span_end(plan, NULL);
        end_run(plan, "failed", plan->stop_why ? plan->stop_why : "it was undone");
        return;
    }
    plan->step = at;
    json_t *payload = event_of(at, "call");
    put_part(payload, plan, "rollback");
    size_t n = permits(plan, edges);
    edges[n++] = (struct prov_edge){plan->step_entry[at], "undo", -1};
    act__log(plan, "rollback", "backend", payload, edges, n, undo_call, NULL);
}

void act__undo(struct plan *plan)
{
    plan->undoing = true;
    plan->step = step_count(plan);
    undo_next(plan);
}

/* ---- stopping */

void act__run_stop(struct plan *plan, const char *why)
{
    struct error e = {0};
    if (plan->wanted_stop)
        return;
    plan->wanted_stop = true;
    free(plan->stop_why);
    plan->stop_why = xstrdup(why);
    bool verifying = plan->running && plan->call && step_is(act__step(plan, plan->step), "done");
    if (plan->call) {
        conn_cancel(plan->call);
        plan->call = NULL;
        if (verifying) {
            end_run(plan, "stopped", why);
            return;
        }
        err_set(&e, ERR_CANCELLED, "%s: it may have run", why);
        struct outcome o = {.state = "unknown", .text = err_words(&e), .ran = true};
        log_outcome(plan, &o, plan->undoing ? undo_logged : outcome_logged);
    } else if (plan->timer) { /* between two tries, or waiting for the canary */
        timer_stop(plan);
        end_run(plan, "stopped", why);
    } /* otherwise an entry is being written, and what follows it sees wanted_stop */
}

/* ---- what there is before: shown beside what is expected */

static void preview_step(struct plan *plan);

static void preview_next(struct plan *plan, int64_t seq, const struct error *e, void *arg)
{
    (void)seq, (void)arg;
    if (!plan->previewing)
        return;
    plan->step++;
    if (e->code == ERR_OK)
        preview_step(plan);
    else
        plan->alive = plan->previewing = false;
}

static void preview_done(void *arg, const struct conn_result *r)
{
    struct plan *plan = arg;
    const json_t *preview = json_object_get(act__step(plan, plan->step), "preview");
    const struct prov_edge permit = {plan->entry, "permit", -1};
    json_t *payload = event_of(plan->step, "preview");
    plan->call = NULL;
    put_call(payload, preview);
    if (r->error.code != ERR_OK || r->is_error) {
        char *why =
            xasprintf("not known: %s", r->error.code == ERR_OK ? r->text : err_words(&r->error));
        put_text(payload, "before", why);
        free(why);
    } else {
        json_t *value = act__value(r);
        const json_t *at = act__pointer(value, json_str(preview, "pointer", ""));
        char *text = json_is_string(at) ? xstrdup(json_string_value(at))
                     : at               ? json_dumps(at, JSON_COMPACT | JSON_ENCODE_ANY)
                                        : xstrdup("nothing");
        put_text(payload, "before", text ? text : "");
        free(text);
        json_decref(value);
    }
    act__log(plan, "step", "backend", payload, &permit, 1, preview_next, NULL);
}

static void preview_step(struct plan *plan)
{
    struct error e = {0};
    while (act__step(plan, plan->step) && !json_object_get(act__step(plan, plan->step), "preview"))
        plan->step++;
    plan->alive = plan->previewing = act__step(plan, plan->step) != NULL;
    if (!plan->alive)
        return;
    plan->call = act__call(plan, plan->step, "preview", preview_done, &e);
    if (!plan->call) {
        struct conn_result none = {.error = e, .text = ""};
        preview_done(plan, &none);
    }
}

void act__previews(struct plan *plan)
{
    plan->step = 0;
    preview_step(plan);
}

void act__previews_end(struct plan *plan)
{
    if (!plan->previewing)
        return;
    conn_cancel(plan->call);
    plan->call = NULL;
    plan->previewing = plan->alive = false;
}
