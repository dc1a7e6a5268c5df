/* Arbitration: how several models' answers became one. A list of traces and the chosen one beside
 * or below it; Enter gives it the whole pane. */
#include "backend/base/text.h"
#include "views/common.h"
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 200, SIDE_WIDTH = 104, STACK_HEIGHT = 7, TWO_WIDTH = 100 };

struct arbitration {
    struct tui_list *list;
    json_t *traces; /* newest first; NULL before the first answer */
    json_t *detail; /* one trace, whole or as the events told it */
    bool open;      /* the detail has the pane */
    char *error;
    struct view_ask ask, ask_detail;
    struct view_scroll scroll;
    struct tui_text *question, *verdict, *rest;
    struct tui_text **answers; /* one a candidate */
    size_t answer_count;
    char *texts_of;              /* trace whose texts these are */
    int list_rows, list_columns; /* where the list was drawn, for clicks */
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

static void tokens_of(const json_t *holder, char out[32])
{
    const json_t *u = json_object_get(holder, "usage");
    int64_t in = json_int(u, "input_tokens", -1), put = json_int(u, "output_tokens", -1);
    int64_t sum = (in > 0 ? in : 0) + (put > 0 ? put : 0);
    if (in < 0 && put < 0)
        snprintf(out, 32, "-");
    else
        snprintf(out, 32, "%s%lld", json_flag(u, "estimated", false) ? "~" : "", (long long)sum);
}

static void cost_of(const json_t *holder, char out[48])
{
    const json_t *u = json_object_get(holder, "usage");
    const json_t *cost = json_object_get(holder, "cost");
    if (!cost)
        cost = json_object_get(u, "cost");
    view_money(json_str(cost, "amount", NULL), json_str(cost, "currency", ""),
               json_flag(u, "estimated", false), out);
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
        tokens_of(r, text);
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

/* ---- the texts of a detail */

static void sources_text(struct tui_text *t, const json_t *d)
{
    const json_t *list = json_object_get(d, "sources"), *s;
    size_t i;
    if (json_array_size(list)) {
        tui_text_add(t, ROLE_TEXT, 0, false, "");
        tui_text_add(t, ROLE_DIM, 0, false, _("sources"));
    }
    json_array_foreach(list, i, s)
    {
        tui_text_addf(t, ROLE_ACCENT, 0, false, "[%s] %s  %s", json_str(s, "id", "-"),
                      json_str(s, "kind", "-"), json_str(s, "ref", "-"));
        if (*json_str(s, "text", ""))
            tui_text_add(t, ROLE_FOREIGN, 2, true, json_str(s, "text", ""));
    }
}

static void entries_text(struct tui_text *t, const json_t *d)
{
    const json_t *list = json_object_get(d, "entries"), *n;
    struct buf b = {0};
    char text[32];
    size_t i;
    json_array_foreach(list, i, n)
    {
        view_number(n, 0, text);
        buf_addf(&b, "%s%s", i ? ", " : "", text);
    }
    if (b.len) {
        tui_text_add(t, ROLE_TEXT, 0, false, "");
        tui_text_addf(t, ROLE_DIM, 0, false, _("entries of the log: %s"), b.data);
    }
    buf_release(&b);
}

static void rest_text(struct tui_text *t, const json_t *d)
{
    const json_t *list = json_object_get(d, "critiques"), *c;
    const json_t *disputed = json_object_get(json_object_get(d, "verdict"), "disputed");
    size_t i;
    json_array_foreach(list, i, c)
    {
        tui_text_add(t, ROLE_TEXT, 0, false, "");
        tui_text_addf(t, ROLE_STRONG, 0, false, _("%s on %s: %s"), json_str(c, "model", "-"),
                      json_str(c, "of", "-"),
                      json_flag(c, "changed", false) ? _("changed its answer")
                                                     : _("kept its answer"));
        tui_text_add_markdown(t, 0, true, json_str(c, "text", ""));
    }
    if (json_array_size(disputed)) {
        tui_text_add(t, ROLE_TEXT, 0, false, "");
        tui_text_addf(t, ROLE_WARN, 0, false, "%s %s", tui_glyph(GLYPH_WARN), _("disputed"));
    }
    json_array_foreach(disputed, i, c)
        tui_text_add(t, ROLE_FOREIGN, 0, true, json_is_string(c) ? json_string_value(c) : "");
    sources_text(t, d);
    entries_text(t, d);
}

static const char *route_words(const char *route)
{
    static const char *const words[][2] = {
        {"single", "only one model answered"},
        {"agree", "the answers agree; the best composite was chosen"},
        {"critique", "the answers diverged; a critique turn decided"},
        {"safer", "the safety gap was too wide; the safer answer was chosen"},
        {"diverge", "the answers diverge; the best composite was chosen"},
        {"unanswered", "no answer cites a source"},
        {"dropped", "a late or failed answer was dropped"},
        {"none", "no model answered"}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (!strcmp(words[i][0], route))
            return words[i][1];
    return "";
}

static void verdict_text(struct tui_text *t, const json_t *d)
{
    const json_t *v = json_object_get(d, "verdict");
    if (!json_is_object(v)) {
        tui_text_add(t, ROLE_DIM, 0, false,
                     !strcmp(json_str(d, "state", ""), "running") ? _("No verdict yet.")
                                                                  : _("There was no verdict."));
        return;
    }
    if (*json_str(v, "winner", ""))
        tui_text_addf(t, ROLE_STRONG, 0, false, _("Chosen: %s."), json_str(v, "winner", "-"));
    if (*json_str(v, "reason", ""))
        tui_text_add(t, ROLE_TEXT, 0, false, json_str(v, "reason", ""));
    else if (*route_words(json_str(v, "route", "")))
        tui_text_addf(t, ROLE_TEXT, 0, false, "%s.", _(route_words(json_str(v, "route", ""))));
    if (json_flag(v, "weak", false))
        tui_text_addf(t, ROLE_WARN, 0, false, "%s %s", tui_glyph(GLYPH_WARN),
                      strcmp(json_str(v, "route", ""), "unanswered") == 0
                          ? _("weak: no answer cites a source")
                          : _("weak: the composite is under its threshold"));
}

static void texts_free(struct arbitration *v)
{
    for (size_t i = 0; i < v->answer_count; i++)
        tui_text_free(v->answers[i]);
    free(v->answers);
    v->answers = NULL;
    v->answer_count = 0;
}

static void texts_make(struct arbitration *v)
{
    const json_t *d = v->detail, *list = json_object_get(d, "candidates");
    tui_text_clear(v->question);
    tui_text_clear(v->verdict);
    tui_text_clear(v->rest);
    texts_free(v);
    if (!d)
        return;
    tui_text_add(v->question, ROLE_USER, 0, false, json_str(d, "question", "-"));
    if (*json_str(d, "error", ""))
        tui_text_addf(v->question, ROLE_FAIL, 0, false, "%s %s", tui_glyph(GLYPH_FAIL),
                      json_str(d, "error", ""));
    verdict_text(v->verdict, d);
    rest_text(v->rest, d);
    v->answer_count = json_array_size(list);
    v->answers = xcalloc(v->answer_count + 1, sizeof(*v->answers));
    for (size_t i = 0; i < v->answer_count; i++) {
        const json_t *c = json_array_get(list, i);
        v->answers[i] = tui_text_new();
        if (*json_str(c, "error", ""))
            tui_text_add(v->answers[i], ROLE_FAIL, 2, false, json_str(c, "error", ""));
        if (*json_str(c, "text", ""))
            tui_text_add_markdown(v->answers[i], 0, true, json_str(c, "text", ""));
    }
}

/* ---- asking */

static void got_traces(void *self, const json_t *result, const struct error *e)
{
    struct arbitration *v = self;
    view_ask_done(&v->ask);
    view_keep_error(&v->error, result ? NULL : e);
    if (result) {
        json_decref(v->traces);
        v->traces = json_deep_copy(json_object_get(result, "traces"));
        tui_list_changed(v->list);
    }
    tui_dirty();
}

static void ask_traces(struct arbitration *v)
{
    if (view_ask_now(&v->ask))
        tui_call(v, WIRE_traces_list, json_pack("{s:i}", "limit", PAGE), got_traces);
}

static const char *selected_id(const struct arbitration *v)
{
    long row = tui_list_selected(v->list);
    return row >= 0 ? list_id((void *)v, (size_t)row) : NULL;
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
        texts_make(v);
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
    texts_make(v);
    v->scroll.top = 0;
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

/* ---- drawing the detail */

static void draw_head(struct arbitration *v, struct view_page *p)
{
    const json_t *d = v->detail;
    char clock[16], took[16], tokens[32], cost[48], line[160];
    view_clock(view_at(d, "at"), clock);
    tui_duration(json_num(d, "elapsed_ms", -1), took);
    tokens_of(d, tokens);
    cost_of(d, cost);
    view_page_text(p, v->question);
    int x = tui_put_state(p->area, p->y, 0, json_str(d, "state", "unknown"), true) + 2;
    snprintf(line, sizeof(line), "%s  %s  %s tok  %s", clock, took, tokens, cost);
    tui_put(p->area, p->y++, x, -1, ROLE_DIM, line);
}

static double stages_end(const json_t *stages)
{
    double end = 0;
    size_t i;
    const json_t *s;
    json_array_foreach(stages, i, s)
    {
        double to = json_num(s, "start_ms", 0) + json_num(s, "ms", 0);
        end = to > end ? to : end;
    }
    return end > 0 ? end : 1;
}

/* Which stages to show where there is no room for all: those that decide, in their order. */
static bool stage_shown(const json_t *stages, size_t index, int rows)
{
    static const char *const order[] = {"model",    "critique", "compare", "tools",
                                        "retrieve", "verdict",  "plan",    "log"};
    if (rows >= (int)json_array_size(stages))
        return true;
    for (size_t k = 0; k < sizeof(order) / sizeof(order[0]); k++)
        for (size_t i = 0; i < json_array_size(stages); i++) {
            if (strcmp(json_str(json_array_get(stages, i), "name", ""), order[k]))
                continue;
            if (rows-- <= 0)
                return false;
            if (i == index)
                return true;
        }
    return false;
}

/* Columns for the longest label, as far as there are some to spare. */
static int label_width(const json_t *stages, int width)
{
    int longest = 0, most = width >= 58 ? width / 3 : width * 2 / 5;
    size_t i;
    const json_t *s;
    json_array_foreach(stages, i, s)
    {
        const char *label =
            *json_str(s, "label", "") ? json_str(s, "label", "") : json_str(s, "name", "-");
        int wide = text_width(label, strlen(label));
        longest = wide > longest ? wide : longest;
    }
    return longest > most ? most : longest;
}

/* What a stage has to say; a model's: its composite, and whether it was chosen. */
static void stage_note(const json_t *d, const json_t *s, struct buf *out)
{
    const json_t *list = json_object_get(d, "candidates"), *c;
    size_t i;
    json_array_foreach(list, i, c)
    {
        if (strcmp(json_str(s, "name", ""), "model") ||
            strcmp(json_str(c, "model", ""), json_str(s, "label", "")) ||
            !json_is_number(json_object_get(c, "composite")))
            continue;
        buf_addf(out, "%.2f", json_num(c, "composite", 0));
        if (json_flag(c, "chosen", false))
            buf_addf(out, " %s %s", tui_glyph(GLYPH_OK), _("chosen"));
    }
    if (!out->len)
        buf_adds(out, json_str(s, "note", ""));
}

static void draw_stage(struct view_page *p, const json_t *d, const json_t *s, double end, int name)
{
    const char *state = json_str(s, "state", "done");
    const char *label =
        *json_str(s, "label", "") ? json_str(s, "label", "") : json_str(s, "name", "-");
    bool failed = !strcmp(state, "failed"), running = !strcmp(state, "running");
    enum tui_role role = failed                                      ? ROLE_FAIL
                         : running                                   ? ROLE_ACCENT
                         : !strcmp(json_str(s, "name", ""), "model") ? ROLE_CHART
                                                                     : ROLE_CHART_ALT;
    int width = p->area.width, notes = width >= 64 ? width / 3 : width >= 44 ? width / 4 : 0;
    int bar = width - name - 1 - 9 - (notes ? notes + 1 : 0);
    double from = json_num(s, "start_ms", 0), ms = json_num(s, "ms", 0);
    char took[16];
    struct buf note = {0};
    stage_note(d, s, &note);
    tui_put(p->area, p->y, 0, name, failed ? ROLE_FAIL : ROLE_TEXT, label);
    if (bar > 3)
        tui_span(p->area, p->y, name + 1, bar, role, from / end, (from + ms) / end);
    tui_duration(running ? -1 : json_num(s, "ms", -1), took);
    tui_put_right(p->area, p->y, name + 1 + bar, 8, ROLE_TEXT, took);
    if (notes)
        tui_put(p->area, p->y, width - notes, notes, failed ? ROLE_FAIL : ROLE_DIM,
                failed && !note.len ? _("failed")
                : note.len          ? note.data
                                    : "");
    buf_release(&note);
    p->y++;
}

static void draw_stages(struct view_page *p, const json_t *d, int rows)
{
    const json_t *stages = json_object_get(d, "stages"), *s;
    double end = stages_end(stages);
    int name = label_width(stages, p->area.width);
    size_t i;
    json_array_foreach(stages, i, s)
    {
        if (stage_shown(stages, i, rows))
            draw_stage(p, d, s, end, name);
    }
}

/* "name 0.82 bar words": one figure between 0 and 1; its limit, if it has one, as a mark. */
static void draw_figure(struct view_page *p, int indent, const char *name, const json_t *number,
                        enum tui_role role, double limit, const char *words)
{
    char text[32];
    int width = p->area.width, left = indent + 12;
    int bar = width >= 70 ? 24 : width >= 50 ? 14 : width - left - 8;
    view_number(number, 2, text);
    tui_put(p->area, p->y, indent, 11, ROLE_DIM, name);
    tui_put_right(p->area, p->y, left, 5, ROLE_TEXT, text);
    if (json_is_number(number) && bar > 2)
        tui_bar(p->area, p->y, left + 6, bar, role, json_number_value(number));
    if (json_is_number(number) && bar > 2 && limit > 0 && limit < 1)
        tui_put_glyph(p->area, p->y, left + 6 + (int)(limit * bar), ROLE_DIM, GLYPH_VRULE);
    if (width - left - 6 - bar - 2 > 4)
        tui_put(p->area, p->y, left + 6 + bar + 2, -1, ROLE_DIM, words);
    p->y++;
}

static void draw_thresholds(struct view_page *p, const json_t *verdict)
{
    const json_t *limits = json_object_get(verdict, "thresholds");
    const json_t *d = json_object_get(verdict, "D"), *s = json_object_get(verdict, "S");
    double d_max = json_num(limits, "divergence", NAN), s_max = json_num(limits, "safety_gap", NAN);
    char words[80];
    bool over = json_number_value(d) > d_max;
    if (!json_is_number(d))
        snprintf(words, sizeof(words), "%s", _("one answer: nothing to compare"));
    else
        snprintf(words, sizeof(words),
                 over ? _("over %.2f: they diverge") : _("under %.2f: they agree"), d_max);
    draw_figure(p, 0, _("divergence"), d, over ? ROLE_WARN : ROLE_OK, d_max, words);
    const json_t *after = json_object_get(verdict, "D_after");
    if (json_is_number(after))
        draw_figure(p, 0, _("after it"), after,
                    json_number_value(after) > d_max ? ROLE_WARN : ROLE_OK, d_max,
                    _("divergence after the critique turn"));
    over = json_number_value(s) > s_max;
    if (!json_is_number(s))
        snprintf(words, sizeof(words), "-");
    else
        snprintf(words, sizeof(words),
                 over ? _("over %.2f: the safer one wins") : _("under %.2f: equally safe"), s_max);
    draw_figure(p, 0, _("safety gap"), s, over ? ROLE_WARN : ROLE_OK, s_max, words);
}

static void draw_components(struct view_page *p, const json_t *c, const json_t *verdict)
{
    const json_t *w = json_object_get(verdict, "weights");
    const json_t *risk = json_object_get(c, "safety_risk");
    json_t *safety = json_is_number(risk) ? json_real(1 - json_number_value(risk)) : json_null();
    char words[64];
    double limit = json_num(json_object_get(verdict, "thresholds"), "composite", NAN);
    if (isnan(limit))
        *words = 0;
    else
        snprintf(words, sizeof(words), _("threshold %.2f"), limit);
    draw_figure(p, 2, _("composite"), json_object_get(c, "composite"), ROLE_CHART, limit, words);
    static const char *const names[][2] = {
        {"overlap", "semantic"}, {"safety", "safety"}, {"reasoning", "reasoning"}};
    for (size_t i = 0; i < 3; i++) {
        double weight = json_num(w, names[i][1], NAN);
        if (isnan(weight))
            *words = 0;
        else
            snprintf(words, sizeof(words), _("weight %.2f"), weight);
        draw_figure(p, 2, _(names[i][0]), i == 1 ? safety : json_object_get(c, names[i][0]),
                    ROLE_CHART_ALT, NAN, words);
    }
    json_decref(safety);
}

static void draw_candidate(struct arbitration *v, struct view_page *p, size_t i, bool texts)
{
    const json_t *d = v->detail, *c = json_array_get(json_object_get(d, "candidates"), i);
    char took[16], first[16], tokens[32], cost[48];
    bool chosen = json_flag(c, "chosen", false);
    int x = tui_put(p->area, p->y, 0, -1, ROLE_STRONG, json_str(c, "model", "-")) + 2;
    tui_put_state(p->area, p->y++, x, chosen ? "chosen" : json_str(c, "state", "unknown"), true);
    tui_duration(json_num(c, "elapsed_ms", -1), took);
    tui_duration(json_num(c, "first_token_ms", -1), first);
    tokens_of(c, tokens);
    cost_of(c, cost);
    tui_putf(p->area, p->y++, 2, -1, ROLE_DIM, _("%s, first token %s, %s tok, %s"), took, first,
             tokens, cost);
    draw_components(p, c, json_object_get(d, "verdict"));
    if (texts && i < v->answer_count)
        view_page_text(p, v->answers[i]);
}

/* Side by side where it is wide, otherwise one after the other. */
static void draw_candidates(struct arbitration *v, struct view_page *p, bool texts)
{
    size_t n = json_array_size(json_object_get(v->detail, "candidates"));
    bool two = p->area.width >= TWO_WIDTH;
    int half = (p->area.width - 3) / 2;
    for (size_t i = 0; i < n; i += two ? 2 : 1) {
        p->y++;
        if (!two || i + 1 == n) {
            draw_candidate(v, p, i, texts);
            continue;
        }
        struct view_page left = {tui_sub(p->area, 0, 0, p->area.height, half), p->y};
        struct view_page right = {
            tui_sub(p->area, 0, half + 3, p->area.height, p->area.width - half - 3), p->y};
        draw_candidate(v, &left, i, texts);
        draw_candidate(v, &right, i + 1, texts);
        int end = left.y > right.y ? left.y : right.y;
        for (int y = p->y < 0 ? 0 : p->y; y < end && y < p->area.height; y++)
            tui_put_glyph(p->area, y, half + 1, ROLE_RULE, GLYPH_VRULE);
        p->y = end;
    }
}

static void draw_detail(struct arbitration *v, struct tui_area a, bool whole)
{
    struct view_scroll still = {0};
    struct view_scroll *scroll = whole ? &v->scroll : &still;
    struct view_page p = view_page_begin(scroll, a);
    const json_t *d = v->detail;
    const json_t *verdict = json_object_get(d, "verdict");
    if (whole || a.height > 12)
        draw_head(v, &p);
    if (a.height > 16)
        p.y++;
    if (whole || a.height > 10) {
        view_page_text(&p, v->verdict);
        if (json_is_object(verdict))
            draw_thresholds(&p, verdict);
        p.y++;
    }
    draw_stages(&p, d, whole ? INT_MAX : a.height - p.y - (a.height <= 10));
    if (!whole && a.height <= 10)
        view_page_text(&p, v->verdict);
    draw_candidates(v, &p, whole || a.height > 30);
    if (whole)
        view_page_text(&p, v->rest);
    if (whole)
        view_page_end(scroll, &p);
    else if (p.y > a.height && a.height > 12)
        tui_put_glyph(a, a.height - 1, a.width - 1, ROLE_DIM, GLYPH_MORE_DOWN);
}

/* ---- the view */

static void view_open(void *self)
{
    struct arbitration *v = self;
    v->list = tui_list_new(columns, sizeof(columns) / sizeof(columns[0]), &list_ops, v);
    v->question = tui_text_new();
    v->verdict = tui_text_new();
    v->rest = tui_text_new();
    ask_traces(v);
}

static void view_close(void *self)
{
    struct arbitration *v = self;
    tui_list_free(v->list);
    texts_free(v);
    tui_text_free(v->question);
    tui_text_free(v->verdict);
    tui_text_free(v->rest);
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
        draw_detail(v, tui_sub(a, 0, left + 3, a.height, a.width - left - 3), false);
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
    draw_detail(v, tui_sub(a, rows + 1, 2, a.height - rows - 1, a.width - 2), false);
}

static void view_draw(void *self, struct tui_area a, bool focused)
{
    struct arbitration *v = self;
    if (view_ask_due(&v->ask))
        tui_call(v, WIRE_traces_list, json_pack("{s:i}", "limit", PAGE), got_traces);
    if (!v->open) /* what is being read stays */
        follow_selection(v);
    if (v->texts_of && view_ask_due(&v->ask_detail))
        call_detail(v);
    if (v->open && !v->detail && v->texts_of) {
        view_note(a, ROLE_DIM, _("Waiting for the trace."), NULL);
    } else if (v->open && v->detail) {
        draw_detail(v, tui_sub(a, 0, 1, a.height, a.width - 1), true);
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
    if (!v->texts_of || strcmp(v->texts_of, id))
        detail_of(v, id, NULL);
    tui_list_select(v->list, id);
    v->open = true;
    v->scroll = (struct view_scroll){0};
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

static bool view_action(void *self, enum tui_action action)
{
    struct arbitration *v = self;
    if (action == ACTION_REFRESH) {
        v->ask = (struct view_ask){0};
        ask_traces(v);
        if (v->texts_of && view_ask_now(&v->ask_detail))
            call_detail(v);
        return true;
    }
    if (v->open) {
        if (action == ACTION_BACK) {
            v->open = false;
            v->scroll.top = 0;
            tui_dirty();
            return true;
        }
        return action == ACTION_COPY ? copy_detail(v) : view_scroll_action(&v->scroll, action);
    }
    if (action == ACTION_OPEN) {
        v->open = tui_list_selected(v->list) >= 0;
        v->scroll = (struct view_scroll){0};
        tui_dirty();
        return true;
    }
    return tui_list_action(v->list, action);
}

static bool view_click(void *self, int y, int x, bool twice)
{
    struct arbitration *v = self;
    if (v->open || y >= v->list_rows || x >= v->list_columns)
        return false;
    bool took = tui_list_click(v->list, y, x, twice);
    if (took && twice)
        view_action(v, ACTION_OPEN);
    return took;
}

static void view_wheel(void *self, int rows)
{
    struct arbitration *v = self;
    if (v->open)
        view_scroll_by(&v->scroll, rows);
    else
        tui_list_wheel(v->list, rows);
}

/* A trace as an event tells it, into the list; true if it was there. */
static bool merge(struct arbitration *v, const char *id, const json_t *data)
{
    for (size_t i = 0; i < json_array_size(v->traces); i++) {
        json_t *row = json_array_get(v->traces, i);
        if (strcmp(json_str(row, "trace_id", ""), id))
            continue;
        json_t *copy = json_deep_copy(data);
        json_object_update(row, copy);
        json_decref(copy);
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

static void view_event(void *self, const char *type, int64_t at, const json_t *data)
{
    struct arbitration *v = self;
    (void)at;
    bool turn = !strcmp(type, "turn");
    if (!turn && strcmp(type, "stage"))
        return;
    const char *id = json_str(data, "trace_id", "");
    bool known = merge(v, id, data);
    if (!known && turn && v->traces)
        json_array_insert_new(v->traces, 0, json_deep_copy(data));
    else if (!known)
        ask_traces(v);
    merge_stages(v, id, data);
    if (turn && v->texts_of && !strcmp(id, v->texts_of) && view_ask_now(&v->ask_detail))
        call_detail(v);
    tui_list_changed(v->list);
    tui_dirty();
}

static void view_resync(void *self)
{
    struct arbitration *v = self;
    ask_traces(v);
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
    return v->open ? NULL : v->list;
}

static const enum tui_action actions[] = {ACTION_OPEN, ACTION_FILTER,  ACTION_SORT,
                                          ACTION_COPY, ACTION_REFRESH, ACTION_NONE};
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
                                              .list = view_list};
