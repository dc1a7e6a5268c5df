/* Secrets, keys, hashing, sealing. The only room that knows libsodium and libcrypto.
 *
 * Keys live in $STATE/keys (0700): `master.key` (0600) is or holds the master key, 32 random bytes
 * that wrap the data keys of sessions; made on first use. Key material is held in locked, guarded
 * memory and wiped. */
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
/* True if no secret so far had to be kept in memory that the system may write to its swap. */
bool vault_memory_locked(void);

/* How the master key is sealed at rest: as it is in a file that its owner alone may read; under a
 * key derived from a passphrase (Argon2id, RFC 9106); by systemd-creds(1), to this machine. */
enum vault_seal { VAULT_FILE, VAULT_PASSPHRASE, VAULT_CREDS };
const char *vault_seal_name(enum vault_seal seal); /* file, passphrase, systemd-creds */
bool vault_seal_find(const char *name, enum vault_seal *out);
enum { VAULT_PASS_MAX = 1024 };
/* A passphrase, in locked memory; used by one thread at a time. The caller wipes its own copy.
 * The text is wiped as soon as it has opened or sealed a key; what was derived from it stays. NULL
 * with *e: INVALID (empty, or longer than VAULT_PASS_MAX bytes). */
struct vault_pass;
struct vault_pass *vault_pass_new(const char *text, size_t len, struct error *e);
void vault_pass_free(struct vault_pass *p); /* NULL is fine */

struct vault_options {
    const char *state_dir;
    bool create;             /* make the master key if it is missing */
    enum vault_seal seal;    /* of one that is made */
    struct vault_pass *pass; /* or NULL; borrowed until vault_close */
};
/* NULL with *e: NO_KEY (unreadable, not in form, permissions wider than the owner's), PASSPHRASE
 * (none was given, or not the one that opens it), UNSUPPORTED (no systemd-creds here), UPSTREAM (it
 * refused), READ_ONLY, IO. A rotation that was interrupted is looked at: see vault_partner. */
struct vault *vault_open_as(const struct vault_options *o, struct error *e);
/* The same, of a key that is made as a file, without a passphrase. */
struct vault *vault_open(const char *state_dir, bool create, struct error *e);
void vault_close(struct vault *v); /* its partner, and what it took the place of, too */
/* How a state directory's master key is sealed, from its file alone; seal: what it would be made
 * with. NOT_FOUND if there is none yet. */
enum err vault_seal_of(const char *state_dir, enum vault_seal *out, struct error *e);
/* Whether a passphrase opens the state directory's master key (or the one that is staged); changes
 * nothing, and takes no lock. PASSPHRASE: it does not. */
enum err vault_unlocks(const char *state_dir, struct vault_pass *pass, struct error *e);
enum vault_seal vault_sealed_by(const struct vault *v);
/* True if the key came from a credential that systemd handed over, not from master.key. */
bool vault_from_credential(const struct vault *v);
/* The id of the master key: first 16 hex digits of SHA-256("mcp-console kek" || key). */
const char *vault_kek_id(const struct vault *v);
/* True if the key directory and files belong to this user and nobody else may read them. */
bool vault_permissions_ok(const struct vault *v, struct error *e);

/* Rotation of the master key. For a while there are two, each able to open what the other wraps:
 * `keys/rotation` holds each of them sealed under the other, so that either opens both.
 *
 *   vault_stage    master.key.next and `rotation` are there; the new key is the old one's partner
 *   (the caller wraps anew, under the new one, what the old one wraps)
 *   vault_replace  master.key is the new one, the old one stands in master.key.old
 *   vault_finish   the old one is overwritten and removed, and `rotation`
 *
 * Before vault_replace, when nothing is wrapped under the new key (any more), vault_unstage goes
 * back. vault_open_as finds what a crash left: V3 in vault.c. */
enum vault_step { VAULT_STEADY, VAULT_STAGED, VAULT_REPLACED };
enum vault_step vault_step(const struct vault *v);
bool vault_is_new(const struct vault *v); /* while there are two: this is the one that is to stay */
/* The other key while there are two, NULL otherwise. vault_close of either frees both. */
struct vault *vault_partner(struct vault *v);
/* Whichever has this id: v, its partner, or what took the place of v since; NULL if none. Any
 * thread. */
struct vault *vault_for(struct vault *v, const char *kek_id);
/* A new master key, sealed as told, written and opened again from its file. pass: NULL keeps the
 * passphrase that v was opened with. Blocks (Argon2id, systemd-creds). NULL with *e as
 * vault_open_as has it, and BUSY if one is staged already. */
struct vault *vault_stage(struct vault *v, enum vault_seal seal, struct vault_pass *pass,
                          struct error *e);
