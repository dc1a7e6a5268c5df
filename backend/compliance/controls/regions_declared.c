/* Without the country of a store or a provider neither art. 18 p. 5 nor art. 12 can be assessed. */
#include "backend/compliance/internal.h"

static void assess(const struct pol_facts *f, struct pol_finding *out)
{
    struct pol_names unknown = {0};
    for (size_t i = 0; i < f->endpoint_count; i++)
        if (!*f->endpoints[i].region)
            pol__name(&unknown, f->endpoints[i].name);
    if (f->endpoint_count == 0)
        pol__found(out, POL_NOT_ASSESSED, "no connector and no model is in use");
    else if (unknown.count > 0)
        pol__found(out, POL_FAIL, "no region is declared for %s", pol__names(&unknown));
    else
        pol__found(out, POL_PASS, "all %zu connectors and models declare a region",
                   f->endpoint_count);
}

const struct pol_control pol__regions_declared = {
    .id = "regions-declared",
    .title = "Every endpoint says its country",
    .title_ru = "Для каждой точки подключения указана страна",
    .law = "152-FZ art. 18 p. 5",
    .hint = "set region of each connector and model in mcp-console.conf, an ISO 3166 code or local",
    .weight = 6,
    .assess = assess,
};
