/* The comparison of a trace's answers, and the critique turn in which two that diverge meet. */
#include "backend/compliance/compliance.h"
#include "backend/orchestrator/internal.h"
#include <stdlib.h>
#include <string.h>

static void arbitrate(struct trace *t, size_t *map, size_t *count)
{
    struct orch_answer answers[ORCH_CANDIDATES];
    struct orch_score scores[ORCH_CANDIDATES];
    struct gw_source sources[ORCH_SOURCES];
    size_t n = 0, given = 0;
    for (size_t i = 0; i < t->source_count; i++) {
        const struct orch_source *s = &t->sources[i];
        if (s->text)
            sources[given++] = (struct gw_source){s->id, s->kind, s->ref, s->text, s->data, 1};
    }
    for (size_t i = 0; i < t->candidate_count; i++) {
        if (t->candidates[i].state != CAND_DONE)
            continue;
        map[n] = i;
        answers[n++] =
            (struct orch_answer){t->candidates[i].model->name, t->candidates[i].text.data};
    }
    json_decref(t->verdict.disputed);
    orch_arbitrate(t->orch->rooms.know, &t->orch->limits, answers, n, sources, given, scores,
                   &t->verdict);
    for (size_t i = 0; i < n; i++) {
        struct orch_candidate *c = &t->candidates[map[i]];
        c->score = scores[i];
        json_put(c->doc, "overlap", json_real(scores[i].overlap));
        json_put(c->doc, "safety_risk", json_real(scores[i].safety_risk));
        json_put(c->doc, "reasoning", json_real(scores[i].reasoning));
        json_put(c->doc, "composite", json_real(scores[i].composite));
    }
    if (t->verdict.winner >= 0)
        t->verdict.winner = (int)map[t->verdict.winner];
    *count = n;
}

static void critique_start(struct trace *t);

void orch__compare(struct trace *t)
{
    size_t map[ORCH_CANDIDATES], n;
    size_t stage = orch__stage_begin(t, "compare", "compare answers");
    arbitrate(t, map, &n);
    t->first_D = t->verdict.D;
    t->first_S = t->verdict.S;
    char note[96];
    if (n > 1)
        snprintf(note, sizeof note, "D %.2f, S %.2f", t->verdict.D, t->verdict.S);
    else
        snprintf(note, sizeof note, "%zu answer%s", n, n == 1 ? "" : "s");
    orch__stage_end(t, stage, "done", note);
    if (t->verdict.diverges && !t->late &&
        conf_flag(t->orch->rooms.conf, "arbitration", "", "critique"))
        critique_start(t);
    else
        orch__conclude(t);
}

static bool critiques_over(const struct trace *t)
{
    for (size_t i = 0; i < t->candidate_count; i++) {
        if (t->candidates[i].critique_call || t->candidates[i].check.under_way)
            return false;
    }
    return true;
}

void orch__critiques_end(struct trace *t)
{
    for (size_t i = 0; i < t->candidate_count; i++) {
        struct orch_candidate *c = &t->candidates[i];
        if (!c->revised.len)
            continue;
        buf_clear(&c->text);
        buf_add(&c->text, c->revised.data, c->revised.len);
        c->text_entry = c->output_entry;
        json_object_del(c->doc, "truncated");
        orch__candidate_doc(c, "done");
        t->revised = true;
    }
    if (t->revised) {
        size_t map[ORCH_CANDIDATES], n;
        size_t stage = orch__stage_begin(t, "compare", "compare revised answers");
        arbitrate(t, map, &n);
        char note[96];
        snprintf(note, sizeof note, "D %.2f, was %.2f", t->verdict.D, t->first_D);
        orch__stage_end(t, stage, "done", note);
    }
    orch__conclude(t);
}

/* ---- who changed what: the lines of one answer that the other does not have */

struct lines {
    const char *text; /* of the other answer */
    json_t *out;
};

static void take_line(void *arg, const char *line, size_t len)
{
    const struct lines *l = arg;
    enum { MOST = 24 };
    char *copy = xstrndup(line, len);
    if (len > 2 && copy[len - 1] != ':' && !strstr(l->text, copy) && json_array_size(l->out) < MOST)
        json_array_append_new(l->out, json_text(copy, len));
    free(copy);
}

static json_t *lines_missing(const char *in, const char *from)
{
    struct lines l = {.text = in, .out = json_array()};
    know_sentences(from, take_line, &l);
    return l.out;
}

static const char *other_model(const struct trace *t, const struct orch_candidate *c)
{
    for (size_t i = 0; i < t->candidate_count; i++) {
        if (&t->candidates[i] != c && t->candidates[i].state == CAND_DONE)
            return t->candidates[i].model->name;
    }
    return "";
}

/* A critique has ended; failure NULL: its text is what the model would answer now. */
static void critique_ended(struct orch_candidate *c, const char *text, const char *failure)
{
    struct trace *t = c->trace;
    bool changed = !failure && strcmp(text, c->text.data) != 0;
    json_t *critique = json_object();
    json_puts(critique, "model", c->model->name);
    json_puts(critique, "of", other_model(t, c));
    json_put(critique, "text", json_text(text, strlen(text)));
    json_put(critique, "changed", json_boolean(changed));
    json_put(critique, "added", changed ? lines_missing(c->text.data, text) : json_array());
    json_put(critique, "dropped", changed ? lines_missing(text, c->text.data) : json_array());
    json_array_append_new(json_object_get(t->doc, "critiques"), critique);
    char note[64];
    snprintf(note, sizeof note, "%zu added, %zu dropped",
             json_array_size(json_object_get(critique, "added")),
             json_array_size(json_object_get(critique, "dropped")));
    orch__stage_end(t, c->stage, failure ? "failed" : "done",
                    failure   ? failure
                    : changed ? note
                              : "nothing to change");
    if (t->phase == TRACE_CRITIQUE && critiques_over(t))
        orch__critiques_end(t);
    orch__settle(t);
}

