/* Verification of one slice of the log, on a worker: everything that can be said of its entries
 * alone and of the entry before. */
#include "backend/base/text.h"
#include "backend/provenance/verify.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void verify__add(struct verify__problems *p, int64_t seq, const char *code, const char *format, ...)
{
    p->count++;
    if (p->listed == VERIFY__PROBLEMS)
        return;
    struct verify__problem *at = &p->list[p->listed++];
    va_list args;
    at->seq = at->to = seq;
    at->code = code;
    va_start(args, format);
    vsnprintf(at->text, sizeof at->text, format, args);
    va_end(args);
}

void verify__until(struct verify__problems *p, int64_t to)
{
    struct verify__problem *last = &p->list[p->listed - 1];
    if (p->listed && p->count == (int64_t)p->listed && to > last->to)
        last->to = to;
}

static void missing(struct verify__slice *s, int64_t until)
{
    if (s->next >= until)
        return;
    if (until - s->next == 1)
        verify__add(&s->problems, s->next, "missing", "entry %lld is not there",
                    (long long)s->next);
    else
        verify__add(&s->problems, s->next, "missing", "entries %lld to %lld are not there",
                    (long long)s->next, (long long)until - 1);
    verify__until(&s->problems, until - 1);
    s->next = until;
    s->prev_known = false;
}

static bool same(const char *column, struct prov__text text)
{
    return column && strlen(column) == text.len && memcmp(column, text.at, text.len) == 0;
}

/* The columns beside an entry serve look-ups only; but a look-up must not lie. */
static void check_columns(struct verify__slice *s, const struct store_row *row, int64_t seq,
                          const struct prov__header *h)
{
    const char *session = store_text(row, 4), *trace = store_text(row, 6);
    if (store_int(row, 3) != h->ts || !session || strcmp(session, h->session) != 0 ||
        !same(store_text(row, 5), h->type) || strcmp(trace ? trace : "", h->trace_id) != 0)
        verify__add(&s->problems, seq, "columns",
                    "the columns beside entry %lld do not say what it says", (long long)seq);
}

static void note_session(struct verify__slice *s, int64_t seq, const char *id)
{
    if (s->session_count && strcmp(s->sessions[s->session_count - 1].id, id) == 0)
        return;
    if (s->session_count == s->session_cap) {
        s->session_cap = s->session_cap ? 2 * s->session_cap : 16;
        s->sessions = xrealloc(s->sessions, s->session_cap * sizeof *s->sessions);
    }
    struct verify__session *at = &s->sessions[s->session_count++];
    at->first = seq;
    snprintf(at->id, sizeof at->id, "%s", id);
}

static void note_seal(struct verify__slice *s, int64_t seq)
{
    json_t *payload = json_read(s->plain.data, s->plain.len, PROV__MAX_PAYLOAD, 64, NULL);
    if (s->seal_count == s->seal_cap) {
        s->seal_cap = s->seal_cap ? 2 * s->seal_cap : 16;
        s->seals = xrealloc(s->seals, s->seal_cap * sizeof *s->seals);
    }
    struct verify__seal *at = &s->seals[s->seal_count++];
    at->seq = seq;
    at->first = json_int(payload, "first", -1);
    at->entries = json_int(payload, "entries", -1);
    snprintf(at->session, sizeof at->session, "%s", json_str(payload, "session", ""));
    snprintf(at->root, sizeof at->root, "%s", json_str(payload, "root", ""));
    json_decref(payload);
}

/* What an epoch.start says of the epoch before (the payload is in s->plain). */
static void note_start(struct verify__slice *s, int64_t seq, const struct prov__header *h)
{
    json_t *payload = json_read(s->plain.data, s->plain.len, PROV__MAX_PAYLOAD, 64, NULL);
    const json_t *prior = json_object_get(payload, "prior");
    char prev[2 * VAULT_HASH + 1];
    s->start = (struct verify__start){
        .seq = seq, .epoch = json_int(payload, "epoch", -1), .size = json_int(prior, "size", -1)};
    snprintf(s->start.head, sizeof s->start.head, "%s", json_str(prior, "head", ""));
    snprintf(s->start.root, sizeof s->start.root, "%s", json_str(prior, "root", ""));
    text_hex(h->prev, VAULT_HASH, prev);
    if (seq != s->base || s->start.epoch != s->epoch || strcmp(prev, s->start.head) != 0)
        verify__add(&s->problems, seq, "epoch", "entry %lld begins an epoch that is not there",
                    (long long)seq);
    json_decref(payload);
}

static bool see(void *arg, const struct store_row *row)
{
    (void)row;
    *(bool *)arg = true;
    return false;
}

/* The table of checkpoints repeats what the log holds. */
static void check_checkpoint(struct verify__slice *s, int64_t seq)
{
    bool found = false;
    json_t *payload = json_read(s->plain.data, s->plain.len, PROV__MAX_PAYLOAD, 64, NULL);
    store_query(s->db, &s->error, see, &found,
                "SELECT 1 FROM checkpoints WHERE epoch = ? AND size = ? AND entry = ? AND note = ?",
                "iiis", json_int(payload, "epoch", 1), json_int(payload, "size", -1), seq,
                json_str(payload, "note", ""));
    if (!found && s->error.code == ERR_OK)
        verify__add(&s->problems, seq, "checkpoint",
                    "the checkpoint that entry %lld logs is not the one in the table",
                    (long long)seq);
    json_decref(payload);
}

