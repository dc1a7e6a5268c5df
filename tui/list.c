/* The one list widget.
 *
 * W1 shown[] holds the rows that pass the filter, in the present order; it is made anew when the
 * rows, the filter or the order changed, before anything reads it. W2 The selection is an item's
 * id. It stays on its item and its screen line when rows come and go; when the item is gone, the
 * one that took its place is selected. Until the user moves, the first row is selected, whatever it
 * is. W3 top <= cursor < top + the height drawn last. */
#include "backend/base/buf.h"
#include "backend/base/errors.h"
#include "backend/base/text.h"
#include "tui/tui.h"
#include <stdlib.h>
#include <string.h>

enum { GAP = 2, GUTTER = 2, LEAST_FLEXIBLE = 8, COLUMNS_MAX = 32 };

struct tui_list {
    const struct tui_column *columns;
    size_t column_count;
    const struct tui_list_ops *ops;
    void *arg;
    size_t *shown;
    size_t count, total;
    bool stale;
    size_t cursor, top; /* places in shown */
    bool moved;         /* the user chose the row */
    char *selected;     /* its id, or NULL */
    char **marks;
    size_t mark_count;
    char *filter;
    int sort; /* a column, -1: the rows' own order */
    bool reverse;
    /* as drawn last, for clicks */
    int first_row, height;
    int x[COLUMNS_MAX], width[COLUMNS_MAX]; /* width 0: left out */
};

struct tui_list *tui_list_new(const struct tui_column *columns, size_t n,
                              const struct tui_list_ops *ops, void *arg)
{
    BUG_IF(!n || n > COLUMNS_MAX || !ops->count || !ops->cell || !ops->id);
    struct tui_list *l = xcalloc(1, sizeof(*l));
    l->columns = columns;
    l->column_count = n;
    l->ops = ops;
    l->arg = arg;
    l->stale = true;
    l->sort = -1;
    l->filter = xstrdup("");
    return l;
}

static void marks_clear(struct tui_list *l)
{
    for (size_t i = 0; i < l->mark_count; i++)
        free(l->marks[i]);
    l->mark_count = 0;
}

void tui_list_free(struct tui_list *l)
{
    if (!l)
        return;
    marks_clear(l);
    free(l->marks);
    free(l->shown);
    free(l->selected);
    free(l->filter);
    free(l);
}

/* ---- filter */

static void cell_text(const struct tui_list *l, size_t row, int column, struct buf *out,
                      enum tui_role *role)
{
    buf_clear(out);
    l->ops->cell(l->arg, row, column, out, role);
}

static bool passes(const struct tui_list *l, size_t row, struct buf *scratch)
{
    if (l->ops->filtered)
        return true;
    bool inverse = l->filter[0] == '!';
    const char *needle = l->filter + inverse;
    if (!*needle)
        return true;
    for (size_t c = 0; c < l->column_count; c++) {
        enum tui_role role = ROLE_TEXT;
        cell_text(l, row, (int)c, scratch, &role);
        size_t at, end;
        if (scratch->len && text_find(scratch->data, scratch->len, 0, needle, &at, &end))
            return !inverse;
    }
    return inverse;
}

/* ---- order */

struct key {
    const struct tui_list *list;
    size_t row;
    char *text; /* NULL where the view compares */
};

static int compare_texts(const char *a, const char *b)
{
    char *end_a, *end_b;
    double x = strtod(a, &end_a), y = strtod(b, &end_b);
    if (end_a != a && end_b != b && x != y)
        return x < y ? -1 : 1;
    size_t la = strlen(a), lb = strlen(b), n, m;
    while (la && lb) {
        uint32_t ca = text_fold(a, la, &n), cb = text_fold(b, lb, &m);
        if (ca != cb)
            return ca < cb ? -1 : 1;
        a += n, la -= n;
        b += m, lb -= m;
    }
    return (la > 0) - (lb > 0);
}

static int compare_keys(const void *pa, const void *pb)
{
    const struct key *a = pa, *b = pb;
    const struct tui_list *l = a->list;
    int order = l->ops->compare ? l->ops->compare(l->arg, a->row, b->row, l->sort)
                                : compare_texts(a->text, b->text);
    if (l->reverse)
        order = -order;
    return order ? order : (a->row > b->row) - (a->row < b->row);
}

