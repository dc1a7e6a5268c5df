/* The bottom line: what keys do here and now, and the clock; or a question, a filter, a message. */
#include "backend/base/text.h"
#include "tui/app.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { CLOCK_WIDTH = 8, STOP_WIDTH = 14 };

static void clock_draw(struct tui_area line)
{
    time_t now = time(NULL);
    struct tm tm;
    char text[8];
    localtime_r(&now, &tm);
    strftime(text, sizeof(text), "%H:%M", &tm);
    tui_put_right(line, 0, line.width - CLOCK_WIDTH, CLOCK_WIDTH - 1, ROLE_FOOTER, text);
}

/* One word with its key; false when it does not fit any more. */
static bool hint_draw(struct tui__app *app, struct tui_area line, int *x, enum tui_action action,
                      bool typing)
{
    char key[16];
    uint32_t code = tui__action_key(action, typing);
    if (!code)
        return true;
    tui__key_show(code, key);
    const struct tui__action_row *row = tui__action(action);
    const char *word = action == ACTION_FILTER && tui__app_searches(app)
                           ? _("find")
                           : _(*row->footer ? row->footer : row->name);
    int width = (int)strlen(key) + 1;
    for (const char *p = word; *p; p++)
        width += ((unsigned char)*p & 0xc0) != 0x80;
    if (*x + width > line.width - CLOCK_WIDTH)
        return false;
    if (app->hint_count < TUI_HINTS_MAX)
        app->hints[app->hint_count++] = (struct tui__hint){action, line.x + *x, width};
    *x += tui_put(line, 0, *x, -1, ROLE_KEY, key) + 1;
    *x += tui_put(line, 0, *x, -1, ROLE_FOOTER, word) + 2;
    return true;
}

/* What the view itself names as it is now; true if it does. */
static bool own_hints_draw(struct tui__app *app, struct tui_area line, int *x)
{
    const struct view_ops *ops = tui__app_ops(app);
    const enum tui_action *list = NULL;
    if (ops->hints && !app->overlay && !tui__app_typing(app))
        list = ops->hints(app->views[app->focus].self);
    for (const enum tui_action *a = list; a && *a != ACTION_NONE; a++)
        hint_draw(app, line, x, *a, false);
    return list != NULL;
}

/* The nearest scope first; what every view has comes last. */
static void table_hints_draw(struct tui__app *app, struct tui_area line, int *x, bool global)
{
    static const enum tui__scope order[] = {SCOPE_INPUT, SCOPE_VIEW, SCOPE_LIST, SCOPE_GLOBAL};
    bool typing = tui__app_typing(app);
    for (size_t s = global ? 3 : 0; s < sizeof(order) / sizeof(order[0]); s++)
        for (int a = 1; a < ACTION_COUNT; a++) {
            enum tui_action action = (enum tui_action)a;
            if (tui__action(action)->scope != order[s] || !*tui__action(action)->footer ||
                action == ACTION_HELP || action == ACTION_STOP || action == ACTION_OPEN ||
                (global && action == ACTION_BACK) || !tui__app_offers(app, action))
                continue;
            if (app->overlay && action != ACTION_BACK && action != ACTION_COPY &&
                action != ACTION_FILTER)
                continue;
            hint_draw(app, line, x, action, typing);
        }
}

/* Help is always kept room for. */
static void hints_draw(struct tui__app *app, struct tui_area line)
{
    bool typing = tui__app_typing(app);
    int x = 1;
    struct tui_area room = line;
    const char *help = _(tui__action(ACTION_HELP)->footer);
    room.width -= text_width(help, strlen(help)) + 4; /* "? help", drawn last */
    if (app->answering && line.width > STOP_WIDTH * 2) {
        /* At the right: what stands there stays where it is when an answer begins and ends. */
        int at = line.width - CLOCK_WIDTH - STOP_WIDTH;
        hint_draw(app, line, &at, ACTION_STOP, typing);
        line.width -= STOP_WIDTH;
        room.width -= STOP_WIDTH;
    }
    bool own = own_hints_draw(app, room, &x);
    if (!own && !typing && !app->overlay && tui__app_offers(app, ACTION_OPEN))
        hint_draw(app, room, &x, ACTION_OPEN, typing);
    table_hints_draw(app, room, &x, own);
    hint_draw(app, line, &x, ACTION_HELP, typing);
}

static void prompt_draw(struct tui_area line, const char *lead, const char *text, const char *hint)
{
    int x = tui_put(line, 0, 1, -1, ROLE_KEY, lead) + 1;
    int hint_width = (int)strlen(hint) + 1;
    int room = line.width - CLOCK_WIDTH - x - 2;
    if (room > hint_width + 20)
        tui_put_right(line, 0, line.width - CLOCK_WIDTH - hint_width, hint_width - 1, ROLE_FOOTER,
                      hint);
    else
        hint_width = 0;
    x += tui_put(line, 0, x, room - hint_width, ROLE_INPUT, text);
    tui_cursor(line, 0, x);
}

static void prompt_question(const struct tui__app *app, struct tui_area line)
{
    struct buf lead = {0};
    buf_addf(&lead, "%s: ", app->question);
    prompt_draw(line, lead.data, app->prompt, _("Enter go on  Esc back"));
    buf_release(&lead);
}

void tui__footer_draw(struct tui__app *app, struct tui_area line)
{
    clock_draw(line);
    struct tui_area words = tui_sub(line, 0, 0, 1, line.width - CLOCK_WIDTH);
    switch (app->mode) {
    case MODE_CONFIRM: {
        int x = 1 + tui_put(words, 0, 1, words.width - 9, ROLE_STRONG, app->question);
        x += tui_put(words, 0, x + 1, -1, ROLE_KEY, "[y/N]") + 2;
        tui_cursor(words, 0, x);
        break;
    }
    case MODE_FILTER:
        prompt_draw(line, "/", app->prompt,
                    tui__app_searches(app) ? _("Enter find  n N next, previous  Esc back")
                                           : _("Enter keep  Esc clear"));
        break;
    case MODE_PALETTE:
        prompt_draw(line, ":", app->prompt, _("Enter run  Esc back"));
        break;
    case MODE_PROMPT:
        prompt_question(app, line);
        break;
    case MODE_VIEW:
        if (app->said)
            tui_put(words, 0, 1, -1, ROLE_STRONG, app->said);
        else if (app->form)
            tui_put(words, 0, 1, -1, ROLE_FOOTER, _("Tab next  BTab previous  Esc leave"));
        else
            hints_draw(app, line);
        break;
    }
}
