/* The metrics as text: Prometheus' exposition format 0.0.4 and OpenMetrics 1.0.0. They differ in
 * the names of counters, in units and in the end mark. */
#include "backend/telemetry/internal.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char tel_text_type[] = "text/plain; version=0.0.4; charset=utf-8";
const char tel_openmetrics_type[] = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/* Backslashes and new lines of a help, and quotes too where they would end a value. */
static void add_escaped(const char *text, bool quotes, struct buf *out)
{
    for (; *text; text++) {
        if (*text == '\\')
            buf_adds(out, "\\\\");
        else if (*text == '\n')
            buf_adds(out, "\\n");
        else if (*text == '"' && quotes)
            buf_adds(out, "\\\"");
        else
            buf_addc(out, *text);
    }
}

static void add_label(const char *name, const char *value, bool *any, struct buf *out)
{
    buf_addc(out, *any ? ',' : '{');
    *any = true;
    for (; *name; name++)
        buf_addc(out, *name == '.' ? '_' : *name);
    buf_adds(out, "=\"");
    add_escaped(value, true, out);
    buf_addc(out, '"');
}

/* " # {trace_id="...",span_id="..."} value seconds", OpenMetrics only. */
static void add_exemplar(const struct tel__exemplar *x, struct buf *out)
{
    if (!x || !*x->trace_id)
        return;
    buf_addf(out, " # {trace_id=\"%s\",span_id=\"%s\"} ", x->trace_id, x->span_id);
    tel__number(x->value, out);
    buf_addf(out, " %lld.%03d", (long long)(x->at / 1000), (int)(x->at % 1000));
}

static void add_line(const struct tel__row *row, const struct tel__series *s, const char *suffix,
                     const char *le, double value, const struct tel__exemplar *exemplar,
                     struct buf *out)
{
    bool any = false;
    buf_adds(out, row->name);
    buf_adds(out, suffix);
    for (unsigned i = 0; i < row->label_count; i++)
        if (*s->value[i])
            add_label(row->label[i], s->value[i], &any, out);
    if (le)
        add_label("le", le, &any, out);
    buf_adds(out, any ? "} " : " ");
    tel__number(value, out);
    add_exemplar(exemplar, out);
    buf_addc(out, '\n');
}

static void add_histogram(const struct tel__row *row, const struct tel__series *s, bool openmetrics,
                          struct buf *out)
{
    uint64_t below = 0;
    for (size_t i = 0; i <= row->bound_count; i++) {
        struct buf bound = {0};
        if (i < row->bound_count)
            tel__number(row->bounds[i], &bound);
        else
            buf_adds(&bound, "+Inf");
        /* OpenMetrics wants numbers of one form: 1.0, as its own writers have it */
        if (openmetrics && i < row->bound_count && !strpbrk(bound.data, ".e"))
            buf_adds(&bound, ".0");
        below += s->bucket[i];
        add_line(row, s, "_bucket", bound.data, (double)below,
                 openmetrics && s->exemplar ? &s->exemplar[i] : NULL, out);
        buf_release(&bound);
    }
    add_line(row, s, "_sum", NULL, s->number, NULL, out);
    add_line(row, s, "_count", NULL, (double)s->count, NULL, out);
}

static bool ends_in(const char *name, size_t len, const char *end)
{
    size_t n = strlen(end);
    return len > n && strncmp(name + len - n, end, n) == 0;
}

static void add_head(const struct tel__row *row, bool openmetrics, struct buf *out)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    size_t len = strlen(row->name);
    if (openmetrics && row->kind == TEL_COUNTER) /* the family is named without the suffix */
        len -= strlen("_total");
    buf_addf(out, "# HELP %.*s ", (int)len, row->name);
    add_escaped(row->help, openmetrics, out);
    buf_addf(out, "\n# TYPE %.*s %s\n", (int)len, row->name, kinds[row->kind]);
    if (!openmetrics)
        return;
    const char *unit = strcmp(row->unit, "s") == 0    ? "seconds"
                       : strcmp(row->unit, "By") == 0 ? "bytes"
                       : strcmp(row->unit, "J") == 0  ? "joules"
                                                      : NULL;
    if (unit && ends_in(row->name, len, unit))
        buf_addf(out, "# UNIT %.*s %s\n", (int)len, row->name, unit);
}

void tel_exposition(struct tel *t, bool openmetrics, struct buf *out)
{
    tel__collect(t);
    for (size_t i = 0; i < TEL_METRICS; i++) {
        const struct tel__metric *m = &t->metric[i];
        const struct tel__row *row = &t->row[i];
        if (m->len)
            add_head(row, openmetrics, out);
        for (size_t j = 0; j < m->len; j++) {
            if (row->kind == TEL_HISTOGRAM)
                add_histogram(row, m->series[j], openmetrics, out);
            else
                add_line(row, m->series[j], "", NULL, m->series[j]->number, NULL, out);
        }
    }
    if (openmetrics)
        buf_adds(out, "# EOF\n");
}

/* The weight (RFC 9110, section 12.4.2) of one range of an Accept; 1 if it says none. */
static double weight(const char *range, size_t len)
{
    for (size_t i = 0; i + 2 < len; i++)
        if (range[i] == ';') {
            size_t at = i + 1 + strspn(range + i + 1, " \t");
            if (at + 1 < len && (range[at] == 'q' || range[at] == 'Q') && range[at + 1] == '=')
                return strtod(range + at + 2, NULL);
        }
    return 1;
}

bool tel_wants_openmetrics(const char *accept)
{
    static const char name[] = "application/openmetrics-text", text[] = "text/plain";
    double open = 0, plain = 0;
    while (accept && *accept) {
        accept += strspn(accept, " \t,");
        size_t len = strcspn(accept, ",");
        if (strncasecmp(accept, name, sizeof name - 1) == 0) {
            double w = weight(accept, len);
            open = w > open ? w : open;
        } else if (strncasecmp(accept, text, sizeof text - 1) == 0) {
            plain = weight(accept, len);
        }
        accept += len;
    }
    return open > 0 && open >= plain;
}
