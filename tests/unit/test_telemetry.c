#include "backend/base/json.h"
#include "backend/telemetry/internal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- metrics */

static char *text_of(struct tel *t, bool openmetrics)
{
    struct buf out = {0};
    tel_exposition(t, openmetrics, &out);
    return buf_take(&out);
}

static void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no \"%s\" in:\n%s", part, text);
}

static void a_metric_counts_and_is_told(void **state)
{
    (void)state;
    struct tel *t = tel_new();
    tel_add(t, TEL_model_tokens, 31, TEL_LABELS("a", "input"));
    tel_add(t, TEL_model_tokens, 11, TEL_LABELS("a", "input"));
    tel_add(t, TEL_model_tokens, 7, TEL_LABELS("b\"\\", "output"));
    tel_set(t, TEL_log_entries, 12, TEL_NO_LABELS);
    tel_observe(t, TEL_loop_lag, 0.0001, TEL_NO_LABELS); /* a bound belongs to its bucket */
    tel_observe(t, TEL_loop_lag, 0.3, TEL_NO_LABELS);
    tel_observe(t, TEL_loop_lag, 99, TEL_NO_LABELS);
    tel_total(t, TEL_process_cpu, 2.5, TEL_NO_LABELS);
    tel_total(t, TEL_process_cpu, 1, TEL_NO_LABELS); /* a counter does not fall */
    assert_true(tel_value(t, TEL_model_tokens, TEL_LABELS("a", "input")) == 42);
    assert_true(tel_value(t, TEL_model_tokens, TEL_LABELS("c", "input")) == 0);
    char *text = text_of(t, false);
    has(text, "# TYPE model_tokens_total counter\nmodel_tokens_total{model=\"a\",direction="
              "\"input\"} 42\n");
    has(text, "model_tokens_total{model=\"b\\\"\\\\\",direction=\"output\"} 7\n");
    has(text, "\nlog_entries 12\n");
    has(text, "loop_lag_seconds_bucket{le=\"0.0001\"} 1\n");
    has(text, "loop_lag_seconds_bucket{le=\"0.25\"} 1\nloop_lag_seconds_bucket{le=\"0.5\"} 2\n");
    has(text, "loop_lag_seconds_bucket{le=\"10\"} 2\nloop_lag_seconds_bucket{le=\"+Inf\"} 3\n"
              "loop_lag_seconds_sum 99.3001\nloop_lag_seconds_count 3\n");
    has(text, "process_cpu_seconds_total 2.5\n");
    assert_null(strstr(text, "# EOF"));
    assert_null(strstr(text, "bus_requests_total"));
    free(text);
    text = text_of(t, true);
    has(text, "# TYPE model_tokens counter\nmodel_tokens_total{model=");
    has(text, "# TYPE loop_lag_seconds histogram\n# UNIT loop_lag_seconds seconds\n");
    has(text, "loop_lag_seconds_bucket{le=\"10.0\"} 2\n");
    assert_string_equal(text + strlen(text) - 6, "# EOF\n");
    free(text);
    tel_clear(t, TEL_log_entries);
    text = text_of(t, false);
    assert_null(strstr(text, "log_entries"));
    free(text);
    tel_free(t);
    tel_add(NULL, TEL_model_tokens, 1, TEL_LABELS("a", "input"));
    tel_free(NULL);
}

