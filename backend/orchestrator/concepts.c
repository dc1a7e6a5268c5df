/* The rows of concepts.def by the stems of their words. */
#include "backend/orchestrator/concepts.h"
#include "backend/base/buf.h"
#include "backend/base/hash.h"
#include "backend/base/text.h"
#include "backend/knowledge/knowledge.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct row {
    const char *name, *words, *related;
    bool vague;
};
#define CONCEPT(name, words, related) {name, words, related, false},
#define VAGUE(name, words, related) {name, words, related, true},
static const struct row ROWS[] = {
#include "backend/orchestrator/concepts.def"
};
#undef CONCEPT
#undef VAGUE
enum {
    ROW_COUNT = sizeof ROWS / sizeof *ROWS,
    WORD_MOST = 64,
    RELATED_MOST = 12,
    FIRST_RELATED = 3
};
_Static_assert(sizeof ROWS / sizeof *ROWS <= (size_t)CONCEPTS_MOST,
               "a row has a weight of its own");

/* What is related counts so much of what was asked, each further one a little less. */
static const double RELATED = 0.7, EACH_FURTHER = 0.9;
/* The most that one row tells. */
static const double OF_ONE = 0.7;
/* From so many rows on each counts less. */
static const double FOCUS = 5;

struct stem {
    uint64_t hash;
    size_t row;
};

struct concepts {
    struct know_words *words;
    struct stem *stems; /* by hash */
    size_t count, cap;
    size_t related[ROW_COUNT][RELATED_MOST], related_count[ROW_COUNT];
};

/* ---- words */

/* The code point in lower case, whatever the locale, if it stands in a word, else 0. */
static uint32_t letter(const char *s, size_t len, size_t *n)
{
    uint32_t cp;
    *n = text_decode(s, len, &cp);
    if ((cp >= 'A' && cp <= 'Z') || (cp >= 0x410 && cp <= 0x42F))
        return cp + 32;
    if (cp == 0x401 || cp == 0x451)
        return 0x435; /* both write е for ё */
    bool ascii = (cp >= 'a' && cp <= 'z') || (cp >= '0' && cp <= '9');
    return ascii || (cp >= 0xC0 && cp < 0x2000) ? cp : 0;
}

/* A part begins here: aB, and the last capital of ABc. */
static bool begins_part(const char *s, size_t at, size_t len)
{
    bool upper = s[at] >= 'A' && s[at] <= 'Z';
    if (!at || !upper)
        return false;
    bool small_before = s[at - 1] >= 'a' && s[at - 1] <= 'z';
    bool large_before = s[at - 1] >= 'A' && s[at - 1] <= 'Z';
    bool small_behind = at + 1 < len && s[at + 1] >= 'a' && s[at + 1] <= 'z';
    return small_before || (large_before && small_behind);
}

static void word_out(const char *s, size_t len, concepts_word *fn, void *arg)
{
    char folded[WORD_MOST + 4];
    size_t used = 0;
    for (size_t i = 0, n; i < len && used < WORD_MOST; i += n) {
        uint32_t cp = letter(s + i, len - i, &n);
        used += text_encode(cp, folded + used);
    }
    if (used <= WORD_MOST)
        fn(arg, folded, used);
}

static void parts_out(const char *s, size_t len, concepts_word *fn, void *arg)
{
    size_t from = 0;
    word_out(s, len, fn, arg);
    for (size_t i = 1; i <= len; i++) {
        if (i < len ? begins_part(s, i, len) : from > 0) {
            word_out(s + from, i - from, fn, arg);
            from = i;
        }
    }
}

void concepts_words(const char *text, concepts_word *fn, void *arg)
{
    size_t len = strlen(text), from = 0;
    for (size_t i = 0, n; i <= len; i += n) {
        n = 1;
        bool inside = i < len && letter(text + i, len - i, &n);
        n = n ? n : 1;
        if (!inside) {
            if (i > from)
                parts_out(text + from, i - from, fn, arg);
            from = i + n;
        }
    }
}

/* ---- the table */

struct adding {
    struct concepts *c;
    size_t row;
};

static void add_word(void *arg, const char *word, size_t len)
{
    struct adding *a = arg;
    struct concepts *c = a->c;
    size_t n;
    const char *stem = know_words_stem(c->words, word, len, &n);
    if (c->count == c->cap) {
        c->cap = c->cap ? 2 * c->cap : 1024;
        c->stems = xrealloc(c->stems, c->cap * sizeof *c->stems);
    }
    c->stems[c->count++] = (struct stem){hash_bytes(HASH_START, stem, n), a->row};
}

