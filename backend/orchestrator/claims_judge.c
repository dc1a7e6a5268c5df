/* One claim against another: what stands against, how much is met. */
#include "backend/orchestrator/claims_internal.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* But for what match_words finds. */
static void set_side(struct claims__side *s, const struct claims *c, size_t i)
{
    s->c = c;
    s->k = &c->claims[i];
    s->t = c->tokens + s->k->token;
    s->numbers = c->numbers + s->k->number;
}

double claims__weight(const struct claims__token *t)
{
    if (t->kind == CLAIMS__NAME)
        return 1.5;
    if (t->kind != CLAIMS__WORD)
        return 0;
    return t->light ? 0.25 : 1;
}

enum claims__relation claims__relate(const struct claims__pair *p, uint32_t i, uint32_t j)
{
    return (enum claims__relation)p->relations[i * p->b.k->tokens + j];
}

static bool parts_of_one(const struct claims__pair *p)
{
    for (uint32_t i = 0; i < p->a.k->numbers; i++)
        for (uint32_t j = 0; j < p->b.k->numbers; j++)
            if (claims__numbers_complement(&p->a.numbers[i], &p->b.numbers[j]))
                return true;
    return false;
}

static void match_words(struct claims__pair *p)
{
    p->rest = parts_of_one(p);
    p->opposed = false;
    for (uint32_t i = 0; i < p->a.k->tokens; i++)
        p->a.best[i] = 0, p->a.opposed[i] = false;
    for (uint32_t j = 0; j < p->b.k->tokens; j++)
        p->b.best[j] = 0, p->b.opposed[j] = false;
    for (uint32_t i = 0; i < p->a.k->tokens; i++) {
        if (!claims__content(&p->a.t[i]))
            continue;
        for (uint32_t j = 0; j < p->b.k->tokens; j++) {
            if (!claims__content(&p->b.t[j]))
                continue;
            enum claims__relation relation =
                claims__relation(p->a.c, &p->a.t[i], p->b.c, &p->b.t[j]);
            if (relation == CLAIMS__OPPOSED)
                relation = claims__amounts(p, i, j);
            p->relations[i * p->b.k->tokens + j] = (uint8_t)relation;
            double grade = claims__grade(relation);
            if (relation == CLAIMS__OPPOSED) {
                p->opposed = true;
                p->a.opposed[i] = p->b.opposed[j] = true;
                if (p->a.t[i].denied != p->b.t[j].denied)
                    grade = claims__grade(CLAIMS__NEAR); /* not up is down */
            }
            if (grade > p->a.best[i])
                p->a.best[i] = grade;
            if (grade > p->b.best[j])
                p->b.best[j] = grade;
        }
    }
}

/* The share of a side's words that the other has; but for those at `except`. */
double claims__cover_but(const struct claims__side *s, int except)
{
    double have = 0, all = 0;
    for (uint32_t i = 0; i < s->k->tokens; i++) {
        double weight = (int)i == except ? 0 : claims__weight(&s->t[i]);
        have += weight * s->best[i];
        all += weight;
    }
    return all > 0 ? have / all : 1;
}

/* The same but for the words that the other side has the opposite of. */
static double about(const struct claims__side *s)
{
    double have = 0, all = 0;
    for (uint32_t i = 0; i < s->k->tokens; i++) {
        double weight = s->opposed[i] ? 0 : claims__weight(&s->t[i]);
        have += weight * s->best[i];
        all += weight;
    }
    return all > 0 ? have / all : 1;
}

/* Of a text, so much as is told: whole characters. */
static int told(const char *s, int len)
{
    enum { MOST = 50 };
    if (len <= MOST)
        return len;
    len = MOST;
    while (len > 0 && ((unsigned char)s[len] & 0xC0) == 0x80)
        len--;
    return len;
}

/* Keeps the surest of what was found against. */
void claims__against(struct claims__pair *p, double score, const char *what, const char *x,
                     int x_len, const char *y, int y_len)
{
    if (p->a.k->may && p->b.k->may)
        score *= 0.5; /* it may be, and it may not be */
    else if (p->a.k->hedged || p->b.k->hedged)
        score *= 0.8;
    if (score <= p->out->score && p->out->verdict == CLAIMS_CONTRADICTS)
        return;
    p->out->verdict = CLAIMS_CONTRADICTS;
    p->out->score = score;
    snprintf(p->out->why, sizeof p->out->why, "%s: %.*s / %.*s", what, told(x, x_len), x,
             told(y, y_len), y);
}

