/* Wrapped styled lines.
 *
 * X1 bytes holds only clean text (text_clean): paragraphs, their prefixes, nothing else.
 * X2 lines belong to the first `wrapped` paragraphs at `width`; a change of a paragraph drops its
 *    lines and those behind, so text that stays is wrapped once.
 * X3 Wrapping and drawing are linear: a line is looked at once, and once more up to where it
 * breaks. */
#include "backend/base/text.h"
#include "backend/base/buf.h"
#include "backend/base/errors.h"
#include "tui/paper.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { TAB = 8, CELL_GAP = 2, CELL_LEAST = 3, BAR_COLUMNS = 2 };

struct run {
    size_t start;
    enum tui_role role;
};
struct para {
    enum paper_kind kind;
    enum tui_role role;
    int indent, table;
    bool bar;
    size_t first_at, rest_at, start, end; /* prefix of the first line, of the rest, the text */
    size_t run_from, run_to;
};
struct line {
    size_t para, start, end;
};
struct column {
    int width;
    bool right;
};
struct table {
    size_t from, columns;
};

struct tui_text {
    struct buf bytes;
    struct run *runs;
    struct para *paras;
    struct line *lines;
    struct table *tables;
    struct column *columns;
    size_t run_count, run_room, para_count, para_room, line_count, line_room;
    size_t table_count, table_room, column_count, column_room;
    size_t cell_at; /* column of the row being written */
    size_t cell_start;
    size_t wrapped;
    int width, tight;
    char *needle; /* shown as a match where it occurs, or NULL */
    struct tui__paper_stream stream;
};

/* Room for one more item of an array that doubles. */
static void *grown(void *items, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return items;
    *room = *room ? *room * 2 : 16;
    return xrealloc(items, *room * size);
}

struct tui_text *tui_text_new(void)
{
    return xcalloc(1, sizeof(struct tui_text));
}

static void stream_drop(struct tui_text *t, bool cleared)
{
    struct tui__paper_stream s = t->stream;
    if (s.drop)
        s.drop(s.arg, cleared);
}

void tui_text_clear(struct tui_text *t)
{
    stream_drop(t, true);
    buf_clear(&t->bytes);
    t->run_count = t->para_count = t->line_count = t->table_count = t->column_count = 0;
    t->wrapped = 0;
}

void tui_text_free(struct tui_text *t)
{
    if (!t)
        return;
    stream_drop(t, true);
    buf_release(&t->bytes);
    free(t->runs);
    free(t->paras);
    free(t->lines);
    free(t->tables);
    free(t->columns);
    free(t->needle);
    free(t);
}

/* ---- writing */

static void unwrap_from(struct tui_text *t, size_t para)
{
    while (t->line_count && t->lines[t->line_count - 1].para >= para)
        t->line_count--;
    if (t->wrapped > para)
        t->wrapped = para;
}

void tui__paper_end_stream(struct tui_text *t)
{
    stream_drop(t, false);
}

void tui__paper_stream_set(struct tui_text *t, const struct tui__paper_stream *s)
{
    t->stream = s ? *s : (struct tui__paper_stream){0};
}

struct tui__paper_mark tui__paper_mark(const struct tui_text *t)
{
    return (struct tui__paper_mark){t->bytes.len, t->run_count, t->para_count, t->table_count,
                                    t->column_count};
}

void tui__paper_back(struct tui_text *t, struct tui__paper_mark mark)
{
    unwrap_from(t, mark.paras);
    t->bytes.len = mark.bytes;
    t->run_count = mark.runs;
    t->para_count = mark.paras;
    t->table_count = mark.tables;
    t->column_count = mark.columns;
}

