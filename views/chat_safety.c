#include "views/chat_safety.h"
#include "views/common.h"
#include <stdlib.h>
#include <string.h>

enum { INDENT = 1, MORE_INDENT = 3, WAYS = 3 };

/* "S9 indiscriminate weapons, S1 violent crimes"; only: of that severity, or NULL for all. */
static void categories(const json_t *entry, const char *only, struct buf *out)
{
    size_t i;
    const json_t *f;
    buf_adds(out, "");
    json_array_foreach(json_object_get(entry, "found"), i, f)
    {
        if (only && strcmp(json_str(f, "severity", ""), only) != 0)
            continue;
        buf_addf(out, "%s%s %s", out->len ? ", " : "", json_str(f, "category", "?"),
                 _(json_str(f, "name", "?")));
    }
}

static bool has_category(const json_t *entry, const char *category)
{
    size_t i;
    const json_t *f;
    json_array_foreach(json_object_get(entry, "found"), i,
                       f) if (strcmp(json_str(f, "category", ""), category) == 0) return true;
    return false;
}

/* By which words, and who said so. */
static void add_why(struct tui_text *to, const json_t *entry)
{
    struct buf words = {0};
    size_t i;
    const json_t *f;
    const char *judge = json_str(entry, "judge", "");
    json_array_foreach(json_object_get(entry, "found"), i, f)
    {
        const char *what = json_str(f, "what", "");
        if (*what)
            buf_addf(&words, "%s%s", words.len ? "; " : "", what);
    }
    if (words.len)
        tui_text_addf(to, ROLE_DIM, MORE_INDENT, false, _("found: %s"), words.data);
    if (*judge && !*json_str(entry, "failure", ""))
        tui_text_addf(to, ROLE_DIM, MORE_INDENT, false, _("judged by: %s"), judge);
    buf_release(&words);
}

static void add_blocked(struct tui_text *to, const json_t *entry, bool question)
{
    const char *model = json_str(entry, "model", "?"), *judge = json_str(entry, "judge", "?");
    const char *failure = json_str(entry, "failure", "");
    struct buf named = {0};
    categories(entry, "severe", &named);
    if (named.len && question)
        tui_text_addf(to, ROLE_BLOCKED, INDENT, false, "%s %s: %s", tui_glyph(GLYPH_BLOCKED),
                      _("the safety filter blocked the question"), named.data);
    else if (named.len)
        tui_text_addf(to, ROLE_BLOCKED, INDENT, false, "%s %s %s: %s", tui_glyph(GLYPH_BLOCKED),
                      _("the safety filter blocked what was written by"), model, named.data);
    else if (question)
        tui_text_addf(to, ROLE_BLOCKED, INDENT, false, "%s %s: %s: %s", tui_glyph(GLYPH_BLOCKED),
                      _("not answered, since nobody judged the question"), judge, failure);
    else
        tui_text_addf(to, ROLE_BLOCKED, INDENT, false, "%s %s %s: %s: %s", tui_glyph(GLYPH_BLOCKED),
                      _("not shown, since nobody judged what was written by"), model, judge,
                      failure);
    buf_release(&named);
}

static void add_flagged(struct tui_text *to, const json_t *entry, bool question)
{
    struct buf named = {0};
    categories(entry, NULL, &named);
    if (strcmp(json_str(entry, "action", ""), "unchecked") == 0)
        tui_text_addf(to, ROLE_WARN, INDENT, false, "%s %s: %s: %s", tui_glyph(GLYPH_WARN),
                      question ? _("nobody judged the question") : _("nobody judged the answer"),
                      json_str(entry, "judge", "?"), json_str(entry, "failure", ""));
    if (named.len)
        tui_text_addf(to, ROLE_WARN, INDENT, false, "%s %s: %s", tui_glyph(GLYPH_WARN),
                      question ? _("flagged in the question") : _("flagged in the answer"),
                      named.data);
    buf_release(&named);
}

