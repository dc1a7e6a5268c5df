/* Budgets: the [budget NAME] sections, and what stands against them.
 *
 * A budget holds for all calls (day), or for each model, session of the log or project apart; it
 * begins anew each day or month, or never. What it counts against is the ledger: a budget that
 * nobody asked for yet is summed up from there, then kept in memory.
 *
 * Invariants
 * B1 What is spent and what is held for calls under way are never more than the limit, as far as
 *    the most that a call may come to was told rightly when it was let in.
 * B2 A call is let in by all budgets that it falls under, or by none.
 * B3 Each threshold is told of once for each subject and period, also over restarts. */
#ifndef COST_BUDGET_H
#define COST_BUDGET_H

#include "backend/cost/cost.h"

struct cost_budgets;

/* A threshold was passed. Whoever is told writes it down with cost_warned. */
struct cost_warning {
    const char *budget, *subject, *period; /* subject "" for all; period "2026-11-27", "2026-11" */
    int percent;
    const char *text; /* for people, without the present sum: it does not change any more */
};
typedef void cost_warn(void *arg, const struct cost_warning *w);

/* NULL with *e: CONFIG, or the ledger cannot be read. */
struct cost_budgets *cost_budgets_new(struct cost *c, const struct conf *conf, cost_warn *fn,
                                      void *arg, struct error *e);
void cost_budgets_free(struct cost_budgets *b);

/* The most that a call may come to. */
struct cost_asked {
    const char *model, *session, *project; /* NULL or "": nobody's */
    struct cost_charge charge;
    int64_t tokens; /* of input and output */
};
/* Holds that much in every budget it falls under. ERR_BUDGET says which one has too little left;
 * other errors: the ledger cannot be read. */
enum err cost_reserve(struct cost_budgets *b, const struct cost_asked *a, uint64_t *ticket,
                      struct error *e);
/* Puts what it came to in the place of what was held. Where that is not known, the held amount
 * stays as spent until the budget is summed up anew. */
void cost_settle(struct cost_budgets *b, uint64_t ticket, const struct cost_charge *charge,
                 int64_t tokens);

/* Sums up anew what nothing is held in: the ledger got lines of calls that no ticket was of. */
void cost_budgets_sum(struct cost_budgets *b);

/* A store_op's work, for the `also` of the entry that tells of it. */
enum err cost_warned(struct store_db *db, const char *budget, const char *subject,
                     const char *period, int percent, struct error *e);

/* [{budget, scope: day|model|session|project, subject, period, limit: text|null, currency, spent,
 * held, tokens_limit: n|null, tokens, tokens_held, unknown: calls whose cost is not in it, used
 * (0..1 of the limit that is nearer), warned: percent, refused}]: those that are under way, in the
 * order of the configuration. Caller owns. */
json_t *cost_budgets_list(struct cost_budgets *b);
/* What people should know now: severity "warn" or "fail". */
void cost_budgets_alerts(struct cost_budgets *b,
                         void (*fn)(void *arg, const char *severity, const char *text), void *arg);

#endif
