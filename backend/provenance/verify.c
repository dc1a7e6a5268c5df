/* A verification run: slices on the pool, two at a time, added up in order on the loop's thread.
 *
 * Invariants
 * R1 The run covers the entries that were durable when it began, all of them by the same head and
 * root. R2 Slices are consumed in order, whatever order they end in: number n is in slot n % SLOTS.
 * R4 Checkpoints are looked at when all slices are in.
 * R3 A slot belongs to its worker from loop_work until its callback; the run is freed when no slot
 * is out. Cancelling waits for a worker that is inside a slice (it looks at the flag at each
 * entry).
 */
#include "backend/provenance/verify.h"
#include "backend/base/text.h"

#include "backend/base/clock.h"
#include "backend/provenance/proof.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 2, ENDED = 64 /* sessions without a seal that are remembered */ };

struct slot {
    struct verify__slice slice;
    struct prov_verify *run;
    enum { FREE, OUT, BACK } state;
};

struct ended { /* a session whose entries are over */
    char id[33];
    int64_t first, entries;
    uint8_t root[VAULT_HASH];
};

struct prov_verify {
    struct prov_verify *next;
    struct prov *prov; /* NULL once cancelled */
    prov_progress *progress;
    prov_verified *done;
    void *arg;
    char *path;
    int64_t from, size, started, consumed;      /* started, consumed: seqs */
    uint8_t head[VAULT_HASH], root[VAULT_HASH]; /* as this console knows them (R1) */
    struct slot slot[SLOTS];
    struct verify__heads heads;
    bool heads_out; /* a worker has it */
    struct prov__edge edge;
    /* the session that the walk is in */
    char session[33];
    int64_t session_first;
    bool session_whole; /* its first entry was seen */
    struct prov__edge session_edge;
    struct ended ended[ENDED];
    size_t ended_count;
    int64_t seals_checked, checked, payloads;
    struct verify__problems problems;
    uint64_t began_ms, told_ms;
    pthread_mutex_t lock; /* guards inside */
    pthread_cond_t outside;
    int inside; /* workers in a slice */
    bool cancelled;
};

static bool enter(struct prov_verify *run)
{
    pthread_mutex_lock(&run->lock);
    bool go = !run->cancelled;
    run->inside += go;
    pthread_mutex_unlock(&run->lock);
    return go;
}

static void leave(struct prov_verify *run)
{
    pthread_mutex_lock(&run->lock);
    run->inside--;
    pthread_cond_broadcast(&run->outside);
    pthread_mutex_unlock(&run->lock);
}

static void work(void *arg)
{
    struct slot *slot = arg;
    if (!enter(slot->run))
        return;
    verify__slice_check(&slot->slice);
    leave(slot->run);
}

static void work_heads(void *arg)
{
    struct prov_verify *run = arg;
    if (!enter(run))
        return;
    verify__heads_check(&run->heads);
    leave(run);
}

static void release(struct prov_verify *run)
{
    for (int i = 0; i < SLOTS; i++)
        verify__slice_release(&run->slot[i].slice);
    pthread_cond_destroy(&run->outside);
    pthread_mutex_destroy(&run->lock);
    buf_release(&run->heads.given);
    free(run->heads.dir);
    free(run->heads.epochs.at);
    free(run->path);
    free(run);
}

static void unlink_run(struct prov_verify *run)
{
    struct prov_verify **at = &run->prov->runs;
    while (*at != run)
        at = &(*at)->next;
    *at = run->next;
    run->prov = NULL;
}

static void merge(struct prov_verify *run, const struct verify__problems *more)
{
    for (size_t i = 0; i < more->listed && run->problems.listed < VERIFY__PROBLEMS; i++)
        run->problems.list[run->problems.listed++] = more->list[i];
    run->problems.count += more->count;
}

/* ---- seals: a session's root over its leaves ---- */

static void end_session(struct prov_verify *run)
{
    if (!run->session_whole || run->session_edge.size == 0)
        return;
    struct ended *at = &run->ended[run->ended_count++ % ENDED];
    memcpy(at->id, run->session, sizeof at->id);
    at->first = run->session_first;
    at->entries = run->session_edge.size;
    prov__edge_root(&run->session_edge, at->root);
}

