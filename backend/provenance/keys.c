/* Data keys of sessions, read from the database and unwrapped. */
#include "backend/base/text.h"
#include "backend/provenance/internal.h"

#include <stdio.h>
#include <string.h>

struct found {
    struct prov__keys *keys;
    bool row;
};

static bool unwrap(void *arg, const struct store_row *row)
{
    struct found *f = arg;
    size_t len;
    const uint8_t *wrap = store_blob(row, 0, &len);
    const char *kek_id = store_text(row, 1), *here = vault_kek_id(f->keys->vault);
    f->row = true;
    /* Another master key is no tampering: the chain and the sealed bytes are checked without it. */
    if (kek_id && strcmp(kek_id, here) != 0)
        err_set(&f->keys->error, ERR_NO_KEY,
                "session %s is sealed under master key %.16s, the one that is here is %s",
                f->keys->session, kek_id, here);
    else
        f->keys->key =
            vault_key_unwrap(f->keys->vault, f->keys->session, wrap, len, &f->keys->error);
    return false;
}

const struct vault_key *prov__key(struct prov__keys *k, struct store_db *db, const char *session)
{
    if (*session && strcmp(k->session, session) == 0)
        return k->key;
    prov__keys_release(k);
    snprintf(k->session, sizeof k->session, "%s", session);
    k->error = (struct error){0};
    struct found f = {k, false};
    enum err code =
        store_query(db, &k->error, unwrap, &f,
                    "SELECT wrap, kek_id FROM data_keys WHERE session = ?", "s", session);
    if (code == ERR_OK && !f.row)
        err_set(&k->error, ERR_NO_KEY, "there is no key of session %s", session);
    if (k->key)
        prov__key_id(k->key, k->id);
    return k->key;
}

void prov__keys_release(struct prov__keys *k)
{
    vault_key_free(k->key);
    k->key = NULL;
    k->session[0] = '\0';
}

void prov__key_id(const struct vault_key *key, char out[17])
{
    static const char label[] = "mcp-console data key";
    uint8_t hash[VAULT_HASH];
    vault_commit(key, label, sizeof label - 1, hash);
    text_hex(hash, 8, out);
}

enum err prov__payload(struct prov__keys *k, struct store_db *db, const struct prov__header *h,
                       struct prov__text entry, const void *sealed, size_t len, struct buf *ad,
                       struct buf *plain, const char **problem, struct error *e)
{
    uint8_t hash[VAULT_HASH];
    if (!sealed) {
        *problem = "payload_missing";
        return err_set(e, ERR_TAMPERED, "the payload is not there");
    }
    vault_sha256(sealed, len, NULL, 0, hash);
    if (memcmp(hash, h->sha256, VAULT_HASH) != 0) {
        *problem = "payload_changed";
        return err_set(e, ERR_TAMPERED, "the sealed payload is not the one that was logged");
    }
    const struct vault_key *key = prov__key(k, db, h->session);
    if (!key) {
        *problem = k->error.code == ERR_TAMPERED ? "key" : "";
        return err_set(e, k->error.code, "%s", k->error.detail);
    }
    if (strcmp(k->id, h->key_id) != 0) {
        *problem = "key";
        return err_set(e, ERR_TAMPERED, "the entry names key %s, its session has %s", h->key_id,
                       k->id);
    }
    prov__entry_ad(entry.at, entry.len, h->cut_at, h->cut_len, ad);
    buf_clear(plain);
    buf_reserve(plain, len);
    if (vault_unseal(key, sealed, len, ad->data, ad->len, (uint8_t *)plain->data) != ERR_OK) {
        *problem = "payload_seal";
        return err_set(e, ERR_TAMPERED, "the payload does not open under this entry");
    }
    plain->len = len - VAULT_NONCE - VAULT_TAG;
    vault_commit(key, plain->data, plain->len, hash);
    if (!vault_equal(hash, h->hmac, VAULT_HASH)) {
        *problem = "commitment";
        return err_set(e, ERR_TAMPERED, "the payload is not what the entry commits to");
    }
    return ERR_OK;
}
