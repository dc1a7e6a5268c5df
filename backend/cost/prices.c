/* Prices as dated data: the files of prices/, built in, and files of the same name in the
 * configuration directory in their place, or besides them.
 *
 * {
 *   "providers": ["openai", "api.openai.com"],      whose usage this is: gen_ai.provider.name
 *   "source": "https://...",                        where the prices stand
 *   "currency": "USD", "per": 1000000,              a rate is for so many tokens
 *   "counts": [{"what": "input",                    what is counted (below)
 *               "at": "/prompt_tokens",             RFC 6901, into the provider's usage
 *               "optional": false}],                true: a missing member counts as none
 *   "prices": [{"models": ["gpt-5", "gpt-5-2*"],    names at the provider; * stands for anything
 *               "from": "2025-08-07",               local day from which on it holds; "": ever
 *               "checked": "2025-11-13",            when somebody looked
 *               "input_over": 272000,               holds for larger inputs only
 *               "rates": {"input": "1.25", "cached": "-1.125"}}]   below 0: a discount
 * }
 *
 * Of the entries that fit, the one with the latest `from` holds, then the one with the largest
 * `input_over`, then the first. Its version is NAME/FROM, or NAME/CHECKED. */
#include "backend/base/clock.h"
#include "backend/base/conf.h"
#include "backend/base/embed.h"
#include "backend/base/text.h"
#include "backend/cost/internal.h"
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 1 << 20, DEPTH = 8, FILES_MAX = 64, PRICES_MAX = 8192 };

enum what { INPUT, UNCACHED, CACHED, CACHE_WRITE, OUTPUT, REASONING, WHATS };
static const char *const WHAT[WHATS] = {"input",       "uncached", "cached",
                                        "cache_write", "output",   "reasoning"};

struct price_file {
    char *name; /* "openai" */
    json_t *doc;
    int64_t per;
    struct {
        char *pointer; /* NULL: not counted */
        bool optional;
    } counts[WHATS];
};

struct price {
    const struct price_file *file;
    const json_t *models;
    const char *from; /* "" or YYYY-MM-DD */
    char *version;
    int64_t input_over;
    int64_t nano[WHATS];
    bool rated[WHATS];
};

struct cost__prices {
    struct price_file *files[FILES_MAX];
    size_t file_count;
    struct price *at;
    size_t count;
};

static void file_free(struct price_file *f)
{
    for (size_t i = 0; f && i < WHATS; i++)
        free(f->counts[i].pointer);
    if (f) {
        json_decref(f->doc);
        free(f->name);
    }
    free(f);
}

void cost__prices_free(struct cost__prices *p)
{
    for (size_t i = 0; p && i < p->count; i++)
        free(p->at[i].version);
    for (size_t i = 0; p && i < p->file_count; i++)
        file_free(p->files[i]);
    if (p)
        free(p->at);
    free(p);
}

/* ---- reading */

static enum err wrong(struct error *e, const char *path, const char *what)
{
    return err_set(e, ERR_CONFIG, "%s: %s", path, what);
}

static int what_of(const char *name)
{
    for (int i = 0; i < WHATS; i++)
        if (strcmp(WHAT[i], name) == 0)
            return i;
    return -1;
}

static bool is_day(const char *s)
{
    for (size_t i = 0; i < 10; i++)
        if (i == 4 || i == 7 ? s[i] != '-' : s[i] < '0' || s[i] > '9')
            return false;
    return s[10] == '\0';
}

static bool signed_decimal(const char *text, int64_t *nano)
{
    bool minus = *text == '-';
    if (!text_decimal(text + minus, nano))
        return false;
    *nano = minus ? -*nano : *nano;
    return true;
}

static enum err read_counts(struct price_file *f, const char *path, struct error *e)
{
    const json_t *counts = json_object_get(f->doc, "counts"), *one;
    size_t i;
    json_array_foreach(counts, i, one)
    {
        int what = what_of(json_str(one, "what", ""));
        const char *at = json_str(one, "at", "");
        if (what < 0 || *at != '/' || f->counts[what].pointer)
            return wrong(e, path,
                         "counts: each is {what: input|uncached|cached|cache_write|output|"
                         "reasoning, at: a pointer such as /prompt_tokens}, once");
        f->counts[what].pointer = xstrdup(at);
        f->counts[what].optional = json_flag(one, "optional", false);
    }
    return i ? ERR_OK : wrong(e, path, "counts: say what is counted");
}

