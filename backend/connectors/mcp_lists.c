/* What a server offers: tools, resources, resource templates, prompts; and how its changes are
 * heard.
 *
 * Invariants
 * I1 One listing of a kind runs at a time; a change during it, and any number of changes within
 *    CHANGED_MS, is one more listing.
 * I2 What was listed stays until the next listing is complete, also when that fails.
 * I3 The connector is up when its tools are listed; the other lists follow and never bring it down.
 * I4 In the modern era one subscriptions/listen is open while there is something to hear. */
#include "backend/base/clock.h"
#include "backend/connectors/mcp_core.h"
#include <stdlib.h>
#include <string.h>

enum {
    CHANGED_MS = 200,
    LIST_LIMIT_MS = 20000,
    TTL_MIN_MS = 5000,
    TTL_MAX_MS = 24 * 3600 * 1000,
    SCHEMA_MAX = 1 << 20,
    SCHEMAS_MAX = 32 << 20,
    LISTEN_RETRY_MS = 2000,
    LISTEN_RETRY_MAX_MS = 120000
};

static const struct {
    const char *method, *key, *capability, *changed, *filter;
} kinds[LIST_COUNT] = {
    [LIST_TOOLS] = {"tools/list", "tools", "tools", "notifications/tools/list_changed",
                    "toolsListChanged"},
    [LIST_RESOURCES] = {"resources/list", "resources", "resources",
                        "notifications/resources/list_changed", "resourcesListChanged"},
    [LIST_TEMPLATES] = {"resources/templates/list", "resourceTemplates", "resources", "", ""},
    [LIST_PROMPTS] = {"prompts/list", "prompts", "prompts", "notifications/prompts/list_changed",
                      "promptsListChanged"}};

static void list_begin(struct mcp_list *l);

/* ---- one item, with what is shown of it, cut */

static void copy_text(json_t *to, const char *as, const json_t *from, const char *key, size_t max)
{
    const char *text = json_str(from, key, "");
    size_t len = strlen(text), cut = len;
    if (len > max) {
        cut = max;
        while (cut > 0 && ((unsigned char)text[cut] & 0xc0) == 0x80)
            cut--;
    }
    json_put(to, as, json_text(text, cut));
}

static json_t *prompt_arguments(const json_t *from)
{
    enum { MOST = 32 };
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(from) && i < MOST; i++) {
        const json_t *one = json_array_get(from, i);
        json_t *argument = json_object();
        copy_text(argument, "name", one, "name", CONN_MAX_TITLE);
        copy_text(argument, "description", one, "description", 1024);
        json_put(argument, "required", json_boolean(json_flag(one, "required", false)));
        json_array_append_new(list, argument);
    }
    return list;
}

/* NULL: without what it is known by, or that is too long. */
static json_t *item_of(enum mcp_list_name name, const json_t *from)
{
    const char *id = name == LIST_PROMPTS ? "name" : name == LIST_TEMPLATES ? "uriTemplate" : "uri";
    size_t len = strlen(json_str(from, id, ""));
    if (len == 0 || len > 2048)
        return NULL;
    json_t *item = json_object();
    copy_text(item, name == LIST_TEMPLATES ? "uri_template" : id, from, id, 2048);
    if (name != LIST_PROMPTS)
        copy_text(item, "name", from, "name", CONN_MAX_TITLE);
    copy_text(item, "title", from, "title", CONN_MAX_TITLE);
    copy_text(item, "description", from, "description", 1024);
    if (name == LIST_PROMPTS) {
        json_put(item, "arguments", prompt_arguments(json_object_get(from, "arguments")));
        return item;
    }
    copy_text(item, "mime_type", from, "mimeType", 128);
    const json_t *size = json_object_get(from, "size");
    if (json_is_integer(size))
        json_put(item, "size", json_incref((json_t *)size));
    return item;
}

/* ---- tools */

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

