/* What the HTTP APIs share: one request, its failures in plain words, and the end of its stream.
 *
 * 1 A stream without the end mark of its API is an error, however cleanly the connection closed.
 * 2 The key is sent in one header and stands nowhere else: what the upstream says is searched for
 * it. 3 After the end mark the connection may linger LINGER_MS, so that it can be used again.
 * 4 A token that is refused is exchanged for a new one, once a try. */
#include "backend/gateway/upstream.h"
#include "backend/base/text.h"
#include "backend/vault/vault.h"
#include <stdlib.h>
#include <string.h>

enum { LINGER_MS = 10, JSON_DEPTH = 64 };

static void linger_over(void *arg)
{
    struct gw__try *t = arg;
    struct gw__upstream *u = t->state;
    gw__enter(t);
    gw__finish(t, &(struct error){0}, u->reason);
    gw__leave(t);
}

/* What was asked for as JSON and ended of itself. */
static bool is_json_object(const struct gw__try *t)
{
    json_t *value =
        json_read(t->text.data ? t->text.data : "", t->text.len, GW__TEXT_MAX, JSON_DEPTH, NULL);
    bool fine = json_is_object(value);
    json_decref(value);
    return fine;
}

/* What the model is to get back with the tools' results, by the name that its form has for it:
 * empty too, as DeepSeek's documentation wants it ("Thinking Mode", "Tool Calls"). */
static void keep_thinking(struct gw__try *t)
{
    if (!t->m->form.thinking || !t->tool_calls || t->thinking || t->hidden_tokens)
        return;
    t->thinking = json_object();
    json_puts(t->thinking, "by", t->m->pub.model);
    json_put(t->thinking, "text",
             json_text(t->reasoning.data ? t->reasoning.data : "", t->reasoning.len));
}

void gw__upstream_complete(struct gw__try *t, const char *reason)
{
    struct gw__upstream *u = t->state;
    if (!gw__text_end(t) || !gw__calls_end(t))
        return;
    gw__blocks_end(t);
    keep_thinking(t);
    u->complete = true;
    u->reason = t->tool_calls && strcmp(reason, "length") != 0 ? "tool_calls" : reason;
    if (t->r->json_mode && !t->tool_calls && strcmp(reason, "stop") == 0 && !is_json_object(t))
        gw__upstream_fail(t, ERR_PROTOCOL, "JSON was asked for, and the answer is no JSON object");
}

char *gw__clean_words(const char *text, const struct vault_text *secret)
{
    char *clean = text_cleaned(text, TEXT_ONE_LINE);
    size_t len = secret->len;
    for (char *at = clean; len && (at = strstr(at, secret->text)); at += len)
        memset(at, '*', len);
    for (char *at = clean; (at = (char *)vault_known_in(at, strlen(at), &len)); at += len)
        memset(at, '*', len);
    return clean;
}

void gw__upstream_fail(struct gw__try *t, enum err code, const char *text)
{
    const struct gw__upstream *u = t->state;
    char *clean = gw__clean_words(text, &u->secret);
    struct error e;
    err_set(&e, code, "%s: %s", t->m->pub.name, clean);
    free(clean);
    gw__finish(t, &e, NULL);
}

/* The words of an error object: {"error": "..."}, {"error": {"message": "..."}}, {"message": ...},
 * or one of these in a list. */
const char *gw__error_words(const json_t *answer)
{
    if (json_is_array(answer))
        answer = json_array_get(answer, 0);
    const json_t *error = json_object_get(answer, "error");
    if (json_is_string(error))
        return json_string_value(error);
    const char *message = json_str(error, "message", "");
    if (!*message)
        message = json_str(answer, "message", json_str(answer, "detail", ""));
    if (!*message && json_is_object(error))
        message = "an error without a message";
    return message;
}

/* The server did not take the request: no model read it. Behind other statuses one may have. */
static bool not_taken(long status)
{
    return (status >= 400 && status < 500 && status != 408) || status == 503 || status == 529;
}

static void fail_with_status(struct gw__try *t)
{
    struct gw__upstream *u = t->state;
    t->sent = t->sent && !not_taken(u->status);
    const char *body = u->body.data ? u->body.data : "";
    json_t *answer = json_read(body, u->body.len, GW__ERROR_MAX, JSON_DEPTH, NULL);
    const char *words = gw__error_words(answer);
    struct buf text = {0};
    buf_addf(&text, "HTTP %ld", u->status);
    if (t->retry_after_ms >= 0)
        buf_addf(&text, ", retry after %lld s", (long long)(t->retry_after_ms + 999) / 1000);
    if (!*words)
        words = body;
    if (*words)
        buf_addf(&text, ": %s", words); /* cut after the key was looked for */
    json_decref(answer);
    bool busy = u->status == 429 || u->status == 529; /* 529: Anthropic's own */
    gw__upstream_fail(t, busy ? ERR_OVERLOADED : ERR_UPSTREAM, text.data);
    buf_release(&text);
}

