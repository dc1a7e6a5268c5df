/* The stored tree. The table `tree` holds only the levels 8, 16, 24 and so on; what is between is
 * computed from the level below, a tile of 256 nodes at a time.
 *
 * Invariants
 * I1 A tile holds as many nodes of its level as were there without a gap when it was read; what
 * they give above them never changes (T2), so a tile is read again only for nodes that it lacks. I2
 * A tile that was read is from one epoch: the tiles go when the epoch changes. */
#include "backend/provenance/proof.h"

#include <stdlib.h>
#include <string.h>

enum { TILE = 1 << PROV__TILE, NODES = 2 * TILE - 1, KEPT = 8 };

struct prov__tile {
    int level;   /* of its lowest nodes */
    int64_t idx; /* of the tile: node idx * 256 of that level is its first */
    int count;
    uint64_t used;
    uint8_t hash[NODES][VAULT_HASH]; /* 256, then the 128 above them, and so on */
};

void prov__stored_set(struct prov__stored *s, struct store_db *db, int64_t epoch, int64_t base)
{
    for (int i = 0; s->tiles && i < KEPT; i++) /* I2 */
        s->tiles[i].count = 0;
    s->db = db;
    s->epoch = epoch;
    s->base = base;
}

void prov__stored_release(struct prov__stored *s)
{
    free(s->tiles);
    s->tiles = NULL;
}

/* Where the nodes that stand `above` levels over the tile's lowest begin. */
static int above_at(int above)
{
    return 2 * TILE - (2 * TILE >> above);
}

struct load {
    struct prov__tile *tile;
    int64_t first; /* the number of the tile's first node in the table */
};

static bool take_node(void *arg, const struct store_row *row)
{
    struct load *l = arg;
    size_t len;
    const void *hash = store_blob(row, 1, &len);
    if (store_int(row, 0) != l->first + l->tile->count || len != VAULT_HASH)
        return false;
    memcpy(l->tile->hash[l->tile->count++], hash, VAULT_HASH);
    return l->tile->count < TILE;
}

static enum err load_tile(struct prov__stored *s, struct prov__tile *t, struct error *e)
{
    enum err code;
    struct load l = {t, t->idx << PROV__TILE};
    t->count = 0;
    if (t->level == 0) {
        l.first += s->base;
        code = store_query(s->db, e, take_node, &l,
                           "SELECT seq, leaf FROM entries WHERE seq >= ? AND seq < ? ORDER BY seq",
                           "ii", l.first, l.first + TILE);
    } else {
        code = store_query(s->db, e, take_node, &l,
                           "SELECT idx, hash FROM tree WHERE epoch = ? AND level = ? AND idx >= ?"
                           " AND idx < ? ORDER BY idx",
                           "iiii", s->epoch, (int64_t)t->level, l.first, l.first + TILE);
    }
    for (int k = 1; k <= PROV__TILE && code == ERR_OK; k++)
        for (int i = 0; i < t->count >> k; i++)
            prov__join(t->hash[above_at(k - 1) + 2 * i], t->hash[above_at(k - 1) + 2 * i + 1],
                       t->hash[above_at(k) + i]);
    return code;
}

/* The tile from those that are kept, or the one that was used longest ago in its place. */
static struct prov__tile *find_tile(struct prov__stored *s, int level, int64_t idx)
{
    if (!s->tiles)
        s->tiles = xcalloc(KEPT, sizeof *s->tiles);
    struct prov__tile *t = s->tiles;
    for (int i = 0; i < KEPT; i++) {
        struct prov__tile *at = &s->tiles[i];
        if (at->count && at->level == level && at->idx == idx) {
            t = at;
            break;
        }
        if (at->used < t->used)
            t = at;
    }
    if (t->level != level || t->idx != idx)
        t->count = 0;
    t->level = level;
    t->idx = idx;
    t->used = ++s->clock;
    return t;
}

enum err prov__stored_node(void *stored, int level, int64_t idx, uint8_t out[VAULT_HASH],
                           struct error *e)
{
    struct prov__stored *s = stored;
    int above = level % PROV__TILE;
    enum err code = ERR_OK;
    struct prov__tile *t = find_tile(s, level - above, idx >> (PROV__TILE - above));
    int64_t at = idx & ((TILE >> above) - 1);
    if (t->count >> above <= at)
        code = load_tile(s, t, e);
    if (code == ERR_OK && t->count >> above <= at)
        code = err_set(e, ERR_NOT_FOUND, "the tree's node at level %d, index %lld is not stored",
                       level, (long long)idx);
    if (code == ERR_OK)
        memcpy(out, t->hash[above_at(above) + at], VAULT_HASH);
    else
        t->count = 0;
    return code;
}