/* A schema of a tool, if it is small enough to keep. */
static json_t *schema_of(struct mcp *m, const json_t *tool, const char *key, bool *fine)
{
    json_t *schema = json_object_get(tool, key);
    if (!json_is_object(schema))
        return NULL;
    size_t size = json_dumpb(schema, NULL, 0, JSON_COMPACT);
    m->schema_bytes += size;
    *fine = *fine && size <= SCHEMA_MAX && m->schema_bytes <= SCHEMAS_MAX;
    return json_incref(schema);
}

static bool add_tool(struct mcp *m, const json_t *t)
{
    const json_t *hints = json_object_get(t, "annotations");
    const char *name = json_str(t, "name", "");
    bool fine = true;
    struct conn_definition d = {.name = name,
                                .title = json_str(t, "title", json_str(hints, "title", name)),
                                .description = json_str(t, "description", ""),
                                .input_schema = schema_of(m, t, "inputSchema", &fine),
                                .output_schema = schema_of(m, t, "outputSchema", &fine),
                                .annotations =
                                    json_is_object(hints) ? json_incref((json_t *)hints) : NULL,
                                .read_only = reads_only(m, name)};
    if (fine && m->era == ERA_MODERN && m->wire->takes_tool)
        fine = m->wire->takes_tool(m->self, d.input_schema);
    if (fine)
        return conn__tools_add(m->conn, &d);
    json_decref(d.input_schema);
    json_decref(d.output_schema);
    json_decref(d.annotations);
    return false;
}

/* ---- pages */

static void list_ends(struct mcp_list *l, const char *error)
{
    struct mcp *m = l->mcp;
    l->asking = false;
    snprintf(l->error, sizeof l->error, "%s", error);
    if (l->again) {
        l->again = false;
        loop_timer_start(l->timer, CHANGED_MS, 0);
    }
    if (l->refused) {
        char *line = xasprintf("mcp-console: refused %zu %s with bad or repeated names, too large, "
                               "or too many\n",
                               l->refused, kinds[l->name].key);
        conn__tail_feed(&m->noise, line, strlen(line));
        free(line);
    }
}

static void now_up(struct mcp *m)
{
    if (m->up)
        return;
    m->up = true;
    conn__up(m->conn, m->version, m->protocol);
    if (!m->open) /* it was stopped inside */
        return;
    for (int i = LIST_RESOURCES; i < LIST_COUNT; i++) {
        if (m->lists[i].offered)
            list_begin(&m->lists[i]);
    }
    if (m->era == ERA_MODERN)
        mcp__listen(m);
}

static void list_complete(struct mcp_list *l, const json_t *result)
{
    struct mcp *m = l->mcp;
    const json_t *ttl = json_object_get(result, "ttlMs");
    if (l->name == LIST_TOOLS) {
        conn__tools_end(m->conn);
    } else {
        json_decref(l->items);
        l->items = l->incoming;
        l->incoming = NULL;
    }
    list_ends(l, "");
    if (json_is_integer(ttl) && json_integer_value(ttl) > 0) {
        int64_t ms = json_integer_value(ttl);
        ms = ms < TTL_MIN_MS ? TTL_MIN_MS : ms > TTL_MAX_MS ? TTL_MAX_MS : ms;
        loop_timer_start(l->timer, (uint64_t)ms, 0);
    }
    if (l->name == LIST_TOOLS)
        now_up(m);
}

static void list_failed(struct mcp_list *l, enum err code, const char *why, bool said_so)
{
    struct mcp *m = l->mcp;
    json_decref(l->incoming);
    l->incoming = NULL;
    list_ends(l, why);
    /* Tools that it said it has, and cannot list: there is nothing to come up with. */
    if (l->name == LIST_TOOLS && !m->up && m->open)
        mcp__went_wrong(m, said_so ? ERR_PROTOCOL : code, why);
}

static void page_ask(struct mcp_list *l, const char *cursor);

