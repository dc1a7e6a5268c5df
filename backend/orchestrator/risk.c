/* How much is at stake in a question and how far its answer may be trusted (AR-5; docs/risk.md):
 * score = 1 - product of (1 - weight x value) over the features, each 0..1, weights from [risk].
 * Known before models answer are those of the question, its sources and its plan; the answers' own
 * come when these are there. The score chooses tiers of pools (gw_route), the flow, and who must
 * look. */
#include "backend/base/hash.h"
#include "backend/compliance/compliance.h"
#include "backend/orchestrator/internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum feature {
#define FEATURE(id, name, key, about) RISK_##id,
#include "backend/orchestrator/features.def"
#undef FEATURE
    RISK_FEATURES
};

static const struct {
    const char *name, *key;
} features[] = {
#define FEATURE(id, name, key, about) {name, key},
#include "backend/orchestrator/features.def"
#undef FEATURE
};

enum { TAGS = 8, SPREAD_ANSWERS = 8 };

/* ---- before models answer */

static bool holds_personal(const char *text)
{
    const char *tags[TAGS];
    return pol_pii_tags(text, tags, TAGS) > 0;
}

static double personal(const struct trace *t)
{
    if (holds_personal(t->question))
        return 1;
    for (size_t i = 0; i < t->source_count; i++)
        if (t->sources[i].text && holds_personal(t->sources[i].text))
            return 0.5;
    return 0;
}

/* Findings of tools that are over a limit and the console's own alerts, as a density: half of all
 * that can be with three. What an evaluation asks of recorded tools is no matter of today's alerts.
 */
static double anomalies(const struct trace *t)
{
    static const double HALF = 3;
    double n = t->alerts;
    for (size_t i = 0; i < t->source_count; i++) {
        size_t at;
        json_t *f;
        json_array_foreach(json_object_get(t->sources[i].data, "findings"), at, f)
        {
            const char *severity = json_str(f, "severity", "ok");
            n += strcmp(severity, "fail") == 0 ? 1 : strcmp(severity, "warn") == 0 ? 0.5 : 0;
        }
    }
    return n / (n + HALF);
}

/* What the plan that was proposed for it would change. */
static double change(const struct trace *t)
{
    const json_t *plan = json_object_get(t->doc, "plan");
    const char *risk = json_str(plan, "risk", "");
    return !plan ? 0 : strcmp(risk, "high") == 0 ? 1 : strcmp(risk, "medium") == 0 ? 0.7 : 0.4;
}

/* ---- of the answers */

static size_t answers_of(const struct trace *t, const struct orch_candidate **out)
{
    size_t n = 0;
    for (size_t i = 0; i < t->candidate_count && n < SPREAD_ANSWERS; i++)
        if (t->candidates[i].state == CAND_DONE && !t->candidates[i].internal &&
            t->candidates[i].text.len)
            out[n++] = &t->candidates[i];
    return n;
}

/* ---- how much a text changed */

enum { WORDS = 2048 };

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Its words as sorted hashes. */
static size_t words_of(const char *text, uint64_t out[WORDS])
{
    size_t n = 0;
    for (size_t len; *text && n < WORDS; text += len) {
        len = strcspn(text, " \t\n.,;:()[]");
        if (len)
            out[n++] = hash_bytes(HASH_START, text, len);
        len += strspn(text + len, " \t\n.,;:()[]");
    }
    if (n)
        qsort(out, n, sizeof *out, by_value);
    return n;
}

double orch__changed_share(const char *before, const char *after)
{
    uint64_t a[WORDS], b[WORDS];
    size_t n = words_of(before, a), m = words_of(after, b), same = 0;
    for (size_t i = 0, j = 0; i < n && j < m;) {
        same += a[i] == b[j];
        if (a[i] == b[j])
            i++, j++;
        else if (a[i] < b[j])
            i++;
        else
            j++;
    }
    return n + m ? 1 - 2 * (double)same / (double)(n + m) : 0;
}

/* Does its text answer the question? */
static bool answers_in(const struct orch_candidate *c)
{
    const char *role = c->node->as->role;
    return c->state == CAND_DONE && c->node->as->kind == FLOW_MODEL && c->text.len &&
           strcmp(role, "critic") != 0 && strcmp(role, "verifier") != 0 &&
           strcmp(role, "guardian") != 0;
}

/* Entropy of the groups that the answers fall into, 1: each says another thing. Two are of one
 * group where D between them is within the threshold of divergence. */
static double disagreement(const struct trace *t, const struct orch_candidate *const *answers,
                           size_t n)
{
    float vectors[SPREAD_ANSWERS][KNOW_DIM];
    size_t group[SPREAD_ANSWERS] = {0}, size[SPREAD_ANSWERS] = {0};
    double entropy = 0;
    if (n < 2)
        return 0;
    for (size_t i = 0; i < n; i++) {
        know_embed(t->orch->rooms.know, answers[i]->text.data, vectors[i]);
        size_t g = 0;
        while (g < i && (group[g] != g ||
                         1 - know_cosine(vectors[i], vectors[g]) > t->orch->limits.divergence))
            g++;
        group[i] = g;
        size[g]++;
    }
    for (size_t g = 0; g < n; g++)
        if (size[g])
            entropy -= (double)size[g] / (double)n * log2((double)size[g] / (double)n);
    return entropy / log2((double)n);
}

/* How much of what a model said it gave up when it was asked once more: samples of a vote, turns of
 * an exchange, a revision. The mean over all such pairs; 0 where none spoke twice. */
