/* Private to the gateway room. */
#ifndef GATEWAY_INTERNAL_H
#define GATEWAY_INTERNAL_H

#include "backend/base/breaker.h"
#include "backend/base/buf.h"
#include "backend/gateway/energy.h"
#include "backend/gateway/gateway.h"
#include "backend/telemetry/telemetry.h"

enum {
    GW__LINE_MAX = 1 << 20,   /* one line or one event of a stream */
    GW__TEXT_MAX = 512 << 10, /* an answer's text: it is scanned, sealed and judged on the loop */
    GW__WIRE_MAX = 32 << 20,  /* what one response may bring in all */
    GW__ERROR_MAX = 64 << 10  /* kept of an error's body */
};

struct gw__try;

/* How tries of one API are made. */
struct gw__ops {
    /* Begins the try; callbacks come from the loop later. An error: nothing was started. */
    enum err (*start)(struct gw__try *t, struct error *e);
    /* Ends whatever start began and frees t->state. Called once, also after the try finished. */
    void (*stop)(struct gw__try *t);
};

enum { GW__KINDS_MAX = 32 };
enum gw__auth {
    GW__BEARER,    /* Authorization: Bearer KEY */
    GW__API_KEY,   /* Authorization: Api-Key KEY */
    GW__X_API_KEY, /* x-api-key: KEY */
    GW__EXCHANGE   /* the key gets tokens at token_url (grant.c), which are bearers */
};
enum gw__json {
    GW__JSON_WORDS,      /* the request asks for JSON in words, nothing more */
    GW__JSON_OBJECT,     /* response_format json_object; a schema goes in words */
    GW__JSON_SCHEMA,     /* json_schema, or json_object without a schema */
    GW__JSON_SCHEMA_ONLY /* json_schema always */
};

/* A row of models.def. */
struct gw__kind {
    const char *name, *help;
    const struct gw__ops *ops;
    const char *provider; /* gen_ai.provider.name; NULL: the address's host */
    /* What a section may leave out, and what MODEL_BACKENDS gets by the kind's name without one:
     * texts, and variables that set them. NULL: none. */
    const char *url, *url_variable, *model, *model_variable, *key_variable;
    bool local;        /* runs on this machine */
    bool url_required; /* a section has to say where it is */
    enum gw__auth auth;
    enum gw__json json;
    bool functions;       /* functions and function_call instead of tools and tool_calls */
    bool counts;          /* takes stream_options {include_usage} */
    const char *limit;    /* what max_output_tokens is called */
    const char *thinking; /* by what an assistant's thinking goes back with its calls of tools */
    size_t embed_batch;   /* texts of a request for embeddings at most; 0: the usual 64 */
    const char *header;
    /* Behind the model's url; NULL: there is none. health stands behind the server's root. */
    const char *chat, *embed, *list, *health;
    const char *scheme, *embed_scheme; /* a name N is sent as SCHEME://FOLDER/N */
    const char *token_url, *scope;     /* of GW__EXCHANGE */
};
#define MODEL_API(kind, ops, ...) extern const struct gw__ops ops;
#include "backend/gateway/models.def"
#undef MODEL_API

/* The form in which a model is spoken to: its kind's, with what its section says instead. */
struct gw__form {
    enum gw__auth auth;
    enum gw__json json;
    bool functions, counts;
    const char *header, *scheme, *embed_scheme; /* the kind's */
    char *limit, *chat, *embed, *list, *health; /* own; NULL: none */
    char *folder, *token_url, *scope;           /* own */
    char *thinking;                             /* own; NULL: it does not go back */
    size_t embed_batch;
    json_t *extra; /* merged into each body, or NULL */
};

enum { GW__KEYS = 8, GW__CHAIN = 8 };

/* What the configuration says of how a model is called (lane.c). */
struct gw__policy {
    uint64_t connect_ms, first_token_ms, silence_ms, total_ms; /* 0: the request's */
    unsigned retries;
    size_t parallel, queue; /* tries at once; calls that may wait */
    char *fallback;         /* names of models, "" none */
    bool hedge;             /* a second try beside a late first one, */
    uint64_t hedge_ms;      /* after so long; 0: after the p95 of the first tokens */
};

