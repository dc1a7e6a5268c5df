/* The master key is replaced: what it wraps is wrapped anew, row by row, under a new one.
 *
 * Invariants
 * M1 While anything may be wrapped under either key both can be opened (V3 of the vault), and each
 *    row, each file is of one of them: it says which. So it does not matter where a crash comes.
 * M2 A row is read, unwrapped, wrapped and written in one transaction: what was erased meanwhile is
 *    not written back.
 * M3 The old key is destroyed only when nothing is wrapped under it, every data key has been
 *    unwrapped with the new one, and a checkpoint signed since has been verified.
 * M4 Any failure before that goes back: everything is wrapped under the old key again, and the new
 *    one is destroyed.
 *
 *      staged --entry--> data keys --> projections --> signing keys --> verified --checkpoint-->
 *      replaced --entry--> finished
 *
 * A crash behind `staged` goes on at the next start. */
#include "backend/provenance/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS = 64, PROJECTIONS = 32, ROUNDS = 3, SESSION = 65 };
#define SLICE_BYTES ((size_t)2 * 1024 * 1024)

struct counts {
    int64_t keys, projections, signers;
};

struct prov__rotation {
    struct prov *prov; /* NULL after prov_free */
    struct vault *old, *fresh, *to;
    enum vault_seal seal;
    struct vault_pass *pass;
    char *by, *path;
    bool back; /* M4 */
    int rounds;
    struct counts done; /* of this pass */
    int64_t total;      /* rows to be looked at, for progress */
    struct error why;   /* of going back */
    struct error error; /* of the step on a worker */
    /* one slice; what its transaction found is taken over when that is durable */
    char after[SESSION], next_after[SESSION];
    int64_t row, next_row, changed;
    bool more;
    struct prov__keys keys; /* of the verification, and what it reads from */
    struct store_db *db;
    prov_rotated *answer; /* NULL: nobody waits */
    void *arg;
};

static void begin_pass(struct prov__rotation *r);
static void go_back(struct prov__rotation *r, const struct error *e);

static void release(struct prov__rotation *r)
{
    free(r->by);
    free(r->path);
    free(r);
}

static json_t *describe(const struct prov__rotation *r, const char *step)
{
    json_t *what = json_object();
    json_puts(what, "what", "master");
    json_puts(what, "step", step);
    json_puts(what, "old", vault_kek_id(r->old));
    json_puts(what, "new", vault_kek_id(r->fresh));
    json_puts(what, "seal", vault_seal_name(r->seal));
    json_puti(what, "data_keys", r->done.keys);
    json_puti(what, "projections", r->done.projections);
    json_puti(what, "signing_keys", r->done.signers);
    if (r->why.code != ERR_OK)
        json_puts(what, "reason", r->why.detail);
    return what;
}

static void finish(struct prov__rotation *r, const json_t *what, const struct error *e)
{
    if (r->prov) {
        r->prov->rotation = NULL;
        prov__changed(r->prov);
    }
    if (r->answer)
        r->answer(r->arg, what, e);
    release(r);
}

/* True, and it is over, if the log is closed or gone, or the step was cancelled. */
static bool stopped(struct prov__rotation *r, bool cancelled)
{
    if (r->prov && !r->prov->closed && !cancelled)
        return false;
    struct error e = {0};
    err_set(&e, ERR_CLOSED, "the console stops; the next start goes on with the rotation");
    finish(r, NULL, &e);
    return true;
}

static void note(struct prov__rotation *r, const char *step, prov_done *done)
{
    json_t *payload = describe(r, step);
    struct prov_entry entry = {.type = "key.rotate", .actor = r->by, .payload = payload};
    prov_append(r->prov, &entry, done, r, NULL, NULL);
    json_decref(payload);
}

/* ---- the end ---- */

static void destroy_old(void *arg)
{
    struct prov__rotation *r = arg;
    vault_finish(r->fresh, &r->error);
}

static void scrubbed(void *arg, const struct error *e)
{
    struct prov__rotation *r = arg;
    (void)e; /* the old key is gone: what is left of its wraps opens for nobody */
    struct error none = {0};
    json_t *what = describe(r, "done");
    finish(r, what, &none);
    json_decref(what);
}

