/* Spans, from their begin to the queue of those that wait for their export.
 *
 * 1 A span is its owner's until tel_span_end; the registry keeps no list of those under way.
 * 2 What stands in the queue is complete JSON: an exporter only joins it.
 * 3 The queue has at most TEL_QUEUE spans and TEL_QUEUE_BYTES bytes; a span that does not fit is
 *   dropped, so that what is known of the beginning of a trouble stays (T3). */
#include "backend/base/clock.h"
#include "backend/base/errors.h"
#include "backend/base/text.h"
#include "backend/telemetry/internal.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct tel_span {
    struct tel *tel;
    struct tel_context context;
    char parent[17]; /* "": a root */
    bool parent_remote;
    enum tel_span_kind kind;
    char *name;
    int64_t started_ms;    /* real */
    uint64_t started_ns;   /* monotonic: how long it took is never told by a clock that jumps */
    struct buf attributes; /* JSON, joined by commas */
    unsigned count, left_out;
    bool failed;
};

/* ---- contexts */

static bool is_hex(const char *text, size_t len)
{
    return strspn(text, "0123456789abcdef") >= len;
}

static bool is_zero(const char *text, size_t len)
{
    return strspn(text, "0") >= len;
}

/* W3C Trace Context, section 3.2: "00-" trace "-" parent "-" flags; later versions may go on behind
 * another dash, and version ff is none. */
bool tel_traceparent_read(const char *text, struct tel_context *out)
{
    enum { LEN = 55 };
    *out = (struct tel_context){.sampled = false};
    if (!text || strnlen(text, LEN) < LEN || !is_hex(text, 2) || strncmp(text, "ff", 2) == 0 ||
        text[2] != '-' || !is_hex(text + 3, 32) || text[35] != '-' || !is_hex(text + 36, 16) ||
        text[52] != '-' || !is_hex(text + 53, 2))
        return false;
    if (text[LEN] && (strncmp(text, "00", 2) == 0 || text[LEN] != '-'))
        return false;
    if (is_zero(text + 3, 32) || is_zero(text + 36, 16))
        return false;
    memcpy(out->trace_id, text + 3, 32);
    memcpy(out->span_id, text + 36, 16);
    char low = text[54];
    out->sampled = (low <= '9' ? low - '0' : low - 'a' + 10) & 1;
    out->remote = out->shared = true;
    return true;
}

void tel_traceparent(const struct tel_context *c, char out[TEL_TRACEPARENT])
{
    snprintf(out, TEL_TRACEPARENT, "00-%.32s-%.16s-%s", c->trace_id, c->span_id,
             c->sampled ? "01" : "00");
}

struct tel_context tel_current(const struct tel *t)
{
    return t ? t->current : (struct tel_context){.sampled = false};
}

struct tel_context tel_enter(struct tel *t, const struct tel_context *now)
{
    struct tel_context before = tel_current(t);
    if (t)
        t->current = now ? *now : (struct tel_context){.sampled = false};
    return before;
}

/* Ids are no secrets, so they come many at a time. */
static void random_bytes(struct tel *t, void *out, size_t len)
{
    if (t->lots_used + len > sizeof t->lots) {
        /* whole up to 256 bytes, getrandom(2) */
        BUG_IF(getrandom(t->lots, sizeof t->lots, 0) != (ssize_t)sizeof t->lots);
        t->lots_used = 0;
    }
    memcpy(out, t->lots + t->lots_used, len);
    t->lots_used += len;
}

/* An id that is not all zero. */
static void random_id(struct tel *t, char *out, size_t digits)
{
    uint8_t bytes[16];
    do {
        random_bytes(t, bytes, digits / 2);
        text_hex(bytes, digits / 2, out);
    } while (is_zero(out, digits));
}

/* Whether a new trace is kept. */
static bool drawn(struct tel *t)
{
    uint32_t lot;
    if (!t->keeps || t->share >= 1)
        return t->keeps;
    random_bytes(t, &lot, sizeof lot);
    return lot < t->share * 4294967296.0;
}

/* ---- spans */

struct tel_span *tel_span_begin(struct tel *t, const struct tel_context *parent,
                                enum tel_span_kind kind, const char *name, ...)
{
    if (!t)
        return NULL;
    struct tel_span *s = xcalloc(1, sizeof *s);
    s->tel = t;
    s->kind = kind;
    if (parent && *parent->trace_id) {
        memcpy(s->context.trace_id, parent->trace_id, sizeof s->context.trace_id);
        memcpy(s->parent, parent->span_id, sizeof s->parent);
        s->parent_remote = parent->remote;
        s->context.sampled = parent->sampled && t->keeps;
        s->context.shared = parent->shared;
    } else {
        random_id(t, s->context.trace_id, 32);
        s->context.sampled = drawn(t);
    }
    random_id(t, s->context.span_id, 16);
    s->started_ms = clock_real_ms();
    s->started_ns = clock_mono_ns();
    if (s->context.sampled) {
        struct buf text = {0};
        va_list args;
        va_start(args, name);
        buf_vaddf(&text, name, args);
        va_end(args);
        s->name = buf_take(&text);
    }
    return s;
}

const struct tel_context *tel_span_context(const struct tel_span *s)
{
    return s ? &s->context : NULL;
}

void tel__json_text(const char *text, size_t len, struct buf *out)
{
    buf_addc(out, '"');
    for (size_t i = 0, plain; i < len; i++) {
        for (plain = i;
             i < len && (unsigned char)text[i] >= ' ' && text[i] != '"' && text[i] != '\\';)
            i++;
        buf_add(out, text + plain, i - plain);
        if (i < len && (unsigned char)text[i] < ' ')
            buf_addf(out, "\\u%04x", (unsigned char)text[i]);
        else if (i < len)
            buf_addf(out, "\\%c", text[i]);
    }
    buf_addc(out, '"');
}