static void check_seal(struct prov_verify *run, const struct verify__seal *seal)
{
    struct ended now;
    const struct ended *found = NULL;
    char hex[2 * VAULT_HASH + 1];
    if (strcmp(seal->session, run->session) == 0 && run->session_whole) {
        now.first = run->session_first;
        now.entries = run->session_edge.size;
        prov__edge_root(&run->session_edge, now.root);
        found = &now;
    }
    for (size_t i = 0; !found && i < ENDED && i < run->ended_count; i++)
        if (strcmp(run->ended[i].id, seal->session) == 0)
            found = &run->ended[i];
    if (!found)
        return;
    text_hex(found->root, VAULT_HASH, hex);
    run->seals_checked++;
    if (found->first != seal->first || found->entries != seal->entries ||
        strcmp(hex, seal->root) != 0)
        verify__add(&run->problems, seal->seq, "seal",
                    "entry %lld seals session %s with %lld entries from %lld; they give another "
                    "count or root",
                    (long long)seal->seq, seal->session, (long long)seal->entries,
                    (long long)seal->first);
}

static void walk_sessions(struct prov_verify *run, const struct verify__slice *s)
{
    size_t session = 0, seal = 0;
    for (int64_t seq = s->from; seq < s->to; seq++) {
        if (session < s->session_count && s->sessions[session].first == seq) {
            const char *id = s->sessions[session++].id;
            if (strcmp(id, run->session) != 0) {
                end_session(run);
                memcpy(run->session, id, sizeof run->session);
                run->session_first = seq;
                run->session_whole = seq > run->from || seq == 0;
                run->session_edge.size = 0;
            }
        }
        if (seal < s->seal_count && s->seals[seal].seq == seq)
            check_seal(run, &s->seals[seal++]);
        prov__edge_push(&run->session_edge, 0, s->leaf[seq - s->from], NULL);
    }
}

/* ---- the tree above the slices ---- */

struct stored {
    const uint8_t *want;
    bool found, same;
};

static bool compare(void *arg, const struct store_row *row)
{
    struct stored *st = arg;
    size_t len;
    const void *hash = store_blob(row, 0, &len);
    st->found = true;
    st->same = len == VAULT_HASH && memcmp(hash, st->want, VAULT_HASH) == 0;
    return false;
}

static void grow_tree(struct prov_verify *run, struct verify__slice *s)
{
    struct prov__node done[PROV__LEVELS];
    if (s->to - s->from < VERIFY__SLICE) { /* the last one; its nodes were all checked */
        for (int64_t i = 0; i < s->to - s->from; i++)
            prov__edge_push(&run->edge, 0, s->leaf[i], NULL);
        return;
    }
    int count = prov__edge_push(&run->edge, VERIFY__LEVEL, s->fold[0], done);
    for (int i = 0; i < count; i++) {
        struct stored st = {done[i].hash, false, false};
        struct error e = {0};
        if (done[i].level % PROV__TILE != 0)
            continue;
        enum err code = store_query(store_reader(run->prov->store), &e, compare, &st,
                                    "SELECT hash FROM tree WHERE epoch = ? AND level = ?"
                                    " AND idx = ?",
                                    "iii", INT64_C(1), (int64_t)done[i].level, done[i].idx);
        if (code != ERR_OK)
            verify__add(&run->problems, done[i].idx << done[i].level, "unreadable", "%s", e.detail);
        else if (!st.same)
            verify__add(&run->problems, done[i].idx << done[i].level, "tree",
                        "the tree's node at level %d, index %lld is not %s", done[i].level,
                        (long long)done[i].idx, st.found ? "what its entries give" : "stored");
    }
}