static void old_destroyed(void *arg, bool cancelled)
{
    struct prov__rotation *r = arg;
    if (stopped(r, cancelled))
        return;
    if (r->error.code != ERR_OK)
        finish(r, NULL, &r->error);
    else
        store_scrub(r->prov->store, scrubbed, r);
}

static void end_noted(void *arg, int64_t seq, const struct error *e)
{
    struct prov__rotation *r = arg;
    (void)seq;
    if (stopped(r, false))
        return;
    if (e->code != ERR_OK)
        finish(r, NULL, e);
    else
        loop_work(r->prov->loop, destroy_old, old_destroyed, r);
}

static void put_in_place(void *arg)
{
    struct prov__rotation *r = arg;
    vault_replace(r->old, &r->error);
}

static void in_place(void *arg, bool cancelled)
{
    struct prov__rotation *r = arg;
    if (stopped(r, cancelled))
        return;
    if (r->error.code != ERR_OK)
        go_back(r, &r->error);
    else
        note(r, "done", end_noted);
}

static void replace(struct prov__rotation *r)
{
    if (vault_step(r->old) == VAULT_REPLACED)
        note(r, "done", end_noted);
    else
        loop_work(r->prov->loop, put_in_place, in_place, r);
}

/* ---- verified: M3 ---- */

static void signed_anew(void *arg, json_t *checkpoint, const struct error *e)
{
    struct prov__rotation *r = arg;
    struct prov__checkpoint c;
    struct error why = *e;
    if (stopped(r, e->code == ERR_CLOSED))
        return;
    const char *text = json_str(checkpoint, "note", "");
    const char *problem = e->code != ERR_OK ? why.detail : prov__note_read(text, strlen(text), &c);
    if (!problem)
        problem = prov__trust_check(&r->prov->signing->trust, &c,
                                    prov__note_end(&r->prov->epochs, &c), NULL);
    if (problem) {
        struct error bad = {0};
        err_set(&bad, e->code != ERR_OK ? e->code : ERR_INTERNAL,
                "a checkpoint signed with the new master key: %.160s", problem);
        go_back(r, &bad);
        return;
    }
    replace(r);
}

static bool check_wrap(void *arg, const struct store_row *row)
{
    struct prov__rotation *r = arg;
    const char *session = store_text(row, 0);
    if (!session || prov__keys_load(&r->keys, r->db, session) != ERR_OK)
        err_set(&r->error, r->keys.error.code, "%s", r->keys.error.detail);
    return r->error.code == ERR_OK;
}

static bool check_payload(void *arg, const struct store_row *row)
{
    struct prov__rotation *r = arg;
    struct prov__header h;
    struct buf ad = {0}, plain = {0};
    const char *problem = "";
    size_t len, sealed_len;
    const char *bytes = store_blob(row, 0, &len);
    const void *sealed = store_blob(row, 1, &sealed_len);
    if (bytes && prov__entry_read(bytes, len, &h) == NULL)
        prov__payload(&r->keys, r->db, &h, (struct prov__text){bytes, len}, sealed, sealed_len, &ad,
                      &plain, &problem, &r->error);
    buf_release(&ad);
    buf_release(&plain);
    return r->error.code == ERR_OK;
}

/* With the new key alone. What is wrapped under a third key is not ours to judge; and what did not
 * unwrap with the old one must not keep a rotation from going back. */
static void verify(void *arg)
{
    struct prov__rotation *r = arg;
    struct store_db *db = store_db_open(r->path, &r->error);
    if (!db)
        return;
    r->keys.vault = r->to;
    r->db = db;
    const char *other = vault_kek_id(r->to == r->fresh ? r->old : r->fresh);
    r->more = store_scalar(db, 1,
                           "SELECT EXISTS(SELECT 1 FROM data_keys WHERE kek_id = ?1) OR EXISTS("
                           "SELECT 1 FROM traces WHERE substr(sealed, 1, 24) ="
                           " CAST('mcpcprj2' || ?1 AS BLOB))",
                           "s", other) != 0;
    if (!r->more && !r->back)
        store_query(db, &r->error, check_wrap, r, "SELECT session FROM data_keys WHERE kek_id = ?",
                    "s", vault_kek_id(r->to));
    if (!r->more && !r->back && r->error.code == ERR_OK)
        store_query(db, &r->error, check_payload, r,
                    "SELECT entry, sealed FROM entries JOIN payloads USING(seq)"
                    " WHERE session IN (SELECT session FROM data_keys WHERE kek_id = ?)"
                    " ORDER BY seq DESC LIMIT 16",
                    "s", vault_kek_id(r->to));
    if (r->error.code == ERR_OK)
        vault_signers_rewrap(r->to, &r->done.signers, &r->error);
    prov__keys_release(&r->keys);
    store_db_close(db);
}

