/* Rings: the data key of a session as a tree of keys that can be punctured.
 *
 * A node at level L covers the 4^(16-L) leaves that begin with its index; level 0 is the root,
 * level 16 are the leaves. Child i of a node is its subkey i. What is kept is a cover: nodes, no
 * one inside another, whose leaves are those that can still be had.
 *
 * Invariants
 * R1 The cover is sorted by first leaf and disjoint.
 * R2 Erasing keeps no key from which an erased leaf follows: not in the cover, not in the path that
 *    is remembered. The cover stays the smallest there is for what is left.
 * R3 Keys stand in guarded memory only, or on the stack of derive()'s callers, wiped. */
#include "backend/base/text.h"
#include "backend/vault/internal.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { LEVELS = 16, SEAL_KEY = 4, COMMIT_KEY = 5, RING_ID = 6 }; /* subkeys 0 to 3: children */
enum { ID = 8, HEAD = ID + 4, NODE = 1 + 4 + VAULT_KEY };

struct node {
    uint8_t level;
    uint32_t index;
    uint8_t key[VAULT_KEY];
};

struct secrets {                         /* in guarded memory */
    uint8_t path[LEVELS + 1][VAULT_KEY]; /* the keys above `leaf`, from its cover node's level on */
    uint8_t seal[VAULT_KEY], commit[VAULT_KEY];
};

struct vault_ring {
    uint8_t id[ID];
    char name[VAULT_RING_ID + 1];
    struct node *nodes; /* in guarded memory */
    size_t count, cap;
    struct secrets *s;
    bool warm; /* s is that of `leaf` */
    uint32_t leaf;
    int top; /* s->path is valid from this level on */
};

/* libsodium's crypto_kdf: BLAKE2b of nothing, keyed, salt = the number, personal = the context. */
static void derive(const uint8_t key[VAULT_KEY], unsigned number, uint8_t out[VAULT_KEY])
{
    crypto_kdf_derive_from_key(out, VAULT_KEY, number, "mcpcring", key);
}

static unsigned shift_of(int level)
{
    return 2U * (unsigned)(LEVELS - level);
}

static uint64_t first_of(const struct node *n)
{
    return (uint64_t)n->index << shift_of(n->level);
}

static uint64_t end_of(const struct node *n)
{
    return ((uint64_t)n->index + 1) << shift_of(n->level);
}

static struct vault_ring *ring_alloc(size_t cap)
{
    struct vault_ring *r = xcalloc(1, sizeof *r);
    r->cap = cap ? cap : 1;
    r->nodes = vault__secret_alloc(r->cap * sizeof *r->nodes);
    r->s = vault__secret_alloc(sizeof *r->s);
    return r;
}

static void name_root(const uint8_t root[VAULT_KEY], uint8_t id[ID])
{
    uint8_t key[VAULT_KEY];
    derive(root, RING_ID, key);
    memcpy(id, key, ID);
    sodium_memzero(key, sizeof key);
}

struct vault_ring *vault_ring_new(void)
{
    struct vault_ring *r = ring_alloc(1);
    r->count = 1;
    r->nodes[0].level = 0;
    r->nodes[0].index = 0;
    randombytes_buf(r->nodes[0].key, VAULT_KEY);
    name_root(r->nodes[0].key, r->id);
    text_hex(r->id, ID, r->name);
    return r;
}

void vault_ring_free(struct vault_ring *r)
{
    if (!r)
        return;
    sodium_free(r->nodes); /* wipes */
    sodium_free(r->s);
    free(r);
}

const char *vault_ring_id(const struct vault_ring *r)
{
    return r->name;
}

size_t vault_ring_nodes(const struct vault_ring *r)
{
    return r->count;
}

/* ---- at rest ---- */

static void put32(uint8_t *out, uint32_t n)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(n >> (24 - 8 * i));
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static char *ring_ad(const struct vault *v, const char *session)
{
    return xasprintf("%s%s2", session, v->kek_id);
}

