/* Two runs as rows: a mark, a name, and what each of them has. In two columns where there is room,
 * else below each other. */
#include "views/trace_diff.h"
#include "backend/base/text.h"
#include "views/trace_page.h"
#include "views/trace_parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINES_MOST = 200, SIDE_WIDTH = 70, NAME_MOST = 20, SOURCE_COLUMNS = 400 };
enum mark { SAME, OTHER, ONLY_A, ONLY_B, TITLE };

struct diff_row {
    enum mark mark;
    char *name, *a, *b;            /* a, b: NULL: that side has nothing; what is equal stands once,
                                      as a */
    struct tui_text *left, *right; /* the same, to draw */
};

static const struct {
    enum tui_glyph glyph;
    enum tui_role role;
} marks[] = {[SAME] = {GLYPH_CLAIM_AGREES, ROLE_TEXT},
             [OTHER] = {GLYPH_CLAIM_AGAINST, ROLE_WARN},
             [ONLY_A] = {GLYPH_CLAIM_A, ROLE_CHART},
             [ONLY_B] = {GLYPH_CLAIM_B, ROLE_CHART_ALT},
             [TITLE] = {GLYPH_RULE, ROLE_DIM}};

const char *trace_answer(const json_t *trace)
{
    size_t i;
    const json_t *c;
    if (*json_str(trace, "answer", ""))
        return json_str(trace, "answer", "");
    json_array_foreach(json_object_get(trace, "candidates"), i, c)
    {
        if (json_flag(c, "chosen", false))
            return json_str(c, "text", "");
    }
    return "";
}

/* ---- rows */

static struct tui_text *text_of(enum tui_role role, bool foreign, const char *text)
{
    if (!text)
        return NULL;
    struct tui_text *t = tui_text_new();
    tui_text_add(t, role == ROLE_TEXT && foreign ? ROLE_FOREIGN : role, 0, foreign, text);
    return t;
}

/* foreign: text from outside, behind a bar. */
static void row_add(struct trace_diff *d, enum mark mark, const char *name, const char *a,
                    const char *b, bool foreign)
{
    if (d->count == d->room) {
        d->room = d->room ? 2 * d->room : 64;
        d->rows = xrealloc(d->rows, d->room * sizeof(*d->rows));
    }
    int wide = mark == TITLE ? 0 : text_width(name, strlen(name));
    d->name = wide > d->name && wide <= NAME_MOST ? wide : d->name;
    d->rows[d->count++] = (struct diff_row){.mark = mark,
                                            .name = xstrdup(name),
                                            .a = xstrdup_or_null(a),
                                            .b = xstrdup_or_null(b),
                                            .left = text_of(marks[mark].role, foreign, a),
                                            .right = text_of(marks[mark].role, foreign, b)};
}

static void heading(struct trace_diff *d, const char *words)
{
    row_add(d, TITLE, words, NULL, NULL, false);
}

static void both(struct trace_diff *d, const char *name, const char *a, const char *b)
{
    bool same = !strcmp(a, b);
    row_add(d, same ? SAME : OTHER, name, a, same ? NULL : b, false);
}

/* ---- figures and the verdict */

static void models_of(const json_t *trace, struct buf *out)
{
    size_t i;
    const json_t *c;
    json_array_foreach(json_object_get(trace, "candidates"), i, c)
        buf_addf(out, "%s%s", i ? ", " : "", json_str(c, "model", "-"));
    if (!out->len)
        buf_addc(out, '-');
}

static double composite_of(const json_t *trace)
{
    size_t i;
    const json_t *c;
    json_array_foreach(json_object_get(trace, "candidates"), i, c)
    {
        if (json_flag(c, "chosen", false))
            return json_num(c, "composite", -1);
    }
    return -1;
}

static void number(struct trace_diff *d, const char *name, double a, double b)
{
    char x[32] = "-", y[32] = "-";
    if (a >= 0)
        snprintf(x, sizeof(x), "%.2f", a);
    if (b >= 0)
        snprintf(y, sizeof(y), "%.2f", b);
    both(d, name, x, y);
}

