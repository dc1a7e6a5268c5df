/* Files of the key directory: whole or not at all, its owner's alone, and gone when they are to be
 * gone.
 *
 * Invariants
 * V1 A file appears whole or not at all: it is written and synced under another name and then
 * linked or renamed to its own. V2 A key that others than its owner can read is not used. */
#include "backend/vault/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum err vault__sync_dir(const struct vault *v, struct error *e)
{
    int fd = open(v->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(e, "cannot open", v->dir);
    enum err code = fsync(fd) == 0 ? ERR_OK : err_set_errno(e, "cannot sync", v->dir);
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

/* The bytes under a name of this process's own, synced. The caller frees the name. */
static char *write_fresh(const char *path, const void *bytes, size_t len, struct error *e)
{
    enum err code = ERR_OK;
    char *fresh = xasprintf("%s.%ld", path, (long)getpid());
    unlink(fresh); /* left by a process of the same number that died here */
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        code = err_set_errno(e, "cannot make", fresh);
    else if (write_all(fd, bytes, len) != ERR_OK || fsync(fd) != 0)
        code = err_set_errno(e, "cannot write", fresh);
    if (fd >= 0)
        close(fd);
    if (code == ERR_OK)
        return fresh;
    if (fd >= 0)
        unlink(fresh);
    free(fresh);
    return NULL;
}

enum err vault__file_make(struct vault *v, const char *path, const void *bytes, size_t len,
                          struct error *e)
{
    struct error why = {0};
    char *fresh = write_fresh(path, bytes, len, &why);
    enum err code = why.code;
    /* V1; another process that was faster wins, and its key is read. */
    if (fresh && link(fresh, path) != 0 && errno != EEXIST)
        code = err_set_errno(&why, "cannot make", path);
    if (fresh)
        unlink(fresh);
    free(fresh);
    if (code == ERR_OK)
        return vault__sync_dir(v, e);
    if (e)
        *e = why;
    return code;
}

enum err vault__file_replace(struct vault *v, const char *path, const void *bytes, size_t len,
                             struct error *e)
{
    struct error why = {0};
    char *fresh = write_fresh(path, bytes, len, &why);
    enum err code = why.code;
    if (fresh && rename(fresh, path) != 0) {
        code = err_set_errno(&why, "cannot rename to", path);
        unlink(fresh);
    }
    free(fresh);
    if (code == ERR_OK)
        return vault__sync_dir(v, e);
    if (e)
        *e = why;
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

static bool path_ok(const char *path, bool directory, struct error *e)
{
    struct stat st;
    if (lstat(path, &st) != 0) {
        err_set(e, ERR_NO_KEY, "%s: %s", path, strerrordesc_np(errno));
        return false;
    }
    if (directory ? !S_ISDIR(st.st_mode) : !S_ISREG(st.st_mode)) {
        err_set(e, ERR_NO_KEY, "%s is not a %s", path, directory ? "directory" : "plain file");
        return false;
    }
    return check_private(&st, path, e) == ERR_OK;
}

bool vault_permissions_ok(const struct vault *v, struct error *e)
{
    bool ok = path_ok(v->dir, true, e) && path_ok(v->file, false, e);
    DIR *dir = ok ? opendir(v->dir) : NULL;
    for (struct dirent *one; dir && ok && (one = readdir(dir));) {
        size_t len = strlen(one->d_name);
        if (len < 4 || strcmp(one->d_name + len - 4, ".key") != 0)
            continue;
        char *path = xasprintf("%s/%s", v->dir, one->d_name);
        ok = path_ok(path, false, e);
        free(path);
    }
    if (dir)
        closedir(dir);
    return ok;
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
        return err_set(e, code, "%s: %s", path, strerrordesc_np(errno));
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

/* ---- gone ---- */

/* What a disk keeps of overwritten blocks is the disk's affair; what stands in the file is not. */
static enum err overwrite(int fd, off_t size, const char *path, struct error *e)
{
    uint8_t noise[256];
    for (off_t at = 0; at < size; at += (off_t)sizeof noise) {
        size_t n = size - at < (off_t)sizeof noise ? (size_t)(size - at) : sizeof noise;
        randombytes_buf(noise, n);
        if (write_all(fd, noise, n) != ERR_OK)
            return err_set_errno(e, "cannot overwrite", path);
    }
    return fsync(fd) == 0 ? ERR_OK : err_set_errno(e, "cannot sync", path);
}

enum err vault__file_destroy(struct vault *v, const char *path, const char *keep, struct error *e)
{
    struct stat st, kept = {0};
    enum err code = ERR_OK;
    if (lstat(path, &st) != 0)
        return errno == ENOENT ? ERR_OK : err_set_errno(e, "cannot look at", path);
    /* Under another name it may be a key that is in use. */
    bool same = st.st_nlink > 1 || (keep && lstat(keep, &kept) == 0 && kept.st_ino == st.st_ino);
    int fd = same || !S_ISREG(st.st_mode) ? -1 : open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && !same && S_ISREG(st.st_mode))
        return err_set_errno(e, "cannot open", path);
    if (fd >= 0) {
        code = overwrite(fd, st.st_size, path, e);
        close(fd);
    }
    if (code == ERR_OK && unlink(path) != 0)
        code = err_set_errno(e, "cannot remove", path);
    return code == ERR_OK ? vault__sync_dir(v, e) : code;
}

enum err vault__file_supersede(struct vault *v, const char *path, const char *fresh,
                               struct error *e)
{
    char *old = xasprintf("%s.old", path);
    enum err code = vault__file_destroy(v, old, path, e);
    if (code == ERR_OK && link(path, old) != 0 && errno != ENOENT)
        code = err_set_errno(e, "cannot link", old);
    if (code == ERR_OK)
        code = vault__sync_dir(v, e);
    if (code == ERR_OK && rename(fresh, path) != 0)
        code = err_set_errno(e, "cannot rename", fresh);
    if (code == ERR_OK)
        code = vault__sync_dir(v, e);
    free(old);
    return code;
}

void vault__sweep(struct vault *v)
{
    DIR *dir = opendir(v->dir);
    for (struct dirent *one; dir && (one = readdir(dir));) {
        const char *dot = strrchr(one->d_name, '.');
        if (!dot || !dot[1] || strspn(dot + 1, "0123456789") != strlen(dot + 1))
            continue;
        char *path = xasprintf("%s/%s", v->dir, one->d_name);
        char *keep = xasprintf("%s/%.*s", v->dir, (int)(dot - one->d_name), one->d_name);
        vault__file_destroy(v, path, keep, NULL); /* what cannot be removed is in nobody's way */
        free(keep);
        free(path);
    }
    if (dir)
        closedir(dir);
}