static void unstage(void *arg)
{
    struct prov__rotation *r = arg;
    vault_unstage(r->old, &r->error);
}

static void unstaged(void *arg, bool cancelled)
{
    struct prov__rotation *r = arg;
    if (stopped(r, cancelled))
        return;
    finish(r, NULL, r->error.code == ERR_OK ? &r->why : &r->error);
}

static void back_noted(void *arg, int64_t seq, const struct error *e)
{
    struct prov__rotation *r = arg;
    (void)seq, (void)e; /* that nothing was replaced need not be in the log */
    if (!stopped(r, false))
        loop_work(r->prov->loop, unstage, unstaged, r);
}

static void verified(void *arg, bool cancelled)
{
    struct prov__rotation *r = arg;
    if (stopped(r, cancelled))
        return;
    if (r->error.code == ERR_OK && r->more && ++r->rounds < ROUNDS) {
        begin_pass(r); /* sealed before, stored since */
        return;
    }
    if (r->error.code == ERR_OK && r->more)
        err_set(&r->error, ERR_BUSY, "what is wrapped under the other key does not get less");
    if (r->error.code != ERR_OK) {
        struct error e = r->error;
        go_back(r, &e);
    } else if (r->back) {
        note(r, "rolled back", back_noted);
    } else if (r->prov->signing && r->prov->signing->signer) {
        prov_checkpoint(r->prov, signed_anew, r);
    } else {
        replace(r);
    }
}

/* ---- wrapped anew ---- */

static void seal_signers(void *arg)
{
    struct prov__rotation *r = arg;
    vault_signers_rewrap(r->to, &r->done.signers, &r->error);
}

static void signers_sealed(void *arg, bool cancelled)
{
    struct prov__rotation *r = arg;
    if (stopped(r, cancelled))
        return;
    if (r->error.code != ERR_OK) {
        struct error e = r->error;
        go_back(r, &e);
        return;
    }
    loop_work(r->prov->loop, verify, verified, r);
}

struct rows { /* of a slice, read before they are written */
    struct {
        int64_t id, version;
        char session[SESSION], kek_id[17];
        struct buf blob;
    } at[KEYS];
    size_t count, bytes, most;
};

static bool take_row(void *arg, const struct store_row *row)
{
    struct rows *rows = arg;
    size_t len;
    const char *session = store_text(row, 1), *kek_id = store_text(row, 2);
    const void *blob = store_blob(row, 4, &len);
    size_t i = rows->count++;
    rows->at[i].id = store_int(row, 0);
    rows->at[i].version = store_int(row, 3);
    snprintf(rows->at[i].session, sizeof rows->at[i].session, "%s", session ? session : "");
    snprintf(rows->at[i].kek_id, sizeof rows->at[i].kek_id, "%s", kek_id ? kek_id : "");
    if (blob)
        buf_add(&rows->at[i].blob, blob, len);
    rows->bytes += len;
    return rows->count < rows->most && rows->bytes < SLICE_BYTES;
}

static void rows_release(struct rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        buf_release(&rows->at[i].blob);
    free(rows);
}

/* A data key's wrap, opened by `from`, made anew by `to`. */
static enum err rewrap_key(struct vault *from, struct vault *to, const char *session,
                           int64_t version, struct buf *wrap, struct error *e)
{
    struct error why = {0};
    if (version == 1) {
        struct vault_key *key =
            vault_key_unwrap(from, session, (uint8_t *)wrap->data, wrap->len, &why);
        if (key)
            vault_key_wrap(to, session, key, (uint8_t *)wrap->data);
        vault_key_free(key);
    } else {
        struct vault_ring *ring = vault_ring_unwrap(from, session, wrap->data, wrap->len, &why);
        buf_clear(wrap);
        if (ring)
            vault_ring_wrap(to, session, ring, wrap);
        vault_ring_free(ring);
    }
    return why.code == ERR_OK ? ERR_OK : err_set(e, why.code, "%s", why.detail);
}

