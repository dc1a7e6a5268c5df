/* What answers say against each other and against the sources, claim by claim. Pure.
 *
 * A tool's result outranks a model's word: what a tool says otherwise is refuted, whoever agrees on
 * it. Two readings that each stand in a source are no dispute. */
#ifndef ORCH_DISPUTES_H
#define ORCH_DISPUTES_H

#include "backend/gateway/gateway.h"
#include "backend/orchestrator/claims.h"

struct orch_reading; /* answers and sources, read into claims */
struct orch_answer;
/* All is borrowed; reader NULL: one is made for it alone. */
struct orch_reading *orch_reading_new(struct claims_reader *reader, const struct know *k,
                                      const struct orch_answer *answers, size_t n,
                                      const struct gw_source *sources, size_t source_count);
void orch_reading_free(struct orch_reading *r);
/* How many claims of an answer a tool's result contradicts; of all that claim something. why gets
 * the first: "number: 87% / 88%". */
size_t orch_reading_refuted(const struct orch_reading *r, size_t answer, size_t *claims,
                            char why[CLAIMS_WHY]);
/* Whether a number of a sentence stands in a source, in whatever unit. */
bool orch_reading_number(const struct orch_reading *r, size_t source, const char *sentence,
                         size_t len);
/* Adds the claims of two answers: {models: [a, b], a, b, verdict, score, why, settled: "a"|"b"|""},
 * and to disputed a sentence for each contradiction that no source settles, at most 8 in all. */
void orch_reading_compare(const struct orch_reading *r, size_t a, size_t b, json_t *claims,
                          json_t *disputed);

#endif
