/* Where things stand: one pane with a tab bar, or from 120x36 a mosaic. */
#include "tui/app.h"
#include <stdio.h>
#include <string.h>

enum { BADGE_MAX = 32, ROWS_MAX = VIEW_COUNT };

struct tui_area tui__screen_area(void)
{
    struct tui_area a = {0, 0, LINES, COLS};
    return a;
}

static void badge_of(const struct tui__app *app, int view, char out[BADGE_MAX], enum tui_role *role)
{
    const struct view_ops *ops = app->views[view].ops;
    out[0] = 0;
    *role = ROLE_DIM;
    if (ops->badge)
        ops->badge(app->views[view].self, out, BADGE_MAX, role);
}

/* " 1 Chat ▲1 ", the focused one reversed; returns the columns. */
static int title_draw(const struct tui__app *app, struct tui_area a, int y, int x, int view,
                      bool word)
{
    char badge[BADGE_MAX];
    bool focus = view == app->focus;
    enum tui_role role, title = focus ? ROLE_TITLE_FOCUS : ROLE_TITLE;
    badge_of(app, view, badge, &role);
    int used = tui_putf(a, y, x, -1, title, " %d ", view + 1);
    if (word)
        used += tui_putf(a, y, x + used, -1, title, "%s ", _(tui__views[view].title));
    if (*badge) {
        used += tui_put(a, y, x + used, -1, focus ? title : role, badge);
        used += tui_put(a, y, x + used, -1, title, " ");
    }
    return used;
}

static int title_width(const struct tui__app *app, int view, bool word)
{
    char badge[BADGE_MAX], text[128];
    enum tui_role role;
    badge_of(app, view, badge, &role);
    snprintf(text, sizeof(text), " %d %s%s%s%s", view + 1, word ? _(tui__views[view].title) : "",
             word ? " " : "", badge, *badge ? " " : "");
    int columns = 0;
    for (const char *p = text; *p; p++)
        columns +=
            ((unsigned char)*p & 0xc0) != 0x80; /* titles and badges have no wide characters */
    return columns;
}

/* Where it is too narrow for all words, the focused pane keeps its own, then the others from the
 * left as far as there is room. */
static void tabs_draw(struct tui__app *app, struct tui_area line)
{
    bool word[VIEW_COUNT] = {false};
    int room = line.width;
    for (int i = 0; i < VIEW_COUNT; i++)
        room -= title_width(app, i, false);
    for (int i = -1; i < VIEW_COUNT; i++) {
        int view = i < 0 ? app->focus : i;
        int more = title_width(app, view, true) - title_width(app, view, false);
        if (word[view] || (i >= 0 && more > room))
            continue;
        word[view] = true;
        room -= more;
    }
    int x = 0;
    for (int i = 0; i < VIEW_COUNT; i++) {
        app->tab_x[i] = x;
        x += title_draw(app, line, 0, x, i, word[i]);
        x -= room < 0; /* the next one's blank is enough */
    }
    app->tab_x[VIEW_COUNT] = x;
}

static void pane_draw(struct tui__app *app, int view, struct tui_area a)
{
    app->panes[view] = a;
    if (a.height > 0 && a.width > 0)
        app->views[view].ops->draw(app->views[view].self, a,
                                   view == app->focus && app->mode == MODE_VIEW && !app->overlay &&
                                       !app->form);
}

/* The rule above a pane, with its title. */
static void pane_rule(struct tui__app *app, int view, struct tui_area a)
{
    tui_fill(a, 0, 0, a.width, ROLE_RULE, GLYPH_RULE);
    title_draw(app, a, 0, 1, view, true);
}

/* ---- the mosaic */

struct row { /* panes side by side in the right half */
    int views[VIEW_COUNT], count;
};

static int rows_of(struct row rows[ROWS_MAX])
{
    int n = 0;
    bool half_open = false;
    for (int i = 0; i < VIEW_COUNT; i++) {
        if (tui__views[i].place == PLACE_LEFT || tui__views[i].place == PLACE_ALONE)
            continue;
        bool half = tui__views[i].place == PLACE_HALF;
        if (half && half_open) {
            rows[n - 1].views[rows[n - 1].count++] = i;
            half_open = false;
        } else {
            rows[n].views[0] = i;
            rows[n++].count = 1;
            half_open = half;
        }
    }
    return n;
}

static int row_weight(const struct row *row)
{
    return tui__views[row->views[0]].place == PLACE_FULL ? 2 : 3;
}

static void column(struct tui_area body, int x, int top, int bottom)
{
    for (int y = top; y < bottom; y++)
        tui_put_glyph(body, y, x, ROLE_RULE, GLYPH_VRULE);
}

static bool is_glyph_at(int y, int x, enum tui_glyph g)
{
    cchar_t cell;
    wchar_t text[CCHARW_MAX + 1] = {0};
    attr_t attrs;
    short pair;
    if (y < 0 || x < 0 || y >= LINES || x >= COLS || mvwin_wch(stdscr, y, x, &cell) == ERR ||
        getcchar(&cell, text, &attrs, &pair, NULL) == ERR)
        return false;
    wchar_t want[4] = {0};
    mbstowcs(want, tui_glyph(g), 3);
    return text[0] == want[0];
}

/* Rules that meet a column of the mosaic become one line with it. */
static void join(struct tui_area body, int x, int top, int bottom)
{
    for (int y = top; y < bottom; y++) {
        bool left = is_glyph_at(body.y + y, body.x + x - 1, GLYPH_RULE);
        bool right = is_glyph_at(body.y + y, body.x + x + 1, GLYPH_RULE);
        bool first = y == top;
        enum tui_glyph g = left && right ? (first ? GLYPH_TEE_DOWN : GLYPH_CROSS)
                           : left        ? GLYPH_TEE_LEFT
                           : right       ? GLYPH_TEE_RIGHT
                                         : GLYPH_VRULE;
        if (g != GLYPH_VRULE)
            tui_put_glyph(body, y, x, ROLE_RULE, g);
    }
}

