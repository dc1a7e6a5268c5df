#include "backend/orchestrator/arbitrate.h"
#include "backend/compliance/compliance.h"
#include "backend/orchestrator/disputes.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Composites nearer than this are the same: what differs is rounding. */
static const double SAME_COMPOSITE = 1e-9;

enum { MAX_ANSWERS = 8, MAX_SENTENCES = 64, MAX_NUMBERS = 16 };

static double clamp01(double x)
{
    return x < 0 || isnan(x) ? 0 : x > 1 ? 1 : x;
}

bool orch_cites(const char *text, const char *id)
{
    size_t len = strlen(id);
    for (const char *p = strchr(text, '['); p; p = strchr(p + 1, '[')) {
        if (strncmp(p + 1, id, len) == 0 && p[1 + len] == ']')
            return true;
    }
    return false;
}

/* ---- numbers in a sentence: as written, with a decimal comma read as a point */

struct number {
    char text[24];
};

static size_t numbers_of(const char *s, size_t len, struct number *out, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < len && n < max;) {
        if (!isdigit((unsigned char)s[i])) {
            i++;
            continue;
        }
        bool citation = i > 0 && s[i - 1] == '[';
        size_t used = 0;
        while (i < len &&
               (isdigit((unsigned char)s[i]) || ((s[i] == '.' || s[i] == ',') && i + 1 < len &&
                                                 isdigit((unsigned char)s[i + 1])))) {
            if (used + 1 < sizeof out[n].text)
                out[n].text[used++] = s[i] == ',' ? '.' : s[i];
            i++;
        }
        out[n].text[used] = 0;
        if (!citation)
            n++;
    }
    return n;
}

static bool has_number(const struct number *numbers, size_t n, const char *wanted)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(numbers[i].text, wanted) == 0)
            return true;
    }
    return false;
}

/* ---- sentences */

struct sentence {
    const char *text;
    size_t len;
};
struct sentences {
    struct sentence at[MAX_SENTENCES];
    size_t n;
};

static void take_sentence(void *arg, const char *text, size_t len)
{
    struct sentences *all = arg;
    if (all->n < MAX_SENTENCES && len > 2)
        all->at[all->n++] = (struct sentence){text, len};
}

/* The source that a sentence cites first, NULL if none that exists. */
static const struct gw_source *cited(const struct sentence *s, const struct gw_source *sources,
                                     size_t n)
{
    char *copy = xstrndup(s->text, s->len);
    const struct gw_source *found = NULL;
    for (size_t i = 0; i < n && !found; i++) {
        if (orch_cites(copy, sources[i].id))
            found = &sources[i];
    }
    free(copy);
    return found;
}

static bool number_in_source(const struct gw_source *s, const char *wanted)
{
    struct number numbers[256];
    size_t n = numbers_of(s->text, strlen(s->text), numbers, 256);
    if (has_number(numbers, n, wanted))
        return true;
    if (!s->data)
        return false;
    char *data = json_write(s->data);
    n = numbers_of(data, strlen(data), numbers, 256);
    bool found = has_number(numbers, n, wanted);
    free(data);
    return found;
}

static double reasoning_signal(const struct orch_reading *r, const char *text,
                               const struct gw_source *sources, size_t count)
{
    struct sentences all = {.n = 0};
    know_sentences(text, take_sentence, &all);
    size_t with_source = 0, numbers = 0, grounded = 0, considered = 0;
    bool tool = false, runbook = false;
    for (size_t i = 0; i < all.n; i++) {
        const struct sentence *s = &all.at[i];
        if (s->text[0] == '#' || s->text[s->len - 1] == ':')
            continue; /* a heading, or the line that leads in a list */
        considered++;
        const struct gw_source *source = cited(s, sources, count);
        if (!source)
            continue;
        with_source++;
        tool = tool || strcmp(source->kind, "tool") == 0;
        runbook = runbook || strcmp(source->kind, "runbook") == 0;
        struct number found[MAX_NUMBERS];
        size_t n = numbers_of(s->text, s->len, found, MAX_NUMBERS);
        size_t stand = 0;
        for (size_t j = 0; j < n; j++)
            stand += number_in_source(source, found[j].text);
        if (stand < n && orch_reading_number(r, (size_t)(source - sources), s->text, s->len))
            stand = n; /* in another unit */
        numbers += n;
        grounded += stand;
    }
    if (!considered)
        return 0;
    return 0.5 * (double)with_source / (double)considered +
           (with_source ? 0.3 * (numbers ? (double)grounded / (double)numbers : 1.0) : 0) +
           (tool ? 0.1 : 0) + (runbook ? 0.1 : 0);
}

