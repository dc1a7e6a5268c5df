/* What is typed into the evidence pane's filter, as parameters of evidence.search. Pure. */
#ifndef EVIDENCE_QUERY_H
#define EVIDENCE_QUERY_H

#include "backend/base/json.h"

/* "kind:answer,verdict actor:model: session:ID trace:ID control:ID since:2h until:2026-11-27
 * words": each name once, the rest is text ("..." keeps spaces and names). The parameters, empty
 * for an empty text; NULL with the word that is wrong in bad. now: real ms. The caller owns. */
json_t *evidence_query(const char *text, int64_t now, char bad[64]);
/* A time: "14:30" (the last one that was), "2026-11-27", "2026-11-27T14:30", "15m", "2h", "3d" ago;
 * local; real ms, -1: none of these. */
int64_t evidence_time(const char *text, int64_t now);
/* The text with name:value in it, or without any if it was there with that value. The caller frees.
 */
char *evidence_query_toggle(const char *text, const char *name, const char *value);
/* The value of a name in the text, "" if it is not there. */
void evidence_query_value(const char *text, const char *name, char out[128]);

#endif
