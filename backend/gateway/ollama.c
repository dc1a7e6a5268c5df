/* Ollama, POST /api/chat: JSON lines {message: {content, thinking, tool_calls: [{function: {name,
 * arguments: object}}]}, done, done_reason, prompt_eval_count, eval_count}, or {error}. */
#include "backend/gateway/upstream.h"
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 32, SHOWN = 1000 };

/* Ollama's counts and times stand beside the text. */
static json_t *numbers_of(const json_t *answer)
{
    json_t *out = json_object(), *value;
    const char *key;
    json_object_foreach((json_t *)answer, key, value) if (json_is_number(value))
        json_object_set(out, key, value);
    return out;
}

static bool take_calls(struct gw__try *t, const json_t *calls)
{
    const struct gw__upstream *u = t->state;
    const json_t *one;
    size_t i;
    json_array_foreach((json_t *)calls, i, one)
    {
        const json_t *function = json_object_get(one, "function");
        if (!gw__call_whole(t, (int64_t)u->calls.count, json_str(one, "id", ""),
                            json_str(function, "name", ""), json_object_get(function, "arguments")))
            return false;
    }
    return true;
}

static void take_line(struct gw__try *t, const json_t *answer)
{
    const json_t *message = json_object_get(answer, "message");
    const char *content = json_str(message, "content", "");
    const char *thinking = json_str(message, "thinking", "");
    gw__alive(t);
    if (!gw__reasoning(t, thinking, strlen(thinking)) || !gw__text(t, content, strlen(content)) ||
        !take_calls(t, json_object_get(message, "tool_calls")) || !json_flag(answer, "done", false))
        return;
    const char *reason = json_str(answer, "done_reason", "stop");
    gw__told_response(t, answer);
    t->raw_usage = numbers_of(answer);
    t->input_tokens = gw__count(answer, "prompt_eval_count");
    t->output_tokens = gw__count(answer, "eval_count");
    gw__upstream_complete(t, strcmp(reason, "length") == 0 ? "length" : "stop");
}

static bool on_line(void *arg, const char *event, const char *line, size_t len)
{
    (void)event;
    struct gw__try *t = arg;
    const struct gw__upstream *u = t->state;
    if (gw__quick_delta(t, gw__quick_ollama, line, len))
        return !t->over;
    json_t *answer = json_read(line, len, GW__LINE_MAX, DEPTH, NULL);
    if (!json_is_object(answer)) {
        char *text = xasprintf("not a line of JSON: %.*s", (int)(len < SHOWN ? len : SHOWN), line);
        gw__upstream_fail(t, ERR_PROTOCOL, text);
        free(text);
    } else if (*gw__error_words(answer)) {
        gw__upstream_fail(t, ERR_UPSTREAM, gw__error_words(answer));
    } else {
        take_line(t, answer);
    }
    json_decref(answer);
    return !t->over && !u->complete;
}

static enum err feed(struct gw__try *t, const char *bytes, size_t len)
{
    struct gw__upstream *u = t->state;
    return gw__lines_feed(&u->lines, bytes, len, on_line, t);
}

static void end(struct gw__try *t)
{
    struct gw__upstream *u = t->state;
    gw__lines_end(&u->lines, on_line, t);
}

static const struct gw__dialect dialect = {.feed = feed, .end = end};

/* Its own form of OpenAI's messages: arguments are objects, and a result has the tool's name. */
static json_t *messages_of(const struct gw__model *model, const struct gw_request *r)
{
    json_t *messages = gw__messages(model, r, false, NULL);
    for (size_t i = 0; i < r->message_count; i++) {
        json_t *m = json_array_get(messages, i), *calls = json_array();
        const json_t *call;
        size_t k;
        json_array_foreach((json_t *)r->messages[i].tool_calls, k, call)
        {
            const json_t *arguments = json_object_get(call, "arguments");
            json_t *function = json_object(), *one = json_object();
            json_puts(function, "name", json_str(call, "name", ""));
            json_put(function, "arguments", arguments ? json_deep_copy(arguments) : json_object());
            json_put(one, "function", function);
            json_array_append_new(calls, one);
        }
        if (json_array_size(calls))
            json_object_set(m, "tool_calls", calls);
        json_decref(calls);
        if (!r->messages[i].tool_call_id)
            continue;
        json_object_del(m, "tool_call_id");
        json_puts(m, "tool_name", gw__answered_tool(r, i));
    }
    return messages;
}

static enum err start(struct gw__try *t, struct error *e)
{
    const struct gw_request *r = t->r;
    json_t *body = json_object(), *options = json_object();
    json_puts(body, "model", t->m->pub.model);
    json_put(body, "messages", messages_of(t->m, r));
    json_put(body, "stream", json_true());
    json_put(body, "options", options);
    if (t->max_output > 0)
        json_puti(options, "num_predict", t->max_output);
    /* Ollama cuts what is longer than num_ctx without a word, and its own default is small. */
    json_puti(options, "num_ctx", t->m->pub.context);
    bool none = r->tool_choice && strcmp(r->tool_choice, "none") == 0; /* it knows no choice */
    if (json_array_size(r->tools) && !none)
        json_put(body, "tools", gw__tools(r->tools, false));
    if (r->json_mode)
        json_put(body, "format",
                 r->json_schema ? json_deep_copy(r->json_schema) : json_string("json"));
    return gw__upstream_start(t, &dialect, "/api/chat", body, e);
}

const struct gw__ops gw__ollama_ops = {.start = start, .stop = gw__upstream_stop};
