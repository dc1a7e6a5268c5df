/* The end of a trace in all its ways: concluded, failed, stopped. */
#include "backend/base/clock.h"
#include "backend/orchestrator/internal.h"
#include <stdlib.h>
#include <string.h>

static json_t *number_or_null(double x)
{
    return x < 0 ? json_null() : json_real(x);
}

/* Answers that were asked for, internal turns not among them. */
static size_t asked_for(const struct trace *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->candidate_count; i++)
        n += !t->candidates[i].internal;
    return n;
}

static const char *route_of(const struct trace *t, size_t answers)
{
    if (t->verdict.winner < 0)
        return "none";
    if (!t->verdict.answered)
        return "unanswered";
    if (t->last_word && t->candidate_count > 1)
        return "roles";
    if (t->voted.of)
        return "vote";
    if (answers < 2)
        return asked_for(t) > 1 ? "dropped" : "single";
    if (t->verdict.safer)
        return "safer";
    if (t->verdict.outranked >= 0)
        return "refuted";
    return t->critiqued ? "critique" : t->verdict.diverges ? "diverge" : "agree";
}

/* Both figures with as many digits as it takes to tell them apart. */
static void compared(double winner, double other, char a[32], char b[32])
{
    int digits = 2;
    do {
        snprintf(a, 32, "%.*f", digits, winner);
        snprintf(b, 32, "%.*f", digits, other);
    } while (strcmp(a, b) == 0 && ++digits < 9);
}

/* How far apart the answers were, and what became of it. */
static json_t *how_far_apart(const struct trace *t, json_t *words)
{
    double limit = t->orch->limits.divergence;
    if (t->revised)
        return say(words, SAY_REVISED, "fff", t->first_D, limit, t->verdict.D);
    return say(words,
               t->critiqued          ? SAY_UNREVISED
               : t->verdict.diverges ? SAY_DIVERGE
                                     : SAY_AGREE,
               "ff", t->first_D, limit);
}

/* Who spoke last, and what those who judge said of that. */
static json_t *last_word(const struct trace *t, json_t *name)
{
    json_t *words = say(NULL, SAY_LAST_WORD, "ls", name, t->final->node->as->id);
    for (size_t i = 0; i < t->node_count; i++) {
        const struct orch_node *n = &t->nodes[i];
        bool judges = n->as->kind == FLOW_VERIFY || n->as->kind == FLOW_GUARD;
        const json_t *note = json_object_get(n->doc, "note_words");
        if (!judges || n->state != NODE_DONE)
            continue;
        if (note)
            words = say(words, SAY_OF, "sl", n->as->id, json_deep_copy(note));
        else
            words = say(words, SAY_OF, "st", n->as->id, json_str(n->doc, "note", ""));
    }
    return words;
}

/* Why the composite, or what goes before it, chose one of several answers. */
static json_t *choice_words(const struct trace *t, const char *route, json_t *name)
{
    const struct orch_verdict *v = &t->verdict;
    double composite = t->candidates[v->winner].score.composite, other = 0;
    char ours[32], theirs[32];
    json_t *words;
    for (size_t i = 0; i < t->compared_count; i++) {
        if (t->compared[i]->score.composite > other && t->compared[i] != &t->candidates[v->winner])
            other = t->compared[i]->score.composite;
    }
    compared(composite, other, ours, theirs);
    if (strcmp(route, "safer") == 0)
        words = say(say(NULL, SAY_SAFER, "lff", name, v->S, t->orch->limits.safety_gap),
                    SAY_COMPOSITES, "ss", ours, theirs);
    else if (strcmp(route, "refuted") == 0)
        words = say(NULL, SAY_REFUTED, "slss", t->candidates[v->outranked].model->name, name, ours,
                    theirs);
    else if (v->equal >= 0)
        words = say(NULL, SAY_EQUAL, "fl", composite, name);
    else
        words = say(NULL, SAY_HIGHER, "lss", name, ours, theirs);
    return how_far_apart(t, words);
}

