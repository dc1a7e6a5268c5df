/* One connector whole: its parts behind one line of titles; a tool of it. */
#include "backend/base/text.h"
#include "views/connectors.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const titles[PART_COUNT] = {N_("overview"), N_("tools"), N_("resources"),
                                               N_("prompts"),  N_("calls"), N_("logs")};

/* Sets the part's text from the detail. */
static void add_lines(struct tui_text *t, const char *title, const json_t *lines)
{
    size_t i;
    const json_t *line;
    if (!json_array_size(lines))
        return;
    tui_text_add(t, ROLE_DIM, 0, false, title);
    json_array_foreach(lines, i, line)
        tui_text_add(t, ROLE_FOREIGN, 0, true, json_is_string(line) ? json_string_value(line) : "");
    tui_text_add(t, ROLE_TEXT, 0, false, "");
}

static void logs_text(struct connectors *c)
{
    add_lines(c->text, _("the end of its standard error"), json_object_get(c->detail, "stderr"));
    add_lines(c->text, _("lines on its standard output that are no messages"),
              json_object_get(c->detail, "noise"));
    add_lines(c->text, _("messages that it logged"), json_object_get(c->detail, "logs"));
    if (!tui_text_lines(c->text, 80))
        tui_text_add(c->text, ROLE_DIM, 0, false, _("It has written nothing."));
}

static void calls_text(struct connectors *c)
{
    const json_t *calls = json_object_get(c->detail, "calls"), *call;
    for (size_t i = json_array_size(calls); i-- > 0;) { /* newest first */
        char at[16], took[16];
        call = json_array_get(calls, i);
        bool ok = json_flag(call, "ok", false);
        view_clock(view_at(call, "at"), at);
        tui_duration(json_num(call, "ms", -1), took);
        tui_text_addf(c->text, ok ? ROLE_TEXT : ROLE_FAIL, 0, false, "%s  %s  %s  %s", at,
                      ok ? _("ok") : _("fail"), took, json_str(call, "tool", "-"));
        if (*json_str(call, "error", ""))
            tui_text_add(c->text, ROLE_FOREIGN, 2, true, json_str(call, "error", ""));
    }
    if (!json_array_size(calls))
        tui_text_add(c->text, ROLE_DIM, 0, false, _("No call since the console started."));
}

static void part_text(struct connectors *c)
{
    if (!c->answered)
        tui_text_clear(c->text);
    if (!c->detail)
        return;
    if (c->tool && connector_tool(c, c->tool)) {
        if (!c->answered)
            connector_tool_text(c);
        return;
    }
    free(c->tool);
    c->tool = NULL;
    if (c->part == PART_CALLS)
        calls_text(c);
    else if (c->part == PART_LOGS)
        logs_text(c);
}

static bool is_things(const struct connectors *c)
{
    return c->part == PART_RESOURCES || c->part == PART_PROMPTS;
}

static void part_go(struct connectors *c, int step)
{
    c->part = (enum connector_part)(((int)c->part + step + PART_COUNT) % PART_COUNT);
    c->scroll = (struct view_scroll){0};
    connector_answer_drop(c);
    free(c->tool);
    c->tool = NULL;
    part_text(c);
    if (is_things(c))
        connector_things_ask(c);
    tui_dirty();
}

static void tool_open(struct connectors *c, const char *name)
{
    char *copy = name ? xstrdup(name) : NULL;
    connector_answer_drop(c);
    free(c->tool);
    c->tool = copy;
    c->scroll = (struct view_scroll){0};
    part_text(c);
    tui_dirty();
}

void connector_page_open(struct connectors *c, const char *name)
{
    free(c->open);
    c->open = name ? xstrdup(name) : NULL;
    json_decref(c->detail);
    c->detail = NULL;
    c->part = PART_OVERVIEW;
    c->ask_detail = (struct view_ask){0};
    tool_open(c, NULL);
    tui_list_set_filter(c->tools, "");
    tui_list_changed(c->tools);
    connectors_ask_detail(c);
}

void connector_page_got(struct connectors *c)
{
    tui_list_changed(c->tools);
    part_text(c);
}

/* ---- drawing */

/* Where the titles do not all fit, the present one alone, with its place among them. */
static void titles_draw(struct connectors *c, struct tui_area a)
{
    int x = tui_put(a, 0, 1, a.width / 3, ROLE_STRONG, c->open) + 3, width = x + 4;
    for (int i = 0; i < PART_COUNT; i++)
        width += text_width(_(titles[i]), strlen(_(titles[i]))) + 2;
    bool narrow = width > a.width;
    for (int i = 0; i < PART_COUNT; i++) {
        bool here = i == (int)c->part;
        if (!narrow || here)
            x += tui_putf(a, 0, x, -1, here ? ROLE_TITLE_FOCUS : ROLE_DIM, here ? " %s " : "%s",
                          _(titles[i])) +
                 2;
    }
    if (narrow)
        x += tui_putf(a, 0, x, -1, ROLE_DIM, "%d/%d", (int)c->part + 1, PART_COUNT) + 1;
    tui_put(a, 0, x + 1, -1, ROLE_KEY, "[ ]");
}

