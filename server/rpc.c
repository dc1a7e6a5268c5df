/* Messages: what they are, which revision they speak, and the way of a request to its answer.
 *
 *      taken --answer, fail--> over --last reply of the bus--> freed
 *            --cancelled, peer gone--> over
 *
 * A call holds itself once from being taken until it is over, and once for each reply of the bus
 * that is still to come; a callback of the bus looks at `over` first. */
#include "server/internal.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define META "io.modelcontextprotocol/"

struct method_row {
    const char *name;
    enum revision from, to;
    bool cached; /* 2026-07-28 wants to know for how long */
    void (*run)(struct call *c);
};

static const char *const NAMES[] = {"",           "2024-11-05", "2025-03-26",
                                    "2025-06-18", "2025-11-25", "2026-07-28"};
enum { NAME_COUNT = sizeof NAMES / sizeof *NAMES };

enum revision server__revision_find(const char *name)
{
    for (int r = NAME_COUNT - 1; r > REV_NONE; r--)
        if (strcmp(NAMES[r], name) == 0)
            return (enum revision)r;
    return REV_NONE;
}

json_t *server__revisions(void)
{
    json_t *all = json_array();
    for (int r = NAME_COUNT - 1; r > REV_NONE; r--)
        json_array_append_new(all, json_string(NAMES[r]));
    return all;
}

/* ---- what the server says of itself ---- */

json_t *server__info(void)
{
    json_t *info = json_object();
    json_puts(info, "name", "mcp-console");
    json_puts(info, "title", "mcp-console");
    json_puts(info, "version", MCPC_VERSION);
    return info;
}

json_t *server__capabilities(enum revision r)
{
    bool session = r < REV_2026_07;
    json_t *all = json_object(), *resources = json_object();
    json_put(all, "tools", json_object());
    json_put(resources, "subscribe", json_true());
    json_put(all, "resources", resources);
    json_put(all, "prompts", json_object());
    if (r >= REV_2025_03)
        json_put(all, "completions", json_object());
    if (session)
        json_put(all, "logging", json_object());
    return all;
}

json_t *server__instructions(const struct server *s)
{
    return json_sprintf(
        "A terminal operations console with a copilot. Its answers cite their sources, and "
        "everything asked and answered is an entry of a tamper-evident log. Ask it with `ask`; "
        "look answers up with search_evidence, get_evidence and lineage; prove them with "
        "verify_evidence. %s",
        s->write ? "Some tools act; their annotations say which." : "All tools only read.");
}

static void on_initialize(struct call *c)
{
    struct peer *p = c->peer;
    enum revision asked = server__revision_find(json_str(c->params, "protocolVersion", ""));
    if (p->revision != REV_NONE) {
        server__fail(c, RPC_REQUEST, NULL, "the session is initialized already");
        return;
    }
    if (!json_is_string(json_object_get(c->params, "protocolVersion"))) {
        server__fail(c, RPC_PARAMS, NULL, "protocolVersion is missing");
        return;
    }
    if (asked == REV_NONE || asked == REV_2026_07) /* which has no sessions */
        asked = REV_2025_11;
    c->revision = p->revision = asked;
    json_t *result = json_object();
    json_puts(result, "protocolVersion", NAMES[asked]);
    json_put(result, "capabilities", server__capabilities(asked));
    json_put(result, "serverInfo", server__info());
    json_put(result, "instructions", server__instructions(p->server));
    server__answer(c, result);
}

static void on_discover(struct call *c)
{
    json_t *result = json_object();
    json_put(result, "supportedVersions", server__revisions());
    json_put(result, "capabilities", server__capabilities(REV_2026_07));
    json_put(result, "instructions", server__instructions(c->peer->server));
    server__answer(c, result);
}

static void on_ping(struct call *c)
{
    server__answer(c, json_object());
}

/* RFC 5424, section 6.2.1. */
static int level_find(const char *name)
{
    static const char *const LEVELS[] = {"emergency", "alert",  "critical", "error",
                                         "warning",   "notice", "info",     "debug"};
    for (int i = 0; i < 8; i++)
        if (strcmp(LEVELS[i], name) == 0)
            return i;
    return -1;
}

static void on_set_level(struct call *c)
{
    int level = level_find(json_str(c->params, "level", ""));
    if (level < 0) {
        server__fail(c, RPC_PARAMS, NULL, "there is no such level");
        return;
    }
    c->peer->log_level = level;
    server__answer(c, json_object());
}

