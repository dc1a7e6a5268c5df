/* Connector health: one row a connector, Enter for one whole. */
#include "views/connectors.h"
#include "tui/form.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COL_STATE, COL_NAME, COL_HISTORY, COL_LATENCY, COL_NOTE, COL_REGION, COL_VERSION };
static const struct tui_column columns[] = {
    {"state", 10, false, 0}, {"name", 12, false, 0},  {"latency", 10, true, 4}, {"now", 7, true, 1},
    {"note", -20, false, 2}, {"region", 6, false, 6}, {"version", 10, false, 7}};
enum { PANEL_LEAST = 4, EARLY_MOST = 8, EARLY_MS = 1000 };

static const json_t *row_at(const struct connectors *c, size_t row)
{
    return json_array_get(c->rows, row);
}

static size_t list_count(void *arg)
{
    return json_array_size(((struct connectors *)arg)->rows);
}

static const char *list_id(void *arg, size_t row)
{
    return json_str(row_at(arg, row), "name", "");
}

/* What went wrong and when it is tried again; otherwise what it offers. */
static void note(const json_t *r, struct buf *out, enum tui_role *role)
{
    const char *state = json_str(r, "state", "unknown"), *error = json_str(r, "last_error", "");
    char text[16];
    bool bad = !strcmp(state, "warn") || !strcmp(state, "fail") || !strcmp(state, "starting") ||
               !strcmp(state, "sign-in");
    if (bad && *error) {
        *role = !strcmp(state, "fail") ? ROLE_FAIL : ROLE_WARN;
        double retry = json_num(r, "retry_in_ms", -1);
        buf_adds(out, error);
        if (view_at(r, "last_error_at") > 0) {
            tui_ago(view_at(r, "last_error_at"), text);
            buf_addf(out, "  %s", text);
        }
        if (retry >= 0) {
            tui_duration(retry, text);
            buf_addf(out, _("  retry in %s"), text);
        }
        return;
    }
    *role = ROLE_DIM;
    if (json_is_integer(json_object_get(r, "tools")))
        buf_addf(out, _("%d tools, "), (int)json_int(r, "tools", 0));
    buf_adds(out, _(json_str(r, "level", "-")));
}

static void list_cell(void *arg, size_t row, int column, struct buf *out, enum tui_role *role)
{
    const json_t *r = row_at(arg, row);
    char text[16];
    switch (column) {
    case COL_STATE:
        buf_adds(out, json_str(r, "state", "unknown"));
        break;
    case COL_NAME:
        buf_adds(out, json_str(r, "name", "-"));
        break;
    case COL_LATENCY:
        tui_duration(json_num(r, "latency_ms", -1), text);
        buf_adds(out, text);
        break;
    case COL_NOTE:
        note(r, out, role);
        break;
    case COL_REGION:
        buf_adds(out, *json_str(r, "region", "") ? json_str(r, "region", "") : "-");
        break;
    case COL_VERSION:
        *role = ROLE_DIM;
        buf_adds(out, *json_str(r, "version", "") ? json_str(r, "version", "") : "-");
        break;
    default:
        break;
    }
}

static bool list_draw(void *arg, size_t row, int column, struct tui_area a)
{
    const json_t *r = row_at(arg, row);
    if (column == COL_STATE) {
        tui_put_state(a, 0, 0, json_str(r, "state", "unknown"), true);
        return true;
    }
    if (column != COL_HISTORY)
        return false;
    size_t n;
    double *values = view_values(json_object_get(r, "history"), NULL, &n);
    tui_sparkline(a, 0, 0, a.width, ROLE_CHART, values, n);
    free(values);
    return true;
}

static int severity(const json_t *r)
{
    static const char *const order[] = {"fail", "warn", "sign-in", "starting", "ok", "disabled"};
    for (int i = 0; i < 6; i++)
        if (!strcmp(order[i], json_str(r, "state", "")))
            return i;
    return 6;
}

static int list_compare(void *arg, size_t a, size_t b, int column)
{
    const json_t *x = row_at(arg, a), *y = row_at(arg, b);
    if (column == COL_STATE)
        return severity(x) - severity(y);
    if (column == COL_LATENCY || column == COL_HISTORY) {
        double p = json_num(x, "latency_ms", -1), q = json_num(y, "latency_ms", -1);
        return (p > q) - (p < q);
    }
    struct buf s = {0}, t = {0};
    enum tui_role role = ROLE_TEXT;
    list_cell(arg, a, column, &s, &role);
    list_cell(arg, b, column, &t, &role);
    int order = strcmp(s.data ? s.data : "", t.data ? t.data : "");
    buf_release(&s);
    buf_release(&t);
    return order;
}

