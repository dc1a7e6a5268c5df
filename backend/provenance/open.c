/* What opening reads: the end of the log, in a few look-ups, and sessions that were left unsealed.
 */
#include "backend/provenance/proof.h"
#include "backend/provenance/tamper.h"

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

/* The edge of a tree of `size` leaves from the stored nodes; *lost: how many leaves stand before
 * the first node that is missing, or -1. */
static enum err load_edge(struct prov__stored *tree, int64_t size, struct prov__edge *edge,
                          int64_t *lost, struct error *e)
{
    edge->size = size;
    *lost = -1;
    for (int k = PROV__LEVELS - 1; k >= 0; k--) {
        if (!(size >> k & 1))
            continue;
        struct error one = {0};
        enum err code = prov__stored_node(tree, k, (size >> k) - 1, edge->node[k], &one);
        if (code != ERR_OK && code != ERR_NOT_FOUND)
            return err_set(e, code, "%s", one.detail);
        if (code != ERR_OK && *lost < 0)
            *lost = ((size >> k) - 1) << k;
    }
    return ERR_OK;
}

/* The stored parts do not agree: from which entry on, and in which way. */
static void disagree(struct prov *p, const struct ends *ends)
{
    int64_t low = ends->size < ends->entries ? ends->size : ends->entries;
    int64_t high = ends->size > ends->entries ? ends->size : ends->entries;
    high = ends->payloads > high ? ends->payloads : high;
    low = low < p->durable.base ? p->durable.base : low;
    if (low < high)
        prov__breach_add(p, low, high - 1, "tail",
                         "the stored head counts %lld entries, there are entries up to %lld and "
                         "payloads up to %lld",
                         (long long)ends->size, (long long)ends->entries - 1,
                         (long long)ends->payloads - 1);
    else
        prov__breach_add(p, low - 1, low - 1, "head",
                         "the stored head is not the hash of the last entry");
}

static enum err read_ends(struct store_db *db, struct ends *ends, uint8_t last[VAULT_HASH],
                          struct error *e)
{
    enum err code =
        store_query(db, e, take_ends, ends, "SELECT size, head FROM tree_head WHERE id = 1", "");
    /* What somebody made up far out is verification's matter: it stays there. */
    bool sane = ends->size >= 0 && ends->size < INT64_C(1) << 52;
    int64_t near = sane ? ends->size + PROV__FAR : INT64_MAX;
    if (code == ERR_OK)
        code = store_query(db, e, take_entry_hash, last,
                           "SELECT entry FROM entries WHERE seq < ? ORDER BY seq DESC LIMIT 1", "i",
                           near);
    if (code == ERR_OK)
        code =
            store_query(db, e, take_number, &ends->entries,
                        "SELECT coalesce(max(seq), -1) + 1 FROM entries WHERE seq < ?", "i", near);
    if (code == ERR_OK)
        code =
            store_query(db, e, take_number, &ends->payloads,
                        "SELECT coalesce(max(seq), -1) + 1 FROM payloads WHERE seq < ?", "i", near);
    return code;
}

enum err prov__tail_load(struct prov *p, struct error *e)
{
    struct store_db *db = store_reader(p->store);
    struct ends ends = {.size = -1};
    uint8_t last[VAULT_HASH] = {0};
    int64_t lost;
    enum err code = read_ends(db, &ends, last, e);
    if (code == ERR_OK)
        code = prov__epochs_load(&p->epochs, db, e);
    if (code != ERR_OK)
        return code;
    const struct prov__epoch *present = &p->epochs.at[p->epochs.count - 1];
    struct prov__tail *tail = &p->durable;
    tail->epoch = present->epoch;
    tail->base = present->base;
    prov__stored_set(p->tree, db, present->epoch, present->base);
    memcpy(tail->head, ends.head_ok ? ends.head : last, VAULT_HASH);
    if (!ends.head_ok || ends.size < present->base || ends.size != ends.entries ||
        ends.payloads > ends.size || memcmp(last, ends.head, VAULT_HASH) != 0) {
        disagree(p, &ends);
    } else {
        code = load_edge(p->tree, ends.size - present->base, &tail->log, &lost, e);
        if (code == ERR_OK && lost >= 0)
            prov__breach_add(p, present->base + lost, ends.size - 1, "tree",
                             "the tree is not whole behind its first %lld leaves", (long long)lost);
    }
    tail->rootless = p->breach != NULL;
    if (tail->rootless) /* as many as there are; of its tree nothing is known */
        tail->log.size = ends.entries > present->base ? ends.entries - present->base : 0;
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
        struct prov__sealed seal = {.session = o->session,
                                    .reason = "found unsealed",
                                    .first = o->first,
                                    .last = o->at - 1,
                                    .entries = o->edge.size};
        prov__edge_root(&o->edge, seal.root);
        prov__seal_session(p, &seal);
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
