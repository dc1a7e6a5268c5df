/* The evidence pane: the log by time, kind, actor, session, trace and control; an entry's payload,
 * proof and lineage; verification and export from here.
 *
 * V1 Before it is shown for the first time it asks for nothing, and while it is not shown it does
 *    not ask again. */
#include "views/evidence.h"
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "views/evidence_query.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { REST_MS = 120, TYPING_MS = 250, DAY_MS = 24 * 3600 * 1000 };
enum { COL_STATE, COL_ENTRY, COL_TIME, COL_KIND, COL_ACTOR, COL_TRACE };
static const struct tui_column columns[] = {
    {"", 1, false, 0},      {"entry", 8, true, 0},    {"time", 11, false, 3},
    {"kind", 15, false, 0}, {"actor", -12, false, 2}, {"trace, match", -18, false, 4}};

/* ---- rows */

static size_t list_count(void *arg)
{
    return ((struct evidence *)arg)->rows.count;
}

static const char *list_id(void *arg, size_t row)
{
    return ((struct evidence *)arg)->rows.row[row].id;
}

static void time_cell(int64_t at, struct buf *out)
{
    char text[16];
    time_t s = (time_t)(at / 1000);
    struct tm tm;
    view_clock(at, text);
    if (clock_real_ms() - at > DAY_MS && at > 0 && localtime_r(&s, &tm))
        strftime(text, sizeof(text), "%m-%d %H:%M", &tm);
    buf_adds(out, text);
}

static void list_cell(void *arg, size_t row, int column, struct buf *out, enum tui_role *role)
{
    const struct evidence *v = arg;
    const struct evidence_row *r = &v->rows.row[row];
    const char *trace = json_str(r->doc, "trace_id", ""), *match = json_str(r->doc, "match", "");
    char id[16];
    switch (column) {
    case COL_ENTRY:
        buf_adds(out, r->id);
        break;
    case COL_TIME:
        *role = ROLE_DIM;
        time_cell(view_at(r->doc, "ts"), out);
        break;
    case COL_KIND:
        buf_adds(out, json_str(r->doc, "type", "-"));
        break;
    case COL_ACTOR:
        *role = ROLE_DIM;
        buf_adds(out, json_str(r->doc, "actor", "-"));
        break;
    default:
        tui_short_id(trace, id);
        *role = *match ? ROLE_FOREIGN : ROLE_DIM;
        buf_adds(out, *match ? match : id);
    }
}

static bool list_draw(void *arg, size_t row, int column, struct tui_area a)
{
    const struct evidence *v = arg;
    if (column == COL_STATE)
        tui_put_state(a, 0, 0, evidence_state(v, v->rows.row[row].doc), false);
    return column == COL_STATE;
}

static void list_copy(void *arg, size_t row, struct buf *out)
{
    buf_adds(out, json_str(((struct evidence *)arg)->rows.row[row].doc, "hash", ""));
}

static void list_filtered(void *arg, const char *text)
{
    struct evidence *v = arg;
    (void)text;
    v->filter_at = clock_mono_ms() + TYPING_MS;
    tui_dirty_in(TYPING_MS + 1);
}

static void list_beyond(void *arg, long rows)
{
    evidence_rows_beyond(&((struct evidence *)arg)->rows, rows);
}

static void list_end(void *arg, bool last)
{
    evidence_rows_end(&((struct evidence *)arg)->rows, last);
}

static double list_place(void *arg, size_t row)
{
    const struct evidence_rows *r = &((struct evidence *)arg)->rows;
    if (row == 0 && r->newest)
        return 0;
    if (row + 1 == r->count && r->oldest)
        return 1;
    return r->size > 1 ? 1 - (double)r->row[row].seq / (double)(r->size - 1) : 0.5;
}

static const struct tui_list_ops list_ops = {.count = list_count,
                                             .cell = list_cell,
                                             .draw = list_draw,
                                             .id = list_id,
                                             .copy = list_copy,
                                             .filtered = list_filtered,
                                             .beyond = list_beyond,
                                             .end = list_end,
                                             .place = list_place};

static const struct evidence_row *selected(const struct evidence *v)
{
    long row = tui_list_selected(v->list);
    return row >= 0 ? &v->rows.row[row] : NULL;
}

