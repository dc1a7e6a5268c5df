/* A conversation as a text for people or programs elsewhere. Pure. */
#ifndef BACKEND_TRANSCRIPT_H
#define BACKEND_TRANSCRIPT_H

#include "backend/base/json.h"
#include <stdbool.h>

/* turns: whole traces, oldest first. Markdown: questions, answers, sources, figures. json: {format,
 * conversation, turns} with the traces as they are. Controls and hidden characters of what came
 * from outside are left out of Markdown and escaped in JSON. The caller frees. */
char *transcript(const char *conversation, const json_t *turns, bool json);

#endif
