/* What the safety filter did to a question and its answers, as lines under the turn. */
#ifndef CHAT_SAFETY_H
#define CHAT_SAFETY_H

#include "tui/tui.h"

/* Adds lines for `safety` of a trace that has ended; level: how tight (see chat_turn.h). False: it
 * says nothing. */
bool chat_safety_add(struct tui_text *to, const json_t *trace, int level);
/* Adds a line for each text of `injections` of a trace: which source or question tried to steer the
 * model, and how. */
void chat_steered_add(struct tui_text *to, const json_t *trace, int level);
/* Appends the categories that are flagged in what is read, "S6 S10", for a line above the answer.
 */
void chat_safety_short(const json_t *trace, struct buf *out);

#endif
