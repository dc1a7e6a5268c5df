/* The core of the MCP client, over any wire of mcp_wire.h: runs, requests, answers.
 *
 *   down -> mcp__up -> (a handshake, mcp_era.c) -> (all pages of tools/list) up
 *   any  -> mcp__down, an answer that is no MCP -> conn__down, down
 *
 * Invariants
 * M1 A request has an id of this connector that is never used again; an answer with any other id is
 *    noise.
 * M2 A call is sent once (C3). After its end, here or by cancel, its request is forgotten; a late
 *    answer is dropped. Only a server that said input_required gets it again, with the input.
 * M3 Everything a server makes us keep is bounded: noise, log lines, lists, texts of results,
 * requests, questions. M4 A server's own requests are answered, never obeyed: ping with {}, what
 * the configuration allows by mcp_asked.c, all others with -32601. Roots are sent only where they
 * are configured: they may widen a server's sandbox. M5 Every request ends in exactly one
 * `answered`, unless it is cancelled from this side. */
#include "backend/base/clock.h"
#include "backend/connectors/mcp_core.h"
#include "backend/connectors/mcp_frame.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- configuration */

void *mcp__make(const struct mcp_wire_ops *wire, struct conn *c, const struct conf *conf,
                struct error *e)
{
    const char *name = conn__name(c);
    struct mcp *m = xcalloc(1, sizeof *m);
    m->conn = c;
    m->wire = wire;
    m->next_id = 1;
    m->read_tools = xstrdup(conf_str(conf, "connector", name, "read_tools"));
    m->protocol_wanted = xstrdup(conf_str(conf, "connector", name, "protocol"));
    m->roots = xstrdup(conf_str(conf, "connector", name, "roots"));
    m->log_level = xstrdup(conf_str(conf, "connector", name, "log_level"));
    m->samples = strcmp(conf_str(conf, "connector", name, "sampling"), "no") != 0;
    m->samples_ask = strcmp(conf_str(conf, "connector", name, "sampling"), "ask") == 0;
    m->subscriptions = json_array();
    mcp__era_make(m);
    mcp__lists_make(m);
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

/* ---- requests */

enum err mcp__send(struct mcp *m, json_t *message, const struct mcp_outgoing *o)
{
    struct mcp_outgoing out = *o;
    enum err code = ERR_CLOSED;
    json_puts(message, "jsonrpc", "2.0");
    out.message = message;
    out.modern = m->era == ERA_MODERN;
    if (!out.revision)
        out.revision = m->protocol;
    if (m->open)
        code = m->wire->send(m->self, &out);
    json_decref(message);
    return code;
}

static void free_request(struct mcp_request *r)
{
    tel_span_end(r->span);
    json_decref(r->params);
    json_decref(r->inputs);
    json_decref(r->state);
    free(r);
}

struct mcp_request *mcp__request_find(struct mcp *m, int64_t id)
{
    struct mcp_request *r = m->requests;
    while (r && r->id != id)
        r = r->next;
    return r;
}

static void unlink_request(struct mcp *m, struct mcp_request *r)
{
    struct mcp_request **at = &m->requests;
    while (*at && *at != r)
        at = &(*at)->next;
    BUG_IF(!*at);
    *at = r->next;
    m->request_count--;
}

/* OpenTelemetry's conventions for MCP: the trace goes on in params._meta. */
static bool traceparent_of(const struct mcp *m, const struct mcp_request *r,
                           char out[TEL_TRACEPARENT])
{
    if (r->call)
        return conn__call_traceparent(r->call, out);
    if (!r->span || !conn__tells_peers(m->conn))
        return false;
    tel_traceparent(tel_span_context(r->span), out);
    return true;
}

/* The span of a request: a call of a tool has one, which gets the attributes of MCP. */
static void tell_begin(const struct mcp *m, struct mcp_request *r)
{
    struct tel_context current = tel_current(conn__tel(m->conn));
    char id[24];
    if (!r->call && *current.trace_id)
        r->span = tel_span_begin(conn__tel(m->conn), &current, TEL_CLIENT, "%s", r->method);
    struct tel_span *s = r->call ? conn__call_span(r->call) : r->span;
    snprintf(id, sizeof id, "%lld", (long long)r->id);
    tel_span_text(s, "mcp.method.name", r->method);
    tel_span_text(s, "jsonrpc.request.id", id);
    tel_span_text(s, "mcp.protocol.version", m->protocol);
    tel_span_text(s, "network.transport",
                  strcmp(conn__kind(m->conn), "mcp-stdio") == 0 ? "pipe" : "tcp");
}

static void tell_end(const struct mcp *m, const struct mcp_request *r, const json_t *result,
                     const json_t *error, const struct error *e)
{
    char code[24];
    const char *failed = e->code                               ? err_name(e->code)
                         : json_flag(result, "isError", false) ? "tool_error"
                                                               : "";
    if (error) {
        snprintf(code, sizeof code, "%lld", (long long)json_int(error, "code", 0));
        failed = code;
    }
    if (!r->stays) /* a subscription is no operation that takes so long */
        tel_observe(conn__tel(m->conn), TEL_mcp_duration,
                    (double)(clock_mono_ns() - r->sent_ns) / 1e9, TEL_LABELS(r->method, failed));
    if (*failed)
        tel_span_fail(r->span, failed);
}

/* The params with what goes with every request of this era, and with input. */
static json_t *params_of(const struct mcp *m, const struct mcp_request *r, bool modern)
{
    json_t *params = r->params ? json_copy(r->params) : json_object(), *meta = json_object();
    char trace[TEL_TRACEPARENT];
    if (r->call)
        json_puti(meta, "progressToken", r->id);
    if (modern)
        mcp__era_meta(m, meta);
    if (traceparent_of(m, r, trace))
        json_puts(meta, "traceparent", trace);
    if (json_object_size(meta))
        json_put(params, "_meta", meta);
    else
        json_decref(meta);
    if (r->inputs && json_object_size(r->inputs))
        json_put(params, "inputResponses", json_incref(r->inputs));
    if (r->state)
        json_put(params, "requestState", json_incref(r->state));
    return params;
}

enum err mcp__request_send(struct mcp *m, struct mcp_request *r)
{
    bool probe = strcmp(r->method, "server/discover") == 0 && m->era == ERA_UNKNOWN;
    json_t *message = json_object();
    json_t *params = params_of(m, r, probe || m->era == ERA_MODERN);
    r->id = r->id ? r->id : m->next_id++;
    r->held = false;
    r->sent_ns = clock_mono_ns();
    json_puti(message, "id", r->id);
    json_puts(message, "method", r->method);
    if (r->params || json_object_size(params))
        json_put(message, "params", params);
    else
        json_decref(params);
    const char *name = json_str(r->params, "name", NULL);
    struct mcp_outgoing o = {.id = r->id,
                             .method = r->method,
                             .name = name ? name : json_str(r->params, "uri", NULL),
                             .schema = r->call ? conn__tool_schema(m->conn, name, false) : NULL,
                             .revision = probe ? MCP_MODERN : NULL,
                             .stays = r->stays};
    return mcp__send(m, message, &o);
}

struct mcp_request *mcp__ask(struct mcp *m, const char *method, json_t *params,
                             const struct mcp_request *like, struct error *e)
{
    struct mcp_request *r = xcalloc(1, sizeof *r);
    *r = *like;
    r->id = m->next_id++;
    r->method = method;
    r->params = params;
    tell_begin(m, r);
    enum err code = ERR_BUSY;
    if (m->request_count < MCP_REQUESTS_MAX) {
        r->next = m->requests; /* before it is sent: an answer may come inside */
        m->requests = r;
        m->request_count++;
        int64_t id = r->id;
        code = mcp__request_send(m, r);
        if (code == ERR_OK)
            return mcp__request_find(m, id) == r ? r : NULL;
        if (mcp__request_find(m, id) != r) { /* the run ended inside */
            err_set(e, code, "the server is gone");
            return NULL;
        }
        unlink_request(m, r);
    }
    err_set(e, code, "the server does not take %s", method);
    free_request(r);
    return NULL;
}

void mcp__notify(struct mcp *m, const char *method, json_t *params)
{
    json_t *message = json_object();
    json_puts(message, "method", method);
    if (params)
        json_put(message, "params", params);
    mcp__send(m, message, &(struct mcp_outgoing){.method = method});
}

/* Takes it out and tells its end. */
static void end_request(struct mcp *m, struct mcp_request *r, const json_t *result,
                        const json_t *error, const struct error *e)
{
    unlink_request(m, r);
    mcp__questions_drop(m, r->id);
    tell_end(m, r, result, error, e);
    r->answered(m, r, result, error, e);
    free_request(r);
}

void mcp__request_fail(struct mcp *m, struct mcp_request *r, enum err code, const char *why)
{
    struct error e = {0};
    err_set(&e, code, "%s", why);
    end_request(m, r, NULL, NULL, &e);
}

void mcp__request_cancel(struct mcp *m, struct mcp_request *r)
{
    unlink_request(m, r);
    mcp__questions_drop(m, r->id);
    if (!r->held) {
        json_t *params = json_object();
        json_puti(params, "requestId", r->id);
        json_puts(params, "reason", "no longer wanted");
        m->wire->cancel(m->self, r->id);
        if (m->era == ERA_MODERN && m->wire->closing_cancels)
            json_decref(params);
        else
            mcp__notify(m, "notifications/cancelled", params);
    }
    free_request(r);
}

/* ---- answers */

void mcp__note(struct mcp *m, const char *line, size_t len)
{
    m->noise_lines++;
    conn__tail_feed(&m->noise, line, len < CONN_LINE_MAX + 1 ? len : CONN_LINE_MAX + 1);
    conn__tail_feed(&m->noise, "\n", 1);
}

static void note_message(struct mcp *m, const json_t *message)
{
    char *text = json_write(message);
    mcp__note(m, text, strlen(text));
    free(text);
}

/* An answer that finds fault with what was asked: the server itself works. */
static enum err code_of(int64_t code)
{
    bool ours = code == MCP_E_METHOD || code == MCP_E_PARAMS || code == MCP_E_REQUEST ||
                code == MCP_E_URL_NEEDED;
    return ours ? ERR_REFUSED : ERR_UPSTREAM;
}

static void got_answer(struct mcp *m, const json_t *message, const json_t *id)
{
    struct mcp_request *r =
        json_is_integer(id) ? mcp__request_find(m, json_integer_value(id)) : NULL;
    if (!r || r->held) { /* M1: late, or never asked for */
        note_message(m, message);
        return;
    }
    const json_t *result = json_object_get(message, "result"),
                 *error = json_object_get(message, "error");
    struct error e = {0};
    if (json_is_object(error))
        err_set(&e, code_of(json_int(error, "code", 0)), "error %lld: %.180s",
                (long long)json_int(error, "code", 0), json_str(error, "message", "no message"));
    else if (!json_is_object(result))
        err_set(&e, ERR_PROTOCOL, "the answer has neither result nor error");
    else if (mcp__input_required(m, r, result))
        return;
    end_request(m, r, e.code == ERR_OK ? result : NULL, json_is_object(error) ? error : NULL, &e);
}

bool mcp__message(struct mcp *m, const json_t *message)
{
    const json_t *id = json_object_get(message, "id"), *method = json_object_get(message, "method");
    const json_t *params = json_object_get(message, "params");
    uint64_t run = m->runs;
    if (json_is_string(method) && id)
        mcp__asked(m, json_string_value(method), params, id);
    else if (json_is_string(method))
        mcp__told(m, json_string_value(method), params);
    else if (!method && id)
        got_answer(m, message, id);
    else
        note_message(m, message);
    return m->runs == run;
}

bool mcp__noise(struct mcp *m, const char *line, size_t len)
{
    mcp__note(m, line, len);
    return true;
}

bool mcp__lost(struct mcp *m, int64_t id, enum err code, const char *why)
{
    uint64_t run = m->runs;
    struct mcp_request *r = mcp__request_find(m, id);
    if (r && !r->held)
        mcp__request_fail(m, r, code, why);
    return m->runs == run;
}

/* ---- runs */

/* Calls were ended by the registry before it stopped the run; what is left is told here. */
static void forget_run(struct mcp *m)
{
    m->runs++;
    m->open = m->up = m->probed = false;
    loop_timer_stop(m->probe_timer);
    mcp__lists_forget(m);
    while (m->requests) {
        struct mcp_request *r = m->requests;
        if (r->call) { /* the registry tells them by itself, with the reason */
            unlink_request(m, r);
            free_request(r);
        } else {
            mcp__request_fail(m, r, ERR_CLOSED, "the server is gone");
        }
    }
    mcp__questions_drop(m, 0);
    m->era = ERA_UNKNOWN;
    free(m->protocol);
    m->protocol = NULL;
    json_decref(m->capabilities);
    m->capabilities = NULL;
}

/* Why a run ended, with the last words of the server. The caller frees. */
static char *why_ended(struct mcp *m, const char *why)
{
    struct buf text = {0}, words = {0};
    buf_adds(&text, why);
    if (m->wire->last_words)
        m->wire->last_words(m->self, &words);
    if (words.len)
        buf_addf(&text, "; %s", words.data);
    buf_release(&words);
    return buf_take(&text);
}

void mcp__down(struct mcp *m, enum err code, const char *why)
{
    char *text = why_ended(m, why);
    if (!m->up)
        m->era_hint = ERA_UNKNOWN; /* what it spoke may have been misjudged */
    conn__down(m->conn, code, text);
    forget_run(m);
    free(text);
}

void mcp__sign_in(struct mcp *m, const char *why, const char *url)
{
    char *text = xstrdup(why);
    conn__sign_in(m->conn, text, url);
    forget_run(m);
    free(text);
}

void mcp__went_wrong(struct mcp *m, enum err code, const char *why)
{
    char *text = why_ended(m, why); /* before stop: why may live in what that frees */
    m->era_hint = ERA_UNKNOWN;
    m->wire->stop(m->self, false);
    conn__down(m->conn, code, text);
    forget_run(m);
    free(text);
}

void mcp__again(struct mcp *m)
{
    m->wire->stop(m->self, false);
    forget_run(m);
    m->wire->start(m->self);
}

bool mcp__up(struct mcp *m)
{
    uint64_t run = m->runs;
    m->open = true;
    mcp__era_begin(m);
    return m->runs == run;
}

bool mcp__session_lost(struct mcp *m, const char *why)
{
    uint64_t run = m->runs;
    while (m->requests && m->runs == run) { /* they may have run: never again (C3) */
        struct mcp_request *r = m->requests;
        mcp__lists_forget(m);
        mcp__request_fail(m, r, ERR_CLOSED, why);
    }
    if (m->runs != run)
        return false;
    mcp__era_begin(m);
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
    mcp__asks_drop(m);
    if (m->self)
        m->wire->free(m->self);
    mcp__lists_free(m);
    loop_timer_free(m->probe_timer);
    conn__tail_release(&m->noise);
    conn__tail_release(&m->logs);
    json_decref(m->subscriptions);
    free(m->read_tools);
    free(m->protocol_wanted);
    free(m->roots);
    free(m->log_level);
    free(m->propose);
    free(m->version);
    free(m->instructions);
    free(m);
}

void mcp__ignored(struct mcp *m, struct mcp_request *r, const json_t *result, const json_t *error,
                  const struct error *e)
{
    (void)m;
    (void)r;
    (void)result;
    (void)error;
    (void)e;
}

/* ---- what the registry asks */

/* All that came, for the log: a text alone as itself; note is a text of ours behind it, or NULL. */
static json_t *whole_content(const json_t *result, const char *note)
{
    json_t *list = json_object_get(result, "content"), *first = json_array_get(list, 0);
    json_t *text = json_object_get(first, "text");
    if (!json_is_array(list))
        return NULL;
    if (!note && json_array_size(list) == 1 && json_is_string(text) &&
        strcmp(json_str(first, "type", ""), "text") == 0)
        return json_incref(text);
    if (!note)
        return json_incref(list);
    json_t *longer = json_copy(list), *more = json_object();
    json_puts(more, "type", "text");
    json_puts(more, "text", note);
    json_array_append_new(longer, more);
    return longer;
}

/* Text and structured content, and what is wrong with the second. */
static void call_result(struct mcp *m, const struct mcp_request *r, const json_t *result)
{
    json_t *data = json_object_get(result, "structuredContent");
    bool failed = json_is_true(json_object_get(result, "isError"));
    size_t bytes;
    char *text = mcp__result_text(result, MCP_RESULT_TEXT_MAX, &bytes), *note = NULL;
    const char *tool = json_str(r->params, "name", "");
    const json_t *schema = conn__tool_schema(m->conn, tool, true);
    struct error e = {0};
    if (schema && !failed) {
        if (!data)
            err_set(&e, ERR_INVALID, "it is missing");
        else
            conn__schema_check(schema, data, &e);
    }
    if (e.code != ERR_OK) { /* told, not hidden: whoever reads the result judges */
        note = xasprintf("[the structured result does not fit the schema that the tool "
                         "declares: %s]",
                         e.detail);
        char *more = xasprintf("%s%s%s", text, *text ? "\n" : "", note);
        bytes += strlen(more) - strlen(text);
        free(text);
        text = more;
    }
    conn__call_done_whole(r->call, failed, text, bytes, whole_content(result, note),
                          data ? json_incref(data) : NULL);
    free(note);
}

static void call_answered(struct mcp *m, struct mcp_request *r, const json_t *result,
                          const json_t *error, const struct error *e)
{
    if (result) {
        call_result(m, r, result);
        return;
    }
    if (json_int(error, "code", 0) == MCP_E_URL_NEEDED)
        mcp__url_needed(m, error);
    conn__call_fail(r->call, e->code, e->detail);
}

enum err mcp__conn_call(void *arg, struct conn_call *call, const char *tool,
                        const json_t *arguments, struct error *e)
{
    struct mcp *m = arg;
    json_t *params = json_object();
    json_puts(params, "name", tool);
    json_put(params, "arguments", json_deep_copy(arguments));
    const struct mcp_request like = {.answered = call_answered, .call = call};
    struct error why = {0};
    if (mcp__ask(m, "tools/call", params, &like, &why) || why.code == ERR_OK)
        return ERR_OK;
    return err_set(e, why.code, "%s", why.detail);
}

void mcp__conn_cancel(void *arg, struct conn_call *call)
{
    struct mcp *m = arg;
    struct mcp_request *r = m->requests;
    while (r && r->call != call)
        r = r->next;
    if (r)
        mcp__request_cancel(m, r);
}

/* Any answer, also an error, shows that it lives. */
static void check_answered(struct mcp *m, struct mcp_request *r, const json_t *result,
                           const json_t *error, const struct error *e)
{
    double ms = (double)(clock_mono_ns() - r->sent_ns) / 1e6;
    if (result || error || e->code == ERR_PROTOCOL)
        conn__checked(m->conn, ms, ERR_OK, NULL);
    else if (m->open)
        conn__checked(m->conn, 0, e->code, e->detail);
}

void mcp__conn_check(void *arg)
{
    struct mcp *m = arg;
    const struct mcp_request like = {.answered = check_answered};
    struct error e = {0};
    bool modern = m->era == ERA_MODERN; /* which has no ping */
    if (!mcp__ask(m, modern ? "server/discover" : "ping", NULL, &like, &e) && e.code != ERR_OK)
        conn__checked(m->conn, 0, e.code, "it does not take a ping");
}

void mcp__conn_describe(void *arg, json_t *into)
{
    struct mcp *m = arg;
    if (m->wire->describe)
        m->wire->describe(m->self, into);
    json_put(into, "noise", conn__tail_json(&m->noise));
    json_puti(into, "noise_lines", (int64_t)m->noise_lines);
    json_put(into, "logs", conn__tail_json(&m->logs));
    json_puti(into, "log_lines", (int64_t)m->log_lines);
    if (m->instructions)
        json_puts(into, "instructions", m->instructions);
    mcp__conn_offers(m, into);
}
