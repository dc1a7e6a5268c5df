/* Embedding by feature hashing (Weinberger et al., 2009: Feature Hashing for Large Scale Multitask
 * Learning): each stem gives a feature for itself, one for each idea it stands for, and its
 * character trigrams; a feature adds to one of KNOW_DIM cells with a sign, both from its hash. */
#include "backend/knowledge/internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Shares of a stem's own feature, its ideas together and its trigrams together; the squares of the
 * three give 1. */
static const double STEM = 0.76, IDEA = 0.55, TRIGRAM = 0.35;
/* The whole document's cosine is mixed into its chunks' with this share. */
static const double FILE_SHARE = 0.4;
/* How strongly the words' rarity counts: once in a product of two vectors. */
static const double IDF_POWER = 0.6;
/* A word that an idea only suggests counts as so much of one asked for. */
static const float SUGGESTION = 0.25f;

/* A stem or an idea is spread over several cells, so that one collision does not look like a match;
 * there are so many trigrams that one cell is enough for each. */
enum { CELLS = 4, FEATURES_MAX = CELLS * (1 + KNOW__IDEAS_PER_STEM) + KNOW__WORD_MAX + 2 };
_Static_assert(KNOW_DIM <= 1 << 15, "a cell and a sign come from 16 bits of a hash");

struct feature {
    uint16_t cell;
    float value; /* with its sign */
};

/* Spreads a feature over n cells, n at most 4; the squares of the values add up to that of value.
 */
static size_t spread(char kind, const void *bytes, size_t len, double value, size_t n,
                     struct feature *out)
{
    char key[KNOW__WORD_MAX + 2] = {kind};
    memcpy(key + 1, bytes, len);
    uint64_t h = know__hash(key, len + 1);
    h ^= h >> 29; /* the low bits of FNV-1a alone are weak for short keys */
    h *= 0xBF58476D1CE4E5B9u;
    h ^= h >> 32;
    float each = (float)(value / sqrt((double)n));
    for (size_t i = 0; i < n; i++) {
        uint64_t part = h >> 16 * i;
        out[i] =
            (struct feature){(uint16_t)(part % KNOW_DIM), (part >> 15 & 1) != 0 ? each : -each};
    }
    return n;
}

/* Trigrams of characters of "^stem$"; stems are valid UTF-8. */
static size_t trigrams(const char *stem, size_t len, struct feature *out)
{
    char s[KNOW__WORD_MAX + 2];
    size_t at[KNOW__WORD_MAX + 3], n = 0;
    s[0] = '^';
    memcpy(s + 1, stem, len);
    s[len + 1] = '$';
    for (size_t i = 0; i < len + 2; i++)
        if (((unsigned char)s[i] & 0xC0) != 0x80)
            at[n++] = i;
    at[n] = len + 2;
    if (n < 4)
        return 0; /* the stem itself says as much */
    size_t count = n - 2;
    double value = TRIGRAM / sqrt((double)count);
    for (size_t i = 0; i < count; i++)
        spread('t', s + at[i], at[i + 3] - at[i], value, 1, out + i);
    return count;
}

static size_t features(const struct know__ideas *ideas, const char *stem, size_t len,
                       struct feature out[FEATURES_MAX])
{
    size_t n = 0, count = 0;
    n += spread('w', stem, len, STEM, CELLS, out);
    const int16_t *same = know__ideas_of(ideas, stem, len);
    while (same != NULL && count < KNOW__IDEAS_PER_STEM && same[count] >= 0)
        count++;
    for (size_t i = 0; i < count; i++)
        n += spread('i', &same[i], sizeof same[i], IDEA / sqrt((double)count), CELLS, out + n);
    return n + trigrams(stem, len, out + n);
}

static void normalise(float v[KNOW_DIM])
{
    double sum = 0;
    for (int i = 0; i < KNOW_DIM; i++)
        sum += (double)v[i] * v[i];
    if (sum <= 0)
        return;
    float by = (float)(1 / sqrt(sum));
    for (int i = 0; i < KNOW_DIM; i++)
        v[i] *= by;
}

