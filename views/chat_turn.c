/* A turn of the chat as lines: the head says who, when and how, the body is the answer behind the
 * foreign bar, the tail has what is disputed, the sources and errors. */
#include "views/chat_turn.h"
#include "backend/base/clock.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { INDENT = 1, QUESTION_INDENT = 3, UNKNOWN_LINES = 6 };

static const char *const DOT = "  "; /* between the parts of a header */

struct chat_turn *chat_turn_new(const char *trace_id)
{
    struct chat_turn *t = xcalloc(1, sizeof(*t));
    snprintf(t->trace_id, sizeof(t->trace_id), "%s", trace_id);
    t->at = clock_real_ms();
    t->since = clock_mono_ms();
    t->lines = UNKNOWN_LINES;
    return t;
}

static void parts_make(struct chat_turn *t)
{
    if (!t->head) {
        t->head = tui_text_new();
        t->body = tui_text_new();
        t->tail = tui_text_new();
    }
    t->loaded = true;
}

void chat_turn_unload(struct chat_turn *t)
{
    if (t->stream)
        tui_markdown_end(t->stream);
    t->stream = NULL;
    tui_text_free(t->head);
    tui_text_free(t->body);
    tui_text_free(t->tail);
    t->head = t->body = t->tail = NULL;
    free(t->question);
    t->question = NULL;
    json_decref(t->stages);
    t->stages = NULL;
    t->loaded = false;
}

void chat_turn_free(struct chat_turn *t)
{
    chat_turn_unload(t);
    free(t);
}

/* ---- words */

/* "lexical" of "builtin/lexical". */
static const char *model_short(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash && slash[1] ? slash + 1 : name;
}

static void clock_words(int64_t at, char out[16])
{
    time_t s = (time_t)(at / 1000), now = (time_t)(clock_real_ms() / 1000);
    struct tm tm, today;
    localtime_r(&s, &tm);
    localtime_r(&now, &today);
    bool same = tm.tm_yday == today.tm_yday && tm.tm_year == today.tm_year;
    strftime(out, 16, same ? "%H:%M" : "%m-%d %H:%M", &tm);
}

static const char *sign(const char *currency)
{
    return tui_ascii()                ? currency
           : !strcmp(currency, "RUB") ? "₽"
           : !strcmp(currency, "USD") ? "$"
           : !strcmp(currency, "EUR") ? "€"
                                      : currency;
}

/* ---- the head */

static void head_begin(struct chat_turn *t)
{
    char when[16];
    clock_words(t->at, when);
    tui_text_clear(t->head);
    tui_text_addf(t->head, ROLE_DIM, INDENT, false, "%s  %s", _("you"), when);
    tui_text_add(t->head, ROLE_USER, QUESTION_INDENT, false, t->question ? t->question : "");
    tui_text_add(t->head, ROLE_TEXT, 0, false, "");
}

static void stage_words(const json_t *stage, struct buf *out)
{
    const char *name = json_str(stage, "name", ""), *state = json_str(stage, "state", "");
    const char *label = !strcmp(name, "model") || !strcmp(name, "critique")
                            ? model_short(json_str(stage, "label", name))
                            : name;
    char ms[16];
    tui_duration(json_num(stage, "ms", 0), ms);
    buf_adds(out, DOT);
    if (!strcmp(state, "running"))
        buf_addf(out, "%s %s", tui_glyph(GLYPH_RUNNING), label);
    else if (!strcmp(state, "failed"))
        buf_addf(out, "%s %s", tui_glyph(GLYPH_FAIL), label);
    else
        buf_addf(out, "%s %s", label, ms);
}

/* "copilot  2 s   draft of lexical   plan 12 ms   > vector". */
static void head_running(struct chat_turn *t)
{
    struct buf b = {0};
    uint64_t s = (clock_mono_ms() - t->since) / 1000;
    head_begin(t);
    buf_adds(&b, _("copilot"));
    if (s)
        buf_addf(&b, "  %llu s", (unsigned long long)s);
    if (t->draft_model[0]) {
        buf_adds(&b, DOT);
        buf_addf(&b, _("draft of %s"), model_short(t->draft_model));
    }
    size_t i;
    json_t *stage;
    json_array_foreach(t->stages, i, stage)
    {
        const char *name = json_str(stage, "name", "");
        if (strcmp(name, "log") &&
            (strcmp(json_str(stage, "state", ""), "done") || strcmp(name, "tools")))
            stage_words(stage, &b);
    }
    if (!t->stages)
        buf_addf(&b, "%s%s", DOT, t->trace_id[0] ? _("working") : _("sent"));
    tui_text_add(t->head, ROLE_DIM, INDENT, false, b.data);
    buf_release(&b);
}

