/* How a variant's answers have moved since a baseline. Pure.
 *
 *   score     relative change of the mean score over the cases that both have
 *   centroid  1 - cosine of the mean vectors of all answers (know_embed without IDF, so that it
 *             does not move with the runbooks)
 *   classes   total variation distance: half the sum of |share before - share now| over the
 *             classes of the safety filter and "none", each a share of all answers
 * One that reaches 10% for the worse (a score that falls; the others are never for the better) is
 * an alert. */
#ifndef EVAL_DRIFT_H
#define EVAL_DRIFT_H

#include "backend/base/json.h"

#define EVAL_DRIFT_ALERT 0.10

struct eval_centroid;
struct eval_centroid *eval_centroid_new(void);
void eval_centroid_free(struct eval_centroid *c);
void eval_centroid_add(struct eval_centroid *c, const char *answer);
/* Base64 of a signed byte for each dimension, 127 its largest; "" of no answers. The caller frees.
 */
char *eval_centroid_text(const struct eval_centroid *c);

/* {variant, cases: how many both have, score: {before, now, change}, centroid: number|null,
 * classes: number|null, alert: bool, why: [score|centroid|classes]} of variants of two results
 * (eval.h). same_set: the sets are the same, else only the score is compared. What of them is
 * foreign may be anything. Caller owns. */
json_t *eval_drift(const json_t *before, const json_t *now, bool same_set);

#endif
