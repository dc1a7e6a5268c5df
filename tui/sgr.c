/* See sgr.h. */
#include "tui/sgr.h"
#include <stdlib.h>
#include <string.h>

enum { PARAMS_MAX = 16, INDEXED = 1000, DEFAULT = 39, BACKGROUND = 10, ATTRS = 9 };

static const struct tui__sgr_style cleared = {DEFAULT, DEFAULT, 0, 'B'};
/* What ends attribute n; bold and faint have one end. */
static const unsigned char ends[ATTRS + 1] = {0, 22, 22, 23, 24, 25, 25, 27, 28, 29};

void tui__sgr_forget(struct tui__sgr *s)
{
    *s = (struct tui__sgr){.shown = cleared, .wanted = cleared};
}

/* ---- writing a style */

static bool same(const struct tui__sgr_style *a, const struct tui__sgr_style *b)
{
    return a->fg == b->fg && a->bg == b->bg && a->attrs == b->attrs && a->charset == b->charset;
}

static void add_colour(struct buf *out, int colour, int ground)
{
    if (colour >= INDEXED)
        buf_addf(out, "%d;5;%d;", 38 + ground, colour - INDEXED);
    else
        buf_addf(out, "%d;", colour + ground);
}

static void add_attrs(struct buf *out, unsigned attrs)
{
    for (int n = 1; n <= ATTRS; n++)
        if (attrs & 1u << n)
            buf_addf(out, "%d;", n);
}

/* From one style to another, without a reset. */
static void add_changes(struct buf *out, const struct tui__sgr_style *from,
                        const struct tui__sgr_style *to)
{
    unsigned have = from->attrs;
    for (int n = 1; n <= ATTRS; n++)
        if (have & ~to->attrs & 1u << n) {
            buf_addf(out, "%d;", ends[n]);
            for (int k = 1; k <= ATTRS; k++) /* what the same end takes away too */
                if (ends[k] == ends[n])
                    have &= ~(1u << k);
        }
    add_attrs(out, to->attrs & ~have);
    if (from->fg != to->fg)
        add_colour(out, to->fg, 0);
    if (from->bg != to->bg)
        add_colour(out, to->bg, BACKGROUND);
}

static void add_reset(struct buf *out, const struct tui__sgr_style *to)
{
    buf_adds(out, to->attrs || to->fg != DEFAULT || to->bg != DEFAULT ? "0;" : ";");
    add_attrs(out, to->attrs);
    if (to->fg != DEFAULT)
        add_colour(out, to->fg, 0);
    if (to->bg != DEFAULT)
        add_colour(out, to->bg, BACKGROUND);
}

/* Appends ESC [ ... m with the parameters behind `start`, whose last `;` becomes the m. */
static void add_shorter(struct buf *out, const struct tui__sgr *s)
{
    struct buf changes = {0}, reset = {0};
    add_reset(&reset, &s->wanted);
    if (s->known)
        add_changes(&changes, &s->shown, &s->wanted);
    struct buf *best = s->known && changes.len <= reset.len ? &changes : &reset;
    if (best->len) {
        best->data[best->len - 1] = 'm';
        buf_adds(out, "\033[");
        buf_add(out, best->data, best->len);
    }
    buf_release(&changes);
    buf_release(&reset);
}

void tui__sgr_settle(struct tui__sgr *s, struct buf *out)
{
    if (s->opaque || (s->known && same(&s->shown, &s->wanted)))
        return;
    if (!s->known || s->shown.charset != s->wanted.charset)
        buf_addf(out, "\033(%c", s->wanted.charset);
    add_shorter(out, s);
    s->shown = s->wanted;
    s->known = true;
}

/* ---- reading what curses writes */

/* The colour behind a 38 or 48 at *i; -1: not understood. */
static int indexed(const int *params, int count, int *i)
{
    if (*i + 2 >= count || params[*i + 1] != 5 || params[*i + 2] > 255)
        return -1;
    *i += 2;
    return INDEXED + params[*i];
}

