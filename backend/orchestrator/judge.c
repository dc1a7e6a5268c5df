/* The nodes of a flow that judge what models wrote: compare, vote, verify, guard; and what is known
 * of the answer that the flow ended with. A model's own verdict is asked for besides (VERDICT: on
 * its first line); it can make that of the rules stricter, never milder. */
#include "backend/compliance/compliance.h"
#include "backend/orchestrator/internal.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const double UNSAFE = 0.5; /* from this risk of the text on */
enum { COMPARED = 8 };

/* ---- compare */

void orch__arbitrate(struct trace *t)
{
    struct orch_answer answers[ORCH_CANDIDATES];
    struct orch_score scores[ORCH_CANDIDATES];
    struct gw_source sources[ORCH_SOURCES];
    size_t given = orch__given_sources(t, sources);
    for (size_t i = 0; i < t->compared_count; i++)
        answers[i] = (struct orch_answer){t->compared[i]->model->name, t->compared[i]->text.data};
    struct orch_limits limits = t->orch->limits;
    struct orch_near near;
    if (orch__near_take(t, t->compared, t->compared_count, &near))
        limits.vectors = &near.vectors;
    json_decref(t->verdict.disputed);
    json_decref(t->verdict.claims);
    orch_arbitrate(t->orch->rooms.know, &limits, answers, t->compared_count, sources, given, scores,
                   &t->verdict);
    orch__embed_release(&t->near); /* the next comparison is of other texts */
    for (size_t i = 0; i < t->compared_count; i++) {
        struct orch_candidate *c = t->compared[i];
        c->score = scores[i];
        json_put(c->doc, "overlap", json_real(scores[i].overlap));
        json_put(c->doc, "safety_risk", json_real(scores[i].safety_risk));
        json_put(c->doc, "reasoning", json_real(scores[i].reasoning));
        json_put(c->doc, "composite", json_real(scores[i].composite));
        json_puti(c->doc, "refuted", (int64_t)scores[i].refuted);
        json_puts(c->doc, "refuted_why", scores[i].why_refuted);
    }
    struct orch_verdict *v = &t->verdict;
    if (v->equal >= 0)
        v->equal = (int)(t->compared[v->equal] - t->candidates);
    if (v->outranked >= 0)
        v->outranked = (int)(t->compared[v->outranked] - t->candidates);
    if (v->winner < 0)
        return;
    v->winner = (int)(t->compared[v->winner] - t->candidates);
    orch__variable(t, VAR_CONFIDENCE, t->candidates[v->winner].score.composite);
    if (v->D >= 0)
        orch__variable(t, VAR_DIVERGENCE, v->D);
    if (v->S >= 0)
        orch__variable(t, VAR_SAFETY_GAP, v->S);
    orch__variable(t, VAR_CONTRADICTIONS, (double)json_array_size(v->disputed));
}

bool orch__set_compared(struct trace *t, struct orch_candidate **answers, size_t n)
{
    size_t count = n < COMPARED ? n : COMPARED;
    bool other = count != t->compared_count;
    for (size_t i = 0; i < count; i++) {
        other = other || t->compared[i] != answers[i];
        t->compared[i] = answers[i];
    }
    t->compared_count = count;
    return other;
}

void orch__compare(struct orch_node *n)
{
    struct trace *t = n->trace;
    struct orch_candidate *answers[FLOW_NODES] = {NULL};
    orch__set_compared(t, answers, orch__node_answers(n, answers));
    if (!orch__near_ask(n))
        orch__compare_now(n);
}

void orch__compare_now(struct orch_node *n)
{
    struct trace *t = n->trace;
    json_t *note;
    size_t stage = orch__stage_begin(t, "compare", "compare answers");
    orch__arbitrate(t);
    const struct orch_verdict *v = &t->verdict;
    t->first_D = v->D;
    t->first_S = v->S;
    if (t->compared_count > 1)
        note = say(NULL, SAY_FIGURES, "ff", v->D, v->S);
    else if (t->compared_count == 1)
        note = say(NULL, SAY_ANSWER, "");
    else
        note = say(NULL, SAY_ANSWERS, "n", t->compared_count);
    orch__stage_ends(t, stage, "done", json_incref(note));
    orch__verdict_is(t, v->winner < 0           ? "none"
                        : t->compared_count < 2 ? "single"
                        : v->safer              ? "safer"
                        : v->diverges           ? "diverge"
                        : v->weak               ? "weak"
                                                : "agree");
    n->carries = v->winner < 0 ? NULL : &t->candidates[v->winner];
    orch__node_ends(n, n->carries ? NODE_DONE : NODE_FAILED, note);
}

