/* A curses screen on /dev/null for tests of widgets: draw, then read rows back. */
#ifndef TUI_SCREEN_TEST_H
#define TUI_SCREEN_TEST_H

#include "backend/base/buf.h"
#include "backend/base/text.h"
#include "tui/internal.h"
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static inline struct tui_area test_screen_start(void)
{
    setlocale(LC_ALL, "C.UTF-8");
    setenv("LINES", "60", 1);
    setenv("COLUMNS", "120", 1);
    FILE *out = fopen("/dev/null", "we"), *in = fopen("/dev/null", "re");
    BUG_IF(!out || !in || !newterm("xterm-256color", out, in));
    return (struct tui_area){0, 0, 60, 120};
}

/* A row of the screen without the blanks at its end; the caller frees. */
static inline char *test_row(int y)
{
    struct buf out = {0};
    for (int x = 0; x < 120;) {
        cchar_t cell;
        wchar_t text[CCHARW_MAX + 1] = {0};
        attr_t attrs;
        short pair;
        mvwin_wch(stdscr, y, x, &cell);
        getcchar(&cell, text, &attrs, &pair, NULL);
        int width = 0;
        for (int i = 0; text[i]; i++) {
            char bytes[4];
            width += text_width_cp((uint32_t)text[i]);
            buf_add(&out, bytes, text_encode((uint32_t)text[i], bytes));
        }
        x += width > 0 ? width : 1;
    }
    while (out.len && out.data[out.len - 1] == ' ')
        out.len--;
    buf_addc(&out, 0);
    return buf_take(&out);
}

static inline attr_t test_attrs(int y, int x)
{
    cchar_t cell;
    wchar_t text[CCHARW_MAX + 1] = {0};
    attr_t attrs = 0;
    short pair;
    mvwin_wch(stdscr, y, x, &cell);
    getcchar(&cell, text, &attrs, &pair, NULL);
    return attrs;
}

#define assert_row(y, want)              \
    do {                                 \
        char *row_ = test_row(y);        \
        assert_string_equal(row_, want); \
        free(row_);                      \
    } while (0)

#endif
