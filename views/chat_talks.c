/* The conversations: a list over the chat to search, go on with, fork and take away.
 *
 * L1 The rows are pages of chat.conversations, the one spoken in last first; at most one call is
 *    under way, and an answer to what was looked for before is dropped.
 * L2 A search looks for a short time at each call: it is carried on while nothing was found, and
 *    when the user moves past the last row.
 * L3 A file is made anew, for its owner alone, and never over another. */
#include "backend/base/text.h"
#include "views/chat.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAGE = 50, HINT_MIN = 10, MATCH_WIDTH = 24, BEFORE = 12 };

/* ---- rows */

static const json_t *row_at(const struct chat_talks *k, size_t row)
{
    return json_array_get(k->rows, row);
}

static size_t count(void *arg)
{
    return json_array_size(((struct chat *)arg)->talks.rows);
}

static const char *id(void *arg, size_t row)
{
    return json_str(row_at(&((struct chat *)arg)->talks, row), "conversation", "?");
}

enum column { WHEN, TITLE, MATCH, TURNS, STATE, WITH };
static const struct tui_column columns[CHAT_TALK_COLUMNS] = {{N_("spoken in"), 9, false, 3},
                                                             {N_("begins with"), -20, false, 0},
                                                             {N_("found"), -MATCH_WIDTH, false, 0},
                                                             {N_("turns"), 5, true, 1},
                                                             {N_("last"), 10, false, 4},
                                                             {N_("asked of"), 18, false, 5}};

static void choice_cell(const json_t *choice, struct buf *out)
{
    const json_t *models = json_object_get(choice, "models"), *one;
    size_t i;
    json_array_foreach(models, i, one)
        buf_addf(out, "%s%s", i ? ", " : "", json_is_string(one) ? json_string_value(one) : "?");
    if (json_object_get(choice, "flow"))
        buf_addf(out, "%s/%s", out->len ? " " : "", json_str(choice, "flow", ""));
}

static void cell(void *arg, size_t at, int column, struct buf *out, enum tui_role *role)
{
    const struct chat *c = arg;
    const json_t *row = row_at(&c->talks, at);
    const char *state = json_str(row, "state", "");
    char when[16];
    *role = ROLE_DIM;
    switch (column) {
    case WHEN:
        tui_ago(view_at(row, "at"), when);
        buf_adds(out, when);
        break;
    case TITLE:
        *role = !strcmp(id(arg, at), c->conversation) ? ROLE_ACCENT : ROLE_TEXT;
        if (json_object_get(row, "parent"))
            buf_addf(out, "%s ", tui_glyph(GLYPH_CORNER));
        buf_adds(out, json_str(row, "title", ""));
        break;
    case MATCH:
        buf_adds(out, json_str(row, "match", ""));
        break;
    case TURNS:
        buf_addf(out, "%lld", (long long)json_int(row, "turns", 0));
        break;
    case STATE:
        *role = tui_state_role(state);
        buf_adds(out, state);
        break;
    default:
        choice_cell(json_object_get(row, "choice"), out);
    }
}

/* What was found, and a little of what stands around it. */
static void match_draw(const struct chat_talks *k, const char *text, struct tui_area a)
{
    size_t at = 0, end = 0, from, len = strlen(text);
    int x = 0;
    if (!text_find(text, len, 0, k->text, &at, &end))
        at = end = 0;
    for (from = at > BEFORE ? at - BEFORE : 0; ((unsigned char)text[from] & 0xc0) == 0x80; from++)
        ;
    char *before = xstrndup(text + from, at - from), *found = xstrndup(text + at, end - at);
    if (from)
        x += tui_put_glyph(a, 0, x, ROLE_DIM, GLYPH_ELLIPSIS);
    x += tui_put(a, 0, x, -1, ROLE_DIM, before);
    x += tui_put(a, 0, x, -1, ROLE_MATCH, found);
    tui_put(a, 0, x, -1, ROLE_DIM, text + end);
    free(before);
    free(found);
}

static bool draw_cell(void *arg, size_t at, int column, struct tui_area a)
{
    const struct chat_talks *k = &((struct chat *)arg)->talks;
    const json_t *row = row_at(k, at);
    if (column == STATE)
        tui_put_state(a, 0, 0, json_str(row, "state", ""), true);
    else if (column == MATCH)
        match_draw(k, json_str(row, "match", ""), a);
    return column == STATE || column == MATCH;
}

static void copy(void *arg, size_t row, struct buf *out)
{
    buf_adds(out, json_str(row_at(&((struct chat *)arg)->talks, row), "title", ""));
}

/* ---- asking for them */

static void got_rows(void *self, const json_t *result, const struct error *e);

