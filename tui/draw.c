/* Drawing over curses: the only file that writes text to the screen.
 *
 * D1 Text goes through text_clean before curses sees it; pure printable ASCII is clean already and
 *    takes the short way (invariant T2 of tui.h).
 * D2 Every call clips to its area; what was cut ends with the ellipsis glyph (T3, T4).
 * D3 While places are collected (tui_seek with `found`) nothing is drawn: room_at says so. */
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "tui/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* curses itself is one screen a process; these belong to that screen, and tui.h's calls carry no
 * handle. */
static struct {
    struct {
        attr_t attrs;
        int pair;
    } style[ROLE_COUNT];
    bool ascii;
    bool cursor_set;
    int cursor_y, cursor_x;
    struct tui_seek *seek; /* NULL: nothing is looked for */
} draw;

static const char *const glyphs[GLYPH_COUNT][2] = {
#define GLYPH(id, utf8, plain) {utf8, plain},
#include "tui/glyphs.def"
#undef GLYPH
};

void tui__style_set(enum tui_role role, attr_t attrs, int pair)
{
    draw.style[role].attrs = attrs;
    draw.style[role].pair = pair;
}

attr_t tui__style(enum tui_role role, int *pair)
{
    *pair = draw.style[role].pair;
    return draw.style[role].attrs;
}

void tui__ascii_set(bool ascii)
{
    draw.ascii = ascii;
}

bool tui_ascii(void)
{
    return draw.ascii;
}

void tui__cursor_reset(void)
{
    draw.cursor_set = false;
}

bool tui__cursor_get(int *y, int *x)
{
    *y = draw.cursor_y;
    *x = draw.cursor_x;
    return draw.cursor_set;
}

void tui_cursor(struct tui_area a, int y, int x)
{
    if (y < 0 || x < 0 || y >= a.height || x > a.width || a.width <= 0)
        return;
    draw.cursor_set = true;
    draw.cursor_y = a.y + y;
    draw.cursor_x = a.x + (x < a.width ? x : a.width - 1);
}

const char *tui_glyph(enum tui_glyph g)
{
    return glyphs[g][draw.ascii ? 1 : 0];
}

struct tui_area tui_sub(struct tui_area a, int y, int x, int height, int width)
{
    int y0 = y < 0 ? 0 : y, x0 = x < 0 ? 0 : x;
    int y1 = y + height, x1 = x + width;
    if (y1 > a.height)
        y1 = a.height;
    if (x1 > a.width)
        x1 = a.width;
    struct tui_area sub = {a.y + y0, a.x + x0, y1 > y0 ? y1 - y0 : 0, x1 > x0 ? x1 - x0 : 0};
    return sub;
}

static void style_on(enum tui_role role)
{
    int pair = draw.style[role].pair;
    wattr_set(stdscr, draw.style[role].attrs, (short)pair, &pair);
}

/* Columns that may be used at y, x; 0 if none. */
static int room_at(struct tui_area a, int y, int x, int width)
{
    if (y < 0 || y >= a.height || x < 0 || x >= a.width || (draw.seek && draw.seek->found))
        return 0;
    int rest = a.width - x;
    return width < 0 || width > rest ? rest : width;
}

static bool plain_ascii(const char *s, size_t *len)
{
    size_t n = 0;
    for (; s[n]; n++)
        if (s[n] < 0x20 || s[n] > 0x7e)
            return false;
    *len = n;
    return true;
}

/* Clean text at a place with room columns; returns the columns used. */
static int put_fitted(struct tui_area a, int y, int x, int room, enum tui_role role,
                      const char *text, size_t len)
{
    int used = 0;
    size_t n = text_fit(text, len, room, &used);
    style_on(role);
    if (n < len && room > 0) {
        n = text_fit(text, len, room - 1, &used);
        mvwaddnstr(stdscr, a.y + y, a.x + x, text, (int)n);
        mvwaddstr(stdscr, a.y + y, a.x + x + used, tui_glyph(GLYPH_ELLIPSIS));
        return used + 1;
    }
    if (n)
        mvwaddnstr(stdscr, a.y + y, a.x + x, text, (int)n);
    return used;
}

/* The safe form of any text; buf is the caller's to release and stays empty for plain ASCII. */
static const char *cleaned(const char *text, struct buf *buf, size_t *len)
{
    if (plain_ascii(text, len))
        return text;
    text_clean(text, strlen(text), TEXT_ONE_LINE | (draw.ascii ? TEXT_ASCII : 0), buf);
    *len = buf->len;
    return buf->data ? buf->data : "";
}

/* ---- what is looked for */

void tui_seek(struct tui_seek *s)
{
    draw.seek = s;
}

const char *tui_sought(void)
{
    return draw.seek ? draw.seek->needle : NULL;
}

void tui_seek_found(int y)
{
    if (draw.seek && draw.seek->found)
        draw.seek->found(draw.seek->arg, y);
}

