/* A text as words, and tables of terms: what the rules of hazards.def and inject.def are matched
 * with.
 *
 * A text becomes words in lower case with one blank between them and a new line behind a sentence;
 * a term is then the beginning of a place where a word begins. Terms stand in tables by their first
 * bytes, six where they have so many, so that a word costs a look or two. */
#include "backend/base/text.h"
#include "backend/compliance/internal.h"
#include <stdlib.h>
#include <string.h>

enum {
    SLOTS = 1024,
    SIX = 6,
    WORD_LETTERS = 64 /* of a word that is looked at for look-alikes */
};

struct term {
    const char *text; /* borrowed from the lists, up to a bar or the end */
    size_t len, list;
    struct term *next;
};

struct pol_terms {
    struct term *slots[2][SLOTS]; /* by the first three bytes; by the first six */
    struct term *terms;
};

static size_t slot_of(const char *three)
{
    const unsigned char *u = (const unsigned char *)three;
    return (u[0] * 31u + u[1] * 131u + u[2] * 17u) % SLOTS;
}

/* Three letters that are no Latin ones have six bytes. */
static size_t slot_of_six(const char *six)
{
    return (slot_of(six) * 57u + slot_of(six + 3) * 7u) % SLOTS;
}

struct pol_terms *pol__terms_new(const char *const *lists, size_t n)
{
    struct pol_terms *f = xcalloc(1, sizeof *f);
    size_t count = 0, at = 0;
    BUG_IF(n > POL_LISTS);
    for (size_t l = 0; l < n; l++)
        for (const char *p = lists[l]; p && *p; p = strchr(p + 1, '|'))
            count++;
    f->terms = xcalloc(count, sizeof *f->terms);
    for (size_t l = 0; l < n; l++)
        for (const char *p = lists[l]; *p; p += *p == '|') {
            struct term *t = &f->terms[at++];
            *t = (struct term){.text = p, .len = strcspn(p, "|"), .list = l};
            /* a word of two letters ends in the blank behind it */
            char three[3] = {p[0], p[1], t->len > 2 ? p[2] : ' '};
            BUG_IF(t->len < 2 || memchr(three, '*', 3));
            bool six = t->len >= SIX && !memchr(p, '*', SIX);
            struct term **slot = &f->slots[six][six ? slot_of_six(p) : slot_of(three)];
            t->next = *slot;
            *slot = t;
            p += t->len;
        }
    BUG_IF(at != count);
    return f;
}

void pol__terms_free(struct pol_terms *f)
{
    if (f)
        free(f->terms);
    free(f);
}

/* Bytes that the term takes at p; 0: it is not there. */
static size_t matches(const char *p, const struct term *t)
{
    const char *from = p;
    for (size_t i = 0; i < t->len; i++) {
        if (t->text[i] == '*')
            p += strcspn(p, " ");
        else if (*p++ != t->text[i])
            return 0;
    }
    return *p == ' ' ? (size_t)(p - from) : 0;
}

void pol__terms_each(const struct pol_terms *f, const char *p, pol_term_found *fn, void *arg)
{
    bool six = strnlen(p, SIX) == SIX;
    const struct term *of_six = six ? f->slots[1][slot_of_six(p)] : NULL;
    for (const struct term *t = of_six; t; t = t->next) {
        size_t len = matches(p, t);
        if (len)
            fn(arg, t->list, len);
    }
    for (const struct term *t = f->slots[0][slot_of(p)]; t; t = t->next) {
        size_t len = matches(p, t);
        if (len)
            fn(arg, t->list, len);
    }
}

/* ---- words */

/* Letters in another dress: mathematical ones, in circles or squares, small capitals; 0: none. */
static uint32_t undressed(uint32_t cp)
{
    static const uint32_t small[] = {0x1d00, 0x299,  0x1d04, 0x1d05, 0x1d07, 0xa730, 0x262,
                                     0x29c,  0x26a,  0x1d0a, 0x1d0b, 0x29f,  0x1d0d, 0x274,
                                     0x1d0f, 0x1d18, 0x1eb,  0x280,  0xa731, 0x1d1b, 0x1d1c,
                                     0x1d20, 0x1d21, 0,      0x28f,  0x1d22};
    if (cp >= 0x1d400 && cp <= 0x1d6a3)
        return 'a' + (cp - 0x1d400) % 26;
    if (cp >= 0x24b6 && cp <= 0x24e9)
        return 'a' + (cp - 0x24b6) % 26;
    if (cp >= 0x1f130 && cp <= 0x1f149)
        return 'a' + (cp - 0x1f130);
    if ((cp >= 0x1f150 && cp <= 0x1f169) || (cp >= 0x1f170 && cp <= 0x1f189))
        return 'a' + (cp - 0x1f150) % 32;
    if (cp > 0x2b0 && (cp < 0x1d00 || cp > 0x1d22) && cp != 0xa730 && cp != 0xa731)
        return 0;
    for (uint32_t i = 0; i < sizeof small / sizeof *small; i++)
        if (small[i] == cp)
            return 'a' + i;
    return 0;
}