static void candidate_words(const json_t *c, bool first, struct buf *out)
{
    const char *state = json_str(c, "state", "");
    buf_addf(out, "%s%s", first ? DOT : ", ", model_short(json_str(c, "model", "?")));
    if (json_is_number(json_object_get(c, "composite")))
        buf_addf(out, " %.2f", json_num(c, "composite", 0));
    if (json_flag(c, "chosen", false))
        buf_addf(out, " %s %s", tui_glyph(GLYPH_OK), _("chosen"));
    else if (strcmp(state, "done"))
        buf_addf(out, " %s %s", tui_glyph(GLYPH_FAIL), _(state));
}

static void usage_words(const json_t *trace, struct buf *out)
{
    const json_t *usage = json_object_get(trace, "usage");
    if (!json_is_object(usage))
        return;
    int64_t tokens = json_int(usage, "input_tokens", 0) + json_int(usage, "output_tokens", 0);
    buf_addf(out, "%s%s%lld %s", DOT, json_flag(usage, "estimated", false) ? "~" : "",
             (long long)tokens, _("tok"));
    const json_t *cost = json_object_get(usage, "cost");
    if (json_is_object(cost))
        buf_addf(out, "%s%s%s%s", DOT, json_str(cost, "amount", "?"), tui_ascii() ? " " : "\u00a0",
                 sign(json_str(cost, "currency", "")));
    else
        buf_addf(out, "%s%s", DOT, _("cost unknown"));
}

static void head_ended(struct chat_turn *t, const json_t *trace)
{
    struct buf b = {0};
    head_begin(t);
    char took[16];
    buf_adds(&b, _("copilot"));
    const json_t *verdict = json_object_get(trace, "verdict");
    size_t i;
    json_t *c;
    json_array_foreach(json_object_get(trace, "candidates"), i, c) candidate_words(c, i == 0, &b);
    if (json_is_number(json_object_get(verdict, "D")))
        buf_addf(&b, "%sD=%.2f", DOT, json_num(verdict, "D", 0));
    if (json_flag(verdict, "weak", false))
        buf_addf(&b, "%s%s %s", DOT, tui_glyph(GLYPH_WARN), _("weak"));
    usage_words(trace, &b);
    tui_duration(json_num(trace, "elapsed_ms", -1), took);
    buf_addf(&b, "%s%s", DOT, took);
    tui_text_add(t->head, ROLE_DIM, INDENT, false, b.data);
    buf_release(&b);
}

/* ---- the tail */

/* "3" of a source; ids are numbers or short words. */
static void source_id(const json_t *source, char out[32])
{
    const json_t *id = json_object_get(source, "id");
    if (json_is_integer(id))
        snprintf(out, 32, "%lld", (long long)json_integer_value(id));
    else
        snprintf(out, 32, "%.31s", json_str(source, "id", "?"));
}

/* Is "[id]" in the answer? Several may share the brackets: "[1, 3]". */
static bool cited(const char *answer, const char *id)
{
    size_t n = strlen(id);
    for (const char *open = strchr(answer, '['); open; open = strchr(open + 1, '['))
        for (const char *p = open; *p && *p != ']'; p++)
            if ((*p == '[' || *p == ',' || *p == ' ') && !strncmp(p + 1, id, n) &&
                strchr("],", p[n + 1]) && p[n + 1])
                return true;
    return false;
}

/* A line for each source that is cited; of the others only the numbers. */
static void tail_sources(struct chat_turn *t, const json_t *trace)
{
    const char *answer = json_str(trace, "answer", "");
    struct buf rest = {0};
    size_t i;
    json_t *s;
    json_array_foreach(json_object_get(trace, "sources"), i, s)
    {
        char id[32];
        source_id(s, id);
        if (!cited(answer, id)) {
            buf_addf(&rest, " [%s]", id);
            continue;
        }
        const char *kind = json_str(s, "kind", ""), *ref = json_str(s, "ref", "");
        if (!strcmp(kind, "runbook") && !strncmp(ref, "runbooks/", 9))
            ref += 9;
        tui_text_addf(t->tail, ROLE_DIM, QUESTION_INDENT, false, "[%s] %s %s", id, kind, ref);
    }
    if (rest.len)
        tui_text_addf(t->tail, ROLE_DIM, QUESTION_INDENT, false, "%s%s", _("read, not cited:"),
                      rest.data);
    buf_release(&rest);
}

static void tail_make(struct chat_turn *t, const json_t *trace)
{
    tui_text_clear(t->tail);
    size_t i;
    json_t *d;
    json_array_foreach(json_object_get(json_object_get(trace, "verdict"), "disputed"), i, d)
        tui_text_addf(t->tail, ROLE_WARN, INDENT, true, "%s %s: %s", tui_glyph(GLYPH_WARN),
                      _("disputed"), json_is_string(d) ? json_string_value(d) : "?");
    const char *state = json_str(trace, "state", "");
    const char *error = json_str(trace, "error", "");
    if (!strcmp(state, "stopped"))
        tui_text_addf(t->tail, ROLE_WARN, INDENT, false, "%s %s%s%s", tui_glyph(GLYPH_STOPPED),
                      _("stopped"), *error ? ": " : "", error);
    else if (!strcmp(state, "failed")) {
        tui_text_addf(t->tail, ROLE_FAIL, INDENT, false, "%s %s: %s", tui_glyph(GLYPH_FAIL),
                      _("no answer"), *error ? error : _("the reason is not known"));
        tui_text_add(t->tail, ROLE_DIM, QUESTION_INDENT, false,
                     _("see the arbitration pane (2) for what each model said, and the connectors "
                       "pane (3)"));
    }
    tail_sources(t, trace);
    tui_text_add(t->tail, ROLE_TEXT, 0, false, "");
}

