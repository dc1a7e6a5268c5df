/* Approvals: plans of changes, what each will do, and the keys that approve, reject, run and stop.
 * A plan is approved only while it is shown whole. */
#include "views/approvals.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COL_STATE, COL_RISK, COL_TITLE, COL_STEPS, COL_PERSONS, COL_AGE };
static const struct tui_column columns[] = {{"state", 12, false, 0},  {"risk", 8, false, 3},
                                            {"title", 0, false, 0},   {"steps", 6, true, 4},
                                            {"persons", 8, false, 2}, {"age", 6, true, 1}};

static const json_t *row_at(const struct approvals *v, size_t row)
{
    return json_array_get(v->plans, row);
}

static size_t list_count(void *arg)
{
    return json_array_size(((struct approvals *)arg)->plans);
}

static const char *list_id(void *arg, size_t row)
{
    return json_str(row_at(arg, row), "id", "");
}

static size_t steps_done(const json_t *plan)
{
    size_t i, n = 0;
    json_t *step;
    json_array_foreach(json_object_get(plan, "steps"), i, step)
    {
        n += !strcmp(json_str(step, "state", ""), "done");
    }
    return n;
}

static enum tui_role risk_role(const char *risk)
{
    return !strcmp(risk, "high") ? ROLE_FAIL : !strcmp(risk, "medium") ? ROLE_WARN : ROLE_DIM;
}

static void list_cell(void *arg, size_t row, int column, struct buf *out, enum tui_role *role)
{
    const json_t *p = row_at(arg, row);
    char ago[16];
    switch (column) {
    case COL_STATE:
        buf_adds(out, _(json_str(p, "state", "unknown")));
        break;
    case COL_RISK:
        *role = risk_role(json_str(p, "risk", ""));
        buf_adds(out, _(json_str(p, "risk", "-")));
        break;
    case COL_TITLE:
        buf_adds(out, json_str(p, "title", "-"));
        break;
    case COL_STEPS:
        buf_addf(out, "%zu/%zu", steps_done(p), json_array_size(json_object_get(p, "steps")));
        break;
    case COL_PERSONS:
        *role = ROLE_DIM;
        buf_addf(out, _("%zu of %d"), json_array_size(json_object_get(p, "approvals")),
                 (int)json_int(p, "needed", 0));
        break;
    default:
        *role = ROLE_DIM;
        tui_ago(view_at(p, "at"), ago);
        buf_adds(out, ago);
    }
}

static bool list_draw(void *arg, size_t row, int column, struct tui_area a)
{
    if (column == COL_STATE)
        tui_put_state(a, 0, 0, json_str(row_at(arg, row), "state", "unknown"), true);
    return column == COL_STATE;
}

static const struct tui_list_ops list_ops = {
    .count = list_count, .cell = list_cell, .draw = list_draw, .id = list_id};

/* ---- data */

static void got_list(void *self, const json_t *result, const struct error *e)
{
    struct approvals *v = self;
    view_ask_done(&v->ask);
    view_keep_error(&v->error, result ? NULL : e);
    if (result) {
        json_decref(v->plans);
        v->plans = json_deep_copy(json_object_get(result, "plans"));
        tui_list_changed(v->list);
    }
    tui_dirty();
}

static void ask_list(struct approvals *v)
{
    if (view_ask_now(&v->ask))
        tui_call(v, WIRE_plans_list, NULL, got_list);
}

static void shown(struct approvals *v, const json_t *plan)
{
    json_decref(v->plan);
    v->plan = json_deep_copy(plan);
    view_plan_text(v->text, v->plan);
    tui_dirty();
}

static void got_plan(void *self, const json_t *result, const struct error *e)
{
    struct approvals *v = self;
    if (!result)
        tui_error(e, _("plan"));
    else if (v->open && !strcmp(v->open, json_str(result, "id", "")))
        shown(v, result);
}

static void open_plan(struct approvals *v, const char *id)
{
    char *copy = id ? xstrdup(id) : NULL;
    free(v->open);
    v->open = copy;
    v->scroll = (struct view_scroll){0};
    json_decref(v->plan);
    v->plan = NULL;
    tui_text_clear(v->text);
    if (copy) {
        json_t *params = json_object();
        json_puts(params, "id", copy);
        tui_call(v, WIRE_plans_get, params, got_plan);
    }
    tui_dirty();
}

/* ---- what persons do */

static void decided(void *self, const json_t *result, const struct error *e)
{
    struct approvals *v = self;
    if (!result)
        tui_error(e, _("plan"));
    else if (v->open && !strcmp(v->open, json_str(result, "id", "")))
        shown(v, result);
    ask_list(v);
}

