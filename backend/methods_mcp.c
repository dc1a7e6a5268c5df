/* Methods for what MCP servers offer besides tools, and for what they ask of people: resources,
 * prompts, elicitation. What is read of a server is logged like a call of a tool: before it is
 * asked, and with what came. What a person types into a form goes to the server that asked and
 * nowhere else: the log has the names of the fields, not what stands in them. */
#include "backend/base/clock.h"
#include "backend/connectors/mcp_client.h"
#include "backend/methods.h"
#include <stdlib.h>
#include <string.h>

enum { ASK_MS = 30000, BLOB_MAX = 256 * 1024, TEXT_MAX = 1 << 20 };

/* ---- lists */

static void reply_offers(struct bus_call *c, struct backend *b, const char *first,
                         const char *second)
{
    const char *connector;
    struct error e = {0};
    if (!method_text(c, "connector", true, &connector))
        return;
    json_t *offers = conn_offers(b->conn, connector, &e);
    json_t *result = offers ? json_object() : NULL;
    if (offers) {
        const json_t *errors = json_object_get(offers, "errors");
        json_put(result, first, json_incref(json_object_get(offers, first)));
        if (second)
            json_put(result, second, json_incref(json_object_get(offers, second)));
        if (second)
            json_put(result, "subscribed", json_incref(json_object_get(offers, "subscribed")));
        json_puts(result, "error", json_str(errors, first, ""));
    }
    json_decref(offers);
    method_answer(c, result, &e);
}

void on_resources_list(struct bus_call *c, void *arg)
{
    reply_offers(c, arg, "resources", "templates");
}

void on_prompts_list(struct bus_call *c, void *arg)
{
    reply_offers(c, arg, "prompts", NULL);
}

/* ---- asking: logged, asked when that is durable, the answer logged, then told */

struct asking {
    struct backend *backend;
    struct bus_call *call;
    const char *method; /* MCP's */
    char *connector, *actor;
    json_t *params, *result;
    int64_t call_entry;
};

static void asking_free(struct asking *a)
{
    free(a->connector);
    free(a->actor);
    json_decref(a->params);
    json_decref(a->result);
    free(a);
}

/* What is larger than a screen and a reply can hold is cut, and says so. */
static void cap_content(json_t *part)
{
    const char *blob = json_string_value(json_object_get(part, "blob"));
    const char *text = json_string_value(json_object_get(part, "text"));
    if (blob) {
        size_t len = strlen(blob);
        json_puti(part, "bytes", (int64_t)(len / 4 * 3));
        if (len > BLOB_MAX) {
            json_put(part, "blob", json_null());
            json_put(part, "cut", json_true());
        }
    }
    if (text && strlen(text) > TEXT_MAX) {
        json_puti(part, "bytes", (int64_t)strlen(text));
        json_put(part, "text", json_text(text, TEXT_MAX));
        json_put(part, "cut", json_true());
    }
}

static void cap_result(json_t *result)
{
    json_t *one;
    size_t i;
    json_array_foreach(json_object_get(result, "contents"), i, one) cap_content(one);
    json_array_foreach(json_object_get(result, "messages"), i, one)
    {
        json_t *content = json_object_get(one, "content");
        cap_content(content);
        cap_content(json_object_get(content, "resource"));
    }
}

static int64_t asking_log(struct asking *a, const char *type, json_t *payload,
                          const struct prov_edge *parent, prov_done *done)
{
    json_puts(payload, "connector", a->connector);
    json_puts(payload, "tool", a->method);
    return backend__log_tagged(a->backend, type, a->actor, payload, parent, done, a);
}

static void asking_told(void *arg, int64_t seq, const struct error *e)
{
    struct asking *a = arg;
    if (e->code == ERR_OK) {
        json_puti(a->result, "entry", seq);
        backend__mark_steering(a->result, json_object_get(a->result, "contents"));
        backend__mark_steering(a->result, json_object_get(a->result, "messages"));
        bus_reply(a->call, json_incref(a->result));
    } else {
        bus_fail(a->call, e);
    }
    asking_free(a);
}

static void asking_ready(void *arg, const struct orch_ready *ready)
{
    struct asking *a = arg;
    if (ready->error.code != ERR_OK) {
        bus_fail(a->call, &ready->error);
        asking_free(a);
        return;
    }
    const struct prov_edge parent = {a->call_entry, "call", -1};
    struct prov_entry entry = {.type = "tool.result",
                               .actor = a->actor,
                               .pii_tags = ready->tags,
                               .parents = &parent,
                               .parent_count = 1,
                               .prepared = ready->payload};
    a->result = json_incref(ready->answer);
    cap_result(a->result);
    prov_append(a->backend->prov, &entry, asking_told, a, NULL, NULL);
}