/* One that wants a place of a model: a call, or embeddings. */
struct gw__seat {
    const struct gw__model *queued; /* in whose queue it stands, or NULL */
    const struct gw__model
        *kept;               /* where a place is kept for it since `wake` was set off, or NULL */
    struct gw__seat *behind; /* in that queue */
    struct loop_timer *wake; /* its owner's */
    enum gw_tag tag;
    bool begun; /* part of its work is done: it may stand in a full queue too */
};

/* What is under way with a model, and how it went. */
struct gw__lane {
    size_t running, waiting;
    struct gw__seat *first[2], *last[2]; /* those that wait, by tag */
    struct breaker breaker;
    unsigned key;                   /* that the next try takes */
    uint64_t key_until[GW__KEYS];   /* monotonic ms; before that it is left alone */
    struct tel_history first_token; /* ms */
    struct tel_history elapsed;     /* ms of tries that were answered */
    struct tel_history rate;        /* tokens a second that they wrote */
};

struct gw__model {
    struct gw_model pub; /* its strings but kind and about are this struct's own */
    const struct gw__ops *ops;
    struct gw__form form;
    char *keys[GW__KEYS]; /* references of API keys ("env:NAME") */
    size_t key_count;
    struct gw__policy policy;
    struct gw__lane *lane;
    char *ca_file;               /* for http_options, or NULL */
    struct gw__count *count;     /* its tokens: count.h */
    bool vectors;                /* builtin: which of the two */
    int64_t throughput;          /* declared tokens a second, 0: not known */
    unsigned off_begin, off_end; /* of the off-peak hours: seconds of the day; the same: any */
    char *fingerprint;           /* of its configuration */
};

struct gw__pool { /* [pool "name"]; route.c */
    char *name, *patterns, *regions;
    int64_t min_context, min_throughput;
    double medium_risk, high_risk;
};

struct gw {
    struct loop *loop;
    struct gw__model **models;
    size_t count;
    struct gw_call *calls;    /* those under way */
    struct gw_ask *asks;      /* those under way */
    struct gw__grant *grants; /* tokens of models with GW__EXCHANGE */
    char **chosen;            /* names of those that are to answer */
    size_t chosen_len;
    struct gw__pool *pools;
    size_t pool_count;
    struct gw__model **retired; /* replaced by gw_reload: calls and traces may still name them */
    size_t retired_count;
    struct vault *vault; /* or NULL */
    struct gw__rank_file *rank_files;
    struct gw_admission admission;
    void *admission_arg;
    size_t load;                /* tries under way and calls that wait, of all models */
    size_t watermark, coalesce; /* above so much load, deltas come so many tokens at a time */
    struct tel *tel;            /* or NULL */
    bool tells_upstream;
    struct gw__meter meter;
};

struct gw__tally {  /* of a text that grows */
    size_t counted; /* bytes */
    double tokens;
};