static void page_answered(struct mcp *m, struct mcp_request *r, const json_t *result,
                          const json_t *error, const struct error *e)
{
    struct mcp_list *l = &m->lists[r->list];
    if (!m->open || !l->asking)
        return;
    if (!result) {
        /* A server may have resources and know nothing of templates. */
        bool none = json_int(error, "code", 0) == MCP_E_METHOD && l->name == LIST_TEMPLATES;
        if (none)
            list_complete(l, NULL);
        else
            list_failed(l, e->code, e->detail, error != NULL);
        return;
    }
    const json_t *page = json_object_get(result, kinds[l->name].key);
    for (size_t i = 0; i < json_array_size(page); i++) {
        const json_t *one = json_array_get(page, i);
        if (l->name == LIST_TOOLS) {
            l->refused += !add_tool(m, one);
            continue;
        }
        json_t *item = json_array_size(l->incoming) < MCP_ITEMS_MAX ? item_of(l->name, one) : NULL;
        if (item)
            json_array_append_new(l->incoming, item);
        else
            l->refused++;
    }
    const char *next = json_str(result, "nextCursor", "");
    if (*next && ++l->pages < MCP_MAX_PAGES)
        page_ask(l, next);
    else
        list_complete(l, result);
}

static void page_ask(struct mcp_list *l, const char *cursor)
{
    struct mcp *m = l->mcp;
    json_t *params = json_object();
    if (cursor)
        json_puts(params, "cursor", cursor);
    const struct mcp_request like = {.answered = page_answered, .list = (int)l->name};
    struct error e = {0};
    l->since_ms = clock_mono_ms();
    if (!mcp__ask(m, kinds[l->name].method, params, &like, &e) && e.code != ERR_OK && m->open)
        list_failed(l, e.code, e.detail, false);
}

/* A page that never came must not mix with the next listing. */
static void pages_drop(struct mcp_list *l)
{
    struct mcp *m = l->mcp;
    for (struct mcp_request *r = m->requests, *next; r; r = next) {
        next = r->next;
        if (r->answered == page_answered && r->list == (int)l->name)
            mcp__request_cancel(m, r);
    }
}

static void list_begin(struct mcp_list *l)
{
    struct mcp *m = l->mcp;
    if (l->asking && clock_mono_ms() - l->since_ms < LIST_LIMIT_MS) {
        l->again = true; /* when this one is complete: I1 */
        return;
    }
    pages_drop(l);
    l->asking = true;
    l->pages = 0;
    l->refused = 0;
    if (l->name == LIST_TOOLS) {
        m->schema_bytes = 0;
        conn__tools_begin(m->conn);
    } else {
        json_decref(l->incoming);
        l->incoming = json_array();
    }
    page_ask(l, NULL);
}

static void on_list_timer(void *arg)
{
    struct mcp_list *l = arg;
    if (l->mcp->up && l->offered)
        list_begin(l);
}

/* ---- runs */

void mcp__lists_make(struct mcp *m)
{
    for (int i = 0; i < LIST_COUNT; i++) {
        m->lists[i].mcp = m;
        m->lists[i].name = (enum mcp_list_name)i;
        m->lists[i].timer = loop_timer_new(conn__loop(m->conn), on_list_timer, &m->lists[i]);
    }
    mcp__listen_make(m);
}

static void set_log_level(struct mcp *m)
{
    static const struct mcp_request like = {.answered = mcp__ignored};
    struct error e = {0};
    if (m->era != ERA_STATEFUL || strcmp(m->log_level, "off") == 0 ||
        !json_is_object(json_object_get(m->capabilities, "logging")))
        return;
    json_t *params = json_object();
    json_puts(params, "level", m->log_level);
    mcp__ask(m, "logging/setLevel", params, &like, &e);
}

void mcp__lists_begin(struct mcp *m)
{
    uint64_t run = m->runs;
    for (int i = 0; i < LIST_COUNT; i++) {
        struct mcp_list *l = &m->lists[i];
        l->offered = json_is_object(json_object_get(m->capabilities, kinds[i].capability));
        l->asking = l->again = false;
        if (!l->offered) {
            json_decref(l->items);
            l->items = NULL;
        }
    }
    set_log_level(m);
    if (m->runs != run)
        return;
    if (m->lists[LIST_TOOLS].offered) {
        list_begin(&m->lists[LIST_TOOLS]);
        return;
    }
    conn__tools_begin(m->conn);
    conn__tools_end(m->conn);
    now_up(m);
}