/* ---- from the backend */

static void draft_end(struct chat_turn *t)
{
    if (t->stream)
        tui_markdown_end(t->stream);
    t->stream = NULL;
}

void chat_turn_set(struct chat_turn *t, const json_t *trace)
{
    int64_t at;
    parts_make(t);
    t->fetching = false;
    snprintf(t->trace_id, sizeof(t->trace_id), "%s", json_str(trace, "trace_id", t->trace_id));
    t->rowid = json_int(trace, "rowid", t->rowid);
    if (!clock_parse(json_str(trace, "at", ""), &at))
        t->at = at;
    free(t->question);
    t->question = xstrdup(json_str(trace, "question", ""));
    t->running = !strcmp(json_str(trace, "state", ""), "running");
    if (t->running) {
        chat_turn_stages(t, json_object_get(trace, "stages"));
        return;
    }
    draft_end(t);
    json_decref(t->stages);
    t->stages = NULL;
    head_ended(t, trace);
    tui_text_clear(t->body);
    const char *answer = json_str(trace, "answer", "");
    if (*answer)
        tui_text_add_markdown(t->body, INDENT, true, answer);
    tail_make(t, trace);
}

struct chat_turn *chat_turn_asked(const char *question)
{
    struct chat_turn *t = chat_turn_new("");
    parts_make(t);
    t->question = xstrdup(question);
    t->running = true;
    head_running(t);
    tui_text_add(t->tail, ROLE_TEXT, 0, false, "");
    return t;
}

void chat_turn_fail(struct chat_turn *t, const struct error *e)
{
    t->running = false;
    head_begin(t);
    tui_text_clear(t->tail);
    tui_text_addf(t->tail, ROLE_FAIL, INDENT, false, "%s %s: %s%s%s", tui_glyph(GLYPH_FAIL),
                  _("not asked"), _(err_text(e->code)), e->detail[0] ? ": " : "", e->detail);
    if (*err_hint(e->code))
        tui_text_add(t->tail, ROLE_DIM, QUESTION_INDENT, false, _(err_hint(e->code)));
    tui_text_add(t->tail, ROLE_TEXT, 0, false, "");
}

void chat_turn_token(struct chat_turn *t, const char *model, const char *text)
{
    if (!t->running || !t->loaded)
        return;
    if (!t->draft_model[0]) {
        snprintf(t->draft_model, sizeof(t->draft_model), "%s", model);
        head_running(t);
    }
    if (strncmp(t->draft_model, model, sizeof(t->draft_model) - 1))
        return;
    if (!t->stream)
        t->stream = tui_markdown_begin(t->body, INDENT, true);
    tui_markdown_feed(t->stream, text, strlen(text));
}

void chat_turn_stages(struct chat_turn *t, const json_t *stages)
{
    if (!t->running || !t->loaded)
        return;
    json_decref(t->stages);
    t->stages = json_array_size(stages) ? json_incref((json_t *)stages) : NULL;
    head_running(t);
}

void chat_turn_tick(struct chat_turn *t)
{
    if (t->running && t->loaded)
        head_running(t);
}

/* ---- lines */

int chat_turn_lines(struct chat_turn *t, int width)
{
    if (t->loaded) {
        t->lines = (int)(tui_text_lines(t->head, width) + tui_text_lines(t->body, width) +
                         tui_text_lines(t->tail, width));
        t->width = width;
    }
    return t->lines;
}

int chat_turn_draw(struct chat_turn *t, struct tui_area a, int first)
{
    int lines = chat_turn_lines(t, a.width), used = 0;
    if (!t->loaded) {
        if (first == 0)
            tui_put(a, 0, INDENT, -1, ROLE_DIM, tui_glyph(GLYPH_ELLIPSIS));
        used = lines - first;
        return used < a.height ? used : a.height;
    }
    struct tui_text *parts[] = {t->head, t->body, t->tail};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && used < a.height; i++) {
        int n = (int)tui_text_lines(parts[i], a.width);
        if (first < n) {
            int rows = n - first < a.height - used ? n - first : a.height - used;
            tui_text_draw(parts[i], tui_sub(a, used, 0, rows, a.width), (size_t)first);
            used += rows;
            first = 0;
        } else {
            first -= n;
        }
    }
    return used;
}

char *chat_turn_plain(const struct chat_turn *t)
{
    return t->loaded ? tui_text_plain(t->body) : xstrdup("");
}
