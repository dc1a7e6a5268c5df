#include "backend/orchestrator/arguments.h"
#include "backend/base/buf.h"
#include "backend/base/json.h"
#include "backend/orchestrator/concepts.h"
#include "backend/orchestrator/names.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum shape { NAMED, PATH, ADDRESS };
static const struct thing {
    const char *parameters, *words;
    enum shape shape;
} THINGS[] = {
#define THING(parameters, words, shape) {parameters, words, shape},
#include "backend/orchestrator/things.def"
#undef THING
};
enum {
    THINGS_COUNT = sizeof THINGS / sizeof *THINGS,
    ENUM_MOST = 16,
    WORD_MOST = 64,
    FILLED_MOST = 64
};

/* Parameters that say when, that hold words to search for, and that say how many. */
static const char TIMES[] = "since window range duration period interval lookback timeframe";
static const char SOUGHT[] = "pattern filter search text grep keyword message contains";
static const char COUNTS[] = "limit count lines tail max top size n number";
/* Parameters that say only that a name is wanted; of what, their description may say. */
static const char WHATEVER[] = "name id resource object key";
enum { LAST_MINUTES = 60, LAST_HOURS = 1, USUAL_COUNT = 100 };

struct filling {
    const struct know *know;
    const struct arguments_from *from;
    const json_t *properties;
    json_t *out;
};

/* ---- words of a list */

static bool in_list(const char *list, const char *word, size_t len)
{
    for (const char *p = list; *p;) {
        size_t n = strcspn(p, " ");
        if (n == len && memcmp(p, word, n) == 0)
            return true;
        p += n;
        p += strspn(p, " ");
    }
    return false;
}

struct looking {
    const char *list;
    bool found;
};

static void look_word(void *arg, const char *word, size_t len)
{
    struct looking *l = arg;
    l->found = l->found || in_list(l->list, word, len);
}

/* One of the words of a property's name, or of a text, stands in the list. */
static bool speaks_of(const char *text, const char *list)
{
    struct looking l = {.list = list};
    concepts_words(text, look_word, &l);
    return l.found;
}

/* ---- names */

static bool has_shape(const char *s, size_t len, enum shape shape)
{
    bool address = len > 6 && isdigit((unsigned char)*s) && strspn(s, "0123456789.") >= len;
    if (shape == ADDRESS)
        return address;
    return shape == PATH ? *s == '/' : *s != '/';
}

/* What is given already is not given twice. */
static bool is_given(const struct filling *f, const char *s, size_t len)
{
    const char *key;
    json_t *value;
    json_object_foreach(f->out, key, value)
    {
        const char *text = json_string_value(value);
        if (text && strlen(text) == len && memcmp(text, s, len) == 0)
            return true;
    }
    return false;
}

struct naming {
    const struct filling *f;
    enum shape shape;
    char *name;
};

static void first_name(void *arg, const char *name, size_t len)
{
    struct naming *n = arg;
    if (!n->name && has_shape(name, len, n->shape) && !is_given(n->f, name, len))
        n->name = xstrndup(name, len);
}

/* The first name of that shape in a text that is not given yet. */
static char *name_of_shape(const struct filling *f, const char *text, enum shape shape)
{
    struct naming n = {.f = f, .shape = shape};
    names_in(text, first_name, &n);
    return n.name;
}

struct token {
    const char *s;
    size_t len;
};

static const char AROUND[] = " \t\r\n,;!?\"'`()[]{}<>=|&*$%^~\\";

static struct token token_at(const char *s)
{
    struct token t = {s, strcspn(s, AROUND)};
    while (t.len && strchr(".:", t.s[t.len - 1]))
        t.len--;
    return t;
}

static bool is_shaped(const struct token *t)
{
    struct naming n = {.f = &(struct filling){.out = NULL}, .shape = NAMED};
    char text[NAME_LONGEST + 1];
    if (t->len > NAME_LONGEST)
        return false;
    snprintf(text, sizeof text, "%.*s", (int)t->len, t->s);
    names_in(text, first_name, &n);
    bool shaped = n.name && strlen(n.name) == t->len;
    free(n.name);
    return shaped;
}

/* A plain word that is none of the language nor of operations work: the checkout pod. */
static bool is_unknown(struct know_words *words, const struct token *t)
{
    char low[WORD_MOST];
    size_t n;
    if (t->len < 2 || t->len >= sizeof low)
        return false;
    for (size_t i = 0; i < t->len; i++) {
        if (!isalpha((unsigned char)t->s[i]))
            return false;
        low[i] = (char)tolower((unsigned char)t->s[i]);
    }
    if (know_words_stop(low, t->len))
        return false;
    const char *stem = know_words_stem(words, low, t->len, &n);
    return know_words_ideas(words, stem, n) == NULL;
}

