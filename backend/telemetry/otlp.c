/* The exporter.
 *
 * 1 A batch is built once and kept until it was taken, refused or given up (E2); while it waits for
 *   its next try no other one is built.
 * 2 The timer `flush` runs while spans are in the queue and nothing is under way: it is what joins
 *   spans to batches. `retry` runs while a batch waits.
 * 3 After otlp_close nothing is tried again. */
#include "backend/telemetry/otlp.h"
#include "backend/base/buf.h"
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "backend/telemetry/internal.h"
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { ANSWER_MAX = 64 << 10, RETRY_MS = 1000, RETRY_STEPS_MAX_MS = 60000 };

struct signal { /* what goes to one path */
    struct otlp *otlp;
    const char *name, *rejected; /* rejected: the member of an answer that counts them */
    char *url;
    struct http_call *http; /* or NULL */
    struct buf body, answer;
    size_t spans;
    unsigned tries;
};

struct otlp {
    struct loop *loop;
    struct tel *tel;
    struct otlp_options o;
    struct tel__resource resource;
    struct signal traces, metrics;
    struct loop_timer *flush, *retry, *period;
    bool flushing, waiting, closed;
    struct error error;
    unsigned failures;
};

static void spans_send(struct otlp *x);

static void count(struct signal *s, const char *outcome)
{
    tel_add(s->otlp->tel, TEL_telemetry_exports, 1, TEL_LABELS(s->name, outcome));
}

static void count_spans(struct signal *s, size_t n, const char *outcome)
{
    if (n)
        tel_add(s->otlp->tel, TEL_telemetry_spans, (double)n, TEL_LABELS(outcome));
}

/* The batch is over: what comes next may be built. */
static void batch_end(struct signal *s)
{
    buf_release(&s->body);
    s->spans = 0;
    s->tries = 0;
}

/* A fifth more or less, so that consoles that lost one collector do not return together. */
static uint64_t jittered(uint64_t ms)
{
    uint32_t lot = 0;
    BUG_IF(getrandom(&lot, sizeof lot, 0) != (ssize_t)sizeof lot);
    return ms * 4 / 5 + ms * 2 / 5 * lot / UINT32_MAX;
}

/* E2 */
static uint64_t retry_in(const struct signal *s, int64_t asked_ms)
{
    if (asked_ms >= 0)
        return (uint64_t)(asked_ms < OTLP_RETRY_MAX_MS ? asked_ms : OTLP_RETRY_MAX_MS);
    uint64_t ms = RETRY_MS;
    for (unsigned i = 1; i < s->tries && ms < RETRY_STEPS_MAX_MS; i++)
        ms *= 2;
    return jittered(ms < RETRY_STEPS_MAX_MS ? ms : RETRY_STEPS_MAX_MS);
}

static bool is_passing(enum err code, long status)
{
    if (code != ERR_OK)
        return code == ERR_UNREACHABLE || code == ERR_TIMEOUT || code == ERR_CLOSED ||
               code == ERR_PROTOCOL;
    return status == 429 || status == 502 || status == 503 || status == 504;
}

static bool on_data(void *arg, const char *bytes, size_t len)
{
    struct signal *s = arg;
    buf_add(&s->answer, bytes, len);
    return true;
}

/* What a failed request leaves: a batch that waits, or spans that are given up. */
static void failed(struct signal *s, bool passing, int64_t asked_ms)
{
    struct otlp *x = s->otlp;
    x->failures++;
    bool again = passing && s == &x->traces && !x->closed && s->tries < OTLP_TRIES;
    count(s, again ? "retry" : "error");
    if (again) {
        x->waiting = true;
        loop_timer_start(x->retry, retry_in(s, asked_ms), 0);
        return;
    }
    count_spans(s, s->spans, passing ? "expired" : "refused");
    batch_end(s);
}

static void on_done(void *arg, const struct error *e, long status)
{
    struct signal *s = arg;
    struct otlp *x = s->otlp;
    int64_t asked_ms = http_retry_after_ms(s->http);
    s->http = NULL;
    if (e->code == ERR_OK && status >= 200 && status <= 299) {
        const char *body = s->answer.len ? s->answer.data : "";
        int64_t refused = tel__otlp_rejected(body, s->answer.len, s->rejected);
        size_t bad = refused > (int64_t)s->spans ? s->spans : (size_t)refused;
        x->error = (struct error){.code = ERR_OK};
        x->failures = 0;
        if (refused)
            err_set(&x->error, ERR_UPSTREAM, "%s: the collector refused %lld of them", s->url,
                    (long long)refused);
        count(s, "ok");
        count_spans(s, bad, "refused");
        count_spans(s, s->spans - bad, "exported");
        batch_end(s);
    } else {
        if (e->code != ERR_OK)
            err_set(&x->error, e->code, "%s: %.180s", s->url, e->detail);
        else
            err_set(&x->error, ERR_UPSTREAM, "%s: HTTP %ld", s->url, status);
        failed(s, is_passing(e->code, status), asked_ms);
    }
    buf_release(&s->answer);
    if (s == &x->traces && (!x->closed || e->code == ERR_OK))
        spans_send(x);
}

