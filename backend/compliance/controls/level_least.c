/* Read, recommend, execute: what may execute is shown, so that it is a decision and not an
 * accident. */
#include "backend/compliance/internal.h"
#include <string.h>

static void assess(const struct pol_facts *f, struct pol_finding *out)
{
    struct pol_names acting = {0};
    size_t connectors = 0;
    for (size_t i = 0; i < f->endpoint_count; i++) {
        if (!pol__is_connector(&f->endpoints[i]))
            continue;
        connectors++;
        if (strcmp(f->endpoints[i].level, "execute") == 0)
            pol__name(&acting, f->endpoints[i].name);
    }
    if (connectors == 0)
        pol__found(out, POL_NOT_ASSESSED, "no connector is in use");
    else if (acting.count > 0)
        pol__found(out, POL_WARN, "level execute is set for %s", pol__names(&acting));
    else
        pol__found(out, POL_PASS, "all %zu connectors only read or recommend", connectors);
}

const struct pol_control pol__level_least = {
    .id = "level-least",
    .title = "No connector may act on its own",
    .title_ru = "Ни один коннектор не действует сам",
    .law = "house rule",
    .hint = "set level = read or level = recommend for that connector",
    .weight = 3,
    .assess = assess,
};
