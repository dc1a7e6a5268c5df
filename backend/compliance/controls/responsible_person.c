/* Documents outside the console. */
#include "backend/compliance/internal.h"

static void assess(const struct pol_facts *f, struct pol_finding *out)
{
    (void)f;
    pol__found(out, POL_NOT_ASSESSED, "documents of the organisation are not known here");
}

const struct pol_control pol__responsible_person = {
    .id = "responsible-person",
    .title = "Policy, audit and a responsible person are there",
    .title_ru = "Есть политика, аудит и ответственный",
    .law = "152-FZ art. 18.1, 22.1",
    .hint = "keep the policy, the order that names the person and the last audit where the "
            "reviewer finds them",
    .weight = 1,
    .assess = assess,
};
