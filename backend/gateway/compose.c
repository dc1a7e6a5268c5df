/* How the built-in models choose what to say. Both quote; they differ in how they rank:
 *   lexical  share of the question's words that a sentence has, weighted by inverse document
 *            frequency over the sentences at hand
 *   vector   cosine of hashed character trigrams, and maximal marginal relevance against what was
 *            chosen before (Carbonell, Goldstein 1998; lambda 0.7)
 * Findings that speak of what was asked come first, then the worst; rank decides between equals. */
#include "backend/gateway/internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FIT_MIN 0.1 /* a source below it was not meant for this question */
#define MMR_LAMBDA 0.7
#define LINE_FIT 0.15 /* whoever picked the tool meant it */
#define FINDING_FIT 0.5
#define FIRST_SHARE 0.25
#define SAME 0.8 /* Jaccard of two sentences that say the same */

enum {
    FINDINGS = 6,
    FINE_FINDINGS = 3,
    LINES = 8,
    FIRST_LINES = 3,
    ASIDES = 2,
    STEPS = 5,
    SECOND_STEPS = 2,
    PROSES = 2
};
/* A line of a tool that fits half as well as the best one counts so much less; and each further
 * line of one tool. */
static const double UNFIT = 0.5, FURTHER = 0.9;
static const double OF_TOPIC = 0.3;

struct choosing {
    const struct gw_request *r;
    bool vectors;
    struct gw__lexicon lexicon;
    struct gw__words asked, special; /* the question's words; without "this machine" */
    uint32_t topics;                 /* that the question is about, or that turned out bad */
    bool measured;                   /* something was found to say before the steps */
    bool general;                    /* it asks about everything here */
    struct gw__units units;
    const struct gw_source *document; /* steps are picked from it alone; NULL: from any */
    int order_from, order_to;         /* and from these sections */
    struct gw__unit *chosen[FINDINGS + LINES + STEPS + SECOND_STEPS];
    size_t chosen_len;
};

bool gw__russian(const struct gw_request *r)
{
    return strcmp(r->lang, "ru") == 0;
}

void gw__pieces_add(struct gw__pieces *p, char *text)
{
    if (p->len == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 16;
        p->at = xrealloc(p->at, p->cap * sizeof *p->at);
    }
    p->at[p->len++] = text;
}

void gw__pieces_release(struct gw__pieces *p)
{
    for (size_t i = 0; i < p->len; i++)
        free(p->at[i]);
    free(p->at);
    *p = (struct gw__pieces){0};
}

/* Ranking. */

static double lexical_score(const struct choosing *c, const struct gw__unit *u)
{
    double met = 0, all = 0;
    for (size_t i = 0; i < c->asked.len; i++) {
        size_t holders = 0;
        for (size_t j = 0; j < c->units.len; j++)
            holders += gw__words_have(&c->units.at[j].words, c->asked.at[i]);
        double idf = log(1.0 + (double)c->units.len / (1.0 + (double)holders));
        all += idf;
        met += gw__words_have(&u->words, c->asked.at[i]) ? idf : 0;
    }
    return all > 0 ? met / all : 0;
}

static bool speaks_of(const struct choosing *c, const struct gw__unit *u)
{
    if (c->r->sources[u->source].fit < FIT_MIN)
        return false;
    if (c->general && (u->kind == GW__FINDING || u->kind == GW__LINE))
        return true;
    return (u->topics & c->topics) || gw__words_common(&c->special, &u->words);
}

static size_t place_in_source(const struct choosing *c, size_t unit)
{
    size_t n = 0;
    while (n < unit && c->units.at[unit - n - 1].source == c->units.at[unit].source)
        n++;
    return n;
}

