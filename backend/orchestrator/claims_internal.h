/* Private to claims*.c. */
#ifndef ORCH_CLAIMS_INTERNAL_H
#define ORCH_CLAIMS_INTERNAL_H

#include "backend/base/buf.h"
#include "backend/orchestrator/claims.h"
#include <stdint.h>

enum {
    CLAIMS__TEXT = 64 * 1024,
    CLAIMS__CLAIMS = 96,
    CLAIMS__TOKENS = 96,  /* of a claim */
    CLAIMS__NUMBERS = 24, /* of a claim */
    CLAIMS__NEGATORS = 8, /* of a claim */
    CLAIMS__FOLDED = 128, /* bytes of a word in lower case */
    CLAIMS__KEPT = 96,    /* texts */
    CLAIMS__KEPT_TEXT = 16 * 1024,
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
    uint64_t rows; /* bits of the rows that it stands in */
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
    CLAIMS__SAYS_LITTLE = 131072,
    /* the part of what stands behind it (enum claims__slot) */
    CLAIMS__FROM_ = 1 << 18,
    CLAIMS__TO_ = 1 << 19,
    CLAIMS__FOR_ = 1 << 20,
    CLAIMS__THAN_ = 1 << 21,
    CLAIMS__BY_ = 1 << 22,
    CLAIMS__AMONG_ = 1 << 23,
    CLAIMS__FIRST_ = 1 << 24,
    CLAIMS__THEN_ = 1 << 25,
    CLAIMS__MUTUAL = 1 << 26,     /* said of two, it is no matter which is named first */
    CLAIMS__QUANTIFIES = 1 << 27, /* all, some; value: which row of claims_shares.def, from 1 */
    CLAIMS__HAS_ONE = 1 << 28,    /* of which a thing has one: its version, the cause */
    CLAIMS__CONCORD = 1 << 29,    /* with "не" behind it, it denies once: никто не */
    CLAIMS__COMPARES = 1 << 30    /* before, faster: of two, in this order */
};
#define CLAIMS__HAS_WHO (1ULL << 32)   /* the same, of those who are somebody: its owner */
#define CLAIMS__HAS_CAUSE (1ULL << 33) /* caused */
#define CLAIMS__MAY (1ULL << 34)
#define CLAIMS__FORBIDS (1ULL << 37) /* with an infinitive it denies: удалять запрещено */
#define CLAIMS__EMPTY (1ULL << 38)
#define CLAIMS__CODED (1ULL << 39)    /* the number behind it is a code of HTTP: returned 503 */
#define CLAIMS__MEASURES (1ULL << 40) /* it may be a number, or begin one: half, twice, an hour */
#define CLAIMS__TURNS (1ULL << 35)    /* a state follows: powered off, ran out */
#define CLAIMS__AMOUNT (1ULL << 36)   /* where figures stand with it, it is no state: 33 GiB free */
struct claims__word {
    uint64_t hash; /* 0: free */
    uint64_t roles;
    int16_t value; /* of a numeral, of a month */
};
/* What is known of a word in lower case. */
struct claims__lexeme {
    uint64_t hash;                   /* of the word; 0: free */
    const struct claims__word *role; /* or NULL */
    const struct claims__sense *sense;
    const int16_t *ideas;
    uint64_t stem_hash;
    const char *stem_at;
    uint8_t len, stem_len;
    bool stop, light, may_deny;
    char word[32], stem[32];
};
struct claims;
struct claims_reader {
    struct know_words *words;
    struct claims__lexeme *lexemes; /* of the words that were read last */
    struct claims__lexeme one;      /* of a word that is too long to be kept */
    char one_stem[64];
    /* Texts that were read last: of one question the same sources and sentences are asked for again
     * and again (arbitration, grounding, a verifier, a vote). */
    struct claims *kept[CLAIMS__KEPT];
    size_t next;
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
/* Until the next call. */
const struct claims__lexeme *claims__lexeme(struct claims_reader *r, const char *folded,
                                            size_t len);
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
    bool may_deny;       /* it begins or ends as a word that denies another: un-, -less */
    bool proper;         /* written as a name of somebody is */
    bool light;          /* says little: have, get */
    bool names;          /* a number that says which one it is: pid 17 */
    bool copula;         /* what follows is said of what stands before */
    uint8_t slot;        /* enum claims__slot: its part in what is said */
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
    CLAIMS__WATTS,
    CLAIMS__TIMES, /* how often something happened */
    CLAIMS__PERIOD /* every so many seconds */
};
static inline bool claims__content(const struct claims__token *t)
{
    return t->kind == CLAIMS__WORD || t->kind == CLAIMS__NAME;
}

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
static inline bool claims__does(const struct claims__token *t, uint64_t role)
{
    return t->meaning && (t->meaning->roles & role);
}

