/* Conversations: which there are, what is said in them, and forks of them. A fork holds no copies:
 * it is an entry, and the turns it shares are read where they stand (orch_turns_whole). */
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "backend/orchestrator/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEARCH_MS = 150, TITLE_BYTES = 160, AROUND = 48 };

/* ---- rows */

/* The first `most` bytes of a text, whole characters, on one line. The caller frees. */
static char *shortened(const char *text, size_t most)
{
    size_t len = strlen(text), keep = len < most ? len : most;
    while (keep < len && keep && ((unsigned char)text[keep] & 0xc0) == 0x80)
        keep--;
    char *part = xstrndup(text, keep), *line = text_cleaned(part, TEXT_ONE_LINE);
    free(part);
    return line;
}

struct rows {
    struct orch *o;
    json_t *out;
    const char *match; /* of the row that is taken, or NULL */
};

/* Columns as ROW has them. The title is the first question that is the conversation's own. */
static bool take_conversation(void *arg, const struct store_row *row)
{
    struct rows *r = arg;
    char at[CLOCK_TEXT];
    static const char *const MEMBERS[] = {"question"};
    const struct json_members question = {MEMBERS, 1, false};
    json_t *first = orch__stored(r->o, row, &question), *doc = json_object();
    char *title = shortened(json_str(first, "question", ""), TITLE_BYTES);
    json_puts(doc, "conversation", store_text(row, 5));
    json_put(doc, "title", json_text(title, strlen(title)));
    clock_format(store_int(row, 9), at);
    json_puts(doc, "at", at);
    json_puti(doc, "turns", store_int(row, 7));
    json_puts(doc, "state", store_text(row, 8));
    if (*store_text(row, 10))
        json_puts(doc, "parent", store_text(row, 10));
    json_t *choice = json_loads(store_text(row, 11), 0, NULL);
    if (choice)
        json_put(doc, "choice", choice);
    if (r->match)
        json_put(doc, "match", json_text(r->match, strlen(r->match)));
    json_puti(doc, "touched", store_int(row, 6));
    json_array_append_new(r->out, doc);
    free(title);
    json_decref(first);
    return true;
}

#define ROW                                                                                     \
    "SELECT t.rowid, t.trace_id, t.session, t.sealed, t.at, c.id, c.touched, c.turns, l.state," \
    " l.at, ifnull(c.parent, ''), ifnull(c.choice, '') FROM conversations c"                    \
    " JOIN traces t ON t.rowid = ifnull(c.first, c.last) JOIN traces l ON l.rowid = c.last "

static json_t *page(json_t *rows, int64_t next)
{
    json_t *doc = json_object();
    json_put(doc, "conversations", rows);
    json_put(doc, "next", next < 0 ? json_null() : json_integer(next));
    return doc;
}

/* ---- by text */

struct search {
    struct orch *o;
    const char *needle;
    uint64_t until;
    size_t limit;
    json_t *found;   /* [{id, match}] */
    char id[40];     /* the conversation that is looked at */
    int64_t touched; /* its cursor */
    bool hit;        /* it was found */
    int64_t stopped; /* where to go on, -1: all was looked at */
};

/* What stands around the needle in a text; NULL: it does not occur. The caller frees. */
static char *around(const char *text, const char *needle)
{
    size_t at, end, len = strlen(text);
    if (!text_find(text, len, 0, needle, &at, &end))
        return NULL;
    size_t from = at > AROUND ? at - AROUND : 0, to = end + AROUND < len ? end + AROUND : len;
    while (from < at && ((unsigned char)text[from] & 0xc0) == 0x80)
        from++;
    while (to < len && ((unsigned char)text[to] & 0xc0) == 0x80)
        to++;
    char *part = xstrndup(text + from, to - from), *line = text_cleaned(part, TEXT_ONE_LINE);
    free(part);
    return line;
}

/* Columns: those of a stored trace, the conversation, its cursor. */
static bool look_at(void *arg, const struct store_row *row)
{
    struct search *s = arg;
    if (strcmp(s->id, store_text(row, 5)) != 0) {
        if (*s->id && (json_array_size(s->found) >= s->limit || clock_mono_ms() >= s->until)) {
            s->stopped = s->touched;
            return false;
        }
        snprintf(s->id, sizeof s->id, "%s", store_text(row, 5));
        s->touched = store_int(row, 6);
        s->hit = false;
    }
    if (s->hit)
        return true;
    static const char *const MEMBERS[] = {"question", "answer"};
    const struct json_members said = {MEMBERS, 2, false};
    json_t *doc = orch__stored(s->o, row, &said);
    char *match = around(json_str(doc, "question", ""), s->needle);
    if (!match)
        match = around(json_str(doc, "answer", ""), s->needle);
    if (match) {
        json_t *one = json_object();
        json_puts(one, "id", s->id);
        json_put(one, "match", json_text(match, strlen(match)));
        json_array_append_new(s->found, one);
        s->hit = true;
    }
    free(match);
    json_decref(doc);
    return true;
}

/* The turns that a conversation (c) is searched in: its own; a fork that has none has those that it
 * shares. */
#define OWN_TURNS                                                                   \
    "WITH RECURSIVE line(id, upto) AS (SELECT c.id, 9223372036854775807 UNION ALL " \
    "SELECT p.parent, min(p.forked, line.upto) FROM line JOIN conversations p "     \
    "ON p.id = line.id AND p.parent IS NOT NULL AND c.turns = 0 LIMIT 64) "         \
    "SELECT x.rowid FROM line JOIN traces x ON x.conversation = line.id "           \
    "AND x.rowid <= line.upto"

