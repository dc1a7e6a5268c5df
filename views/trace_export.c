#include "views/trace_export.h"
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "views/trace_diff.h"
#include "views/trace_page.h"
#include "views/trace_parts.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- Markdown */

/* A text in a row: no line ends, and no bars, which part the cells of a table. */
static void one_line(struct buf *out, const char *text)
{
    char *clean = text_cleaned(text, TEXT_ONE_LINE);
    buf_adds(out, " ");
    for (const char *p = clean; *p; p++) {
        if (*p == '|')
            buf_adds(out, "\\|");
        else
            buf_addc(out, *p == '\n' ? ' ' : *p);
    }
    free(clean);
}

static void cell(struct buf *out, const char *text)
{
    one_line(out, text);
    buf_adds(out, " |");
}

static void foreign(struct buf *out, const char *text)
{
    char *clean = text_cleaned(text, 0);
    buf_addf(out, "%s\n\n", clean);
    free(clean);
}

/* The same as a quotation, so that its headings are none of this document. */
static void quoted(struct buf *out, const char *text)
{
    char *clean = text_cleaned(text, 0);
    buf_adds(out, "> ");
    for (const char *p = clean; *p; p++) {
        buf_addc(out, *p);
        if (*p == '\n')
            buf_adds(out, "> ");
    }
    buf_adds(out, "\n\n");
    free(clean);
}

static void row_of(struct buf *out, const char *name, const char *text)
{
    if (!*text)
        return;
    buf_adds(out, "|");
    cell(out, name);
    cell(out, text);
    buf_addc(out, '\n');
}

static void number_row(struct buf *out, const char *name, const json_t *number)
{
    char text[32];
    view_number(number, 2, text);
    if (json_is_number(number))
        row_of(out, name, text);
}

static void put_head(struct buf *out, const json_t *t)
{
    struct buf reason = {0};
    size_t i;
    const json_t *f;
    const json_t *v = json_object_get(t, "verdict"), *risk = json_object_get(t, "risk");
    char took[16], tokens[32], cost[48], at[40] = "";
    time_t s = (time_t)(view_at(t, "at") / 1000);
    struct tm tm;
    if (s > 0 && gmtime_r(&s, &tm))
        strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%SZ", &tm);
    tui_duration(json_num(t, "elapsed_ms", -1), took);
    trace_tokens(t, tokens);
    trace_cost(t, cost);
    buf_adds(out, "# ");
    foreign(out, json_str(t, "question", "-"));
    buf_adds(out, "| | |\n|---|---|\n");
    row_of(out, _("trace"), json_str(t, "trace_id", ""));
    row_of(out, _("time"), at);
    row_of(out, _("state"), _(json_str(t, "state", "")));
    row_of(out, _("flow"), json_str(t, "flow", ""));
    row_of(out, _("took"), took);
    row_of(out, _("tokens"), tokens);
    row_of(out, _("cost"), cost);
    row_of(out, _("winner"), json_str(v, "winner", ""));
    row_of(out, _("route"), json_str(v, "route", ""));
    view_said(v, "reason", &reason);
    row_of(out, _("reason"), reason.data ? reason.data : "");
    number_row(out, _("divergence"), json_object_get(v, "D"));
    number_row(out, _("safety gap"), json_object_get(v, "S"));
    number_row(out, _("risk"), json_object_get(risk, "score"));
    json_array_foreach(json_object_get(risk, "features"), i, f)
    {
        if (json_num(f, "part", 0) <= 0)
            continue;
        char *name = xasprintf("%s: %s", _("risk"), trace_feature_name(json_str(f, "name", "-")));
        number_row(out, name, json_object_get(f, "part"));
        free(name);
    }
    buf_adds(out, "\n");
    buf_release(&reason);
}

