/* What stands behind a prompt's name in the chat's input line, as a shell would read it. Pure.
 *
 * A word is `value`, or `name=value` with the name of an argument; a value with spaces stands in
 * double quotes, where \" and \\ are the characters themselves. Values without a name go to the
 * arguments that have none, in order; the last of these takes the rest of the line. */
#ifndef CHAT_WORDS_H
#define CHAT_WORDS_H

#include "backend/base/buf.h"
#include "backend/base/json.h"

/* The arguments' values, by name. arguments: of prompts.list. The caller owns it. */
json_t *chat_words_values(const json_t *arguments, const char *typed);

struct chat_word {      /* the word that ends where a text ends */
    size_t from;        /* its first byte; the text's length: a new word */
    char *value;        /* as typed so far, without its quotes; free() */
    const char *name;   /* of the argument that it is for; NULL: every one has a value */
    bool named, quoted; /* `name=` stands before it; a quote is open */
    json_t *others;     /* values of the other arguments, by name; owned */
};
struct chat_word chat_words_last(const json_t *arguments, const char *typed);
void chat_word_release(struct chat_word *w);

/* Appends a value as it is typed: in quotes where that is needed, or wanted. */
void chat_words_quote(struct buf *out, const char *value, bool always);

#endif
