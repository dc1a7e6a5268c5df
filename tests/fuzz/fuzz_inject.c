/* Text that is searched for prompt injection: any bytes. What is found stands within the text. */
#include "backend/compliance/inject.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pol_injector *rules;
    if (!rules)
        rules = pol_injector_new();
    char *text = xcalloc(1, size + 1); /* its end where a sanitizer sees it */
    if (size)
        memcpy(text, data, size);
    struct pol_injections found;
    pol_inject(rules, text, size, &found);
    BUG_IF(found.score < 0 || found.score > 1 || found.count > INJECT_FOUND);
    for (size_t i = 0; i < found.count; i++) {
        const struct pol_injection *f = &found.at[i];
        BUG_IF(f->from > f->to || f->to > size || f->weight <= 0 || f->weight > 1);
        BUG_IF(!memchr(f->what, '\0', sizeof f->what));
    }
    json_decref(pol_injections_json(&found));
    free(text);
    return 0;
}
