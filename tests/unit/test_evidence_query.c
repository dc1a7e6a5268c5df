/* The evidence pane's filter as text: names, times, and a name put in or taken out. */
#include "views/evidence_query.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const int64_t now = INT64_C(1790000000) * 1000;

static json_t *good(const char *text)
{
    char bad[64];
    json_t *params = evidence_query(text, now, bad);
    assert_non_null(params);
    assert_string_equal(bad, "");
    return params;
}

static void wrong(const char *text, const char *word)
{
    char bad[64];
    assert_null(evidence_query(text, now, bad));
    assert_string_equal(bad, word);
}

static void names_and_words(void **state)
{
    (void)state;
    json_t *p = good("");
    assert_int_equal(json_object_size(p), 0);
    json_decref(p);
    p = good("  disk kind:answer,verdict full actor:model: trace:ab12 ");
    assert_string_equal(json_str(p, "text", ""), "disk full");
    assert_int_equal(json_array_size(json_object_get(p, "types")), 2);
    assert_string_equal(json_str(p, "actor", ""), "model:");
    assert_string_equal(json_str(p, "trace_id", ""), "ab12");
    json_decref(p);
    p = good("\"kind:of  magic\" http://x"); /* quoted, and no name that is known */
    assert_string_equal(json_str(p, "text", ""), "kind:of  magic http://x");
    assert_null(json_object_get(p, "types"));
    json_decref(p);
    wrong("disk kind:", "kind:");
    wrong("since:nonsense disk", "since:nonsense");
    wrong("until:25:00", "until:25:00");
}

static int64_t local(int year, int month, int day, int hour, int minute, int second)
{
    struct tm tm = {.tm_year = year - 1900,
                    .tm_mon = month - 1,
                    .tm_mday = day,
                    .tm_hour = hour,
                    .tm_min = minute,
                    .tm_sec = second,
                    .tm_isdst = -1};
    return (int64_t)mktime(&tm) * 1000;
}

static void times(void **state)
{
    (void)state;
    assert_int_equal(evidence_time("15m", now), now - 15 * 60000);
    assert_int_equal(evidence_time("2h", now), now - 2 * 3600000);
    assert_int_equal(evidence_time("3d", now), now - 3 * INT64_C(86400000));
    assert_int_equal(evidence_time("2026-11-27", now), local(2026, 11, 27, 0, 0, 0));
    assert_int_equal(evidence_time("2026-11-27T14:30", now), local(2026, 11, 27, 14, 30, 0));
    assert_int_equal(evidence_time("2026-11-27 14:30:05", now), local(2026, 11, 27, 14, 30, 5));
    int64_t noon = local(2026, 11, 27, 12, 0, 0);
    assert_int_equal(evidence_time("11:30", noon), local(2026, 11, 27, 11, 30, 0));
    assert_int_equal(evidence_time("12:30", noon), local(2026, 11, 26, 12, 30, 0)); /* that was */
    static const char *const none[] = {"",      "h",           "2x",         "2hh",
                                       "24:00", "12:60",       "2026-13-01", "2026-11-32",
                                       "2026",  "2026-11-27T", "1:2:3:4",    "-2h"};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_int_equal(evidence_time(none[i], now), -1);
}

static void toggled(const char *text, const char *name, const char *value, const char *expected)
{
    char *got = evidence_query_toggle(text, name, value);
    assert_string_equal(got, expected);
    free(got);
}

static void a_name_goes_in_and_out(void **state)
{
    char value[128];
    (void)state;
    toggled("", "kind", "answer", "kind:answer");
    toggled("disk \"two  words\"", "kind", "answer", "disk \"two  words\" kind:answer");
    toggled("kind:question disk", "kind", "answer", "disk kind:answer");
    toggled("disk kind:answer full", "kind", "answer", "disk full");
    toggled("", "actor", "tool:a b", "actor:\"tool:a b\"");
    toggled("actor:\"tool:a b\"", "actor", "tool:a b", "");
    evidence_query_value("disk control:key-present", "control", value);
    assert_string_equal(value, "key-present");
    evidence_query_value("disk \"control:x\"", "control", value);
    assert_string_equal(value, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_and_words), cmocka_unit_test(times),
                                       cmocka_unit_test(a_name_goes_in_and_out)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
