/* The shapes of the APIs: OpenAI's chat (server-sent events), Ollama's (JSON lines), Anthropic's
 * Messages (named events), each streamed or whole; what they say of usage, tools and errors. */
#ifndef TESTS_MOCK_SHAPES_H
#define TESTS_MOCK_SHAPES_H

#include "tests/peers/mock_talk.h"

enum { BLOCK_TEXT = 1, BLOCK_THINKING, BLOCK_REDACTED, BLOCK_TOOL };

static inline const char *shape_model(const struct conn *c)
{
    return json_str(c->body, "model", "mock");
}

/* ---- usage */

static inline void shape__number(struct buf *b, const struct conn *c, const char *name,
                                 int64_t value)
{
    if (strcmp(c->plan.usage, "wrong") == 0)
        buf_addf(b, "\"%s\":\"many\",", name);
    else if (strcmp(c->plan.usage, "negative") == 0)
        buf_addf(b, "\"%s\":-5,", name);
    else
        buf_addf(b, "\"%s\":%lld,", name,
                 (long long)(strcmp(c->plan.usage, "zero") == 0 ? 0 : value));
}

static inline void shape__close(struct buf *b)
{
    if (b->data[b->len - 1] == ',')
        b->data[b->len - 1] = '}';
    else
        buf_addc(b, '}');
}

static inline bool shape_counts(const struct conn *c)
{
    if (strcmp(c->plan.usage, "none") == 0)
        return false;
    return c->api != API_OPENAI || !c->stream || c->wants_usage ||
           strcmp(c->plan.usage, "always") == 0;
}

static inline int64_t shape_reasoning(const struct conn *c)
{
    return c->plan.reasoning >= 0 ? c->plan.reasoning : c->thought;
}

static inline int64_t shape_out(const struct conn *c)
{
    if (c->plan.out >= 0)
        return c->plan.out;
    return c->plan.tokens ? c->token + c->thought : 12;
}

/* Notes what is reported, if it is a number. */
static inline void shape__noted(struct conn *c)
{
    const char *usage = c->plan.usage;
    bool zero = strcmp(usage, "zero") == 0;
    c->e->counted = !*usage || zero || strcmp(usage, "always") == 0;
    if (!c->e->counted || zero)
        return;
    c->e->in = c->plan.in;
    c->e->out = shape_out(c);
    c->e->cached = c->api == API_OLLAMA ? 0 : c->plan.cached;
    c->e->cache_write = c->api == API_ANTHROPIC ? c->plan.cache_write : 0;
    c->e->reasoning = shape_reasoning(c);
}

/* OpenAI's object, in the form of a flavour. */
static inline void shape__openai_usage(struct conn *c, struct buf *b)
{
    const struct plan *p = &c->plan;
    buf_addc(b, '{');
    shape__number(b, c, "prompt_tokens", p->in);
    if (strcmp(p->usage, "half") != 0) {
        shape__number(b, c, "completion_tokens", shape_out(c));
        shape__number(b, c, "total_tokens", p->in + shape_out(c));
    }
    if (strcmp(p->form, "deepseek") == 0) {
        shape__number(b, c, "prompt_cache_hit_tokens", p->cached);
        shape__number(b, c, "prompt_cache_miss_tokens", p->in - p->cached);
    } else if (p->cached && strcmp(p->usage, "zero") != 0) {
        buf_addf(b, "\"prompt_tokens_details\":{\"cached_tokens\":%lld},", (long long)p->cached);
    }
    if (shape_reasoning(c))
        buf_addf(b, "\"completion_tokens_details\":{\"reasoning_tokens\":%lld},",
                 (long long)shape_reasoning(c));
    shape__close(b);
    shape__noted(c);
}

static inline void shape__ollama_usage(struct conn *c, struct buf *b)
{
    shape__number(b, c, "prompt_eval_count", c->plan.in);
    if (strcmp(c->plan.usage, "half") != 0)
        shape__number(b, c, "eval_count", shape_out(c));
    shape__noted(c);
}

