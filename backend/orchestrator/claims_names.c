/* Names and values: of whom something is said, and what a thing has one of. */
#include "backend/orchestrator/claims_internal.h"
#include <math.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Names of one make: both addresses, both paths, both versions, or otherwise alike in their
 * beginning. */
static bool same_make(const struct claims__side *s, const struct claims__token *x,
                      const struct claims__side *o, const struct claims__token *y)
{
    const char *a = s->c->text + x->at, *b = o->c->text + y->at;
    bool path_a = *a == '/', path_b = *b == '/';
    if (path_a || path_b)
        return path_a && path_b;
    return is_digit(*a) == is_digit(*b);
}

/* A host that something happens on is no statement about it: "on web-1", "на web-1". */
static bool is_where(const struct claims__side *s, uint32_t i)
{
    static const char *const WORDS[] = {"on", "in", "at", "for", "of", "from", "with",
                                        "на", "в",  "у",  "для", "из", "от"};
    if (i == 0 || s->t[i - 1].kind != CLAIMS__STOP || s->c->text[s->t[i].at] == '/')
        return false;
    const struct claims__token *t = &s->t[i - 1];
    for (size_t k = 0; k < sizeof WORDS / sizeof *WORDS; k++)
        if (strlen(WORDS[k]) == t->word_len &&
            memcmp(WORDS[k], s->c->stems.data + t->word, t->word_len) == 0)
            return true;
    return false;
}

/* Whether the name stands where something is said of the subject: behind it, or, as an address or a
 * version, behind the word for that. */
static bool is_said(const struct claims__side *s, uint32_t i)
{
    if (is_where(s, i) || s->t[i].names)
        return false;
    bool figure = is_digit(s->c->text[s->t[i].at]);
    for (uint32_t k = 0; k < i; k++)
        if (claims__content(&s->t[k]) &&
            (figure || s->t[i].proper || s->t[k].phrase != s->t[i].phrase))
            return true;
    return false;
}

static bool is_name(const struct claims__token *t)
{
    return t->kind == CLAIMS__NAME || (t->kind == CLAIMS__WORD && t->proper);
}

static bool compares(const struct claims__side *s)
{
    for (uint32_t i = 0; i < s->k->tokens; i++)
        if (s->t[i].kind == CLAIMS__WORD && s->t[i].slot == CLAIMS__VERB &&
            claims__compares(s->c, &s->t[i]))
            return true;
    return false;
}

void claims__find_names(struct claims__pair *p)
{
    uint32_t x = UINT32_MAX, y = UINT32_MAX;
    for (uint32_t i = 0; i < p->a.k->tokens; i++)
        if (is_name(&p->a.t[i]) && p->a.best[i] < CLAIMS__MET)
            x = x == UINT32_MAX ? i : UINT32_MAX - 1;
    for (uint32_t j = 0; j < p->b.k->tokens; j++)
        if (is_name(&p->b.t[j]) && p->b.best[j] < CLAIMS__MET)
            y = y == UINT32_MAX ? j : UINT32_MAX - 1;
    if (x >= UINT32_MAX - 1 || y >= UINT32_MAX - 1 ||
        !same_make(&p->a, &p->a.t[x], &p->b, &p->b.t[y]) || p->a.t[x].denied || p->b.t[y].denied)
        return;
    double rest = fmin(claims__cover_but(&p->a, (int)x), claims__cover_but(&p->b, (int)y));
    if (compares(&p->a) && compares(&p->b))
        return; /* faster than one, and than another */
    if (rest >= 0.75 && is_said(&p->a, x) && is_said(&p->b, y))
        claims__against_tokens(p, 0.5 + 0.3 * rest, "name", x, y);
}

/* One speaks of the disk, the other of the memory, and neither of both. */
static bool other_topics(const struct claims__pair *p)
{
    bool other = false;
    for (uint32_t i = 0; i < p->a.k->tokens; i++) {
        if (!claims__is_topic(p->a.t[i].sense))
            continue;
        for (uint32_t j = 0; j < p->b.k->tokens; j++) {
            if (!claims__is_topic(p->b.t[j].sense))
                continue;
            if (claims__grade(claims__relate(p, i, j)) >= CLAIMS__SAME_THING)
                return false;
            other = other || claims__other_topic(p->a.t[i].sense, p->b.t[j].sense);
        }
    }
    return other;
}

