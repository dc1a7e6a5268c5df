/* MCP on Streamable HTTP: what comes back. See mcp_http.c for the invariants. */
#include "backend/base/clock.h"
#include "backend/connectors/mcp_http.h"
#include <stdlib.h>
#include <string.h>

enum {
    RETRY_MS = 1000,
    RETRY_MAX_MS = 60000,
    TRIES_MAX = 8,    /* GETs in a row that bring no event */
    LINGER_MS = 2000, /* an answered stream may stay open so long */
    SHORT_LIFE_MS = 1000,
    REFUSALS_MAX = 4,
    SESSIONS_LOST_MAX = 3
};

/* ---- reports; false: x is gone ---- */
bool mcp_http__lose(struct exchange *x, enum err code, const char *why)
{
    struct mcp_http *w = x->w;
    int64_t id = x->id;
    uint64_t run = w->run;
    bool noting = x->noting;
    char *words = xstrdup(why); /* may live in x */
    mcp_http__drop(x);
    if (noting) {
        w->noting = false;
        mcp_http__go_on(w);
    }
    if (id && w->run == run)
        mcp__lost(w->mcp, id, code, words);
    free(words);
    return false;
}

static bool one_message(struct exchange *x, const json_t *message)
{
    struct mcp_http *w = x->w;
    uint64_t run = w->run;
    const json_t *id = json_object_get(message, "id");
    if (!json_object_get(message, "method") && json_is_integer(id)) {
        for (struct exchange *y = w->first; y; y = y->next) {
            if (y->id != json_integer_value(id))
                continue;
            y->id = 0; /* answered, wherever */
            if (y->http && y->stream)
                loop_timer_start(y->timer, LINGER_MS, 0);
            w->sessions_lost = y->first || json_object_get(message, "error") ? w->sessions_lost : 0;
            break;
        }
    }
    return mcp__message(w->mcp, message) && w->run == run && !x->gone;
}

/* True: x is still there. ok: the text was JSON-RPC. */
static bool take_json(struct exchange *x, const char *text, size_t len, bool *ok)
{
    struct mcp_http *w = x->w;
    json_t *all = json_read(text, len, MCP_LINE_MAX, MCP_DEPTH_MAX, NULL);
    bool there = true;
    *ok = json_is_object(all) || json_is_array(all);
    if (json_is_object(all)) {
        there = one_message(x, all);
    } else if (json_is_array(all)) { /* a batch: revision 2025-03-26 */
        for (size_t i = 0; there && i < json_array_size(all); i++) {
            const json_t *one = json_array_get(all, i);
            there = json_is_object(one) ? one_message(x, one) : mcp__noise(w->mcp, text, len);
        }
    } else {
        uint64_t run = w->run;
        there = mcp__noise(w->mcp, text, len) && w->run == run && !x->gone;
    }
    json_decref(all);
    return there;
}

/* ---- the two addresses of 2024-11-05 ---- */
static void got_endpoint(struct exchange *x, const char *where)
{
    struct mcp_http *w = x->w;
    char *url = oauth__url_join(w->url, where);
    if (!url || !oauth__same_origin(url, w->url)) {
        free(url);
        mcp__down(w->mcp, ERR_PROTOCOL, "its endpoint event names an address of another server");
        return;
    }
    free(w->post_url);
    w->post_url = url;
    w->stream_opening = false;
    mcp_http__go_on(w);
}

/* The newer transport was refused: ask for the older one. */
static void try_old(struct exchange *x, const char *why)
{
    struct mcp_http *w = x->w;
    w->old = true;
    x->first_error = xstrdup(why);
    x->wait = WAIT_TURN;
    mcp_http__open_stream(w);
}

/* There is no older one either: what the first answer said is what counts. */
static void old_refused(struct mcp_http *w)
{
    w->old = false;
    for (struct exchange *x = w->first; x; x = x->next) {
        if (!x->first_error)
            continue;
        mcp_http__lose(x, conn__http_error(x->status), x->first_error);
        return;
    }
}

/* ---- as it comes ---- */
static void on_head(void *arg, long status, const char *type)
{
    struct exchange *x = arg;
    struct mcp_http *w = x->w;
    bool fine = status >= 200 && status <= 299;
    x->status = status;
    x->stream = fine && strncasecmp(type, "text/event-stream", 17) == 0;
    x->json = strncasecmp(type, "application/json", 16) == 0;
    int64_t expires = http_cert_expires_at(x->http);
    if (expires)
        conn__certificate(w->conn, expires);
    oauth__nonce(w->auth, http_header(x->http, "DPoP-Nonce"));
    if (fine)
        oauth__accepted(w->auth);
    if (x->first && fine && !w->session) {
        const char *session = http_header(x->http, "Mcp-Session-Id");
        size_t len = session ? strlen(session) : 0;
        for (size_t i = 0; i < len; i++)
            len = session[i] > 0x20 && session[i] < 0x7f ? len : 0;
        w->session = len && len <= 1024 ? xstrdup(session) : NULL;
    }
    if (x->server_side && x->stream && !w->old)
        mcp_http__stream_settled(w);
}