/* ---- the filter */

/* Puts what is typed into force; around: an entry to stay at, -1: the newest. */
static void apply_filter(struct evidence *v, int64_t around)
{
    json_t *params = evidence_query(tui_list_filter(v->list), clock_real_ms(), v->bad);
    v->filter_at = 0;
    if (!params)
        return;
    if (!json_object_size(params)) {
        json_decref(params);
        params = NULL;
    }
    evidence_rows_reset(&v->rows, params, around);
    if (around < 0)
        tui_list_to_end(v->list, false);
}

static void set_filter(struct evidence *v, const char *text, int64_t around)
{
    tui_list_set_filter(v->list, text);
    apply_filter(v, around);
}

/* name: of the filter; the value of the entry at hand. */
static void toggle(struct evidence *v, const char *name, const char *member)
{
    const struct evidence_row *row = selected(v);
    const json_t *doc = v->open ? v->entry.result : row ? row->doc : NULL;
    const char *value = json_str(doc, member, "");
    if (!*value) {
        tui_say("%s", _("this entry has none"));
        return;
    }
    char *text = evidence_query_toggle(tui_list_filter(v->list), name, value);
    int64_t at = json_int(doc, "seq", -1);
    v->open = v->on_tree = v->linked = false;
    v->history_count = 0;
    set_filter(v, text, at);
    free(text);
}

/* ---- data */

static void take_status(struct evidence *v, const json_t *status)
{
    const json_t *chain = json_object_get(status, "chain");
    v->signed_size = json_int(chain, "signed", v->signed_size);
    evidence_rows_grown(&v->rows, json_int(chain, "size", v->rows.size));
}

static void got_status(void *self, const json_t *result, const struct error *e)
{
    (void)e;
    if (result)
        take_status(self, result);
    tui_dirty();
}

static void start(struct evidence *v)
{
    if (v->started)
        return;
    v->started = true;
    tui_call(v, WIRE_status_get, NULL, got_status);
}

static void verify_started(void *self, const json_t *result, const struct error *e)
{
    struct evidence *v = self;
    if (!result) {
        tui_error(e, _("verify"));
        view_report_not_begun(&v->report);
    }
}

static void got_seq(void *self, const json_t *result, const struct error *e)
{
    struct evidence *v = self;
    const json_t *first = json_array_get(json_object_get(result, "entries"), 0);
    if (!result)
        tui_error(e, _("go to"));
    else if (!first)
        tui_say("%s", _("there is no entry as late as that"));
    else
        evidence_rows_reset(&v->rows, v->rows.filter ? json_deep_copy(v->rows.filter) : NULL,
                            json_int(first, "seq", -1));
    tui_dirty();
}

static void take_goto(void *arg, const char *text)
{
    struct evidence *v = arg;
    int64_t at = evidence_time(text, clock_real_ms());
    char *end;
    long long seq = strtoll(text, &end, 10);
    if (*text && !*end && seq >= 0) {
        evidence_rows_reset(&v->rows, v->rows.filter ? json_deep_copy(v->rows.filter) : NULL, seq);
    } else if (at >= 0) {
        json_t *params =
            json_pack("{s:i,s:i,s:I}", "limit", 1, "after", -1, "since", (json_int_t)at);
        tui_call(v, WIRE_evidence_search, params, got_seq);
    } else {
        tui_say(_("neither an entry nor a time: %s"), text);
    }
}

/* ---- drawing */

static int draw_head(struct evidence *v, struct tui_area a, int y)
{
    const struct evidence_rows *r = &v->rows;
    char size[32], count[32];
    view_count(r->size, size);
    const char *filter = tui_list_filter(v->list);
    if (*v->bad) {
        tui_putf(a, y, 0, -1, ROLE_WARN, _("%s %s: not understood"), tui_glyph(GLYPH_WARN), v->bad);
    } else if (!*filter) {
        tui_putf(a, y, 0, -1, ROLE_DIM, _("%s entries, newest first"), size);
    } else {
        struct buf b = {0};
        view_count((int64_t)r->count, count);
        buf_addf(&b, _n("%s found", "%s found", r->count), count);
        if (!r->oldest || !r->newest) {
            view_count(r->scanned, count);
            buf_addf(&b, _(", looked through %s of %s"), count, size);
        }
        int width = b.len ? text_width(b.data, b.len) : 0;
        int x = tui_put(a, y, 0, a.width - width - 2, ROLE_ACCENT, filter) + 2;
        tui_put(a, y, x, -1, ROLE_DIM, b.data);
        buf_release(&b);
    }
    y = view_report_draw(&v->report, a, y + 1);
    return evidence_export_draw(v, a, y);
}

