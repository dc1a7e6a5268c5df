/* The signing key: made, sealed, opened, replaced; signatures.
 *
 * checkpoint.key = line || "\n" || kek_id || "\n" || nonce || ciphertext || tag, where the plain
 * text is the 32 bytes of the Ed25519 secret and the additional data are "mcp-console signing
 * key\n" || kek_id || "\n"
 * || line.
 *
 * Invariants
 * G1 Both files appear whole or not at all (V1). checkpoint.key comes first; checkpoint.pub can be
 *    made from it again.
 * G3 While a key is being replaced, the next one stands in checkpoint.key.next, of the same form;
 *    checkpoint.pub is of either.
 * G2 A key whose line, public half or seal do not belong together is not used. */
#include "backend/vault/internal.h"

#include <dirent.h>
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

/* line, kek_id and the sealed seed, as they stand in the file. */
static size_t write_file(const struct vault *v, const char *line, const uint8_t *seed,
                         uint8_t file[FILE_MAX])
{
    char *ad = seal_ad(v, line);
    size_t len = strlen(line);
    BUG_IF(len == 0 || len >= VAULT_LABEL || strchr(line, '\n'));
    memcpy(file, line, len);
    file[len++] = '\n';
    memcpy(file + len, v->kek_id, VAULT__KEK_ID);
    len += VAULT__KEK_ID;
    file[len++] = '\n';
    randombytes_buf(file + len, VAULT_NONCE);
    vault__aead_seal(v->master, file + len, seed, VAULT_KEY, ad, strlen(ad),
                     file + len + VAULT_NONCE);
    free(ad);
    return len + SEALED;
}

static enum err make(struct vault *v, const char *path, vault_label *label, void *arg,
                     struct error *e)
{
    uint8_t public_key[crypto_sign_PUBLICKEYBYTES], file[FILE_MAX];
    char line[VAULT_LABEL];
    uint8_t *secret = vault__secret_alloc(crypto_sign_SECRETKEYBYTES + VAULT_KEY);
    uint8_t *seed = secret + crypto_sign_SECRETKEYBYTES;
    randombytes_buf(seed, VAULT_KEY);
    crypto_sign_seed_keypair(public_key, secret, seed);
    label(arg, public_key, line);
    size_t len = write_file(v, line, seed, file);
    sodium_free(secret);
    return vault__file_make(v, path, file, len, e);
}

/* Opens a file: its line, and the seed (VAULT_KEY bytes). */
static enum err unseal(struct vault *v, const char *path, const uint8_t *file, size_t len,
                       char line[VAULT_LABEL], uint8_t *seed, struct error *e)
{
    char id[VAULT__KEK_ID + 1] = "";
    const uint8_t *end = memchr(file, '\n', len), *kek = end ? end + 1 : NULL;
    if (!end || end - file >= VAULT_LABEL || len - (size_t)(kek - file) != BEHIND ||
        kek[VAULT__KEK_ID] != '\n')
        return err_set(e, ERR_TAMPERED, "%s is not a signing key", path);
    memcpy(id, kek, VAULT__KEK_ID);
    v = vault_for(v, id);
    if (!v) /* another key here is no tampering there */
        return err_set(e, ERR_NO_KEY, "%s is sealed under another master key than is here", path);
    memcpy(line, file, (size_t)(end - file));
    line[end - file] = '\0';
    const uint8_t *sealed = kek + VAULT__KEK_ID + 1;
    char *ad = seal_ad(v, line);
    int bad = vault__aead_open(v->master, sealed, sealed + VAULT_NONCE, SEALED - VAULT_NONCE, ad,
                               strlen(ad), seed);
    free(ad);
    return bad ? err_set(e, ERR_TAMPERED, "%s does not open: it was changed", path) : ERR_OK;
}

static struct vault_signer *open_file(struct vault *v, const char *path, struct error *e)
{
    uint8_t file[FILE_MAX];
    size_t len = 0;
    struct vault_signer *s = xcalloc(1, sizeof *s);
    uint8_t *seed = vault__secret_alloc(VAULT_KEY);
    s->secret = vault__secret_alloc(crypto_sign_SECRETKEYBYTES);
    enum err code = vault__file_read(path, true, file, sizeof file, &len, e);
    if (code == ERR_OK)
        code = unseal(v, path, file, len, s->line, seed, e);
    if (code == ERR_OK) {
        crypto_sign_seed_keypair(s->public_key, s->secret, seed);
        sodium_mprotect_readonly(s->secret);
    }
    sodium_free(seed);
    if (code == ERR_OK)
        return s;
    vault_signer_free(s);
    return NULL;
}

static char *file_of(const struct vault *v, const char *name)
{
    return xasprintf("%s/%s", v->dir, name);
}

/* The public half beside it: written if it is missing; another one is a swapped key, unless it is
 * the next key's (G3). */
