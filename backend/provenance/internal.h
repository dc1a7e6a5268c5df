/* Private to the log. */
#ifndef PROV_INTERNAL_H
#define PROV_INTERNAL_H

#include "backend/base/buf.h"
#include "backend/provenance/provenance.h"

enum { PROV__PARENTS = 64, PROV__LEVELS = 63 };
#define PROV__MAX_PAYLOAD ((size_t)16 * 1024 * 1024)

/* tree.c: RFC 6962, section 2.1. */
struct prov__node { /* a complete subtree over leaves [idx << level, (idx + 1) << level) */
    int level;
    int64_t idx;
    uint8_t hash[VAULT_HASH];
};
/* The right edge of a tree: the roots of the complete subtrees that its size's set bits name. */
struct prov__edge {
    int64_t size;
    uint8_t node[PROV__LEVELS][VAULT_HASH]; /* node[k] is valid if bit k of size is set */
};
void prov__leaf(const void *entry, size_t len, uint8_t out[VAULT_HASH]);
void prov__join(const uint8_t left[VAULT_HASH], const uint8_t right[VAULT_HASH],
                uint8_t out[VAULT_HASH]);
/* Appends a complete subtree of 2^level leaves (size must be a multiple of that); the subtrees that
 * it completes above go to done (may be NULL), lowest first; returns their number. */
int prov__edge_push(struct prov__edge *edge, int level, const uint8_t hash[VAULT_HASH],
                    struct prov__node done[PROV__LEVELS]);
void prov__edge_root(const struct prov__edge *edge, uint8_t out[VAULT_HASH]);

/* entry.c: the canonical form of an entry. */
struct prov__text { /* not terminated; in JSON form, without its quotes */
    const char *at;
    size_t len;
};
struct prov__header {
    struct prov__text actor, type, tags; /* tags: the array with its brackets */
    char conversation[33], trace_id[33], session[33], key_id[17]; /* "" if left out */
    int version;                                                  /* 1 or 2 */
    int64_t parents[PROV__PARENTS];
    struct prov__text transforms[PROV__PARENTS]; /* len 0 in version 1 */
    int16_t confidences[PROV__PARENTS];          /* per mille, -1 unknown */
    size_t parent_count;
    uint8_t hmac[VAULT_HASH], sha256[VAULT_HASH], prev[VAULT_HASH];
    int64_t seq, ts;        /* ts: real ms */
    size_t cut_at, cut_len; /* where payload_hmac and payload_sha256 stand */
};
/* Reads an entry; NULL if its bytes are exactly the canonical form, otherwise what is wrong. Texts
 * point into bytes. */
const char *prov__entry_read(const char *bytes, size_t len, struct prov__header *out);
/* Writes the canonical form of an entry with zeros in place of the two payload members; *cut_at and
 * *cut_len say where those stand. ERR_INVALID if an id or a text is not as the header says. */
struct prov__write {
    int64_t seq, ts;
    const char *session, *key_id;
    const uint8_t *prev;
};
enum err prov__entry_write(const struct prov_entry *entry, const struct prov__write *w,
                           struct buf *out, size_t *cut_at, size_t *cut_len, struct error *e);
/* The additional data of the payload's seal: the entry without those two members. */
void prov__entry_ad(const char *bytes, size_t len, size_t cut_at, size_t cut_len, struct buf *out);
void prov__entry_fill(char *bytes, size_t cut_at, const uint8_t hmac[VAULT_HASH],
                      const uint8_t sha256[VAULT_HASH]);

/* keys.c: data keys of sessions, the last one kept. A session has a ring, or, in logs whose entries
 * are of version 1, one key. */
struct prov__keys {
    struct vault *vault;
    struct vault *by;         /* whose wrap it was: while the master key is rotated there are two */
    char session[33], id[17]; /* id: of the key or ring */
    struct vault_ring *ring;
    struct vault_key *key;
    struct error error; /* why both are NULL */
};
/* Sets ring or key. They stay valid until the next call. */
enum err prov__keys_load(struct prov__keys *k, struct store_db *db, const char *session);
/* Forgets what is kept: the session's keys have changed. */
void prov__keys_release(struct prov__keys *k);
/* Erases the keys of some entries of a session, in a write's transaction: the stored ring is
 * replaced by one that lacks them. seqs: strictly ascending, all of that session. erased: how many
 * were there still. UNSUPPORTED: the session has one key for all (version 1). NO_KEY, TAMPERED. */
enum err prov__ring_erase(struct store_db *db, struct vault *v, const char *session,
                          const int64_t *seqs, size_t n, size_t *erased, struct error *e);
/* The same in memory, when that is durable; on the loop. */
void prov__ring_erased(struct prov *p, const char *session, const int64_t *seqs, size_t n);
/* Whether the key in front of a projection's blob opens; its first 96 bytes are enough. */
enum err prov__projection_check(struct vault *v, const char *session, const void *head, size_t len,
                                struct error *e);
/* A projection's blob (prov_seal) with its key wrapped under `to` instead of its partner, in place;
 * changed: it was not already. */
enum err prov__projection_rewrap(struct vault *to, const char *session, void *blob, size_t len,
                                 bool *changed, struct error *e);
/* Opens the payload of an entry into plain: checks the sealed bytes against the entry, opens them,
 * checks the commitment. On failure *problem is a word for it ("" if only the key is not at hand).
 */
enum err prov__payload(struct prov__keys *k, struct store_db *db, const struct prov__header *h,
                       struct prov__text entry, const void *sealed, size_t len, struct buf *ad,
                       struct buf *plain, const char **problem, struct error *e);
