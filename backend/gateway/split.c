/* Pieces of a text, by the patterns of splitters.def, without a regular expression: each pattern is
 * a few runs of classes. What the patterns get by backtracking is said where it happens. */
#include "backend/base/text.h"
#include "backend/gateway/tokens.h"
#include <string.h>

static const struct {
    uint32_t first;
    uint16_t count;
    uint8_t class;
} runs[] = {
#define C(first, count, class) {first, count, GW__##class},
#include "backend/gateway/classes.def"
#undef C
};

static const struct splitter {
    const char *name;
    bool cased;
    int digits;
    bool whole_end;
} splitters[] = {
#define SPLITTER(id, name, cased, digits, whole_end) {name, cased, digits, whole_end},
#include "backend/gateway/splitters.def"
#undef SPLITTER
};

enum gw__class gw__class_of(uint32_t cp)
{
    if (cp >= 0x400 && cp < 0x460) /* most of what is no ASCII here */
        return cp < 0x430 ? GW__UPPER : GW__LOWER;
    if (cp >= 0x4e00 && cp < 0xa000)
        return GW__LETTER;
    size_t low = 0, high = sizeof runs / sizeof *runs;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (runs[middle].first > cp)
            high = middle;
        else if (cp - runs[middle].first >= runs[middle].count)
            low = middle + 1;
        else
            return (enum gw__class)runs[middle].class;
    }
    return GW__OTHER;
}

enum gw__splitter gw__splitter_named(const char *name, const char *file)
{
    bool by_file = strcmp(name, "auto") == 0;
    for (int i = 0; i < GW__SPLITTERS; i++)
        if (by_file ? strstr(file, splitters[i].name) != NULL
                    : strcmp(name, splitters[i].name) == 0)
            return (enum gw__splitter)i;
    return GW__SPLITTERS;
}

/* A text and its classes, a character at a time. */
struct scan {
    const char *text;
    size_t len;
};

struct at { /* a character */
    enum gw__class class;
    char ascii; /* 0: it is none */
    size_t end; /* behind it */
};

/* The character at i; at the end its `end` is i. */
static struct at at(const struct scan *s, size_t i)
{
    if (i >= s->len)
        return (struct at){GW__OTHER, 0, i};
    unsigned char c = (unsigned char)s->text[i];
    if (c < 0x80) {
        bool lower = c >= 'a' && c <= 'z', upper = c >= 'A' && c <= 'Z';
        return (struct at){lower                             ? GW__LOWER
                           : upper                           ? GW__UPPER
                           : c >= '0' && c <= '9'            ? GW__NUMBER
                           : c == ' ' || (c >= 9 && c <= 13) ? GW__SPACE
                                                             : GW__OTHER,
                           (char)c, i + 1};
    }
    uint32_t cp;
    size_t n = text_decode(s->text + i, s->len - i, &cp);
    return (struct at){gw__class_of(cp), 0, i + n};
}

#define BIT(class) (1u << (class))
enum {
    LETTERS = BIT(GW__UPPER) | BIT(GW__LOWER) | BIT(GW__LETTER),
    HIGH = BIT(GW__UPPER) | BIT(GW__LETTER) | BIT(GW__MARK), /* what may begin a word of o200k */
    LOW = BIT(GW__LOWER) | BIT(GW__LETTER) | BIT(GW__MARK),  /* what may end it */
    SIGNS = BIT(GW__OTHER) | BIT(GW__MARK)
};

/* Behind the run of characters of these classes that begins at i, of at most `most` characters. */
static size_t run(const struct scan *s, size_t i, unsigned classes, size_t most)
{
    for (; most && i < s->len; most--) {
        struct at c = at(s, i);
        if (!(BIT(c.class) & classes))
            break;
        i = c.end;
    }
    return i;
}

static bool is_newline(struct at c)
{
    return c.ascii == '\n' || c.ascii == '\r';
}

