/* Anthropic's Messages, POST {url}/messages: named server-sent events; a message is a list of
 * blocks (text, thinking, tool_use) that come one after the other in deltas. message_start brings
 * the input's usage, message_delta the end's reason and the output's usage, message_stop ends it.
 * The shapes are those of @anthropic-ai/sdk 1.14, resources/messages. */
#include "backend/gateway/upstream.h"
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 64, SHOWN = 1000, OUTPUT_TOKENS = 4096 };

/* ---- the answer */

/* The parts of usage come apart, and each is what is known so far. The count of the output that
 * message_start has is none. */
static void take_usage(struct gw__try *t, const json_t *usage, bool last)
{
    const char *key;
    json_t *value;
    if (!json_is_object(usage))
        return;
    if (!t->raw_usage)
        t->raw_usage = json_object();
    json_object_foreach((json_t *)usage, key, value)
    {
        if (!json_is_null(value) && (last || strncmp(key, "output_tokens", 13) != 0))
            json_object_set_new(t->raw_usage, key, json_deep_copy(value));
    }
    const json_t *all = t->raw_usage;
    int64_t fresh = gw__count(all, "input_tokens");
    t->cached_tokens = gw__count(all, "cache_read_input_tokens");
    t->cache_write_tokens = gw__count(all, "cache_creation_input_tokens");
    t->input_tokens = fresh < 0 ? -1
                                : fresh + (t->cached_tokens > 0 ? t->cached_tokens : 0) +
                                      (t->cache_write_tokens > 0 ? t->cache_write_tokens : 0);
    t->output_tokens = gw__count(all, "output_tokens");
    t->reasoning_tokens =
        gw__count(json_object_get(all, "output_tokens_details"), "thinking_tokens");
}

static void take_error(struct gw__try *t, const json_t *event)
{
    const char *type = json_str(json_object_get(event, "error"), "type", "");
    bool busy = strcmp(type, "overloaded_error") == 0 || strcmp(type, "rate_limit_error") == 0;
    const char *words = gw__error_words(event);
    gw__upstream_fail(t, busy ? ERR_OVERLOADED : ERR_UPSTREAM,
                      *words ? words : "an error without a message");
}

/* A block's beginning, or a whole block. */
static bool take_block(struct gw__try *t, int64_t index, const json_t *block, bool whole)
{
    const char *type = json_str(block, "type", "");
    const char *text = json_str(block, "text", ""), *thinking = json_str(block, "thinking", "");
    const char *data = json_str(block, "data", ""), *signature = json_str(block, "signature", "");
    if (!gw__block_begin(t, index, type))
        return false;
    if (strcmp(type, "tool_use") == 0) {
        const char *id = json_str(block, "id", ""), *name = json_str(block, "name", "");
        return whole ? gw__call_whole(t, index, id, name, json_object_get(block, "input"))
                     : gw__call_piece(t, index, id, name, "", 0);
    }
    if (strcmp(type, "redacted_thinking") == 0)
        return gw__block_thinking(t, index, data, strlen(data));
    return gw__reasoning(t, thinking, strlen(thinking)) &&
           gw__block_thinking(t, index, thinking, strlen(thinking)) &&
           gw__block_signature(t, index, signature, strlen(signature)) &&
           gw__delta(t, text, strlen(text));
}

static bool take_delta(struct gw__try *t, int64_t index, const json_t *delta)
{
    const char *type = json_str(delta, "type", "");
    if (strcmp(type, "text_delta") == 0) {
        const char *text = json_str(delta, "text", "");
        return gw__delta(t, text, strlen(text));
    }
    if (strcmp(type, "thinking_delta") == 0) {
        const char *text = json_str(delta, "thinking", "");
        return gw__reasoning(t, text, strlen(text)) &&
               gw__block_thinking(t, index, text, strlen(text));
    }
    if (strcmp(type, "signature_delta") == 0) {
        const char *text = json_str(delta, "signature", "");
        return gw__block_signature(t, index, text, strlen(text));
    }
    if (strcmp(type, "input_json_delta") == 0) {
        const char *text = json_str(delta, "partial_json", "");
        return gw__call_piece(t, index, NULL, NULL, text, strlen(text));
    }
    return true; /* citations, and what comes later */
}

