#include "backend/orchestrator/arbitrate.h"
#include "backend/compliance/compliance.h"
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

static double reasoning_signal(const char *text, const struct gw_source *sources, size_t count)
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
        numbers += n;
        for (size_t j = 0; j < n; j++)
            grounded += number_in_source(source, found[j].text);
    }
    if (!considered)
        return 0;
    return 0.5 * (double)with_source / (double)considered +
           (with_source ? 0.3 * (numbers ? (double)grounded / (double)numbers : 1.0) : 0) +
           (tool ? 0.1 : 0) + (runbook ? 0.1 : 0);
}

/* ---- overlap */

static void embed_cited(const struct know *k, const char *text, const struct gw_source *sources,
                        size_t n, float *out)
{
    struct buf all = {0};
    for (size_t i = 0; i < n; i++) {
        if (orch_cites(text, sources[i].id)) {
            buf_adds(&all, sources[i].text);
            buf_addc(&all, '\n');
        }
    }
    know_embed(k, all.len ? all.data : "", out);
    buf_release(&all);
}

/* ---- disputes: aligned sentences of two answers whose numbers differ */

static double jaccard(const char *a, const char *b)
{
    size_t shared = 0, in_a = 0, in_b = 0;
    for (const char *p = b; *p; p += strspn(p, " ")) {
        size_t len = strcspn(p, " ");
        in_b += len > 0;
        p += len;
    }
    for (const char *p = a; *p; p += strspn(p, " ")) {
        size_t len = strcspn(p, " ");
        in_a += len > 0;
        for (const char *q = b; len && *q; q += strspn(q, " ")) {
            size_t other = strcspn(q, " ");
            if (other == len && memcmp(p, q, len) == 0) {
                shared++;
                break;
            }
            q += other;
        }
        p += len;
    }
    size_t all = in_a + in_b - (shared < in_b ? shared : in_b);
    return all ? (double)shared / (double)all : 0;
}

static char *stems_without_numbers(const struct sentence *s)
{
    struct buf words = {0};
    for (size_t i = 0; i < s->len; i++)
        buf_addc(&words, isdigit((unsigned char)s->text[i]) ? ' ' : s->text[i]);
    char *stems = know_stems(words.len ? words.data : "");
    buf_release(&words);
    return stems;
}

static bool numbers_differ(const struct sentence *a, const struct sentence *b)
{
    struct number na[MAX_NUMBERS], nb[MAX_NUMBERS];
    size_t n = numbers_of(a->text, a->len, na, MAX_NUMBERS);
    size_t m = numbers_of(b->text, b->len, nb, MAX_NUMBERS);
    if (!n || !m)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!has_number(nb, m, na[i].text))
            return true;
    }
    return n != m;
}

/* True if every number of the sentence stands in the source that it cites. */
static bool supported(const struct sentence *s, const struct gw_source *sources, size_t count)
{
    const struct gw_source *source = cited(s, sources, count);
    struct number numbers[MAX_NUMBERS];
    size_t n = source ? numbers_of(s->text, s->len, numbers, MAX_NUMBERS) : 0;
    for (size_t i = 0; i < n; i++) {
        if (!number_in_source(source, numbers[i].text))
            return false;
    }
    return source != NULL;
}

static void find_disputes(const struct orch_answer *a, const struct orch_answer *b,
                          const struct gw_source *sources, size_t count, json_t *out)
{
    struct sentences sa = {.n = 0}, sb = {.n = 0};
    know_sentences(a->text, take_sentence, &sa);
    know_sentences(b->text, take_sentence, &sb);
    char *stems[MAX_SENTENCES];
    for (size_t j = 0; j < sb.n; j++)
        stems[j] = stems_without_numbers(&sb.at[j]);
    for (size_t i = 0; i < sa.n && json_array_size(out) < 8; i++) {
        char *mine = stems_without_numbers(&sa.at[i]);
        double best = 0;
        size_t at = 0;
        for (size_t j = 0; j < sb.n; j++) {
            double near = jaccard(mine, stems[j]);
            if (near > best)
                best = near, at = j;
        }
        if (best >= 0.7 && numbers_differ(&sa.at[i], &sb.at[at]) &&
            !(supported(&sa.at[i], sources, count) && supported(&sb.at[at], sources, count))) {
            char *text = xasprintf("%s: %.*s / %s: %.*s", a->model, (int)sa.at[i].len,
                                   sa.at[i].text, b->model, (int)sb.at[at].len, sb.at[at].text);
            json_array_append_new(out, json_text(text, strlen(text)));
            free(text);
        }
        free(mine);
    }
    for (size_t j = 0; j < sb.n; j++)
        free(stems[j]);
}