/* One letter for all its forms: case, full width, `ё`. 0: it is not there at all. */
static uint32_t folded(uint32_t cp)
{
    if (cp < 0x80)
        return cp >= 'A' && cp <= 'Z' ? cp + 32 : cp == '\'' ? 0 : cp;
    if (cp >= 0xff01 && cp <= 0xff5e) /* full width forms of ASCII */
        cp -= 0xff01 - 0x21;
    if (cp >= 'A' && cp <= 'Z')
        return cp + 32;
    if ((cp >= 0x410 && cp <= 0x42f) || (cp >= 0xc0 && cp <= 0xde && cp != 0xd7))
        return cp + 32;
    if (cp == 0x401 || cp == 0x451)
        return 0x435;
    if (cp == '\'' || cp == 0x2019 || cp == 0xad || (cp > 0x7f && text_is_hidden(cp)) ||
        (cp >= 0x300 && cp <= 0x36f))
        return 0;
    uint32_t plain = cp < 0x1eb || (cp >= 0x370 && cp <= 0x4ff) ? 0 : undressed(cp);
    return plain ? plain : cp;
}

static bool is_letter(uint32_t cp)
{
    if (cp & TEXT_BAD)
        return false;
    return (cp >= 'a' && cp <= 'z') || (cp >= '0' && cp <= '9') ||
           (cp >= 0x80 && (cp < 0x2000 || cp > 0x206f) && (cp < 0x3000 || cp > 0x303f) &&
            cp != 0xa0 && cp != 0xab && cp != 0xbb);
}

/* Chinese has no blanks: each of its characters is a word. */
static bool is_han(uint32_t cp)
{
    return cp >= 0x4e00 && cp <= 0x9fff;
}

static bool is_quote(uint32_t cp)
{
    return cp == '"' || cp == '`' || cp == '\'' || cp == 0xab || (cp >= 0x2018 && cp <= 0x201e) ||
           cp == 0x300c;
}

/* Cyrillic and Greek letters that look like Latin ones, in the order of all three; 0: none. */
static const uint32_t look_cyrillic[] = {0x430, 0x435, 0x43e, 0x440, 0x441, 0x443, 0x445,
                                         0x456, 0x458, 0x455, 0x43a, 0x43c, 0,     0};
static const uint32_t look_greek[] = {0x3b1, 0x3b5, 0x3bf, 0x3c1, 0x3f2, 0x3b3, 0x3c7,
                                      0x3b9, 0,     0,     0x3ba, 0,     0x3bd, 0x3c5};
static const char look_latin[] = "aeopcyxijskmvu";

static uint32_t alike(uint32_t cp, bool to_latin)
{
    for (size_t i = 0; look_latin[i]; i++)
        if (to_latin ? look_cyrillic[i] == cp || look_greek[i] == cp
                     : look_cyrillic[i] && (uint32_t)look_latin[i] == cp)
            return to_latin ? (uint32_t)look_latin[i] : look_cyrillic[i];
    return cp;
}

/* Digits and signs in the place of letters, as in `b0mb`. */
static uint32_t unmasked(uint32_t cp)
{
    static const char digits[] = "013457", letters[] = "oieast";
    const char *at = cp < 0x80 && cp ? strchr(digits, (int)cp) : NULL;
    return at ? (uint32_t)letters[at - digits] : cp;
}

struct word {
    uint32_t letter[WORD_LETTERS];
    size_t count, from;
    unsigned flags;
};

/* The word that was just written is read as the one that it is a slip of. */
static void mend(struct pol_words *out)
{
    size_t end = out->text.len - 1, from = end;
    while (from && out->text.data[from - 1] != ' ' && out->text.data[from - 1] != '\n')
        from--;
    const char *meant = pol__typos_mend(out->typos, out->text.data + from, end - from);
    if (!meant)
        return;
    out->text.len = from;
    buf_addf(&out->text, "%s ", meant);
}

