/* The core of the MCP client (Model Context Protocol, stateful revisions up to 2025-11-25), over
 * any wire of mcp_wire.h.
 *
 *   down -> mcp__up -> (initialize answered) initialized -> (all pages of tools/list) up
 *   any  -> mcp__down, a stream that is not MCP -> conn__down, down
 *
 * Invariants
 * M1 A request has an id of this run that is never used again; an answer with any other id is
 * noise. M2 A call is sent once (C3). After its end, here or by cancel, its request is forgotten; a
 * late answer is dropped. M3 Everything a server makes us keep is bounded: noise, tools, text of a
 * result, requests. M4 Servers' own requests are answered, never obeyed: ping with {}, all others
 * with -32601. No roots are declared or sent: they would widen a server's sandbox.
 */
#include "backend/base/clock.h"
#include "backend/connectors/mcp_core.h"
#include "backend/connectors/mcp_frame.h"
#include <stdlib.h>
#include <string.h>

#define MCP_REVISION "2025-11-25"
enum { LIST_CHANGED_MS = 200, LIST_LIMIT_MS = 20000 };

static void on_changed(void *arg);
static void went_wrong(struct mcp *m, enum err code, const char *why);

/* ---- configuration ---- */
void *mcp__make(const struct mcp_wire_ops *wire, struct conn *c, const struct conf *conf,
                struct error *e)
{
    struct mcp *m = xcalloc(1, sizeof *m);
    m->conn = c;
    m->wire = wire;
    m->next_id = 1;
    m->read_tools = xstrdup(conf_str(conf, "connector", conn__name(c), "read_tools"));
    m->changed = loop_timer_new(conn__loop(c), on_changed, m);
    m->self = wire->make(m, c, conf, e);
    if (!m->self) {
        mcp__conn_free(m);
        return NULL;
    }
    return m;
}

void *mcp__wire(const struct mcp *m)
{
    return m->self;
}

static bool reads_only(const struct mcp *m, const char *tool)
{
    size_t len = strlen(tool);
    for (const char *p = m->read_tools; *p;) {
        p += strspn(p, " \t,;");
        size_t n = strcspn(p, " \t,;");
        if ((n == 1 && *p == '*') || (n == len && n && memcmp(p, tool, n) == 0))
            return true;
        p += n;
    }
    return false;
}

/* ---- requests ---- */
static void drop_requests(struct mcp *m)
{
    while (m->requests) {
        struct mcp_request *r = m->requests;
        m->requests = r->next;
        free(r);
    }
    m->request_count = 0;
}

static struct mcp_request *take_request(struct mcp *m, int64_t id)
{
    for (struct mcp_request **at = &m->requests; *at; at = &(*at)->next) {
        if ((*at)->id != id)
            continue;
        struct mcp_request *r = *at;
        *at = r->next;
        m->request_count--;
        return r;
    }
    return NULL;
}

/* Sends one message; takes it. */
static enum err send_message(struct mcp *m, json_t *message, struct mcp_outgoing o)
{
    enum err code = ERR_CLOSED;
    json_puts(message, "jsonrpc", "2.0");
    o.message = message;
    o.revision = m->protocol;
    if (m->open)
        code = m->wire->send(m->self, &o);
    json_decref(message);
    return code;
}

static enum err send_request(struct mcp *m, enum mcp_request_kind kind, const char *method,
                             json_t *params, struct conn_call *call)
{
    if (m->request_count >= MCP_REQUESTS_MAX) {
        json_decref(params);
        return ERR_BUSY;
    }
    struct mcp_request *r = xcalloc(1, sizeof *r);
    r->id = m->next_id++;
    r->kind = kind;
    r->call = call;
    r->sent_ns = clock_mono_ns();
    json_t *message = json_object();
    json_puti(message, "id", r->id);
    json_puts(message, "method", method);
    if (params)
        json_put(message, "params", params);
    r->next = m->requests; /* before it is sent: an answer may come inside */
    m->requests = r;
    m->request_count++;
    int64_t id = r->id;
    enum err code = send_message(
        m, message,
        (struct mcp_outgoing){
            .id = id, .method = method, .name = call ? json_str(params, "name", NULL) : NULL});
    if (code != ERR_OK)
        free(take_request(m, id));
    return code;
}

static void notify(struct mcp *m, const char *method, json_t *params)
{
    json_t *message = json_object();
    json_puts(message, "method", method);
    if (params)
        json_put(message, "params", params);
    send_message(m, message, (struct mcp_outgoing){.method = method});
}
/* ---- tools ---- */
static void ask_tools(struct mcp *m, const char *cursor)
{
    json_t *params = json_object();
    if (cursor)
        json_puts(params, "cursor", cursor);
    m->listing = true;
    m->listing_since_ms = clock_mono_ms();
    if (send_request(m, REQUEST_TOOLS, "tools/list", params, NULL) != ERR_OK)
        went_wrong(m, ERR_CLOSED, "its input is closed");
}

