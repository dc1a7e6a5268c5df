/* Who does what to whom, from where to where, what was first: each word's part in its claim, and
 * claims in which two of them have changed places. */
#include "backend/orchestrator/claims_internal.h"
#include <string.h>

/* While a claim is read: the slot of an agent, before it is known whether the verb is passive. */
enum { BY = CLAIMS__THEN + 1 };

static bool in_phrase(const struct claims__token *t)
{
    return claims__content(t) || t->kind == CLAIMS__NUMBER;
}

/* ---- parts of a claim */

/* The slot that a word gives to what stands behind it; VERB: none. */
static uint8_t leads_to(const struct claims__token *t)
{
    static const struct {
        uint64_t role;
        uint8_t slot;
    } LEADS[] = {{CLAIMS__FROM_, CLAIMS__FROM},
                 {CLAIMS__TO_, CLAIMS__TO},
                 {CLAIMS__FOR_, CLAIMS__FOR},
                 {CLAIMS__THAN_, CLAIMS__OBJECT},
                 {CLAIMS__BY_, BY},
                 {CLAIMS__AMONG_, CLAIMS__AMONG},
                 {CLAIMS__FIRST_, CLAIMS__FIRST},
                 {CLAIMS__THEN_, CLAIMS__THEN}};
    for (size_t i = 0; i < sizeof LEADS / sizeof *LEADS; i++)
        if (claims__does(t, LEADS[i].role))
            return LEADS[i].slot;
    return CLAIMS__VERB;
}

bool claims__compares(const struct claims *c, const struct claims__token *t)
{
    static const char *const ENDINGS[] = {"ее", "ше", "же", "ще"}; /* быстрее, выше */
    if (claims__does(t, CLAIMS__COMPARES))
        return true;
    const char *end = c->stems.data + t->word + t->word_len;
    for (size_t i = 0; i < sizeof ENDINGS / sizeof *ENDINGS && t->word_len >= 8; i++)
        if (memcmp(end - 4, ENDINGS[i], 4) == 0)
            return true;
    return false;
}

/* "before the", "раньше сбоя": what stands behind within the phrase is what it is compared with. */
static bool split_at_comparison(const struct claims *c, struct claims__token *t, uint32_t from,
                                uint32_t upto)
{
    for (uint32_t i = from; i < upto; i++) {
        if (t[i].kind != CLAIMS__WORD || !claims__compares(c, &t[i]))
            continue;
        if (i > from + 1 && t[i - 1].kind == CLAIMS__WORD)
            t[i - 1].slot = CLAIMS__VERB;
        t[i].slot = CLAIMS__VERB;
        for (uint32_t k = i + 1; k < upto; k++)
            t[k].slot = CLAIMS__OBJECT;
        return true;
    }
    return false;
}

/* A phrase from..upto without "is" before or behind it: "db-1 blocks db-2", "the kernel killed". */
static void first_phrase(struct claims__token *t, uint32_t from, uint32_t upto)
{
    uint32_t name = from;
    while (name < upto && t[name].kind != CLAIMS__NAME)
        name++;
    bool verb = false;
    for (uint32_t i = name + 1; i < upto; i++) {
        verb = verb || t[i].kind == CLAIMS__WORD;
        t[i].slot = t[i].kind == CLAIMS__WORD ? CLAIMS__VERB : verb ? CLAIMS__OBJECT : t[i].slot;
    }
    if (!verb && upto > from + 1 && t[upto - 1].kind == CLAIMS__WORD)
        t[upto - 1].slot = CLAIMS__VERB;
}

/* "was killed by the kernel": who did it stands behind, to whom before. */
static void turn_passive(struct claims__token *t, uint32_t from, uint32_t upto)
{
    uint8_t before = CLAIMS__AMONG;
    for (uint32_t i = from; i < upto; i++) {
        if (t[i].slot != BY) {
            before = in_phrase(&t[i]) ? t[i].slot : before;
            continue;
        }
        bool agent = before == CLAIMS__VERB && t[i].kind != CLAIMS__NUMBER;
        uint16_t phrase = t[i].phrase;
        for (uint32_t k = from; k < i && agent; k++)
            if (t[k].slot == CLAIMS__SUBJECT)
                t[k].slot = CLAIMS__OBJECT;
        for (; i < upto && t[i].slot == BY && t[i].phrase == phrase; i++)
            t[i].slot = agent ? CLAIMS__SUBJECT : CLAIMS__AMONG;
        i--;
    }
}

