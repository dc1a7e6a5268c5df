/* Which payloads are to be erased: reads the log in slices on a worker.
 *
 * Invariants
 * Q1 Only payloads that are there are selected, in class and scope, intact (R3), held by nothing
 * and of no answer under way (R2). Q2 By windows, entries of a type are read in their order, and
 * reading stops at the first that is too young. Young is, whatever its own time says, what stands
 * behind a start or end of a session or a checkpoint that is young: an entry that a wrong clock
 * dated too early goes no sooner than those. One dated in the future stays until then and stops
 * nothing. */
#include "backend/base/clock.h"
#include "backend/provenance/retain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t DAY_MS = 86400000;

static const char *const names[] = {
#define TYPE(type, class, payload) type,
#include "backend/provenance/types.def"
#undef TYPE
};
enum { TYPES = sizeof names / sizeof *names };

size_t retain__types(void)
{
    return TYPES;
}

const char *retain__type(size_t index)
{
    return names[index];
}

static const char *literal(struct prov__text type)
{
    for (size_t i = 0; i < TYPES; i++)
        if (strlen(names[i]) == type.len && memcmp(names[i], type.at, type.len) == 0)
            return names[i];
    return "";
}

/* ---- what stands in the way */

static bool take_flag(void *arg, const struct store_row *row)
{
    (void)row;
    *(bool *)arg = true;
    return false;
}

struct mention {
    struct retain__selection *s;
    struct prov__match *match;
    bool found;
};

static bool opens(struct retain__selection *s, const struct prov__header *h,
                  struct prov__text entry, const void *sealed, size_t len)
{
    const char *problem;
    return prov__payload(&s->keys, s->db, h, entry, sealed, len, &s->ad, &s->plain, &problem,
                         NULL) == ERR_OK;
}

static bool look(void *arg, const struct store_row *row)
{
    struct mention *m = arg;
    struct prov__header h;
    struct prov__text entry;
    size_t len;
    entry.at = store_blob(row, 0, &entry.len);
    const void *sealed = store_blob(row, 1, &len);
    if (!entry.at || prov__entry_read(entry.at, entry.len, &h))
        return true;
    m->found = opens(m->s, &h, entry, sealed, len) &&
               prov__match_find(m->match, m->s->plain.data, m->s->plain.len);
    return !m->found;
}

/* What belongs to a whole trace: is it under way, and which holds name somebody whom it mentions.
 */
static void know_trace(struct retain__selection *s, const char *trace)
{
    if (strcmp(s->trace, trace) == 0)
        return;
    snprintf(s->trace, sizeof s->trace, "%s", trace);
    s->trace_runs = false;
    store_query(s->db, &s->error, take_flag, &s->trace_runs,
                "SELECT 1 FROM traces WHERE trace_id = ? AND state = 'running' AND session = ?",
                "ss", trace, s->present);
    for (size_t i = 0; i < s->holds.count && s->error.code == ERR_OK; i++) {
        struct mention m = {s, &s->held[i], false};
        if (s->holds.at[i].kind == PROV_BY_SUBJECT)
            store_query(s->db, &s->error, look, &m,
                        "SELECT e.entry, p.sealed FROM entries e JOIN payloads p ON p.seq = e.seq"
                        " WHERE e.trace_id = ? ORDER BY e.seq",
                        "s", trace);
        s->trace_held[i] = m.found;
    }
}

/* The hold that covers the entry, by its index; -1 if none does. Subjects are looked for in the
 * entry's trace, or in its own payload (open in s->plain if opened). */
static int held_by(struct retain__selection *s, const struct prov__header *h,
                   struct prov__text entry, const void *sealed, size_t len)
{
    for (size_t i = 0; i < s->holds.count; i++) {
        const struct retain__hold *hold = &s->holds.at[i];
        bool covers = false;
        switch (hold->kind) {
        case PROV_BY_TRACE:
            covers = strcmp(hold->text, h->trace_id) == 0;
            break;
        case PROV_BY_SESSION:
            covers = strcmp(hold->text, h->session) == 0;
            break;
        case PROV_BY_RANGE:
            covers = h->seq >= hold->first && h->seq <= hold->last;
            break;
        case PROV_BY_SUBJECT:
            covers = *h->trace_id ? s->trace_held[i]
                                  : opens(s, h, entry, sealed, len) &&
                                        prov__match_find(&s->held[i], s->plain.data, s->plain.len);
            break;
        default:
            covers = true;
        }
        if (covers)
            return (int)i;
    }
    return -1;
}

