/* What an erasure reads from elsewhere: payloads that are searched for somebody, ranges of an erase
 * entry, an act from its file. The first line is whom to look for. */
#include "backend/provenance/retain.h"

#include <stdlib.h>
#include <string.h>

static void check_ranges(const json_t *value)
{
    size_t count;
    struct prov__range *ranges = prov__ranges_read(value, &count);
    for (size_t i = 0; ranges && i < count; i++) {
        BUG_IF(ranges[i].first < 0 || ranges[i].last < ranges[i].first);
        BUG_IF(i > 0 && ranges[i].first <= ranges[i - 1].last);
    }
    free(ranges);
}

static void check_act(const json_t *value)
{
    json_t *missing = prov_act_missing(value);
    BUG_IF(!json_is_array(missing));
    json_decref(missing);
    free(prov_act_text(value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct prov__match m;
    const uint8_t *line = memchr(data, '\n', size);
    size_t first = line ? (size_t)(line - data) : size;
    char *subject = xstrndup((const char *)data, first);
    char *rest = xcalloc(1, size - first + 1);
    memcpy(rest, data + first, size - first);
    if (prov__match_init(&m, subject)) {
        prov__match_find(&m, rest, size - first);
        BUG_IF(strlen(subject) == first && !memchr(subject, '\\', first) &&
               !prov__match_find(&m, subject, first)); /* it is in itself */
    }
    prov__match_release(&m);
    json_t *value = json_read(rest, size - first, 1 << 20, 64, NULL);
    check_ranges(value);
    check_act(value);
    json_decref(value);
    free(subject);
    free(rest);
    return 0;
}
