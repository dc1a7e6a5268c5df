/* Tokens of requests: how many a text is, what was learnt of that, how many an answer will take,
 * and requests made to fit a model's budget.
 *
 * Exact where the model's ranks are configured and read; otherwise learnt from the usage that the
 * provider reports. The built-in models count by gw_estimate_tokens; they have no budget. */
#ifndef GATEWAY_FIT_H
#define GATEWAY_FIT_H

#include "backend/gateway/gateway.h"

/* Tokens of a text as this model's tokenizer would count them. */
int64_t gw_count_tokens(const struct gw *g, const char *model, const char *text);
/* How a model's tokens are counted: {method: exact|learned|prior, error: why its ranks
 * are not used|"", turns, p50, p95: relative error of the last turns|null, bytes_per_token:
 * {latin, cyrillic, cjk, digits, signs, space, other}: of what was learnt, budget}; null for a
 * built-in one. The caller owns. */
json_t *gw_tokens_of_model(const struct gw *g, const char *model);

/* What a request has besides its fixed text: sources, and answers to compare. */
struct gw_fit_part {
    const char *id, *text;
    double fit;        /* how well it fits the question, 0..1 */
    const char *frame; /* what is sent around it if any of it is; NULL: nothing */
    const char *gone;  /* what is sent in its place if nothing of it is; NULL: nothing */
    bool aside;        /* none of it has room before all of the others has */
};
struct gw_fit_ask {
    const char *model;
    const char *fixed;    /* all that is sent as it is: instructions, question */
    const char *question; /* by whose words the parts are judged */
    const struct gw_fit_part *parts;
    size_t part_count;
    int64_t max_output; /* tokens; 0: as many as there is room for */
};
/* Makes the parts fit beside the fixed text and the answer (spec GW-4; at most 0.4 of the budget
 * is kept for that). texts gets one text for each part, "" if nothing of it has room; the caller
 * frees each. A shortened part ends in a line that says how many lines are left out; a line that
 * was cut, in " [...]". The best line of each part goes first, those that fit best before the
 * others, cut if need be; then lines with errors or measures, and each part's first. Returns
 * {budget, forecast, margin, fixed, before, after: tokens; kept, dropped: lines, both 0 if all had
 * room; parts: [{id, before, after, dropped; kept: [[offset, bytes]] of the text, if lines are
 * dropped}]}, which the caller owns; NULL, and texts untouched,
 * for a built-in or unknown model. */
json_t *gw_fit(const struct gw *g, const struct gw_fit_ask *a, char **texts);

/* Whether a request has room beside an answer as gw_fit would reckon with it; true for a built-in
 * model. */
bool gw_has_room(const struct gw *g, const char *model, const struct gw_request *r);

/* What was learnt, to be kept over restarts; the caller owns. */
json_t *gw_learnt(const struct gw *g);
/* Takes over what was kept of models that are still the same; the rest is left out. */
void gw_learn_from(struct gw *g, const json_t *kept);
/* True once after something was learnt since the last time. */
bool gw_learnt_anew(struct gw *g);

#endif