enum { GW__NAME_MAX = 128 };
/* One exchange with one model's API (try.c). */
struct gw__try {
    struct gw *g;
    const struct gw__model *m;
    struct gw_call *call;
    struct gw_request own;                                     /* the call's, as m gets it */
    const struct gw_request *r;                                /* that */
    uint64_t connect_ms, first_token_ms, silence_ms, total_ms; /* its limits */
    struct buf text, reasoning;
    uint64_t started;     /* monotonic ms, like the next three, which are 0 before they happen */
    uint64_t first, last; /* event that shows life, also one that brings no text */
    uint64_t spoke;       /* first text */
    struct loop_timer *limit;
    struct tel_span *span; /* or NULL */
    struct gw__energy_mark energy;
    char response_id[GW__NAME_MAX], response_model[GW__NAME_MAX]; /* as the answer says, or "" */
    /* as reported; -1: not reported */
    int64_t input_tokens, cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens;
    json_t *raw_usage;     /* the provider's own, or NULL */
    json_t *tool_calls;    /* as gw_result has them, or NULL */
    json_t *thinking;      /* as gw_result has it, or NULL */
    int64_t hidden_tokens; /* estimate of what was produced but is neither text nor reasoning */
    int64_t max_output;    /* what the model is asked for at most; 0: no limit */
    size_t call_bytes;     /* of the names and arguments of tools' calls */
    int64_t room;          /* tokens that the budget leaves for the answer; -1: no budget */
    struct gw__tally text_tally, reasoning_tally;
    double said;      /* tokens, when the budget was looked at last */
    bool over_budget; /* the answer ends where it does for want of room */
    int64_t http_status;
    int64_t retry_after_ms; /* -1: the upstream did not say */
    unsigned key;           /* which of the model's keys */
    uint64_t ticket;
    bool admitted, probe;
    bool sent;     /* the upstream may have read the input */
    void *state;   /* of the API */
    unsigned busy; /* callbacks of ours on the stack: freed when it is 0 again */
    bool over;
};

/* try.c: what the APIs call. Between gw__enter and gw__leave the try's memory stays; after
 * gw__leave it may be gone. */
void gw__enter(struct gw__try *t);
void gw__leave(struct gw__try *t);
/* The upstream is alive: starts the silence limit anew. */
void gw__alive(struct gw__try *t);
/* Hands text on. False when the try is over then. */
bool gw__delta(struct gw__try *t, const char *text, size_t len);
/* The same for what the model shows of its thinking. */
bool gw__reasoning(struct gw__try *t, const char *text, size_t len);
/* Ends the try. reason NULL: "stop", or "error" when *e is one. */
void gw__finish(struct gw__try *t, const struct error *e, const char *reason);

/* told.c: what is told of a try. begin before its ops->start, end once with what it came to. */
void gw__told_begin(struct gw__try *t);
/* What an answer, or a part of one, says of itself in its members id and model. */
void gw__told_response(struct gw__try *t, const json_t *answer);
void gw__told_end(struct gw__try *t, const struct gw_attempt *a);
/* An answer ended before its end, for want of room. */
void gw__told_cut(struct gw__try *t);
void gw__told_unstarted(struct gw__try *t, enum err code);
/* Another try is made because of one with m, or beside it. */
void gw__told_again(const struct gw__model *m, struct gw *g, const char *reason);
/* The header for its upstream, which the caller frees; NULL: none. */
char *gw__told_header(const struct gw__try *t);

/* try.c, for call.c. NULL with *e: nothing was started. left_ms: of the call's time. */
struct gw__try *gw__try_start(struct gw_call *c, const struct gw__model *m, unsigned key,
                              uint64_t left_ms, struct error *e);
/* Ends it without telling the call; its memory goes when no callback of it is on the stack. */
void gw__try_end(struct gw__try *t);
struct gw_usage gw__try_usage(const struct gw__try *t);

/* count.c: what a request has for a model to read, and what a try has shown of its answer, as
 * tokens. */
int64_t gw__input_estimate(const struct gw__model *m, const struct gw_request *r);
int64_t gw__output_estimate(const struct gw__try *t);

/* What a client asked for (call.c). */
enum { GW__TRIES = 2 }; /* of one call at once */
struct gw_call {
    struct gw *g;
    struct gw_ops ops;
    void *arg;
    struct gw_request r; /* deep copy; limits are filled in */
    struct gw_call *next, **link;
    const struct gw__model *chain[GW__CHAIN]; /* the model asked for and those that may stand in */
    size_t chain_len, at;
    unsigned failures;                 /* of chain[at] */
    uint64_t started, spoke, deadline; /* monotonic ms; spoke 0: no text yet */
    struct loop_timer *wake;           /* of a pause, a place in a queue, or the next hedge */
    struct gw__seat seat;
    struct gw__try *tries[GW__TRIES], *winner;
    struct gw_spent spent;          /* tries that are over */
    struct error error, later;      /* the first failure, and the last one of another model */
    const struct gw__model *failed; /* whose the first was */
    bool *gone;                     /* set when the call is freed, or NULL */
    struct buf held;                /* text not handed on yet (GW-3) */
};

