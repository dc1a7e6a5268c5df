/* A verification run: slices on the pool, added up in order on the loop's thread. One more is out
 * than there are workers, so that no worker waits for the loop.
 *
 * Invariants
 * R1 The run covers the entries that were durable when it began, all of them by the same head and
 * root. R2 Slices are consumed in order, whatever order they end in: number n is in slot n % 3.
 * None goes over the end of an epoch; in each they begin at multiples of their size from its base.
 * R4 Checkpoints are looked at when all slices are in.
 * R3 A slot belongs to its worker from loop_work until its callback; the run is freed when no slot
 * is out. Cancelling waits for a worker that is inside a slice (it looks at the flag at each
 * entry).
 */
#include "backend/provenance/verify.h"
#include "backend/base/text.h"
#include "backend/provenance/cosign.h"
#include "backend/provenance/tamper.h"

#include "backend/base/clock.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    struct verify__slot *slot = arg;
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
    for (int i = 0; i < VERIFY__SLOTS; i++)
        verify__slice_release(&run->slot[i].slice);
    pthread_cond_destroy(&run->outside);
    pthread_mutex_destroy(&run->lock);
    buf_release(&run->heads.given);
    loop_timer_free(run->pause);
    free(run->heads.dir);
    prov__trust_release(&run->heads.trust);
    prov__keys_release(&run->heads.keys);
    free(run->heads.epochs.at);
    free(run->epochs.at);
    free(run->found);
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
    struct verify__ended *at = &run->ended[run->ended_count++ % VERIFY__ENDED];
    memcpy(at->id, run->session, sizeof at->id);
    at->first = run->session_first;
    at->entries = run->session_edge.size;
    prov__edge_root(&run->session_edge, at->root);
}

static void check_seal(struct prov_verify *run, const struct verify__seal *seal)
{
    struct verify__ended now;
    const struct verify__ended *found = NULL;
    char hex[2 * VAULT_HASH + 1];
    if (strcmp(seal->session, run->session) == 0 && run->session_whole) {
        now.first = run->session_first;
        now.entries = run->session_edge.size;
        prov__edge_root(&run->session_edge, now.root);
        found = &now;
    }
    for (size_t i = 0; !found && i < VERIFY__ENDED && i < run->ended_count; i++)
        if (strcmp(run->ended[i].id, seal->session) == 0)
            found = &run->ended[i];
    if (!found)
        return;
    text_hex(found->root, VAULT_HASH, hex);
    run->seals_checked++;
    if (found->first != seal->first || found->entries != seal->entries ||
        strcmp(hex, seal->root) != 0)
        verify__add(&run->problems, found->first, "seal",
                    "entry %lld seals session %s with %lld entries from %lld; they give another "
                    "count or root",
                    (long long)seal->seq, seal->session, (long long)seal->entries,
                    (long long)seal->first);
}

