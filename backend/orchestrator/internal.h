/* What the orchestrator's files share. A trace's public face is its `doc`, the trace object of
 * docs/protocol.md, kept up to date in place; the structs beside it hold what is under way. */
#ifndef ORCH_INTERNAL_H
#define ORCH_INTERNAL_H

#include "backend/base/buf.h"
#include "backend/base/say.h"
#include "backend/compliance/compliance.h"
#include "backend/orchestrator/arbitrate.h"
#include "backend/orchestrator/concepts.h"
#include "backend/orchestrator/flow.h"
#include "backend/orchestrator/grounding.h"
#include "backend/orchestrator/orchestrator.h"
#include "backend/orchestrator/prepare.h"
#include "backend/orchestrator/vectors.h"
#include "backend/telemetry/telemetry.h"

enum {
    ORCH_CANDIDATES = FLOW_NODES, /* a run for each node in which a model speaks */
    ORCH_HEARD = 2 * FLOW_NODES,  /* texts of other nodes that a node is given: two of each */
    ORCH_TOOLS = 12,              /* tool calls that are planned for a trace, */
    ORCH_LOOKS = 3,               /* in so many looks, */
    ORCH_ASKED = 16,              /* and that its models ask for */
    ORCH_PASSAGES = 8,            /* passages a way may bring */
    ORCH_SOURCES = ORCH_TOOLS + ORCH_ASKED + 2 * ORCH_PASSAGES,
    ORCH_RETRIEVALS = 4,
    ORCH_TRACES = 32, /* under way at once; what models take in is for their queues to say */
    ORCH_PARENTS = 64,
    ORCH_SOURCE_BYTES = 16384, /* of one source's text that models and the trace get */
    ORCH_STAGES = 48,          /* that have a span of their own */
    ORCH_MAX_QUESTION = 16384
};

/* The parents of an entry, each once. */
struct orch_edges {
    struct prov_edge at[ORCH_PARENTS];
    size_t count;
};

struct orch_source {
    char id[8];
    const char *kind;   /* "tool", "runbook" */
    char *ref, *text;   /* owned; text NULL: not there (yet), given to nobody */
    json_t *data;       /* owned, or NULL */
    double fit[2];      /* by know_way; < 0: that way did not choose it */
    int64_t entry;      /* where it was logged */
    const char *steers; /* how it tries to steer a model, NULL: it does not */
};

struct orch_tool_step {
    struct trace *trace;
    char *connector, *tool, *title;
    json_t *arguments;
    const json_t *recording; /* what it answers, of an evaluation; NULL: it is called */
    double fit[2];
    unsigned look; /* in which it was chosen, from 0 */
    bool clue;     /* what it found is what a further look goes by */
    int64_t call_entry;
    struct orch_source *source; /* where its result goes */
    struct conn_call *call;     /* under way, or NULL */
    size_t stage;
    bool ended;
};

/* The safety filter as configured (safety.c). */
struct orch_safety {
    struct pol_filter *filter;     /* the rules, or NULL */
    struct pol_injector *injector; /* finds prompt injection, or NULL */
    bool injection_removes;        /* it is left out of what models are given, not marked */
    const struct gw_model *judge;  /* asked besides them, or NULL */
    bool endpoint;                 /* it is a moderation endpoint, not a guard model */
    bool judges[2];                /* by pol_direction */
    bool unsure_blocks;            /* when it cannot be asked */
    uint32_t severe;               /* categories, as pol_hazards_read has them */
    uint64_t limit_ms;
    struct orch_safety_state state;
};

/* A text that is judged: the question, or what a candidate's model put out. Set trace, candidate,
 * of, subject and then, before orch__check. */
struct orch_check {
    struct trace *trace;
    struct orch_candidate *candidate; /* NULL: the question */
    const char *of;                   /* "question", "answer", "critique" */
    int64_t subject;                  /* its entry */
    void (*then)(struct orch_check *k, bool blocked);
    char *text, *words; /* words: why it was blocked, for people; or NULL */
    bool under_way, judged;
    int64_t call_entry; /* the judge's */
    size_t stage;       /* the judge's */
    struct gw_call *call;
    struct pol_moderation found;
};

/* A sum of charges. */
struct orch_money {
    int64_t nano;
    char currency[8];
    bool unknown; /* a charge is not known, or of another currency */
};