static const struct method_row METHODS[] = {
    {"initialize", REV_NONE, REV_2025_11, false, on_initialize},
    {"ping", REV_NONE, REV_2025_11, false, on_ping},
    {"server/discover", REV_2026_07, REV_2026_07, true, on_discover},
    {"tools/list", REV_2024_11, REV_2026_07, true, server__tools_list},
    {"tools/call", REV_2024_11, REV_2026_07, false, server__tools_call},
    {"resources/list", REV_2024_11, REV_2026_07, true, server__resources_list},
    {"resources/templates/list", REV_2024_11, REV_2026_07, true, server__templates_list},
    {"resources/read", REV_2024_11, REV_2026_07, true, server__resources_read},
    {"resources/subscribe", REV_2024_11, REV_2025_11, false, server__subscribe},
    {"resources/unsubscribe", REV_2024_11, REV_2025_11, false, server__unsubscribe},
    {"prompts/list", REV_2024_11, REV_2026_07, true, server__prompts_list},
    {"prompts/get", REV_2024_11, REV_2026_07, false, server__prompts_get},
    {"completion/complete", REV_2024_11, REV_2026_07, false, server__complete},
    {"logging/setLevel", REV_2024_11, REV_2025_11, false, on_set_level},
    {"subscriptions/listen", REV_2026_07, REV_2026_07, false, server__listen},
};

/* ---- answers ---- */

json_t *server__error(const json_t *id, int code, const char *text, json_t *data)
{
    json_t *message = json_object(), *error = json_object();
    json_puts(message, "jsonrpc", "2.0");
    json_put(message, "id", id ? json_deep_copy(id) : json_null());
    json_puti(error, "code", code);
    json_puts(error, "message", text);
    if (data)
        json_put(error, "data", data);
    json_put(message, "error", error);
    return message;
}

void server__hold(struct call *c)
{
    c->refs++;
}

void server__release(struct call *c)
{
    if (--c->refs > 0)
        return;
    TAILQ_REMOVE(&c->server->calls, c, link);
    c->server->call_count--;
    loop_timer_free(c->limit);
    json_decref(c->id);
    json_decref(c->params);
    json_decref(c->token);
    json_decref(c->arguments);
    json_decref(c->filter);
    free(c->trace);
    free(c);
}

static void end(struct call *c, json_t *message)
{
    struct peer *p = c->peer;
    c->over = true;
    p->calls--;
    if (c->limit)
        loop_timer_stop(c->limit);
    p->ops->send(p, c->channel, message, true);
    c->channel = NULL;
    server__release(c);
}

void server__answer(struct call *c, json_t *result)
{
    enum { FRESH_MS = 60000 };
    if (c->over) {
        json_decref(result);
        return;
    }
    if (c->revision == REV_2026_07) {
        json_t *meta = json_object_get(result, "_meta");
        if (!meta)
            json_put(result, "_meta", meta = json_object());
        json_put(meta, META "serverInfo", server__info());
        json_puts(result, "resultType", "complete");
        if (c->method->cached) { /* lists change with the program only, what is read at any time */
            json_puti(result, "ttlMs", c->method->run == server__resources_read ? 0 : FRESH_MS);
            json_puts(result, "cacheScope", "private");
        }
    }
    json_t *message = json_object();
    json_puts(message, "jsonrpc", "2.0");
    json_put(message, "id", json_incref(c->id));
    json_put(message, "result", result);
    end(c, message);
}

void server__fail(struct call *c, int code, json_t *data, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (c->over)
        json_decref(data);
    else
        end(c, server__error(c->id, code, text, data));
}

void server__notify(struct call *c, const char *method, json_t *params)
{
    if (c->over) {
        json_decref(params);
        return;
    }
    json_t *message = json_object();
    json_puts(message, "jsonrpc", "2.0");
    json_puts(message, "method", method);
    json_put(message, "params", params);
    c->peer->ops->send(c->peer, c->channel, message, false);
}

void server__progress(struct call *c, double done, double total, const char *text)
{
    if (c->over || !c->token || done <= c->progress)
        return; /* it must grow */
    c->progress = done;
    json_t *params = json_object();
    json_put(params, "progressToken", json_incref(c->token));
    json_put(params, "progress", json_real(done));
    if (total > 0)
        json_put(params, "total", json_real(total));
    if (text && c->revision >= REV_2025_03)
        json_puts(params, "message", text);
    server__notify(c, "notifications/progress", params);
}