/* What follows a Russian noun in its phrase says which of them it is: служба поиска. */
static bool told_behind(const struct claims__side *s, uint32_t i)
{
    const struct claims__token *t = &s->t[i], *next = &s->t[i + 1];
    return i + 1 < s->k->tokens && next->kind == CLAIMS__WORD && next->slot == CLAIMS__SUBJECT &&
           next->phrase == t->phrase && !next->light && s->best[i + 1] < CLAIMS__MET &&
           !s->opposed[i + 1] && (unsigned char)s->c->text[next->at] >= 0xD0;
}

/* The import and the export, служба поиска and служба оплаты. */
static bool two_subjects(const struct claims__pair *p)
{
    for (uint32_t i = 0; i < p->a.k->tokens; i++) {
        const struct claims__token *x = &p->a.t[i];
        if (!claims__content(x) || x->slot != CLAIMS__SUBJECT)
            continue;
        for (uint32_t j = 0; j < p->b.k->tokens; j++) {
            const struct claims__token *y = &p->b.t[j];
            if (!claims__content(y) || y->slot != CLAIMS__SUBJECT)
                continue;
            enum claims__relation r = claims__relate(p, i, j);
            if ((r == CLAIMS__OPPOSED && claims__two_sides(x->sense, y->sense)) ||
                (claims__grade(r) >= CLAIMS__SAME_THING && told_behind(&p->a, i) &&
                 told_behind(&p->b, j)))
                return true;
        }
    }
    return false;
}

/* A name that only one side's subject has: they speak of different things. */
bool claims__other_subject(const struct claims__pair *p)
{
    bool a = false, b = false;
    for (uint32_t i = 0; i < p->a.k->tokens; i++)
        a = a || (p->a.t[i].kind == CLAIMS__NAME && p->a.best[i] < 1 && !is_said(&p->a, i));
    for (uint32_t j = 0; j < p->b.k->tokens; j++)
        b = b || (p->b.t[j].kind == CLAIMS__NAME && p->b.best[j] < 1 && !is_said(&p->b, j));
    return (a && b) || other_topics(p) || (!p->settled && two_subjects(p));
}

/* Both name something that the other does not. */
bool claims__other_names(const struct claims__pair *p)
{
    bool a = false, b = false;
    for (uint32_t i = 0; i < p->a.k->tokens; i++)
        a = a || (is_name(&p->a.t[i]) && p->a.best[i] < CLAIMS__MET);
    for (uint32_t j = 0; j < p->b.k->tokens; j++)
        b = b || (is_name(&p->b.t[j]) && p->b.best[j] < CLAIMS__MET);
    return a && b;
}

/* ---- what a thing has one of */

/* "the payments team", "Иванов": it says who, not how they are. */
static bool says_who(const struct claims__side *s, uint32_t i)
{
    const unsigned char *p = (const unsigned char *)s->c->text + s->t[i].at;
    bool capital = (*p >= 'A' && *p <= 'Z') || (p[0] == 0xD0 && p[1] >= 0x90 && p[1] <= 0xAF);
    while (i > 0 && s->t[i - 1].phrase == s->t[i].phrase && claims__content(&s->t[i - 1]))
        i--;
    const struct claims__token *t = i > 0 ? &s->t[i - 1] : NULL;
    const char *w = t ? s->c->stems.data + t->word : "";
    return capital ||
           (t && t->kind == CLAIMS__STOP &&
            ((t->word_len == 3 && memcmp(w, "the", 3) == 0) || (t->word_len == 1 && *w == 'a') ||
             (t->word_len == 2 && memcmp(w, "an", 2) == 0)));
}

/* The word that only this side has, where it tells who or what the one thing is that both speak of;
 * UINT32_MAX: there is none, or there is more than one phrase of that kind. */
static uint32_t told_one(const struct claims__side *s)
{
    uint32_t found = UINT32_MAX, of = UINT32_MAX;
    for (uint32_t i = 0; i < s->k->tokens; i++) {
        if (!claims__content(&s->t[i]) || s->t[i].light)
            continue;
        if (s->best[i] >= CLAIMS__SAME_THING &&
            claims__does(&s->t[i], CLAIMS__HAS_ONE | CLAIMS__HAS_WHO | CLAIMS__HAS_CAUSE) &&
            of == UINT32_MAX)
            of = i;
        if (s->best[i] >= CLAIMS__MET)
            continue;
        if (found != UINT32_MAX && s->t[found].phrase != s->t[i].phrase)
            return UINT32_MAX;
        found = i;
    }
    if (found == UINT32_MAX || of == UINT32_MAX || s->t[found].denied)
        return UINT32_MAX;
    bool cause = claims__does(&s->t[of], CLAIMS__HAS_CAUSE);
    if ((s->t[found].slot == CLAIMS__SUBJECT) != cause || (!cause && of > found))
        return UINT32_MAX;
    return claims__does(&s->t[of], CLAIMS__HAS_WHO) && !says_who(s, found) ? UINT32_MAX : found;
}

