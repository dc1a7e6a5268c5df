#include "backend/base/breaker.h"
#include "backend/base/clock.h"
#include <string.h>

enum { BREAKER_ROW = 5, BREAKER_LEAST = 10, BREAKER_MS = 5000, BREAKER_MAX_MS = 120000 };

const char *breaker_state(const struct breaker *b)
{
    if (!b->open)
        return "closed";
    return clock_mono_ms() >= b->until_ms ? "half-open" : "open";
}

bool breaker_lets(const struct breaker *b)
{
    return !b->open || (clock_mono_ms() >= b->until_ms && !b->probing);
}

uint64_t breaker_wait_ms(const struct breaker *b)
{
    uint64_t now = clock_mono_ms();
    return b->open && b->until_ms > now ? b->until_ms - now : 0;
}

bool breaker_begin(struct breaker *b)
{
    b->probing = b->open;
    return b->probing;
}

static void trip(struct breaker *b)
{
    uint64_t wait = (uint64_t)BREAKER_MS << (b->openings < 8 ? b->openings : 8);
    b->open = true;
    b->openings++;
    b->until_ms = clock_mono_ms() + (wait < BREAKER_MAX_MS ? wait : BREAKER_MAX_MS);
}

void breaker_forget(struct breaker *b)
{
    b->probing = false;
}

/* A death (CLOSED) is the registry's affair: it restarts, and is down meanwhile. */
static bool counts(enum err code)
{
    return code == ERR_TIMEOUT || code == ERR_UNREACHABLE || code == ERR_CERTIFICATE ||
           code == ERR_PROTOCOL || code == ERR_UPSTREAM;
}

void breaker_end(struct breaker *b, enum err code, bool probe)
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
            *b = (struct breaker){0};
        return;
    }
    unsigned sum = 0;
    for (unsigned i = 0; i < b->count; i++)
        sum += b->failed[i];
    if (b->open ? probe
                : b->row >= BREAKER_ROW || (b->count >= BREAKER_LEAST && 2 * sum >= b->count))
        trip(b);
}
