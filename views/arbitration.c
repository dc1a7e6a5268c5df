/* Arbitration: how several models' answers became one. A list of traces and the chosen one beside
 * or below it; Enter gives it the whole pane. */
#include "backend/base/text.h"
#include "views/eval_page.h"
#include "views/trace_diff.h"
#include "views/trace_export.h"
#include "views/trace_page.h"
#include "views/trace_replay.h"
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 200, ROWS = 400, SIDE_WIDTH = 104, STACK_HEIGHT = 7 };

struct arbitration {
    struct tui_list *list;
    json_t *traces; /* newest first; NULL before the first answer */
    json_t *detail; /* one trace, whole or as the events told it */
    bool open;      /* the detail has the pane */
    char *error;
    struct view_ask ask, ask_detail;
    struct trace_page page;      /* shows the detail */
    char *texts_of;              /* trace whose texts these are */
    int list_rows, list_columns; /* where the list was drawn, for clicks */
    struct eval_page evals;
    bool with_evals;            /* their runs are in the list too */
    struct trace_replay replay; /* of the trace at hand, while it is open */
    json_t *exported;           /* what a file is being asked for */
    char *pair[2];              /* traces that are to be compared, while they are asked for */
    json_t *runs[2];
    struct trace_diff diff; /* has the pane while it is shown */
};

enum { COL_TIME, COL_QUESTION, COL_STATE, COL_WINNER, COL_D, COL_TOKENS, COL_ELAPSED };
static const struct tui_column columns[] = {{"time", 8, false, 3},  {"question", -20, false, 0},
                                            {"state", 9, false, 4}, {"winner", 16, false, 5},
                                            {"D", 4, true, 6},      {"tokens", 7, true, 7},
                                            {"took", 7, true, 2}};

static const json_t *row_at(const struct arbitration *v, size_t row)
{
    return json_array_get(v->traces, row);
}

static size_t list_count(void *arg)
{
    return json_array_size(((struct arbitration *)arg)->traces);
}

static const char *list_id(void *arg, size_t row)
{
    return json_str(row_at(arg, row), "trace_id", "");
}

static void list_cell(void *arg, size_t row, int column, struct buf *out, enum tui_role *role)
{
    const json_t *r = row_at(arg, row), *verdict = json_object_get(r, "verdict");
    char text[32];
    switch (column) {
    case COL_TIME:
        view_clock(view_at(r, "at"), text);
        *role = ROLE_DIM;
        buf_adds(out, text);
        break;
    case COL_QUESTION:
        *role = ROLE_TEXT;
        buf_adds(out, json_str(r, "question", "-"));
        break;
    case COL_STATE:
        buf_adds(out, json_str(r, "state", "unknown"));
        break;
    case COL_WINNER:
        buf_adds(out, json_str(verdict, "winner", "-"));
        break;
    case COL_D:
        view_number(json_object_get(verdict, "D"), 2, text);
        buf_adds(out, text);
        break;
    case COL_TOKENS:
        trace_tokens(r, text);
        buf_adds(out, text);
        break;
    default:
        tui_duration(json_num(r, "elapsed_ms", -1), text);
        buf_adds(out, text);
    }
}

static bool list_draw(void *arg, size_t row, int column, struct tui_area a)
{
    if (column != COL_STATE)
        return false;
    tui_put_state(a, 0, 0, json_str(row_at(arg, row), "state", "unknown"), true);
    return true;
}

static double sort_value(const json_t *r, int column)
{
    const json_t *u = json_object_get(r, "usage");
    switch (column) {
    case COL_TIME:
        return (double)view_at(r, "at");
    case COL_D:
        return json_num(json_object_get(r, "verdict"), "D", -1);
    case COL_TOKENS:
        return json_num(u, "input_tokens", 0) + json_num(u, "output_tokens", 0);
    default:
        return json_num(r, "elapsed_ms", -1);
    }
}

