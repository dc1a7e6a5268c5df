/* How fast the log is, beside what it is made of: durable appends beside the same rows written by
 * SQLite alone, verification beside SHA-256 over the same bytes, opening and proving in a long log
 * beside a short one. Prints JSON lines.
 *
 * usage: bench_log [entries [entries of the long log]] */
#include "backend/base/clock.h"
#include "backend/provenance/proof.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WRITERS = 256, ALONE = 500 };

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
    struct prov_entry entry = {.type = "model.output",
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

static double verify_all(const char *dir)
{
    struct world w = {0};
    open_world(&w, dir);
    w.began = clock_mono_ns();
    prov_verify_start(w.prov, 0, NULL, verified, &w);
    loop_run(w.loop);
    close_world(&w);
    return rate(w.checked, w.took);
}

/* ---- the references ---- */

struct rows {
    struct {
        void *bytes[2];
        size_t len[2];
    } * list; /* entry, sealed payload */
    size_t count;
};

static bool take_row(void *arg, const struct store_row *row)
{
    struct rows *r = arg;
    r->list = xrealloc(r->list, (r->count + 1) * sizeof *r->list);
    for (int i = 0; i < 2; i++) {
        const void *bytes = store_blob(row, i, &r->list[r->count].len[i]);
        r->list[r->count].bytes[i] = xcalloc(1, r->list[r->count].len[i] + 1);
        memcpy(r->list[r->count].bytes[i], bytes, r->list[r->count].len[i]);
    }
    r->count++;
    return true;
}

static struct rows read_rows(const char *dir)
{
    struct rows r = {0};
    struct error e = {0};
    struct store *s = store_open(NULL, dir, true, &e);
    store_query(store_reader(s), &e, take_row, &r,
                "SELECT entry, sealed FROM entries JOIN payloads USING(seq)", "");
    store_free(s);
    return r;
}

/* The same bytes into a database of the same shape, so many entries a commit. */
static double raw_commits(const char *dir, const struct rows *rows, size_t n, size_t group)
{
    sqlite3 *db;
    sqlite3_stmt *entry, *payload;
    char *path = xasprintf("%s/raw-%zu.db", dir, group);
    sqlite3_open(path, &db);
    sqlite3_exec(db,
                 "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                 "CREATE TABLE entries(seq INTEGER PRIMARY KEY, entry BLOB NOT NULL,"
                 " leaf BLOB NOT NULL, ts INTEGER, session TEXT, type TEXT, trace_id TEXT);"
                 "CREATE INDEX b ON entries(type);"
                 "CREATE INDEX c ON entries(trace_id);"
                 "CREATE TABLE payloads(seq INTEGER PRIMARY KEY, sealed BLOB NOT NULL)",
                 NULL, NULL, NULL);
    sqlite3_prepare_v2(db,
                       "INSERT INTO entries VALUES(?, ?, zeroblob(32), 1,"
                       " '0123456789abcdef0123456789abcdef', 'model.output',"
                       " '0123456789abcdef0123456789abcdef')",
                       -1, &entry, NULL);
    sqlite3_prepare_v2(db, "INSERT INTO payloads VALUES(?, ?)", -1, &payload, NULL);
    uint64_t began = clock_mono_ns();
    for (size_t i = 0; i < n; i++) {
        if (i % group == 0)
            sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
        sqlite3_stmt *both[] = {entry, payload};
        for (int k = 0; k < 2; k++) {
            sqlite3_bind_int64(both[k], 1, (sqlite3_int64)i);
            sqlite3_bind_blob64(both[k], 2, rows->list[i].bytes[k], rows->list[i].len[k],
                                SQLITE_STATIC);
            sqlite3_step(both[k]);
            sqlite3_reset(both[k]);
        }
        if (i % group == group - 1 || i == n - 1)
            sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    }
    uint64_t took = clock_mono_ns() - began;
    sqlite3_finalize(entry);
    sqlite3_finalize(payload);
    sqlite3_close(db);
    free(path);
    return rate((int64_t)n, took);
}

/* What verification must at least hash, on one thread: each entry for the chain, each for its leaf,
 * each payload. */
static double raw_hashing(const struct rows *rows)
{
    uint8_t hash[VAULT_HASH];
    uint64_t began = clock_mono_ns();
    for (size_t i = 0; i < rows->count; i++) {
        vault_sha256(rows->list[i].bytes[0], rows->list[i].len[0], NULL, 0, hash);
        vault_sha256("\x00", 1, rows->list[i].bytes[0], rows->list[i].len[0], hash);
        vault_sha256(rows->list[i].bytes[1], rows->list[i].len[1], NULL, 0, hash);
    }
    return rate((int64_t)rows->count, clock_mono_ns() - began);
}

/* ---- a long log: opening it, and a proof of one of its entries ---- */

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
        exit(1);
    }
    return stmt;
}

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
    sqlite3_exec(db, "PRAGMA synchronous=OFF; BEGIN", NULL, NULL, NULL);
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
    double entries = verify_all(many);
    struct rows rows = read_rows(many);
    line("log.append.256_writers", rate(n, took), "entries/s",
         raw_commits(dir, &rows, rows.count, WRITERS));
    line("log.append.one_writer", rate(ALONE, alone), "entries/s",
         raw_commits(dir, &rows, ALONE, 1));
    line("log.verify", entries, "entries/s", raw_hashing(&rows));
    for (size_t i = 0; i < rows.count; i++) {
        free(rows.list[i].bytes[0]);
        free(rows.list[i].bytes[1]);
    }
    free(rows.list);
    bench_long(dir, long_n);
    char *command = xasprintf("rm -rf '%s'", dir);
    int rc = system(command);
    free(command);
    free(many);
    free(one);
    free(dir);
    return rc;
}
