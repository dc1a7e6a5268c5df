/* Cosignatures that this log got, as they are kept: the table `cosignatures` has a line a witness
 * and checkpoint; a cosigned note is put together when it is asked for. */
#include "backend/base/clock.h"
#include "backend/provenance/checkpoint.h"
#include "backend/provenance/cosign.h"
#include "backend/provenance/witness.h"

#include <stdlib.h>
#include <string.h>

static bool add_text(void *arg, const struct store_row *row)
{
    const char *text = store_text(row, 0);
    buf_adds(arg, text ? text : "");
    return true;
}

static enum err whole_note(struct store_db *db, const char *origin, int64_t epoch, int64_t size,
                           struct buf *note, struct error *e)
{
    enum err code =
        store_query(db, e, add_text, note,
                    "SELECT note FROM checkpoints WHERE epoch = ? AND size = ?", "ii", epoch, size);
    if (code == ERR_OK && note->len)
        code = store_query(db, e, add_text, note,
                           "SELECT line FROM cosignatures WHERE origin = ? AND size = ?"
                           " ORDER BY key LIMIT 32",
                           "si", origin, size);
    return code;
}

enum err prov__cosigned_note(struct store_db *db, const char *origin, int64_t epoch, int64_t index,
                             struct buf *note, struct error *e)
{
    int64_t size = store_scalar(db, -1,
                                "SELECT size FROM (SELECT size FROM cosignatures WHERE origin = ?"
                                " AND size > ? ORDER BY size DESC LIMIT 32)"
                                " GROUP BY size ORDER BY count(*) DESC, size DESC LIMIT 1",
                                "si", origin, index);
    return size < 0 ? ERR_OK : whole_note(db, origin, epoch, size, note, e);
}

struct best {
    char (*keys)[VAULT_LABEL];
    size_t key_count;
    int64_t quorum, size, count; /* of the one that is being counted */
    int64_t best, best_count;
};

static bool settle(struct best *b)
{
    if (b->count > b->best_count) {
        b->best = b->size;
        b->best_count = b->count;
    }
    return b->best_count >= b->quorum;
}

static bool count_line(void *arg, const struct store_row *row)
{
    struct best *b = arg;
    int64_t size = store_int(row, 0);
    const char *key = store_text(row, 1);
    if (size != b->size) {
        if (settle(b))
            return false;
        b->size = size;
        b->count = 0;
    }
    for (size_t i = 0; key && i < b->key_count; i++)
        b->count += strcmp(key, b->keys[i]) == 0;
    return true;
}

enum err prov__cosigned_best(struct store_db *db, const char *origin, int64_t epoch,
                             char (*keys)[VAULT_LABEL], size_t key_count, int64_t quorum,
                             struct buf *note, int64_t *size, struct error *e)
{
    struct best b = {.keys = keys,
                     .key_count = key_count,
                     .quorum = quorum > 0 ? quorum : 1,
                     .size = -1,
                     .best = -1};
    enum err code = store_query(db, e, count_line, &b,
                                "SELECT size, key FROM cosignatures WHERE origin = ?"
                                " ORDER BY size DESC LIMIT 256",
                                "s", origin);
    settle(&b);
    *size = b.best;
    return code == ERR_OK && b.best >= 0 ? whole_note(db, origin, epoch, b.best, note, e) : code;
}

static bool add_cosigner(void *arg, const struct store_row *row)
{
    const char *key = store_text(row, 0), *line = store_text(row, 2);
    char at[CLOCK_TEXT];
    json_t *one = json_object();
    if (!key || !line)
        return true;
    char *name = xstrndup(key, strcspn(key, "+"));
    clock_format(store_int(row, 1) * 1000, at);
    json_puts(one, "witness", name);
    json_puts(one, "key", key);
    json_puts(one, "at", at);
    json_puts(one, "line", line);
    json_array_append_new(arg, one);
    free(name);
    return true;
}

json_t *prov_cosigners(struct prov *p, int64_t size)
{
    json_t *list = json_array();
    if (!p->signing || !p->signing->key_known)
        return list;
    char *origin = prov__origin(&p->signing->key, p->durable.epoch);
    store_query(store_reader(p->store), NULL, add_cosigner, list,
                "SELECT key, at, line FROM cosignatures WHERE origin = ? AND size = ? ORDER BY key",
                "si", origin, size);
    free(origin);
    return list;
}

enum err prov__newest_note(struct prov *p, struct buf *note, struct error *e)
{
    int64_t size = p->signing ? p->signing->head.size : -1;
    enum err code = ERR_OK;
    if (size > 0)
        code = store_query(store_reader(p->store), e, add_text, note,
                           "SELECT note FROM checkpoints WHERE epoch = ? AND size = ?", "ii",
                           p->durable.epoch, size);
    if (code == ERR_OK && !note->len)
        code = err_set(e, ERR_NOT_FOUND, "there is no checkpoint yet");
    return code;
}

json_t *prov_witness_request(struct prov *p, int64_t from, struct error *e)
{
    struct buf note = {0}, text = {0};
    struct prov__proof proof;
    json_t *out = NULL;
    if (prov__newest_note(p, &note, e) == ERR_OK &&
        prov__prove_consistency(prov__stored_node, p->tree, from, p->signing->head.size, &proof,
                                e) == ERR_OK) {
        prov__request_write(from, &proof, note.data, &text);
        out = json_object();
        json_put(out, "text", json_text(text.data, text.len));
        json_puti(out, "from", from);
        json_puti(out, "size", p->signing->head.size);
    }
    buf_release(&note);
    buf_release(&text);
    return out;
}
