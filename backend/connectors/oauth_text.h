/* Private to OAuth: addresses, challenges, metadata and forms. Pure; everything foreign is bounded.
 */
#ifndef CONNECTORS_OAUTH_TEXT_H
#define CONNECTORS_OAUTH_TEXT_H

#include "backend/base/buf.h"
#include "backend/base/json.h"
#include <stdbool.h>

enum { OAUTH_URL_MAX = 2048, OAUTH_VALUE_MAX = 4096 };

/* ---- addresses: http or https, a host, no user, no blank or control character ---- */
bool oauth__url_fine(const char *url);
char *oauth__origin(const char *url); /* "https://host[:port]", lower case, no default port;
                                         malloc'ed, NULL if not fine */
bool oauth__same_origin(const char *a, const char *b);
bool oauth__is_loopback(const char *url); /* localhost, 127.0.0.0/8, [::1] */
/* https, or loopback while `server` is loopback: where a peer may send us. */
bool oauth__url_trusted(const char *url, const char *server);
/* ref as seen from base: whole, from the root, or beside it. malloc'ed, NULL if that is not fine.
 */
char *oauth__url_join(const char *base, const char *ref);
/* ORIGIN/.well-known/NAME, and PATH behind it if with_path (RFC 8414, 9728). malloc'ed. */
char *oauth__well_known(const char *url, const char *name, bool with_path);
/* ORIGIN/PATH/.well-known/NAME (OpenID Connect Discovery). malloc'ed. */
char *oauth__well_known_below(const char *url, const char *name);
/* Is this what a token for `resource` is good for: the same, or above it at the same origin? */
bool oauth__covers(const char *resource, const char *url);
/* One parameter of the query of an address, decoded; malloc'ed, NULL if it has none. */
char *oauth__query(const char *url, const char *name);

/* ---- WWW-Authenticate (RFC 9110, 11.6.1; RFC 6750; RFC 9728) ---- */
struct oauth__challenge { /* each malloc'ed or NULL */
    char *resource_metadata, *scope, *error, *description;
};
/* The first Bearer or DPoP challenge of lines; false: there is none. Release it in any case. */
bool oauth__challenge_read(const char *lines, struct oauth__challenge *out);
void oauth__challenge_release(struct oauth__challenge *c);

/* ---- metadata ---- */
struct oauth__server { /* of an authorization server; strings malloc'ed or NULL */
    char *issuer, *authorize, *token, *registration, *device;
    char *scopes; /* scopes_supported with spaces between */
    bool s256, says_methods, basic, post, none, private_key_jwt, cimd, iss, device_grant, dpop;
};
/* From a document that stands for `issuer` (compared exactly; NULL: not compared) and came from
 * `server`'s word. PROTOCOL with *e. */
enum err oauth__server_read(const json_t *document, const char *issuer, const char *server,
                            struct oauth__server *out, struct error *e);
void oauth__server_release(struct oauth__server *s);
struct oauth__resource {
    char *resource, *issuer, *scopes;
};
/* Protected resource metadata for url (RFC 9728): resource must cover it. PROTOCOL with *e. */
enum err oauth__resource_read(const json_t *document, const char *url, struct oauth__resource *out,
                              struct error *e);
void oauth__resource_release(struct oauth__resource *r);

/* ---- scopes: words with spaces between ---- */
bool oauth__scope_has(const char *scopes, const char *word);
bool oauth__scope_within(const char *few, const char *many);
char *oauth__scope_join(const char *a, const char *b); /* each word once; malloc'ed */

/* ---- forms ---- */
void oauth__form_add(struct buf *form, const char *name,
                     const char *value); /* percent-encoded; NULL value: nothing */

#endif
