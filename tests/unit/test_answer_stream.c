/* What clients hear of an answer while it is written. Cites W1 and W2 of stream.c. */
#include "backend/compliance/compliance.h"
#include "backend/orchestrator/internal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void heard(void *arg, const char *type, const json_t *data)
{
    assert_string_equal(type, "token");
    buf_adds(arg, json_str(data, "text", ""));
}

/* Writes the text in pieces of `step` bytes; what was heard, which the caller frees. */
static char *hear(const char *text, size_t step, bool cut, char **kept)
{
    struct buf out = {0};
    struct gw_model model = {.name = "m"};
    struct orch orch = {.event = heard, .event_arg = &out};
    struct trace trace = {.orch = &orch, .id = "t"};
    struct orch_candidate c = {.trace = &trace, .model = &model};
    for (size_t at = 0, len = strlen(text); at < len; at += step) {
        buf_add(&c.text, text + at, len - at < step ? len - at : step);
        orch__stream(&c);
    }
    if (cut)
        orch__stream_cut(&c);
    *kept = xstrdup(c.text.data);
    buf_release(&c.text);
    buf_release(&c.told);
    buf_addc(&out, 0);
    return buf_take(&out);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_secret_is_heard),
        cmocka_unit_test(a_word_late),
        cmocka_unit_test(a_long_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
