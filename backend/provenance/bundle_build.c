/* What a bundle holds, read from the log on a worker with a reader of its own. */
#include "backend/provenance/bundle_job.h"
#include "backend/provenance/erased.h"

#include "backend/base/clock.h"
#include "backend/base/embed.h"
#include "backend/base/text.h"
#include <stdlib.h>
#include <string.h>

enum { SLICE = 512 };

static bool stopped(const struct bundle__job *j)
{
    return __atomic_load_n(&j->cancelled, __ATOMIC_RELAXED);
}

/* ---- which entries ---- */

static void choose_one(struct bundle__job *j, int64_t seq)
{
    if (seq < 0 || seq >= j->base + j->head.size)
        return;
    if (j->seq_count % 1024 == 0)
        j->seqs = xrealloc(j->seqs, (j->seq_count + 1024) * sizeof *j->seqs);
    j->seqs[j->seq_count++] = seq;
}

static bool choose_row(void *arg, const struct store_row *row)
{
    struct bundle__job *j = arg;
    choose_one(j, store_int(row, 0));
    return j->seq_count <= BUNDLE_ENTRIES;
}

static void choose_range(struct bundle__job *j, int64_t from, int64_t to)
{
    for (int64_t seq = from < 0 ? 0 : from;
         seq < j->base + j->head.size && (to < 0 || seq <= to) && j->seq_count <= BUNDLE_ENTRIES;
         seq++)
        choose_one(j, seq);
}

/* A session's entries stand behind each other; its seal may stand in the next one. */
static void choose_session(struct bundle__job *j, struct store_db *db)
{
    int64_t first =
        store_scalar(db, -1, "SELECT first FROM sessions WHERE session = ?", "s", j->session);
    int64_t next =
        store_scalar(db, -1, "SELECT min(first) FROM sessions WHERE first > ?", "i", first);
    int64_t seal =
        store_scalar(db, -1, "SELECT seal FROM sessions WHERE session = ?", "s", j->session);
    if (first < 0)
        return;
    choose_range(j, first, next < 0 ? -1 : next - 1);
    if (next >= 0 && seal >= next)
        choose_one(j, seal);
}

static enum err choose(struct bundle__job *j, struct store_db *db)
{
    int64_t *given = j->seqs;
    size_t count = j->seq_count;
    enum err code = ERR_OK;
    j->seqs = NULL;
    j->seq_count = 0;
    if (j->seqs_given)
        for (size_t i = 0; i < count; i++)
            choose_one(j, given[i]);
    else if (j->session)
        choose_session(j, db);
    else if (j->trace_id)
        code = store_query(db, &j->error, choose_row, j,
                           "SELECT seq FROM entries WHERE trace_id = ? ORDER BY seq", "s",
                           j->trace_id);
    else
        choose_range(j, j->from, j->to);
    free(given);
    if (code == ERR_OK && j->seq_count == 0)
        code = err_set(&j->error, ERR_NOT_FOUND, "there is no entry of %s", j->scope);
    if (code == ERR_OK && j->seq_count > BUNDLE_ENTRIES)
        code = err_set(&j->error, ERR_TOO_BIG, "a bundle holds %d entries at most: choose a range",
                       BUNDLE_ENTRIES);
    return code;
}

/* How many entries from the chosen one at `at` on stand beside each other. */
static size_t run_of(const struct bundle__job *j, size_t at, size_t most)
{
    size_t n = 1;
    while (at + n < j->seq_count && n < most && j->seqs[at + n] == j->seqs[at] + (int64_t)n)
        n++;
    return n;
}

