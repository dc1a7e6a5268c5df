/* The strict reader of entries: whatever it accepts is canonical JSON by the other implementation,
 * too, and holds what the reader says. */
#include "backend/provenance/internal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same_parents(const json_t *value, const struct prov__header *h)
{
    const json_t *parents = json_object_get(value, "parents"), *one;
    size_t i;
    json_array_foreach(parents, i, one)
    {
        const json_t *seq = h->version == 1 ? one : json_array_get(one, 0);
        const json_t *transform = json_array_get(one, 1), *confidence = json_array_get(one, 2);
        if (json_integer_value(seq) != h->parents[i] ||
            json_string_length(transform) != h->transforms[i].len ||
            (confidence ? json_integer_value(confidence) : -1) != h->confidences[i])
            return false;
    }
    return json_array_size(parents) == h->parent_count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Of version 2 and 1. */
#define FORM(parents, version)                                                                     \
    "{\"actor\":\"a\",\"key_id\":\"0123456789abcdef\",\"parents\":" parents ",\"payload_hmac\":\"" \
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",\"payload_sha256\":\""     \
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",\"pii_tags\":[\"t\"],"     \
    "\"prev\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",\"seq\":13,"    \
    "\"session\":\"0123456789abcdef0123456789abcdef\",\"ts\":\"2026-11-21T03:12:44.071Z\","        \
    "\"type\":\"answer\",\"v\":" version "}"
    static const char two[] = FORM("[[0,\"ask\"],[12,\"plan\",820]]", "2"),
                      one[] = FORM("[0,12]", "1");
    const char *form = size && data[0] & 2 ? one : two;
    size_t form_size = size && data[0] & 2 ? sizeof one : sizeof two;
    struct prov__header h;
    char *bytes;
    size_t len;
    if (size >= 5 && data[0] & 1) { /* a good entry with a piece replaced: deeper sooner */
        size_t at = (data[1] | (size_t)data[2] << 8) % form_size;
        size_t cut = data[3] % (form_size - at);
        len = form_size - 1 - cut + size - 4;
        bytes = xcalloc(1, form_size + size);
        memcpy(bytes, form, at);
        memcpy(bytes + at, data + 4, size - 4);
        memcpy(bytes + at + size - 4, form + at + cut, form_size - 1 - at - cut);
        len = form_size - 1 - cut + (size - 4);
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
            json_int(value, "v", -1) != h.version || !same_parents(value, &h))
            abort();
        json_decref(value);
        buf_release(&again);
    }
    free(exact);
    free(bytes);
    return 0;
}
