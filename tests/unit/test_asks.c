/* What a model's server is asked besides chats: embeddings, its models, its health. Against the
 * mock (tests/peers/mock_model.c). */
#include "backend/base/clock.h"
#include "backend/telemetry/telemetry.h"
#include "tests/unit/gateway_harness.h"
#include <math.h>
#include <time.h>

struct heard {
    size_t told;
    struct error error;
    int64_t status;
    int listed;
    json_t *models;
    float *vectors;
    size_t count, dimensions;
    struct gw_usage usage;
    char outcome[16];
};

static void on_told(void *arg, const struct gw_asked *a)
{
    struct heard *h = arg;
    h->told++;
    h->error = a->error;
    h->status = a->http_status;
    h->listed = a->listed;
    h->models = json_deep_copy(a->models);
    h->count = a->count;
    h->dimensions = a->dimensions;
    if (a->vectors) {
        h->vectors = xcalloc(a->count * a->dimensions, sizeof *h->vectors);
        memcpy(h->vectors, a->vectors, a->count * a->dimensions * sizeof *h->vectors);
    }
    if (a->spent) {
        h->usage = gw_spent_usage(a->spent);
        snprintf(h->outcome, sizeof h->outcome, "%s", a->spent->at[0].outcome);
    }
    loop_quit(w.loop);
}

static void release(struct heard *h)
{
    json_decref(h->models);
    free(h->vectors);
}

/* One model "m" whose section holds these lines; %s in them is the mock's address. */
static void open_model(const char *lines)
{
    char *text = xasprintf("[model \"m\"]\n%s", lines);
    open_world(text);
    free(text);
}

enum what { LIST, HEALTH, EMBED };
static const char *const TEXTS[] = {"disk", "диск", "load", "", "disk"};

static struct heard ask(enum what what, const char *model)
{
    struct heard h = {0};
    struct error e = {0};
    const struct gw_request whom = {.lang = "en", .tag = GW_BATCH, .project = "p"};
    struct gw_ask *a = what == LIST     ? gw_list_models(w.g, model, on_told, &h, &e)
                       : what == HEALTH ? gw_health(w.g, model, on_told, &h, &e)
                                        : gw_embed(w.g, model, TEXTS, 5, &whom, on_told, &h, &e);
    if (!a) {
        h.error = e;
        return h;
    }
    assert_int_equal(h.told, 0);
    loop_run(w.loop);
    assert_int_equal(h.told, 1);
    return h;
}

static struct heard ask_once(enum what what, const char *lines)
{
    open_model(lines);
    struct heard h = ask(what, "m");
    close_world();
    return h;
}

static void fine(const struct heard *h)
{
    if (h->error.code)
        fail_msg("%s: %s", err_name(h->error.code), h->error.detail);
}

static void failed(struct heard *h, enum err code, const char *words)
{
    if (h->error.code != code || !strstr(h->error.detail, words))
        fail_msg("%s: %s", err_name(h->error.code), h->error.detail);
    assert_null(h->vectors);
    release(h);
}

static void servers_list_their_models(void **state)
{
    (void)state;
    static const char *const kinds[] = {"kind = openai\nurl = %s/v1\nmodel = mock-small\n",
                                        "kind = ollama\nurl = %s\nmodel = mock-small\n",
                                        "kind = anthropic\nurl = %s/v1/\nmodel = mock-small\n",
                                        "kind = vllm\nurl = %s/v1\nmodel = mock-small\n"};
    for (size_t i = 0; i < 4; i++) {
        struct heard h = ask_once(LIST, kinds[i]);
        fine(&h);
        assert_int_equal(json_array_size(h.models), 2);
        const json_t *row = json_array_get(h.models, 1);
        assert_string_equal(json_str(row, "name", ""), i == 1 ? "mock-small:latest" : "mock-small");
        assert_string_equal(json_str(row, "title", ""), i == 1   ? "mock 1B Q4_0"
                                                        : i == 2 ? "Mock Small"
                                                                 : "mock");
        assert_int_equal(json_int(row, "bytes", -1), i == 1 ? 500000000 : -1);
        release(&h);
        h = ask_once(HEALTH, kinds[i]);
        fine(&h);
        assert_int_equal(h.listed, 1);
        assert_int_equal(h.status, 200);
        release(&h);
    }
    struct heard h = ask_once(HEALTH, "kind = openai\nurl = %s/v1\nmodel = other\n");
    fine(&h);
    assert_int_equal(h.listed, 0);
    open_model("kind = openai\nurl = %s/v1\nmodel = x\n");
    h = ask(LIST, "builtin/vector");
    fine(&h);
    assert_int_equal(json_array_size(h.models), 2);
    release(&h);
    h = ask(HEALTH, "builtin/lexical");
    fine(&h);
    assert_int_equal(h.listed, 1);
    h = ask(LIST, "nobody");
    failed(&h, ERR_NOT_FOUND, "nobody");
    close_world();
}

