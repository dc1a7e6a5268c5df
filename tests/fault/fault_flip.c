/* Flips a bit of every byte of a small log's files, one at a time, and verifies: what was changed
 * is never accepted as good. Accepted is a log that opens, verifies in full with every payload, and
 * can be signed on in the same epoch; then every entry, payload, proof and checkpoint must read as
 * before, and every file but the database must be as before. So only what SQLite does not use, or
 * what is no part of the evidence, may differ.
 *
 * usage: fault_flip [STEP [SEED]]    each STEP-th byte of the database, beginning at a random one,
 * and every byte of the other files. FAULTS=few in the environment: fewer; FAULTS=all: every byte.
 * Exit code 0: all good */
#include "world.h"

#include "backend/base/buf.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { FILES = 16, BATCH = 50, WORKERS = 2 };

struct file {
    char name[64]; /* below the state directory */
    struct buf bytes;
    bool database;
};

struct set { /* the state directory as it was */
    struct file file[FILES];
    size_t count;
    int64_t entries;
    struct buf read; /* all that can be read, a line for each thing */
};

enum verdict { FOUND, SAME, WRONG, DIED };

struct tally {
    long found, same;
};

/* ---- the state directory in memory and on the disk ---- */

static void take_file(struct set *set, const char *dir, const char *name)
{
    char *path = xasprintf("%s/%s", dir, name), part[65536];
    int fd = open(path, O_RDONLY);
    BUG_IF(fd < 0 || set->count == FILES);
    struct file *f = &set->file[set->count++];
    snprintf(f->name, sizeof f->name, "%s", name);
    f->database = strcmp(name, "console.db") == 0;
    for (ssize_t n; (n = read(fd, part, sizeof part)) > 0;)
        buf_add(&f->bytes, part, (size_t)n);
    close(fd);
    free(path);
}

static void take_files(struct set *set, const char *dir, const char *below)
{
    char *path = xasprintf("%s/%s", dir, below);
    DIR *d = opendir(path);
    BUG_IF(!d);
    for (struct dirent *one; (one = readdir(d));) {
        char *name = xasprintf("%s%s%s", below, *below ? "/" : "", one->d_name);
        if (one->d_type == DT_REG && strcmp(name, "lock") != 0)
            take_file(set, dir, name);
        free(name);
    }
    closedir(d);
    free(path);
}

static void put_file(const char *dir, const struct file *f)
{
    char *path = xasprintf("%s/%s", dir, f->name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    BUG_IF(fd < 0 || write(fd, f->bytes.data, f->bytes.len) != (ssize_t)f->bytes.len);
    close(fd);
    free(path);
}

static void put_files(const char *dir, const struct set *set)
{
    static const char *const extra[] = {"console.db-wal", "console.db-shm", "checkpoint.new"};
    char *keys = xasprintf("%s/keys", dir);
    mkdir(dir, 0700);
    mkdir(keys, 0700);
    for (size_t i = 0; i < sizeof extra / sizeof *extra; i++) {
        char *path = xasprintf("%s/%s", dir, extra[i]);
        unlink(path);
        free(path);
    }
    for (size_t i = 0; i < set->count; i++)
        put_file(dir, &set->file[i]);
    free(keys);
}

static bool file_is_same(const char *dir, const struct file *f)
{
    struct set now = {0};
    take_file(&now, dir, f->name);
    bool same = now.file[0].bytes.len == f->bytes.len &&
                memcmp(now.file[0].bytes.data, f->bytes.data, f->bytes.len) == 0;
    buf_release(&now.file[0].bytes);
    return same;
}

/* ---- what can be read ---- */

static void add_json(struct buf *out, json_t *value)
{
    char *text = value ? json_write(value) : xstrdup("none");
    buf_adds(out, text);
    buf_addc(out, '\n');
    free(text);
    json_decref(value);
}

static bool add_note(void *arg, const struct store_row *row)
{
    const char *note = store_text(row, 0);
    buf_adds(arg, note ? note : "none");
    return true;
}

static void read_all(struct world *w, int64_t entries, struct buf *all)
{
    for (int64_t i = 0; i < entries; i++) {
        add_json(all, prov_get(w->prov, i, true, NULL));
        add_json(all, prov_proof(w->prov, i, NULL));
    }
    store_query(store_reader(w->store), NULL, add_note, all,
                "SELECT note FROM checkpoints WHERE size <= ? ORDER BY size", "i", entries);
}

static void show_difference(const char *was, const char *is)
{
    while (*was && *was == *is) {
        const char *end = strchr(was, '\n');
        size_t len = end ? (size_t)(end + 1 - was) : strlen(was);
        if (strncmp(was, is, len) != 0)
            break;
        was += len;
        is += len;
    }
    printf("  was %.*s\n  is  %.*s\n", (int)strcspn(was, "\n"), was, (int)strcspn(is, "\n"), is);
    fflush(stdout);
}

/* ---- one change ---- */

static const struct prov_signing signing = {.origin = "", .environment = "flip"};

static enum verdict judge(const char *dir, const struct set *set, const struct file *changed)
{
    struct world w = {0};
    struct error e = {0};
    struct prov_state state;
    struct buf all = {0};
    bool good = world_open(&w, dir, &e) == ERR_OK, same = false;
    if (good) {
        prov_sign(w.prov, &signing);
        world_settle(&w);
        world_check(&w, 0);
        prov_state(w.prov, &state);
        good = json_flag(w.report, "ok", false) && state.signing.code == ERR_OK &&
               state.epoch == 1 &&
               json_int(w.report, "payloads_checked", 0) == json_int(w.report, "checked", -1);
    }
    if (good) {
        read_all(&w, set->entries, &all);
        same = strcmp(all.data, set->read.data) == 0;
        if (!same)
            show_difference(set->read.data, all.data);
    }
    buf_release(&all);
    world_close(&w);
    if (!good)
        return FOUND;
    return same && (changed->database || file_is_same(dir, changed)) ? SAME : WRONG;
}

static unsigned char flipped(size_t at)
{
    return (unsigned char)(1U << (at * 2654435761U >> 7) % 8);
}

static enum verdict flip(const char *dir, struct set *set, struct file *f, size_t at)
{
    f->bytes.data[at] ^= (char)flipped(at);
    put_files(dir, set);
    f->bytes.data[at] ^= (char)flipped(at);
    return judge(dir, set, f);
}

/* A process for some changes, and if it dies one for each of them. False: something is wrong. */
static bool run_batch(const char *dir, struct set *set, struct file *f, const size_t *at, size_t n,
                      struct tally *t)
{
    int pipes[2], status;
    unsigned char verdict[BATCH];
    if (pipe(pipes) != 0)
        return false;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(n == 1 ? 20 : 120);
        for (size_t i = 0; i < n; i++)
            verdict[i] = (unsigned char)flip(dir, set, f, at[i]);
        _exit(write(pipes[1], verdict, n) == (ssize_t)n ? 0 : 9);
    }
    close(pipes[1]);
    bool whole = read(pipes[0], verdict, n) == (ssize_t)n, good = true;
    close(pipes[0]);
    waitpid(pid, &status, 0);
    if (!whole && n > 1) {
        for (size_t i = 0; i < n; i++)
            good = run_batch(dir, set, f, at + i, 1, t) && good;
        return good;
    }
    for (size_t i = 0; i < n; i++) {
        enum verdict v = whole ? (enum verdict)verdict[i] : DIED;
        t->found += v == FOUND;
        t->same += v == SAME;
        if (v == FOUND || v == SAME)
            continue;
        printf("FAILED: %s, bit %02x of byte %zu: %s\n", f->name, flipped(at[i]), at[i],
               v == DIED ? "the process died" : "accepted as good");
        good = false;
    }
    return good;
}

