/* A moderation endpoint, POST {url}/moderations: {model, input} gets {results: [{flagged,
 * categories}]}, as OpenAI's and Mistral's do. Such a model answers no question: its text is that
 * object, for whoever asked it to judge
 * ([safety] model). It counts no tokens: usage is our estimate of what it read. */
#include "backend/gateway/upstream.h"
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 32, REPLY_MAX = 256 << 10 };

static enum err feed(struct gw__try *t, const char *bytes, size_t len)
{
    struct gw__upstream *u = t->state;
    if (u->body.len + len > REPLY_MAX)
        return ERR_TOO_BIG;
    buf_add(&u->body, bytes, len);
    return ERR_OK;
}

static void end(struct gw__try *t)
{
    struct gw__upstream *u = t->state;
    const char *body = u->body.data ? u->body.data : "";
    json_t *answer = json_read(body, u->body.len, REPLY_MAX, DEPTH, NULL);
    const char *error = gw__error_words(answer);
    gw__alive(t);
    if (!json_is_object(answer))
        gw__upstream_fail(t, ERR_PROTOCOL, "the answer is no JSON object");
    else if (*error)
        gw__upstream_fail(t, ERR_UPSTREAM, error);
    else if (gw__delta(t, body, u->body.len))
        gw__upstream_complete(t, "stop");
    json_decref(answer);
}

static const struct gw__dialect dialect = {.feed = feed, .end = end};

static enum err start(struct gw__try *t, struct error *e)
{
    const struct gw_request *r = t->r;
    const char *input = r->message_count ? r->messages[r->message_count - 1].content : r->question;
    json_t *body = json_object();
    if (*t->m->pub.model)
        json_puts(body, "model", t->m->pub.model);
    json_put(body, "input", json_text(input, strlen(input)));
    return gw__upstream_start(t, &dialect, "/moderations", body, e);
}

const struct gw__ops gw__moderation_ops = {
    .start = start,
    .stop = gw__upstream_stop,
};
