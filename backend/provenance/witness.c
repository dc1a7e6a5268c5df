/* Being a witness: requests judged one by one, the state of each log kept, cosignatures given. See
 * W1 to W3 of witness.h.
 *
 *      waiting --judged--> entry and state in one transaction --durable--> answered, the next one
 */
#include "backend/provenance/witness.h"
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "backend/provenance/cosign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_WAITING = 64, MOST_KEYS = 8, REFUSALS = 60, MINUTE_MS = 60000, AGAIN_SECONDS = 60 };

struct log {
    char *name, *origin; /* origin "": the key's name */
    struct prov__vkey keys[MOST_KEYS];
    int count;
};
struct ask {
    struct ask *next;
    struct buf request;
    char *keys, *actor;
    prov_witnessed_fn *done;
    void *arg;
};
struct prov_witness {
    struct prov *prov;
    struct vault_signer *signer;
    struct prov__vkey key;
    struct log *logs;
    size_t log_count;
    struct ask *waiting; /* oldest first; not the one that is judged */
    size_t waiting_count;
    struct judged *now;            /* or NULL */
    uint64_t minute;               /* when the present minute of refusals began */
    int64_t refusals[2], unlogged; /* of strangers, of what a known log signed */
    bool inside;                   /* requests are being taken: answers do not begin the next one */
};
struct last {         /* what was cosigned of an origin */
    int64_t size, at; /* size -1: nothing */
    uint8_t root[VAULT_HASH];
    struct buf note; /* with our line */
};
struct judged {                   /* one request */
    struct prov_witness *witness; /* NULL: freed meanwhile */
    struct ask *ask;
    struct prov__request request;
    struct prov__checkpoint checkpoint;
    struct last last;
    bool signed_by_log; /* by a key that is trusted for it */
    struct buf body, note;
    char reason[200], hex[2 * VAULT_HASH + 1];
    int64_t at;
    struct prov_witnessed answer;
};

static void next(struct prov_witness *w);

/* ---- judging ---- */

static bool take_last(void *arg, const struct store_row *row)
{
    struct last *last = arg;
    size_t len;
    const void *root = store_blob(row, 1, &len);
    if (!root || len != VAULT_HASH)
        return false;
    last->size = store_int(row, 0);
    last->at = store_int(row, 2);
    memcpy(last->root, root, VAULT_HASH);
    const char *note = store_text(row, 3);
    buf_adds(&last->note, note ? note : "");
    return false;
}

/* The same name, or one of its later epochs: NAME#2, NAME#3. */
static bool origin_is(struct prov__text origin, const char *name)
{
    size_t len = strlen(name);
    int64_t epoch;
    if (origin.len < len || memcmp(origin.at, name, len) != 0)
        return false;
    if (origin.len == len)
        return true;
    struct prov__text number = {origin.at + len + 1, origin.len - len - 1};
    return origin.at[len] == '#' && prov__size_read(number, &epoch) && epoch >= 2;
}

static bool try_keys(struct judged *j, const struct prov__vkey *keys, int count, const char *origin)
{
    bool known = false;
    for (int i = 0; i < count; i++) {
        if (!origin_is(j->checkpoint.origin, *origin ? origin : keys[i].name))
            continue;
        known = true;
        j->signed_by_log |= prov__note_check(&j->checkpoint, &keys[i]) == PROV__SIGNED;
    }
    return known;
}

