/* What tokens say together: numbers with units, bounds and dates, and what a negation reaches. */
#include "backend/orchestrator/claims_internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A claim's tokens and numbers. */
struct saying {
    struct claims_reader *r;
    struct claims *c;
    struct claims__claim *k;
    struct claims__token *t; /* k->tokens of them */
};

/* The token in lower case; what is no word, as it was written. */
static const char *word_of(const struct saying *s, uint32_t i, size_t *len)
{
    const struct claims__token *t = &s->t[i];
    *len = t->word_len ? t->word_len : t->len;
    return t->word_len ? s->c->stems.data + t->word : s->c->text + t->at;
}

/* The token is one of these words. */
static bool says(const struct saying *s, uint32_t i, const char *words)
{
    if (i >= s->k->tokens)
        return false;
    size_t len;
    const char *w = word_of(s, i, &len);
    for (const char *p = words; *p; p++) {
        size_t n = 0;
        while (n < len && p[n] == w[n])
            n++;
        if (n == len && (p[n] == ' ' || !p[n]))
            return true;
        p += n;
        while (*p && *p != ' ')
            p++;
        if (!*p)
            break;
    }
    return false;
}

static bool does(const struct saying *s, uint32_t i, uint64_t role)
{
    return i < s->k->tokens && s->t[i].meaning && (s->t[i].meaning->roles & role);
}

static struct claims__number *number_at(const struct saying *s, uint32_t i)
{
    if (i >= s->k->tokens || s->t[i].kind != CLAIMS__NUMBER || s->t[i].number < 0)
        return NULL;
    return &s->c->numbers[s->k->number + (uint32_t)s->t[i].number];
}

/* ---- numbers */

static struct claims__number *add_number(struct saying *s, uint32_t i, double value)
{
    struct claims *c = s->c;
    if (s->k->numbers == CLAIMS__NUMBERS)
        return NULL;
    if (c->number_count == c->number_cap) {
        c->number_cap *= 2;
        c->numbers = xrealloc(c->numbers, c->number_cap * sizeof *c->numbers);
    }
    struct claims__number *n = &c->numbers[c->number_count++];
    *n = (struct claims__number){
        .low = value, .high = value, .slack = 0.5, .factor = 1, .token = (uint16_t)i};
    s->t[i].kind = CLAIMS__NUMBER;
    s->t[i].number = (int16_t)s->k->numbers++;
    return n;
}

/* "three": a word becomes a number if what is counted follows. */
static void number_words(struct saying *s)
{
    for (uint32_t i = 0; i < s->k->tokens; i++) {
        struct claims__token *t = &s->t[i];
        if ((t->kind != CLAIMS__WORD && t->kind != CLAIMS__STOP) ||
            s->k->numbers == CLAIMS__NUMBERS)
            continue;
        int value = does(s, i, CLAIMS__NUMERAL) ? t->meaning->value : -1;
        bool after = i > 0 && ((claims__content(&s->t[i - 1]) && !s->t[i - 1].light) ||
                               s->t[i - 1].kind == CLAIMS__NEGATE ||
                               says(s, i - 1, "another this that the each every any these"));
        bool counts = i + 1 < s->k->tokens &&
                      (s->t[i + 1].kind == CLAIMS__WORD || s->t[i + 1].kind == CLAIMS__NAME);
        if (value < 0 || (value == 1 && (after || !counts)))
            continue;
        add_number(s, i, value);
        if (counts)
            t->phrase = s->t[i + 1].phrase;
    }
}

/* A unit that stands behind a space: not the letters that are words of their own. */
static bool unit_behind(struct saying *s, uint32_t i, struct claims__number *n)
{
    if (i >= s->k->tokens || (!claims__content(&s->t[i]) && s->t[i].kind != CLAIMS__STOP) ||
        !does(s, i, CLAIMS__UNIT) || says(s, i, "с m d w k y р б д c b p"))
        return false;
    size_t len;
    const char *word = word_of(s, i, &len);
    if (!claims__number_unit(word, len, n))
        return false;
    s->t[i].kind = CLAIMS__STOP;
    return true;
}

/* "40 KiB/s": the second stands apart as a word. */
static void take_per(struct saying *s, uint32_t i, struct claims__number *n)
{
    if (n->unit != CLAIMS__BYTES || !says(s, i, "s с sec сек") || s->c->text[s->t[i].at - 1] != '/')
        return;
    n->unit = CLAIMS__PER_SECOND;
    n->low *= 8, n->high *= 8, n->slack *= 8;
    s->t[i].kind = CLAIMS__STOP;
}

