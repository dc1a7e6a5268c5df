/* The input line of the chat.
 *
 * I1 The text is valid UTF-8 of visible characters and new lines; the cursor stands at a
 * character's start. I2 What the user typed is never lost: leaving it for the history keeps it,
 * sending and clearing put it into the history. */
#include "tui/input.h"
#include "backend/base/text.h"
#include <stdlib.h>
#include <string.h>

enum { PROMPT_COLUMNS = 2, TAB_SPACES = 4 };

void tui_input_release(struct tui_input *in)
{
    buf_release(&in->text);
    free(in->cut);
    free(in->own);
    for (size_t i = 0; i < in->history_len; i++)
        free(in->history[i]);
    free(in->history);
    memset(in, 0, sizeof(*in));
}

const char *tui_input_text(const struct tui_input *in)
{
    return in->text.data ? in->text.data : "";
}

/* ---- editing */

static void put_at(struct tui_input *in, size_t at, const char *bytes, size_t len)
{
    struct buf rest = {0};
    buf_add(&rest, tui_input_text(in) + at, in->text.len - at);
    buf_drop(&in->text, 0);
    in->text.len = at;
    if (in->text.data)
        in->text.data[at] = 0;
    buf_add(&in->text, bytes, len);
    if (rest.len)
        buf_add(&in->text, rest.data, rest.len);
    buf_release(&rest);
}

static void erase(struct tui_input *in, size_t from, size_t to)
{
    if (to <= from)
        return;
    memmove(in->text.data + from, in->text.data + to, in->text.len - to);
    in->text.len -= to - from;
    in->text.data[in->text.len] = 0;
    in->cursor = from;
}

static void cut(struct tui_input *in, size_t from, size_t to)
{
    if (to <= from)
        return;
    free(in->cut);
    in->cut = xstrndup(in->text.data + from, to - from);
    erase(in, from, to);
}

/* May this character stand in the line? What text_clean would mark or drop may not. */
static bool visible(const char *bytes, size_t len)
{
    struct buf b = {0};
    text_clean(bytes, len, TEXT_ONE_LINE, &b);
    bool same = b.len == len && !memcmp(b.data, bytes, len);
    buf_release(&b);
    return same;
}

bool tui_input_insert(struct tui_input *in, const char *bytes, size_t len)
{
    struct buf kept = {0};
    for (size_t at = 0; at < len;) {
        uint32_t cp;
        size_t n = text_decode(bytes + at, len - at, &cp);
        if (!n)
            break;
        if (cp == '\n')
            buf_addc(&kept, '\n');
        else if (cp == '\t')
            buf_add(&kept, "        ", TAB_SPACES);
        else if (!(cp & TEXT_BAD) && visible(bytes + at, n))
            buf_add(&kept, bytes + at, n);
        at += n;
    }
    bool fits = in->text.len + kept.len <= TUI_INPUT_MAX;
    if (!fits) { /* as much as there is room for, cut at a character */
        size_t n = TUI_INPUT_MAX - in->text.len;
        while (n && ((unsigned char)kept.data[n] & 0xc0) == 0x80)
            n--;
        kept.len = n;
    }
    if (kept.len)
        put_at(in, in->cursor, kept.data, kept.len);
    in->cursor += kept.len;
    buf_release(&kept);
    return fits;
}

void tui_input_replace(struct tui_input *in, size_t from, const char *text)
{
    erase(in, from, in->cursor);
    tui_input_insert(in, text, strlen(text));
}

void tui_input_set(struct tui_input *in, const char *text)
{
    buf_clear(&in->text);
    in->cursor = 0;
    in->top = 0;
    tui_input_insert(in, text, strlen(text));
}

static size_t left_of(const struct tui_input *in, size_t at)
{
    const char *s = tui_input_text(in);
    if (!at)
        return 0;
    uint32_t cp;
    do { /* a character with its combining marks is one step */
        do
            at--;
        while (at && ((unsigned char)s[at] & 0xc0) == 0x80);
        text_decode(s + at, in->text.len - at, &cp);
    } while (at && cp != '\n' && text_width_cp(cp) == 0);
    return at;
}

static size_t right_of(const struct tui_input *in, size_t at)
{
    const char *s = tui_input_text(in);
    uint32_t cp;
    size_t n = text_decode(s + at, in->text.len - at, &cp);
    at += n;
    while (at < in->text.len && (n = text_decode(s + at, in->text.len - at, &cp)) && cp != '\n' &&
           text_width_cp(cp) == 0)
        at += n;
    return at;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n';
}