static enum err read_rates(struct price *p, const json_t *rates, const char *path, struct error *e)
{
    const char *key;
    json_t *rate;
    json_object_foreach((json_t *)rates, key, rate)
    {
        int what = what_of(key);
        if (what < 0 || !p->file->counts[what].pointer || !json_is_string(rate) ||
            !signed_decimal(json_string_value(rate), &p->nano[what]))
            return wrong(e, path,
                         "rates: each is a decimal number as text, of something in counts");
        p->rated[what] = true;
    }
    return json_object_size(rates) ? ERR_OK : wrong(e, path, "prices: an entry has no rates");
}

static enum err read_price(struct cost__prices *all, const struct price_file *f, const json_t *one,
                           const char *path, struct error *e)
{
    const json_t *models = json_object_get(one, "models"), *model;
    const char *from = json_str(one, "from", ""), *checked = json_str(one, "checked", "");
    size_t i;
    if (all->count == PRICES_MAX)
        return wrong(e, path, "too many prices");
    if ((*from && !is_day(from)) || (*checked && !is_day(checked)))
        return wrong(e, path, "prices: from and checked are days as 2026-01-31");
    json_array_foreach(models, i, model)
    {
        if (!json_is_string(model))
            return wrong(e, path, "prices: models are names");
    }
    if (!i)
        return wrong(e, path, "prices: an entry names no models");
    struct price *p = &all->at[all->count];
    *p = (struct price){
        .file = f, .models = models, .from = from, .input_over = json_int(one, "input_over", -1)};
    if (read_rates(p, json_object_get(one, "rates"), path, e) != ERR_OK)
        return ERR_CONFIG;
    p->version = xasprintf("%s/%s", f->name, *from ? from : *checked ? checked : "undated");
    all->count++;
    return ERR_OK;
}

/* A file's text. A later one of the same name takes the place of the earlier. */
static enum err read_file(struct cost__prices *all, const char *path, const char *text, size_t len,
                          struct error *e)
{
    struct error why = {0};
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    if (all->file_count == FILES_MAX)
        return wrong(e, path, "too many files of prices");
    struct price_file *f = xcalloc(1, sizeof *f);
    all->files[all->file_count++] = f;
    f->name = xstrndup(base, strlen(base) - strlen(".json"));
    f->doc = json_read(text, len, FILE_MAX, DEPTH, &why);
    if (!f->doc)
        return wrong(e, path, why.detail);
    f->per = json_int(f->doc, "per", 1000000);
    const char *currency = json_str(f->doc, "currency", "");
    if (strlen(currency) != 3 || f->per < 1 || f->per > 1000000000)
        return wrong(e, path, "currency is three letters, per from 1 to 1000000000");
    if (!json_array_size(json_object_get(f->doc, "providers")))
        return wrong(e, path, "providers: name at least one");
    if (read_counts(f, path, e) != ERR_OK)
        return ERR_CONFIG;
    const json_t *prices = json_object_get(f->doc, "prices"), *one;
    size_t i;
    all->at = xrealloc(all->at, (all->count + json_array_size(prices) + 1) * sizeof *all->at);
    json_array_foreach(prices, i, one)
    {
        if (read_price(all, f, one, path, e) != ERR_OK)
            return ERR_CONFIG;
    }
    return ERR_OK;
}

static enum err read_own(struct cost__prices *all, const char *dir, const char *name,
                         struct error *e)
{
    char *path = xasprintf("%s/%s", dir, name), *text = xcalloc(1, FILE_MAX + 2);
    FILE *f = fopen(path, "re");
    enum err code = f ? ERR_OK : err_set_errno(e, "cannot read", path);
    size_t len = f ? fread(text, 1, FILE_MAX + 1, f) : 0;
    if (f && ferror(f))
        code = err_set_errno(e, "cannot read", path);
    if (f)
        fclose(f);
    if (code == ERR_OK)
        code = read_file(all, path, text, len, e);
    free(text);
    free(path);
    return code;
}