static void draw_nothing(struct evidence *v, struct tui_area a)
{
    const struct evidence_rows *r = &v->rows;
    if (r->error)
        view_note(a, ROLE_FAIL, r->error, _("r asks again"));
    else if (!r->oldest || !r->newest)
        view_note(a, ROLE_DIM, r->filter ? _("Searching.") : _("Waiting for the log."), NULL);
    else if (r->filter)
        view_note(a, ROLE_DIM, _("No entry is like that."), _("Esc shows all"));
    else
        view_note(a, ROLE_DIM,
                  _("Everything that was asked, answered, decided and called stands here."), NULL);
}

/* The entry beside the list: asked for when the selection rests. */
static void follow_selection(struct evidence *v)
{
    const struct evidence_row *row = selected(v);
    uint64_t now = clock_mono_ms();
    if (!row || row->seq == v->seq)
        return;
    if (v->seq < 0 || (v->rested_at && now >= v->rested_at)) {
        v->rested_at = 0;
        evidence_entry_set(v, row->seq, false);
    } else if (!v->rested_at) {
        v->rested_at = now + REST_MS;
        tui_dirty_in(REST_MS + 1);
    }
}

static void draw_list(struct evidence *v, struct tui_area a, bool focused)
{
    bool wide = a.width >= EVIDENCE_WIDE;
    int left = wide ? a.width * 52 / 100 : a.width;
    v->list_rows = a.height;
    v->list_columns = left;
    if (!v->rows.count) {
        draw_nothing(v, a);
        return;
    }
    tui_list_draw(v->list, tui_sub(a, 0, 0, a.height, left), focused, a.height >= 8);
    if (!wide)
        return;
    follow_selection(v);
    for (int y = 0; y < a.height; y++)
        tui_put_glyph(a, y, left + 1, ROLE_RULE, GLYPH_VRULE);
    evidence_entry_draw(v, tui_sub(a, 0, left + 3, a.height, a.width - left - 3));
}

static void draw_entry(struct evidence *v, struct tui_area a, bool focused)
{
    bool wide = a.width >= EVIDENCE_WIDE;
    int left = wide ? a.width / 2 : a.width;
    struct tui_area page = tui_sub(a, 0, 1, a.height, left - 1);
    if (wide || !v->on_tree)
        evidence_entry_draw(v, page);
    if (wide) {
        for (int y = 0; y < a.height; y++)
            tui_put_glyph(a, y, left + 1, ROLE_RULE, GLYPH_VRULE);
        evidence_tree_draw(v, tui_sub(a, 0, left + 3, a.height, a.width - left - 3),
                           focused && v->on_tree);
    } else if (v->on_tree) {
        evidence_tree_draw(v, page, focused);
    }
    if (focused && !v->on_tree)
        tui_cursor(a, 0, 0);
}

static void view_draw(void *self, struct tui_area a, bool focused)
{
    struct evidence *v = self;
    v->visible = true;
    start(v);
    if (v->filter_at && clock_mono_ms() >= v->filter_at)
        apply_filter(v, *tui_list_filter(v->list) || !selected(v) ? -1 : selected(v)->seq);
    else if (v->filter_at)
        tui_dirty_in((unsigned)(v->filter_at - clock_mono_ms()) + 1);
    evidence_rows_pump(&v->rows);
    struct tui_area in = tui_sub(a, 0, 1, a.height, a.width - 2);
    int y = draw_head(v, in, 0);
    v->list_top = y;
    struct tui_area body = tui_sub(a, y, 0, a.height - y, a.width);
    if (v->open)
        draw_entry(v, body, focused);
    else
        draw_list(v, body, focused);
}

