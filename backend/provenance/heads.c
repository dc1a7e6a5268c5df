/* Verification of checkpoints, on a worker: those of the table, those written beside the database,
 * and those that were kept elsewhere and are given. */
#include "backend/provenance/cosign.h"
#include "backend/provenance/verify.h"

#include <stdlib.h>
#include <string.h>

struct source { /* of the notes that are being looked at */
    struct verify__heads *heads;
    struct store_db *db;
    const char *name;
    int64_t *count;
    bool given;
};

static bool cancelled(const struct verify__heads *h)
{
    return __atomic_load_n(h->cancelled, __ATOMIC_RELAXED);
}

/* Where an epoch ends, so far; the number of an entry that is not there. */
static int64_t epoch_end(struct source *s, size_t at, int64_t size)
{
    struct verify__heads *h = s->heads;
    if (at + 1 < h->epochs.count) /* there may be numbers that nobody wrote */
        return store_scalar(s->db, 0,
                            "SELECT coalesce(max(seq) + 1, ?1) FROM entries"
                            " WHERE seq >= ?1 AND seq < ?2",
                            "ii", h->epochs.at[at].base, h->epochs.at[at + 1].base);
    /* What stands in a file is not older than the log: it was logged first (H2 of checkpoint.c). */
    if (h->epochs.at[at].base + size > h->log_size)
        h->log_size = store_scalar(s->db, 0, "SELECT size FROM tree_head WHERE id = 1", "");
    return h->log_size;
}

static void rolled_back(struct source *s, int64_t end, const char *origin, int64_t size)
{
    verify__add(&s->heads->problems, end, "rollback",
                "a checkpoint %s covers %lld entries of %s, there are not so many: the log is an "
                "older copy, or its end was cut off",
                s->name, (long long)size, origin);
}

static void check_root(struct source *s, const struct prov__epoch *epoch,
                       const struct prov__head *head)
{
    struct verify__heads *h = s->heads;
    uint8_t root[VAULT_HASH];
    struct error e = {0};
    int64_t last = epoch->base + head->size - 1;
    if (h->tree.db != s->db || h->tree.epoch != epoch->epoch)
        prov__stored_set(&h->tree, s->db, epoch->epoch, epoch->base);
    if (prov__root_at(prov__stored_node, &h->tree, head->size, root, &e) != ERR_OK)
        verify__add(&h->problems, last, "checkpoint",
                    "the tree for the checkpoint %s over %lld entries: %s", s->name,
                    (long long)head->size, e.detail);
    else if (memcmp(root, head->root, VAULT_HASH) != 0)
        verify__add(&h->problems, last, "checkpoint",
                    "the first %lld entries are not those that the checkpoint %s was signed over",
                    (long long)head->size, s->name);
}

/* Where what it covers ends. */
static int64_t check_tree(struct source *s, const struct prov__checkpoint *c)
{
    struct verify__heads *h = s->heads;
    int64_t number = prov__origin_epoch(&h->key, c->origin);
    size_t at = 0;
    while (at < h->epochs.count && h->epochs.at[at].epoch < number)
        at++;
    bool known = at < h->epochs.count && h->epochs.at[at].epoch == number;
    const struct prov__epoch *epoch = &h->epochs.at[at < h->epochs.count ? at : at - 1];
    char *origin = prov__origin(&h->key, number);
    if (!known && at < h->epochs.count) { /* it was lost before that one began */
        rolled_back(s, epoch->base - 1, origin, c->head.size);
    } else {
        int64_t end = epoch_end(s, (size_t)(epoch - h->epochs.at), c->head.size);
        if (!known || c->head.size > end - epoch->base)
            rolled_back(s, end, origin, c->head.size);
        else
            check_root(s, epoch, &c->head);
    }
    free(origin);
    return epoch->base + c->head.size;
}

/* Who cosigned it, of those who are asked about. */
static void check_cosigned(struct source *s, const struct prov__checkpoint *c, int64_t end)
{
    struct verify__heads *h = s->heads;
    for (int i = 0; i < h->seen_count; i++) {
        struct verify__seen *seen = &h->seen[i];
        struct prov__cosignature by = {0};
        enum prov__signed is = prov__cosigned(c, &seen->key, &by);
        if (is == PROV__FORGED) {
            verify__add(&h->problems, -1, "given",
                        "checkpoint %lld %s: the cosignature of %s does not verify",
                        (long long)*s->count, s->name, seen->key.name);
            h->unproved++;
        } else if (is == PROV__SIGNED && end >= seen->end) {
            seen->end = end;
            seen->at = by.at;
        }
    }
}

