/* Prompts, a file of server/prompts each, and completion of their arguments and of templates. */
#include "backend/base/embed.h"
#include "server/internal.h"
#include <stdlib.h>
#include <string.h>

enum { ARGUMENT_MAX = 4096, VALUES = 100 };

void server__prompts_load(struct server *s)
{
    struct error e = {0};
    s->prompts = json_array();
    for (const struct embed_file *f = embed_mcp; f->name; f++) {
        if (strncmp(f->name, "server/prompts/", 15) != 0)
            continue;
        json_t *prompt = json_read(f->data, f->size, SERVER_MESSAGE, SERVER_DEPTH, &e);
        BUG_IF(!prompt);
        json_array_append_new(s->prompts, prompt);
    }
}

void server__prompts_list(struct call *c)
{
    json_t *rows = json_array(), *prompt;
    size_t i;
    json_array_foreach(c->server->prompts, i, prompt)
    {
        json_t *row = json_copy(prompt);
        json_object_del(row, "text");
        if (c->revision < REV_2025_06)
            json_object_del(row, "title");
        json_array_append_new(rows, row);
    }
    server__page(c, "prompts", rows);
}

static const json_t *prompt_find(const struct server *s, const char *name)
{
    json_t *prompt;
    size_t i;
    json_array_foreach(s->prompts, i,
                       prompt) if (strcmp(json_str(prompt, "name", ""), name) == 0) return prompt;
    return NULL;
}

/* {name} in the text becomes the argument, or nothing; what arguments hold is not looked at. */
static char *fill(const json_t *prompt, const json_t *arguments)
{
    struct buf out = {0};
    const char *at = json_str(prompt, "text", ""), *open;
    while ((open = strchr(at, '{'))) {
        const char *close = strchr(open, '}');
        BUG_IF(!close);
        char *name = xstrndup(open + 1, (size_t)(close - open - 1));
        buf_add(&out, at, (size_t)(open - at));
        buf_adds(&out, json_str(arguments, name, ""));
        free(name);
        at = close + 1;
    }
    buf_adds(&out, at);
    return buf_take(&out);
}

static bool check_arguments(struct call *c, const json_t *prompt, const json_t *arguments)
{
    json_t *one, *value;
    const char *key;
    size_t i;
    json_array_foreach(json_object_get(prompt, "arguments"), i, one)
    {
        const char *name = json_str(one, "name", "");
        if (json_flag(one, "required", false) && !*json_str(arguments, name, "")) {
            server__fail(c, RPC_PARAMS, NULL, "the argument %s is missing", name);
            return false;
        }
    }
    json_object_foreach((json_t *)arguments, key, value)
    {
        if (!json_is_string(value) || json_string_length(value) > ARGUMENT_MAX) {
            server__fail(c, RPC_PARAMS, NULL, "the argument %.100s is no text of at most %d bytes",
                         key, ARGUMENT_MAX);
            return false;
        }
    }
    return true;
}

void server__prompts_get(struct call *c)
{
    const char *name = json_str(c->params, "name", "");
    const json_t *prompt = prompt_find(c->server, name),
                 *arguments = json_object_get(c->params, "arguments");
    if (!prompt) {
        server__fail(c, RPC_PARAMS, NULL, "there is no prompt %.100s", name);
        return;
    }
    if (!check_arguments(c, prompt, arguments))
        return;
    char *text = fill(prompt, arguments);
    json_t *result = json_object(), *messages = json_array(), *message = json_object(),
           *content = json_object();
    json_puts(content, "type", "text");
    json_puts(content, "text", text);
    json_puts(message, "role", "user");
    json_put(message, "content", content);
    json_array_append_new(messages, message);
    json_puts(result, "description", json_str(prompt, "description", ""));
    json_put(result, "messages", messages);
    free(text);
    server__answer(c, result);
}

/* ---- completion ---- */

static void answer_values(struct call *c, json_t *values)
{
    json_t *result = json_object(), *completion = json_object();
    json_put(completion, "values", values);
    json_puti(completion, "total", (int64_t)json_array_size(values));
    json_put(completion, "hasMore", json_false());
    json_put(result, "completion", completion);
    server__answer(c, result);
}

static const char *typed(const struct call *c)
{
    return json_str(json_object_get(c->params, "argument"), "value", "");
}

static void add(struct call *c, json_t *values, const char *value)
{
    if (*value && strncmp(value, typed(c), strlen(typed(c))) == 0 &&
        json_array_size(values) < VALUES)
        json_array_append_new(values, json_string(value));
}

static void on_rows(void *arg, const json_t *result, const struct error *e)
{
    struct call *c = arg;
    json_t *values = json_array(), *rows, *row;
    const char *list;
    size_t i;
    (void)e; /* what cannot be looked up is not suggested */
    json_object_foreach((json_t *)result, list, rows)
    {
        json_array_foreach(rows, i, row)
        {
            char seq[32] = "";
            if (strcmp(list, "entries") == 0)
                snprintf(seq, sizeof seq, "%lld", (long long)json_int(row, "seq", 0));
            add(c, values,
                *seq                              ? seq
                : strcmp(list, "connectors") == 0 ? json_str(row, "name", "")
                                                  : json_str(row, "trace_id", ""));
        }
    }
    if (c->over)
        json_decref(values);
    else
        answer_values(c, values);
    server__release(c);
}

static void complete_runbook(struct call *c, bool lang)
{
    json_t *values = json_array();
    for (const struct embed_file *f = embed_runbooks; f->name; f++) {
        const char *name = strrchr(f->name, '/') + 1, *dot = strrchr(name, '.');
        char *whole = xstrndup(name, dot ? (size_t)(dot - name) : strlen(name));
        if (!lang)
            add(c, values, whole);
        free(whole);
    }
    if (lang) {
        add(c, values, "en");
        add(c, values, "ru");
    }
    answer_values(c, values);
}

void server__complete(struct call *c)
{
    enum { RECENT = 200 };
    const json_t *ref = json_object_get(c->params, "ref");
    const char *type = json_str(ref, "type", ""), *uri = json_str(ref, "uri", ""),
               *argument = json_str(json_object_get(c->params, "argument"), "name", NULL);
    bool prompt = strcmp(type, "ref/prompt") == 0, resource = strcmp(type, "ref/resource") == 0;
    if (!argument || (!prompt && !resource) ||
        (prompt && !prompt_find(c->server, json_str(ref, "name", "")))) {
        server__fail(c, RPC_PARAMS, NULL,
                     "ref and argument name a prompt's argument, or a "
                     "template's");
        return;
    }
    json_t *params = json_object();
    json_puti(params, "limit", RECENT);
    if (strcmp(argument, "trace_id") == 0) {
        server__wire(c, WIRE_traces_list, params, on_rows);
    } else if (resource && strcmp(argument, "seq") == 0) {
        server__wire(c, WIRE_evidence_list, params, on_rows);
    } else {
        json_decref(params);
        if (strcmp(argument, "connector") == 0)
            server__wire(c, WIRE_connectors_list, NULL, on_rows);
        else if (resource && strncmp(uri, "runbook://", 10) == 0)
            complete_runbook(c, strcmp(argument, "lang") == 0);
        else
            answer_values(c, json_array());
    }
}
