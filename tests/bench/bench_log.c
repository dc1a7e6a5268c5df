/* How fast the log is, beside what it is made of: durable appends beside the same rows written by
 * SQLite alone, verification beside SHA-256 over the same bytes, opening and proving in a long log
 * beside a short one. Prints JSON lines.
 *
 * usage: bench_log [entries [entries of the long log]] */
#include "backend/base/clock.h"
#include "backend/provenance/proof.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WRITERS = 16, ALONE = 500, RUNS = 7 };

struct world {
    struct loop *loop;
    struct store *store;
    struct vault *vault;
    struct prov *prov;
    json_t *payload;
    int64_t left, flying, checked;
    uint64_t began, took;
};

static void line(const char *name, double value, const char *unit, double reference)
{
    printf("{\"name\":\"%s\",\"value\":%.0f,\"unit\":\"%s\",\"reference\":%.0f}\n", name, value,
           unit, reference);
}

static double rate(int64_t n, uint64_t ns)
{
    return (double)n * 1e9 / (double)ns;
}

/* Of RUNS; sorts them. */
static double median(double *runs)
{
    for (int i = 1; i < RUNS; i++)
        for (int k = i; k > 0 && runs[k] < runs[k - 1]; k--) {
            double swapped = runs[k];
            runs[k] = runs[k - 1];
            runs[k - 1] = swapped;
        }
    return runs[RUNS / 2];
}

static void append(struct world *w);

static void acked(void *arg, int64_t seq, const struct error *e)
{
    struct world *w = arg;
    (void)seq;
    if (e->code != ERR_OK) {
        fprintf(stderr, "%s: %s\n", err_name(e->code), e->detail);
        exit(1);
    }
    w->flying--;
    if (w->left > 0)
        append(w);
    else if (w->flying == 0) {
        w->took = clock_mono_ns() - w->began;
        loop_quit(w->loop);
    }
}

static void append(struct world *w)
{
    struct prov_entry entry = {.type = "question", /* a kind that needs no parents */
                               .actor = "model:builtin/lexical",
                               .trace_id = "0123456789abcdef0123456789abcdef",
                               .payload = w->payload};
    w->left--;
    w->flying++;
    prov_append(w->prov, &entry, acked, w, NULL, NULL);
}

static void open_world(struct world *w, const char *dir)
{
    struct error e = {0};
    w->loop = loop_new();
    w->store = store_open(w->loop, dir, false, &e);
    w->vault = w->store ? vault_open(dir, true, &e) : NULL;
    w->prov = w->vault ? prov_open(w->loop, w->store, w->vault, &e) : NULL;
    if (!w->prov) {
        fprintf(stderr, "%s: %s\n", err_name(e.code), e.detail);
        exit(1);
    }
}

static void close_world(struct world *w)
{
    store_close(w->store);
    store_free(w->store);
    prov_free(w->prov);
    loop_free(w->loop);
    vault_close(w->vault);
}

static void look(void *arg)
{
    struct world *w = arg;
    if (!prov_pending(w->prov))
        loop_quit(w->loop);
}

static void settle(struct world *w)
{
    struct loop_timer *t = loop_timer_new(w->loop, look, w);
    loop_timer_start(t, 1, 1);
    loop_run(w->loop);
    loop_timer_free(t);
}

/* n entries by so many writers, each with one entry in flight. */
static uint64_t append_all(const char *dir, int64_t n, int writers)
{
    struct world w = {.left = n};
    open_world(&w, dir);
    w.payload = json_object();
    json_puts(w.payload, "text", "The disk /var is 91 % full; /var/log/journal holds 14 GB of it.");
    json_puts(w.payload, "model", "builtin/lexical");
    json_puti(w.payload, "elapsed_ms", 41);
    w.began = clock_mono_ns();
    for (int i = 0; i < writers; i++)
        append(&w);
    loop_run(w.loop);
    json_decref(w.payload);
    prov_close(w.prov); /* so that the session is sealed, and is not when it is opened again */
    settle(&w);
    close_world(&w);
    return w.took;
}

static void verified(void *arg, json_t *report)
{
    struct world *w = arg;
    w->took = clock_mono_ns() - w->began;
    w->checked = json_int(report, "checked", 0);
    if (!json_flag(report, "ok", false))
        fprintf(stderr, "the log does not verify\n");
    json_decref(report);
    loop_quit(w->loop);
}

