/* A call that failed or was stopped costs too. */
#include "backend/compliance/internal.h"

static void assess(const struct pol_facts *f, struct pol_finding *out)
{
    pol__share(out, f->model_calls_in_ledger, f->model_calls,
               "model calls have a line in the ledger");
}

const struct pol_control pol__calls_in_ledger = {
    .id = "calls-in-ledger",
    .title = "Every model call is in the cost ledger",
    .title_ru = "Каждый вызов модели есть в книге расходов",
    .law = "house rule",
    .hint = "look for model calls without a ledger line and report it",
    .weight = 3,
    .assess = assess,
};
