/* Bodies of OTLP/HTTP requests: the JSON mapping of opentelemetry.proto (ids in hex, 64-bit numbers
 * as texts, enumerations as numbers). */
#include "backend/base/clock.h"
#include "backend/base/json.h"
#include "backend/telemetry/internal.h"
#include <stdlib.h>
#include <string.h>

enum { CUMULATIVE = 2 }; /* AggregationTemporality */

static void add_text(const char *text, struct buf *out)
{
    tel__json_text(text, strlen(text), out);
}

static void add_attribute(const char *key, const char *value, bool *any, struct buf *out)
{
    buf_adds(out, *any ? ",{\"key\":" : "{\"key\":");
    *any = true;
    add_text(key, out);
    buf_adds(out, ",\"value\":{\"stringValue\":");
    add_text(value, out);
    buf_adds(out, "}}");
}

/* {"resourceX":[{"resource":{...},"scopeX":[{"scope":{...},"X":[ */
static void open_body(const char *kind, const char *list, const struct tel__resource *r,
                      struct buf *out)
{
    bool any = false;
    buf_addf(out, "{\"resource%s\":[{\"resource\":{\"attributes\":[", kind);
    add_attribute("service.name", "mcp-console", &any, out);
    add_attribute("service.version", r->version, &any, out);
    add_attribute("service.instance.id", r->instance, &any, out);
    add_attribute("deployment.environment.name", r->environment, &any, out);
    buf_addf(out, "]},\"scope%s\":[{\"scope\":{\"name\":\"mcp-console\",\"version\":", kind);
    add_text(r->version, out);
    buf_addf(out, "},\"%s\":[", list);
}

static void close_body(struct buf *out)
{
    buf_adds(out, "]}]}]}");
}

size_t tel__otlp_spans(struct tel *t, const struct tel__resource *r, size_t max, size_t max_bytes,
                       struct buf *out)
{
    size_t n = 0, begin = out->len;
    open_body("Spans", "spans", r, out);
    while (n < max && t->first && (n == 0 || out->len - begin + t->first->len < max_bytes)) {
        struct tel__ended *e = tel__span_take(t);
        if (n++)
            buf_addc(out, ',');
        buf_add(out, e->json, e->len);
        free(e);
    }
    close_body(out);
    return n;
}

/* Units that are counted in wholes go as integers. */
static bool is_whole(const struct tel__row *row)
{
    return *row->unit == '{' && strcmp(row->unit, "{currency}") != 0 &&
           strcmp(row->unit, "{USD}") != 0;
}

static void open_point(const struct tel *t, const struct tel__row *row, const struct tel__series *s,
                       int64_t now_ms, struct buf *out)
{
    bool any = false;
    buf_adds(out, "{\"attributes\":[");
    for (unsigned i = 0; i < row->label_count; i++)
        if (*s->value[i])
            add_attribute(row->label[i], s->value[i], &any, out);
    buf_addc(out, ']');
    if (row->kind != TEL_GAUGE)
        buf_addf(out, ",\"startTimeUnixNano\":\"%lld000000\"", (long long)t->started_ms);
    buf_addf(out, ",\"timeUnixNano\":\"%lld000000\"", (long long)now_ms);
}

static void add_number(const struct tel__row *row, const struct tel__series *s, struct buf *out)
{
    if (is_whole(row)) {
        buf_addf(out, ",\"asInt\":\"%lld\"}", (long long)s->number);
    } else {
        buf_adds(out, ",\"asDouble\":");
        tel__number(s->number, out);
        buf_addc(out, '}');
    }
}

static void add_histogram(const struct tel__row *row, const struct tel__series *s, struct buf *out)
{
    buf_addf(out, ",\"count\":\"%llu\",\"sum\":", (unsigned long long)s->count);
    tel__number(s->number, out);
    buf_adds(out, ",\"bucketCounts\":[");
    for (size_t i = 0; i <= row->bound_count; i++)
        buf_addf(out, "%s\"%llu\"", i ? "," : "", (unsigned long long)s->bucket[i]);
    buf_adds(out, "],\"explicitBounds\":[");
    for (size_t i = 0; i < row->bound_count; i++) {
        if (i)
            buf_addc(out, ',');
        tel__number(row->bounds[i], out);
    }
    buf_adds(out, "]}");
}

static void add_metric(const struct tel *t, enum tel_metric id, int64_t now_ms, struct buf *out)
{
    static const char *const kinds[] = {"sum", "gauge", "histogram"};
    const struct tel__row *row = &t->row[id];
    const struct tel__metric *m = &t->metric[id];
    buf_adds(out, "{\"name\":");
    add_text(row->otel, out);
    buf_adds(out, ",\"description\":");
    add_text(row->help, out);
    buf_adds(out, ",\"unit\":");
    add_text(row->unit, out);
    buf_addf(out, ",\"%s\":{", kinds[row->kind]);
    if (row->kind != TEL_GAUGE)
        buf_addf(out, "\"aggregationTemporality\":%d,", CUMULATIVE);
    if (row->kind == TEL_COUNTER)
        buf_adds(out, "\"isMonotonic\":true,");
    buf_adds(out, "\"dataPoints\":[");
    for (size_t i = 0; i < m->len; i++) {
        if (i)
            buf_addc(out, ',');
        open_point(t, row, m->series[i], now_ms, out);
        if (row->kind == TEL_HISTOGRAM)
            add_histogram(row, m->series[i], out);
        else
            add_number(row, m->series[i], out);
    }
    buf_adds(out, "]}}");
}

void tel__otlp_metrics(struct tel *t, const struct tel__resource *r, struct buf *out)
{
    int64_t now_ms = clock_real_ms();
    bool any = false;
    tel__collect(t);
    open_body("Metrics", "metrics", r, out);
    for (size_t i = 0; i < TEL_METRICS; i++) {
        if (!t->metric[i].len)
            continue;
        if (any)
            buf_addc(out, ',');
        any = true;
        add_metric(t, (enum tel_metric)i, now_ms, out);
    }
    close_body(out);
}

int64_t tel__otlp_rejected(const char *body, size_t len, const char *what)
{
    enum { MOST = 64 << 10, DEPTH = 8 };
    json_t *answer = json_read(body, len, MOST, DEPTH, NULL);
    const json_t *value = json_object_get(json_object_get(answer, "partialSuccess"), what);
    int64_t n = 0; /* a 64-bit number: a text, or a number */
    if (json_is_integer(value)) {
        n = json_integer_value(value);
    } else if (json_is_string(value) && json_string_length(value) < 19) {
        const char *text = json_string_value(value);
        if (*text && strspn(text, "0123456789") == strlen(text))
            n = strtoll(text, NULL, 10);
    }
    json_decref(answer);
    return n > 0 ? n : 0;
}
