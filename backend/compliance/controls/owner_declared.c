/* Someone has to answer for what a connector reads. */
#include "backend/compliance/internal.h"

static void assess(const struct pol_facts *f, struct pol_finding *out)
{
    struct pol_names orphans = {0};
    size_t connectors = 0;
    for (size_t i = 0; i < f->endpoint_count; i++) {
        if (!pol__is_connector(&f->endpoints[i]))
            continue;
        connectors++;
        if (!*f->endpoints[i].owner)
            pol__name(&orphans, f->endpoints[i].name);
    }
    if (connectors == 0)
        pol__found(out, POL_NOT_ASSESSED, "no connector is in use");
    else if (orphans.count == connectors)
        pol__found(out, POL_FAIL, "no connector declares who answers for it: %s",
                   pol__names(&orphans));
    else if (orphans.count > 0)
        pol__found(out, POL_WARN, "nobody is declared to answer for %s", pol__names(&orphans));
    else
        pol__found(out, POL_PASS, "all %zu connectors declare an owner", connectors);
}

const struct pol_control pol__owner_declared = {
    .id = "owner-declared",
    .title = "Every connector has an owner",
    .title_ru = "У каждого коннектора есть владелец",
    .law = "house rule",
    .hint = "set owner of each connector in mcp-console.conf",
    .weight = 2,
    .assess = assess,
};
