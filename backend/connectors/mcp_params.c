#include "backend/connectors/mcp_params.h"
#include "backend/vault/vault.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 8, NAME_MAX_LEN = 64 };

struct walk {
    const char *names[MCP_PARAMS_MAX];
    size_t n;
    bool bad;
    char **out; /* NULL: only looks */
};

static bool is_token(const char *name)
{
    size_t len = strlen(name);
    if (!len || len > NAME_MAX_LEN)
        return false;
    for (const char *p = name; *p; p++) {
        bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');
        if (!letter && !(*p >= '0' && *p <= '9') && !strchr("!#$%&'*+-.^_`|~", *p))
            return false;
    }
    return true;
}

static bool is_plain(const char *value)
{
    size_t len = strlen(value);
    if (!len)
        return true;
    if (value[0] == ' ' || value[len - 1] == ' ')
        return false;
    for (const char *p = value; *p; p++) {
        if (*p < 0x20 || *p > 0x7e)
            return false;
    }
    return strncmp(value, "=?base64?", 9) != 0;
}

char *mcp__header(const char *name, const char *value)
{
    if (!*value) /* libcurl sends a header without a value only in this form */
        return xasprintf("%s;", name);
    if (is_plain(value))
        return xasprintf("%s: %s", name, value);
    size_t len = strlen(value);
    char *coded = xcalloc(1, VAULT_BASE64(len));
    vault_base64(value, len, coded);
    char *line = xasprintf("%s: =?base64?%s?=", name, coded);
    free(coded);
    return line;
}

static void put(struct walk *w, const char *name, const json_t *value)
{
    char number[32], *header = xasprintf("Mcp-Param-%s", name);
    const char *text = NULL;
    if (json_is_string(value) && json_string_length(value) <= MCP_PARAM_VALUE_MAX) {
        text = json_string_value(value);
    } else if (json_is_integer(value)) {
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
        text = number;
    } else if (json_is_boolean(value)) {
        text = json_is_true(value) ? "true" : "false";
    }
    if (text)
        w->out[w->n++] = mcp__header(header, text);
    free(header);
}

static void one_property(struct walk *w, const json_t *schema, const json_t *mark,
                         const json_t *value)
{
    const char *type = json_str(schema, "type", ""), *name = json_string_value(mark);
    bool fits =
        strcmp(type, "string") == 0 || strcmp(type, "integer") == 0 || strcmp(type, "boolean") == 0;
    if (!name || !is_token(name) || !fits || w->n == MCP_PARAMS_MAX) {
        w->bad = true;
        return;
    }
    if (w->out) {
        put(w, name, value);
        return;
    }
    for (size_t i = 0; i < w->n; i++)
        w->bad = w->bad || strcasecmp(w->names[i], name) == 0;
    w->names[w->n++] = name;
}

static void walk(struct walk *w, const json_t *schema, const json_t *value, unsigned depth)
{
    json_t *properties = json_object_get(schema, "properties"), *one;
    const char *key;
    json_object_foreach(properties, key, one)
    {
        const json_t *mark = json_object_get(one, "x-mcp-header"),
                     *inner = json_object_get(value, key);
        if (mark)
            one_property(w, one, mark, inner);
        else if (depth < DEPTH_MAX)
            walk(w, one, inner, depth + 1);
        if (w->bad)
            return;
    }
}

bool mcp__params_fine(const json_t *schema)
{
    struct walk w = {0};
    walk(&w, schema, NULL, 0);
    return !w.bad;
}

size_t mcp__params_headers(const json_t *schema, const json_t *arguments, char *out[MCP_PARAMS_MAX])
{
    struct walk w = {.out = out};
    walk(&w, schema, arguments, 0);
    return w.n;
}
