/* The schema, as a numbered list of steps. A step is never changed once released: add another. */
#include "backend/store/internal.h"

#include <stdlib.h>

static const char *const steps[] = {
    /* 1: the log, its keys and tree, the projections and the ledger. docs/evidence-format.md
     * describes the tables of the log. */
    "CREATE TABLE entries(seq INTEGER PRIMARY KEY, entry BLOB NOT NULL, leaf BLOB NOT NULL,"
    " ts INTEGER NOT NULL, session TEXT NOT NULL, type TEXT NOT NULL, trace_id TEXT) STRICT;"
    "CREATE INDEX entries_session ON entries(session);"
    "CREATE INDEX entries_type ON entries(type);"
    "CREATE INDEX entries_trace ON entries(trace_id) WHERE trace_id IS NOT NULL;"
    "CREATE TABLE payloads(seq INTEGER PRIMARY KEY REFERENCES entries(seq),"
    " sealed BLOB NOT NULL) STRICT;"
    "CREATE TABLE data_keys(session TEXT PRIMARY KEY, kek_id TEXT NOT NULL,"
    " version INTEGER NOT NULL, wrap BLOB NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE sessions(session TEXT PRIMARY KEY, first INTEGER NOT NULL,"
    " seal INTEGER) STRICT, WITHOUT ROWID;"
    "CREATE INDEX sessions_open ON sessions(first) WHERE seal IS NULL;"
    "CREATE TABLE tree(level INTEGER NOT NULL, idx INTEGER NOT NULL, hash BLOB NOT NULL,"
    " PRIMARY KEY(level, idx)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE tree_head(id INTEGER PRIMARY KEY CHECK(id = 1), size INTEGER NOT NULL,"
    " head BLOB NOT NULL) STRICT;"
    "INSERT INTO tree_head VALUES(1, 0, zeroblob(32));"
    "CREATE TABLE traces(rowid INTEGER PRIMARY KEY, trace_id TEXT NOT NULL UNIQUE,"
    " conversation TEXT, at INTEGER NOT NULL, state TEXT NOT NULL, sealed BLOB,"
    " session TEXT) STRICT;"
    "CREATE INDEX traces_conversation ON traces(conversation);"
    "CREATE TABLE scores(at INTEGER PRIMARY KEY, score INTEGER NOT NULL) STRICT;"
    "CREATE TABLE ledger(id INTEGER PRIMARY KEY, at INTEGER NOT NULL, day TEXT NOT NULL,"
    " trace_id TEXT, model TEXT NOT NULL, provider TEXT, connector TEXT,"
    " input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, estimated INTEGER NOT NULL,"
    " priced INTEGER NOT NULL, amount_nano INTEGER, currency TEXT, price_version TEXT,"
    " outcome TEXT NOT NULL, elapsed_ms INTEGER, first_token_ms INTEGER, entry INTEGER) STRICT;"
    "CREATE INDEX ledger_day ON ledger(day);"
    "CREATE INDEX ledger_model ON ledger(model);",
    /* 2: the ledger's totals by day, so that no total reads all lines. Kept by cost_insert. */
    "CREATE TABLE ledger_days(day TEXT NOT NULL, model TEXT NOT NULL, provider TEXT NOT NULL,"
    " outcome TEXT NOT NULL, currency TEXT NOT NULL, priced INTEGER NOT NULL,"
    " calls INTEGER NOT NULL, estimated INTEGER NOT NULL, input_tokens INTEGER NOT NULL,"
    " output_tokens INTEGER NOT NULL, units INTEGER NOT NULL, nano INTEGER NOT NULL,"
    " PRIMARY KEY(day, model, provider, outcome, currency, priced)) STRICT, WITHOUT ROWID;"
    "INSERT INTO ledger_days SELECT day, model, ifnull(provider, ''), outcome,"
    " ifnull(currency, ''), priced <> 0, count(*), sum(estimated), sum(input_tokens),"
    " sum(output_tokens), sum(ifnull(amount_nano, 0) / 1000000000),"
    " sum(ifnull(amount_nano, 0) % 1000000000) FROM ledger GROUP BY 1, 2, 3, 4, 5, 6;",
    /* 3: how many answers claimed something since, and how many of them cite a source. Kept by the
     * write that ends a trace. */
    "CREATE TABLE answer_counts(id INTEGER PRIMARY KEY CHECK(id = 1), answers INTEGER NOT NULL,"
    " cited INTEGER NOT NULL) STRICT;"
    "INSERT INTO answer_counts VALUES(1, 0, 0);",
    /* 4: signed heads of the log. */
    "CREATE TABLE checkpoints(size INTEGER PRIMARY KEY, entry INTEGER,"
    " note TEXT NOT NULL) STRICT;"
    "CREATE INDEX checkpoints_unlogged ON checkpoints(size) WHERE entry IS NULL;",
    /* 5: epochs, each with a tree of its own, of which every eighth level is kept. The entries of a
     * session stand together: where they begin is enough to find them. */
    "CREATE TABLE epochs(epoch INTEGER PRIMARY KEY, base INTEGER NOT NULL, entry INTEGER) STRICT;"
    "INSERT INTO epochs VALUES(1, 0, NULL);"
    "CREATE TABLE tiles(epoch INTEGER NOT NULL, level INTEGER NOT NULL, idx INTEGER NOT NULL,"
    " hash BLOB NOT NULL, PRIMARY KEY(epoch, level, idx)) STRICT, WITHOUT ROWID;"
    "INSERT INTO tiles SELECT 1, level, idx, hash FROM tree WHERE level % 8 = 0;"
    "DROP TABLE tree;"
    "ALTER TABLE tiles RENAME TO tree;"
    "CREATE TABLE heads(epoch INTEGER NOT NULL, size INTEGER NOT NULL, entry INTEGER,"
    " note TEXT NOT NULL, PRIMARY KEY(epoch, size)) STRICT, WITHOUT ROWID;"
    "INSERT INTO heads SELECT 1, size, entry, note FROM checkpoints;"
    "DROP TABLE checkpoints;"
    "ALTER TABLE heads RENAME TO checkpoints;"
    "CREATE INDEX checkpoints_unlogged ON checkpoints(epoch, size) WHERE entry IS NULL;"
    "DROP INDEX entries_session;"
    "CREATE INDEX sessions_first ON sessions(first);",
    /* retention: which entry says that a payload was erased; holds; erasures and their acts; what
     * the job remembers. */
    "CREATE TABLE erased(seq INTEGER PRIMARY KEY, entry INTEGER NOT NULL) STRICT;"
    "CREATE TABLE holds(id TEXT PRIMARY KEY, kind TEXT NOT NULL, value TEXT NOT NULL,"
    " entry INTEGER NOT NULL, at INTEGER NOT NULL, released INTEGER) STRICT, WITHOUT ROWID;"
    "CREATE TABLE erasures(act TEXT PRIMARY KEY, request INTEGER NOT NULL, at INTEGER NOT NULL,"
    " kind TEXT NOT NULL, done INTEGER) STRICT, WITHOUT ROWID;"
    "CREATE TABLE retention_state(name TEXT PRIMARY KEY, value INTEGER NOT NULL)"
    " STRICT, WITHOUT ROWID;"
    "CREATE INDEX ledger_entry ON ledger(entry);",
    /* cosignatures: what witnesses gave this log, and where this witness left other logs. */
    "CREATE TABLE cosignatures(origin TEXT NOT NULL, size INTEGER NOT NULL, key TEXT NOT NULL,"
    " at INTEGER NOT NULL, line TEXT NOT NULL, PRIMARY KEY(origin, size, key)) STRICT,"
    " WITHOUT ROWID;"
    "CREATE TABLE witnessed(origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL,"
    " at INTEGER NOT NULL, note TEXT NOT NULL) STRICT, WITHOUT ROWID;",
    /* daily bundles by what they reach up to, and which entry logs each. */
    "CREATE TABLE bundles("
    "size INTEGER PRIMARY KEY, day TEXT NOT NULL, at INTEGER NOT NULL,"
    " entry INTEGER NOT NULL, file TEXT NOT NULL) STRICT;",
    /* the keys that sign checkpoints, each from how many entries on, and the statement by which the
     * one before handed on to it. */
    "CREATE TABLE signing_keys("
    "first INTEGER PRIMARY KEY, vkey TEXT NOT NULL,"
    " entry INTEGER, note TEXT) STRICT;",
    /* plans: which there are, and which are not over; what they say is in their entries. The kill
     * switch as it was set last. */
    "CREATE TABLE plans(rowid INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, at INTEGER NOT NULL,"
    " open INTEGER NOT NULL) STRICT;"
    "CREATE INDEX plans_open ON plans(rowid) WHERE open = 1;"
    "CREATE TABLE kill_state(id INTEGER PRIMARY KEY CHECK(id = 1), is_on INTEGER NOT NULL,"
    " entry INTEGER) STRICT;",
    /* the ledger: whom a call was for, which try it was, and what providers price apart. energy_mj
     * is -1 where it is not known. */
    "ALTER TABLE ledger ADD COLUMN session TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE ledger ADD COLUMN project TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE ledger ADD COLUMN flow TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE ledger ADD COLUMN cached_tokens INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE ledger ADD COLUMN cache_write_tokens INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE ledger ADD COLUMN reasoning_tokens INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE ledger ADD COLUMN error TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE ledger ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1;"
    "ALTER TABLE ledger ADD COLUMN queued_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE ledger ADD COLUMN energy_mj INTEGER NOT NULL DEFAULT -1;"
    "CREATE INDEX ledger_session ON ledger(session) WHERE session <> '';"
    "CREATE INDEX ledger_project ON ledger(project, day) WHERE project <> '';"
    "ALTER TABLE ledger_days ADD COLUMN cached_tokens INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE ledger_days ADD COLUMN reasoning_tokens INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE ledger_days ADD COLUMN metered INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE ledger_days ADD COLUMN energy_mj INTEGER NOT NULL DEFAULT 0;"
    /* budgets: which threshold was told of already; how far calls without an end were looked for.
     */
    "CREATE TABLE budget_warnings(budget TEXT NOT NULL, subject TEXT NOT NULL,"
    " period TEXT NOT NULL, percent INTEGER NOT NULL, entry INTEGER NOT NULL,"
    " PRIMARY KEY(budget, subject, period, percent)) STRICT, WITHOUT ROWID;",
    /* conversations: their first and last turns (rowids of traces), in the order in which they were
     * spoken in last; parent: the one that a fork shares the turns up to `forked` with. */
    "CREATE TABLE conversations(id TEXT PRIMARY KEY, first INTEGER, last INTEGER NOT NULL,"
    " turns INTEGER NOT NULL, touched INTEGER NOT NULL, parent TEXT, forked INTEGER,"
    " entry INTEGER) STRICT, WITHOUT ROWID;"
    "CREATE INDEX conversations_touched ON conversations(touched);"
    "INSERT INTO conversations(id, first, last, turns, touched) SELECT conversation, min(rowid),"
    " max(rowid), count(*), max(rowid) FROM traces WHERE conversation IS NOT NULL GROUP BY 1;",
    /* choice: the models and the flow that its last question named, as JSON. */
    "ALTER TABLE conversations ADD COLUMN choice TEXT;",
    /* vectors of runbooks' passages: of which text, by which model; eight bits a cell. */
    "CREATE TABLE passage_vectors(maker TEXT NOT NULL, sha256 BLOB NOT NULL,"
    " vector BLOB NOT NULL,"
    " PRIMARY KEY(maker, sha256)) STRICT;",
    /* learning: how models did with kinds of questions, in quarters; weights (of a thousand) that a
     * person accepted, and how many outcomes there were at the last decision. */
    "CREATE TABLE outcomes(trace_id TEXT NOT NULL, model TEXT NOT NULL, source TEXT NOT NULL,"
    " kind TEXT NOT NULL, good INTEGER NOT NULL, bad INTEGER NOT NULL, at INTEGER NOT NULL,"
    " PRIMARY KEY(trace_id, model, source)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX outcomes_kind ON outcomes(kind, model);"
    "CREATE TABLE learnt_weights(kind TEXT NOT NULL, model TEXT NOT NULL, weight INTEGER NOT NULL,"
    " PRIMARY KEY(kind, model)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE learnt_decisions(kind TEXT PRIMARY KEY, action TEXT NOT NULL,"
    " quarters INTEGER NOT NULL) STRICT, WITHOUT ROWID;",
};