/* Forgets a list that is not answered, so that a late page cannot mix with the next one. */
static void drop_lists(struct mcp *m)
{
    for (struct mcp_request **at = &m->requests; *at;) {
        struct mcp_request *r = *at;
        if (r->kind != REQUEST_TOOLS) {
            at = &r->next;
            continue;
        }
        *at = r->next;
        m->request_count--;
        free(r);
    }
}

static void on_changed(void *arg)
{
    struct mcp *m = arg;
    if (!m->up)
        return;
    if (m->listing && clock_mono_ms() - m->listing_since_ms < LIST_LIMIT_MS) {
        m->list_again = true; /* ask again when this list is complete */
        return;
    }
    drop_lists(m);
    m->pages = 0;
    conn__tools_begin(m->conn);
    ask_tools(m, NULL);
}

static void tools_complete(struct mcp *m)
{
    conn__tools_end(m->conn);
    m->listing = false;
    if (!m->up) {
        m->up = true;
        conn__up(m->conn, m->version, m->protocol);
    }
    if (m->list_again) {
        m->list_again = false;
        loop_timer_start(m->changed, LIST_CHANGED_MS, 0);
    }
}

static void got_tools(struct mcp *m, const json_t *result)
{
    const json_t *list = json_object_get(result, "tools");
    size_t refused = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *t = json_array_get(list, i);
        const char *name = json_str(t, "name", "");
        const char *title =
            json_str(t, "title", json_str(json_object_get(t, "annotations"), "title", name));
        json_t *schema = json_object_get(t, "inputSchema");
        json_t *output = json_object_get(t, "outputSchema"),
               *hints = json_object_get(t, "annotations");
        struct conn_definition d = {
            .name = name,
            .title = title,
            .description = json_str(t, "description", ""),
            .input_schema = json_is_object(schema) ? json_incref(schema) : NULL,
            .output_schema = json_is_object(output) ? json_incref(output) : NULL,
            .annotations = json_is_object(hints) ? json_incref(hints) : NULL,
            .read_only = reads_only(m, name)};
        refused += !conn__tools_add(m->conn, &d);
    }
    if (refused) {
        char *line = xasprintf(
            "mcp-console: refused %zu tools with bad or repeated names, or more than %d\n", refused,
            CONN_MAX_TOOLS);
        conn__tail_feed(&m->noise, line, strlen(line));
        free(line);
    }
    const char *next = json_str(result, "nextCursor", "");
    if (*next && ++m->pages < MCP_MAX_PAGES)
        ask_tools(m, next);
    else
        tools_complete(m);
}

/* ---- answers ---- */
static bool knows_revision(const char *revision)
{
    static const char *const known[] = {MCP_REVISION, "2025-06-18", "2025-03-26", "2024-11-05"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i], revision) == 0)
            return true;
    }
    return false;
}

static void got_initialize(struct mcp *m, const json_t *result)
{
    const char *revision = json_str(result, "protocolVersion", "");
    if (!knows_revision(revision)) {
        char *why =
            xasprintf("it speaks MCP revision \"%.32s\", which is not known here", revision);
        went_wrong(m, ERR_UNSUPPORTED, why);
        free(why);
        return;
    }
    const json_t *info = json_object_get(result, "serverInfo");
    const char *version = json_str(info, "version", "");
    free(m->version);
    free(m->protocol);
    m->version =
        xasprintf("%.64s%s%.32s", json_str(info, "name", ""), *version ? " " : "", version);
    m->protocol = xstrdup(revision);
    notify(m, "notifications/initialized", NULL);
    m->pages = 0;
    conn__tools_begin(m->conn);
    if (json_is_object(json_object_get(json_object_get(result, "capabilities"), "tools")))
        ask_tools(m, NULL);
    else
        tools_complete(m);
}

static void ping_answered(struct mcp *m, const struct mcp_request *r)
{
    /* Any answer, also an error, shows that it lives. */
    conn__checked(m->conn, (double)(clock_mono_ns() - r->sent_ns) / 1e6, ERR_OK, NULL);
}

