/* Whatever an HTTP API answers: each shape ends in findings or an error, what is kept stays within
 * its bounds, and times and amounts that are taken are in their ranges. */
#include "backend/connectors/prometheus.h"

#include <stdlib.h>
#include <string.h>

static void shape(rest_shape_fn *fn, const struct rest_tool *t, const json_t *answers,
                  const json_t *arguments)
{
    struct rest_view v = {.account = "", .user = "", .project = "", .password = "", .now_ms = 1};
    struct host_out out;
    host__out_init(&out);
    fn(&v, t, arguments, answers, &out);
    char *text = host__out_text(&out);
    for (const char *p = text; *p; p++)
        BUG_IF((unsigned char)*p < 0x20 && *p != '\n');
    free(text);
    BUG_IF(json_array_size(json_object_get(out.data, "series")) > PROM_MAX_SERIES);
    BUG_IF(json_array_size(json_object_get(out.data, "alerts")) > REST_MAX_ROWS);
    host__out_release(&out);
}

static void all_shapes(const json_t *answers)
{
    static rest_shape_fn *const shapes[] = {prom__shape_query,   prom__shape_alerts,
                                            prom__shape_targets, prom__shape_rules,
                                            prom__shape_metrics, prom__shape_labels};
    static const struct rest_kind *const kinds[] = {&rest__alertmanager, &rest__selectel,
                                                    &rest__timeweb, &rest__catalogue};
    json_t *arguments = json_object();
    json_puts(arguments, "name", "a");
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (size_t i = 0; i < kinds[k]->tool_count; i++)
            shape(kinds[k]->tools[i].shape, &kinds[k]->tools[i], answers, arguments);
    }
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        shape(shapes[i], NULL, answers, arguments);
    json_puts(arguments, "what", "load");
    json_puts(arguments, "label", "job");
    shape(prom__shape_query, NULL, answers, arguments);
    shape(prom__shape_labels, NULL, answers, arguments);
    json_decref(arguments);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error e = {0};
    int64_t ms, seconds, nano;
    char *text = xstrndup((const char *)data, size), out[32];
    if (rest__time(text, 1700000000000, &ms)) {
        BUG_IF(ms > 40000000000000);
        rest__stamp(ms, out);
    }
    if (rest__duration(text, &seconds))
        BUG_IF(seconds < 0 || seconds > 10LL * 366 * 86400);
    json_t *answer = json_read((const char *)data, size, 65536, REST_MAX_DEPTH, &e);
    if (answer) {
        if (rest__nano(answer, &nano))
            rest__money(nano, out);
        json_t *answers = json_array(), *wrapped = json_object(), *inner = json_object();
        json_array_append(answers, answer);
        all_shapes(answers);
        json_array_clear(answers); /* and as the result of an answer that succeeded */
        json_puts(wrapped, "status", "success");
        json_puts(inner, "resultType", size % 2 ? "vector" : "matrix");
        json_put(inner, "result", json_incref(answer));
        json_put(inner, "alerts", json_incref(answer));
        json_put(inner, "activeTargets", json_incref(answer));
        json_put(inner, "groups", json_incref(answer));
        json_put(inner, "billings", json_incref(answer));
        json_put(inner, "agreements", json_incref(answer));
        json_put(wrapped, "servers", json_incref(answer));
        json_put(wrapped, "finances", json_incref(answer));
        json_put(wrapped, "services_costs", json_incref(answer));
        json_put(wrapped, "statistics", json_incref(answer));
        json_put(wrapped, "data", size % 3 ? inner : json_incref(answer));
        if (size % 3 == 0)
            json_decref(inner);
        json_array_append_new(answers, wrapped);
        all_shapes(answers);
        json_decref(answers);
        json_decref(answer);
    }
    free(text);
    return 0;
}
