/* The opened form of a ring: what is accepted is found again and stays a ring when it is punctured.
 */
#include "backend/vault/internal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { HEAD = 12, NODE = 37 };
    if (size < 5)
        return 0;
    uint32_t leaf;
    memcpy(&leaf, data, sizeof leaf);
    data += sizeof leaf;
    size -= sizeof leaf;
    uint8_t *plain = malloc(size); /* exact, so that a byte too far is seen */
    memcpy(plain, data, size);
    if (size >= HEAD && data[0] & 1) { /* a count that fits, so that the nodes are looked at */
        memset(plain + 8, 0, 3);
        plain[11] = (uint8_t)((size - HEAD) / NODE);
        size = HEAD + plain[11] * (size_t)NODE;
    }
    struct vault_ring *r = vault__ring_read(plain, size);
    if (r) {
        uint8_t key[VAULT_KEY], again[VAULT_KEY];
        const uint32_t next = leaf + 1;
        bool had = vault_ring_commit_key(r, leaf, key) == ERR_OK;
        bool had_next = next && vault_ring_commit_key(r, next, key) == ERR_OK;
        if (had != vault_ring_has(r, leaf) || vault_ring_erase(r, &leaf, 1) != had ||
            vault_ring_has(r, leaf))
            abort();
        if (had_next && (vault_ring_commit_key(r, next, again) != ERR_OK ||
                         memcmp(key, again, sizeof key) != 0))
            abort();
        vault_ring_free(r);
    }
    free(plain);
    return 0;
}
