/* It follows from the number of people whose data is processed, which the console does not know. */
#include "backend/compliance/internal.h"

static void assess(const struct pol_facts *f, struct pol_finding *out)
{
    (void)f;
    pol__found(out, POL_NOT_ASSESSED,
               "the number of people whose data is processed is not known here");
}

const struct pol_control pol__protection_level = {
    .id = "protection-level",
    .title = "The level of protection is determined",
    .title_ru = "Уровень защищённости определён",
    .law = "Decree 1119; FSTEC 21",
    .hint = "determine the level from the kind of data, the threats and the number of people; "
            "reassess every three years",
    .weight = 1,
    .assess = assess,
};
