/* A turn of the chat as lines: the head says who, when and how, the body is the answer behind the
 * foreign bar, the tail has what is disputed, the sources and errors. */
#include "views/chat_turn.h"
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "views/chat_safety.h"
#include "views/common.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { INDENT = 1, QUESTION_INDENT = 3, UNKNOWN_LINES = 6, PART_GAP = 2, STEADY_MS = 250 };

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
        tui_text_tight(t->body, t->level > 1 ? t->level : 1);
    }
    t->loaded = true;
}

static void parts_clear(struct chat_turn *t)
{
    for (size_t i = 0; i < t->part_count; i++)
        free(t->parts[i].text);
    t->part_count = 0;
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
    chat_chart_free(t->chart);
    t->chart = NULL;
    parts_clear(t);
    free(t->question);
    free(t->failure);
    t->question = t->failure = NULL;
    json_decref(t->stages);
    json_decref(t->trace);
    json_decref(t->pace);
    t->stages = t->trace = t->pace = NULL;
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

/* ---- the head */

/* A part of the line about the answer; the higher drop, the sooner left out; 0: never. */
static void part(struct chat_turn *t, enum tui_role role, int drop, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void part(struct chat_turn *t, enum tui_role role, int drop, const char *format, ...)
{
    if (t->part_count == CHAT_PARTS)
        return;
    struct buf b = {0};
    va_list args;
    va_start(args, format);
    buf_vaddf(&b, format, args);
    va_end(args);
    t->parts[t->part_count++] = (struct chat_part){role, drop, buf_take(&b)};
}

static void head_begin(struct chat_turn *t)
{
    char when[16];
    const char *question = t->question ? t->question : "";
    clock_words(t->at, when);
    tui_text_clear(t->head);
    parts_clear(t);
    if (t->level > 0) {
        tui_text_addf(t->head, ROLE_USER, INDENT, false, "%s  %s", _("you"), question);
    } else {
        tui_text_addf(t->head, ROLE_DIM, INDENT, false, "%s  %s", _("you"), when);
        tui_text_add(t->head, ROLE_USER, QUESTION_INDENT, false, question);
        tui_text_add(t->head, ROLE_TEXT, 0, false, "");
    }
    part(t, ROLE_DIM, 0, "%s", _("copilot"));
    if (json_object_get(t->trace, "again"))
        part(t, ROLE_ACCENT, 1, "%s", _("asked again"));
    if (t->level > 0)
        part(t, ROLE_DIM, 8, "%s", when);
}

static void stage_part(struct chat_turn *t, const json_t *stage)
{
    const char *name = json_str(stage, "name", ""), *state = json_str(stage, "state", "");
    const char *label = !strcmp(name, "model") || !strcmp(name, "critique")
                            ? model_short(json_str(stage, "label", name))
                            : name;
    char ms[16];
    tui_duration(json_num(stage, "ms", 0), ms);
    if (!strcmp(state, "running"))
        part(t, ROLE_DIM, 3, "%s %s", tui_glyph(GLYPH_RUNNING), label);
    else if (!strcmp(state, "failed"))
        part(t, ROLE_FAIL, 1, "%s %s", tui_glyph(GLYPH_FAIL), label);
    else
        part(t, ROLE_DIM, 6, "%s %s", label, ms);
}

/* Of the one whose draft is shown: "~38 tok/s  first 0.4 s  ~0.02 ₽". */
static void pace_parts(struct chat_turn *t)
{
    size_t i;
    const json_t *one;
    json_array_foreach(t->pace, i, one)
    {
        const json_t *cost = json_object_get(one, "cost");
        char text[48];
        if (strcmp(json_str(one, "model", ""), t->draft_model) != 0)
            continue;
        if (json_is_number(json_object_get(one, "per_second")))
            part(t, ROLE_TEXT, 2, "~%.0f %s", json_num(one, "per_second", 0), _("tok/s"));
        tui_duration(json_num(one, "first_token_ms", -1), text);
        part(t, ROLE_DIM, 4, _("first %s"), text);
        if (!json_is_object(cost))
            continue;
        view_money(json_str(cost, "amount", NULL), json_str(cost, "currency", ""), true, text);
        part(t, ROLE_DIM, 3, "%s", text);
    }
}

/* "copilot  2 s  draft of lexical  plan 12 ms  > vector". */
static void head_running(struct chat_turn *t)
{
    uint64_t s = (clock_mono_ms() - t->since) / 1000;
    head_begin(t);
    if (s)
        part(t, ROLE_TEXT, 0, "%llu s", (unsigned long long)s);
    if (t->draft_model[0])
        part(t, ROLE_DIM, 2, _("draft of %s"), model_short(t->draft_model));
    pace_parts(t);
    size_t i;
    json_t *stage;
    json_array_foreach(t->stages, i, stage)
    {
        const char *name = json_str(stage, "name", "");
        if (strcmp(name, "log") &&
            (strcmp(json_str(stage, "state", ""), "done") || strcmp(name, "tools")))
            stage_part(t, stage);
    }
    if (!t->stages)
        part(t, ROLE_DIM, 1, "%s", t->trace_id[0] ? _("working") : _("sent"));
}

static void candidate_part(struct chat_turn *t, const json_t *c)
{
    const char *state = json_str(c, "state", ""), *name = model_short(json_str(c, "model", "?"));
    const char *other = json_str(c, "answered_by", "");
    bool chosen = json_flag(c, "chosen", false), done = !strcmp(state, "done");
    char composite[16] = "";
    if (json_is_number(json_object_get(c, "composite")))
        snprintf(composite, sizeof(composite), " %.2f", json_num(c, "composite", 0));
    const char *cut = json_str(c, "truncated", "");
    if (*cut && done)
        part(t, ROLE_WARN, chosen ? 0 : 3, "%s %s", tui_glyph(GLYPH_WARN),
             strcmp(cut, "over_budget") == 0 ? _("cut: token budget") : _("cut: length limit"));
    if (*other && done) /* who speaks here is not who was asked */
        part(t, ROLE_WARN, 0, _("%s in place of %s"), model_short(other), name);
    if (chosen)
        part(t, ROLE_OK, 0, "%s%s %s %s", *other ? model_short(other) : name, composite,
             tui_glyph(GLYPH_OK), _("chosen"));
    else if (!done)
        part(t, ROLE_FAIL, 1, "%s %s %s", name, tui_glyph(GLYPH_FAIL), _(state));
    else
        part(t, ROLE_DIM, 4, "%s%s", name, composite);
}

static void usage_parts(struct chat_turn *t)
{
    const json_t *usage = json_object_get(t->trace, "usage");
    if (!json_is_object(usage))
        return;
    int64_t tokens = json_int(usage, "input_tokens", 0) + json_int(usage, "output_tokens", 0);
    part(t, ROLE_DIM, 5, "%s%lld %s", json_flag(usage, "estimated", false) ? "~" : "",
         (long long)tokens, _("tok"));
    const json_t *cost = json_object_get(usage, "cost");
    if (json_is_object(cost)) {
        char money[48];
        view_money(json_str(cost, "amount", NULL), json_str(cost, "currency", ""),
                   json_flag(usage, "estimated", false), money);
        part(t, ROLE_DIM, 3, "%s", money);
    } else
        part(t, ROLE_DIM, 3, "%s", _("cost unknown"));
}

/* Whose answer it is; of one that was stopped, who spoke alone. NULL: nobody. */
static const json_t *speaker(const struct chat_turn *t)
{
    const json_t *list = json_object_get(t->trace, "candidates"), *c;
    size_t i;
    json_array_foreach(list, i, c)
    {
        if (json_flag(c, "chosen", false))
            return c;
    }
    return json_array_size(list) == 1 ? json_array_get(list, 0) : NULL;
}

/* How fast it came, as it was shown meanwhile: "38 tok/s  first 0.4 s". */
static void pace_ended(struct chat_turn *t)
{
    const json_t *c = speaker(t), *usage = json_object_get(c, "usage");
    double first = json_num(c, "first_token_ms", -1), all = json_num(c, "elapsed_ms", -1);
    double tokens = json_num(usage, "output_tokens", 0);
    char text[16];
    if (first < 1) /* unknown, or at once */
        return;
    if (tokens > 0 && all - first >= STEADY_MS)
        part(t, ROLE_DIM, 5, "%s%.0f %s", json_flag(usage, "estimated", false) ? "~" : "",
             tokens * 1000 / (all - first), _("tok/s"));
    tui_duration(first, text);
    part(t, ROLE_DIM, 8, _("first %s"), text);
}

static void head_ended(struct chat_turn *t)
{
    char took[16];
    const json_t *verdict = json_object_get(t->trace, "verdict");
    size_t i;
    json_t *c;
    head_begin(t);
    json_array_foreach(json_object_get(t->trace, "candidates"), i, c) candidate_part(t, c);
    if (json_flag(verdict, "weak", false))
        part(t, ROLE_WARN, 1, "%s %s", tui_glyph(GLYPH_WARN), _("weak"));
    if (json_is_number(json_object_get(verdict, "D")))
        part(t, ROLE_DIM, 7, "D %.2f", json_num(verdict, "D", 0));
    struct buf flagged = {0};
    chat_safety_short(t->trace, &flagged);
    if (flagged.len)
        part(t, ROLE_WARN, 0, "%s %s", tui_glyph(GLYPH_WARN), flagged.data);
    buf_release(&flagged);
    if (json_array_size(json_object_get(t->trace, "candidates"))) /* else no model was asked */
        usage_parts(t);
    pace_ended(t);
    tui_duration(json_num(t->trace, "elapsed_ms", -1), took);
    if (json_is_number(json_object_get(t->trace, "elapsed_ms")))
        part(t, ROLE_DIM, 2, "%s", took);
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

/* A line for each source that is cited, or all of them in one paragraph; of the others only the
 * numbers. */
static void tail_sources(struct chat_turn *t)
{
    const char *answer = json_str(t->trace, "answer", "");
    struct buf rest = {0}, all = {0}, label = {0};
    size_t i;
    json_t *s;
    json_array_foreach(json_object_get(t->trace, "sources"), i, s)
    {
        char id[32];
        source_id(s, id);
        if (!cited(answer, id)) {
            buf_addf(&rest, " [%s]", id);
            continue;
        }
        buf_clear(&label);
        buf_addf(&label, "[%s] ", id);
        view_source_label(s, t->level == 0, &label);
        if (t->level == 0)
            tui_text_add(t->tail, ROLE_DIM, QUESTION_INDENT, false, label.data);
        else
            buf_addf(&all, "%s%s", all.len ? "   " : "", label.data);
    }
    if (rest.len && t->level == 0)
        tui_text_addf(t->tail, ROLE_DIM, QUESTION_INDENT, false, "%s%s", _("read, not cited:"),
                      rest.data);
    if (all.len)
        tui_text_add(t->tail, ROLE_DIM, QUESTION_INDENT, false, all.data);
    buf_release(&rest);
    buf_release(&all);
    buf_release(&label);
}

/* That it waits for a person, or who gave it out. */
static void tail_withheld(struct chat_turn *t)
{
    const json_t *w = json_object_get(t->trace, "withheld");
    const char *state = json_str(w, "state", ""), *user = json_str(w, "user", "");
    if (!strcmp(state, "withheld"))
        tui_text_addf(t->tail, ROLE_WARN, INDENT, false, "%s %s", tui_glyph(GLYPH_WARN),
                      _("withheld until a person gives it out: /release"));
    else if (!strcmp(state, "released"))
        tui_text_addf(t->tail, ROLE_DIM, QUESTION_INDENT, false, _("given out by %s, risk %.2f"),
                      user, json_num(w, "score", 0));
}

static void tail_make(struct chat_turn *t)
{
    const json_t *trace = t->trace;
    tui_text_clear(t->tail);
    size_t i;
    json_t *d;
    json_array_foreach(json_object_get(json_object_get(trace, "verdict"), "disputed"), i, d)
        tui_text_addf(t->tail, ROLE_WARN, INDENT, true, "%s %s: %s", tui_glyph(GLYPH_WARN),
                      _("disputed"), json_is_string(d) ? json_string_value(d) : "?");
    const char *state = t->running ? "" : json_str(trace, "state", "");
    const char *error = json_str(trace, "error", "");
    if (t->failure) {
        tui_text_add(t->tail, ROLE_FAIL, INDENT, false, t->failure);
    } else if (!strcmp(state, "stopped")) {
        tui_text_addf(t->tail, ROLE_WARN, INDENT, false, "%s %s", tui_glyph(GLYPH_STOPPED),
                      *error ? error : _("stopped before it was finished"));
    } else if (!strcmp(state, "failed")) {
        tui_text_addf(t->tail, ROLE_FAIL, INDENT, false, "%s %s: %s", tui_glyph(GLYPH_FAIL),
                      *json_str(trace, "answer", "") ? _("the answer ends early") : _("no answer"),
                      *error ? error : _("the reason is not known"));
        tui_text_add(t->tail, ROLE_DIM, QUESTION_INDENT, false,
                     _("^T shows what each model said; the connectors are in pane 3"));
    }
    bool filtered = !t->running && chat_safety_add(t->tail, trace, t->level);
    if (!strcmp(state, "blocked") && !filtered)
        tui_text_addf(t->tail, ROLE_BLOCKED, INDENT, false, "%s %s", tui_glyph(GLYPH_BLOCKED),
                      *error ? error : _("blocked"));
    tail_withheld(t);
    if (!t->running) {
        chat_steered_add(t->tail, trace, t->level);
        tail_sources(t);
    }
    if (t->level < 2)
        tui_text_add(t->tail, ROLE_TEXT, 0, false, "");
}

static void head_make(struct chat_turn *t)
{
    if (t->running)
        head_running(t);
    else if (t->trace)
        head_ended(t);
    else
        head_begin(t);
}

void chat_turn_tighten(struct chat_turn *t, int level)
{
    if (t->level == level)
        return;
    t->level = level;
    if (!t->loaded)
        return;
    tui_text_tight(t->body, level > 1 ? level : 1);
    head_make(t);
    tail_make(t);
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
    int64_t at = view_at(trace, "at");
    parts_make(t);
    t->fetching = false;
    snprintf(t->trace_id, sizeof(t->trace_id), "%s", json_str(trace, "trace_id", t->trace_id));
    t->rowid = json_int(trace, "rowid", t->rowid);
    if (at > 0)
        t->at = at;
    free(t->question);
    t->question = xstrdup(json_str(trace, "question", ""));
    t->running = !strcmp(json_str(trace, "state", ""), "running");
    json_decref(t->trace);
    t->trace = json_incref((json_t *)trace); /* nobody changes it */
    free(t->failure);
    t->failure = NULL;
    chat_chart_free(t->chart);
    t->chart = t->running ? NULL : chat_chart_new(trace);
    if (t->running) {
        chat_turn_stages(t, json_object_get(trace, "stages"));
        tail_make(t);
        return;
    }
    draft_end(t);
    json_decref(t->stages);
    t->stages = NULL;
    head_make(t);
    tui_text_clear(t->body);
    const char *answer = json_str(trace, "answer", "");
    if (*answer)
        tui_text_add_markdown(t->body, INDENT, true, answer);
    tail_make(t);
}

struct chat_turn *chat_turn_asked(const char *question)
{
    struct chat_turn *t = chat_turn_new("");
    parts_make(t);
    t->question = xstrdup(question);
    t->running = true;
    head_make(t);
    tail_make(t);
    return t;
}

void chat_turn_fail(struct chat_turn *t, const struct error *e)
{
    t->running = false;
    free(t->failure);
    t->failure = xasprintf("%s %s: %s%s%s%s%s", tui_glyph(GLYPH_FAIL), _("not asked"),
                           _(err_text(e->code)), e->detail[0] ? ": " : "", e->detail,
                           *err_hint(e->code) ? ". " : "", _(err_hint(e->code)));
    head_make(t);
    tail_make(t);
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

void chat_turn_pace(struct chat_turn *t, const json_t *models)
{
    if (!t->running || !t->loaded)
        return;
    json_decref(t->pace);
    t->pace = json_incref((json_t *)models);
    head_running(t);
}

void chat_turn_stages(struct chat_turn *t, const json_t *stages)
{
    if (!t->running || !t->loaded)
        return;
    json_decref(t->stages);
    t->stages = json_array_size(stages) ? json_incref((json_t *)stages) : NULL;
    head_running(t);
}

/* ---- lines */

int chat_turn_lines(struct chat_turn *t, int width)
{
    if (t->loaded) {
        t->lines = (int)(tui_text_lines(t->head, width) + 1 + tui_text_lines(t->body, width) +
                         tui_text_lines(t->tail, width)) +
                   chat_chart_lines(t->chart, width, t->level);
        t->width = width;
    }
    return t->lines;
}

/* The line about the answer: parts are left out until the others fit. */
static void info_draw(const struct chat_turn *t, struct tui_area a, int y)
{
    int total = INDENT, most = 0, x = INDENT;
    for (size_t i = 0; i < t->part_count; i++) {
        total += text_width(t->parts[i].text, strlen(t->parts[i].text)) + PART_GAP;
        most = t->parts[i].drop > most ? t->parts[i].drop : most;
    }
    int limit = most + 1;
    while (total - PART_GAP > a.width && limit > 1) {
        limit--;
        for (size_t i = 0; i < t->part_count; i++)
            if (t->parts[i].drop == limit)
                total -= text_width(t->parts[i].text, strlen(t->parts[i].text)) + PART_GAP;
    }
    for (size_t i = 0; i < t->part_count; i++)
        if (t->parts[i].drop < limit)
            x += tui_put(a, y, x, -1, t->parts[i].role, t->parts[i].text) + PART_GAP;
}

enum { PART_HEAD, PART_INFO, PART_BODY, PART_CHART, PART_TAIL, PARTS };

/* A part that is text; NULL for the others. */
static struct tui_text *part_text(const struct chat_turn *t, int part)
{
    return part == PART_HEAD   ? t->head
           : part == PART_BODY ? t->body
           : part == PART_TAIL ? t->tail
                               : NULL;
}

static long part_lines(const struct chat_turn *t, int part, int width)
{
    if (part_text(t, part))
        return (long)tui_text_lines(part_text(t, part), width);
    return part == PART_INFO ? 1 : chat_chart_lines(t->chart, width, t->level);
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
    for (int i = 0; i < PARTS && used < a.height; i++) {
        int n = (int)part_lines(t, i, a.width);
        if (first < n) {
            int rows = n - first < a.height - used ? n - first : a.height - used;
            struct tui_area sub = tui_sub(a, used, 0, rows, a.width);
            if (part_text(t, i))
                tui_text_draw(part_text(t, i), sub, (size_t)first);
            else if (i == PART_INFO)
                info_draw(t, a, used);
            else
                chat_chart_draw(t->chart, sub, t->level, first);
            used += rows;
            first = 0;
        } else {
            first -= n;
        }
    }
    return used;
}

/* ---- searching and taking */

long chat_turn_find(struct chat_turn *t, int width, const char *needle, long from, int step)
{
    if (!t->loaded)
        return -1;
    long start[PARTS], n[PARTS], found = -1, at = 0;
    for (int i = 0; i < PARTS; i++) {
        start[i] = at;
        n[i] = part_lines(t, i, width);
        at += n[i];
    }
    for (int k = 0; k < PARTS && found < 0; k++) {
        int i = step > 0 ? k : PARTS - 1 - k;
        long line = from - start[i];
        if (!part_text(t, i) || (step > 0 ? line >= n[i] : line < 0))
            continue;
        line = line < 0 ? 0 : line >= n[i] ? n[i] - 1 : line;
        found = tui_text_find(part_text(t, i), width, needle, line, step);
        found = found < 0 ? -1 : found + start[i];
    }
    return found;
}

void chat_turn_match(struct chat_turn *t, const char *needle)
{
    if (!t->loaded)
        return;
    tui_text_match(t->head, needle);
    tui_text_match(t->body, needle);
    tui_text_match(t->tail, needle);
}

char *chat_turn_plain(const struct chat_turn *t)
{
    return t->loaded ? tui_text_plain(t->body) : xstrdup("");
}

/* From behind an opening mark to the closing one. */
static bool code_next(const char **at, const char **from, size_t *len, bool *command)
{
    const char *open = strchr(*at, '`');
    if (!open)
        return false;
    bool fence = !strncmp(open, "```", 3);
    const char *begin = fence ? strchr(open, '\n') : open + 1;
    const char *end = begin ? strstr(begin, fence ? "```" : "`") : NULL;
    if (!end)
        return false;
    *from = fence ? begin + 1 : begin;
    *len = end > *from ? (size_t)(end - *from) : 0;
    *at = end + (fence ? 3 : 1);
    *command = fence || memchr(*from, ' ', *len) || memchr(*from, '/', *len);
    return true;
}

/* A copy without the last line's end and what the first line is indented by. */
static char *unindented(const char *s, size_t len)
{
    struct buf b = {0};
    size_t indent = 0;
    while (indent < len && s[indent] == ' ')
        indent++;
    while (len && (s[len - 1] == '\n' || s[len - 1] == ' '))
        len--;
    for (size_t i = 0, column = 0; i < len; i++) {
        if (s[i] != ' ' || column >= indent)
            buf_addc(&b, s[i]);
        column = s[i] == '\n' ? 0 : s[i] == ' ' ? column + 1 : indent;
    }
    return buf_take(&b);
}

char *chat_turn_code(const struct chat_turn *t, size_t index, size_t *count)
{
    const char *at = json_str(t->trace, "answer", ""), *from, *found = NULL;
    size_t len, found_len = 0;
    bool command; /* a single word is a name */
    for (*count = 0; code_next(&at, &from, &len, &command); *count += command)
        if (command && *count == index) {
            found = from;
            found_len = len;
        }
    return found ? unindented(found, found_len) : NULL;
}

struct tui_text *chat_turn_sources(const struct chat_turn *t)
{
    const json_t *list = json_object_get(t->trace, "sources"), *s;
    if (!json_array_size(list))
        return NULL;
    struct tui_text *text = tui_text_new();
    struct buf label = {0};
    size_t i;
    json_array_foreach((json_t *)list, i, s)
    {
        char id[32];
        source_id(s, id);
        buf_clear(&label);
        view_source_label(s, true, &label);
        if (i)
            tui_text_add(text, ROLE_TEXT, 0, false, "");
        tui_text_addf(text, ROLE_ACCENT, 0, false, "[%s] %s", id, label.data);
        if (!strcmp(json_str(s, "kind", ""), "runbook")) {
            tui_text_add(text, ROLE_DIM, 4, false, json_str(s, "ref", ""));
            tui_text_add_markdown(text, 2, true, json_str(s, "text", ""));
        } else {
            tui_text_add(text, ROLE_FOREIGN, 2, true, json_str(s, "text", ""));
        }
    }
    buf_release(&label);
    return text;
}
