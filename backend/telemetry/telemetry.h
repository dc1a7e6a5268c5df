/* Counters of the console itself: a latency history with quantiles. Pure memory, one thread. */
#ifndef TELEMETRY_H
#define TELEMETRY_H

#include <stddef.h>
#include <stdint.h>

enum { TEL_HISTORY = 60 };

/* The last TEL_HISTORY measurements of something, and totals. Zero-initialise. */
struct tel_history {
    double value[TEL_HISTORY]; /* a ring; failures are stored as -1 */
    unsigned next, count;
    uint64_t total, failures;
};
/* Below 0 counts as 0. */
void tel_record(struct tel_history *h, double value);
void tel_record_failure(struct tel_history *h);
/* Oldest first into out, returns how many. */
size_t tel_values(const struct tel_history *h, double out[TEL_HISTORY]);
/* Quantile (0..1) of the successful ones kept, by nearest rank, so always a value that was
 * measured; -1 when there is none. */
double tel_quantile(const struct tel_history *h, double q);
/* Share of failures among those kept, 0..1. */
double tel_error_rate(const struct tel_history *h);

#endif