static void rank(struct choosing *c)
{
    float asked[GW__DIM];
    gw__trigrams(c->r->question, asked);
    bool *speaks = xcalloc(c->r->source_count + 1, sizeof *speaks);
    double most = 0; /* the fit of the best tool that speaks of what was asked */
    double best = 0; /* of all tools */
    for (size_t i = 0; i < c->r->source_count; i++)
        if (strcmp(c->r->sources[i].kind, "tool") == 0)
            best = fmax(best, c->r->sources[i].fit);
    for (size_t i = 0; i < c->units.len; i++) {
        struct gw__unit *u = &c->units.at[i];
        if (c->vectors) {
            u->vector = xcalloc(GW__DIM, sizeof *u->vector);
            gw__trigrams(u->text, u->vector);
            u->score = gw__cosine(asked, u->vector);
        } else {
            u->score = lexical_score(c, u);
        }
        /* tools say first what matters most */
        if (u->kind == GW__FINDING)
            u->score += FIRST_SHARE / (1.0 + (double)place_in_source(c, i));
        u->score +=
            (u->topics & c->topics ? OF_TOPIC : 0) + 0.2 * c->r->sources[u->source].fit + u->weight;
        if (u->kind == GW__LINE && best > 0)
            u->score *= 1 - UNFIT * 2 * (1 - fmax(0.5, c->r->sources[u->source].fit / best));
        u->fits = speaks_of(c, u);
        speaks[u->source] |= u->fits;
        if (u->fits && u->kind == GW__FINDING)
            most = fmax(most, c->r->sources[u->source].fit);
    }
    /* Whoever picked the tool saw that its description fits: what it says is to the point even when
     * it uses other words. Next to a tool that fits better and uses them it is no answer: what is
     * over a limit there is told besides. */
    for (size_t i = 0; i < c->units.len; i++) {
        struct gw__unit *u = &c->units.at[i];
        double fit = c->r->sources[u->source].fit;
        if ((u->kind == GW__LINE && fit >= LINE_FIT) ||
            (u->kind == GW__FINDING && fit >= FINDING_FIT && fit >= most && !speaks[u->source]))
            u->fits = true;
    }
    free(speaks);
}

/* What a unit is worth next to those chosen already; negative: it says the same as one of them. */
static double worth(const struct choosing *c, const struct gw__unit *u)
{
    double nearest = 0, further = 1;
    for (size_t i = 0; i < c->chosen_len; i++) {
        const struct gw__unit *other = c->chosen[i];
        if (u->kind == GW__LINE && other->source == u->source)
            further *= FURTHER;
        if (gw__words_alike(&u->words, &other->words) >= SAME &&
            u->kind >= GW__STEP) /* two figures may differ in the number only */
            return -1;
        if (c->vectors)
            nearest = fmax(nearest, gw__cosine(u->vector, other->vector));
    }
    double score = fmax(u->score, 0) * further;
    return 10 * u->severity + 2 +
           (c->vectors ? MMR_LAMBDA * score - (1 - MMR_LAMBDA) * nearest : score);
}

static bool allowed(const struct choosing *c, const struct gw__unit *u)
{
    return !c->document || (gw__same_document(c->document, &c->r->sources[u->source]) &&
                            u->order >= c->order_from && u->order <= c->order_to);
}

/* Chooses up to max more units of a kind; returns how many. */
static size_t pick(struct choosing *c, enum gw__unit_kind kind, bool fits, int severity, size_t max)
{
    size_t n = 0;
    const size_t room = sizeof c->chosen / sizeof *c->chosen;
    for (; n < max && c->chosen_len < room; n++) {
        struct gw__unit *best = NULL;
        double most = 0;
        for (size_t i = 0; i < c->units.len; i++) {
            struct gw__unit *u = &c->units.at[i];
            if (u->taken || u->kind != kind || u->fits != fits || u->severity < severity ||
                c->r->sources[u->source].fit < FIT_MIN || !allowed(c, u))
                continue;
            double value = worth(c, u);
            if (value > most) {
                most = value;
                best = u;
            }
        }
        if (!best)
            break;
        best->taken = true;
        best->aside = !fits;
        c->chosen[c->chosen_len++] = best;
    }
    return n;
}

static int worst_of(const struct choosing *c, bool fitting_only)
{
    int worst = 0;
    for (size_t i = 0; i < c->units.len; i++) {
        const struct gw__unit *u = &c->units.at[i];
        if (u->kind == GW__FINDING && (u->fits || !fitting_only) && u->severity > worst)
            worst = u->severity;
    }
    return worst;
}

/* The source of the best step that speaks of what is asked; NULL if there is none. */
static const struct gw_source *best_document(const struct choosing *c,
                                             const struct gw_source * not )
{
    const struct gw__unit *best = NULL;
    for (size_t i = 0; i < c->units.len; i++) {
        const struct gw__unit *u = &c->units.at[i];
        const struct gw_source *s = &c->r->sources[u->source];
        if (u->kind >= GW__STEP && u->fits && s->fit >= FIT_MIN &&
            !(not &&gw__same_document(s, not )) && (!best || u->score > best->score))
            best = u;
    }
    return best ? &c->r->sources[best->source] : NULL;
}

