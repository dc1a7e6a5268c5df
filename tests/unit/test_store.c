/* The store: S1..S4 of store.h, statements, a full disk, permissions. */
#include "backend/store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct world {
    char *dir;
    struct loop *loop;
    struct store *store;
    int pending;
};

static void open_store(struct world *w)
{
    struct error e = {0};
    w->loop = loop_new();
    w->store = store_open(w->loop, w->dir, false, &e);
    if (!w->store)
        fail_msg("store_open: %s", e.detail);
}

static void close_store(struct world *w)
{
    store_close(w->store);
    store_free(w->store);
    loop_free(w->loop);
    w->store = NULL;
}

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    w->dir = xasprintf("%s/mcpc-store-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(w->dir));
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    if (w->store)
        close_store(w);
    char *command = xasprintf("rm -rf '%s'", w->dir);
    int rc = system(command);
    free(command);
    free(w->dir);
    free(w);
    return rc;
}

struct write {
    struct world *world;
    int64_t at, score;
    struct error error;
    int order, runs; /* order of its done, and how often its op ran */
    bool visible;    /* another connection saw it inside done */
};

static int order;

static enum err insert(struct store_db *db, void *arg, struct error *e)
{
    struct write *w = arg;
    w->runs++;
    return store_exec(db, e, "INSERT INTO scores VALUES(?, ?)", "ii", w->at, w->score);
}

static void inserted(void *arg, const struct error *e)
{
    struct write *w = arg;
    w->error = *e;
    w->order = ++order;
    w->visible = store_scalar(store_reader(w->world->store), -1,
                              "SELECT score FROM scores WHERE at = ?", "i", w->at) == w->score;
    if (--w->world->pending == 0)
        loop_quit(w->world->loop);
}

static void write_one(struct world *w, struct write *write, int64_t at)
{
    *write = (struct write){.world = w, .at = at, .score = at + 1};
    w->pending++;
    store_write(w->store, insert, inserted, write);
}

static void test_writes(void **state) /* S1, S2 */
{
    enum { N = 2500 }; /* more than one group holds */
    struct world *w = *state;
    open_store(w);
    struct write *writes = xcalloc(N, sizeof *writes);
    order = 0;
    for (int i = 0; i < N; i++)
        write_one(w, &writes[i], i);
    loop_run(w->loop);
    for (int i = 0; i < N; i++) {
        assert_int_equal(writes[i].error.code, ERR_OK);
        assert_int_equal(writes[i].order, i + 1);
        assert_true(writes[i].visible);
        assert_int_equal(writes[i].runs, 1);
    }
    assert_int_equal(store_scalar(store_reader(w->store), -1, "SELECT count(*) FROM scores", ""),
                     N);
    free(writes);
}

static void test_bad_neighbour(void **state) /* S2: the others are written */
{
    struct world *w = *state;
    struct write writes[9];
    open_store(w);
    order = 0;
    for (int i = 0; i < 9; i++)
        write_one(w, &writes[i], i == 6 ? 2 : i); /* the seventh repeats a key */
    loop_run(w->loop);
    for (int i = 0; i < 9; i++) {
        assert_int_equal(writes[i].error.code, i == 6 ? ERR_INVALID : ERR_OK);
        assert_int_equal(writes[i].order, i + 1);
    }
    assert_non_null(strstr(writes[6].error.detail, "UNIQUE"));
}

/* The end: how many entries there were when it last ran; a score below zero must not be the last.
 */
static enum err end(struct store_db *db, void *arg, struct error *e)
{
    struct write *w = arg;
    if (w->score < 0)
        return err_set(e, ERR_INVALID, "this one must not be the last");
    return store_exec(db, e,
                      "INSERT INTO retention_state VALUES('ends', 1) ON CONFLICT(name)"
                      " DO UPDATE SET value = value + 1",
                      "");
}

static void test_end(void **state)
{
    enum { N = 700 };
    struct world *w = *state;
    struct write *writes = xcalloc(N + 3, sizeof *writes);
    open_store(w);
    for (int i = 0; i < N; i++) {
        writes[i] = (struct write){.world = w, .at = i, .score = i};
        w->pending++;
        store_write_end(w->store, insert, end, inserted, &writes[i]);
    }
    loop_run(w->loop);
    int64_t ends = store_scalar(store_reader(w->store), -1,
                                "SELECT value FROM retention_state WHERE name = 'ends'", "");
    assert_in_range(ends, 1, N / 4);  /* once a transaction, not once a write */
    for (int i = N; i < N + 3; i++) { /* the end of the group fails: each is tried alone */
        writes[i] = (struct write){.world = w, .at = i, .score = i == N + 2 ? -1 : i};
        w->pending++;
        store_write_end(w->store, insert, end, inserted, &writes[i]);
    }
    loop_run(w->loop);
    assert_int_equal(writes[N].error.code, ERR_OK);
    assert_int_equal(writes[N + 1].error.code, ERR_OK);
    assert_int_equal(writes[N + 2].error.code, ERR_INVALID);
    assert_int_equal(store_scalar(store_reader(w->store), -1, "SELECT count(*) FROM scores", ""),
                     N + 2);
    free(writes);
}

