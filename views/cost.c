/* Cost: today, the days, the models, the newest lines of the ledger. An unknown price is not zero:
 * such calls are counted apart, and a sum that lacks them carries a ~. */
#include "backend/base/text.h"
#include "views/cost_parts.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DAYS = 30, LINES = 200, MODELS_MAX = 8 };

struct cost_view {
    json_t *summary, *lines, *budgets;
    struct tui_list *list;
    char *error;
    struct view_ask ask, ask_lines, ask_budgets;
    bool open; /* one ledger line, whole */
    struct view_scroll scroll;
    int list_top;
    bool list_drawn;
};

enum {
    COL_TIME,
    COL_MODEL,
    COL_TOKENS,
    COL_CACHED,
    COL_THOUGHT,
    COL_AMOUNT,
    COL_OUTCOME,
    COL_ELAPSED,
    COL_PRICE,
    COL_ENERGY
};
static const struct tui_column columns[] = {{"time", 8, false, 2},     {"model", -16, false, 0},
                                            {"tokens", 8, true, 4},    {"cached", 8, true, 7},
                                            {"reasoned", 8, true, 8},  {"amount", 12, true, 0},
                                            {"outcome", 11, false, 3}, {"took", 7, true, 5},
                                            {"price", 18, false, 6},   {"energy", 9, true, 9}};

static const json_t *row_at(const struct cost_view *v, size_t row)
{
    return json_array_get(v->lines, row);
}

static size_t list_count(void *arg)
{
    return json_array_size(((struct cost_view *)arg)->lines);
}

/* json integers as ids: the row's own text is kept beside it. */
static const char *list_id(void *arg, size_t row)
{
    return json_str(row_at(arg, row), "_id", "");
}

/* The amount of a ledger line: decimal text, or nano units. */
static void line_amount(const json_t *r, char out[48])
{
    char amount[32];
    const json_t *a = json_object_get(r, "amount"), *nano = json_object_get(r, "amount_nano");
    bool priced = json_flag(r, "priced", true);
    if (priced && json_is_string(a))
        snprintf(amount, sizeof(amount), "%s", json_string_value(a));
    else if (priced && json_is_integer(nano))
        snprintf(amount, sizeof(amount), "%.6f", (double)json_integer_value(nano) / 1e9);
    else
        *amount = 0;
    view_money(amount, json_str(r, "currency", ""), json_flag(r, "estimated", false), out);
}

static int64_t line_tokens(const json_t *r)
{
    return json_int(r, "input_tokens", 0) + json_int(r, "output_tokens", 0);
}

static const char *part_of(int column)
{
    return column == COL_CACHED ? "cached_tokens" : "reasoning_tokens";
}

/* Of the tokens; nothing is no figure to read. */
static void line_part(const json_t *r, int column, struct buf *out, enum tui_role *role)
{
    char text[32];
    int64_t n = json_int(r, part_of(column), 0);
    view_count(n, text);
    *role = ROLE_DIM;
    buf_adds(out, n > 0 ? text : "-");
}

static void list_cell(void *arg, size_t row, int column, struct buf *out, enum tui_role *role)
{
    const json_t *r = row_at(arg, row);
    char text[48], number[32] = "-";
    switch (column) {
    case COL_TIME:
        view_clock(view_at(r, "at"), text);
        *role = ROLE_DIM;
        buf_adds(out, text);
        break;
    case COL_MODEL:
        buf_adds(out, json_str(r, "model", "-"));
        break;
    case COL_TOKENS:
        view_count(line_tokens(r), text);
        buf_addf(out, "%s%s", json_flag(r, "estimated", false) ? "~" : "", text);
        break;
    case COL_CACHED:
    case COL_THOUGHT:
        line_part(r, column, out, role);
        break;
    case COL_ENERGY:
        *role = ROLE_DIM;
        if (json_is_number(json_object_get(r, "energy_j")))
            cost_energy(json_num(r, "energy_j", 0), number);
        buf_adds(out, number);
        break;
    case COL_AMOUNT:
        line_amount(r, text);
        buf_adds(out, text);
        break;
    case COL_OUTCOME:
        buf_adds(out, json_str(r, "outcome", "-"));
        break;
    case COL_PRICE:
        *role = ROLE_DIM;
        buf_adds(out, json_str(r, "price_version", "-"));
        break;
    default:
        tui_duration(json_num(r, "elapsed_ms", -1), text);
        buf_adds(out, text);
    }
}

