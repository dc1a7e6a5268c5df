/* Reading the log: lists, one entry, its payload. */
#include "backend/base/text.h"
#include "backend/provenance/erased.h"
#include "backend/provenance/tamper.h"

#include "backend/base/clock.h"
#include <string.h>

static json_t *json_of(struct prov__text quoted)
{
    /* The scanner has checked it; its quotes stand around it. */
    json_t *value =
        json_loadb(quoted.at - 1, quoted.len + 2, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    return value ? value : json_null();
}

static json_t *text_or_null(const char *text)
{
    return *text ? json_string(text) : json_null();
}

static json_t *edge_of(const struct prov__header *h, size_t i)
{
    json_t *edge = json_object();
    json_puti(edge, "seq", h->parents[i]);
    json_put(edge, "transform",
             h->transforms[i].len ? json_text(h->transforms[i].at, h->transforms[i].len)
                                  : json_null());
    json_put(edge, "confidence",
             h->confidences[i] < 0 ? json_null() : json_real(h->confidences[i] / 1000.0));
    return edge;
}

/* {seq, ts, type, actor, session, trace_id, conversation, parents, edges, hash}; an entry that
 * cannot be read has seq, hash and problem. */
static json_t *make_row(int64_t seq, const char *bytes, size_t len, struct prov__header *h)
{
    uint8_t hash[VAULT_HASH];
    char hex[2 * VAULT_HASH + 1], ts[CLOCK_TEXT];
    json_t *row = json_object();
    json_puti(row, "seq", seq);
    const char *problem = prov__entry_read(bytes, len, h);
    vault_sha256(bytes, len, NULL, 0, hash);
    text_hex(hash, VAULT_HASH, hex);
    if (problem) {
        json_puts(row, "hash", hex);
        json_puts(row, "problem", problem);
        return row;
    }
    json_t *parents = json_array(), *edges = json_array();
    for (size_t i = 0; i < h->parent_count; i++) {
        json_array_append_new(parents, json_integer(h->parents[i]));
        json_array_append_new(edges, edge_of(h, i));
    }
    clock_format(h->ts, ts);
    json_puts(row, "ts", ts);
    json_put(row, "type", json_of(h->type));
    json_put(row, "actor", json_of(h->actor));
    json_puts(row, "session", h->session);
    json_put(row, "trace_id", text_or_null(h->trace_id));
    json_put(row, "conversation", text_or_null(h->conversation));
    json_put(row, "parents", parents);
    json_put(row, "edges", edges);
    json_puts(row, "hash", hex);
    return row;
}

json_t *prov__row(int64_t seq, const char *bytes, size_t len)
{
    struct prov__header h;
    return make_row(seq, bytes, len, &h);
}

static bool add_row(void *arg, const struct store_row *row)
{
    struct prov__header h;
    size_t len;
    const char *bytes = store_blob(row, 1, &len);
    json_array_append_new(arg, make_row(store_int(row, 0), bytes ? bytes : "", len, &h));
    return true;
}

void prov__row_mark(const struct prov *p, json_t *row)
{
    int64_t seq = json_int(row, "seq", -1);
    int64_t by = store_scalar(store_reader(p->store), -1, "SELECT entry FROM erased WHERE seq = ?",
                              "i", seq);
    if (by >= 0)
        json_puti(row, "erased", by);
    if (prov__quarantined(p, seq))
        json_put(row, "quarantined", json_true());
}

/* One literal for each index and direction: a condition that an index serves first, the others as
 * filters (a NULL parameter lets everything through). */
#define LIST(served, rest, order)                               \
    "SELECT seq, entry FROM entries WHERE " served " AND " rest \
    " AND seq < ?4 AND seq > ?5 ORDER BY seq " order " LIMIT ?6"
#define OR_ANY(column, n) "(?" n " IS NULL OR " column " = ?" n ")"
#define BY_TRACE(order) \
    LIST("trace_id = ?1", OR_ANY("session", "2") " AND " OR_ANY("type", "3"), order)
#define BY_TYPE(order) \
    LIST("type = ?3", OR_ANY("trace_id", "1") " AND " OR_ANY("session", "2"), order)
/* The entries of a session stand together. */
#define BY_SESSION(order)                                                           \
    LIST("seq >= (SELECT first FROM sessions WHERE session = ?2)"                   \
         " AND seq < ifnull((SELECT min(first) FROM sessions WHERE first >"         \
         " (SELECT first FROM sessions WHERE session = ?2)), ?4) AND session = ?2", \
         OR_ANY("trace_id", "1") " AND " OR_ANY("type", "3"), order)
#define BY_SEQ(order) \
    LIST(OR_ANY("trace_id", "1"), OR_ANY("session", "2") " AND " OR_ANY("type", "3"), order)

json_t *prov_list(struct prov *p, const struct prov_filter *f, struct error *e)
{
    static const char *const sql[4][2] = {{BY_TRACE("DESC"), BY_TRACE("ASC")},
                                          {BY_TYPE("DESC"), BY_TYPE("ASC")},
                                          {BY_SESSION("DESC"), BY_SESSION("ASC")},
                                          {BY_SEQ("DESC"), BY_SEQ("ASC")}};
    int by = f->trace_id ? 0 : f->type ? 1 : f->session ? 2 : 3;
    bool forward = f->after >= 0 && f->before < 0;
    if (f->limit < 1 || f->limit > 1001) {
        err_set(e, ERR_INVALID, "limit is %zu, not 1 to 1001", f->limit);
        return NULL;
    }
    json_t *rows = json_array();
    enum err code =
        store_query(store_reader(p->store), e, add_row, rows, sql[by][forward], "sssiii",
                    f->trace_id, f->session, f->type, f->before < 0 ? INT64_MAX : f->before,
                    f->after < 0 ? (int64_t)-1 : f->after, (int64_t)f->limit);
    if (code != ERR_OK) {
        json_decref(rows);
        return NULL;
    }
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row) prov__row_mark(p, row);
    return rows;
}

