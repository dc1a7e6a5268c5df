/* Embeddings, in batches: POST {url}/embeddings {model, input} gets {data: [{index, embedding}],
 * usage} in OpenAI's API, POST /api/embed gets {embeddings, prompt_eval_count} in Ollama's.
 *
 * 1 A batch is sent when the admission let it in and the model has a place, for which it stands in
 * the model's queue, and each that was let
 * in is settled once. 2 Either every text has a vector, all of the same length and of finite
 * numbers, or it is an error. */
#include "backend/base/clock.h"
#include "backend/gateway/ask.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TEXTS_MAX = 65536, DIMENSIONS_MAX = 16384, BATCH_BYTES = 1 << 20 };

struct embedding {
    struct gw_ask *a;
    char **texts;
    size_t count, at, batch; /* texts; the first of the batch under way; how many it has */
    float *vectors;
    size_t dimensions;
    struct gw_request whom;
    struct gw__seat seat;
    struct gw_spent spent;
    uint64_t ticket;
    bool placed, admitted;
};

/* The batch under way is over: its place and its ticket go back. */
static void leave(struct embedding *b, const char *outcome, enum err code, int64_t tokens,
                  bool estimated)
{
    const struct gw__model *m = b->a->m;
    struct gw_admission *admission = &b->a->g->admission;
    struct gw_attempt one = {.model = &m->pub,
                             .outcome = outcome,
                             .code = code,
                             .usage = {.input_tokens = tokens, .estimated = estimated},
                             .first_token_ms = -1};
    if (b->admitted && admission->settle)
        admission->settle(b->a->g->admission_arg, b->ticket, &one);
    b->admitted = false;
    if (b->placed)
        gw__lane_leave(b->a->g, m);
    b->placed = false;
    struct gw_attempt *all = &b->spent.at[0];
    all->outcome = outcome;
    all->code = code;
    all->usage.input_tokens += tokens;
    all->usage.estimated |= estimated;
    gw__told_embedded(b->a->g, &m->pub, &one.usage);
}

static int64_t estimate(const struct embedding *b)
{
    int64_t n = 0;
    for (size_t i = 0; i < b->batch; i++)
        n += gw_estimate_tokens(b->texts[b->at + i]);
    return n;
}

static void release(void *state, bool sent, struct gw_spent *spent)
{
    struct embedding *b = state;
    gw__lane_unwait(b->a->g, &b->seat);
    if (b->placed || b->admitted)
        leave(b, "cancelled", ERR_CANCELLED, sent ? estimate(b) : 0, sent);
    for (size_t i = 0; i < b->count; i++)
        free(b->texts[i]);
    free(b->texts);
    free(b->vectors);
    gw__request_release(&b->whom);
    if (spent) {
        b->spent.at[0].elapsed_ms = (int64_t)(clock_mono_ms() - b->a->started);
        *spent = b->spent;
    } else {
        gw_spent_release(&b->spent);
    }
    free(b);
}

static void end(struct embedding *b, const struct error *e)
{
    struct gw_ask *a = b->a;
    struct gw_attempt *all = &b->spent.at[0];
    all->elapsed_ms = (int64_t)(clock_mono_ms() - a->started);
    all->http_status = a->out.http_status;
    if (!e->code) {
        a->out.vectors = b->vectors;
        a->out.count = b->count;
        a->out.dimensions = b->dimensions;
    }
    a->out.spent = &b->spent;
    gw__ask_end(a, e);
}

/* ---- what came */

static bool take_vector(struct embedding *b, size_t place, const json_t *values)
{
    size_t n = json_array_size(values);
    if (!b->vectors && n && n <= DIMENSIONS_MAX) {
        b->dimensions = n;
        b->vectors = xcalloc(b->count * n, sizeof *b->vectors);
    }
    if (!n || n != b->dimensions)
        return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_array_get(values, i);
        double x = json_number_value(value);
        if (!json_is_number(value) || !isfinite(x) || fabs(x) > 1e30)
            return false;
        b->vectors[(b->at + place) * n + i] = (float)x;
    }
    return true;
}

