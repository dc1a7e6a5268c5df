/* The bus, client side: used by the terminal side from one thread, beside poll(). Nothing waits but
 * busc_wait. Replies are dispatched by busc_dispatch on the caller's thread.
 *
 * A lost peer is an immediate error; nothing is sent twice (NNG_OPT_REQ_RESENDTIME is infinite). */
#ifndef BUS_CLIENT_H
#define BUS_CLIENT_H

#include "backend/bus/bus.h"

struct busc;
typedef void busc_reply(void *arg, const json_t *result,
                        const struct error *e); /* result NULL on error; borrowed */

/* Connects in the background; requests made before the peer is there wait for it (10 s at most). */
struct busc *busc_new(const char *address, const char *client_name, const char *role,
                      struct error *e);
void busc_free(struct busc *c);    /* outstanding replies are not called */
int busc_fd(const struct busc *c); /* readable when busc_dispatch has something to do */
void busc_dispatch(struct busc *c);
/* params may be NULL; the reference is taken. Adds session and, for mutating methods, an
 * idempotency key; of a _meta in params its traceparent is kept. fn may be NULL. Calls made before
 * session.hello is answered are sent after it.
 */
void busc_call(struct busc *c, enum wire_method m, json_t *params, busc_reply *fn, void *arg);
/* For subcommands: calls and dispatches until the reply (or limit_ms); result is the caller's. */
json_t *busc_wait(struct busc *c, enum wire_method m, json_t *params, uint64_t limit_ms,
                  struct error *e);
/* From a signal's handler or another thread, while c is there: busc_wait under way and all later
 * ones end with ERR_CANCELLED. */
void busc_interrupt(struct busc *c);
bool busc_interrupted(const struct busc *c);
/* Starts the event poll: fn for each event; resync (may be NULL) when snapshots are to be asked
 * anew. */
typedef void busc_event(void *arg, const char *type, int64_t at, const json_t *data);
void busc_events(struct busc *c, busc_event *fn, void (*resync)(void *arg), void *arg);
/* What session.hello answered, NULL before; borrowed. */
const json_t *busc_hello(const struct busc *c);
double busc_latency_ms(
    const struct busc *c); /* of the last session.ping, made every 5 s while events run; -1 */
bool busc_live(const struct busc *c); /* the last request got through */

#endif
