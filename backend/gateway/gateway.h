/* The model gateway: one streaming interface over every model API (models.def).
 *
 * Invariants
 * G1 Every gw_start that returned a call ends in exactly one `done`, unless gw_cancel was called.
 * G2 deltas + `done` carry usage, flagged reported or estimated; a cut stream is an error with what
 *    arrived so far and usage estimated.
 * G3 Foreign text is bounded: at most 1 MiB a line, 512 KiB an answer, 32 MiB a response on the
 * wire.
 */
#ifndef GATEWAY_H
#define GATEWAY_H

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
    bool priced;
    int64_t price_in, price_out; /* nano units per 1,000,000 tokens */
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
    const char *role; /* "system", "user", "assistant" */
    const char *content;
};

enum gw_task { GW_ANSWER, GW_CRITIQUE };

struct gw_request { /* everything is copied by gw_start */
    enum gw_task task;
    const char *question;
    const char *lang; /* "en", "ru" */
    const struct gw_message
        *messages; /* what a real model is sent; the built-in ones use the fields above */
    size_t message_count;
    const struct gw_source *sources;
    size_t source_count;
    const char *mine,
        *other;            /* GW_CRITIQUE: the model's own answer and the one it is to criticise */
    const char *looked_at; /* one line: which tools and documents were consulted, for "I cannot
                              answer that" */
    int64_t max_output_tokens;
    uint64_t connect_ms, first_token_ms, silence_ms,
        total_ms;            /* 0: the defaults 3 s, 15 s, 10 s, 60 s */
    const char *traceparent; /* W3C, or NULL */
};

struct gw_usage {
    int64_t input_tokens, output_tokens;
    bool estimated;
};

struct gw_result {
    struct error error;        /* OK, or why; text may hold a partial answer all the same */
    const char *text;          /* the whole answer, UTF-8 (foreign!), valid in the callback */
    const char *finish_reason; /* "stop", "length", "error", "cancelled" */
    struct gw_usage usage;
    int64_t elapsed_ms, first_token_ms; /* first_token_ms -1 if none */
    int64_t http_status;                /* 0: none */
};

struct gw_ops {
    void (*delta)(void *arg, const char *text, size_t len); /* as it comes; valid in the callback */
    void (*done)(void *arg, const struct gw_result *result); /* last; frees the call */
};

/* Models from the configuration plus builtin/lexical and builtin/vector. NULL with *e (CONFIG). */
struct gw *gw_new(struct loop *l, const struct conf *conf, struct error *e);
/* Whose secrets a model's key may name; borrowed, NULL: none. */
void gw_set_vault(struct gw *g, struct vault *v);
void gw_free(struct gw *g);
size_t gw_count(const struct gw *g);
const struct gw_model *gw_model(const struct gw *g, size_t i);
const struct gw_model *gw_find(const struct gw *g, const char *name); /* NULL: none */
/* The models that are to answer: those of MODEL_BACKENDS if it is set (names of models, or kinds: a
 * kind without a section of its own gives a model with defaults: "ollama" at http://127.0.0.1:11434
 * with OLLAMA_MODEL, "openai" at OPENAI_BASE_URL with OPENAI_MODEL and OPENAI_API_KEY), else of
 * [copilot] models. gw_new has checked them. Fills up to max names, which belong to g; returns how
 * many. */
size_t gw_chosen(const struct gw *g, const struct conf *c, const char **names, size_t max);
/* NULL with *e if it cannot be started; then no callback runs. */
struct gw_call *gw_start(struct gw *g, const char *model, const struct gw_request *r,
                         const struct gw_ops *ops, void *arg, struct error *e);
/* The upstream connection is closed at once; no callback runs any more. *usage (may be NULL) gets
 * what was used so far, as an estimate. */
void gw_cancel(struct gw_call *c, struct gw_usage *usage);
/* An estimate of the tokens in a text (bytes by script: about 4 a token for Latin, 2.6 characters
 * for Cyrillic, 1 for ideographs). */
int64_t gw_estimate_tokens(const char *text);

#endif
