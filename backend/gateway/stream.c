/* An incremental parser of JSON lines. Any cutting of the bytes gives the same lines; a line is
 * copied only when it spans chunks. */
#include "backend/gateway/internal.h"
#include <string.h>

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
