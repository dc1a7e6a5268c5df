/* The Ollama and OpenAI adapters against the mock of tests/peers/mock_model.c, which misbehaves as
 * told; limits, usage, and the models that configuration and environment give. */
#include "backend/base/clock.h"
#include "backend/gateway/gateway.h"
#include "tests/unit/mock_harness.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define KEY "sk-test-0123456789abcdef"
#define ANSWER "Disk is 93.5% full [1]. Диск."

static struct mock_peer peer;
static char peer_conf[64];

struct run {
    struct loop *loop;
    struct gw_call *call;
    struct buf text;
    size_t deltas, dones, cancel_after;
    uint64_t cancelled_ns;
    struct error error;
    struct gw_usage usage;
    char finish[16];
    int64_t elapsed_ms, first_token_ms, status;
};

static void on_delta(void *arg, const char *text, size_t len)
{
    struct run *run = arg;
    assert_int_equal(run->dones, 0);
    buf_add(&run->text, text, len);
    if (++run->deltas == run->cancel_after) {
        struct gw_spent spent;
        run->cancelled_ns = clock_mono_ns();
        gw_cancel(run->call, &spent);
        run->usage = gw_spent_usage(&spent);
        gw_spent_release(&spent);
        loop_quit(run->loop);
    }
}

static void on_done(void *arg, const struct gw_result *r)
{
    struct run *run = arg;
    run->dones++;
    run->error = r->error;
    run->usage = r->usage;
    run->elapsed_ms = r->elapsed_ms;
    run->first_token_ms = r->first_token_ms;
    run->status = r->http_status;
    snprintf(run->finish, sizeof run->finish, "%s", r->finish_reason);
    assert_string_equal(r->text, run->text.data ? run->text.data : "");
    loop_quit(run->loop);
}

static const struct gw_ops ops = {.delta = on_delta, .done = on_done};

static const char *const behaviours[] = {
    "ok",      "bytes",       "cut",      "hang",   "nonsense",  "error",     "429",
    "nousage", "length",      "nodone",   "zero",   "crlf",      "huge",      "stall",
    "reset",   "silent-head", "html",     "500",    "401",       "plain-503", "think",
    "whole",   "longline",    "echo-key", "linger", "keepalive", "slow-0.05"};
enum { BEHAVIOURS = sizeof behaviours / sizeof *behaviours };

static int start_peer(void **state)
{
    (void)state;
    unsetenv("MODEL_BACKENDS");
    setenv("MOCK_KEY", KEY, 1);
    if (!mock_start(&peer, NULL))
        return -1;
    snprintf(peer_conf, sizeof peer_conf, "/tmp/mcpc-gateway-XXXXXX");
    FILE *conf = fdopen(mkstemp(peer_conf), "w");
    for (size_t i = 0; i < BEHAVIOURS; i++) {
        fprintf(conf, "[model \"ol/%s\"]\nkind = ollama\nurl = %s\nmodel = %s\nretries = 0\n",
                behaviours[i], peer.url, behaviours[i]);
        fprintf(conf,
                "[model \"oa/%s\"]\nkind = openai\nurl = %s/v1/\nmodel = %s\nkey = "
                "env:MOCK_KEY\nretries = 0\n",
                behaviours[i], peer.url, behaviours[i]);
        if (strcmp(behaviours[i], "huge") == 0) /* its budget is not what ends it */
            fprintf(conf, "context = 1000000\ntoken_budget = 1000000\n");
    }
    return fclose(conf);
}

static int stop_peer(void **state)
{
    (void)state;
    unlink(peer_conf);
    return mock_stop(&peer);
}

static struct gw *open_gateway(struct loop *l, const char *path)
{
    struct error e = {0};
    struct conf *conf = conf_load(path, &e);
    if (!conf)
        fail_msg("%s", e.detail);
    struct gw *g = gw_new(l, conf, &e);
    if (!g)
        fail_msg("%s", e.detail);
    conf_free(conf);
    return g;
}