/* ---- overlap */

char *orch_cited(const char *text, const struct gw_source *sources, size_t n)
{
    struct buf all = {0};
    for (size_t i = 0; i < n; i++) {
        if (orch_cites(text, sources[i].id)) {
            buf_adds(&all, sources[i].text);
            buf_addc(&all, '\n');
        }
    }
    return buf_take(&all);
}

/* ---- vectors: those that came with the answers, or the built-in ones */

struct vectors {
    const float *answer[MAX_ANSWERS], *grounds[MAX_ANSWERS];
    size_t dimensions;
    float *own; /* or NULL */
};

static double cosine(const float *a, const float *b, size_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        ab += (double)a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += (double)b[i] * b[i];
    }
    return aa > 0 && bb > 0 ? clamp01(ab / sqrt(aa * bb)) : 0;
}

static void vectors_of(const struct know *k, const struct orch_vectors *given,
                       const struct orch_answer *answers, size_t n, const struct gw_source *sources,
                       size_t source_count, struct vectors *v)
{
    *v = (struct vectors){.dimensions = 0};
    for (size_t i = 0; given && i < n; i++) {
        v->answer[i] = given->answers[i];
        v->grounds[i] = given->grounds[i];
        v->dimensions = given->dimensions;
    }
    if (given)
        return;
    v->dimensions = KNOW_DIM;
    v->own = xcalloc(2 * n, KNOW_DIM * sizeof *v->own);
    for (size_t i = 0; i < n; i++) {
        float *of = v->own + 2 * i * KNOW_DIM;
        char *head = orch_compared(answers[i].text);
        char *cites = orch_cited(head, sources, source_count);
        know_embed(k, head, of);
        know_embed(k, cites, of + KNOW_DIM);
        v->answer[i] = of;
        v->grounds[i] = of + KNOW_DIM;
        free(head);
        free(cites);
    }
}

/* ---- the whole */

static size_t highest(const struct orch_score *scores, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++) {
        if (scores[i].composite > scores[best].composite + SAME_COMPOSITE)
            best = i;
    }
    return best;
}

/* The best of those that cite a source and that no tool's result refutes; n: there is none. */
static size_t highest_standing(const struct orch_score *scores, size_t n)
{
    size_t best = n;
    for (size_t i = 0; i < n; i++) {
        if (scores[i].grounded && !scores[i].refuted &&
            (best == n || scores[i].composite > scores[best].composite + SAME_COMPOSITE))
            best = i;
    }
    return best;
}

static void decide(const struct orch_limits *limits, const struct orch_score *scores, size_t n,
                   const struct vectors *vectors, struct orch_verdict *v, size_t *second)
{
    size_t best = highest(scores, n), standing = highest_standing(scores, n);
    if (scores[best].refuted && standing < n) {
        v->outranked = (int)best;
        best = standing;
    }
    v->winner = (int)best;
    *second = n;
    for (size_t i = 0; i < n; i++) {
        if (i != best && (*second == n || scores[i].composite > scores[*second].composite))
            *second = i;
    }
    if (*second < n) {
        v->D = 1 - cosine(vectors->answer[best], vectors->answer[*second], vectors->dimensions);
        v->S = fabs(scores[best].safety_risk - scores[*second].safety_risk);
        if (v->S > limits->safety_gap) {
            v->safer = true;
            if (scores[*second].safety_risk < scores[best].safety_risk) {
                v->winner = (int)*second;
                *second = best;
            }
        } else {
            bool any = scores[best].grounded || scores[*second].grounded;
            v->diverges = any && v->D > limits->divergence;
        }
    }
    if (v->safer)
        v->outranked = -1;
    for (size_t i = 0; i < n; i++) {
        if ((int)i != v->winner && (int)i != v->outranked &&
            fabs(scores[i].composite - scores[v->winner].composite) < SAME_COMPOSITE)
            v->equal = (int)i;
    }
    v->answered = scores[v->winner].grounded;
    v->weak = !v->answered || scores[v->winner].composite < limits->composite;
}

