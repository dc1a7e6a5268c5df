/* The entry at hand: its fields, its payload, its proof. */
#include "backend/base/text.h"
#include "views/evidence.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LABEL = 11, PAYLOAD_LINES = 600, LINE_BYTES = 64 * 1024, PAYLOAD_DEPTH = 12 };

const char *evidence_state(const struct evidence *v, const json_t *row)
{
    int64_t seq = json_int(row, "seq", -1);
    size_t i;
    const json_t *problem;
    if (json_object_get(row, "problem"))
        return "broken";
    json_array_foreach(json_object_get(v->report.report, "problems"), i, problem)
    {
        if (json_int(problem, "seq", -2) == seq)
            return "broken";
    }
    const json_t *held = json_object_get(row, "quarantined"),
                 *gone = json_object_get(row, "erased");
    if (json_is_true(held) || json_is_integer(held))
        return "quarantined";
    if (json_is_true(gone) || json_is_integer(gone) || json_is_object(gone))
        return "erased";
    return seq < v->signed_size ? "sealed" : "unsigned";
}

/* ---- the page's text */

static void section(struct tui_text *t, const char *title)
{
    tui_text_add(t, ROLE_TEXT, 0, false, "");
    tui_text_add(t, ROLE_TITLE, 0, false, title);
}

/* "label      value"; foreign values are cleaned by tui_text. */
static void field(struct tui_text *t, enum tui_role role, const char *label, const char *value)
{
    int pad = LABEL - text_width(label, strlen(label));
    if (value && *value)
        tui_text_addf(t, role, 0, false, "%s%*s %s", label, pad > 0 ? pad : 0, "", value);
}

static void time_field(struct tui_text *t, const json_t *doc)
{
    int64_t at = view_at(doc, "ts");
    time_t s = (time_t)(at / 1000);
    struct tm tm;
    char exact[40], ago[16], both[72];
    if (at <= 0 || !localtime_r(&s, &tm) ||
        !strftime(exact, sizeof(exact), "%Y-%m-%d %H:%M:%S %z", &tm))
        return;
    tui_ago(at, ago);
    snprintf(both, sizeof(both), "%s (%s)", exact, ago);
    field(t, ROLE_TEXT, _("time"), both);
}

static void parents_field(struct tui_text *t, const json_t *doc)
{
    struct buf b = {0};
    size_t i;
    json_t *seq;
    json_array_foreach(json_object_get(doc, "parents"), i, seq)
        buf_addf(&b, "%s%lld", i ? ", " : "", (long long)json_integer_value(seq));
    field(t, ROLE_TEXT, _("from"), b.data);
    buf_release(&b);
}

static void fields_text(struct evidence *v, const json_t *doc)
{
    struct tui_text *t = v->text;
    field(t, ROLE_TEXT, _("kind"), json_str(doc, "type", "-"));
    field(t, ROLE_TEXT, _("actor"), json_str(doc, "actor", ""));
    time_field(t, doc);
    parents_field(t, doc);
    field(t, ROLE_DIM, _("session"), json_str(doc, "session", ""));
    field(t, ROLE_DIM, _("trace"), json_str(doc, "trace_id", ""));
    char hash[16], leaf[16], both[64];
    tui_short_id(json_str(doc, "hash", "-"), hash);
    tui_short_id(json_str(doc, "leaf", "-"), leaf);
    snprintf(both, sizeof(both), _("%s, leaf %s"), hash, leaf);
    field(t, ROLE_DIM, _("hash"), both);
    field(t, ROLE_FAIL, _("problem"), json_str(doc, "problem", ""));
}

/* ---- the payload: JSON without its marks, as lines that can be read */

struct printer {
    struct tui_text *text;
    int lines;
};

