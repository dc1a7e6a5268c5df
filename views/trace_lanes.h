/* A flow's graph as lanes, one row a node, as narrow as it can be. Pure.
 *
 * A node stands in a lane; what leads on from it goes on below in its lane or in others, and ends
 * in the lane of the node that it leads to. Edges of one end that were both taken, or both not,
 * share a lane. Where one edge crosses another's lane, that lane is drawn through. */
#ifndef TRACE_LANES_H
#define TRACE_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LANES_NODES = 128, LANES_EDGES = 512, LANES_MOST = 24, LANES_CELLS = 2 * LANES_MOST };
/* What leads out of a cell; TAKEN: of the path; NODE: the node's own place. */
enum { LANE_UP = 1, LANE_DOWN = 2, LANE_LEFT = 4, LANE_RIGHT = 8, LANE_TAKEN = 16, LANE_NODE = 32 };

struct lanes_edge {
    int from, to;
    bool taken;
    int words; /* rows that it takes to say what it was taken for; 0: nothing to say */
};
struct lanes_row {
    uint8_t cells[LANES_CELLS];
    int node;       /* -1: none */
    int edge, part; /* whose words these are, and which row of them; -1: nobody's */
};
struct lanes {
    struct lanes_row *rows;
    size_t count, room;
    int width; /* cells that any row uses */
};

/* Nodes 0..nodes-1; edges with other ends, and those that go back, are left out. lanes_free frees.
 */
void lanes_make(struct lanes *l, size_t nodes, const struct lanes_edge *edges, size_t count);
void lanes_free(struct lanes *l);

#endif