static void take_stop(struct gw__try *t, const char *reason)
{
    struct gw__upstream *u = t->state;
    if (strcmp(reason, "refusal") == 0)
        gw__upstream_fail(t, ERR_UPSTREAM, "the provider's filter stopped the answer");
    else if (strcmp(reason, "max_tokens") == 0 ||
             strcmp(reason, "model_context_window_exceeded") == 0)
        u->reason = "length";
    else if (*reason)
        u->reason = strcmp(reason, "tool_use") == 0 ? "tool_calls" : "stop";
}

static void take_event(struct gw__try *t, const json_t *event)
{
    const struct gw__upstream *u = t->state;
    const char *type = json_str(event, "type", "");
    int64_t index = json_int(event, "index", 0);
    gw__alive(t);
    if (strcmp(type, "message_start") == 0) {
        gw__told_response(t, json_object_get(event, "message"));
        take_usage(t, json_object_get(json_object_get(event, "message"), "usage"), false);
    } else if (strcmp(type, "content_block_start") == 0) {
        take_block(t, index, json_object_get(event, "content_block"), false);
    } else if (strcmp(type, "content_block_delta") == 0) {
        take_delta(t, index, json_object_get(event, "delta"));
    } else if (strcmp(type, "message_delta") == 0) {
        take_usage(t, json_object_get(event, "usage"), true);
        take_stop(t, json_str(json_object_get(event, "delta"), "stop_reason", ""));
    } else if (strcmp(type, "message_stop") == 0) {
        gw__upstream_complete(t, u->reason ? u->reason : "stop");
    } else if (strcmp(type, "error") == 0) {
        take_error(t, event);
    } /* ping, content_block_stop, and what comes later */
}

static void take_whole(struct gw__try *t, const json_t *message)
{
    const struct gw__upstream *u = t->state;
    const json_t *block;
    size_t i;
    if (*gw__error_words(message)) {
        take_error(t, message);
        return;
    }
    gw__told_response(t, message);
    take_usage(t, json_object_get(message, "usage"), true);
    json_array_foreach(json_object_get(message, "content"), i, block)
    {
        if (!take_block(t, (int64_t)i, block, true))
            return;
    }
    take_stop(t, json_str(message, "stop_reason", ""));
    if (!t->over)
        gw__upstream_complete(t, u->reason ? u->reason : "stop");
}

static bool on_event(void *arg, const char *event, const char *data, size_t len)
{
    (void)event; /* the data says it too */
    struct gw__try *t = arg;
    const struct gw__upstream *u = t->state;
    if (gw__quick_delta(t, gw__quick_anthropic, data, len))
        return !t->over;
    json_t *value = json_read(data, len, GW__LINE_MAX, DEPTH, NULL);
    if (json_is_object(value)) {
        take_event(t, value);
    } else {
        char *text = xasprintf("an event is no JSON: %.*s", (int)(len < SHOWN ? len : SHOWN), data);
        gw__upstream_fail(t, ERR_PROTOCOL, text);
        free(text);
    }
    json_decref(value);
    return !t->over && !u->complete;
}

static enum err feed(struct gw__try *t, const char *bytes, size_t len)
{
    return gw__upstream_feed(t, bytes, len, on_event);
}

static void end(struct gw__try *t)
{
    struct gw__upstream *u = t->state;
    if (u->json) {
        json_t *message = gw__upstream_whole(t);
        if (message)
            take_whole(t, message);
        json_decref(message);
    } else if (!t->first && u->received) {
        gw__upstream_fail(t, ERR_PROTOCOL, "the response is no stream of events");
    }
}

static const struct gw__dialect dialect = {.feed = feed, .end = end};

/* ---- the request */

static void put_text(json_t *content, const char *text)
{
    if (*text) /* an empty block is refused */
        json_array_append_new(content, json_pack("{s:s, s:o}", "type", "text", "text",
                                                 json_text(text, strlen(text))));
}

