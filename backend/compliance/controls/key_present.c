/* Payloads are sealed; without the key the log verifies but cannot be read. */
#include "backend/compliance/internal.h"

static void assess(const struct pol_facts *f, struct pol_finding *out)
{
    pol__answer(out, f->key_present, "the key is there and payloads are sealed with it",
                "the key is missing: sealed payloads cannot be read");
}

const struct pol_control pol__key_present = {
    .id = "key-present",
    .title = "The key that seals payloads is there",
    .title_ru = "Ключ, которым запечатываются записи, на месте",
    .law = "152-FZ art. 19 p. 2",
    .hint = "restore the key file from its backup; without it payloads cannot be read",
    .weight = 6,
    .assess = assess,
};