/* Anthropic's input tokens are those that no cache gave. */
static inline void shape__anthropic_usage(struct conn *c, struct buf *b, bool input, bool output)
{
    const struct plan *p = &c->plan;
    buf_addc(b, '{');
    if (input) {
        shape__number(b, c, "input_tokens", p->in - p->cached - p->cache_write);
        shape__number(b, c, "cache_creation_input_tokens", p->cache_write);
        shape__number(b, c, "cache_read_input_tokens", p->cached);
    }
    if (output && strcmp(p->usage, "half") != 0)
        shape__number(b, c, "output_tokens", shape_out(c));
    else if (input)
        shape__number(b, c, "output_tokens", 1);
    shape__close(b);
    if (output)
        shape__noted(c);
}

/* ---- a stream's pieces */

static inline bool shape__openai_chunk(struct conn *c, const char *delta, size_t len,
                                       const char *finish)
{
    struct buf b = {0};
    buf_adds(&b, "{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\",\"created\":"
                 "1764200000,\"model\":");
    talk_quoted(&b, shape_model(c), strlen(shape_model(c)));
    buf_adds(&b, ",\"choices\":[{\"index\":0,\"delta\":");
    buf_add(&b, delta, len);
    buf_adds(&b, ",\"finish_reason\":");
    if (finish)
        talk_quoted(&b, finish, strlen(finish));
    else
        buf_adds(&b, "null");
    buf_adds(&b, "}]}");
    bool goes_on = talk_event(c, NULL, b.data);
    buf_release(&b);
    return goes_on;
}

static inline bool shape__block(struct conn *c, int kind, const char *start);
static inline bool shape__block_delta(struct conn *c, const char *type, const char *member,
                                      const char *text, size_t len);

/* What ends a block of thinking, and a redacted one behind it. */
static inline bool shape__sign(struct conn *c)
{
    return shape__block_delta(c, "signature_delta", "signature", "c2ln", 4) &&
           shape__block_delta(c, "signature_delta", "signature", "bmVk", 4) &&
           shape__block(c, BLOCK_REDACTED,
                        "{\"type\":\"redacted_thinking\",\"data\":\"aGlkZGVu\"}");
}

static inline bool shape__block(struct conn *c, int kind, const char *start)
{
    struct buf b = {0};
    bool goes_on = true;
    if (c->plan.sign && c->block == BLOCK_THINKING && kind != BLOCK_THINKING &&
        kind != BLOCK_REDACTED)
        goes_on = shape__sign(c);
    if (goes_on && c->block && (c->block != kind || kind == BLOCK_TOOL)) {
        buf_addf(&b, "{\"type\":\"content_block_stop\",\"index\":%lld}",
                 (long long)c->block_index++);
        goes_on = talk_event(c, "content_block_stop", b.data);
        c->block = 0;
    }
    if (goes_on && kind && !c->block) {
        buf_clear(&b);
        buf_addf(&b, "{\"type\":\"content_block_start\",\"index\":%lld,\"content_block\":%s}",
                 (long long)c->block_index, start);
        c->block = kind;
        goes_on = talk_event(c, "content_block_start", b.data);
    }
    buf_release(&b);
    return goes_on;
}

static inline bool shape__block_delta(struct conn *c, const char *type, const char *member,
                                      const char *text, size_t len)
{
    struct buf b = {0};
    buf_addf(&b,
             "{\"type\":\"content_block_delta\",\"index\":%lld,\"delta\":{\"type\":\"%s\",\"%s\":",
             (long long)c->block_index, type, member);
    talk_quoted(&b, text, len);
    buf_adds(&b, "}}");
    bool goes_on = talk_event(c, "content_block_delta", b.data);
    buf_release(&b);
    return goes_on;
}

