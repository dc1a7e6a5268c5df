/* The chat with the copilot: asking, drawing, keys and events. */
#include "views/chat.h"
#include "backend/base/text.h"
#include "tui/form.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    INPUT_ROWS_MAX = 6,
    TICK_MS = 1000,
    ROOMY = 24,
    TIGHT = 12,
    CHOICE_MIN = 12,
    MORE_WIDTH = 24
};

static const enum tui_action actions[] = {
    ACTION_WRITE,       ACTION_SOURCES,       ACTION_TRACE,     ACTION_FILTER,
    ACTION_COPY,        ACTION_COPY_CODE,     ACTION_TURN_NEXT, ACTION_TURN_PREV,
    ACTION_MODELS,      ACTION_CONVERSATIONS, ACTION_COMPARE,   ACTION_FORK,
    ACTION_EXPORT_CHAT, ACTION_NEXT_PART,     ACTION_PREV_PART, ACTION_NONE};

/* ---- asking */

static void on_asked(void *self, const json_t *result, const struct error *e)
{
    struct chat *c = self;
    struct chat_turn *t = NULL;
    for (size_t i = 0; i < c->count && !t; i++) {
        struct chat_turn *one = c->turns[i];
        if (one->running && !*one->trace_id)
            t = one;
    }
    if (!result) {
        if (t)
            chat_turn_fail(t, e);
        chat_history_count(c);
        tui_error(e, "chat.ask");
        return;
    }
    const char *id = json_str(result, "trace_id", "");
    if (!t && !chat_history_find(c, id))
        return; /* another conversation is shown since */
    snprintf(c->conversation, sizeof(c->conversation), "%s", json_str(result, "conversation", ""));
    if (chat_history_find(c, id) == NULL && t)
        snprintf(t->trace_id, sizeof(t->trace_id), "%s", id);
    else if (t && chat_history_find(c, id) != t)
        chat_history_remove(c, t); /* an event came first and made the turn */
    tui_dirty();
}

static void ask(struct chat *c)
{
    const char *text = tui_input_text(&c->input);
    if (!text[strspn(text, " \n\t")])
        return;
    tui_say_nothing();
    if (chat_commands_run(c, text)) {
        if (!c->commands.editing)
            tui_input_store(&c->input);
        c->commands.editing = false;
        return;
    }
    chat_commands_ask(c, text, NULL);
    tui_input_store(&c->input);
}

void chat_commands_ask(void *view, const char *text, const char *again)
{
    struct chat *c = view;
    json_t *params = json_object();
    json_puts(params, "text", text);
    if (c->commands.models)
        json_put(params, "models", json_incref(c->commands.models));
    if (c->commands.flow)
        json_puts(params, "flow", c->commands.flow);
    if (c->commands.exchanges)
        json_puti(params, "exchanges", c->commands.exchanges);
    for (size_t i = 0; i < 2; i++)
        if (c->commands.prompts[i])
            json_puts(params, i ? "promptB" : "promptA", c->commands.prompts[i]);
    if (again)
        json_puts(params, "again", again);
    if (c->conversation[0])
        json_puts(params, "conversation", c->conversation);
    chat_history_append(c, chat_turn_asked(text));
    c->follow = c->at_end = true;
    chat_history_count(c);
    tui_call(c, WIRE_chat_ask, params, on_asked);
    tui_dirty_in(TICK_MS);
}

const char *chat_conversation(const struct chat *c)
{
    const struct chat_turn *t = c->count ? chat_history_read(c) : NULL;
    return c->only ? c->conversation : json_str(t ? t->trace : NULL, "conversation", "");
}

struct chat_commands *chat_commands_of(void *view)
{
    return &((struct chat *)view)->commands;
}

struct tui_input *chat_commands_input(void *view)
{
    return &((struct chat *)view)->input;
}

const char *chat_commands_asked(void *view, const char **trace_id)
{
    struct chat *c = view;
    struct chat_turn *t = c->count ? chat_history_read(c) : NULL;
    *trace_id = t ? t->trace_id : "";
    return t ? t->question : NULL;
}

/* ---- drawing */

