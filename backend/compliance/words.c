/* Searching in text, for personal data and secrets. */
#include "backend/base/errors.h"
#include "backend/compliance/internal.h"
#include <stdlib.h>
#include <string.h>

/* Capital Cyrillic letters have two bytes, as their small forms do: D0 90..9F -> D0 B0..BF,
 * D0 A0..AF -> D1 80..8F, and D0 81 -> D1 91. */
static void lower_cyrillic(char *s)
{
    unsigned char c = (unsigned char)s[1];
    if (c >= 0x90 && c <= 0x9f)
        s[1] = (char)(c + 0x20);
    else if (c >= 0xa0 && c <= 0xaf) {
        s[0] = (char)0xd1;
        s[1] = (char)(c - 0x20);
    } else if (c == 0x81) {
        s[0] = (char)0xd1;
        s[1] = (char)0x91;
    }
}

/* Not tolower: a locale must not change what is found. */
static char lower_ascii(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

struct pol_text pol__text(const char *text)
{
    struct pol_text t = {.raw = text, .lower = xstrdup(text), .len = strlen(text)};
    for (size_t i = 0; i < t.len; i++) {
        if (t.lower[i] == (char)0xd0)
            lower_cyrillic(t.lower + i);
        else
            t.lower[i] = lower_ascii(t.lower[i]);
    }
    return t;
}

void pol__text_free(struct pol_text *t)
{
    free(t->lower);
}

bool pol__is_word(char c)
{
    unsigned char u = (unsigned char)c;
    return u >= 0x80 || u == '_' || (u >= '0' && u <= '9') || (u >= 'a' && u <= 'z') ||
           (u >= 'A' && u <= 'Z');
}

static bool stands_at(const struct pol_text *t, size_t at, size_t to, const char *word)
{
    size_t len = strlen(word);
    bool open_end = word[len - 1] == '*';
    len -= open_end;
    if (at + len > to || memcmp(t->lower + at, word, len) != 0)
        return false;
    return open_end || at + len >= t->len || !pol__is_word(t->lower[at + len]);
}

bool pol__has_word(const struct pol_text *t, size_t from, size_t to, const char *const *words)
{
    to = to < t->len ? to : t->len;
    for (size_t i = from; i < to; i++) {
        if (i > 0 && pol__is_word(t->lower[i - 1]))
            continue;
        for (const char *const *w = words; *w; w++)
            if (stands_at(t, i, to, *w))
                return true;
    }
    return false;
}