/* The same, and the key of this payload's commitment, with which anybody can recompute payload_hmac
 * from the plain text; it tells of no other payload. UNSUPPORTED (plain is there) for version 1,
 * where one key commits to all payloads of a session. */
enum err prov__payload_disclose(struct prov__keys *k, struct store_db *db,
                                const struct prov__header *h, struct prov__text entry,
                                const void *sealed, size_t len, struct buf *ad, struct buf *plain,
                                uint8_t commit_key[VAULT_KEY], const char **problem,
                                struct error *e);

/* epoch.c */
enum { PROV__EPOCHS = 10000 }; /* the most that are looked for */
struct prov__epoch {
    int64_t epoch, base;
};
struct prov__epochs { /* ascending; the first is 1 at 0, the last is the present one */
    struct prov__epoch *at;
    size_t count;
};
enum err prov__epochs_load(struct prov__epochs *list, struct store_db *db, struct error *e);
void prov__epochs_add(struct prov__epochs *list, int64_t epoch, int64_t base);
/* The epoch that entry seq is in. */
const struct prov__epoch *prov__epoch_of(const struct prov__epochs *list, int64_t seq);
bool prov__text_is(struct prov__text text, const char *literal);

/* chain.c */
struct prov__stored;
struct prov__tail {                 /* where the log ends */
    int64_t epoch, base;            /* the present epoch, and its first entry */
    struct prov__edge log, session; /* log: the tree of the epoch */
    uint8_t head[VAULT_HASH];
    int64_t session_first; /* -1: session.start is not there yet */
    bool rootless;         /* it does not fit together: nothing is known of log but its size */
};
/* How many entries there are, of all epochs; the number of the next one. */
static inline int64_t prov__size(const struct prov__tail *t)
{
    return t->base + t->log.size;
}
struct prov__cursor { /* the end of the log inside the writer's transaction; the writer's alone */
    uint64_t transaction; /* it is of this one; 0: of none */
    int64_t size;
    uint8_t head[VAULT_HASH];
    int refs; /* on the loop's thread: the log, and each entry on its way */
};
struct prov;
/* The number that the next entry appended will have. */
int64_t prov__next_seq(const struct prov *p);
struct prov {
    struct loop *loop;
    struct store *store;
    struct vault *vault;
    struct vault_ring *ring;
    char session[33];
    struct prov__keys keys; /* for reading, on the loop's thread */
    struct prov__epochs epochs;
    struct prov__stored *tree; /* of the present epoch, for reading, on the loop's thread */
    struct prov__tail durable, next;
    struct prov__cursor *cursor;
    struct prov__record *flying; /* submitted and not done, oldest first */
    struct prov__record **flying_end;
    uint64_t generation;  /* of what is submitted now; older entries in flight are void (P2) */
    struct error failure; /* why those are void */
    bool closed;
    struct prov__breach *breach;    /* the present epoch is broken; or NULL */
    struct prov__zones *quarantine; /* of earlier epochs */
    json_t *found; /* problems that no verification found, but this run of the console; or NULL */
    struct prov__notice *opening; /* a posted prov__begin, or NULL */
    prov_scrub *scrub;            /* NULL: none */
    struct tel *tel;              /* or NULL */
    struct prov__notice *notice;  /* a posted call of the change callbacks, or NULL */
    struct prov__orphan *orphans; /* sessions found unsealed, being hashed on a worker */
    struct prov_verify *runs;
    struct prov__lineage_job *lineages;
    struct prov__finder *finder; /* search.c; NULL before the first search */
    struct {
        loop_fn *fn;
        void *arg;
    } change[8];
    int changes;
    int64_t verified, checked_at;
    int state;
    struct prov__signing *signing;   /* NULL before prov_sign */
    struct bundle__job *bundling;    /* or NULL */
    struct prov__rotation *rotation; /* of the master key, under way, or NULL */
};
void prov__changed(struct prov *p);
/* query.c: an entry as prov_list gives it. Thread-safe. */
json_t *prov__row(int64_t seq, const char *bytes, size_t len);
/* Entries that are not to be relied on say so: erased (the entry that is said to have erased the
 * payload), quarantined. On the loop's thread. */
void prov__row_mark(const struct prov *p, json_t *row);
/* search.c: ends every search with CLOSED; waits for a worker that is inside one. */
void prov__finder_free(struct prov *p);
/* verify.c */
void prov__runs_free(struct prov *p);
/* lineage.c: calls every waiting done with CLOSED. */
void prov__lineages_free(struct prov *p);
/* open.c: p->durable as stored; a breach if the stored parts do not agree. */
enum err prov__tail_load(struct prov *p, struct error *e);
/* open.c: looks for sessions without a seal and seals them when their roots are known. */
void prov__orphans_find(struct prov *p);
void prov__orphans_free(struct prov *p);
/* chain.c: a seal for a session, this one or one found unsealed. */
struct prov__sealed {
    const char *session, *reason;
    int64_t first, last, entries;
    uint8_t root[VAULT_HASH];
};
void prov__seal_session(struct prov *p, const struct prov__sealed *s);

/* checkpoint.c: an entry became durable; last: it sealed the session that is being closed. */
void prov__signing_settled(struct prov *p, const char *type, bool last);
/* An entry failed; who waits for it to be signed is told. */
void prov__signing_failed(struct prov *p);
/* A new epoch has begun, of which nothing is signed. */
void prov__signing_epoch(struct prov *p);
bool prov__signing_busy(const struct prov *p);
void prov__signing_state(const struct prov *p, struct prov_state *out);
void prov__signing_free(struct prov *p);

/* bundle.c */
void prov__bundling_close(struct prov *p); /* does not block */
void prov__bundling_free(struct prov *p);
/* rotate.c */
void prov__rotation_forget(struct prov *p); /* at prov_free */

#endif
