/* The table of models.def, and the form that a model's section makes of its kind's. */
#include "backend/gateway/internal.h"
#include <stdlib.h>
#include <string.h>

enum { EXTRA_MAX = 64 << 10, EXTRA_DEPTH = 16, EMBED_BATCH = 64, BATCH_MAX = 2048 };

#define OPENAI_PATHS .chat = "/chat/completions", .embed = "/embeddings", .list = "/models"
static const struct gw__kind kinds[] = {
#define MODEL_API(kind, api, what, ...) {.name = kind, .help = what, .ops = &api, __VA_ARGS__},
#include "backend/gateway/models.def"
#undef MODEL_API
};
_Static_assert(sizeof kinds / sizeof *kinds <= GW__KINDS_MAX, "GW__KINDS_MAX");

const struct gw__kind *gw__kind_at(size_t i)
{
    return i < sizeof kinds / sizeof *kinds ? &kinds[i] : NULL;
}

const struct gw__kind *gw__kind_find(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

void gw__form_release(struct gw__form *f)
{
    free(f->limit);
    free(f->chat);
    free(f->embed);
    free(f->list);
    free(f->health);
    free(f->folder);
    free(f->token_url);
    free(f->scope);
    free(f->thinking);
    json_decref(f->extra);
    *f = (struct gw__form){0};
}

struct source { /* a section, or none */
    const struct conf *conf;
    const char *name;
    struct error *e;
};

static enum err wrong(const struct source *s, const char *key, const char *what)
{
    return err_set(s->e, ERR_CONFIG, "%s: [model \"%s\"]: %s: %s",
                   conf_where(s->conf, "model", s->name, key), s->name, key, what);
}

static const char *said(const struct source *s, const char *key)
{
    return s->conf ? conf_str(s->conf, "model", s->name, key) : "";
}

/* The section's words, or the kind's, or NULL. */
static char *text_of(const struct source *s, const char *key, const char *kinds_own)
{
    const char *text = said(s, key);
    return *text ? xstrdup(text) : xstrdup_or_null(kinds_own);
}

static enum err read_path(const struct source *s, const char *key, const char *kinds_own,
                          char **out)
{
    *out = text_of(s, key, kinds_own);
    for (const char *p = *out; p && *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 127 || **out != '/')
            return wrong(s, key, "a path begins with / and has no blanks");
    return ERR_OK;
}

/* The place of a word in a list, or what the kind says. */
static int choice(const struct source *s, const char *key, const char *const *words, size_t n,
                  int kinds_own)
{
    const char *word = said(s, key);
    for (size_t i = 0; i < n; i++)
        if (strcmp(word, words[i]) == 0)
            return (int)i;
    return kinds_own;
}

static enum err read_extra(const struct source *s, struct gw__form *f)
{
    const char *text = said(s, "extra");
    struct error why = {0};
    if (!*text)
        return ERR_OK;
    f->extra = json_read(text, strlen(text), EXTRA_MAX, EXTRA_DEPTH, &why);
    if (!json_is_object(f->extra))
        return wrong(s, "extra", "not a JSON object");
    if (json_object_get(f->extra, "messages") || json_object_get(f->extra, "stream") ||
        json_object_get(f->extra, "model"))
        return wrong(s, "extra", "model, messages and stream are this console's own");
    return ERR_OK;
}

static bool has_scheme(const char *name)
{
    return strstr(name, "://") != NULL;
}

enum err gw__form_load(struct gw__model *m, const struct gw__kind *kind, const struct conf *conf,
                       const char *name, struct error *e)
{
    static const char *const auths[] = {"bearer", "api-key", "x-api-key", "exchange"};
    static const char *const jsons[] = {"words", "object", "schema", "schema-only"};
    static const char *const tools[] = {"tools", "functions"};
    const struct source s = {.conf = conf, .name = name, .e = e};
    struct gw__form *f = &m->form;
    if (strcmp(kind->name, "openai") == 0 && strcmp(m->pub.provider, "openai") != 0)
        kind = gw__kind_find("generic"); /* compatible, and no more than that */
    *f = (struct gw__form){
        .auth = (enum gw__auth)choice(&s, "auth", auths, 4, kind->auth),
        .json = (enum gw__json)choice(&s, "json", jsons, 4, kind->json),
        .functions = choice(&s, "tools", tools, 2, kind->functions) == 1,
        .counts = kind->counts,
        .embed_batch = kind->embed_batch ? kind->embed_batch : EMBED_BATCH,
        .header = kind->header,
        .scheme = kind->scheme,
        .embed_scheme = kind->embed_scheme,
        .limit = text_of(&s, "limit_name", kind->limit),
        .folder = text_of(&s, "folder", NULL),
        .token_url = text_of(&s, "token_url", kind->token_url),
        .scope = text_of(&s, "scope", kind->scope),
        .thinking = text_of(&s, "thinking_name", kind->thinking),
    };
    if (read_path(&s, "chat_path", kind->chat, &f->chat) != ERR_OK ||
        read_path(&s, "embed_path", kind->embed, &f->embed) != ERR_OK ||
        read_path(&s, "list_path", kind->list, &f->list) != ERR_OK ||
        read_path(&s, "health_path", kind->health, &f->health) != ERR_OK ||
        read_extra(&s, f) != ERR_OK)
        return ERR_CONFIG;
    if (conf) {
        int64_t batch = conf_int(conf, "model", name, "embed_batch");
        if (batch < 0 || batch > BATCH_MAX)
            return wrong(&s, "embed_batch", "1 to 2048; 0: as its kind");
        if (batch)
            f->embed_batch = (size_t)batch;
    }
    if (f->auth == GW__EXCHANGE &&
        (!f->token_url || (strncasecmp(f->token_url, "https://", 8) != 0 &&
                           strncasecmp(f->token_url, "http://", 7) != 0)))
        return wrong(&s, "token_url", "set the address where the key is exchanged for tokens");
    if (f->scheme && !f->folder && !has_scheme(m->pub.model))
        return err_set(e, ERR_CONFIG,
                       "[model \"%s\"]: set folder, or write the model as %s://FOLDER/NAME", name,
                       f->scheme);
    return ERR_OK;
}

char *gw__model_name(const struct gw__model *m, const char *scheme)
{
    if (!scheme || !m->form.folder || has_scheme(m->pub.model))
        return xstrdup(m->pub.model);
    return xasprintf("%s://%s/%s", scheme, m->form.folder, m->pub.model);
}
