/* Private to the MCP client's core:
 *   mcp.c        runs, requests, answers, what the registry asks
 *   mcp_era.c    which revision a server speaks, the handshake
 *   mcp_lists.c  tools, resources, prompts: pages, changes, subscriptions
 *   mcp_asked.c  what a server asks of its client: elicitation, sampling, roots; input_required
 *   mcp_told.c   what a server tells: progress, log lines, updated resources */
#ifndef CONNECTORS_MCP_CORE_H
#define CONNECTORS_MCP_CORE_H

#include "backend/connectors/mcp_client.h"
#include "backend/connectors/mcp_wire.h"

#define MCP_STATEFUL "2025-11-25"
#define MCP_MODERN "2026-07-28"
enum {
    MCP_MAX_PAGES = 100,
    MCP_RESULT_TEXT_MAX = 1 << 20,
    MCP_REQUESTS_MAX = CONN_MAX_CALLS + 32,
    MCP_ROUNDS_MAX = 10,    /* of input_required for one request */
    MCP_INPUTS_MAX = 8,     /* asked for in one round */
    MCP_QUESTIONS_MAX = 16, /* open at once, per connector */
    MCP_SUBSCRIPTIONS_MAX = 64,
    MCP_ITEMS_MAX = 1000 /* resources, templates or prompts kept */
};
/* JSON-RPC errors that mean something here. */
enum {
    MCP_E_REQUEST = -32600,
    MCP_E_METHOD = -32601,
    MCP_E_PARAMS = -32602,
    MCP_E_REJECTED = -1, /* a person said no to sampling */
    MCP_E_VERSION = -32022,
    MCP_E_CAPABILITY = -32021,
    MCP_E_HEADER = -32020,
    MCP_E_URL_NEEDED = -32042
};

struct mcp_request;
/* The one end of a request: result is an object, or NULL and e says why; error is the server's own
 * error object, if there was one. r is freed afterwards. */
typedef void mcp_answered(struct mcp *m, struct mcp_request *r, const json_t *result,
                          const json_t *error, const struct error *e);
struct mcp_request {
    int64_t id;
    const char *method;
    mcp_answered *answered;
    json_t *params; /* as first sent, without _meta; for a retry with input */
    uint64_t sent_ns;
    struct conn_call *call; /* of tools/call, or NULL */
    struct conn_ask *ask;   /* of a client's question, or NULL */
    int list;               /* of a list */
    bool stays;
    struct tel_span *span; /* of what is no call of a tool, while a span is current; or NULL */
    uint64_t told_ms;      /* when its progress was last told on */
    /* input_required */
    bool held; /* waits for inputs: id is of the retry and was not sent yet */
    unsigned rounds, waiting;
    json_t *inputs, *state;
    struct mcp_request *next;
};

enum mcp_list_name { LIST_TOOLS, LIST_RESOURCES, LIST_TEMPLATES, LIST_PROMPTS, LIST_COUNT };
struct mcp_list {
    struct mcp *mcp;
    enum mcp_list_name name;
    json_t *items;    /* complete; NULL: none came yet */
    json_t *incoming; /* while pages come */
    char error[200];  /* why the last listing failed */
    bool offered;     /* the server has the capability */
    bool asking, again;
    uint64_t since_ms;
    unsigned pages;
    size_t refused;
    struct loop_timer *timer; /* the next listing: a change, debounced, or the time to live */
};

enum mcp_question_kind { QUESTION_FORM, QUESTION_URL, QUESTION_SAMPLE };
struct mcp_question {
    struct mcp *mcp; /* NULL: nobody waits for the answer any more */
    struct mcp_question *next;
    char *id; /* CONNECTOR/NUMBER */
    enum mcp_question_kind kind;
    bool open;     /* a person is asked */
    bool sampling; /* a model is asked */
    json_t *params;
    json_t *server_id; /* of the server's request, or NULL: */
    int64_t request;   /* of the held request, 0: nothing is to be answered (-32042) */
    char *key;         /* of the input */
    struct loop_timer *timer;
    int64_t at, expires_at; /* real ms */
};

enum mcp_era { ERA_UNKNOWN, ERA_STATEFUL, ERA_MODERN };

