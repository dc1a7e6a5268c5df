/* Shared by the files of the room compliance. */
#ifndef COMPLIANCE_INTERNAL_H
#define COMPLIANCE_INTERNAL_H

#include "backend/base/buf.h"
#include "backend/compliance/compliance.h"

/* Text that is searched: lower holds the same bytes with ASCII and Cyrillic letters in lower case,
 * so that positions agree. */
struct pol_text {
    const char *raw;
    char *lower;
    size_t len;
};
struct pol_text pol__text(const char *text);
void pol__text_free(struct pol_text *t);
/* A letter, a digit, _ or a byte of a character beyond ASCII. */
bool pol__is_word(char c);
/* True if one of the words stands in lower[from, to): whole, or as a beginning if it ends in "*".
 * The list ends with NULL. */
bool pol__has_word(const struct pol_text *t, size_t from, size_t to, const char *const *words);

/* ---- wording.c: a text as words, for rules; a word is a run of letters and digits, in one form
 * whatever its case, width, or the look-alikes it is written with */
enum {
    POL_WORD_OPENS = 1,  /* a sign stands before it, or nothing does */
    POL_WORD_MIXED = 2,  /* letters of another alphabet were read as those they look like */
    POL_WORD_HIDDEN = 4, /* characters that nobody sees stood in it */
    POL_WORD_QUOTED = 8, /* a quotation mark stands before it */
    POL_WORD_SHOUTS = 16 /* capitals begin here, in the middle of a clause that had none */
};
struct pol_word {
    size_t from, to; /* bytes of the text */
    unsigned flags;
};
struct pol_words {   /* zero-initialise, but for places */
    struct buf text; /* words with a blank behind each, and a new line behind a sentence */
    bool places;     /* `at` is wanted: a row for each word */
    const struct pol_typos *typos; /* whose words are mended, or NULL */
    struct pol_word *at;
    size_t count, cap;
    unsigned flags; /* of the word to come */
    bool shouting;
};
void pol__words(struct pol_words *w, const char *text, size_t len);
void pol__words_release(struct pol_words *w);

/* Words of six letters and more that are read also where they are mistyped (typos.c). */
struct pol_typos *pol__typos_new(const char *const *words, size_t n);
void pol__typos_free(struct pol_typos *t);
/* The word that it is a slip of the keys of, or NULL. */
const char *pol__typos_mend(const struct pol_typos *t, const char *word, size_t len);

/* Lists of terms with bars between, as hazards.def says; they must outlive it. */
typedef unsigned __int128 pol_lists; /* a set of them: 1 << list */
enum { POL_LISTS = 128 };
struct pol_terms;
struct pol_terms *pol__terms_new(const char *const *lists, size_t n);
void pol__terms_free(struct pol_terms *t);
/* Calls fn for each term at p, where a word of pol_words begins; len: bytes of it. */
typedef void pol_term_found(void *arg, size_t list, size_t len);
void pol__terms_each(const struct pol_terms *t, const char *p, pol_term_found *fn, void *arg);

/* ---- sentence.c: where terms stand in a text, sentence by sentence */
enum { POL_SENTENCE = 400 }; /* words; a longer sentence is taken as several */
struct pol_hit {             /* a word where terms begin */
    size_t word, last;       /* number in the sentence; of the longest term's last word */
    size_t clause; /* of the word where capitals begin that it stands in or behind, or 0 */
    pol_lists lists;
    const char *text; /* of the longest term */
    size_t len;
    bool opens;       /* first in a clause; known if the words have places */
    pol_lists behind; /* those of `leads` of which a term ends right before it */
};
struct pol_sentence {
    const struct pol_word *words; /* its first; NULL: the words have no places */
    struct pol_hit hits[POL_SENTENCE];
    size_t count, words_count;
};
/* Lists that have to do with a word's place. */
struct pol_signs {
    pol_lists leads;           /* `behind` is wanted of them */
    pol_lists quoted, shouted; /* what stands behind a quotation mark, begins with capitals */
};
typedef void pol_judge(void *arg, const struct pol_sentence *s);
/* Calls judge for each sentence where terms stand. */
void pol__sentences(const struct pol_terms *terms, const struct pol_words *words,
                    const struct pol_signs *signs, pol_judge *judge, void *arg);
/* True if a term of the lists begins at a word from `from` to `to`. */
bool pol__is_near(const struct pol_sentence *s, pol_lists lists, size_t from, size_t to);
/* The first term of each of the lists among hits[from] to hits[to]: "make ... bomb". */
void pol__say_terms(const struct pol_sentence *s, pol_lists lists, size_t from, size_t to,
                    char what[POL_WHAT]);

/* True if the text shows a password, key or token. */
bool pol__has_secret(const struct pol_text *t);

/* Adds a category, or makes it as severe as this. */
void pol__hazard_add(struct pol_moderation *out, enum pol_hazard_id id, enum pol_severity severity,
                     const char *what);

/* Fills a finding; the reason is cut at a character's end. */
void pol__found(struct pol_finding *out, enum pol_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Adds a seq as evidence; below 0 or beyond the room for them it is left out. */
void pol__cite(struct pol_finding *out, int64_t seq);
/* known: 1 passes, 0 fails, -1 is not assessed. */
void pol__answer(struct pol_finding *out, int known, const char *yes, const char *no);
/* "part of whole what": all passes, up to one in a hundred missing warns, more fails; -1 or none at
 * all is not assessed. */
void pol__share(struct pol_finding *out, int64_t part, int64_t whole, const char *what);

/* Names for a sentence; at most four are spelled out. Zero-initialise. */
struct pol_names {
    char text[200];
    size_t count, spelled;
};
void pol__name(struct pol_names *n, const char *name);
/* "a, b, c, d and 3 more"; call it once, at the end. */
const char *pol__names(struct pol_names *n);

/* Endpoints */
bool pol__is_model(const struct pol_endpoint *e);
bool pol__is_connector(const struct pol_endpoint *e);
/* True if a list of words divided by blanks or commas holds the word, in any case of letters. */
bool pol__lists(const char *list, const char *word);
/* A declared region that is neither this machine ("local") nor Russia. */
bool pol__is_abroad(const char *region);
/* "files to remote (US)" and "remote (US)", cut to size. */
void pol__way(char *out, size_t size, const struct pol_endpoint *from,
              const struct pol_endpoint *to);
void pol__at(char *out, size_t size, const struct pol_endpoint *e);

/* Every control's function. */
#define CONTROL(id, symbol) extern const struct pol_control pol__##symbol;
#include "backend/compliance/controls.def"
#undef CONTROL

#endif
