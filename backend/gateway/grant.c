/* Tokens that a key is exchanged for, as GigaChat does it: POST token_url with the key as Basic
 * authorization, an id of the request (RqUID) and the scope as a form; {access_token, expires_at in
 * ms of the epoch}. Not compared with the provider's documentation.
 *
 * 1 A grant lives from its first use until the gateway ends; one exchange of it runs at a time, and
 *   whoever needs the token meanwhile waits for that one.
 * 2 The token is held in locked memory and stands in no message. */
#include "backend/base/clock.h"
#include "backend/gateway/upstream.h"
#include <stdlib.h>
#include <string.h>

enum {
    REPLY_MAX = 64 << 10,
    DEPTH = 8,
    TOTAL_MS = 15000,
    AHEAD_MS = 60000, /* before its end a token is renewed */
    SURE_MS = 2000    /* before its end it is not sent any more */
};

struct gw__waiter {
    struct gw__grant *grant;
    gw__grant_fn *fn;
    void *arg;
    struct gw__waiter *next, **link;
};

struct gw__grant {
    struct gw__grant *next;
    const struct gw__model *m;
    char *key;
    struct vault_text token;
    int64_t expires_at; /* real ms */
    struct http_call *http;
    struct buf body;
    struct gw__waiter *waiters;
};

static void waiter_free(struct gw__waiter *w)
{
    *w->link = w->next;
    if (w->next)
        w->next->link = w->link;
    free(w);
}

void gw__grant_leave(struct gw__waiter *w)
{
    if (w)
        waiter_free(w);
}

void gw__grants_free(struct gw *g)
{
    for (struct gw__grant *a; (a = g->grants);) {
        g->grants = a->next;
        http_cancel(a->http);
        while (a->waiters)
            waiter_free(a->waiters);
        vault_text_wipe(&a->token);
        buf_release(&a->body);
        free(a->key);
        free(a);
    }
}

static struct gw__grant *grant_of(struct gw *g, const struct gw__model *m, const char *key)
{
    for (struct gw__grant *a = g->grants; a; a = a->next)
        if (a->m == m && strcmp(a->key, key) == 0)
            return a;
    struct gw__grant *a = xcalloc(1, sizeof *a);
    *a = (struct gw__grant){.next = g->grants, .m = m, .key = xstrdup(key)};
    g->grants = a;
    return a;
}

/* Each waiter hears of it; one may leave, or start something new, inside another one's. */
static void tell(struct gw__grant *a, const struct error *e)
{
    struct gw__waiter *now = a->waiters;
    a->waiters = NULL;
    if (now)
        now->link = &now;
    while (now) {
        gw__grant_fn *fn = now->fn;
        void *arg = now->arg;
        waiter_free(now);
        fn(arg, e);
    }
}

static bool on_data(void *arg, const char *bytes, size_t len)
{
    struct gw__grant *a = arg;
    buf_add(&a->body, bytes, len);
    return true;
}

static void read_token(struct gw__grant *a, struct error *e)
{
    json_t *reply =
        json_read(a->body.data ? a->body.data : "", a->body.len, REPLY_MAX, DEPTH, NULL);
    const char *token = json_str(reply, "access_token", "");
    int64_t ends = json_int(reply, "expires_at", 0);
    if (!*token || ends <= clock_real_ms()) {
        err_set(e, ERR_UPSTREAM, "the answer of %s holds no token that is good",
                a->m->form.token_url);
    } else {
        struct vault_text fresh = {0};
        vault_text_put(&fresh, token, strlen(token));
        vault_known_add(&fresh, a->token.text ? &a->token : NULL);
        vault_text_wipe(&a->token);
        a->token = fresh;
        a->expires_at = ends;
    }
    json_decref(reply);
}

