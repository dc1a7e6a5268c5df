/* Private to claims*.c. */
#ifndef ORCH_CLAIMS_INTERNAL_H
#define ORCH_CLAIMS_INTERNAL_H

#include "backend/base/buf.h"
#include "backend/orchestrator/claims.h"
#include <stdint.h>

enum {
    CLAIMS__TEXT = 64 * 1024,
    CLAIMS__CLAIMS = 96,
    CLAIMS__TOKENS = 96,   /* of a claim */
    CLAIMS__NUMBERS = 24,  /* of a claim */
    CLAIMS__NEGATORS = 8,  /* of a claim */
    CLAIMS__FOLDED = 128,  /* bytes of a word in lower case */
    CLAIMS__ROWS_EACH = 10 /* rows of claims.def that a stem may stand in */
};

/* ---- words (claims_words.c) */
struct claims__place { /* of a stem in claims.def */
    uint16_t row;
    uint8_t side;
    bool implied;
};
struct claims__sense {
    uint64_t hash; /* of the stem */
    uint8_t count;
    struct claims__place at[CLAIMS__ROWS_EACH];
};
/* What a word does in a sentence (claims_roles.def). */
enum {
    CLAIMS__NEGATES = 1,
    CLAIMS__ABSENCE = 2, /* it denies a thing: no, without, нет */
    CLAIMS__COPULA = 4,  /* what follows is said of what stands before */
    CLAIMS__JOINS = 8,   /* a clause ends before it */
    CLAIMS__SPEAKS = 16, /* a stop word that says something */
    CLAIMS__STATE = 32,  /* the same behind a copula: is up */
    CLAIMS__LEAST = 64,  /* of the number that follows: it is more */
    CLAIMS__MOST = 128,
    CLAIMS__ABOUT = 256,
    CLAIMS__HEDGES = 512,
    CLAIMS__FAILS = 1024, /* with "to" or "of" behind it denies: failed to, free of */
    CLAIMS__NUMERAL = 2048,
    CLAIMS__MONTH = 4096,
    CLAIMS__UNIT = 8192,
    CLAIMS__IDENTIFIES = 16384, /* the number behind it is a name */
    CLAIMS__ASKS = 32768,       /* what follows is not said, but asked */
    CLAIMS__SELF = 65536,       /* who answers */
    CLAIMS__SAYS_LITTLE = 131072
};
struct claims__word {
    uint64_t hash; /* 0: free */
    uint32_t roles;
    int16_t value; /* of a numeral, of a month */
};
struct claims_reader {
    struct know_words *words;
    struct claims__word *roles; /* open addressing, role_slots of them, a power of two */
    size_t role_slots, role_count;
    struct claims__sense *senses; /* open addressing, a power of two of them; count 0: free */
    size_t slots, used;
};
/* In lower case, ё as е; its bytes. */
size_t claims__fold(const char *s, size_t len, char out[CLAIMS__FOLDED]);
const struct claims__word *claims__word(const struct claims_reader *r, const char *folded,
                                        size_t len);
uint64_t claims__hash(const char *s, size_t len);
const struct claims__sense *claims__sense(const struct claims_reader *r, uint64_t hash);

/* ---- tokens (claims_read.c) */
enum claims__kind {
    CLAIMS__WORD,
    CLAIMS__STOP,
    CLAIMS__NUMBER,
    CLAIMS__NAME,   /* web-1, /var/log, 10.0.0.1, CamelCase: compared as it is */
    CLAIMS__NEGATE, /* not, no, не, без */
    CLAIMS__CITE,   /* [1] */
    CLAIMS__BREAK   /* punctuation and conjunctions between clauses */
};
struct claims__token {
    uint32_t at; /* in the text */
    uint16_t len;
    uint16_t phrase, clause; /* of the claim; a phrase is a run of words */
    uint8_t kind;
    uint8_t denied;      /* parity of the negators that reach it */
    bool light;          /* says little: have, get */
    bool names;          /* a number that says which one it is: pid 17 */
    bool copula;         /* what follows is said of what stands before */
    int16_t number;      /* into the claim's numbers, -1 */
    uint32_t word, stem; /* into stems: in lower case, and its stem */
    uint16_t word_len, stem_len;
    uint64_t hash; /* of the stem */
    const struct claims__sense *sense;
    const struct claims__word *meaning; /* or NULL */
    const int16_t *ideas;               /* know_words_ideas of the stem, or NULL */
};