static void post(struct signal *s)
{
    static const struct http_ops ops = {.data = on_data, .done = on_done};
    struct otlp *x = s->otlp;
    char *own[OTLP_HEADERS];
    const char *headers[OTLP_HEADERS + 2] = {"Content-Type: application/json"};
    size_t n = 0;
    struct error e = {0};
    s->tries++;
    if (!x->o.headers || x->o.headers(x->o.arg, own, &n, &e) == ERR_OK) {
        for (size_t i = 0; i < n; i++)
            headers[i + 1] = own[i];
        struct http_options o = {.method = "POST",
                                 .url = s->url,
                                 .headers = headers,
                                 .body = s->body.data,
                                 .body_len = s->body.len,
                                 .total_ms = OTLP_LIMIT_MS,
                                 .max_bytes = ANSWER_MAX,
                                 .ca_file = x->o.ca_file};
        s->http = http_start(x->loop, &o, &ops, s, &e);
    }
    if (n && x->o.wipe)
        x->o.wipe(x->o.arg, own, n);
    if (!s->http) {
        x->error = e;
        failed(s, false, -1);
    }
}

/* ---- spans */

/* Nothing is under way, and nothing waits to be tried again. */
static bool is_idle(const struct otlp *x)
{
    return !x->traces.http && !x->waiting;
}

static void batch_send(struct otlp *x)
{
    struct signal *s = &x->traces;
    loop_timer_stop(x->flush);
    x->flushing = false;
    if (!x->tel->queued)
        return;
    s->spans = tel__otlp_spans(x->tel, &x->resource, OTLP_BATCH, OTLP_BATCH_BYTES, &s->body);
    post(s);
}

static void on_flush(void *arg)
{
    struct otlp *x = arg;
    x->flushing = false;
    if (is_idle(x))
        batch_send(x);
}

/* The next batch: at once where there is a whole one, else a little later (2). */
static void spans_send(struct otlp *x)
{
    bool whole = x->tel->queued >= OTLP_BATCH;
    if (!is_idle(x) || !x->tel->queued || (x->flushing && !whole))
        return;
    x->flushing = true;
    loop_timer_start(x->flush, whole || x->closed ? 0 : OTLP_LINGER_MS, 0);
}

static void on_ended(void *arg)
{
    spans_send(arg); /* also of what ends while the console does */
}

static void on_retry(void *arg)
{
    struct otlp *x = arg;
    x->waiting = false;
    post(&x->traces);
}

/* ---- metrics */

static void metrics_send(struct otlp *x)
{
    struct signal *s = &x->metrics;
    if (s->http)
        return;
    tel__otlp_metrics(x->tel, &x->resource, &s->body);
    post(s);
}

static void on_period(void *arg)
{
    metrics_send(arg);
}

/* ---- life */

static char *url_of(const char *base, const char *path)
{
    size_t len = strlen(base);
    while (len && base[len - 1] == '/')
        len--;
    return xasprintf("%.*s%s", (int)len, base, path);
}

struct otlp *otlp_new(struct loop *l, struct tel *t, const struct otlp_options *o, struct error *e)
{
    if (strncmp(o->url, "http://", 7) != 0 && strncmp(o->url, "https://", 8) != 0) {
        err_set(e, ERR_CONFIG, "%.200s: not an http or https address", o->url);
        return NULL;
    }
    if (!(o->share >= 0 && o->share <= 1)) {
        err_set(e, ERR_CONFIG, "the share of traces is from 0 to 1");
        return NULL;
    }
    struct otlp *x = xcalloc(1, sizeof *x);
    x->loop = l;
    x->tel = t;
    x->o = *o;
    x->traces = (struct signal){.otlp = x,
                                .name = "traces",
                                .rejected = "rejectedSpans",
                                .url = url_of(o->url, "/v1/traces")};
    x->metrics = (struct signal){.otlp = x,
                                 .name = "metrics",
                                 .rejected = "rejectedDataPoints",
                                 .url = url_of(o->url, "/v1/metrics")};
    x->resource = (struct tel__resource){.version = text_cleaned(o->version, TEXT_ONE_LINE),
                                         .environment = text_cleaned(o->environment, TEXT_ONE_LINE),
                                         .instance = text_cleaned(o->instance, TEXT_ONE_LINE)};
    x->flush = loop_timer_new(l, on_flush, x);
    x->retry = loop_timer_new(l, on_retry, x);
    x->period = loop_timer_new(l, on_period, x);
    if (o->traces) {
        t->keeps = true;
        t->share = o->share;
        t->ended = on_ended;
        t->ended_arg = x;
    }
    if (o->metrics)
        loop_timer_start(x->period, o->metrics_ms, o->metrics_ms);
    return x;
}

void otlp_close(struct otlp *o)
{
    if (!o || o->closed)
        return;
    o->closed = true;
    loop_timer_stop(o->period);
    if (o->waiting) { /* once more, now */
        loop_timer_stop(o->retry);
        on_retry(o);
    } else if (!o->traces.http) {
        batch_send(o);
    }
    if (o->o.metrics)
        metrics_send(o);
}

bool otlp_pending(const struct otlp *o)
{
    return o && (o->traces.http || o->metrics.http || o->flushing);
}

static void signal_release(struct signal *s)
{
    http_cancel(s->http);
    count_spans(s, s->spans, "expired");
    free(s->url);
    buf_release(&s->body);
    buf_release(&s->answer);
}

void otlp_free(struct otlp *o)
{
    if (!o)
        return;
    o->tel->keeps = false;
    o->tel->ended = NULL;
    loop_timer_free(o->flush);
    loop_timer_free(o->retry);
    loop_timer_free(o->period);
    signal_release(&o->traces);
    signal_release(&o->metrics);
    free((char *)o->resource.version);
    free((char *)o->resource.environment);
    free((char *)o->resource.instance);
    free(o);
}

unsigned otlp_failures(const struct otlp *o)
{
    return o->failures;
}

const struct error *otlp_error(const struct otlp *o)
{
    return &o->error;
}
