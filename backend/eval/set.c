/* Reading golden sets: strict, because a slip of the pen would be a statement never expected. */
#include "backend/eval/set.h"
#include "backend/base/text.h"
#include "backend/orchestrator/orchestrator.h"
#include <stdio.h>
#include <string.h>

enum { ID_BYTES = 64, QUESTION_BYTES = 16384, STATEMENT_BYTES = 2048, LIST = 32 };

static const char *const KEYS[] = {"id",       "lang",      "question",  "tools", "runbooks",
                                   "expected", "forbidden", "citations", "tags"};

static bool is_text(const json_t *v, size_t least, size_t most)
{
    size_t len = json_string_length(v);
    return json_is_string(v) && len >= least && len <= most && strlen(json_string_value(v)) == len;
}

/* A list of texts; absent: an empty one. NULL with *e. */
static json_t *texts(const json_t *one, const char *key, size_t most, struct error *e)
{
    const json_t *list = json_object_get(one, key), *text;
    size_t i;
    if (list && (!json_is_array(list) || json_array_size(list) > LIST)) {
        err_set(e, ERR_INVALID, "%s is a list of at most %d texts", key, LIST);
        return NULL;
    }
    json_array_foreach((json_t *)list, i, text)
    {
        if (!is_text(text, 1, most)) {
            err_set(e, ERR_INVALID, "%s[%zu] is no text of 1 to %zu bytes", key, i, most);
            return NULL;
        }
    }
    return list ? json_incref((json_t *)list) : json_array();
}

/* {"any": [text, ...]}, and perhaps "disputed". */
static bool is_choice(const json_t *v)
{
    const json_t *disputed = json_object_get(v, "disputed");
    return json_is_array(json_object_get(v, "any")) &&
           json_object_size(v) == 1 + (disputed != NULL) &&
           (!disputed || json_is_boolean(disputed));
}

/* "text" or {"any": [text, ...], "disputed": bool}, as the list of its alternatives. NULL with *e.
 */
static json_t *alternatives(const json_t *v, const char *key, size_t at, struct error *e)
{
    const json_t *any = json_object_get(v, "any"), *text;
    size_t i;
    json_t *out = json_array();
    if (json_is_string(v))
        json_array_append(out, (json_t *)v);
    else if (is_choice(v))
        json_array_extend(out, (json_t *)any);
    if (!json_array_size(out) || json_array_size(out) > EVAL_ALTERNATIVES) {
        err_set(e, ERR_INVALID, "%s[%zu] is no text and no {any: [1 to %d texts]}", key, at,
                EVAL_ALTERNATIVES);
        json_decref(out);
        return NULL;
    }
    json_array_foreach(out, i, text)
    {
        if (!is_text(text, 1, STATEMENT_BYTES)) {
            err_set(e, ERR_INVALID, "%s[%zu] has what is no text of 1 to %d bytes", key, at,
                    STATEMENT_BYTES);
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

static json_t *statements(const json_t *one, const char *key, struct error *e)
{
    const json_t *list = json_object_get(one, key);
    if (list && (!json_is_array(list) || json_array_size(list) > EVAL_EXPECTED)) {
        err_set(e, ERR_INVALID, "%s is a list of at most %d statements", key, EVAL_EXPECTED);
        return NULL;
    }
    json_t *out = json_array();
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *any = alternatives(json_array_get(list, i), key, i, e);
        if (!any) {
            json_decref(out);
            return NULL;
        }
        json_array_append_new(out, any);
    }
    return out;
}

/* Which of the expected statements may be told as disputed: a list of booleans. */
static json_t *disputed(const json_t *one)
{
    const json_t *list = json_object_get(one, "expected");
    json_t *out = json_array();
    for (size_t i = 0; i < json_array_size(list); i++)
        json_array_append_new(out,
                              json_boolean(json_flag(json_array_get(list, i), "disputed", false)));
    return out;
}

static enum err keys_known(const json_t *one, struct error *e)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)one, key, value)
    {
        bool known = false;
        for (size_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++)
            known = known || strcmp(key, KEYS[i]) == 0;
        if (!known)
            return err_set(e, ERR_INVALID, "\"%.32s\" is not known", key);
    }
    return ERR_OK;
}

