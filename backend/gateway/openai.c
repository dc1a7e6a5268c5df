/* Any OpenAI-compatible server, POST {url}/chat/completions: server-sent events with chunks
 * {choices: [{delta: {content, reasoning_content, tool_calls}, finish_reason}], usage}, then
 * "[DONE]". A server that answers with one JSON object although a stream was asked for is
 * understood too. What differs from provider to provider in a request is in struct gw__form; what
 * differs in answers is understood wherever it comes from. */
#include "backend/gateway/upstream.h"
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 32, SHOWN = 1000 };

static const struct {
    const char *finish, *reason; /* as gw_result has it, or NULL: */
    const char *why;             /* it is an error */
} ends[] = {
    {"stop", "stop", NULL},
    {"eos", "stop", NULL},
    {"length", "length", NULL},
    {"max_tokens", "length", NULL},
    {"tool_calls", "tool_calls", NULL},
    {"function_call", "tool_calls", NULL},
    {"content_filter", NULL, "the provider's content filter stopped the answer"},
    {"blacklist", NULL, "the provider does not answer on this topic"},
    {"insufficient_system_resource", NULL, "the provider ran out of resources within the answer"},
    {"error", NULL, "the provider ended the answer with an error"},
    {"abort", NULL, "the server aborted the answer"},
};

static void take_finish(struct gw__try *t, const char *finish)
{
    struct gw__upstream *u = t->state;
    if (!*finish)
        return;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (strcmp(ends[i].finish, finish) != 0)
            continue;
        u->reason = ends[i].reason;
        if (ends[i].why)
            gw__upstream_fail(t, ERR_UPSTREAM, ends[i].why);
        return;
    }
    u->reason = "stop";
}

/* Groq puts it under x_groq; what a cache gave has a name at each provider, and GigaChat does not
 * count it among the prompt's. */
static void take_usage(struct gw__try *t, const json_t *answer)
{
    const json_t *usage = json_object_get(answer, "usage");
    if (!json_is_object(usage))
        usage = json_object_get(json_object_get(answer, "x_groq"), "usage");
    if (!json_is_object(usage))
        return;
    json_decref(t->raw_usage);
    t->raw_usage = json_deep_copy(usage);
    t->input_tokens = gw__count(usage, "prompt_tokens");
    t->output_tokens = gw__count(usage, "completion_tokens");
    t->cached_tokens = gw__count(json_object_get(usage, "prompt_tokens_details"), "cached_tokens");
    if (t->cached_tokens < 0)
        t->cached_tokens = gw__count(usage, "prompt_cache_hit_tokens");
    int64_t apart = gw__count(usage, "precached_prompt_tokens");
    if (apart > 0 && t->input_tokens >= 0) {
        t->cached_tokens = apart;
        t->input_tokens += apart;
    }
    t->reasoning_tokens =
        gw__count(json_object_get(usage, "completion_tokens_details"), "reasoning_tokens");
    if (t->reasoning_tokens < 0)
        t->reasoning_tokens = gw__count(usage, "reasoning_tokens");
}

/* Where a piece belongs: its index, or what its id says. */
static int64_t place_of(const struct gw__calls *calls, const json_t *piece, const char *id)
{
    const json_t *index = json_object_get(piece, "index");
    if (json_is_integer(index))
        return json_integer_value(index);
    for (size_t i = 0; *id && i < calls->count; i++)
        if (calls->at[i].id && strcmp(calls->at[i].id, id) == 0)
            return calls->at[i].place;
    if (*id || !calls->count)
        return (int64_t)calls->count;
    return calls->at[calls->count - 1].place;
}

static bool take_function(struct gw__try *t, int64_t place, const char *id, const json_t *function)
{
    const json_t *arguments = json_object_get(function, "arguments");
    const char *name = json_str(function, "name", "");
    if (json_is_object(arguments))
        return gw__call_whole(t, place, id, name, arguments);
    const char *text = json_is_string(arguments) ? json_string_value(arguments) : "";
    return gw__call_piece(t, place, id, name, text, strlen(text));
}

static bool take_calls(struct gw__try *t, const json_t *message)
{
    const struct gw__upstream *u = t->state;
    const json_t *calls = json_object_get(message, "tool_calls"), *one;
    size_t i;
    json_array_foreach((json_t *)calls, i, one)
    {
        const char *id = json_str(one, "id", "");
        if (!take_function(t, place_of(&u->calls, one, id), id, json_object_get(one, "function")))
            return false;
    }
    const json_t *function = json_object_get(message, "function_call");
    return !json_is_object(function) || take_function(t, 0, "", function);
}

/* A text, or a list of parts of one. */
static bool take_content(struct gw__try *t, const json_t *content)
{
    const json_t *part;
    size_t i;
    if (json_is_string(content))
        return gw__text(t, json_string_value(content), json_string_length(content));
    json_array_foreach((json_t *)content, i, part)
    {
        const json_t *thinking = json_object_get(part, "thinking"), *piece;
        const char *text = json_str(part, "text", "");
        size_t k;
        json_array_foreach((json_t *)thinking, k, piece)
        {
            const char *thought = json_str(piece, "text", "");
            if (!gw__reasoning(t, thought, strlen(thought)))
                return false;
        }
        if (!gw__text(t, text, strlen(text)))
            return false;
    }
    return true;
}