/* "requests per second", "запросов в секунду" within the next words. */
static void take_rate(struct saying *s, uint32_t i, struct claims__number *n)
{
    enum { AHEAD = 4 };
    if (n->unit != CLAIMS__COUNT && n->unit != CLAIMS__BYTES)
        return;
    for (uint32_t k = i + 1; k < i + AHEAD; k++) {
        bool second = says(s, k + 1, "second sec секунду сек");
        bool minute = says(s, k + 1, "minute min минуту мин");
        if (!says(s, k, "per a в a") || (!second && !minute))
            continue;
        double by = (n->unit == CLAIMS__BYTES ? 8.0 : 1.0) / (minute ? 60 : 1);
        n->unit = CLAIMS__PER_SECOND;
        n->low *= by, n->high *= by, n->slack *= by;
        s->t[k + 1].kind = CLAIMS__STOP;
        return;
    }
}

/* 3 March 2024, March 3, 3 марта; true if the number is a day. */
static bool take_date(struct saying *s, uint32_t i, struct claims__number *n)
{
    if (n->unit != CLAIMS__COUNT || n->low < 1 || n->low > 31 || n->low != floor(n->low))
        return false;
    int month = 0;
    uint32_t at = i;
    for (uint32_t k = i ? i - 1 : 1; k <= i + 1 && k < s->k->tokens && !month; k += 2) {
        month = does(s, k, CLAIMS__MONTH) ? s->t[k].meaning->value : 0;
        at = k;
    }
    if (!month)
        return false;
    int day = (int)n->low, year = 0;
    uint32_t last = at > i ? at : i;
    for (uint32_t k = last + 1; k <= last + 2 && !year; k++) {
        struct claims__number *y = number_at(s, k);
        if (y && y->unit == CLAIMS__COUNT && y->low >= 1900 && y->low < 2200) {
            year = (int)y->low;
            s->t[k].kind = CLAIMS__STOP;
        }
    }
    *n = (struct claims__number){.unit = CLAIMS__DATE,
                                 .yearless = !year,
                                 .month_day = (int16_t)(month * 100 + day),
                                 .factor = 1,
                                 .token = n->token};
    n->low = n->high = claims__days(year ? year : 2000, month, day);
    s->t[at].kind = CLAIMS__STOP;
    return true;
}

static void take_afternoon(struct saying *s, uint32_t i, struct claims__number *n)
{
    bool pm = says(s, i + 1, "pm p.m"), am = says(s, i + 1, "am a.m");
    if (!pm && !am)
        return;
    if (n->unit == CLAIMS__COUNT)
        n->low *= 3600, n->high = n->low, n->slack = 0;
    else if (n->unit != CLAIMS__CLOCK)
        return;
    n->unit = CLAIMS__CLOCK;
    double by = pm && n->low < 43200 ? 43200 : am && n->low >= 43200 ? -43200 : 0;
    n->low += by, n->high += by;
    s->t[i + 1].kind = CLAIMS__STOP;
}

enum bound { BOUND_NONE, BOUND_LEAST, BOUND_MOST, BOUND_ABOUT };

static enum bound bound_of(const struct saying *s, uint32_t i)
{
    if (does(s, i, CLAIMS__LEAST))
        return BOUND_LEAST;
    if (does(s, i, CLAIMS__MOST))
        return BOUND_MOST;
    return does(s, i, CLAIMS__ABOUT) ? BOUND_ABOUT : BOUND_NONE;
}

/* "more than", "не менее", "up to", "около" before a number. */
static void take_bound(struct saying *s, uint32_t i, struct claims__number *n)
{
    enum bound found = BOUND_NONE;
    bool flipped = false;
    uint32_t at = i, least = i > 3 ? i - 3 : 0;
    while (at > least && s->t[at - 1].kind != CLAIMS__BREAK &&
           s->t[at - 1].kind != CLAIMS__NUMBER) {
        enum bound b = bound_of(s, at - 1);
        if (b != BOUND_NONE && found == BOUND_NONE)
            found = b;
        else if (says(s, at - 1, "up") && says(s, at, "to"))
            found = BOUND_MOST;
        else if (found != BOUND_NONE && s->t[at - 1].kind == CLAIMS__NEGATE &&
                 says(s, at - 1, "no not не"))
            flipped = true;
        else if (!says(s, at - 1, "than to at чем а in"))
            break;
        at--;
        if (flipped)
            break;
    }
    if (found == BOUND_NONE)
        return;
    for (uint32_t k = at; k < i; k++)
        s->t[k].kind = CLAIMS__STOP;
    if (flipped)
        found = found == BOUND_LEAST ? BOUND_MOST : found == BOUND_MOST ? BOUND_LEAST : found;
    if (found == BOUND_LEAST)
        n->high = INFINITY;
    else if (found == BOUND_MOST)
        n->low = -INFINITY;
    else
        n->loose = true;
}

