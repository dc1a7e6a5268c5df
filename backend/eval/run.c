/* A run: questions of a set to every variant, one after the other or several at once.
 *
 * Invariants
 * R1 A question is asked from the loop's own turn (the timer), never inside a callback of the
 *    orchestrator.
 * R2 Cases are asked in their order and within a case all variants, so that what changes with time
 *    (a warm cache, a busy machine) meets all of them alike.
 * R3 A run that ends early counts the cases that every variant has answered. */
#include "backend/base/clock.h"
#include "backend/base/embed.h"
#include "backend/base/text.h"
#include "backend/eval/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TELL_MS = 200, RETRY_MS = 200 };

struct asking { /* one question on its way to be a trace */
    struct evals *ev;
    char run[33];
    size_t number;
};

struct evals *evals_new(const struct evals_rooms *rooms, evals_told *told, void *arg)
{
    struct evals *ev = xcalloc(1, sizeof *ev);
    ev->rooms = *rooms;
    ev->told = told;
    ev->arg = arg;
    return ev;
}

static void run_free(struct eval__run *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->variant_count; i++)
        eval__variant_release(&r->variants[i]);
    json_decref(r->cases);
    json_decref(r->under_way);
    json_decref(r->baseline);
    free(r->name);
    free(r->actor);
    free(r);
}

void evals_free(struct evals *ev)
{
    if (!ev)
        return;
    loop_timer_free(ev->timer);
    run_free(ev->run);
    free(ev->alert);
    free(ev);
}

static size_t total(const struct eval__run *r)
{
    return json_array_size(r->cases) * r->variant_count;
}

static void tell(struct evals *ev, int64_t entry)
{
    struct eval__run *r = ev->run;
    uint64_t now = clock_mono_ms();
    bool running = strcmp(r->state, "running") == 0;
    if (ev->closed || (running && now - r->told_ms < TELL_MS))
        return;
    r->told_ms = now;
    json_t *doc = eval__progress(r);
    json_puts(doc, "state", r->state);
    if (entry >= 0)
        json_puti(doc, "entry", entry);
    ev->told(ev->arg, doc);
    json_decref(doc);
}

/* ---- the end */

static void on_logged(void *arg, int64_t seq, const struct error *e)
{
    struct evals *ev = arg;
    struct eval__run *r = ev->run;
    if (e->code != ERR_OK)
        r->state = "failed";
    tell(ev, e->code == ERR_OK ? seq : -1);
    ev->run = NULL;
    run_free(r);
}

static void finish(struct evals *ev)
{
    struct eval__run *r = ev->run;
    char *actor = r->actor;
    r->state = r->failed.code == ERR_OK          ? "done"
               : r->failed.code == ERR_CANCELLED ? "stopped"
                                                 : "failed";
    json_t *result = eval__result(r);
    struct prov_entry entry = {
        .type = "eval", .actor = actor, .trace_id = r->id, .payload = result};
    free(ev->alert);
    ev->alert = eval__alert(result);
    prov_append(ev->rooms.prov, &entry, on_logged, ev, NULL, NULL);
    json_decref(result);
}

void evals_close(struct evals *ev)
{
    if (!ev || ev->closed)
        return;
    ev->closed = true;
    if (ev->timer)
        loop_timer_stop(ev->timer);
    if (!ev->run || strcmp(ev->run->state, "running") != 0)
        return;
    if (ev->run->failed.code == ERR_OK)
        err_set(&ev->run->failed, ERR_CANCELLED, "the console was stopped");
    finish(ev);
}

static void go_on(struct evals *ev, uint64_t after_ms)
{
    if (!ev->closed)
        loop_timer_start(ev->timer, after_ms, 0);
}

/* ---- questions */

static void scored(struct evals *ev, size_t number, json_t *row, const char *answer)
{
    struct eval__run *r = ev->run;
    struct eval__variant *v = &r->variants[number % r->variant_count];
    json_array_set_new(v->rows, number / r->variant_count, row);
    if (*answer)
        eval_centroid_add(v->centroid, answer);
    r->running--;
    r->done++;
    tell(ev, -1);
    go_on(ev, 0);
}

