/* Secrets, keys, hashing, sealing. The only room that knows libsodium and libcrypto.
 *
 * Keys live in $STATE/keys (0700): `master.key` (32 random bytes, 0600) wraps the data keys of
 * sessions; made on first use. Key material is held in locked, guarded memory and wiped. */
#ifndef VAULT_H
#define VAULT_H

#include "backend/base/errors.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VAULT_HASH = 32, VAULT_KEY = 32, VAULT_NONCE = 24, VAULT_TAG = 16 };
enum { VAULT_WRAP = VAULT_NONCE + VAULT_KEY + VAULT_TAG };

struct vault;     /* owned by the backend */
struct vault_key; /* a session's data key, in locked memory */

/* Once a process, any thread, idempotent. From then on the process leaves no core dump, and other
 * processes of the same user cannot read its memory (prctl(2), PR_SET_DUMPABLE). */
void vault_init(void);
/* NULL with *e: NO_KEY (unreadable, wrong size, permissions wider than the owner's), READ_ONLY, IO.
 * create: make the master key if it is missing. */
struct vault *vault_open(const char *state_dir, bool create, struct error *e);
void vault_close(struct vault *v);
/* The id of the master key: first 16 hex digits of SHA-256("mcp-console kek" || key). */
const char *vault_kek_id(const struct vault *v);
/* True if the key directory and files belong to this user and nobody else may read them. */
bool vault_permissions_ok(const struct vault *v, struct error *e);

/* A fresh data key, and its wrap under the master key: XChaCha20-Poly1305, nonce || ciphertext ||
 * tag, additional data = "session || kek_id || 1". */
struct vault_key *vault_key_new(struct vault *v, const char *session, uint8_t wrap[VAULT_WRAP]);
/* ERR_NO_KEY or ERR_TAMPERED in *e and NULL if it cannot be unwrapped. */
struct vault_key *vault_key_unwrap(struct vault *v, const char *session, const uint8_t *wrap,
                                   size_t len, struct error *e);
void vault_key_free(struct vault_key *k);
/* out = nonce || ciphertext || tag, len + 40 bytes; ad is the additional data. Thread-safe. */
void vault_seal(const struct vault_key *k, const void *plain, size_t len, const void *ad,
                size_t ad_len, uint8_t *out);
/* plain has len - 40 bytes. ERR_TAMPERED when it does not authenticate. */
enum err vault_unseal(const struct vault_key *k, const uint8_t *sealed, size_t len, const void *ad,
                      size_t ad_len, uint8_t *plain);
/* HMAC-SHA-256 under a key derived from the data key ("commit"): the keyed commitment to a
 * plaintext. */
void vault_commit(const struct vault_key *k, const void *plain, size_t len,
                  uint8_t out[VAULT_HASH]);

/* SHA-256 over the concatenation of two parts (the second may be NULL, 0). Thread-safe. */
void vault_sha256(const void *a, size_t a_len, const void *b, size_t b_len,
                  uint8_t out[VAULT_HASH]);
bool vault_equal(const void *a, const void *b, size_t len); /* constant time */
void vault_random(void *out, size_t len);
/* A 128-bit random id as 32 hex digits and a NUL. */
void vault_id(char out[33]);

/* Resolves a reference from the configuration ("env:NAME") to a secret. The caller frees it with
 * vault_secret_free. NULL with *e: NOT_FOUND, CONFIG (a literal secret is refused). */
char *vault_secret(const char *reference, struct error *e);
void vault_secret_free(char *secret);

#endif
