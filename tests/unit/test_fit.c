/* Sources made to fit a budget: backend/gateway/fit.h. */
#include "backend/base/clock.h"
#include "backend/gateway/count.h"
#include "backend/gateway/fit.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { PARTS = 6, BUDGET = 4096, ROUNDS = 60 };
static const int64_t output = 1024;
static struct loop *loop;
static struct gw *g;

static int open_models(void **state)
{
    (void)state;
    char path[] = "/tmp/mcpc-fit-XXXXXX";
    struct error e = {0};
    unsetenv("MODEL_BACKENDS");
    FILE *f = fdopen(mkstemp(path), "w");
    fputs("[model \"m\"]\nkind = openai\nurl = http://127.0.0.1:9/v1\nmodel = x\n"
          "[model \"small\"]\nkind = openai\nurl = http://127.0.0.1:9/v1\nmodel = x\n"
          "token_budget = 512\n",
          f);
    fclose(f);
    loop = loop_new();
    struct conf *conf = conf_load(path, &e);
    g = conf ? gw_new(loop, conf, &e) : NULL;
    conf_free(conf);
    unlink(path);
    return g ? 0 : -1;
}

static int close_models(void **state)
{
    (void)state;
    gw_free(g);
    loop_free(loop);
    return 0;
}

static unsigned seed;

static unsigned dice(unsigned sides)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 16) % sides;
}

static char *any_source(size_t bytes, const char *anchor)
{
    static const char *const words[] = {"disk", "диск", "service", "журнал", "{\"a\": [", "mount",
                                        "/var", "сеть", "kernel",  "日本",   "queue",     "=="};
    struct buf text = {0};
    size_t at = bytes ? dice((unsigned)bytes) : 0;
    buf_adds(&text, "first line\n");
    for (int line = 0; text.len < bytes; line++) {
        if (anchor && text.len >= at) {
            buf_addf(&text, "%s\n", anchor);
            anchor = NULL;
        }
        buf_addf(&text, "n%d", line);
        for (unsigned n = 3 + dice(20); n; n--)
            buf_addf(&text, " %s", words[dice(12)]);
        buf_addc(&text, '\n');
    }
    if (anchor)
        buf_adds(&text, anchor);
    return buf_take(&text);
}

/* The lines that are kept are lines of the source, in its order. */
static void check_order(const char *kept, const char *source)
{
    char *copy = xstrdup(kept), *rest = NULL;
    const char *at = source;
    for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (strncmp(line, "[... ", 5) == 0)
            continue;
        at = strstr(at, line);
        assert_non_null(at);
        at += strlen(line);
    }
    free(copy);
}

/* The bytes that the report says are kept are those that were. */
static void check_kept(const json_t *row, const char *source, const char *text)
{
    const json_t *kept = json_object_get(row, "kept"), *range;
    size_t i, bytes = 0;
    if (!kept)
        assert_string_equal(source, text);
    json_array_foreach((json_t *)kept, i, range)
    {
        int64_t at = json_integer_value(json_array_get(range, 0)),
                len = json_integer_value(json_array_get(range, 1));
        assert_in_range(at + len, 1, strlen(source));
        char *piece = xstrndup(source + at, (size_t)len);
        text = strstr(text, piece);
        assert_non_null(text);
        text += len;
        bytes += (size_t)len;
        free(piece);
    }
    if (kept)
        assert_true(bytes < strlen(source) && strlen(text) < 60);
}

static void conversations_fit(void **state)
{
    (void)state;
    static const char anchor[] = "fatal: the disk sda1 is 93.5% full";
    size_t under = 0, shortened = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct gw_fit_part parts[PARTS];
        char *texts[PARTS], *again[PARTS];
        seed = round;
        for (size_t i = 0; i < PARTS; i++)
            parts[i] = (struct gw_fit_part){
                "1",
                any_source(dice(200 * 1024 / PARTS / (1 + round % 9)), i ? NULL : anchor),
                dice(100) / 100.0,
                NULL,
                NULL,
                false};
        const struct gw_fit_ask ask = {"m",
                                       "You are a copilot. Question: is the disk full?",
                                       "is the disk full?",
                                       parts,
                                       PARTS,
                                       output};
        json_t *report = gw_fit(g, &ask, texts), *same = gw_fit(g, &ask, again);
        int64_t tokens = gw_count_tokens(g, "m", ask.fixed);
        assert_true(json_equal(report, same));
        assert_non_null(strstr(texts[0], anchor));
        shortened += json_int(report, "dropped", 0) > 0;
        for (size_t i = 0; i < PARTS; i++) {
            check_kept(json_array_get(json_object_get(report, "parts"), i), parts[i].text,
                       texts[i]);
            assert_string_equal(texts[i], again[i]);
            check_order(texts[i], parts[i].text);
            tokens += gw_count_tokens(g, "m", texts[i]);
            free(texts[i]);
            free(again[i]);
            free((char *)parts[i].text);
        }
        double answer = (double)output / 2 * 1.2; /* forecast and margin before any answer */
        under += (double)tokens * 1.15 + answer <= BUDGET;
        assert_int_equal(json_int(report, "budget", 0), BUDGET);
        json_decref(report);
        json_decref(same);
    }
    assert_true(under * 100 >= ROUNDS * 98);
    assert_true(shortened > ROUNDS / 2);
}

