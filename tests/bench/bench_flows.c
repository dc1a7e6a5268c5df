/* Questions by flows of the built-in models: how long a whole question takes, and what judging adds
 * beside the models' own time. Prints JSON lines; times are of the trace, in milliseconds.
 *
 * usage: bench_flows STATE QUESTIONS */
#include "backend/backend.h"
#include "backend/base/clock.h"
#include "backend/bus/client.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WAIT_MS = 20000, MOST = 1000 };

static const char *const QUESTIONS[] = {
    "is the disk filling up?",         "why is this machine slow?", "which process eats memory?",
    "what is wrong with the network?", "is the evidence intact?",   "что с диском?",
    "почему растёт нагрузка?",         "how do I free up space?"};

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void say(const char *name, double *values, size_t n)
{
    qsort(values, n, sizeof *values, ascending);
    printf("{\"name\": \"%s\", \"p50\": %.3f, \"p95\": %.3f, \"count\": %zu}\n", name,
           values[n / 2], values[n * 95 / 100], n);
}

static json_t *trace_of(struct busc *bus, const char *id)
{
    for (uint64_t until = clock_mono_ms() + WAIT_MS; clock_mono_ms() < until; usleep(1000)) {
        json_t *trace =
            busc_wait(bus, WIRE_traces_get, json_pack("{s:s}", "trace_id", id), WAIT_MS, NULL);
        if (strcmp(json_str(trace, "state", "running"), "running") != 0)
            return trace;
        json_decref(trace);
    }
    fprintf(stderr, "bench_flows: a question did not end\n");
    exit(1);
}

/* From the end of the last model to the end of the trace, without a critique's own time: comparing,
 * the verdict, and the making of its entries. */
static double added(const json_t *trace)
{
    int64_t last = 0, critiques = 0;
    size_t i;
    json_t *stage;
    json_array_foreach(json_object_get(trace, "stages"), i, stage)
    {
        int64_t end = json_int(stage, "start_ms", 0) + json_int(stage, "ms", 0);
        const char *name = json_str(stage, "name", "");
        if (strcmp(name, "model") == 0 && end > last)
            last = end;
        if (strcmp(name, "critique") == 0 && json_int(stage, "ms", 0) > critiques)
            critiques = json_int(stage, "ms", 0);
    }
    return (double)(json_int(trace, "elapsed_ms", 0) - last - critiques);
}

static void run(struct busc *bus, const char *flow, size_t questions)
{
    double whole[MOST], more[MOST];
    size_t n = questions < MOST ? questions : MOST;
    for (size_t i = 0; i < n; i++) {
        const char *text = QUESTIONS[i % (sizeof QUESTIONS / sizeof *QUESTIONS)];
        json_t *asked = busc_wait(
            bus, WIRE_chat_ask, json_pack("{s:s,s:s}", "text", text, "flow", flow), WAIT_MS, NULL);
        json_t *trace = trace_of(bus, json_str(asked, "trace_id", ""));
        if (strcmp(json_str(trace, "state", ""), "done") != 0) {
            fprintf(stderr, "bench_flows: %s: %s\n", flow, json_str(trace, "error", ""));
            exit(1);
        }
        whole[i] = (double)json_int(trace, "elapsed_ms", 0);
        more[i] = added(trace);
        json_decref(trace);
        json_decref(asked);
    }
    char name[64];
    snprintf(name, sizeof name, "%s.whole", flow);
    say(name, whole, n);
    snprintf(name, sizeof name, "%s.added", flow);
    say(name, more, n);
}

int main(int argc, char **argv)
{
    static const char *const FLOWS[] = {"single", "arbitrate", "dual", "council", "vote"};
    if (argc != 3) {
        fprintf(stderr, "usage: bench_flows STATE QUESTIONS\n");
        return 2;
    }
    struct backend_options o = {
        .state = argv[1], .role = "operator", .address = "inproc://bench-flows"};
    struct backend *b = backend_start(&o);
    struct busc *bus = busc_new("inproc://bench-flows", "bench", "operator", NULL);
    for (size_t i = 0; bus && i < sizeof FLOWS / sizeof *FLOWS; i++)
        run(bus, FLOWS[i], strtoul(argv[2], NULL, 10));
    busc_free(bus);
    backend_stop(b);
    return bus ? 0 : 1;
}
