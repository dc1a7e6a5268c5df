/* What the program around this room sees of MCP servers besides tools: mcp_client.h.
 *
 * Invariants
 * Q1 to Q4 of mcp_client.h; done runs from the ask's own timer, so never inside conn_ask, but for
 * conn_free, which tells what is left. */
#include "backend/connectors/mcp_core.h"
#include "backend/connectors/registry_types.h"
#include <stdlib.h>
#include <string.h>

static struct mcp *find_mcp(struct conn_registry *r, const char *name, struct conn **out,
                            struct error *e)
{
    struct conn *c = conn__find(r, name);
    if (!c || !c->self) {
        err_set(e, ERR_NOT_FOUND, "no connector is named %s", name);
        return NULL;
    }
    if (!c->ops->asks) {
        err_set(e, ERR_UNSUPPORTED, "connector %s is no MCP server", name);
        return NULL;
    }
    *out = c;
    return c->self;
}

json_t *conn_offers(struct conn_registry *r, const char *connector, struct error *e)
{
    struct conn *c;
    struct mcp *m = find_mcp(r, connector, &c, e);
    json_t *offers = m ? json_object() : NULL;
    if (m)
        mcp__conn_offers(m, offers);
    return offers;
}

/* ---- asking a server */

static void unlink_ask(struct conn_ask *a)
{
    struct conn_ask **at = &a->mcp->asks;
    while (*at && *at != a)
        at = &(*at)->next;
    BUG_IF(!*at);
    *at = a->next;
}

static void free_ask(struct conn_ask *a)
{
    loop_timer_free(a->timer);
    json_decref(a->result);
    free(a);
}

static void deliver_ask(struct conn_ask *a)
{
    unlink_ask(a);
    a->done(a->arg, a->result, &a->error);
    free_ask(a);
}

static struct mcp_request *request_of(const struct conn_ask *a)
{
    struct mcp_request *r = a->mcp->requests;
    while (r && r->ask != a)
        r = r->next;
    return r;
}

static void on_ask_timer(void *arg)
{
    struct conn_ask *a = arg;
    if (!a->ended) {
        struct mcp_request *r = request_of(a);
        if (r)
            mcp__request_cancel(a->mcp, r);
        a->ended = true;
        err_set(&a->error, ERR_TIMEOUT, "%s gave no answer", conn__name(a->mcp->conn));
    }
    deliver_ask(a);
}

static void ask_answered(struct mcp *m, struct mcp_request *r, const json_t *result,
                         const json_t *error, const struct error *e)
{
    struct conn_ask *a = r->ask;
    (void)error;
    (void)m;
    a->ended = true;
    a->error = *e;
    a->result = result ? json_incref((json_t *)result) : NULL;
    loop_timer_start(a->timer, 0, 0);
}

/* The capability that a method needs; NULL: it is none that clients may ask. */
static const char *capability_of(const char *method, const char **fixed)
{
    static const struct {
        const char *method, *capability;
    } known[] = {{"resources/read", "resources"},
                 {"resources/subscribe", "resources"},
                 {"resources/unsubscribe", "resources"},
                 {"prompts/get", "prompts"},
                 {"completion/complete", "completions"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i].method, method) == 0) {
            *fixed = known[i].method;
            return known[i].capability;
        }
    }
    return NULL;
}

/* Keeps the list of URIs; false: it is full. */
static bool subscribe(struct mcp *m, const char *uri, bool on)
{
    size_t n = json_array_size(m->subscriptions);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(json_string_value(json_array_get(m->subscriptions, i)), uri) != 0)
            continue;
        if (!on)
            json_array_remove(m->subscriptions, i);
        return true;
    }
    if (on && n < MCP_SUBSCRIPTIONS_MAX)
        json_array_append_new(m->subscriptions, json_text(uri, strlen(uri)));
    return !on || n < MCP_SUBSCRIPTIONS_MAX;
}