/* The part that a word has in what is said: who does, what is done, to whom, from where to where.
 */
enum claims__slot {
    CLAIMS__AMONG, /* with, and, on, at, of: which of them is no matter */
    CLAIMS__VERB,  /* or what is said with "is" */
    CLAIMS__SUBJECT,
    CLAIMS__OBJECT,
    CLAIMS__FROM,
    CLAIMS__TO,
    CLAIMS__FOR,
    CLAIMS__FIRST, /* of what is told in its order */
    CLAIMS__THEN
};
/* Of how many of them something is said, as a share: "most" is 0.5 to 1 without 0.5. */
struct claims__share {
    double low, high;
    bool above, below;   /* without the low end, without the high one */
    bool given;          /* the claim has one */
    bool times;          /* always, never: of how many times */
    uint16_t from, upto; /* its tokens */
    uint16_t noun;       /* of what; the claim's tokens: nothing that is told */
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
    bool zero;   /* it says that there is none, in figures: 0 errors */
    bool may;    /* of those: may, might */
    bool self;   /* who answers speaks of themselves */
    bool code;
    struct claims__negator negators[CLAIMS__NEGATORS];
    size_t negator_count;
    struct claims__share share;
    uint64_t words, rows; /* bits of the stems of its words, and of the rows that these stand in */
};
struct claims {
    uint64_t key; /* hash of the text as it was given */
    size_t users; /* who holds it: claims_free takes one away */
    char *text;
    size_t len;
    struct buf stems;
    struct claims__claim *claims;
    size_t count, cap;
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
/* Whether a word is of a LIVING row. */
bool claims__is_living(const struct claims__sense *s);
/* Whether a word says that something came out well: 1, or not: -1; 0: it says neither. */
int claims__outcome(const struct claims__sense *s);
/* Whether they are of both sides of one SIDES row. */
bool claims__two_sides(const struct claims__sense *x, const struct claims__sense *y);
bool claims__is_topic(const struct claims__sense *s);
double claims__grade(enum claims__relation r); /* 0..1; 0 for OPPOSED */
/* Fills stem, hash and sense of a name; folded: in lower case. */
void claims__name_meaning(struct claims_reader *r, struct claims *c, struct claims__token *t,
                          const char *folded, size_t len);

/* The same of a word, and its ideas and weight. */
void claims__word_put(struct claims *c, struct claims__token *t, const char *folded, size_t len,
                      const struct claims__lexeme *x);

/* claims_said.c: joins numbers with their units and finds what is denied. */
void claims__said(struct claims_reader *r, struct claims *c, struct claims__claim *k);
/* claims_numbers.c: reads a number at s (a digit, or a sign of money before one); returns its bytes
 * with the unit written to it, 0: it is none. */
size_t claims__number_read(const char *s, size_t len, struct claims__number *out);
/* The unit that a word names ("hours", "ГиБ"); false: it names none. */
bool claims__number_unit(const char *word, size_t len, struct claims__number *n);
/* Calls put with each word that is a numeral, a month or a unit. */
typedef void claims__put(void *arg, const char *words, uint64_t role, int value);
void claims__number_words(claims__put *put, void *arg);
void claims__share_words(claims__put *put, void *arg); /* claims_shares.c */
double claims__days(int year, int month, int day);
bool claims__numbers_equal(const struct claims__number *a, const struct claims__number *b);
bool claims__numbers_comparable(const struct claims__number *a, const struct claims__number *b);

/* claims_order.c: each word's part in what is said. */
void claims__slots(const struct claims *c, const struct claims__claim *k, struct claims__token *t);
/* before, faster, раньше: what stands behind is what is compared. */
bool claims__compares(const struct claims *c, const struct claims__token *t);
/* claims_shares.c: of how many of them it is said. */
void claims__share_read(const struct claims *c, struct claims__claim *k);

/* ---- one claim against another (claims_judge.c) */

/* From here on two words are taken for the same thing; from here on a claim is met; from here on
 * what is against it is said. */
#define CLAIMS__SAME_THING 0.8
#define CLAIMS__MET 0.6
#define CLAIMS__SURE 0.5

/* A claim with what was read of it. */
struct claims__side {
    const struct claims *c;
    const struct claims__claim *k;
    const struct claims__token *t;
    const struct claims__number *numbers;
    double best[CLAIMS__TOKENS];  /* by token: how well the other side has it */
    bool opposed[CLAIMS__TOKENS]; /* the other side has what only one of them can be */
};
struct claims__judged;
struct claims__pair {
    struct claims__side a, b;
    struct claims__judged *out;
    bool rest;    /* one tells how much is used, the other how much is left of the same hundred */
    bool opposed; /* there are words of which only one can hold */
    bool doubt;   /* something is denied, if not surely the same */
    bool settled; /* whether they agree is known by their order or their shares */
    bool agree;   /* if so */
    /* How words i of a and j of b stand to each other, at [i * b.k->tokens + j]; of words with
     * content only. */
    uint8_t relations[CLAIMS__TOKENS * CLAIMS__TOKENS];
};
enum claims__relation claims__relate(const struct claims__pair *p, uint32_t i, uint32_t j);
/* The share of a side's words that the other has; but for the one at `except`, -1: none. */
double claims__cover_but(const struct claims__side *s, int except);
/* Keeps the surest of what was found against; what: "number", ...; x and y: the words of each. */
void claims__against(struct claims__pair *p, double score, const char *what, const char *x,
                     int x_len, const char *y, int y_len);
void claims__against_tokens(struct claims__pair *p, double score, const char *what, uint32_t i,
                            uint32_t j);
/* Of the first to the last token of each. */
void claims__against_spans(struct claims__pair *p, double score, const char *what,
                           const uint32_t x[2], const uint32_t y[2]);
/* claims_names.c: names, what a thing has one of, values of fields. */
void claims__find_names(struct claims__pair *p);
void claims__find_ones(struct claims__pair *p);
void claims__find_codes(struct claims__pair *p);
void claims__find_fields(struct claims__pair *p);
bool claims__other_subject(const struct claims__pair *p); /* they speak of two things */
bool claims__other_names(const struct claims__pair *p);   /* both name what the other does not */
/* claims_order.c: who does what to whom, from where to where, what was first. */
void claims__find_order(struct claims__pair *p);
/* claims_shares.c: 90% used is 10% free. */
bool claims__numbers_complement(const struct claims__number *x, const struct claims__number *y);
/* Whether two words that say how much there is of a thing, full and free, are the same said of both
 * parts of it (NEAR), cannot be compared by their figures (NONE), or stand as they are (OPPOSED).
 */
enum claims__relation claims__amounts(const struct claims__pair *p, uint32_t i, uint32_t j);
/* claims_shares.c: all, most, some, none of them. */
void claims__find_shares(struct claims__pair *p);

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
/* Whether two claims may share a word or a row of claims.def. */
static inline bool claims__may_share(const struct claims__claim *k, const struct claims__claim *l)
{
    bool figures = !k->words && !l->words && k->numbers && l->numbers; /* 5 pm, 17:00 */
    return (k->words & l->words) || (k->rows & l->rows) || figures;
}
bool claims__same_text(const struct claims *a, size_t i, const struct claims *b, size_t j);
/* Of one claim each. What neither sure nor alike is undetermined. */
void claims__judge(const struct claims *a, size_t i, const struct claims *b, size_t j,
                   struct claims__judged *out);
/* The share of the words of claim i of a that claim j of b meets, 0..1, by weight. */
double claims__cover(const struct claims *a, size_t i, const struct claims *b, size_t j);
/* Whether one claim tells how much is used and the other how much is left. */
bool claims__parts(const struct claims *a, size_t i, const struct claims *b, size_t j);
double claims__weight(const struct claims__token *t);

#endif