static void clause_slots(const struct claims *c, struct claims__token *t, uint32_t from,
                         uint32_t upto)
{
    uint8_t next = CLAIMS__SUBJECT, order = CLAIMS__VERB;
    bool subject = false, copula = false, verb_apart = false; /* служба не отвечает */
    uint32_t first = upto, first_end = upto;
    for (uint32_t i = from; i < upto; i++) {
        uint8_t lead = leads_to(&t[i]);
        if (lead == CLAIMS__FIRST || lead == CLAIMS__THEN) {
            order = lead;
        } else if (t[i].kind == CLAIMS__NEGATE) {
            verb_apart = verb_apart || (first_end == i && first < upto);
            next = first < upto && next == CLAIMS__OBJECT ? CLAIMS__VERB : next;
        } else if (t[i].copula) {
            copula = true;
            next = CLAIMS__VERB;
        } else if (lead != CLAIMS__VERB) {
            next = lead;
        } else if (in_phrase(&t[i])) {
            uint32_t end = i;
            while (end < upto && in_phrase(&t[end]) && leads_to(&t[end]) == CLAIMS__VERB)
                t[end++].slot = next;
            bool split = split_at_comparison(c, t, i, end);
            if (next == CLAIMS__SUBJECT && !split)
                first = i, first_end = end;
            subject = subject || next == CLAIMS__SUBJECT || next == CLAIMS__VERB;
            next = subject ? CLAIMS__OBJECT : CLAIMS__SUBJECT;
            i = end - 1;
        }
    }
    if (first < upto && !copula && !verb_apart)
        first_phrase(t, first, first_end);
    if (copula)
        turn_passive(t, from, upto);
    for (uint32_t i = from; i < upto; i++)
        t[i].slot = t[i].slot == BY ? CLAIMS__AMONG : t[i].slot;
    for (uint32_t i = from; i < upto && order != CLAIMS__VERB; i++)
        t[i].slot = order;
}

void claims__slots(const struct claims *c, const struct claims__claim *k, struct claims__token *t)
{
    for (uint32_t from = 0, i = 0; i <= k->tokens; i++) {
        if (i < k->tokens && t[i].kind != CLAIMS__BREAK)
            continue;
        clause_slots(c, t, from, i);
        from = i + 1;
    }
}

/* ---- two claims */

enum { NOBODY = 0xFF };

static bool is_argument(const struct claims__token *t)
{
    return in_phrase(t) && !t->light;
}

static bool same_word(const struct claims__pair *p, uint32_t i, uint32_t j)
{
    const struct claims__token *x = &p->a.t[i], *y = &p->b.t[j];
    if (x->kind == CLAIMS__NUMBER || y->kind == CLAIMS__NUMBER)
        return x->kind == y->kind && x->number >= 0 && y->number >= 0 &&
               claims__numbers_comparable(&p->a.numbers[x->number], &p->b.numbers[y->number]) &&
               claims__numbers_equal(&p->a.numbers[x->number], &p->b.numbers[y->number]);
    return claims__grade(claims__relate(p, i, j)) >= CLAIMS__SAME_THING;
}

/* The one word of b that each word of a is, and of which it is the only one; else NOBODY. */
static void find_mates(const struct claims__pair *p, uint8_t mates[CLAIMS__TOKENS])
{
    uint8_t met[CLAIMS__TOKENS] = {0};
    for (uint32_t i = 0; i < p->a.k->tokens; i++) {
        mates[i] = NOBODY;
        size_t found = 0;
        for (uint32_t j = 0; j < p->b.k->tokens && is_argument(&p->a.t[i]); j++) {
            if (!is_argument(&p->b.t[j]) || !same_word(p, i, j))
                continue;
            found++;
            met[j]++;
            mates[i] = (uint8_t)j;
        }
        if (found != 1)
            mates[i] = NOBODY;
    }
    for (uint32_t i = 0; i < p->a.k->tokens; i++)
        if (mates[i] != NOBODY && met[mates[i]] > 1)
            mates[i] = NOBODY;
}

/* A Russian noun says by its ending what is done to it, wherever it stands: of the same form it has
 * the same part. */
static bool form_stays(const struct claims__pair *p, uint32_t i, uint32_t j)
{
    const struct claims__token *x = &p->a.t[i], *y = &p->b.t[j];
    const char *s = p->a.c->stems.data + x->word, *o = p->b.c->stems.data + y->word;
    return x->kind == CLAIMS__WORD && y->kind == CLAIMS__WORD && x->word_len > 1 &&
           (unsigned char)*s >= 0xD0 && x->word_len == y->word_len &&
           memcmp(s, o, x->word_len) == 0;
}