static const struct gw_message messages[] = {{.role = "system", .content = "You are terse."},
                                             {.role = "user", .content = "Disk?"}};

static struct gw_request request(void)
{
    return (struct gw_request){.question = "Disk?",
                               .lang = "en",
                               .messages = messages,
                               .message_count = 2,
                               .max_output_tokens = 64,
                               .traceparent =
                                   "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"};
}

/* One call to its end; the caller releases run->text. */
static struct run call(const char *model, const struct gw_request *r, size_t cancel_after)
{
    struct run run = {.loop = loop_new(), .cancel_after = cancel_after};
    struct gw *g = open_gateway(run.loop, peer_conf);
    struct error e = {0};
    run.call = gw_start(g, model, r, &ops, &run, &e);
    if (!run.call)
        fail_msg("%s: %s", model, e.detail);
    loop_run(run.loop);
    assert_int_equal(run.dones, cancel_after ? 0 : 1);
    gw_free(g);
    loop_free(run.loop);
    return run;
}

static void expect(const char *model, enum err code, const char *text, const char *detail)
{
    struct gw_request r = request();
    struct run run = call(model, &r, 0);
    if (run.error.code != code || strcmp(run.text.data ? run.text.data : "", text) != 0)
        fail_msg("%s: %s (%s), text \"%s\"", model, err_name(run.error.code), run.error.detail,
                 run.text.data);
    if (detail && !strstr(run.error.detail, detail))
        fail_msg("%s: \"%s\" is not in \"%s\"", model, detail, run.error.detail);
    assert_null(strstr(run.error.detail, KEY));
    assert_string_equal(run.finish, code == ERR_OK ? "stop" : "error");
    buf_release(&run.text);
}

static void answers_stream(void **state)
{
    (void)state;
    static const char *const models[] = {"ol/ok", "oa/ok", "ol/bytes", "oa/bytes"};
    for (size_t i = 0; i < 4; i++) {
        struct gw_request r = request();
        struct run run = call(models[i], &r, 0);
        assert_int_equal(run.error.code, ERR_OK);
        assert_string_equal(run.text.data, ANSWER);
        assert_int_equal(run.deltas, 3);
        assert_int_equal(run.usage.input_tokens, 31);
        assert_int_equal(run.usage.output_tokens, 12);
        assert_false(run.usage.estimated);
        assert_int_equal(run.status, 200);
        assert_string_equal(run.finish, "stop");
        buf_release(&run.text);
    }
    expect("oa/crlf", ERR_OK, ANSWER, NULL);
    expect("oa/nodone", ERR_OK, ANSWER, NULL);
    expect("oa/whole", ERR_OK, ANSWER, NULL);
}

static void usage_is_reported_or_estimated_and_flagged(void **state)
{
    (void)state;
    struct gw_request r = request();
    for (int i = 0; i < 2; i++) {
        struct run run = call(i ? "oa/nousage" : "ol/nousage", &r, 0);
        assert_true(run.usage.estimated);
        assert_in_range(run.usage.output_tokens, 10, 14); /* see test_count.c */
        assert_in_range(run.usage.input_tokens, 13, 20);
        buf_release(&run.text);
        run = call(i ? "oa/zero" : "ol/zero", &r, 0); /* a zero is a report */
        assert_false(run.usage.estimated);
        assert_int_equal(run.usage.output_tokens, 0);
        buf_release(&run.text);
        run = call(i ? "oa/length" : "ol/length", &r, 0);
        assert_string_equal(run.finish, "length");
        buf_release(&run.text);
        run = call(i ? "oa/think" : "ol/think", &r, 0); /* thoughts are paid for, not shown */
        assert_string_equal(run.text.data, ANSWER);
        assert_true(run.usage.output_tokens > gw_estimate_tokens(ANSWER));
        buf_release(&run.text);
    }
}

