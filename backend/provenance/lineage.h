/* Lineage: which entries an entry derives from, and what derives from it.
 *
 * G1 A parent is an earlier entry (P3), and it is there: so there is no cycle.
 * G2 An entry has the parents that needs.def says it needs, of its own trace: so every answer
 *    leads to its question, through what the models were given and what they made of it.
 * G3 Each node has its entry's hash; each passage of a retrieval has the hash of its text. */
#ifndef PROV_LINEAGE_H
#define PROV_LINEAGE_H

#include "backend/provenance/internal.h"

enum {
    PROV_LINEAGE_NODES = 5000, /* in a graph; those nearest to the root are kept */
    PROV_LINEAGE_AHEAD = 4096  /* how many entries behind a node are searched for its children,
                                  besides those of its trace and its conversation */
};
struct prov_lineage {
    const char *trace_id; /* the whole trace, from its answer; NULL: of seq */
    int64_t seq;
    bool up, down;
    bool texts; /* labels and parts from payloads */
};
/* graph (owned by the callee) = {root: seq, nodes: [{id: seq, hash, produced_at, transform_type,
 * type, actor, trace_id, label, erased, erased_by?, parts?: [{document, heading, hash, score}]}],
 * edges:
 * [{from, to, transform, confidence: 0..1 | null}], truncated, audit: {ok, nodes, edges, problems:
 * [{seq, code, text}]}}, nodes by seq; NULL with e: NOT_FOUND, CLOSED, IO. Called once, at the
 * latest inside prov_free, never inside. The work is done on a worker. */
typedef void prov_lineaged(void *arg, json_t *graph, const struct error *e);
void prov_lineage(struct prov *p, const struct prov_lineage *what, prov_lineaged *done, void *arg);

/* Walks entries from..to-1 (to -1: all) on a worker in pieces and proves G1..G3; whether the end is
 * all there is for verification to say. report (owned by the callee) = {ok, from, to, entries,
 * version_1: how many of them, edges, answers, chunks, chunks_closed: retrievals that could not be
 * opened, chunks_erased, problems: [{seq, code, text}] (first 100), problem_count, proved,
 * elapsed_ms}. As above. */
void prov_lineage_audit(struct prov *p, int64_t from, int64_t to, prov_lineaged *done, void *arg);

/* ---- for verification */

struct prov__kin { /* what an edge asks of a parent */
    int64_t seq;   /* -1: none */
    char type[32], trace_id[33];
};
enum { PROV__KINS = 4096 };
/* Look-ups of parents, with the entries seen last kept. Zero-initialise, set db. */
struct prov__kins {
    struct store_db *db;
    int64_t base;           /* of the epoch: what is missing before it is that epoch's problem */
    struct prov__kin *kept; /* PROV__KINS of them */
    struct error error;     /* of a look-up that failed */
};
void prov__kins_note(struct prov__kins *k, const struct prov__header *h);
const struct prov__kin *prov__kins_find(struct prov__kins *k, int64_t seq); /* NULL: not there */
void prov__kins_release(struct prov__kins *k);

/* Tells each problem of one entry's edges (G1, G2; of entries of version 1, which have no
 * transforms, G1 only). Returns how many there are. */
typedef void prov__broken(void *arg, int64_t seq, const char *text);
int prov__lineage_check(const struct prov__header *h, struct prov__kins *kins, prov__broken *tell,
                        void *arg);
/* G3 of an opened payload: *chunks is how many passages it names. */
int prov__lineage_payload(const struct prov__header *h, const json_t *payload, int64_t *chunks,
                          prov__broken *tell, void *arg);
/* A walk that a worker has; the loop's side. */
struct prov__lineage_job {
    struct prov *prov; /* NULL after prov_free: done has been called */
    struct prov__lineage_job *next;
    prov_lineaged *done;
    void *arg;
    bool cancelled; /* read by the worker with __atomic_load_n */
};
void prov__lineage_enter(struct prov *p, struct prov__lineage_job *job, prov_lineaged *done,
                         void *arg);
void prov__lineage_leave(struct prov__lineage_job *job);

#endif
