/* A trace as it stood at any moment, and as a file. */
#include "tests/unit/tui_screen.h"
#include "views/trace_export.h"
#include "views/trace_replay.h"
#include <math.h>

static json_t *sample(void)
{
    static const char text[] =
        "{\"trace_id\":\"t\",\"question\":\"a | "
        "b\\u001b[31m\",\"state\":\"done\",\"answer\":\"yes\","
        "\"elapsed_ms\":100,\"flow\":\"arbitrate\","
        "\"nodes\":[{\"id\":\"look\",\"kind\":\"look\",\"state\":\"done\",\"began_ms\":0,"
        "\"elapsed_ms\":20},"
        "{\"id\":\"first\",\"kind\":\"model\",\"state\":\"done\",\"began_ms\":20,\"elapsed_ms\":30,"
        "\"tokens\":7,\"candidate\":0},"
        "{\"id\":\"compare\",\"kind\":\"compare\",\"state\":\"done\",\"began_ms\":60,"
        "\"elapsed_ms\":10},"
        "{\"id\":\"never\",\"kind\":\"model\",\"state\":\"skipped\",\"began_ms\":null}],"
        "\"path\":[{\"from\":\"look\",\"to\":\"first\",\"when\":\"\",\"values\":{\"elapsed_ms\":20}"
        "},"
        "{\"from\":\"first\",\"to\":\"compare\",\"when\":\"verdict == 'agree'\","
        "\"values\":{\"elapsed_ms\":50,\"verdict\":\"agree\",\"risk\":0.5}}],"
        "\"stages\":[{\"name\":\"log\",\"start_ms\":0,\"ms\":5,\"state\":\"done\"},"
        "{\"name\":\"model\",\"start_ms\":20,\"ms\":30,\"state\":\"done\"}],"
        "\"sources\":[{\"id\":\"1\",\"kind\":\"tool\",\"ref\":\"host/disk\",\"text\":\"# full\"}],"
        "\"candidates\":[{\"model\":\"m\",\"state\":\"done\",\"text\":\"yes\",\"composite\":0.5,"
        "\"chosen\":true}],"
        "\"verdict\":{\"winner\":\"m\",\"claims\":[{\"a\":\"x | y\",\"b\":null,\"verdict\":\"only "
        "A\","
        "\"why\":\"\"}]}}";
    struct error e = {0};
    json_t *t = json_read(text, sizeof(text) - 1, sizeof(text), 16, &e);
    assert_non_null(t);
    return t;
}

static const char *node_state(const json_t *t, size_t node)
{
    return json_str(json_array_get(json_object_get(t, "nodes"), node), "state", "");
}

static void nothing_is_told_before_it_was_there(void **state)
{
    (void)state;
    json_t *whole = sample(), *before = json_deep_copy(whole);
    json_t *t = trace_at(whole, 10);
    const json_t *c = json_array_get(json_object_get(t, "candidates"), 0);
    assert_string_equal(node_state(t, 0), "running");
    assert_string_equal(node_state(t, 1), "waiting");
    assert_int_equal(json_array_size(json_object_get(t, "path")), 0);
    assert_int_equal(json_array_size(json_object_get(t, "stages")), 1);
    assert_int_equal(json_array_size(json_object_get(t, "sources")), 0);
    assert_string_equal(json_str(c, "text", "-"), "");
    assert_true(json_is_null(json_object_get(t, "verdict")));
    assert_string_equal(json_str(t, "answer", "-"), "");
    json_decref(t);

    t = trace_at(whole, 55); /* the model has answered, nothing is compared yet */
    c = json_array_get(json_object_get(t, "candidates"), 0);
    assert_string_equal(node_state(t, 1), "done");
    assert_string_equal(node_state(t, 2), "waiting");
    assert_int_equal(json_array_size(json_object_get(t, "path")), 2);
    assert_string_equal(json_str(c, "text", "-"), "yes");
    assert_true(json_is_null(json_object_get(c, "composite")));
    assert_false(json_flag(c, "chosen", true));
    json_decref(t);

    t = trace_at(whole, 80);
    c = json_array_get(json_object_get(t, "candidates"), 0);
    assert_true(json_is_number(json_object_get(c, "composite")));
    assert_true(json_is_null(json_object_get(t, "verdict")));
    json_decref(t);

    t = trace_at(whole, 100); /* the end is the trace as it is */
    assert_string_equal(node_state(t, 3), "skipped");
    assert_string_equal(json_str(t, "state", ""), "done");
    json_object_del(t, "replay_ms");
    json_object_del(t, "replay_end");
    assert_true(json_equal(t, whole));
    json_decref(t);
    assert_true(json_equal(whole, before)); /* read only */
    json_decref(whole);
    json_decref(before);
}