static void figures(struct trace_diff *d, const json_t *a, const json_t *b)
{
    char x[48], y[48];
    struct buf ma = {0}, mb = {0};
    models_of(a, &ma);
    models_of(b, &mb);
    both(d, _("question"), json_str(a, "question", "-"), json_str(b, "question", "-"));
    both(d, _("flow"), json_str(a, "flow", "-"), json_str(b, "flow", "-"));
    both(d, _("models"), ma.data, mb.data);
    both(d, _("state"), _(json_str(a, "state", "unknown")), _(json_str(b, "state", "unknown")));
    tui_duration(json_num(a, "elapsed_ms", -1), x);
    tui_duration(json_num(b, "elapsed_ms", -1), y);
    both(d, _("took"), x, y);
    trace_tokens(a, x);
    trace_tokens(b, y);
    both(d, _("tokens"), x, y);
    trace_cost(a, x);
    trace_cost(b, y);
    both(d, _("cost"), x, y);
    buf_release(&ma);
    buf_release(&mb);
}

static void verdicts(struct trace_diff *d, const json_t *a, const json_t *b)
{
    const json_t *v = json_object_get(a, "verdict"), *w = json_object_get(b, "verdict");
    struct buf x = {0}, y = {0};
    heading(d, _("verdict"));
    both(d, _("winner"), json_str(v, "winner", "-"), json_str(w, "winner", "-"));
    both(d, _("route"), json_str(v, "route", "-"), json_str(w, "route", "-"));
    view_said(v, "reason", &x);
    view_said(w, "reason", &y);
    both(d, _("reason"), x.len ? x.data : "-", y.len ? y.data : "-");
    buf_release(&x);
    buf_release(&y);
    number(d, _("composite"), composite_of(a), composite_of(b));
    number(d, _("divergence"), json_num(v, "D", -1), json_num(w, "D", -1));
    number(d, _("safety gap"), json_num(v, "S", -1), json_num(w, "S", -1));
    number(d, _("risk"), json_num(json_object_get(a, "risk"), "score", -1),
           json_num(json_object_get(b, "risk"), "score", -1));
}

/* ---- what was read, and which way it went */

static const json_t *source_of(const json_t *trace, const json_t *like)
{
    size_t i;
    const json_t *s;
    json_array_foreach(json_object_get(trace, "sources"), i, s)
    {
        if (!strcmp(json_str(s, "ref", ""), json_str(like, "ref", "?")) &&
            !strcmp(json_str(s, "kind", ""), json_str(like, "kind", "?")))
            return s;
    }
    return NULL;
}

/* A source by its beginning. */
static void source_row(struct trace_diff *d, enum mark mark, const char *ref, const char *a,
                       const char *b)
{
    int used;
    char *x = a ? xstrndup(a, text_fit(a, strlen(a), SOURCE_COLUMNS, &used)) : NULL;
    char *y = b ? xstrndup(b, text_fit(b, strlen(b), SOURCE_COLUMNS, &used)) : NULL;
    row_add(d, mark, ref, x, y, true);
    free(x);
    free(y);
}

static void sources(struct trace_diff *d, const json_t *a, const json_t *b)
{
    size_t i;
    const json_t *s;
    heading(d, _("tools and runbooks"));
    json_array_foreach(json_object_get(a, "sources"), i, s)
    {
        const json_t *other = source_of(b, s);
        const char *ref = json_str(s, "ref", "-"), *x = json_str(s, "text", ""),
                   *y = json_str(other, "text", "");
        if (!other)
            source_row(d, ONLY_A, ref, x, NULL);
        else if (strcmp(x, y) != 0)
            source_row(d, OTHER, ref, x, y);
        else
            row_add(d, SAME, ref, _("the same text"), NULL, false);
    }
    json_array_foreach(json_object_get(b, "sources"), i, s)
    {
        if (!source_of(a, s))
            source_row(d, ONLY_B, json_str(s, "ref", "-"), NULL, json_str(s, "text", ""));
    }
}

static const json_t *node_of(const json_t *trace, const char *id)
{
    size_t i;
    const json_t *n;
    json_array_foreach(json_object_get(trace, "nodes"), i, n)
    {
        if (!strcmp(json_str(n, "id", ""), id))
            return n;
    }
    return NULL;
}

static void node_words(const json_t *n, char out[96])
{
    char took[16];
    tui_duration(json_num(n, "elapsed_ms", -1), took);
    if (!strcmp(json_str(n, "state", ""), "done"))
        snprintf(out, 96, "%.60s%s%s", json_str(n, "model", ""),
                 *json_str(n, "model", "") ? " " : "", took);
    else
        snprintf(out, 96, "%.60s", _(json_str(n, "state", "unknown")));
}

