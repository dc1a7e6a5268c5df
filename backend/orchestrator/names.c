#include "backend/orchestrator/names.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

static const char BETWEEN[] = " \t\r\n,;!?\"'`()[]{}<>=|&*$%^~\\";

static bool is_letter(char c)
{
    return isalpha((unsigned char)c) || (c & 0x80);
}

/* An address: four groups of digits. */
static bool is_address(const char *s, size_t len)
{
    size_t dots = 0;
    for (size_t i = 0; i < len; i++) {
        if (!isdigit((unsigned char)s[i]) && s[i] != '.')
            return false;
        dots += s[i] == '.';
    }
    return dots == 3 && len >= 7 && isdigit((unsigned char)s[len - 1]);
}

static bool is_name(const char *s, size_t len)
{
    bool letter = false, sign = false;
    if (len < 2 || len > NAME_LONGEST || memmem(s, len, "://", 3))
        return false;
    if (is_address(s, len))
        return true;
    for (size_t i = 0; i < len; i++) {
        letter |= is_letter(s[i]);
        sign |= isdigit((unsigned char)s[i]) || (i && strchr("-_./:@", s[i])) ||
                (i && isupper((unsigned char)s[i]));
    }
    return letter && sign && (is_letter(*s) || (*s == '/' && len > 2));
}

void names_in(const char *text, name_fn *fn, void *arg)
{
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, BETWEEN), len = n;
        while (len && strchr(".:-/", p[len - 1]))
            len--;
        if (is_name(p, len))
            fn(arg, p, len);
        p += n;
        p += strspn(p, BETWEEN);
    }
}

static bool in_word(char c)
{
    return isalnum((unsigned char)c) || (c & 0x80);
}

bool name_stands(const char *name, size_t len, const char *text)
{
    for (const char *p = text; *p; p++) {
        bool begins = p == text || !in_word(p[-1]);
        if (begins && strncasecmp(p, name, len) == 0 && !in_word(p[len]))
            return true;
    }
    return false;
}