void server__log(struct call *c, int level, const char *text)
{
    static const char *const LEVELS[] = {"emergency", "alert",  "critical", "error",
                                         "warning",   "notice", "info",     "debug"};
    if (c->over || level > c->log_level)
        return;
    json_t *params = json_object();
    json_puts(params, "level", LEVELS[level]);
    json_puts(params, "logger", c->tool ? c->tool->row->name : "mcp-console");
    json_puts(params, "data", text);
    server__notify(c, "notifications/message", params);
}

static void stop_trace(struct call *c)
{
    if (!c->trace)
        return;
    json_t *params = json_object();
    json_puts(params, "trace_id", c->trace);
    busc_call(c->server->bus, WIRE_chat_stop, params, NULL, NULL);
}

/* M1: a cancelled request is not answered. */
void server__cancel(struct call *c)
{
    if (c->over)
        return;
    stop_trace(c);
    c->over = true;
    c->peer->calls--;
    if (c->limit)
        loop_timer_stop(c->limit);
    if (c->channel && c->peer->ops->drop)
        c->peer->ops->drop(c->peer, c->channel);
    c->channel = NULL;
    server__release(c);
}

void server__channel_gone(struct server *s, const void *channel, bool cancel)
{
    struct call *c, *next;
    for (c = TAILQ_FIRST(&s->calls); c; c = next) {
        next = TAILQ_NEXT(c, link);
        if (!channel || c->channel != channel)
            continue;
        c->channel = NULL;
        if (cancel)
            server__cancel(c);
    }
}

/* ---- pages ---- */

void server__page(struct call *c, const char *key, json_t *rows)
{
    const json_t *cursor = json_object_get(c->params, "cursor");
    size_t from = 0, size = json_array_size(rows);
    if (cursor) {
        char *tail = NULL;
        const char *text = json_is_string(cursor) ? json_string_value(cursor) : "";
        from = *text == 'p' && text[1] >= '0' && text[1] <= '9' ? strtoul(text + 1, &tail, 10) : 0;
        if (!tail || *tail || from >= size) {
            json_decref(rows);
            server__fail(c, RPC_PARAMS, NULL, "the cursor is not one of this list");
            return;
        }
    }
    json_t *result = json_object(), *page = json_array();
    for (size_t i = from; i < size && i < from + SERVER_PAGE; i++)
        json_array_append(page, json_array_get(rows, i));
    json_put(result, key, page);
    if (size > from + SERVER_PAGE)
        json_put(result, "nextCursor", json_sprintf("p%zu", from + SERVER_PAGE));
    json_decref(rows);
    server__answer(c, result);
}

/* ---- messages ---- */

void server__peer_init(struct peer *p, struct server *s, const struct peer_ops *ops)
{
    p->server = s;
    p->ops = ops;
    p->log_level = -1;
    p->uris = json_object();
    TAILQ_INSERT_TAIL(&s->peers, p, link);
}

void server__peer_end(struct peer *p)
{
    struct call *c, *next;
    for (c = TAILQ_FIRST(&p->server->calls); c; c = next) {
        next = TAILQ_NEXT(c, link);
        if (c->peer == p)
            server__cancel(c);
    }
    TAILQ_REMOVE(&p->server->peers, p, link);
    json_decref(p->uris);
    p->uris = NULL;
}

static bool good_id(const json_t *id)
{
    return json_is_integer(id) || (json_is_string(id) && json_string_length(id) <= 256);
}

static const char *meta_text(const json_t *params, const char *key)
{
    return json_str(json_object_get(params, "_meta"), key, NULL);
}

/* 2026-07-28: what each request must say of itself. False when it was answered. */
static bool take_meta(struct call *c)
{
    const json_t *meta = json_object_get(c->params, "_meta");
    const char *version = json_str(meta, META "protocolVersion", NULL),
               *level = json_str(meta, META "logLevel", NULL);
    c->revision = REV_2026_07;
    if (!version) {
        server__fail(c, RPC_PARAMS, NULL, "_meta has no " META "protocolVersion");
    } else if (server__revision_find(version) != REV_2026_07) {
        json_t *data = json_object();
        json_put(data, "supported", server__revisions());
        json_puts(data, "requested", version);
        server__fail(c, RPC_VERSION, data, "Unsupported protocol version");
    } else if (!json_is_object(json_object_get(meta, META "clientCapabilities"))) {
        server__fail(c, RPC_PARAMS, NULL, "_meta has no " META "clientCapabilities");
    } else if (level && level_find(level) < 0) {
        server__fail(c, RPC_PARAMS, NULL, "there is no such log level");
    } else {
        c->log_level = level ? level_find(level) : -1;
        return true;
    }
    return false;
}

