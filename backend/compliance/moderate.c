/* Hazards in a text: the rules of hazards.def, sentence by sentence.
 *
 * A text becomes words in lower case with one blank between them and a new line behind a sentence;
 * a term is then the beginning of a place where a word begins. Terms stand in a table by their
 * first three bytes, so that a word costs a look or two. A sentence keeps which lists have a term
 * at which word, and each rule looks at those. */
#include "backend/base/buf.h"
#include "backend/base/text.h"
#include "backend/compliance/internal.h"
#include <stdlib.h>
#include <string.h>

enum list {
#define WORDS(name, terms) LIST_##name,
#include "backend/compliance/hazards.def"
    LISTS
};
_Static_assert(LISTS <= 64, "a set of lists is one word");

#define SET(name) (UINT64_C(1) << LIST_##name)
#define ALL1(a) SET(a)
#define ALL2(a, b) (SET(a) | SET(b))
#define ALL3(a, b, c) (SET(a) | SET(b) | SET(c))
#define BUT0 0
#define BUT1(a) SET(a)
#define BUT2(a, b) (SET(a) | SET(b))
#define BUT3(a, b, c) (SET(a) | SET(b) | SET(c))

static const char *const list_terms[] = {
#define WORDS(name, terms) [LIST_##name] = (terms),
#include "backend/compliance/hazards.def"
};

enum {
    IN_QUESTION = 1 << POL_QUESTION,
    IN_ANSWER = 1 << POL_ANSWER,
    IN_BOTH = IN_QUESTION | IN_ANSWER
};

