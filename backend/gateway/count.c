/* What each model knows of tokens: its ranks, what was learnt from its provider, how long its
 * answers are.
 *
 * 1 Ranks are read on a worker, once a file; until they are there, and if they cannot be read,
 * texts are estimated. A file that is being read outlives the gateway. 2 Only what a provider
 * reported is learnt, and only of tries that ended well: texts of which a part is not known (tool
 * calls, thinking that is not shown) teach nothing. */
#include "backend/gateway/count.h"
#include "backend/gateway/fit.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct gw__rank_file {
    struct gw__rank_file *next;
    char *path;
    enum gw__splitter splitter;
    struct gw__ranks *ranks; /* NULL: not read yet, or error */
    struct error error;
    bool reading, forgotten;
};

/* ---- ranks */

static void file_free(struct gw__rank_file *f)
{
    gw__ranks_free(f->ranks);
    free(f->path);
    free(f);
}

struct reading {
    struct gw__rank_file *file;
    struct gw__ranks *ranks;
    struct error error;
};

static void read_work(void *arg)
{
    struct reading *r = arg;
    r->ranks = gw__ranks_load(r->file->path, r->file->splitter, &r->error);
}

static void read_done(void *arg, bool cancelled)
{
    struct reading *r = arg;
    struct gw__rank_file *f = r->file;
    (void)cancelled;
    f->reading = false;
    f->ranks = r->ranks;
    f->error = r->error;
    if (f->forgotten)
        file_free(f);
    free(r);
}

static const struct gw__rank_file *file_of(struct gw *g, const char *path, enum gw__splitter s)
{
    for (struct gw__rank_file *f = g->rank_files; f; f = f->next)
        if (f->splitter == s && strcmp(f->path, path) == 0)
            return f;
    struct gw__rank_file *f = xcalloc(1, sizeof *f);
    struct reading *r = xcalloc(1, sizeof *r);
    *f = (struct gw__rank_file){
        .next = g->rank_files, .path = xstrdup(path), .splitter = s, .reading = true};
    g->rank_files = f;
    r->file = f;
    loop_work(g->loop, read_work, read_done, r);
    return f;
}

void gw__count_forget_files(struct gw *g)
{
    for (struct gw__rank_file *f = g->rank_files, *next; f; f = next) {
        next = f->next;
        f->forgotten = true;
        if (!f->reading)
            file_free(f);
    }
    g->rank_files = NULL;
}

struct gw__count *gw__count_new(void)
{
    struct gw__count *c = xcalloc(1, sizeof *c);
    gw__learner_init(&c->text);
    gw__learner_init(&c->template);
    return c;
}

void gw__count_inherit(struct gw__model *m, const struct gw__model *from)
{
    const struct gw__rank_file *file = m->count->file;
    *m->count = *from->count;
    m->count->file = file;
    if (strcmp(m->pub.url, from->pub.url) != 0)
        m->count->energy = (struct gw__energy){.tries = 0}; /* perhaps another machine's */
}

enum err gw__count_configure(struct gw *g, struct gw__model *m, const char *ranks,
                             const char *splitter, const char **key, struct error *e)
{
    if (!*ranks)
        return ERR_OK;
    enum gw__splitter s = gw__splitter_named(splitter, ranks);
    *key = "splitter";
    if (s == GW__SPLITTERS)
        return err_set(e, ERR_CONFIG,
                       "the file's name does not say how texts are split; set cl100k, o200k, "
                       "llama3 or qwen");
    m->count->file = file_of(g, ranks, s);
    return ERR_OK;
}

const struct gw__ranks *gw__count_ranks(const struct gw__model *m)
{
    return m->count->file ? m->count->file->ranks : NULL;
}

/* ---- counting */

double gw__count_text(const struct gw__model *m, const char *text, size_t len)
{
    const struct gw__ranks *ranks = gw__count_ranks(m);
    if (!text || !len)
        return 0;
    if (ranks)
        return (double)gw__ranks_count(ranks, text, len);
    struct gw__features f = {.count = {0}};
    gw__features_add(&f, text, len);
    return gw__learner_tokens(&m->count->text, &f);
}

