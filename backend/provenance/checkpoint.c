/* Making checkpoints.
 *
 * Invariants (P5 of provenance.h, and)
 * H1 What is signed is durable, and the stored tree still leads to the newest checkpoint before it,
 *    wherever that stands: in the table or in `checkpoints`.
 * H2 A checkpoint is durable in the database before it is written to a file. So the files are never
 *    ahead of the log, unless the database is an older copy or its end was cut off.
 * H3 One is in the making at any time; who asks meanwhile gets the next one. Who waits for an entry
 *    on its way is answered when that one fails, too.
 * H4 Each is an entry of the log: behind what it covers, or, at a session's end, in the next
 * session.
 *
 *      idle --sign--> in the database --worker--> in the files --> idle, or the next one
 */
#include "backend/base/text.h"
#include "backend/provenance/tamper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct prov__waiter {
    struct prov__waiter *next;
    prov_signed *done;
    void *arg;
};

struct prov__signing_job {
    struct prov *prov; /* NULL after prov_free */
    struct prov__waiter *waiters;
    struct prov__head head;
    int64_t epoch, base;
    struct buf note;
    char *path, *dir; /* of the database */
    int64_t entry;    /* -1: not logged yet */
    struct error error;
};

static void start(struct prov *p);

/* ---- the end of one ---- */

/* What the next key signs too. */
static bool handed_on(const struct prov__signing *s, const struct prov__signing_job *job)
{
    return s->next && job->base + job->head.size > s->next_first;
}

static json_t *describe(const struct prov__signing *s, const struct prov__signing_job *job)
{
    char hex[2 * VAULT_HASH + 1], key[VAULT_LABEL];
    json_t *out = json_object();
    text_hex(job->head.root, VAULT_HASH, hex);
    prov__vkey_write(handed_on(s, job) ? &s->next_key : &s->key, key);
    json_puti(out, "epoch", job->epoch);
    json_puti(out, "base", job->base);
    json_puti(out, "size", job->head.size);
    json_puts(out, "root", hex);
    json_puts(out, "key", key);
    json_put(out, "note", json_text(job->note.data, job->note.len));
    return out;
}

static void answer(struct prov__waiter *list, json_t *checkpoint, const struct error *e)
{
    while (list) {
        struct prov__waiter *next = list->next;
        list->done(list->arg, checkpoint, e);
        free(list);
        list = next;
    }
}

static void job_free(struct prov__signing_job *job)
{
    buf_release(&job->note);
    free(job->path);
    free(job->dir);
    free(job);
}

static void finish(struct prov__signing_job *job, const struct error *e)
{
    struct prov *p = job->prov;
    if (p) {
        struct prov__signing *s = p->signing;
        json_t *checkpoint = e->code == ERR_OK && job->waiters ? describe(s, job) : NULL;
        if (checkpoint)
            json_put(checkpoint, "entry", job->entry < 0 ? json_null() : json_integer(job->entry));
        s->job = NULL;
        s->fresh += e->code != ERR_OK && e->code != ERR_TAMPERED; /* to be tried again */
        prov__changed(p);
        answer(job->waiters, checkpoint, e);
        json_decref(checkpoint);
        if (s->again && !s->job)
            start(p);
    }
    job_free(job);
}

/* ---- into the files, on a worker ---- */

static void write_files(void *arg)
{
    struct prov__signing_job *job = arg;
    struct store_db *db = store_db_open(job->path, &job->error);
    struct prov__trust trust = {0};
    if (db && prov__files_write(db, job->dir, &job->error) == ERR_OK &&
        prov__trust_load(&trust, db, NULL) == ERR_OK && !*trust.problem)
        prov__trusted_write(&trust, job->dir, NULL); /* verification tells what is wrong with it */
    prov__trust_release(&trust);
    store_db_close(db);
}

static void files_written(void *arg, bool cancelled)
{
    struct prov__signing_job *job = arg;
    if (cancelled)
        err_set(&job->error, ERR_CLOSED, "the console stops");
    finish(job, &job->error);
}

/* ---- into the database ---- */

static enum err insert(struct store_db *db, void *arg, struct error *e)
{
    const struct prov__signing_job *job = arg;
    return store_exec(db, e, "INSERT INTO checkpoints VALUES(?, ?, NULL, ?)", "iis", job->epoch,
                      job->head.size, job->note.data);
}

/* In the transaction of its entry, which is the last one there. */
static enum err insert_logged(struct store_db *db, void *arg, struct error *e)
{
    const struct prov__signing_job *job = arg;
    return store_exec(db, e,
                      "INSERT INTO checkpoints"
                      " VALUES(?, ?, (SELECT size - 1 FROM tree_head), ?)",
                      "iis", job->epoch, job->head.size, job->note.data);
}

