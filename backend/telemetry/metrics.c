/* The registry of metrics.
 *
 * 1 A series is never taken away but by tel_clear, so a counter does not fall.
 * 2 series_of finds the same series for the same labels, also when they were cut or became "other":
 *   what it compares is what it stores (T1). */
#include "backend/base/clock.h"
#include "backend/base/errors.h"
#include "backend/base/hash.h"
#include "backend/base/json.h"
#include "backend/base/text.h"
#include "backend/telemetry/internal.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char other[] = "other";

#define BOUNDS(id, ...) static const double bounds_##id[] = {__VA_ARGS__};
#include "backend/telemetry/bounds.def"
#undef BOUNDS

enum bounds_id {
    BOUNDS_NONE,
#define BOUNDS(id, ...) BOUNDS_##id,
#include "backend/telemetry/bounds.def"
#undef BOUNDS
};

static const struct {
    const double *at;
    size_t count;
} all_bounds[] = {
    {NULL, 0},
#define BOUNDS(id, ...) {bounds_##id, sizeof bounds_##id / sizeof *bounds_##id},
#include "backend/telemetry/bounds.def"
#undef BOUNDS
};

/* What metrics.def says. */
static const struct {
    const char *id, *name, *otel, *unit, *labels, *help;
    enum tel_kind kind;
    enum bounds_id bounds;
} table[] = {
#define METRIC(id, name, otel, kind, unit, labels, bounds, help) \
    {#id, name, otel, unit, labels, help, TEL_##kind, BOUNDS_##bounds},
#include "backend/telemetry/metrics.def"
#undef METRIC
};

static void row_make(struct tel__row *r, enum tel_metric m)
{
    *r = (struct tel__row){.id = table[m].id,
                           .name = table[m].name,
                           .otel = *table[m].otel ? table[m].otel : table[m].name,
                           .unit = table[m].unit,
                           .help = table[m].help,
                           .kind = table[m].kind,
                           .bounds = all_bounds[table[m].bounds].at,
                           .bound_count = all_bounds[table[m].bounds].count};
    BUG_IF(strlen(table[m].labels) >= sizeof r->text);
    snprintf(r->text, sizeof r->text, "%s", table[m].labels);
    for (char *p = r->text; *p;) {
        BUG_IF(r->label_count == TEL_LABELS_MAX);
        r->label[r->label_count++] = p;
        p += strcspn(p, " ");
        if (*p)
            *p++ = 0;
    }
    BUG_IF((r->kind == TEL_HISTOGRAM) != (r->bounds != NULL));
}

struct tel *tel_new(void)
{
    struct tel *t = xcalloc(1, sizeof *t);
    for (size_t i = 0; i < TEL_METRICS; i++)
        row_make(&t->row[i], (enum tel_metric)i);
    t->started_ms = clock_real_ms();
    t->share = 1;
    t->lots_used = sizeof t->lots;
    t->end = &t->first;
    return t;
}

static void series_free(struct tel__series *s)
{
    for (size_t i = 0; i < TEL_LABELS_MAX; i++)
        free(s->value[i]);
    free(s->bucket);
    free(s->exemplar);
    free(s);
}

static void metric_clear(struct tel__metric *m)
{
    for (size_t i = 0; i < m->len; i++)
        series_free(m->series[i]);
    m->len = 0;
}

void tel_free(struct tel *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < TEL_METRICS; i++) {
        metric_clear(&t->metric[i]);
        free(t->metric[i].series);
    }
    tel__spans_free(t);
    free(t);
}

/* ---- labels */

/* Nearly every value is a short name of ASCII, which needs no copy. */
static bool is_plain(const char *value)
{
    size_t len = 0;
    for (; value[len]; len++)
        if (value[len] < ' ' || value[len] > '~' || len == TEL_VALUE_BYTES)
            return false;
    return true;
}

/* The form that is stored, in room of TEL_VALUE_BYTES + 1 if it is not the value itself. */
static const char *clean(const char *value, char *room)
{
    if (is_plain(value))
        return value;
    char *safe = text_cleaned(value, TEXT_ONE_LINE);
    size_t len = 0, n;
    uint32_t cp;
    while (len < TEL_VALUE_BYTES && (n = text_decode(safe + len, strlen(safe + len), &cp)) &&
           len + n <= TEL_VALUE_BYTES)
        len += n;
    memcpy(room, safe, len);
    room[len] = 0;
    free(safe);
    return room;
}

/* With the end of each value in it. */
static uint64_t hash_of(const char *const *value, unsigned count)
{
    uint64_t h = HASH_START;
    for (unsigned i = 0; i < count; i++)
        h = hash_bytes(h, value[i], strlen(value[i]) + 1);
    return h;
}

static struct tel__series *find(const struct tel__metric *m, const char *const *value,
                                unsigned count, uint64_t hash)
{
    for (size_t i = 0; i < m->len; i++) {
        struct tel__series *s = m->series[i];
        unsigned same = 0;
        while (s->hash == hash && same < count && strcmp(s->value[same], value[same]) == 0)
            same++;
        if (s->hash == hash && same == count)
            return s;
    }
    return NULL;
}

/* True if the label has as many values as it may have, and this is none of them. */
static bool is_one_too_many(const struct tel__metric *m, unsigned label, const char *value)
{
    size_t different = 0;
    for (size_t i = 0; i < m->len; i++) {
        const char *has = m->series[i]->value[label];
        bool seen = false;
        if (strcmp(has, value) == 0)
            return false;
        for (size_t j = 0; j < i && !seen; j++)
            seen = strcmp(m->series[j]->value[label], has) == 0;
        different += !seen && strcmp(has, other) != 0;
    }
    return different >= TEL_VALUES_MAX;
}