/* What a real model is sent; the messages live as long as the two buffers. */
struct orch_prompt {
    struct buf system, user;
    struct gw_message messages[2];
    size_t count;                 /* of messages; 0: none is made */
    const struct gw_model *model; /* that it was fitted for */
};

/* What another node of the flow said. */
struct orch_heard {
    const char *id, *text; /* borrowed */
    const struct orch_candidate *from;
};

/* A node of the flow as it stands in a trace (engine.c). */
struct orch_node {
    struct trace *trace;
    const struct flow_node *as;
    enum { NODE_WAITING, NODE_RUNNING, NODE_DONE, NODE_FAILED, NODE_SKIPPED, NODE_CANCELLED } state;
    struct orch_candidate *run;     /* of its model, or NULL */
    struct orch_candidate *carries; /* whose text flows on from it, NULL: nobody's */
    struct buf said;                /* what one that judges found, for those that follow */
    struct orch_heard heard[ORCH_HEARD];
    size_t heard_count;
    size_t counted; /* answers, when a vote was counted last */
    size_t stage;
    uint64_t began_ms; /* monotonic; 0: it has not */
    json_t *doc;       /* its object in the trace; borrowed */
};

struct orch_vote {
    size_t agree, of;
};

struct orch_candidate {
    struct trace *trace;
    struct orch_node *node;
    const struct gw_model *model;
    bool internal;            /* no answer: it stays out of the chat */
    enum gw_task task;        /* of its first call */
    struct orch_agent *agent; /* agent.c: it may ask for tools; or NULL */
    const json_t *calls;    /* of tools, that the output which is being logged asks for; or NULL */
    const json_t *thinking; /* what its API wants back beside those; or NULL */
    struct buf mine, other; /* what a built-in model is given for that */
    enum know_way way;      /* how its sources were chosen */
    struct gw_call *call, *critique_call;
    struct buf text;           /* as streamed so far, then whole */
    size_t line;               /* where in it the line begins that is being told (stream.c) */
    struct buf told;           /* of that line */
    struct {                   /* pace.c: what is known while it answers */
        int64_t input, output; /* tokens, estimated */
        size_t counted;        /* bytes of text that output is of */
        uint64_t began, first; /* monotonic ms; first 0: no token yet */
    } pace;
    size_t judged; /* where in it the sentence begins that the safety filter has not passed yet */
    bool held;     /* nothing of it is told any more: the filter found what it blocks */
    struct orch_prompt prompt;                 /* of the call that is being logged */
    struct orch_prompt stand_in[GW_STAND_INS]; /* of models for whose budget that is too much */
    size_t stand_ins;
    struct orch_check check;
    struct buf revised;
    double gave_up;        /* of its words, by its revisions, of each its share */
    size_t revisions;      /* that were taken */
    const char *truncated; /* why the last output ends early: "over_budget", "length"; or NULL */
    int64_t call_entry, output_entry;
    int64_t text_entry; /* the output that `text` is */
    size_t stage;
    enum {
        CAND_WAITING,
        CAND_RUNNING,
        CAND_DONE,
        CAND_FAILED,
        CAND_DROPPED,
        CAND_STOPPED,
        CAND_BLOCKED
    } state;
    struct orch_money money; /* of all its calls */
    struct orch_score score;
    json_t *doc;   /* its object in the trace; borrowed from the trace's doc */
    json_t *route; /* why it is this model of a pool (gw_route), or NULL */
};

/* Who waits for a question to be durable, and the projection's row until then. */
struct orch_accepting {
    orch_accepted *fn;
    void *arg, *projection;
};

