/* Private to bundles: one that is being made. */
#ifndef PROV_BUNDLE_JOB_H
#define PROV_BUNDLE_JOB_H

#include "backend/provenance/bundle_parts.h"
#include "backend/provenance/checkpoint.h"

struct bundle__job {
    struct prov *prov; /* NULL after prov_free */
    prov_bundled *done;
    void *arg;
    bool cancelled; /* read by a worker, atomically */
    /* what is wanted */
    int64_t *seqs; /* as given, then all that are chosen */
    size_t seq_count;
    bool seqs_given, payloads;
    char *session, *trace_id, *scope, *actor, *environment;
    int64_t from, to;
    json_t *policy, *controls, *sbom, *verified;
    /* the log at that time */
    char *path; /* of the database */
    struct prov__keys data_keys;
    struct bundle__keys keys;
    struct prov__head head; /* of the present epoch */
    int64_t epoch, base;
    struct buf note;
    /* what is made */
    int64_t created; /* real ms */
    struct bundle__entries entries;
    int64_t states[4], left_out;
    struct prov__epochs epochs;
    struct buf file[BUNDLE__PARTS];
    struct {
        int64_t epoch;
        struct buf proofs, checkpoints;
    } tree[BUNDLE__EPOCHS];
    size_t trees;
    json_t *predicate, *statement;
    struct prov_bundle *bundle;
    struct error error;
};

/* On a worker: everything but the signature, from the database. */
void bundle__build(void *job);
/* On a worker: the archive, which is then verified. */
void bundle__finish(void *job);

#endif
