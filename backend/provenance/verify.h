/* Private to verification: a slice of the log, checked on a worker, and the run that adds slices
 * up. */
#ifndef PROV_VERIFY_H
#define PROV_VERIFY_H

#include "backend/provenance/checkpoint.h"
#include "backend/provenance/erased.h"
#include "backend/provenance/lineage.h"
#include "backend/provenance/proof.h"
#include <pthread.h>

enum {
    VERIFY__LEVEL = 10, /* a whole slice is a complete subtree of this level */
    VERIFY__SLICE = 1 << VERIFY__LEVEL,
    VERIFY__PROBLEMS = 100,
    VERIFY__WITNESSES = 16
};

struct verify__problem {
    int64_t seq, to;  /* from which entry up to which */
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
/* The problem added last is one up to entry `to`. */
void verify__until(struct verify__problems *p, int64_t to);

struct verify__start { /* what an epoch.start says of the epoch before */
    int64_t seq, epoch, size;
    char head[65], root[65];
};

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
    const bool *cancelled;         /* read with __atomic_load_n */
    bool chain;                    /* payloads are not looked at */
    int64_t from, to, epoch, base; /* all of one epoch */
    /* kept from slice to slice */
    struct store_db *db;
    struct prov__keys keys;
    struct buf ad, plain;
    struct prov__erased erased;
    struct prov__kins kins;   /* entries looked at, for the lineage */
    struct prov__tally tally; /* of all its slices */
    /* what was found */
    int64_t next, checked, payloads, edges;
    struct verify__start start; /* seq -1: none in here; with chain only seq, epoch and head */
    uint8_t prev[VAULT_HASH];   /* hash of the entry before `next` */
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
    bool chain;             /* no payload is opened */
    struct prov__vkey key;  /* the one that checkpoint.key holds */
    struct prov__keys keys; /* its vault: for payloads of key.rotate */
    struct prov__epochs epochs;
    struct buf given; /* notes kept elsewhere */
    struct verify__seen {
        struct prov__vkey key; /* of a witness whose cosignatures are looked for in them */
        int64_t end, at;       /* of the newest that it cosigned, -1: none; at: seconds */
    } seen[VERIFY__WITNESSES];
    int seen_count;
    /* what was found */
    bool done;
    int64_t stored, written, given_count;
    int64_t newest, newest_given; /* up to which entry one covers its epoch, -1: none */
    int64_t given_base;           /* and where that epoch begins */
    int64_t log_size;
    struct prov__trust trust;
    struct prov__stored tree; /* of the epoch looked at last */
    int64_t unproved;         /* problems with what was given that say nothing about this log */
    struct verify__problems problems;
    struct error error;
};
/* On a worker. */
void verify__heads_check(struct verify__heads *h);
/* heads_keys.c: the keys that sign, from the table signing_keys, against the entries key.rotate,
 * the files of the key directory and the key that is held; sets h->trust. */
void verify__heads_keys(struct verify__heads *h, struct store_db *db);

struct verify__slot {
    struct verify__slice slice;
    struct prov_verify *run;
    enum { VERIFY__FREE, VERIFY__OUT, VERIFY__BACK } state;
};
struct verify__ended { /* a session whose entries are over */
    char id[33];
    int64_t first, entries;
    uint8_t root[VAULT_HASH];
};
struct verify__epoch { /* what a run found in an epoch */
    int64_t epoch, base, size;
    bool whole; /* read from its first entry on */
    uint8_t head[VAULT_HASH], root[VAULT_HASH];
};
enum { VERIFY__SLOTS = 3, VERIFY__ENDED = 64 /* sessions without a seal that are remembered */ };

struct prov_verify {
    struct prov_verify *next;
    struct prov *prov; /* NULL once cancelled */
    prov_progress *progress;
    prov_verified *done;
    void *arg;
    char *path;
    const char *mode;                           /* a literal, for the report */
    bool chain;                                 /* payloads are not looked at */
    int64_t from, size, started, consumed;      /* seqs */
    int64_t sent, taken;                        /* slices */
    uint8_t head[VAULT_HASH], root[VAULT_HASH]; /* as this console knows them (R1) */
    struct verify__slot slot[VERIFY__SLOTS];
    struct verify__heads heads;
    bool heads_out; /* a worker has it */
    struct prov__edge edge;
    struct prov__epochs epochs; /* the last is the present one of when the run began */
    struct verify__epoch *found;
    size_t found_count,
        first_epoch;          /* first_epoch: the number in epochs of the one that has from */
    uint8_t last[VAULT_HASH]; /* hash of the last entry that was read */
    int pace;                 /* percent of one processor, 0: all of both */
    uint64_t sent_ns;
    struct loop_timer *pause;
    /* the session that the walk is in */
    char session[33];
    int64_t session_first;
    bool session_whole; /* its first entry was seen */
    struct prov__edge session_edge;
    struct verify__ended ended[VERIFY__ENDED];
    size_t ended_count;
    int64_t seals_checked, checked, payloads, edges;
    struct verify__problems problems;
    uint64_t began_ms, told_ms;
    pthread_mutex_t lock; /* guards inside */
    pthread_cond_t outside;
    int inside;                   /* workers in a slice */
    bool cancelled, rootless;     /* rootless: this console knows no head and root */
    int64_t known_at, known_from; /* mode start: what was verified before, and when; or 0 */
};
/* remember.c: the end of what was verified last, authenticated, in the file `verified` beside the
 * database. */
struct prov__known {
    int64_t epoch, base, size; /* size: entries of that epoch */
    int64_t at;                /* real ms: of the last verification from entry 0 on */
    uint8_t root[VAULT_HASH];
};
bool prov__remembered(struct prov *p, struct prov__known *out);
void prov__remember(struct prov *p, const struct prov_verify *run);
void prov__remember_forget(struct prov *p);
/* The run relies on it, if the stored tree leads to it. */
void verify__from_known(struct prov_verify *run, const struct prov__known *known);
/* Problems of this log, not of what was given. */
bool verify__broken(const struct prov_verify *run);
/* report.c; the caller owns. */
json_t *verify__report(struct prov_verify *run);
/* ends.c: what stands at the ends of the log and of its trees, when all slices are in. */
void verify__check_ends(struct prov_verify *run);

#endif