struct trace {
    struct orch *orch;
    struct trace *next;
    char id[33], conversation[33], actor[16], session[33];
    char *user;        /* for whom plans may be proposed, or NULL */
    char eval[33];     /* the run of an evaluation that asked it, or "" */
    json_t *recorded;  /* of an evaluation, or NULL */
    struct know *know; /* of its recorded runbooks; NULL: those of the console */
    char *question;
    char *
        asked; /* the question as it was read: slips of the keyboard mended; NULL before the plan */
    const char *lang;
    enum {
        TRACE_LOGGING,
        TRACE_CHECKING, /* by the safety filter */
        TRACE_PLANNING,
        TRACE_TOOLS,
        TRACE_MODELS,
        TRACE_ENDING,
        TRACE_ENDED
    } phase;
    uint64_t started_ms;                              /* monotonic */
    struct tel_span *span, *stage_spans[ORCH_STAGES]; /* until it, and each stage, has ended */
    json_t *doc;
    int64_t question_entry;
    double alerts;                    /* of the console, when the question came; risk.c */
    double injected;                  /* the highest score of an injection */
    int64_t recalled;                 /* the earlier question that this one leans on, -1: none */
    struct orch_accepting *accepting; /* until the question is durable */
    struct orch_check check;          /* of the question */
    struct orch_tool_step tools[ORCH_TOOLS];
    size_t tool_count;
    unsigned looks; /* that were made */
    struct orch_source sources[ORCH_SOURCES];
    size_t source_count;
    struct {
        int64_t entry;
        enum know_way way;
        double fit; /* of its best passage, -1: it found none */
    } retrievals[ORCH_RETRIEVALS];
    size_t retrieval_count;
    struct buf looked_at;
    struct flow *flow;         /* held */
    char *chosen[ORCH_MODELS]; /* who is to answer: models and pools */
    size_t chosen_count;
    const struct gw_model *models[ORCH_MODELS]; /* that those are for this question */
    json_t *routes[ORCH_MODELS];                /* why (gw_route), or NULL */
    struct gw_need need;                        /* its `taken` is models */
    json_t *risk;                               /* of the question, with its parts; or NULL */
    char *prompts[2];                           /* of sides A and B, as texts; or NULL */
    struct orch_money before;                   /* resume.c: what an earlier run spent on it */
    json_t *memo;                               /* resume.c: what an earlier run logged, or NULL */
    unsigned exchanges;                         /* that the question asks for */
    struct orch_node nodes[FLOW_NODES];
    size_t node_count;
    enum { EDGE_PENDING, EDGE_TAKEN, EDGE_NOT } edges[FLOW_EDGES];
    struct condition_values values;
    struct orch_candidate *compared[ORCH_CANDIDATES]; /* last */
    size_t compared_count;
    char *unsafe;           /* why a guard holds the answer unsafe, or NULL */
    struct orch_embed near; /* vectors of these, for the comparison that comes next */
    const struct orch_node *near_node;
    struct orch_candidate *near_of[ORCH_CANDIDATES];
    size_t near_count;
    struct orch_vote voted; /* of the last vote; of 0: there was none */
    unsigned char alike[ORCH_CANDIDATES][ORCH_CANDIDATES]; /* judge.c: of votes, once found out */
    struct orch_node *critiquing;                          /* the critique under way, or NULL */
    struct orch_candidate *final; /* whose text is the answer, NULL: not known yet */
    bool proposing;               /* a plan is on its way to the log */
    bool by_risk;                 /* the flow is that which the risk says */
    bool last_word;               /* it was not compared: it is the last that spoke */
    bool stepping, changed;       /* changed: a node, since clients were told */
    uint64_t paced_ms;            /* when its pace was told last, monotonic */
    struct orch_candidate candidates[ORCH_CANDIDATES];
    size_t candidate_count;
    struct loop_timer *timer; /* the phase's time limit */
    unsigned writes;          /* log appends whose done has not come */
    bool critiqued;
    bool late;                /* the time limit passed: no critique is begun any more (O4) */
    struct orch_embed vector; /* of the question, for searching the runbooks */
    unsigned embeddings;      /* under way, that and others */
    const char *stopped;      /* who stopped it before its question was durable, or NULL */
    struct orch_verdict verdict;
    double first_D, first_S; /* of the first answers; verdict's are those after a critique */
    bool revised;            /* a critique turn changed an answer and they were compared anew */
    bool mended;             /* that which ends now did */
};

struct orch {
    struct orch_rooms rooms;
    orch_event *event;
    void *event_arg;
    struct trace *traces;
    size_t running;
    uint64_t born_ms;
    bool closed;
    struct orch_limits limits;
    enum orch_unsupported unsupported; /* what becomes of what nothing supports */
    struct orch_safety safety;
    struct orch_preparer preparer; /* large results */
    struct flows *flows;
    char flow_why[256]; /* of the last name that a flow could not name */
    struct concepts *concepts;
    struct orch_passages *passages; /* vectors of runbooks by a model, or NULL */
};