/* Foreign text: without what is hidden, and not longer than TEL_TEXT_BYTES. */
static void add_text(const char *value, struct buf *out)
{
    size_t len = 0;
    while (value[len] >= ' ' && value[len] <= '~' && len < TEL_TEXT_BYTES)
        len++;
    if (!value[len]) { /* as nearly all are: nothing in it is hidden */
        tel__json_text(value, len, out);
        return;
    }
    char *safe = text_cleaned(value, TEXT_ONE_LINE);
    len = strlen(safe);
    if (len > TEL_TEXT_BYTES)
        for (len = TEL_TEXT_BYTES; len && (safe[len] & 0xc0) == 0x80;)
            len--;
    tel__json_text(safe, len, out);
    free(safe);
}

/* Begins an attribute; false if there is no room for it, or the span is not kept. */
static bool attribute(struct tel_span *s, const char *key)
{
    if (!s || !s->context.sampled)
        return false;
    if (s->count == TEL_ATTRIBUTES) {
        s->left_out++;
        return false;
    }
    if (s->count++)
        buf_addc(&s->attributes, ',');
    else
        buf_reserve(&s->attributes, 1024);
    buf_adds(&s->attributes, "{\"key\":\"");
    buf_adds(&s->attributes, key);
    buf_adds(&s->attributes, "\",\"value\":{");
    return true;
}

void tel_span_text(struct tel_span *s, const char *key, const char *value)
{
    if (!value || !attribute(s, key))
        return;
    buf_adds(&s->attributes, "\"stringValue\":");
    add_text(value, &s->attributes);
    buf_adds(&s->attributes, "}}");
}

void tel_span_list(struct tel_span *s, const char *key, const char *value)
{
    if (!value || !attribute(s, key))
        return;
    buf_adds(&s->attributes, "\"arrayValue\":{\"values\":[{\"stringValue\":");
    add_text(value, &s->attributes);
    buf_adds(&s->attributes, "}]}}}");
}

void tel_span_int(struct tel_span *s, const char *key, int64_t value)
{
    if (attribute(s, key))
        buf_addf(&s->attributes, "\"intValue\":\"%lld\"}}", (long long)value);
}

void tel_span_num(struct tel_span *s, const char *key, double value)
{
    if (!attribute(s, key))
        return;
    buf_adds(&s->attributes, "\"doubleValue\":");
    tel__number(value, &s->attributes);
    buf_adds(&s->attributes, "}}");
}

void tel_span_flag(struct tel_span *s, const char *key, bool value)
{
    if (attribute(s, key))
        buf_addf(&s->attributes, "\"boolValue\":%s}}", value ? "true" : "false");
}

void tel_span_fail(struct tel_span *s, const char *type)
{
    if (!s || s->failed)
        return;
    s->failed = true;
    tel_span_text(s, "error.type", type);
}

/* The JSON of opentelemetry.proto.trace.v1.Span. */
static void write_span(const struct tel_span *s, struct buf *out)
{
    enum { SAMPLED = 1, KNOWS_REMOTE = 0x100, REMOTE = 0x200 }; /* SpanFlags there */
    uint64_t took = clock_mono_ns() - s->started_ns;
    uint64_t start = (uint64_t)s->started_ms * 1000000, end = start + took;
    buf_addf(out, "{\"traceId\":\"%s\",\"spanId\":\"%s\",", s->context.trace_id,
             s->context.span_id);
    if (*s->parent)
        buf_addf(out, "\"parentSpanId\":\"%s\",", s->parent);
    buf_addf(out,
             "\"flags\":%d,\"name\":", SAMPLED | KNOWS_REMOTE | (s->parent_remote ? REMOTE : 0));
    add_text(s->name, out);
    buf_addf(out, ",\"kind\":%d,\"startTimeUnixNano\":\"%llu\",\"endTimeUnixNano\":\"%llu\"",
             (int)s->kind, (unsigned long long)start, (unsigned long long)end);
    if (s->count) {
        buf_adds(out, ",\"attributes\":[");
        buf_add(out, s->attributes.data, s->attributes.len);
        buf_addc(out, ']');
    }
    if (s->left_out)
        buf_addf(out, ",\"droppedAttributesCount\":%u", s->left_out);
    buf_addf(out, ",\"status\":{%s}}", s->failed ? "\"code\":2" : "");
}

static void enqueue(struct tel *t, const struct buf *json)
{
    if (t->queued >= TEL_QUEUE || t->queued_bytes + json->len > TEL_QUEUE_BYTES) { /* 3 */
        tel_add(t, TEL_telemetry_spans, 1, TEL_LABELS("queue"));
        return;
    }
    struct tel__ended *e = xcalloc(1, sizeof *e + json->len + 1);
    e->len = json->len;
    memcpy(e->json, json->data, json->len);
    *t->end = e;
    t->end = &e->next;
    t->queued++;
    t->queued_bytes += e->len;
    if (t->ended)
        t->ended(t->ended_arg);
}

void tel_span_end(struct tel_span *s)
{
    if (!s)
        return;
    if (s->context.sampled) {
        struct buf json = {0};
        write_span(s, &json);
        enqueue(s->tel, &json);
        buf_release(&json);
    }
    buf_release(&s->attributes);
    free(s->name);
    free(s);
}

struct tel__ended *tel__span_take(struct tel *t)
{
    struct tel__ended *e = t->first;
    if (!e)
        return NULL;
    t->first = e->next;
    if (!t->first)
        t->end = &t->first;
    t->queued--;
    t->queued_bytes -= e->len;
    return e;
}

void tel__spans_free(struct tel *t)
{
    for (struct tel__ended *e; (e = tel__span_take(t));)
        free(e);
}
