/* Two texts' claims, each with its counterpart. */
#include "backend/orchestrator/claims.h"
#include "backend/orchestrator/claims_internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const claims_verdict_names[] = {
    [CLAIMS_AGREES] = "agrees", [CLAIMS_CONTRADICTS] = "contradicts",   [CLAIMS_ONLY_A] = "only A",
    [CLAIMS_ONLY_B] = "only B", [CLAIMS_UNDETERMINED] = "undetermined",
};

/* Below this two claims have nothing to do with each other. */
static const double LEAST_NEAR = 0.34;

/* ---- the best assignment of n rows to m columns, n <= m: the Hungarian method with potentials.
 * cost is n by m; to[row] gets its column. */
static void assign(const double *cost, size_t n, size_t m, int *to)
{
    enum { MOST = CLAIMS__CLAIMS + 1 };
    double u[MOST] = {0}, v[MOST] = {0}, least[MOST];
    size_t row_of[MOST] = {0}, way[MOST] = {0};
    bool used[MOST];
    for (size_t i = 1; i <= n; i++) {
        size_t j0 = 0;
        row_of[0] = i;
        for (size_t j = 0; j <= m; j++)
            least[j] = INFINITY, used[j] = false;
        do {
            used[j0] = true;
            size_t i0 = row_of[j0], j1 = 0;
            double delta = INFINITY;
            for (size_t j = 1; j <= m; j++) {
                if (used[j])
                    continue;
                double now = cost[(i0 - 1) * m + j - 1] - u[i0] - v[j];
                if (now < least[j])
                    least[j] = now, way[j] = j0;
                if (least[j] < delta)
                    delta = least[j], j1 = j;
            }
            for (size_t j = 0; j <= m; j++) {
                if (used[j])
                    u[row_of[j]] += delta, v[j] -= delta;
                else
                    least[j] -= delta;
            }
            j0 = j1;
        } while (row_of[j0]);
        do {
            size_t j1 = way[j0];
            row_of[j0] = row_of[j1];
            j0 = j1;
        } while (j0);
    }
    for (size_t j = 1; j <= m; j++)
        if (row_of[j])
            to[row_of[j] - 1] = (int)j - 1;
}

/* ---- how near claims are */

/* The vector of a claim, made when it is asked for. */
struct vector {
    float *cells; /* or NULL */
};

static const float *vector_of(struct vector *v, const struct know *k, const struct claims *c,
                              size_t i)
{
    if (!v[i].cells) {
        size_t len;
        const char *s = claims_text(c, i, &len);
        char *text = xstrndup(s, len);
        v[i].cells = xcalloc(KNOW_DIM, sizeof *v[i].cells);
        know_embed(k, text, v[i].cells);
        free(text);
    }
    return v[i].cells;
}

static void vectors_free(struct vector *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(v[i].cells);
    free(v);
}

struct meeting { /* of two texts */
    const struct claims *a, *b;
    struct claims__judged *judged; /* a->count by b->count */
    double *near;                  /* likewise */
};

static struct claims__judged *judged(const struct meeting *m, size_t i, size_t j)
{
    return &m->judged[i * m->b->count + j];
}

/* Claims that share too few words with all others may still mean the same: by their vectors. */
static void near_by_vectors(struct meeting *m, const struct know *k)
{
    size_t n = m->a->count, w = m->b->count;
    double *best_a = xcalloc(n + 1, sizeof *best_a), *best_b = xcalloc(w + 1, sizeof *best_b);
    struct vector *va = xcalloc(n + 1, sizeof *va), *vb = xcalloc(w + 1, sizeof *vb);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < w; j++) {
            best_a[i] = fmax(best_a[i], m->near[i * w + j]);
            best_b[j] = fmax(best_b[j], m->near[i * w + j]);
        }
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < w && best_a[i] < LEAST_NEAR; j++)
            if (best_b[j] < LEAST_NEAR)
                m->near[i * w + j] =
                    know_cosine(vector_of(va, k, m->a, i), vector_of(vb, k, m->b, j));
    free(best_a);
    free(best_b);
    vectors_free(va, n);
    vectors_free(vb, w);
}

static void judge_all(struct meeting *m, const struct know *k)
{
    bool many = m->a->count > 1 || m->b->count > 1;
    for (size_t i = 0; i < m->a->count; i++) {
        for (size_t j = 0; j < m->b->count; j++) {
            struct claims__judged *x = judged(m, i, j);
            if (!claims__may_share(&m->a->claims[i], &m->b->claims[j]) &&
                !claims__same_text(m->a, i, m->b, j)) {
                *x = (struct claims__judged){.verdict = CLAIMS_UNDETERMINED, .score = 1};
                continue;
            }
            claims__judge(m->a, i, m->b, j, x);
            if (many && x->verdict == CLAIMS_CONTRADICTS &&
                (x->score <= CLAIMS__GUESS || x->about < CLAIMS__ABOUT_ONE))
                x->verdict = CLAIMS_UNDETERMINED;
            m->near[i * m->b->count + j] =
                x->near + (x->verdict != CLAIMS_UNDETERMINED ? 0.5 * x->score : 0);
        }
    }
    if (k && many)
        near_by_vectors(m, k);
}

