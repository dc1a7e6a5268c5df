/* Resources: the console's state, entries and answers of the log, built-in runbooks; and who is
 * told when one changes. A URI names a method of the bus and its parameter, never a path. */
#include "backend/base/embed.h"
#include "server/internal.h"
#include <stdlib.h>
#include <string.h>

enum { TELL_MS = 500, RUNBOOK_NAME = 128 };
static const char RUNBOOKS[] = "backend/knowledge/runbooks/";

static const struct fixed {
    const char *uri, *name, *title, *text;
    enum wire_method method;
} FIXED[] = {
    {"console://status", "status", "Console status",
     "Alerts, the state of the log, models, connectors, spending", WIRE_status_get},
    {"console://connectors", "connectors", "Connectors", "Their health, a row each",
     WIRE_connectors_list},
    {"console://scorecard", "scorecard", "Compliance scorecard", "Controls and the score",
     WIRE_score_get},
    {"console://cost", "cost", "Cost", "What models cost in the last 30 days", WIRE_cost_summary},
    {"console://checkpoint", "checkpoint", "Newest checkpoint",
     "The newest signed checkpoint of the log, a note to be kept elsewhere", WIRE_COUNT},
};
enum { FIXED_COUNT = sizeof FIXED / sizeof *FIXED };

static const struct fixed *fixed_find(const char *uri)
{
    for (size_t i = 0; i < FIXED_COUNT; i++)
        if (strcmp(FIXED[i].uri, uri) == 0)
            return &FIXED[i];
    return NULL;
}

static bool is_number(const char *s)
{
    size_t n = strlen(s);
    return n > 0 && n < 17 && strspn(s, "0123456789") == n;
}

static bool is_trace(const char *s)
{
    return strlen(s) == 32 && strspn(s, "0123456789abcdef") == 32;
}

/* What stands behind a prefix; NULL: it is another one. */
static const char *behind(const char *uri, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncmp(uri, prefix, n) == 0 ? uri + n : NULL;
}

/* "en/disk-full" of a built-in runbook's path; false: it is none. */
static bool runbook_name(const struct embed_file *f, char out[RUNBOOK_NAME])
{
    const char *name = behind(f->name, RUNBOOKS), *dot = strrchr(f->name, '.');
    return name && dot && dot > name &&
           snprintf(out, RUNBOOK_NAME, "%.*s", (int)(dot - name), name) < RUNBOOK_NAME;
}

static const struct embed_file *runbook_find(const char *name)
{
    char one[RUNBOOK_NAME];
    for (const struct embed_file *f = embed_runbooks; f->name; f++)
        if (runbook_name(f, one) && strcmp(one, name) == 0)
            return f;
    return NULL;
}

bool server__uri_known(const char *uri)
{
    const char *rest;
    return fixed_find(uri) || ((rest = behind(uri, "evidence://entry/")) && is_number(rest)) ||
           ((rest = behind(uri, "evidence://trace/")) && is_trace(rest)) ||
           ((rest = behind(uri, "runbook://")) && runbook_find(rest));
}

/* ---- lists ---- */

static json_t *row(const char *key, const char *uri, const char *name, const char *type)
{
    json_t *r = json_object();
    json_puts(r, key, uri);
    json_puts(r, "name", name);
    json_puts(r, "mimeType", type);
    return r;
}

void server__resources_list(struct call *c)
{
    json_t *rows = json_array();
    char name[RUNBOOK_NAME];
    for (size_t i = 0; i < FIXED_COUNT; i++) {
        const struct fixed *f = &FIXED[i];
        json_t *r = row("uri", f->uri, f->name,
                        f->method == WIRE_COUNT ? "text/plain" : "application/json");
        if (c->revision >= REV_2025_06)
            json_puts(r, "title", f->title);
        json_puts(r, "description", f->text);
        json_array_append_new(rows, r);
    }
    for (const struct embed_file *f = embed_runbooks; f->name; f++) {
        if (!runbook_name(f, name))
            continue;
        char *uri = xasprintf("runbook://%s", name);
        json_t *r = row("uri", uri, name, "text/markdown");
        json_puts(r, "description", "A runbook that the copilot searches");
        json_puti(r, "size", (int64_t)f->size);
        json_array_append_new(rows, r);
        free(uri);
    }
    server__page(c, "resources", rows);
}

