/* Tags are found by form and check digits: what has no form, such as a name, is not found, so no
 * tag is no proof. */
#include "backend/compliance/internal.h"

static void assess(const struct pol_facts *f, struct pol_finding *out)
{
    struct pol_names abroad = {0};
    for (size_t i = 0; i < f->endpoint_count; i++)
        if (pol__is_model(&f->endpoints[i]) && pol__is_abroad(f->endpoints[i].region))
            pol__name(&abroad, f->endpoints[i].name);
    if (f->personal_data_entries < 0)
        pol__found(out, POL_NOT_ASSESSED, "entries with personal data were not counted");
    else if (f->personal_data_entries == 0)
        pol__found(out, POL_PASS, "no entry is tagged; names and free text are not searched for");
    else if (abroad.count > 0)
        pol__found(out, POL_FAIL, "%lld entries are tagged and a model abroad is in use: %s",
                   (long long)f->personal_data_entries, pol__names(&abroad));
    else
        pol__found(out, POL_WARN, "%lld entries are tagged with personal data; no model is abroad",
                   (long long)f->personal_data_entries);
}

const struct pol_control pol__personal_data = {
    .id = "personal-data",
    .title = "Personal data in the log is known and stays in Russia",
    .title_ru = "Персональные данные в журнале известны и остаются в России",
    .law = "152-FZ art. 12, art. 18 p. 5",
    .hint = "check that there is a ground for this data; leave models abroad out of use while it "
            "is processed",
    .weight = 6,
    .assess = assess,
};
