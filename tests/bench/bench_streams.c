/* A hundred answers that stream at once, 200 tokens a second each, through the whole console:
 * gateway, orchestrator (with its filters), bus, and a client that reads each event. 25 questions
 * are asked of four models of the mock.
 *
 * usage: bench_streams [--quick]
 * Prints one JSON object a line: {"name", "value", "unit"}. */
#include "backend/backend.h"
#include "backend/base/clock.h"
#include "backend/bus/client.h"
#include "tests/unit/mock_harness.h"
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { QUESTIONS = 25, MODELS = 4, RATE = 200, TOKEN_CHARS = 4, WAIT_MS = 30000 };
static const char ADDRESS[] = "inproc://streams";

struct streams {
    struct busc *bus;
    struct mock_peer mock;
    size_t asked, ended, resyncs;
    uint64_t chars, events;
};

static void on_asked(void *arg, const json_t *result, const struct error *e)
{
    struct streams *s = arg;
    if (!result) {
        fprintf(stderr, "bench_streams: %s %s\n", err_name(e->code), e->detail);
        exit(1);
    }
    s->asked++;
}

static void on_event(void *arg, const char *type, int64_t at, const json_t *data)
{
    struct streams *s = arg;
    (void)at;
    if (strcmp(type, "token") == 0) {
        s->events++;
        s->chars += strlen(json_str(data, "text", ""));
    } else if (strcmp(type, "resync") == 0) {
        s->resyncs++;
    } else if (strcmp(type, "turn") == 0 && strcmp(json_str(data, "state", ""), "running") != 0) {
        s->ended++;
    }
}

static void turn(struct streams *s, int ms)
{
    struct pollfd ready = {.fd = busc_fd(s->bus), .events = POLLIN};
    if (poll(&ready, 1, ms) > 0)
        busc_dispatch(s->bus);
}

static int64_t memory_kib(void)
{
    int64_t kib = -1;
    char line[256];
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "VmRSS:", 6) == 0)
            kib = strtol(line + 6, NULL, 10);
    if (f)
        fclose(f);
    return kib;
}

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* How many of the mock's answers are under way. */
static int64_t under_way(const struct streams *s)
{
    json_t *count = mock_ask(&s->mock, "/mock/count", NULL);
    int64_t now = json_int(count, "now", -1);
    json_decref(count);
    return now;
}

static void figure(const char *name, double value, const char *unit)
{
    printf("{\"name\":\"%s\",\"value\":%.2f,\"unit\":\"%s\"}\n", name, value, unit);
}

/* From here on all stream; for so long. */
static void measure(struct streams *s, uint64_t ms, int64_t before_kib)
{
    uint64_t began = clock_mono_ns(), chars = s->chars, events = s->events;
    double cpu = cpu_seconds();
    while (clock_mono_ns() - began < ms * 1000000)
        turn(s, 5);
    double seconds = (double)(clock_mono_ns() - began) / 1e9;
    figure("streams", (double)under_way(s), "");
    figure("tokens a second at the client", (double)(s->chars - chars) / TOKEN_CHARS / seconds,
           "1/s");
    figure("events a second", (double)(s->events - events) / seconds, "1/s");
    figure("cpu", 100 * (cpu_seconds() - cpu) / seconds, "%");
    figure("memory", (double)memory_kib() / 1024, "MiB");
    figure("memory a stream", (double)(memory_kib() - before_kib) / QUESTIONS / MODELS, "KiB");
    figure("lost by the client", (double)s->resyncs, "");
}

static void configure(const char *path, const struct streams *s, bool quick)
{
    FILE *f = fopen(path, "w");
    BUG_IF(!f);
    fprintf(f, "[copilot]\nmodels = m0 m1 m2 m3\ntime_limit_ms = 120000\n");
    for (int i = 0; i < MODELS; i++)
        fprintf(f,
                "[model \"m%d\"]\nkind = openai\nurl = %s/v1\nmodel = "
                "text=long,repeat=%d,piece=%d,rate=%d\nregion = local\nparallel = 32\n",
                i, s->mock.url, quick ? 2 : 5, TOKEN_CHARS, RATE);
    fclose(f);
}

static void ask_all(struct streams *s)
{
    for (int i = 0; i < QUESTIONS; i++) {
        json_t *params = json_object();
        json_puts(params, "text", "how do I free space on the disk?");
        busc_call(s->bus, WIRE_chat_ask, params, on_asked, s);
    }
    for (uint64_t until = clock_mono_ms() + WAIT_MS; under_way(s) < QUESTIONS * MODELS;) {
        turn(s, 20);
        if (clock_mono_ms() > until) {
            fprintf(stderr, "bench_streams: only %lld streams\n", (long long)under_way(s));
            exit(1);
        }
    }
}

int main(int argc, char **argv)
{
    struct error e = {0};
    bool quick = argc == 2 && strcmp(argv[1], "--quick") == 0;
    char dir[] = "/tmp/mcpc-streams-XXXXXX";
    struct streams s = {.bus = NULL};
    unsetenv("MODEL_BACKENDS");
    if (!mkdtemp(dir) || !mock_start(&s.mock, "--no-log"))
        return 1;
    char *conf = xasprintf("%s/conf", dir), *state = xasprintf("%s/state", dir);
    configure(conf, &s, quick);
    struct backend *backend = backend_start(
        &(struct backend_options){.config = conf, .state = state, .address = ADDRESS});
    s.bus = busc_new(ADDRESS, "streams", NULL, &e);
    BUG_IF(!s.bus);
    busc_events(s.bus, on_event, NULL, &s);
    json_decref(busc_wait(s.bus, WIRE_status_get, NULL, 20000, &e));
    int64_t before = memory_kib();
    ask_all(&s);
    measure(&s, quick ? 3000 : 10000, before);
    json_decref(busc_wait(s.bus, WIRE_chat_stop, NULL, 5000, &e));
    busc_free(s.bus);
    backend_stop(backend);
    mock_stop(&s.mock);
    char *clean = xasprintf("rm -rf '%s'", dir);
    if (system(clean))
        fprintf(stderr, "bench_streams: %s stays\n", dir);
    free(clean);
    free(conf);
    free(state);
    return 0;
}
