/* Bootstrap over cases. */
#include "backend/eval/stats.h"
#include "backend/base/errors.h"
#include <math.h>
#include <stdlib.h>

/* splitmix64 (Steele, Lea, Flood 2014): small, and the same everywhere. */
static uint64_t next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* An index below n without bias that matters: n is at most a few thousand of 2^32. */
static size_t below(uint64_t *state, size_t n)
{
    return (size_t)(((next(state) >> 32) * (uint64_t)n) >> 32);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double eval_quantile(double *v, size_t n, double q)
{
    if (!n)
        return 0;
    qsort(v, n, sizeof *v, by_value);
    double rank = ceil(q * (double)n);
    size_t at = rank < 1 ? 0 : (size_t)rank - 1;
    return v[at < n ? at : n - 1];
}

struct eval_interval eval_mean(const double *v, size_t n, unsigned resamples, uint64_t seed)
{
    struct eval_interval out = {0, 0, 0};
    if (!n)
        return out;
    for (size_t i = 0; i < n; i++)
        out.value += v[i];
    out.value /= (double)n;
    out.low = out.high = out.value;
    if (!resamples)
        return out;
    double *means = xcalloc(resamples, sizeof *means);
    for (unsigned r = 0; r < resamples; r++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += v[below(&seed, n)];
        means[r] = sum / (double)n;
    }
    out.low = eval_quantile(means, resamples, 0.025);
    out.high = eval_quantile(means, resamples, 0.975);
    free(means);
    return out;
}

struct eval_interval eval_difference(const double *a, const double *b, size_t n, unsigned resamples,
                                     uint64_t seed)
{
    double *d = xcalloc(n + 1, sizeof *d);
    for (size_t i = 0; i < n; i++)
        d[i] = a[i] - b[i];
    struct eval_interval out = eval_mean(d, n, resamples, seed);
    free(d);
    return out;
}

struct eval_interval eval_win_rate(const double *a, const double *b, size_t n, unsigned resamples,
                                   uint64_t seed)
{
    static const double TIE = 1e-9;
    double *w = xcalloc(n + 1, sizeof *w);
    for (size_t i = 0; i < n; i++)
        w[i] = fabs(a[i] - b[i]) < TIE ? 0.5 : a[i] > b[i];
    struct eval_interval out = eval_mean(w, n, resamples, seed);
    free(w);
    return out;
}
