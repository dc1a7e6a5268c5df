/* libsodium and OpenSSL are no certified tools, whatever their quality; nothing here may suggest
 * otherwise. */
#include "backend/compliance/internal.h"

static void assess(const struct pol_facts *f, struct pol_finding *out)
{
    (void)f;
    pol__found(out, POL_NOT_ASSESSED,
               "the console uses libsodium and OpenSSL, which are not certified; whether that is "
               "required depends on your threat model");
}

const struct pol_control pol__crypto_certified = {
    .id = "crypto-certified",
    .title = "Cryptography is certified where that is required",
    .title_ru = "Где требуется, шифрование сертифицировано",
    .law = "FSB order 378",
    .hint = "have an assessor say whether certified tools are required, and use them around the "
            "console",
    .weight = 1,
    .assess = assess,
};
