/* What the programs that attack the log share: a log that is open, and what was acknowledged. */
#ifndef FAULT_WORLD_H
#define FAULT_WORLD_H

#include "backend/base/clock.h"
#include "backend/provenance/provenance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct world {
    struct loop *loop;
    struct store *store;
    struct vault *vault;
    struct prov *prov;
    json_t *report; /* of the last verification */
};

struct ack { /* an entry that was acknowledged, and the number in its payload */
    int64_t seq, number;
};

/* How much is tried, by FAULTS in the environment: few, all, or as usual. See tests/check. */
static inline long world_faults(long few, long usual, long all)
{
    const char *faults = getenv("FAULTS");
    if (faults && strcmp(faults, "all") == 0)
        return all;
    return faults && strcmp(faults, "few") == 0 ? few : usual;
}

/* A fresh directory: in memory where that can be had, since files are synced there thousands of
 * times and what is attacked is not the disk. The caller frees. */
static inline char *world_dir(void)
{
    const char *tmp = getenv("TMPDIR");
    if (access("/dev/shm", W_OK) == 0)
        tmp = "/dev/shm";
    char *dir = xasprintf("%s/mcpc-fault-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(dir)) {
        perror(dir);
        exit(2);
    }
    return dir;
}

static inline enum err world_open(struct world *w, const char *dir, struct error *e)
{
    w->loop = loop_new();
    w->store = store_open(w->loop, dir, false, e);
    w->vault = w->store ? vault_open(dir, true, e) : NULL;
    w->prov = w->vault ? prov_open(w->loop, w->store, w->vault, e) : NULL;
    return w->prov ? ERR_OK : e->code;
}

/* Without a seal, unless prov_close was called and came to its end. */
static inline void world_close(struct world *w)
{
    if (w->store)
        store_close(w->store);
    store_free(w->store);
    prov_free(w->prov);
    loop_free(w->loop);
    vault_close(w->vault);
    json_decref(w->report);
    *w = (struct world){0};
}

static inline void world__look(void *arg)
{
    struct world *w = arg;
    if (!prov_pending(w->prov))
        loop_quit(w->loop);
}

/* Runs until nothing is on its way. */
static inline void world_settle(struct world *w)
{
    struct loop_timer *t = loop_timer_new(w->loop, world__look, w);
    loop_timer_start(t, 0, 1);
    loop_run(w->loop);
    loop_timer_free(t);
}

static inline void world__verified(void *arg, json_t *report)
{
    struct world *w = arg;
    w->report = report;
    loop_quit(w->loop);
}

/* From an entry on; the number of problems. */
static inline int64_t world_check(struct world *w, int64_t from)
{
    json_decref(w->report);
    prov_verify_start(w->prov, from, NULL, world__verified, w);
    loop_run(w->loop);
    return json_int(w->report, "problem_count", -1);
}

/* The same; they are shown. */
static inline int64_t world_verify(struct world *w, int64_t from)
{
    int64_t problems = world_check(w, from);
    if (problems) {
        char *text = json_write(w->report);
        fprintf(stderr, "%s\n", text);
        free(text);
    }
    return problems;
}

/* Each acknowledged entry is there, with its payload. */
static inline bool world_has(struct world *w, const struct ack *acks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct error e = {0};
        json_t *payload = prov_payload(w->prov, acks[i].seq, &e);
        bool good = payload && json_int(payload, "number", -1) == acks[i].number;
        json_decref(payload);
        if (!good) {
            fprintf(stderr, "acknowledged entry %lld is not there or not the same: %s\n",
                    (long long)acks[i].seq, e.detail);
            return false;
        }
    }
    return true;
}

static inline void world_append(struct world *w, int64_t number, prov_done *done, void *arg)
{
    json_t *payload = json_object();
    json_puti(payload, "number", number);
    struct prov_entry entry = {.type = "question", .actor = "operator", .payload = payload};
    prov_append(w->prov, &entry, done, arg, NULL, NULL);
    json_decref(payload);
}

#endif