static const struct tui_list_ops list_ops = {.count = list_count,
                                             .cell = list_cell,
                                             .draw = list_draw,
                                             .id = list_id,
                                             .compare = list_compare};

/* ---- asking */

static void got_rows(void *self, const json_t *result, const struct error *e)
{
    struct connectors *c = self;
    view_ask_done(&c->ask);
    view_keep_error(&c->error, result ? NULL : e);
    if (result) {
        json_decref(c->rows);
        c->rows = json_deep_copy(json_object_get(result, "connectors"));
        tui_list_changed(c->list);
    }
    tui_dirty();
}

void connectors_ask_rows(struct connectors *c)
{
    if (view_ask_now(&c->ask))
        tui_call(c, WIRE_connectors_list, NULL, got_rows);
}

static void got_detail(void *self, const json_t *result, const struct error *e)
{
    struct connectors *c = self;
    view_ask_done(&c->ask_detail);
    if (!result && c->open)
        tui_error(e, c->open);
    if (result && c->open && !strcmp(c->open, json_str(result, "name", ""))) {
        json_decref(c->detail);
        c->detail = json_deep_copy(result);
        connector_page_got(c);
    }
    tui_dirty();
}

void connectors_ask_detail(struct connectors *c)
{
    if (c->open && view_ask_now(&c->ask_detail))
        tui_call(c, WIRE_connectors_get, json_pack("{s:s}", "name", c->open), got_detail);
}

/* ---- the view */

static void view_open(void *self)
{
    struct connectors *c = self;
    c->list = tui_list_new(columns, sizeof(columns) / sizeof(columns[0]), &list_ops, c);
    c->text = tui_text_new();
    c->tools = connector_tools_list(c);
    c->list_of_things = connector_things_list(c);
    connectors_ask_rows(c);
}

static void view_close(void *self)
{
    struct connectors *c = self;
    tui_form_drop(c);
    tui_list_free(c->list);
    tui_list_free(c->tools);
    tui_list_free(c->list_of_things);
    json_decref(c->things);
    free(c->things_error);
    tui_text_free(c->text);
    json_decref(c->rows);
    json_decref(c->detail);
    free(c->open);
    free(c->error);
    free(c->asked);
    free(c->asked_tool);
    json_decref(c->arguments);
    connector_answer_drop(c);
    free(c->tool);
    free(c->called);
}

/* The first checks end a moment after the start: until each has a latency, ask once a second. */
static void ask_early(struct connectors *c, bool focused)
{
    bool came = focused && !c->focused, unknown = false;
    c->focused = focused;
    for (size_t i = 0; i < json_array_size(c->rows); i++)
        unknown |= json_num(json_array_get(c->rows, i), "latency_ms", -1) < 0;
    if (came && c->rows)
        c->early = 0;
    if (came && c->rows && view_ask_now(&c->ask))
        tui_call(c, WIRE_connectors_list, NULL, got_rows);
    else if (unknown && c->early < EARLY_MOST && !c->ask.under_way && !c->ask.wanted) {
        c->early++;
        c->ask.wanted = true;
        tui_dirty_in(EARLY_MS);
    }
}

void connectors_pair(struct view_page *p, const char *label, const char *value)
{
    tui_put(p->area, p->y, 0, 15, ROLE_DIM, label);
    tui_put(p->area, p->y++, 16, -1, ROLE_TEXT, *value ? value : "-");
}

void connectors_latency(struct view_page *p, const json_t *r)
{
    char now[16], p95[16], line[80];
    tui_duration(json_num(r, "latency_ms", -1), now);
    tui_duration(json_num(r, "latency_p95_ms", -1), p95);
    snprintf(line, sizeof(line), _("%s now, %s p95"), now, p95);
    connectors_pair(p, _("latency"), line);
    size_t n;
    double *values = view_values(json_object_get(r, "history"), NULL, &n), low = -1, high = -1;
    for (size_t i = 0; i < n; i++)
        if (values[i] >= 0) {
            low = low < 0 || values[i] < low ? values[i] : low;
            high = values[i] > high ? values[i] : high;
        }
    if (n && p->area.width > 30) {
        int width = p->area.width - 16 < (int)n ? p->area.width - 16 : (int)n;
        tui_sparkline(p->area, p->y++, 16, width, ROLE_CHART, values, n);
        tui_duration(low, now);
        tui_duration(high, p95);
        tui_putf(p->area, p->y++, 16, -1, ROLE_DIM,
                 _n("min %s  max %s  %d check", "min %s  max %s  last %d checks", (size_t)width),
                 now, p95, width);
    }
    free(values);
}

