/* Times of entries are evidence only if the clock is right; the order of entries does not depend on
 * it. */
#include "backend/compliance/internal.h"

static void assess(const struct pol_facts *f, struct pol_finding *out)
{
    pol__answer(out, f->clock_synchronised, "the system says that its clock is synchronised",
                "the system says that its clock is not synchronised");
}

const struct pol_control pol__clock = {
    .id = "clock",
    .title = "The clock is synchronised",
    .title_ru = "Часы синхронизированы",
    .law = "house rule",
    .hint = "start a time service, for example systemd-timesyncd or chrony",
    .weight = 4,
    .assess = assess,
};
