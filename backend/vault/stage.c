/* Rotation of the master key: the files of its steps, and what a crash between two of them left.
 * V3: `rotation` is written after master.key.next and removed last, so that as long as anything may
 * be wrapped under either key, both can be opened.
 *
 *   found                                  meaning, and what becomes of it
 *   master.key.next alone                  nothing is wrapped under it: destroyed
 *   `rotation`, master.key is the old one  staged: the caller finishes or goes back
 *   `rotation`, master.key is the new one  replaced: the caller finishes
 *   master.key.old alone                   the rotation was over: destroyed */
#include "backend/vault/internal.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char title[] = "mcp-console rotation 1\n";
enum { WRAP64 = VAULT_BASE64(VAULT_WRAP) - 1 };
enum { FILE_LEN = sizeof title - 1 + 2 * (4 + VAULT__KEK_ID + 1) + 2 * (WRAP64 + 1) };

struct rotation {
    char old_id[VAULT__KEK_ID + 1], new_id[VAULT__KEK_ID + 1];
    uint8_t new_by_old[VAULT_WRAP], old_by_new[VAULT_WRAP];
};

static char *file_of(const struct vault *v, const char *name)
{
    return xasprintf("%s/%s", v->dir, name);
}

static void write_text(const struct rotation *r, char out[FILE_LEN + 1])
{
    char a[WRAP64 + 1], b[WRAP64 + 1];
    vault_base64(r->new_by_old, VAULT_WRAP, a);
    vault_base64(r->old_by_new, VAULT_WRAP, b);
    int n = snprintf(out, FILE_LEN + 1, "%sold %s\nnew %s\n%s\n%s\n", title, r->old_id, r->new_id,
                     a, b);
    BUG_IF(n != FILE_LEN);
}

/* Read, and written again: the file has one form. */
static bool read_text(const char *text, size_t len, struct rotation *r)
{
    char again[FILE_LEN + 1];
    const char *at = text + sizeof title - 1;
    if (len != FILE_LEN)
        return false;
    memcpy(r->old_id, at + 4, VAULT__KEK_ID);
    at += 4 + VAULT__KEK_ID + 1;
    memcpy(r->new_id, at + 4, VAULT__KEK_ID);
    at += 4 + VAULT__KEK_ID + 1;
    r->old_id[VAULT__KEK_ID] = r->new_id[VAULT__KEK_ID] = '\0';
    if (vault_unbase64(at, WRAP64, r->new_by_old, VAULT_WRAP) != VAULT_WRAP ||
        vault_unbase64(at + WRAP64 + 1, WRAP64, r->old_by_new, VAULT_WRAP) != VAULT_WRAP)
        return false;
    write_text(r, again);
    return memcmp(again, text, FILE_LEN) == 0;
}

static char *wrap_ad(const struct rotation *r, const char *which)
{
    return xasprintf("%sold %s\nnew %s\n%s", title, r->old_id, r->new_id, which);
}

static void wrap(const struct vault *by, const struct vault *key, const struct rotation *r,
                 const char *which, uint8_t out[VAULT_WRAP])
{
    char *ad = wrap_ad(r, which);
    randombytes_buf(out, VAULT_NONCE);
    vault__aead_seal(by->master, out, key->master, VAULT_KEY, ad, strlen(ad), out + VAULT_NONCE);
    free(ad);
}

/* The other key, from its wrap under v; NULL if it is none. */
static struct vault *unwrap(const struct vault *v, const struct rotation *r, const char *which,
                            const uint8_t sealed[VAULT_WRAP], const char *id)
{
    struct vault *other = vault__new(v->dir);
    char *ad = wrap_ad(r, which);
    int bad = vault__aead_open(v->master, sealed, sealed + VAULT_NONCE, VAULT_WRAP - VAULT_NONCE,
                               ad, strlen(ad), other->master);
    free(ad);
    if (!bad)
        vault__settle(other);
    if (!bad && strcmp(other->kek_id, id) == 0)
        return other;
    vault_close(other);
    return NULL;
}

static void pair(struct vault *old, struct vault *fresh, enum vault_step step)
{
    old->step = fresh->step = step;
    old->is_new = false;
    fresh->is_new = true;
    __atomic_store_n(&fresh->partner, old, __ATOMIC_RELEASE);
    __atomic_store_n(&old->partner, fresh, __ATOMIC_RELEASE);
}

enum vault_step vault_step(const struct vault *v)
{
    return v->step;
}

bool vault_is_new(const struct vault *v)
{
    return v->step != VAULT_STEADY && v->is_new;
}

struct vault *vault_partner(struct vault *v)
{
    return __atomic_load_n(&v->partner, __ATOMIC_ACQUIRE);
}

