/* Evaluations: a list of runs, newest first, and what the selected one came to: scores with their
 * intervals, comparisons, drift, and how the score went over the runs of its set. Enter shows the
 * cases of it that lack something. */
#include "views/eval_page.h"
#include "backend/base/text.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    RUNS = 100,
    NAME_MAX_WIDTH = 28,
    BAR_LEAST = 12,
    BAR_MOST = 60,
    WIDE = 72,
    ONE_LINE = 60,
    HISTORY = 24,
    ROOMY = 16
};

enum { COL_TIME, COL_SET, COL_BEST, COL_CASES, COL_STATE };
static const struct tui_column columns[] = {{"time", 16, false, 2},
                                            {"set", 14, false, 0},
                                            {"best", -18, false, 0},
                                            {"cases", 6, true, 3},
                                            {"state", 10, false, 1}};

static const json_t *runs_of(const struct eval_page *p)
{
    return json_object_get(p->answer, "runs");
}

static const json_t *run_at(const struct eval_page *p, size_t row)
{
    return json_array_get(runs_of(p), row);
}

static double score_of(const json_t *variant, const char *part)
{
    return 100 * json_num(json_object_get(variant, "score"), part, 0);
}

/* Cases that every variant answered; of a run that ended early not all. */
static int64_t scored_of(const json_t *run)
{
    return json_int(run, "scored", json_int(run, "cases", 0));
}

static const json_t *best_of(const json_t *run)
{
    const json_t *best = NULL, *one;
    size_t i;
    if (!scored_of(run))
        return NULL;
    json_array_foreach(json_object_get(run, "variants"), i, one)
    {
        if (!best || score_of(one, "value") > score_of(best, "value"))
            best = one;
    }
    return best;
}

/* Does anything of it want looking at: "drift"; else the state it ended in. */
static const char *state_of(const json_t *run)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(run, "drift"), i, one)
    {
        if (json_flag(one, "alert", false))
            return "warn";
    }
    return json_str(run, "state", "unknown");
}

/* ---- the list */

static size_t list_count(void *arg)
{
    return json_array_size(runs_of(arg));
}

static const char *list_id(void *arg, size_t row)
{
    return json_str(run_at(arg, row), "run", "");
}

/* "2026-11-27 14:30", local time. */
static void put_time(int64_t at_ms, struct buf *out)
{
    char text[32];
    time_t at = (time_t)(at_ms / 1000);
    struct tm parts;
    if (at_ms > 0 && localtime_r(&at, &parts) &&
        strftime(text, sizeof text, "%Y-%m-%d %H:%M", &parts))
        buf_adds(out, text);
    else
        buf_addc(out, '-');
}

static void list_cell(void *arg, size_t row, int column, struct buf *out, enum tui_role *role)
{
    const json_t *run = run_at(arg, row), *best = best_of(run);
    switch (column) {
    case COL_TIME:
        *role = ROLE_DIM;
        put_time(view_at(run, "at"), out);
        break;
    case COL_SET:
        *role = ROLE_TEXT;
        buf_addf(out, "%s%s", json_str(run, "name", "-"),
                 json_flag(run, "kept", false) ? " *" : "");
        break;
    case COL_BEST:
        if (best)
            buf_addf(out, "%.1f %s", score_of(best, "value"), json_str(best, "variant", "-"));
        else
            buf_adds(out, json_str(run, "error", "-"));
        break;
    case COL_CASES:
        buf_addf(out, "%lld", (long long)scored_of(run));
        break;
    default:
        buf_adds(out, state_of(run));
    }
}

static bool list_draw(void *arg, size_t row, int column, struct tui_area a)
{
    if (column != COL_STATE)
        return false;
    tui_put_state(a, 0, 0, state_of(run_at(arg, row)), true);
    return true;
}

static int list_compare(void *arg, size_t a, size_t b, int column)
{
    const json_t *x = run_at(arg, a), *y = run_at(arg, b);
    double p = 0, q = 0;
    switch (column) {
    case COL_TIME:
        return strcmp(json_str(x, "at", ""), json_str(y, "at", ""));
    case COL_SET:
        return strcmp(json_str(x, "name", ""), json_str(y, "name", ""));
    case COL_BEST:
        p = score_of(best_of(x), "value"), q = score_of(best_of(y), "value");
        break;
    case COL_CASES:
        p = (double)scored_of(x), q = (double)scored_of(y);
        break;
    default:
        return strcmp(state_of(x), state_of(y));
    }
    return (p > q) - (p < q);
}

