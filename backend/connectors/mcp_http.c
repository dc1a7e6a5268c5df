/* MCP on Streamable HTTP: the run, and what is sent. Revisions with sessions (2025-03-26 and
 * later), without (2026-07-28), and the two addresses of 2024-11-05.
 *
 * Invariants
 * H1 A message is sent once (W3): again only after 401 or 403, which say that it was not taken, and
 *    after a refusal of the newer transport (404, 405) for `initialize`, which acts on nothing.
 * H2 An exchange is in the list until it is dropped; what a callback still looks at is freed when
 *    the callback ends (busy, gone).
 * H3 In a session no request overtakes notifications/initialized, and no tool is called before the
 *    server's own stream was answered: what the server asks meanwhile would be lost. */
#include "backend/connectors/mcp_http.h"
#include "backend/base/clock.h"
#include <stdlib.h>
#include <string.h>

enum { EXCHANGES_MAX = CONN_MAX_CALLS + 16, STREAM_LIMIT_MS = 2000, DELETE_LIMIT_MS = 1000 };

/* ---- exchanges ---- */
static void free_exchange(struct exchange *x)
{
    for (size_t i = 0; i < x->own_count; i++)
        free(x->own[i]);
    loop_timer_free(x->timer);
    sse_release(&x->sse);
    buf_release(&x->text);
    buf_release(&x->last_id);
    free(x->body);
    free(x->first_error);
    free(x);
}

void mcp_http__drop(struct exchange *x)
{
    if (x->gone)
        return;
    struct exchange **at = &x->w->first;
    while (*at && *at != x)
        at = &(*at)->next;
    BUG_IF(!*at);
    *at = x->next;
    x->w->count--;
    x->gone = true;
    http_cancel(x->http);
    x->http = NULL;
    loop_timer_stop(x->timer);
    if (!x->busy)
        free_exchange(x);
}

void mcp_http__enter(struct exchange *x)
{
    x->busy++;
}

void mcp_http__leave(struct exchange *x)
{
    if (--x->busy == 0 && x->gone)
        free_exchange(x);
}

void mcp_http__drop_all(struct mcp_http *w)
{
    while (w->first)
        mcp_http__drop(w->first);
}

static void on_timer(void *arg)
{
    struct exchange *x = arg;
    if (x->wait == WAIT_AGAIN)
        mcp_http__begin(x);
    else
        mcp_http__drop(x); /* answered long ago, and the server has not ended the stream */
}

struct exchange *mcp_http__exchange(struct mcp_http *w)
{
    struct exchange *x = xcalloc(1, sizeof *x), **at = &w->first;
    x->w = w;
    x->sse.max = MCP_LINE_MAX;
    x->timer = loop_timer_new(conn__loop(w->conn), on_timer, x);
    while (*at)
        at = &(*at)->next;
    *at = x;
    w->count++;
    return x;
}

void mcp_http__again_in(struct exchange *x, uint64_t ms)
{
    x->wait = WAIT_AGAIN;
    loop_timer_start(x->timer, ms, 0);
}