static void print_line(struct printer *p, int depth, const char *lead, const char *text)
{
    if (p->lines++ == PAYLOAD_LINES)
        tui_text_add(p->text, ROLE_DIM, 0, false, _("the rest is not shown; y copies all of it"));
    if (p->lines > PAYLOAD_LINES)
        return;
    size_t len = strlen(text), shown = len;
    if (len > LINE_BYTES)
        for (shown = LINE_BYTES; shown && ((unsigned char)text[shown] & 0xc0) == 0x80;)
            shown--;
    tui_text_addf(p->text, ROLE_FOREIGN, 0, true, "%*s%s%.*s", 2 * depth, "", lead, (int)shown,
                  text);
    if (shown < len)
        tui_text_add(p->text, ROLE_DIM, 0, false, _("the rest is not shown; y copies all of it"));
}

static void print_scalar(struct printer *p, int depth, const char *lead, const json_t *value)
{
    char number[32];
    if (json_is_string(value)) {
        print_line(p, depth, lead, json_string_value(value));
    } else if (json_is_real(value)) {
        snprintf(number, sizeof(number), "%.15g", json_real_value(value));
        print_line(p, depth, lead, number);
    } else {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        print_line(p, depth, lead, text ? text : "-");
        free(text);
    }
}

/* lead: what stands before it in its line: "name: ", "- ", "- name: ". */
static void print_value(struct printer *p, int depth, const char *lead, const json_t *value)
{
    const char *key;
    json_t *member;
    size_t i;
    bool inside = json_is_array(value) ? json_array_size(value) : json_object_size(value);
    if (!inside || depth > PAYLOAD_DEPTH) {
        print_scalar(p, depth, lead, value);
        return;
    }
    bool item = !strcmp(lead, "- ") && json_is_object(value); /* its first member joins it */
    if (*lead && !item)
        print_line(p, depth, lead, "");
    depth += *lead != 0;
    json_array_foreach(value, i, member) print_value(p, depth, "- ", member);
    json_object_foreach((json_t *)value, key, member)
    {
        char *name = xasprintf("%s%s: ", item ? "- " : "", key);
        print_value(p, depth - item, name, member);
        item = false;
        free(name);
    }
}

static void payload_text(struct evidence *v, const json_t *doc)
{
    const json_t *payload = json_object_get(doc, "payload"), *gone = json_object_get(doc, "erased");
    const char *why = json_str(doc, "payload_error", "");
    section(v->text, _("payload"));
    if (payload) {
        struct printer p = {v->text, 0};
        print_value(&p, 0, "", payload);
    } else if (!strcmp(evidence_state(v, doc), "erased")) {
        int64_t by =
            json_is_object(gone) ? json_int(gone, "entry", -1) : json_int(doc, "erased", -1);
        if (by >= 0)
            tui_text_addf(v->text, ROLE_DIM, 0, false, _("%s erased: entry %lld says when and why"),
                          tui_glyph(GLYPH_UNKNOWN), (long long)by);
        else
            tui_text_addf(v->text, ROLE_DIM, 0, false, _("%s erased"), tui_glyph(GLYPH_UNKNOWN));
        if (*why)
            tui_text_add(v->text, ROLE_DIM, 2, false, why);
    } else if (*why) {
        tui_text_addf(v->text, ROLE_DIM, 0, false, "%s %s", tui_glyph(GLYPH_BLOCKED), why);
    }
}

/* ---- the proof */

/* Who signed a note, from its signature lines "— NAME BASE64" (C2SP signed-note): the first name is
 * the log's own, the others cosigned. */
static void signers(const char *note, struct buf *own, struct buf *others)
{
    const char *p = note ? strstr(note, "\n\n") : NULL;
    size_t origin = note ? strcspn(note, "\n") : 0;
    for (p = p ? p + 2 : NULL; p && *p; p += strcspn(p, "\n"), p += *p == '\n') {
        static const char dash[] = "— ";
        if (strncmp(p, dash, sizeof(dash) - 1) != 0)
            continue;
        const char *name = p + sizeof(dash) - 1;
        size_t n = strcspn(name, " \n");
        struct buf *out = n <= origin && !strncmp(name, note, n) ? own : others;
        if (out->len)
            buf_adds(out, ", ");
        buf_add(out, name, n);
    }
}

