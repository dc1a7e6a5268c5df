#include "views/trace_claims.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE_WIDTH = 72, WORD_WIDTH = 16, GAP = 3, NAME_MOST = 40 };
enum verdict { CONTRADICTS, AGREES, ONLY_A, ONLY_B, UNDETERMINED, VERDICTS };

static const struct {
    const char *word, *text;
    enum tui_glyph glyph;
    enum tui_role role;
} verdicts[VERDICTS] = {
    {"contradicts", N_("contradicts"), GLYPH_CLAIM_AGAINST, ROLE_FAIL},
    {"agrees", N_("agrees"), GLYPH_CLAIM_AGREES, ROLE_OK},
    {"only A", N_("only A"), GLYPH_CLAIM_A, ROLE_CHART},
    {"only B", N_("only B"), GLYPH_CLAIM_B, ROLE_CHART_ALT},
    {"undetermined", N_("undetermined"), GLYPH_CLAIM_OPEN, ROLE_DIM},
};

struct claim_row {
    enum verdict verdict;
    char a[NAME_MOST + 1], b[NAME_MOST + 1]; /* the models */
    bool first;                              /* of its models */
    size_t counts[VERDICTS];                 /* of them all, in the first row */
    struct tui_text *left, *right, *why;     /* NULL: nothing to say */
};

static enum verdict verdict_of(const json_t *claim)
{
    for (int i = 0; i < VERDICTS; i++)
        if (!strcmp(verdicts[i].word, json_str(claim, "verdict", "")))
            return (enum verdict)i;
    return UNDETERMINED;
}

static const char *model_of(const json_t *claim, size_t side)
{
    const json_t *m = json_array_get(json_object_get(claim, "models"), side);
    return json_is_string(m) ? json_string_value(m) : "-";
}

static struct tui_text *text_of(enum tui_role role, const char *text)
{
    if (!*text)
        return NULL;
    struct tui_text *t = tui_text_new();
    tui_text_add(t, role, 0, false, text);
    return t;
}

/* Which words decided it, and whether a tool settles it. */
static struct tui_text *why_of(const json_t *claim)
{
    const char *why = json_str(claim, "why", ""), *settled = json_str(claim, "settled", "");
    if (!*why && !*settled)
        return NULL;
    struct tui_text *t = tui_text_new();
    const char *side = !strcmp(settled, "a") ? "A" : "B";
    if (!*settled)
        tui_text_add(t, ROLE_DIM, 0, false, why);
    else if (*why)
        tui_text_addf(t, ROLE_DIM, 0, false, _("%s; a tool bears out %s"), why, side);
    else
        tui_text_addf(t, ROLE_DIM, 0, false, _("a tool bears out %s"), side);
    return t;
}

static void row_set(struct claim_row *r, const json_t *claim)
{
    enum tui_role role = verdicts[verdict_of(claim)].role;
    r->verdict = verdict_of(claim);
    snprintf(r->a, sizeof(r->a), "%.*s", NAME_MOST, model_of(claim, 0));
    snprintf(r->b, sizeof(r->b), "%.*s", NAME_MOST, model_of(claim, 1));
    r->left = text_of(role, json_str(claim, "a", ""));
    r->right = text_of(role, json_str(claim, "b", ""));
    r->why = why_of(claim);
}

static void release(struct trace_claims *c)
{
    for (size_t i = 0; i < c->count; i++) {
        struct tui_text *texts[] = {c->rows[i].left, c->rows[i].right, c->rows[i].why};
        for (size_t k = 0; k < 3; k++)
            if (texts[k])
                tui_text_free(texts[k]);
    }
    free(c->rows);
    *c = (struct trace_claims){0};
}

static bool same_models(const json_t *x, const json_t *y)
{
    return !strcmp(model_of(x, 0), model_of(y, 0)) && !strcmp(model_of(x, 1), model_of(y, 1));
}

/* All claims of the same two models as `one`, in the order of verdicts. */
static void add_models(struct trace_claims *c, const json_t *claims, const json_t *one)
{
    size_t i, first = c->count;
    const json_t *claim;
    for (int v = 0; v < VERDICTS; v++)
        json_array_foreach((json_t *)claims, i, claim)
        {
            if (!same_models(claim, one) || verdict_of(claim) != (enum verdict)v)
                continue;
            row_set(&c->rows[c->count++], claim);
            c->rows[first].counts[v]++;
        }
    c->rows[first].first = true;
}

void trace_claims_set(struct trace_claims *c, const json_t *trace)
{
    const json_t *claims = json_object_get(json_object_get(trace, "verdict"), "claims");
    size_t n = json_array_size(claims), i, k;
    release(c);
    if (!n)
        return;
    c->rows = xcalloc(n, sizeof(*c->rows));
    for (i = 0; i < n; i++) {
        const json_t *one = json_array_get(claims, i);
        for (k = 0; k < i && !same_models(json_array_get(claims, k), one); k++)
            ;
        if (k == i)
            add_models(c, claims, one);
    }
}

/* ---- drawing */

static void draw_head(struct view_page *p, const struct claim_row *r)
{
    struct buf counts = {0};
    p->y++;
    tui_putf(p->area, p->y++, 0, -1, ROLE_STRONG, _("claims: A %s, B %s"), r->a, r->b);
    for (int v = 0; v < VERDICTS; v++)
        if (r->counts[v])
            buf_addf(&counts, "%s%s %zu %s", counts.len ? "  " : "", tui_glyph(verdicts[v].glyph),
                     r->counts[v], _(verdicts[v].text));
    tui_put(p->area, p->y++, 0, -1, ROLE_DIM, counts.data ? counts.data : "");
    buf_release(&counts);
}