/* Why the winner won, in a sentence or two. */
static json_t *reason_of(const struct trace *t, size_t answers, const char *route)
{
    if (t->verdict.winner < 0)
        return say(NULL, SAY_NO_MODEL, "");
    const struct orch_candidate *c = &t->candidates[t->verdict.winner];
    const char *other = json_str(c->doc, "answered_by", NULL);
    json_t *name = other ? say(NULL, SAY_INSTEAD, "ss", other, c->model->name)
                         : say(NULL, SAY_TEXT, "s", c->model->name);
    if (strcmp(route, "unanswered") == 0)
        return say(NULL, SAY_UNCITED, "l", name);
    if (strcmp(route, "roles") == 0)
        return last_word(t, name);
    if (strcmp(route, "vote") == 0)
        return say(NULL, SAY_MAJORITY, "nnlf", t->voted.agree, t->voted.of, name,
                   c->score.composite);
    if (answers < 2)
        return say(NULL, asked_for(t) > 1 ? SAY_ONLY_LEFT : SAY_ONLY, "l", name);
    return choice_words(t, route, name);
}

static json_t *verdict_doc(struct trace *t)
{
    size_t answers = t->compared_count;
    const struct orch_verdict *v = &t->verdict;
    const struct orch_limits *l = &t->orch->limits;
    json_t *doc = json_object(), *thresholds = json_object(), *weights = json_object();
    const char *route = route_of(t, answers);
    json_puts(doc, "winner", v->winner < 0 ? "" : t->candidates[v->winner].model->name);
    json_puts(doc, "route", route);
    json_put(doc, "D", number_or_null(answers < 2 ? -1 : t->first_D));
    json_put(doc, "D_after", number_or_null(t->revised ? v->D : -1));
    json_put(doc, "S", number_or_null(v->S));
    say_put(doc, "reason", reason_of(t, answers, route));
    json_put(doc, "weak", json_boolean(v->weak));
    json_put(thresholds, "divergence", json_real(l->divergence));
    json_put(thresholds, "safety_gap", json_real(l->safety_gap));
    json_put(thresholds, "composite", json_real(l->composite));
    json_put(doc, "thresholds", thresholds);
    json_put(weights, "semantic", json_real(l->w_semantic));
    json_put(weights, "safety", json_real(l->w_safety));
    json_put(weights, "reasoning", json_real(l->w_reasoning));
    json_put(doc, "weights", weights);
    json_put(doc, "disputed", v->disputed ? json_incref(v->disputed) : json_array());
    json_put(doc, "claims", v->claims ? json_incref(v->claims) : json_array());
    return doc;
}

/* Usage and cost of the whole turn: every candidate, whatever became of it. */
static void sum_usage(struct trace *t)
{
    int64_t in = 0, out = 0, cached = 0, reasoning = 0;
    bool estimated = false;
    struct orch_money money = t->before;
    for (size_t i = 0; i < t->candidate_count; i++) {
        const struct orch_candidate *c = &t->candidates[i];
        const json_t *u = json_object_get(c->doc, "usage");
        if (!json_is_object(u))
            continue;
        in += json_int(u, "input_tokens", 0);
        out += json_int(u, "output_tokens", 0);
        cached += json_int(u, "cached_tokens", 0);
        reasoning += json_int(u, "reasoning_tokens", 0);
        estimated = estimated || json_flag(u, "estimated", false);
        orch__money_join(&money, &c->money);
    }
    json_t *usage = json_object();
    json_puti(usage, "input_tokens", in);
    json_puti(usage, "output_tokens", out);
    json_puti(usage, "cached_tokens", cached);
    json_puti(usage, "reasoning_tokens", reasoning);
    json_put(usage, "estimated", json_boolean(estimated));
    json_put(usage, "cost", orch__money_json(&money));
    json_put(t->doc, "usage", usage);
}

struct answer_done {
    struct trace *trace;
    const char *state;
    void *projection;
};

/* O1: an answer that is not in the log is no answer. */
static void withdraw(struct trace *t, const struct error *e)
{
    char *what = xasprintf("the answer could not be logged: %s", err_words(e));
    json_puts(t->doc, "state", "failed");
    json_puts(t->doc, "answer", "");
    json_puts(t->doc, "error", what);
    free(what);
}

static void on_final(void *arg, int64_t seq, const struct error *e)
{
    struct answer_done *d = arg;
    struct trace *t = d->trace;
    (void)seq;
    json_puts(t->doc, "state", d->state);
    if (e->code != ERR_OK)
        withdraw(t, e);
    orch__store_trace_free(d->projection);
    free(d);
    t->writes--;
    t->phase = TRACE_ENDED;
    orch__told_end(t);
    orch__tell(t, "turn");
    orch__settle(t);
}