static void proof_fields(struct evidence *v)
{
    const json_t *p = v->proof.result;
    char size[32], root[16];
    if (!p) {
        field(v->text, ROLE_DIM, _("inclusion"), v->proof.error ? v->proof.error : _("waiting"));
        return;
    }
    struct buf line = {0}, own = {0}, others = {0};
    size_t hashes = json_array_size(json_object_get(p, "hashes"));
    view_count(json_int(p, "size", 0), size);
    tui_short_id(json_str(p, "root", "-"), root);
    buf_addf(&line,
             _n("%zu hash to root %s of %s entries", "%zu hashes to root %s of %s entries", hashes),
             hashes, root, size);
    field(v->text, ROLE_TEXT, _("inclusion"), line.data);
    signers(json_str(p, "checkpoint", NULL), &own, &others);
    buf_clear(&line);
    buf_addf(&line, "%s %s", tui_glyph(own.len ? GLYPH_OK : GLYPH_RUNNING),
             own.len ? own.data : _("no checkpoint covers it yet"));
    field(v->text, own.len ? ROLE_TEXT : ROLE_DIM, _("signed"), line.data);
    buf_clear(&line);
    buf_addf(&line, "%s %s", tui_glyph(others.len ? GLYPH_OK : GLYPH_UNKNOWN),
             others.len ? others.data : _("by no witness"));
    if (own.len)
        field(v->text, others.len ? ROLE_TEXT : ROLE_DIM, _("cosigned"), line.data);
    buf_release(&line);
    buf_release(&own);
    buf_release(&others);
}

void evidence_proof_show(struct evidence *v)
{
    const json_t *p = v->proof.result, *hash;
    size_t i;
    if (!p) {
        view_report_show(&v->report);
        return;
    }
    struct tui_text *t = tui_text_new();
    char number[32];
    view_count(json_int(p, "seq", 0), number);
    field(t, ROLE_TEXT, _("entry"), number);
    field(t, ROLE_TEXT, _("hash"), json_str(v->entry.result, "hash", ""));
    view_count(json_int(p, "size", 0), number);
    field(t, ROLE_TEXT, _("among"), number);
    if (json_int(p, "index", json_int(p, "seq", 0)) != json_int(p, "seq", 0)) {
        view_count(json_int(p, "index", 0), number); /* counts from its epoch's first entry */
        field(t, ROLE_TEXT, _("index"), number);
    }
    field(t, ROLE_TEXT, _("leaf"), json_str(p, "leaf", ""));
    json_array_foreach(json_object_get(p, "hashes"), i, hash)
        field(t, ROLE_DIM, i ? "" : _("hashes"), json_string_value(hash));
    field(t, ROLE_TEXT, _("root"), json_str(p, "root", ""));
    if (json_str(p, "checkpoint", NULL)) {
        section(t, _("signed checkpoint"));
        tui_text_add(t, ROLE_FOREIGN, 0, true, json_str(p, "checkpoint", ""));
    }
    if (v->report.report) {
        section(t, _("what the last verification proved"));
        view_report_text(&v->report, t);
    }
    tui_overlay(_("Proof of the entry"), t);
}

/* ---- asking */

static void page_text(struct evidence *v)
{
    const json_t *doc = v->entry.result;
    tui_text_clear(v->text);
    if (!doc) {
        tui_text_add(v->text, v->entry.error ? ROLE_FAIL : ROLE_DIM, 0, false,
                     v->entry.error ? v->entry.error : _("Waiting for the entry."));
        return;
    }
    fields_text(v, doc);
    if (v->open)
        proof_fields(v);
    payload_text(v, doc);
}

static void ask_missing(struct evidence *v);

/* Takes an answer if it is for the entry at hand. */
static bool take(struct evidence *v, struct evidence_ask *a, const json_t *result,
                 const struct error *e)
{
    a->under_way = false;
    bool mine = a->seq == v->seq;
    if (mine) {
        json_decref(a->result);
        a->result = result ? json_deep_copy(result) : NULL;
        view_keep_error(&a->error, result ? NULL : e);
    }
    ask_missing(v);
    page_text(v);
    tui_dirty();
    return mine;
}