static void a_server_that_is_not_well(void **state)
{
    (void)state;
    struct heard h = ask_once(HEALTH, "kind = openai\nurl = http://127.0.0.1:1/v1\nmodel = x\n"
                                      "retries = 0\n");
    assert_int_equal(h.error.code, ERR_UNREACHABLE);
    h = ask_once(HEALTH, "kind = openai\nurl = %s/@status=401/v1\nmodel = x\n");
    failed(&h, ERR_UPSTREAM, "HTTP 401: broken in the mock");
    h = ask_once(HEALTH, "kind = vllm\nurl = %s/v1\nmodel = x\nhealth_path = /@status=503/health\n"
                         "retries = 0\n");
    failed(&h, ERR_UPSTREAM, "HTTP 503");
    h = ask_once(HEALTH, "kind = vllm\nurl = %s/@status=404/v1\nmodel = x\n");
    fine(&h); /* it lists nothing, and is well */
    assert_int_equal(h.listed, -1);
    h = ask_once(LIST, "kind = openai\nurl = %s/@type=html/v1\nmodel = x\n");
    failed(&h, ERR_PROTOCOL, "no JSON object");
}

static void texts_get_vectors(void **state)
{
    (void)state;
    static const char *const kinds[] = {
        "kind = openai\nurl = %s/v1\nmodel = in=7,dimensions=12\nembed_batch = 2\n",
        "kind = ollama\nurl = %s\nmodel = in=7,dimensions=12\nembed_batch = 2\n"};
    for (size_t i = 0; i < 2; i++) {
        open_model(kinds[i]);
        struct heard h = ask(EMBED, "m");
        fine(&h);
        assert_int_equal(h.count, 5);
        assert_int_equal(h.dimensions, 12);
        assert_memory_equal(h.vectors, h.vectors + 4 * 12, 12 * sizeof(float));
        double sum = 0;
        for (size_t k = 0; k < 12; k++)
            sum += (double)h.vectors[12 + k] * (double)h.vectors[12 + k];
        assert_true(fabs(sum - 1) < 1e-4);
        assert_true(memcmp(h.vectors, h.vectors + 12, 12 * sizeof(float)) != 0);
        assert_int_equal(h.usage.input_tokens, 21); /* three batches */
        assert_false(h.usage.estimated);
        assert_string_equal(h.outcome, "ok");
        release(&h);
        json_t *count = mock_ask(&peer, "/mock/count", NULL);
        assert_int_equal(json_int(count, "requests", 0), 3);
        json_decref(count);
        close_world();
    }
    open_model("kind = anthropic\nurl = %s/v1\nmodel = x\n");
    struct heard h = ask(EMBED, "m");
    failed(&h, ERR_UNSUPPORTED, "no embeddings");
    h = ask(EMBED, "builtin/lexical");
    failed(&h, ERR_UNSUPPORTED, "builtin/vector does");
    h = ask(EMBED, "builtin/vector");
    fine(&h);
    assert_int_equal(h.dimensions, 256);
    assert_memory_equal(h.vectors, h.vectors + 4 * 256, 256 * sizeof(float));
    release(&h);
    close_world();
}

/* ---- admission, failures, cancelling */

static struct {
    size_t reserved, settled;
    int64_t tokens;
    bool refuse;
} admission;

static enum err reserve(void *arg, const struct gw_model *m, const struct gw_request *r,
                        int64_t input_tokens, int64_t output_tokens, uint64_t *ticket,
                        struct error *e)
{
    (void)arg;
    (void)m;
    assert_string_equal(r->project, "p");
    assert_true(input_tokens > 0 && output_tokens == 0);
    if (admission.refuse)
        return err_set(e, ERR_DENIED, "over the budget");
    *ticket = ++admission.reserved;
    return ERR_OK;
}

static void settle(void *arg, uint64_t ticket, const struct gw_attempt *a)
{
    (void)arg;
    assert_int_equal(ticket, ++admission.settled);
    admission.tokens += a->usage.input_tokens;
}

static void quit(void *arg)
{
    (void)arg;
    loop_quit(w.loop);
}