static enum err head_check(const json_t *one, struct error *e)
{
    const json_t *lang = json_object_get(one, "lang");
    if (!json_is_object(one))
        return err_set(e, ERR_INVALID, "it is no JSON object");
    if (keys_known(one, e) != ERR_OK)
        return e->code;
    if (!is_text(json_object_get(one, "id"), 1, ID_BYTES))
        return err_set(e, ERR_INVALID, "id is no text of 1 to %d bytes", ID_BYTES);
    if (!is_text(json_object_get(one, "question"), 1, QUESTION_BYTES))
        return err_set(e, ERR_INVALID, "question is no text of 1 to %d bytes", QUESTION_BYTES);
    if (lang && strcmp(json_str(one, "lang", ""), "en") != 0 &&
        strcmp(json_str(one, "lang", ""), "ru") != 0)
        return err_set(e, ERR_INVALID, "lang is en or ru");
    if (!json_array_size(json_object_get(one, "expected")))
        return err_set(e, ERR_INVALID, "nothing is expected");
    return ERR_OK;
}

static json_t *recorded_of(const json_t *one)
{
    json_t *recorded = json_object(), *tools = json_object_get(one, "tools"),
           *runbooks = json_object_get(one, "runbooks");
    json_put(recorded, "tools", tools ? json_incref(tools) : json_array());
    if (runbooks)
        json_put(recorded, "runbooks", json_incref(runbooks));
    return recorded;
}

static json_t *case_of(const json_t *one, struct error *e)
{
    if (head_check(one, e) != ERR_OK)
        return NULL;
    json_t *recorded = recorded_of(one), *out = json_object();
    json_t *lists[] = {statements(one, "expected", e), NULL, NULL, NULL};
    static const char *const NAMES[] = {"expected", "forbidden", "citations", "tags"};
    if (lists[0])
        lists[1] = statements(one, "forbidden", e);
    if (lists[1])
        lists[2] = texts(one, "citations", STATEMENT_BYTES, e);
    if (lists[2])
        lists[3] = texts(one, "tags", ID_BYTES, e);
    bool good = lists[3] && orch_recorded_check(recorded, e) == ERR_OK;
    const char *question = json_str(one, "question", "");
    json_puts(out, "id", json_str(one, "id", ""));
    json_puts(out, "lang", json_str(one, "lang", text_is_russian(question) ? "ru" : "en"));
    json_puts(out, "question", question);
    json_put(out, "recorded", recorded);
    json_put(out, "disputed", disputed(one));
    for (size_t i = 0; i < 4; i++)
        if (lists[i])
            json_put(out, NAMES[i], lists[i]);
    if (good)
        return out;
    json_decref(out);
    return NULL;
}

/* One line into cases; ids are those of the lines before it. */
static enum err take_line(const char *line, size_t len, json_t *cases, json_t *ids, struct error *e)
{
    json_t *one = json_read(line, len, EVAL_LINE_BYTES, EVAL_DEPTH, e);
    json_t *made = one ? case_of(one, e) : NULL;
    json_decref(one);
    if (!made)
        return e->code;
    const char *id = json_str(made, "id", "");
    if (json_object_get(ids, id))
        err_set(e, ERR_INVALID, "the id \"%s\" stands twice", id);
    else if (json_array_size(cases) == EVAL_CASES)
        err_set(e, ERR_TOO_BIG, "a set has at most %d cases", EVAL_CASES);
    if (e->code == ERR_OK) {
        json_put(ids, id, json_true());
        json_array_append(cases, made);
    }
    json_decref(made);
    return e->code;
}

json_t *eval_set_read(const char *text, size_t len, struct error *e)
{
    struct error mine = {0}, why = {0};
    size_t number = 0;
    if (!e)
        e = &mine;
    if (len > EVAL_SET_BYTES) {
        err_set(e, ERR_TOO_BIG, "a set has at most %d bytes", EVAL_SET_BYTES);
        return NULL;
    }
    json_t *cases = json_array(), *ids = json_object();
    for (size_t at = 0; at < len && why.code == ERR_OK;) {
        const char *line = text + at, *end = memchr(line, '\n', len - at);
        size_t n = end ? (size_t)(end - line) : len - at, space = 0;
        at += n + 1;
        number++;
        while (space < n && strchr(" \t\r", line[space]) && line[space])
            space++;
        if (space < n)
            take_line(line, n, cases, ids, &why);
    }
    json_decref(ids);
    if (why.code == ERR_OK && !json_array_size(cases))
        err_set(e, ERR_INVALID, "there is no case in the set");
    else if (why.code != ERR_OK)
        err_set(e, why.code, "line %zu: %s", number, *why.detail ? why.detail : err_text(why.code));
    else
        return cases;
    json_decref(cases);
    return NULL;
}