static void what_was_not_taken_took_no_tokens(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        bool read;
    } rows[] = {{"oa/429", false},
                {"ol/429", false},
                {"oa/401", false},
                {"oa/plain-503", false},
                {"ol/500", true}}; /* a server that broke may have read it */
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct gw_request r = request();
        struct run run = call(rows[i].model, &r, 0);
        assert_int_not_equal(run.error.code, ERR_OK);
        assert_true(run.usage.estimated);
        assert_int_equal(run.usage.input_tokens > 0, rows[i].read);
        assert_int_equal(run.usage.output_tokens, 0);
        buf_release(&run.text);
    }
}

static void a_cut_stream_is_an_error_with_its_part(void **state)
{
    (void)state;
    static const char *const models[] = {"ol/cut", "oa/cut", "ol/reset", "oa/reset"};
    for (size_t i = 0; i < 4; i++) {
        struct gw_request r = request();
        struct run run = call(models[i], &r, 0);
        assert_int_equal(run.error.code, ERR_UPSTREAM);
        assert_non_null(strstr(run.error.detail, "cut before its end"));
        assert_string_equal(run.text.data, "Disk is 93.5% full");
        assert_string_equal(run.finish, "error");
        assert_true(run.usage.estimated && run.usage.output_tokens > 0);
        buf_release(&run.text);
    }
}

static void errors_say_what_the_upstream_said(void **state)
{
    (void)state;
    expect("ol/500", ERR_UPSTREAM, "", "HTTP 500: broken in the mock with 500\\n^[[31m");
    expect("oa/401", ERR_UPSTREAM, "", "HTTP 401: broken in the mock");
    expect("ol/429", ERR_OVERLOADED, "", "HTTP 429, retry after 7 s: too many requests");
    expect("oa/429", ERR_OVERLOADED, "", "HTTP 429, retry after 7 s: too many requests");
    expect("oa/plain-503", ERR_UPSTREAM, "", "HTTP 503: upstream is");
    expect("ol/error", ERR_UPSTREAM, "Disk is 93.5% full", "the card fell out");
    expect("oa/error", ERR_UPSTREAM, "Disk is 93.5% full", "the card fell out");
    expect("ol/nonsense", ERR_PROTOCOL, "Disk is 93.5% full", "{oops");
    expect("oa/nonsense", ERR_PROTOCOL, "Disk is 93.5% full", "{oops");
    expect("ol/html", ERR_PROTOCOL, "", "<html>");
    expect("oa/html", ERR_PROTOCOL, "", "no stream of events");
    expect("ol/longline", ERR_TOO_BIG, "", "1 MiB");
    expect("oa/longline", ERR_TOO_BIG, "", "1 MiB");
    expect("oa/echo-key", ERR_UPSTREAM, "", "bad key Bearer ****");
}

static void odd_keys_are_hidden_or_refused(void **state)
{
    (void)state;
    setenv("MOCK_KEY", "****", 1); /* what it is hidden by holds it again */
    expect("oa/echo-key", ERR_UPSTREAM, "", "bad key Bearer ****");
    setenv("MOCK_KEY",
           "a\xe2\x80\x8b"
           "b",
           1);
    struct gw_request r = request();
    struct error e = {0};
    struct loop *l = loop_new();
    struct gw *g = open_gateway(l, peer_conf);
    assert_null(gw_start(g, "oa/echo-key", &r, &ops, NULL, &e));
    gw_free(g);
    loop_free(l);
    assert_int_equal(e.code, ERR_CONFIG);
    assert_non_null(strstr(e.detail, "not printable ASCII"));
    setenv("MOCK_KEY", KEY, 1);
}

static void an_endless_answer_is_stopped(void **state)
{
    (void)state;
    struct gw_request r = request();
    struct run run = call("oa/huge", &r, 0);
    assert_int_equal(run.error.code, ERR_TOO_BIG);
    assert_in_range(run.text.len, 450000, 512 << 10);
    buf_release(&run.text);
}