static bool is_price_name(const char *name)
{
    size_t len = strlen(name);
    return len > 5 && *name != '.' && strcmp(name + len - 5, ".json") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_ours(const struct dirent *d)
{
    return is_price_name(d->d_name);
}

static bool listed(struct dirent *const *names, int n, const char *path)
{
    const char *base = strrchr(path, '/');
    for (int i = 0; base && i < n; i++)
        if (strcmp(names[i]->d_name, base + 1) == 0)
            return true;
    return false;
}

enum err cost__prices_read(struct cost *c, const char *name, const char *text, size_t len,
                           struct error *e)
{
    struct cost__prices *all = xcalloc(1, sizeof *all);
    enum err code = is_price_name(name) ? read_file(all, name, text, len, e)
                                        : wrong(e, name, "it is not named NAME.json");
    if (code != ERR_OK) {
        cost__prices_free(all);
        return code;
    }
    cost__prices_free(c->prices);
    c->prices = all;
    return ERR_OK;
}

enum err cost_prices_load(struct cost *c, const char *dir, struct error *e)
{
    struct dirent **names = NULL;
    struct cost__prices *all = xcalloc(1, sizeof *all);
    int n = dir ? scandir(dir, &names, is_ours, by_name) : 0;
    enum err code = ERR_OK;
    if (n < 0 && errno != ENOENT && errno != ENOTDIR)
        code = err_set_errno(e, "cannot read", dir);
    for (int i = 0; i < n && code == ERR_OK; i++)
        code = read_own(all, dir, names[i]->d_name, e);
    for (const struct embed_file *f = embed_prices; f->name && code == ERR_OK; f++)
        if (!listed(names, n, f->name))
            code = read_file(all, f->name, f->data, f->size, e);
    for (int i = 0; i < n; i++)
        free(names[i]);
    free(names);
    if (code != ERR_OK) {
        cost__prices_free(all);
        return code;
    }
    cost__prices_free(c->prices);
    c->prices = all;
    return ERR_OK;
}

/* ---- choosing */

static bool has_text(const json_t *list, const char *text, bool pattern)
{
    size_t i;
    json_t *one;
    json_array_foreach((json_t *)list, i, one)
    {
        const char *s = json_string_value(one);
        if (s && (pattern ? fnmatch(s, text, FNM_NOESCAPE) == 0 : strcmp(s, text) == 0))
            return true;
    }
    return false;
}

static bool better(const struct price *a, const struct price *b)
{
    int order = strcmp(a->from, b->from);
    return order > 0 || (order == 0 && a->input_over > b->input_over);
}

static const struct price *find(const struct cost__prices *all, const char *provider,
                                const char *model, const char *day, int64_t input)
{
    const struct price *best = NULL;
    for (size_t i = 0; all && i < all->count; i++) {
        const struct price *p = &all->at[i];
        if (strcmp(p->from, day) <= 0 && input > p->input_over && (!best || better(p, best)) &&
            has_text(json_object_get(p->file->doc, "providers"), provider, false) &&
            has_text(p->models, model, true))
            best = p;
    }
    return best;
}

/* ---- counting */

/* What a pointer names (RFC 6901, members of objects only), NULL if it is not there. */
static const json_t *pointed(const json_t *at, const char *pointer)
{
    char key[128];
    while (at && *pointer == '/') {
        size_t n = 0;
        for (pointer++; *pointer && *pointer != '/'; pointer++) {
            char c = *pointer;
            if (c == '~' && (pointer[1] == '0' || pointer[1] == '1'))
                c = *++pointer == '0' ? '~' : '/';
            if (n < sizeof key - 1)
                key[n++] = c;
        }
        key[n] = '\0';
        at = json_object_get(at, key);
    }
    return at;
}

/* False: a member that must be there is missing or counts nothing. */
static bool reported(const struct price_file *f, int what, const json_t *raw, int64_t *count)
{
    const json_t *v = pointed(raw, f->counts[what].pointer);
    *count = 0;
    if (!v || json_is_null(v))
        return f->counts[what].optional;
    *count = json_is_integer(v) ? json_integer_value(v) : -1;
    return *count >= 0 && *count <= COST__TOKENS_MAX;
}

static int64_t estimate(int what, const struct cost_usage *u)
{
    int64_t rest = u->input - u->cached - u->cache_write;
    const int64_t counts[WHATS] = {[INPUT] = u->input,   [UNCACHED] = rest > 0 ? rest : 0,
                                   [CACHED] = u->cached, [CACHE_WRITE] = u->cache_write,
                                   [OUTPUT] = u->output, [REASONING] = u->reasoning};
    return cost__tokens(counts[what]);
}

void cost_price(const struct cost *c, const char *provider, const char *model, int64_t at,
                const struct cost_usage *u, struct cost_charge *out)
{
    struct cost_part parts[WHATS];
    size_t n = 0;
    char day[16];
    *out = (struct cost_charge){.priced = false};
    clock_local_day(at, day);
    const struct price *p = find(c->prices, provider, model, day, u->input);
    if (!p)
        return;
    snprintf(out->currency, sizeof out->currency, "%s", json_str(p->file->doc, "currency", ""));
    snprintf(out->version, sizeof out->version, "%s", p->version);
    bool ours = u->estimated || !json_is_object(u->raw);
    for (int what = 0; what < WHATS; what++) {
        if (!p->rated[what])
            continue;
        int64_t count = 0;
        if (ours)
            count = estimate(what, u);
        else if (!reported(p->file, what, u->raw, &count))
            return;
        parts[n++] = (struct cost_part){count, p->nano[what]};
    }
    out->priced = cost_total(parts, n, p->file->per, &out->nano);
}