static bool is_led(uint8_t slot)
{
    return slot == CLAIMS__FROM || slot == CLAIMS__TO || slot == CLAIMS__FIRST ||
           slot == CLAIMS__THEN;
}

/* Whether the words at i and k of a have each other's place in b. */
static bool change_places(const struct claims__pair *p, const uint8_t *mates, uint32_t i,
                          uint32_t k)
{
    const struct claims__token *a = p->a.t, *b = p->b.t;
    uint8_t x = a[i].slot, y = a[k].slot;
    if (x == y || x < CLAIMS__SUBJECT || y < CLAIMS__SUBJECT || b[mates[i]].slot != y ||
        b[mates[k]].slot != x)
        return false;
    return (is_led(x) && is_led(y)) || !(form_stays(p, i, mates[i]) && form_stays(p, k, mates[k]));
}

/* What is said of both is the same (1), the opposite (-1), or nothing that has a direction (0). */
static int direction(const struct claims__pair *p)
{
    int found = 0, sign = 1;
    for (uint32_t i = 0; i < p->a.k->tokens; i++) {
        for (uint32_t j = 0; j < p->b.k->tokens; j++) {
            const struct claims__token *x = &p->a.t[i], *y = &p->b.t[j];
            if (!claims__content(x) || !claims__content(y) || x->slot != CLAIMS__VERB ||
                y->slot != CLAIMS__VERB)
                continue;
            if (claims__does(x, CLAIMS__MUTUAL) || claims__does(y, CLAIMS__MUTUAL))
                return 0;
            enum claims__relation r = claims__relate(p, i, j);
            if (r == CLAIMS__OPPOSED)
                sign = -sign;
            found = found || r == CLAIMS__OPPOSED || claims__grade(r) >= CLAIMS__MET;
        }
    }
    return found ? sign : 0;
}

/* One who does it in one claim has it done in the other, and who is with them differs: the claims
 * tell of two things. */
static bool other_parties(const struct claims__pair *p, const uint8_t *mates)
{
    bool moved = false, left_a = false, left_b = false;
    for (uint32_t i = 0; i < p->a.k->tokens; i++) {
        uint8_t x = p->a.t[i].slot;
        bool party = x == CLAIMS__SUBJECT || x == CLAIMS__OBJECT;
        if (mates[i] == NOBODY) {
            left_a = left_a || (party && is_argument(&p->a.t[i]) && p->a.best[i] < CLAIMS__MET);
            continue;
        }
        uint8_t y = p->b.t[mates[i]].slot;
        moved = moved || (party && (y == CLAIMS__SUBJECT || y == CLAIMS__OBJECT) && x != y);
    }
    for (uint32_t j = 0; j < p->b.k->tokens; j++) {
        uint8_t y = p->b.t[j].slot;
        left_b = left_b || ((y == CLAIMS__SUBJECT || y == CLAIMS__OBJECT) &&
                            is_argument(&p->b.t[j]) && p->b.best[j] < CLAIMS__MET);
    }
    return moved && left_a && left_b;
}

void claims__find_order(struct claims__pair *p)
{
    const struct claims__side *a = &p->a, *b = &p->b;
    double rest_a = claims__cover_but(a, -1), rest_b = claims__cover_but(b, -1);
    if (a->k->negator_count || b->k->negator_count || rest_a < CLAIMS__MET || rest_b < CLAIMS__MET)
        return;
    uint8_t mates[CLAIMS__TOKENS];
    find_mates(p, mates);
    for (uint32_t i = 0; i < a->k->tokens; i++) {
        for (uint32_t k = i + 1; k < a->k->tokens && mates[i] != NOBODY; k++) {
            if (mates[k] == NOBODY || !change_places(p, mates, i, k))
                continue;
            int way = is_led(a->t[i].slot) && is_led(a->t[k].slot) ? 1 : direction(p);
            if (!way)
                continue;
            p->settled = true;
            p->agree = way < 0;
            const uint32_t x[2] = {i, k};
            const uint32_t y[2] = {mates[i] < mates[k] ? mates[i] : mates[k],
                                   mates[i] < mates[k] ? mates[k] : mates[i]};
            if (way > 0)
                claims__against_spans(p, 0.6 + 0.3 * (rest_a < rest_b ? rest_a : rest_b), "order",
                                      x, y);
            return;
        }
    }
    p->settled = other_parties(p, mates) && direction(p) > 0;
}