static void run(struct call *c, const char *name)
{
    const struct method_row *row = NULL;
    for (size_t i = 0; i < sizeof METHODS / sizeof *METHODS && !row; i++)
        if (strcmp(METHODS[i].name, name) == 0 && c->revision >= METHODS[i].from &&
            c->revision <= METHODS[i].to)
            row = &METHODS[i];
    if (row) {
        c->method = row;
        row->run(c);
    } else if (c->revision == REV_NONE) {
        server__fail(c, RPC_REQUEST, NULL, "initialize comes first");
    } else {
        server__fail(c, RPC_METHOD, NULL, "there is no method %.100s", name);
    }
}

static bool is_under_way(const struct peer *p, const json_t *id)
{
    struct call *c;
    TAILQ_FOREACH(c, &p->server->calls, link)
    if (c->peer == p && !c->over && json_equal(c->id, id))
        return true;
    return false;
}

static void take_request(struct peer *p, void *channel, const json_t *message, bool modern)
{
    struct server *s = p->server;
    json_t *id = json_object_get(message, "id"), *params = json_object_get(message, "params");
    const char *name = json_string_value(json_object_get(message, "method"));
    bool known = p->revision != REV_2026_07 && is_under_way(p, id);
    if (known || (params && !json_is_object(params)) || s->call_count >= SERVER_CALLS ||
        (p->revision != REV_2026_07 && p->calls >= SERVER_PEER_CALLS)) {
        const char *why = known                               ? "a request of that id is under way"
                          : params && !json_is_object(params) ? "params is an object"
                                                              : "too many requests are under way";
        int code = known || (params && !json_is_object(params)) ? RPC_REQUEST : RPC_BUSY;
        p->ops->send(p, channel, server__error(id, code, why, NULL), true);
        return;
    }
    struct call *c = xcalloc(1, sizeof *c);
    json_t *token = json_object_get(json_object_get(params, "_meta"), "progressToken");
    *c = (struct call){.server = s,
                       .peer = p,
                       .channel = channel,
                       .id = json_incref(id),
                       .params = params ? json_incref(params) : json_object(),
                       .token = good_id(token) ? json_incref(token) : NULL,
                       .revision = p->revision,
                       .log_level = p->log_level,
                       .refs = 1};
    TAILQ_INSERT_TAIL(&s->calls, c, link);
    s->call_count++;
    p->calls++;
    server__hold(c); /* it may end inside */
    modern |= meta_text(c->params, META "protocolVersion") != NULL ||
              strcmp(name, "server/discover") == 0;
    if (!modern || take_meta(c))
        run(c, name);
    server__release(c);
}

static void take_notification(struct peer *p, const json_t *message)
{
    const json_t *id = json_object_get(json_object_get(message, "params"), "requestId");
    struct call *c, *next;
    if (strcmp(json_str(message, "method", ""), "notifications/cancelled") != 0 || !id)
        return;
    for (c = TAILQ_FIRST(&p->server->calls); c; c = next) {
        next = TAILQ_NEXT(c, link);
        if (c->peer == p && !c->over && json_equal(c->id, id) && c->method &&
            c->method->run != on_initialize)
            server__cancel(c);
    }
}

enum what { REQUEST, NOTIFICATION, RESPONSE, NONSENSE };

static enum what what_is(const json_t *message)
{
    const json_t *id = json_object_get(message, "id"), *method = json_object_get(message, "method");
    if (strcmp(json_str(message, "jsonrpc", ""), "2.0") != 0)
        return NONSENSE;
    if (json_is_string(method))
        return !id ? NOTIFICATION : good_id(id) ? REQUEST : NONSENSE;
    return method || !id ? NONSENSE : RESPONSE;
}

bool server__is_answered(const json_t *message)
{
    enum what what = what_is(message);
    return what == REQUEST || what == NONSENSE;
}

void server__take(struct peer *p, void *channel, const json_t *message, bool modern)
{
    const json_t *id = json_object_get(message, "id");
    switch (what_is(message)) {
    case REQUEST:
        take_request(p, channel, message, modern);
        break;
    case NOTIFICATION:
        take_notification(p, message);
        break;
    case RESPONSE: /* to a request: there are none */
        break;
    case NONSENSE:
        p->ops->send(p, channel,
                     server__error(good_id(id) ? id : NULL, RPC_REQUEST,
                                   "that is no request of JSON-RPC 2.0", NULL),
                     true);
    }
}