static void assign_all(const struct meeting *m, int *to)
{
    size_t n = m->a->count, w = m->b->count;
    bool wide = n <= w;
    size_t rows = wide ? n : w, columns = wide ? w : n;
    double *cost = xcalloc(rows * columns + 1, sizeof *cost);
    int *found = xcalloc(rows + 1, sizeof *found);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < w; j++)
            cost[wide ? i * columns + j : j * columns + i] = -m->near[i * w + j];
    for (size_t i = 0; i < n; i++)
        to[i] = -1;
    if (rows)
        assign(cost, rows, columns, found);
    for (size_t k = 0; k < rows; k++)
        to[wide ? k : (size_t)found[k]] = wide ? found[k] : (int)k;
    free(cost);
    free(found);
}

/* ---- the result */

static void add_pair(struct claims_result *out, int a, int b, const struct claims__judged *x,
                     enum claims_verdict verdict)
{
    struct claims_pair *p = &out->pairs[out->count++];
    *p = (struct claims_pair){.a = a, .b = b, .verdict = verdict, .score = x ? x->score : 1};
    if (x && verdict == CLAIMS_CONTRADICTS)
        memcpy(p->why, x->why, sizeof p->why);
}

/* The counterpart of a claim that the assignment left alone: one that says it or denies it. */
static int counterpart(const struct meeting *m, size_t at, bool of_a)
{
    size_t count = of_a ? m->b->count : m->a->count;
    int best = -1;
    for (size_t k = 0; k < count; k++) {
        const struct claims__judged *x = of_a ? judged(m, at, k) : judged(m, k, at);
        const struct claims__judged *y = best < 0 ? NULL
                                         : of_a   ? judged(m, at, (size_t)best)
                                                  : judged(m, (size_t)best, at);
        if (x->verdict != CLAIMS_UNDETERMINED && (!y || x->score > y->score))
            best = (int)k;
    }
    return best;
}

static void conclude(struct claims_result *out)
{
    double agreed = 0, sum = 0, against = 0, compared = 0;
    for (size_t i = 0; i < out->count; i++) {
        const struct claims_pair *p = &out->pairs[i];
        if (p->verdict == CLAIMS_CONTRADICTS && p->score > against)
            against = p->score;
        if (p->verdict == CLAIMS_AGREES)
            agreed++, sum += p->score;
        if (p->a >= 0 && p->b >= 0)
            compared++;
    }
    out->verdict = CLAIMS_UNDETERMINED;
    out->score = 0.5;
    if (against > 0) {
        out->verdict = CLAIMS_CONTRADICTS;
        out->score = against;
    } else if (agreed > 0 && agreed * 2 >= compared) {
        out->verdict = CLAIMS_AGREES;
        out->score = sum / agreed;
    }
}

void claims_compare(const struct know *k, const struct claims *a, const struct claims *b,
                    struct claims_result *out)
{
    size_t n = a->count, w = b->count;
    struct meeting m = {.a = a, .b = b};
    m.judged = xcalloc(n * w + 1, sizeof *m.judged);
    m.near = xcalloc(n * w + 1, sizeof *m.near);
    int *to = xcalloc(n + 1, sizeof *to);
    bool *met = xcalloc(w + 1, sizeof *met);
    *out = (struct claims_result){.pairs = xcalloc(n + w + 1, sizeof *out->pairs)};
    judge_all(&m, k);
    assign_all(&m, to);
    for (size_t i = 0; i < n; i++) {
        int j = to[i];
        if (j < 0 || judged(&m, i, (size_t)j)->verdict == CLAIMS_UNDETERMINED) {
            int other = counterpart(&m, i, true);
            j = other >= 0 ? other : j;
        }
        if (j < 0 || m.near[i * w + (size_t)j] < LEAST_NEAR) {
            add_pair(out, (int)i, -1, NULL, CLAIMS_ONLY_A);
            continue;
        }
        met[j] = true;
        add_pair(out, (int)i, j, judged(&m, i, (size_t)j), judged(&m, i, (size_t)j)->verdict);
    }
    for (size_t j = 0; j < w; j++) {
        if (met[j])
            continue;
        int i = counterpart(&m, j, false);
        add_pair(out, i, (int)j, i < 0 ? NULL : judged(&m, (size_t)i, j),
                 i < 0 ? CLAIMS_ONLY_B : judged(&m, (size_t)i, j)->verdict);
    }
    conclude(out);
    free(m.judged);
    free(m.near);
    free(to);
    free(met);
}