/* "The owner is the payments team", "caused by the DNS change": there is one of them. */
void claims__find_ones(struct claims__pair *p)
{
    if (p->a.k->negator_count || p->b.k->negator_count)
        return;
    uint32_t x = told_one(&p->a), y = x == UINT32_MAX ? x : told_one(&p->b);
    double rest = y == UINT32_MAX
                      ? 0
                      : fmin(claims__cover_but(&p->a, (int)x), claims__cover_but(&p->b, (int)y));
    if (rest >= 0.75)
        claims__against_tokens(p, 0.45 + 0.3 * rest, "name", x, y);
}

/* ---- codes of HTTP */

/* What a claim says of an answer by its code: 1 success, -1 failure, 0 nothing; at: its token. */
static int code_of(const struct claims__side *s, uint32_t *at)
{
    for (uint32_t i = 0; i < s->k->numbers; i++) {
        const struct claims__number *n = &s->numbers[i];
        uint32_t t = n->token;
        if (n->unit != CLAIMS__COUNT || n->low != n->high || n->low < 200 || n->low > 599 || !t ||
            !claims__does(&s->t[t - 1], CLAIMS__CODED))
            continue;
        *at = t;
        return n->low < 400 ? 1 : -1;
    }
    return 0;
}

/* What its words say: succeeded, failed. */
static int outcome_of(const struct claims__side *s, uint32_t *at)
{
    for (uint32_t i = 0; i < s->k->tokens; i++) {
        int is = claims__content(&s->t[i]) ? claims__outcome(s->t[i].sense) : 0;
        if (!is)
            continue;
        *at = i;
        return s->t[i].denied ? -is : is;
    }
    return 0;
}

/* "returned 503" and "was successful". */
void claims__find_codes(struct claims__pair *p)
{
    uint32_t x = 0, y = 0;
    int a = code_of(&p->a, &x), b = code_of(&p->b, &y);
    if (a && !b)
        b = outcome_of(&p->b, &y);
    else if (b && !a)
        a = outcome_of(&p->a, &x);
    double rest = fmax(claims__cover_but(&p->a, (int)x), claims__cover_but(&p->b, (int)y));
    if (a * b < 0 && rest >= 0.5)
        claims__against_tokens(p, 0.8, "opposite", x, y);
}

/* ---- fields */

static double cover_part(const struct claims__side *s, uint32_t from, uint32_t upto, size_t *words)
{
    double have = 0, all = 0;
    *words = 0;
    for (uint32_t i = from; i < upto; i++) {
        double weight = claims__weight(&s->t[i]);
        *words += weight > 0;
        have += weight * s->best[i];
        all += weight;
    }
    return all > 0 ? have / all : 1;
}

/* Two fields of one key with values that share nothing. */
void claims__find_fields(struct claims__pair *p)
{
    enum { FEW = 3 };
    const struct claims__side *a = &p->a, *b = &p->b;
    size_t key_a, key_b, words_a, words_b;
    if (!a->k->key || !b->k->key || cover_part(a, 0, a->k->key, &key_a) < CLAIMS__SAME_THING ||
        cover_part(b, 0, b->k->key, &key_b) < CLAIMS__SAME_THING)
        return;
    double met_a = cover_part(a, a->k->key, a->k->tokens, &words_a);
    double met_b = cover_part(b, b->k->key, b->k->tokens, &words_b);
    if (!words_a || !words_b || words_a > FEW || words_b > FEW || met_a > 0.3 || met_b > 0.3)
        return;
    const struct claims__token *x = &a->t[a->k->key + 1], *y = &b->t[b->k->key + 1];
    claims__against(p, 0.8, "field", a->c->text + x->at, (int)(a->k->at + a->k->len - x->at),
                    b->c->text + y->at, (int)(b->k->at + b->k->len - y->at));
}