/* Nodes that went another way; their times alone make no difference. */
static void nodes(struct trace_diff *d, const json_t *a, const json_t *b)
{
    size_t i;
    const json_t *n;
    char x[96], y[96];
    heading(d, _("nodes"));
    json_array_foreach(json_object_get(a, "nodes"), i, n)
    {
        const char *id = json_str(n, "id", "-");
        const json_t *m = node_of(b, id);
        node_words(n, x);
        if (!m) {
            row_add(d, ONLY_A, id, x, NULL, false);
            continue;
        }
        node_words(m, y);
        bool same = !strcmp(json_str(n, "state", ""), json_str(m, "state", "")) &&
                    !strcmp(json_str(n, "model", ""), json_str(m, "model", ""));
        row_add(d, same ? SAME : OTHER, id, x, y, false);
    }
    json_array_foreach(json_object_get(b, "nodes"), i, n)
    {
        node_words(n, y);
        if (!node_of(a, json_str(n, "id", "-")))
            row_add(d, ONLY_B, json_str(n, "id", "-"), NULL, y, false);
    }
}

/* ---- answers, line by line */

struct lines {
    char *text, *at[LINES_MOST];
    size_t count;
};

static void lines_of(struct lines *l, const char *text)
{
    char *rest = l->text = xstrdup(text), *line;
    l->count = 0;
    while (l->count < LINES_MOST && (line = strsep(&rest, "\n")))
        if (*line)
            l->at[l->count++] = line;
}

/* Lines of both up to the next common one stand beside each other. */
static void answers(struct trace_diff *d, const json_t *a, const json_t *b)
{
    static uint8_t best[LINES_MOST + 1][LINES_MOST + 1]; /* longest common rest from i, k on */
    struct lines x, y;
    heading(d, _("answers"));
    lines_of(&x, trace_answer(a));
    lines_of(&y, trace_answer(b));
    memset(best, 0, sizeof(best));
    for (size_t i = x.count; i-- > 0;)
        for (size_t k = y.count; k-- > 0;) {
            uint8_t skip = best[i + 1][k] > best[i][k + 1] ? best[i + 1][k] : best[i][k + 1];
            best[i][k] = !strcmp(x.at[i], y.at[k]) ? (uint8_t)(best[i + 1][k + 1] + 1) : skip;
        }
    for (size_t i = 0, k = 0; i < x.count || k < y.count;) {
        if (i < x.count && k < y.count && !strcmp(x.at[i], y.at[k])) {
            row_add(d, SAME, "", x.at[i], y.at[k], true);
            i++, k++;
            continue;
        }
        size_t from = i, to = k;
        while (i < x.count && (k == y.count || best[i + 1][k] == best[i][k]))
            i++;
        while (k < y.count && (i == x.count || best[i][k + 1] == best[i][k]))
            k++;
        for (size_t n = 0; n < i - from || n < k - to; n++) {
            bool left = n < i - from, right = n < k - to;
            row_add(d,
                    left && right ? OTHER
                    : left        ? ONLY_A
                                  : ONLY_B,
                    "", left ? x.at[from + n] : NULL, right ? y.at[to + n] : NULL, true);
        }
    }
    free(x.text);
    free(y.text);
}

/* ---- the page */

void trace_diff_clear(struct trace_diff *d)
{
    for (size_t i = 0; i < d->count; i++) {
        struct diff_row *r = &d->rows[i];
        free(r->name);
        free(r->a);
        free(r->b);
        if (r->left)
            tui_text_free(r->left);
        if (r->right)
            tui_text_free(r->right);
    }
    free(d->rows);
    view_finder_release(&d->finder);
    *d = (struct trace_diff){0};
}

static void title_of(const char *side, const json_t *trace, char out[64])
{
    char clock[16], id[16];
    view_clock(view_at(trace, "at"), clock);
    tui_short_id(json_str(trace, "trace_id", "-"), id);
    snprintf(out, 64, "%s: %s, %s", side, clock, id);
}

void trace_diff_set(struct trace_diff *d, const json_t *a, const json_t *b)
{
    trace_diff_clear(d);
    d->shown = true;
    title_of("A", a, d->titles[0]);
    title_of("B", b, d->titles[1]);
    figures(d, a, b);
    verdicts(d, a, b);
    answers(d, a, b);
    sources(d, a, b);
    nodes(d, a, b);
}

/* ---- drawing */

struct columns { /* right 0: there is one only */
    int name, left, right;
};

static int draw_cell(const struct view_page *p, struct tui_text *t, int x, int end)
{
    struct view_page cell = {tui_sub(p->area, 0, x, p->area.height, end - x), p->y};
    if (t)
        view_page_text(&cell, t);
    return cell.y;
}

