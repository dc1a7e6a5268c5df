/* What a foreign tool printed, as statements that can stand alone: a row of a table with the names
 * of its columns, a field with the fields that are indented below it, any other line as it is. */
#include "backend/base/buf.h"
#include "backend/gateway/internal.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum {
    LINES_MAX = 2000, /* of a text */
    COLUMNS = 24,
    FIELD_MAX = 48,      /* bytes of the name of a field or of a column */
    BELOW = 3,           /* fields that are joined to the one above them */
    STATEMENT_MAX = 190, /* bytes of what is joined */
    DEPTH = 8,           /* of JSON */
    TEXT_BYTES = 64 << 10
};

struct line {
    const char *s; /* without the blanks around it */
    size_t len, indent;
};

struct cell {
    const char *s;
    size_t len;
};

struct reading {
    struct line *at;
    size_t count;
    gw__statement *fn;
    void *arg;
};

/* ---- lines */

static void read_lines(struct reading *r, const char *text, size_t len)
{
    const char *end = text + len;
    r->at = xcalloc(LINES_MAX, sizeof *r->at);
    while (text < end && r->count < LINES_MAX) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        stop = stop ? stop : end;
        const char *from = text, *to = stop;
        while (from < to && isspace((unsigned char)*from))
            from++;
        while (to > from && isspace((unsigned char)to[-1]))
            to--;
        r->at[r->count++] = (struct line){from, (size_t)(to - from), (size_t)(from - text)};
        text = stop + 1;
    }
}

/* Nothing but what draws: "----  -----", "+---+". */
static bool is_rule(const struct line *l)
{
    for (size_t i = 0; i < l->len; i++)
        if (!strchr("-=+| :", l->s[i]))
            return false;
    return true;
}

/* ---- tables */

enum between { BARS, TABS, WIDE, BLANKS, BETWEENS };

/* How many bytes stand between two cells at s; 0: none do. */
static size_t gap_at(const char *s, const char *end, enum between by)
{
    size_t n = 0;
    if (by == BARS)
        return *s == '|';
    if (by == TABS)
        return *s == '\t';
    while (s + n < end && (s[n] == ' ' || s[n] == '\t'))
        n++;
    return by == WIDE && n < 2 ? 0 : n;
}

/* More cells than there is room for are one with the last. */
static size_t cells_of(const struct line *l, enum between by, struct cell out[COLUMNS], size_t most)
{
    const char *s = l->s, *end = s + l->len;
    size_t n = 0;
    if (by == BARS && s < end && *s == '|')
        s++;
    if (by == BARS && end > s && end[-1] == '|')
        end--;
    while (s < end && n < most) {
        const char *to = s;
        while (to < end && (n + 1 == most || !gap_at(to, end, by)))
            to++;
        size_t gap = to < end ? gap_at(to, end, by) : 0;
        const char *from = s, *last = to;
        while (from < last && isspace((unsigned char)*from))
            from++;
        while (last > from && isspace((unsigned char)last[-1]))
            last--;
        out[n++] = (struct cell){from, (size_t)(last - from)};
        s = to + gap;
    }
    return n;
}

/* "Mounted on" is one name: a word in small letters goes with the one before it. */
static size_t join_small(struct cell cells[COLUMNS], size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (kept && islower((unsigned char)*cells[i].s)) {
            struct cell *before = &cells[kept - 1];
            before->len = (size_t)(cells[i].s + cells[i].len - before->s);
        } else {
            cells[kept++] = cells[i];
        }
    }
    return kept;
}

static bool names_columns(const struct cell *cells, size_t n, bool capitals)
{
    for (size_t i = 0; i < n; i++) {
        if (!cells[i].len || cells[i].len > FIELD_MAX || cells[i].s[cells[i].len - 1] == ':' ||
            (capitals && !isupper((unsigned char)*cells[i].s)))
            return false;
        for (size_t j = 0; j < cells[i].len; j++)
            if (isdigit((unsigned char)cells[i].s[j]) || strchr("[]{}\"<>/", cells[i].s[j]))
                return false;
    }
    return true;
}

struct table {
    enum between by;
    struct cell names[COLUMNS];
    size_t columns, indent;
};

static bool near(size_t a, size_t b)
{
    return a > b ? a - b < 2 : b - a < 2;
}

/* Each cell but the last begins or ends where the name of its column does. */
static bool is_aligned(const struct table *t, const struct line *l, const struct cell *cells)
{
    for (size_t i = 0; i + 1 < t->columns; i++) {
        size_t name = (size_t)(t->names[i].s - t->names[0].s) + t->indent;
        size_t cell = (size_t)(cells[i].s - l->s) + l->indent;
        if (!near(name, cell) && !near(name + t->names[i].len, cell + cells[i].len))
            return false;
    }
    return true;
}