/* ---- actions */

static void go(struct evidence *v, int64_t seq)
{
    if (v->history_count == EVIDENCE_HISTORY)
        memmove(v->history, v->history + 1, --v->history_count * sizeof(v->history[0]));
    v->history[v->history_count++] = v->seq;
    bool tree = v->on_tree;
    evidence_entry_set(v, seq, true);
    v->on_tree = tree;
}

/* One step back; false where there is none here. */
static bool back(struct evidence *v)
{
    if (v->open && v->history_count) {
        bool tree = v->on_tree;
        evidence_entry_set(v, v->history[--v->history_count], true);
        v->on_tree = tree;
    } else if (v->open && v->on_tree) {
        v->on_tree = false;
    } else if (v->open && !v->linked) {
        v->open = false;
    } else if (v->open && v->rows.count && *tui_list_filter(v->list)) {
        v->open = false;
    } else if (v->linked) { /* back to the pane that asked */
        v->linked = v->open = false;
        set_filter(v, "", v->seq);
        return false;
    } else {
        return tui_list_action(v->list, ACTION_BACK);
    }
    tui_dirty();
    return true;
}

static void copy_entry(struct evidence *v)
{
    char *text = v->entry.result ? json_dumps(v->entry.result, JSON_INDENT(2)) : NULL;
    if (text)
        tui_copy(text);
    free(text);
}

static bool entry_action(struct evidence *v, enum tui_action action)
{
    if (v->on_tree && action == ACTION_OPEN) {
        int64_t seq = evidence_tree_selected(v);
        if (seq >= 0 && seq != v->seq)
            go(v, seq);
        return true;
    }
    if (v->on_tree)
        return tui_list_action(v->tree.list, action);
    if (action == ACTION_COPY) {
        copy_entry(v);
        return true;
    }
    if (action == ACTION_OPEN || action == ACTION_LINEAGE) {
        v->on_tree = true;
        tui_dirty();
        return true;
    }
    return view_scroll_action(&v->scroll, action);
}

static bool list_action(struct evidence *v, enum tui_action action)
{
    const struct evidence_row *row = selected(v);
    if (action == ACTION_OPEN || action == ACTION_LINEAGE) {
        if (row)
            evidence_entry_set(v, row->seq, true);
        v->on_tree = row && action == ACTION_LINEAGE;
        return true;
    }
    return tui_list_action(v->list, action);
}

static void refresh(struct evidence *v)
{
    const struct evidence_row *row = selected(v);
    int64_t seq = v->seq;
    evidence_rows_reset(&v->rows, v->rows.filter ? json_deep_copy(v->rows.filter) : NULL,
                        row ? row->seq : -1);
    if (seq >= 0) {
        v->seq = -1;
        evidence_entry_set(v, seq, v->open);
    }
    tui_call(v, WIRE_status_get, NULL, got_status);
}

static bool common_action(struct evidence *v, enum tui_action action)
{
    switch (action) {
    case ACTION_VERIFY:
        view_report_begin(&v->report);
        tui_call(v, WIRE_evidence_verify, NULL, verify_started);
        return true;
    case ACTION_PROOF:
        if (v->open)
            evidence_proof_show(v);
        else
            view_report_show(&v->report);
        return true;
    case ACTION_EXPORT:
        evidence_export_ask(v);
        return true;
    case ACTION_REFRESH:
        refresh(v);
        return true;
    case ACTION_ONLY_KIND:
        toggle(v, "kind", "type");
        return true;
    case ACTION_ONLY_TRACE:
        toggle(v, "trace", "trace_id");
        return true;
    case ACTION_ONLY_SESSION:
        toggle(v, "session", "session");
        return true;
    case ACTION_ONLY_ACTOR:
        toggle(v, "actor", "actor");
        return true;
    default:
        return false;
    }
}

static bool view_action(void *self, enum tui_action action)
{
    struct evidence *v = self;
    if (action == ACTION_BACK)
        return back(v);
    if (common_action(v, action))
        return true;
    if (action == ACTION_GOTO) {
        v->open = v->on_tree = false;
        tui_prompt(_("go to entry or time"), "", take_goto, v);
        return true;
    }
    if (action == ACTION_LINEAGE && v->open) {
        v->on_tree = !v->on_tree;
        tui_dirty();
        return true;
    }
    return v->open ? entry_action(v, action) : list_action(v, action);
}

