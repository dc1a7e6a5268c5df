/* Private to the vault. */
#ifndef VAULT_INTERNAL_H
#define VAULT_INTERNAL_H

#include "backend/vault/vault.h"
#include <sys/types.h>

enum { VAULT__KEK_ID = 16, VAULT__SALT = 16, VAULT__MASTER_MAX = 16384 };

struct vault {
    char *dir;       /* $STATE/keys */
    char *file;      /* $STATE/keys/master.key */
    uint8_t *master; /* VAULT_KEY bytes in guarded memory, read-only */
    char kek_id[VAULT__KEK_ID + 1];
    enum vault_seal seal;
    bool from_credential;
    enum vault_step step;
    bool is_new;             /* of two: the one that is to stay */
    struct vault_pass *pass; /* borrowed, or NULL */
    struct vault *partner;   /* the other key, later what took this one's place; read by other
                                threads, so atomically */
    struct vault *retired;   /* those whose place this one took, in a list */
};

/* files.c: files of the key directory. A file appears whole or not at all: it is written and synced
 * under another name and then linked to its own; one that is there already stays as it is. */
enum err vault__file_make(struct vault *v, const char *path, const void *bytes, size_t len,
                          struct error *e);
/* The same, in the place of what is there. */
enum err vault__file_replace(struct vault *v, const char *path, const void *bytes, size_t len,
                             struct error *e);
/* Reads at most max bytes into out. NOT_FOUND; NO_KEY if it is no plain file of this user's, is
 * longer, or (secret) if others may read it; IO if the disk does not give it. */
enum err vault__file_read(const char *path, bool secret, void *out, size_t max, size_t *len,
                          struct error *e);
/* Overwrites and removes; a file that is not there is fine. One that has other names, or is `keep`
 * (or NULL), is only removed. */
enum err vault__file_destroy(struct vault *v, const char *path, const char *keep, struct error *e);
/* path = fresh, whole or not at all; what was at path is destroyed. It stands in `path.old` for a
 * moment, and for longer if a crash comes between (vault__file_destroy it then). */
enum err vault__file_supersede(struct vault *v, const char *path, const char *fresh,
                               struct error *e);
enum err vault__sync_dir(const struct vault *v, struct error *e);
/* Files that a process which died here left half made. */
void vault__sweep(struct vault *v);

/* ring.c: the opened form of a wrap; NULL if it is none. */
struct vault_ring *vault__ring_read(const uint8_t *plain, size_t len);

/* secrets.c: the file of secrets as it is read. */
struct vault__secret {
    char name[VAULT_SECRET_NAME + 1];
    int64_t set_at;
    uint8_t *sealed;
    size_t len;
};
struct vault__secrets {
    char kek_id[VAULT__KEK_ID + 1];
    struct vault__secret *list;
    size_t count;
};
/* False if the bytes are not exactly of that form. */
bool vault__secrets_read(const char *text, size_t len, struct vault__secrets *out);
void vault__secrets_release(struct vault__secrets *s);
/* All of them under `to`, from its partner or from itself: all are opened in any case. */
enum err vault__secrets_rewrap(struct vault *to, struct error *e);

/* seal.c */
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

/* vault.c */
void vault__kek_id(const uint8_t key[VAULT_KEY], char out[VAULT__KEK_ID + 1]);
struct vault *vault__new(const char *keys_dir);
/* Takes the key in v->master as it is: its id, and no more writing. */
void vault__settle(struct vault *v);
/* Opens the key that stands in a file of master.key's form into v. */
enum err vault__load(struct vault *v, const char *path, struct error *e);

/* master.c: the form of master.key. */
struct vault__master { /* what a file says */
    enum vault_seal seal;
    char kek_id[VAULT__KEK_ID + 1]; /* "" in a file of the bare key */
    uint32_t passes, kibibytes;     /* Argon2id */
    uint8_t salt[VAULT__SALT];
    uint8_t sealed[VAULT_WRAP];
    const char *credential; /* base64 lines as systemd-creds wrote them; points into the file */
    size_t credential_len, bound; /* bound: so many bytes are the additional data */
};
/* NULL if the bytes are exactly of that form, otherwise what is wrong. Pure. */
const char *vault__master_read(const char *bytes, size_t len, struct vault__master *out);
/* The file for v's key, sealed as told, in out (VAULT__MASTER_MAX bytes of guarded memory). */
enum err vault__master_write(const struct vault *v, enum vault_seal seal, struct vault_pass *pass,
                             char *out, size_t *len, struct error *e);
/* Opens what was read into key (VAULT_KEY bytes). */
enum err vault__master_open(const struct vault__master *m, const char *bytes,
                            struct vault_pass *pass, const char *path, uint8_t *key,
                            bool *from_credential, struct error *e);

/* creds.c: `systemd-creds encrypt` and `decrypt`, through pipes. */
enum err vault__creds_run(bool encrypt, const void *in, size_t in_len, void *out, size_t max,
                          size_t *len, struct error *e);
/* $CREDENTIALS_DIRECTORY/mcp-console.master; NOT_FOUND. */
enum err vault__creds_given(uint8_t key[VAULT_KEY], struct error *e);

/* stage.c: what an interrupted rotation left; sets step and partner. opened: master.key was. */
enum err vault__stage_find(struct vault *v, bool opened, struct error *e);

#endif
