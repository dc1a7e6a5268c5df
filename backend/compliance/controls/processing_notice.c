/* The register is outside the console. */
#include "backend/compliance/internal.h"

static void assess(const struct pol_facts *f, struct pol_finding *out)
{
    (void)f;
    pol__found(
        out, POL_NOT_ASSESSED,
        "the register of operators is not known here; compare it with the declared connectors");
}

const struct pol_control pol__processing_notice = {
    .id = "processing-notice",
    .title = "The notice of processing is given and up to date",
    .title_ru = "Уведомление об обработке подано и актуально",
    .law = "152-FZ art. 22",
    .hint = "compare the declared data and regions with the register; changes by the 15th of the "
            "next month",
    .weight = 1,
    .assess = assess,
};