static struct know__vector quantise(const float v[KNOW_DIM])
{
    struct know__vector q = {0};
    float largest = 0;
    for (int i = 0; i < KNOW_DIM; i++) {
        float size = fabsf(v[i]);
        largest = size > largest ? size : largest;
    }
    if (largest <= 0)
        return q;
    q.scale = largest / 127;
    float by = 127 / largest;
    for (int i = 0; i < KNOW_DIM; i++) /* rounded by hand: lrintf is a call each */
        q.cells[i] = (int8_t)(v[i] * by + copysignf(0.5f, v[i]));
    return q;
}

static double weight(double tf, double idf)
{
    return log2(1 + tf) * pow(idf, IDF_POWER);
}

void know__vector_build(struct know *k)
{
    size_t stems = k->stems.count;
    size_t *start = xcalloc(stems + 1, sizeof *start);
    struct feature *all = NULL;
    size_t len = 0, cap = 0;
    float *rarity = xcalloc(stems + 1, sizeof *rarity);
    for (uint32_t s = 0; s < stems && !know__stopped(k); s++) {
        if (len + FEATURES_MAX > cap) {
            cap = (len + FEATURES_MAX) * 2;
            all = xrealloc(all, cap * sizeof *all);
        }
        size_t n;
        const char *stem = know__map_name(&k->stems, s, &n);
        start[s] = len;
        len += features(&k->ideas, stem, n, all + len);
        rarity[s] = (float)pow(k->idf[s], IDF_POWER);
    }
    start[stems] = len;
    k->chunk_vectors = xcalloc(k->chunk_count + 1, sizeof *k->chunk_vectors);
    k->file_vectors = xcalloc(k->file_count + 1, sizeof *k->file_vectors);
    for (size_t f = 0; f < k->file_count && !know__stopped(k); f++) {
        float whole[KNOW_DIM] = {0};
        for (size_t c = k->files[f].first; c < k->files[f].first + k->files[f].chunks; c++) {
            float v[KNOW_DIM] = {0};
            for (size_t i = k->count_start[c]; i < k->count_start[c + 1]; i++) {
                uint32_t s = k->counts[i].stem;
                float w = log2f(1 + k->counts[i].tf) * rarity[s];
                for (size_t j = start[s]; j < start[s + 1]; j++)
                    v[all[j].cell] += w * all[j].value;
            }
            normalise(v);
            k->chunk_vectors[c] = quantise(v);
            for (int i = 0; i < KNOW_DIM; i++)
                whole[i] += v[i];
        }
        normalise(whole);
        k->file_vectors[f] = quantise(whole);
    }
    free(start);
    free(all);
    free(rarity);
}

struct bag {
    struct know__map stems;
    float *tf;
    size_t cap;
};

static void bag_add(struct bag *b, const char *stem, size_t len, float tf)
{
    uint32_t id = know__map_put(&b->stems, stem, len);
    if (id >= b->cap) {
        size_t cap = ((size_t)id + 1) * 2;
        b->tf = xrealloc(b->tf, cap * sizeof *b->tf);
        memset(b->tf + b->cap, 0, (cap - b->cap) * sizeof *b->tf);
        b->cap = cap;
    }
    b->tf[id] += tf;
}

static void bag_stem(void *arg, const char *stem, size_t len)
{
    bag_add(arg, stem, len, 1);
}

static void embed_bag(const struct know *k, const struct know__ideas *ideas, const struct bag *bag,
                      float out[KNOW_DIM])
{
    memset(out, 0, KNOW_DIM * sizeof *out);
    for (uint32_t s = 0; s < bag->stems.count; s++) {
        size_t len;
        const char *stem = know__map_name(&bag->stems, s, &len);
        struct feature list[FEATURES_MAX];
        size_t n = features(ideas, stem, len, list);
        float w = (float)weight(bag->tf[s], know__idf(k, stem, len));
        for (size_t i = 0; i < n; i++)
            out[list[i].cell] += w * list[i].value;
    }
    normalise(out);
}