static void walk_sessions(struct prov_verify *run, const struct verify__slice *s)
{
    static const uint8_t none[VAULT_HASH];
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
        /* Between two epochs there may be numbers that nobody wrote. */
        if (memcmp(s->leaf[seq - s->from], none, VAULT_HASH) != 0)
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

static void check_stored(struct prov_verify *run, const struct prov__node *node)
{
    const struct verify__epoch *now = &run->found[run->found_count - 1];
    struct stored st = {node->hash, false, false};
    struct error e = {0};
    int64_t first = now->base + (node->idx << node->level);
    enum err code = store_query(store_reader(run->prov->store), &e, compare, &st,
                                "SELECT hash FROM tree WHERE epoch = ? AND level = ? AND idx = ?",
                                "iii", now->epoch, (int64_t)node->level, node->idx);
    if (code == ERR_OK && st.same)
        return;
    if (code != ERR_OK)
        verify__add(&run->problems, first, "unreadable", "%s", e.detail);
    else
        verify__add(&run->problems, first, "tree",
                    "the tree's node at level %d, index %lld is not %s", node->level,
                    (long long)node->idx, st.found ? "what its entries give" : "stored");
    verify__until(&run->problems, first + (INT64_C(1) << node->level) - 1);
}

static void grow_tree(struct prov_verify *run, struct verify__slice *s)
{
    struct prov__node done[PROV__LEVELS];
    if (s->to - s->from < VERIFY__SLICE) { /* the last of its epoch; its nodes were all checked */
        for (int64_t i = 0; i < s->to - s->from; i++)
            prov__edge_push(&run->edge, 0, s->leaf[i], NULL);
        return;
    }
    int count = prov__edge_push(&run->edge, VERIFY__LEVEL, s->fold[0], done);
    for (int i = 0; i < count; i++)
        if (done[i].level % PROV__TILE == 0)
            check_stored(run, &done[i]);
}

/* Part of the epoch's tree before `from`, taken as stored. */
static void load_edge(struct prov_verify *run)
{
    const struct prov__epoch *epoch = &run->epochs.at[run->first_epoch];
    struct prov__stored tree = {0};
    struct error e = {0};
    int64_t size = run->from - epoch->base;
    prov__stored_set(&tree, store_reader(run->prov->store), epoch->epoch, epoch->base);
    run->edge.size = size;
    for (int k = VERIFY__LEVEL; k < PROV__LEVELS; k++) {
        if (size >> k & 1 && prov__stored_node(&tree, k, (size >> k) - 1, run->edge.node[k], &e))
            verify__add(&run->problems, epoch->base + (((size >> k) - 1) << k), "unreadable", "%s",
                        e.detail);
    }
    prov__stored_release(&tree);
}

/* ---- epochs ---- */

static void enter_epoch(struct prov_verify *run)
{
    const struct prov__epoch *epoch = &run->epochs.at[run->first_epoch + run->found_count];
    run->found = xrealloc(run->found, (run->found_count + 1) * sizeof *run->found);
    run->found[run->found_count++] = (struct verify__epoch){
        .epoch = epoch->epoch, .base = epoch->base, .whole = run->from <= epoch->base};
}

/* Up to which entry the epoch goes that slice or entry `seq` is in. */
static int64_t epoch_end(const struct prov_verify *run, const struct prov__epoch *epoch)
{
    bool last = epoch == &run->epochs.at[run->epochs.count - 1];
    return last ? run->size : epoch[1].base;
}

/* What the next epoch says that this one ended with, by those who knew it. */
static void check_start(struct prov_verify *run, const struct verify__start *start)
{
    const struct verify__epoch *prior = &run->found[run->found_count - 2];
    int64_t last = prior->base + prior->size - 1;
    char hex[2 * VAULT_HASH + 1];
    text_hex(prior->head, VAULT_HASH, hex);
    if (strcmp(hex, start->head) != 0)
        verify__add(
            &run->problems, last, "head",
            "the last entry of epoch %lld is not the one that it ended with, says entry %lld",
            (long long)prior->epoch, (long long)start->seq);
    text_hex(prior->root, VAULT_HASH, hex);
    if (prior->whole && start->root[0] && start->size == prior->size &&
        strcmp(hex, start->root) != 0)
        verify__add(&run->problems, last, "root",
                    "the entries of epoch %lld give another root than the one it ended with, says "
                    "entry %lld",
                    (long long)prior->epoch, (long long)start->seq);
}

/* A slice is in. */
static void walk_epochs(struct prov_verify *run, const struct verify__slice *s)
{
    struct verify__epoch *now = &run->found[run->found_count - 1];
    if (s->start.seq == now->base && run->found_count > 1)
        check_start(run, &s->start);
    memset(run->last, 0, sizeof run->last);
    if (s->prev_known && s->to > s->from)
        memcpy(run->last, s->prev, VAULT_HASH);
    if (s->to < epoch_end(run, &run->epochs.at[run->first_epoch + run->found_count - 1]))
        return;
    now->size = s->to - now->base;
    memcpy(now->head, run->last, VAULT_HASH);
    prov__edge_root(&run->edge, now->root);
    if (run->first_epoch + run->found_count < run->epochs.count) {
        run->edge.size = 0;
        enter_epoch(run);
    }
}

/* ---- the end ---- */

bool verify__broken(const struct prov_verify *run)
{
    return run->problems.count > run->heads.unproved;
}

static void tell_prov(struct prov_verify *run, const json_t *report)
{
    struct prov *p = run->prov;
    bool broken = verify__broken(run), known = strcmp(run->mode, "start") == 0;
    /* A good part says nothing of the rest, a good chain nothing of the payloads. */
    bool whole = !run->chain && (run->from == 0 || known);
    if (broken) {
        p->state = PROV_BROKEN;
        prov__remember_forget(p);
        prov__breach_found(p, json_object_get(report, "problems"), run->problems.count);
    } else if (whole) {
        p->state = PROV_INTACT;
        prov__remember(p, run);
    }
    if (broken || whole) {
        p->verified = run->checked;
        p->checked_at = clock_real_ms();
    }
}

static void finish(struct prov_verify *run)
{
    struct prov *p = run->prov;
    verify__check_ends(run);
    json_t *report = verify__report(run);
    tell_prov(run, report);
    json_puti(report, "epoch", p->next.epoch); /* in which the log goes on */
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
    if (s->key_swapped)
        verify__add(&run->problems, -1, "key", "%s", s->error.detail);
    h->path = run->path;
    h->cancelled = &run->cancelled;
    h->chain = run->chain;
    h->key = s->key;
    h->keys.vault = run->prov->vault;
    h->dir = xstrdup(s->dir);
    for (size_t i = 0; i < run->prov->epochs.count; i++)
        prov__epochs_add(&h->epochs, run->prov->epochs.at[i].epoch, run->prov->epochs.at[i].base);
    run->heads_out = true;
    loop_work(run->prov->loop, work_heads, headed, run);
    return true;
}

static void fill_slot(struct prov_verify *run, struct verify__slot *slot)
{
    struct verify__slice *s = &slot->slice;
    const struct prov__epoch *epoch = prov__epoch_of(&run->epochs, run->started);
    int64_t end = epoch_end(run, epoch);
    s->epoch = epoch->epoch;
    s->base = epoch->base;
    s->from = run->started;
    s->to = s->from + VERIFY__SLICE < end ? s->from + VERIFY__SLICE : end;
}

/* Gives free slots their next slices. A log without entries has one empty slice. */
static void send(struct prov_verify *run)
{
    while (!run->pace || run->sent == run->taken) {
        struct verify__slot *slot = &run->slot[run->sent % VERIFY__SLOTS];
        if (slot->state != VERIFY__FREE || (run->started >= run->size && run->sent > 0))
            return;
        fill_slot(run, slot);
        run->started = slot->slice.to;
        run->sent++;
        run->sent_ns = clock_mono_ns();
        slot->state = VERIFY__OUT;
        loop_work(run->prov->loop, work, sliced, slot);
    }
}

/* The pause is over: go on, unless there is work that somebody waits for. */
static void resume(void *arg)
{
    enum { BUSY = 32, AGAIN_MS = 200 };
    struct prov_verify *run = arg;
    if (prov_pending(run->prov) > BUSY)
        loop_timer_start(run->pause, AGAIN_MS, 0);
    else
        send(run);
}

static void send_paced(struct prov_verify *run)
{
    if (!run->pace) {
        send(run);
        return;
    }
    uint64_t took = clock_mono_ns() - run->sent_ns;
    uint64_t wait_ms = took * (uint64_t)(100 - run->pace) / (uint64_t)run->pace / 1000000;
    loop_timer_start(run->pause, wait_ms + 1, 0);
}

static void consume(struct prov_verify *run, struct verify__slot *slot)
{
    struct verify__slice *s = &slot->slice;
    slot->state = VERIFY__FREE;
    run->checked += s->checked;
    run->payloads += s->payloads;
    run->edges += s->edges;
    run->consumed = s->to;
    run->taken++;
    merge(run, &s->problems);
    if (s->error.code == ERR_OK) {
        walk_sessions(run, s);
        grow_tree(run, s);
        walk_epochs(run, s);
        return;
    }
    /* What is damaged is not there any more; what could not be read may be. */
    verify__add(&run->problems, s->from, s->error.code == ERR_CORRUPT ? "damaged" : "unreadable",
                "from entry %lld on: %s", (long long)s->from, s->error.detail);
    verify__until(&run->problems, s->to - 1);
    for (int64_t i = 0; i < s->to - s->from; i++)
        prov__edge_push(&run->edge, 0, s->leaf[i], NULL);
    walk_epochs(run, s);
}

static bool any_out(const struct prov_verify *run)
{
    if (run->heads_out)
        return true;
    for (int i = 0; i < VERIFY__SLOTS; i++)
        if (run->slot[i].state == VERIFY__OUT)
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
    struct verify__slot *slot = arg;
    struct prov_verify *run = slot->run;
    slot->state = VERIFY__BACK;
    if (given_up(run, cancelled))
        return;
    for (;;) { /* R2 */
        struct verify__slot *next = &run->slot[run->taken % VERIFY__SLOTS];
        if (next->state != VERIFY__BACK || next->slice.from != run->consumed)
            break;
        consume(run, next);
        if (run->consumed >= run->size) {
            if (!send_heads(run)) /* R4 */
                finish(run);
            return;
        }
    }
    send_paced(run);
    tell(run);
}

static struct prov_verify *run_new(struct prov *p, int64_t from)
{
    struct prov_verify *run = xcalloc(1, sizeof *run);
    run->prov = p;
    run->path = xstrdup(store_path(p->store));
    run->pause = loop_timer_new(p->loop, resume, run);
    run->size = prov__size(&p->durable);
    for (size_t i = 0; i < p->epochs.count; i++)
        prov__epochs_add(&run->epochs, p->epochs.at[i].epoch, p->epochs.at[i].base);
    if (from >= run->size)
        from = run->size - 1;
    from = from < 0 ? 0 : from;
    const struct prov__epoch *epoch = prov__epoch_of(&run->epochs, from);
    run->first_epoch = (size_t)(epoch - run->epochs.at);
    run->from = from - (from - epoch->base) % VERIFY__SLICE;
    run->started = run->consumed = run->from;
    run->mode = run->from ? "part" : "full";
    run->heads.newest = run->heads.newest_given = -1;
    memcpy(run->head, p->durable.head, VAULT_HASH);
    run->rootless = p->durable.rootless;
    if (!run->rootless)
        prov__edge_root(&p->durable.log, run->root);
    run->began_ms = clock_mono_ms();
    BUG_IF(pthread_mutex_init(&run->lock, NULL) != 0);
    BUG_IF(pthread_cond_init(&run->outside, NULL) != 0);
    for (int i = 0; i < VERIFY__SLOTS; i++) {
        run->slot[i].run = run;
        run->slot[i].slice.path = run->path;
        run->slot[i].slice.cancelled = &run->cancelled;
        run->slot[i].slice.keys.vault = p->vault;
    }
    enter_epoch(run);
    load_edge(run);
    run->next = p->runs;
    p->runs = run;
    return run;
}

struct prov_verify *prov_verify_start(struct prov *p, int64_t from, prov_progress *progress,
                                      prov_verified *done, void *arg)
{
    struct prov_verify *run = run_new(p, from);
    run->progress = progress;
    run->done = done;
    run->arg = arg;
    send(run);
    return run;
}

struct prov_verify *prov_verify_chain(struct prov *p, int64_t from, prov_progress *progress,
                                      prov_verified *done, void *arg)
{
    struct prov_verify *run = run_new(p, from);
    run->mode = "chain";
    run->chain = true;
    for (int i = 0; i < VERIFY__SLOTS; i++)
        run->slot[i].slice.chain = true;
    run->progress = progress;
    run->done = done;
    run->arg = arg;
    send(run);
    return run;
}

struct prov_verify *prov_verify_known(struct prov *p, prov_progress *progress, prov_verified *done,
                                      void *arg)
{
    enum { SOON = 8192 }; /* so few are checked in full */
    struct prov__known known;
    bool any = prov__size(&p->durable) > SOON && prov__remembered(p, &known);
    struct prov_verify *run = run_new(p, any ? known.base + known.size : 0);
    run->progress = progress;
    run->done = done;
    run->arg = arg;
    if (any && run->from > 0)
        verify__from_known(run, &known);
    send(run);
    return run;
}

void prov_verify_pace(struct prov_verify *run, int percent)
{
    run->pace = percent;
    run->mode = "background";
}

void prov_verify_given(struct prov_verify *run, const char *notes)
{
    buf_adds(&run->heads.given, notes);
}

bool prov_witness_keys_ok(const char *vkeys)
{
    struct prov__vkey keys[VERIFY__WITNESSES];
    return prov__vkeys_read(PROV__COSIGNATURE, vkeys, keys, VERIFY__WITNESSES) > 0;
}

void prov_verify_witnesses(struct prov_verify *run, const char *vkeys)
{
    struct verify__heads *h = &run->heads;
    struct prov__vkey keys[VERIFY__WITNESSES];
    h->seen_count = prov__vkeys_read(PROV__COSIGNATURE, vkeys, keys, VERIFY__WITNESSES);
    BUG_IF(h->seen_count < 1);
    for (int i = 0; i < h->seen_count; i++)
        h->seen[i] = (struct verify__seen){keys[i], -1, 0};
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