static bool list_draw(void *arg, size_t row, int column, struct tui_area a)
{
    if (column != COL_OUTCOME)
        return false;
    tui_put_state(a, 0, 0, json_str(row_at(arg, row), "outcome", "unknown"), true);
    return true;
}

static double sort_value(const json_t *r, int column)
{
    switch (column) {
    case COL_TIME:
        return (double)view_at(r, "at");
    case COL_TOKENS:
        return (double)line_tokens(r);
    case COL_CACHED:
    case COL_THOUGHT:
        return (double)json_int(r, part_of(column), 0);
    case COL_ENERGY:
        return json_num(r, "energy_j", -1);
    case COL_AMOUNT:
        return json_is_string(json_object_get(r, "amount"))
                   ? strtod(json_str(r, "amount", "0"), NULL)
                   : json_num(r, "amount_nano", -1);
    default:
        return json_num(r, "elapsed_ms", -1);
    }
}

static int list_compare(void *arg, size_t a, size_t b, int column)
{
    static const char *const members[] = {
        [COL_MODEL] = "model", [COL_OUTCOME] = "outcome", [COL_PRICE] = "price_version"};
    const json_t *x = row_at(arg, a), *y = row_at(arg, b);
    if (members[column])
        return strcmp(json_str(x, members[column], ""), json_str(y, members[column], ""));
    double p = sort_value(x, column), q = sort_value(y, column);
    return (p > q) - (p < q);
}

static const struct tui_list_ops list_ops = {.count = list_count,
                                             .cell = list_cell,
                                             .draw = list_draw,
                                             .id = list_id,
                                             .compare = list_compare};

/* ---- asking */

static void got_summary(void *self, const json_t *result, const struct error *e)
{
    struct cost_view *v = self;
    view_ask_done(&v->ask);
    view_keep_error(&v->error, result ? NULL : e);
    if (result) {
        json_decref(v->summary);
        v->summary = json_deep_copy(result);
    }
    tui_dirty();
}

static void got_lines(void *self, const json_t *result, const struct error *e)
{
    struct cost_view *v = self;
    (void)e; /* the summary's error is the one that is shown */
    view_ask_done(&v->ask_lines);
    if (result) {
        json_decref(v->lines);
        v->lines = json_deep_copy(json_object_get(result, "lines"));
        size_t i;
        json_t *line;
        json_array_foreach(v->lines, i, line)
        {
            char id[32];
            view_number(json_object_get(line, "id"), 0, id);
            json_puts(line, "_id", id);
        }
        tui_list_changed(v->list);
    }
    tui_dirty();
}

static void got_budgets(void *self, const json_t *result, const struct error *e)
{
    struct cost_view *v = self;
    (void)e; /* the summary's error is the one that is shown */
    view_ask_done(&v->ask_budgets);
    if (result) {
        json_decref(v->budgets);
        v->budgets = json_deep_copy(json_object_get(result, "budgets"));
    }
    tui_dirty();
}

static void call_budgets(struct cost_view *v)
{
    tui_call(v, WIRE_cost_budgets, json_object(), got_budgets);
}

static void call_summary(struct cost_view *v)
{
    tui_call(v, WIRE_cost_summary, json_pack("{s:i}", "days", DAYS), got_summary);
}

static void call_lines(struct cost_view *v)
{
    tui_call(v, WIRE_cost_ledger, json_pack("{s:i}", "limit", LINES), got_lines);
}

static void ask_all(struct cost_view *v)
{
    if (view_ask_now(&v->ask))
        call_summary(v);
    if (view_ask_now(&v->ask_lines))
        call_lines(v);
    if (view_ask_now(&v->ask_budgets))
        call_budgets(v);
}

/* ---- drawing */

/* What the newest days cost together; *days: how many there are of those wanted. */
static double days_sum(const struct cost_view *v, size_t *days)
{
    size_t n;
    double *values = view_values(json_object_get(v->summary, "by_day"), "amount", &n), sum = 0;
    for (size_t i = n > *days ? n - *days : 0; i < n; i++)
        sum += values[i] > 0 ? values[i] : 0;
    *days = n < *days ? n : *days;
    free(values);
    return sum;
}

