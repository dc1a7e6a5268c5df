/* The chat with the copilot.
 *
 * C1 `turns` are in the order of the log, oldest first; the last may not have a trace yet.
 * C2 Only turns near what is shown hold their texts; the others keep their number of lines and are
 * asked for again when they are scrolled to. C3 What is shown begins at line `top_line` of turn
 * `top`. While `follow` is set that is chosen for the user: an answer that is finished and taller
 * than the pane shows its question and first lines; one that streams is moved up until a quarter of
 * the pane is left, so that a stream of tokens writes each line about once. Who scrolled is never
 * moved; at the end (`at_end`) what is new is followed again. */
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "tui/form.h"
#include "views/chat_commands.h"
#include "views/chat_turn.h"
#include "views/view.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAGE_TURNS = 50,
    LOADED_MAX = 120,
    INPUT_ROWS_MAX = 6,
    TICK_MS = 1000,
    ROOMY = 24,
    TIGHT = 12
};

struct chat {
    struct chat_commands commands;
    struct tui_input input;
    bool writing; /* characters go to the input line */
    bool opened, more, asking_older;
    struct chat_turn **turns;
    size_t count;
    char conversation[40];
    bool follow, at_end;
    char *needle;              /* what `/` looked for, or NULL */
    struct chat_turn *code_of; /* whose code was copied last, and how much of it */
    size_t code_at;
    size_t top;
    int top_line;
    int height, width; /* of the text at the last draw */
    int input_y;       /* row of the area where the input begins */
};

static const enum tui_action actions[] = {ACTION_WRITE,     ACTION_SOURCES,   ACTION_TRACE,
                                          ACTION_FILTER,    ACTION_COPY,      ACTION_COPY_CODE,
                                          ACTION_TURN_NEXT, ACTION_TURN_PREV, ACTION_NONE};

/* ---- turns */

static struct chat_turn *turn_read(const struct chat *c);

static struct chat_turn *turn_find(struct chat *c, const char *trace_id)
{
    for (size_t i = c->count; i-- > 0;)
        if (!strcmp(c->turns[i]->trace_id, trace_id))
            return c->turns[i];
    return NULL;
}

static void turn_append(struct chat *c, struct chat_turn *t)
{
    c->turns = xrealloc(c->turns, (c->count + 1) * sizeof(*c->turns));
    c->turns[c->count++] = t;
    c->follow |= c->at_end;
}

static void count_running(const struct chat *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->count; i++)
        n += c->turns[i]->running;
    tui_answering(n);
}

static void on_trace(void *self, const json_t *result, const struct error *e)
{
    struct chat *c = self;
    if (!result) {
        tui_error(e, "traces.get");
        return;
    }
    struct chat_turn *t = turn_find(c, json_str(result, "trace_id", ""));
    if (t)
        chat_turn_set(t, result);
    tui_dirty();
}

static void turn_fetch(struct chat *c, struct chat_turn *t)
{
    if (t->fetching || !t->trace_id[0])
        return;
    t->fetching = true;
    json_t *params = json_object();
    json_puts(params, "trace_id", t->trace_id);
    tui_call(c, WIRE_traces_get, params, on_trace);
}

/* The turn of a trace that an event speaks of: known, or just asked here, or new (asked elsewhere).
 */
static struct chat_turn *turn_for(struct chat *c, const char *trace_id, const char *question)
{
    if (!*trace_id)
        return NULL;
    struct chat_turn *t = turn_find(c, trace_id);
    if (t)
        return t;
    for (size_t i = 0; i < c->count; i++) {
        t = c->turns[i];
        if (!t->trace_id[0] && t->running &&
            (!question || (t->question && !strcmp(t->question, question)))) {
            snprintf(t->trace_id, sizeof(t->trace_id), "%s", trace_id);
            return t;
        }
    }
    t = chat_turn_new(trace_id);
    turn_append(c, t);
    if (!question)
        turn_fetch(c, t);
    return t;
}

static void turn_remove(struct chat *c, struct chat_turn *t)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->turns[i] == t) {
            memmove(c->turns + i, c->turns + i + 1, (c->count - i - 1) * sizeof(*c->turns));
            c->count--;
            if (c->code_of == t)
                c->code_of = NULL;
            chat_turn_free(t);
            return;
        }
}

/* ---- history */

static void history_ask(struct chat *c, int64_t before);

/* By time, where what was missed while the link was down came last (C1); what is shown stays. */
static void turns_sort(struct chat *c)
{
    struct chat_turn *shown = c->top < c->count ? c->turns[c->top] : NULL;
    for (size_t i = 1; i < c->count; i++) {
        struct chat_turn *t = c->turns[i];
        size_t at = i;
        for (; at > 0 && c->turns[at - 1]->at > t->at; at--)
            c->turns[at] = c->turns[at - 1];
        c->turns[at] = t;
    }
    for (size_t i = 0; i < c->count; i++)
        if (c->turns[i] == shown)
            c->top = i;
}

