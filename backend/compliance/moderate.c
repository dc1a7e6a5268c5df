/* Hazards in a text: the rules of hazards.def, sentence by sentence.
 *
 * The text becomes words, which are looked up in a table of terms (wording.c). A sentence keeps
 * which lists have a term at which word, and each rule looks at those. */
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
    EXCUSE = 8,    /* so many words around a match may excuse it */
    SENTENCE = 400 /* words; a longer sentence is taken as several */
};

struct pol_filter {
    struct pol_terms *terms;
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

struct pol_filter *pol_filter_new(void)
{
    struct pol_filter *f = xcalloc(1, sizeof *f);
    f->terms = pol__terms_new(list_terms, LISTS);
    return f;
}

void pol_filter_free(struct pol_filter *f)
{
    if (f)
        pol__terms_free(f->terms);
    free(f);
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

static void look_at(const struct pol_filter *f, const char *p, size_t word, struct sentence *s)
{
    struct hit hit = {.word = word, .text = p};
    hit.lists = pol__terms_at(f->terms, p, &hit.len);
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
    struct pol_words words = {.places = false};
    pol__words(&words, text, strlen(text));
    struct sentence s = {.hits = NULL};
    size_t word = 0;
    for (const char *p = words.text.data ? words.text.data : ""; *p; p++) {
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
    pol__words_release(&words);
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
