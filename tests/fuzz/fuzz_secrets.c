/* The file of secrets: what is accepted is in order and within its bounds. */
#include "backend/vault/internal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char head[] = "mcp-console secrets 1\nkek 0123456789abcdef\n";
    struct vault__secrets s;
    size_t front = size && data[0] & 1 ? sizeof head - 1 : 0; /* so that lines are reached */
    char *text = malloc(front + size + 1);
    memcpy(text, head, front);
    if (size)
        memcpy(text + front, data, size);
    size_t len = front + size, skip = front ? 1 : 0;
    memmove(text + front, text + front + skip, size - skip);
    len -= skip;
    text[len] = '\0';
    if (vault__secrets_read(text, len, &s)) {
        for (size_t i = 0; i < s.count; i++) {
            if (i && strcmp(s.list[i - 1].name, s.list[i].name) >= 0)
                abort();
            if (s.list[i].len <= VAULT_NONCE + VAULT_TAG)
                abort();
        }
        vault__secrets_release(&s);
    }
    free(text);
    return 0;
}
