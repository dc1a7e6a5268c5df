/* Private to the gateway room: what ollama.c and openai.c share. */
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

struct gw__upstream { /* t->state of such a call */
    const struct gw__dialect *dialect;
    struct http_call *http;
    struct loop_timer *linger;
    struct vault_text secret; /* NULL: none */
    long status;
    size_t received;
    bool json;          /* the content type is application/json */
    bool complete;      /* the end mark came */
    const char *reason; /* finish reason, static */
    struct buf body;    /* of an error, or of an answer that is no stream */
    struct sse sse;
    struct gw__lines lines;
};

/* Takes body. On failure nothing was started. */
enum err gw__upstream_start(struct gw__try *t, const struct gw__dialect *dialect, const char *path,
                            json_t *body, struct error *e);
void gw__upstream_stop(struct gw__try *t);
/* The API's end mark came; what follows is ignored. */
void gw__upstream_complete(struct gw__try *t, const char *reason);
/* Ends the call with an error; text is foreign: it is cleaned and the key is taken out of it. */
void gw__upstream_fail(struct gw__try *t, enum err code, const char *text);
/* Hands on the text of an event that brings text alone (quick.h); false: it is to be read the long
 * way. */
bool gw__quick_delta(struct gw__try *t, const struct gw__quick *table, const char *json,
                     size_t size);
/* "" if there are none; belongs to answer. */
const char *gw__error_words(const json_t *answer);
/* [{role, content}]; the question alone if the request has no messages. */
json_t *gw__messages(const struct gw_request *r);
/* A member that counts something, -1 if it is missing or no count. */
int64_t gw__count(const json_t *object, const char *key);

#endif