void mcp__lists_forget(struct mcp *m)
{
    for (int i = 0; i < LIST_COUNT; i++) {
        struct mcp_list *l = &m->lists[i];
        l->asking = l->again = false;
        json_decref(l->incoming);
        l->incoming = NULL;
        loop_timer_stop(l->timer);
    }
    loop_timer_stop(m->listen_timer);
    m->listen_failures = 0;
    m->listen_refused = false;
}

void mcp__lists_free(struct mcp *m)
{
    for (int i = 0; i < LIST_COUNT; i++) {
        json_decref(m->lists[i].items);
        json_decref(m->lists[i].incoming);
        loop_timer_free(m->lists[i].timer);
    }
    loop_timer_free(m->listen_timer);
}

bool mcp__lists_told(struct mcp *m, const char *method)
{
    bool known = false;
    for (int i = 0; i < LIST_COUNT; i++) {
        if (strcmp(method, kinds[i].changed) != 0)
            continue;
        known = true;
        loop_timer_start(m->lists[i].timer, CHANGED_MS, 0);
        if (i == LIST_RESOURCES) /* templates have no notification of their own */
            loop_timer_start(m->lists[LIST_TEMPLATES].timer, CHANGED_MS, 0);
    }
    return known;
}

/* ---- subscriptions/listen */

static void listen_answered(struct mcp *m, struct mcp_request *r, const json_t *result,
                            const json_t *error, const struct error *e)
{
    (void)r;
    (void)e;
    if (!m->open || !m->up)
        return;
    if (error && json_int(error, "code", 0) == MCP_E_METHOD) {
        m->listen_refused = true;
        return;
    }
    m->listen_failures = result ? 0 : m->listen_failures + 1;
    uint64_t wait = (uint64_t)LISTEN_RETRY_MS << (m->listen_failures < 6 ? m->listen_failures : 6);
    loop_timer_start(m->listen_timer, wait < LISTEN_RETRY_MAX_MS ? wait : LISTEN_RETRY_MAX_MS, 0);
}

static json_t *listen_filter(const struct mcp *m)
{
    json_t *filter = json_object();
    for (int i = 0; i < LIST_COUNT; i++) {
        const json_t *can = json_object_get(m->capabilities, kinds[i].capability);
        if (*kinds[i].filter && json_flag(can, "listChanged", false))
            json_put(filter, kinds[i].filter, json_true());
    }
    if (json_array_size(m->subscriptions))
        json_put(filter, "resourceSubscriptions", json_copy(m->subscriptions));
    return filter;
}

void mcp__listen(struct mcp *m)
{
    for (struct mcp_request *r = m->requests, *next; r; r = next) {
        next = r->next;
        if (r->answered == listen_answered)
            mcp__request_cancel(m, r);
    }
    json_t *filter = listen_filter(m);
    if (m->listen_refused || json_object_size(filter) == 0) {
        json_decref(filter);
        return;
    }
    json_t *params = json_object();
    json_put(params, "notifications", filter);
    const struct mcp_request like = {.answered = listen_answered, .stays = true};
    struct error e = {0};
    mcp__ask(m, "subscriptions/listen", params, &like, &e);
}

static void on_listen_timer(void *arg)
{
    struct mcp *m = arg;
    if (m->up && m->era == ERA_MODERN)
        mcp__listen(m);
}

void mcp__listen_make(struct mcp *m)
{
    m->listen_timer = loop_timer_new(conn__loop(m->conn), on_listen_timer, m);
}

/* ---- what clients see */

void mcp__conn_offers(void *arg, json_t *into)
{
    static const char *const names[LIST_COUNT] = {NULL, "resources", "templates", "prompts"};
    const struct mcp *m = arg;
    json_t *errors = json_object();
    for (int i = LIST_RESOURCES; i < LIST_COUNT; i++) {
        const struct mcp_list *l = &m->lists[i];
        json_put(into, names[i], l->items ? json_deep_copy(l->items) : json_array());
        if (*l->error)
            json_puts(errors, names[i], l->error);
    }
    json_put(into, "subscribed", json_copy(m->subscriptions));
    json_put(into, "errors", errors);
}
