#include "views/evidence_rows.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void rows_clear(struct evidence_rows *r)
{
    for (size_t i = 0; i < r->count; i++)
        json_decref(r->row[i].doc);
    r->count = 0;
    r->owed = 0;
}

void evidence_rows_release(struct evidence_rows *r)
{
    rows_clear(r);
    free(r->row);
    free(r->error);
    json_decref(r->filter);
    *r = (struct evidence_rows){0};
}

/* An answer for what was asked before is not for what is asked now. */
static void begin(struct evidence_rows *r)
{
    rows_clear(r);
    r->drop = r->under_way;
    r->newest = r->oldest = r->from_start = false;
    r->newer = -1;
    r->older = -1;
    r->select = -1;
    r->scanned = 0;
    view_keep_error(&r->error, NULL);
    tui_list_changed(r->list);
    tui_dirty();
}

void evidence_rows_reset(struct evidence_rows *r, json_t *filter, int64_t around)
{
    begin(r);
    json_decref(r->filter);
    r->filter = filter;
    if (around >= 0) {
        r->older = around + 1;
        r->newer = around;
        r->select = around;
    }
}

void evidence_rows_end(struct evidence_rows *r, bool last)
{
    if (last ? r->oldest : r->newest)
        return;
    begin(r);
    r->from_start = last;
}

void evidence_rows_grown(struct evidence_rows *r, int64_t size)
{
    r->size = size;
    if (r->newest && size - 1 > r->newer)
        r->newest = false;
}

/* ---- answers */

static void put_rows(struct evidence_rows *r, const json_t *entries, bool upwards)
{
    size_t n = json_array_size(entries), i;
    if (!n)
        return;
    if (r->count + n > r->capacity) {
        r->capacity = r->count + n;
        r->row = xrealloc(r->row, r->capacity * sizeof(*r->row));
    }
    struct evidence_row *to = r->row + r->count;
    if (upwards) { /* they came oldest first */
        memmove(r->row + n, r->row, r->count * sizeof(*r->row));
        to = r->row;
    }
    json_t *doc;
    json_array_foreach((json_t *)entries, i, doc)
    {
        struct evidence_row *row = &to[upwards ? n - 1 - i : i];
        row->seq = json_int(doc, "seq", -1);
        snprintf(row->id, sizeof(row->id), "%lld", (long long)row->seq);
        row->doc = json_incref(doc);
    }
    r->count += n;
}

/* E3; what goes is asked for again when it is needed. */
static void trim(struct evidence_rows *r, bool upwards)
{
    if (r->count <= EVIDENCE_KEPT)
        return;
    size_t gone = r->count - EVIDENCE_KEPT, from = upwards ? EVIDENCE_KEPT : 0;
    for (size_t i = from; i < from + gone; i++)
        json_decref(r->row[i].doc);
    if (upwards) {
        r->oldest = false;
        r->older = r->row[EVIDENCE_KEPT - 1].seq;
    } else {
        memmove(r->row, r->row + gone, EVIDENCE_KEPT * sizeof(*r->row));
        r->newest = false;
        r->newer = r->row[0].seq;
    }
    r->count = EVIDENCE_KEPT;
}

/* Where to go on, and whether there is something. */
static void note_ends(struct evidence_rows *r, const json_t *result, bool upwards)
{
    const json_t *entries = json_object_get(result, "entries");
    size_t n = json_array_size(entries);
    bool searched = json_object_get(result, "done") != NULL;
    bool done = searched ? json_flag(result, "done", true) : !json_flag(result, "more", false);
    int64_t near = json_int(json_array_get(entries, 0), "seq", -1);
    int64_t far = n ? json_int(json_array_get(entries, n - 1), "seq", -1) : -1;
    int64_t top = searched ? json_int(result, "to", -1) : upwards ? far : near;
    int64_t next = searched && !done ? json_int(result, "next", -1) : far;
    r->scanned += searched ? json_int(result, "scanned", 0) : (int64_t)n;
    if (upwards) {
        r->newest = done;
        int64_t to = done ? top : next;
        r->newer = to > r->newer ? to : r->newer;
    } else {
        if (r->older < 0) { /* the first page of all: nothing is above it */
            r->newest = true;
            r->newer = top;
        }
        r->oldest = done;
        r->older = done ? 0 : next;
    }
    if (r->newer >= r->size)
        r->size = r->newer + 1;
    else if (r->size > r->asked_at)
        r->newest = false; /* it grew meanwhile */
}