static bool on_event(void *arg, const char *event, const char *data, size_t len)
{
    struct exchange *x = arg;
    bool ok;
    x->tries = 0;
    x->told = true;
    buf_clear(&x->last_id);
    buf_add(&x->last_id, x->sse.id.data, x->sse.id.len);
    if (x->sse.retry_ms)
        x->retry_ms = x->sse.retry_ms;
    if (x->w->old && x->server_side && strcmp(event, "endpoint") == 0) {
        got_endpoint(x, data);
        return !x->gone;
    }
    return len == 0 || take_json(x, data, len, &ok);
}

static bool on_data(void *arg, const char *bytes, size_t len)
{
    struct exchange *x = arg;
    enum err code = ERR_OK;
    mcp_http__enter(x);
    if (x->stream) {
        code = sse_feed(&x->sse, bytes, len, on_event, x);
    } else {
        size_t max = x->status >= 200 && x->status <= 299 ? MCP_LINE_MAX : MCP_HTTP_ERROR_MAX;
        size_t room = max - x->text.len;
        if (len > room && max == MCP_LINE_MAX)
            code = ERR_TOO_BIG;
        else
            buf_add(&x->text, bytes, len < room ? len : room);
    }
    if (code == ERR_TOO_BIG && !x->gone)
        mcp_http__lose(x, ERR_TOO_BIG, "an answer is longer than 16 MiB");
    mcp_http__leave(x);
    return true; /* where x is gone, its call was cancelled */
}

/* ---- ends ---- */
static void collect(void *arg, const char *value)
{
    struct buf *out = arg;
    if (out->len + strlen(value) < 16384)
        buf_addf(out, "%s\n", value);
}

/* 401, or 403 that asks for more scope. True: that was dealt with. */
static bool was_refused(struct exchange *x, long status)
{
    struct mcp_http *w = x->w;
    struct buf challenges = {0};
    struct error why = {0};
    http_header_each(x->http, "WWW-Authenticate", collect, &challenges);
    bool about_token = status == 401 || (status == 403 && challenges.len &&
                                         strstr(challenges.data, "insufficient_scope"));
    if (!about_token) {
        buf_release(&challenges);
        return false;
    }
    enum oauth_verdict verdict =
        x->refusals++ < REFUSALS_MAX
            ? oauth__refused(w->auth, status, challenges.data ? challenges.data : "", x->generation,
                             &why)
            : OAUTH_REFUSED;
    buf_release(&challenges);
    x->http = NULL;
    switch (verdict) {
    case OAUTH_AGAIN:
        mcp_http__begin(x);
        break;
    case OAUTH_WAIT:
        x->wait = WAIT_AUTH;
        break;
    case OAUTH_PERSON: /* what runs is failed by the registry */
        w->run++;
        w->running = false;
        mcp_http__drop_all(w);
        mcp__sign_in(w->mcp, why.detail, NULL);
        break;
    case OAUTH_REFUSED:
        mcp_http__lose(x, ERR_DENIED, *why.detail ? why.detail : "the server refuses the token");
        break;
    }
    return true;
}

static void session_is_lost(struct exchange *x)
{
    struct mcp_http *w = x->w;
    free(w->session);
    w->session = NULL;
    w->noting = w->stream_opening = false;
    mcp_http__drop_all(w);
    if (++w->sessions_lost > SESSIONS_LOST_MAX)
        mcp__down(w->mcp, ERR_PROTOCOL, "the server forgets each session at once");
    else
        mcp__session_lost(w->mcp, "the server has forgotten the session (HTTP 404)");
}

/* An HTTP status that is no success. */
static void has_failed(struct exchange *x, long status, const char *location)
{
    const char *body = x->text.data ? x->text.data : "";
    json_t *answer = json_read(body, x->text.len, MCP_HTTP_ERROR_MAX, MCP_DEPTH_MAX, NULL);
    if (x->id && json_is_object(json_object_get(answer, "error")) &&
        json_is_integer(json_object_get(json_object_get(answer, "error"), "code")) &&
        !(x->first && (status == 404 || status == 405))) {
        json_object_set_new(answer, "id", json_integer(x->id));
        if (one_message(x, answer))
            mcp_http__drop(x);
        json_decref(answer);
        return;
    }
    struct buf why = {0};
    buf_addf(&why, "HTTP %ld", status);
    if (location)
        buf_addf(&why, ", it redirects to %.160s, which is not followed", location);
    else if (*body)
        buf_addf(&why, ": %.160s", body);
    if (x->first && !x->w->old && (status == 400 || status == 404 || status == 405))
        try_old(x, why.data);
    else
        mcp_http__lose(x, conn__http_error(status), why.data);
    buf_release(&why);
    json_decref(answer);
}

