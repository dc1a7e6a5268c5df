/* DSSE: see dsse.h. */
#include "backend/provenance/dsse.h"

#include "backend/base/text.h"
#include <stdlib.h>
#include <string.h>

void dsse__pae(const char *body, size_t len, struct buf *out)
{
    buf_addf(out, "DSSEv1 %zu %s %zu ", sizeof DSSE__TYPE - 1, DSSE__TYPE, len);
    buf_add(out, body, len);
}

void dsse__envelope(const char *body, size_t len, const struct prov__vkey *key,
                    const uint8_t signature[VAULT_SIGNATURE], struct buf *out)
{
    char id[2 * PROV__KEY_ID + 1], sig[VAULT_BASE64(VAULT_SIGNATURE)];
    char *payload = xcalloc(1, VAULT_BASE64(len)), *keyid;
    json_t *envelope = json_object(), *one = json_object(), *list = json_array();
    vault_base64(body, len, payload);
    vault_base64(signature, VAULT_SIGNATURE, sig);
    text_hex(key->id, PROV__KEY_ID, id);
    keyid = xasprintf("%s+%s", key->name, id);
    json_puts(one, "keyid", keyid);
    json_puts(one, "sig", sig);
    json_array_append_new(list, one);
    json_puts(envelope, "payload", payload);
    json_puts(envelope, "payloadType", DSSE__TYPE);
    json_put(envelope, "signatures", list);
    BUG_IF(jcs_write(envelope, out) != ERR_OK);
    json_decref(envelope);
    free(keyid);
    free(payload);
}

/* The signature is the one part that does not follow from the rest: read where it must stand, then
 * the whole is made again and compared. */
const char *dsse__check(const char *text, size_t text_len, const char *body, size_t len,
                        const struct prov__vkey *key)
{
    static const char before[] = "\"sig\":\"", after[] = "\"}]}";
    enum { SIG = VAULT_BASE64(VAULT_SIGNATURE) - 1, END = sizeof after - 1 };
    uint8_t signature[VAULT_SIGNATURE];
    struct buf again = {0}, pae = {0};
    const char *problem = NULL;
    if (text_len < sizeof before - 1 + SIG + END ||
        vault_unbase64(text + text_len - END - SIG, SIG, signature, sizeof signature) !=
            VAULT_SIGNATURE)
        return "it is not in form";
    dsse__envelope(body, len, key, signature, &again);
    dsse__pae(body, len, &pae);
    if (again.len != text_len || memcmp(again.data, text, text_len) != 0)
        problem = "it is not an envelope of this statement by this key";
    else if (!vault_signature_ok(key->public_key, pae.data, pae.len, signature))
        problem = "its signature does not verify";
    buf_release(&again);
    buf_release(&pae);
    return problem;
}