/* An erase entry and the tables must agree. */
static void check_erase(struct verify__slice *s, int64_t seq)
{
    char text[160];
    json_t *payload = json_read(s->plain.data, s->plain.len, PROV__MAX_PAYLOAD, 64, NULL);
    if (!prov__erase_agrees(s->db, seq, payload, text, &s->error))
        verify__add(&s->problems, seq, "erase", "erase entry %lld: %s", (long long)seq, text);
    json_decref(payload);
}

/* A payload that is not there is no problem if the log says that it was erased. */
static bool was_erased(struct verify__slice *s, int64_t seq)
{
    const struct prov__erasure *by = NULL;
    s->erased.vault = s->keys.vault;
    if (prov__erased_find(&s->erased, s->db, seq, &by, &s->error) == PROV__KEPT)
        return false;
    prov__tally_add(&s->tally, by);
    return true;
}

static void broken(void *arg, int64_t seq, const char *text)
{
    struct verify__slice *s = arg;
    verify__add(&s->problems, seq, "lineage", "%s", text);
}

static void check_passages(struct verify__slice *s, const struct prov__header *h)
{
    int64_t chunks;
    json_t *payload = json_read(s->plain.data, s->plain.len, PROV__MAX_PAYLOAD, 64, NULL);
    prov__lineage_payload(h, payload, &chunks, broken, s);
    json_decref(payload);
}

static void check_payload(struct verify__slice *s, const struct store_row *row, int64_t seq,
                          const struct prov__header *h, struct prov__text entry)
{
    const char *problem = "";
    struct error e = {0};
    size_t len;
    const void *sealed = store_blob(row, 7, &len);
    enum err code =
        prov__payload(&s->keys, s->db, h, entry, sealed, len, &s->ad, &s->plain, &problem, &e);
    if (code == ERR_OK) {
        s->payloads++;
        if (same("session.seal", h->type))
            note_seal(s, seq);
        else if (same("checkpoint", h->type))
            check_checkpoint(s, seq);
        else if (same("erase", h->type))
            check_erase(s, seq);
        else if (same("epoch.start", h->type))
            note_start(s, seq, h);
        else if (same("retrieval", h->type))
            check_passages(s, h);
    } else if (*problem && (sealed || !was_erased(s, seq))) {
        verify__add(&s->problems, seq, problem, "entry %lld: %s", (long long)seq, e.detail);
    }
}

static void check_header(struct verify__slice *s, const struct store_row *row, int64_t seq,
                         const struct prov__header *h)
{
    if (h->seq != seq)
        verify__add(&s->problems, seq, "seq", "the entry at %lld calls itself %lld", (long long)seq,
                    (long long)h->seq);
    if (s->prev_known && memcmp(h->prev, s->prev, VAULT_HASH) != 0)
        verify__add(&s->problems, seq, "prev", "entry %lld does not follow the one before it",
                    (long long)seq);
    s->edges += (int64_t)h->parent_count;
    if (h->seq == seq) {
        prov__kins_note(&s->kins, h);
        prov__lineage_check(h, &s->kins, broken, s);
    }
    if (s->chain && seq == s->base) { /* as if its payload said so: the chain goes on */
        s->start = (struct verify__start){.seq = seq, .epoch = s->epoch, .size = -1};
        text_hex(h->prev, VAULT_HASH, s->start.head);
    }
    if (s->chain && seq != s->base && same("epoch.start", h->type))
        verify__add(&s->problems, seq, "epoch", "entry %lld begins an epoch that is not there",
                    (long long)seq);
    check_columns(s, row, seq, h);
    note_session(s, seq, h->session);
}

static bool check_row(void *arg, const struct store_row *row)
{
    struct verify__slice *s = arg;
    struct prov__header h;
    struct prov__text entry;
    size_t len;
    if (__atomic_load_n(s->cancelled, __ATOMIC_RELAXED))
        return false;
    int64_t seq = store_int(row, 0);
    missing(s, seq);
    entry.at = store_blob(row, 1, &entry.len);
    if (!entry.at)
        entry.at = "";
    uint8_t *leaf = s->leaf[seq - s->from];
    prov__leaf(entry.at, entry.len, leaf);
    const void *stored = store_blob(row, 2, &len);
    if (len != VAULT_HASH || memcmp(stored, leaf, VAULT_HASH) != 0)
        verify__add(&s->problems, seq, "leaf", "the stored leaf of entry %lld is not its hash",
                    (long long)seq);
    const char *form = prov__entry_read(entry.at, entry.len, &h);
    if (form) {
        verify__add(&s->problems, seq, "form", "entry %lld: %s", (long long)seq, form);
    } else {
        check_header(s, row, seq, &h);
        if (!s->chain)
            check_payload(s, row, seq, &h, entry);
    }
    vault_sha256(entry.at, entry.len, NULL, 0, s->prev);
    s->prev_known = true;
    s->next = seq + 1;
    s->checked++;
    return true;
}

