/* The methods of the log and of what is computed from it: evidence, score, doctor. */
#include "backend/base/clock.h"
#include "backend/methods.h"
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* ---- evidence */

void on_evidence_list(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    struct prov_filter f = {0};
    int64_t limit;
    struct error e = {0};
    if (!method_limit(c, "before", -1, -1, INT64_MAX, &f.before) ||
        !method_limit(c, "after", -1, -1, INT64_MAX, &f.after) ||
        !method_limit(c, "limit", 100, 1, 1000, &limit) ||
        !method_text(c, "type", false, &f.type) ||
        !method_text(c, "trace_id", false, &f.trace_id) ||
        !method_text(c, "session", false, &f.session))
        return;
    f.limit = (size_t)limit + 1;
    json_t *entries = prov_list(b->prov, &f, &e);
    method_answer(c, entries ? method_page("entries", entries, limit, METHOD_LAST) : NULL, &e);
}

/* What models wrote for a question whose answer waits for a person is not read here either. */
bool method_is_withheld(struct backend *b, const json_t *entry)
{
    static const char *const TYPES[] = {"model.output", "critique", "verdict", "answer", "stop"};
    const char *type = json_str(entry, "type", ""), *trace = json_str(entry, "trace_id", "");
    bool written = false;
    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++)
        written = written || strcmp(TYPES[i], type) == 0;
    return written && *trace && orch_is_withheld(b->orch, trace);
}

void on_evidence_get(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    int64_t seq;
    struct error e = {0};
    if (!method_limit(c, "seq", -1, 0, INT64_MAX, &seq))
        return;
    bool payload = json_flag(bus_params(c), "payload", false);
    bool allowed = bus_session(c)->role >= BUS_REVIEWER;
    json_t *entry = prov_get(b->prov, seq, payload && allowed, &e);
    if (entry && payload && !allowed)
        json_puts(entry, "payload_error", "withheld: payloads are for reviewers and operators");
    if (json_object_get(entry, "payload") && method_is_withheld(b, entry)) {
        json_object_del(entry, "payload");
        json_puts(entry, "payload_error",
                  "withheld for its risk until a person releases the answer");
    }
    method_answer(c, entry, &e);
}

/* ---- proofs and checkpoints */

void on_evidence_proof(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    int64_t seq;
    struct error e = {0};
    if (!method_limit(c, "seq", -1, 0, INT64_MAX, &seq))
        return;
    json_t *proof = prov_proof(b->prov, seq, &e);
    method_answer(c, proof, &e);
}

void on_evidence_consistency(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    int64_t epoch, from, to;
    struct error e = {0};
    if (!method_limit(c, "epoch", 0, 0, INT64_MAX, &epoch) ||
        !method_limit(c, "from", -1, 0, INT64_MAX, &from) ||
        !method_limit(c, "to", -1, -1, INT64_MAX, &to))
        return;
    json_t *proof = prov_consistency(b->prov, epoch, from, to, &e);
    method_answer(c, proof, &e);
}

/* ---- verification */

enum { MAX_VERIFY_WAITS = 64 };

struct verify_wait {
    struct verify_wait *next;
    bool chain;         /* without the payloads */
    int64_t from, size; /* which entries: as asked, and how many there were then */
    verify_done *done;
    void *arg;
    char *actor; /* NULL: not to be logged */
    char *given; /* checkpoints kept elsewhere, or NULL; such a run is shared with nobody */
    char *witnesses;
    bool running;
};

static void tell_progress(void *arg, int64_t checked, int64_t size)
{
    struct backend *b = arg;
    json_t *data = json_object();
    json_puti(data, "checked", checked);
    json_puti(data, "size", size);
    bus_event(b->bus, "verify", data);
    json_decref(data);
}

/* JCS holds no number that a report cannot give exactly: all of its figures are whole. */
static void log_report(struct backend *b, const char *actor, const json_t *report)
{
    struct prov_entry entry = {.type = "verify", .actor = actor, .payload = (json_t *)report};
    b->verify_entry = prov_append(b->prov, &entry, NULL, NULL, NULL, NULL);
}

static void on_verified(void *arg, json_t *report);

/* Begins a run for the oldest that waits, and for all who ask the same. */
static void verify_next(struct backend *b)
{
    struct verify_wait *first = b->verify_waits;
    if (!first || b->verify)
        return;
    struct prov_state now;
    prov_state(b->prov, &now);
    for (struct verify_wait *w = first; w; w = w->next) {
        w->running = w == first || (w->from == first->from && w->chain == first->chain &&
                                    !w->given && !first->given);
        w->size = now.size;
    }
    if (first->from == VERIFY_KNOWN)
        b->verify = prov_verify_known(b->prov, tell_progress, on_verified, b);
    else if (first->chain)
        b->verify = prov_verify_chain(b->prov, first->from, tell_progress, on_verified, b);
    else
        b->verify = prov_verify_start(b->prov, first->from, tell_progress, on_verified, b);
    if (first->given)
        prov_verify_given(b->verify, first->given);
    if (first->given && first->witnesses)
        prov_verify_witnesses(b->verify, first->witnesses);
}

/* Takes those whom the run that has ended answers out of the list. */
static struct verify_wait *take_answered(struct backend *b)
{
    struct verify_wait *taken = NULL, **end = &taken;
    for (struct verify_wait **at = &b->verify_waits; *at;) {
        struct verify_wait *w = *at;
        if (!w->running) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        w->next = NULL;
        *end = w;
        end = &w->next;
    }
    return taken;
}

static void verify_tell(struct verify_wait *w, const json_t *report)
{
    if (w->done)
        w->done(w->arg, report);
    free(w->actor);
    free(w->given);
    free(w->witnesses);
    free(w);
}

