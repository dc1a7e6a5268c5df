/* The key that signs checkpoints hands on to a new one.
 *
 * Invariants
 * N1 What the entry says is what holds: before it is durable the new key signs nothing that leaves
 *    this process, behind it the old one signs nothing alone.
 * N2 The old secret is there until a checkpoint signed by both is in the log and in the files.
 *
 *      idle --worker--> staged --entry--> named --checkpoint by both--> proved --worker--> idle
 *
 * A crash in `staged` goes back at the next start, one in `named` or `proved` goes on from `named`
 * (checkpoint.c finds out which). */
#include "backend/provenance/checkpoint.h"

#include <stdlib.h>
#include <string.h>

struct prov__handover {
    struct prov *prov; /* NULL after prov_free */
    struct vault *vault;
    char *name, *by, *dir; /* of the key; the actor; of the database */
    struct vault_signer *fresh;
    struct prov__vkey old_key, key;
    int64_t first, entry, size;
    struct buf note;
    struct prov__trust trust; /* what keys/trusted is to list */
    struct error error;
    prov_rotated *done; /* or NULL: a resumed one */
    void *arg;
};

static void release(struct prov__handover *h)
{
    vault_signer_free(h->fresh);
    prov__trust_release(&h->trust);
    buf_release(&h->note);
    free(h->name);
    free(h->by);
    free(h->dir);
    free(h);
}

static json_t *describe(const struct prov__handover *h)
{
    char old_line[VAULT_LABEL], line[VAULT_LABEL];
    json_t *what = json_object();
    prov__vkey_write(&h->old_key, old_line);
    prov__vkey_write(&h->key, line);
    json_puts(what, "what", "signing");
    json_puts(what, "old", old_line);
    json_puts(what, "new", line);
    json_puti(what, "first", h->first);
    return what;
}

static void finish(struct prov__handover *h, const struct error *e)
{
    json_t *what = NULL;
    if (h->prov) {
        h->prov->signing->handover = NULL;
        prov__changed(h->prov);
    }
    if (h->done && e->code == ERR_OK) {
        what = describe(h);
        json_puti(what, "entry", h->entry);
        json_puti(what, "size", h->size);
    }
    if (h->done)
        h->done(h->arg, what, e);
    json_decref(what);
    release(h);
}

/* ---- the last step: the old secret goes ---- */

static void replace(void *arg)
{
    struct prov__handover *h = arg;
    if (vault_signer_replace(h->vault, &h->error) == ERR_OK)
        prov__trusted_write(&h->trust, h->dir, &h->error);
}

static void replaced(void *arg, bool cancelled)
{
    struct prov__handover *h = arg;
    if (cancelled)
        err_set(&h->error, ERR_CLOSED, "the console stops");
    if (h->prov && h->error.code == ERR_OK) {
        struct prov__signing *s = h->prov->signing;
        vault_signer_free(s->signer);
        s->signer = s->next;
        s->key = s->next_key;
        s->next = NULL;
    }
    finish(h, &h->error);
}

static void copy_trust(struct prov__handover *h, const struct prov__trust *t)
{
    for (size_t i = 0; i < t->count; i++)
        prov__trust_add(&h->trust, t->at[i].first, t->at[i].entry, &t->at[i].key, t->at[i].note);
}

/* The checkpoint by both is written: is it what it should be? */
static void proved(void *arg, json_t *checkpoint, const struct error *e)
{
    struct prov__handover *h = arg;
    struct prov__checkpoint c;
    const char *note = json_str(checkpoint, "note", "");
    if (!h->prov || !checkpoint) {
        err_set(&h->error, e->code == ERR_OK ? ERR_CLOSED : e->code,
                "the new key is named by the log, but no checkpoint could be signed by both; the "
                "next start tries again: %.120s",
                e->detail);
        finish(h, &h->error);
        return;
    }
    h->size = json_int(checkpoint, "base", 0) + json_int(checkpoint, "size", 0);
    if (prov__note_read(note, strlen(note), &c) != NULL ||
        prov__note_check(&c, &h->old_key) != PROV__SIGNED ||
        prov__note_check(&c, &h->key) != PROV__SIGNED) {
        err_set(&h->error, ERR_INTERNAL, "the checkpoint by both keys does not verify");
        finish(h, &h->error);
        return;
    }
    copy_trust(h, &h->prov->signing->trust);
    loop_work(h->prov->loop, replace, replaced, h);
}

/* ---- the entry ---- */

static void unstage(void *arg)
{
    struct prov__handover *h = arg;
    vault_signer_unstage(h->vault,
                         NULL); /* what cannot be removed now is removed at the next start */
}

static void unstaged(void *arg, bool cancelled)
{
    struct prov__handover *h = arg;
    (void)cancelled;
    finish(h, &h->error);
}

static void give_up(struct prov__handover *h, const struct error *e)
{
    h->error = *e;
    if (h->prov)
        loop_work(h->prov->loop, unstage, unstaged, h);
    else
        finish(h, &h->error);
}

static enum err insert_key(struct store_db *db, void *arg, struct error *e)
{
    const struct prov__handover *h = arg;
    char line[VAULT_LABEL];
    prov__vkey_write(&h->key, line);
    return store_exec(db, e, "INSERT INTO signing_keys VALUES(?, ?, ?, ?)", "isis", h->first, line,
                      h->first, h->note.data);
}