static void every_wait_has_a_limit(void **state)
{
    (void)state;
    static const struct {
        const char *model, *text;
        uint64_t first, silence, total, least;
    } cases[] = {
        {"ol/hang", "", 150, 0, 0, 150},          {"oa/silent-head", "", 150, 0, 0, 150},
        {"ol/stall", "Disk is ", 0, 150, 0, 150}, {"oa/stall", "Disk is ", 0, 150, 0, 150},
        {"oa/hang", "", 0, 0, 200, 200},          {"oa/keepalive", "", 200, 0, 0, 200},
        {"ol/keepalive", "", 200, 0, 0, 200},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gw_request r = request();
        r.first_token_ms = cases[i].first;
        r.silence_ms = cases[i].silence;
        r.total_ms = cases[i].total;
        struct run run = call(cases[i].model, &r, 0);
        assert_int_equal(run.error.code, ERR_TIMEOUT);
        assert_string_equal(run.text.data ? run.text.data : "", cases[i].text);
        assert_in_range(run.elapsed_ms, cases[i].least, cases[i].least + 1500);
        assert_int_equal(run.first_token_ms < 0, !*cases[i].text);
        buf_release(&run.text);
    }
    /* A slow one that keeps talking is not cut by the silence limit. */
    struct gw_request r = request();
    r.silence_ms = 1000;
    struct run run = call("ol/slow-0.05", &r, 0);
    assert_int_equal(run.error.code, ERR_OK);
    assert_in_range(run.first_token_ms, 40, 1000);
    buf_release(&run.text);
    /* The end mark ends it, not the connection. */
    run = call("oa/linger", &r, 0);
    assert_int_equal(run.error.code, ERR_OK);
    assert_in_range(run.elapsed_ms, 0, 900);
    buf_release(&run.text);
}

