/* The breaker of a connector: who fails again and again is left alone for a while.
 *
 *   closed    -> open       BREAKER_ROW failures in a row, or BREAKER_SHARE of the last
 *                           BREAKER_WINDOW calls (BREAKER_LEAST of them at least)
 *   open      -> half-open  after its time: BREAKER_MS, doubled by each opening in a row
 *   half-open -> closed     the one call that is let through had an answer
 *             -> open       it had none
 *
 * An answer is an answer also when the tool says in it that it failed, or when it finds fault with
 * what was asked (REFUSED): the system works. */
#include "backend/base/clock.h"
#include "backend/connectors/registry_types.h"
#include <string.h>

enum { BREAKER_ROW = 5, BREAKER_LEAST = 10, BREAKER_MS = 5000, BREAKER_MAX_MS = 120000 };

const char *conn__breaker_state(const struct conn__breaker *b)
{
    if (!b->open)
        return "closed";
    return clock_mono_ms() >= b->until_ms ? "half-open" : "open";
}

bool conn__breaker_lets(const struct conn__breaker *b)
{
    return !b->open || (clock_mono_ms() >= b->until_ms && !b->probing);
}

uint64_t conn__breaker_wait_ms(const struct conn__breaker *b)
{
    uint64_t now = clock_mono_ms();
    return b->open && b->until_ms > now ? b->until_ms - now : 0;
}

bool conn__breaker_begin(struct conn__breaker *b)
{
    b->probing = b->open;
    return b->probing;
}

static void trip(struct conn__breaker *b)
{
    uint64_t wait = (uint64_t)BREAKER_MS << (b->openings < 8 ? b->openings : 8);
    b->open = true;
    b->openings++;
    b->until_ms = clock_mono_ms() + (wait < BREAKER_MAX_MS ? wait : BREAKER_MAX_MS);
}

void conn__breaker_forget(struct conn__breaker *b)
{
    b->probing = false;
}

/* A death (CLOSED) is the registry's affair: it restarts, and is down meanwhile. */
static bool counts(enum err code)
{
    return code == ERR_TIMEOUT || code == ERR_UNREACHABLE || code == ERR_CERTIFICATE ||
           code == ERR_PROTOCOL || code == ERR_UPSTREAM;
}

enum err conn__http_error(long status)
{
    return status >= 400 && status < 500 && status != 408 && status != 429 ? ERR_REFUSED
                                                                           : ERR_UPSTREAM;
}

void conn__breaker_end(struct conn__breaker *b, enum err code, bool probe)
{
    bool failed = counts(code);
    if (probe)
        b->probing = false;
    if (code != ERR_OK && code != ERR_REFUSED && !failed)
        return; /* refused, cancelled: says nothing of the system */
    unsigned at = b->next++ % BREAKER_WINDOW;
    b->failed[at] = failed;
    if (b->count < BREAKER_WINDOW)
        b->count++;
    b->row = failed ? b->row + 1 : 0;
    if (!failed) {
        if (b->open)
            *b = (struct conn__breaker){0};
        return;
    }
    unsigned sum = 0;
    for (unsigned i = 0; i < b->count; i++)
        sum += b->failed[i];
    if (b->open ? probe
                : b->row >= BREAKER_ROW || (b->count >= BREAKER_LEAST && 2 * sum >= b->count))
        trip(b);
}
