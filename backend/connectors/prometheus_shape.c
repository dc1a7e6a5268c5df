/* What Prometheus answers, as findings, values and series. Pure.
 *
 * A series of data.series is {labels, points: [[ms, value]]}; a value is null where the sample is
 * NaN or infinite. What is left out for the bounds is counted and said. */
#include "backend/base/text.h"
#include "backend/connectors/prometheus.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_TOLD = 20, LIST_TOLD = 40 };

const json_t *prom__data(const json_t *answers, struct host_out *out)
{
    const json_t *answer = json_array_get(answers, 0), *data = json_object_get(answer, "data");
    if (strcmp(json_str(answer, "status", ""), "success") != 0 || !data) {
        err_set(&out->error, ERR_PROTOCOL, "the answer is none of Prometheus");
        return NULL;
    }
    const json_t *warning = json_array_get(json_object_get(answer, "warnings"), 0);
    if (json_is_string(warning)) {
        char *said = rest__name(warning);
        host__say(out, HOST_WARN, "prometheus", NAN, "", xasprintf("Prometheus warns: %s.", said),
                  xasprintf("Prometheus предупреждает: %s.", said));
        free(said);
    }
    return data;
}

/* ---- values */

/* A sample's value is a text: a decimal number, "NaN", "+Inf" or "-Inf"; false: something else. */
static bool sample_value(const json_t *text, double *value)
{
    const char *s = json_is_string(text) ? json_string_value(text) : "";
    char *end;
    if (!*s || strlen(s) > 64 || strpbrk(s, "xXpP \t\n"))
        return false;
    *value = strtod(s, &end);
    return !*end;
}

static const char *unit_of_name(const char *name)
{
    size_t len = strlen(name);
    if (len > 6 && strcmp(name + len - 6, "_total") == 0)
        len -= 6;
    static const struct {
        const char *ending, *unit;
    } units[] = {{"_bytes", "bytes"},
                 {"_seconds", "seconds"},
                 {"_celsius", "celsius"},
                 {"_ratio", "ratio"},
                 {"_percent", "percent"},
                 {"_volts", "volts"},
                 {"_amperes", "amperes"},
                 {"_joules", "joules"},
                 {"_hertz", "hertz"},
                 {"_meters", "meters"},
                 {"_info", ""}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t n = strlen(units[i].ending);
        if (len > n && strncmp(name + len - n, units[i].ending, n) == 0)
            return units[i].unit;
    }
    return "";
}