static inline void shape_begin(struct conn *c)
{
    if (c->api == API_OPENAI) {
        static const char role[] = "{\"role\":\"assistant\",\"content\":\"\"}";
        shape__openai_chunk(c, role, sizeof role - 1, NULL);
    } else if (c->api == API_ANTHROPIC) {
        struct buf b = {0};
        buf_adds(&b, "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_mock\",\"type\":"
                     "\"message\",\"role\":\"assistant\","
                     "\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"model\":");
        talk_quoted(&b, shape_model(c), strlen(shape_model(c)));
        if (shape_counts(c)) {
            buf_adds(&b, ",\"usage\":");
            shape__anthropic_usage(c, &b, true, false);
        }
        buf_adds(&b, "}}");
        if (talk_event(c, "message_start", b.data))
            talk_event(c, "ping", "{\"type\":\"ping\"}");
        buf_release(&b);
    }
}

/* One token of the text, or of what the model thinks. */
static inline bool shape_piece(struct conn *c, const char *text, size_t len, bool thought)
{
    struct buf b = {0};
    bool goes_on;
    if (c->api == API_ANTHROPIC) {
        static const char *const starts[] = {
            "{\"type\":\"text\",\"text\":\"\"}",
            "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}"};
        goes_on = shape__block(c, thought ? BLOCK_THINKING : BLOCK_TEXT, starts[thought]) &&
                  shape__block_delta(c, thought ? "thinking_delta" : "text_delta",
                                     thought ? "thinking" : "text", text, len);
    } else if (c->api == API_OPENAI) {
        buf_addf(&b, "{\"%s\":", thought ? "reasoning_content" : "content");
        talk_quoted(&b, text, len);
        buf_addc(&b, '}');
        goes_on = shape__openai_chunk(c, b.data, b.len, NULL);
    } else {
        buf_adds(&b, "{\"model\":");
        talk_quoted(&b, shape_model(c), strlen(shape_model(c)));
        buf_addf(&b,
                 ",\"created_at\":\"2026-11-27T00:00:00Z\",\"message\":{\"role\":\"assistant\",%s",
                 thought ? "\"content\":\"\",\"thinking\":" : "\"content\":");
        talk_quoted(&b, text, len);
        buf_adds(&b, "},\"done\":false}");
        goes_on = talk_event(c, NULL, b.data);
    }
    buf_release(&b);
    return goes_on;
}

/* ---- calls of tools */

static inline bool shape_calls(const struct conn *c)
{
    const json_t *messages = json_object_get(c->body, "messages");
    size_t n = json_array_size(messages);
    const json_t *last = n ? json_array_get(messages, n - 1) : NULL;
    const json_t *part = json_array_get(json_object_get(last, "content"), 0);
    bool answered = strcmp(json_str(last, "role", ""), "tool") == 0 ||
                    strcmp(json_str(part, "type", ""), "tool_result") == 0;
    return c->plan.tools > 0 && !answered;
}

static inline const char *shape__tool_name(const struct conn *c, int64_t i)
{
    const json_t *tools = json_object_get(c->body, "tools");
    size_t n = json_array_size(tools);
    const json_t *tool = n ? json_array_get(tools, (size_t)i % n) : NULL;
    return json_str(json_object_get(tool, "function"), "name", json_str(tool, "name", "lookup"));
}

/* The arguments of a call as text; the caller releases. */
static inline struct buf shape__tool_args(const struct conn *c, int64_t i)
{
    if (*c->plan.args)
        return plan_decoded(c->plan.args);
    struct buf b = {0};
    buf_addf(&b, "{\"path\":\"/var/\\u043b\\\"og\",\"n\":%lld%s", (long long)i,
             c->plan.bad_args ? "" : "}");
    return b;
}