static enum err wrap_keys(struct store_db *db, void *arg, struct error *e)
{
    struct prov__rotation *r = arg;
    struct rows *rows = xcalloc(1, sizeof *rows);
    struct vault *from = r->to == r->fresh ? r->old : r->fresh;
    rows->most = KEYS;
    enum err code =
        store_query(db, e, take_row, rows,
                    "SELECT 0, session, kek_id, version, wrap FROM data_keys WHERE session > ?"
                    " ORDER BY session LIMIT 64",
                    "s", r->after);
    r->changed = 0;
    for (size_t i = 0; i < rows->count && code == ERR_OK; i++) {
        if (strcmp(rows->at[i].kek_id, vault_kek_id(from)) != 0)
            continue;
        struct buf *wrap = &rows->at[i].blob;
        code = rewrap_key(from, r->to, rows->at[i].session, rows->at[i].version, wrap, e);
        if (code == ERR_OK)
            code =
                store_exec(db, e, "UPDATE data_keys SET wrap = ?, kek_id = ? WHERE session = ?",
                           "bss", wrap->data, wrap->len, vault_kek_id(r->to), rows->at[i].session);
        r->changed++;
    }
    r->more = rows->count > 0;
    if (rows->count)
        memcpy(r->next_after, rows->at[rows->count - 1].session, SESSION);
    rows_release(rows);
    return code;
}

static enum err wrap_projections(struct store_db *db, void *arg, struct error *e)
{
    struct prov__rotation *r = arg;
    struct rows *rows = xcalloc(1, sizeof *rows);
    rows->most = PROJECTIONS;
    enum err code = store_query(db, e, take_row, rows,
                                "SELECT rowid, session, NULL, 0, sealed FROM traces"
                                " WHERE rowid > ? AND sealed IS NOT NULL ORDER BY rowid LIMIT 32",
                                "i", r->row);
    r->changed = 0;
    for (size_t i = 0; i < rows->count && code == ERR_OK; i++) {
        bool changed = false;
        struct buf *blob = &rows->at[i].blob;
        code =
            prov__projection_rewrap(r->to, rows->at[i].session, blob->data, blob->len, &changed, e);
        if (code == ERR_NO_KEY) /* of a third key */
            code = ERR_OK;
        if (changed && code == ERR_OK)
            code = store_exec(db, e, "UPDATE traces SET sealed = ? WHERE rowid = ?", "bi",
                              blob->data, blob->len, rows->at[i].id);
        r->changed += changed;
    }
    r->more = rows->count > 0;
    if (rows->count)
        r->next_row = rows->at[rows->count - 1].id;
    rows_release(rows);
    return code;
}

static void projections_wrapped(void *arg, const struct error *e)
{
    struct prov__rotation *r = arg;
    if (stopped(r, e->code == ERR_CLOSED))
        return;
    if (e->code != ERR_OK) {
        go_back(r, e);
        return;
    }
    r->done.projections += r->changed;
    r->row = r->next_row;
    if (r->more)
        store_write(r->prov->store, wrap_projections, projections_wrapped, r);
    else
        loop_work(r->prov->loop, seal_signers, signers_sealed, r);
}

static void keys_wrapped(void *arg, const struct error *e)
{
    struct prov__rotation *r = arg;
    if (stopped(r, e->code == ERR_CLOSED))
        return;
    if (e->code != ERR_OK) {
        go_back(r, e);
        return;
    }
    r->done.keys += r->changed;
    memcpy(r->after, r->next_after, sizeof r->after);
    if (r->more)
        store_write(r->prov->store, wrap_keys, keys_wrapped, r);
    else
        store_write(r->prov->store, wrap_projections, projections_wrapped, r);
}

static void begin_pass(struct prov__rotation *r)
{
    r->after[0] = r->next_after[0] = '\0';
    r->row = r->next_row = -1;
    r->error = (struct error){0};
    /* What is wrapped from now on is wrapped under the key that is to stay. */
    r->prov->vault = r->prov->keys.vault = r->to;
    store_write(r->prov->store, wrap_keys, keys_wrapped, r);
}

