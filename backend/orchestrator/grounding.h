/* Which sources support each sentence of an answer, and what says otherwise. Pure.
 *
 * A sentence, or a row of a table, is
 *   supported     a source has it word for word, or says it: at least 0.6 of its words by weight
 *                 stand together there, and each of its numbers and names, in whatever unit
 *   contradicted  no source says it, and a tool's result says otherwise (claims.h, from 0.7 on)
 *   unsupported   neither
 * Headings, questions, lines that lead in a list and sentences that say nothing to be checked are
 * not assessed. Of an answer the first 64 KiB and 96 sentences are.
 *
 * A sentence that sources support is in conflict where a tool's result says otherwise, or another
 * sentence of the answer does, or another model (orch_verdict's claims that nothing settles); not
 * where both are of different things, moments, or parts of one whole. standing.h says which stands.
 */
#ifndef ORCH_GROUNDING_H
#define ORCH_GROUNDING_H

#include "backend/gateway/gateway.h"
#include "backend/orchestrator/claims.h"

/* What becomes of sentences that nothing supports. */
enum orch_unsupported { ORCH_NOTE, ORCH_FLAG, ORCH_REMOVE };
/* "note", "flag", "remove"; -1: none of them. */
int orch_unsupported_find(const char *name);

struct orch_ground_how {
    bool russian; /* the language of the marks */
    enum orch_unsupported unsupported;
    bool conflicts;           /* are told in the text; they are in the document in any case */
    const char *const *about; /* title and description of each source's tool, or NULL */
    const json_t *claims;     /* of orch_verdict, where the answer is its winner's; or NULL */
};
struct orch_grounding {
    size_t assessed, supported, contradicted, unsupported, removed;
    /* Sentences with which something is in conflict, and that are not the one that stands. */
    size_t disputed;
    /* {sentences: [{text, state, sources: [id], cites: [id], why}], conflicts: [{text, sources:
     * [id], against: id, model or "" (the answer itself), with, why, stands: here|there|"", told}],
     * and the six figures} */
    json_t *doc;
    char *text; /* the answer with marks, or without those sentences; NULL: as it was */
};
/* reader NULL: one is made for it alone. An answer that cites no source at all is only noted: it is
 * marked as a whole (orch_verdict's weak). One of which nothing would be left is flagged. */
void orch_ground(struct claims_reader *reader, const char *answer, const struct gw_source *sources,
                 size_t count, const struct orch_ground_how *how, struct orch_grounding *out);
void orch_grounding_release(struct orch_grounding *g);
/* How many sentences contradict an earlier one of the same answer, neither with a mark, and not
 * both supported by one source. */
size_t orch_self_contradictions(struct claims_reader *reader, const char *answer,
                                const struct gw_source *sources, size_t count);

#endif
