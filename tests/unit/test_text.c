/* text.h: the choke point for foreign text. */
#include "backend/base/text.h"
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LIT(s) s, sizeof(s) - 1

/* What must never come out: anything a terminal could take for more than a character. */
static bool is_safe(const char *s, size_t len, int flags)
{
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        i += text_decode(s + i, len - i, &cp);
        if ((cp & TEXT_BAD) || cp == 0x7f || (cp >= 0x80 && cp <= 0x9f))
            return false;
        if (cp < 0x20 && ((flags & TEXT_ONE_LINE) || (cp != '\n' && cp != '\t')))
            return false;
        if (cp == 0x61c || (cp >= 0x200b && cp <= 0x200f) || (cp >= 0x2028 && cp <= 0x202e) ||
            (cp >= 0x2060 && cp <= 0x206f) || cp == 0xfeff || (cp >= 0xe0000 && cp <= 0xe0fff) ||
            (cp >= 0xe000 && cp <= 0xf8ff) || cp >= 0xf0000 || (cp & 0xfffe) == 0xfffe)
            return false;
        if ((flags & TEXT_ASCII) && cp >= 0x80)
            return false;
    }
    return true;
}

static const struct {
    const char *in;
    size_t len;
    int flags;
    const char *out;
} rows[] = {
    {LIT("plain \xd0\xbf\xd1\x80\xd0\xb8 \xe4\xb8\xad \xf0\x9f\x98\x80"), 0,
     "plain \xd0\xbf\xd1\x80\xd0\xb8 \xe4\xb8\xad \xf0\x9f\x98\x80"},
    {LIT("\x1b[31mred\x1b[0m"), 0, "^[[31mred^[[0m"},
    {LIT("\x1b]52;c;cm0gLXJm\x07"), 0, "^[]52;c;cm0gLXJm^G"},
    {LIT("\x1b]8;;http://evil\x1b\\good\x1b]8;;\x1b\\"), 0, "^[]8;;http://evil^[\\good^[]8;;^[\\"},
    {LIT("\x1b[201~ls"), 0, "^[[201~ls"},
    {LIT("a\0b\x7f"), 0, "a^@b^?"},
    {LIT("a\r\nb\rc\n\nd"), 0, "a\nb\nc\n\nd"},
    {LIT("a\r\r\nb"), 0, "a\n\nb"},
    {LIT("a\r\nb\tc"), TEXT_ONE_LINE, "a\\nb\\tc"},
    {LIT("a\tb\n"), 0, "a\tb\n"},
    {LIT("\xc2\x9b"
         "31m \xc2\x85"),
     0, "<U+009B>31m <U+0085>"},
    {LIT("\x9b"
         "31m"),
     0, "<9B>31m"},
    {LIT("user\xe2\x80\xae"
         "exe.txt"),
     0, "user<U+202E>exe.txt"},
    {LIT("\xe2\x81\xa6\xe2\x81\xa9\xd8\x9c\xe2\x80\x8e"), 0, "<U+2066><U+2069><U+061C><U+200E>"},
    {LIT("z\xe2\x80\x8bw\xe2\x80\x8dj\xef\xbb\xbf"), 0, "z<U+200B>w<U+200D>j<U+FEFF>"},
    {LIT("\xf3\xa0\x81\x81\xf3\xa0\x84\x80"), 0, "<U+E0041>"},
    {LIT("\xe2\x80\xa8\xe2\x80\xa9"), 0, "<U+2028><U+2029>"},
    {LIT("\xee\x80\x80\xf3\xb0\x80\x80\xef\xbf\xbf\xef\xb7\x90"), 0,
     "<U+E000><U+F0000><U+FFFF><U+FDD0>"},
    {LIT("\xe2\x9d\xa4\xef\xb8\x8f"), 0, "\xe2\x9d\xa4"},
    {LIT("\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80\xff"), 0,
     "<C0><AF><ED><A0><80><F4><90><80><80><FF>"},
    {LIT("\xf0\x9f\x98"), 0, "<F0><9F><98>"},
    {LIT("\xf0\x9f\x1b["), 0, "<F0><9F>^[["},
    {LIT("\xe2\x82\xe2\x82\xac"), 0, "<E2><82>\xe2\x82\xac"},
    {LIT("e\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81!"), 0,
     "e\xcc\x81\xcc\x81\xcc\x81\xcc\x81<+marks>!"},
    {LIT("\xcc\x81x\n\xcc\x81y"), 0, "<U+0301>x\n<U+0301>y"},
    {LIT("x\n\xcc\x81y"), TEXT_ONE_LINE, "x\\n\xcc\x81y"},
    {LIT("\xd0\xb9 \xc3\xa9"), TEXT_ASCII, "<U+0439> <U+00E9>"},
    {LIT("a\xcc\x81"), TEXT_ASCII, "a<U+0301>"},
    {LIT(""), 0, ""},
};
enum { ROWS = sizeof rows / sizeof *rows };

