/* Evaluation: a golden set asked of several ways to answer, side by side, scored and logged.
 *
 * A variant is flow[/model+model...]; models as chat.ask takes them, those of the configuration
 * where none are named. Each question is a trace of its own, asked with recorded tools: nothing
 * outside is called but the models.
 *
 * Invariants
 * E1 One run at a time; it ends in one entry of type `eval`, however it ends, unless the console
 *    stops first: then its traces alone stand in the log.
 * E2 What is scored is what the log holds: rows name their traces. */
#ifndef EVAL_H
#define EVAL_H

#include "backend/orchestrator/orchestrator.h"

enum { EVAL_VARIANTS = 8, EVAL_PARALLEL = 8, EVAL_QUESTIONS = 8000, EVAL_NAME = 64 };

struct evals;
struct evals_rooms { /* all borrowed, must outlive it */
    struct loop *loop;
    struct store *store;
    struct prov *prov;
    struct orch *orch;
};
/* told: {run, name, state: running|done|stopped|failed, done, total, entry?}, borrowed; now and
 * then, and at the end. */
typedef void evals_told(void *arg, const json_t *progress);
struct evals *evals_new(const struct evals_rooms *rooms, evals_told *told, void *arg);
void evals_close(struct evals *ev); /* a run that is under way is given up */
void evals_free(struct evals *ev);

struct evals_order {  /* copied as far as it is needed */
    const char *name; /* of the set, 1..EVAL_NAME bytes */
    const char *set;  /* its text; NULL: the built-in set of that name */
    const char *const *variants;
    size_t variant_count;   /* 1..EVAL_VARIANTS */
    size_t parallel;        /* questions at once, 1..EVAL_PARALLEL */
    uint64_t seed;          /* of the resampling */
    const json_t *baseline; /* the result of an earlier run; NULL: the newest that was kept as
                               the baseline of a set of that name, if there is one */
    bool keep;              /* as the baseline from now on */
    const char *actor;
};
/* Begins a run; id gets its 32 hex digits. INVALID (the set, a variant), NOT_FOUND (a flow, a
 * model, a built-in set), BUSY, TOO_BIG, CLOSED. */
enum err evals_start(struct evals *ev, const struct evals_order *o, char id[33], struct error *e);
/* A trace of an evaluation has ended, as the orchestrator tells it. */
void evals_turn(struct evals *ev, const json_t *trace);
/* Ends the run early; what was scored is kept. NOT_FOUND: that is not under way. */
enum err evals_stop(struct evals *ev, const char *id, struct error *e);
/* A run's result as docs/evaluation.md has it, with its entry; of the one under way {run, name,
 * state, done, total}. NULL with *e: NOT_FOUND. Caller owns. */
json_t *evals_get(struct evals *ev, const char *id, struct error *e);
/* {run, name, state, done, total}; NULL: none is under way. Caller owns. */
json_t *evals_running(const struct evals *ev);
/* Runs without their rows, newest first; before: an entry, -1 from the newest. NULL with *e. Caller
 * owns. */
json_t *evals_list(struct evals *ev, int64_t before, size_t limit, struct error *e);
/* [{name, bytes}]: the sets that are built in. Caller owns. */
json_t *evals_sets(void);
/* What the newest run says of drift, a line; "": nothing to say. Valid until the next run ends. */
const char *evals_alert(struct evals *ev);

#endif