int tui__paper_table(struct tui_text *t, size_t columns, const bool *right)
{
    t->tables = grown(t->tables, t->table_count, &t->table_room, sizeof(*t->tables));
    t->tables[t->table_count] = (struct table){t->column_count, columns};
    for (size_t i = 0; i < columns; i++) {
        t->columns = grown(t->columns, t->column_count, &t->column_room, sizeof(*t->columns));
        t->columns[t->column_count++] = (struct column){1, right[i]};
    }
    return (int)t->table_count++;
}

void tui__paper_begin(struct tui_text *t, const struct paper_start *s)
{
    t->paras = grown(t->paras, t->para_count, &t->para_room, sizeof(*t->paras));
    struct para *p = &t->paras[t->para_count++];
    *p = (struct para){.kind = s->kind,
                       .role = s->role,
                       .indent = s->indent > 0 ? s->indent : 0,
                       .bar = s->bar,
                       .table = s->table};
    p->first_at = t->bytes.len;
    if (s->first)
        buf_adds(&t->bytes, s->first);
    p->rest_at = t->bytes.len;
    if (s->rest)
        buf_adds(&t->bytes, s->rest);
    p->start = p->end = t->bytes.len;
    p->run_from = p->run_to = t->run_count;
    t->cell_at = 0;
    t->cell_start = p->start;
}

/* Clean text with its tabs as spaces up to the next stop. */
static void add_untabbed(struct buf *out, const char *s, size_t len)
{
    size_t line = 0;
    while (line <= len) {
        const char *nl = memchr(s + line, '\n', len - line);
        size_t end = nl ? (size_t)(nl - s) : len;
        int column = 0;
        for (size_t at = line; at < end;) {
            const char *tab = memchr(s + at, '\t', end - at);
            size_t stop = tab ? (size_t)(tab - s) : end;
            buf_add(out, s + at, stop - at);
            if (tab) {
                column += text_width(s + at, stop - at);
                do
                    buf_addc(out, ' ');
                while (++column % TAB);
            }
            at = stop + 1;
        }
        if (nl)
            buf_addc(out, '\n');
        line = end + 1;
    }
}

void tui__paper_add(struct tui_text *t, enum tui_role role, const char *bytes, size_t len)
{
    if (!len)
        return;
    BUG_IF(!t->para_count);
    struct para *p = &t->paras[t->para_count - 1];
    unwrap_from(t, t->para_count - 1);
    if (p->run_from == p->run_to || t->runs[p->run_to - 1].role != role) {
        t->runs = grown(t->runs, t->run_count, &t->run_room, sizeof(*t->runs));
        t->runs[t->run_count++] = (struct run){t->bytes.len, role};
        p->run_to = t->run_count;
    }
    int flags = (tui_ascii() ? TEXT_ASCII : 0) | (p->kind == PAPER_ROW ? TEXT_ONE_LINE : 0);
    struct buf clean = {0};
    text_clean(bytes, len, flags, &clean);
    if (clean.len)
        add_untabbed(&t->bytes, clean.data, clean.len);
    buf_release(&clean);
    p->end = t->bytes.len;
}

void tui__paper_cell(struct tui_text *t)
{
    BUG_IF(!t->para_count);
    struct para *p = &t->paras[t->para_count - 1];
    BUG_IF(p->kind != PAPER_ROW || p->table < 0);
    const struct table *table = &t->tables[p->table];
    if (t->cell_at < table->columns) {
        struct column *c = &t->columns[table->from + t->cell_at++];
        int width = t->bytes.len > t->cell_start
                        ? text_width(t->bytes.data + t->cell_start, t->bytes.len - t->cell_start)
                        : 0;
        if (width > c->width)
            c->width = width;
    }
    buf_addc(&t->bytes, '\t');
    p->end = t->cell_start = t->bytes.len;
}

void tui_text_add(struct tui_text *t, enum tui_role role, int indent, bool bar, const char *text)
{
    stream_drop(t, false);
    struct paper_start s = {PAPER_WORDS, role, indent, bar, NULL, NULL, -1};
    tui__paper_begin(t, &s);
    tui__paper_add(t, role, text, strlen(text));
}