static void ask(struct chat *c)
{
    struct chat_talks *k = &c->talks;
    if (k->asking || (k->asked_once && k->next < 0))
        return;
    json_t *params = json_object();
    json_puti(params, "limit", PAGE);
    if (*k->text)
        json_puts(params, "text", k->text);
    if (k->asked_once)
        json_puti(params, "before", k->next);
    k->asking = k->asked_once = true;
    tui_call(c, WIRE_chat_conversations, params, got_rows);
}

static void begin(struct chat *c)
{
    struct chat_talks *k = &c->talks;
    json_decref(k->rows);
    k->rows = json_array();
    k->drop = k->asking; /* L1 */
    k->asked_once = false;
    k->next = -1;
    view_keep_error(&k->error, NULL);
    tui_list_changed(k->list);
    ask(c);
    tui_dirty();
}

static void got_rows(void *self, const json_t *result, const struct error *e)
{
    struct chat *c = self;
    struct chat_talks *k = &c->talks;
    const json_t *one;
    size_t i;
    k->asking = false;
    if (k->drop) {
        k->drop = k->asked_once = false;
        if (k->list)
            ask(c);
        return;
    }
    if (!result) {
        view_keep_error(&k->error, e);
        k->next = -1;
        tui_dirty();
        return;
    }
    json_array_foreach(json_object_get(result, "conversations"), i, one)
        json_array_append(k->rows, (json_t *)one);
    k->next = json_int(result, "next", -1);
    if (k->list)
        tui_list_changed(k->list);
    if (!json_array_size(k->rows) && c->panel) /* L2 */
        ask(c);
    tui_dirty();
}

static void filtered(void *arg, const char *text)
{
    struct chat *c = arg;
    free(c->talks.text);
    c->talks.text = xstrdup(text);
    c->talks.columns[MATCH].title = *text ? columns[MATCH].title : NULL;
    c->talks.columns[TITLE].drop = *text ? 2 : 0; /* what was found comes first */
    begin(c);
}

static void beyond(void *arg, long rows)
{
    if (rows > 0)
        ask(arg);
}

static void end(void *arg, bool last)
{
    if (last)
        ask(arg);
}

static double place(void *arg, size_t row)
{
    const struct chat_talks *k = &((struct chat *)arg)->talks;
    size_t n = json_array_size(k->rows) + (k->next >= 0 ? PAGE : 0);
    return row + 1 >= n ? 1 : n > 1 ? (double)row / (double)(n - 1) : 0;
}

static const struct tui_list_ops ops = {.count = count,
                                        .cell = cell,
                                        .draw = draw_cell,
                                        .id = id,
                                        .copy = copy,
                                        .filtered = filtered,
                                        .beyond = beyond,
                                        .end = end,
                                        .place = place};

/* ---- going on with one, and forks */

void chat_talks_resume(struct chat *c, const char *conversation, const json_t *choice)
{
    chat_panel_close(c);
    chat_history_reset(c, conversation);
    chat_models_take(c, choice);
    c->writing = true;
}

void chat_talks_new(struct chat *c)
{
    chat_history_reset(c, "");
    chat_models_take(c, NULL);
    tui_say("%s", _("the next question begins a conversation"));
}

static void got_fork(void *self, const json_t *result, const struct error *e)
{
    struct chat *c = self;
    if (!result) {
        tui_error(e, "chat.fork");
        return;
    }
    chat_talks_resume(c, json_str(result, "conversation", ""), c->talks.choice);
    tui_say("%s", _("a conversation of its own from here on; the other stays as it is"));
}

void chat_talks_fork(struct chat *c, const char *conversation, const json_t *turn)
{
    json_t *params = json_object();
    json_puts(params, "conversation", conversation);
    json_puts(params, "trace_id", json_str(turn, "trace_id", ""));
    json_decref(c->talks.choice);
    c->talks.choice = json_deep_copy(json_object_get(turn, "choice"));
    tui_call(c, WIRE_chat_fork, params, got_fork);
}

/* Its last turn, to be forked from. */
static void got_last(void *self, const json_t *result, const struct error *e)
{
    struct chat *c = self;
    const json_t *turns = json_object_get(result, "turns");
    if (!result)
        tui_error(e, "chat.history");
    else if (!json_array_size(turns))
        tui_say("%s", _("there is no turn to fork from"));
    else
        chat_talks_fork(c, c->talks.forked, json_array_get(turns, json_array_size(turns) - 1));
}

static void fork_row(struct chat *c, const char *conversation)
{
    json_t *params = json_object();
    json_puts(params, "conversation", conversation);
    json_puti(params, "limit", 1);
    snprintf(c->talks.forked, sizeof c->talks.forked, "%s", conversation);
    tui_call(c, WIRE_chat_history, params, got_last);
}

/* ---- taking one away */

