/* Orchestration: a question becomes tool calls, retrieved passages, answers of several models, a
 * verdict and one answer. The only room that knows several others.
 *
 * A trace: question -> plan -> tool calls and retrieval -> the nodes of its flow (flow.h,
 * engine.c): models speak, answers are compared, verified, guarded -> verdict -> answer.
 *
 * Invariants
 * O1 The question is durable before anything acts on it; each tool call and model call is durable
 *    before it is made. An answer is shown as final only when its entry is durable.
 * O2 A candidate that fails or is late never fails the trace while another finished.
 * O3 Only read-only tools are called.
 * O4 Every trace ends: done, stopped or failed. Its tools together have tool_time_limit_ms, its
 * flow's nodes together time_limit_ms; before that it waits only for its entry and the
 * index. */
#ifndef ORCHESTRATOR_H
#define ORCHESTRATOR_H

#include "backend/base/conf.h"
#include "backend/base/json.h"
#include "backend/connectors/connectors.h"
#include "backend/cost/cost.h"
#include "backend/gateway/gateway.h"
#include "backend/knowledge/knowledge.h"
#include "backend/provenance/provenance.h"

struct orch;
struct orch_spent;
struct plans;

/* How the orchestrator tells what happens: type is "token" {trace_id, model, text},
 * "turn" (the trace object in its present state, without candidates' texts), "stage"
 * {trace_id, stages, state} or "pace" {trace_id, models} (pace.c). data is borrowed. */
typedef void orch_event(void *arg, const char *type, const json_t *data);

struct orch_rooms { /* all borrowed, must outlive it */
    struct loop *loop;
    struct store *store;
    const struct conf *conf;
    struct prov *prov;
    struct gw *gw;
    struct conn_registry *conn;
    struct cost *cost;
    struct tel *tel;         /* where traces are counted and their spans begin, or NULL */
    struct plans *plans;     /* where changes are proposed, or NULL */
    const struct know *know; /* may be NULL until orch_set_knowledge */
    /* How many of the console's own alerts there are now, a warning as a half; NULL: nobody knows
     */
    double (*alerts)(void *arg);
    void *alerts_arg;
};
struct orch *orch_new(const struct orch_rooms *rooms, orch_event *event, void *arg,
                      struct error *e);
void orch_set_knowledge(struct orch *o, const struct know *k);
/* Makes a result ready for the log (P6 of provenance.h, tags of personal data), on a worker if it
 * is large; what no entry can hold is made smaller, with `cut` and `bytes`. answer (or NULL) is
 * what the bus is to carry of it: without secrets, `data` null and `cut` set if that is over 1 MiB.
 * Takes payload and answer. fn is called once, inside, later, or when the console stops: then error
 * says so and there is nothing else. What it gets is borrowed. */
struct orch_ready {
    struct error error; /* why it cannot be logged */
    const struct prov_prepared *payload;
    const char *const *tags;
    json_t *answer;
};
typedef void orch_ready_fn(void *arg, const struct orch_ready *r);
void orch_prepare(struct orch *o, json_t *payload, json_t *answer, orch_ready_fn *fn, void *arg);
/* Puts all that came of a call into a payload: as key its content, as `data` its structure if the
 * content is the peer's own and not made of that; else what it found, as `findings`. */
void orch_put_result(json_t *payload, const char *key, const struct conn_result *r);
void orch_close(struct orch *o); /* stops every trace; does not block */
void orch_free(struct orch *o);

enum {
    ORCH_MODELS = 4, /* that answer one question */
    ORCH_EXCHANGES = 4,
    ORCH_PROMPT = 4096 /* bytes of a prompt of one's own */
};
/* The flows that there are (flow.h), as they were read last. usual: the name of the one that is
 * taken where nobody says otherwise. */
struct flows;
struct flow;
#define ORCH_BY_RISK \
    "risk" /* in the place of a flow's name: the one that the risk says (docs/risk.md) */
extern const char orch_by_risk_about[];
const struct flows *orch_flows(const struct orch *o);
const char *orch_flow_usual(const struct orch *o);
/* Reads own flows anew; questions under way go on by theirs. In the place of a file that is wrong
 * now stays what it was. changed: names, or NULL; the caller owns it. On error all stay. */
