/* One pass over the bytes. Anything that is not plainly what the table says is answered with false:
 * the long way decides. */
#include "backend/gateway/quick.h"
#include "backend/base/text.h"
#include <stdint.h>
#include <string.h>

#define KEY(text) .key = (text), .len = sizeof(text) - 1
static const struct gw__quick openai_delta[] = {
    {KEY("content"), .take = GW__QUICK_TEXT},
    {KEY("role"), .take = GW__QUICK_ANY},
    {KEY("refusal"), .take = GW__QUICK_NONE},
    {KEY("tool_calls"), .take = GW__QUICK_NONE},
    {KEY("function_call"), .take = GW__QUICK_NONE},
    {KEY("reasoning_content"), .take = GW__QUICK_NONE},
    {KEY("reasoning"), .take = GW__QUICK_NONE},
    {KEY("reasoning_details"), .take = GW__QUICK_NONE},
    {KEY("audio"), .take = GW__QUICK_NONE},
    {0},
};
static const struct gw__quick openai_choice[] = {
    {KEY("delta"), .take = GW__QUICK_OBJECT, .in = openai_delta},
    {KEY("index"), .take = GW__QUICK_ANY},
    {KEY("finish_reason"), .take = GW__QUICK_NONE},
    {KEY("stop_reason"), .take = GW__QUICK_NONE},
    {KEY("matched_stop"), .take = GW__QUICK_NONE},
    {KEY("native_finish_reason"), .take = GW__QUICK_NONE},
    {KEY("logprobs"), .take = GW__QUICK_NONE},
    {KEY("token_ids"), .take = GW__QUICK_NONE},
    {0},
};
const struct gw__quick gw__quick_openai[] = {
    {KEY("choices"), .take = GW__QUICK_ONE, .in = openai_choice},
    {KEY("id"), .take = GW__QUICK_ANY},
    {KEY("object"), .take = GW__QUICK_ANY},
    {KEY("created"), .take = GW__QUICK_ANY},
    {KEY("model"), .take = GW__QUICK_ANY},
    {KEY("provider"), .take = GW__QUICK_ANY},
    {KEY("system_fingerprint"), .take = GW__QUICK_ANY},
    {KEY("service_tier"), .take = GW__QUICK_ANY},
    {KEY("obfuscation"), .take = GW__QUICK_ANY},
    {KEY("usage"), .take = GW__QUICK_NONE},
    {KEY("error"), .take = GW__QUICK_NONE},
    {0},
};
static const struct gw__quick ollama_message[] = {
    {KEY("content"), .take = GW__QUICK_TEXT},  {KEY("role"), .take = GW__QUICK_ANY},
    {KEY("thinking"), .take = GW__QUICK_NONE}, {KEY("tool_calls"), .take = GW__QUICK_NONE},
    {KEY("images"), .take = GW__QUICK_NONE},   {0},
};
const struct gw__quick gw__quick_ollama[] = {
    {KEY("message"), .take = GW__QUICK_OBJECT, .in = ollama_message},
    {KEY("model"), .take = GW__QUICK_ANY},
    {KEY("created_at"), .take = GW__QUICK_ANY},
    {KEY("done"), .take = GW__QUICK_FALSE},
    {0},
};
static const struct gw__quick anthropic_delta[] = {
    {KEY("type"), .take = GW__QUICK_IS, .is = "text_delta"},
    {KEY("text"), .take = GW__QUICK_TEXT},
    {0},
};
const struct gw__quick gw__quick_anthropic[] = {
    {KEY("type"), .take = GW__QUICK_IS, .is = "content_block_delta"},
    {KEY("index"), .take = GW__QUICK_ANY},
    {KEY("delta"), .take = GW__QUICK_OBJECT, .in = anthropic_delta},
    {0},
};

struct cursor {
    const char *at, *end;
    struct buf *own;
    const char *text;
    size_t len;
};

static void space(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
        c->at++;
}

static bool take(struct cursor *c, char x)
{
    space(c);
    if (c->at == c->end || *c->at != x)
        return false;
    c->at++;
    return true;
}

static bool word(struct cursor *c, const char *w)
{
    size_t len = strlen(w);
    if ((size_t)(c->end - c->at) < len || memcmp(c->at, w, len) != 0)
        return false;
    c->at += len;
    return true;
}

/* What stands behind a backslash, as UTF-8. Surrogates and NUL go the long way. */
static bool escape(struct cursor *c, struct buf *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (c->at == c->end)
        return false;
    const char *known = *c->at ? strchr(from, *c->at) : NULL;
    if (known) {
        buf_addc(out, to[known - from]);
        c->at++;
        return true;
    }
    if (*c->at != 'u' || c->end - c->at < 5)
        return false;
    uint32_t cp = 0;
    for (int i = 1; i <= 4; i++) {
        char x = c->at[i];
        int digit = x >= '0' && x <= '9'   ? x - '0'
                    : x >= 'a' && x <= 'f' ? x - 'a' + 10
                    : x >= 'A' && x <= 'F' ? x - 'A' + 10
                                           : -1;
        if (digit < 0)
            return false;
        cp = cp << 4 | (uint32_t)digit;
    }
    if (cp == 0 || (cp >= 0xd800 && cp <= 0xdfff))
        return false;
    c->at += 5;
    char utf8[4];
    buf_add(out, utf8, text_encode(cp, utf8));
    return true;
}

