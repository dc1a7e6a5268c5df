/* Exchanges with a model's server that are no chats: a list, a sign of life, embeddings.
 *
 * 1 An ask is in gw->asks until it is told or cancelled.
 * 2 An exchange that fails in a way that passes is made again, [model] retries times, after a pause
 *   or with another key; Retry-After is obeyed.
 * 3 fn never runs inside the function that began the ask.
 * 4 Each exchange is told to the breaker and to telemetry once. An open breaker keeps embeddings
 *   back, but nobody from asking whether the server is well again. */
#include "backend/gateway/ask.h"
#include "backend/base/clock.h"
#include <stdlib.h>
#include <string.h>

enum { REPLY_MAX = 64 << 20, DEPTH = 16, TOTAL_MS = 60000, SILENCE_MS = 15000, PAUSE_MAX = 30000 };

static void send_it(struct gw_ask *a);

static void on_timer(void *arg)
{
    struct gw_ask *a = arg;
    const struct error fine = {0};
    if (a->url)
        send_it(a);
    else
        a->step(a, NULL, &fine);
}

/* The exchange under way is over, if there is one. */
static void over(struct gw_ask *a, const char *outcome, enum err code, const json_t *answer)
{
    struct gw__lane *lane = a->m->lane;
    int64_t status = a->out.http_status;
    bool refused = status >= 400 && status < 500 && status != 408;
    if (!a->sent)
        return;
    a->sent = false;
    if (strcmp(outcome, "cancelled") != 0)
        breaker_end(&lane->breaker, code && refused ? ERR_REFUSED : code, a->probe);
    else if (a->probe)
        breaker_forget(&lane->breaker);
    a->probe = false;
    if (a->operation == GW__EMBED && code == ERR_OK)
        tel_record(&lane->elapsed, (double)(clock_mono_ms() - a->sent_at));
    else if (a->operation == GW__EMBED && strcmp(outcome, "error") == 0 && !refused)
        tel_record_failure(&lane->elapsed);
    gw__told_asked(a, outcome, code, answer);
}

struct gw_ask *gw__ask_new(struct gw *g, const char *model, enum gw__operation operation,
                           gw_asked_fn *fn, void *arg, struct error *e)
{
    const struct gw__model *m = gw__find(g, model);
    if (!m) {
        err_set(e, ERR_NOT_FOUND, "no model is named \"%s\"", model);
        return NULL;
    }
    struct gw_ask *a = xcalloc(1, sizeof *a);
    *a = (struct gw_ask){
        .g = g, .m = m, .operation = operation, .fn = fn, .arg = arg, .started = clock_mono_ms()};
    a->out.model = &m->pub;
    a->out.listed = -1;
    a->timer = loop_timer_new(g->loop, on_timer, a);
    a->next = g->asks;
    a->link = &g->asks;
    if (a->next)
        a->next->link = &a->next;
    g->asks = a;
    return a;
}

/* What an exchange leaves behind. */
static void clear(struct gw_ask *a)
{
    over(a, "cancelled", ERR_CANCELLED, NULL);
    http_cancel(a->http);
    gw__grant_leave(a->waiter);
    vault_text_wipe(&a->secret);
    buf_release(&a->body);
    free(a->url);
    free(a->request);
    a->http = NULL;
    a->waiter = NULL;
    a->url = a->request = NULL;
    a->renewed = false;
    a->failures = 0;
}

static void ask_free(struct gw_ask *a, struct gw_spent *spent)
{
    bool sent = a->sent;
    clear(a);
    *a->link = a->next;
    if (a->next)
        a->next->link = a->link;
    if (spent)
        *spent = (struct gw_spent){.count = 0};
    if (a->release)
        a->release(a->state, sent, spent);
    loop_timer_free(a->timer);
    free(a->traceparent);
    free(a);
}

void gw_ask_cancel(struct gw_ask *a, struct gw_spent *spent)
{
    ask_free(a, spent);
}

void gw__ask_end(struct gw_ask *a, const struct error *e)
{
    gw_asked_fn *fn = a->fn;
    a->out.error = *e;
    a->out.elapsed_ms = (int64_t)(clock_mono_ms() - a->started);
    /* fn may begin another ask, but cannot cancel this one any more */
    fn(a->arg, &a->out);
    ask_free(a, NULL);
}

void gw__ask_later(struct gw_ask *a, uint64_t ms,
                   void (*step)(struct gw_ask *a, const json_t *answer, const struct error *e))
{
    a->step = step;
    loop_timer_start(a->timer, ms, 0);
}

static void failed(struct gw_ask *a, enum err code, const char *text)
{
    struct error e;
    char *clean = gw__clean_words(text, &a->secret);
    err_set(&e, code, "%s: %s", a->m->pub.name, clean);
    free(clean);
    clear(a);
    a->step(a, NULL, &e);
}

static const char *key_of(const struct gw_ask *a)
{
    return a->key < a->m->key_count ? a->m->keys[a->key] : NULL;
}

static bool on_data(void *arg, const char *bytes, size_t len)
{
    struct gw_ask *a = arg;
    buf_add(&a->body, bytes, len);
    return true;
}