/* ---- sending ---- */
void mcp_http__begin(struct exchange *x)
{
    struct mcp_http *w = x->w;
    const char *lines[MCP_HTTP_HEADERS + MCP_PARAMS_MAX + 13], *auth = oauth__header(w->auth);
    char *session = NULL, *last = NULL, *revision = NULL;
    bool get = x->server_side || x->resuming;
    const char *url = w->old && !get && w->post_url ? w->post_url : w->url;
    char *proof = oauth__proof(w->auth, get ? "GET" : "POST", url);
    size_t n = 0;
    lines[n++] = get ? "Accept: text/event-stream" : "Accept: application/json, text/event-stream";
    if (!get)
        lines[n++] = "Content-Type: application/json";
    if (w->session && !x->modern)
        lines[n++] = session = xasprintf("Mcp-Session-Id: %s", w->session);
    if (get && w->revision)
        lines[n++] = revision = xasprintf("MCP-Protocol-Version: %s", w->revision);
    if (get && x->last_id.len)
        lines[n++] = last = xasprintf("Last-Event-ID: %s", x->last_id.data);
    for (size_t i = 0; !get && i < x->own_count; i++)
        lines[n++] = x->own[i];
    for (size_t i = 0; i < w->header_count; i++)
        lines[n++] = w->headers[i];
    if (auth)
        lines[n++] = auth;
    if (proof)
        lines[n++] = proof;
    lines[n] = NULL;
    struct http_options o = {.method = get ? "GET" : "POST",
                             .url = url,
                             .headers = lines,
                             .body = get ? NULL : x->body,
                             .body_len = get ? 0 : strlen(x->body),
                             .certificate = true,
                             .ca_file = conn__ca_file(w->conn)};
    struct error e = {0};
    x->wait = WAIT_NOT;
    x->generation = oauth__generation(w->auth);
    x->status = 0;
    x->stream = x->json = x->told = false;
    x->began_ms = clock_mono_ms();
    sse_release(&x->sse);
    buf_clear(&x->text);
    x->http = http_start(conn__loop(w->conn), &o, &mcp_http__ops, x, &e);
    free(session);
    free(revision);
    free(last);
    free(proof);
    if (!x->http)
        mcp_http__lose(x, e.code, e.detail);
}

/* H3 */
static bool must_wait(const struct exchange *x)
{
    const struct mcp_http *w = x->w;
    if (x->server_side)
        return false;
    if (w->old && !w->post_url)
        return true;
    if (x->noting || x->first)
        return false;
    return (w->noting && x->id) || (w->stream_opening && x->tool_call);
}

void mcp_http__go_on(struct mcp_http *w)
{
    uint64_t run = w->run;
    for (bool again = true; again;) { /* starting one may drop others */
        again = false;
        for (struct exchange *x = w->first; x && !again; x = x->next) {
            if (x->wait != WAIT_TURN || must_wait(x))
                continue;
            mcp_http__begin(x);
            again = true;
        }
        if (w->run != run)
            return;
    }
}

void mcp_http__stream_settled(struct mcp_http *w)
{
    if (!w->stream_opening)
        return;
    w->stream_opening = false;
    loop_timer_stop(w->stream_limit);
    mcp_http__go_on(w);
}

static void on_stream_limit(void *arg)
{
    mcp_http__stream_settled(arg);
}

void mcp_http__open_stream(struct mcp_http *w)
{
    struct exchange *x = mcp_http__exchange(w);
    x->server_side = true;
    w->stream_opening = true;
    if (!w->old)
        loop_timer_start(w->stream_limit, STREAM_LIMIT_MS, 0);
    mcp_http__begin(x);
}

static void own_header(struct exchange *x, char *line)
{
    x->own[x->own_count++] = line;
}

static enum err http_send(void *arg, const struct mcp_outgoing *o)
{
    struct mcp_http *w = arg;
    if (!w->running)
        return ERR_CLOSED;
    if (w->count >= EXCHANGES_MAX)
        return ERR_BUSY;
    struct exchange *x = mcp_http__exchange(w);
    x->id = o->id;
    x->modern = o->modern;
    x->stays = o->stays;
    x->body = json_write(o->message);
    x->first = o->method && strcmp(o->method, "initialize") == 0;
    x->tool_call = o->method && strcmp(o->method, "tools/call") == 0;
    x->noting = o->method && !o->modern && strcmp(o->method, "notifications/initialized") == 0;
    if (o->revision)
        own_header(x, xasprintf("MCP-Protocol-Version: %s", o->revision));
    if (o->revision && !o->modern && (!w->revision || strcmp(w->revision, o->revision) != 0)) {
        free(w->revision);
        w->revision = xstrdup(o->revision);
    }
    /* the probe of the era is a request of the modern one */
    if (o->method && (o->modern || strcmp(o->method, "server/discover") == 0))
        own_header(x, mcp__header("Mcp-Method", o->method));
    if (o->modern && o->name)
        own_header(x, mcp__header("Mcp-Name", o->name));
    if (o->modern && o->schema)
        x->own_count += mcp__params_headers(
            o->schema, json_object_get(json_object_get(o->message, "params"), "arguments"),
            x->own + x->own_count);
    w->noting = w->noting || x->noting;
    x->wait = WAIT_TURN;
    if (!must_wait(x))
        mcp_http__begin(x); /* may report a loss at once: the message was taken */
    return ERR_OK;
}