/* Puts a page of turns before those that are there; of what is known already only the texts are
 * taken. */
static void history_take(struct chat *c, const json_t *turns)
{
    size_t n = json_array_size(turns), fresh = 0;
    struct chat_turn **older = xcalloc(n + 1, sizeof(*older));
    for (size_t i = 0; i < n; i++) {
        const json_t *doc = json_array_get(turns, i);
        const char *id = json_str(doc, "trace_id", "");
        struct chat_turn *t = *id ? turn_find(c, id) : NULL;
        if (t) {
            chat_turn_set(t, doc);
            continue;
        }
        t = chat_turn_new(id);
        chat_turn_set(t, doc);
        older[fresh++] = t;
    }
    c->turns = xrealloc(c->turns, (c->count + fresh + 1) * sizeof(*c->turns));
    memmove(c->turns + fresh, c->turns, c->count * sizeof(*c->turns));
    memcpy(c->turns, older, fresh * sizeof(*older));
    c->count += fresh;
    c->top += fresh;
    free(older);
    turns_sort(c);
}

static void on_history(void *self, const json_t *result, const struct error *e)
{
    struct chat *c = self;
    c->asking_older = false;
    if (!result) {
        tui_error(e, "chat.history");
        return;
    }
    bool first = !c->opened;
    c->opened = true;
    const json_t *turns = json_object_get(result, "turns");
    history_take(c, turns);
    c->more = json_flag(result, "more", false);
    if (first && c->input.history_len == 0)
        for (size_t i = 0; i < json_array_size(turns); i++)
            tui_input_remember(&c->input, json_str(json_array_get(turns, i), "question", ""));
    tui_dirty();
}

static void history_ask(struct chat *c, int64_t before)
{
    if (c->asking_older)
        return;
    c->asking_older = true;
    json_t *params = json_object();
    json_puti(params, "limit", PAGE_TURNS);
    if (before > 0)
        json_puti(params, "before", before);
    tui_call(c, WIRE_chat_history, params, on_history);
    chat_commands_refresh(c);
}

/* Forgets the texts of turns far from what is shown (C2). */
static void texts_trim(struct chat *c)
{
    size_t loaded = 0;
    for (size_t i = 0; i < c->count; i++)
        loaded += c->turns[i]->loaded;
    for (size_t i = 0; i < c->count && loaded > LOADED_MAX; i++) {
        struct chat_turn *t = c->turns[i];
        bool near = i + LOADED_MAX / 3 > c->top && i < c->top + LOADED_MAX / 3;
        if (t->loaded && !t->running && t->trace_id[0] && !near) {
            chat_turn_unload(t);
            loaded--;
        }
    }
}

/* ---- asking */

static void on_asked(void *self, const json_t *result, const struct error *e)
{
    struct chat *c = self;
    struct chat_turn *t = NULL;
    for (size_t i = 0; i < c->count && !t; i++)
        if (!c->turns[i]->trace_id[0] && c->turns[i]->running)
            t = c->turns[i];
    if (!result) {
        if (t)
            chat_turn_fail(t, e);
        count_running(c);
        tui_error(e, "chat.ask");
        return;
    }
    const char *id = json_str(result, "trace_id", "");
    snprintf(c->conversation, sizeof(c->conversation), "%s", json_str(result, "conversation", ""));
    if (turn_find(c, id) == NULL && t)
        snprintf(t->trace_id, sizeof(t->trace_id), "%s", id);
    else if (t && turn_find(c, id) != t)
        turn_remove(c, t); /* an event came first and made the turn */
    tui_dirty();
}

static void ask(struct chat *c)
{
    const char *text = tui_input_text(&c->input);
    if (!text[strspn(text, " \n\t")])
        return;
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
    if (again)
        json_puts(params, "again", again);
    if (c->conversation[0])
        json_puts(params, "conversation", c->conversation);
    turn_append(c, chat_turn_asked(text));
    c->follow = c->at_end = true;
    count_running(c);
    tui_call(c, WIRE_chat_ask, params, on_asked);
    tui_dirty_in(TICK_MS);
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
    struct chat_turn *t = c->count ? turn_read(c) : NULL;
    *trace_id = t ? t->trace_id : "";
    return t ? t->question : NULL;
}

/* ---- scrolling */