static bool take_vectors(struct embedding *b, const json_t *answer)
{
    const json_t *rows = json_object_get(answer, "data"), *row;
    bool plain = !json_is_array(rows);
    if (plain)
        rows = json_object_get(answer, "embeddings");
    if (json_array_size(rows) != b->batch)
        return false;
    unsigned char *seen = xcalloc(b->batch, 1);
    bool fine = true;
    size_t i;
    json_array_foreach((json_t *)rows, i, row)
    {
        int64_t index = plain ? (int64_t)i : json_int(row, "index", (int64_t)i);
        fine = fine && index >= 0 && (size_t)index < b->batch && !seen[index] &&
               take_vector(b, (size_t)index, plain ? row : json_object_get(row, "embedding"));
        if (fine)
            seen[index] = 1;
    }
    free(seen);
    return fine;
}

/* As reported for all, or for each text (GigaChat); -1: not at all. */
int64_t gw__embed_tokens(const json_t *answer)
{
    const json_t *row;
    size_t i;
    int64_t all = gw__count(json_object_get(answer, "usage"), "prompt_tokens"), sum = 0;
    if (all < 0)
        all = gw__count(answer, "prompt_eval_count");
    if (all >= 0)
        return all;
    json_array_foreach(json_object_get(answer, "data"), i, row)
    {
        int64_t n = gw__count(json_object_get(row, "usage"), "prompt_tokens");
        if (n < 0)
            return -1;
        sum += n;
    }
    return i ? sum : -1;
}

static void next_batch(struct gw_ask *a, const json_t *answer, const struct error *e);

static void came(struct gw_ask *a, const json_t *answer, const struct error *e)
{
    struct embedding *b = a->state;
    struct error why = *e;
    int64_t tokens = why.code ? -1 : gw__embed_tokens(answer);
    bool sent = !why.code || a->out.http_status == 200;
    if (!why.code && !take_vectors(b, answer))
        err_set(&why, ERR_PROTOCOL,
                "%s: the answer does not hold one vector for each text, all of the same length",
                a->m->pub.name);
    const json_t *usage = json_object_get(answer, "usage");
    if (usage && !b->spent.at[0].raw_usage)
        b->spent.at[0].raw_usage = json_deep_copy(usage);
    leave(b, why.code ? "error" : "ok", why.code,
          tokens >= 0 ? tokens
          : sent      ? estimate(b)
                      : 0,
          tokens < 0);
    b->at += b->batch;
    b->batch = 0;
    if (why.code || b->at == b->count)
        end(b, &why);
    else
        next_batch(a, NULL, &why);
}

/* ---- what is sent */

static void size_batch(struct embedding *b)
{
    size_t bytes = 0;
    for (b->batch = 0; b->at + b->batch < b->count && b->batch < b->a->m->form.embed_batch;
         b->batch++) {
        bytes += strlen(b->texts[b->at + b->batch]);
        if (b->batch && bytes > BATCH_BYTES)
            break;
    }
}

