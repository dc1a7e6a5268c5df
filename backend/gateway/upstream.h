/* Private to the gateway room: what the APIs behind HTTP share. */
#ifndef GATEWAY_UPSTREAM_H
#define GATEWAY_UPSTREAM_H

#include "backend/base/sse.h"
#include "backend/gateway/internal.h"
#include "backend/gateway/quick.h"

/* How one API's response is read; both run with the call entered. */
struct gw__dialect {
    /* Bytes of a response with a status of 2xx. ERR_TOO_BIG: a line was too long. */
    enum err (*feed)(struct gw__try *t, const char *bytes, size_t len);
    /* The response ended cleanly, without gw__upstream_complete so far. */
    void (*end)(struct gw__try *t);
};

/* Calls of tools, as they come in pieces. */
enum { GW__CALLS_MAX = 32, GW__ARGS_MAX = 256 << 10 };
struct gw__calls {
    struct gw__one_call {
        int64_t place; /* by which the API tells them apart */
        char *id, *name;
        struct buf args;
    } at[GW__CALLS_MAX];
    size_t count;
};

/* Blocks of an answer (blocks.c). */
enum { GW__BLOCKS_MAX = 128 };
struct gw__blocks {
    struct gw__block {
        enum gw__block_kind {
            GW__BLOCK_TEXT,
            GW__BLOCK_THINKING,
            GW__BLOCK_REDACTED,
            GW__BLOCK_CALL
        } kind;
        int64_t index;              /* by which the API tells them apart */
        size_t from;                /* of a text: where in the try's text it begins */
        struct buf text, signature; /* of thinking; redacted: its data is the text */
    } at[GW__BLOCKS_MAX];
    size_t count, bytes; /* of thinking in all */
    bool thought;        /* one of them is thinking */
};

/* Where a text is that may begin with <think>...</think>. */
enum gw__thinking { GW__MAY_THINK, GW__THINKS, GW__THOUGHT, GW__SPEAKS };

struct gw__waiter; /* for a token (grant.c) */

struct gw__upstream { /* t->state of such a call */
    const struct gw__dialect *dialect;
    struct http_call *http;
    struct loop_timer *linger;
    struct vault_text secret; /* what was sent as the key; NULL: none */
    struct gw__waiter *waiter;
    char *url, *request; /* until they were sent for good */
    long status;
    size_t received;
    bool json;          /* the content type is application/json */
    bool complete;      /* the end mark came */
    bool renewed;       /* the token was refused once */
    const char *reason; /* finish reason, static */
    struct buf body;    /* of an error, or of an answer that is no stream */
    struct sse sse;
    struct gw__lines lines;
    struct gw__calls calls;
    struct gw__blocks blocks;
    enum gw__thinking thinking;
    struct buf held; /* of a text that may become a mark */
};

/* Takes body. On failure nothing was started. */
enum err gw__upstream_start(struct gw__try *t, const struct gw__dialect *dialect, const char *path,
                            json_t *body, struct error *e);
void gw__upstream_stop(struct gw__try *t);
/* Bytes of a response: events of a stream go to fn, what is no stream is kept. */
enum err gw__upstream_feed(struct gw__try *t, const char *bytes, size_t len, sse_fn *fn);
/* What was kept, whole. NULL: it is no JSON object, and the try has ended with that. The caller
 * owns it. */
json_t *gw__upstream_whole(struct gw__try *t);
/* The API's end mark came; what follows is ignored. The tools' calls are put together, and what has
 * to be JSON is looked at: that may end the call with an error. */
void gw__upstream_complete(struct gw__try *t, const char *reason);
/* Ends the call with an error; text is foreign: it is cleaned and the key is taken out of it. */
void gw__upstream_fail(struct gw__try *t, enum err code, const char *text);
/* Hands on the text of an event that brings text alone (quick.h); false: it is to be read the long
 * way. */
bool gw__quick_delta(struct gw__try *t, const struct gw__quick *table, const char *json,
                     size_t size);