static const json_t *row_of(const struct connectors *c)
{
    for (size_t i = 0; !c->detail && i < json_array_size(c->rows); i++)
        if (!strcmp(json_str(json_array_get(c->rows, i), "name", ""), c->open))
            return json_array_get(c->rows, i);
    return c->detail;
}

static bool is_well(const json_t *r)
{
    return !strcmp(json_str(r, "state", ""), "ok");
}

/* Of a connector that is not well its error comes first, whole. */
static void trouble(struct view_page *p, const json_t *r)
{
    if (is_well(r) || !*json_str(r, "last_error", ""))
        return;
    struct tui_text *text = tui_text_new();
    tui_text_add(text, ROLE_FAIL, 0, false, json_str(r, "last_error", ""));
    view_page_text(p, text);
    tui_text_free(text);
}

/* What is over: a line. */
static void error_line(struct view_page *p, const json_t *r)
{
    char ago[16];
    int used = 0;
    if (!is_well(r) || !*json_str(r, "last_error", ""))
        return;
    tui_ago(view_at(r, "last_error_at"), ago);
    tui_put(p->area, p->y, 0, 15, ROLE_DIM, _("last error"));
    if (view_at(r, "last_error_at") > 0)
        used = tui_putf(p->area, p->y, 16, -1, ROLE_DIM, "%s  ", ago);
    tui_put(p->area, p->y++, 16 + used, -1, ROLE_FAIL, json_str(r, "last_error", ""));
}

static void words_line(struct view_page *p, const char *label, const json_t *words)
{
    struct buf b = {0};
    for (size_t i = 0; i < json_array_size(words); i++)
        buf_addf(&b, "%s%s", i ? " " : "", json_string_value(json_array_get(words, i)));
    connectors_pair(p, label, b.data ? b.data : "");
    buf_release(&b);
}

static const char *breaker_word(const char *state)
{
    static const char *const words[][2] = {{"closed", N_("closed: calls go through")},
                                           {"open", N_("open: nothing is called for a while")},
                                           {"half-open", N_("half-open: the next call decides")}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(state, words[i][0]))
            return _(words[i][1]);
    return state;
}

static void breaker_line(struct view_page *p, const json_t *r)
{
    char line[96], rate[32];
    const char *state = json_str(json_object_get(r, "breaker"), "state", "");
    double failed = json_num(r, "error_rate", -1);
    snprintf(rate, sizeof rate, "%.0f %%", failed * 100);
    snprintf(line, sizeof line, _("%s of the last checks and calls"), failed < 0 ? "-" : rate);
    connectors_pair(p, _("failed"), line);
    if (*state)
        connectors_pair(p, _("breaker"), breaker_word(state));
}

/* When the certificate ends, and what stands in when the connector is out. */
static void rest_lines(struct view_page *p, const json_t *r)
{
    const json_t *other = json_object_get(r, "alternative");
    int64_t ends = view_at(r, "cert_expires_at");
    char line[96];
    if (ends > 0) {
        char day[16] = "";
        time_t t = (time_t)(ends / 1000);
        struct tm tm;
        if (localtime_r(&t, &tm))
            strftime(day, sizeof day, "%Y-%m-%d", &tm);
        const char *state = json_str(r, "cert_state", "");
        bool expired = !strcmp(state, "expired"), soon = !strcmp(state, "soon");
        long long left = view_at(r, "cert_days_left");
        if (expired)
            snprintf(line, sizeof line, _("expired on %s"), day);
        else
            snprintf(line, sizeof line, _n("%s, %lld day left", "%s, %lld days left", (size_t)left),
                     day, left);
        tui_put(p->area, p->y, 0, 15, ROLE_DIM, _("certificate"));
        tui_put(p->area, p->y++, 16, -1, expired ? ROLE_FAIL : soon ? ROLE_WARN : ROLE_TEXT, line);
    }
    if (*json_str(other, "name", "")) {
        snprintf(line, sizeof line,
                 json_flag(other, "active", false) ? _("%s, in its place now") : "%s",
                 json_str(other, "name", ""));
        connectors_pair(p, _("alternative"), line);
    }
}

