/* Claims that contradict each other by their words, and may both hold. */
#include "backend/orchestrator/claims_internal.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct claims__token *token_of(const struct claims *c, const struct claims__claim *k,
                                            const struct claims__number *n)
{
    return &c->tokens[k->token + n->token];
}

static bool is_time(const struct claims__number *n)
{
    return n->unit == CLAIMS__CLOCK || n->unit == CLAIMS__DATE;
}

static bool joined(char c, char beside)
{
    return c == '-' && (isalnum((unsigned char)beside) || beside & 0x80);
}

/* A name, also a part of one of words: pg-orders. */
static bool names(const struct claims *c, const struct claims__token *t)
{
    const char *at = c->text + t->at, *end = at + t->len;
    return t->kind == CLAIMS__NAME || (t->at > 1 && joined(at[-1], at[-2])) ||
           joined(*end, *end ? end[1] : ' ');
}

/* Whether a time says of when all of the claim is: nothing but names stands before it, or it is a
 * time of day behind "at". */
static bool says_when(const struct claims *c, const struct claims__claim *k,
                      const struct claims__number *n)
{
    static const char *const AT[] = {"at", "@", "в", "by", "around", "к"};
    const struct claims__token *t = c->tokens + k->token;
    bool leads = true;
    for (uint32_t i = 0; i < n->token; i++)
        leads = leads && (!claims__content(&t[i]) || names(c, &t[i]));
    if (leads)
        return true;
    const struct claims__token *before = &t[n->token - 1];
    if (n->unit != CLAIMS__CLOCK || before->kind != CLAIMS__STOP)
        return false;
    for (size_t i = 0; i < sizeof AT / sizeof *AT; i++)
        if (strlen(AT[i]) == before->word_len &&
            memcmp(AT[i], c->stems.data + before->word, before->word_len) == 0)
            return true;
    return false;
}

/* Whether it says anything but times. */
static bool has_figure(const struct claims *c, const struct claims__claim *k)
{
    for (uint32_t i = 0; i < k->numbers; i++) {
        const struct claims__number *n = &c->numbers[k->number + i];
        if (!is_time(n) && token_of(c, k, n)->kind == CLAIMS__NUMBER)
            return true;
    }
    return false;
}

static bool other_moments(const struct claims *c, const struct claims__claim *k,
                          const struct claims *d, const struct claims__claim *l)
{
    bool differ = false;
    for (uint32_t i = 0; i < k->numbers; i++) {
        const struct claims__number *x = &c->numbers[k->number + i];
        if (!is_time(x) || !says_when(c, k, x))
            continue;
        for (uint32_t j = 0; j < l->numbers; j++) {
            const struct claims__number *y = &d->numbers[l->number + j];
            if (x->unit != y->unit || !says_when(d, l, y))
                continue;
            differ = differ || !claims__numbers_equal(x, y);
        }
    }
    return differ;
}

/* The one share in per cent that a claim has; -1: it has none, or several. */
static double share_of(const struct claims *c, const struct claims__claim *k)
{
    double share = -1;
    size_t found = 0;
    for (uint32_t i = 0; i < k->numbers; i++) {
        const struct claims__number *n = &c->numbers[k->number + i];
        if (n->unit != CLAIMS__PERCENT || n->low != n->high)
            continue;
        share = n->low;
        found++;
    }
    return found == 1 ? share : -1;
}

/* The word of a claim that a reason names, "opposite: paid / unpaid"; UINT32_MAX: it is not found.
 */
static uint32_t word_at(const struct claims *c, const struct claims__claim *k, const char *word,
                        size_t len)
{
    for (uint32_t i = 0; i < k->tokens; i++) {
        const struct claims__token *t = &c->tokens[k->token + i];
        if (t->len == len && memcmp(c->text + t->at, word, len) == 0)
            return i;
    }
    return UINT32_MAX;
}

