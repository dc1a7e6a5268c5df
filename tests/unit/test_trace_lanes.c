/* Graphs of flows as lanes: what is drawn hangs together, whatever the graph. */
#include "views/trace_lanes.h"
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { GRAPHS = 3000 };

static int row_of(const struct lanes *l, int node)
{
    int at = -1;
    for (size_t r = 0; r < l->count; r++) {
        if (l->rows[r].node != node)
            continue;
        assert_int_equal(at, -1); /* each node once */
        at = (int)r;
    }
    assert_true(at >= 0);
    return at;
}

/* Whatever leads out of a cell is met by the next one. */
static void check_joints(const struct lanes *l)
{
    for (size_t r = 0; r < l->count; r++)
        for (int x = 0; x < LANES_CELLS; x++) {
            uint8_t cell = l->rows[r].cells[x];
            if (cell & LANE_RIGHT) {
                assert_true(x + 1 < LANES_CELLS);
                assert_true(l->rows[r].cells[x + 1] & (LANE_LEFT | LANE_UP | LANE_DOWN));
            }
            if (cell & LANE_LEFT) {
                assert_true(x > 0);
                assert_true(l->rows[r].cells[x - 1] & (LANE_RIGHT | LANE_UP | LANE_DOWN));
            }
            if (cell & LANE_DOWN) {
                assert_true(r + 1 < l->count);
                assert_true(l->rows[r + 1].cells[x] & (LANE_UP | LANE_NODE));
            }
            if (cell & LANE_UP) {
                assert_true(r > 0);
                assert_true(l->rows[r - 1].cells[x] & (LANE_DOWN | LANE_NODE));
            }
            if ((cell & 15) == LANE_LEFT || (cell & 15) == LANE_RIGHT)
                fail_msg("a line that ends nowhere");
        }
}

static void random_graphs_hang_together(void **state)
{
    (void)state;
    unsigned seed = 7;
    for (int g = 0; g < GRAPHS; g++) {
        struct lanes_edge edges[40];
        struct lanes l;
        int nodes = 2 + (int)(rand_r(&seed) % 12);
        size_t n = (size_t)(rand_r(&seed) % 20), said = 0, words = 0;
        for (size_t i = 0; i < n; i++) {
            int from = (int)(rand_r(&seed) % (unsigned)nodes);
            int to = from + 1 + (int)(rand_r(&seed) % 4);
            edges[i] = (struct lanes_edge){from, to, rand_r(&seed) % 2, (int)(rand_r(&seed) % 3)};
            if (to < nodes && edges[i].taken)
                said += (size_t)edges[i].words;
        }
        lanes_make(&l, (size_t)nodes, edges, n);
        check_joints(&l);
        for (size_t i = 0; i < n; i++)
            if (edges[i].to < nodes)
                assert_true(row_of(&l, edges[i].from) < row_of(&l, edges[i].to));
        for (size_t r = 0; r < l.count; r++)
            words += l.rows[r].edge >= 0;
        assert_int_equal(words, said);
        assert_true(l.width <= LANES_CELLS);
        lanes_free(&l);
    }
}

static void a_branch_that_was_not_taken(void **state)
{
    (void)state;
    static const struct lanes_edge edges[] = {
        {0, 1, true, 0}, {0, 2, false, 0}, {1, 2, true, 1}, {2, 3, true, 0}};
    struct lanes l;
    lanes_make(&l, 4, edges, 4);
    assert_int_equal(l.count, 7); /* four nodes, the fork, the words, the merge */
    assert_int_equal(l.width, 3);
    assert_int_equal(l.rows[1].cells[0], LANE_UP | LANE_DOWN | LANE_RIGHT | LANE_TAKEN);
    assert_int_equal(l.rows[1].cells[2], LANE_DOWN | LANE_LEFT); /* not taken */
    assert_int_equal(l.rows[3].cells[2], LANE_UP | LANE_LEFT);
    assert_int_equal(l.rows[4].edge, 2);
    lanes_free(&l);
}

static void hostile_graphs_end(void **state)
{
    (void)state;
    static const struct lanes_edge round[] = {
        {0, 1, true, 0}, {1, 2, true, 0}, {2, 0, true, 0}, {1, 1, true, 0}, {-1, 5, true, 9}};
    struct lanes l;
    lanes_make(&l, 3, round, 5);
    for (int i = 0; i < 3; i++)
        row_of(&l, i);
    check_joints(&l);
    lanes_free(&l);

    struct lanes_edge *all = calloc(64 * 64, sizeof(*all)); /* more lanes than there are */
    size_t n = 0;
    for (int i = 0; i < 64; i++)
        for (int k = i + 1; k < 64; k++)
            all[n++] = (struct lanes_edge){i, k, k % 2, 0};
    lanes_make(&l, 500, all, n);
    for (int i = 0; i < LANES_NODES; i++)
        row_of(&l, i);
    assert_true(l.width <= LANES_CELLS);
    lanes_free(&l);
    free(all);
    lanes_make(&l, 0, NULL, 0);
    assert_int_equal(l.count, 0);
    lanes_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_graphs_hang_together),
                                       cmocka_unit_test(a_branch_that_was_not_taken),
                                       cmocka_unit_test(hostile_graphs_end)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
