/* Erasing: from a scope to entries that say what was destroyed. The promises stand in retention.h.
 *
 *      select (worker) --> request logged --> batch logged and destroyed --> select ... --> scrub
 *
 * Invariants
 * X1 Nothing is submitted that was selected before the holds last changed: the search then begins
 *    again (what is gone is not found again).
 * X2 A run belongs to its job or write while one is out; `r` is NULL after prov_retention_free, and
 *    whoever comes back then frees it. */
#include "backend/base/clock.h"
#include "backend/provenance/retain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_TRIES = 5, SCRUB_TRIES = 40, SCRUB_AGAIN_MS = 250 };

struct retain__run {
    struct prov_retention *r; /* X2 */
    struct prov_erasing o;
    char *text, *code, *reason, *basis, *by; /* what o points to */
    char act[33];
    int64_t request; /* -1: not logged yet */
    int64_t at;
    uint64_t generation;
    bool cancelled; /* read by the worker, atomically */
    struct retain__selection *s;
    struct retain__batch batch;
    struct retain__totals totals;
    unsigned tries, scrubs;
    bool scrubbed;
    struct loop_timer *timer;
    bool idle; /* only the timer comes back to it */
    prov_retained *done;
    void *arg;
};

static void run_free(struct retain__run *run)
{
    if (run->s)
        retain__select_release(run->s);
    free(run->s);
    retain__batch_release(&run->batch);
    retain__totals_release(&run->totals);
    loop_timer_free(run->timer);
    free(run->text);
    free(run->code);
    free(run->reason);
    free(run->basis);
    free(run->by);
    free(run);
}

static json_t *held_of(const struct retain__selection *s)
{
    json_t *held = json_object(), *holds = json_object();
    int64_t count = 0;
    for (size_t i = 0; i < s->holds.count; i++) {
        if (s->held_count[i])
            json_puti(holds, s->holds.at[i].id, s->held_count[i]);
        count += s->held_count[i];
    }
    json_puti(held, "count", count);
    json_put(held, "holds", holds);
    return held;
}

static json_t *report_of(const struct retain__run *run)
{
    char at[CLOCK_TEXT];
    json_t *report = json_object();
    clock_format(run->at, at);
    json_puts(report, "act", run->act);
    json_put(report, "request", run->request < 0 ? json_null() : json_integer(run->request));
    json_put(report, "dry_run", json_boolean(run->o.dry_run));
    json_put(report, "scope", retain__scope_json(&run->o.scope, true));
    json_puts(report, "reason_code", run->code);
    json_puts(report, "reason", run->reason);
    json_puts(report, "basis", run->basis);
    json_puts(report, "by", run->by);
    json_puts(report, "at", at);
    retain__totals_report(&run->totals, report);
    json_put(report, "held", held_of(run->s));
    json_puti(report, "governance", run->s->governance);
    json_puti(report, "under_way", run->s->under_way);
    json_puti(report, "damaged", run->s->damaged);
    json_puti(report, "unreadable", run->s->unreadable);
    json_put(report, "scrubbed", json_boolean(run->scrubbed));
    return report;
}

static void end(struct retain__run *run, const struct error *e)
{
    static const struct error ok = {0};
    if (run->r)
        run->r->run = NULL;
    if (run->r && run->done) {
        json_t *report = e ? NULL : report_of(run);
        run->done(run->arg, report, e ? e : &ok);
        json_decref(report);
    }
    run_free(run);
}

/* ---- the files behind it */

static enum err note_scrubbed(struct store_db *db, void *arg, struct error *e)
{
    (void)arg;
    return store_exec(db, e, "DELETE FROM retention_state WHERE name = 'scrub_due'", "");
}

static void scrub(void *arg);

static void scrub_done(void *arg, const struct error *e)
{
    struct retain__run *run = arg;
    if (!run->r) {
        run_free(run);
        return;
    }
    if (e->code == ERR_BUSY && ++run->scrubs < SCRUB_TRIES) {
        if (!run->timer)
            run->timer = loop_timer_new(run->r->prov->loop, scrub, run);
        loop_timer_start(run->timer, SCRUB_AGAIN_MS, 0);
        run->idle = true;
        return;
    }
    run->scrubbed = e->code == ERR_OK;
    if (run->scrubbed)
        store_write(run->r->prov->store, note_scrubbed, NULL, NULL);
    end(run, NULL);
}

static void scrub(void *arg)
{
    struct retain__run *run = arg;
    run->idle = false;
    store_scrub(run->r->prov->store, scrub_done, run);
}

