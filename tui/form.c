/* The form over the panes: fields, what is wrong with them, and what will be sent.
 *
 * F1 It is answered once: by the last row, by leaving, or by the next form.
 * F2 Leaving a form in which something was typed asks for a second Esc. */
#include "tui/form.h"
#include "backend/base/text.h"
#include "tui/app.h"
#include <stdlib.h>
#include <string.h>

enum { LABEL_MOST = 24, INDENT = 2, MULTI_ROWS = 6, PREVIEW_MAX = 4000, ABOUT_ROWS = 8 };

struct tui__form {
    struct form_fields f;
    char *title, *submit;
    struct tui_text *about, *preview, *notes; /* notes: the focused field's description */
    void (*answer)(void *arg, const json_t *value);
    void *arg;
    size_t at; /* the focused field; f.count: the last row */
    bool touched, leaving;
    int top, height, rows; /* of the scrolled body */
};

static void form_free(struct tui__form *form)
{
    form_fields_release(&form->f);
    tui_text_free(form->about);
    tui_text_free(form->preview);
    tui_text_free(form->notes);
    free(form->title);
    free(form->submit);
    free(form);
}

/* F1: the answer may open the next form. */
static void form_end(struct tui__app *app, const json_t *value)
{
    struct tui__form *form = app->form;
    app->form = NULL;
    app->dirty = true;
    form->answer(form->arg, value);
    form_free(form);
}

void tui__form_close(struct tui__app *app)
{
    if (app->form)
        form_end(app, NULL);
}

void tui_form_drop(const void *arg)
{
    struct tui__app *app = tui__app();
    if (!app || !app->form || app->form->arg != arg)
        return;
    form_free(app->form);
    app->form = NULL;
}

/* What is shown below the fields changes with the field that has the focus. */
static void focus(struct tui__form *form, size_t at)
{
    size_t first;
    form->at = at;
    tui_text_clear(form->notes);
    tui_text_clear(form->preview);
    if (at < form->f.count) {
        const struct form_field *f = &form->f.fields[at];
        if (*f->about)
            tui_text_add(form->notes, ROLE_FOREIGN, INDENT, true, f->about);
        return;
    }
    json_t *value = form_fields_value(&form->f, &first);
    char *text = value ? json_dumps(value, JSON_INDENT(2)) : NULL;
    if (text && strlen(text) > PREVIEW_MAX)
        text[PREVIEW_MAX] = 0;
    if (text)
        tui_text_addf(form->preview, ROLE_DIM, INDENT, false, _("will be sent: %s"), text);
    else
        tui_text_add(form->preview, ROLE_FAIL, INDENT, false,
                     _("not everything is right yet; what is wrong stands beside its field"));
    free(text);
    json_decref(value);
}

void tui_form_open(const struct tui_form_options *o)
{
    struct tui__app *app = tui__app();
    tui__form_close(app);
    tui__overlay_close(app);
    struct tui__form *form = xcalloc(1, sizeof *form);
    form_fields_init(&form->f, o->schema, o->initial);
    form->title = xstrdup(o->title);
    form->submit = xstrdup(o->submit);
    form->about = o->about ? o->about : tui_text_new();
    form->preview = tui_text_new();
    form->notes = tui_text_new();
    form->answer = o->answer;
    form->arg = o->arg;
    if (form->f.left_out)
        tui_text_addf(form->about, ROLE_WARN, 0, false,
                      _("%zu more fields do not fit into a form and are left out"),
                      form->f.left_out);
    app->form = form;
    app->dirty = true;
    focus(form, 0);
}

/* ---- drawing */

static bool is_typed(const struct form_field *f)
{
    return f->kind == FORM_TEXT || f->kind == FORM_NUMBER || f->kind == FORM_INTEGER ||
           f->kind == FORM_LINES || f->kind == FORM_JSON;
}

static int value_rows(struct form_field *f, int width)
{
    int rows = 1;
    if (is_typed(f))
        rows = tui_input_rows(&f->input, width);
    else if (f->kind == FORM_CHOICES)
        rows = f->option_count ? (int)f->option_count : 1;
    return rows < MULTI_ROWS ? rows : MULTI_ROWS;
}

static void flag_draw(const struct form_field *f, struct tui_area a, enum tui_role role)
{
    const char *word = f->chosen < 0 ? _("not said") : f->chosen ? _("yes") : _("no");
    tui_putf(a, 0, 0, -1, role, "[%c] %s", f->chosen == 1 ? 'x' : f->chosen ? '-' : ' ', word);
}

static void choice_draw(const struct form_field *f, struct tui_area a, enum tui_role role)
{
    if (f->chosen < 0)
        tui_putf(a, 0, 0, -1, role, "< %s >", _("not said"));
    else
        tui_putf(a, 0, 0, -1, role, "< %s > %ld/%zu", f->options[f->chosen].title, f->chosen + 1,
                 f->option_count);
}

