/* Files of ranks: whatever a file has in it, it is refused or a text's tokens are as many as
 * counted and cover it. The file goes up to a NUL, the text is what stands behind. */
#include "backend/base/buf.h"
#include "backend/gateway/tokens.h"

#include <stdlib.h>
#include <string.h>

static void count(void *arg, uint32_t rank)
{
    (void)rank;
    ++*(int64_t *)arg;
}

static struct gw__ranks *single_bytes(const char *more, size_t len, enum gw__splitter s)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct buf file = {0};
    struct error e = {0};
    for (unsigned i = 0; i < 256; i++)
        buf_addf(&file, "%c%c== %u\n", digits[i >> 2], digits[(i & 3) << 4], i);
    buf_add(&file, more, len);
    struct gw__ranks *r = gw__ranks_parse(file.data, file.len, s, &e);
    BUG_IF(!r && e.code != ERR_CONFIG);
    buf_release(&file);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    enum gw__splitter s = data[0] % GW__SPLITTERS;
    const char *file = (const char *)data + 1, *end = memchr(file, 0, size - 1);
    size_t len = end ? (size_t)(end - file) : size - 1, rest = size - 1 - len;
    struct gw__ranks *r = single_bytes(file, len, s);
    if (!r) /* the text is counted all the same */
        r = single_bytes("", 0, s);
    char *text = xcalloc(1, rest + 1);
    memcpy(text, file + len, rest);
    int64_t n = 0;
    gw__ranks_each(r, text, rest, count, &n);
    BUG_IF(n != gw__ranks_count(r, text, rest) || n > (int64_t)rest);
    free(text);
    gw__ranks_free(r);
    return 0;
}
