/* What questions and tools speak of, beside their words: rows of concepts.def. A question for why a
 * thing is slow is served by who tells latency, load or locks, in whatever language either is.
 * For one thread: words are stemmed by a stemmer of its own. */
#ifndef ORCH_CONCEPTS_H
#define ORCH_CONCEPTS_H

#include <stdbool.h>
#include <stddef.h>

enum { CONCEPTS_MOST = 96 };

struct concepts;
struct concepts *concepts_new(void);
void concepts_free(struct concepts *c); /* NULL is fine */

/* Calls fn with each word in lower case, ё as е. Words of letters and digits; of one that is
 * written like getPodLogs its parts too. word is valid in the callback only. */
typedef void concepts_word(void *arg, const char *word, size_t len);
void concepts_words(const char *text, concepts_word *fn, void *arg);

/* Raises to `weight` what the text's words stand for, by row. */
void concepts_read(struct concepts *c, const char *text, double weight, double said[CONCEPTS_MOST]);
/* Takes out the rows that say little (VAGUE of concepts.def). */
void concepts_precise(double said[CONCEPTS_MOST]);
/* The share of a text's words that are of operations work, 0..1: those that carry no subject, and
 * figures, are not counted. */
double concepts_share(struct concepts *c, const char *text);
/* What there is to look at where that is asked: the rows themselves at their weight, those related
 * below it, the first named the most. */
void concepts_follow(const struct concepts *c, const double asked[CONCEPTS_MOST],
                     double wanted[CONCEPTS_MOST]);
/* How well who speaks of `told` serves who wants that, 0..1: 1 minus the product of what each row
 * that was asked for, and the best of those related, leave over (noisy or). Who speaks of
 * everything says less of each. */
double concepts_met(const double wanted[CONCEPTS_MOST], const double told[CONCEPTS_MOST]);

/* Marks the rows that were asked for and that who speaks of `told` serves, itself or by one of the
 * first that are related. */
void concepts_served(const struct concepts *c, const double asked[CONCEPTS_MOST],
                     const double told[CONCEPTS_MOST], bool served[CONCEPTS_MOST]);

#endif
