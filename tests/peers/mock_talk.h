/* A connection of the mock: what was asked, how far the answer is, and the way of its bytes to the
 * wire, where chunks, line ends and faults of the plan are made. */
#ifndef TESTS_MOCK_TALK_H
#define TESTS_MOCK_TALK_H

#include "backend/base/clock.h"
#include "backend/base/json.h"
#include "tests/peers/mock_plan.h"
#include <time.h>

enum mock_api { API_OPENAI, API_OLLAMA, API_ANTHROPIC };
enum mock_phase {
    MOCK_IDLE, /* waits for a request, or reads one */
    MOCK_HEAD, /* the answer begins when it is due */
    MOCK_TOKENS,
    MOCK_TAIL, /* tools, usage, end mark */
    MOCK_HOLD, /* nothing more until the client goes */
    MOCK_LAST  /* what waits is all */
};

struct mock_entry { /* what the log says of a request; times are monotonic ns, 0: not so far */
    char *model, *path, *said, *key;
    json_t *headers, *body;
    uint64_t began, head, first, ended, gone;
    int64_t status, tokens;
    bool counted;                                    /* the usage was sent */
    int64_t in, out, cached, cache_write, reasoning; /* as sent */
    bool kept;                                       /* by the log */
};

struct conn {
    int fd, watched; /* events */
    struct buf in, out;
    size_t sent; /* of out */
    enum mock_phase phase;
    uint64_t due, write_due, read_due; /* monotonic ns; 0: at once */
    bool hurry;                        /* due is set */
    bool close, reset, chunked, gone;
    struct plan plan;
    enum mock_api api;
    struct mock_entry *e;
    json_t *body;
    bool stream, wants_usage;
    int64_t body_bytes, events;
    struct buf text; /* what is to be said */
    size_t text_at;
    int64_t token, thought; /* sent so far */
    uint64_t token_base;
    int block; /* Anthropic: the open block's kind, or 0 */
    int64_t block_index;
    struct conn *next;
};

static inline int64_t mock_least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline void talk_wire(struct conn *c, const char *text)
{
    buf_adds(&c->out, text);
}

static inline void talk_over(struct conn *c)
{
    c->phase = MOCK_LAST;
    c->hurry = false;
}

/* The end of a body, and with it of the answer. */
static inline void talk_finish(struct conn *c)
{
    if (c->chunked)
        talk_wire(c, "0\r\n\r\n");
    c->close = c->close || c->plan.close;
    talk_over(c);
}

static inline void talk_cut(struct conn *c)
{
    const char *how = c->plan.how;
    if (strcmp(how, "clean") == 0) {
        talk_finish(c);
        return;
    }
    if (strcmp(how, "mid") == 0)
        talk_wire(c, "ff\r\ndata: {");
    c->reset = strcmp(how, "reset") == 0;
    c->close = true;
    talk_over(c);
}

static inline int64_t talk__to_offset(const struct conn *c)
{
    const char *at = c->plan.at;
    while (*at) {
        char *end;
        int64_t offset = strtol(at, &end, 10);
        if (offset > c->body_bytes)
            return offset - c->body_bytes;
        at = *end ? end + 1 : end;
    }
    return INT64_MAX;
}

/* Bytes of the body. False when a fault ended it. */
static inline bool talk_emit(struct conn *c, const char *bytes, size_t len)
{
    const struct plan *p = &c->plan;
    while (len && c->phase != MOCK_LAST) {
        int64_t n = mock_least((int64_t)len, talk__to_offset(c));
        if (p->chunk > 0)
            n = mock_least(n, p->chunk - c->body_bytes % p->chunk);
        if (p->cut >= 0)
            n = mock_least(n, p->cut - c->body_bytes);
        if (p->bad_chunk >= 0)
            n = mock_least(n, p->bad_chunk - c->body_bytes);
        if (n <= 0 && p->cut >= 0 && p->cut <= c->body_bytes) {
            talk_cut(c);
        } else if (n <= 0) {
            talk_wire(c, "zz\r\nwhat\r\n");
            c->close = true;
            talk_over(c);
        } else {
            if (c->chunked)
                buf_addf(&c->out, "%lx\r\n", (long)n);
            buf_add(&c->out, bytes, (size_t)n);
            if (c->chunked)
                talk_wire(c, "\r\n");
            bytes += n;
            len -= (size_t)n;
            c->body_bytes += n;
        }
    }
    return c->phase != MOCK_LAST;
}