/* 10-20 ms, between 10 and 20 */
static void take_range(struct saying *s, uint32_t i, struct claims__number *n)
{
    uint32_t next = i + 1;
    bool between = i > 0 && says(s, i - 1, "between от");
    if (between && says(s, next, "and до to"))
        next++;
    else if (next < s->k->tokens && s->t[next].kind == CLAIMS__BREAK && says(s, next, "– —"))
        next++;
    else if (next >= s->k->tokens || s->t[next].at != s->t[i].at + s->t[i].len + 1 ||
             s->c->text[s->t[next].at - 1] != '-')
        return;
    struct claims__number *other = number_at(s, next);
    if (!other || (other->unit != n->unit && n->unit != CLAIMS__COUNT))
        return;
    double by = n->unit == other->unit ? 1 : other->factor;
    if (n->low * by > other->high)
        return;
    other->low = n->low * by;
    *n = *other;
    n->token = (uint16_t)i;
    s->t[next].kind = CLAIMS__STOP;
}

/* "a quarter of", "two thirds of", "половина узлов": of a hundred. */
static void take_fraction(struct saying *s, uint32_t i)
{
    static const struct {
        const char *words;
        double value;
    } PARTS[] = {{"half половина половину", 50},
                 {"quarter quarters четверть четверти", 25},
                 {"third thirds треть трети", 100.0 / 3},
                 {"fifth fifths", 20}};
    if (s->t[i].kind == CLAIMS__NUMBER || s->t[i].kind == CLAIMS__BREAK)
        return;
    bool russian = (unsigned char)s->c->text[s->t[i].at] >= 0xD0;
    bool follows =
        russian ? i + 1 < s->k->tokens && s->t[i + 1].kind == CLAIMS__WORD : says(s, i + 1, "of");
    if (!follows || (i > 0 && says(s, i - 1, "the this last first")))
        return;
    for (size_t k = 0; k < sizeof PARTS / sizeof *PARTS; k++) {
        if (!says(s, i, PARTS[k].words))
            continue;
        struct claims__number *many = i > 0 ? number_at(s, i - 1) : NULL;
        double times = many && many->unit == CLAIMS__COUNT && many->low < 10 ? many->low : 1;
        if (many && times > 0 && times < 10) {
            many->low = many->high = PARTS[k].value * times;
            many->unit = CLAIMS__PERCENT;
            s->t[i].kind = CLAIMS__STOP;
            return;
        }
        struct claims__number *n = add_number(s, i, PARTS[k].value);
        if (n)
            n->unit = CLAIMS__PERCENT;
        return;
    }
}

/* "half an hour", "полчаса", "an hour and a half", "полтора часа". */
static void take_length(struct saying *s, uint32_t i)
{
    struct claims__number *n = NULL;
    double half = 0;
    uint32_t unit = i + 1;
    if (s->t[i].kind == CLAIMS__NUMBER)
        return;
    if (says(s, i, "полчаса"))
        n = add_number(s, i, 1800), unit = i;
    else if (says(s, i, "полтора полторы"))
        n = add_number(s, i, 1.5);
    else if (says(s, i, "half") && says(s, i + 1, "an a"))
        n = does(s, i + 2, CLAIMS__UNIT) ? add_number(s, i, 0.5) : NULL, unit = i + 2;
    else if (says(s, i, "an a") && says(s, i + 1, "second minute hour day week month year") &&
             !(i > 0 && (says(s, i - 1, "per once twice times every") ||
                         s->t[i - 1].kind == CLAIMS__NUMBER || claims__content(&s->t[i - 1]))))
        n = add_number(s, i, 1), half = says(s, i + 2, "and") && says(s, i + 4, "half") ? 0.5 : 0;
    if (!n)
        return;
    n->low += half, n->high += half;
    n->slack = 0.05;
    if (unit == i)
        n->unit = CLAIMS__SECONDS;
    for (uint32_t k = i + 2; half > 0 && k <= i + 4; k++)
        s->t[k].kind = CLAIMS__STOP;
}

