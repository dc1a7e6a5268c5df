/* The end of an erasure: its act is logged, the texts that name a subject go. And what the job
 * remembers. */
#include "backend/base/clock.h"
#include "backend/provenance/retain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a single payload that names a subject (R4) */

struct retain__side {
    struct retain__side *next;
    struct prov_retention *r; /* NULL after prov_retention_free */
    struct retain__batch batch;
};

static bool take_item(void *arg, const struct store_row *row)
{
    struct retain__item *item = arg;
    struct prov__header h;
    size_t len;
    const char *bytes = store_blob(row, 0, &len);
    if (!bytes || prov__entry_read(bytes, len, &h))
        return false;
    store_blob(row, 1, &item->bytes);
    item->seq = h.seq;
    item->ts = h.ts;
    item->class = prov__class_of(h.type);
    item->type = h.type.len == 8 ? "hold.set" : "erase.request";
    memcpy(item->session, h.session, sizeof item->session);
    memcpy(item->key_id, h.key_id, sizeof item->key_id);
    snprintf(item->tags, sizeof item->tags, "[]");
    return false;
}

static void side_scrubbed(void *arg, const struct error *e)
{
    (void)arg;
    (void)e; /* scrub_due is set: the next run does it */
}

static void side_written(void *arg, int64_t seq, const struct error *e)
{
    struct retain__side *side = arg, **at;
    (void)seq;
    if (side->r) {
        for (at = &side->r->sides; *at != side;)
            at = &(*at)->next;
        *at = side->next;
        if (e->code == ERR_OK) {
            retain__batch_done(side->r, &side->batch);
            store_scrub(side->r->prov->store, side_scrubbed, NULL);
        }
    }
    retain__batch_release(&side->batch);
    free(side);
}

void retain__forget_subject(struct prov_retention *r, int64_t seq, const char *act,
                            const char *reason)
{
    struct retain__item item = {.seq = -1};
    struct prov *p = r->prov;
    store_query(store_reader(p->store), NULL, take_item, &item,
                "SELECT e.entry, p.sealed FROM entries e JOIN payloads p ON p.seq = e.seq"
                " WHERE e.seq = ? AND e.type IN ('hold.set', 'erase.request')",
                "i", seq);
    if (item.seq < 0)
        return;
    struct retain__side *side = xcalloc(1, sizeof *side);
    side->r = r;
    side->next = r->sides;
    r->sides = side;
    side->batch.vault = p->vault;
    side->batch.count = 1;
    side->batch.items = xcalloc(1, sizeof item);
    side->batch.items[0] = item;
    json_t *payload = json_object();
    json_puts(payload, "act", act);
    json_puts(payload, "reason_code", "subject-text");
    json_puts(payload, "reason", reason);
    json_puts(payload, "basis", "");
    json_puts(payload, "by", "backend");
    json_puti(payload, "request", seq);
    json_puts(payload, "scope", "range");
    retain__describe(payload, &item, 1);
    struct prov_edge edge = {.seq = seq, .transform = "erase", .confidence = -1};
    struct prov_entry entry = {.type = "erase",
                               .actor = "backend",
                               .parents = &edge,
                               .parent_count = 1,
                               .payload = payload};
    prov_append(p, &entry, side_written, side, retain__batch_write, &side->batch);
    json_decref(payload);
}

void retain__sides_forget(struct prov_retention *r)
{
    for (struct retain__side *side = r->sides; side; side = side->next)
        side->r = NULL;
}

/* ---- the act is there */

struct finishing {
    struct prov_retention *r;
    char act[33];
    int64_t request;
    bool subject;
    prov_retained *done;
    void *arg;
};

static enum err mark_done(struct store_db *db, void *arg, struct error *e)
{
    const struct finishing *f = arg;
    return store_exec(db, e,
                      "UPDATE erasures SET done = (SELECT max(seq) FROM entries) WHERE act = ?",
                      "s", f->act);
}

static void finished(void *arg, int64_t seq, const struct error *e)
{
    struct finishing *f = arg;
    json_t *result = json_object();
    json_puti(result, "entry", seq);
    if (f->done)
        f->done(f->arg, e->code == ERR_OK ? result : NULL, e);
    json_decref(result);
    free(f);
}

