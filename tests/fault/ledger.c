/* Questions through the whole console to four models that do everything wrong by chance, some of
 * them stopped while they are answered. Then the ledger: every request that the models' server saw
 * has a line of its trace, every usage that a line reports is one that the server sent in that
 * trace, what the server sent and no line reports belongs to a try that was cut short, and the sums
 * are equal; and the log verifies.
 *
 * usage: ledger [QUESTIONS [SEED]]     prints what came of them; exit code 0 when the ledger is
 * right. There are 60 questions, or 25 if FAULTS=few, 2000 (some ten thousand calls) if FAULTS=all.
 */
#include "backend/backend.h"
#include "backend/base/clock.h"
#include "backend/bus/client.h"
#include "tests/unit/mock_harness.h"
#include <poll.h>

enum { FLYING = 12, MODELS = 4, WAIT_MS = 60000, PAGE = 500, SENT = 128 };
static const char ADDRESS[] = "inproc://ledger";

struct sent { /* a usage, by the server */
    int64_t in, out, cached;
    bool told; /* a line reports it */
};

struct trace {
    char id[33];
    size_t seen, lines, short_lines,
        sent_count; /* requests, lines, lines of tries that were cut short */
    struct sent sent[SENT];
};

static struct world {
    struct busc *bus;
    struct mock_peer mock;
    struct trace *traces;
    size_t wanted, asked, ended, stopped, count;
    uint64_t seed;
    size_t wrong, lines, reported, seen;
    int64_t sum_in, sum_out, sent_in, sent_out, untold_in, untold_out;
} w;

static void wrong(const char *trace, const char *what)
{
    if (++w.wrong <= 20)
        fprintf(stderr, "trace %s: %s\n", trace, what);
}

static uint64_t chance(void)
{
    w.seed ^= w.seed << 13;
    w.seed ^= w.seed >> 7;
    w.seed ^= w.seed << 17;
    return w.seed;
}

static struct trace *trace_of(const char *id)
{
    for (size_t i = 0; i < w.count; i++)
        if (strcmp(w.traces[i].id, id) == 0)
            return &w.traces[i];
    return NULL;
}

/* ---- questions */

static void on_stopped(void *arg, const json_t *result, const struct error *e)
{
    (void)arg, (void)e; /* it may have ended meanwhile */
    w.stopped += result != NULL;
}

static void on_asked(void *arg, const json_t *result, const struct error *e)
{
    (void)arg;
    if (!result) {
        fprintf(stderr, "ledger: %s %s\n", err_name(e->code), e->detail);
        exit(1);
    }
    snprintf(w.traces[w.count++].id, sizeof w.traces->id, "%s", json_str(result, "trace_id", ""));
}

static void ask(void)
{
    json_t *params = json_object();
    json_puts(params, "text", "how do I free space on the disk?");
    busc_call(w.bus, WIRE_chat_ask, params, on_asked, NULL);
    w.asked++;
}

static void on_event(void *arg, const char *type, int64_t at, const json_t *data)
{
    (void)arg, (void)at;
    if (strcmp(type, "token") == 0 && chance() % 150 == 0) {
        json_t *params = json_object();
        json_puts(params, "trace_id", json_str(data, "trace_id", ""));
        busc_call(w.bus, WIRE_chat_stop, params, on_stopped, NULL);
    }
    if (strcmp(type, "turn") == 0 && strcmp(json_str(data, "state", ""), "running") != 0)
        w.ended++;
}

static bool ask_all(void)
{
    while (w.ended < w.wanted) {
        while (w.asked < w.wanted && w.asked - w.ended < FLYING)
            ask();
        struct pollfd ready = {.fd = busc_fd(w.bus), .events = POLLIN};
        if (poll(&ready, 1, WAIT_MS) <= 0) {
            fprintf(stderr, "ledger: nothing came in %d s; %zu of %zu ended\n", WAIT_MS / 1000,
                    w.ended, w.asked);
            return false;
        }
        busc_dispatch(w.bus);
    }
    return true;
}