static const struct tui_list_ops list_ops = {.count = list_count,
                                             .cell = list_cell,
                                             .draw = list_draw,
                                             .id = list_id,
                                             .compare = list_compare};

/* ---- asking: the calls are those of the view (tui_call) */

static void got_runs(void *self, const json_t *result, const struct error *e)
{
    struct eval_page *p = eval_page_of(self);
    view_ask_done(&p->ask);
    view_keep_error(&p->error, result ? NULL : e);
    if (result) {
        json_decref(p->answer);
        p->answer = json_deep_copy(result);
        tui_list_changed(p->list);
    }
    tui_dirty();
}

static void call_runs(struct eval_page *p)
{
    tui_call(p->view, WIRE_eval_list, json_pack("{s:i}", "limit", RUNS), got_runs);
}

static void put_statements(struct tui_text *t, const json_t *row, const char *key,
                           enum tui_role role, const char *what)
{
    size_t i;
    json_t *text;
    json_array_foreach(json_object_get(row, key), i, text)
    {
        tui_text_addf(t, role, 4, false, "%s %s", what,
                      json_is_string(text) ? json_string_value(text) : "");
    }
}

/* What each variant lacked in a case; nothing where all of them said all. */
static void put_case(struct tui_text *t, const json_t *variants, size_t row)
{
    const json_t *v;
    size_t i;
    bool named = false;
    json_array_foreach((json_t *)variants, i, v)
    {
        const json_t *r = json_array_get(json_object_get(v, "rows"), row);
        if (!r || (json_num(r, "score", 0) >= 1 && !json_flag(r, "contradictory", false)))
            continue;
        if (!named)
            tui_text_add(t, ROLE_STRONG, 0, false, json_str(r, "case", "-"));
        named = true;
        tui_text_addf(t, ROLE_TEXT, 2, false, "%3.0f %s", 100 * json_num(r, "score", 0),
                      json_str(v, "variant", "-"));
        put_statements(t, r, "missed", ROLE_DIM, _("not said:"));
        put_statements(t, r, "contradicted", ROLE_WARN, _("contradicted:"));
        put_statements(t, r, "forbidden", ROLE_WARN, _("said, and must not be:"));
    }
}

static void fill_cases(struct eval_page *p)
{
    const json_t *variants = json_object_get(p->run, "variants");
    size_t n = json_array_size(json_object_get(json_array_get(variants, 0), "rows"));
    tui_text_clear(p->cases);
    for (size_t i = 0; i < n; i++)
        put_case(p->cases, variants, i);
}

static void got_run(void *self, const json_t *result, const struct error *e)
{
    struct eval_page *p = eval_page_of(self);
    if (!result)
        tui_error(e, _("evaluation"));
    if (result && p->run_id && strcmp(p->run_id, json_str(result, "run", "")) == 0) {
        json_decref(p->run);
        p->run = json_deep_copy(result);
        fill_cases(p);
    }
    tui_dirty();
}

static void open_run(struct eval_page *p)
{
    long row = tui_list_selected(p->list);
    if (row < 0)
        return;
    free(p->run_id);
    p->run_id = xstrdup(list_id(p, (size_t)row));
    json_decref(p->run);
    p->run = NULL;
    tui_text_clear(p->cases);
    p->whole = true;
    p->scroll = (struct view_scroll){0};
    view_finder_release(&p->finder);
    tui_call(p->view, WIRE_eval_show, json_pack("{s:s}", "run", p->run_id), got_run);
    tui_dirty();
}

/* ---- drawing a run */

static int name_width(const json_t *variants)
{
    const json_t *v;
    size_t i;
    int width = 8;
    json_array_foreach((json_t *)variants, i, v)
    {
        const char *name = json_str(v, "variant", "");
        int its = text_width(name, strlen(name));
        width = its > width ? its : width;
    }
    return width < NAME_MAX_WIDTH ? width : NAME_MAX_WIDTH;
}