static void empty_draw(struct tui_area a)
{
    static const char *const examples[] = {
        N_("why is this machine slow?"), N_("which process eats memory?"),
        N_("are all connectors healthy?"), N_("what did today cost?"),
        N_("is the evidence intact?")};
    struct tui_text *t = tui_text_new();
    tui_text_add(t, ROLE_STRONG, 1, false,
                 _("Ask about this machine, its connectors, its cost, its evidence."));
    if (a.height > 12)
        tui_text_add(t, ROLE_DIM, 1, false,
                     _("Answers come from live figures and runbooks, each with its source."));
    tui_text_add(t, ROLE_TEXT, 0, false, "");
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++)
        tui_text_add(t, ROLE_TEXT, 3, false, _(examples[i]));
    tui_text_add(t, ROLE_TEXT, 0, false, "");
    tui_text_add(t, ROLE_DIM, 1, false, _("Type a question and press Enter."));
    struct tui_area inner = a.height > 12 ? tui_sub(a, 1, 0, a.height - 1, a.width) : a;
    tui_text_lines(t, inner.width);
    tui_text_draw(t, inner, 0);
    tui_text_free(t);
}

static void turns_draw(struct chat *c, struct tui_area a, const struct chat_turn *marked)
{
    bool running = false;
    int y = 0;
    for (size_t i = c->top; i < c->count && y < a.height; i++) {
        struct chat_turn *t = c->turns[i];
        int first = i == c->top ? c->top_line : 0, at = y;
        if (!t->loaded)
            chat_history_fetch(c, t);
        chat_turn_match(t, c->needle);
        y += chat_turn_draw(t, tui_sub(a, y, 0, a.height - y, a.width), first);
        if (t == marked)
            tui_put_glyph(a, at, 0, ROLE_ACCENT, GLYPH_RUNNING);
    }
    for (size_t i = 0; i < c->count; i++)
        running |= c->turns[i]->running;
    if (running)
        tui_dirty_in(TICK_MS);
}

/* On the rule above the input: how much there is above and below what is shown. */
static void rule_draw(struct chat *c, struct tui_area a, int y, bool focused)
{
    tui_fill(a, y, 0, a.width, ROLE_RULE, GLYPH_RULE);
    int x = 1;
    struct buf b = {0};
    if (focused && !c->writing && !c->panel)
        x += tui_putf(a, y, x, -1, ROLE_ACCENT, " %s ", _("reading; i writes"));
    if (c->only && a.width - x > CHOICE_MIN)
        x += tui_putf(a, y, x, (a.width - x) / 2, ROLE_ACCENT, " %s ",
                      _("this conversation; /new ends it"));
    chat_models_words(c, &b);
    int room = a.width - x;
    if (b.len && room > CHOICE_MIN)
        x += tui_putf(a, y, x, room - MORE_WIDTH > room / 2 ? room - MORE_WIDTH : room / 2,
                      ROLE_ACCENT, " %s ", b.data);
    buf_clear(&b);
    long top, all = chat_history_lines(c, &top), below = all - top - c->height;
    if (c->panel)
        top = below = 0; /* they are not what is shown */
    if (top > 0 && !c->follow)
        buf_addf(&b, " %s %ld%s ", tui_glyph(GLYPH_MORE_UP), top, c->more ? "+" : "");
    if (below > 0)
        buf_addf(&b, " %s %ld %s ", tui_glyph(GLYPH_MORE_DOWN), below, _("more, PgDn"));
    int width = b.len ? text_width(b.data, b.len) : 0;
    if (width && x + width < a.width - 1)
        tui_put(a, y, a.width - width - 1, -1, below > 0 ? ROLE_ACCENT : ROLE_DIM, b.data);
    else if (width && below > 0)
        tui_putf(a, y, a.width - 8, 7, ROLE_ACCENT, " %s %ld ", tui_glyph(GLYPH_MORE_DOWN), below);
    buf_release(&b);
}