static void hostile_text_is_shown(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        struct buf b = {0};
        text_clean(rows[i].in, rows[i].len, rows[i].flags, &b);
        assert_string_equal(b.data ? b.data : "", rows[i].out);
        assert_true(is_safe(b.data, b.len, rows[i].flags));
        buf_release(&b);
    }
    char *s = text_cleaned("\x1b!", 0);
    assert_string_equal(s, "^[!");
    free(s);
}

/* Every split point, and two splits, and byte by byte: the same result. */
static void chunks_do_not_matter(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        size_t len = rows[i].len;
        for (size_t first = 0; first <= len; first++) {
            for (size_t second = first; second <= len; second++) {
                struct buf b = {0};
                struct text_cleaner c = {0};
                buf_adds(&b, "");
                text_clean_feed(&c, rows[i].in, first, rows[i].flags, &b);
                assert_true(is_safe(b.data, b.len, rows[i].flags));
                text_clean_feed(&c, rows[i].in + first, second - first, rows[i].flags, &b);
                text_clean_feed(&c, rows[i].in + second, len - second, rows[i].flags, &b);
                text_clean_end(&c, rows[i].flags, &b);
                assert_string_equal(b.data, rows[i].out);
                buf_release(&b);
            }
        }
    }
}

/* Pseudo-random texts made of dangerous pieces and of any bytes. */
static void nothing_unsafe_comes_out(void **state)
{
    (void)state;
    static const char *const pieces[] = {"\x1b",     "\xc2",         "\x9b",     "\xe2\x80",
                                         "\xae",     "\xf3\xa0\x81", "\xcc\x81", "\r",
                                         "\n",       "\xef\xbb\xbf", "a",        "\xd0\xb9",
                                         "\xc2\x9b", "\x07",         "\t",       "\xed\xa0"};
    uint32_t seed = 12345;
    for (int round = 0; round < 20000; round++) {
        struct buf in = {0}, out = {0};
        int flags = round % 4;
        for (int i = 0; i < 12; i++) {
            seed = seed * 1664525 + 1013904223;
            if (seed >> 31)
                buf_adds(&in, pieces[(seed >> 20) % 16]);
            else
                buf_addc(&in, (char)(seed >> 22));
        }
        text_clean(in.data, in.len, flags, &out);
        assert_true(is_safe(out.data, out.len, flags));
        /* Printable clean text is a fixed point but for its line ends and marks cut before. */
        struct buf again = {0};
        text_clean(out.data ? out.data : "", out.len, flags, &again);
        assert_int_equal(again.len, out.len);
        buf_release(&in);
        buf_release(&out);
        buf_release(&again);
    }
}

/* Each scalar value alone, and after a letter. */
static void every_code_point_is_decided(void **state)
{
    (void)state;
    for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
        if (cp >= 0xd800 && cp <= 0xdfff)
            continue;
        char in[5] = "a";
        size_t n = 1 + text_encode(cp, in + 1);
        uint32_t back;
        assert_int_equal(text_decode(in + 1, n - 1, &back), n - 1);
        assert_true(back == cp);
        struct buf out = {0};
        text_clean(in, n, 0, &out);
        if (!is_safe(out.data, out.len, 0))
            fail_msg("U+%04X came out", (unsigned)cp);
        buf_release(&out);
    }
}