static void embed(const struct know *k, const struct know__ideas *ideas,
                  struct know__stemmer *stemmer, const char *text, float out[KNOW_DIM])
{
    struct bag bag = {0};
    know__stems(stemmer, text, strlen(text), bag_stem, &bag);
    embed_bag(k, ideas, &bag, out);
    know__map_release(&bag.stems);
    free(bag.tf);
}

/* Adds to a question what its ideas suggest to look at, lightly. */
static void suggest(const struct know__ideas *ideas, struct bag *bag)
{
    size_t asked = bag->stems.count;
    for (uint32_t s = 0; s < asked; s++) {
        size_t len;
        const char *stem = know__map_name(&bag->stems, s, &len);
        const int16_t *same = know__ideas_of(ideas, stem, len);
        for (int i = 0; same != NULL && i < KNOW__IDEAS_PER_STEM && same[i] >= 0; i++) {
            for (const uint32_t *r = ideas->related[same[i]]; *r != KNOW__NONE; r++) {
                const char *other = know__map_name(&ideas->stems, *r, &len);
                bag_add(bag, other, len, SUGGESTION);
            }
        }
    }
}

void know__fit_vector(const struct know *k, const struct know__ideas *ideas,
                      struct know__stemmer *stemmer, const char *question,
                      const char *const *descriptions, size_t n, double *out)
{
    float asked[KNOW_DIM], described[KNOW_DIM];
    struct bag bag = {0};
    know__stems(stemmer, question, strlen(question), bag_stem, &bag);
    suggest(ideas, &bag);
    embed_bag(k, ideas, &bag, asked);
    for (size_t d = 0; d < n; d++) {
        embed(k, ideas, stemmer, descriptions[d], described);
        out[d] = fmax(0, know_cosine(asked, described));
    }
    know__map_release(&bag.stems);
    free(bag.tf);
}

void know_embed(const struct know *k, const char *text, float out[KNOW_DIM])
{
    struct know__stemmer stemmer;
    know__stemmer_init(&stemmer);
    struct know__ideas own = {0};
    if (k == NULL)
        know__ideas_init(&own, &stemmer);
    embed(k, k == NULL ? &own : &k->ideas, &stemmer, text, out);
    know__ideas_release(&own);
    know__stemmer_release(&stemmer);
}

double know_cosine(const float *a, const float *b)
{
    double ab = 0, aa = 0, bb = 0;
    for (int i = 0; i < KNOW_DIM; i++) {
        ab += (double)a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += (double)b[i] * b[i];
    }
    if (aa <= 0 || bb <= 0)
        return 0;
    return fmax(-1, fmin(1, ab / sqrt(aa * bb)));
}

static double dot(const struct know__vector *v, const int16_t query[KNOW_DIM])
{
    int32_t sum = 0;
    for (int i = 0; i < KNOW_DIM; i++)
        sum += (int32_t)v->cells[i] * query[i];
    return (double)sum * v->scale;
}

void know__vector_scores(const struct know *k, const char *question, double *scores)
{
    static const double ONE = 8191; /* the question's cells are 14-bit: |sum| stays below 2^31 */
    float q[KNOW_DIM];
    int16_t cells[KNOW_DIM];
    know_embed(k, question, q);
    for (int i = 0; i < KNOW_DIM; i++)
        cells[i] = (int16_t)lrint(q[i] * ONE);
    for (size_t f = 0; f < k->file_count; f++) {
        double file = dot(&k->file_vectors[f], cells) / ONE;
        for (size_t c = k->files[f].first; c < k->files[f].first + k->files[f].chunks; c++)
            scores[c] =
                (1 - FILE_SHARE) * dot(&k->chunk_vectors[c], cells) / ONE + FILE_SHARE * file;
    }
}
