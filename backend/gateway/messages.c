/* Requests in the form of OpenAI's chat. */
#include "backend/gateway/upstream.h"
#include <stdlib.h>
#include <string.h>

static json_t *message(const char *role, const char *content)
{
    json_t *m = json_object();
    json_puts(m, "role", role);
    json_puts(m, "content", content);
    return m;
}

/* The call that a message answers, and where it was made. */
static const json_t *answered_call(const struct gw_request *r, size_t at)
{
    const char *id = r->messages[at].tool_call_id;
    for (size_t i = at; id && i-- > 0;) {
        const json_t *call;
        size_t k;
        json_array_foreach((json_t *)r->messages[i].tool_calls, k, call)
        {
            if (strcmp(json_str(call, "id", ""), id) == 0)
                return call;
        }
    }
    return NULL;
}

const char *gw__answered_tool(const struct gw_request *r, size_t at)
{
    return json_str(answered_call(r, at), "name", "");
}

static json_t *calls_of(const json_t *calls)
{
    json_t *out = json_array();
    const json_t *call;
    size_t i;
    json_array_foreach((json_t *)calls, i, call)
    {
        json_t *one = json_object(), *function = json_object();
        const json_t *arguments = json_object_get(call, "arguments");
        char *text = arguments ? json_write(arguments) : xstrdup("{}");
        json_puts(function, "name", json_str(call, "name", ""));
        json_puts(function, "arguments", text);
        json_puts(one, "id", json_str(call, "id", ""));
        json_puts(one, "type", "function");
        json_put(one, "function", function);
        json_array_append_new(out, one);
        free(text);
    }
    return out;
}

/* An answered function: the call in a message of its own, then its result, which has to be JSON. */
static void put_function(json_t *out, const struct gw_request *r, size_t at)
{
    const json_t *call = answered_call(r, at);
    const json_t *arguments = json_object_get(call, "arguments");
    const char *content = r->messages[at].content;
    json_t *asked = message("assistant", ""), *function = json_object();
    json_t *data = json_loads(content, 0, NULL);
    json_puts(function, "name", json_str(call, "name", ""));
    json_put(function, "arguments", arguments ? json_deep_copy(arguments) : json_object());
    json_put(asked, "function_call", function);
    json_array_append_new(out, asked);
    if (!json_is_object(data)) {
        json_decref(data);
        data = json_object();
        json_puts(data, "result", content);
    }
    char *text = json_write(data);
    json_t *m = message("function", text);
    json_puts(m, "name", json_str(call, "name", ""));
    json_array_append_new(out, m);
    json_decref(data);
    free(text);
}

static void put_message(json_t *out, const struct gw__model *model, const struct gw_request *r,
                        size_t at, bool functions)
{
    const struct gw_message *from = &r->messages[at];
    if (functions && from->tool_call_id) {
        put_function(out, r, at);
        return;
    }
    if (functions && from->tool_calls && !*from->content)
        return; /* they stand with their results */
    json_t *m = message(from->role, from->content);
    if (from->tool_calls && !functions)
        json_put(m, "tool_calls", calls_of(from->tool_calls));
    const json_t *thought = json_object_get(from->thinking, "text");
    if (thought && model->form.thinking &&
        strcmp(json_str(from->thinking, "by", ""), model->pub.model) == 0)
        json_object_set(m, model->form.thinking, (json_t *)thought);
    if (from->tool_call_id)
        json_puts(m, "tool_call_id", from->tool_call_id);
    json_array_append_new(out, m);
}

/* What the system says, with words behind it; some models take one such message only, in front. */
static void add_words(json_t *messages, const char *words)
{
    json_t *first = json_array_get(messages, 0);
    if (strcmp(json_str(first, "role", ""), "system") != 0) {
        json_array_insert_new(messages, 0, message("system", words));
        return;
    }
    char *both = xasprintf("%s\n\n%s", json_str(first, "content", ""), words);
    json_puts(first, "content", both);
    free(both);
}

json_t *gw__messages(const struct gw__model *model, const struct gw_request *r, bool functions,
                     const char *words)
{
    json_t *messages = json_array();
    for (size_t i = 0; i < r->message_count; i++)
        put_message(messages, model, r, i, functions);
    if (!r->message_count)
        json_array_append_new(messages, message("user", r->question));
    if (words)
        add_words(messages, words);
    return messages;
}

json_t *gw__tools(const json_t *tools, bool functions)
{
    json_t *out = json_array();
    const json_t *tool;
    size_t i;
    json_array_foreach((json_t *)tools, i, tool)
    {
        json_t *function = json_object();
        const json_t *parameters = json_object_get(tool, "parameters");
        json_puts(function, "name", json_str(tool, "name", ""));
        json_puts(function, "description", json_str(tool, "description", ""));
        json_put(function, "parameters",
                 parameters ? json_deep_copy(parameters)
                            : json_pack("{s:s, s:{}}", "type", "object", "properties"));
        if (functions) {
            json_array_append_new(out, function);
            continue;
        }
        json_t *one = json_object();
        json_puts(one, "type", "function");
        json_put(one, "function", function);
        json_array_append_new(out, one);
    }
    return out;
}

char *gw__json_words(const struct gw_request *r, bool schema)
{
    if (!r->json_schema || !schema)
        return xstrdup("Answer with one JSON object and nothing else: no Markdown, no comment.");
    char *text = json_write(r->json_schema);
    char *words =
        xasprintf("Answer with one JSON object and nothing else: no Markdown, no comment. "
                  "It has to fit this JSON schema: %s",
                  text);
    free(text);
    return words;
}