/* ---- all of them ---- */

/* Worker k of WORKERS does every WORKERS-th batch. */
static bool run_worker(const char *top, struct set *set, int k, size_t step, size_t offset)
{
    char *dir = xasprintf("%s/worker-%d", top, k);
    size_t small = (size_t)world_faults(4, 1, 1); /* of the files that are not the database */
    bool good = true;
    put_files(dir, set);
    for (size_t i = 0; i < set->count; i++) {
        struct file *f = &set->file[i];
        struct tally t = {0};
        size_t at[BATCH], n = 0, batch = 0, by = f->database ? step : small;
        for (size_t b = f->database ? offset : offset % small; b < f->bytes.len; b += by) {
            at[n++] = b;
            if (n < BATCH && b + by < f->bytes.len)
                continue;
            if (batch++ % WORKERS == (size_t)k)
                good = run_batch(dir, set, f, at, n, &t) && good;
            n = 0;
        }
        printf("  %s: %ld found, %ld without a meaning (worker %d)\n", f->name, t.found, t.same, k);
        fflush(stdout);
    }
    free(dir);
    return good;
}

static void make_log(const char *dir, struct set *set)
{
    for (int session = 0; session < 2; session++) {
        struct world w = {0};
        struct error e = {0};
        BUG_IF(world_open(&w, dir, &e) != ERR_OK);
        prov_sign(w.prov, &signing);
        for (int i = 0; i < 4; i++)
            world_append(&w, i, NULL, NULL);
        world_settle(&w);
        prov_close(w.prov);
        world_settle(&w);
        world_close(&w);
    }
    take_files(set, dir, "");
    take_files(set, dir, "keys");
}

int main(int argc, char **argv)
{
    size_t step = argc > 1 ? strtoul(argv[1], NULL, 10) : (size_t)world_faults(499, 151, 1);
    unsigned seed = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : (unsigned)clock_real_ms();
    struct set set = {0};
    struct world w = {0};
    struct error e = {0};
    struct prov_state state;
    if (step < 1)
        return 2;
    vault_init();
    char *top = world_dir();
    char *source = xasprintf("%s/source", top);
    make_log(source, &set);
    BUG_IF(world_open(&w, source, &e) != ERR_OK);
    prov_sign(w.prov, &signing);
    prov_state(w.prov, &state);
    set.entries = state.signed_size;
    read_all(&w, set.entries, &set.read);
    world_settle(&w);
    world_close(&w);
    put_files(source, &set);
    bool good = judge(source, &set, &set.file[0]) == SAME; /* nothing changed: accepted */
    if (!good)
        printf("FAILED: a log that nobody changed\n");
    pid_t pid[WORKERS];
    for (int k = 0; k < WORKERS; k++) {
        pid[k] = fork();
        if (pid[k] == 0)
            _exit(run_worker(top, &set, k, step, seed % step) ? 0 : 1);
    }
    for (int k = 0, status; k < WORKERS; k++) {
        waitpid(pid[k], &status, 0);
        good = WIFEXITED(status) && WEXITSTATUS(status) == 0 && good;
    }
    printf("fault_flip: %lld entries in %zu files, %s, seed %u\n", (long long)set.entries,
           set.count, good ? "nothing that was changed was accepted" : "FAILED", seed);
    char *command = xasprintf("rm -rf '%s'", top);
    if (system(command) != 0)
        return 2;
    for (size_t i = 0; i < set.count; i++)
        buf_release(&set.file[i].bytes);
    buf_release(&set.read);
    free(command);
    free(source);
    free(top);
    return good ? 0 : 1;
}
