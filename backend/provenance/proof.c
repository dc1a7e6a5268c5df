/* Proofs in the tree. A proof is made of roots of ranges of leaves; each range is a complete
 * subtree, or the right end of the tree, which is the fold of at most one complete subtree a level.
 */
#include "backend/provenance/proof.h"

#include <string.h>

/* The largest power of two below n (n > 1): where a tree of n leaves splits. */
static int64_t split(int64_t n)
{
    int64_t k = 1;
    while (k < n - k)
        k <<= 1;
    return k;
}

enum err prov__range_root(prov__read_node *read, void *arg, int64_t from, int64_t to,
                          uint8_t out[VAULT_HASH], struct error *e)
{
    struct prov__edge edge = {.size = to - from};
    for (int k = PROV__LEVELS - 1; k >= 0; k--) {
        if (!(edge.size >> k & 1))
            continue;
        enum err code = read(arg, k, from >> k, edge.node[k], e);
        if (code != ERR_OK)
            return code;
        from += INT64_C(1) << k;
    }
    prov__edge_root(&edge, out);
    return ERR_OK;
}

static enum err add_range(prov__read_node *read, void *arg, int64_t from, int64_t to,
                          struct prov__proof *out, struct error *e)
{
    return prov__range_root(read, arg, from, to, out->hash[out->count++], e);
}

/* Ranges are found from the root down; a proof begins at the leaf. */
static void reverse(struct prov__proof *p)
{
    uint8_t kept[VAULT_HASH];
    for (size_t i = 0, j = p->count; i + 1 < j; i++) {
        j--;
        memcpy(kept, p->hash[i], VAULT_HASH);
        memcpy(p->hash[i], p->hash[j], VAULT_HASH);
        memcpy(p->hash[j], kept, VAULT_HASH);
    }
}

enum err prov__root_at(prov__read_node *read, void *arg, int64_t size, uint8_t out[VAULT_HASH],
                       struct error *e)
{
    if (size < 0)
        return err_set(e, ERR_INVALID, "a tree of %lld leaves", (long long)size);
    return prov__range_root(read, arg, 0, size, out, e);
}

enum err prov__prove_inclusion(prov__read_node *read, void *arg, int64_t index, int64_t size,
                               struct prov__proof *out, struct error *e)
{
    enum err code = ERR_OK;
    int64_t low = 0, high = size;
    out->count = 0;
    if (index < 0 || index >= size)
        return err_set(e, ERR_INVALID, "entry %lld is not among the first %lld", (long long)index,
                       (long long)size);
    while (high - low > 1 && code == ERR_OK) {
        int64_t middle = low + split(high - low);
        if (index < middle) {
            code = add_range(read, arg, middle, high, out, e);
            high = middle;
        } else {
            code = add_range(read, arg, low, middle, out, e);
            low = middle;
        }
    }
    reverse(out);
    return code;
}

enum err prov__prove_consistency(prov__read_node *read, void *arg, int64_t from, int64_t size,
                                 struct prov__proof *out, struct error *e)
{
    enum err code = ERR_OK;
    int64_t low = 0, high = size;
    out->count = 0;
    if (from < 0 || from > size)
        return err_set(e, ERR_INVALID, "a tree of %lld leaves has none of %lld before it",
                       (long long)size, (long long)from);
    if (from == 0 || from == size)
        return ERR_OK;
    while (from < high && code == ERR_OK) {
        int64_t middle = low + split(high - low);
        if (from <= middle) {
            code = add_range(read, arg, middle, high, out, e);
            high = middle;
        } else {
            code = add_range(read, arg, low, middle, out, e);
            low = middle;
        }
    }
    if (low > 0 && code == ERR_OK) /* otherwise it is the old root itself, which the verifier has */
        code = add_range(read, arg, low, high, out, e);
    reverse(out);
    return code;
}

/* ---- checking ---- */

static bool whole(const struct prov__span *hashes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (hashes[i].len != VAULT_HASH)
            return false;
    return true;
}

static bool same(const uint8_t a[VAULT_HASH], struct prov__span b)
{
    return memcmp(a, b.at, VAULT_HASH) == 0;
}

bool prov__inclusion_ok(int64_t index, int64_t size, struct prov__span leaf,
                        const struct prov__span *proof, size_t count, struct prov__span root)
{
    uint8_t now[VAULT_HASH];
    if (index < 0 || index >= size || !whole(&leaf, 1) || !whole(&root, 1) || !whole(proof, count))
        return false;
    int64_t at = index, last = size - 1;
    memcpy(now, leaf.at, VAULT_HASH);
    for (size_t i = 0; i < count; i++) {
        if (last == 0)
            return false;
        if ((at & 1) || at == last) {
            prov__join(proof[i].at, now, now);
            while (!(at & 1) && at != 0) {
                at >>= 1;
                last >>= 1;
            }
        } else {
            prov__join(now, proof[i].at, now);
        }
        at >>= 1;
        last >>= 1;
    }
    return last == 0 && same(now, root);
}

bool prov__consistency_ok(int64_t from, int64_t to, struct prov__span from_root,
                          struct prov__span to_root, const struct prov__span *proof, size_t count)
{
    uint8_t old[VAULT_HASH], now[VAULT_HASH];
    if (from < 1 || to < from || !whole(&from_root, 1) || !whole(&to_root, 1) ||
        !whole(proof, count))
        return false;
    if (from == to)
        return count == 0 && memcmp(from_root.at, to_root.at, VAULT_HASH) == 0;
    bool alone = (from & (from - 1)) == 0; /* the old tree is one complete subtree: it begins */
    if (count == 0)
        return false;
    int64_t at = from - 1, last = to - 1;
    while (at & 1) {
        at >>= 1;
        last >>= 1;
    }
    memcpy(old, alone ? from_root.at : proof[0].at, VAULT_HASH);
    memcpy(now, old, VAULT_HASH);
    for (size_t i = alone ? 0 : 1; i < count; i++) {
        if (last == 0)
            return false;
        if ((at & 1) || at == last) {
            prov__join(proof[i].at, old, old);
            prov__join(proof[i].at, now, now);
            while (!(at & 1) && at != 0) {
                at >>= 1;
                last >>= 1;
            }
        } else {
            prov__join(now, proof[i].at, now);
        }
        at >>= 1;
        last >>= 1;
    }
    return last == 0 && same(old, from_root) && same(now, to_root);
}
