/* The master key's file, and secrets named by the configuration.
 *
 * Invariants
 * V1 master.key appears whole or not at all: it is written and synced under another name and then
 *    linked to its own, which fails if one is there already.
 * V2 A key that others than its owner can read is not used. */
#include "backend/base/conf.h"
#include "backend/base/text.h"
#include "backend/vault/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err sync_directory(const char *path, struct error *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(e, "cannot open", path);
    enum err code = fsync(fd) == 0 ? ERR_OK : err_set_errno(e, "cannot sync", path);
    close(fd);
    return code;
}

static enum err write_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ERR_IO;
        bytes += n;
        len -= (size_t)n;
    }
    return ERR_OK;
}

enum err vault__file_make(struct vault *v, const char *path, const void *bytes, size_t len,
                          struct error *e)
{
    enum err code = ERR_OK;
    char *fresh = xasprintf("%s.%ld", path, (long)getpid());
    unlink(fresh); /* left by a process of the same number that died here */
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        code = err_set_errno(e, "cannot make", fresh);
        goto out;
    }
    if (write_all(fd, bytes, len) != ERR_OK || fsync(fd) != 0)
        code = err_set_errno(e, "cannot write", fresh);
    close(fd);
    /* V1; another process that was faster wins, and its key is read. */
    if (code == ERR_OK && link(fresh, path) != 0 && errno != EEXIST)
        code = err_set_errno(e, "cannot make", path);
    unlink(fresh);
    if (code == ERR_OK)
        code = sync_directory(v->dir, e);
out:
    free(fresh);
    return code;
}

static enum err make_key(struct vault *v, struct error *e)
{
    uint8_t *key = vault__secret_alloc(VAULT_KEY);
    randombytes_buf(key, VAULT_KEY);
    enum err code = vault__file_make(v, v->file, key, VAULT_KEY, e);
    sodium_free(key);
    return code;
}

/* One path's owner and permissions; V2. */
static enum err check_private(const struct stat *st, const char *path, struct error *e)
{
    if (st->st_uid != geteuid())
        return err_set(e, ERR_NO_KEY, "%s belongs to user %ld, not to this one", path,
                       (long)st->st_uid);
    if (st->st_mode & 077)
        return err_set(e, ERR_NO_KEY, "%s can be used by others (mode %04o): chmod go= %s", path,
                       (unsigned)(st->st_mode & 07777), path);
    return ERR_OK;
}

bool vault_permissions_ok(const struct vault *v, struct error *e)
{
    const char *paths[] = {v->dir, v->file};
    for (size_t i = 0; i < 2; i++) {
        struct stat st;
        if (lstat(paths[i], &st) != 0) {
            err_set(e, ERR_NO_KEY, "%s: %s", paths[i], strerror(errno));
            return false;
        }
        if (i == 0 ? !S_ISDIR(st.st_mode) : !S_ISREG(st.st_mode)) {
            err_set(e, ERR_NO_KEY, "%s is not a %s", paths[i], i ? "plain file" : "directory");
            return false;
        }
        if (check_private(&st, paths[i], e) != ERR_OK)
            return false;
    }
    return true;
}

enum err vault__file_read(const char *path, bool secret, void *out, size_t max, size_t *len,
                          struct error *e)
{
    enum err code = ERR_OK;
    /* A pipe of that name must not make us wait. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        bool broken = errno == EIO || errno == EMFILE || errno == ENFILE || errno == ENOMEM;
        code = errno == ENOENT ? ERR_NOT_FOUND : broken ? ERR_IO : ERR_NO_KEY;
        return err_set(e, code, "%s: %s", path, strerror(errno));
    }
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        code = err_set(e, ERR_NO_KEY, "%s is not a plain file", path);
        goto out;
    }
    code = secret ? check_private(&st, path, e) : ERR_OK;
    if (code != ERR_OK)
        goto out;
    if (st.st_size < 0 || (uint64_t)st.st_size > max) {
        code = err_set(e, ERR_NO_KEY, "%s has %lld bytes, at most %zu are a key", path,
                       (long long)st.st_size, max);
        goto out;
    }
    *len = (size_t)st.st_size;
    if (read(fd, out, *len) != st.st_size)
        code = err_set(e, ERR_IO, "%s cannot be read", path);
out:
    close(fd);
    return code;
}

static enum err read_key(struct vault *v, struct error *e)
{
    size_t len = 0;
    enum err code = vault__file_read(v->file, true, v->master, VAULT_KEY, &len, e);
    if (code == ERR_OK && len != VAULT_KEY)
        code = err_set(e, ERR_NO_KEY, "%s has %zu bytes, not %d", v->file, len, VAULT_KEY);
    if (code == ERR_NOT_FOUND && e)
        e->code = ERR_NO_KEY;
    return code == ERR_NOT_FOUND ? ERR_NO_KEY : code;
}

struct vault *vault_open(const char *state_dir, bool create, struct error *e)
{
    static const char label[] = "mcp-console kek";
    struct vault *v = xcalloc(1, sizeof *v);
    v->dir = xasprintf("%s/keys", state_dir);
    v->file = xasprintf("%s/master.key", v->dir);
    v->master = vault__secret_alloc(VAULT_KEY);
    struct stat st;
    if (create && lstat(v->file, &st) != 0 && errno == ENOENT &&
        (conf_make_dirs(v->dir, e) != ERR_OK || make_key(v, e) != ERR_OK))
        goto fail;
    if (read_key(v, e) != ERR_OK || !vault_permissions_ok(v, e))
        goto fail;
    uint8_t hash[VAULT_HASH];
    vault_sha256(label, sizeof label - 1, v->master, VAULT_KEY, hash);
    text_hex(hash, VAULT__KEK_ID / 2, v->kek_id);
    sodium_mprotect_readonly(v->master);
    return v;
fail:
    vault_close(v);
    return NULL;
}

void vault_close(struct vault *v)
{
    if (!v)
        return;
    sodium_free(v->master);
    free(v->file);
    free(v->dir);
    free(v);
}

const char *vault_kek_id(const struct vault *v)
{
    return v->kek_id;
}

char *vault_secret(const char *reference, struct error *e)
{
    if (strncmp(reference, "env:", 4) != 0 || !reference[4]) {
        /* The text itself is not repeated: it may be the secret. */
        err_set(e, ERR_CONFIG, "a secret is named as env:VARIABLE, it is not written here itself");
        return NULL;
    }
    const char *value = getenv(reference + 4);
    if (!value || !*value) {
        err_set(e, ERR_NOT_FOUND, "the environment has no %s", reference + 4);
        return NULL;
    }
    size_t len = strlen(value) + 1;
    char *secret = vault__secret_alloc(len);
    memcpy(secret, value, len);
    return secret;
}

void vault_secret_free(char *secret)
{
    sodium_free(secret);
}
