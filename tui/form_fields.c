/* The fields of a form: from a schema, and back to a value. Pure but for translations. */
#include "backend/base/json.h"
#include "tui/form.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 200, ABOUT_MAX_BYTES = 2000, LINES_MAX = 1000 };

/* ---- from a schema */

/* The type of a property; of several (["string", "null"]) the first that is not null. */
static const char *type_of(const json_t *schema)
{
    const json_t *type = json_object_get(schema, "type");
    for (size_t i = 0; i < json_array_size(type); i++) {
        const char *name = json_string_value(json_array_get(type, i));
        if (name && strcmp(name, "null") != 0)
            return name;
    }
    return json_is_string(type) ? json_string_value(type) : "";
}

static void option_add(struct form_field *f, const json_t *value, const char *title)
{
    if (!value || f->option_count == TUI_FORM_OPTIONS)
        return;
    char *shown = title                   ? xstrndup(title, NAME_MAX_BYTES)
                  : json_is_string(value) ? xstrndup(json_string_value(value), NAME_MAX_BYTES)
                                          : json_write(value);
    f->options = xrealloc(f->options, (f->option_count + 1) * sizeof *f->options);
    f->options[f->option_count++] =
        (struct form_option){.value = json_deep_copy(value), .title = shown};
}

/* enum with enumNames, or oneOf / anyOf where every branch is a const. */
static void read_options(struct form_field *f, const json_t *schema)
{
    const json_t *values = json_object_get(schema, "enum"),
                 *names = json_object_get(schema, "enumNames");
    for (size_t i = 0; i < json_array_size(values); i++)
        option_add(f, json_array_get(values, i), json_string_value(json_array_get(names, i)));
    static const char *const words[] = {"oneOf", "anyOf"};
    for (size_t w = 0; w < 2 && !f->option_count; w++) {
        const json_t *branches = json_object_get(schema, words[w]);
        size_t n = json_array_size(branches), consts = 0;
        for (size_t i = 0; i < n; i++)
            consts += json_object_get(json_array_get(branches, i), "const") != NULL;
        for (size_t i = 0; n && consts == n && i < n; i++) {
            const json_t *branch = json_array_get(branches, i);
            option_add(f, json_object_get(branch, "const"), json_str(branch, "title", NULL));
        }
    }
}

static enum form_kind kind_of(struct form_field *f)
{
    const char *type = type_of(f->schema);
    read_options(f, f->schema);
    if (f->option_count)
        return FORM_CHOICE;
    if (strcmp(type, "string") == 0)
        return FORM_TEXT;
    if (strcmp(type, "number") == 0)
        return FORM_NUMBER;
    if (strcmp(type, "integer") == 0)
        return FORM_INTEGER;
    if (strcmp(type, "boolean") == 0)
        return FORM_FLAG;
    if (strcmp(type, "array") != 0)
        return FORM_JSON;
    const json_t *items = json_object_get(f->schema, "items");
    read_options(f, items);
    const char *of = type_of(items);
    if (f->option_count)
        return FORM_CHOICES;
    return strcmp(of, "string") == 0 || strcmp(of, "number") == 0 || strcmp(of, "integer") == 0
               ? FORM_LINES
               : FORM_JSON;
}

static void show_in_input(struct form_field *f, const json_t *value)
{
    if (json_is_string(value)) {
        tui_input_set(&f->input, json_string_value(value));
        return;
    }
    char *text = f->kind == FORM_JSON ? json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY)
                                      : json_write(value);
    tui_input_set(&f->input, text ? text : "");
    free(text);
}

static void begin_with(struct form_field *f, const json_t *value)
{
    struct buf lines = {0};
    switch (f->kind) {
    case FORM_FLAG:
        f->chosen = json_is_boolean(value) ? json_is_true(value) : -1;
        break;
    case FORM_CHOICE:
        for (size_t i = 0; i < f->option_count; i++)
            f->chosen = value && json_equal(f->options[i].value, value) ? (long)i : f->chosen;
        break;
    case FORM_CHOICES:
        for (size_t i = 0; i < f->option_count; i++)
            for (size_t k = 0; k < json_array_size(value); k++)
                f->options[i].marked |= json_equal(f->options[i].value, json_array_get(value, k));
        f->chosen = 0;
        break;
    case FORM_LINES:
        for (size_t i = 0; i < json_array_size(value); i++) {
            const json_t *item = json_array_get(value, i);
            char *text = json_is_string(item) ? xstrdup(json_string_value(item)) : json_write(item);
            buf_addf(&lines, "%s%s", i ? "\n" : "", text);
            free(text);
        }
        tui_input_set(&f->input, lines.data ? lines.data : "");
        buf_release(&lines);
        break;
    default:
        if (value && (!json_is_null(value) || f->kind == FORM_JSON))
            show_in_input(f, value);
        break;
    }
}

