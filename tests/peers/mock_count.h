/* What the mock counts and remembers of its requests, and the script that says what they get. */
#ifndef TESTS_MOCK_COUNT_H
#define TESTS_MOCK_COUNT_H

#include "tests/peers/mock_other.h"

enum { LOG_MAX = 200000 };

struct model_count {
    char *name;
    int64_t requests, now, most, in, out;
};
struct line { /* of the script */
    char *behave, *model, *path;
    int64_t times;
};

static struct mock {
    int epoll, listener;
    struct conn *conns;
    struct mock_entry **log;
    size_t log_len, log_cap;
    bool no_log;
    struct line *script;
    size_t script_len;
    struct model_count *models;
    size_t model_len;
    json_t *statuses, *keys;
    int64_t requests, connections, now, most, cancels, tokens;
    struct buf hostile;
} mock;

/* ---- what is counted */

static inline struct model_count *count_of(const char *model)
{
    for (size_t i = 0; i < mock.model_len; i++)
        if (strcmp(mock.models[i].name, model) == 0)
            return &mock.models[i];
    mock.models = xrealloc(mock.models, (mock.model_len + 1) * sizeof *mock.models);
    mock.models[mock.model_len] = (struct model_count){.name = xstrdup(model)};
    return &mock.models[mock.model_len++];
}

static inline void count_up(json_t *object, const char *key)
{
    json_put(object, key, json_integer(json_int(object, key, 0) + 1));
}

static inline void entry_free(struct mock_entry *e)
{
    free(e->model);
    free(e->path);
    free(e->said);
    free(e->key);
    json_decref(e->headers);
    json_decref(e->body);
    free(e);
}

static inline json_t *entry_json(const struct mock_entry *e)
{
    json_t *o = json_object();
    json_puts(o, "model", e->model);
    json_puts(o, "path", e->path);
    json_puts(o, "said", e->said);
    json_put(o, "headers", json_incref(e->headers));
    json_put(o, "body", e->body ? json_incref(e->body) : json_null());
    json_puti(o, "status", e->status);
    json_puti(o, "tokens", e->tokens);
    json_put(o, "disconnected", json_boolean(e->gone != 0));
    json_puti(o, "began_ns", (int64_t)e->began);
    json_puti(o, "head_ns", (int64_t)e->head);
    json_puti(o, "first_ns", (int64_t)e->first);
    json_puti(o, "ended_ns", (int64_t)e->ended);
    json_puti(o, "gone_ns", (int64_t)e->gone);
    json_put(o, "usage", json_null());
    if (e->counted) {
        json_t *usage = json_object();
        json_puti(usage, "in", e->in);
        json_puti(usage, "out", e->out);
        json_puti(usage, "cached", e->cached);
        json_puti(usage, "cache_write", e->cache_write);
        json_puti(usage, "reasoning", e->reasoning);
        json_put(o, "usage", usage);
    }
    return o;
}

static inline json_t *count_json(void)
{
    json_t *o = json_object(), *models = json_object();
    int64_t open = 0;
    for (const struct conn *c = mock.conns; c; c = c->next)
        open++;
    json_puti(o, "requests", mock.requests);
    json_puti(o, "connections", mock.connections);
    json_puti(o, "open", open);
    json_puti(o, "now", mock.now);
    json_puti(o, "most", mock.most);
    json_puti(o, "cancels", mock.cancels);
    json_puti(o, "tokens", mock.tokens);
    json_puti(o, "oauth", mock_token_count);
    json_put(o, "statuses", json_deep_copy(mock.statuses));
    json_put(o, "keys", json_deep_copy(mock.keys));
    for (size_t i = 0; i < mock.model_len; i++) {
        const struct model_count *m = &mock.models[i];
        json_t *row = json_object();
        json_puti(row, "requests", m->requests);
        json_puti(row, "now", m->now);
        json_puti(row, "most", m->most);
        json_puti(row, "in", m->in);
        json_puti(row, "out", m->out);
        json_put(models, m->name, row);
    }
    json_put(o, "models", models);
    return o;
}

static inline void forget(void)
{
    for (size_t i = 0; i < mock.log_len; i++) {
        mock.log[i]->kept = mock.log[i]->ended == 0 && mock.log[i]->gone == 0;
        if (!mock.log[i]->kept)
            entry_free(mock.log[i]);
        else
            mock.log[i]->kept = false; /* its connection frees it */
    }
    for (size_t i = 0; i < mock.script_len; i++) {
        free(mock.script[i].behave);
        free(mock.script[i].model);
        free(mock.script[i].path);
    }
    for (size_t i = 0; i < mock.model_len; i++) {
        int64_t now = mock.models[i].now;
        char *name = mock.models[i].name;
        mock.models[i] = (struct model_count){.name = name, .now = now, .most = now};
    }
    mock.log_len = mock.script_len = 0;
    json_object_clear(mock.statuses);
    json_object_clear(mock.keys);
    mock.requests = mock.connections = mock.cancels = mock.tokens = 0;
    mock.most = mock.now;
}

/* The request is over, one way or the other. */
static inline void entry_over(struct conn *c, bool gone)
{
    struct mock_entry *e = c->e;
    struct model_count *m = count_of(e->model);
    c->e = NULL;
    mock.now--;
    m->now--;
    if (gone) {
        e->gone = clock_mono_ns();
        mock.cancels++;
    } else {
        e->ended = clock_mono_ns();
        m->in += e->counted ? e->in : 0;
        m->out += e->counted ? e->out : 0;
    }
    mock.tokens += e->tokens;
    char status[16];
    snprintf(status, sizeof status, "%lld", (long long)e->status);
    count_up(mock.statuses, status);
    if (!e->kept)
        entry_free(e);
}

/* ---- the script */

static inline void script_add(const json_t *item)
{
    const char *behave =
        json_is_string(item) ? json_string_value(item) : json_str(item, "behave", "");
    mock.script = xrealloc(mock.script, (mock.script_len + 1) * sizeof *mock.script);
    mock.script[mock.script_len++] =
        (struct line){.behave = xstrdup(behave),
                      .model = xstrdup_or_null(json_str(item, "model", NULL)),
                      .path = xstrdup_or_null(json_str(item, "path", NULL)),
                      .times = json_int(item, "times", 1)};
}

/* The line for a request, or NULL; the caller frees. */
static inline char *script_take(const char *model, const char *path)
{
    for (size_t i = 0; i < mock.script_len; i++) {
        struct line *s = &mock.script[i];
        if ((s->model && strcmp(s->model, model) != 0) || (s->path && !strstr(path, s->path)))
            continue;
        if (--s->times > 0)
            return xstrdup(s->behave);
        char *behave = s->behave;
        free(s->model);
        free(s->path);
        memmove(s, s + 1, (--mock.script_len - i) * sizeof *s);
        return behave;
    }
    return NULL;
}

#endif