static void overview_draw(struct connectors *c, struct view_page *p)
{
    const json_t *r = row_of(c);
    char ago[16], line[96];
    tui_put_state(p->area, p->y++, 0, json_str(r, "state", "unknown"), true);
    trouble(p, r);
    if (*json_str(r, "about", ""))
        tui_put(p->area, p->y++, 0, -1, ROLE_DIM, json_str(r, "about", ""));
    p->y++;
    connectors_pair(p, _("kind"), json_str(r, "kind", ""));
    connectors_pair(p, _("level"), _(json_str(r, "level", "")));
    connectors_pair(p, _("region"), json_str(r, "region", ""));
    words_line(p, _("data"), json_object_get(r, "data"));
    connectors_pair(p, _("owner"), json_str(r, "owner", ""));
    connectors_pair(p, _("version"), json_str(r, "version", ""));
    if (*json_str(r, "protocol", ""))
        connectors_pair(p, _("protocol"), json_str(r, "protocol", ""));
    if (*json_str(c->detail, "steers", ""))
        connectors_pair(p, _("instructions"), _("try to steer a model; no model is given them"));
    if (*json_str(r, "command", ""))
        connectors_pair(p, _("command"), json_str(r, "command", ""));
    if (*json_str(r, "url", ""))
        connectors_pair(p, _("address"), json_str(r, "url", ""));
    connectors_latency(p, r);
    breaker_line(p, r);
    view_number(json_object_get(r, "restarts"), 0, line);
    connectors_pair(p, _("restarts"), line);
    tui_ago(view_at(r, "last_success_at"), ago);
    connectors_pair(p, _("last success"), view_at(r, "last_success_at") > 0 ? ago : "-");
    error_line(p, r);
    rest_lines(p, r);
}

static void list_draw(struct connectors *c, struct tui_area body, bool focused)
{
    const json_t *rows = is_things(c) ? c->things : json_object_get(c->detail, "tools");
    if (is_things(c) && c->things_error)
        view_note(body, ROLE_FAIL, c->things_error, NULL);
    else if (!rows)
        view_note(body, ROLE_DIM, _("Waiting for its answer."), NULL);
    else if (!json_array_size(rows))
        view_note(body, ROLE_DIM, _("It offers none."), NULL);
    else
        tui_list_draw(connector_page_list(c), body, focused, body.height > 4);
}

void connector_page_draw(struct connectors *c, struct tui_area a, bool focused)
{
    titles_draw(c, a);
    struct tui_area body = tui_sub(a, 1, 1, a.height - 1, a.width - 1);
    if (connector_page_list(c)) {
        list_draw(c, body, focused);
        return;
    }
    struct view_page p = view_page_begin(&c->scroll, body);
    if (c->part == PART_OVERVIEW && !c->tool)
        overview_draw(c, &p);
    else
        view_page_text(&p, c->text);
    if (c->answered)
        connector_answer_draw(c, &p);
    view_page_end(&c->scroll, &p);
    if (focused)
        tui_cursor(a, 0, 0);
}

/* ---- keys */

struct tui_list *connector_page_list(struct connectors *c)
{
    if (is_things(c))
        return c->list_of_things;
    return c->part == PART_TOOLS && !c->tool ? c->tools : NULL;
}

static const char *chosen_tool(struct connectors *c)
{
    if (c->tool || c->part != PART_TOOLS)
        return c->tool;
    long row = tui_list_selected(c->tools);
    const json_t *tools = json_object_get(c->detail, "tools");
    return row >= 0 ? json_str(json_array_get(tools, (size_t)row), "name", NULL) : NULL;
}

bool connector_page_action(struct connectors *c, enum tui_action action)
{
    const char *tool = chosen_tool(c);
    switch (action) {
    case ACTION_NEXT_PART:
    case ACTION_PREV_PART:
        part_go(c, action == ACTION_NEXT_PART ? 1 : -1);
        return true;
    case ACTION_OPEN:
        if (c->tool)
            connector_tool_form(c, c->tool);
        else if (tool)
            tool_open(c, tool);
        else if (is_things(c))
            connector_thing_open(c);
        else if (c->part == PART_OVERVIEW)
            part_go(c, 1);
        return true;
    case ACTION_CALL_TOOL:
        if (tool)
            connector_tool_form(c, tool);
        else
            tui_say("%s", _("choose a tool first"));
        return true;
    case ACTION_BACK:
        if (c->answered)
            tool_open(c, c->tool);
        else if (c->tool)
            tool_open(c, NULL);
        else if (connector_page_list(c) && *tui_list_filter(connector_page_list(c)))
            return false;
        else
            connector_page_open(c, NULL);
        return true;
    case ACTION_COPY: {
        json_t *what = tool ? (json_t *)connector_tool(c, tool) : c->detail;
        char *text = what ? json_dumps(what, JSON_INDENT(2)) : NULL;
        if (text)
            tui_copy(text);
        free(text);
        return true;
    }
    default:
        break;
    }
    struct tui_list *list = connector_page_list(c);
    return list ? tui_list_action(list, action) : view_scroll_action(&c->scroll, action);
}
