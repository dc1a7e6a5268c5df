/* The notice of processing lists categories of data; what a connector handles has to be known to
 * compare. */
#include "backend/compliance/internal.h"

static void assess(const struct pol_facts *f, struct pol_finding *out)
{
    struct pol_names silent = {0};
    size_t connectors = 0;
    for (size_t i = 0; i < f->endpoint_count; i++) {
        if (!pol__is_connector(&f->endpoints[i]))
            continue;
        connectors++;
        if (!*f->endpoints[i].data)
            pol__name(&silent, f->endpoints[i].name);
    }
    if (connectors == 0)
        pol__found(out, POL_NOT_ASSESSED, "no connector is in use");
    else if (silent.count > 0)
        pol__found(out, POL_FAIL, "no category of data is declared for %s", pol__names(&silent));
    else
        pol__found(out, POL_PASS, "all %zu connectors declare their data", connectors);
}

const struct pol_control pol__data_declared = {
    .id = "data-declared",
    .title = "Every connector says which data it handles",
    .title_ru = "Для каждого коннектора указано, какие данные он обрабатывает",
    .law = "152-FZ art. 22",
    .hint = "set data of each connector in mcp-console.conf, for example data = metrics logs",
    .weight = 4,
    .assess = assess,
};
