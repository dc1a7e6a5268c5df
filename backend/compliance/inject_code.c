/* Text that is written in a code, turned into what it says. Each is pure, linear, and bounded by
 * its caller; decoded text is foreign text as any other. */
#include "backend/base/text.h"
#include "backend/compliance/inject_internal.h"
#include <stdlib.h>
#include <string.h>

enum { HEX_LEAST = 24, BASE64_LEAST = 20, SPACED_LEAST = 8 };

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int base64_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

/* Words, not noise: valid UTF-8 with a blank in it, most of it letters and common signs. */
static bool reads(const char *s, size_t len)
{
    size_t good = 0, all = 0, gaps = 0, n;
    for (size_t i = 0; i < len; i += n) {
        uint32_t cp;
        n = text_decode(s + i, len - i, &cp);
        if (cp & TEXT_BAD)
            return false;
        all++;
        gaps += cp == ' ' || cp == '\n';
        good += (cp >= 'a' && cp <= 'z') || (cp >= 'A' && cp <= 'Z') || cp == ' ' || cp == '\n' ||
                (cp >= 0x400 && cp <= 0x4ff) || (cp >= 0xc0 && cp <= 0x24f) ||
                (cp < 0x80 && strchr(",.!?:'\"-0123456789", (int)cp));
    }
    return gaps && good * 4 >= all * 3;
}

static char *from_hex(const char *run, size_t len, size_t *out_len)
{
    char *out = xcalloc(len / 2 + 1, 1);
    size_t n = 0;
    for (size_t i = 0; i + 1 < len; i += 2) {
        int high = hex_of(run[i]), low = hex_of(run[i + 1]);
        if (high < 0 || low < 0) {
            free(out);
            return NULL;
        }
        out[n++] = (char)(high << 4 | low);
    }
    *out_len = n;
    return out;
}

static char *from_base64(const char *run, size_t len, size_t *out_len)
{
    char *out = xcalloc(len / 4 * 3 + 4, 1);
    uint32_t bits = 0;
    size_t have = 0, n = 0;
    for (size_t i = 0; i < len; i++) {
        int digit = base64_of(run[i]);
        if (digit < 0) /* a line end or padding */
            continue;
        bits = bits << 6 | (uint32_t)digit;
        if (++have % 4 == 0) {
            out[n++] = (char)(bits >> 16);
            out[n++] = (char)(bits >> 8);
            out[n++] = (char)bits;
        }
    }
    if (have % 4 >= 2)
        out[n++] = (char)(bits >> (have % 4 == 2 ? 4 : 10));
    if (have % 4 == 3)
        out[n++] = (char)(bits >> 2);
    *out_len = n;
    return out;
}

/* An address may lead to it: /path/aGVsbG8... */
static char *behind_slash(const char *run, size_t len, size_t *out_len)
{
    const char *slash = memrchr(run, '/', len);
    size_t rest = slash ? len - (size_t)(slash + 1 - run) : 0;
    return rest >= BASE64_LEAST ? from_base64(slash + 1, rest, out_len) : NULL;
}

char *pol__decode_run(const char *run, size_t len, size_t *out_len)
{
    char *out = len >= HEX_LEAST && len % 2 == 0 ? from_hex(run, len, out_len) : NULL;
    if (out && reads(out, *out_len))
        return out;
    free(out);
    if (len < BASE64_LEAST)
        return NULL;
    out = from_base64(run, len, out_len);
    if (reads(out, *out_len))
        return out;
    free(out);
    out = behind_slash(run, len, out_len);
    if (out && reads(out, *out_len))
        return out;
    free(out);
    return NULL;
}

/* ---- escapes */

static bool scalar(uint32_t cp)
{
    return cp && cp < 0x110000 && (cp < 0xd800 || cp > 0xdfff);
}

static size_t hex_digits(const char *s, size_t len, size_t most, uint32_t *value)
{
    size_t n = 0;
    *value = 0;
    while (n < len && n < most && hex_of(s[n]) >= 0)
        *value = *value << 4 | (uint32_t)hex_of(s[n++]);
    return n;
}

/* &lt; and the like */
static size_t named_entity(const char *s, size_t len, uint32_t *cp)
{
    static const struct {
        const char *name;
        uint32_t cp;
    } all[] = {{"&lt;", '<'},  {"&gt;", '>'},    {"&quot;", '"'},
               {"&amp;", '&'}, {"&apos;", '\''}, {"&nbsp;", ' '}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        size_t n = strlen(all[i].name);
        *cp = all[i].cp;
        if (n <= len && memcmp(s, all[i].name, n) == 0)
            return n;
    }
    return 0;
}

