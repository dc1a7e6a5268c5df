#include "backend/base/text.h"
#include "backend/base/errors.h"

/* How many bytes the sequence that starts with `first` has, and the range of its second byte
 * (Unicode 15, table 3-7); 0 if no sequence starts so. */
static unsigned sequence_of(unsigned char first, unsigned char *low, unsigned char *high)
{
    *low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    *high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf)
        return 2;
    if (first >= 0xe0 && first <= 0xef)
        return 3;
    return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

/* How many of the first len bytes belong to a sequence: equal to *need when it is whole, less when
 * it breaks off or the bytes end. */
static unsigned sequence_len(const unsigned char *s, size_t len, unsigned *need)
{
    unsigned char low, high;
    *need = sequence_of(s[0], &low, &high);
    unsigned n = 1;
    for (; n < *need && n < len; n++) {
        if (s[n] < low || s[n] > high)
            break;
        low = 0x80;
        high = 0xbf;
    }
    return n;
}

size_t text_decode(const char *s, size_t len, uint32_t *cp)
{
    if (len == 0)
        return 0;
    const unsigned char *u = (const unsigned char *)s;
    unsigned need, n = sequence_len(u, len, &need);
    if (n != need) {
        *cp = TEXT_BAD | u[0];
        return 1;
    }
    static const unsigned char mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t value = u[0] & mask[n];
    for (unsigned i = 1; i < n; i++)
        value = value << 6 | (u[i] & 0x3f);
    *cp = value;
    return n;
}

size_t text_encode(uint32_t cp, char out[4])
{
    BUG_IF(cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff));
    size_t n = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n - 1; i > 0; i--, cp >>= 6)
        out[i] = (char)(0x80 | (cp & 0x3f));
    out[0] = (char)(lead[n] | cp);
    return n;
}
