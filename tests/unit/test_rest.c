/* The HTTP connectors' pure parts: times, money, pointers, and what Prometheus and the alerts say
 * (A2, A3 of backend/connectors/rest.h). */
#include "backend/connectors/prometheus.h"
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t NOW = 1700000000000;

static void times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool fine;
        int64_t ms;
    } cases[] = {{"now", true, 1700000000000},
                 {"now-1h", true, 1700000000000 - 3600000},
                 {"now-1h30m", true, 1700000000000 - 5400000},
                 {"now-", false, 0},
                 {"now+1h", false, 0},
                 {"nowhere", false, 0},
                 {"1700000000", true, 1700000000000},
                 {"1700000000.5", true, 1700000000500},
                 {"99999999999999", false, 0},
                 {"2023-11-14T22:13:20Z", true, 1700000000000},
                 {"2023-11-15T01:13:20.25+03:00", true, 1700000000250},
                 {"2023-11-14T22:13:20", false, 0},
                 {"2023-11-14", false, 0},
                 {"", false, 0},
                 {"-1h", false, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t ms = -1;
        bool fine = rest__time(cases[i].text, NOW, &ms);
        if (fine != cases[i].fine || (fine && ms != cases[i].ms))
            fail_msg("%s: %d %lld", cases[i].text, fine, (long long)ms);
    }
    int64_t s;
    assert_true(rest__duration("2d", &s) && s == 172800);
    assert_false(rest__duration("2", &s));
    assert_false(rest__duration("2x", &s));
    assert_false(rest__duration("99999999999999999999w", &s));
    assert_false(rest__duration("3650d3650d", &s));
    char stamp[32];
    rest__stamp(NOW, stamp);
    assert_string_equal(stamp, "2023-11-14T22:13:20Z");
}

static void money(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *text; /* NULL: unknown */
    } cases[] = {{"412.5", "412.50"},   {"0", "0.00"},
                 {"-3.07", "-3.07"},    {"\"1234.56\"", "1234.56"},
                 {"0.1", "0.10"},       {"0.30000000000000004", "0.30"},
                 {"1e3", "1000.00"},    {"123456.78", "123456.78"},
                 {"\"-7\"", "-7.00"},   {"null", NULL},
                 {"\"\"", NULL},        {"\"12 RUB\"", NULL},
                 {"1e300", NULL},       {"true", NULL},
                 {"99999999999", NULL}, {"\"1e5\"", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *value = json_loads(cases[i].json, JSON_DECODE_ANY, NULL);
        int64_t nano = 0;
        char text[32] = "";
        bool known = rest__nano(value, &nano);
        rest__money(nano, text);
        if (known != (cases[i].text != NULL) || (known && strcmp(text, cases[i].text) != 0))
            fail_msg("%s: %d %s", cases[i].json, known, text);
        json_decref(value);
    }
    json_t *rub = json_string("rub"), *bad = json_string("ru");
    char currency[4];
    rest__currency(rub, currency);
    assert_string_equal(currency, "RUB");
    rest__currency(bad, currency);
    assert_string_equal(currency, "");
    json_decref(rub);
    json_decref(bad);
}

static void pointers_and_escapes(void **state)
{
    (void)state;
    json_t *doc = json_loads("{\"a\":[{\"b/c\":1},{\"~\":2}],\"\":3}", 0, NULL);
    assert_int_equal(json_integer_value(rest__at(doc, "/a/0/b~1c")), 1);
    assert_int_equal(json_integer_value(rest__at(doc, "/a/1/~0")), 2);
    assert_int_equal(json_integer_value(rest__at(doc, "/")), 3);
    assert_ptr_equal(rest__at(doc, ""), doc);
    assert_null(rest__at(doc, "/a/2"));
    assert_null(rest__at(doc, "/a/01"));
    assert_null(rest__at(doc, "/a/-"));
    assert_null(rest__at(doc, "a"));
    json_decref(doc);
    struct buf b = {0};
    rest__query(&b, "q", "up{a=\"b\"} / x&y=1#@");
    rest__query(&b, "r", "..");
    assert_string_equal(b.data, "?q=up%7Ba%3D%22b%22%7D%20%2F%20x%26y%3D1%23%40&r=..");
    buf_release(&b);
}

/* Runs a shape over one answer. */
static struct host_out shaped(rest_shape_fn *shape, const char *arguments, const char *answer)
{
    json_t *args = json_loads(arguments, 0, NULL), *one = json_loads(answer, 0, NULL);
    assert_non_null(args);
    assert_non_null(one);
    json_t *answers = json_array();
    json_array_append_new(answers, one);
    struct rest_view v = {.account = "", .user = "", .project = "", .password = "", .now_ms = NOW};
    struct host_out out;
    host__out_init(&out);
    shape(&v, NULL, args, answers, &out);
    json_decref(args);
    json_decref(answers);
    return out;
}

static void has(const struct host_out *out, const char *part)
{
    char *text = host__out_text(out);
    if (!strstr(text, part))
        fail_msg("no \"%s\" in: %s", part, text);
    free(text);
}

static void ranges(void **state)
{
    (void)state;
    struct host_out out = shaped(
        prom__shape_query, "{\"query\":\"x_bytes\"}",
        "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[{\"metric\":{\"__"
        "name__"
        "\":\"x_bytes\",\"instance\":\"a\"},\"values\":[[1700000000,\"1024\"],[1700000060,\"NaN\"],"
        "[1700000120.5,\"4096\"],[1700000180,\"+Inf\"]]}]}}");
    assert_int_equal(out.error.code, ERR_OK);
    has(&out, "x_bytes{instance=a} rose");
    has(&out, "from 1.0 KiB to 4.0 KiB");
    const json_t *series = rest__at(out.data, "/series/0");
    assert_int_equal(json_array_size(json_object_get(series, "points")), 4);
    assert_int_equal(json_integer_value(rest__at(series, "/points/2/0")), 1700000120500);
    assert_true(json_is_null(rest__at(series, "/points/1/1")));
    assert_true(json_is_null(rest__at(series, "/points/3/1")));
    assert_int_equal(json_int(series, "unknown", 0), 2);
    assert_string_equal(json_str(out.data, "unit", ""), "bytes");
    host__out_release(&out);
}

