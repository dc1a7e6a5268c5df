/* The nodes of a trace as a waterfall, and its risk. */
#include "backend/base/text.h"
#include "views/trace_page.h"
#include "views/trace_parts.h"
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MOST = 24, BAR_LEAST = 6, TOOK = 9, BEGAN = 9, TOKENS = 8, COST = 10, TWO_ROWS = 60 };

bool trace_has_nodes(const json_t *trace)
{
    return json_array_size(json_object_get(trace, "nodes")) > 0;
}

void trace_cost(const json_t *holder, char out[48])
{
    const json_t *u = json_object_get(holder, "usage"), *cost = json_object_get(holder, "cost");
    if (!cost)
        cost = json_object_get(u, "cost");
    view_money(json_str(cost, "amount", NULL), json_str(cost, "currency", ""),
               json_flag(u, "estimated", false), out);
}

static bool is_skipped(const json_t *node)
{
    const char *state = json_str(node, "state", "");
    return !strcmp(state, "skipped") || !strcmp(state, "waiting");
}

static bool is_edge_of_it(const json_t *node)
{
    const char *kind = json_str(node, "kind", "");
    return !strcmp(kind, "look") || !strcmp(kind, "end");
}

/* Which nodes stand in so many rows. */
static bool node_shown(const json_t *nodes, size_t index, int rows)
{
    if (rows >= (int)json_array_size(nodes))
        return true;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < json_array_size(nodes); i++) {
            const json_t *node = json_array_get(nodes, i);
            if (is_skipped(node) || is_edge_of_it(node) != (pass == 1))
                continue;
            if (rows-- <= 0)
                return false;
            if (i == index)
                return true;
        }
    return false;
}

static double nodes_end(const json_t *trace)
{
    double end = json_num(trace, "replay_end", json_num(trace, "elapsed_ms", 0));
    size_t i;
    const json_t *n;
    json_array_foreach(json_object_get(trace, "nodes"), i, n)
    {
        double to = json_num(n, "began_ms", 0) + json_num(n, "elapsed_ms", 0);
        end = to > end ? to : end;
    }
    return end > 0 ? end : 1;
}

static int names_width(const json_t *nodes, int width)
{
    int longest = 0, most = width >= TWO_ROWS ? NAME_MOST : width / 3;
    size_t i;
    const json_t *n;
    json_array_foreach((json_t *)nodes, i, n)
    {
        const char *id = json_str(n, "id", "-");
        int wide = text_width(id, strlen(id));
        longest = wide > longest ? wide : longest;
    }
    return longest > most ? most : longest;
}

static enum tui_role bar_role(const json_t *node)
{
    const char *state = json_str(node, "state", "");
    return !strcmp(state, "failed")                       ? ROLE_FAIL
           : !strcmp(state, "running")                    ? ROLE_ACCENT
           : !strcmp(json_str(node, "kind", ""), "model") ? ROLE_CHART
                                                          : ROLE_CHART_ALT;
}

/* A node that runs has taken the time until now. */
static void node_figures(const json_t *node, double end, char began[16], char took[16],
                         char tokens[32], char cost[48])
{
    bool running = !strcmp(json_str(node, "state", ""), "running");
    double so_far = running ? end - json_num(node, "began_ms", end) : -1;
    int64_t n = json_int(node, "tokens", 0);
    tui_duration(json_num(node, "began_ms", -1), began);
    tui_duration(json_num(node, "elapsed_ms", so_far), took);
    *tokens = 0;
    if (n > 0)
        view_count(n, tokens);
    *cost = 0;
    if (json_is_object(json_object_get(node, "cost")))
        trace_cost(node, cost);
}

/* A node that runs reaches to the end of what there is. */
static void draw_span(const struct view_page *p, const json_t *node, double end, int x, int width)
{
    double from = json_num(node, "began_ms", NAN), ms = json_num(node, "elapsed_ms", NAN);
    if (isnan(ms))
        ms = end - from;
    if (!isnan(from) && !is_skipped(node) && width > 0)
        tui_span(p->area, p->y, x, width, bar_role(node), from / end, (from + ms) / end);
}

static void put_note(const struct view_page *p, const json_t *node, int x)
{
    struct buf note = {0};
    view_said(node, "note", &note);
    tui_put(p->area, p->y, x, -1, ROLE_DIM, note.data ? note.data : "");
    buf_release(&note);
}

