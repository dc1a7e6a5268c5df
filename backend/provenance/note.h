/* Private to the log: signed notes and checkpoints as text (C2SP signed-note and tlog-checkpoint),
 * verifier keys, and tlog-proof. Pure. */
#ifndef PROV_NOTE_H
#define PROV_NOTE_H

#include "backend/provenance/proof.h"

enum { PROV__NOTE_MAX = 16384, PROV__KEY_ID = 4 };

enum prov__vkey_type { PROV__ED25519 = 1, PROV__COSIGNATURE = 4 }; /* both are of Ed25519 */
struct prov__vkey {                                                /* a verifier key */
    enum prov__vkey_type type;
    char name[VAULT_LABEL];
    uint8_t id[PROV__KEY_ID];
    uint8_t public_key[VAULT_KEY];
};
/* A key's name may hold no white space, no control character and no plus. */
bool prov__vkey_name_ok(const char *name);
void prov__vkey_make(const char *name, const uint8_t public_key[VAULT_KEY], struct prov__vkey *out);
/* "<name>+<id, hex>+<base64 of the type's byte and the key>"; the name has at most 400 bytes. */
void prov__vkey_write(const struct prov__vkey *key, char line[VAULT_LABEL]);
bool prov__vkey_read(const char *line, struct prov__vkey *out);
bool prov__vkey_same(const struct prov__vkey *a, const struct prov__vkey *b);
/* Those two are of type ED25519, which signs notes; a witness's key is of type COSIGNATURE. */
void prov__vkey_make_as(enum prov__vkey_type type, const char *name,
                        const uint8_t public_key[VAULT_KEY], struct prov__vkey *out);
bool prov__vkey_read_as(enum prov__vkey_type type, const char *line, struct prov__vkey *out);

struct prov__head { /* what a checkpoint says of a log */
    int64_t size;   /* -1: none */
    uint8_t root[VAULT_HASH];
};
struct prov__checkpoint { /* texts point into the bytes that were read */
    struct prov__head head;
    struct prov__text origin, body /* what is signed */, signatures /* whole lines */;
};
/* Takes the line at the start of text, without its new line; false if it has none. */
bool prov__line_take(struct prov__text *text, struct prov__text *line);
/* A decimal number without leading zeros, below 10^18. */
bool prov__size_read(struct prov__text line, int64_t *out);
/* Name and bytes (key id and signature) of a signature line; the length of the bytes, or -1. */
int64_t prov__signature_read(struct prov__text line, struct prov__text *name, uint8_t *bytes,
                             size_t max);
/* The bytes of the note that text begins with, up to the end of its last signature line; 0 if no
 * whole note stands there. */
size_t prov__note_length(const char *text, size_t len);
/* Reads exactly one checkpoint; NULL, or what is wrong with it. */
const char *prov__note_read(const char *note, size_t len, struct prov__checkpoint *out);
/* The origin of an epoch's checkpoints: the key's name in the first, NAME#k in epoch k. The caller
 * frees. */
char *prov__origin(const struct prov__vkey *key, int64_t epoch);
/* The epoch that an origin names, whosever it is. */
int64_t prov__note_epoch(struct prov__text origin);
/* The opposite; 0 if it is no origin of this key. */
int64_t prov__origin_epoch(const struct prov__vkey *key, struct prov__text origin);
enum prov__signed { PROV__UNSIGNED, PROV__SIGNED, PROV__FORGED };
/* UNSIGNED: no signature line names this key (name and id); FORGED: one does and does not verify.
 */
enum prov__signed prov__note_check(const struct prov__checkpoint *c, const struct prov__vkey *key);
/* Appends the body: origin, size, root, a line each. */
void prov__note_body(const char *origin, const struct prov__head *head, struct buf *out);
/* Appends the empty line and the signature line to a body. */
void prov__note_sign(const struct prov__vkey *key, const uint8_t signature[VAULT_SIGNATURE],
                     struct buf *out);
/* A further signature line. */
void prov__note_sign_too(const struct prov__vkey *key, const uint8_t signature[VAULT_SIGNATURE],
                         struct buf *out);

/* Appends c2sp.org/tlog-proof@v1: that entry `index` is in the tree of this checkpoint. */
void prov__tlog_proof(int64_t index, const struct prov__proof *proof, const char *note,
                      struct buf *out);

#endif