static void row_draw(struct tui__app *app, struct tui_area a, const struct row *row)
{
    int x = 0;
    for (int i = 0; i < row->count; i++) {
        int end = (a.width + 1) * (i + 1) / row->count - 1;
        struct tui_area all = tui_sub(a, 0, x, a.height, end - x);
        pane_rule(app, row->views[i], tui_sub(all, 0, 0, 1, all.width));
        pane_draw(app, row->views[i], tui_sub(all, 1, 0, all.height - 1, all.width));
        if (i + 1 < row->count)
            column(a, end, 0, a.height);
        x = end + 1;
    }
    for (int i = 1; i < row->count; i++) {
        int end = (a.width + 1) * i / row->count - 1;
        join(a, end, 0, a.height);
    }
}

/* Panes that have no place of their own here are named at the right end of the first rule. */
static void alone_titles(struct tui__app *app, struct tui_area rule)
{
    int x = rule.width - 1;
    for (int i = VIEW_COUNT - 1; i >= 0; i--) {
        if (tui__views[i].place != PLACE_ALONE)
            continue;
        x -= title_width(app, i, true);
        title_draw(app, rule, 0, x, i, true);
        app->alone_x[i] = rule.x + x;
    }
}

static void mosaic_draw(struct tui__app *app, struct tui_area body)
{
    struct row rows[ROWS_MAX] = {0};
    int n = rows_of(rows), split = body.width * 49 / 100;
    struct tui_area left = tui_sub(body, 0, 0, body.height, split);
    struct tui_area right = tui_sub(body, 0, split + 1, body.height, body.width - split - 1);
    for (int i = 0; i < VIEW_COUNT; i++)
        if (tui__views[i].place == PLACE_LEFT) {
            pane_rule(app, i, tui_sub(left, 0, 0, 1, left.width));
            pane_draw(app, i, tui_sub(left, 1, 0, left.height - 1, left.width));
        }
    int y = 0, all = 0, weight = 0;
    for (int i = 0; i < n; i++)
        all += row_weight(&rows[i]);
    for (int i = 0; i < n; i++) {
        weight += row_weight(&rows[i]);
        int end = right.height * weight / all;
        row_draw(app, tui_sub(right, y, 0, end - y, right.width), &rows[i]);
        y = end;
    }
    column(body, split, 0, body.height);
    join(body, split, 0, body.height);
    alone_titles(app, tui_sub(right, 0, 0, 1, right.width));
}

/* ---- the whole screen */

static void too_small(struct tui_area a)
{
    char text[96];
    snprintf(text, sizeof(text), _("too small: %dx%d, needs %dx%d"), a.width, a.height,
             TUI_MIN_WIDTH, TUI_MIN_HEIGHT);
    struct tui_text *t = tui_text_new();
    tui_text_add(t, ROLE_STRONG, 0, false, text);
    tui_text_add(t, ROLE_DIM, 0, false, _("make the window larger"));
    int rows = (int)tui_text_lines(t, a.width), y = (a.height - rows) / 2;
    tui_text_draw(t, tui_sub(a, y > 0 ? y : 0, 0, a.height, a.width), 0);
    tui_text_free(t);
}

void tui__frame_draw(struct tui__app *app)
{
    struct tui_area all = tui__screen_area();
    tui__cursor_reset();
    werase(stdscr);
    memset(app->panes, 0, sizeof(app->panes));
    app->tab_x[0] = -1;
    memset(app->alone_x, 0, sizeof(app->alone_x));
    app->hint_count = 0;
    if (all.width < TUI_MIN_WIDTH || all.height < TUI_MIN_HEIGHT) {
        too_small(all);
        return;
    }
    tui__status_draw(app, tui_sub(all, 0, 0, 1, all.width));
    bool mosaic = !app->zoom && tui__views[app->focus].place != PLACE_ALONE &&
                  all.width >= TUI_WIDE_WIDTH && all.height >= TUI_WIDE_HEIGHT;
    struct tui_area body;
    if (mosaic) {
        body = tui_sub(all, 1, 0, all.height - 2, all.width);
        mosaic_draw(app, body);
        body = tui_sub(body, 1, 0, body.height - 1, body.width);
    } else {
        tabs_draw(app, tui_sub(all, 1, 0, 1, all.width));
        tui_fill(all, 2, 0, all.width, ROLE_RULE, GLYPH_RULE);
        body = tui_sub(all, 3, 0, all.height - 4, all.width);
        if (!app->overlay && !app->form)
            pane_draw(app, app->focus, body);
    }
    struct tui_area over = mosaic ? tui_sub(all, 1, 0, all.height - 2, all.width)
                                  : tui_sub(all, 2, 0, all.height - 3, all.width);
    if (app->overlay)
        tui__overlay_draw(app, over);
    if (app->form)
        tui__form_draw(app, over);
    if (app->mode == MODE_PALETTE)
        tui__palette_draw(app, body);
    tui__footer_draw(app, tui_sub(all, all.height - 1, 0, 1, all.width));
    if (app->error)
        tui__error_draw(app, all);
}

bool tui__frame_echo(struct tui__app *app)
{
    struct tui_area pane = app->panes[app->focus];
    if (pane.height <= 0 || pane.width <= 0 || app->overlay || app->form || app->error ||
        app->mode != MODE_VIEW)
        return false;
    tui__cursor_reset();
    tui_clear(pane, ROLE_TEXT);
    pane_draw(app, app->focus, pane);
    return true;
}
