/* The law speaks of databases abroad at the collection of Russian citizens' data; the console knows
 * declared regions only. */
#include "backend/compliance/internal.h"

static void assess(const struct pol_facts *f, struct pol_finding *out)
{
    struct pol_names abroad = {0}, unknown = {0};
    size_t personal = 0;
    for (size_t i = 0; i < f->endpoint_count; i++) {
        const struct pol_endpoint *e = &f->endpoints[i];
        if (!pol__is_connector(e) || !pol__lists(e->data, "personal"))
            continue;
        personal++;
        if (pol__is_abroad(e->region))
            pol__name(&abroad, e->name);
        else if (!*e->region)
            pol__name(&unknown, e->name);
    }
    if (personal == 0)
        pol__found(out, POL_NOT_ASSESSED, "no connector declares personal data");
    else if (abroad.count > 0)
        pol__found(out, POL_FAIL, "personal data is declared in a store abroad: %s",
                   pol__names(&abroad));
    else if (unknown.count > 0)
        pol__found(out, POL_NOT_ASSESSED, "no region is declared for %s", pol__names(&unknown));
    else
        pol__found(out, POL_PASS, "%zu connectors declare personal data, none of them abroad",
                   personal);
}

const struct pol_control pol__localisation = {
    .id = "localisation",
    .title = "Personal data is stored in Russia",
    .title_ru = "Персональные данные хранятся в России",
    .law = "152-FZ art. 18 p. 5",
    .hint = "move that data to a store in Russia, or check the exceptions of art. 6 p. 1 cl. 2, 3, "
            "4, 8; exposure: KoAP 13.11 p. 8, 1 to 6 million RUB",
    .weight = 8,
    .assess = assess,
};
