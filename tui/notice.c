/* What the console says: messages, errors that stay until read, questions before destructive keys.
 */
#include "backend/base/clock.h"
#include "tui/app.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { SAY_MS = 4000 };

void tui_say(const char *format, ...)
{
    struct tui__app *app = tui__app();
    struct buf b = {0};
    va_list args;
    va_start(args, format);
    buf_vaddf(&b, format, args);
    va_end(args);
    free(app->said);
    app->said = buf_take(&b);
    app->said_until = clock_mono_ms() + SAY_MS;
    app->dirty = true;
}

void tui_say_nothing(void)
{
    struct tui__app *app = tui__app();
    free(app->said);
    app->said = NULL;
    app->dirty = true;
}

void tui_error(const struct error *e, const char *where)
{
    struct tui__app *app = tui__app();
    struct buf b = {0};
    const char *hint = _(err_hint(e->code));
    buf_adds(&b, _(err_text(e->code)));
    if (where && *where)
        buf_addf(&b, " (%s)", where);
    if (e->detail[0])
        buf_addf(&b, ": %s", e->detail);
    if (*hint)
        buf_addf(&b, ". %s", hint);
    free(app->error);
    app->error = buf_take(&b);
    app->dirty = true;
}

/* Under the top line: there it hides neither the input nor what is being read. */
void tui__error_draw(struct tui__app *app, struct tui_area screen)
{
    struct tui_text *t = tui_text_new();
    tui_text_addf(t, ROLE_ERROR, 0, false, "%s %s", tui_glyph(GLYPH_FAIL), app->error);
    int width = screen.width - 2;
    size_t lines = tui_text_lines(t, width);
    bool cut = lines > TUI_ERROR_LINES;
    int height = cut ? TUI_ERROR_LINES : (int)lines;
    struct tui_area box = tui_sub(screen, 1, 0, height, screen.width);
    tui_clear(box, ROLE_ERROR);
    tui_text_draw(t, tui_sub(box, 0, 1, height, width), 0);
    for (int y = 0; y < height; y++)
        tui_restyle(box, y, 0, box.width, ROLE_ERROR);
    if (cut)
        tui_put(box, height - 1, box.width - 2, 1, ROLE_ERROR, tui_glyph(GLYPH_ELLIPSIS));
    tui_text_free(t);
}

/* ---- questions */

void tui_confirm(const char *question, void (*answer)(void *arg), void *arg)
{
    struct tui__app *app = tui__app();
    free(app->question);
    app->question = xstrdup(question);
    app->answer = answer;
    app->answer_arg = arg;
    app->mode = MODE_CONFIRM;
    app->dirty = true;
}

void tui__confirm_key(struct tui__app *app, const struct tui__event *ev)
{
    if (ev->type != EVENT_KEY)
        return;
    app->mode = MODE_VIEW;
    free(app->question);
    app->question = NULL;
    if (ev->key == 'y' || ev->key == 'Y')
        app->answer(app->answer_arg);
    else
        tui_say("%s", _("not done"));
}

void tui_prompt(const char *question, const char *initial,
                void (*answer)(void *arg, const char *text), void *arg)
{
    struct tui__app *app = tui__app();
    size_t n = strlen(initial) < TUI_PROMPT_MAX ? strlen(initial) : 0;
    free(app->question);
    app->question = xstrdup(question);
    memcpy(app->prompt, initial, n);
    app->prompt[n] = 0;
    app->answer_text = answer;
    app->answer_arg = arg;
    app->mode = MODE_PROMPT;
    app->dirty = true;
}

void tui__prompt_answer(struct tui__app *app, const struct tui__event *ev)
{
    bool enter = ev->type == EVENT_KEY && (ev->key == TKEY_ENTER || ev->key == '\n');
    if (!enter && !(ev->type == EVENT_KEY && (ev->key == TKEY_ESC || ev->key == 3))) {
        tui__prompt_key(app, ev);
        return;
    }
    app->mode = MODE_VIEW;
    if (!enter) {
        tui_say("%s", _("not done"));
        return;
    }
    char *text = xstrdup(app->prompt); /* the answer may ask for the next */
    app->answer_text(app->answer_arg, text);
    free(text);
}

void tui__notice_release(struct tui__app *app)
{
    free(app->question);
    free(app->said);
    free(app->error);
    app->question = app->said = app->error = NULL;
}
