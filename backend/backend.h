/* The backend: one thread that owns all rooms. Only tui/main.c includes this. */
#ifndef BACKEND_H
#define BACKEND_H

#include "backend/base/errors.h"
#include "backend/base/json.h"

struct backend;

struct backend_options { /* strings are copied */
    const char *config;  /* --config, or NULL */
    const char *state;   /* --state, or NULL */
    const char *role; /* --role, or NULL: the configuration's; may only be lowered by a session */
    const char *address; /* where to listen: "inproc://..." */
};

/* Starts the thread and returns at once; the bus answers when it is ready. If starting fails, every
 * request is answered with that error (session.hello carries it), until backend_stop. */
struct backend *backend_start(const struct backend_options *o);
/* Stops everything in order and joins. Returns after 300 ms at the latest: what is not over then is
 * left to end by itself or with the process. */
void backend_stop(struct backend *b);
/* The error that starting ended with, ERR_OK while it is fine or still starting. Any thread. */
enum err backend_error(struct backend *b, struct error *e);

/* Verifies a bundle (docs/evidence-format.md) without a console: nothing is started, no state is
 * touched. key: the verifier key that the caller trusts; notes: checkpoints kept elsewhere; both
 * may be NULL. The report is the caller's; backend/provenance/bundle.h says what is in it. */
json_t *backend_bundle_verify(const void *bytes, size_t len, const char *key, const char *notes);

#endif