static json_t *search(struct orch *o, int64_t before, size_t limit, const char *text,
                      struct error *e)
{
    struct store_db *db = store_reader(o->rooms.store);
    struct search s = {.o = o,
                       .needle = text,
                       .until = clock_mono_ms() + SEARCH_MS,
                       .limit = limit,
                       .found = json_array(),
                       .stopped = -1};
    struct rows r = {o, json_array(), NULL};
    enum err code =
        store_query(db, e, look_at, &s,
                    "SELECT t.rowid, t.trace_id, t.session, t.sealed, t.at, c.id, c.touched "
                    "FROM conversations c JOIN traces t ON t.rowid IN (" OWN_TURNS ") "
                    "WHERE c.touched < ? ORDER BY c.touched DESC, t.rowid DESC",
                    "i", before < 0 ? INT64_MAX : before);
    size_t i;
    json_t *one;
    json_array_foreach(s.found, i, one)
    {
        r.match = json_str(one, "match", "");
        if (code == ERR_OK)
            code = store_query(db, e, take_conversation, &r, ROW "WHERE c.id = ?", "s",
                               json_str(one, "id", ""));
    }
    json_decref(s.found);
    if (code == ERR_OK)
        return page(r.out, s.stopped);
    json_decref(r.out);
    return NULL;
}

json_t *orch_conversations(struct orch *o, int64_t before, size_t limit, const char *text,
                           struct error *e)
{
    if (text && *text)
        return search(o, before, limit, text, e);
    struct rows r = {o, json_array(), NULL};
    if (store_query(store_reader(o->rooms.store), e, take_conversation, &r,
                    ROW "WHERE c.touched < ? ORDER BY c.touched DESC LIMIT ?", "ii",
                    before < 0 ? INT64_MAX : before, (int64_t)limit + 1) != ERR_OK) {
        json_decref(r.out);
        return NULL;
    }
    size_t n = json_array_size(r.out);
    int64_t next = -1;
    if (n > limit) {
        json_array_remove(r.out, n - 1);
        next = json_int(json_array_get(r.out, limit - 1), "touched", -1);
    }
    return page(r.out, next);
}

/* ---- forks */

struct fork {
    char id[33], parent[33];
    int64_t rowid; /* of the last turn that is shared */
    char *choice;  /* that turn's, or NULL */
    orch_forked *done;
    void *arg;
};

static enum err insert_fork(struct store_db *db, void *arg, struct error *e)
{
    const struct fork *f = arg;
    return store_exec(
        db, e,
        "INSERT INTO conversations(id, last, turns, touched, parent, forked, choice) VALUES"
        "(?1, ?2, 0, (SELECT ifnull(max(touched), 0) + 1 FROM conversations), ?3, ?2, ?4)",
        "siss", f->id, f->rowid, f->parent, f->choice);
}

static void on_fork_logged(void *arg, int64_t seq, const struct error *e)
{
    struct fork *f = arg;
    f->done(f->arg, f->id, seq, e);
    free(f->choice);
    free(f);
}

enum err orch_fork(struct orch *o, const char *conversation, const char *trace_id,
                   const char *actor, orch_forked *done, void *arg, struct error *e)
{
    if (o->closed)
        return err_set(e, ERR_CLOSED, "the console is stopping");
    int64_t rowid = store_scalar(
        store_reader(o->rooms.store), -1,
        ORCH__LINE "SELECT t.rowid FROM line JOIN traces t ON t.conversation = line.id "
                   "AND t.rowid <= line.upto WHERE t.trace_id = ?2",
        "ss", conversation, trace_id);
    if (rowid < 0)
        return err_set(e, ERR_NOT_FOUND, "conversation %.64s has no turn %.64s", conversation,
                       trace_id);
    json_t *turn = orch_trace(o, trace_id, e);
    bool running = strcmp(json_str(turn, "state", ""), "running") == 0;
    char *choice = running ? NULL : orch__choice_text(turn);
    json_decref(turn);
    if (!turn)
        return e->code;
    if (running)
        return err_set(e, ERR_BUSY, "its answer is still being given");
    struct fork *f = xcalloc(1, sizeof *f);
    vault_id(f->id);
    snprintf(f->parent, sizeof f->parent, "%s", conversation);
    f->rowid = rowid;
    f->choice = choice;
    f->done = done;
    f->arg = arg;
    const struct prov_edge edge = {
        store_scalar(store_reader(o->rooms.store), -1,
                     "SELECT max(seq) FROM entries WHERE trace_id = ? AND type IN "
                     "('question', 'answer', 'stop')",
                     "s", trace_id),
        "fork", -1};
    json_t *payload = json_object();
    json_puts(payload, "conversation", f->id);
    json_puts(payload, "from", conversation);
    json_puts(payload, "trace_id", trace_id);
    struct prov_entry entry = {.type = "fork",
                               .actor = actor,
                               .conversation = f->id,
                               .parents = &edge,
                               .parent_count = edge.seq >= 0,
                               .payload = payload};
    prov_append(o->rooms.prov, &entry, on_fork_logged, f, insert_fork, f);
    json_decref(payload);
    return ERR_OK;
}