static void named(void *arg, int64_t seq, const struct error *e)
{
    struct prov__handover *h = arg;
    if (e->code != ERR_OK || !h->prov) {
        struct error why = *e;
        if (why.code == ERR_OK)
            err_set(&why, ERR_CLOSED, "the console stops");
        if (h->prov) {
            vault_signer_free(h->prov->signing->next);
            h->prov->signing->next = NULL;
        }
        give_up(h, &why);
        return;
    }
    struct prov__signing *s = h->prov->signing;
    h->entry = seq;
    prov__trust_add(&s->trust, h->first, seq, &h->key, h->note.data);
    prov_checkpoint(h->prov, proved, h);
}

static void sign_note(struct prov__handover *h, const struct prov__signing *s)
{
    uint8_t by_old[VAULT_SIGNATURE], by_new[VAULT_SIGNATURE];
    prov__handover_body(&s->key, &h->key, h->first, &h->note);
    vault_sign(s->signer, h->note.data, h->note.len, by_old);
    vault_sign(h->fresh, h->note.data, h->note.len, by_new);
    prov__note_sign(&s->key, by_old, &h->note);
    prov__note_sign_too(&h->key, by_new, &h->note);
}

static void append_entry(struct prov *p, struct prov__handover *h)
{
    struct prov__signing *s = p->signing;
    h->old_key = s->key;
    h->first = prov__next_seq(p);
    sign_note(h, s);
    /* From now on: what ends behind that entry can only be signed when it is durable (N1). */
    s->next = h->fresh;
    s->next_key = h->key;
    s->next_first = h->first;
    h->fresh = NULL;
    json_t *payload = describe(h);
    json_put(payload, "note", json_text(h->note.data, h->note.len));
    struct prov_entry entry = {.type = "key.rotate", .actor = h->by, .payload = payload};
    int64_t seq = prov_append(p, &entry, named, h, insert_key, h);
    BUG_IF(seq >= 0 && seq != h->first);
    json_decref(payload);
}

/* ---- the new key ---- */

static void label(void *arg, const uint8_t public_key[VAULT_KEY], char line[VAULT_LABEL])
{
    const struct prov__handover *h = arg;
    struct prov__vkey key;
    prov__vkey_make(h->name, public_key, &key);
    prov__vkey_write(&key, line);
}

static void stage(void *arg)
{
    struct prov__handover *h = arg;
    uint8_t signature[VAULT_SIGNATURE];
    h->fresh = vault_signer_stage(h->vault, label, h, &h->error);
    if (!h->fresh)
        return;
    vault_sign(h->fresh, "self-test", 9, signature);
    if (!prov__vkey_read(vault_signer_line(h->fresh), &h->key) ||
        !vault_signature_ok(h->key.public_key, "self-test", 9, signature))
        err_set(&h->error, ERR_INTERNAL, "the new key does not verify what it signs");
}

static void staged(void *arg, bool cancelled)
{
    struct prov__handover *h = arg;
    if (cancelled || !h->prov || h->prov->closed)
        err_set(&h->error, ERR_CLOSED, "the console stops");
    if (h->error.code != ERR_OK) {
        struct error why = h->error;
        give_up(h, &why);
        return;
    }
    append_entry(h->prov, h);
}

static struct prov__handover *handover_new(struct prov *p)
{
    struct prov__handover *h = xcalloc(1, sizeof *h);
    h->prov = p;
    h->vault = p->vault;
    h->dir = xstrdup(p->signing->dir);
    h->entry = -1;
    p->signing->handover = h;
    return h;
}

static enum err may_begin(const struct prov *p, struct error *e)
{
    const struct prov__signing *s = p->signing;
    if (p->closed)
        return err_set(e, ERR_CLOSED, "the log is closed");
    if (!s)
        return err_set(e, ERR_UNSUPPORTED, "this log signs no checkpoints");
    if (s->handover || s->next)
        return err_set(e, ERR_BUSY, "the signing key is being replaced");
    if (p->state == PROV_BROKEN)
        return err_set(e, ERR_TAMPERED, "no key is replaced while the log does not verify");
    if (!s->signer)
        return err_set(e, s->error.code, "%s", s->error.detail);
    return ERR_OK;
}

void prov_rotate_signing(struct prov *p, const char *by, prov_rotated *done, void *arg)
{
    struct error e = {0};
    if (may_begin(p, &e) != ERR_OK) {
        done(arg, NULL, &e);
        return;
    }
    struct prov__handover *h = handover_new(p);
    h->name = xstrdup(p->signing->key.name);
    h->by = xstrdup(by);
    h->done = done;
    h->arg = arg;
    loop_work(p->loop, stage, staged, h);
}

void prov__handover_resume(struct prov *p)
{
    struct prov__signing *s = p->signing;
    struct prov__handover *h = handover_new(p);
    h->old_key = s->key;
    h->key = s->next_key;
    h->first = h->entry = s->next_first;
    prov_checkpoint(p, proved, h);
}

void prov__handover_forget(struct prov *p)
{
    if (p->signing->handover)
        p->signing->handover->prov = NULL;
}