/* v: the old key. After vault_unstage it stays, after vault_finish its partner does: that one then
 * owns the other, which is kept in memory until vault_close, because a worker may be using it. */
enum err vault_unstage(struct vault *v, struct error *e);
enum err vault_replace(struct vault *v, struct error *e);
/* v: either key. */
enum err vault_finish(struct vault *v, struct error *e);

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
/* The next key, while the present one is to be replaced: made in checkpoint.key.next; opened from
 * there (NULL with NOT_FOUND: there is none); given up; put in the place of the present one, whose
 * secret is overwritten. Errors as above. Each blocks for a few writes. */
struct vault_signer *vault_signer_stage(struct vault *v, vault_label *label, void *arg,
                                        struct error *e);
struct vault_signer *vault_signer_staged(struct vault *v, struct error *e);
enum err vault_signer_unstage(struct vault *v, struct error *e);
enum err vault_signer_replace(struct vault *v, struct error *e);
/* Seals every signing key of the key directory, and the secrets, under `to`, from its partner or
 * from itself; count: how many signing keys there are. Each file is replaced as a whole. */
enum err vault_signers_rewrap(struct vault *to, int64_t *count, struct error *e);
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
/* Base64 for addresses, without padding (RFC 4648, section 5); out has room for VAULT_BASE64(len).
 */
void vault_base64url(const void *bytes, size_t len, char *out);
/* A JSON Web Token over claims (JSON text), signed by a private key in PEM form: ES256 for EC
 * P-256, RS256 for RSA (RFC 7515, 7518). The caller frees. NULL with *e: NO_KEY, UNSUPPORTED. */
char *vault_jwt(const char *pem, const char *claims, struct error *e);
/* A proof of the possession of a key (RFC 9449, 4.2; EC P-256): a token over claims whose head
 * holds the public key. The caller frees. NULL with *e. */
char *vault_dpop(const char *pem, const char *claims, struct error *e);
bool vault_equal(const void *a, const void *b, size_t len); /* constant time */
void vault_random(void *out, size_t len);
/* A 128-bit random id as 32 hex digits and a NUL. */
void vault_id(char out[33]);

/* A secret's value in locked memory, with a NUL behind it. Zero-initialise; vault_text_wipe ends
 * it. */
struct vault_text {
    char *text;
    size_t len;
};
enum { VAULT_SECRET_MAX = 65536, VAULT_SECRET_NAME = 64 };
/* Resolves a reference of the configuration: secret:NAME (of this vault; v may be NULL, then there
 * is none), env:VARIABLE, credential:NAME (a file of $CREDENTIALS_DIRECTORY, systemd.exec(5); one
 * new line at its end is cut). CONFIG: it is no reference; NOT_FOUND; TOO_BIG; NO_KEY, TAMPERED. */
enum err vault_text_get(struct vault *v, const char *reference, struct vault_text *out,
                        struct error *e);
/* A copy of bytes in the place of what *out held. */
void vault_text_put(struct vault_text *out, const char *bytes, size_t len);
void vault_text_wipe(struct vault_text *t); /* NULL text is fine */
/* A new private key, EC P-256, in PEM form. */
enum err vault_pem_new(struct vault_text *pem, struct error *e);
/* Secrets of this vault, sealed under the master key in $STATE/keys/secrets. NAME has 1 to
 * VAULT_SECRET_NAME of A-Z a-z 0-9 . _ - and no dot in front; a value 1 to VAULT_SECRET_MAX bytes
 * without a NUL. Set replaces; what stood there before is overwritten on the disk. Each blocks for
 * a few writes, and is not to be called while the master key is being replaced. INVALID, NOT_FOUND,
 * TOO_BIG, NO_KEY, TAMPERED, NO_SPACE, READ_ONLY, IO. */
enum err vault_secret_set(struct vault *v, const char *name, const struct vault_text *value,
                          struct error *e);
enum err vault_secret_remove(struct vault *v, const char *name, struct error *e);
typedef void vault_secret_row(void *arg, const char *name, int64_t set_at_ms);
enum err vault_secrets_list(struct vault *v, vault_secret_row *row, void *arg, struct error *e);
/* The first place in text where a value stands that this process has resolved (those of 6 bytes and
 * more), and its length; NULL: none. Any thread. */
const char *vault_known_in(const char *text, size_t len, size_t *found);
/* Adds a value that came from elsewhere (a token) to those, in the place of the one that it takes
 * over from (or NULL). Any thread. */
void vault_known_add(const struct vault_text *value, const struct vault_text *instead_of);
/* A copy of bytes for vault_secret_set. */
struct vault_text vault_text_of(const char *bytes, size_t len);
/* True for a text of that form; says nothing about whether it can be resolved. */
bool vault_is_reference(const char *text);

#endif