/* call.c: what a try tells its call. After either the try may be over and the call gone. */
void gw__call_delta(struct gw_call *c, struct gw__try *t, const char *text, size_t len);
void gw__call_reasoning(struct gw_call *c, struct gw__try *t, const char *text, size_t len);
void gw__call_ended(struct gw_call *c, struct gw__try *t, const struct error *e,
                    const char *reason);

/* lane.c */
enum err gw__policy_load(struct gw__model *m, const struct conf *conf, const char *name,
                         struct error *e);
/* The names of all fallbacks are known, and no model stands in for itself. */
enum err gw__policies_check(const struct gw *g, const struct conf *conf, struct error *e);
/* The models that may answer a request to m: itself and those of its fallbacks that its regions and
 * its length allow. */
size_t gw__chain(const struct gw *g, const struct gw__model *m, const struct gw_request *r,
                 const struct gw__model *out[GW__CHAIN]);
/* A place of a model. False: there is none now. */
bool gw__lane_take(struct gw *g, const struct gw__model *m);
/* Gives a place back; who waits longest, interactive ones first, has it kept and is woken. */
void gw__lane_leave(struct gw *g, const struct gw__model *m);
/* OVERLOADED with a time to retry when the queue is full. */
enum err gw__lane_wait(struct gw *g, struct gw__seat *s, const struct gw__model *m,
                       struct error *e);
/* It waits for nothing any more, and what was kept for it goes back. */
void gw__lane_unwait(struct gw *g, struct gw__seat *s);
/* The key of the next try: the present one, or the first that is not left alone. */
unsigned gw__lane_key(const struct gw__model *m);
/* A key was refused for its rate; true if another may be tried at once. */
bool gw__lane_rotate(const struct gw__model *m, unsigned key, uint64_t pause_ms);
/* When a hedge is made, in ms after a try began; 0: never. */
uint64_t gw__lane_hedge_ms(const struct gw__model *m);
/* A try of the model is over. */
void gw__lane_ended(const struct gw__model *m, const struct gw__try *t, const char *outcome,
                    enum err code);
/* How long to wait before the n-th try again (from 0): min(500 ms x 2^n, 5 s) x 0.8..1.2. */
uint64_t gw__backoff_ms(unsigned n);

/* call.c */
const struct gw__model *gw__find(const struct gw *g, const char *name);
bool gw__is_passing(enum err code, int64_t status);

/* models.c: fills g->models from the configuration and the environment. */
enum err gw__models_load(struct gw *g, const struct conf *conf, struct error *e);
/* route.c */
enum err gw__pools_load(struct gw *g, const struct conf *conf, struct error *e);
void gw__pools_free(struct gw *g);
const struct gw__pool *gw__pool(const struct gw *g, const char *name); /* "pool:NAME"; NULL: none */
bool gw__pool_has(const struct gw__pool *p, const struct gw__model *m);
bool gw__region_fits(const char *regions, const char *region);
/* How long a call waits for its model's off-peak hours now; 0: not at all. */
uint64_t gw__off_peak_ms(const struct gw__model *m, const struct gw_request *r);
/* "23:00-07:00" as seconds of the day; false: it is none. */
bool gw__hours(const char *text, unsigned *begin, unsigned *end);
void gw__models_free(struct gw *g);

/* kinds.c */
const struct gw__kind *gw__kind_find(const char *name); /* NULL: there is none */
const struct gw__kind *gw__kind_at(size_t i);           /* NULL: beyond the last */
/* The form of a model of this kind; conf NULL: no section. */
enum err gw__form_load(struct gw__model *m, const struct gw__kind *kind, const struct conf *conf,
                       const char *name, struct error *e);
