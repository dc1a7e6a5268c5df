#include "backend/base/text.h"
#include "backend/base/errors.h"
#include <fnmatch.h>
#include <limits.h>
#include <string.h>
#include <wchar.h>

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

struct range {
    uint32_t first, last;
};

/* Shown as <U+XXXX>: what is invisible, reorders its neighbours, or has no agreed meaning. */
static const struct range marked[] = {
    {0x80, 0x9f},       /* C1 */
    {0xad, 0xad},       /* soft hyphen */
    {0x61c, 0x61c},     /* Arabic letter mark */
    {0x115f, 0x1160},   /* Hangul fillers */
    {0x17b4, 0x17b5},   /* Khmer inherent vowels, invisible */
    {0x180e, 0x180e},   /* Mongolian vowel separator */
    {0x200b, 0x200f},   /* zero width, LRM, RLM */
    {0x2028, 0x202e},   /* separators, embeddings, overrides */
    {0x2060, 0x206f},   /* word joiner, invisible operators, isolates */
    {0x3164, 0x3164},   /* Hangul filler */
    {0xe000, 0xf8ff},   /* private use */
    {0xfdd0, 0xfdef},   /* noncharacters */
    {0xfeff, 0xfeff},   /* byte order mark */
    {0xffa0, 0xffa0},   /* half-width Hangul filler */
    {0xfff0, 0xfffb},   /* unassigned specials, interlinear annotation */
    {0x1bca0, 0x1bca3}, /* shorthand format controls */
    {0x1d173, 0x1d17a}, /* musical format controls */
    {0xe0000, 0xe00ff}, /* tags */
    {0xe01f0, 0xe0fff}, /* reserved as invisible */
    {0xf0000, 0x10ffff} /* private use, planes 15 and 16 */
};

static const struct range selectors[] = {
    {0x180b, 0x180d}, {0x180f, 0x180f}, {0xfe00, 0xfe0f}, {0xe0100, 0xe01ef}};

static const struct range combining[] = {
#define MARKS(first, last) {first, last},
#include "backend/base/marks.def"
#undef MARKS
};

static bool in_ranges(uint32_t cp, const struct range *ranges, size_t count)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (cp > ranges[mid].last)
            low = mid + 1;
        else
            high = mid;
    }
    return low < count && cp >= ranges[low].first;
}
#define IN(cp, table) in_ranges(cp, table, sizeof table / sizeof *table)

static bool is_marked(uint32_t cp)
{
    return (cp & 0xfffe) == 0xfffe || IN(cp, marked);
}

bool text_is_hidden(uint32_t cp)
{
    return cp < 0x20 || cp == 0x7f || (cp & TEXT_BAD) || is_marked(cp);
}

/* One combining mark: kept, counted, or shown by its number when nothing is there to carry it. */
static void put_mark(struct text_cleaner *c, uint32_t cp, int flags, struct buf *out)
{
    enum { MARKS_KEPT = 4 };
    if (c->marks < MARKS_KEPT) {
        char bytes[4];
        c->marks++;
        if (c->base && !(flags & TEXT_ASCII))
            buf_add(out, bytes, text_encode(cp, bytes));
        else
            buf_addf(out, "<U+%04X>", (unsigned)cp);
    } else if (c->marks == MARKS_KEPT) {
        c->marks++;
        buf_adds(out, "<+marks>");
    }
}

static void put_control(struct text_cleaner *c, uint32_t cp, int flags, struct buf *out)
{
    bool after_cr = c->cr;
    c->cr = cp == '\r';
    if (cp == '\n' && after_cr)
        return;
    bool line_end = cp == '\n' || cp == '\r';
    c->base = !line_end || (flags & TEXT_ONE_LINE);
    if (line_end)
        buf_adds(out, flags & TEXT_ONE_LINE ? "\\n" : "\n");
    else if (cp == '\t')
        buf_adds(out, flags & TEXT_ONE_LINE ? "\\t" : "\t");
    else
        buf_addf(out, "^%c", (int)(cp ^ 0x40)); /* 0x1b is ^[ and 0x7f is ^? */
}

