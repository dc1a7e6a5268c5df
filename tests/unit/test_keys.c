/* Keys and actions.def: names, what is shown, and that no two actions want the same key. */
#include "tui/keys.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void names(void **state)
{
    (void)state;
    assert_int_equal(tui__key_parse("Tab"), TKEY_TAB);
    assert_int_equal(tui__key_parse("C-p"), 16);
    assert_int_equal(tui__key_parse("C-j"), '\n');
    assert_int_equal(tui__key_parse("M-1"), TKEY_META | '1');
    assert_int_equal(tui__key_parse("M-Enter"), TKEY_META | TKEY_ENTER);
    assert_int_equal(tui__key_parse("F10"), TKEY_F1 + 9);
    assert_int_equal(tui__key_parse("F13"), 0);
    assert_int_equal(tui__key_parse("Space"), ' ');
    assert_int_equal(tui__key_parse("ж"), 0x436);
    assert_int_equal(tui__key_parse("?"), '?');
    assert_int_equal(tui__key_parse("Nonsense"), 0);
    assert_int_equal(tui__key_parse("C-"), 0);
    assert_int_equal(tui__key_parse(""), 0);
}

static void shown(void **state)
{
    char out[16];
    (void)state;
    tui__key_show(tui__key_parse("C-p"), out);
    assert_string_equal(out, "^P");
    tui__key_show(tui__key_parse("M-1"), out);
    assert_string_equal(out, "Alt-1");
    tui__key_show(tui__key_parse("BTab"), out);
    assert_string_equal(out, "Shift-Tab");
    tui__key_show(tui__key_parse("F10"), out);
    assert_string_equal(out, "F10");
}

/* Every key of actions.def is one (tui__key_next aborts otherwise), and has one meaning in its
 * scope. VIEW actions may share keys: each view takes only its own. */
static void one_meaning(void **state)
{
    (void)state;
    for (int a = 1; a < ACTION_COUNT; a++) {
        const char *p = tui__action((enum tui_action)a)->keys;
        for (uint32_t key; (key = tui__key_next(&p));)
            for (int b = a + 1; b < ACTION_COUNT; b++)
                if (tui__action((enum tui_action)b)->scope ==
                        tui__action((enum tui_action)a)->scope &&
                    tui__action((enum tui_action)a)->scope != SCOPE_VIEW)
                    assert_false(tui__action_has_key((enum tui_action)b, key));
    }
}

/* Typing never acts: while text is typed only keys that are no characters count. */
static void typing(void **state)
{
    (void)state;
    assert_true(tui__key_is_text('q'));
    assert_true(tui__key_is_text(0x436));
    assert_false(tui__key_is_text(TKEY_ENTER));
    assert_false(tui__key_is_text(3));
    assert_false(tui__key_is_text(TKEY_META | '1'));
    assert_int_equal(tui__action_key(ACTION_QUIT, false), 'q');
    assert_int_equal(tui__action_key(ACTION_QUIT, true), 3);
    assert_int_equal(tui__action_key(ACTION_ZOOM, true), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names), cmocka_unit_test(shown),
                                       cmocka_unit_test(one_meaning), cmocka_unit_test(typing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
