/* The exporter against a collector of this process: real HTTP on the loopback. */
#include "backend/base/clock.h"
#include "backend/base/httpd.h"
#include "backend/base/json.h"
#include "backend/telemetry/internal.h"
#include "backend/telemetry/otlp.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { REQUESTS = 64 };

struct fixture {
    struct loop *loop;
    struct tel *tel;
    struct otlp *otlp;
    struct httpd *server;
    struct loop_timer *limit;
    struct { /* what came */
        char path[64], auth[64];
        json_t *body;
        uint64_t at_ms;
    } got[REQUESTS];
    size_t count, wanted;
    int status[REQUESTS]; /* what the nth is answered; 0: 200 */
    const char *headers[REQUESTS], *answer[REQUESTS];
};

static void on_request(void *arg, struct httpd_request *r)
{
    struct fixture *f = arg;
    const struct buf *body = httpd_body(r);
    size_t n = f->count++;
    assert_true(n < REQUESTS);
    snprintf(f->got[n].path, sizeof f->got[n].path, "%s", httpd_path(r));
    const char *auth = httpd_header(r, "X-Key");
    snprintf(f->got[n].auth, sizeof f->got[n].auth, "%s", auth ? auth : "");
    assert_string_equal(httpd_header(r, "Content-Type"), "application/json");
    f->got[n].body = json_read(body->data, body->len, 8 << 20, 32, NULL);
    assert_non_null(f->got[n].body);
    f->got[n].at_ms = clock_mono_ms();
    const char *answer = f->answer[n] ? f->answer[n] : "{}";
    httpd_reply(r, f->status[n] ? f->status[n] : 200, "application/json",
                f->headers[n] ? f->headers[n] : "", answer, strlen(answer));
}

static void late(void *arg)
{
    (void)arg;
    fail_msg("nothing came for too long");
}

static enum err give_headers(void *arg, char *lines[OTLP_HEADERS], size_t *count, struct error *e)
{
    (void)arg, (void)e;
    lines[0] = xstrdup("X-Key: opens");
    *count = 1;
    return ERR_OK;
}

static void take_headers(void *arg, char *lines[OTLP_HEADERS], size_t count)
{
    (void)arg;
    for (size_t i = 0; i < count; i++)
        free(lines[i]);
}

static void begin(struct fixture *f, bool metrics)
{
    struct error e = {0};
    f->loop = loop_new();
    f->tel = tel_new();
    struct httpd_options h = {.address = "127.0.0.1:0", .body_max = 8 << 20};
    f->server = httpd_new(f->loop, &h, on_request, f, &e);
    assert_non_null(f->server);
    char *url = xasprintf("http://%s/", httpd_address(f->server));
    struct otlp_options o = {.url = url,
                             .traces = true,
                             .metrics = metrics,
                             .share = 1,
                             .metrics_ms = 50,
                             .version = "1",
                             .environment = "test",
                             .instance = "i",
                             .headers = give_headers,
                             .wipe = take_headers};
    f->otlp = otlp_new(f->loop, f->tel, &o, &e);
    assert_non_null(f->otlp);
    free(url);
    f->limit = loop_timer_new(f->loop, late, NULL);
    loop_timer_start(f->limit, 30000, 0);
}

static void finish(struct fixture *f)
{
    loop_timer_free(f->limit);
    otlp_free(f->otlp);
    httpd_free(f->server);
    tel_free(f->tel);
    loop_free(f->loop);
    for (size_t i = 0; i < f->count; i++)
        json_decref(f->got[i].body);
}

static void spans(struct fixture *f, int n)
{
    for (int i = 0; i < n; i++)
        tel_span_end(tel_span_begin(f->tel, NULL, TEL_INTERNAL, "s%d", i));
}

/* Runs until n requests came and were answered. */
static void look(void *arg)
{
    struct fixture *f = arg;
    double told = 0;
    static const char *const outcomes[] = {"ok", "retry", "error"};
    for (size_t i = 0; i < 3; i++)
        told += tel_value(f->tel, TEL_telemetry_exports, TEL_LABELS("traces", outcomes[i])) +
                tel_value(f->tel, TEL_telemetry_exports, TEL_LABELS("metrics", outcomes[i]));
    if (told >= (double)f->wanted)
        loop_quit(f->loop);
}

