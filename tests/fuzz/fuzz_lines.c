/* Whatever a tool prints, its statements stay within bounds, and hold no word that it does not. */
#include "backend/base/buf.h"
#include "backend/gateway/internal.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    const char *text;
    size_t len, count;
};

static void one(void *arg, const char *text, size_t len, const char *raw, size_t raw_len)
{
    struct seen *s = arg;
    s->count++;
    if (!len || !raw_len || len > s->len + 4 * s->len + 256)
        abort();
    for (size_t from = 0; from < len;) {
        size_t to = from;
        while (to < len && !strchr(" ,:\t", text[to]))
            to++;
        if (to > from && !memmem(s->text, s->len, text + from, to - from))
            abort();
        from = to + 1;
    }
    gw__trouble(raw, raw_len);
    gw__calm(raw, raw_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = xstrndup((const char *)data, size);
    struct seen s = {.text = text, .len = strlen(text)};
    size_t lines = 1;
    for (size_t i = 0; i < s.len; i++)
        lines += text[i] == '\n';
    gw__statements(text, s.len, one, &s);
    if (s.count > lines)
        abort();
    free(text);
    return 0;
}