static void sort_rows(struct tui_list *l)
{
    if (l->sort < 0) {
        for (size_t i = 0; l->reverse && i < l->count / 2; i++) {
            size_t keep = l->shown[i];
            l->shown[i] = l->shown[l->count - 1 - i];
            l->shown[l->count - 1 - i] = keep;
        }
        return;
    }
    struct key *keys = xcalloc(l->count + 1, sizeof(*keys));
    for (size_t i = 0; i < l->count; i++) {
        keys[i] = (struct key){l, l->shown[i], NULL};
        if (!l->ops->compare) {
            struct buf b = {0};
            enum tui_role role = ROLE_TEXT;
            cell_text(l, l->shown[i], l->sort, &b, &role);
            keys[i].text = buf_take(&b);
        }
    }
    qsort(keys, l->count, sizeof(*keys), compare_keys);
    for (size_t i = 0; i < l->count; i++) {
        l->shown[i] = keys[i].row;
        free(keys[i].text);
    }
    free(keys);
}

/* ---- rows and selection */

static void select_at(struct tui_list *l, size_t place)
{
    l->cursor = place < l->count ? place : l->count ? l->count - 1 : 0;
    free(l->selected);
    l->selected = l->count ? xstrdup(l->ops->id(l->arg, l->shown[l->cursor])) : NULL;
}

static void refresh(struct tui_list *l)
{
    if (!l->stale)
        return;
    l->stale = false;
    l->total = l->ops->count(l->arg);
    l->shown = xrealloc(l->shown, (l->total + 1) * sizeof(*l->shown));
    l->count = 0;
    struct buf scratch = {0};
    for (size_t i = 0; i < l->total; i++)
        if (passes(l, i, &scratch))
            l->shown[l->count++] = i;
    buf_release(&scratch);
    sort_rows(l);
    size_t line = l->cursor - l->top, place = l->moved ? l->cursor : 0;
    for (size_t i = 0; l->moved && l->selected && i < l->count; i++)
        if (!strcmp(l->ops->id(l->arg, l->shown[i]), l->selected)) {
            place = i;
            break;
        }
    select_at(l, place);
    l->top = l->cursor > line ? l->cursor - line : 0;
}

static void keep_visible(struct tui_list *l)
{
    size_t height = l->height > 0 ? (size_t)l->height : 1;
    if (l->cursor < l->top)
        l->top = l->cursor;
    if (l->cursor >= l->top + height)
        l->top = l->cursor - height + 1;
    if (l->top && l->top + height > l->count)
        l->top = l->count > height ? l->count - height : 0;
}

void tui_list_changed(struct tui_list *l)
{
    l->stale = true;
}

long tui_list_selected(const struct tui_list *l)
{
    refresh((struct tui_list *)l); /* only what is derived from the rows changes */
    return l->count ? (long)l->shown[l->cursor] : -1;
}

void tui_list_set_filter(struct tui_list *l, const char *text)
{
    char *filter = xstrdup(text);
    free(l->filter);
    l->filter = filter;
    l->stale = true;
    if (l->ops->filtered)
        l->ops->filtered(l->arg, l->filter);
    tui_dirty();
}

bool tui_list_sorts(const struct tui_list *l)
{
    return !l->ops->filtered && !l->ops->fixed;
}

const char *tui_list_filter(const struct tui_list *l)
{
    return l->filter;
}

static long mark_find(const struct tui_list *l, const char *id)
{
    for (size_t i = 0; i < l->mark_count; i++)
        if (!strcmp(l->marks[i], id))
            return (long)i;
    return -1;
}

static void mark_toggle(struct tui_list *l)
{
    const char *id = l->ops->id(l->arg, l->shown[l->cursor]);
    long at = mark_find(l, id);
    if (at >= 0) {
        free(l->marks[at]);
        l->mark_count--;
        memmove(l->marks + at, l->marks + at + 1, (l->mark_count - (size_t)at) * sizeof(*l->marks));
        return;
    }
    l->marks = xrealloc(l->marks, (l->mark_count + 1) * sizeof(*l->marks));
    l->marks[l->mark_count++] = xstrdup(id);
}