static bool is_run(const struct evals *ev, const char *id)
{
    return ev->run && strcmp(ev->run->id, id) == 0;
}

void evals_turn(struct evals *ev, const json_t *trace)
{
    const char *id = json_str(trace, "trace_id", "");
    if (!ev || ev->closed || !is_run(ev, json_str(trace, "eval", "")))
        return;
    struct eval__run *r = ev->run;
    const json_t *number = json_object_get(r->under_way, id);
    if (!number)
        return;
    size_t at = (size_t)json_integer_value(number);
    json_object_del(r->under_way, id);
    scored(ev, at, eval_score(json_array_get(r->cases, at / r->variant_count), trace),
           json_str(trace, "answer", ""));
}

static void on_accepted(void *arg, const char *trace_id, const char *conversation, int64_t entry,
                        const struct error *e)
{
    struct asking *a = arg;
    struct evals *ev = a->ev;
    (void)conversation, (void)entry;
    if (!ev->closed && is_run(ev, a->run)) {
        struct eval__run *r = ev->run;
        if (e->code == ERR_OK) {
            json_puti(r->under_way, trace_id, (int64_t)a->number);
        } else {
            const json_t *one = json_array_get(r->cases, a->number / r->variant_count);
            scored(ev, a->number, eval_score_failed(one, err_words(e)), "");
        }
    }
    free(a);
}

static void ask_of(const struct eval__run *r, const struct eval__variant *v, const json_t *one,
                   struct orch_ask *ask)
{
    *ask = (struct orch_ask){.text = json_str(one, "question", ""),
                             .actor = r->actor,
                             .models = (const char *const *)v->models,
                             .model_count = v->model_count,
                             .flow = v->flow,
                             .eval = r->id,
                             .recorded = json_object_get(one, "recorded")};
}

/* False: it is to be tried again later. */
static bool ask_next(struct evals *ev)
{
    struct eval__run *r = ev->run;
    const json_t *one = json_array_get(r->cases, r->asked / r->variant_count);
    struct orch_ask ask;
    struct error e = {0};
    struct asking *a = xcalloc(1, sizeof *a);
    ask_of(r, &r->variants[r->asked % r->variant_count], one, &ask);
    *a = (struct asking){.ev = ev, .number = r->asked};
    memcpy(a->run, r->id, sizeof a->run);
    if (orch_ask(ev->rooms.orch, &ask, on_accepted, a, &e) == ERR_OK) {
        r->asked++;
        r->running++;
        return true;
    }
    free(a);
    if (e.code != ERR_OVERLOADED)
        r->failed = e;
    return e.code != ERR_OVERLOADED;
}

static void step(void *arg)
{
    struct evals *ev = arg;
    struct eval__run *r = ev->run;
    if (!r || strcmp(r->state, "running") != 0)
        return;
    while (r->failed.code == ERR_OK && r->asked < total(r) && r->running < r->parallel) {
        if (!ask_next(ev)) {
            go_on(ev, RETRY_MS);
            return;
        }
    }
    if (!r->running)
        finish(ev);
}

/* ---- the beginning */

static const struct embed_file *built_in(const char *name)
{
    for (const struct embed_file *f = embed_evals; f->name; f++) {
        const char *base = strrchr(f->name, '/') ? strrchr(f->name, '/') + 1 : f->name;
        size_t len = strlen(name);
        if (strncmp(base, name, len) == 0 && strcmp(base + len, ".jsonl") == 0)
            return f;
    }
    return NULL;
}

json_t *evals_sets(void)
{
    json_t *sets = json_array();
    for (const struct embed_file *f = embed_evals; f->name; f++) {
        const char *base = strrchr(f->name, '/') ? strrchr(f->name, '/') + 1 : f->name;
        json_t *one = json_object();
        json_put(one, "name", json_text(base, strcspn(base, ".")));
        json_puti(one, "bytes", (int64_t)f->size);
        json_array_append_new(sets, one);
    }
    return sets;
}

