/* What a stranger sends to a witness, and what a witness answers: requests, sizes, cosignature
 * lines, lists of keys. What is accepted has the form that was promised. */
#include "backend/provenance/cosign.h"

#include <stdlib.h>
#include <string.h>

static void request(const char *bytes, size_t size)
{
    struct prov__request r;
    if (prov__request_read(bytes, size, &r) != NULL)
        return;
    BUG_IF(r.old < 0 || r.proof.count > PROV__PROOF_LINES);
    BUG_IF(r.note.at < bytes || r.note.at + r.note.len != bytes + size);
    struct buf again = {0};
    char *note = xstrndup(r.note.at, r.note.len);
    prov__request_write(r.old, &r.proof, note, &again);
    size_t head = size - r.note.len; /* one request has one form */
    BUG_IF(again.len < head || memcmp(again.data, bytes, head) != 0);
    buf_release(&again);
    free(note);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t public_key[VAULT_KEY] = {1, 2, 3};
    struct prov__checkpoint c;
    struct prov__cosignature by;
    struct prov__vkey key, keys[3];
    char *bytes = xcalloc(1, size + 1); /* with its NULs, and its end where a sanitizer sees it */
    char *text = xstrndup((const char *)data, size);
    memcpy(bytes, data, size);
    prov__vkey_make_as(PROV__COSIGNATURE, "a", public_key, &key);
    request(bytes, size);
    BUG_IF(prov__conflict_read(bytes, size) < -1);
    if (prov__note_read(bytes, size, &c) == NULL)
        BUG_IF(prov__cosigned(&c, &key, &by) == PROV__SIGNED);
    int n = prov__vkeys_read(PROV__COSIGNATURE, text, keys, 3);
    BUG_IF(n < -1 || n > 3);
    for (int i = 0; i < n; i++)
        BUG_IF(keys[i].type != PROV__COSIGNATURE || !prov__vkey_name_ok(keys[i].name));
    free(bytes);
    free(text);
    return 0;
}
