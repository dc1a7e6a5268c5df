/* Server-sent events (HTML Living Standard, 9.2.6), read as the bytes come: lines end with LF, CR
 * or CRLF; one byte order mark at the start is dropped; ":" begins a comment; a blank line ends an
 * event; an event that the stream ends in is dropped. Any cutting of the bytes gives the same
 * events. */
#ifndef BASE_SSE_H
#define BASE_SSE_H

#include "backend/base/buf.h"
#include "backend/base/errors.h"
#include <stdbool.h>
#include <stdint.h>

enum { SSE_ID_MAX = 4096 }; /* a longer id, or one with a NUL, is ignored */

/* Zero-initialise, set max; sse_release frees. */
struct sse {
    struct buf line, data, event, next_id;
    size_t max; /* bytes of a line, and of an event's data */
    bool begun, cr, has_data, has_id;
    struct buf id;    /* the last event id: what Last-Event-ID is to say; it stays between events */
    int64_t retry_ms; /* what the server asked for with `retry`; 0: nothing so far */
};
/* One event: its type ("message" if none was given), its data (NUL-terminated; len bytes; empty
 * for a priming event). s->id and s->retry_ms are up to date. False: no more is wanted. */
typedef bool sse_fn(void *arg, const char *event, const char *data, size_t len);
/* OK; TOO_BIG: beyond max; CANCELLED: fn returned false. fn may release s, if it then returns
 * false. */
enum err sse_feed(struct sse *s, const char *bytes, size_t len, sse_fn *fn, void *arg);
/* Frees all; s may be used for another stream. */
void sse_release(struct sse *s);

#endif