/* Writes the last entry (answer or stop) with the projection. */
static void end_trace(struct trace *t, const char *type, const char *actor, const char *state,
                      const struct orch_edges *from, json_t *payload)
{
    t->phase = TRACE_ENDING;
    orch__engine_abandon(t);
    if (t->timer)
        loop_timer_stop(t->timer);
    sum_usage(t);
    json_puti(t->doc, "elapsed_ms", (int64_t)(clock_mono_ms() - t->started_ms));
    struct answer_done *d = xcalloc(1, sizeof *d);
    d->trace = t;
    d->state = state;
    t->writes++;
    d->projection = orch__store_trace_arg(t, state);
    orch__log(t, type, actor, from, payload, on_final, d, orch__store_trace, d->projection);
}

static void end_stopped(struct trace *t, const char *by, const char *state, json_t *payload)
{
    struct orch_edges from = {.count = 0};
    orch__edge(&from, t->question_entry, "stop", -1);
    end_trace(t, "stop", by, state, &from, payload);
}

static void mark_winner(struct trace *t)
{
    for (size_t i = 0; i < t->candidate_count; i++)
        json_put(t->candidates[i].doc, "chosen", json_boolean((int)i == t->verdict.winner));
}

static void end_unanswered(struct trace *t)
{
    for (size_t i = 0; i < t->candidate_count; i++) {
        if (t->candidates[i].state == CAND_BLOCKED) {
            orch__block(t, t->candidates[i].check.words);
            return;
        }
    }
    struct error e = {0};
    const char *why = t->candidate_count ? "" : "no model is configured";
    for (size_t i = 0; i < t->candidate_count && !*why; i++)
        why = json_str(t->candidates[i].doc, "error", "");
    err_set(&e, ERR_UPSTREAM, "no model answered: %s", why);
    orch__fail(t, &e);
}

/* What became of each node: its words are in the entries of its model, or short. */
static json_t *nodes_in_short(const struct trace *t)
{
    json_t *nodes = json_array();
    for (size_t i = 0; i < t->node_count; i++) {
        json_t *one = json_object();
        static const char *const KEYS[] = {"id", "kind", "role", "model", "state", "note"};
        for (size_t k = 0; k < sizeof KEYS / sizeof *KEYS; k++)
            json_puts(one, KEYS[k], json_str(t->nodes[i].doc, KEYS[k], ""));
        json_array_append_new(nodes, one);
    }
    return nodes;
}

/* Marks the sources that an answer cites; their refs, which the caller owns. */
static json_t *mark_cited(struct trace *t, const char *text)
{
    size_t i;
    json_t *source, *cited = json_array();
    json_array_foreach(json_object_get(t->doc, "sources"), i, source)
    {
        bool is_cited = orch_cites(text, json_str(source, "id", ""));
        json_put(source, "cited", json_boolean(is_cited));
        if (is_cited)
            json_array_append_new(
                cited, json_text(json_str(source, "ref", ""), strlen(json_str(source, "ref", ""))));
    }
    return cited;
}

static int64_t log_verdict(struct trace *t)
{
    size_t stage = orch__stage_begin(t, "verdict", "verdict");
    orch__answer_risk(t);
    json_t *verdict = verdict_doc(t), *payload = json_object(), *scores = json_array();
    struct orch_edges from = {.count = 0};
    orch__edge(&from, t->question_entry, "conclude",
               -1); /* first: of many runs some have no room */
    if (t->verdict.winner >= 0)
        orch__edge(&from, t->candidates[t->verdict.winner].text_entry, "compare",
                   t->candidates[t->verdict.winner].score.composite);
    mark_winner(t);
    json_put(t->doc, "verdict", json_incref(verdict));
    for (size_t i = 0; i < t->candidate_count; i++) {
        const struct orch_candidate *c = &t->candidates[i];
        orch__edge(&from, c->text_entry, "compare",
                   c->state == CAND_DONE && !c->internal ? c->score.composite : -1);
        orch__edge(&from, c->output_entry, "compare", -1); /* a critique that came to nothing */
        if (c->internal)
            continue;
        json_t *s = json_object();
        json_puts(s, "model", c->model->name);
        json_puts(s, "state", orch__state_name(c->state));
        static const char *const PARTS[] = {"overlap", "safety_risk", "reasoning", "composite"};
        for (size_t p = 0; p < 4; p++)
            json_put(s, PARTS[p], json_incref(json_object_get(c->doc, PARTS[p])));
        json_array_append_new(scores, s);
    }
    json_put(payload, "verdict", verdict);
    json_put(payload, "candidates", scores);
    json_put(payload, "path", json_deep_copy(json_object_get(t->doc, "path")));
    json_put(payload, "nodes", nodes_in_short(t));
    int64_t verdict_entry =
        orch__log(t, "verdict", "backend", &from, payload, NULL, NULL, NULL, NULL);
    orch__stage_end(t, stage, "done", json_str(verdict, "route", ""));
    return verdict_entry;
}

