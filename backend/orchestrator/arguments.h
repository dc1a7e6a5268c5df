/* Arguments of a tool by its schema: what is said of them in a question, and in what other tools
 * found. */
#ifndef ORCH_ARGUMENTS_H
#define ORCH_ARGUMENTS_H

#include "backend/knowledge/knowledge.h"
#include <jansson.h>
#include <stdbool.h>

struct arguments_from {
    const char *question;
    const char *found; /* lines that tools answered, or NULL: only names of things (things.def) are
                          taken from there, never an address of a page, a query or a command */
    bool reads; /* the tool only reads: the schema's default, the last hour, or a usual number
                   may stand for what nobody said */
};

/* What is in `out` already stays. A value of an enum that the question's words fit; what stands
 * between backticks; the name beside the word for such a thing, or else one of its shape; a number.
 * What is not required is filled only where it is said. False if something required cannot be
 * filled. know may be NULL. */
bool arguments_fill(const struct know *know, const struct arguments_from *from,
                    const json_t *schema, json_t *out);

#endif