static void test_close(void **state)
{
    struct world *w = *state;
    struct write writes[4];
    open_store(w);
    for (int i = 0; i < 3; i++)
        write_one(w, &writes[i], i);
    store_close(w->store);
    write_one(w, &writes[3], 3);
    w->pending = 100; /* the loop never runs: done runs inside store_free */
    struct loop *loop = w->loop;
    store_free(w->store);
    w->store = NULL;
    loop_free(loop);
    for (int i = 0; i < 4; i++)
        assert_int_equal(writes[i].error.code, i == 3 ? ERR_CLOSED : ERR_OK);
    open_store(w);
    assert_int_equal(store_scalar(store_reader(w->store), -1, "SELECT count(*) FROM scores", ""),
                     3);
}

static void test_loop_first(void **state) /* the loop may be gone before the store */
{
    struct world *w = *state;
    struct write writes[2];
    open_store(w);
    write_one(w, &writes[0], 0);
    write_one(w, &writes[1], 1);
    w->pending = 100;
    loop_free(w->loop);
    store_free(w->store);
    w->store = NULL;
    assert_int_equal(writes[0].error.code, ERR_OK);
    assert_int_equal(writes[1].error.code, ERR_OK);
}

static void test_lock(void **state) /* S3 */
{
    struct world *w = *state;
    struct error e = {0};
    char pid[32];
    open_store(w);
    assert_null(store_open(w->loop, w->dir, false, &e));
    assert_int_equal(e.code, ERR_LOCKED);
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_non_null(strstr(e.detail, pid));
    /* Reading beside it is allowed. */
    struct store *reader = store_open(NULL, w->dir, true, &e);
    assert_non_null(reader);
    store_free(reader);
    close_store(w);
    open_store(w);
}

static enum err set_version(struct store_db *db, void *arg, struct error *e)
{
    (void)arg;
    return store_exec(db, e, "PRAGMA user_version=99", "");
}

static char *digest_of(const char *path)
{
    char *command = xasprintf("sha256sum < '%s'", path);
    FILE *f = popen(command, "r");
    char *text = xcalloc(1, 80);
    assert_non_null(fgets(text, 80, f));
    pclose(f);
    free(command);
    return text;
}

static void test_newer(void **state) /* S4 */
{
    struct world *w = *state;
    struct error e = {0};
    open_store(w);
    char *path = xstrdup(store_path(w->store));
    store_write(w->store, set_version, NULL, NULL);
    close_store(w);
    char *before = digest_of(path);
    w->loop = loop_new();
    assert_null(store_open(w->loop, w->dir, false, &e));
    assert_int_equal(e.code, ERR_NEWER);
    assert_null(store_open(NULL, w->dir, true, &e));
    assert_int_equal(e.code, ERR_NEWER);
    loop_free(w->loop);
    char *after = digest_of(path);
    assert_string_equal(before, after);
    free(before);
    free(after);
    free(path);
}

static void test_not_a_database(void **state)
{
    struct world *w = *state;
    struct error e = {0};
    assert_null(store_open(NULL, w->dir, true, &e));
    assert_int_equal(e.code, ERR_NOT_FOUND);
    char *path = xasprintf("%s/console.db", w->dir);
    FILE *f = fopen(path, "w");
    for (int i = 0; i < 500; i++)
        fputs("this is not a database\n", f);
    fclose(f);
    w->loop = loop_new();
    assert_null(store_open(w->loop, w->dir, false, &e));
    assert_int_equal(e.code, ERR_CORRUPT);
    loop_free(w->loop);
    free(path);
}