/* The one place where a foreign code point becomes output. */
static void put(struct text_cleaner *c, uint32_t cp, int flags, struct buf *out)
{
    if (IN(cp, selectors))
        return;
    if (!is_marked(cp) && IN(cp, combining)) {
        c->cr = false;
        put_mark(c, cp, flags, out);
        return;
    }
    c->marks = 0;
    if (cp < 0x20 || cp == 0x7f) {
        put_control(c, cp, flags, out);
        return;
    }
    c->cr = false;
    c->base = true;
    char bytes[4];
    if (cp & TEXT_BAD)
        buf_addf(out, "<%02X>", (unsigned)(cp & 0xff));
    else if (is_marked(cp) || ((flags & TEXT_ASCII) && cp >= 0x80))
        buf_addf(out, "<U+%04X>", (unsigned)cp);
    else
        buf_add(out, bytes, text_encode(cp, bytes));
}

/* Puts what is decided of the held bytes; at_end decides an unfinished sequence as well. */
static void put_held(struct text_cleaner *c, bool at_end, int flags, struct buf *out)
{
    while (c->held_len > 0) {
        unsigned need, n = sequence_len(c->held, c->held_len, &need);
        if (n < need && n == c->held_len && !at_end)
            return;
        uint32_t cp = 0;
        unsigned used = (unsigned)text_decode((const char *)c->held, c->held_len, &cp);
        put(c, cp, flags, out);
        c->held_len -= used;
        memmove(c->held, c->held + used, c->held_len);
    }
}

void text_clean_feed(struct text_cleaner *c, const char *bytes, size_t len, int flags,
                     struct buf *out)
{
    for (size_t i = 0; i < len; i++) {
        size_t run = i;
        while (c->held_len == 0 && run < len && bytes[run] >= 0x20 && bytes[run] < 0x7f)
            run++;
        if (run > i) { /* printable ASCII, most of all text, in one piece */
            buf_add(out, bytes + i, run - i);
            c->marks = 0;
            c->cr = false;
            c->base = true;
            i = run - 1;
            continue;
        }
        c->held[c->held_len++] = (unsigned char)bytes[i];
        put_held(c, false, flags, out);
    }
}

void text_clean_end(struct text_cleaner *c, int flags, struct buf *out)
{
    put_held(c, true, flags, out);
    *c = (struct text_cleaner){0};
}

void text_clean(const char *bytes, size_t len, int flags, struct buf *out)
{
    struct text_cleaner c = {0};
    text_clean_feed(&c, bytes, len, flags, out);
    text_clean_end(&c, flags, out);
}

char *text_cleaned(const char *s, int flags)
{
    struct buf b = {0};
    text_clean(s, strlen(s), flags, &b);
    return buf_take(&b);
}

int text_width_cp(uint32_t cp)
{
    int w = cp <= 0x10ffff ? wcwidth((wchar_t)cp) : 1;
    return w < 0 ? 1 : w;
}

int text_width(const char *s, size_t len)
{
    int used;
    text_fit(s, len, INT_MAX, &used);
    return used;
}

size_t text_fit(const char *s, size_t len, int columns, int *used)
{
    size_t at = 0;
    *used = 0;
    while (at < len) {
        uint32_t cp;
        size_t n = text_decode(s + at, len - at, &cp);
        int w = text_width_cp(cp);
        if (w > columns - *used)
            break;
        *used += w;
        at += n;
    }
    return at;
}

bool text_is_russian(const char *s)
{
    size_t len = strlen(s), letters = 0, cyrillic = 0;
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        i += text_decode(s + i, len - i, &cp);
        bool is_cyrillic = cp >= 0x400 && cp <= 0x52f;
        bool is_latin = (cp >= 'a' && cp <= 'z') || (cp >= 'A' && cp <= 'Z');
        /* Latin with signs up to Greek, and the scripts from Armenian on, without the punctuation
         * and symbols of 2000..2FFF. */
        bool is_other = (cp >= 0xc0 && cp < 0x400) || (cp >= 0x530 && cp < 0x2000) ||
                        (cp >= 0x3040 && cp < 0xe000);
        cyrillic += is_cyrillic;
        letters += is_cyrillic || is_latin || is_other;
    }
    return cyrillic > 0 && cyrillic * 3 >= letters;
}