/* ---- windows */

static bool take_seq(void *arg, const struct store_row *row)
{
    *(int64_t *)arg = store_int(row, 0);
    return false;
}

/* The first entry behind which nothing is older than that (Q2). */
static int64_t young_from(struct retain__selection *s, int64_t days)
{
    int64_t seq = INT64_MAX;
    for (size_t i = 0; i < s->young_count; i++)
        if (s->young[i].days == days)
            return s->young[i].seq;
    store_query(s->db, &s->error, take_seq, &seq,
                "SELECT min(first) FROM (SELECT (SELECT seq FROM entries WHERE type = column1"
                " AND ts >= ?1 AND ts <= ?2 ORDER BY seq LIMIT 1) AS first"
                " FROM (VALUES('session.start'), ('session.seal'), ('checkpoint')))"
                " WHERE first IS NOT NULL HAVING count(*)",
                "ii", s->now - days * DAY_MS, s->now);
    BUG_IF(s->young_count == sizeof s->young / sizeof *s->young);
    s->young[s->young_count++] = (struct retain__young){days, seq};
    return seq;
}

static bool older(struct retain__selection *s, const struct prov__header *h, int64_t days)
{
    return s->now - h->ts > days * DAY_MS && h->seq < young_from(s, days);
}

/* 1: expired; 0: not; -1: and neither is what comes behind it (Q2). */
static int expired(struct retain__selection *s, const struct prov__header *h, enum prov_class class)
{
    int64_t days = s->days[class], personal = s->personal_days, age = s->now - h->ts;
    if (personal == 0 || (days != 0 && personal > days))
        personal = days;
    if (age < 0)
        return 0;
    if (personal == 0 || !older(s, h, personal))
        return -1;
    bool tagged = h->tags.len > 2; /* [] */
    return tagged || (days != 0 && older(s, h, days));
}

/* ---- sums */

struct cost {
    struct retain__selection *s;
    const struct retain__item *item;
};

static struct retain__sum *sum_of(struct retain__selection *s, const char *day,
                                  enum prov_class class, const char *currency)
{
    for (size_t i = s->sum_count; i-- > 0;) {
        struct retain__sum *sum = &s->sums[i];
        if (sum->class == class && strcmp(sum->day, day) == 0 &&
            strcmp(sum->currency, currency) == 0)
            return sum;
    }
    s->sums = xrealloc(s->sums, (s->sum_count + 1) * sizeof *s->sums);
    struct retain__sum *sum = &s->sums[s->sum_count++];
    *sum = (struct retain__sum){.class = class};
    snprintf(sum->day, sizeof sum->day, "%s", day);
    snprintf(sum->currency, sizeof sum->currency, "%s", currency);
    return sum;
}

static void add(int64_t *to, int64_t n)
{
    if (__builtin_add_overflow(*to, n, to))
        *to = INT64_MAX;
}

static bool take_cost(void *arg, const struct store_row *row)
{
    struct cost *c = arg;
    char day[16];
    const char *currency = store_text(row, 3);
    clock_local_day(c->item->ts, day);
    struct retain__sum *sum = sum_of(c->s, day, c->item->class, currency ? currency : "");
    add(&sum->input, store_int(row, 0));
    add(&sum->output, store_int(row, 1));
    add(&sum->nano, store_int(row, 2));
    return true;
}

static void count_in(struct retain__selection *s, const struct retain__item *item)
{
    char day[16];
    clock_local_day(item->ts, day);
    struct retain__sum *sum = sum_of(s, day, item->class, "");
    add(&sum->entries, 1);
    add(&sum->bytes, (int64_t)item->bytes);
    struct cost c = {s, item};
    if (strcmp(item->type, "model.call") == 0)
        store_query(s->db, &s->error, take_cost, &c,
                    "SELECT input_tokens, output_tokens, amount_nano, currency FROM ledger"
                    " WHERE entry = ?",
                    "i", item->seq);
}

