/* RSB.7 asks for the protection of what is recorded on security events. */
#include "backend/compliance/internal.h"

static void assess(const struct pol_facts *f, struct pol_finding *out)
{
    pol__answer(out, f->state_permissions_ok, "only its owner can enter the state directory",
                "others than its owner can enter the state directory");
}

const struct pol_control pol__state_permissions = {
    .id = "state-permissions",
    .title = "Only the owner can enter the state directory",
    .title_ru = "В каталог состояния может войти только владелец",
    .law = "152-FZ art. 19; FSTEC 21 RSB.7",
    .hint = "chmod 700 on the state directory",
    .weight = 5,
    .assess = assess,
};
