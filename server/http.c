/* Streamable HTTP: one path, POST for messages, GET for a session's own stream and for resuming,
 * DELETE to end a session. See M3 and M4 of server.h.
 *
 *      request -> gate (Host, Origin, token, rate) -> exchange -> one JSON answer, or a stream
 *
 * 1 An exchange is what one POST or GET brought. It lives until all its requests are answered and,
 *   in a session, its stream was read to the end or KEEP_MS passed.
 * 2 In a session a peer that goes does not cancel: events are kept, and a GET with Last-Event-ID
 *   goes on behind them. Without one (2026-07-28) the end of a stream cancels.
 * 3 A batch (2025-03-26) is answered by one: its answers are kept until the last is there.
 * 4 An event's id is "STREAM-NUMBER"; a stream begins with an event without data, so that there is
 *   an id to resume from. */
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "server/internal.h"
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
    SESSIONS = 64,
    EXCHANGES = 32,           /* of a session */
    IDLE_MS = 30 * 60 * 1000, /* then a session ends */
    KEEP_MS = 5 * 60 * 1000,  /* an answer that nobody read */
    EVENTS_BYTES = 4 << 20,   /* kept of a stream; the oldest go first */
    TICK_MS = 10000,          /* comments that keep streams alive, and the times above */
    RETRY_MS = 1000
};
static const char JSON[] = "application/json", SSE[] = "text/event-stream";

struct event {
    STAILQ_ENTRY(event) link;
    unsigned number;
    size_t len;
    char text[];
};
struct exchange {
    TAILQ_ENTRY(exchange) link;
    struct http *http;
    struct session *session;       /* NULL: without one */
    struct httpd_request *request; /* NULL: gone, or answered */
    unsigned number, next;
    bool sse, get;
    int pending;       /* requests without an answer */
    json_t *batch;     /* of answers, in 2025-03-26; or NULL */
    uint64_t ended_ms; /* 0: not yet */
    STAILQ_HEAD(, event) events;
    size_t bytes;
};
TAILQ_HEAD(exchanges, exchange);
struct session {
    struct peer peer;
    TAILQ_ENTRY(session) link;
    char id[33];
    struct exchanges exchanges;
    int count;
    unsigned next;
    uint64_t seen_ms;
};
struct http {
    struct peer loose; /* all requests without a session */
    struct server *server;
    struct httpd *httpd;
    struct exchanges exchanges; /* of it */
    TAILQ_HEAD(, session) sessions;
    int session_count;
    struct loop_timer *tick;
    char *origins, *hosts;
    bool remote;
    server_token *token;
    void *token_arg;
    double rate, allowance;
    uint64_t counted_ms;
};

/* ---- exchanges ---- */

static struct exchange *exchange_new(struct http *h, struct session *s, struct httpd_request *r)
{
    struct exchange *x = xcalloc(1, sizeof *x);
    x->http = h;
    x->session = s;
    x->request = r;
    STAILQ_INIT(&x->events);
    if (s) {
        x->number = ++s->next;
        s->count++;
        TAILQ_INSERT_TAIL(&s->exchanges, x, link);
    } else {
        TAILQ_INSERT_TAIL(&h->exchanges, x, link);
    }
    return x;
}

static void exchange_free(struct http *h, struct exchange *x)
{
    server__channel_gone(h->server, x, true);
    if (x->session) {
        x->session->count--;
        TAILQ_REMOVE(&x->session->exchanges, x, link);
    } else {
        TAILQ_REMOVE(&h->exchanges, x, link);
    }
    for (struct event *e; (e = STAILQ_FIRST(&x->events));) {
        STAILQ_REMOVE_HEAD(&x->events, link);
        free(e);
    }
    json_decref(x->batch);
    free(x);
}

/* From the loop: no call is in the middle of something. */
static void on_gone(void *arg)
{
    struct exchange *x = arg;
    httpd_reply(x->request, 0, NULL, "", "", 0); /* nobody is there: it is only freed */
    x->request = NULL;
    if (x->session)
        x->session->seen_ms = clock_mono_ms();
    if (!x->session || x->get) /* 2 */
        exchange_free(x->http, x);
}

