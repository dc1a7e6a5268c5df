/* tui/list.c: filter, order, marks, and the selection that stays on its item (W1..W3). */
#include "tests/unit/tui_screen.h"

/* What the list asks of the running console. */
static char *copied;
void tui_dirty(void)
{
}
void tui_copy(const char *text)
{
    free(copied);
    copied = xstrdup(text);
}

struct rows {
    const char *names[64];
    int numbers[64];
    size_t n;
};

static size_t rows_count(void *arg)
{
    return ((struct rows *)arg)->n;
}

static void rows_cell(void *arg, size_t row, int column, struct buf *out, enum tui_role *role)
{
    struct rows *r = arg;
    *role = ROLE_TEXT;
    if (column == 0)
        buf_adds(out, r->names[row]);
    else
        buf_addf(out, "%d", r->numbers[row]);
}

static const char *rows_id(void *arg, size_t row)
{
    return ((struct rows *)arg)->names[row];
}

static const struct tui_list_ops ops = {.count = rows_count, .cell = rows_cell, .id = rows_id};
static const struct tui_column columns[] = {{"name", -8, false, 0}, {"n", 6, true, 1}};
static struct tui_area screen;

static struct rows some(void)
{
    return (struct rows){{"delta", "Альфа", "beta", "gamma"}, {10, 9, 100, 1}, 4};
}

static void show(struct tui_list *l, int height, int width)
{
    werase(stdscr);
    tui_list_draw(l, tui_sub(screen, 0, 0, height, width), true, true);
}

static const char *selected(const struct tui_list *l, const struct rows *r)
{
    long row = tui_list_selected(l);
    return row < 0 ? "" : r->names[row];
}

static void draws_aligned_columns(void **state)
{
    (void)state;
    struct rows r = some();
    struct tui_list *l = tui_list_new(columns, 2, &ops, &r);
    show(l, 8, 24);
    assert_row(0, "  name                n");
    assert_row(1, "  delta              10");
    assert_row(2, "  Альфа               9");
    show(l, 8, 15); /* the second column is dropped */
    assert_row(0, "  name");
    assert_row(3, "  beta");
    tui_list_free(l);
}

static void filters(void **state)
{
    (void)state;
    struct rows r = some();
    struct tui_list *l = tui_list_new(columns, 2, &ops, &r);
    tui__style_set(ROLE_MATCH, A_UNDERLINE, 0);
    tui_list_set_filter(l, "аль");
    show(l, 8, 40);
    assert_string_equal(selected(l, &r), "Альфа");
    assert_true(test_attrs(1, 2) & A_UNDERLINE);
    assert_false(test_attrs(1, 5) & A_UNDERLINE);
    tui_list_set_filter(l, "!a");
    show(l, 8, 40);
    assert_row(1, "  Альфа                               9");
    assert_row(2, "");
    tui_list_set_filter(l, "nothing");
    show(l, 8, 60);
    assert_int_equal(tui_list_selected(l), -1);
    assert_true(tui_list_action(l, ACTION_BACK));
    assert_string_equal(tui_list_filter(l), "");
    assert_int_equal(tui_list_selected(l), 0);
    tui_list_free(l);
}

static void sorts(void **state)
{
    (void)state;
    struct rows r = some();
    struct tui_list *l = tui_list_new(columns, 2, &ops, &r);
    show(l, 8, 40);
    tui_list_action(l, ACTION_SORT);
    show(l, 8, 40);
    assert_row(1, "  beta                              100");
    tui_list_action(l, ACTION_SORT); /* numbers by value, not by letters */
    show(l, 8, 40);
    assert_row(1, "  gamma                               1");
    assert_row(4, "  beta                              100");
    tui_list_action(l, ACTION_SORT_REVERSE);
    show(l, 8, 40);
    assert_row(1, "  beta                              100");
    assert_true(tui_list_click(l, 0, 3, false)); /* the header's first column */
    show(l, 8, 40);
    assert_row(1, "  beta                              100");
    tui_list_free(l);
}

