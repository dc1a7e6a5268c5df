/* A seal fixes the root of a session, so that its end cannot be cut off unseen. */
#include "backend/compliance/internal.h"

static void assess(const struct pol_facts *f, struct pol_finding *out)
{
    pol__share(out, f->sessions_sealed, f->sessions, "ended sessions have a seal");
}

const struct pol_control pol__sessions_sealed = {
    .id = "sessions-sealed",
    .title = "Ended sessions are sealed",
    .title_ru = "Завершённые сеансы запечатаны",
    .law = "house rule",
    .hint = "verify the log and seal the sessions that ended without a seal",
    .weight = 3,
    .assess = assess,
};