static void got_export(void *self, const json_t *result, const struct error *e)
{
    struct chat *c = self;
    const char *text = json_str(result, "text", "");
    size_t len = strlen(text);
    int fd = c->talks.fd;
    c->talks.fd = -1;
    if (!result)
        tui_error(e, "chat.export");
    else if (view_file_write(fd, text, len) && close(fd) == 0) {
        tui_say(_("%s: %lld turns, %zu bytes"), c->talks.path,
                (long long)json_int(result, "turns", 0), len);
        return;
    } else {
        struct error why = {0};
        err_set_errno(&why, _("export"), c->talks.path);
        tui_error(&why, NULL);
    }
    close(fd);
    unlink(c->talks.path);
}

static void take_path(void *arg, const char *path)
{
    struct chat *c = arg;
    struct chat_talks *k = &c->talks;
    size_t len = strlen(path);
    if (k->fd >= 0) {
        tui_say("%s", _("an export is under way"));
        return;
    }
    k->fd = view_file_new(path);
    if (k->fd < 0)
        return;
    free(k->path);
    k->path = xstrdup(path);
    json_t *params = json_object();
    json_puts(params, "conversation", k->exported);
    json_puts(params, "format", len > 5 && !strcmp(path + len - 5, ".json") ? "json" : "markdown");
    tui_call(c, WIRE_chat_export, params, got_export);
}

void chat_talks_export(struct chat *c, const char *conversation, const char *path)
{
    snprintf(c->talks.exported, sizeof c->talks.exported, "%s", conversation);
    if (*path) {
        take_path(c, path);
        return;
    }
    char *name = xasprintf("conversation-%.8s.md", conversation);
    tui_prompt(_("into the file (.md or .json)"), name, take_path, c);
    free(name);
}

/* ---- the panel */

static void draw(struct chat *c, struct tui_area a, bool focused)
{
    struct chat_talks *k = &c->talks;
    bool hint = a.height >= HINT_MIN;
    tui_fill(a, 0, 0, a.width, ROLE_RULE, GLYPH_RULE);
    int x = 1 + tui_putf(a, 0, 1, -1, ROLE_TITLE_FOCUS, " %s ", _("Conversations"));
    if (*k->text)
        tui_putf(a, 0, x, -1, ROLE_ACCENT, " /%s  %zu%s ", k->text, json_array_size(k->rows),
                 k->next >= 0 ? "+" : "");
    struct tui_area rows = tui_sub(a, 1, 0, a.height - 1 - hint, a.width);
    if (k->error)
        tui_put(rows, 0, 1, -1, ROLE_FAIL, k->error);
    else if (!json_array_size(k->rows))
        tui_put(rows, 0, 1, -1, ROLE_DIM,
                k->asking  ? _("looking")
                : *k->text ? _("nothing in questions or answers; Esc shows all")
                           : _("nothing was asked yet"));
    else
        tui_list_draw(k->list, rows, focused, a.height > 4);
    if (hint)
        tui_put(a, a.height - 1, 1, -1, ROLE_DIM,
                _("Enter goes on with it, / searches, F forks, x exports, Esc back"));
}

static bool action(struct chat *c, enum tui_action action)
{
    long row = tui_list_selected(c->talks.list);
    if (action != ACTION_OPEN && action != ACTION_FORK && action != ACTION_EXPORT_CHAT)
        return false;
    if (row < 0)
        return true;
    const json_t *doc = row_at(&c->talks, (size_t)row);
    char *conversation = xstrdup(id(c, (size_t)row));
    if (action == ACTION_OPEN)
        chat_talks_resume(c, conversation, json_object_get(doc, "choice"));
    else if (action == ACTION_FORK)
        fork_row(c, conversation);
    else
        chat_talks_export(c, conversation, "");
    free(conversation);
    return true;
}

static struct tui_list *list(struct chat *c)
{
    return c->talks.list;
}

static const enum tui_action takes[] = {ACTION_FORK, ACTION_EXPORT_CHAT, ACTION_NONE};
static const struct chat_panel panel = {
    .takes = takes, .draw = draw, .action = action, .list = list};

void chat_talks_open(struct chat *c, const char *text)
{
    struct chat_talks *k = &c->talks;
    if (!k->list) {
        memcpy(k->columns, columns, sizeof columns);
        k->list = tui_list_new(k->columns, CHAT_TALK_COLUMNS, &ops, c);
    }
    c->panel = &panel;
    tui_list_set_filter(k->list, text); /* asks */
}

void chat_talks_release(struct chat_talks *k)
{
    if (k->fd >= 0) { /* its answer does not come any more */
        close(k->fd);
        unlink(k->path);
    }
    tui_list_free(k->list);
    json_decref(k->rows);
    json_decref(k->choice);
    free(k->text);
    free(k->path);
    free(k->error);
}
