/* Makes each system call that the log makes on its files fail once, and looks at what is left.
 *
 * A process opens a log (a fresh one, or one with two sessions), appends, signs, appends again,
 * ends its session; its n-th open, write, fsync, rename, ftruncate, link, unlink or mkdir fails
 * with EIO or ENOSPC, or a write is cut short, for n = 1, 2, ... until no call is left to fail.
 * Then: I1 it did not die of it: it ended with an error that says so, or went on; I2 what failed
 * has IO or NO_SPACE, ENOSPC the latter; I3 what is appended after the failure is
 * acknowledged, without a restart; I4 the next start finds every acknowledged entry with its
 * payload and every acknowledged checkpoint, the log verifies, and goes on being written and
 * signed. At last a disk becomes full and stays so: what is there can be read, what is appended is
 * refused with NO_SPACE, and taken again when there is space.
 *
 * usage: fault_io [STEP]     only each STEP-th call, beginning at a random one; exit code 0: all
 * good */
#include "shim/fail.c"

#include "world.h"

#include <signal.h>
#include <sys/wait.h>

enum { FEW = 6, OPEN_FAILED = 7 };

enum what { ENTRY, CHECKPOINT, LATE, OPENED, FIRED };

struct event { /* what the process reports */
    enum what what;
    enum err code;
    int64_t seq, number; /* CHECKPOINT: seq is its size */
    char detail[256];
};

struct run { /* the process in which calls fail */
    struct world world;
    int fd;
    int64_t number;
    bool late; /* the call has failed: from here on all must succeed */
};

struct result { /* what the parent was told */
    struct ack acks[64];
    size_t count;
    int64_t signed_size;
    bool fired;
    int bad, refused;
};

static void tell(struct run *r, struct event event, const struct error *e)
{
    if (e) {
        event.code = e->code;
        snprintf(event.detail, sizeof event.detail, "%s", e->detail);
    }
    if (write(r->fd, &event, sizeof event) != sizeof event)
        _exit(5);
}

struct request {
    struct run *run;
    int64_t number;
    bool late;
};

static void appended(void *arg, int64_t seq, const struct error *e)
{
    struct request *q = arg;
    struct event event = {.what = q->late ? LATE : ENTRY, .seq = seq, .number = q->number};
    tell(q->run, event, e);
    free(q);
}

static void append(struct run *r, int n)
{
    for (int i = 0; i < n; i++) {
        struct request *q = xcalloc(1, sizeof *q);
        *q = (struct request){r, r->number++, r->late};
        world_append(&r->world, q->number, appended, q);
    }
    world_settle(&r->world);
    r->late = fail.fired;
}

static void signed_one(void *arg, json_t *checkpoint, const struct error *e)
{
    struct event event = {.what = CHECKPOINT, .seq = json_int(checkpoint, "size", -1)};
    tell(arg, event, e);
}

static _Noreturn void run_failing(const char *dir, int fd)
{
    struct run r = {.fd = fd};
    struct error e = {0};
    struct prov_signing signing = {.origin = "", .environment = "fault"};
    if (world_open(&r.world, dir, &e) != ERR_OK) {
        tell(&r, (struct event){.what = OPENED}, &e);
        tell(&r, (struct event){.what = FIRED, .code = fail.fired}, NULL);
        world_close(&r.world);
        _exit(OPEN_FAILED);
    }
    prov_sign(r.world.prov, &signing);
    world_settle(&r.world);
    r.late = fail.fired;
    append(&r, 3);
    prov_checkpoint(r.world.prov, signed_one, &r);
    world_settle(&r.world);
    append(&r, FEW);
    append(&r, 2);
    prov_close(r.world.prov);
    world_settle(&r.world);
    world_close(&r.world);
    tell(&r, (struct event){.what = FIRED, .code = fail.fired}, NULL);
    _exit(0);
}

/* ---- the process whose disk is full (I5) ---- */

struct full {
    struct world world;
    struct result *result;
    int64_t number;
    int taken, refused, wrong;
    bool space;
};

static void full_answer(struct full *f, const struct error *e)
{
    bool right = f->space ? e->code == ERR_OK : e->code == ERR_OK || e->code == ERR_NO_SPACE;
    f->taken += e->code == ERR_OK;
    f->refused += e->code == ERR_NO_SPACE;
    f->wrong += !right;
    if (!right)
        fprintf(stderr, "%s: %s: %s\n", f->space ? "there is space" : "the disk is full",
                err_name(e->code), e->detail);
}

static void full_appended(void *arg, int64_t seq, const struct error *e)
{
    struct full *f = arg;
    struct result *r = f->result;
    if (e->code == ERR_OK)
        r->acks[r->count++] = (struct ack){seq, f->number};
    full_answer(f, e);
}

