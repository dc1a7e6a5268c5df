/* Checkpoints are signed by Ed25519, which proves that the log was not altered and signs no act. */
#include "backend/compliance/internal.h"

static void assess(const struct pol_facts *f, struct pol_finding *out)
{
    (void)f;
    pol__found(out, POL_NOT_ASSESSED,
               "signatures of the log show that it was not altered; they do not sign an act in the "
               "sense of 63-FZ");
}

const struct pol_control pol__signed_acts = {
    .id = "signed-acts",
    .title = "Acts carry a signature the law accepts",
    .title_ru = "Акты подписаны подписью, которую признаёт закон",
    .law = "63-FZ",
    .hint = "sign acts with an electronic signature of the kind the law names, outside the console",
    .weight = 1,
    .assess = assess,
};