/* Comparing must not hold the loop. */
char *orch_compared(const char *text)
{
    enum { COMPARED_BYTES = 64 * 1024 };
    size_t len = strnlen(text, COMPARED_BYTES);
    while (text[len] && len && ((unsigned char)text[len] & 0xC0) == 0x80)
        len--; /* not within a character */
    return xstrndup(text, len);
}

static void score_answer(const struct orch_reading *r, size_t at, const char *text,
                         const struct gw_source *sources, size_t source_count,
                         const struct vectors *vectors, size_t n, struct orch_score *s)
{
    const char *why = "";
    *s = (struct orch_score){0};
    s->safety_risk = clamp01(pol_safety_risk(text, &why)); /* of all of it */
    for (size_t b = 0; why[b] && b + 1 < sizeof s->why_risky; b++)
        s->why_risky[b] = why[b];
    double to_others = n > 1 ? 0 : -1;
    for (size_t j = 0; j < n; j++) {
        if (j != at)
            to_others += cosine(vectors->answer[at], vectors->answer[j], vectors->dimensions) /
                         (double)(n - 1);
    }
    double to_sources = cosine(vectors->answer[at], vectors->grounds[at], vectors->dimensions);
    char *head = orch_compared(text);
    for (size_t j = 0; j < source_count && !s->grounded; j++)
        s->grounded = orch_cites(head, sources[j].id);
    s->overlap = !s->grounded ? 0 : to_others < 0 ? to_sources : (to_sources + to_others) / 2;
    s->reasoning = clamp01(reasoning_signal(r, head, sources, source_count));
    free(head);
    size_t claims;
    s->refuted = orch_reading_refuted(r, at, &claims, s->why_refuted);
    if (s->refuted)
        s->reasoning *= 1 - (double)s->refuted / (double)claims;
}

void orch_arbitrate(const struct know *k, const struct orch_limits *limits,
                    const struct orch_answer *answers, size_t n, const struct gw_source *sources,
                    size_t source_count, struct orch_score *scores, struct orch_verdict *verdict)
{
    BUG_IF(n > MAX_ANSWERS);
    *verdict = (struct orch_verdict){.winner = -1,
                                     .D = -1,
                                     .S = -1,
                                     .equal = -1,
                                     .outranked = -1,
                                     .disputed = json_array(),
                                     .claims = json_array()};
    if (!n)
        return;
    struct vectors vectors;
    vectors_of(k, limits->vectors, answers, n, sources, source_count, &vectors);
    struct orch_reading *r = orch_reading_new(limits->claims, k, answers, n, sources, source_count);
    for (size_t i = 0; i < n; i++) {
        struct orch_score *s = &scores[i];
        score_answer(r, i, answers[i].text, sources, source_count, &vectors, n, s);
        s->composite = limits->w_semantic * s->overlap + limits->w_safety * (1 - s->safety_risk) +
                       limits->w_reasoning * s->reasoning;
    }
    size_t second;
    decide(limits, scores, n, &vectors, verdict, &second);
    for (size_t i = 0; i < n; i++) {
        if ((int)i != verdict->winner)
            orch_reading_compare(r, (size_t)verdict->winner, i, verdict->claims, verdict->disputed);
    }
    orch_reading_free(r);
    free(vectors.own);
}
