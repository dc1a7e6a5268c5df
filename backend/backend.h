/* The backend: one thread that owns all rooms. Only tui/main.c includes this. */
#ifndef BACKEND_H
#define BACKEND_H

#include "backend/base/errors.h"
#include "backend/base/json.h"

struct backend;
struct vault_pass; /* a passphrase in locked memory */

struct backend_options { /* strings are copied */
    const char *config;  /* --config, or NULL */
    const char *state;   /* --state, or NULL */
    const char *role;  /* --role, or NULL: the configuration's; may only be lowered by a session */
    const char *level; /* --level, or NULL; likewise */
    const char *address;         /* where to listen: "inproc://..." */
    struct vault_pass *pass;     /* opens the master key, or NULL; taken */
    struct vault_pass *new_pass; /* for keys.rotate to seal a new one by, or NULL; taken */
    const char *secret; /* the value for vault.set, or NULL; copied, the caller wipes its own */
    size_t secret_len;
};

/* Passphrases: asked for before there is a backend, because what opens its keys must go over no
 * bus. The caller wipes its own copy of the text. NULL with *e: INVALID. */
struct vault_pass *backend_pass_new(const char *text, size_t len, struct error *e);
void backend_pass_free(struct vault_pass *p); /* NULL is fine */
enum backend_lock {
    BACKEND_OPEN,   /* no passphrase is needed, or starting will say what is wrong */
    BACKEND_LOCKED, /* the master key is sealed by one */
    BACKEND_UNMADE  /* there is none yet, and the configuration wants one sealed by a passphrase */
};
enum backend_lock backend_locked(const struct backend_options *o);
/* PASSPHRASE: it does not open the master key; OK: it does, or starting will say what is wrong. */
enum err backend_unlock(const struct backend_options *o, struct vault_pass *pass, struct error *e);

/* Starts the thread and returns at once; the bus answers when it is ready. If starting fails, every
 * request is answered with that error (session.hello carries it), until backend_stop. */
struct backend *backend_start(const struct backend_options *o);
/* Stops everything in order and joins. Returns after 300 ms at the latest: false then, and what is
 * not over is left to end by itself or with the process. While it lives no exit handler may run
 * (those of libraries take away what it uses): the process ends by _exit. */
bool backend_stop(struct backend *b);
/* The connectors of the configuration are read anew soon, as when the file changes. Also from a
 * signal's handler. */
void backend_reload(void);
/* The error that starting ended with, ERR_OK while it is fine or still starting. Any thread. */
enum err backend_error(struct backend *b, struct error *e);

/* A token that others are to show, in locked memory: reference is secret:NAME, env:VARIABLE or
 * credential:NAME. Waits until the backend has started. NULL with *e, also what starting ended
 * with. Any thread. */
struct backend_token;
struct backend_token *backend_token_new(struct backend *b, const char *reference, struct error *e);
/* Compares in time that does not depend on what is wrong. Any thread. */
bool backend_token_good(const struct backend_token *t, const char *given, size_t len);
void backend_token_free(struct backend_token *t); /* NULL is fine */

/* The console's own server for agents listens at that address (copied), or, with NULL, does not,
 * for the reason *e; NULL too: it has ended in order. The status tells it. Before backend_stop; any
 * thread. */
void backend_served(struct backend *b, const char *address, const struct error *e);

/* Verifies a bundle (docs/evidence-format.md) without a console: nothing is started, no state is
 * touched. key: the verifier key that the caller trusts; notes: checkpoints kept elsewhere;
 * witnesses: verifier keys of witnesses that are to have cosigned; each may be NULL. The report is
 * the caller's; backend/provenance/bundle.h says what is in it. */
json_t *backend_bundle_verify(const void *bytes, size_t len, const char *key, const char *notes,
                              const char *witnesses);

/* Compares texts by what they claim, without a console (backend/orchestrator/claims.h): {verdict,
 * score, claims: [{a, b, verdict, score, why}]}, which is the caller's. For one thread. */
struct backend_comparer;
struct backend_comparer *backend_comparer_new(void);
json_t *backend_compare(struct backend_comparer *c, const char *a, size_t a_len, const char *b,
                        size_t b_len);
void backend_comparer_free(struct backend_comparer *c); /* NULL is fine */
/* What may steer a model in a text (backend/compliance/inject.h): {injection, score, findings:
 * [{class, severity, weight, from, to, words}]}. Nothing is started. The caller owns. */
json_t *backend_scan(const char *text, size_t len);

#endif