/* One chunk, or the whole answer. part is "delta" or "message". */
static void take_answer(struct gw__try *t, const json_t *answer, const char *part)
{
    const char *error = gw__error_words(answer);
    if (*error) {
        gw__upstream_fail(t, ERR_UPSTREAM, error);
        return;
    }
    gw__alive(t);
    gw__told_response(t, answer);
    take_usage(t, answer);
    const json_t *choice = json_array_get(json_object_get(answer, "choices"), 0);
    const json_t *message = json_object_get(choice, part);
    const char *refusal = json_str(message, "refusal", "");
    const char *thinking =
        json_str(message, "reasoning_content", json_str(message, "reasoning", ""));
    if (gw__reasoning(t, thinking, strlen(thinking)) &&
        take_content(t, json_object_get(message, "content")) &&
        gw__text(t, refusal, strlen(refusal)) && take_calls(t, message))
        take_finish(t, json_str(choice, "finish_reason", ""));
}

static bool on_event(void *arg, const char *event, const char *data, size_t len)
{
    (void)event;
    struct gw__try *t = arg;
    struct gw__upstream *u = t->state;
    if (len == 6 && memcmp(data, "[DONE]", 6) == 0) {
        gw__upstream_complete(t, u->reason ? u->reason : "stop");
        return false;
    }
    if (gw__quick_delta(t, gw__quick_openai, data, len))
        return !t->over;
    json_t *answer = json_read(data, len, GW__LINE_MAX, DEPTH, NULL);
    if (json_is_object(answer)) {
        take_answer(t, answer, "delta");
    } else {
        char *text = xasprintf("an event is no JSON: %.*s", (int)(len < SHOWN ? len : SHOWN), data);
        gw__upstream_fail(t, ERR_PROTOCOL, text);
        free(text);
    }
    json_decref(answer);
    return !t->over;
}

static enum err feed(struct gw__try *t, const char *bytes, size_t len)
{
    return gw__upstream_feed(t, bytes, len, on_event);
}

static void end(struct gw__try *t)
{
    struct gw__upstream *u = t->state;
    if (u->json) {
        json_t *answer = gw__upstream_whole(t);
        if (answer)
            take_answer(t, answer, "message");
        json_decref(answer);
    }
    /* Some servers say why they stopped and leave the [DONE] out. */
    if (!t->over && u->reason)
        gw__upstream_complete(t, u->reason);
    else if (!t->over && !t->first && u->received)
        gw__upstream_fail(t, ERR_PROTOCOL, "the response is no stream of events");
}

static const struct gw__dialect dialect = {.feed = feed, .end = end};

/* ---- the request */

static void put_tools(const struct gw__form *form, const struct gw_request *r, json_t *body)
{
    const char *choice = r->tool_choice;
    bool word = !choice || strcmp(choice, "auto") == 0 || strcmp(choice, "none") == 0 ||
                strcmp(choice, "required") == 0;
    if (!json_array_size(r->tools))
        return;
    json_put(body, form->functions ? "functions" : "tools", gw__tools(r->tools, form->functions));
    if (form->functions) { /* nothing like "required" is known there */
        if (word)
            json_puts(body, "function_call",
                      choice && strcmp(choice, "none") == 0 ? "none" : "auto");
        else
            json_put(body, "function_call", json_pack("{s:s}", "name", choice));
    } else if (word && choice) {
        json_puts(body, "tool_choice", choice);
    } else if (choice) {
        json_put(body, "tool_choice",
                 json_pack("{s:s, s:{s:s}}", "type", "function", "function", "name", choice));
    }
}

static void put_json_mode(const struct gw__form *form, const struct gw_request *r, json_t *body)
{
    bool schema =
        form->json == GW__JSON_SCHEMA_ONLY || (form->json == GW__JSON_SCHEMA && r->json_schema);
    if (!r->json_mode || form->json == GW__JSON_WORDS)
        return;
    if (!schema) {
        json_put(body, "response_format", json_pack("{s:s}", "type", "json_object"));
        return;
    }
    json_t *wanted =
        r->json_schema ? json_deep_copy(r->json_schema) : json_pack("{s:s}", "type", "object");
    json_put(body, "response_format",
             json_pack("{s:s, s:{s:s, s:o}}", "type", "json_schema", "json_schema", "name",
                       "answer", "schema", wanted));
}

static enum err start(struct gw__try *t, struct error *e)
{
    const struct gw__form *form = &t->m->form;
    json_t *body = json_object();
    char *name = gw__model_name(t->m, form->scheme);
    /* json_object wants the word in the messages, too (OpenAI refuses without it) */
    char *words = t->r->json_mode ? gw__json_words(t->r, form->json < GW__JSON_SCHEMA) : NULL;
    json_puts(body, "model", name);
    json_put(body, "messages", gw__messages(t->m, t->r, form->functions, words));
    json_put(body, "stream", json_true());
    if (form->counts)
        json_put(body, "stream_options", json_pack("{s:b}", "include_usage", 1));
    if (t->max_output > 0 && form->limit)
        json_puti(body, form->limit, t->max_output);
    put_tools(form, t->r, body);
    put_json_mode(form, t->r, body);
    free(name);
    free(words);
    return gw__upstream_start(t, &dialect, form->chat, body, e);
}

const struct gw__ops gw__openai_ops = {.start = start, .stop = gw__upstream_stop};
