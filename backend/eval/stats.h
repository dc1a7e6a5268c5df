/* Paired comparison of variants over the cases of a set. Pure.
 *
 * The interval is the percentile bootstrap over cases (Efron, Tibshirani 1993, ch. 13): cases are
 * drawn with replacement, both variants keep their values of a case together, the 2.5th and 97.5th
 * percentile of the statistic stand for 95%. The same seed gives the same intervals. */
#ifndef EVAL_STATS_H
#define EVAL_STATS_H

#include <stddef.h>
#include <stdint.h>

enum { EVAL_RESAMPLES = 10000 };

struct eval_interval {
    double value, low, high; /* of the sample itself; 95% */
};
/* The mean of n values; n 0 gives noughts. */
struct eval_interval eval_mean(const double *v, size_t n, unsigned resamples, uint64_t seed);
/* The mean of a[i] - b[i]. */
struct eval_interval eval_difference(const double *a, const double *b, size_t n, unsigned resamples,
                                     uint64_t seed);
/* The share of cases that a wins over b, a tie counting half. */
struct eval_interval eval_win_rate(const double *a, const double *b, size_t n, unsigned resamples,
                                   uint64_t seed);
/* The q-th quantile (0..1) of n values, by the nearest rank; v is sorted by it. */
double eval_quantile(double *v, size_t n, double q);

#endif
