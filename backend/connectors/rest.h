/* Private to the connectors of HTTP APIs that answer in JSON: one tool call is one or more requests
 * to addresses that the configuration fixed, and a pure function that shapes what came.
 *
 * Invariants
 * A1 Scheme, host and port come from the configuration only; an argument ends up percent-encoded in
 *    one segment of the path, in one value of the query, or in the body. Redirects are not
 * followed. A2 What a peer makes us keep is bounded: bytes of a body, depth, requests of a call,
 * rows, points. A3 shape and the reading of JSON run on a worker and touch only what they are
 * given. A4 A request that acts is sent once (C3): only a GET is asked again, after a fresh
 * sign-in. A5 A peer that says 429 is not asked again before the time that it gave. */
#ifndef CONNECTORS_REST_H
#define CONNECTORS_REST_H

#include "backend/connectors/host.h"
#include "backend/connectors/internal.h"
#include "backend/vault/vault.h"

enum { /* bounds (A2) */
       REST_MAX_BODY = 16 << 20,
       REST_MAX_DEPTH = 48,
       REST_MAX_ASKS = 12,
       REST_MAX_TEXT = 65536, /* of a whole answer in words */
       REST_MAX_ROWS = 500
};

enum rest_base { REST_URL, REST_IDENTITY_URL, REST_COMPUTE_URL, REST_BASES };

/* What a kind may know when it makes a request or shapes an answer. Strings are "" when not set. */
struct rest_view {
    const char *account, *user, *project;
    const char *password; /* for a sign-in only; "" elsewhere */
    int64_t now_ms;
    const void *own; /* of the kind: what its `make` gave to rest__make */
};

struct rest_ask {
    const char *method; /* NULL: GET */
    enum rest_base base;
    struct buf path; /* from the base on, beginning with "/" */
    json_t *body;    /* owned, or NULL */
    int scope;       /* which sign-in it needs, where the kind signs in: 0 or 1 */
};

struct rest_tool;
/* Pure (A3): says what the answers hold; out->error: they are not what was promised. */
typedef void rest_shape_fn(const struct rest_view *v, const struct rest_tool *t,
                           const json_t *arguments, const json_t *answers, struct host_out *out);

struct rest_tool {
    const char *name, *title, *description, *schema; /* schema: JSON text */
    bool acts;
    /* Makes the request that comes after n answers: *more false when nothing is missing any more.
     * INVALID with *e: the arguments do not do. */
    enum err (*next)(const struct rest_view *v, const struct rest_tool *t, const json_t *arguments,
                     const json_t *answers, struct rest_ask *ask, bool *more, struct error *e);
    rest_shape_fn *shape;
    const void *own; /* of the kind */
};

struct rest_kind {
    const char *url, *identity_url, *compute_url; /* defaults, "" or NULL: must be configured */
    const struct rest_tool *tools;
    size_t tool_count;
    const char *check;        /* path that a healthy peer answers with 2xx */
    bool check_signs;         /* that request needs the sign-in of scope 0 */
    const char *about;        /* path of a JSON answer with the version, or NULL */
    const char *version_at;   /* JSON pointer into that */
    bool file;                /* the key `file` may name a file that answers every request */
    const char *token_header; /* "Authorization: Bearer ", "X-Token: "; NULL: Bearer */
    /* Where the kind signs in with user and password: the request; the token is in the header.
     * NULL: no */
    void (*login)(const struct rest_view *v, int scope, struct rest_ask *ask);
    const char *login_header, *signed_header; /* "X-Subject-Token", "X-Auth-Token: " */
    /* The peer's own words of an error answer, into out; false: there are none. NULL: the usual
     * members. */
    bool (*words)(const json_t *answer, struct buf *out);
};

/* `next` of a tool that is one GET of the path in t->own. */
enum err rest__next_path(const struct rest_view *v, const struct rest_tool *t,
                         const json_t *arguments, const json_t *answers, struct rest_ask *ask,
                         bool *more, struct error *e);