struct mcp {
    struct conn *conn;
    const struct mcp_wire_ops *wire;
    void *self; /* the wire's */
    /* configuration */
    char *read_tools, *protocol_wanted, *roots, *log_level;
    bool samples, samples_ask;
    /* the run */
    uint64_t runs; /* counts ends of runs: a report compares it to see whether its run is over */
    bool open;     /* between mcp__up and the run's end */
    bool up;
    bool probed;           /* server/discover was sent in this run */
    bool discovered_again; /* and once more, after a refusal that names 2026-07-28 */
    enum mcp_era era;      /* of this run */
    enum mcp_era era_hint; /* of the last handshake that succeeded, or what a probe taught */
    char *propose;         /* stateful revision that the server named, or NULL */
    char *version, *protocol;
    char *instructions;
    json_t *capabilities; /* the server's */
    struct loop_timer *probe_timer;
    struct mcp_request *requests;
    size_t request_count;
    int64_t next_id;
    struct mcp_list lists[LIST_COUNT];
    size_t schema_bytes; /* of the tools that are being listed */
    /* what is kept of it */
    struct conn__tail noise, logs;
    uint64_t noise_lines, log_lines;
    struct conn_ask *asks;
    struct mcp_question *questions;
    size_t question_count;
    uint64_t questions_asked;
    json_t *subscriptions; /* [uri] */
    struct loop_timer *listen_timer;
    unsigned listen_failures;
    bool listen_refused;
};

/* mcp.c */
/* Sends one message; takes it. */
enum err mcp__send(struct mcp *m, json_t *message, const struct mcp_outgoing *o);
/* Sends a request; params (or NULL) are taken. On failure *e and NULL: answered is not called. */
struct mcp_request *mcp__ask(struct mcp *m, const char *method, json_t *params,
                             const struct mcp_request *like, struct error *e);
enum err mcp__request_send(struct mcp *m, struct mcp_request *r); /* again, under a new id */
void mcp__notify(struct mcp *m, const char *method, json_t *params);
struct mcp_request *mcp__request_find(struct mcp *m, int64_t id);
/* Ends a request from this side: answered gets the error. */
void mcp__request_fail(struct mcp *m, struct mcp_request *r, enum err code, const char *why);
/* Forgets it and tells the server; answered is not called. */
void mcp__request_cancel(struct mcp *m, struct mcp_request *r);
/* Ends the run from this side. */
void mcp__went_wrong(struct mcp *m, enum err code, const char *why);
/* The wire is stopped and started, the run's state forgotten; for the registry it is the same
 * start. */
void mcp__again(struct mcp *m);
void mcp__ignored(struct mcp *m, struct mcp_request *r, const json_t *result, const json_t *error,
                  const struct error *e); /* an mcp_answered for whoever does not care */
void mcp__note(struct mcp *m, const char *line, size_t len); /* to the noise */

/* mcp_era.c */
void mcp__era_make(struct mcp *m);
void mcp__era_begin(struct mcp *m);
void mcp__era_meta(const struct mcp *m, json_t *meta); /* of a modern request */

/* mcp_lists.c */
void mcp__lists_make(struct mcp *m);
void mcp__lists_begin(struct mcp *m);  /* the handshake is over */
void mcp__lists_forget(struct mcp *m); /* the run is over; what was listed stays */
void mcp__lists_free(struct mcp *m);
void mcp__conn_offers(void *m, json_t *into);            /* see conn_offers */
bool mcp__lists_told(struct mcp *m, const char *method); /* true: it was a list_changed */
void mcp__listen_make(struct mcp *m);
void mcp__listen(struct mcp *m); /* (again) with the present subscriptions */

/* mcp_asked.c */
void mcp__asked(struct mcp *m, const char *method, const json_t *params, const json_t *id);
/* A result that is input_required; true: it is dealt with, and r is kept. */
bool mcp__input_required(struct mcp *m, struct mcp_request *r, const json_t *result);
void mcp__asked_cancelled(struct mcp *m, const json_t *id);
void mcp__url_needed(struct mcp *m, const json_t *error);
void mcp__url_complete(struct mcp *m, const char *id);
/* A person's answer, or cancel by time; content fits the schema. */
void mcp__question_answer(struct mcp_question *q, const char *action, const json_t *content);
json_t *mcp__abilities(const struct mcp *m);              /* client capabilities */
void mcp__questions_drop(struct mcp *m, int64_t request); /* of a request; 0: all */

/* mcp_told.c */
void mcp__told(struct mcp *m, const char *method, const json_t *params);

/* mcp_client.c */
struct conn_ask {
    struct mcp *mcp;
    struct conn_ask *next;
    conn_asked *done;
    void *arg;
    struct loop_timer *timer; /* the time limit; after the end, the delivery on the next turn */
    bool ended;
    json_t *result;
    struct error error;
};
void mcp__asks_drop(struct mcp *m); /* tells and frees all */
void mcp__question_tell(const struct mcp_question *q, const char *state);
/* Is it a schema of a form: an object of texts, numbers, flags and choices? */
bool mcp__form_fits(const json_t *schema);

#endif