static enum err start_ask(struct conn_ask *a, const char *method, const json_t *params,
                          struct error *e)
{
    struct mcp *m = a->mcp;
    bool on = strcmp(method, "resources/subscribe") == 0;
    bool off = strcmp(method, "resources/unsubscribe") == 0;
    if ((on || off) && !subscribe(m, json_str(params, "uri", ""), on))
        return err_set(e, ERR_BUSY, "%d resources are subscribed to", MCP_SUBSCRIPTIONS_MAX);
    if ((on || off) && m->era == ERA_MODERN) { /* there one request carries all of them */
        mcp__listen(m);
        a->ended = true;
        a->result = json_object();
        loop_timer_start(a->timer, 0, 0);
        return ERR_OK;
    }
    const struct mcp_request like = {.answered = ask_answered, .ask = a};
    struct error why = {0};
    if (mcp__ask(m, method, json_deep_copy(params), &like, &why) || why.code == ERR_OK)
        return ERR_OK;
    return err_set(e, why.code, "%s", why.detail);
}

struct conn_ask *conn_ask(struct conn_registry *r, const char *connector, const char *method,
                          const json_t *params, uint64_t limit_ms, conn_asked *done, void *arg,
                          struct error *e)
{
    struct conn *c;
    const char *fixed, *needs = capability_of(method, &fixed);
    struct mcp *m = find_mcp(r, connector, &c, e);
    if (!m)
        return NULL;
    if (!c->up) {
        err_set(e, ERR_CLOSED, "connector %s is %s%s%s", c->name, conn_state_name(c->state),
                *c->last_error ? ": " : "", c->last_error);
        return NULL;
    }
    if (!needs || !json_is_object(json_object_get(m->capabilities, needs))) {
        err_set(e, ERR_UNSUPPORTED, "connector %s has no %s", c->name, needs ? needs : method);
        return NULL;
    }
    struct conn_ask *a = xcalloc(1, sizeof *a);
    a->mcp = m;
    a->done = done;
    a->arg = arg;
    a->timer = loop_timer_new(r->loop, on_ask_timer, a);
    a->next = m->asks;
    m->asks = a;
    loop_timer_start(a->timer, limit_ms && limit_ms < c->timeout_ms ? limit_ms : c->timeout_ms, 0);
    if (start_ask(a, fixed, params, e) == ERR_OK)
        return a;
    unlink_ask(a);
    free_ask(a);
    return NULL;
}

void mcp__asks_drop(struct mcp *m)
{
    while (m->asks) { /* their requests ended with the run */
        struct conn_ask *a = m->asks;
        if (!a->ended)
            err_set(&a->error, ERR_CLOSED, "the console is stopping");
        a->ended = true;
        deliver_ask(a);
    }
}

/* ---- forms */

static bool is_primitive(const json_t *schema)
{
    static const char *const types[] = {"string", "number", "integer", "boolean", "array"};
    const char *type = json_str(schema, "type", "");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(types[i], type) == 0)
            return i < 4 || json_is_object(json_object_get(schema, "items"));
    }
    return false;
}

bool mcp__form_fits(const json_t *schema)
{
    enum { FIELDS = 64 };
    const json_t *properties = json_object_get(schema, "properties");
    const char *name;
    json_t *one;
    if (!json_is_object(properties) || json_object_size(properties) > FIELDS ||
        strcmp(json_str(schema, "type", "object"), "object") != 0 ||
        json_dumpb(schema, NULL, 0, JSON_COMPACT) > 64 * 1024)
        return false;
    json_object_foreach((json_t *)properties, name, one)
    {
        if (!is_primitive(one) || strlen(name) > 128)
            return false;
    }
    return true;
}

/* What a person typed, with the defaults of what was left out. */
static json_t *filled(const json_t *schema, const json_t *content)
{
    json_t *whole = json_is_object(content) ? json_deep_copy(content) : json_object(), *one;
    const char *name;
    json_object_foreach(json_object_get(schema, "properties"), name, one)
    {
        json_t *otherwise = json_object_get(one, "default");
        if (otherwise && !json_object_get(whole, name))
            json_put(whole, name, json_deep_copy(otherwise));
    }
    return whole;
}