size_t tui_list_marks(const struct tui_list *l, const char *const **ids)
{
    *ids = (const char *const *)l->marks;
    return l->mark_count;
}

static void copy_rows(struct tui_list *l)
{
    struct buf out = {0};
    for (size_t i = 0; i < l->count; i++) {
        const char *id = l->ops->id(l->arg, l->shown[i]);
        if (l->mark_count ? mark_find(l, id) < 0 : i != l->cursor)
            continue;
        if (out.len)
            buf_addc(&out, '\n');
        if (l->ops->copy)
            l->ops->copy(l->arg, l->shown[i], &out);
        else
            buf_adds(&out, id);
    }
    if (out.len)
        tui_copy(out.data);
    buf_release(&out);
}

/* ---- drawing */

/* Not where there is less room than this, or not at all. */
static bool is_left_out(const struct tui_column *c, int dropped)
{
    return !c->title || (c->drop && c->drop >= dropped);
}

static bool fits(const struct tui_list *l, int width, int dropped, int *fixed, int *flexible)
{
    int used = 0, shown = 0, least = 0;
    *flexible = 0;
    for (size_t i = 0; i < l->column_count; i++) {
        const struct tui_column *c = &l->columns[i];
        if (is_left_out(c, dropped))
            continue;
        used += c->width > 0 ? c->width : 0;
        *flexible += c->width <= 0;
        least += c->width > 0 ? 0 : c->width < 0 ? -c->width : LEAST_FLEXIBLE;
        shown++;
    }
    *fixed = used + (shown > 1 ? (shown - 1) * GAP : 0);
    return *fixed + least <= width;
}

static void lay_columns(struct tui_list *l, int width)
{
    int dropped = 1, fixed = 0, flexible = 0;
    for (size_t i = 0; i < l->column_count; i++)
        if (l->columns[i].drop >= dropped)
            dropped = l->columns[i].drop + 1;
    while (!fits(l, width, dropped, &fixed, &flexible) && dropped > 1)
        dropped--;
    int rest = width - fixed, x = GUTTER;
    for (size_t i = 0; i < l->column_count; i++) {
        const struct tui_column *c = &l->columns[i];
        bool left_out = is_left_out(c, dropped);
        int w = c->width;
        if (!left_out && w <= 0) {
            w = rest > 0 ? rest / flexible : 0;
            rest -= w;
            flexible--;
            w = w < 1 ? 1 : w;
        }
        l->x[i] = x;
        l->width[i] = left_out ? 0 : w;
        x += left_out ? 0 : w + GAP;
    }
}

static void draw_header(const struct tui_list *l, struct tui_area a, bool titles)
{
    for (size_t i = 0; titles && i < l->column_count; i++) {
        const struct tui_column *c = &l->columns[i];
        if (!l->width[i])
            continue;
        bool sorted = l->sort == (int)i;
        struct buf title = {0};
        buf_adds(&title, _(c->title));
        if (sorted)
            buf_addf(&title, "%s%s", *c->title ? " " : "",
                     tui_glyph(l->reverse ? GLYPH_SORT_DOWN : GLYPH_SORT_UP));
        enum tui_role role = sorted ? ROLE_TITLE : ROLE_DIM;
        if (c->right)
            tui_put_right(a, 0, l->x[i], l->width[i], role, title.data ? title.data : "");
        else
            tui_put(a, 0, l->x[i], l->width[i], role, title.data ? title.data : "");
        buf_release(&title);
    }
    if (!*l->filter || l->ops->filtered)
        return;
    struct buf b = {0};
    buf_addf(&b, " /%s  %zu/%zu", l->filter, l->count, l->total);
    int width = text_width(b.data, b.len);
    if (width > a.width)
        width = a.width;
    tui_put(a, 0, a.width - width - (width < a.width), width, ROLE_ACCENT, b.data);
    buf_release(&b);
}

