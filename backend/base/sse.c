/* A line is copied only when it spans chunks or is part of an event. */
#include "backend/base/sse.h"
#include <string.h>

void sse_release(struct sse *s)
{
    buf_release(&s->line);
    buf_release(&s->data);
    buf_release(&s->event);
    buf_release(&s->id);
    buf_release(&s->next_id);
    *s = (struct sse){.max = s->max};
}

static bool named(const char *line, size_t len, const char *name)
{
    return len == strlen(name) && memcmp(line, name, len) == 0;
}

static void retry_field(struct sse *s, const char *value, size_t len)
{
    int64_t ms = 0;
    if (!len || len > 9)
        return;
    for (size_t i = 0; i < len; i++) {
        if (value[i] < '0' || value[i] > '9')
            return;
        ms = ms * 10 + (value[i] - '0');
    }
    s->retry_ms = ms;
}

static enum err one_field(struct sse *s, const char *line, size_t len)
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
        if (s->data.len + value_len + 1 > s->max)
            return ERR_TOO_BIG;
        if (s->has_data)
            buf_addc(&s->data, '\n');
        buf_add(&s->data, value, value_len);
        s->has_data = true;
    } else if (named(line, name, "event")) {
        buf_clear(&s->event);
        buf_add(&s->event, value, value_len);
    } else if (named(line, name, "id")) {
        if (value_len <= SSE_ID_MAX && !memchr(value, '\0', value_len)) {
            buf_clear(&s->next_id);
            buf_add(&s->next_id, value, value_len);
            s->has_id = true;
        }
    } else if (named(line, name, "retry")) {
        retry_field(s, value, value_len);
    }
    return ERR_OK;
}

/* False: the receiver wants no more. */
static bool dispatch(struct sse *s, sse_fn *fn, void *arg)
{
    struct buf data = s->data, event = s->event;
    bool has_data = s->has_data, go_on = true;
    s->data = (struct buf){0};
    s->event = (struct buf){0};
    s->has_data = false;
    if (s->has_id) { /* also of an event without data */
        buf_clear(&s->id);
        buf_add(&s->id, s->next_id.data, s->next_id.len);
        s->has_id = false;
    }
    if (has_data)
        go_on = fn(arg, event.len ? event.data : "message", data.data ? data.data : "", data.len);
    buf_release(&data);
    buf_release(&event);
    return go_on;
}

/* A whole line, without its end. */
static enum err one_line(struct sse *s, const char *line, size_t len, sse_fn *fn, void *arg)
{
    if (!s->begun && len >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {
        line += 3;
        len -= 3;
    }
    s->begun = true;
    if (!len)
        return dispatch(s, fn, arg) ? ERR_OK : ERR_CANCELLED;
    return *line == ':' ? ERR_OK : one_field(s, line, len);
}

/* Bytes before the first CR or LF. */
static size_t line_length(const char *bytes, size_t len)
{
    const char *lf = memchr(bytes, '\n', len);
    size_t n = lf ? (size_t)(lf - bytes) : len;
    const char *cr = memchr(bytes, '\r', n);
    return cr ? (size_t)(cr - bytes) : n;
}

enum err sse_feed(struct sse *s, const char *bytes, size_t len, sse_fn *fn, void *arg)
{
    for (size_t i = 0; i < len;) {
        if (s->cr && bytes[i] == '\n') { /* the second half of a CRLF */
            s->cr = false;
            i++;
            continue;
        }
        s->cr = false;
        size_t n = line_length(bytes + i, len - i);
        if (s->line.len + n > s->max)
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
            one_line(s, line.len ? line.data : bytes + i, line.len ? line.len : n, fn, arg);
        buf_release(&line);
        if (code != ERR_OK)
            return code;
        i += n + 1;
    }
    return ERR_OK;
}