void claims__against_spans(struct claims__pair *p, double score, const char *what,
                           const uint32_t x[2], const uint32_t y[2])
{
    const struct claims__token *a = p->a.t, *b = p->b.t;
    claims__against(p, score, what, p->a.c->text + a[x[0]].at,
                    (int)(a[x[1]].at + a[x[1]].len - a[x[0]].at), p->b.c->text + b[y[0]].at,
                    (int)(b[y[1]].at + b[y[1]].len - b[y[0]].at));
}

void claims__against_tokens(struct claims__pair *p, double score, const char *what, uint32_t i,
                            uint32_t j)
{
    const struct claims__token *x = &p->a.t[i], *y = &p->b.t[j];
    claims__against(p, score, what, p->a.c->text + x->at, x->len, p->b.c->text + y->at, y->len);
}

/* ---- what a word is said of */

/* How well what stands beside word i of one side fits what stands beside word j of the other:
 * 0..1. Beside it is its phrase, and, where it stands alone, the phrases before it in its clause.
 */
static bool beside(const struct claims__side *s, uint32_t i, uint32_t k)
{
    if (i == k || !claims__content(&s->t[k]) || s->t[k].clause != s->t[i].clause)
        return false;
    return s->t[k].phrase == s->t[i].phrase;
}

static bool stands_alone(const struct claims__side *s, uint32_t i)
{
    for (uint32_t k = 0; k < s->k->tokens; k++)
        if (beside(s, i, k) && !s->t[k].light)
            return false;
    return true;
}

/* What the word may be said of: its phrase; standing alone, the nearest phrases around it. */
static bool in_reach(const struct claims__side *s, uint32_t i, uint32_t k, bool alone)
{
    if (beside(s, i, k))
        return true;
    if (!alone || i == k || !claims__content(&s->t[k]))
        return false;
    int apart = (int)s->t[i].phrase - (int)s->t[k].phrase;
    if (s->t[k].clause != s->t[i].clause)
        return apart == 1; /* "status: ok" */
    return apart > 0 || apart == -1;
}

/* Whether a word before word k in its phrase says which of them it is, and the other side does not
 * have it. */
static bool told_apart(const struct claims__side *s, uint32_t k, uint32_t but)
{
    for (uint32_t i = k; i > 0 && s->t[i - 1].phrase == s->t[k].phrase; i--) {
        const struct claims__token *t = &s->t[i - 1];
        if (i - 1 != but && t->kind == CLAIMS__WORD && !t->light && s->best[i - 1] < CLAIMS__MET &&
            !s->opposed[i - 1])
            return true;
    }
    return false;
}

/* The checkout service and the search service are two. */
static bool two_things(const struct claims__pair *p, uint32_t k, uint32_t l, uint32_t i, uint32_t j)
{
    return told_apart(&p->a, k, i) && told_apart(&p->b, l, j);
}

static double same_beside(const struct claims__pair *p, uint32_t i, uint32_t j)
{
    bool alone_i = stands_alone(&p->a, i), alone_j = stands_alone(&p->b, j);
    double found = 0;
    for (uint32_t k = 0; k < p->a.k->tokens; k++) {
        if (!in_reach(&p->a, i, k, alone_i))
            continue;
        for (uint32_t l = 0; l < p->b.k->tokens; l++) {
            if (!in_reach(&p->b, j, l, alone_j))
                continue;
            double grade = claims__grade(claims__relate(p, k, l)) * (p->a.t[k].light ? 0.5 : 1);
            if (grade > found && two_things(p, k, l, i, j))
                grade *= 0.5;
            found = grade > found ? grade : found;
        }
    }
    return found;
}

/* Whether side a says word j of b itself, of the same thing. */
static bool said_itself(const struct claims__pair *p, uint32_t j, double beside_other)
{
    for (uint32_t i = 0; i < p->a.k->tokens; i++) {
        if (claims__content(&p->a.t[i]) &&
            claims__grade(claims__relate(p, i, j)) >= CLAIMS__SAME_THING &&
            same_beside(p, i, j) >= beside_other)
            return true;
    }
    return false;
}