static double risk_of(const json_t *whole, double ms, size_t feature)
{
    json_t *t = trace_at(whole, ms), *risk = json_object_get(t, "risk");
    json_t *f = json_array_get(json_object_get(risk, "features"), feature);
    double x = feature == SIZE_MAX ? json_num(risk, "score", -1) : json_num(f, "part", -1);
    json_decref(t);
    return x;
}

/* The question's own parts at once, those of sources when these were read, those of answers when
 * they were compared, the plan's at the end. */
static void parts_of_the_risk_come_when_they_are_known(void **state)
{
    (void)state;
    static const char risk[] =
        "{\"score\":0.9,\"before\":0.5,\"route\":\"critic\",\"person\":true,\"features\":["
        "{\"name\":\"stakes\",\"value\":0.5,\"weight\":0.5,\"part\":0.25},"
        "{\"name\":\"prompt injection\",\"value\":0.8,\"weight\":0.5,\"part\":0.4},"
        "{\"name\":\"personal data\",\"value\":0.5,\"weight\":0.4,\"part\":0.2},"
        "{\"name\":\"disagreement\",\"value\":1,\"weight\":0.4,\"part\":0.4},"
        "{\"name\":\"planned change\",\"value\":1,\"weight\":0.5,\"part\":0.5}]}";
    json_t *whole = sample();
    json_put(whole, "risk", json_loads(risk, 0, NULL));
    json_put(whole, "injections",
             json_loads("[{\"of\":\"tool\",\"score\":0.8},{\"of\":\"question\",\"score\":0.2}]", 0,
                        NULL));
    static const double parts[][5] = {{0.25, 0.1, 0, 0, 0},
                                      {0.25, 0.4, 0.2, 0, 0},
                                      {0.25, 0.4, 0.2, 0.4, 0},
                                      {0.25, 0.4, 0.2, 0.4, 0.5}};
    static const double at[] = {10, 30, 75, 100}, score[] = {0.325, 0.64, 0.784, 0.9};
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < 5; k++)
            assert_true(fabs(risk_of(whole, at[i], k) - parts[i][k]) < 1e-9);
        assert_true(fabs(risk_of(whole, at[i], SIZE_MAX) - score[i]) < 1e-9);
    }
    json_t *t = trace_at(whole, 75);
    assert_false(json_flag(json_object_get(t, "risk"), "person", true));
    json_decref(t);
    json_decref(whole);
}

static void steps_stop_where_nodes_begin_and_end(void **state)
{
    (void)state;
    static const double stops[] = {20, 50, 60, 70, 100, 100};
    json_t *whole = sample();
    struct trace_replay r = {0};
    trace_replay_begin(&r, whole);
    json_decref(whole); /* it has its own */
    assert_true(r.speed < 1);
    assert_int_equal(r.count, 6);
    for (size_t i = 0; i < 6; i++) {
        trace_replay_step(&r, 1);
        assert_true(r.at == stops[i]);
    }
    trace_replay_step(&r, -1);
    assert_true(r.at == 70);
    assert_false(trace_replay_tick(&r)); /* it stands */
    trace_replay_play(&r, true);
    r.ticked -= 60000; /* a minute later */
    assert_true(trace_replay_tick(&r));
    assert_true(r.at == 100 && !r.ticked);
    trace_replay_end(&r);
    assert_null(r.whole);
}

static void markdown_holds_foreign_text(void **state)
{
    (void)state;
    json_t *whole = sample();
    struct buf out = {0};
    json_put(whole, "risk",
             json_loads("{\"score\":0.15,\"features\":[{\"name\":\"stakes\",\"part\":0.15},"
                        "{\"name\":\"anomalies\",\"part\":0}]}",
                        0, NULL));
    json_put(whole, "grounding",
             json_loads("{\"sentences\":[{\"text\":\"a | b\\n# c\",\"state\":\"unsupported\"},"
                        "{\"text\":\"fine\",\"state\":\"supported\"}]}",
                        0, NULL));
    trace_markdown(whole, &out);
    assert_non_null(strstr(out.data, "| risk: stakes | 0.15 |"));
    assert_null(strstr(out.data, "anomalies"));
    assert_non_null(strstr(out.data, "- no source supports: a \\| b"));
    assert_null(strstr(out.data, "\n# c"));
    assert_null(strstr(out.data, "fine"));
    assert_null(strchr(out.data, '\x1b'));
    assert_non_null(strstr(out.data, "| only A | x \\| y |"));
    assert_non_null(strstr(out.data, "`verdict == 'agree'` (verdict agree)"));
    assert_non_null(strstr(out.data, "\n> # full")); /* no heading of this document */
    buf_release(&out);
    json_decref(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_is_told_before_it_was_there),
                                       cmocka_unit_test(parts_of_the_risk_come_when_they_are_known),
                                       cmocka_unit_test(steps_stop_where_nodes_begin_and_end),
                                       cmocka_unit_test(markdown_holds_foreign_text)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