/* A conversation (?1) and those it was forked from, each up to the turn where it was. */
#define ORCH__LINE                                                                \
    "WITH RECURSIVE line(id, upto) AS (SELECT ?1, 9223372036854775807 UNION ALL " \
    "SELECT c.parent, min(c.forked, line.upto) FROM line JOIN conversations c "   \
    "ON c.id = line.id AND c.parent IS NOT NULL LIMIT 64) "
/* orch.c: the document of a stored or running trace, with its rowid; columns: rowid, trace_id,
 * session, sealed, at. wanted: members of a stored one, NULL: all (of fifty whole ones the loop
 * reads for longer than it may). Caller owns. */
json_t *orch__stored(struct orch *o, const struct store_row *row,
                     const struct json_members *wanted);

/* choice.c. Who answers and by which flow, as asked for or configured, each once; the names are
 * borrowed. */
bool orch__by_risk(const struct orch *o, const struct orch_ask *ask);
void orch__flow_by_risk(
    struct trace *t); /* its risk is known, and no node has begun but the look */
enum err orch__choose(const struct orch *o, const struct orch_ask *ask, const struct flow **flow,
                      const char *chosen[ORCH_MODELS], size_t *count, struct error *e);

/* orch.c: a trace of a question, on the list of those under way; then, when the question is
 * durable, everything else */
struct trace *orch__trace_asked(struct orch *o, const struct orch_ask *ask, const struct flow *flow,
                                const char *const *chosen, size_t count);
void orch__begin(struct trace *t);

/* resume.c: what the log has of an earlier run; false: nothing. A step ends with its result, a run
 * and a critique get their texts. */
bool orch__recall_step(struct orch_tool_step *s);
bool orch__recall_run(struct orch_candidate *c);
/* What an agent's model put out in the step that it is in: its calls are made, or answered by the
 * log, or it gets its text, and *final says so. */
bool orch__recall_turn(struct orch_candidate *c, bool *final);
struct orch_result { /* of a tool */
    char *text;      /* the caller frees it, and data */
    json_t *data;
    bool ok;
    size_t number; /* of its source; 0: none */
    int64_t call_entry, entry;
};
/* Of the call at that place of an agent's present step. */
bool orch__recall_result(const struct orch_candidate *c, size_t at, const char *connector,
                         const char *tool, const json_t *arguments, struct orch_result *out);
bool orch__recall_critique(struct orch_candidate *c);

/* trace.c: the document, stages, entries, storing */
/* A turn's `choice` as JSON text, NULL: it has none. The caller frees. */
char *orch__choice_text(const json_t *turn);
struct trace *orch__trace_new(struct orch *o, const struct orch_ask *ask);
void orch__trace_free(struct trace *t);
size_t orch__stage_begin(struct trace *t, const char *name, const char *label);
void orch__stage_end(struct trace *t, size_t stage, const char *state, const char *note);
void orch__stage_ends(struct trace *t, size_t stage, const char *state,
                      json_t *sentences); /* of say.h; taken */
/* Adds a parent: an entry of the log (-1: nothing is added), what became of it (transforms.def),
 * how sure that is (0..1, below 0 unknown; above 1 counts as 1). */
void orch__edge(struct orch_edges *to, int64_t seq, const char *transform, double confidence);
/* Appends an entry of this trace (taking the payload's reference) and notes its seq in the
 * document. parents NULL: none. done NULL: the trace fails if it cannot be logged, so that no later
 * entry names it as a parent. */
int64_t orch__log(struct trace *t, const char *type, const char *actor,
                  const struct orch_edges *parents, json_t *payload, prov_done *done, void *arg,
                  store_op *also, void *also_arg);
/* The same with the ledger's lines of a call in the same transaction; takes spent (NULL: there are
 * none). If it cannot be logged the trace fails. */
int64_t orch__log_spent(struct trace *t, const char *type, const char *actor,
                        const struct orch_edges *parents, json_t *payload,
                        struct orch_spent *spent);
/* The same for a payload that was made ready. */
int64_t orch__log_ready(struct trace *t, const char *type, const char *actor,
                        const struct orch_edges *parents, const struct orch_ready *ready);
