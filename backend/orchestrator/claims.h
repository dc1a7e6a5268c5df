/* Texts compared by what they claim (AR-2, AR-3). Pure: texts in, pairs of claims with a verdict
 * out; no neural net, no clock, no state but what claims_reader_new makes of its tables.
 *
 * A claim is a sentence, a list item, a row of a table, a field (`key: value`), a line of code, or
 * one side of a sentence whose sides are set against each other ("..., but ..."). Two claims
 *   contradict  if they speak of the same thing and differ in a number (units brought together, as
 *               exact as it was written), a date, a time, a name, a field's value, in negation, in
 *               who does what to whom, in how many of them it is said of, or by words of which
 *               only one can hold (claims.def)
 *   agree       if the words of one are met by the other and nothing of that stands against it
 *   else        it is undetermined: most pairs of claims are
 * English and Russian; across the two languages only numbers, names and the words of claims.def
 * meet. Bounds: of a text the first 64 KiB, 96 claims, 96 words a claim. */
#ifndef ORCH_CLAIMS_H
#define ORCH_CLAIMS_H

#include "backend/base/json.h"
#include "backend/knowledge/knowledge.h"

enum claims_verdict {
    CLAIMS_AGREES,
    CLAIMS_CONTRADICTS,
    CLAIMS_ONLY_A,
    CLAIMS_ONLY_B,
    CLAIMS_UNDETERMINED
};
extern const char *const claims_verdict_names[]; /* "agrees", ..., "only A", "only B", ... */

struct claims_reader; /* the tables and a stemmer; not thread-safe: one for each thread */
struct claims_reader *claims_reader_new(void);
void claims_reader_free(struct claims_reader *r);

struct claims; /* a text, read */
/* The text is copied. Bytes may be anything. The reader keeps the texts that were read last, so
 * that one read again costs nothing; what is returned is not written to, and outlives neither the
 * reader nor claims_free. */
struct claims *claims_read(struct claims_reader *r, const char *text, size_t len);
void claims_free(struct claims *c);
size_t claims_count(const struct claims *c);
/* A claim as it was written, without list marks; no NUL behind it. */
const char *claims_text(const struct claims *c, size_t i, size_t *len);
/* Whether it claims something that can be held against a source: no heading, question, lead-in or
 * word of who answers, and at least two words that say something, or a number with one. */
bool claims_assessable(const struct claims *c, size_t i);
/* Whether it cites source id as [id]; without a mark of its own, the next in its line does. */
bool claims_cites(const struct claims *c, size_t i, const char *id);

enum { CLAIMS_WHY = 120 };
struct claims_pair {
    int a, b; /* claims, -1: only the other side says it */
    enum claims_verdict verdict;
    double score; /* how sure, 0..1: from 0.5 on it may be said, from 0.7 on it may be acted on */
    char why[CLAIMS_WHY]; /* the words that decided it, UTF-8: "number: 87% / 88%"; "" none */
};
struct claims_result {
    enum claims_verdict verdict; /* of the whole: agrees, contradicts or undetermined */
    double score;
    struct claims_pair *pairs; /* in the order of a, then what only b has */
    size_t count;
};
/* k (or NULL) gives vectors for claims that share few words. */
void claims_compare(const struct know *k, const struct claims *a, const struct claims *b,
                    struct claims_result *out);
void claims_result_release(struct claims_result *r);
/* {verdict, score, claims: [{a, b, verdict, why}]} with the texts of the claims, null where a side
 * has none. The caller owns. */
json_t *claims_result_json(const struct claims *a, const struct claims *b,
                           const struct claims_result *r);

/* How much of claim i a source says: the share of its words that stand together in the source (in
 * one of its claims, or it and those beside it), and whether each of its numbers and names stands
 * there too, in whatever unit. */
struct claims_support {
    double covered;      /* 0..1 */
    size_t numbers, met; /* of the claim, and of those the source has */
    bool contradicted;   /* the source says otherwise, by at least 0.7 */
    size_t against;      /* which of its claims does, of one that is contradicted */
    char why[CLAIMS_WHY];
};
void claims_support(const struct claims *c, size_t i, const struct claims *source,
                    struct claims_support *out);
/* Whether two claims that contradict each other by their words (why, as claims_support has it) may
 * both hold, because they are of different moments ("at 09:00", "at 12:00"), of the two parts of
 * one whole (90% used, 10% free), count opposites (118 unpaid orders, 40211 paid ones), or are two
 * events of one thing, each with its time, or begin with names of two things. */
bool claims_apart(const struct claims *c, size_t i, const struct claims *d, size_t j,
                  const char *why);
/* Whether two figures (why: "number: 70 / 75") are as near as two measurements of what changes are:
 * 10% of a time, size or rate, 2 points of a share. */
bool claims_fluctuates(const struct claims *c, size_t i, const struct claims *d, size_t j,
                       const char *why);
/* Whether a claim says without a figure that something is full, or done, of which the source says
 * how much it is, under 95%: "/ is full" and "/ is 32% full". Then *out is contradicted by that. */
bool claims_overstates(const struct claims *c, size_t i, const struct claims *source,
                       struct claims_support *out);
/* Whether both are rows of figures, of which nothing says which is which. */
bool claims_rows(const struct claims *c, size_t i, const struct claims *d, size_t j);
/* Whether two claims that contradict each other (why) are about one thing: each has so many of the
 * other's words. "Cores: 2" is not what "32% of one core" is about. */
bool claims_about_one(const struct claims *c, size_t i, const struct claims *d, size_t j,
                      const char *why);
/* Whether both name one thing: a host, an address; a path is on every host. */
bool claims_share_name(const struct claims *c, size_t i, const struct claims *d, size_t j);

#endif
