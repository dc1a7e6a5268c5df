/* A sentence without a source cannot be checked by its reader. One answer in five without any is
 * the limit. */
#include "backend/compliance/internal.h"

static void assess(const struct pol_facts *f, struct pol_finding *out)
{
    if (f->answers < 0 || f->answers_with_sources < 0)
        pol__found(out, POL_NOT_ASSESSED, "answers were not counted");
    else if (f->answers == 0)
        pol__found(out, POL_NOT_ASSESSED, "there is no answer yet");
    else
        pol__found(out,
                   f->answers_with_sources >= f->answers           ? POL_PASS
                   : f->answers_with_sources * 5 >= f->answers * 4 ? POL_WARN
                                                                   : POL_FAIL,
                   "%lld of %lld answers cite at least one source",
                   (long long)f->answers_with_sources, (long long)f->answers);
}

const struct pol_control pol__answers_sourced = {
    .id = "answers-sourced",
    .title = "Answers cite their sources",
    .title_ru = "Ответы ссылаются на источники",
    .law = "house rule",
    .hint =
        "look at answers without sources in the traces; add runbooks or connectors that cover them",
    .weight = 4,
    .assess = assess,
};