/* The write that keeps the trace's projection: `also` and its argument for an entry of the trace.
 */
enum err orch__store_trace(struct store_db *db, void *arg, struct error *e);
void *orch__store_trace_arg(struct trace *t, const char *state);
void orch__store_trace_free(void *arg);
void orch__tell(struct trace *t, const char *type); /* "turn" or "stage" */
/* Takes what models wrote out of a trace's document. */
void orch__without_outputs(json_t *doc);
void orch__candidate_doc(struct orch_candidate *c, const char *state);

/* spent.c */
void orch__money_add(struct orch_money *to, const struct cost_charge *c);
void orch__money_join(struct orch_money *to, const struct orch_money *more);
json_t *orch__money_json(const struct orch_money *m); /* {amount, currency}, or null */
void orch__spent_money(const struct cost *c, const struct gw_spent *spent, struct orch_money *to);

/* told.c: what is told of a trace by metrics and spans. begin gives the trace its id: that of
 * OpenTelemetry's trace, unless that came from another program. */
void orch__told_begin(struct trace *t);
void orch__told_stage(struct trace *t, size_t stage, const char *name, const char *label);
void orch__told_stage_end(struct trace *t, size_t stage, const char *name, const char *state,
                          int64_t ms);
void orch__told_end(struct trace *t);
/* The traceparent of a stage, or of the trace where that has none; false: none. */
bool orch__traceparent(const struct trace *t, size_t stage, char out[TEL_TRACEPARENT]);

/* plan.c: which tools and passages, and running the tools */
void orch__plan(struct trace *t); /* from TRACE_PLANNING; goes on to TRACE_TOOLS */
void orch__tools_cancel(struct trace *t);
/* look.c: adds to the trace's tools those that the question is for; then, when these have answered,
 * those that what they found is for. Returns how many. */
size_t orch__look(struct trace *t);
size_t orch__look_further(struct trace *t);
/* Takes the next number, and ref; what has no text yet is given to nobody. NULL: there is no room.
 */
struct orch_source *orch__source_new(struct trace *t, const char *kind, char *ref);
/* The same with the number that it had in an earlier run, where that is free; 0: it had none. */
struct orch_source *orch__source_at(struct trace *t, size_t number, const char *kind, char *ref);
/* whole: bytes of the text before it was cut; 0: as many as it has. */
void orch__fill_source(struct trace *t, struct orch_source *s, const char *text, size_t whole,
                       const json_t *data, int64_t entry);
/* What a tool found, in the language of the question; NULL if it says nothing in that language. */
char *orch__findings_in(const char *lang, const json_t *data);

/* recorded.c: tools and runbooks of an evaluation. The tools that there are: those recorded, else
 * what the registry has; returns how many. */
size_t orch__tools(const struct trace *t, struct conn_tool *out, size_t max);
/* The recording that a tool of those is, or NULL. */
const json_t *orch__recording(const struct trace *t, const struct conn_tool *tool);
/* What it was called with; the caller owns it. An empty object: nothing is said. */
json_t *orch__recorded_arguments(const json_t *recording);
/* Answers a step's call as recorded. */
void orch__recorded_answer(const json_t *recording, conn_done *done, void *arg);
void orch__recorded_begin(struct trace *t, const struct orch_ask *ask);
/* The runbooks that are searched. */
const struct know *orch__know(const struct trace *t);

/* after.c: adds to a step of a plan how it is verified and undone, as far as after.def knows.
 * tools: all. */
void orch__after(const struct orch *o, const struct conn_tool *tools, size_t n,
                 const struct conn_tool *tool, json_t *step);
/* passages.c: makes the passages' vectors where a model is named for it, once the index is there.
 */
void orch__passages_start(struct orch *o);
void orch__passages_close(struct orch *o);
void orch__passages_free(struct orch *o);
/* NULL: the built-in vectors are to be used; *why says why not the model that is named, NULL: none
 * is. */
struct know_dense *orch__passages(struct orch *o, const char **why);
bool orch__passages_reading(const struct orch *o); /* those that are kept: soon they are there */

/* wish.c: proposes a plan if the question asks for a change and a tool fits. */
void orch__wish(struct trace *t);
/* Proposes a call of this tool, of a model's wish. False: there is no such tool, or the arguments
 * do not fit it. */
