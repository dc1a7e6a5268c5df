/* The input line: what may stand in it, moving, cutting, history. Cites I1 and I2 of input.c.
 */
#include "tui/input.h"
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void type(struct tui_input *in, const char *text)
{
    tui_input_insert(in, text, strlen(text));
}

/* I1: nothing that acts or hides gets in, however it is pasted. */
static void only_visible(void **state)
{
    struct tui_input in = {0};
    (void)state;
    type(&in, "a\033[201~\x07"
              "b\xc2\x9b"
              "c\xe2\x80\xae"
              "d\xe2\x80\x8b"
              "e\xff"
              "f\x7f"
              "g\th\ni");
    assert_string_equal(tui_input_text(&in), "a[201~bcdefg    h\ni");
    tui_input_release(&in);
}

static void editing(void **state)
{
    struct tui_input in = {0};
    (void)state;
    type(&in, "что с диском");
    tui_input_action(&in, ACTION_WORD_LEFT);
    type(&in, "этим ");
    assert_string_equal(tui_input_text(&in), "что с этим диском");
    tui_input_action(&in, ACTION_ERASE_WORD);
    assert_string_equal(tui_input_text(&in), "что с диском");
    tui_input_action(&in, ACTION_LINE_END);
    tui_input_action(&in, ACTION_ERASE_LEFT);
    assert_string_equal(tui_input_text(&in), "что с диско");
    tui_input_action(&in, ACTION_KILL_START);
    assert_string_equal(tui_input_text(&in), "");
    tui_input_action(&in, ACTION_YANK);
    tui_input_action(&in, ACTION_YANK);
    assert_string_equal(tui_input_text(&in), "что с дискочто с диско");
    tui_input_release(&in);
}

/* A character with its combining marks is one step. */
static void combining(void **state)
{
    struct tui_input in = {0};
    (void)state;
    type(&in, "ae\xcc\x81z");
    tui_input_action(&in, ACTION_LEFT);
    tui_input_action(&in, ACTION_ERASE_LEFT);
    assert_string_equal(tui_input_text(&in), "az");
    tui_input_release(&in);
}

static void rows(void **state)
{
    struct tui_input in = {0};
    (void)state;
    assert_int_equal(tui_input_rows(&in, 12), 1);
    type(&in, "0123456789"); /* ten columns are there; the cursor needs another row */
    assert_int_equal(tui_input_rows(&in, 12), 2);
    tui_input_action(&in, ACTION_ERASE_LEFT);
    assert_int_equal(tui_input_rows(&in, 12), 1);
    type(&in, "\xe7\xa3\x81"); /* two columns do not fit into one */
    assert_int_equal(tui_input_rows(&in, 12), 2);
    tui_input_set(&in, "a\nb\n");
    assert_int_equal(tui_input_rows(&in, 12), 3);
    tui_input_release(&in);
}

/* Up and down move by rows, keeping the column; at the edges they go through the history. */
static void vertical(void **state)
{
    struct tui_input in = {0};
    (void)state;
    type(&in, "first line\nsecond");
    tui_input_rows(&in, 40);
    tui_input_action(&in, ACTION_HISTORY_PREV);
    type(&in, "|");
    assert_string_equal(tui_input_text(&in), "first |line\nsecond");
    tui_input_release(&in);
}

/* I2: the user's own text comes back from the history. */
static void history(void **state)
{
    struct tui_input in = {0};
    (void)state;
    tui_input_rows(&in, 40);
    type(&in, "one");
    tui_input_store(&in);
    type(&in, "two");
    tui_input_store(&in);
    type(&in, "half");
    tui_input_action(&in, ACTION_HISTORY_PREV);
    assert_string_equal(tui_input_text(&in), "two");
    tui_input_action(&in, ACTION_HISTORY_PREV);
    tui_input_action(&in, ACTION_HISTORY_PREV);
    assert_string_equal(tui_input_text(&in), "one");
    tui_input_action(&in, ACTION_HISTORY_NEXT);
    tui_input_action(&in, ACTION_HISTORY_NEXT);
    assert_string_equal(tui_input_text(&in), "half");
    tui_input_action(&in, ACTION_HISTORY_NEXT);
    assert_string_equal(tui_input_text(&in), "half");
    tui_input_release(&in);
}

static void bounded(void **state)
{
    struct tui_input in = {0};
    char *big = malloc(2 * TUI_INPUT_MAX);
    (void)state;
    assert_non_null(big);
    memset(big, 'x', 2 * TUI_INPUT_MAX);
    assert_false(tui_input_insert(&in, big, 2 * TUI_INPUT_MAX));
    assert_int_equal(strlen(tui_input_text(&in)), TUI_INPUT_MAX);
    assert_false(tui_input_insert(&in, "ж", 2));
    assert_int_equal(strlen(tui_input_text(&in)), TUI_INPUT_MAX);
    free(big);
    tui_input_release(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(only_visible), cmocka_unit_test(editing),
                                       cmocka_unit_test(combining),    cmocka_unit_test(rows),
                                       cmocka_unit_test(vertical),     cmocka_unit_test(history),
                                       cmocka_unit_test(bounded)};
    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