/* One row: name, bar, begin, time, tokens, cost, and as much of the note as there is room for. */
static void draw_wide(struct view_page *p, const json_t *node, double end, int name)
{
    char began[16], took[16], tokens[32], cost[48];
    int width = p->area.width, notes = width >= 110 ? width / 4 : 0;
    int bar = width - name - 1 - BEGAN - TOOK - TOKENS - COST - (notes ? notes + 2 : 0);
    int x = name + 1 + bar;
    node_figures(node, end, began, took, tokens, cost);
    draw_span(p, node, end, name + 1, bar);
    tui_put_right(p->area, p->y, x, BEGAN, ROLE_DIM, began);
    tui_put_right(p->area, p->y, x += BEGAN, TOOK, ROLE_TEXT, took);
    tui_put_right(p->area, p->y, x += TOOK, TOKENS, ROLE_DIM, tokens);
    tui_put_right(p->area, p->y, x += TOKENS, COST, ROLE_DIM, cost);
    if (notes)
        put_note(p, node, x + COST + 2);
}

static void draw_node_row(struct view_page *p, const json_t *node, double end, int name, bool brief)
{
    char began[16], took[16], tokens[32], cost[48];
    const char *state = json_str(node, "state", "unknown");
    bool failed = !strcmp(state, "failed");
    tui_put(p->area, p->y, 0, name,
            failed             ? ROLE_FAIL
            : is_skipped(node) ? ROLE_DIM
                               : ROLE_TEXT,
            json_str(node, "id", "-"));
    if (is_skipped(node)) {
        int x = name + 1 + tui_put(p->area, p->y, name + 1, -1, ROLE_DIM, _(state));
        if (p->area.width - x > 10)
            put_note(p, node, x + 2);
        p->y++;
        return;
    }
    if (p->area.width >= TWO_ROWS) {
        draw_wide(p, node, end, name);
        p->y++;
        return;
    }
    node_figures(node, end, began, took, tokens, cost);
    draw_span(p, node, end, name + 1, p->area.width - name - 1 - TOOK);
    tui_put_right(p->area, p->y++, p->area.width - TOOK, TOOK, ROLE_TEXT, took);
    if (!brief && *tokens)
        tui_putf(p->area, p->y++, 2, -1, ROLE_DIM, _("from %s, %s tok, %s"), began, tokens, cost);
}

static void draw_head(struct view_page *p)
{
    int width = p->area.width, notes = width >= 110 ? width / 4 : 0;
    int x = width - BEGAN - TOOK - TOKENS - COST - (notes ? notes + 2 : 0);

    tui_put_right(p->area, p->y, x, BEGAN, ROLE_DIM, _("begin"));
    tui_put_right(p->area, p->y, x += BEGAN, TOOK, ROLE_DIM, _("took"));
    tui_put_right(p->area, p->y, x += TOOK, TOKENS, ROLE_DIM, _("tokens"));
    tui_put_right(p->area, p->y++, x + TOKENS, COST, ROLE_DIM, _("cost"));
}

/* How many behind this one were skipped as it was, for the same reason. */
static size_t alike_behind(const json_t *nodes, size_t at)
{
    const json_t *first = json_array_get(nodes, at), *next;
    size_t n = 0;
    if (strcmp(json_str(first, "state", ""), "skipped") != 0)
        return 0;
    while ((next = json_array_get(nodes, at + n + 1)) &&
           !strcmp(json_str(next, "state", ""), "skipped") &&
           !strcmp(json_str(next, "note", ""), json_str(first, "note", "")))
        n++;
    return n;
}

/* Those in one row: "third, fourth  skipped  fewer models were chosen". */
static void draw_skipped(struct view_page *p, const json_t *nodes, size_t from, size_t to)
{
    struct buf ids = {0};
    for (size_t i = from; i <= to; i++)
        buf_addf(&ids, "%s%s", i > from ? ", " : "", json_str(json_array_get(nodes, i), "id", "-"));
    int x = tui_put(p->area, p->y, 0, p->area.width / 2, ROLE_DIM, ids.data) + 2;
    x += tui_put(p->area, p->y, x, -1, ROLE_DIM, _("skipped"));
    if (p->area.width - x > 10)
        put_note(p, json_array_get(nodes, from), x + 2);
    p->y++;
    buf_release(&ids);
}