static void place(struct pol_words *out, size_t from, size_t to, unsigned flags)
{
    if (!out->places)
        return;
    if (out->typos)
        mend(out);
    if (out->count == out->cap) {
        out->cap = out->cap ? 2 * out->cap : 64;
        out->at = xrealloc(out->at, out->cap * sizeof *out->at);
    }
    out->at[out->count++] = (struct pol_word){from, to, flags | out->flags};
    out->flags = 0;
}

/* A word of two alphabets is read in the one that most of it is in, and digits between letters as
 * the letters they look like. */
static void word_end(struct word *w, size_t to, struct pol_words *out)
{
    size_t latin = 0, other = 0, digits = 0;
    for (size_t i = 0; i < w->count; i++) {
        uint32_t cp = w->letter[i];
        latin += cp >= 'a' && cp <= 'z';
        other += cp >= 0x370 && cp <= 0x4ff;
        digits += cp >= '0' && cp <= '9';
    }
    bool mixed = latin && other, strange = false;
    bool masked = digits && digits < latin && w->count >= 4 && w->letter[0] > '9' &&
                  w->letter[w->count - 1] > '9';
    for (size_t i = 0; i < w->count; i++) {
        uint32_t cp = mixed ? alike(w->letter[i], latin >= other) : w->letter[i];
        char bytes[4];
        strange = strange || cp != w->letter[i];
        buf_add(&out->text, bytes, text_encode(masked ? unmasked(cp) : cp, bytes));
    }
    if (w->count) {
        buf_addc(&out->text, ' ');
        place(out, w->from, to, w->flags | (strange ? POL_WORD_MIXED : 0));
    }
    w->count = 0;
    w->flags = 0;
}

/* True where a sentence ends at s[at]: a full stop or the like before a blank, an empty line. */
static bool breaks(const char *s, size_t len, size_t at)
{
    char c = s[at], next = at + 1 < len ? s[at + 1] : '\n';
    if (c == '.' || c == '!' || c == '?')
        return next == ' ' || next == '\n' || next == '\r' || next == '\t';
    return c == ';' || (c == '\n' && (next == '\n' || next == '-' || next == '*' || next == '#'));
}

size_t pol_sentence_start(const char *text, size_t len)
{
    size_t at = 0;
    /* the last sign may end a sentence or not: what follows says so */
    for (size_t i = len < 2 ? 0 : len - 1; i-- > 0 && at == 0;)
        if (breaks(text, len, i))
            at = i + 1;
    return at;
}

static void end_sentence(struct pol_words *out)
{
    if (out->text.len && out->text.data[out->text.len - 1] != '\n')
        buf_addc(&out->text, '\n');
    out->flags |= POL_WORD_OPENS;
}

/* A word of ASCII letters alone, as nearly all are: taken at once. Its length, or 0: look closer.
 */
static size_t plain_word(const char *s, size_t len, struct buf *out)
{
    size_t n = 0;
    while (n < len && n < WORD_LETTERS && (s[n] | 0x20) >= 'a' && (s[n] | 0x20) <= 'z')
        n++;
    if (n == 0 || n == WORD_LETTERS ||
        (n < len &&
         (s[n] & 0x80 || s[n] == 0x1b || is_letter((uint32_t)s[n]) || !folded((uint32_t)s[n]))))
        return 0;
    buf_reserve(out, n + 1);
    for (size_t i = 0; i < n; i++)
        out->data[out->len++] = (char)(s[i] | 0x20);
    out->data[out->len++] = ' ';
    out->data[out->len] = '\0';
    return n;
}

/* Bytes of the terminal's sequence (ECMA-48, CSI) at s, which begins with ESC. */
static size_t sequence(const char *s, size_t len)
{
    size_t n = 2;
    if (len < 2 || s[1] != '[')
        return 1;
    while (n < len && n < 32 && s[n] >= 0x20 && s[n] < 0x40)
        n++;
    return n < len && s[n] >= 0x40 ? n + 1 : n;
}