static int draw_spans(const struct cost_view *v, struct tui_area a, int y)
{
    const json_t *total = json_object_get(v->summary, "total");
    const char *currency = json_str(v->summary, "currency", "");
    char money[48], amount[32], calls[32];
    size_t week = 7;
    int x = 0;
    double sum = days_sum(v, &week);
    if (week > 1) {
        snprintf(amount, sizeof(amount), "%.2f", sum);
        if (sum > 0)
            view_money(amount, currency, cost_inexact(total), money);
        else
            cost_money(total, currency, money);
        x += tui_putf(a, y, x, -1, ROLE_TEXT, a.width < 48 ? _("%zu d %s") : _("%zu days %s"), week,
                      money) +
             3;
    }
    cost_money(total, currency, money);
    view_count(json_int(total, "calls", 0), calls);
    x += tui_putf(a, y, x, -1, ROLE_TEXT, a.width < 48 ? _("%d d %s") : _("%d days %s"), DAYS,
                  money);
    if (a.width - x > (int)strlen(calls) + 8)
        tui_putf(a, y, x, -1, ROLE_DIM, _("  %s calls"), calls);
    return y + 1;
}

static int draw_today(const struct cost_view *v, struct tui_area a, int y)
{
    const json_t *today = json_object_get(v->summary, "today");
    const char *currency = json_str(v->summary, "currency", "");
    char money[48], calls[32];
    cost_money(today, currency, money);
    view_count(json_int(today, "calls", 0), calls);
    int x = tui_putf(a, y, 0, -1, ROLE_STRONG, _("today %s"), money);
    if (json_int(today, "unknown", 0) > 0)
        x += tui_putf(a, y, x, -1, ROLE_WARN, _("  %s %d unpriced"), tui_glyph(GLYPH_UNKNOWN),
                      (int)json_int(today, "unknown", 0));
    tui_putf(a, y, x, -1, ROLE_DIM, _("  %s calls"), calls);
    y++;
    if (a.height > 7)
        y = draw_spans(v, a, y);
    const json_t *others = json_object_get(v->summary, "other_currencies"), *o;
    size_t i;
    json_array_foreach(others, i, o)
    {
        if (a.height <= 9)
            break;
        view_money(json_str(o, "amount", NULL), json_str(o, "currency", ""), false, money);
        tui_putf(a, y++, 0, -1, ROLE_DIM, _("and %s, %d calls"), money,
                 (int)json_int(o, "calls", 0));
    }
    return y;
}

static int draw_days(const struct cost_view *v, struct tui_area a, int y, int rows)
{
    size_t n;
    const json_t *days = json_object_get(v->summary, "by_day");
    double *values = view_values(days, "amount", &n), low = NAN, high = 0;
    if (rows > 0 && n > 0) {
        for (size_t i = 0; i < n; i++) {
            low = values[i] >= low ? low : values[i];
            high = values[i] > high ? values[i] : high;
        }
        int width = a.width > 64 ? 60 : a.width;
        if (!(high > 0))
            tui_putf(a, y, 0, -1, ROLE_DIM,
                     json_int(json_object_get(v->summary, "total"), "unknown", 0) > 0
                         ? _("cost of %zu days unknown")
                         : _("nothing was charged in %zu days"),
                     n);
        else if (rows == 1)
            tui_sparkline(a, y, 0, width - 24 > 7 ? width - 24 : width, ROLE_CHART, values, n);
        else
            tui_chart(tui_sub(a, y, 0, rows - 1, width), ROLE_CHART, values, n, high);
        char text[80];
        snprintf(text, sizeof(text), _("%zu d  min %.2f  max %.2f"), n, isnan(low) ? 0 : low, high);
        if (!(high > 0))
            *text = 0;
        if (rows > 1)
            tui_put(a, y + rows - 1, 0, width, ROLE_DIM, text);
        else if (width - 24 > 7)
            tui_put(a, y, width - 22, -1, ROLE_DIM, text);
    }
    free(values);
    return y + rows;
}

