/* All, most, some, none of them: of how large a share of one thing something is said. */
#include "backend/orchestrator/claims_internal.h"
#include <stdio.h>
#include <string.h>

static const struct {
    const char *words;
    double low, high;
    bool above, below;
} SHARES[] = {
#define SHARE(words, low, high, above, below) {words, low, high, above, below},
#include "backend/orchestrator/claims_shares.def"
#undef SHARE
};

void claims__share_words(claims__put *put, void *arg)
{
    for (size_t i = 0; i < sizeof SHARES / sizeof *SHARES; i++)
        put(arg, SHARES[i].words, CLAIMS__QUANTIFIES, (int)i + 1);
}

static bool is_times(const struct claims *c, const struct claims__token *t)
{
    static const char *const WORDS[] = {"always", "never",  "sometimes", "usually",
                                        "rarely", "seldom", "всегда",    "никогда",
                                        "иногда", "обычно", "редко",     "occasionally"};
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++)
        if (strlen(WORDS[i]) == t->word_len &&
            memcmp(WORDS[i], c->stems.data + t->word, t->word_len) == 0)
            return true;
    return false;
}

static bool is_word(const struct claims *c, const struct claims__token *t, const char *word)
{
    return t->word_len == strlen(word) && memcmp(c->stems.data + t->word, word, t->word_len) == 0;
}

static bool is_not(const struct claims *c, const struct claims__token *t)
{
    return t->kind == CLAIMS__NEGATE && (is_word(c, t, "not") || is_word(c, t, "не"));
}

/* The first word behind token i that says something, in its clause; k->tokens: there is none. */
static uint32_t noun_behind(const struct claims__claim *k, const struct claims__token *t,
                            uint32_t i)
{
    for (i++; i < k->tokens && t[i].kind != CLAIMS__BREAK && !t[i].copula; i++)
        if (claims__content(&t[i]) && !t[i].light)
            return i;
    return k->tokens;
}

void claims__share_read(const struct claims *c, struct claims__claim *k)
{
    const struct claims__token *t = c->tokens + k->token;
    struct claims__share *s = &k->share;
    for (uint32_t i = 0; i < k->tokens && !s->given; i++) {
        if (!claims__does(&t[i], CLAIMS__QUANTIFIES) || t[i].kind == CLAIMS__NUMBER ||
            (i + 1 < k->tokens && is_word(c, &t[i + 1], "other")))
            continue; /* "each other" says of nobody how many */
        size_t n = (size_t)t[i].meaning->value - 1;
        *s = (struct claims__share){.low = SHARES[n].low,
                                    .high = SHARES[n].high,
                                    .above = SHARES[n].above,
                                    .below = SHARES[n].below,
                                    .given = true,
                                    .times = is_times(c, &t[i]),
                                    .from = (uint16_t)i,
                                    .upto = (uint16_t)(i + 1)};
        bool all = s->low >= 1;
        if (all && i > 0 && is_not(c, &t[i - 1])) { /* not all */
            s->from--;
            s->low = 0, s->below = true;
        }
        if (i > 0 && is_word(c, &t[i - 1], "a") && is_word(c, &t[i], "few"))
            s->low = 0, s->high = 1, s->above = true, s->below = false;
        if (claims__does(&t[i], CLAIMS__CONCORD) && t[i].kind != CLAIMS__NEGATE)
            s->low = s->high = 1; /* никто не: of all it is denied */
        uint32_t noun = s->times ? k->tokens : noun_behind(k, t, i);
        s->noun = (uint16_t)noun;
        bool of = i + 1 < k->tokens && (is_word(c, &t[i + 1], "of") || is_word(c, &t[i + 1], "из"));
        if (!of && noun < k->tokens && t[noun].slot != CLAIMS__SUBJECT &&
            t[noun].slot != CLAIMS__VERB)
            s->given = false; /* of what is done to some of them */
    }
}

/* ---- two claims */

/* Whether a word is denied by other than the quantifier. */
static bool denied(const struct claims__side *s, uint32_t i)
{
    bool is = false;
    for (size_t n = 0; n < s->k->negator_count; n++) {
        const struct claims__negator *no = &s->k->negators[n];
        if (no->token >= s->k->share.from && no->token < s->k->share.upto)
            continue;
        is = is != (i >= no->from && i < no->upto);
    }
    return is;
}

/* The words that are said of the share: not the quantifier, and not what it is of. */
static bool is_said(const struct claims__side *s, uint32_t i)
{
    const struct claims__share *q = &s->k->share;
    if (!claims__content(&s->t[i]) || s->t[i].light || (i >= q->from && i < q->upto))
        return false;
    return q->noun >= s->k->tokens || s->t[i].phrase != s->t[q->noun].phrase ||
           s->t[i].slot == CLAIMS__VERB;
}

/* How word i of a stands to what b says: the same (1), the opposite (-1), or nothing of it (0).
 * Where b says the word itself, its opposites there are said of something else. */
static int said_of(const struct claims__pair *p, uint32_t i)
{
    int opposed = 0, same = 0;
    for (uint32_t j = 0; j < p->b.k->tokens; j++) {
        if (!is_said(&p->b, j))
            continue;
        enum claims__relation r = claims__relate(p, i, j);
        bool differ = denied(&p->a, i) != denied(&p->b, j);
        if (claims__grade(r) >= CLAIMS__MET)
            same = differ && same <= 0 ? -1 : 1;
        if (r == CLAIMS__OPPOSED)
            opposed = differ ? 1 : -1;
    }
    return same ? same : opposed;
}