void vault_ring_wrap(struct vault *v, const char *session, const struct vault_ring *r,
                     struct buf *out)
{
    size_t len = HEAD + r->count * NODE;
    uint8_t *plain = vault__secret_alloc(len), *at = plain + HEAD;
    memcpy(plain, r->id, ID);
    put32(plain + ID, (uint32_t)r->count);
    for (size_t i = 0; i < r->count; i++, at += NODE) {
        at[0] = r->nodes[i].level;
        put32(at + 1, r->nodes[i].index);
        memcpy(at + 5, r->nodes[i].key, VAULT_KEY);
    }
    char *ad = ring_ad(v, session);
    buf_reserve(out, len + VAULT_NONCE + VAULT_TAG);
    uint8_t *sealed = (uint8_t *)out->data + out->len;
    randombytes_buf(sealed, VAULT_NONCE);
    vault__aead_seal(v->master, sealed, plain, len, ad, strlen(ad), sealed + VAULT_NONCE);
    out->len += len + VAULT_NONCE + VAULT_TAG;
    out->data[out->len] = '\0';
    free(ad);
    sodium_free(plain);
}

struct vault_ring *vault__ring_read(const uint8_t *plain, size_t len)
{
    if (len < HEAD || (len - HEAD) % NODE || (len - HEAD) / NODE != get32(plain + ID))
        return NULL;
    struct vault_ring *r = ring_alloc((len - HEAD) / NODE);
    const uint8_t *at = plain + HEAD;
    uint64_t next = 0;
    memcpy(r->id, plain, ID);
    text_hex(r->id, ID, r->name);
    for (size_t i = 0; i < r->cap && at < plain + len; i++, at += NODE) {
        struct node *n = &r->nodes[r->count++];
        n->level = at[0];
        n->index = get32(at + 1);
        memcpy(n->key, at + 5, VAULT_KEY);
        if (n->level > LEVELS || (uint64_t)n->index >> (2 * n->level) ||
            first_of(n) < next) /* R1 */
            goto bad;
        next = end_of(n);
    }
    uint8_t id[ID];
    if (r->count && r->nodes[0].level == 0) {
        name_root(r->nodes[0].key, id);
        if (memcmp(id, r->id, ID) != 0)
            goto bad;
    }
    return r;
bad:
    vault_ring_free(r);
    return NULL;
}

struct vault_ring *vault_ring_unwrap(struct vault *v, const char *session, const void *wrap,
                                     size_t len, struct error *e)
{
    struct vault_ring *r = NULL;
    if (len >= VAULT_NONCE + VAULT_TAG + HEAD) {
        size_t plain_len = len - VAULT_NONCE - VAULT_TAG;
        uint8_t *plain = vault__secret_alloc(plain_len);
        char *ad = ring_ad(v, session);
        if (vault__aead_open(v->master, wrap, (const uint8_t *)wrap + VAULT_NONCE,
                             len - VAULT_NONCE, ad, strlen(ad), plain) == 0)
            r = vault__ring_read(plain, plain_len);
        free(ad);
        sodium_free(plain);
    }
    if (!r)
        err_set(e, ERR_TAMPERED,
                "the ring of session %s does not unwrap: it was changed, or wrapped by another "
                "master key than %s",
                session, v->kek_id);
    return r;
}

/* ---- use ---- */

/* The node that covers a leaf, or NULL. */
static const struct node *cover_of(const struct vault_ring *r, uint32_t leaf)
{
    size_t low = 0, high = r->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (first_of(&r->nodes[mid]) <= leaf)
            low = mid + 1;
        else
            high = mid;
    }
    return low && end_of(&r->nodes[low - 1]) > leaf ? &r->nodes[low - 1] : NULL;
}

bool vault_ring_has(const struct vault_ring *r, uint32_t leaf)
{
    return cover_of(r, leaf) != NULL;
}

/* Walks down to a leaf. Neighbours share most of their path: leaves in order cost 4/3 steps each.
 */
static enum err warm(struct vault_ring *r, uint32_t leaf)
{
    int level;
    if (r->warm && r->leaf == leaf)
        return ERR_OK;
    const struct node *n = cover_of(r, leaf);
    if (!n)
        return ERR_NOT_FOUND;
    for (level = LEVELS; level > 0 && (r->leaf ^ leaf) >> shift_of(level); level--)
        ;
    if (!r->warm || level < n->level || r->top != n->level) {
        level = r->top = n->level;
        memcpy(r->s->path[level], n->key, VAULT_KEY);
    }
    for (; level < LEVELS; level++)
        derive(r->s->path[level], leaf >> shift_of(level + 1) & 3, r->s->path[level + 1]);
    derive(r->s->path[LEVELS], SEAL_KEY, r->s->seal);
    derive(r->s->path[LEVELS], COMMIT_KEY, r->s->commit);
    r->leaf = leaf;
    r->warm = true;
    return ERR_OK;
}

