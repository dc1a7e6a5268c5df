/* Tokens of a text, estimated from its script. An estimate is flagged as one wherever it is used.
 */
#include "backend/base/text.h"
#include "backend/gateway/gateway.h"
#include <string.h>

/* Parts of a token, in 1/1000, that one character is worth. */
enum { LATIN = 250, CYRILLIC = 385, IDEOGRAPH = 1000, OTHER = 500, EMOJI = 2000 };

static int64_t worth(uint32_t cp, size_t bytes)
{
    if (cp & TEXT_BAD)
        return OTHER;
    if (cp < 0x250)
        return LATIN * (int64_t)bytes;
    if (cp >= 0x400 && cp < 0x530)
        return CYRILLIC;
    if ((cp >= 0x3040 && cp < 0xa4d0) || (cp >= 0xac00 && cp < 0xd7b0) ||
        (cp >= 0xf900 && cp < 0xfb00) || (cp >= 0x20000 && cp < 0x32000))
        return IDEOGRAPH;
    return cp >= 0x1f000 ? EMOJI : OTHER;
}

int64_t gw_estimate_tokens(const char *text)
{
    int64_t sum = 0;
    size_t len = text ? strlen(text) : 0;
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        size_t n = text_decode(text + i, len - i, &cp);
        sum += worth(cp, n);
        i += n;
    }
    return (sum + 999) / 1000;
}