static void embeddings_are_admitted_and_tried_again(void **state)
{
    (void)state;
    const struct gw_admission ops = {.reserve = reserve, .settle = settle};
    open_model("kind = openai\nurl = %s/v1\nmodel = in=7\nembed_batch = 3\n");
    gw_set_admission(w.g, &ops, NULL);
    assert_true(mock_script(&peer, "[\"in=7\",\"status=429,retry=0\",\"in=7\"]"));
    struct heard h = ask(EMBED, "m");
    fine(&h);
    release(&h);
    assert_int_equal(admission.reserved, 2);
    assert_int_equal(admission.settled, 2);
    assert_int_equal(admission.tokens, 14);
    assert_true(mock_script(&peer, "[\"in=7\",\"status=400\"]"));
    h = ask(EMBED, "m"); /* what was paid for is told with the failure */
    assert_int_equal(h.usage.input_tokens, 7);
    assert_string_equal(h.outcome, "error");
    failed(&h, ERR_UPSTREAM, "HTTP 400");
    assert_int_equal(admission.settled, 4);
    assert_true(mock_script(&peer, "[\"dimensions=0\"]"));
    h = ask(EMBED, "m");
    failed(&h, ERR_PROTOCOL, "one vector for each text");
    assert_true(mock_script(&peer, "[\"dimensions=8\",\"dimensions=9\"]"));
    h = ask(EMBED, "m");
    failed(&h, ERR_PROTOCOL, "of the same length");
    admission.refuse = true;
    h = ask(EMBED, "m");
    failed(&h, ERR_DENIED, "over the budget");
    admission.refuse = false;
    assert_true(mock_script(&peer, "[\"hang\"]"));
    struct heard other = {0};
    struct error e = {0};
    const struct gw_request whom = {.lang = "en", .project = "p"};
    gw_ask_cancel(gw_embed(w.g, "m", TEXTS, 5, &whom, on_told, &other, &e), NULL);
    assert_non_null(gw_embed(w.g, "m", TEXTS, 5, &whom, on_told, &other, &e));
    struct loop_timer *soon = loop_timer_new(w.loop, quit, NULL);
    loop_timer_start(soon, 100, 0);
    loop_run(w.loop);
    loop_timer_free(soon);
    close_world(); /* ends what is under way */
    assert_int_equal(other.told, 0);
    assert_int_equal(admission.reserved, admission.settled);
}

static void one_place_is_enough(void **state)
{
    (void)state;
    struct heard h[3] = {0};
    struct error e = {0};
    open_model("kind = openai\nurl = %s/v1\nmodel = in=7,head=20\nparallel = 1\n");
    for (size_t i = 0; i < 3; i++)
        assert_non_null(gw_embed(w.g, "m", TEXTS, 5, NULL, on_told, &h[i], &e));
    for (size_t i = 0; i < 3; i++)
        loop_run(w.loop);
    for (size_t i = 0; i < 3; i++) {
        fine(&h[i]);
        assert_int_equal(h[i].count, 5);
        release(&h[i]);
    }
    json_t *count = mock_ask(&peer, "/mock/count", NULL);
    assert_int_equal(json_int(count, "most", 0), 1);
    json_decref(count);
    close_world();
}

/* Embeddings are calls as others: a full queue refuses them, hours that are not theirs put them
 * off.
 */
static void embeddings_wait_as_calls_do(void **state)
{
    (void)state;
    struct heard h[3] = {{.told = 0}};
    struct error e = {0};
    open_model("kind = openai\nurl = %s/v1\nmodel = in=7,head=20\nparallel = 1\nqueue = 1\n");
    for (size_t i = 0; i < 3; i++)
        assert_non_null(gw_embed(w.g, "m", TEXTS, 5, NULL, on_told, &h[i], &e));
    while (h[0].told + h[1].told + h[2].told < 3)
        loop_run(w.loop);
    fine(&h[0]);
    fine(&h[1]);
    assert_int_equal(h[2].error.code, ERR_OVERLOADED);
    for (size_t i = 0; i < 3; i++)
        release(&h[i]);
    close_world();

    time_t now = time(NULL);
    struct tm tm;
    localtime_r(&now, &tm);
    char *lines = xasprintf("kind = openai\nurl = %%s/v1\nmodel = x\noff_peak = %02d:00-%02d:00\n",
                            (tm.tm_hour + 2) % 24, (tm.tm_hour + 3) % 24);
    const struct gw_request batch = {.lang = "en", .tag = GW_BATCH, .off_peak = true},
                            now_please = {.lang = "en", .off_peak = true};
    struct heard later = {.told = 0}, soon = {.told = 0};
    open_model(lines);
    free(lines);
    struct gw_ask *waits = gw_embed(w.g, "m", TEXTS, 5, &batch, on_told, &later, &e);
    assert_non_null(gw_embed(w.g, "m", TEXTS, 5, &now_please, on_told, &soon, &e));
    loop_run(w.loop);
    fine(&soon);
    struct loop_timer *timer = loop_timer_new(w.loop, quit, w.loop);
    loop_timer_start(timer, 100, 0);
    loop_run(w.loop);
    loop_timer_free(timer);
    assert_int_equal(later.told, 0);
    gw_ask_cancel(waits, NULL);
    release(&soon);
    close_world();
}

