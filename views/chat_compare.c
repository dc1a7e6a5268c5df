/* A turn's candidates side by side, or one under the other where it is narrow: a page over the
 * chat. */
#include "views/chat.h"
#include <stdlib.h>
#include <string.h>

static void got_trace(void *self, const json_t *result, const struct error *e)
{
    struct chat *c = self;
    struct chat_compare *k = &c->compare;
    if (!result) {
        tui_error(e, "traces.get");
        return;
    }
    if (strcmp(json_str(result, "trace_id", ""), k->trace_id) != 0)
        return; /* another one was asked for since */
    json_t *old = k->trace;
    k->trace = json_incref((json_t *)result); /* nobody changes it */
    trace_page_set(&k->page, k->trace);
    json_decref(old);
    tui_dirty();
}

static void ask(struct chat *c)
{
    json_t *params = json_object();
    json_puts(params, "trace_id", c->compare.trace_id);
    tui_call(c, WIRE_traces_get, params, got_trace);
}

static void draw(struct chat *c, struct tui_area a, bool focused)
{
    struct chat_compare *k = &c->compare;
    tui_fill(a, 0, 0, a.width, ROLE_RULE, GLYPH_RULE);
    tui_putf(a, 0, 1, -1, ROLE_TITLE_FOCUS, " %s ", _("Candidates"));
    struct tui_area page = tui_sub(a, 1, 1, a.height - 1, a.width - 1);
    if (k->trace)
        trace_page_compare(&k->page, page);
    else
        tui_put(page, 0, 0, -1, ROLE_DIM, _("asking the backend"));
    if (focused)
        tui_cursor(page, 0, 0);
}

static bool action(struct chat *c, enum tui_action action)
{
    return view_scroll_action(&c->compare.page.scroll, action);
}

static void wheel(struct chat *c, int rows)
{
    view_scroll_by(&c->compare.page.scroll, rows);
}

static bool find(struct chat *c, const char *text, int step)
{
    return trace_page_find(&c->compare.page, text, step);
}

static const enum tui_action takes[] = {ACTION_NONE};
static const enum tui_action hints[] = {ACTION_BACK, ACTION_FILTER, ACTION_NONE};
static const struct chat_panel panel = {
    .takes = takes, .hints = hints, .draw = draw, .action = action, .wheel = wheel, .find = find};

void chat_compare_open(struct chat *c, const struct chat_turn *t)
{
    struct chat_compare *k = &c->compare;
    size_t n = json_array_size(json_object_get(t ? t->trace : NULL, "candidates"));
    if (n < 2) {
        tui_say("%s", n ? _("one model answered: there is nothing to compare")
                        : _("there is no answer here"));
        return;
    }
    if (!k->opened)
        trace_page_open(&k->page);
    k->opened = true;
    trace_page_set(&k->page, NULL);
    json_decref(k->trace);
    k->trace = NULL;
    k->page.scroll = (struct view_scroll){0};
    view_finder_release(&k->page.finder);
    snprintf(k->trace_id, sizeof k->trace_id, "%s", t->trace_id);
    c->panel = &panel;
    ask(c);
}

void chat_compare_event(struct chat *c, const char *trace_id)
{
    if (c->panel == &panel && !strcmp(c->compare.trace_id, trace_id))
        ask(c);
}

void chat_compare_release(struct chat_compare *k)
{
    if (k->opened)
        trace_page_close(&k->page);
    json_decref(k->trace);
}
