/* Art. 19 p. 2 asks that all actions on personal data are registered; here every call counts, with
 * or without it. */
#include "backend/compliance/internal.h"

static void assess(const struct pol_facts *f, struct pol_finding *out)
{
    pol__share(out, f->actions_chained, f->actions, "calls have an entry in the log");
    for (size_t i = 0; i < f->recent_count && f->actions > 0; i++)
        pol__cite(out, f->recent_entries[i]);
}

const struct pol_control pol__actions_chained = {
    .id = "actions-chained",
    .title = "Every model and tool call is in the log",
    .title_ru = "Каждый вызов модели и инструмента есть в журнале",
    .law = "152-FZ art. 19 p. 2",
    .hint = "look for calls without an entry in the log of the console and report it",
    .weight = 8,
    .assess = assess,
};