struct one {
    struct prov *prov;
    int64_t seq;
    bool found, whole, payload; /* whole: the row too; payload: open it */
    const struct json_members *wanted;
    json_t *row, *content;
    struct error error; /* of the payload */
};

/* When, why, and by which entry, if the log says that it was erased. */
static void tell_erased(struct one *o)
{
    const struct prov__erasure *by = NULL;
    struct prov__erased erased = {.vault = o->prov->vault};
    char at[CLOCK_TEXT];
    if (prov__erased_find(&erased, store_reader(o->prov->store), o->seq, &by, NULL) != PROV__KEPT) {
        clock_format(by->ts, at);
        err_set(&o->error, ERR_NOT_FOUND, "erased on %s by entry %lld%s%s", at,
                (long long)by->entry, *by->reason ? ": " : "", by->reason);
    }
    prov__erased_release(&erased);
}

static void open_payload(struct one *o, const struct store_row *row, const struct prov__header *h,
                         struct prov__text entry)
{
    struct buf ad = {0}, plain = {0};
    const char *problem;
    size_t len;
    const void *sealed = store_blob(row, 2, &len);
    if (prov__payload(&o->prov->keys, store_reader(o->prov->store), h, entry, sealed, len, &ad,
                      &plain, &problem, &o->error) == ERR_OK)
        o->content =
            json_read_members(plain.data, plain.len, PROV__MAX_PAYLOAD, 64, o->wanted, &o->error);
    else if (!sealed)
        tell_erased(o);
    buf_release(&ad);
    buf_release(&plain);
}

static bool take_one(void *arg, const struct store_row *row)
{
    struct one *o = arg;
    struct prov__header h;
    struct prov__text entry;
    char hex[2 * VAULT_HASH + 1];
    uint8_t leaf[VAULT_HASH];
    o->found = true;
    entry.at = store_blob(row, 0, &entry.len);
    json_t *found = make_row(o->seq, entry.at, entry.len, &h);
    if (o->payload) {
        if (json_object_get(found, "problem"))
            err_set(&o->error, ERR_TAMPERED, "%s", json_str(found, "problem", ""));
        else
            open_payload(o, row, &h, entry);
    }
    if (o->whole) {
        prov__leaf(entry.at, entry.len, leaf);
        text_hex(leaf, VAULT_HASH, hex);
        json_put(found, "entry", json_text(entry.at, entry.len));
        json_puts(found, "leaf", hex);
        o->row = json_incref(found);
    }
    json_decref(found);
    return false;
}

static enum err read_one(struct prov *p, struct one *o, struct error *e)
{
    enum err code = store_query(store_reader(p->store), e, take_one, o,
                                "SELECT e.entry, e.seq, p.sealed FROM entries e"
                                " LEFT JOIN payloads p ON p.seq = e.seq WHERE e.seq = ?",
                                "i", o->seq);
    if (code == ERR_OK && !o->found)
        code = err_set(e, ERR_NOT_FOUND, "there is no entry %lld", (long long)o->seq);
    return code;
}

json_t *prov_get(struct prov *p, int64_t seq, bool with_payload, struct error *e)
{
    struct one o = {.prov = p, .seq = seq, .whole = true, .payload = with_payload};
    if (read_one(p, &o, e) != ERR_OK)
        return NULL;
    prov__row_mark(p, o.row);
    if (o.content)
        json_put(o.row, "payload", o.content);
    else if (with_payload)
        json_puts(o.row, "payload_error", err_words(&o.error));
    return o.row;
}

json_t *prov_payload(struct prov *p, int64_t seq, struct error *e)
{
    return prov_payload_members(p, seq, NULL, e);
}

json_t *prov_payload_members(struct prov *p, int64_t seq, const struct json_members *wanted,
                             struct error *e)
{
    struct one o = {.prov = p, .seq = seq, .payload = true, .wanted = wanted};
    if (read_one(p, &o, e) != ERR_OK)
        return NULL;
    if (!o.content && e)
        *e = o.error;
    return o.content;
}
