/* The Merkle tree of RFC 6962, section 2.1: leaf = SHA-256(00 || entry), node = SHA-256(01 || left
 * || right); a tree of n leaves splits at the largest power of two below n.
 *
 * Invariants
 * T1 A tree's root is the fold of its edge from the right: the complete subtrees that the bits of
 * its size name, the smallest is the rightmost. T2 A complete subtree never changes once its last
 * leaf is there; so nodes are only ever added. */
#include "backend/provenance/internal.h"

#include <string.h>

void prov__leaf(const void *entry, size_t len, uint8_t out[VAULT_HASH])
{
    vault_sha256("\x00", 1, entry, len, out);
}

void prov__join(const uint8_t left[VAULT_HASH], const uint8_t right[VAULT_HASH],
                uint8_t out[VAULT_HASH])
{
    uint8_t bytes[1 + 2 * VAULT_HASH] = {1};
    memcpy(bytes + 1, left, VAULT_HASH);
    memcpy(bytes + 1 + VAULT_HASH, right, VAULT_HASH);
    vault_sha256(bytes, sizeof bytes, NULL, 0, out);
}

int prov__edge_push(struct prov__edge *edge, int level, const uint8_t hash[VAULT_HASH],
                    struct prov__node done[PROV__LEVELS])
{
    uint8_t carry[VAULT_HASH];
    int count = 0, k = level;
    BUG_IF(edge->size & ((INT64_C(1) << level) - 1));
    memcpy(carry, hash, VAULT_HASH);
    for (; edge->size >> k & 1; k++) {
        prov__join(edge->node[k], carry, carry);
        if (done) {
            done[count].level = k + 1;
            done[count].idx = edge->size >> (k + 1);
            memcpy(done[count].hash, carry, VAULT_HASH);
        }
        count++;
    }
    memcpy(edge->node[k], carry, VAULT_HASH);
    edge->size += INT64_C(1) << level;
    return count;
}

void prov__edge_root(const struct prov__edge *edge, uint8_t out[VAULT_HASH])
{
    bool any = false;
    if (edge->size == 0) {
        vault_sha256(NULL, 0, NULL, 0, out);
        return;
    }
    for (int k = 0; k < PROV__LEVELS; k++) { /* T1 */
        if (!(edge->size >> k & 1))
            continue;
        if (any)
            prov__join(edge->node[k], out, out);
        else
            memcpy(out, edge->node[k], VAULT_HASH);
        any = true;
    }
}
