/* Two runs, and what differs between them. */
#ifndef TRACE_DIFF_H
#define TRACE_DIFF_H

#include "views/common.h"

/* Their figures, verdicts, tools, nodes and answers, each with a mark: the same, different, only A,
 * only B. */
void trace_diff_text(struct tui_text *t, const json_t *a, const json_t *b);
/* The answer of a trace: its own, else that of the candidate that was chosen. */
const char *trace_answer(const json_t *trace);

#endif