static json_t *about(const struct approvals *v)
{
    json_t *params = json_object();
    json_puts(params, "id", json_str(v->plan, "id", ""));
    return params;
}

static void approve(void *arg)
{
    struct approvals *v = arg;
    json_t *params = about(v);
    json_puts(params, "hash", json_str(v->plan, "hash", "")); /* of what is on the screen */
    tui_call(v, WIRE_plans_approve, params, decided);
}

static void run(void *arg)
{
    struct approvals *v = arg;
    tui_call(v, WIRE_plans_run, about(v), decided);
}

static void reject(void *arg, const char *text)
{
    struct approvals *v = arg;
    if (!*text) {
        tui_say("%s", _("a reason is needed: it stays in the log"));
        return;
    }
    json_t *params = about(v);
    json_puts(params, "reason", text);
    tui_call(v, WIRE_plans_reject, params, decided);
}

/* "verify", "done 2": an outcome, and of which step; without a number of the first unknown one. */
static void resolve(void *arg, const char *text)
{
    struct approvals *v = arg;
    char outcome[16] = "";
    int step = 0;
    size_t i;
    json_t *row;
    if (sscanf(text, "%15s %d", outcome, &step) < 1)
        return;
    json_array_foreach(json_object_get(v->plan, "steps"), i, row)
    {
        bool unknown = !strcmp(json_str(row, "state", ""), "unknown") ||
                       !strcmp(json_str(row, "undo", ""), "unknown");
        step = !step && unknown ? (int)i + 1 : step;
    }
    json_t *params = about(v);
    json_puts(params, "outcome", outcome);
    if (step > 0 && strcmp(outcome, "undo") != 0 && strcmp(outcome, "close") != 0)
        json_puti(params, "step", step - 1);
    tui_call(v, WIRE_plans_resolve, params, decided);
}

static void confirm(struct approvals *v, const char *question, void (*answer)(void *arg))
{
    char short_id[16];
    tui_short_id(json_str(v->plan, "hash", ""), short_id);
    char *text = xasprintf("%s  %s  %s %s", question, json_str(v->plan, "title", ""),
                           _(json_str(v->plan, "risk", "")), short_id);
    tui_confirm(text, answer, v);
    free(text);
}

static bool act(struct approvals *v, enum tui_action action)
{
    switch (action) {
    case ACTION_APPROVE:
        confirm(v, _("Approve?"), approve);
        return true;
    case ACTION_REJECT:
        tui_prompt(_("Reject, because: "), "", reject, v);
        return true;
    case ACTION_RUN:
        confirm(v, _("Run it?"), run);
        return true;
    case ACTION_HALT:
        tui_call(v, WIRE_plans_stop, about(v), decided);
        return true;
    case ACTION_RESOLVE:
        tui_prompt(_("verify, done, not_done, undo or close: "), "verify", resolve, v);
        return true;
    default:
        return false;
    }
}

/* ---- drawing */

static void draw_plan(struct approvals *v, struct tui_area a, bool focused)
{
    struct view_page p = view_page_begin(&v->scroll, tui_sub(a, 0, 1, a.height, a.width - 1));
    view_page_text(&p, v->text);
    view_page_end(&v->scroll, &p);
    if (focused)
        tui_cursor(a, 0, 0);
}

static void view_draw(void *self, struct tui_area a, bool focused)
{
    struct approvals *v = self;
    if (view_ask_due(&v->ask))
        tui_call(v, WIRE_plans_list, NULL, got_list);
    if (v->open && v->plan)
        draw_plan(v, a, focused);
    else if (v->open)
        view_note(a, ROLE_DIM, _("Waiting for the plan."), NULL);
    else if (v->error && !v->plans)
        view_note(a, ROLE_FAIL, v->error, _("r asks again"));
    else if (!v->plans)
        view_note(a, ROLE_DIM, _("Waiting for the plans."), NULL);
    else if (!json_array_size(v->plans))
        view_note(
            a, ROLE_DIM, _("No plan was proposed."),
            _("A question that orders a change proposes one, and so does the form of a tool."));
    else
        tui_list_draw(v->list, a, focused, a.height >= 8);
}

/* ---- the view */

static void view_open(void *self)
{
    struct approvals *v = self;
    v->list = tui_list_new(columns, sizeof(columns) / sizeof(columns[0]), &list_ops, v);
    v->text = tui_text_new();
    ask_list(v);
}

