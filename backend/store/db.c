/* One connection: statements kept prepared, parameters, rows. */
#include "backend/store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CACHE = 128, PROBES = 8 }; /* statements kept prepared, and where one of them may stand */

struct store_db {
    sqlite3 *sqlite;
    uint64_t transaction;
    struct {
        const char *sql;
        sqlite3_stmt *stmt;
    } cache[CACHE];
};

struct store_row {
    sqlite3_stmt *stmt;
};

static enum err code_of(sqlite3 *sqlite, int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return ERR_OK;
    case SQLITE_FULL:
        return ERR_NO_SPACE;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_BUSY;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return ERR_READ_ONLY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_SCHEMA:
    case SQLITE_ERROR: /* our SQL is constant: if it does not fit, the schema was changed */
    case SQLITE_MISMATCH:
        return ERR_CORRUPT;
    case SQLITE_TOOBIG:
        return ERR_TOO_BIG;
    case SQLITE_CONSTRAINT:
        return ERR_INVALID;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN: {
        int number = sqlite ? sqlite3_system_errno(sqlite) : 0;
        if (number == ENOSPC || number == EDQUOT || number == EFBIG)
            return ERR_NO_SPACE;
        if (number == EACCES || number == EROFS || number == EPERM)
            return ERR_READ_ONLY;
        return ERR_IO;
    }
    default:
        return ERR_IO;
    }
}

static enum err fail(struct store_db *db, int rc, struct error *e, const char *what)
{
    BUG_IF((rc & 0xff) == SQLITE_NOMEM);
    return err_set(e, code_of(db->sqlite, rc), "%s: %s", what, sqlite3_errmsg(db->sqlite));
}

enum err store__script(struct store_db *db, const char *sql, struct error *e)
{
    int rc = sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? ERR_OK : fail(db, rc, e, "the database");
}

static const char write_pragmas[] = "PRAGMA journal_mode=WAL;"
                                    "PRAGMA synchronous=FULL;"
                                    "PRAGMA foreign_keys=ON;"
                                    "PRAGMA journal_size_limit=16777216;"
                                    "PRAGMA secure_delete=ON;"
                                    "PRAGMA temp_store=MEMORY;"
                                    "PRAGMA trusted_schema=OFF;"
                                    "PRAGMA cache_size=-4096;";
static const char read_pragmas[] = "PRAGMA query_only=ON;"
                                   "PRAGMA temp_store=MEMORY;"
                                   "PRAGMA trusted_schema=OFF;"
                                   "PRAGMA cache_size=-2048;";

