/* Making bundles, on the loop's thread.
 *
 *      sign a checkpoint --> read and build (worker) --> sign the statement --> pack and verify
 * (worker)
 *      --> entry `export` is durable --> done
 *
 * One is in the making at any time: two would hold twice the memory. */
#include "backend/provenance/bundle_job.h"

#include <stdlib.h>
#include <string.h>

static void job_free(struct bundle__job *j)
{
    for (int i = 0; i < BUNDLE__PARTS; i++)
        buf_release(&j->file[i]);
    for (size_t i = 0; i < j->trees; i++) {
        buf_release(&j->tree[i].proofs);
        buf_release(&j->tree[i].checkpoints);
    }
    bundle__entries_release(&j->entries);
    bundle__keys_release(&j->keys);
    free(j->epochs.at);
    buf_release(&j->note);
    json_decref(j->policy);
    json_decref(j->controls);
    json_decref(j->sbom);
    json_decref(j->verified);
    json_decref(j->predicate);
    prov_bundle_free(j->bundle);
    free(j->seqs);
    free(j->session);
    free(j->trace_id);
    free(j->scope);
    free(j->actor);
    free(j->environment);
    free(j->path);
    free(j);
}

void prov_bundle_free(struct prov_bundle *b)
{
    if (b)
        buf_release(&b->tar);
    free(b);
}

/* Answers, and forgets the job. */
static void end(struct bundle__job *j)
{
    struct prov_bundle *bundle = j->error.code == ERR_OK ? j->bundle : NULL;
    struct error answer = j->error; /* OK when there is a bundle */
    if (bundle)
        j->bundle = NULL;
    if (j->prov)
        j->prov->bundling = NULL;
    if (j->done)
        j->done(j->arg, bundle, &answer);
    else
        prov_bundle_free(bundle);
    job_free(j);
}

static void logged(void *arg, int64_t seq, const struct error *e)
{
    struct bundle__job *j = arg;
    j->bundle->entry = seq;
    j->bundle->entries = (int64_t)j->entries.count;
    j->bundle->size = j->base + j->head.size;
    if (e->code != ERR_OK)
        j->error = *e;
    end(j);
}

static void log_export(struct bundle__job *j)
{
    json_t *payload = json_object();
    json_puts(payload, "scope", j->scope);
    json_puti(payload, "entries", (int64_t)j->entries.count);
    json_puti(payload, "first", j->entries.seq[0]);
    json_puti(payload, "last", j->entries.seq[j->entries.count - 1]);
    json_put(payload, "payloads", json_incref(json_object_get(j->predicate, "payloads")));
    json_puti(payload, "size", (int64_t)j->bundle->tar.len);
    json_puts(payload, "sha256", j->bundle->sha256);
    struct prov_entry entry = {.type = "export", .actor = j->actor, .payload = payload};
    prov_append(j->prov, &entry, logged, j, NULL, NULL);
    json_decref(payload);
}

/* After a step on a worker: true if the next one is to be made. */
static bool go_on(struct bundle__job *j, bool cancelled)
{
    if (j->error.code == ERR_OK && (cancelled || !j->prov || j->prov->closed))
        err_set(&j->error, ERR_CLOSED, "the console stops");
    if (j->error.code == ERR_OK)
        return true;
    end(j);
    return false;
}

static void finished(void *arg, bool cancelled)
{
    struct bundle__job *j = arg;
    if (go_on(j, cancelled))
        log_export(j);
}

/* The key that signs now is the last that the bundle names. */
static bool same_key(const struct bundle__job *j)
{
    return memcmp(j->prov->signing->key.public_key, j->keys.at[j->keys.count - 1].vkey.public_key,
                  VAULT_KEY) == 0;
}

static void built(void *arg, bool cancelled)
{
    struct bundle__job *j = arg;
    uint8_t signature[VAULT_SIGNATURE];
    struct buf pae = {0};
    const struct buf *statement = &j->file[BUNDLE__STATE];
    if (j->error.code == ERR_OK && j->prov && !j->prov->signing->signer)
        j->error = j->prov->signing->error;
    if (j->error.code == ERR_OK && j->prov && !same_key(j))
        err_set(&j->error, ERR_BUSY, "the signing key was changed meanwhile");
    if (!go_on(j, cancelled))
        return;
    dsse__pae(statement->data, statement->len, &pae);
    vault_sign(j->prov->signing->signer, pae.data, pae.len, signature);
    dsse__envelope(statement->data, statement->len, &j->prov->signing->key, signature,
                   &j->file[BUNDLE__DSSE]);
    buf_release(&pae);
    loop_work(j->prov->loop, bundle__finish, finished, j);
}