static void read_draw(struct chat *c, struct tui_area text, bool reading)
{
    if (c->count == 0) {
        if (c->opened && !c->asking_older)
            empty_draw(text);
        else if (!c->opened)
            tui_put(text, 1, 1, -1, ROLE_DIM,
                    _("The history comes when the backend is ready; write meanwhile."));
        return;
    }
    if (c->follow)
        chat_history_follow(c);
    else if (c->top < c->count && c->top_line >= chat_turn_lines(c->turns[c->top], c->width))
        c->top_line = c->turns[c->top]->lines - 1;
    turns_draw(c, text, reading ? chat_history_read(c) : NULL);
    chat_history_trim(c);
}

static void chat_draw(void *self, struct tui_area a, bool focused)
{
    struct chat *c = self;
    int most = a.height / 3 < INPUT_ROWS_MAX ? a.height / 3 : INPUT_ROWS_MAX;
    int rows = tui_input_rows(&c->input, a.width - 1);
    bool writing = focused && c->writing && !c->panel;
    if (rows > most)
        rows = most < 1 ? 1 : most;
    c->height = a.height - rows - 1;
    c->width = a.width - 1;
    c->input_y = a.height - rows;
    struct tui_area text = tui_sub(a, 0, 0, c->height, c->width);
    int level = a.height >= ROOMY ? 0 : a.height >= TIGHT ? 1 : 2;
    for (size_t i = 0; i < c->count; i++)
        chat_turn_tighten(c->turns[i], level);
    if (c->panel)
        c->panel->draw(c, text, focused);
    else
        read_draw(c, text, focused && !c->writing);
    rule_draw(c, a, c->height, focused);
    if (writing)
        chat_complete_draw(c, text);
    tui_input_draw(&c->input, tui_sub(a, c->input_y, 0, rows, a.width - 1), writing);
    if (focused && !c->writing && !c->panel)
        tui_cursor(text, c->height - 1, 0);
}

/* ---- what lies over the turns */

void chat_panel_close(struct chat *c)
{
    c->panel = NULL;
    tui_dirty();
}

static bool among(const enum tui_action *list, enum tui_action action)
{
    while (*list != ACTION_NONE && *list != action)
        list++;
    return *list == action;
}

static bool chat_offers(void *self, enum tui_action action)
{
    const struct chat *c = self;
    if (c->panel)
        return among(c->panel->takes, action);
    return action != ACTION_NEXT_PART && action != ACTION_PREV_PART; /* of panels only */
}

static const enum tui_action *chat_hints(void *self)
{
    const struct chat *c = self;
    return c->panel ? c->panel->hints : NULL;
}

static struct tui_list *chat_list(void *self)
{
    struct chat *c = self;
    return c->panel && c->panel->list ? c->panel->list(c) : NULL;
}

/* True: the panel took it. What is the chat's own closes it first. */
static bool panel_action(struct chat *c, enum tui_action action)
{
    struct tui_list *list = chat_list(c);
    if (c->panel->action(c, action) || (list && tui_list_action(list, action)))
        return true;
    if (action == ACTION_BACK || action == ACTION_QUIT) {
        chat_panel_close(c);
        return true;
    }
    if (among(actions, action) && action != ACTION_FILTER)
        chat_panel_close(c);
    return false;
}

static bool panel_click(struct chat *c, int y, int x, bool twice)
{
    struct tui_list *list = chat_list(c);
    if (y < c->height && list && tui_list_click(list, y - 1, x, twice) && twice)
        c->panel->action(c, ACTION_OPEN);
    else if (y >= c->height)
        chat_panel_close(c);
    return true;
}

/* ---- keys */

static void copy_answer(struct chat *c)
{
    struct chat_turn *t = chat_history_read(c);
    char *text = t ? chat_turn_plain(t) : xstrdup("");
    if (*text)
        tui_copy(text);
    else
        tui_say("%s", _("there is no answer here to copy"));
    free(text);
}