static int list_compare(void *arg, size_t a, size_t b, int column)
{
    const json_t *x = row_at(arg, a), *y = row_at(arg, b);
    if (column == COL_QUESTION)
        return strcmp(json_str(x, "question", ""), json_str(y, "question", ""));
    if (column == COL_STATE)
        return strcmp(json_str(x, "state", ""), json_str(y, "state", ""));
    if (column == COL_WINNER)
        return strcmp(json_str(json_object_get(x, "verdict"), "winner", ""),
                      json_str(json_object_get(y, "verdict"), "winner", ""));
    double p = sort_value(x, column), q = sort_value(y, column);
    return (p > q) - (p < q);
}

static const struct tui_list_ops list_ops = {.count = list_count,
                                             .cell = list_cell,
                                             .draw = list_draw,
                                             .id = list_id,
                                             .compare = list_compare};

/* ---- asking */

static void got_traces(void *self, const json_t *result, const struct error *e)
{
    struct arbitration *v = self;
    view_ask_done(&v->ask);
    view_keep_error(&v->error, result ? NULL : e);
    if (result) {
        json_decref(v->traces);
        v->traces = json_deep_copy(json_object_get(result, "traces")); /* events change it */
        tui_list_changed(v->list);
    }
    tui_dirty();
}

static void call_traces(struct arbitration *v)
{
    tui_call(v, WIRE_traces_list,
             json_pack("{s:i,s:b}", "limit", PAGE, "evals", (int)v->with_evals), got_traces);
}

static void ask_traces(struct arbitration *v)
{
    if (view_ask_now(&v->ask))
        call_traces(v);
}

static const char *selected_id(const struct arbitration *v)
{
    long row = tui_list_selected(v->list);
    return row >= 0 ? list_id((void *)v, (size_t)row) : NULL;
}

/* What is known of the trace now; a replay goes on with what was known when it began. */
static void show_detail(struct arbitration *v)
{
    if (!v->replay.whole)
        trace_page_set(&v->page, v->detail);
}

static void replay_end(struct arbitration *v)
{
    trace_replay_end(&v->replay);
    show_detail(v);
    tui_dirty();
}

static void got_detail(void *self, const json_t *result, const struct error *e)
{
    struct arbitration *v = self;
    view_ask_done(&v->ask_detail);
    if (!result)
        tui_error(e, _("trace"));
    if (result && v->texts_of && !strcmp(v->texts_of, json_str(result, "trace_id", ""))) {
        json_decref(v->detail);
        v->detail = json_deep_copy(result);
        show_detail(v);
    }
    tui_dirty();
}

static void call_detail(struct arbitration *v)
{
    tui_call(v, WIRE_traces_get, json_pack("{s:s}", "trace_id", v->texts_of), got_detail);
}

/* Another trace becomes the one at hand; NULL: none. doc: what is known of it, or NULL. */
static void detail_of(struct arbitration *v, const char *id, const json_t *doc)
{
    char *copy = id ? xstrdup(id) : NULL;
    free(v->texts_of);
    v->texts_of = copy;
    json_decref(v->detail);
    v->detail = doc ? json_deep_copy(doc) : NULL;
    replay_end(v);
    v->page.scroll.top = 0;
    view_finder_release(&v->page.finder);
    v->ask_detail.last = 0; /* what a key asked for does not wait */
    if (id && view_ask_now(&v->ask_detail))
        call_detail(v);
}

/* Asks for the selected trace when it is not the one at hand. */
static void follow_selection(struct arbitration *v)
{
    const char *id = selected_id(v);
    if (id && v->texts_of && !strcmp(id, v->texts_of))
        return;
    detail_of(v, id, id ? row_at(v, (size_t)tui_list_selected(v->list)) : NULL);
}

/* ---- two runs */

static void pair_clear(struct arbitration *v)
{
    for (size_t i = 0; i < 2; i++) {
        free(v->pair[i]);
        json_decref(v->runs[i]);
        v->pair[i] = NULL;
        v->runs[i] = NULL;
    }
}