struct vault *vault_for(struct vault *v, const char *kek_id)
{
    enum { HOPS = 16 }; /* two that are partners of each other would go round for ever */
    for (int i = 0; v && i < HOPS; i++, v = vault_partner(v))
        if (strcmp(v->kek_id, kek_id) == 0)
            return v;
    return NULL;
}

/* ---- found at start ---- */

static enum err tidy(struct vault *v, struct error *e)
{
    static const char *const names[] = {"master.key.next", "master.key.old", "rotation.old"};
    enum err code = ERR_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names && code == ERR_OK; i++) {
        char *path = file_of(v, names[i]);
        code = vault__file_destroy(v, path, v->file, e);
        free(path);
    }
    return code;
}

/* `rotation` is whole or not there: it is overwritten under another name. */
static enum err end_rotation(struct vault *v, struct error *e)
{
    char *path = file_of(v, "rotation"), *old = file_of(v, "rotation.old");
    enum err code = rename(path, old) == 0 || errno == ENOENT
                        ? vault__sync_dir(v, e)
                        : err_set_errno(e, "cannot rename", path);
    if (code == ERR_OK)
        code = tidy(v, e);
    free(path);
    free(old);
    return code;
}

/* The passphrase did not open master.key: it may be the one that the staged key was sealed by. */
static enum err open_by_next(struct vault *v, const struct rotation *r, struct error *e)
{
    char *path = file_of(v, "master.key.next");
    struct vault *next = vault__new(v->dir), *old = NULL;
    struct error why = {0};
    next->pass = v->pass;
    if (vault__load(next, path, &why) == ERR_OK && strcmp(next->kek_id, r->new_id) == 0)
        old = unwrap(next, r, "old by new", r->old_by_new, r->old_id);
    free(path);
    if (!old) {
        vault_close(next);
        return ERR_PASSPHRASE; /* e says it already */
    }
    if (e)
        *e = (struct error){0};
    memcpy(v->master, old->master, VAULT_KEY);
    v->seal = VAULT_PASSPHRASE;
    vault__settle(v);
    vault_close(old);
    pair(v, next, VAULT_STAGED);
    return ERR_OK;
}

static enum err find_partner(struct vault *v, const struct rotation *r, struct error *e)
{
    bool is_old = strcmp(v->kek_id, r->old_id) == 0;
    struct vault *other = NULL;
    if (is_old)
        other = unwrap(v, r, "new by old", r->new_by_old, r->new_id);
    else if (strcmp(v->kek_id, r->new_id) == 0)
        other = unwrap(v, r, "old by new", r->old_by_new, r->old_id);
    if (!other)
        return err_set(e, ERR_NO_KEY, "%s/rotation is not of the master key %s that is here",
                       v->dir, v->kek_id);
    other->pass = v->pass;
    if (is_old)
        pair(v, other, VAULT_STAGED);
    else
        pair(other, v, VAULT_REPLACED);
    return ERR_OK;
}

enum err vault__stage_find(struct vault *v, bool opened, struct error *e)
{
    char *path = file_of(v, "rotation"), text[FILE_LEN + 1];
    struct rotation r;
    size_t len = 0;
    struct error why = {0};
    enum err code = vault__file_read(path, true, text, sizeof text, &len, &why);
    if (code == ERR_NOT_FOUND)
        code = opened ? tidy(v, &why) : ERR_PASSPHRASE;
    else if (code == ERR_OK && !read_text(text, len, &r))
        code = err_set(&why, ERR_NO_KEY, "%s is not in form", path);
    else if (code == ERR_OK)
        code = opened ? find_partner(v, &r, &why) : open_by_next(v, &r, e);
    if (code != ERR_OK && code != ERR_PASSPHRASE && e)
        *e = why;
    free(path);
    return code;
}

/* ---- the steps ---- */

static enum err write_next(struct vault *v, struct vault *next, enum vault_seal seal,
                           struct vault_pass *pass, struct error *e)
{
    size_t len = 0;
    char *path = file_of(v, "master.key.next");
    char *file = vault__secret_alloc(VAULT__MASTER_MAX);
    enum err code = vault__master_write(next, seal, pass, file, &len, e);
    if (code == ERR_OK)
        code = vault__file_replace(v, path, file, len, e);
    sodium_free(file);
    free(path);
    return code;
}

/* What was written opens, to the same key, from its file. */
static enum err self_test(struct vault *v, const struct vault *next, struct vault_pass *pass,
                          struct error *e)
{
    char *path = file_of(v, "master.key.next");
    struct vault *again = vault__new(v->dir);
    again->pass = pass;
    enum err code = vault__load(again, path, e);
    if (code == ERR_OK && !vault_equal(again->master, next->master, VAULT_KEY))
        code = err_set(e, ERR_NO_KEY, "%s opens to another key than was written", path);
    vault_close(again);
    free(path);
    return code;
}

