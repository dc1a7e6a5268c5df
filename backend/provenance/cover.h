/* Private to the log: one proof for many leaves of a tree, pure but for a callback that reads
 * nodes.
 *
 * The proof that some leaves are in a tree (RFC 6962, section 2.1) is the list, from left to right,
 * of the roots of the largest subtrees that hold none of them. Its reader walks down from the whole
 * tree: a subtree without any of the leaves takes the next hash, a leaf its own, every other one
 * joins its halves. For one leaf that is its inclusion proof in another order; for all of them it
 * is empty. */
#ifndef PROV_COVER_H
#define PROV_COVER_H

#include "backend/provenance/proof.h"

struct cover__leaves { /* index ascending, each below the tree's size */
    const int64_t *index;
    const uint8_t (*hash)[VAULT_HASH]; /* not needed to make a proof */
    size_t count;
};
/* Appends the hashes, 32 bytes each, to out. */
enum err cover__prove(prov__read_node *read, void *arg, int64_t size,
                      const struct cover__leaves *leaves, struct buf *out, struct error *e);
/* The root that the leaves and `count` hashes give; false if there are more or fewer hashes than it
 * takes, or an index is not as it should be. */
bool cover__root(int64_t size, const struct cover__leaves *leaves, const uint8_t *hashes,
                 size_t count, uint8_t out[VAULT_HASH]);

#endif
