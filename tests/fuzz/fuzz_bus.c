/* Requests as a client may send them: read, and where they are fine, printed as the key check does.
 */
#include "backend/bus/internal.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct bus__request r;
    char *copy = malloc(len ? len : 1); /* no NUL behind it: reading on is found */
    if (!copy)
        return 0;
    memcpy(copy, bytes, len);
    if (bus__parse(copy, len, &r)) {
        if (r.code || !r.id || r.method >= WIRE_COUNT || !json_is_object(r.params) ||
            json_object_get(r.params, "_meta"))
            abort();
        bus__print(r.method, r.params);
    } else {
        struct buf out = {0};
        if (!r.code || !r.error.code)
            abort();
        bus__write_error(&out, r.code, &r.error);
        buf_release(&out);
    }
    bus__request_release(&r);
    free(copy);
    return 0;
}