static bool names(const json_t *required, const char *name)
{
    for (size_t i = 0; i < json_array_size(required); i++) {
        const char *is = json_string_value(json_array_get(required, i));
        if (is && strcmp(is, name) == 0)
            return true;
    }
    return false;
}

void form_fields_init(struct form_fields *f, const json_t *schema, const json_t *initial)
{
    memset(f, 0, sizeof *f);
    json_t *properties = json_object_get(schema, "properties"), *property;
    const json_t *required = json_object_get(schema, "required");
    const char *name;
    if (!json_is_object(properties))
        return;
    f->fields = xcalloc(TUI_FORM_FIELDS, sizeof *f->fields);
    for (int turn = 0; turn < 2; turn++) /* what is needed comes first */
        json_object_foreach(properties, name, property)
        {
            bool needed = names(required, name);
            if (needed != (turn == 0))
                continue;
            if (f->count == TUI_FORM_FIELDS) {
                f->left_out++;
                continue;
            }
            struct form_field *field = &f->fields[f->count++];
            const char *title = json_str(property, "title", NULL);
            field->name = xstrdup(name);
            field->title = xstrndup(title && *title ? title : name, NAME_MAX_BYTES);
            field->about = xstrndup(json_str(property, "description", ""), ABOUT_MAX_BYTES);
            field->schema = json_deep_copy(property);
            field->required = needed;
            field->chosen = -1;
            field->kind = kind_of(field);
            const json_t *value = json_object_get(initial, name);
            begin_with(field, value ? value : json_object_get(property, "default"));
            if (needed && field->kind == FORM_FLAG && field->chosen < 0)
                field->chosen = 0;
        }
}

void form_fields_release(struct form_fields *f)
{
    for (size_t i = 0; i < f->count; i++) {
        struct form_field *field = &f->fields[i];
        free(field->name);
        free(field->title);
        free(field->about);
        json_decref(field->schema);
        for (size_t k = 0; k < field->option_count; k++) {
            json_decref(field->options[k].value);
            free(field->options[k].title);
        }
        free(field->options);
        tui_input_release(&field->input);
    }
    free(f->fields);
    memset(f, 0, sizeof *f);
}

void form_field_turn(struct form_field *f, int step)
{
    long n = f->kind == FORM_FLAG ? 2 : (long)f->option_count;
    long least = f->required || f->kind == FORM_CHOICES ? 0 : -1;
    if (n == 0)
        return;
    f->chosen += step;
    if (f->chosen >= n)
        f->chosen = least;
    if (f->chosen < least)
        f->chosen = n - 1;
}

void form_field_mark(struct form_field *f)
{
    if (f->chosen >= 0 && (size_t)f->chosen < f->option_count)
        f->options[f->chosen].marked = !f->options[f->chosen].marked;
}

/* ---- back to a value */

