/* What clients hear of an answer while it is written. Cites W1, W2 and W3 of stream.c. */
#include "backend/compliance/compliance.h"
#include "backend/orchestrator/internal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void heard(void *arg, const char *type, const json_t *data)
{
    assert_string_equal(type, "token");
    buf_adds(arg, json_str(data, "text", ""));
}

static struct orch_safety safety; /* of the console that is heard */

/* Writes the text in pieces of `step` bytes; what was heard, which the caller frees. */
static char *hear(const char *text, size_t step, bool cut, char **kept)
{
    struct buf out = {0};
    struct gw_model model = {.name = "m"};
    struct orch orch = {.event = heard, .event_arg = &out, .safety = safety};
    struct trace trace = {.orch = &orch, .id = "t"};
    struct orch_candidate c = {.trace = &trace, .model = &model};
    for (size_t at = 0, len = strlen(text); at < len; at += step) {
        size_t n = len - at < step ? len - at : step;
        buf_add(&c.text, text + at, n);
        orch__stream(&c, n);
    }
    if (cut)
        orch__stream_cut(&c);
    *kept = xstrdup(c.text.data);
    buf_release(&c.text);
    buf_release(&c.told);
    buf_addc(&out, 0);
    return buf_take(&out);
}

/* A model that writes no spaces costs no more than another one. */
static void an_answer_without_spaces_is_read_once(void **state)
{
    enum { LONG = 256 * 1024 };
    (void)state;
    char *text = xcalloc(1, LONG + 1), *kept;
    memset(text, 'x', LONG);
    clock_t before = clock();
    char *out = hear(text, 1, false, &kept);
    assert_true(clock() - before < 2 * CLOCKS_PER_SEC);
    assert_string_equal(out, "");
    free(text);
    free(out);
    free(kept);
}

static const char *const SECRET = "ghp_0123456789abcdefABCDEF0123456789abcd";

/* However it is cut into pieces, nothing of a secret is heard, and all the rest is. */
static void no_secret_is_heard(void **state)
{
    static const char *const texts[] = {
        "The token is %s and it works.\nNext line.\n", "password=%s\nend\n",
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqh\n%s\n-----END PRIVATE KEY-----\nend\n"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char *text = xasprintf(texts[i], SECRET), *clean = pol_scrub_text(text);
        assert_non_null(clean);
        for (size_t step = 1; step < 64; step += 3) {
            char *kept, *out = hear(text, step, false, &kept);
            assert_null(strstr(out, "0123456789abcdef"));
            assert_null(strstr(out, "MIIE"));
            assert_string_equal(out, clean);
            free(out);
            free(kept);
        }
        free(text);
        free(clean);
    }
}

/* W1: the last word waits; what ended early keeps no part of it. */
static void a_word_late(void **state)
{
    char *kept, *out = hear("one two thr", 2, true, &kept);
    (void)state;
    assert_string_equal(out, "one two ");
    assert_string_equal(kept, "one two ");
    free(out);
    free(kept);
    char *half = xasprintf("it is %.20s", SECRET);
    out = hear(half, 1, true, &kept);
    assert_string_equal(out, "it is ");
    assert_string_equal(kept, "it is ");
    free(half);
    free(out);
    free(kept);
}

/* A line without an end is heard as it comes. */
static void a_long_line(void **state)
{
    struct buf text = {0};
    (void)state;
    for (int i = 0; i < 4000; i++)
        buf_addf(&text, "w%d ", i);
    char *kept, *out = hear(text.data, 7, false, &kept);
    assert_string_equal(out, text.data);
    free(out);
    free(kept);
    buf_release(&text);
}

/* W3: what is severe is not heard, in whatever pieces it comes, nor what follows it; all that
 * stands before the word that makes it so is. */
static void nothing_severe_is_heard(void **state)
{
    static const char *const texts[] = {
        "All is well. First, to build a bomb, buy fertilizer.\nThen wait for it.\n",
        "All is well. First, to\nbuild a bomb, buy fertilizer. Then wait. And more.\n"};
    (void)state;
    safety.filter = pol_filter_new();
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (size_t step = 1; step < 90; step += 2) {
            char *kept, *out = hear(texts[i], step, false, &kept);
            assert_null(strstr(out, "bomb"));
            assert_null(strstr(out, "fertilizer"));
            assert_null(strstr(out, "wait"));
            if (step < 8)
                assert_non_null(strstr(out, "All is well. First, to"));
            free(out);
            free(kept);
        }
    pol_filter_free(safety.filter);
    safety.filter = NULL;
}

/* A sentence that could still be excused waits for its end; then it is heard whole. */
static void what_is_excused_is_heard(void **state)
{
    static const char text[] = "Look here. First you kill a person of what is, to be sure, a "
                               "process. Then rest.\nGood. ";
    (void)state;
    safety.filter = pol_filter_new();
    for (size_t step = 1; step < 70; step += 3) {
        char *kept, *out = hear(text, step, false, &kept);
        assert_string_equal(out, text);
        free(out);
        free(kept);
    }
    /* a text without a sentence's end is told all the same, and each look at it is bounded */
    struct buf log = {0};
    for (int i = 0; i < 3000; i++)
        buf_adds(&log, "pod-17 killed\n");
    char *kept, *out = hear(log.data, 7, false, &kept);
    assert_string_equal(out, log.data);
    free(out);
    free(kept);
    buf_release(&log);
    pol_filter_free(safety.filter);
    safety.filter = NULL;
}

/* Y2 of safety.c: where a judge judges answers, nothing is heard before it has. */
static void a_judged_answer_comes_whole(void **state)
{
    (void)state;
    safety.judges[POL_ANSWER] = true;
    char *kept, *out = hear("one two three ", 2, false, &kept);
    assert_string_equal(out, "");
    free(out);
    free(kept);
    safety.judges[POL_ANSWER] = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_without_spaces_is_read_once),
        cmocka_unit_test(no_secret_is_heard),
        cmocka_unit_test(a_word_late),
        cmocka_unit_test(a_long_line),
        cmocka_unit_test(nothing_severe_is_heard),
        cmocka_unit_test(what_is_excused_is_heard),
        cmocka_unit_test(a_judged_answer_comes_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