bool orch__propose(struct trace *t, const char *connector, const char *tool,
                   const json_t *arguments);
/* The answer, with what there is to say of that. The caller frees. */
char *orch__wish_noted(const struct trace *t, const char *answer);

/* messages.c: makes the prompt, fitted to the budget of a model: the candidate's, or one that may
 * stand in. How it was made to fit (gw_fit), which the caller owns. */
json_t *orch__messages(const struct orch_candidate *c, const struct gw_model *m,
                       const struct gw_source *sources, size_t n, const char *mine,
                       const char *other, struct orch_prompt *out);
/* The finished turns before this one, at most two, oldest first. The caller frees. */
json_t *orch__earlier(const struct trace *t);
/* The entry of that type in a finished turn; -1 if there is none. type: question or answer. */
int64_t orch__turn_entry(const struct trace *t, const json_t *turn, const char *type);

/* untrusted.c: looks for what may steer a model in a text of the entry; of: question, tool,
 * runbook, answer, or description (of a tool; no entry). NULL: nothing; else how, a static word,
 * and *marked (if wanted) is what models are given in its place, which the caller owns. */
const char *orch__untrusted(struct trace *t, const char *of, const char *ref, const char *text,
                            int64_t entry, char **marked);
/* A text whose orders are marked, which the caller owns, or NULL: there are none. Nothing is told:
 * for text that was told of in its own turn. */
char *orch__marked(const struct trace *t, const char *text);
/* The same for a tool's structure, of whose keys and texts 64 KiB are given at most: a copy, which
 * the caller owns. *steers: what was found in its text; set if only the structure has something. */
json_t *orch__untrusted_data(struct trace *t, const char *of, const char *ref, const json_t *data,
                             int64_t entry, const char **steers);

/* risk.c: how much is at stake in a question, 0..1, before models answer; it and its parts stand in
 * the trace: {score, route, features: [{name, value, weight, part}]}. The caller owns *parts (may
 * be NULL). */
double orch__question_risk(const struct trace *t, json_t **parts);
/* When the answers are there: the score with what they add, and whether a person has to decide. */
void orch__answer_risk(struct trace *t);
/* "cheapest", "critic", "council" or "safe", by the thresholds of [risk]. */
const char *orch__risk_route(const struct trace *t, double score);
/* The answer, with what there is to say of that. The caller frees. */
char *orch__risk_noted(const struct trace *t, const char *answer);

/* The score that it can have when the answers are there. */
double orch__risk_most(const struct trace *t);
/* By what is known now: models call no tools, nothing is proposed. */
bool orch__risk_sandbox(const struct trace *t);
/* The share of the words of two texts that only one of them has, 0..1. */
double orch__changed_share(const char *before, const char *after);
/* The feature that adds most to it, "": none does. */
const char *orch__risk_mostly(const json_t *risk);

/* withhold.c: answers that wait for a person. Whether this trace's is one may be known when its
 * risk is, and when a model's tools have brought something. */
void orch__withhold_begin(struct trace *t);
bool orch__withholds(const struct trace *t); /* nothing that models write is told */
/* Puts a notice in the answer's place; false: it is given. partial: of a trace that was stopped. */
bool orch__withhold(struct trace *t, const char *text);
bool orch__withhold_partial(struct trace *t, const char *text);
/* Takes what is withheld out of a document that is given out. */
void orch__withhold_hide(json_t *doc);
/* orch.c: the document with what is withheld. NULL with *e. Caller owns. */
json_t *orch__trace_whole(struct orch *o, const char *trace_id, struct error *e);

/* learning.c */
enum { ORCH_OUTCOMES = 8, ORCH_OUTCOME_MODEL = 96 };
struct orch_outcome { /* how a model did with a question, in quarters */
    char trace_id[33], model[ORCH_OUTCOME_MODEL];
    const char *source, *kind; /* "verdict" or "thumb"; kinds.def */
    int64_t good, bad;
};
/* What a trace that ends has to tell; none if it is off. */
size_t orch__outcomes_of(const struct trace *t, struct orch_outcome out[ORCH_OUTCOMES]);
enum err orch__outcome_insert(struct store_db *db, const struct orch_outcome *out, struct error *e);
/* Puts the names of models that a person accepted weights of first, for a question of that kind. */
void orch__order_learnt(const struct orch *o, const char *question, const char **names, size_t n);