static void measurements_of_a_kept_trace_are_exemplars(void **state)
{
    (void)state;
    struct tel *t = tel_new();
    tel_observe(t, TEL_loop_lag, 0.3, TEL_NO_LABELS);
    struct tel_span *s = tel_span_begin(t, NULL, TEL_INTERNAL, "a");
    tel_enter(t, tel_span_context(s));
    tel_observe(t, TEL_loop_lag, 0.3, TEL_NO_LABELS); /* nobody exports spans */
    char *text = text_of(t, true);
    assert_null(strstr(text, " # {"));
    free(text);
    tel_span_end(s);
    t->keeps = true;
    s = tel_span_begin(t, NULL, TEL_INTERNAL, "b");
    tel_enter(t, tel_span_context(s));
    tel_observe(t, TEL_loop_lag, 0.4, TEL_NO_LABELS);
    tel_observe(t, TEL_loop_lag, 99, TEL_NO_LABELS);
    tel_enter(t, NULL);
    tel_observe(t, TEL_loop_lag, 0.35, TEL_NO_LABELS); /* of no span: what is there stays */
    const struct tel_context *c = tel_span_context(s);
    char *want = xasprintf("loop_lag_seconds_bucket{le=\"0.5\"} 4 # {trace_id=\"%s\",span_id=\"%s"
                           "\"} 0.4 ",
                           c->trace_id, c->span_id);
    text = text_of(t, true);
    has(text, want);
    has(text, "le=\"+Inf\"} 5 # {trace_id=\"");
    has(text, "loop_lag_seconds_bucket{le=\"1.0\"} 4\n");
    free(text);
    text = text_of(t, false); /* the older format has none */
    assert_null(strstr(text, " # {"));
    free(text);
    free(want);
    tel_span_end(s);
    t->share = 0; /* a trace that is not kept */
    s = tel_span_begin(t, NULL, TEL_INTERNAL, "c");
    tel_enter(t, tel_span_context(s));
    tel_observe(t, TEL_loop_lag, 0.0001, TEL_NO_LABELS);
    text = text_of(t, true);
    has(text, "loop_lag_seconds_bucket{le=\"0.0001\"} 1\n");
    free(text);
    tel_span_end(s);
    tel_free(t);
}

/* T1: bounded, and no count is lost. */
static void labels_are_bounded(void **state)
{
    (void)state;
    struct tel *t = tel_new();
    char name[200], type[16];
    for (int i = 0; i < 3 * TEL_VALUES_MAX; i++) {
        snprintf(name, sizeof name, "tool-%d", i);
        tel_add(t, TEL_connector_calls, 1, TEL_LABELS(name, ""));
        tel_add(t, TEL_connector_calls, 1, TEL_LABELS(name, ""));
    }
    assert_int_equal(t->metric[TEL_connector_calls].len, TEL_VALUES_MAX + 1);
    assert_true(tel_value(t, TEL_connector_calls, TEL_LABELS("tool-5", "")) == 2);
    assert_true(tel_value(t, TEL_connector_calls, TEL_LABELS("other", "")) == 4.0 * TEL_VALUES_MAX);
    /* two labels, each within its bound, multiply */
    for (int i = 0; i < 100; i++)
        for (int j = 0; j < 100; j++) {
            snprintf(name, sizeof name, "m%d", i);
            snprintf(type, sizeof type, "e%d", j);
            tel_add(t, TEL_bus_requests, 1, TEL_LABELS(name, type));
        }
    const struct tel__metric *m = &t->metric[TEL_bus_requests];
    double sum = 0;
    for (size_t i = 0; i < m->len; i++)
        sum += m->series[i]->number;
    assert_int_equal(m->len, TEL_SERIES_MAX);
    assert_true(sum == 10000);
    assert_true(tel_value(t, TEL_bus_requests, TEL_LABELS("other", "other")) > 9000);
    tel_free(t);
}

/* T2 and what a scraper may be shown: nothing hidden, nothing long, valid UTF-8. */
static void labels_are_cleaned(void **state)
{
    (void)state;
    struct tel *t = tel_new();
    char longer[300];
    memset(longer, 'x', sizeof longer);
    memcpy(longer + sizeof longer - 5, "\xd1\x8f\xd1\x8f", 5);
    tel_add(t, TEL_connector_calls, 1, TEL_LABELS("a\x1b[31m\n\xff", "\xd1\x8f"));
    tel_add(t, TEL_connector_calls, 1, TEL_LABELS("a\x1b[31m\n\xff", "\xd1\x8f"));
    tel_add(t, TEL_connector_calls, 1, TEL_LABELS(longer, ""));
    assert_int_equal(t->metric[TEL_connector_calls].len, 2);
    char *text = text_of(t, false);
    assert_null(strchr(text, '\x1b'));
    has(text, "connector=\"a^[[31m");
    has(text, ",error_type=\"\xd1\x8f\"} 2\n");
    char cut[TEL_VALUE_BYTES + 3];
    memset(cut, 'x', sizeof cut);
    memcpy(cut + TEL_VALUE_BYTES, "\"}", 3);
    has(text, cut);
    json_t *valid = json_stringn(text, strlen(text));
    assert_non_null(valid);
    json_decref(valid);
    free(text);
    tel_free(t);
}

