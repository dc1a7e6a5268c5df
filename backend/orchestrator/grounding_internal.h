/* Private to grounding*.c. */
#ifndef ORCH_GROUNDING_INTERNAL_H
#define ORCH_GROUNDING_INTERNAL_H

#include "backend/orchestrator/grounding.h"
#include "backend/orchestrator/marks.h"
#include "backend/orchestrator/standing.h"
#include <stdint.h>

enum { GROUNDING__SENTENCES = 96, GROUNDING__SOURCES = 32 };

enum grounding__state {
    GROUNDING__NOT_ASSESSED,
    GROUNDING__SUPPORTED,
    GROUNDING__CONTRADICTED,
    GROUNDING__UNSUPPORTED
};
struct grounding__sentence {
    const char *at; /* a row of a table: all of its line */
    size_t len;
    enum grounding__state state;
    uint32_t by, cites; /* sources, a bit each */
    char why[CLAIMS_WHY];
    struct claims *claims;
    bool row, marked; /* marked: it says itself that it is disputed */
    /* What says otherwise: */
    bool told;           /* the answer is to tell of it */
    enum orch_mark mark; /* how */
    int source, other;   /* a source, or a sentence; -1: none */
    const char *model;   /* or a model, NULL: none */
    const char *quote;   /* what it says */
    size_t quote_len;
    bool elsewhere; /* another sentence says so */
};
struct grounding {
    struct claims_reader *reader;
    const char *answer, *row; /* row: the line of the last row of a table */
    const struct gw_source *sources;
    const char *const *about; /* or NULL */
    struct claims *read[GROUNDING__SOURCES];
    char *plain[GROUNDING__SOURCES]; /* their texts as plain() has them */
    bool json[GROUNDING__SOURCES];   /* a tool's, with JSON in it */
    struct orch_standing standing[GROUNDING__SOURCES];
    size_t source_count;
    struct grounding__sentence sentences[GROUNDING__SENTENCES];
    size_t count;
    json_t *conflicts;
};

/* conflicts.c: what says otherwise than each sentence; fills `conflicts` and the sentences' marks.
 */
void grounding__conflicts(struct grounding *g, const struct orch_ground_how *how);
/* How many sentences contradict an earlier one (orch_self_contradictions). */
size_t grounding__against_itself(const struct grounding *g);
/* The sources of a set, by their ids. */
json_t *grounding__ids(const struct grounding *g, uint32_t set);
/* The beginning of a text for the trace, whole characters. */
json_t *grounding__head(const char *text, size_t len);
/* grounding_marks.c */
void grounding__rewrite(const struct grounding *g, const struct orch_ground_how *how,
                        struct orch_grounding *out);

#endif
