/* Arguments of a tool from the question, by the tool's schema. */
#include "backend/orchestrator/internal.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static bool first_integer(const char *text, int64_t *out)
{
    for (const char *p = text; *p; p++) {
        if (isdigit((unsigned char)*p)) {
            char *end;
            long long value = strtoll(p, &end, 10);
            *out = value;
            return true;
        }
    }
    return false;
}

/* What stands between backticks: `up == 0`; NULL: nothing does. The caller frees. */
static char *quoted_text(const char *question)
{
    const char *from = strchr(question, '`'), *to = from ? strchr(from + 1, '`') : NULL;
    return to && to > from + 1 ? xstrndup(from + 1, (size_t)(to - from - 1)) : NULL;
}

/* An enum value that stands in it (or that its words fit), an
 * integer for a required integer. False if something required cannot be filled. */
bool orch__fill_arguments(const struct orch *o, const char *question, const json_t *schema,
                          json_t *out)
{
    const json_t *properties = json_object_get(schema, "properties");
    const json_t *required = json_object_get(schema, "required");
    const char *key;
    json_t *property;
    json_object_foreach((json_t *)properties, key, property)
    {
        const json_t *values = json_object_get(property, "enum");
        const char *names[16];
        double fit[16];
        size_t n = 0;
        for (size_t i = 0; i < json_array_size(values) && n < 16; i++) {
            const char *value = json_string_value(json_array_get(values, i));
            if (value)
                names[n++] = value;
        }
        if (!n || json_object_get(out, key))
            continue;
        know_fit(o->rooms.know, KNOW_LEXICAL, question, names, n, fit);
        size_t best = 0;
        for (size_t i = 1; i < n; i++) {
            if (fit[i] > fit[best])
                best = i;
        }
        if (fit[best] > 0)
            json_puts(out, key, names[best]);
    }
    for (size_t i = 0; i < json_array_size(required); i++) {
        const char *name = json_string_value(json_array_get(required, i));
        if (!name || json_object_get(out, name))
            continue;
        int64_t number;
        const char *type = json_str(json_object_get(properties, name), "type", "");
        char *quoted = strcmp(type, "string") == 0 ? quoted_text(question) : NULL;
        if (quoted) {
            json_puts(out, name, quoted);
            free(quoted);
            continue;
        }
        if (strcmp(type, "integer") != 0 || !first_integer(question, &number))
            return false;
        json_puti(out, name, number);
    }
    return true;
}