static void got_run(void *self, const json_t *result, const struct error *e)
{
    struct arbitration *v = self;
    if (!result) {
        tui_error(e, _("trace"));
        pair_clear(v);
        return;
    }
    for (size_t i = 0; i < 2; i++)
        if (v->pair[i] && !v->runs[i] && !strcmp(v->pair[i], json_str(result, "trace_id", "")))
            v->runs[i] = json_deep_copy(result);
    if (!v->runs[0] || !v->runs[1])
        return;
    trace_diff_set(&v->diff, v->runs[0], v->runs[1]);
    pair_clear(v);
    tui_dirty();
}

/* The run of the same question before the one at hand, else the one behind it; NULL: none. */
static const char *run_before(const struct arbitration *v, const char *id)
{
    const char *question = NULL, *other = NULL;
    size_t i;
    const json_t *t;
    json_array_foreach(v->traces, i, t) if (!strcmp(json_str(t, "trace_id", ""), id)) question =
        json_str(t, "question", "");
    bool behind = false;
    json_array_foreach(v->traces, i, t)
    {
        bool self = !strcmp(json_str(t, "trace_id", ""), id);
        if (!self && question && !strcmp(json_str(t, "question", ""), question)) {
            other = json_str(t, "trace_id", "");
            if (behind)
                break;
        }
        behind = behind || self;
    }
    return other;
}

/* Two marked runs; one and the selected one; the selected one and the one before it. */
static void compare_runs(struct arbitration *v)
{
    const char *const *marks;
    size_t n = tui_list_marks(v->list, &marks);
    const char *a = n >= 1 ? marks[0] : NULL, *b = n >= 2 ? marks[1] : v->texts_of;
    if (n == 0 || (a && b && !strcmp(a, b))) {
        b = v->texts_of;
        a = b ? run_before(v, b) : NULL;
    }
    if (!a || !b) {
        tui_say("%s",
                _("mark two runs with Space, or choose one of a question that was asked twice"));
        return;
    }
    char *ids[2] = {xstrdup(a), xstrdup(b)};
    pair_clear(v);
    for (size_t i = 0; i < 2; i++) {
        v->pair[i] = ids[i];
        tui_call(v, WIRE_traces_get, json_pack("{s:s}", "trace_id", ids[i]), got_run);
    }
}

/* ---- a past run once more */

static bool replay_action(struct arbitration *v, enum tui_action action)
{
    struct trace_replay *r = &v->replay;
    bool keys = action == ACTION_REPLAY || action == ACTION_REPLAY_NEXT ||
                action == ACTION_REPLAY_PREV || action == ACTION_REPLAY_FASTER ||
                action == ACTION_REPLAY_SLOWER;
    if (!keys || !v->detail)
        return false;
    if (!r->whole && !strcmp(json_str(v->detail, "state", ""), "running")) {
        tui_say("%s", _("this run is not over yet"));
        return true;
    }
    bool fresh = !r->whole;
    if (fresh) {
        trace_replay_begin(r, v->detail);
        v->page.scroll.top = 0;
    }
    if (action == ACTION_REPLAY)
        trace_replay_play(r, fresh || !r->ticked);
    else if (action == ACTION_REPLAY_NEXT || action == ACTION_REPLAY_PREV)
        trace_replay_step(r, action == ACTION_REPLAY_NEXT ? 1 : -1);
    else
        trace_replay_speed(r, action == ACTION_REPLAY_FASTER ? 2 : 0.5);
    trace_page_set(&v->page, r->shown);
    v->open = true;
    return true;
}

static void draw_open(struct arbitration *v, struct tui_area a)
{
    int bar = v->replay.whole != NULL;
    if (trace_replay_tick(&v->replay))
        trace_page_set(&v->page, v->replay.shown);
    if (bar)
        trace_replay_draw(&v->replay, tui_sub(a, 0, 1, 1, a.width - 1));
    trace_page_draw(&v->page, tui_sub(a, bar, 1, a.height - bar, a.width - 1), true);
}