static void put_nodes(struct buf *out, const json_t *t)
{
    size_t i;
    const json_t *n;
    if (!trace_has_nodes(t))
        return;
    buf_addf(
        out,
        "## %s\n\n| %s | %s | %s | %s | %s | %s | %s | %s |\n|---|---|---|---|---|---|---|---|\n",
        _("nodes"), _("node"), _("model"), _("state"), _("begin"), _("took"), _("tokens"),
        _("cost"), _("note"));
    json_array_foreach(json_object_get(t, "nodes"), i, n)
    {
        char began[16], took[16], tokens[32], cost[48] = "";
        struct buf note = {0};
        tui_duration(json_num(n, "began_ms", -1), began);
        tui_duration(json_num(n, "elapsed_ms", -1), took);
        view_number(json_object_get(n, "tokens"), 0, tokens);
        if (json_is_object(json_object_get(n, "cost")))
            trace_cost(n, cost);
        view_said(n, "note", &note);
        const char *cells[] = {json_str(n, "id", "-"),
                               json_str(n, "model", ""),
                               _(json_str(n, "state", "")),
                               began,
                               took,
                               tokens,
                               cost,
                               note.data ? note.data : ""};
        buf_addc(out, '|');
        for (size_t k = 0; k < sizeof(cells) / sizeof(cells[0]); k++)
            cell(out, cells[k]);
        buf_addc(out, '\n');
        buf_release(&note);
    }
    buf_addc(out, '\n');
    json_array_foreach(json_object_get(t, "path"), i, n)
    {
        struct buf values = {0};
        trace_values(t, n, &values);
        buf_addf(out, "- %s → %s", json_str(n, "from", "-"), json_str(n, "to", "-"));
        if (*json_str(n, "when", ""))
            buf_addf(out, ": `%s` (%s)", json_str(n, "when", ""), values.data ? values.data : "");
        buf_addc(out, '\n');
        buf_release(&values);
    }
    buf_addc(out, '\n');
}

/* What models said within the flow that is no answer. */
static void put_turns(struct buf *out, const json_t *t)
{
    size_t i;
    const json_t *n;
    json_array_foreach(json_object_get(t, "nodes"), i, n)
    {
        const char *text = json_str(json_object_get(n, "run"), "text", "");
        if (!*text)
            continue;
        buf_addf(out, "## %s: %s\n\n", json_str(n, "id", "-"), json_str(n, "model", "-"));
        quoted(out, text);
    }
}

static void put_candidates(struct buf *out, const json_t *t)
{
    static const char *const names[][2] = {{"composite", N_("composite")},
                                           {"overlap", N_("overlap")},
                                           {"reasoning", N_("reasoning")},
                                           {"safety_risk", N_("safety risk")}};
    size_t i;
    const json_t *c;
    json_array_foreach(json_object_get(t, "candidates"), i, c)
    {
        buf_addf(out, "## %s%s%s\n\n", json_str(c, "model", "-"),
                 json_flag(c, "chosen", false) ? ", " : "",
                 json_flag(c, "chosen", false) ? _("chosen") : "");
        buf_adds(out, "| | |\n|---|---|\n");
        for (size_t k = 0; k < 4; k++)
            number_row(out, _(names[k][1]), json_object_get(c, names[k][0]));
        row_of(out, _("error"), json_str(c, "error", ""));
        buf_addc(out, '\n');
        quoted(out, json_str(c, "text", ""));
    }
    json_array_foreach(json_object_get(t, "critiques"), i, c)
    {
        buf_addf(out, _("%s on %s: %s"), json_str(c, "model", "-"), json_str(c, "of", "-"),
                 json_flag(c, "changed", false) ? _("changed its answer") : _("kept its answer"));
        buf_adds(out, "\n\n");
        quoted(out, json_str(c, "text", ""));
    }
}

