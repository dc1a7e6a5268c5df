/* What a tool answered: its text and data; series over time as charts. */
#include "views/chat_chart.h"
#include "views/connectors.h"
#include <stdlib.h>
#include <string.h>

enum { SHOWN_MAX = 64 * 1024, POINTS = 240, INDENT = 0 };

static void answer_text(struct tui_text *t, const json_t *answer)
{
    const char *text = json_str(answer, "text", "");
    char took[16], *shown = xstrndup(text, SHOWN_MAX);
    json_t *data = json_object_get(answer, "data"), *entries = json_object_get(answer, "entries");
    bool ok = json_flag(answer, "ok", false);
    tui_duration(json_num(answer, "elapsed_us", 0) / 1000, took);
    tui_text_addf(t, ok ? ROLE_OK : ROLE_FAIL, 0, false, "%s  %s",
                  ok ? _("answered") : _("the tool says that it failed"), took);
    for (size_t i = 0; i < json_array_size(entries); i++)
        tui_text_addf(t, ROLE_DIM, 0, false, _("entry %lld of the log"),
                      (long long)json_integer_value(json_array_get(entries, i)));
    if (strlen(text) > SHOWN_MAX)
        tui_text_addf(t, ROLE_WARN, 0, false,
                      _("%zu bytes; the first %d are shown, the whole is in the log"), strlen(text),
                      SHOWN_MAX);
    tui_text_add(t, ROLE_TEXT, 0, false, "");
    tui_text_add(t, ROLE_FOREIGN, 0, true, shown);
    if (data && !json_is_null(data) && !json_is_array(json_object_get(data, "series"))) {
        char *dump = json_dumps(data, JSON_INDENT(2) | JSON_ENCODE_ANY);
        if (dump && strlen(dump) > SHOWN_MAX)
            dump[SHOWN_MAX] = 0;
        tui_text_add(t, ROLE_TEXT, 0, false, "");
        tui_text_add(t, ROLE_DIM, 0, false, _("data"));
        tui_text_add(t, ROLE_FOREIGN_CODE, 0, true, dump ? dump : "");
        free(dump);
    }
    free(shown);
}

/* ---- series: [{labels, points: [[ms, value]]}], as chat_chart.h reads a source's chart */

static char *label_of(const json_t *series)
{
    json_t *labels = json_object_get(series, "labels"), *value;
    struct buf b = {0};
    const char *key;
    buf_adds(&b, json_str(series, "label", json_str(labels, "__name__", "")));
    json_object_foreach(labels, key, value)
    {
        if (strcmp(key, "__name__") != 0 && json_is_string(value))
            buf_addf(&b, " %s=%s", key, json_string_value(value));
    }
    buf_addc(&b, 0);
    return buf_take(&b);
}

/* Every n-th point and the last one: a chart has no more columns anyway. */
static json_t *thinned(const json_t *points)
{
    size_t n = json_array_size(points), step = n / POINTS + 1;
    json_t *out = json_array();
    for (size_t i = 0; i < n; i += step)
        json_array_append(out, json_array_get(points, i));
    if (n && (n - 1) % step)
        json_array_append(out, json_array_get(points, n - 1));
    return out;
}

static struct chat_chart *charts_of(const struct connectors *c, const json_t *data)
{
    const json_t *series;
    size_t i;
    json_t *rows = json_array();
    json_array_foreach(json_object_get(data, "series"), i, series)
    {
        char *label = label_of(series);
        json_t *row = json_object();
        json_puts(row, "label", label);
        json_put(row, "points", thinned(json_object_get(series, "points")));
        json_array_append_new(rows, row);
        free(label);
    }
    json_t *trace = json_pack("{s:[{s:s,s:{s:s,s:o}}]}", "sources", "id", c->called, "chart",
                              "unit", json_str(data, "unit", ""), "series", rows);
    struct chat_chart *chart = trace ? chat_chart_new(trace) : NULL;
    json_decref(trace);
    return chart;
}

void connector_answer_drop(struct connectors *c)
{
    chat_chart_free(c->chart);
    c->chart = NULL;
    c->answered = false;
}

void connector_answer_show(struct connectors *c, const json_t *answer)
{
    connector_answer_drop(c);
    if (!c->open || !c->tool || strcmp(c->tool, c->called) != 0) {
        struct tui_text *t = tui_text_new();
        answer_text(t, answer);
        tui_overlay(c->called, t);
        return;
    }
    c->answered = true;
    c->chart = charts_of(c, json_object_get(answer, "data"));
    c->scroll = (struct view_scroll){0};
    tui_text_clear(c->text);
    answer_text(c->text, answer);
}

void connector_answer_draw(struct connectors *c, struct view_page *p)
{
    int lines = chat_chart_lines(c->chart, p->area.width, 0);
    if (!lines)
        return;
    int first = p->y < 0 ? -p->y : 0, y = p->y < 0 ? 0 : p->y;
    if (first < lines && y < p->area.height)
        chat_chart_draw(c->chart, tui_sub(p->area, y, INDENT, lines - first, p->area.width), 0,
                        first);
    p->y += lines;
}
