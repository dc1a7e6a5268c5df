/* What an answer is worth against its case, and a variant over all cases. Pure.
 *
 *   score of a case = met / (expected + forbidden that was said + contradictions), 0..1
 *   met            expected statements that the answer says (match.h)
 *   contradictions expected statements that it contradicts, and sentences that a tool's result
 *                  contradicts (grounding.h)
 *   unsupported    sentences that cite no source that exists, or have a number that none of the
 *                  cited ones has; an answer that says that it has none makes no sentences
 * A case that was not answered scores 0. */
#ifndef EVAL_SCORE_H
#define EVAL_SCORE_H

#include "backend/base/json.h"
#include "backend/eval/stats.h"
#include "backend/knowledge/knowledge.h"

/* {case, trace_id, state, score, expected, met, missed: [statement], contradicted: [statement],
 * forbidden: [statement], citations, cited, sentences, unsupported, contradictions, contradictory:
 * bool, elapsed_ms, input_tokens, output_tokens, cost: {amount, currency}|null, classes: [text]} of
 * the trace that a case (eval_set_read) ended in. Caller owns. */
json_t *eval_score(const json_t *one, const json_t *trace);
/* A row for a question that never became a trace. */
json_t *eval_score_failed(const json_t *one, const char *why);

/* {score: interval, met, expected, citations, cited, contradictory, contradictions, sentences,
 * unsupported, failed, elapsed_p50_ms, elapsed_p95_ms, input_tokens, output_tokens,
 * cost: {amount, currency}|null, classes: {name: count}} of all rows of a variant. Caller owns. */
json_t *eval_summary(const json_t *rows, uint64_t seed);
/* {difference: interval, win_rate: interval, contradictory: interval} of rows a against rows b, of
 * the same cases in the same order; an interval is {value, low, high}. Caller owns. */
json_t *eval_compare(const json_t *a, const json_t *b, uint64_t seed);

#endif
