/* The first bytes say how the rest is cut; any cutting must give the same events and the same code.
 */
#include "backend/base/sse.h"
#include "backend/gateway/internal.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool note(void *arg, const char *event, const char *text, size_t len)
{
    buf_addf(arg, "<%s:%zu:", event, len);
    buf_add(arg, text, len);
    return memmem(text, len, "STOP", 4) == NULL;
}

static enum err feed(const char *text, size_t len, const uint8_t *cuts, size_t cut_count,
                     struct buf *out)
{
    struct sse s = {.max = GW__LINE_MAX};
    enum err code = ERR_OK;
    for (size_t i = 0, k = 0; i < len && code == ERR_OK; k++) {
        size_t n = cut_count ? 1u + cuts[k % cut_count] % 16u : len;
        n = n > len - i ? len - i : n;
        char *piece = malloc(n);
        memcpy(piece, text + i, n);
        code = sse_feed(&s, piece, n, note, out);
        free(piece);
        i += n;
    }
    sse_release(&s);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    struct buf whole = {0}, cut = {0};
    const char *text = (const char *)data + 4;
    enum err a = feed(text, size - 4, NULL, 0, &whole), b = feed(text, size - 4, data, 4, &cut);
    if (a != b || whole.len != cut.len || (cut.len && memcmp(whole.data, cut.data, cut.len) != 0))
        abort();
    buf_release(&whole);
    buf_release(&cut);
    return 0;
}
