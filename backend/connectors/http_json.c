/* Any HTTP API in JSON, declared in the configuration: [connector "x"] has the address and the
 * sign-in, each [tool "x.NAME"] a method, a path with {arguments}, and the values to take from the
 * answer.
 *
 * The address is the configuration's (A1): an argument is percent-encoded where it stands in the
 * path, and cannot make a segment "." or ".."; in the body it is a JSON value of
 * its declared type. */
#include "backend/base/text.h"
#include "backend/connectors/rest.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TOOLS_MAX = 64, FIELDS_MAX = 32, ARGUMENTS_MAX = 16, TOLD = 20 };

struct field {
    char *label, *pointer;
};
struct declared {
    char *name, *title, *description, *schema, *method, *path, *rows;
    json_t *body; /* or NULL */
    struct field fields[FIELDS_MAX];
    size_t field_count;
};
struct own {
    struct rest_kind kind;
    struct rest_tool tools[TOOLS_MAX];
    struct declared declared[TOOLS_MAX];
    size_t n;
    char *check;
};

static void free_own(void *arg)
{
    struct own *own = arg;
    for (size_t i = 0; i < own->n; i++) {
        struct declared *d = &own->declared[i];
        free(d->name);
        free(d->title);
        free(d->description);
        free(d->schema);
        free(d->method);
        free(d->path);
        free(d->rows);
        json_decref(d->body);
        for (size_t f = 0; f < d->field_count; f++) {
            free(d->fields[f].label);
            free(d->fields[f].pointer);
        }
    }
    free(own->check);
    free(own);
}

static const char *const types[] = {"string", "number", "integer", "boolean"};
struct argument {
    char name[64];
    const char *type; /* of JSON Schema */
};

/* The next {name} or {name:type} of a template: where it begins and ends, and what it says; false:
 * no more, or *bad. */
static bool next_argument(const char *at, const char **from, const char **to, struct argument *a,
                          bool *bad)
{
    const char *open = strpbrk(at, "{}");
    *bad = false;
    if (!open)
        return false;
    const char *end = *open == '{' ? strchr(open, '}') : NULL;
    size_t whole = end ? (size_t)(end - open - 1) : 0, len = 0;
    while (len < whole && (isalnum((unsigned char)open[1 + len]) || open[1 + len] == '_'))
        len++;
    a->type = len == whole ? types[0] : NULL;
    for (size_t i = 0; i < sizeof types / sizeof *types && !a->type; i++) {
        size_t n = strlen(types[i]);
        if (open[1 + len] == ':' && whole - len - 1 == n && !memcmp(open + len + 2, types[i], n))
            a->type = types[i];
    }
    *bad = len == 0 || len > 63 || !a->type;
    if (*bad)
        return false;
    memcpy(a->name, open + 1, len);
    a->name[len] = '\0';
    *from = open;
    *to = end + 1;
    return true;
}

static bool add_argument(json_t *properties, json_t *required, const struct argument *a)
{
    const json_t *known = json_object_get(properties, a->name);
    if (known)
        return strcmp(json_str(known, "type", ""), a->type) == 0;
    if (json_object_size(properties) >= ARGUMENTS_MAX)
        return false;
    json_t *property = json_object();
    json_puts(property, "type", a->type);
    if (a->type == types[0]) {
        json_puti(property, "minLength", 1);
        json_puti(property, "maxLength", 1000);
    }
    json_put(properties, a->name, property);
    json_array_append_new(required, json_string(a->name));
    return true;
}

/* "{name}" as a whole text of the body. */
static bool body_arguments(const json_t *value, json_t *properties, json_t *required)
{
    const char *key, *from, *to;
    json_t *member;
    size_t i;
    bool fine = true, bad;
    struct argument a;
    json_object_foreach((json_t *)value, key, member) fine =
        fine && body_arguments(member, properties, required);
    json_array_foreach((json_t *)value, i, member) fine =
        fine && body_arguments(member, properties, required);
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    if (fine && *text == '{' && next_argument(text, &from, &to, &a, &bad) && !*to)
        fine = add_argument(properties, required, &a);
    return fine;
}

static enum err make_schema(struct declared *d, const char *where, struct error *e)
{
    json_t *schema = json_object(), *properties = json_object(), *required = json_array();
    const char *from, *to;
    struct argument a;
    bool bad = false, fine = true;
    for (const char *at = d->path; fine && next_argument(at, &from, &to, &a, &bad); at = to)
        fine = add_argument(properties, required, &a);
    fine = fine && !bad && (!d->body || body_arguments(d->body, properties, required));
    json_puts(schema, "type", "object");
    json_put(schema, "properties", properties);
    json_put(schema, "required", required);
    json_put(schema, "additionalProperties", json_false());
    d->schema = json_write(schema);
    json_decref(schema);
    return fine ? ERR_OK
                : err_set(e, ERR_CONFIG,
                          "%s: an argument is {name} or {name:TYPE}, of letters, digits and _, one "
                          "TYPE each: number, integer or boolean; at most %d of them",
                          where, ARGUMENTS_MAX);
}

