/* The strict reader of entries: whatever it accepts is canonical JSON by the other implementation,
 * too, and holds what the reader says. */
#include "backend/provenance/internal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char form[] =
        "{\"actor\":\"a\",\"key_id\":\"0123456789abcdef\",\"parents\":[0,12],\"payload_hmac\":\""
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",\"payload_sha256\":\""
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",\"pii_tags\":[\"t\"],"
        "\"prev\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",\"seq\":13,"
        "\"session\":\"0123456789abcdef0123456789abcdef\",\"ts\":\"2026-11-21T03:12:44.071Z\","
        "\"type\":\"answer\",\"v\":1}";
    struct prov__header h;
    char *bytes;
    size_t len;
    if (size >= 5 && data[0] & 1) { /* a good entry with a piece replaced: deeper sooner */
        size_t at = (data[1] | (size_t)data[2] << 8) % sizeof form;
        size_t cut = data[3] % (sizeof form - at);
        len = sizeof form - 1 - cut + size - 4;
        bytes = xcalloc(1, sizeof form + size);
        memcpy(bytes, form, at);
        memcpy(bytes + at, data + 4, size - 4);
        memcpy(bytes + at + size - 4, form + at + cut, sizeof form - 1 - at - cut);
        len = sizeof form - 1 - cut + (size - 4);
    } else {
        len = size;
        bytes = xcalloc(1, size + 1);
        memcpy(bytes, data, size);
    }
    char *exact = malloc(len ? len : 1); /* so that a byte too far is seen */
    memcpy(exact, bytes, len);
    if (!prov__entry_read(exact, len, &h)) {
        struct buf again = {0};
        struct error e = {0};
        json_t *value = json_read(exact, len, 1 << 20, 8, &e);
        if (!value || jcs_write(value, &again) != ERR_OK || again.len != len ||
            memcmp(again.data, exact, len) != 0 || json_int(value, "seq", -1) != h.seq ||
            json_array_size(json_object_get(value, "parents")) != h.parent_count)
            abort();
        json_decref(value);
        buf_release(&again);
    }
    free(exact);
    free(bytes);
    return 0;
}
