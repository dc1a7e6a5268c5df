/* Data keys of sessions, read from the database and unwrapped; payloads opened under them. */
#include "backend/base/text.h"
#include "backend/provenance/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ONE_KEY = 1, RING = 2 }; /* data_keys.version */

struct found {
    struct prov__keys *keys;
    bool row;
};

static void name_key(const struct vault_key *key, char out[17])
{
    static const char label[] = "mcp-console data key";
    uint8_t hash[VAULT_HASH];
    vault_commit(key, label, sizeof label - 1, hash);
    text_hex(hash, 8, out);
}

static bool unwrap(void *arg, const struct store_row *row)
{
    struct found *f = arg;
    struct prov__keys *k = f->keys;
    size_t len;
    const uint8_t *wrap = store_blob(row, 0, &len);
    const char *kek_id = store_text(row, 1);
    int64_t version = store_int(row, 2);
    f->row = true;
    k->by = kek_id ? vault_for(k->vault, kek_id) : k->vault;
    /* Another master key is no tampering: the chain and the sealed bytes are checked without it. */
    if (!k->by) {
        err_set(&k->error, ERR_NO_KEY,
                "session %s is sealed under master key %.16s, the one that is here is %s",
                k->session, kek_id, vault_kek_id(k->vault));
    } else if (version == RING) {
        k->ring = vault_ring_unwrap(k->by, k->session, wrap, len, &k->error);
        if (k->ring)
            snprintf(k->id, sizeof k->id, "%s", vault_ring_id(k->ring));
    } else if (version == ONE_KEY) {
        k->key = vault_key_unwrap(k->by, k->session, wrap, len, &k->error);
        if (k->key)
            name_key(k->key, k->id);
    } else {
        err_set(&k->error, ERR_TAMPERED, "the key of session %s is of version %lld", k->session,
                (long long)version);
    }
    return false;
}

enum err prov__keys_load(struct prov__keys *k, struct store_db *db, const char *session)
{
    if (*session && strcmp(k->session, session) == 0)
        return k->error.code;
    prov__keys_release(k);
    snprintf(k->session, sizeof k->session, "%s", session);
    struct found f = {k, false};
    enum err code =
        store_query(db, &k->error, unwrap, &f,
                    "SELECT wrap, kek_id, version FROM data_keys WHERE session = ?", "s", session);
    if (code == ERR_OK && !f.row)
        err_set(&k->error, ERR_NO_KEY, "there is no key of session %s", session);
    return k->error.code;
}

void prov__keys_release(struct prov__keys *k)
{
    vault_ring_free(k->ring);
    vault_key_free(k->key);
    k->ring = NULL;
    k->key = NULL;
    k->session[0] = '\0';
    k->error = (struct error){0};
}

/* ---- payloads ---- */

/* The session's keys, if they are those that the entry names. */
static enum err keys_of(struct prov__keys *k, struct store_db *db, const struct prov__header *h,
                        const char **problem, struct error *e)
{
    if (prov__keys_load(k, db, h->session) != ERR_OK) {
        *problem = k->error.code == ERR_TAMPERED ? "key" : "";
        return err_set(e, k->error.code, "%s", k->error.detail);
    }
    *problem = "key";
    if (strcmp(k->id, h->key_id) != 0)
        return err_set(e, ERR_TAMPERED, "the entry names key %s, its session has %s", h->key_id,
                       k->id);
    if (h->version != (k->ring ? 2 : 1))
        return err_set(e, ERR_TAMPERED, "an entry of version %d and a key of version %d",
                       h->version, k->ring ? RING : ONE_KEY);
    *problem = "";
    return ERR_OK;
}