static void emit(struct exchange *x, const char *text)
{
    struct buf out = {0};
    if (x->session)
        buf_addf(&out, "id: %u-%u\n", x->number, x->next);
    if (x->session && !x->next && x->session->peer.revision >= REV_2025_11)
        buf_addf(&out, "retry: %d\n", RETRY_MS);
    buf_addf(&out, "data: %s\n\n", text);
    if (x->request)
        httpd_write(x->request, out.data, out.len);
    if (x->session) {
        struct event *e = xcalloc(1, sizeof *e + out.len + 1), *first;
        e->number = x->next;
        e->len = out.len;
        memcpy(e->text, out.data, out.len);
        STAILQ_INSERT_TAIL(&x->events, e, link);
        x->bytes += e->len;
        while (x->bytes > EVENTS_BYTES && (first = STAILQ_FIRST(&x->events)) != e) {
            STAILQ_REMOVE_HEAD(&x->events, link);
            x->bytes -= first->len;
            free(first);
        }
    }
    x->next++;
    buf_release(&out);
}

static char *session_header(const struct exchange *x)
{
    return x->session ? xasprintf("Mcp-Session-Id: %s\r\n", x->session->id) : xstrdup("");
}

static void stream_begin(struct exchange *x)
{
    char *session = session_header(x);
    char *headers = xasprintf("Cache-Control: no-store\r\nX-Accel-Buffering: no\r\n%s", session);
    x->sse = true;
    if (x->request)
        httpd_begin(x->request, 200, SSE, headers);
    free(session);
    free(headers);
    if (x->session && x->session->peer.revision >= REV_2025_11)
        emit(x, "");
}

/* What a JSON answer of 2026-07-28 is by its status. */
static int status_of(const struct exchange *x, const json_t *message)
{
    const json_t *error = json_object_get(message, "error");
    int64_t code = json_int(error, "code", 0);
    if (!error)
        return 200;
    if (code == RPC_PARSE || code == RPC_HEADER || code == RPC_VERSION || code == RPC_REQUEST)
        return 400;
    if (x->session)
        return 200;
    return code == RPC_METHOD ? 404 : code == RPC_PARAMS ? 400 : 200;
}

static void reply_json(struct exchange *x, const json_t *message)
{
    char *text = json_write(message), *headers = session_header(x);
    struct httpd_request *r = x->request;
    x->request = NULL;
    httpd_reply(r, status_of(x, message), JSON, headers, text, strlen(text));
    free(text);
    free(headers);
}

/* 3. All of its requests may have been cancelled. */
static void batch_over(struct exchange *x)
{
    bool any = json_array_size(x->batch);
    if (any && (x->sse || !x->request)) {
        if (!x->sse)
            stream_begin(x);
        char *text = json_write(x->batch);
        emit(x, text);
        free(text);
    } else if (any) {
        reply_json(x, x->batch);
    } else if (x->request && !x->sse) {
        httpd_reply(x->request, 202, NULL, "", "", 0);
        x->request = NULL;
    }
}

static void exchange_over(struct peer *p, struct exchange *x)
{
    if (x->batch)
        batch_over(x);
    bool read = x->request != NULL || !x->sse;
    if (x->request && x->sse) {
        httpd_end(x->request);
        x->request = NULL;
    }
    if (read)
        exchange_free(p->server->http, x);
    else
        x->ended_ms = clock_mono_ms();
}

static void send_message(struct peer *p, void *channel, json_t *message, bool last)
{
    struct exchange *x = channel;
    if (!x && p != &p->server->http->loose) { /* about no request: the session's own stream */
        struct session *s = (struct session *)p;
        TAILQ_FOREACH(x, &s->exchanges, link)
        if (x->get && x->request)
            break;
    }
    if (!x) {
        json_decref(message);
        return;
    }
    if (x->batch && last) {
        json_array_append(x->batch, message);
    } else if (!x->sse && last && x->request) {
        reply_json(x, message);
    } else {
        if (!x->sse)
            stream_begin(x);
        char *text = json_write(message);
        emit(x, text);
        free(text);
    }
    json_decref(message);
    if (last && --x->pending <= 0)
        exchange_over(p, x);
}

/* A request that was cancelled has no answer: its stream ends without one. */
static void drop_request(struct peer *p, void *channel)
{
    struct exchange *x = channel;
    if (!x->sse && !x->batch)
        stream_begin(x);
    if (--x->pending <= 0)
        exchange_over(p, x);
}

static const struct peer_ops OPS = {send_message, drop_request};