/* Letters at s, all of them capitals; *end: behind them. */
static size_t capitals(const char *s, size_t len, size_t *end)
{
    size_t n = 0, at = 0, step;
    for (uint32_t cp; at < len; at += step, n++) {
        step = text_decode(s + at, len - at, &cp);
        if (cp == '\'' || cp == 0x2019) {
            n--;
            continue;
        }
        if (!is_letter(folded(cp)))
            break;
        if ((cp < 'A' || cp > 'Z') && (cp < 0x410 || cp > 0x42f) && (cp < 0xc0 || cp > 0xde))
            return 0;
    }
    *end = at;
    return n;
}

/* Do three words in capitals begin at s, of which the first and one more are no single letters? */
static bool shouts(const char *s, size_t len)
{
    size_t at = 0, end, long_ones = 0;
    for (size_t words = 0; words < 3; words++) {
        size_t n = capitals(s + at, len - at, &end);
        if (n == 0 || (n == 1 && words == 0))
            return false;
        long_ones += n > 1;
        at += end;
        if (words < 2 && (at == len || s[at++] != ' '))
            return false;
    }
    return long_ones > 1;
}

/* A word begins at s: words in capitals in the middle of a clause are a clause of their own. */
static void hear(struct pol_words *out, const char *s, size_t len)
{
    size_t end;
    uint32_t first;
    text_decode(s, len, &first);
    if (!is_letter(folded(first)))
        return;
    if (out->shouting) {
        if (capitals(s, len, &end))
            return;
        out->shouting = false;
        out->flags |= POL_WORD_OPENS;
    } else if (shouts(s, len)) {
        out->shouting = true;
        out->flags |= out->flags & POL_WORD_OPENS ? 0 : POL_WORD_OPENS | POL_WORD_SHOUTS;
    }
}

/* What stands between words at s, which was read as `letter`. */
static void between(struct pol_words *out, const char *text, size_t len, size_t at, uint32_t letter)
{
    if (letter != ' ' && letter != 0xa0)
        out->flags |= POL_WORD_OPENS;
    out->flags &= ~(unsigned)POL_WORD_QUOTED;
    out->flags |= is_quote(letter) ? POL_WORD_QUOTED : 0;
    bool full = letter == 0x3002 || ((text[at] & 0x80) && (letter == '!' || letter == '?'));
    if (full || (!(text[at] & 0x80) && breaks(text, len, at)))
        end_sentence(out);
}

/* Bytes at text[at] that are read as one character; *letter: what it is read as; 0: nothing. */
static size_t read_at(const char *text, size_t len, size_t at, uint32_t *cp, uint32_t *letter)
{
    size_t step = text_decode(text + at, len - at, cp);
    if (*cp == 0x1b)
        step = sequence(text + at, len - at);
    else if (*cp == '\\' && at + 1 < len && text[at + 1] && strchr("nrt", text[at + 1]))
        step = 2; /* a new line or tab as JSON writes it */
    *letter = *cp == 0x1b ? 0 : folded(*cp);
    return step;
}

void pol__words(struct pol_words *out, const char *text, size_t len)
{
    struct word w = {.count = 0};
    size_t step;
    out->flags = POL_WORD_OPENS;
    for (size_t i = 0; i < len; i += step) {
        uint32_t cp, letter;
        if (out->places && !w.count)
            hear(out, text + i, len - i);
        step = w.count ? 0 : plain_word(text + i, len - i, &out->text);
        if (step) {
            place(out, i, i + step, 0);
            continue;
        }
        step = read_at(text, len, i, &cp, &letter);
        if (!letter) {
            w.flags |= w.count && cp > 0x7f && text_is_hidden(cp) ? POL_WORD_HIDDEN : 0;
            out->flags |= !w.count && is_quote(cp) ? POL_WORD_QUOTED : 0;
            continue;
        }
        if (is_han(letter))
            word_end(&w, i, out);
        if (is_letter(letter)) {
            w.from = w.count ? w.from : i;
            w.flags |=
                cp > 0xff && letter < 0x80 && (cp < 0xff01 || cp > 0xff5e) ? POL_WORD_MIXED : 0;
            if (w.count < WORD_LETTERS)
                w.letter[w.count++] = letter;
            if (is_han(letter))
                word_end(&w, i + step, out);
            continue;
        }
        word_end(&w, i, out);
        between(out, text, len, i, letter);
    }
    word_end(&w, len, out);
    end_sentence(out);
}

void pol__words_release(struct pol_words *w)
{
    buf_release(&w->text);
    free(w->at);
}