static size_t word_left(const struct tui_input *in)
{
    const char *s = tui_input_text(in);
    size_t at = in->cursor;
    while (at && is_space(s[at - 1]))
        at--;
    while (at && !is_space(s[at - 1]))
        at--;
    return at;
}

static size_t word_right(const struct tui_input *in)
{
    const char *s = tui_input_text(in);
    size_t at = in->cursor;
    while (at < in->text.len && is_space(s[at]))
        at++;
    while (at < in->text.len && !is_space(s[at]))
        at++;
    return at;
}

static size_t line_start(const struct tui_input *in)
{
    const char *s = tui_input_text(in);
    size_t at = in->cursor;
    while (at && s[at - 1] != '\n')
        at--;
    return at;
}

static size_t line_end(const struct tui_input *in)
{
    const char *s = tui_input_text(in);
    size_t at = in->cursor;
    while (at < in->text.len && s[at] != '\n')
        at++;
    return at;
}

/* ---- rows at a width */

struct place {
    int row, column;
};

/* Walks the rows: the place of a byte offset, or (offset -1) of the end. */
static struct place place_of(const struct tui_input *in, int width, size_t offset)
{
    struct place p = {0, 0};
    const char *s = tui_input_text(in);
    for (size_t at = 0; at < in->text.len;) {
        uint32_t cp;
        size_t n = text_decode(s + at, in->text.len - at, &cp);
        int w = cp == '\n' ? 0 : text_width_cp(cp);
        if (p.column + w > width) {
            p.row++;
            p.column = 0;
        }
        if (at >= offset)
            return p;
        if (cp == '\n') {
            p.row++;
            p.column = 0;
        }
        p.column += w;
        at += n;
    }
    if (p.column >= width) { /* the cursor needs a cell */
        p.row++;
        p.column = 0;
    }
    return p;
}

/* The offset nearest to a place: the last one not behind it. */
static size_t offset_of(const struct tui_input *in, int width, struct place want)
{
    struct place p = {0, 0};
    const char *s = tui_input_text(in);
    size_t best = 0;
    for (size_t at = 0; at < in->text.len;) {
        uint32_t cp;
        size_t n = text_decode(s + at, in->text.len - at, &cp);
        int w = cp == '\n' ? 0 : text_width_cp(cp);
        if (p.column + w > width) {
            p.row++;
            p.column = 0;
        }
        if (p.row > want.row || (p.row == want.row && p.column > want.column))
            return best;
        if (w > 0 || cp == '\n')
            best = at;
        if (cp == '\n') {
            if (p.row == want.row)
                return best;
            p.row++;
            p.column = 0;
        }
        p.column += w;
        at += n;
    }
    return in->text.len;
}

int tui_input_rows(struct tui_input *in, int width)
{
    in->width = width - PROMPT_COLUMNS > 0 ? width - PROMPT_COLUMNS : 1;
    return place_of(in, in->width, (size_t)-1).row + 1;
}

/* ---- history */

void tui_input_remember(struct tui_input *in, const char *text)
{
    if (!*text || (in->history_len && !strcmp(in->history[in->history_len - 1], text)))
        return;
    if (in->history_len == TUI_INPUT_HISTORY_MAX) {
        free(in->history[0]);
        memmove(in->history, in->history + 1, (TUI_INPUT_HISTORY_MAX - 1) * sizeof(*in->history));
        in->history_len--;
    }
    in->history = xrealloc(in->history, (in->history_len + 1) * sizeof(*in->history));
    in->history[in->history_len++] = xstrdup(text);
    in->history_at = in->history_len;
}

void tui_input_store(struct tui_input *in)
{
    tui_input_remember(in, tui_input_text(in));
    in->history_at = in->history_len;
    free(in->own);
    in->own = NULL;
    buf_clear(&in->text);
    in->cursor = 0;
    in->top = 0;
}

static void history_go(struct tui_input *in, int step)
{
    if ((step < 0 && in->history_at == 0) || (step > 0 && in->history_at >= in->history_len))
        return;
    if (in->history_at == in->history_len) {
        free(in->own);
        in->own = xstrdup(tui_input_text(in));
    }
    in->history_at = step < 0 ? in->history_at - 1 : in->history_at + 1;
    const char *text = in->history_at < in->history_len ? in->history[in->history_at] : in->own;
    tui_input_set(in, text ? text : "");
}

/* A row up or down; past the first or last one, the history. */
static void vertical(struct tui_input *in, int step)
{
    struct place p = place_of(in, in->width ? in->width : 1, in->cursor);
    int last = place_of(in, in->width ? in->width : 1, (size_t)-1).row;
    if ((step < 0 && p.row == 0) || (step > 0 && p.row == last)) {
        history_go(in, step);
        return;
    }
    p.row += step;
    in->cursor = offset_of(in, in->width, p);
}

