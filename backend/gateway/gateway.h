/* The model gateway: one streaming interface over every model API (models.def).
 *
 * A call is what a client asks for; it makes one try or more: another one after a failure before
 * the first token, by another key, with another model, or beside a late one.
 *
 * Invariants
 * G1 Every gw_start that returned a call ends in exactly one `done`, unless gw_cancel was called.
 * G2 Every try of a call is in its `spent`, whatever became of it, with its usage, flagged reported
 *    or estimated; a cut stream is an error with what arrived so far and usage estimated.
 * G3 Foreign text is bounded: at most 1 MiB a line, 512 KiB an answer, 32 MiB a response on the
 * wire.
 * G4 No try is sent before admission reserved for it, and each that was reserved is settled once.
 */
#ifndef GATEWAY_H
#define GATEWAY_H

#include "backend/base/buf.h"
#include "backend/base/conf.h"
#include "backend/base/errors.h"
#include "backend/base/json.h"
#include "backend/base/loop.h"
#include "backend/vault/vault.h"

struct gw; /* all configured models; owned by the backend */
struct gw_call;

struct gw_model {         /* what a model is; belongs to the gateway */
    const char *name;     /* "builtin/lexical", "local" */
    const char *kind;     /* a row of models.def: "builtin", "ollama", "openai" */
    const char *model;    /* the name sent to the provider */
    const char *provider; /* gen_ai.provider.name: "builtin", "ollama", "openai" or the host */
    const char *region;   /* ISO 3166, "" unknown; the built-in ones are "local" */
    const char *url;
    const char *currency;
    int64_t context;
    int64_t token_budget; /* tokens that one request may take, input and output together */
    int64_t tier;         /* how capable, from 1 */
    const char *off_peak; /* "23:00-07:00", "" any time */
    bool priced;
    int64_t price_in, price_out; /* nano units per 1,000,000 tokens */
    int64_t price_cached,
        price_reasoning; /* of the parts that are priced apart; -1: they are not */
    int64_t energy;      /* as configured: see gw_energy; -1: not configured */
    bool builtin;
    bool keyed;        /* a key goes with each request */
    const char *about; /* one sentence for people: what it is and is not */
};

/* What a model may consult besides its messages. The orchestrator implements it; the built-in
 * models live from it. All of it is read-only and already logged when it reaches the model. */
struct gw_source {
    const char *id;     /* "1", "2": how the answer cites it, as [1] */
    const char *kind;   /* "tool", "runbook" */
    const char *ref;    /* "host/disk", "runbooks/en/disk-full.md#Find what grew" */
    const char *text;   /* what it says, plain text or Markdown */
    const json_t *data; /* a tool's structuredContent, or NULL */
    double fit;         /* how well it fits the question, 0..1 */
};

struct gw_message {
    const char *role; /* "system", "user", "assistant", "tool" */
    const char *content;
    const json_t *tool_calls; /* assistant: as gw_result has them, or NULL */
    const json_t *thinking;   /* assistant: as gw_result has it, or NULL */
    const char *tool_call_id; /* tool: which of them this answers, or NULL */
    const char *image;        /* the MIME type of an image that stood here, or NULL: no model here
                                 takes one, so the call is refused */
};

/* What a model that stands in is sent instead of a request's own messages: its budget may be
 * smaller. */
struct gw_refit {
    const char *model;
    const struct gw_message *messages;
    size_t message_count;
};

/* GW_REVIEW: what is wrong with `other`, as a list. */
enum gw_task { GW_ANSWER, GW_CRITIQUE, GW_REVIEW };
enum gw_tag { GW_INTERACTIVE, GW_BATCH }; /* who waits; interactive goes first */