/* ---- sessions ---- */

static void session_free(struct http *h, struct session *s)
{
    server__peer_end(&s->peer);
    for (struct exchange *x; (x = TAILQ_FIRST(&s->exchanges));) {
        if (x->request) {
            httpd_on_gone(x->request, NULL, NULL);
            if (x->sse)
                httpd_end(x->request);
            else
                httpd_reply(x->request, 404, NULL, "", "", 0);
        }
        exchange_free(h, x);
    }
    TAILQ_REMOVE(&h->sessions, s, link);
    h->session_count--;
    free(s);
}

static bool is_used(const struct session *s)
{
    const struct exchange *x;
    TAILQ_FOREACH(x, &s->exchanges, link)
    if (x->request || x->pending)
        return true;
    return false;
}

/* The one that was not used for longest makes room. NULL: all are in use. */
static struct session *session_new(struct http *h)
{
    unsigned char random[16];
    struct session *s, *oldest = NULL;
    if (h->session_count >= SESSIONS) {
        TAILQ_FOREACH(s, &h->sessions, link)
        if (!is_used(s) && (!oldest || s->seen_ms < oldest->seen_ms))
            oldest = s;
        if (!oldest)
            return NULL;
        session_free(h, oldest);
    }
    s = xcalloc(1, sizeof *s);
    BUG_IF(getrandom(random, sizeof random, 0) != (ssize_t)sizeof random);
    text_hex(random, sizeof random, s->id);
    s->seen_ms = clock_mono_ms();
    TAILQ_INIT(&s->exchanges);
    server__peer_init(&s->peer, h->server, &OPS);
    TAILQ_INSERT_TAIL(&h->sessions, s, link);
    h->session_count++;
    return s;
}

static struct session *session_find(struct http *h, const char *id)
{
    struct session *s;
    TAILQ_FOREACH(s, &h->sessions, link)
    if (strcmp(s->id, id) == 0) {
        s->seen_ms = clock_mono_ms();
        return s;
    }
    return NULL;
}

static void tick_list(struct http *h, struct exchanges *list, uint64_t now)
{
    struct exchange *x, *next;
    for (x = TAILQ_FIRST(list); x; x = next) {
        next = TAILQ_NEXT(x, link);
        if (x->request && x->sse)
            httpd_write(x->request, ":\n\n", 3);
        else if (!x->request && (x->get || (x->ended_ms && now - x->ended_ms > KEEP_MS)))
            exchange_free(h, x);
    }
}

static void on_tick(void *arg)
{
    struct http *h = arg;
    struct session *s, *next;
    uint64_t now = clock_mono_ms();
    tick_list(h, &h->exchanges, now);
    for (s = TAILQ_FIRST(&h->sessions); s; s = next) {
        next = TAILQ_NEXT(s, link);
        tick_list(h, &s->exchanges, now);
        if (now - s->seen_ms > IDLE_MS && !is_used(s))
            session_free(h, s);
    }
}

/* ---- the gate: M3 ---- */

static void refuse(struct httpd_request *r, int status, const char *headers, int code,
                   const char *text)
{
    json_t *message = server__error(NULL, code, text, NULL);
    char *body = json_write(message);
    httpd_reply(r, status, JSON, headers, body, strlen(body));
    free(body);
    json_decref(message);
}

static bool may_go_on(struct http *h)
{
    uint64_t now = clock_mono_ms();
    h->allowance += (double)(now - h->counted_ms) * h->rate / 1000;
    if (h->allowance > 2 * h->rate)
        h->allowance = 2 * h->rate;
    h->counted_ms = now;
    if (h->allowance < 1)
        return false;
    h->allowance -= 1;
    return true;
}

static bool token_good(const struct http *h, struct httpd_request *r)
{
    static const char scheme[] = "Bearer ";
    const char *given = httpd_header(r, "Authorization");
    size_t n = sizeof scheme - 1;
    return !h->token || (given && strncasecmp(given, scheme, n) == 0 &&
                         h->token(h->token_arg, given + n, strlen(given + n)));
}

static bool is_path(const char *path)
{
    return strncmp(path, "/mcp", 4) == 0 && (path[4] == '\0' || path[4] == '?');
}

static bool is_preflight(struct httpd_request *r)
{
    return strcmp(httpd_method(r), "OPTIONS") == 0 &&
           httpd_header(r, "Access-Control-Request-Method");
}