/* Score and interval as figures, and behind them as bars where there is room: the score in one
 * row, the interval below it. */
static void draw_score(struct view_page *p, const json_t *v, int name)
{
    const double value = score_of(v, "value"), low = score_of(v, "low"), high = score_of(v, "high");
    struct tui_area a = p->area;
    int x = tui_put(a, p->y, 0, name, ROLE_TEXT, json_str(v, "variant", "-"));
    x = x < name ? name + 2 : x + 2;
    x += tui_putf(a, p->y, x, -1, ROLE_STRONG, "%5.1f", value);
    x += tui_putf(a, p->y, x, -1, ROLE_DIM, " (%.1f..%.1f)", low, high);
    int bar = a.width - name - 26;
    bar = bar > BAR_MOST ? BAR_MOST : bar;
    if (bar >= BAR_LEAST) {
        tui_bar(a, p->y, name + 24, bar, ROLE_CHART, value / 100);
        tui_span(a, ++p->y, name + 24, bar, ROLE_CHART_ALT, low / 100, high / 100);
    }
    p->y++;
}

static double percent(const json_t *v, const char *part, const char *whole)
{
    double all = json_num(v, whole, 0);
    return all > 0 ? 100 * json_num(v, part, 0) / all : 0;
}

static void draw_figures(struct view_page *p, const json_t *v)
{
    const json_t *cost = json_object_get(v, "cost");
    struct tui_area a = p->area;
    char money[48], took[16];
    view_money(json_str(cost, "amount", NULL), json_str(cost, "currency", ""), false, money);
    tui_duration(json_num(v, "elapsed_p50_ms", -1), took);
    tui_put(a, p->y++, 0, -1, ROLE_TEXT, json_str(v, "variant", "-"));
    if (a.width < ONE_LINE) {
        tui_putf(a, p->y++, 2, -1, ROLE_DIM, _("%lld of %lld said, %lld contradictory"),
                 (long long)json_int(v, "met", 0), (long long)json_int(v, "expected", 0),
                 (long long)json_int(v, "contradictory", 0));
        return;
    }
    tui_putf(a, p->y++, 2, -1, ROLE_DIM,
             _("%lld of %lld said, %.0f%% cited, %lld contradictory, %.0f%% unsupported"),
             (long long)json_int(v, "met", 0), (long long)json_int(v, "expected", 0),
             percent(v, "cited", "citations"), (long long)json_int(v, "contradictory", 0),
             percent(v, "unsupported", "sentences"));
    if (a.width >= WIDE || a.height > 20)
        tui_putf(a, p->y++, 2, -1, ROLE_DIM, _("%s at the median, %lld tokens, %s"), took,
                 (long long)json_int(v, "input_tokens", 0) +
                     (long long)json_int(v, "output_tokens", 0),
                 money);
}

/* The scores of a variant over the runs of its set, oldest first; the caller frees. */
static double *history(const struct eval_page *p, const json_t *run, const char *variant, size_t *n)
{
    double *values = xcalloc(HISTORY, sizeof *values);
    const json_t *runs = runs_of(p), *one, *v;
    size_t i, j, at = HISTORY;
    bool seen = false;
    json_array_foreach((json_t *)runs, i, one)
    {
        seen = seen || strcmp(json_str(one, "run", ""), json_str(run, "run", "?")) == 0;
        if (!seen || strcmp(json_str(one, "name", ""), json_str(run, "name", "?")) != 0 ||
            scored_of(one) <
                json_int(one, "cases", 0)) /* a part of a set says nothing of the whole */
            continue;
        json_array_foreach(json_object_get(one, "variants"), j, v)
        {
            if (at > 0 && strcmp(json_str(v, "variant", ""), variant) == 0)
                values[--at] = score_of(v, "value");
        }
    }
    *n = HISTORY - at;
    memmove(values, values + at, *n * sizeof *values);
    return values;
}