/* Behind a contraction ('s, 'LL) at i, otherwise i. The patterns fold case as Unicode does, so the
 * long s counts. */
static size_t contraction(const struct scan *s, size_t i)
{
    static const char *const two[] = {"ll", "ve", "re"};
    if (i + 1 >= s->len || s->text[i] != '\'')
        return i;
    const char *p = s->text + i + 1;
    size_t left = s->len - i - 1;
    char first = (char)(*p | 32);
    if (strchr("sdmt", first) && first)
        return i + 2;
    if (left >= 2 && memcmp(p, "\xc5\xbf", 2) == 0)
        return i + 3;
    for (size_t k = 0; left >= 2 && k < 3; k++)
        if (first == two[k][0] && (p[1] | 32) == two[k][1])
            return i + 3;
    return i;
}

/* A word of o200k from i on: capitals, then small letters; letters without case may be either.
 * needs_low: at least one of the second part, given back by the first if need be, so the word ends
 * behind its last letter without case when no small one follows. Otherwise i. */
static size_t cased_word(const struct scan *s, size_t i, bool needs_low)
{
    size_t end = i, behind_both = i;
    while (end < s->len) {
        struct at c = at(s, end);
        if (!(BIT(c.class) & HIGH))
            break;
        end = c.end;
        if (c.class != GW__UPPER)
            behind_both = end;
    }
    size_t low = run(s, end, LOW, s->len);
    if (!needs_low)
        return end > i ? low : i;
    return low > end ? low : behind_both;
}

/* A word with the one sign before it that belongs to it; otherwise i. */
static size_t word(const struct scan *s, const struct splitter *rules, size_t i)
{
    struct at first = at(s, i);
    bool lead = !is_newline(first) && !(BIT(first.class) & (LETTERS | BIT(GW__NUMBER)));
    if (!rules->cased) {
        size_t from = lead ? first.end : i, end = run(s, from, LETTERS, s->len);
        return end > from ? end : i;
    }
    for (int pass = 0; pass < 4; pass++) {
        if (pass % 2 == 0 && !lead)
            continue;
        size_t from = pass % 2 == 0 ? first.end : i, end = cased_word(s, from, pass < 2);
        if (end > from)
            return contraction(s, end);
    }
    return i;
}

/* Signs with the blank before them and the line ends (o200k: and slashes) behind; otherwise i. */
static size_t signs(const struct scan *s, const struct splitter *rules, size_t i)
{
    size_t from = s->text[i] == ' ' ? i + 1 : i, end = run(s, from, SIGNS, s->len);
    if (end == from)
        return i;
    while (end < s->len &&
           (s->text[end] == '\n' || s->text[end] == '\r' || (rules->cased && s->text[end] == '/')))
        end++;
    return end;
}

/* White space: up to its last line end; without one all but the last blank, which belongs to what
 * follows. */
static size_t space(const struct scan *s, const struct splitter *rules, size_t i)
{
    size_t end = i, last = i, behind_line = i, count = 0;
    for (struct at c; end < s->len && (c = at(s, end)).class == GW__SPACE; end = c.end, count++) {
        last = end;
        if (is_newline(c))
            behind_line = c.end;
    }
    if (rules->whole_end && end == s->len)
        return end;
    if (behind_line > i)
        return behind_line;
    return end < s->len && count > 1 ? last : end;
}

size_t gw__split(enum gw__splitter splitter, const char *text, size_t len, size_t i)
{
    const struct splitter *rules = &splitters[splitter];
    struct scan s = {text, len};
    size_t end = rules->cased ? i : contraction(&s, i);
    if (end == i)
        end = word(&s, rules, i);
    if (end == i)
        end = run(&s, i, BIT(GW__NUMBER), (size_t)rules->digits);
    if (end == i)
        end = signs(&s, rules, i);
    if (end == i)
        end = space(&s, rules, i);
    BUG_IF(end <= i || end > len);
    return end;
}