/* ---- questions to people */

/* Bounded, since it is shown and kept; the whole URL, always (Q3). */
static json_t *question_row(const struct mcp_question *q)
{
    static const char *const kinds[] = {"form", "url", "sampling"};
    json_t *row = json_object();
    json_puts(row, "id", q->id);
    json_puts(row, "connector", conn__name(q->mcp->conn));
    json_puts(row, "kind", kinds[q->kind]);
    json_puts(row, "message", json_str(q->params, "message", ""));
    if (q->kind == QUESTION_FORM)
        json_put(row, "schema", json_deep_copy(json_object_get(q->params, "requestedSchema")));
    if (q->kind == QUESTION_URL) {
        const char *url = json_str(q->params, "url", ""), *host = strstr(url, "//");
        host = host ? host + 2 : url;
        size_t len = strcspn(host, "/?#");
        const char *at = memrchr(host, '@', len); /* user:password@host: the host is what counts */
        json_puts(row, "url", url);
        if (at)
            len -= (size_t)(at + 1 - host);
        json_put(row, "host", json_text(at ? at + 1 : host, len));
    }
    if (q->kind == QUESTION_SAMPLE) {
        char *text = json_write(json_object_get(q->params, "messages")
                                    ? json_object_get(q->params, "messages")
                                    : q->params);
        char *cut = xasprintf("%.4000s", text);
        json_puts(row, "message", cut);
        json_puti(row, "max_tokens", json_int(q->params, "maxTokens", 0));
        free(cut);
        free(text);
    }
    json_puti(row, "at", q->at);
    json_puti(row, "expires_at", q->expires_at);
    return row;
}

void mcp__question_tell(const struct mcp_question *q, const char *state)
{
    const struct conn_host *host = conn__host(q->mcp->conn);
    if (!host || !host->question)
        return;
    json_t *row = question_row(q);
    json_puts(row, "state", state);
    host->question(conn__host_arg(q->mcp->conn), row);
    json_decref(row);
}

json_t *conn_questions(struct conn_registry *r)
{
    json_t *rows = json_array();
    for (struct conn *c = r->first; c; c = c->next) {
        struct mcp *m = c->ops->asks ? c->self : NULL;
        for (const struct mcp_question *q = m ? m->questions : NULL; q; q = q->next) {
            if (q->open)
                json_array_append_new(rows, question_row(q));
        }
    }
    return rows;
}

static struct mcp_question *find_question(struct conn_registry *r, const char *id)
{
    for (struct conn *c = r->first; c; c = c->next) {
        struct mcp *m = c->ops->asks ? c->self : NULL;
        for (struct mcp_question *q = m ? m->questions : NULL; q; q = q->next) {
            if (q->open && strcmp(q->id, id) == 0)
                return q;
        }
    }
    return NULL;
}

enum err conn_question_answer(struct conn_registry *r, const char *id, const char *action,
                              const json_t *content, struct error *e)
{
    struct mcp_question *q = find_question(r, id);
    if (!q)
        return err_set(e, ERR_NOT_FOUND, "no question %s is open", id);
    bool yes = strcmp(action, "accept") == 0;
    if (!yes && strcmp(action, "decline") != 0 && strcmp(action, "cancel") != 0)
        return err_set(e, ERR_INVALID, "action is accept, decline or cancel");
    json_t *whole = NULL;
    if (yes && q->kind == QUESTION_FORM) {
        const json_t *schema = json_object_get(q->params, "requestedSchema");
        whole = filled(schema, content);
        if (conn__schema_check(schema, whole, e) != ERR_OK) {
            json_decref(whole);
            return ERR_INVALID;
        }
    }
    mcp__question_answer(q, action, whole);
    json_decref(whole);
    return ERR_OK;
}
