/* Private to the log: cosignatures (C2SP tlog-cosignature, Ed25519) and the messages between a log
 * and its witnesses (C2SP tlog-witness) as text. Pure. */
#ifndef PROV_COSIGN_H
#define PROV_COSIGN_H

#include "backend/provenance/note.h"

enum { PROV__PROOF_LINES = 63, PROV__REQUEST_MAX = 128 + PROV__PROOF_LINES * 45 + PROV__NOTE_MAX };

struct prov__cosignature {
    int64_t at;             /* seconds since 1970, as the witness has them */
    struct prov__text line; /* with its new line; points into the note */
};
/* What a key of type PROV__COSIGNATURE says of a checkpoint: SIGNED fills out (the latest of
 * several); FORGED: a line names the key and does not verify. */
enum prov__signed prov__cosigned(const struct prov__checkpoint *c, const struct prov__vkey *key,
                                 struct prov__cosignature *out);
/* Appends a signature line: at and the signature over what prov__cosign_text wrote. */
void prov__cosign_text(struct prov__text body, int64_t at, struct buf *out);
void prov__cosign_line(const struct prov__vkey *key, int64_t at,
                       const uint8_t signature[VAULT_SIGNATURE], struct buf *out);

struct prov__request { /* of add-checkpoint; note points into what was read */
    int64_t old;
    struct prov__proof proof;
    struct prov__text note;
};
/* NULL, or what is wrong with it. The note is not looked at. */
const char *prov__request_read(const char *bytes, size_t len, struct prov__request *out);
void prov__request_write(int64_t old, const struct prov__proof *proof, const char *note,
                         struct buf *out);
/* The body of a 409 answer: a size and a new line; -1 if it is none. */
int64_t prov__conflict_read(const char *bytes, size_t len);

/* Verifier keys of one type in a text, with white space between; lines that begin with # are passed
 * over. The number of them, at most max; -1 if something else stands there, or more. */
int prov__vkeys_read(enum prov__vkey_type type, const char *text, struct prov__vkey *out, int max);

/* cosigned.c: what witnesses gave this log, as it is kept. */
/* Of the newest cosigned checkpoints of an epoch that cover leaf `index`, the one with the most
 * cosignatures, with their lines, into note; empty if there is none. */
enum err prov__cosigned_note(struct store_db *db, const char *origin, int64_t epoch, int64_t index,
                             struct buf *note, struct error *e);
/* Of the newest checkpoints the first that `quorum` of these keys (as vkeys) cosigned, otherwise
 * the one with the most; with its lines. *size -1: none. */
enum err prov__cosigned_best(struct store_db *db, const char *origin, int64_t epoch,
                             char (*keys)[VAULT_LABEL], size_t key_count, int64_t quorum,
                             struct buf *note, int64_t *size, struct error *e);
/* The note of the newest checkpoint; ERR_NOT_FOUND. */
enum err prov__newest_note(struct prov *p, struct buf *note, struct error *e);

#endif