/* ---- the whole */

static void decide(const struct orch_limits *limits, const struct orch_score *scores, size_t n,
                   float (*embeddings)[KNOW_DIM], struct orch_verdict *v, size_t *second)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++) {
        if (scores[i].composite > scores[best].composite + SAME_COMPOSITE)
            best = i;
    }
    v->winner = (int)best;
    *second = n;
    for (size_t i = 0; i < n; i++) {
        if (i != best && (*second == n || scores[i].composite > scores[*second].composite))
            *second = i;
    }
    if (*second < n) {
        v->D = clamp01(1 - know_cosine(embeddings[best], embeddings[*second]));
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
    for (size_t i = 0; i < n; i++) {
        if ((int)i != v->winner &&
            fabs(scores[i].composite - scores[v->winner].composite) < SAME_COMPOSITE)
            v->equal = (int)i;
    }
    v->answered = scores[v->winner].grounded;
    v->weak = !v->answered || scores[v->winner].composite < limits->composite;
}

/* The part of an answer that is compared: comparing must not hold the loop. */
static char *compared(const char *text)
{
    enum { COMPARED_BYTES = 64 * 1024 };
    size_t len = strnlen(text, COMPARED_BYTES);
    while (text[len] && len && ((unsigned char)text[len] & 0xC0) == 0x80)
        len--; /* not within a character */
    return xstrndup(text, len);
}

static void score_answer(const struct know *k, const char *text, const struct gw_source *sources,
                         size_t source_count, const float *embedding, double to_others,
                         struct orch_score *s)
{
    const char *why = "";
    float grounds[KNOW_DIM];
    *s = (struct orch_score){0};
    s->safety_risk = clamp01(pol_safety_risk(text, &why)); /* of all of it */
    for (size_t b = 0; why[b] && b + 1 < sizeof s->why_risky; b++)
        s->why_risky[b] = why[b];
    char *head = compared(text);
    embed_cited(k, head, sources, source_count, grounds);
    double to_sources = clamp01(know_cosine(embedding, grounds));
    for (size_t j = 0; j < source_count && !s->grounded; j++)
        s->grounded = orch_cites(head, sources[j].id);
    s->overlap = !s->grounded ? 0 : to_others < 0 ? to_sources : (to_sources + to_others) / 2;
    s->reasoning = clamp01(reasoning_signal(head, sources, source_count));
    free(head);
}

void orch_arbitrate(const struct know *k, const struct orch_limits *limits,
                    const struct orch_answer *answers, size_t n, const struct gw_source *sources,
                    size_t source_count, struct orch_score *scores, struct orch_verdict *verdict)
{
    BUG_IF(n > MAX_ANSWERS);
    *verdict = (struct orch_verdict){
        .winner = -1, .D = -1, .S = -1, .equal = -1, .disputed = json_array()};
    if (!n)
        return;
    float(*embeddings)[KNOW_DIM] = xcalloc(n, sizeof *embeddings);
    for (size_t i = 0; i < n; i++) {
        char *head = compared(answers[i].text);
        know_embed(k, head, embeddings[i]);
        free(head);
    }
    for (size_t i = 0; i < n; i++) {
        struct orch_score *s = &scores[i];
        double to_others = n > 1 ? 0 : -1;
        for (size_t j = 0; j < n; j++) {
            if (j != i)
                to_others += clamp01(know_cosine(embeddings[i], embeddings[j])) / (double)(n - 1);
        }
        score_answer(k, answers[i].text, sources, source_count, embeddings[i], to_others, s);
        s->composite = limits->w_semantic * s->overlap + limits->w_safety * (1 - s->safety_risk) +
                       limits->w_reasoning * s->reasoning;
    }
    size_t second;
    decide(limits, scores, n, embeddings, verdict, &second);
    if (second < n)
        find_disputes(&answers[verdict->winner], &answers[second], sources, source_count,
                      verdict->disputed);
    free(embeddings);
}
