#include "backend/telemetry/telemetry.h"
#include <math.h>
#include <stdlib.h>

static const double failed = -1;

static void add(struct tel_history *h, double value)
{
    h->value[h->next] = value;
    h->next = (h->next + 1) % TEL_HISTORY;
    if (h->count < TEL_HISTORY)
        h->count++;
    h->total++;
}

void tel_record(struct tel_history *h, double value)
{
    /* A clock that stepped back gives no negative latency, which would read as a failure. */
    add(h, value > 0 ? value : 0);
}

void tel_record_failure(struct tel_history *h)
{
    add(h, failed);
    h->failures++;
}

size_t tel_values(const struct tel_history *h, double out[TEL_HISTORY])
{
    unsigned first = (h->next + TEL_HISTORY - h->count) % TEL_HISTORY;
    for (unsigned i = 0; i < h->count; i++)
        out[i] = h->value[(first + i) % TEL_HISTORY];
    return h->count;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double tel_quantile(const struct tel_history *h, double q)
{
    double kept[TEL_HISTORY];
    size_t n = 0;
    for (unsigned i = 0; i < h->count; i++)
        if (h->value[i] >= 0)
            kept[n++] = h->value[i];
    if (n == 0)
        return -1;
    qsort(kept, n, sizeof *kept, by_value);
    double rank = ceil(q * (double)n);
    size_t i = rank > 1 ? (size_t)rank - 1 : 0;
    return kept[i < n ? i : n - 1];
}

double tel_error_rate(const struct tel_history *h)
{
    unsigned bad = 0;
    for (unsigned i = 0; i < h->count; i++)
        bad += h->value[i] < 0;
    return h->count ? (double)bad / h->count : 0;
}