static void too_many_series(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_adds(&b, "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[");
    for (int i = 0; i < PROM_MAX_SERIES + 7; i++)
        buf_addf(&b, "%s{\"metric\":{\"i\":\"%d\"},\"values\":[[1,\"1\"],[2,\"1\"]]}", i ? "," : "",
                 i);
    buf_adds(&b, "]}}");
    struct host_out out = shaped(prom__shape_query, "{}", b.data);
    assert_int_equal(json_array_size(json_object_get(out.data, "series")), PROM_MAX_SERIES);
    assert_int_equal(json_int(out.data, "left_out", 0), 7);
    has(&out, "Left out: 7 of 57 series");
    host__out_release(&out);
    buf_release(&b);
}

static void instant(void **state)
{
    (void)state;
    struct host_out out = shaped(
        prom__shape_query, "{\"query\":\"q\"}",
        "{\"status\":\"success\",\"warnings\":[\"partial\"],\"data\":{\"resultType\":\"vector\","
        "\"result\":[{\"metric\":{\"__name__\":\"t_seconds\"},\"value\":[1,\"2.5\"]},{\"metric\":{}"
        ","
        "\"value\":[1,\"NaN\"]},{\"metric\":{\"__name__\":\"h\"},\"histogram\":[1,{\"count\":\"9\","
        "\"sum\":\"3.5\",\"buckets\":[]}]}]}}");
    has(&out, "t_seconds = 2.5 s.");
    has(&out, "value = NaN.");
    has(&out, "count 9, sum 3.5");
    has(&out, "Prometheus warns: partial.");
    assert_true(json_is_null(rest__at(out.data, "/values/1/value")));
    host__out_release(&out);
    out = shaped(
        prom__shape_query, "{}",
        "{\"status\":\"success\",\"data\":{\"resultType\":\"scalar\",\"result\":[1,\"42\"]}}");
    has(&out, "The value is 42.");
    host__out_release(&out);
}

static void not_prometheus(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "{}",
        "[]",
        "{\"status\":\"success\"}",
        "{\"status\":\"error\",\"data\":{}}",
        "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":7}}",
        "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[{\"value\":[1,2]}]"
        "}}",
        "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[{\"values\":[["
        "\"x\","
        "\"1\"]]}]}}"};
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct host_out out = shaped(prom__shape_query, "{}", answers[i]);
        assert_int_equal(out.error.code, ERR_PROTOCOL);
        host__out_release(&out);
    }
}

static void alerts_and_targets(void **state)
{
    (void)state;
    struct host_out out = shaped(
        prom__shape_alerts, "{}",
        "{\"status\":\"success\",\"data\":{\"alerts\":[{\"labels\":{\"alertname\":\"Slow\","
        "\"severity\":"
        "\"warning\"},\"state\":\"pending\"},{\"labels\":{\"alertname\":\"Down\",\"severity\":"
        "\"critical\",\"instance\":\"a\\u001b[31m\"},\"annotations\":{\"summary\":\"It is down\"},"
        "\"state\":\"firing\",\"activeAt\":\"2023-11-14T22:13:20.5Z\"}]}}");
    has(&out, "Alerts firing: 1 (critical: 1); pending: 1");
    has(&out,
        "Alert Down is firing since 2023-11-14T22:13:20: {severity=critical, instance=a^[[31m}");
    assert_string_equal(json_str(rest__at(out.data, "/alerts/0"), "name", ""), "Down");
    assert_string_equal(json_str(rest__at(out.data, "/findings/0"), "severity", ""), "fail");
    host__out_release(&out);
    out = shaped(
        prom__shape_targets, "{}",
        "{\"status\":\"success\",\"data\":{\"activeTargets\":[{\"health\":\"up\"},{\"health\":"
        "\"down\",\"scrapeUrl\":\"http://b\",\"lastError\":\"refused\",\"labels\":{\"job\":"
        "\"j\"}}]}}");
    has(&out, "Prometheus scrapes 1 of 2 targets.");
    has(&out, "Target http://b of job j is down: refused.");
    host__out_release(&out);
    out = shaped(prom__shape_alerts, "{}",
                 "{\"status\":\"success\",\"data\":{\"alerts\":[{\"state\":\"firing\"},7]}}");
    has(&out, "Alert ? is firing"); /* without labels, as the fuzzer found */
    host__out_release(&out);
    out = shaped(prom__shape_alerts, "{}", "{\"status\":\"success\",\"data\":{\"alerts\":[]}}");
    has(&out, "No alert is firing");
    host__out_release(&out);
}

static void steps(void **state)
{
    (void)state;
    assert_int_equal(prom__step(0, 3600000, 0), 15);
    assert_int_equal(prom__step(0, 1000, 0), 1);
    int64_t month = prom__step(0, 30LL * 86400000, 1);
    assert_true(30 * 86400 / month + 1 <= PROM_MAX_POINTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(times),
                                       cmocka_unit_test(money),
                                       cmocka_unit_test(pointers_and_escapes),
                                       cmocka_unit_test(ranges),
                                       cmocka_unit_test(too_many_series),
                                       cmocka_unit_test(instant),
                                       cmocka_unit_test(not_prometheus),
                                       cmocka_unit_test(alerts_and_targets),
                                       cmocka_unit_test(steps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
