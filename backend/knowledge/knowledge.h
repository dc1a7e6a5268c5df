/* Runbooks: normalise, chunk, index, retrieve. Documents are Markdown with an optional head of
 * `title:`, `tags:`, `lang:` lines between `---` lines; a chunk is a section (heading path, text).
 *
 * Two ways to rank, both without a neural net:
 *   lexical  BM25 (Robertson, Zaragoza 2009; k1 1.2, b 0.75) over Snowball stems, English and
 *            Russian; words of the same idea count a little
 *   vector   cosine of hashed TF-IDF vectors of stems, ideas (synonyms of both languages) and
 *            character trigrams (KNOW_DIM signed cells, feature hashing: Weinberger 2009), heading
 *            words weighted */
#ifndef KNOWLEDGE_H
#define KNOWLEDGE_H

#include "backend/base/buf.h"
#include "backend/base/embed.h"
#include "backend/base/errors.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KNOW_DIM = 2048 };
enum know_way { KNOW_LEXICAL, KNOW_VECTOR };

struct know;

struct know_passage {
    const char *document; /* "runbooks/en/disk-full.md" or the user's path; belongs to the index */
    const char *title;
    const char *heading; /* heading path "Disk full > Find what grew" */
    const char *text;    /* Markdown of the section */
    const char *lang;    /* "en", "ru" */
    unsigned id;         /* of the chunk, stable while the index lives */
    double score;        /* BM25 plus 0.6 of the document's, or the cosine (> 0.12) with 0.4 of the
                            document's mixed in; times 1.3 for sections of commands */
};

/* Indexes the built-in set (NULL-named end) and, if folder is not "", its *.md files (recursively,
 * at most 20,000 files of at most 1 MiB, 256 MiB and 100,000 chunks in all). What could not be read
 * is counted and named in *e (which is a warning then). Runs on any thread; the result is read-only
 * afterwards and may be shared. Once *stop (NULL: never) is true, set atomically by another thread,
 * it ends early: then the result is only to be freed. */
struct know *know_new(const struct embed_file *builtin, const char *folder, const bool *stop,
                      struct error *e);
void know_free(struct know *k);
size_t know_documents(const struct know *k);
size_t know_chunks(const struct know *k);

/* The best passages for a question, best first; lang "en" or "ru" is preferred (others are kept
 * when nothing of that language fits), NULL: any. Returns how many (<= max). Thread-safe. */
size_t know_search(const struct know *k, enum know_way way, const char *question, const char *lang,
                   struct know_passage *out, size_t max);

/* Vectors of the passages that a model made elsewhere, to search by in the place of the built-in
 * ones, once every passage has one. For one thread. k has to outlive it. */
struct know_dense;
struct know_dense *know_dense_new(const struct know *k);
void know_dense_free(struct know_dense *d); /* NULL is fine */
/* What a model is to be given of a passage: heading and text, its first so many bytes at most. The
 * caller frees. Thread-safe. */
char *know_dense_text(const struct know *k, unsigned id, size_t bytes);
/* A vector in eight bits a cell, as know_dense_put takes it and as it can be kept. */
void know_dense_quantise(const float *v, size_t dimensions, int8_t *out);
/* False: it is zero, or of another length than those before it. */
bool know_dense_put(struct know_dense *d, unsigned id, const int8_t *cells, size_t dimensions);
bool know_dense_has(const struct know_dense *d, unsigned id);
size_t know_dense_missing(const struct know_dense *d); /* passages without a vector */
size_t know_dense_length(const struct know_dense *d);  /* of each; 0: there is none yet */
/* The best passages as know_search has them, for the vector of a question by the same model. The
 * score is the cosine without what all passages have in common, 0.4 of the document's mixed in,
 * times 1.3 for sections of commands; those count that stand two standard deviations over the mean.
 * 0 also if vectors are missing; the question's is of their length. */
size_t know_dense_search(struct know_dense *d, const float *question, const char *lang,
                         struct know_passage *out, size_t max);

/* How much of a question a document speaks of, 0..1: the share of the question's stems, weighted by
 * IDF, that it has, those of the same idea counting 0.8. id is of one of its passages. Thread-safe.
 */
double know_cover(const struct know *k, const char *question, unsigned id);
/* The question with its unknown words read as the nearest words of operations work, in lower case
 * without punctuation, newly allocated; what was read as what is added to *notes. NULL: nothing to
 * correct. Thread-safe. */
char *know_correct(const struct know *k, const char *question, struct buf *notes);

/* The sections with commands (steps to take) of the document that a passage is from, in its order;
 * their score is 0. Who asks wants to act, and the section that best matches a question often only
 * describes. Returns how many (<= max). Thread-safe. */
size_t know_steps(const struct know *k, unsigned id, struct know_passage *out, size_t max);

/* The embedding that `vector` uses, L2-normalised; k gives the IDF weights (NULL: none).
 * Thread-safe. */
void know_embed(const struct know *k, const char *text, float out[KNOW_DIM]);
double know_cosine(const float *a, const float *b);

/* How well each of n short descriptions fits the question, in 0..1 (share of the question's
 * informative stems and their synonyms that are met for lexical, cosine for vector): for picking
 * tools. */
void know_fit(const struct know *k, enum know_way way, const char *question,
              const char *const *descriptions, size_t n, double *out);

/* Splits text into sentences (Markdown list items and lines count as sentences; abbreviations,
 * numbers and paths do not end one). Calls fn with each trimmed sentence. */
typedef void know_sentence_fn(void *arg, const char *sentence, size_t len);
void know_sentences(const char *text, know_sentence_fn *fn, void *arg);
/* Stems of a text without stop words but with negations, space-separated, newly allocated; the
 * caller frees. For comparing claims. */
char *know_stems(const char *text);

/* Words one by one, for who compares texts by their words: what this takes to make is made once.
 * Not thread-safe: one for each thread. */
struct know_words;
struct know_words *know_words_new(void);
void know_words_free(struct know_words *w);
/* The stem of a word in lower case (Latin or Cyrillic letters; anything else is its own stem) of at
 * most 64 bytes; valid until the next call. */
const char *know_words_stem(struct know_words *w, const char *word, size_t len, size_t *stem_len);
/* The ideas of operations work that a stem stands for, in either language: for know_words_alike;
 * they live as long as w. NULL: none. */
const int16_t *know_words_ideas(const struct know_words *w, const char *stem, size_t len);
/* Whether two stems stand for one idea; each may be NULL. */
bool know_words_alike(const int16_t *a, const int16_t *b);
/* A word that carries no subject. */
bool know_words_stop(const char *word, size_t len);

#endif