static void http_cancel_id(void *arg, int64_t id)
{
    struct mcp_http *w = arg;
    for (struct exchange *x = w->first; x; x = x->next) {
        if (x->id != id)
            continue;
        mcp_http__drop(x);
        return;
    }
}

/* ---- the run ---- */
static void delete_done(void *arg, const struct error *e, long status)
{
    (void)e, (void)status;
    struct mcp_http *w = arg;
    w->deleting = NULL;
}

static void delete_session(struct mcp_http *w)
{
    static const struct http_ops ops = {.done = delete_done};
    const char *lines[MCP_HTTP_HEADERS + 5], *auth = oauth__header(w->auth);
    char *session = xasprintf("Mcp-Session-Id: %s", w->session), *revision = NULL;
    char *proof = oauth__proof(w->auth, "DELETE", w->url);
    size_t n = 0;
    lines[n++] = session;
    if (w->revision)
        lines[n++] = revision = xasprintf("MCP-Protocol-Version: %s", w->revision);
    for (size_t i = 0; i < w->header_count; i++)
        lines[n++] = w->headers[i];
    if (auth)
        lines[n++] = auth;
    if (proof)
        lines[n++] = proof;
    lines[n] = NULL;
    http_cancel(w->deleting);
    w->deleting = http_start(conn__loop(w->conn),
                             &(struct http_options){.method = "DELETE",
                                                    .url = w->url,
                                                    .headers = lines,
                                                    .total_ms = DELETE_LIMIT_MS,
                                                    .ca_file = conn__ca_file(w->conn)},
                             &ops, w, NULL);
    free(proof);
    free(session);
    free(revision);
}

static void end_run(struct mcp_http *w)
{
    w->run++;
    w->running = w->noting = w->stream_opening = w->old = false;
    loop_timer_stop(w->stream_limit);
    mcp_http__drop_all(w);
    if (w->auth)
        oauth__stop(w->auth);
    free(w->session);
    free(w->revision);
    free(w->post_url);
    w->session = w->revision = w->post_url = NULL;
    w->sessions_lost = 0;
}

static void http_wire_start(void *arg)
{
    struct mcp_http *w = arg;
    end_run(w);
    w->running = true;
    mcp__up(w->mcp); /* whether somebody is there the first message shows */
}

static void http_wire_stop(void *arg, bool orderly)
{
    struct mcp_http *w = arg;
    if (orderly && w->session && !w->old)
        delete_session(w);
    end_run(w);
}

static void on_settled(void *arg, enum oauth_verdict verdict, const char *why)
{
    struct mcp_http *w = arg;
    if (!w->running)
        return;
    if (verdict == OAUTH_AGAIN) {
        for (struct exchange *x = w->first; x; x = x->next) {
            if (x->wait == WAIT_AUTH)
                x->wait = WAIT_TURN;
        }
        mcp_http__go_on(w);
        return;
    }
    char *words = xstrdup(why);
    end_run(w);
    if (verdict == OAUTH_PERSON)
        mcp__sign_in(w->mcp, words, NULL);
    else
        mcp__down(w->mcp, ERR_DENIED, words);
    free(words);
}