/* Part of the tree before `from`, taken as stored. */
static void load_edge(struct prov_verify *run)
{
    struct error e = {0};
    run->edge.size = run->from;
    for (int k = VERIFY__LEVEL; k < PROV__LEVELS; k++) {
        if (run->from >> k & 1 && prov__stored_node(run->prov->tree, k, (run->from >> k) - 1,
                                                    run->edge.node[k], &e) != ERR_OK)
            verify__add(&run->problems, ((run->from >> k) - 1) << k, "unreadable", "%s", e.detail);
    }
}

/* ---- the end ---- */

static bool check_ends(void *arg, const struct store_row *row)
{
    struct prov_verify *run = arg;
    size_t head_len, entry_len;
    uint8_t hash[VAULT_HASH] = {0};
    int64_t size = store_int(row, 0), entries = store_int(row, 2);
    const void *head = store_blob(row, 1, &head_len);
    const void *entry = store_blob(row, 3, &entry_len);
    if (entry)
        vault_sha256(entry, entry_len, NULL, 0, hash);
    if (size != entries)
        verify__add(&run->problems, entries, "tail",
                    "the stored head counts %lld entries, there are entries up to %lld",
                    (long long)size, (long long)entries - 1);
    else if (head_len != VAULT_HASH || memcmp(head, hash, VAULT_HASH) != 0)
        verify__add(&run->problems, entries - 1, "head",
                    "the stored head is not the hash of the last entry");
    if (entries < run->size)
        verify__add(&run->problems, entries, "tail",
                    "this console wrote entries up to %lld, they end before %lld",
                    (long long)run->size - 1, (long long)entries);
    if (store_int(row, 4) < 0)
        verify__add(&run->problems, store_int(row, 4), "extra", "there is an entry below 0");
    if (store_int(row, 5) > entries)
        verify__add(&run->problems, entries, "tail", "there are payloads behind the last entry");
    if (store_int(row, 6))
        verify__add(&run->problems, entries, "tail", "there are tree nodes behind the last entry");
    if (store_int(row, 7))
        verify__add(&run->problems, entries, "tail",
                    "there are sessions that begin behind the last entry");
    return false;
}

static void check_end(struct prov_verify *run)
{
    struct error e = {0};
    uint8_t root[VAULT_HASH], head[VAULT_HASH] = {0};
    const struct verify__slice *last =
        &run->slot[(run->size - run->from - 1) / VERIFY__SLICE % SLOTS].slice;
    prov__edge_root(&run->edge, root);
    if (run->size > run->from && last->to == run->size && last->prev_known)
        memcpy(head, last->prev, VAULT_HASH);
    if (memcmp(head, run->head, VAULT_HASH) != 0)
        verify__add(&run->problems, run->size - 1, "head",
                    "the last entry is not the head that this console knows");
    if (memcmp(root, run->root, VAULT_HASH) != 0)
        verify__add(&run->problems, run->size - 1, "root",
                    "the entries give another root than the one that this console knows");
    /* One statement: one state of the database, even while entries are being written. */
    enum err code =
        store_query(store_reader(run->prov->store), &e, check_ends, run,
                    "SELECT h.size, h.head, (SELECT coalesce(max(seq), -1) + 1 FROM entries),"
                    " (SELECT entry FROM entries ORDER BY seq DESC LIMIT 1),"
                    " (SELECT coalesce(min(seq), 0) FROM entries),"
                    " (SELECT coalesce(max(seq), -1) + 1 FROM payloads),"
                    " EXISTS(SELECT 1 FROM tree WHERE idx >= (h.size >> level) OR level % 8 <> 0),"
                    " EXISTS(SELECT 1 FROM sessions WHERE first >= h.size)"
                    " FROM tree_head h WHERE h.id = 1",
                    "");
    if (code != ERR_OK)
        verify__add(&run->problems, -1, "unreadable", "%s", e.detail);
}

static bool broken(const struct prov_verify *run)
{
    return run->problems.count > run->heads.unproved;
}