enum err orch_flows_read(struct orch *o, json_t **changed, struct error *e);
uint64_t orch_flows_stamp(void); /* flows_stamp of the directory of own flows */
/* Reads a flow that is not taken in: NULL with *e (CONFIG). The caller frees it (flow_free). */
struct flow *orch_flow_check(struct orch *o, const char *file, const char *text, size_t len,
                             struct error *e);

struct orch_ask {
    const char *text;          /* 1..16384 bytes */
    const char *conversation;  /* 32 hex digits; NULL: a new one */
    const char *actor;         /* role of the session */
    const char *user;          /* who asks, if changes may be proposed for them; or NULL */
    const char *session;       /* of the bus, or NULL */
    const char *const *models; /* who is to answer, pools too; none: as configured */
    size_t model_count;        /* at most ORCH_MODELS */
    const char *flow;          /* or NULL */
    const char *prompts[2];    /* of a flow's sides A and B: a name of prompts.def, or a text; NULL:
                                  the flow's */
    int64_t exchanges;         /* 1 to ORCH_EXCHANGES; 0: one */
    const char *again;         /* the trace whose question is asked once more, or NULL */
    const char *eval;          /* the run of an evaluation that asks it, 32 hex digits; or NULL */
    const json_t *recorded;    /* orch_recorded_check accepted it: the tools that exist for this
                                  question, with what they answer; no other is called, and nothing
                                  is proposed. Referenced. NULL: as it is */
};
/* {tools: [{connector, tool, title?, description?, schema?, arguments?, text, data?, error?:
 * bool}], runbooks?: [{ref, text}]}; without runbooks the console's own are searched. INVALID says
 * what is wrong and where. */
enum { ORCH_RECORDED_TOOLS = 64, ORCH_RECORDED_RUNBOOKS = 32 };
enum err orch_recorded_check(const json_t *recorded, struct error *e);
/* Queues a question; accepted runs when its entry is durable (or failed). At most 8 traces run at
 * once: ERR_OVERLOADED. NOT_FOUND: no such model, flow or trace. */
typedef void orch_accepted(void *arg, const char *trace_id, const char *conversation, int64_t entry,
                           const struct error *e);
enum err orch_ask(struct orch *o, const struct orch_ask *ask, orch_accepted *accepted, void *arg,
                  struct error *e);
/* Whether its flow and its models exist: NOT_FOUND, INVALID. */
enum err orch_ask_check(const struct orch *o, const struct orch_ask *ask, struct error *e);
/* Goes on with the questions that an earlier run left unanswered, no older than [copilot]
 * resume_minutes (resume.c). Returns how many. */
size_t orch_resume(struct orch *o);
size_t orch_running(const struct orch *o); /* questions being answered */
/* Stops a trace (NULL: all); what was written so far is kept and marked. *stopped: how many this
 * call stopped; one that was ending already is not counted. ERR_NOT_FOUND: it is not under way. */
enum err orch_stop(struct orch *o, const char *trace_id, size_t *stopped, struct error *e);
/* The trace object of docs/protocol.md; running ones from memory, ended ones from the log's
 * projection. NULL with *e. Caller owns. */
json_t *orch_trace(struct orch *o, const char *trace_id, struct error *e);
/* Newest first, as rows of a list (traces.list of wire.def). before: rowid cursor, -1 from the
 * newest. evals: with those of evaluations, which are nobody's conversation. */
json_t *orch_traces(struct orch *o, int64_t before, size_t limit, bool evals, struct error *e);
/* Turns of a conversation (NULL: of all), oldest first, the newest `limit` of them before the
 * cursor. Those that a forked one shares with the one it comes from are its own too. Without what
 * only the trace shows (chat.history of wire.def). */
json_t *orch_turns(struct orch *o, const char *conversation, int64_t before, size_t limit,
                   struct error *e);
/* The same, whole. */
json_t *orch_turns_whole(struct orch *o, const char *conversation, int64_t before, size_t limit,
                         struct error *e);

/* conversations.c: {conversations: rows of chat.conversations, next}. before: its cursor, -1 from
 * the newest. text: only those in whose questions and answers it occurs, or NULL; looks for 150 ms
 * at most, `next` says where to go on. */
json_t *orch_conversations(struct orch *o, int64_t before, size_t limit, const char *text,
                           struct error *e);
/* Carries a conversation on apart from one of its ended turns: makes a new one that shares the
 * turns up to that. done runs when its entry is durable (or failed). NOT_FOUND: the conversation
 * has no such turn; BUSY: the turn has not ended. */