struct marks {
    int64_t *marks;
};

static enum err write_marks(struct store_db *db, void *arg, struct error *e)
{
    const struct marks *m = arg;
    enum err code = ERR_OK;
    for (size_t i = 0; i < retain__types() && code == ERR_OK; i++)
        if (m->marks[i] > 0)
            code =
                store_exec(db, e, "INSERT OR REPLACE INTO retention_state VALUES('mark:' || ?, ?)",
                           "si", retain__type(i), m->marks[i]);
    return code;
}

static void marks_written(void *arg, const struct error *e)
{
    struct marks *m = arg;
    (void)e; /* the next job only looks at more than it must */
    free(m->marks);
    free(m);
}

static void conclude(struct retain__run *run)
{
    if (run->s->marks && !run->o.dry_run) {
        struct marks *m = xcalloc(1, sizeof *m);
        m->marks = run->s->marks;
        run->s->marks = NULL;
        store_write(run->r->prov->store, write_marks, marks_written, m);
    }
    if (run->totals.erased && !run->o.dry_run)
        scrub(run);
    else
        end(run, NULL);
}

/* ---- selecting and destroying, batch by batch */

static void search(struct retain__run *run);

static void restart(struct retain__run *run)
{
    struct prov_retention *r = run->r;
    struct prov *p = r->prov;
    if (run->s)
        retain__select_release(run->s);
    free(run->s);
    run->s = xcalloc(1, sizeof *run->s);
    run->s->path = store_path(p->store);
    run->s->vault = p->vault;
    run->s->cancelled = &run->cancelled;
    run->s->scope = run->o.scope;
    run->s->now = run->o.now;
    memcpy(run->s->days, run->o.days, sizeof run->s->days);
    run->s->personal_days = run->o.personal_days;
    memcpy(run->s->present, p->session, sizeof run->s->present);
    retain__select_init(run->s, &r->holds);
    run->generation = r->generation;
}

static void again_or_fail(struct retain__run *run, const struct error *e)
{
    retain__batch_release(&run->batch);
    if (e->code != ERR_BUSY || ++run->tries >= BATCH_TRIES) {
        end(run, e);
        return;
    }
    restart(run);
    search(run);
}

static void go_on(struct retain__run *run)
{
    if (run->s->end)
        conclude(run);
    else
        search(run);
}

static void batch_written(void *arg, int64_t seq, const struct error *e)
{
    struct retain__run *run = arg;
    if (!run->r) {
        run_free(run);
        return;
    }
    if (e->code != ERR_OK) {
        again_or_fail(run, e);
        return;
    }
    struct retain__totals *t = &run->totals;
    retain__batch_done(run->r, &run->batch);
    retain__totals_add(t, run->batch.items, run->batch.count, run->s->sums, run->s->sum_count);
    json_array_append_new(t->entries, json_integer(seq));
    t->traces += (int64_t)run->batch.projection_count;
    t->punctured += (int64_t)run->batch.punctured;
    t->whole += (int64_t)run->batch.whole;
    t->destroyed += (int64_t)run->batch.destroyed;
    retain__batch_release(&run->batch);
    run->tries = 0;
    prov__changed(run->r->prov);
    go_on(run);
}

static json_t *say_why(const struct retain__run *run)
{
    json_t *payload = json_object();
    json_puts(payload, "act", run->act);
    json_puts(payload, "reason_code", run->code);
    json_puts(payload, "reason", run->reason);
    json_puts(payload, "basis", run->basis);
    json_puts(payload, "by", run->by);
    return payload;
}

static void append_batch(struct retain__run *run)
{
    struct prov *p = run->r->prov;
    struct retain__batch *b = &run->batch;
    b->vault = p->vault;
    b->count = run->s->count;
    memcpy(b->session, p->session, sizeof b->session);
    b->items = xcalloc(b->count, sizeof *b->items);
    memcpy(b->items, run->s->items, b->count * sizeof *b->items);
    retain__projections(run->r, b);
    json_t *payload = say_why(run);
    json_puti(payload, "request", run->request);
    json_puts(payload, "scope", prov_scope_name(run->o.scope.kind));
    retain__describe(payload, b->items, b->count);
    struct prov_edge edge = {.seq = run->request, .transform = "erase", .confidence = -1};
    struct prov_entry entry = {
        .type = "erase", .actor = run->by, .parents = &edge, .parent_count = 1, .payload = payload};
    prov_append(p, &entry, batch_written, run, retain__batch_write, b);
    json_decref(payload);
}