static int refuse(struct judged *j, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static int refuse(struct judged *j, int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(j->reason, sizeof j->reason, format, args);
    va_end(args);
    return status;
}

/* Who sent it: 200 to go on. */
static int judge_sender(struct judged *j)
{
    const struct prov_witness *w = j->witness;
    const struct ask *ask = j->ask;
    struct prov__vkey given[MOST_KEYS];
    const char *problem = prov__request_read(ask->request.data, ask->request.len, &j->request);
    bool known = false;
    if (problem)
        return refuse(j, 400, "%s", problem);
    j->answer.old = j->request.old;
    problem = prov__note_read(j->request.note.at, j->request.note.len, &j->checkpoint);
    if (problem)
        return refuse(j, 400, "the checkpoint: %s", problem);
    j->answer.size = j->checkpoint.head.size;
    snprintf(j->answer.origin, sizeof j->answer.origin, "%.*s", (int)j->checkpoint.origin.len,
             j->checkpoint.origin.at);
    for (size_t i = 0; i < w->log_count; i++)
        known |= try_keys(j, w->logs[i].keys, w->logs[i].count, w->logs[i].origin);
    if (ask->keys) {
        int count = prov__vkeys_read(PROV__ED25519, ask->keys, given, MOST_KEYS);
        if (count < 1)
            return refuse(j, 400, "the log's verifier key is not in form");
        known |= try_keys(j, given, count, "");
    }
    if (!known)
        return refuse(j, 404, "this witness does not know this log");
    if (!j->signed_by_log)
        return refuse(j, 403, "it is not signed by a key of this log");
    return 200;
}

/* That it follows what was cosigned before. */
static int judge_history(struct judged *j)
{
    const struct prov__head *head = &j->checkpoint.head;
    const struct prov__proof *proof = &j->request.proof;
    struct prov__span hashes[PROV__PROOF_LINES];
    int64_t known = j->last.size < 0 ? 0 : j->last.size;
    if (j->request.old > head->size)
        return refuse(j, 400, "the old size is over the checkpoint's");
    if (j->request.old != known)
        return refuse(j, 409, "%lld entries were cosigned last, not %lld", (long long)known,
                      (long long)j->request.old);
    if (j->last.size == head->size && memcmp(j->last.root, head->root, VAULT_HASH) != 0)
        return refuse(j, 409, "another tree of %lld entries was cosigned", (long long)head->size);
    for (size_t i = 0; i < proof->count; i++)
        hashes[i] = (struct prov__span){proof->hash[i], VAULT_HASH};
    if (known == 0 ? proof->count != 0
                   : !prov__consistency_ok(
                         known, head->size, (struct prov__span){j->last.root, VAULT_HASH},
                         (struct prov__span){head->root, VAULT_HASH}, hashes, proof->count))
        return refuse(j, 422, "the proof does not show that it follows the one over %lld entries",
                      (long long)known);
    return 200;
}

static int judge(struct judged *j)
{
    struct error e = {0};
    int status = judge_sender(j);
    if (status != 200)
        return status;
    if (store_query(store_reader(j->witness->prov->store), &e, take_last, &j->last,
                    "SELECT size, root, at, note FROM witnessed WHERE origin = ?", "s",
                    j->answer.origin) != ERR_OK)
        return refuse(j, 500, "%s", e.detail);
    return judge_history(j);
}

/* ---- answering ---- */

static void ask_free(struct ask *ask)
{
    buf_release(&ask->request);
    free(ask->keys);
    free(ask->actor);
    free(ask);
}

static void conclude(struct judged *j)
{
    struct prov_witness *w = j->witness;
    struct prov_witnessed *a = &j->answer;
    a->type = a->status == 409 ? "text/x.tlog.size" : "text/plain; charset=utf-8";
    if (a->status == 409)
        buf_addf(&j->body, "%lld\n", (long long)(j->last.size < 0 ? 0 : j->last.size));
    else if (a->status != 200)
        buf_addf(&j->body, "%s\n", j->reason);
    a->body = j->body.data;
    a->reason = j->reason;
    a->note = a->status == 200 ? j->note.data : "";
    if (w)
        w->now = NULL;
    j->ask->done(j->ask->arg, a);
    ask_free(j->ask);
    buf_release(&j->body);
    buf_release(&j->note);
    buf_release(&j->last.note);
    free(j);
    if (w && !w->inside)
        next(w);
}

static void logged(void *arg, int64_t seq, const struct error *e)
{
    struct judged *j = arg;
    if (e->code == ERR_OK)
        j->answer.entry = seq;
    else if (j->answer.status == 200) { /* W1 */
        buf_clear(&j->body);
        j->answer.status = refuse(j, 500, "it could not be logged: %s", err_words(e));
    }
    conclude(j);
}

static enum err keep(struct store_db *db, void *arg, struct error *e)
{
    const struct judged *j = arg;
    return store_exec(db, e,
                      "INSERT INTO witnessed VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(origin)"
                      " DO UPDATE SET size = ?2, root = ?3, at = ?4, note = ?5",
                      "sibis", j->answer.origin, j->checkpoint.head.size, j->checkpoint.head.root,
                      (size_t)VAULT_HASH, j->at, j->note.data);
}

static json_t *describe(const struct judged *j)
{
    json_t *payload = json_object();
    json_puts(payload, "origin", j->answer.origin);
    json_put(payload, "size", j->answer.size < 0 ? json_null() : json_integer(j->answer.size));
    json_put(payload, "old", j->answer.old < 0 ? json_null() : json_integer(j->answer.old));
    return payload;
}

static void append(struct judged *j, const char *type, json_t *payload, store_op *also)
{
    struct prov_entry entry = {.type = type, .actor = j->ask->actor, .payload = payload};
    prov_append(j->witness->prov, &entry, logged, j, also, j);
    json_decref(payload);
}

/* Who asks for the same once more soon gets the same line: anybody can repeat what a log sent. */
static bool repeat(struct judged *j, int64_t now)
{
    struct prov__checkpoint before;
    struct prov__cosignature by = {0};
    const struct buf *note = &j->last.note;
    if (j->last.size != j->checkpoint.head.size || now - j->last.at >= AGAIN_SECONDS ||
        prov__note_read(note->len ? note->data : "", note->len, &before) != NULL ||
        before.body.len != j->checkpoint.body.len ||
        memcmp(before.body.at, j->checkpoint.body.at, before.body.len) != 0 ||
        prov__cosigned(&before, &j->witness->key, &by) != PROV__SIGNED)
        return false;
    buf_add(&j->body, by.line.at, by.line.len);
    buf_add(&j->note, note->data, note->len);
    return true;
}

static void cosign(struct judged *j)
{
    const struct prov_witness *w = j->witness;
    struct buf text = {0};
    uint8_t signature[VAULT_SIGNATURE];
    int64_t now = clock_real_ms() / 1000;
    if (repeat(j, now)) {
        conclude(j);
        return;
    }
    j->at = now > j->last.at ? now : j->last.at; /* W2: a clock that was set back */
    prov__cosign_text(j->checkpoint.body, j->at, &text);
    vault_sign(w->signer, text.data, text.len, signature);
    prov__cosign_line(&w->key, j->at, signature, &j->body);
    buf_add(&j->note, j->request.note.at, j->request.note.len);
    buf_add(&j->note, j->body.data, j->body.len);
    buf_release(&text);
    json_t *payload = describe(j);
    text_hex(j->checkpoint.head.root, VAULT_HASH, j->hex);
    json_puts(payload, "root", j->hex);
    json_puti(payload, "at", j->at);
    json_put(payload, "note", json_text(j->request.note.at, j->request.note.len));
    json_put(payload, "line", json_text(j->body.data, j->body.len));
    append(j, "witness.sign", payload, keep);
}

/* What a known log signed may be proof of what that log did: strangers do not use up its share. But
 * they can repeat it. */
static bool may_log(struct judged *j)
{
    struct prov_witness *w = j->witness;
    uint64_t now = clock_mono_ms();
    if (now - w->minute >= MINUTE_MS) {
        w->minute = now;
        w->refusals[0] = w->refusals[1] = 0;
    }
    if (w->refusals[j->signed_by_log]++ < REFUSALS)
        return true;
    w->unlogged++;
    return false;
}

static void log_refusal(struct judged *j)
{
    struct prov_witness *w = j->witness;
    if (!may_log(j)) {
        conclude(j);
        return;
    }
    json_t *payload = describe(j);
    json_puti(payload, "status", j->answer.status);
    json_puts(payload, "reason", j->reason);
    if (j->signed_by_log)
        json_put(payload, "note", json_text(j->request.note.at, j->request.note.len));
    if (w->unlogged)
        json_puti(payload, "unlogged", w->unlogged);
    w->unlogged = 0;
    append(j, "witness.refuse", payload, NULL);
}

static void start(struct prov_witness *w, struct ask *ask)
{
    struct judged *j = xcalloc(1, sizeof *j);
    w->now = j;
    j->witness = w;
    j->ask = ask;
    j->last.size = -1;
    j->answer = (struct prov_witnessed){.old = -1, .size = -1, .entry = -1};
    j->answer.status = judge(j);
    if (j->answer.status == 200)
        cosign(j);
    else
        log_refusal(j);
}

static void next(struct prov_witness *w)
{
    w->inside = true; /* an answer at once comes back here: no recursion */
    while (w->waiting && !w->now) {
        struct ask *ask = w->waiting;
        w->waiting = ask->next;
        w->waiting_count--;
        start(w, ask);
    }
    w->inside = false;
}

/* Without a look at it. */
static void turn_away(prov_witnessed_fn *done, void *arg, const char *why)
{
    struct prov_witnessed busy = {.status = 503,
                                  .type = "text/plain; charset=utf-8",
                                  .body = why,
                                  .reason = "busy",
                                  .note = "",
                                  .old = -1,
                                  .size = -1,
                                  .entry = -1};
    done(arg, &busy);
}

void prov_witness_add(struct prov_witness *w, const char *request, size_t len, const char *keys,
                      const char *actor, prov_witnessed_fn *done, void *arg)
{
    if (w->waiting_count >= MOST_WAITING) {
        turn_away(done, arg, "too many requests wait\n");
        return;
    }
    struct ask *ask = xcalloc(1, sizeof *ask), **end = &w->waiting;
    buf_add(&ask->request, request, len);
    ask->keys = xstrdup_or_null(keys);
    ask->actor = xstrdup(actor);
    ask->done = done;
    ask->arg = arg;
    while (*end)
        end = &(*end)->next;
    *end = ask;
    w->waiting_count++;
    if (!w->inside)
        next(w);
}

/* ---- opening ---- */

static void name_key(void *arg, const uint8_t public_key[VAULT_KEY], char line[VAULT_LABEL])
{
    const struct prov_witnessing *o = arg;
    struct prov__vkey key;
    char *name;
    if (*o->name) {
        name = xstrdup(o->name);
    } else {
        uint8_t bytes[4];
        char hex[2 * sizeof bytes + 1];
        vault_random(bytes, sizeof bytes);
        text_hex(bytes, sizeof bytes, hex);
        name = xasprintf("mcp-console/%.100s/witness/%s", o->environment, hex);
        for (char *c = name; *c; c++)
            if (*c <= ' ' || *c > '~' || *c == '+')
                *c = '-';
    }
    prov__vkey_make_as(PROV__COSIGNATURE, name, public_key, &key);
    prov__vkey_write(&key, line);
    free(name);
}

static enum err take_logs(struct prov_witness *w, const struct prov_witnessing *o, struct error *e)
{
    w->logs = xcalloc(o->log_count + 1, sizeof *w->logs);
    for (size_t i = 0; i < o->log_count; i++) {
        struct log *log = &w->logs[i];
        log->name = xstrdup(o->logs[i].name);
        log->origin = xstrdup(o->logs[i].origin);
        w->log_count++;
        log->count = prov__vkeys_read(PROV__ED25519, o->logs[i].keys, log->keys, MOST_KEYS);
        if (log->count < 1)
            return err_set(e, ERR_CONFIG,
                           "[log \"%s\"] vkey: verifier keys of type 0x01, NAME+ID+KEY, at most %d",
                           log->name, MOST_KEYS);
    }
    return ERR_OK;
}

static enum err open_key(struct prov_witness *w, const struct prov_witnessing *o, struct error *e)
{
    if (*o->name && !prov__vkey_name_ok(o->name))
        return err_set(e, ERR_CONFIG,
                       "[witness_server] name: at most 400 characters, without spaces and plus");
    w->signer = vault_signer_open_as(w->prov->vault, "witness", name_key, (void *)o, e);
    if (!w->signer)
        return e->code;
    if (!prov__vkey_read_as(PROV__COSIGNATURE, vault_signer_line(w->signer), &w->key) ||
        memcmp(w->key.public_key, vault_signer_public(w->signer), VAULT_KEY) != 0)
        return err_set(e, ERR_TAMPERED, "witness.key does not name its own public key");
    if (*o->name && strcmp(o->name, w->key.name) != 0)
        return err_set(e, ERR_CONFIG, "[witness_server] name is %s, the key was made for %s",
                       o->name, w->key.name);
    return ERR_OK;
}

struct prov_witness *prov_witness_new(struct prov *p, const struct prov_witnessing *o,
                                      struct error *e)
{
    struct prov_witness *w = xcalloc(1, sizeof *w);
    struct error own = {0};
    w->prov = p;
    w->minute = clock_mono_ms();
    if (take_logs(w, o, &own) == ERR_OK && open_key(w, o, &own) == ERR_OK)
        return w;
    if (e)
        *e = own;
    prov_witness_free(w);
    return NULL;
}

void prov_witness_free(struct prov_witness *w)
{
    if (!w)
        return;
    if (w->now)
        w->now->witness = NULL;
    while (w->waiting) {
        struct ask *ask = w->waiting;
        w->waiting = ask->next;
        turn_away(ask->done, ask->arg, "this witness stops\n");
        ask_free(ask);
    }
    for (size_t i = 0; i < w->log_count; i++) {
        free(w->logs[i].name);
        free(w->logs[i].origin);
    }
    free(w->logs);
    vault_signer_free(w->signer);
    free(w);
}

const char *prov_witness_key(const struct prov_witness *w)
{
    return vault_signer_line(w->signer);
}

struct listing {
    const struct prov_witness *witness;
    json_t *rows;
};

static bool add_log(void *arg, const struct store_row *row)
{
    struct listing *l = arg;
    const char *origin = store_text(row, 0);
    char at[CLOCK_TEXT], hex[2 * VAULT_HASH + 1] = "";
    size_t len;
    const void *root = store_blob(row, 2, &len);
    json_t *one = json_object();
    bool known = false;
    if (!origin)
        origin = "";
    for (size_t i = 0; l->witness && i < l->witness->log_count; i++)
        for (int k = 0; k < l->witness->logs[i].count; k++) {
            const struct log *log = &l->witness->logs[i];
            known |= origin_is((struct prov__text){origin, strlen(origin)},
                               *log->origin ? log->origin : log->keys[k].name);
        }
    if (root && len == VAULT_HASH)
        text_hex(root, VAULT_HASH, hex);
    clock_format(store_int(row, 3) * 1000, at);
    json_puts(one, "origin", origin);
    json_puti(one, "size", store_int(row, 1));
    json_puts(one, "root", hex);
    json_puts(one, "at", at);
    json_put(one, "known", json_boolean(known));
    json_array_append_new(l->rows, one);
    return true;
}

json_t *prov_witness_logs(struct prov *p, const struct prov_witness *w, struct error *e)
{
    struct listing l = {w, json_array()};
    if (store_query(store_reader(p->store), e, add_log, &l,
                    "SELECT origin, size, root, at FROM witnessed ORDER BY origin LIMIT 1000",
                    "") == ERR_OK)
        return l.rows;
    json_decref(l.rows);
    return NULL;
}
