/* What opening reads: the end of the log, in a few look-ups, and sessions that were left unsealed.
 */
#include "backend/provenance/proof.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the tail ---- */

struct ends {
    int64_t size, entries, payloads; /* how long the log is by each table */
    uint8_t head[VAULT_HASH];
    bool head_ok;
};

static bool take_hash(const struct store_row *row, int column, uint8_t out[VAULT_HASH])
{
    size_t len;
    const void *bytes = store_blob(row, column, &len);
    if (len == VAULT_HASH)
        memcpy(out, bytes, VAULT_HASH);
    return len == VAULT_HASH;
}

static bool take_ends(void *arg, const struct store_row *row)
{
    struct ends *ends = arg;
    ends->size = store_int(row, 0);
    ends->head_ok = take_hash(row, 1, ends->head);
    return false;
}

static bool take_entry_hash(void *arg, const struct store_row *row)
{
    size_t len;
    const void *bytes = store_blob(row, 0, &len);
    vault_sha256(bytes, len, NULL, 0, arg);
    return false;
}

static bool take_number(void *arg, const struct store_row *row)
{
    *(int64_t *)arg = store_int(row, 0);
    return false;
}

/* The edge of a tree of `size` leaves from the stored nodes; *whole: none is missing. */
static enum err load_edge(struct prov__stored *tree, int64_t size, struct prov__edge *edge,
                          bool *whole, struct error *e)
{
    edge->size = size;
    *whole = true;
    for (int k = 0; k < PROV__LEVELS; k++) {
        if (!(size >> k & 1))
            continue;
        struct error one = {0};
        enum err code = prov__stored_node(tree, k, (size >> k) - 1, edge->node[k], &one);
        *whole = *whole && code == ERR_OK;
        if (code != ERR_OK && code != ERR_NOT_FOUND)
            return err_set(e, code, "%s", one.detail);
    }
    return ERR_OK;
}

struct rebuild {
    struct prov__edge *edge;
    int64_t size;
};

static bool add_leaf(void *arg, const struct store_row *row)
{
    static const uint8_t none[VAULT_HASH];
    struct rebuild *b = arg;
    uint8_t leaf[VAULT_HASH];
    int64_t seq = store_int(row, 0);
    while (b->edge->size < seq && b->edge->size < b->size)
        prov__edge_push(b->edge, 0, none, NULL);
    if (seq == b->edge->size && seq < b->size)
        prov__edge_push(b->edge, 0, take_hash(row, 1, leaf) ? leaf : none, NULL);
    return b->edge->size < b->size;
}

/* A log that does not fit together goes on behind everything that is there: a gap stays visible,
 * and nothing is written over. Missing leaves count as zeros; the log is broken and says so anyway.
 */
static enum err mend_tail(struct store_db *db, struct ends *ends, struct prov__tail *tail,
                          struct error *e)
{
    tail->epoch = 1;
    tail->base = 0;
    enum { FAR = 1000000 }; /* a number that is further out than this was made up */
    static const uint8_t none[VAULT_HASH];
    int64_t near = 0;
    enum err code =
        store_query(db, e, take_number, &near, "SELECT count(*) FROM entries WHERE seq >= 0", "");
    near += FAR;
    if (code == ERR_OK)
        code = store_query(db, e, take_number, &ends->entries,
                           "SELECT coalesce(max(seq), -1) + 1 FROM entries"
                           " WHERE seq BETWEEN 0 AND ?",
                           "i", near);
    if (code == ERR_OK)
        code = store_query(db, e, take_number, &ends->payloads,
                           "SELECT coalesce(max(seq), -1) + 1 FROM payloads"
                           " WHERE seq BETWEEN 0 AND ?",
                           "i", near);
    if (code != ERR_OK)
        return code;
    if (ends->size < 0 || ends->size > near) /* made up: one missing entry stands for it */
        ends->size = 1 + (ends->entries > ends->payloads ? ends->entries : ends->payloads);
    int64_t size = ends->size > ends->entries ? ends->size : ends->entries;
    memcpy(tail->head, ends->head, VAULT_HASH);
    if (size != ends->size)
        code = store_query(db, e, take_entry_hash, tail->head,
                           "SELECT entry FROM entries WHERE seq = ?", "i", ends->entries - 1);
    size = size > ends->payloads ? size : ends->payloads;
    struct rebuild b = {&tail->log, size};
    tail->log.size = 0;
    if (code == ERR_OK)
        code = store_query(db, e, add_leaf, &b,
                           "SELECT seq, leaf FROM entries WHERE seq >= 0 ORDER BY seq", "");
    while (tail->log.size < size)
        prov__edge_push(&tail->log, 0, none, NULL);
    return code;
}