/* ---- the slice */

static void select_item(struct retain__selection *s, const struct prov__header *h,
                        enum prov_class class, size_t bytes)
{
    struct retain__item *item = &s->items[s->count++];
    *item = (struct retain__item){
        .seq = h->seq, .ts = h->ts, .class = class, .type = literal(h->type), .bytes = bytes};
    memcpy(item->session, h->session, sizeof item->session);
    memcpy(item->key_id, h->key_id, sizeof item->key_id);
    memcpy(item->trace_id, h->trace_id, sizeof item->trace_id);
    snprintf(item->tags, sizeof item->tags, "%.*s", (int)h->tags.len, h->tags.at);
    count_in(s, item);
}

static bool intact(const struct prov__header *h, const void *sealed, size_t len)
{
    uint8_t hash[VAULT_HASH];
    vault_sha256(sealed, len, NULL, 0, hash);
    return memcmp(hash, h->sha256, VAULT_HASH) == 0;
}

/* The entry is in scope and class: true if its payload goes. */
static bool consider(struct retain__selection *s, const struct prov__header *h,
                     struct prov__text entry, const void *sealed, size_t len)
{
    if (!intact(h, sealed, len)) {
        s->damaged++;
        return false;
    }
    if (s->scope.kind == PROV_BY_SUBJECT) {
        if (!opens(s, h, entry, sealed, len)) {
            s->unreadable++;
            return false;
        }
        if (!prov__match_find(&s->subject, s->plain.data, s->plain.len))
            return false;
    }
    if (*h->trace_id) {
        know_trace(s, h->trace_id);
        if (s->trace_runs) {
            s->under_way++;
            return false;
        }
    }
    int hold = held_by(s, h, entry, sealed, len);
    if (hold >= 0)
        s->held_count[hold]++;
    return hold < 0 && s->error.code == ERR_OK;
}

static bool take_row(void *arg, const struct store_row *row)
{
    struct retain__selection *s = arg;
    struct prov__header h;
    struct prov__text entry;
    size_t len;
    bool goes = false;
    if (__atomic_load_n(s->cancelled, __ATOMIC_RELAXED))
        return false;
    int64_t seq = store_int(row, 0);
    entry.at = store_blob(row, 1, &entry.len);
    s->end = false; /* another slice may follow this row */
    if (!entry.at || prov__entry_read(entry.at, entry.len, &h) || h.seq != seq) {
        s->damaged++;
    } else {
        enum prov_class class = prov__class_of(h.type);
        int old = s->scope.kind == PROV_BY_WINDOW ? expired(s, &h, class) : 1;
        if (old < 0) {
            s->end = true;
            if (s->marks && s->marks[s->type] < 0)
                s->marks[s->type] = seq;
            return false;
        }
        if (class == PROV_GOVERNANCE) {
            s->governance += s->scope.kind != PROV_BY_SUBJECT;
        } else if (old) {
            const void *sealed = store_blob(row, 2, &len);
            goes = consider(s, &h, entry, sealed, len);
        }
        if (goes)
            select_item(s, &h, class, len);
    }
    if (!goes && s->marks && s->marks[s->type] < 0)
        s->marks[s->type] = seq;
    s->next = seq + 1;
    return s->error.code == ERR_OK;
}

#define ROWS \
    "SELECT e.seq, e.entry, p.sealed FROM entries e JOIN payloads p ON p.seq = e.seq WHERE "
#define ORDER " ORDER BY e.seq LIMIT 512"

