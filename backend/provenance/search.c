/* Searching the log (F1..F3 of search.h).
 *
 * Q1 The queue's head is the search that a worker has; the finder is freed when no worker has it.
 * Q2 SQL gives only order and the most selective condition; the rest is asked of each row here, so
 * that no statement runs past the budget without a row. */
#include "backend/provenance/search.h"
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "backend/provenance/internal.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MARGIN_MS = 3600 * 1000, LOOK_EVERY = 64, MATCH_BEFORE = 40, MATCH_BYTES = 160 };

struct job {
    struct job *next;
    struct prov_search what;
    char *session, *trace_id, *actor, *text, *types[PROV_SEARCH_TYPES];
    struct buf actor_head; /* how an entry of that actor begins */
    int64_t *seqs;
    prov_searched *done;
    void *arg;
    json_t *rows;
    int64_t low, high;       /* exclusive bounds */
    int64_t last, scanned;   /* last: the last seq looked at, -1: none */
    bool ended, full, known; /* known: there is such a session */
    struct error error;
};

struct prov__finder {
    struct prov *prov; /* NULL once the log is freed */
    struct job *queue;
    char *path;
    struct store_db *db;
    struct prov__keys keys;
    struct buf ad, plain, scratch;
    uint64_t deadline;
    pthread_mutex_t lock; /* guards inside and cancelled */
    pthread_cond_t outside;
    bool inside, cancelled, out; /* out: a worker has it or will have */
};

/* ---- one row */

static bool type_passes(const struct job *j, const char *type)
{
    for (size_t i = 0; i < j->what.type_count; i++)
        if (strcmp(j->types[i], type) == 0)
            return true;
    return j->what.type_count == 0;
}

static bool same(const struct store_row *row, int column, const char *wanted)
{
    const char *text = wanted ? store_text(row, column) : NULL;
    return !wanted || (text && strcmp(text, wanted) == 0);
}

/* Only what is asked for is taken out of the row: most rows of a long log end here. */
static bool header_passes(const struct job *j, const struct store_row *row)
{
    size_t len;
    bool timed = j->what.since >= 0 || j->what.until >= 0;
    int64_t ts = timed ? store_int(row, 2) : 0;
    const char *type = j->what.type_count ? store_text(row, 4) : NULL;
    if ((j->what.since >= 0 && ts < j->what.since) || (j->what.until >= 0 && ts >= j->what.until))
        return false;
    if (!type_passes(j, type ? type : "") || !same(row, 3, j->session) ||
        !same(row, 5, j->trace_id))
        return false;
    if (!j->actor)
        return true;
    const char *entry = store_blob(row, 1, &len);
    return entry && len >= j->actor_head.len &&
           memcmp(entry, j->actor_head.data, j->actor_head.len) == 0;
}

static bool holds(const char *text, size_t len, const char *needle)
{
    size_t at, end;
    return text && len && text_find(text, len, 0, needle, &at, &end);
}

/* Kind, actor and ids. The actor is the entry's first member: nothing else needs to be read. */
static bool header_holds(const struct job *j, const struct store_row *row)
{
    static const char lead[] = "{\"actor\":\"";
    const char *texts[] = {store_text(row, 4), store_text(row, 3), store_text(row, 5)};
    size_t len, n = sizeof lead - 1;
    const char *entry = store_blob(row, 1, &len);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i] && holds(texts[i], strlen(texts[i]), j->text))
            return true;
    if (!entry || len < n || memcmp(entry, lead, n) != 0)
        return false;
    const char *actor = entry + n;
    for (len -= n, n = 0; n < len && actor[n] != '"'; n++)
        n += actor[n] == '\\' && n + 1 < len;
    return holds(actor, n < len ? n : len, j->text);
}

/* The text around its first place in a text of the payload, into out. */
static bool value_holds(const json_t *value, const char *needle, struct buf *out)
{
    const char *key;
    json_t *member;
    size_t i, at, end;
    if (json_is_string(value)) {
        const char *text = json_string_value(value);
        size_t len = json_string_length(value);
        if (!len || !text_find(text, len, 0, needle, &at, &end))
            return false;
        size_t from = at > MATCH_BEFORE ? at - MATCH_BEFORE : 0, to = from + MATCH_BYTES;
        while (from && ((unsigned char)text[from] & 0xc0) == 0x80)
            from--;
        to = to < len ? to : len;
        while (to < len && ((unsigned char)text[to] & 0xc0) == 0x80)
            to--;
        buf_add(out, text + from, to - from);
        return true;
    }
    json_array_foreach(value, i, member)
    {
        if (value_holds(member, needle, out))
            return true;
    }
    json_object_foreach((json_t *)value, key, member)
    {
        if (value_holds(member, needle, out))
            return true;
    }
    return false;
}

