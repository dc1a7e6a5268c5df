/* Kills a process that appends, signs and begins sessions anew, at random moments, and looks at
 * what it left: every entry that was acknowledged is there with its payload, the newest
 * acknowledged checkpoint too, and the log verifies: after each kill what is new, at the end all of
 * it.
 *
 * usage: fault_log [ROUNDS [SEED]]     prints one line; exit code 0 when all rounds were good.
 * There are 500 rounds, or 150 if FAULTS=few. On a machine that is too busy for them in LIMIT_S
 * seconds there are fewer, and it says so; 5000 if FAULTS=all, however long they take. */
#include "world.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

enum { IN_FLIGHT = 16, SESSION = 50, SIGN_EVERY = 20 };
enum { LIMIT_S = 200, LEAST = 100 };
enum { SIGNED = -1 }; /* the number of an acknowledgement that is a checkpoint's; seq is its size */

/* ---- the process that is killed ---- */

struct writer {
    struct world world;
    int fd;
    int64_t number; /* of the next payload */
    int left;       /* in this session */
};

struct request {
    struct writer *writer;
    int64_t number;
};

static void append(struct writer *w);

static void tell(struct writer *w, int64_t seq, int64_t number, const struct error *e)
{
    struct ack ack = {seq, number};
    if (e->code != ERR_OK || write(w->fd, &ack, sizeof ack) != sizeof ack)
        _exit(4);
}

static void acked(void *arg, int64_t seq, const struct error *e)
{
    struct request *r = arg;
    struct writer *w = r->writer;
    tell(w, seq, r->number, e);
    free(r);
    append(w);
}

static void append(struct writer *w)
{
    if (w->left-- <= 0)
        return;
    struct request *r = xcalloc(1, sizeof *r);
    *r = (struct request){w, w->number++};
    world_append(&w->world, r->number, acked, r);
}

static void signed_one(void *arg, json_t *checkpoint, const struct error *e)
{
    tell(arg, json_int(checkpoint, "size", -1), SIGNED, e);
}

static _Noreturn void run_writer(const char *dir, int fd, int64_t number)
{
    struct writer w = {.fd = fd, .number = number};
    struct prov_signing signing = {.origin = "", .environment = "fault", .entries = SIGN_EVERY};
    for (;;) {
        struct error e = {0};
        if (world_open(&w.world, dir, &e) != ERR_OK) {
            fprintf(stderr, "%s: %s\n", err_name(e.code), e.detail);
            _exit(3);
        }
        prov_sign(w.world.prov, &signing);
        w.left = SESSION;
        for (int i = 0; i < IN_FLIGHT; i++)
            append(&w);
        world_settle(&w.world);
        prov_checkpoint(w.world.prov, signed_one, &w);
        world_settle(&w.world);
        prov_close(w.world.prov);
        world_settle(&w.world);
        world_close(&w.world);
    }
}

/* ---- the process that looks ---- */

static _Noreturn void run_checker(const char *dir, const struct ack *acks, size_t count,
                                  int64_t signed_size, int64_t from)
{
    struct world w = {0};
    struct error e = {0};
    struct prov_state state;
    struct prov_signing signing = {.origin = "", .environment = "fault"};
    if (world_open(&w, dir, &e) != ERR_OK) {
        fprintf(stderr, "%s: %s\n", err_name(e.code), e.detail);
        _exit(3);
    }
    prov_sign(w.prov, &signing);
    world_settle(&w);
    prov_state(w.prov, &state);
    bool good = world_has(&w, acks, count);
    if (state.signing.code != ERR_OK || state.signed_size < signed_size) {
        fprintf(stderr, "the checkpoint over %lld entries is not there: %s\n",
                (long long)signed_size, state.signing.detail);
        good = false;
    }
    good = world_verify(&w, from) == 0 && good;
    world_close(&w);
    _exit(good ? 0 : 1);
}

/* ---- */

struct acks {
    struct ack *list;
    size_t count, cap;
    int64_t signed_size, checkpoints;
    char part[sizeof(struct ack)];
    size_t part_len;
};

