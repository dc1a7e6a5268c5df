/* Sentences of sayings.def as data: [{code, values}], which a screen words in its language. */
#ifndef BASE_SAY_H
#define BASE_SAY_H

#include "backend/base/buf.h"
#include "backend/base/json.h"

enum saying {
#define SAYING(id, text) SAY_##id,
#include "backend/base/sayings.def"
#undef SAYING
    SAY_COUNT
};

/* Adds one sentence to `sentences`, or to a new list if that is NULL; returns the list. types: of
 * the values that follow, a letter each: s text, t text that is translated if it can be, n size_t,
 * f double, l a list of sentences, which is taken. */
json_t *say(json_t *sentences, enum saying s, const char *types, ...);
/* The sentences as text, "; " between them. translate: of each text of the table (NULL: English).
 * False, and nothing added: one of them is not of this table, or not of its form. */
bool say_text(const json_t *sentences, const char *(*translate)(const char *), struct buf *out);
/* The same in English; the caller frees. */
char *say_english(const json_t *sentences);
/* Puts them into an object, as the text `member` and, as data, "member_words"; takes them. */
void say_put(json_t *object, const char *member, json_t *sentences);

#endif