static void tell_heads(const struct prov_verify *run, struct buf *text)
{
    const struct verify__heads *h = &run->heads;
    const struct prov__signing *s = run->prov->signing;
    if (h->newest >= 0)
        buf_addf(
            text,
            " The checkpoints, %lld in the database and %lld in the file beside it, are signed by "
            "the key of %s, and the log leads to each of them; the newest covers %lld entries. "
            "Whoever has this directory with its keys could have signed them anew.",
            (long long)h->stored, (long long)h->written, h->key.name, (long long)h->newest);
    else if (s && s->error.code != ERR_OK && !h->done)
        buf_addf(text, " Checkpoints were not checked: %s.", s->error.detail);
    if (h->newest_given >= 0) {
        long long n = h->newest_given < run->size ? h->newest_given : run->size;
        buf_addf(
            text,
            " The checkpoint that was given is signed by that key and the log leads to it: its "
            "first %lld entries are those that were signed then%s, and it is no older copy than "
            "that.",
            n, run->from ? ", as far as they were read" : "");
    }
    if (h->unproved)
        buf_adds(text, " What was given and is no checkpoint by this log's key proves nothing.");
}

static void tell_erased(const struct prov__tally *t, struct buf *text)
{
    if (t->count)
        buf_addf(text, " %lld payloads are not there because %zu erase entries say so.",
                 (long long)t->count, t->entries);
    if (t->claimed)
        buf_addf(text,
                 " For %lld of them that is only what the database says: the key of that entry is"
                 " not here.",
                 (long long)t->claimed);
}

static json_t *proved(const struct prov_verify *run, const struct prov__tally *erased)
{
    struct buf text = {0};
    if (broken(run)) {
        buf_adds(&text, "The log is not intact; the problems say where. Entries without a problem "
                        "before the first one are as they were written.");
    } else {
        if (run->from == 0)
            buf_addf(&text, "All %lld entries are there", (long long)run->checked);
        else
            buf_addf(&text, "Entries %lld to %lld are there", (long long)run->from,
                     (long long)run->size - 1);
        buf_addf(
            &text,
            ", in canonical form, each follows the one before it, and they give the head and "
            "the root shown. The sealed payloads are those that were logged; %lld of them were "
            "opened and are what their entries commit to. %lld session seals agree.",
            (long long)run->payloads, (long long)run->seals_checked);
        tell_erased(erased, &text);
        if (run->payloads + erased->count < run->checked)
            buf_addf(&text, " %lld stay sealed: their keys are not here.",
                     (long long)(run->checked - run->payloads - erased->count));
        if (run->from > 0)
            buf_adds(&text, " For the root, the tree of earlier entries was taken as stored.");
        tell_heads(run, &text);
    }
    if (run->heads.newest_given >= 0 && !broken(run))
        buf_addf(&text,
                 " Not proved: that behind those %lld entries nothing was cut off or written anew.",
                 (long long)run->heads.newest_given);
    else
        buf_adds(&text,
                 " Not proved: that nothing was cut off behind the last entry, or that the whole "
                 "database is not an older copy or written anew. That shows only against a "
                 "checkpoint kept elsewhere.");
    json_t *value = json_text(text.data, text.len);
    buf_release(&text);
    return value;
}

static json_t *describe_heads(const struct prov_verify *run)
{
    const struct verify__heads *h = &run->heads;
    char line[VAULT_LABEL];
    json_t *heads = json_object();
    json_puti(heads, "stored", h->stored);
    json_puti(heads, "written", h->written);
    json_puti(heads, "given", h->given_count);
    json_put(heads, "newest", h->newest < 0 ? json_null() : json_integer(h->newest));
    if (h->done) {
        prov__vkey_write(&h->key, line);
        json_puts(heads, "key", line);
    } else {
        json_put(heads, "key", json_null());
    }
    return heads;
}

