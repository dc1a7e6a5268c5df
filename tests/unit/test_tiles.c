/* The stored tree of every eighth level gives every node: against all levels kept at hand, in a
 * second epoch too, while it grows, and with parts of it missing (I1 and I2 of tiles.c). */
#include "backend/provenance/proof.h"

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { BASE = 100, SIZE = 70000, LEVELS = 17 };

static char *dir;
static struct loop *loop;
static struct store *store;
static uint8_t (*all[LEVELS])[VAULT_HASH];

/* Rows first to second, of both epochs at once: the leaves of epoch 2 are the same, BASE behind. */
static int64_t range[2];

static enum err insert(struct store_db *db, void *arg, struct error *e)
{
    enum err code = ERR_OK;
    struct prov__edge edge = {.size = 0};
    struct prov__node done[PROV__LEVELS];
    (void)arg;
    for (int64_t i = 0; i < range[1] && code == ERR_OK; i++) {
        int count = prov__edge_push(&edge, 0, all[0][i], done);
        if (i < range[0])
            continue;
        code = store_exec(db, e, "INSERT INTO entries VALUES(?, x'', ?, 0, '', '', NULL)", "ib",
                          BASE + i, (const void *)all[0][i], (size_t)VAULT_HASH);
        for (int k = 0; k < count && code == ERR_OK; k++)
            if (done[k].level % PROV__TILE == 0)
                code = store_exec(db, e, "INSERT INTO tree VALUES(2, ?, ?, ?)", "iib",
                                  (int64_t)done[k].level, done[k].idx, (const void *)done[k].hash,
                                  (size_t)VAULT_HASH);
    }
    return code;
}

static const char *statement;

static enum err run_statement(struct store_db *db, void *arg, struct error *e)
{
    (void)arg;
    return store_exec(db, e, statement, "");
}

static void ended(void *arg, const struct error *e)
{
    (void)arg;
    assert_string_equal(e->detail, "");
    loop_quit(loop);
}

static void sql(const char *text)
{
    statement = text;
    store_write(store, run_statement, ended, NULL);
    loop_run(loop);
}

static void rows(int64_t from, int64_t to)
{
    range[0] = from;
    range[1] = to;
    store_write(store, insert, ended, NULL);
    loop_run(loop);
}

static int set_up(void **state)
{
    (void)state;
    struct error e = {0};
    vault_init();
    dir = xasprintf("%s/mcpc-tiles-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(dir));
    loop = loop_new();
    store = store_open(loop, dir, false, &e);
    assert_non_null(store);
    for (int k = 0; k < LEVELS; k++)
        all[k] = xcalloc((SIZE >> k) + 1, VAULT_HASH);
    for (int i = 0; i < SIZE; i++)
        prov__leaf(&i, sizeof i, all[0][i]);
    for (int k = 1; k < LEVELS; k++)
        for (int i = 0; i < SIZE >> k; i++)
            prov__join(all[k - 1][2 * i], all[k - 1][2 * i + 1], all[k][i]);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_free(store);
    loop_free(loop);
    char *command = xasprintf("rm -rf '%s'", dir);
    int rc = system(command);
    free(command);
    free(dir);
    for (int k = 0; k < LEVELS; k++)
        free(all[k]);
    return rc;
}

static void check(struct prov__stored *tree, int level, int64_t idx)
{
    uint8_t node[VAULT_HASH];
    struct error e = {0};
    if (prov__stored_node(tree, level, idx, node, &e) != ERR_OK)
        fail_msg("level %d, index %lld: %s", level, (long long)idx, e.detail);
    assert_memory_equal(node, all[level][idx], VAULT_HASH);
}

static void lacks(struct prov__stored *tree, int level, int64_t idx)
{
    uint8_t node[VAULT_HASH];
    struct error e = {0};
    assert_int_equal(prov__stored_node(tree, level, idx, node, &e), ERR_NOT_FOUND);
}

static void every_node_of_a_growing_tree(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 2, 255, 256, 257, 1000, 65535, 65536, SIZE};
    struct prov__stored tree = {0};
    prov__stored_set(&tree, store_reader(store), 2, BASE);
    lacks(&tree, 0, 0);
    int64_t before = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t n = sizes[i], step = n / 700 + 1;
        rows(before, n);
        for (int k = 0; k < LEVELS; k++) {
            for (int64_t idx = 0; idx < n >> k; idx += k < 6 ? step : 1)
                check(&tree, k, idx);
            if (n >> k) /* the last one */
                check(&tree, k, (n >> k) - 1);
            lacks(&tree, k, n >> k);
            lacks(&tree, k, INT64_MAX >> k >> 1);
        }
        before = n;
    }
    prov__stored_release(&tree);
}

static void what_is_missing_is_not_made_up(void **state)
{
    (void)state;
    struct prov__stored tree = {0}, other = {0};
    prov__stored_set(&tree, store_reader(store), 2, BASE);
    prov__stored_set(&other, store_reader(store), 1, 0); /* I2: nothing of epoch 2 is in epoch 1 */
    lacks(&other, 0, 0);
    lacks(&other, 8, 0);
    check(&tree, 3, 4);
    sql("UPDATE entries SET seq = -1 WHERE seq = 110"); /* leaf 10 */
    check(&tree, 3, 1);                                 /* I1: the tile is at hand */
    prov__stored_set(&tree, store_reader(store), 2, BASE);
    check(&tree, 3, 0);
    check(&tree, 0, 9);
    lacks(&tree, 0, 10);
    lacks(&tree, 3, 1);
    lacks(&tree, 7, 0);
    check(&tree, 8, 0); /* stored itself */
    sql("DELETE FROM tree WHERE level = 8 AND idx = 7");
    sql("UPDATE tree SET hash = x'00' WHERE level = 8 AND idx = 260");
    prov__stored_set(&tree, store_reader(store), 2, BASE);
    check(&tree, 8, 6);
    lacks(&tree, 8, 7);
    lacks(&tree, 11, 0);
    check(&tree, 16, 0);
    check(&tree, 8, 259);
    lacks(&tree, 8, 260);
    prov__stored_release(&tree);
    prov__stored_release(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_node_of_a_growing_tree),
        cmocka_unit_test(what_is_missing_is_not_made_up),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
