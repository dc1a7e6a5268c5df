/* views/common.c and chat_turn.c: what figures, sources and commands read like. */
#include "views/chat_turn.h"
#include "views/common.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void money(void **state)
{
    char out[48];
    (void)state;
    view_money("0.00", "RUB", true, out); /* nothing is exactly nothing */
    assert_string_equal(out, "0.00 ₽");
    view_money("0.000000", "RUB", true, out);
    assert_string_equal(out, "0.00 ₽");
    view_money("4.23819", "RUB", true, out);
    assert_string_equal(out, "~4.24 ₽");
    view_money("0.0004", "USD", false, out); /* a little is not nothing */
    assert_string_equal(out, "0.0004 $");
    view_money("12.5", "CHF", false, out);
    assert_string_equal(out, "12.50 CHF");
    view_money(NULL, "RUB", true, out);
    assert_string_equal(out, "-");
}

static void assert_label(const char *kind, const char *ref, bool with_kind, const char *want)
{
    struct buf b = {0};
    json_t *s = json_pack("{s:s,s:s}", "kind", kind, "ref", ref);
    view_source_label(s, with_kind, &b);
    assert_string_equal(b.data ? b.data : "", want);
    buf_release(&b);
    json_decref(s);
}

static void source_labels(void **state)
{
    (void)state;
    assert_label("tool", "host/disks", true, "tool host/disks");
    assert_label("runbook", "runbooks/en/disk-full.md#The disk is full > Look first", true,
                 "runbook disk-full › Look first");
    assert_label("runbook", "mine/disk.ru.md", true, "runbook disk");
    assert_label("runbook", "a.md#One", false, "a\u00a0›\u00a0One");
    assert_label("tool", "", false, "");
}

static void commands(void **state)
{
    (void)state;
    json_t *trace =
        json_pack("{s:s,s:s,s:s}", "trace_id", "t", "state", "done", "answer",
                  "See `vmstat 1 5` and `r`.\n\n   ```sh\n   df -h\n     ls\n   ```\n`x");
    struct chat_turn *t = chat_turn_new("t");
    chat_turn_set(t, trace);
    size_t count;
    char *code = chat_turn_code(t, 0, &count);
    assert_int_equal(count, 2);
    assert_string_equal(code, "vmstat 1 5");
    free(code);
    code = chat_turn_code(t, 1, &count);
    assert_string_equal(code, "df -h\n  ls");
    free(code);
    assert_null(chat_turn_code(t, 2, &count));
    chat_turn_free(t);
    json_decref(trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(money),
        cmocka_unit_test(source_labels),
        cmocka_unit_test(commands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
