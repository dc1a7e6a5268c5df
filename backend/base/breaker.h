/* A breaker: who fails again and again is left alone for a while.
 *
 *   closed    -> open       BREAKER_ROW failures in a row, or BREAKER_SHARE of the last
 *                           BREAKER_WINDOW calls (BREAKER_LEAST of them at least)
 *   open      -> half-open  after its time: BREAKER_MS, doubled by each opening in a row
 *   half-open -> closed     the one call that is let through had an answer
 *             -> open       it had none
 *
 * An answer is an answer also when the tool says in it that it failed, or when it finds fault with
 * what was asked (REFUSED): the system works. */
#ifndef BASE_BREAKER_H
#define BASE_BREAKER_H

#include "backend/base/errors.h"
#include <stdbool.h>
#include <stdint.h>

enum { BREAKER_WINDOW = 20 };
struct breaker { /* zero: closed, nothing known */
    bool open, probing;
    unsigned openings; /* in a row */
    uint64_t until_ms; /* while open: from then on half-open */
    unsigned row;      /* failures in a row */
    unsigned next, count;
    bool failed[BREAKER_WINDOW]; /* a ring */
};
const char *breaker_state(const struct breaker *b); /* "closed", "open", "half-open" */
bool breaker_lets(const struct breaker *b);
uint64_t breaker_wait_ms(const struct breaker *b);
/* A call is made; true if it is the one that probes. Each is followed by end, which says how it
 * ended (REFUSED: it was answered), or by forget: nobody knows. */
bool breaker_begin(struct breaker *b);
void breaker_end(struct breaker *b, enum err code, bool probe);
void breaker_forget(struct breaker *b);

#endif
