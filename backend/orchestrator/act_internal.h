/* Private to the files of plans: plans.c, act_*.c. */
#ifndef ORCHESTRATOR_ACT_INTERNAL_H
#define ORCHESTRATOR_ACT_INTERNAL_H

#include "backend/base/buf.h"
#include "backend/orchestrator/plans.h"
#include "backend/orchestrator/prepare.h"
#include <stdio.h>
#include <stdlib.h>

enum {
    ACT_STEPS = 32,
    ACT_BYTES = 128 * 1024, /* of a plan's core */
    ACT_WAIT_S = 3600,
    ACT_OPEN = 256,  /* plans that are not over */
    ACT_TEXT = 4096, /* bytes of a tool's text that are kept in an entry */
    ACT_APPROVALS = 8,
    ACT_VERIFY_EVERY_MS = 1000
};

struct plan {
    struct plans *owner;
    struct plan *next;
    char id[33];
    json_t *doc; /* what plans_get answers: a function of the entries (A5) */
    int64_t entry;
    int64_t approvals[ACT_APPROVALS];
    size_t approval_count;
    bool deciding; /* an entry of a decision is being written: no other one now */
    /* of a run */
    struct tel_span *span;                     /* of the run under way, or NULL */
    struct tel_context context;                /* the span that its calls are part of */
    bool running, undoing, wanted_stop, alive; /* alive: a call or a timer will go on */
    bool previewing;                           /* that call is a preview */
    char *stop_why;
    size_t step;                   /* at which it is */
    int64_t run_entry, at_entry;   /* of the run; of the call that is under way */
    int64_t step_entry[ACT_STEPS]; /* of each step's last result or call, for rollbacks */
    struct conn_call *call;
    struct loop_timer *timer;
    uint64_t verify_until, verify_began;
    int64_t tries;
    size_t again; /* steps of the canary that are verified again, and */
    bool again_now;
    plans_done *resolving; /* a verification that a person asked for */
    void *resolving_arg;
};

struct plans {
    struct plans_rooms rooms;
    plans_event *event;
    void *arg;
    struct plan *first; /* open ones, newest first; a closed one goes when nothing refers to it */
    size_t count;
    struct plans_limits limits;
    struct orch_preparer preparer;
    uint64_t step_ms, verify_ms;
    bool closed;
    unsigned writes;
};

int act__risk_rank(const char *risk); /* 0 low .. 2 high; -1: none of them */
const json_t *act__pointer(const json_t *value, const char *pointer);

/* act_log.c */
/* Appends an entry of a plan (taking the payload) and, when it is durable, applies it to the doc
 * and calls then(plan, seq, e). With an error nothing was applied. */
typedef void act_then(struct plan *plan, int64_t seq, const struct error *e, void *arg);
int64_t act__log(struct plan *plan, const char *type, const char *actor, json_t *payload,
                 const struct prov_edge *parents, size_t parent_count, act_then *then, void *arg);
/* The same of what came of a call, with the whole result beside what the payload says of it. r:
 * NULL or an error: there is none. */
void act__log_result(struct plan *plan, const char *type, json_t *payload,
                     const struct conn_result *r, const struct prov_edge *parents,
                     size_t parent_count, act_then *then);
void act__apply(struct plan *plan, const char *type, const json_t *payload, int64_t seq);
const char *act__state(const struct plan *plan); /* as it is now, also expired */
bool act__state_is(const struct plan *plan, const char *state);
void act__tell(struct plan *plan);
enum err act__load(struct plans *p, struct error *e);
/* A closed plan from its entries; NULL with *e. Not in the list: the caller frees it. */
struct plan *act__read(struct plans *p, const char *id, struct error *e);
struct plan *act__new(struct plans *p, const char *id);
void act__free(struct plan *plan);
enum err act__hash(const json_t *body, char hex[65], struct error *e);

/* act_tools.c: what connectors have for a plan */
/* Every call of the core: its tool is there, the level allows it, the arguments fit. pins: the hash
 * of each step's tool and of its rollback's, facts for plans_risk; both owned by the caller. */
enum err act__tools_check(struct plans *p, const json_t *core, json_t **pins, json_t **facts,
                          struct error *e);
/* A call of a step, as {connector, tool, arguments}, with what it takes from the step's result; *e:
 * something of that is missing. Caller owns. */
json_t *act__part(const struct plan *plan, size_t step, const char *part, struct error *e);
/* What verification and rollback of a step take from its result: {pointer: value}. Caller owns. */
json_t *act__taken(const json_t *step, const json_t *value);
/* Starts a call of a step: part NULL (the step's own), "verify", "rollback" or "preview". */
struct conn_call *act__call(struct plan *plan, size_t step, const char *part, conn_done *done,
                            struct error *e);
/* What a check looks at: structured content, or the text as JSON, or as a text. Caller owns. */
json_t *act__value(const struct conn_result *r);

/* act_run.c */
void act__run_next(struct plan *plan);
/* The span of a run: below what asked for it, above its calls. failed: a code, or NULL. */
void act__span_begin(struct plan *plan, bool undo);
void act__span_end(struct plan *plan, const char *failed);
void act__previews(struct plan *plan);     /* of all steps that have one */
void act__previews_end(struct plan *plan); /* those that are under way: nobody waits for them */
void act__undo(struct plan *plan);
void act__run_stop(struct plan *plan, const char *why);
void act__verify_asked(struct plan *plan, size_t step, plans_done *done, void *arg);
json_t *act__step(const struct plan *plan, size_t step);

#endif
