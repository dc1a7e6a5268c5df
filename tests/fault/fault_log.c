/* Kills a process that is appending, at random moments, and looks at what it left: every entry that
 * was acknowledged is there with its payload, and the log verifies.
 *
 * usage: fault_log [rounds] [seed]     prints one line; exit code 0 when all rounds were good */
#include "backend/base/clock.h"
#include "backend/provenance/provenance.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { IN_FLIGHT = 40 };

struct ack {
    int64_t seq, number;
};

struct world {
    struct loop *loop;
    struct store *store;
    struct vault *vault;
    struct prov *prov;
    int fd;
    int64_t number; /* of the next payload */
    const struct ack *acks;
    size_t ack_count;
    int result;
};

static void open_world(struct world *w, const char *dir)
{
    struct error e = {0};
    w->loop = loop_new();
    w->store = store_open(w->loop, dir, false, &e);
    w->vault = w->store ? vault_open(dir, true, &e) : NULL;
    w->prov = w->vault ? prov_open(w->loop, w->store, w->vault, &e) : NULL;
    if (!w->prov) {
        fprintf(stderr, "%s: %s\n", err_name(e.code), e.detail);
        _exit(3);
    }
}

/* ---- the process that is killed ---- */

struct request {
    struct world *world;
    int64_t number;
};

static void append(struct world *w);

static void acked(void *arg, int64_t seq, const struct error *e)
{
    struct request *r = arg;
    struct world *w = r->world;
    struct ack ack = {seq, r->number};
    if (e->code != ERR_OK || write(w->fd, &ack, sizeof ack) != sizeof ack)
        _exit(4);
    free(r);
    append(w);
}

static void append(struct world *w)
{
    struct request *r = xcalloc(1, sizeof *r);
    r->world = w;
    r->number = w->number++;
    json_t *payload = json_object();
    json_puti(payload, "number", r->number);
    struct prov_entry entry = {.type = "question", .actor = "operator", .payload = payload};
    prov_append(w->prov, &entry, acked, r, NULL, NULL);
    json_decref(payload);
}

static _Noreturn void run_writer(const char *dir, int fd, int64_t number)
{
    struct world w = {.fd = fd, .number = number};
    open_world(&w, dir);
    for (int i = 0; i < IN_FLIGHT; i++)
        append(&w);
    loop_run(w.loop);
    _exit(5);
}

/* ---- the process that looks ---- */

static int check_acks(struct world *w)
{
    for (size_t i = 0; i < w->ack_count; i++) {
        struct error e = {0};
        json_t *payload = prov_payload(w->prov, w->acks[i].seq, &e);
        bool good = payload && json_int(payload, "number", -1) == w->acks[i].number;
        json_decref(payload);
        if (!good) {
            fprintf(stderr, "acknowledged entry %lld is not there or not the same: %s\n",
                    (long long)w->acks[i].seq, e.detail);
            return 1;
        }
    }
    return 0;
}

static void verified(void *arg, json_t *report)
{
    struct world *w = arg;
    w->result = check_acks(w);
    if (!json_flag(report, "ok", false)) {
        char *text = json_write(report);
        fprintf(stderr, "%s\n", text);
        free(text);
        w->result = 1;
    }
    json_decref(report);
    loop_quit(w->loop);
}

static _Noreturn void run_checker(const char *dir, const struct ack *acks, size_t count)
{
    struct world w = {.acks = acks, .ack_count = count, .result = 1};
    open_world(&w, dir);
    prov_verify_start(w.prov, 0, NULL, verified, &w);
    loop_run(w.loop);
    prov_close(w.prov);
    store_close(w.store);
    store_free(w.store);
    prov_free(w.prov);
    loop_free(w.loop);
    vault_close(w.vault);
    _exit(w.result);
}

/* ---- */

struct acks {
    struct ack *list;
    size_t count, cap;
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
        memcpy(&a->list[a->count++], a->part, sizeof a->part);
        a->part_len = 0;
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
    fflush(NULL);
    pid_t checker = fork();
    if (checker == 0) {
        size_t recent = acks->count > 2000 ? 2000 : acks->count;
        run_checker(dir, recent ? acks->list + acks->count - recent : NULL, recent);
    }
    waitpid(checker, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int argc, char **argv)
{
    long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 50;
    unsigned seed = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : (unsigned)clock_real_ms();
    const char *tmp = getenv("TMPDIR");
    char *dir = xasprintf("%s/mcpc-fault-XXXXXX", tmp ? tmp : "/tmp");
    struct acks acks = {0};
    long good = 0;
    if (!mkdtemp(dir))
        return 2;
    unsigned random = seed;
    for (; good < rounds; good++) {
        random = random * 1103515245u + 12345u;
        if (!one_round(dir, &acks, 2 + (int)(random >> 16) % 60, (int64_t)good << 32))
            break;
    }
    printf("fault_log: %ld of %ld rounds good, %zu entries acknowledged, seed %u\n", good, rounds,
           acks.count, seed);
    char *command = xasprintf("rm -rf '%s'", dir);
    if (good == rounds && system(command) != 0)
        return 2;
    if (good < rounds)
        printf("what it left is in %s\n", dir);
    bool had_acks = acks.count > 0;
    free(command);
    free(dir);
    free(acks.list);
    return good == rounds && (rounds < 10 || had_acks) ? 0 : 1;
}