/* ---- vote */

/* Two answers say the same: they are near each other, and nothing in them is disputed. */
static bool alike(struct trace *t, struct orch_candidate *a, struct orch_candidate *b)
{
    struct gw_source sources[ORCH_SOURCES];
    struct orch_answer two[2] = {{a->model->name, a->text.data}, {b->model->name, b->text.data}};
    struct orch_candidate *const both[] = {a, b};
    struct orch_limits limits = t->orch->limits;
    struct orch_score scores[2];
    struct orch_verdict v;
    struct orch_near near;
    size_t given = orch__given_sources(t, sources);
    if (strcmp(a->text.data, b->text.data) == 0)
        return true;
    if (orch__near_take(t, both, 2, &near))
        limits.vectors = &near.vectors;
    orch_arbitrate(t->orch->rooms.know, &limits, two, 2, sources, given, scores, &v);
    bool same = v.D <= t->orch->limits.divergence && !json_array_size(v.disputed) && !v.safer;
    json_decref(v.disputed);
    json_decref(v.claims);
    return same;
}

/* The same, found out once for two: a vote is counted anew with each answer that comes. */
static bool known_alike(struct trace *t, struct orch_candidate *a, struct orch_candidate *b)
{
    enum { UNKNOWN, ALIKE, APART };
    unsigned char *known = &t->alike[a - t->candidates][b - t->candidates];
    if (*known == UNKNOWN)
        *known = alike(t, a, b) ? ALIKE : APART;
    return *known == ALIKE;
}

/* The largest group, each answer with those that say what its first one says; of equal ones the
 * first. */
static size_t largest_group(struct trace *t, struct orch_candidate **answers, size_t n,
                            struct orch_candidate **out)
{
    bool placed[FLOW_NODES] = {false};
    size_t best = 0;
    for (size_t i = 0; i < n; i++) {
        struct orch_candidate *group[FLOW_NODES];
        size_t size = 0;
        if (placed[i])
            continue;
        for (size_t j = i; j < n; j++) {
            if (placed[j] || (j != i && !known_alike(t, answers[i], answers[j])))
                continue;
            placed[j] = true;
            group[size++] = answers[j];
        }
        if (size > best) {
            best = size;
            memcpy(out, group, size * sizeof *out);
        }
    }
    return best;
}

/* How many answers a vote may still get. */
static size_t to_come(const struct orch_node *n)
{
    const struct trace *t = n->trace;
    size_t pending = 0;
    for (size_t i = 0; i < t->flow->edge_count; i++)
        pending += &t->nodes[t->flow->edges[i].to] == n && t->edges[i] == EDGE_PENDING;
    return pending;
}

static void vote_end(struct orch_node *n, struct orch_candidate **group, size_t size, size_t of,
                     bool agree)
{
    struct trace *t = n->trace;
    orch__set_compared(t, group, size);
    orch__arbitrate(t);
    t->first_D = t->verdict.D;
    t->first_S = t->verdict.S;
    if (of > 1) { /* one answer agrees with nobody: how sure it is, its composite says */
        t->voted = (struct orch_vote){size, of};
        orch__variable(t, VAR_AGREEMENT, (double)size / (double)of);
        orch__variable(t, VAR_CONFIDENCE, (double)size / (double)of);
    }
    orch__verdict_is(t, of < 2 ? "single" : agree ? "agree" : "split");
    n->carries = &t->candidates[t->verdict.winner];
    if (of > 1) {
        json_t *note = say(NULL, SAY_VOTED, "nn", size, of);
        orch__stage_ends(t, n->stage, "done", json_incref(note));
        orch__node_ends(n, NODE_DONE, note);
    } else {
        static const char alone[] = "one answer: nothing to vote on";
        orch__stage_end(t, n->stage, "done", alone);
        orch__node_end(n, NODE_DONE, alone);
    }
}