static enum err unseal(struct prov__keys *k, const struct prov__header *h, const void *sealed,
                       size_t len, const struct buf *ad, struct buf *plain,
                       uint8_t commit[VAULT_HASH])
{
    uint8_t *out = (uint8_t *)plain->data;
    enum err code;
    if (k->ring) {
        code = vault_ring_unseal(k->ring, (uint32_t)h->seq, sealed, len, ad->data, ad->len, out,
                                 commit);
    } else {
        code = vault_unseal(k->key, sealed, len, ad->data, ad->len, out);
        if (code == ERR_OK)
            vault_commit(k->key, out, len - VAULT_NONCE - VAULT_TAG, commit);
    }
    if (code == ERR_OK) {
        plain->len = len - VAULT_NONCE - VAULT_TAG;
        plain->data[plain->len] = '\0';
    }
    return code;
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
    enum err code = keys_of(k, db, h, problem, e);
    if (code != ERR_OK)
        return code;
    prov__entry_ad(entry.at, entry.len, h->cut_at, h->cut_len, ad);
    buf_clear(plain);
    buf_reserve(plain, len);
    code = unseal(k, h, sealed, len, ad, plain, hash);
    if (code == ERR_NOT_FOUND) {
        *problem = "key";
        return err_set(e, ERR_TAMPERED, "the payload is there, and its key was erased");
    }
    if (code != ERR_OK) {
        *problem = "payload_seal";
        return err_set(e, ERR_TAMPERED, "the payload does not open under this entry");
    }
    if (!vault_equal(hash, h->hmac, VAULT_HASH)) {
        *problem = "commitment";
        return err_set(e, ERR_TAMPERED, "the payload is not what the entry commits to");
    }
    return ERR_OK;
}

enum err prov__payload_disclose(struct prov__keys *k, struct store_db *db,
                                const struct prov__header *h, struct prov__text entry,
                                const void *sealed, size_t len, struct buf *ad, struct buf *plain,
                                uint8_t commit_key[VAULT_KEY], const char **problem,
                                struct error *e)
{
    enum err code = prov__payload(k, db, h, entry, sealed, len, ad, plain, problem, e);
    if (code != ERR_OK)
        return code;
    if (!k->ring)
        return err_set(e, ERR_UNSUPPORTED, "one key commits to every payload of session %s",
                       h->session);
    code = vault_ring_commit_key(k->ring, (uint32_t)h->seq, commit_key);
    BUG_IF(code != ERR_OK);
    return ERR_OK;
}

/* ---- erasing ---- */

/* The leaves of entries, ascending: seqs that pass 2^32 begin anew. The caller frees. */
static uint32_t *leaves_of(const int64_t *seqs, size_t n)
{
    uint32_t *leaves = xcalloc(n + 1, sizeof *leaves);
    size_t wrapped = 0, at = 0;
    while (wrapped < n && (uint32_t)seqs[wrapped] >= (uint32_t)seqs[0])
        wrapped++;
    for (size_t i = wrapped; i < n; i++)
        leaves[at++] = (uint32_t)seqs[i];
    for (size_t i = 0; i < wrapped; i++)
        leaves[at++] = (uint32_t)seqs[i];
    return leaves;
}

static size_t ring_erase(struct vault_ring *ring, const int64_t *seqs, size_t n)
{
    uint32_t *leaves = leaves_of(seqs, n);
    size_t erased = vault_ring_erase(ring, leaves, n);
    free(leaves);
    return erased;
}

enum err prov__ring_erase(struct store_db *db, struct vault *v, const char *session,
                          const int64_t *seqs, size_t n, size_t *erased, struct error *e)
{
    struct prov__keys k = {.vault = v};
    struct buf wrap = {0};
    *erased = 0;
    enum err code = prov__keys_load(&k, db, session);
    if (code != ERR_OK) {
        code = err_set(e, code, "%s", k.error.detail);
    } else if (!k.ring) {
        code = err_set(e, ERR_UNSUPPORTED, "session %s has one key for all its payloads", session);
    } else if ((*erased = ring_erase(k.ring, seqs, n)) > 0) {
        vault_ring_wrap(k.by, session, k.ring, &wrap); /* the row names that master key */
        code = store_exec(db, e, "UPDATE data_keys SET wrap = ? WHERE session = ?", "bs", wrap.data,
                          wrap.len, session);
    }
    buf_release(&wrap);
    prov__keys_release(&k);
    return code;
}

void prov__ring_erased(struct prov *p, const char *session, const int64_t *seqs, size_t n)
{
    if (strcmp(session, p->session) == 0)
        ring_erase(p->ring, seqs, n);
    if (strcmp(session, p->keys.session) == 0)
        prov__keys_release(&p->keys);
}