static void accept_is_read(void **state)
{
    (void)state;
    assert_false(tel_wants_openmetrics(NULL));
    assert_false(tel_wants_openmetrics("*/*"));
    assert_true(tel_wants_openmetrics(
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q="
        "0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"));
    assert_false(tel_wants_openmetrics("text/plain, application/openmetrics-text;q=0.5"));
    assert_false(tel_wants_openmetrics("application/openmetrics-text; q=0"));
}

/* ---- spans */

static void traceparents(void **state)
{
    (void)state;
    static const char good[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    static const char *const bad[] = {
        "",
        "00",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more",
        "00 4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x"};
    struct tel_context c;
    char out[TEL_TRACEPARENT];
    assert_true(tel_traceparent_read(good, &c));
    assert_true(c.sampled && c.remote);
    tel_traceparent(&c, out);
    assert_string_equal(out, good);
    assert_true(
        tel_traceparent_read("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02-x", &c));
    assert_false(c.sampled);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(tel_traceparent_read(bad[i], &c));
        assert_string_equal(c.trace_id, "");
    }
    assert_false(tel_traceparent_read(NULL, &c));
}

static json_t *take_span(struct tel *t)
{
    struct tel__ended *e = tel__span_take(t);
    assert_non_null(e);
    json_t *span = json_read(e->json, e->len, 1 << 20, 16, NULL);
    assert_non_null(span);
    free(e);
    return span;
}

static const char *attribute(const json_t *span, const char *key, const char *type)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(span, "attributes"), i, one)
    {
        if (strcmp(json_str(one, "key", ""), key) == 0)
            return json_str(json_object_get(one, "value"), type, "of another type");
    }
    return "none";
}

