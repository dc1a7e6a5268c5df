/* Archives from elsewhere: what is accepted is exactly what would be written for its members. */
#include "backend/provenance/tar.h"

#include "backend/base/errors.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = xcalloc(1, size + (size == 0)); /* its end is where a sanitizer sees it */
    memcpy(bytes, data, size);
    struct tar__reader r = {bytes, size, -1};
    struct tar__member m;
    struct buf again = {0};
    const char *problem;
    int more;
    while ((more = tar__next(&r, &m, &problem)) > 0) {
        BUG_IF(!tar__name_ok(m.name));
        tar__add(&again, m.name, m.data, m.len, r.mtime);
    }
    BUG_IF((more < 0) != (problem != NULL));
    if (more == 0) {
        tar__end(&again);
        BUG_IF(again.len != size || memcmp(again.data, bytes, size) != 0);
    }
    buf_release(&again);
    free(bytes);
    return 0;
}