static void run_until(struct fixture *f, size_t n)
{
    f->wanted = n;
    struct loop_timer *t = loop_timer_new(f->loop, look, f);
    loop_timer_start(t, 1, 2);
    loop_run(f->loop);
    loop_timer_free(t);
}

static const json_t *spans_of(const json_t *body)
{
    const json_t *resource = json_array_get(json_object_get(body, "resourceSpans"), 0);
    return json_object_get(json_array_get(json_object_get(resource, "scopeSpans"), 0), "spans");
}

static double exported(const struct fixture *f, const char *outcome)
{
    return tel_value(f->tel, TEL_telemetry_spans, TEL_LABELS(outcome));
}

static void batches(void **state)
{
    (void)state;
    struct fixture f = {0};
    begin(&f, false);
    spans(&f, OTLP_BATCH + 3); /* one whole batch goes at once, the rest a little later */
    uint64_t began = clock_mono_ms();
    run_until(&f, 2);
    assert_int_equal(f.count, 2);
    assert_string_equal(f.got[0].path, "/v1/traces");
    assert_string_equal(f.got[0].auth, "opens");
    assert_int_equal(json_array_size(spans_of(f.got[0].body)), OTLP_BATCH);
    assert_int_equal(json_array_size(spans_of(f.got[1].body)), 3);
    assert_true(f.got[0].at_ms - began < 1500);
    assert_true(f.got[1].at_ms - f.got[0].at_ms >= OTLP_LINGER_MS - 100);
    assert_true(exported(&f, "exported") == OTLP_BATCH + 3);
    assert_int_equal(otlp_error(f.otlp)->code, ERR_OK);
    finish(&f);
}

static void a_collector_that_asks_for_patience_gets_it(void **state)
{
    (void)state;
    struct fixture f = {.status = {429, 503, 0}, .headers = {"Retry-After: 1\r\n", NULL}};
    char date[80];
    time_t in = (time_t)(clock_real_ms() / 1000) + 3;
    struct tm utc;
    gmtime_r(&in, &utc);
    strftime(date, sizeof date, "Retry-After: %a, %d %b %Y %H:%M:%S GMT\r\n", &utc);
    f.headers[1] = date;
    begin(&f, false);
    spans(&f, OTLP_BATCH);
    run_until(&f, 3);
    assert_int_equal(f.count, 3);
    assert_true(f.got[1].at_ms - f.got[0].at_ms >= 990);
    assert_true(f.got[2].at_ms - f.got[0].at_ms >= 1900); /* a date has whole seconds */
    assert_true(json_equal(f.got[0].body, f.got[2].body));
    assert_true(exported(&f, "exported") == OTLP_BATCH);
    assert_true(tel_value(f.tel, TEL_telemetry_exports, TEL_LABELS("traces", "retry")) == 2);
    finish(&f);
}

static void what_is_refused_is_not_sent_again(void **state)
{
    (void)state;
    struct fixture f = {
        .status = {400, 0, 0},
        .answer = {NULL, "{\"partialSuccess\":{\"rejectedSpans\":\"5\",\"errorMessage\":\"no\"}}",
                   "{\"partialSuccess\":{\"rejectedSpans\":\"-5\"}} and more"}};
    begin(&f, false);
    spans(&f, 3 * OTLP_BATCH);
    run_until(&f, 3);
    assert_int_equal(f.count, 3);
    assert_true(exported(&f, "refused") == OTLP_BATCH + 5);
    assert_true(exported(&f, "exported") == 2 * OTLP_BATCH - 5);
    finish(&f);
}

/* A collector that is away: spans wait, the newest are dropped, each is counted once. */
static void nobody_listens(void **state)
{
    (void)state;
    struct fixture f = {0};
    begin(&f, false);
    httpd_free(f.server);
    f.server = NULL;
    spans(&f, TEL_QUEUE + OTLP_BATCH);
    run_until(&f, 1);
    assert_int_equal(otlp_failures(f.otlp), 1);
    assert_int_equal(otlp_error(f.otlp)->code, ERR_UNREACHABLE);
    spans(&f, TEL_QUEUE);
    assert_int_equal(f.tel->queued, TEL_QUEUE);
    assert_true(exported(&f, "queue") > 0);
    otlp_close(f.otlp);
    assert_true(otlp_pending(f.otlp));
    run_until(&f, 2);
    assert_false(otlp_pending(f.otlp));
    assert_true(exported(&f, "expired") == OTLP_BATCH);
    assert_true(exported(&f, "queue") + exported(&f, "expired") + (double)f.tel->queued ==
                2 * TEL_QUEUE + OTLP_BATCH);
    finish(&f);
}

