/* cost_price: dated prices, read from the provider's own usage. */
#include "backend/base/clock.h"
#include "backend/cost/cost.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static int64_t at(const char *day)
{
    char *text = xasprintf("%sT12:00:00.000Z", day);
    int64_t ms = 0;
    assert_int_equal(clock_parse(text, &ms), 0);
    free(text);
    return ms;
}

static struct cost_charge charge(const struct cost *c, const char *provider, const char *model,
                                 const char *day, int64_t input, const char *raw)
{
    json_t *usage = json_loads(raw, 0, NULL);
    struct cost_usage u = {.input = input, .raw = usage};
    struct cost_charge out;
    cost_price(c, provider, model, at(day), &u, &out);
    json_decref(usage);
    return out;
}

static void opened(struct cost **c, const char *dir)
{
    struct error e = {0};
    *c = cost_new(NULL);
    if (cost_prices_load(*c, dir, &e) != ERR_OK)
        fail_msg("%s", e.detail);
}

static void cached_tokens_are_a_discount(void **state)
{
    (void)state;
    struct cost *c;
    opened(&c, NULL);
    struct cost_charge got = charge(c, "openai", "gpt-4o-mini", "2026-01-15", 1000,
                                    "{\"prompt_tokens\": 1000, \"completion_tokens\": 100,"
                                    " \"prompt_tokens_details\": {\"cached_tokens\": 400}}");
    assert_true(got.priced);
    assert_int_equal(got.nano, 180000); /* 600 * 0.15 + 400 * 0.075 + 100 * 0.60, a million */
    assert_string_equal(got.currency, "USD");
    assert_string_equal(got.version, "openai/2025-07-04");
    got = charge(c, "anthropic", "claude-opus-4-8", "2026-08-01", 1600,
                 "{\"input_tokens\": 100, \"cache_read_input_tokens\": 1000,"
                 " \"cache_creation_input_tokens\": 500, \"output_tokens\": 10}");
    assert_true(got.priced);
    assert_int_equal(got.nano, 100 * 5000 + 1000 * 500 + 500 * 6250 + 10 * 25000);
    cost_free(c);
}

static void a_price_holds_from_its_day(void **state)
{
    (void)state;
    struct cost *c;
    opened(&c, NULL);
    static const char raw[] = "{\"input_tokens\": 1000000, \"output_tokens\": 0}";
    struct cost_charge got = charge(c, "anthropic", "claude-sonnet-5", "2026-08-20", 1000000, raw);
    assert_int_equal(got.nano, 2000000000);
    got = charge(c, "anthropic", "claude-sonnet-5", "2026-09-02", 1000000, raw);
    assert_int_equal(got.nano, 3000000000);
    assert_string_equal(got.version, "anthropic/2026-09-01");
    /* A long input has a price of its own. */
    got = charge(c, "openai", "gpt-5.4", "2026-09-02", 272001,
                 "{\"prompt_tokens\": 272001, \"completion_tokens\": 0}");
    assert_int_equal(got.nano, 272001 * INT64_C(5000));
    got = charge(c, "openai", "gpt-5.4", "2026-09-02", 272000,
                 "{\"prompt_tokens\": 272000, \"completion_tokens\": 0}");
    assert_int_equal(got.nano, 272000 * INT64_C(2500));
    cost_free(c);
}

