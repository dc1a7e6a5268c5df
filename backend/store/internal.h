/* Private to the store. */
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H

#include "backend/store/store.h"
#include <sqlite3.h>

/* Opens one connection. busy_ms: how long it waits for another's lock. */
enum store__mode { STORE__WRITE, STORE__READ };
struct store_db *store__db_open(const char *path, enum store__mode mode, int busy_ms,
                                struct error *e);
/* Runs statements that answer nothing. */
enum err store__script(struct store_db *db, const char *sql, struct error *e);
/* BEGIN IMMEDIATE, COMMIT, ROLLBACK (only if a transaction is open). */
enum err store__begin(struct store_db *db, struct error *e);
enum err store__commit(struct store_db *db, struct error *e);
void store__rollback(struct store_db *db);
/* See store_scrub; outside any transaction. */
enum err store__scrub(struct store_db *db, struct error *e);

/* ERR_NEWER if the schema is newer than ours (S4). */
enum err store__refuse_newer(struct store_db *db, struct error *e);
/* Brings the schema up to date. */
enum err store__migrate(struct store_db *db, struct error *e);
/* ERR_UNSUPPORTED if the schema is older than ours. */
enum err store__refuse_older(struct store_db *db, struct error *e);

/* The writer: a queue, and one job at a time on the loop's pool. */
struct store__writer;
struct store__writer *store__writer_new(struct loop *l, struct store_db *db);
/* op NULL: a scrub instead of a write. refused: not written, done gets this error in its turn. */
void store__writer_add(struct store__writer *w, store_op *op, store_op *end, store_done *done,
                       void *arg, const struct error *refused);
/* Runs what is queued and waits for what runs, then frees; done callbacks run inside. */
void store__writer_free(struct store__writer *w);

#endif
