/* What a learner is loaded from, and texts: whatever stands in the file, an estimate is a number, 0
 * or more, before and after it learnt. The file goes up to a NUL, the text is what stands behind.
 */
#include "backend/gateway/learn.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *file = (const char *)data, *end = size ? memchr(file, 0, size) : NULL;
    size_t len = end ? (size_t)(end - file) : size, rest = size - len;
    struct gw__learner l;
    struct gw__features f = {.count = {0}};
    json_t *saved = json_read(file, len, 1 << 20, 16, NULL);
    gw__learner_load(&l, saved);
    json_decref(saved);
    char *text = xcalloc(1, rest + 1);
    memcpy(text, file + len, rest);
    gw__features_add(&f, text, rest);
    double bytes = 0;
    for (int s = 0; s < GW__SCRIPTS; s++)
        bytes += f.bytes[s];
    BUG_IF(bytes != (double)rest);
    for (int i = 0; i < 2; i++) {
        double tokens = gw__learner_tokens(&l, &f);
        BUG_IF(!isfinite(tokens) || tokens < 0);
        gw__learner_learn(&l, &f, (double)rest * 3);
    }
    saved = gw__learner_save(&l);
    BUG_IF(!gw__learner_load(&l, saved));
    json_decref(saved);
    free(text);
    return 0;
}
