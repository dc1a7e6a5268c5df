/* Files of prices, and usages as providers send them: what is read without an error has a price for
 * its models, and a price is not below nothing. The file goes up to a NUL, the usage stands behind.
 */
#include "backend/base/clock.h"
#include "backend/cost/internal.h"

#include <stdlib.h>
#include <string.h>

/* Every name that the file has, asked at the edges of what is counted. */
static void ask(const struct cost *c, const json_t *doc, const json_t *raw)
{
    static const int64_t counts[] = {0, 1, 272001, COST__TOKENS_MAX, INT64_MAX};
    const json_t *one, *name;
    size_t i, j;
    const char *provider = json_string_value(json_array_get(json_object_get(doc, "providers"), 0));
    json_array_foreach(json_object_get(doc, "prices"), i, one)
    {
        json_array_foreach(json_object_get(one, "models"), j, name)
        {
            for (size_t k = 0; k < 2 * sizeof counts / sizeof *counts; k++) {
                int64_t n = counts[k / 2];
                struct cost_usage u = {.input = n,
                                       .cached = n / 2,
                                       .cache_write = n / 3,
                                       .output = n,
                                       .reasoning = n,
                                       .estimated = k % 2,
                                       .raw = raw};
                struct cost_charge charge;
                cost_price(c, provider ? provider : "", json_string_value(name),
                           INT64_C(1795000000000), &u, &charge);
                BUG_IF(charge.priced && (charge.nano < 0 || strlen(charge.currency) != 3));
            }
        }
        if (i > 20)
            break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *file = (const char *)data, *end = size ? memchr(file, 0, size) : NULL;
    size_t len = end ? (size_t)(end - file) : size;
    struct cost *c = cost_new(NULL);
    struct error e = {0};
    char *text = xcalloc(1, len + 1);
    memcpy(text, file, len);
    enum err code = cost__prices_read(c, "fuzz.json", text, len, &e);
    BUG_IF((code == ERR_OK) != (e.code == ERR_OK));
    BUG_IF(code != ERR_OK && code != ERR_CONFIG);
    if (code == ERR_OK) {
        json_t *doc = json_read(text, len, 1 << 20, 16, NULL);
        json_t *raw = end ? json_read(end + 1, size - len - 1, 1 << 16, 16, NULL) : NULL;
        ask(c, doc, raw);
        json_decref(raw);
        json_decref(doc);
    }
    free(text);
    cost_free(c);
    return 0;
}