/* False at the end of the pipe. */
static bool read_acks(struct acks *a, int fd)
{
    char bytes[sizeof(struct ack) * 256];
    ssize_t n = read(fd, bytes, sizeof bytes);
    for (ssize_t i = 0; i < n; i++) {
        a->part[a->part_len++] = bytes[i];
        if (a->part_len < sizeof a->part)
            continue;
        if (a->count == a->cap) {
            a->cap = a->cap ? 2 * a->cap : 1024;
            a->list = xrealloc(a->list, a->cap * sizeof *a->list);
        }
        struct ack *ack = &a->list[a->count];
        memcpy(ack, a->part, sizeof *ack);
        a->part_len = 0;
        if (ack->number != SIGNED) {
            a->count++;
        } else {
            a->checkpoints++;
            a->signed_size = ack->seq;
        }
    }
    return n > 0;
}

static bool one_round(const char *dir, struct acks *acks, int after_ms, int64_t number)
{
    int pipes[2], status;
    if (pipe(pipes) != 0)
        return false;
    pid_t writer = fork();
    if (writer == 0) {
        close(pipes[0]);
        run_writer(dir, pipes[1], number);
    }
    close(pipes[1]);
    /* Mostly from its first acknowledgement on; sometimes while it is still starting. */
    struct pollfd first = {pipes[0], POLLIN, 0};
    if (after_ms % 5)
        poll(&first, 1, 10000);
    uint64_t until = clock_mono_ms() + (uint64_t)after_ms;
    for (uint64_t now; (now = clock_mono_ms()) < until;) {
        struct pollfd p = {pipes[0], POLLIN, 0};
        if (poll(&p, 1, (int)(until - now)) > 0 && !read_acks(acks, pipes[0]))
            break;
    }
    kill(writer, SIGKILL);
    while (read_acks(acks, pipes[0]))
        ;
    close(pipes[0]);
    acks->part_len = 0;
    waitpid(writer, &status, 0);
    if (!WIFSIGNALED(status)) {
        fprintf(stderr, "the writer ended by itself with %d\n", WEXITSTATUS(status));
        return false;
    }
    return true;
}

static bool look(const char *dir, const struct acks *acks, size_t recent, int64_t from)
{
    int status;
    if (recent > acks->count)
        recent = acks->count;
    fflush(NULL);
    pid_t checker = fork();
    if (checker == 0)
        run_checker(dir, recent ? acks->list + acks->count - recent : NULL, recent,
                    acks->signed_size, from);
    waitpid(checker, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* One kill, and what is new after it. */
static bool one(const char *dir, struct acks *acks, int after_ms, int64_t number)
{
    size_t before = acks->count;
    int64_t from = before ? acks->list[before - 1].seq : 0;
    return one_round(dir, acks, after_ms, number) &&
           look(dir, acks, acks->count - before + 50, from);
}

int main(int argc, char **argv)
{
    long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : world_faults(150, 500, 5000);
    unsigned seed = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : (unsigned)clock_real_ms();
    char *dir = world_dir();
    struct acks acks = {.signed_size = -1};
    long good = 0;
    unsigned random = seed;
    uint64_t until = clock_mono_ms() + (uint64_t)LIMIT_S * 1000;
    for (; good < rounds; good++) {
        if (argc < 2 && rounds <= 500 && good >= LEAST && clock_mono_ms() > until) {
            printf("this machine is too busy for %ld rounds\n", rounds);
            rounds = good;
            break;
        }
        random = random * 1103515245u + 12345u;
        if (!one(dir, &acks, (int)(random >> 16) % 32, (int64_t)good << 32))
            break;
    }
    bool whole = look(dir, &acks, acks.count, 0);
    printf("fault_log: %ld of %ld kills survived, %zu entries and %lld checkpoints acknowledged, "
           "%s at the end, seed %u\n",
           good, rounds, acks.count, (long long)acks.checkpoints, whole ? "whole" : "NOT WHOLE",
           seed);
    char *command = xasprintf("rm -rf '%s'", dir);
    if (good == rounds && whole && system(command) != 0)
        return 2;
    if (good < rounds || !whole)
        printf("what it left is in %s\n", dir);
    bool had_acks = acks.count > 0 && acks.checkpoints > 0;
    free(command);
    free(dir);
    free(acks.list);
    return good == rounds && whole && (rounds < 10 || had_acks) ? 0 : 1;
}
