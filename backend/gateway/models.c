/* Which models there are: the built-in ones, [model "x"] sections, and those that MODEL_BACKENDS
 * asks for by kind without a section of their own. Everything that can be wrong with them is found
 * here, at start. */
#include "backend/base/text.h"
#include "backend/gateway/count.h"
#include <stdlib.h>
#include <string.h>

enum { MODELS_MAX = 64, WORDS_MAX = 16, TOKEN_BUDGET = 4096, LEAST_CONTEXT = 256 };

static const char *about_of(const char *kind, bool vectors)
{
    if (strcmp(kind, "moderation") == 0)
        return "Judges texts for the safety filter; it answers no question.";
    if (strcmp(kind, "builtin") != 0)
        return "A language model behind an API: it writes freely, so check what it says against "
               "the "
               "sources it cites.";
    return vectors
               ? "Quotes tools and runbooks, ranked by character trigram vectors; it needs no "
                 "network, is no neural net and invents nothing."
               : "Quotes tools and runbooks, ranked by the words they share with the question; it "
                 "needs no network, is no neural net and invents nothing.";
}

static void model_free(struct gw__model *m)
{
    free((char *)m->pub.name);
    free((char *)m->pub.model);
    free((char *)m->pub.provider);
    free((char *)m->pub.region);
    free((char *)m->pub.url);
    free((char *)m->pub.currency);
    for (size_t i = 0; i < m->key_count; i++)
        free(m->keys[i]);
    free((char *)m->pub.off_peak);
    free(m->fingerprint);
    free(m->policy.fallback);
    free(m->lane);
    free(m->count);
    gw__form_release(&m->form);
    free(m->ca_file);
    free(m);
}

static void chosen_free(struct gw *g)
{
    for (size_t i = 0; i < g->chosen_len; i++)
        free(g->chosen[i]);
    free(g->chosen);
    g->chosen = NULL;
    g->chosen_len = 0;
}

void gw__models_free(struct gw *g)
{
    for (size_t i = 0; i < g->count; i++)
        model_free(g->models[i]);
    free(g->models);
    for (size_t i = 0; i < g->retired_count; i++)
        model_free(g->retired[i]);
    free(g->retired);
    gw__pools_free(g);
    chosen_free(g);
}

/* The host of an address, newly allocated; NULL if the address is not one we can use. */
static char *host_of(const char *url)
{
    size_t skip = strncasecmp(url, "http://", 7) == 0    ? 7
                  : strncasecmp(url, "https://", 8) == 0 ? 8
                                                         : 0;
    const char *host = url + skip;
    size_t len = strcspn(host, "/?#");
    if (!skip || !len || memchr(host, '@', len))
        return NULL;
    for (const char *p = url; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 127)
            return NULL;
    size_t end = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");
    return xstrndup(host, end);
}

static struct gw__model *add(struct gw *g, const char *name, const char *kind, const char *model,
                             const char *url, const char *region, const char *currency)
{
    BUG_IF(g->count == MODELS_MAX);
    const struct gw__kind *row = gw__kind_find(kind);
    BUG_IF(!row);
    struct gw__model *m = xcalloc(1, sizeof *m);
    bool builtin = strcmp(kind, "builtin") == 0;
    char *host = builtin ? NULL : host_of(url);
    const char *provider = row->provider;
    if (!provider || (strcmp(kind, "openai") == 0 && host && strcmp(host, "api.openai.com") != 0))
        provider = host ? host : kind;
    m->ops = row->ops;
    m->policy = (struct gw__policy){.retries = 0, .parallel = 1024, .queue = 64};
    m->lane = xcalloc(1, sizeof *m->lane);
    m->count = gw__count_new();
    m->fingerprint = xasprintf("%s %s %s", kind, url, model);
    m->vectors = builtin && strcmp(model, "vector") == 0;
    m->pub = (struct gw_model){.name = xstrdup(name),
                               .kind = row->name,
                               .model = xstrdup(model),
                               .provider = xstrdup(provider),
                               .region = xstrdup(builtin ? "local" : region),
                               .url = xstrdup(url),
                               .currency = xstrdup(currency),
                               .context = 8192,
                               .token_budget = TOKEN_BUDGET,
                               .tier = 1,
                               .off_peak = xstrdup(""),
                               .priced = builtin,
                               .price_cached = -1,
                               .price_reasoning = -1,
                               .energy = -1,
                               .builtin = builtin,
                               .about = about_of(kind, m->vectors)};
    free(host);
    g->models[g->count++] = m;
    return m;
}