static void copy_keys(struct bundle__job *j, const struct prov__trust *trust)
{
    if (trust->count == 0 || trust->count > BUNDLE__KEYS_MOST)
        err_set(&j->error, trust->count ? ERR_TOO_BIG : ERR_NO_KEY, "the log has %zu signing keys",
                trust->count);
    for (size_t i = 0; i < trust->count && j->error.code == ERR_OK; i++) {
        j->keys.at[i].first = trust->at[i].first;
        j->keys.at[i].vkey = trust->at[i].key;
        j->keys.at[i].note = xstrdup_or_null(trust->at[i].note);
        j->keys.count++;
    }
}

static void signed_head(void *arg, json_t *checkpoint, const struct error *e)
{
    struct bundle__job *j = arg;
    struct prov__checkpoint c;
    if (!checkpoint) {
        j->error = *e;
        end(j);
        return;
    }
    buf_adds(&j->note, json_str(checkpoint, "note", ""));
    const char *problem = prov__note_read(j->note.data, j->note.len, &c);
    if (problem)
        err_set(&j->error, ERR_INTERNAL, "the checkpoint: %s", problem);
    if (!go_on(j, false))
        return;
    j->head = c.head;
    j->epoch = j->prov->durable.epoch;
    j->base = j->prov->durable.base;
    if (prov__note_epoch(c.origin) != j->epoch)
        err_set(&j->error, ERR_BUSY, "the log began a new epoch meanwhile");
    if (!go_on(j, false))
        return;
    copy_keys(j, &j->prov->signing->trust);
    if (!go_on(j, false))
        return;
    loop_work(j->prov->loop, bundle__build, built, j);
}

static struct bundle__job *job_new(struct prov *p, const struct prov_bundle_options *o)
{
    struct bundle__job *j = xcalloc(1, sizeof *j);
    j->prov = p;
    j->seqs_given = o->seqs != NULL;
    j->seq_count = o->seqs ? o->seq_count : 0;
    if (j->seq_count) {
        j->seqs = xcalloc(j->seq_count, sizeof *j->seqs);
        memcpy(j->seqs, o->seqs, j->seq_count * sizeof *j->seqs);
    }
    j->session = xstrdup_or_null(o->session);
    j->trace_id = xstrdup_or_null(o->trace_id);
    j->scope = xstrdup(o->scope);
    j->actor = xstrdup(o->actor);
    j->environment = xstrdup(o->environment);
    j->from = o->from;
    j->to = o->to;
    j->payloads = o->payloads;
    /* Copies: a worker's reference counts must be its own. */
    j->policy = json_deep_copy(o->policy);
    j->controls = json_deep_copy(o->controls);
    j->sbom = json_deep_copy(o->sbom);
    j->verified = o->verified ? json_deep_copy(o->verified) : NULL;
    j->path = xstrdup(store_path(p->store));
    j->data_keys.vault = p->vault;
    j->bundle = xcalloc(1, sizeof *j->bundle);
    return j;
}

void prov_bundle(struct prov *p, const struct prov_bundle_options *o, prov_bundled *done, void *arg)
{
    struct error e = {0};
    if (p->bundling || p->closed) {
        err_set(&e, p->bundling ? ERR_BUSY : ERR_CLOSED,
                p->bundling ? "another bundle is being made" : "the console stops");
        done(arg, NULL, &e);
        return;
    }
    struct bundle__job *j = job_new(p, o);
    j->done = done;
    j->arg = arg;
    p->bundling = j;
    prov_checkpoint(p, signed_head, j);
}

void prov__bundling_close(struct prov *p)
{
    if (p->bundling)
        __atomic_store_n(&p->bundling->cancelled, true, __ATOMIC_RELAXED);
}

void prov__bundling_free(struct prov *p)
{
    struct bundle__job *j = p->bundling;
    struct error e = {0};
    if (!j)
        return;
    err_set(&e, ERR_CLOSED, "the console stops");
    prov__bundling_close(p);
    prov_bundled *done = j->done;
    j->prov = NULL;
    j->done = NULL;
    p->bundling = NULL;
    done(j->arg, NULL, &e);
}