/* "twice", "hourly", "every hour", "once a day". */
static void take_often(struct saying *s, uint32_t i)
{
    static const struct {
        const char *words;
        double value;
        enum claims__unit unit;
    } OFTEN[] = {{"twice дважды", 2, CLAIMS__TIMES},
                 {"thrice трижды", 3, CLAIMS__TIMES},
                 {"hourly ежечасно", 3600, CLAIMS__PERIOD},
                 {"daily ежедневно", 86400, CLAIMS__PERIOD},
                 {"weekly еженедельно", 604800, CLAIMS__PERIOD}};
    struct claims__number *n = NULL;
    for (size_t k = 0; k < sizeof OFTEN / sizeof *OFTEN; k++) {
        if (s->t[i].kind == CLAIMS__NUMBER || !says(s, i, OFTEN[k].words))
            continue;
        n = add_number(s, i, OFTEN[k].value);
        if (n)
            n->unit = (uint8_t)OFTEN[k].unit, n->slack = 0;
        return;
    }
    bool once = says(s, i, "once раз") && says(s, i + 1, "a an per в every");
    if (!once && !says(s, i, "every каждый каждую каждые каждое"))
        return;
    uint32_t unit = once ? i + 2 : i + 1;
    if (number_at(s, unit))
        return; /* every 5 minutes */
    if (says(s, unit,
             "second minute hour day week month секунду минуту час день сутки неделю месяц"))
        n = add_number(s, i, 1);
    size_t len;
    const char *word = n ? word_of(s, unit, &len) : NULL;
    if (!n || !claims__number_unit(word, len, n))
        return;
    n->unit = CLAIMS__PERIOD;
    for (uint32_t k = i + 1; k <= unit; k++)
        s->t[k].kind = CLAIMS__STOP;
}

/* "every 5 minutes", "раз в 5 минут" */
static void take_period(struct saying *s, uint32_t i, struct claims__number *n)
{
    if (n->unit == CLAIMS__SECONDS && i > 0 &&
        (says(s, i - 1, "every каждые каждых") ||
         (i > 1 && says(s, i - 1, "в") && says(s, i - 2, "раз"))))
        n->unit = CLAIMS__PERIOD;
}

static void join_numbers(struct saying *s)
{
    for (uint32_t i = 0; i < s->k->tokens; i++) {
        if (!does(s, i, CLAIMS__MEASURES))
            continue;
        take_often(s, i);
        take_length(s, i);
        take_fraction(s, i);
    }
    for (uint32_t i = 0; i < s->k->tokens; i++) {
        struct claims__number *n = number_at(s, i);
        if (!n || take_date(s, i, n))
            continue;
        take_afternoon(s, i, n);
        for (uint32_t k = 0; k < 2 && n->unit == CLAIMS__COUNT; k++)
            if (!unit_behind(s, i + 1 + k, n))
                break;
        take_per(s, i + 2, n);
        take_rate(s, i, n);
        take_period(s, i, n);
    }
    for (uint32_t i = 0; i < s->k->tokens; i++) {
        struct claims__number *n = number_at(s, i);
        if (n)
            take_range(s, i, n);
    }
    for (uint32_t i = 0; i < s->k->tokens; i++) {
        struct claims__number *n = number_at(s, i);
        if (n)
            take_bound(s, i, n);
    }
}

/* "pid 17" is a name, no figure. */
static void naming_numbers(struct saying *s)
{
    for (uint32_t i = 1; i < s->k->tokens; i++) {
        struct claims__token *t = &s->t[i];
        if (t->kind != CLAIMS__NUMBER || !does(s, i - 1, CLAIMS__IDENTIFIES))
            continue;
        t->kind = CLAIMS__NAME;
        t->names = true;
        claims__name_meaning(s->r, s->c, t, s->c->text + t->at, t->len);
    }
}

/* ---- negation */

/* "не хватает памяти" does not say that there is none. */
static bool is_short_of(const struct saying *s, uint32_t i)
{
    static const char stem[] = "хвата";
    if (i >= s->k->tokens)
        return false;
    size_t len;
    const char *word = word_of(s, i, &len);
    return len > sizeof stem && memcmp(word, stem, sizeof stem - 1) == 0;
}