/* One line that a terminal may show, without the keys. The caller frees. */
char *gw__clean_words(const char *text, const struct vault_text *secret);
/* "" if there are none; belongs to answer. */
const char *gw__error_words(const json_t *answer);
/* What comes as the answer's text: thinking within <think> at its beginning is kept apart. False
 * when the try is over then. */
bool gw__text(struct gw__try *t, const char *text, size_t len);
/* The end of the text: what was held back. */
bool gw__text_end(struct gw__try *t);

/* calls.c. A piece of a tool's call; id and name NULL or "": not in this piece. False when the try
 * is over then. */
bool gw__call_piece(struct gw__try *t, int64_t place, const char *id, const char *name,
                    const char *args, size_t len);
/* The same with whole arguments, an object. */
bool gw__call_whole(struct gw__try *t, int64_t place, const char *id, const char *name,
                    const json_t *args);
/* Puts them together in t->tool_calls; false: the arguments of one are no JSON object, and the try
 * is over. */
bool gw__calls_end(struct gw__try *t);
void gw__calls_release(struct gw__calls *c);

/* blocks.c: the next block begins; type as the API has it. False when the try is over then, as for
 * the others. */
bool gw__block_begin(struct gw__try *t, int64_t index, const char *type);
bool gw__block_thinking(struct gw__try *t, int64_t index, const char *text, size_t len);
bool gw__block_signature(struct gw__try *t, int64_t index, const char *text, size_t len);
/* Puts them together in t->thinking, when the tools' calls were: if tools are called and there was
 * thinking. */
void gw__blocks_end(struct gw__try *t);
void gw__blocks_release(struct gw__blocks *b);

/* messages.c: a request in the form of OpenAI's chat, which others have taken over. The caller
 * owns what is returned. */
/* [{role, content, ...}]; the question alone if the request has no messages. words (or NULL) are
 * added to what the system says. */
json_t *gw__messages(const struct gw__model *model, const struct gw_request *r, bool functions,
                     const char *words);
/* [{type: function, function: {name, description, parameters}}], or the functions alone. */
json_t *gw__tools(const json_t *tools, bool functions);
/* What asks for JSON in words, with the schema if there is one and it is wanted. */
char *gw__json_words(const struct gw_request *r, bool schema);
/* The name of the tool that a message answers, "" unknown. */
const char *gw__answered_tool(const struct gw_request *r, size_t message);

/* A member that counts something, -1 if it is missing or no count. */
int64_t gw__count(const json_t *object, const char *key);

/* "Authorization: Bearer ..." or what the form says. NULL with *e: the key cannot be sent. Wipe it.
 */
char *gw__auth_header(const struct gw__model *m, enum gw__auth auth, const char *secret,
                      struct error *e);
void gw__wipe(char *secret); /* and free it */
/* The model's url without slashes at its end, and path behind it. The caller frees. */
char *gw__address(const struct gw__model *m, const char *path);

/* grant.c: tokens that a key is exchanged for (form.token_url), one exchange at a time for each
 * model and key.
 * The token if there is one that is good for a while, into *out (NULL text: none); near its end a
 * new one is asked for meanwhile. */
void gw__grant_get(struct gw *g, const struct gw__model *m, const char *key,
                   struct vault_text *out);
/* Waits for one. fn runs once, later, unless gw__grant_leave was called; *e OK: gw__grant_get has
 * it. NULL with *e: it cannot be asked for. */
typedef void gw__grant_fn(void *arg, const struct error *e);
struct gw__waiter *gw__grant_wait(struct gw *g, const struct gw__model *m, const char *key,
                                  gw__grant_fn *fn, void *arg, struct error *e);
void gw__grant_leave(struct gw__waiter *w);
/* It was refused: the next one asks anew. */
void gw__grant_drop(struct gw *g, const struct gw__model *m, const char *key,
                    const struct vault_text *token);
void gw__grants_free(struct gw *g);

#endif
