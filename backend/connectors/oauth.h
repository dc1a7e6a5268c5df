/* Private to this room: OAuth 2.1 for a connector that speaks HTTP (MCP's authorization of
 * 2025-11-25 and 2026-07-28; RFC 6749, 7636, 8414, 8628, 8707, 9207, 9449, 9728). Foreign documents
 * are bounded and strictly checked; addresses that a server names are https, or loopback if its own
 * is.
 *
 *   no token -- 401 --> look up metadata --> client credentials, assertion: token at once
 *                                        --> otherwise a person: oauth__login, then the code
 *   token -- 401 --> refresh, else as without;  403 insufficient_scope --> as 401 with more scope
 */
#ifndef CONNECTORS_OAUTH_H
#define CONNECTORS_OAUTH_H

#include "backend/connectors/internal.h"
#include "backend/connectors/oauth_text.h"

struct oauth;

enum oauth_verdict {
    OAUTH_AGAIN,  /* there is a new token: send it once more */
    OAUTH_WAIT,   /* `settled` will tell */
    OAUTH_PERSON, /* a person must sign in */
    OAUTH_REFUSED /* nothing helps */
};
/* How waiting ended: anything but OAUTH_WAIT. On the loop, never inside a call of this room. */
typedef void oauth_settled(void *arg, enum oauth_verdict verdict, const char *why);

/* True for env:NAME, secret:NAME, credential:NAME. */
bool oauth__is_reference(const char *text);
/* The value behind a reference, NULL with *e; oauth__wipe it. */
char *oauth__secret(struct conn *c, const char *reference, struct error *e);
void oauth__wipe(char *text); /* wipes and frees; NULL is fine */

/* Reads the keys auth, client_id, client_secret ... of the connector. NULL with *e (CONFIG). */
struct oauth *oauth__make(struct conn *c, const struct conf *conf, const char *url,
                          oauth_settled *settled, void *arg, struct error *e);
void oauth__free(struct oauth *a); /* NULL is fine */
/* The header line that a request is to carry, or NULL; valid until the next call. */
const char *oauth__header(struct oauth *a);
/* A line that must go with it where tokens are bound to a key (RFC 9449), malloc'ed; NULL: none. */
char *oauth__proof(struct oauth *a, const char *method, const char *url);
void oauth__nonce(struct oauth *a, const char *nonce); /* the server's header DPoP-Nonce, or NULL */
/* Changes with each token: which one a request was sent with. */
uint64_t oauth__generation(const struct oauth *a);
/* The server answered 401 or 403. challenges: its WWW-Authenticate values, one a line. */
enum oauth_verdict oauth__refused(struct oauth *a, long status, const char *challenges,
                                  uint64_t generation, struct error *why);
/* Requests work: refusals are counted anew. */
void oauth__accepted(struct oauth *a);
/* What was asked of the server ends; sign-ins that a person began go on. */
void oauth__stop(struct oauth *a);
void oauth__describe(const struct oauth *a, json_t *into); /* {auth: {...}}; no secrets */

/* A person signs in. code NULL begins: answer {url, done: false, code?, device?}; otherwise it is
 * the code, or the whole address that the browser was sent to. {done: true} when there is a token.
 * The answer comes by one call of fn, later. */
void oauth__login(struct oauth *a, const char *code, conn_login_done *fn, void *arg);
void oauth__logout(struct oauth *a);

#endif
