/* One trace as a page: what was asked, who was chosen and why, how long each stage took, the
 * candidates with their figures, and in the whole page also their texts, critiques and sources. */
#include "views/trace_page.h"
#include "backend/base/text.h"
#include "views/chat_safety.h"
#include "views/trace_parts.h"
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TWO_WIDTH = 100,
    LABEL_MAX = 64,
    COLUMN_MIN = 36,
    ONE_LINE = 48,
    BRIEF_QUESTION = 2, /* lines of a long one beside a list */
    FIGURE_NAME = 22,   /* bars of all figures begin in one column, */
    FIGURE_BRIEF = 17,  /* sooner where there are few */
    COLUMN_GAP = 3,
    GRAPH_WIDTH = 130
};

void trace_tokens(const json_t *holder, char out[32])
{
    const json_t *u = json_object_get(holder, "usage");
    int64_t in = json_int(u, "input_tokens", -1), put = json_int(u, "output_tokens", -1);
    int64_t sum = (in > 0 ? in : 0) + (put > 0 ? put : 0);
    if (in < 0 && put < 0)
        snprintf(out, 32, "-");
    else
        snprintf(out, 32, "%s%lld", json_flag(u, "estimated", false) ? "~" : "", (long long)sum);
}

/* ---- the texts */

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

/* What models said within the flow that is no answer: drafts, critiques of roles. */
static void turns_text(struct tui_text *t, const json_t *d)
{
    size_t i;
    const json_t *n;
    json_array_foreach(json_object_get(d, "nodes"), i, n)
    {
        const char *text = json_str(json_object_get(n, "run"), "text", "");
        if (!*text)
            continue;
        tui_text_add(t, ROLE_TEXT, 0, false, "");
        tui_text_addf(t, ROLE_STRONG, 0, false, "%s: %s", json_str(n, "id", "-"),
                      json_str(n, "model", "-"));
        tui_text_add_markdown(t, 0, true, text);
    }
}

static void rest_text(struct tui_text *t, const json_t *d)
{
    const json_t *list = json_object_get(d, "critiques"), *c;
    const json_t *disputed = json_object_get(json_object_get(d, "verdict"), "disputed");
    size_t i;
    turns_text(t, d);
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
    trace_grounding_text(t, d);
    trace_injections_text(t, d);
    sources_text(t, d);
    entries_text(t, d);
}