void gw__form_release(struct gw__form *f);
/* The name that the server is sent. The caller frees. */
char *gw__model_name(const struct gw__model *m, const char *scheme);

/* request.c */
void gw__request_copy(struct gw_request *to, const struct gw_request *from);
void gw__request_release(struct gw_request *r);
/* The request as that model gets it; what it points to is r's. */
struct gw_request gw__request_for(const struct gw_request *r, const struct gw__model *m);

/* stream.c: bytes in any cutting to lines. Zero-initialise. data has no NUL behind it. fn answers
 * false to stop: then feed returns ERR_CANCELLED without touching the parser again, so fn may have
 * freed it. ERR_TOO_BIG: a line beyond GW__LINE_MAX. */
typedef bool gw__event_fn(void *arg, const char *event, const char *data, size_t len);
struct gw__lines {
    struct buf line;
    bool begun;
};
enum err gw__lines_feed(struct gw__lines *s, const char *bytes, size_t len, gw__event_fn *fn,
                        void *arg);
enum err gw__lines_end(struct gw__lines *s, gw__event_fn *fn, void *arg); /* an unfinished line */
void gw__lines_release(struct gw__lines *s);

/* words.c: small local similarity; the gateway does not know the knowledge room. */
struct gw__words { /* a set of 64-bit hashes, ascending */
    uint64_t *at;
    size_t len, cap;
};
void gw__words_release(struct gw__words *w);
bool gw__words_have(const struct gw__words *w, uint64_t hash);
size_t gw__words_common(const struct gw__words *a, const struct gw__words *b);

enum { GW__TOPICS_MAX = 32 };
struct gw__lexicon { /* stop words and topics, as sets of stems */
    struct gw__words stop, negation, topic[GW__TOPICS_MAX];
};
#define GW__GENERAL 1u /* the topic bit of "this machine", "everything" */
void gw__lexicon_init(struct gw__lexicon *x);
void gw__lexicon_release(struct gw__lexicon *x);
/* The stems of the words that mean something. */
void gw__words_of(const struct gw__lexicon *x, const char *text, struct gw__words *out);
/* The topics that words speak of, one bit each (topics.def). With related also those to look at. */
uint32_t gw__topics_of(const struct gw__lexicon *x, const struct gw__words *w, bool related);
/* The words that are not merely "this machine", into *out. */
void gw__words_special(const struct gw__lexicon *x, const struct gw__words *w,
                       struct gw__words *out);
/* The same words in the same order, whatever their case and what stands between them. */
bool gw__same_words(const char *a, const char *b);
/* The words in lower case, each with a space behind it; the caller frees. */
char *gw__plain_words(const char *text);
/* How many words negate. */
size_t gw__negations(const struct gw__lexicon *x, const char *text);
/* The numbers of a text; "93,4" and "93.4" are the same one. */
void gw__numbers_of(const char *text, struct gw__words *out);
/* L2-normalised hashed counts of character trigrams (feature hashing, Weinberger 2009). */
enum { GW__DIM = 256 };
void gw__trigrams(const char *text, float out[GW__DIM]);
double gw__cosine(const float *a, const float *b);

/* quote.c: foreign text as one line of Markdown that says nothing but itself. */
enum gw__quote_mode {
    GW__PLAIN,   /* every mark of Markdown is escaped */
    GW__MARKDOWN /* code spans stay, emphasis and links are reduced to their text */
};
/* Appends text in at most max characters, cut with an ellipsis. False (nothing appended) when there
 * is nothing to say, or when a code span holds what would read as a source mark. */
bool gw__quote(const char *text, size_t len, size_t max, enum gw__quote_mode mode, struct buf *out);