static void miss_cosigned(struct verify__heads *h)
{
    for (int i = 0; i < h->seen_count; i++) {
        if (h->seen[i].end >= 0)
            continue;
        verify__add(&h->problems, -1, "given", "nothing that was given is cosigned by %s",
                    h->seen[i].key.name);
        h->unproved++;
    }
}

static bool check_note(void *arg, const char *bytes, size_t len)
{
    struct source *s = arg;
    struct verify__heads *h = s->heads;
    struct prov__checkpoint c;
    const char *problem = prov__note_read(bytes, len, &c);
    bool swapped = false;
    if (!problem)
        problem = prov__trust_check(&h->trust, &c, prov__note_end(&h->epochs, &c), &swapped);
    if (!problem && prov__origin_epoch(&h->key, c.origin) == 0)
        problem = "it is of another log";
    ++*s->count;
    if (problem) {
        const char *code = swapped ? "key" : s->given ? "given" : "checkpoint";
        verify__add(&h->problems, -1, code, "checkpoint %lld %s: %s", (long long)*s->count, s->name,
                    problem);
        h->unproved += s->given; /* what is not ours says nothing about our log */
    } else {
        int64_t end = check_tree(s, &c);
        if (end > h->newest)
            h->newest = end;
        if (s->given && end > h->newest_given) {
            h->newest_given = end;
            h->given_base = end - c.head.size;
        }
        if (s->given)
            check_cosigned(s, &c, end);
    }
    return !cancelled(h);
}

static bool see(void *arg, const struct store_row *row)
{
    (void)row;
    *(bool *)arg = true;
    return false;
}

/* A record that is being written just now, or that a crash cut short, is the beginning of one that
 * the table has (F1 of files.c). */
static bool being_written(struct source *s, const char *bytes, size_t len)
{
    bool found = false;
    char *text = xstrndup(bytes, len);
    if (strlen(text) == len && len < PROV__NOTE_MAX)
        store_query(s->db, &s->heads->error, see, &found,
                    "SELECT 1 FROM checkpoints WHERE substr(note, 1, length(?1)) = ?1", "s", text);
    free(text);
    return found;
}

static bool check_other(void *arg, const char *bytes, size_t len)
{
    struct source *s = arg;
    if (!s->given && being_written(s, bytes, len))
        return true;
    verify__add(&s->heads->problems, -1, s->given ? "given" : "checkpoint",
                "there is text that is no checkpoint %s, behind %lld of them", s->name,
                (long long)*s->count);
    s->heads->unproved += s->given;
    return !cancelled(s->heads);
}

struct page {
    struct source source;
    int64_t epoch, after;
    bool more;
};

static bool check_row(void *arg, const struct store_row *row)
{
    struct page *page = arg;
    struct verify__heads *h = page->source.heads;
    const char *note = store_text(row, 1);
    struct prov__checkpoint c;
    page->after = store_int(row, 0);
    page->epoch = store_int(row, 3);
    page->more = true;
    int64_t last = store_int(row, 4) + page->after - 1;
    if (store_int(row, 2))
        verify__add(&h->problems, last, "checkpoint",
                    "the stored checkpoint over %lld entries names an entry that is none",
                    (long long)page->after);
    if (!note || prov__note_read(note, strlen(note), &c) != NULL || c.head.size != page->after ||
        prov__note_epoch(c.origin) != page->epoch)
        verify__add(&h->problems, last, "checkpoint",
                    "the stored checkpoint at %lld is not one over so many entries",
                    (long long)page->after);
    else
        return check_note(&page->source, note, strlen(note));
    return !cancelled(h);
}

static void check_table(struct verify__heads *h, struct store_db *db)
{
    struct page page = {{h, db, "in the database", &h->stored, false}, -1, -1, true};
    while (page.more && h->error.code == ERR_OK && !cancelled(h)) {
        page.more = false;
        store_query(db, &h->error, check_row, &page,
                    "SELECT size, note, entry IS NOT NULL AND NOT EXISTS(SELECT 1 FROM entries"
                    " WHERE seq = checkpoints.entry AND type = 'checkpoint'), epoch,"
                    " ifnull((SELECT base FROM epochs WHERE epoch = checkpoints.epoch), 0)"
                    " FROM checkpoints WHERE (epoch, size) > (?, ?) ORDER BY epoch, size LIMIT 500",
                    "ii", page.epoch, page.after);
    }
}

static bool take_seq(void *arg, const struct store_row *row)
{
    *(int64_t *)arg = store_int(row, 0);
    return false;
}