static void stored(void *arg, const struct error *e)
{
    struct prov__signing_job *job = arg;
    if (e->code != ERR_OK || !job->prov) {
        finish(job, e);
        return;
    }
    if (job->epoch == job->prov->durable.epoch)
        job->prov->signing->head = job->head;
    loop_work(job->prov->loop, write_files, files_written, job);
}

static void logged(void *arg, int64_t seq, const struct error *e)
{
    struct prov__signing_job *job = arg;
    job->entry = seq;
    stored(job, e);
}

static void append_entry(struct prov *p, const json_t *payload, prov_done *done, store_op *also,
                         struct prov__signing_job *job)
{
    struct prov_edge parent = {job->base + job->head.size - 1, "cover", -1};
    struct prov_entry entry = {.type = "checkpoint",
                               .actor = "backend",
                               .parents = &parent,
                               .parent_count = 1,
                               .payload = (json_t *)payload};
    prov_append(p, &entry, done, job, also, job);
}

/* ---- signing ---- */

/* H1: the stored tree still gives this root. */
static enum err leads_to(struct prov *p, const struct prov__head *head, struct error *e)
{
    uint8_t root[VAULT_HASH];
    if (head->size > p->durable.log.size)
        return err_set(
            e, ERR_TAMPERED,
            "a checkpoint covers %lld entries, the log has %lld: it is an older copy, or "
            "its end was cut off",
            (long long)head->size, (long long)p->durable.log.size);
    if (prov__root_at(prov__stored_node, p->tree, head->size, root, e) != ERR_OK ||
        memcmp(root, head->root, VAULT_HASH) != 0)
        return err_set(e, ERR_TAMPERED, "the log does not lead to the checkpoint over %lld entries",
                       (long long)head->size);
    return ERR_OK;
}

/* Q3: the new epoch reuses no number, neither of an entry nor of an epoch, that was signed. */
static void go_beyond(struct prov *p, const struct prov__head *head, int64_t epoch)
{
    int64_t end = p->durable.base + head->size;
    if (head->size < INT64_C(1) << 52 && end > p->breach->beyond)
        p->breach->beyond = end;
    if (epoch > p->breach->after)
        p->breach->after = epoch;
}

/* What was signed is not there any more. */
static void breached(struct prov *p, const struct prov__head *head, const struct error *why)
{
    int64_t base = p->durable.base;
    bool cut = head->size > p->durable.log.size;
    prov__breach_add(p, cut ? prov__size(&p->durable) : base, base + head->size - 1,
                     cut ? "rollback" : "checkpoint", "%s", why->detail);
    go_beyond(p, head, p->durable.epoch);
}

static enum err may_sign(struct prov *p, struct error *e)
{
    const struct prov__signing *s = p->signing;
    if (!s->signer) {
        *e = s->error;
        return s->error.code;
    }
    if (p->breach)
        return err_set(e, ERR_TAMPERED, "the log does not verify: a new epoch has to begin first");
    if (s->head.size < 0 || leads_to(p, &s->head, e) == ERR_OK)
        return ERR_OK;
    if (e->code == ERR_TAMPERED) {
        breached(p, &s->head, e);
        prov__begin(p);
    }
    return e->code;
}

static struct prov__signing_job *job_new(struct prov *p)
{
    struct prov__signing_job *job = xcalloc(1, sizeof *job);
    job->prov = p;
    job->path = xstrdup(store_path(p->store));
    job->dir = xstrdup(p->signing->dir);
    job->epoch = p->durable.epoch;
    job->base = p->durable.base;
    job->entry = -1;
    p->signing->job = job;
    return job;
}

static void write_note(const struct prov__signing *s, struct prov__signing_job *job)
{
    uint8_t signature[VAULT_SIGNATURE], further[VAULT_SIGNATURE];
    char *origin = prov__origin(&s->key, job->epoch);
    prov__note_body(origin, &job->head, &job->note);
    free(origin);
    vault_sign(s->signer, job->note.data, job->note.len, signature);
    if (handed_on(s, job))
        vault_sign(s->next, job->note.data, job->note.len, further);
    prov__note_sign(&s->key, signature, &job->note);
    if (handed_on(s, job))
        prov__note_sign_too(&s->next_key, further, &job->note);
}