/* A piece of a call as OpenAI sends it; at -1 its beginning. */
static inline bool shape__openai_call(struct conn *c, int64_t i, const char *piece, size_t len,
                                      bool begin)
{
    struct buf b = {0};
    buf_addf(&b, "{\"tool_calls\":[{\"index\":%lld,", (long long)i);
    if (begin) {
        buf_addf(
            &b, "\"id\":\"call_%lld\",\"type\":\"function\",\"function\":{\"name\":", (long long)i);
        talk_quoted(&b, shape__tool_name(c, i), strlen(shape__tool_name(c, i)));
        buf_adds(&b, ",\"arguments\":");
    } else {
        buf_adds(&b, "\"function\":{\"arguments\":");
    }
    talk_quoted(&b, piece, len);
    buf_adds(&b, "}}]}");
    bool goes_on = shape__openai_chunk(c, b.data, b.len, NULL);
    buf_release(&b);
    return goes_on;
}

static inline bool shape__openai_calls(struct conn *c)
{
    bool goes_on = true;
    size_t step = c->plan.tool_piece > 0 ? (size_t)c->plan.tool_piece : 5;
    for (int64_t i = 0; i < c->plan.tools && goes_on && c->plan.interleave; i++)
        goes_on = shape__openai_call(c, i, "", 0, true);
    size_t longest = 64;
    for (size_t at = 0; c->plan.interleave && at < longest; at += step) {
        for (int64_t i = 0; i < c->plan.tools && goes_on; i++) {
            struct buf args = shape__tool_args(c, i);
            longest = args.len > longest ? args.len : longest;
            if (at < args.len)
                goes_on = shape__openai_call(c, i, args.data + at,
                                             args.len - at < step ? args.len - at : step, false);
            buf_release(&args);
        }
    }
    for (int64_t i = 0; i < c->plan.tools && goes_on && !c->plan.interleave; i++) {
        struct buf args = shape__tool_args(c, i);
        goes_on = shape__openai_call(c, i, "", 0, true);
        for (size_t at = 0; at < args.len && goes_on; at += step)
            goes_on = shape__openai_call(c, i, args.data + at,
                                         args.len - at < step ? args.len - at : step, false);
        buf_release(&args);
    }
    return goes_on;
}

static inline bool shape__anthropic_calls(struct conn *c)
{
    bool goes_on = true;
    size_t step = c->plan.tool_piece > 0 ? (size_t)c->plan.tool_piece : 5;
    for (int64_t i = 0; i < c->plan.tools && goes_on; i++) {
        struct buf args = shape__tool_args(c, i), start = {0};
        buf_addf(&start, "{\"type\":\"tool_use\",\"id\":\"toolu_%lld\",\"name\":", (long long)i);
        talk_quoted(&start, shape__tool_name(c, i), strlen(shape__tool_name(c, i)));
        buf_adds(&start, ",\"input\":{}}");
        goes_on = shape__block(c, BLOCK_TOOL, start.data);
        for (size_t at = 0; at < args.len && goes_on; at += step)
            goes_on = shape__block_delta(c, "input_json_delta", "partial_json", args.data + at,
                                         args.len - at < step ? args.len - at : step);
        buf_release(&args);
        buf_release(&start);
    }
    return goes_on;
}

/* The calls whole, as a list of the API's objects. */
static inline void shape__calls_whole(struct conn *c, struct buf *b)
{
    for (int64_t i = 0; i < c->plan.tools; i++) {
        struct buf args = shape__tool_args(c, i);
        const char *name = shape__tool_name(c, i);
        buf_adds(b, i ? "," : "");
        if (c->api == API_OPENAI)
            buf_addf(b, "{\"id\":\"call_%lld\",\"type\":\"function\",\"function\":{\"name\":",
                     (long long)i);
        else if (c->api == API_ANTHROPIC)
            buf_addf(b, "{\"type\":\"tool_use\",\"id\":\"toolu_%lld\",\"name\":", (long long)i);
        else
            buf_adds(b, "{\"function\":{\"name\":");
        talk_quoted(b, name, strlen(name));
        buf_adds(b, c->api == API_ANTHROPIC ? ",\"input\":" : ",\"arguments\":");
        if (c->api == API_OPENAI)
            talk_quoted(b, args.data, args.len);
        else
            buf_add(b, args.data, args.len);
        buf_adds(b, c->api == API_ANTHROPIC ? "}" : "}}");
        buf_release(&args);
    }
}

