/* The blocks of an answer by Anthropic's API, kept as they came: a model that thought before it
 * called tools is to get them back unchanged and in their order, signatures and redacted thinking
 * too, with the tools' results; the API refuses the request otherwise (its documentation, "Extended
 * thinking", "Preserving thinking blocks"). Texts and arguments of tools are not kept twice. */
#include "backend/gateway/upstream.h"
#include <stdlib.h>
#include <string.h>

enum { THINKING_MAX = 1 << 20 };

void gw__blocks_release(struct gw__blocks *b)
{
    for (size_t i = 0; i < b->count; i++) {
        buf_release(&b->at[i].text);
        buf_release(&b->at[i].signature);
    }
    *b = (struct gw__blocks){0};
}

static struct gw__block *block_at(struct gw__blocks *b, int64_t index)
{
    for (size_t i = b->count; i-- > 0;)
        if (b->at[i].index == index)
            return &b->at[i];
    return NULL;
}

static bool too_much(struct gw__try *t, const char *what)
{
    gw__upstream_fail(t, ERR_TOO_BIG, what);
    return false;
}

bool gw__block_begin(struct gw__try *t, int64_t index, const char *type)
{
    struct gw__upstream *u = t->state;
    struct gw__blocks *b = &u->blocks;
    static const struct {
        const char *type;
        enum gw__block_kind kind;
    } kinds[] = {{"text", GW__BLOCK_TEXT},
                 {"thinking", GW__BLOCK_THINKING},
                 {"redacted_thinking", GW__BLOCK_REDACTED},
                 {"tool_use", GW__BLOCK_CALL}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].type, type) != 0)
            continue;
        if (b->count == GW__BLOCKS_MAX)
            return too_much(t, "its answer has more than 128 blocks");
        b->at[b->count++] =
            (struct gw__block){.kind = kinds[i].kind, .index = index, .from = t->text.len};
        b->thought |= kinds[i].kind == GW__BLOCK_THINKING || kinds[i].kind == GW__BLOCK_REDACTED;
    }
    return !t->over;
}

static bool add(struct gw__try *t, int64_t index, bool signature, const char *text, size_t len)
{
    struct gw__upstream *u = t->state;
    struct gw__block *block = block_at(&u->blocks, index);
    if (t->over)
        return false;
    if (!block || !len)
        return true;
    if (u->blocks.bytes + len > THINKING_MAX)
        return too_much(t, "its thinking is longer than 1 MiB");
    u->blocks.bytes += len;
    buf_add(signature ? &block->signature : &block->text, text, len);
    return true;
}

bool gw__block_thinking(struct gw__try *t, int64_t index, const char *text, size_t len)
{
    return add(t, index, false, text, len);
}

bool gw__block_signature(struct gw__try *t, int64_t index, const char *text, size_t len)
{
    return add(t, index, true, text, len);
}

static json_t *text_of(const struct buf *b)
{
    return json_text(b->data ? b->data : "", b->len);
}

/* Where the text of a block ends: where that of the next one begins. */
static size_t end_of(const struct gw__try *t, const struct gw__blocks *b, size_t at)
{
    for (size_t i = at + 1; i < b->count; i++)
        if (b->at[i].kind == GW__BLOCK_TEXT)
            return b->at[i].from;
    return t->text.len;
}

/* NULL: it says nothing. */
static json_t *block_json(const struct gw__try *t, const struct gw__blocks *b, size_t at)
{
    const struct gw__upstream *u = t->state;
    const struct gw__block *block = &b->at[at];
    size_t end = end_of(t, b, at);
    switch (block->kind) {
    case GW__BLOCK_TEXT:
        return end > block->from
                   ? json_pack("{s:s, s:o}", "type", "text", "text",
                               json_text(t->text.data + block->from, end - block->from))
                   : NULL;
    case GW__BLOCK_THINKING:
        return json_pack("{s:s, s:o, s:o}", "type", "thinking", "thinking", text_of(&block->text),
                         "signature", text_of(&block->signature));
    case GW__BLOCK_REDACTED:
        return json_pack("{s:s, s:o}", "type", "redacted_thinking", "data", text_of(&block->text));
    case GW__BLOCK_CALL:
        break;
    }
    for (size_t i = 0; i < u->calls.count && i < json_array_size(t->tool_calls); i++) {
        const json_t *call = json_array_get(t->tool_calls, i);
        if (u->calls.at[i].place == block->index)
            return json_pack("{s:s, s:O, s:O, s:O}", "type", "tool_use", "id",
                             json_object_get(call, "id"), "name", json_object_get(call, "name"),
                             "input", json_object_get(call, "arguments"));
    }
    return NULL;
}

void gw__blocks_end(struct gw__try *t)
{
    const struct gw__upstream *u = t->state;
    const struct gw__blocks *b = &u->blocks;
    if (t->over || !b->thought || !t->tool_calls)
        return;
    json_t *content = json_array();
    for (size_t i = 0; i < b->count; i++) {
        json_t *block = block_json(t, b, i);
        if (block)
            json_array_append_new(content, block);
    }
    t->thinking = json_object();
    json_puts(t->thinking, "by", t->m->pub.model);
    json_put(t->thinking, "content", content);
}