/* "label=/pointer label=/pointer" */
static enum err read_fields(struct declared *d, const char *said, const char *where,
                            struct error *e)
{
    while (*said) {
        while (*said == ' ')
            said++;
        size_t len = strcspn(said, " ");
        const char *equals = memchr(said, '=', len);
        if (!len)
            break;
        if (!equals || equals == said || equals[1] != '/' || d->field_count == FIELDS_MAX)
            return err_set(e, ERR_CONFIG, "%s: fields are label=/pointer, at most %d", where,
                           FIELDS_MAX);
        struct field *f = &d->fields[d->field_count++];
        f->label = xstrndup(said, (size_t)(equals - said));
        f->pointer = xstrndup(equals + 1, len - (size_t)(equals - said) - 1);
        said += len;
    }
    return ERR_OK;
}

static enum err next_declared(const struct rest_view *v, const struct rest_tool *t,
                              const json_t *arguments, const json_t *answers, struct rest_ask *ask,
                              bool *more, struct error *e);
static rest_shape_fn shape_declared;

static enum err read_tool(struct own *own, const struct conf *conf, const char *section,
                          const char *short_name, struct error *e)
{
    const char *where = conf_where(conf, "tool", section, "path");
    if (own->n == TOOLS_MAX)
        return err_set(e, ERR_CONFIG, "%s: a connector has at most %d tools", where, TOOLS_MAX);
    struct declared *d = &own->declared[own->n];
    const char *body = conf_str(conf, "tool", section, "body"),
               *acts = conf_str(conf, "tool", section, "acts");
    own->n++;
    d->name = xstrdup(short_name);
    d->title = xstrdup(conf_str(conf, "tool", section, "title"));
    d->description = xstrdup(conf_str(conf, "tool", section, "description"));
    d->method = xstrdup(conf_str(conf, "tool", section, "method"));
    d->path = xstrdup(conf_str(conf, "tool", section, "path"));
    d->rows = xstrdup(conf_str(conf, "tool", section, "rows"));
    if (*d->path != '/' || strpbrk(d->path, "# \t"))
        return err_set(e, ERR_CONFIG, "%s: path begins with / and has no blank and no #", where);
    if (*body && !(d->body = json_read(body, strlen(body), 65536, 16, e)))
        return err_set(e, ERR_CONFIG, "%s: body is no JSON",
                       conf_where(conf, "tool", section, "body"));
    where = conf_where(conf, "tool", section, "path");
    if (make_schema(d, where, e) != ERR_OK ||
        read_fields(d, conf_str(conf, "tool", section, "fields"), where, e) != ERR_OK)
        return e->code;
    bool get = strcmp(d->method, "GET") == 0;
    own->tools[own->n - 1] =
        (struct rest_tool){d->name,
                           d->title,
                           d->description,
                           d->schema,
                           strcmp(acts, "auto") == 0 ? !get : strcmp(acts, "yes") == 0,
                           next_declared,
                           shape_declared,
                           d};
    return ERR_OK;
}

/* ---- asking */

/* Replaces whole texts "{name}" by the argument. The caller owns. */
static json_t *filled(const json_t *value, const json_t *arguments)
{
    const char *key, *from, *to;
    json_t *member, *copy;
    size_t i;
    struct argument a;
    bool bad;
    if (json_is_object(value)) {
        copy = json_object();
        json_object_foreach((json_t *)value, key, member)
            json_put(copy, key, filled(member, arguments));
        return copy;
    }
    if (json_is_array(value)) {
        copy = json_array();
        json_array_foreach((json_t *)value, i, member)
            json_array_append_new(copy, filled(member, arguments));
        return copy;
    }
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    if (*text == '{' && next_argument(text, &from, &to, &a, &bad) && !*to &&
        json_object_get(arguments, a.name))
        return json_deep_copy(json_object_get(arguments, a.name));
    return json_deep_copy(value);
}

