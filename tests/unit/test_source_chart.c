/* What a trace keeps of series for a chart: bounds, peaks, unknown values
 * (backend/orchestrator/chart.c). */
#include "backend/orchestrator/internal.h"
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <string.h>

static json_t *series(int count, int points, int peak)
{
    json_t *list = json_array(), *data = json_object();
    for (int i = 0; i < count; i++) {
        json_t *one = json_object(), *labels = json_object(), *at = json_array();
        json_puts(labels, "__name__", "m");
        json_puts(labels, "job", "j");
        json_puts(labels, "instance", "a");
        for (int k = 0; k < points; k++)
            json_array_append_new(at, k % 7 == 3 ? json_pack("[i, n]", k)
                                                 : json_pack("[i, f]", k, k == peak ? 99.0 : 1.0));
        json_put(one, "labels", labels);
        json_put(one, "points", at);
        json_array_append_new(list, one);
    }
    json_put(data, "series", list);
    json_puts(data, "unit", "bytes");
    return data;
}

static void thinned(void **state)
{
    (void)state;
    json_t *data = series(9, 11000, 5000), *chart = orch__chart(data);
    assert_non_null(chart);
    const json_t *list = json_object_get(chart, "series"), *points;
    assert_int_equal(json_array_size(list), 4);
    assert_string_equal(json_str(json_array_get(list, 0), "label", ""), "m{instance=a}");
    assert_string_equal(json_str(chart, "unit", ""), "bytes");
    points = json_object_get(json_array_get(list, 0), "points");
    assert_int_equal(json_array_size(points), 240);
    bool peak = false;
    for (size_t i = 0; i < 240; i++)
        peak = peak || json_number_value(json_array_get(json_array_get(points, i), 1)) == 99.0;
    assert_true(peak);
    json_decref(chart);
    json_decref(data);
}

static void few_and_none(void **state)
{
    (void)state;
    json_t *data = series(1, 5, 1), *chart = orch__chart(data);
    const json_t *points =
        json_object_get(json_array_get(json_object_get(chart, "series"), 0), "points");
    assert_int_equal(json_array_size(points), 5);
    assert_true(json_is_null(json_array_get(json_array_get(points, 3), 1)));
    json_decref(chart);
    json_decref(data);
    data = series(3, 1, 0);
    assert_null(orch__chart(data));
    json_decref(data);
    data = json_pack("{s:[n, i, {s:i}]}", "series", 4, "points", 1);
    assert_null(orch__chart(data));
    json_decref(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(thinned), cmocka_unit_test(few_and_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
