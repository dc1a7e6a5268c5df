/* The form of master.key, and how it is sealed. docs/evidence-format.md describes it byte by byte.
 *
 * Bare:        the 32 bytes of the key
 * Passphrase:  "mcp-console master key 1\nseal passphrase\nkek_id ...\nkdf argon2id T M 1\nsalt
 * ...\n" "key BASE64\n": nonce || ciphertext || tag under the derived key; the lines before are the
 * additional data Credential:  "mcp-console master key 1\nseal systemd-creds\nkek_id ...\n" and,
 * behind it, what systemd-creds wrote */
#include "backend/base/text.h"
#include "backend/vault/internal.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* RFC 9106, section 4, the second recommended choice, with the one lane that libsodium has. */
enum { PASSES = 3, KIBIBYTES = 64 * 1024 };
/* What a file may ask for: whoever can write it must not be able to make the start endless. */
enum { PASSES_MAX = 16, KIBIBYTES_MIN = 8 * 1024, KIBIBYTES_MAX = 1024 * 1024 };

static const char title[] = "mcp-console master key 1\n";
static const char *const names[] = {"file", "passphrase", "systemd-creds"};

const char *vault_seal_name(enum vault_seal seal)
{
    return names[seal];
}

bool vault_seal_find(const char *name, enum vault_seal *out)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) {
            *out = (enum vault_seal)i;
            return true;
        }
    }
    return false;
}

/* ---- passphrases ---- */

struct vault_pass {
    char *text; /* NULL once it has served */
    size_t len;
    uint8_t *key; /* derived with what follows; NULL: nothing yet */
    uint8_t salt[VAULT__SALT];
    uint32_t passes, kibibytes;
    bool kept; /* the derived key is the one that opens or seals */
};

struct vault_pass *vault_pass_new(const char *text, size_t len, struct error *e)
{
    if (len == 0 || len > VAULT_PASS_MAX) {
        err_set(e, ERR_INVALID, "a passphrase has 1 to %d bytes", VAULT_PASS_MAX);
        return NULL;
    }
    struct vault_pass *p = xcalloc(1, sizeof *p);
    p->text = vault__secret_alloc(len);
    memcpy(p->text, text, len);
    p->len = len;
    return p;
}

void vault_pass_free(struct vault_pass *p)
{
    if (!p)
        return;
    sodium_free(p->text);
    sodium_free(p->key);
    free(p);
}

/* Derives the key for this salt, unless it is the one at hand. */
static enum err derive(struct vault_pass *p, const uint8_t salt[VAULT__SALT], uint32_t passes,
                       uint32_t kibibytes, struct error *e)
{
    if (p->key && p->passes == passes && p->kibibytes == kibibytes &&
        memcmp(p->salt, salt, VAULT__SALT) == 0)
        return ERR_OK;
    if (!p->text)
        return err_set(e, ERR_PASSPHRASE, "the passphrase is needed again, and was wiped");
    uint8_t *key = vault__secret_alloc(VAULT_KEY);
    if (crypto_pwhash(key, VAULT_KEY, p->text, p->len, salt, passes, (size_t)kibibytes * 1024,
                      crypto_pwhash_ALG_ARGON2ID13) != 0) {
        sodium_free(key);
        return err_set(e, ERR_BUSY, "there is no memory for Argon2id: it takes %u MiB",
                       kibibytes / 1024);
    }
    sodium_free(p->key);
    p->key = key;
    p->passes = passes;
    p->kibibytes = kibibytes;
    memcpy(p->salt, salt, VAULT__SALT);
    return ERR_OK;
}

static void served(struct vault_pass *p)
{
    p->kept = true;
    sodium_free(p->text);
    p->text = NULL;
}

/* ---- reading ---- */

/* `name VALUE\n` at *at; the value, and *at behind the line. NULL if the line is another one. */
static const char *take_line(const char **at, const char *end, const char *name, size_t *len)
{
    size_t n = strlen(name);
    if ((size_t)(end - *at) <= n || memcmp(*at, name, n) != 0 || (*at)[n] != ' ')
        return NULL;
    const char *value = *at + n + 1, *stop = memchr(value, '\n', (size_t)(end - value));
    if (!stop)
        return NULL;
    *len = (size_t)(stop - value);
    *at = stop + 1;
    return value;
}

/* A decimal number of at most 7 digits without a leading zero. */
static bool take_number(const char **at, const char *end, char stop, uint32_t *out)
{
    uint32_t value = 0;
    const char *from = *at;
    while (*at < end && **at >= '0' && **at <= '9' && *at - from < 7)
        value = 10 * value + (uint32_t)(*(*at)++ - '0');
    if (*at == from || *from == '0' || *at == end || **at != stop)
        return false;
    ++*at;
    *out = value;
    return true;
}