static json_t *bad(struct form_field *f, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static json_t *bad(struct form_field *f, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(f->bad, sizeof f->bad, format, args);
    va_end(args);
    return NULL;
}

static bool date_fits(const char *text)
{
    int y, m, d, end = 0;
    return sscanf(text, "%4d-%2d-%2d%n", &y, &m, &d, &end) == 3 && end == 10 && m >= 1 && m <= 12 &&
           d >= 1 && d <= 31;
}

/* The formats of elicitation; only what surely is none is refused. */
static const char *format_error(const char *format, const char *text)
{
    const char *at = strchr(text, '@'), *colon = strchr(text, ':');
    if (strcmp(format, "email") == 0 && (!at || at == text || !at[1] || strchr(text, ' ')))
        return _("this is no address like name@example.com");
    if (strcmp(format, "uri") == 0 && (!colon || colon == text || strchr(text, ' ')))
        return _("this is no address like https://example.com");
    if (strcmp(format, "date") == 0 && (!date_fits(text) || text[10]))
        return _("this is no date like 2026-11-27");
    if (strcmp(format, "date-time") == 0 && (!date_fits(text) || (text[10] | 32) != 't'))
        return _("this is no time like 2026-11-27T03:12:00Z");
    return NULL;
}

static size_t characters(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static json_t *text_value(struct form_field *f, const char *text)
{
    int64_t least = json_int(f->schema, "minLength", 0),
            most = json_int(f->schema, "maxLength", INT64_MAX);
    int64_t n = (int64_t)characters(text);
    if (n < least)
        return bad(f, _("at least %" PRId64 " characters are needed"), least);
    if (n > most)
        return bad(f, _("at most %" PRId64 " characters fit; these are %" PRId64), most, n);
    const char *why = format_error(json_str(f->schema, "format", ""), text);
    return why ? bad(f, "%s", why) : json_string(text);
}

/* A bound as it stands in the schema; NAN: none. */
static double bound(const json_t *schema, const char *name)
{
    const json_t *value = json_object_get(schema, name);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static json_t *number_value(struct form_field *f, const json_t *schema, bool whole,
                            const char *text)
{
    json_t *value;
    char *end;
    errno = 0;
    if (whole) {
        long long n = strtoll(text, &end, 10);
        if (errno || end == text || *end)
            return bad(f, "%s", _("this is no whole number"));
        value = json_integer(n);
    } else {
        double d = strtod(text, &end);
        if (errno || end == text || *end || !isfinite(d))
            return bad(f, "%s", _("this is no number"));
        value = json_real(d);
    }
    double is = json_number_value(value), least = bound(schema, "minimum"),
           most = bound(schema, "maximum"), above = bound(schema, "exclusiveMinimum"),
           below = bound(schema, "exclusiveMaximum");
    if (is < least || is <= above)
        bad(f, _("too small: it begins at %g"), is < least ? least : above);
    else if (is > most || is >= below)
        bad(f, _("too large: it ends at %g"), is > most ? most : below);
    else
        return value;
    json_decref(value);
    return NULL;
}

static json_t *items_fit(struct form_field *f, json_t *list)
{
    int64_t least = json_int(f->schema, "minItems", 0),
            most = json_int(f->schema, "maxItems", LINES_MAX);
    int64_t n = (int64_t)json_array_size(list);
    if (n >= least && n <= most)
        return list;
    json_decref(list);
    return n < least ? bad(f, _("at least %" PRId64 " are needed"), least)
                     : bad(f, _("at most %" PRId64 " fit"), most);
}

static json_t *lines_value(struct form_field *f, const char *text)
{
    const json_t *items = json_object_get(f->schema, "items");
    const char *of = type_of(items);
    json_t *list = json_array();
    while (*text) {
        size_t len = strcspn(text, "\n");
        char *line = xstrndup(text, len);
        json_t *value = NULL;
        if (*line)
            value = strcmp(of, "string") == 0
                        ? json_string(line)
                        : number_value(f, items, strcmp(of, "integer") == 0, line);
        if (value)
            json_array_append_new(list, value);
        free(line);
        if (*f->bad) {
            json_decref(list);
            return NULL;
        }
        text += len + (text[len] == '\n');
    }
    return items_fit(f, list);
}

static json_t *choices_value(struct form_field *f)
{
    json_t *list = json_array();
    for (size_t i = 0; i < f->option_count; i++)
        if (f->options[i].marked)
            json_array_append(list, f->options[i].value);
    return items_fit(f, list);
}

static json_t *json_value(struct form_field *f, const char *text)
{
    json_error_t e;
    json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &e);
    if (!value)
        return bad(f, _("this is no JSON: line %d: %s"), e.line, e.text);
    return value;
}

static bool is_empty(const struct form_field *f)
{
    if (f->kind == FORM_CHOICE || f->kind == FORM_FLAG)
        return f->chosen < 0;
    for (size_t i = 0; f->kind == FORM_CHOICES && i < f->option_count; i++)
        if (f->options[i].marked)
            return false;
    return f->input.text.len == 0;
}

/* NULL with an empty `bad`: left out. */
static json_t *value_of(struct form_field *f)
{
    const char *text = tui_input_text(&f->input);
    f->bad[0] = 0;
    if (is_empty(f)) {
        bool none = (f->kind == FORM_CHOICES || f->kind == FORM_LINES) && f->required &&
                    json_int(f->schema, "minItems", 0) == 0;
        if (none)
            return json_array();
        return f->required ? bad(f, "%s", _("this is needed")) : NULL;
    }
    switch (f->kind) {
    case FORM_TEXT:
        return text_value(f, text);
    case FORM_NUMBER:
    case FORM_INTEGER:
        return number_value(f, f->schema, f->kind == FORM_INTEGER, text);
    case FORM_FLAG:
        return json_boolean(f->chosen == 1);
    case FORM_CHOICE:
        return json_incref(f->options[f->chosen].value);
    case FORM_CHOICES:
        return choices_value(f);
    case FORM_LINES:
        return lines_value(f, text);
    case FORM_JSON:
        return json_value(f, text);
    }
    return NULL;
}

json_t *form_fields_value(struct form_fields *f, size_t *first)
{
    json_t *out = json_object();
    bool all = true;
    for (size_t i = 0; i < f->count; i++) {
        json_t *value = value_of(&f->fields[i]);
        if (*f->fields[i].bad && all) {
            all = false;
            *first = i;
        }
        if (value)
            json_object_set_new(out, f->fields[i].name, value);
    }
    if (all)
        return out;
    json_decref(out);
    return NULL;
}