static void on_critique_checked(struct orch_check *k, bool blocked)
{
    struct orch_candidate *c = k->candidate;
    if (blocked)
        buf_clear(&c->revised);
    critique_ended(c, blocked ? "" : c->revised.data, k->words);
}

static void on_critique_done(void *arg, const struct gw_result *r)
{
    struct orch_candidate *c = arg;
    bool ok = r->error.code == ERR_OK && r->text[0];
    c->critique_call = NULL;
    orch__add_usage(c, r->spent);
    orch__note_truncated(c, r);
    orch__log_output(c, "critique", r->text, r->spent, ok ? "ok" : "error", r->finish_reason,
                     r->elapsed_ms, r->first_token_ms);
    if (!ok || c->truncated) { /* part of a correction is none */
        critique_ended(c, "",
                       r->error.code  ? err_words(&r->error)
                       : c->truncated ? "the correction ends before its end"
                                      : "the model answered nothing");
        return;
    }
    char *scrubbed = pol_scrub_text(r->text);
    buf_adds(&c->revised, scrubbed ? scrubbed : r->text);
    free(scrubbed);
    orch__check_release(&c->check);
    c->check = (struct orch_check){.trace = c->trace,
                                   .candidate = c,
                                   .of = "critique",
                                   .subject = c->output_entry,
                                   .then = on_critique_checked};
    orch__check(&c->check, c->revised.data);
}

/* Internal turns stay out of the chat (AR-1). */
static const struct gw_ops CRITIQUE_OPS = {.done = on_critique_done};

static void on_critique_logged(void *arg, int64_t seq, const struct error *e)
{
    struct trace *t = arg;
    t->writes--;
    if (t->phase != TRACE_CRITIQUE) {
        orch__settle(t);
        return;
    }
    if (e->code != ERR_OK) {
        orch__fail(t, e);
        return;
    }
    struct orch_candidate *two[2];
    size_t n = 0;
    for (size_t i = 0; i < t->candidate_count && n < 2; i++) {
        if (t->candidates[i].state == CAND_DONE)
            two[n++] = &t->candidates[i];
    }
    for (size_t i = 0; n == 2 && i < 2; i++) {
        struct error why = {0};
        two[i]->call_entry = seq; /* what its next output comes from */
        two[i]->truncated = NULL;
        two[i]->stage = orch__stage_begin(t, "critique", two[i]->model->name);
        two[i]->critique_call = orch__call_model(two[i], GW_CRITIQUE, two[i]->text.data,
                                                 two[1 - i]->text.data, &CRITIQUE_OPS, &why);
        if (!two[i]->critique_call) {
            const struct gw_spent none = gw_spent_nothing(two[i]->model, why.code);
            orch__log_output(two[i], "critique", "", &none, "error", "error", 0, -1);
            orch__stage_end(t, two[i]->stage, "failed", err_words(&why));
        }
    }
    if (critiques_over(t))
        orch__critiques_end(t);
    orch__settle(t);
}

/* Both prompts, and how each was made to fit, by model. */
static json_t *make_prompts(struct trace *t, struct orch_edges *from)
{
    struct orch_candidate *two[2];
    json_t *budgets = json_object();
    size_t n = 0;
    for (size_t i = 0; i < t->candidate_count && n < 2; i++)
        if (t->candidates[i].state == CAND_DONE)
            two[n++] = &t->candidates[i];
    for (size_t i = 0; n == 2 && i < 2; i++) {
        json_t *budget =
            orch__prompt_make(two[i], GW_CRITIQUE, two[i]->text.data, two[1 - i]->text.data, from);
        if (budget)
            json_put(budgets, two[i]->model->name, budget);
    }
    return budgets;
}

/* The turn in which the two first answers meet: logged once, then both models are asked. */
static void critique_start(struct trace *t)
{
    struct orch_edges from = {.count = 0};
    for (size_t i = 0; i < t->candidate_count; i++) {
        if (t->candidates[i].state == CAND_DONE)
            orch__edge(&from, t->candidates[i].text_entry, "critique", -1);
    }
    for (size_t i = 0; i < t->candidate_count; i++) {
        if (t->candidates[i].state == CAND_DONE)
            orch__grounds(&t->candidates[i], true, &from);
    }
    char D[32];
    snprintf(D, sizeof D, "%.4f", t->verdict.D);
    json_t *payload = json_object();
    json_puts(payload, "task", "critique");
    json_puts(payload, "why", "D is above the threshold");
    json_puts(payload, "D", D);
    json_put(payload, "budgets", make_prompts(t, &from));
    t->phase = TRACE_CRITIQUE;
    t->critiqued = true;
    t->writes++;
    orch__log(t, "model.call", "backend", &from, payload, on_critique_logged, t, NULL, NULL);
}
