/* Private to the log: which payloads the log itself says were erased. */
#ifndef PROV_ERASED_H
#define PROV_ERASED_H

#include "backend/provenance/internal.h"

/* The class of a type's payloads, by types.def; GOVERNANCE, which never expires, for a name that it
 * lacks. */
enum prov_class prov__class_of(struct prov__text type);

/* A list of ranges of seqs: [[first, last], ...], ascending, apart. NULL-safe; false if it is none.
 */
struct prov__range {
    int64_t first, last;
};
/* Reads the `ranges` of an erase entry; NULL if they are not as they must be. The caller frees. */
struct prov__range *prov__ranges_read(const json_t *ranges, size_t *count);
json_t *prov__ranges_write(const int64_t *seqs, size_t count); /* seqs: ascending */

enum prov__cover {
    PROV__KEPT,    /* no erase entry covers it: a payload that is not there is missing */
    PROV__ERASED,  /* one does, and it was opened */
    PROV__CLAIMED, /* the table names an erase entry, but its key is not at hand */
};
struct prov__erasure { /* an erase entry */
    int64_t entry, ts; /* ts: real ms */
    char act[33], code[24], reason[160];
    struct prov__range *ranges;
    size_t count;
    bool opened;
};
enum { PROV__ERASURES = 8 };
/* A look-up with the last few entries kept. Zero-initialise with vault; one thread's. */
struct prov__erased {
    struct vault *vault;
    struct prov__keys keys;
    struct prov__erasure kept[PROV__ERASURES];
    unsigned next;
};
/* Whether the payload of seq was erased: table `erased`, and the entry that it names, which must be
 * a later `erase` of the log whose ranges hold seq. *by (may be NULL) is that entry, valid until
 * the next call. IO or CORRUPT in *e if the database cannot be read: the answer is KEPT then. */
enum prov__cover prov__erased_find(struct prov__erased *x, struct store_db *db, int64_t seq,
                                   const struct prov__erasure **by, struct error *e);
void prov__erased_release(struct prov__erased *x);

/* Whether the tables are as an erase entry's payload says: nothing of what it lists is back, and
 * all of it names that entry. False with what is wrong in text; *e if the database cannot be read.
 */
bool prov__erase_agrees(struct store_db *db, int64_t entry, const json_t *payload, char text[160],
                        struct error *e);

/* How many payloads which entries erased; zero-initialise. */
struct prov__tally {
    struct prov__tallied {
        int64_t entry, ts, count;
        char act[33], code[24], reason[160];
    } * at;
    size_t entries;
    int64_t count, claimed; /* claimed: the entry that is said to cover it could not be opened */
};
void prov__tally_add(struct prov__tally *t, const struct prov__erasure *by);
void prov__tally_merge(struct prov__tally *to, const struct prov__tally *from);
/* {count, claimed, entry_count, entries: [{entry, at, act, reason_code, reason, count}] (first
 * 100)}. */
json_t *prov__tally_json(const struct prov__tally *t);
void prov__tally_release(struct prov__tally *t);

#endif
