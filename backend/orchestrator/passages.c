/* Vectors of the runbooks' passages by the model of [knowledge] embedding: made once for each text,
 * in batches, within the model's off-peak hours where it has some, and kept in the store.
 *
 *   kept ones are read (worker) -> all there: used
 *                               -> else: embedding (request) durable -> gw_embed -> embedding
 *                                  (output) with vectors and the ledger's line -> the next batch
 *   a failure: the same again after a pause, which doubles up to an hour
 *
 * Invariants
 * W1 Until every passage has a vector, and after any failure, the built-in vectors are used.
 * W2 A batch is logged before it is sent; its vectors are kept in the transaction that logs what it
 *    took, so that no text is paid for twice, unless that cannot be written.
 * W3 A vector is kept by who made it and by the SHA-256 of the text; vectors of texts that are no
 *    more, and of other models, go when all are there. */
#include "backend/base/clock.h"
#include "backend/orchestrator/internal.h"
#include "backend/orchestrator/vectors.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    BATCH = 128,
    TEXT_BYTES = 8000, /* of a passage: about what models with 2,048 tokens take in */
    BYTES_A_TOKEN = 3, /* of the longest text that surely fits a shorter context */
    BEGIN_MS = 1000,   /* a command that asks one question is over by then, or pays for a batch */
    PAUSE_MS = 60000,
    PAUSE_MAX_MS = 3600000,
    VECTOR_MAX = 16384
};

typedef uint8_t hash[VAULT_HASH];

struct orch_passages {
    struct orch *orch; /* NULL: it is gone, and the worker frees this */
    const struct know *know;
    char *model, *maker; /* its name here; what vectors are kept by */
    struct know_dense *dense;
    hash *hashes; /* of what is given of each passage */
    size_t count, bytes;
    bool loading, logging; /* a worker has all of this; an entry is not durable yet */
    char *path;            /* of the database, for the worker */
    struct error load_error;
    struct loop_timer *timer;
    unsigned failures; /* in a row */
    struct error last; /* OK: the last batch came */

    struct gw_ask *ask; /* the batch under way */
    const struct gw_model *asked;
    unsigned ids[BATCH];
    size_t batch;
    int64_t entry;
};

/* What a batch leaves in the store. */
struct kept {
    struct orch_passages *from; /* NULL: nothing follows */
    struct orch_spent *spent;
    char *maker;
    hash *hashes;
    int8_t *cells; /* NULL: it failed */
    size_t count, dimensions;
};

static void plan_next(struct orch_passages *p, uint64_t ms)
{
    loop_timer_start(p->timer, ms, 0);
}

static void passages_free(struct orch_passages *p)
{
    know_dense_free(p->dense);
    loop_timer_free(p->timer);
    free(p->hashes);
    free(p->model);
    free(p->maker);
    free(p->path);
    free(p);
}

/* ---- what is kept */

struct place {
    const uint8_t *hash;
    unsigned id;
};

static int by_hash(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return memcmp(x->hash, y->hash, VAULT_HASH);
}

struct reading {
    struct orch_passages *p;
    struct place *places; /* by hash */
    size_t strangers;
};

static bool take_vector(void *arg, const struct store_row *row)
{
    struct reading *r = arg;
    size_t hash_len, len;
    const void *key = store_blob(row, 0, &hash_len), *cells = store_blob(row, 1, &len);
    const struct place wanted = {.hash = key};
    if (hash_len != VAULT_HASH || !len || len > VECTOR_MAX)
        return true;
    const struct place *end = r->places + r->p->count,
                       *at = bsearch(&wanted, r->places, r->p->count, sizeof *at, by_hash);
    while (at && at > r->places && memcmp(at[-1].hash, key, VAULT_HASH) == 0)
        at--; /* the same text may stand in several places */
    for (; at && at < end && memcmp(at->hash, key, VAULT_HASH) == 0; at++)
        know_dense_put(r->p->dense, at->id, cells, len);
    return true;
}

/* On a worker. */
static void load(void *arg)
{
    struct orch_passages *p = arg;
    struct reading r = {.p = p, .places = xcalloc(p->count + 1, sizeof *r.places)};
    struct store_db *db = store_db_open(p->path, &p->load_error);
    for (unsigned i = 0; i < p->count; i++) {
        char *text = know_dense_text(p->know, i, p->bytes);
        vault_sha256(text, strlen(text), NULL, 0, p->hashes[i]);
        r.places[i] = (struct place){p->hashes[i], i};
        free(text);
    }
    qsort(r.places, p->count, sizeof *r.places, by_hash);
    if (db)
        store_query(db, &p->load_error, take_vector, &r,
                    "SELECT sha256, vector FROM passage_vectors WHERE maker = ?", "s", p->maker);
    store_db_close(db);
    free(r.places);
}

