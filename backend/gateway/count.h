/* Private to the gateway room: what each model knows of tokens, and the budget of a try. */
#ifndef GATEWAY_COUNT_H
#define GATEWAY_COUNT_H

#include "backend/gateway/energy.h"
#include "backend/gateway/internal.h"
#include "backend/gateway/learn.h"
#include "backend/gateway/tokens.h"

/* How long a model's answers are (forecast.c). Zero-initialise. */
struct gw__forecast {
    double recent; /* moving average of the output of about the last 8 turns */
    double share;  /* of its limit that an answer took, over about 50 turns */
    int64_t turns;
    struct tel_history error; /* |forecast - output| / output, before each was learnt */
};
/* Tokens of the answer to a request with that limit. */
double gw__forecast_output(const struct gw__forecast *f, int64_t limit);
/* What is kept free beside it, as a share: 0.10 to 0.20, its own error's 90th percentile. */
double gw__forecast_margin(const struct gw__forecast *f);
void gw__forecast_learn(struct gw__forecast *f, int64_t limit, double output);

/* ranks that are read on a worker, once a file; count.c */
struct gw__rank_file;

struct gw__count {               /* of one model */
    struct gw__learner text;     /* without ranks */
    struct gw__learner template; /* with them: what the provider puts around texts */
    struct gw__forecast forecast;
    const struct gw__rank_file *file; /* NULL: none is configured */
    struct gw__energy energy;
    bool changed; /* since gw_learnt_anew */
};
struct gw__count *gw__count_new(void);
/* What was learnt of the same model under an older configuration. */
void gw__count_inherit(struct gw__model *m, const struct gw__model *from);
/* Takes the model's section; the file is begun to be read. ERR_CONFIG with the key in *key and the
 * reason in *e. */
enum err gw__count_configure(struct gw *g, struct gw__model *m, const char *ranks,
                             const char *splitter, const char **key, struct error *e);
/* Models no longer use ranks that are being read; those that are read are freed. */
void gw__count_forget_files(struct gw *g);

/* The ranks, or NULL: none, or not read yet. */
const struct gw__ranks *gw__count_ranks(const struct gw__model *m);
double gw__count_text(const struct gw__model *m, const char *text, size_t len);
/* The relative error to reckon with in a count of the model's, 0.01 (ranks) to 0.15. */
double gw__count_error(const struct gw__model *m);
/* budget.c. What a request may take of this model. */
int64_t gw__budget_of(const struct gw__model *m, const struct gw_request *r);
/* Sets what the answer may take; ERR_TOO_BIG if that is next to nothing. */
enum err gw__budget_begin(struct gw__try *t, struct error *e);
/* After something came: true, and over_budget, if the answer is to end here. */
bool gw__budget_over(struct gw__try *t);

/* Learns from a try that ended well. */
void gw__count_learn(const struct gw__try *t);

#endif
