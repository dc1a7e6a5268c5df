/* Marks by which an answer tells that something in it is disputed. Pure.
 *
 * A mark is a parenthesis that begins with "disputed", "a source says otherwise", or the same in
 * Russian; a sentence that says of itself that it is disputed has one too. */
#ifndef ORCH_MARKS_H
#define ORCH_MARKS_H

#include "backend/base/buf.h"
#include <stdbool.h>
#include <stddef.h>

/* The first mark of a text that is disputed: where its parenthesis stands, and its length with both
 * brackets. False: there is none. */
bool orch_mark_find(const char *text, size_t len, size_t *at, size_t *mark_len);
/* Whether a sentence has a mark, or says itself that it is disputed. */
bool orch_marked(const char *sentence, size_t len);
/* What stands between the first quotation marks of a mark; *len 0: it quotes nothing. */
const char *orch_mark_quote(const char *mark, size_t mark_len, size_t *len);

enum orch_mark {
    ORCH_MARK_UNSUPPORTED, /* nothing supports it; it is not disputed */
    ORCH_MARK_REFUTED,     /* a source says otherwise, and none says it */
    ORCH_MARK_NEWER,       /* a source says otherwise, and is more recent */
    ORCH_MARK_MEASURED,    /* the same, and it is a measurement of the thing itself */
    ORCH_MARK_OPEN         /* sources, or models, disagree */
};
/* Adds a mark with a blank before it: "(disputed: [2] says “...”)". who: "[2]" or a model's name;
 * "": the answer itself; quote: what it says, of which 160 bytes are taken. ORCH_MARK_UNSUPPORTED
 * has neither. */
void orch_mark_add(struct buf *out, enum orch_mark mark, bool russian, const char *who,
                   const char *quote, size_t len);

#endif