static void draw_history(const struct eval_page *page, struct view_page *p, const json_t *run,
                         const json_t *v)
{
    size_t n;
    double *values = history(page, run, json_str(v, "variant", ""), &n);
    if (n > 1) {
        int x = tui_putf(p->area, p->y, 2, -1, ROLE_DIM, _("%zu runs, %.1f to %.1f "), n, values[0],
                         values[n - 1]);
        tui_sparkline(p->area, p->y++, 2 + x, (int)n, ROLE_CHART, values, n);
    }
    free(values);
}

static void draw_comparisons(struct view_page *p, const json_t *run)
{
    const json_t *one;
    size_t i;
    json_array_foreach(json_object_get(run, "comparisons"), i, one)
    {
        const json_t *d = json_object_get(one, "difference"), *w = json_object_get(one, "win_rate");
        double low = 100 * json_num(d, "low", 0), high = 100 * json_num(d, "high", 0);
        if (!i) {
            p->y += p->area.height > ROOMY;
            tui_putf(p->area, p->y++, 0, -1, ROLE_DIM, _("against %s"),
                     json_str(one, "against", "-"));
        }
        tui_putf(p->area, p->y++, 2, -1,
                 low > 0    ? ROLE_OK
                 : high < 0 ? ROLE_WARN
                            : ROLE_TEXT,
                 _("%s: %+.1f (%+.1f..%+.1f), wins %.0f%%"), json_str(one, "variant", "-"),
                 100 * json_num(d, "value", 0), low, high, 100 * json_num(w, "value", 0));
    }
}

static void draw_drift(struct view_page *p, const json_t *run)
{
    const json_t *one;
    size_t i;
    json_array_foreach(json_object_get(run, "drift"), i, one)
    {
        const json_t *score = json_object_get(one, "score");
        bool alert = json_flag(one, "alert", false);
        char centroid[32], classes[32];
        view_number(json_object_get(one, "centroid"), 3, centroid);
        view_number(json_object_get(one, "classes"), 3, classes);
        if (!i) {
            p->y += p->area.height > ROOMY;
            tui_putf(p->area, p->y++, 0, -1, ROLE_DIM, _("since the baseline of %.10s"),
                     json_str(json_object_get(run, "baseline"), "at", "-"));
        }
        int x = 2;
        if (alert)
            x += 1 + tui_put_glyph(p->area, p->y, x, ROLE_WARN, GLYPH_WARN);
        tui_putf(p->area, p->y++, x, -1, alert ? ROLE_WARN : ROLE_TEXT,
                 _("%s: score %.1f to %.1f, centroid %s, safety classes %s"),
                 json_str(one, "variant", "-"), 100 * json_num(score, "before", 0),
                 100 * json_num(score, "now", 0), centroid, classes);
    }
}

static void draw_title(struct view_page *p, const json_t *run)
{
    const char *name = json_str(run, "name", "-");
    long long of = json_int(run, "cases", 0), scored = scored_of(run);
    long long entry = json_int(run, "entry", 0), seed = json_int(run, "seed", 0);
    if (scored < of) /* it was stopped, or some were not answered by all variants */
        tui_putf(p->area, p->y++, 0, -1, ROLE_WARN,
                 _("%s: %lld of %lld cases, entry %lld, seed %lld"), name, scored, of, entry, seed);
    else
        tui_putf(p->area, p->y++, 0, -1, ROLE_DIM, _("%s: %lld cases, entry %lld, seed %lld"), name,
                 of, entry, seed);
}

static void draw_run(struct eval_page *page, struct tui_area a, const json_t *run, bool whole)
{
    struct view_scroll still = {0}, *scroll = whole ? &page->scroll : &still;
    struct view_page p = view_page_begin(scroll, a);
    const json_t *variants = json_object_get(run, "variants"), *v;
    int name = name_width(variants);
    size_t i;
    draw_title(&p, run);
    json_array_foreach((json_t *)variants, i, v) draw_score(&p, v, name);
    draw_comparisons(&p, run);
    draw_drift(&p, run);
    p.y++;
    json_array_foreach((json_t *)variants, i, v)
    {
        draw_figures(&p, v);
        draw_history(page, &p, run, v);
    }
    if (whole) {
        p.y++;
        if (page->run)
            view_page_text(&p, page->cases);
        else
            tui_put(p.area, p.y++, 0, -1, ROLE_DIM, _("Waiting for the cases."));
        view_page_end(scroll, &p);
    }
}

