/* Calls through the gateway to a model server that does everything wrong by chance, with retries,
 * keys, fallbacks, hedges, queues, an admission that refuses, and cancels at any moment, also from
 * within callbacks. Then the account: each call had exactly one end, each request that the server
 * saw is one of a call's attempts, each usage that a call reports is the one that the server sent
 * for that request, everything admitted was settled once, and nothing is left under way.
 *
 * usage: chaos [CALLS [SEED]]     prints what came of them; exit code 0 when the account is right.
 * There are 2000 calls, or 500 if FAULTS=few, 10000 if FAULTS=all. */
#include "backend/base/clock.h"
#include "backend/gateway/gateway.h"
#include "tests/unit/mock_harness.h"

enum { FLYING = 160, TICK_MS = 4, LIMIT_S = 240, LAST_FLYING = 40, TICKETS = 1 << 18, SHOWN = 20 };

/* path NULL: nobody listens there; model: what is added to it. */
static const struct {
    const char *name, *kind, *path, *model, *more;
} models[] = {
    {"a", "openai", "/v1", "", "fallback = b c\nhedge = 60\nparallel = 24\nqueue = 16"},
    {"b", "ollama", "/", "", "fallback = d\nparallel = 24\nretries = 1"},
    {"c", "openai", "/v1", ",limit_key=first-key-00",
     "key = env:CHAOS_ONE env:CHAOS_TWO\nparallel = 40"},
    {"d", "ollama", "/", "", "hedge = p95\nparallel = 30"},
    {"e", "vllm", "/v1", "", "fallback = f dead\nretries = 3\nparallel = 60"},
    {"f", "anthropic", "/v1", "",
     "key = env:CHAOS_ONE\nhedge = 30\nfallback = a\nparallel = 10\nqueue = 40"},
    {"g", "anthropic", "/v1", "", "key = env:CHAOS_TWO\nfallback = h\nparallel = 40\nhedge = p95"},
    {"h", "deepseek", "", ",form=deepseek", "key = env:CHAOS_ONE\nparallel = 40\nhedge = 40"},
    {"dead", "openai", NULL, "", "fallback = d\nretries = 0\nparallel = 60"},
};
enum { MODELS = sizeof models / sizeof *models };

struct flight {                      /* one call */
    size_t id, deltas, cancel_after; /* deltas after which it is cancelled; 0: not so */
    uint64_t cancel_at, cancelled;   /* monotonic ns; 0: not */
    unsigned dones;
    bool started, in_callback;
    struct gw_call *call;
    struct buf text;
    struct gw_attempt at[GW_ATTEMPTS];
    size_t attempts;
    enum err code;
    /* what the server saw */
    size_t seen, counted;
    struct gw_usage usage[2 * GW_ATTEMPTS];
    bool matched[2 * GW_ATTEMPTS];
    struct buf said; /* what the server was to do each time */
};

static struct chaos {
    struct mock_peer mock;
    struct loop *loop;
    struct gw *gw;
    struct loop_timer *tick;
    struct flight *at;
    size_t calls, started, ended, refused;
    uint64_t seed, deadline;
    /* admission */
    bool *open;
    uint64_t tickets, denied, settled;
    int64_t settled_in, settled_out;
    /* what came of them */
    size_t fine, failed, cancelled, attempts, hedged, repeated, stood_in, reported;
    int64_t in, out;
    size_t wrong;
} w;

static void wrong(const struct flight *f, const char *what)
{
    if (++w.wrong <= SHOWN)
        fprintf(stderr, "call %zu: %s\n", f ? f->id : 0, what);
}

static uint64_t chance(void)
{
    w.seed ^= w.seed << 13;
    w.seed ^= w.seed >> 7;
    w.seed ^= w.seed << 17;
    return w.seed;
}

/* ---- admission */