static bool is_figure(const struct claims *c, const struct claims__claim *k, uint32_t token)
{
    for (uint32_t i = 0; i < k->numbers; i++) {
        const struct claims__number *n = &c->numbers[k->number + i];
        if (n->token == token && !is_time(n) && n->unit != CLAIMS__PERCENT &&
            token_of(c, k, n)->kind == CLAIMS__NUMBER)
            return true;
    }
    return false;
}

/* Whether the word says what is counted: "3 pods down", "unpaid orders: 118". */
static bool is_counted(const struct claims *c, const struct claims__claim *k, uint32_t word)
{
    if (word < k->key)
        return has_figure(c, k) && share_of(c, k) < 0;
    const struct claims__token *t = c->tokens + k->token;
    for (uint32_t i = word; i > 0 && t[i - 1].phrase == t[word].phrase; i--)
        if (is_figure(c, k, i - 1))
            return true;
    return false;
}

/* Each counts one of two opposites: the paid and the unpaid. */
static bool counts_of_two(const struct claims *c, const struct claims__claim *k,
                          const struct claims *d, const struct claims__claim *l, const char *words)
{
    const char *slash = strstr(words, " / ");
    if (!slash)
        return false;
    uint32_t i = word_at(c, k, words, (size_t)(slash - words)),
             j = word_at(d, l, slash + 3, strlen(slash + 3));
    return i != UINT32_MAX && j != UINT32_MAX && is_counted(c, k, i) && is_counted(d, l, j);
}

/* A row of figures, shares aside: nothing says which of them is which. */
static bool is_row(const struct claims *c, const struct claims__claim *k)
{
    enum { ROW = 3 };
    size_t figures = 0;
    for (uint32_t i = 0; i < k->numbers; i++)
        figures += is_figure(c, k, c->numbers[k->number + i].token);
    return figures >= ROW;
}

/* Whether the same word stands before a time in both: "expires on". */
static bool same_before(const struct claims *c, const struct claims__claim *k, uint32_t i,
                        const struct claims *d, const struct claims__claim *l, uint32_t j)
{
    for (uint32_t x = 0; x < i; x++) {
        const struct claims__token *t = &c->tokens[k->token + x];
        bool wanted = claims__content(t) && !t->light && !names(c, t);
        for (uint32_t y = 0; y < j && wanted; y++) {
            const struct claims__token *u = &d->tokens[l->token + y];
            if (claims__content(u) && claims__relation(c, t, d, u) == CLAIMS__SAME)
                return true;
        }
    }
    return false;
}

/* The number that stands at a word of a reason, or NULL. */
static const struct claims__number *number_at(const struct claims *c, const struct claims__claim *k,
                                              const char *word, size_t len)
{
    uint32_t at = word_at(c, k, word, len);
    for (uint32_t i = 0; i < k->numbers; i++)
        if (c->numbers[k->number + i].token == at)
            return &c->numbers[k->number + i];
    return NULL;
}

/* Whether the two numbers of a reason are times, and no word says that they are of one event. */
static bool two_events(const struct claims *c, const struct claims__claim *k,
                       const struct claims *d, const struct claims__claim *l, const char *words)
{
    const char *slash = strstr(words, " / ");
    const struct claims__number *x = slash ? number_at(c, k, words, (size_t)(slash - words)) : NULL;
    const struct claims__number *y = slash ? number_at(d, l, slash + 3, strlen(slash + 3)) : NULL;
    return x && y && is_time(x) && is_time(y) && !same_before(c, k, x->token, d, l, y->token);
}

/* The bytes of the name that a claim begins with, "pg-hr"; 0: of none. */
static size_t first_name(const struct claims *c, const struct claims__claim *k, const char **at)
{
    uint32_t i = 0;
    while (i < k->tokens && !claims__content(&c->tokens[k->token + i]))
        i++;
    if (i == k->tokens || !names(c, &c->tokens[k->token + i]))
        return 0;
    *at = c->text + c->tokens[k->token + i].at;
    return strcspn(*at, " \t\n,:;()[]");
}

