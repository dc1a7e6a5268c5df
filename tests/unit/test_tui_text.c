/* tui/text.c: wrapping, bars, tables, hostile lengths. */
#include "tests/unit/tui_screen.h"

#include "backend/base/clock.h"
#include "tui/paper.h"

static struct tui_area screen;

static struct tui_text *plain(const char *s)
{
    struct tui_text *t = tui_text_new();
    tui_text_add(t, ROLE_TEXT, 0, false, s);
    return t;
}

static void draw(struct tui_text *t, int width)
{
    werase(stdscr);
    tui_text_draw(t, tui_sub(screen, 0, 0, 20, width), 0);
}

static void wraps_between_words(void **state)
{
    (void)state;
    struct tui_text *t = plain("one two  three four");
    assert_int_equal(tui_text_lines(t, 9), 3);
    draw(t, 9);
    assert_row(0, "one two");
    assert_row(1, "three");
    assert_row(2, "four");
    assert_int_equal(tui_text_lines(t, 100), 1);
    tui_text_free(t);
}

static void breaks_long_words(void **state)
{
    (void)state;
    struct tui_text *t = plain("ab abcdefghijkl x");
    draw(t, 5);
    assert_row(0, "ab");
    assert_row(1, "abcde");
    assert_row(2, "fghij");
    assert_row(3, "kl x");
    tui_text_free(t);
}

static void wide_characters_never_overflow(void **state)
{
    (void)state;
    struct tui_text *t = plain("日本語のテキスト");
    assert_int_equal(tui_text_lines(t, 5), 4);
    draw(t, 5);
    assert_row(0, "日本");
    assert_row(1, "語の");
    assert_int_equal(tui_text_lines(t, 1), 8);
    tui_text_free(t);
}

static void keeps_lines_and_tabs(void **state)
{
    (void)state;
    struct tui_text *t = plain("a\tb\n\n  indented\r\nlast");
    draw(t, 40);
    assert_row(0, "a       b");
    assert_row(1, "");
    assert_row(2, "  indented");
    assert_row(3, "last");
    tui_text_free(t);
}

static void foreign_text_has_a_bar_on_each_line(void **state)
{
    (void)state;
    struct tui_text *t = tui_text_new();
    tui_text_add(t, ROLE_FOREIGN, 1, true, "aaaa bbbb cccc");
    draw(t, 8);
    assert_row(0, " │ aaaa");
    assert_row(1, " │ bbbb");
    assert_row(2, " │ cccc");
    tui_text_free(t);
}

static void controls_are_visible(void **state)
{
    (void)state;
    struct tui_text *t = plain("x\033[31my\xe2\x80\xaez\xff");
    draw(t, 60);
    assert_row(0, "x^[[31my<U+202E>z<FF>");
    tui_text_free(t);
}

static void only_new_text_is_wrapped(void **state)
{
    (void)state;
    struct tui_text *t = tui_text_new();
    uint64_t before = clock_mono_ms();
    for (int i = 0; i < 20000; i++) {
        tui_text_add(t, ROLE_TEXT, 0, false, "some words that go on a line or two of the text");
        assert_int_equal(tui_text_lines(t, 30), (size_t)(i + 1) * 2);
    }
    /* Quadratic work would be 400 million lines. */
    assert_true(clock_mono_ms() - before < 5000);
    tui_text_free(t);
}

static void a_hostile_line_is_linear(void **state)
{
    (void)state;
    size_t n = 4u << 20;
    char *s = xcalloc(1, n + 1);
    memset(s, 'x', n);
    uint64_t before = clock_mono_ms();
    struct tui_text *t = plain(s);
    assert_int_equal(tui_text_lines(t, 64), n / 64);
    tui_text_draw(t, screen, n / 64 - 3);
    assert_true(clock_mono_ms() - before < 5000);
    tui_text_free(t);
    free(s);
}

static void tables_are_cut_with_a_mark(void **state)
{
    (void)state;
    struct tui_text *t = tui_text_new();
    bool right[] = {false, true};
    struct paper_start row = {
        PAPER_ROW, ROLE_TEXT, 0, false, NULL, NULL, tui__paper_table(t, 2, right)};
    tui__paper_begin(t, &row);
    tui__paper_add(t, ROLE_TEXT, "a long first cell", 17);
    tui__paper_cell(t);
    tui__paper_add(t, ROLE_TEXT, "12", 2);
    tui__paper_cell(t);
    draw(t, 40);
    assert_row(0, "a long first cell  12");
    draw(t, 12);
    assert_row(0, "a long …  12");
    tui_text_free(t);
}

static void what_stands_behind_a_mark_can_be_taken_back(void **state)
{
    (void)state;
    struct tui_text *t = plain("kept");
    struct tui__paper_mark mark = tui__paper_mark(t);
    tui_text_add(t, ROLE_TEXT, 0, false, "gone");
    assert_int_equal(tui_text_lines(t, 20), 2);
    tui__paper_back(t, mark);
    assert_int_equal(tui_text_lines(t, 20), 1);
    char *text = tui_text_plain(t);
    assert_string_equal(text, "kept");
    free(text);
    tui_text_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wraps_between_words),
        cmocka_unit_test(breaks_long_words),
        cmocka_unit_test(wide_characters_never_overflow),
        cmocka_unit_test(keeps_lines_and_tabs),
        cmocka_unit_test(foreign_text_has_a_bar_on_each_line),
        cmocka_unit_test(controls_are_visible),
        cmocka_unit_test(only_new_text_is_wrapped),
        cmocka_unit_test(a_hostile_line_is_linear),
        cmocka_unit_test(tables_are_cut_with_a_mark),
        cmocka_unit_test(what_stands_behind_a_mark_can_be_taken_back),
    };
    screen = test_screen_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