static bool said_back(const struct claims__pair *p, uint32_t i, double beside_other)
{
    for (uint32_t j = 0; j < p->b.k->tokens; j++) {
        if (claims__content(&p->b.t[j]) &&
            claims__grade(claims__relate(p, i, j)) >= CLAIMS__SAME_THING &&
            same_beside(p, i, j) >= beside_other)
            return true;
    }
    return false;
}

/* ---- words of which only one can hold */

/* What stands behind a word that compares, up to the end of its clause: how well the other side has
 * it; -1: nothing stands there. */
static double compared_with(const struct claims__side *s, uint32_t i)
{
    double best = -1;
    if (!claims__compares(s->c, &s->t[i]))
        return -1;
    for (i++; i < s->k->tokens && s->t[i].kind != CLAIMS__BREAK; i++)
        if (s->t[i].slot == CLAIMS__OBJECT && claims__weight(&s->t[i]) >= 1)
            best = fmax(best, s->best[i]);
    return best;
}

/* Before one thing and after another: both may be. */
static bool compared_apart(const struct claims__pair *p, uint32_t i, uint32_t j)
{
    double a = compared_with(&p->a, i), b = compared_with(&p->b, j);
    return a >= 0 && b >= 0 && a < CLAIMS__MET && b < CLAIMS__MET;
}

static void find_opposites(struct claims__pair *p)
{
    for (uint32_t i = 0; i < p->a.k->tokens; i++) {
        for (uint32_t j = 0; j < p->b.k->tokens; j++) {
            if (!claims__content(&p->a.t[i]) || !claims__content(&p->b.t[j]) ||
                claims__relate(p, i, j) != CLAIMS__OPPOSED || p->a.t[i].denied != p->b.t[j].denied)
                continue;
            double fits = same_beside(p, i, j);
            double rest_a = claims__cover_but(&p->a, (int)i),
                   rest_b = claims__cover_but(&p->b, (int)j);
            double rest = rest_a > rest_b ? rest_a : rest_b;
            if (said_itself(p, j, fits) || said_back(p, i, fits) || compared_apart(p, i, j))
                continue;
            if (fits >= CLAIMS__MET)
                claims__against_tokens(p, 0.6 + 0.35 * rest, "opposite", i, j);
            else if (rest >= CLAIMS__MET)
                claims__against_tokens(p, 0.3 + 0.4 * rest, "opposite", i, j);
        }
    }
}

/* ---- negation */

/* Under this it only may be meant: that somebody does not do something while they do another. */
static const double LIKELY = 0.6;

/* Whether the other side says word x of the side that denies, and does not deny it. */
static bool said_there(const struct claims__pair *p, bool of_a, uint32_t x)
{
    const struct claims__side *here = of_a ? &p->a : &p->b, *there = of_a ? &p->b : &p->a;
    for (uint32_t y = 0; y < there->k->tokens && claims__content(&here->t[x]); y++)
        if (claims__content(&there->t[y]) && !there->t[y].denied &&
            claims__grade(claims__relate(p, of_a ? x : y, of_a ? y : x)) >= CLAIMS__MET)
            return true;
    return false;
}

/* "not full": nothing else is denied. */
static bool says_one(const struct claims__side *s, const struct claims__negator *n)
{
    size_t words = 0;
    for (uint32_t i = n->from; i < n->upto; i++)
        words += claims__weight(&s->t[i]) >= 1;
    return words == 1;
}

/* Whether the side that denies has word y of the other as well. */
static bool said_here(const struct claims__pair *p, bool of_a, uint32_t y)
{
    const struct claims__side *here = of_a ? &p->a : &p->b;
    for (uint32_t x = 0; x < here->k->tokens; x++)
        if (claims__content(&here->t[x]) &&
            claims__grade(claims__relate(p, of_a ? x : y, of_a ? y : x)) >= CLAIMS__MET)
            return true;
    return false;
}

