/* When the disk is full nothing can be logged, and so nothing may be done. */
#include "backend/compliance/internal.h"

static void assess(const struct pol_facts *f, struct pol_finding *out)
{
    if (f->disk_free_percent < 0)
        pol__found(out, POL_NOT_ASSESSED, "the free space is not known");
    else
        pol__found(out,
                   f->disk_free_percent >= 10  ? POL_PASS
                   : f->disk_free_percent >= 5 ? POL_WARN
                                               : POL_FAIL,
                   "%lld%% of the state directory's file system are free",
                   (long long)f->disk_free_percent);
}

const struct pol_control pol__disk_space = {
    .id = "disk-space",
    .title = "There is room for the log",
    .title_ru = "Для журнала есть место",
    .law = "152-FZ art. 19; FSTEC 21 RSB.3",
    .hint = "free space on the file system of the state directory",
    .weight = 4,
    .assess = assess,
};