static const struct rule {
    enum pol_hazard_id hazard;
    enum pol_severity severity;
    unsigned directions;
    size_t window; /* words */
    uint64_t needs, unless;
} rules[] = {
#define RULE(hazard, severity, directions, window, needs, unless) \
    {POL_##hazard, POL_##severity, IN_##directions, window, needs, unless},
#include "backend/compliance/hazards.def"
};
enum { RULES = sizeof rules / sizeof *rules };

static const struct pol_hazard hazards[] = {
#define HAZARD(id, grave, name) [POL_##id] = {#id, name, grave},
#include "backend/compliance/hazards.def"
};

enum {
    SLOTS = 1024,
    EXCUSE = 8,       /* so many words around a match may excuse it */
    SENTENCE = 400,   /* words; a longer sentence is taken as several */
    WORD_LETTERS = 64 /* of a word that is looked at for look-alikes */
};

struct term {
    const char *text; /* borrowed from list_terms, up to a bar or the end */
    size_t len;
    enum list list;
    struct term *next;
};

struct pol_filter {
    struct term *slots[SLOTS];
    struct term *terms;
};

const struct pol_hazard *pol_hazard(enum pol_hazard_id id)
{
    BUG_IF((unsigned)id >= POL_HAZARDS);
    return &hazards[id];
}

const char *pol_severity_name(enum pol_severity s)
{
    static const char *const names[] = {"none", "moderate", "severe"};
    return names[s];
}

static size_t slot_of(const char *three)
{
    const unsigned char *u = (const unsigned char *)three;
    return (u[0] * 31u + u[1] * 131u + u[2] * 17u) % SLOTS;
}

struct pol_filter *pol_filter_new(void)
{
    struct pol_filter *f = xcalloc(1, sizeof *f);
    size_t count = 0, at = 0;
    for (size_t l = 0; l < LISTS; l++)
        for (const char *p = list_terms[l]; p; p = strchr(p + 1, '|'))
            count++;
    f->terms = xcalloc(count, sizeof *f->terms);
    for (size_t l = 0; l < LISTS; l++)
        for (const char *p = list_terms[l]; *p; p += *p == '|') {
            struct term *t = &f->terms[at++];
            *t = (struct term){.text = p, .len = strcspn(p, "|"), .list = (enum list)l};
            /* a word of two letters ends in the blank behind it */
            char three[3] = {p[0], p[1], t->len > 2 ? p[2] : ' '};
            BUG_IF(t->len < 2 || memchr(three, '*', 3));
            struct term **slot = &f->slots[slot_of(three)];
            t->next = *slot;
            *slot = t;
            p += t->len;
        }
    BUG_IF(at != count);
    return f;
}

void pol_filter_free(struct pol_filter *f)
{
    if (f)
        free(f->terms);
    free(f);
}

/* ---- the text as words */

/* One letter for all its forms: case, full width, `ё`. 0: it is not there at all. */
static uint32_t folded(uint32_t cp)
{
    if (cp >= 0xff01 && cp <= 0xff5e) /* full width forms of ASCII */
        cp -= 0xff01 - 0x21;
    if (cp >= 'A' && cp <= 'Z')
        return cp + 32;
    if (cp >= 0x410 && cp <= 0x42f)
        return cp + 32;
    if (cp == 0x401 || cp == 0x451)
        return 0x435;
    if (cp == '\'' || cp == 0x2019 || cp == 0xad || (cp > 0x7f && text_is_hidden(cp)) ||
        (cp >= 0x300 && cp <= 0x36f))
        return 0;
    return cp;
}

static bool is_letter(uint32_t cp)
{
    if (cp & TEXT_BAD)
        return false;
    return (cp >= 'a' && cp <= 'z') || (cp >= '0' && cp <= '9') ||
           (cp >= 0x80 && (cp < 0x2000 || cp > 0x206f) && cp != 0xa0 && cp != 0xab && cp != 0xbb);
}

/* Cyrillic letters that look like Latin ones, in the order of both. */
static const uint32_t look_cyrillic[] = {0x430, 0x435, 0x43e, 0x440, 0x441, 0x443,
                                         0x445, 0x456, 0x458, 0x455, 0x43a, 0x43c};
static const char look_latin[] = "aeopcyxijskm";

static uint32_t alike(uint32_t cp, bool to_latin)
{
    for (size_t i = 0; look_latin[i]; i++)
        if (to_latin ? look_cyrillic[i] == cp : (uint32_t)look_latin[i] == cp)
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
    size_t count;
};

/* A word of two alphabets is read in the one that most of it is in, and digits between letters as
 * the letters they look like. */
static void word_end(struct word *w, struct buf *out)
{
    size_t latin = 0, cyrillic = 0, digits = 0;
    for (size_t i = 0; i < w->count; i++) {
        uint32_t cp = w->letter[i];
        latin += cp >= 'a' && cp <= 'z';
        cyrillic += cp >= 0x400 && cp <= 0x4ff;
        digits += cp >= '0' && cp <= '9';
    }
    bool mixed = latin && cyrillic;
    bool masked = digits && digits < latin && w->count >= 4 && w->letter[0] > '9' &&
                  w->letter[w->count - 1] > '9';
    for (size_t i = 0; i < w->count; i++) {
        uint32_t cp = mixed ? alike(w->letter[i], latin >= cyrillic) : w->letter[i];
        char bytes[4];
        buf_add(out, bytes, text_encode(masked ? unmasked(cp) : cp, bytes));
    }
    if (w->count)
        buf_addc(out, ' ');
    w->count = 0;
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

static void end_sentence(struct buf *out)
{
    if (out->len && out->data[out->len - 1] != '\n')
        buf_addc(out, '\n');
}

/* A word of ASCII letters alone, as nearly all are: taken at once. Its length, or 0: look closer.
 */
static size_t plain_word(const char *s, size_t len, struct buf *out)
{
    size_t n = 0;
    while (n < len && n < WORD_LETTERS && (s[n] | 0x20) >= 'a' && (s[n] | 0x20) <= 'z')
        n++;
    if (n == 0 || n == WORD_LETTERS ||
        (n < len && (s[n] & 0x80 || is_letter((uint32_t)s[n]) || !folded((uint32_t)s[n]))))
        return 0;
    buf_reserve(out, n + 1);
    for (size_t i = 0; i < n; i++)
        out->data[out->len++] = (char)(s[i] | 0x20);
    out->data[out->len++] = ' ';
    out->data[out->len] = '\0';
    return n;
}

/* Words, each with a blank behind it, and a new line behind each sentence. The caller frees. */
static char *as_words(const char *text)
{
    struct buf out = {0};
    struct word w = {.count = 0};
    size_t len = strlen(text), step;
    for (size_t i = 0; i < len; i += step) {
        uint32_t cp;
        step = w.count ? 0 : plain_word(text + i, len - i, &out);
        if (step)
            continue;
        step = text_decode(text + i, len - i, &cp);
        uint32_t letter = folded(cp);
        if (!letter)
            continue;
        if (is_letter(letter)) {
            if (w.count < WORD_LETTERS)
                w.letter[w.count++] = letter;
            continue;
        }
        word_end(&w, &out);
        if (step == 1 && breaks(text, len, i))
            end_sentence(&out);
    }
    word_end(&w, &out);
    end_sentence(&out);
    return buf_take(&out);
}

/* ---- a sentence */

struct hit { /* a word where terms begin */
    size_t word;
    uint64_t lists;
    const char *text; /* of the longest term there */
    size_t len;
};

struct sentence {
    struct hit *hits;
    size_t count, cap;
};

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

static void look_at(const struct pol_filter *f, const char *p, size_t word, struct sentence *s)
{
    struct hit hit = {.word = word, .text = p};
    for (const struct term *t = f->slots[slot_of(p)]; t; t = t->next) {
        size_t len = matches(p, t);
        if (!len)
            continue;
        hit.lists |= UINT64_C(1) << t->list;
        hit.len = len > hit.len ? len : hit.len;
    }
    if (!hit.lists)
        return;
    if (s->count == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 64;
        s->hits = xrealloc(s->hits, s->cap * sizeof *s->hits);
    }
    s->hits[s->count++] = hit;
}

static bool is_excused(const struct sentence *s, const struct rule *r, size_t from, size_t to)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct hit *h = &s->hits[i];
        if ((h->lists & r->unless) && h->word + EXCUSE >= s->hits[from].word &&
            h->word <= s->hits[to].word + EXCUSE)
            return true;
    }
    return false;
}

