/* Shared between the files of the telemetry room only. */
#ifndef TELEMETRY_INTERNAL_H
#define TELEMETRY_INTERNAL_H

#include "backend/telemetry/telemetry.h"

struct tel__row { /* of metrics.def */
    const char *id, *name, *otel, *unit, *help;
    enum tel_kind kind;
    unsigned label_count;
    const char *label[TEL_LABELS_MAX]; /* as OpenTelemetry writes them */
    const double *bounds;
    size_t bound_count;
    char text[128]; /* that the labels point into */
};

/* The last measurement in a bucket whose trace is kept. */
struct tel__exemplar {
    char trace_id[33], span_id[17]; /* "": none */
    double value;
    int64_t at; /* real ms */
};
struct tel__series {
    uint64_t hash;
    char *value[TEL_LABELS_MAX]; /* clean, at most TEL_VALUE_BYTES; "" is left out */
    double number;               /* the value; of a histogram the sum */
    uint64_t count, *bucket; /* of a histogram; bucket: bound_count + 1 of them, not cumulated */
    struct tel__exemplar *exemplar; /* as many, or NULL: there is none yet */
};
struct tel__metric {
    struct tel__series **series;
    size_t len, cap;
};

/* Spans that have ended, each as the JSON of OTLP; oldest first. */
struct tel__ended {
    struct tel__ended *next;
    size_t len;
    char json[];
};

struct tel {
    struct tel__row row[TEL_METRICS];
    struct tel__metric metric[TEL_METRICS];
    int64_t started_ms; /* real time: counters count from here */
    void (*collect)(void *arg);
    void *collect_arg;
    struct tel_context current;
    bool keeps;        /* somebody exports spans: otherwise they are not written */
    double share;      /* of new traces that are sampled */
    uint8_t lots[256]; /* random bytes, of which so many are used */
    size_t lots_used;
    struct tel__ended *first, **end;
    size_t queued, queued_bytes;
    void (*ended)(void *arg); /* a span came into the queue; or NULL */
    void *ended_arg;
};

/* metrics.c */
void tel__collect(struct tel *t);
/* A number as JSON and Prometheus write it; "+Inf", "-Inf", "NaN". */
void tel__number(double x, struct buf *out);

/* span.c */
void tel__spans_free(struct tel *t);
/* Takes the oldest ended span out of the queue; NULL: there is none. The caller frees. */
struct tel__ended *tel__span_take(struct tel *t);
/* A text as a JSON string, quotes included. */
void tel__json_text(const char *text, size_t len, struct buf *out);

/* otlp_json.c: bodies of requests. */
struct tel__resource {
    const char *version, *environment, *instance;
};
/* Takes spans out of the queue, at most `max` of them and about max_bytes; returns how many. */
size_t tel__otlp_spans(struct tel *t, const struct tel__resource *r, size_t max, size_t max_bytes,
                       struct buf *out);
void tel__otlp_metrics(struct tel *t, const struct tel__resource *r, struct buf *out);
/* How many were refused according to the body of an answer of status 200, which is foreign; what:
 * "rejectedSpans" or "rejectedDataPoints". 0: none, or it cannot be read. */
int64_t tel__otlp_rejected(const char *body, size_t len, const char *what);

#endif
