/* One transaction that destroys payloads. It runs right behind the insertion of the erase entry
 * that lists them (R1), so either both are durable or neither is. */
#include "backend/provenance/retain.h"

#include <stdlib.h>
#include <string.h>

static bool take_int(void *arg, const struct store_row *row)
{
    *(int64_t *)arg = store_int(row, 0);
    return false;
}

static enum err remove_payload(struct store_db *db, int64_t seq, int64_t entry, struct error *e)
{
    int64_t gone = -1;
    enum err code = store_query(db, e, take_int, &gone,
                                "DELETE FROM payloads WHERE seq = ? RETURNING seq", "i", seq);
    if (code == ERR_OK && gone != seq)
        code = err_set(e, ERR_TAMPERED, "the payload of entry %lld went while it was to be erased",
                       (long long)seq);
    if (code == ERR_OK)
        code = store_exec(db, e, "INSERT INTO erased VALUES(?, ?)", "ii", seq, entry);
    return code;
}

/* A session of an older log has one key for all its payloads: it goes with the last of them. */
static enum err drop_whole_key(struct store_db *db, struct retain__batch *b, const char *session,
                               struct error *e)
{
    int64_t left = -1;
    enum err code = store_query(
        db, e, take_int, &left,
        "SELECT p.seq FROM payloads p JOIN entries e ON e.seq = p.seq WHERE e.session = ?1"
        " AND p.seq >= (SELECT first FROM sessions WHERE session = ?1)"
        " AND p.seq < ifnull((SELECT min(first) FROM sessions WHERE first >"
        " (SELECT first FROM sessions WHERE session = ?1)), 1 << 62) LIMIT 1",
        "s", session);
    if (code == ERR_OK && left >= 0) {
        b->whole++;
        return ERR_OK;
    }
    if (code == ERR_OK)
        code = store_exec(db, e, "DELETE FROM data_keys WHERE session = ?", "s", session);
    b->destroyed += code == ERR_OK;
    return code;
}

static enum err puncture(struct store_db *db, struct retain__batch *b, const char *session,
                         const int64_t *seqs, size_t n, struct error *e)
{
    size_t erased = 0;
    enum err code = prov__ring_erase(db, b->vault, session, seqs, n, &erased, e);
    b->punctured += erased;
    if (code != ERR_UNSUPPORTED)
        return code;
    if (e)
        *e = (struct error){0};
    return drop_whole_key(db, b, session, e);
}

static enum err replace_projection(struct store_db *db, const struct retain__projection *p,
                                   const char *session, struct error *e)
{
    int64_t one = 0;
    enum err code = store_query(db, e, take_int, &one,
                                "UPDATE traces SET sealed = ?, session = ?, state = CASE state"
                                " WHEN 'running' THEN 'stopped' ELSE state END"
                                " WHERE trace_id = ? AND sealed = ? RETURNING 1",
                                "bssb", p->fresh.len ? p->fresh.data : NULL, p->fresh.len, session,
                                p->trace_id, p->old.data, p->old.len);
    if (code == ERR_OK && one != 1)
        code = err_set(e, ERR_BUSY, "trace %s changed while it was to be erased", p->trace_id);
    return code;
}

enum err retain__batch_write(struct store_db *db, void *arg, struct error *e)
{
    struct retain__batch *b = arg;
    int64_t *seqs = xcalloc(b->count, sizeof *seqs);
    b->punctured = b->whole = b->destroyed = 0;
    enum err code = store_query(db, e, take_int, &b->entry, "SELECT max(seq) FROM entries", "");
    for (size_t i = 0; i < b->count && code == ERR_OK; i++)
        code = remove_payload(db, b->items[i].seq, b->entry, e);
    for (size_t i = 0, from = 0; i < b->count && code == ERR_OK; i++) {
        seqs[i] = b->items[i].seq;
        bool last = i + 1 == b->count || strcmp(b->items[i].session, b->items[i + 1].session) != 0;
        if (last) {
            code = puncture(db, b, b->items[i].session, seqs + from, i + 1 - from, e);
            from = i + 1;
        }
    }
    for (size_t i = 0; i < b->projection_count && code == ERR_OK; i++)
        code = replace_projection(db, &b->projections[i], b->session, e);
    if (code == ERR_OK) /* until the files are scrubbed too */
        code =
            store_exec(db, e, "INSERT OR REPLACE INTO retention_state VALUES('scrub_due', 1)", "");
    free(seqs);
    return code;
}

void retain__batch_done(struct prov_retention *r, const struct retain__batch *b)
{
    int64_t *seqs = xcalloc(b->count, sizeof *seqs);
    for (size_t i = 0, from = 0; i < b->count; i++) {
        seqs[i] = b->items[i].seq;
        if (i + 1 == b->count || strcmp(b->items[i].session, b->items[i + 1].session) != 0) {
            prov__ring_erased(r->prov, b->items[i].session, seqs + from, i + 1 - from);
            from = i + 1;
        }
    }
    free(seqs);
    prov__keys_release(&r->prov->keys);
}

void retain__batch_release(struct retain__batch *b)
{
    for (size_t i = 0; i < b->projection_count; i++) {
        buf_release(&b->projections[i].old);
        buf_release(&b->projections[i].fresh);
    }
    free(b->projections);
    free(b->items);
    *b = (struct retain__batch){0};
}

/* ---- projections, on the loop */

struct rewriting {
    struct prov_retention *r;
    struct retain__projection *p;
    const char *types[64];
    size_t type_count;
};

static bool rewrite(void *arg, const struct store_row *row)
{
    struct rewriting *w = arg;
    size_t len;
    const char *session = store_text(row, 0);
    const void *sealed = store_blob(row, 1, &len);
    if (!sealed || !session)
        return false;
    buf_add(&w->p->old, sealed, len);
    json_t *doc = prov_unseal(w->r->prov, session, sealed, len, NULL);
    if (doc) { /* one that does not open is removed: nobody can say what is in it */
        w->r->redact(doc, w->types, w->type_count);
        if (prov_seal(w->r->prov, doc, &w->p->fresh) != ERR_OK)
            buf_clear(&w->p->fresh);
    }
    json_decref(doc);
    return false;
}

static void add_type(struct rewriting *w, const char *type)
{
    for (size_t i = 0; i < w->type_count; i++)
        if (w->types[i] == type)
            return;
    if (w->type_count < sizeof w->types / sizeof *w->types)
        w->types[w->type_count++] = type;
}

static bool seen_before(const struct retain__batch *b, size_t item)
{
    for (size_t i = 0; i < item; i++)
        if (strcmp(b->items[i].trace_id, b->items[item].trace_id) == 0)
            return true;
    return false;
}

void retain__projections(struct prov_retention *r, struct retain__batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        const char *trace = b->items[i].trace_id;
        if (!*trace || seen_before(b, i))
            continue;
        struct retain__projection p = {0};
        struct rewriting w = {.r = r, .p = &p};
        memcpy(p.trace_id, trace, sizeof p.trace_id);
        for (size_t j = i; j < b->count; j++)
            if (strcmp(b->items[j].trace_id, trace) == 0)
                add_type(&w, b->items[j].type);
        store_query(store_reader(r->prov->store), NULL, rewrite, &w,
                    "SELECT session, sealed FROM traces WHERE trace_id = ?", "s", trace);
        if (!p.old.len)
            continue;
        b->projections =
            xrealloc(b->projections, (b->projection_count + 1) * sizeof *b->projections);
        b->projections[b->projection_count++] = p;
    }
}