struct gw_request { /* everything is copied by gw_start */
    enum gw_task task;
    const char *question;
    const char *lang; /* "en", "ru" */
    const struct gw_message
        *messages; /* what a real model is sent; the built-in ones use the fields above */
    size_t message_count;
    const struct gw_refit *refits; /* a row for each such model */
    size_t refit_count;
    const struct gw_source *sources;
    size_t source_count;
    const char *mine, *other; /* GW_CRITIQUE: the model's own answer and the one it is to criticise;
                                 GW_REVIEW: other */
    const char *looked_at;    /* one line: which tools and documents were consulted, for "I cannot
                                 answer that" */
    int64_t max_output_tokens;
    int64_t token_budget; /* of input and output together; 0, or more than it: the model's */
    uint64_t connect_ms, first_token_ms, silence_ms,
        total_ms;            /* 0: the defaults 3 s, 15 s, 10 s, 60 s */
    const char *traceparent; /* W3C: the span that this is part of, or NULL */
    enum gw_tag tag;
    bool off_peak; /* a batch that may wait for the model's off-peak hours; its time begins then */
    const char *session, *project, *trace_id; /* whom the cost belongs to, or NULL */
    const char *regions; /* ISO 3166 with spaces between: where the data may go; NULL: anywhere */
    const json_t *tools; /* [{name, description, parameters: JSON schema}], or NULL */
    const char *tool_choice;   /* "auto", "none", "required" or a tool's name; NULL: auto */
    bool json_mode;            /* the answer is to be one JSON object */
    const json_t *json_schema; /* with json_mode: what it has to fit, or NULL */
};

struct gw_usage {
    int64_t input_tokens, cached_tokens, cache_write_tokens; /* the latter two are part of input */
    int64_t output_tokens, reasoning_tokens;                 /* the latter is part of output */
    bool estimated;                                          /* input or output is ours */
};

/* What one try came to. */
enum { GW_ATTEMPTS = 8 };
struct gw_attempt {
    const struct gw_model *model;
    const char *outcome; /* "ok", "error", "cancelled", "hedged": it lost against another one */
    enum err code;       /* of an error */
    struct gw_usage usage;
    json_t *raw_usage;                             /* the provider's own object, or NULL */
    unsigned key;                                  /* which of the model's keys */
    int64_t http_status;                           /* 0: none */
    int64_t queued_ms, elapsed_ms, first_token_ms; /* first_token_ms -1: none came */
};
struct gw_spent {
    struct gw_attempt at[GW_ATTEMPTS];
    size_t count;
};
void gw_spent_release(struct gw_spent *s);
/* Of a call that could not be started: one try that cost nothing. */
struct gw_spent gw_spent_nothing(const struct gw_model *m, enum err code);
/* Of all tries together. */
struct gw_usage gw_spent_usage(const struct gw_spent *s);

struct gw_result {                /* valid in the callback */
    struct error error;           /* OK, or why; text may hold a partial answer all the same */
    const struct gw_model *model; /* that answered, or was tried last */
    const char *text;             /* the whole answer, UTF-8 (foreign!) */
    const char *reasoning;        /* what the model showed of its thinking, "" (foreign!) */
    const json_t *tool_calls;     /* [{id, name, arguments: object}], or NULL (foreign!) */
    const json_t *thinking;       /* what the model's API wants back, unchanged, beside tool_calls;
                                     other models leave it out; or NULL (foreign!) */
    const char *finish_reason;    /* "stop", "length", "tool_calls", "error", "cancelled" */
    bool over_budget;             /* "length": the token budget ended it, not the limit asked for */
    struct gw_usage usage;        /* of the try that answered */
    int64_t elapsed_ms, first_token_ms; /* since gw_start; first_token_ms -1 if none */
    int64_t http_status;                /* 0: none */
    const struct gw_spent *spent;
};

struct gw_ops { /* texts are valid in the callback; each but done may be NULL */
    void (*delta)(void *arg, const char *text, size_t len); /* as it comes */
    void (*reasoning)(void *arg, const char *text, size_t len);
    void (*done)(void *arg, const struct gw_result *result); /* last; frees the call */
};

/* Who decides whether a try may be made: reserve is asked before each, with what it may reach;
 * settle tells once how each that was let in ended. */
