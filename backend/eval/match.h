/* How an answer stands to statements about it, by words, numbers and negation. Pure.
 *
 * A sentence with a mark (marks.h), and what stands in the mark, is told as disputed: it says
 * nothing but to who asks for what is disputed too. */
#ifndef EVAL_MATCH_H
#define EVAL_MATCH_H

#include <stdbool.h>
#include <stddef.h>

struct claims_reader;
struct eval_said; /* an answer, taken apart once */
/* Of an answer its first 64 KiB. The caller frees. */
struct eval_said *eval_said_new(const char *answer);
void eval_said_free(struct eval_said *s);

enum eval_stand { EVAL_MISSING, EVAL_MET, EVAL_CONTRADICTED };
/* Whether the answer says it: one sentence has every name (host, path, version) and every number of
 * the statement, and at least this share of its other stems, negated as it is, or its claims say
 * 0.8 of the statement's (claims_support); and they do not contradict it. A sentence that has the
 * names and 0.75 of the stems and is negated otherwise, or whose claims contradict it, contradicts
 * it, where no other says it. */
enum eval_stand eval_stands(const struct eval_said *s, const char *statement, double least,
                            bool disputed);
/* How many of its sentences have a mark. */
size_t eval_marked(const struct eval_said *s);
/* To read other texts with, for as long as it lives. */
struct claims_reader *eval_said_reader(const struct eval_said *s);
/* For what is expected, and for what must not be said: whoever is accused is so surely. */
#define EVAL_EXPECTED_COVER 0.6
#define EVAL_FORBIDDEN_COVER 0.85

/* Whether every number in the text stands in the source too; marks like [2] are no numbers. */
bool eval_numbers_in(const char *text, const char *source);

#endif