/* The words by which a rule was met: "make ... bomb". */
static void say_what(const struct sentence *s, const struct rule *r, size_t from, size_t to,
                     char what[POL_WHAT])
{
    uint64_t left = r->needs;
    size_t len = 0;
    for (size_t i = from; i <= to && left; i++) {
        const struct hit *h = &s->hits[i];
        if (!(h->lists & left))
            continue;
        left &= ~h->lists;
        const char *gap = len ? " ... " : "";
        if (len + strlen(gap) + h->len + 1 > POL_WHAT)
            break;
        memcpy(what + len, gap, strlen(gap));
        len += strlen(gap);
        memcpy(what + len, h->text, h->len);
        len += h->len;
    }
    what[len] = '\0';
}

static void found(struct pol_moderation *out, const struct rule *r, const struct sentence *s,
                  size_t from, size_t to)
{
    char what[POL_WHAT];
    say_what(s, r, from, to, what);
    pol__hazard_add(out, r->hazard, r->severity, what);
}

static void apply(const struct sentence *s, const struct rule *r, struct pol_moderation *out)
{
    for (size_t to = 0; to < s->count; to++) {
        if (!(s->hits[to].lists & r->needs))
            continue;
        uint64_t have = 0;
        for (size_t from = to + 1; from-- > 0;) {
            if (s->hits[to].word - s->hits[from].word > r->window)
                break;
            have |= s->hits[from].lists & r->needs;
            if (have != r->needs)
                continue;
            if (!is_excused(s, r, from, to)) {
                found(out, r, s, from, to);
                return;
            }
            break;
        }
    }
}

void pol_moderate(const struct pol_filter *f, const char *text, enum pol_direction direction,
                  struct pol_moderation *out)
{
    memset(out, 0, sizeof *out);
    char *words = as_words(text);
    struct sentence s = {.hits = NULL};
    size_t word = 0;
    for (const char *p = words; *p; p++) {
        look_at(f, p, word++, &s);
        p = strchr(p, ' ');
        if (p[1] != '\n' && word < SENTENCE)
            continue;
        for (size_t i = 0; i < RULES && s.count; i++)
            if (rules[i].directions >> direction & 1)
                apply(&s, &rules[i], out);
        word = s.count = 0;
        p += p[1] == '\n';
    }
    free(s.hits);
    free(words);
}

void pol__hazard_add(struct pol_moderation *out, enum pol_hazard_id id, enum pol_severity severity,
                     const char *what)
{
    size_t i = 0;
    while (i < out->count && out->at[i].id != id)
        i++;
    if (i == out->count)
        out->at[out->count++] = (struct pol_hazard_found){.id = id};
    struct pol_hazard_found *f = &out->at[i];
    if (severity > f->severity) {
        f->severity = severity;
        memset(f->what, 0, sizeof f->what);
        memcpy(f->what, what, strnlen(what, sizeof f->what - 1));
    }
    if (severity > out->worst)
        out->worst = severity;
}