/* A figure with its unit; exact beside what is rounded. */
static struct host_figure figure_of(double value, const char *unit)
{
    struct host_figure f;
    if (!isfinite(value)) {
        snprintf(f.en, sizeof f.en, "%s", isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
    } else if (strcmp(unit, "bytes") == 0 && value >= 0) {
        return host__bytes(value);
    } else if (strcmp(unit, "bytes per second") == 0 && value >= 0) {
        struct host_figure b = host__bytes(value);
        snprintf(f.en, sizeof f.en, "%.30s/s", b.en);
        snprintf(f.ru, sizeof f.ru, "%.30s/с", b.ru);
        return f;
    } else if (strcmp(unit, "percent") == 0) {
        snprintf(f.en, sizeof f.en, "%.3g%%", fabs(value) < 1000 ? value : 0.0);
        if (fabs(value) >= 1000)
            snprintf(f.en, sizeof f.en, "%.6g%%", value);
    } else {
        snprintf(f.en, sizeof f.en, "%.6g%s%s", value, *unit ? " " : "",
                 strcmp(unit, "seconds") == 0 ? "s" : unit);
    }
    memcpy(f.ru, f.en, sizeof f.ru);
    for (char *p = f.ru; *p; p++) {
        if (*p == '.')
            *p = ',';
    }
    return f;
}

static json_t *number_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

/* The metric's name with its labels; malloc'ed. */
static char *series_name(const json_t *metric, const char *otherwise)
{
    const json_t *name = json_object_get(metric, "__name__");
    char *base = json_is_string(name) ? rest__name(name) : host__clean(otherwise);
    char *labels = rest__labels(metric, "");
    char *whole = xasprintf("%s%s", base, labels);
    free(base);
    free(labels);
    return whole;
}

/* ---- instant values */

static void say_histogram(struct host_out *out, const json_t *metric, const json_t *h)
{
    char *name = series_name(metric, "histogram");
    char *count = rest__name(json_object_get(h, "count")),
         *sum = rest__name(json_object_get(h, "sum"));
    host__say(out, HOST_OK, "prometheus", NAN, "",
              xasprintf("%s is a histogram: count %s, sum %s.", name, count, sum),
              xasprintf("%s — гистограмма: число %s, сумма %s.", name, count, sum));
    free(name);
    free(count);
    free(sum);
}

static bool add_value(struct host_out *out, json_t *values, const json_t *row, bool tell)
{
    const json_t *metric = json_object_get(row, "metric"), *pair = json_object_get(row, "value");
    const json_t *histogram = json_array_get(json_object_get(row, "histogram"), 1);
    double value = NAN;
    if (!histogram && !sample_value(json_array_get(pair, 1), &value))
        return false;
    const char *unit = unit_of_name(json_str(metric, "__name__", ""));
    json_t *doc = json_object();
    json_put(doc, "labels", json_is_object(metric) ? json_deep_copy(metric) : json_object());
    if (histogram)
        json_put(doc, "histogram", json_deep_copy(histogram));
    else
        json_put(doc, "value", number_or_null(value));
    json_puts(doc, "unit", unit);
    json_array_append_new(values, doc);
    if (tell && histogram) {
        say_histogram(out, metric, histogram);
    } else if (tell) {
        struct host_figure f = figure_of(value, unit);
        char *name = series_name(metric, "value");
        host__say(out, HOST_OK, "prometheus", value, unit, xasprintf("%s = %s.", name, f.en),
                  xasprintf("%s = %s.", name, f.ru));
        free(name);
    }
    return true;
}

static void say_left_out(struct host_out *out, size_t left, size_t of)
{
    json_puti(out->data, "left_out", (int64_t)left);
    if (left)
        host__say(out, HOST_OK, "prometheus", NAN, "",
                  xasprintf("Left out: %zu of %zu series.", left, of),
                  xasprintf("Не показано рядов: %zu из %zu.", left, of));
}

static void say_nothing(struct host_out *out)
{
    host__say(out, HOST_OK, "prometheus", NAN, "",
              xstrdup("Prometheus has no data for this query."),
              xstrdup("У Prometheus нет данных по этому запросу."));
}

static void shape_vector(const json_t *result, struct host_out *out)
{
    json_t *values = json_array(), *row;
    size_t i, n = json_array_size(result);
    json_array_foreach((json_t *)result, i, row)
    {
        if (i < REST_MAX_ROWS && !add_value(out, values, row, i < ROWS_TOLD)) {
            err_set(&out->error, ERR_PROTOCOL, "a sample has no value");
            break;
        }
    }
    if (!n)
        say_nothing(out);
    json_put(out->data, "values", values);
    say_left_out(out, n > ROWS_TOLD ? n - ROWS_TOLD : 0, n);
}

/* ---- series */

struct range { /* of the finite values of a series */
    double first, last, min, max, sum;
    int64_t from, to, min_at, max_at;
    size_t n, unknown;
};

static bool add_point(json_t *points, const json_t *pair, struct range *r)
{
    double at =
        json_is_number(json_array_get(pair, 0)) ? json_number_value(json_array_get(pair, 0)) : NAN;
    double value;
    if (!(at > 0 && at < 4e10) || !sample_value(json_array_get(pair, 1), &value))
        return false;
    int64_t ms = (int64_t)llround(at * 1000);
    json_t *point = json_array();
    json_array_append_new(point, json_integer(ms));
    json_array_append_new(point, number_or_null(value));
    json_array_append_new(points, point);
    if (!isfinite(value)) {
        r->unknown++;
        return true;
    }
    if (!r->n || value < r->min) {
        r->min = value;
        r->min_at = ms;
    }
    if (!r->n || value > r->max) {
        r->max = value;
        r->max_at = ms;
    }
    if (!r->n) {
        r->first = value;
        r->from = ms;
    }
    r->last = value;
    r->to = ms;
    r->sum += value;
    r->n++;
    return true;
}

/* Rose or fell by over a tenth of what there was, as seen from the first to the last value. */
static int direction(const struct range *r)
{
    double scale = fmax(fmax(fabs(r->first), fabs(r->last)), 1e-9), change = r->last - r->first;
    return change > scale / 10 ? 1 : change < -scale / 10 ? -1 : 0;
}

static void clock_of(int64_t ms, int64_t span_ms, char out[32])
{
    rest__stamp(ms, out);
    if (strlen(out) < 20)
        return;
    if (span_ms < 86400000)
        memmove(out, out + 11, 6); /* HH:MM */
    out[span_ms < 86400000 ? 5 : 16] = '\0';
}

static void say_series(struct host_out *out, const char *topic, const char *name_en,
                       const char *name_ru, const char *unit, const struct range *r)
{
    static const char *const en[] = {"fell", "stayed about the same", "rose"};
    static const char *const ru[] = {"снизилась", "почти не изменилась", "выросла"};
    int way = direction(r) + 1;
    char low[32], high[32];
    int64_t span = r->to - r->from;
    clock_of(r->min_at, span, low);
    clock_of(r->max_at, span, high);
    struct host_figure first = figure_of(r->first, unit), last = figure_of(r->last, unit),
                       min = figure_of(r->min, unit), max = figure_of(r->max, unit),
                       mean = figure_of(r->sum / (double)r->n, unit),
                       time = host__duration((double)span / 1000);
    host__say(
        out, HOST_OK, topic, r->last, unit,
        xasprintf("%s %s in %s: from %s to %s now; lowest %s at %s, highest %s at %s UTC, mean %s.",
                  name_en, en[way], time.en, first.en, last.en, min.en, low, max.en, high, mean.en),
        xasprintf("%s: величина %s за %s: с %s до %s сейчас; наименьшая %s в %s, наибольшая %s "
                  "в %s UTC, средняя %s.",
                  name_ru, ru[way], time.ru, first.ru, last.ru, min.ru, low, max.ru, high,
                  mean.ru));
}

struct shaping {
    const struct prom_what *what; /* of history, or NULL */
    const char *unit;
    size_t points, left_out, told;
};

static bool add_series(struct host_out *out, json_t *list, const json_t *row, struct shaping *s)
{
    const json_t *metric = json_object_get(row, "metric"), *values = json_object_get(row, "values");
    size_t n = json_array_size(values), i;
    if (!json_is_array(values)) /* of histograms only their being there is told */
        return json_is_array(json_object_get(row, "histograms"));
    if (n > PROM_MAX_POINTS || s->points + n > PROM_ALL_POINTS ||
        json_array_size(list) >= PROM_MAX_SERIES) {
        s->left_out++;
        return true;
    }
    json_t *doc = json_object(), *points = json_array(), *pair;
    struct range r = {0};
    bool fine = true;
    json_array_foreach((json_t *)values, i, pair) fine = fine && add_point(points, pair, &r);
    s->points += n;
    json_put(doc, "labels", json_is_object(metric) ? json_deep_copy(metric) : json_object());
    json_put(doc, "points", points);
    if (r.unknown)
        json_puti(doc, "unknown", (int64_t)r.unknown);
    json_array_append_new(list, doc);
    if (!s->what && !*s->unit)
        s->unit = unit_of_name(json_str(metric, "__name__", ""));
    if (fine && r.n && s->told++ < PROM_TOLD) {
        char *name = series_name(metric, "value"), *labels = rest__labels(metric, "job");
        char *en = s->what ? xasprintf("%s %s", s->what->en, labels) : xstrdup(name);
        char *ru = s->what ? xasprintf("%s %s", s->what->ru, labels) : xstrdup(name);
        say_series(out, s->what ? s->what->topic : "prometheus", en, ru, s->unit, &r);
        free(name);
        free(labels);
        free(en);
        free(ru);
    }
    return fine;
}

static void shape_matrix(const json_t *result, const struct prom_what *what, struct host_out *out)
{
    struct shaping s = {.what = what, .unit = what ? what->unit : ""};
    json_t *list = json_array(), *row;
    size_t i;
    json_array_foreach((json_t *)result, i, row)
    {
        if (!add_series(out, list, row, &s)) {
            err_set(&out->error, ERR_PROTOCOL, "a series has a sample that is none");
            break;
        }
    }
    json_put(out->data, "series", list);
    json_puts(out->data, "unit", s.unit);
    if (what)
        json_puts(out->data, "title", what->en);
    if (!json_array_size(list) && !s.left_out)
        say_nothing(out);
    say_left_out(out, s.left_out, json_array_size(result));
}

static void shape_scalar(const json_t *result, struct host_out *out)
{
    double value = NAN;
    const json_t *text = json_array_get(result, 1);
    char *said = rest__name(text);
    sample_value(text, &value);
    json_put(out->data, "value",
             isfinite(value) ? json_real(value) : json_deep_copy(text ? text : json_null()));
    host__say(out, HOST_OK, "prometheus", value, "", xasprintf("The value is %s.", said),
              xasprintf("Значение: %s.", said));
    free(said);
}

void prom__shape_query(const struct rest_view *v, const struct rest_tool *t,
                       const json_t *arguments, const json_t *answers, struct host_out *out)
{
    (void)v;
    (void)t;
    const json_t *data = prom__data(answers, out), *result = json_object_get(data, "result");
    const char *type = json_str(data, "resultType", "");
    if (!data)
        return;
    const struct prom_what *what = prom__what(json_str(arguments, "what", ""));
    json_puts(out->data, "query", what ? what->query : json_str(arguments, "query", ""));
    json_puts(out->data, "result_type", type);
    if (!json_is_array(result))
        err_set(&out->error, ERR_PROTOCOL, "the answer has no result");
    else if (strcmp(type, "vector") == 0)
        shape_vector(result, out);
    else if (strcmp(type, "matrix") == 0)
        shape_matrix(result, what, out);
    else
        shape_scalar(result, out);
}