static void full_signed(void *arg, json_t *checkpoint, const struct error *e)
{
    (void)checkpoint;
    full_answer(arg, e);
}

/* One at a time: the number of those that were taken. */
static int full_append(struct full *f, int n)
{
    int before = f->taken;
    for (int i = 0; i < n; i++) {
        f->number++;
        world_append(&f->world, f->number, full_appended, f);
        world_settle(&f->world);
    }
    return f->taken - before;
}

static _Noreturn void run_full(const char *dir, long n)
{
    struct result r = {.signed_size = -1};
    struct full f = {.result = &r, .space = true};
    struct error e = {0};
    struct prov_signing signing = {.origin = "", .environment = "fault"};
    bool good = world_open(&f.world, dir, &e) == ERR_OK;
    if (!good)
        _exit(3);
    prov_sign(f.world.prov, &signing);
    good = full_append(&f, 3) == 3;
    fail_arm(dir, WRITE, n, ENOSPC, ON);
    f.space = false;
    int taken = full_append(&f, 8);
    prov_checkpoint(f.world.prov, full_signed, &f);
    world_settle(&f.world);
    good = good && f.refused > 0 && taken < 8 && world_has(&f.world, r.acks, r.count);
    json_t *list = prov_list(f.world.prov, &(struct prov_filter){-1, -1, .limit = 100}, &e);
    good = good && json_array_size(list) >= r.count;
    json_decref(list);
    fail.n = 0;
    f.space = true;
    good = full_append(&f, 3) == 3 && good;
    prov_checkpoint(f.world.prov, full_signed, &f);
    world_settle(&f.world);
    good = good && !f.wrong && world_has(&f.world, r.acks, r.count);
    prov_close(f.world.prov);
    world_settle(&f.world);
    world_close(&f.world);
    _exit(good ? 0 : 1);
}

/* ---- the process that looks ---- */

static void sign_again(void *arg, json_t *checkpoint, const struct error *e)
{
    if (!checkpoint)
        fprintf(stderr, "the next start does not sign: %s: %s\n", err_name(e->code), e->detail);
    *(int64_t *)arg = json_int(checkpoint, "size", -1);
}

static _Noreturn void run_looking(const char *dir, const struct result *result)
{
    struct world w = {0};
    struct error e = {0};
    struct prov_state state;
    struct prov_signing signing = {.origin = "", .environment = "fault"};
    int64_t size = -1;
    if (world_open(&w, dir, &e) != ERR_OK) {
        fprintf(stderr, "the next start: %s: %s\n", err_name(e.code), e.detail);
        _exit(3);
    }
    prov_sign(w.prov, &signing);
    world_settle(&w);
    prov_state(w.prov, &state);
    bool good = world_has(&w, result->acks, result->count);
    if (state.signed_size < result->signed_size) {
        fprintf(stderr, "the checkpoint over %lld entries is gone\n",
                (long long)result->signed_size);
        good = false;
    }
    prov_checkpoint(w.prov, sign_again, &size);
    world_settle(&w);
    good = world_verify(&w, 0) == 0 && size >= 0 && good;
    prov_close(w.prov);
    world_settle(&w);
    world_close(&w);
    _exit(good ? 0 : 1);
}

/* ---- rounds ---- */

static int in_process(const char *what, pid_t pid)
{
    int status;
    waitpid(pid, &status, 0);
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    fprintf(stderr, "%s: signal %d\n", what, WTERMSIG(status));
    return -1;
}

static bool take(struct result *r, const struct event *event, enum fail_kind kind, int error)
{
    bool refused = event->code != ERR_OK;
    /* SQLite keeps no reason why it could not make or sync a file. */
    bool right = event->code == (error == ENOSPC ? ERR_NO_SPACE : ERR_IO) ||
                 ((kind == OPEN || kind == SYNC) && event->code == ERR_IO);
    switch (event->what) {
    case FIRED:
        r->fired = event->code != 0;
        return true;
    case CHECKPOINT:
        if (!refused && event->seq > r->signed_size)
            r->signed_size = event->seq;
        break;
    case ENTRY:
    case LATE:
        if (!refused && r->count < sizeof r->acks / sizeof *r->acks)
            r->acks[r->count++] = (struct ack){event->seq, event->number};
        break;
    case OPENED:
        break;
    }
    r->refused += refused;
    if (refused && (!right || !*event->detail || event->what == LATE)) {
        fprintf(stderr, "%s%s: %s\n", event->what == LATE ? "after the failure: " : "",
                err_name(event->code), event->detail);
        r->bad++;
    }
    return true;
}