enum err prov__tail_load(struct prov *p, bool *fits, struct error *e)
{
    struct store_db *db = store_reader(p->store);
    struct ends ends = {.size = -1};
    uint8_t last[VAULT_HASH] = {0};
    enum err code =
        store_query(db, e, take_ends, &ends, "SELECT size, head FROM tree_head WHERE id = 1", "");
    if (code == ERR_OK)
        code = store_query(db, e, take_entry_hash, last,
                           "SELECT entry FROM entries ORDER BY seq DESC LIMIT 1", "");
    if (code == ERR_OK)
        code = store_query(db, e, take_number, &ends.entries,
                           "SELECT coalesce(max(seq), -1) + 1 FROM entries", "");
    if (code == ERR_OK)
        code = store_query(db, e, take_number, &ends.payloads,
                           "SELECT coalesce(max(seq), -1) + 1 FROM payloads", "");
    if (code == ERR_OK)
        code = prov__epochs_load(&p->epochs, db, e);
    if (code != ERR_OK)
        return code;
    const struct prov__epoch *present = &p->epochs.at[p->epochs.count - 1];
    p->durable.epoch = present->epoch;
    p->durable.base = present->base;
    prov__stored_set(p->tree, db, present->epoch, present->base);
    memcpy(p->durable.head, ends.head, VAULT_HASH);
    *fits = ends.head_ok && ends.size >= present->base && ends.size == ends.entries &&
            ends.size == ends.payloads && memcmp(last, ends.head, VAULT_HASH) == 0;
    if (*fits)
        code = load_edge(p->tree, ends.size - present->base, &p->durable.log, fits, e);
    if (code == ERR_OK && !*fits)
        code = mend_tail(db, &ends, &p->durable, e);
    return code;
}

/* ---- sessions that were left unsealed by a crash ---- */

struct prov__orphan {
    struct prov__orphan *next;
    struct prov *prov; /* NULL after prov_free */
    char *path, session[33];
    int64_t first, entries, at;
    struct prov__edge edge;
    bool more, failed;
};

static bool hash_leaf(void *arg, const struct store_row *row)
{
    struct prov__orphan *o = arg;
    uint8_t leaf[VAULT_HASH];
    const char *session = store_text(row, 2);
    o->more = session && strcmp(session, o->session) == 0;
    if (!o->more)
        return false;
    o->at = store_int(row, 0) + 1;
    o->failed |= !take_hash(row, 1, leaf);
    if (!o->failed)
        prov__edge_push(&o->edge, 0, leaf, NULL);
    return !o->failed;
}

/* On a worker: the root over the session's leaves, read in short pieces. */
static void hash_session(void *arg)
{
    struct prov__orphan *o = arg;
    struct store_db *db = store_db_open(o->path, NULL);
    o->failed = !db;
    for (o->more = true; !o->failed && o->more;) {
        o->more = false;
        if (store_query(db, NULL, hash_leaf, o,
                        "SELECT seq, leaf, session FROM entries WHERE seq >= ?"
                        " ORDER BY seq LIMIT 2000",
                        "i", o->at) != ERR_OK)
            o->failed = true;
    }
    store_db_close(db);
}

static void seal_orphan(void *arg, bool cancelled)
{
    struct prov__orphan *o = arg;
    struct prov *p = o->prov;
    if (p) {
        struct prov__orphan **at = &p->orphans;
        while (*at != o)
            at = &(*at)->next;
        *at = o->next;
    }
    if (p && !p->closed && !cancelled && !o->failed && o->edge.size > 0) {
        uint8_t root[VAULT_HASH];
        prov__edge_root(&o->edge, root);
        prov__seal_session(p, o->session, "found unsealed", o->first, o->edge.size, root);
    }
    free(o->path);
    free(o);
}

static bool take_orphan(void *arg, const struct store_row *row)
{
    struct prov *p = arg;
    struct prov__orphan *o = xcalloc(1, sizeof *o);
    const char *session = store_text(row, 0);
    snprintf(o->session, sizeof o->session, "%s", session ? session : "");
    o->prov = p;
    o->path = xstrdup(store_path(p->store));
    o->first = o->at = store_int(row, 1);
    o->next = p->orphans;
    p->orphans = o;
    loop_work(p->loop, hash_session, seal_orphan, o);
    return true;
}

void prov__orphans_find(struct prov *p)
{
    store_query(store_reader(p->store), NULL, take_orphan, p,
                "SELECT session, first FROM sessions WHERE seal IS NULL AND session <> ?"
                " ORDER BY first LIMIT 16",
                "s", p->session);
}

void prov__orphans_free(struct prov *p)
{
    for (struct prov__orphan *o = p->orphans; o; o = o->next)
        o->prov = NULL;
    p->orphans = NULL;
}