/* W3: all there are belong to passages of now, or else go. */
static enum err sweep(struct store_db *db, void *arg, struct error *e)
{
    const struct kept *k = arg;
    enum err code = store_exec(
        db, e, "CREATE TEMP TABLE IF NOT EXISTS wanted_vectors(sha256 BLOB PRIMARY KEY)", "");
    if (code == ERR_OK)
        code = store_exec(db, e, "DELETE FROM temp.wanted_vectors", "");
    for (size_t i = 0; code == ERR_OK && i < k->count; i++)
        code = store_exec(db, e, "INSERT OR IGNORE INTO temp.wanted_vectors VALUES (?)", "b",
                          k->hashes[i], (size_t)VAULT_HASH);
    if (code == ERR_OK)
        code = store_exec(db, e,
                          "DELETE FROM passage_vectors WHERE maker <> ? OR sha256 NOT IN "
                          "(SELECT sha256 FROM temp.wanted_vectors)",
                          "s", k->maker);
    return code;
}

static enum err forget_all(struct store_db *db, void *arg, struct error *e)
{
    const struct kept *k = arg;
    return store_exec(db, e, "DELETE FROM passage_vectors WHERE maker = ?", "s", k->maker);
}

static void kept_free(struct kept *k)
{
    orch_spent_free(k->spent);
    free(k->maker);
    free(k->hashes);
    free(k->cells);
    free(k);
}

static void swept(void *arg, const struct error *e)
{
    (void)e; /* what stays behind is looked at again at the next start */
    kept_free(arg);
}

static void write_about(struct orch_passages *p, store_op *op)
{
    struct kept *k = xcalloc(1, sizeof *k);
    *k = (struct kept){.maker = xstrdup(p->maker), .count = p->count};
    k->hashes = xcalloc(p->count + 1, sizeof *k->hashes);
    memcpy(k->hashes, p->hashes, p->count * sizeof *k->hashes);
    store_write(p->orch->rooms.store, op, swept, k);
}

static void loaded(void *arg, bool cancelled)
{
    struct orch_passages *p = arg;
    p->loading = false;
    if (!p->orch) {
        passages_free(p);
        return;
    }
    p->last = p->load_error;
    if (cancelled || p->orch->closed)
        return;
    if (know_dense_missing(p->dense))
        plan_next(p, BEGIN_MS);
    else
        write_about(p, sweep);
}

/* ---- a batch */

static void failed(struct orch_passages *p, const struct error *e)
{
    uint64_t pause = (uint64_t)PAUSE_MS << (p->failures < 6 ? p->failures : 6);
    p->last = *e;
    p->failures++;
    plan_next(p, pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS);
}

/* Another model stands behind the name than the one whose vectors are kept. */
static void begin_anew(struct orch_passages *p)
{
    write_about(p, forget_all);
    know_dense_free(p->dense);
    p->dense = know_dense_new(p->know);
}

static enum err keep(struct store_db *db, void *arg, struct error *e)
{
    const struct kept *k = arg;
    enum err code = orch_spent_insert(db, k->spent, e);
    for (size_t i = 0; k->cells && code == ERR_OK && i < k->count; i++)
        code = store_exec(
            db, e, "INSERT OR REPLACE INTO passage_vectors(maker, sha256, vector) VALUES (?, ?, ?)",
            "sbb", k->maker, k->hashes[i], (size_t)VAULT_HASH, k->cells + i * k->dimensions,
            k->dimensions);
    return code;
}

static void on_kept(void *arg, int64_t seq, const struct error *e)
{
    struct kept *k = arg;
    struct orch_passages *p = k->from;
    bool came = k->cells != NULL;
    (void)seq;
    kept_free(k);
    if (!p)
        return;
    p->logging = false;
    if (p->orch->closed)
        return;
    if (e->code != ERR_OK)
        failed(p, e);
    else if (came && know_dense_missing(p->dense))
        plan_next(p, 0);
    else if (came)
        write_about(p, sweep);
}

static json_t *payload_of(const struct orch_passages *p, const char *stage)
{
    json_t *payload = json_object();
    json_puts(payload, "model", p->model);
    json_puts(payload, "stage", stage);
    json_puti(payload, "passages", (int64_t)p->batch);
    return payload;
}