struct gw_admission {
    enum err (*reserve)(void *arg, const struct gw_model *m, const struct gw_request *r,
                        int64_t input_tokens, int64_t output_tokens, uint64_t *ticket,
                        struct error *e);
    /* The price of a try, for gw_route, in one currency for all; NULL: the models' own prices.
     * False: unknown. */
    bool (*price)(void *arg, const struct gw_model *m, int64_t input_tokens, int64_t output_tokens,
                  int64_t *nano);
    void (*settle)(void *arg, uint64_t ticket, const struct gw_attempt *a);
};

/* Models from the configuration plus builtin/lexical and builtin/vector. NULL with *e (CONFIG). */
struct gw *gw_new(struct loop *l, const struct conf *conf, struct error *e);
/* Whose secrets a model's key may name; borrowed, NULL: none. */
void gw_set_vault(struct gw *g, struct vault *v);
void gw_set_admission(struct gw *g, const struct gw_admission *a, void *arg);
/* Where tries are counted, and their spans begin; borrowed, NULL: nowhere. upstream: model APIs are
 * told the span by a traceparent. */
struct tel;
void gw_set_telemetry(struct gw *g, struct tel *t, bool upstream);
void gw_collect(struct gw *g); /* sets the gauges of models */
void gw_free(struct gw *g);
/* Nanojoules that 1,000 tokens of input and output take: as configured, else as learnt of a model
 * on this machine; -1: unknown. *source: "configured", "learnt", "unknown". */
int64_t gw_energy(const struct gw_model *m, const char **source);
size_t gw_count(const struct gw *g);
const struct gw_model *gw_model(const struct gw *g, size_t i);
/* How it goes with a model: {breaker: closed|open|half-open, breaker_wait_ms, running, waiting,
 * keys, keys_resting: left alone after a 429, first_token_p50_ms, first_token_p95_ms, tokens_per_s,
 * energy_j_per_1k: joules per 1,000 tokens, energy_source: configured|learnt|unknown, error_rate},
 * of the last 60 tries; null what is not known. Caller owns. */
json_t *gw_state(const struct gw *g, size_t i);
const struct gw_model *gw_find(const struct gw *g, const char *name); /* NULL: none */
/* What a question needs of a model. */
struct gw_need {
    int64_t input_tokens, output_tokens;
    double risk;         /* 0..1 */
    const char *regions; /* as in gw_request */
    bool tools, json;
    const struct gw_model *const *taken; /* those that answer already, or NULL */
    size_t taken_count;
};
/* Pools as configured: a name, and the patterns of its models' names; NULL: there is none of that
 * number. */
const char *gw_pool_name(const struct gw *g, size_t i, const char **models);
/* The model that name stands for: itself, or with "pool:NAME" the one of that pool that fits: of
 * those that can (context, region, throughput, tools, breaker) and are of the tier that the risk
 * asks for, the cheapest; unknown prices come last, then the shorter queue, then the higher
 * throughput. *why (may be NULL) gets {pool, risk, tier, reason, considered: [{model, tier, cost:
 * number|null, throughput|null, running, waiting, verdict}]} of a pool, else NULL; the
 * caller owns it, also without a model. NULL with *e: NOT_FOUND, or OVERLOADED: none can. */
const struct gw_model *gw_route(const struct gw *g, const char *name, const struct gw_need *need,
                                json_t **why, struct error *e);
/* A new configuration: models that are the same stay as they are, with their queues; a call under
 * way ends with the model that it began with, which stays valid as a pointer. A wrong configuration
 * changes nothing. *changes gets the names that are new, other or gone, a line each; the caller
 * frees. changes NULL: the configuration is only looked at. */
enum err gw_reload(struct gw *g, const struct conf *conf, char **changes, struct error *e);
/* How long batch work for a model is to wait for its off-peak hours, in ms, at that local time of
 * day; 0: not at all. */
uint64_t gw_off_peak_wait_ms(const struct gw_model *m, unsigned second_of_day);
/* The models that are to answer: those of MODEL_BACKENDS if it is set (names of models, or kinds: a
 * kind without a section of its own gives a model with defaults: "ollama" at http://127.0.0.1:11434
 * with OLLAMA_MODEL, "openai" at OPENAI_BASE_URL with OPENAI_MODEL and OPENAI_API_KEY), else of
 * [copilot] models; "pool:NAME" is for gw_route. gw_new has checked them. Fills up to max names,
 * which belong to g; returns how many. */