static void asking_answered(void *arg, const json_t *result, const struct error *e)
{
    struct asking *a = arg;
    json_t *payload = json_object();
    json_put(payload, "ok", json_boolean(result != NULL));
    if (result) { /* the log has it whole, the answer what a screen and a reply can hold */
        json_puts(payload, "connector", a->connector);
        json_puts(payload, "tool", a->method);
        json_put(payload, "content", json_incref((json_t *)result));
        orch_prepare(a->backend->orch, payload, json_copy((json_t *)result), asking_ready, a);
        return;
    }
    json_puts(payload, "error", e->detail);
    const struct prov_edge parent = {a->call_entry, "call", -1};
    bus_fail(a->call, e);
    a->call = NULL;
    asking_log(a, "tool.result", payload, &parent, NULL);
    asking_free(a);
}

static void asking_logged(void *arg, int64_t seq, const struct error *e)
{
    struct asking *a = arg;
    struct error why = *e;
    a->call_entry = seq;
    if (a->backend->stopping)
        err_set(&why, ERR_CLOSED, "the console is stopping");
    if (why.code == ERR_OK && conn_ask(a->backend->conn, a->connector, a->method, a->params, ASK_MS,
                                       asking_answered, a, &why))
        return;
    bus_fail(a->call, &why);
    asking_free(a);
}

/* params is taken. */
static void ask_logged(struct bus_call *c, struct backend *b, const char *method,
                       const char *connector, json_t *params)
{
    struct asking *a = xcalloc(1, sizeof *a);
    *a = (struct asking){.backend = b,
                         .call = c,
                         .method = method,
                         .connector = xstrdup(connector),
                         .actor = xstrdup(bus_role_name(bus_session(c)->role)),
                         .params = params};
    json_t *payload = json_object();
    json_put(payload, "arguments", json_incref(params));
    json_puts(payload, "why", "asked by hand");
    asking_log(a, "tool.call", payload, NULL, asking_logged);
}

static void ask_about(struct bus_call *c, struct backend *b, const char *method, const char *key)
{
    const char *connector, *what;
    if (!method_text(c, "connector", true, &connector) || !method_text(c, key, true, &what))
        return;
    json_t *params = json_object(), *arguments = json_object_get(bus_params(c), "arguments");
    json_puts(params, key, what);
    if (json_is_object(arguments))
        json_put(params, "arguments", json_deep_copy(arguments));
    ask_logged(c, b, method, connector, params);
}

void on_resources_read(struct bus_call *c, void *arg)
{
    ask_about(c, arg, "resources/read", "uri");
}

void on_resources_subscribe(struct bus_call *c, void *arg)
{
    bool off = json_flag(bus_params(c), "off", false);
    ask_about(c, arg, off ? "resources/unsubscribe" : "resources/subscribe", "uri");
}

void on_prompts_get(struct bus_call *c, void *arg)
{
    ask_about(c, arg, "prompts/get", "name");
}

/* Completion runs with every key: it is not logged, and reads nothing but words. */
static void complete_answered(void *arg, const json_t *result, const struct error *e)
{
    const json_t *completion = json_object_get(result, "completion");
    json_t *values = json_array(), *answer = json_object(), *one;
    size_t i;
    json_array_foreach(json_object_get(completion, "values"), i, one)
    {
        if (json_is_string(one) && json_string_length(one) <= 1024 && json_array_size(values) < 100)
            json_array_append(values, one);
    }
    json_put(answer, "values", values);
    json_put(answer, "more", json_boolean(json_flag(completion, "hasMore", false)));
    if (!result) {
        json_decref(answer);
        answer = NULL;
    }
    method_answer(arg, answer, e);
}

