/* Which sources support each sentence of an answer. Pure.
 *
 * A sentence is
 *   supported     a source has it word for word, or says it: at least 0.6 of its words by weight
 * stand together there, and each of its numbers and names, in whatever unit contradicted  no source
 * says it, and a tool's result says otherwise (claims.h, from 0.7 on) unsupported   neither
 * Headings, questions, lines that lead in a list and sentences that say nothing to be checked are
 * not assessed. Of an answer the first 64 KiB and 96 sentences are. */
#ifndef ORCH_GROUNDING_H
#define ORCH_GROUNDING_H

#include "backend/gateway/gateway.h"
#include "backend/orchestrator/claims.h"

/* What becomes of sentences that nothing supports. */
enum orch_unsupported { ORCH_NOTE, ORCH_FLAG, ORCH_REMOVE };
/* "note", "flag", "remove"; -1: none of them. */
int orch_unsupported_find(const char *name);

struct orch_grounding {
    size_t assessed, supported, contradicted, unsupported, removed;
    /* {sentences: [{text, state, sources: [id], cites: [id], why}], and the five figures} */
    json_t *doc;
    char *text; /* the answer with marks, or without those sentences; NULL: as it was */
};
/* reader NULL: one is made for it alone. russian: the language of the marks. An answer that cites
 * no source at all is only noted: it is marked as a whole (orch_verdict's weak). One of which
 * nothing would be left is flagged. */
void orch_ground(struct claims_reader *reader, const char *answer, bool russian,
                 const struct gw_source *sources, size_t count, enum orch_unsupported how,
                 struct orch_grounding *out);
void orch_grounding_release(struct orch_grounding *g);

#endif