/* Lines from the first turn's start to what is shown, and in all. */
static long lines_all(struct chat *c, long *before_top)
{
    long sum = 0;
    *before_top = 0;
    for (size_t i = 0; i < c->count; i++) {
        if (i == c->top)
            *before_top = sum + c->top_line;
        sum += chat_turn_lines(c->turns[i], c->width);
    }
    return sum;
}

static void top_set(struct chat *c, long line)
{
    c->top = 0;
    if (line < 0)
        line = 0;
    while (c->top + 1 < c->count && line >= c->turns[c->top]->lines) {
        line -= c->turns[c->top]->lines;
        c->top++;
    }
    c->top_line = (int)line;
}

/* Chooses what is shown (C3). */
static void top_follow(struct chat *c)
{
    long top, all = lines_all(c, &top), height = c->height;
    const struct chat_turn *last = c->turns[c->count - 1];
    long start = all - last->lines; /* of the newest question */
    if (!last->running)
        top = last->lines > height ? start : all - height;
    else if (all > top + height)
        top = all - start <= height ? start : all - height / 4;
    else if (all < top + height / 8) /* it became shorter: text that is laid out anew may */
        top = all - height;
    top_set(c, top);
}

static void scroll(struct chat *c, long rows)
{
    long top, all = lines_all(c, &top), last = all - c->height > 0 ? all - c->height : 0;
    bool blank_below = top > last; /* the room that following left: going down stays there */
    long want = top + rows;
    c->follow = false;
    c->at_end = want >= last;
    if (c->at_end) {
        want = blank_below && rows > 0 ? top : last;
        c->follow = c->count && c->turns[c->count - 1]->running;
    }
    if (want < 0)
        want = 0;
    top_set(c, want);
    if (want < c->height && c->more && c->count)
        history_ask(c, c->turns[0]->rowid);
    tui_dirty();
}

/* The turn that is being read: of those in sight the one with the most lines, the lower of two. */
static struct chat_turn *turn_read(const struct chat *c)
{
    struct chat_turn *best = NULL;
    long most = 0, y = -(long)c->top_line;
    for (size_t i = c->top; i < c->count && y < c->height; i++) {
        long from = y < 0 ? 0 : y, to = y + c->turns[i]->lines;
        to = to > c->height ? c->height : to;
        if (to - from >= most) {
            most = to - from;
            best = c->turns[i];
        }
        y += c->turns[i]->lines;
    }
    return best;
}

/* To the next question, or to the one before. */
static void turn_step(struct chat *c, int step)
{
    long rows = 0;
    if (!c->count)
        return;
    if (step < 0 && c->top_line > 0)
        rows = -c->top_line;
    else if (step < 0 && c->top > 0)
        rows = -chat_turn_lines(c->turns[c->top - 1], c->width);
    else if (step > 0)
        rows = chat_turn_lines(c->turns[c->top], c->width) - c->top_line;
    scroll(c, rows);
}