static int draw_models(const struct cost_view *v, struct tui_area a, int y, int rows)
{
    const json_t *models = json_object_get(v->summary, "by_model");
    int name = a.width >= 70 ? 26 : a.width >= 44 ? 18 : a.width / 3;
    int bar = a.width >= 70 ? 24 : a.width - name - 8 - (a.width >= 44 ? 15 : 0);
    for (int i = 0; i < rows && (size_t)i < json_array_size(models); i++) {
        const json_t *m = json_array_get(models, (size_t)i);
        const json_t *share = json_object_get(m, "share");
        char money[48];
        cost_money(m, json_str(m, "currency", json_str(v->summary, "currency", "")), money);
        tui_put(a, y, 0, name, ROLE_TEXT, json_str(m, "model", "-"));
        tui_bar(a, y, name + 1, bar, ROLE_CHART,
                json_is_number(share) ? json_number_value(share) : 0);
        if (json_is_number(share))
            tui_putf(a, y, name + 2 + bar, 5, ROLE_TEXT, "%3.0f%%", 100 * json_number_value(share));
        else
            tui_put_right(a, y, name + 2 + bar, 4, ROLE_DIM, "-");
        if (a.width >= 44)
            tui_put_right(a, y, name + bar + 7, 14, ROLE_DIM, money);
        if (a.width >= 90) {
            char calls[32], tokens[32];
            view_count(json_int(m, "calls", 0), calls);
            view_count(line_tokens(m), tokens);
            int x = name + bar + 24;
            x += tui_putf(a, y, x, -1, ROLE_DIM, _("%s calls  %s tok"), calls, tokens);
            if (json_is_number(json_object_get(m, "energy_j"))) {
                cost_energy(json_num(m, "energy_j", 0), calls);
                x += tui_putf(a, y, x, -1, ROLE_DIM, "  %s", calls);
                if (strcmp(json_str(m, "energy_source", ""), "learnt") == 0)
                    tui_put(a, y, x + 1, -1, ROLE_DIM, _("(learnt)"));
            }
        }
        y++;
    }
    return y;
}

static void draw_line(struct cost_view *v, struct tui_area a, bool focused)
{
    long row = tui_list_selected(v->list);
    const json_t *r = row >= 0 ? row_at(v, (size_t)row) : NULL;
    struct view_page p = view_page_begin(&v->scroll, tui_sub(a, 0, 1, a.height, a.width - 1));
    char money[48];
    line_amount(r, money);
    cost_line_draw(r, money, &p);
    view_page_end(&v->scroll, &p);
    if (focused)
        tui_cursor(a, 0, 0);
}

static bool charged(const struct cost_view *v)
{
    size_t n;
    double *values = view_values(json_object_get(v->summary, "by_day"), "amount", &n);
    bool any = false;
    for (size_t i = 0; i < n; i++)
        any |= values[i] > 0;
    free(values);
    return any;
}

/* Figures and budgets: as many rows as leave room for days, models and the ledger. */
static int draw_parts(const struct cost_view *v, struct tui_area a, int y, int height)
{
    int budgets = (int)json_array_size(v->budgets);
    int most = height >= 40 ? 8 : height >= 28 ? 4 : height >= 18 ? 2 : height >= 8 ? 1 : 0;
    int figures = height >= 28 ? 3 : height >= 18 ? 1 : 0;
    if (json_int(json_object_get(v->summary, "total"), "calls", 0) > 0)
        y = cost_figures(v->summary, a, y, figures);
    return cost_budgets_draw(v->budgets, a, y, budgets < most ? budgets : most);
}

static void draw_all(struct cost_view *v, struct tui_area a, bool focused)
{
    struct tui_area in = tui_sub(a, 0, 1, a.height, a.width - 2);
    int models = (int)json_array_size(json_object_get(v->summary, "by_model"));
    if (models > MODELS_MAX)
        models = MODELS_MAX;
    int y = draw_today(v, in, 0);
    y = draw_parts(v, in, y, a.height);
    int ledger = a.height >= 14 ? (a.height - y) * 2 / 5 : 0;
    if (ledger && ledger < 6)
        ledger = 6;
    int rest = a.height - y - ledger - (ledger ? 1 : 0);
    int most = a.height >= 14 ? rest - 2 : rest - 2 > 1 ? rest - 2 : rest;
    if (models > most)
        models = most > 0 ? most : 0;
    bool airy = a.height >= 14;
    int chart = rest - models - 2 * airy;
    if (chart > 1 && !charged(v)) /* no picture of nothing */
        chart = 1;
    if (chart > 10)
        chart = 10;
    if (airy)
        y++;
    y = draw_days(v, in, y, chart > 0 ? chart : 0);
    if (airy)
        y++;
    y = draw_models(v, in, y, models);
    v->list_drawn = ledger > 0;
    if (!ledger)
        return;
    tui_fill(a, ++y, 0, a.width, ROLE_RULE, GLYPH_RULE);
    v->list_top = y + 1;
    tui_list_draw(v->list, tui_sub(a, y + 1, 0, a.height - y - 1, a.width), focused, true);
}

