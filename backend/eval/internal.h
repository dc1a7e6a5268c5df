/* What the evaluation's files share. */
#ifndef EVAL_INTERNAL_H
#define EVAL_INTERNAL_H

#include "backend/eval/drift.h"
#include "backend/eval/eval.h"
#include "backend/eval/score.h"
#include "backend/eval/set.h"

enum { EVAL_MODELS = ORCH_MODELS };

struct eval__variant {
    char *name, *flow; /* flow "": as configured */
    char *models[EVAL_MODELS];
    size_t model_count;
    json_t *rows; /* by case; null until it is scored */
    struct eval_centroid *centroid;
};

struct eval__run {
    char id[33], sha256[65], at[32];
    char *name, *actor;
    json_t *cases;
    struct eval__variant variants[EVAL_VARIANTS];
    size_t variant_count, parallel;
    size_t asked, done; /* questions, of cases x variants; variant by variant within a case */
    size_t running;
    json_t *under_way; /* trace id -> number of the question */
    uint64_t seed, told_ms;
    json_t *baseline; /* a result, or NULL */
    bool keep;
    struct error failed; /* why it ends early, or OK */
    const char *state;   /* "running", "done", "stopped", "failed" */
};

struct evals {
    struct evals_rooms rooms;
    evals_told *told;
    void *arg;
    struct eval__run *run;    /* NULL: none is under way */
    struct loop_timer *timer; /* the next questions */
    char *alert;              /* NULL: not looked up yet */
    bool closed;
};

/* result.c: what a run came to. Caller owns. */
json_t *eval__result(const struct eval__run *r);
/* {run, name, state, done, total} of one under way. Caller owns. */
json_t *eval__progress(const struct eval__run *r);
/* The line of evals_alert for a result; the caller frees. */
char *eval__alert(const json_t *result);
/* The newest result that was kept as the baseline of that set; NULL: there is none. Caller owns. */
json_t *eval__baseline(struct evals *ev, const char *name);
/* "flow/a+b" into v, whose strings are owned. INVALID. */
enum err eval__variant_read(const char *text, struct eval__variant *v, struct error *e);
void eval__variant_release(struct eval__variant *v);

#endif
