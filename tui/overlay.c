/* A text over the panes, with scrolling; Esc closes it. */
#include "tui/app.h"
#include <stdlib.h>

enum { MARGIN = 1 };

void tui__overlay_close(struct tui__app *app)
{
    tui_text_free(app->overlay);
    free(app->overlay_title);
    app->overlay = NULL;
    app->overlay_title = NULL;
}

void tui_overlay(const char *title, struct tui_text *text)
{
    struct tui__app *app = tui__app();
    if (app->overlay)
        tui__overlay_close(app);
    app->overlay = text;
    app->overlay_title = xstrdup(title);
    app->overlay_top = 0;
    app->dirty = true;
}

static size_t last_top(const struct tui__app *app)
{
    size_t height = (size_t)(app->overlay_height > 0 ? app->overlay_height : 1);
    return app->overlay_lines > height ? app->overlay_lines - height : 0;
}

void tui__overlay_scroll(struct tui__app *app, long rows)
{
    long top = (long)app->overlay_top + rows, last = (long)last_top(app);
    app->overlay_top = (size_t)(top < 0 ? 0 : top > last ? last : top);
    app->dirty = true;
}

bool tui__overlay_find(struct tui__app *app, const char *text, int step)
{
    tui_text_match(app->overlay, text);
    long from = (long)app->overlay_top + step, width = app->overlay_width;
    long line = tui_text_find(app->overlay, (int)width, text, from, step < 0 ? -1 : 1);
    if (line < 0 && step == 0)
        line = tui_text_find(app->overlay, (int)width, text, 0, 1);
    if (line >= 0)
        app->overlay_top = (size_t)line;
    return line >= 0;
}

void tui__overlay_draw(struct tui__app *app, struct tui_area body)
{
    tui_clear(body, ROLE_TEXT);
    tui_fill(body, 0, 0, body.width, ROLE_RULE, GLYPH_RULE);
    struct tui_area inner = tui_sub(body, 1, MARGIN, body.height - 1, body.width - 2 * MARGIN);
    app->overlay_height = inner.height;
    app->overlay_width = inner.width;
    app->overlay_lines = tui_text_lines(app->overlay, inner.width);
    if (app->overlay_top > last_top(app))
        app->overlay_top = last_top(app);
    tui_text_draw(app->overlay, inner, app->overlay_top);
    tui_putf(body, 0, 1, body.width - 24, ROLE_TITLE_FOCUS, " %s ", app->overlay_title);
    if (last_top(app))
        tui_putf(body, 0, body.width - 20, 19, ROLE_DIM, " %zu-%zu %s %zu ", app->overlay_top + 1,
                 app->overlay_top + (size_t)inner.height, _("of"), app->overlay_lines);
    if (app->mode == MODE_VIEW)
        tui_cursor(inner, 0, 0);
}

bool tui__overlay_action(struct tui__app *app, enum tui_action action)
{
    long page = app->overlay_height > 2 ? app->overlay_height - 1 : 1;
    if (tui__app_pane(action) >= 0) {
        tui__overlay_close(app);
        return false;
    }
    switch (action) {
    case ACTION_BACK:
    case ACTION_QUIT:
    case ACTION_HELP:
    case ACTION_OPEN:
        tui__overlay_close(app);
        return true;
    case ACTION_UP:
        tui__overlay_scroll(app, -1);
        return true;
    case ACTION_DOWN:
        tui__overlay_scroll(app, 1);
        return true;
    case ACTION_PAGE_UP:
        tui__overlay_scroll(app, -page);
        return true;
    case ACTION_PAGE_DOWN:
    case ACTION_MARK: /* Space, as pagers have it */
        tui__overlay_scroll(app, page);
        return true;
    case ACTION_TOP:
        app->overlay_top = 0;
        return true;
    case ACTION_BOTTOM:
        app->overlay_top = last_top(app);
        return true;
    case ACTION_COPY: {
        char *plain = tui_text_plain(app->overlay);
        tui_copy(plain);
        free(plain);
        return true;
    }
    case ACTION_NEXT_PANE:
    case ACTION_PREV_PANE:
        tui__overlay_close(app);
        return false;
    default:
        return tui__action(action)->scope == SCOPE_LIST;
    }
}