bool tui_input_action(struct tui_input *in, enum tui_action action)
{
    switch (action) {
    case ACTION_NEWLINE:
        tui_input_insert(in, "\n", 1);
        return true;
    case ACTION_LEFT:
        in->cursor = left_of(in, in->cursor);
        return true;
    case ACTION_RIGHT:
        in->cursor = right_of(in, in->cursor);
        return true;
    case ACTION_WORD_LEFT:
        in->cursor = word_left(in);
        return true;
    case ACTION_WORD_RIGHT:
        in->cursor = word_right(in);
        return true;
    case ACTION_LINE_START:
        in->cursor = line_start(in);
        return true;
    case ACTION_LINE_END:
        in->cursor = line_end(in);
        return true;
    case ACTION_ERASE_LEFT:
        erase(in, left_of(in, in->cursor), in->cursor);
        return true;
    case ACTION_ERASE_RIGHT:
        if (in->cursor < in->text.len)
            erase(in, in->cursor, right_of(in, in->cursor));
        return true;
    case ACTION_ERASE_WORD:
        cut(in, word_left(in), in->cursor);
        return true;
    case ACTION_KILL_LINE:
        cut(in, in->cursor, line_end(in));
        return true;
    case ACTION_KILL_START:
        cut(in, line_start(in), in->cursor);
        return true;
    case ACTION_YANK:
        if (in->cut)
            tui_input_insert(in, in->cut, strlen(in->cut));
        return true;
    case ACTION_HISTORY_PREV:
        vertical(in, -1);
        return true;
    case ACTION_HISTORY_NEXT:
        vertical(in, 1);
        return true;
    default:
        return false;
    }
}

/* ---- drawing */

/* One row's bytes at its place. Under an ASCII charset a character that cannot be shown is a `?`:
 * its long form would put the cursor elsewhere than the text. */
static void row_draw(struct tui_area a, int y, int x, enum tui_role role, const char *text,
                     size_t len)
{
    if (!tui_ascii()) {
        tui_put_clean(a, y, x, role, text, len);
        return;
    }
    for (size_t at = 0; at < len;) {
        uint32_t cp;
        size_t n = text_decode(text + at, len - at, &cp);
        for (int w = text_width_cp(cp); w > 0; w--)
            x += tui_put_clean(a, y, x, role, cp < 0x7f ? text + at : "?", 1);
        at += n;
    }
}

void tui_input_draw(struct tui_input *in, struct tui_area a, bool focused)
{
    enum tui_role role = focused ? ROLE_INPUT : ROLE_DIM;
    int rows = tui_input_rows(in, a.width);
    struct place cursor = place_of(in, in->width, in->cursor);
    if (cursor.row < in->top)
        in->top = cursor.row;
    if (cursor.row >= in->top + a.height)
        in->top = cursor.row - a.height + 1;
    if (in->top > rows - a.height)
        in->top = rows > a.height ? rows - a.height : 0;
    tui_put_glyph(a, 0, 0, focused ? ROLE_ACCENT : ROLE_DIM, GLYPH_PROMPT);
    const char *s = tui_input_text(in);
    size_t from = 0;
    int row = 0, column = 0;
    for (size_t at = 0; at <= in->text.len;) {
        uint32_t cp = '\n';
        size_t n = at < in->text.len ? text_decode(s + at, in->text.len - at, &cp) : 0;
        int w = cp == '\n' ? 0 : text_width_cp(cp);
        if (!n || cp == '\n' || column + w > in->width) {
            if (row >= in->top && at > from)
                row_draw(a, row - in->top, PROMPT_COLUMNS, role, s + from, at - from);
            row++;
            column = 0;
            from = cp == '\n' ? at + 1 : at;
        }
        if (!n)
            break;
        column += w;
        at += n;
    }
    if (in->top > 0)
        tui_put_glyph(a, 0, 0, ROLE_DIM, GLYPH_MORE_UP);
    if (rows > in->top + a.height)
        tui_put_glyph(a, a.height - 1, 0, ROLE_DIM, GLYPH_MORE_DOWN);
    if (focused)
        tui_cursor(a, cursor.row - in->top, PROMPT_COLUMNS + cursor.column);
}

void tui_input_click(struct tui_input *in, int y, int x)
{
    struct place p = {y + in->top, x > PROMPT_COLUMNS ? x - PROMPT_COLUMNS : 0};
    in->cursor = offset_of(in, in->width ? in->width : 1, p);
}
