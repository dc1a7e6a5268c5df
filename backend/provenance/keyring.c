/* What keys there are, and whether each opens what it should: read on a worker with a reader of its
 * own. */
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "backend/provenance/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct job {
    struct prov *prov;  /* on the loop only */
    bool verify, never; /* never: what verification asks for cancelling */
    char *path, *dir;
    struct vault *vault;
    struct prov__vkey key;
    bool key_known;
    struct verify__heads heads;
    json_t *out, *keys, *checks;
    bool ok, tampered;
    /* counts */
    int64_t data, foreign, projections, other_projections, signers;
    struct error bad; /* the first that does not open */
    struct error error;
    prov_keyring *done;
    void *arg;
};

/* ---- the list ---- */

static json_t *add_key(struct job *j, const char *kind, const char *id, const char *state)
{
    json_t *key = json_object();
    json_puts(key, "kind", kind);
    json_puts(key, "id", id);
    json_puts(key, "state", state);
    json_array_append_new(j->keys, key);
    return key;
}

struct history { /* of the master key, from the entries that say a rotation was over */
    struct job *job;
    struct store_db *db;
    struct buf ad, plain;
    char since[32];
};

static bool take_rotation(void *arg, const struct store_row *row)
{
    struct history *h = arg;
    struct prov__header header;
    const char *problem, *bytes;
    size_t len, sealed_len;
    bytes = store_blob(row, 0, &len);
    const void *sealed = store_blob(row, 1, &sealed_len);
    if (!bytes || prov__entry_read(bytes, len, &header) != NULL)
        return true;
    buf_clear(&h->ad);
    if (prov__payload(&h->job->heads.keys, h->db, &header, (struct prov__text){bytes, len}, sealed,
                      sealed_len, &h->ad, &h->plain, &problem, NULL) != ERR_OK)
        return true;
    json_t *said = json_read(h->plain.data, h->plain.len, PROV__MAX_PAYLOAD, 8, NULL);
    if (strcmp(json_str(said, "what", ""), "master") == 0 &&
        strcmp(json_str(said, "step", ""), "done") == 0) {
        json_t *key = add_key(h->job, "master", json_str(said, "old", ""), "retired");
        json_puts(key, "purpose", "wrapped data keys, projections and signing keys");
        json_puts(key, "since", h->since);
        clock_format(header.ts, h->since);
        json_puts(key, "until", h->since);
    }
    json_decref(said);
    return true;
}

static bool take_time(void *arg, const struct store_row *row)
{
    clock_format(store_int(row, 0), arg);
    return false;
}

static void list_master(struct job *j, struct store_db *db)
{
    struct history h = {.job = j, .db = db};
    const char *id = vault_kek_id(j->vault);
    store_query(db, NULL, take_time, h.since, "SELECT ts FROM entries WHERE seq = 0", "");
    store_query(db, &j->error, take_rotation, &h,
                "SELECT e.entry, p.sealed FROM entries e JOIN payloads p USING(seq)"
                " WHERE e.type = 'key.rotate' ORDER BY seq",
                "");
    json_t *key = add_key(j, "master", id, "active");
    json_puts(key, "purpose", "wraps data keys, projections and signing keys");
    json_puts(key, "seal", vault_seal_name(vault_sealed_by(j->vault)));
    json_puts(key, "since", h.since);
    json_puti(key, "data_keys",
              store_scalar(db, 0, "SELECT count(*) FROM data_keys WHERE kek_id = ?", "s", id));
    json_puti(key, "projections",
              store_scalar(db, 0,
                           "SELECT count(*) FROM traces WHERE substr(sealed, 1, 24) ="
                           " CAST('mcpcprj2' || ? AS BLOB)",
                           "s", id));
    json_puti(key, "signing_keys", j->signers);
    buf_release(&h.ad);
    buf_release(&h.plain);
}

static void list_signing(struct job *j)
{
    const struct prov__trust *t = &j->heads.trust;
    char line[VAULT_LABEL], id[2 * PROV__KEY_ID + 1];
    for (size_t i = 0; i < t->count; i++) {
        bool last = i + 1 == t->count;
        prov__vkey_write(&t->at[i].key, line);
        text_hex(t->at[i].key.id, PROV__KEY_ID, id);
        json_t *key = add_key(j, "signing", id, last ? "active" : "retired");
        json_puts(key, "purpose", "signs checkpoints");
        json_puts(key, "vkey", line);
        json_puti(key, "first", t->at[i].first);
        json_put(key, "last", last ? json_null() : json_integer(t->at[i + 1].first));
        json_put(key, "entry", i ? json_integer(t->at[i].entry) : json_null());
    }
}

/* ---- verified ---- */

static void add_check(struct job *j, const char *name, bool ok, char *text)
{
    json_t *check = json_object();
    json_puts(check, "name", name);
    json_put(check, "ok", json_boolean(ok));
    json_puts(check, "text", text);
    json_array_append_new(j->checks, check);
    j->ok &= ok;
    free(text);
}

static void remember(struct job *j, const struct error *e)
{
    j->tampered |= e->code == ERR_TAMPERED;
    if (j->bad.code == ERR_OK)
        j->bad = *e;
}

struct reading {
    struct job *job;
    struct store_db *db;
};

