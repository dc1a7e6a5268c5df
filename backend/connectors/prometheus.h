/* Private to the Prometheus connector: its HTTP API, version 1. Shapes are pure (A3). */
#ifndef CONNECTORS_PROMETHEUS_H
#define CONNECTORS_PROMETHEUS_H

#include "backend/connectors/rest.h"

enum { /* bounds (A2) */
       PROM_MAX_SERIES = 50,
       PROM_MAX_POINTS = 11000, /* of one series, the server's own limit too */
       PROM_ALL_POINTS = 60000, /* of one answer */
       PROM_TOLD = 6            /* series with a sentence of their own */
};

rest_shape_fn prom__shape_query;   /* of query, query_range and history */
rest_shape_fn prom__shape_alerts;  /* /api/v1/alerts */
rest_shape_fn prom__shape_targets; /* /api/v1/targets */
rest_shape_fn prom__shape_rules;   /* /api/v1/rules */
rest_shape_fn prom__shape_metrics; /* /api/v1/metadata */
rest_shape_fn prom__shape_labels;  /* /api/v1/labels, /api/v1/label/NAME/values */

/* The data of an answer that succeeded; NULL with out->error (PROTOCOL). Warnings become findings.
 */
const json_t *prom__data(const json_t *answers, struct host_out *out);

/* What `history` can show. */
struct prom_what {
    const char *name, *query, *unit, *topic, *en, *ru;
};
extern const struct prom_what prom__whats[];
extern const size_t prom__what_count;
const struct prom_what *prom__what(const char *name);
/* Seconds between points, so that from..to (ms) has about 240 of them, and never over 11,000. */
int64_t prom__step(int64_t from, int64_t to, int64_t wanted_s);

#endif