/* What is done, as the subject: writing to it, удалять, but not память. */
static bool is_infinitive(const struct saying *s, uint32_t i)
{
    static const char *const ENDINGS[] = {"ать", "ять", "еть", "ить", "уть",
                                          "ыть", "сти", "чь",  "ться"};
    size_t len;
    const char *w = word_of(s, i, &len);
    if (s->t[i].kind != CLAIMS__WORD || len < 6 || says(s, i, "память"))
        return false;
    if ((i == 0 || s->t[i - 1].kind == CLAIMS__BREAK) && memcmp(w + len - 3, "ing", 3) == 0)
        return true;
    for (size_t k = 0; k < sizeof ENDINGS / sizeof *ENDINGS; k++) {
        size_t n = strlen(ENDINGS[k]);
        if (len > n + 2 && memcmp(w + len - n, ENDINGS[k], n) == 0)
            return true;
    }
    return false;
}

static bool has_infinitive(const struct saying *s, uint16_t clause)
{
    for (uint32_t i = 0; i < s->k->tokens; i++)
        if (s->t[i].clause == clause && is_infinitive(s, i))
            return true;
    return false;
}

static bool of_action(const struct saying *s, uint32_t i)
{
    return says(s, i + 1, "to") || has_infinitive(s, s->t[i].clause);
}

/* "failed to", "unable to", "refuses to", "not able to": what follows was not. */
static void negating_verbs(struct saying *s)
{
    for (uint32_t i = 0; i < s->k->tokens; i++) {
        if (s->t[i].kind == CLAIMS__WORD && does(s, i, CLAIMS__FAILS) &&
            says(s, i + 1, does(s, i, CLAIMS__ABSENCE) ? "of" : "to"))
            s->t[i].kind = CLAIMS__NEGATE;
        if (s->t[i].kind == CLAIMS__WORD && does(s, i, CLAIMS__FORBIDS) && of_action(s, i))
            s->t[i].kind = CLAIMS__NEGATE;
        if (i > 0 && s->t[i - 1].kind == CLAIMS__NEGATE &&
            says(s, i, "allowed permitted разрешено разрешается можно") && of_action(s, i))
            s->t[i].kind = CLAIMS__STOP; /* not allowed to: it is denied once */
        if (s->t[i].kind == CLAIMS__NEGATE && says(s, i, "not не") &&
            (says(s, i + 1, "only just только лишь") || is_short_of(s, i + 1)))
            s->t[i].kind = CLAIMS__STOP;
    }
}

/* "никто не ответил" is denied once. */
static void negative_concord(struct saying *s)
{
    for (uint32_t i = 0; i < s->k->tokens; i++) {
        if (s->t[i].kind != CLAIMS__NEGATE || !does(s, i, CLAIMS__CONCORD))
            continue;
        for (uint32_t k = 0; k < s->k->tokens; k++) {
            if (s->t[k].clause != s->t[i].clause || !says(s, k, "не нет нельзя"))
                continue;
            s->t[i].kind = CLAIMS__STOP;
            if (says(s, i + 1, "разу один одна одно одного"))
                s->t[i + 1].kind = CLAIMS__STOP;
        }
    }
}

/* "it is not true that", "неверно, что": all that follows is denied. Returns where that begins; 0:
 * nothing of that kind stands there. */
static uint32_t denies_all(struct saying *s, uint32_t i)
{
    uint32_t at = i + 1;
    if (!says(s, at, "true case so correct правда верно так"))
        return 0;
    uint32_t that = at + 1;
    while (that < s->k->tokens && s->t[that].kind == CLAIMS__BREAK && !says(s, that, "that что"))
        that++;
    if (!says(s, that, "that что"))
        return 0;
    s->t[at].kind = CLAIMS__STOP;
    return that + 1;
}

/* The thing that is absent: the run of words behind, or before where nothing follows. */
static void reach_thing(const struct saying *s, uint32_t i, struct claims__negator *n)
{
    uint32_t from = i + 1;
    while (from < s->k->tokens && s->t[from].kind == CLAIMS__STOP)
        from++;
    uint32_t upto = from;
    while (upto < s->k->tokens &&
           (claims__content(&s->t[upto]) || s->t[upto].kind == CLAIMS__NUMBER))
        upto++;
    if (upto == from) {
        upto = i;
        while (upto > 0 && !claims__content(&s->t[upto - 1]) &&
               s->t[upto - 1].kind != CLAIMS__BREAK)
            upto--;
        from = upto;
        while (from > 0 && claims__content(&s->t[from - 1]))
            from--;
    }
    n->from = (uint16_t)from;
    n->upto = (uint16_t)upto;
}

