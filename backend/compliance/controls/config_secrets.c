/* A configuration file is copied, mailed and backed up. */
#include "backend/compliance/internal.h"

static void assess(const struct pol_facts *f, struct pol_finding *out)
{
    if (f->secrets_in_config < 0)
        pol__found(out, POL_NOT_ASSESSED, "the configuration was not searched");
    else if (f->secrets_in_config > 0)
        pol__found(out, POL_FAIL, "%lld literal secrets stand in the configuration",
                   (long long)f->secrets_in_config);
    else
        pol__found(out, POL_PASS, "no literal secret was found in the configuration");
}

const struct pol_control pol__config_secrets = {
    .id = "config-secrets",
    .title = "No secret stands in the configuration",
    .title_ru = "В настройках нет секретов",
    .law = "152-FZ art. 19",
    .hint = "write key = env:VARIABLE, and change the secret that was there",
    .weight = 6,
    .assess = assess,
};