static void pay(struct evidence_rows *r)
{
    char id[24];
    if (r->select >= 0 && r->count) { /* the entry itself, or the one below where it would be */
        size_t at = 0;
        while (at + 1 < r->count && r->row[at].seq > r->select)
            at++;
        snprintf(id, sizeof(id), "%lld", (long long)r->row[at].seq);
        tui_list_select(r->list, id);
        r->select = -1;
    }
    long owed = r->owed;
    r->owed = 0;
    if (owed)
        tui_list_move(r->list, owed); /* comes back by evidence_rows_beyond if still too far */
}

static void got_rows(void *self, const json_t *result, const struct error *e);

/* The rows of a view: its first member. */
static struct evidence_rows *rows_of(void *self)
{
    return self;
}

static void ask(struct evidence_rows *r, bool upwards)
{
    json_t *params = r->filter ? json_deep_copy(r->filter) : json_object();
    json_puti(params, "limit", EVIDENCE_PAGE);
    if (upwards && (r->filter || r->newer >= 0))
        json_puti(params, "after", r->newer);
    else if (upwards) /* evidence.list begins behind an entry */
        json_puti(params, "before", EVIDENCE_PAGE);
    else if (r->older >= 0)
        json_puti(params, "before", r->older);
    r->under_way = true;
    r->upwards = upwards;
    r->asked_at = r->size;
    tui_call(r->self, r->filter ? WIRE_evidence_search : WIRE_evidence_list, params, got_rows);
}

/* The first page from the start of evidence.list comes newest first. */
static json_t *reversed(const json_t *entries)
{
    json_t *out = json_array();
    for (size_t i = json_array_size(entries); i > 0; i--)
        json_array_append(out, json_array_get(entries, i - 1));
    return out;
}

static void take_result(struct evidence_rows *r, const json_t *result)
{
    bool upwards = r->upwards;
    json_t *copy = json_deep_copy(result);
    if (upwards && !r->filter && r->newer < 0) {
        json_put(copy, "entries", reversed(json_object_get(result, "entries")));
        json_put(copy, "more", json_true()); /* what is newer was not asked for */
    }
    bool first = !r->count, whole = r->from_start && first;
    note_ends(r, copy, upwards);
    if (whole)
        r->oldest = true;
    put_rows(r, json_object_get(copy, "entries"), upwards);
    trim(r, upwards);
    tui_list_changed(r->list);
    if (whole && r->count)
        tui_list_to_end(r->list, true);
    json_decref(copy);
    pay(r);
}

static void got_rows(void *self, const json_t *result, const struct error *e)
{
    struct evidence_rows *r = rows_of(self);
    r->under_way = false;
    if (r->drop) {
        r->drop = false;
    } else if (!result) {
        view_keep_error(&r->error, e);
    } else {
        take_result(r, result);
    }
    evidence_rows_pump(r);
    tui_dirty();
}

void evidence_rows_pump(struct evidence_rows *r)
{
    if (r->under_way || r->error)
        return;
    long at = tui_list_selected(r->list), n = (long)r->count;
    if (at < 0)
        at = 0;
    if (r->from_start && !r->count && !r->newest)
        ask(r, true);
    else if (!r->oldest && (n - at <= EVIDENCE_NEAR || r->owed > 0))
        ask(r, false);
    else if (!r->newest && (at <= EVIDENCE_NEAR || r->owed < 0))
        ask(r, true);
}

void evidence_rows_beyond(struct evidence_rows *r, long rows)
{
    bool more = rows < 0 ? !r->newest : !r->oldest;
    r->owed = more ? r->owed + rows : 0;
    if (more)
        evidence_rows_pump(r);
}
