/* What the files of prompt injection share. */
#ifndef COMPLIANCE_INJECT_INTERNAL_H
#define COMPLIANCE_INJECT_INTERNAL_H

#include "backend/compliance/inject.h"
#include "backend/compliance/internal.h"

enum { POL__ROT13, POL__BACKWARDS, POL__TURNS };

enum {
    INJECT_WEIGHED = 4096, /* findings that are weighed */
    INJECT_NEAR = 2048,    /* bytes */
    INJECT_TOGETHER = 64
};
struct pol__weight {
    size_t from;
    double weight;
    enum pol_inject_class cls;
};

/* A search under way. */
struct pol__inject_found {
    struct pol_injections all;
    struct pol__weight *weights; /* owned */
    size_t weighed, cap;
    double by_class[POL_INJECT_CLASSES]; /* the greatest weight */
    size_t turned[POL__TURNS];           /* words that are commands when turned over */
    struct {
        bool on;
        size_t from, to;
    } shift;        /* while decoded text is read: where its code stands */
    size_t decoded; /* bytes of it so far */
};

void pol__inject_add(struct pol__inject_found *out, enum pol_inject_class cls, double weight,
                     size_t from, size_t to, const char *what);
/* inject.c: the rules; inject_marks.c: structure, and what is encoded. */
void pol__inject_words(const struct pol_injector *f, const char *text, size_t len,
                       struct pol__inject_found *out);
void pol__inject_marks(const struct pol_injector *f, const char *text, size_t len,
                       struct pol__inject_found *out);

/* inject_code.c: what a code says, newly allocated; NULL: it is none, or says nothing readable.
 * run: letters, digits and signs of base64 (either alphabet, line ends in between) or hex digits.
 */
char *pol__decode_run(const char *run, size_t len, size_t *out_len);
/* The text with \xHH, \uHHHH, %HH, &#N;, &#xH;, &lt; and the like replaced; NULL: it has none.
 * *from, *to: the first and the end of the last. */
char *pol__decode_escapes(const char *text, size_t len, size_t *out_len, size_t *from, size_t *to);
/* The text by rot13, or backwards (code points). */
char *pol__decode_turned(const char *text, size_t len, int turn, size_t *out_len);
/* "i g n o r e   a l l": letters one by one with the same sign between. How many bytes from there
 * are such; *out gets its words with blanks. 0: fewer than eight letters. */
size_t pol__decode_spaced(const char *text, size_t len, struct buf *out);
/* Tag characters and variation selectors in a row say bytes: how many of the text are such from
 * there; *out gets what they say. A flag's are none. */
size_t pol__decode_unseen(const char *text, size_t len, struct buf *out);

#endif