/* Where single blanks are all that stands between cells, they have to stand below their names, or
 * to be as many, and many. */
static bool row_fits(const struct table *t, const struct line *l, struct cell out[COLUMNS])
{
    enum { MANY = 4 };
    if (!l->len || l->indent + 1 < t->indent)
        return false;
    if (cells_of(l, t->by, out, COLUMNS) == t->columns && (t->by != BLANKS || t->columns >= MANY))
        return true;
    return t->by == BLANKS && cells_of(l, t->by, out, t->columns) == t->columns &&
           is_aligned(t, l, out);
}

/* Is line i the head of a table, of which a row follows? */
static bool table_at(const struct reading *r, size_t i, struct table *t)
{
    struct cell cells[COLUMNS];
    size_t row = i + 1;
    bool ruled = row < r->count && r->at[row].len > 2 && is_rule(&r->at[row]);
    row += ruled;
    if (row >= r->count || is_rule(&r->at[i]))
        return false;
    for (t->by = BARS; t->by < BETWEENS; t->by++) {
        t->indent = r->at[i].indent;
        t->columns = cells_of(&r->at[i], t->by, t->names, COLUMNS);
        if (t->by == BLANKS)
            t->columns = join_small(t->names, t->columns);
        bool sure = ruled || t->by == BARS || t->by == TABS;
        if (t->columns < (t->by == BLANKS && !ruled ? 3U : 2U) ||
            !names_columns(t->names, t->columns, !sure) || !row_fits(t, &r->at[row], cells))
            continue;
        if (sure || !names_columns(cells, t->columns, true)) /* a second row of names is none */
            return true;
    }
    return false;
}

static bool is_nothing(const struct cell *c)
{
    static const char *const NOTHING[] = {"-", "<none>", "<unset>", "<nil>", "null", "n/a"};
    for (size_t i = 0; i < sizeof NOTHING / sizeof *NOTHING; i++)
        if (c->len == strlen(NOTHING[i]) && memcmp(c->s, NOTHING[i], c->len) == 0)
            return true;
    return c->len == 0;
}

static void tell_row(struct reading *r, const struct table *t, const struct cell *cells,
                     const struct line *l)
{
    struct buf told = {0};
    for (size_t i = 0; i < t->columns; i++)
        if (!is_nothing(&cells[i]))
            buf_addf(&told, "%s%.*s: %.*s", told.len ? ", " : "", (int)t->names[i].len,
                     t->names[i].s, (int)cells[i].len, cells[i].s);
    if (told.len && told.len <= STATEMENT_MAX)
        r->fn(r->arg, told.data, told.len, l->s, l->len);
    else
        r->fn(r->arg, l->s, l->len, l->s, l->len);
    buf_release(&told);
}

/* Behind the table. */
static size_t tell_table(struct reading *r, size_t i, const struct table *t)
{
    struct cell cells[COLUMNS];
    for (i++; i < r->count; i++) {
        const struct line *l = &r->at[i];
        if (l->len && is_rule(l))
            continue;
        if (!row_fits(t, l, cells))
            break;
        tell_row(r, t, cells, l);
    }
    return i;
}

/* ---- fields */

/* Bytes of the name of "name: value", 0: the line is no field. */
static size_t field_name(const struct line *l)
{
    size_t n = 0;
    while (n < l->len && l->s[n] != ':')
        n++;
    bool field = n && n < l->len && n <= FIELD_MAX && (n + 1 == l->len || l->s[n + 1] == ' ');
    return field && !memchr(l->s, '"', n) ? n : 0;
}

/* Line i has others below it, that are indented. */
static bool has_below(const struct reading *r, size_t i)
{
    return i + 1 < r->count && r->at[i + 1].len && r->at[i + 1].indent > r->at[i].indent;
}

/* More lines stand below line i than are joined to it. */
static bool many_below(const struct reading *r, size_t i)
{
    size_t n = 0;
    for (size_t j = i + 1; j < r->count && r->at[j].len && r->at[j].indent > r->at[i].indent; j++)
        n++;
    return n > BELOW;
}