/* Bytes up to a quote, a backslash, a control or the end; they are UTF-8. */
static bool plain(struct cursor *c)
{
    while (c->at < c->end) {
        unsigned char x = (unsigned char)*c->at;
        if (x == '"' || x == '\\')
            return true;
        if (x < ' ')
            return false;
        if (x < 0x80) {
            c->at++;
            continue;
        }
        uint32_t cp;
        size_t n = text_decode(c->at, (size_t)(c->end - c->at), &cp);
        if (cp & TEXT_BAD)
            return false;
        c->at += n;
    }
    return false;
}

/* A string. Without escapes it is where it stands, otherwise in *own. */
static bool string(struct cursor *c, struct buf *own, const char **text, size_t *len)
{
    if (!take(c, '"'))
        return false;
    const char *from = c->at;
    if (!plain(c))
        return false;
    *text = from;
    *len = (size_t)(c->at - from);
    if (*c->at == '"') {
        c->at++;
        return true;
    }
    buf_add(own, from, *len);
    while (*c->at == '\\') {
        c->at++;
        if (!escape(c, own))
            return false;
        from = c->at;
        if (!plain(c))
            return false;
        buf_add(own, from, (size_t)(c->at - from));
    }
    c->at++;
    *text = own->data;
    *len = own->len;
    return true;
}

/* A number that surely fits; others go the long way. */
static bool number(struct cursor *c)
{
    size_t digits = 0;
    if (c->at < c->end && *c->at == '-')
        c->at++;
    const char *from = c->at;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9' && ++digits <= 15)
        c->at++;
    if (!digits || digits > 15 || (*from == '0' && digits > 1))
        return false;
    if (c->at == c->end || *c->at != '.')
        return c->at == c->end || (*c->at != 'e' && *c->at != 'E');
    c->at++;
    for (digits = 0; c->at < c->end && *c->at >= '0' && *c->at <= '9' && digits <= 15; digits++)
        c->at++;
    return digits && digits <= 15 && (c->at == c->end || (*c->at != 'e' && *c->at != 'E'));
}

static bool anything(struct cursor *c)
{
    space(c);
    if (c->at == c->end)
        return false;
    if (*c->at != '"')
        return word(c, "null") || word(c, "true") || word(c, "false") || number(c);
    struct buf own = {0};
    const char *text;
    size_t len;
    bool fine = string(c, &own, &text, &len);
    buf_release(&own);
    return fine;
}

static bool nothing(struct cursor *c)
{
    space(c);
    return word(c, "null") || word(c, "\"\"") || (take(c, '[') && take(c, ']'));
}

static bool is(struct cursor *c, const char *wanted)
{
    space(c);
    return word(c, "\"") && word(c, wanted) && word(c, "\"");
}

static bool object(struct cursor *c, const struct gw__quick *table, int depth);

static bool value(struct cursor *c, const struct gw__quick *row, int depth)
{
    switch (row->take) {
    case GW__QUICK_ANY:
        return anything(c);
    case GW__QUICK_NONE:
        return nothing(c);
    case GW__QUICK_FALSE:
        space(c);
        return word(c, "false");
    case GW__QUICK_IS:
        return is(c, row->is);
    case GW__QUICK_TEXT:
        space(c);
        return word(c, "null") || string(c, c->own, &c->text, &c->len);
    case GW__QUICK_OBJECT:
        return object(c, row->in, depth + 1);
    case GW__QUICK_ONE:
        return take(c, '[') && object(c, row->in, depth + 1) && take(c, ']');
    }
    return false;
}

/* The row of a key that was not there before. */
static const struct gw__quick *row_of(const struct gw__quick *table, const char *key, size_t len,
                                      uint32_t *seen)
{
    for (unsigned i = 0; i < 32 && table[i].key; i++) {
        if (table[i].len != len || memcmp(table[i].key, key, len) != 0)
            continue;
        if (*seen & 1u << i)
            return NULL;
        *seen |= 1u << i;
        return &table[i];
    }
    return NULL;
}

/* Each member once, and each that decides (text, object, what must be so) present. */
static bool object(struct cursor *c, const struct gw__quick *table, int depth)
{
    enum { DEEPEST = 4 };
    uint32_t seen = 0;
    if (depth > DEEPEST || !take(c, '{'))
        return false;
    do {
        space(c);
        if (c->at == c->end || *c->at++ != '"')
            return false;
        const char *key = c->at;
        while (c->at < c->end && (unsigned char)*c->at >= 0x20 && *c->at != '"' && *c->at != '\\')
            c->at++;
        size_t len = (size_t)(c->at - key);
        const struct gw__quick *row = row_of(table, key, len, &seen);
        if (!row || c->at == c->end || *c->at++ != '"' || !take(c, ':') || !value(c, row, depth))
            return false;
    } while (take(c, ','));
    for (unsigned i = 0; i < 32 && table[i].key; i++)
        if (table[i].take >= GW__QUICK_FALSE && !(seen & 1u << i))
            return false;
    return take(c, '}');
}

bool gw__quick_read(const struct gw__quick *table, const char *json, size_t size, struct buf *own,
                    const char **text, size_t *len)
{
    struct cursor c = {.at = json, .end = json + size, .own = own, .text = ""};
    if (!object(&c, table, 0))
        return false;
    space(&c);
    if (c.at != c.end)
        return false;
    *text = c.text;
    *len = c.len;
    return true;
}