/* ---- the view */

struct eval_page *eval_page_of(void *view)
{
    return &((struct arbitration *)view)->evals;
}

static void view_open(void *self)
{
    struct arbitration *v = self;
    v->list = tui_list_new(columns, sizeof(columns) / sizeof(columns[0]), &list_ops, v);
    trace_page_open(&v->page);
    eval_page_open(&v->evals, v);
    ask_traces(v);
}

static void view_close(void *self)
{
    struct arbitration *v = self;
    tui_list_free(v->list);
    trace_page_close(&v->page);
    trace_replay_end(&v->replay);
    pair_clear(v);
    trace_diff_clear(&v->diff);
    json_decref(v->exported);
    eval_page_close(&v->evals);
    json_decref(v->traces);
    json_decref(v->detail);
    free(v->error);
    free(v->texts_of);
}

/* List and detail together: side by side, or one above the other. */
static void draw_both(struct arbitration *v, struct tui_area a, bool focused)
{
    if (a.width >= SIDE_WIDTH) {
        int left = a.width * 9 / 20;
        v->list_rows = a.height;
        v->list_columns = left;
        tui_list_draw(v->list, tui_sub(a, 0, 0, a.height, left), focused, true);
        for (int y = 0; y < a.height; y++)
            tui_put_glyph(a, y, left + 1, ROLE_RULE, GLYPH_VRULE);
        trace_page_draw(&v->page, tui_sub(a, 0, left + 3, a.height, a.width - left - 3), false);
        return;
    }
    size_t n = json_array_size(v->traces);
    int rows = a.height >= STACK_HEIGHT ? a.height / 3 : a.height;
    bool header = rows > 4;
    if (a.height >= STACK_HEIGHT && (size_t)(rows - header) > n)
        rows = (int)n + header;
    v->list_rows = rows;
    v->list_columns = a.width;
    tui_list_draw(v->list, tui_sub(a, 0, 0, rows, a.width), focused, header);
    if (rows >= a.height)
        return;
    tui_fill(a, rows, 0, a.width, ROLE_RULE, GLYPH_RULE);
    trace_page_draw(&v->page, tui_sub(a, rows + 1, 2, a.height - rows - 1, a.width - 2), false);
}

static void view_draw(void *self, struct tui_area a, bool focused)
{
    struct arbitration *v = self;
    if (view_ask_due(&v->ask))
        call_traces(v);
    if (!v->open) /* what is being read stays */
        follow_selection(v);
    if (v->texts_of && view_ask_due(&v->ask_detail))
        call_detail(v);
    if (v->evals.shown) {
        eval_page_draw(&v->evals, a, focused);
    } else if (v->diff.shown) {
        trace_diff_draw(&v->diff, tui_sub(a, 0, 1, a.height, a.width - 1));
        if (focused)
            tui_cursor(a, 0, 0);
    } else if (v->open && !v->detail && v->texts_of) {
        view_note(a, ROLE_DIM, _("Waiting for the trace."), NULL);
    } else if (v->open && v->detail) {
        draw_open(v, a);
        if (focused)
            tui_cursor(a, 0, 0);
    } else if (v->error && !v->traces) {
        view_note(a, ROLE_FAIL, v->error, _("r asks again"));
    } else if (!v->traces) {
        view_note(a, ROLE_DIM, _("Waiting for the traces."), NULL);
    } else if (!json_array_size(v->traces)) {
        view_note(a, ROLE_DIM,
                  _("How models' answers become one: each question leaves a trace here."),
                  _("1 goes to the chat; ask something there."));
    } else {
        draw_both(v, a, focused);
    }
}

