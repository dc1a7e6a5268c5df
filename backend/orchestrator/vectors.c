/* Vectors of texts within a trace. See vectors.h for the invariants.
 *
 *   texts -> model.call durable -> gw_embed -> model.output with the ledger's line -> `then`
 *         -> no model, or a failure, or its time is over: know_embed -> `then` */
#include "backend/orchestrator/vectors.h"
#include "backend/base/text.h"
#include "backend/orchestrator/internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct orch_embedding {
    struct trace *trace;
    struct orch_embed *to;        /* NULL: nobody waits any more */
    const struct gw_model *model; /* stays valid over a reload */
    char **texts;
    size_t count;
    struct loop_timer *limit;
    struct gw_ask *ask; /* or NULL */
    bool logging;       /* its model.call is not durable yet */
    int64_t call_entry;
    size_t stage;
};

const struct gw_model *orch__embedder(const struct orch *o)
{
    const char *name = conf_str(o->rooms.conf, "knowledge", "", "embedding");
    return *name ? gw_find(o->rooms.gw, name) : NULL;
}

enum err orch__embedder_read(const struct orch *o, struct error *e)
{
    const char *name = conf_str(o->rooms.conf, "knowledge", "", "embedding"), *why = NULL;
    const struct gw_model *m = *name ? gw_find(o->rooms.gw, name) : NULL;
    if (*name && !m)
        why = "there is no such model";
    else if (m && m->builtin)
        why = "the built-in vectors are used where nothing is named";
    else if (m && !gw_can_embed(o->rooms.gw, name))
        why = "its API has no embeddings";
    if (!why)
        return ERR_OK;
    return err_set(e, ERR_CONFIG, "%s: [knowledge]: embedding: %s",
                   conf_where(o->rooms.conf, "knowledge", "", "embedding"), why);
}

void orch__embed_release(struct orch_embed *m)
{
    orch__embed_cancel(m);
    free(m->vectors);
    free(m->failure);
    m->vectors = NULL;
    m->failure = NULL;
    m->count = 0;
}

static void embedding_free(struct orch_embedding *b)
{
    loop_timer_free(b->limit);
    for (size_t i = 0; i < b->count; i++)
        free(b->texts[i]);
    free(b->texts);
    free(b);
}

static void built_in(struct orch_embed *m, const char *const *texts, size_t count)
{
    m->count = count;
    m->dimensions = KNOW_DIM;
    m->by = "builtin";
    m->vectors = xcalloc(count * KNOW_DIM + 1, sizeof *m->vectors);
    for (size_t i = 0; i < count; i++)
        know_embed(m->trace->orch->rooms.know, texts[i], m->vectors + i * KNOW_DIM);
}

static void of_the_model(struct orch_embed *m, const struct gw_asked *a)
{
    m->count = a->count;
    m->dimensions = a->dimensions;
    m->by = a->model->name;
    m->vectors = xcalloc(a->count * a->dimensions + 1, sizeof *m->vectors);
    for (size_t i = 0; i < a->count; i++) {
        const float *from = a->vectors + i * a->dimensions;
        float *to = m->vectors + i * a->dimensions;
        double sum = 0;
        for (size_t k = 0; k < a->dimensions; k++)
            sum += (double)from[k] * from[k];
        double by = sum > 0 ? 1 / sqrt(sum) : 0;
        for (size_t k = 0; k < a->dimensions; k++)
            to[k] = (float)(from[k] * by);
    }
}

/* What the call came to, with its line of the ledger (V3). */
static int64_t log_output(const struct orch_embedding *b, const struct gw_spent *spent,
                          const char *outcome, size_t dimensions, const char *failure)
{
    struct trace *t = b->trace;
    struct gw_usage u = gw_spent_usage(spent);
    json_t *payload = json_object();
    json_puts(payload, "model", b->model->name);
    json_puts(payload, "task", "embed");
    json_puti(payload, "texts", (int64_t)b->count);
    json_puti(payload, "dimensions", (int64_t)dimensions);
    json_puti(payload, "input_tokens", u.input_tokens);
    json_put(payload, "estimated", json_boolean(u.estimated));
    json_puts(payload, "outcome", outcome);
    if (failure)
        json_puts(payload, "error", failure);
    struct orch_edges from = {.count = 0};
    orch__edge(&from, b->call_entry, "generate", -1);
    const struct orch_payer payer = {.cost = t->orch->rooms.cost,
                                     .trace_id = t->id,
                                     .session = prov_session(t->orch->rooms.prov),
                                     .project =
                                         conf_str(t->orch->rooms.conf, "console", "", "project"),
                                     .flow = "embedding",
                                     .model = b->model,
                                     .entry = b->call_entry};
    char *actor = xasprintf("model:%s", b->model->name);
    int64_t seq = orch__log_spent(t, "model.output", actor, &from, payload,
                                  orch_spent_new(spent, &payer, outcome));
    free(actor);
    return seq;
}

/* The one `then`; a NULL: built-in vectors. Frees b. */
static void conclude(struct orch_embedding *b, const struct gw_asked *a, const char *failure,
                     int64_t entry)
{
    struct orch_embed *m = b->to;
    struct trace *t = b->trace;
    m->under_way = NULL;
    m->entry = entry;
    if (a)
        of_the_model(m, a);
    else
        built_in(m, (const char *const *)b->texts, b->count);
    m->failure = failure ? text_cleaned(failure, TEXT_ONE_LINE) : NULL;
    orch__stage_end(t, b->stage, failure ? "failed" : "done", m->failure ? m->failure : "");
    b->to = NULL;
    if (!b->logging) {
        embedding_free(b);
        t->embeddings--;
    }
    m->then(m);
    orch__settle(t);
}