static enum err insert_erasure(struct store_db *db, void *arg, struct error *e)
{
    const struct retain__run *run = arg;
    return store_exec(db, e,
                      "INSERT INTO erasures VALUES(?, (SELECT max(seq) FROM entries), ?, ?, NULL)",
                      "sis", run->act, run->at, prov_scope_name(run->o.scope.kind));
}

static void request_logged(void *arg, int64_t seq, const struct error *e)
{
    struct retain__run *run = arg;
    if (!run->r) {
        run_free(run);
    } else if (e->code != ERR_OK) {
        end(run, e);
    } else {
        run->request = seq;
        append_batch(run);
    }
}

static void append_request(struct retain__run *run)
{
    json_t *payload = say_why(run), *days = json_object();
    json_put(payload, "scope", retain__scope_json(&run->o.scope, true));
    for (int class = 0; class < PROV_GOVERNANCE; class ++)
        json_puti(days, prov_class_name((enum prov_class) class), run->o.days[class]);
    json_puti(days, "personal", run->o.personal_days);
    if (run->o.scope.kind == PROV_BY_WINDOW)
        json_put(payload, "days", days);
    else
        json_decref(days);
    struct prov_entry entry = {.type = "erase.request", .actor = run->by, .payload = payload};
    prov_append(run->r->prov, &entry, request_logged, run, insert_erasure, run);
    json_decref(payload);
}

static void search_work(void *arg)
{
    struct retain__run *run = arg;
    retain__select(run->s);
}

static void search_done(void *arg, bool cancelled)
{
    struct retain__run *run = arg;
    struct retain__selection *s = run->s;
    if (!run->r || cancelled) {
        if (run->r)
            run->r->run = NULL;
        run_free(run);
        return;
    }
    if (s->error.code != ERR_OK) {
        end(run, &s->error);
    } else if (run->generation != run->r->generation) { /* X1 */
        restart(run);
        search(run);
    } else if (!s->count) {
        go_on(run);
    } else if (run->o.dry_run) {
        retain__totals_add(&run->totals, s->items, s->count, s->sums, s->sum_count);
        go_on(run);
    } else if (run->request < 0) {
        append_request(run);
    } else {
        append_batch(run);
    }
}

static void search(struct retain__run *run)
{
    loop_work(run->r->prov->loop, search_work, search_done, run);
}

/* ---- the door */

/* The act's words stay in the log for ever. */
static bool names_subject(const struct prov_erasing *o)
{
    struct prov__match match;
    bool found = false;
    if (o->scope.kind != PROV_BY_SUBJECT)
        return false;
    if (prov__match_init(&match, o->scope.text))
        found = prov__match_find(&match, o->reason, strlen(o->reason)) ||
                prov__match_find(&match, o->basis, strlen(o->basis));
    prov__match_release(&match);
    return found;
}

static struct retain__run *run_new(struct prov_retention *r, const struct prov_erasing *o,
                                   prov_retained *done, void *arg)
{
    struct retain__run *run = xcalloc(1, sizeof *run);
    run->r = r;
    run->o = *o;
    run->o.scope.text = run->text = xstrdup_or_null(o->scope.text);
    run->o.code = run->code = xstrdup(o->code);
    run->o.reason = run->reason = xstrdup(o->reason);
    run->o.basis = run->basis = xstrdup(o->basis);
    run->o.by = run->by = xstrdup(o->by);
    run->request = -1;
    run->at = clock_real_ms();
    run->done = done;
    run->arg = arg;
    retain__totals_init(&run->totals);
    r->run = run;
    restart(run);
    return run;
}

enum err prov_erase(struct prov_retention *r, const struct prov_erasing *o, prov_retained *done,
                    void *arg, struct error *e)
{
    if (r->run)
        return err_set(e, ERR_BUSY, "an erasure is under way");
    if (!retain__scope_ok(&o->scope, e))
        return ERR_INVALID;
    if (names_subject(o))
        return err_set(e, ERR_INVALID,
                       "reason and basis stay in the log for ever: they must not name the subject");
    struct retain__run *run = run_new(r, o, done, arg);
    vault_id(run->act);
    run->act[16] = '\0'; /* is typed by hand */
    search(run);
    return ERR_OK;
}

bool prov_erasing(const struct prov_retention *r)
{
    return r->run != NULL;
}

/* ---- what was cut off half way */

struct unfinished {
    char act[33];
    int64_t request, at;
    bool found;
};