static enum err next_declared(const struct rest_view *v, const struct rest_tool *t,
                              const json_t *arguments, const json_t *answers, struct rest_ask *ask,
                              bool *more, struct error *e)
{
    (void)v;
    (void)e;
    const struct declared *d = t->own;
    const char *at = d->path, *from, *to;
    struct argument a;
    bool bad;
    *more = json_array_size(answers) == 0;
    if (!*more)
        return ERR_OK;
    ask->method = d->method;
    while (next_argument(at, &from, &to, &a, &bad)) {
        const json_t *value = json_object_get(arguments, a.name);
        char *text = json_is_string(value) || !value ? NULL : json_write(value);
        buf_add(&ask->path, at, (size_t)(from - at));
        rest__escape(&ask->path, text ? text : json_str(arguments, a.name, ""));
        free(text);
        at = to;
    }
    buf_adds(&ask->path, at);
    ask->body = d->body ? filled(d->body, arguments) : NULL;
    return ERR_OK;
}

/* ---- answers */

static void say_row(struct host_out *out, const struct declared *d, const json_t *row, json_t *into,
                    bool tell)
{
    struct buf words = {0};
    for (size_t i = 0; i < d->field_count; i++) {
        const json_t *value = rest__at(row, d->fields[i].pointer);
        bool plain = value && !json_is_object(value) && !json_is_array(value);
        char *text = plain && !json_is_null(value) ? rest__reason(value) : xstrdup("?");
        buf_addf(&words, "%s%s: %s", i ? "; " : "", d->fields[i].label, text);
        json_put(into, d->fields[i].label, plain ? json_deep_copy(value) : json_null());
        free(text);
    }
    if (tell && words.len)
        host__say(out, HOST_OK, "", NAN, "", xasprintf("%s.", words.data),
                  xasprintf("%s.", words.data));
    buf_release(&words);
}

static void shape_declared(const struct rest_view *v, const struct rest_tool *t,
                           const json_t *arguments, const json_t *answers, struct host_out *out)
{
    (void)v;
    (void)arguments;
    const struct declared *d = t->own;
    const json_t *answer = json_array_get(answers, 0),
                 *list =
                     *d->rows ? rest__at(answer, strcmp(d->rows, "/") == 0 ? "" : d->rows) : NULL;
    if (!d->field_count) { /* the whole answer, as it came */
        json_put(out->data, "answer", json_deep_copy(answer));
        char *text = json_write(answer), *clean;
        json_t *whole = json_text(text, strlen(text));
        clean = rest__reason(whole);
        json_decref(whole);
        host__say(out, HOST_OK, "", NAN, "", xstrdup(clean), xstrdup(clean));
        free(clean);
        free(text);
        return;
    }
    if (!*d->rows) {
        json_t *one = json_object();
        say_row(out, d, answer, one, true);
        json_put(out->data, "fields", one);
        return;
    }
    if (!json_is_array(list)) {
        err_set(&out->error, ERR_PROTOCOL, "the answer has no list at %s", d->rows);
        return;
    }
    json_t *docs = json_array(), *row;
    size_t i, n = json_array_size(list);
    json_array_foreach((json_t *)list, i, row)
    {
        if (i >= REST_MAX_ROWS)
            break;
        json_t *one = json_object();
        say_row(out, d, row, one, i < TOLD);
        json_array_append_new(docs, one);
    }
    json_put(out->data, "rows", docs);
    json_puti(out->data, "total", (int64_t)n);
    host__say(out, HOST_OK, "", (double)n, "", xasprintf("Rows: %zu.", n),
              xasprintf("Строк: %zu.", n));
}

static void *make(struct conn *c, const struct conf *conf, struct error *e)
{
    struct own *own = xcalloc(1, sizeof *own);
    const char *name = conn__name(c);
    size_t prefix = strlen(name), n = conf_names(conf, "tool", NULL, 0);
    const char **names = xcalloc(n + 1, sizeof *names);
    bool fine = true;
    conf_names(conf, "tool", names, n);
    for (size_t i = 0; i < n && fine; i++) {
        if (strncmp(names[i], name, prefix) == 0 && names[i][prefix] == '.' && names[i][prefix + 1])
            fine = read_tool(own, conf, names[i], names[i] + prefix + 1, e) == ERR_OK;
    }
    free(names);
    const char *check = conf_str(conf, "connector", name, "check_path");
    own->check = xstrdup(*check ? check : "/");
    own->kind = (struct rest_kind){.tools = own->tools, .tool_count = own->n, .check = own->check};
    if (fine && *own->check != '/') {
        err_set(e, ERR_CONFIG, "%s: check_path begins with /",
                conf_where(conf, "connector", name, "check_path"));
        fine = false;
    }
    struct rest *r = fine ? rest__make(c, conf, &own->kind, own, free_own, e) : NULL;
    if (!r)
        free_own(own);
    return r;
}

const struct conn_ops conn__http_json_ops = REST_OPS("http-json", make, "", "");