static void add_related(void *arg, const char *word, size_t len)
{
    struct adding *a = arg;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (strlen(ROWS[i].name) == len && memcmp(ROWS[i].name, word, len) == 0) {
            BUG_IF(a->c->related_count[a->row] == RELATED_MOST);
            a->c->related[a->row][a->c->related_count[a->row]++] = i;
            return;
        }
    }
    BUG_IF(true); /* concepts.def names a row that it does not have */
}

static int by_hash(const void *a, const void *b)
{
    const struct stem *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

struct concepts *concepts_new(void)
{
    struct concepts *c = xcalloc(1, sizeof *c);
    c->words = know_words_new();
    for (size_t i = 0; i < ROW_COUNT; i++) {
        struct adding a = {c, i};
        concepts_words(ROWS[i].words, add_word, &a);
        concepts_words(ROWS[i].related, add_related, &a);
    }
    qsort(c->stems, c->count, sizeof *c->stems, by_hash);
    return c;
}

void concepts_free(struct concepts *c)
{
    if (!c)
        return;
    know_words_free(c->words);
    free(c->stems);
    free(c);
}

/* ---- what a text stands for */

struct saying {
    struct concepts *c;
    double weight, *said;
};

/* The first of the stem's rows; `count`: it has none. */
static size_t first_of(const struct concepts *c, uint64_t hash)
{
    size_t low = 0, high = c->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (c->stems[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low < c->count && c->stems[low].hash == hash ? low : c->count;
}

static void say_word(void *arg, const char *word, size_t len)
{
    struct saying *s = arg;
    size_t n;
    if (know_words_stop(word, len))
        return;
    const char *stem = know_words_stem(s->c->words, word, len, &n);
    uint64_t hash = hash_bytes(HASH_START, stem, n);
    for (size_t i = first_of(s->c, hash); i < s->c->count && s->c->stems[i].hash == hash; i++) {
        double *said = &s->said[s->c->stems[i].row];
        *said = fmax(*said, s->weight);
    }
}

void concepts_read(struct concepts *c, const char *text, double weight, double said[CONCEPTS_MOST])
{
    concepts_words(text, say_word, &(struct saying){c, weight, said});
}

struct sharing {
    struct concepts *c;
    size_t all, known;
};

static void share_word(void *arg, const char *word, size_t len)
{
    struct sharing *s = arg;
    size_t n;
    if (know_words_stop(word, len) || (*word >= '0' && *word <= '9'))
        return;
    const char *stem = know_words_stem(s->c->words, word, len, &n);
    s->all++;
    s->known += first_of(s->c, hash_bytes(HASH_START, stem, n)) < s->c->count ||
                know_words_ideas(s->c->words, stem, n) != NULL;
}

double concepts_share(struct concepts *c, const char *text)
{
    struct sharing s = {.c = c};
    concepts_words(text, share_word, &s);
    return s.all ? (double)s.known / (double)s.all : 0;
}

void concepts_precise(double said[CONCEPTS_MOST])
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        said[i] = ROWS[i].vague ? 0 : said[i];
}

void concepts_follow(const struct concepts *c, const double asked[CONCEPTS_MOST],
                     double wanted[CONCEPTS_MOST])
{
    memcpy(wanted, asked, CONCEPTS_MOST * sizeof *wanted);
    for (size_t i = 0; i < ROW_COUNT; i++) {
        double weight = asked[i] * RELATED;
        for (size_t j = 0; weight > 0 && j < c->related_count[i]; j++) {
            double *to = &wanted[c->related[i][j]];
            *to = fmax(*to, weight);
            weight *= EACH_FURTHER;
        }
    }
}

double concepts_met(const double wanted[CONCEPTS_MOST], const double told[CONCEPTS_MOST])
{
    double rows = 0, left = 1, related = 0;
    for (size_t i = 0; i < ROW_COUNT; i++)
        rows += told[i];
    double focus = rows > FOCUS ? sqrt(FOCUS / rows) : 1;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        double met = OF_ONE * wanted[i] * told[i] * focus;
        if (wanted[i] >= 1)
            left *= 1 - met;
        else
            related = fmax(related, met);
    }
    return 1 - left * (1 - related);
}

void concepts_served(const struct concepts *c, const double asked[CONCEPTS_MOST],
                     const double told[CONCEPTS_MOST], bool served[CONCEPTS_MOST])
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        bool serves = told[i] > 0;
        for (size_t j = 0; j < c->related_count[i] && j < FIRST_RELATED; j++)
            serves = serves || told[c->related[i][j]] > 0;
        served[i] = served[i] || (asked[i] >= 1 && serves);
    }
}