static json_t *logged(const char *model)
{
    json_t *entry = mock_logged(&peer, model);
    assert_non_null(entry);
    return entry;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* When the upstream noticed that the client of its last `stall` is gone; monotonic ns. */
static uint64_t gone_ns(void)
{
    uint64_t gone = 0;
    for (int i = 0; i < 200 && !gone; i++) {
        json_t *entry = logged("stall");
        gone = (uint64_t)json_int(entry, "gone_ns", 0);
        json_decref(entry);
        if (!gone)
            usleep(5000);
    }
    assert_true(gone);
    return gone;
}

static void a_cancel_reaches_the_upstream(void **state)
{
    (void)state;
    uint64_t late[9];
    for (size_t i = 0; i < 9; i++) {
        struct gw_request r = request();
        struct run run = call(i % 2 ? "ol/stall" : "oa/stall", &r, 1);
        assert_string_equal(run.text.data, "Disk is ");
        assert_true(run.usage.estimated && run.usage.output_tokens > 0);
        buf_release(&run.text);
        late[i] = gone_ns() - run.cancelled_ns;
    }
    qsort(late, 9, sizeof *late, by_size); /* a busy machine is late with some */
    print_message("# seen by the upstream after %.2f ms (median)\n", (double)late[4] / 1e6);
    assert_in_range(late[4], 0, 50000000);
}

static void requests_carry_what_they_should(void **state)
{
    (void)state;
    expect("ol/ok", ERR_OK, ANSWER, NULL);
    json_t *entry = logged("ok");
    const json_t *body = json_object_get(entry, "body"),
                 *options = json_object_get(body, "options");
    assert_string_equal(json_str(entry, "path", ""), "/api/chat");
    assert_int_equal(json_int(options, "num_predict", 0), 64);
    assert_int_equal(json_int(options, "num_ctx", 0), 8192);
    assert_true(json_flag(body, "stream", false));
    assert_int_equal(json_array_size(json_object_get(body, "messages")), 2);
    assert_null(json_object_get(json_object_get(entry, "headers"), "authorization"));
    json_decref(entry);
    expect("oa/ok", ERR_OK, ANSWER, NULL);
    entry = logged("ok");
    body = json_object_get(entry, "body");
    const json_t *headers = json_object_get(entry, "headers");
    assert_string_equal(json_str(entry, "path", ""), "/v1/chat/completions");
    assert_string_equal(json_str(headers, "authorization", ""), "Bearer " KEY);
    assert_string_equal(json_str(headers, "traceparent", ""), request().traceparent);
    assert_int_equal(json_int(body, "max_tokens", 0), 64);
    assert_true(json_flag(json_object_get(body, "stream_options"), "include_usage", false));
    json_decref(entry);
}

/* Models from configuration and environment. */

static struct gw *try(const char *text, struct error *e)
{
    char path[] = "/tmp/mcpc-gateway-XXXXXX";
    FILE *f = fdopen(mkstemp(path), "w");
    fputs(text, f);
    fclose(f);
    struct conf *conf = conf_load(path, e);
    unlink(path);
    if (!conf) /* some of what is wrong is found there */
        return NULL;
    struct loop *l = loop_new();
    *e = (struct error){0};
    struct gw *g = gw_new(l, conf, e);
    conf_free(conf);
    loop_free(l);
    return g;
}

static void refused(const char *text, const char *detail)
{
    struct error e = {0};
    struct gw *g = try(text, &e);
    if (g || e.code != ERR_CONFIG || !strstr(e.detail, detail))
        fail_msg("%s: \"%s\", not \"%s\"", text, e.detail, detail);
}

static void models_come_from_the_configuration(void **state)
{
    (void)state;
    struct error e;
    struct gw *g = try("[model \"a\"]\nkind = openai\nurl = https://llm.example.org:8443/v1\n"
                       "model = m\nregion = RU\nprice_in = 12.5\nprice_out = 50\n"
                       "[model \"b\"]\nkind = ollama\nmodel = q\n"
                       "[model \"c\"]\nkind = builtin\nmodel = vector\n"
                       "[copilot]\nmodels = a builtin/vector\n",
                       &e);
    assert_non_null(g);
    assert_int_equal(gw_count(g), 5);
    const struct gw_model *a = gw_find(g, "a"), *b = gw_find(g, "b"), *c = gw_find(g, "c");
    assert_string_equal(a->provider, "llm.example.org");
    assert_true(a->priced);
    assert_int_equal(a->price_in, 12500000000);
    assert_int_equal(a->price_out, 50000000000);
    assert_string_equal(b->provider, "ollama");
    assert_string_equal(b->url, "http://127.0.0.1:11434");
    assert_false(b->priced);
    assert_true(c->builtin && c->priced && c->price_in == 0);
    assert_string_equal(gw_find(g, "builtin/lexical")->region, "local");
    assert_null(gw_find(g, "nobody"));
    const char *names[4];
    assert_int_equal(gw_chosen(g, NULL, names, 4), 2);
    assert_string_equal(names[0], "a");
    assert_string_equal(names[1], "builtin/vector");
    gw_free(g);
}

static void wrong_models_are_refused(void **state)
{
    (void)state;
#define A "[model \"a\"]\nkind = openai\nmodel = m\nurl = http://h/\n"
    refused("[model \"a\"]\nkind = openai\nmodel = m\n", "url");
    refused("[model \"a\"]\nkind = openai\nmodel = m\nurl = ftp://h/\n", "url");
    refused("[model \"a\"]\nkind = openai\nmodel = m\nurl = http://me:pass@h/\n", "url");
    refused("[model \"a\"]\nkind = openai\nmodel = m\nurl = http://me@h/\n", "url");
    refused("[model \"a\"]\nkind = openai\nurl = http://h/\n", "model");
    refused(A "price_in = 1\n", "set both prices");
    refused(A "price_in = 1\nprice_out = 1e5\n", "price_out");
    refused(A "price_in = 1\nprice_out = 0.0000000001\n", "price_out");
    refused(A "price_in = 99999999999999999999\nprice_out = 1\n", "price_in");
    refused(A "key = sk-literal\n", "env:VARIABLE");
    refused("[model \"builtin/vector\"]\nkind = builtin\n", "taken");
    refused("[model \"a\"]\nkind = builtin\nmodel = magic\n", "lexical or vector");
    refused("[copilot]\nmodels = builtin/lexicl\n", "the nearest is \"builtin/lexical\"");
#undef A
    struct error e;
    struct gw *g = try(
        "[model \"a\"]\nkind = openai\nmodel = m\nurl = http://h/\nkey = env:NO_SUCH_KEY\n", &e);
    struct gw_request r = request();
    assert_null(gw_start(g, "a", &r, &ops, NULL, &e));
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_non_null(strstr(e.detail, "NO_SUCH_KEY"));
    gw_free(g);
}

static void the_environment_chooses(void **state)
{
    (void)state;
    static const char local[] = "[model \"local\"]\nkind = ollama\nmodel = q\n";
    struct error e;
    const char *names[8];
    setenv("MODEL_BACKENDS", "ollama,builtin", 1);
    struct gw *g = try(local, &e);
    assert_int_equal(gw_chosen(g, NULL, names, 8), 3);
    assert_string_equal(names[0], "local");
    assert_string_equal(names[1], "builtin/lexical");
    gw_free(g);
    setenv("OLLAMA_MODEL", "tiny", 1);
    g = try("", &e);
    assert_int_equal(gw_chosen(g, NULL, names, 1), 1);
    assert_string_equal(names[0], "ollama");
    assert_string_equal(gw_find(g, "ollama")->model, "tiny");
    gw_free(g);
    unsetenv("OLLAMA_MODEL");
    setenv("MODEL_BACKENDS", "openai", 1);
    unsetenv("OPENAI_MODEL");
    refused("", "OPENAI_MODEL");
    setenv("OPENAI_MODEL", "m", 1);
    setenv("OPENAI_BASE_URL", "http://localhost:8000/v1", 1);
    g = try("", &e);
    assert_non_null(g);
    assert_string_equal(gw_find(g, "openai")->provider, "localhost");
    gw_free(g);
    setenv("MODEL_BACKENDS", "olama", 1);
    refused(local,
            "MODEL_BACKENDS: no model or kind is named \"olama\"; the nearest is \"ollama\"");
    setenv("MODEL_BACKENDS", " , ", 1);
    refused(local, "at least one");
    unsetenv("MODEL_BACKENDS");
    unsetenv("OPENAI_MODEL");
    unsetenv("OPENAI_BASE_URL");
}

static void nobody_there_is_unreachable(void **state)
{
    (void)state;
    struct error e;
    struct run run = {.loop = loop_new()};
    char path[] = "/tmp/mcpc-gateway-XXXXXX";
    FILE *f = fdopen(mkstemp(path), "w");
    fputs("[model \"a\"]\nkind = ollama\nurl = http://127.0.0.1:1\nmodel = m\n", f);
    fclose(f);
    struct gw *g = open_gateway(run.loop, path);
    unlink(path);
    struct gw_request r = request();
    assert_non_null(gw_start(g, "a", &r, &ops, &run, &e));
    loop_run(run.loop);
    assert_int_equal(run.error.code, ERR_UNREACHABLE);
    assert_int_equal(run.usage.input_tokens, 0);
    gw_free(g);
    loop_free(run.loop);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_stream),
        cmocka_unit_test(usage_is_reported_or_estimated_and_flagged),
        cmocka_unit_test(what_was_not_taken_took_no_tokens),
        cmocka_unit_test(a_cut_stream_is_an_error_with_its_part),
        cmocka_unit_test(errors_say_what_the_upstream_said),
        cmocka_unit_test(odd_keys_are_hidden_or_refused),
        cmocka_unit_test(an_endless_answer_is_stopped),
        cmocka_unit_test(every_wait_has_a_limit),
        cmocka_unit_test(a_cancel_reaches_the_upstream),
        cmocka_unit_test(requests_carry_what_they_should),
        cmocka_unit_test(models_come_from_the_configuration),
        cmocka_unit_test(wrong_models_are_refused),
        cmocka_unit_test(the_environment_chooses),
        cmocka_unit_test(nobody_there_is_unreachable),
    };
    return cmocka_run_group_tests(tests, start_peer, stop_peer);
}