/* ---- the account */

static void read_log(void)
{
    json_t *log = mock_ask(&w.mock, "/log", NULL), *entry;
    size_t i;
    json_array_foreach(log, i, entry)
    {
        const char *parent = json_str(json_object_get(entry, "headers"), "traceparent", "");
        const json_t *usage = json_object_get(entry, "usage");
        char id[33] = "";
        if (strlen(parent) > 35)
            snprintf(id, sizeof id, "%.32s", parent + 3);
        struct trace *t = trace_of(id);
        w.seen++;
        if (!t) {
            wrong(id, "the server saw a request of no question");
            continue;
        }
        t->seen++;
        if (!json_is_object(usage) || t->sent_count == SENT)
            continue;
        struct sent *s = &t->sent[t->sent_count++];
        *s = (struct sent){.in = json_int(usage, "in", -1),
                           .out = json_int(usage, "out", -1),
                           .cached = json_int(usage, "cached", -1)};
        w.sent_in += s->in;
        w.sent_out += s->out;
    }
    json_decref(log);
}

static void read_line(const json_t *line)
{
    struct trace *t = trace_of(json_str(line, "trace_id", ""));
    if (!t) {
        wrong(json_str(line, "trace_id", ""), "a line of no question");
        return;
    }
    w.lines++;
    t->lines++;
    t->short_lines += strcmp(json_str(line, "outcome", ""), "ok") != 0;
    if (json_flag(line, "estimated", true))
        return;
    int64_t in = json_int(line, "input_tokens", -1), out = json_int(line, "output_tokens", -1);
    if (!in && !out && strcmp(json_str(line, "outcome", ""), "ok") != 0)
        return; /* it was never sent: known to be nothing */
    w.reported++;
    w.sum_in += in;
    w.sum_out += out;
    for (size_t i = 0; i < t->sent_count; i++) {
        struct sent *s = &t->sent[i];
        if (s->told || s->in != in || s->out != out ||
            s->cached != json_int(line, "cached_tokens", -1))
            continue;
        s->told = true;
        return;
    }
    wrong(t->id, "a line reports a usage that the server did not send");
    char *text = json_write(line);
    fprintf(stderr, "    %s\n", text);
    free(text);
    for (size_t i = 0; i < t->sent_count && w.wrong <= 20; i++)
        fprintf(stderr, "    sent: %lld (%lld cached) in, %lld out%s\n", (long long)t->sent[i].in,
                (long long)t->sent[i].cached, (long long)t->sent[i].out,
                t->sent[i].told ? ", told" : "");
}

static bool read_ledger(void)
{
    int64_t before = -1;
    for (bool more = true; more;) {
        struct error e = {0};
        json_t *params = json_object(), *line;
        json_puti(params, "limit", PAGE);
        if (before >= 0)
            json_puti(params, "before", before);
        json_t *page = busc_wait(w.bus, WIRE_cost_ledger, params, 20000, &e);
        if (!page) {
            fprintf(stderr, "ledger: %s %s\n", err_name(e.code), e.detail);
            return false;
        }
        size_t i;
        json_array_foreach(json_object_get(page, "lines"), i, line)
        {
            before = json_int(line, "id", 0);
            read_line(line);
        }
        more = json_flag(page, "more", false);
        json_decref(page);
    }
    return true;
}

