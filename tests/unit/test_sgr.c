/* sgr.h: fewer bytes, the same screen. G1, G2. */
#include "tui/sgr.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CELLS = 4096 };

/* What a terminal would draw, one cell after the other: a character and the style it stands in,
 * written out by rules of the terminal's own (ECMA-48), not by those of sgr.c. */
struct pen {
    int fg, bg, charset;
    bool on[10];
};
struct page {
    struct pen pen;
    struct {
        struct pen pen;
        char what;
    } cell[CELLS];
    size_t count;
};

static void put(struct page *p, char what)
{
    assert_true(p->count < CELLS);
    p->cell[p->count].pen = p->pen;
    p->cell[p->count++].what = what;
}

static void clear(struct pen *pen)
{
    int charset = pen->charset;
    memset(pen, 0, sizeof *pen);
    pen->charset = charset;
}

static void style(struct pen *pen, const int *v, int n)
{
    for (int i = 0; i < n; i++) {
        if (v[i] == 0)
            clear(pen);
        else if (v[i] < 10)
            pen->on[v[i]] = true;
        else if (v[i] == 22)
            pen->on[1] = pen->on[2] = false;
        else if (v[i] == 25)
            pen->on[5] = pen->on[6] = false;
        else if (v[i] > 22 && v[i] < 30)
            pen->on[v[i] - 20] = false;
        else if (v[i] == 38 || v[i] == 48) {
            int *ground = v[i] == 38 ? &pen->fg : &pen->bg;
            bool rgb = i + 1 < n && v[i + 1] == 2;
            *ground = rgb ? 100000 + v[i + 2] * 10000 + v[i + 3] * 100 + v[i + 4] : 1000 + v[i + 2];
            i += rgb ? 4 : 2;
        } else if (v[i] == 39)
            pen->fg = 0;
        else if (v[i] == 49)
            pen->bg = 0;
        else if ((v[i] >= 40 && v[i] < 48) || v[i] >= 100)
            pen->bg = v[i] - 10;
        else
            pen->fg = v[i];
    }
}

static void draw(struct page *p, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (s[i] != '\033') {
            if (s[i] != '\r' && s[i] != '\b')
                put(p, s[i]);
            continue;
        }
        if (s[i + 1] == '(') {
            p->pen.charset = s[i + 2] == 'B' ? 0 : s[i + 2];
            i += 2;
            continue;
        }
        int v[32] = {0}, n = 0;
        for (i += 2; s[i] < 0x40; i++)
            if (s[i] == ';')
                n++;
            else
                v[n] = v[n] * 10 + s[i] - '0';
        if (s[i] == 'm')
            style(&p->pen, v, n + 1);
        else if (s[i] == 'K')
            put(p, 'K');
    }
}

static void same_screen(const char *bytes, size_t len, struct tui__sgr *s, struct page *plain,
                        struct page *fewer)
{
    struct buf out = {0};
    tui__sgr_pass(s, bytes, len, &out);
    plain->count = fewer->count = 0;
    draw(plain, bytes, len);
    draw(fewer, out.data ? out.data : "", out.len);
    assert_int_equal(plain->count, fewer->count);
    for (size_t i = 0; i < plain->count; i++)
        if (plain->cell[i].what != fewer->cell[i].what ||
            memcmp(&plain->cell[i].pen, &fewer->cell[i].pen, sizeof plain->cell[i].pen) != 0)
            fail_msg("cell %zu differs: %.*s\n%.*s", i, (int)len, bytes, (int)out.len, out.data);
    buf_release(&out);
}

static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

static const char *const pieces[] = {
    "text",
    "\033[39;49m\033(B\033[m",
    "\033[38;5;252m\033[48;5;234m",
    " ",
    "\033[1m",
    "\033(B\033[0;1m\033[38;5;66m",
    "\033[K",
    "\033[4m",
    "\033[24m",
    "\033[3;4H",
    "\033[7m",
    "\033[27m",
    "\r",
    "\033[31m\033[42m",
    "\033[91m\033[104m",
    "\xd0\xb6",
    "\033[2m",
    "\033[22m",
    "\033(0",
    "\033(B",
    "\033[0m",
    "\033[?25l",
    "\033[38;5;252m",
    "\033[48;5;17m",
    "\033[3m",
    "\033[38;2;10;20;30m",
    "\033[m",
    "\033[48;5;17m",
    "\033[39m",
    "\033[49m",
    "x",
    "\033[1;3;4;38;5;200;48;5;100mabc",
};

static void any_stream_draws_the_same(void **state)
{
    (void)state;
    static struct page plain, fewer;
    uint32_t seed = 20261121;
    for (int run = 0; run < 300; run++) {
        struct tui__sgr s;
        tui__sgr_forget(&s);
        memset(&plain, 0, sizeof plain);
        memset(&fewer, 0, sizeof fewer);
        fewer.pen.fg = 35; /* the terminal may be left in any style */
        fewer.pen.on[4] = true;
        for (int frame = 0; frame < 20; frame++) {
            struct buf bytes = {0};
            for (int i = 0; i < 40; i++)
                buf_adds(&bytes, pieces[next(&seed) % (sizeof pieces / sizeof pieces[0])]);
            same_screen(bytes.data, bytes.len, &s, &plain, &fewer);
            buf_release(&bytes);
        }
        /* After settling the terminal's own style is what curses believes in. */
        struct buf out = {0};
        tui__sgr_settle(&s, &out);
        if (out.len)
            draw(&fewer, out.data, out.len);
        buf_release(&out);
        assert_memory_equal(&plain.pen, &fewer.pen, sizeof plain.pen);
    }
}

static void check(const char *bytes, const char *want)
{
    struct tui__sgr s;
    struct buf out = {0};
    tui__sgr_forget(&s);
    tui__sgr_pass(&s, "\033[38;5;252m\033[48;5;234m.", 24, &out);
    buf_clear(&out);
    tui__sgr_pass(&s, bytes, strlen(bytes), &out);
    assert_string_equal(out.data ? out.data : "", want);
    buf_release(&out);
}

static void nothing_is_set_that_is_not_needed(void **state)
{
    (void)state;
    check("\033[3;4H\033[38;5;252m\033[48;5;234mmore\033[5;6H\033[39;49m\033(B\033[m",
          "\033[3;4Hmore\033[5;6H");
    check("\033[38;5;66m\033[48;5;234m|\033[38;5;252m\033[48;5;234m text",
          "\033[38;5;66m|\033[38;5;252m text");
    check("\033(B\033[0;1m\033[38;5;252m\033[48;5;234mbold\033(B\033[0m\033[38;5;252m"
          "\033[48;5;234mplain",
          "\033[1mbold\033[22mplain");
    check("\033(B\033[m\033[39;49mplain", "\033[mplain");
}

static void what_is_not_understood_is_passed_on(void **state)
{
    (void)state;
    check("\033[38;2;1;2;3mrgb", "\033[38;2;1;2;3mrgb");
    check("\033[4:3mcurly", "\033[4:3mcurly");
    check("\033]0;title\033", "\033]0;title\033");
    check("\033[", "\033[");
    check("\033[38;5", "\033[38;5");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_stream_draws_the_same),
        cmocka_unit_test(nothing_is_set_that_is_not_needed),
        cmocka_unit_test(what_is_not_understood_is_passed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