static void copy(const char *from, const char *to)
{
    char *command =
        xasprintf("rm -rf '%s' && cp -r '%s' '%s' 2>/dev/null || mkdir '%s'", to, from, to, to);
    if (system(command) != 0)
        exit(2);
    free(command);
}

/* The n-th call fails: false when there was none to fail. */
static bool one_round(const char *from, const char *dir, enum fail_kind kind, long n, int error,
                      enum fail_mode mode, int *bad, int *refused)
{
    struct result r = {.signed_size = -1};
    struct event event;
    int pipes[2];
    copy(from, dir);
    if (pipe(pipes) != 0)
        exit(2);
    pid_t pid = fork();
    if (pid == 0) {
        close(pipes[0]);
        alarm(20);
        fail_arm(dir, kind, n, error, mode);
        run_failing(dir, pipes[1]);
    }
    close(pipes[1]);
    while (read(pipes[0], &event, sizeof event) == sizeof event)
        take(&r, &event, kind, error);
    close(pipes[0]);
    int code = in_process("with a call that fails", pid);
    r.bad += code != 0 && code != OPEN_FAILED;
    pid = fork();
    if (pid == 0) {
        alarm(20);
        run_looking(dir, &r);
    }
    r.bad += in_process("the next start", pid) != 0;
    if (r.bad)
        fprintf(stderr, "FAILED: %s number %ld, %s%s, %s\n", fail_kinds[kind], n, strerror(error),
                mode == SHORT ? " after a part" : "", strstr(from, "old") ? "old log" : "new log");
    *bad += r.bad != 0;
    *refused += r.refused;
    return r.fired;
}

static int sweep(const char *from, const char *dir, int step, int *rounds)
{
    static const struct {
        int error;
        enum fail_mode mode;
    } ways[] = {{EIO, ONCE}, {ENOSPC, ONCE}, {ENOSPC, SHORT}};
    int bad = 0;
    for (int kind = 0; kind < KINDS; kind++) {
        int before = *rounds, refused = 0;
        for (size_t way = 0; way < sizeof ways / sizeof *ways; way++) {
            if ((ways[way].mode == SHORT && kind != WRITE) ||
                (ways[way].error == ENOSPC && kind == UNLINK))
                continue;
            int by = kind == WRITE ? step : 1 + step / 6;
            for (long n = 1 + rand() % by;
                 one_round(from, dir, (enum fail_kind)kind, n, ways[way].error, ways[way].mode,
                           &bad, &refused);
                 n += by)
                ++*rounds;
        }
        printf("  %s: %d rounds, %d things refused\n", fail_kinds[kind], *rounds - before, refused);
        fflush(stdout);
    }
    return bad;
}

static int fill_up(const char *from, const char *dir, int step, int *rounds)
{
    const struct result nothing = {.signed_size = -1};
    int bad = 0;
    for (long n = 1; n <= 24; n += step > 4 ? 4 : step, ++*rounds) {
        copy(from, dir);
        pid_t pid = fork();
        if (pid == 0) {
            alarm(20);
            run_full(dir, n);
        }
        bool good = in_process("on a full disk", pid) == 0;
        pid = fork();
        if (pid == 0) {
            alarm(20);
            run_looking(dir, &nothing);
        }
        good = in_process("after a full disk", pid) == 0 && good;
        if (!good)
            fprintf(stderr, "FAILED: a disk that is full from write %ld on\n", n);
        bad += !good;
    }
    return bad;
}

int main(int argc, char **argv)
{
    int step = argc > 1 ? (int)strtol(argv[1], NULL, 10) : (int)world_faults(24, 12, 1);
    int rounds = 0, bad = 0;
    unsigned seed = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : (unsigned)clock_real_ms();
    srand(seed);
    vault_init();
    if (step < 1)
        return 2;
    char *top = world_dir();
    char *none = xasprintf("%s/none", top), *old = xasprintf("%s/old", top),
         *dir = xasprintf("%s/dir", top);
    int nothing = 0;
    for (int i = 0; i < 2; i++) { /* the old log: two sessions in which nothing failed */
        one_round(i ? old : none, dir, MKDIR, 1000000, EIO, ONCE, &bad, &nothing);
        copy(dir, old);
    }
    printf("a new log\n");
    bad += sweep(none, dir, step, &rounds);
    printf("an old log\n");
    bad += sweep(old, dir, step, &rounds);
    bad += fill_up(old, dir, step, &rounds);
    printf("fault_io: %d calls failed, %d of them badly, seed %u\n", rounds, bad, seed);
    char *command = xasprintf("rm -rf '%s'", top);
    if (system(command) != 0)
        return 2;
    free(command);
    free(none);
    free(old);
    free(dir);
    free(top);
    return bad || !rounds;
}