static void view_show(void *self, const char *id)
{
    struct arbitration *v = self;
    trace_diff_clear(&v->diff);
    if (!v->texts_of || strcmp(v->texts_of, id))
        detail_of(v, id, NULL);
    tui_list_select(v->list, id);
    v->evals.shown = false;
    v->open = true;
    v->page.scroll = (struct view_scroll){0};
    tui_dirty();
}

static bool copy_detail(struct arbitration *v)
{
    char *text = v->detail ? json_dumps(v->detail, JSON_INDENT(2)) : NULL;
    if (text)
        tui_copy(text);
    free(text);
    return text != NULL;
}

/* Two runs are shown: Esc goes back to where they were chosen. */
static bool diff_action(struct arbitration *v, enum tui_action action)
{
    if (action == ACTION_BACK || action == ACTION_DIFF) {
        trace_diff_clear(&v->diff);
        tui_dirty();
        return true;
    }
    if (action == ACTION_COPY) {
        char *text = trace_diff_plain(&v->diff);
        tui_copy(text);
        free(text);
        return true;
    }
    return view_scroll_action(&v->diff.scroll, action);
}

static void show_evidence(const char *trace)
{
    char *id = xasprintf("trace:%s", trace);
    tui_show_item("evidence", id);
    free(id);
}

static void with_evals(struct arbitration *v, bool with)
{
    v->with_evals = with;
    v->ask = (struct view_ask){0};
    ask_traces(v);
    tui_say("%s", with ? _("with the runs of evaluations") : _("without the runs of evaluations"));
}

static bool view_action(void *self, enum tui_action action)
{
    struct arbitration *v = self;
    if (v->evals.shown)
        return eval_page_action(&v->evals, action);
    if (v->diff.shown)
        return diff_action(v, action);
    if (action == ACTION_EVALS || action == ACTION_EVAL_RUN || action == ACTION_EVAL_STOP) {
        eval_page_show(&v->evals);
        return action == ACTION_EVALS || !v->evals.answer || eval_page_action(&v->evals, action);
    }
    if (action == ACTION_EVAL_TRACES) {
        with_evals(v, !v->with_evals);
        return true;
    }
    if (action == ACTION_REFRESH) {
        v->ask = (struct view_ask){0};
        ask_traces(v);
        if (v->texts_of && view_ask_now(&v->ask_detail))
            call_detail(v);
        return true;
    }
    if (v->texts_of && (action == ACTION_EVIDENCE || (v->open && action == ACTION_OPEN))) {
        show_evidence(v->texts_of);
        return true;
    }
    if (action == ACTION_DIFF) {
        compare_runs(v);
        return true;
    }
    if (action == ACTION_EXPORT_TRACE && v->detail) {
        trace_export_ask(&v->exported, v->detail);
        return true;
    }
    if (replay_action(v, action))
        return true;
    if (v->open && v->replay.whole && action == ACTION_BACK) {
        replay_end(v);
        return true;
    }
    if (v->open) {
        if (action == ACTION_BACK) {
            v->open = false;
            v->page.scroll.top = 0;
            tui_dirty();
            return true;
        }
        return action == ACTION_COPY ? copy_detail(v) : view_scroll_action(&v->page.scroll, action);
    }
    if (action == ACTION_OPEN) {
        v->open = tui_list_selected(v->list) >= 0;
        v->page.scroll = (struct view_scroll){0};
        tui_dirty();
        return true;
    }
    return tui_list_action(v->list, action);
}

static bool view_click(void *self, int y, int x, bool twice)
{
    struct arbitration *v = self;
    if (v->evals.shown)
        return eval_page_click(&v->evals, y, x, twice);
    if (v->open || v->diff.shown || y >= v->list_rows || x >= v->list_columns)
        return false;
    bool took = tui_list_click(v->list, y, x, twice);
    if (took && twice)
        view_action(v, ACTION_OPEN);
    return took;
}