/* They begin with names of two things. */
static bool other_names(const struct claims *c, const struct claims__claim *k,
                        const struct claims *d, const struct claims__claim *l)
{
    const char *x, *y;
    size_t n = first_name(c, k, &x), m = first_name(d, l, &y);
    return n && m && (n != m || strncasecmp(x, y, n) != 0);
}

/* Whether the other claim says, without denying it, the first word that a negation reaches: who
 * does not kill is not denied by who holds. */
static bool reached(const struct claims *c, const struct claims__claim *k, const struct claims *d,
                    const struct claims__claim *l)
{
    static const double MET = 0.6;
    const struct claims__token *t = c->tokens + k->token, *u = d->tokens + l->token;
    for (size_t n = 0; n < k->negator_count; n++) {
        uint32_t x = k->negators[n].from;
        bool thing = k->negators[n].absence; /* no errors; else what is not done */
        while (x < k->negators[n].upto && (!claims__content(&t[x]) || (thing && t[x].light)))
            x++;
        for (uint32_t y = 0; y < l->tokens && x < k->negators[n].upto; y++)
            if (claims__content(&u[y]) && !u[y].denied &&
                claims__grade(claims__relation(c, &t[x], d, &u[y])) >= MET)
                return true;
    }
    return false;
}

bool claims_apart(const struct claims *c, size_t i, const struct claims *d, size_t j,
                  const char *why)
{
    static const char OPPOSITE[] = "opposite: ", NUMBER[] = "number: ", NEGATION[] = "negation: ";
    BUG_IF(i >= c->count || j >= d->count);
    const struct claims__claim *k = &c->claims[i], *l = &d->claims[j];
    bool number = strncmp(why, NUMBER, sizeof NUMBER - 1) == 0,
         opposite = strncmp(why, OPPOSITE, sizeof OPPOSITE - 1) == 0;
    if (other_names(c, k, d, l) ||
        (other_moments(c, k, d, l) && (!number || (has_figure(c, k) && has_figure(d, l)))))
        return true;
    if (strncmp(why, NEGATION, sizeof NEGATION - 1) == 0 && !reached(c, k, d, l) &&
        !reached(d, l, c, k))
        return true;
    double a = share_of(c, k), b = share_of(d, l);
    if (opposite && a >= 0 && b >= 0 && fabs(a + b - 100) < 1.01)
        return true;
    if (number && two_events(c, k, d, l, why + sizeof NUMBER - 1))
        return true;
    return opposite && counts_of_two(c, k, d, l, why + sizeof OPPOSITE - 1);
}

bool claims_rows(const struct claims *c, size_t i, const struct claims *d, size_t j)
{
    BUG_IF(i >= c->count || j >= d->count);
    return is_row(c, &c->claims[i]) && is_row(d, &d->claims[j]);
}

bool claims_fluctuates(const struct claims *c, size_t i, const struct claims *d, size_t j,
                       const char *why)
{
    static const char NUMBER[] = "number: ";
    static const double POINTS = 2, SHARE = 0.1;
    const char *words = why + sizeof NUMBER - 1, *slash;
    BUG_IF(i >= c->count || j >= d->count);
    if (strncmp(why, NUMBER, sizeof NUMBER - 1) != 0 || !(slash = strstr(words, " / ")))
        return false;
    const struct claims__number *x = number_at(c, &c->claims[i], words, (size_t)(slash - words));
    const struct claims__number *y = number_at(d, &d->claims[j], slash + 3, strlen(slash + 3));
    if (!x || !y || x->unit != y->unit)
        return false;
    double apart = fabs(x->low - y->low), most = fmax(fabs(x->low), fabs(y->low));
    switch (x->unit) {
    case CLAIMS__PERCENT:
        return apart <= POINTS;
    case CLAIMS__BYTES:
    case CLAIMS__SECONDS:
    case CLAIMS__PER_SECOND:
    case CLAIMS__HERTZ:
    case CLAIMS__DEGREES:
    case CLAIMS__WATTS:
        return apart <= SHARE * most;
    default:
        return false;
    }
}

