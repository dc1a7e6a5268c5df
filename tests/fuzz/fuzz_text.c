/* Any bytes, cut anywhere, any flags: what comes out is valid, without controls, and the same. */
#include "backend/base/errors.h"
#include "backend/base/text.h"
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct buf *b, int flags)
{
    for (size_t i = 0; i < b->len;) {
        uint32_t cp;
        i += text_decode(b->data + i, b->len - i, &cp);
        BUG_IF(cp & TEXT_BAD);
        BUG_IF(cp < 0x20 && ((flags & TEXT_ONE_LINE) || (cp != '\n' && cp != '\t')));
        BUG_IF(cp >= 0x7f && cp <= 0x9f);
        BUG_IF((cp >= 0x200b && cp <= 0x200f) || (cp >= 0x2028 && cp <= 0x202e));
        BUG_IF((cp >= 0x2060 && cp <= 0x206f) || (cp >= 0xe0000 && cp <= 0xe0fff));
        BUG_IF((flags & TEXT_ASCII) && cp >= 0x80);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    int flags = data[0] & 3;
    const char *text = (const char *)data + 2;
    size_t len = size - 2, cut = len ? data[1] % (len + 1) : 0;
    struct buf whole = {0}, parts = {0};
    text_clean(text, len, flags, &whole);
    check(&whole, flags);
    struct text_cleaner c = {0};
    text_clean_feed(&c, text, cut, flags, &parts);
    text_clean_feed(&c, text + cut, len - cut, flags, &parts);
    text_clean_end(&c, flags, &parts);
    BUG_IF(whole.len != parts.len || (whole.len && memcmp(whole.data, parts.data, whole.len) != 0));
    int used;
    size_t fit = text_fit(whole.data, whole.len, 10, &used);
    BUG_IF(used > 10 || fit > whole.len);
    if (whole.data)
        text_is_russian(whole.data);
    buf_release(&whole);
    buf_release(&parts);
    return 0;
}