void server__templates_list(struct call *c)
{
    static const char *const ALL[][4] = {
        {"evidence://entry/{seq}", "entry", "An entry of the log, with its payload",
         "application/json"},
        {"evidence://trace/{trace_id}", "trace", "An answer: candidates, sources, verdict",
         "application/json"},
        {"runbook://{lang}/{name}", "runbook", "A built-in runbook", "text/markdown"}};
    json_t *rows = json_array();
    for (size_t i = 0; i < sizeof ALL / sizeof *ALL; i++) {
        json_t *r = row("uriTemplate", ALL[i][0], ALL[i][1], ALL[i][3]);
        json_puts(r, "description", ALL[i][2]);
        json_array_append_new(rows, r);
    }
    server__page(c, "resourceTemplates", rows);
}

/* ---- reading ---- */

static const char *uri_of(const struct call *c)
{
    return json_str(c->params, "uri", "");
}

static void answer_text(struct call *c, const char *type, const char *text)
{
    json_t *result = json_object(), *contents = json_array(), *one = json_object();
    json_puts(one, "uri", uri_of(c));
    json_puts(one, "mimeType", type);
    json_puts(one, "text", text);
    json_array_append_new(contents, one);
    json_put(result, "contents", contents);
    server__answer(c, result);
}

static void fail_missing(struct call *c)
{
    json_t *data = json_object();
    json_puts(data, "uri", uri_of(c));
    server__fail(c, c->revision == REV_2026_07 ? RPC_PARAMS : RPC_NO_RESOURCE, data,
                 "there is no such resource");
}

static void fail_bus(struct call *c, const struct error *e)
{
    if (e->code == ERR_NOT_FOUND)
        fail_missing(c);
    else
        server__fail(c, RPC_BUSY, NULL, "%s: %s", err_name(e->code), err_words(e));
}

static void on_read(void *arg, const json_t *result, const struct error *e)
{
    struct call *c = arg;
    if (!c->over && result) {
        json_t *shaped = c->shape ? c->shape(c, result) : json_deep_copy(result);
        char *text = json_dumps(shaped, JSON_INDENT(2));
        json_decref(shaped);
        answer_text(c, "application/json", text);
        free(text);
    } else if (!c->over) {
        fail_bus(c, e);
    }
    server__release(c);
}

static void on_note(void *arg, const json_t *result, const struct error *e)
{
    struct call *c = arg;
    const char *note = json_str(result, "checkpoint", NULL);
    if (!c->over && note)
        answer_text(c, "text/plain", note);
    else if (!c->over && result)
        fail_missing(c);
    else if (!c->over)
        fail_bus(c, e);
    server__release(c);
}

/* The newest checkpoint comes with the proof of the last entry that it covers. */
static void on_signed(void *arg, const json_t *result, const struct error *e)
{
    struct call *c = arg;
    const json_t *chain = json_object_get(result, "chain");
    int64_t covered = json_int(chain, "signed", -1), base = json_int(chain, "base", 0);
    if (!c->over && result && covered > base) {
        json_t *params = json_object();
        json_puti(params, "seq", covered - 1);
        server__wire(c, WIRE_evidence_proof, params, on_note);
    } else if (!c->over && result) {
        fail_missing(c); /* nothing was signed yet */
    } else if (!c->over) {
        fail_bus(c, e);
    }
    server__release(c);
}

static void read_one(struct call *c, enum wire_method m, const char *key, const char *value)
{
    json_t *params = json_object();
    if (m == WIRE_evidence_get) {
        c->shape = server__shape_entry;
        json_puti(params, key, strtoll(value, NULL, 10));
        json_put(params, "payload", json_boolean(c->server->role >= BUS_REVIEWER));
    } else {
        json_puts(params, key, value);
    }
    server__wire(c, m, params, on_read);
}