static const char *read_passphrase(const char *bytes, const char *at, const char *end,
                                   struct vault__master *out)
{
    static const char algorithm[] = "argon2id ";
    char hex[2 * VAULT__SALT + 1] = "";
    size_t n;
    uint32_t lanes;
    const char *value = take_line(&at, end, "kdf", &n), *stop = value ? value + n + 1 : NULL;
    if (!value || n < sizeof algorithm || memcmp(value, algorithm, sizeof algorithm - 1) != 0)
        return "it names no kdf that is known here";
    value += sizeof algorithm - 1;
    if (!take_number(&value, stop, ' ', &out->passes) ||
        !take_number(&value, stop, ' ', &out->kibibytes) ||
        !take_number(&value, stop, '\n', &lanes) || value != stop)
        return "the numbers of its kdf are not in form";
    if (out->passes > PASSES_MAX || out->kibibytes < KIBIBYTES_MIN ||
        out->kibibytes > KIBIBYTES_MAX || lanes != 1)
        return "the numbers of its kdf are out of bounds";
    value = take_line(&at, end, "salt", &n);
    if (!value || n != 2 * VAULT__SALT)
        return "its salt is not in form";
    memcpy(hex, value, n);
    if (text_unhex(hex, out->salt, VAULT__SALT) != 0 || strspn(hex, "0123456789abcdef") != n)
        return "its salt is not in form";
    out->bound = (size_t)(at - bytes);
    value = take_line(&at, end, "key", &n);
    if (!value || at != end ||
        vault_unbase64(value, n, out->sealed, sizeof out->sealed) != sizeof out->sealed)
        return "its sealed key is not in form";
    return NULL;
}

static const char *read_credential(const char *at, const char *end, struct vault__master *out)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    for (const char *c = at; c < end; c++)
        if (!*c || (*c != '\n' && !strchr(plain, *c)))
            return "its credential is not base64";
    if (at == end || end[-1] != '\n')
        return "its credential does not end with a line";
    out->credential = at;
    out->credential_len = (size_t)(end - at);
    return NULL;
}

const char *vault__master_read(const char *bytes, size_t len, struct vault__master *out)
{
    const char *at = bytes + sizeof title - 1, *end = bytes + len, *value;
    size_t n;
    *out = (struct vault__master){.seal = VAULT_FILE};
    if (len == VAULT_KEY)
        return NULL;
    if (len < sizeof title || memcmp(bytes, title, sizeof title - 1) != 0)
        return "it is neither 32 bytes nor begins as a master key does";
    value = take_line(&at, end, "seal", &n);
    if (value && n == strlen(names[VAULT_PASSPHRASE]) &&
        memcmp(value, names[VAULT_PASSPHRASE], n) == 0)
        out->seal = VAULT_PASSPHRASE;
    else if (value && n == strlen(names[VAULT_CREDS]) && memcmp(value, names[VAULT_CREDS], n) == 0)
        out->seal = VAULT_CREDS;
    else
        return "it names no seal that is known here";
    value = take_line(&at, end, "kek_id", &n);
    if (!value || n != VAULT__KEK_ID)
        return "its kek_id is not in form";
    memcpy(out->kek_id, value, VAULT__KEK_ID);
    if (strspn(out->kek_id, "0123456789abcdef") != VAULT__KEK_ID)
        return "its kek_id is not in form";
    return out->seal == VAULT_PASSPHRASE ? read_passphrase(bytes, at, end, out)
                                         : read_credential(at, end, out);
}

/* ---- opening ---- */

static enum err open_passphrase(const struct vault__master *m, const char *bytes,
                                struct vault_pass *pass, const char *path, uint8_t *key,
                                struct error *e)
{
    if (!pass)
        return err_set(e, ERR_PASSPHRASE, "%s is sealed by a passphrase, and none was given", path);
    enum err code = derive(pass, m->salt, m->passes, m->kibibytes, e);
    if (code != ERR_OK)
        return code;
    if (vault__aead_open(pass->key, m->sealed, m->sealed + VAULT_NONCE, VAULT_WRAP - VAULT_NONCE,
                         bytes, m->bound, key) != 0)
        return err_set(e, ERR_PASSPHRASE, "%s does not open: a wrong passphrase, or it was changed",
                       path);
    served(pass);
    return ERR_OK;
}

