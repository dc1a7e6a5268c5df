/* Sentences as data. What arrives over the wire is of any form: a directive without a fitting
 * value, a code of a newer table or lists within lists beyond DEPTH make say_text give up. */
#include "backend/base/say.h"
#include "backend/base/errors.h"
#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 3, SENTENCES = 512, DIGITS_MOST = 6 };

static const struct {
    const char *code, *text;
} sayings[SAY_COUNT] = {
#define SAYING(id, text) [SAY_##id] = {#id, text},
#include "backend/base/sayings.def"
#undef SAYING
};

json_t *say(json_t *sentences, enum saying s, const char *types, ...)
{
    json_t *one = json_object(), *values = json_array();
    va_list args;
    va_start(args, types);
    for (const char *p = types; *p; p++) {
        const char *text;
        double number;
        switch (*p) {
        case 's':
            text = va_arg(args, const char *);
            json_array_append_new(values, json_text(text, strlen(text)));
            break;
        case 't':
            text = va_arg(args, const char *);
            json_array_append_new(values,
                                  json_pack("{s:o}", "text", json_text(text, strlen(text))));
            break;
        case 'n':
            json_array_append_new(values, json_integer((json_int_t)va_arg(args, size_t)));
            break;
        case 'f':
            number = va_arg(args, double);
            json_array_append_new(values, json_real(isfinite(number) ? number : 0));
            break;
        case 'l':
            json_array_append_new(values, va_arg(args, json_t *));
            break;
        default:
            BUG("a value of an unknown type");
        }
    }
    va_end(args);
    json_puts(one, "code", sayings[s].code);
    json_put(one, "values", values);
    if (!sentences)
        sentences = json_array();
    json_array_append_new(sentences, one);
    return sentences;
}

struct wording {
    const char *(*translate)(const char *);
    int depth;
};

static bool list_text(const json_t *sentences, struct wording w, struct buf *out);

/* A value as its directive has it. */
static bool value_text(const json_t *value, char kind, int digits, struct wording w,
                       struct buf *out)
{
    if (kind == 's' && json_is_array(value)) {
        w.depth++;
        return list_text(value, w, out);
    }
    if (kind == 's' && json_is_object(value) && w.translate)
        buf_adds(out, w.translate(json_str(value, "text", "")));
    else if (kind == 's' && json_is_object(value))
        buf_adds(out, json_str(value, "text", ""));
    else if (kind == 's' && json_is_string(value))
        buf_adds(out, json_string_value(value));
    else if (kind == 'd' && json_is_integer(value))
        buf_addf(out, "%lld", (long long)json_integer_value(value));
    else if (kind == 'f' && json_is_number(value))
        buf_addf(out, "%.*f", digits, json_number_value(value));
    else
        return false;
    return true;
}

static bool sentence_text(const char *text, const json_t *values, struct wording w, struct buf *out)
{
    size_t next = 0;
    for (const char *p = text; *p; p++) {
        if (*p != '%') {
            buf_addc(out, *p);
            continue;
        }
        size_t at = next++;
        int digits = DIGITS_MOST;
        if (isdigit((unsigned char)p[1]) && p[2] == '$') {
            at = (size_t)(p[1] - '1');
            p += 2;
        }
        if (p[1] == '.' && isdigit((unsigned char)p[2])) {
            digits = p[2] - '0';
            p += 2;
        }
        p++;
        if (!*p || !value_text(json_array_get(values, at), *p, digits, w, out))
            return false;
    }
    return true;
}

static bool list_text(const json_t *sentences, struct wording w, struct buf *out)
{
    size_t i, n = json_array_size(sentences);
    if (!json_is_array(sentences) || n > SENTENCES || w.depth > DEPTH)
        return false;
    for (i = 0; i < n; i++) {
        const json_t *one = json_array_get(sentences, i);
        const char *code = json_str(one, "code", "");
        size_t s = 0;
        while (s < SAY_COUNT && strcmp(sayings[s].code, code) != 0)
            s++;
        if (s == SAY_COUNT)
            return false;
        const char *text = w.translate ? w.translate(sayings[s].text) : sayings[s].text;
        buf_adds(out, i ? "; " : "");
        if (!sentence_text(text, json_object_get(one, "values"), w, out))
            return false;
    }
    return true;
}

bool say_text(const json_t *sentences, const char *(*translate)(const char *), struct buf *out)
{
    struct buf text = {0};
    bool good =
        json_array_size(sentences) && list_text(sentences, (struct wording){translate, 0}, &text);
    if (good)
        buf_add(out, text.data, text.len);
    buf_release(&text);
    return good;
}

char *say_english(const json_t *sentences)
{
    struct buf out = {0};
    BUG_IF(json_array_size(sentences) && !say_text(sentences, NULL, &out));
    return buf_take(&out);
}

void say_put(json_t *object, const char *member, json_t *sentences)
{
    char *text = say_english(sentences), *words = xasprintf("%s_words", member);
    json_puts(object, member, text);
    json_put(object, words, sentences);
    free(words);
    free(text);
}