void server__resources_read(struct call *c)
{
    const char *uri = uri_of(c), *rest;
    const struct fixed *f = fixed_find(uri);
    if (!json_is_string(json_object_get(c->params, "uri")))
        server__fail(c, RPC_PARAMS, NULL, "uri is missing");
    else if (f && f->method == WIRE_COUNT)
        server__wire(c, WIRE_status_get, NULL, on_signed);
    else if (f)
        server__wire(c, f->method, NULL, on_read);
    else if ((rest = behind(uri, "evidence://entry/")) && is_number(rest))
        read_one(c, WIRE_evidence_get, "seq", rest);
    else if ((rest = behind(uri, "evidence://trace/")) && is_trace(rest))
        read_one(c, WIRE_traces_get, "trace_id", rest);
    else if ((rest = behind(uri, "runbook://")) && runbook_find(rest))
        answer_text(c, "text/markdown", runbook_find(rest)->data);
    else
        fail_missing(c);
}

/* ---- changes ---- */

void server__subscribe(struct call *c)
{
    const char *uri = uri_of(c);
    if (!server__uri_known(uri)) {
        fail_missing(c);
    } else if (json_object_size(c->peer->uris) >= SERVER_URIS) {
        server__fail(c, RPC_BUSY, NULL, "over %d subscriptions", SERVER_URIS);
    } else {
        json_put(c->peer->uris, uri, json_true());
        server__answer(c, json_object());
    }
}

void server__unsubscribe(struct call *c)
{
    json_object_del(c->peer->uris, uri_of(c));
    server__answer(c, json_object());
}

static json_t *with_subscription(struct call *c)
{
    json_t *params = json_object(), *meta = json_object();
    json_put(meta, "io.modelcontextprotocol/subscriptionId", json_incref(c->id));
    json_put(params, "_meta", meta);
    return params;
}

/* Lists change with the program only: what is agreed to are changes of resources. */
void server__listen(struct call *c)
{
    const json_t *asked = json_object_get(c->params, "notifications");
    json_t *uris = json_object_get(asked, "resourceSubscriptions"), *uri, *agreed = json_object();
    json_t *list = json_array(), *params;
    size_t i;
    if (!json_is_object(asked)) {
        json_decref(agreed);
        json_decref(list);
        server__fail(c, RPC_PARAMS, NULL, "notifications is missing");
        return;
    }
    c->filter = json_object();
    json_array_foreach(uris, i, uri)
    {
        const char *text = json_is_string(uri) ? json_string_value(uri) : "";
        if (i >= SERVER_URIS || !server__uri_known(text) || json_object_get(c->filter, text))
            continue;
        json_put(c->filter, text, json_true());
        json_array_append(list, uri);
    }
    if (json_array_size(list))
        json_object_set(agreed, "resourceSubscriptions", list);
    json_decref(list);
    params = with_subscription(c);
    json_put(params, "notifications", agreed);
    server__notify(c, "notifications/subscriptions/acknowledged", params);
}

void server__touch(struct server *s, const char *uri)
{
    if (!json_object_size(s->changed))
        loop_timer_start(s->tell, TELL_MS, 0);
    json_put(s->changed, uri, json_true());
}

void server__tell(void *server)
{
    struct server *s = server;
    const char *uri;
    json_t *unused;
    struct peer *p;
    struct call *c;
    json_object_foreach(s->changed, uri, unused)
    {
        TAILQ_FOREACH(p, &s->peers, link)
        {
            if (!json_object_get(p->uris, uri))
                continue;
            json_t *message = json_object(), *params = json_object();
            json_puts(params, "uri", uri);
            json_puts(message, "jsonrpc", "2.0");
            json_puts(message, "method", "notifications/resources/updated");
            json_put(message, "params", params);
            p->ops->send(p, NULL, message, false);
        }
        TAILQ_FOREACH(c, &s->calls, link)
        {
            if (c->over || !c->filter || !json_object_get(c->filter, uri))
                continue;
            json_t *params = with_subscription(c);
            json_puts(params, "uri", uri);
            server__notify(c, "notifications/resources/updated", params);
        }
    }
    json_object_clear(s->changed);
}