static json_t *make_report(struct prov_verify *run)
{
    char hex[2 * VAULT_HASH + 1];
    uint8_t root[VAULT_HASH];
    json_t *report = json_object(), *problems = json_array();
    struct prov__tally erased = {0};
    for (size_t i = 0; i < run->problems.listed; i++) {
        const struct verify__problem *at = &run->problems.list[i];
        json_t *one = json_object();
        json_puti(one, "seq", at->seq);
        json_puts(one, "code", at->code);
        json_puts(one, "text", at->text);
        json_array_append_new(problems, one);
    }
    json_put(report, "ok", json_boolean(run->problems.count == 0));
    json_put(report, "intact", json_boolean(!broken(run)));
    json_puti(report, "checked", run->checked);
    json_puti(report, "payloads_checked", run->payloads);
    json_puti(report, "from", run->from);
    json_puti(report, "size", run->size);
    text_hex(run->head, VAULT_HASH, hex);
    json_puts(report, "head", hex);
    prov__edge_root(&run->edge, root);
    text_hex(root, VAULT_HASH, hex);
    json_puts(report, "root", hex);
    for (int i = 0; i < SLOTS; i++)
        prov__tally_merge(&erased, &run->slot[i].slice.tally);
    json_put(report, "proved", proved(run, &erased));
    json_put(report, "erased", prov__tally_json(&erased));
    prov__tally_release(&erased);
    json_put(report, "checkpoints", describe_heads(run));
    json_put(report, "problems", problems);
    json_puti(report, "problem_count", run->problems.count);
    json_puti(report, "elapsed_ms", (int64_t)(clock_mono_ms() - run->began_ms));
    return report;
}

static void finish(struct prov_verify *run)
{
    struct prov *p = run->prov;
    check_end(run);
    json_t *report = make_report(run);
    if (broken(run))
        p->state = PROV_BROKEN;
    else if (run->from == 0)
        p->state = PROV_INTACT;
    if (broken(run) || run->from == 0) { /* a good part says nothing of the rest */
        p->verified = run->checked;
        p->checked_at = clock_real_ms();
    }
    prov_verified *done = run->done;
    void *arg = run->arg;
    unlink_run(run);
    release(run);
    prov__changed(p);
    if (done)
        done(arg, report);
    else
        json_decref(report);
}

/* ---- slices out and back ---- */

static void sliced(void *arg, bool cancelled);
static void headed(void *arg, bool cancelled);

/* False if there is nothing to look at. */
static bool send_heads(struct prov_verify *run)
{
    const struct prov__signing *s = run->prov->signing;
    struct verify__heads *h = &run->heads;
    if (!s || !s->key_known) {
        if (s && s->error.code == ERR_TAMPERED)
            verify__add(&run->problems, -1, "key", "%s", s->error.detail);
        if (h->given.len) {
            verify__add(&run->problems, -1, "given", "no key of this log is here to check it by");
            h->unproved++;
        }
        return false;
    }
    h->path = run->path;
    h->cancelled = &run->cancelled;
    h->key = s->key;
    h->dir = xstrdup(s->dir);
    for (size_t i = 0; i < run->prov->epochs.count; i++)
        prov__epochs_add(&h->epochs, run->prov->epochs.at[i].epoch, run->prov->epochs.at[i].base);
    run->heads_out = true;
    loop_work(run->prov->loop, work_heads, headed, run);
    return true;
}

/* Gives free slots their next slices. A log without entries has one empty slice. */
static void send(struct prov_verify *run)
{
    for (;;) {
        struct slot *slot = &run->slot[(run->started - run->from) / VERIFY__SLICE % SLOTS];
        if (slot->state != FREE || (run->started >= run->size && run->size > run->from))
            return;
        slot->slice.from = run->started;
        slot->slice.to = run->started + VERIFY__SLICE;
        if (slot->slice.to > run->size)
            slot->slice.to = run->size;
        run->started = slot->slice.to;
        slot->state = OUT;
        loop_work(run->prov->loop, work, sliced, slot);
    }
}

static void consume(struct prov_verify *run, struct slot *slot)
{
    struct verify__slice *s = &slot->slice;
    slot->state = FREE;
    run->checked += s->checked;
    run->payloads += s->payloads;
    run->consumed = s->to;
    merge(run, &s->problems);
    if (s->error.code == ERR_OK) {
        walk_sessions(run, s);
        grow_tree(run, s);
        return;
    }
    verify__add(&run->problems, s->from, "unreadable", "from entry %lld on: %s", (long long)s->from,
                s->error.detail);
    for (int64_t i = 0; i < s->to - s->from; i++)
        prov__edge_push(&run->edge, 0, s->leaf[i], NULL);
}