static void draw_matches(const struct tui_list *l, struct tui_area a, int y, size_t column,
                         const char *text, bool right)
{
    const char *needle = l->filter;
    if (!*needle || *needle == '!' || l->ops->filtered)
        return;
    struct buf clean = {0};
    text_clean(text, strlen(text), TEXT_ONE_LINE | (tui_ascii() ? TEXT_ASCII : 0), &clean);
    int room = l->width[column], x = l->x[column], used;
    int whole = clean.len ? text_width(clean.data, clean.len) : 0;
    if (right && whole < room)
        x += room - whole;
    size_t visible = whole <= room ? clean.len : text_fit(clean.data, clean.len, room - 1, &used);
    for (size_t from = 0, at, end;
         clean.len && text_find(clean.data, clean.len, from, needle, &at, &end); from = end) {
        if (end > visible)
            break;
        tui_put_clean(a, y, x + text_width(clean.data, at), ROLE_MATCH, clean.data + at, end - at);
    }
    buf_release(&clean);
}

static void draw_row(const struct tui_list *l, size_t place, struct tui_area a, int y, bool focused)
{
    size_t row = l->shown[place];
    bool selected = place == l->cursor;
    struct buf text = {0};
    bool drawn[COLUMNS_MAX] = {false};
    for (int pass = 0; pass < 2;
         pass++) { /* the filter's matches stand out of a selected row too */
        for (size_t i = 0; i < l->column_count; i++) {
            if (!l->width[i] || drawn[i])
                continue;
            struct tui_area cell = tui_sub(a, y, l->x[i], 1, l->width[i]);
            drawn[i] = !pass && l->ops->draw && l->ops->draw(l->arg, row, (int)i, cell);
            if (drawn[i])
                continue;
            enum tui_role role = ROLE_TEXT;
            cell_text(l, row, (int)i, &text, &role);
            if (!text.len)
                continue;
            if (pass)
                draw_matches(l, a, y, i, text.data, l->columns[i].right);
            else if (l->columns[i].right)
                tui_put_right(cell, 0, 0, -1, role, text.data);
            else
                tui_put(cell, 0, 0, -1, role, text.data);
        }
        if (!pass && selected && focused)
            tui_restyle(a, y, 0, a.width, ROLE_SELECTED);
        if (!*l->filter)
            break;
    }
    if (mark_find(l, l->ops->id(l->arg, row)) >= 0)
        tui_put_glyph(a, y, 0, ROLE_MARKED, GLYPH_MARK);
    else if (selected && !focused && l->moved)
        tui_put_glyph(a, y, 0, ROLE_ACCENT, GLYPH_RUNNING);
    buf_release(&text);
}

/* Where in the whole this is: a mark that moves down the right edge, arrows where there is more. */
static void draw_place(const struct tui_list *l, struct tui_area a)
{
    size_t height = (size_t)l->height;
    bool first = l->top == 0, last = l->top + height >= l->count;
    double place = (double)l->top / (double)(l->count - height);
    if (l->ops->place) {
        double from = l->ops->place(l->arg, l->shown[l->top]);
        double to = l->ops->place(l->arg, l->shown[last ? l->count - 1 : l->top + height - 1]);
        first &= from <= 0;
        last &= to >= 1;
        place = from + to < 1 ? from : to; /* at either end it says so */
    }
    int at = (int)(place * (l->height - 1) + 0.5);
    tui_put_glyph(a, l->first_row + at, a.width - 1, ROLE_DIM, GLYPH_BLOCK);
    if (!first && at != 0)
        tui_put_glyph(a, l->first_row, a.width - 1, ROLE_DIM, GLYPH_MORE_UP);
    if (!last && at != l->height - 1)
        tui_put_glyph(a, l->first_row + l->height - 1, a.width - 1, ROLE_DIM, GLYPH_MORE_DOWN);
}

void tui_list_draw(struct tui_list *l, struct tui_area a, bool focused, bool header)
{
    refresh(l);
    bool top_line = (header || (*l->filter && !l->ops->filtered)) && a.height > 1;
    l->first_row = top_line;
    l->height = a.height - top_line;
    if (l->height < 1 || a.width < GUTTER + 1)
        return;
    keep_visible(l);
    bool scrolls = l->count > (size_t)l->height;
    lay_columns(l, a.width - GUTTER - (scrolls ? 2 : 1)); /* a free column at the right */
    if (top_line)
        draw_header(l, tui_sub(a, 0, 0, 1, a.width), header);
    struct tui_area body = tui_sub(a, l->first_row, 0, l->height, a.width - (scrolls ? 1 : 0));
    if (!l->count && *l->filter && !l->ops->filtered)
        tui_putf(body, 0, GUTTER, -1, ROLE_DIM, _("no row matches /%s; Esc shows all"), l->filter);
    for (int y = 0; y < l->height && l->top + (size_t)y < l->count; y++) {
        draw_row(l, l->top + (size_t)y, body, y, focused);
        if (focused && l->top + (size_t)y == l->cursor)
            tui_cursor(body, y, 0);
    }
    if (scrolls)
        draw_place(l, a);
}