/* ---- the page */

void eval_page_open(struct eval_page *p, void *view)
{
    p->view = view;
    p->list = tui_list_new(columns, sizeof columns / sizeof *columns, &list_ops, p);
    p->cases = tui_text_new();
}

void eval_page_close(struct eval_page *p)
{
    tui_list_free(p->list);
    tui_text_free(p->cases);
    json_decref(p->answer);
    json_decref(p->run);
    view_finder_release(&p->finder);
    free(p->run_id);
    free(p->error);
}

void eval_page_show(struct eval_page *p)
{
    p->shown = true;
    if (view_ask_now(&p->ask))
        call_runs(p);
    tui_dirty();
}

static int draw_progress(const struct eval_page *p, struct tui_area a)
{
    const json_t *running = json_object_get(p->answer, "running");
    int64_t done = json_int(running, "done", 0), total = json_int(running, "total", 0);
    if (!json_is_object(running))
        return 0;
    int x = tui_putf(a, 0, 0, -1, ROLE_ACCENT, _("%s: %lld of %lld "),
                     json_str(running, "name", ""), (long long)done, (long long)total);
    if (total > 0 && a.width - x > BAR_LEAST)
        tui_bar(a, 0, x, a.width - x > BAR_MOST ? BAR_MOST : a.width - x, ROLE_ACCENT,
                (double)done / (double)total);
    return 1;
}

static void draw_both(struct eval_page *p, struct tui_area a, bool focused)
{
    size_t n = list_count(p);
    int rows = a.height > 8 ? a.height / 3 : a.height;
    bool header = rows > 3;
    rows = (size_t)(rows - header) > n ? (int)n + header : rows;
    p->list_rows = rows;
    tui_list_draw(p->list, tui_sub(a, 0, 0, rows, a.width), focused, header);
    long row = tui_list_selected(p->list);
    if (rows + 2 > a.height || row < 0)
        return;
    tui_fill(a, rows, 0, a.width, ROLE_RULE, GLYPH_RULE);
    draw_run(p, tui_sub(a, rows + 1, 1, a.height - rows - 1, a.width - 1), run_at(p, (size_t)row),
             false);
}

/* The selected run has the pane. */
static void draw_whole(void *arg, struct tui_area a)
{
    struct eval_page *p = arg;
    long row = tui_list_selected(p->list);
    draw_run(p, a, p->run ? p->run : row >= 0 ? run_at(p, (size_t)row) : NULL, true);
}

bool eval_page_find(struct eval_page *p, const char *text, int step)
{
    return p->whole && view_page_find(&p->finder, &p->scroll, text, step, draw_whole, p);
}

const enum tui_action *eval_page_hints(const struct eval_page *p)
{
    static const enum tui_action whole[] = {ACTION_BACK, ACTION_FILTER, ACTION_EVAL_RUN,
                                            ACTION_NONE};
    static const enum tui_action running[] = {ACTION_OPEN, ACTION_EVAL_STOP, ACTION_FILTER,
                                              ACTION_BACK, ACTION_NONE};
    static const enum tui_action list[] = {ACTION_OPEN, ACTION_EVAL_RUN, ACTION_FILTER, ACTION_BACK,
                                           ACTION_NONE};
    static const enum tui_action none[] = {ACTION_EVAL_RUN, ACTION_BACK, ACTION_NONE};
    if (p->whole)
        return whole;
    if (json_is_object(json_object_get(p->answer, "running")))
        return running;
    return json_array_size(runs_of(p)) ? list : none;
}

