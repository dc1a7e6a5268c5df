/* Private to the knowledge room. */
#ifndef KNOWLEDGE_INTERNAL_H
#define KNOWLEDGE_INTERNAL_H

#include "backend/base/buf.h"
#include "backend/knowledge/knowledge.h"
#include <stdint.h>

/* map.c: strings to the numbers 0, 1, 2, ... in order of arrival. Zero-initialise. */
#define KNOW__NONE UINT32_MAX
struct know__entry {
    uint64_t hash;
    size_t offset; /* into bytes */
    uint32_t len;
};
struct know__map {
    struct buf bytes;
    struct know__entry *entries;
    uint32_t *slots; /* entry + 1, 0 is empty; open addressing */
    size_t count, cap, slot_count;
};
uint64_t know__hash(const char *s, size_t len); /* FNV-1a, 64 bit */
uint32_t know__map_find(const struct know__map *m, const char *s, size_t len);
uint32_t know__map_put(struct know__map *m, const char *s, size_t len); /* the old one if there */
const char *know__map_name(const struct know__map *m, uint32_t id, size_t *len); /* no NUL behind */
void know__map_release(struct know__map *m);

/* terms.c: words, stop words, stems. */
enum know__script { KNOW__LATIN, KNOW__CYRILLIC, KNOW__OTHER /* digits or several scripts */ };
enum { KNOW__WORD_MAX = 64 }; /* longer words (keys, hashes) are left out: nobody asks for them */
/* Calls fn with each word: letters and digits, lower case, ё as е, decomposed й as й, other marks
 * dropped; "0.52" and "10.0.0.1" stay whole. word is valid in the callback only. */
typedef void know__word_fn(void *arg, const char *word, size_t len, enum know__script script);
void know__words(const char *text, size_t len, know__word_fn *fn, void *arg);
bool know__is_stop(const char *word, size_t len);
void know__each_stop(know__word_fn *fn, void *arg);
/* One per call or thread: libstemmer's objects are not thread-safe. */
struct know__stemmer {
    void *english, *russian;
};
void know__stemmer_init(struct know__stemmer *s);
void know__stemmer_release(struct know__stemmer *s);
/* The stem; valid until the next call. */
const char *know__stem(struct know__stemmer *s, const char *word, size_t len,
                       enum know__script script, size_t *stem_len);
/* Calls fn with the stem of each word that is no stop word. */
typedef void know__stem_fn(void *arg, const char *stem, size_t len);
void know__stems(struct know__stemmer *s, const char *text, size_t len, know__stem_fn *fn,
                 void *arg);

/* synonyms.c: ideas of operations work and the words for them in both languages. */
enum { KNOW__IDEAS_PER_STEM = 4 };
struct know__ideas {
    struct know__map stems;
    int16_t (*same)[KNOW__IDEAS_PER_STEM]; /* by stem: ideas it stands for, -1 at the end */
    uint32_t **members;                    /* by idea: its stems, KNOW__NONE at the end */
    uint32_t **related;                    /* by idea: stems that often go with it */
    size_t count;
};
void know__ideas_init(struct know__ideas *ideas, struct know__stemmer *s);
void know__ideas_release(struct know__ideas *ideas);
/* Calls fn with every word of the table, and with every longer stop word. */
void know__each_word(know__word_fn *fn, void *arg);
/* The ideas of a stem, or NULL. */
const int16_t *know__ideas_of(const struct know__ideas *ideas, const char *stem, size_t len);

/* document.c: one Markdown file, normalised and cut into sections. */
struct know__section {
    char *heading; /* "Title > Heading > Heading" */
    char *text;
};
struct know__document {
    char *title, *tags;
    char lang[4];
    struct know__section *sections;
    size_t count, cap;
};
/* Bytes may be anything; name gives the title if nothing else does. */
void know__document_parse(struct know__document *d, const char *name, const char *bytes,
                          size_t len);
void know__document_release(struct know__document *d);

/* index.c and vector.c: what know_new builds. */
struct know__posting {
    uint32_t chunk;
    float tf;
};
struct know__count { /* of one chunk: a stem and its weighted frequency */
    uint32_t stem;
    float tf;
};
struct know__file { /* a document */
    char *name, *title;
    char lang[4];
    uint32_t first, chunks;
};
struct know__chunk {
    uint32_t file;
    char *heading, *text;
    float length;  /* weighted stems */
    bool commands; /* most lines hold code: steps to take */
};
struct know__vector { /* quantised: value = cells * scale */
    int8_t cells[KNOW_DIM];
    float scale;
};
struct know {
    struct know__ideas ideas;
    struct know__map stems;
    struct know__file *files;
    struct know__chunk *chunks;
    size_t file_count, file_cap, chunk_count, chunk_cap;
    struct know__count *counts; /* chunk by chunk; freed by know__finish */
    size_t *count_start;        /* by chunk, chunk_count + 1 of them while building */
    size_t count_len, count_cap;
    struct know__posting *postings;
    size_t *posting_start; /* by stem, stems.count + 1 of them */
    float *idf;            /* by stem, over chunks */
    double mean_chunk, mean_file;
    struct know__vector *chunk_vectors, *file_vectors;
    size_t bytes;              /* of text taken in */
    struct know__build *build; /* NULL after know__finish */
    const bool *stop;          /* while building: end early, as know_new says; or NULL */
};
bool know__stopped(const struct know *k);
struct know *know__begin(void);
/* Adds a document; false if the index is full, or it is to end early. */
bool know__add(struct know *k, const char *name, const char *bytes, size_t len);
void know__finish(struct know *k);

/* Adds each chunk's BM25 to scores[chunk]. */
void know__lexical(const struct know *k, const char *question, double *scores);
/* Sets scores[chunk] to the cosine. */
void know__vector_scores(const struct know *k, const char *question, double *scores);
void know__vector_build(struct know *k);
float know__idf(const struct know *k, const char *stem, size_t len); /* of the rarest if unknown */
/* know.c: the passages whose score is over the floor, as know_search has them. */
size_t know__best(const struct know *k, const double *scores, double floor, const char *lang,
                  struct know_passage *out, size_t max);
/* know_fit by vectors. */
void know__fit_vector(const struct know *k, const struct know__ideas *ideas,
                      struct know__stemmer *stemmer, const char *question,
                      const char *const *descriptions, size_t n, double *out);

/* folder.c: adds the *.md files below a folder; what was left out is counted and named in *e. */
void know__add_folder(struct know *k, const char *folder, struct error *e);

#endif
