/* Appending.
 *
 * Invariants (P1..P4 of provenance.h, and)
 * C1 `next` is the log as it will be when everything in flight is durable; `durable` as it is known
 * to be. Without anything in flight they are equal. C2 The stored head (tree_head) moves with the
 * entries in their transaction, once for all of them, and each of them follows the very entry that
 * it names as prev, the first the stored head. So an entry whose predecessor failed cannot be
 * written. C3 When an entry of the present generation
 * fails, `next` goes back to `durable` and a new generation begins; entries of older ones in flight
 * then fail by C2. C4 An entry's session has its session.start, with the wrapped data key, before
 * it or is not written: if session.start fails, the next entry brings another one first. C5 While
 * the present epoch is broken and the next has not begun, every entry brings an epoch.start before
 * it, which alone may put the head where it was not (C2); if it fails, the next entry brings
 * another.
 *
 *      submit: next += entry --store--> written: durable += entry
 *                                  '--> failed:  next = durable, generation++
 */
#include "backend/base/text.h"
#include "backend/provenance/proof.h"
#include "backend/provenance/tamper.h"
#include "backend/telemetry/telemetry.h"

#include "backend/base/clock.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum kind { PLAIN, SEAL, EPOCH };

struct prov__record { /* an entry on its way; owned by the store's queue until it is done */
    struct prov__record *next;
    struct prov *prov; /* NULL after prov_free */
    struct prov__cursor *cursor;
    uint64_t generation;
    enum kind kind;
    bool opens; /* the first entry of its session */
    int64_t seq, ts, epoch;
    const char *type; /* a literal of types.def */
    char session[33], trace_id[33];
    struct buf entry, sealed;
    uint8_t leaf[VAULT_HASH], prev[VAULT_HASH], hash[VAULT_HASH];
    struct prov__node *nodes;
    int node_count;
    char subject[33]; /* SEAL: the session that is sealed */
    char kek_id[17];  /* if it opens */
    struct buf wrap;  /* if it opens: the session's ring */
    json_t *payload;  /* EPOCH */
    prov_done *done;
    void *arg;
    store_op *also;
    void *also_arg;
    struct tel *tel; /* where it is counted, or NULL */
    struct tel_span *span;
    uint64_t began_ns;
};

struct prov__notice {
    struct prov *prov; /* NULL after prov_free */
};