static void what_fits_is_left_alone(void **state)
{
    (void)state;
    const struct gw_fit_part part = {"7", "one\ntwo", 1, NULL, NULL, false};
    struct gw_fit_ask ask = {"m", "", "?", &part, 1, output};
    char *text;
    json_t *report = gw_fit(g, &ask, &text);
    assert_string_equal(text, "one\ntwo");
    assert_int_equal(json_int(report, "dropped", -1), 0);
    assert_int_equal(json_int(report, "before", -1), json_int(report, "after", -2));
    free(text);
    json_decref(report);
    ask.model = "builtin/lexical";
    assert_null(gw_fit(g, &ask, &text));
}

/* A part that is full of errors leaves room for the best of each other one; what has no room at all
 * is what fits least, and its line is counted. */
static void each_part_keeps_its_best(void **state)
{
    (void)state;
    static const char frame[] = "[2] runbook en/disk.md\n<<<0123456789abcdef\n"
                                "\n>>>0123456789abcdef\n";
    struct buf loud = {0}, quiet = {0};
    for (int i = 0; i < 200; i++) {
        buf_addf(&loud, "error %d: the disk is 93%% full, the queue waits 20 ms\n", i);
        if (i == 120)
            buf_adds(&quiet, "a full disk in the cellar\n");
        buf_addf(&quiet, "row %d speaks of gardens, of rivers and of the sea\n", i);
    }
    const struct gw_fit_part parts[] = {
        {"1", loud.data, 0.9, frame, "[1 left out]\n", false},
        {"2", quiet.data, 0.5, frame, "[2 left out]\n", false},
        {"3", quiet.data, 0.4, frame, "[3 left out]\n", false},
        {"earlier", loud.data, 1, frame, "[earlier left out]\n", true},
        {"4", quiet.data, 0.1, frame, "[4 left out]\n", false},
    };
    enum { N = sizeof parts / sizeof *parts };
    struct gw_fit_ask ask = {"small", "Is the disk full?", "is the disk full?", parts, N, output};
    for (int64_t fixed = 0; fixed < 3; fixed++) {
        static const char *const more[] = {"", "a hundred words ", "four hundred words "};
        struct buf text = {0};
        char *texts[N];
        for (int64_t i = 0; i < fixed * 30; i++)
            buf_adds(&text, more[fixed]);
        ask.fixed = text.len ? text.data : "Is the disk full?";
        json_t *report = gw_fit(g, &ask, texts);
        int64_t tokens = gw_count_tokens(g, "small", ask.fixed);
        for (size_t i = 0; i < N; i++)
            tokens += gw_count_tokens(g, "small", *texts[i] ? texts[i] : parts[i].gone) +
                      (*texts[i] ? gw_count_tokens(g, "small", frame) : 0);
        assert_in_range(tokens, 1, 512 * 6 / 10 + 2 * N);
        assert_string_equal(texts[3], ""); /* aside */
        if (fixed < 2)
            assert_true(*texts[0]);
        if (fixed == 0)
            assert_true(strstr(texts[1], "disk") && strstr(texts[2], "disk") && *texts[4]);
        if (fixed == 2)
            assert_string_equal(texts[4], "");
        assert_true(json_int(report, "dropped", 0) > 0);
        for (size_t i = 0; i < N; i++)
            free(texts[i]);
        json_decref(report);
        buf_release(&text);
    }
    buf_release(&loud);
    buf_release(&quiet);
}

/* A line without an end is cut, at a blank if it has one, never within a character. */
static void a_long_line_is_cut(void **state)
{
    (void)state;
    struct buf words = {0}, solid = {0};
    for (int i = 0; i < 500; i++) {
        buf_adds(&words, "журнал ");
        buf_adds(&solid, "журнал");
    }
    const struct gw_fit_part parts[] = {{"1", words.data, 0.9, NULL, NULL, false},
                                        {"2", solid.data, 0.5, NULL, NULL, false}};
    const struct gw_fit_ask ask = {"small", "?", "журнал", parts, 2, output};
    char *texts[2];
    json_t *report = gw_fit(g, &ask, texts);
    for (size_t i = 0; i < 2; i++) {
        char *end = strstr(texts[i], " [...]");
        assert_non_null(strstr(texts[i], "lines left out]"));
        json_t *whole = json_string(texts[i]); /* NULL: no UTF-8 */
        assert_non_null(whole);
        json_decref(whole);
        if (end)
            assert_true(strncmp(texts[i], parts[i].text, (size_t)(end - texts[i])) == 0);
        free(texts[i]);
    }
    json_decref(report);
    buf_release(&words);
    buf_release(&solid);
}

static void a_mebibyte_is_quick(void **state)
{
    (void)state;
    enum { MOST = 3000 }; /* with sanitizers, beside other tests; 58 ms were measured without */
    const struct gw_fit_part part = {"1", any_source(1 << 20, NULL), 1, NULL, NULL, false};
    const struct gw_fit_ask ask = {"m", "", "disk mount queue?", &part, 1, output};
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < 3; i++) { /* the machine may be busy */
        char *text;
        uint64_t began = clock_mono_ms();
        json_t *report = gw_fit(g, &ask, &text);
        uint64_t took = clock_mono_ms() - began;
        best = took < best ? took : best;
        assert_non_null(strstr(text, "lines left out]"));
        free(text);
        json_decref(report);
    }
    print_message("1 MiB in %llu ms\n", (unsigned long long)best);
    free((char *)part.text);
    assert_in_range(best, 0, MOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conversations_fit),        cmocka_unit_test(what_fits_is_left_alone),
        cmocka_unit_test(each_part_keeps_its_best), cmocka_unit_test(a_long_line_is_cut),
        cmocka_unit_test(a_mebibyte_is_quick),
    };
    return cmocka_run_group_tests(tests, open_models, close_models);
}