static bool any_out(const struct prov_verify *run)
{
    if (run->heads_out)
        return true;
    for (int i = 0; i < SLOTS; i++)
        if (run->slot[i].state == OUT)
            return true;
    return false;
}

static void tell(struct prov_verify *run)
{
    uint64_t now = clock_mono_ms();
    if (run->progress && now - run->told_ms >= 50) {
        run->told_ms = now;
        run->progress(run->arg, run->checked, run->size);
    }
}

/* True if the run is over: it was cancelled, or the loop ends. */
static bool given_up(struct prov_verify *run, bool cancelled)
{
    if (cancelled && run->prov) {
        __atomic_store_n(&run->cancelled, true, __ATOMIC_RELAXED);
        unlink_run(run);
    }
    if (run->prov)
        return false;
    if (!any_out(run))
        release(run);
    return true;
}

static void headed(void *arg, bool cancelled)
{
    struct prov_verify *run = arg;
    struct verify__heads *h = &run->heads;
    run->heads_out = false;
    if (given_up(run, cancelled))
        return;
    merge(run, &h->problems);
    if (h->error.code != ERR_OK)
        verify__add(&run->problems, -1, "unreadable", "checkpoints: %s", h->error.detail);
    finish(run);
}

static void sliced(void *arg, bool cancelled)
{
    struct slot *slot = arg;
    struct prov_verify *run = slot->run;
    slot->state = BACK;
    if (given_up(run, cancelled))
        return;
    for (;;) { /* R2 */
        struct slot *next = &run->slot[(run->consumed - run->from) / VERIFY__SLICE % SLOTS];
        if (next->state != BACK || next->slice.from != run->consumed)
            break;
        consume(run, next);
        if (run->consumed >= run->size) {
            if (!send_heads(run)) /* R4 */
                finish(run);
            return;
        }
    }
    send(run);
    tell(run);
}

struct prov_verify *prov_verify_start(struct prov *p, int64_t from, prov_progress *progress,
                                      prov_verified *done, void *arg)
{
    struct prov_verify *run = xcalloc(1, sizeof *run);
    run->prov = p;
    run->progress = progress;
    run->done = done;
    run->arg = arg;
    run->path = xstrdup(store_path(p->store));
    run->size = prov__size(&p->durable);
    if (from >= run->size)
        from = run->size - 1;
    run->heads.newest = run->heads.newest_given = -1;
    run->from = from > 0 ? from - from % VERIFY__SLICE : 0;
    run->started = run->consumed = run->from;
    memcpy(run->head, p->durable.head, VAULT_HASH);
    prov__edge_root(&p->durable.log, run->root);
    load_edge(run);
    run->began_ms = clock_mono_ms();
    BUG_IF(pthread_mutex_init(&run->lock, NULL) != 0);
    BUG_IF(pthread_cond_init(&run->outside, NULL) != 0);
    for (int i = 0; i < SLOTS; i++) {
        run->slot[i].run = run;
        run->slot[i].slice.path = run->path;
        run->slot[i].slice.cancelled = &run->cancelled;
        run->slot[i].slice.keys.vault = p->vault;
    }
    run->next = p->runs;
    p->runs = run;
    send(run);
    return run;
}

void prov_verify_given(struct prov_verify *run, const char *notes)
{
    buf_adds(&run->heads.given, notes);
}

void prov_verify_cancel(struct prov_verify *run)
{
    pthread_mutex_lock(&run->lock);
    __atomic_store_n(&run->cancelled, true, __ATOMIC_RELAXED);
    while (run->inside) /* R3 */
        pthread_cond_wait(&run->outside, &run->lock);
    pthread_mutex_unlock(&run->lock);
    unlink_run(run);
    if (!any_out(run))
        release(run);
}

void prov__runs_free(struct prov *p)
{
    while (p->runs)
        prov_verify_cancel(p->runs);
}