/* The table's own literal, which lives for ever; an unknown name is a bug. */
static const char *type_name(const char *name)
{
    static const char *const names[] = {
#define TYPE(type, class, payload) type,
#include "backend/provenance/types.def"
#undef TYPE
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return names[i];
    BUG("an entry's type is not in types.def");
}

static void notify(void *arg)
{
    struct prov__notice *n = arg;
    struct prov *p = n->prov;
    free(n);
    if (!p)
        return;
    p->notice = NULL;
    for (int i = 0; i < p->changes; i++)
        p->change[i].fn(p->change[i].arg);
}

void prov_set_telemetry(struct prov *p, struct tel *t)
{
    p->tel = t;
}

/* Many entries become durable at once: one call for all of them. */
void prov__changed(struct prov *p)
{
    if (p->notice || !p->changes)
        return;
    p->notice = xcalloc(1, sizeof *p->notice);
    p->notice->prov = p;
    if (!loop_post(p->loop, notify, p->notice)) {
        free(p->notice);
        p->notice = NULL;
    }
}

void prov_on_change(struct prov *p, loop_fn *fn, void *arg)
{
    BUG_IF(p->changes == (int)(sizeof p->change / sizeof *p->change));
    p->change[p->changes].fn = fn;
    p->change[p->changes++].arg = arg;
}

/* ---- on a worker, inside the writer's transaction ---- */

static bool take_head(void *arg, const struct store_row *row)
{
    struct prov__cursor *c = arg;
    size_t len;
    const void *head = store_blob(row, 1, &len);
    if (len != VAULT_HASH)
        return false;
    c->size = store_int(row, 0);
    memcpy(c->head, head, VAULT_HASH);
    return false;
}

/* What stands there under its number already was made up (Q3). */
static enum err begin_epoch(struct store_db *db, const struct prov__record *r, struct error *e)
{
    enum err code = store_exec(db, e, "DELETE FROM tree WHERE epoch >= ?", "i", r->epoch);
    if (code == ERR_OK)
        code = store_exec(db, e, "DELETE FROM checkpoints WHERE epoch >= ?", "i", r->epoch);
    if (code == ERR_OK)
        code = store_exec(db, e, "DELETE FROM epochs WHERE epoch >= ?", "i", r->epoch);
    if (code == ERR_OK)
        code = store_exec(db, e, "INSERT INTO epochs VALUES(?, ?, ?)", "iii", r->epoch, r->seq,
                          r->seq);
    return code;
}

/* C2 */
static enum err follow(struct store_db *db, const struct prov__record *r, struct error *e)
{
    struct prov__cursor *c = r->cursor;
    enum err code = ERR_OK;
    if (r->kind == EPOCH) {
        code = begin_epoch(db, r, e);
    } else if (c->transaction != store_transaction(db)) {
        c->size = -1;
        code =
            store_query(db, e, take_head, c, "SELECT size, head FROM tree_head WHERE id = 1", "");
    }
    if (code == ERR_OK && r->kind != EPOCH &&
        (c->size != r->seq || memcmp(c->head, r->prev, VAULT_HASH) != 0))
        code = err_set(e, ERR_CORRUPT, "the log's head is not the entry before %lld",
                       (long long)r->seq);
    c->transaction = store_transaction(db);
    c->size = r->seq + 1;
    memcpy(c->head, r->hash, VAULT_HASH);
    return code;
}

static enum err move_head(struct store_db *db, void *arg, struct error *e)
{
    const struct prov__record *r = arg;
    return store_exec(db, e, "INSERT OR REPLACE INTO tree_head VALUES(1, ?, ?)", "ib", r->seq + 1,
                      r->hash, (size_t)VAULT_HASH);
}

static enum err note_session(struct store_db *db, const struct prov__record *r, struct error *e)
{
    if (r->kind == SEAL)
        return store_exec(db, e, "UPDATE sessions SET seal = ? WHERE session = ?", "is", r->seq,
                          r->subject);
    if (!r->opens)
        return ERR_OK;
    enum err code = store_exec(db, e, "INSERT INTO data_keys VALUES(?, ?, 2, ?)", "ssb", r->session,
                               r->kek_id, r->wrap.data, r->wrap.len);
    if (code == ERR_OK)
        code =
            store_exec(db, e, "INSERT INTO sessions VALUES(?, ?, NULL)", "si", r->session, r->seq);
    return code;
}

static enum err insert(struct store_db *db, void *arg, struct error *e)
{
    const struct prov__record *r = arg;
    enum err code = follow(db, r, e);
    if (code == ERR_OK)
        code = store_exec(db, e, "INSERT INTO entries VALUES(?, ?, ?, ?, ?, ?, ?)", "ibbisss",
                          r->seq, r->entry.data, r->entry.len, r->leaf, (size_t)VAULT_HASH, r->ts,
                          r->session, r->type, *r->trace_id ? r->trace_id : NULL);
    if (code == ERR_OK)
        code = store_exec(db, e, "INSERT INTO payloads VALUES(?, ?)", "ib", r->seq, r->sealed.data,
                          r->sealed.len);
    if (code == ERR_INVALID) /* a constraint: the number is taken */
        code = err_set(e, ERR_CORRUPT, "something stands at %lld already", (long long)r->seq);
    /* A node can be there already only in a log that does not fit together; it is left as it is. */
    for (int i = 0; code == ERR_OK && i < r->node_count; i++)
        code = store_exec(db, e, "INSERT OR IGNORE INTO tree VALUES(?, ?, ?, ?)", "iiib", r->epoch,
                          (int64_t)r->nodes[i].level, r->nodes[i].idx, r->nodes[i].hash,
                          (size_t)VAULT_HASH);
    if (code == ERR_OK)
        code = note_session(db, r, e);
    if (code == ERR_OK && r->also) { /* which may look at the head */
        code = move_head(db, arg, e);
        if (code == ERR_OK)
            code = r->also(db, r->also_arg, e);
    }
    return code;
}

/* ---- on the loop's thread ---- */

/* The number of nodes that the entry completed. */
static int advance(struct prov__tail *tail, const struct prov__record *r, struct prov__node *nodes)
{
    if (r->kind == EPOCH) {
        tail->epoch = r->epoch;
        tail->base = r->seq;
        tail->log.size = 0;
        tail->rootless = false;
    }
    if (r->opens) {
        tail->session.size = 0;
        tail->session_first = r->seq;
    }
    int count = prov__edge_push(&tail->log, 0, r->leaf, nodes);
    prov__edge_push(&tail->session, 0, r->leaf, NULL);
    memcpy(tail->head, r->hash, VAULT_HASH);
    return count;
}

static void forget(struct prov *p, struct prov__record *r)
{
    struct prov__record **at = &p->flying;
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    if (!*at)
        p->flying_end = at;
}

static void epoch_begun(struct prov *p, const struct prov__record *r)
{
    prov__epochs_add(&p->epochs, r->epoch, r->seq);
    prov__stored_set(p->tree, store_reader(p->store), r->epoch, r->seq);
    prov__breach_free(p);
    prov__breach_learn(p, r->payload);
    prov__signing_epoch(p);
    prov__forensics_write(p, r->epoch, r->seq, r->payload);
}

static void settle(struct prov *p, struct prov__record *r, struct error *e)
{
    forget(p, r);
    if (r->generation != p->generation) { /* C3 */
        BUG_IF(e->code == ERR_OK);
        *e = p->failure;
    } else if (e->code != ERR_OK) {
        p->failure = *e;
        p->generation++;
        p->next = p->durable;
        if (e->code == ERR_CORRUPT && r->kind != EPOCH && !p->breach) {
            prov__breach_add(p, r->seq, r->seq, "head", "entry %lld could not be written: %.120s",
                             (long long)r->seq, e->detail);
            prov__begin(p);
        }
    } else {
        advance(&p->durable, r, NULL);
        if (r->kind == EPOCH)
            epoch_begun(p, r);
        prov__changed(p);
        prov__signing_settled(p, r->type, p->closed && r->kind == SEAL && !r->next);
    }
    if (e->code != ERR_OK)
        prov__signing_failed(p);
}

static void cursor_release(struct prov__cursor *c)
{
    if (--c->refs == 0)
        free(c);
}

static void count(const struct prov__record *r, const struct error *e)
{
    const char *failed = e->code != ERR_OK ? err_name(e->code) : "";
    tel_add(r->tel, TEL_log_appends, 1, TEL_LABELS(r->type, failed));
    if (e->code == ERR_OK)
        tel_observe(r->tel, TEL_log_append, (double)(clock_mono_ns() - r->began_ns) / 1e9,
                    TEL_NO_LABELS);
    else
        tel_span_fail(r->span, failed);
    tel_span_end(r->span);
}

static void written(void *arg, const struct error *result)
{
    struct prov__record *r = arg;
    struct error e = *result;
    if (r->prov)
        settle(r->prov, r, &e);
    count(r, &e);
    if (r->done)
        r->done(r->arg, r->seq, &e);
    buf_release(&r->entry);
    buf_release(&r->sealed);
    buf_release(&r->wrap);
    cursor_release(r->cursor);
    json_decref(r->payload);
    free(r->nodes);
    free(r);
}

/* Seals the payload under the entry's header and completes entry and hashes. */
static void seal_payload(struct prov *p, struct prov__record *r, const struct buf *plain,
                         size_t cut_at, size_t cut_len)
{
    struct buf ad = {0};
    uint8_t hmac[VAULT_HASH], sha256[VAULT_HASH];
    prov__entry_ad(r->entry.data, r->entry.len, cut_at, cut_len, &ad);
    r->sealed.len = plain->len + VAULT_NONCE + VAULT_TAG;
    buf_reserve(&r->sealed, 0);
    /* The leaf of an entry that is being written was not erased. */
    BUG_IF(vault_ring_seal(p->ring, (uint32_t)r->seq, plain->data, plain->len, ad.data, ad.len,
                           (uint8_t *)r->sealed.data, hmac) != ERR_OK);
    vault_sha256(r->sealed.data, r->sealed.len, NULL, 0, sha256);
    prov__entry_fill(r->entry.data, cut_at, hmac, sha256);
    vault_sha256(r->entry.data, r->entry.len, NULL, 0, r->hash);
    prov__leaf(r->entry.data, r->entry.len, r->leaf);
    buf_release(&ad);
}

/* P6: the canonical form of what may be stored of a value. */
static enum err write_scrubbed(prov_scrub *scrub, const json_t *value, struct buf *out)
{
    json_t *clean = scrub ? scrub(value) : json_incref((json_t *)value);
    enum err code = jcs_write(clean, out);
    json_decref(clean);
    return code;
}

/* The same, with the bounds of a payload. */
static enum err write_payload(prov_scrub *scrub, const json_t *payload, struct buf *out,
                              struct error *e)
{
    if (!json_is_object(payload) || write_scrubbed(scrub, payload, out) != ERR_OK)
        return err_set(e, ERR_INVALID, "it is no canonical JSON object");
    if (out->len > PROV__MAX_PAYLOAD)
        return err_set(e, ERR_TOO_BIG, "it has %zu bytes", out->len);
    return ERR_OK;
}

struct prov_prepared {
    prov_scrub *scrub; /* not the log: that may be gone while a worker works */
    json_t *payload;
    struct buf plain;
    bool ready;
};

struct prov_prepared *prov_prepare_new(const struct prov *p, json_t *payload)
{
    struct prov_prepared *r = xcalloc(1, sizeof *r);
    r->scrub = p->scrub;
    r->payload = payload;
    return r;
}

enum err prov_prepare_work(struct prov_prepared *r, struct error *e)
{
    buf_clear(&r->plain);
    enum err code = write_payload(r->scrub, r->payload, &r->plain, e);
    r->ready = code == ERR_OK;
    return code;
}

json_t *prov_prepare_payload(struct prov_prepared *r)
{
    return r->payload;
}

void prov_prepare_free(struct prov_prepared *r)
{
    if (!r)
        return;
    json_decref(r->payload);
    buf_release(&r->plain);
    free(r);
}

static struct prov__record *make_record(struct prov *p, enum kind kind,
                                        const struct prov_entry *entry, struct error *e)
{
    struct buf own = {0};
    const struct buf *plain = entry->prepared ? &entry->prepared->plain : &own;
    struct error why = {0};
    size_t cut_at, cut_len;
    struct prov__record *r = xcalloc(1, sizeof *r);
    struct prov__write w = {.seq = prov__size(&p->next),
                            .ts = clock_real_ms(),
                            .session = p->session,
                            .key_id = vault_ring_id(p->ring),
                            .prev = p->next.head};
    r->type = type_name(entry->type);
    BUG_IF(entry->prepared && !entry->prepared->ready);
    if (!entry->prepared && write_payload(p->scrub, entry->payload, &own, &why) != ERR_OK) {
        err_set(e, why.code, "the payload of a %s: %s", r->type, why.detail);
        goto fail;
    }
    if (prov__entry_write(entry, &w, &r->entry, &cut_at, &cut_len, e) != ERR_OK)
        goto fail;
    r->kind = kind;
    r->seq = w.seq;
    r->epoch = p->next.epoch;
    r->ts = w.ts;
    memcpy(r->session, p->session, sizeof r->session);
    if (entry->trace_id && *entry->trace_id)
        memcpy(r->trace_id, entry->trace_id, sizeof r->trace_id);
    memcpy(r->prev, p->next.head, VAULT_HASH);
    r->opens = p->next.session_first < 0; /* C4 */
    if (r->opens) {
        vault_ring_wrap(p->vault, p->session, p->ring, &r->wrap);
        memcpy(r->kek_id, vault_kek_id(p->vault), sizeof r->kek_id);
    }
    seal_payload(p, r, plain, cut_at, cut_len);
    buf_release(&own);
    return r;
fail:
    buf_release(&own);
    buf_release(&r->entry);
    free(r);
    return NULL;
}

static void submit(struct prov *p, struct prov__record *r)
{
    struct prov__node nodes[PROV__LEVELS];
    int count = advance(&p->next, r, nodes);
    for (int i = 0; i < count; i++) {
        if (nodes[i].level % PROV__TILE != 0)
            continue;
        r->nodes = xrealloc(r->nodes, ((size_t)r->node_count + 1) * sizeof *r->nodes);
        r->nodes[r->node_count++] = nodes[i];
    }
    struct tel_context current = tel_current(p->tel);
    r->prov = p;
    r->tel = p->tel;
    r->began_ns = clock_mono_ns();
    if (*current.trace_id) {
        r->span = tel_span_begin(p->tel, &current, TEL_INTERNAL, "append %s", r->type);
        tel_span_int(r->span, "mcp_console.log.entry", r->seq);
    }
    r->generation = p->generation;
    r->next = NULL;
    *p->flying_end = r;
    p->flying_end = &r->next;
    r->cursor = p->cursor;
    r->cursor->refs++;
    store_write_end(p->store, insert, move_head, written, r);
}

static json_t *arguments(void)
{
    json_t *list = json_array();
    struct buf text = {0};
    char part[4096];
    size_t n;
    FILE *f = fopen("/proc/self/cmdline", "re");
    while (f && text.len < 64 * 1024 && (n = fread(part, 1, sizeof part, f)) > 0)
        buf_add(&text, part, n);
    if (f)
        fclose(f);
    for (size_t at = 0; at < text.len; at += strlen(text.data + at) + 1)
        json_array_append_new(list, json_text(text.data + at, strlen(text.data + at)));
    buf_release(&text);
    return list;
}

static void start_session(struct prov *p)
{
    struct error e = {0};
    json_t *payload = json_object();
    json_puts(payload, "version", MCPC_VERSION);
    json_puti(payload, "process", getpid());
    json_put(payload, "arguments", arguments());
    json_puts(payload, "kek_id", vault_kek_id(p->vault));
    struct prov_entry entry = {.type = "session.start", .actor = "backend", .payload = payload};
    struct prov__record *r = make_record(p, PLAIN, &entry, &e);
    BUG_IF(!r);
    submit(p, r);
    json_decref(payload);
}

/* C5 */
static void start_epoch(struct prov *p)
{
    struct error e = {0};
    int64_t last = p->epochs.at[p->epochs.count - 1].epoch, base = prov__breach_base(p);
    int64_t epoch = 1 + (last > p->breach->after ? last : p->breach->after);
    json_t *payload = prov__breach_payload(p, epoch, base);
    struct prov_entry entry = {.type = "epoch.start", .actor = "backend", .payload = payload};
    p->next.epoch = epoch;
    p->next.base = base;
    p->next.log.size = 0;
    struct prov__record *r = make_record(p, EPOCH, &entry, &e);
    BUG_IF(!r);
    r->payload = payload;
    submit(p, r);
}

void prov__begin(struct prov *p)
{
    bool first = p->next.session_first < 0;
    if (p->closed)
        return;
    if (p->breach && p->next.epoch == p->durable.epoch)
        start_epoch(p);
    if (first) /* C4 */
        start_session(p);
}

static void begin_posted(void *arg)
{
    struct prov__notice *n = arg;
    if (n->prov) {
        n->prov->opening = NULL;
        prov__begin(n->prov);
    }
    free(n);
}

struct refusal {
    prov_done *done;
    void *arg;
    struct error error;
};

static void tell_refusal(void *arg)
{
    struct refusal *r = arg;
    r->done(r->arg, -1, &r->error);
    free(r);
}

static int64_t refuse(struct prov *p, prov_done *done, void *arg, const struct error *e)
{
    if (!done)
        return -1;
    struct refusal *r = xcalloc(1, sizeof *r);
    *r = (struct refusal){done, arg, *e};
    if (!loop_post(p->loop, tell_refusal, r))
        tell_refusal(r); /* the loop has ended: nothing would run later */
    return -1;
}

int64_t prov__next_seq(const struct prov *p)
{
    return prov__size(&p->next) + (p->next.session_first < 0); /* C4 */
}

int64_t prov_append(struct prov *p, const struct prov_entry *entry, prov_done *done, void *arg,
                    store_op *also, void *also_arg)
{
    struct error e = {0};
    if (p->closed) {
        err_set(&e, ERR_CLOSED, "the log is closed");
        return refuse(p, done, arg, &e);
    }
    prov__begin(p);
    struct prov__record *r = make_record(p, PLAIN, entry, &e);
    if (!r)
        return refuse(p, done, arg, &e);
    r->done = done;
    r->arg = arg;
    r->also = also;
    r->also_arg = also_arg;
    submit(p, r);
    return r->seq;
}

void prov__seal_session(struct prov *p, const struct prov__sealed *s)
{
    char hex[2 * VAULT_HASH + 1];
    struct error e = {0};
    json_t *payload = json_object();
    prov__begin(p);
    text_hex(s->root, VAULT_HASH, hex);
    json_puts(payload, "session", s->session);
    json_puts(payload, "reason", s->reason);
    json_puti(payload, "first", s->first);
    json_puti(payload, "last", s->last);
    json_puti(payload, "entries", s->entries);
    json_puts(payload, "root", hex);
    struct prov_entry entry = {.type = "session.seal",
                               .actor = "backend",
                               .parents = &(struct prov_edge){s->first, "seal", -1},
                               .parent_count = 1,
                               .payload = payload};
    struct prov__record *r = make_record(p, SEAL, &entry, &e);
    if (r) {
        memcpy(r->subject, s->session, sizeof r->subject);
        submit(p, r);
    }
    json_decref(payload);
}

struct prov *prov_open(struct loop *l, struct store *s, struct vault *v, struct error *e)
{
    return prov_open_scrubbed(l, s, v, NULL, e);
}

struct prov *prov_open_scrubbed(struct loop *l, struct store *s, struct vault *v, prov_scrub *scrub,
                                struct error *e)
{
    struct prov *p = xcalloc(1, sizeof *p);
    p->loop = l;
    p->store = s;
    p->vault = v;
    p->scrub = scrub;
    p->keys.vault = v;
    p->flying_end = &p->flying;
    p->cursor = xcalloc(1, sizeof *p->cursor);
    p->cursor->refs = 1;
    p->tree = xcalloc(1, sizeof *p->tree);
    p->quarantine = xcalloc(1, sizeof *p->quarantine);
    if (prov__tail_load(p, e) != ERR_OK) {
        prov_free(p);
        return NULL;
    }
    if (p->epochs.count > 1) /* until all of it verifies again */
        p->state = PROV_BROKEN;
    p->durable.session_first = -1;
    p->next = p->durable;
    vault_id(p->session);
    p->ring = vault_ring_new();
    p->opening = xcalloc(1, sizeof *p->opening);
    p->opening->prov = p;
    if (!loop_post(l, begin_posted, p->opening)) {
        free(p->opening);
        p->opening = NULL;
    }
    prov__breach_load(p);
    prov__orphans_find(p);
    return p;
}

void prov_close(struct prov *p)
{
    if (p->closed)
        return;
    prov__begin(p);
    struct prov__sealed seal = {.session = p->session,
                                .reason = "closed",
                                .first = p->next.session_first,
                                .last = prov__size(&p->next) - 1,
                                .entries = p->next.session.size};
    prov__edge_root(&p->next.session, seal.root);
    prov__seal_session(p, &seal);
    p->closed = true;
    prov__bundling_close(p);
}

void prov_free(struct prov *p)
{
    if (!p)
        return;
    prov__runs_free(p);
    prov__lineages_free(p);
    prov__finder_free(p);
    prov__bundling_free(p);
    prov__orphans_free(p);
    prov__rotation_forget(p);
    prov__signing_free(p);
    for (struct prov__record *r = p->flying; r; r = r->next)
        r->prov = NULL;
    if (p->notice)
        p->notice->prov = NULL;
    if (p->opening)
        p->opening->prov = NULL;
    prov__breach_free(p);
    json_decref(p->found);
    free(p->quarantine->at);
    free(p->quarantine);
    prov__keys_release(&p->keys);
    vault_ring_free(p->ring);
    prov__stored_release(p->tree);
    free(p->tree);
    free(p->epochs.at);
    cursor_release(p->cursor);
    free(p);
}

const char *prov_session(const struct prov *p)
{
    return p->session;
}

void prov_state(const struct prov *p, struct prov_state *out)
{
    uint8_t root[VAULT_HASH];
    *out = (struct prov_state){.size = prov__size(&p->durable),
                               .epoch = p->durable.epoch,
                               .base = p->durable.base,
                               .verified = p->verified,
                               .state = p->state,
                               .checked_at = p->checked_at};
    text_hex(p->durable.head, VAULT_HASH, out->head);
    prov__edge_root(&p->durable.log, root);
    text_hex(root, VAULT_HASH, out->root);
    memcpy(out->session, p->session, sizeof out->session);
    out->damaged = -1;
    for (size_t i = 0; i < p->quarantine->count; i++) {
        const struct prov__zone *z = &p->quarantine->at[i];
        out->quarantined += z->to - z->from + 1;
        if (out->damaged < 0 || z->from < out->damaged)
            out->damaged = z->from;
    }
    prov__signing_state(p, out);
}

size_t prov_pending(const struct prov *p)
{
    size_t n = prov__signing_busy(p);
    for (const struct prov__record *r = p->flying; r; r = r->next)
        n++;
    return n;
}
