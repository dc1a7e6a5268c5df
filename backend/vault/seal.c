/* Data keys: made, wrapped, unwrapped; sealing and commitments under them. */
#include "backend/vault/internal.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Both halves stand in one guarded allocation. */
struct vault_key {
    uint8_t data[VAULT_KEY];    /* seals */
    uint8_t commit[VAULT_HASH]; /* commits: HMAC-SHA-256(data, "commit") */
};

/* Set once and for all by whichever thread first finds it. */
static bool memory_unlocked;

void *vault__secret_alloc(size_t len)
{
    vault_init();
    void *p = sodium_malloc(len);
    BUG_IF(!p);
    /* sodium_malloc locks the pages and keeps to itself whether it could; a second lock costs
     * nothing and tells. */
    if (mlock(p, len) != 0)
        __atomic_store_n(&memory_unlocked, true, __ATOMIC_RELAXED);
    return p;
}

bool vault_memory_locked(void)
{
    return !__atomic_load_n(&memory_unlocked, __ATOMIC_RELAXED);
}

void vault__aead_seal(const uint8_t *key, const uint8_t *nonce, const void *plain, size_t len,
                      const void *ad, size_t ad_len, uint8_t *out)
{
    BUG_IF(crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, plain, len, ad, ad_len, NULL,
                                                      nonce, key) != 0);
}

int vault__aead_open(const uint8_t *key, const uint8_t *nonce, const uint8_t *sealed, size_t len,
                     const void *ad, size_t ad_len, uint8_t *plain)
{
    return crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, sealed, len, ad, ad_len,
                                                      nonce, key);
}

/* "session || kek_id || 1": a wrap is bound to its session and to the master key. */
static char *wrap_ad(const struct vault *v, const char *session)
{
    return xasprintf("%s%s1", session, v->kek_id);
}

static struct vault_key *key_alloc(void)
{
    return vault__secret_alloc(sizeof(struct vault_key));
}

static void key_finish(struct vault_key *k)
{
    vault__hmac(k->data, sizeof k->data, "commit", 6, k->commit);
    sodium_mprotect_readonly(k);
}

struct vault_key *vault_key_new(struct vault *v, const char *session, uint8_t wrap[VAULT_WRAP])
{
    struct vault_key *k = key_alloc();
    randombytes_buf(k->data, sizeof k->data);
    key_finish(k);
    vault_key_wrap(v, session, k, wrap);
    return k;
}

void vault_key_wrap(struct vault *v, const char *session, const struct vault_key *k,
                    uint8_t wrap[VAULT_WRAP])
{
    char *ad = wrap_ad(v, session);
    randombytes_buf(wrap, VAULT_NONCE);
    vault__aead_seal(v->master, wrap, k->data, sizeof k->data, ad, strlen(ad), wrap + VAULT_NONCE);
    free(ad);
}

struct vault_key *vault_key_unwrap(struct vault *v, const char *session, const uint8_t *wrap,
                                   size_t len, struct error *e)
{
    if (len != VAULT_WRAP) {
        err_set(e, ERR_TAMPERED, "the wrapped key of session %s has %zu bytes, not %d", session,
                len, VAULT_WRAP);
        return NULL;
    }
    struct vault_key *k = key_alloc();
    char *ad = wrap_ad(v, session);
    int bad = vault__aead_open(v->master, wrap, wrap + VAULT_NONCE, len - VAULT_NONCE, ad,
                               strlen(ad), k->data);
    free(ad);
    if (bad) {
        sodium_free(k);
        err_set(e, ERR_TAMPERED,
                "the key of session %s does not unwrap: it was changed, or wrapped by another "
                "master key than %s",
                session, v->kek_id);
        return NULL;
    }
    key_finish(k);
    return k;
}

void vault_key_free(struct vault_key *k)
{
    sodium_free(k); /* wipes */
}

void vault_seal(const struct vault_key *k, const void *plain, size_t len, const void *ad,
                size_t ad_len, uint8_t *out)
{
    randombytes_buf(out, VAULT_NONCE);
    vault__aead_seal(k->data, out, plain, len, ad, ad_len, out + VAULT_NONCE);
}

enum err vault_unseal(const struct vault_key *k, const uint8_t *sealed, size_t len, const void *ad,
                      size_t ad_len, uint8_t *plain)
{
    if (len < VAULT_NONCE + VAULT_TAG)
        return ERR_TAMPERED;
    return vault__aead_open(k->data, sealed, sealed + VAULT_NONCE, len - VAULT_NONCE, ad, ad_len,
                            plain)
               ? ERR_TAMPERED
               : ERR_OK;
}

void vault_commit(const struct vault_key *k, const void *plain, size_t len, uint8_t out[VAULT_HASH])
{
    vault__hmac(k->commit, sizeof k->commit, plain, len, out);
}
