/* Private to the log: which key may sign which checkpoints. */
#ifndef PROV_TRUST_H
#define PROV_TRUST_H

#include "backend/provenance/note.h"

/* A key signs checkpoints that end behind entry `first` and not behind the next key's `first`: the
 * end of a checkpoint is its epoch's base and its size. The first key's is 0. */
struct prov__keyrange {
    int64_t first;
    int64_t entry; /* key.rotate; -1: the first key, which nobody introduced */
    struct prov__vkey key;
    char *note; /* the statement that made it the next one; NULL for the first */
};
struct prov__trust {
    struct prov__keyrange *at; /* ascending */
    size_t count;
    char problem[200]; /* "": the table's rows follow from each other */
};
/* Reads the table signing_keys, up to the first row that does not follow from the one before it:
 * `problem` then says why. */
enum err prov__trust_load(struct prov__trust *t, struct store_db *db, struct error *e);
/* A copy of the key and of the note (NULL: none). */
void prov__trust_add(struct prov__trust *t, int64_t first, int64_t entry,
                     const struct prov__vkey *key, const char *note);
void prov__trust_release(struct prov__trust *t);
/* The key for checkpoints that end there; NULL if there are no keys. */
const struct prov__keyrange *prov__trust_of(const struct prov__trust *t, int64_t end);
bool prov__trust_has(const struct prov__trust *t, const struct prov__vkey *key);
/* NULL if a checkpoint that ends there is signed by the key for it, and every signature by a key of
 * the list is good; otherwise what is wrong. *swapped (may be NULL): it is signed, by another key
 * of the list. */
const char *prov__trust_check(const struct prov__trust *t, const struct prov__checkpoint *c,
                              int64_t end, bool *swapped);

/* The statement by which a key hands on to the next one, a signed note (C2SP signed-note) by both:
 *
 *     mcp-console key rotation v1
 *     NAME
 *     FIRST
 *     OLD VKEY
 *     NEW VKEY
 *
 * The first line holds spaces, so no checkpoint begins with it. Appends the text without
 * signatures. */
void prov__handover_body(const struct prov__vkey *old, const struct prov__vkey *fresh,
                         int64_t first, struct buf *out);
/* NULL if the note is exactly that statement, signed by both and by nobody else. Pure. */
const char *prov__handover_check(const char *note, size_t len, const struct prov__vkey *old,
                                 const struct prov__vkey *fresh, int64_t first);

/* `keys/trusted`: a line `FIRST VKEY` for each key, then the statements, an empty line before each.
 * TAMPERED if the file says something else than the list or its beginning (a crash came before it
 * was written anew), IO if it cannot be read; none is fine, the next checkpoint writes it. */
enum err prov__trusted_check(const struct prov__trust *t, const char *dir, struct error *e);
/* TAMPERED: the file says something else; it is left as it is. */
enum err prov__trusted_write(const struct prov__trust *t, const char *dir, struct error *e);
/* Where what a checkpoint covers ends, counted over all epochs. */
int64_t prov__note_end(const struct prov__epochs *epochs, const struct prov__checkpoint *c);

#endif
