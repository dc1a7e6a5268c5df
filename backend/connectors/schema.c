/* Do arguments fit a tool's schema? The schema is foreign too: depth and work are bounded. */
#include "backend/connectors/internal.h"
#include <math.h>
#include <string.h>

enum { MAX_DEPTH = 24, MAX_STEPS = 20000 };

struct check {
    unsigned steps, depth;
    char path[160];
    struct error *e;
};

static enum err check_value(struct check *k, const json_t *schema, const json_t *value);

static enum err refuse(struct check *k, const char *why)
{
    return err_set(k->e, ERR_INVALID, "argument%s%s: %s", *k->path ? " " : "s", k->path, why);
}

static enum err refuse_number(struct check *k, const char *why, double number)
{
    return err_set(k->e, ERR_INVALID, "argument %s: %s %.15g", k->path, why, number);
}

static bool type_fits(const char *type, const json_t *value)
{
    if (strcmp(type, "object") == 0)
        return json_is_object(value);
    if (strcmp(type, "array") == 0)
        return json_is_array(value);
    if (strcmp(type, "string") == 0)
        return json_is_string(value);
    if (strcmp(type, "number") == 0)
        return json_is_number(value);
    if (strcmp(type, "integer") == 0)
        return json_is_integer(value) ||
               (json_is_real(value) && floor(json_real_value(value)) == json_real_value(value));
    if (strcmp(type, "boolean") == 0)
        return json_is_boolean(value);
    if (strcmp(type, "null") == 0)
        return json_is_null(value);
    return true; /* a type of a later revision: the server will judge */
}

static enum err check_type(struct check *k, const json_t *type, const json_t *value)
{
    bool fits = !json_is_array(type) || json_array_size(type) == 0;
    if (json_is_string(type))
        fits = type_fits(json_string_value(type), value);
    for (size_t i = 0; !fits && i < json_array_size(type) && i < 16; i++) {
        const char *one = json_string_value(json_array_get(type, i));
        fits = one && type_fits(one, value);
    }
    if (fits)
        return ERR_OK;
    const char *name =
        json_is_string(type) ? json_string_value(type) : "one of the types of the schema";
    return err_set(k->e, ERR_INVALID, "argument%s%s: must be %.40s", *k->path ? " " : "s", k->path,
                   name);
}

/* 1 and 1.0 are the same number in JSON Schema. */
static bool same(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b))
        return json_number_value(a) == json_number_value(b);
    return json_equal(a, b);
}

static enum err check_enum(struct check *k, const json_t *schema, const json_t *value)
{
    const json_t *only = json_object_get(schema, "const");
    if (only && !same(only, value))
        return refuse(k, "is not the one allowed value");
    const json_t *list = json_object_get(schema, "enum");
    if (!json_is_array(list))
        return ERR_OK;
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n; i++) {
        if (++k->steps > MAX_STEPS)
            return refuse(k, "the tool's schema is too large to check");
        if (same(json_array_get(list, i), value))
            return ERR_OK;
    }
    struct buf allowed = {0};
    for (size_t i = 0; i < n && allowed.len < 100; i++) {
        char *text = json_write(json_array_get(list, i));
        buf_addf(&allowed, "%s%.40s", i ? ", " : "", text);
        free(text);
    }
    err_set(k->e, ERR_INVALID, "argument %s: must be one of %s", k->path,
            allowed.data ? allowed.data : "none");
    buf_release(&allowed);
    return ERR_INVALID;
}

static enum err check_number(struct check *k, const json_t *schema, const json_t *value)
{
    if (!json_is_number(value))
        return ERR_OK;
    double n = json_number_value(value);
    const json_t *bound = json_object_get(schema, "minimum");
    if (json_is_number(bound) && n < json_number_value(bound))
        return refuse_number(k, "must be at least", json_number_value(bound));
    bound = json_object_get(schema, "maximum");
    if (json_is_number(bound) && n > json_number_value(bound))
        return refuse_number(k, "must be at most", json_number_value(bound));
    bound = json_object_get(schema, "exclusiveMinimum");
    if (json_is_number(bound) && n <= json_number_value(bound))
        return refuse_number(k, "must be more than", json_number_value(bound));
    bound = json_object_get(schema, "exclusiveMaximum");
    if (json_is_number(bound) && n >= json_number_value(bound))
        return refuse_number(k, "must be less than", json_number_value(bound));
    return ERR_OK;
}