static void query(struct retain__selection *s)
{
    const struct prov_scope *scope = &s->scope;
    switch (scope->kind) {
    case PROV_BY_WINDOW:
        store_query(s->db, &s->error, take_row, s, ROWS "e.type = ? AND e.seq >= ?" ORDER, "si",
                    names[s->type], s->next);
        break;
    case PROV_BY_TRACE:
        store_query(s->db, &s->error, take_row, s, ROWS "e.trace_id = ? AND e.seq >= ?" ORDER, "si",
                    scope->text, s->next);
        break;
    case PROV_BY_SESSION: /* its entries stand together */
        store_query(s->db, &s->error, take_row, s,
                    ROWS "e.session = ?1 AND e.seq >= ?2"
                         " AND e.seq >= (SELECT first FROM sessions WHERE session = ?1)"
                         " AND e.seq < ifnull((SELECT min(first) FROM sessions WHERE first >"
                         " (SELECT first FROM sessions WHERE session = ?1)), 1 << 62)" ORDER,
                    "si", scope->text, s->next);
        break;
    default:
        store_query(s->db, &s->error, take_row, s, ROWS "e.seq >= ? AND e.seq <= ?" ORDER, "ii",
                    s->next, scope->kind == PROV_BY_RANGE ? scope->last : INT64_MAX);
    }
}

static bool take_mark(void *arg, const struct store_row *row)
{
    *(int64_t *)arg = store_int(row, 0);
    return false;
}

/* The first, or by windows the next, type that can expire. */
static void begin_type(struct retain__selection *s)
{
    s->next = s->scope.kind == PROV_BY_RANGE ? s->scope.first : 0;
    if (s->scope.kind != PROV_BY_WINDOW)
        return;
    while (s->type < TYPES && prov_class_of(names[s->type]) == PROV_GOVERNANCE)
        s->type++;
    if (s->type < TYPES)
        store_query(s->db, &s->error, take_mark, &s->next,
                    "SELECT value FROM retention_state WHERE name = 'mark:' || ?", "s",
                    names[s->type]);
}

static bool prepare(struct retain__selection *s)
{
    s->count = 0;
    s->error = (struct error){0};
    if (!s->db)
        s->db = store_db_open(s->path, &s->error);
    if (!s->db)
        return false;
    if (!s->started) {
        s->started = true;
        s->items = xcalloc(RETAIN__BATCH, sizeof *s->items);
        begin_type(s);
    }
    return s->error.code == ERR_OK;
}

void retain__select(struct retain__selection *s)
{
    bool windows = s->scope.kind == PROV_BY_WINDOW;
    s->keys.vault = s->vault;
    prov__keys_release(&s->keys); /* a batch may have changed them */
    s->trace[0] = '\0';
    s->end = true;
    if (!prepare(s))
        return;
    if (windows && s->type >= TYPES)
        return;
    query(s);
    /* `end` is true if no row came, or one that ends its type. */
    if (windows && s->end && s->error.code == ERR_OK) {
        if (s->marks[s->type] < 0)
            s->marks[s->type] = s->next;
        s->type++;
        begin_type(s);
        s->end = s->type >= TYPES;
    }
}

void retain__select_init(struct retain__selection *s, const struct retain__holds *holds)
{
    size_t n = holds->count + 1;
    retain__holds_copy(holds, &s->holds);
    s->held = xcalloc(n, sizeof *s->held);
    s->trace_held = xcalloc(n, sizeof *s->trace_held);
    s->held_count = xcalloc(n, sizeof *s->held_count);
    for (size_t i = 0; i < holds->count; i++)
        if (holds->at[i].kind == PROV_BY_SUBJECT)
            prov__match_init(&s->held[i], holds->at[i].text);
    if (s->scope.kind == PROV_BY_SUBJECT)
        prov__match_init(&s->subject, s->scope.text);
    if (s->scope.kind == PROV_BY_WINDOW) {
        s->marks = xcalloc(TYPES, sizeof *s->marks);
        for (size_t i = 0; i < TYPES; i++)
            s->marks[i] = -1;
    }
}

void retain__select_release(struct retain__selection *s)
{
    for (size_t i = 0; s->held && i < s->holds.count; i++)
        prov__match_release(&s->held[i]);
    prov__match_release(&s->subject);
    retain__holds_release(&s->holds);
    prov__keys_release(&s->keys);
    store_db_close(s->db);
    buf_release(&s->ad);
    buf_release(&s->plain);
    free(s->held);
    free(s->trace_held);
    free(s->held_count);
    free(s->marks);
    free(s->items);
    free(s->sums);
}
