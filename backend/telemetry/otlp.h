/* Sends spans and metrics to a collector: OTLP/HTTP 1.x with JSON bodies.
 *
 * E1 One request of each kind is under way at most; spans wait in the queue of the registry (T3).
 * E2 A request is sent again after 429, 502, 503, 504 and lost connections only, at the time that
 *    Retry-After says, else after 1 s, 2 s, 4 s ... up to a minute, each a fifth shorter or longer;
 *    after OTLP_TRIES its spans are given up, and counted. Metrics are never sent again: the next
 *    ones say more.
 * E3 What a collector answers changes nothing but counts. */
#ifndef TELEMETRY_OTLP_H
#define TELEMETRY_OTLP_H

#include "backend/base/errors.h"
#include "backend/base/loop.h"
#include "backend/telemetry/telemetry.h"

enum {
    OTLP_BATCH = 512,           /* spans of one request */
    OTLP_BATCH_BYTES = 1 << 20, /* and about their bytes */
    OTLP_LINGER_MS = 2000,      /* a span waits so long for others */
    OTLP_TRIES = 8,
    OTLP_LIMIT_MS = 10000,      /* for one request */
    OTLP_RETRY_MAX_MS = 300000, /* the longest wait that a Retry-After brings */
    OTLP_HEADERS = 8
};

struct otlp_options {
    const char *url; /* of the collector; /v1/traces and /v1/metrics are put behind it; copied */
    const char *ca_file; /* as in http_options; borrowed */
    bool traces, metrics;
    double share;                                 /* of new traces that are kept, 0..1 */
    uint64_t metrics_ms;                          /* how often metrics are sent */
    const char *version, *environment, *instance; /* of the resource; copied */
    /* Lines "Name: value" for one request, at most OTLP_HEADERS; secrets among them are wiped by
     * `wipe` right behind its start. Both may be NULL. An error: the request is not made. */
    enum err (*headers)(void *arg, char *lines[OTLP_HEADERS], size_t *count, struct error *e);
    void (*wipe)(void *arg, char *lines[OTLP_HEADERS], size_t count);
    void *arg;
};
struct otlp;
/* NULL with *e: CONFIG. */
struct otlp *otlp_new(struct loop *l, struct tel *t, const struct otlp_options *o, struct error *e);
/* Sends what there is at once, and waits for no later time any more. */
void otlp_close(struct otlp *o);
bool otlp_pending(const struct otlp *o); /* after otlp_close: requests are under way */
void otlp_free(struct otlp *o);          /* NULL is fine; before the registry */
/* Why the last request failed; OK: it did not, or there was none. */
const struct error *otlp_error(const struct otlp *o);
unsigned otlp_failures(const struct otlp *o); /* requests in a row that failed */

#endif
