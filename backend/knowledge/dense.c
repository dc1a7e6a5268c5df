/* Vectors of passages that an embedding model made. Kept in eight bits a cell; the mean of all
 * passages is taken off when it is searched by, because such models' vectors have much in common
 * whatever the text (Mu, Viswanath 2018: All-but-the-Top), which would make all cosines alike. */
#include "backend/knowledge/internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* How far from the question's usual cosine with a passage one has to stand to count as found, in
 * standard deviations. */
static const double APART = 2;

/* Of fewer passages neither their mean nor their spread says anything: there this cosine counts. */
enum { FEW = 16, DIMENSIONS_MAX = 16384 };
static const double FEW_FLOOR = 0.2;

struct know_dense {
    const struct know *k;
    size_t dimensions; /* 0: not known yet */
    int8_t *cells;     /* of each passage, one behind the other */
    float *scale;      /* a passage's vector is its cells times this; 0: there is none */
    size_t missing;
    float *mean; /* of all passages, zero if they are few; NULL: to be computed, with this: */
    float *rest; /* one over a passage's length without the mean; 0: it is nothing but the mean */
};

struct know_dense *know_dense_new(const struct know *k)
{
    struct know_dense *d = xcalloc(1, sizeof *d);
    *d = (struct know_dense){.k = k, .missing = k->chunk_count};
    d->scale = xcalloc(k->chunk_count + 1, sizeof *d->scale);
    return d;
}

void know_dense_free(struct know_dense *d)
{
    if (!d)
        return;
    free(d->cells);
    free(d->scale);
    free(d->mean);
    free(d->rest);
    free(d);
}

size_t know_dense_missing(const struct know_dense *d)
{
    return d->missing;
}

size_t know_dense_length(const struct know_dense *d)
{
    return d->dimensions;
}

bool know_dense_has(const struct know_dense *d, unsigned id)
{
    BUG_IF(id >= d->k->chunk_count);
    return d->scale[id] > 0;
}

char *know_dense_text(const struct know *k, unsigned id, size_t bytes)
{
    BUG_IF(id >= k->chunk_count);
    const struct know__chunk *c = &k->chunks[id];
    char *text = xasprintf("%s\n%s", c->heading, c->text);
    size_t len = strlen(text);
    if (len > bytes) {
        len = bytes;
        while (len && ((unsigned char)text[len] & 0xC0) == 0x80)
            len--;
        text[len] = '\0';
    }
    return text;
}

void know_dense_quantise(const float *v, size_t dimensions, int8_t *out)
{
    float largest = 0;
    for (size_t i = 0; i < dimensions; i++)
        largest = fabsf(v[i]) > largest ? fabsf(v[i]) : largest;
    float by = largest > 0 ? 127 / largest : 0;
    for (size_t i = 0; i < dimensions; i++)
        out[i] = (int8_t)(v[i] * by + copysignf(0.5f, v[i]));
}

bool know_dense_put(struct know_dense *d, unsigned id, const int8_t *cells, size_t dimensions)
{
    BUG_IF(id >= d->k->chunk_count);
    double sum = 0;
    for (size_t i = 0; i < dimensions; i++)
        sum += (double)cells[i] * cells[i];
    if (!d->cells && dimensions && dimensions <= DIMENSIONS_MAX) {
        d->dimensions = dimensions;
        d->cells = xcalloc(d->k->chunk_count, dimensions);
    }
    if (dimensions != d->dimensions || sum <= 0)
        return false;
    memcpy(d->cells + id * dimensions, cells, dimensions);
    if (d->scale[id] <= 0)
        d->missing--;
    d->scale[id] = (float)(1 / sqrt(sum));
    free(d->mean);
    free(d->rest);
    d->mean = d->rest = NULL;
    return true;
}

static double dot(const int8_t *cells, const float *v, size_t n)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (float)cells[i] * v[i];
    return sum;
}

