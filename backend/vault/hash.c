/* Hashing, hex, random bytes. SHA-256 comes from libcrypto, which uses the processor's
 * instructions; everything else from libsodium.
 *
 * The log is made of short hashes. libcrypto's EVP calls allocate, wipe and free a state for each,
 * which takes as long as hashing two blocks; the older calls work on a state of the caller's. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "backend/base/text.h"
#include "backend/vault/internal.h"

#include <openssl/sha.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED_BY_CLANG
#endif
#endif

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Keys and unsealed payloads are in memory: no core dump may carry them to a disk, and no other
 * process of the same user may read them out of this one. Children become dumpable again by their
 * exec. A sanitizer's leak check has to attach to the process, so there only the limit is set. */
static void forbid_dumps(void)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none); /* lowering it cannot fail */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(SANITIZED_BY_CLANG)
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

static void init(void)
{
    forbid_dumps();
    BUG_IF(sodium_init() < 0);
}

void vault_init(void)
{
    BUG_IF(pthread_once(&once, init) != 0);
}

static void sha256(SHA256_CTX *state, const void *a, size_t a_len, const void *b, size_t b_len,
                   uint8_t out[VAULT_HASH])
{
    BUG_IF(SHA256_Init(state) != 1);
    BUG_IF(a_len && SHA256_Update(state, a, a_len) != 1);
    BUG_IF(b_len && SHA256_Update(state, b, b_len) != 1);
    BUG_IF(SHA256_Final(out, state) != 1);
}

void vault_sha256(const void *a, size_t a_len, const void *b, size_t b_len, uint8_t out[VAULT_HASH])
{
    SHA256_CTX state;
    sha256(&state, a, a_len, b, b_len, out);
}

void vault__hmac(const uint8_t *key, size_t key_len, const void *bytes, size_t len,
                 uint8_t out[VAULT_HASH])
{
    enum { BLOCK = 64 };
    SHA256_CTX state;
    uint8_t k[BLOCK] = {0}, pad[BLOCK], inner[VAULT_HASH];
    if (key_len > BLOCK)
        sha256(&state, key, key_len, NULL, 0, k);
    else
        memcpy(k, key, key_len);
    for (size_t i = 0; i < BLOCK; i++)
        pad[i] = k[i] ^ 0x36;
    sha256(&state, pad, BLOCK, bytes, len, inner);
    for (size_t i = 0; i < BLOCK; i++)
        pad[i] = k[i] ^ 0x5c;
    sha256(&state, pad, BLOCK, inner, sizeof inner, out);
    sodium_memzero(&state, sizeof state);
    sodium_memzero(k, sizeof k);
    sodium_memzero(pad, sizeof pad);
    sodium_memzero(inner, sizeof inner);
}

void vault_hmac(const void *key, size_t key_len, const void *bytes, size_t len,
                uint8_t out[VAULT_HASH])
{
    vault__hmac(key, key_len, bytes, len, out);
}

void vault_mac(const struct vault *v, const char *purpose, const void *bytes, size_t len,
               uint8_t out[VAULT_HASH])
{
    uint8_t key[VAULT_HASH];
    vault__hmac(v->master, VAULT_KEY, purpose, strlen(purpose), key);
    vault__hmac(key, sizeof key, bytes, len, out);
    sodium_memzero(key, sizeof key);
}

void vault_base64(const void *bytes, size_t len, char *out)
{
    sodium_bin2base64(out, VAULT_BASE64(len), bytes, len, sodium_base64_VARIANT_ORIGINAL);
}

int64_t vault_unbase64(const char *text, size_t text_len, uint8_t *out, size_t max)
{
    size_t len;
    const char *end;
    if (sodium_base642bin(out, max, text, text_len, NULL, &len, &end,
                          sodium_base64_VARIANT_ORIGINAL) != 0 ||
        end != text + text_len)
        return -1;
    return (int64_t)len;
}

bool vault_equal(const void *a, const void *b, size_t len)
{
    return sodium_memcmp(a, b, len) == 0;
}

void vault_random(void *out, size_t len)
{
    vault_init();
    randombytes_buf(out, len);
}

void vault_id(char out[33])
{
    uint8_t bytes[16];
    vault_random(bytes, sizeof bytes);
    text_hex(bytes, sizeof bytes, out);
}