static inline void talk_head(struct conn *c, const char *type, int64_t length)
{
    const struct plan *p = &c->plan;
    if (strcmp(p->type, "html") == 0)
        type = "text/html";
    else if (strcmp(p->type, "json") == 0)
        type = "application/json";
    else if (*p->type)
        type = strcmp(p->type, "none") == 0 ? "" : p->type;
    buf_addf(&c->out, "HTTP/1.1 %lld X\r\n", (long long)p->status);
    if (*type)
        buf_addf(&c->out, "Content-Type: %s\r\n", type);
    if (p->retry >= 0)
        buf_addf(&c->out, "Retry-After: %lld\r\n", (long long)p->retry);
    if (p->retry_date >= 0) {
        time_t when = (time_t)(clock_real_ms() / 1000 + p->retry_date);
        char text[64];
        struct tm tm;
        strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&when, &tm));
        buf_addf(&c->out, "Retry-After: %s\r\n", text);
    }
    if (p->close)
        talk_wire(c, "Connection: close\r\n");
    c->chunked = length < 0;
    if (length < 0)
        talk_wire(c, "Transfer-Encoding: chunked\r\n\r\n");
    else
        buf_addf(&c->out, "Content-Length: %lld\r\n\r\n", (long long)length);
    if (c->e) {
        c->e->status = p->status;
        c->e->head = clock_mono_ns();
    }
}

static inline void talk_whole(struct conn *c, const char *type, const char *text, size_t len)
{
    talk_head(c, type, (int64_t)len);
    c->close = c->close || c->plan.close;
    if (talk_emit(c, text, len))
        talk_over(c);
}

/* One event: JSON with its name (NULL: none), or what is no JSON. */
static inline bool talk_event(struct conn *c, const char *name, const char *data)
{
    struct buf b = {0};
    const struct plan *p = &c->plan;
    bool crlf = strcmp(p->eol, "crlf") == 0;
    const char *eol = crlf                                                ? "\r\n"
                      : strcmp(p->eol, "cr") == 0 && c->api != API_OLLAMA ? "\r"
                                                                          : "\n";
    if (p->bom && !c->events)
        buf_adds(&b, "\xef\xbb\xbf");
    if (c->api == API_OLLAMA) {
        buf_addf(&b, "%s%s%s", p->comments ? eol : "", data, eol);
    } else {
        if (p->comments)
            buf_addf(&b, ": a comment%sid: %lld%sretry: 5%s", eol, (long long)c->events, eol, eol);
        if (name)
            buf_addf(&b, "event: %s%s", name, eol);
        if (p->multi && *data == '{')
            buf_addf(&b, "data: {%sdata:%s%s", eol, data + 1, eol);
        else
            buf_addf(&b, "data: %s%s", data, eol);
        buf_adds(&b, eol);
    }
    c->events++;
    bool goes_on = talk_emit(c, b.data, b.len);
    buf_release(&b);
    return goes_on;
}

/* A JSON string of bytes that are UTF-8. */
static inline void talk_quoted(struct buf *b, const char *text, size_t len)
{
    buf_addc(b, '"');
    for (size_t i = 0; i < len; i++) {
        unsigned char x = (unsigned char)text[i];
        if (x == '"' || x == '\\')
            buf_addc(b, '\\');
        if (x < ' ')
            buf_addf(b, "\\u%04x", x);
        else
            buf_addc(b, (char)x);
    }
    buf_addc(b, '"');
}

#endif