/* The kinds whose shapes the fuzzer runs. */
extern const struct rest_kind rest__alertmanager, rest__selectel, rest__timeweb, rest__catalogue;

struct rest;
/* Reads the keys that all these kinds share; own is freed with free_own when nothing uses it any
 * more. NULL with *e. */
struct rest *rest__make(struct conn *c, const struct conf *conf, const struct rest_kind *kind,
                        const void *own, void (*free_own)(void *own), struct error *e);
/* The conn_ops of such a kind: all but make. */
void rest__start(void *self);
void rest__stop(void *self, bool orderly);
void rest__free(void *self);
enum err rest__call(void *self, struct conn_call *call, const char *tool, const json_t *arguments,
                    struct error *e);
void rest__cancel(void *self, struct conn_call *call);
void rest__check(void *self);
void rest__describe(void *self, json_t *into);
#define REST_OPS(the_kind, the_make, the_region, the_data)                                       \
    {                                                                                            \
        .kind = the_kind, .may_restart = true, .make = the_make, .start = rest__start,           \
        .stop = rest__stop, .free = rest__free, .call = rest__call, .cancel = rest__cancel,      \
        .check = rest__check, .describe = rest__describe, .region = the_region, .data = the_data \
    }

/* ---- small tools (rest_text.c) */
/* Appends text percent-encoded: all but the unreserved characters of RFC 3986, 2.3. */
void rest__escape(struct buf *out, const char *text);
/* Appends "?key=value" or "&key=value". */
void rest__query(struct buf *path, const char *key, const char *value);
/* The value at a JSON pointer (RFC 6901, "" is the whole); NULL: none. */
const json_t *rest__at(const json_t *value, const char *pointer);
/* A value in words: a string as it is, a number exactly, true, false; "" for others. At most max
 * bytes. */
void rest__words(const json_t *value, size_t max, struct buf *out);
/* "Authorization: Basic ..." (RFC 7617); malloc'ed, the caller wipes. */
char *rest__basic(const char *user, const char *password);
/* An amount of money as billionths: an integer or real JSON number (15 significant digits), or a
 * decimal text; false: none, or out of range. */
bool rest__nano(const json_t *value, int64_t *nano);
/* "-12.50": at least two places; out has 32 bytes. */
void rest__money(int64_t nano, char out[32]);
/* Puts the amount as decimal text, or null if it is not known (never zero). */
void rest__put_money(json_t *object, const char *key, bool known, int64_t nano);
/* A currency as three capital letters; "" for anything else. */
void rest__currency(const json_t *value, char out[4]);
/* Epoch ms of "now", "now-1h30m" (s, m, h, d, w), seconds since the epoch, or RFC 3339 with a zone;
 * false: none of these. */
bool rest__time(const char *text, int64_t now_ms, int64_t *ms);
/* Seconds of "90s", "5m", "1h30m", "2d", "1w"; false: none, or longer than ten years. */
bool rest__duration(const char *text, int64_t *seconds);
/* RFC 3339 in UTC; out has 32 bytes. */
void rest__stamp(int64_t ms, char out[32]);
/* A name of the peer's for a sentence: as host__clean, "?" if it is no string or empty. malloc'ed.
 */
char *rest__name(const json_t *value);
/* The same of a longer text, as a reason: at most 300 bytes. */
char *rest__reason(const json_t *value);

/* What the labels of a metric or an alert say, without __name__ and `but`: "{a=1, b=2}", "" for
 * none; malloc'ed, clean. */
char *rest__labels(const json_t *labels, const char *but);

/* ---- alerts, of Prometheus and of Alertmanager (alerts.c) */
struct rest_alert {
    const json_t *labels, *annotations;
    const char *state; /* "firing", "pending", "suppressed" */
    const char *since; /* RFC 3339, or "" */
};
/* Says which alerts there are: a sentence for all, one for each (the worst first), and data.alerts.
 */
void rest__say_alerts(struct host_out *out, struct rest_alert *alerts, size_t n, size_t left_out);

#endif