/* ---- configuration ---- */
/* One "Name: value" or "Name: secret:NAME"; line is changed. */
static enum err read_header(struct mcp_http *w, char *line, struct error *e)
{
    char *colon = strchr(line, ':'), *secret = NULL;
    if (!colon || colon == line || w->header_count == MCP_HTTP_HEADERS)
        return err_set(e, ERR_CONFIG, "%d headers at most, each as \"Name: value\"",
                       MCP_HTTP_HEADERS);
    *colon = '\0';
    const char *value = colon + 1 + strspn(colon + 1, " \t");
    if (oauth__is_reference(value)) {
        if (!(secret = oauth__secret(w->conn, value, e)))
            return ERR_CONFIG;
        value = secret;
    }
    w->headers[w->header_count++] = xasprintf("%s: %s", line, value);
    oauth__wipe(secret);
    return ERR_OK;
}

static enum err read_headers(struct mcp_http *w, const char *text, struct error *e)
{
    enum err code = ERR_OK;
    while (code == ERR_OK && *(text += strspn(text, "; \t"))) {
        size_t len = strcspn(text, ";");
        char *line = xstrndup(text, len);
        code = read_header(w, line, e);
        oauth__wipe(line);
        text += len;
    }
    return code;
}

static void http_wire_free(void *arg)
{
    struct mcp_http *w = arg;
    end_run(w);
    http_cancel(w->deleting);
    loop_timer_free(w->stream_limit);
    oauth__free(w->auth);
    for (size_t i = 0; i < w->header_count; i++)
        oauth__wipe(w->headers[i]);
    free(w->url);
    free(w);
}

static void *http_wire_make(struct mcp *m, struct conn *c, const struct conf *conf, struct error *e)
{
    const char *name = conn__name(c), *url = conf_str(conf, "connector", name, "url");
    struct mcp_http *w = xcalloc(1, sizeof *w);
    struct error why = {0};
    w->mcp = m;
    w->conn = c;
    w->url = xstrdup(url);
    w->stream_limit = loop_timer_new(conn__loop(c), on_stream_limit, w);
    w->auth = oauth__make(c, conf, url, on_settled, w, e);
    if (!w->auth)
        goto fail;
    if (!oauth__url_fine(url)) {
        err_set(e, ERR_CONFIG, "%s: connector \"%s\": url is no http or https address",
                conf_where(conf, "connector", name, "url"), name);
        goto fail;
    }
    if (read_headers(w, conf_str(conf, "connector", name, "headers"), &why) != ERR_OK) {
        err_set(e, ERR_CONFIG, "%s: connector \"%s\": headers: %s",
                conf_where(conf, "connector", name, "headers"), name, why.detail);
        goto fail;
    }
    return w;
fail:
    http_wire_free(w);
    return NULL;
}

static bool http_takes_tool(void *arg, const json_t *schema)
{
    (void)arg;
    return mcp__params_fine(schema);
}

static void http_describe(void *arg, json_t *into)
{
    const struct mcp_http *w = arg;
    json_puts(into, "url", w->url);
    json_puts(into, "transport", w->old ? "http+sse" : "streamable-http");
    json_put(into, "session", json_boolean(w->session != NULL));
    oauth__describe(w->auth, into);
}

static const struct mcp_wire_ops wire = {.closing_cancels = true,
                                         .make = http_wire_make,
                                         .start = http_wire_start,
                                         .send = http_send,
                                         .cancel = http_cancel_id,
                                         .stop = http_wire_stop,
                                         .free = http_wire_free,
                                         .takes_tool = http_takes_tool,
                                         .describe = http_describe};

static void *make(struct conn *c, const struct conf *conf, struct error *e)
{
    return mcp__make(&wire, c, conf, e);
}

static void login(void *m, const char *code, conn_login_done *fn, void *arg)
{
    struct mcp_http *w = mcp__wire(m);
    oauth__login(w->auth, code, fn, arg);
}

static void logout(void *m)
{
    struct mcp_http *w = mcp__wire(m);
    oauth__logout(w->auth);
}

const struct conn_ops conn__mcp_http_ops = {
    .kind = "mcp-http", .make = make, .login = login, .logout = logout, MCP_CONN_OPS};
