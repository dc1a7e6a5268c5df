/* What is told of a try: its span, with OpenTelemetry's GenAI attributes, and its counts. */
#include "backend/base/clock.h"
#include "backend/gateway/ask.h"
#include "backend/telemetry/telemetry.h"
#include <stdlib.h>
#include <string.h>

void gw_set_telemetry(struct gw *g, struct tel *t, bool upstream)
{
    g->tel = t;
    g->tells_upstream = upstream;
}

/* Host and port of an http address, for server.address and server.port. */
static void tell_server(struct tel_span *s, const char *url)
{
    const char *at = strstr(url, "://");
    if (!at)
        return;
    at += 3;
    size_t len = *at == '[' ? strcspn(at, "]") + 1 : strcspn(at, ":/?#");
    char *host = xstrndup(at, len);
    long port = at[len] == ':'                     ? strtol(at + len + 1, NULL, 10)
                : strncmp(url, "https://", 8) == 0 ? 443
                                                   : 80;
    tel_span_text(s, "server.address", host);
    tel_span_int(s, "server.port", port);
    free(host);
}

void gw__told_begin(struct gw__try *t)
{
    const struct gw_model *m = &t->m->pub;
    const char *name = *m->model ? m->model : m->name;
    struct tel_context parent;
    if (!tel_traceparent_read(t->r->traceparent, &parent))
        parent = tel_current(t->g->tel);
    parent.remote = false; /* it is of this process */
    t->span =
        tel_span_begin(t->g->tel, &parent, m->builtin ? TEL_INTERNAL : TEL_CLIENT, "chat %s", name);
    tel_span_text(t->span, "gen_ai.operation.name", "chat");
    tel_span_text(t->span, "gen_ai.provider.name", m->provider);
    tel_span_text(t->span, "gen_ai.request.model", name);
    if (t->r->max_output_tokens > 0)
        tel_span_int(t->span, "gen_ai.request.max_tokens", t->r->max_output_tokens);
    tel_span_flag(t->span, "gen_ai.request.stream", true);
    tel_span_text(t->span, "mcp_console.model", m->name);
    if (!m->builtin)
        tell_server(t->span, m->url);
}

char *gw__told_header(const struct gw__try *t)
{
    char text[TEL_TRACEPARENT];
    const struct tel_context *c = tel_span_context(t->span);
    if (!c) /* nobody looks here, but the caller's own trace goes on */
        return t->r->traceparent ? xasprintf("traceparent: %s", t->r->traceparent) : NULL;
    if (!t->g->tells_upstream)
        return NULL;
    tel_traceparent(c, text);
    return xasprintf("traceparent: %s", text);
}

static void count_tokens(struct tel *t, const char *operation, const struct gw_model *m,
                         const char *name, const struct gw_usage *u)
{
    const struct {
        const char *direction;
        int64_t tokens;
    } both[] = {{"input", u->input_tokens}, {"output", u->output_tokens}};
    for (size_t i = 0; i < 2; i++) {
        double n = (double)both[i].tokens;
        if (i && strcmp(operation, "embeddings") == 0)
            break; /* which have no output */
        tel_add(t, TEL_model_tokens, n, TEL_LABELS(m->name, both[i].direction));
        if (u->estimated)
            tel_add(t, TEL_model_estimated, n, TEL_LABELS(m->name, both[i].direction));
        else
            tel_observe(t, TEL_gen_ai_tokens, n,
                        TEL_LABELS(operation, m->provider, name, both[i].direction));
    }
    if (u->cached_tokens > 0)
        tel_add(t, TEL_model_cached, (double)u->cached_tokens, TEL_LABELS(m->name));
    if (u->reasoning_tokens > 0)
        tel_add(t, TEL_model_reasoning, (double)u->reasoning_tokens, TEL_LABELS(m->name));
}