/* Steps of one document: mostly where to look, then what may be mended. */
static size_t pick_steps(struct choosing *c, const struct gw_source *document, size_t max)
{
    c->document = document;
    size_t mend = max > 3 ? max / 3 : 0; /* where little is asked for, only where to look */
    c->order_from = 0, c->order_to = 1;
    size_t n = pick(c, GW__STEP, true, 0, max - mend);
    c->order_from = 2, c->order_to = 2;
    n += pick(c, GW__STEP, true, 0, mend ? max - n : 0);
    c->order_from = 0, c->order_to = 1;
    n += pick(c, GW__STEP, true, 0, max - n);
    if (!n && !c->measured)
        n = pick(c, GW__PROSE, true, 0, max < PROSES ? max : PROSES);
    c->document = NULL;
    return n;
}

/* The first lines say what is bad; others of what these are about are worth more then: the limit of
 * memory beside the kill for want of it. */
static size_t pick_lines(struct choosing *c, size_t max)
{
    size_t n = pick(c, GW__LINE, true, 0, max < FIRST_LINES ? max : FIRST_LINES);
    uint32_t topics = 0;
    for (size_t i = c->chosen_len - n; i < c->chosen_len; i++)
        topics |= c->chosen[i]->weight > 0 ? c->chosen[i]->topics & ~GW__GENERAL & ~c->topics : 0;
    for (size_t i = 0; i < c->units.len; i++) {
        struct gw__unit *u = &c->units.at[i];
        u->score += u->kind == GW__LINE && (u->topics & topics) ? OF_TOPIC : 0;
    }
    return n + pick(c, GW__LINE, true, 0, max - n);
}

static void choose(struct choosing *c)
{
    bool fine = worst_of(c, true) == 0;
    size_t findings = pick(c, GW__FINDING, true, 0, fine ? FINE_FINDINGS : FINDINGS);
    size_t lines = pick_lines(c, LINES - findings);
    /* What turned out bad is what steps are wanted for. */
    for (size_t i = 0; i < c->chosen_len; i++)
        if (c->chosen[i]->severity > 0)
            c->topics |= c->chosen[i]->topics & ~GW__GENERAL;
    for (size_t i = 0; i < c->units.len; i++)
        if (c->units.at[i].kind >= GW__STEP)
            c->units.at[i].fits = speaks_of(c, &c->units.at[i]);
    struct gw__line so_far[sizeof c->chosen / sizeof *c->chosen];
    size_t measured = c->chosen_len;
    for (size_t i = 0; i < measured; i++)
        so_far[i] = gw__line_of(&c->units, c->chosen[i]);
    size_t most = gw__steps_wanted(c->r, so_far, measured);
    c->measured = measured > 0;
    const struct gw_source *first = most ? best_document(c, NULL) : NULL;
    size_t steps = first ? pick_steps(c, first, most) : 0;
    const struct gw_source *second = steps && most > 1 && !fine ? best_document(c, first) : NULL;
    if (second)
        pick_steps(c, second, SECOND_STEPS);
    if (findings + lines && measured < FINDINGS)
        pick(c, GW__FINDING, false, 1, FINDINGS - measured < ASIDES ? FINDINGS - measured : ASIDES);
}

void gw__compose(const struct gw_request *r, bool vectors, struct gw__pieces *out)
{
    struct choosing c = {.r = r, .vectors = vectors};
    gw__lexicon_init(&c.lexicon);
    gw__words_of(&c.lexicon, r->question, &c.asked);
    gw__words_special(&c.lexicon, &c.asked, &c.special);
    c.general = c.asked.len > 0 && c.special.len == 0;
    c.topics = gw__topics_of(&c.lexicon, &c.asked, true) & ~GW__GENERAL;
    gw__units_collect(&c.units, &c.lexicon, r);
    rank(&c);
    choose(&c);
    struct gw__line lines[sizeof c.chosen / sizeof *c.chosen];
    for (size_t i = 0; i < c.chosen_len; i++)
        lines[i] = gw__line_of(&c.units, c.chosen[i]);
    gw__render(r, lines, c.chosen_len, out);
    gw__units_release(&c.units);
    gw__words_release(&c.asked);
    gw__words_release(&c.special);
    gw__lexicon_release(&c.lexicon);
}
