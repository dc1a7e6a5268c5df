#include "views/trace_diff.h"
#include "views/trace_page.h"
#include "views/trace_parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINES_MOST = 200 };

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

static void heading(struct tui_text *t, const char *words)
{
    tui_text_add(t, ROLE_TEXT, 0, false, "");
    tui_text_add(t, ROLE_DIM, 0, false, words);
}

static void both(struct tui_text *t, const char *name, const char *a, const char *b)
{
    if (!strcmp(a, b))
        tui_text_addf(t, ROLE_TEXT, 0, false, "%s %s: %s", tui_glyph(GLYPH_CLAIM_AGREES), name, a);
    else
        tui_text_addf(t, ROLE_WARN, 0, false, "%s %s: A %s, B %s", tui_glyph(GLYPH_CLAIM_AGAINST),
                      name, a, b);
}

static void one_of(struct tui_text *t, bool a, const char *text)
{
    tui_text_addf(t, a ? ROLE_CHART : ROLE_CHART_ALT, 0, false, "%s %s %s",
                  tui_glyph(a ? GLYPH_CLAIM_A : GLYPH_CLAIM_B), a ? "A" : "B", text);
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

static void number(struct tui_text *t, const char *name, double a, double b)
{
    char x[32] = "-", y[32] = "-";
    if (a >= 0)
        snprintf(x, sizeof(x), "%.2f", a);
    if (b >= 0)
        snprintf(y, sizeof(y), "%.2f", b);
    both(t, name, x, y);
}

static void figures(struct tui_text *t, const json_t *a, const json_t *b)
{
    char x[48], y[48];
    struct buf ma = {0}, mb = {0};
    models_of(a, &ma);
    models_of(b, &mb);
    both(t, _("question"), json_str(a, "question", "-"), json_str(b, "question", "-"));
    both(t, _("flow"), json_str(a, "flow", "-"), json_str(b, "flow", "-"));
    both(t, _("models"), ma.data, mb.data);
    both(t, _("state"), _(json_str(a, "state", "unknown")), _(json_str(b, "state", "unknown")));
    tui_duration(json_num(a, "elapsed_ms", -1), x);
    tui_duration(json_num(b, "elapsed_ms", -1), y);
    both(t, _("took"), x, y);
    trace_tokens(a, x);
    trace_tokens(b, y);
    both(t, _("tokens"), x, y);
    trace_cost(a, x);
    trace_cost(b, y);
    both(t, _("cost"), x, y);
    buf_release(&ma);
    buf_release(&mb);
}

static void verdicts(struct tui_text *t, const json_t *a, const json_t *b)
{
    const json_t *v = json_object_get(a, "verdict"), *w = json_object_get(b, "verdict");
    heading(t, _("verdict"));
    both(t, _("winner"), json_str(v, "winner", "-"), json_str(w, "winner", "-"));
    both(t, _("route"), json_str(v, "route", "-"), json_str(w, "route", "-"));
    number(t, _("composite"), composite_of(a), composite_of(b));
    number(t, _("divergence"), json_num(v, "D", -1), json_num(w, "D", -1));
    number(t, _("safety gap"), json_num(v, "S", -1), json_num(w, "S", -1));
    number(t, _("risk"), json_num(json_object_get(a, "risk"), "score", -1),
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

static void sources(struct tui_text *t, const json_t *a, const json_t *b)
{
    size_t i;
    const json_t *s;
    heading(t, _("tools and runbooks"));
    json_array_foreach(json_object_get(a, "sources"), i, s)
    {
        const json_t *other = source_of(b, s);
        bool same = other && !strcmp(json_str(s, "text", ""), json_str(other, "text", ""));
        if (!other)
            one_of(t, true, json_str(s, "ref", "-"));
        else
            tui_text_addf(t, same ? ROLE_TEXT : ROLE_WARN, 0, false, "%s %s%s",
                          tui_glyph(same ? GLYPH_CLAIM_AGREES : GLYPH_CLAIM_AGAINST),
                          json_str(s, "ref", "-"), same ? "" : _(": another text"));
    }
    json_array_foreach(json_object_get(b, "sources"), i, s)
    {
        if (!source_of(a, s))
            one_of(t, false, json_str(s, "ref", "-"));
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
static void nodes(struct tui_text *t, const json_t *a, const json_t *b)
{
    size_t i;
    const json_t *n;
    char x[96], y[96];
    heading(t, _("nodes"));
    json_array_foreach(json_object_get(a, "nodes"), i, n)
    {
        const json_t *m = node_of(b, json_str(n, "id", "-"));
        node_words(n, x);
        if (!m) {
            one_of(t, true, json_str(n, "id", "-"));
            continue;
        }
        node_words(m, y);
        bool same = !strcmp(json_str(n, "state", ""), json_str(m, "state", "")) &&
                    !strcmp(json_str(n, "model", ""), json_str(m, "model", ""));
        tui_text_addf(t, same ? ROLE_TEXT : ROLE_WARN, 0, false, "%s %s: A %s, B %s",
                      tui_glyph(same ? GLYPH_CLAIM_AGREES : GLYPH_CLAIM_AGAINST),
                      json_str(n, "id", "-"), x, y);
    }
    json_array_foreach(json_object_get(b, "nodes"), i, n)
    {
        if (!node_of(a, json_str(n, "id", "-")))
            one_of(t, false, json_str(n, "id", "-"));
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

static void answers(struct tui_text *t, const json_t *a, const json_t *b)
{
    static uint8_t best[LINES_MOST + 1][LINES_MOST + 1]; /* longest common rest from i, k on */
    struct lines x, y;
    heading(t, _("answers"));
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
            tui_text_addf(t, ROLE_FOREIGN, 0, false, "%s   %s", tui_glyph(GLYPH_CLAIM_AGREES),
                          x.at[i]);
            i++, k++;
        } else if (i < x.count && (k == y.count || best[i + 1][k] >= best[i][k + 1])) {
            one_of(t, true, x.at[i++]);
        } else {
            one_of(t, false, y.at[k++]);
        }
    }
    free(x.text);
    free(y.text);
}

void trace_diff_text(struct tui_text *t, const json_t *a, const json_t *b)
{
    char x[16], y[16];
    view_clock(view_at(a, "at"), x);
    view_clock(view_at(b, "at"), y);
    tui_text_addf(t, ROLE_STRONG, 0, false, _("A: %s, trace %.12s"), x,
                  json_str(a, "trace_id", "-"));
    tui_text_addf(t, ROLE_STRONG, 0, false, _("B: %s, trace %.12s"), y,
                  json_str(b, "trace_id", "-"));
    tui_text_add(t, ROLE_TEXT, 0, false, "");
    figures(t, a, b);
    verdicts(t, a, b);
    sources(t, a, b);
    nodes(t, a, b);
    answers(t, a, b);
}