static void a_column_without_a_title_is_left_out(void **state)
{
    (void)state;
    struct rows r = some();
    struct tui_column own[2] = {columns[0], columns[1]};
    struct tui_list *l = tui_list_new(own, 2, &ops, &r);
    show(l, 8, 40);
    assert_row(1, "  delta                              10");
    own[1].title = NULL;
    show(l, 8, 40);
    assert_row(1, "  delta");
    own[1].title = "n";
    show(l, 8, 40);
    assert_row(1, "  delta                              10");
    tui_list_free(l);
}

static void the_selection_stays_on_its_item(void **state)
{
    (void)state;
    struct rows r = some();
    struct tui_list *l = tui_list_new(columns, 2, &ops, &r);
    show(l, 8, 40);
    assert_string_equal(selected(l, &r), "delta");
    memmove(r.names + 1, r.names, 4 * sizeof(*r.names));
    r.names[0] = "newest";
    r.n = 5;
    tui_list_changed(l);
    assert_string_equal(selected(l, &r), "newest"); /* nobody moved: the first row is followed */
    tui_list_action(l, ACTION_DOWN);
    tui_list_action(l, ACTION_DOWN);
    assert_string_equal(selected(l, &r), "Альфа");
    memmove(r.names + 1, r.names, 5 * sizeof(*r.names));
    r.names[0] = "newer";
    r.n = 6;
    tui_list_changed(l);
    assert_string_equal(selected(l, &r), "Альфа");
    r.names[3] = "other"; /* the item is gone: what took its place */
    tui_list_changed(l);
    assert_string_equal(selected(l, &r), "other");
    tui_list_free(l);
}

static void marks_and_copies(void **state)
{
    (void)state;
    struct rows r = some();
    struct tui_list *l = tui_list_new(columns, 2, &ops, &r);
    tui_list_action(l, ACTION_COPY);
    assert_string_equal(copied, "delta");
    tui_list_action(l, ACTION_MARK);
    tui_list_action(l, ACTION_DOWN);
    tui_list_action(l, ACTION_MARK);
    tui_list_action(l, ACTION_COPY);
    assert_string_equal(copied, "delta\nbeta");
    show(l, 8, 40);
    assert_row(1, "▌ delta                              10");
    /* their ids come in the order in which they were marked, also when one before them is gone */
    const char *const *ids;
    tui_list_action(l, ACTION_TOP);
    tui_list_action(l, ACTION_MARK);
    tui_list_action(l, ACTION_TOP);
    tui_list_action(l, ACTION_MARK);
    assert_int_equal(tui_list_marks(l, &ids), 2);
    assert_string_equal(ids[0], "beta");
    assert_string_equal(ids[1], "delta");
    assert_true(tui_list_action(l, ACTION_BACK));
    assert_false(tui_list_action(l, ACTION_BACK));
    assert_int_equal(tui_list_marks(l, &ids), 0);
    tui_list_free(l);
}

static void scrolls_with_a_mark(void **state)
{
    (void)state;
    static char names[64][16];
    struct rows r = {{0}, {0}, 64};
    for (int i = 0; i < 64; i++) {
        snprintf(names[i], sizeof(names[i]), "r%02d", i);
        r.names[i] = names[i];
    }
    struct tui_list *l = tui_list_new(columns, 2, &ops, &r);
    show(l, 6, 20);
    tui_list_action(l, ACTION_BOTTOM);
    show(l, 6, 20);
    assert_string_equal(selected(l, &r), "r63");
    assert_row(1, "  r59            0 ↑");
    assert_row(5, "  r63            0 █");
    assert_true(tui_list_click(l, 2, 4, false));
    assert_string_equal(selected(l, &r), "r60");
    tui_list_wheel(l, -60);
    assert_string_equal(selected(l, &r), "r00");
    assert_false(tui_list_click(l, 9, 4, false));
    tui_list_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_aligned_columns),
        cmocka_unit_test(filters),
        cmocka_unit_test(sorts),
        cmocka_unit_test(the_selection_stays_on_its_item),
        cmocka_unit_test(marks_and_copies),
        cmocka_unit_test(a_column_without_a_title_is_left_out),
        cmocka_unit_test(scrolls_with_a_mark),
    };
    screen = test_screen_start();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(copied);
    return failed;
}
