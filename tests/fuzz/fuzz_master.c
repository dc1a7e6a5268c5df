/* The file of the master key: what is accepted has the form that was promised, and is bounded. */
#include "backend/vault/internal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char head[] =
        "mcp-console master key 1\nseal passphrase\nkek_id 0123456789abcdef\n";
    struct vault__master m;
    size_t skip = size && (data[0] & 1) ? sizeof head - 1 : 0; /* half of them get past its lines */
    char *bytes = malloc(skip + size + 1);
    memcpy(bytes, head, skip);
    if (size)
        memcpy(bytes + skip, data + (skip > 0), size - (skip > 0));
    size_t len = skip + size - (skip > 0);
    char *exact = malloc(len + 1);
    memcpy(exact, bytes, len);
    if (vault__master_read(exact, len, &m) == NULL && m.seal == VAULT_PASSPHRASE) {
        BUG_IF(m.passes < 1 || m.passes > 16 || m.kibibytes < 8192 || m.kibibytes > 1048576);
        BUG_IF(strlen(m.kek_id) != VAULT__KEK_ID || m.bound >= len);
    } else if (vault__master_read(exact, len, &m) == NULL && m.seal == VAULT_CREDS) {
        BUG_IF(m.credential < exact || m.credential + m.credential_len != exact + len);
    }
    free(exact);
    free(bytes);
    return 0;
}