static enum err open_credential(const struct vault__master *m, const char *path, uint8_t *key,
                                bool *given, struct error *e)
{
    size_t len = 0;
    char id[VAULT__KEK_ID + 1] = "";
    struct error why = {0};
    enum err code = vault__creds_given(key, &why);
    if (code == ERR_OK)
        vault__kek_id(key, id);
    *given = code == ERR_OK && strcmp(id, m->kek_id) == 0;
    if (*given)
        return ERR_OK; /* what was handed over may be of before a rotation: then the file counts */
    if (code != ERR_OK && code != ERR_NOT_FOUND)
        return err_set(e, code, "%s", why.detail);
    uint8_t *out = vault__secret_alloc(VAULT_KEY + 1); /* one more than fits, to see that it ends */
    code = vault__creds_run(false, m->credential, m->credential_len, out, VAULT_KEY + 1, &len, e);
    if (code == ERR_OK && len != VAULT_KEY)
        code = err_set(e, ERR_NO_KEY, "the credential in %s holds %zu bytes, not %d", path, len,
                       VAULT_KEY);
    if (code == ERR_OK)
        memcpy(key, out, VAULT_KEY);
    sodium_free(out);
    return code;
}

enum err vault__master_open(const struct vault__master *m, const char *bytes,
                            struct vault_pass *pass, const char *path, uint8_t *key,
                            bool *from_credential, struct error *e)
{
    char id[VAULT__KEK_ID + 1];
    enum err code = ERR_OK;
    *from_credential = false;
    if (m->seal == VAULT_FILE)
        memcpy(key, bytes, VAULT_KEY);
    else if (m->seal == VAULT_PASSPHRASE)
        code = open_passphrase(m, bytes, pass, path, key, e);
    else
        code = open_credential(m, path, key, from_credential, e);
    if (code != ERR_OK || !*m->kek_id)
        return code;
    vault__kek_id(key, id);
    if (strcmp(id, m->kek_id) != 0)
        return err_set(e, ERR_NO_KEY, "%s is of master key %s, what opened is %s", path, m->kek_id,
                       id);
    return ERR_OK;
}

/* ---- writing ---- */

static enum err write_passphrase(const struct vault *v, struct vault_pass *pass, char *out,
                                 size_t *len, struct error *e)
{
    uint8_t salt[VAULT__SALT], sealed[VAULT_WRAP];
    char hex[2 * VAULT__SALT + 1], base64[VAULT_BASE64(VAULT_WRAP)];
    if (!pass)
        return err_set(e, ERR_PASSPHRASE,
                       "a passphrase is to seal the master key, and none was "
                       "given");
    if (pass->kept) /* of the same passphrase: its text is gone, its key is here */
        memcpy(salt, pass->salt, VAULT__SALT);
    else
        randombytes_buf(salt, sizeof salt);
    enum err code = pass->kept ? ERR_OK : derive(pass, salt, PASSES, KIBIBYTES, e);
    if (code != ERR_OK)
        return code;
    text_hex(salt, sizeof salt, hex);
    int n = snprintf(out, VAULT__MASTER_MAX,
                     "%sseal passphrase\nkek_id %s\nkdf argon2id %u %u 1\nsalt %s\n", title,
                     v->kek_id, pass->passes, pass->kibibytes, hex);
    randombytes_buf(sealed, VAULT_NONCE);
    vault__aead_seal(pass->key, sealed, v->master, VAULT_KEY, out, (size_t)n, sealed + VAULT_NONCE);
    vault_base64(sealed, sizeof sealed, base64);
    n += snprintf(out + n, VAULT__MASTER_MAX - (size_t)n, "key %s\n", base64);
    *len = (size_t)n;
    served(pass);
    return ERR_OK;
}

static enum err write_credential(const struct vault *v, char *out, size_t *len, struct error *e)
{
    size_t got = 0;
    int n = snprintf(out, VAULT__MASTER_MAX, "%sseal systemd-creds\nkek_id %s\n", title, v->kek_id);
    enum err code = vault__creds_run(true, v->master, VAULT_KEY, out + n,
                                     VAULT__MASTER_MAX - (size_t)n - 1, &got, e);
    if (code != ERR_OK)
        return code;
    *len = (size_t)n + got;
    if (out[*len - 1] != '\n')
        out[(*len)++] = '\n';
    struct vault__master again;
    const char *problem = vault__master_read(out, *len, &again);
    return problem ? err_set(e, ERR_UPSTREAM, "what systemd-creds encrypt wrote: %s", problem)
                   : ERR_OK;
}

enum err vault__master_write(const struct vault *v, enum vault_seal seal, struct vault_pass *pass,
                             char *out, size_t *len, struct error *e)
{
    switch (seal) {
    case VAULT_PASSPHRASE:
        return write_passphrase(v, pass, out, len, e);
    case VAULT_CREDS:
        return write_credential(v, out, len, e);
    default:
        memcpy(out, v->master, VAULT_KEY);
        *len = VAULT_KEY;
        return ERR_OK;
    }
}