void tui_text_addf(struct tui_text *t, enum tui_role role, int indent, bool bar, const char *format,
                   ...)
{
    struct buf b = {0};
    va_list args;
    va_start(args, format);
    buf_vaddf(&b, format, args);
    va_end(args);
    tui_text_add(t, role, indent, bar, b.data ? b.data : "");
    buf_release(&b);
}

/* ---- wrapping */

/* Columns of a paragraph's left side: indent and bar, never more than half of the width. */
static int left_of(const struct para *p, int width)
{
    int left = p->indent + (p->bar ? BAR_COLUMNS : 0);
    return left > width / 2 ? width / 2 : left;
}

/* Columns for the text of a line; the prefix is cut to half of what the left side leaves. */
static int room_of(const struct tui_text *t, const struct para *p, int width, bool first,
                   int *prefix)
{
    int room = width - left_of(p, width);
    size_t from = first ? p->first_at : p->rest_at, to = first ? p->rest_at : p->start;
    *prefix = to > from ? text_width(t->bytes.data + from, to - from) : 0;
    if (*prefix > room / 2)
        *prefix = room / 2;
    room -= *prefix;
    return room < 1 ? 1 : room;
}

static bool breaks_anywhere(uint32_t cp, int columns)
{
    return columns == 2 || cp == 0x200b;
}

/* The end of the line that starts at `at`; *next is where the one behind it begins. */
static size_t line_end(const struct tui_text *t, const struct para *p, size_t at, int room,
                       size_t *next)
{
    const char *s = t->bytes.data;
    size_t end = 0, after = 0; /* the last place to break: the line's end, the next one's start */
    bool can = false, in_space = false;
    int used = 0;
    for (size_t i = at; i < p->end;) {
        uint32_t cp = 0;
        size_t n = text_decode(s + i, p->end - i, &cp);
        if (cp == '\n') {
            *next = i + 1;
            return i;
        }
        int w = text_width_cp(cp);
        bool space = cp == ' ' && p->kind == PAPER_WORDS;
        if (space && !in_space && i > at) {
            end = i;
            can = true;
        }
        if (used + w > room && i > at && !space) {
            if (breaks_anywhere(cp, w) || !can || p->kind == PAPER_CODE)
                end = in_space && can ? end : i, after = i;
            *next = after;
            return end;
        }
        used += w;
        i += n;
        if (space && can)
            after = i;
        else if (!space && p->kind == PAPER_WORDS && breaks_anywhere(cp, w)) {
            end = after = i;
            can = true;
        }
        in_space = space;
    }
    *next = p->end + 1;
    return p->end;
}

static void add_line(struct tui_text *t, size_t para, size_t start, size_t end)
{
    t->lines = grown(t->lines, t->line_count, &t->line_room, sizeof(*t->lines));
    t->lines[t->line_count++] = (struct line){para, start, end};
}

/* Does this paragraph only keep others apart, where the present tightness does not? */
static bool left_out(const struct tui_text *t, size_t index)
{
    const struct para *p = &t->paras[index], *next = p + 1;
    if (!t->tight || p->kind != PAPER_WORDS || p->end > p->start || p->rest_at > p->first_at)
        return false;
    return t->tight > 1 || index + 1 == t->para_count || next->kind == PAPER_CODE ||
           next->rest_at > next->first_at;
}

static void wrap_para(struct tui_text *t, size_t index)
{
    const struct para *p = &t->paras[index];
    if (left_out(t, index))
        return;
    if (p->kind == PAPER_ROW || p->kind == PAPER_RULE || p->end == p->start) {
        add_line(t, index, p->start, p->end);
        return;
    }
    size_t at = p->start;
    bool first = true;
    int prefix;
    while (at <= p->end) {
        size_t next = at;
        size_t end = line_end(t, p, at, room_of(t, p, t->width, first, &prefix), &next);
        add_line(t, index, at, end);
        BUG_IF(next <= at);
        at = next;
        first = false;
    }
}