/* units.c: the sentences that sources offer. */
enum { GW__LAST_ORDER = 3, GW__SOURCES_MAX = 64 };
enum gw__unit_kind { GW__FINDING, GW__LINE, GW__STEP, GW__PROSE };
struct gw__unit {
    enum gw__unit_kind kind;
    size_t source; /* index */
    int severity;  /* 0 ok, 1 warn, 2 fail; 0 for what is no finding */
    double weight; /* of its section, added to the score */
    int order;   /* of its section: 0 look first, 1 any other, 2 mend, GW__LAST_ORDER afterwards */
    bool judged; /* a finding whose figure has a limit */
    bool told;   /* a finding that no instrument measured: help, models */
    char *text;  /* quoted */
    char *marks; /* "[1]", "[1][2]" when two sources say the same */
    struct gw__words words;
    uint32_t topics;
    bool fits;     /* speaks of what is asked */
    double score;  /* how well, by the model's own measure; about 0..1 */
    float *vector; /* NULL for lexical */
    bool taken, aside;
};
struct gw__units {
    struct gw__unit *at;
    size_t len, cap;
};
/* How alike two sets of words are, 0..1 (Jaccard). */
double gw__words_alike(const struct gw__words *a, const struct gw__words *b);
/* trouble.c: how much a line of a foreign tool speaks of trouble, 0..1, by its words and figures;
 * whether it is the head of a table. */
double gw__trouble(const char *line, size_t len);
bool gw__table_head(const char *line, size_t len);
bool gw__calm(const char *line, size_t len); /* a line of a log that is no warning, by its level */
/* lines.c: calls fn with each statement of what a foreign tool printed; raw: the line that it is
 * of, without the names of columns. Both are valid in the callback only. */
typedef void gw__statement(void *arg, const char *text, size_t len, const char *raw,
                           size_t raw_len);
void gw__statements(const char *text, size_t len, gw__statement *fn, void *arg);
/* The same of JSON: its leaves as "path: value", and short records of lists as one. False: it is
 * none. */
bool gw__structured(const struct gw_source *s, gw__statement *fn, void *arg);
void gw__units_collect(struct gw__units *u, const struct gw__lexicon *x,
                       const struct gw_request *r);
void gw__units_release(struct gw__units *u);

/* compose.c: an answer as pieces that are streamed one by one. */
struct gw__pieces {
    char **at;
    size_t len, cap;
};
void gw__pieces_add(struct gw__pieces *p, char *text); /* takes text */
void gw__pieces_release(struct gw__pieces *p);
struct gw__line { /* one sentence of an answer */
    enum gw__unit_kind kind;
    int severity;
    bool judged, told;        /* see struct gw__unit */
    bool aside;               /* bad, though nobody asked for it */
    int order;                /* steps: see struct gw__unit */
    size_t source;            /* index */
    size_t place;             /* among the units: the order in which the sources say it */
    const char *text, *marks; /* borrowed */
};
void gw__compose(const struct gw_request *r, bool vectors, struct gw__pieces *out);
/* The line of a unit. */
struct gw__line gw__line_of(const struct gw__units *units, const struct gw__unit *u);
/* True for what only frames statements: a heading, or the built-in models' own words. */
bool gw__is_frame(const char *sentence);
/* True if a line is the heading of what is over a limit though nobody asked. */
bool gw__is_besides(const char *line);
/* True if the question asks what to do, not only how things are. */
bool gw__asks_how(const char *question);
/* True if two sources are sections of one document. */
bool gw__same_document(const struct gw_source *a, const struct gw_source *b);
/* How many steps an answer may have: with everything measured well one pointer, unless the
 * question asks what to do or why; none where nothing that was measured has a limit. */
size_t gw__steps_wanted(const struct gw_request *r, const struct gw__line *lines, size_t n);
/* Renders lines (measurements first, then steps by document: what to look at, then what to mend)
 * or, with none, says that there is no answer. */
void gw__render(const struct gw_request *r, const struct gw__line *lines, size_t n,
                struct gw__pieces *out);
bool gw__russian(const struct gw_request *r);

/* critique.c */
void gw__critique(const struct gw_request *r, struct gw__pieces *out);
/* GW_REVIEW: what of `other` no source supports, and what it leaves out: what is over a limit, and
 * what this model would say of measurements. */
void gw__review(const struct gw_request *r, bool vectors, struct gw__pieces *out);

#endif
