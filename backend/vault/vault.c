/* The master key. V1 and V2 stand in files.c.
 *
 * Invariants
 * V3 While two master keys are there, either opens both; which of them is in master.key says which
 *    one stays when the process dies. stage.c. */
#include "backend/base/conf.h"
#include "backend/base/text.h"
#include "backend/vault/internal.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void vault__kek_id(const uint8_t key[VAULT_KEY], char out[VAULT__KEK_ID + 1])
{
    static const char label[] = "mcp-console kek";
    uint8_t hash[VAULT_HASH];
    vault_sha256(label, sizeof label - 1, key, VAULT_KEY, hash);
    text_hex(hash, VAULT__KEK_ID / 2, out);
}

struct vault *vault__new(const char *keys_dir)
{
    struct vault *v = xcalloc(1, sizeof *v);
    v->dir = xstrdup(keys_dir);
    v->file = xasprintf("%s/master.key", keys_dir);
    v->master = vault__secret_alloc(VAULT_KEY);
    return v;
}

void vault__settle(struct vault *v)
{
    vault__kek_id(v->master, v->kek_id);
    sodium_mprotect_readonly(v->master);
}

static enum err make_key(struct vault *v, const struct vault_options *o, struct error *e)
{
    size_t len = 0;
    char *file = vault__secret_alloc(VAULT__MASTER_MAX);
    randombytes_buf(v->master, VAULT_KEY);
    vault__kek_id(v->master, v->kek_id);
    enum err code = vault__master_write(v, o->seal, o->pass, file, &len, e);
    if (code == ERR_OK)
        code = vault__file_make(v, v->file, file, len, e);
    sodium_free(file);
    return code;
}

enum err vault__load(struct vault *v, const char *path, struct error *e)
{
    struct vault__master m;
    size_t len = 0;
    char *file = vault__secret_alloc(VAULT__MASTER_MAX);
    enum err code = vault__file_read(path, true, file, VAULT__MASTER_MAX, &len, e);
    const char *problem = code == ERR_OK ? vault__master_read(file, len, &m) : NULL;
    if (problem)
        code = err_set(e, ERR_NO_KEY, "%s (%zu bytes): %s", path, len, problem);
    if (code == ERR_OK)
        code = vault__master_open(&m, file, v->pass, path, v->master, &v->from_credential, e);
    if (code == ERR_OK) {
        v->seal = m.seal;
        vault__settle(v);
    }
    sodium_free(file);
    return code;
}

/* There is no file: systemd may have handed the key over. */
static enum err load_given(struct vault *v, struct error *e)
{
    enum err code = vault__creds_given(v->master, e);
    if (code != ERR_OK)
        return code;
    v->seal = VAULT_CREDS;
    v->from_credential = true;
    vault__settle(v);
    return ERR_OK;
}

static enum err open_file(struct vault *v, const struct vault_options *o, struct error *e)
{
    struct stat st;
    struct error why = {0};
    bool none = lstat(v->file, &st) != 0 && errno == ENOENT;
    enum err code = none ? load_given(v, &why) : vault__load(v, v->file, &why);
    if (none && code == ERR_NOT_FOUND && o->create) {
        why = (struct error){0};
        code = conf_make_dirs(v->dir, &why);
        if (code == ERR_OK)
            code = make_key(v, o, &why);
        if (code == ERR_OK)
            code = vault__load(v, v->file, &why);
    } else if (none && code == ERR_NOT_FOUND) {
        code = err_set(&why, ERR_NO_KEY, "%s: %s", v->file, strerrordesc_np(ENOENT));
    }
    if (code != ERR_OK && e)
        *e = why;
    return code;
}

struct vault *vault_open_as(const struct vault_options *o, struct error *e)
{
    char *dir = xasprintf("%s/keys", o->state_dir);
    struct vault *v = vault__new(dir);
    free(dir);
    v->pass = o->pass;
    vault__sweep(v);
    struct error why = {0};
    enum err code = open_file(v, o, &why);
    if (code == ERR_OK || code == ERR_PASSPHRASE)
        code = vault__stage_find(v, code == ERR_OK,
                                 &why); /* the passphrase may be that of the staged key */
    if (code == ERR_OK && !v->from_credential && !vault_permissions_ok(v, &why))
        code = why.code;
    if (code == ERR_OK)
        return v;
    if (e)
        *e = why;
    vault_close(v);
    return NULL;
}

struct vault *vault_open(const char *state_dir, bool create, struct error *e)
{
    struct vault_options o = {.state_dir = state_dir, .create = create, .seal = VAULT_FILE};
    return vault_open_as(&o, e);
}

void vault_close(struct vault *v)
{
    if (!v)
        return;
    struct vault *partner = vault_partner(v);
    if (partner)
        partner->partner = NULL;
    vault_close(partner);
    while (v->retired) {
        struct vault *one = v->retired;
        v->retired = one->retired;
        one->retired = one->partner = NULL;
        vault_close(one);
    }
    sodium_free(v->master);
    free(v->file);
    free(v->dir);
    free(v);
}

enum err vault_seal_of(const char *state_dir, enum vault_seal *out, struct error *e)
{
    struct vault__master m;
    struct stat st;
    size_t len = 0;
    char *path = xasprintf("%s/keys/master.key", state_dir), *file = NULL;
    enum err code = ERR_OK;
    *out = VAULT_FILE;
    if (lstat(path, &st) != 0) {
        code = err_set(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_NO_KEY, "%s: %s", path,
                       strerrordesc_np(errno));
        goto out;
    }
    if (st.st_size == VAULT_KEY) /* the key itself: it need not be read for this */
        goto out;
    file = vault__secret_alloc(VAULT__MASTER_MAX);
    code = vault__file_read(path, true, file, VAULT__MASTER_MAX, &len, e);
    const char *problem = code == ERR_OK ? vault__master_read(file, len, &m) : NULL;
    if (problem)
        code = err_set(e, ERR_NO_KEY, "%s: %s", path, problem);
    if (code == ERR_OK)
        *out = m.seal;
out:
    sodium_free(file);
    free(path);
    return code;
}

enum err vault_unlocks(const char *state_dir, struct vault_pass *pass, struct error *e)
{
    static const char *const names[] = {"master.key", "master.key.next"};
    char *dir = xasprintf("%s/keys", state_dir);
    struct vault *v = vault__new(dir);
    enum err code = ERR_PASSPHRASE;
    v->pass = pass;
    for (size_t i = 0; i < 2 && code == ERR_PASSPHRASE; i++) {
        char *path = xasprintf("%s/%s", dir, names[i]);
        struct error why = {0};
        enum err one = vault__load(v, path, &why);
        if (i == 0 || one == ERR_OK)
            code = one;
        if (i == 0 && e)
            *e = why;
        free(path);
    }
    if (code == ERR_OK && e)
        *e = (struct error){0};
    vault_close(v);
    free(dir);
    return code;
}

const char *vault_kek_id(const struct vault *v)
{
    return v->kek_id;
}

enum vault_seal vault_sealed_by(const struct vault *v)
{
    return v->seal;
}

bool vault_from_credential(const struct vault *v)
{
    return v->from_credential;
}
