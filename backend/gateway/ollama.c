/* Ollama, POST /api/chat: JSON lines {message: {content, thinking}, done, done_reason,
 * prompt_eval_count, eval_count}, or {error}. */
#include "backend/gateway/upstream.h"
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 32, SHOWN = 1000 };

static bool on_line(void *arg, const char *event, const char *line, size_t len)
{
    (void)event;
    struct gw_call *c = arg;
    const struct gw__upstream *u = c->state;
    struct error e = {0};
    json_t *answer = json_read(line, len, GW__LINE_MAX, DEPTH, &e);
    if (!json_is_object(answer)) {
        char *text = xasprintf("not a line of JSON: %.*s", (int)(len < SHOWN ? len : SHOWN), line);
        gw__upstream_fail(c, ERR_PROTOCOL, text);
        free(text);
    } else if (*gw__error_words(answer)) {
        gw__upstream_fail(c, ERR_UPSTREAM, gw__error_words(answer));
    } else {
        const json_t *message = json_object_get(answer, "message");
        const char *content = json_str(message, "content", "");
        const char *thinking = json_str(message, "thinking", "");
        gw__alive(c);
        c->hidden_tokens += gw_estimate_tokens(thinking);
        if (gw__delta(c, content, strlen(content)) && json_flag(answer, "done", false)) {
            c->input_tokens = gw__count(answer, "prompt_eval_count");
            c->output_tokens = gw__count(answer, "eval_count");
            const char *reason = json_str(answer, "done_reason", "stop");
            gw__upstream_complete(c, strcmp(reason, "length") == 0 ? "length" : "stop");
        }
    }
    json_decref(answer);
    return !c->over && !u->complete;
}

static enum err feed(struct gw_call *c, const char *bytes, size_t len)
{
    struct gw__upstream *u = c->state;
    return gw__lines_feed(&u->lines, bytes, len, on_line, c);
}

static void end(struct gw_call *c)
{
    struct gw__upstream *u = c->state;
    gw__lines_end(&u->lines, on_line, c);
}

static const struct gw__dialect dialect = {.feed = feed, .end = end};

static enum err start(struct gw_call *c, struct error *e)
{
    json_t *body = json_object(), *options = json_object();
    json_puts(body, "model", c->m->pub.model);
    json_put(body, "messages", gw__messages(&c->r));
    json_put(body, "stream", json_true());
    json_put(body, "options", options);
    if (c->r.max_output_tokens > 0)
        json_puti(options, "num_predict", c->r.max_output_tokens);
    /* Ollama cuts what is longer than num_ctx without a word, and its own default is small. */
    json_puti(options, "num_ctx", c->m->pub.context);
    return gw__upstream_start(c, &dialect, "/api/chat", body, e);
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
