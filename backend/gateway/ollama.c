/* Ollama, POST /api/chat: JSON lines {message: {content, thinking}, done, done_reason,
 * prompt_eval_count, eval_count}, or {error}. */
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

static bool on_line(void *arg, const char *event, const char *line, size_t len)
{
    (void)event;
    struct gw__try *t = arg;
    const struct gw__upstream *u = t->state;
    struct error e = {0};
    if (gw__quick_delta(t, gw__quick_ollama, line, len))
        return !t->over;
    json_t *answer = json_read(line, len, GW__LINE_MAX, DEPTH, &e);
    if (!json_is_object(answer)) {
        char *text = xasprintf("not a line of JSON: %.*s", (int)(len < SHOWN ? len : SHOWN), line);
        gw__upstream_fail(t, ERR_PROTOCOL, text);
        free(text);
    } else if (*gw__error_words(answer)) {
        gw__upstream_fail(t, ERR_UPSTREAM, gw__error_words(answer));
    } else {
        const json_t *message = json_object_get(answer, "message");
        const char *content = json_str(message, "content", "");
        const char *thinking = json_str(message, "thinking", "");
        gw__alive(t);
        if (gw__reasoning(t, thinking, strlen(thinking)) &&
            gw__delta(t, content, strlen(content)) && json_flag(answer, "done", false)) {
            t->raw_usage = numbers_of(answer);
            t->input_tokens = gw__count(answer, "prompt_eval_count");
            t->output_tokens = gw__count(answer, "eval_count");
            const char *reason = json_str(answer, "done_reason", "stop");
            gw__upstream_complete(t, strcmp(reason, "length") == 0 ? "length" : "stop");
        }
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

static enum err start(struct gw__try *t, struct error *e)
{
    json_t *body = json_object(), *options = json_object();
    json_puts(body, "model", t->m->pub.model);
    json_put(body, "messages", gw__messages(t->r));
    json_put(body, "stream", json_true());
    json_put(body, "options", options);
    if (t->max_output > 0)
        json_puti(options, "num_predict", t->max_output);
    /* Ollama cuts what is longer than num_ctx without a word, and its own default is small. */
    json_puti(options, "num_ctx", t->m->pub.context);
    return gw__upstream_start(t, &dialect, "/api/chat", body, e);
}

const struct gw__ops gw__ollama_ops = {
    .kind = "ollama",
    .start = start,
    .stop = gw__upstream_stop,
    .without_section = {.url = "http://127.0.0.1:11434",
                        .model = "qwen2.5:7b",
                        .model_variable = "OLLAMA_MODEL",
                        .local = true},
};