/* H4 of checkpoint.c, read backwards: what the log says was signed is in the table. */
static void check_logged(struct verify__heads *h, struct store_db *db)
{
    int64_t lost = -1, more = 0;
    if (h->error.code == ERR_OK)
        store_query(db, &h->error, take_seq, &more,
                    "SELECT (SELECT count(*) FROM entries WHERE type = 'checkpoint') >"
                    " (SELECT count(*) FROM checkpoints WHERE entry IS NOT NULL)",
                    "");
    if (h->error.code == ERR_OK && more && !cancelled(h))
        store_query(db, &h->error, take_seq, &lost,
                    "SELECT seq FROM entries WHERE type = 'checkpoint' AND seq NOT IN"
                    " (SELECT entry FROM checkpoints WHERE entry IS NOT NULL) ORDER BY seq LIMIT 1",
                    "");
    if (lost >= 0)
        verify__add(&h->problems, lost, "checkpoint",
                    "the checkpoint that this entry tells of is not in the database any more");
}

static bool has_row(struct source *s, const struct prov__checkpoint *c)
{
    bool found = false;
    store_query(s->db, NULL, see, &found, "SELECT 1 FROM checkpoints WHERE epoch = ? AND size = ?",
                "ii", prov__note_epoch(c->origin), c->head.size);
    return found;
}

/* A note that stands in the table too, byte by byte, was checked there. */
static bool check_written(void *arg, const char *bytes, size_t len)
{
    struct source *s = arg;
    struct prov__checkpoint c;
    bool known = false;
    if (prov__note_read(bytes, len, &c) == NULL) {
        char *note = xstrndup(bytes, len);
        store_query(s->db, NULL, see, &known,
                    "SELECT 1 FROM checkpoints WHERE epoch = ? AND size = ? AND note = ?", "iis",
                    prov__note_epoch(c.origin), c.head.size, note);
        free(note);
    }
    if (known) {
        ++*s->count;
        return !cancelled(s->heads);
    }
    int64_t before = s->heads->problems.count;
    bool more = check_note(s, bytes, len);
    /* H2 of checkpoint.c: the table had it first. */
    if (s->heads->problems.count == before && !has_row(s, &c))
        verify__add(&s->heads->problems, -1, "checkpoint",
                    "the checkpoint %s over %lld entries is not in the database any more", s->name,
                    (long long)c.head.size);
    return more;
}

static void check_files(struct verify__heads *h, struct store_db *db)
{
    int64_t newest = 0;
    struct source all = {h, db, "in the file `checkpoints`", &h->written, false};
    struct source one = {h, db, "in the file `checkpoint`", &newest, false};
    if (h->error.code == ERR_OK)
        prov__files_read(h->dir, "checkpoints", check_written, check_other, &all, &h->error);
    if (h->error.code == ERR_OK)
        prov__files_read(h->dir, "checkpoint", check_written, check_other, &one, &h->error);
    if (newest > 1)
        verify__add(&h->problems, -1, "checkpoint", "the file `checkpoint` holds %lld of them",
                    (long long)newest);
}

void verify__heads_check(struct verify__heads *h)
{
    struct store_db *db = store_db_open(h->path, &h->error);
    if (!db)
        return;
    verify__heads_keys(h, db);
    check_table(h, db);
    check_logged(h, db);
    check_files(h, db);
    if (h->given.len && h->error.code == ERR_OK) {
        int64_t before = h->problems.count;
        struct source s = {h, db, "given", &h->given_count, true};
        prov__notes_each(h->given.data, h->given.len, check_note, check_other, &s);
        if (h->given_count == 0 && h->problems.count == before) {
            verify__add(&h->problems, -1, "given", "what was given holds no checkpoint");
            h->unproved++;
        }
        miss_cosigned(h);
    }
    h->done = true;
    prov__stored_release(&h->tree);
    store_db_close(db);
}

/* ---- how far a checkpoint goes ---- */

struct furthest {
    const struct prov *prov;
    int64_t end;
};

static bool take_end(void *arg, const char *bytes, size_t len)
{
    struct furthest *f = arg;
    const struct prov__epochs *epochs = &f->prov->epochs;
    struct prov__checkpoint c;
    if (prov__note_read(bytes, len, &c) != NULL)
        return true;
    for (size_t i = 0; i < epochs->count; i++)
        if (epochs->at[i].epoch == prov__note_epoch(c.origin) &&
            epochs->at[i].base + c.head.size > f->end)
            f->end = epochs->at[i].base + c.head.size;
    return true;
}

static bool pass_by(void *arg, const char *bytes, size_t len)
{
    (void)arg, (void)bytes, (void)len;
    return true;
}

/* Whether it is signed is the run's matter. */
int64_t prov_checkpoint_end(const struct prov *p, const char *notes, struct error *e)
{
    struct furthest f = {p, -1};
    prov__notes_each(notes, strlen(notes), take_end, pass_by, &f);
    if (f.end < 0)
        err_set(e, ERR_INVALID, "there is no checkpoint of an epoch of this log in it");
    return f.end;
}
