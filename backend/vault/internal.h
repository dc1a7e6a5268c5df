/* Private to the vault. */
#ifndef VAULT_INTERNAL_H
#define VAULT_INTERNAL_H

#include "backend/vault/vault.h"
#include <sys/types.h>

enum { VAULT__KEK_ID = 16 };

struct vault {
    char *dir;       /* $STATE/keys */
    char *file;      /* $STATE/keys/master.key */
    uint8_t *master; /* VAULT_KEY bytes in guarded memory, read-only */
    char kek_id[VAULT__KEK_ID + 1];
};

/* Files of the key directory. A file appears whole or not at all: it is written and synced under
 * another name and then linked to its own; one that is there already stays as it is. */
enum err vault__file_make(struct vault *v, const char *path, const void *bytes, size_t len,
                          struct error *e);
/* Reads at most max bytes into out. NOT_FOUND; NO_KEY if it is no plain file of this user's, is
 * longer, or (secret) if others may read it; IO if the disk does not give it. */
enum err vault__file_read(const char *path, bool secret, void *out, size_t max, size_t *len,
                          struct error *e);

/* ring.c: the opened form of a wrap; NULL if it is none. */
struct vault_ring *vault__ring_read(const uint8_t *plain, size_t len);

/* Guarded, locked, undumped memory; never NULL. */
void *vault__secret_alloc(size_t len);
/* HMAC-SHA-256 (RFC 2104) under a key of any length. */
void vault__hmac(const uint8_t *key, size_t key_len, const void *bytes, size_t len,
                 uint8_t out[VAULT_HASH]);
/* XChaCha20-Poly1305 (IETF): out = ciphertext || tag; opens back, -1 if it does not authenticate.
 */
void vault__aead_seal(const uint8_t *key, const uint8_t *nonce, const void *plain, size_t len,
                      const void *ad, size_t ad_len, uint8_t *out);
int vault__aead_open(const uint8_t *key, const uint8_t *nonce, const uint8_t *sealed, size_t len,
                     const void *ad, size_t ad_len, uint8_t *plain);

#endif