struct beside {
    const struct filling *f;
    const struct thing *thing;
    struct know_words *words;
    bool plain; /* a plain word before that of the thing may be a name */
    struct token before, last;
    bool after; /* the token that comes stands behind the word of the thing */
    char *name;
};

static bool says_thing(const struct thing *thing, const struct token *t)
{
    char text[WORD_MOST];
    if (t->len >= sizeof text)
        return false;
    snprintf(text, sizeof text, "%.*s", (int)t->len, t->s);
    return !is_shaped(t) && speaks_of(text, thing->words);
}

static void take(struct beside *b, const struct token *t)
{
    if (!b->name && t->len && has_shape(t->s, t->len, b->thing->shape) &&
        !is_given(b->f, t->s, t->len))
        b->name = xstrndup(t->s, t->len);
}

static void next_token(struct beside *b, const struct token *t)
{
    if (b->after && is_shaped(t))
        take(b, t);
    b->after = says_thing(b->thing, t);
    if (b->after && is_shaped(&b->last))
        take(b, &b->last);
    else if (b->after && b->plain && b->last.len && is_unknown(b->words, &b->last) &&
             !says_thing(b->thing, &b->last))
        take(b, &b->last);
    b->last = *t;
}

/* The name that stands beside the word for the thing: pod web-7f9, namespace=shop-1, the checkout
 * pod (plain). NULL: none does. The caller frees. */
static char *name_beside(const struct filling *f, const char *text, const struct thing *thing,
                         bool plain)
{
    struct beside b = {.f = f, .thing = thing, .plain = plain, .words = know_words_new()};
    for (const char *p = text; *p && !b.name;) {
        struct token t = token_at(p);
        if (t.len)
            next_token(&b, &t);
        p += strcspn(p, AROUND);
        if (*p && strchr(",;.!?\n", *p)) {
            b.last = (struct token){p, 0};
            b.after = false;
        }
        p += strspn(p, AROUND);
    }
    know_words_free(b.words);
    return b.name;
}

static const struct thing *thing_of(const char *property, const char *description)
{
    for (size_t i = 0; i < THINGS_COUNT; i++)
        if (speaks_of(property, THINGS[i].parameters))
            return &THINGS[i];
    for (size_t i = 0; i < THINGS_COUNT && speaks_of(property, WHATEVER); i++)
        if (speaks_of(description, THINGS[i].parameters))
            return &THINGS[i];
    return NULL;
}

/* ---- texts */

/* What stands between two signs; NULL: nothing does. The caller frees. */
static char *between(const char *text, const char *open, const char *close)
{
    const char *from = strstr(text, open), *to;
    from = from ? from + strlen(open) : NULL;
    to = from ? strstr(from, close) : NULL;
    return to && to > from ? xstrndup(from, (size_t)(to - from)) : NULL;
}

static char *quoted_words(const char *question)
{
    static const char *const SIGNS[][2] = {{"\"", "\""}, {"“", "”"}, {"«", "»"}, {" '", "'"}};
    for (size_t i = 0; i < sizeof SIGNS / sizeof *SIGNS; i++) {
        char *found = between(question, SIGNS[i][0], SIGNS[i][1]);
        if (found)
            return found;
    }
    return NULL;
}

static char *name_for(const struct filling *f, const char *property, const json_t *schema,
                      bool required)
{
    const struct thing *thing = thing_of(property, json_str(schema, "description", ""));
    bool any = !thing && speaks_of(property, WHATEVER);
    const char *question = f->from->question, *found = f->from->found;
    char *name = thing ? name_beside(f, question, thing, required) : NULL;
    if (!name && required && (thing || any))
        name = name_of_shape(f, question, thing ? thing->shape : NAMED);
    if (!name && required && thing && found)
        name = name_beside(f, found, thing, false);
    if (!name && required && thing && found && thing->shape != NAMED)
        name = name_of_shape(f, found, thing->shape);
    return name;
}

/* Words to search for; a query in a language of its own stands between backticks or nowhere. */
static bool is_sought(const char *property, const json_t *schema)
{
    return speaks_of(property, SOUGHT) || (speaks_of(property, "query q") &&
                                           speaks_of(json_str(schema, "description", ""),
                                                     "search text find substring keyword words"));
}

/* NULL: nobody says it. The caller frees. */
static char *text_for(const struct filling *f, const char *property, const json_t *schema,
                      bool required)
{
    char *text = required ? between(f->from->question, "`", "`") : NULL;
    if (!text && is_sought(property, schema))
        text = quoted_words(f->from->question);
    else if (!text)
        text = name_for(f, property, schema, required);
    if (!text && required && f->from->reads && speaks_of(property, TIMES))
        text = xstrdup("1h");
    return text;
}