static enum err wrong(struct error *e, const struct conf *conf, const char *name, const char *key,
                      const char *what)
{
    return err_set(e, ERR_CONFIG, "%s: [model \"%s\"]: %s: %s",
                   conf_where(conf, "model", name, key), name, key, what);
}

static enum err set_prices(struct gw__model *m, const struct conf *conf, const char *name,
                           struct error *e)
{
    const char *in = conf_str(conf, "model", name, "price_in");
    const char *out = conf_str(conf, "model", name, "price_out");
    if (!*in && !*out)
        return ERR_OK;
    if (!*in || !*out)
        return wrong(e, conf, name, *in ? "price_in" : "price_out",
                     "set both prices, or neither when they are not known");
    if (!text_decimal(in, &m->pub.price_in))
        return wrong(e, conf, name, "price_in", "not a decimal number such as 12.5");
    if (!text_decimal(out, &m->pub.price_out))
        return wrong(e, conf, name, "price_out", "not a decimal number such as 12.5");
    m->pub.priced = true;
    return ERR_OK;
}

static enum err set_tokens(struct gw *g, struct gw__model *m, const struct conf *conf,
                           const char *name, struct error *e)
{
    int64_t budget = conf_int(conf, "model", name, "token_budget");
    const char *key = "ranks";
    struct error why = {0};
    if (budget < LEAST_CONTEXT)
        return wrong(e, conf, name, "token_budget", "at least 256 tokens");
    m->pub.token_budget = budget < m->pub.context ? budget : m->pub.context;
    if (gw__count_configure(g, m, conf_str(conf, "model", name, "ranks"),
                            conf_str(conf, "model", name, "splitter"), &key, &why) != ERR_OK)
        return wrong(e, conf, name, key, why.detail);
    return ERR_OK;
}

static enum err set_decimals(struct gw__model *m, const struct conf *conf, const char *name,
                             struct error *e)
{
    const struct {
        const char *key;
        int64_t *to;
    } all[] = {{"price_cached", &m->pub.price_cached},
               {"price_reasoning", &m->pub.price_reasoning},
               {"energy", &m->pub.energy}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const char *text = conf_str(conf, "model", name, all[i].key);
        if (*text && !text_decimal(text, all[i].to))
            return wrong(e, conf, name, all[i].key, "not a decimal number such as 12.5");
    }
    if (!m->pub.priced && (m->pub.price_cached >= 0 || m->pub.price_reasoning >= 0))
        return wrong(e, conf, name, "price_in",
                     "set price_in and price_out with price_cached and price_reasoning");
    return ERR_OK;
}

static enum err add_builtin(struct gw *g, const struct conf *conf, const char *name,
                            struct error *e)
{
    const char *model = conf_str(conf, "model", name, "model");
    if (!*model)
        model = "lexical";
    if (strcmp(model, "lexical") != 0 && strcmp(model, "vector") != 0)
        return wrong(e, conf, name, "model", "a built-in model is lexical or vector");
    add(g, name, "builtin", model, "", "local", conf_str(conf, "console", "", "currency"));
    return ERR_OK;
}