static void test_private(void **state)
{
    struct world *w = *state;
    static const char *const names[] = {"console.db", "console.db-wal", "lock"};
    struct write write;
    struct stat st;
    open_store(w);
    write_one(w, &write, 1);
    loop_run(w->loop);
    for (size_t i = 0; i < 3; i++) {
        char *path = xasprintf("%s/%s", w->dir, names[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        free(path);
    }
}

/* In a child, because of its user: a directory of somebody else. */
static void test_read_only(void **state)
{
    struct world *w = *state;
    assert_int_equal(chmod(w->dir, geteuid() == 0 ? 0755 : 0555), 0);
    pid_t child = fork();
    if (child == 0) {
        struct error e = {0};
        if (geteuid() == 0 && seteuid(65534) != 0)
            _exit(9);
        struct store *s = store_open(NULL, w->dir, false, &e);
        _exit(s ? 8 : e.code == ERR_READ_ONLY ? 0 : 7);
    }
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    chmod(w->dir, 0700);
}

static const char at_below[] = "SELECT at FROM scores WHERE at < ?";

static bool nested(void *arg, const struct store_row *row)
{
    struct world *w = arg;
    int64_t at = store_int(row, 0);
    /* The same literal while its statement is being stepped. */
    if (at > 0)
        assert_int_equal(store_query(store_reader(w->store), NULL, nested, w, at_below, "i", at),
                         ERR_OK);
    else
        w->pending++;
    return true;
}

static bool same_text(void *arg, const struct store_row *row)
{
    size_t len;
    (void)arg;
    assert_string_equal(store_text(row, 0), "текст");
    assert_null(store_text(row, 1));
    assert_memory_equal(store_blob(row, 2, &len), "a\0b", 3);
    assert_int_equal(len, 3);
    assert_non_null(store_blob(row, 3, &len));
    assert_int_equal(len, 0);
    assert_null(store_blob(row, 4, &len));
    assert_int_equal(store_int(row, 5), 5);
    return true;
}

static void test_statements(void **state)
{
    struct world *w = *state;
    struct error e = {0};
    struct write writes[4];
    open_store(w);
    for (int i = 0; i < 4; i++)
        write_one(w, &writes[i], i);
    loop_run(w->loop);
    struct store_db *db = store_reader(w->store);
    w->pending = 0;
    assert_int_equal(store_query(db, &e, nested, w, at_below, "i", (int64_t)4), ERR_OK);
    assert_int_equal(w->pending, 8); /* 2^3 ways down from 4 to 0 */
    assert_int_equal(store_query(db, &e, same_text, NULL, "SELECT ?, ?, ?, ?, ?, ?", "ssbbbi",
                                 "текст", (const char *)NULL, (const void *)"a\0b", (size_t)3,
                                 (const void *)"", (size_t)0, (const void *)NULL, (size_t)0,
                                 (int64_t)5),
                     ERR_OK);
    assert_int_equal(store_scalar(db, -7, "SELECT max(at) FROM scores WHERE at > 50", ""), -7);
    /* The reader cannot write. */
    assert_int_not_equal(store_exec(db, &e, "DELETE FROM scores", ""), ERR_OK);
    struct store_db *own = store_db_open(store_path(w->store), &e);
    assert_non_null(own);
    assert_int_equal(store_scalar(own, -1, "SELECT count(*) FROM scores", ""), 4);
    store_db_close(own);
}

/* The disk, as the library sees it: these stand in front of the C library's functions. */
static struct {
    bool broken;
    int64_t room; /* bytes until it is full */
} disk = {.room = INT64_MAX};

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at);
ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at)
{
    if (disk.room < (int64_t)len) {
        errno = ENOSPC;
        return -1;
    }
    disk.room -= (int64_t)len;
    return syscall(SYS_pwrite64, fd, bytes, len, at);
}

int fdatasync(int fd)
{
    if (disk.broken) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

/* Writes one after the other: fill the disk, see that it stays full and that reading goes on, give
 * it room, see that writing comes back; the same with a disk that cannot sync. */
struct filling {
    struct world *world;
    int64_t good;
    int step;
};

static const char count_keys[] = "SELECT count(*) FROM data_keys";

static enum err insert_big(struct store_db *db, void *arg, struct error *e)
{
    static const char zeros[100000];
    (void)arg;
    return store_exec(db, e, "INSERT INTO data_keys VALUES(hex(randomblob(16)), 'k', 1, ?)", "b",
                      (const void *)zeros, sizeof zeros);
}

static void inserted_big(void *arg, const struct error *e)
{
    struct filling *f = arg;
    f->good += e->code == ERR_OK;
    assert_int_equal(store_scalar(store_reader(f->world->store), -1, count_keys, ""), f->good);
    assert_true(f->good < 40);
    if (f->step == 0 && e->code == ERR_OK) {
        disk.room = disk.room > 1000000 ? 1000000 : disk.room;
    } else if (f->step == 0) {
        assert_int_equal(e->code, ERR_NO_SPACE);
        assert_true(f->good > 2);
        f->step++;
    } else if (f->step == 1) {
        assert_int_equal(e->code, ERR_NO_SPACE);
        disk.room = INT64_MAX;
        f->step++;
    } else if (f->step == 2) {
        assert_int_equal(e->code, ERR_OK);
        disk.broken = true;
        f->step++;
    } else if (f->step == 3) {
        assert_int_equal(e->code, ERR_IO);
        disk.broken = false;
        f->step++;
    } else {
        assert_int_equal(e->code, ERR_OK);
        loop_quit(f->world->loop);
        return;
    }
    store_write(f->world->store, insert_big, inserted_big, f);
}

static void test_full_disk(void **state)
{
    struct world *w = *state;
    open_store(w);
    struct filling f = {.world = w};
    store_write(w->store, insert_big, inserted_big, &f);
    loop_run(w->loop);
    int64_t good = f.good;
    assert_int_equal(f.step, 4);
    close_store(w);
    open_store(w);
    assert_int_equal(store_scalar(store_reader(w->store), -1, count_keys, ""), good);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_writes),    TEST(test_bad_neighbour), TEST(test_end),
        TEST(test_close),     TEST(test_loop_first),    TEST(test_lock),
        TEST(test_newer),     TEST(test_private),       TEST(test_not_a_database),
        TEST(test_read_only), TEST(test_statements),    TEST(test_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