static void view_draw(void *self, struct tui_area a, bool focused)
{
    struct cost_view *v = self;
    if (view_ask_due(&v->ask))
        call_summary(v);
    if (view_ask_due(&v->ask_lines))
        call_lines(v);
    if (view_ask_due(&v->ask_budgets))
        call_budgets(v);
    const json_t *total = json_object_get(v->summary, "total");
    if (v->error && !v->summary)
        view_note(a, ROLE_FAIL, v->error, _("r asks again"));
    else if (!v->summary)
        view_note(a, ROLE_DIM, _("Waiting for the ledger."), NULL);
    else if (v->open)
        draw_line(v, a, focused);
    else if (!json_int(total, "calls", 0) && !json_array_size(v->lines))
        view_note(a, ROLE_DIM, _("What model calls cost, by day and model."),
                  _("Nothing was called yet. 1 goes to the chat."));
    else
        draw_all(v, a, focused);
}

/* ---- the view */

static void view_open(void *self)
{
    struct cost_view *v = self;
    v->list = tui_list_new(columns, sizeof(columns) / sizeof(columns[0]), &list_ops, v);
    ask_all(v);
}

static void view_close(void *self)
{
    struct cost_view *v = self;
    tui_list_free(v->list);
    json_decref(v->summary);
    json_decref(v->lines);
    json_decref(v->budgets);
    free(v->error);
}

static bool view_action(void *self, enum tui_action action)
{
    struct cost_view *v = self;
    if (action == ACTION_REFRESH) {
        v->ask = v->ask_lines = v->ask_budgets = (struct view_ask){0};
        ask_all(v);
        return true;
    }
    if (v->open) {
        if (action != ACTION_BACK)
            return view_scroll_action(&v->scroll, action);
        v->open = false;
        tui_dirty();
        return true;
    }
    if (!v->list_drawn)
        return false;
    if (action == ACTION_OPEN && tui_list_selected(v->list) >= 0) {
        v->open = true;
        v->scroll = (struct view_scroll){0};
        tui_dirty();
        return true;
    }
    return tui_list_action(v->list, action);
}

static bool view_click(void *self, int y, int x, bool twice)
{
    struct cost_view *v = self;
    if (v->open || !v->list_drawn || y < v->list_top)
        return false;
    bool took = tui_list_click(v->list, y - v->list_top, x, twice);
    if (took && twice)
        view_action(v, ACTION_OPEN);
    return took;
}

static void view_wheel(void *self, int rows)
{
    struct cost_view *v = self;
    if (v->open)
        view_scroll_by(&v->scroll, rows);
    else if (v->list_drawn)
        tui_list_wheel(v->list, rows);
}

static void view_event(void *self, const char *type, int64_t at, const json_t *data)
{
    struct cost_view *v = self;
    (void)at;
    if (strcmp(type, "cost"))
        return;
    if (v->summary)
        json_object_set_new(v->summary, "today", json_deep_copy(data));
    ask_all(v);
    tui_dirty();
}

static void view_resync(void *self)
{
    ask_all(self);
}

static void view_badge(void *self, char *out, size_t size, enum tui_role *role)
{
    struct cost_view *v = self;
    int unknown = (int)json_int(json_object_get(v->summary, "today"), "unknown", 0);
    *out = 0;
    if (unknown <= 0)
        return;
    *role = ROLE_UNKNOWN;
    snprintf(out, size, "%s%d", tui_glyph(GLYPH_UNKNOWN), unknown);
}

static struct tui_list *view_list(void *self)
{
    struct cost_view *v = self;
    return v->list_drawn && !v->open ? v->list : NULL;
}

static const enum tui_action actions[] = {ACTION_OPEN, ACTION_FILTER,  ACTION_SORT,
                                          ACTION_COPY, ACTION_REFRESH, ACTION_NONE};
const struct view_ops view_cost_ops = {.name = "cost",
                                       .size = sizeof(struct cost_view),
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