enum claims__unit {
    CLAIMS__COUNT, /* of what the next word says */
    CLAIMS__PERCENT,
    CLAIMS__BYTES,
    CLAIMS__SECONDS,
    CLAIMS__MONEY,
    CLAIMS__PER_SECOND,
    CLAIMS__HERTZ,
    CLAIMS__DEGREES,
    CLAIMS__METRES,
    CLAIMS__GRAMS,
    CLAIMS__DATE,  /* days */
    CLAIMS__CLOCK, /* seconds of a day */
    CLAIMS__WATTS
};
struct claims__number {
    double low, high; /* what was said: a value is both, "over 5" has no high */
    double slack;     /* how exact it was written */
    uint8_t unit;
    uint8_t base;      /* 2: KiB, 10: KB; the two are often confounded */
    bool loose;        /* about, ~ */
    bool yearless;     /* a date without its year */
    int16_t month_day; /* of a date: 100 * month + day */
    double factor;     /* of its unit */
    char money;        /* of MONEY: '$', 'E', 'R', ... */
    uint16_t token;    /* of the claim, where it stands */
};
struct claims__negator {
    uint16_t token;
    uint16_t from, upto; /* the words that it reaches */
    bool absence;        /* no X, without X: a thing, not what is said */
};

struct claims__claim {
    uint32_t at, len;
    uint32_t token, tokens, number, numbers; /* into those of the text */
    uint16_t key;                            /* tokens of a field's key, 0: it is none */
    bool open;   /* a question, a condition, a heading: claims nothing */
    bool hedged; /* may, might, возможно */
    bool self;   /* who answers speaks of themselves */
    bool code;
    struct claims__negator negators[CLAIMS__NEGATORS];
    size_t negator_count;
    uint64_t bloom; /* of the stems and rows of its words */
};
struct claims {
    char *text;
    size_t len;
    struct buf stems;
    struct claims__claim *claims;
    size_t count;
    struct claims__token *tokens;
    size_t token_count, token_cap;
    struct claims__number *numbers;
    size_t number_count, number_cap;
};

/* How two words stand to each other. */
enum claims__relation {
    CLAIMS__NONE,
    CLAIMS__SAME,
    CLAIMS__NEAR,
    CLAIMS__WIDER, /* a thing and its kind */
    CLAIMS__ALIKE,
    CLAIMS__OPPOSED
};
enum claims__relation claims__relation(const struct claims *a, const struct claims__token *x,
                                       const struct claims *b, const struct claims__token *y);
/* Whether they name different things of one TOPICS row; whether a word is of such a row. */
bool claims__other_topic(const struct claims__sense *x, const struct claims__sense *y);
bool claims__is_topic(const struct claims__sense *s);
double claims__grade(enum claims__relation r); /* 0..1; 0 for OPPOSED */
/* Fills stem, hash, sense, light of a word; folded: in lower case. */
void claims__word_meaning(struct claims_reader *r, struct claims *c, struct claims__token *t,
                          const char *folded, size_t len);

/* claims_said.c: joins numbers with their units and finds what is denied. */
void claims__said(struct claims_reader *r, struct claims *c, struct claims__claim *k);
/* claims_numbers.c: reads a number at s (a digit, or a sign of money before one); returns its bytes
 * with the unit written to it, 0: it is none. */
size_t claims__number_read(const char *s, size_t len, struct claims__number *out);
/* The unit that a word names ("hours", "ГиБ"); false: it names none. */
bool claims__number_unit(const char *word, size_t len, struct claims__number *n);
/* Calls put with each word that is a numeral, a month or a unit. */
typedef void claims__put(void *arg, const char *words, uint32_t role, int value);
void claims__number_words(claims__put *put, void *arg);
double claims__days(int year, int month, int day);
bool claims__numbers_equal(const struct claims__number *a, const struct claims__number *b);
bool claims__numbers_comparable(const struct claims__number *a, const struct claims__number *b);

/* claims_judge.c */
/* The score of a contradiction that only may be meant: of one subject something is denied that the
 * other does not speak of. It counts where there is nothing but these two claims. */
#define CLAIMS__GUESS 0.5
/* Among many claims those that contradict each other are about one thing by at least so much. */
#define CLAIMS__ABOUT_ONE 0.6
struct claims__judged {
    enum claims_verdict verdict;
    double score;
    double near;  /* how much of the lesser one the other meets */
    double met;   /* how much of the first one the second meets */
    double about; /* the same but for words that only one of them can hold: do they speak of one
                     thing? */
    char why[CLAIMS_WHY];
};
/* Of one claim each. What neither sure nor alike is undetermined. */
void claims__judge(const struct claims *a, size_t i, const struct claims *b, size_t j,
                   struct claims__judged *out);
/* The share of the words of claim i of a that claim j of b meets, 0..1, by weight. */
double claims__cover(const struct claims *a, size_t i, const struct claims *b, size_t j);
double claims__weight(const struct claims__token *t);
bool claims__content(const struct claims__token *t);

#endif