/* Whether an opposite of what is denied here is said there: then both say the same. */
static bool denied_opposite(const struct claims__pair *p, const struct claims__negator *n,
                            bool of_a, double subject)
{
    const struct claims__side *there = of_a ? &p->b : &p->a;
    for (uint32_t x = n->from; x < n->upto; x++) {
        for (uint32_t y = 0; y < there->k->tokens && !said_there(p, of_a, x); y++) {
            const struct claims__token *t = of_a ? &p->a.t[x] : &p->b.t[x];
            if (!claims__content(t) || !claims__content(&there->t[y]) || there->t[y].denied)
                continue;
            uint32_t i = of_a ? x : y, j = of_a ? y : x;
            if (claims__relate(p, i, j) == CLAIMS__OPPOSED &&
                (same_beside(p, i, j) >= CLAIMS__MET ||
                 (subject >= 0.5 && says_one(of_a ? &p->a : &p->b, n) && !said_here(p, of_a, y))))
                return true;
        }
    }
    return false;
}

/* How much of the words from..upto the other side says without denying it; *first: whether it says
 * the first of weight; *last gets one of them. */
static double said_plainly(const struct claims__pair *p, bool of_a, uint32_t from, uint32_t upto,
                           bool *first, uint32_t *last)
{
    const struct claims__side *here = of_a ? &p->a : &p->b, *there = of_a ? &p->b : &p->a;
    double have = 0, all = 0;
    bool seen = false;
    *first = false;
    for (uint32_t x = from; x < upto; x++) {
        double weight = claims__weight(&here->t[x]), best = 0;
        for (uint32_t y = 0; y < there->k->tokens && weight > 0; y++) {
            if (!claims__content(&there->t[y]) || there->t[y].denied == here->t[x].denied)
                continue;
            double grade = claims__grade(claims__relate(p, of_a ? x : y, of_a ? y : x));
            if (grade > best)
                best = grade, *last = y;
        }
        if (weight >= 1 && !seen) {
            seen = true;
            *first = best >= CLAIMS__MET;
        }
        have += weight * best;
        all += weight;
    }
    return all > 0 ? have / all : 0;
}

/* How much of what stands before a negation the other side has: -1: nothing stands there. */
static double subject_met(const struct claims__side *s, const struct claims__negator *n)
{
    double have = 0, all = 0;
    uint32_t from = n->token;
    while (from > 0 && s->t[from - 1].kind != CLAIMS__BREAK)
        from--;
    for (uint32_t i = from; i < n->token; i++) {
        if (i >= n->from && i < n->upto)
            continue;
        double weight = claims__weight(&s->t[i]);
        have += weight * s->best[i];
        all += weight;
    }
    return all > 0 ? have / all : -1;
}

static bool denied_alike(const struct claims__pair *p, bool of_a, const struct claims__negator *n)
{
    const struct claims__side *here = of_a ? &p->a : &p->b, *there = of_a ? &p->b : &p->a;
    for (uint32_t x = n->from; x < n->upto; x++) {
        if (!claims__content(&here->t[x]) || here->t[x].light)
            continue;
        for (uint32_t y = 0; y < there->k->tokens; y++)
            if (claims__content(&there->t[y]) && there->t[y].denied == here->t[x].denied &&
                there->t[y].denied &&
                claims__grade(claims__relate(p, of_a ? x : y, of_a ? y : x)) >= CLAIMS__MET)
                return true;
    }
    return false;
}

static void against_negation(struct claims__pair *p, bool of_a, const struct claims__negator *n,
                             double score, uint32_t other)
{
    const struct claims__side *here = of_a ? &p->a : &p->b, *there = of_a ? &p->b : &p->a;
    for (uint32_t i = 0; i < n->token && other == UINT32_MAX; i++)
        for (uint32_t k = 0; k < there->k->tokens && other == UINT32_MAX; k++)
            if (claims__content(&here->t[i]) && claims__content(&there->t[k]) &&
                claims__grade(claims__relate(p, of_a ? i : k, of_a ? k : i)) >= CLAIMS__MET)
                other = k;
    other = other == UINT32_MAX ? 0 : other;
    const struct claims__token *no = &here->t[n->token], *end = &here->t[n->upto - 1],
                               *y = &there->t[other];
    const char *said = here->c->text + no->at;
    int len = (int)(end->at + end->len > no->at ? end->at + end->len - no->at : no->len);
    const char *o = there->c->text + y->at;
    if (of_a)
        claims__against(p, score, "negation", said, len, o, y->len);
    else
        claims__against(p, score, "negation", o, y->len, said, len);
}