static void judge(void)
{
    for (size_t i = 0; i < w.count; i++) {
        const struct trace *t = &w.traces[i];
        size_t untold = 0;
        for (size_t k = 0; k < t->sent_count; k++) {
            untold += !t->sent[k].told;
            w.untold_in += t->sent[k].told ? 0 : t->sent[k].in;
            w.untold_out += t->sent[k].told ? 0 : t->sent[k].out;
        }
        if (t->seen > t->lines)
            wrong(t->id, "the server saw more requests than it has lines");
        if (untold > t->short_lines)
            wrong(t->id, "the server sent a usage that no line reports");
    }
    if (w.sum_in != w.sent_in - w.untold_in || w.sum_out != w.sent_out - w.untold_out)
        wrong("", "the sums differ");
    printf("%zu questions, %zu stopped; %zu requests seen, %zu lines, %zu of them as reported: "
           "%lld in, %lld out; the server sent "
           "%lld in, %lld out, and of that %lld in, %lld out to tries that were cut short\n",
           w.count, w.stopped, w.seen, w.lines, w.reported, (long long)w.sum_in,
           (long long)w.sum_out, (long long)w.sent_in, (long long)w.sent_out,
           (long long)w.untold_in, (long long)w.untold_out);
    if (!w.reported || w.lines < w.seen || w.seen < w.wanted)
        wrong("", "too little happened");
}

static void verify(void)
{
    struct error e = {0};
    json_t *params = json_object();
    json_put(params, "wait", json_true());
    json_t *report = busc_wait(w.bus, WIRE_evidence_verify, params, 60000, &e);
    if (!report || !json_flag(report, "ok", false))
        wrong("", "the log does not verify");
    json_decref(report);
}

/* ---- what stands around */

static void configure(const char *path)
{
    static const char *const kinds[MODELS] = {"openai", "ollama", "anthropic", "openai"};
    FILE *f = fopen(path, "w");
    BUG_IF(!f);
    fprintf(f, "[copilot]\nmodels = m0 m1 m2 m3\ntime_limit_ms = 4000\n");
    for (int i = 0; i < MODELS; i++)
        fprintf(f,
                "[model \"m%d\"]\nkind = %s\nurl = %s%s\nmodel = "
                "chaos=%d,faulty=40,rate=300\nregion = RU\nfirst_token_ms = 300\n"
                "silence_ms = 300\nretries = 1\nfallback = m%d\nhedge = %s\nparallel = 24\n%s",
                i, kinds[i], w.mock.url, i == 1 ? "" : "/v1", i + 1, (i + 1) % MODELS,
                i == 3 ? "no" : "60", i == 2 ? "key = env:LEDGER_KEY\n" : "");
    fclose(f);
}

static size_t wanted(void)
{
    const char *faults = getenv("FAULTS");
    if (faults && strcmp(faults, "all") == 0)
        return 2000;
    return faults && strcmp(faults, "few") == 0 ? 25 : 60;
}

int main(int argc, char **argv)
{
    struct error e = {0};
    char dir[] = "/tmp/mcpc-ledger-XXXXXX";
    signal(SIGPIPE, SIG_IGN);
    unsetenv("MODEL_BACKENDS");
    setenv("LEDGER_KEY", "key-of-the-ledger", 1);
    w.wanted = argc > 1 ? strtoul(argv[1], NULL, 10) : wanted();
    w.seed = argc > 2 ? strtoul(argv[2], NULL, 10) : 20261127;
    w.traces = xcalloc(w.wanted, sizeof *w.traces);
    if (!mkdtemp(dir) || !mock_start(&w.mock, NULL))
        return 1;
    char *conf = xasprintf("%s/conf", dir), *state = xasprintf("%s/state", dir);
    configure(conf);
    struct backend *backend = backend_start(
        &(struct backend_options){.config = conf, .state = state, .address = ADDRESS});
    w.bus = busc_new(ADDRESS, "ledger", NULL, &e);
    BUG_IF(!w.bus);
    busc_events(w.bus, on_event, NULL, NULL);
    uint64_t began = clock_mono_ms();
    if (!ask_all())
        w.wrong++;
    read_log();
    if (!read_ledger())
        w.wrong++;
    judge();
    verify();
    busc_free(w.bus);
    backend_stop(backend);
    mock_stop(&w.mock);
    char *clean = xasprintf("rm -rf '%s'", dir);
    if (system(clean))
        wrong("", "its folder stays");
    free(clean);
    free(conf);
    free(state);
    free(w.traces);
    printf("%.1f s, %zu wrong\n", (double)(clock_mono_ms() - began) / 1000, w.wrong);
    return w.wrong != 0;
}
