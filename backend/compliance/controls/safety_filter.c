/* What people ask and what models answer is classified; a judge besides the rules is not the
 * measure, but one that is configured and does not judge is worth a warning. */
#include "backend/compliance/internal.h"

static void assess(const struct pol_facts *f, struct pol_finding *out)
{
    const char *judge = f->safety_judge ? f->safety_judge : "";
    for (size_t i = 0; i < f->safety_entry_count; i++)
        pol__cite(out, f->safety_entries[i]);
    if (f->safety_rules < 0)
        pol__found(out, POL_NOT_ASSESSED, "it is not known whether texts are classified");
    else if (f->safety_rules == 0 && !*judge)
        pol__found(out, POL_FAIL,
                   "questions and answers are not classified: [safety] filter is off");
    else if (f->safety_unjudged > 0)
        pol__found(out, POL_WARN, "%s did not judge %lld texts since the console started", judge,
                   (long long)f->safety_unjudged);
    else if (f->safety_rules == 0)
        pol__found(out, POL_WARN, "questions and answers are classified by %s alone, not by rules",
                   judge);
    else
        pol__found(out, POL_PASS, "questions and answers are classified by rules%s%s",
                   *judge ? " and by " : "", judge);
}

const struct pol_control pol__safety_filter = {
    .id = "safety-filter",
    .title = "Questions and answers are classified",
    .title_ru = "Вопросы и ответы классифицируются",
    .law = "house rule",
    .hint = "[safety] filter = yes; see why the model of [safety] model does not answer, with "
            "`mcp-console status`",
    .weight = 4,
    .assess = assess,
};