/* The answer's commands one after the other. */
static void copy_code(struct chat *c)
{
    struct chat_turn *t = chat_history_read(c);
    size_t count = 0;
    c->code_at = t && t == c->code_of ? c->code_at + 1 : 0;
    c->code_of = t;
    char *code = t ? chat_turn_code(t, c->code_at, &count) : NULL;
    if (!code && count) {
        c->code_at = 0;
        code = chat_turn_code(t, 0, &count);
    }
    if (code) {
        tui_copy(code);
        tui_say(_("copied %zu of %zu: %s"), c->code_at + 1, count, code);
    } else {
        tui_say("%s", _("there is no command in this answer"));
    }
    free(code);
}

static void sources_open(struct chat *c)
{
    struct chat_turn *t = chat_history_read(c);
    struct tui_text *text = t ? chat_turn_sources(t) : NULL;
    if (text)
        tui_overlay(_("Sources"), text);
    else
        tui_say("%s", _("there are no sources here"));
}

static void trace_open(struct chat *c)
{
    struct chat_turn *t = chat_history_read(c), *last = c->count ? c->turns[c->count - 1] : NULL;
    if (last && last->running && c->follow) /* a short one below a long answer that is done */
        t = last;
    if (t && t->trace_id[0])
        tui_show_item("arbitration", t->trace_id);
    else
        tui_say("%s", _("there is no answer here"));
}

/* What scrolls; false: another action. */
static bool chat_scroll(struct chat *c, enum tui_action action)
{
    long page = c->height > 2 ? c->height - 1 : 1;
    switch (action) {
    case ACTION_UP:
        chat_history_scroll(c, -1);
        return true;
    case ACTION_DOWN:
        chat_history_scroll(c, 1);
        return true;
    case ACTION_PAGE_UP:
        chat_history_scroll(c, -page);
        return true;
    case ACTION_PAGE_DOWN:
        chat_history_scroll(c, page);
        return true;
    case ACTION_TOP:
        chat_history_scroll(c, -1000000000L);
        return true;
    case ACTION_BOTTOM:
        chat_history_scroll(c, 1000000000L);
        return true;
    default:
        return false;
    }
}

static bool act(struct chat *c, enum tui_action action)
{
    if (chat_scroll(c, action))
        return true;
    switch (action) {
    case ACTION_SEND:
        ask(c);
        return true;
    case ACTION_WRITE:
    case ACTION_OPEN:
        c->writing = true;
        return true;
    case ACTION_COPY:
        copy_answer(c);
        return true;
    case ACTION_COPY_CODE:
        copy_code(c);
        return true;
    case ACTION_SOURCES:
        sources_open(c);
        return true;
    case ACTION_TRACE:
        trace_open(c);
        return true;
    case ACTION_MODELS:
        chat_models_open(c, false);
        return true;
    case ACTION_CONVERSATIONS:
        chat_talks_open(c, "");
        return true;
    case ACTION_COMPARE:
        chat_compare_open(c, chat_history_read(c));
        return true;
    case ACTION_FORK:
    case ACTION_EXPORT_CHAT:
        chat_choice_run(c, action == ACTION_FORK ? "/fork" : "/export");
        return true;
    case ACTION_TURN_NEXT:
    case ACTION_TURN_PREV:
        chat_history_step(c, action == ACTION_TURN_NEXT ? 1 : -1);
        return true;
    case ACTION_BACK:
        if (!c->writing && !c->needle)
            return false;
        if (!c->writing)
            chat_history_search(c, "", 0);
        c->writing = false; /* the text stays where it is */
        return true;
    case ACTION_QUIT:
        if (!c->writing || !c->input.text.len)
            return false;
        tui_input_store(&c->input);
        tui_say("%s", _("put aside, Up brings it back; once more to leave"));
        return true;
    default:
        return c->writing && tui_input_action(&c->input, action);
    }
}

static bool chat_action(void *self, enum tui_action action)
{
    struct chat *c = self;
    if (c->panel && panel_action(c, action))
        return true;
    if (c->panel) /* Tab, Help and the like */
        return false;
    if (c->writing && chat_complete_action(c, action))
        return true;
    bool took = act(c, action);
    chat_complete_typed(c);
    return took;
}

static bool chat_text(void *self, const char *bytes, size_t len)
{
    struct chat *c = self;
    if (!tui_input_insert(&c->input, bytes, len))
        tui_say(_("a question has at most %d bytes"), TUI_INPUT_MAX);
    chat_complete_typed(self);
    return true;
}