/* Is it of what is read here: the question, or the answer that was chosen? */
static bool is_read(const json_t *trace, const json_t *entry)
{
    const char *winner = json_str(json_object_get(trace, "verdict"), "winner", "");
    return strcmp(json_str(entry, "of", ""), "question") == 0 ||
           strcmp(json_str(entry, "model", ""), winner) == 0;
}

void chat_safety_short(const json_t *trace, struct buf *out)
{
    size_t i, n;
    const json_t *entry, *f;
    struct buf named = {0}; /* " S6 S10 " */
    buf_adds(&named, " ");
    json_array_foreach(json_object_get(trace, "safety"), i, entry)
    {
        if (strcmp(json_str(entry, "action", ""), "blocked") == 0 || !is_read(trace, entry))
            continue;
        json_array_foreach(json_object_get(entry, "found"), n, f)
        {
            char *word = xasprintf(" %s ", json_str(f, "category", "?"));
            if (!strstr(named.data, word))
                buf_adds(&named, word + 1);
            free(word);
        }
    }
    if (named.len > 1)
        buf_add(out, named.data + 1, named.len - 2);
    buf_release(&named);
}

bool chat_safety_add(struct tui_text *to, const json_t *trace, int level)
{
    const json_t *list = json_object_get(trace, "safety"), *entry;
    bool said = false, hurting = false;
    size_t i;
    json_array_foreach(list, i, entry)
    {
        bool question = strcmp(json_str(entry, "of", ""), "question") == 0;
        if (strcmp(json_str(entry, "action", ""), "blocked") == 0)
            add_blocked(to, entry, question);
        else if (is_read(trace, entry))
            add_flagged(to, entry, question);
        else
            continue; /* of an answer that nobody reads here */
        said = true;
        hurting = hurting || (question && has_category(entry, "S11"));
        if (level == 0)
            add_why(to, entry);
    }
    if (hurting)
        tui_text_add(to, ROLE_TEXT, MORE_INDENT, false,
                     _("If you think of hurting yourself, please talk to somebody now: 112, or a "
                       "crisis line where you are."));
    return said;
}

/* ---- prompt injection */

/* The number of the source that an injection stood in: "[2] ". */
static void source_number(const json_t *trace, const json_t *row, struct buf *out)
{
    size_t i;
    const json_t *s;
    json_array_foreach(json_object_get(trace, "sources"), i, s)
    {
        if (strcmp(json_str(s, "kind", ""), json_str(row, "of", "")) ||
            strcmp(json_str(s, "ref", ""), json_str(row, "ref", "")))
            continue;
        buf_addf(out, "[%s] ", json_str(s, "id", "?"));
        return;
    }
}

/* What it tried, each way once: "override of instructions, hidden text". */
static void ways(const json_t *row, struct buf *out)
{
    const json_t *list = json_object_get(row, "findings"), *f;
    size_t i, named = 0;
    buf_adds(out, "");
    json_array_foreach(list, i, f)
    {
        const char *way = json_str(f, "class", "?");
        bool said = false;
        for (size_t n = 0; n < i; n++)
            said = said || !strcmp(way, json_str(json_array_get(list, n), "class", ""));
        if (said)
            continue;
        if (named == WAYS) {
            buf_adds(out, ", ...");
            break;
        }
        buf_addf(out, "%s%s", named++ ? ", " : "", _(way));
    }
}

void chat_steered_add(struct tui_text *to, const json_t *trace, int level)
{
    size_t i;
    const json_t *row;
    json_array_foreach(json_object_get(trace, "injections"), i, row)
    {
        bool question = strcmp(json_str(row, "of", ""), "question") == 0;
        struct buf source = {0}, how = {0};
        source_number(trace, row, &source);
        view_steerer(row, &source);
        ways(row, &how);
        tui_text_addf(to, ROLE_WARN, INDENT, false, "%s %s: %s", tui_glyph(GLYPH_STEERS),
                      question ? _("the question has orders for the model itself") : source.data,
                      how.data);
        if (!question && level == 0)
            tui_text_add(to, ROLE_DIM, MORE_INDENT, false,
                         _("it tries to steer the model; it was read as data, and allows nothing"));
        buf_release(&source);
        buf_release(&how);
    }
}