enum { VERSION = (int)(sizeof steps / sizeof *steps) };

static bool take_version(void *arg, const struct store_row *row)
{
    *(int64_t *)arg = store_int(row, 0);
    return false;
}

static enum err read_version(struct store_db *db, int64_t *version, struct error *e)
{
    *version = 0;
    return store_query(db, e, take_version, version, "PRAGMA user_version", "");
}

enum err store__refuse_newer(struct store_db *db, struct error *e)
{
    int64_t version;
    enum err code = read_version(db, &version, e);
    if (code == ERR_OK && version > VERSION)
        code = err_set(e, ERR_NEWER, "the database has schema %lld, this version knows %d",
                       (long long)version, VERSION);
    return code;
}

enum err store__refuse_older(struct store_db *db, struct error *e)
{
    int64_t version;
    enum err code = read_version(db, &version, e);
    if (code == ERR_OK && version < VERSION)
        code = err_set(e, ERR_UNSUPPORTED,
                       "the database has schema %lld, not %d: start the console on it once",
                       (long long)version, VERSION);
    return code;
}

enum err store__migrate(struct store_db *db, struct error *e)
{
    int64_t version;
    enum err code = read_version(db, &version, e);
    if (code != ERR_OK || version >= VERSION)
        return code;
    if (version < 0)
        return err_set(e, ERR_CORRUPT, "the database has schema %lld", (long long)version);
    code = store__begin(db, e);
    for (; code == ERR_OK && version < VERSION; version++)
        code = store__script(db, steps[version], e);
    if (code == ERR_OK) {
        char *sql = xasprintf("PRAGMA user_version=%d", VERSION);
        code = store__script(db, sql, e);
        free(sql);
    }
    if (code == ERR_OK)
        code = store__commit(db, e);
    if (code != ERR_OK)
        store__rollback(db);
    return code;
}
