/* Tools: what is offered, arguments, results. A tool is a file of server/tools (what it is called,
 * what it takes and gives) and a row of calls.c (what it needs and does). */
#include "backend/base/embed.h"
#include "server/internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the definitions ---- */

static json_t *embedded(const char *name)
{
    struct error e = {0};
    char *path = xasprintf("server/tools/%s.json", name);
    const struct embed_file *f = embed_mcp;
    while (f->name && strcmp(f->name, path) != 0)
        f++;
    json_t *definition =
        f->name ? json_read(f->data, f->size, SERVER_MESSAGE, SERVER_DEPTH, &e) : NULL;
    free(path);
    if (!definition)
        BUG("a tool without a definition");
    return definition;
}

void server__tools_load(struct server *s)
{
    for (const struct tool_row *row = server__tool_rows; row->name; row++)
        s->tool_count++;
    s->tools = xcalloc(s->tool_count, sizeof *s->tools);
    for (size_t i = 0; i < s->tool_count; i++)
        s->tools[i] = (struct tool){&server__tool_rows[i], embedded(server__tool_rows[i].name)};
}

void server__tools_free(struct server *s)
{
    for (size_t i = 0; i < s->tool_count; i++)
        json_decref(s->tools[i].definition);
    free(s->tools);
}

static bool offered(const struct server *s, const struct tool *t)
{
    return s->role >= t->row->role && (s->write || !t->row->write);
}

const struct tool *server__tool_find(const struct server *s, const char *name)
{
    for (size_t i = 0; i < s->tool_count; i++)
        if (strcmp(s->tools[i].row->name, name) == 0 && offered(s, &s->tools[i]))
            return &s->tools[i];
    return NULL;
}

void server__tools_list(struct call *c)
{
    const struct server *s = c->server;
    json_t *rows = json_array();
    for (size_t i = 0; i < s->tool_count; i++) {
        if (!offered(s, &s->tools[i]))
            continue;
        json_t *row = json_copy(s->tools[i].definition);
        if (c->revision < REV_2025_03)
            json_object_del(row, "annotations");
        if (c->revision < REV_2025_06) {
            json_object_del(row, "title");
            json_object_del(row, "outputSchema");
        }
        json_array_append_new(rows, row);
    }
    server__page(c, "tools", rows);
}

/* ---- arguments: the part of JSON Schema that server/tools uses ---- */

static bool is_type(const json_t *value, const char *type)
{
    return strcmp(type, "string") == 0    ? json_is_string(value)
           : strcmp(type, "integer") == 0 ? json_is_integer(value)
           : strcmp(type, "boolean") == 0 ? json_is_boolean(value)
           : strcmp(type, "array") == 0   ? json_is_array(value)
           : strcmp(type, "object") == 0  ? json_is_object(value)
                                          : true;
}

static bool is_one_of(const json_t *value, const json_t *all)
{
    size_t i;
    json_t *one;
    json_array_foreach(all, i, one) if (json_equal(one, value)) return true;
    return !all;
}

static bool check_one(const char *name, const json_t *schema, const json_t *value, char out[256])
{
    const char *type = json_str(schema, "type", "");
    double number = json_is_integer(value)  ? (double)json_integer_value(value)
                    : json_is_string(value) ? (double)json_string_length(value)
                                            : 0;
    bool text = json_is_string(value);
    const char *least = text ? "minLength" : "minimum", *most = text ? "maxLength" : "maximum";
    if (!is_type(value, type))
        snprintf(out, 256, "%s is no %s", name, type);
    else if (!is_one_of(value, json_object_get(schema, "enum")))
        snprintf(out, 256, "%s has a value that is none of its enum", name);
    else if (number < json_num(schema, least, -INFINITY) ||
             number > json_num(schema, most, INFINITY))
        snprintf(out, 256, "%s is %s than allowed", name,
                 number < json_num(schema, least, -INFINITY) ? "less" : "more");
    else
        return true;
    return false;
}

bool server__check(const json_t *schema, const json_t *arguments, char out[256])
{
    json_t *properties = json_object_get(schema, "properties"), *value, *name;
    const char *key;
    size_t i;
    json_array_foreach(json_object_get(schema, "required"), i, name)
    {
        if (!json_object_get(arguments, json_string_value(name))) {
            snprintf(out, 256, "%s is missing", json_string_value(name));
            return false;
        }
    }
    json_object_foreach((json_t *)arguments, key, value)
    {
        const json_t *property = json_object_get(properties, key);
        if (!property) {
            snprintf(out, 256, "there is no argument %.100s", key);
            return false;
        }
        if (!check_one(key, property, value, out))
            return false;
    }
    return true;
}

/* ---- results ---- */

static void done(struct call *c, json_t *structured, const char *text, bool failed)
{
    json_t *result = json_object(), *content = json_array(), *block = json_object();
    char *own = text ? NULL : json_write(structured);
    json_puts(block, "type", "text");
    json_puts(block, "text", text ? text : own);
    json_array_append_new(content, block);
    json_put(result, "content", content);
    if (structured && c->revision >= REV_2025_06)
        json_object_set(result, "structuredContent", structured);
    json_put(result, "isError", json_boolean(failed));
    json_decref(structured);
    free(own);
    server__answer(c, result);
}

void server__tool_done(struct call *c, json_t *structured, const char *text)
{
    done(c, structured, text, false);
}

void server__tool_failed(struct call *c, const struct error *e)
{
    char *text = xasprintf("%s: %s%s%s. %s", err_name(e->code), err_text(e->code),
                           *e->detail ? ": " : "", e->detail, err_hint(e->code));
    done(c, NULL, text, true);
    free(text);
}

void server__tools_call(struct call *c)
{
    const char *name = json_str(c->params, "name", NULL);
    json_t *arguments = json_object_get(c->params, "arguments");
    const struct tool *t = name ? server__tool_find(c->server, name) : NULL;
    struct error e = {0};
    char problem[256];
    if (!t || (arguments && !json_is_object(arguments))) {
        server__fail(c, RPC_PARAMS, NULL, t ? "arguments is an object" : "there is no tool %.100s",
                     name ? name : "without a name");
        return;
    }
    c->tool = t;
    c->arguments = arguments ? json_incref(arguments) : json_object();
    /* for the model to see and mend, so no error of the protocol (2025-11-25) */
    if (!server__check(json_object_get(t->definition, "inputSchema"), c->arguments, problem)) {
        err_set(&e, ERR_INVALID, "%s", problem);
        server__tool_failed(c, &e);
        return;
    }
    t->row->start(c);
}