static uint64_t pause_of(const struct exchange *x)
{
    uint64_t ms = x->retry_ms ? (uint64_t)x->retry_ms : RETRY_MS;
    for (unsigned i = 0; i < x->tries && ms < RETRY_MAX_MS; i++)
        ms *= 2;
    return ms < RETRY_MAX_MS ? ms : RETRY_MAX_MS;
}

/* The server's own stream ended, or was not to be had. */
static void stream_over(struct exchange *x, const struct error *e, long status)
{
    struct mcp_http *w = x->w;
    bool had = x->stream;
    if (w->old && !w->post_url) {
        mcp_http__drop(x);
        old_refused(w);
        return;
    }
    if (w->old) {
        char *why = xasprintf("its stream ended%s%.160s", e->code ? ": " : "", e->detail);
        mcp_http__drop(x);
        mcp__down(w->mcp, ERR_CLOSED, why);
        free(why);
        return;
    }
    mcp_http__stream_settled(w);
    if (x->gone)
        return;
    bool never = !had && e->code == ERR_OK && status < 500;
    if (never) { /* 405 as a rule: it has nothing to say unasked */
        mcp_http__drop(x);
        return;
    }
    uint64_t wait = pause_of(x);
    bool lasted = had && clock_mono_ms() - x->began_ms >= SHORT_LIFE_MS;
    x->tries = lasted || x->told ? 0 : x->tries + 1;
    mcp_http__again_in(x, wait);
}

/* The stream of an answer ended without it: it is taken up again where the server can (H1). */
static void answer_cut(struct exchange *x, const struct error *e)
{
    if (x->modern || !x->last_id.len || x->tries >= TRIES_MAX) {
        char *why =
            xasprintf("the stream ended before the answer%s%.160s", e->code ? ": " : "", e->detail);
        mcp_http__lose(x, ERR_CLOSED, why);
        free(why);
        return;
    }
    uint64_t wait = pause_of(x);
    x->resuming = true;
    x->tries++;
    mcp_http__again_in(x, wait);
}

/* The status was a success and the body has ended. */
static void has_ended(struct exchange *x, long status, const struct error *e)
{
    struct mcp_http *w = x->w;
    bool ok = true, noting = x->noting;
    uint64_t run = w->run;
    if (x->stream) {
        if (x->id)
            answer_cut(x, e);
        else
            mcp_http__drop(x);
    } else if (e->code) {
        mcp_http__lose(x, x->id ? ERR_CLOSED : e->code, e->detail);
    } else {
        if (x->text.len && (x->json || x->id) && !(w->old && !x->server_side) &&
            !take_json(x, x->text.data, x->text.len, &ok))
            return;
        if (x->id && !w->old) {
            char *why = ok ? xasprintf("HTTP %ld without an answer", status)
                           : xasprintf("HTTP %ld with what is no JSON-RPC", status);
            mcp_http__lose(x, ERR_PROTOCOL, why);
            free(why);
        } else { /* also in the older transport, whose answers come on the stream */
            mcp_http__drop(x);
        }
    }
    if (noting && w->run == run) {
        w->noting = false;
        if (!w->old)
            mcp_http__open_stream(w);
        if (w->run == run)
            mcp_http__go_on(w);
    }
}

static bool never_sent(enum err code)
{
    return code == ERR_UNREACHABLE || code == ERR_CERTIFICATE || code == ERR_CONFIG;
}

static void on_done(void *arg, const struct error *e, long status)
{
    struct exchange *x = arg;
    struct mcp_http *w = x->w;
    mcp_http__enter(x);
    if (x->sse.retry_ms) /* it may have come without an event */
        x->retry_ms = x->sse.retry_ms;
    if (x->sse.id.len) {
        buf_clear(&x->last_id);
        buf_add(&x->last_id, x->sse.id.data, x->sse.id.len);
    }
    if (status && was_refused(x, status))
        goto out;
    const char *location = status >= 300 && status <= 399 ? http_header(x->http, "Location") : NULL;
    x->http = NULL; /* it frees itself; location stays until this returns */
    if (status == 404 && w->session && !w->old)
        session_is_lost(x);
    else if (x->server_side)
        stream_over(x, e, status);
    else if (x->resuming && x->id && (e->code || status < 200 || status > 299))
        answer_cut(x, e->code || status >= 500
                          ? e
                          : &(struct error){ERR_CLOSED, "the server does not resume it"});
    else if (e->code && status < 200 && !x->stream)
        mcp_http__lose(x, never_sent(e->code) ? e->code : ERR_CLOSED, e->detail);
    else if (status < 200 || status > 299)
        has_failed(x, status, location);
    else
        has_ended(x, status, e);
out:
    mcp_http__leave(x);
}

const struct http_ops mcp_http__ops = {.head = on_head, .data = on_data, .done = on_done};
