/* A verification says nothing of what was changed after it: one a day is asked for, one a week is
 * the least. */
#include "backend/compliance/internal.h"

static const int64_t hour_ms = 3600000;

static void assess(const struct pol_facts *f, struct pol_finding *out)
{
    if (f->chain_checked_at < 0 || f->now < 0) {
        pol__found(out, POL_NOT_ASSESSED, "the log was not verified yet");
        return;
    }
    int64_t hours = (f->now - f->chain_checked_at) / hour_ms;
    if (f->chain_checked_at > f->now + hour_ms)
        pol__found(out, POL_WARN, "the last verification lies in the future: a clock was changed");
    else
        pol__found(out,
                   hours < 24       ? POL_PASS
                   : hours < 7 * 24 ? POL_WARN
                                    : POL_FAIL,
                   "the log was verified %lld hours ago", (long long)hours);
    pol__cite(out, f->verify_entry);
}

const struct pol_control pol__chain_recent = {
    .id = "chain-recent",
    .title = "The last verification is recent",
    .title_ru = "Последняя проверка была недавно",
    .law = "152-FZ art. 19; FSTEC 21 RSB.7",
    .hint = "verify the log: key v in the evidence pane, or `mcp-console evidence verify`",
    .weight = 4,
    .assess = assess,
};