static double volatility(const struct trace *t)
{
    double sum = 0;
    size_t pairs = 0;
    for (size_t i = 0; i < t->candidate_count; i++) {
        const struct orch_candidate *c = &t->candidates[i], *before = NULL;
        if (c->revisions) {
            sum += c->gave_up / (double)c->revisions;
            pairs++;
        }
        for (size_t j = 0; j < i && answers_in(c); j++)
            if (t->candidates[j].model == c->model && answers_in(&t->candidates[j]))
                before = &t->candidates[j];
        if (!before)
            continue;
        sum += orch__changed_share(before->text.data, c->text.data);
        pairs++;
    }
    return pairs ? sum / (double)pairs : 0;
}

/* ---- the score */

static json_t *document(const struct trace *t, const double *values, double *score)
{
    const struct conf *c = t->orch->rooms.conf;
    json_t *doc = json_object(), *list = json_array();
    double safe = 1;
    for (size_t i = 0; i < RISK_FEATURES; i++) {
        double weight = conf_num(c, "risk", "", features[i].key);
        json_t *one = json_object();
        weight = weight < 0 ? 0 : weight > 1 ? 1 : weight;
        safe *= 1 - weight * values[i];
        json_puts(one, "name", features[i].name);
        json_put(one, "value", json_real(values[i]));
        json_put(one, "weight", json_real(weight));
        json_put(one, "part", json_real(weight * values[i]));
        json_array_append_new(list, one);
    }
    *score = 1 - safe;
    json_put(doc, "score", json_real(*score));
    json_put(doc, "features", list);
    return doc;
}

static void before(const struct trace *t, double values[RISK_FEATURES])
{
    values[RISK_COMMANDS] = pol_safety_risk(t->question, NULL);
    values[RISK_PERSONAL] = personal(t);
    values[RISK_STAKES] = pol_stakes(t->question);
    values[RISK_INJECTION] = t->injected;
    values[RISK_ANOMALIES] = anomalies(t);
    values[RISK_CHANGE] = change(t);
}

double orch__question_risk(const struct trace *t, json_t **parts)
{
    double values[RISK_FEATURES] = {0}, score;
    before(t, values);
    json_t *doc = document(t, values, &score);
    json_puts(doc, "route", orch__risk_route(t, score));
    json_put(doc, "sandbox", json_boolean(orch__risk_sandbox(t)));
    json_put(t->doc, "risk", json_deep_copy(doc));
    if (parts)
        *parts = doc;
    else
        json_decref(doc);
    return score;
}

void orch__answer_risk(struct trace *t)
{
    const struct orch_candidate *answers[SPREAD_ANSWERS] = {NULL};
    double values[RISK_FEATURES] = {0}, score, first;
    const json_t *earlier = json_object_get(t->doc, "risk");
    size_t n = answers_of(t, answers);
    first = json_num(earlier, "score", 0);
    before(t, values);
    values[RISK_DISAGREEMENT] = disagreement(t, answers, n);
    values[RISK_VOLATILITY] = volatility(t);
    json_t *doc = document(t, values, &score);
    json_put(doc, "before", json_real(first));
    json_puts(doc, "route", json_str(earlier, "route", ""));
    json_put(doc, "sandbox", json_boolean(json_flag(earlier, "sandbox", false)));
    json_put(doc, "person",
             json_boolean(score >= conf_num(t->orch->rooms.conf, "risk", "", "person")));
    json_put(t->doc, "risk", doc);
}

/* May more than one answer come of the flow, so that they can differ? */
static bool several(const struct trace *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->flow->node_count; i++)
        n += t->flow->nodes[i].kind == FLOW_MODEL;
    return n > 1;
}

double orch__risk_most(const struct trace *t)
{
    double values[RISK_FEATURES] = {0}, score;
    before(t, values);
    values[RISK_DISAGREEMENT] = values[RISK_VOLATILITY] = several(t);
    json_decref(document(t, values, &score));
    return score;
}

bool orch__risk_sandbox(const struct trace *t)
{
    double values[RISK_FEATURES] = {0}, score;
    before(t, values);
    json_decref(document(t, values, &score));
    return score >= conf_num(t->orch->rooms.conf, "risk", "", "sandbox");
}

const char *orch__risk_mostly(const json_t *risk)
{
    double most = 0;
    const char *why = "";
    size_t i;
    json_t *f;
    json_array_foreach(json_object_get(risk, "features"), i, f)
    {
        if (json_num(f, "part", 0) > most) {
            most = json_num(f, "part", 0);
            why = json_str(f, "name", "");
        }
    }
    return why;
}

/* ---- routes */

const char *orch__risk_route(const struct trace *t, double score)
{
    const struct conf *c = t->orch->rooms.conf;
    if (score >= conf_num(c, "risk", "", "safe") && *conf_str(c, "risk", "", "safe_model"))
        return "safe";
    if (score >= conf_num(c, "risk", "", "council"))
        return "council";
    return score >= conf_num(c, "risk", "", "critic") ? "critic" : "cheapest";
}

char *orch__risk_noted(const struct trace *t, const char *answer)
{
    const json_t *risk = json_object_get(t->doc, "risk");
    if (!json_flag(risk, "person", false))
        return xstrdup(answer);
    return xasprintf(
        strcmp(t->lang, "ru") == 0
            ? "%s\n\nРиск этого ответа %.2f (больше всего добавляет: %s): решение должен "
              "принять человек."
            : "%s\n\nThe risk of this answer is %.2f (mostly: %s): a person has to "
              "decide.",
        answer, json_num(risk, "score", 0), orch__risk_mostly(risk));
}
