/* The scorecard: what is held, what is not, on what evidence. v verifies the log. */
#include "backend/base/text.h"
#include "views/report.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct scorecard {
    struct tui_list *list;
    json_t *score; /* what score.get answered; controls are sorted worst first */
    struct view_report report;
    char *error, *open; /* open: id of the control that is shown whole */
    struct view_ask ask;
    struct view_scroll scroll;
    struct tui_text *text;
    int list_top;
};

enum { COL_GLYPH, COL_STATE, COL_ID, COL_TITLE, COL_LAW, COL_REASON };
static const struct tui_column columns[] = {
    {"", 1, false, 0},        {"status", 12, false, 4},      {"control", 12, false, 5},
    {"title", -36, false, 0}, {"law or rule", 18, false, 2}, {"what was found", -36, false, 3}};
static const char *const members[] = {"status", "status", "id", "title", "law", "reason"};

static const json_t *row_at(const struct scorecard *v, size_t row)
{
    return json_array_get(json_object_get(v->score, "controls"), row);
}

static size_t list_count(void *arg)
{
    return json_array_size(json_object_get(((struct scorecard *)arg)->score, "controls"));
}

static const char *list_id(void *arg, size_t row)
{
    return json_str(row_at(arg, row), "id", "");
}

/* In the console's language, where the control has one. */
static const char *title_of(const json_t *control)
{
    char member[16];
    snprintf(member, sizeof(member), "title_%.8s", tui_language());
    return json_str(control, member, json_str(control, "title", ""));
}

static void list_cell(void *arg, size_t row, int column, struct buf *out, enum tui_role *role)
{
    const json_t *control = row_at(arg, row);
    const char *text =
        column == COL_TITLE ? title_of(control) : json_str(control, members[column], "");
    if (column == COL_ID || column == COL_LAW)
        *role = ROLE_DIM;
    buf_adds(out, *text ? text : "-");
}

static bool list_draw(void *arg, size_t row, int column, struct tui_area a)
{
    const char *status = json_str(row_at(arg, row), "status", "not assessed");
    if (column == COL_GLYPH)
        tui_put_state(a, 0, 0, status, false);
    else if (column == COL_STATE)
        tui_put(a, 0, 0, -1, tui_state_role(status), _(status));
    return column <= COL_STATE;
}

static int severity(const char *status)
{
    static const char *const order[] = {"fail", "warn", "not assessed", "pass"};
    for (int i = 0; i < 4; i++)
        if (!strcmp(order[i], status))
            return i;
    return 2;
}

static int list_compare(void *arg, size_t a, size_t b, int column)
{
    const json_t *x = row_at(arg, a), *y = row_at(arg, b);
    if (column <= COL_STATE || column > COL_REASON)
        return severity(json_str(x, "status", "")) - severity(json_str(y, "status", ""));
    if (column == COL_TITLE)
        return strcmp(title_of(x), title_of(y));
    return strcmp(json_str(x, members[column], ""), json_str(y, members[column], ""));
}

static const struct tui_list_ops list_ops = {.count = list_count,
                                             .cell = list_cell,
                                             .draw = list_draw,
                                             .id = list_id,
                                             .compare = list_compare};

/* ---- data */

/* The controls in the order of their severity, otherwise as they came. */
static json_t *worst_first(const json_t *controls)
{
    json_t *sorted = json_array();
    for (int s = 0; s < 4; s++) {
        size_t i;
        json_t *c;
        json_array_foreach((json_t *)controls, i, c)
        {
            if (severity(json_str(c, "status", "")) == s)
                json_array_append(sorted, c);
        }
    }
    return sorted;
}

static void control_text(struct scorecard *v);

static void got_score(void *self, const json_t *result, const struct error *e)
{
    struct scorecard *v = self;
    view_ask_done(&v->ask);
    view_keep_error(&v->error, result ? NULL : e);
    if (result) {
        json_decref(v->score);
        v->score = json_deep_copy(result);
        json_object_set_new(v->score, "controls",
                            worst_first(json_object_get(v->score, "controls")));
        tui_list_changed(v->list);
        control_text(v);
    }
    tui_dirty();
}

static void ask_score(struct scorecard *v)
{
    if (view_ask_now(&v->ask))
        tui_call(v, WIRE_score_get, NULL, got_score);
}

static const json_t *opened(const struct scorecard *v)
{
    size_t n = list_count((void *)v);
    for (size_t i = 0; v->open && i < n; i++)
        if (!strcmp(list_id((void *)v, i), v->open))
            return row_at(v, i);
    return NULL;
}

static void paragraph(struct tui_text *t, const char *title, const char *text)
{
    if (!*text)
        return;
    tui_text_add(t, ROLE_TEXT, 0, false, "");
    tui_text_add(t, ROLE_DIM, 0, false, title);
    tui_text_add(t, ROLE_TEXT, 2, false, text);
}

