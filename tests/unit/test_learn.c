/* The estimate of tokens that learns: what of texts it counts, how fast it learns a provider it
 * does not know, what a wrong report does to it, and that what it knows can be kept. */
#include "backend/base/buf.h"
#include "backend/gateway/learn.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void counts(const char *text, enum gw__feature what, double wanted)
{
    struct gw__features f = {.count = {0}};
    gw__features_add(&f, text, strlen(text));
    if (fabs(f.count[what] - wanted) > 1e-9)
        fail_msg("\"%s\": feature %d is %g, not %g", text, (int)what, f.count[what], wanted);
}

static void test_features(void **state)
{
    (void)state;
    counts("Disk is full", GW__F_WORD, 3);
    counts("Disk is full", GW__F_LETTER, 10);
    counts("camelCase", GW__F_WORD, 2);
    counts("filesystems", GW__F_LONG, 4);
    counts("filesystems is", GW__F_MIDDLE, 7);
    counts("HTTP", GW__F_CAPITAL, 3);
    counts("a3f9", GW__F_MIXED, 2);
    counts("x86 rows", GW__F_WORD, 1);
    counts("Диск заполнен", GW__F_CYR_WORD, 2);
    counts("Диск заполнен", GW__F_CYR_LETTER, 12);
    counts("Диск заполнен, почти", GW__F_CYR_LONG, 2);
    counts("12345 1", GW__F_DIGITS, 3);
    counts("-->", GW__F_SIGN, 1);
    counts("-->", GW__F_SIGN_SAME, 1);
    counts("-->", GW__F_SIGN_MORE, 1);
    counts("a\n\n\nb", GW__F_LINE, 1);
    counts("a;\r\nb", GW__F_SIGN_LINE, 1);
    counts("a\n    b", GW__F_INDENT, 1);
    counts("a\n    b", GW__F_BLANK, 4);
    counts("a   b", GW__F_GAP, 1);
    counts("日本", GW__F_IDEOGRAPH, 2);
    counts("\xff", GW__F_OTHER, 1);
    struct gw__features f = {.count = {0}};
    gw__features_add(&f, "ab 12 Да", 10);
    assert_true(f.bytes[GW__SCRIPT_LATIN] == 2 && f.bytes[GW__SCRIPT_CYRILLIC] == 4 &&
                f.bytes[GW__SCRIPT_DIGITS] == 2 && f.bytes[GW__SCRIPT_SPACE] == 2);
}

/* ---- a provider that nobody knows */

static const char *const words[] = {
    "disk ",      "filesystem ", "is ",       "full, ",      "93.5 ",   "диск ",   "заполнен ",
    "{\"used\":", "/var/log ",   "\n",        "\n    - ",    "日志 ",   "a3f9c1 ", "Kubernetes ",
    "нагрузка ",  "--- ",        "12345678 ", "errorCount ", "HTTP/2 ", "в ",      "   ",
};
enum { WORDS = sizeof words / sizeof *words };

static unsigned seed = 1;

static size_t any(size_t n)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 16) % n;
}

static struct gw__features texts(size_t n)
{
    struct gw__features f = {.count = {0}};
    struct buf text = {0};
    for (size_t i = 0; i < n; i++)
        buf_adds(&text, words[any(WORDS)]);
    gw__features_add(&f, text.data, text.len);
    f.count[GW__F_REQUEST] = 1;
    f.count[GW__F_MESSAGE] = 2;
    buf_release(&text);
    return f;
}

/* Its tokenizer is unlike any: worths from none to twice what is usual, and noise of 3% beside. */
static double reported(const struct gw__features *f, double factor)
{
    struct gw__learner usual;
    double sum = 0;
    gw__learner_init(&usual);
    for (int i = 0; i < GW__FEATURES; i++)
        sum += f->count[i] * usual.worth[i] * (double)((i * 7) % 5) / 2;
    return round(factor * sum * (0.97 + 0.06 * (double)any(1000) / 1000) + 5);
}

static void turns(struct gw__learner *l, int n, double factor)
{
    for (int i = 0; i < n; i++) {
        struct gw__features f = texts(20 + any(300));
        double tokens = reported(&f, factor);
        gw__learner_judge(l, gw__learner_tokens(l, &f), tokens);
        gw__learner_learn(l, &f, tokens);
    }
}

