/* What a connector reads may reach every model in use. This machine (local) is always allowed; a
 * connector whose data stay on this machine does not say in which country that is, so another
 * region is shown as a warning. */
#include "backend/compliance/internal.h"
#include <string.h>

static void judge(const struct pol_endpoint *from, const struct pol_endpoint *to,
                  struct pol_names *against, struct pol_names *unclear, struct pol_names *unknown)
{
    char way[128];
    pol__way(way, sizeof way, from, to);
    if (!*from->region || !*to->region)
        pol__name(unknown, way);
    else if (strcmp(from->region, to->region) == 0 || pol__lists(from->allowed, to->region))
        return;
    else if (strcmp(from->region, "local") == 0 && !*from->allowed)
        pol__name(unclear, way);
    else
        pol__name(against, way);
}

static void assess(const struct pol_facts *f, struct pol_finding *out)
{
    struct pol_names against = {0}, unclear = {0}, unknown = {0};
    for (size_t m = 0; m < f->endpoint_count; m++) {
        const struct pol_endpoint *model = &f->endpoints[m];
        if (!pol__is_model(model) || strcmp(model->region, "local") == 0)
            continue;
        for (size_t c = 0; c < f->endpoint_count; c++)
            if (pol__is_connector(&f->endpoints[c]))
                judge(&f->endpoints[c], model, &against, &unclear, &unknown);
    }
    if (f->endpoint_count == 0)
        pol__found(out, POL_NOT_ASSESSED, "no connector and no model is in use");
    else if (against.count > 0)
        pol__found(out, POL_FAIL, "data may go where it is not allowed: %s", pol__names(&against));
    else if (unknown.count > 0)
        pol__found(out, POL_NOT_ASSESSED, "a region is not declared: %s", pol__names(&unknown));
    else if (unclear.count > 0)
        pol__found(out, POL_WARN,
                   "data leaves this machine and allowed_regions does not say so: %s",
                   pol__names(&unclear));
    else
        pol__found(out, POL_PASS, "every model in use is in a country that each connector allows");
}

const struct pol_control pol__regions_allowed = {
    .id = "regions-allowed",
    .title = "Data goes only to allowed countries",
    .title_ru = "Данные уходят только в разрешённые страны",
    .law = "152-FZ art. 12",
    .hint =
        "name the country in allowed_regions of the connector, or use a model in an allowed one",
    .weight = 8,
    .assess = assess,
};
