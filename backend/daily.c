/* The daily bundle: what was logged since the one before, without payloads, in a folder that can be
 * copied elsewhere.
 *
 * Invariants
 * D1 Each begins where the last one in the table `bundles` ended, so together they hold every
 * entry, whatever the clock does. A row is written when its file is durable: a crash between makes
 * the file twice, never not at all. D2 One is due when a day of local time has begun since the last
 * one, also when the console was not running then. */
#include "backend/base/clock.h"
#include "backend/internal.h"
#include "backend/provenance/bundle.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Not while a subcommand runs: those end sooner. */
enum { FIRST_MS = 5000, LOOK_MS = 60 * 1000, AGAIN_MS = 10 * 60 * 1000, DAY = 16 };

struct last { /* what the table says */
    char day[DAY];
    int64_t at, size; /* of the console's clock; how many entries they all hold */
};

struct daily {
    struct backend *backend;
    struct loop_timer *timer;
    struct error error; /* of the last attempt */
    bool making;
};

/* One that is written. */
struct file {
    struct backend *backend;
    struct prov_bundle *bundle;
    char *dir, *name;
    char day[DAY];
    int64_t at, size;
    struct error error;
};

static void file_free(struct file *f)
{
    prov_bundle_free(f->bundle);
    free(f->dir);
    free(f->name);
    free(f);
}

/* ---- when ---- */

static bool take_last(void *arg, const struct store_row *row)
{
    struct last *l = arg;
    const char *day = store_text(row, 0);
    snprintf(l->day, sizeof l->day, "%s", day ? day : "");
    l->at = store_int(row, 1);
    l->size = store_int(row, 2);
    return false;
}

/* Before the first one, the log's first entry stands for it. */
static bool read_last(struct backend *b, struct last *l)
{
    struct store_db *db = store_reader(b->store);
    *l = (struct last){.at = -1};
    if (store_query(db, NULL, take_last, l,
                    "SELECT day, at, size FROM bundles ORDER BY size DESC LIMIT 1", "") != ERR_OK)
        return false;
    if (l->at >= 0)
        return true;
    l->at = store_scalar(db, -1, "SELECT ts FROM entries WHERE seq = 0", "");
    if (l->at >= 0)
        clock_local_day(l->at, l->day);
    return l->at >= 0;
}

/* D2; a clock that went back to an earlier day makes one too, and counts from there. */
static bool due(const struct last *l, int64_t now, const char *today)
{
    int order = strcmp(today, l->day);
    return order > 0 || (order < 0 && now < l->at);
}

/* ---- into the folder ---- */

static enum err write_file(const char *path, const struct buf *bytes, struct error *e)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set_errno(e, "cannot make", path);
    enum err code = ERR_OK;
    for (size_t at = 0; at < bytes->len && code == ERR_OK;) {
        ssize_t n = write(fd, bytes->data + at, bytes->len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            code = err_set_errno(e, "cannot write", path);
        at += n > 0 ? (size_t)n : 0;
    }
    if (code == ERR_OK && fsync(fd) != 0)
        code = err_set_errno(e, "cannot sync", path);
    if (close(fd) != 0 && code == ERR_OK)
        code = err_set_errno(e, "cannot write", path);
    return code;
}

static enum err sync_directory(const char *path, struct error *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(e, "cannot open", path);
    enum err code = fsync(fd) == 0 ? ERR_OK : err_set_errno(e, "cannot sync", path);
    close(fd);
    return code;
}

static void write_work(void *arg)
{
    struct file *f = arg;
    char *path = xasprintf("%s/%s", f->dir, f->name), *fresh = xasprintf("%s.new", path);
    if (conf_make_dirs(f->dir, &f->error) == ERR_OK &&
        write_file(fresh, &f->bundle->tar, &f->error) == ERR_OK) {
        if (rename(fresh, path) != 0)
            err_set_errno(&f->error, "cannot rename", fresh);
        else
            sync_directory(f->dir, &f->error);
    }
    if (f->error.code != ERR_OK)
        unlink(fresh);
    free(path);
    free(fresh);
}

/* ---- the table, and what is kept ---- */

static void told(struct daily *d, const struct error *e)
{
    d->error = *e;
    d->making = false;
    if (e->code != ERR_OK && d->timer)
        loop_timer_start(d->timer, AGAIN_MS, LOOK_MS);
    backend__changed(d->backend);
}

static enum err insert(struct store_db *db, void *arg, struct error *e)
{
    const struct file *f = arg;
    return store_exec(db, e, "INSERT OR REPLACE INTO bundles VALUES(?, ?, ?, ?, ?)", "isiis",
                      f->size, f->day, f->at, f->bundle->entry, f->name);
}