static void got_error(struct mcp *m, const struct mcp_request *r, const json_t *error)
{
    char *why = xasprintf("error %lld: %.180s", (long long)json_int(error, "code", 0),
                          json_str(error, "message", "no message"));
    switch (r->kind) {
    case REQUEST_INITIALIZE:
        went_wrong(m, ERR_PROTOCOL, why);
        break;
    case REQUEST_TOOLS: /* it has said that it has tools; what it had before stays */
        m->listing = false;
        if (!m->up)
            went_wrong(m, ERR_PROTOCOL, why);
        break;
    case REQUEST_PING:
        ping_answered(m, r);
        break;
    case REQUEST_CALL:
        conn__call_fail(r->call, ERR_UPSTREAM, why);
        break;
    }
    free(why);
}

static void got_call(const struct mcp_request *r, const json_t *result)
{
    json_t *data = json_object_get(result, "structuredContent");
    conn__call_done(r->call, json_is_true(json_object_get(result, "isError")),
                    mcp__result_text(result, MCP_RESULT_TEXT_MAX), data ? json_incref(data) : NULL);
}

static void note(struct mcp *m, const char *line, size_t len)
{
    m->noise_lines++;
    conn__tail_feed(&m->noise, line, len < CONN_LINE_MAX + 1 ? len : CONN_LINE_MAX + 1);
    conn__tail_feed(&m->noise, "\n", 1);
}

static void got_answer(struct mcp *m, const json_t *message, const json_t *id)
{
    struct mcp_request *r = json_is_integer(id) ? take_request(m, json_integer_value(id)) : NULL;
    if (!r) { /* M1: late, or never asked for */
        char *text = json_write(message);
        note(m, text, strlen(text));
        free(text);
        return;
    }
    const json_t *result = json_object_get(message, "result"),
                 *error = json_object_get(message, "error");
    if (error) {
        got_error(m, r, error);
    } else if (!json_is_object(result)) {
        if (r->kind == REQUEST_CALL)
            conn__call_fail(r->call, ERR_PROTOCOL, "the answer has neither result nor error");
        else if (r->kind == REQUEST_PING)
            ping_answered(m, r);
        else
            went_wrong(m, ERR_PROTOCOL, "an answer has neither result nor error");
    } else {
        switch (r->kind) {
        case REQUEST_INITIALIZE:
            got_initialize(m, result);
            break;
        case REQUEST_TOOLS:
            got_tools(m, result);
            break;
        case REQUEST_PING:
            ping_answered(m, r);
            break;
        case REQUEST_CALL:
            got_call(r, result);
            break;
        }
    }
    free(r);
}

/* ---- what the server asks or tells ---- */
static void answer_request(struct mcp *m, const char *method, const json_t *id)
{
    if (!json_is_integer(id) && !json_is_string(id))
        return;
    json_t *message = json_object();
    json_put(message, "id", json_deep_copy(id));
    if (strcmp(method, "ping") == 0) {
        json_put(message, "result", json_object());
    } else {
        json_t *error = json_object();
        json_puti(error, "code", -32601);
        json_puts(error, "message", "Method not found");
        json_put(message, "error", error);
    }
    send_message(m, message, (struct mcp_outgoing){0});
}

bool mcp__message(struct mcp *m, const json_t *message)
{
    const json_t *id = json_object_get(message, "id"), *method = json_object_get(message, "method");
    uint64_t run = m->runs;
    if (json_is_string(method) && id)
        answer_request(m, json_string_value(method), id);
    else if (json_is_string(method) &&
             strcmp(json_string_value(method), "notifications/tools/list_changed") == 0)
        loop_timer_start(m->changed, LIST_CHANGED_MS, 0);
    else if (!method && id)
        got_answer(m, message, id);
    return m->runs == run;
}

bool mcp__noise(struct mcp *m, const char *line, size_t len)
{
    note(m, line, len);
    return true;
}

bool mcp__lost(struct mcp *m, int64_t id, enum err code, const char *why)
{
    uint64_t run = m->runs;
    struct mcp_request *r = take_request(m, id);
    if (!r)
        return true;
    switch (r->kind) {
    case REQUEST_INITIALIZE:
        went_wrong(m, code, why);
        break;
    case REQUEST_TOOLS:
        m->listing = false;
        if (!m->up)
            went_wrong(m, code, why);
        break;
    case REQUEST_PING:
        conn__checked(m->conn, 0, code, why);
        break;
    case REQUEST_CALL:
        conn__call_fail(r->call, code, why);
        break;
    }
    free(r);
    return m->runs == run;
}

/* ---- runs ---- */
static void forget_run(struct mcp *m)
{
    m->runs++;
    loop_timer_stop(m->changed);
    drop_requests(m);
    m->open = m->up = m->listing = m->list_again = false;
    free(m->protocol);
    m->protocol = NULL;
}