static inline bool shape__ollama_calls(struct conn *c)
{
    struct buf b = {0};
    buf_adds(&b, "{\"message\":{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[");
    shape__calls_whole(c, &b);
    buf_adds(&b, "]},\"done\":false}");
    bool goes_on = talk_event(c, NULL, b.data);
    buf_release(&b);
    return goes_on;
}

static inline bool shape_tools(struct conn *c)
{
    return c->api == API_OPENAI   ? shape__openai_calls(c)
           : c->api == API_OLLAMA ? shape__ollama_calls(c)
                                  : shape__anthropic_calls(c);
}

/* ---- the end of a stream */

static inline const char *shape__finish(const struct conn *c)
{
    const char *finish = shape_calls(c) ? "tool_calls" : c->plan.finish;
    if (c->api == API_OLLAMA && shape_calls(c))
        return "stop";
    if (c->api != API_ANTHROPIC)
        return finish;
    return strcmp(finish, "length") == 0       ? "max_tokens"
           : strcmp(finish, "tool_calls") == 0 ? "tool_use"
           : strcmp(finish, "stop") == 0       ? "end_turn"
                                               : finish;
}

static inline void shape__openai_end(struct conn *c)
{
    struct buf b = {0};
    bool goes_on = shape__openai_chunk(c, "{}", 2, shape__finish(c));
    if (goes_on && shape_counts(c)) {
        bool groq = strcmp(c->plan.form, "groq") == 0;
        buf_addf(&b,
                 "{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\",\"choices\":[],%"
                 "s\"usage\":",
                 groq ? "\"x_groq\":{" : "");
        shape__openai_usage(c, &b);
        buf_adds(&b, groq ? "}}" : "}");
        goes_on = talk_event(c, NULL, b.data);
    }
    if (goes_on && !c->plan.no_done)
        talk_event(c, NULL, "[DONE]");
    buf_release(&b);
}

static inline void shape__ollama_end(struct conn *c)
{
    struct buf b = {0};
    buf_adds(&b, "{\"model\":"); /* which Ollama's last line has as each */
    talk_quoted(&b, shape_model(c), strlen(shape_model(c)));
    buf_adds(&b, ",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done_reason\":");
    talk_quoted(&b, shape__finish(c), strlen(shape__finish(c)));
    buf_adds(&b, ",\"done\":true,\"total_duration\":5000000,");
    if (shape_counts(c))
        shape__ollama_usage(c, &b);
    shape__close(&b);
    if (!c->plan.no_done)
        talk_event(c, NULL, b.data);
    buf_release(&b);
}

static inline void shape__anthropic_end(struct conn *c)
{
    struct buf b = {0};
    bool goes_on = shape__block(c, 0, NULL);
    buf_adds(&b, "{\"type\":\"message_delta\",\"delta\":{\"stop_sequence\":null,\"stop_reason\":");
    talk_quoted(&b, shape__finish(c), strlen(shape__finish(c)));
    buf_adds(&b, "}");
    if (shape_counts(c)) {
        buf_adds(&b, ",\"usage\":");
        shape__anthropic_usage(c, &b, false, true);
    }
    buf_adds(&b, "}");
    if (goes_on && talk_event(c, "message_delta", b.data) && !c->plan.no_done)
        talk_event(c, "message_stop", "{\"type\":\"message_stop\"}");
    buf_release(&b);
}

static inline void shape_end(struct conn *c)
{
    if (c->api == API_OPENAI)
        shape__openai_end(c);
    else if (c->api == API_OLLAMA)
        shape__ollama_end(c);
    else
        shape__anthropic_end(c);
}