static bool says_something(const struct saying *s, uint32_t from, uint32_t upto)
{
    for (uint32_t i = from; i < upto; i++)
        if (claims__content(&s->t[i]) || s->t[i].kind == CLAIMS__NUMBER)
            return true;
    return false;
}

/* What follows in the clause; where nothing does, what stands before: "удалять нельзя". */
static void reach_clause(struct saying *s, uint32_t i, struct claims__negator *n)
{
    uint32_t all = denies_all(s, i);
    n->from = (uint16_t)(all ? all : i + 1);
    n->upto = (uint16_t)(all ? s->k->tokens : i + 1);
    while (n->upto < s->k->tokens && s->t[n->upto].kind != CLAIMS__BREAK)
        n->upto++;
    if (says_something(s, n->from, n->upto) || !does(s, i, CLAIMS__NEGATES | CLAIMS__FORBIDS))
        return;
    n->upto = n->from = (uint16_t)i;
    while (n->from > 0 && s->t[n->from - 1].kind != CLAIMS__BREAK)
        n->from--;
}

static void find_negators(struct saying *s)
{
    struct claims__claim *k = s->k;
    for (uint32_t i = 0; i < k->tokens && k->negator_count < CLAIMS__NEGATORS; i++) {
        if (s->t[i].kind != CLAIMS__NEGATE)
            continue;
        struct claims__negator n = {.token = (uint16_t)i};
        bool longer = says(s, i, "no") && says(s, i + 1, "longer more one");
        n.absence = does(s, i, CLAIMS__ABSENCE) && !longer;
        if (longer)
            s->t[i + 1].kind = CLAIMS__STOP;
        if (n.absence) {
            reach_thing(s, i, &n);
        } else {
            reach_clause(s, i, &n);
        }
        for (uint32_t t = n.from; t < n.upto; t++)
            s->t[t].denied ^= 1;
        if (says_something(s, n.from, n.upto))
            k->negators[k->negator_count++] = n;
    }
}

/* "All of this is within its limits": what it is of stands in other sentences. */
static bool points_back(const struct saying *s)
{
    uint32_t i = 0;
    while (i < 2 && says(s, i, "all of все"))
        i++;
    return says(s, i, "this that these those it they это они");
}

/* "is in CrashLoopBackOff" says where, "is on" says how. */
static void place_words(struct saying *s)
{
    for (uint32_t i = 0; i + 1 < s->k->tokens; i++)
        if (s->t[i].kind == CLAIMS__WORD && says(s, i, "in on over") &&
            s->t[i + 1].kind != CLAIMS__BREAK && s->t[i + 1].kind != CLAIMS__CITE)
            s->t[i].kind = CLAIMS__STOP;
}

void claims__said(struct claims_reader *r, struct claims *c, struct claims__claim *k)
{
    if (!k->tokens)
        return;
    struct saying s = {r, c, k, c->tokens + k->token};
    place_words(&s);
    number_words(&s);
    naming_numbers(&s);
    join_numbers(&s);
    negating_verbs(&s);
    negative_concord(&s);
    find_negators(&s);
    for (uint32_t i = 0; i < k->tokens; i++)
        k->hedged = k->hedged || does(&s, i, CLAIMS__HEDGES);
    for (uint32_t i = 0; i < k->tokens; i++)
        k->may = k->may || does(&s, i, CLAIMS__MAY);
    for (uint32_t i = 0; i < k->tokens; i++)
        k->open = k->open || does(&s, i, CLAIMS__ASKS);
    for (uint32_t i = 0; i < k->numbers; i++) {
        const struct claims__number *n = &c->numbers[k->number + i];
        k->zero = k->zero || (n->high == 0 && n->low == 0 && n->slack <= 0.5 &&
                              (n->unit == CLAIMS__COUNT || n->unit == CLAIMS__PERCENT));
    }
    claims__slots(c, k, s.t);
    claims__share_read(c, k);
    k->self = does(&s, 0, CLAIMS__SELF) || (!k->numbers && points_back(&s));
}