/* Whether it is made again; then it has been seen to. */
static bool again(struct gw_ask *a, enum err code, long status, int64_t retry_after_ms)
{
    uint64_t pause = retry_after_ms >= 0 ? (uint64_t)retry_after_ms : gw__backoff_ms(a->failures);
    if (status == 401 && a->m->form.auth == GW__EXCHANGE && !a->renewed && a->secret.text) {
        a->renewed = true;
        gw__grant_drop(a->g, a->m, key_of(a), &a->secret);
        pause = 0;
    } else {
        bool other = status == 429 && gw__lane_rotate(a->m, a->key, pause);
        if (!gw__is_passing(code, status) || a->failures >= a->m->policy.retries ||
            pause > PAUSE_MAX)
            return false;
        a->failures++;
        pause = other ? 0 : pause;
    }
    vault_text_wipe(&a->secret);
    buf_release(&a->body);
    loop_timer_start(a->timer, pause, 0);
    return true;
}

static void take_answer(struct gw_ask *a)
{
    const struct error fine = {0};
    json_t *answer =
        json_read(a->body.data ? a->body.data : "", a->body.len, REPLY_MAX, DEPTH, NULL);
    const char *wrong = a->plain                 ? ""
                        : json_is_object(answer) ? gw__error_words(answer)
                                                 : "the answer is no JSON object";
    enum err code = !*wrong ? ERR_OK : json_is_object(answer) ? ERR_UPSTREAM : ERR_PROTOCOL;
    over(a, code ? "error" : "ok", code, answer);
    if (code) {
        failed(a, code, wrong);
    } else {
        clear(a);
        a->step(a, answer, &fine);
    }
    json_decref(answer);
}

static void on_done(void *arg, const struct error *e, long status)
{
    struct gw_ask *a = arg;
    int64_t retry_after = http_retry_after_ms(a->http);
    enum err code = e->code                          ? e->code
                    : status >= 200 && status <= 299 ? ERR_OK
                    : status == 429 || status == 529 ? ERR_OVERLOADED
                                                     : ERR_UPSTREAM;
    a->http = NULL;
    a->out.http_status = status;
    if (code == ERR_OK) {
        take_answer(a);
        return;
    }
    over(a, "error", code, NULL);
    if (!again(a, code, status, retry_after)) {
        json_t *answer =
            json_read(a->body.data ? a->body.data : "", a->body.len, GW__ERROR_MAX, DEPTH, NULL);
        const char *words = e->code ? e->detail : gw__error_words(answer);
        char *text = status >= 300 ? xasprintf("HTTP %ld%s%s", status, *words ? ": " : "", words)
                                   : xstrdup(words);
        failed(a, code, text);
        free(text);
        json_decref(answer);
    }
}

static const struct http_ops http = {.data = on_data, .done = on_done};

static void on_token(void *arg, const struct error *e)
{
    struct gw_ask *a = arg;
    struct error why = *e;
    a->waiter = NULL;
    if (!why.code) {
        send_it(a);
    } else if (!again(a, why.code, 0, -1)) {
        failed(a, why.code, why.detail);
    }
}

/* The key, or a token for it. False: it waits for one, or has failed. */
static bool find_secret(struct gw_ask *a, struct error *e)
{
    a->key = gw__lane_key(a->m);
    const char *key = key_of(a);
    if (!key)
        return true;
    if (a->m->form.auth != GW__EXCHANGE)
        return vault_text_get(a->g->vault, key, &a->secret, e) == ERR_OK;
    gw__grant_get(a->g, a->m, key, &a->secret);
    if (!a->secret.text)
        a->waiter = gw__grant_wait(a->g, a->m, key, on_token, a, e);
    return a->secret.text != NULL;
}

static void send_it(struct gw_ask *a)
{
    const char *headers[5] = {"Content-Type: application/json"};
    struct error e = {0};
    struct breaker *breaker = &a->m->lane->breaker;
    char *auth = NULL, *trace = NULL;
    size_t n = a->request ? 1 : 0;
    if (a->operation == GW__EMBED && !breaker_lets(breaker)) {
        err_set(&e, ERR_UNREACHABLE, "it failed too often: it is left alone for %llu ms more",
                (unsigned long long)breaker_wait_ms(breaker));
        failed(a, e.code, e.detail);
        return;
    }
    if (!find_secret(a, &e)) {
        if (!a->waiter)
            failed(a, e.code, e.detail);
        return;
    }
    if (a->secret.text && !(auth = gw__auth_header(a->m, a->m->form.auth, a->secret.text, &e)))
        goto out;
    if (auth)
        headers[n++] = auth;
    if (a->m->form.header)
        headers[n++] = a->m->form.header;
    a->probe = breaker_lets(breaker) && breaker_begin(breaker);
    a->sent = true;
    a->sent_at = clock_mono_ms();
    a->out.http_status = 0;
    if ((trace = gw__told_ask(a)))
        headers[n++] = trace;
    headers[n] = NULL;
    struct http_options o = {.method = a->request ? "POST" : "GET",
                             .url = a->url,
                             .headers = headers,
                             .body = a->request,
                             .body_len = a->request ? strlen(a->request) : 0,
                             .connect_ms = a->m->policy.connect_ms,
                             .total_ms = TOTAL_MS,
                             .silence_ms = SILENCE_MS,
                             .max_bytes = REPLY_MAX,
                             .ca_file = a->m->ca_file};
    a->http = http_start(a->g->loop, &o, &http, a, &e);
    if (!a->http)
        over(a, "error", e.code, NULL);
out:
    gw__wipe(auth);
    free(trace);
    if (!a->http)
        failed(a, e.code, e.detail);
}

void gw__ask_send(struct gw_ask *a, char *url, json_t *request,
                  void (*step)(struct gw_ask *a, const json_t *answer, const struct error *e))
{
    a->step = step;
    a->url = url;
    a->request = request ? json_write(request) : NULL;
    json_decref(request);
    loop_timer_start(a->timer, 0, 0);
}