static bool take_unfinished(void *arg, const struct store_row *row)
{
    struct unfinished *u = arg;
    u->found = true;
    snprintf(u->act, sizeof u->act, "%s", store_text(row, 0));
    u->request = store_int(row, 1);
    u->at = store_int(row, 2);
    return false;
}

static bool take_seq(void *arg, const struct store_row *row)
{
    json_array_append_new(arg, json_integer(store_int(row, 0)));
    return true;
}

/* Adds what the erase entries of this act say already. */
static void recall(struct retain__run *run)
{
    json_t *seqs = json_array(), *seq;
    size_t i;
    struct prov *p = run->r->prov;
    store_query(store_reader(p->store), NULL, take_seq, seqs,
                "SELECT seq FROM entries WHERE type = 'erase' AND seq > ? ORDER BY seq", "i",
                run->request);
    json_array_foreach(seqs, i, seq)
    {
        json_t *payload = prov_payload(p, json_integer_value(seq), NULL);
        if (strcmp(json_str(payload, "act", ""), run->act) == 0)
            retain__totals_add_entry(&run->totals, json_integer_value(seq), payload);
        json_decref(payload);
    }
    json_decref(seqs);
}

bool prov_erase_resume(struct prov_retention *r, prov_retained *done, void *arg, struct error *e)
{
    struct unfinished u = {.found = false};
    if (r->run ||
        store_query(store_reader(r->prov->store), e, take_unfinished, &u,
                    "SELECT act, request, at FROM erasures WHERE done IS NULL"
                    " ORDER BY request LIMIT 1",
                    "") != ERR_OK ||
        !u.found)
        return false;
    json_t *payload = prov_payload(r->prov, u.request, e);
    if (!payload)
        return false;
    const json_t *scope = json_object_get(payload, "scope"),
                 *days = json_object_get(payload, "days");
    int kind = prov_scope_kind(json_str(scope, "kind", ""));
    struct prov_erasing o = {
        .scope = {.kind = kind < 0 ? PROV_BY_RANGE : (unsigned)kind,
                  .text = json_str(scope, "subject", json_str(scope, "id", NULL)),
                  .first = json_int(scope, "first", 0),
                  .last = json_int(scope, "last", -1)},
        .code = json_str(payload, "reason_code", ""),
        .reason = json_str(payload, "reason", ""),
        .basis = json_str(payload, "basis", ""),
        .by = json_str(payload, "by", "backend"),
        .now = u.at,
        .personal_days = json_int(days, "personal", 0)};
    for (int class = 0; class < PROV_GOVERNANCE; class ++)
        o.days[class] = json_int(days, prov_class_name((enum prov_class) class), 0);
    bool fine = retain__scope_ok(&o.scope, e);
    if (fine) {
        struct retain__run *run = run_new(r, &o, done, arg);
        memcpy(run->act, u.act, sizeof run->act);
        run->request = u.request;
        run->at = u.at;
        recall(run);
        search(run);
    }
    json_decref(payload);
    return fine;
}

struct prov_retention *prov_retention_new(struct prov *p, prov_redact *redact, struct error *e)
{
    json_t *seqs = json_array(), *seq;
    size_t i;
    struct prov_retention *r = xcalloc(1, sizeof *r);
    r->prov = p;
    r->redact = redact;
    if (retain__holds_load(r, e) != ERR_OK ||
        store_query(store_reader(p->store), e, take_seq, seqs,
                    "SELECT request FROM erasures WHERE kind = 'subject' AND done IS NOT NULL"
                    " AND request IN (SELECT seq FROM payloads)"
                    " UNION ALL SELECT entry FROM holds WHERE kind = 'subject' AND released IS NOT"
                    " NULL AND entry IN (SELECT seq FROM payloads)",
                    "") != ERR_OK) {
        json_decref(seqs);
        prov_retention_free(r);
        return NULL;
    }
    json_array_foreach(seqs, i, seq)
        retain__forget_subject(r, json_integer_value(seq), "", "left over from an earlier run");
    json_decref(seqs);
    return r;
}

void prov_retention_free(struct prov_retention *r)
{
    if (!r)
        return;
    if (r->run) {
        struct retain__run *run = r->run;
        run->r = NULL;
        __atomic_store_n(&run->cancelled, true, __ATOMIC_RELAXED);
        loop_timer_free(run->timer);
        run->timer = NULL;
        if (run->idle)
            run_free(run);
    }
    retain__wishes_forget(r);
    retain__sides_forget(r);
    retain__holds_release(&r->holds);
    free(r);
}