/* ---- keys and mouse */

static void move_to(struct tui_list *l, long place)
{
    long last = l->count ? (long)l->count - 1 : 0, want = place;
    place = place < 0 ? 0 : place > last ? last : place;
    if (l->ops->beyond && want != place)
        l->ops->beyond(l->arg, want - place);
    l->moved = true;
    select_at(l, (size_t)place);
    keep_visible(l);
}

static void sort_next(struct tui_list *l)
{
    do
        l->sort = l->sort + 1 < (int)l->column_count ? l->sort + 1 : -1;
    while (l->sort >= 0 && !l->width[l->sort] && l->height > 0);
    l->reverse = false;
}

void tui_list_select(struct tui_list *l, const char *id)
{
    refresh(l);
    for (size_t i = 0; i < l->count; i++)
        if (!strcmp(l->ops->id(l->arg, l->shown[i]), id)) {
            move_to(l, (long)i);
            return;
        }
}

void tui_list_move(struct tui_list *l, long rows)
{
    refresh(l);
    move_to(l, (long)l->cursor + rows);
    tui_dirty();
}

void tui_list_to_end(struct tui_list *l, bool last)
{
    refresh(l);
    move_to(l, last && l->count ? (long)l->count - 1 : 0);
    l->moved = last; /* at the top again: new rows are followed */
}

bool tui_list_action(struct tui_list *l, enum tui_action action)
{
    refresh(l);
    long page = l->height > 2 ? l->height - 1 : 1, at = (long)l->cursor;
    switch (action) {
    case ACTION_UP:
    case ACTION_FIND_PREV:
        move_to(l, at - 1);
        break;
    case ACTION_DOWN:
    case ACTION_FIND_NEXT: /* among the rows that the filter lets through */
        move_to(l, at + 1);
        break;
    case ACTION_PAGE_UP:
        move_to(l, at - page);
        break;
    case ACTION_PAGE_DOWN:
        move_to(l, at + page);
        break;
    case ACTION_TOP:
    case ACTION_BOTTOM:
        tui_list_to_end(l, action == ACTION_BOTTOM);
        if (l->ops->end)
            l->ops->end(l->arg, action == ACTION_BOTTOM);
        break;
    case ACTION_MARK:
        if (l->count && !l->ops->filtered) {
            mark_toggle(l);
            move_to(l, at + 1);
        }
        break;
    case ACTION_SORT:
    case ACTION_SORT_REVERSE:
        if (!tui_list_sorts(l))
            return false;
        if (action == ACTION_SORT)
            sort_next(l);
        else
            l->reverse = !l->reverse;
        l->stale = true;
        break;
    case ACTION_COPY:
        copy_rows(l);
        break;
    case ACTION_BACK:
        if (*l->filter)
            tui_list_set_filter(l, "");
        else if (l->mark_count)
            marks_clear(l);
        else
            return false;
        break;
    default:
        return false;
    }
    tui_dirty();
    return true;
}

bool tui_list_click(struct tui_list *l, int y, int x, bool twice)
{
    (void)twice;
    refresh(l);
    if (y < l->first_row) {
        for (size_t i = 0; tui_list_sorts(l) && i < l->column_count; i++)
            if (l->width[i] && x >= l->x[i] && x < l->x[i] + l->width[i]) {
                l->reverse = l->sort == (int)i && !l->reverse;
                l->sort = (int)i;
                l->stale = true;
                tui_dirty();
                return true;
            }
        return false;
    }
    size_t place = l->top + (size_t)(y - l->first_row);
    if (place >= l->count || y - l->first_row >= l->height)
        return false;
    move_to(l, (long)place);
    tui_dirty();
    return true;
}

void tui_list_wheel(struct tui_list *l, int rows)
{
    tui_list_move(l, rows);
}
