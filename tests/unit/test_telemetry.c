#include "backend/telemetry/telemetry.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void nothing_was_measured(void **state)
{
    (void)state;
    struct tel_history h = {0};
    double out[TEL_HISTORY];
    assert_int_equal(tel_values(&h, out), 0);
    assert_true(tel_quantile(&h, 0.5) == -1.0);
    assert_true(tel_error_rate(&h) == 0.0);
    tel_record_failure(&h);
    assert_true(tel_quantile(&h, 0.5) == -1.0);
    assert_true(tel_error_rate(&h) == 1.0);
}

static void quantiles_are_measured_values(void **state)
{
    (void)state;
    struct tel_history h = {0};
    for (int i = 20; i >= 1; i--)
        tel_record(&h, i);
    tel_record_failure(&h);
    assert_true(tel_quantile(&h, 0) == 1.0);
    assert_true(tel_quantile(&h, 0.5) == 10.0);
    assert_true(tel_quantile(&h, 0.95) == 19.0);
    assert_true(tel_quantile(&h, 1) == 20.0);
    assert_true(tel_quantile(&h, 7) == 20.0);
    assert_true(tel_error_rate(&h) > 0.047 && tel_error_rate(&h) < 0.048);
    tel_record(&h, -5);
    assert_true(tel_quantile(&h, 0) == 0.0);
    assert_int_equal(h.failures, 1);
}

static void the_ring_keeps_the_last(void **state)
{
    (void)state;
    struct tel_history h = {0};
    double out[TEL_HISTORY];
    tel_record_failure(&h);
    tel_record(&h, 1);
    assert_int_equal(tel_values(&h, out), 2);
    assert_true(out[0] == -1.0 && out[1] == 1.0);
    for (int i = 0; i < 100; i++)
        tel_record(&h, i);
    assert_int_equal(tel_values(&h, out), TEL_HISTORY);
    for (int i = 0; i < TEL_HISTORY; i++)
        assert_true(out[i] == 100.0 - TEL_HISTORY + i);
    assert_int_equal(h.total, 102);
    assert_int_equal(h.failures, 1);
    assert_true(tel_error_rate(&h) == 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_was_measured),
        cmocka_unit_test(quantiles_are_measured_values),
        cmocka_unit_test(the_ring_keeps_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