void claims_result_release(struct claims_result *r)
{
    free(r->pairs);
    *r = (struct claims_result){0};
}

static json_t *claim_json(const struct claims *c, int i)
{
    if (i < 0)
        return json_null();
    size_t len;
    const char *s = claims_text(c, (size_t)i, &len);
    return json_text(s, len);
}

json_t *claims_result_json(const struct claims *a, const struct claims *b,
                           const struct claims_result *r)
{
    json_t *out = json_object(), *list = json_array();
    json_puts(out, "verdict", claims_verdict_names[r->verdict]);
    json_put(out, "score", json_real(round(r->score * 1000) / 1000));
    for (size_t i = 0; i < r->count; i++) {
        const struct claims_pair *p = &r->pairs[i];
        json_t *pair = json_object();
        json_put(pair, "a", claim_json(a, p->a));
        json_put(pair, "b", claim_json(b, p->b));
        json_puts(pair, "verdict", claims_verdict_names[p->verdict]);
        json_put(pair, "score", json_real(round(p->score * 1000) / 1000));
        json_put(pair, "why", json_text(p->why, strlen(p->why)));
        json_array_append_new(list, pair);
    }
    json_put(out, "claims", list);
    return out;
}

/* ---- grounding */

/* Whether a claim of the source tells of the same thing what is left of a hundred. */
static bool rest_stands(const struct claims *c, size_t i, const struct claims__number *n,
                        const struct claims *source)
{
    for (size_t j = 0; j < source->count && n->unit == CLAIMS__PERCENT; j++) {
        const struct claims__claim *k = &source->claims[j];
        for (uint32_t m = 0; m < k->numbers; m++)
            if (claims__numbers_complement(n, &source->numbers[k->number + m]) &&
                claims__parts(c, i, source, j))
                return true;
    }
    return false;
}

/* Whether a claim's number stands in the source, in any of its claims. */
static bool number_stands(const struct claims__number *n, const struct claims *source)
{
    for (size_t i = 0; i < source->number_count; i++)
        if (claims__numbers_comparable(n, &source->numbers[i]) &&
            claims__numbers_equal(n, &source->numbers[i]))
            return true;
    return false;
}

bool claims_assessable(const struct claims *c, size_t i)
{
    BUG_IF(i >= c->count);
    const struct claims__claim *k = &c->claims[i];
    size_t words = 0;
    for (uint32_t t = 0; t < k->tokens; t++)
        words += claims__weight(&c->tokens[k->token + t]) >= 1;
    return !k->open && !k->self && (words >= 2 || (words && k->numbers));
}

static bool name_stands(const struct claims__token *t, const struct claims *source)
{
    for (size_t i = 0; i < source->token_count; i++)
        if (source->tokens[i].hash == t->hash)
            return true;
    return false;
}

void claims_support(const struct claims *c, size_t i, const struct claims *source,
                    struct claims_support *out)
{
    BUG_IF(i >= c->count);
    const struct claims__claim *k = &c->claims[i];
    *out = (struct claims_support){.covered = 0};
    for (uint32_t n = 0; n < k->numbers; n++) {
        const struct claims__number *number = &c->numbers[k->number + n];
        if (c->tokens[k->token + number->token].kind != CLAIMS__NUMBER)
            continue;
        out->numbers++;
        out->met += number_stands(number, source) || rest_stands(c, i, number, source);
    }
    for (uint32_t t = 0; t < k->tokens; t++) {
        if (c->tokens[k->token + t].kind != CLAIMS__NAME)
            continue;
        out->numbers++;
        out->met += name_stands(&c->tokens[k->token + t], source);
    }
    bool agrees = false;
    double against = 0, most = 0;
    size_t best = 0;
    for (size_t j = 0; j < source->count; j++) {
        if (!claims__may_share(k, &source->claims[j]))
            continue;
        struct claims__judged x;
        claims__judge(c, i, source, j, &x);
        if (x.met > most)
            most = x.met, best = j;
        agrees = agrees || x.verdict == CLAIMS_AGREES;
        if (x.verdict == CLAIMS_CONTRADICTS && x.score > against && x.about >= CLAIMS__ABOUT_ONE) {
            against = x.score;
            out->against = j;
            memcpy(out->why, x.why, sizeof out->why);
        }
    }
    if (most > 0)
        out->covered = claims__cover(c, i, source, best);
    out->contradicted = !agrees && against >= 0.7;
    if (!out->contradicted)
        out->why[0] = 0;
}