static enum err unknown_kind(const struct conf *conf, const char *name, const char *kind,
                             struct error *e)
{
    const char *names[GW__KINDS_MAX];
    size_t n = 0;
    for (const struct gw__kind *k; n < GW__KINDS_MAX && (k = gw__kind_at(n)); n++)
        names[n] = k->name;
    const char *near = text_nearest(kind, names, n);
    return err_set(e, ERR_CONFIG, "%s: [model \"%s\"]: kind \"%s\" is not known%s%s%s",
                   conf_where(conf, "model", name, "kind"), name, kind,
                   near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static enum err add_configured(struct gw *g, const struct conf *conf, const char *name,
                               struct error *e)
{
    const char *kind = conf_str(conf, "model", name, "kind");
    const char *url = conf_str(conf, "model", name, "url");
    const char *model = conf_str(conf, "model", name, "model");
    const struct gw__kind *row = gw__kind_find(kind);
    if (gw_find(g, name))
        return err_set(e, ERR_CONFIG, "%s: [model \"%s\"]: the name is taken by a built-in model",
                       conf_where(conf, "model", name, "kind"), name);
    if (g->count + 2 >= MODELS_MAX)
        return err_set(e, ERR_CONFIG, "more than %d models", MODELS_MAX - 4);
    if (!row)
        return unknown_kind(conf, name, kind, e);
    if (strcmp(kind, "builtin") == 0)
        return add_builtin(g, conf, name, e);
    if (!*url && row->url && !row->url_required)
        url = row->url;
    char *host = host_of(url);
    if (!host)
        return wrong(e, conf, name, "url",
                     "set an address such as http://127.0.0.1:11434, without user or password");
    free(host);
    if (!*model)
        return wrong(e, conf, name, "model", "set the name that the server knows the model by");
    struct gw__model *m = add(g, name, kind, model, url, conf_str(conf, "model", name, "region"),
                              conf_str(conf, "model", name, "currency"));
    free(m->fingerprint);
    m->fingerprint = conf_section_text(conf, "model", name);
    m->ca_file = xstrdup(conf_str(conf, "model", name, "ca_file"));
    if (gw__form_load(m, row, conf, name, e) != ERR_OK ||
        gw__policy_load(m, conf, name, e) != ERR_OK)
        return e ? e->code : ERR_CONFIG;
    m->pub.context = conf_int(conf, "model", name, "context");
    if (m->pub.context < LEAST_CONTEXT)
        return wrong(e, conf, name, "context", "at least 256 tokens");
    if (set_tokens(g, m, conf, name, e) != ERR_OK)
        return e ? e->code : ERR_CONFIG;
    return set_prices(m, conf, name, e) == ERR_OK ? set_decimals(m, conf, name, e) : ERR_CONFIG;
}

/* The variable's text, or otherwise if it has none; "" for neither. */
static const char *env_or(const char *variable, const char *otherwise)
{
    const char *value = variable ? getenv(variable) : NULL;
    return value && *value ? value : otherwise ? otherwise : "";
}

/* A model for a kind named in MODEL_BACKENDS that no section configures. */
static enum err add_default(struct gw *g, const char *kind, const char *currency, struct error *e)
{
    const struct gw__kind *api = gw__kind_find(kind);
    const char *url = env_or(api->url_variable, api->url);
    const char *model = env_or(api->model_variable, api->model);
    if (!*url)
        return err_set(e, ERR_CONFIG, "MODEL_BACKENDS=%s: that kind needs a [model] section", kind);
    char *host = host_of(url);
    if (!host)
        return err_set(e, ERR_CONFIG, "%s: not an http or https address", api->url_variable);
    free(host);
    if (!*model)
        return err_set(e, ERR_CONFIG, "MODEL_BACKENDS=%s: set %s, or add a [model] section", kind,
                       api->model_variable);
    struct gw__model *m = add(g, kind, kind, model, url, api->local ? "local" : "", currency);
    if (gw__form_load(m, api, NULL, kind, e) != ERR_OK)
        return e ? e->code : ERR_CONFIG;
    if (*env_or(api->key_variable, NULL)) {
        m->keys[m->key_count++] = xasprintf("env:%s", api->key_variable);
        m->pub.keyed = true;
    }
    return ERR_OK;
}

static void choose(struct gw *g, const char *name)
{
    for (size_t i = 0; i < g->chosen_len; i++)
        if (strcmp(g->chosen[i], name) == 0)
            return;
    g->chosen = xrealloc(g->chosen, (g->chosen_len + 1) * sizeof *g->chosen);
    g->chosen[g->chosen_len++] = xstrdup(name);
}

static size_t choose_kind(struct gw *g, const char *kind)
{
    size_t n = 0;
    for (size_t i = 0; i < g->count; i++) {
        if (strcmp(g->models[i]->pub.kind, kind) == 0) {
            choose(g, g->models[i]->pub.name);
            n++;
        }
    }
    return n;
}

static enum err unknown(const struct gw *g, const char *where, const char *word, bool kinds,
                        struct error *e)
{
    const char *nearest = "builtin/lexical";
    unsigned least = 1000;
    for (size_t i = 0; i < g->count || (kinds && gw__kind_at(i - g->count)); i++) {
        const char *name = i < g->count ? g->models[i]->pub.name : gw__kind_at(i - g->count)->name;
        unsigned distance = text_distance(word, name, 999);
        if (distance < least) {
            least = distance;
            nearest = name;
        }
    }
    return err_set(e, ERR_CONFIG, "%s: no model%s is named \"%.60s\"; the nearest is \"%s\"", where,
                   kinds ? " or kind" : "", word, nearest);
}

/* One word of MODEL_BACKENDS (kinds allowed) or of [copilot] models. */
static enum err choose_word(struct gw *g, const char *word, bool kinds, const char *where,
                            const char *currency, struct error *e)
{
    if (gw_find(g, word) || gw__pool(g, word)) {
        choose(g, word);
        return ERR_OK;
    }
    if (!kinds || !gw__kind_find(word))
        return unknown(g, where, word, kinds, e);
    if (choose_kind(g, word))
        return ERR_OK;
    if (add_default(g, word, currency, e) != ERR_OK)
        return e ? e->code : ERR_CONFIG;
    choose_kind(g, word);
    return ERR_OK;
}

static enum err choose_all(struct gw *g, const struct conf *conf, struct error *e)
{
    const char *variable = env_or("MODEL_BACKENDS", "");
    bool kinds = *variable != '\0';
    const char *list = kinds ? variable : conf_str(conf, "copilot", "", "models");
    char *where = xstrdup(kinds ? "MODEL_BACKENDS" : conf_where(conf, "copilot", "", "models"));
    const char *currency = conf_str(conf, "console", "", "currency");
    enum err code = ERR_OK;
    while (code == ERR_OK && *(list += strspn(list, ", \t"))) {
        size_t len = strcspn(list, ", \t");
        char *word = xstrndup(list, len);
        if (g->chosen_len == WORDS_MAX)
            code = err_set(e, ERR_CONFIG, "%s: more than %d models", where, WORDS_MAX);
        else
            code = choose_word(g, word, kinds, where, currency, e);
        free(word);
        list += len;
    }
    for (size_t i = 0; code == ERR_OK && i < g->chosen_len; i++)
        if (gw_find(g, g->chosen[i]) && /* or a pool */
            strcmp(gw_find(g, g->chosen[i])->kind, "moderation") == 0)
            code = err_set(e, ERR_CONFIG,
                           "%s: \"%s\" judges texts and answers nothing: it belongs in "
                           "[safety] model",
                           where, g->chosen[i]);
    if (code == ERR_OK && !g->chosen_len)
        code = err_set(e, ERR_CONFIG, "%s: name at least one model", where);
    free(where);
    return code;
}

enum err gw__models_load(struct gw *g, const struct conf *conf, struct error *e)
{
    const char *names[MODELS_MAX];
    const char *currency = conf_str(conf, "console", "", "currency");
    g->models = xcalloc(MODELS_MAX, sizeof *g->models);
    add(g, "builtin/lexical", "builtin", "lexical", "", "local", currency);
    add(g, "builtin/vector", "builtin", "vector", "", "local", currency);
    size_t n = conf_names(conf, "model", names, MODELS_MAX);
    for (size_t i = 0; i < n && i < MODELS_MAX; i++)
        if (add_configured(g, conf, names[i], e) != ERR_OK)
            return e ? e->code : ERR_CONFIG;
    if (gw__policies_check(g, conf, e) != ERR_OK || gw__pools_load(g, conf, e) != ERR_OK)
        return e ? e->code : ERR_CONFIG;
    return choose_all(g, conf, e);
}

size_t gw_chosen(const struct gw *g, const struct conf *c, const char **names, size_t max)
{
    (void)c; /* both lists were read and checked by gw_new */
    size_t n = 0;
    for (; n < g->chosen_len && n < max; n++)
        names[n] = g->chosen[n];
    return n;
}

bool gw_is_chosen(const struct gw *g, const char *name)
{
    for (size_t i = 0; i < g->chosen_len; i++) {
        const struct gw__pool *p = gw__pool(g, g->chosen[i]);
        if (strcmp(g->chosen[i], name) == 0)
            return true;
        for (size_t j = 0; p && j < g->count; j++)
            if (strcmp(g->models[j]->pub.name, name) == 0 && gw__pool_has(p, g->models[j]))
                return true;
    }
    return false;
}

/* ---- a new configuration */

static size_t place_of(const struct gw *g, const char *name)
{
    size_t i = 0;
    while (i < g->count && strcmp(g->models[i]->pub.name, name) != 0)
        i++;
    return i;
}

static void retire(struct gw *g, struct gw__model *m)
{
    g->retired = xrealloc(g->retired, (g->retired_count + 1) * sizeof *g->retired);
    g->retired[g->retired_count++] = m;
}

enum err gw_reload(struct gw *g, const struct conf *conf, char **changes, struct error *e)
{
    struct gw fresh = {.loop = g->loop, .vault = g->vault, .rank_files = g->rank_files};
    struct buf names = {0};
    enum err code = gw__models_load(&fresh, conf, e);
    g->rank_files = fresh.rank_files; /* files that were read stay until the end */
    if (code != ERR_OK || !changes) {
        gw__models_free(&fresh);
        return code;
    }
    buf_adds(&names, "");
    for (size_t i = 0; i < fresh.count; i++) {
        size_t at = place_of(g, fresh.models[i]->pub.name);
        struct gw__model *old = at < g->count ? g->models[at] : NULL;
        if (old && strcmp(old->fingerprint, fresh.models[i]->fingerprint) == 0) {
            g->models[at] = fresh.models[i]; /* freed below: the old one lives on, with its queue */
            fresh.models[i] = old;
        } else {
            if (old && strcmp(old->pub.model, fresh.models[i]->pub.model) == 0)
                gw__count_inherit(fresh.models[i], old);
            buf_addf(&names, "%s\n", fresh.models[i]->pub.name);
        }
    }
    for (size_t i = 0; i < g->count; i++) {
        struct gw__model *m = g->models[i];
        size_t at = place_of(&fresh, m->pub.name);
        if (at < fresh.count && strcmp(fresh.models[at]->fingerprint, m->fingerprint) == 0) {
            model_free(m);
            continue;
        }
        if (at == fresh.count)
            buf_addf(&names, "%s\n", m->pub.name);
        retire(g, m);
    }
    free(g->models);
    g->models = fresh.models;
    g->count = fresh.count;
    chosen_free(g);
    g->chosen = fresh.chosen;
    g->chosen_len = fresh.chosen_len;
    gw__pools_free(g);
    g->pools = fresh.pools;
    g->pool_count = fresh.pool_count;
    gw__meter_open(&g->meter, conf_str(conf, "telemetry", "", "powercap"));
    *changes = buf_take(&names);
    return ERR_OK;
}