/* Both speak of the same people or animals. */
static bool of_living(const struct claims__pair *p)
{
    for (uint32_t i = 0; i < p->a.k->tokens; i++)
        if (p->a.t[i].kind == CLAIMS__WORD && p->a.best[i] >= CLAIMS__MET &&
            claims__is_living(p->a.t[i].sense))
            return true;
    return false;
}

static void find_denied(struct claims__pair *p, bool of_a)
{
    const struct claims__side *here = of_a ? &p->a : &p->b, *there = of_a ? &p->b : &p->a;
    for (size_t i = 0; i < here->k->negator_count; i++) {
        const struct claims__negator *n = &here->k->negators[i];
        uint32_t other = UINT32_MAX;
        bool first;
        double said = said_plainly(p, of_a, n->from, n->upto, &first, &other);
        double subject = subject_met(here, n);
        if (denied_alike(p, of_a, n) || denied_opposite(p, n, of_a, subject) ||
            (n->absence && there->k->zero))
            continue;
        double score = 0;
        if (n->absence) /* "no big errors" is said where there are errors */
            score = said >= CLAIMS__MET ? 0.5 + 0.4 * said : first ? CLAIMS__GUESS : 0;
        else if (said >= 0.5 && (first || said >= CLAIMS__MET))
            score = 0.6 + 0.35 * said;
        else if (said > 0.2)
            score = 0.55;
        else if (subject >= 0.5 && claims__cover_but(there, -1) < 0.9)
            score = CLAIMS__GUESS; /* of the same thing it is denied that it does something else */
        if (subject >= 0 && subject < 0.3)
            score *= 0.5;
        p->doubt = p->doubt || score > 0.3;
        if (score < CLAIMS__SURE || (score < LIKELY && !of_living(p)))
            continue;
        against_negation(p, of_a, n, score, other);
    }
}

/* ---- numbers */

/* Whether what is counted stands behind the number. */
static bool counts_something(const struct claims__side *s, uint32_t i)
{
    return i + 1 < s->k->tokens && claims__content(&s->t[i + 1]) &&
           s->t[i + 1].phrase == s->t[i].phrase;
}

/* The words from..upto that say what a count is of: those behind it in its phrase, else the nearest
 * phrase before it. */
static void counted(const struct claims__side *s, uint32_t i, uint32_t *from, uint32_t *upto)
{
    if (counts_something(s, i)) {
        *from = *upto = i + 1;
        while (*upto < s->k->tokens && claims__content(&s->t[*upto]))
            ++*upto;
        return;
    }
    *upto = i;
    while (*upto > 0 && !claims__content(&s->t[*upto - 1]))
        --*upto;
    *from = *upto;
    while (*from > 0 && claims__content(&s->t[*from - 1]))
        --*from;
}

/* How well two counts are of the same. */
static double of_one_count(const struct claims__pair *p, uint32_t i, uint32_t j)
{
    uint32_t a, a_end, b, b_end;
    double found = 0;
    bool wider = false; /* two women are among three people */
    counted(&p->a, i, &a, &a_end);
    counted(&p->b, j, &b, &b_end);
    for (uint32_t k = a; k < a_end; k++) {
        for (uint32_t l = b; l < b_end; l++) {
            enum claims__relation relation = claims__relate(p, k, l);
            double grade = claims__grade(relation) * (p->a.t[k].light ? 0.5 : 1);
            if (grade > found) {
                wider = relation == CLAIMS__WIDER;
                found = two_things(p, k, l, i, j) ? 0.5 * grade : grade;
            }
        }
    }
    return wider ? 0 : found;
}

/* How well two numbers are of the same thing. */
static double of_one_thing(const struct claims__pair *p, const struct claims__number *x,
                           const struct claims__number *y)
{
    uint32_t i = x->token, j = y->token;
    double found = 0;
    if (x->unit == CLAIMS__COUNT)
        return of_one_count(p, i, j);
    for (uint32_t k = 0; k < p->a.k->tokens; k++) {
        int off_a = abs((int)p->a.t[k].phrase - (int)p->a.t[i].phrase);
        if (!claims__content(&p->a.t[k]) || (off_a > 1 && p->a.t[k].clause != p->a.t[i].clause))
            continue;
        for (uint32_t l = 0; l < p->b.k->tokens; l++) {
            int off_b = abs((int)p->b.t[l].phrase - (int)p->b.t[j].phrase);
            if (!claims__content(&p->b.t[l]) || (off_b > 1 && p->b.t[l].clause != p->b.t[j].clause))
                continue;
            double grade = claims__grade(claims__relate(p, k, l)) * (p->a.t[k].light ? 0.5 : 1);
            grade *= off_a > 1 || off_b > 1 ? 0.7 : 1;
            if (grade > found && two_things(p, k, l, i, j))
                grade *= 0.5;
            found = grade > found ? grade : found;
        }
    }
    return found;
}

