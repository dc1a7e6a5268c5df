/* Private to OAuth: oauth.c (what the wire sees), oauth_work.c (metadata, registration, tokens) and
 * oauth_login.c (a person's part). */
#ifndef CONNECTORS_OAUTH_STATE_H
#define CONNECTORS_OAUTH_STATE_H

#include "backend/base/httpd.h"
#include "backend/connectors/oauth.h"
#include "backend/vault/vault.h"

enum oauth_mode { OAUTH_NONE, OAUTH_CODE, OAUTH_CREDENTIALS, OAUTH_KEY, OAUTH_ENTERPRISE };
enum oauth_work { WORK_NONE, WORK_REFRESH, WORK_TOKEN, WORK_URL, WORK_CODE, WORK_DEVICE };
enum oauth_method { METHOD_NONE, METHOD_BASIC, METHOD_POST, METHOD_KEY };

typedef void oauth_next(struct oauth *a, long status,
                        json_t *answer); /* answer borrowed, or NULL */

struct oauth {
    struct conn *conn;
    char *url;
    oauth_settled *settled;
    void *arg;

    /* configuration */
    enum oauth_mode mode;
    char *conf_client_id, *conf_scope, *client_uri, *secret_ref, *key_ref, *token_ref,
        *id_token_ref;
    char *idp_url, *idp_client_id;
    unsigned redirect_port;

    /* the token */
    struct vault_text token, header, refresh;
    char *granted; /* scopes that it has, or was asked for */
    int64_t expires_at;
    uint64_t generation;
    bool loaded;
    struct loop_timer *ahead; /* when it is renewed before it ends; NULL: none yet */
    bool ahead_set;
    bool early;   /* the work under way was begun by that timer */
    bool awaited; /* ... and a request waits for it meanwhile */

    /* oauth_dpop.c */
    struct vault_text key; /* PEM; NULL: none was needed so far */
    bool bound;            /* the token is for that key */
    char *issuer_nonce, *server_nonce;
    struct vault_text form; /* of the token request that is under way, to send it once more */
    bool nonce_tried;

    /* what the server said */
    struct oauth__challenge challenge;
    struct oauth__resource resource;
    struct oauth__server server;
    bool legacy; /* 2025-03-26: no protected resource metadata */

    /* who we are there */
    char *client_id, *client_issuer;
    struct vault_text client_secret;
    enum oauth_method method;

    /* one piece of work at a time */
    enum oauth_work work;
    struct http_call *http;
    struct buf body;
    oauth_next *next;
    char *candidates[4];
    size_t candidate, candidate_count;
    struct loop_timer *report, *poll, *store;
    enum oauth_verdict verdict;
    struct error why;
    unsigned automatic; /* tokens in a row that did not help */
    unsigned step_ups;

    /* a person's sign-in */
    conn_login_done *login;
    void *login_arg;
    char *state, *verifier, *redirect, *asked, *code, *shown_url;
    struct httpd *listener;
    char *device_code, *user_code;
    uint64_t device_ms, device_until_ms;
};

/* oauth_work.c */
void oauth__work(struct oauth *a,
                 enum oauth_work work); /* looks up first, but for WORK_CODE and WORK_DEVICE */
void oauth__work_end(struct oauth *a, enum oauth_verdict v, enum err code, const char *why);
void oauth__fetch(struct oauth *a, const char *url, const char *content_type, struct buf *body,
                  const char *authorization, oauth_next *next);
void oauth__ask_token(struct oauth *a,
                      struct buf *form); /* adds client authentication and resource; takes form */
void oauth__release_server(struct oauth *a);
/* The scopes to ask for, malloc'ed; NULL: none are named. */
char *oauth__scopes(const struct oauth *a, bool offline);
void oauth__set_token(struct oauth *a, const char *token, size_t len); /* the next generation */
/* oauth_dpop.c: the header line of a token request, NULL with *e; nonces of the issuer. */
char *oauth__issuer_proof(struct oauth *a, struct error *e);
void oauth__issuer_nonce(struct oauth *a, const char *nonce); /* or NULL */
void oauth__dpop_forget(struct oauth *a);
/* oauth_store.c: what a sign-in has brought, in the vault. */
void oauth__load(struct oauth *a);
void oauth__save(
    struct oauth *a); /* at once, or when the master key is not being replaced any more */
void oauth__forget(struct oauth *a, bool client_too);

/* oauth_login.c: with the server known and a client, the address to show; ends the work. */
void oauth__login_ready(struct oauth *a);
void oauth__login_release(struct oauth *a);
/* Such work has ended: answers who asked; may end in a restart of the connector. */
void oauth__login_tell(struct oauth *a, enum oauth_work was, const struct error *why);
void oauth__device_answer(struct oauth *a, const char *error);
const char *oauth__redirect(struct oauth *a); /* the address that the browser is sent to; listens */

#endif