/* A page of an origin that may ask sees what is answered, refusals too. */
static void tell_origin(struct httpd_request *r, const char *origin)
{
    bool preflight = is_preflight(r);
    char *headers = server__origin_headers(
        origin, preflight, preflight ? httpd_header(r, "Access-Control-Request-Headers") : NULL);
    httpd_also(r, headers);
    free(headers);
}

/* False when it was answered. */
static bool gate(struct http *h, struct httpd_request *r)
{
    const char *value = httpd_header(r, "Host");
    if (!server__host_good(value, httpd_address(h->httpd), h->remote, h->hosts)) {
        refuse(r, 403, "", RPC_REQUEST, "Host names no address of this server");
        return false;
    }
    char *host = xstrdup(value);
    value = httpd_header(r, "Origin");
    char *origin = value ? xstrdup(value) : NULL;
    bool good = !origin || server__origin_good(origin, host, h->origins);
    free(host);
    if (good && origin)
        tell_origin(r, origin);
    bool preflight = good && origin && is_preflight(r);
    free(origin);
    if (!good)
        refuse(r, 403, "", RPC_REQUEST, "pages of that origin may not ask");
    else if (!preflight && !token_good(h, r)) /* browsers send no token with that */
        refuse(r, 401, "WWW-Authenticate: Bearer realm=\"mcp-console\"\r\n", RPC_REQUEST,
               "a token is wanted, as Authorization: Bearer TOKEN");
    else if (!may_go_on(h))
        refuse(r, 429, "Retry-After: 1\r\n", RPC_BUSY, "too many requests");
    else if (!is_path(httpd_path(r)))
        refuse(r, 404, "", RPC_REQUEST, "the path is /mcp");
    else if (preflight)
        httpd_reply(r, 204, NULL, "", "", 0);
    else if (!h->server->started)
        refuse(r, 503, "Retry-After: 1\r\n", RPC_BUSY, "the console is starting");
    else
        return true;
    return false;
}

/* ---- POST ---- */

static bool is_request(const json_t *message)
{
    return json_object_get(message, "method") && json_object_get(message, "id");
}

static bool is_slow(const struct http *h, const json_t *message)
{
    const struct tool *t =
        server__tool_find(h->server, json_str(json_object_get(message, "params"), "name", ""));
    return t && t->row->slow && strcmp(json_str(message, "method", ""), "tools/call") == 0;
}

static void deliver(struct http *h, struct peer *p, struct exchange *x, const json_t *message,
                    bool modern)
{
    httpd_on_gone(x->request, on_gone, x);
    x->pending = 1;
    if (is_slow(h, message))
        stream_begin(x);
    server__take(p, x, message, modern);
}

static void deliver_batch(struct http *h, struct peer *p, struct exchange *x, const json_t *batch)
{
    json_t *one;
    size_t i;
    bool slow = false;
    httpd_on_gone(x->request, on_gone, x);
    x->batch = json_array();
    x->pending = 1; /* so that it outlives the last of them here */
    json_array_foreach((json_t *)batch, i, one)
    {
        x->pending += server__is_answered(one);
        slow |= is_slow(h, one);
    }
    if (slow)
        stream_begin(x);
    json_array_foreach((json_t *)batch, i, one) server__take(p, x, one, false);
    if (--x->pending <= 0)
        exchange_over(p, x);
}

static void take_notification(struct peer *p, struct exchange *x, const json_t *message)
{
    bool answered = server__is_answered(message); /* what is wrong with it; then x is gone */
    x->pending = 1;
    server__take(p, x, message, false);
    if (answered)
        return;
    httpd_reply(x->request, 202, NULL, "", "", 0);
    x->request = NULL;
    exchange_free(p->server->http, x);
}

static void post_modern(struct http *h, struct httpd_request *r, const json_t *message)
{
    char what[256];
    const char *version = httpd_header(r, "MCP-Protocol-Version");
    /* a version that is not spoken is told before headers that belong to it are missed */
    bool known = !version || server__revision_find(version) == REV_2026_07;
    if (is_request(message) && known && !server__headers_match(r, h->server, message, what)) {
        json_t *error = server__error(json_object_get(message, "id"), RPC_HEADER, what, NULL);
        char *body = json_write(error);
        httpd_reply(r, 400, JSON, "", body, strlen(body));
        free(body);
        json_decref(error);
        return;
    }
    struct exchange *x = exchange_new(h, NULL, r);
    if (is_request(message))
        deliver(h, &h->loose, x, message, true);
    else
        take_notification(&h->loose, x, message);
}