void orch__conclude(struct trace *t)
{
    int64_t verdict_entry = log_verdict(t);
    struct orch_edges from = {.count = 0};
    if (t->verdict.winner < 0) {
        end_unanswered(t);
        return;
    }
    const struct orch_candidate *winner = &t->candidates[t->verdict.winner];
    json_t *figures;
    char *grounded = orch__grounded(t, winner->text.data, &figures);
    char *guarded = orch__guard_noted(t, grounded), *noted = orch__wish_noted(t, guarded);
    char *text = orch__risk_noted(t, noted);
    free(grounded);
    free(guarded);
    free(noted);
    json_put(t->doc, "answer", json_text(text, strlen(text)));
    json_t *answer = json_object();
    json_put(answer, "text", json_text(text, strlen(text)));
    json_put(answer, "sources", mark_cited(t, text));
    json_put(answer, "grounding", figures);
    json_puts(answer, "model", winner->model->name);
    if (json_object_get(winner->doc, "truncated"))
        json_puts(answer, "truncated", json_str(winner->doc, "truncated", ""));
    if (json_object_get(t->doc, "safety"))
        json_put(answer, "safety", json_deep_copy(json_object_get(t->doc, "safety")));
    json_put(answer, "risk", json_incref(json_object_get(t->doc, "risk")));
    orch__edge(&from, verdict_entry, "choose", winner->score.composite);
    orch__edge(&from, winner->text_entry, "adopt", winner->score.composite);
    if (orch__withhold(t, text))
        json_put(answer, "withheld", json_true());
    end_trace(t, "answer", "backend", "done", &from, answer);
    free(text);
}

/* Of a trace that ends without an answer: the longest beginning of one is kept, and marked. */
static void keep_partial(struct trace *t, json_t *payload)
{
    const struct orch_candidate *longest = NULL;
    for (size_t i = 0; i < t->candidate_count; i++) {
        if (t->candidates[i].text.len && !t->candidates[i].internal &&
            (!longest || t->candidates[i].text.len > longest->text.len))
            longest = &t->candidates[i];
    }
    if (!longest)
        return;
    json_put(t->doc, "answer", json_text(longest->text.data, longest->text.len));
    json_put(payload, "partial", json_text(longest->text.data, longest->text.len));
    orch__withhold_partial(t, longest->text.data);
}

static void end_badly(struct trace *t, const char *state, const char *words, bool partial)
{
    if (t->phase >= TRACE_ENDING)
        return;
    orch__check_cancel(&t->check);
    orch__tools_cancel(t);
    orch__models_cancel(t, CAND_STOPPED);
    json_puts(t->doc, "error", words);
    json_t *payload = json_object();
    json_puts(payload, "error", words);
    if (partial)
        keep_partial(t, payload);
    end_stopped(t, "backend", state, payload);
}

void orch__fail(struct trace *t, const struct error *e)
{
    end_badly(t, "failed", err_words(e), true);
}

void orch__block(struct trace *t, const char *words)
{
    end_badly(t, "blocked", words, false);
}

bool orch__stop(struct trace *t, const char *by)
{
    if (t->phase >= TRACE_ENDING || t->stopped)
        return false;
    if (t->phase == TRACE_LOGGING) {
        t->stopped = by;
        return true;
    }
    orch__check_cancel(&t->check);
    orch__tools_cancel(t);
    orch__models_cancel(t, CAND_STOPPED);
    json_t *payload = json_object();
    json_puts(payload, "by", by);
    json_puts(t->doc, "error", "stopped before it was finished");
    keep_partial(t, payload);
    end_stopped(t, by, "stopped", payload);
    return true;
}