/* ---- numbers */

/* The first number that is no part of a name or of a time. */
static bool first_number(const char *text, int64_t *out)
{
    for (const char *p = text; *p; p++) {
        bool begins = isdigit((unsigned char)*p) &&
                      (p == text || !(isalnum((unsigned char)p[-1]) || strchr("-_./:", p[-1])));
        if (!begins)
            continue;
        char *end;
        long long value = strtoll(p, &end, 10);
        if (!strchr("-_/:", *end) || !*end) {
            *out = value;
            return true;
        }
        p = end - 1;
    }
    return false;
}

static int64_t within(const json_t *schema, int64_t value)
{
    int64_t least = json_int(schema, "minimum", INT64_MIN);
    int64_t most = json_int(schema, "maximum", INT64_MAX);
    return value < least ? least : value > most ? most : value;
}

static bool number_for(const struct filling *f, const char *property, const json_t *schema,
                       int64_t *out)
{
    bool count = speaks_of(property, COUNTS);
    if (first_number(f->from->question, out))
        return true;
    if (!f->from->reads)
        return false;
    *out = speaks_of(property, "minutes minute mins") ? LAST_MINUTES
           : speaks_of(property, "hours hour")        ? LAST_HOURS
           : speaks_of(property, "seconds")           ? LAST_MINUTES * 60
           : count                                    ? USUAL_COUNT
                                                      : -1;
    if (*out < 0)
        return false;
    *out = within(schema, *out);
    return true;
}

/* ---- one property */

/* A value of the enum that the question's words fit. */
static void fill_enum(struct filling *f, const char *key, const json_t *values, bool required)
{
    const char *names[ENUM_MOST];
    double fit[ENUM_MOST];
    size_t n = 0, best = 0;
    for (size_t i = 0; i < json_array_size(values) && n < ENUM_MOST; i++) {
        const char *value = json_string_value(json_array_get(values, i));
        if (value)
            names[n++] = value;
    }
    if (!n)
        return;
    know_fit(f->know, KNOW_LEXICAL, f->from->question, names, n, fit);
    for (size_t i = 1; i < n; i++)
        best = fit[i] > fit[best] ? i : best;
    if (fit[best] > 0 || (required && (n == 1 || f->from->reads)))
        json_puts(f->out, key, names[best]);
}

static void fill_one(struct filling *f, const char *key, const json_t *schema, bool required)
{
    const char *type = json_str(schema, "type", "");
    const json_t *values = json_object_get(schema, "enum");
    const json_t *usual = json_object_get(schema, "const");
    bool texts = strcmp(type, "array") == 0 &&
                 strcmp(json_str(json_object_get(schema, "items"), "type", ""), "string") == 0;
    int64_t number;
    if (!usual && f->from->reads && required)
        usual = json_object_get(schema, "default");
    if (values) {
        fill_enum(f, key, values, required && !usual);
    } else if (strcmp(type, "string") == 0 || (texts && required)) {
        char *text = text_for(f, key, schema, required);
        json_t *value = text ? json_text(text, strlen(text)) : NULL;
        if (value && texts)
            value = json_pack("[o]", value);
        if (value)
            json_put(f->out, key, value);
        free(text);
    } else if (required && !usual && strcmp(type, "integer") == 0 &&
               number_for(f, key, schema, &number)) {
        json_puti(f->out, key, number);
    } else if (required && !usual && strcmp(type, "boolean") == 0 && f->from->reads) {
        json_put(f->out, key, json_false());
    }
    if (usual && !json_object_get(f->out, key))
        json_put(f->out, key, json_deep_copy(usual));
}

static bool is_required(const json_t *required, const char *key)
{
    for (size_t i = 0; i < json_array_size(required); i++) {
        const char *name = json_string_value(json_array_get(required, i));
        if (name && strcmp(name, key) == 0)
            return true;
    }
    return false;
}

bool arguments_fill(const struct know *know, const struct arguments_from *from,
                    const json_t *schema, json_t *out)
{
    struct filling f = {know, from, json_object_get(schema, "properties"), out};
    const json_t *required = json_object_get(schema, "required");
    const char *key;
    json_t *property;
    for (int pass = 0; pass < 2; pass++) { /* a name goes first to what has to have one */
        size_t n = 0;
        json_object_foreach((json_t *)f.properties, key, property)
        {
            if (n++ == FILLED_MOST) /* a foreign schema may have any number */
                break;
            bool must = is_required(required, key);
            if (must == (pass == 0) && !json_object_get(out, key))
                fill_one(&f, key, property, must);
        }
    }
    for (size_t i = 0; i < json_array_size(required); i++) {
        const char *name = json_string_value(json_array_get(required, i));
        if (name && !json_object_get(out, name))
            return false;
    }
    return true;
}