static void view_wheel(void *self, int rows)
{
    struct arbitration *v = self;
    if (v->evals.shown)
        eval_page_wheel(&v->evals, rows);
    else if (v->diff.shown)
        view_scroll_by(&v->diff.scroll, rows);
    else if (v->open)
        view_scroll_by(&v->page.scroll, rows);
    else
        tui_list_wheel(v->list, rows);
}

/* What the list shows of a trace, of all that an event tells. The caller owns it. */
static json_t *listed(const json_t *data)
{
    static const char *const MEMBERS[] = {"trace_id", "at",    "question",
                                          "state",    "usage", "elapsed_ms"};
    static const char *const OF_VERDICT[] = {"winner", "D"};
    const json_t *verdict = json_object_get(data, "verdict");
    json_t *row = json_some(data, MEMBERS, sizeof MEMBERS / sizeof *MEMBERS);
    if (json_is_object(verdict))
        json_put(row, "verdict",
                 json_some(verdict, OF_VERDICT, sizeof OF_VERDICT / sizeof *OF_VERDICT));
    return row;
}

/* A trace as an event tells it, into the list; true if it was there. */
static bool merge(struct arbitration *v, const char *id, const json_t *data)
{
    for (size_t i = 0; i < json_array_size(v->traces); i++) {
        json_t *row = json_array_get(v->traces, i);
        if (strcmp(json_str(row, "trace_id", ""), id))
            continue;
        json_t *news = listed(data);
        json_object_update(row, news);
        json_decref(news);
        return true;
    }
    return false;
}

static void merge_stages(struct arbitration *v, const char *id, const json_t *data)
{
    static const char *const members[] = {"stages", "state"};
    if (!v->detail || !v->texts_of || strcmp(id, v->texts_of))
        return;
    for (size_t i = 0; i < 2; i++) {
        json_t *member = json_object_get(data, members[i]);
        if (member)
            json_object_set_new(v->detail, members[i], json_deep_copy(member));
    }
}

/* The end of a turn tells the verdict; what else there is comes when it was asked for. */
static void merge_turn(struct arbitration *v, const char *id, const json_t *data)
{
    if (!v->detail || !v->texts_of || strcmp(id, v->texts_of) ||
        json_is_object(json_object_get(v->detail, "verdict")))
        return;
    json_t *copy = json_deep_copy(data);
    json_object_update(v->detail, copy);
    json_decref(copy);
    show_detail(v);
}

static void view_event(void *self, const char *type, int64_t at, const json_t *data)
{
    struct arbitration *v = self;
    (void)at;
    eval_page_event(&v->evals, type, data);
    bool turn = !strcmp(type, "turn");
    if (!turn && strcmp(type, "stage"))
        return;
    const char *id = json_str(data, "trace_id", "");
    bool known = merge(v, id, data);
    if (!known && turn && v->traces) {
        json_array_insert_new(v->traces, 0, listed(data));
        json_array_remove(v->traces, ROWS);
    } else if (!known) {
        ask_traces(v);
    }
    merge_stages(v, id, data);
    if (turn)
        merge_turn(v, id, data);
    bool at_hand = v->texts_of && !strcmp(id, v->texts_of);
    if (at_hand && (turn || v->open) && view_ask_now(&v->ask_detail)) /* a stage tells no nodes */
        call_detail(v);
    tui_list_changed(v->list);
    tui_dirty();
}

static void view_resync(void *self)
{
    struct arbitration *v = self;
    ask_traces(v);
    eval_page_resync(&v->evals);
    if (v->texts_of && view_ask_now(&v->ask_detail))
        call_detail(v);
}

static void view_badge(void *self, char *out, size_t size, enum tui_role *role)
{
    struct arbitration *v = self;
    int running = 0;
    for (size_t i = 0; i < json_array_size(v->traces); i++)
        running += !strcmp(json_str(json_array_get(v->traces, i), "state", ""), "running");
    *out = 0;
    if (!running)
        return;
    *role = ROLE_ACCENT;
    snprintf(out, size, "%s%d", tui_glyph(GLYPH_RUNNING), running);
}