static void at_the_end_what_is_left_goes(void **state)
{
    (void)state;
    struct fixture f = {0};
    begin(&f, false);
    spans(&f, 2);
    otlp_close(f.otlp);
    assert_true(otlp_pending(f.otlp));
    run_until(&f, 1);
    assert_int_equal(json_array_size(spans_of(f.got[0].body)), 2);
    assert_false(otlp_pending(f.otlp));
    spans(&f, 1); /* ended while the console does */
    assert_true(otlp_pending(f.otlp));
    uint64_t began = clock_mono_ms();
    run_until(&f, 2);
    assert_int_equal(json_array_size(spans_of(f.got[1].body)), 1);
    assert_true(clock_mono_ms() - began < OTLP_LINGER_MS / 2);
    finish(&f);
}

static const json_t *metric_of(const json_t *body, const char *name)
{
    const json_t *resource = json_array_get(json_object_get(body, "resourceMetrics"), 0);
    const json_t *scope = json_array_get(json_object_get(resource, "scopeMetrics"), 0);
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(scope, "metrics"), i, one)
    {
        if (strcmp(json_str(one, "name", ""), name) == 0)
            return one;
    }
    fail_msg("no metric %s", name);
    return NULL;
}

static void metrics(void **state)
{
    (void)state;
    struct fixture f = {0};
    begin(&f, true);
    tel_add(f.tel, TEL_model_tokens, 31, TEL_LABELS("a", "input"));
    tel_add(f.tel, TEL_model_cost, 0.125, TEL_LABELS("a", "RUB"));
    tel_observe(f.tel, TEL_gen_ai_duration, 0.05, TEL_LABELS("chat", "openai", "gpt", ""));
    run_until(&f, 1);
    assert_string_equal(f.got[0].path, "/v1/metrics");
    const json_t *m = json_object_get(metric_of(f.got[0].body, "model_tokens_total"), "sum");
    const json_t *point = json_array_get(json_object_get(m, "dataPoints"), 0);
    assert_int_equal(json_int(m, "aggregationTemporality", 0), 2);
    assert_true(json_flag(m, "isMonotonic", false));
    assert_string_equal(json_str(point, "asInt", ""), "31");
    m = json_object_get(metric_of(f.got[0].body, "model_cost_total"), "sum");
    point = json_array_get(json_object_get(m, "dataPoints"), 0);
    assert_true(json_num(point, "asDouble", 0) == 0.125);
    m = json_object_get(metric_of(f.got[0].body, "gen_ai.client.operation.duration"), "histogram");
    point = json_array_get(json_object_get(m, "dataPoints"), 0);
    assert_string_equal(json_str(point, "count", ""), "1");
    assert_int_equal(json_array_size(json_object_get(point, "bucketCounts")), 15);
    assert_int_equal(json_array_size(json_object_get(point, "explicitBounds")), 14);
    assert_int_equal(json_array_size(json_object_get(point, "attributes")), 3); /* no error.type */
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(point, "bucketCounts"), 3)), "1");
    finish(&f);
}

static void options_are_checked(void **state)
{
    (void)state;
    struct loop *l = loop_new();
    struct tel *t = tel_new();
    struct error e = {0};
    struct otlp_options o = {
        .url = "collector:4318", .share = 1, .version = "", .environment = "", .instance = ""};
    assert_null(otlp_new(l, t, &o, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    o.url = "http://127.0.0.1:1";
    o.share = 1.5;
    assert_null(otlp_new(l, t, &o, &e));
    tel_free(t);
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches),
        cmocka_unit_test(a_collector_that_asks_for_patience_gets_it),
        cmocka_unit_test(what_is_refused_is_not_sent_again),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(at_the_end_what_is_left_goes),
        cmocka_unit_test(metrics),
        cmocka_unit_test(options_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
