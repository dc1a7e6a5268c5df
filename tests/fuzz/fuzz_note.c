/* Notes from elsewhere: reading one, finding them in a file, verifier keys. What is accepted has
 * the form that was promised. */
#include "backend/provenance/checkpoint.h"

#include <stdlib.h>
#include <string.h>

struct walk {
    const char *at;
    size_t left;
};

static bool part(void *arg, const char *bytes, size_t len)
{
    struct walk *w = arg;
    BUG_IF(len == 0 || bytes < w->at || (size_t)(bytes - w->at) + len > w->left);
    w->left -= (size_t)(bytes - w->at) + len;
    w->at = bytes + len;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t public_key[VAULT_KEY] = {1, 2, 3};
    struct prov__checkpoint c;
    struct prov__vkey key, read;
    char *text = xstrndup((const char *)data, size);
    char *bytes = xcalloc(1, size + 1); /* with its NULs, and its end where a sanitizer sees it */
    memcpy(bytes, data, size);
    prov__vkey_make("a", public_key, &key);
    if (prov__note_read(bytes, size, &c) == NULL) {
        BUG_IF(prov__note_length(bytes, size) != size);
        BUG_IF(c.head.size < 0 || c.origin.len == 0);
        BUG_IF(prov__note_check(&c, &key) == PROV__SIGNED);
    }
    struct walk w = {bytes, size};
    prov__notes_each(bytes, size, part, part, &w);
    if (prov__vkey_read(text, &read)) {
        char line[VAULT_LABEL];
        prov__vkey_write(&read, line);
        BUG_IF(strcmp(line, text) != 0);
    }
    free(bytes);
    free(text);
    return 0;
}