struct sealed {
    struct prov__finder *f;
    const struct prov__header *header;
    struct prov__text entry;
    bool open;
};

static bool open_sealed(void *arg, const struct store_row *row)
{
    struct sealed *s = arg;
    size_t len;
    const char *problem = "";
    const void *bytes = store_blob(row, 0, &len);
    buf_clear(&s->f->ad);
    s->open = prov__payload(&s->f->keys, s->f->db, s->header, s->entry, bytes, len, &s->f->ad,
                            &s->f->plain, &problem, NULL) == ERR_OK;
    return false;
}

/* A payload that cannot be opened holds nothing to find. */
static bool payload_holds(struct prov__finder *f, int64_t seq, const struct prov__header *h,
                          struct prov__text entry)
{
    struct job *j = f->queue;
    struct sealed s = {f, h, entry, false};
    store_query(f->db, NULL, open_sealed, &s, "SELECT sealed FROM payloads WHERE seq = ?", "i",
                seq);
    if (!s.open)
        return false;
    json_t *payload = json_read(f->plain.data, f->plain.len, PROV__MAX_PAYLOAD, 64, NULL);
    bool found = value_holds(payload, j->text, &f->scratch);
    json_decref(payload);
    return found;
}

/* In the payload of an entry that can be read; what cannot be is found by verification. */
static bool payload_of_row_holds(struct prov__finder *f, const struct store_row *row)
{
    struct prov__header h;
    struct prov__text entry;
    entry.at = store_blob(row, 1, &entry.len);
    return f->queue->what.payloads && entry.at && !prov__entry_read(entry.at, entry.len, &h) &&
           payload_holds(f, store_int(row, 0), &h, entry);
}

static void add_match(struct prov__finder *f, const struct store_row *row)
{
    struct job *j = f->queue;
    size_t len;
    buf_clear(&f->scratch);
    if (j->text && !header_holds(j, row) && !payload_of_row_holds(f, row))
        return;
    const char *entry = store_blob(row, 1, &len);
    json_t *found = prov__row(store_int(row, 0), entry ? entry : "", len);
    if (f->scratch.len)
        json_put(found, "match", json_text(f->scratch.data, f->scratch.len));
    json_array_append_new(j->rows, found);
}

static bool take(void *arg, const struct store_row *row)
{
    struct prov__finder *f = arg;
    struct job *j = f->queue;
    if (__atomic_load_n(&f->cancelled, __ATOMIC_RELAXED))
        return false;
    j->last = store_int(row, 0);
    j->scanned++;
    if (header_passes(j, row))
        add_match(f, row);
    j->full = json_array_size(j->rows) >= j->what.limit ||
              ((j->text || j->scanned % LOOK_EVERY == 0) && clock_mono_ms() >= f->deadline);
    return !j->full;
}

/* ---- the range */

struct found {
    int64_t value;
    bool row;
};

static bool take_int(void *arg, const struct store_row *row)
{
    struct found *f = arg;
    f->value = store_int(row, 0);
    f->row = true;
    return false;
}