/* Entries a second, by both workers. */
static double verify_all(const char *dir, bool chain)
{
    double runs[RUNS];
    for (int i = 0; i < RUNS; i++) {
        struct world w = {0};
        open_world(&w, dir);
        settle(&w);
        w.began = clock_mono_ns();
        if (chain)
            prov_verify_chain(w.prov, 0, NULL, verified, &w);
        else
            prov_verify_start(w.prov, 0, NULL, verified, &w);
        loop_run(w.loop);
        runs[i] = rate(w.checked, w.took);
        close_world(&w);
    }
    return median(runs);
}

/* ---- the references ---- */

/* The rows of a log in memory, and the schema that they stand in, so that they can be written again
 * by SQLite alone: the same tables with the same columns and indexes. */
enum { TABLES = 2, COLUMNS = 16 };
static const char *const tables[TABLES] = {"entries", "payloads"};

struct rows {
    sqlite3_value **value[TABLES]; /* `columns` of each row after each other */
    int columns[TABLES];
    size_t count; /* rows of either */
    char *schema;
};

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
        exit(1);
    }
    return stmt;
}

static void run(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
        exit(1);
    }
}

static struct rows read_rows(const char *dir)
{
    struct rows r = {0};
    struct buf schema = {0};
    sqlite3 *db;
    char *path = xasprintf("%s/console.db", dir);
    sqlite3_open(path, &db);
    sqlite3_stmt *s = prepare(db, "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name"
                                  " IN ('entries', 'payloads', 'tree', 'tree_head')"
                                  " ORDER BY type DESC");
    while (sqlite3_step(s) == SQLITE_ROW)
        buf_addf(&schema, "%s;", (const char *)sqlite3_column_text(s, 0));
    sqlite3_finalize(s);
    r.schema = schema.data;
    for (int t = 0; t < TABLES; t++) {
        char *sql = xasprintf("SELECT * FROM %s ORDER BY seq", tables[t]);
        s = prepare(db, sql);
        r.columns[t] = sqlite3_column_count(s);
        size_t n = 0, width = (size_t)r.columns[t];
        for (; sqlite3_step(s) == SQLITE_ROW; n++) {
            r.value[t] = xrealloc(r.value[t], (n + 1) * width * sizeof *r.value[t]);
            for (size_t c = 0; c < width; c++)
                r.value[t][n * width + c] = sqlite3_value_dup(sqlite3_column_value(s, (int)c));
        }
        r.count = n;
        sqlite3_finalize(s);
        free(sql);
    }
    sqlite3_close(db);
    free(path);
    return r;
}

static void free_rows(struct rows *r)
{
    for (int t = 0; t < TABLES; t++) {
        for (size_t i = 0; i < r->count * (size_t)r->columns[t]; i++)
            sqlite3_value_free(r->value[t][i]);
        free(r->value[t]);
    }
    free(r->schema);
}

struct raw { /* SQLite alone */
    const struct rows *rows;
    sqlite3 *db;
    sqlite3_stmt *into[TABLES], *tree, *head, *begin, *commit;
};

static void raw_open(struct raw *r, const char *dir, const char *name, const struct rows *rows)
{
    char *path = xasprintf("%s/%s.db", dir, name);
    r->rows = rows;
    sqlite3_open_v2(path, &r->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                    NULL);
    run(r->db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
               "PRAGMA journal_size_limit=16777216; PRAGMA cache_size=-4096;");
    run(r->db, rows->schema);
    run(r->db, "INSERT INTO tree_head VALUES(1, 0, zeroblob(32))");
    for (int t = 0; t < TABLES; t++) {
        char marks[2 * COLUMNS] = "?";
        for (int c = 1; c < rows->columns[t]; c++)
            snprintf(marks + 2 * c - 1, 3, ",?");
        char *sql = xasprintf("INSERT INTO %s VALUES(%s)", tables[t], marks);
        r->into[t] = prepare(r->db, sql);
        free(sql);
    }
    r->tree = prepare(r->db, "INSERT INTO tree VALUES(1, ?, ?, zeroblob(32))");
    r->head = prepare(r->db, "UPDATE tree_head SET size = ?, head = randomblob(32) WHERE id = 1");
    r->begin = prepare(r->db, "BEGIN IMMEDIATE");
    r->commit = prepare(r->db, "COMMIT");
    free(path);
}