/* An error object in the API's form; in the stream or as a body. The caller releases. */
static inline struct buf shape_error(const struct conn *c, const char *words)
{
    struct buf b = {0};
    if (c->api == API_OLLAMA) {
        buf_adds(&b, "{\"error\":");
        talk_quoted(&b, words, strlen(words));
        buf_addc(&b, '}');
        return b;
    }
    buf_addf(&b, "{%s\"error\":{\"type\":\"%s\",\"message\":",
             c->api == API_ANTHROPIC ? "\"type\":\"error\"," : "",
             c->plan.status == 429   ? "rate_limit_error"
             : c->plan.status == 529 ? "overloaded_error"
                                     : "api_error");
    talk_quoted(&b, words, strlen(words));
    buf_adds(&b, "}}");
    return b;
}

static inline void shape_stream_error(struct conn *c, const char *words)
{
    struct buf b = shape_error(c, words);
    talk_event(c, c->api == API_OLLAMA ? NULL : "error", b.data);
    buf_release(&b);
}

/* ---- an answer that is no stream */

static inline void shape__openai_whole(struct conn *c, const char *text, size_t len, struct buf *b)
{
    buf_adds(b, "{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion\",\"choices\":[{\"index\":"
                "0,\"message\":{\"role\":\"assistant\","
                "\"content\":");
    if (len || !shape_calls(c))
        talk_quoted(b, text, len);
    else
        buf_adds(b, "null");
    if (shape_calls(c)) {
        buf_adds(b, ",\"tool_calls\":[");
        shape__calls_whole(c, b);
        buf_addc(b, ']');
    }
    buf_addf(b, "},\"finish_reason\":\"%s\"}]", shape__finish(c));
    if (strcmp(c->plan.usage, "none") != 0) {
        buf_adds(b, ",\"usage\":");
        shape__openai_usage(c, b);
    }
    buf_addc(b, '}');
}

static inline void shape__ollama_whole(struct conn *c, const char *text, size_t len, struct buf *b)
{
    buf_adds(b, "{\"message\":{\"role\":\"assistant\",\"content\":");
    talk_quoted(b, text, len);
    if (shape_calls(c)) {
        buf_adds(b, ",\"tool_calls\":[");
        shape__calls_whole(c, b);
        buf_addc(b, ']');
    }
    buf_addf(b, "},\"done_reason\":\"%s\",\"done\":true,", shape__finish(c));
    if (shape_counts(c))
        shape__ollama_usage(c, b);
    shape__close(b);
}

static inline void shape__anthropic_whole(struct conn *c, const char *text, size_t len,
                                          struct buf *b)
{
    buf_adds(b, "{\"id\":\"msg_mock\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[");
    if (c->plan.sign)
        buf_addf(b,
                 "{\"type\":\"thinking\",\"thinking\":\"secret plan \",\"signature\":"
                 "\"c2lnbmVk\"},{\"type\":\"redacted_thinking\",\"data\":\"aGlkZGVu\"}%s",
                 len || shape_calls(c) ? "," : "");
    if (len) {
        buf_adds(b, "{\"type\":\"text\",\"text\":");
        talk_quoted(b, text, len);
        buf_adds(b, shape_calls(c) ? "}," : "}");
    }
    if (shape_calls(c))
        shape__calls_whole(c, b);
    buf_addf(b, "],\"stop_reason\":\"%s\"", shape__finish(c));
    if (shape_counts(c)) {
        buf_adds(b, ",\"usage\":");
        shape__anthropic_usage(c, b, true, true);
    }
    buf_addc(b, '}');
}

/* The caller releases. */
static inline struct buf shape_whole(struct conn *c, const char *text, size_t len)
{
    struct buf b = {0};
    if (c->api == API_OPENAI)
        shape__openai_whole(c, text, len, &b);
    else if (c->api == API_OLLAMA)
        shape__ollama_whole(c, text, len, &b);
    else
        shape__anthropic_whole(c, text, len, &b);
    return b;
}

#endif