void prov_erase_finish(struct prov_retention *r, const json_t *report, json_t *result,
                       prov_retained *done, void *arg)
{
    struct finishing *f = xcalloc(1, sizeof *f);
    const char *act = json_str(report, "act", "");
    f->request = json_int(report, "request", -1);
    f->done = done;
    f->arg = arg;
    snprintf(f->act, sizeof f->act, "%s", act);
    f->subject = strcmp(json_str(json_object_get(report, "scope"), "kind", ""), "subject") == 0;
    struct prov_edge edge = {.seq = f->request, .transform = "record", .confidence = -1};
    struct prov_entry entry = {.type = "retention.act",
                               .actor = "backend",
                               .parents = &edge,
                               .parent_count = f->request >= 0,
                               .payload = result};
    int64_t request = f->request;
    bool subject = f->subject;
    prov_append(r->prov, &entry, finished, f, mark_done, f); /* f may be gone now */
    if (subject && request >= 0)
        retain__forget_subject(r, request, act, "the request that named a subject was fulfilled");
}

static bool list_erasure(void *arg, const struct store_row *row)
{
    char at[CLOCK_TEXT];
    json_t *one = json_object();
    clock_format(store_int(row, 2), at);
    json_puts(one, "act", store_text(row, 0));
    json_puti(one, "request", store_int(row, 1));
    json_puts(one, "at", at);
    json_puts(one, "kind", store_text(row, 3));
    json_put(one, "done", store_int(row, 4) < 0 ? json_null() : json_integer(store_int(row, 4)));
    json_array_append_new(arg, one);
    return true;
}

json_t *prov_erasures(struct prov_retention *r)
{
    json_t *list = json_array();
    store_query(store_reader(r->prov->store), NULL, list_erasure, list,
                "SELECT act, request, at, kind, ifnull(done, -1) FROM erasures"
                " ORDER BY request DESC LIMIT 1000",
                "");
    return list;
}

/* ---- what survives restarts */

struct memory {
    char name[40];
    int64_t value;
};

static enum err write_memory(struct store_db *db, void *arg, struct error *e)
{
    const struct memory *m = arg;
    return store_exec(db, e, "INSERT OR REPLACE INTO retention_state VALUES(?, ?)", "si", m->name,
                      m->value);
}

static void memory_written(void *arg, const struct error *e)
{
    (void)e;
    free(arg);
}

void prov_remember(struct prov_retention *r, const char *name, int64_t value)
{
    struct memory *m = xcalloc(1, sizeof *m);
    snprintf(m->name, sizeof m->name, "%s", name);
    m->value = value;
    store_write(r->prov->store, write_memory, memory_written, m);
}

int64_t prov_remembered(struct prov_retention *r, const char *name, int64_t otherwise)
{
    return store_scalar(store_reader(r->prov->store), otherwise,
                        "SELECT value FROM retention_state WHERE name = ?", "s", name);
}

static enum err forget_due(struct store_db *db, void *arg, struct error *e)
{
    (void)arg;
    return store_exec(db, e, "DELETE FROM retention_state WHERE name = 'scrub_due'", "");
}

static void scrubbed(void *arg, const struct error *e)
{
    if (e->code == ERR_OK)
        store_write(arg, forget_due, NULL, NULL);
}

void prov_scrub_files(struct prov_retention *r)
{
    if (prov_remembered(r, "scrub_due", 0))
        store_scrub(r->prov->store, scrubbed, r->prov->store);
}

int64_t prov_oldest_payload(struct prov_retention *r, enum prov_class class)
{
    int64_t oldest = INT64_MAX;
    for (size_t i = 0; i < retain__types(); i++) {
        const char *type = retain__type(i);
        if (prov_class_of(type) != class)
            continue;
        int64_t from =
            store_scalar(store_reader(r->prov->store), 0,
                         "SELECT value FROM retention_state WHERE name = 'mark:' || ?", "s", type);
        int64_t ts = store_scalar(store_reader(r->prov->store), INT64_MAX,
                                  "SELECT e.ts FROM entries e JOIN payloads p ON p.seq = e.seq"
                                  " WHERE e.type = ? AND e.seq >= ? ORDER BY e.seq LIMIT 1",
                                  "si", type, from);
        if (ts < oldest)
            oldest = ts;
    }
    return oldest == INT64_MAX ? 0 : oldest;
}