/* The places of what is looked for in a text that was put there in `used` columns. */
static void mark_places(struct tui_area a, int y, int x, int used, const char *text, size_t len)
{
    const char *needle = tui_sought();
    size_t at, end;
    if (!needle || !*needle)
        return;
    for (size_t i = 0; text_find(text, len, i, needle, &at, &end); i = end) {
        int from = text_width(text, at);
        if (from < used)
            put_fitted(a, y, x + from, used - from, ROLE_MATCH, text + at, end - at);
    }
}

/* Is it a row of those that are only collected? Then the columns that the text would take. */
static bool collected(struct tui_area a, int y, int x, int width, const char *text, int *used)
{
    struct buf buf = {0};
    size_t len, at, end;
    int room = a.width - x;
    *used = 0;
    if (!draw.seek || !draw.seek->found)
        return false;
    if (room <= 0)
        return true;
    const char *clean = cleaned(text, &buf, &len);
    size_t fit = text_fit(clean, len, width >= 0 && width < room ? width : room, used);
    if (*draw.seek->needle && text_find(clean, fit, 0, draw.seek->needle, &at, &end))
        tui_seek_found(a.y + y);
    buf_release(&buf);
    return true;
}

int tui_put(struct tui_area a, int y, int x, int width, enum tui_role role, const char *text)
{
    int used;
    if (collected(a, y, x, width, text, &used))
        return used;
    int room = room_at(a, y, x, width);
    if (room <= 0)
        return 0;
    struct buf buf = {0};
    size_t len;
    const char *clean = cleaned(text, &buf, &len);
    used = put_fitted(a, y, x, room, role, clean, len);
    mark_places(a, y, x, used, clean, len);
    buf_release(&buf);
    return used;
}

int tui_putf(struct tui_area a, int y, int x, int width, enum tui_role role, const char *format,
             ...)
{
    struct buf buf = {0};
    va_list args;
    va_start(args, format);
    buf_vaddf(&buf, format, args);
    va_end(args);
    int used = tui_put(a, y, x, width, role, buf.data ? buf.data : "");
    buf_release(&buf);
    return used;
}

int tui_put_right(struct tui_area a, int y, int x, int width, enum tui_role role, const char *text)
{
    int used;
    if (collected(a, y, x, width, text, &used))
        return used;
    int room = room_at(a, y, x, width);
    if (room <= 0)
        return 0;
    struct buf buf = {0};
    size_t len;
    const char *clean = cleaned(text, &buf, &len);
    int columns = text_width(clean, len);
    int pad = columns < room ? room - columns : 0;
    used = put_fitted(a, y, x + pad, room - pad, role, clean, len);
    mark_places(a, y, x + pad, used, clean, len);
    buf_release(&buf);
    return used;
}

int tui_put_clean(struct tui_area a, int y, int x, enum tui_role role, const char *text, size_t len)
{
    int room = room_at(a, y, x, -1);
    return room > 0 ? put_fitted(a, y, x, room, role, text, len) : 0;
}

int tui_put_glyph(struct tui_area a, int y, int x, enum tui_role role, enum tui_glyph g)
{
    if (room_at(a, y, x, 1) < 1)
        return 0;
    style_on(role);
    mvwaddstr(stdscr, a.y + y, a.x + x, tui_glyph(g));
    return 1;
}

void tui_fill(struct tui_area a, int y, int x, int width, enum tui_role role, enum tui_glyph g)
{
    int room = room_at(a, y, x, width);
    if (room <= 0)
        return;
    style_on(role);
    wmove(stdscr, a.y + y, a.x + x);
    for (int i = 0; i < room; i++)
        waddstr(stdscr, tui_glyph(g));
}

void tui_clear(struct tui_area a, enum tui_role role)
{
    style_on(role);
    for (int y = 0; y < a.height; y++)
        if (a.width > 0) {
            wmove(stdscr, a.y + y, a.x);
            for (int i = 0; i < a.width; i++)
                waddch(stdscr, ' ');
        }
}

void tui_restyle(struct tui_area a, int y, int x, int width, enum tui_role role)
{
    int room = room_at(a, y, x, width);
    if (room <= 0)
        return;
    int pair = draw.style[role].pair;
    mvwchgat(stdscr, a.y + y, a.x + x, room, draw.style[role].attrs, (short)pair, &pair);
}

/* ---- states */

