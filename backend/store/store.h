/* The database: one SQLite file, $STATE/console.db, WAL, synchronous=FULL. The only room that knows
 * SQLite. Reads happen on the loop's thread through short prepared statements; every write goes
 * through the one writer, which groups what is queued into one transaction on a worker thread.
 *
 * Invariants
 * S1 store_write's done is called with ERR_OK only after the transaction is durable.
 * S2 Writes are applied in the order queued. If a transaction fails, every write in it gets its
 * error. S3 One console at a time: the state directory is locked (flock on $STATE/lock) from open
 * to close. S4 A database whose user_version is newer than ours is not touched: ERR_NEWER. */
#ifndef STORE_H
#define STORE_H

#include "backend/base/errors.h"
#include "backend/base/loop.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;     /* owned by the backend */
struct store_db;  /* a connection: the reader's or the writer's */
struct store_row; /* the current row of a query, valid in the callback only */

/* Opens or makes the database and applies migrations. read_only: no lock, no migration, for
 * verification beside a running console; l may be NULL then. NULL with *e: LOCKED, NEWER,
 * READ_ONLY, NO_SPACE, CORRUPT, IO; read_only also NOT_FOUND (no database) and UNSUPPORTED (older
 * schema). The loop may be freed before the store; between the two nothing may be written. */
struct store *store_open(struct loop *l, const char *state_dir, bool read_only, struct error *e);
/* Does not block; what was queued before is still written. */
void store_close(struct store *s);
/* Waits for queued writes, releases the lock, frees. */
void store_free(struct store *s);
struct store_db *store_reader(struct store *s);
const char *store_path(const struct store *s);
/* A reading connection of one's own, for one thread at a time: long reads on a worker. Read in
 * short pieces: an open read keeps the write-ahead log from being reused. NULL with *e. */
struct store_db *store_db_open(const char *path, struct error *e);
void store_db_close(struct store_db *db); /* NULL is fine */

/* A write: op runs on a worker inside the transaction (it may only touch db and arg); done runs on
 * the loop afterwards. If any op of a group fails, the group is rolled back and retried one by one,
 * so that one bad write does not fail its neighbours; S2 then holds for each single one. So op may
 * run twice and must not change arg in a way that a second run would see. done always runs, at the
 * latest inside store_free. After store_close a new write gets ERR_CLOSED. */
typedef enum err store_op(struct store_db *db, void *arg, struct error *e);
typedef void store_done(void *arg, const struct error *e);
void store_write(struct store *s, store_op *op, store_done *done, void *arg);
/* The same, with an end: before the transaction is committed, `end` runs for the last write in it
 * that has one. For what each write moves on, and has to be stored once. If it fails, so does the
 * transaction. */
void store_write_end(struct store *s, store_op *op, store_op *end, store_done *done, void *arg);
/* Inside op and end: the number of the transaction; no two have the same. */
uint64_t store_transaction(const struct store_db *db);

/* Behind what was queued before (S2): writes the database anew from its rows (VACUUM), brings the
 * write-ahead log into it and cuts that to nothing. What was removed or replaced is in neither file
 * then. What the file system, the disk or a backup keeps is beyond it. ERR_BUSY if somebody was
 * reading: try again. ERR_TOO_BIG: over STORE_SCRUB_MOST bytes nothing is done, because it would
 * take their size in memory and hold up all writing. */
enum { STORE_SCRUB_MOST = 256 * 1024 * 1024 };
void store_scrub(struct store *s, store_done *done, void *arg);

/* Statements. sql must be a string literal (statements are kept prepared by its address).
 * format has one letter a parameter: i int64_t, s const char * (NULL allowed),
 * b const void *, size_t. */
enum err store_exec(struct store_db *db, struct error *e, const char *sql, const char *format, ...);
/* Calls row for each row until it returns false. */
typedef bool store_row_fn(void *arg, const struct store_row *row);
enum err store_query(struct store_db *db, struct error *e, store_row_fn *row, void *arg,
                     const char *sql, const char *format, ...);
/* Columns from 0. Text and blobs are valid until the callback returns; NULL for SQL NULL. */
int64_t store_int(const struct store_row *row, int column);
const char *store_text(const struct store_row *row, int column);
const void *store_blob(const struct store_row *row, int column, size_t *len);
/* A single integer, or `otherwise` when there is no row, it is NULL, or the query fails: for
 * figures that may be unknown. What decides something asks store_query for the error. */
int64_t store_scalar(struct store_db *db, int64_t otherwise, const char *sql, const char *format,
                     ...);

#endif