static void on_head(void *arg, long status, const char *content_type)
{
    struct gw__try *t = arg;
    struct gw__upstream *u = t->state;
    u->status = status;
    t->http_status = status;
    u->json = strncasecmp(content_type, "application/json", 16) == 0;
    t->retry_after_ms = http_retry_after_ms(u->http);
}

static bool on_data(void *arg, const char *bytes, size_t len)
{
    struct gw__try *t = arg;
    struct gw__upstream *u = t->state;
    gw__enter(t);
    u->received += len;
    if (u->status < 200 || u->status > 299) {
        size_t room = GW__ERROR_MAX - u->body.len;
        buf_add(&u->body, bytes, len < room ? len : room);
    } else if (u->received > GW__WIRE_MAX) {
        gw__upstream_fail(t, ERR_TOO_BIG, "the response is larger than 32 MiB");
    } else if (!u->complete) {
        enum err code = u->dialect->feed(t, bytes, len);
        if (!t->over && code == ERR_TOO_BIG)
            gw__upstream_fail(t, code, "a line of the stream is longer than 1 MiB");
        if (!t->over && u->complete)
            loop_timer_start(u->linger, LINGER_MS, 0);
    }
    gw__leave(t);
    return true; /* if the call is over, its http call was cancelled */
}

static bool refused_token(struct gw__try *t);

static void on_done(void *arg, const struct error *e, long status)
{
    struct gw__try *t = arg;
    struct gw__upstream *u = t->state;
    u->http = NULL;
    gw__enter(t);
    if (status == 401 && refused_token(t)) {
        gw__leave(t);
        return;
    }
    if (e->code == ERR_OK && status >= 200 && status <= 299 && !u->complete)
        u->dialect->end(t);
    if (t->over) {
        /* its end was an error that has been told */
    } else if (u->complete) {
        gw__finish(t, &(struct error){0}, u->reason);
    } else if (e->code != ERR_OK && u->received == 0) {
        t->sent = e->code != ERR_UNREACHABLE && e->code != ERR_CERTIFICATE && e->code != ERR_CONFIG;
        gw__upstream_fail(t, e->code, e->detail);
    } else if (status < 200 || status > 299) {
        u->status = status;
        fail_with_status(t);
    } else {
        struct buf text = {0};
        buf_addf(&text, "the stream was cut before its end%s%s", e->code ? ": " : "", e->detail);
        gw__upstream_fail(t, ERR_UPSTREAM, text.data);
        buf_release(&text);
    }
    gw__leave(t);
}

static const struct http_ops http = {.head = on_head, .data = on_data, .done = on_done};

static void upstream_free(struct gw__upstream *u)
{
    http_cancel(u->http);
    gw__grant_leave(u->waiter);
    loop_timer_free(u->linger);
    vault_text_wipe(&u->secret);
    free(u->url);
    free(u->request);
    buf_release(&u->body);
    buf_release(&u->held);
    sse_release(&u->sse);
    gw__lines_release(&u->lines);
    gw__calls_release(&u->calls);
    gw__blocks_release(&u->blocks);
    free(u);
}

enum err gw__upstream_feed(struct gw__try *t, const char *bytes, size_t len, sse_fn *fn)
{
    struct gw__upstream *u = t->state;
    if (!u->json)
        return sse_feed(&u->sse, bytes, len, fn, t);
    if (u->body.len + len > GW__TEXT_MAX)
        return ERR_TOO_BIG;
    buf_add(&u->body, bytes, len);
    return ERR_OK;
}

json_t *gw__upstream_whole(struct gw__try *t)
{
    const struct gw__upstream *u = t->state;
    json_t *answer =
        json_read(u->body.data ? u->body.data : "", u->body.len, GW__TEXT_MAX, JSON_DEPTH, NULL);
    gw__alive(t);
    if (json_is_object(answer))
        return answer;
    json_decref(answer);
    gw__upstream_fail(t, ERR_PROTOCOL, "the answer is no JSON object");
    return NULL;
}

void gw__upstream_stop(struct gw__try *t)
{
    upstream_free(t->state);
    t->state = NULL;
}

char *gw__auth_header(const struct gw__model *m, enum gw__auth auth, const char *secret,
                      struct error *e)
{
    for (const char *p = secret; *p; p++) {
        if (*p <= ' ' || *p >= 127) { /* else it could come back in a form that is not found */
            err_set(e, ERR_CONFIG, "%s: the key holds a character that is not printable ASCII",
                    m->pub.name);
            return NULL;
        }
    }
    if (auth == GW__X_API_KEY)
        return xasprintf("x-api-key: %s", secret);
    return xasprintf("Authorization: %s %s", auth == GW__API_KEY ? "Api-Key" : "Bearer", secret);
}