double gw__count_error(const struct gw__model *m)
{
    static const double LEAST = 0.03, MOST = 0.15, EXACT = 0.01;
    enum { TRUSTED = 10 };
    const struct tel_history *h = &m->count->text.error;
    if (gw__count_ranks(m))
        return EXACT;
    return h->count < TRUSTED ? MOST : fmin(MOST, fmax(LEAST, tel_quantile(h, 0.95)));
}

/* Calls fn with each text of a request that a real model reads. */
typedef void text_fn(void *arg, const char *text, size_t len);

static void each_text(const struct gw_request *r, text_fn *fn, void *arg)
{
    for (size_t i = 0; i < r->message_count; i++) {
        const struct gw_message *m = &r->messages[i];
        if (m->content)
            fn(arg, m->content, strlen(m->content));
        if (m->tool_calls) {
            char *calls = json_write(m->tool_calls);
            fn(arg, calls, strlen(calls));
            free(calls);
        }
    }
    if (r->tools) {
        char *tools = json_write(r->tools);
        fn(arg, tools, strlen(tools));
        free(tools);
    }
}

/* What a request is by the model's own way of counting: features for its learner, and with ranks
 * the exact tokens of its texts. */
struct measure {
    const struct gw__ranks *ranks;
    struct gw__features features;
    double exact;
};

static void measure_text(void *arg, const char *text, size_t len)
{
    struct measure *m = arg;
    if (m->ranks)
        m->exact += (double)gw__ranks_count(m->ranks, text, len);
    else
        gw__features_add(&m->features, text, len);
}

static struct measure measure_request(const struct gw__model *model, const struct gw_request *r)
{
    struct measure m = {.ranks = gw__count_ranks(model)};
    m.features.count[GW__F_REQUEST] = 1;
    m.features.count[GW__F_MESSAGE] = (double)r->message_count;
    each_text(r, measure_text, &m);
    return m;
}

static struct gw__learner *learner_of(const struct gw__model *m)
{
    return gw__count_ranks(m) ? &m->count->template : &m->count->text;
}

static double measured(const struct gw__model *model, const struct measure *m)
{
    return m->exact + gw__learner_tokens(learner_of(model), &m->features);
}

int64_t gw__input_estimate(const struct gw__model *m, const struct gw_request *r)
{
    if (!m->pub.builtin && r->message_count) {
        struct measure all = measure_request(m, r);
        return (int64_t)ceil(measured(m, &all));
    }
    int64_t n = gw_estimate_tokens(r->question);
    for (size_t i = 0; m->pub.builtin && i < r->source_count; i++)
        n += gw_estimate_tokens(r->sources[i].text);
    return n + gw_estimate_tokens(r->mine) + gw_estimate_tokens(r->other);
}

int64_t gw__output_estimate(const struct gw__try *t)
{
    if (t->m->pub.builtin)
        return gw_estimate_tokens(t->text.data);
    return (int64_t)ceil(gw__count_text(t->m, t->text.data, t->text.len));
}

/* ---- learning */

void gw__count_learn(const struct gw__try *t)
{
    struct gw__count *c = t->m->count;
    if (t->m->pub.builtin || !t->r->message_count)
        return;
    if (t->output_tokens > 0)
        gw__forecast_learn(&c->forecast, t->max_output, (double)t->output_tokens);
    if (t->input_tokens <= 0)
        return;
    struct gw__learner *l = learner_of(t->m);
    struct measure in = measure_request(t->m, t->r);
    double estimate = measured(t->m, &in), reported = (double)t->input_tokens;
    bool known = t->output_tokens > 0 && t->text.len && !t->tool_calls && !t->reasoning.len &&
                 !t->hidden_tokens && !t->call_bytes && t->reasoning_tokens <= 0;
    struct measure out = {.ranks = in.ranks};
    if (known) {
        measure_text(&out, t->text.data, t->text.len);
        estimate += measured(t->m, &out);
        reported += (double)t->output_tokens;
    }
    gw__learner_judge(l, estimate, reported);
    gw__learner_learn(l, &in.features, (double)t->input_tokens - in.exact);
    if (known && !out.ranks)
        gw__learner_learn(l, &out.features, (double)t->output_tokens);
    c->changed = true;
}

bool gw_learnt_anew(struct gw *g)
{
    bool any = false;
    for (size_t i = 0; i < g->count; i++) {
        any = any || g->models[i]->count->changed;
        g->models[i]->count->changed = false;
    }
    return any;
}

/* ---- for others */

