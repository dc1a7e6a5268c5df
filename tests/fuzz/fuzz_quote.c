/* Whatever a source says, what is quoted of it is one line without a source mark, and its figures
 * are unchanged. */
#include "backend/base/text.h"
#include "backend/gateway/internal.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition) \
    do {                   \
        if (!(condition))  \
            abort();       \
    } while (0)

/* "[ 12 ]" once the escapes are taken away. */
static void no_mark(const char *quoted)
{
    char *shown = xstrdup(quoted), *to = shown;
    for (const char *p = quoted; *p; p++)
        if (*p != '\\' || !strchr("[]\\*_`~<&#>=|-+.)", p[1]) || !p[1])
            *to++ = *p;
    *to = '\0';
    for (const char *p = shown; (p = strchr(p, '[')); p++) {
        size_t n = 1 + strspn(p + 1, "0123456789 ,");
        REQUIRE(p[n] != ']' || strcspn(p, "0123456789") >= n);
    }
    free(shown);
}

static void clean_line(const char *s, size_t len)
{
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        size_t n = text_decode(s + i, len - i, &cp);
        REQUIRE(n > 0 && !(cp & TEXT_BAD) && cp >= 0x20 && cp != 0x7f);
        i += n;
    }
    REQUIRE(!strchr("#>=|-+", s[0]));
}

static bool ascii(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (s[i] < 0x20 || s[i] == 0x7f)
            return false;
    return true;
}

static void same_digits(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t i = 0, j = 0;
    for (;; i++, j++) {
        while (i < a_len && (a[i] < '0' || a[i] > '9'))
            i++;
        while (j < b_len && (b[j] < '0' || b[j] > '9'))
            j++;
        if (i >= a_len || j >= b_len)
            break;
        REQUIRE(a[i] == b[j]);
    }
    REQUIRE(i >= a_len && j >= b_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    enum gw__quote_mode mode = data[0] & 1 ? GW__MARKDOWN : GW__PLAIN;
    size_t max = data[0] & 2 ? 20 : 100000;
    struct buf out = {0};
    char *text = xstrndup((const char *)data + 1, size - 1);
    size_t len = strlen(text);
    if (gw__quote(text, len, max, mode, &out)) {
        no_mark(out.data);
        clean_line(out.data, out.len);
        if (mode == GW__PLAIN && max > len && ascii(text, len))
            same_digits(text, len, out.data, out.len);
    } else {
        REQUIRE(out.len == 0);
    }
    free(text);
    buf_release(&out);
    return 0;
}