/* What a batch came to; takes vectors (NULL: it failed), in eight bits. */
static void log_output(struct orch_passages *p, const struct gw_spent *spent, const char *outcome,
                       int8_t *cells, size_t dimensions, const char *why, bool follows)
{
    const struct orch_rooms *rooms = &p->orch->rooms;
    struct gw_usage u = gw_spent_usage(spent);
    struct kept *k = xcalloc(1, sizeof *k);
    *k = (struct kept){.from = follows ? p : NULL,
                       .maker = xstrdup(p->maker),
                       .cells = cells,
                       .count = p->batch,
                       .dimensions = dimensions};
    k->hashes = xcalloc(p->batch + 1, sizeof *k->hashes);
    for (size_t i = 0; i < p->batch; i++)
        memcpy(k->hashes[i], p->hashes[p->ids[i]], VAULT_HASH);
    const struct orch_payer payer = {.cost = rooms->cost,
                                     .session = prov_session(rooms->prov),
                                     .project = conf_str(rooms->conf, "console", "", "project"),
                                     .flow = "embedding",
                                     .model = p->asked,
                                     .entry = p->entry};
    k->spent = orch_spent_new(spent, &payer, outcome);
    json_t *payload = payload_of(p, "output");
    json_puti(payload, "dimensions", (int64_t)dimensions);
    json_puti(payload, "input_tokens", u.input_tokens);
    json_put(payload, "estimated", json_boolean(u.estimated));
    json_puts(payload, "outcome", outcome);
    if (why)
        json_puts(payload, "error", why);
    const struct prov_edge from = {p->entry, "generate", -1};
    char *actor = xasprintf("model:%s", p->model);
    struct prov_entry entry = {.type = "embedding",
                               .actor = actor,
                               .parents = &from,
                               .parent_count = 1,
                               .payload = payload};
    p->logging = follows;
    prov_append(rooms->prov, &entry, on_kept, k, keep, k);
    json_decref(payload);
    free(actor);
}

/* False: their length is not that of those before them. */
static bool take_batch(struct orch_passages *p, const struct gw_asked *a, int8_t *cells)
{
    bool fit = true;
    for (size_t i = 0; fit && i < p->batch; i++) {
        int8_t *at = cells + i * a->dimensions;
        know_dense_quantise(a->vectors + i * a->dimensions, a->dimensions, at);
        fit = know_dense_put(p->dense, p->ids[i], at, a->dimensions);
    }
    return fit;
}

static void on_vectors(void *arg, const struct gw_asked *a)
{
    struct orch_passages *p = arg;
    struct error why = a->error;
    int8_t *cells = NULL;
    p->ask = NULL;
    if (why.code == ERR_OK) {
        cells = xcalloc(p->batch, a->dimensions);
        if (!take_batch(p, a, cells)) {
            err_set(&why, ERR_PROTOCOL,
                    "%s: its vectors are zero, or of another length than those it made before",
                    p->model);
            free(cells);
            cells = NULL;
            begin_anew(p);
        }
    }
    log_output(p, a->spent, why.code ? "error" : "ok", cells, cells ? a->dimensions : 0,
               why.code ? err_words(&why) : NULL, true);
    if (why.code) {
        failed(p, &why);
    } else {
        p->failures = 0;
        p->last.code = ERR_OK;
    }
}

static void on_request_logged(void *arg, int64_t seq, const struct error *e)
{
    struct orch_passages *p = arg;
    const struct orch_rooms *rooms = &p->orch->rooms;
    const char *texts[BATCH], *regions = conf_str(rooms->conf, "copilot", "", "regions");
    struct error why = *e;
    p->logging = false;
    p->entry = seq;
    if (p->orch->closed)
        return;
    if (why.code != ERR_OK) {
        failed(p, &why);
        return;
    }
    for (size_t i = 0; i < p->batch; i++)
        texts[i] = know_dense_text(p->know, p->ids[i], p->bytes);
    const struct gw_request whom = {.lang = "en",
                                    .tag = GW_BATCH,
                                    .off_peak = true,
                                    .session = prov_session(rooms->prov),
                                    .project = conf_str(rooms->conf, "console", "", "project"),
                                    .regions = *regions ? regions : NULL};
    p->ask = gw_embed(rooms->gw, p->model, texts, p->batch, &whom, on_vectors, p, &why);
    for (size_t i = 0; i < p->batch; i++)
        free((char *)texts[i]);
    if (!p->ask) {
        const struct gw_spent none = gw_spent_nothing(p->asked, why.code);
        log_output(p, &none, "error", NULL, 0, err_words(&why), false);
        failed(p, &why);
    }
}

/* By what vectors are kept: the same name may mean another model after a reload. The caller frees.
 */
static char *maker_of(const struct gw_model *m)
{
    return xasprintf("%s %s", m->url, m->model);
}

static void read_kept(struct orch_passages *p, const struct gw_model *m)
{
    free(p->maker);
    know_dense_free(p->dense);
    p->maker = maker_of(m);
    p->dense = know_dense_new(p->know);
    p->bytes = TEXT_BYTES;
    if (m->context > 0 && m->context * BYTES_A_TOKEN < TEXT_BYTES)
        p->bytes = (size_t)m->context * BYTES_A_TOKEN;
    p->loading = true;
    loop_work(p->orch->rooms.loop, load, loaded, p);
}