int64_t gw_count_tokens(const struct gw *g, const char *model, const char *text)
{
    const struct gw__model *m = gw__find(g, model);
    if (!m || m->pub.builtin)
        return gw_estimate_tokens(text);
    return (int64_t)ceil(gw__count_text(m, text, text ? strlen(text) : 0));
}

static json_t *quantile(const struct tel_history *h, double q)
{
    return h->count ? json_real(tel_quantile(h, q)) : json_null();
}

static json_t *bytes_per_token(const struct gw__learner *l)
{
    static const char *const NAMES[GW__SCRIPTS] = {NULL,     "latin", "cyrillic", "cjk",
                                                   "digits", "signs", "space",    "other"};
    json_t *all = json_object();
    for (int s = GW__SCRIPT_LATIN; s < GW__SCRIPTS; s++) {
        double bytes = gw__learner_bytes(l, (enum gw__script)s);
        if (bytes > 0)
            json_put(all, NAMES[s], json_real(bytes));
    }
    return all;
}

json_t *gw_tokens_of_model(const struct gw *g, const char *model)
{
    const struct gw__model *m = gw__find(g, model);
    if (!m || m->pub.builtin)
        return json_null();
    const struct gw__learner *l = learner_of(m);
    const struct gw__rank_file *file = m->count->file;
    json_t *row = json_object();
    json_puts(row, "method", gw__count_ranks(m) ? "exact" : l->turns ? "learned" : "prior");
    json_puts(row, "error", file && file->error.code ? err_words(&file->error) : "");
    json_puti(row, "turns", l->turns);
    json_put(row, "p50", quantile(&l->error, 0.5));
    json_put(row, "p95", quantile(&l->error, 0.95));
    json_put(row, "bytes_per_token", bytes_per_token(&m->count->text));
    json_puti(row, "budget", m->pub.token_budget);
    return row;
}

/* ---- kept over restarts */

static json_t *forecast_save(const struct gw__forecast *f)
{
    json_t *saved = json_object();
    json_put(saved, "recent", json_real(f->recent));
    json_put(saved, "share", json_real(f->share));
    json_puti(saved, "turns", f->turns);
    return saved;
}

static void forecast_load(struct gw__forecast *f, const json_t *saved)
{
    double recent = json_num(saved, "recent", -1), share = json_num(saved, "share", -1);
    int64_t turns = json_int(saved, "turns", 0);
    if (recent > 0 && recent < 1e9 && share > 0 && share <= 1 && turns > 0)
        *f = (struct gw__forecast){.recent = recent, .share = share, .turns = turns};
}

json_t *gw_learnt(const struct gw *g)
{
    json_t *kept = json_object(), *models = json_object();
    for (size_t i = 0; i < g->count; i++) {
        const struct gw__model *m = g->models[i];
        if (m->pub.builtin ||
            !(m->count->text.turns + m->count->template.turns + m->count->energy.tries))
            continue;
        json_t *one = json_object();
        json_puts(one, "model", m->pub.model);
        json_puts(one, "url", m->pub.url);
        json_put(one, "text", gw__learner_save(&m->count->text));
        json_put(one, "template", gw__learner_save(&m->count->template));
        json_put(one, "forecast", forecast_save(&m->count->forecast));
        json_put(one, "energy", gw__energy_save(&m->count->energy));
        json_put(models, m->pub.name, one);
    }
    json_puti(kept, "version", 1);
    json_put(kept, "models", models);
    return kept;
}

void gw_learn_from(struct gw *g, const json_t *kept)
{
    const json_t *models = json_object_get(kept, "models");
    for (size_t i = 0; json_int(kept, "version", 0) == 1 && i < g->count; i++) {
        const struct gw__model *m = g->models[i];
        const json_t *one = json_object_get(models, m->pub.name);
        if (m->pub.builtin || strcmp(json_str(one, "model", ""), m->pub.model) != 0 ||
            strcmp(json_str(one, "url", ""), m->pub.url) != 0)
            continue; /* another tokenizer, perhaps */
        gw__learner_load(&m->count->text, json_object_get(one, "text"));
        gw__learner_load(&m->count->template, json_object_get(one, "template"));
        forecast_load(&m->count->forecast, json_object_get(one, "forecast"));
        gw__energy_load(&m->count->energy, json_object_get(one, "energy"));
    }
}
