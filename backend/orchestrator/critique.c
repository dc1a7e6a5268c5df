/* The critique turn, in which two answers that were compared meet. */
#include "backend/compliance/compliance.h"
#include "backend/orchestrator/internal.h"
#include <stdlib.h>
#include <string.h>

/* The two that meet are the first two of those that were compared. */
enum { TWO = 2 };

static bool critiques_over(const struct trace *t)
{
    for (size_t i = 0; i < TWO; i++) {
        if (t->compared[i]->critique_call || t->compared[i]->check.under_way)
            return false;
    }
    return true;
}

void orch__critiques_end(struct trace *t)
{
    struct orch_node *node = t->critiquing;
    t->mended = false;
    for (size_t i = 0; i < TWO; i++) {
        struct orch_candidate *c = t->compared[i];
        if (!c->revised.len)
            continue;
        c->gave_up += orch__changed_share(c->text.data, c->revised.data);
        c->revisions++;
        buf_clear(&c->text);
        buf_add(&c->text, c->revised.data, c->revised.len);
        c->text_entry = c->output_entry;
        json_object_del(c->doc, "truncated");
        orch__candidate_doc(c, "done");
        t->revised = t->mended = true;
        memset(t->alike, 0, sizeof t->alike);
        buf_clear(&c->revised);
    }
    if (!t->mended || !orch__near_ask(node))
        orch__critiques_conclude(t);
}

void orch__critiques_conclude(struct trace *t)
{
    struct orch_node *node = t->critiquing;
    t->critiquing = NULL;
    if (t->mended) {
        size_t stage = orch__stage_begin(t, "compare", "compare revised answers");
        orch__arbitrate(t);
        orch__stage_ends(t, stage, "done",
                         say(NULL, SAY_FIGURES_AFTER, "ff", t->verdict.D, t->first_D));
    }
    orch__verdict_is(t, t->verdict.diverges ? "diverge" : "agree");
    node->carries = &t->candidates[t->verdict.winner];
    orch__node_end(node, NODE_DONE, t->mended ? "an answer was revised" : "nothing to change");
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
    return t->compared[t->compared[0] == c]->model->name;
}

/* Puts a critique into the document; true: it changed the answer. */
static bool add_critique(struct orch_candidate *c, const char *text, bool failed)
{
    struct trace *t = c->trace;
    bool changed = !failed && strcmp(text, c->text.data) != 0;
    json_t *critique = json_object();
    json_puts(critique, "model", c->model->name);
    json_puts(critique, "of", other_model(t, c));
    json_put(critique, "text", json_text(text, strlen(text)));
    json_put(critique, "changed", json_boolean(changed));
    json_put(critique, "added", changed ? lines_missing(c->text.data, text) : json_array());
    json_put(critique, "dropped", changed ? lines_missing(text, c->text.data) : json_array());
    json_array_append_new(json_object_get(t->doc, "critiques"), critique);
    return changed;
}

/* A critique has ended; failure NULL: its text is what the model would answer now. */
static void critique_ended(struct orch_candidate *c, const char *text, const char *failure)
{
    struct trace *t = c->trace;
    bool changed = add_critique(c, text, failure != NULL);
    const json_t *all = json_object_get(t->doc, "critiques"),
                 *critique = json_array_get(all, json_array_size(all) - 1);
    if (failure || !changed)
        orch__stage_end(t, c->stage, failure ? "failed" : "done",
                        failure ? failure : "nothing to change");
    else
        orch__stage_ends(t, c->stage, "done",
                         say(NULL, SAY_ADDED, "nn",
                             json_array_size(json_object_get(critique, "added")),
                             json_array_size(json_object_get(critique, "dropped"))));
    if (t->phase == TRACE_MODELS && t->critiquing && critiques_over(t)) {
        orch__critiques_end(t);
        orch__engine_step(t);
    }
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
    buf_clear(&c->revised);
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
    struct orch_node *n = arg;
    struct trace *t = n->trace;
    t->writes--;
    if (t->phase != TRACE_MODELS || t->critiquing != n) {
        orch__settle(t);
        return;
    }
    if (e->code != ERR_OK) {
        orch__fail(t, e);
        return;
    }
    struct orch_candidate *const *two = t->compared;
    for (size_t i = 0; i < TWO; i++) {
        struct error why = {0};
        if (orch__recall_critique(two[i])) {
            size_t stage = orch__stage_begin(t, "critique", two[i]->model->name);
            add_critique(two[i], two[i]->revised.data, false);
            orch__stage_end(t, stage, "done", "from the log");
            continue;
        }
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
    if (critiques_over(t)) {
        orch__critiques_end(t);
        orch__engine_step(t);
    }
    orch__settle(t);
}

/* Both prompts, and how each was made to fit, by model. */
static json_t *make_prompts(struct trace *t, struct orch_edges *from)
{
    struct orch_candidate *const *two = t->compared;
    json_t *budgets = json_object();
    for (size_t i = 0; i < TWO; i++) {
        json_t *budget =
            orch__prompt_make(two[i], GW_CRITIQUE, two[i]->text.data, two[1 - i]->text.data, from);
        if (budget)
            json_put(budgets, two[i]->model->name, budget);
    }
    return budgets;
}

/* The turn in which the two meet: logged once, then both models are asked. */
static void meet(struct trace *t)
{
    struct orch_edges from = {.count = 0};
    for (size_t i = 0; i < t->compared_count; i++)
        orch__edge(&from, t->compared[i]->text_entry, "critique", -1);
    for (size_t i = 0; i < t->compared_count; i++)
        orch__grounds(t->compared[i], true, &from);
    char D[32];
    snprintf(D, sizeof D, "%.4f", t->verdict.D);
    json_t *payload = json_object();
    json_puts(payload, "task", "critique");
    json_puts(payload, "node", t->critiquing->as->id);
    json_puts(payload, "why", "D is above the threshold");
    json_puts(payload, "D", D);
    json_put(payload, "budgets", make_prompts(t, &from));
    t->critiqued = true;
    t->writes++;
    orch__log(t, "model.call", "backend", &from, payload, on_critique_logged, t->critiquing, NULL,
              NULL);
}

void orch__critique_cancel(struct orch_node *n)
{
    struct trace *t = n->trace;
    if (t->near.under_way && t->near.arg == n)
        orch__embed_cancel(&t->near);
    if (t->critiquing != n)
        return;
    t->critiquing = NULL;
    for (size_t i = 0; i < TWO; i++)
        orch__run_cancel(t->compared[i], "not needed any more");
}

/* Those that meet are those of the comparison before it, whatever was compared since. */
static void recall_compared(struct orch_node *n)
{
    struct orch_node *from[FLOW_NODES];
    struct orch_candidate *answers[FLOW_NODES];
    if (orch__node_inputs(n, from) &&
        orch__set_compared(n->trace, answers, orch__node_answers(from[0], answers)))
        orch__arbitrate(n->trace);
}

void orch__critique_start(struct orch_node *n)
{
    struct trace *t = n->trace;
    recall_compared(n);
    const char *why = t->late                   ? "no time is left"
                      : t->compared_count < TWO ? "there is one answer only"
                      : !conf_flag(t->orch->rooms.conf, "arbitration", "", "critique")
                          ? "[arbitration] critique is off"
                          : NULL;
    if (!why) {
        t->critiquing = n;
        meet(t);
        return;
    }
    n->carries = t->verdict.winner >= 0 ? &t->candidates[t->verdict.winner] : NULL;
    orch__node_end(n, n->carries ? NODE_DONE : NODE_FAILED, why);
}