static void decoding_follows_table_3_7(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        size_t len, used;
        uint32_t cp;
    } cases[] = {
        {"", 0, 0, 0},
        {"a", 1, 1, 'a'},
        {"\xc1\xbf", 2, 1, TEXT_BAD | 0xc1},
        {"\xc2\x80", 2, 2, 0x80},
        {"\xe0\x9f\xbf", 3, 1, TEXT_BAD | 0xe0},
        {"\xe0\xa0\x80", 3, 3, 0x800},
        {"\xed\x9f\xbf", 3, 3, 0xd7ff},
        {"\xed\xa0\x80", 3, 1, TEXT_BAD | 0xed},
        {"\xf0\x8f\xbf\xbf", 4, 1, TEXT_BAD | 0xf0},
        {"\xf0\x90\x80\x80", 4, 4, 0x10000},
        {"\xf4\x8f\xbf\xbf", 4, 4, 0x10ffff},
        {"\xf4\x90\x80\x80", 4, 1, TEXT_BAD | 0xf4},
        {"\xf5\x80\x80\x80", 4, 1, TEXT_BAD | 0xf5},
        {"\xe2\x82", 2, 1, TEXT_BAD | 0xe2},
        {"\x80", 1, 1, TEXT_BAD | 0x80},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t cp = 0;
        assert_int_equal(text_decode(cases[i].in, cases[i].len, &cp), cases[i].used);
        assert_int_equal(cp, cases[i].cp);
    }
}

static void widths_are_columns(void **state)
{
    (void)state;
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        skip();
    assert_int_equal(text_width(LIT("abc")), 3);
    assert_int_equal(text_width(LIT("\xe4\xb8\xad\xd0\xb6")), 3);
    assert_int_equal(text_width(LIT("e\xcc\x81")), 1);
    assert_int_equal(text_width_cp(0x1f600), 2);
    assert_int_equal(text_width_cp(0x0301), 0);
    assert_int_equal(text_width_cp(7), 1);
    assert_int_equal(text_width_cp(TEXT_BAD | 0xff), 1);
    int used = -1;
    assert_int_equal(text_fit(LIT("\xe4\xb8\xad\xe4\xb8\xad"), 3, &used), 3);
    assert_int_equal(used, 2);
    assert_int_equal(text_fit(LIT("e\xcc\x81x"), 1, &used), 3);
    assert_int_equal(used, 1);
    assert_int_equal(text_fit(LIT("ab"), 0, &used), 0);
    assert_int_equal(text_fit(LIT("ab"), 9, &used), 2);
    assert_int_equal(used, 2);
}

static void language_is_seen(void **state)
{
    (void)state;
    assert_true(text_is_russian("\xd0\xba\xd0\xb0\xd0\xba restart nginx?") == false);
    assert_true(text_is_russian("\xd0\xbf\xd0\xb5\xd1\x80\xd0\xb5\xd0\xb7\xd0\xb0\xd0\xbf\xd1\x83"
                                "\xd1\x81\xd1\x82\xd0\xb8 nginx"));
    assert_false(text_is_russian("restart nginx"));
    assert_false(text_is_russian("123 !?"));
    assert_false(text_is_russian(""));
}

static void distance_is_bounded(void **state)
{
    (void)state;
    assert_int_equal(text_distance("model", "model", 3), 0);
    assert_int_equal(text_distance("modle", "model", 3), 1);
    assert_int_equal(text_distance("ca", "abc", 5), 3);
    assert_int_equal(text_distance("", "abc", 3), 3);
    assert_int_equal(text_distance("kitten", "sitting", 5), 3);
    assert_int_equal(text_distance("kitten", "sitting", 2), 3);
    char longer[100] = {0};
    memset(longer, 'a', 99);
    assert_int_equal(text_distance(longer, "a", 2), 3);
}

static void decimals_are_exact(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        int64_t nano;
    } decimals[] = {
        {"0.15", true, 150000000},
        {"12", true, 12000000000},
        {"0", true, 0},
        {"0.000000001", true, 1},
        {"1000000000.999999999", true, 1000000000999999999},
        {"1000000001", false, 0},
        {"99999999999999999999999", false, 0},
        {"0.0000000001", false, 0},
        {"", false, 0},
        {".5", false, 0},
        {"5.", false, 0},
        {"1,5", false, 0},
        {"-1", false, 0},
        {"1e3", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"nan", false, 0},
    };
    for (size_t i = 0; i < sizeof decimals / sizeof *decimals; i++) {
        int64_t nano = 0;
        if (text_decimal(decimals[i].text, &nano) != decimals[i].ok || nano != decimals[i].nano)
            fail_msg("%s: %lld", decimals[i].text, (long long)nano);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_text_is_shown),      cmocka_unit_test(chunks_do_not_matter),
        cmocka_unit_test(nothing_unsafe_comes_out),   cmocka_unit_test(every_code_point_is_decided),
        cmocka_unit_test(decoding_follows_table_3_7), cmocka_unit_test(widths_are_columns),
        cmocka_unit_test(language_is_seen),           cmocka_unit_test(distance_is_bounded),
        cmocka_unit_test(decimals_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
