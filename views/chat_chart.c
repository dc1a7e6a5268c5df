/* Charts of series under an answer. Each series is a line that says what it is and its last, lowest
 * and highest value, some rows of area chart, and, behind the last series of a source, the times of
 * both ends. */
#include "views/chat_chart.h"
#include "backend/base/text.h"
#include "views/common.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    SERIES = 6,
    POINTS = 512,
    INDENT = 3,
    NARROW = 24,
    ROWS_ROOMY = 4,
    ROWS_TIGHT = 2,
    STAMP = 20
};

struct series {
    char *label; /* "[1] Load average {instance=a}" */
    char unit[24];
    double *values; /* NAN: unknown */
    size_t n;
    double least, most, last;
    int64_t from, to; /* real ms */
    bool ends;        /* the times stand below it */
};

struct chat_chart {
    struct series series[SERIES];
    size_t n;
};

static void read_points(struct series *s, const json_t *points)
{
    size_t n = json_array_size(points), i;
    json_t *point;
    s->values = xcalloc((n < POINTS ? n : POINTS) + 1, sizeof *s->values);
    s->least = s->most = s->last = NAN;
    json_array_foreach((json_t *)points, i, point)
    {
        const json_t *at = json_array_get(point, 0), *value = json_array_get(point, 1);
        if (s->n == POINTS)
            break;
        double v = json_is_number(value) ? json_number_value(value) : NAN;
        s->values[s->n++] = v;
        if (i == 0)
            s->from = json_integer_value(at);
        s->to = json_integer_value(at);
        if (isnan(v))
            continue;
        s->last = v;
        if (!(v >= s->least))
            s->least = v;
        if (!(v <= s->most))
            s->most = v;
    }
    for (i = 0; i < s->n && s->least < 0; i++) /* below zero the ground is the lowest value */
        s->values[i] -= s->least;
}

static void read_source(struct chat_chart *c, const json_t *source)
{
    const json_t *chart = json_object_get(source, "chart"), *row;
    size_t i, before = c->n;
    json_array_foreach(json_object_get(chart, "series"), i, row)
    {
        if (c->n == SERIES || json_array_size(json_object_get(row, "points")) < 2)
            continue;
        struct series *s = &c->series[c->n++];
        const char *title = json_str(chart, "title", "");
        s->label = xasprintf("[%s] %s%s%s", json_str(source, "id", "?"), title, *title ? " " : "",
                             json_str(row, "label", ""));
        snprintf(s->unit, sizeof s->unit, "%.20s", json_str(chart, "unit", ""));
        read_points(s, json_object_get(row, "points"));
    }
    if (c->n > before)
        c->series[c->n - 1].ends = true;
}

struct chat_chart *chat_chart_new(const json_t *trace)
{
    struct chat_chart *c = xcalloc(1, sizeof *c);
    size_t i;
    json_t *source;
    json_array_foreach(json_object_get(trace, "sources"), i, source) read_source(c, source);
    if (c->n)
        return c;
    free(c);
    return NULL;
}

void chat_chart_free(struct chat_chart *c)
{
    for (size_t i = 0; c && i < c->n; i++) {
        free(c->series[i].label);
        free(c->series[i].values);
    }
    free(c);
}

static int rows_of(const struct chat_chart *c, int level)
{
    return level > 1 ? 1 : level == 1 || c->n > 2 ? ROWS_TIGHT : ROWS_ROOMY;
}

int chat_chart_lines(const struct chat_chart *c, int width, int level)
{
    int lines = 0;
    if (!c || width < NARROW)
        return 0;
    for (size_t i = 0; i < c->n; i++)
        lines += 1 + rows_of(c, level) + c->series[i].ends;
    return lines + (level == 0);
}

/* "1.2 GiB", "37%", "0.42". */
static void figure(double v, const char *unit, char out[32])
{
    static const char *const sizes[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    size_t k = 0;
    if (isnan(v)) {
        snprintf(out, 32, "?");
    } else if (!strncmp(unit, "bytes", 5)) {
        for (; fabs(v) >= 1024 && k < 5; k++)
            v /= 1024;
        snprintf(out, 32, "%.3g %s%s", v, sizes[k], strcmp(unit, "bytes") ? "/s" : "");
    } else if (!strcmp(unit, "percent")) {
        snprintf(out, 32, "%.3g%%", v);
    } else {
        snprintf(out, 32, "%.4g%s%.16s", v, *unit ? " " : "",
                 !strcmp(unit, "seconds") ? "s" : unit);
    }
}

static void head_draw(const struct series *s, struct tui_area a, int y)
{
    char last[32], least[32], most[32];
    figure(s->last, s->unit, last);
    figure(s->least, s->unit, least);
    figure(s->most, s->unit, most);
    char *said = xasprintf(_("now %s, lowest %s, highest %s"), last, least, most);
    int room = a.width - INDENT, need = text_width(said, strlen(said));
    int label = room - need - 2;
    if (label >= 8) {
        int used = tui_put(a, y, INDENT, label, ROLE_DIM, s->label);
        tui_put(a, y, INDENT + used + 2, -1, ROLE_TEXT, said);
    } else {
        tui_put(a, y, INDENT, -1, ROLE_TEXT, said);
    }
    free(said);
}

static void stamp(int64_t at, bool day, char out[STAMP])
{
    time_t s = (time_t)(at / 1000);
    struct tm tm;
    localtime_r(&s, &tm);
    strftime(out, STAMP, day ? "%m-%d %H:%M" : "%H:%M", &tm);
}

static void ends_draw(const struct series *s, struct tui_area a, int y)
{
    char from[STAMP], to[STAMP];
    bool day = s->to - s->from > 20LL * 3600 * 1000;
    stamp(s->from, day, from);
    stamp(s->to, day, to);
    tui_put(a, y, INDENT, -1, ROLE_DIM, from);
    tui_put_right(a, y, INDENT, a.width - INDENT - 1, ROLE_DIM, to);
}

void chat_chart_draw(const struct chat_chart *c, struct tui_area a, int level, int first)
{
    int rows = rows_of(c, level), at = (level == 0) - first; /* the next line, in the area */
    for (size_t i = 0; i < c->n && at < a.height; i++) {
        const struct series *s = &c->series[i];
        if (at >= 0)
            head_draw(s, a, at);
        at++;
        int skip = at < 0 ? -at : 0;
        if (skip < rows)
            tui_chart_part(tui_sub(a, at + skip, INDENT, rows - skip, a.width - INDENT - 1),
                           ROLE_CHART, s->values, s->n, s->least < 0 ? s->most - s->least : s->most,
                           rows, skip);
        at += rows;
        if (s->ends && at >= 0 && at < a.height)
            ends_draw(s, a, at);
        at += s->ends;
    }
}
