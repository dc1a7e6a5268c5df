/* Private to the log: DSSE, the envelope of a signed statement
 * (github.com/secure-systems-lab/dsse, protocol.md and envelope.md), in one canonical form. Pure.
 */
#ifndef PROV_DSSE_H
#define PROV_DSSE_H

#include "backend/provenance/note.h"

#define DSSE__TYPE "application/vnd.in-toto+json"

/* What is signed: "DSSEv1" SP LEN(type) SP type SP LEN(body) SP body. */
void dsse__pae(const char *body, size_t len, struct buf *out);
/* JCS {payload, payloadType, signatures: [{keyid, sig}]}; keyid is the name of the key, a plus, and
 * its id in hex, as a vkey begins. */
void dsse__envelope(const char *body, size_t len, const struct prov__vkey *key,
                    const uint8_t signature[VAULT_SIGNATURE], struct buf *out);
/* NULL if text is exactly the envelope of this body with one signature by this key that verifies,
 * otherwise what is wrong. */
const char *dsse__check(const char *text, size_t text_len, const char *body, size_t len,
                        const struct prov__vkey *key);

#endif