static bool is_initialize(const json_t *message)
{
    return strcmp(json_str(message, "method", ""), "initialize") == 0 && is_request(message);
}

static void post_session(struct http *h, struct httpd_request *r, const json_t *message)
{
    const char *id = httpd_header(r, "Mcp-Session-Id");
    struct session *s = NULL;
    if (!id && !is_initialize(message)) {
        refuse(r, 400, "", RPC_REQUEST, "Mcp-Session-Id is missing: initialize comes first");
        return;
    }
    s = id ? session_find(h, id) : session_new(h);
    const char *version = httpd_header(r, "MCP-Protocol-Version");
    if (!s) {
        refuse(r, id ? 404 : 503, "", id ? RPC_REQUEST : RPC_BUSY,
               id ? "there is no such session" : "too many sessions");
    } else if (id && version && server__revision_find(version) != s->peer.revision) {
        refuse(r, 400, "", RPC_REQUEST, "MCP-Protocol-Version is not the session's");
    } else if (s->count >= EXCHANGES) {
        refuse(r, 429, "Retry-After: 1\r\n", RPC_BUSY, "too many requests of this session");
    } else if (json_is_array(message) && s->peer.revision != REV_2025_03) {
        refuse(r, 400, "", RPC_REQUEST, "this revision has no batches");
    } else {
        struct exchange *x = exchange_new(h, s, r);
        if (json_is_array(message))
            deliver_batch(h, &s->peer, x, message);
        else if (is_request(message))
            deliver(h, &s->peer, x, message, false);
        else
            take_notification(&s->peer, x, message);
        if (!id && s->peer.revision == REV_NONE) /* it was not initialized */
            session_free(h, s);
    }
}

static bool is_modern(struct httpd_request *r, const json_t *message)
{
    const json_t *meta = json_object_get(json_object_get(message, "params"), "_meta");
    const char *version = httpd_header(r, "MCP-Protocol-Version");
    enum revision known = version ? server__revision_find(version) : REV_NONE;
    return json_object_get(meta, "io.modelcontextprotocol/protocolVersion") ||
           known == REV_2026_07 || (version && !known && !httpd_header(r, "Mcp-Session-Id"));
}

static void on_post(struct http *h, struct httpd_request *r)
{
    const char *type = httpd_header(r, "Content-Type");
    size_t n = strlen(JSON);
    struct error e = {0};
    if (!type || strncasecmp(type, JSON, n) != 0 || (type[n] && !strchr("; \t", type[n]))) {
        refuse(r, 415, "", RPC_REQUEST, "Content-Type is to be application/json");
        return;
    }
    const char *accept = httpd_header(r, "Accept");
    if (!server__accepts(accept, JSON) || !server__accepts(accept, SSE)) {
        refuse(r, 406, "", RPC_REQUEST, "Accept is to hold application/json, text/event-stream");
        return;
    }
    const struct buf *body = httpd_body(r);
    json_t *message =
        json_read(body->len ? body->data : "", body->len, SERVER_MESSAGE, SERVER_DEPTH, &e);
    if (!message)
        refuse(r, 400, "", RPC_PARSE, e.detail);
    else if (!json_is_object(message) && !json_array_size(message))
        refuse(r, 400, "", RPC_REQUEST, "a message is an object");
    else if (is_modern(r, message))
        post_modern(h, r, message);
    else
        post_session(h, r, message);
    json_decref(message);
}

/* ---- GET, DELETE ---- */

static void resume(struct session *s, struct exchange *x, unsigned number, struct httpd_request *r)
{
    struct event *e;
    if (x->request) { /* its connection died without a word */
        httpd_on_gone(x->request, NULL, NULL);
        httpd_end(x->request);
    }
    x->request = r;
    httpd_on_gone(r, on_gone, x);
    httpd_begin(r, 200, SSE, "Cache-Control: no-store\r\nX-Accel-Buffering: no\r\n");
    STAILQ_FOREACH(e, &x->events, link)
    if (e->number > number)
        httpd_write(r, e->text, e->len);
    if (x->ended_ms)
        exchange_over(&s->peer, x);
}