static int by_number(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

/* The entries that say why a chosen one has no payload any more belong to it. */
static enum err choose_erasures(struct bundle__job *j, struct store_db *db)
{
    size_t count = j->seq_count, kept = 0;
    enum err code = ERR_OK;
    for (size_t at = 0; at < count && code == ERR_OK;) {
        size_t n = run_of(j, at, count - at);
        code = store_query(db, &j->error, choose_row, j,
                           "SELECT DISTINCT entry FROM erased WHERE seq >= ? AND seq <= ?", "ii",
                           j->seqs[at], j->seqs[at + n - 1]);
        at += n;
    }
    qsort(j->seqs, j->seq_count, sizeof *j->seqs, by_number);
    for (size_t i = 0; i < j->seq_count; i++)
        if (i == 0 || j->seqs[i] != j->seqs[i - 1])
            j->seqs[kept++] = j->seqs[i];
    j->seq_count = kept;
    return code;
}

/* ---- entries and payloads ---- */

struct scan {
    struct bundle__job *job;
    struct store_db *db;
    struct buf ad, plain;
    struct prov__erased erased;
    size_t next; /* of the chosen seqs */
};

static void withhold(struct bundle__payload *p, const char *reason)
{
    p->state = BUNDLE__WITHHELD;
    p->reason = (struct prov__text){reason, strlen(reason)};
}

static void add_payload(struct scan *s, const struct store_row *row, const struct prov__header *h,
                        struct prov__text entry)
{
    struct bundle__job *j = s->job;
    struct bundle__payload p = {.seq = h->seq, .state = BUNDLE__ATTESTED};
    const char *problem = "";
    size_t len;
    const void *sealed = store_blob(row, 2, &len);
    memcpy(p.sealed_sha256, h->sha256, VAULT_HASH);
    const struct prov__erasure *by = NULL;
    enum err code = ERR_OK;
    if (!sealed && prov__erased_find(&s->erased, s->db, h->seq, &by, NULL) == PROV__ERASED) {
        p.state = BUNDLE__ERASED;
        p.erase_entry = by->entry;
    } else if (!sealed) {
        withhold(&p, "it is not there");
    } else if (!j->payloads && !prov__text_is(h->type, "erase")) {
        withhold(&p, "not asked for");
    } else {
        code = prov__payload_disclose(&j->data_keys, s->db, h, entry, sealed, len, &s->ad,
                                      &s->plain, p.commit_key, &problem, NULL);
        p.state = code == ERR_OK ? BUNDLE__DISCLOSED : BUNDLE__ATTESTED;
        p.plain = (struct prov__text){s->plain.data, s->plain.len};
        if (code != ERR_OK && code != ERR_UNSUPPORTED)
            withhold(&p, *problem ? "it does not open" : "its key is not here");
    }
    bundle__payload_write(&p, &j->file[BUNDLE__PAYLOADS]);
    j->states[p.state]++;
}

static bool add_entry(void *arg, const struct store_row *row)
{
    struct scan *s = arg;
    struct bundle__job *j = s->job;
    struct prov__header h;
    struct prov__text entry;
    entry.at = store_blob(row, 1, &entry.len);
    const char *problem = entry.at ? prov__entry_read(entry.at, entry.len, &h) : "it is empty";
    if (!problem && (h.seq != j->seqs[s->next] || store_int(row, 0) != h.seq))
        problem = "it is not where it should be";
    if (problem) {
        err_set(&j->error, ERR_TAMPERED, "entry %lld: %s", (long long)j->seqs[s->next], problem);
        return false;
    }
    buf_add(&j->file[BUNDLE__ENTRIES], entry.at, entry.len);
    buf_addc(&j->file[BUNDLE__ENTRIES], '\n');
    add_payload(s, row, &h, entry);
    s->next++;
    /* Half of what is allowed: the report and the lineage come on top. */
    if (j->file[BUNDLE__ENTRIES].len + j->file[BUNDLE__PAYLOADS].len > BUNDLE_MOST / 2)
        err_set(&j->error, ERR_TOO_BIG,
                "it would be larger than a bundle may be: choose a range, "
                "or leave the payloads out");
    return j->error.code == ERR_OK && s->next < j->seq_count;
}

/* Runs of entries beside each other, a slice at a time. */
static enum err add_entries(struct bundle__job *j, struct store_db *db)
{
    struct scan s = {.job = j, .db = db, .erased.vault = j->data_keys.vault};
    while (j->error.code == ERR_OK && s.next < j->seq_count && !stopped(j)) {
        int64_t from = j->seqs[s.next], to = from + (int64_t)run_of(j, s.next, SLICE);
        size_t before = s.next;
        enum err code = store_query(db, &j->error, add_entry, &s,
                                    "SELECT e.seq, e.entry, p.sealed FROM entries e"
                                    " LEFT JOIN payloads p ON p.seq = e.seq"
                                    " WHERE e.seq >= ? AND e.seq < ? ORDER BY e.seq",
                                    "ii", from, to);
        if (code == ERR_OK && j->error.code == ERR_OK && s.next - before != (size_t)(to - from))
            err_set(&j->error, ERR_TAMPERED, "entry %lld is not there", (long long)j->seqs[s.next]);
    }
    buf_release(&s.ad);
    buf_release(&s.plain);
    prov__erased_release(&s.erased);
    if (j->error.code == ERR_OK && stopped(j))
        err_set(&j->error, ERR_CLOSED, "the console stops");
    return j->error.code;
}

/* ---- proofs and checkpoints ---- */

struct rows {
    char *note[BUNDLE__NOTES]; /* the newest first */
    size_t count;
};

static bool keep_note(void *arg, const struct store_row *row)
{
    struct rows *r = arg;
    const char *note = store_text(row, 0);
    if (note)
        r->note[r->count++] = xstrdup(note);
    return true;
}

/* Over how many entries the checkpoint goes that most witnesses cosigned; -1: none covers `first`.
 */
static int64_t cosigned_size(struct bundle__job *j, struct store_db *db, const char *origin,
                             int64_t epoch, int64_t first)
{
    struct buf note = {0};
    struct prov__checkpoint c;
    int64_t size = -1;
    if (prov__cosigned_note(db, origin, epoch, first, &note, &j->error) == ERR_OK && note.len &&
        prov__note_read(note.data, note.len, &c) == NULL)
        size = c.head.size;
    buf_release(&note);
    return size;
}

/* The checkpoints of an epoch before the one that its entries are proved by, which cover the first
 * of them: oldest first, and what leads from each to the newest. With what witnesses signed. */
static enum err add_checkpoints(struct bundle__job *j, struct prov__stored *stored, int64_t first,
                                const char *origin, struct bundle__tree *t, struct buf *out)
{
    struct rows rows = {.count = 0};
    int64_t cosigned = cosigned_size(j, stored->db, origin, t->epoch, first);
    enum err code = store_query(stored->db, &j->error, keep_note, &rows,
                                "SELECT note FROM checkpoints WHERE epoch = ?1 AND size < ?3"
                                " AND (size = ?4 OR size IN (SELECT size FROM checkpoints"
                                " WHERE epoch = ?1 AND size > ?2 AND size < ?3"
                                " ORDER BY size DESC LIMIT 30)) ORDER BY size DESC",
                                "iiii", t->epoch, first, t->size, cosigned);
    for (size_t i = rows.count; i-- > 0 && code == ERR_OK;) {
        struct prov__checkpoint c;
        const char *problem = prov__note_read(rows.note[i], strlen(rows.note[i]), &c);
        if (problem)
            code = err_set(&j->error, ERR_TAMPERED, "a stored checkpoint: %s", problem);
        if (code == ERR_OK)
            code = prov__prove_consistency(prov__stored_node, stored, c.head.size, t->size,
                                           &t->consistency[t->consistency_count].proof, &j->error);
        t->consistency[t->consistency_count++].from = c.head.size;
        if (code == ERR_OK)
            code = bundle__note_add(stored->db, origin, c.head.size, rows.note[i],
                                    json_object_get(j->predicate, "witnesses"), out, &j->error);
    }
    for (size_t i = 0; i < rows.count; i++)
        free(rows.note[i]);
    return code;
}

static void describe_tree(struct bundle__job *j, const struct bundle__tree *t, const char *origin,
                          const uint8_t root[VAULT_HASH])
{
    char hex[2 * VAULT_HASH + 1];
    json_t *trees = json_object_get(j->predicate, "trees"), *tree = json_object();
    text_hex(root, VAULT_HASH, hex);
    json_puti(tree, "epoch", t->epoch);
    json_puti(tree, "base", t->base);
    json_puti(tree, "size", t->size);
    json_puts(tree, "root", hex);
    json_puts(tree, "origin", origin);
    json_array_append_new(trees, tree);
}

/* The tree of an epoch, with the chosen entries [from, from + count) that are in it. */
static enum err add_tree(struct bundle__job *j, struct store_db *db,
                         const struct prov__epoch *epoch, const char *note, size_t from,
                         size_t count)
{
    struct prov__checkpoint c;
    struct bundle__tree t = {.epoch = epoch->epoch, .base = epoch->base};
    struct prov__stored stored = {0};
    struct buf hashes = {0}, *notes = &j->tree[j->trees].checkpoints;
    const char *problem = prov__note_read(note, strlen(note), &c);
    if (problem)
        return err_set(&j->error, ERR_TAMPERED, "a stored checkpoint: %s", problem);
    char *origin = prov__origin(&j->keys.at[j->keys.count - 1].vkey, t.epoch);
    int64_t *index = xcalloc(count, sizeof *index);
    for (size_t i = 0; i < count; i++)
        index[i] = j->entries.seq[from + i] - t.base;
    struct cover__leaves leaves = {index, NULL, count};
    t.size = c.head.size;
    prov__stored_set(&stored, db, t.epoch, t.base);
    enum err code = cover__prove(prov__stored_node, &stored, t.size, &leaves, &hashes, &j->error);
    if (code == ERR_OK)
        code = add_checkpoints(j, &stored, index[0], origin, &t, notes);
    if (code == ERR_NOT_FOUND) /* a node of the tree that is not there */
        j->error.code = code = ERR_CORRUPT;
    if (code == ERR_OK)
        code = bundle__note_add(db, origin, t.size, note,
                                json_object_get(j->predicate, "witnesses"), notes, &j->error);
    t.cover = (const uint8_t *)hashes.data;
    t.cover_count = hashes.len / VAULT_HASH;
    bundle__proofs_write(&t, &j->tree[j->trees].proofs);
    describe_tree(j, &t, origin, c.head.root);
    j->tree[j->trees++].epoch = t.epoch;
    free(index);
    free(origin);
    buf_release(&hashes);
    prov__stored_release(&stored);
    return code;
}

/* The newest checkpoint of a past epoch; the present one's was signed for this bundle. */
static void newest_note(struct bundle__job *j, struct store_db *db, int64_t epoch, struct buf *out)
{
    struct rows rows = {.count = 0};
    buf_clear(out);
    if (epoch == j->epoch) {
        buf_add(out, j->note.data, j->note.len);
        return;
    }
    store_query(db, &j->error, keep_note, &rows,
                "SELECT note FROM checkpoints WHERE epoch = ? ORDER BY size DESC LIMIT 1", "i",
                epoch);
    if (rows.count)
        buf_adds(out, rows.note[0]);
    for (size_t i = 0; i < rows.count; i++)
        free(rows.note[i]);
}

/* Chosen entries of past epochs that no checkpoint covers cannot be proved: they are left out. */
static void leave_out(struct bundle__job *j, struct store_db *db)
{
    struct buf note = {0};
    struct prov__checkpoint c;
    size_t kept = 0;
    int64_t of = 0, until = 0; /* the epoch that `until` is known of */
    for (size_t i = 0; i < j->seq_count; i++) {
        const struct prov__epoch *epoch = prov__epoch_of(&j->epochs, j->seqs[i]);
        if (epoch->epoch != of) {
            of = epoch->epoch;
            newest_note(j, db, of, &note);
            until = note.len && prov__note_read(note.data, note.len, &c) == NULL
                        ? epoch->base + c.head.size
                        : epoch->base;
        }
        if (j->seqs[i] < until)
            j->seqs[kept++] = j->seqs[i];
    }
    j->left_out = (int64_t)(j->seq_count - kept);
    j->seq_count = kept;
    buf_release(&note);
    if (!kept && j->error.code == ERR_OK)
        err_set(&j->error, ERR_TAMPERED, "no checkpoint covers %s: nothing of it can be proved",
                j->scope);
}

static enum err add_trees(struct bundle__job *j, struct store_db *db)
{
    struct buf note = {0};
    json_put(j->predicate, "trees", json_array());
    json_put(j->predicate, "witnesses", json_array());
    for (size_t from = 0; from < j->entries.count && j->error.code == ERR_OK;) {
        const struct prov__epoch *epoch = prov__epoch_of(&j->epochs, j->entries.seq[from]);
        size_t count = 1;
        while (from + count < j->entries.count &&
               prov__epoch_of(&j->epochs, j->entries.seq[from + count]) == epoch)
            count++;
        newest_note(j, db, epoch->epoch, &note);
        if (j->trees == BUNDLE__EPOCHS)
            err_set(&j->error, ERR_TOO_BIG, "it touches more than %d epochs: choose a range",
                    BUNDLE__EPOCHS);
        else
            add_tree(j, db, epoch, note.data ? note.data : "", from, count);
        from += count;
    }
    buf_release(&note);
    return j->error.code;
}

/* ---- the statement ---- */

static json_t *sentences(const char *const *text)
{
    json_t *list = json_array();
    for (; *text; text++)
        json_array_append_new(list, json_string(*text));
    return list;
}

static void describe(struct bundle__job *j)
{
    static const char *const proves[] = {
        "each entry stands in the log at its number as it was written: changed, moved or put in, "
        "it would give another root",
        "the log's key signed that root, and the hash of each file of this bundle",
        "a disclosed payload is what its entry committed to when it was written", NULL};
    static const char *const proves_not[] = {
        "that the key is the log's own: compare it with one that was noted elsewhere",
        "that what an entry says is true: only that it was written then and not changed since",
        "that entries which are not in this bundle are unchanged, beyond the root that covers them",
        "policy, controls, software and lineage texts: these the console says of itself", NULL};
    char at[CLOCK_TEXT];
    json_t *p = j->predicate, *tool = json_object(), *entries = json_object(),
           *states = json_object();
    clock_format(j->created, at);
    json_puts(tool, "name", "mcp-console");
    json_puts(tool, "version", MCPC_VERSION);
    json_puts(p, "created", at);
    json_puti(p, "created_s", j->created / 1000);
    json_put(p, "tool", tool);
    json_puts(p, "environment", j->environment);
    json_puts(p, "exporter", j->actor);
    json_puts(p, "scope", j->scope);
    json_puti(entries, "count", (int64_t)j->entries.count);
    json_puti(entries, "first", j->entries.seq[0]);
    json_puti(entries, "last", j->entries.seq[j->entries.count - 1]);
    json_puti(entries, "left_out", j->left_out);
    json_put(p, "entries", entries);
    for (int i = 0; i < 4; i++)
        json_puti(states, bundle__states[i], j->states[i]);
    json_put(p, "payloads", states);
    json_put(p, "verification", j->verified ? json_deep_copy(j->verified) : json_null());
    json_put(p, "proves", sentences(proves));
    json_put(p, "does_not_prove", sentences(proves_not));
}

static void add_json(struct bundle__job *j, enum bundle__part part, const json_t *value)
{
    if (jcs_write(value, &j->file[part]) != ERR_OK && j->error.code == ERR_OK)
        err_set(&j->error, ERR_INTERNAL, "%s holds what canonical JSON cannot",
                bundle__names[part]);
}

static void add_subject(json_t *list, const char *name, const struct buf *file)
{
    uint8_t hash[VAULT_HASH];
    char hex[2 * VAULT_HASH + 1];
    json_t *subject = json_object(), *digest = json_object();
    vault_sha256(file->data, file->len, NULL, 0, hash);
    text_hex(hash, VAULT_HASH, hex);
    json_puts(digest, "sha256", hex);
    json_puts(subject, "name", name);
    json_put(subject, "digest", digest);
    json_array_append_new(list, subject);
}

/* Every member in its order; those of trees stand in for BUNDLE__TREES. */
typedef void each_member(void *arg, const char *name, const struct buf *file);

static void members_each(const struct bundle__job *j, each_member *fn, void *arg)
{
    char name[TAR__NAME];
    for (int part = 0; part < BUNDLE__PARTS; part++) {
        if (part != BUNDLE__TREES) {
            fn(arg, bundle__names[part], &j->file[part]);
            continue;
        }
        for (size_t i = 0; i < j->trees; i++) {
            snprintf(name, sizeof name, "proofs/%lld", (long long)j->tree[i].epoch);
            fn(arg, name, &j->tree[i].proofs);
            snprintf(name, sizeof name, "checkpoints/%lld", (long long)j->tree[i].epoch);
            fn(arg, name, &j->tree[i].checkpoints);
        }
    }
}

static void subject_of(void *arg, const char *name, const struct buf *file)
{
    if (strcmp(name, bundle__names[BUNDLE__STATE]) != 0 &&
        strcmp(name, bundle__names[BUNDLE__DSSE]) != 0)
        add_subject(arg, name, file);
}

static void make_statement(struct bundle__job *j)
{
    json_t *statement = json_object(), *subjects = json_array();
    members_each(j, subject_of, subjects);
    json_puts(statement, "_type", BUNDLE__STATEMENT);
    json_put(statement, "subject", subjects);
    json_puts(statement, "predicateType", BUNDLE__PREDICATE);
    json_put(statement, "predicate", json_incref(j->predicate));
    add_json(j, BUNDLE__STATE, statement);
    json_decref(statement);
}

static void add_readme(struct bundle__job *j)
{
    for (const struct embed_file *f = embed_bundle; f->name; f++)
        if (strstr(f->name, "/README.md"))
            buf_add(&j->file[BUNDLE__README], f->data, f->size);
}

static enum err build(struct bundle__job *j, struct store_db *db)
{
    size_t at;
    struct buf *entries = &j->file[BUNDLE__ENTRIES], *payloads = &j->file[BUNDLE__PAYLOADS];
    if (prov__epochs_load(&j->epochs, db, &j->error) != ERR_OK || choose(j, db) != ERR_OK ||
        choose_erasures(j, db) != ERR_OK)
        return j->error.code;
    leave_out(j, db);
    if (j->error.code != ERR_OK || add_entries(j, db) != ERR_OK)
        return j->error.code;
    const char *problem = bundle__entries_read(entries->data, entries->len, &j->entries, &at);
    if (problem)
        return err_set(&j->error, ERR_TAMPERED, "entry %lld: %s", (long long)j->seqs[at], problem);
    if (add_trees(j, db) != ERR_OK)
        return j->error.code;
    describe(j);
    bundle__keys_write(&j->keys, &j->file[BUNDLE__KEYS]);
    add_json(j, BUNDLE__POLICY, j->policy);
    json_t *oscal = bundle__oscal(j->controls, j->created, &j->file[BUNDLE__POLICY], entries);
    add_json(j, BUNDLE__CONTROLS, oscal);
    json_decref(oscal);
    add_json(j, BUNDLE__SBOM, j->sbom);
    bundle__lineage(&j->entries, &j->file[BUNDLE__LINEAGE]);
    add_readme(j);
    struct bundle__report report = {.predicate = j->predicate,
                                    .entries = &j->entries,
                                    .payloads = {payloads->data, payloads->len},
                                    .keys = &j->keys,
                                    .policy = j->policy,
                                    .controls = j->controls,
                                    .note = j->note.data};
    bundle__report(&report, &j->file[BUNDLE__REPORT]);
    make_statement(j);
    return j->error.code;
}

void bundle__build(void *arg)
{
    struct bundle__job *j = arg;
    struct store_db *db = store_db_open(j->path, &j->error);
    j->created = clock_real_ms();
    j->predicate = json_object();
    if (db)
        build(j, db);
    store_db_close(db);
    prov__keys_release(&j->data_keys);
}

/* ---- the archive ---- */

struct packing {
    struct buf *tar;
    int64_t mtime;
};

static void pack(void *arg, const char *name, const struct buf *file)
{
    struct packing *p = arg;
    tar__add(p->tar, name, file->data, file->len, p->mtime);
}

void bundle__finish(void *arg)
{
    struct bundle__job *j = arg;
    uint8_t hash[VAULT_HASH];
    char key[VAULT_LABEL];
    const struct buf *statement = &j->file[BUNDLE__STATE];
    struct packing p = {&j->bundle->tar, j->created / 1000};
    members_each(j, pack, &p);
    tar__end(p.tar);
    vault_sha256(statement->data, statement->len, NULL, 0, hash);
    text_hex(hash, VAULT_HASH, j->bundle->sha256);
    prov__vkey_write(&j->keys.at[j->keys.count - 1].vkey, key);
    struct bundle_given given = {p.tar->data, p.tar->len, key, NULL, NULL};
    json_t *report = bundle_verify(&given); /* U1 */
    if (!json_flag(report, "ok", false))
        err_set(&j->error, ERR_TAMPERED, "%s",
                json_str(json_array_get(json_object_get(report, "problems"), 0), "text", ""));
    json_decref(report);
}
