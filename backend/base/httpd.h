/* A small HTTP/1.1 server (RFC 9112) on the loop, for what others may ask this program over HTTP:
 * to witness their logs, and the tools of the console as an MCP server. It waits for nobody: what a
 * peer sends is bounded in bytes and in time, and so is the number of peers.
 *
 * D1 A request reaches the callback whole or not at all.
 * D2 A connection has one request at a time; its bytes behind that wait in the kernel.
 * D3 httpd_reply and httpd_end free the request, whether or not its connection is still there.
 * D4 A stream that its peer does not take ends: after HTTPD_REQUEST_MS without progress, or when
 * more than HTTPD_UNSENT bytes wait. */
#ifndef BASE_HTTPD_H
#define BASE_HTTPD_H

#include "backend/base/buf.h"
#include "backend/base/errors.h"
#include "backend/base/loop.h"

enum {
    HTTPD_HEAD_MAX = 8192, /* bytes of request line and header */
    HTTPD_CONNECTIONS = 64,
    HTTPD_REQUEST_MS = 10000, /* for a whole request, and for an answer to be taken */
    HTTPD_UNSENT = 4 << 20,
    HTTPD_IDLE_MS = 30000 /* between requests */
};

struct httpd;
struct httpd_request;
/* Answers it later or at once by httpd_reply. */
typedef void httpd_fn(void *arg, struct httpd_request *r);
struct httpd_options {
    const char *address; /* "127.0.0.1:8095", "[::1]:8095"; port 0: any */
    bool remote;         /* addresses that are not of the loopback are allowed too */
    size_t body_max;
};
/* NULL with *e: CONFIG (no address and port), DENIED (not of the loopback), UNREACHABLE (it cannot
 * be listened on). */
struct httpd *httpd_new(struct loop *l, const struct httpd_options *o, httpd_fn *fn, void *arg,
                        struct error *e);
/* Closes its connections at once; requests that were not answered are still to be replied to. */
void httpd_free(struct httpd *h);                 /* NULL is fine */
const char *httpd_address(const struct httpd *h); /* with the real port */

const char *httpd_method(const struct httpd_request *r);
const char *httpd_path(const struct httpd_request *r);
const struct buf *httpd_body(const struct httpd_request *r);
/* A field of the header, without spaces around it; NULL if there is none of that name. The first,
 * if there are several. */
const char *httpd_header(struct httpd_request *r, const char *name);
/* fn(arg) runs once, from the loop, if the peer goes before the answer is whole; never from within
 * httpd_free. A peer that sends its next request early is found to be gone only by writing. */
void httpd_on_gone(struct httpd_request *r, loop_fn *fn, void *arg);
/* Lines of the header, each with CRLF, of whatever the answer will be; once a request. */
void httpd_also(struct httpd_request *r, const char *headers);
/* headers: further lines of the header, each with CRLF, or "". type NULL: an answer without a body
 * (202, 204). */
void httpd_reply(struct httpd_request *r, int status, const char *type, const char *headers,
                 const void *body, size_t len);

/* An answer piece by piece: begin, then write any number of times, then end, which frees r. The
 * pieces leave from the loop. */
void httpd_begin(struct httpd_request *r, int status, const char *type, const char *headers);
void httpd_write(struct httpd_request *r, const void *bytes, size_t len);
void httpd_end(struct httpd_request *r);

/* The head of a request, for the server and its tests. */
struct httpd__head {
    size_t len; /* with the empty line */
    char method[16], path[2048];
    int64_t body;         /* Content-Length */
    bool chunked;         /* the body comes in chunks instead */
    bool keep, continues; /* the connection stays; the peer waits for 100 */
    bool old;             /* HTTP/1.0: knows no chunks */
    bool hosted;          /* it has a Host */
};
/* The value of a field of a head that was read whole, up to *len bytes; NULL: none. */
const char *httpd__field(const char *head, const char *name, size_t *len);
/* 0: not whole yet. 200: read. Otherwise the status to answer: 400, 414, 431, 501, 505. */
int httpd__head_read(const char *bytes, size_t len, struct httpd__head *out);

/* A body in chunks, while it comes. Zero-initialise. */
struct httpd__chunks {
    enum { CHUNK_LENGTH, CHUNK_BYTES, CHUNK_END, CHUNK_TRAILER, CHUNK_DONE } state;
    uint64_t left;  /* of the chunk at hand */
    size_t trailer; /* bytes of it so far */
};
/* Takes *used bytes of what came and appends to body, at most `most` bytes in all. 0: more is to
 * come. 200: it is whole. Otherwise the status to answer: 400, 413, 431. */
int httpd__chunks_read(struct httpd__chunks *k, const char *bytes, size_t len, size_t most,
                       size_t *used, struct buf *body);

#endif