/* Nobody asks SQLite how much memory it uses; counting it is a lock for every allocation. */
static void library_start(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

/* SQLite tries again for reading where it could not make a file, and then says that there is none:
 * whether there is room for one is seen by making one. */
static bool is_full_beside(const char *path)
{
    char *probe = xasprintf("%s-probe", path);
    int fd = open(probe, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600), number = errno;
    if (fd >= 0) {
        number = posix_fallocate(fd, 0, 32768);
        close(fd);
        unlink(probe);
    }
    free(probe);
    return number == ENOSPC || number == EDQUOT;
}

struct store_db *store__db_open(const char *path, enum store__mode mode, int busy_ms,
                                struct error *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct store_db *db = xcalloc(1, sizeof *db);
    pthread_once(&once, library_start);
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                (mode == STORE__WRITE ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY);
    int rc = sqlite3_open_v2(path, &db->sqlite, flags, NULL);
    BUG_IF(!db->sqlite);
    if (rc != SQLITE_OK) {
        fail(db, rc, e, path);
        goto fail;
    }
    /* SQLite opens what it cannot open for writing for reading, and says nothing. */
    if (mode == STORE__WRITE && sqlite3_db_readonly(db->sqlite, "main") == 1) {
        err_set(e, access(path, W_OK) == 0 ? ERR_IO : ERR_READ_ONLY,
                "%s: it cannot be opened for writing", path);
        goto fail;
    }
    sqlite3_busy_timeout(db->sqlite, busy_ms);
    /* A database may come from elsewhere: nothing in its schema may run code or load it. */
    sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    if (store__refuse_newer(db, e) != ERR_OK) /* before anything could be changed: S4 */
        goto fail;
    if (store__script(db, mode == STORE__WRITE ? write_pragmas : read_pragmas, e) != ERR_OK)
        goto fail;
    return db;
fail:
    if (mode == STORE__WRITE && e && e->code == ERR_IO && is_full_beside(path))
        err_set(e, ERR_NO_SPACE, "%s: there is no room for its log beside it", path);
    store_db_close(db);
    return NULL;
}

struct store_db *store_db_open(const char *path, struct error *e)
{
    return store__db_open(path, STORE__READ, 2000, e);
}

void store_db_close(struct store_db *db)
{
    if (!db)
        return;
    for (size_t i = 0; i < CACHE; i++)
        sqlite3_finalize(db->cache[i].stmt);
    sqlite3_close_v2(db->sqlite);
    free(db);
}

enum err store__begin(struct store_db *db, struct error *e)
{
    db->transaction++;
    return store_exec(db, e, "BEGIN IMMEDIATE", "");
}

uint64_t store_transaction(const struct store_db *db)
{
    return db->transaction;
}

enum err store__commit(struct store_db *db, struct error *e)
{
    return store_exec(db, e, "COMMIT", "");
}

void store__rollback(struct store_db *db)
{
    /* Some failures (a full disk) end the transaction by themselves. */
    if (!sqlite3_get_autocommit(db->sqlite))
        store_exec(db, NULL, "ROLLBACK", "");
}

/* Nobody waits long for it: while it waits for readers, nothing is written. secure_delete
 * overwrites what is removed where it stands, but a row that was moved before, when its neighbours
 * went, left a copy behind in its old page: only writing all pages anew is sure. */
enum err store__scrub(struct store_db *db, struct error *e)
{
    enum { PATIENCE_MS = 100, USUAL_MS = 5000 };
    int64_t size =
        store_scalar(db, 0, "PRAGMA page_count", "") * store_scalar(db, 0, "PRAGMA page_size", "");
    if (size > STORE_SCRUB_MOST)
        return err_set(e, ERR_TOO_BIG, "a database of %lld bytes is not written anew",
                       (long long)size);
    enum err code = store__script(db, "VACUUM", e);
    if (code != ERR_OK)
        return code;
    sqlite3_busy_timeout(db->sqlite, PATIENCE_MS);
    int rc = sqlite3_wal_checkpoint_v2(db->sqlite, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_busy_timeout(db->sqlite, USUAL_MS);
    return rc == SQLITE_OK ? ERR_OK : fail(db, rc, e, "emptying the write-ahead log");
}

/* The statement for a literal: from the cache, or fresh (*kept false: finalize it after use). */
static sqlite3_stmt *statement(struct store_db *db, const char *sql, bool *kept, struct error *e)
{
    size_t home = (uintptr_t)sql * 0x9e3779b97f4a7c15u >> 57, slot = CACHE;
    for (size_t i = 0; i < PROBES; i++) {
        size_t at = (home + i) % CACHE;
        if (!db->cache[at].stmt) {
            slot = at;
            break;
        }
        if (!sqlite3_stmt_busy(db->cache[at].stmt)) {
            if (db->cache[at].sql == sql) {
                *kept = true;
                return db->cache[at].stmt;
            }
            slot = at;
        }
    }
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v3(db->sqlite, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL);
    if (rc != SQLITE_OK) {
        fail(db, rc, e, sql);
        return NULL;
    }
    *kept = slot < CACHE;
    if (*kept) {
        sqlite3_finalize(db->cache[slot].stmt);
        db->cache[slot].stmt = stmt;
        db->cache[slot].sql = sql;
    }
    return stmt;
}

static int bind(sqlite3_stmt *stmt, const char *format, va_list args)
{
    int rc = SQLITE_OK;
    for (int i = 1; *format && rc == SQLITE_OK; i++, format++) {
        switch (*format) {
        case 'i':
            rc = sqlite3_bind_int64(stmt, i, va_arg(args, int64_t));
            break;
        case 's':
            rc = sqlite3_bind_text(stmt, i, va_arg(args, const char *), -1, SQLITE_STATIC);
            break;
        case 'b': {
            const void *bytes = va_arg(args, const void *);
            size_t len = va_arg(args, size_t);
            /* No bytes at a real address is an empty blob, at NULL it is NULL. */
            rc = sqlite3_bind_blob64(stmt, i, bytes, len, SQLITE_STATIC);
            break;
        }
        default:
            BUG("a parameter's letter is not one of i, s, b");
        }
    }
    return rc;
}

static enum err query(struct store_db *db, struct error *e, store_row_fn *row, void *arg,
                      const char *sql, const char *format, va_list args)
{
    bool kept;
    enum err code = ERR_OK;
    sqlite3_stmt *stmt = statement(db, sql, &kept, e);
    if (!stmt)
        return code_of(db->sqlite, sqlite3_errcode(db->sqlite));
    BUG_IF(sqlite3_bind_parameter_count(stmt) != (int)strlen(format));
    int rc = bind(stmt, format, args);
    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        rc = sqlite3_step(stmt);
        if (rc == SQLITE_ROW && row && !row(arg, &(struct store_row){stmt}))
            break;
    }
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        code = fail(db, rc, e, sql);
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    if (!kept)
        sqlite3_finalize(stmt);
    return code;
}

enum err store_exec(struct store_db *db, struct error *e, const char *sql, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    enum err code = query(db, e, NULL, NULL, sql, format, args);
    va_end(args);
    return code;
}

enum err store_query(struct store_db *db, struct error *e, store_row_fn *row, void *arg,
                     const char *sql, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    enum err code = query(db, e, row, arg, sql, format, args);
    va_end(args);
    return code;
}

static bool take_int(void *arg, const struct store_row *row)
{
    if (sqlite3_column_type(row->stmt, 0) != SQLITE_NULL)
        *(int64_t *)arg = store_int(row, 0);
    return false;
}

int64_t store_scalar(struct store_db *db, int64_t otherwise, const char *sql, const char *format,
                     ...)
{
    int64_t result = otherwise;
    va_list args;
    va_start(args, format);
    if (query(db, NULL, take_int, &result, sql, format, args) != ERR_OK)
        result = otherwise;
    va_end(args);
    return result;
}

int64_t store_int(const struct store_row *row, int column)
{
    return sqlite3_column_int64(row->stmt, column);
}

const char *store_text(const struct store_row *row, int column)
{
    return (const char *)sqlite3_column_text(row->stmt, column);
}

const void *store_blob(const struct store_row *row, int column, size_t *len)
{
    if (sqlite3_column_type(row->stmt, column) == SQLITE_NULL) {
        *len = 0;
        return NULL;
    }
    const void *bytes = sqlite3_column_blob(row->stmt, column);
    *len = (size_t)sqlite3_column_bytes(row->stmt, column);
    return bytes ? bytes : ""; /* an empty blob is not NULL */
}