bool claims_about_one(const struct claims *c, size_t i, const struct claims *d, size_t j,
                      const char *why)
{
    static const double OF_FIGURES = 0.5, OF_WORDS = 0.3; /* a word that is opposed is not met */
    BUG_IF(i >= c->count || j >= d->count);
    double least = strncmp(why, "number: ", 8) == 0 ? OF_FIGURES : OF_WORDS;
    struct claims__judged x, y;
    claims__judge(c, i, d, j, &x);
    claims__judge(d, j, c, i, &y);
    return x.met >= least && y.met >= least;
}

/* The bytes of the name around a token: all of pg-orders-r1. */
static size_t whole_name(const struct claims *c, const struct claims__token *t, const char **at)
{
    static const char ENDS[] = " \t\n,:;()[]\"'`";
    const char *from = c->text + t->at;
    while (from > c->text && !strchr(ENDS, from[-1]))
        from--;
    *at = from;
    return strcspn(from, ENDS);
}

bool claims_share_name(const struct claims *c, size_t i, const struct claims *d, size_t j)
{
    BUG_IF(i >= c->count || j >= d->count);
    const struct claims__claim *k = &c->claims[i], *l = &d->claims[j];
    for (uint32_t x = 0; x < k->tokens; x++) {
        const struct claims__token *t = &c->tokens[k->token + x];
        const char *a, *b;
        bool is_name = names(c, t) && c->text[t->at] != '/';
        for (uint32_t y = 0; y < l->tokens && is_name; y++) {
            const struct claims__token *u = &d->tokens[l->token + y];
            size_t n, m;
            if (!names(d, u))
                continue;
            n = whole_name(c, t, &a);
            m = whole_name(d, u, &b);
            if (u->hash == t->hash && n == m && strncasecmp(a, b, n) == 0)
                return true;
        }
    }
    return false;
}

/* The word of a claim that says that all of it is; UINT32_MAX: it has a figure, or no such word. */
static uint32_t all_of_it(const struct claims *c, const struct claims__claim *k)
{
    static const char *const BEGINS[] = {"full",  "complete", "exhausted", "заполнен",
                                         "забит", "занят",    "заверш",    "исчерпан",
                                         "полон", "полн",     "переполнен"};
    for (uint32_t i = 0; i < k->tokens && !k->numbers; i++) {
        const struct claims__token *t = &c->tokens[k->token + i];
        for (size_t b = 0; b < sizeof BEGINS / sizeof *BEGINS && !t->denied; b++)
            if (t->kind == CLAIMS__WORD && t->word_len >= strlen(BEGINS[b]) &&
                memcmp(c->stems.data + t->word, BEGINS[b], strlen(BEGINS[b])) == 0)
                return i;
    }
    return UINT32_MAX;
}

bool claims_overstates(const struct claims *c, size_t i, const struct claims *source,
                       struct claims_support *out)
{
    static const double NEARLY_ALL = 95, MET = 0.6;
    BUG_IF(i >= c->count);
    const struct claims__claim *k = &c->claims[i];
    uint32_t word = all_of_it(c, k);
    for (size_t j = 0; j < source->count && word != UINT32_MAX; j++) {
        const struct claims__claim *l = &source->claims[j];
        const struct claims__token *t = &c->tokens[k->token + word];
        double share = share_of(source, l);
        struct claims__judged x;
        bool same = false;
        for (uint32_t y = 0; y < l->tokens && share >= 0 && share < NEARLY_ALL; y++)
            same = same ||
                   claims__relation(c, t, source, &source->tokens[l->token + y]) == CLAIMS__SAME;
        if (!same)
            continue;
        claims__judge(c, i, source, j, &x);
        if (x.met < MET)
            continue;
        out->contradicted = true;
        out->against = j;
        snprintf(out->why, sizeof out->why, "number: %.*s / %.0f%%",
                 (int)(t->len < 40 ? t->len : 40), c->text + t->at, share);
        return true;
    }
    return false;
}
