/* Reading a long log: a page of it, and a search through all of it. Makes the log if it is not
 * there. Prints JSON lines.
 *
 * usage: bench_search STATE ENTRIES */
#include "backend/base/clock.h"
#include "backend/provenance/search.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WRITERS = 512, PAGES = 400, PAGE = 200, TRACE = 8 };

struct world {
    struct loop *loop;
    struct store *store;
    struct vault *vault;
    struct prov *prov;
    json_t *payload;
    int64_t left, flying, found, scanned, made;
    struct prov_search search;
    uint64_t longest, began;
};

static void append(struct world *w);

static void acked(void *arg, int64_t seq, const struct error *e)
{
    struct world *w = arg;
    (void)seq;
    if (e->code != ERR_OK) {
        fprintf(stderr, "bench_search: %s: %s\n", err_name(e->code), e->detail);
        exit(1);
    }
    w->flying--;
    if (w->left > 0)
        append(w);
    else if (w->flying == 0)
        loop_quit(w->loop);
}

static void append(struct world *w)
{
    static const char *const types[TRACE] = {"question",    "retrieval",  "tool.call",
                                             "tool.result", "model.call", "model.output",
                                             "verdict",     "answer"};
    static const char *const actors[TRACE] = {"operator",        "backend", "backend",
                                              "tool:host/disks", "backend", "model:builtin/lexical",
                                              "backend",         "backend"};
    char trace[33];
    int64_t n = w->made++;
    snprintf(trace, sizeof trace, "%032llx", (unsigned long long)(n / TRACE));
    struct prov_entry entry = {.type = types[n % TRACE],
                               .actor = actors[n % TRACE],
                               .trace_id = trace,
                               .payload = w->payload};
    w->left--;
    w->flying++;
    prov_append(w->prov, &entry, acked, w, NULL, NULL);
}

static void fill(struct world *w, int64_t n)
{
    w->payload = json_object();
    json_puts(w->payload, "text",
              "The disk /var is 91 % full; /var/log/journal holds 14 GB of it.");
    w->left = n;
    for (int i = 0; i < WRITERS && w->left > 0; i++)
        append(w);
    if (w->flying)
        loop_run(w->loop);
    json_decref(w->payload);
}

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void pages(struct world *w, int64_t size)
{
    uint64_t took[PAGES];
    double cpu = cpu_ms();
    for (int i = 0; i < PAGES; i++) {
        struct prov_filter f = {
            .before = (int64_t)i * 7919 * 131 % size, .after = -1, .limit = PAGE};
        uint64_t began = clock_mono_ns();
        json_t *rows = prov_list(w->prov, &f, NULL);
        took[i] = clock_mono_ns() - began;
        json_decref(rows);
    }
    cpu = cpu_ms() - cpu;
    qsort(took, PAGES, sizeof *took, compare);
    printf("{\"name\":\"page.p50\",\"value\":%.3f,\"unit\":\"ms\",\"cpu\":%.3f}\n",
           (double)took[PAGES / 2] / 1e6, cpu / PAGES);
    printf("{\"name\":\"page.p99\",\"value\":%.3f,\"unit\":\"ms\"}\n",
           (double)took[PAGES * 99 / 100] / 1e6);
}

static void searched(void *arg, json_t *result, const struct error *e);

static void go_on(struct world *w)
{
    w->began = clock_mono_ns();
    prov_search(w->prov, &w->search, searched, w);
}

static void searched(void *arg, json_t *result, const struct error *e)
{
    struct world *w = arg;
    uint64_t took = clock_mono_ns() - w->began;
    if (!result) {
        fprintf(stderr, "bench_search: %s\n", e->detail);
        exit(1);
    }
    w->longest = took > w->longest ? took : w->longest;
    w->found += (int64_t)json_array_size(json_object_get(result, "entries"));
    w->scanned += json_int(result, "scanned", 0);
    w->search.before = json_int(result, "next", -1);
    if (json_flag(result, "done", true))
        loop_quit(w->loop);
    else
        go_on(w);
}

static void search(struct world *w, const char *name, const struct prov_search *what)
{
    uint64_t began = clock_mono_ns();
    double cpu = cpu_ms();
    w->search = *what;
    w->found = w->scanned = 0;
    w->longest = 0;
    go_on(w);
    loop_run(w->loop);
    printf("{\"name\":\"search.%s\",\"value\":%.1f,\"unit\":\"ms\",\"scanned\":%lld,\"found\":%lld,"
           "\"longest\":%.1f,\"cpu\":%.1f}\n",
           name, (double)(clock_mono_ns() - began) / 1e6, (long long)w->scanned,
           (long long)w->found, (double)w->longest / 1e6, cpu_ms() - cpu);
}

int main(int argc, char **argv)
{
    struct world w = {0};
    struct error e = {0};
    struct prov_state state;
    if (argc != 3)
        return 2;
    vault_init();
    w.loop = loop_new();
    w.store = store_open(w.loop, argv[1], false, &e);
    w.vault = w.store ? vault_open(argv[1], true, &e) : NULL;
    w.prov = w.vault ? prov_open(w.loop, w.store, w.vault, &e) : NULL;
    if (!w.prov) {
        fprintf(stderr, "bench_search: %s: %s\n", err_name(e.code), e.detail);
        return 1;
    }
    prov_state(w.prov, &state);
    fill(&w, strtol(argv[2], NULL, 10) - state.size);
    prov_state(w.prov, &state);
    pages(&w, state.size);
    struct prov_search all = {.before = -1, .after = -1, .since = -1, .until = -1, .limit = 1000};
    struct prov_search s = all;
    s.actor = "nobody";
    search(&w, "headers", &s);
    s = all;
    s.text = "nothing has this";
    search(&w, "text_of_headers", &s);
    s.payloads = true;
    search(&w, "text_of_payloads", &s);
    prov_close(w.prov);
    store_close(w.store);
    store_free(w.store);
    prov_free(w.prov);
    loop_free(w.loop);
    vault_close(w.vault);
    return 0;
}
