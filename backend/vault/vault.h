/* Secrets, keys, hashing, sealing. The only room that knows libsodium and libcrypto.
 *
 * Keys live in $STATE/keys (0700): `master.key` (32 random bytes, 0600) wraps the data keys of
 * sessions; made on first use. Key material is held in locked, guarded memory and wiped. */
#ifndef VAULT_H
#define VAULT_H

#include "backend/base/buf.h"
#include "backend/base/errors.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VAULT_HASH = 32, VAULT_KEY = 32, VAULT_NONCE = 24, VAULT_TAG = 16 };
enum { VAULT_WRAP = VAULT_NONCE + VAULT_KEY + VAULT_TAG };

struct vault;     /* owned by the backend */
struct vault_key; /* one data key, in locked memory */

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

/* One data key: of a projection, and of sessions whose data_keys.version is 1.
 * A fresh one, and its wrap under the master key: XChaCha20-Poly1305, nonce || ciphertext ||
 * tag, additional data = "session || kek_id || 1". */
struct vault_key *vault_key_new(struct vault *v, const char *session, uint8_t wrap[VAULT_WRAP]);
/* ERR_NO_KEY or ERR_TAMPERED in *e and NULL if it cannot be unwrapped. */
struct vault_key *vault_key_unwrap(struct vault *v, const char *session, const uint8_t *wrap,
                                   size_t len, struct error *e);
/* A new wrap of a key, under another master key or for another owner. */
void vault_key_wrap(struct vault *v, const char *session, const struct vault_key *k,
                    uint8_t wrap[VAULT_WRAP]);
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

/* A ring: the data keys of one session, one for each of 2^32 leaves, as a tree of keys. Child i (0
 * to 3) of a node is subkey i of libsodium's crypto_kdf under the node's key, context "mcpcring":
 * BLAKE2b (RFC 7693) of nothing with that key, salt = the number (8 bytes, little-endian, zeros
 * behind), personalisation = the context. Sixteen levels below the root is a leaf, found by the
 * bits of its number from the top, two a level. Its subkey 4 seals, its subkey 5 commits. Erasing
 * leaves destroys every key above them and keeps the siblings: the other leaves stay as they are. A
 * ring is used by one thread at a time; what it holds is in locked memory. Not found: an erased
 * leaf. */
enum { VAULT_RING_ID = 16 };
struct vault_ring;
struct vault_ring *vault_ring_new(void);
void vault_ring_free(struct vault_ring *r); /* NULL is fine */
/* The first 16 hex digits of subkey 6 of the root; it stays when leaves are erased. */
const char *vault_ring_id(const struct vault_ring *r);
size_t vault_ring_nodes(const struct vault_ring *r); /* keys that it holds */
/* Appends the ring sealed under the master key: nonce || ciphertext || tag over id (8 bytes) ||
 * number of nodes (4, big-endian) || nodes sorted by first leaf (level 1 byte, index 4 big-endian,
 * key 32), additional data "session || kek_id || 2". */
void vault_ring_wrap(struct vault *v, const char *session, const struct vault_ring *r,
                     struct buf *out);
/* NULL with *e: TAMPERED. */
struct vault_ring *vault_ring_unwrap(struct vault *v, const char *session, const void *wrap,
                                     size_t len, struct error *e);
/* out = nonce || ciphertext || tag, len + 40 bytes; commit = HMAC-SHA-256 of plain under the leaf's
 * commit key. OK or NOT_FOUND. */
enum err vault_ring_seal(struct vault_ring *r, uint32_t leaf, const void *plain, size_t len,
                         const void *ad, size_t ad_len, uint8_t *out, uint8_t commit[VAULT_HASH]);
/* plain has len - 40 bytes. OK, NOT_FOUND, or TAMPERED when it does not authenticate. */
enum err vault_ring_unseal(struct vault_ring *r, uint32_t leaf, const uint8_t *sealed, size_t len,
                           const void *ad, size_t ad_len, uint8_t *plain,
                           uint8_t commit[VAULT_HASH]);