/* Below the list, where there is room: the selected connector in a few lines. */
static void draw_panel(struct connectors *c, struct tui_area a)
{
    long row = tui_list_selected(c->list);
    const json_t *r = row >= 0 ? row_at(c, (size_t)row) : NULL;
    struct view_page p = {tui_sub(a, 1, 2, a.height - 1, a.width - 3), 0};
    if (!r)
        return;
    tui_fill(a, 0, 0, a.width, ROLE_RULE, GLYPH_RULE);
    int x = tui_put(p.area, p.y, 0, -1, ROLE_STRONG, json_str(r, "name", "-")) + 2;
    x += tui_put_state(p.area, p.y, x, json_str(r, "state", "unknown"), true) + 2;
    struct buf b = {0};
    buf_addf(&b, "%s  %s  %s  %s", json_str(r, "kind", ""), _(json_str(r, "level", "")),
             json_str(r, "region", ""), json_str(r, "version", ""));
    tui_put(p.area, p.y++, x, -1, ROLE_DIM, b.data);
    buf_clear(&b);
    enum tui_role role = ROLE_DIM;
    note(r, &b, &role);
    struct tui_text *t = tui_text_new();
    if (*json_str(r, "last_error", "") && role != ROLE_DIM)
        tui_text_add(t, role, 0, true, b.data);
    else if (*json_str(r, "about", ""))
        tui_text_add(t, ROLE_DIM, 0, false, json_str(r, "about", ""));
    int lines = (int)tui_text_lines(t, p.area.width);
    lines = lines > p.area.height - 2 ? p.area.height - 2 : lines;
    if (lines > 0)
        tui_text_draw(t, tui_sub(p.area, p.y, 0, lines, p.area.width), 0);
    p.y += lines > 0 ? lines : 0;
    tui_text_free(t);
    buf_release(&b);
    if (p.area.height - p.y >= 4)
        connectors_latency(&p, r);
}

static void draw_rows(struct connectors *c, struct tui_area a, bool focused)
{
    bool header = a.height > 5;
    int rows = (int)json_array_size(c->rows) + header;
    if (*tui_list_filter(c->list) && !header)
        rows++;
    c->list_rows = a.height - rows >= PANEL_LEAST ? rows : a.height;
    tui_list_draw(c->list, tui_sub(a, 0, 0, c->list_rows, a.width), focused, header);
    if (c->list_rows < a.height)
        draw_panel(c, tui_sub(a, c->list_rows, 0, a.height - c->list_rows, a.width));
}

static void view_draw(void *self, struct tui_area a, bool focused)
{
    struct connectors *c = self;
    if (view_ask_due(&c->ask))
        tui_call(c, WIRE_connectors_list, NULL, got_rows);
    ask_early(c, focused);
    if (c->open && view_ask_due(&c->ask_detail))
        tui_call(c, WIRE_connectors_get, json_pack("{s:s}", "name", c->open), got_detail);
    if (c->open)
        connector_page_draw(c, a, focused);
    else if (c->error && !c->rows)
        view_note(a, ROLE_FAIL, c->error, _("r asks again"));
    else if (!c->rows)
        view_note(a, ROLE_DIM, _("Waiting for the connectors."), NULL);
    else if (!json_array_size(c->rows))
        view_note(a, ROLE_DIM, _("No connector is configured."),
                  _("Add a [connector \"name\"] section to mcp-console.conf."));
    else
        draw_rows(c, a, focused);
}

static const char *chosen(const struct connectors *c)
{
    long row = tui_list_selected(c->list);
    return c->open ? c->open : row >= 0 ? list_id((void *)c, (size_t)row) : NULL;
}

static void checked(void *self, const json_t *result, const struct error *e)
{
    if (result)
        tui_say("%s", _("checked"));
    else
        tui_error(e, _("check"));
    connectors_ask_rows(self);
    connectors_ask_detail(self);
}

static void restarted(void *self, const json_t *result, const struct error *e)
{
    if (result)
        tui_say("%s", _("restarted"));
    else
        tui_error(e, _("restart"));
    connectors_ask_rows(self);
    connectors_ask_detail(self);
}

static void restart_confirmed(void *self)
{
    struct connectors *c = self;
    if (c->asked)
        tui_call(c, WIRE_connectors_restart, json_pack("{s:s}", "name", c->asked), restarted);
}

static bool is_disabled(const struct connectors *c, const char *name)
{
    for (size_t i = 0; i < json_array_size(c->rows); i++)
        if (!strcmp(list_id((void *)c, i), name))
            return !strcmp(json_str(row_at(c, i), "state", ""), "disabled");
    return false;
}