void trace_nodes_draw(struct view_page *p, const json_t *trace, int rows)
{
    const json_t *nodes = json_object_get(trace, "nodes");
    if (!trace_has_nodes(trace))
        return;
    double end = nodes_end(trace);
    int name = names_width(nodes, p->area.width);
    bool brief = rows != INT_MAX;
    size_t i;
    if (!brief && p->area.width >= TWO_ROWS) {
        const char *flow = json_str(trace, "flow", "");
        if (*flow)
            tui_putf(p->area, p->y, 0, p->area.width - BEGAN - TOOK - TOKENS - COST, ROLE_DIM,
                     _("flow %s"), flow);
        draw_head(p);
    }
    for (i = 0; i < json_array_size(nodes); i++) {
        size_t more = brief ? 0 : alike_behind(nodes, i);
        if (more)
            draw_skipped(p, nodes, i, i + more);
        else if (node_shown(nodes, i, rows))
            draw_node_row(p, json_array_get(nodes, i), end, name, brief);
        i += more;
    }
}

/* ---- risk */

static const char *route_name(const char *route)
{
    static const char *const words[][2] = {{"cheapest", N_("one model is enough")},
                                           {"critic", N_("answers are compared and criticised")},
                                           {"council", N_("a council answers")},
                                           {"safe", N_("the safe model answers")}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (!strcmp(words[i][0], route))
            return _(words[i][1]);
    return route;
}

/* The features by their names in the document, for the catalogue. */
static const char *const feature_names[] = {
    N_("dangerous commands"), N_("stakes"),         N_("personal data"), N_("prompt injection"),
    N_("anomalies"),          N_("planned change"), N_("disagreement"),  N_("volatility")};

const char *trace_feature_name(const char *name)
{
    for (size_t i = 0; i < sizeof(feature_names) / sizeof(feature_names[0]); i++)
        if (!strcmp(feature_names[i], name))
            return _(feature_names[i]);
    return name;
}

static void draw_feature(struct view_page *p, const json_t *f)
{
    char words[64];
    if (json_num(f, "part", 0) <= 0)
        return;
    snprintf(words, sizeof(words), _("%.2f by weight %.2f"), json_num(f, "value", 0),
             json_num(f, "weight", 0));
    trace_figure(p, 2, trace_feature_name(json_str(f, "name", "-")), json_object_get(f, "part"),
                 ROLE_CHART_ALT, NAN, words);
}

void trace_risk_draw(struct view_page *p, const json_t *trace, bool brief)
{
    const json_t *risk = json_object_get(trace, "risk"), *f;
    size_t i;
    if (!json_is_object(risk))
        return;
    bool person = json_flag(risk, "person", false);
    trace_figure(p, 0, _("risk"), json_object_get(risk, "score"),
                 person ? ROLE_WARN : ROLE_CHART_ALT, NAN, route_name(json_str(risk, "route", "")));
    if (brief)
        return;
    if (person)
        tui_putf(p->area, p->y++, 2, -1, ROLE_WARN, "%s %s", tui_glyph(GLYPH_WARN),
                 _("a person has to decide"));
    json_array_foreach(json_object_get(risk, "features"), i, f) draw_feature(p, f);
}

static const char *severity_word(const char *severity)
{
    static const char *const words[] = {N_("low"), N_("moderate"), N_("severe")};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (!strcmp(words[i], severity))
            return _(words[i]);
    return severity;
}

void trace_injections_text(struct tui_text *t, const json_t *trace)
{
    const json_t *list = json_object_get(trace, "injections"), *one, *f;
    size_t i, k;
    if (!json_array_size(list))
        return;
    tui_text_add(t, ROLE_TEXT, 0, false, "");
    tui_text_addf(t, ROLE_WARN, 0, false, "%s %s", tui_glyph(GLYPH_STEERS),
                  _("text that tries to steer a model; it was given as data, and allows nothing"));
    json_array_foreach(list, i, one)
    {
        struct buf whose = {0};
        view_steerer(one, &whose);
        tui_text_addf(t, ROLE_TEXT, 2, false, "%s, %.2f", whose.data, json_num(one, "score", 0));
        buf_release(&whose);
        json_array_foreach(json_object_get(one, "findings"), k, f)
            tui_text_addf(t, ROLE_FOREIGN, 4, true, "%s (%s): %s", _(json_str(f, "class", "-")),
                          severity_word(json_str(f, "severity", "")), json_str(f, "words", ""));
    }
}
