/* Searching the log, on a worker, piece by piece.
 *
 * Invariants
 * F1 A piece looks at entries for at most its budget; what it did not come to is behind `next`.
 * F2 One piece at a time: a search never takes both workers from commits and verification.
 * F3 Keys are read anew for each piece: none outlives what erased it.
 *
 * By time: seq follows time but where the clock was set. So the range is found by bisection and
 * then widened by an hour at both ends, and each entry in it is looked at. An entry whose clock was
 * wrong by more than an hour against its neighbours is found by all else, not by time. */
#ifndef PROV_SEARCH_H
#define PROV_SEARCH_H

#include "backend/provenance/provenance.h"

enum { PROV_SEARCH_MS = 150, PROV_SEARCH_TYPES = 32, PROV_SEARCH_TEXT = 256 };

/* What to look for; copied by prov_search. NULL, zero and empty: anything. */
struct prov_search {
    int64_t before, after; /* exclusive; -1: open */
    bool oldest_first;
    int64_t since, until; /* real ms, from inclusive to exclusive; -1: open */
    const char *types[PROV_SEARCH_TYPES];
    size_t type_count;
    const char *session, *trace_id;
    const char *actor; /* what the actor begins with: "model:" finds every model */
    const char *text; /* in kind, actor and ids, letters of either case; with payloads also in every
                         text of the payload */
    bool payloads;    /* the payloads may be opened */
    const int64_t *seqs; /* with only_seqs: these entries alone, ascending */
    size_t seq_count;
    bool only_seqs;
    size_t limit; /* 1..1000 */
};
/* result (borrowed): {entries: [row as prov_list, with match: text around the place in a payload],
 * next: to go on with as before or after, null at the end, scanned: entries looked at, done, from,
 * to: the entries that this piece says something about}; NULL with e: INVALID, CLOSED, IO. Always
 * called once, at the latest inside prov_free, never inside prov_search. */
typedef void prov_searched(void *arg, json_t *result, const struct error *e);
void prov_search(struct prov *p, const struct prov_search *what, prov_searched *done, void *arg);

#endif