static void start(struct prov *p)
{
    struct prov__signing *s = p->signing;
    int64_t known = s->head.size > 0 ? s->head.size : 0;
    if (s->signer && p->durable.log.size == known && p->flying) { /* soon there is more to sign */
        s->again = true;
        return;
    }
    struct prov__signing_job *job = job_new(p);
    struct error e = {0};
    s->again = false;
    job->waiters = s->waiting;
    s->waiting = NULL;
    s->fresh = 0;
    if (may_sign(p, &e) != ERR_OK) {
        finish(job, &e);
        return;
    }
    job->head.size = p->durable.log.size;
    prov__edge_root(&p->durable.log, job->head.root);
    write_note(s, job);
    if (p->closed) { /* H4 */
        store_write(p->store, insert, stored, job);
        return;
    }
    json_t *payload = describe(s, job);
    append_entry(p, payload, logged, insert_logged, job);
    json_decref(payload);
}

/* Now, or when the present one is done. */
static void want(struct prov *p)
{
    if (p->signing->job)
        p->signing->again = true;
    else
        start(p);
}

void prov_checkpoint(struct prov *p, prov_signed *done, void *arg)
{
    struct error e = {0};
    if (!p->signing || p->closed) {
        err_set(&e, p->closed ? ERR_CLOSED : ERR_UNSUPPORTED, "this log signs no checkpoints");
        done(arg, NULL, &e);
        return;
    }
    struct prov__waiter *w = xcalloc(1, sizeof *w), **end = &p->signing->waiting;
    *w = (struct prov__waiter){NULL, done, arg};
    while (*end)
        end = &(*end)->next;
    *end = w;
    want(p);
}

void prov__signing_settled(struct prov *p, const char *type, bool last)
{
    struct prov__signing *s = p->signing;
    if (!s)
        return;
    /* Two consoles that witness each other must not keep each other signing for ever. */
    s->fresh += strcmp(type, "checkpoint") != 0 && strcmp(type, "witness.sign") != 0;
    if (last || (s->signer && s->entries && s->fresh >= s->entries && !p->closed))
        want(p);
    else if (s->again && !s->job)
        start(p);
}

void prov__signing_failed(struct prov *p)
{
    struct prov__signing *s = p->signing;
    if (!s || !s->again || s->job || p->flying)
        return;
    struct prov__waiter *list = s->waiting;
    struct error e = p->failure;
    s->again = false;
    s->waiting = NULL;
    s->fresh++; /* to be tried again */
    answer(list, NULL, &e);
}

static void on_time(void *arg)
{
    struct prov *p = arg;
    if (p->signing->fresh && p->signing->signer && !p->closed && !p->signing->job)
        start(p);
}

/* ---- opening ---- */

static void name_key(void *arg, const uint8_t public_key[VAULT_KEY], char line[VAULT_LABEL])
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyz0123456789/.-_ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const struct prov_signing *o = arg;
    struct prov__vkey key;
    char *name;
    if (*o->origin) {
        name = xstrdup(o->origin);
    } else {
        uint8_t bytes[4];
        char hex[2 * sizeof bytes + 1];
        vault_random(bytes, sizeof bytes);
        text_hex(bytes, sizeof bytes, hex);
        name = xasprintf("mcp-console/%.100s/%s", o->environment, hex);
        for (char *c = name; *c; c++)
            if (!strchr(plain, *c))
                *c = '-';
    }
    prov__vkey_make(name, public_key, &key);
    prov__vkey_write(&key, line);
    free(name);
}

/* ---- the keys that are trusted ---- */

static enum err insert_first(struct store_db *db, void *arg, struct error *e)
{
    return store_exec(db, e,
                      "INSERT INTO signing_keys SELECT 0, ?, NULL, NULL"
                      " WHERE NOT EXISTS(SELECT 1 FROM signing_keys)",
                      "s", (const char *)arg);
}

static void first_inserted(void *arg, const struct error *e)
{
    (void)e; /* if it failed, the next start does it */
    free(arg);
}

/* A key that is staged is the next one if the log's entries say so; otherwise a crash came before
 * they did, and it was never used. */
static void open_next(struct prov *p)
{
    struct prov__signing *s = p->signing;
    const struct prov__trust *t = &s->trust;
    const struct prov__keyrange *last = &t->at[t->count - 1];
    struct error none = {0};
    struct vault_signer *next = vault_signer_staged(p->vault, &none);
    bool named = next && prov__vkey_read(vault_signer_line(next), &s->next_key) && t->count > 1 &&
                 prov__vkey_same(&s->next_key, &last->key) &&
                 prov__vkey_same(&s->key, &t->at[t->count - 2].key);
    if (named) {
        s->next = next;
        s->next_first = last->first;
        return;
    }
    vault_signer_free(next);
    if (!prov__vkey_same(&s->key, &last->key))
        err_set(&s->error, ERR_TAMPERED,
                "checkpoint.key is not the key that the log's entries name");
    else if (none.code != ERR_NOT_FOUND)
        vault_signer_unstage(p->vault, &s->error);
}

