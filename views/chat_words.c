/* See chat_words.h. */
#include "views/chat_words.h"
#include "backend/base/errors.h"
#include <stdlib.h>
#include <string.h>

static const char SPACES[] = " \n";

enum { WORDS_MAX = 256 };

struct word {
    size_t from, value, to; /* bytes of the text; value: where it begins, behind `name=` */
    long argument;          /* that `name=` names; -1: none */
    bool quoted, open;
};

struct words {
    struct word at[WORDS_MAX];
    size_t count;
};

static const char *name_of(const json_t *arguments, size_t i)
{
    return json_str(json_array_get(arguments, i), "name", "");
}

static long named(const json_t *arguments, const char *text)
{
    for (size_t i = 0; i < json_array_size(arguments); i++) {
        const char *name = name_of(arguments, i);
        size_t n = strlen(name);
        if (n && !strncmp(text, name, n) && text[n] == '=')
            return (long)i;
    }
    return -1;
}

static struct words *words_read(const json_t *arguments, const char *text)
{
    struct words *w = xcalloc(1, sizeof(*w));
    size_t at = strspn(text, SPACES);
    while (text[at] && w->count < WORDS_MAX) {
        struct word *one = &w->at[w->count++];
        one->from = one->value = at;
        one->argument = named(arguments, text + at);
        if (one->argument >= 0)
            one->value += strlen(name_of(arguments, (size_t)one->argument)) + 1;
        at = one->value;
        one->quoted = one->open = text[at] == '"';
        if (!one->quoted)
            at += strcspn(text + at, SPACES);
        for (at += one->quoted; one->open && text[at]; at++) {
            if (text[at] == '\\' && text[at + 1])
                at++;
            else if (text[at] == '"')
                one->open = false;
        }
        one->to = at;
        at += strspn(text + at, SPACES);
    }
    return w;
}

/* The value between two places, without its quotes; the caller frees. */
static char *value_of(const char *text, const struct word *w, size_t to)
{
    struct buf out = {0};
    if (!w->quoted)
        return xstrndup(text + w->value, to - w->value);
    size_t end = w->open ? to : to - 1;
    for (size_t at = w->value + 1; at < end; at++) {
        at += text[at] == '\\' && at + 1 < end;
        buf_addc(&out, text[at]);
    }
    return buf_take(&out);
}

/* Gives words without a name their arguments; a word that goes on with the one before becomes part
 * of it. */
static void words_place(const json_t *arguments, struct words *w)
{
    size_t n = json_array_size(arguments), kept = 0, free_at = 0;
    bool *taken = xcalloc(n + 1, sizeof(*taken));
    long last = -1; /* the argument that takes the rest */
    for (size_t i = 0; i < w->count; i++)
        if (w->at[i].argument >= 0)
            taken[w->at[i].argument] = true;
    for (size_t i = 0; i < n; i++)
        last = taken[i] ? last : (long)i;
    for (size_t i = 0; i < w->count; i++) {
        struct word one = w->at[i];
        if (one.argument < 0) {
            while (free_at < n && taken[free_at])
                free_at++;
            struct word *before = kept ? &w->at[kept - 1] : NULL;
            if (free_at == n && before && before->argument == last && !before->quoted &&
                before->value == before->from) {
                before->to = one.to;
                continue;
            }
            one.argument = free_at < n ? (long)free_at++ : -1;
        }
        w->at[kept++] = one;
    }
    w->count = kept;
    free(taken);
}

json_t *chat_words_values(const json_t *arguments, const char *typed)
{
    struct words *w = words_read(arguments, typed);
    json_t *values = json_object();
    words_place(arguments, w);
    for (size_t i = 0; i < w->count; i++) {
        if (w->at[i].argument < 0)
            continue;
        char *value = value_of(typed, &w->at[i], w->at[i].to);
        if (*value)
            json_put(values, name_of(arguments, (size_t)w->at[i].argument),
                     json_text(value, strlen(value)));
        free(value);
    }
    free(w);
    return values;
}

struct chat_word chat_words_last(const json_t *arguments, const char *typed)
{
    struct chat_word out = {.from = strlen(typed), .others = chat_words_values(arguments, typed)};
    struct words *w = words_read(arguments, typed);
    words_place(arguments, w);
    const struct word *last = w->count ? &w->at[w->count - 1] : NULL;
    if (last && last->to == out.from) {
        out.from = last->from;
        out.value = value_of(typed, last, last->to);
        out.named = last->value > last->from;
        out.quoted = last->quoted;
        if (last->argument >= 0)
            out.name = name_of(arguments, (size_t)last->argument);
    } else {
        out.value = xstrdup("");
        for (size_t i = 0; i < json_array_size(arguments) && !out.name; i++)
            if (!json_object_get(out.others, name_of(arguments, i)))
                out.name = name_of(arguments, i);
    }
    if (out.name)
        json_object_del(out.others, out.name);
    free(w);
    return out;
}

void chat_word_release(struct chat_word *w)
{
    free(w->value);
    json_decref(w->others);
}

void chat_words_quote(struct buf *out, const char *value, bool always)
{
    if (!always && *value && !strpbrk(value, " \n\""))
        buf_adds(out, value);
    else {
        buf_addc(out, '"');
        for (; *value; value++) {
            if (*value == '"' || *value == '\\')
                buf_addc(out, '\\');
            buf_addc(out, *value);
        }
        buf_addc(out, '"');
    }
}
