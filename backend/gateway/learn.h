/* Private to the gateway room: an estimate of a text's tokens that learns from what a model's
 * provider reports. Pure; no clock, no file.
 *
 * tokens = sum of (what of the text counts, features.def) x (what one of it is worth). The worths
 * are the least squares of what was reported, weighted for relative error, with forgetting, none
 * below 0 (coordinate descent on the normal equations), held near the priors while little is known.
 */
#ifndef GATEWAY_LEARN_H
#define GATEWAY_LEARN_H

#include "backend/base/json.h"
#include "backend/telemetry/telemetry.h"
#include <stddef.h>
#include <stdint.h>

enum gw__script {
    GW__SCRIPT_NONE,
    GW__SCRIPT_LATIN,
    GW__SCRIPT_CYRILLIC,
    GW__SCRIPT_CJK,
    GW__SCRIPT_DIGITS,
    GW__SCRIPT_SIGNS,
    GW__SCRIPT_SPACE,
    GW__SCRIPT_OTHER,
    GW__SCRIPTS
};
enum gw__feature {
#define FEATURE(id, script, prior) GW__F_##id,
#include "backend/gateway/features.def"
#undef FEATURE
    GW__FEATURES
};

struct gw__features { /* of texts; zero-initialise */
    double count[GW__FEATURES];
    double bytes[GW__SCRIPTS];
};
/* Adds a text's. Texts are counted each for itself: a word does not go on in the next. */
void gw__features_add(struct gw__features *f, const char *text, size_t len);

struct gw__learner {
    double a[GW__FEATURES][GW__FEATURES], b[GW__FEATURES]; /* the normal equations */
    double worth[GW__FEATURES];
    double seen[GW__SCRIPTS], tokens[GW__SCRIPTS]; /* bytes learnt from, and their tokens */
    int64_t turns;
    struct tel_history
        error; /* |estimate - reported| / reported, of calls, before each was learnt */
};
void gw__learner_init(struct gw__learner *l);
double gw__learner_tokens(const struct gw__learner *l, const struct gw__features *f);
/* Learns that texts were so many tokens. One that is far from the estimate counts for less: a
 * provider that counts something else for once teaches little. What no tokenizer makes of them
 * teaches nothing: less than a quarter of the priors' sum, or more than there are bytes. */
void gw__learner_learn(struct gw__learner *l, const struct gw__features *f, double tokens);
/* Notes a call's error: what was estimated of it before, and what was reported (> 0). */
void gw__learner_judge(struct gw__learner *l, double estimate, double reported);
/* Bytes a token of a script; 0: nothing of it was seen. */
double gw__learner_bytes(const struct gw__learner *l, enum gw__script s);
/* All it knows, to be kept; the caller owns. */
json_t *gw__learner_save(const struct gw__learner *l);
/* False, and l as after init, if it is not what save gives. */
bool gw__learner_load(struct gw__learner *l, const json_t *saved);

#endif