static bool open_data_key(void *arg, const struct store_row *row)
{
    struct reading *r = arg;
    struct prov__keys *keys = &r->job->heads.keys;
    const char *session = store_text(row, 0);
    enum err code = session ? prov__keys_load(keys, r->db, session) : ERR_OK;
    r->job->data += code == ERR_OK;
    r->job->foreign += code == ERR_NO_KEY;
    if (code != ERR_OK && code != ERR_NO_KEY)
        remember(r->job, &keys->error);
    return true;
}

static bool open_projection(void *arg, const struct store_row *row)
{
    struct reading *r = arg;
    struct error e = {0};
    size_t len;
    const char *session = store_text(row, 1);
    const void *head = store_blob(row, 0, &len);
    enum err code =
        session && head ? prov__projection_check(r->job->vault, session, head, len, &e) : ERR_OK;
    r->job->projections += code == ERR_OK;
    r->job->other_projections += code == ERR_NO_KEY;
    if (code != ERR_OK && code != ERR_NO_KEY)
        remember(r->job, &e);
    return true;
}

static void tell_opened(struct job *j, const char *name, int64_t good, int64_t foreign)
{
    bool ok = j->bad.code == ERR_OK;
    char *others = foreign ? xasprintf("; %lld are under another master key, which is not here",
                                       (long long)foreign)
                           : xstrdup("");
    add_check(j, name, ok,
              ok ? xasprintf("%lld open%s", (long long)good, others) : xstrdup(j->bad.detail));
    free(others);
    j->bad = (struct error){0};
}

static void verify_wraps(struct job *j, struct store_db *db)
{
    struct reading r = {j, db};
    struct error e = {0};
    store_query(db, &j->error, open_data_key, &r, "SELECT session FROM data_keys", "");
    tell_opened(j, "data keys", j->data, j->foreign);
    store_query(db, &j->error, open_projection, &r,
                "SELECT substr(sealed, 1, 96), session FROM traces WHERE sealed IS NOT NULL", "");
    tell_opened(j, "projections", j->projections, j->other_projections);
    /* Sealed under the present key already, so this only opens them. */
    if (vault_signers_rewrap(j->vault, &j->signers, &e) != ERR_OK)
        remember(j, &e);
    tell_opened(j, "signing keys", j->signers, 0);
    bool private = vault_permissions_ok(j->vault, &e);
    add_check(j, "files", private,
              private ? xstrdup("the keys directory is its owner's alone") : xstrdup(e.detail));
}

static void verify_ranges(struct job *j)
{
    const struct verify__problems *p = &j->heads.problems;
    for (size_t i = 0; i < p->listed; i++)
        add_check(j, "trusted keys", false, xstrdup(p->list[i].text));
    j->tampered |= p->count > 0;
    if (!p->count)
        add_check(j, "trusted keys", true,
                  xasprintf("%zu, each introduced by the one before it", j->heads.trust.count));
}

/* ---- the job ---- */

static void work(void *arg)
{
    struct job *j = arg;
    struct verify__heads *h = &j->heads;
    struct store_db *db = store_db_open(j->path, &j->error);
    if (!db)
        return;
    h->path = j->path;
    h->dir = j->dir;
    h->cancelled = &j->never;
    h->key = j->key;
    h->keys.vault = j->vault;
    if (j->key_known)
        verify__heads_keys(h, db);
    j->signers = 0;
    if (j->verify)
        verify_wraps(j, db);
    else
        vault_signers_rewrap(j->vault, &j->signers, NULL);
    if (j->verify && j->key_known)
        verify_ranges(j);
    if (!j->verify) {
        list_master(j, db);
        list_signing(j);
    }
    if (h->error.code != ERR_OK)
        j->error = h->error;
    prov__keys_release(&h->keys);
    prov__trust_release(&h->trust);
    store_db_close(db);
}

static void worked(void *arg, bool cancelled)
{
    struct job *j = arg;
    if (cancelled)
        err_set(&j->error, ERR_CLOSED, "the console stops");
    if (j->verify) {
        json_put(j->out, "ok", json_boolean(j->ok));
        json_put(j->out, "tampered", json_boolean(j->tampered));
        json_put(j->out, "checks", j->checks);
        json_decref(j->keys);
    } else {
        json_put(j->out, "keys", j->keys);
        json_decref(j->checks);
    }
    bool good = j->error.code == ERR_OK;
    j->done(j->arg, good ? j->out : NULL, &j->error);
    json_decref(j->out);
    free(j->path);
    free(j->dir);
    free(j);
}

void prov_keyring_read(struct prov *p, bool verify, prov_keyring *done, void *arg)
{
    struct error e = {0};
    int64_t n, total;
    if (verify && (prov_rotating(p, &n, &total) || (p->signing && p->signing->next))) {
        err_set(&e, ERR_BUSY, "a key is being replaced");
        done(arg, NULL, &e);
        return;
    }
    struct job *j = xcalloc(1, sizeof *j);
    const struct prov__signing *s = p->signing;
    j->verify = verify;
    j->ok = true;
    j->path = xstrdup(store_path(p->store));
    j->dir = xstrdup(s ? s->dir : ".");
    j->vault = p->vault;
    j->key_known = s && s->key_known;
    if (j->key_known)
        j->key = s->key;
    if (s && s->error.code == ERR_TAMPERED) {
        j->tampered = true;
        j->ok = false;
    }
    j->out = json_object();
    j->keys = json_array();
    j->checks = json_array();
    if (s && s->error.code != ERR_OK)
        add_check(j, "signing", false, xstrdup(s->error.detail));
    j->done = done;
    j->arg = arg;
    loop_work(p->loop, work, worked, j);
}
