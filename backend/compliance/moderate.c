/* Hazards in a text: the rules of hazards.def, sentence by sentence.
 *
 * The text becomes words (wording.c), and sentences know which lists have a term at which word
 * (sentence.c); each rule looks at those. */
#include "backend/compliance/internal.h"
#include <stdlib.h>
#include <string.h>

enum list {
#define WORDS(name, terms) LIST_##name,
#include "backend/compliance/hazards.def"
    LISTS
};
_Static_assert((size_t)LISTS <= POL_LISTS, "a set of lists holds them");

#define SET(name) ((pol_lists)1 << LIST_##name)
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
    pol_lists needs, unless;
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

enum { EXCUSE = 8 }; /* so many words around a match may excuse it */

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

struct search {
    enum pol_direction direction;
    struct pol_moderation *out;
};

static void apply(const struct pol_sentence *s, const struct rule *r, struct pol_moderation *out)
{
    for (size_t to = 0; to < s->count; to++) {
        if (!(s->hits[to].lists & r->needs))
            continue;
        pol_lists have = 0;
        for (size_t from = to + 1; from-- > 0;) {
            size_t first = s->hits[from].word, last = s->hits[to].word;
            if (last - first > r->window)
                break;
            have |= s->hits[from].lists & r->needs;
            if (have != r->needs)
                continue;
            if (pol__is_near(s, r->unless, first > EXCUSE ? first - EXCUSE : 0, last + EXCUSE))
                break;
            char what[POL_WHAT];
            pol__say_terms(s, r->needs, from, to, what);
            pol__hazard_add(out, r->hazard, r->severity, what);
            return;
        }
    }
}

static void judge(void *arg, const struct pol_sentence *s)
{
    const struct search *k = arg;
    for (size_t i = 0; i < RULES; i++)
        if (rules[i].directions >> k->direction & 1)
            apply(s, &rules[i], k->out);
}

void pol_moderate(const struct pol_filter *f, const char *text, enum pol_direction direction,
                  struct pol_moderation *out)
{
    memset(out, 0, sizeof *out);
    struct pol_words words = {.places = false};
    struct search k = {direction, out};
    pol__words(&words, text, strlen(text));
    pol__sentences(f->terms, &words, &(struct pol_signs){0}, judge, &k);
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
