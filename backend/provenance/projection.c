/* Projections at rest. Each is sealed under a random key of its own, so that it can be rewritten or
 * removed without the keys of a session:
 *
 *   "mcpcprj2" || kek_id (16 hex digits) || wrap of the key || nonce || ciphertext || tag
 *
 * The key is wrapped under the master key like the key of a session named "projection:" and the
 * session; the additional data of the content is "projection". Blobs that do not begin like this
 * are older: sealed under their session's one key. */
#include "backend/provenance/internal.h"

#include <stdlib.h>
#include <string.h>

static const char magic[] = "mcpcprj2", ad[] = "projection";
enum {
    MAGIC = sizeof magic - 1,
    KEK = 16,
    WRAP_AT = MAGIC + KEK,
    SEALED_AT = WRAP_AT + VAULT_WRAP
};

static char *owner_of(const char *session)
{
    return xasprintf("projection:%s", session);
}

static bool is_ours(const void *bytes, size_t len)
{
    return len >= SEALED_AT && memcmp(bytes, magic, MAGIC) == 0;
}

enum err prov_seal(struct prov *p, const json_t *value, struct buf *out)
{
    struct buf plain = {0};
    uint8_t wrap[VAULT_WRAP];
    enum err code = jcs_write(value, &plain);
    if (code == ERR_OK) {
        char *owner = owner_of(p->session);
        struct vault_key *key = vault_key_new(p->vault, owner, wrap);
        size_t len = plain.len + VAULT_NONCE + VAULT_TAG;
        buf_add(out, magic, MAGIC);
        buf_add(out, vault_kek_id(p->vault), KEK);
        buf_add(out, wrap, sizeof wrap);
        buf_reserve(out, len);
        vault_seal(key, plain.data, plain.len, ad, sizeof ad - 1, (uint8_t *)out->data + out->len);
        out->len += len;
        out->data[out->len] = '\0';
        vault_key_free(key);
        free(owner);
    }
    buf_release(&plain);
    return code;
}

/* The key in front of a blob; NULL with *e. */
static struct vault_key *own_key(struct vault *v, const char *session, const uint8_t *bytes,
                                 struct error *e)
{
    char kek_id[KEK + 1] = "";
    memcpy(kek_id, bytes + MAGIC, KEK);
    struct vault *by = vault_for(v, kek_id);
    if (!by) {
        err_set(e, ERR_NO_KEY,
                "a projection of session %s is sealed under another master key than %s", session,
                vault_kek_id(v));
        return NULL;
    }
    char *owner = owner_of(session);
    struct vault_key *key = vault_key_unwrap(by, owner, bytes + WRAP_AT, VAULT_WRAP, e);
    free(owner);
    return key;
}

static json_t *open_with(const struct vault_key *key, const char *session, const uint8_t *sealed,
                         size_t len, const struct json_members *wanted, struct error *e)
{
    struct buf plain = {0};
    json_t *value = NULL;
    buf_reserve(&plain, len);
    if (vault_unseal(key, sealed, len, ad, sizeof ad - 1, (uint8_t *)plain.data) != ERR_OK)
        err_set(e, ERR_TAMPERED, "a projection sealed in session %s does not open", session);
    else
        value = json_read_members(plain.data, len - VAULT_NONCE - VAULT_TAG, PROV__MAX_PAYLOAD, 64,
                                  wanted, e);
    buf_release(&plain);
    return value;
}

json_t *prov_unseal(struct prov *p, const char *session, const void *bytes, size_t len,
                    struct error *e)
{
    return prov_unseal_members(p, session, bytes, len, NULL, e);
}

json_t *prov_unseal_members(struct prov *p, const char *session, const void *bytes, size_t len,
                            const struct json_members *wanted, struct error *e)
{
    if (is_ours(bytes, len)) {
        struct vault_key *key = own_key(p->vault, session, bytes, e);
        json_t *value = key ? open_with(key, session, (const uint8_t *)bytes + SEALED_AT,
                                        len - SEALED_AT, wanted, e)
                            : NULL;
        vault_key_free(key);
        return value;
    }
    if (prov__keys_load(&p->keys, store_reader(p->store), session) != ERR_OK) {
        if (e)
            *e = p->keys.error;
        return NULL;
    }
    if (!p->keys.key) {
        err_set(e, ERR_TAMPERED, "a projection sealed in session %s does not open", session);
        return NULL;
    }
    return open_with(p->keys.key, session, bytes, len, wanted, e);
}

enum err prov__projection_check(struct vault *v, const char *session, const void *head, size_t len,
                                struct error *e)
{
    struct error why = {0};
    if (!is_ours(head, len))
        return ERR_OK;
    vault_key_free(own_key(v, session, head, &why));
    return why.code == ERR_OK ? ERR_OK : err_set(e, why.code, "%s", why.detail);
}

enum err prov__projection_rewrap(struct vault *to, const char *session, void *blob, size_t len,
                                 bool *changed, struct error *e)
{
    uint8_t *bytes = blob;
    *changed = false;
    /* An older one's key is its session's. */
    if (!is_ours(blob, len) || memcmp(bytes + MAGIC, vault_kek_id(to), KEK) == 0)
        return ERR_OK;
    struct error why = {0};
    struct vault_key *key = own_key(to, session, bytes, &why);
    if (!key)
        return err_set(e, why.code, "%s", why.detail);
    char *owner = owner_of(session);
    memcpy(bytes + MAGIC, vault_kek_id(to), KEK);
    vault_key_wrap(to, owner, key, bytes + WRAP_AT);
    *changed = true;
    vault_key_free(key);
    free(owner);
    return ERR_OK;
}
