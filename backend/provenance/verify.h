/* Private to verification: a slice of the log, checked on a worker, and the run that adds slices
 * up. */
#ifndef PROV_VERIFY_H
#define PROV_VERIFY_H

#include "backend/provenance/checkpoint.h"
#include "backend/provenance/erased.h"
#include "backend/provenance/proof.h"

enum {
    VERIFY__LEVEL = 10, /* a whole slice is a complete subtree of this level */
    VERIFY__SLICE = 1 << VERIFY__LEVEL,
    VERIFY__PROBLEMS = 100
};

struct verify__problem {
    int64_t seq;
    const char *code; /* a literal */
    char text[200];
};
struct verify__problems {
    struct verify__problem list[VERIFY__PROBLEMS];
    size_t listed;
    int64_t count;
};
void verify__add(struct verify__problems *p, int64_t seq, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

struct verify__session { /* entries from `first` on belong to it */
    int64_t first;
    char id[33];
};
struct verify__seal { /* what a session.seal entry claims */
    int64_t seq, first, entries;
    char session[33], root[65];
};

struct verify__slice {
    /* set by the run */
    const char *path;
    const bool *cancelled; /* read with __atomic_load_n */
    int64_t from, to;
    /* kept from slice to slice */
    struct store_db *db;
    struct prov__keys keys;
    struct buf ad, plain;
    struct prov__erased erased;
    struct prov__tally tally; /* of all its slices */
    /* what was found */
    int64_t next, checked, payloads;
    uint8_t prev[VAULT_HASH]; /* hash of the entry before `next` */
    bool prev_known;
    struct error error;          /* the database could not be read */
    uint8_t (*leaf)[VAULT_HASH]; /* VERIFY__SLICE of them; zeros for a missing entry */
    uint8_t (*fold)[VAULT_HASH]; /* working copy; fold[0] is the root of a whole slice */
    struct verify__problems problems;
    struct verify__session *sessions;
    size_t session_count, session_cap;
    struct verify__seal *seals;
    size_t seal_count, seal_cap;
};
/* On a worker. */
void verify__slice_check(struct verify__slice *s);
void verify__slice_release(struct verify__slice *s);

struct verify__heads { /* checkpoints; a worker's while it is out */
    /* set by the run */
    const char *path;
    char *dir;
    const bool *cancelled;
    struct prov__vkey key;
    struct prov__epochs epochs;
    struct buf given; /* notes kept elsewhere */
    /* what was found */
    bool done;
    int64_t stored, written, given_count;
    int64_t newest, newest_given; /* up to which entry one covers its epoch, -1: none */
    int64_t log_size;
    struct prov__stored tree; /* of the epoch looked at last */
    int64_t unproved;         /* problems with what was given that say nothing about this log */
    struct verify__problems problems;
    struct error error;
};
/* On a worker. */
void verify__heads_check(struct verify__heads *h);

#endif
