/* Models whose server does not take their thinking apart write it in front of the answer, between
 * <think> and </think>. Any cutting of the text gives the same parts: what may be the beginning of
 * a mark waits in `held` until it is known. */
#include "backend/gateway/upstream.h"
#include <string.h>

#define OPEN "<think>"
#define CLOSE "</think>"
enum { BLANKS_MAX = 64 }; /* in front of a mark */

static size_t blanks(const char *text, size_t len)
{
    size_t n = 0;
    while (n < len && (text[n] == ' ' || text[n] == '\n' || text[n] == '\r' || text[n] == '\t'))
        n++;
    return n;
}

/* How many bytes at the end of a text are the beginning of the closing mark. */
static size_t begun(const char *text, size_t len)
{
    size_t n = strlen(CLOSE) - 1;
    for (n = n < len ? n : len; n; n--)
        if (memcmp(text + len - n, CLOSE, n) == 0)
            return n;
    return 0;
}

/* The beginning of a text: it thinks, it speaks, or more of it is needed. */
static enum gw__thinking judge(const char *text, size_t len, size_t *skip)
{
    size_t at = blanks(text, len), left = len - at, mark = strlen(OPEN);
    *skip = 0;
    if (at > BLANKS_MAX || memcmp(text + at, OPEN, left < mark ? left : mark) != 0)
        return GW__SPEAKS;
    if (left < mark)
        return GW__MAY_THINK;
    *skip = at + mark;
    return GW__THINKS;
}

/* Takes what it can of the bytes and returns how many; the rest waits. *ok false: the try is over.
 */
static size_t step(struct gw__try *t, const char *text, size_t len, bool *ok)
{
    struct gw__upstream *u = t->state;
    size_t n = 0;
    switch (u->thinking) {
    case GW__MAY_THINK:
        u->thinking = judge(text, len, &n);
        return n;
    case GW__THINKS: {
        const char *end = memmem(text, len, CLOSE, strlen(CLOSE));
        n = end ? (size_t)(end - text) : len - begun(text, len);
        if (end)
            u->thinking = GW__THOUGHT;
        *ok = gw__reasoning(t, text, n);
        return end ? n + strlen(CLOSE) : n;
    }
    case GW__THOUGHT: /* the blanks between the thinking and the answer belong to neither */
        n = blanks(text, len);
        if (n < len)
            u->thinking = GW__SPEAKS;
        return n;
    case GW__SPEAKS:
        *ok = gw__delta(t, text, len);
        return len;
    }
    return len;
}

bool gw__text(struct gw__try *t, const char *text, size_t len)
{
    struct gw__upstream *u = t->state;
    struct buf all = {0};
    bool ok = true;
    if (u->thinking == GW__SPEAKS || !len)
        return gw__delta(t, text, len);
    gw__alive(t);
    if (u->held.len) {
        all = u->held;
        u->held = (struct buf){0};
        buf_add(&all, text, len);
        text = all.data;
        len = all.len;
    }
    for (size_t n = 1; ok && len;) {
        enum gw__thinking before = u->thinking;
        n = step(t, text, len, &ok);
        text += n;
        len -= n;
        if (ok && !n && u->thinking == before)
            break;
    }
    if (ok && len)
        buf_add(&u->held, text, len);
    buf_release(&all);
    return ok;
}

bool gw__text_end(struct gw__try *t)
{
    struct gw__upstream *u = t->state;
    struct buf held = u->held;
    bool thinks = u->thinking == GW__THINKS;
    u->held = (struct buf){0};
    u->thinking = GW__SPEAKS;
    bool ok = !held.len ||
              (thinks ? gw__reasoning(t, held.data, held.len) : gw__delta(t, held.data, held.len));
    buf_release(&held);
    return ok;
}