/* A field and those below it that have nothing below themselves; returns what comes next. */
static size_t tell_field(struct reading *r, size_t i)
{
    const struct line *l = &r->at[i];
    struct table t;
    struct buf told = {0};
    size_t next = i + 1, joined = 0;
    bool bare = l->s[l->len - 1] == ':';
    if (bare &&
        many_below(r, i)) /* a list of its own: its name would be told with its first ones */
        return next;
    buf_addf(&told, "%.*s", (int)l->len, l->s);
    while (next < r->count && r->at[next].len && r->at[next].indent > l->indent && joined < BELOW &&
           field_name(&r->at[next]) && !has_below(r, next) && !table_at(r, next, &t) &&
           told.len + r->at[next].len + 2 <= STATEMENT_MAX) {
        buf_addf(&told, "%s%.*s", bare && !joined ? " " : ", ", (int)r->at[next].len,
                 r->at[next].s);
        joined++;
        next++;
    }
    if (joined) {
        struct cell raw = {l->s, (size_t)(r->at[next - 1].s + r->at[next - 1].len - l->s)};
        r->fn(r->arg, told.data, told.len, raw.s, raw.len);
    } else if (!bare) { /* a name alone says nothing */
        r->fn(r->arg, l->s, l->len, l->s, l->len);
    }
    buf_release(&told);
    return next;
}

void gw__statements(const char *text, size_t len, gw__statement *fn, void *arg)
{
    struct reading r = {.fn = fn, .arg = arg};
    struct table t;
    read_lines(&r, text, len);
    for (size_t i = 0; i < r.count;) {
        const struct line *l = &r.at[i];
        if (!l->len || is_rule(l)) {
            i++;
        } else if (table_at(&r, i, &t)) {
            i = tell_table(&r, i, &t);
        } else if (field_name(l)) {
            i = tell_field(&r, i);
        } else {
            fn(arg, l->s, l->len, l->s, l->len);
            i++;
        }
    }
    free(r.at);
}

/* ---- JSON */

struct telling {
    gw__statement *fn;
    void *arg;
};

static void tell(const struct telling *t, const char *line, const char *raw)
{
    t->fn(t->arg, line, strlen(line), raw, strlen(raw));
}

/* A leaf as text; the caller frees. */
static char *leaf_text(const json_t *value)
{
    return json_is_string(value) ? xstrdup(json_string_value(value)) : json_write(value);
}

/* A record, an object in a list, is one statement where it is short: "path: name: web-1, ready:
 * false". False: it is not, or holds more than leaves. */
static bool tell_record(const struct telling *t, const char *path, const json_t *record)
{
    struct buf line = {0};
    const char *key;
    json_t *member;
    bool flat = json_object_size(record) > 1;
    json_object_foreach((json_t *)record, key, member)
    {
        if (json_is_null(member) || (json_is_string(member) && !*json_string_value(member)))
            continue;
        flat = flat && !json_is_object(member) && !json_is_array(member);
        char *text = flat ? leaf_text(member) : NULL;
        buf_addf(&line, "%s%s: %s", line.len ? ", " : "", key, text ? text : "");
        free(text);
    }
    flat = flat && line.len && line.len <= STATEMENT_MAX;
    if (flat) {
        char *whole = xasprintf("%s: %s", path, line.data);
        tell(t, whole, line.data);
        free(whole);
    }
    buf_release(&line);
    return flat;
}

/* The leaves of a JSON value as "path: value". */
static void tell_leaves(const struct telling *t, const char *path, const json_t *value, int depth)
{
    const char *key;
    json_t *member;
    size_t i;
    if (depth > DEPTH)
        return;
    if (json_is_object(value)) {
        json_object_foreach((json_t *)value, key, member)
        {
            char *inner = xasprintf("%s%s%s", path, *path ? "." : "", key);
            tell_leaves(t, inner, member, depth + 1);
            free(inner);
        }
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, member)
        {
            char *inner = xasprintf("%s%s%zu", path, *path ? " " : "", i + 1);
            if (!json_is_object(member) || !tell_record(t, inner, member))
                tell_leaves(t, inner, member, depth + 1);
            free(inner);
        }
    } else if (!json_is_null(value)) {
        char *text = leaf_text(value);
        char *line = xasprintf("%s: %s", *path ? path : "value", text);
        tell(t, line, line);
        free(line);
        free(text);
    }
}

bool gw__structured(const struct gw_source *s, gw__statement *fn, void *arg)
{
    json_t *parsed = NULL;
    if (!s->data && (s->text[0] == '{' || s->text[0] == '['))
        parsed = json_read(s->text, strlen(s->text), TEXT_BYTES, 2 * DEPTH, NULL);
    const json_t *value = s->data ? s->data : parsed;
    bool some = value && (json_object_size(value) || json_array_size(value));
    if (some)
        tell_leaves(&(struct telling){fn, arg}, "", value, 0);
    json_decref(parsed);
    return some;
}

static void keep(void *arg, const char *text, size_t len, const char *raw, size_t raw_len)
{
    if (len != raw_len || memcmp(text, raw, len) != 0) /* what stands there so need not be kept */
        buf_addf(arg, "%.*s\n", (int)len, text);
}

void gw_reworded(const struct gw_source *s, struct buf *out)
{
    if (!gw__structured(s, keep, out))
        gw__statements(s->text, strnlen(s->text, TEXT_BYTES), keep, out);
}