/* A text in a column of the page; returns the row behind it. */
static int draw_cell(const struct view_page *p, struct tui_text *t, int x, int width)
{
    struct view_page cell = {tui_sub(p->area, 0, x, p->area.height, width), p->y};
    if (t)
        view_page_text(&cell, t);
    return cell.y;
}

static void draw_side(struct view_page *p, const struct claim_row *r)
{
    int column = (p->area.width - WORD_WIDTH - GAP) / 2, right = WORD_WIDTH + column + GAP;
    int left_end = draw_cell(p, r->left, WORD_WIDTH, column);
    int right_end = draw_cell(p, r->right, right, p->area.width - right);
    int end = left_end > right_end ? left_end : right_end;
    end = end > p->y ? end : p->y + 1;
    tui_putf(p->area, p->y, 0, WORD_WIDTH - 1, verdicts[r->verdict].role, "%s %s",
             tui_glyph(verdicts[r->verdict].glyph), _(verdicts[r->verdict].text));
    for (int y = p->y < 0 ? 0 : p->y; y < end && y < p->area.height; y++)
        tui_put_glyph(p->area, y, right - 2, ROLE_RULE, GLYPH_VRULE);
    p->y = end;
    p->y = draw_cell(p, r->why, WORD_WIDTH, p->area.width - WORD_WIDTH);
}

static void draw_stacked(struct view_page *p, const struct claim_row *r)
{
    enum tui_role role = verdicts[r->verdict].role;
    tui_putf(p->area, p->y++, 0, -1, role, "%s %s", tui_glyph(verdicts[r->verdict].glyph),
             _(verdicts[r->verdict].text));
    if (r->left) {
        tui_put(p->area, p->y, 2, 1, role, "A");
        p->y = draw_cell(p, r->left, 4, p->area.width - 4);
    }
    if (r->right) {
        tui_put(p->area, p->y, 2, 1, role, "B");
        p->y = draw_cell(p, r->right, 4, p->area.width - 4);
    }
    p->y = draw_cell(p, r->why, 4, p->area.width - 4);
}

void trace_claims_draw(struct view_page *p, struct trace_claims *c)
{
    for (size_t i = 0; i < c->count; i++) {
        if (c->rows[i].first)
            draw_head(p, &c->rows[i]);
        if (p->area.width >= SIDE_WIDTH)
            draw_side(p, &c->rows[i]);
        else
            draw_stacked(p, &c->rows[i]);
    }
}

/* ---- what the answer stands on */

/* Who says otherwise than a sentence, and which of the two stands. */
static void conflict_text(struct tui_text *t, const json_t *conflict)
{
    const char *stands = json_str(conflict, "stands", ""), *by = json_str(conflict, "against", ""),
               *model = json_str(conflict, "model", "");
    bool here = strcmp(stands, "here") == 0;
    const char *glyph = tui_glyph(*stands ? GLYPH_CLAIM_AGAINST : GLYPH_CLAIM_OPEN);
    enum tui_role role = here ? ROLE_DIM : *stands ? ROLE_FAIL : ROLE_WARN;
    if (here)
        tui_text_addf(t, role, 2, false, _("%s it stands against [%s]"), glyph, by);
    else if (*stands)
        tui_text_addf(t, role, 2, false, _("%s [%s] is the better source"), glyph, by);
    else if (*by)
        tui_text_addf(t, role, 2, false, _("%s sources disagree: [%s]"), glyph, by);
    else if (*model)
        tui_text_addf(t, role, 2, false, _("%s models disagree: %s"), glyph, model);
    else
        tui_text_addf(t, role, 2, false, _("%s the answer contradicts itself"), glyph);
    tui_text_add(t, ROLE_FOREIGN, 4, true, json_str(conflict, "text", ""));
    tui_text_add(t, ROLE_FOREIGN, 4, true, json_str(conflict, "with", ""));
}

void trace_grounding_text(struct tui_text *t, const json_t *trace)
{
    const json_t *g = json_object_get(trace, "grounding"), *s;
    size_t i;
    if (!json_is_object(g))
        return;
    tui_text_add(t, ROLE_TEXT, 0, false, "");
    tui_text_addf(t, ROLE_DIM, 0, false,
                  _("of %lld sentences of the answer sources support %lld and contradict %lld"),
                  (long long)json_int(g, "assessed", 0), (long long)json_int(g, "supported", 0),
                  (long long)json_int(g, "contradicted", 0));
    if (json_int(g, "removed", 0) > 0)
        tui_text_addf(t, ROLE_DIM, 0, false, _("left out of the answer: %lld"),
                      (long long)json_int(g, "removed", 0));
    json_array_foreach(json_object_get(g, "sentences"), i, s)
    {
        const char *state = json_str(s, "state", "");
        bool against = !strcmp(state, "contradicted");
        if (!against && strcmp(state, "unsupported") != 0)
            continue;
        tui_text_addf(t, against ? ROLE_FAIL : ROLE_WARN, 2, false, "%s %s",
                      tui_glyph(against ? GLYPH_CLAIM_AGAINST : GLYPH_CLAIM_OPEN),
                      against ? _("a source says otherwise") : _("no source supports"));
        tui_text_add(t, ROLE_FOREIGN, 4, true, json_str(s, "text", ""));
    }
    json_array_foreach(json_object_get(g, "conflicts"), i, s) conflict_text(t, s);
}
