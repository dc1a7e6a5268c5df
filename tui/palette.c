/* The palette: any action by name, filtered as one types. Also the one-line prompt of palette and
 * filter. */
#include "backend/base/text.h"
#include "tui/app.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PALETTE_ROWS = 10, MATCH_MAX = ACTION_COUNT, NAME_WIDTH = 24, KEY_WIDTH = 10 };

struct match {
    enum tui_action action;
    int score;
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* Every character of the pattern in order: best at the starts of words and side by side. -1: no
 * match. */
static int fuzzy(const char *pattern, const char *text)
{
    int score = 0, run = 0;
    const char *t = text;
    for (const char *p = pattern; *p; p++) {
        if (*p == ' ')
            continue;
        const char *from = t;
        while (*t && lower(*t) != lower(*p))
            t++;
        if (!*t)
            return -1;
        bool start = t == text || t[-1] == ' ';
        run = t == from ? run + 1 : 0;
        score += 1 + (start ? 8 : 0) + run * 4;
        t++;
    }
    return score * 16 - (int)strlen(text);
}

static int by_score(const void *a, const void *b)
{
    const struct match *x = a, *y = b;
    return x->score != y->score ? (x->score > y->score ? -1 : 1) : (int)x->action - (int)y->action;
}

/* What a name cannot start: keys of the hand, not commands. */
static bool is_command(const struct tui__app *app, enum tui_action a)
{
    if (a == ACTION_PALETTE || a == ACTION_BACK)
        return false;
    if (!tui__app_offers(app, a) && tui__app_taker(a) < 0)
        return false;
    return tui__action(a)->scope != SCOPE_INPUT;
}

static size_t matches(const struct tui__app *app, struct match out[MATCH_MAX])
{
    size_t n = 0;
    for (int a = 1; a < ACTION_COUNT; a++) {
        enum tui_action action = (enum tui_action)a;
        int score =
            is_command(app, action) ? fuzzy(app->prompt, _(tui__app_action_name(action))) : -1;
        if (score >= 0 || (score != -1 && !*app->prompt))
            out[n++] = (struct match){action, *app->prompt ? score : 0};
    }
    // cppcheck-suppress uninitvar ; the first n are set
    qsort(out, n, sizeof(*out), by_score);
    return n;
}

/* Only digits: the number of an entry. */
static bool is_entry(const struct tui__app *app)
{
    return *app->prompt && strspn(app->prompt, "0123456789") == strlen(app->prompt);
}

void tui__palette_draw(struct tui__app *app, struct tui_area body)
{
    struct match m[MATCH_MAX];
    size_t n = matches(app, m);
    int rows = n < PALETTE_ROWS ? (int)n : PALETTE_ROWS;
    if (rows > body.height - 2)
        rows = body.height - 2;
    if (rows < 1)
        rows = 1;
    struct tui_area box = tui_sub(body, body.height - rows - 1, 0, rows + 1, body.width);
    tui_clear(box, ROLE_TEXT);
    tui_fill(box, 0, 0, box.width, ROLE_RULE, GLYPH_RULE);
    tui_putf(box, 0, 1, -1, ROLE_TITLE_FOCUS, " %s ", _("Commands"));
    if (is_entry(app)) {
        tui_putf(box, 1, 2, -1, ROLE_TEXT, _("go to entry %s of the log"), app->prompt);
        return;
    }
    if (!n) {
        tui_put(box, 1, 2, -1, ROLE_DIM, _("no command has these letters; Esc goes back"));
        return;
    }
    if (app->palette_at >= (int)n)
        app->palette_at = (int)n - 1;
    int first = app->palette_at >= rows ? app->palette_at - rows + 1 : 0;
    for (int i = 0; i < rows; i++) {
        const struct tui__action_row *row = tui__action(m[first + i].action);
        char key[16];
        tui__key_show(tui__action_key(m[first + i].action, false), key);
        tui_put(box, i + 1, 2, NAME_WIDTH, ROLE_TEXT, _(tui__app_action_name(m[first + i].action)));
        tui_put(box, i + 1, 3 + NAME_WIDTH, KEY_WIDTH, ROLE_KEY, key);
        if (box.width > NAME_WIDTH + KEY_WIDTH + 20)
            tui_put(box, i + 1, 4 + NAME_WIDTH + KEY_WIDTH, -1, ROLE_DIM, _(row->help));
        if (first + i == app->palette_at) {
            tui_restyle(box, i + 1, 0, box.width, ROLE_SELECTED);
            tui_put_glyph(box, i + 1, 0, ROLE_SELECTED, GLYPH_RUNNING);
        }
    }
    if ((int)n > rows)
        tui_putf(box, 0, box.width - 12, 11, ROLE_DIM, " %d/%zu ", app->palette_at + 1, n);
}

void tui__palette_key(struct tui__app *app, const struct tui__event *ev)
{
    if (ev->type == EVENT_KEY) {
        if (ev->key == TKEY_ESC || ev->key == 3) {
            app->mode = MODE_VIEW;
            return;
        }
        if (ev->key == TKEY_UP || ev->key == TKEY_DOWN) {
            app->palette_at += ev->key == TKEY_UP ? -1 : 1;
            if (app->palette_at < 0)
                app->palette_at = 0;
            return;
        }
        if (ev->key == TKEY_ENTER || ev->key == '\n') {
            struct match m[MATCH_MAX];
            size_t n = matches(app, m);
            app->mode = MODE_VIEW;
            if (is_entry(app))
                tui_show_item("evidence", app->prompt);
            if (app->palette_at >= (int)n)
                return;
            enum tui_action action = m[app->palette_at].action;
            if (!tui__app_offers(app, action)) /* another pane's */
                tui__app_focus(app, tui__app_taker(action));
            tui__app_do(app, action);
            return;
        }
    }
    if (tui__prompt_key(app, ev))
        app->palette_at = 0;
}

/* ---- the prompt */

static bool prompt_add(struct tui__app *app, const char *bytes, size_t len)
{
    size_t have = strlen(app->prompt);
    if (have + len + 1 > sizeof(app->prompt))
        return false;
    memcpy(app->prompt + have, bytes, len);
    app->prompt[have + len] = 0;
    return true;
}

static bool prompt_erase(struct tui__app *app)
{
    size_t n = strlen(app->prompt);
    if (!n)
        return false;
    do
        n--;
    while (n && ((unsigned char)app->prompt[n] & 0xc0) == 0x80);
    app->prompt[n] = 0;
    return true;
}

bool tui__prompt_key(struct tui__app *app, const struct tui__event *ev)
{
    if (ev->type == EVENT_PASTE) {
        size_t n = 0; /* its first line */
        while (n < ev->len && ev->text[n] != '\n' && ev->text[n] != '\t')
            n++;
        return n && prompt_add(app, ev->text, n);
    }
    if (ev->type != EVENT_KEY)
        return false;
    if (ev->key == TKEY_BS)
        return prompt_erase(app);
    if (ev->key == 'U' - '@' || ev->key == 'W' - '@') {
        bool had = app->prompt[0] != 0;
        app->prompt[0] = 0;
        return had;
    }
    if (!tui__key_is_text(ev->key))
        return false;
    char bytes[4];
    size_t len = text_encode(ev->key, bytes);
    return prompt_add(app, bytes, len);
}
