/* The turns of the chat, and what is shown of them; see chat.h. */
#include "views/chat.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_TURNS = 50, LOADED_MAX = 120 };

/* ---- turns */

struct chat_turn *chat_history_find(struct chat *c, const char *trace_id)
{
    for (size_t i = c->count; i-- > 0;)
        if (!strcmp(c->turns[i]->trace_id, trace_id))
            return c->turns[i];
    return NULL;
}

void chat_history_append(struct chat *c, struct chat_turn *t)
{
    c->turns = xrealloc(c->turns, (c->count + 1) * sizeof(*c->turns));
    c->turns[c->count++] = t;
    c->follow |= c->at_end;
}

void chat_history_count(const struct chat *c)
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
    struct chat_turn *t = chat_history_find(c, json_str(result, "trace_id", ""));
    if (t)
        chat_turn_set(t, result);
    tui_dirty();
}

void chat_history_fetch(struct chat *c, struct chat_turn *t)
{
    if (t->fetching || !t->trace_id[0])
        return;
    t->fetching = true;
    json_t *params = json_object();
    json_puts(params, "trace_id", t->trace_id);
    tui_call(c, WIRE_traces_get, params, on_trace);
}

struct chat_turn *chat_history_turn(struct chat *c, const char *trace_id, const json_t *turn)
{
    const char *question = turn ? json_str(turn, "question", "") : NULL;
    if (!*trace_id)
        return NULL;
    struct chat_turn *t = chat_history_find(c, trace_id);
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
    if (c->only && strcmp(json_str(turn, "conversation", ""), c->conversation) != 0)
        return NULL; /* of another conversation, or nobody knows yet */
    t = chat_turn_new(trace_id);
    chat_history_append(c, t);
    if (!question)
        chat_history_fetch(c, t);
    return t;
}

void chat_history_remove(struct chat *c, struct chat_turn *t)
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
        struct chat_turn *t = *id ? chat_history_find(c, id) : NULL;
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
    c->asked--;
    if (c->dropped) { /* answers come in the order of the calls */
        c->dropped--;
        return;
    }
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

static void page_ask(struct chat *c, json_t *params)
{
    json_puti(params, "limit", PAGE_TURNS);
    if (c->only)
        json_puts(params, "conversation", c->conversation);
    c->asked++;
    tui_call(c, WIRE_chat_history, params, on_history);
}

void chat_history_ask(struct chat *c, int64_t before)
{
    if (c->asking_older)
        return;
    c->asking_older = true;
    json_t *params = json_object();
    if (before > 0)
        json_puti(params, "before", before);
    page_ask(c, params);
    chat_commands_refresh(c);
}

void chat_history_resync(struct chat *c)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->turns[i]->running)
            chat_history_fetch(c, c->turns[i]);
    page_ask(c, json_object());
}

static void turns_free(struct chat *c)
{
    for (size_t i = 0; i < c->count; i++)
        chat_turn_free(c->turns[i]);
    c->count = c->top = 0;
    c->top_line = 0;
    c->code_of = NULL;
    free(c->needle);
    c->needle = NULL;
}

void chat_history_reset(struct chat *c, const char *conversation)
{
    turns_free(c);
    snprintf(c->conversation, sizeof(c->conversation), "%s", conversation);
    c->only = *conversation != 0;
    c->dropped = c->asked;
    c->more = c->asking_older = false;
    c->follow = c->at_end = true;
    chat_history_count(c);
    chat_history_ask(c, 0);
    tui_dirty();
}

/* Forgets the texts of turns far from what is shown (C2). */
void chat_history_trim(struct chat *c)
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

/* ---- scrolling */

/* Lines from the first turn's start to what is shown, and in all. */
long chat_history_lines(struct chat *c, long *before_top)
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
void chat_history_follow(struct chat *c)
{
    long top, all = chat_history_lines(c, &top), height = c->height;
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

void chat_history_scroll(struct chat *c, long rows)
{
    long top, all = chat_history_lines(c, &top), last = all - c->height > 0 ? all - c->height : 0;
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
        chat_history_ask(c, c->turns[0]->rowid);
    tui_dirty();
}

/* The turn that is being read: the last one while it is followed, else of those in sight the one
 * with the most lines, the lower of two. */
struct chat_turn *chat_history_read(const struct chat *c)
{
    struct chat_turn *best = NULL, *last = c->count ? c->turns[c->count - 1] : NULL;
    long most = 0, y = -(long)c->top_line;
    if (c->follow && last && !last->running) /* what came last, however short */
        return last;
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
void chat_history_step(struct chat *c, int step)
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
    chat_history_scroll(c, rows);
}

/* Loads what is searched: the texts of turns far away may have been forgotten (C2). */
bool chat_history_search(struct chat *c, const char *text, int step)
{
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

void chat_history_release(struct chat *c)
{
    turns_free(c);
    free(c->turns);
}