/* Whether b says word j of its own in a as well. */
static bool said_in_a(const struct claims__pair *p, uint32_t j)
{
    for (uint32_t i = 0; i < p->a.k->tokens; i++)
        if (is_said(&p->a, i) && claims__grade(claims__relate(p, i, j)) >= CLAIMS__MET)
            return true;
    return false;
}

/* Whether all that b says the opposite of with word i is said in a itself. */
static bool opposed_at_home(const struct claims__pair *p, uint32_t i)
{
    for (uint32_t j = 0; j < p->b.k->tokens; j++)
        if (is_said(&p->b, j) && claims__relate(p, i, j) == CLAIMS__OPPOSED && !said_in_a(p, j))
            return false;
    return true;
}

/* What is said on both sides is the same (1), the opposite (-1), or not known to be either (0). */
static int said_alike(const struct claims__pair *p)
{
    int found = 0;
    for (uint32_t i = 0; i < p->a.k->tokens; i++) {
        int now = is_said(&p->a, i) ? said_of(p, i) : 0;
        if (now && p->a.best[i] < CLAIMS__MET && opposed_at_home(p, i))
            now = 0;
        if (now && (!found || now < 0))
            found = now;
    }
    return found;
}

static struct claims__share rest_of(const struct claims__share *s)
{
    return (struct claims__share){
        .low = 1 - s->high, .high = 1 - s->low, .above = s->below, .below = s->above};
}

static bool apart(const struct claims__share *x, const struct claims__share *y)
{
    return x->high < y->low || y->high < x->low || (x->high <= y->low && (x->below || y->above)) ||
           (y->high <= x->low && (y->below || x->above));
}

/* Whether x lies within y; "all" says "some" where there are any. */
static bool within(const struct claims__share *x, const struct claims__share *y)
{
    return (x->low > y->low || (x->low >= y->low && (x->above || !y->above))) &&
           (x->high < y->high || (x->high <= y->high && (x->below || !y->below)));
}

static bool of_one_thing(const struct claims__pair *p)
{
    const struct claims__share *x = &p->a.k->share, *y = &p->b.k->share;
    if (x->times || y->times)
        return x->times && y->times;
    if (x->noun >= p->a.k->tokens || y->noun >= p->b.k->tokens)
        return x->noun >= p->a.k->tokens && y->noun >= p->b.k->tokens;
    return claims__grade(claims__relate(p, x->noun, y->noun)) >= CLAIMS__SAME_THING;
}

void claims__find_shares(struct claims__pair *p)
{
    const struct claims__share *x = &p->a.k->share, *y = &p->b.k->share;
    if (!x->given || !y->given || p->settled || !of_one_thing(p))
        return;
    int alike = said_alike(p);
    if (!alike)
        return;
    struct claims__share other = alike > 0 ? *y : rest_of(y);
    p->settled = true;
    p->agree = within(x, &other) || within(&other, x);
    const uint32_t span[2][2] = {{x->from, x->noun < p->a.k->tokens ? x->noun : x->from},
                                 {y->from, y->noun < p->b.k->tokens ? y->noun : y->from}};
    if (apart(x, &other))
        claims__against_spans(p, 0.85, "quantity", span[0], span[1]);
}

/* ---- parts of a hundred */

bool claims__numbers_complement(const struct claims__number *x, const struct claims__number *y)
{
    if (x->unit != CLAIMS__PERCENT || y->unit != CLAIMS__PERCENT)
        return false;
    struct claims__number rest = *y;
    rest.low = 100 - y->high;
    rest.high = 100 - y->low;
    return claims__numbers_equal(x, &rest);
}

/* The unit of the figure in the clause of a word; -1: none stands there. */
static int figure_with(const struct claims__side *s, uint32_t i)
{
    int unit = -1;
    for (uint32_t n = 0; n < s->k->numbers; n++) {
        const struct claims__token *t = &s->t[s->numbers[n].token];
        if (t->kind == CLAIMS__NUMBER && t->clause == s->t[i].clause)
            unit = s->numbers[n].unit;
    }
    return unit;
}

enum claims__relation claims__amounts(const struct claims__pair *p, uint32_t i, uint32_t j)
{
    const struct claims__token *x = &p->a.t[i], *y = &p->b.t[j];
    if (p->rest && figure_with(&p->a, i) == CLAIMS__PERCENT &&
        figure_with(&p->b, j) == CLAIMS__PERCENT)
        return CLAIMS__NEAR; /* 95% hits are 5% misses */
    if (!claims__does(x, CLAIMS__AMOUNT) || !claims__does(y, CLAIMS__AMOUNT))
        return CLAIMS__OPPOSED;
    int a = figure_with(&p->a, i), b = figure_with(&p->b, j);
    if (a == CLAIMS__PERCENT && b == CLAIMS__PERCENT)
        return CLAIMS__OPPOSED;
    bool none = (a < 0 || a == CLAIMS__PERCENT) && (b < 0 || b == CLAIMS__PERCENT) &&
                (claims__does(x, CLAIMS__EMPTY) || claims__does(y, CLAIMS__EMPTY));
    return (a < 0 && b < 0) || none ? CLAIMS__OPPOSED : CLAIMS__NONE;
}
