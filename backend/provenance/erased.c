/* Which payloads the log itself says were erased.
 *
 * Invariants
 * E1 The table `erased` is a look-up and no proof: what counts is that the entry it names is a
 * later entry of type erase, opens under its own header, and holds the seq in its ranges. */
#include "backend/provenance/erased.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    enum prov_class class;
} types[] = {
#define TYPE(type, class, payload) {type, PROV_##class},
#include "backend/provenance/types.def"
#undef TYPE
};

enum prov_class prov__class_of(struct prov__text type)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strlen(types[i].name) == type.len && memcmp(types[i].name, type.at, type.len) == 0)
            return types[i].class;
    return PROV_GOVERNANCE;
}

enum prov_class prov_class_of(const char *type)
{
    return prov__class_of((struct prov__text){type, strlen(type)});
}

const char *prov_class_name(enum prov_class class)
{
    static const char *const names[PROV_CLASSES] = {"dialogue", "telemetry", "operation",
                                                    "governance"};
    return names[class];
}

/* ---- ranges */

struct prov__range *prov__ranges_read(const json_t *ranges, size_t *count)
{
    size_t i, n = json_array_size(ranges);
    json_t *pair;
    int64_t before = -1;
    *count = 0;
    if (!json_is_array(ranges) || n == 0)
        return NULL;
    struct prov__range *out = xcalloc(n, sizeof *out);
    json_array_foreach(ranges, i, pair)
    {
        const json_t *first = json_array_get(pair, 0), *last = json_array_get(pair, 1);
        out[i].first = json_integer_value(first);
        out[i].last = json_integer_value(last);
        if (json_array_size(pair) != 2 || !json_is_integer(first) || !json_is_integer(last) ||
            out[i].first <= before || out[i].last < out[i].first) {
            free(out);
            return NULL;
        }
        before = out[i].last;
    }
    *count = n;
    return out;
}

json_t *prov__ranges_write(const int64_t *seqs, size_t count)
{
    json_t *ranges = json_array();
    for (size_t i = 0, from = 0; i < count; i++) {
        if (i + 1 < count && seqs[i + 1] == seqs[i] + 1)
            continue;
        json_t *pair = json_array();
        json_array_append_new(pair, json_integer(seqs[from]));
        json_array_append_new(pair, json_integer(seqs[i]));
        json_array_append_new(ranges, pair);
        from = i + 1;
    }
    return ranges;
}

static bool holds(const struct prov__erasure *x, int64_t seq)
{
    size_t low = 0, high = x->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (seq > x->ranges[mid].last)
            low = mid + 1;
        else
            high = mid;
    }
    return low < x->count && seq >= x->ranges[low].first;
}

/* ---- the entry that says so */

struct opening {
    struct prov__erased *of;
    struct store_db *db;
    struct prov__erasure *out;
    bool is_erase;
    struct error error;
};

static void take_payload(struct opening *o, const json_t *payload)
{
    struct prov__erasure *x = o->out;
    x->ranges = prov__ranges_read(json_object_get(payload, "ranges"), &x->count);
    snprintf(x->act, sizeof x->act, "%s", json_str(payload, "act", ""));
    snprintf(x->code, sizeof x->code, "%s", json_str(payload, "reason_code", ""));
    snprintf(x->reason, sizeof x->reason, "%s", json_str(payload, "reason", ""));
    x->opened = x->ranges != NULL;
    o->is_erase = x->opened;
}

static bool take_entry(void *arg, const struct store_row *row)
{
    struct opening *o = arg;
    struct prov__header h;
    struct prov__text entry;
    struct buf ad = {0}, plain = {0};
    const char *problem = "";
    size_t len;
    entry.at = store_blob(row, 0, &entry.len);
    const void *sealed = store_blob(row, 1, &len);
    if (!entry.at || prov__entry_read(entry.at, entry.len, &h) || h.seq != o->out->entry ||
        h.type.len != 5 || memcmp(h.type.at, "erase", 5) != 0)
        return false;
    o->out->ts = h.ts;
    if (prov__payload(&o->of->keys, o->db, &h, entry, sealed, len, &ad, &plain, &problem,
                      &o->error) == ERR_OK) {
        json_t *payload = json_read(plain.data, plain.len, PROV__MAX_PAYLOAD, 64, NULL);
        take_payload(o, payload);
        json_decref(payload);
    } else {
        o->is_erase = !*problem; /* only the key is not at hand */
    }
    buf_release(&ad);
    buf_release(&plain);
    return false;
}

static void forget(struct prov__erasure *x)
{
    free(x->ranges);
    *x = (struct prov__erasure){0};
}

/* The erase entry, from those kept or opened; NULL if it is none. */
static const struct prov__erasure *erasure(struct prov__erased *x, struct store_db *db,
                                           int64_t entry, struct error *e)
{
    for (size_t i = 0; i < PROV__ERASURES; i++)
        if (x->kept[i].entry == entry && x->kept[i].ts)
            return &x->kept[i];
    struct prov__erasure *slot = &x->kept[x->next++ % PROV__ERASURES];
    forget(slot);
    slot->entry = entry;
    struct opening o = {.of = x, .db = db, .out = slot};
    x->keys.vault = x->vault;
    store_query(db, e, take_entry, &o,
                "SELECT e.entry, p.sealed FROM entries e LEFT JOIN payloads p ON p.seq = e.seq"
                " WHERE e.seq = ?",
                "i", entry);
    if (o.is_erase)
        return slot;
    forget(slot);
    return NULL;
}

static bool take_seq(void *arg, const struct store_row *row)
{
    *(int64_t *)arg = store_int(row, 0);
    return false;
}

enum prov__cover prov__erased_find(struct prov__erased *x, struct store_db *db, int64_t seq,
                                   const struct prov__erasure **by, struct error *e)
{
    int64_t entry = -1;
    if (store_query(db, e, take_seq, &entry, "SELECT entry FROM erased WHERE seq = ?", "i", seq) !=
            ERR_OK ||
        entry <= seq)
        return PROV__KEPT;
    const struct prov__erasure *found = erasure(x, db, entry, e);
    if (!found || (found->opened && !holds(found, seq)))
        return PROV__KEPT; /* E1 */
    if (by)
        *by = found;
    return found->opened ? PROV__ERASED : PROV__CLAIMED;
}

void prov__erased_release(struct prov__erased *x)
{
    for (size_t i = 0; i < PROV__ERASURES; i++)
        forget(&x->kept[i]);
    prov__keys_release(&x->keys);
}
