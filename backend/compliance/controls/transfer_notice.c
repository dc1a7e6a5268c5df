/* Needed only if something that leaves this machine goes abroad. The console knows that a number is
 * declared, not what the notice says. */
#include "backend/compliance/internal.h"

static void assess(const struct pol_facts *f, struct pol_finding *out)
{
    struct pol_names abroad = {0};
    bool personal = f->personal_data_entries > 0;
    for (size_t i = 0; i < f->endpoint_count; i++) {
        char way[128];
        personal |= pol__lists(f->endpoints[i].data, "personal");
        if (!pol__is_abroad(f->endpoints[i].region))
            continue;
        pol__at(way, sizeof way, &f->endpoints[i]);
        pol__name(&abroad, way);
    }
    if (abroad.count == 0)
        pol__found(out, POL_NOT_ASSESSED, "not needed: no connector or model is declared abroad");
    else if (f->notice_number_set < 0)
        pol__found(out, POL_NOT_ASSESSED, "whether a notice was given for %s is not known here",
                   pol__names(&abroad));
    else if (f->notice_number_set == 0)
        pol__found(out, personal ? POL_FAIL : POL_WARN,
                   "no notice is declared; one is needed before personal data goes to %s",
                   pol__names(&abroad));
    else
        pol__found(out, POL_PASS, "a notice is declared; its content is not checked: %s",
                   pol__names(&abroad));
}

const struct pol_control pol__transfer_notice = {
    .id = "transfer-notice",
    .title = "A transfer abroad was notified",
    .title_ru = "О трансграничной передаче подано уведомление",
    .law = "152-FZ art. 12",
    .hint = "notify the regulator before the transfer and declare the number of the notice, or use "
            "models in Russia",
    .weight = 6,
    .assess = assess,
};