static void on_done(void *arg, const struct error *e, long status)
{
    struct gw__grant *a = arg;
    struct error why = {0};
    a->http = NULL;
    if (e->code != ERR_OK) {
        err_set(&why, e->code, "no token from %s: %s", a->m->form.token_url, e->detail);
    } else if (status != 200) {
        json_t *reply =
            json_read(a->body.data ? a->body.data : "", a->body.len, REPLY_MAX, DEPTH, NULL);
        err_set(&why, status == 429 ? ERR_OVERLOADED : ERR_UPSTREAM,
                "no token from %s: HTTP %ld%s%.200s", a->m->form.token_url, status,
                *gw__error_words(reply) ? ": " : "", gw__error_words(reply));
        json_decref(reply);
    } else {
        read_token(a, &why);
    }
    if (a->body.data)
        explicit_bzero(a->body.data, a->body.len);
    buf_release(&a->body);
    tell(a, &why);
}

static const struct http_ops http = {.data = on_data, .done = on_done};

/* A random UUID (RFC 9562, version 4). */
static void put_uuid(char out[37])
{
    unsigned char b[16];
    vault_random(b, sizeof b);
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    for (size_t i = 0, n = 0; i < sizeof b; i++)
        n += (size_t)snprintf(out + n, 37 - n,
                              i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", b[i]);
}

static enum err exchange(struct gw *g, struct gw__grant *a, struct error *e)
{
    struct vault_text secret = {0};
    char uuid[37], *auth = NULL, *id = NULL, *form = NULL;
    enum err code = vault_text_get(g->vault, a->key, &secret, e);
    if (code != ERR_OK)
        return code;
    char *bearer = gw__auth_header(a->m, GW__BEARER, secret.text, e); /* is it printable? */
    if (!bearer) {
        code = e->code;
        goto out;
    }
    put_uuid(uuid);
    auth = xasprintf("Authorization: Basic %s", secret.text);
    id = xasprintf("RqUID: %s", uuid);
    form = xasprintf("scope=%s", a->m->form.scope ? a->m->form.scope : "");
    const char *headers[] = {"Content-Type: application/x-www-form-urlencoded",
                             "Accept: application/json", auth, id, NULL};
    struct http_options o = {.method = "POST",
                             .url = a->m->form.token_url,
                             .headers = headers,
                             .body = form,
                             .body_len = strlen(form),
                             .total_ms = TOTAL_MS,
                             .max_bytes = REPLY_MAX,
                             .ca_file = a->m->ca_file};
    a->http = http_start(g->loop, &o, &http, a, e);
    code = a->http ? ERR_OK : e->code;
out:
    gw__wipe(bearer);
    gw__wipe(auth);
    free(id);
    free(form);
    vault_text_wipe(&secret);
    return code;
}

void gw__grant_get(struct gw *g, const struct gw__model *m, const char *key, struct vault_text *out)
{
    struct gw__grant *a = grant_of(g, m, key);
    int64_t left = a->token.text ? a->expires_at - clock_real_ms() : 0;
    struct error e = {0};
    if (left < SURE_MS)
        return;
    vault_text_put(out, a->token.text, a->token.len);
    if (left < AHEAD_MS && !a->http)
        exchange(g, a, &e); /* if it fails, whoever needs the next token hears why */
}

struct gw__waiter *gw__grant_wait(struct gw *g, const struct gw__model *m, const char *key,
                                  gw__grant_fn *fn, void *arg, struct error *e)
{
    struct gw__grant *a = grant_of(g, m, key);
    if (!a->http && exchange(g, a, e) != ERR_OK)
        return NULL;
    struct gw__waiter *w = xcalloc(1, sizeof *w);
    *w = (struct gw__waiter){
        .grant = a, .fn = fn, .arg = arg, .next = a->waiters, .link = &a->waiters};
    if (w->next)
        w->next->link = &w->next;
    a->waiters = w;
    return w;
}

void gw__grant_drop(struct gw *g, const struct gw__model *m, const char *key,
                    const struct vault_text *token)
{
    struct gw__grant *a = grant_of(g, m, key);
    if (a->token.text && strcmp(a->token.text, token->text) == 0)
        a->expires_at = 0;
}
