/* The end of a verification: what stands at the ends of the log and of its epochs' trees. A problem
 * is put where a new epoch leaves it behind (Q2 of tamper.c). */
#include "backend/provenance/tamper.h"
#include "backend/provenance/verify.h"

#include <string.h>

/* Something stands behind the log's end, up to `last`. */
static void behind(struct prov_verify *run, int64_t size, int64_t last, const char *what)
{
    bool far = last - size > PROV__FAR;
    verify__add(&run->problems, far ? last : size, "tail",
                "the log has %lld entries, there is %s %lld", (long long)size, what,
                (long long)last);
    verify__until(&run->problems, last);
}

static bool check_ends(void *arg, const struct store_row *row)
{
    struct prov_verify *run = arg;
    size_t head_len, entry_len;
    uint8_t hash[VAULT_HASH] = {0};
    int64_t size = store_int(row, 0), entries = store_int(row, 2), payloads = store_int(row, 5);
    const void *head = store_blob(row, 1, &head_len);
    const void *entry = store_blob(row, 3, &entry_len);
    if (entry)
        vault_sha256(entry, entry_len, NULL, 0, hash);
    if (entries > size) {
        behind(run, size < 0 ? 0 : size, entries - 1, "an entry");
    } else if (entries < size) {
        verify__add(&run->problems, entries, "tail",
                    "the stored head counts %lld entries, there are entries up to %lld",
                    (long long)size, (long long)entries - 1);
        verify__until(&run->problems, size - entries > PROV__FAR ? entries : size - 1);
    } else if (head_len != VAULT_HASH || memcmp(head, hash, VAULT_HASH) != 0) {
        verify__add(&run->problems, entries - 1, "head",
                    "the stored head is not the hash of the last entry");
    }
    if (entries < run->size) {
        verify__add(&run->problems, entries, "tail",
                    "this console wrote entries up to %lld, they end before %lld",
                    (long long)run->size - 1, (long long)entries);
        verify__until(&run->problems, run->size - 1);
    }
    if (store_int(row, 4) < 0)
        verify__add(&run->problems, -1, "extra", "there is an entry %lld",
                    (long long)store_int(row, 4));
    if (payloads > entries && payloads > size)
        behind(run, size > entries ? size : entries, payloads - 1, "a payload");
    if (store_int(row, 6))
        verify__add(&run->problems, -1, "tail", "there are tree nodes of no level or epoch");
    if (store_int(row, 7))
        verify__add(&run->problems, -1, "tail",
                    "there are sessions that begin behind the last entry");
    if (store_int(row, 8))
        verify__add(&run->problems, -1, "epoch", "the table of epochs names one that is none");
    return false;
}

static bool see(void *arg, const struct store_row *row)
{
    *(bool *)arg = store_int(row, 0) != 0;
    return false;
}

/* Nodes behind the end of an epoch's tree, and its row. */
static void check_trees(struct prov_verify *run)
{
    struct error e = {0};
    for (size_t i = 0; i < run->epochs.count; i++) {
        bool stray = false, last = i + 1 == run->epochs.count;
        const struct prov__epoch *epoch = &run->epochs.at[i];
        /* The present one grows: its size as of the same moment. */
        enum err code = store_query(store_reader(run->prov->store), &e, see, &stray,
                                    "SELECT EXISTS(SELECT 1 FROM tree WHERE epoch = ?1 AND idx >="
                                    " ((iif(?2, (SELECT size FROM tree_head), ?3) - ?4) >> level))",
                                    "iiii", epoch->epoch, (int64_t)last,
                                    last ? INT64_C(0) : epoch[1].base, epoch->base);
        int64_t end = last ? run->size : epoch[1].base;
        if (code != ERR_OK)
            verify__add(&run->problems, -1, "unreadable", "%s", e.detail);
        else if (stray)
            verify__add(&run->problems, end - 1, "tail",
                        "there are tree nodes behind the last entry of epoch %lld",
                        (long long)epoch->epoch);
        if (store_scalar(store_reader(run->prov->store), 0,
                         "SELECT 1 FROM epochs WHERE epoch = ? AND base = ?", "ii", epoch->epoch,
                         epoch->base) != 1)
            verify__add(&run->problems, epoch->base, "epoch",
                        "the table of epochs does not say where epoch %lld begins",
                        (long long)epoch->epoch);
    }
}

static void check_known(struct prov_verify *run)
{
    const struct verify__epoch *last = &run->found[run->found_count - 1];
    if (memcmp(run->last, run->head, VAULT_HASH) != 0)
        verify__add(&run->problems, run->size - 1, "head",
                    "the last entry is not the head that this console knows");
    if (memcmp(last->root, run->root, VAULT_HASH) != 0)
        verify__add(&run->problems, run->size - 1, "root",
                    "the entries give another root than the one that this console knows");
}

/* The codes of what is found without a verification. */
static const char *literal(const char *code)
{
    static const char *const codes[] = {"head", "tree", "rollback", "checkpoint"};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (strcmp(codes[i], code) == 0)
            return codes[i];
    return "tail";
}

/* Q4 of tamper.c. */
static void add_found(struct prov_verify *run)
{
    const json_t *one;
    size_t i;
    json_array_foreach(run->prov->found, i, one)
    {
        int64_t seq = json_int(one, "seq", -1), to = json_int(one, "to", seq);
        if (seq >= run->prov->durable.base) /* what is there now is the new epoch */
            seq = to = -1;
        verify__add(&run->problems, seq, literal(json_str(one, "code", "")), "found before: %s",
                    json_str(one, "text", ""));
        verify__until(&run->problems, to);
    }
}

void verify__check_ends(struct prov_verify *run)
{
    struct error e = {0};
    if (!run->rootless)
        check_known(run);
    add_found(run);
    /* One statement: one state of the database, even while entries are being written. */
    enum err code = store_query(
        store_reader(run->prov->store), &e, check_ends, run,
        "SELECT h.size, h.head, (SELECT coalesce(max(seq), -1) + 1 FROM entries),"
        " (SELECT entry FROM entries ORDER BY seq DESC LIMIT 1),"
        " (SELECT coalesce(min(seq), 0) FROM entries),"
        " (SELECT coalesce(max(seq), -1) + 1 FROM payloads),"
        " EXISTS(SELECT 1 FROM tree WHERE level % 8 <> 0"
        " OR epoch NOT IN (SELECT epoch FROM epochs)),"
        " EXISTS(SELECT 1 FROM sessions WHERE first >= h.size),"
        " EXISTS(SELECT 1 FROM epochs o WHERE epoch > 1 AND NOT EXISTS(SELECT 1 FROM entries"
        " WHERE seq = o.base AND type = 'epoch.start'))"
        " FROM tree_head h WHERE h.id = 1",
        "");
    if (code != ERR_OK)
        verify__add(&run->problems, -1, "unreadable", "%s", e.detail);
    check_trees(run);
}