static enum err reserve(void *arg, const struct gw_model *m, const struct gw_request *r,
                        int64_t input_tokens, int64_t output_tokens, uint64_t *ticket,
                        struct error *e)
{
    (void)arg, (void)r, (void)input_tokens, (void)output_tokens;
    if (chance() % 40 == 0) {
        w.denied++;
        return err_set(e, ERR_DENIED, "%s: the budget is used up", m->name);
    }
    BUG_IF(w.tickets == TICKETS);
    *ticket = w.tickets++;
    w.open[*ticket] = true;
    return ERR_OK;
}

static void settle(void *arg, uint64_t ticket, const struct gw_attempt *a)
{
    (void)arg;
    if (ticket >= w.tickets || !w.open[ticket])
        wrong(NULL, "a ticket was settled twice, or was never given");
    else
        w.open[ticket] = false;
    w.settled++;
    w.settled_in += a->usage.input_tokens;
    w.settled_out += a->usage.output_tokens;
}

/* ---- calls */

static bool start_one(void);

static void take_spent(struct flight *f, const struct gw_spent *spent)
{
    f->attempts = spent->count;
    memcpy(f->at, spent->at, spent->count * sizeof *f->at);
    for (size_t i = 0; i < f->attempts; i++)
        f->at[i].raw_usage = NULL; /* belongs to the gateway */
}

static void landed(struct flight *f)
{
    f->call = NULL;
    w.ended++;
    if (w.ended == w.calls)
        loop_quit(w.loop);
}

static void cancel(struct flight *f)
{
    struct gw_spent spent;
    f->cancelled = clock_mono_ns();
    gw_cancel(f->call, &spent);
    take_spent(f, &spent);
    gw_spent_release(&spent);
    landed(f);
}

static void heard(struct flight *f)
{
    if (f->dones || f->cancelled)
        wrong(f, "it was told something after its end");
    if (++f->deltas == f->cancel_after)
        cancel(f);
}

static void on_delta(void *arg, const char *text, size_t len)
{
    struct flight *f = arg;
    buf_add(&f->text, text, len);
    heard(f);
}

static void on_reasoning(void *arg, const char *text, size_t len)
{
    (void)text, (void)len;
    heard(arg);
}

static void on_done(void *arg, const struct gw_result *r)
{
    struct flight *f = arg;
    if (f->dones++ || f->cancelled)
        wrong(f, "it ended twice");
    if (strcmp(r->text, f->text.data ? f->text.data : "") != 0)
        wrong(f, "its text is not what it was told piece by piece");
    if ((strcmp(r->finish_reason, "error") == 0) != (r->error.code != ERR_OK))
        wrong(f, "its reason does not fit its error");
    if (r->error.code == ERR_OK && strcmp(r->model->name, models[f->id % MODELS].name) != 0)
        w.stood_in++;
    f->code = r->error.code;
    take_spent(f, r->spent);
    if (chance() % 8 == 0) { /* nothing happens */
        struct gw_spent none;
        gw_cancel(f->call, &none);
        if (none.count)
            wrong(f, "a cancel within its end gave it attempts");
    }
    landed(f);
    if (chance() % 3 == 0)
        start_one();
}

static bool start_one(void)
{
    static const struct gw_ops ops = {
        .delta = on_delta, .reasoning = on_reasoning, .done = on_done};
    if (w.started == w.calls)
        return false;
    struct flight *f = &w.at[w.started];
    char trace[64];
    struct error e = {0};
    uint64_t now = clock_mono_ns(), kind = chance() % 10;
    snprintf(trace, sizeof trace, "00-%032zx-00f067aa0ba902b7-01", w.started + 1);
    struct gw_request r = {.question = "how full is the disk?",
                           .lang = "en",
                           .max_output_tokens = 64,
                           .traceparent = trace,
                           .tag = chance() % 3 ? GW_INTERACTIVE : GW_BATCH,
                           .first_token_ms = 250,
                           .silence_ms = 250,
                           .total_ms = 2500};
    *f = (struct flight){.id = w.started};
    if (kind == 0)
        f->cancel_after = 1 + chance() % 4;
    else if (kind == 1)
        f->cancel_at = now + chance() % 300000000u;
    f->call = gw_start(w.gw, models[f->id % MODELS].name, &r, &ops, f, &e);
    if (f->dones || f->deltas)
        wrong(f, "it was told something by gw_start itself");
    if (!f->call) { /* it is asked for again */
        w.refused++;
        return false;
    }
    f->started = true;
    w.started++;
    return true;
}