static bool take_prev(void *arg, const struct store_row *row)
{
    struct verify__slice *s = arg;
    size_t len;
    const void *bytes = store_blob(row, 0, &len);
    vault_sha256(bytes, len, NULL, 0, s->prev);
    s->prev_known = true;
    return false;
}

struct level {
    struct verify__slice *slice;
    int level;
    int64_t next, end; /* idx */
};

static void node_wrong(struct level *l, int64_t idx, const char *what)
{
    int64_t first = l->slice->base + (idx << l->level);
    verify__add(&l->slice->problems, first, "tree",
                "the tree's node at level %d, index %lld is not %s", l->level, (long long)idx,
                what);
    verify__until(&l->slice->problems, first + (INT64_C(1) << l->level) - 1);
}

static void node_missing(struct level *l, int64_t until)
{
    for (; l->next < until; l->next++)
        node_wrong(l, l->next, "stored");
}

static bool check_node(void *arg, const struct store_row *row)
{
    struct level *l = arg;
    struct verify__slice *s = l->slice;
    size_t len;
    int64_t idx = store_int(row, 0);
    const void *hash = store_blob(row, 1, &len);
    node_missing(l, idx);
    if (len != VAULT_HASH ||
        memcmp(hash, s->fold[idx - ((s->from - s->base) >> l->level)], VAULT_HASH) != 0)
        node_wrong(l, idx, "what its entries give");
    l->next = idx + 1;
    return true;
}

/* Folds the leaves level by level and compares each complete node with the stored one. */
static void check_tree(struct verify__slice *s)
{
    int64_t n = s->to - s->from;
    memcpy(s->fold, s->leaf, (size_t)n * VAULT_HASH);
    for (int level = 1; level <= VERIFY__LEVEL && s->error.code == ERR_OK; level++) {
        n >>= 1;
        for (int64_t i = 0; i < n; i++)
            prov__join(s->fold[2 * i], s->fold[2 * i + 1], s->fold[i]);
        int64_t first = (s->from - s->base) >> level;
        struct level l = {s, level, first, first + n};
        if (n == 0)
            break;
        if (level % PROV__TILE != 0)
            continue;
        store_query(s->db, &s->error, check_node, &l,
                    "SELECT idx, hash FROM tree WHERE epoch = ? AND level = ? AND idx >= ?"
                    " AND idx < ? ORDER BY idx",
                    "iiii", s->epoch, (int64_t)level, l.next, l.end);
        node_missing(&l, l.end);
    }
}

void verify__slice_check(struct verify__slice *s)
{
    s->next = s->from;
    s->checked = s->payloads = s->edges = 0;
    s->start.seq = -1;
    s->session_count = s->seal_count = 0;
    s->problems.listed = 0;
    s->problems.count = 0;
    s->error = (struct error){0};
    if (!s->leaf) {
        s->leaf = xcalloc(VERIFY__SLICE, VAULT_HASH);
        s->fold = xcalloc(VERIFY__SLICE, VAULT_HASH);
    }
    memset(s->leaf, 0, VERIFY__SLICE * VAULT_HASH);
    if (!s->db)
        s->db = store_db_open(s->path, &s->error);
    if (!s->db)
        return;
    s->kins.db = s->db;
    s->kins.base = s->base;
    s->kins.error = (struct error){0};
    s->prev_known = s->from == 0; /* before the first there are zeros */
    memset(s->prev, 0, sizeof s->prev);
    if (s->from > s->base) /* what an epoch follows is looked at when the epoch before is in */
        store_query(s->db, &s->error, take_prev, s, "SELECT entry FROM entries WHERE seq = ?", "i",
                    s->from - 1);
    if (s->chain)
        store_query(s->db, &s->error, check_row, s,
                    "SELECT seq, entry, leaf, ts, session, type, trace_id FROM entries"
                    " WHERE seq >= ? AND seq < ? ORDER BY seq",
                    "ii", s->from, s->to);
    else
        store_query(s->db, &s->error, check_row, s,
                    "SELECT e.seq, e.entry, e.leaf, e.ts, e.session, e.type, e.trace_id, p.sealed"
                    " FROM entries e LEFT JOIN payloads p ON p.seq = e.seq"
                    " WHERE e.seq >= ? AND e.seq < ? ORDER BY e.seq",
                    "ii", s->from, s->to);
    if (s->error.code == ERR_OK)
        s->error = s->kins.error;
    if (s->error.code == ERR_OK && !__atomic_load_n(s->cancelled, __ATOMIC_RELAXED)) {
        missing(s, s->to);
        check_tree(s);
    }
}

void verify__slice_release(struct verify__slice *s)
{
    store_db_close(s->db);
    prov__keys_release(&s->keys);
    prov__erased_release(&s->erased);
    prov__kins_release(&s->kins);
    prov__tally_release(&s->tally);
    buf_release(&s->ad);
    buf_release(&s->plain);
    free(s->leaf);
    free(s->fold);
    free(s->sessions);
    free(s->seals);
}
