#include "views/trace_lanes.h"
#include "backend/base/errors.h"
#include <stdlib.h>
#include <string.h>

struct lane {
    int to; /* -1: free */
    bool taken;
};
struct making {
    struct lanes *out;
    const struct lanes_edge *edges;
    size_t edge_count;
    int nodes;
    struct lane lanes[LANES_MOST];
    bool placed[LANES_NODES];
};

static bool counts(const struct making *m, const struct lanes_edge *e)
{
    return e->from >= 0 && e->from < m->nodes && e->to >= 0 && e->to < m->nodes && e->from != e->to;
}

/* A row in which all lanes go on. */
static struct lanes_row *row_new(struct making *m)
{
    struct lanes *l = m->out;
    if (l->count == l->room) {
        l->room = l->room ? 2 * l->room : 32;
        l->rows = xrealloc(l->rows, l->room * sizeof(*l->rows));
    }
    struct lanes_row *row = &l->rows[l->count++];
    *row = (struct lanes_row){.node = -1, .edge = -1};
    for (int i = 0; i < LANES_MOST; i++) {
        const struct lane *lane = &m->lanes[i];
        if (lane->to >= 0)
            row->cells[2 * i] = LANE_UP | LANE_DOWN | (lane->taken ? LANE_TAKEN : 0);
    }
    return row;
}

/* A line between two lanes, up to the cells of both; what it crosses is drawn through. */
static void line(struct lanes_row *row, int from, int to, bool taken)
{
    int low = 2 * (from < to ? from : to), high = 2 * (from < to ? to : from);
    for (int x = low + 1; x < high; x++) {
        bool crossed = row->cells[x] & (LANE_UP | LANE_DOWN);
        if (crossed && !(row->cells[x] & (LANE_LEFT | LANE_RIGHT)))
            continue;
        row->cells[x] |= (uint8_t)(LANE_LEFT | LANE_RIGHT | (taken ? LANE_TAKEN : 0));
    }
}

static int lane_free(const struct making *m)
{
    for (int i = 0; i < LANES_MOST; i++)
        if (m->lanes[i].to < 0)
            return i;
    return -1;
}

/* All lanes that lead to the node become one, the leftmost; -1: there was none. */
static int merge(struct making *m, int node)
{
    int home = -1, last = -1;
    bool taken = false;
    for (int i = 0; i < LANES_MOST; i++) {
        if (m->lanes[i].to != node)
            continue;
        home = home < 0 ? i : home;
        last = i;
        taken = taken || m->lanes[i].taken;
    }
    if (last <= home)
        return home;
    struct lanes_row *row = row_new(m);
    row->cells[2 * home] = (uint8_t)(LANE_UP | LANE_DOWN | LANE_RIGHT | (taken ? LANE_TAKEN : 0));
    for (int i = last; i > home; i--) {
        struct lane *lane = &m->lanes[i];
        if (lane->to != node)
            continue;
        row->cells[2 * i] = (uint8_t)(LANE_UP | LANE_LEFT | (i < last ? LANE_RIGHT : 0) |
                                      (lane->taken ? LANE_TAKEN : 0));
        line(row, home, i, lane->taken);
        lane->to = -1;
    }
    m->lanes[home].taken = taken;
    return home;
}

static void say_edges(struct making *m, int node)
{
    for (size_t i = 0; i < m->edge_count; i++) {
        const struct lanes_edge *e = &m->edges[i];
        if (!counts(m, e) || e->to != node || !e->taken)
            continue;
        for (int k = 0; k < e->words; k++) {
            struct lanes_row *row = row_new(m);
            row->edge = (int)i;
            row->part = k;
        }
    }
}

/* The lane that an edge goes on in: one that leads there already, its node's own, a free one. */
static int lane_for(const struct making *m, const struct lanes_edge *e, int home)
{
    for (int i = 0; i < LANES_MOST; i++)
        if (m->lanes[i].to == e->to && m->lanes[i].taken == e->taken)
            return i;
    return m->lanes[home].to < 0 ? home : lane_free(m);
}

static void fork_one(struct making *m, struct lanes_row *row, const struct lanes_edge *e, int home)
{
    int at = lane_for(m, e, home);
    if (at < 0)
        return; /* more lanes than are drawn */
    m->lanes[at] = (struct lane){e->to, e->taken};
    uint8_t taken = e->taken ? LANE_TAKEN : 0;
    row->cells[2 * home] |= taken;
    if (at == home) {
        row->cells[2 * home] |= LANE_DOWN;
        return;
    }
    row->cells[2 * home] |= at > home ? LANE_RIGHT : LANE_LEFT;
    row->cells[2 * at] |= (uint8_t)((at > home ? LANE_LEFT : LANE_RIGHT) | LANE_DOWN | taken);
    line(row, home, at, e->taken);
}

/* What leads on from the node: what was taken first, so that it stays in the node's lane. */
static void fork_lanes(struct making *m, int node, int home)
{
    size_t before = m->out->count;
    struct lanes_row *row = row_new(m);
    bool any = false;
    row->cells[2 * home] = LANE_UP;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < m->edge_count; i++) {
            const struct lanes_edge *e = &m->edges[i];
            if (!counts(m, e) || e->from != node || m->placed[e->to] || e->taken != (pass == 0))
                continue;
            fork_one(m, row, e, home);
            any = true;
        }
    bool straight = true;
    for (int x = 0; x < LANES_CELLS; x++)
        straight = straight && !(row->cells[x] & (LANE_LEFT | LANE_RIGHT));
    if (!any || straight)
        m->out->count = before;
}

static void place(struct making *m, int node)
{
    int home = merge(m, node);
    if (home >= 0)
        say_edges(m, node);
    else
        home = lane_free(m);
    home = home < 0 ? LANES_MOST - 1 : home;
    struct lanes_row *row = row_new(m);
    row->node = node;
    row->cells[2 * home] = LANE_NODE;
    m->lanes[home].to = -1;
    m->placed[node] = true;
    fork_lanes(m, node, home);
}

/* Is all that leads there placed? */
static bool ready(const struct making *m, int node)
{
    for (size_t i = 0; i < m->edge_count; i++) {
        const struct lanes_edge *e = &m->edges[i];
        if (counts(m, e) && e->to == node && !m->placed[e->from])
            return false;
    }
    return true;
}

void lanes_make(struct lanes *l, size_t nodes, const struct lanes_edge *edges, size_t count)
{
    struct making m = {.out = l, .edges = edges, .nodes = (int)nodes};
    *l = (struct lanes){0};
    m.edge_count = count < LANES_EDGES ? count : LANES_EDGES;
    m.nodes = nodes < LANES_NODES ? (int)nodes : LANES_NODES;
    for (int i = 0; i < LANES_MOST; i++)
        m.lanes[i].to = -1;
    for (int done = 0; done < m.nodes; done++) {
        int next = -1, first = -1;
        for (int i = m.nodes - 1; i >= 0; i--) {
            if (m.placed[i])
                continue;
            first = i;
            next = ready(&m, i) ? i : next;
        }
        place(&m, next >= 0 ? next : first);
    }
    for (size_t r = 0; r < l->count; r++)
        for (int x = 0; x < LANES_CELLS; x++)
            if (l->rows[r].cells[x] && x >= l->width)
                l->width = x + 1;
}

void lanes_free(struct lanes *l)
{
    free(l->rows);
    *l = (struct lanes){0};
}
