/* What the HTTP APIs share: one request, its failures in plain words, and the end of its stream.
 *
 * 1 A stream without the end mark of its API is an error, however cleanly the connection closed.
 * 2 The key is sent in one header and stands nowhere else: what the upstream says is searched for
 * it. 3 After the end mark the connection may linger LINGER_MS, so that it can be used again. */
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

void gw__upstream_complete(struct gw__try *t, const char *reason)
{
    struct gw__upstream *u = t->state;
    u->complete = true;
    u->reason = reason;
}

void gw__upstream_fail(struct gw__try *t, enum err code, const char *text)
{
    struct gw__upstream *u = t->state;
    char *clean = text_cleaned(text, TEXT_ONE_LINE);
    size_t len = u->secret.len;
    for (char *at = clean; len && (at = strstr(at, u->secret.text)); at += len)
        memset(at, '*', len);
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

static void fail_with_status(struct gw__try *t)
{
    struct gw__upstream *u = t->state;
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
    gw__upstream_fail(t, u->status == 429 ? ERR_OVERLOADED : ERR_UPSTREAM, text.data);
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

static void on_done(void *arg, const struct error *e, long status)
{
    struct gw__try *t = arg;
    struct gw__upstream *u = t->state;
    u->http = NULL;
    gw__enter(t);
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
    loop_timer_free(u->linger);
    vault_text_wipe(&u->secret);
    buf_release(&u->body);
    sse_release(&u->sse);
    gw__lines_release(&u->lines);
    free(u);
}

void gw__upstream_stop(struct gw__try *t)
{
    upstream_free(t->state);
    t->state = NULL;
}

static char *bearer_of(const char *secret, const struct gw__model *m, const char *key,
                       struct error *e)
{
    for (const char *p = secret; *p; p++) {
        if (*p <= ' ' || *p >= 127) { /* else it could come back in a form that is not found */
            err_set(e, ERR_CONFIG,
                    "%s: the key in %s holds a character that is not printable ASCII", m->pub.name,
                    key);
            return NULL;
        }
    }
    return xasprintf("Authorization: Bearer %s", secret);
}

static void wipe(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

enum err gw__upstream_start(struct gw__try *t, const struct gw__dialect *dialect, const char *path,
                            json_t *body, struct error *e)
{
    struct gw__upstream *u = xcalloc(1, sizeof *u);
    char *bearer = NULL, *trace = NULL, *url = NULL, *text = json_write(body);
    const char *headers[4] = {"Content-Type: application/json"};
    size_t n = 1;
    enum err code = ERR_CONFIG;
    json_decref(body);
    u->dialect = dialect;
    u->sse.max = GW__LINE_MAX;
    const char *key = t->key < t->m->key_count ? t->m->keys[t->key] : NULL;
    if (key) {
        if (vault_text_get(t->g->vault, key, &u->secret, e) != ERR_OK ||
            !(bearer = bearer_of(u->secret.text, t->m, key, e)))
            goto out;
        headers[n++] = bearer;
    }
    if ((trace = gw__told_header(t)))
        headers[n++] = trace;
    size_t len = strlen(t->m->pub.url);
    while (len && t->m->pub.url[len - 1] == '/')
        len--;
    url = xasprintf("%.*s%s", (int)len, t->m->pub.url, path);
    struct http_options o = {.method = "POST",
                             .url = url,
                             .headers = headers,
                             .body = text,
                             .body_len = strlen(text),
                             .connect_ms = t->connect_ms,
                             .ca_file = t->m->ca_file};
    u->http = http_start(t->g->loop, &o, &http, t, e);
    if (!u->http)
        goto out;
    u->linger = loop_timer_new(t->g->loop, linger_over, t);
    t->state = u;
    code = ERR_OK;
out:
    if (code != ERR_OK) {
        code = e && e->code ? e->code : code;
        upstream_free(u);
    }
    wipe(bearer);
    free(trace);
    free(url);
    free(text);
    return code;
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
        gw__delta(t, text, len);
    }
    buf_release(&own);
    return read;
}

json_t *gw__messages(const struct gw_request *r)
{
    json_t *messages = json_array();
    for (size_t i = 0; i < r->message_count; i++) {
        json_t *m = json_object();
        json_puts(m, "role", r->messages[i].role);
        json_puts(m, "content", r->messages[i].content);
        json_array_append_new(messages, m);
    }
    if (!r->message_count) {
        json_t *m = json_object();
        json_puts(m, "role", "user");
        json_puts(m, "content", r->question);
        json_array_append_new(messages, m);
    }
    return messages;
}

int64_t gw__count(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return -1;
    return json_integer_value(value);
}