/* &#105; &#x69; */
static size_t entity(const char *s, size_t len, uint32_t *cp)
{
    size_t n = 2;
    if (len < 4 || s[1] != '#')
        return named_entity(s, len, cp);
    if ((s[2] | 0x20) == 'x') {
        n = 3 + hex_digits(s + 3, len - 3, 6, cp);
    } else {
        for (*cp = 0; n < len && n < 9 && s[n] >= '0' && s[n] <= '9'; n++)
            *cp = *cp * 10 + (uint32_t)(s[n] - '0');
    }
    return n > 2 && n < len && s[n] == ';' && scalar(*cp) ? n + 1 : 0;
}

/* Bytes of the escape at s, 0: none stands there. byte: it says a byte, not a code point. */
static size_t escape(const char *s, size_t len, uint32_t *cp, bool *byte)
{
    *byte = false;
    if (s[0] == '&')
        return entity(s, len, cp);
    if (s[0] == '%') {
        *byte = true;
        return len > 2 && hex_digits(s + 1, len - 1, 2, cp) == 2 ? 3 : 0;
    }
    if (s[0] != '\\' || len < 4)
        return 0;
    *byte = s[1] == 'x';
    if (s[1] == 'x')
        return hex_digits(s + 2, len - 2, 2, cp) == 2 ? 4 : 0;
    return s[1] == 'u' && hex_digits(s + 2, len - 2, 4, cp) == 4 && scalar(*cp) ? 6 : 0;
}

char *pol__decode_escapes(const char *text, size_t len, size_t *out_len, size_t *from, size_t *to)
{
    struct buf out = {0};
    size_t count = 0;
    for (size_t i = 0; i < len;) {
        uint32_t cp = 0;
        bool byte;
        char c = text[i], encoded[4];
        size_t n = c == '\\' || c == '%' || c == '&' ? escape(text + i, len - i, &cp, &byte) : 0;
        if (!n) {
            buf_addc(&out, c);
            i++;
            continue;
        }
        if (byte)
            buf_addc(&out, (char)cp);
        else
            buf_add(&out, encoded, text_encode(cp, encoded));
        *from = count++ ? *from : i;
        i += n;
        *to = i;
    }
    *out_len = out.len;
    char *said = buf_take(&out);
    if (count)
        return said;
    free(said);
    return NULL;
}

/* ---- turned over, spelt out, unseen */

char *pol__decode_turned(const char *text, size_t len, int turn, size_t *out_len)
{
    char *out = xcalloc(len + 1, 1);
    *out_len = len;
    for (size_t i = 0, n; turn == POL__BACKWARDS && i < len; i += n) {
        uint32_t cp;
        n = text_decode(text + i, len - i, &cp);
        memcpy(out + len - i - n, text + i, n);
    }
    for (size_t i = 0; turn == POL__ROT13 && i < len; i++) {
        char c = text[i], low = (char)(c | 0x20);
        out[i] = low < 'a' || low > 'z' ? c : low < 'n' ? (char)(c + 13) : (char)(c - 13);
    }
    return out;
}

static bool letter(uint32_t cp)
{
    return (cp >= 'a' && cp <= 'z') || (cp >= 'A' && cp <= 'Z') || (cp >= 0x400 && cp <= 0x4ff);
}

size_t pol__decode_spaced(const char *text, size_t len, struct buf *out)
{
    size_t i = 0, letters = 0, end = 0;
    char sign = '\0';
    while (i < len) {
        uint32_t cp;
        size_t n = text_decode(text + i, len - i, &cp);
        if (!letter(cp))
            break;
        if (i + n < len && letters && text[i + n] != sign && text[i + n] != ' ' &&
            text[i + n] != '\n') {
            if (text_decode(text + i + n, len - i - n, &cp) && letter(cp))
                break; /* a word of several letters */
        }
        buf_add(out, text + i, n);
        end = i += n;
        letters++;
        if (i >= len || !strchr(" .*|", text[i]) || (sign && text[i] != sign && text[i] != ' '))
            break;
        sign = sign ? sign : text[i];
        size_t gap = 0;
        while (i < len && (text[i] == sign || text[i] == ' '))
            i++, gap++;
        if (gap > 1)
            buf_addc(out, ' ');
    }
    return letters >= SPACED_LEAST ? end : 0;
}

/* The byte that a character says that nobody sees; -1: it says none. */
static int unseen(uint32_t cp)
{
    if (cp >= 0xe0020 && cp <= 0xe007e)
        return (int)(cp - 0xe0000);
    if (cp >= 0xfe00 && cp <= 0xfe0f)
        return (int)(cp - 0xfe00);
    if (cp >= 0xe0100 && cp <= 0xe01ef)
        return (int)(cp - 0xe0100) + 16;
    return -1;
}

size_t pol__decode_unseen(const char *text, size_t len, struct buf *out)
{
    size_t i = 0, n;
    uint32_t cp;
    for (; i < len; i += n) {
        n = text_decode(text + i, len - i, &cp);
        int byte = unseen(cp);
        if (byte < 0)
            break;
        buf_addc(out, (char)(byte ? byte : ' '));
    }
    return i;
}