static void control_text(struct scorecard *v)
{
    const json_t *c = opened(v), *seq;
    tui_text_clear(v->text);
    if (!c)
        return;
    paragraph(v->text, _("what was found"), json_str(c, "reason", "-"));
    if (severity(json_str(c, "status", "")) < 3)
        paragraph(v->text, _("what to do"), json_str(c, "hint", ""));
    paragraph(v->text, _("law or rule"), json_str(c, "law", ""));
    struct buf b = {0};
    char text[32];
    size_t i;
    json_array_foreach(json_object_get(c, "evidence"), i, seq)
    {
        view_number(seq, 0, text);
        buf_addf(&b, "%s%s", i ? ", " : "", text);
    }
    paragraph(v->text, _("evidence: entries of the log"), b.len ? b.data : _("none is cited"));
    if (b.len)
        tui_text_add(v->text, ROLE_DIM, 2, false,
                     _("Enter shows them: what they say, their proofs"));
    buf_release(&b);
}

static void verify_started(void *self, const json_t *result, const struct error *e)
{
    struct scorecard *v = self;
    if (!result) {
        tui_error(e, _("verify"));
        view_report_not_begun(&v->report);
    }
}

/* ---- drawing */

static int draw_counts(const struct scorecard *v, struct tui_area a, int y)
{
    static const char *const names[][2] = {
        {"fail", "fail"}, {"warn", "warn"}, {"not_assessed", "not assessed"}, {"pass", "pass"}};
    const json_t *counts = json_object_get(v->score, "counts");
    int x = 0;
    for (size_t i = 0; i < 4; i++) {
        int n = (int)json_int(counts, names[i][0], 0);
        char text[48];
        snprintf(text, sizeof(text), "%d %s", n, _(names[i][1]));
        int width = 2 + text_width(text, strlen(text));
        if (x && x + width > a.width) {
            x = 0;
            y++;
        }
        x += tui_put_state(a, y, x, names[i][1], false) + 1;
        x += tui_put(a, y, x, -1, n ? tui_state_role(names[i][1]) : ROLE_DIM, text) + 2;
    }
    return y + 1;
}

static int draw_head(const struct scorecard *v, struct tui_area a, int y)
{
    const json_t *score = json_object_get(v->score, "score");
    char text[32], ago[16];
    view_number(score, 0, text);
    int x = tui_put(a, y, 0, -1, ROLE_STRONG, text);
    x += tui_put(a, y, x, -1, ROLE_DIM, _(" of 100")) + 2;
    size_t n;
    double *values = view_values(json_object_get(v->score, "history"), "score", &n);
    if (n > 1 && a.width - x > 10) {
        int width = (int)n < 30 ? (int)n : 30;
        if (width > a.width - x - 18)
            width = a.width - x > 18 + 4 ? a.width - x - 18 : 4;
        tui_sparkline(a, y, x, width, ROLE_CHART, values, n);
        x += width + 2;
        tui_ago(view_at(json_array_get(json_object_get(v->score, "history"), 0), "at"), ago);
        x += tui_putf(a, y, x, -1, ROLE_DIM, _("since %s"), ago) + 2;
    }
    free(values);
    if (a.width - x > 22) {
        tui_ago(view_at(v->score, "assessed_at"), ago);
        tui_putf(a, y, x, -1, ROLE_DIM, _("assessed %s%s"), ago,
                 strcmp(ago, _("now")) ? _(" ago") : "");
    }
    return draw_counts(v, a, y + 1);
}

static void draw_control(struct scorecard *v, struct tui_area a, bool focused)
{
    const json_t *c = opened(v);
    struct view_page p = view_page_begin(&v->scroll, tui_sub(a, 0, 1, a.height, a.width - 1));
    int x = tui_put_state(p.area, p.y, 0, json_str(c, "status", "not assessed"), true) + 2;
    tui_put(p.area, p.y++, x, -1, ROLE_DIM, v->open);
    struct tui_text *title = tui_text_new();
    tui_text_add(title, ROLE_STRONG, 0, false, title_of(c));
    view_page_text(&p, title);
    tui_text_free(title);
    view_page_text(&p, v->text);
    view_page_end(&v->scroll, &p);
    if (focused)
        tui_cursor(a, 0, 0);
}

static void draw_all(struct scorecard *v, struct tui_area a, bool focused)
{
    struct tui_area in = tui_sub(a, 0, 1, a.height, a.width - 2);
    int y = draw_head(v, in, 0);
    y = view_report_draw(&v->report, in, y);
    if (a.height >= 14)
        y++;
    v->list_top = y;
    tui_list_draw(v->list, tui_sub(a, y, 0, a.height - y, a.width), focused, a.height >= 14);
}

static void view_draw(void *self, struct tui_area a, bool focused)
{
    struct scorecard *v = self;
    if (view_ask_due(&v->ask))
        tui_call(v, WIRE_score_get, NULL, got_score);
    if (v->error && !v->score)
        view_note(a, ROLE_FAIL, v->error, _("r asks again"));
    else if (!v->score)
        view_note(a, ROLE_DIM, _("Waiting for the assessment."), NULL);
    else if (v->open)
        draw_control(v, a, focused);
    else
        draw_all(v, a, focused);
}