static void choices_draw(const struct form_field *f, struct tui_area a, bool focused)
{
    int first = f->chosen >= a.height ? (int)f->chosen - a.height + 1 : 0;
    for (int i = 0; i < a.height && first + i < (int)f->option_count; i++) {
        const struct form_option *o = &f->options[first + i];
        bool here = focused && first + i == f->chosen;
        tui_putf(a, i, 0, -1, here ? ROLE_ACCENT : ROLE_TEXT, "[%c] %s", o->marked ? 'x' : ' ',
                 o->title);
        if (here)
            tui_cursor(a, i, 1);
    }
}

static void value_draw(struct form_field *f, struct tui_area a, bool focused)
{
    enum tui_role role = focused ? ROLE_INPUT : ROLE_TEXT;
    if (is_typed(f)) {
        tui_input_draw(&f->input, a, focused);
        return;
    }
    if (f->kind == FORM_CHOICES) {
        choices_draw(f, a, focused);
        return;
    }
    if (f->kind == FORM_FLAG)
        flag_draw(f, a, role);
    else
        choice_draw(f, a, role);
    if (focused)
        tui_cursor(a, 0, 1);
}

/* What is expected, in a word or two; shown while the field is empty or has the focus. */
static const char *kind_hint(const struct form_field *f)
{
    switch (f->kind) {
    case FORM_NUMBER:
        return _("a number");
    case FORM_INTEGER:
        return _("a whole number");
    case FORM_FLAG:
        return _("Space changes it");
    case FORM_CHOICE:
        return _("Left and Right change it");
    case FORM_CHOICES:
        return _("Space marks, Left and Right move");
    case FORM_LINES:
        return _("one a line; ^J begins the next line");
    case FORM_JSON:
        return _("JSON; ^J begins the next line");
    default:
        return f->required ? _("needed") : "";
    }
}

/* A part of the body: drawn at row y if any of it is to be seen there. Returns its rows. */
static int field_draw(struct tui__form *form, size_t i, struct tui_area body, int y, bool draw)
{
    struct form_field *f = &form->f.fields[i];
    bool focused = i == form->at;
    int label = body.width / 3 < LABEL_MOST ? body.width / 3 : LABEL_MOST;
    int x = label + 2, width = body.width - x, rows = value_rows(f, width);
    bool hint = focused && *kind_hint(f), wrong = *f->bad != 0;
    int notes = focused ? (int)tui_text_lines(form->notes, body.width) : 0;
    if (draw && y + rows + hint + wrong + notes > 0 && y < body.height) {
        struct tui_area a = tui_sub(body, y < 0 ? 0 : y, x, y < 0 ? rows + y : rows, width);
        if (y >= 0) {
            int used = tui_put(body, y, 0, label - 1, focused ? ROLE_STRONG : ROLE_TEXT, f->title);
            if (f->required)
                tui_put(body, y, used, 1, ROLE_ACCENT, "*");
        }
        if (a.height > 0)
            value_draw(f, a, focused);
        if (wrong && y + rows >= 0)
            tui_put(body, y + rows, x, -1, ROLE_FAIL, f->bad);
        if (hint && y + rows + wrong >= 0)
            tui_put(body, y + rows + wrong, x, -1, ROLE_DIM, kind_hint(f));
        int at = y + rows + wrong + hint;
        if (notes && at < body.height)
            tui_text_draw(form->notes, tui_sub(body, at < 0 ? 0 : at, 0, notes, body.width),
                          at < 0 ? (size_t)-at : 0);
    }
    return rows + hint + wrong + notes;
}

static int submit_draw(struct tui__form *form, struct tui_area body, int y, bool draw)
{
    bool focused = form->at == form->f.count;
    int preview = focused ? (int)tui_text_lines(form->preview, body.width) : 0;
    if (draw && y >= 0 && y < body.height) {
        tui_putf(body, y, 0, -1, focused ? ROLE_SELECTED : ROLE_TEXT, "[ %s ]", form->submit);
        if (focused)
            tui_cursor(body, y, 2);
        if (preview && y + 1 < body.height)
            tui_text_draw(form->preview, tui_sub(body, y + 1, 0, preview, body.width), 0);
    }
    return 1 + preview;
}

/* All of the body; *from and *to: the rows of what has the focus. Returns its rows. */
static int body_draw(struct tui__form *form, struct tui_area body, bool draw, int *from, int *to)
{
    int about = (int)tui_text_lines(form->about, body.width), y = -form->top, start = y;
    if (draw && about && y + about > 0)
        tui_text_draw(form->about,
                      tui_sub(body, y < 0 ? 0 : y, 0, y < 0 ? about + y : about, body.width),
                      y < 0 ? (size_t)-y : 0);
    y += about ? about + 1 : 0;
    for (size_t i = 0; i <= form->f.count; i++) {
        int rows;
        if (i == form->f.count) {
            y += form->f.count > 0;
            rows = submit_draw(form, body, y, draw);
        } else {
            rows = field_draw(form, i, body, y, draw);
        }
        if (i == form->at) {
            *from = i == 0 ? 0 : y - start;
            *to = y - start + rows;
        }
        y += rows;
    }
    return y - start;
}