static const struct state_row {
    const char *word;
    enum tui_glyph glyph;
    enum tui_role role;
} states[] = {
    {"ok", GLYPH_OK, ROLE_OK},
    {"pass", GLYPH_OK, ROLE_OK},
    {"done", GLYPH_OK, ROLE_OK},
    {"intact", GLYPH_OK, ROLE_OK},
    {"live", GLYPH_OK, ROLE_OK},
    {"chosen", GLYPH_OK, ROLE_OK},
    {"warn", GLYPH_WARN, ROLE_WARN},
    {"degraded", GLYPH_WARN, ROLE_WARN},
    {"disputed", GLYPH_WARN, ROLE_WARN},
    {"weak", GLYPH_WARN, ROLE_WARN},
    {"dropped", GLYPH_WARN, ROLE_WARN},
    {"fail", GLYPH_FAIL, ROLE_FAIL},
    {"failed", GLYPH_FAIL, ROLE_FAIL},
    {"error", GLYPH_FAIL, ROLE_FAIL},
    {"broken", GLYPH_FAIL, ROLE_FAIL},
    {"lost", GLYPH_FAIL, ROLE_FAIL},
    {"blocked", GLYPH_BLOCKED, ROLE_BLOCKED},
    {"denied", GLYPH_BLOCKED, ROLE_BLOCKED},
    {"refused", GLYPH_BLOCKED, ROLE_BLOCKED},
    {"stopped", GLYPH_STOPPED, ROLE_DIM},
    {"disabled", GLYPH_STOPPED, ROLE_DIM},
    {"cancelled", GLYPH_STOPPED, ROLE_DIM},
    {"hedged", GLYPH_STOPPED, ROLE_DIM},
    {"running", GLYPH_RUNNING, ROLE_ACCENT},
    {"starting", GLYPH_RUNNING, ROLE_ACCENT},
    {"sign-in", GLYPH_WARN, ROLE_WARN},
    {"not_assessed", GLYPH_UNKNOWN, ROLE_UNKNOWN},
    {"not assessed", GLYPH_UNKNOWN, ROLE_UNKNOWN},
    {"unchecked", GLYPH_UNKNOWN, ROLE_UNKNOWN},
    {"waiting", GLYPH_UNKNOWN, ROLE_UNKNOWN},
    {"skipped", GLYPH_UNKNOWN, ROLE_DIM},
    {"sealed", GLYPH_OK, ROLE_OK},
    {"unsigned", GLYPH_RUNNING, ROLE_DIM},
    {"erased", GLYPH_UNKNOWN, ROLE_DIM},
    {"quarantined", GLYPH_BLOCKED, ROLE_WARN},
    {"proposed", GLYPH_WARN, ROLE_WARN},
    {"approved", GLYPH_OK, ROLE_ACCENT},
    {"rejected", GLYPH_BLOCKED, ROLE_DIM},
    {"withdrawn", GLYPH_STOPPED, ROLE_DIM},
    {"expired", GLYPH_STOPPED, ROLE_DIM},
    {"undone", GLYPH_STOPPED, ROLE_WARN},
    {"kill", GLYPH_STOPPED, ROLE_FAIL},
    {"unknown", GLYPH_UNKNOWN, ROLE_UNKNOWN},
};

static const struct state_row *state_find(const char *state)
{
    size_t n = sizeof(states) / sizeof(states[0]);
    for (size_t i = 0; i < n; i++)
        if (!strcmp(states[i].word, state))
            return &states[i];
    return &states[n - 1];
}

enum tui_role tui_state_role(const char *state)
{
    return state_find(state)->role;
}

int tui_put_state(struct tui_area a, int y, int x, const char *state, bool word)
{
    const struct state_row *row = state_find(state);
    int used = tui_put_glyph(a, y, x, row->role, row->glyph);
    if (!used || !word)
        return used;
    const char *text = !strcmp(state, "not_assessed") ? _("not assessed")
                       : *state                       ? _(state)
                                                      : _(row->word);
    return used + 1 + tui_put(a, y, x + used + 1, -1, row->role, text);
}

/* ---- short forms */

void tui_ago(int64_t at_ms, char out[16])
{
    int64_t s = (clock_real_ms() - at_ms) / 1000;
    if (s < 60)
        snprintf(out, 16, "%s", _("now"));
    else if (s < 3600)
        snprintf(out, 16, _("%d m"), (int)(s / 60));
    else if (s < 48 * 3600)
        snprintf(out, 16, _("%d h"), (int)(s / 3600));
    else
        snprintf(out, 16, _("%d d"), (int)(s / 86400 % 100000));
}

void tui_duration(double ms, char out[16])
{
    if (!(ms >= 0))
        snprintf(out, 16, "-");
    else if (ms < 9.95)
        snprintf(out, 16, _("%.1f ms"), ms);
    else if (ms < 999.5)
        snprintf(out, 16, _("%.0f ms"), ms);
    else if (ms < 59950)
        snprintf(out, 16, _("%.1f s"), ms / 1000);
    else if (ms < 3570000)
        snprintf(out, 16, _("%d m"), (int)(ms / 60000 + 0.5));
    else if (ms < 172800000)
        snprintf(out, 16, _("%d h"), (int)(ms / 3600000 + 0.5));
    else
        snprintf(out, 16, _("%d d"), (int)(ms / 86400000 < 1e7 ? ms / 86400000 + 0.5 : 1e7));
}

void tui_short_id(const char *id, char out[16])
{
    size_t n = strlen(id);
    if (n <= 11)
        snprintf(out, 16, "%s", id);
    else
        snprintf(out, 16, "%.4s%s%s", id, tui_glyph(GLYPH_ELLIPSIS), id + n - 4);
}