typedef void orch_forked(void *arg, const char *conversation, int64_t entry, const struct error *e);
enum err orch_fork(struct orch *o, const char *conversation, const char *trace_id,
                   const char *actor, orch_forked *done, void *arg, struct error *e);

/* What a model's usage costs: by the configuration's prices, else by the dated ones (cost_price).
 * raw: the provider's own usage, or NULL. */
void orch_charge(const struct cost *c, const struct gw_model *m, const struct gw_usage *u,
                 const json_t *raw, struct cost_charge *out);
/* The same of a try: one that failed before a model could read it cost nothing, also where the
 * price is not known. */
void orch_charge_attempt(const struct cost *c, const struct gw_attempt *a, struct cost_charge *out);
/* The energy it took, in millijoules; -1: unknown. */
int64_t orch_energy_mj(const struct gw_model *m, const struct gw_usage *u);

/* Whom a model call belongs to; texts may be NULL. */
struct orch_payer {
    const struct cost *cost;
    const char *trace_id, *connector, *session, *project;
    const char *flow;             /* "answer", "critique", "safety", "sampling", "embedding" */
    const struct gw_model *model; /* that was asked */
    int64_t entry;                /* the model.call */
};
/* The ledger's lines of a model call: one for each of its tries, one if none was made. outcome (or
 * NULL) is said of the last one in place of the gateway's. insert is a store_op for prov_append's
 * `also`; free it after the write. */
struct orch_spent *orch_spent_new(const struct gw_spent *spent, const struct orch_payer *who,
                                  const char *outcome);
enum err orch_spent_insert(struct store_db *db, void *arg, struct error *e);
void orch_spent_free(struct orch_spent *s);

/* The runbooks' vectors by the model of [knowledge] embedding; false: none is named, or there is no
 * index yet. */
struct orch_vectors_state {
    const char *model;
    size_t passages, missing; /* those that have none yet */
    struct error last;        /* why the last batch failed; OK: it did not */
};
bool orch_vectors(const struct orch *o, struct orch_vectors_state *out);

/* What the safety filter did since the start. */
enum { ORCH_SAFETY_ENTRIES = 8 };
struct orch_safety_state {
    bool rules;
    const char *judge; /* a model's name, or NULL */
    uint64_t passed, flagged, blocked,
        unjudged;      /* those that the judge could not be asked about; also among the others */
    struct error last; /* why it did not judge its last text; OK: it did */
    int64_t entries[ORCH_SAFETY_ENTRIES]; /* the last that say so */
    size_t entry_count;
};
const struct orch_safety_state *orch_safety(const struct orch *o);
/* What the rules find severe in a text that comes another way, "indiscriminate weapons"; NULL:
 * nothing, or the filter is off. */
const char *orch_safety_refuses(const struct orch *o, const char *text, bool answer);

/* learning.c: a person's word on an answer; done runs when its entry is durable (or failed).
 * NOT_FOUND: the trace has no answer. */
typedef void orch_rated(void *arg, int64_t entry, const struct error *e);
enum err orch_rate(struct orch *o, const char *trace_id, bool good, const char *actor,
                   orch_rated *done, void *arg, struct error *e);
/* withhold.c: gives out an answer that waits for a person; user: who that is. done runs when its
 * entry is durable (or failed). NOT_FOUND: none is withheld there. */
enum err orch_release(struct orch *o, const char *trace_id, const char *actor, const char *user,
                      orch_rated *done, void *arg, struct error *e);
/* What models wrote for that question is not given out (yet). */
bool orch_is_withheld(struct orch *o, const char *trace_id);
/* {bandit: no|propose, kinds: [{kind, outcomes, models: [{model, good, bad, share, accepted:
 * weight|null}], decided: ""|accept|reject, proposed: bool}]}; NULL with *e. The caller owns. */
json_t *orch_learning(struct orch *o, struct error *e);
/* Takes what is proposed for a kind, or refuses it until there are more outcomes; where nothing is
 * proposed, !accept takes back what was accepted. NOT_FOUND: there is nothing of the sort. */
enum err orch_learning_decide(struct orch *o, const char *kind, bool accept, const char *actor,
                              orch_rated *done, void *arg, struct error *e);

/* Takes what was erased out of a trace's document: the texts of the entries of these types. */
void orch_redact(json_t *doc, const char *const *types, size_t count);

#endif
