/* The flow of a trace as a graph of lanes: heavy lines are the path that was taken. */
#include "views/trace_lanes.h"
#include "views/trace_parts.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ONE_ROW = 96, LANE_GAP = 2 };

static const enum tui_glyph lane_glyphs[16] = {
    [LANE_UP] = GLYPH_LANE_V,
    [LANE_DOWN] = GLYPH_LANE_V,
    [LANE_UP | LANE_DOWN] = GLYPH_LANE_V,
    [LANE_LEFT] = GLYPH_LANE_H,
    [LANE_RIGHT] = GLYPH_LANE_H,
    [LANE_LEFT | LANE_RIGHT] = GLYPH_LANE_H,
    [LANE_DOWN | LANE_RIGHT] = GLYPH_LANE_DR,
    [LANE_DOWN | LANE_LEFT] = GLYPH_LANE_DL,
    [LANE_UP | LANE_RIGHT] = GLYPH_LANE_UR,
    [LANE_UP | LANE_LEFT] = GLYPH_LANE_UL,
    [LANE_UP | LANE_DOWN | LANE_RIGHT] = GLYPH_LANE_VR,
    [LANE_UP | LANE_DOWN | LANE_LEFT] = GLYPH_LANE_VL,
    [LANE_DOWN | LANE_LEFT | LANE_RIGHT] = GLYPH_LANE_DH,
    [LANE_UP | LANE_LEFT | LANE_RIGHT] = GLYPH_LANE_UH,
    [LANE_UP | LANE_DOWN | LANE_LEFT | LANE_RIGHT] = GLYPH_LANE_VH,
};

/* Does the condition name the variable, as a word of its own? */
static bool names(const char *when, const char *variable)
{
    size_t n = strlen(variable);
    for (const char *p = when; (p = strstr(p, variable)); p += n) {
        bool before = p > when && (isalnum((unsigned char)p[-1]) || p[-1] == '_');
        bool behind = isalnum((unsigned char)p[n]) || p[n] == '_';
        if (!before && !behind)
            return true;
    }
    return false;
}

static bool named_there(const json_t *trace, const json_t *step, const char *variable)
{
    const json_t *edges = json_object_get(trace, "edges"), *e;
    size_t i;
    if (strcmp(json_str(step, "when", ""), "else"))
        return names(json_str(step, "when", ""), variable);
    json_array_foreach(edges, i, e)
    {
        if (!strcmp(json_str(e, "from", ""), json_str(step, "from", "?")) &&
            names(json_str(e, "when", ""), variable))
            return true;
    }
    return !json_array_size(edges) &&
           (!strcmp(variable, "verdict") || !strcmp(variable, "confidence"));
}

void trace_values(const json_t *trace, const json_t *step, struct buf *out)
{
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(step, "values"), name, value)
    {
        if (!named_there(trace, step, name))
            continue;
        buf_addf(out, "%s%s ", out->len ? ", " : "", name);
        if (json_is_string(value))
            buf_adds(out, json_string_value(value));
        else
            buf_addf(out, "%.4g", round(json_number_value(value) * 100) / 100);
    }
}

/* ---- from the trace to nodes and edges */

struct graph {
    const json_t *trace;
    json_t *nodes;   /* those that are drawn; owned */
    struct buf rest; /* ids of the others */
    struct lanes_edge edges[LANES_EDGES];
    const json_t *steps[LANES_EDGES]; /* of the path; NULL: not taken */
    size_t count;
};

static int node_of(const struct graph *g, const char *id)
{
    for (size_t i = 0; i < json_array_size(g->nodes); i++)
        if (!strcmp(json_str(json_array_get(g->nodes, i), "id", ""), id))
            return (int)i;
    return -1;
}

static const json_t *named(const json_t *nodes, const char *id)
{
    size_t i;
    const json_t *n;
    json_array_foreach((json_t *)nodes, i, n) if (!strcmp(json_str(n, "id", ""), id)) return n;
    return NULL;
}

static bool never(const json_t *node)
{
    return !strcmp(json_str(node, "state", ""), "skipped") || json_flag(node, "never", false);
}

/* Is it a way that was not gone, and behind another such one? */
static bool is_beyond(const json_t *trace, const json_t *node)
{
    const json_t *nodes = json_object_get(trace, "nodes"), *e;
    size_t i;
    bool led = false;
    if (!never(node))
        return false;
    json_array_foreach(json_object_get(trace, "edges"), i, e)
    {
        if (strcmp(json_str(e, "to", ""), json_str(node, "id", "?")) != 0)
            continue;
        led = true;
        const json_t *from = named(nodes, json_str(e, "from", ""));
        if (!from || !never(from))
            return false;
    }
    return led;
}

static void choose_nodes(struct graph *g, const json_t *trace)
{
    size_t i;
    const json_t *n;
    g->nodes = json_array();
    json_array_foreach(json_object_get(trace, "nodes"), i, n)
    {
        if (is_beyond(trace, n))
            buf_addf(&g->rest, "%s%s", g->rest.len ? ", " : "", json_str(n, "id", "-"));
        else
            json_array_append(g->nodes, (json_t *)n);
    }
}

static const json_t *step_of(const json_t *path, const json_t *edge)
{
    size_t i;
    const json_t *s;
    json_array_foreach((json_t *)path, i, s)
    {
        if (!strcmp(json_str(s, "from", ""), json_str(edge, "from", "?")) &&
            !strcmp(json_str(s, "to", ""), json_str(edge, "to", "?")))
            return s;
    }
    return NULL;
}