bool orch__vote(struct orch_node *n, bool first)
{
    struct trace *t = n->trace;
    struct orch_candidate *answers[FLOW_NODES], *group[FLOW_NODES];
    size_t of = orch__node_answers(n, answers), pending = to_come(n);
    if (first)
        n->stage = orch__stage_begin(t, "vote", n->as->id);
    if (!first && of == n->counted && pending)
        return false;
    orch__set_compared(t, answers, of);
    if (!orch__near_asked(n, t->compared_count) && orch__near_ask(n) && t->near.under_way)
        return false; /* counted when they are there */
    n->counted = of;
    size_t size = largest_group(t, answers, of, group), all = of + pending;
    size_t wanted = n->as->samples ? (size_t)n->as->samples : all / 2 + 1;
    if (!pending && wanted > all / 2 + 1)
        wanted = all / 2 + 1; /* fewer came than were to agree */
    bool agree = size >= wanted && of;
    if (!agree && pending && size + pending >= wanted)
        return false; /* it can still be reached */
    if (of) {
        vote_end(n, group, size, of, agree);
    } else {
        orch__stage_end(t, n->stage, "failed", "no answer");
        orch__node_end(n, NODE_FAILED, "no answer");
    }
    return true;
}

/* ---- verify */

/* The word behind "VERDICT:" near the beginning of what a model wrote, or "". */
static void said_verdict(const char *text, char out[16])
{
    static const char mark[] = "VERDICT:";
    const char *at = NULL;
    size_t n = 0, len = strnlen(text, 400);
    for (size_t i = 0; !at && i + sizeof mark - 1 <= len; i++)
        at = strncasecmp(text + i, mark, sizeof mark - 1) == 0 ? text + i + sizeof mark - 1 : NULL;
    while (at && (*at == ' ' || *at == '*'))
        at++;
    for (; at && isalpha((unsigned char)at[n]) && n < 15; n++)
        out[n] = (char)tolower((unsigned char)at[n]);
    out[n] = '\0';
}

static void add_remarks(struct orch_node *n)
{
    enum { MOST = 4000 };
    if (n->run && n->run->state == CAND_DONE)
        buf_addf(&n->said, "%.*s\n", MOST, n->run->text.data);
}

/* What does not stand, a line each: for who revises. */
static void add_unfounded(struct orch_node *n, const json_t *doc)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(doc, "sentences"), i, one)
    {
        const char *state = json_str(one, "state", ""), *why = json_str(one, "why", "");
        if (strcmp(state, "supported") != 0)
            buf_addf(&n->said, "%s%s%s: %s\n",
                     strcmp(state, "contradicted") == 0               ? "a source says otherwise"
                     : json_array_size(json_object_get(one, "cites")) ? "not in its source"
                                                                      : "without a source",
                     *why ? ", " : "", why, json_str(one, "text", ""));
    }
}

/* What its sources say otherwise: the other reading, and which stands. */
static void add_conflicts(struct orch_node *n, const json_t *doc)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(doc, "conflicts"), i, one)
    {
        const char *stands = json_str(one, "stands", ""), *by = json_str(one, "against", "");
        if (strcmp(stands, "here") == 0)
            continue;
        buf_addf(&n->said, "%s, [%s] says \"%s\": %s\n", *stands ? "outranked" : "sources disagree",
                 by, json_str(one, "with", ""), json_str(one, "text", ""));
    }
}

