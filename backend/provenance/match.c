/* Whether a payload mentions somebody. Rather once too often than once too seldom: what is found is
 * shown before it is erased. */
#include "backend/provenance/match.h"
#include "backend/base/text.h"

#include <string.h>

enum { SPACE = 1, NOTHING = 0 };

/* The base letters of U+00E0 to U+00FF; 0: the letter itself. */
static const char LATIN[32] = "aaaaaa\0ceeeeiiii\0nooooo\0ouuuuy\0";

static uint32_t lower(uint32_t c)
{
    if ((c >= 'A' && c <= 'Z') || (c >= 0xc0 && c <= 0xde && c != 0xd7) ||
        (c >= 0x391 && c <= 0x3a9) || (c >= 0x410 && c <= 0x42f))
        return c + 32;
    if (c >= 0x400 && c <= 0x40f)
        return c + 80;
    if (c >= 0x531 && c <= 0x556)
        return c + 48;
    if ((c >= 0x100 && c <= 0x137) || (c >= 0x14a && c <= 0x177) || (c >= 0x460 && c <= 0x481) ||
        (c >= 0x48a && c <= 0x4bf) || (c >= 0x4d0 && c <= 0x52f))
        return c | 1;
    if (c >= 0xff01 && c <= 0xff5e) /* full width */
        return lower(c - 0xfee0);
    return c;
}

/* One code point as it is compared: SPACE for any white space, NOTHING for what is not seen. */
static uint32_t fold(uint32_t c)
{
    if (c <= ' ' || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
        c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000)
        return SPACE;
    if (c == 0xad || (c >= 0x300 && c <= 0x36f) || (c >= 0x200b && c <= 0x200f) ||
        (c >= 0x2060 && c <= 0x2064) || c == 0xfeff)
        return NOTHING;
    if (c >= 0x2010 && c <= 0x2015)
        return '-';
    c = lower(c);
    if (c >= 0xe0 && c <= 0xff && LATIN[c - 0xe0])
        return (unsigned char)LATIN[c - 0xe0];
    if (c == 0x451 || c == 0x439) /* ё, й */
        return c == 0x451 ? 0x435 : 0x438;
    return c;
}

static int hex_value(const char *s)
{
    int value = 0;
    for (int i = 0; i < 4; i++) {
        char c = (char)(s[i] | 32);
        if (s[i] >= '0' && s[i] <= '9')
            value = value * 16 + s[i] - '0';
        else if (c >= 'a' && c <= 'f')
            value = value * 16 + c - 'a' + 10;
        else
            return -1;
    }
    return value;
}

/* The code point that an escape stands for, and how many bytes it takes; 0 if there is none. deep:
 * any number of backslashes before it, as text that was escaped more than once has. */
static size_t unescape(const char *s, size_t len, bool deep, uint32_t *cp)
{
    size_t n = 1;
    while (deep && n < len && s[n] == '\\')
        n++;
    if (n >= len)
        return 0;
    int first = s[n] == 'u' && len - n > 4 ? hex_value(s + n + 1) : -1;
    if (first >= 0) {
        size_t used = n + 5, more = used;
        *cp = (uint32_t)first;
        while (more < len && s[more] == '\\' && (deep || more == used))
            more++;
        if ((first & 0xfc00) == 0xd800 && more > used && len - more > 4 && s[more] == 'u') {
            int second = hex_value(s + more + 1);
            if (second >= 0 && (second & 0xfc00) == 0xdc00) {
                *cp = 0x10000u + (((uint32_t)first & 0x3ff) << 10) + ((uint32_t)second & 0x3ff);
                used = more + 5;
            }
        }
        return used;
    }
    if (!strchr("nrtbf\"/\\", s[n]))
        return 0;
    *cp = strchr("nrtbf", s[n]) ? ' ' : (unsigned char)s[n];
    return n + 1;
}

enum escapes { AS_IS, ONCE, DEEP };

static void fold_text(const char *s, size_t len, enum escapes escapes, struct buf *out)
{
    bool space = true; /* also drops what leads */
    char bytes[4];
    buf_clear(out);
    buf_reserve(out, len);
    for (size_t at = 0; at < len;) {
        uint32_t cp;
        size_t n = escapes != AS_IS && s[at] == '\\'
                       ? unescape(s + at, len - at, escapes == DEEP, &cp)
                       : 0;
        at += n ? n : text_decode(s + at, len - at, &cp);
        cp = fold(cp & ~TEXT_BAD);
        if (cp == NOTHING || (cp == SPACE && space))
            continue;
        space = cp == SPACE;
        if (space)
            buf_addc(out, ' ');
        else if (cp < 0xd800 || (cp > 0xdfff && cp <= 0x10ffff))
            buf_add(out, bytes, text_encode(cp, bytes));
        else
            buf_addc(out, '?');
    }
    if (out->len && out->data[out->len - 1] == ' ')
        out->data[--out->len] = '\0';
}

/* Runs of digits with at most two separators between them as plain digits, anything else as `x`; in
 * place. */
static void fold_digits(struct buf *b)
{
    size_t to = 0, gap = 0;
    for (size_t at = 0; at < b->len; at++) {
        char c = b->data[at];
        if (c >= '0' && c <= '9') {
            b->data[to++] = c;
            gap = 0;
        } else if (to && b->data[to - 1] != 'x' && (!strchr(" -().", c) || gap++ >= 2)) {
            b->data[to++] = 'x';
        }
    }
    b->len = to;
    if (b->data)
        b->data[to] = '\0';
}

bool prov__match_init(struct prov__match *m, const char *text)
{
    enum { LEAST = 3, NUMBER = 7, WITH_COUNTRY = 11 };
    size_t len = strlen(text), seen = 0;
    *m = (struct prov__match){0};
    if (len > PROV__SUBJECT_MAX)
        return false;
    fold_text(text, len, AS_IS, &m->needle);
    for (size_t i = 0; i < m->needle.len; i++)
        seen += ((unsigned char)m->needle.data[i] & 0xc0) != 0x80 && m->needle.data[i] != ' ';
    const char *needle = m->needle.data ? m->needle.data : "";
    if (*needle && strspn(needle, "0123456789 +-().") == m->needle.len) {
        buf_adds(&m->digits, needle + (*needle == '+'));
        fold_digits(&m->digits);
        if (m->digits.len == WITH_COUNTRY && (*m->digits.data == '7' || *m->digits.data == '8'))
            buf_drop(&m->digits, 1);
        if (m->digits.len < NUMBER || memchr(m->digits.data, 'x', m->digits.len))
            buf_clear(&m->digits);
    }
    return seen >= LEAST;
}

void prov__match_release(struct prov__match *m)
{
    buf_release(&m->needle);
    buf_release(&m->digits);
    buf_release(&m->folded);
}

static bool in_folded(const struct prov__match *m, const struct buf *what)
{
    return what->len && m->folded.len >= what->len &&
           memmem(m->folded.data, m->folded.len, what->data, what->len);
}

bool prov__match_find(struct prov__match *m, const char *text, size_t len)
{
    fold_text(text, len, ONCE, &m->folded);
    if (in_folded(m, &m->needle))
        return true;
    if (memchr(text, '\\', len)) {
        fold_text(text, len, DEEP, &m->folded);
        if (in_folded(m, &m->needle))
            return true;
    }
    if (!m->digits.len)
        return false;
    fold_digits(&m->folded);
    return in_folded(m, &m->digits);
}