/* The first seq from which on, as far as bisection can tell, entries are of that time or later. */
static int64_t seq_at(struct store_db *db, int64_t size, int64_t ms, struct error *e)
{
    int64_t low = 0, high = size;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        struct found ts = {0, false};
        if (store_query(db, e, take_int, &ts,
                        "SELECT ts FROM entries WHERE seq >= ? ORDER BY seq LIMIT 1", "i",
                        middle) != ERR_OK)
            return 0;
        if (ts.row && ts.value < ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool take_session(void *arg, const struct store_row *row)
{
    struct job *j = arg;
    int64_t first = store_int(row, 0), next = store_int(row, 1);
    j->low = first - 1 > j->low ? first - 1 : j->low;
    j->high = next > first && next < j->high ? next : j->high;
    j->known = true;
    return false;
}

/* The entries of a session stand together. */
static enum err find_session(struct prov__finder *f, struct job *j)
{
    enum err code = store_query(f->db, &j->error, take_session, j,
                                "SELECT s.first, (SELECT min(n.first) FROM sessions n WHERE"
                                " n.first > s.first) FROM sessions s WHERE s.session = ?",
                                "s", j->session);
    if (!j->known)
        j->high = j->low + 1; /* nothing */
    return code;
}

static enum err find_range(struct prov__finder *f, struct job *j)
{
    struct found last = {-1, false};
    enum err code = store_query(f->db, &j->error, take_int, &last,
                                "SELECT seq FROM entries ORDER BY seq DESC LIMIT 1", "");
    int64_t size = last.value + 1;
    j->high = j->what.before >= 0 && j->what.before < size ? j->what.before : size;
    j->low = j->what.after >= 0 ? j->what.after : -1;
    if (code == ERR_OK && j->what.since > MARGIN_MS) {
        int64_t from = seq_at(f->db, size, j->what.since - MARGIN_MS, &j->error) - 1;
        j->low = from > j->low ? from : j->low;
    }
    if (code == ERR_OK && j->what.until >= 0) {
        int64_t to = seq_at(f->db, size, j->what.until + MARGIN_MS, &j->error);
        j->high = to < j->high ? to : j->high;
    }
    return code == ERR_OK && j->session ? find_session(f, j) : j->error.code;
}

#define SCAN(served, order)                                                     \
    "SELECT seq, entry, ts, session, type, trace_id FROM entries WHERE " served \
    " AND seq < ?2 AND seq > ?3 ORDER BY seq " order

static void scan(struct prov__finder *f, struct job *j)
{
    static const char *const sql[3][2] = {
        {SCAN("trace_id = ?1", "DESC"), SCAN("trace_id = ?1", "ASC")},
        {SCAN("type = ?1", "DESC"), SCAN("type = ?1", "ASC")},
        {SCAN("?1 IS NULL", "DESC"), SCAN("?1 IS NULL", "ASC")}};
    const char *type = j->what.type_count == 1 ? j->types[0] : NULL;
    bool narrow = j->session && !j->trace_id; /* a session is a range already */
    int by = j->trace_id ? 0 : type && !narrow ? 1 : 2;
    store_query(f->db, &j->error, take, f, sql[by][j->what.oldest_first], "sii",
                by == 0   ? j->trace_id
                : by == 1 ? type
                          : NULL,
                j->high, j->low);
}

static void scan_seqs(struct prov__finder *f, struct job *j)
{
    for (size_t n = 0; n < j->what.seq_count && !j->full && j->error.code == ERR_OK; n++) {
        int64_t seq = j->seqs[j->what.oldest_first ? n : j->what.seq_count - 1 - n];
        if (seq < j->high && seq > j->low)
            store_query(f->db, &j->error, take, f,
                        "SELECT seq, entry, ts, session, type, trace_id FROM entries WHERE seq = ?",
                        "i", seq);
    }
}

/* ---- the worker */

static bool enter(struct prov__finder *f)
{
    pthread_mutex_lock(&f->lock);
    f->inside = !f->cancelled;
    bool go = f->inside;
    pthread_mutex_unlock(&f->lock);
    return go;
}

static void work(void *arg)
{
    struct prov__finder *f = arg;
    if (!enter(f))
        return;
    struct job *j = f->queue;
    f->deadline = clock_mono_ms() + PROV_SEARCH_MS;
    if (!f->db)
        f->db = store_db_open(f->path, &j->error);
    if (f->db && find_range(f, j) == ERR_OK) {
        if (j->what.only_seqs)
            scan_seqs(f, j);
        else
            scan(f, j);
        j->ended = !j->full;
    }
    prov__keys_release(&f->keys); /* F3 */
    pthread_mutex_lock(&f->lock);
    f->inside = false;
    pthread_cond_broadcast(&f->outside);
    pthread_mutex_unlock(&f->lock);
}

static json_t *result_of(const struct job *j)
{
    json_t *result = json_object();
    int64_t from = j->low + 1, to = j->high - 1;
    if (!j->ended && j->what.oldest_first)
        to = j->last;
    else if (!j->ended)
        from = j->last;
    json_put(result, "entries", json_incref(j->rows));
    json_put(result, "next", j->ended ? json_null() : json_integer(j->last));
    json_puti(result, "scanned", j->scanned);
    json_put(result, "done", json_boolean(j->ended));
    json_puti(result, "from", from);
    json_puti(result, "to", to);
    return result;
}

static void job_free(struct job *j)
{
    for (size_t i = 0; i < j->what.type_count; i++)
        free(j->types[i]);
    buf_release(&j->actor_head);
    free(j->session);
    free(j->trace_id);
    free(j->actor);
    free(j->text);
    free(j->seqs);
    json_decref(j->rows);
    free(j);
}

static void finder_free(struct prov__finder *f)
{
    prov__keys_release(&f->keys);
    store_db_close(f->db);
    buf_release(&f->ad);
    buf_release(&f->plain);
    buf_release(&f->scratch);
    pthread_cond_destroy(&f->outside);
    pthread_mutex_destroy(&f->lock);
    free(f->path);
    free(f);
}

static void start(struct prov__finder *f);

static void worked(void *arg, bool cancelled)
{
    struct prov__finder *f = arg;
    f->out = false;
    if (!f->prov) {
        finder_free(f);
        return;
    }
    struct job *j = f->queue;
    f->queue = j->next;
    if (cancelled && j->error.code == ERR_OK)
        err_set(&j->error, ERR_CLOSED, "the console stops");
    size_t i;
    json_t *row;
    json_array_foreach(j->rows, i, row) prov__row_mark(f->prov, row);
    json_t *result = j->error.code == ERR_OK ? result_of(j) : NULL;
    j->done(j->arg, result, &j->error);
    json_decref(result);
    job_free(j);
    if (f->prov)
        start(f);
}

static void start(struct prov__finder *f)
{
    if (!f->queue || f->out)
        return;
    f->out = true;
    loop_work(f->prov->loop, work, worked, f);
}

/* ---- the loop's side */

static struct job *job_new(const struct prov_search *what, prov_searched *done, void *arg)
{
    struct job *j = xcalloc(1, sizeof *j);
    j->what = *what;
    j->session = what->session ? xstrdup(what->session) : NULL;
    j->trace_id = what->trace_id ? xstrdup(what->trace_id) : NULL;
    j->actor = what->actor && *what->actor ? xstrdup(what->actor) : NULL;
    j->text = what->text && *what->text ? xstrdup(what->text) : NULL;
    for (size_t i = 0; i < what->type_count; i++)
        j->types[i] = xstrdup(what->types[i]);
    if (what->only_seqs) {
        j->seqs = xcalloc(what->seq_count + 1, sizeof *j->seqs);
        for (size_t i = 0; i < what->seq_count; i++)
            j->seqs[i] = what->seqs[i];
    }
    if (j->actor) { /* an entry's members stand in order, and "actor" is the first */
        json_t *text = json_text(j->actor, strlen(j->actor));
        buf_adds(&j->actor_head, "{\"actor\":");
        if (jcs_write(text, &j->actor_head) == ERR_OK)
            j->actor_head.len--; /* without the closing quote: what it begins with */
        json_decref(text);
    }
    j->done = done;
    j->arg = arg;
    j->last = -1;
    j->rows = json_array();
    return j;
}

void prov_search(struct prov *p, const struct prov_search *what, prov_searched *done, void *arg)
{
    struct prov__finder *f = p->finder;
    if (!f) {
        f = p->finder = xcalloc(1, sizeof *f);
        f->prov = p;
        f->path = xstrdup(store_path(p->store));
        f->keys.vault = p->vault;
        pthread_mutex_init(&f->lock, NULL);
        pthread_cond_init(&f->outside, NULL);
    }
    struct job **end = &f->queue;
    while (*end)
        end = &(*end)->next;
    *end = job_new(what, done, arg);
    start(f);
}

void prov__finder_free(struct prov *p)
{
    struct prov__finder *f = p->finder;
    struct error closed = {0};
    if (!f)
        return;
    pthread_mutex_lock(&f->lock);
    __atomic_store_n(&f->cancelled, true, __ATOMIC_RELAXED);
    while (f->inside)
        pthread_cond_wait(&f->outside, &f->lock);
    pthread_mutex_unlock(&f->lock);
    f->prov = NULL;
    p->finder = NULL;
    err_set(&closed, ERR_CLOSED, "the console stops");
    while (f->queue) {
        struct job *j = f->queue;
        f->queue = j->next;
        j->done(j->arg, NULL, &closed);
        job_free(j);
    }
    if (!f->out)
        finder_free(f);
}
