/* Markdown of a model: streaming in pieces ends as the whole does, and no control character comes
 * out. */
#include "backend/base/errors.h"
#include "backend/base/text.h"
#include "tui/tui.h"
#include <locale.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *streamed(const char *s, size_t len, size_t chunk, bool draw)
{
    struct tui_text *t = tui_text_new();
    struct tui_markdown_stream *m = tui_markdown_begin(t, 1, true);
    for (size_t at = 0; at < len; at += chunk) {
        tui_markdown_feed(m, s + at, at + chunk < len ? chunk : len - at);
        if (draw)
            tui_text_lines(t, 1 + (int)(chunk % 50));
    }
    tui_markdown_end(m);
    tui_text_lines(t, 7);
    char *text = tui_text_plain(t);
    tui_text_free(t);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;
    if (!started)
        started = setlocale(LC_ALL, "C.UTF-8") != NULL;
    if (size < 1)
        return 0;
    const char *s = (const char *)data + 1;
    char *whole = streamed(s, size - 1, size, false);
    char *parts = streamed(s, size - 1, 1 + data[0], true);
    BUG_IF(strcmp(whole, parts));
    size_t len = strlen(whole);
    for (size_t at = 0; at < len;) {
        uint32_t cp = 0;
        at += text_decode(whole + at, len - at, &cp);
        BUG_IF((cp < 0x20 && cp != '\n') || (cp >= 0x7f && cp < 0xa0) || (cp & TEXT_BAD));
        BUG_IF((cp >= 0x202a && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069));
    }
    free(whole);
    free(parts);
    return 0;
}