static bool colour(struct tui__sgr_style *style, const int *params, int count, int *i)
{
    int p = params[*i], ground = (p >= 40 && p <= 49) || p >= 100 ? BACKGROUND : 0;
    int *target = ground ? &style->bg : &style->fg;
    p -= ground;
    if (p == 38) {
        *target = indexed(params, count, i);
        return *target >= 0;
    }
    if ((p < 30 || p > 37) && p != DEFAULT && (p < 90 || p > 97))
        return false;
    *target = p;
    return true;
}

static bool apply(struct tui__sgr_style *style, const int *params, int count)
{
    for (int i = 0; i < count; i++) {
        int p = params[i];
        if (p == 0) {
            style->fg = style->bg = DEFAULT;
            style->attrs = 0;
        } else if (p <= ATTRS) {
            style->attrs |= 1u << p;
        } else if (p >= 22 && p <= 29) {
            for (int n = 1; n <= ATTRS; n++)
                if (ends[n] == p)
                    style->attrs &= ~(1u << n);
        } else if (!colour(style, params, count, &i)) {
            return false;
        }
    }
    return true;
}

/* The parameters of a sequence; -1: other characters, or too many. */
static int params_read(const char *p, const char *end, int params[PARAMS_MAX])
{
    int count = 0, value = 0;
    for (;; p++) {
        if (p < end && *p >= '0' && *p <= '9') {
            value = value * 10 + *p - '0';
            if (value > 9999)
                return -1;
            continue;
        }
        if (count == PARAMS_MAX || (p < end && *p != ';'))
            return -1;
        params[count++] = value;
        value = 0;
        if (p >= end)
            return count;
    }
}

static void style_read(struct tui__sgr *s, const char *bytes, size_t len, struct buf *out)
{
    int params[PARAMS_MAX], count = params_read(bytes + 2, bytes + len - 1, params);
    struct tui__sgr_style next = s->wanted;
    bool understood = count >= 0 && apply(&next, params, count);
    if (understood && s->opaque && params[0] == 0) {
        s->opaque = s->known = false;
        next = cleared;
        next.charset = s->wanted.charset;
        apply(&next, params, count);
    }
    if (understood && !s->opaque) {
        s->wanted = next;
        return;
    }
    tui__sgr_settle(s, out);
    s->opaque = true;
    buf_add(out, bytes, len);
}

/* Bytes of the control sequence or escape at p. */
static size_t sequence_len(const char *p, size_t len)
{
    size_t n = 2;
    if (len < 2)
        return len;
    if (p[1] == '[') {
        while (n < len && (unsigned char)p[n] >= 0x20 && (unsigned char)p[n] < 0x40)
            n++;
    } else {
        n = 1;
        while (n < len && (unsigned char)p[n] >= 0x20 && (unsigned char)p[n] < 0x30)
            n++;
    }
    return n < len ? n + 1 : len;
}

/* Does it only move the cursor or switch a mode? */
static bool needs_no_style(const char *p, size_t len)
{
    return len > 2 && p[1] == '[' && strchr("ABCDEFGHadefhl`", p[len - 1]) != NULL;
}

static void sequence(struct tui__sgr *s, const char *p, size_t len, struct buf *out)
{
    if (len > 2 && p[1] == '[' && p[len - 1] == 'm' && p[2] != '>' && p[2] != '?') {
        style_read(s, p, len, out);
        return;
    }
    if (len == 3 && p[1] == '(') {
        s->wanted.charset = p[2];
        if (s->opaque)
            buf_add(out, p, len);
        return;
    }
    if (!needs_no_style(p, len))
        tui__sgr_settle(s, out);
    buf_add(out, p, len);
    if (len == 2 && (p[1] == '8' || p[1] == 'c')) /* restores a style of before, or resets all */
        s->known = false;
}

void tui__sgr_pass(struct tui__sgr *s, const char *bytes, size_t len, struct buf *out)
{
    for (size_t at = 0; at < len;) {
        const char *p = bytes + at;
        size_t n = 1;
        if (*p == '\033') {
            n = sequence_len(p, len - at);
            sequence(s, p, n, out);
        } else if (*p == '\r' || *p == '\b' || *p == '\t') {
            buf_add(out, p, 1);
        } else { /* text; and a line feed, which may bring a new line in the style's background */
            while (n < len - at && (unsigned char)p[n] >= 0x20)
                n++;
            tui__sgr_settle(s, out);
            buf_add(out, p, n);
        }
        at += n;
    }
}