/* "12804": an entry; otherwise a filter, as typed: "control:ID", "trace:ID". */
static void view_show(void *self, const char *id)
{
    struct evidence *v = self;
    char *end;
    long long seq = strtoll(id, &end, 10);
    v->history_count = 0;
    v->linked = true;
    if (*id && !*end && seq >= 0) {
        set_filter(v, "", seq);
        evidence_entry_set(v, seq, true);
    } else {
        v->open = v->on_tree = false;
        set_filter(v, id, -1);
    }
    tui_dirty();
}

static bool view_click(void *self, int y, int x, bool twice)
{
    struct evidence *v = self;
    if (v->open || y < v->list_top || x >= v->list_columns || !v->rows.count)
        return false;
    bool took = tui_list_click(v->list, y - v->list_top, x, twice);
    if (took && twice)
        view_action(v, ACTION_OPEN);
    return took;
}

static void view_wheel(void *self, int rows)
{
    struct evidence *v = self;
    if (v->open && v->on_tree)
        tui_list_wheel(v->tree.list, rows);
    else if (v->open)
        view_scroll_by(&v->scroll, rows);
    else
        tui_list_wheel(v->list, rows);
}

static void view_event(void *self, const char *type, int64_t at, const json_t *data)
{
    struct evidence *v = self;
    (void)at;
    if (!strcmp(type, "verify"))
        view_report_event(&v->report, data);
    else if (!strcmp(type, "status"))
        take_status(v, data);
    else if (!strcmp(type, "entry"))
        evidence_rows_grown(&v->rows, json_int(data, "size", v->rows.size));
    else
        return;
    if (v->visible)
        tui_dirty();
    v->visible = false; /* until it is drawn */
}

static void view_resync(void *self)
{
    struct evidence *v = self;
    if (v->started)
        tui_call(v, WIRE_status_get, NULL, got_status);
}

static struct tui_list *view_list(void *self)
{
    struct evidence *v = self;
    return !v->open ? v->list : v->on_tree ? v->tree.list : NULL;
}

static bool view_find(void *self, const char *text, int step)
{
    return evidence_entry_find(self, text, step);
}

static void view_open(void *self)
{
    struct evidence *v = self;
    v->found = -1;
    v->list = tui_list_new(columns, sizeof(columns) / sizeof(columns[0]), &list_ops, v);
    v->rows.self = v;
    v->rows.list = v->list;
    v->text = tui_text_new();
    v->seq = v->entry.seq = v->proof.seq = v->lineage.seq = -1;
    v->signed_size = -1;
    v->export.fd = -1;
    evidence_tree_open(v);
    evidence_rows_reset(&v->rows, NULL, -1);
}

static void view_close(void *self)
{
    struct evidence *v = self;
    evidence_rows_release(&v->rows);
    evidence_entry_release(v);
    evidence_tree_release(v);
    evidence_export_release(v);
    view_report_release(&v->report);
    tui_list_free(v->list);
}

static const enum tui_action actions[] = {
    ACTION_OPEN,         ACTION_FILTER, ACTION_VERIFY,    ACTION_EXPORT,     ACTION_LINEAGE,
    ACTION_GOTO,         ACTION_PROOF,  ACTION_ONLY_KIND, ACTION_ONLY_TRACE, ACTION_ONLY_ACTOR,
    ACTION_ONLY_SESSION, ACTION_COPY,   ACTION_REFRESH,   ACTION_NONE};
const struct view_ops view_evidence_ops = {.name = "evidence",
                                           .size = sizeof(struct evidence),
                                           .actions = actions,
                                           .open = view_open,
                                           .close = view_close,
                                           .draw = view_draw,
                                           .action = view_action,
                                           .click = view_click,
                                           .wheel = view_wheel,
                                           .event = view_event,
                                           .resync = view_resync,
                                           .show = view_show,
                                           .find = view_find,
                                           .list = view_list};