/* candidates.c */
const char *orch__state_name(int state); /* of a candidate, as on the wire */
/* What a candidate's model is given, as parents; whole: what both ways of looking brought. */
void orch__grounds(const struct orch_candidate *c, bool whole, struct orch_edges *to);
/* Makes the prompt of the next call, before that is logged: how it was made to fit, which the
 * caller owns; NULL for a built-in model. What stands for what had no room is logged, and becomes a
 * parent of the call. */
json_t *orch__prompt_make(struct orch_candidate *c, enum gw_task task, const char *mine,
                          const char *other, struct orch_edges *from);
void orch__prompts_release(struct orch_candidate *c);
/* Starts one gateway call for a candidate, with the prompt that was made; GW_CRITIQUE with mine and
 * other. NULL with *e. */
struct gw_call *orch__call_model(struct orch_candidate *c, enum gw_task task, const char *mine,
                                 const char *other, const struct gw_ops *ops, struct error *e);
/* Adds a call's usage to the candidate's: a critique is a second call of the same candidate. */
void orch__add_usage(struct orch_candidate *c, const struct gw_spent *spent);
/* Appends what a model put out, with its ledger lines in the same transaction. */
void orch__log_output(struct orch_candidate *c, const char *type, const char *text,
                      const struct gw_spent *spent, const char *outcome, const char *reason,
                      int64_t elapsed_ms, int64_t first_token_ms);
/* Notes whether what came ends before its end. */
void orch__note_truncated(struct orch_candidate *c, const struct gw_result *r);
void orch__models_cancel(struct trace *t, int state);
/* A model begins to speak in a node, or the node ends without. */
void orch__run_start(struct orch_node *n);
void orch__run_cancel(struct orch_candidate *c, const char *why);

/* It speaks once more, with what its agent has; step: from 1. */
void orch__run_again(struct orch_candidate *c, int64_t step);

/* agent.c: NULL: it may ask for no tools. */
struct orch_agent *orch__agent_new(struct orch_candidate *c);
void orch__agent_free(struct orch_agent *a);
/* Fills a request's messages and tools; out lives as long as the request. */
enum { ORCH_MESSAGES = 128 };
size_t orch__agent_messages(struct orch_candidate *c, struct gw_request *r, struct gw_message *out,
                            size_t max);
/* Keeps the prompt that was made: every turn begins with it. */
void orch__agent_told(struct orch_candidate *c);
/* Which step it is in, from 1; 0: it is no agent. */
int64_t orch__agent_step(const struct orch_candidate *c);
/* Does the answer ask for tools that may be called? Then: calls them. */
bool orch__agent_wants(const struct orch_candidate *c, const struct gw_result *r);
void orch__agent_calls(struct orch_candidate *c, const struct gw_result *r);
void orch__agent_cancel(struct orch_candidate *c);

/* engine.c: the nodes' objects, in a trace that has its flow; then, when tools and runbooks were
 * asked, what follows from them */
void orch__engine_begin(struct trace *t);
void orch__engine_start(struct trace *t);
/* Makes all steps that can be made. */
void orch__engine_step(struct trace *t);
/* What had not ended when the trace did. */
void orch__engine_abandon(struct trace *t);
/* A run has ended, in whatever way. */
void orch__run_over(struct orch_candidate *c, const char *note);
/* state: of struct orch_node; note NULL: as it is. Decides the edges that lead from it. */
void orch__node_end(struct orch_node *n, int state, const char *note);
void orch__node_ends(struct orch_node *n, int state, json_t *sentences); /* of say.h; taken */
/* The nodes that edges were taken from, and the answers that these carry, each once. */
size_t orch__node_inputs(const struct orch_node *n, struct orch_node *out[FLOW_NODES]);
size_t orch__node_answers(const struct orch_node *n, struct orch_candidate *out[FLOW_NODES]);
void orch__variable(struct trace *t, enum condition_variable v, double value);
void orch__verdict_is(struct trace *t, const char *word);
/* The model that a name stands for, for this question; *why is replaced. NULL with *e. */
const struct gw_model *orch__route(struct trace *t, const char *name, json_t **why,
                                   struct error *e);

