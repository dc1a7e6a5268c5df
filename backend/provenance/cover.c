/* One proof for many leaves: see cover.h. Both walks go down 63 levels at most. */
#include "backend/provenance/cover.h"

#include <string.h>

static int64_t split(int64_t n)
{
    int64_t k = 1;
    while (k < n - k)
        k <<= 1;
    return k;
}

/* How many of the leaves from `at` on are below `until`. */
static size_t below(const struct cover__leaves *l, size_t at, size_t end, int64_t until)
{
    size_t low = at, high = end;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (l->index[middle] < until)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct making {
    prov__read_node *read;
    void *arg;
    const struct cover__leaves *leaves;
    struct buf *out;
    struct error *error;
};

/* The subtree over [low, high), which holds leaves [from, to) of the list. */
static enum err make(struct making *m, int64_t low, int64_t high, size_t from, size_t to)
{
    uint8_t hash[VAULT_HASH];
    if (from == to) {
        enum err code = prov__range_root(m->read, m->arg, low, high, hash, m->error);
        if (code == ERR_OK)
            buf_add(m->out, hash, sizeof hash);
        return code;
    }
    if (high - low == (int64_t)(to - from)) /* all of it */
        return ERR_OK;
    int64_t middle = low + split(high - low);
    size_t at = below(m->leaves, from, to, middle);
    enum err code = make(m, low, middle, from, at);
    return code == ERR_OK ? make(m, middle, high, at, to) : code;
}

static bool in_order(int64_t size, const struct cover__leaves *l)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->index[i] < (i ? l->index[i - 1] + 1 : 0) || l->index[i] >= size)
            return false;
    return l->count > 0;
}

enum err cover__prove(prov__read_node *read, void *arg, int64_t size,
                      const struct cover__leaves *leaves, struct buf *out, struct error *e)
{
    struct making m = {read, arg, leaves, out, e};
    if (!in_order(size, leaves))
        return err_set(e, ERR_INVALID, "leaves that are not in a tree of %lld", (long long)size);
    return make(&m, 0, size, 0, leaves->count);
}

struct checking {
    const struct cover__leaves *leaves;
    const uint8_t *at;
    size_t left;
};

static bool check(struct checking *c, int64_t low, int64_t high, size_t from, size_t to,
                  uint8_t out[VAULT_HASH])
{
    if (from == to) {
        if (c->left == 0)
            return false;
        memcpy(out, c->at, VAULT_HASH);
        c->at += VAULT_HASH;
        c->left--;
        return true;
    }
    if (high - low == 1) {
        memcpy(out, c->leaves->hash[from], VAULT_HASH);
        return true;
    }
    uint8_t left[VAULT_HASH], right[VAULT_HASH];
    int64_t middle = low + split(high - low);
    size_t at = below(c->leaves, from, to, middle);
    if (!check(c, low, middle, from, at, left) || !check(c, middle, high, at, to, right))
        return false;
    prov__join(left, right, out);
    return true;
}

bool cover__root(int64_t size, const struct cover__leaves *leaves, const uint8_t *hashes,
                 size_t count, uint8_t out[VAULT_HASH])
{
    struct checking c = {leaves, hashes, count};
    return in_order(size, leaves) && check(&c, 0, size, 0, leaves->count, out) && c.left == 0;
}
