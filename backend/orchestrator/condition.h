/* The conditions of a flow's edges: expressions over the variables of variables.def. Pure.
 *
 *   or         = and {"or" and}
 *   and        = not {"and" not}
 *   not        = "not" not | "(" or ")" | comparison
 *   comparison = value ("==" | "!=" | "<" | "<=" | ">" | ">=") value
 *   value      = NUMBER | 'TEXT' | "TEXT" | VARIABLE
 *
 * Texts are only equal or not, and a word that a variable cannot be is refused. Three values: what
 * is compared with an unknown variable is unknown, and so is what depends on it (Kleene's logic).
 */
#ifndef ORCH_CONDITION_H
#define ORCH_CONDITION_H

#include "backend/base/errors.h"
#include <stdbool.h>
#include <stddef.h>

enum condition_variable {
#define VARIABLE(id, name, kind, words, about) VAR_##id,
#include "backend/orchestrator/variables.def"
#undef VARIABLE
    VAR_COUNT
};

struct condition_values {
    bool known[VAR_COUNT];
    double number[VAR_COUNT];
    const char *text[VAR_COUNT]; /* borrowed */
};

struct condition; /* owned by whoever read it */
enum { CONDITION_BYTES = 512 };
/* At most CONDITION_BYTES. NULL with *e (INVALID): what is wrong, and at which byte. */
struct condition *condition_read(const char *text, struct error *e);
void condition_free(struct condition *c);
/* 1: it holds, 0: it does not, -1: unknown. */
int condition_holds(const struct condition *c, const struct condition_values *v);
/* The name of a variable, in the order of the table, and whether it is a text. */
const char *condition_name(enum condition_variable v);
bool condition_is_text(enum condition_variable v);

#endif