static void tell_usage(struct tel_span *s, const struct gw_usage *u)
{
    tel_span_int(s, "gen_ai.usage.input_tokens", u->input_tokens);
    tel_span_int(s, "gen_ai.usage.output_tokens", u->output_tokens);
    if (u->cached_tokens > 0)
        tel_span_int(s, "gen_ai.usage.cache_read.input_tokens", u->cached_tokens);
    if (u->cache_write_tokens > 0)
        tel_span_int(s, "gen_ai.usage.cache_creation.input_tokens", u->cache_write_tokens);
    if (u->reasoning_tokens > 0)
        tel_span_int(s, "gen_ai.usage.reasoning.output_tokens", u->reasoning_tokens);
    if (u->estimated)
        tel_span_flag(s, "mcp_console.usage.estimated", true);
}

/* A name as far as it is one: foreign text that is no short word of ASCII is left out. */
static void take_name(char out[GW__NAME_MAX], const char *text)
{
    size_t len = strlen(text);
    if (*out || len >= GW__NAME_MAX || !len)
        return;
    for (size_t i = 0; i < len; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return;
    memcpy(out, text, len + 1);
}

void gw__told_response(struct gw__try *t, const json_t *answer)
{
    take_name(t->response_id, json_str(answer, "id", ""));
    take_name(t->response_model, json_str(answer, "model", ""));
}

void gw__told_end(struct gw__try *t, const struct gw_attempt *a)
{
    const struct gw_model *m = a->model;
    const char *name = *m->model ? m->model : m->name;
    const char *failed = a->code ? err_name(a->code) : "";
    struct tel *tel = t->g->tel;
    struct tel_context before = tel_enter(tel, tel_span_context(t->span)); /* for the exemplars */
    tel_add(tel, TEL_model_calls, 1, TEL_LABELS(m->name, a->outcome));
    tel_observe(tel, TEL_gen_ai_duration, (double)a->elapsed_ms / 1000,
                TEL_LABELS("chat", m->provider, name, failed));
    if (a->first_token_ms >= 0)
        tel_observe(tel, TEL_gen_ai_first, (double)a->first_token_ms / 1000,
                    TEL_LABELS("chat", m->provider, name));
    count_tokens(tel, "chat", m, name, &a->usage);
    tel_enter(tel, &before);
    tell_usage(t->span, &a->usage);
    if (a->first_token_ms >= 0)
        tel_span_num(t->span, "gen_ai.response.time_to_first_chunk",
                     (double)a->first_token_ms / 1000);
    tel_span_text(t->span, "gen_ai.response.id", *t->response_id ? t->response_id : NULL);
    tel_span_text(t->span, "gen_ai.response.model", *t->response_model ? t->response_model : NULL);
    if (a->http_status)
        tel_span_int(t->span, "http.response.status_code", a->http_status);
    tel_span_text(t->span, "mcp_console.outcome", a->outcome);
    tel_span_int(t->span, "mcp_console.queued_ms", a->queued_ms);
    tel_span_int(t->span, "mcp_console.attempt", (int64_t)t->call->spent.count);
    if (a->code)
        tel_span_fail(t->span, failed);
    tel_span_end(t->span);
    t->span = NULL;
}

void gw__told_cut(struct gw__try *t)
{
    const char *why = t->over_budget ? "over_budget" : "length";
    tel_add(t->g->tel, TEL_model_cut, 1, TEL_LABELS(t->m->pub.name, why));
    if (t->over_budget)
        tel_span_flag(t->span, "mcp_console.over_budget", true);
}

void gw__told_unstarted(struct gw__try *t, enum err code)
{
    tel_add(t->g->tel, TEL_model_calls, 1, TEL_LABELS(t->m->pub.name, "error"));
    tel_span_fail(t->span, err_name(code));
    tel_span_end(t->span);
    t->span = NULL;
}

void gw__told_again(const struct gw__model *m, struct gw *g, const char *reason)
{
    tel_add(g->tel, TEL_model_again, 1, TEL_LABELS(m->pub.name, reason));
}

/* ---- exchanges that are no chats */

static const char *const operations[] = {
    [GW__LIST] = "list models", [GW__HEALTH] = "check health", [GW__EMBED] = "embeddings"};

char *gw__told_ask(struct gw_ask *a)
{
    const struct gw_model *m = &a->m->pub;
    const char *name = *m->model ? m->model : m->name;
    struct tel_context parent;
    char text[TEL_TRACEPARENT];
    if (!tel_traceparent_read(a->traceparent, &parent))
        parent = tel_current(a->g->tel);
    parent.remote = false; /* it is of this process */
    a->span = tel_span_begin(a->g->tel, &parent, TEL_CLIENT, "%s %s", operations[a->operation],
                             a->operation == GW__EMBED ? name : m->name);
    if (a->operation == GW__EMBED)
        tel_span_text(a->span, "gen_ai.operation.name", operations[GW__EMBED]);
    tel_span_text(a->span, "gen_ai.provider.name", m->provider);
    tel_span_text(a->span, "gen_ai.request.model", name);
    tel_span_text(a->span, "mcp_console.model", m->name);
    tell_server(a->span, m->url);
    const struct tel_context *c = tel_span_context(a->span);
    if (!c)
        return a->traceparent ? xasprintf("traceparent: %s", a->traceparent) : NULL;
    if (!a->g->tells_upstream)
        return NULL;
    tel_traceparent(c, text);
    return xasprintf("traceparent: %s", text);
}

void gw__told_asked(struct gw_ask *a, const char *outcome, enum err code, const json_t *answer)
{
    const struct gw_model *m = &a->m->pub;
    const char *name = *m->model ? m->model : m->name, *failed = code ? err_name(code) : "";
    int64_t tokens = answer && a->operation == GW__EMBED ? gw__embed_tokens(answer) : -1;
    if (a->operation == GW__EMBED) {
        tel_add(a->g->tel, TEL_model_calls, 1, TEL_LABELS(m->name, outcome));
        tel_observe(a->g->tel, TEL_gen_ai_duration, (double)(clock_mono_ms() - a->sent_at) / 1000,
                    TEL_LABELS("embeddings", m->provider, name, failed));
    } else {
        tel_add(a->g->tel, TEL_model_asks, 1,
                TEL_LABELS(m->name, a->operation == GW__LIST ? "list" : "health", outcome));
    }
    if (tokens >= 0)
        tel_span_int(a->span, "gen_ai.usage.input_tokens", tokens);
    if (a->out.http_status)
        tel_span_int(a->span, "http.response.status_code", a->out.http_status);
    tel_span_text(a->span, "mcp_console.outcome", outcome);
    if (code && code != ERR_CANCELLED)
        tel_span_fail(a->span, failed);
    tel_span_end(a->span);
    a->span = NULL;
}

void gw__told_embedded(struct gw *g, const struct gw_model *m, const struct gw_usage *u)
{
    count_tokens(g->tel, "embeddings", m, *m->model ? m->model : m->name, u);
}

void gw_collect(struct gw *g)
{
    static const double by_state[] = {0, 0.5, 1};
    tel_clear(g->tel, TEL_model_running); /* of models that are no more */
    tel_clear(g->tel, TEL_model_waiting);
    tel_clear(g->tel, TEL_model_breaker);
    for (size_t i = 0; i < g->count; i++) {
        const struct gw__lane *l = g->models[i]->lane;
        const char *name = g->models[i]->pub.name;
        bool half = strcmp(breaker_state(&l->breaker), "half-open") == 0;
        tel_set(g->tel, TEL_model_running, (double)l->running, TEL_LABELS(name));
        tel_set(g->tel, TEL_model_waiting, (double)l->waiting, TEL_LABELS(name));
        tel_set(g->tel, TEL_model_breaker, by_state[l->breaker.open ? 2 - half : 0],
                TEL_LABELS(name));
    }
}