static enum err check_size(struct check *k, const json_t *schema, const char *min, const char *max,
                           size_t size)
{
    const json_t *bound = json_object_get(schema, min);
    if (json_is_number(bound) && (double)size < json_number_value(bound))
        return refuse_number(k, "its length must be at least", json_number_value(bound));
    bound = json_object_get(schema, max);
    if (json_is_number(bound) && (double)size > json_number_value(bound))
        return refuse_number(k, "its length must be at most", json_number_value(bound));
    return ERR_OK;
}

static size_t characters(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

/* Checks a member under its name in the path. */
static enum err check_member(struct check *k, const char *name, const json_t *schema,
                             const json_t *value)
{
    size_t len = strlen(k->path);
    int room = (int)(sizeof k->path - len - 1);
    if (room > 1)
        snprintf(k->path + len, (size_t)room, "%s%.60s", len ? "." : "", name);
    enum err code = check_value(k, schema, value);
    if (code == ERR_OK)
        k->path[len] = '\0';
    return code;
}

static enum err check_required(struct check *k, const json_t *schema, const json_t *value)
{
    const json_t *required = json_object_get(schema, "required");
    for (size_t i = 0; i < json_array_size(required); i++) {
        const char *name = json_string_value(json_array_get(required, i));
        if (++k->steps > MAX_STEPS)
            return refuse(k, "the tool's schema is too large to check");
        if (name && !json_object_get(value, name))
            return err_set(k->e, ERR_INVALID, "argument %s%s%.60s is missing", k->path,
                           *k->path ? "." : "", name);
    }
    return ERR_OK;
}

static enum err check_object(struct check *k, const json_t *schema, const json_t *value)
{
    const json_t *properties = json_object_get(schema, "properties");
    const json_t *others = json_object_get(schema, "additionalProperties");
    enum err code = check_required(k, schema, value);
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)value, name, member)
    {
        if (code != ERR_OK)
            break;
        const json_t *of = json_object_get(properties, name);
        if (of)
            code = check_member(k, name, of, member);
        else if (json_is_false(others))
            code = err_set(k->e, ERR_INVALID, "argument %s%s%.60s is not known to the tool",
                           k->path, *k->path ? "." : "", name);
        else if (json_is_object(others))
            code = check_member(k, name, others, member);
    }
    return code;
}

static enum err check_array(struct check *k, const json_t *schema, const json_t *value)
{
    size_t n = json_array_size(value);
    enum err code = check_size(k, schema, "minItems", "maxItems", n);
    const json_t *items = json_object_get(schema, "items");
    for (size_t i = 0; code == ERR_OK && json_is_object(items) && i < n; i++) {
        char index[24];
        snprintf(index, sizeof index, "%zu", i);
        code = check_member(k, index, items, json_array_get(value, i));
    }
    return code;
}

static enum err check_value(struct check *k, const json_t *schema, const json_t *value)
{
    if (json_is_false(schema))
        return refuse(k, "is not allowed");
    if (!json_is_object(schema))
        return ERR_OK;
    if (++k->steps > MAX_STEPS || k->depth >= MAX_DEPTH)
        return refuse(k, "the tool's schema is too large to check");
    k->depth++;
    enum err code = check_type(k, json_object_get(schema, "type"), value);
    if (code == ERR_OK)
        code = check_enum(k, schema, value);
    if (code == ERR_OK)
        code = check_number(k, schema, value);
    if (code == ERR_OK && json_is_string(value))
        code =
            check_size(k, schema, "minLength", "maxLength", characters(json_string_value(value)));
    if (code == ERR_OK && json_is_object(value))
        code = check_object(k, schema, value);
    if (code == ERR_OK && json_is_array(value))
        code = check_array(k, schema, value);
    k->depth--;
    return code;
}

enum err conn__schema_check(const json_t *schema, const json_t *value, struct error *e)
{
    struct check k = {.e = e};
    return check_value(&k, schema, value);
}

enum err conn_schema_check(const json_t *schema, const json_t *value, struct error *e)
{
    return conn__schema_check(schema, value, e);
}
