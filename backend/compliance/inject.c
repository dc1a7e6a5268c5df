/* Prompt injection by words: the rules of inject.def, sentence by sentence. What is found by
 * structure and in decoded text is found in inject_marks.c. */
#include "backend/compliance/inject.h"
#include "backend/compliance/inject_internal.h"
#include <stdlib.h>
#include <string.h>

enum list {
#define WORDS(name, terms) LIST_##name,
#include "backend/compliance/inject.def"
    LISTS
};
_Static_assert((size_t)LISTS <= POL_LISTS, "a set of lists holds them");

#define SET(name) ((pol_lists)1 << LIST_##name)
#define ALL0 0
#define ALL1(a) SET(a)
#define ALL2(a, b) (SET(a) | SET(b))
#define BUT0 0
#define BUT1(a) SET(a)
#define BUT2(a, b) (SET(a) | SET(b))

/* words that are known where they are mistyped */
static const char *const keys[] = {
#define KEY(word) word,
#include "backend/compliance/inject.def"
};
enum { KEYS = sizeof keys / sizeof *keys };

static const char *const list_terms[] = {
#define WORDS(name, terms) [LIST_##name] = (terms),
#include "backend/compliance/inject.def"
};

enum how { PLAIN, ANY, ORDER, YOURS, BEHIND, LAST };

