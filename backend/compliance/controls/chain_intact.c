/* A chain that does not verify was altered, damaged or cut; no other figure of the card can be
 * trusted then. */
#include "backend/compliance/internal.h"

static void assess(const struct pol_facts *f, struct pol_finding *out)
{
    if (f->chain_problems < 0)
        pol__found(out, POL_NOT_ASSESSED, "the log was not verified yet");
    else if (f->chain_problems > 0)
        pol__found(out, POL_FAIL, "the last verification found %lld problems in %lld entries",
                   (long long)f->chain_problems, (long long)f->chain_checked);
    else
        pol__found(out, POL_PASS, "%lld entries verified without a problem, of %lld now in the log",
                   (long long)f->chain_checked, (long long)f->chain_size);
    pol__cite(out, f->verify_entry);
}

const struct pol_control pol__chain_intact = {
    .id = "chain-intact",
    .title = "The log verifies",
    .title_ru = "Журнал проходит проверку",
    .law = "152-FZ art. 19; FSTEC 21 RSB.7",
    .hint = "keep a copy of the database and look at the verification report in the evidence pane",
    .weight = 10,
    .assess = assess,
};