static enum err take_set(struct eval__run *r, const struct evals_order *o, struct error *e)
{
    const struct embed_file *own = o->set ? NULL : built_in(o->name);
    if (!o->set && !own)
        return err_set(e, ERR_NOT_FOUND, "no built-in set is named \"%.64s\"", o->name);
    const char *text = o->set ? o->set : own->data;
    size_t len = o->set ? strlen(o->set) : own->size;
    uint8_t hash[VAULT_HASH];
    vault_sha256(text, len, NULL, 0, hash);
    text_hex(hash, sizeof hash, r->sha256);
    r->cases = eval_set_read(text, len, e);
    return r->cases ? ERR_OK : e->code;
}

static enum err take_variants(struct evals *ev, struct eval__run *r, const struct evals_order *o,
                              struct error *e)
{
    if (!o->variant_count || o->variant_count > EVAL_VARIANTS)
        return err_set(e, ERR_INVALID, "1 to %d variants stand side by side", EVAL_VARIANTS);
    for (size_t i = 0; i < o->variant_count; i++) {
        struct eval__variant *v = &r->variants[i];
        if (eval__variant_read(o->variants[i], v, e) != ERR_OK)
            return e->code;
        r->variant_count++;
        for (size_t j = 0; j < i; j++)
            if (strcmp(r->variants[j].name, v->name) == 0)
                return err_set(e, ERR_INVALID, "the variant \"%.64s\" stands twice", v->name);
        struct orch_ask ask;
        ask_of(r, v, json_array_get(r->cases, 0), &ask);
        if (orch_ask_check(ev->rooms.orch, &ask, e) != ERR_OK)
            return e->code;
        v->centroid = eval_centroid_new();
        v->rows = json_array();
        for (size_t j = 0; j < json_array_size(r->cases); j++)
            json_array_append_new(v->rows, json_null());
    }
    if (total(r) > EVAL_QUESTIONS)
        return err_set(e, ERR_TOO_BIG, "%zu questions: a run asks at most %d", total(r),
                       EVAL_QUESTIONS);
    return ERR_OK;
}

static enum err take_order(struct evals *ev, struct eval__run *r, const struct evals_order *o,
                           struct error *e)
{
    size_t len = strlen(o->name);
    if (!len || len > EVAL_NAME)
        return err_set(e, ERR_INVALID, "a set's name has 1 to %d bytes", EVAL_NAME);
    if (!o->parallel || o->parallel > EVAL_PARALLEL)
        return err_set(e, ERR_INVALID, "parallel is 1 to %d", EVAL_PARALLEL);
    if (o->baseline && !json_is_array(json_object_get(o->baseline, "variants")))
        return err_set(e, ERR_INVALID, "the baseline is no result of an evaluation");
    vault_id(r->id);
    clock_format(clock_real_ms(), r->at);
    r->name = xstrdup(o->name);
    r->actor = xstrdup(o->actor);
    r->under_way = json_object();
    r->parallel = o->parallel;
    r->seed = o->seed;
    r->keep = o->keep;
    r->state = "running";
    if (take_set(r, o, e) != ERR_OK || take_variants(ev, r, o, e) != ERR_OK)
        return e->code;
    r->baseline = o->baseline ? json_deep_copy(o->baseline) : eval__baseline(ev, o->name);
    return ERR_OK;
}

enum err evals_start(struct evals *ev, const struct evals_order *o, char id[33], struct error *e)
{
    struct error mine = {0};
    if (!e)
        e = &mine;
    if (ev->closed)
        return err_set(e, ERR_CLOSED, "the console is stopping");
    if (ev->run)
        return err_set(e, ERR_BUSY, "the run %s is under way", ev->run->id);
    struct eval__run *r = xcalloc(1, sizeof *r);
    if (take_order(ev, r, o, e) != ERR_OK) {
        run_free(r);
        return e->code;
    }
    ev->run = r;
    memcpy(id, r->id, sizeof r->id);
    if (!ev->timer)
        ev->timer = loop_timer_new(ev->rooms.loop, step, ev);
    go_on(ev, 0);
    return ERR_OK;
}

enum err evals_stop(struct evals *ev, const char *id, struct error *e)
{
    if (!is_run(ev, id))
        return err_set(e, ERR_NOT_FOUND, "no run %.64s is under way", id);
    if (ev->run->failed.code == ERR_OK)
        err_set(&ev->run->failed, ERR_CANCELLED, "stopped");
    go_on(ev, 0);
    return ERR_OK;
}
