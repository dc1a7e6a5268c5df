/* Private to the gateway room: how many tokens a text is.
 *
 * Exact where the tokenizer's ranks are there (a file in tiktoken's form, `[model] ranks`);
 * otherwise an estimate that learns from what providers report (learn.c). */
#ifndef GATEWAY_TOKENS_H
#define GATEWAY_TOKENS_H

#include "backend/base/errors.h"
#include "backend/base/json.h"
#include <stdint.h>

/* split.c: a text falls into pieces before bytes are merged; how differs between tokenizers. */
enum gw__class {
    GW__OTHER,
    GW__UPPER,
    GW__LOWER,
    GW__LETTER, /* of scripts without case, and modifiers */
    GW__MARK,
    GW__NUMBER,
    GW__SPACE
};
/* The class of a code point as of text_decode; what is no character is GW__OTHER. */
enum gw__class gw__class_of(uint32_t cp);

enum gw__splitter {
#define SPLITTER(id, name, cased, digits, whole_end) GW__SPLIT_##id,
#include "backend/gateway/splitters.def"
#undef SPLITTER
    GW__SPLITTERS
};
/* By its name in the configuration; "auto": the one whose name the file's has in it. GW__SPLITTERS:
 * none. */
enum gw__splitter gw__splitter_named(const char *name, const char *file);
/* Where the piece ends that begins at `at` (< len); > at. */
size_t gw__split(enum gw__splitter s, const char *text, size_t len, size_t at);

/* ranks.c: the ranks of a tokenizer. Immutable: any thread may count while none frees. */
struct gw__ranks;
/* Reads a file of lines `BASE64 RANK`; blocks for some 50 ms, so on a worker. NULL with *e:
 * NOT_FOUND, IO, TOO_BIG, or CONFIG with the line that is none. Every single byte has to be a token
 * of its own. */
struct gw__ranks *gw__ranks_load(const char *path, enum gw__splitter s, struct error *e);
/* The same from memory. */
struct gw__ranks *gw__ranks_parse(const char *bytes, size_t len, enum gw__splitter s,
                                  struct error *e);
void gw__ranks_free(struct gw__ranks *r);
/* Tokens of a text that is UTF-8, none of them special: "<|endoftext|>" counts as the characters it
 * is. A piece over 16 KiB is cut there, which may add a token. */
int64_t gw__ranks_count(const struct gw__ranks *r, const char *text, size_t len);
/* The tokens themselves, in order. */
typedef void gw__token_fn(void *arg, uint32_t rank);
void gw__ranks_each(const struct gw__ranks *r, const char *text, size_t len, gw__token_fn *fn,
                    void *arg);

#endif