/* The blocks as they came, if it was this model that thought. */
static json_t *assistant_content(const struct gw__model *model, const struct gw_message *m)
{
    json_t *kept = json_object_get(m->thinking, "content");
    if (json_is_array(kept) && strcmp(json_str(m->thinking, "by", ""), model->pub.model) == 0)
        return json_incref(kept);
    json_t *content = json_array();
    const json_t *call;
    size_t i;
    put_text(content, m->content);
    json_array_foreach((json_t *)m->tool_calls, i, call)
    {
        const json_t *arguments = json_object_get(call, "arguments");
        json_t *block = json_object();
        json_puts(block, "type", "tool_use");
        json_puts(block, "id", json_str(call, "id", ""));
        json_puts(block, "name", json_str(call, "name", ""));
        json_put(block, "input", arguments ? json_deep_copy(arguments) : json_object());
        json_array_append_new(content, block);
    }
    return content;
}

/* The results of several calls stand in one message of the user's. */
static void put_result(json_t *messages, const struct gw_message *m, bool first)
{
    json_t *block = json_object();
    json_puts(block, "type", "tool_result");
    json_puts(block, "tool_use_id", m->tool_call_id);
    json_puts(block, "content", m->content);
    if (!first) {
        json_t *last = json_array_get(messages, json_array_size(messages) - 1);
        json_array_append_new(json_object_get(last, "content"), block);
        return;
    }
    json_array_append_new(messages, json_pack("{s:s, s:[o]}", "role", "user", "content", block));
}

static json_t *messages_of(const struct gw__model *model, const struct gw_request *r,
                           struct buf *system)
{
    json_t *messages = json_array();
    bool results = false;
    for (size_t i = 0; i < r->message_count; i++) {
        const struct gw_message *m = &r->messages[i];
        bool result = m->tool_call_id != NULL;
        if (strcmp(m->role, "system") == 0) {
            buf_addf(system, "%s%s", system->len ? "\n\n" : "", m->content);
        } else if (result) {
            put_result(messages, m, !results);
        } else {
            json_t *content = assistant_content(model, m);
            bool assistant = strcmp(m->role, "assistant") == 0;
            if (json_array_size(content))
                json_array_append_new(messages, json_pack("{s:s, s:O}", "role",
                                                          assistant ? "assistant" : "user",
                                                          "content", content));
            json_decref(content);
        }
        results = result;
    }
    if (!r->message_count) {
        json_t *content = json_array();
        put_text(content, r->question);
        json_array_append_new(messages,
                              json_pack("{s:s, s:o}", "role", "user", "content", content));
    }
    return messages;
}

static void put_tools(const struct gw_request *r, json_t *body)
{
    const char *choice = r->tool_choice;
    const json_t *tool;
    size_t i;
    if (!json_array_size(r->tools))
        return;
    json_t *tools = gw__tools(r->tools, true);
    json_array_foreach(tools, i, tool)
    {
        json_t *schema = json_incref(json_object_get(tool, "parameters"));
        json_object_del((json_t *)tool, "parameters");
        json_put((json_t *)tool, "input_schema", schema);
    }
    json_put(body, "tools", tools);
    if (!choice)
        return;
    if (strcmp(choice, "auto") == 0 || strcmp(choice, "none") == 0)
        json_put(body, "tool_choice", json_pack("{s:s}", "type", choice));
    else if (strcmp(choice, "required") == 0)
        json_put(body, "tool_choice", json_pack("{s:s}", "type", "any"));
    else
        json_put(body, "tool_choice", json_pack("{s:s, s:s}", "type", "tool", "name", choice));
}

static enum err start(struct gw__try *t, struct error *e)
{
    const struct gw_request *r = t->r;
    json_t *body = json_object();
    struct buf system = {0};
    json_puts(body, "model", t->m->pub.model);
    json_puti(body, "max_tokens", t->max_output > 0 ? t->max_output : OUTPUT_TOKENS);
    json_put(body, "messages", messages_of(t->m, r, &system));
    json_put(body, "stream", json_true());
    if (r->json_mode && r->json_schema) {
        json_put(
            body, "output_config",
            json_pack("{s:{s:s, s:O}}", "format", "type", "json_schema", "schema", r->json_schema));
    } else if (r->json_mode) {
        char *words = gw__json_words(r, false);
        buf_addf(&system, "%s%s", system.len ? "\n\n" : "", words);
        free(words);
    }
    if (system.len)
        json_puts(body, "system", system.data);
    put_tools(r, body);
    buf_release(&system);
    return gw__upstream_start(t, &dialect, t->m->form.chat, body, e);
}

const struct gw__ops gw__anthropic_ops = {.start = start, .stop = gw__upstream_stop};
