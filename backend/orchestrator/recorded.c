/* Questions of evaluations: the tools that exist for them are those that were recorded, and what
 * they answer is what stands there. Nothing outside is asked. */
#include "backend/orchestrator/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 128, TEXT_MAX_BYTES = 1 << 20, RUNBOOK_MAX_BYTES = 1 << 16 };

/* ---- checking */

static enum err text_in(const json_t *o, const char *where, const char *key, bool required,
                        size_t most, struct error *e)
{
    const json_t *v = json_object_get(o, key);
    if (!v)
        return required ? err_set(e, ERR_INVALID, "%s has no %s", where, key) : ERR_OK;
    if (!json_is_string(v) || json_string_length(v) > most ||
        strlen(json_string_value(v)) != json_string_length(v) ||
        (required && most == NAME_MAX_BYTES && !json_string_length(v)))
        return err_set(e, ERR_INVALID, "%s: %s is no text of at most %zu bytes", where, key, most);
    return ERR_OK;
}

static enum err object_in(const json_t *o, const char *where, const char *key, struct error *e)
{
    const json_t *v = json_object_get(o, key);
    return v && !json_is_object(v) ? err_set(e, ERR_INVALID, "%s: %s is no object", where, key)
                                   : ERR_OK;
}

/* Only the keys that are known: a slip of the pen would be a tool without its text. */
static enum err keys_in(const json_t *o, const char *where, const char *keys, struct error *e)
{
    const char *key;
    json_t *value;
    if (!json_is_object(o))
        return err_set(e, ERR_INVALID, "%s is no object", where);
    json_object_foreach((json_t *)o, key, value)
    {
        char *worded = xasprintf(" %s ", key);
        bool known = strstr(keys, worded) != NULL;
        free(worded);
        if (!known)
            return err_set(e, ERR_INVALID, "%s: \"%.32s\" is not known", where, key);
    }
    return ERR_OK;
}

static enum err tool_check(const json_t *tool, const char *where, struct error *e)
{
    if (keys_in(tool, where, " connector tool title description schema arguments text data error ",
                e) != ERR_OK ||
        text_in(tool, where, "connector", true, NAME_MAX_BYTES, e) != ERR_OK ||
        text_in(tool, where, "tool", true, NAME_MAX_BYTES, e) != ERR_OK ||
        text_in(tool, where, "title", false, TEXT_MAX_BYTES, e) != ERR_OK ||
        text_in(tool, where, "description", false, TEXT_MAX_BYTES, e) != ERR_OK ||
        text_in(tool, where, "text", true, TEXT_MAX_BYTES, e) != ERR_OK ||
        object_in(tool, where, "schema", e) != ERR_OK ||
        object_in(tool, where, "arguments", e) != ERR_OK ||
        object_in(tool, where, "data", e) != ERR_OK)
        return e->code;
    const json_t *failed = json_object_get(tool, "error");
    return failed && !json_is_boolean(failed)
               ? err_set(e, ERR_INVALID, "%s: error is true or false", where)
               : ERR_OK;
}

static enum err runbook_check(const json_t *runbook, const char *where, struct error *e)
{
    if (keys_in(runbook, where, " ref text ", e) != ERR_OK ||
        text_in(runbook, where, "ref", true, NAME_MAX_BYTES, e) != ERR_OK ||
        text_in(runbook, where, "text", true, RUNBOOK_MAX_BYTES, e) != ERR_OK)
        return e->code;
    return ERR_OK;
}

static enum err list_check(const json_t *recorded, const char *key, size_t most,
                           enum err (*check)(const json_t *, const char *, struct error *),
                           struct error *e)
{
    const json_t *list = json_object_get(recorded, key);
    if (!list)
        return ERR_OK;
    if (!json_is_array(list) || json_array_size(list) > most)
        return err_set(e, ERR_INVALID, "%s is a list of at most %zu", key, most);
    for (size_t i = 0; i < json_array_size(list); i++) {
        char where[64];
        snprintf(where, sizeof where, "%s[%zu]", key, i);
        if (check(json_array_get(list, i), where, e) != ERR_OK)
            return e->code;
    }
    return ERR_OK;
}

enum err orch_recorded_check(const json_t *recorded, struct error *e)
{
    struct error mine;
    if (!e)
        e = &mine;
    *e = (struct error){0};
    if (!json_is_array(json_object_get(recorded, "tools")))
        return err_set(e, ERR_INVALID, "tools is a list");
    if (list_check(recorded, "tools", ORCH_RECORDED_TOOLS, tool_check, e) == ERR_OK)
        list_check(recorded, "runbooks", ORCH_RECORDED_RUNBOOKS, runbook_check, e);
    return e->code;
}

/* ---- a trace with them */

/* An index of its own: what the case does not have must not be found. */
static struct know *runbooks_of(const json_t *list)
{
    struct embed_file files[ORCH_RECORDED_RUNBOOKS + 1];
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_array_get(list, i);
        files[i] = (struct embed_file){json_str(one, "ref", ""), json_str(one, "text", ""),
                                       strlen(json_str(one, "text", ""))};
    }
    files[n] = (struct embed_file){NULL, NULL, 0};
    return know_new(files, "", NULL, NULL);
}

void orch__recorded_begin(struct trace *t, const struct orch_ask *ask)
{
    const json_t *runbooks = json_object_get(ask->recorded, "runbooks");
    if (ask->eval) {
        snprintf(t->eval, sizeof t->eval, "%s", ask->eval);
        json_puts(t->doc, "eval", t->eval);
    }
    t->recorded = json_incref((json_t *)ask->recorded);
    if (runbooks)
        t->know = runbooks_of(runbooks);
}

const struct know *orch__know(const struct trace *t)
{
    return t->know ? t->know : t->orch->rooms.know;
}

size_t orch__tools(const struct trace *t, struct conn_tool *out, size_t max)
{
    if (!t->recorded)
        return conn_tools(t->orch->rooms.conn, out, max);
    const json_t *list = json_object_get(t->recorded, "tools");
    size_t n = json_array_size(list);
    n = n < max ? n : max;
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_array_get(list, i);
        out[i] = (struct conn_tool){.connector = json_str(one, "connector", ""),
                                    .name = json_str(one, "tool", ""),
                                    .title = json_str(one, "title", NULL),
                                    .description = json_str(one, "description", NULL),
                                    .input_schema = json_object_get(one, "schema"),
                                    .level = CONN_READ,
                                    .pin = CONN_PINNED,
                                    .callable = true};
    }
    return n;
}

const json_t *orch__recording(const struct trace *t, const struct conn_tool *tool)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(t->recorded, "tools"), i, one)
    {
        if (json_str(one, "tool", "") == tool->name) /* its own text, see above */
            return one;
    }
    return NULL;
}

json_t *orch__recorded_arguments(const json_t *recording)
{
    const json_t *given = json_object_get(recording, "arguments");
    return given ? json_deep_copy(given) : json_object();
}

void orch__recorded_answer(const json_t *recording, conn_done *done, void *arg)
{
    const char *text = json_str(recording, "text", "");
    const struct conn_result result = {.is_error = json_flag(recording, "error", false),
                                       .text = text,
                                       .text_bytes = strlen(text),
                                       .data = json_object_get(recording, "data")};
    done(arg, &result);
}