void on_prompts_complete(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *connector, *name, *argument, *value, *uri;
    struct error e = {0};
    if (!method_text(c, "connector", true, &connector) || !method_text(c, "name", false, &name) ||
        !method_text(c, "uri_template", false, &uri) ||
        !method_text(c, "argument", true, &argument) || !method_text(c, "value", true, &value))
        return;
    if (!name == !uri) {
        err_set(&e, ERR_INVALID, "either name or uri_template is required");
        bus_fail(c, &e);
        return;
    }
    json_t *params = json_object(), *ref = json_object(), *about = json_object();
    json_puts(ref, "type", name ? "ref/prompt" : "ref/resource");
    json_puts(ref, name ? "name" : "uri", name ? name : uri);
    json_puts(about, "name", argument);
    json_puts(about, "value", value);
    json_put(params, "ref", ref);
    json_put(params, "argument", about);
    json_t *others = json_object_get(bus_params(c), "arguments");
    if (json_is_object(others)) {
        json_t *context = json_object();
        json_put(context, "arguments", json_deep_copy(others));
        json_put(params, "context", context);
    }
    enum { COMPLETE_MS = 3000 };
    if (!conn_ask(b->conn, connector, "completion/complete", params, COMPLETE_MS, complete_answered,
                  c, &e))
        bus_fail(c, &e);
    json_decref(params);
}

/* ---- what servers ask of people */

void on_elicit_list(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    json_t *result = json_object();
    json_put(result, "questions", conn_questions(b->conn));
    bus_reply(c, result);
}

struct answering {
    struct backend *backend;
    struct bus_call *call;
    char *id, *action;
    json_t *content;
};

static void answer_logged(void *arg, int64_t seq, const struct error *e)
{
    struct answering *a = arg;
    struct error why = *e;
    if (a->backend->stopping)
        err_set(&why, ERR_CLOSED, "the console is stopping");
    if (why.code == ERR_OK &&
        conn_question_answer(a->backend->conn, a->id, a->action, a->content, &why) == ERR_OK) {
        json_t *result = json_object();
        json_puti(result, "entry", seq);
        bus_reply(a->call, result);
    } else {
        bus_fail(a->call, &why);
    }
    free(a->id);
    free(a->action);
    json_decref(a->content);
    free(a);
}

void on_elicit_answer(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *id, *action, *name;
    if (!method_text(c, "id", true, &id) || !method_text(c, "action", true, &action))
        return;
    struct answering *a = xcalloc(1, sizeof *a);
    json_t *content = json_object_get(bus_params(c), "content"), *one;
    *a = (struct answering){b, c, xstrdup(id), xstrdup(action),
                            json_is_object(content) ? json_deep_copy(content) : NULL};
    json_t *payload = json_object(), *fields = json_array();
    json_object_foreach(content, name, one)
        json_array_append_new(fields, json_text(name, strlen(name)));
    json_puts(payload, "id", id);
    json_puts(payload, "action", action);
    json_put(payload, "fields", fields);
    struct prov_entry entry = {
        .type = "elicit", .actor = bus_role_name(bus_session(c)->role), .payload = payload};
    prov_append(b->prov, &entry, answer_logged, a, NULL, NULL);
    json_decref(payload);
}

/* ---- what servers tell and ask, as events and entries */

static void on_question(void *arg, const json_t *row)
{
    struct backend *b = arg;
    if (b->stopping)
        return;
    const char *state = json_str(row, "state", "");
    bool person = strcmp(state, "accept") == 0 || strcmp(state, "decline") == 0;
    if (!person) { /* a person's answer is in the log already */
        struct prov_entry entry = {.type = "elicit", .actor = "backend", .payload = (json_t *)row};
        prov_append(b->prov, &entry, NULL, NULL, NULL, NULL);
    }
    bus_event_for(b->bus, BUS_OPERATOR, BUS_OPERATOR, "elicit", (json_t *)row);
}

static void tell_line(struct backend *b, const char *type, const char *connector, const char *key,
                      const char *text, json_t *more)
{
    json_t *data = more ? more : json_object();
    json_puts(data, "connector", connector);
    json_puts(data, key, text);
    if (!b->stopping)
        bus_event_for(b->bus, BUS_REVIEWER, BUS_OPERATOR, type, data);
    json_decref(data);
}

static void on_progress(void *arg, const char *connector, const char *tool, double progress,
                        double total, const char *message)
{
    json_t *data = json_object();
    json_puts(data, "message", message);
    json_put(data, "progress", json_real(progress));
    json_put(data, "total", total < 0 ? json_null() : json_real(total));
    tell_line(arg, "progress", connector, "tool", tool, data);
}

static void on_resource(void *arg, const char *connector, const char *uri)
{
    tell_line(arg, "resource", connector, "uri", uri, NULL);
}

const struct conn_host backend__mcp_host = {.question = on_question,
                                            .sample = backend__sample,
                                            .progress = on_progress,
                                            .resource = on_resource};
