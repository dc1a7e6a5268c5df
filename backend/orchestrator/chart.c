/* What a source measured over time, as the trace keeps it for a chart: a few series of a few
 * points, thinned so that no peak is lost. */
#include "backend/orchestrator/internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHART_SERIES = 4, CHART_POINTS = 240, LABEL_MAX = 120 };

/* "{a=1, b=2}" of labels; the name of the metric is in front. */
static char *label_of(const json_t *labels)
{
    struct buf text = {0};
    const char *key;
    json_t *value;
    buf_adds(&text, json_str(labels, "__name__", ""));
    bool open = false;
    json_object_foreach((json_t *)labels, key, value)
    {
        if (strcmp(key, "__name__") == 0 || strcmp(key, "job") == 0 || !json_is_string(value) ||
            text.len > LABEL_MAX)
            continue;
        buf_addf(&text, "%s%s=%s", open ? ", " : "{", key, json_string_value(value));
        open = true;
    }
    if (open)
        buf_addc(&text, '}');
    return buf_take(&text);
}

/* Of points from..to the one with the greatest value, as [ms, value]; unknown if all are. */
static json_t *peak(const json_t *points, size_t from, size_t to)
{
    const json_t *best = json_array_get(points, from);
    double most = NAN;
    for (size_t i = from; i < to; i++) {
        const json_t *value = json_array_get(json_array_get(points, i), 1);
        if (json_is_number(value) && !(json_number_value(value) <= most)) {
            most = json_number_value(value);
            best = json_array_get(points, i);
        }
    }
    return json_deep_copy(best);
}

json_t *orch__chart(const json_t *data)
{
    json_t *list = json_array(), *row;
    size_t i;
    json_array_foreach(json_object_get(data, "series"), i, row)
    {
        const json_t *points = json_object_get(row, "points");
        size_t n = json_array_size(points), kept = n < CHART_POINTS ? n : CHART_POINTS;
        if (json_array_size(list) == CHART_SERIES || n < 2)
            continue;
        json_t *doc = json_object(), *thin = json_array();
        char *label = label_of(json_object_get(row, "labels"));
        for (size_t k = 0; k < kept; k++)
            json_array_append_new(thin, peak(points, k * n / kept, (k + 1) * n / kept));
        json_puts(doc, "label", label);
        json_put(doc, "points", thin);
        json_array_append_new(list, doc);
        free(label);
    }
    if (!json_array_size(list)) {
        json_decref(list);
        return NULL;
    }
    json_t *chart = json_object();
    json_puts(chart, "title", json_str(data, "title", ""));
    json_puts(chart, "unit", json_str(data, "unit", ""));
    json_put(chart, "series", list);
    return chart;
}
