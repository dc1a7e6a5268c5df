/* Which read-only tools a question is for, as who has been on call for long would choose them: by
 * the question's words, by where one looks when that is asked about (concepts.h), by the systems
 * and things that it names; and not several that say the same. Then once more, by what the first
 * ones found. */
#ifndef ORCH_PICK_H
#define ORCH_PICK_H

#include "backend/connectors/connectors.h"
#include "backend/knowledge/knowledge.h"
#include "backend/orchestrator/concepts.h"

enum { PICK_TOOLS = 512 };

struct pick_tool {
    const struct conn_tool *as;
    const json_t *arguments; /* that it would be called with; or NULL */
    bool taken;              /* it was called already */
    bool near;               /* one of its connector gave clues */
    bool filled;             /* its arguments are of what was found */
};

struct pick {
    size_t tool;   /* index */
    double fit[2], /* of its description, by know_way */
        concept,   /* of concepts, 0..1 */
        total;     /* what decides */
};

/* What they are chosen for. clues: lines that the first ones answered, to look further by; NULL: it
 * is the first choice. */
struct pick_for {
    const char *question, *clues;
};

/* The best first, at most max; returns how many. know may be NULL. */
size_t pick_tools(const struct know *know, struct concepts *concepts, const struct pick_for *by,
                  const struct pick_tool *tools, size_t n, size_t max, struct pick *out);

#endif
