/* Bundles: a part of the log that somebody can take away and check without this program.
 *
 * A bundle is a plain tar archive; docs/evidence-format.md says what is in it, byte by byte. Its
 * statement names every other file by its SHA-256 and is signed by the log's key, so that each byte
 * of a bundle counts. It is made in memory and never written to disk here: it may hold payloads in
 * clear, which the log keeps sealed.
 *
 * Invariants
 * U1 A bundle is handed out only after it was verified by bundle_verify, and after the entry that
 *    logs it is durable.
 * U2 Everything in it belongs to one checkpoint, which is signed for it. */
#ifndef PROV_BUNDLE_H
#define PROV_BUNDLE_H

#include "backend/provenance/provenance.h"

#define BUNDLE_MOST ((size_t)256 * 1024 * 1024) /* bytes of a bundle */
enum { BUNDLE_ENTRIES = 200000 };               /* entries in one */

struct prov_bundle_options { /* strings and seqs are copied, JSON is borrowed until done */
    /* What: one of these, in this order; nothing: all entries. */
    const int64_t *seqs; /* ascending; NULL: not so */
    size_t seq_count;
    const char *session, *trace_id; /* NULL: not so */
    int64_t from, to;               /* entries from..to, -1: from the first, up to the last */
    const char *scope;              /* that in words: "session 4b92ea8a..." */
    bool payloads;                  /* open them; otherwise only what seals them is named */
    const char *actor, *environment;
    /* What the console says of itself at this time: any JSON without numbers that JCS lacks. */
    const json_t *policy, *controls, *sbom;
    const json_t *verified; /* report of the last verification, or NULL */
};
struct prov_bundle { /* what was made */
    struct buf tar;
    char sha256[65];       /* hex, of the statement */
    int64_t entries, size; /* how many entries are in it; how many its checkpoint covers */
    int64_t entry;         /* seq of the entry `export` */
};
/* bundle NULL with e, otherwise the callee's (prov_bundle_free). e: NOT_FOUND (nothing is chosen),
 * TOO_BIG, CLOSED, BUSY (one is in the making), what prov_checkpoint answers, TAMPERED (what is
 * chosen does not lead to the checkpoint). */
typedef void prov_bundled(void *arg, struct prov_bundle *bundle, const struct error *e);
void prov_bundle(struct prov *p, const struct prov_bundle_options *o, prov_bundled *done,
                 void *arg);
void prov_bundle_free(struct prov_bundle *b); /* NULL is fine */

struct bundle_given { /* to verify; pure, any thread */
    const void *bytes;
    size_t len;
    const char *key;       /* a vkey, its line, that the reader trusts; NULL: none */
    const char *notes;     /* checkpoints kept elsewhere; NULL: none */
    const char *witnesses; /* vkeys of witnesses that are to have cosigned; NULL: none */
};
/* {ok, intact (no problem says that something was changed), created, scope, tool, entries, first,
 * last, payloads: {disclosed, attested, withheld, erased}, trees: [{epoch, base, size, root,
 * origin}], keys: [vkey], cosigned: [{witness, key, size, at, given}] (size: entries of all epochs
 * that the latest checkpoint with its line covers), pinned, proved, warnings: [text], problems:
 * [{member, seq?, code, text}] (first 100), problem_count}. What could not be read is null or left
 * out. Caller owns. */
json_t *bundle_verify(const struct bundle_given *in);

#endif