static enum err write_rotation(struct vault *v, const struct vault *next, struct error *e)
{
    struct rotation r;
    char *path = file_of(v, "rotation"), text[FILE_LEN + 1];
    memcpy(r.old_id, v->kek_id, sizeof r.old_id);
    memcpy(r.new_id, next->kek_id, sizeof r.new_id);
    wrap(v, next, &r, "new by old", r.new_by_old);
    wrap(next, v, &r, "old by new", r.old_by_new);
    write_text(&r, text);
    enum err code = vault__file_replace(v, path, text, FILE_LEN, e);
    free(path);
    return code;
}

struct vault *vault_stage(struct vault *v, enum vault_seal seal, struct vault_pass *pass,
                          struct error *e)
{
    if (vault_partner(v)) {
        err_set(e, ERR_BUSY, "a rotation of the master key is under way");
        return NULL;
    }
    if (!pass)
        pass = v->pass;
    struct vault *next = vault__new(v->dir);
    randombytes_buf(next->master, VAULT_KEY);
    vault__settle(next);
    next->seal = seal;
    enum err code = write_next(v, next, seal, pass, e);
    if (code == ERR_OK)
        code = self_test(v, next, pass, e);
    if (code == ERR_OK)
        code = write_rotation(v, next, e);
    if (code == ERR_OK) {
        pair(v, next, VAULT_STAGED);
        next->pass = pass;
        return next;
    }
    end_rotation(v, NULL); /* `rotation` may be there although syncing it failed */
    vault_close(next);
    return NULL;
}

/* `gone` still leads to `stays`: another thread may be unwrapping with it. */
static void part(struct vault *stays, struct vault *gone)
{
    stays->step = gone->step = VAULT_STEADY;
    __atomic_store_n(&stays->partner, NULL, __ATOMIC_RELEASE);
    struct vault **end = &gone->retired;
    while (*end)
        end = &(*end)->retired;
    *end = stays->retired;
    stays->retired = gone;
}

enum err vault_unstage(struct vault *v, struct error *e)
{
    BUG_IF(v->step != VAULT_STAGED);
    enum err code = end_rotation(v, e);
    if (code == ERR_OK)
        part(v, v->partner);
    return code;
}

/* The file holds this key: by its bytes, or by the id that its seal is bound to. What is in it was
 * opened when it was written. */
static enum err holds(const char *path, const struct vault *key, struct error *e)
{
    struct vault__master m;
    size_t len = 0;
    char *file = vault__secret_alloc(VAULT__MASTER_MAX);
    enum err code = vault__file_read(path, true, file, VAULT__MASTER_MAX, &len, e);
    if (code == ERR_OK) {
        bool same = vault__master_read(file, len, &m) == NULL &&
                    (m.seal == VAULT_FILE ? vault_equal(file, key->master, VAULT_KEY)
                                          : strcmp(m.kek_id, key->kek_id) == 0);
        code = same ? ERR_OK : err_set(e, ERR_NO_KEY, "%s does not hold %s", path, key->kek_id);
    } else if (code == ERR_NOT_FOUND) {
        code = ERR_NO_KEY;
        if (e)
            e->code = code;
    }
    sodium_free(file);
    return code;
}

enum err vault_replace(struct vault *v, struct error *e)
{
    char *next = file_of(v, "master.key.next");
    BUG_IF(v->step != VAULT_STAGED);
    struct vault *fresh = v->is_new ? v : v->partner;
    struct error why = {0};
    enum err code = holds(next, fresh, &why);
    if (code == ERR_OK)
        code = vault__file_supersede(v, v->file, next, &why);
    /* Renamed, and only syncing failed: `rotation` opens both keys, so either file may survive. */
    if (code != ERR_OK && holds(v->file, fresh, NULL) == ERR_OK)
        code = ERR_OK;
    if (code == ERR_OK)
        v->step = v->partner->step = VAULT_REPLACED;
    else if (e)
        *e = why;
    free(next);
    return code;
}

enum err vault_finish(struct vault *v, struct error *e)
{
    BUG_IF(v->step != VAULT_REPLACED);
    /* The only other way to the new key goes with `rotation`. */
    enum err code = holds(v->file, v->is_new ? v : v->partner, e);
    if (code == ERR_OK)
        code = vault__sync_dir(v, e);
    if (code == ERR_OK)
        code = end_rotation(v, e);
    if (code == ERR_OK)
        v->is_new ? part(v, v->partner) : part(v->partner, v);
    return code;
}