static bool stated(const struct claims__side *s, const struct claims__number *n)
{
    return s->t[n->token].kind == CLAIMS__NUMBER;
}

/* One tells what is used and the other what is left. */
static bool amounts_differ(const struct claims__pair *p)
{
    for (uint32_t i = 0; i < p->a.k->tokens; i++)
        for (uint32_t j = 0; j < p->b.k->tokens; j++)
            if (claims__content(&p->a.t[i]) && claims__content(&p->b.t[j]) &&
                claims__relation(p->a.c, &p->a.t[i], p->b.c, &p->b.t[j]) == CLAIMS__OPPOSED &&
                claims__relate(p, i, j) == CLAIMS__NEAR)
                return true;
    return false;
}

/* They are equal, or one is what the other leaves of a hundred. */
static bool numbers_alike(bool rest, const struct claims__number *x, const struct claims__number *y)
{
    return claims__numbers_comparable(x, y) &&
           (claims__numbers_equal(x, y) || (rest && claims__numbers_complement(x, y)));
}

/* Two of five: the fewer are told apart by what the other does not say of its own. */
static bool is_part(const struct claims__pair *p, const struct claims__number *x,
                    const struct claims__number *y)
{
    if (x->unit != CLAIMS__COUNT || x->low == y->low || x->low == 0 || y->low == 0)
        return false;
    const struct claims__side *fewer = x->low < y->low ? &p->a : &p->b;
    const struct claims__side *more = fewer == &p->a ? &p->b : &p->a;
    return claims__cover_but(fewer, -1) < CLAIMS__SAME_THING && claims__cover_but(more, -1) >= 1;
}

static void find_numbers(struct claims__pair *p)
{
    bool taken_a[CLAIMS__NUMBERS] = {false}, taken_b[CLAIMS__NUMBERS] = {false};
    bool rests = p->rest && amounts_differ(p);
    /* What is equal first; what is left of the same thing differs. */
    for (uint32_t i = 0; i < p->a.k->numbers; i++) {
        for (uint32_t j = 0; j < p->b.k->numbers && !taken_a[i]; j++) {
            const struct claims__number *x = &p->a.numbers[i], *y = &p->b.numbers[j];
            if (stated(&p->a, x) && stated(&p->b, y) && !taken_b[j] && numbers_alike(rests, x, y))
                taken_a[i] = taken_b[j] = true;
        }
    }
    double rest = fmax(claims__cover_but(&p->a, -1), claims__cover_but(&p->b, -1));
    for (uint32_t j = 0; j < p->b.k->numbers; j++) {
        const struct claims__number *y = &p->b.numbers[j];
        double best = 0;
        uint32_t at = 0;
        for (uint32_t i = 0; i < p->a.k->numbers && !taken_b[j] && stated(&p->b, y); i++) {
            const struct claims__number *x = &p->a.numbers[i];
            if (taken_a[i] || !stated(&p->a, x) || x->unit != y->unit ||
                !claims__numbers_comparable(x, y))
                continue;
            double fits = of_one_thing(p, x, y);
            if (fits > best)
                best = fits, at = i;
        }
        const struct claims__token *s = &p->b.t[y->token];
        if (best < CLAIMS__MET || rest < CLAIMS__MET || is_part(p, &p->a.numbers[at], y))
            continue;
        bool denied = p->a.t[p->a.numbers[at].token].denied != s->denied;
        if (!denied)
            claims__against_tokens(p, 0.45 + 0.25 * best + 0.25 * rest, "number",
                                   p->a.numbers[at].token, y->token);
    }
}

/* ---- the whole */

/* So much of the lesser claim is met by one that agrees with it. */
static const double AGREED = 0.68;