/* Every entry and every payload. */
static bool read_all(const json_t *report)
{
    return json_int(report, "from", 0) == 0 && strcmp(json_str(report, "mode", ""), "chain") != 0;
}

void backend__verified(struct backend *b, json_t *report, const char *actor)
{
    bool full = read_all(report);
    bool known = strcmp(json_str(report, "mode", ""), "start") == 0;
    /* A part without problems says nothing of the rest, a chain nothing of payloads, and something
     * given that is no checkpoint of ours says nothing of the log. */
    if (((full || known) && json_flag(report, "ok", false)) ||
        !json_flag(report, "intact", false)) {
        json_decref(b->verify_report);
        b->verify_report = json_incref(report);
    }
    json_t *data = json_object();
    json_put(data, "report", json_incref(report));
    bus_event(b->bus, "verify", data);
    json_decref(data);
    if (actor || !json_flag(report, "ok", false))
        log_report(b, actor ? actor : "backend", report);
    backend__score_recount(b);
    b->score_due = true;
    backend__changed(b);
    /* A walk of a long log leaves many small holes, and the first walk comes soon after start. */
    malloc_trim(0);
}

static void on_verified(void *arg, json_t *report)
{
    struct backend *b = arg;
    b->verify = NULL;
    struct verify_wait *waits = take_answered(b);
    const char *actor = NULL;
    for (struct verify_wait *w = waits; w; w = w->next)
        actor = w->actor ? w->actor : actor;
    backend__verified(b, report, actor);
    backend__rolling_start(b, read_all(report));
    while (waits) {
        struct verify_wait *w = waits;
        waits = w->next;
        verify_tell(w, report);
    }
    json_decref(report);
    verify_next(b);
}

void backend__verify(struct backend *b, int64_t from, bool chain, const struct verify_given *given,
                     const char *actor, verify_done *done, void *arg)
{
    struct prov_state now;
    if (b->stopping) {
        if (done)
            done(arg, NULL);
        return;
    }
    prov_state(b->prov, &now);
    struct verify_wait *w = xcalloc(1, sizeof *w), **end = &b->verify_waits;
    for (; *end; end = &(*end)->next) {
        const struct verify_wait *other = *end;
        w->running |= other->running && other->from == from && other->chain == chain &&
                      other->size == now.size && !given && !other->given;
    }
    *end = w;
    w->from = from;
    w->chain = chain;
    w->size = now.size;
    w->done = done;
    w->arg = arg;
    w->actor = actor ? xstrdup(actor) : NULL;
    w->given = given ? xstrdup(given->checkpoints) : NULL;
    w->witnesses = given ? xstrdup_or_null(given->witnesses) : NULL;
    verify_next(b);
}

void backend__verify_forget(struct backend *b)
{
    if (b->verify)
        prov_verify_cancel(b->verify);
    b->verify = NULL;
    backend__rolling_stop(b);
    while (b->verify_waits) {
        struct verify_wait *w = b->verify_waits;
        b->verify_waits = w->next;
        verify_tell(w, NULL);
    }
}

static void answer_verify(void *arg, const json_t *report)
{
    struct error stopping = {.code = ERR_CLOSED};
    method_answer(arg, report ? json_deep_copy(report) : NULL, &stopping);
}

void on_evidence_verify(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    int64_t from;
    size_t waiting = 0;
    if (!method_limit(c, "from", 0, 0, INT64_MAX, &from))
        return;
    for (const struct verify_wait *w = b->verify_waits; w; w = w->next)
        waiting++;
    if (waiting >= MAX_VERIFY_WAITS) {
        struct error e = {0};
        err_set(&e, ERR_BUSY, "%zu verifications wait already", waiting);
        bus_fail(c, &e);
        return;
    }
    enum bus_role role = bus_session(c)->role;
    const char *actor = role >= BUS_REVIEWER ? bus_role_name(role) : NULL;
    struct verify_given given;
    struct error wrong = {0};
    if (!method_text(c, "checkpoints", false, &given.checkpoints) ||
        !method_text(c, "witnesses", false, &given.witnesses))
        return;
    if (given.witnesses && (!given.checkpoints || !prov_witness_keys_ok(given.witnesses))) {
        err_set(&wrong, ERR_INVALID,
                "witnesses: verifier keys of type 0x04, beside checkpoints to be looked at");
        bus_fail(c, &wrong);
        return;
    }
    if (given.checkpoints && !actor) { /* a verdict on foreign text goes into everybody's report */
        err_set(&wrong, ERR_DENIED, "checkpoints are checked for reviewers and operators");
        bus_fail(c, &wrong);
        return;
    }
    if (json_flag(bus_params(c), "behind", false)) {
        from = prov_checkpoint_end(b->prov, given.checkpoints ? given.checkpoints : "", &wrong);
        if (from < 0) {
            bus_fail(c, &wrong);
            return;
        }
    }
    const struct verify_given *any = given.checkpoints ? &given : NULL;
    bool chain = json_flag(bus_params(c), "chain", false);
    if (json_flag(bus_params(c), "wait", false)) {
        backend__verify(b, from, chain, any, actor, answer_verify, c);
        return;
    }
    backend__verify(b, from, chain, any, actor, NULL, NULL);
    json_t *result = json_object();
    json_put(result, "started", json_true());
    bus_reply(c, result);
}

/* ---- score and doctor */

void on_score_get(struct bus_call *c, void *arg)
{
    bus_reply(c, backend__scorecard(arg));
}

void on_doctor_run(struct bus_call *c, void *arg)
{
    json_t *result = json_object();
    json_t *checks = backend__doctor(arg);
    if (bus_session(c)->role < BUS_REVIEWER)
        backend__withhold_checks(checks);
    json_put(result, "checks", checks);
    bus_reply(c, result);
}