size_t gw_chosen(const struct gw *g, const struct conf *c, const char **names, size_t max);
/* Whether a model is one of these, or in one of these pools. */
bool gw_is_chosen(const struct gw *g, const char *name);
/* The models behind APIs that may stand in for a model, as configured, in their order; returns how
 * many there are, at most max. */
enum { GW_STAND_INS = 7 };
size_t gw_stand_ins(const struct gw *g, const char *model, const struct gw_model **out, size_t max);
/* NULL with *e if it cannot be started; then no callback runs: NOT_FOUND, UNSUPPORTED (an image),
 * DENIED (no region that the data may go to), OVERLOADED (with a time to retry), or what kept the
 * model and all its fallbacks from being asked. The whole call, waiting included, has total_ms. */
struct gw_call *gw_start(struct gw *g, const char *model, const struct gw_request *r,
                         const struct gw_ops *ops, void *arg, struct error *e);
/* Upstream connections are closed at once; no callback runs any more. *spent (may be NULL) gets all
 * tries, those under way as "cancelled" with estimates; the caller releases it. */
void gw_cancel(struct gw_call *c, struct gw_spent *spent);
/* What a model's server is asked besides chats. fn runs once, later, unless gw_ask_cancel was
 * called; what it gets is valid in the callback. NULL with *e (NOT_FOUND, UNSUPPORTED): nothing was
 * begun. Failures that pass are tried again as those of calls are. */
struct gw_ask;
struct gw_asked {
    struct error error; /* OK, or why */
    const struct gw_model *model;
    int64_t elapsed_ms, http_status;
    json_t
        *models; /* gw_list_models: [{name, title, context: tokens|null, bytes|null}] (foreign!) */
    int listed;  /* gw_health: 1 the server lists the model, 0 it does not, -1 it lists none */
    float *vectors; /* gw_embed: count vectors of so many dimensions, one behind the other */
    size_t count, dimensions;
    struct gw_spent *spent; /* gw_embed: one attempt with the usage of all that was sent */
};
typedef void gw_asked_fn(void *arg, const struct gw_asked *a);
/* The models that the server has. */
struct gw_ask *gw_list_models(struct gw *g, const char *model, gw_asked_fn *fn, void *arg,
                              struct error *e);
/* Whether the server answers and has the model; it costs no tokens. */
struct gw_ask *gw_health(struct gw *g, const char *model, gw_asked_fn *fn, void *arg,
                         struct error *e);
/* The vectors of texts, some texts a request ([model] embed_batch), one request after the other.
 * builtin/vector has them of itself. whom: session, project, trace_id, traceparent and tag, for the
 * admission; regions (DENIED: the model is in none of them); off_peak. */
struct gw_ask *gw_embed(struct gw *g, const char *model, const char *const *texts, size_t count,
                        const struct gw_request *whom, gw_asked_fn *fn, void *arg, struct error *e);
/* Whether there is a model of that name whose API has embeddings. */
bool gw_can_embed(const struct gw *g, const char *model);
/* fn does not run any more. *spent (may be NULL) gets what embeddings took until now; the caller
 * releases it. */
void gw_ask_cancel(struct gw_ask *a, struct gw_spent *spent);
/* An estimate of the tokens in a text (bytes by script: about 4 a token for Latin, 2.6 characters
 * for Cyrillic, 1 for ideographs). */
int64_t gw_estimate_tokens(const char *text);

/* trouble.c: the lines of what a tool printed that speak of trouble, in their order, so many bytes
 * at most, each with a new line behind it; NULL: none does. The caller frees. */
char *gw_trouble(const char *text, size_t bytes);

/* lines.c: adds what the built-in models quote of a tool's answer in other words than stand there:
 * rows with the names of their columns, fields with those below them, leaves of JSON; a line each.
 */
void gw_reworded(const struct gw_source *s, struct buf *out);

#endif