void tui__form_draw(struct tui__app *app, struct tui_area area)
{
    struct tui__form *form = app->form;
    tui_clear(area, ROLE_TEXT);
    tui_fill(area, 0, 0, area.width, ROLE_RULE, GLYPH_RULE);
    tui_putf(area, 0, 1, area.width - 4, ROLE_TITLE_FOCUS, " %s ", form->title);
    struct tui_area body = tui_sub(area, 1, 1, area.height - 1, area.width - 2);
    int from = 0, to = 0;
    form->height = body.height;
    form->rows = body_draw(form, body, false, &from, &to);
    if (to > form->top + body.height)
        form->top = to - body.height;
    if (from < form->top)
        form->top = from;
    if (form->top > form->rows - body.height)
        form->top = form->rows > body.height ? form->rows - body.height : 0;
    body_draw(form, body, true, &from, &to);
    if (form->top > 0)
        tui_put_glyph(area, 1, area.width - 1, ROLE_DIM, GLYPH_MORE_UP);
    if (form->rows > form->top + body.height)
        tui_put_glyph(area, area.height - 1, area.width - 1, ROLE_DIM, GLYPH_MORE_DOWN);
}

/* ---- keys */

static void submit(struct tui__app *app)
{
    struct tui__form *form = app->form;
    size_t first = 0;
    json_t *value = form_fields_value(&form->f, &first);
    if (!value) {
        focus(form, first);
        return;
    }
    form_end(app, value);
    json_decref(value);
}

static void leave(struct tui__app *app)
{
    struct tui__form *form = app->form;
    if (form->touched && !form->leaving) {
        form->leaving = true;
        tui_say("%s", _("Esc once more leaves the form; what was typed is lost"));
        return;
    }
    form_end(app, NULL);
}

static enum tui_action input_action(uint32_t key)
{
    for (int a = 1; a < ACTION_COUNT; a++)
        if (tui__action((enum tui_action)a)->scope == SCOPE_INPUT && a != ACTION_SEND &&
            tui__action_has_key((enum tui_action)a, key))
            return (enum tui_action)a;
    return ACTION_NONE;
}

/* A key for the field itself. */
static bool field_key(struct form_field *f, uint32_t key)
{
    if (!is_typed(f)) {
        bool turn = f->kind != FORM_CHOICES && key == ' ';
        if (key == TKEY_LEFT || key == TKEY_RIGHT || turn)
            form_field_turn(f, key == TKEY_LEFT ? -1 : 1);
        else if (key == ' ')
            form_field_mark(f);
        else
            return false;
        return true;
    }
    if (tui__key_is_text(key)) {
        char bytes[4];
        tui_input_insert(&f->input, bytes, text_encode(key, bytes));
        return true;
    }
    enum tui_action action = input_action(key);
    size_t cursor = f->input.cursor;
    if (action == ACTION_NONE || (action == ACTION_NEWLINE && f->kind < FORM_LINES))
        return false;
    bool moves = action == ACTION_HISTORY_PREV || action == ACTION_HISTORY_NEXT;
    return tui_input_action(&f->input, action) && !(moves && f->input.cursor == cursor);
}

static void form_paste(struct tui__form *form, const struct tui__event *ev)
{
    struct form_field *f = form->at < form->f.count ? &form->f.fields[form->at] : NULL;
    if (!f || !is_typed(f))
        return;
    size_t len = ev->len;
    if (f->kind < FORM_LINES) { /* its first line */
        const char *end = memchr(ev->text, '\n', len);
        len = end ? (size_t)(end - ev->text) : len;
    }
    if (!tui_input_insert(&f->input, ev->text, len) || ev->cut)
        tui_say("%s", _("the paste was cut"));
    form->touched = true;
}

void tui__form_key(struct tui__app *app, const struct tui__event *ev)
{
    struct tui__form *form = app->form;
    if (ev->type == EVENT_PASTE)
        form_paste(form, ev);
    if (ev->type != EVENT_KEY)
        return;
    if (ev->key == TKEY_ESC || ev->key == 3) {
        leave(app);
        return;
    }
    form->leaving = false;
    struct form_field *f = form->at < form->f.count ? &form->f.fields[form->at] : NULL;
    if (!f && (ev->key == TKEY_ENTER || ev->key == '\n')) {
        submit(app);
    } else if (f && field_key(f, ev->key)) {
        form->touched = true;
        f->bad[0] = 0;
    } else if (ev->key == TKEY_TAB || ev->key == TKEY_ENTER || ev->key == TKEY_DOWN) {
        focus(form, form->at < form->f.count ? form->at + 1 : ev->key == TKEY_TAB ? 0 : form->at);
    } else if (ev->key == TKEY_BTAB || ev->key == TKEY_UP) {
        focus(form, form->at ? form->at - 1 : ev->key == TKEY_BTAB ? form->f.count : 0);
    } else if (ev->key == TKEY_PGDN || ev->key == TKEY_PGUP) {
        focus(form, ev->key == TKEY_PGUP ? 0 : form->f.count);
    }
}
