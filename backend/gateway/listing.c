/* What models a server has, and whether it is well. The shapes: {data: [{id, ...}]} of OpenAI's API
 * and of Anthropic's, {models: [{name, size, ...}]} of Ollama's; each server tells a model's
 * context under a name of its own. */
#include "backend/gateway/ask.h"
#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 4096 };

static json_t *count_or_null(int64_t n)
{
    return n > 0 ? json_integer(n) : json_null();
}

static int64_t context_of(const json_t *row)
{
    static const char *const names[] = {"context_window", "max_model_len", "context_length",
                                        "max_context_length", "max_input_tokens"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (gw__count(row, names[i]) > 0)
            return gw__count(row, names[i]);
    return gw__count(json_object_get(row, "meta"), "n_ctx_train"); /* llama.cpp */
}

static char *title_of(const json_t *row)
{
    const json_t *details = json_object_get(row, "details");
    const char *title = json_str(row, "display_name", "");
    if (!*title && json_is_object(details))
        return xasprintf("%s %s %s", json_str(details, "family", ""),
                         json_str(details, "parameter_size", ""),
                         json_str(details, "quantization_level", ""));
    return xstrdup(*title ? title : json_str(row, "owned_by", ""));
}

static json_t *rows_of(const json_t *answer)
{
    const json_t *from = json_object_get(answer, "data"), *row;
    json_t *out = json_array();
    size_t i;
    if (!json_is_array(from))
        from = json_object_get(answer, "models");
    json_array_foreach((json_t *)from, i, row)
    {
        const char *name = json_str(row, "id", json_str(row, "name", ""));
        if (!*name || i == ROWS_MAX)
            continue;
        char *title = title_of(row);
        json_t *one = json_object();
        json_puts(one, "name", name);
        json_puts(one, "title", title);
        json_put(one, "context", count_or_null(context_of(row)));
        json_put(one, "bytes", count_or_null(gw__count(row, "size")));
        json_array_append_new(out, one);
        free(title);
    }
    return out;
}

/* A name, or a name without its tag (Ollama's :latest), or the end of an address (gpt://F/N). */
static bool same_model(const char *listed, const char *ours)
{
    size_t len = strlen(ours), end = strlen(listed);
    if (strcmp(listed, ours) == 0)
        return true;
    if (strncmp(listed, ours, len) == 0 && strcmp(listed + len, ":latest") == 0)
        return true;
    return strstr(listed, "://") && end > len && listed[end - len - 1] == '/' &&
           strcmp(listed + end - len, ours) == 0;
}

static int is_listed(const struct gw__model *m, const json_t *rows)
{
    const json_t *row;
    size_t i;
    json_array_foreach((json_t *)rows, i, row)
    {
        if (same_model(json_str(row, "name", ""), m->pub.model))
            return 1;
    }
    return json_array_size(rows) ? 0 : -1;
}

static json_t *builtin_rows(void)
{
    return json_pack("[{s:s, s:s, s:n, s:n}, {s:s, s:s, s:n, s:n}]", "name", "lexical", "title",
                     "ranked by shared words", "context", "bytes", "name", "vector", "title",
                     "ranked by trigram vectors", "context", "bytes");
}

static void listed(struct gw_ask *a, const json_t *answer, const struct error *e)
{
    json_t *rows = e->code ? NULL : a->m->pub.builtin ? builtin_rows() : rows_of(answer);
    a->out.models = rows;
    gw__ask_end(a, e);
    json_decref(rows);
}

struct gw_ask *gw_list_models(struct gw *g, const char *model, gw_asked_fn *fn, void *arg,
                              struct error *e)
{
    struct gw_ask *a = gw__ask_new(g, model, GW__LIST, fn, arg, e);
    if (!a)
        return NULL;
    if (a->m->pub.builtin) {
        gw__ask_later(a, 0, listed);
    } else if (!a->m->form.list) {
        err_set(e, ERR_UNSUPPORTED,
                "%s: nothing says where its server lists its models (list_path)", model);
        gw_ask_cancel(a, NULL);
        return NULL;
    } else {
        gw__ask_send(a, gw__address(a->m, a->m->form.list), NULL, listed);
    }
    return a;
}

/* ---- health */

/* A server that is well but lists nothing is well, unless it refuses the key. */
static void looked(struct gw_ask *a, const json_t *answer, const struct error *e)
{
    const struct error fine = {0};
    json_t *rows = e->code || a->m->pub.builtin ? NULL : rows_of(answer);
    a->out.listed = a->m->pub.builtin ? 1 : rows ? is_listed(a->m, rows) : -1;
    json_decref(rows);
    bool key_refused = a->out.http_status == 401 || a->out.http_status == 403;
    gw__ask_end(a, e->code && (!a->m->form.health || key_refused) ? e : &fine);
}

static void alive(struct gw_ask *a, const json_t *answer, const struct error *e)
{
    (void)answer;
    a->plain = false;
    if (e->code || !a->m->form.list)
        gw__ask_end(a, e);
    else
        gw__ask_send(a, gw__address(a->m, a->m->form.list), NULL, looked);
}

/* The path behind the root of the model's server. */
static char *root_address(const struct gw__model *m, const char *path)
{
    const char *host = strstr(m->pub.url, "://");
    size_t len = host ? (size_t)(host + 3 - m->pub.url) : 0;
    len += strcspn(m->pub.url + len, "/?#");
    return xasprintf("%.*s%s", (int)len, m->pub.url, path);
}

struct gw_ask *gw_health(struct gw *g, const char *model, gw_asked_fn *fn, void *arg,
                         struct error *e)
{
    struct gw_ask *a = gw__ask_new(g, model, GW__HEALTH, fn, arg, e);
    if (!a)
        return NULL;
    const struct gw__form *form = &a->m->form;
    if (a->m->pub.builtin) {
        gw__ask_later(a, 0, looked);
    } else if (form->health) {
        a->plain = true;
        gw__ask_send(a, root_address(a->m, form->health), NULL, alive);
    } else if (form->list) {
        gw__ask_send(a, gw__address(a->m, form->list), NULL, looked);
    } else {
        err_set(e, ERR_UNSUPPORTED,
                "%s: nothing says where its server tells of its health (health_path, list_path)",
                model);
        gw_ask_cancel(a, NULL);
        return NULL;
    }
    return a;
}