void tui_text_tight(struct tui_text *t, int level)
{
    if (t->tight == level)
        return;
    t->tight = level;
    t->line_count = t->wrapped = 0;
}

size_t tui_text_lines(struct tui_text *t, int width)
{
    if (t->stream.flush)
        t->stream.flush(t->stream.arg);
    if (width < 1)
        width = 1;
    if (width != t->width) {
        t->width = width;
        t->line_count = t->wrapped = 0;
    }
    for (; t->wrapped < t->para_count; t->wrapped++)
        wrap_para(t, t->wrapped);
    return t->line_count;
}

/* ---- drawing */

/* The run that holds a place: the last one that starts at or before it. */
static size_t run_at(const struct tui_text *t, const struct para *p, size_t at)
{
    size_t low = p->run_from, high = p->run_to;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (t->runs[middle].start <= at)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Draws from..to of a paragraph into at most room columns; what is left out is marked. */
static void draw_piece(const struct tui_text *t, const struct para *p, size_t from, size_t to,
                       struct tui_area a, int y, int x, int room)
{
    if (from >= to || room <= 0)
        return;
    const char *s = t->bytes.data;
    int whole;
    bool cut = text_fit(s + from, to - from, room, &whole) < to - from;
    size_t end = from + (cut ? text_fit(s + from, to - from, room - 1, &whole) : to - from);
    for (size_t r = run_at(t, p, from); r < p->run_to && from < end; r++) {
        size_t stop = r + 1 < p->run_to ? t->runs[r + 1].start : p->end;
        if (stop > end)
            stop = end;
        if (stop <= from)
            continue;
        x += tui_put_clean(a, y, x, t->runs[r].role, s + from, stop - from);
        from = stop;
    }
    if (cut)
        tui_put_glyph(a, y, x, ROLE_DIM, GLYPH_ELLIPSIS);
}

/* The widest a column may be for the table to fit. */
static int column_limit(const struct tui_text *t, const struct table *table, int room)
{
    int low = CELL_LEAST, high = room > CELL_LEAST ? room : CELL_LEAST;
    room -= CELL_GAP * ((int)table->columns - 1);
    while (low < high) {
        int middle = (low + high + 1) / 2, sum = 0;
        for (size_t i = 0; i < table->columns && sum <= room; i++) {
            int w = t->columns[table->from + i].width;
            sum += w < middle ? w : middle;
        }
        if (sum <= room)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

static void draw_row(const struct tui_text *t, const struct para *p, struct tui_area a, int y,
                     int x, int room)
{
    const struct table *table = &t->tables[p->table];
    int limit = column_limit(t, table, room), right_edge = x + room;
    size_t from = p->start;
    for (size_t i = 0; i < table->columns; i++) {
        const struct column *c = &t->columns[table->from + i];
        int width = c->width < limit ? c->width : limit;
        if (x + width > right_edge) { /* even the narrowest columns do not fit */
            if (right_edge > x)
                tui_put_glyph(a, y, x, ROLE_DIM, GLYPH_ELLIPSIS);
            return;
        }
        if (p->kind == PAPER_RULE) {
            tui_fill(a, y, x, width, ROLE_RULE, GLYPH_RULE);
        } else {
            const char *tab = memchr(t->bytes.data + from, '\t', p->end - from);
            size_t to = tab ? (size_t)(tab - t->bytes.data) : p->end;
            int used = to > from ? text_width(t->bytes.data + from, to - from) : 0;
            int pad = c->right && used < width ? width - used : 0;
            draw_piece(t, p, from, to, a, y, x + pad, width - pad);
            from = tab ? to + 1 : p->end;
        }
        x += width + CELL_GAP;
    }
}

/* Matches of the needle in from..to, over what was drawn there. */
static void draw_matches(const struct tui_text *t, size_t from, size_t to, struct tui_area a, int y,
                         int x)
{
    const char *s = t->bytes.data + from;
    for (size_t at, end, i = 0; text_find(s, to - from, i, t->needle, &at, &end); i = end)
        tui_put_clean(a, y, x + text_width(s, at), ROLE_MATCH, s + at, end - at);
}

static void draw_line(const struct tui_text *t, const struct line *line, struct tui_area a, int y)
{
    const struct para *p = &t->paras[line->para];
    int left = left_of(p, t->width), prefix;
    bool first = line->start == p->start;
    int room = room_of(t, p, t->width, first, &prefix);
    if (p->bar && left > 0)
        tui_put_glyph(a, y, left >= BAR_COLUMNS ? left - BAR_COLUMNS : 0, ROLE_FOREIGN_BAR,
                      GLYPH_BAR);
    size_t from = first ? p->first_at : p->rest_at, to = first ? p->rest_at : p->start;
    if (prefix > 0)
        tui_put_clean(tui_sub(a, y, left, 1, prefix), 0, 0, p->role, t->bytes.data + from,
                      to - from);
    int x = left + prefix;
    if (p->table >= 0)
        draw_row(t, p, a, y, x, room);
    else if (p->kind == PAPER_RULE)
        tui_fill(a, y, x, room, ROLE_RULE, GLYPH_RULE);
    else
        draw_piece(t, p, line->start, line->end, a, y, x, room);
    if (t->needle && p->table < 0 && line->end > line->start)
        draw_matches(t, line->start, line->end, tui_sub(a, 0, 0, a.height, x + room), y, x);
}

void tui_text_match(struct tui_text *t, const char *needle)
{
    free(t->needle);
    t->needle = needle && *needle ? xstrdup(needle) : NULL;
}

long tui_text_find(struct tui_text *t, int width, const char *needle, long from, int step)
{
    long n = (long)tui_text_lines(t, width);
    for (long i = from; *needle && i >= 0 && i < n; i += step) {
        const struct line *l = &t->lines[i];
        const struct para *p = &t->paras[l->para];
        /* A match may begin in this line and end in the next one. */
        size_t at, end,
            stop = i + 1 < n && t->lines[i + 1].para == l->para ? t->lines[i + 1].end : l->end;
        if (p->end > p->start &&
            text_find(t->bytes.data + l->start, stop - l->start, 0, needle, &at, &end) &&
            l->start + at < l->end)
            return i;
    }
    return -1;
}

void tui_text_draw(struct tui_text *t, struct tui_area a, size_t first_line)
{
    if (a.width <= 0)
        return;
    size_t n = tui_text_lines(t, a.width);
    for (int y = 0; y < a.height && first_line + (size_t)y < n; y++)
        draw_line(t, &t->lines[first_line + (size_t)y], a, y);
}

char *tui_text_plain(const struct tui_text *t)
{
    if (t->stream.flush)
        t->stream.flush(t->stream.arg);
    struct buf out = {0};
    const char *s = t->bytes.data;
    for (size_t i = 0; i < t->para_count; i++) {
        const struct para *p = &t->paras[i];
        if (i)
            buf_addc(&out, '\n');
        if (p->rest_at > p->first_at)
            buf_add(&out, s + p->first_at, p->rest_at - p->first_at);
        if (p->kind == PAPER_RULE)
            buf_adds(&out, "---");
        for (size_t at = p->start; at < p->end;) {
            const char *tab = p->kind == PAPER_ROW ? memchr(s + at, '\t', p->end - at) : NULL;
            size_t end = tab ? (size_t)(tab - s) : p->end;
            buf_add(&out, s + at, end - at);
            if (tab && end + 1 < p->end)
                buf_adds(&out, " | ");
            at = end + 1;
        }
    }
    return buf_take(&out);
}
