/* Proofs for those who ask: from the stored tree, as JSON and as text. */
#include "backend/provenance/checkpoint.h"
#include "backend/provenance/cosign.h"

#include <stdlib.h>
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

/* The stored tree of an epoch that need not be the present one. */
static void tree_of(struct prov *p, const struct prov__epoch *epoch, struct prov__stored *out)
{
    *out = (struct prov__stored){0};
    prov__stored_set(out, store_reader(p->store), epoch->epoch, epoch->base);
}

/* How many entries an epoch has. */
static int64_t epoch_size(const struct prov *p, const struct prov__epoch *epoch)
{
    bool present = epoch == &p->epochs.at[p->epochs.count - 1];
    return present ? p->durable.log.size : epoch[1].base - epoch->base;
}

/* The newest checkpoint that covers leaf `index`, with cosignatures if one has them, into note and
 * c; without one, c covers all. */
static enum err find_note(struct prov *p, const struct prov__epoch *epoch, int64_t index,
                          struct buf *note, struct prov__checkpoint *c, struct error *e)
{
    struct store_db *db = store_reader(p->store);
    char *origin = p->signing && p->signing->key_known
                       ? prov__origin(&p->signing->key, epoch->epoch)
                       : xstrdup("");
    enum err code = prov__cosigned_note(db, origin, epoch->epoch, index, note, e);
    free(origin);
    if (code == ERR_OK && !note->len)
        code = store_query(db, e, take_note, note,
                           "SELECT note FROM checkpoints WHERE epoch = ? AND size > ?"
                           " ORDER BY size DESC LIMIT 1",
                           "ii", epoch->epoch, index);
    c->head.size = epoch_size(p, epoch);
    const char *problem = note->len ? prov__note_read(note->data, note->len, c) : NULL;
    if (code == ERR_OK && (problem || c->head.size <= index))
        code = err_set(e, ERR_TAMPERED, "the newest checkpoint: %s",
                       problem ? problem : "it does not cover what the table says");
    return code;
}

json_t *prov_proof(struct prov *p, int64_t seq, struct error *e)
{
    const struct prov__epoch *epoch = prov__epoch_of(&p->epochs, seq);
    struct buf note = {0}, text = {0};
    struct prov__checkpoint c;
    struct prov__proof proof;
    struct prov__stored older = {0}, *tree = p->tree;
    uint8_t leaf[VAULT_HASH], root[VAULT_HASH];
    int64_t index = seq - epoch->base;
    json_t *out = NULL;
    if (seq < 0 || seq >= prov__size(&p->durable)) {
        err_set(e, ERR_NOT_FOUND, "there is no entry %lld", (long long)seq);
        return NULL;
    }
    if (epoch->epoch != p->durable.epoch)
        tree_of(p, epoch, tree = &older);
    if (find_note(p, epoch, index, &note, &c, e) != ERR_OK)
        goto out;
    if (prov__stored_node(tree, 0, index, leaf, e) != ERR_OK ||
        prov__root_at(prov__stored_node, tree, c.head.size, root, e) != ERR_OK ||
        prov__prove_inclusion(prov__stored_node, tree, index, c.head.size, &proof, e) != ERR_OK) {
        no_node(e);
        goto out;
    }
    if (note.len)
        prov__tlog_proof(index, &proof, note.data, &text);
    out = json_object();
    json_puti(out, "seq", seq);
    json_puti(out, "epoch", epoch->epoch);
    json_puti(out, "index", index);
    json_puti(out, "size", c.head.size);
    put_base64(out, "leaf", leaf);
    put_base64(out, "root", root);
    json_put(out, "hashes", hashes(&proof));
    json_put(out, "checkpoint", note.len ? json_text(note.data, note.len) : json_null());
    json_put(out, "text", note.len ? json_text(text.data, text.len) : json_null());
out:
    prov__stored_release(&older);
    buf_release(&note);
    buf_release(&text);
    return out;
}

static const struct prov__epoch *epoch_named(struct prov *p, int64_t epoch, struct error *e)
{
    for (size_t i = 0; i < p->epochs.count; i++)
        if (p->epochs.at[i].epoch == (epoch ? epoch : p->durable.epoch))
            return &p->epochs.at[i];
    err_set(e, ERR_NOT_FOUND, "the log has no epoch %lld", (long long)epoch);
    return NULL;
}

json_t *prov_consistency(struct prov *p, int64_t epoch, int64_t from, int64_t to, struct error *e)
{
    const struct prov__epoch *in = epoch_named(p, epoch, e);
    uint8_t from_root[VAULT_HASH], to_root[VAULT_HASH];
    struct prov__stored tree;
    struct prov__proof proof;
    json_t *out = NULL;
    if (!in)
        return NULL;
    int64_t size = epoch_size(p, in);
    if (to < 0)
        to = size;
    if (to > size) {
        err_set(e, ERR_NOT_FOUND, "the epoch has %lld entries, not %lld", (long long)size,
                (long long)to);
        return NULL;
    }
    tree_of(p, in, &tree);
    if (prov__prove_consistency(prov__stored_node, &tree, from, to, &proof, e) != ERR_OK ||
        prov__root_at(prov__stored_node, &tree, from, from_root, e) != ERR_OK ||
        prov__root_at(prov__stored_node, &tree, to, to_root, e) != ERR_OK) {
        no_node(e);
        goto out;
    }
    out = json_object();
    json_puti(out, "epoch", in->epoch);
    json_puti(out, "base", in->base);
    json_puti(out, "from", from);
    json_puti(out, "to", to);
    put_base64(out, "from_root", from_root);
    put_base64(out, "to_root", to_root);
    json_put(out, "hashes", hashes(&proof));
out:
    prov__stored_release(&tree);
    return out;
}