static void open_trust(struct prov *p)
{
    struct prov__signing *s = p->signing;
    if (prov__trust_load(&s->trust, store_reader(p->store), &s->error) != ERR_OK)
        return;
    if (*s->trust.problem) {
        err_set(&s->error, ERR_TAMPERED, "%s", s->trust.problem);
        return;
    }
    if (s->trust.count == 0) {
        char *line = xcalloc(1, VAULT_LABEL);
        prov__vkey_write(&s->key, line);
        prov__trust_add(&s->trust, 0, -1, &s->key, NULL);
        store_write(p->store, insert_first, first_inserted, line);
    }
    open_next(p);
}

static void open_key(struct prov *p, const struct prov_signing *o)
{
    struct prov__signing *s = p->signing;
    /* Where checkpoints are, their key was: another one must not take its place unnoticed. */
    bool make =
        store_scalar(store_reader(p->store), 0, "SELECT 1 FROM checkpoints LIMIT 1", "") == 0;
    if (*o->origin && (!prov__vkey_name_ok(o->origin) || strchr(o->origin, '#'))) {
        err_set(&s->error, ERR_CONFIG,
                "[evidence] origin: a name of at most 400 characters, without spaces, plus and #");
        return;
    }
    s->signer = vault_signer_open(p->vault, make ? name_key : NULL, (void *)o, &s->error);
    if (!s->signer)
        return;
    if (!prov__vkey_read(vault_signer_line(s->signer), &s->key) ||
        memcmp(s->key.public_key, vault_signer_public(s->signer), VAULT_KEY) != 0)
        err_set(&s->error, ERR_TAMPERED, "checkpoint.key does not name its own public key");
    else if (*o->origin && strcmp(o->origin, s->key.name) != 0)
        err_set(&s->error, ERR_CONFIG, "[evidence] origin is %s, the key was made for %s",
                o->origin, s->key.name);
    s->key_known = s->error.code != ERR_TAMPERED;
    if (s->error.code == ERR_OK)
        open_trust(p);
    if (s->error.code == ERR_OK)
        return;
    s->key_swapped = s->error.code == ERR_TAMPERED && s->key_known;
    if (s->key_swapped)
        p->state = PROV_BROKEN;
    vault_signer_free(s->signer);
    s->signer = NULL;
}

static bool take_note(void *arg, const struct store_row *row)
{
    const char *note = store_text(row, 0);
    if (note)
        buf_adds(arg, note);
    return false;
}

/* The newest one of the present epoch is remembered. */
static void follow_head(struct prov *p, const struct prov__checkpoint *c)
{
    struct prov__signing *s = p->signing;
    struct error e = {0};
    int64_t epoch = prov__origin_epoch(&s->key, c->origin);
    if (epoch < p->durable.epoch)
        return;
    if (p->breach) {
        go_beyond(p, &c->head, epoch);
        return;
    }
    if (epoch > p->durable.epoch)
        err_set(&e, ERR_TAMPERED,
                "a checkpoint is of epoch %lld, the log has %lld: it is an older copy",
                (long long)epoch, (long long)p->durable.epoch);
    else
        leads_to(p, &c->head, &e);
    if (e.code == ERR_TAMPERED) {
        breached(p, &c->head, &e);
        go_beyond(p, &c->head, epoch);
    } else if (e.code != ERR_OK) {
        s->error = e;
    } else if (c->head.size > s->head.size) {
        s->head = c->head;
    }
}

/* The log must lead to it. */
static void take_head(struct prov *p, const struct buf *note, const char *where)
{
    struct prov__signing *s = p->signing;
    struct prov__checkpoint c;
    if (!note->len || s->error.code != ERR_OK)
        return;
    const char *problem = prov__note_read(note->data, note->len, &c);
    if (!problem)
        problem = prov__trust_check(&s->trust, &c, prov__note_end(&p->epochs, &c), NULL);
    if (problem)
        err_set(&s->error, ERR_TAMPERED, "the newest checkpoint of %s: %s", where, problem);
    else
        follow_head(p, &c);
}