/* judge.c */
void orch__arbitrate(struct trace *t); /* those that are compared */
/* Takes these as those that are compared; false: they were already. */
bool orch__set_compared(struct trace *t, struct orch_candidate **answers, size_t n);
void orch__compare_now(struct orch_node *n);
void orch__critiques_conclude(struct trace *t);
/* near.c: asks for the vectors of those that are to be compared; false: the built-in ones are to be
 * used. True: the node goes on when they are there, inside or later. */
bool orch__near_ask(struct orch_node *n);
/* The time is over: a comparison that waits for them is made without. */
void orch__near_give_up(struct trace *t);
struct orch_near {
    const float *answers[ORCH_CANDIDATES], *grounds[ORCH_CANDIDATES];
    struct orch_vectors vectors; /* of the two */
};
/* Those of some of them. False: there are none. They belong to the trace. */
bool orch__near_take(const struct trace *t, struct orch_candidate *const *of, size_t count,
                     struct orch_near *out);
/* Whether they were asked for, for this node and as many answers. */
bool orch__near_asked(const struct orch_node *n, size_t count);
/* grounds.c: the sources that have a text; returns how many. */
size_t orch__given_sources(const struct trace *t, struct gw_source sources[ORCH_SOURCES]);
/* Holds a text against them; claims: of the verdict, where the text is its winner's, or NULL. */
void orch__ground(const struct trace *t, const char *text, enum orch_unsupported unsupported,
                  const json_t *claims, struct orch_grounding *out);
/* The answer as people get it, and `grounding` of the document. The caller frees both; figures: how
 * many sentences are what. */
char *orch__grounded(struct trace *t, const char *text, json_t **figures);
void orch__compare(struct orch_node *n);
/* Counts anew; true if the vote has ended. */
bool orch__vote(struct orch_node *n, bool first);
void orch__judge_start(struct orch_node *n); /* verify, guard */
void orch__judge_end(struct orch_node *n);
/* The answer, with what a guard said against it. The caller frees. */
char *orch__guard_noted(const struct trace *t, const char *answer);
void orch__final(struct trace *t); /* the verdict is about the answer that the flow ended with */
/* pace.c: a call of the candidate begins, a piece of its text has come. */
void orch__pace_begin(struct orch_candidate *c, int64_t input_tokens);
void orch__pace(struct orch_candidate *c);
/* stream.c: tells clients what of `text` they may hear by now; added: bytes of it that came last.
 */
void orch__stream(struct orch_candidate *c, size_t added);
/* Leaves of `text`, where an answer ended early, its whole words without secrets. */
void orch__stream_cut(struct orch_candidate *c);
/* safety.c */
enum err orch__safety_read(struct orch *o, struct error *e); /* ERR_CONFIG */
/* Judges the text; `then` comes inside or later. */
void orch__check(struct orch_check *k, const char *text);
void orch__check_cancel(struct orch_check *k); /* if one is under way */
void orch__check_release(struct orch_check *k);
/* What an answer that ended early has left for people, by the rules. */
void orch__check_part(struct orch_candidate *c);
/* While an answer is written: may what stands before `end` of its text be told? */
bool orch__may_tell(struct orch_candidate *c, size_t end);
/* critique.c: the two that were compared meet */
void orch__critique_start(struct orch_node *n);
/* Breaks off what the node has under way with others' answers: a meeting, or vectors. */
void orch__critique_cancel(struct orch_node *n);
/* Takes what the critiques brought, and ends the node; none is under way any more. */
void orch__critiques_end(struct trace *t);
/* ending.c */
void orch__conclude(struct trace *t);
void orch__fail(struct trace *t, const struct error *e);
/* The same for what the safety filter blocked; words: why. */
void orch__block(struct trace *t, const char *words);
/* False if it was ending already. One whose question is not durable yet ends when it is. by: a
 * literal. */
bool orch__stop(struct trace *t, const char *by);
/* Frees the trace if it has ended and nothing refers to it any more. */
void orch__settle(struct trace *t);

/* The chart of what a tool's data has in `series`: {title, unit, series: [{label, points: [[ms,
 * value|null]]}]}, within bounds; NULL: nothing to draw. The caller owns. */
json_t *orch__chart(const json_t *data);

#endif
