/* Destroying a key makes payloads unreadable. Art. 19 p. 2 cl. 3.1 names assessed tools; order 179
 * an act and an extract. */
#include "backend/compliance/internal.h"

static void assess(const struct pol_facts *f, struct pol_finding *out)
{
    if (f->acts > 0)
        pol__found(
            out, POL_NOT_ASSESSED,
            "%lld acts are drafted with their extracts, %lld of them lack fields of the order;"
            " whether they were signed, and whether the tool that destroys was assessed, is"
            " not known here",
            (long long)f->acts, (long long)f->acts_incomplete);
    else
        pol__found(
            out, POL_NOT_ASSESSED,
            "destroying a key makes payloads unreadable, which is not yet legal destruction; "
            "that needs an assessed tool and an act");
}

const struct pol_control pol__legal_destruction = {
    .id = "legal-destruction",
    .title = "Destruction is done and recorded as the law asks",
    .title_ru = "Уничтожение выполняется и документируется по закону",
    .law = "152-FZ art. 19 p. 2 cl. 3.1, art. 21; order 179",
    .hint =
        "sign an act of destruction beside the extract of the log, and keep both for three years",
    .weight = 1,
    .assess = assess,
};