static struct tel__series *add(struct tel__metric *m, const struct tel__row *row,
                               const char *const *value, uint64_t hash)
{
    struct tel__series *s = xcalloc(1, sizeof *s);
    s->hash = hash;
    for (unsigned i = 0; i < row->label_count; i++)
        s->value[i] = xstrdup(value[i]);
    if (row->bounds)
        s->bucket = xcalloc(row->bound_count + 1, sizeof *s->bucket);
    if (m->len == m->cap) {
        m->cap = m->cap ? 2 * m->cap : 4;
        m->series = xrealloc(m->series, m->cap * sizeof(void *));
    }
    return m->series[m->len++] = s;
}

/* How the labels are stored: rooms belong to the caller. */
static void labels_clean(const struct tel__row *row, const char *const *labels,
                         const char *value[TEL_LABELS_MAX],
                         char room[TEL_LABELS_MAX][TEL_VALUE_BYTES + 1])
{
    for (unsigned i = 0; i < row->label_count; i++) {
        BUG_IF(!labels[i]);
        value[i] = clean(labels[i], room[i]);
    }
    BUG_IF(labels[row->label_count]);
}

/* 2 */
static struct tel__series *series_of(struct tel *t, enum tel_metric id, const char *const *labels)
{
    const struct tel__row *row = &t->row[id];
    struct tel__metric *m = &t->metric[id];
    const char *value[TEL_LABELS_MAX];
    char room[TEL_LABELS_MAX][TEL_VALUE_BYTES + 1];
    labels_clean(row, labels, value, room);
    uint64_t hash = hash_of(value, row->label_count);
    struct tel__series *s = find(m, value, row->label_count, hash);
    if (s)
        return s;
    bool full = m->len + 1 >= TEL_SERIES_MAX; /* the last one is for all the others */
    for (unsigned i = 0; i < row->label_count; i++)
        if (*value[i] && (full || is_one_too_many(m, i, value[i])))
            value[i] = other;
    hash = hash_of(value, row->label_count);
    s = find(m, value, row->label_count, hash);
    return s || m->len == TEL_SERIES_MAX ? s : add(m, row, value, hash);
}

/* ---- counting */

static struct tel__series *counted(struct tel *t, enum tel_metric m, enum tel_kind kind,
                                   const char *const *labels)
{
    BUG_IF(t->row[m].kind != kind);
    return series_of(t, m, labels);
}

void tel_add(struct tel *t, enum tel_metric m, double more, const char *const *labels)
{
    if (!t)
        return;
    BUG_IF(!isfinite(more) || more < 0);
    struct tel__series *s = counted(t, m, TEL_COUNTER, labels);
    if (s)
        s->number += more;
}

void tel_total(struct tel *t, enum tel_metric m, double total, const char *const *labels)
{
    struct tel__series *s = t ? counted(t, m, TEL_COUNTER, labels) : NULL;
    if (s && total > s->number)
        s->number = total;
}

void tel_set(struct tel *t, enum tel_metric m, double value, const char *const *labels)
{
    BUG_IF(!isfinite(value));
    struct tel__series *s = t ? counted(t, m, TEL_GAUGE, labels) : NULL;
    if (s)
        s->number = value;
}

static void keep_exemplar(struct tel__series *s, const struct tel__row *row, size_t bucket,
                          double value, const struct tel_context *span)
{
    if (!s->exemplar)
        s->exemplar = xcalloc(row->bound_count + 1, sizeof *s->exemplar);
    struct tel__exemplar *x = &s->exemplar[bucket];
    memcpy(x->trace_id, span->trace_id, sizeof x->trace_id);
    memcpy(x->span_id, span->span_id, sizeof x->span_id);
    x->value = value;
    x->at = clock_real_ms();
}

void tel_observe(struct tel *t, enum tel_metric m, double value, const char *const *labels)
{
    BUG_IF(!isfinite(value));
    struct tel__series *s = t ? counted(t, m, TEL_HISTOGRAM, labels) : NULL;
    if (!s)
        return;
    const struct tel__row *row = &t->row[m];
    size_t at = 0;
    while (at < row->bound_count && value > row->bounds[at])
        at++;
    s->bucket[at]++;
    s->count++;
    s->number += value;
    if (t->keeps && t->current.sampled && *t->current.span_id)
        keep_exemplar(s, row, at, value, &t->current);
}

void tel_clear(struct tel *t, enum tel_metric m)
{
    if (!t)
        return;
    BUG_IF(t->row[m].kind != TEL_GAUGE);
    metric_clear(&t->metric[m]);
}

double tel_value(const struct tel *t, enum tel_metric m, const char *const *labels)
{
    const char *value[TEL_LABELS_MAX];
    char room[TEL_LABELS_MAX][TEL_VALUE_BYTES + 1];
    const struct tel__row *row = &t->row[m];
    labels_clean(row, labels, value, room);
    const struct tel__series *s =
        find(&t->metric[m], value, row->label_count, hash_of(value, row->label_count));
    return s ? s->number : 0;
}

void tel_on_collect(struct tel *t, void (*fn)(void *arg), void *arg)
{
    t->collect = fn;
    t->collect_arg = arg;
}

void tel__collect(struct tel *t)
{
    tel_set(t, TEL_telemetry_queue, (double)t->queued, TEL_NO_LABELS);
    if (t->collect)
        t->collect(t->collect_arg);
}

void tel__number(double x, struct buf *out)
{
    if (isnan(x)) {
        buf_adds(out, "NaN");
    } else if (isinf(x)) {
        buf_adds(out, x > 0 ? "+Inf" : "-Inf");
    } else {
        json_t *number = json_real(x); /* the shortest digits that read as x */
        BUG_IF(!number || jcs_write(number, out) != ERR_OK);
        json_decref(number);
    }
}