static void on_vectors(void *arg, const struct gw_asked *a)
{
    struct orch_embedding *b = arg;
    bool ok = a->error.code == ERR_OK;
    const char *failure = ok ? NULL : err_words(&a->error);
    b->ask = NULL;
    int64_t entry = log_output(b, a->spent, ok ? "ok" : "error", a->dimensions, failure);
    conclude(b, ok ? a : NULL, failure, entry);
}

/* Ends the exchange, if there is one, and logs what it took. */
static int64_t break_off(struct orch_embedding *b, const char *outcome, const char *why)
{
    struct gw_spent spent;
    if (!b->ask)
        return -1;
    gw_ask_cancel(b->ask, &spent);
    b->ask = NULL;
    int64_t entry = log_output(b, &spent, outcome, 0, why);
    gw_spent_release(&spent);
    return entry;
}

static void on_limit(void *arg)
{
    struct orch_embedding *b = arg;
    static const char late[] = "it was too late";
    conclude(b, NULL, late, break_off(b, "dropped", late));
}

static void on_call_logged(void *arg, int64_t seq, const struct error *e)
{
    struct orch_embedding *b = arg;
    struct trace *t = b->trace;
    struct error why = *e;
    (void)seq;
    t->writes--;
    b->logging = false;
    if (!b->to) { /* too late, or cancelled */
        const struct gw_spent none = gw_spent_nothing(b->model, ERR_CANCELLED);
        if (e->code == ERR_OK)
            log_output(b, &none, "cancelled", 0, "nobody waits for it any more");
        embedding_free(b);
        t->embeddings--;
        orch__settle(t);
        return;
    }
    if (e->code != ERR_OK) {
        orch__fail(t, e); /* which cancels this */
        return;
    }
    char traceparent[TEL_TRACEPARENT];
    bool traced = orch__traceparent(t, b->stage, traceparent);
    const char *regions = conf_str(t->orch->rooms.conf, "copilot", "", "regions");
    const struct gw_request whom = {.lang = t->lang,
                                    .trace_id = t->id,
                                    .session = prov_session(t->orch->rooms.prov),
                                    .project =
                                        conf_str(t->orch->rooms.conf, "console", "", "project"),
                                    .regions = *regions ? regions : NULL,
                                    .traceparent = traced ? traceparent : NULL};
    b->ask = gw_embed(t->orch->rooms.gw, b->model->name, (const char *const *)b->texts, b->count,
                      &whom, on_vectors, b, &why);
    if (b->ask)
        return;
    const struct gw_spent none = gw_spent_nothing(b->model, why.code);
    const char *words = err_words(&why);
    conclude(b, NULL, words, log_output(b, &none, "error", 0, words));
}

void orch__embed_cancel(struct orch_embed *m)
{
    struct orch_embedding *b = m->under_way;
    if (!b)
        return;
    m->under_way = NULL;
    b->to = NULL;
    orch__stage_end(b->trace, b->stage, "failed", "stopped");
    break_off(b, "cancelled", "stopped");
    loop_timer_stop(b->limit);
    if (!b->logging) {
        b->trace->embeddings--;
        embedding_free(b);
    }
}

static void log_call(struct orch_embedding *b)
{
    struct trace *t = b->trace;
    size_t bytes = 0;
    int64_t tokens = 0;
    json_t *payload = json_object();
    for (size_t i = 0; i < b->count; i++) {
        bytes += strlen(b->texts[i]);
        tokens += gw_estimate_tokens(b->texts[i]);
    }
    json_puts(payload, "model", b->model->name);
    json_puts(payload, "provider", b->model->provider);
    json_puts(payload, "region", b->model->region);
    json_puts(payload, "task", "embed");
    json_puti(payload, "texts", (int64_t)b->count);
    json_puti(payload, "bytes", (int64_t)bytes);
    json_puti(payload, "input_tokens", tokens); /* if its end is never heard of */
    struct orch_edges from = {.count = 0};
    orch__edge(&from, t->question_entry, "ask", -1);
    char *actor = xasprintf("model:%s", b->model->name);
    t->writes++;
    b->logging = true;
    b->call_entry =
        orch__log(t, "model.call", actor, &from, payload, on_call_logged, b, NULL, NULL);
    free(actor);
}

void orch__embed_texts(struct orch_embed *m, const char *const *texts, size_t count,
                       uint64_t limit_ms)
{
    struct trace *t = m->trace;
    const struct orch *o = t->orch;
    const struct gw_model *model = orch__embedder(o);
    BUG_IF(m->under_way || !count || count > ORCH_EMBED_TEXTS);
    orch__embed_release(m);
    m->entry = -1;
    if (!model) {
        const char *name = conf_str(o->rooms.conf, "knowledge", "", "embedding");
        built_in(m, texts, count);
        m->failure = *name ? xasprintf("there is no model \"%s\" any more", name) : NULL;
        m->then(m);
        return;
    }
    struct orch_embedding *b = xcalloc(1, sizeof *b);
    *b = (struct orch_embedding){.trace = t, .to = m, .model = model, .count = count};
    b->texts = xcalloc(count, sizeof *b->texts);
    for (size_t i = 0; i < count; i++)
        b->texts[i] = xstrdup(texts[i]);
    b->stage = orch__stage_begin(t, "embed", model->name);
    m->under_way = b;
    t->embeddings++;
    if (!limit_ms)
        limit_ms = (uint64_t)conf_int(o->rooms.conf, "knowledge", "", "embedding_ms");
    b->limit = loop_timer_new(o->rooms.loop, on_limit, b);
    loop_timer_start(b->limit, limit_ms, 0);
    log_call(b);
}