static bool numbers_met(const struct claims__side *a, const struct claims__side *b, bool rest)
{
    for (uint32_t i = 0; i < a->k->numbers; i++) {
        bool met = !stated(a, &a->numbers[i]);
        for (uint32_t j = 0; j < b->k->numbers && !met; j++)
            met = stated(b, &b->numbers[j]) && numbers_alike(rest, &a->numbers[i], &b->numbers[j]);
        if (!met)
            return false;
    }
    return true;
}

bool claims__same_text(const struct claims *a, size_t i, const struct claims *b, size_t j)
{
    const struct claims__claim *k = &a->claims[i], *l = &b->claims[j];
    return k->len == l->len && memcmp(a->text + k->at, b->text + l->at, k->len) == 0;
}

void claims__judge(const struct claims *a, size_t i, const struct claims *b, size_t j,
                   struct claims__judged *out)
{
    struct claims__pair p;
    set_side(&p.a, a, i);
    set_side(&p.b, b, j);
    p.out = out;
    p.doubt = p.settled = p.agree = false;
    *out = (struct claims__judged){.verdict = CLAIMS_UNDETERMINED};
    match_words(&p);
    double met_a = claims__cover_but(&p.a, -1), met_b = claims__cover_but(&p.b, -1);
    out->met = met_a;
    out->near = fmax(met_a, met_b);
    out->about = fmax(about(&p.a), about(&p.b));
    if (p.a.k->open || p.b.k->open)
        return;
    if (claims__same_text(a, i, b, j)) {
        out->verdict = CLAIMS_AGREES; /* whatever it says */
        out->score = 1;
        return;
    }
    if (out->near <= 0 && !p.opposed) { /* they share nothing */
        out->score = 1;
        return;
    }
    claims__find_order(&p);
    if (!claims__other_subject(&p)) {
        claims__find_shares(&p);
        if (!p.settled) {
            find_opposites(&p);
            find_denied(&p, false);
            find_denied(&p, true);
        }
        find_numbers(&p);
        claims__find_names(&p);
        claims__find_codes(&p);
        claims__find_ones(&p);
        claims__find_fields(&p);
    }
    if (out->verdict == CLAIMS_CONTRADICTS && out->score >= CLAIMS__SURE)
        return;
    bool rest = p.rest && amounts_differ(&p);
    bool numbers = (met_b >= met_a && numbers_met(&p.b, &p.a, rest)) ||
                   (met_a >= met_b && numbers_met(&p.a, &p.b, rest));
    /* What only one side denies is left out by the other, or the other speaks of something else. */
    bool alike =
        (p.a.k->negator_count > 0 || p.a.k->zero) == (p.b.k->negator_count > 0 || p.b.k->zero);
    bool agree = !p.doubt && out->near >= (alike ? AGREED : CLAIMS__SAME_THING) && numbers &&
                 !claims__other_subject(&p) && !claims__other_names(&p);
    if (p.settled)
        agree = p.agree && numbers;
    *out = (struct claims__judged){.verdict = agree ? CLAIMS_AGREES : CLAIMS_UNDETERMINED,
                                   .score = agree ? out->near : 1 - out->near,
                                   .near = out->near,
                                   .met = out->met,
                                   .about = out->about};
}

double claims__cover(const struct claims *a, size_t i, const struct claims *b, size_t j)
{
    static const double BESIDE = 0.9; /* what stands in the next claim is not as surely meant */
    double best[CLAIMS__TOKENS] = {0};
    size_t first = j ? j - 1 : 0, last = j + 1 < b->count ? j + 1 : j;
    struct claims__pair p;
    set_side(&p.a, a, i);
    for (size_t k = first; k <= last; k++) {
        set_side(&p.b, b, k);
        match_words(&p);
        for (uint32_t t = 0; t < p.a.k->tokens; t++)
            best[t] = fmax(best[t], p.a.best[t] * (k == j ? 1 : BESIDE));
    }
    memcpy(p.a.best, best, sizeof best);
    return claims__cover_but(&p.a, -1);
}

bool claims__parts(const struct claims *a, size_t i, const struct claims *b, size_t j)
{
    struct claims__pair p;
    set_side(&p.a, a, i);
    set_side(&p.b, b, j);
    match_words(&p);
    return p.rest && amounts_differ(&p);
}