static bool view_action(void *self, enum tui_action action)
{
    struct connectors *c = self;
    const char *name = chosen(c);
    switch (action) {
    case ACTION_REFRESH:
        c->ask = (struct view_ask){0};
        connectors_ask_rows(c);
        connectors_ask_detail(c);
        return true;
    case ACTION_CHECK:
        if (name)
            tui_call(c, WIRE_connectors_check, json_pack("{s:s}", "name", name), checked);
        return true;
    case ACTION_RESTART:
        if (name) {
            free(c->asked);
            c->asked = xstrdup(name);
            char *question = xasprintf(_("Restart %s?"), name);
            tui_confirm(question, restart_confirmed, c);
            free(question);
        }
        return true;
    case ACTION_SWITCH:
        if (name)
            connector_switch(c, name, is_disabled(c, name));
        return true;
    case ACTION_TRUST:
        if (name)
            connector_trust(c, name, c->open ? c->tool : NULL);
        return true;
    case ACTION_SIGN_IN:
        if (name)
            connector_sign_in(c, name);
        return true;
    case ACTION_CALL_TOOL:
        if (c->open)
            return connector_page_action(c, action);
        if (name) {
            connector_page_open(c, name);
            connector_page_action(c, ACTION_NEXT_PART); /* to its tools */
        }
        return true;
    case ACTION_OPEN:
        if (!c->open && name)
            connector_page_open(c, name);
        else if (c->open)
            return connector_page_action(c, action);
        return true;
    default:
        break;
    }
    return c->open ? connector_page_action(c, action) : tui_list_action(c->list, action);
}

static bool view_click(void *self, int y, int x, bool twice)
{
    struct connectors *c = self;
    if (c->open && connector_page_list(c) && y > 0 &&
        tui_list_click(connector_page_list(c), y - 1, x - 1, twice)) {
        if (twice)
            connector_page_action(c, ACTION_OPEN);
        return true;
    }
    if (c->open || y >= c->list_rows)
        return false;
    bool took = tui_list_click(c->list, y, x, twice);
    if (took && twice)
        view_action(c, ACTION_OPEN);
    return took;
}

static void view_wheel(void *self, int rows)
{
    struct connectors *c = self;
    if (c->open && connector_page_list(c))
        tui_list_wheel(connector_page_list(c), rows);
    else if (c->open)
        view_scroll_by(&c->scroll, rows);
    else
        tui_list_wheel(c->list, rows);
}

static void view_event(void *self, const char *type, int64_t at, const json_t *data)
{
    struct connectors *c = self;
    (void)at;
    if (strcmp(type, "health"))
        return;
    const char *name = json_str(data, "name", "");
    bool known = false;
    for (size_t i = 0; i < json_array_size(c->rows) && !known; i++)
        if (!strcmp(json_str(json_array_get(c->rows, i), "name", ""), name)) {
            json_array_set_new(c->rows, i, json_deep_copy(data));
            known = true;
        }
    if (!known)
        connectors_ask_rows(c);
    if (c->open && !strcmp(c->open, name))
        connectors_ask_detail(c);
    tui_list_changed(c->list);
    tui_dirty();
}

static void view_resync(void *self)
{
    connectors_ask_rows(self);
    connectors_ask_detail(self);
}

static void view_badge(void *self, char *out, size_t size, enum tui_role *role)
{
    struct connectors *c = self;
    int warn = 0, fail = 0;
    for (size_t i = 0; i < json_array_size(c->rows); i++) {
        int s = severity(json_array_get(c->rows, i));
        fail += s == 0;
        warn += s == 1;
    }
    *out = 0;
    if (!fail && !warn)
        return;
    *role = fail ? ROLE_FAIL : ROLE_WARN;
    snprintf(out, size, "%s%d", tui_glyph(fail ? GLYPH_FAIL : GLYPH_WARN), fail ? fail : warn);
}

static struct tui_list *view_list(void *self)
{
    struct connectors *c = self;
    return c->open ? connector_page_list(c) : c->list;
}

static const enum tui_action actions[] = {
    ACTION_OPEN,      ACTION_FILTER,    ACTION_SORT,    ACTION_CHECK, ACTION_RESTART,
    ACTION_REFRESH,   ACTION_CALL_TOOL, ACTION_SIGN_IN, ACTION_TRUST, ACTION_SWITCH,
    ACTION_NEXT_PART, ACTION_PREV_PART, ACTION_NONE};
const struct view_ops view_connectors_ops = {.name = "connectors",
                                             .size = sizeof(struct connectors),
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
                                             .list = view_list};
