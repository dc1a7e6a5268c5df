/* The methods of the log and of what is computed from it: evidence, score, doctor. */
#include "backend/base/clock.h"
#include "backend/methods.h"
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
    f.limit = (size_t)limit;
    json_t *entries = prov_list(b->prov, &f, &e);
    method_answer(c, entries ? method_page("entries", entries, limit) : NULL, &e);
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
    method_answer(c, entry, &e);
}

struct verify_wait {
    struct verify_wait *next;
    verify_done *done;
    void *arg;
    char *actor; /* NULL: not to be logged */
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

static void on_verified(void *arg, json_t *report)
{
    struct backend *b = arg;
    b->verify = NULL;
    json_decref(b->verify_report);
    b->verify_report = report;
    json_t *data = json_object();
    json_put(data, "report", json_incref(report));
    bus_event(b->bus, "verify", data);
    json_decref(data);
    struct verify_wait *waits = b->verify_waits;
    b->verify_waits = NULL;
    const char *actor = NULL;
    for (struct verify_wait *w = waits; w; w = w->next)
        actor = w->actor ? w->actor : actor;
    if (actor || !json_flag(report, "ok", false))
        log_report(b, actor ? actor : "backend", report);
    while (waits) {
        struct verify_wait *w = waits;
        waits = w->next;
        if (w->done)
            w->done(w->arg, report);
        free(w->actor);
        free(w);
    }
    b->score_due = true;
    backend__changed(b);
}

void backend__verify(struct backend *b, int64_t from, const char *actor, verify_done *done,
                     void *arg)
{
    struct verify_wait *w = xcalloc(1, sizeof *w);
    w->done = done;
    w->arg = arg;
    w->actor = actor ? xstrdup(actor) : NULL;
    w->next = b->verify_waits;
    b->verify_waits = w;
    if (!b->verify)
        b->verify = prov_verify_start(b->prov, from, tell_progress, on_verified, b);
}

void backend__verify_forget(struct backend *b)
{
    if (b->verify)
        prov_verify_cancel(b->verify);
    b->verify = NULL;
    while (b->verify_waits) {
        struct verify_wait *w = b->verify_waits;
        b->verify_waits = w->next;
        if (w->done)
            w->done(w->arg, NULL);
        free(w->actor);
        free(w);
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
    if (!method_limit(c, "from", 0, 0, INT64_MAX, &from))
        return;
    enum bus_role role = bus_session(c)->role;
    const char *actor = role >= BUS_REVIEWER ? bus_role_name(role) : NULL;
    if (json_flag(bus_params(c), "wait", false)) {
        backend__verify(b, from, actor, answer_verify, c);
        return;
    }
    backend__verify(b, from, actor, NULL, NULL);
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
    json_put(result, "checks", backend__doctor(arg));
    bus_reply(c, result);
}