/* ---- the view */

static void view_open(void *self)
{
    struct scorecard *v = self;
    v->list = tui_list_new(columns, sizeof(columns) / sizeof(columns[0]), &list_ops, v);
    v->text = tui_text_new();
    ask_score(v);
}

static void view_close(void *self)
{
    struct scorecard *v = self;
    tui_list_free(v->list);
    tui_text_free(v->text);
    json_decref(v->score);
    view_report_release(&v->report);
    free(v->error);
    free(v->open);
}

static void open_control(struct scorecard *v, const char *id)
{
    char *copy = id ? xstrdup(id) : NULL;
    free(v->open);
    v->open = copy;
    v->scroll = (struct view_scroll){0};
    control_text(v);
    tui_dirty();
}

/* The entries that a control cites, in their own pane. */
static void show_evidence(const json_t *control)
{
    if (!json_array_size(json_object_get(control, "evidence"))) {
        tui_say("%s", _("this control cites no entry of the log"));
        return;
    }
    char *id = xasprintf("control:%s", json_str(control, "id", ""));
    tui_show_item("evidence", id);
    free(id);
}

static bool view_action(void *self, enum tui_action action)
{
    struct scorecard *v = self;
    long row = tui_list_selected(v->list);
    switch (action) {
    case ACTION_REFRESH:
        v->ask = (struct view_ask){0};
        ask_score(v);
        return true;
    case ACTION_VERIFY:
        view_report_begin(&v->report);
        tui_call(v, WIRE_evidence_verify, NULL, verify_started);
        return true;
    case ACTION_PROOF:
        view_report_show(&v->report);
        return true;
    case ACTION_OPEN:
        if (v->open)
            show_evidence(opened(v));
        else if (row >= 0)
            open_control(v, list_id(v, (size_t)row));
        return true;
    case ACTION_EVIDENCE:
        if (v->open || row >= 0)
            show_evidence(v->open ? opened(v) : row_at(v, (size_t)row));
        return true;
    case ACTION_BACK:
        if (v->open) {
            open_control(v, NULL);
            return true;
        }
        break;
    case ACTION_COPY:
        if (v->open) {
            char *text = tui_text_plain(v->text);
            tui_copy(text);
            free(text);
            return true;
        }
        break;
    default:
        break;
    }
    return v->open ? view_scroll_action(&v->scroll, action) : tui_list_action(v->list, action);
}

static bool view_click(void *self, int y, int x, bool twice)
{
    struct scorecard *v = self;
    if (v->open || y < v->list_top)
        return false;
    bool took = tui_list_click(v->list, y - v->list_top, x, twice);
    if (took && twice)
        view_action(v, ACTION_OPEN);
    return took;
}

static void view_wheel(void *self, int rows)
{
    struct scorecard *v = self;
    if (v->open)
        view_scroll_by(&v->scroll, rows);
    else
        tui_list_wheel(v->list, rows);
}

static void verify_event(struct scorecard *v, const json_t *data)
{
    if (view_report_event(&v->report, data))
        ask_score(v);
    tui_dirty();
}

static void view_event(void *self, const char *type, int64_t at, const json_t *data)
{
    struct scorecard *v = self;
    (void)at;
    if (!strcmp(type, "verify"))
        verify_event(v, data);
    else if (!strcmp(type, "score"))
        ask_score(v);
}

static void view_resync(void *self)
{
    ask_score(self);
}

static void view_badge(void *self, char *out, size_t size, enum tui_role *role)
{
    struct scorecard *v = self;
    const json_t *counts = json_object_get(v->score, "counts");
    *out = 0;
    if (!json_is_number(json_object_get(v->score, "score")))
        return;
    int fail = (int)json_int(counts, "fail", 0), warn = (int)json_int(counts, "warn", 0);
    int score = (int)(json_num(v->score, "score", 0) + 0.5);
    *role = fail ? ROLE_FAIL : warn ? ROLE_WARN : ROLE_DIM;
    if (fail || warn)
        snprintf(out, size, "%d %s%d", score, tui_glyph(fail ? GLYPH_FAIL : GLYPH_WARN),
                 fail ? fail : warn);
    else
        snprintf(out, size, "%d", score);
}

static struct tui_list *view_list(void *self)
{
    struct scorecard *v = self;
    return v->open ? NULL : v->list;
}

static const enum tui_action actions[] = {ACTION_OPEN,    ACTION_FILTER,   ACTION_SORT,
                                          ACTION_VERIFY,  ACTION_EVIDENCE, ACTION_PROOF,
                                          ACTION_REFRESH, ACTION_NONE};
const struct view_ops view_scorecard_ops = {.name = "scorecard",
                                            .size = sizeof(struct scorecard),
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
