/* What the console tells of itself: latency histories, metrics, spans. All of it belongs to the
 * thread of the loop. A NULL registry is fine everywhere: then nothing is counted.
 *
 * T1 What is counted is bounded: a label has TEL_VALUES_MAX different values, a metric
 *    TEL_SERIES_MAX series; what comes beyond counts as "other". No count is ever lost.
 * T2 No text that a person, a model or a tool wrote becomes a label or an attribute: names, kinds,
 *    numbers and codes of errors only.
 * T3 A span that has ended waits in a bounded queue; what does not fit is dropped, and counted. */
#ifndef TELEMETRY_H
#define TELEMETRY_H

#include "backend/base/buf.h"
#include <stdbool.h>
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

/* ---- metrics: the rows of metrics.def, which docs/metrics_taxonomy.md shows */

enum { TEL_LABELS_MAX = 4, TEL_VALUES_MAX = 128, TEL_SERIES_MAX = 1000, TEL_VALUE_BYTES = 64 };
enum tel_metric {
#define METRIC(id, name, otel, kind, unit, labels, bounds, help) TEL_##id,
#include "backend/telemetry/metrics.def"
#undef METRIC
    TEL_METRICS
};
enum tel_kind { TEL_COUNTER, TEL_GAUGE, TEL_HISTOGRAM };

struct tel;
struct tel *tel_new(void);
void tel_free(struct tel *t); /* NULL is fine */

/* The values of a metric's labels, in the order of its row: TEL_LABELS("gpt", "input"). "" is a
 * label that is not there, as error.type is where nothing failed. A number of values that is not
 * the row's is a bug. Values longer than TEL_VALUE_BYTES are cut. */
#define TEL_LABELS(...) ((const char *const[TEL_LABELS_MAX + 1]){__VA_ARGS__})
#define TEL_NO_LABELS ((const char *const[1]){NULL})
/* A kind that is not the metric's is a bug, so are a counter that would fall and a value that is
 * not finite. */
void tel_add(struct tel *t, enum tel_metric m, double more, const char *const *labels);
/* A counter that somebody else counts: where it stands. Does not fall either. */
void tel_total(struct tel *t, enum tel_metric m, double total, const char *const *labels);
void tel_set(struct tel *t, enum tel_metric m, double value, const char *const *labels);
/* While a span is current whose trace is kept, the measurement is its bucket's exemplar. */
void tel_observe(struct tel *t, enum tel_metric m, double value, const char *const *labels);
/* Forgets all series of a gauge: before what may have gone is set anew. */
void tel_clear(struct tel *t, enum tel_metric m);
/* What is counted of that series so far: the value, or of a histogram the sum; 0: nothing. */
double tel_value(const struct tel *t, enum tel_metric m, const char *const *labels);
/* fn(arg) runs before the metrics are read, to set gauges. One at most. */
void tel_on_collect(struct tel *t, void (*fn)(void *arg), void *arg);

/* The metrics as Prometheus reads them: its text format 0.0.4, or OpenMetrics 1.0 with exemplars.
 * Collects.
 */
void tel_exposition(struct tel *t, bool openmetrics, struct buf *out);
/* True if the value of a header Accept (NULL: none) asks for OpenMetrics. */
bool tel_wants_openmetrics(const char *accept);
extern const char tel_text_type[], tel_openmetrics_type[]; /* content types */

/* ---- spans: OpenTelemetry's, with the attributes of its GenAI conventions */

/* Who is who in a trace (W3C Trace Context); all zero: none. */
struct tel_context {
    char trace_id[33], span_id[17]; /* lower-case hex */
    bool sampled;                   /* spans of this trace are kept */
    bool remote;                    /* the span is another program's */
    bool shared;                    /* the trace began in another program */
};
enum { TEL_TRACEPARENT = 56 };
void tel_traceparent(const struct tel_context *c, char out[TEL_TRACEPARENT]);
/* Reads a traceparent, which is foreign; false: it is none, *out is all zero then. */
bool tel_traceparent_read(const char *text, struct tel_context *out);

enum tel_span_kind { TEL_INTERNAL = 1, TEL_SERVER, TEL_CLIENT }; /* numbers of OTLP */
enum { TEL_ATTRIBUTES = 32, TEL_TEXT_BYTES = 256, TEL_QUEUE = 2048, TEL_QUEUE_BYTES = 4 << 20 };
struct tel_span;
/* Begins a span below parent; parent NULL or all zero: of a new trace. Every span ends by
 * tel_span_end. All functions take a NULL span, as a NULL registry gives. */
struct tel_span *tel_span_begin(struct tel *t, const struct tel_context *parent,
                                enum tel_span_kind kind, const char *name, ...)
    __attribute__((format(printf, 4, 5)));
/* Lives as long as the span; NULL for a NULL span. */
const struct tel_context *tel_span_context(const struct tel_span *s);
void tel_span_text(struct tel_span *s, const char *key, const char *value); /* NULL: none */
void tel_span_list(struct tel_span *s, const char *key, const char *value); /* a list of one */
void tel_span_int(struct tel_span *s, const char *key, int64_t value);
void tel_span_num(struct tel_span *s, const char *key, double value);
void tel_span_flag(struct tel_span *s, const char *key, bool value);
/* The operation failed; type is a code (err_name, an HTTP status), which becomes error.type. */
void tel_span_fail(struct tel_span *s, const char *type);
void tel_span_end(struct tel_span *s);

/* The span that what runs just now belongs to, for what is called synchronously; all zero: none. */
struct tel_context tel_current(const struct tel *t);
/* Sets it (NULL: none), and answers what it was, to be set again. */
struct tel_context tel_enter(struct tel *t, const struct tel_context *now);

#endif