/* An earlier trace has no edges of its own: then those that were taken are all that is known. */
static void collect(struct graph *g, const json_t *trace, int words)
{
    const json_t *path = json_object_get(trace, "path"), *edges = json_object_get(trace, "edges"),
                 *e;
    size_t i;
    g->trace = trace;
    choose_nodes(g, trace);
    g->count = 0;
    json_array_foreach(json_array_size(edges) ? edges : path, i, e)
    {
        const json_t *step = step_of(path, e);
        if (g->count == LANES_EDGES)
            break;
        g->steps[g->count] = step;
        g->edges[g->count++] = (struct lanes_edge){node_of(g, json_str(e, "from", "")),
                                                   node_of(g, json_str(e, "to", "")), step != NULL,
                                                   step && *json_str(step, "when", "") ? words : 0};
    }
}

/* ---- drawing */

static void draw_cells(const struct view_page *p, const struct lanes_row *row, int width)
{
    for (int x = 0; x < width; x++) {
        uint8_t cell = row->cells[x];
        unsigned way = cell & 15U;
        if (!way)
            continue;
        enum tui_glyph g = lane_glyphs[way];
        if (cell & LANE_TAKEN)
            g = (enum tui_glyph)((int)g - GLYPH_LANE_V + GLYPH_PATH_V);
        tui_put_glyph(p->area, p->y, x, cell & LANE_TAKEN ? ROLE_ACCENT : ROLE_RULE, g);
    }
}

static void draw_node(const struct view_page *p, const struct lanes_row *row, const json_t *node,
                      int left)
{
    const char *state = json_str(node, "state", "unknown"), *model = json_str(node, "model", "");
    const char *role = json_str(node, "role", "");
    struct buf note = {0};
    bool done = !strcmp(state, "done"), skipped = !strcmp(state, "skipped");
    char took[16];
    for (int x = 0; x < LANES_CELLS; x++)
        if (row->cells[x] & LANE_NODE)
            tui_put_state(p->area, p->y, x, state, false);
    int x = left + tui_put(p->area, p->y, left, -1, skipped ? ROLE_DIM : ROLE_STRONG,
                           json_str(node, "id", "-"));
    if (*role && strcmp(_(role), json_str(node, "id", "-")) != 0)
        x += 2 + tui_put(p->area, p->y, x + 2, -1, ROLE_DIM, _(role));
    if (*model)
        x += 2 + tui_put(p->area, p->y, x + 2, -1, ROLE_TEXT, model);
    if (!done)
        x += 2 + tui_put(p->area, p->y, x + 2, -1, tui_state_role(state), _(state));
    if (json_is_number(json_object_get(node, "elapsed_ms")) && !skipped) {
        tui_duration(json_num(node, "elapsed_ms", -1), took);
        x += 2 + tui_put(p->area, p->y, x + 2, -1, ROLE_DIM, took);
    }
    view_said(node, "note", &note);
    if (note.len && p->area.width - x > 8)
        tui_put(p->area, p->y, x + 2, -1, ROLE_DIM, note.data);
    buf_release(&note);
}

/* Why an edge was taken: its condition, and what its variables were. */
static void draw_words(const struct view_page *p, const struct graph *g,
                       const struct lanes_row *row, int left, bool one_row)
{
    const json_t *step = g->steps[row->edge];
    const char *when = json_str(step, "when", "");
    bool otherwise = !strcmp(when, "else");
    struct buf values = {0};
    int x = left;
    trace_values(g->trace, step, &values);
    if (row->part == 0 && otherwise)
        x += tui_putf(p->area, p->y, x, -1, ROLE_DIM, _("from %s: else"),
                      json_str(step, "from", "-"));
    else if (row->part == 0)
        x += tui_putf(p->area, p->y, x, -1, ROLE_DIM, _("if %s"), when);
    if (values.len && (one_row || row->part == 1))
        tui_putf(p->area, p->y, row->part ? x + 2 : x, -1, ROLE_ACCENT, row->part ? "%s" : ": %s",
                 values.data);
    buf_release(&values);
}

void trace_graph_draw(struct view_page *p, const json_t *trace)
{
    struct graph g = {.trace = trace};
    struct lanes l;
    if (!trace_has_nodes(trace))
        return;
    bool one_row = p->area.width >= ONE_ROW;
    collect(&g, trace, one_row ? 1 : 2);
    lanes_make(&l, json_array_size(g.nodes), g.edges, g.count);
    int width = l.width < p->area.width / 2 ? l.width : p->area.width / 2;
    int left = width + LANE_GAP - 1;
    for (size_t i = 0; i < l.count; i++, p->y++) {
        const struct lanes_row *row = &l.rows[i];
        draw_cells(p, row, width);
        if (row->node >= 0)
            draw_node(p, row, json_array_get(g.nodes, (size_t)row->node), left);
        else if (row->edge >= 0)
            draw_words(p, &g, row, left, one_row);
    }
    lanes_free(&l);
    if (g.rest.len)
        tui_putf(p->area, p->y++, left, -1, ROLE_DIM, _("not reached: %s"), g.rest.data);
    buf_release(&g.rest);
    json_decref(g.nodes);
}
