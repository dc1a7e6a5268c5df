/* Any OpenAI-compatible server, POST {url}/chat/completions: server-sent events with chunks
 * {choices: [{delta: {content, reasoning_content}, finish_reason}], usage}, then "[DONE]". A server
 * that answers with one JSON object although a stream was asked for is understood too. */
#include "backend/gateway/upstream.h"
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 32, SHOWN = 1000 };

static const char *reason_of(const char *finish)
{
    return strcmp(finish, "length") == 0 || strcmp(finish, "max_tokens") == 0 ? "length" : "stop";
}

static void take_usage(struct gw__try *t, const json_t *answer)
{
    const json_t *usage = json_object_get(answer, "usage");
    if (!json_is_object(usage))
        return;
    json_decref(t->raw_usage);
    t->raw_usage = json_deep_copy(usage);
    t->input_tokens = gw__count(usage, "prompt_tokens");
    t->cached_tokens = gw__count(json_object_get(usage, "prompt_tokens_details"), "cached_tokens");
    t->reasoning_tokens =
        gw__count(json_object_get(usage, "completion_tokens_details"), "reasoning_tokens");
    t->output_tokens = gw__count(usage, "completion_tokens");
}

/* One chunk, or the whole answer. part is "delta" or "message". */
static void take_answer(struct gw__try *t, const json_t *answer, const char *part)
{
    struct gw__upstream *u = t->state;
    const char *error = gw__error_words(answer);
    if (*error) {
        gw__upstream_fail(t, ERR_UPSTREAM, error);
        return;
    }
    gw__alive(t);
    take_usage(t, answer);
    const json_t *choice = json_array_get(json_object_get(answer, "choices"), 0);
    const json_t *message = json_object_get(choice, part);
    const char *content = json_str(message, "content", "");
    const char *thinking =
        json_str(message, "reasoning_content", json_str(message, "reasoning", ""));
    const char *finish = json_str(choice, "finish_reason", "");
    if (!gw__reasoning(t, thinking, strlen(thinking)) || !gw__delta(t, content, strlen(content)))
        return;
    if (strcmp(finish, "content_filter") == 0)
        gw__upstream_fail(t, ERR_UPSTREAM, "the provider's content filter stopped the answer");
    else if (*finish)
        u->reason = reason_of(finish);
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
    struct gw__upstream *u = t->state;
    if (!u->json)
        return sse_feed(&u->sse, bytes, len, on_event, t);
    if (u->body.len + len > GW__TEXT_MAX)
        return ERR_TOO_BIG;
    buf_add(&u->body, bytes, len);
    return ERR_OK;
}

static void end(struct gw__try *t)
{
    struct gw__upstream *u = t->state;
    if (u->json) {
        json_t *answer =
            json_read(u->body.data ? u->body.data : "", u->body.len, GW__TEXT_MAX, DEPTH, NULL);
        if (json_is_object(answer))
            take_answer(t, answer, "message");
        else
            gw__upstream_fail(t, ERR_PROTOCOL, "the answer is no JSON object");
        json_decref(answer);
    }
    /* Some servers say why they stopped and leave the [DONE] out. */
    if (!t->over && u->reason)
        gw__upstream_complete(t, u->reason);
    else if (!t->over && !t->first && u->received)
        gw__upstream_fail(t, ERR_PROTOCOL, "the response is no stream of events");
}

static const struct gw__dialect dialect = {.feed = feed, .end = end};

static enum err start(struct gw__try *t, struct error *e)
{
    json_t *body = json_object(), *options = json_object();
    json_puts(body, "model", t->m->pub.model);
    json_put(body, "messages", gw__messages(t->r));
    json_put(body, "stream", json_true());
    json_put(options, "include_usage", json_true());
    json_put(body, "stream_options", options);
    /* The maker of the API renamed the limit; the servers that are compatible with it did not. */
    bool original = strcmp(t->m->pub.provider, "openai") == 0;
    if (t->max_output > 0)
        json_puti(body, original ? "max_completion_tokens" : "max_tokens", t->max_output);
    return gw__upstream_start(t, &dialect, "/chat/completions", body, e);
}

const struct gw__ops gw__openai_ops = {
    .kind = "openai",
    .start = start,
    .stop = gw__upstream_stop,
    .without_section = {.url = "https://api.openai.com/v1",
                        .url_variable = "OPENAI_BASE_URL",
                        .model_variable = "OPENAI_MODEL",
                        .key_variable = "OPENAI_API_KEY"},
};
