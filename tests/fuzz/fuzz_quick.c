/* The first byte picks the API. What is read without a tree must be JSON, with the same text in its
 * tree. */
#include "backend/base/json.h"
#include "backend/gateway/quick.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *by_tree(int api, const json_t *root)
{
    const json_t *choice = json_array_get(json_object_get(root, "choices"), 0);
    const json_t *part = api == 1   ? json_object_get(root, "message")
                         : api == 2 ? json_object_get(root, "delta")
                                    : json_object_get(choice, "delta");
    return json_str(part, api == 2 ? "text" : "content", "");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct gw__quick *const tables[] = {gw__quick_openai, gw__quick_ollama,
                                                     gw__quick_anthropic};
    if (!size)
        return 0;
    int api = data[0] % 3;
    const char *json = (const char *)data + 1, *text;
    struct buf own = {0};
    size_t len;
    if (gw__quick_read(tables[api], json, size - 1, &own, &text, &len)) {
        json_t *root = json_read(json, size - 1, 1 << 20, 32, NULL);
        const char *other = root ? by_tree(api, root) : NULL;
        if (!other || strlen(other) != len || memcmp(other, text, len) != 0)
            abort();
        json_decref(root);
    }
    buf_release(&own);
    return 0;
}