static void on_tick(void *arg)
{
    (void)arg;
    uint64_t now = clock_mono_ns();
    for (size_t i = 0; i < w.started; i++)
        if (w.at[i].call && w.at[i].cancel_at && w.at[i].cancel_at <= now)
            cancel(&w.at[i]);
    while (w.started - w.ended < FLYING && start_one())
        continue;
    if (now > w.deadline) {
        for (size_t i = 0; i < w.started; i++)
            if (w.at[i].call)
                wrong(&w.at[i], "it does not end");
        loop_quit(w.loop);
    }
}

/* ---- the account */

static struct flight *flight_of(const json_t *entry)
{
    const char *trace = json_str(json_object_get(entry, "headers"), "traceparent", "");
    size_t id = strlen(trace) > 35 ? strtoul(trace + 3, NULL, 16) : 0;
    return id > 0 && id <= w.started ? &w.at[id - 1] : NULL;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* What the server saw, to the calls it was for; how late it noticed a cancel. */
static void read_log(const json_t *log)
{
    double *late = xcalloc(json_array_size(log) + 1, sizeof *late);
    size_t lates = 0, i;
    json_t *entry;
    json_array_foreach(log, i, entry)
    {
        struct flight *f = flight_of(entry);
        const json_t *usage = json_object_get(entry, "usage");
        if (!f) {
            wrong(NULL, "the server saw a request of no call");
            continue;
        }
        if (++f->seen > 2 * GW_ATTEMPTS) {
            wrong(f, "the server saw it too often");
            continue;
        }
        buf_addf(&f->said, " [%s%s]", json_str(entry, "said", ""),
                 json_int(entry, "gone_ns", 0) ? " gone" : "");
        if (json_is_object(usage)) {
            f->usage[f->counted++] =
                (struct gw_usage){.input_tokens = json_int(usage, "in", -1),
                                  .cached_tokens = json_int(usage, "cached", -1),
                                  .cache_write_tokens = json_int(usage, "cache_write", -1),
                                  .output_tokens = json_int(usage, "out", -1)};
        }
        uint64_t gone = (uint64_t)json_int(entry, "gone_ns", 0);
        if (!gone && !json_int(entry, "ended_ns", 0))
            wrong(f, "the server still answers it");
        if (gone > f->cancelled && f->cancelled)
            late[lates++] = (double)(gone - f->cancelled) / 1e6;
    }
    qsort(late, lates, sizeof *late, by_value);
    if (lates)
        printf("cancels seen by the server: %zu, after p50 %.2f ms, p99 %.2f ms, at most %.2f ms\n",
               lates, late[lates / 2], late[lates * 99 / 100], late[lates - 1]);
    free(late);
}

static bool matches(struct flight *f, const struct gw_usage *u)
{
    for (size_t i = 0; i < f->counted; i++) {
        const struct gw_usage *sent = &f->usage[i];
        if (f->matched[i] || sent->input_tokens != u->input_tokens ||
            sent->output_tokens != u->output_tokens || sent->cached_tokens != u->cached_tokens ||
            sent->cache_write_tokens != u->cache_write_tokens)
            continue;
        f->matched[i] = true;
        return true;
    }
    return false;
}

/* All that is known of a call that is not right. */
static void tell(const struct flight *f)
{
    fprintf(stderr, "call %zu: the server did%s\n", f->id,
            f->said.data ? f->said.data : " nothing");
    for (size_t i = 0; i < f->attempts; i++)
        fprintf(stderr, "    %s %s %s: %lld (%lld + %lld cached) in, %lld out%s\n",
                f->at[i].model->name, f->at[i].outcome, err_name(f->at[i].code),
                (long long)f->at[i].usage.input_tokens, (long long)f->at[i].usage.cached_tokens,
                (long long)f->at[i].usage.cache_write_tokens,
                (long long)f->at[i].usage.output_tokens,
                f->at[i].usage.estimated ? ", estimated" : "");
    for (size_t i = 0; i < f->counted; i++)
        fprintf(stderr, "    sent: %lld (%lld + %lld cached) in, %lld out\n",
                (long long)f->usage[i].input_tokens, (long long)f->usage[i].cached_tokens,
                (long long)f->usage[i].cache_write_tokens, (long long)f->usage[i].output_tokens);
}

static void judge(struct flight *f)
{
    size_t before = w.wrong;
    size_t answered = 0, unfinished = 0, hidden = f->counted;
    if (f->dones + (f->cancelled ? 1 : 0) != 1)
        wrong(f, "it did not end once");
    for (size_t i = 0; i < f->attempts; i++) {
        const struct gw_attempt *a = &f->at[i];
        bool ok = strcmp(a->outcome, "ok") == 0;
        answered += ok || a->http_status > 0;
        unfinished += !ok;
        w.hedged += strcmp(a->outcome, "hedged") == 0;
        w.in += a->usage.input_tokens;
        w.out += a->usage.output_tokens;
        if (ok != (a->code == ERR_OK))
            wrong(f, "an attempt's outcome does not fit its error");
        if (a->usage.estimated || !a->http_status)
            continue;
        w.reported++;
        hidden--;
        if (!matches(f, &a->usage))
            wrong(f, "it reports a usage that the server did not send for it");
    }
    w.attempts += f->attempts;
    w.repeated += f->attempts > 1;
    if (f->seen > f->attempts)
        wrong(f, "the server saw more requests than it has attempts");
    if (f->seen < answered)
        wrong(f, "it has more answers than the server saw requests");
    if (hidden > unfinished)
        wrong(f, "the server sent a usage that it does not report");
    if (f->dones && f->code == ERR_OK)
        w.fine++;
    else if (f->dones)
        w.failed++;
    else
        w.cancelled++;
    if (w.wrong > before && w.wrong <= SHOWN)
        tell(f);
    buf_release(&f->text);
    buf_release(&f->said);
}

static int64_t counted(const char *name)
{
    json_t *count = mock_ask(&w.mock, "/mock/count", NULL);
    int64_t n = json_int(count, name, -1);
    json_decref(count);
    return n;
}

static void account(void)
{
    for (int i = 0; i < 400 && counted("now") > 0; i++)
        usleep(5000);
    if (counted("now") != 0)
        wrong(NULL, "requests are still under way at the server");
    json_t *log = mock_ask(&w.mock, "/log", NULL);
    read_log(log);
    for (size_t i = 0; i < w.started; i++)
        judge(&w.at[i]);
    for (uint64_t i = 0; i < w.tickets; i++)
        if (w.open[i])
            wrong(NULL, "what was admitted was not settled");
    if (w.settled != w.attempts || w.settled_in != w.in || w.settled_out != w.out)
        wrong(NULL, "what was settled is not what the calls came to");
    printf("%zu calls: %zu answered, %zu failed, %zu cancelled; %zu refused at once\n", w.started,
           w.fine, w.failed, w.cancelled, w.refused);
    printf("%zu attempts, %zu requests seen: %zu calls had several, %zu attempts lost a hedge, %zu "
           "answers came from another "
           "model; %zu usages reported; %llu tries were not admitted\n",
           w.attempts, json_array_size(log), w.repeated, w.hedged, w.stood_in, w.reported,
           (unsigned long long)w.denied);
    if (!w.fine || !w.failed || !w.cancelled || !w.hedged || !w.repeated || !w.stood_in ||
        !w.reported)
        wrong(NULL, "something did not happen at all");
    json_decref(log);
}

/* ---- what stands around */

static void open_gateway(void)
{
    char path[] = "/tmp/mcpc-chaos-XXXXXX";
    struct error e = {0};
    FILE *f = fdopen(mkstemp(path), "w");
    for (int i = 0; i < MODELS; i++)
        fprintf(f,
                "[model \"%s\"]\nkind = %s\nurl = %s%s\nmodel = chaos=%d,faulty=%d%s\nregion = "
                "RU\n%s\n",
                models[i].name, models[i].kind, models[i].path ? w.mock.url : "http://127.0.0.1:1",
                models[i].path ? models[i].path : "", i + 1, 25 + 3 * i, models[i].model,
                models[i].more);
    fprintf(f, "[gateway]\nwatermark = 100\n");
    fclose(f);
    struct conf *conf = conf_load(path, &e);
    w.loop = loop_new();
    w.gw = conf ? gw_new(w.loop, conf, &e) : NULL;
    unlink(path);
    if (!w.gw) {
        fprintf(stderr, "chaos: %s\n", e.detail);
        exit(1);
    }
    conf_free(conf);
    gw_set_admission(w.gw, &(struct gw_admission){.reserve = reserve, .settle = settle}, NULL);
}

static size_t wanted(void)
{
    const char *faults = getenv("FAULTS");
    if (faults && strcmp(faults, "all") == 0)
        return 10000;
    return faults && strcmp(faults, "few") == 0 ? 500 : 2000;
}

/* The gateway is freed with calls under way: no callback runs, all is settled. */
static void free_with_calls(void)
{
    w.calls = w.started + LAST_FLYING;
    w.at = xrealloc(w.at, w.calls * sizeof *w.at);
    size_t first = w.started;
    for (int i = 0; i < 200 && start_one(); i++)
        continue;
    for (size_t i = first; i < w.started; i++)
        w.at[i].cancelled = 1; /* a callback is wrong from now on */
    gw_free(w.gw);
    for (uint64_t i = 0; i < w.tickets; i++)
        if (w.open[i])
            wrong(NULL, "what was admitted was not settled when the gateway was freed");
    for (size_t i = first; i < w.started; i++)
        buf_release(&w.at[i].text);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    unsetenv("MODEL_BACKENDS");
    setenv("CHAOS_ONE", "first-key-00", 1);
    setenv("CHAOS_TWO", "second-key-0", 1);
    w.calls = argc > 1 ? strtoul(argv[1], NULL, 10) : wanted();
    w.seed = argc > 2 ? strtoul(argv[2], NULL, 10) : 20261127;
    uint64_t seed = w.seed, began = clock_mono_ms();
    if (!mock_start(&w.mock, NULL)) {
        fprintf(stderr, "chaos: the mock does not start\n");
        return 1;
    }
    w.at = xcalloc(w.calls, sizeof *w.at);
    w.open = xcalloc(TICKETS, sizeof *w.open);
    open_gateway();
    w.deadline = clock_mono_ns() + LIMIT_S * 1000000000ull;
    w.tick = loop_timer_new(w.loop, on_tick, NULL);
    loop_timer_start(w.tick, 0, TICK_MS);
    loop_run(w.loop);
    loop_timer_free(w.tick);
    account();
    free_with_calls();
    loop_free(w.loop);
    free(w.at);
    free(w.open);
    if (mock_stop(&w.mock))
        wrong(NULL, "the mock did not end well");
    printf("seed %llu, %.1f s, %zu wrong\n", (unsigned long long)seed,
           (double)(clock_mono_ms() - began) / 1000, w.wrong);
    return w.wrong != 0;
}