static void a_span_and_its_child(void **state)
{
    (void)state;
    struct tel *t = tel_new();
    t->keeps = true;
    struct tel_context far;
    tel_traceparent_read("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", &far);
    struct tel_span *server = tel_span_begin(t, &far, TEL_SERVER, "%s", "chat.ask");
    struct tel_span *call =
        tel_span_begin(t, tel_span_context(server), TEL_CLIENT, "chat %s", "m\"\n\x1b");
    tel_span_text(call, "gen_ai.operation.name", "chat");
    tel_span_int(call, "gen_ai.usage.input_tokens", INT64_C(9007199254740993));
    tel_span_text(call, "gen_ai.response.id", NULL);
    tel_span_list(call, "gen_ai.response.finish_reasons", "stop");
    tel_span_flag(call, "gen_ai.request.stream", true);
    tel_span_num(call, "gen_ai.response.time_to_first_chunk", 0.25);
    tel_span_fail(call, "TIMEOUT");
    tel_span_fail(call, "OTHER");
    tel_span_end(call);
    tel_span_end(server);
    assert_int_equal(t->queued, 2);
    json_t *child = take_span(t), *parent = take_span(t);
    assert_string_equal(json_str(child, "traceId", ""), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_string_equal(json_str(child, "parentSpanId", ""), json_str(parent, "spanId", "?"));
    assert_string_equal(json_str(parent, "parentSpanId", ""), "00f067aa0ba902b7");
    assert_int_equal(json_int(parent, "flags", 0), 0x301);
    assert_int_equal(json_int(child, "flags", 0), 0x101);
    assert_int_equal(json_int(child, "kind", 0), 3);
    assert_string_equal(json_str(child, "name", ""), "chat m\"\\n^[");
    assert_string_equal(attribute(child, "gen_ai.operation.name", "stringValue"), "chat");
    assert_string_equal(attribute(child, "gen_ai.usage.input_tokens", "intValue"),
                        "9007199254740993");
    assert_string_equal(attribute(child, "gen_ai.response.id", "stringValue"), "none");
    assert_string_equal(attribute(child, "error.type", "stringValue"), "TIMEOUT");
    assert_int_equal(json_int(json_object_get(child, "status"), "code", 0), 2);
    assert_int_equal(json_object_size(json_object_get(parent, "status")), 0);
    assert_true(strcmp(json_str(child, "endTimeUnixNano", ""),
                       json_str(child, "startTimeUnixNano", "?")) >= 0);
    json_decref(child);
    json_decref(parent);
    tel_free(t);
}

/* T3 */
static void what_is_not_kept(void **state)
{
    (void)state;
    struct tel *t = tel_new();
    struct tel_span *s = tel_span_begin(t, NULL, TEL_INTERNAL, "nobody exports");
    char out[TEL_TRACEPARENT];
    tel_traceparent(tel_span_context(s), out); /* but a trace has its name all the same */
    assert_int_equal(strlen(out), 55);
    assert_string_equal(out + 52, "-00");
    tel_span_end(s);
    assert_int_equal(t->queued, 0);
    t->keeps = true;
    t->share = 0;
    s = tel_span_begin(t, NULL, TEL_INTERNAL, "not drawn");
    struct tel_span *child = tel_span_begin(t, tel_span_context(s), TEL_INTERNAL, "its child");
    tel_span_end(child);
    tel_span_end(s);
    assert_int_equal(t->queued, 0);
    t->share = 0.5;
    int kept = 0;
    for (int i = 0; i < 1000; i++) {
        s = tel_span_begin(t, NULL, TEL_INTERNAL, "drawn");
        kept += tel_span_context(s)->sampled;
        tel_span_end(s);
    }
    assert_true(kept > 350 && kept < 650);
    t->share = 1;
    for (int i = 0; i < TEL_QUEUE + 10; i++) {
        s = tel_span_begin(t, NULL, TEL_INTERNAL, "s");
        for (int j = 0; j < TEL_ATTRIBUTES + 3; j++)
            tel_span_int(s, "n", j);
        tel_span_end(s);
    }
    assert_true(t->queued <= TEL_QUEUE && t->queued_bytes <= TEL_QUEUE_BYTES);
    assert_true(tel_value(t, TEL_telemetry_spans, TEL_LABELS("queue")) + (double)t->queued ==
                kept + TEL_QUEUE + 10);
    for (int i = 0; i < kept; i++)
        json_decref(take_span(t));
    json_t *span = take_span(t);
    assert_int_equal(json_int(span, "droppedAttributesCount", 0), 3);
    assert_int_equal(json_array_size(json_object_get(span, "attributes")), TEL_ATTRIBUTES);
    json_decref(span);
    tel_free(t);
    assert_null(tel_span_begin(NULL, NULL, TEL_INTERNAL, "no registry"));
    tel_span_text(NULL, "k", "v");
    tel_span_end(NULL);
}

static void current_spans_nest(void **state)
{
    (void)state;
    struct tel *t = tel_new();
    struct tel_span *s = tel_span_begin(t, NULL, TEL_INTERNAL, "s");
    struct tel_context before = tel_enter(t, tel_span_context(s)), now = tel_current(t);
    assert_string_equal(before.trace_id, "");
    assert_string_equal(now.span_id, tel_span_context(s)->span_id);
    tel_enter(t, &before);
    now = tel_current(t);
    assert_string_equal(now.trace_id, "");
    tel_span_end(s);
    tel_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_was_measured),
        cmocka_unit_test(quantiles_are_measured_values),
        cmocka_unit_test(the_ring_keeps_the_last),
        cmocka_unit_test(a_metric_counts_and_is_told),
        cmocka_unit_test(measurements_of_a_kept_trace_are_exemplars),
        cmocka_unit_test(labels_are_bounded),
        cmocka_unit_test(labels_are_cleaned),
        cmocka_unit_test(accept_is_read),
        cmocka_unit_test(traceparents),
        cmocka_unit_test(a_span_and_its_child),
        cmocka_unit_test(what_is_not_kept),
        cmocka_unit_test(current_spans_nest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