static void raw_step(struct raw *r, sqlite3_stmt *s)
{
    if (sqlite3_step(s) != SQLITE_DONE) {
        fprintf(stderr, "SQLite alone: %s\n", sqlite3_errmsg(r->db));
        exit(1);
    }
    sqlite3_reset(s);
}

/* The rows of entries [from, to) in one transaction. */
static void raw_commit(struct raw *r, size_t from, size_t to)
{
    raw_step(r, r->begin);
    for (size_t i = from; i < to; i++) {
        for (int t = 0; t < TABLES; t++) {
            size_t width = (size_t)r->rows->columns[t];
            for (size_t c = 0; c < width; c++)
                sqlite3_bind_value(r->into[t], (int)c + 1, r->rows->value[t][i * width + c]);
            raw_step(r, r->into[t]);
        }
        for (int level = PROV__TILE; (i + 1) % ((size_t)1 << level) == 0; level += PROV__TILE) {
            sqlite3_bind_int(r->tree, 1, level);
            sqlite3_bind_int64(r->tree, 2, (sqlite3_int64)(i >> level));
            raw_step(r, r->tree);
        }
    }
    sqlite3_bind_int64(r->head, 1, (sqlite3_int64)to);
    raw_step(r, r->head);
    raw_step(r, r->commit);
}

static void raw_close(struct raw *r)
{
    for (int t = 0; t < TABLES; t++)
        sqlite3_finalize(r->into[t]);
    sqlite3_finalize(r->tree);
    sqlite3_finalize(r->head);
    sqlite3_finalize(r->begin);
    sqlite3_finalize(r->commit);
    sqlite3_close(r->db);
}

/* One thread that has all rows and nobody to answer: so many entries a commit. */
static double raw_loop(const char *dir, const struct rows *rows, size_t n, size_t group)
{
    struct raw r = {0};
    char *name = xasprintf("loop-%zu", group);
    raw_open(&r, dir, name, rows);
    uint64_t began = clock_mono_ns();
    for (size_t i = 0; i < n; i += group)
        raw_commit(&r, i, i + group < n ? i + group : n);
    uint64_t took = clock_mono_ns() - began;
    raw_close(&r);
    free(name);
    return rate((int64_t)n, took);
}

/* Group commit: writers that wait, each, until its entry is durable; one more thread commits what
 * is there. */
struct crowd {
    struct raw raw;
    pthread_mutex_t lock;
    pthread_cond_t more, durable;
    size_t n, asked, done;
};