static void got_entry(void *self, const json_t *result, const struct error *e)
{
    take(self, &((struct evidence *)self)->entry, result, e);
}

static void got_proof(void *self, const json_t *result, const struct error *e)
{
    take(self, &((struct evidence *)self)->proof, result, e);
}

static void got_lineage(void *self, const json_t *result, const struct error *e)
{
    struct evidence *v = self;
    if (take(v, &v->lineage, result, e))
        evidence_tree_set(v);
}

/* True if the entry at hand is to be asked for now, and notes that it is. */
static bool due(struct evidence *v, struct evidence_ask *a)
{
    if (a->under_way || a->seq == v->seq || v->seq < 0)
        return false;
    a->under_way = true;
    a->seq = v->seq;
    return true;
}

static void ask_missing(struct evidence *v)
{
    json_int_t seq = v->seq;
    if (due(v, &v->entry))
        tui_call(v, WIRE_evidence_get, json_pack("{s:I,s:b}", "seq", seq, "payload", 1), got_entry);
    if (v->open && due(v, &v->proof))
        tui_call(v, WIRE_evidence_proof, json_pack("{s:I}", "seq", seq), got_proof);
    if (v->open && due(v, &v->lineage))
        tui_call(v, WIRE_evidence_lineage, json_pack("{s:I,s:s}", "id", seq, "direction", "both"),
                 got_lineage);
}

static void ask_clear(struct evidence_ask *a)
{
    json_decref(a->result);
    a->result = NULL;
    free(a->error);
    a->error = NULL;
    a->seq = -1;
}

void evidence_entry_set(struct evidence *v, int64_t seq, bool whole)
{
    if (seq != v->seq) {
        ask_clear(&v->entry);
        ask_clear(&v->proof);
        ask_clear(&v->lineage);
        evidence_tree_set(v);
        v->scroll = (struct view_scroll){0};
        v->found = -1;
        tui_text_match(v->text, "");
        v->on_tree = false;
    }
    v->seq = seq;
    v->open = whole;
    ask_missing(v);
    page_text(v);
    tui_dirty();
}

void evidence_entry_release(struct evidence *v)
{
    ask_clear(&v->entry);
    ask_clear(&v->proof);
    ask_clear(&v->lineage);
    tui_text_free(v->text);
    v->text = NULL;
}

/* ---- drawing */

void evidence_entry_draw(struct evidence *v, struct tui_area a)
{
    struct view_page p = view_page_begin(&v->scroll, a);
    const json_t *doc = v->entry.result;
    char number[32];
    view_count(v->seq, number);
    int x = tui_putf(p.area, p.y, 0, -1, ROLE_STRONG, _("entry %s"), number) + 2;
    x += tui_put_state(p.area, p.y, x, doc ? evidence_state(v, doc) : "waiting", true) + 2;
    if (v->history_count)
        tui_putf(p.area, p.y, x, -1, ROLE_DIM, _("Esc: back to %lld"),
                 (long long)v->history[v->history_count - 1]);
    p.y++;
    v->text_width = p.area.width;
    view_page_text(&p, v->text);
    view_page_end(&v->scroll, &p);
}

/* The text's line n is the page's row n + 1. */
bool evidence_entry_find(struct evidence *v, const char *text, int step)
{
    long top = v->scroll.top > 0 ? v->scroll.top - 1 : 0;
    bool seen = v->found >= top && v->found < v->scroll.top + v->scroll.height - 1;
    long from = seen && step ? v->found + step : top + (step < 0 ? -1 : 0);
    tui_text_match(v->text, text);
    long line = tui_text_find(v->text, v->text_width, text, from, step < 0 ? -1 : 1);
    if (line < 0 && step == 0)
        line = tui_text_find(v->text, v->text_width, text, 0, 1);
    if (line >= 0) {
        v->found = line;
        view_scroll_by(&v->scroll, (int)line + 1 - v->scroll.top);
    } else if (!*text) {
        v->found = -1;
    }
    tui_dirty();
    return line >= 0;
}
