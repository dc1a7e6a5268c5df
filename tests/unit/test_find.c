/* Finding in a page of rows and texts (views/common.c, tui_seek): what is out of sight is found,
 * nothing is drawn for that, places stand out. */
#include "tests/unit/tui_screen.h"
#include "views/common.h"

enum { ROWS = 40, HEIGHT = 10, WIDTH = 30, MATCH = 5 };

struct sample {
    struct view_scroll scroll;
    struct view_finder finder;
    struct tui_text *text;
};

/* Rows 0 to 39, "row N"; every tenth says Disk; the text stands behind them, from row 40 on. */
static void draw(void *arg, struct tui_area a)
{
    struct sample *s = arg;
    struct view_page p = view_page_begin(&s->scroll, a);
    for (int i = 0; i < ROWS; i++)
        tui_putf(p.area, p.y++, 2, -1, ROLE_TEXT, i % 10 == 5 ? "row %d Disk" : "row %d", i);
    view_page_text(&p, s->text);
    view_page_end(&s->scroll, &p);
}

static void show(struct sample *s)
{
    struct tui_seek seek;
    werase(stdscr);
    view_finder_begin(&s->finder, &seek);
    draw(s, (struct tui_area){0, 0, HEIGHT, WIDTH});
    view_finder_end();
}

static bool find(struct sample *s, const char *text, int step)
{
    bool found = view_page_find(&s->finder, &s->scroll, text, step, draw, s);
    show(s);
    return found;
}

static void all_of_a_page_is_searched(void **state)
{
    (void)state;
    struct sample s = {.text = tui_text_new()};
    test_screen_start();
    tui__style_set(ROLE_MATCH, A_REVERSE, 0);
    tui_text_add(s.text, ROLE_TEXT, 0, false, "a disk in the text");
    tui_text_add(s.text, ROLE_TEXT, 0, false, "the last line");
    show(&s);
    assert_true(find(&s, "DISK", 0)); /* row 5 is in sight: it comes to the top */
    assert_int_equal(s.scroll.top, 5);
    char *row = test_row(0);
    assert_int_equal(strncmp(row, "  row 5 Disk", 12), 0);
    free(row);
    assert_true(test_attrs(0, 8) & A_REVERSE);
    assert_false(test_attrs(0, 2) & A_REVERSE);
    for (int i = 15; i < ROWS - HEIGHT; i += 10) {
        assert_true(find(&s, "disk", 1));
        assert_int_equal(s.scroll.top, i);
    }
    assert_true(
        find(&s, "disk", 1)); /* row 35 and the text are near the end: the page stays there */
    assert_int_equal(s.scroll.top, ROWS + 2 - HEIGHT);
    assert_true(find(&s, "disk", 1));
    assert_false(find(&s, "disk", 1));
    assert_row(HEIGHT - 2, "a disk in the text");
    assert_true(test_attrs(HEIGHT - 2, 2) & A_REVERSE);
    assert_true(find(&s, "disk", -1));
    assert_true(find(&s, "disk", -1));
    assert_int_equal(s.scroll.top, 25);
    view_scroll_by(&s.scroll, -18); /* moved by hand: on from there */
    assert_true(find(&s, "disk", 1));
    assert_int_equal(s.scroll.top, 15);
    assert_true(find(&s, "last line", 0)); /* below */
    assert_true(find(&s, "row 1", 0));     /* not below: the first of all */
    assert_int_equal(s.scroll.top, 1);
    assert_false(find(&s, "none", 0));
    assert_false(find(&s, "", 0)); /* ends it */
    assert_null(s.finder.needle);
    show(&s);
    assert_false(test_attrs(4, 8) & A_REVERSE);
    tui_text_free(s.text);
    view_finder_release(&s.finder);
}

/* Another width: what was read stays in sight. */
static void a_page_keeps_its_place(void **state)
{
    (void)state;
    struct sample s = {.text = tui_text_new()};
    for (int i = 0; i < MATCH; i++)
        tui_text_add(s.text, ROLE_TEXT, 0, false,
                     "one two three four five six seven eight nine ten eleven twelve thirteen");
    draw(&s, (struct tui_area){0, 0, HEIGHT, 100});
    assert_int_equal(s.scroll.rows, ROWS + MATCH);
    view_scroll_by(&s.scroll, ROWS - HEIGHT);
    draw(&s, (struct tui_area){0, 0, HEIGHT, 22});
    assert_true(s.scroll.rows > ROWS + 3 * MATCH);
    assert_int_equal(s.scroll.top, (ROWS - HEIGHT) * s.scroll.rows / (ROWS + MATCH));
    draw(&s, (struct tui_area){0, 0, HEIGHT, 100});
    assert_in_range(s.scroll.top, ROWS - HEIGHT - 1, ROWS - HEIGHT);
    tui_text_free(s.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_of_a_page_is_searched),
                                       cmocka_unit_test(a_page_keeps_its_place)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
