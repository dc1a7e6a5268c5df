/* Which payloads the log itself says were erased.
 *
 * Invariants
 * E1 The table `erased` is a look-up and no proof: what counts is that the entry it names is a
 * later entry of type erase, opens under its own header, and holds the seq in its ranges. */
#include "backend/provenance/erased.h"

#include "backend/base/clock.h"

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

/* ---- for verification */

static int64_t count_in(struct store_db *db, const struct prov__range *range, int64_t entry,
                        struct error *e)
{
    int64_t n = -1;
    if (entry < 0)
        store_query(db, e, take_seq, &n, "SELECT count(*) FROM payloads WHERE seq BETWEEN ? AND ?",
                    "ii", range->first, range->last);
    else
        store_query(db, e, take_seq, &n,
                    "SELECT count(*) FROM erased WHERE seq BETWEEN ? AND ? AND entry = ?", "iii",
                    range->first, range->last, entry);
    return n;
}

bool prov__erase_agrees(struct store_db *db, int64_t entry, const json_t *payload, char text[160],
                        struct error *e)
{
    size_t count;
    struct prov__range *ranges = prov__ranges_read(json_object_get(payload, "ranges"), &count);
    *text = '\0';
    if (!ranges)
        snprintf(text, 160, "what it erased is not said in its form");
    for (size_t i = 0; i < count && !*text; i++) {
        const struct prov__range *range = &ranges[i];
        long long first = range->first, last = range->last;
        struct error mine = {0};
        if (last >= entry)
            snprintf(text, 160, "it says that it erased entry %lld, a later one", last);
        else if (count_in(db, range, -1, &mine) > 0)
            snprintf(text, 160, "payloads that it erased, of entries %lld to %lld, are back", first,
                     last);
        else if (mine.code == ERR_OK && count_in(db, range, entry, &mine) != last - first + 1 &&
                 mine.code == ERR_OK)
            snprintf(text, 160, "the table of what was erased lacks entries %lld to %lld", first,
                     last);
        if (mine.code != ERR_OK && e)
            *e = mine;
    }
    free(ranges);
    return !*text;
}

static struct prov__tallied *tallied(struct prov__tally *t, int64_t entry)
{
    for (size_t i = t->entries; i-- > 0;)
        if (t->at[i].entry == entry)
            return &t->at[i];
    t->at = xrealloc(t->at, (t->entries + 1) * sizeof *t->at);
    struct prov__tallied *one = &t->at[t->entries++];
    *one = (struct prov__tallied){.entry = entry};
    return one;
}

void prov__tally_add(struct prov__tally *t, const struct prov__erasure *by)
{
    struct prov__tallied *one = tallied(t, by->entry);
    one->ts = by->ts;
    memcpy(one->act, by->act, sizeof one->act);
    memcpy(one->code, by->code, sizeof one->code);
    memcpy(one->reason, by->reason, sizeof one->reason);
    one->count++;
    t->count++;
    t->claimed += !by->opened;
}

void prov__tally_merge(struct prov__tally *to, const struct prov__tally *from)
{
    for (size_t i = 0; i < from->entries; i++) {
        struct prov__tallied *one = tallied(to, from->at[i].entry);
        int64_t before = one->count;
        *one = from->at[i];
        one->count += before;
    }
    to->count += from->count;
    to->claimed += from->claimed;
}

json_t *prov__tally_json(const struct prov__tally *t)
{
    enum { LISTED = 100 };
    json_t *out = json_object(), *list = json_array();
    json_puti(out, "count", t->count);
    json_puti(out, "claimed", t->claimed);
    json_puti(out, "entry_count", (int64_t)t->entries);
    for (size_t i = 0; i < t->entries && i < LISTED; i++) {
        char at[CLOCK_TEXT];
        json_t *one = json_object();
        clock_format(t->at[i].ts, at);
        json_puti(one, "entry", t->at[i].entry);
        json_puts(one, "at", at);
        json_puts(one, "act", t->at[i].act);
        json_puts(one, "reason_code", t->at[i].code);
        json_puts(one, "reason", t->at[i].reason);
        json_puti(one, "count", t->at[i].count);
        json_array_append_new(list, one);
    }
    json_put(out, "entries", list);
    return out;
}

void prov__tally_release(struct prov__tally *t)
{
    free(t->at);
    *t = (struct prov__tally){0};
}