static void on_get(struct http *h, struct httpd_request *r)
{
    const char *id = httpd_header(r, "Mcp-Session-Id");
    struct session *s = id ? session_find(h, id) : NULL;
    unsigned stream = 0, number = 0;
    if (!id) {
        refuse(r, 405, "Allow: POST\r\n", RPC_REQUEST, "GET is for sessions");
        return;
    }
    const char *accept = httpd_header(r, "Accept");
    if (!s || !server__accepts(accept, SSE)) {
        refuse(r, s ? 406 : 404, "", RPC_REQUEST,
               s ? "Accept is to hold text/event-stream" : "there is no such session");
        return;
    }
    const char *last = httpd_header(r, "Last-Event-ID");
    if (last && sscanf(last, "%9u-%9u", &stream, &number) == 2) {
        struct exchange *x;
        TAILQ_FOREACH(x, &s->exchanges, link)
        if (x->sse && x->number == stream) {
            resume(s, x, number, r);
            return;
        }
    }
    if (s->count >= EXCHANGES) {
        refuse(r, 429, "Retry-After: 1\r\n", RPC_BUSY, "too many streams of this session");
        return;
    }
    struct exchange *x = exchange_new(h, s, r);
    x->get = true;
    httpd_on_gone(r, on_gone, x);
    stream_begin(x);
}

static void on_delete(struct http *h, struct httpd_request *r)
{
    const char *id = httpd_header(r, "Mcp-Session-Id");
    struct session *s = id ? session_find(h, id) : NULL;
    if (!s) {
        refuse(r, id ? 404 : 400, "", RPC_REQUEST,
               id ? "there is no such session" : "Mcp-Session-Id is missing");
        return;
    }
    session_free(h, s);
    httpd_reply(r, 204, NULL, "", "", 0);
}

static void on_request(void *arg, struct httpd_request *r)
{
    struct http *h = arg;
    const char *method = httpd_method(r);
    if (!gate(h, r))
        return;
    if (strcmp(method, "POST") == 0)
        on_post(h, r);
    else if (strcmp(method, "GET") == 0)
        on_get(h, r);
    else if (strcmp(method, "DELETE") == 0)
        on_delete(h, r);
    else
        refuse(r, 405, "Allow: GET, POST, DELETE\r\n", RPC_REQUEST, "that method is not served");
}

/* ---- life ---- */

struct http *server__http_new(struct server *s, const struct server_options *o, struct error *e)
{
    struct httpd_options options = {
        .address = o->listen, .remote = o->remote, .body_max = SERVER_MESSAGE};
    struct http *h = xcalloc(1, sizeof *h);
    h->server = s;
    TAILQ_INIT(&h->exchanges);
    TAILQ_INIT(&h->sessions);
    h->httpd = httpd_new(s->loop, &options, on_request, h, e);
    if (!h->httpd) {
        free(h);
        return NULL;
    }
    server__peer_init(&h->loose, s, &OPS);
    h->loose.revision = REV_2026_07;
    h->remote = o->remote;
    h->origins = xstrdup(o->origins ? o->origins : "");
    h->hosts = xstrdup(o->hosts ? o->hosts : "");
    h->token = o->token;
    h->token_arg = o->token_arg;
    h->rate = o->rate > 0 ? (double)o->rate : 1;
    h->allowance = 2 * h->rate;
    h->counted_ms = clock_mono_ms();
    h->tick = loop_timer_new(s->loop, on_tick, h);
    loop_timer_start(h->tick, TICK_MS, TICK_MS);
    return h;
}

const char *server__http_address(const struct http *h)
{
    return httpd_address(h->httpd);
}

void server__http_free(struct http *h)
{
    if (!h)
        return;
    struct session *s;
    struct exchange *x;
    while ((s = TAILQ_FIRST(&h->sessions)))
        session_free(h, s);
    server__peer_end(&h->loose);
    while ((x = TAILQ_FIRST(&h->exchanges))) {
        if (x->request) {
            httpd_on_gone(x->request, NULL, NULL);
            httpd_reply(x->request, 503, NULL, "", "", 0);
        }
        exchange_free(h, x);
    }
    loop_timer_free(h->tick);
    httpd_free(h->httpd);
    free(h->origins);
    free(h->hosts);
    free(h);
}