void gw__wipe(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

char *gw__address(const struct gw__model *m, const char *path)
{
    size_t len = strlen(m->pub.url);
    while (len && m->pub.url[len - 1] == '/')
        len--;
    return xasprintf("%.*s%s", (int)len, m->pub.url, path);
}

static const char *key_of(const struct gw__try *t)
{
    return t->key < t->m->key_count ? t->m->keys[t->key] : NULL;
}

/* Sends what waits in url and request, with u->secret as the key. */
static enum err send_request(struct gw__try *t, struct gw__upstream *u, struct error *e)
{
    const char *headers[5] = {"Content-Type: application/json"};
    char *auth = NULL, *trace = NULL;
    size_t n = 1;
    enum err code = ERR_CONFIG;
    if (u->secret.text && !(auth = gw__auth_header(t->m, t->m->form.auth, u->secret.text, e)))
        goto out;
    if (auth)
        headers[n++] = auth;
    if (t->m->form.header)
        headers[n++] = t->m->form.header;
    if ((trace = gw__told_header(t)))
        headers[n++] = trace;
    struct http_options o = {.method = "POST",
                             .url = u->url,
                             .headers = headers,
                             .body = u->request,
                             .body_len = strlen(u->request),
                             .connect_ms = t->connect_ms,
                             .ca_file = t->m->ca_file};
    u->http = http_start(t->g->loop, &o, &http, t, e);
    if (u->http)
        code = ERR_OK;
    else if (e->code)
        code = e->code;
out:
    if (t->m->form.auth != GW__EXCHANGE) { /* else it may be sent again */
        free(u->request);
        u->request = NULL;
    }
    gw__wipe(auth);
    free(trace);
    return code;
}

static void on_token(void *arg, const struct error *e)
{
    struct gw__try *t = arg;
    struct gw__upstream *u = t->state;
    struct error why = *e;
    u->waiter = NULL;
    gw__enter(t);
    if (!why.code) {
        gw__grant_get(t->g, t->m, key_of(t), &u->secret);
        if (!u->secret.text)
            err_set(&why, ERR_UPSTREAM, "the token that the key was exchanged for is over already");
        else
            send_request(t, u, &why);
    }
    t->sent = !why.code;
    if (why.code)
        gw__upstream_fail(t, why.code, why.detail);
    gw__leave(t);
}

static bool refused_token(struct gw__try *t)
{
    struct gw__upstream *u = t->state;
    struct error e = {0};
    if (t->m->form.auth != GW__EXCHANGE || u->renewed || !u->secret.text)
        return false;
    u->renewed = true;
    gw__grant_drop(t->g, t->m, key_of(t), &u->secret);
    vault_text_wipe(&u->secret);
    buf_clear(&u->body);
    u->received = 0;
    u->waiter = gw__grant_wait(t->g, t->m, key_of(t), on_token, t, &e);
    if (!u->waiter)
        gw__upstream_fail(t, e.code, e.detail);
    return true;
}

/* The key, or a token for it; with a token that is not there yet the request waits. */
static enum err find_secret(struct gw__try *t, struct gw__upstream *u, struct error *e)
{
    const char *key = key_of(t);
    if (!key)
        return ERR_OK;
    if (t->m->form.auth != GW__EXCHANGE)
        return vault_text_get(t->g->vault, key, &u->secret, e);
    gw__grant_get(t->g, t->m, key, &u->secret);
    if (!u->secret.text && !(u->waiter = gw__grant_wait(t->g, t->m, key, on_token, t, e)))
        return e->code;
    t->sent = u->waiter == NULL;
    return ERR_OK;
}

enum err gw__upstream_start(struct gw__try *t, const struct gw__dialect *dialect, const char *path,
                            json_t *body, struct error *e)
{
    struct gw__upstream *u = xcalloc(1, sizeof *u);
    struct error own = {0};
    e = e ? e : &own;
    u->dialect = dialect;
    u->sse.max = GW__LINE_MAX;
    if (t->m->form.extra)
        json_object_update_recursive(body, t->m->form.extra);
    u->request = json_write(body);
    u->url = gw__address(t->m, path);
    json_decref(body);
    enum err code = find_secret(t, u, e);
    if (code == ERR_OK && !u->waiter)
        code = send_request(t, u, e);
    if (code != ERR_OK) {
        upstream_free(u);
        return code;
    }
    u->linger = loop_timer_new(t->g->loop, linger_over, t);
    t->state = u;
    return ERR_OK;
}

bool gw__quick_delta(struct gw__try *t, const struct gw__quick *table, const char *json,
                     size_t size)
{
    struct buf own = {0};
    const char *text;
    size_t len;
    bool read = gw__quick_read(table, json, size, &own, &text, &len);
    if (read) {
        gw__alive(t);
        gw__text(t, text, len);
    }
    buf_release(&own);
    return read;
}

int64_t gw__count(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return -1;
    return json_integer_value(value);
}
