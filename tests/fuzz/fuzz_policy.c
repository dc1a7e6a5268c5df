/* Any text: a risk between 0 and 1 with a reason, and tags that are names. */
#include "backend/base/errors.h"
#include "backend/compliance/compliance.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = xcalloc(1, size + 1);
    memcpy(text, data, size);
    const char *why = NULL, *tags[8];
    double risk = pol_safety_risk(text, &why);
    BUG_IF(!(risk >= 0 && risk <= 1) || !why || (risk > 0) != (*why != '\0'));
    size_t n = pol_pii_tags(text, tags, 8);
    for (size_t i = 0; i < n; i++)
        BUG_IF(strlen(tags[i]) == 0);
    free(text);
    return 0;
}
