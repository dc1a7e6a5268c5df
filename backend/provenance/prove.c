/* Proofs for those who ask: from the stored tree, as JSON and as text. */
#include "backend/provenance/note.h"

#include <string.h>

static void put_base64(json_t *object, const char *key, const uint8_t hash[VAULT_HASH])
{
    char text[VAULT_BASE64(VAULT_HASH)];
    vault_base64(hash, VAULT_HASH, text);
    json_puts(object, key, text);
}

static json_t *hashes(const struct prov__proof *proof)
{
    json_t *list = json_array();
    for (size_t i = 0; i < proof->count; i++) {
        char text[VAULT_BASE64(VAULT_HASH)];
        vault_base64(proof->hash[i], VAULT_HASH, text);
        json_array_append_new(list, json_string(text));
    }
    return list;
}

static bool take_note(void *arg, const struct store_row *row)
{
    const char *note = store_text(row, 0);
    buf_adds(arg, note ? note : "");
    return false;
}

/* A log without one of its nodes is not a thing that is not there. */
static void no_node(struct error *e)
{
    if (e && e->code == ERR_NOT_FOUND)
        e->code = ERR_CORRUPT;
}

json_t *prov_proof(struct prov *p, int64_t seq, struct error *e)
{
    struct store_db *db = store_reader(p->store);
    struct buf note = {0}, text = {0};
    struct prov__checkpoint c;
    struct prov__proof proof;
    uint8_t leaf[VAULT_HASH], root[VAULT_HASH];
    json_t *out = NULL;
    const char *problem;
    if (seq < 0 || seq >= p->durable.log.size) {
        err_set(e, ERR_NOT_FOUND, "there is no entry %lld", (long long)seq);
        return NULL;
    }
    if (store_query(db, e, take_note, &note,
                    "SELECT note FROM checkpoints WHERE size > ? ORDER BY size DESC LIMIT 1", "i",
                    seq) != ERR_OK)
        goto out;
    c.head.size = p->durable.log.size;
    problem = note.len ? prov__note_read(note.data, note.len, &c) : NULL;
    if (problem || c.head.size <= seq) {
        err_set(e, ERR_TAMPERED, "the newest checkpoint: %s",
                problem ? problem : "it does not cover what the table says");
        goto out;
    }
    if (prov__stored_node(db, 0, seq, leaf, e) != ERR_OK ||
        prov__root_at(prov__stored_node, db, c.head.size, root, e) != ERR_OK ||
        prov__prove_inclusion(prov__stored_node, db, seq, c.head.size, &proof, e) != ERR_OK) {
        no_node(e);
        goto out;
    }
    if (note.len)
        prov__tlog_proof(seq, &proof, note.data, &text);
    out = json_object();
    json_puti(out, "seq", seq);
    json_puti(out, "size", c.head.size);
    put_base64(out, "leaf", leaf);
    put_base64(out, "root", root);
    json_put(out, "hashes", hashes(&proof));
    json_put(out, "checkpoint", note.len ? json_text(note.data, note.len) : json_null());
    json_put(out, "text", note.len ? json_text(text.data, text.len) : json_null());
out:
    buf_release(&note);
    buf_release(&text);
    return out;
}

json_t *prov_consistency(struct prov *p, int64_t from, int64_t to, struct error *e)
{
    struct store_db *db = store_reader(p->store);
    uint8_t from_root[VAULT_HASH], to_root[VAULT_HASH];
    struct prov__proof proof;
    if (to < 0)
        to = p->durable.log.size;
    if (to > p->durable.log.size) {
        err_set(e, ERR_NOT_FOUND, "the log has %lld entries, not %lld",
                (long long)p->durable.log.size, (long long)to);
        return NULL;
    }
    if (prov__prove_consistency(prov__stored_node, db, from, to, &proof, e) != ERR_OK ||
        prov__root_at(prov__stored_node, db, from, from_root, e) != ERR_OK ||
        prov__root_at(prov__stored_node, db, to, to_root, e) != ERR_OK) {
        no_node(e);
        return NULL;
    }
    json_t *out = json_object();
    json_puti(out, "from", from);
    json_puti(out, "to", to);
    put_base64(out, "from_root", from_root);
    put_base64(out, "to_root", to_root);
    json_put(out, "hashes", hashes(&proof));
    return out;
}