unsigned text_distance(const char *a, const char *b, unsigned max)
{
    enum { LONGEST = 64 };
    size_t na = strlen(a), nb = strlen(b);
    if (na > LONGEST || nb > LONGEST)
        return max + 1;
    unsigned rows[3][LONGEST + 1], *before = rows[0], *last = rows[1], *row = rows[2];
    for (unsigned j = 0; j <= nb; j++)
        row[j] = j;
    for (unsigned i = 1; i <= na; i++) {
        unsigned *oldest = before;
        before = last, last = row, row = oldest;
        row[0] = i;
        for (unsigned j = 1; j <= nb; j++) {
            unsigned change = last[j - 1] + (a[i - 1] != b[j - 1]);
            unsigned add = (last[j] < row[j - 1] ? last[j] : row[j - 1]) + 1;
            row[j] = change < add ? change : add;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < row[j])
                row[j] = before[j - 2] + 1;
        }
    }
    return row[nb] <= max ? row[nb] : max + 1;
}

const char *text_nearest(const char *word, const char *const *words, size_t n)
{
    enum { NEAR = 4 };
    const char *nearest = NULL;
    size_t half = strlen(word) / 2 + 1; /* more of it changed is another word */
    unsigned best = half < NEAR ? (unsigned)half : NEAR;
    for (size_t i = 0; i < n; i++) {
        unsigned d = text_distance(word, words[i], best);
        if (d < best) {
            best = d;
            nearest = words[i];
        }
    }
    return nearest;
}

void text_hex(const void *bytes, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = bytes;
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * len] = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int text_unhex(const char *text, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        int high = hex_digit(text[2 * i]);
        int low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);
        if (low < 0)
            return -1;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return text[2 * len] == '\0' ? 0 : -1;
}

/* The value of a digit; -1: `=`, -2: none. */
static int base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : c == '=' ? -1 : -2;
}

int64_t text_unbase64(const char *text, uint8_t *out, size_t max)
{
    size_t n = 0;
    for (; *text; text += 4) {
        int d[4] = {-2, -2, -2, -2};
        for (int i = 0; i < 4 && (i == 0 || d[i - 1] != -2); i++)
            d[i] = base64_digit(text[i]);
        size_t bytes = d[3] >= 0 ? 3 : d[2] >= 0 ? 2 : 1;
        if (d[0] < 0 || d[1] < 0 || d[2] < -1 || d[3] < -1 || (d[2] == -1 && d[3] != -1) ||
            (bytes < 3 && text[4]) || bytes > max - n)
            return -1;
        uint32_t bits = (uint32_t)d[0] << 18 | (uint32_t)d[1] << 12 |
                        (uint32_t)(d[2] < 0 ? 0 : d[2]) << 6 | (uint32_t)(d[3] < 0 ? 0 : d[3]);
        if (bytes < 3 && (bits >> (bytes == 2 ? 6 : 12) & (bytes == 2 ? 3u : 15u)) != 0)
            return -1; /* bits that are left over are zero */
        for (size_t i = 0; i < bytes; i++)
            out[n++] = (uint8_t)(bits >> (16 - 8 * i));
    }
    return (int64_t)n;
}

bool text_decimal(const char *text, int64_t *nano)
{
    enum { PLACES = 9, UNITS_MAX = 1000000000 };
    const char *p = text;
    int64_t units = 0, part = 0;
    int places = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        units = units * 10 + (*p - '0');
        if (units > UNITS_MAX)
            return false;
    }
    if (p == text)
        return false;
    if (*p == '.') {
        for (p++; *p >= '0' && *p <= '9' && places < PLACES; p++, places++)
            part = part * 10 + (*p - '0');
        if (places == 0)
            return false;
    }
    if (*p)
        return false;
    for (; places < PLACES; places++)
        part *= 10;
    *nano = units * 1000000000 + part;
    return true;
}

bool text_any_fits(const char *patterns, const char *name)
{
    char one[256];
    while (*patterns) {
        patterns += strspn(patterns, " \t,;");
        size_t len = strcspn(patterns, " \t,;");
        if (len && len < sizeof one) {
            memcpy(one, patterns, len);
            one[len] = '\0';
            if (fnmatch(one, name, FNM_NOESCAPE) == 0)
                return true;
        }
        patterns += len;
    }
    return false;
}
