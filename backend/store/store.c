/* Opening, locking, closing. The invariants stand in store.h. */
#include "backend/base/conf.h"
#include "backend/store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct store {
    char *path;
    int lock; /* -1: read only */
    struct store_db *reader, *writer_db;
    struct store__writer *writer;
    bool closed;
};

/* Takes the lock; false with errno. After a kill -9 a child that is just being forked may hold it a
 * moment longer than the process it names. */
static bool lock_take(int fd)
{
    enum { TRIES = 40, STEP_NS = 5000000 };
    for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; i++) {
        char text[32] = "";
        bool held = errno == EWOULDBLOCK;
        ssize_t n = held ? pread(fd, text, sizeof text - 1, 0) : -1;
        long pid = n > 0 ? strtol(text, NULL, 10) : 0;
        bool gone = pid > 0 && pid <= INT_MAX && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
        if (!gone || i == TRIES) {
            errno = held ? EWOULDBLOCK : errno;
            return false;
        }
        nanosleep(&(struct timespec){.tv_nsec = STEP_NS}, NULL);
    }
    return true;
}

/* Takes the lock (S3); the descriptor, or -1 with *e. */
static int take_lock(const char *state_dir, struct error *e)
{
    char *path = xasprintf("%s/lock", state_dir);
    char text[32] = "";
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        err_set_errno(e, "cannot open", path);
    } else if (!lock_take(fd)) {
        ssize_t n = errno == EWOULDBLOCK ? pread(fd, text, sizeof text - 1, 0) : -1;
        long pid = n > 0 ? strtol(text, NULL, 10) : 0;
        if (n < 0)
            err_set_errno(e, "cannot lock", path);
        else if (pid > 0)
            err_set(e, ERR_LOCKED, "process %ld holds %s", pid, path);
        else
            err_set(e, ERR_LOCKED, "another process holds %s", path);
        close(fd);
        fd = -1;
    } else {
        /* Only a help for the message: a full disk must not keep the console from starting. */
        int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
        if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n)
            errno = 0;
    }
    free(path);
    return fd;
}

/* The file is made here and not by SQLite, so that nobody else may ever read it; the files that
 * SQLite puts beside it get the same permissions. */
static enum err make_file(const char *path, struct error *e)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set_errno(e, "cannot open", path);
    close(fd);
    return ERR_OK;
}

static enum err open_writing(struct store *s, struct loop *l, const char *dir, struct error *e)
{
    enum err code = conf_make_dirs(dir, e);
    if (code != ERR_OK)
        return code;
    s->lock = take_lock(dir, e);
    if (s->lock < 0)
        return e->code;
    code = make_file(s->path, e);
    if (code != ERR_OK)
        return code;
    s->writer_db = store__db_open(s->path, STORE__WRITE, 5000, e);
    if (!s->writer_db)
        return e->code;
    code = store__migrate(s->writer_db, e);
    if (code == ERR_OK)
        s->writer = store__writer_new(l, s->writer_db);
    return code;
}

static enum err open_reading(struct store *s, struct error *e)
{
    s->reader = store__db_open(s->path, STORE__READ, 1000, e);
    return s->reader ? store__refuse_older(s->reader, e) : e->code;
}

struct store *store_open(struct loop *l, const char *state_dir, bool read_only, struct error *e)
{
    struct error mine = {0};
    struct store *s = xcalloc(1, sizeof *s);
    s->lock = -1;
    s->path = xasprintf("%s/console.db", state_dir);
    struct stat st;
    if (read_only && stat(s->path, &st) != 0) {
        enum err code = errno == ENOENT ? ERR_NOT_FOUND : err_from_errno(errno);
        err_set(&mine, code, "%s: %s", s->path, strerror(errno));
    } else if (!read_only) {
        open_writing(s, l, state_dir, &mine);
    }
    if (mine.code == ERR_OK)
        open_reading(s, &mine);
    if (mine.code == ERR_OK)
        return s;
    if (e)
        *e = mine;
    store_free(s);
    return NULL;
}

void store_close(struct store *s)
{
    s->closed = true;
}

void store_free(struct store *s)
{
    if (!s)
        return;
    s->closed = true;
    store__writer_free(s->writer);
    store_db_close(s->reader);
    store_db_close(s->writer_db); /* the last one: SQLite checkpoints here */
    if (s->lock >= 0)
        close(s->lock); /* S3: the lock goes last */
    free(s->path);
    free(s);
}

struct store_db *store_reader(struct store *s)
{
    return s->reader;
}

const char *store_path(const struct store *s)
{
    return s->path;
}

static void add(struct store *s, store_op *op, store_op *end, store_done *done, void *arg)
{
    BUG_IF(!s->writer);
    struct error refused = {0};
    if (s->closed)
        err_set(&refused, ERR_CLOSED, "the database is being closed");
    store__writer_add(s->writer, op, end, done, arg, s->closed ? &refused : NULL);
}

void store_write(struct store *s, store_op *op, store_done *done, void *arg)
{
    BUG_IF(!op);
    add(s, op, NULL, done, arg);
}

void store_write_end(struct store *s, store_op *op, store_op *end, store_done *done, void *arg)
{
    BUG_IF(!op || !end);
    add(s, op, end, done, arg);
}

void store_scrub(struct store *s, store_done *done, void *arg)
{
    add(s, NULL, NULL, done, arg);
}