/* The newest checkpoints, of the table and of the file. */
static void load_head(struct prov *p)
{
    struct prov__signing *s = p->signing;
    struct buf note = {0};
    struct error e = {0};
    store_query(store_reader(p->store), NULL, take_note, &note,
                "SELECT note FROM checkpoints WHERE epoch = ? ORDER BY size DESC LIMIT 1", "i",
                p->durable.epoch);
    take_head(p, &note, "the database");
    buf_clear(&note);
    if (prov__files_newest(s->dir, &note, &e) != ERR_OK && s->error.code == ERR_OK)
        s->error = e;
    take_head(p, &note, "the file `checkpoints`");
    buf_release(&note);
    if (s->error.code == ERR_TAMPERED)
        p->state = PROV_BROKEN;
    if (s->error.code != ERR_OK) {
        vault_signer_free(s->signer);
        s->signer = NULL;
    }
}

/* ---- checkpoints of sessions' ends, logged by the next session (H4) ---- */

static enum err mark_logged(struct store_db *db, void *arg, struct error *e)
{
    const struct prov__signing_job *job = arg;
    return store_exec(db, e,
                      "UPDATE checkpoints SET entry = (SELECT size - 1 FROM tree_head)"
                      " WHERE epoch = ? AND size = ?",
                      "ii", job->epoch, job->head.size);
}

static void marked(void *arg, int64_t seq, const struct error *e)
{
    (void)seq, (void)e; /* if it failed, the next session does it */
    job_free(arg);
}

static bool log_note(void *arg, const struct store_row *row)
{
    struct prov *p = arg;
    struct prov__checkpoint c;
    struct prov__signing_job *job = xcalloc(1, sizeof *job);
    buf_adds(&job->note, store_text(row, 0));
    job->epoch = store_int(row, 1);
    job->base = store_int(row, 2);
    const char *problem = prov__note_read(job->note.data, job->note.len, &c);
    if (!problem)
        problem = prov__trust_check(&p->signing->trust, &c, prov__note_end(&p->epochs, &c), NULL);
    if (problem || prov__note_epoch(c.origin) != job->epoch || c.head.size != store_int(row, 3)) {
        job_free(job); /* not as it was signed: it is not logged, and verification tells it */
        return true;
    }
    job->head = c.head;
    json_t *payload = describe(p->signing, job);
    append_entry(p, payload, marked, mark_logged, job);
    json_decref(payload);
    return true;
}

void prov_sign(struct prov *p, const struct prov_signing *o)
{
    BUG_IF(p->signing);
    struct prov__signing *s = xcalloc(1, sizeof *s);
    const char *path = store_path(p->store), *slash = strrchr(path, '/');
    p->signing = s;
    s->dir = slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup(".");
    s->entries = o->entries;
    s->head.size = -1;
    open_key(p, o);
    if (s->signer)
        load_head(p);
    prov__changed(p);
    if (!s->signer)
        return;
    store_query(store_reader(p->store), NULL, log_note, p,
                "SELECT note, c.epoch, e.base, size FROM checkpoints c JOIN epochs e USING(epoch)"
                " WHERE c.entry IS NULL ORDER BY c.epoch, size LIMIT 16",
                "");
    if (o->seconds > 0) {
        s->timer = loop_timer_new(p->loop, on_time, p);
        loop_timer_start(s->timer, (uint64_t)o->seconds * 1000, (uint64_t)o->seconds * 1000);
    }
    if (s->head.size >= 0) /* files that a crash left behind the table */
        loop_work(p->loop, write_files, files_written, job_new(p));
    if (s->next)
        prov__handover_resume(p);
}

void prov__signing_epoch(struct prov *p)
{
    if (p->signing)
        p->signing->head.size = -1;
}

bool prov__signing_busy(const struct prov *p)
{
    return p->signing && (p->signing->job || p->signing->again || p->signing->handover);
}

void prov__signing_state(const struct prov *p, struct prov_state *out)
{
    bool any = p->signing && p->signing->head.size >= 0;
    out->signed_size = any ? p->durable.base + p->signing->head.size : -1;
    if (p->signing)
        out->signing = p->signing->error;
}

void prov__signing_free(struct prov *p)
{
    struct prov__signing *s = p->signing;
    struct error e = {0};
    if (!s)
        return;
    err_set(&e, ERR_CLOSED, "the console stops");
    loop_timer_free(s->timer);
    if (s->job) {
        answer(s->job->waiters, NULL, &e);
        s->job->waiters = NULL;
        s->job->prov = NULL;
    }
    answer(s->waiting, NULL, &e);
    prov__handover_forget(p);
    prov__trust_release(&s->trust);
    vault_signer_free(s->next);
    vault_signer_free(s->signer);
    free(s->dir);
    free(s);
    p->signing = NULL;
}