/* The key of one leaf's commitment; it opens nothing. OK or NOT_FOUND. */
enum err vault_ring_commit_key(struct vault_ring *r, uint32_t leaf, uint8_t out[VAULT_KEY]);
bool vault_ring_has(const struct vault_ring *r, uint32_t leaf);
/* Erases leaves, strictly ascending; returns how many of them were there. The wraps made before
 * still hold them: the caller replaces those. */
size_t vault_ring_erase(struct vault_ring *r, const uint32_t *leaves, size_t n);

/* The key that signs heads of the log: Ed25519 (RFC 8032). $STATE/keys/checkpoint.key (0600) holds
 * a line of text given by the caller, that must name the public key and is bound to the secret, and
 * the secret sealed under the master key; checkpoint.pub holds that line alone. */
enum { VAULT_SIGNATURE = 64, VAULT_LABEL = 512 };
struct vault_signer;
/* The line for a public key, at most VAULT_LABEL bytes with its NUL, without a new line. */
typedef void vault_label(void *arg, const uint8_t public_key[VAULT_KEY], char line[VAULT_LABEL]);
/* Opens the key, or makes it with the label's line when there is none (label NULL: NO_KEY instead).
 * Writes checkpoint.pub if that is missing. NULL with *e: NO_KEY, TAMPERED (does not unseal, or the
 * line in either file is not that key's), READ_ONLY, NO_SPACE, IO. The caller frees. */
struct vault_signer *vault_signer_open(struct vault *v, vault_label *label, void *arg,
                                       struct error *e);
/* The same for a key with other files: NAME.key and NAME.pub; `witness` cosigns other logs. */
struct vault_signer *vault_signer_open_as(struct vault *v, const char *name, vault_label *label,
                                          void *arg, struct error *e);
void vault_signer_free(struct vault_signer *s); /* NULL is fine */
const char *vault_signer_line(const struct vault_signer *s);
const uint8_t *vault_signer_public(const struct vault_signer *s); /* VAULT_KEY bytes */
void vault_sign(const struct vault_signer *s, const void *bytes, size_t len,
                uint8_t out[VAULT_SIGNATURE]);
/* Thread-safe. */
bool vault_signature_ok(const uint8_t public_key[VAULT_KEY], const void *bytes, size_t len,
                        const uint8_t signature[VAULT_SIGNATURE]);

/* SHA-256 over the concatenation of two parts (the second may be NULL, 0). Thread-safe. */
void vault_sha256(const void *a, size_t a_len, const void *b, size_t b_len,
                  uint8_t out[VAULT_HASH]);
/* HMAC-SHA-256 (RFC 2104) by a key that is not secret any more. Thread-safe. */
void vault_hmac(const void *key, size_t key_len, const void *bytes, size_t len,
                uint8_t out[VAULT_HASH]);
/* HMAC-SHA-256 under a key of its own for each purpose: HMAC-SHA-256(master key, purpose). For what
 * this console wrote and nobody else may have changed. */
void vault_mac(const struct vault *v, const char *purpose, const void *bytes, size_t len,
               uint8_t out[VAULT_HASH]);
/* Base64 with padding (RFC 4648, section 4). The size of its text with the NUL, for len bytes. */
#define VAULT_BASE64(len) (((len) + 2) / 3 * 4 + 1)
void vault_base64(const void *bytes, size_t len, char *out);
/* The number of bytes; -1 unless text is the one encoding of at most max bytes. */
int64_t vault_unbase64(const char *text, size_t text_len, uint8_t *out, size_t max);
bool vault_equal(const void *a, const void *b, size_t len); /* constant time */
void vault_random(void *out, size_t len);
/* A 128-bit random id as 32 hex digits and a NUL. */
void vault_id(char out[33]);

/* Resolves a reference from the configuration ("env:NAME") to a secret. The caller frees it with
 * vault_secret_free. NULL with *e: NOT_FOUND, CONFIG (a literal secret is refused). */
char *vault_secret(const char *reference, struct error *e);
void vault_secret_free(char *secret);

#endif
