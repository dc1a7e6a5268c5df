/* Incremental parsers of server-sent events and of JSON lines. Any cutting of the bytes gives the
 * same events; a line is copied only when it spans chunks or is part of an event. */
#include "backend/gateway/internal.h"
#include <string.h>

/* Server-sent events (HTML Living Standard, 9.2.6): lines end with LF, CR or CRLF; one byte order
 * mark at the start is dropped; ":" begins a comment; a blank line ends an event; an event that the
 * stream ends in is dropped. */

void gw__sse_release(struct gw__sse *s)
{
    buf_release(&s->line);
    buf_release(&s->data);
    buf_release(&s->event);
    *s = (struct gw__sse){0};
}

static bool named(const char *line, size_t len, const char *name)
{
    return len == strlen(name) && memcmp(line, name, len) == 0;
}

static enum err sse_field(struct gw__sse *s, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    size_t name = colon ? (size_t)(colon - line) : len;
    const char *value = colon ? colon + 1 : line + len;
    size_t value_len = colon ? len - name - 1 : 0;
    if (value_len && *value == ' ') {
        value++;
        value_len--;
    }
    if (named(line, name, "data")) {
        if (s->data.len + value_len + 1 > GW__LINE_MAX)
            return ERR_TOO_BIG;
        if (s->has_data)
            buf_addc(&s->data, '\n');
        buf_add(&s->data, value, value_len);
        s->has_data = true;
    } else if (named(line, name, "event")) {
        buf_clear(&s->event);
        buf_add(&s->event, value, value_len);
    }
    return ERR_OK;
}

/* False: the receiver wants no more. */
static bool sse_dispatch(struct gw__sse *s, gw__event_fn *fn, void *arg)
{
    struct buf data = s->data, event = s->event;
    bool has_data = s->has_data, go_on = true;
    s->data = (struct buf){0};
    s->event = (struct buf){0};
    s->has_data = false;
    if (has_data)
        go_on = fn(arg, event.len ? event.data : "message", data.data ? data.data : "", data.len);
    buf_release(&data);
    buf_release(&event);
    return go_on;
}

/* A whole line, without its end. */
static enum err sse_line(struct gw__sse *s, const char *line, size_t len, gw__event_fn *fn,
                         void *arg)
{
    if (!s->begun && len >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {
        line += 3;
        len -= 3;
    }
    s->begun = true;
    if (!len)
        return sse_dispatch(s, fn, arg) ? ERR_OK : ERR_CANCELLED;
    return *line == ':' ? ERR_OK : sse_field(s, line, len);
}

enum err gw__sse_feed(struct gw__sse *s, const char *bytes, size_t len, gw__event_fn *fn, void *arg)
{
    for (size_t i = 0; i < len;) {
        if (s->cr && bytes[i] == '\n') { /* the second half of a CRLF */
            s->cr = false;
            i++;
            continue;
        }
        s->cr = false;
        size_t n = 0;
        while (i + n < len && bytes[i + n] != '\n' && bytes[i + n] != '\r')
            n++;
        if (s->line.len + n > GW__LINE_MAX)
            return ERR_TOO_BIG;
        if (i + n == len) {
            buf_add(&s->line, bytes + i, n);
            return ERR_OK;
        }
        s->cr = bytes[i + n] == '\r';
        struct buf line = s->line; /* taken: fn may end the stream that s belongs to */
        s->line = (struct buf){0};
        if (line.len)
            buf_add(&line, bytes + i, n);
        enum err code =
            sse_line(s, line.len ? line.data : bytes + i, line.len ? line.len : n, fn, arg);
        buf_release(&line);
        if (code != ERR_OK)
            return code;
        i += n + 1;
    }
    return ERR_OK;
}

/* JSON lines: lines end with LF or CRLF; blank ones are skipped; the last needs no end. */

void gw__lines_release(struct gw__lines *s)
{
    buf_release(&s->line);
    *s = (struct gw__lines){0};
}

static enum err lines_line(struct gw__lines *s, const char *line, size_t len, gw__event_fn *fn,
                           void *arg)
{
    if (!s->begun && len >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {
        line += 3;
        len -= 3;
    }
    s->begun = true;
    while (len && (line[len - 1] == '\r' || line[len - 1] == ' ' || line[len - 1] == '\t'))
        len--;
    return !len || fn(arg, "line", line, len) ? ERR_OK : ERR_CANCELLED;
}

enum err gw__lines_feed(struct gw__lines *s, const char *bytes, size_t len, gw__event_fn *fn,
                        void *arg)
{
    for (size_t i = 0; i < len;) {
        const char *end = memchr(bytes + i, '\n', len - i);
        size_t n = end ? (size_t)(end - bytes) - i : len - i;
        if (s->line.len + n > GW__LINE_MAX)
            return ERR_TOO_BIG;
        if (!end) {
            buf_add(&s->line, bytes + i, n);
            return ERR_OK;
        }
        struct buf line = s->line;
        s->line = (struct buf){0};
        if (line.len)
            buf_add(&line, bytes + i, n);
        enum err code =
            lines_line(s, line.len ? line.data : bytes + i, line.len ? line.len : n, fn, arg);
        buf_release(&line);
        if (code != ERR_OK)
            return code;
        i += n + 1;
    }
    return ERR_OK;
}

enum err gw__lines_end(struct gw__lines *s, gw__event_fn *fn, void *arg)
{
    struct buf line = s->line;
    s->line = (struct buf){0};
    enum err code = line.len ? lines_line(s, line.data, line.len, fn, arg) : ERR_OK;
    buf_release(&line);
    return code;
}
