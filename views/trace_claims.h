/* What the winner claims against each other answer: side by side, by verdict. */
#ifndef TRACE_CLAIMS_H
#define TRACE_CLAIMS_H

#include "views/common.h"

struct trace_claims { /* zeroed, then trace_claims_set */
    struct claim_row *rows;
    size_t count;
};
/* Of the trace's verdict; contradictions first. NULL: none. Also releases what was there. */
void trace_claims_set(struct trace_claims *c, const json_t *trace);
void trace_claims_draw(struct view_page *p, struct trace_claims *c);
/* Which sentences of the answer no source supports, or a source contradicts. */
void trace_grounding_text(struct tui_text *t, const json_t *trace);

#endif