static bool chat_typing(void *self)
{
    const struct chat *c = self;
    return c->writing && !c->panel;
}

static bool chat_click(void *self, int y, int x, bool twice)
{
    struct chat *c = self;
    if (c->panel)
        return panel_click(c, y, x, twice);
    c->writing = true;
    if (chat_complete_click(c, y))
        return true;
    if (twice && y < c->height)
        sources_open(c);
    if (y >= c->input_y)
        tui_input_click(&c->input, y - c->input_y, x);
    chat_complete_typed(c);
    return true;
}

static bool chat_find(void *self, const char *text, int step)
{
    struct chat *c = self;
    return c->panel && c->panel->find ? c->panel->find(c, text, step)
                                      : chat_history_search(c, text, step);
}

static void chat_wheel(void *self, int rows)
{
    struct chat *c = self;
    if (!c->panel)
        chat_history_scroll(c, rows);
    else if (c->panel->wheel)
        c->panel->wheel(c, rows);
    else if (chat_list(c))
        tui_list_wheel(chat_list(c), rows);
}

/* ---- events */

static void chat_event(void *self, const char *type, int64_t at, const json_t *data)
{
    struct chat *c = self;
    const char *id = json_str(data, "trace_id", "");
    (void)at;
    if (!strcmp(type, "token")) {
        struct chat_turn *t = chat_history_turn(c, id, NULL);
        if (t)
            chat_turn_token(t, json_str(data, "model", ""), json_str(data, "text", ""));
    } else if (!strcmp(type, "turn")) {
        struct chat_turn *t = chat_history_turn(c, id, data);
        if (t)
            chat_turn_set(t, data);
        chat_compare_event(c, id);
    } else if (!strcmp(type, "stage")) {
        struct chat_turn *t = chat_history_turn(c, id, NULL);
        if (t)
            chat_turn_stages(t, json_object_get(data, "stages"));
    } else if (!strcmp(type, "pace")) {
        struct chat_turn *t = chat_history_find(c, id);
        if (t)
            chat_turn_pace(t, json_object_get(data, "models"));
    } else {
        chat_commands_event(c, type, data);
        return;
    }
    chat_history_count(c);
    tui_dirty();
}

static void chat_resync(void *self)
{
    chat_history_resync(self);
}

static void chat_open(void *self)
{
    struct chat *c = self;
    c->writing = true;
    c->talks.fd = -1;
    c->follow = c->at_end = true;
    chat_history_ask(c, 0);
    chat_commands_refresh(c);
}

static void chat_close(void *self)
{
    struct chat *c = self;
    chat_history_release(c);
    tui_form_drop(c);
    chat_models_release(&c->models);
    chat_talks_release(&c->talks);
    chat_compare_release(&c->compare);
    chat_commands_release(&c->commands);
    tui_input_release(&c->input);
}

static void chat_badge(void *self, char *out, size_t size, enum tui_role *role)
{
    struct chat *c = self;
    size_t running = 0;
    for (size_t i = 0; i < c->count; i++)
        running += c->turns[i]->running;
    if (chat_commands_waiting(&c->commands)) { /* a person is waited for */
        snprintf(out, size, "?%zu", chat_commands_waiting(&c->commands));
        *role = ROLE_WARN;
    } else if (running) {
        snprintf(out, size, "%s%zu", tui_glyph(GLYPH_RUNNING), running);
        *role = ROLE_ACCENT;
    }
}

const struct view_ops view_chat_ops = {
    .name = "chat",
    .size = sizeof(struct chat),
    .actions = actions,
    .offers = chat_offers,
    .hints = chat_hints,
    .open = chat_open,
    .close = chat_close,
    .draw = chat_draw,
    .action = chat_action,
    .text = chat_text,
    .typing = chat_typing,
    .click = chat_click,
    .wheel = chat_wheel,
    .find = chat_find,
    .list = chat_list,
    .event = chat_event,
    .resync = chat_resync,
    .badge = chat_badge,
};