static void roubles_are_priced_by_the_names_that_a_folder_has(void **state)
{
    (void)state;
    struct cost *c;
    opened(&c, NULL);
    static const char raw[] = "{\"prompt_tokens\": 1000, \"completion_tokens\": 500}";
    static const struct {
        const char *model;
        int64_t nano; /* -1: unknown */
    } rows[] = {
        {"yandexgpt-lite", 300000000},
        {"yandexgpt-lite/latest", 300000000},
        {"gpt://b1g/yandexgpt-lite/latest", 300000000},
        {"gpt://b1g/yandexgpt-lite/latest@tuned", 300000000}, /* as its base, says the provider */
        {"gpt://b1g/yandexgpt/rc", 1200000000},
        {"yandexgpt/latest", 1800000000},
        {"gpt://b1g/aliceai-llm", 1100000000},
        {"gpt://b1g/yandexgpt-2", -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cost_charge got = charge(c, "yandexgpt", rows[i].model, "2026-11-27", 1000, raw);
        assert_int_equal(got.priced, rows[i].nano >= 0);
        if (got.priced) {
            assert_int_equal(got.nano, rows[i].nano);
            assert_string_equal(got.currency, "RUB");
            assert_string_equal(got.version, "yandexgpt/2026-03-03");
        }
    }
    assert_false(charge(c, "yandexgpt", "yandexgpt-lite", "2026-03-02", 1000, raw).priced);
    assert_false(charge(c, "gigachat", "GigaChat-2-Max", "2026-11-27", 1000, raw).priced);
    cost_free(c);
}

static void what_is_not_known_is_not_zero(void **state)
{
    (void)state;
    struct cost *c;
    opened(&c, NULL);
    static const struct {
        const char *model, *raw;
        bool priced;
    } rows[] = {
        {"gpt-5", "{\"prompt_tokens\": 10, \"completion_tokens\": 1}", true},
        {"gpt-5", "{\"prompt_tokens\": 0, \"completion_tokens\": 0}", true},
        {"gpt-5", "{\"prompt_tokens\": 10}", false}, /* what a price needs is missing */
        {"gpt-5", "{\"prompt_tokens\": 10, \"completion_tokens\": null}", false},
        {"gpt-5", "{\"prompt_tokens\": \"10\", \"completion_tokens\": 1}", false},
        {"gpt-5", "{\"prompt_tokens\": -10, \"completion_tokens\": 1}", false},
        {"gpt-5", "{\"prompt_tokens\": 1e9, \"completion_tokens\": 1}", false},
        {"gpt-5", /* more from the cache than there was */
         "{\"prompt_tokens\": 10, \"completion_tokens\": 0,"
         " \"prompt_tokens_details\": {\"cached_tokens\": 100000}}",
         false},
        {"gpt-99", "{\"prompt_tokens\": 10, \"completion_tokens\": 1}", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cost_charge got = charge(c, "openai", rows[i].model, "2026-01-15", 10, rows[i].raw);
        assert_int_equal(got.priced, rows[i].priced);
    }
    struct cost_charge zero = charge(c, "openai", "gpt-5", "2026-01-15", 0, rows[1].raw);
    assert_int_equal(zero.nano, 0);
    assert_false(charge(c, "example.com", "gpt-5", "2026-01-15", 10, rows[0].raw).priced);
    cost_free(c);
}

static void an_estimate_is_priced_by_what_it_counts(void **state)
{
    (void)state;
    struct cost *c;
    struct cost_charge got;
    opened(&c, NULL);
    /* The stream was cut: the provider told the input, and 1 for the output. */
    json_t *raw = json_pack("{s:i, s:i}", "input_tokens", 100, "output_tokens", 1);
    struct cost_usage u = {.input = 1600,
                           .cached = 1000,
                           .cache_write = 500,
                           .output = 40,
                           .estimated = true,
                           .raw = raw};
    cost_price(c, "anthropic", "claude-opus-4-8", at("2026-08-01"), &u, &got);
    assert_true(got.priced);
    assert_int_equal(got.nano, 100 * 5000 + 1000 * 500 + 500 * 6250 + 40 * 25000);
    json_decref(raw);
    cost_free(c);
}

static void put_file(const char *dir, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void a_file_of_ones_own_takes_the_place(void **state)
{
    (void)state;
    char dir[] = "/tmp/test-prices-XXXXXX", command[64];
    struct cost *c;
    assert_non_null(mkdtemp(dir));
    put_file(dir, "openai.json",
             "{\"providers\": [\"openai\"], \"currency\": \"EUR\", \"per\": 1000,"
             " \"counts\": [{\"what\": \"output\", \"at\": \"/a~1b/c~0d\"}],"
             " \"prices\": [{\"models\": [\"gpt-*\"], \"rates\": {\"output\": \"0.5\"}}]}");
    put_file(dir, "house.json",
             "{\"providers\": [\"models.example\"], \"currency\": \"RUB\","
             " \"counts\": [{\"what\": \"output\", \"at\": \"/out\"}],"
             " \"prices\": [{\"models\": [\"*\"], \"from\": \"2026-01-01\","
             "  \"rates\": {\"output\": \"7\"}}]}");
    opened(&c, dir);
    struct cost_charge got =
        charge(c, "openai", "gpt-9", "2026-01-15", 1, "{\"a/b\": {\"c~d\": 4}}");
    assert_true(got.priced);
    assert_int_equal(got.nano, 2000000);
    assert_string_equal(got.currency, "EUR");
    assert_string_equal(got.version, "openai/undated");
    got = charge(c, "models.example", "any", "2026-01-15", 1, "{\"out\": 1000000}");
    assert_int_equal(got.nano, 7000000000);
    assert_false(charge(c, "models.example", "any", "2025-12-15", 1, "{\"out\": 1}").priced);
    got = charge(c, "groq", "qwen/qwen3-32b", "2026-01-15", 1,
                 "{\"prompt_tokens\": 1, \"completion_tokens\": 1}");
    assert_true(got.priced); /* the other built-in files stay */
    cost_free(c);
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

static void a_bad_file_is_named(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{",
        "{\"providers\": [\"a\"], \"currency\": \"RUB\", \"counts\": [], \"prices\": []}",
        "{\"providers\": [], \"currency\": \"RUB\","
        " \"counts\": [{\"what\": \"output\", \"at\": \"/o\"}], \"prices\": []}",
        "{\"providers\": [\"a\"], \"currency\": \"RUB\","
        " \"counts\": [{\"what\": \"output\", \"at\": \"/o\"}],"
        " \"prices\": [{\"models\": [\"a\"], \"rates\": {\"output\": 0.5}}]}",
        "{\"providers\": [\"a\"], \"currency\": \"RUB\","
        " \"counts\": [{\"what\": \"output\", \"at\": \"/o\"}],"
        " \"prices\": [{\"models\": [\"a\"], \"rates\": {\"input\": \"0.5\"}}]}",
        "{\"providers\": [\"a\"], \"currency\": \"RUB\","
        " \"counts\": [{\"what\": \"output\", \"at\": \"/o\"}],"
        " \"prices\": [{\"models\": [\"a\"], \"from\": \"may\", \"rates\": {\"output\": \"1\"}}]}",
    };
    char dir[] = "/tmp/test-prices-XXXXXX", command[64];
    assert_non_null(mkdtemp(dir));
    struct cost *c = cost_new(NULL);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct error e = {0};
        put_file(dir, "house.json", texts[i]);
        assert_int_equal(cost_prices_load(c, dir, &e), ERR_CONFIG);
        assert_non_null(strstr(e.detail, "house.json"));
    }
    cost_free(c);
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cached_tokens_are_a_discount),
        cmocka_unit_test(a_price_holds_from_its_day),
        cmocka_unit_test(roubles_are_priced_by_the_names_that_a_folder_has),
        cmocka_unit_test(what_is_not_known_is_not_zero),
        cmocka_unit_test(an_estimate_is_priced_by_what_it_counts),
        cmocka_unit_test(a_file_of_ones_own_takes_the_place),
        cmocka_unit_test(a_bad_file_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