static void find_mean(struct know_dense *d)
{
    size_t n = d->k->chunk_count;
    if (d->mean || !n)
        return;
    d->mean = xcalloc(d->dimensions, sizeof *d->mean);
    for (size_t c = 0; n >= FEW && c < n; c++)
        for (size_t i = 0; i < d->dimensions; i++)
            d->mean[i] += (float)d->cells[c * d->dimensions + i] * d->scale[c];
    for (size_t i = 0; i < d->dimensions; i++)
        d->mean[i] /= (float)n;
    double own = 0;
    for (size_t i = 0; i < d->dimensions; i++)
        own += (double)d->mean[i] * d->mean[i];
    d->rest = xcalloc(n, sizeof *d->rest);
    for (size_t c = 0; c < n; c++) {
        double with = dot(d->cells + c * d->dimensions, d->mean, d->dimensions);
        double left = 1 - 2 * with * (double)d->scale[c] + own; /* squared */
        d->rest[c] = left > 1e-9 ? (float)(1 / sqrt(left)) : 0;
    }
}

static void unit(float *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)v[i] * v[i];
    float by = sum > 0 ? (float)(1 / sqrt(sum)) : 0;
    for (size_t i = 0; i < n; i++)
        v[i] *= by;
}

/* Sets scores to the cosines of what the question (of unit length) and each passage have beyond the
 * mean. In whole numbers: no sum is over 2^31, since it is at most the product of the lengths, 127
 * times the root of DIMENSIONS_MAX, and ONE. */
static void cosines(const struct know_dense *d, const float *q, double *scores)
{
    static const double ONE = 8191;
    size_t n = d->dimensions;
    double mean_q = 0;
    int16_t *whole = xcalloc(n, sizeof *whole);
    for (size_t i = 0; i < n; i++) {
        mean_q += (double)d->mean[i] * q[i];
        whole[i] = (int16_t)lrint(q[i] * ONE);
    }
    for (size_t c = 0; c < d->k->chunk_count; c++) {
        const int8_t *cells = d->cells + c * n;
        int32_t sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += (int32_t)cells[i] * whole[i];
        scores[c] = (sum / ONE * (double)d->scale[c] - mean_q) * (double)d->rest[c];
    }
    free(whole);
}

/* A document's cosines are mixed into those of its passages, as the built-in vectors' are. */
static void mix_in_files(const struct know *k, double *scores)
{
    static const double FILE_SHARE = 0.4;
    for (size_t f = 0; f < k->file_count; f++) {
        const struct know__file *file = &k->files[f];
        double sum = 0;
        for (size_t c = file->first; c < file->first + file->chunks; c++)
            sum += scores[c];
        double mean = file->chunks ? sum / (double)file->chunks : 0;
        for (size_t c = file->first; c < file->first + file->chunks; c++)
            scores[c] = (1 - FILE_SHARE) * scores[c] + FILE_SHARE * mean;
    }
}

static double floor_of(const double *scores, size_t n)
{
    double sum = 0, squares = 0;
    if (n < FEW)
        return FEW_FLOOR;
    for (size_t i = 0; i < n; i++) {
        sum += scores[i];
        squares += scores[i] * scores[i];
    }
    double mean = sum / (double)n, variance = squares / (double)n - mean * mean;
    double floor = mean + APART * sqrt(variance > 0 ? variance : 0);
    return floor > 0 ? floor : 0;
}

size_t know_dense_search(struct know_dense *d, const float *question, const char *lang,
                         struct know_passage *out, size_t max)
{
    const struct know *k = d->k;
    size_t dimensions = d->dimensions;
    if (d->missing || !dimensions)
        return 0;
    find_mean(d);
    double *scores = xcalloc(k->chunk_count, sizeof *scores);
    float *q = xcalloc(dimensions, sizeof *q);
    memcpy(q, question, dimensions * sizeof *q);
    unit(q, dimensions);
    for (size_t i = 0; i < dimensions; i++)
        q[i] -= d->mean[i];
    unit(q, dimensions);
    cosines(d, q, scores);
    mix_in_files(k, scores);
    double floor = floor_of(scores, k->chunk_count);
    size_t n = know__best(k, scores, floor, lang, out, max);
    free(q);
    free(scores);
    return n;
}