/* Loads what is searched: the texts of turns far away may have been forgotten (C2). */
static bool chat_find(void *self, const char *text, int step)
{
    struct chat *c = self;
    free(c->needle);
    c->needle = *text ? xstrdup(text) : NULL;
    int way = step < 0 ? -1 : 1;
    for (size_t n = 0; c->needle && n <= c->count && c->count; n++) {
        /* Without a step the search goes on from the first turn when the end was reached. */
        long at = (long)c->top + way * (long)n;
        if (step == 0)
            at %= (long)c->count;
        if (at < 0 || at >= (long)c->count)
            break;
        struct chat_turn *t = c->turns[at];
        long from = n ? (way > 0 ? 0 : chat_turn_lines(t, c->width)) : c->top_line + step;
        long line = chat_turn_find(t, c->width, text, from, way);
        if (line < 0)
            continue;
        c->follow = c->at_end = false;
        c->top = (size_t)at;
        c->top_line = (int)line;
        tui_dirty();
        return true;
    }
    return false;
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
            turn_fetch(c, t);
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
    if (focused && !c->writing)
        x += tui_putf(a, y, x, -1, ROLE_ACCENT, " %s ", _("reading; i writes"));
    long top, all = lines_all(c, &top), below = all - top - c->height;
    struct buf b = {0};
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

static void chat_draw(void *self, struct tui_area a, bool focused)
{
    struct chat *c = self;
    int most = a.height / 3 < INPUT_ROWS_MAX ? a.height / 3 : INPUT_ROWS_MAX;
    int rows = tui_input_rows(&c->input, a.width - 1);
    if (rows > most)
        rows = most < 1 ? 1 : most;
    c->height = a.height - rows - 1;
    c->width = a.width - 1;
    c->input_y = a.height - rows;
    struct tui_area text = tui_sub(a, 0, 0, c->height, c->width);
    int level = a.height >= ROOMY ? 0 : a.height >= TIGHT ? 1 : 2;
    for (size_t i = 0; i < c->count; i++)
        chat_turn_tighten(c->turns[i], level);
    if (c->count == 0) {
        if (c->opened)
            empty_draw(text);
        else
            tui_put(text, 1, 1, -1, ROLE_DIM,
                    _("The history comes when the backend is ready; write meanwhile."));
    } else {
        if (c->follow)
            top_follow(c);
        else if (c->top < c->count && c->top_line >= chat_turn_lines(c->turns[c->top], c->width))
            c->top_line = c->turns[c->top]->lines - 1;
        turns_draw(c, text, focused && !c->writing ? turn_read(c) : NULL);
        texts_trim(c);
    }
    rule_draw(c, a, c->height, focused);
    if (focused && c->writing)
        chat_complete_draw(c, text);
    tui_input_draw(&c->input, tui_sub(a, c->input_y, 0, rows, a.width - 1), focused && c->writing);
    if (focused && !c->writing)
        tui_cursor(text, c->height - 1, 0);
}

/* ---- keys */

static void copy_answer(struct chat *c)
{
    struct chat_turn *t = turn_read(c);
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
    struct chat_turn *t = turn_read(c);
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
    struct chat_turn *t = turn_read(c);
    struct tui_text *text = t ? chat_turn_sources(t) : NULL;
    if (text)
        tui_overlay(_("Sources"), text);
    else
        tui_say("%s", _("there are no sources here"));
}

static void trace_open(struct chat *c)
{
    struct chat_turn *t = turn_read(c);
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
        scroll(c, -1);
        return true;
    case ACTION_DOWN:
        scroll(c, 1);
        return true;
    case ACTION_PAGE_UP:
        scroll(c, -page);
        return true;
    case ACTION_PAGE_DOWN:
        scroll(c, page);
        return true;
    case ACTION_TOP:
        scroll(c, -1000000000L);
        return true;
    case ACTION_BOTTOM:
        scroll(c, 1000000000L);
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
    case ACTION_TURN_NEXT:
    case ACTION_TURN_PREV:
        turn_step(c, action == ACTION_TURN_NEXT ? 1 : -1);
        return true;
    case ACTION_BACK:
        if (!c->writing && !c->needle)
            return false;
        if (!c->writing)
            chat_find(c, "", 0);
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
    return ((struct chat *)self)->writing;
}

static bool chat_click(void *self, int y, int x, bool twice)
{
    struct chat *c = self;
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

static void chat_wheel(void *self, int rows)
{
    scroll(self, rows);
}

/* ---- events */

static void chat_event(void *self, const char *type, int64_t at, const json_t *data)
{
    struct chat *c = self;
    const char *id = json_str(data, "trace_id", "");
    (void)at;
    if (!strcmp(type, "token")) {
        struct chat_turn *t = turn_for(c, id, NULL);
        if (t)
            chat_turn_token(t, json_str(data, "model", ""), json_str(data, "text", ""));
    } else if (!strcmp(type, "turn")) {
        struct chat_turn *t = turn_for(c, id, json_str(data, "question", ""));
        if (t)
            chat_turn_set(t, data);
    } else if (!strcmp(type, "stage")) {
        struct chat_turn *t = turn_for(c, id, NULL);
        if (t)
            chat_turn_stages(t, json_object_get(data, "stages"));
    } else if (!strcmp(type, "pace")) {
        struct chat_turn *t = turn_find(c, id);
        if (t)
            chat_turn_pace(t, json_object_get(data, "models"));
    } else {
        chat_commands_event(c, type, data);
        return;
    }
    count_running(c);
    tui_dirty();
}

static void chat_resync(void *self)
{
    struct chat *c = self;
    for (size_t i = 0; i < c->count; i++)
        if (c->turns[i]->running)
            turn_fetch(c, c->turns[i]);
    json_t *params = json_object();
    json_puti(params, "limit", PAGE_TURNS);
    tui_call(c, WIRE_chat_history, params, on_history);
}

static void chat_open(void *self)
{
    struct chat *c = self;
    c->writing = true;
    c->follow = c->at_end = true;
    history_ask(c, 0);
    chat_commands_refresh(c);
}

static void chat_close(void *self)
{
    struct chat *c = self;
    for (size_t i = 0; i < c->count; i++)
        chat_turn_free(c->turns[i]);
    free(c->turns);
    free(c->needle);
    tui_form_drop(c);
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
    .open = chat_open,
    .close = chat_close,
    .draw = chat_draw,
    .action = chat_action,
    .text = chat_text,
    .typing = chat_typing,
    .click = chat_click,
    .wheel = chat_wheel,
    .find = chat_find,
    .event = chat_event,
    .resync = chat_resync,
    .badge = chat_badge,
};