static void go_back(struct prov__rotation *r, const struct error *e)
{
    struct error why = *e;
    if (r->back || vault_step(r->old) == VAULT_REPLACED) {
        finish(r, NULL, &why); /* both keys stay where they are; the next start tries again */
        return;
    }
    r->why = why;
    r->back = true;
    r->to = r->old;
    r->rounds = 0;
    r->done = (struct counts){0};
    begin_pass(r);
}

/* ---- the beginning ---- */

static void begun(void *arg, int64_t seq, const struct error *e)
{
    struct prov__rotation *r = arg;
    (void)seq;
    if (stopped(r, e->code == ERR_CLOSED))
        return;
    if (e->code != ERR_OK)
        go_back(r, e);
    else
        begin_pass(r);
}

static void stage(void *arg)
{
    struct prov__rotation *r = arg;
    r->fresh = vault_stage(r->old, r->seal, r->pass, &r->error);
}

static void staged(void *arg, bool cancelled)
{
    struct prov__rotation *r = arg;
    if (!r->fresh && r->prov && !cancelled) {
        finish(r, NULL, &r->error);
        return;
    }
    if (stopped(r, cancelled))
        return;
    r->to = r->fresh;
    note(r, "begun", begun);
}

static struct prov__rotation *rotation_new(struct prov *p, const char *by)
{
    struct prov__rotation *r = xcalloc(1, sizeof *r);
    r->prov = p;
    r->by = xstrdup(by);
    r->path = xstrdup(store_path(p->store));
    r->old = p->vault;
    r->total = store_scalar(store_reader(p->store), 0,
                            "SELECT (SELECT count(*) FROM data_keys) +"
                            " (SELECT count(*) FROM traces)",
                            "");
    p->rotation = r;
    return r;
}

void prov_rotate_master(struct prov *p, const struct prov_rotation *o, prov_rotated *done,
                        void *arg)
{
    struct error e = {0};
    if (p->closed)
        err_set(&e, ERR_CLOSED, "the log is closed");
    else if (p->rotation || vault_partner(p->vault))
        err_set(&e, ERR_BUSY, "a rotation of the master key is under way");
    else if (p->state == PROV_BROKEN)
        err_set(&e, ERR_TAMPERED, "no key is replaced while the log does not verify");
    else if (p->signing && (p->signing->handover || p->signing->next))
        err_set(&e, ERR_BUSY, "the signing key is being replaced");
    if (e.code != ERR_OK) {
        done(arg, NULL, &e);
        return;
    }
    struct prov__rotation *r = rotation_new(p, o->by);
    r->seal = o->seal;
    r->pass = o->pass;
    r->answer = done;
    r->arg = arg;
    loop_work(p->loop, stage, staged, r);
}

void prov_rotate_resume(struct prov *p)
{
    struct vault *partner = vault_partner(p->vault);
    if (!partner || vault_step(p->vault) == VAULT_STEADY || p->rotation)
        return;
    struct prov__rotation *r = rotation_new(p, "backend");
    bool is_new = vault_is_new(p->vault);
    r->old = is_new ? partner : p->vault;
    r->fresh = is_new ? p->vault : partner;
    r->to = r->fresh;
    r->seal = vault_sealed_by(r->fresh);
    note(r, "resumed", begun);
}

struct vault *prov_vault(const struct prov *p)
{
    return p->vault;
}

bool prov_rotating(const struct prov *p, int64_t *done, int64_t *total)
{
    const struct prov__rotation *r = p->rotation;
    *done = *total = 0;
    if (!r)
        return p->signing && p->signing->handover;
    *done = r->done.keys + r->done.projections;
    *total = r->total;
    return true;
}

void prov__rotation_forget(struct prov *p)
{
    struct prov__rotation *r = p->rotation;
    struct error e = {0};
    if (!r)
        return;
    err_set(&e, ERR_CLOSED, "the console stops; the next start goes on with the rotation");
    if (r->answer)
        r->answer(r->arg, NULL, &e);
    r->answer = NULL;
    r->prov = NULL;
    p->rotation = NULL;
}