static double error_now(const struct gw__learner *l, double factor)
{
    struct tel_history h = {.count = 0};
    for (int i = 0; i < TEL_HISTORY; i++) {
        struct gw__features f = texts(20 + any(300));
        double tokens = reported(&f, factor);
        tel_record(&h, fabs(gw__learner_tokens(l, &f) - tokens) / tokens);
    }
    return tel_quantile(&h, 0.95);
}

static void test_learns(void **state)
{
    (void)state;
    struct gw__learner l;
    gw__learner_init(&l);
    assert_true(error_now(&l, 1) > 0.1);
    turns(&l, 50, 1);
    assert_true(error_now(&l, 1) < 0.05);
    assert_int_equal(l.turns, 50);
    for (int i = 0; i < GW__FEATURES; i++)
        assert_true(l.worth[i] >= 0);
    /* what it says of itself: of the turns after the first 50 */
    turns(&l, TEL_HISTORY, 1);
    assert_true(tel_quantile(&l.error, 0.95) < 0.05 && tel_quantile(&l.error, 0.5) > 0);
    assert_true(gw__learner_bytes(&l, GW__SCRIPT_CYRILLIC) > 0);
    assert_true(gw__learner_bytes(&l, GW__SCRIPT_OTHER) == 0);
    /* another tokenizer behind the same name */
    turns(&l, 800, 1.6);
    assert_true(error_now(&l, 1.6) < 0.06);
}

static void test_wrong_reports(void **state)
{
    (void)state;
    struct gw__learner l;
    gw__learner_init(&l);
    struct gw__features f = texts(200), empty = {.count = {0}};
    double before = gw__learner_tokens(&l, &f);
    /* what no tokenizer makes of a text teaches nothing, not even at first */
    gw__learner_learn(&l, &f, 31);
    gw__learner_learn(&l, &f, before / 5);
    gw__learner_learn(&l, &f, before * 20);
    assert_true(gw__learner_tokens(&l, &f) == before);
    gw__learner_learn(&l, &f, before / 2);
    assert_true(gw__learner_tokens(&l, &f) < before * 0.6);
    gw__learner_init(&l);
    turns(&l, 100, 1);
    before = gw__learner_tokens(&l, &f);
    gw__learner_learn(&l, &f, 0);
    gw__learner_learn(&l, &f, -5);
    assert_true(gw__learner_tokens(&l, &f) == before);
    gw__learner_learn(&l, &f, before * 20);
    gw__learner_learn(&l, &f, 1);
    gw__learner_learn(&l, &empty, 1e9);
    assert_true(fabs(gw__learner_tokens(&l, &f) / before - 1) < 0.05);
    assert_true(error_now(&l, 1) < 0.06);
    gw__learner_learn(&l, &f, 1e14);
    assert_true(isfinite(gw__learner_tokens(&l, &f)));
}

static void test_kept(void **state)
{
    (void)state;
    struct gw__learner l, copy;
    gw__learner_init(&l);
    turns(&l, 40, 1);
    json_t *saved = gw__learner_save(&l);
    char *text = json_write(saved);
    json_t *read = json_read(text, strlen(text), 1 << 20, 8, NULL);
    assert_true(gw__learner_load(&copy, read));
    struct gw__features f = texts(100);
    double a = gw__learner_tokens(&l, &f), b = gw__learner_tokens(&copy, &f);
    assert_true(fabs(a - b) / a < 1e-3);
    assert_int_equal(copy.turns, 40);
    assert_true(tel_quantile(&copy.error, 0.95) == tel_quantile(&l.error, 0.95));
    /* what is no such thing leaves a learner that knows nothing */
    static const char *const spoil[] = {"a", "b", "features", "scripts", "errors", "turns"};
    for (size_t i = 0; i < sizeof spoil / sizeof *spoil; i++) {
        json_t *bad = json_deep_copy(read);
        json_t *list = json_object_get(bad, spoil[i]);
        if (json_is_array(list))
            json_array_set_new(list, 0, json_real(i % 2 ? -1 : 1e300));
        else
            json_puti(bad, spoil[i], -1);
        assert_false(gw__learner_load(&copy, bad));
        assert_int_equal(copy.turns, 0);
        json_object_del(bad, spoil[i]);
        assert_int_equal(gw__learner_load(&copy, bad), i == 4);
        json_decref(bad);
    }
    assert_false(gw__learner_load(&copy, NULL));
    json_decref(saved);
    json_decref(read);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_features),
        cmocka_unit_test(test_learns),
        cmocka_unit_test(test_wrong_reports),
        cmocka_unit_test(test_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
