/* The signing key: made, sealed, opened; signatures.
 *
 * checkpoint.key = line || "\n" || kek_id || "\n" || nonce || ciphertext || tag, where the plain
 * text is the 32 bytes of the Ed25519 secret and the additional data are "mcp-console signing
 * key\n" || kek_id || "\n"
 * || line.
 *
 * Invariants
 * G1 Both files appear whole or not at all (V1). checkpoint.key comes first; checkpoint.pub can be
 *    made from it again.
 * G2 A key whose line, public half or seal do not belong together is not used. */
#include "backend/vault/internal.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SEALED = VAULT_NONCE + VAULT_KEY + VAULT_TAG, BEHIND = VAULT__KEK_ID + 1 + SEALED };
enum { FILE_MAX = VAULT_LABEL + BEHIND };

struct vault_signer {
    uint8_t public_key[crypto_sign_PUBLICKEYBYTES];
    char line[VAULT_LABEL];
    uint8_t *secret; /* crypto_sign_SECRETKEYBYTES in guarded memory */
};

static char *seal_ad(const struct vault *v, const char *line)
{
    return xasprintf("mcp-console signing key\n%s\n%s", v->kek_id, line);
}

static enum err make(struct vault *v, const char *path, vault_label *label, void *arg,
                     struct error *e)
{
    uint8_t public_key[crypto_sign_PUBLICKEYBYTES], file[FILE_MAX + 1];
    uint8_t *secret = vault__secret_alloc(crypto_sign_SECRETKEYBYTES + VAULT_KEY);
    uint8_t *seed = secret + crypto_sign_SECRETKEYBYTES;
    randombytes_buf(seed, VAULT_KEY);
    crypto_sign_seed_keypair(public_key, secret, seed);
    label(arg, public_key, (char *)file);
    size_t len = strlen((char *)file);
    BUG_IF(len == 0 || len >= VAULT_LABEL || strchr((char *)file, '\n'));
    char *ad = seal_ad(v, (char *)file);
    file[len++] = '\n';
    memcpy(file + len, v->kek_id, VAULT__KEK_ID);
    len += VAULT__KEK_ID;
    file[len++] = '\n';
    randombytes_buf(file + len, VAULT_NONCE);
    vault__aead_seal(v->master, file + len, seed, VAULT_KEY, ad, strlen(ad),
                     file + len + VAULT_NONCE);
    enum err code = vault__file_make(v, path, file, len + SEALED, e);
    free(ad);
    sodium_free(secret);
    return code;
}

static enum err unseal(struct vault *v, const char *path, const uint8_t *file, size_t len,
                       struct vault_signer *s, struct error *e)
{
    const uint8_t *end = memchr(file, '\n', len), *kek = end ? end + 1 : NULL;
    if (!end || end - file >= VAULT_LABEL || len - (size_t)(kek - file) != BEHIND ||
        kek[VAULT__KEK_ID] != '\n')
        return err_set(e, ERR_TAMPERED, "%s is not a signing key", path);
    if (memcmp(kek, v->kek_id, VAULT__KEK_ID) != 0) /* another key here is no tampering there */
        return err_set(e, ERR_NO_KEY, "%s is sealed under another master key than %s", path,
                       v->kek_id);
    memcpy(s->line, file, (size_t)(end - file));
    const uint8_t *sealed = kek + VAULT__KEK_ID + 1;
    uint8_t *seed = vault__secret_alloc(VAULT_KEY);
    char *ad = seal_ad(v, s->line);
    int bad = vault__aead_open(v->master, sealed, sealed + VAULT_NONCE, SEALED - VAULT_NONCE, ad,
                               strlen(ad), seed);
    if (!bad)
        crypto_sign_seed_keypair(s->public_key, s->secret, seed);
    free(ad);
    sodium_free(seed);
    if (bad)
        return err_set(e, ERR_TAMPERED, "%s does not open: it was changed", path);
    sodium_mprotect_readonly(s->secret);
    return ERR_OK;
}

/* The public half beside it: written if it is missing; another one is a swapped key. */
static enum err check_public(struct vault *v, const char *name, const struct vault_signer *s,
                             struct error *e)
{
    char *path = xasprintf("%s/%s.pub", v->dir, name);
    char *want = xasprintf("%s\n", s->line), found[VAULT_LABEL + 1];
    size_t len = 0;
    struct error why = {0};
    enum err code = vault__file_read(path, false, found, sizeof found, &len, &why);
    if (code == ERR_NOT_FOUND)
        code = vault__file_make(v, path, want, strlen(want), e);
    else if (code == ERR_IO)
        err_set(e, code, "%s", why.detail);
    else if (code != ERR_OK || len != strlen(want) || memcmp(found, want, len) != 0)
        code = err_set(e, ERR_TAMPERED, "%s is not the public half of %s.key", path, name);
    free(want);
    free(path);
    return code;
}

struct vault_signer *vault_signer_open(struct vault *v, vault_label *label, void *arg,
                                       struct error *e)
{
    return vault_signer_open_as(v, "checkpoint", label, arg, e);
}

struct vault_signer *vault_signer_open_as(struct vault *v, const char *name, vault_label *label,
                                          void *arg, struct error *e)
{
    uint8_t file[FILE_MAX];
    char *path = xasprintf("%s/%s.key", v->dir, name);
    struct vault_signer *s = xcalloc(1, sizeof *s);
    size_t len = 0;
    s->secret = vault__secret_alloc(crypto_sign_SECRETKEYBYTES);
    struct error first = {0};
    enum err code = vault__file_read(path, true, file, sizeof file, &len, &first);
    if (code == ERR_NOT_FOUND && label) {
        code = make(v, path, label, arg, e);
        if (code == ERR_OK)
            code = vault__file_read(path, true, file, sizeof file, &len, e);
    } else if (code != ERR_OK) {
        code = err_set(e, code == ERR_IO ? ERR_IO : ERR_NO_KEY, "%s", first.detail);
    }
    if (code == ERR_OK)
        code = unseal(v, path, file, len, s, e);
    if (code == ERR_OK)
        code = check_public(v, name, s, e);
    free(path);
    if (code == ERR_OK)
        return s;
    vault_signer_free(s);
    return NULL;
}

void vault_signer_free(struct vault_signer *s)
{
    if (!s)
        return;
    sodium_free(s->secret);
    free(s);
}

const char *vault_signer_line(const struct vault_signer *s)
{
    return s->line;
}

const uint8_t *vault_signer_public(const struct vault_signer *s)
{
    return s->public_key;
}

void vault_sign(const struct vault_signer *s, const void *bytes, size_t len,
                uint8_t out[VAULT_SIGNATURE])
{
    crypto_sign_detached(out, NULL, bytes, len, s->secret);
}

bool vault_signature_ok(const uint8_t public_key[VAULT_KEY], const void *bytes, size_t len,
                        const uint8_t signature[VAULT_SIGNATURE])
{
    vault_init();
    return crypto_sign_verify_detached(signature, bytes, len, public_key) == 0;
}