enum err vault_ring_seal(struct vault_ring *r, uint32_t leaf, const void *plain, size_t len,
                         const void *ad, size_t ad_len, uint8_t *out, uint8_t commit[VAULT_HASH])
{
    enum err code = warm(r, leaf);
    if (code != ERR_OK)
        return code;
    randombytes_buf(out, VAULT_NONCE);
    vault__aead_seal(r->s->seal, out, plain, len, ad, ad_len, out + VAULT_NONCE);
    vault__hmac(r->s->commit, VAULT_KEY, plain, len, commit);
    return ERR_OK;
}

enum err vault_ring_unseal(struct vault_ring *r, uint32_t leaf, const uint8_t *sealed, size_t len,
                           const void *ad, size_t ad_len, uint8_t *plain,
                           uint8_t commit[VAULT_HASH])
{
    enum err code = warm(r, leaf);
    if (code != ERR_OK)
        return code;
    if (len < VAULT_NONCE + VAULT_TAG ||
        vault__aead_open(r->s->seal, sealed, sealed + VAULT_NONCE, len - VAULT_NONCE, ad, ad_len,
                         plain) != 0)
        return ERR_TAMPERED;
    vault__hmac(r->s->commit, VAULT_KEY, plain, len - VAULT_NONCE - VAULT_TAG, commit);
    return ERR_OK;
}

enum err vault_ring_commit_key(struct vault_ring *r, uint32_t leaf, uint8_t out[VAULT_KEY])
{
    enum err code = warm(r, leaf);
    if (code == ERR_OK)
        memcpy(out, r->s->commit, VAULT_KEY);
    return code;
}

/* ---- erasing ---- */

struct leaves { /* sorted */
    const uint32_t *at;
    size_t count;
};

static void keep(struct vault_ring *r, const struct node *n)
{
    if (r->count == r->cap) {
        struct node *more = vault__secret_alloc(2 * r->cap * sizeof *more);
        memcpy(more, r->nodes, r->count * sizeof *more);
        sodium_free(r->nodes);
        r->nodes = more;
        r->cap *= 2;
    }
    r->nodes[r->count++] = *n;
}

/* Takes from the front of l those below end. */
static struct leaves take_below(struct leaves *l, uint64_t end)
{
    struct leaves taken = {l->at, 0};
    while (l->count && *l->at < end) {
        l->at++;
        l->count--;
        taken.count++;
    }
    return taken;
}

/* Keeps of n what does not lead to one of the leaves, which are all below it. At most LEVELS deep.
 */
static void puncture(struct vault_ring *r, const struct node *n, struct leaves l)
{
    if (!l.count) {
        keep(r, n);
        return;
    }
    if (l.count == end_of(n) - first_of(n))
        return;
    for (unsigned i = 0; i < 4; i++) {
        struct node child = {.level = (uint8_t)(n->level + 1), .index = n->index << 2 | i};
        struct leaves below = take_below(&l, end_of(&child));
        derive(n->key, i, child.key);
        puncture(r, &child, below);
        sodium_memzero(&child, sizeof child);
    }
}

size_t vault_ring_erase(struct vault_ring *r, const uint32_t *leaves, size_t n)
{
    struct leaves l = {leaves, n};
    size_t erased = 0, old_count = r->count;
    struct node *old = r->nodes;
    for (size_t i = 1; i < n; i++)
        BUG_IF(leaves[i - 1] >= leaves[i]);
    r->cap = old_count + 3 * LEVELS;
    r->nodes = vault__secret_alloc(r->cap * sizeof *r->nodes);
    r->count = 0;
    for (size_t i = 0; i < old_count; i++) {
        take_below(&l, first_of(&old[i])); /* erased before */
        struct leaves below = take_below(&l, end_of(&old[i]));
        puncture(r, &old[i], below);
        erased += below.count;
    }
    sodium_free(old);
    sodium_memzero(r->s, sizeof *r->s); /* R2 */
    r->warm = false;
    return erased;
}