static void put_claims(struct buf *out, const json_t *t)
{
    const json_t *claims = json_object_get(json_object_get(t, "verdict"), "claims"), *c;
    size_t i;
    if (!json_array_size(claims))
        return;
    buf_addf(out, "## %s\n\n| | A | B | %s |\n|---|---|---|---|\n", _("claims"), _("why"));
    json_array_foreach((json_t *)claims, i, c)
    {
        buf_addc(out, '|');
        cell(out, json_str(c, "verdict", "-"));
        cell(out, json_str(c, "a", ""));
        cell(out, json_str(c, "b", ""));
        cell(out, json_str(c, "why", ""));
        buf_addc(out, '\n');
    }
    buf_addc(out, '\n');
}

static void put_grounding(struct buf *out, const json_t *t)
{
    const json_t *g = json_object_get(t, "grounding"), *s;
    size_t i;
    bool any = false;
    json_array_foreach(json_object_get(g, "sentences"), i, s)
    {
        const char *state = json_str(s, "state", "");
        bool against = !strcmp(state, "contradicted");
        if (!against && strcmp(state, "unsupported") != 0)
            continue;
        buf_addf(out, "- %s:", against ? _("a source says otherwise") : _("no source supports"));
        one_line(out, json_str(s, "text", ""));
        buf_addc(out, '\n');
        any = true;
    }
    buf_adds(out, any ? "\n" : "");
}

static void put_rest(struct buf *out, const json_t *t)
{
    size_t i;
    const json_t *s;
    buf_addf(out, "## %s\n\n", _("answer"));
    quoted(out, trace_answer(t));
    put_grounding(out, t);
    if (json_array_size(json_object_get(t, "sources")))
        buf_addf(out, "## %s\n\n", _("sources"));
    json_array_foreach(json_object_get(t, "sources"), i, s)
    {
        buf_addf(out, "[%s] %s %s\n\n", json_str(s, "id", "-"), json_str(s, "kind", "-"),
                 json_str(s, "ref", "-"));
        quoted(out, json_str(s, "text", ""));
    }
    json_array_foreach(json_object_get(t, "entries"), i, s) buf_addf(
        out, i ? ", %lld" : _("entries of the log: %lld"), (long long)json_integer_value(s));
    buf_addc(out, '\n');
}

void trace_markdown(const json_t *trace, struct buf *out)
{
    put_head(out, trace);
    put_nodes(out, trace);
    put_claims(out, trace);
    put_turns(out, trace);
    put_candidates(out, trace);
    put_rest(out, trace);
}

/* ---- the file */

static bool is_json(const char *path)
{
    size_t n = strlen(path);
    return n > 5 && !strcmp(path + n - 5, ".json");
}

static void take_path(void *arg, const char *path)
{
    json_t **kept = arg, *trace = *kept;
    struct buf out = {0};
    int fd = view_file_new(path);
    if (fd < 0)
        return;
    if (is_json(path)) {
        char *text = json_dumps(trace, JSON_INDENT(2));
        buf_addf(&out, "%s\n", text ? text : "");
        free(text);
    } else {
        trace_markdown(trace, &out);
    }
    bool good = view_file_write(fd, out.data, out.len);
    int why = errno;
    if (close(fd) != 0 && good) {
        why = errno;
        good = false;
    }
    if (good) {
        tui_say(_("the trace is in %s"), path);
    } else {
        unlink(path);
        tui_say(_("not exported: %s"), strerrordesc_np(why));
    }
    buf_release(&out);
}

void trace_export_ask(json_t **kept, const json_t *trace)
{
    json_decref(*kept);
    *kept = json_deep_copy(trace); /* what is shown may become another one meanwhile */
    char day[16] = "";
    time_t now = (time_t)(clock_real_ms() / 1000);
    struct tm tm;
    if (localtime_r(&now, &tm))
        strftime(day, sizeof(day), "%Y%m%d", &tm);
    char *path = xasprintf("trace-%.8s-%s.md", json_str(trace, "trace_id", "-"), day);
    tui_prompt(_("into the file (.md or .json)"), path, take_path, kept);
    free(path);
}
