/* Makes a system call on files below one directory fail: the n-th of its kind, once or from then
 * on. A program that includes this file arms it itself; preloaded into another one, it reads
 *     MCPC_FAIL="KIND N ERRNO MODE MARK DIRECTORY"
 * (numbers in decimal) and makes the file MARK when a call was made to fail. What a kind covers
 * stands in `kinds`; a mode is one of enum fail_mode. Everything else goes to the kernel as it
 * came.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum fail_kind { OPEN, WRITE, SYNC, RENAME, TRUNCATE, LINK, UNLINK, MKDIR, KINDS };
enum fail_mode {
    ONCE,  /* the n-th call fails */
    ON,    /* the n-th and all after it, of the kinds that need space too: a full disk */
    SHORT, /* the n-th write writes half, the next one fails */
    COUNT, /* nothing fails; at its end the program writes into MARK how many there were of each */
};

static const char *const fail_kinds[KINDS] = {
    [OPEN] = "open",     [WRITE] = "write, pwrite", [SYNC] = "fsync, fdatasync",
    [RENAME] = "rename", [TRUNCATE] = "ftruncate",  [LINK] = "link",
    [UNLINK] = "unlink", [MKDIR] = "mkdir",
};

static struct {
    char dir[PATH_MAX], mark[PATH_MAX];
    enum fail_kind kind;
    enum fail_mode mode;
    int error;
    long n; /* 0: nothing fails */
    long seen, counts[KINDS];
    bool fired;
} fail;

static void fail_arm(const char *dir, enum fail_kind kind, long n, int error, enum fail_mode mode)
{
    snprintf(fail.dir, sizeof fail.dir, "%s/", dir);
    fail.kind = kind;
    fail.mode = mode;
    fail.error = error;
    fail.seen = 0;
    fail.fired = false;
    fail.n = n;
}

__attribute__((constructor)) static void fail_from_environment(void)
{
    char *text = getenv("MCPC_FAIL"), *at = text, *mark_end;
    long number[4];
    if (!text)
        return;
    for (int i = 0; i < 4; i++)
        number[i] = strtol(at, &at, 10);
    mark_end = strchr(at + 1, ' ');
    if (!mark_end)
        return;
    snprintf(fail.mark, sizeof fail.mark, "%.*s", (int)(mark_end - at - 1), at + 1);
    fail_arm(mark_end + 1, (enum fail_kind)number[0], number[1], (int)number[2],
             (enum fail_mode)number[3]);
}

__attribute__((destructor)) static void fail_report(void)
{
    if (fail.mode != COUNT || !*fail.mark)
        return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, fail.mark, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    for (int i = 0; i < KINDS; i++) {
        char text[32];
        int n = snprintf(text, sizeof text, "%ld\n", fail.counts[i]);
        if (syscall(SYS_write, fd, text, n) != n)
            break;
    }
    syscall(SYS_close, fd);
}

static bool fail_at_path(const char *path)
{
    return strncmp(path, fail.dir, strlen(fail.dir)) == 0;
}

static bool fail_at_fd(int fd)
{
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    return fail_at_path(path);
}

static bool fail_needs_space(enum fail_kind kind)
{
    return kind == WRITE || kind == TRUNCATE || kind == MKDIR || kind == LINK || kind == RENAME;
}

static void fail_mark(void)
{
    int was = errno;
    if (!fail.fired && *fail.mark)
        syscall(SYS_close, syscall(SYS_openat, AT_FDCWD, fail.mark, O_CREAT | O_WRONLY, 0600));
    fail.fired = true;
    errno = was;
}

/* Whether this call, which is on a file of ours, fails now: then errno is set. *len: of a write,
 * made shorter if only a part is to be written. */
static bool fail_now(enum fail_kind kind, size_t *len)
{
    __atomic_add_fetch(&fail.counts[kind], 1, __ATOMIC_RELAXED);
    if (fail.mode == COUNT)
        return false;
    bool ours = kind == fail.kind || (fail.mode == ON && fail.fired && fail_needs_space(kind));
    if (!ours)
        return false;
    long seen = __atomic_add_fetch(&fail.seen, 1, __ATOMIC_RELAXED), n = fail.n;
    if (fail.mode == SHORT && len && seen == n && *len > 1)
        *len /= 2;
    else if (seen != n && !(seen > n && fail.mode == ON) && !(seen == n + 1 && fail.mode == SHORT))
        return false;
    else {
        fail_mark();
        errno = fail.error;
        return true;
    }
    return false;
}

static bool fail_fd(enum fail_kind kind, int fd, size_t *len)
{
    return fail.n && fail_at_fd(fd) && fail_now(kind, len);
}

static bool fail_path(enum fail_kind kind, const char *path)
{
    return fail.n && fail_at_path(path) && fail_now(kind, NULL);
}

static int fail_open(int dir, const char *path, int flags, mode_t mode)
{
    /* Only what makes a file may find no space for it. */
    bool may = fail.error != ENOSPC || flags & O_CREAT;
    if (may && fail_path(OPEN, path))
        return -1;
    return (int)syscall(SYS_openat, dir, path, flags, mode);
}

#define TAKE_MODE(flags)                   \
    mode_t mode = 0;                       \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list args;                      \
        va_start(args, flags);             \
        mode = va_arg(args, mode_t);       \
        va_end(args);                      \
    }

int open(const char *path, int flags, ...)
{
    TAKE_MODE(flags)
    return fail_open(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    TAKE_MODE(flags)
    return fail_open(AT_FDCWD, path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
    TAKE_MODE(flags)
    return fail_open(dir, path, flags, mode);
}

int openat64(int dir, const char *path, int flags, ...)
{
    TAKE_MODE(flags)
    return fail_open(dir, path, flags, mode);
}

ssize_t write(int fd, const void *bytes, size_t len)
{
    return fail_fd(WRITE, fd, &len) ? -1 : syscall(SYS_write, fd, bytes, len);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at)
{
    return fail_fd(WRITE, fd, &len) ? -1 : syscall(SYS_pwrite64, fd, bytes, len, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at)
{
    return fail_fd(WRITE, fd, &len) ? -1 : syscall(SYS_pwrite64, fd, bytes, len, at);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return fail_fd(WRITE, fd, NULL) ? -1 : syscall(SYS_writev, fd, parts, count);
}

int fsync(int fd)
{
    return fail_fd(SYNC, fd, NULL) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return fail_fd(SYNC, fd, NULL) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int ftruncate(int fd, off_t len)
{
    return fail_fd(TRUNCATE, fd, NULL) ? -1 : (int)syscall(SYS_ftruncate, fd, len);
}

int ftruncate64(int fd, off64_t len)
{
    return fail_fd(TRUNCATE, fd, NULL) ? -1 : (int)syscall(SYS_ftruncate, fd, len);
}

int rename(const char *from, const char *to)
{
    return fail_path(RENAME, to) ? -1
                                 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return fail_path(RENAME, to) ? -1 : (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    return fail_path(RENAME, to) ? -1
                                 : (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

int link(const char *from, const char *to)
{
    return fail_path(LINK, to) ? -1 : (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    return fail_path(LINK, to) ? -1 : (int)syscall(SYS_linkat, from_dir, from, to_dir, to, flags);
}

int unlink(const char *path)
{
    return fail_path(UNLINK, path) ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int unlinkat(int dir, const char *path, int flags)
{
    return fail_path(UNLINK, path) ? -1 : (int)syscall(SYS_unlinkat, dir, path, flags);
}

int mkdir(const char *path, mode_t mode)
{
    return fail_path(MKDIR, path) ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}