struct old {
    char *dir;
    int64_t size; /* rows up to it go */
};

static bool remove_old(void *arg, const struct store_row *row)
{
    struct old *o = arg;
    const char *name = store_text(row, 1);
    if (o->size < 0)
        o->size = store_int(row, 0);
    if (name && !strchr(name, '/')) {
        char *path = xasprintf("%s/%s", o->dir, name);
        unlink(path);
        free(path);
    }
    return true;
}

static enum err forget(struct store_db *db, void *arg, struct error *e)
{
    const struct old *o = arg;
    return store_exec(db, e, "DELETE FROM bundles WHERE size <= ?", "i", o->size);
}

static void forgotten(void *arg, const struct error *e)
{
    struct old *o = arg;
    (void)e; /* the next day removes them again */
    free(o->dir);
    free(o);
}

/* Beyond the newest ones that are kept, files go, then their rows. */
static void keep_newest(struct backend *b, const char *dir)
{
    struct old *o = xcalloc(1, sizeof *o);
    o->dir = xstrdup(dir);
    o->size = -1;
    store_query(store_reader(b->store), NULL, remove_old, o,
                "SELECT size, file FROM bundles ORDER BY size DESC LIMIT -1 OFFSET ?", "i",
                conf_int(b->conf, "evidence", "", "bundle_keep"));
    if (o->size >= 0)
        store_write(b->store, forget, forgotten, o);
    else
        forgotten(o, NULL);
}

static void inserted(void *arg, const struct error *e)
{
    struct file *f = arg;
    struct backend *b = f->backend;
    if (b->daily && !b->stopping) {
        told(b->daily, e);
        if (e->code == ERR_OK)
            keep_newest(b, f->dir);
    }
    file_free(f);
}

static void written(void *arg, bool cancelled)
{
    struct file *f = arg;
    struct backend *b = f->backend;
    if (cancelled || b->stopping) { /* D1: the next console makes it again */
        file_free(f);
    } else if (f->error.code != ERR_OK) {
        told(b->daily, &f->error);
        file_free(f);
    } else {
        store_write(b->store, insert, inserted, f);
    }
}

/* ---- making it ---- */

static void bundled(void *arg, struct prov_bundle *bundle, const struct error *e)
{
    struct file *f = arg;
    struct backend *b = f->backend;
    if (!bundle || b->stopping) {
        if (!b->stopping)
            told(b->daily, e);
        prov_bundle_free(bundle);
        file_free(f);
        return;
    }
    const char *dir = conf_str(b->conf, "evidence", "", "bundle_dir");
    f->bundle = bundle;
    f->size = bundle->size < f->size ? bundle->size : f->size;
    f->dir = *dir ? xstrdup(dir) : xasprintf("%s/bundles", b->state_dir);
    f->name = xasprintf("evidence-%s-%lld.tar", f->day, (long long)f->size);
    loop_work(b->loop, write_work, written, f);
}

static void look(void *arg)
{
    struct daily *d = arg;
    struct backend *b = d->backend;
    struct prov_state log;
    struct last last;
    char today[DAY], scope[64];
    int64_t now = clock_real_ms();
    clock_local_day(now, today);
    if (b->stopping || d->making || !read_last(b, &last) || !due(&last, now, today))
        return;
    prov_state(b->prov, &log);
    /* What a past epoch's end did not sign cannot be proved: after a failure it begins anew. */
    int64_t from = d->error.code == ERR_TAMPERED && last.size < log.base ? log.base : last.size;
    struct file *f = xcalloc(1, sizeof *f);
    f->backend = b;
    f->at = now;
    f->size = from + BUNDLE_ENTRIES;
    d->making = true;
    memcpy(f->day, today, sizeof f->day);
    snprintf(scope, sizeof scope, "daily bundle of %s", today);
    struct prov_bundle_options o = {
        .from = from, .to = f->size - 1, .scope = scope, .actor = "backend"};
    backend__bundle(b, &o, bundled, f);
}

void backend__daily_start(struct backend *b)
{
    if (!conf_flag(b->conf, "evidence", "", "bundle_daily"))
        return;
    b->daily = xcalloc(1, sizeof *b->daily);
    b->daily->backend = b;
    b->daily->timer = loop_timer_new(b->loop, look, b->daily);
    loop_timer_start(b->daily->timer, FIRST_MS, LOOK_MS);
}

const struct error *backend__daily_error(const struct backend *b)
{
    return b->daily && b->daily->error.code != ERR_OK ? &b->daily->error : NULL;
}

void backend__daily_free(struct backend *b)
{
    if (b->daily)
        loop_timer_free(b->daily->timer);
    free(b->daily);
    b->daily = NULL;
}