static const char *route_words(const char *route)
{
    static const char *const words[][2] = {
        {"single", N_("only one model answered")},
        {"agree", N_("the answers agree; the best composite was chosen")},
        {"critique", N_("the answers diverged; a critique turn decided")},
        {"safer", N_("the safety gap was too wide; the safer answer was chosen")},
        {"diverge", N_("the answers diverge; the best composite was chosen")},
        {"refuted", N_("a tool's result contradicts the answer with the higher composite")},
        {"vote", N_("the largest group of answers that agree won")},
        {"roles", N_("the last role of the flow had the last word")},
        {"unanswered", N_("no answer cites a source")},
        {"dropped", N_("a late or failed answer was dropped")},
        {"none", N_("no model answered")}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (!strcmp(words[i][0], route))
            return words[i][1];
    return "";
}

/* Does the answer wait for a person, or who gave it out? */
static void withheld_text(struct tui_text *t, const json_t *d)
{
    const json_t *w = json_object_get(d, "withheld");
    const char *state = json_str(w, "state", "");
    if (!strcmp(state, "withheld"))
        tui_text_addf(t, ROLE_WARN, 0, false, "%s %s", tui_glyph(GLYPH_WARN),
                      _("withheld until a person gives it out: /release"));
    else if (!strcmp(state, "released"))
        tui_text_addf(t, ROLE_DIM, 0, false, _("given out by %s, risk %.2f"),
                      json_str(w, "user", ""), json_num(w, "score", 0));
}

static void verdict_text(struct tui_text *t, const json_t *d)
{
    const json_t *v = json_object_get(d, "verdict");
    struct buf reason = {0};
    const char *error = json_str(d, "error", "");
    bool told = chat_safety_add(t, d, 1) || *error; /* blocked, or flagged: before all else */
    if (*error)
        tui_text_addf(t, ROLE_FAIL, 0, false, "%s %s", tui_glyph(GLYPH_FAIL), _(error));
    withheld_text(t, d);
    if (!json_is_object(v)) {
        if (told && strcmp(json_str(d, "state", ""), "running") != 0)
            return;
        tui_text_add(t, ROLE_DIM, 0, false,
                     !strcmp(json_str(d, "state", ""), "running") ? _("No verdict yet.")
                                                                  : _("There was no verdict."));
        return;
    }
    if (*json_str(v, "winner", ""))
        tui_text_addf(t, ROLE_STRONG, 0, false, _("Chosen: %s."), json_str(v, "winner", "-"));
    view_said(v, "reason", &reason);
    if (reason.len)
        tui_text_add(t, ROLE_TEXT, 0, false, reason.data);
    else if (*route_words(json_str(v, "route", "")))
        tui_text_addf(t, ROLE_TEXT, 0, false, "%s.", _(route_words(json_str(v, "route", ""))));
    buf_release(&reason);
    if (json_flag(v, "weak", false))
        tui_text_addf(t, ROLE_WARN, 0, false, "%s %s", tui_glyph(GLYPH_WARN),
                      strcmp(json_str(v, "route", ""), "unanswered") == 0
                          ? _("weak: no answer cites a source")
                          : _("weak: the composite is under its threshold"));
}

static void texts_free(struct trace_page *v)
{
    for (size_t i = 0; i < v->answer_count; i++)
        tui_text_free(v->answers[i]);
    free(v->answers);
    v->answers = NULL;
    v->answer_count = 0;
}

void trace_page_set(struct trace_page *v, const json_t *detail)
{
    v->detail = detail;
    const json_t *d = detail, *list = json_object_get(d, "candidates");
    tui_text_clear(v->question);
    tui_text_clear(v->verdict);
    tui_text_clear(v->rest);
    texts_free(v);
    trace_claims_set(&v->claims, d);
    if (!d)
        return;
    tui_text_add(v->question, ROLE_USER, 0, false, json_str(d, "question", "-"));
    verdict_text(v->verdict, d);
    rest_text(v->rest, d);
    v->answer_count = json_array_size(list);
    v->answers = xcalloc(v->answer_count + 1, sizeof(*v->answers));
    for (size_t i = 0; i < v->answer_count; i++) {
        const json_t *c = json_array_get(list, i);
        v->answers[i] = tui_text_new();
        tui_text_tight(v->answers[i], 1);
        if (*json_str(c, "error", ""))
            tui_text_add(v->answers[i], ROLE_FAIL, 2, false, json_str(c, "error", ""));
        if (*json_str(c, "text", ""))
            tui_text_add_markdown(v->answers[i], 0, true, json_str(c, "text", ""));
    }
}

/* ---- drawing */

/* All of the question, or its beginning. */
static void draw_question(struct trace_page *v, struct view_page *p, bool whole)
{
    int lines = (int)tui_text_lines(v->question, p->area.width);
    if (whole || lines <= BRIEF_QUESTION) {
        view_page_text(p, v->question);
        return;
    }
    struct tui_area a = tui_sub(p->area, p->y, 0, BRIEF_QUESTION, p->area.width - 2);
    tui_text_draw(v->question, a, 0);
    tui_put_glyph(p->area, p->y + BRIEF_QUESTION - 1, p->area.width - 1, ROLE_DIM, GLYPH_ELLIPSIS);
    p->y += BRIEF_QUESTION;
}

static void draw_head(struct trace_page *v, struct view_page *p, bool whole)
{
    const json_t *d = v->detail;
    char clock[16], took[16], tokens[32], cost[48], line[160];
    view_clock(view_at(d, "at"), clock);
    tui_duration(json_num(d, "elapsed_ms", -1), took);
    trace_tokens(d, tokens);
    trace_cost(d, cost);
    draw_question(v, p, whole);
    int x = tui_put_state(p->area, p->y, 0, json_str(d, "state", "unknown"), true) + 2;
    snprintf(line, sizeof(line), "%s  %s  %s %s  %s", clock, took, tokens, _("tok"), cost);
    tui_put(p->area, p->y++, x, -1, ROLE_DIM, line);
}

static double stages_end(const json_t *stages, double at_least)
{
    double end = at_least;
    size_t i;
    const json_t *s;
    json_array_foreach((json_t *)stages, i, s)
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

static void stage_label(const json_t *s, char out[LABEL_MAX])
{
    const char *name = json_str(s, "name", "-"), *label = json_str(s, "label", "");
    const char *slash = strrchr(label, '/');
    if (!strcmp(name, "critique") && slash)
        snprintf(out, LABEL_MAX, "%s %.40s", _("critique"), slash + 1);
    else
        snprintf(out, LABEL_MAX, "%.60s", _(*label ? label : name));
}

/* Columns for the longest label, as far as there are some to spare. */
static int label_width(const json_t *stages, int width)
{
    int longest = 0, most = width >= 58 ? width / 3 : width * 2 / 5;
    size_t i;
    const json_t *s;
    json_array_foreach(stages, i, s)
    {
        char label[LABEL_MAX];
        stage_label(s, label);
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
        view_said(s, "note", out);
}

static void draw_stage(struct view_page *p, const json_t *d, const json_t *s, double end, int name)
{
    const char *state = json_str(s, "state", "done");
    char label[LABEL_MAX];
    stage_label(s, label);
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
    double end = stages_end(stages, json_num(d, "replay_end", 0));
    int name = label_width(stages, p->area.width);
    size_t i;
    json_array_foreach(stages, i, s)
    {
        if (stage_shown(stages, i, rows))
            draw_stage(p, d, s, end, name);
    }
}

/* What no node shows: the tools that were asked, the search for passages. */
static void draw_lookups(struct view_page *p, const json_t *d)
{
    static const char *const names[] = {"log", "safety", "plan", "tools", "embed", "retrieve"};
    const json_t *stages = json_object_get(d, "stages"), *s;
    json_t *some = json_array();
    size_t i;
    json_array_foreach(stages, i, s) for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++)
    {
        if (!strcmp(json_str(s, "name", ""), names[k]))
            json_array_append(some, (json_t *)s);
    }
    int name = label_width(some, p->area.width);
    double end = stages_end(some, 0);
    char took[16];
    tui_duration(end, took);
    if (json_array_size(some))
        tui_putf(p->area, p->y++, 0, -1, ROLE_DIM, _("tools and passages, to %s"), took);
    json_array_foreach(some, i, s) draw_stage(p, d, s, end, name);
    json_decref(some);
}

void trace_figure(struct view_page *p, int indent, const char *name, const json_t *number,
                  enum tui_role role, double limit, const char *words)
{
    char text[32];
    int width = p->area.width, first = width < 60 ? FIGURE_BRIEF : FIGURE_NAME, left = first + 6;
    int bar = width >= 100 ? 24 : width >= 60 ? 16 : width >= 50 ? 8 : width - left - 1;
    bar = bar < 12 || width >= 60 ? bar : 12;
    view_number(number, 2, text);
    tui_put(p->area, p->y, indent, first - indent, ROLE_DIM, name);
    tui_put_right(p->area, p->y, first, 5, ROLE_TEXT, text);
    if (json_is_number(number) && bar > 2)
        tui_bar(p->area, p->y, left, bar, role, json_number_value(number));
    if (json_is_number(number) && bar > 2 && limit > 0 && limit < 1)
        tui_put_glyph(p->area, p->y, left + (int)(limit * bar), ROLE_DIM, GLYPH_VRULE);
    if (width - left - bar - 2 > 4)
        tui_put(p->area, p->y, left + bar + 2, -1, ROLE_DIM, words);
    p->y++;
}

static void draw_thresholds(struct view_page *p, const json_t *verdict)
{
    const json_t *limits = json_object_get(verdict, "thresholds");
    const json_t *d = json_object_get(verdict, "D"), *s = json_object_get(verdict, "S");
    double d_max = json_num(limits, "divergence", NAN), s_max = json_num(limits, "safety_gap", NAN);
    char words[80];
    bool over = json_number_value(d) > d_max;
    if (!json_is_number(d)) {
        tui_put(p->area, p->y++, 0, -1, ROLE_DIM, _("one answer: nothing to compare"));
        return;
    }
    snprintf(words, sizeof(words),
             over ? _("over %.2f: they diverge") : _("under %.2f: they agree"), d_max);
    trace_figure(p, 0, _("divergence"), d, over ? ROLE_WARN : ROLE_OK, d_max, words);
    const json_t *after = json_object_get(verdict, "D_after");
    if (json_is_number(after))
        trace_figure(p, 0, _("after it"), after,
                     json_number_value(after) > d_max ? ROLE_WARN : ROLE_OK, d_max,
                     _("after the critique turn"));
    if (!json_is_number(s))
        return;
    over = json_number_value(s) > s_max;
    snprintf(words, sizeof(words),
             over ? _("over %.2f: the safer one wins") : _("under %.2f: equally safe"), s_max);
    trace_figure(p, 0, _("safety gap"), s, over ? ROLE_WARN : ROLE_OK, s_max, words);
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
    trace_figure(p, 2, _("composite"), json_object_get(c, "composite"), ROLE_CHART, limit, words);
    static const char *const names[][2] = {
        {N_("overlap"), "semantic"}, {N_("safety"), "safety"}, {N_("reasoning"), "reasoning"}};
    for (size_t i = 0; i < 3; i++) {
        double weight = json_num(w, names[i][1], NAN);
        if (isnan(weight))
            *words = 0;
        else
            snprintf(words, sizeof(words), _("weight %.2f"), weight);
        trace_figure(p, 2, _(names[i][0]), i == 1 ? safety : json_object_get(c, names[i][0]),
                     ROLE_CHART_ALT, NAN, words);
    }
    json_decref(safety);
}

enum candidate_show { SHOW_FIGURES, SHOW_ALL, SHOW_TEXT };

/* What else is to be known of how it came to its answer. */
static void draw_remarks(struct view_page *p, const json_t *c)
{
    const char *other = json_str(c, "answered_by", "");
    if (*other)
        tui_putf(p->area, p->y++, 2, -1, ROLE_WARN, _("%s stood in"), other);
    const json_t *fitted = json_object_get(c, "fitted");
    if (fitted)
        tui_putf(p->area, p->y++, 2, -1, ROLE_DIM, _("sources: %lld of %lld tok, %lld lines gone"),
                 (long long)json_int(fitted, "after", 0), (long long)json_int(fitted, "before", 0),
                 (long long)json_int(fitted, "dropped", 0));
    const char *cut = json_str(c, "truncated", "");
    if (*cut)
        tui_put(p->area, p->y++, 2, -1, ROLE_WARN,
                strcmp(cut, "over_budget") == 0 ? _("cut: the token budget has no more")
                                                : _("cut: as many tokens as were asked for"));
    if (json_int(c, "tries", 1) > 1)
        tui_putf(p->area, p->y++, 2, -1, ROLE_DIM, _("after %lld tries"),
                 (long long)json_int(c, "tries", 1));
    if (*json_str(c, "route", ""))
        tui_put(p->area, p->y++, 2, -1, ROLE_DIM, json_str(c, "route", ""));
    if (json_int(c, "refuted", 0) > 0)
        tui_putf(p->area, p->y++, 2, -1, ROLE_WARN, _("a tool says otherwise: %s"),
                 json_str(c, "refuted_why", ""));
}

static void draw_candidate(struct trace_page *v, struct view_page *p, size_t i,
                           enum candidate_show show)
{
    const json_t *d = v->detail, *c = json_array_get(json_object_get(d, "candidates"), i);
    char took[16], first[16], tokens[32], cost[48];
    bool chosen = json_flag(c, "chosen", false);
    int x = tui_put(p->area, p->y, 0, -1, ROLE_STRONG, json_str(c, "model", "-")) + 2;
    tui_put_state(p->area, p->y++, x, chosen ? "chosen" : json_str(c, "state", "unknown"), true);
    tui_duration(json_num(c, "elapsed_ms", -1), took);
    tui_duration(json_num(c, "first_token_ms", -1), first);
    trace_tokens(c, tokens);
    trace_cost(c, cost);
    if (p->area.width < ONE_LINE) {
        tui_putf(p->area, p->y++, 2, -1, ROLE_DIM, _("%s, first token %s"), took, first);
        tui_putf(p->area, p->y++, 2, -1, ROLE_DIM, _("%s tok, %s"), tokens, cost);
    } else {
        tui_putf(p->area, p->y++, 2, -1, ROLE_DIM, _("%s, first token %s, %s tok, %s"), took, first,
                 tokens, cost);
    }
    if (show == SHOW_TEXT)
        trace_figure(p, 2, _("composite"), json_object_get(c, "composite"), ROLE_CHART, NAN, "");
    else
        draw_components(p, c, json_object_get(d, "verdict"));
    draw_remarks(p, c);
    if (show == SHOW_FIGURES || i >= v->answer_count)
        return;
    view_page_text(p, v->answers[i]);
}

/* The one that was chosen comes first, as it does among the claims. */
static size_t candidate_at(const json_t *list, size_t place)
{
    size_t chosen = 0, n = json_array_size(list);
    while (chosen < n && !json_flag(json_array_get(list, chosen), "chosen", false))
        chosen++;
    return chosen == n || place > chosen ? place : place == 0 ? chosen : place - 1;
}

/* So many side by side; the last row may have fewer. */
static void draw_candidates(struct trace_page *v, struct view_page *p, size_t columns,
                            enum candidate_show show)
{
    const json_t *list = json_object_get(v->detail, "candidates");
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n; i += columns) {
        size_t here = n - i < columns ? n - i : columns;
        int width = (p->area.width - COLUMN_GAP * ((int)here - 1)) / (int)here, end = ++p->y;
        for (size_t k = 0; k < here; k++) {
            int x = (int)k * (width + COLUMN_GAP), rest = p->area.width - x;
            struct view_page one = {
                tui_sub(p->area, 0, x, p->area.height, k + 1 < here ? width : rest), p->y};
            draw_candidate(v, &one, candidate_at(list, i + k), show);
            end = one.y > end ? one.y : end;
        }
        for (size_t k = 1; k < here; k++)
            for (int y = p->y < 0 ? 0 : p->y; y < end && y < p->area.height; y++)
                tui_put_glyph(p->area, y, (int)k * (width + COLUMN_GAP) - 2, ROLE_RULE,
                              GLYPH_VRULE);
        p->y = end;
    }
}

static void draw_compared(struct trace_page *v, struct tui_area a)
{
    struct view_page p = view_page_begin(&v->scroll, a);
    size_t n = json_array_size(json_object_get(v->detail, "candidates"));
    size_t room = (size_t)((p.area.width + COLUMN_GAP) / (COLUMN_MIN + COLUMN_GAP));
    view_page_text(&p, v->question);
    view_page_text(&p, v->verdict);
    draw_candidates(v, &p, room < 1 ? 1 : room < n ? room : n, SHOW_TEXT);
    trace_claims_draw(&p, &v->claims);
    view_page_end(&v->scroll, &p);
}

/* How it went: the flow's nodes and its graph, side by side or one below the other; then what was
 * looked up. An earlier trace has stages only. Where there is little room the nodes stand
 * alone. */
static void draw_course(struct view_page *p, const json_t *d, bool whole, int rows)
{
    if (!trace_has_nodes(d)) {
        draw_stages(p, d, whole ? INT_MAX : rows);
        return;
    }
    if (!whole) {
        trace_nodes_draw(p, d, rows);
        return;
    }
    int width = p->area.width, left = width >= GRAPH_WIDTH ? width / 2 : width;
    struct view_page one = {tui_sub(p->area, 0, 0, p->area.height, left - COLUMN_GAP), p->y};
    struct view_page other = {tui_sub(p->area, 0, left, p->area.height, width - left), p->y};
    if (left == width) {
        trace_nodes_draw(p, d, INT_MAX);
        p->y++;
        trace_graph_draw(p, d);
        p->y++;
        draw_lookups(p, d);
        return;
    }
    trace_nodes_draw(&one, d, INT_MAX);
    one.y++;
    draw_lookups(&one, d);
    trace_graph_draw(&other, d);
    p->y = one.y > other.y ? one.y : other.y;
}

static void draw_page(struct trace_page *v, struct tui_area a, bool whole)
{
    struct view_scroll still = {0};
    struct view_scroll *scroll = whole ? &v->scroll : &still;
    struct view_page p = view_page_begin(scroll, a);
    const json_t *d = v->detail;
    const json_t *verdict = json_object_get(d, "verdict");
    if (whole || a.height > 12)
        draw_head(v, &p, whole);
    if (a.height > 16)
        p.y++;
    if (whole || a.height > 10) {
        view_page_text(&p, v->verdict);
        if (json_is_object(verdict))
            draw_thresholds(&p, verdict);
        trace_risk_draw(&p, d, !whole);
        p.y++;
    }
    draw_course(&p, d, whole, a.height - p.y - (a.height <= 10));
    if (!whole && a.height <= 10)
        view_page_text(&p, v->verdict);
    draw_candidates(v, &p, p.area.width >= TWO_WIDTH ? 2 : 1,
                    whole || a.height > 30 ? SHOW_ALL : SHOW_FIGURES);
    if (whole) {
        trace_claims_draw(&p, &v->claims);
        view_page_text(&p, v->rest);
    }
    if (whole)
        view_page_end(scroll, &p);
    else if (p.y > a.height && a.height > 12)
        tui_put_glyph(a, a.height - 1, a.width - 1, ROLE_DIM, GLYPH_MORE_DOWN);
}

static void draw_again(void *arg, struct tui_area a)
{
    struct trace_page *v = arg;
    if (v->compared)
        draw_compared(v, a);
    else
        draw_page(v, a, true);
}

bool trace_page_find(struct trace_page *v, const char *text, int step)
{
    return view_page_find(&v->finder, &v->scroll, text, step, draw_again, v);
}

void trace_page_draw(struct trace_page *v, struct tui_area a, bool whole)
{
    struct tui_seek seek;
    v->compared = false;
    if (whole)
        view_finder_begin(&v->finder, &seek);
    draw_page(v, a, whole);
    view_finder_end();
}

void trace_page_compare(struct trace_page *v, struct tui_area a)
{
    struct tui_seek seek;
    v->compared = true;
    view_finder_begin(&v->finder, &seek);
    draw_compared(v, a);
    view_finder_end();
}

/* ---- opening and closing */

void trace_page_open(struct trace_page *v)
{
    v->question = tui_text_new();
    v->verdict = tui_text_new();
    v->rest = tui_text_new();
}

void trace_page_close(struct trace_page *v)
{
    texts_free(v);
    view_finder_release(&v->finder);
    trace_claims_set(&v->claims, NULL);
    tui_text_free(v->question);
    tui_text_free(v->verdict);
    tui_text_free(v->rest);
}