void eval_page_draw(struct eval_page *p, struct tui_area a, bool focused)
{
    struct tui_seek seek;
    if (view_ask_due(&p->ask))
        call_runs(p);
    if (p->whole) {
        view_finder_begin(&p->finder, &seek);
        draw_whole(p, tui_sub(a, 0, 1, a.height, a.width - 1));
        view_finder_end();
        if (focused)
            tui_cursor(a, 0, 0);
    } else if (p->error && !p->answer) {
        view_note(a, ROLE_FAIL, p->error, _("r asks again"));
    } else if (!p->answer) {
        view_note(a, ROLE_DIM, _("Waiting for the evaluations."), NULL);
    } else {
        int top = draw_progress(p, a);
        struct tui_area rest = tui_sub(a, top, 0, a.height - top, a.width);
        if (list_count(p))
            draw_both(p, rest, focused);
        else
            view_note(rest, ROLE_DIM,
                      _("Golden sets: questions whose answers are known, asked of several flows."),
                      _("R asks the built-in set."));
    }
}

/* ---- a run is begun from here */

static void begun(void *self, const json_t *result, const struct error *e)
{
    struct eval_page *p = eval_page_of(self);
    if (!result)
        tui_error(e, _("evaluation"));
    else if (view_ask_now(&p->ask))
        call_runs(p);
}

static void start(void *arg, const char *text)
{
    struct eval_page *p = arg;
    json_t *variants = json_array(), *params = json_object();
    char *all = xstrdup(text), *rest = all;
    for (char *one; (one = strsep(&rest, ", "));)
        if (*one)
            json_array_append_new(variants, json_text(one, strlen(one)));
    free(all);
    json_puts(params, "name",
              json_str(json_array_get(json_object_get(p->answer, "sets"), 0), "name", "oncall"));
    json_put(params, "variants", variants);
    tui_call(p->view, WIRE_eval_run, params, begun);
}

static void stopped(void *self, const json_t *result, const struct error *e)
{
    (void)self;
    if (!result)
        tui_error(e, _("evaluation"));
    else
        tui_say("%s", _("the evaluation is being stopped"));
}

static void stop(struct eval_page *p)
{
    const json_t *running = json_object_get(p->answer, "running");
    if (json_is_object(running))
        tui_call(p->view, WIRE_eval_stop, json_pack("{s:s}", "run", json_str(running, "run", "")),
                 stopped);
    else
        tui_say("%s", _("no evaluation is running"));
}

static bool step_back(struct eval_page *p)
{
    if (p->whole)
        p->whole = false;
    else
        p->shown = false;
    tui_dirty();
    return true;
}

bool eval_page_action(struct eval_page *p, enum tui_action action)
{
    switch (action) {
    case ACTION_BACK:
        return step_back(p);
    case ACTION_EVALS:
        p->whole = p->shown = false;
        tui_dirty();
        return true;
    case ACTION_EVAL_RUN:
        tui_prompt(_("Ask the built-in set of"), "single,arbitrate", start, p);
        return true;
    case ACTION_EVAL_STOP:
        stop(p);
        return true;
    case ACTION_REFRESH:
        p->ask = (struct view_ask){0};
        if (view_ask_now(&p->ask))
            call_runs(p);
        return true;
    default:
        break;
    }
    if (p->whole)
        return view_scroll_action(&p->scroll, action);
    if (action == ACTION_OPEN) {
        open_run(p);
        return true;
    }
    return tui_list_action(p->list, action);
}

bool eval_page_click(struct eval_page *p, int y, int x, bool twice)
{
    if (p->whole || y >= p->list_rows)
        return false;
    bool took = tui_list_click(p->list, y, x, twice);
    if (took && twice)
        open_run(p);
    return took;
}

void eval_page_wheel(struct eval_page *p, int rows)
{
    if (p->whole)
        view_scroll_by(&p->scroll, rows);
    else
        tui_list_wheel(p->list, rows);
}

void eval_page_event(struct eval_page *p, const char *type, const json_t *data)
{
    if (strcmp(type, "eval") != 0 || !p->answer)
        return;
    bool running = strcmp(json_str(data, "state", ""), "running") == 0;
    json_put(p->answer, "running", running ? json_deep_copy(data) : json_null());
    if (!running && view_ask_now(&p->ask))
        call_runs(p);
    if (p->shown)
        tui_dirty();
}

void eval_page_resync(struct eval_page *p)
{
    if (p->answer && view_ask_now(&p->ask))
        call_runs(p);
}

struct tui_list *eval_page_list(struct eval_page *p)
{
    return p->whole ? NULL : p->list;
}