static void *crowd_writer(void *arg)
{
    struct crowd *c = arg;
    pthread_mutex_lock(&c->lock);
    while (c->asked < c->n) {
        size_t mine = c->asked++;
        pthread_cond_signal(&c->more);
        while (c->done <= mine)
            pthread_cond_wait(&c->durable, &c->lock);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

static double raw_crowd(const char *dir, const struct rows *rows, size_t n, int writers)
{
    struct crowd c = {.n = n};
    pthread_t thread[WRITERS];
    pthread_mutex_init(&c.lock, NULL);
    pthread_cond_init(&c.more, NULL);
    pthread_cond_init(&c.durable, NULL);
    raw_open(&c.raw, dir, "crowd", rows);
    uint64_t began = clock_mono_ns();
    for (int i = 0; i < writers; i++)
        pthread_create(&thread[i], NULL, crowd_writer, &c);
    pthread_mutex_lock(&c.lock);
    while (c.done < n) {
        while (c.asked == c.done)
            pthread_cond_wait(&c.more, &c.lock);
        size_t from = c.done, to = c.asked;
        pthread_mutex_unlock(&c.lock);
        raw_commit(&c.raw, from, to);
        pthread_mutex_lock(&c.lock);
        c.done = to;
        pthread_cond_broadcast(&c.durable);
    }
    pthread_mutex_unlock(&c.lock);
    uint64_t took = clock_mono_ns() - began;
    for (int i = 0; i < writers; i++)
        pthread_join(thread[i], NULL);
    raw_close(&c.raw);
    pthread_mutex_destroy(&c.lock);
    pthread_cond_destroy(&c.more);
    pthread_cond_destroy(&c.durable);
    return rate((int64_t)n, took);
}

static const void *bytes_of(const struct rows *r, int table, size_t i, size_t *len)
{
    sqlite3_value *v = r->value[table][i * (size_t)r->columns[table] + 1];
    *len = (size_t)sqlite3_value_bytes(v);
    return sqlite3_value_blob(v);
}

/* The same bytes through SHA-256 alone, on one thread: each entry twice, for the chain and for its
 * leaf; without chain also each payload as it is sealed, and as many bytes as it has in the clear,
 * for its commitment. Nodes of trees and keys of commitments are not counted. */
static double raw_hashing(const struct rows *rows, bool chain)
{
    double runs[RUNS];
    uint8_t hash[VAULT_HASH];
    size_t len;
    for (int run = 0; run < RUNS; run++) {
        uint64_t began = clock_mono_ns();
        for (size_t i = 0; i < rows->count; i++) {
            const void *entry = bytes_of(rows, 0, i, &len);
            vault_sha256(entry, len, NULL, 0, hash);
            vault_sha256("\x00", 1, entry, len, hash);
            if (chain)
                continue;
            const char *sealed = bytes_of(rows, 1, i, &len);
            vault_sha256(sealed, len, NULL, 0, hash);
            vault_sha256(sealed + VAULT_NONCE, len - VAULT_NONCE - VAULT_TAG, NULL, 0, hash);
        }
        runs[run] = rate((int64_t)rows->count, clock_mono_ns() - began);
    }
    return median(runs);
}

/* Bytes on the disk for each entry, beside the bytes of the entries and payloads themselves. */
static void size_on_disk(const char *dir, const struct rows *rows)
{
    double bytes = 0;
    struct stat st;
    char *path = xasprintf("%s/console.db", dir);
    for (size_t i = 0; i < rows->count; i++)
        for (int t = 0; t < TABLES; t++) {
            size_t len;
            bytes_of(rows, t, i, &len);
            bytes += (double)len;
        }
    if (stat(path, &st) == 0)
        line("log.size", (double)st.st_size / (double)rows->count, "B",
             bytes / (double)rows->count);
    free(path);
}

/* ---- a long log: opening it, and a proof of one of its entries ---- */

static void put_row(sqlite3_stmt *stmt, int64_t a, int64_t b, const void *bytes, size_t len,
                    const uint8_t *hash)
{
    sqlite3_bind_int64(stmt, 1, a);
    if (b >= 0)
        sqlite3_bind_int64(stmt, 2, b);
    sqlite3_bind_blob64(stmt, b >= 0 ? 3 : 2, bytes, len, SQLITE_STATIC);
    if (hash)
        sqlite3_bind_blob(stmt, 3, hash, VAULT_HASH, SQLITE_STATIC);
    sqlite3_step(stmt);
    sqlite3_reset(stmt);
}

/* Rows as long as real ones, written past the console, with the tree that belongs to them. */
static void fill(const char *dir, int64_t n)
{
    struct error e = {0};
    struct loop *l = loop_new();
    struct store *s = store_open(l, dir, false, &e);
    char *path = s ? xstrdup(store_path(s)) : NULL, entry[420] = "";
    if (!s)
        exit(1);
    store_free(s);
    loop_free(l);
    sqlite3 *db;
    sqlite3_open(path, &db);
    sqlite3_exec(db,
                 "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA locking_mode=EXCLUSIVE;"
                 "PRAGMA cache_size=-131072; BEGIN",
                 NULL, NULL, NULL);
    sqlite3_stmt *entries = prepare(db, "INSERT INTO entries VALUES(?, ?, ?, 1,"
                                        " '0123456789abcdef0123456789abcdef', 'model.output',"
                                        " NULL)");
    sqlite3_stmt *payloads = prepare(db, "INSERT INTO payloads VALUES(?, ?)");
    sqlite3_stmt *tree = prepare(db, "INSERT INTO tree VALUES(1, ?, ?, ?)");
    sqlite3_stmt *head = prepare(db, "UPDATE tree_head SET size = ?, head = ?");
    struct prov__edge edge = {0};
    struct prov__node done[PROV__LEVELS];
    uint8_t leaf[VAULT_HASH], hash[VAULT_HASH];
    for (int64_t i = 0; i < n; i++) {
        snprintf(entry, sizeof entry, "entry %lld", (long long)i);
        prov__leaf(entry, sizeof entry, leaf);
        int count = prov__edge_push(&edge, 0, leaf, done);
        put_row(entries, i, -1, entry, sizeof entry, leaf);
        put_row(payloads, i, -1, entry, 120, NULL);
        for (int k = 0; k < count; k++)
            if (done[k].level % PROV__TILE == 0)
                put_row(tree, done[k].level, done[k].idx, done[k].hash, VAULT_HASH, NULL);
    }
    vault_sha256(entry, sizeof entry, NULL, 0, hash);
    put_row(head, n, -1, hash, sizeof hash, NULL);
    sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    sqlite3_finalize(entries);
    sqlite3_finalize(payloads);
    sqlite3_finalize(tree);
    sqlite3_finalize(head);
    sqlite3_close(db);
    free(path);
}

static void nothing(void *arg, json_t *checkpoint, const struct error *e)
{
    (void)arg, (void)checkpoint;
    if (e->code != ERR_OK)
        fprintf(stderr, "%s: %s\n", err_name(e->code), e->detail);
}

/* Medians in microseconds: from nothing to a log that takes entries, and a proof of one entry. */
static void long_log(const char *dir, int64_t n, double *open_us, double *proof_us)
{
    enum { OPENS = 9, PROOFS = 1000 };
    struct prov_signing signing = {.origin = "", .environment = "bench"};
    uint64_t opens[OPENS], took = 0;
    fill(dir, n);
    for (int i = 0; i < OPENS; i++) {
        struct world w = {0};
        uint64_t began = clock_mono_ns();
        open_world(&w, dir);
        prov_sign(w.prov, &signing);
        opens[i] = clock_mono_ns() - began;
        prov_checkpoint(w.prov, nothing, NULL);
        settle(&w);
        began = clock_mono_ns();
        for (int64_t k = 0; k < PROOFS; k++) {
            json_t *proof = prov_proof(w.prov, k * 7919 % n, NULL);
            if (!proof)
                exit(1);
            json_decref(proof);
        }
        took += clock_mono_ns() - began;
        prov_close(w.prov);
        settle(&w);
        close_world(&w);
    }
    for (int i = 1; i < OPENS; i++)
        for (int k = i; k > 0 && opens[k] < opens[k - 1]; k--) {
            uint64_t swapped = opens[k];
            opens[k] = opens[k - 1];
            opens[k - 1] = swapped;
        }
    *open_us = (double)opens[OPENS / 2] / 1e3;
    *proof_us = (double)took / 1e3 / (OPENS * PROOFS);
}

static void bench_long(const char *dir, int64_t n)
{
    enum { SHORT = 1000 };
    double open_us[2], proof_us[2];
    char *few = xasprintf("%s/few", dir), *lots = xasprintf("%s/lots", dir);
    long_log(few, SHORT, &open_us[0], &proof_us[0]);
    long_log(lots, n, &open_us[1], &proof_us[1]);
    line("log.open.long", open_us[1], "us", open_us[0]);
    line("log.proof.long", proof_us[1], "us", proof_us[0]);
    free(few);
    free(lots);
}

int main(int argc, char **argv)
{
    int64_t long_n = argc > 2 ? strtol(argv[2], NULL, 10) : 1000000;
    int64_t n = argc > 1 ? strtol(argv[1], NULL, 10) : 20000;
    const char *tmp = getenv("TMPDIR");
    char *dir = xasprintf("%s/mcpc-bench-XXXXXX", tmp ? tmp : "/tmp");
    vault_init();
    if (n < ALONE || long_n < 1 || !mkdtemp(dir))
        return 2;
    char *many = xasprintf("%s/many", dir), *one = xasprintf("%s/one", dir);
    uint64_t took = append_all(many, n, WRITERS);
    uint64_t alone = append_all(one, ALONE, 1);
    double full = verify_all(many, false), chain = verify_all(many, true);
    struct rows rows = read_rows(many);
    double loop = raw_loop(dir, &rows, rows.count, WRITERS);
    line("log.append.16_writers", rate(n, took), "entries/s",
         raw_crowd(dir, &rows, rows.count, WRITERS));
    line("log.append.16_in_a_loop", rate(n, took), "entries/s", loop);
    line("log.append.one_writer", rate(ALONE, alone), "entries/s", raw_loop(dir, &rows, ALONE, 1));
    line("log.verify", full, "entries/s", raw_hashing(&rows, false));
    line("log.verify.chain", chain, "entries/s", raw_hashing(&rows, true));
    size_on_disk(many, &rows);
    free_rows(&rows);
    bench_long(dir, long_n);
    char *command = xasprintf("rm -rf '%s'", dir);
    int rc = system(command);
    free(command);
    free(many);
    free(one);
    free(dir);
    return rc;
}