static const struct rule {
    enum pol_inject_class cls;
    unsigned weight; /* percent */
    size_t window;   /* words */
    enum how how;
    pol_lists head, with, unless;
} rules[] = {
#define RULE(class, weight, window, how, head, with, unless) \
    {POL_INJECT_##class, weight, window, how, SET(head), with, unless},
#include "backend/compliance/inject.def"
};
enum { RULES = sizeof rules / sizeof *rules };
/* Every list that is some rule's head, and those that say something of the text as a whole. */
static const pol_lists heads = 0
#define RULE(class, weight, window, how, head, with, unless) | SET(head)
#include "backend/compliance/inject.def"
                               | SET(rot13) | SET(backwards);

static const char *const class_names[] = {
#define CLASS(id, name) [POL_INJECT_##id] = (name),
#include "backend/compliance/inject.def"
};

enum { EXCUSE = 6 }; /* words in front of a head, and behind it, that may excuse it */

struct pol_injector {
    struct pol_terms *terms;
    struct pol_typos *typos;
};

const char *pol_inject_class_name(enum pol_inject_class c)
{
    BUG_IF((unsigned)c >= POL_INJECT_CLASSES);
    return class_names[c];
}

const char *pol_inject_severity(double weight)
{
    return weight >= 0.8 ? "severe" : weight >= 0.5 ? "moderate" : "low";
}

struct pol_injector *pol_injector_new(void)
{
    struct pol_injector *f = xcalloc(1, sizeof *f);
    f->terms = pol__terms_new(list_terms, LISTS);
    f->typos = pol__typos_new(keys, KEYS);
    return f;
}

void pol_injector_free(struct pol_injector *f)
{
    if (f) {
        pol__terms_free(f->terms);
        pol__typos_free(f->typos);
    }
    free(f);
}

/* ---- a sentence */

static bool is_excused(const struct pol_sentence *s, const struct rule *r, const struct pol_hit *h)
{
    size_t word = h->word, from = word > EXCUSE ? word - EXCUSE : 0;
    /* a question comes before what it asks about, other excuses on either side */
    return pol__is_near(s, r->unless, from > h->clause ? from : h->clause, word) ||
           pol__is_near(s, r->unless & ~SET(asks), word, word + EXCUSE);
}

/* Stands the head where the rule wants it? */
static bool in_place(const struct pol_hit *h, enum how how)
{
    switch (how) {
    case ORDER:
        return h->opens || h->behind;
    case LAST:
    case YOURS:
        return h->opens || (h->behind & SET(lead_you));
    case BEHIND:
        return h->behind & SET(lead_you);
    default:
        return true;
    }
}

/* The words of a command are its terms, and what stands between them. */
static void report(struct pol__inject_found *out, const struct pol_sentence *s,
                   const struct rule *r, size_t from, size_t to)
{
    const struct pol_word *at = s->words;
    char what[POL_WHAT];
    size_t first = s->hits[from].word, last = s->hits[from].last;
    for (size_t i = from; i <= to; i++)
        if (s->hits[i].lists & (r->head | r->with))
            last = s->hits[i].last > last ? s->hits[i].last : last;
    pol__say_terms(s, r->head | r->with, from, to, what);
    pol__inject_add(out, r->cls, r->weight / 100.0, at[first].from, at[last].to, what);
    for (size_t i = first; i <= last; i++) {
        if (at[i].flags & POL_WORD_HIDDEN)
            pol__inject_add(out, POL_INJECT_HIDDEN, 0.6, at[i].from, at[i].to,
                            "characters that nobody sees in the words of a command");
        if (at[i].flags & POL_WORD_MIXED)
            pol__inject_add(out, POL_INJECT_LOOKALIKE, 0.6, at[i].from, at[i].to,
                            "letters of another alphabet in the words of a command");
    }
}

/* Is the rule met, if its head is hits[head]? */
static void try_rule(struct pol__inject_found *out, const struct pol_sentence *s,
                     const struct rule *r, size_t head)
{
    const struct pol_hit *h = &s->hits[head];
    size_t first = head, last = head;
    pol_lists left = r->with;
    if (!(h->lists & r->head) || !in_place(h, r->how))
        return;
    for (size_t i = head + 1; left && i < s->count && s->hits[i].word <= h->last + r->window; i++)
        if (s->hits[i].lists & left) {
            left &= ~s->hits[i].lists;
            last = i;
        }
    if (r->how == ANY)
        left &= ~h->lists;
    for (size_t i = head; r->how == ANY && left && i-- > 0;) {
        if (s->hits[i].word + r->window < h->word)
            break;
        if (s->hits[i].lists & left) {
            left &= ~s->hits[i].lists;
            first = i;
        }
    }
    if (r->how == LAST && s->hits[last].last + 1 < s->words_count)
        return;
    if (!left && !is_excused(s, r, h))
        report(out, s, r, first, last);
}

static void judge(void *arg, const struct pol_sentence *s)
{
    struct pol__inject_found *out = arg;
    for (size_t h = 0; h < s->count; h++) {
        if (!(s->hits[h].lists & heads))
            continue;
        out->turned[POL__ROT13] += (s->hits[h].lists & SET(rot13)) != 0;
        out->turned[POL__BACKWARDS] += (s->hits[h].lists & SET(backwards)) != 0;
        for (size_t i = 0; i < RULES; i++)
            if (s->hits[h].lists & rules[i].head)
                try_rule(out, s, &rules[i], h);
    }
}

void pol__inject_words(const struct pol_injector *f, const char *text, size_t len,
                       struct pol__inject_found *out)
{
    static const struct pol_signs signs = {
        .leads = SET(lead) | SET(lead_you), .quoted = SET(quoted), .shouted = SET(shouted)};
    struct pol_words words = {.places = true, .typos = f->typos};
    pol__words(&words, text, len);
    pol__sentences(f->terms, &words, &signs, judge, out);
    pol__words_release(&words);
}

/* ---- what was found */

/* The weights by place, of which those near each other are added up. */
static void weigh(struct pol__inject_found *out, enum pol_inject_class cls, double weight,
                  size_t from)
{
    if (out->weighed == INJECT_WEIGHED)
        return;
    if (out->weighed == out->cap) {
        out->cap = out->cap ? 2 * out->cap : 32;
        out->weights = xrealloc(out->weights, out->cap * sizeof *out->weights);
    }
    out->weights[out->weighed++] = (struct pol__weight){from, weight, cls};
}

/* Where a finding has its place: one of the class that overlaps it, a free one, else the lightest.
 */
static struct pol_injection *slot_for(struct pol_injections *all, enum pol_inject_class cls,
                                      size_t from, size_t to)
{
    struct pol_injection *lightest = &all->at[0];
    for (size_t i = 0; i < all->count; i++) {
        struct pol_injection *at = &all->at[i];
        if (at->cls == cls && from < at->to && to > at->from)
            return at;
        lightest = at->weight < lightest->weight ? at : lightest;
    }
    if (all->count == INJECT_FOUND)
        return lightest;
    all->at[all->count].weight = 0;
    return &all->at[all->count++];
}

void pol__inject_add(struct pol__inject_found *out, enum pol_inject_class cls, double weight,
                     size_t from, size_t to, const char *what)
{
    if (out->shift.on) { /* of decoded text: where its code stands */
        from = out->shift.from;
        to = out->shift.to;
    }
    out->by_class[cls] = weight > out->by_class[cls] ? weight : out->by_class[cls];
    weigh(out, cls, weight, from);
    struct pol_injection *at = slot_for(&out->all, cls, from, to);
    if (at->weight >= weight)
        return;
    *at = (struct pol_injection){.cls = cls, .weight = weight, .from = from, .to = to};
    size_t keep = strnlen(what, sizeof at->what - 1);
    while (keep && ((unsigned char)what[keep] & 0xc0) == 0x80)
        keep--;
    memcpy(at->what, what, keep);
}

static int by_weight_place(const void *a, const void *b)
{
    const struct pol__weight *one = a, *two = b;
    return one->from < two->from ? -1 : one->from > two->from;
}

/* The highest score of any INJECT_NEAR bytes. */
static double highest(struct pol__inject_found *found)
{
    double best = 0;
    if (found->weighed)
        qsort(found->weights, found->weighed, sizeof *found->weights, by_weight_place);
    for (size_t i = 0; i < found->weighed; i++) {
        double most[POL_INJECT_CLASSES] = {0}, safe = 1;
        size_t from = found->weights[i].from;
        /* so many at most, so that the work stays linear */
        for (size_t j = i; j < found->weighed && j < i + INJECT_TOGETHER; j++) {
            const struct pol__weight *w = &found->weights[j];
            if (w->from - from > INJECT_NEAR)
                break;
            most[w->cls] = w->weight > most[w->cls] ? w->weight : most[w->cls];
        }
        for (size_t c = 0; c < POL_INJECT_CLASSES; c++)
            safe *= 1 - most[c];
        best = 1 - safe > best ? 1 - safe : best;
    }
    return best;
}

static int by_place(const void *a, const void *b)
{
    const struct pol_injection *one = a, *two = b;
    return one->from < two->from ? -1 : one->from > two->from;
}

void pol_inject(const struct pol_injector *f, const char *text, size_t len,
                struct pol_injections *out)
{
    struct pol__inject_found found = {.all = {.count = 0}};
    pol__inject_words(f, text, len, &found);
    pol__inject_marks(f, text, len, &found);
    *out = found.all;
    out->score = highest(&found);
    free(found.weights);
    qsort(out->at, out->count, sizeof *out->at, by_place);
}

const char *pol_injection_heaviest(const struct pol_injections *found)
{
    size_t most = 0;
    for (size_t i = 1; i < found->count; i++)
        most = found->at[i].weight > found->at[most].weight ? i : most;
    return class_names[found->at[most].cls];
}

json_t *pol_injections_json(const struct pol_injections *found)
{
    json_t *list = json_array();
    for (size_t i = 0; i < found->count; i++) {
        const struct pol_injection *f = &found->at[i];
        json_t *one = json_object();
        json_puts(one, "class", class_names[f->cls]);
        json_puts(one, "severity", pol_inject_severity(f->weight));
        json_put(one, "weight", json_real(f->weight));
        json_puti(one, "from", (int64_t)f->from);
        json_puti(one, "to", (int64_t)f->to);
        json_put(one, "words", json_text(f->what, strlen(f->what)));
        json_array_append_new(list, one);
    }
    return list;
}
