/* A request's body in chunks (RFC 9112, 7.1), taken as it comes. Chunk extensions and the fields of
 * the trailer are read over. */
#include "backend/base/httpd.h"

#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 256 };

/* A line at the front of bytes, up to *end. 200; 0: not whole yet; 400: too long, or it holds what
 * no line may. */
static int take_line(const char *bytes, size_t len, size_t most, size_t *end)
{
    const char *found = memmem(bytes, len, "\r\n", 2);
    size_t n = found ? (size_t)(found - bytes) : len;
    if (n > most + (!found && n && bytes[n - 1] == '\r'))
        return 400;
    for (size_t i = 0; i < n; i++)
        if (((unsigned char)bytes[i] < ' ' && bytes[i] != '\t') &&
            (found || bytes[i] != '\r' || i + 1 < n))
            return 400;
    *end = n;
    return found ? 200 : 0;
}

/* The length that a chunk begins with. */
static int take_length(struct httpd__chunks *k, const char *line, size_t len)
{
    enum { DIGITS = 8 };
    size_t n = 0;
    while (n < len && strchr("0123456789abcdefABCDEF", line[n]) && line[n])
        n++;
    if (n == 0 || (n < len && !strchr("; \t", line[n])))
        return 400;
    if (n > DIGITS)
        return 413;
    k->left = strtoull(line, NULL, 16);
    k->state = k->left ? CHUNK_BYTES : CHUNK_TRAILER;
    return 200;
}

static int step(struct httpd__chunks *k, const char *at, size_t len, size_t most, size_t *used,
                struct buf *body)
{
    size_t n = 0;
    int status;
    *used = 0;
    switch (k->state) {
    case CHUNK_LENGTH:
        status = take_line(at, len, LINE_MAX_BYTES, &n);
        if (status == 200)
            status = take_length(k, at, n);
        *used = n + 2;
        return status == 200 && k->left > most - body->len ? 413 : status;
    case CHUNK_BYTES:
        *used = len < k->left ? len : (size_t)k->left;
        buf_add(body, at, *used);
        k->left -= *used;
        if (k->left)
            return 0;
        k->state = CHUNK_END;
        return 200;
    case CHUNK_END:
        if ((len > 0 && at[0] != '\r') || (len > 1 && at[1] != '\n'))
            return 400;
        k->state = len > 1 ? CHUNK_LENGTH : CHUNK_END;
        *used = len > 1 ? 2 : 0;
        return len > 1 ? 200 : 0;
    case CHUNK_TRAILER:
    case CHUNK_DONE:
        break;
    }
    status = take_line(at, len, HTTPD_HEAD_MAX, &n);
    if (status != 200)
        return status;
    *used = n + 2;
    k->trailer += *used;
    k->state = n ? CHUNK_TRAILER : CHUNK_DONE;
    return k->trailer > HTTPD_HEAD_MAX ? 431 : 200;
}

int httpd__chunks_read(struct httpd__chunks *k, const char *bytes, size_t len, size_t most,
                       size_t *used, struct buf *body)
{
    *used = 0;
    while (k->state != CHUNK_DONE) {
        size_t n;
        int status = step(k, bytes + *used, len - *used, most, &n, body);
        if (status == 200 || (status == 0 && k->state == CHUNK_BYTES))
            *used += n;
        if (status != 200)
            return status;
    }
    return 200;
}
