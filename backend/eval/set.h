/* Golden sets: questions with the tools that were recorded for them, and what is expected of an
 * answer. JSON lines; the format is in docs/evaluation.md. Pure. */
#ifndef EVAL_SET_H
#define EVAL_SET_H

#include "backend/base/errors.h"
#include "backend/base/json.h"

enum {
    EVAL_CASES = 2000,
    EVAL_EXPECTED = 32,     /* statements of a case, and as many forbidden ones */
    EVAL_ALTERNATIVES = 16, /* of one statement */
    EVAL_LINE_BYTES = 1 << 20,
    EVAL_SET_BYTES = 16 << 20,
    EVAL_DEPTH = 24
};

/* Read cases: [{id, lang, question, tags: [text], recorded: as orch_ask has it, expected,
 * forbidden: [[text]] (a statement is its alternatives), citations: [text]}]; every key stands.
 * NULL with *e, INVALID, which names the line: foreign, so all of it is checked, each id is new and
 * nothing unknown stands in it. Caller owns. */
json_t *eval_set_read(const char *text, size_t len, struct error *e);

#endif