static bool changed(const struct orch_passages *p, const struct gw_model *m)
{
    char *maker = maker_of(m);
    bool other = strcmp(maker, p->maker) != 0;
    free(maker);
    return other;
}

/* How long the model's hours are off. */
static uint64_t off_peak_wait(const struct gw_model *m)
{
    time_t now = (time_t)(clock_real_ms() / 1000);
    struct tm tm;
    localtime_r(&now, &tm);
    return gw_off_peak_wait_ms(m, (unsigned)(tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec));
}

static int64_t tokens_of(const struct orch_passages *p)
{
    int64_t tokens = 0;
    for (size_t i = 0; i < p->batch; i++) {
        char *text = know_dense_text(p->know, p->ids[i], p->bytes);
        tokens += gw_estimate_tokens(text);
        free(text);
    }
    return tokens;
}

static void next(void *arg)
{
    struct orch_passages *p = arg;
    struct orch *o = p->orch;
    const struct gw_model *m = gw_find(o->rooms.gw, p->model);
    struct error gone;
    if (o->closed || p->loading || p->ask || p->logging)
        return;
    if (!m) {
        err_set(&gone, ERR_NOT_FOUND, "there is no model \"%s\" any more", p->model);
        failed(p, &gone);
        return;
    }
    if (changed(p, m)) {
        read_kept(p, m);
        return;
    }
    if (!know_dense_missing(p->dense)) {
        p->last.code = ERR_OK;
        return;
    }
    uint64_t wait = off_peak_wait(m);
    if (wait) {
        plan_next(p, wait < PAUSE_MAX_MS ? wait : PAUSE_MAX_MS); /* clocks are put right */
        return;
    }
    p->asked = m;
    p->batch = 0;
    for (unsigned i = 0; i < p->count && p->batch < BATCH; i++)
        if (!know_dense_has(p->dense, i))
            p->ids[p->batch++] = i;
    json_t *payload = payload_of(p, "request");
    json_puts(payload, "provider", m->provider);
    json_puts(payload, "region", m->region);
    json_puti(payload, "input_tokens", tokens_of(p)); /* if its end is never heard of */
    struct prov_entry entry = {.type = "embedding", .actor = "backend", .payload = payload};
    p->logging = true;
    prov_append(o->rooms.prov, &entry, on_request_logged, p, NULL, NULL);
    json_decref(payload);
}

/* ---- for the others */

void orch__passages_start(struct orch *o)
{
    const struct gw_model *m = orch__embedder(o);
    if (!m || o->passages || o->closed)
        return;
    struct orch_passages *p = xcalloc(1, sizeof *p);
    *p = (struct orch_passages){.orch = o,
                                .know = o->rooms.know,
                                .count = know_chunks(o->rooms.know),
                                .model = xstrdup(m->name),
                                .path = xstrdup(store_path(o->rooms.store))};
    p->hashes = xcalloc(p->count + 1, sizeof *p->hashes);
    p->timer = loop_timer_new(o->rooms.loop, next, p);
    o->passages = p;
    read_kept(p, m);
}

void orch__passages_close(struct orch *o)
{
    struct orch_passages *p = o->passages;
    struct gw_spent spent;
    if (!p)
        return;
    loop_timer_stop(p->timer);
    if (!p->ask)
        return;
    gw_ask_cancel(p->ask, &spent);
    p->ask = NULL;
    log_output(p, &spent, "cancelled", NULL, 0, "the console stopped", false);
    gw_spent_release(&spent);
}

void orch__passages_free(struct orch *o)
{
    struct orch_passages *p = o->passages;
    o->passages = NULL;
    if (!p)
        return;
    loop_timer_free(p->timer);
    p->timer = NULL;
    p->orch = NULL;
    if (!p->loading)
        passages_free(p);
}

struct know_dense *orch__passages(struct orch *o, const char **why)
{
    struct orch_passages *p = o->passages;
    const struct gw_model *m = p ? gw_find(o->rooms.gw, p->model) : NULL;
    *why = NULL;
    if (!p)
        return NULL;
    bool other = m && !p->loading && changed(p, m);
    if (other && !p->ask && !p->logging)
        read_kept(p, m);
    if (!other && !p->loading && !know_dense_missing(p->dense))
        return p->dense;
    *why = p->last.code != ERR_OK ? err_words(&p->last) : "passages have no vectors yet";
    return NULL;
}

bool orch__passages_reading(const struct orch *o)
{
    return o->passages && o->passages->loading;
}

bool orch_vectors(const struct orch *o, struct orch_vectors_state *out)
{
    const struct orch_passages *p = o->passages;
    if (!p)
        return false;
    *out =
        (struct orch_vectors_state){.model = p->model,
                                    .passages = p->count,
                                    .missing = p->loading ? p->count : know_dense_missing(p->dense),
                                    .last = p->last};
    return true;
}
