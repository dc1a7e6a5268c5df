/* Private to the log: proofs in its tree (RFC 6962, sections 2.1.1 and 2.1.2), pure but for a
 * callback that reads nodes. */
#ifndef PROV_PROOF_H
#define PROV_PROOF_H

#include "backend/provenance/internal.h"

struct prov__proof { /* from the leaf's side to the root's */
    size_t count;
    uint8_t hash[PROV__LEVELS + 1][VAULT_HASH];
};
struct prov__span { /* a hash as it came from elsewhere, of any length */
    const void *at;
    size_t len;
};
/* The root of the complete subtree over leaves [idx << level, (idx + 1) << level). */
typedef enum err prov__read_node(void *arg, int level, int64_t idx, uint8_t out[VAULT_HASH],
                                 struct error *e);

/* The root of leaves [from, to), where `from` is a multiple of the smallest power of two that is
 * not below to - from. */
enum err prov__range_root(prov__read_node *read, void *arg, int64_t from, int64_t to,
                          uint8_t out[VAULT_HASH], struct error *e);
/* The root over the first `size` leaves, a proof that leaf `index` (< size) is among them, and a
 * proof that they begin with the first `from` (<= size). Each reads at most two nodes a level.
 * ERR_INVALID for numbers out of range, else what `read` answered. */
enum err prov__root_at(prov__read_node *read, void *arg, int64_t size, uint8_t out[VAULT_HASH],
                       struct error *e);
enum err prov__prove_inclusion(prov__read_node *read, void *arg, int64_t index, int64_t size,
                               struct prov__proof *out, struct error *e);
enum err prov__prove_consistency(prov__read_node *read, void *arg, int64_t from, int64_t size,
                                 struct prov__proof *out, struct error *e);

/* Checking (RFC 9162, sections 2.1.3.2 and 2.1.4.2). A hash that is not 32 bytes long is refused
 * wherever it stands; so is a consistency proof from no leaves, which would say nothing. */
bool prov__inclusion_ok(int64_t index, int64_t size, struct prov__span leaf,
                        const struct prov__span *proof, size_t count, struct prov__span root);
bool prov__consistency_ok(int64_t from, int64_t to, struct prov__span from_root,
                          struct prov__span to_root, const struct prov__span *proof, size_t count);

/* tiles.c: the stored tree of an epoch, read by one thread. Starts as zeros. */
enum { PROV__TILE = 8 }; /* nodes are stored at every eighth level */
struct prov__tile;
struct prov__stored {
    struct store_db *db;
    int64_t epoch, base;
    struct prov__tile *tiles; /* the last that were read: 8 of 16 KiB, made when needed */
    uint64_t clock;
};
void prov__stored_set(struct prov__stored *s, struct store_db *db, int64_t epoch, int64_t base);
void prov__stored_release(struct prov__stored *s);
/* A prov__read_node over it; arg is a struct prov__stored *. Leaves and indices count from the
 * epoch's base. ERR_NOT_FOUND if the node is not there, or cannot be computed. */
enum err prov__stored_node(void *stored, int level, int64_t idx, uint8_t out[VAULT_HASH],
                           struct error *e);

#endif