static void next_batch(struct gw_ask *a, const json_t *answer, const struct error *e)
{
    (void)answer;
    (void)e;
    struct embedding *b = a->state;
    struct gw_admission *admission = &a->g->admission;
    struct error why = {0};
    if (b->seat.kept)
        b->placed = true;
    b->seat.kept = NULL;
    if (!b->placed && !(b->placed = gw__lane_take(a->g, a->m))) {
        b->seat.begun = b->at > 0;
        a->step = next_batch; /* when a place is kept for it */
        if (gw__lane_wait(a->g, &b->seat, a->m, &why) != ERR_OK)
            end(b, &why);
        return;
    }
    size_batch(b);
    if (admission->reserve && admission->reserve(a->g->admission_arg, &a->m->pub, &b->whom,
                                                 estimate(b), 0, &b->ticket, &why) != ERR_OK) {
        leave(b, "error", why.code, 0, false);
        end(b, &why);
        return;
    }
    b->admitted = admission->reserve != NULL;
    json_t *body = json_object(), *input = json_array();
    char *name = gw__model_name(a->m, a->m->form.embed_scheme);
    for (size_t i = 0; i < b->batch; i++) {
        const char *text = b->texts[b->at + i];
        json_array_append_new(input, json_text(text, strlen(text)));
    }
    json_puts(body, "model", name);
    json_put(body, "input", input);
    free(name);
    gw__ask_send(a, gw__address(a->m, a->m->form.embed), body, came);
}

/* builtin/vector: trigrams, so many texts a turn of the loop. */
static void by_itself(struct gw_ask *a, const json_t *answer, const struct error *e)
{
    enum { TURN = 64 };
    struct embedding *b = a->state;
    (void)answer;
    if (!b->vectors) {
        b->dimensions = GW__DIM;
        b->vectors = xcalloc(b->count * GW__DIM, sizeof *b->vectors);
    }
    for (size_t i = 0; i < TURN && b->at < b->count; i++, b->at++)
        gw__trigrams(b->texts[b->at], b->vectors + b->at * GW__DIM);
    if (b->at < b->count) {
        gw__ask_later(a, 0, by_itself);
        return;
    }
    b->spent.at[0].outcome = "ok";
    end(b, e);
}

bool gw_can_embed(const struct gw *g, const char *model)
{
    const struct gw__model *m = gw__find(g, model);
    return m && (m->pub.builtin ? m->vectors : m->form.embed != NULL);
}

static const char *unable(const struct gw__model *m, size_t count)
{
    if (m->pub.builtin && !m->vectors)
        return "it has no vectors: builtin/vector does";
    if (!m->pub.builtin && !m->form.embed)
        return "its API has no embeddings";
    if (!count || count > TEXTS_MAX)
        return "1 to 65536 texts at once";
    return NULL;
}

struct gw_ask *gw_embed(struct gw *g, const char *model, const char *const *texts, size_t count,
                        const struct gw_request *whom, gw_asked_fn *fn, void *arg, struct error *e)
{
    static const struct gw_request nobody = {.lang = "en"};
    struct gw_ask *a = gw__ask_new(g, model, GW__EMBED, fn, arg, e);
    if (!a)
        return NULL;
    const char *why = unable(a->m, count);
    whom = whom ? whom : &nobody;
    enum err code = ERR_OK;
    if (why)
        code = err_set(e, ERR_UNSUPPORTED, "%s: %s", model, why);
    else if (!gw__region_fits(whom->regions, a->m->pub.region))
        code = err_set(e, ERR_DENIED, "%s is in region \"%s\": texts may go to %s only", model,
                       a->m->pub.region, whom->regions);
    if (code) {
        gw_ask_cancel(a, NULL);
        return NULL;
    }
    a->traceparent = xstrdup_or_null(whom->traceparent);
    struct embedding *b = xcalloc(1, sizeof *b);
    *b = (struct embedding){.a = a, .count = count, .spent = {.count = 1}};
    b->texts = xcalloc(count, sizeof *b->texts);
    for (size_t i = 0; i < count; i++)
        b->texts[i] = xstrdup(texts[i]);
    gw__request_copy(&b->whom, whom);
    b->spent.at[0] =
        (struct gw_attempt){.model = &a->m->pub, .outcome = "cancelled", .first_token_ms = -1};
    b->seat = (struct gw__seat){.wake = a->timer, .tag = b->whom.tag};
    a->state = b;
    a->release = release;
    gw__ask_later(a, gw__off_peak_ms(a->m, &b->whom), a->m->pub.builtin ? by_itself : next_batch);
    return a;
}
