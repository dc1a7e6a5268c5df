/* Looking for a text: letters of either case are the same. */
#include "backend/base/text.h"
#include <string.h>
#include <wctype.h>

uint32_t text_fold(const char *s, size_t len, size_t *n)
{
    uint32_t cp = 0;
    if (len && (unsigned char)*s < 0x80) { /* nearly all there is */
        *n = 1;
        return *s >= 'A' && *s <= 'Z' ? (uint32_t)(*s | 0x20) : (uint32_t)*s;
    }
    *n = text_decode(s, len, &cp);
    if (cp >= 0x410 && cp <= 0x42f) /* Cyrillic, in whatever locale */
        return cp + 0x20;
    if (cp >= 0x400 && cp <= 0x40f)
        return cp + 0x50;
    return cp & TEXT_BAD ? cp : (uint32_t)towlower((wint_t)cp);
}

bool text_find(const char *text, size_t len, size_t from, const char *needle, size_t *at,
               size_t *end)
{
    size_t needle_len = strlen(needle), step;
    uint32_t first = text_fold(needle, needle_len, &step);
    for (size_t i = from; i < len; i += step) {
        if (text_fold(text + i, len - i, &step) != first)
            continue;
        size_t a = i, b = 0, n, m;
        while (b < needle_len && a < len &&
               text_fold(text + a, len - a, &n) == text_fold(needle + b, needle_len - b, &m)) {
            a += n;
            b += m;
        }
        if (b == needle_len) {
            *at = i;
            *end = a;
            return needle_len > 0;
        }
    }
    return false;
}