static enum err check_public(struct vault *v, const char *name, const struct vault_signer *s,
                             struct error *e)
{
    char *path = xasprintf("%s/%s.pub", v->dir, name);
    char *want = xasprintf("%s\n", s->line), found[VAULT_LABEL + 1] = "";
    size_t len = 0;
    struct error why = {0};
    enum err code = vault__file_read(path, false, found, sizeof found - 1, &len, &why);
    if (code == ERR_NOT_FOUND) {
        code = vault__file_make(v, path, want, strlen(want), e);
    } else if (code == ERR_IO) {
        err_set(e, code, "%s", why.detail);
    } else if (code != ERR_OK || len != strlen(want) || memcmp(found, want, len) != 0) {
        struct vault_signer *next =
            strcmp(name, "checkpoint") == 0 ? vault_signer_staged(v, NULL) : NULL;
        bool of_next = code == ERR_OK && next && len == strlen(next->line) + 1 &&
                       memcmp(found, next->line, len - 1) == 0 && found[len - 1] == '\n';
        vault_signer_free(next);
        code = of_next
                   ? ERR_OK
                   : err_set(e, ERR_TAMPERED, "%s is not the public half of %s.key", path, name);
    }
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
    char *path = xasprintf("%s/%s.key", v->dir, name), *old = xasprintf("%s.old", path);
    struct error first = {0};
    struct vault_signer *s = open_file(v, path, &first);
    enum err code = first.code;
    if (code == ERR_NOT_FOUND && label) {
        code = make(v, path, label, arg, e);
        if (code == ERR_OK)
            s = open_file(v, path, e);
    } else if (code == ERR_NOT_FOUND) {
        err_set(e, ERR_NO_KEY, "%s", first.detail);
    } else if (code != ERR_OK && e) {
        *e = first;
    }
    if (s &&
        (check_public(v, name, s, e) != ERR_OK || vault__file_destroy(v, old, path, e) != ERR_OK)) {
        vault_signer_free(s);
        s = NULL;
    }
    free(path);
    free(old);
    return s;
}

/* ---- the next one ---- */

struct vault_signer *vault_signer_stage(struct vault *v, vault_label *label, void *arg,
                                        struct error *e)
{
    char *path = file_of(v, "checkpoint.key.next");
    struct vault_signer *s = NULL;
    if (vault__file_destroy(v, path, NULL, e) == ERR_OK && make(v, path, label, arg, e) == ERR_OK)
        s = open_file(v, path, e);
    free(path);
    return s;
}

struct vault_signer *vault_signer_staged(struct vault *v, struct error *e)
{
    char *path = file_of(v, "checkpoint.key.next");
    struct vault_signer *s = open_file(v, path, e);
    free(path);
    return s;
}

enum err vault_signer_unstage(struct vault *v, struct error *e)
{
    char *path = file_of(v, "checkpoint.key.next");
    enum err code = vault__file_destroy(v, path, NULL, e);
    free(path);
    return code;
}

enum err vault_signer_replace(struct vault *v, struct error *e)
{
    char *path = file_of(v, "checkpoint.key"), *old = file_of(v, "checkpoint.key.old");
    char *next = file_of(v, "checkpoint.key.next"), *public_file = file_of(v, "checkpoint.pub");
    struct vault_signer *s = open_file(v, next, e);
    enum err code = s ? ERR_OK : ERR_NO_KEY;
    if (s) {
        char *line = xasprintf("%s\n", s->line);
        code = vault__file_replace(v, public_file, line, strlen(line), e);
        free(line);
    }
    if (code == ERR_OK)
        code = vault__file_supersede(v, path, next, e);
    if (code == ERR_OK)
        code = vault__file_destroy(v, old, path, e);
    vault_signer_free(s);
    free(public_file);
    free(next);
    free(old);
    free(path);
    return code;
}

/* One file of that form from whichever master key to another; the others stay as they are. */
static enum err rewrap(struct vault *to, const char *path, struct error *e)
{
    uint8_t file[FILE_MAX];
    char line[VAULT_LABEL];
    size_t len = 0;
    uint8_t *seed = vault__secret_alloc(VAULT_KEY);
    enum err code = vault__file_read(path, true, file, sizeof file, &len, e);
    if (code == ERR_OK)
        code = unseal(to, path, file, len, line, seed, e);
    const uint8_t *kek = code == ERR_OK ? file + strlen(line) + 1 : NULL;
    if (kek && memcmp(kek, to->kek_id, VAULT__KEK_ID) != 0) {
        len = write_file(to, line, seed, file);
        code = vault__file_replace(to, path, file, len, e);
    }
    sodium_free(seed);
    return code;
}

enum err vault_signers_rewrap(struct vault *to, int64_t *count, struct error *e)
{
    DIR *dir = opendir(to->dir);
    enum err code = dir ? vault__secrets_rewrap(to, e) : err_set_errno(e, "cannot open", to->dir);
    *count = 0;
    for (struct dirent *one; dir && code == ERR_OK && (one = readdir(dir));) {
        size_t len = strlen(one->d_name);
        if (len < 5 || strcmp(one->d_name + len - 4, ".key") != 0 ||
            strcmp(one->d_name, "master.key") == 0)
            continue;
        char *path = file_of(to, one->d_name);
        code = rewrap(to, path, e);
        *count += code == ERR_OK;
        free(path);
    }
    if (dir)
        closedir(dir);
    return code;
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