static struct tui_list *view_list(void *self)
{
    struct arbitration *v = self;
    if (v->evals.shown)
        return eval_page_list(&v->evals);
    return v->open || v->diff.shown ? NULL : v->list;
}

/* `/` finds in the page that is open. */
static bool view_find_text(void *self, const char *text, int step)
{
    struct arbitration *v = self;
    return v->evals.shown  ? eval_page_find(&v->evals, text, step)
           : v->diff.shown ? trace_diff_find(&v->diff, text, step)
                           : v->open && trace_page_find(&v->page, text, step);
}

static bool among(const enum tui_action *list, enum tui_action action)
{
    while (*list != ACTION_NONE && *list != action)
        list++;
    return *list == action;
}

/* What a page of its own takes; help says no more. */
static bool view_offers(void *self, enum tui_action action)
{
    static const enum tui_action of_evals[] = {ACTION_EVALS, ACTION_EVAL_RUN, ACTION_EVAL_STOP,
                                               ACTION_REFRESH, ACTION_NONE};
    static const enum tui_action of_replay[] = {ACTION_REPLAY_FASTER, ACTION_REPLAY_SLOWER,
                                                ACTION_NONE};
    const struct arbitration *v = self;
    if (v->evals.shown)
        return among(of_evals, action);
    if (v->diff.shown)
        return action == ACTION_DIFF || action == ACTION_COPY;
    if (v->open && action == ACTION_OPEN)
        return false; /* it is what EVIDENCE says */
    return v->replay.whole || !among(of_replay, action);
}

static const enum tui_action *view_hints(void *self)
{
    static const enum tui_action empty[] = {ACTION_EVALS, ACTION_REFRESH, ACTION_NONE};
    static const enum tui_action list[] = {ACTION_OPEN,         ACTION_REPLAY, ACTION_DIFF,
                                           ACTION_EXPORT_TRACE, ACTION_EVALS,  ACTION_FILTER,
                                           ACTION_NONE};
    static const enum tui_action open[] = {ACTION_BACK, ACTION_FILTER,       ACTION_REPLAY,
                                           ACTION_DIFF, ACTION_EXPORT_TRACE, ACTION_COPY,
                                           ACTION_NONE};
    static const enum tui_action diff[] = {ACTION_BACK, ACTION_FILTER, ACTION_COPY, ACTION_NONE};
    static const enum tui_action replay[] = {
        ACTION_BACK,          ACTION_REPLAY,        ACTION_REPLAY_NEXT,  ACTION_REPLAY_PREV,
        ACTION_REPLAY_FASTER, ACTION_REPLAY_SLOWER, ACTION_EXPORT_TRACE, ACTION_NONE};
    const struct arbitration *v = self;
    if (v->evals.shown)
        return eval_page_hints(&v->evals);
    if (v->diff.shown)
        return diff;
    if (v->open)
        return v->replay.whole ? replay : open;
    return json_array_size(v->traces) ? list : empty;
}

static const enum tui_action actions[] = {
    ACTION_OPEN,         ACTION_FILTER,        ACTION_SORT,          ACTION_COPY,
    ACTION_EVIDENCE,     ACTION_EVALS,         ACTION_EVAL_RUN,      ACTION_EVAL_STOP,
    ACTION_EVAL_TRACES,  ACTION_REFRESH,       ACTION_REPLAY,        ACTION_REPLAY_NEXT,
    ACTION_REPLAY_PREV,  ACTION_REPLAY_FASTER, ACTION_REPLAY_SLOWER, ACTION_DIFF,
    ACTION_EXPORT_TRACE, ACTION_NONE};
const struct view_ops view_arbitration_ops = {.name = "arbitration",
                                              .size = sizeof(struct arbitration),
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
                                              .offers = view_offers,
                                              .hints = view_hints,
                                              .find = view_find_text,
                                              .list = view_list};
