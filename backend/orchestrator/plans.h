/* Plans: changes that are proposed, approved by persons, run once, verified, and undone or stopped.
 * docs/approvals.md says it for people; docs/evidence-format.md has the entries.
 *
 * proposed -> approved -> running -> done | failed | stopped | unknown
 *         \-> rejected | withdrawn | expired          stopped, unknown -> running | failed
 *
 * Invariants
 * A1 A plan never changes: its hash covers everything that is run. What differs is another plan,
 *    and an approval holds for one hash only.
 * A2 A plan runs only with as many approvals by distinct persons as its risk needs, before it
 *    expires, while the kill switch is off; text of tools and models never approves anything.
 * A3 A step's intent is durable before its call is made, and its outcome before the next one.
 * A4 A call that may have run is never made again by itself: after a crash, a time limit or a stop
 *    its step is `unknown` until a person says what is the case.
 * A5 A plan's state is a function of its entries in the log: restarting replays them. */
#ifndef ORCHESTRATOR_PLANS_H
#define ORCHESTRATOR_PLANS_H

#include "backend/base/conf.h"
#include "backend/base/json.h"
#include "backend/connectors/connectors.h"
#include "backend/provenance/provenance.h"

struct plans;
struct plans_rooms { /* all borrowed, must outlive it */
    struct loop *loop;
    struct store *store;
    const struct conf *conf;
    struct prov *prov;
    struct conn_registry *conn;
    struct tel *tel; /* or NULL */
};
/* Something changed: the plan as plans_get answers it. data is borrowed. */
typedef void plans_event(void *arg, const json_t *plan);
struct plans *plans_new(const struct plans_rooms *rooms, plans_event *event, void *arg,
                        struct error *e);
/* Ends what runs (its steps become unknown or stay to be run); does not block. */
void plans_close(struct plans *p);
void plans_free(struct plans *p);

struct plans_who { /* strings are copied; NULL where there is none */
    const char *role, *session, *user;
    const char *name;               /* as somebody typed it: noted, proves nothing */
    const char *person, *signature; /* of [person], and in base64: over plans_statement */
    const char *from;               /* "hand", "file", "copilot" */
};
/* What plans answer with; result is borrowed, NULL with e. May run inside the call. */
typedef void plans_done(void *arg, const json_t *result, const struct error *e);

/* core as docs/approvals.md has it; question: the entry for which it is proposed, or -1. Answers
 * the plan. INVALID, NOT_FOUND (no such tool), DENIED (a connector's level), OVERLOADED. */
void plans_propose(struct plans *p, const json_t *core, const struct plans_who *who,
                   int64_t question, plans_done *done, void *arg);
/* hash: what the person saw. DENIED: the same person again, a bad signature. INVALID: another hash
 * or state. */
void plans_approve(struct plans *p, const char *id, const char *hash, const struct plans_who *who,
                   plans_done *done, void *arg);
void plans_reject(struct plans *p, const char *id, const char *reason, const struct plans_who *who,
                  plans_done *done, void *arg);
/* Runs, or goes on with, what was approved. Answers when that is durable; the rest is events. */
void plans_run(struct plans *p, const char *id, const struct plans_who *who, plans_done *done,
               void *arg);
/* Stops a plan that runs after cancelling its call; withdraws one that does not run yet. */
void plans_stop(struct plans *p, const char *id, const char *reason, const struct plans_who *who,
                plans_done *done, void *arg);
/* What is the case with a step that is unknown: verify (its check is made now), done, not_done; or
 * of a plan that stands: undo (its rollbacks are run), close. step is for the first three. */
void plans_resolve(struct plans *p, const char *id, const char *outcome, int64_t step,
                   const struct plans_who *who, plans_done *done, void *arg);
/* Every running plan stops. For the kill switch: at once, what was under way is unknown. */
void plans_halt(struct plans *p, const char *why);

/* The plan of docs/protocol.md; NULL with *e. Caller owns. */
json_t *plans_get(struct plans *p, const char *id, struct error *e);
/* Somebody who may approve it looks at it: previews that are too old (conf preview_seconds) are
 * made anew, and come as events. */
void plans_look(struct plans *p, const char *id);
/* Newest first, without steps' arguments and texts; before: rowid cursor, -1 from the newest. */
json_t *plans_list(struct plans *p, int64_t before, size_t limit, struct error *e);
/* How many wait for a person: proposed, approved and unknown ones. */
size_t plans_waiting(const struct plans *p);
/* The text that a person's key signs. The caller frees. */
char *plans_statement(const char *id, const char *hash);

/* Strictly reads a plan's core; a new normalised object, NULL with *e (INVALID says where). */
json_t *plans_parse(const json_t *core, struct error *e);
/* {risk: low|medium|high, points, reasons: [text]} by risk.def; facts: a row a step {acting,
 * destructive, personal, abroad}. */
struct plans_limits {
    int64_t medium, high, many_targets;
};
json_t *plans_risk(const json_t *core, const json_t *facts, const struct plans_limits *l);
/* Does value meet {pointer, op, value}? *observed: what stands at the pointer (caller owns; NULL:
 * nothing). */
bool plans_check(const json_t *check, const json_t *value, json_t **observed);

/* ---- the kill switch (kill.c): on while the file KILL is in the state directory or the log says
 * so; only kill_set(false) lifts it. */
struct kill;
struct kill_rooms {
    struct loop *loop;
    struct store *store;
    struct prov *prov;
    const char *state_dir;
    size_t (*stop)(void *arg, bool on); /* stops what acts, at once; how much was stopped */
    void (*changed)(void *arg);
    bool (*may_lift)(void *arg); /* may it be lifted from outside, by the file KILL.lift? */
    void *arg;
};
/* Looks at once: when it returns, what must not act does not. NULL with *e. */
struct kill *kill_new(const struct kill_rooms *rooms, struct error *e);
void kill_close(struct kill *k); /* looks no more and stops nothing */
void kill_free(struct kill *k);
bool kill_is_on(const struct kill *k);
/* On: acts before it is logged. Off: logs first. done may be NULL. */
void kill_set(struct kill *k, bool on, const char *reason, const struct plans_who *who,
              plans_done *done, void *arg);
/* {on, since, by, reason, ended}. Caller owns. */
json_t *kill_status(const struct kill *k);

#endif