static void verify(struct orch_node *n, const char *model_says)
{
    struct trace *t = n->trace;
    struct orch_grounding g;
    orch__ground(t, n->carries->text.data, ORCH_NOTE, NULL, &g);
    add_unfounded(n, g.doc);
    add_conflicts(n, g.doc);
    add_remarks(n);
    size_t unfounded = g.assessed - g.supported + g.disputed;
    bool revise = unfounded > 0 || strcmp(model_says, "revise") == 0;
    double share = g.assessed        ? (double)g.supported / (double)g.assessed
                   : t->source_count ? 0.5
                                     : 0;
    orch__variable(t, VAR_UNSUPPORTED, (double)unfounded);
    orch__variable(t, VAR_CONFIDENCE, revise && !unfounded && share > 0.5 ? 0.5 : share);
    orch__verdict_is(t, revise ? "revise" : "pass");
    json_t *note = say(NULL, revise ? SAY_TO_REVISE : SAY_PASSED, "nn", g.supported, g.assessed);
    if (g.disputed)
        note = say(note, SAY_DISPUTED, "n", g.disputed);
    if (*model_says)
        note = say(note, SAY_MODEL_SAYS, "s", model_says);
    orch_grounding_release(&g);
    orch__stage_ends(t, n->stage, "done", json_incref(note));
    orch__node_ends(n, NODE_DONE, note);
}

/* ---- guard */

static void guard(struct orch_node *n, const char *model_says)
{
    struct trace *t = n->trace;
    const char *why = "", *text = n->carries->text.data;
    const char *refused = orch_safety_refuses(t->orch, text, true);
    double risk = pol_safety_risk(text, &why);
    bool unsafe = refused || risk >= UNSAFE || strcmp(model_says, "unsafe") == 0;
    const char *found = refused ? refused : risk >= UNSAFE ? why : NULL;
    json_t *note = found    ? say(NULL, SAY_UNSAFE_FOR, "t", found)
                   : unsafe ? say(NULL, SAY_UNSAFE, "")
                            : say(NULL, SAY_SAFE, "");
    if (*model_says)
        note = say(note, SAY_MODEL_SAYS, "s", model_says);
    add_remarks(n);
    orch__verdict_is(t, unsafe ? "unsafe" : "safe");
    free(t->unsafe);
    t->unsafe = unsafe ? xstrdup(found ? found : "") : NULL;
    if (unsafe) {
        char *told = say_english(note);
        buf_addf(&n->said, "%s\n", told);
        free(told);
    }
    orch__stage_ends(t, n->stage, "done", json_incref(note));
    orch__node_ends(n, NODE_DONE, note);
}

char *orch__guard_noted(const struct trace *t, const char *answer)
{
    bool russian = strcmp(t->lang, "ru") == 0;
    if (!t->unsafe)
        return xstrdup(answer);
    return xasprintf(
        russian ? "%s\n\nСтраж считает этот ответ небезопасным%s%s: ничего из него нельзя "
                  "выполнять без согласования."
                : "%s\n\nThe Guardian holds this answer unsafe%s%s: nothing of it is to be "
                  "run without approval.",
        answer, *t->unsafe ? " — " : "", t->unsafe);
}

void orch__judge_end(struct orch_node *n)
{
    char says[16] = "";
    if (n->run && n->run->state == CAND_DONE)
        said_verdict(n->run->text.data, says);
    (n->as->kind == FLOW_VERIFY ? verify : guard)(n, says);
}

void orch__judge_start(struct orch_node *n)
{
    struct trace *t = n->trace;
    struct orch_candidate *answers[FLOW_NODES];
    size_t count = orch__node_answers(n, answers);
    n->carries = count ? answers[0] : NULL;
    n->stage = orch__stage_begin(t, n->as->kind == FLOW_VERIFY ? "verify" : "guard", n->as->id);
    if (!count) {
        orch__stage_end(t, n->stage, "failed", "no answer");
        orch__node_end(n, NODE_FAILED, "no answer");
    } else if (!t->late && (n->as->model || n->as->chosen >= 0)) {
        orch__run_start(n);
    } else {
        orch__judge_end(n);
    }
}

/* ---- the end */

/* What was compared last stands; another answer is looked at by itself. */
void orch__final(struct trace *t)
{
    if (!t->final) {
        t->verdict.winner = -1;
        return;
    }
    bool compared = t->verdict.winner >= 0 && &t->candidates[t->verdict.winner] == t->final;
    if (compared)
        return;
    t->last_word = true;
    orch__set_compared(t, &t->final, 1);
    orch__arbitrate(t);
    t->first_D = t->first_S = -1;
}
