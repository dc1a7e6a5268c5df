/* A key that others can read protects nothing. */
#include "backend/compliance/internal.h"

static void assess(const struct pol_facts *f, struct pol_finding *out)
{
    pol__answer(out, f->key_permissions_ok, "only its owner can read the key file",
                "others than its owner can read the key file");
}

const struct pol_control pol__key_permissions = {
    .id = "key-permissions",
    .title = "Only the owner can read the key",
    .title_ru = "Ключ может прочитать только владелец",
    .law = "152-FZ art. 19 p. 2",
    .hint = "chmod 600 on the key file; its folder 700",
    .weight = 6,
    .assess = assess,
};