static int draw_side(const struct view_page *p, const struct diff_row *r, struct columns c)
{
    int width = p->area.width;
    if (r->mark == SAME && !r->right)
        return draw_cell(p, r->left, c.left, width);
    int left_end = draw_cell(p, r->left, c.left, c.right - 3);
    int right_end = draw_cell(p, r->right, c.right, width);
    int end = left_end > right_end ? left_end : right_end;
    for (int y = p->y; y < end; y++)
        tui_put_glyph(p->area, y, c.right - 2, ROLE_RULE, GLYPH_VRULE);
    return end;
}

/* Sides below each other, each with its letter where they differ. */
static int draw_stacked(struct view_page p, const struct diff_row *r, struct columns c)
{
    int width = p.area.width;
    if (r->mark == SAME)
        return draw_cell(&p, r->left, c.left, width);
    if (r->a && r->b && *r->name) { /* short ones in one row */
        int a = text_width(r->a, strlen(r->a)), b = text_width(r->b, strlen(r->b));
        if (c.left + a + b + 6 <= width && !strchr(r->a, '\n') && !strchr(r->b, '\n')) {
            int x = c.left + tui_putf(p.area, p.y, c.left, -1, marks[r->mark].role, "A %s", r->a);
            tui_putf(p.area, p.y, x + 2, -1, marks[r->mark].role, "B %s", r->b);
            return p.y + 1;
        }
    }
    if (r->left)
        tui_put(p.area, p.y, c.left, 1, marks[r->mark].role, "A");
    p.y = draw_cell(&p, r->left, c.left + 2, width);
    if (r->right)
        tui_put(p.area, p.y, c.left, 1, marks[r->mark].role, "B");
    return draw_cell(&p, r->right, c.left + 2, width);
}

static void draw_row(struct view_page *p, const struct diff_row *r, struct columns c)
{
    enum tui_role role = r->mark == SAME ? ROLE_DIM : marks[r->mark].role;
    if (r->mark == TITLE) {
        tui_put(p->area, ++p->y, 0, -1, ROLE_DIM, r->name);
        p->y++;
        return;
    }
    if (!*r->name) { /* without a name: halves */
        c.left = 2;
        c.right = c.right ? (c.left + p->area.width + 3) / 2 : 0;
    }
    tui_put_glyph(p->area, p->y, 0, role, marks[r->mark].glyph);
    tui_put(p->area, p->y, 2, -1, role, r->name);
    if (text_width(r->name, strlen(r->name)) > c.name) { /* a row of its own */
        p->y++;
        c.left = 4;
    }
    int end = c.right ? draw_side(p, r, c) : draw_stacked(*p, r, c);
    p->y = end > p->y ? end : p->y + 1;
}

static void draw_all(void *arg, struct tui_area a)
{
    struct trace_diff *d = arg;
    struct view_page p = view_page_begin(&d->scroll, a);
    int width = p.area.width;
    struct columns c = {.name = d->name < width / 3 ? d->name : width / 3};
    c.left = 2 + c.name + 2;
    c.right = width >= SIDE_WIDTH ? (c.left + width + 3) / 2 : 0;
    tui_put(p.area, p.y, c.right ? c.left : 0, c.right ? c.right - 3 - c.left : -1, ROLE_STRONG,
            d->titles[0]);
    p.y += !c.right;
    tui_put(p.area, p.y++, c.right, -1, ROLE_STRONG, d->titles[1]);
    for (size_t i = 0; i < d->count; i++)
        draw_row(&p, &d->rows[i], c);
    view_page_end(&d->scroll, &p);
}

void trace_diff_draw(struct trace_diff *d, struct tui_area a)
{
    struct tui_seek seek;
    view_finder_begin(&d->finder, &seek);
    draw_all(d, a);
    view_finder_end();
}

bool trace_diff_find(struct trace_diff *d, const char *text, int step)
{
    return view_page_find(&d->finder, &d->scroll, text, step, draw_all, d);
}

char *trace_diff_plain(const struct trace_diff *d)
{
    struct buf out = {0};
    buf_addf(&out, "%s\n%s\n", d->titles[0], d->titles[1]);
    for (size_t i = 0; i < d->count; i++) {
        const struct diff_row *r = &d->rows[i];
        if (r->mark == TITLE) {
            buf_addf(&out, "\n%s\n", r->name);
            continue;
        }
        buf_addf(&out, "%s %s%s%s\n", tui_glyph(marks[r->mark].glyph), r->name,
                 *r->name ? ": " : "", r->mark == SAME ? r->a : "");
        if (r->mark != SAME && r->a)
            buf_addf(&out, "  A %s\n", r->a);
        if (r->mark != SAME && r->b)
            buf_addf(&out, "  B %s\n", r->b);
    }
    return buf_take(&out);
}