/* Some servers take one text a request, whatever nobody says of it. */
static void one_text_a_request(void **state)
{
    (void)state;
    static const char *const kinds[] = {
        "kind = triton\nurl = %s/v1\nmodel = in=7\n",
        "kind = yandexgpt\nurl = %s/v1\nmodel = emb://f/in=7\n",
        "kind = triton\nurl = %s/v1\nmodel = in=7\nembed_batch = 3\n"};
    for (size_t i = 0; i < 3; i++) {
        open_model(kinds[i]);
        struct heard h = ask(EMBED, "m");
        fine(&h);
        assert_int_equal(h.count, 5);
        release(&h);
        json_t *count = mock_ask(&peer, "/mock/count", NULL);
        assert_int_equal(json_int(count, "requests", 0), i == 2 ? 2 : 5);
        json_decref(count);
        close_world();
    }
}

/* Exchanges that are no chats open a breaker too; only embeddings are kept back by it, and an
 * answer to anything closes it. */
static void the_breaker_hears_of_them(void **state)
{
    (void)state;
    struct tel *tel = tel_new();
    open_model("kind = openai\nurl = %s/v1\nmodel = in=7\nretries = 4\nregion = RU\n");
    gw_set_telemetry(w.g, tel, true);
    assert_true(mock_script(&peer, "[\"status=500,retry=0\",\"status=500,retry=0\","
                                   "\"status=500,retry=0\",\"status=500,retry=0\","
                                   "\"status=500,retry=0\"]"));
    struct heard h = ask(EMBED, "m");
    failed(&h, ERR_UPSTREAM, "HTTP 500");
    assert_true(tel_value(tel, TEL_model_calls, TEL_LABELS("m", "error")) == 5);
    h = ask(EMBED, "m");
    failed(&h, ERR_UNREACHABLE, "it is left alone");
    assert_int_equal(h.usage.input_tokens, 0);
    assert_true(tel_value(tel, TEL_model_calls, TEL_LABELS("m", "error")) == 5);
    h = ask(HEALTH, "m");
    fine(&h);
    assert_true(tel_value(tel, TEL_model_asks, TEL_LABELS("m", "health", "ok")) == 1);
    h = ask(EMBED, "m");
    fine(&h);
    release(&h);
    assert_true(tel_value(tel, TEL_model_calls, TEL_LABELS("m", "ok")) == 1);
    assert_true(tel_value(tel, TEL_model_tokens, TEL_LABELS("m", "input")) == 7);
    h = ask(LIST, "m");
    fine(&h);
    release(&h);
    assert_true(tel_value(tel, TEL_model_asks, TEL_LABELS("m", "list", "ok")) == 1);
    close_world();
    tel_free(tel);
}

/* What was sent is paid for, also when nobody waits for the answer. */
static void what_was_sent_is_told_at_a_cancel(void **state)
{
    (void)state;
    struct heard h = {.told = 0};
    struct error e = {0};
    struct gw_spent spent;
    const struct gw_request abroad = {.lang = "en", .regions = "DE"};
    open_model("kind = openai\nurl = %s/v1\nmodel = hang\nregion = RU\n");
    assert_null(gw_embed(w.g, "m", TEXTS, 5, &abroad, on_told, &h, &e));
    assert_int_equal(e.code, ERR_DENIED);
    struct gw_ask *a = gw_embed(w.g, "m", TEXTS, 5, NULL, on_told, &h, &e);
    gw_ask_cancel(a, &spent);
    assert_int_equal(spent.count, 1);
    assert_int_equal(gw_spent_usage(&spent).input_tokens, 0);
    gw_spent_release(&spent);
    a = gw_embed(w.g, "m", TEXTS, 5, NULL, on_told, &h, &e);
    struct loop_timer *soon = loop_timer_new(w.loop, quit, NULL);
    loop_timer_start(soon, 100, 0);
    loop_run(w.loop);
    loop_timer_free(soon);
    gw_ask_cancel(a, &spent);
    assert_string_equal(spent.at[0].outcome, "cancelled");
    assert_true(spent.at[0].usage.estimated);
    assert_true(spent.at[0].usage.input_tokens > 0);
    gw_spent_release(&spent);
    assert_int_equal(h.told, 0);
    close_world();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(servers_list_their_models),
        cmocka_unit_test(a_server_that_is_not_well),
        cmocka_unit_test(texts_get_vectors),
        cmocka_unit_test(embeddings_are_admitted_and_tried_again),
        cmocka_unit_test(one_place_is_enough),
        cmocka_unit_test(embeddings_wait_as_calls_do),
        cmocka_unit_test(one_text_a_request),
        cmocka_unit_test(the_breaker_hears_of_them),
        cmocka_unit_test(what_was_sent_is_told_at_a_cancel),
    };
    return cmocka_run_group_tests(tests, start_peer, stop_peer);
}