static void view_close(void *self)
{
    struct approvals *v = self;
    tui_list_free(v->list);
    tui_text_free(v->text);
    json_decref(v->plans);
    json_decref(v->plan);
    free(v->error);
    free(v->open);
}

static bool is_decision(enum tui_action action)
{
    return action == ACTION_APPROVE || action == ACTION_REJECT || action == ACTION_RUN ||
           action == ACTION_HALT || action == ACTION_RESOLVE;
}

static bool view_action(void *self, enum tui_action action)
{
    struct approvals *v = self;
    long row = tui_list_selected(v->list);
    if (is_decision(action) && v->open && v->plan)
        return act(v, action);
    if ((action == ACTION_OPEN || is_decision(action)) && !v->open && row >= 0) {
        open_plan(v, list_id(v, (size_t)row));
        if (action != ACTION_OPEN)
            tui_say("%s", _("read it first, then press the key again"));
        return true;
    }
    if (action == ACTION_REFRESH) {
        v->ask = (struct view_ask){0};
        ask_list(v);
        return true;
    }
    if (action == ACTION_EVIDENCE && v->plan) {
        char id[32];
        const json_t *entries = json_object_get(v->plan, "entries");
        snprintf(id, sizeof(id), "%lld", (long long)json_integer_value(json_array_get(entries, 0)));
        tui_show_item("evidence", id);
        return true;
    }
    if (action == ACTION_BACK && v->open) {
        open_plan(v, NULL);
        ask_list(v);
        return true;
    }
    if (action == ACTION_COPY && v->open) {
        char *text = tui_text_plain(v->text);
        tui_copy(text);
        free(text);
        return true;
    }
    return v->open ? view_scroll_action(&v->scroll, action) : tui_list_action(v->list, action);
}

static bool view_click(void *self, int y, int x, bool twice)
{
    struct approvals *v = self;
    bool took = !v->open && v->plans && tui_list_click(v->list, y, x, twice);
    if (took && twice)
        view_action(v, ACTION_OPEN);
    return took;
}

static void view_wheel(void *self, int rows)
{
    struct approvals *v = self;
    if (v->open)
        view_scroll_by(&v->scroll, rows);
    else
        tui_list_wheel(v->list, rows);
}

static void view_event(void *self, const char *type, int64_t at, const json_t *data)
{
    struct approvals *v = self;
    (void)at;
    if (strcmp(type, "plan") != 0)
        return;
    if (v->open && !strcmp(v->open, json_str(data, "id", "")))
        shown(v, data);
    for (size_t i = 0; i < json_array_size(v->plans); i++)
        if (!strcmp(list_id(v, i), json_str(data, "id", ""))) {
            json_array_set_new(v->plans, i, json_deep_copy(data));
            tui_list_changed(v->list);
            tui_dirty();
            return;
        }
    ask_list(v);
}

static void view_resync(void *self)
{
    ask_list(self);
}

/* How many wait for somebody. */
static void view_badge(void *self, char *out, size_t size, enum tui_role *role)
{
    static const char *const WAIT[] = {"proposed", "approved", "unknown", "stopped"};
    struct approvals *v = self;
    size_t n = 0;
    *out = 0;
    for (size_t i = 0; i < json_array_size(v->plans); i++)
        for (size_t w = 0; w < 4; w++)
            n += !strcmp(json_str(row_at(v, i), "state", ""), WAIT[w]);
    *role = ROLE_WARN;
    if (n)
        snprintf(out, size, "%s%zu", tui_glyph(GLYPH_WARN), n);
}

static void view_show(void *self, const char *id)
{
    open_plan(self, id);
}

static struct tui_list *view_list(void *self)
{
    struct approvals *v = self;
    return v->open ? NULL : v->list;
}

static const enum tui_action actions[] = {
    ACTION_OPEN,   ACTION_APPROVE, ACTION_REJECT,   ACTION_RUN,     ACTION_HALT, ACTION_RESOLVE,
    ACTION_FILTER, ACTION_SORT,    ACTION_EVIDENCE, ACTION_REFRESH, ACTION_NONE};
const struct view_ops view_approvals_ops = {.name = "approvals",
                                            .size = sizeof(struct approvals),
                                            .actions = actions,
                                            .open = view_open,
                                            .close = view_close,
                                            .draw = view_draw,
                                            .action = view_action,
                                            .click = view_click,
                                            .wheel = view_wheel,
                                            .event = view_event,
                                            .resync = view_resync,
                                            .badge = view_badge,
                                            .show = view_show,
                                            .list = view_list};