/* Tells why a run ended, with the last words of the server. */
static void report_end(struct mcp *m, enum err code, const char *why)
{
    struct buf text = {0}, words = {0};
    buf_adds(&text, why);
    if (m->wire->last_words)
        m->wire->last_words(m->self, &words);
    if (words.len)
        buf_addf(&text, "; %s", words.data);
    forget_run(m);
    conn__down(m->conn, code, text.data);
    buf_release(&words);
    buf_release(&text);
}

void mcp__down(struct mcp *m, enum err code, const char *why)
{
    report_end(m, code, why);
}

void mcp__sign_in(struct mcp *m, const char *why, const char *url)
{
    char *text = xstrdup(why);
    conn__sign_in(m->conn, text, url);
    forget_run(m);
    free(text);
}

/* Ends the run from this side. */
static void went_wrong(struct mcp *m, enum err code, const char *why)
{
    struct buf text = {0};
    buf_adds(&text, why); /* may live in what stop frees */
    m->wire->stop(m->self, false);
    report_end(m, code, text.data);
    buf_release(&text);
}

static void shake_hands(struct mcp *m)
{
    json_t *params = json_object(), *info = json_object();
    json_puts(params, "protocolVersion", MCP_REVISION);
    json_put(params, "capabilities", json_object());
    json_puts(info, "name", "mcp-console");
    json_puts(info, "version", MCPC_VERSION);
    json_put(params, "clientInfo", info);
    if (send_request(m, REQUEST_INITIALIZE, "initialize", params, NULL) != ERR_OK)
        went_wrong(m, ERR_CLOSED, "its input is closed");
}

bool mcp__up(struct mcp *m)
{
    uint64_t run = m->runs;
    m->open = true;
    shake_hands(m);
    return m->runs == run;
}

bool mcp__session_lost(struct mcp *m, const char *why)
{
    uint64_t run = m->runs;
    while (m->requests) { /* they may have run: never again (C3) */
        int64_t id = m->requests->id;
        if (m->requests->kind == REQUEST_CALL || m->requests->kind == REQUEST_PING)
            mcp__lost(m, id, ERR_CLOSED, why);
        else
            free(take_request(m, id));
        if (m->runs != run)
            return false;
    }
    m->listing = m->list_again = false;
    free(m->protocol);
    m->protocol = NULL;
    shake_hands(m);
    return m->runs == run;
}

void mcp__conn_start(void *arg)
{
    struct mcp *m = arg;
    forget_run(m);
    m->wire->start(m->self);
}

void mcp__conn_stop(void *arg, bool orderly)
{
    struct mcp *m = arg;
    forget_run(m);
    m->wire->stop(m->self, orderly);
}

void mcp__conn_free(void *arg)
{
    struct mcp *m = arg;
    forget_run(m);
    if (m->self)
        m->wire->free(m->self);
    loop_timer_free(m->changed);
    conn__tail_release(&m->noise);
    free(m->read_tools);
    free(m->version);
    free(m);
}

/* ---- what the registry asks ---- */
enum err mcp__conn_call(void *arg, struct conn_call *call, const char *tool,
                        const json_t *arguments, struct error *e)
{
    struct mcp *m = arg;
    json_t *params = json_object();
    json_puts(params, "name", tool);
    json_put(params, "arguments", json_deep_copy(arguments));
    enum err code = send_request(m, REQUEST_CALL, "tools/call", params, call);
    return code == ERR_OK ? ERR_OK : err_set(e, code, "the server does not take the call");
}

void mcp__conn_cancel(void *arg, struct conn_call *call)
{
    struct mcp *m = arg;
    for (struct mcp_request *r = m->requests; r; r = r->next) {
        if (r->kind != REQUEST_CALL || r->call != call)
            continue;
        json_t *params = json_object();
        json_puti(params, "requestId", r->id);
        json_puts(params, "reason", "no longer wanted");
        m->wire->cancel(m->self, r->id);
        free(take_request(m, r->id));
        notify(m, "notifications/cancelled", params);
        return;
    }
}

void mcp__conn_check(void *arg)
{
    struct mcp *m = arg;
    if (send_request(m, REQUEST_PING, "ping", NULL, NULL) != ERR_OK)
        conn__checked(m->conn, 0, ERR_CLOSED, "it does not take a ping");
}

void mcp__conn_describe(void *arg, json_t *into)
{
    struct mcp *m = arg;
    if (m->wire->describe)
        m->wire->describe(m->self, into);
    json_put(into, "noise", conn__tail_json(&m->noise));
    json_puti(into, "noise_lines", (int64_t)m->noise_lines);
}
