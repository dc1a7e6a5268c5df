/* See transcript.h. In Markdown a question is a quotation and an answer stands as it was written,
 * but for its headings, which would break up the conversation's own. */
#include "backend/transcript.h"
#include "backend/base/buf.h"
#include "backend/base/text.h"
#include <stdlib.h>
#include <string.h>

enum { OWN_LEVEL = 2, LEVEL_MAX = 6 }; /* a turn's heading; Markdown has no lower ones */

/* Foreign text, each line with a prefix. */
static void add_lines(struct buf *out, const char *prefix, const char *text)
{
    char *clean = text_cleaned(text, 0);
    const char *line = clean;
    while (*line) {
        size_t len = strcspn(line, "\n");
        buf_addf(out, "%s%.*s\n", prefix, (int)len, line);
        line += len + (line[len] == '\n');
    }
    free(clean);
}

static void add_line(struct buf *out, const char *before, const char *text)
{
    char *clean = text_cleaned(text, TEXT_ONE_LINE);
    buf_addf(out, "%s%s\n", before, clean);
    free(clean);
}

/* An answer; headings outside of code go below the turn's own. */
static void add_answer(struct buf *out, const char *text)
{
    char *clean = text_cleaned(text, 0);
    bool code = false;
    for (const char *line = clean; *line;) {
        size_t len = strcspn(line, "\n"), marks = strspn(line, "#");
        const char *first = line + strspn(line, " ");
        if (!strncmp(first, "```", 3) || !strncmp(first, "~~~", 3))
            code = !code;
        if (!code && marks && marks <= LEVEL_MAX && line[marks] == ' ')
            for (size_t i = marks; i < LEVEL_MAX && i < marks + OWN_LEVEL; i++)
                buf_addc(out, '#');
        buf_addf(out, "%.*s\n", (int)len, line);
        line += len + (line[len] == '\n');
    }
    if (code) /* an answer that was cut inside of code */
        buf_adds(out, "```\n");
    free(clean);
}

/* Whether the answer ends before its end. */
static bool is_cut(const json_t *turn)
{
    size_t i;
    const json_t *c;
    json_array_foreach(json_object_get(turn, "candidates"), i, c)
    {
        if (json_flag(c, "chosen", false) && json_object_get(c, "truncated"))
            return true;
    }
    return false;
}

static void add_figures(struct buf *out, const json_t *turn)
{
    const json_t *usage = json_object_get(turn, "usage"), *cost = json_object_get(usage, "cost");
    const char *about = json_flag(usage, "estimated", false) ? "~" : "";
    const char *winner = json_str(json_object_get(turn, "verdict"), "winner", "");
    buf_adds(out, "\n*");
    if (*winner) {
        char *clean = text_cleaned(winner, TEXT_ONE_LINE);
        buf_addf(out, "%s, ", clean);
        free(clean);
    }
    if (is_cut(turn))
        buf_adds(out, "cut before its end, ");
    if (json_is_object(usage))
        buf_addf(out, "%s%lld tokens in, %s%lld out, ", about,
                 (long long)json_int(usage, "input_tokens", 0), about,
                 (long long)json_int(usage, "output_tokens", 0));
    if (json_is_object(cost))
        buf_addf(out, "%s%s%s%s, ",
                 strpbrk(json_str(cost, "amount", "0"), "123456789") ? about : "",
                 json_str(cost, "amount", "?"), *json_str(cost, "currency", "") ? " " : "",
                 json_str(cost, "currency", ""));
    else if (json_is_object(usage))
        buf_adds(out, "cost unknown, ");
    buf_addf(out, "trace %s*\n\n", json_str(turn, "trace_id", ""));
}

static void add_turn(struct buf *out, const json_t *turn)
{
    const char *state = json_str(turn, "state", "");
    const json_t *source;
    size_t i;
    add_line(out, "## ", json_str(turn, "at", ""));
    if (json_object_get(turn, "again"))
        buf_addf(out, "\n*The question of trace %s once more.*\n", json_str(turn, "again", ""));
    buf_addc(out, '\n');
    add_lines(out, "> ", json_str(turn, "question", ""));
    buf_addc(out, '\n');
    add_answer(out, json_str(turn, "answer", ""));
    if (strcmp(state, "done") != 0) {
        buf_addf(out, "\n**%s**", state);
        add_line(out, *json_str(turn, "error", "") ? ": " : "", json_str(turn, "error", ""));
    }
    bool any = false;
    json_array_foreach(json_object_get(turn, "sources"), i, source)
    {
        if (!json_flag(source, "cited", false))
            continue;
        buf_adds(out, any ? "" : "\nSources:\n\n");
        any = true;
        buf_addf(out, "- [%s] %s ", json_str(source, "id", "?"), json_str(source, "kind", ""));
        add_line(out, "", json_str(source, "ref", ""));
    }
    add_figures(out, turn);
}

static char *as_json(const char *conversation, const json_t *turns)
{
    json_t *doc = json_object();
    json_puts(doc, "format", "mcp-console conversation 1");
    json_puts(doc, "conversation", conversation);
    json_put(doc, "turns", json_incref((json_t *)turns));
    char *text = json_dumps(doc, JSON_INDENT(1) | JSON_REAL_PRECISION(6) | JSON_ENSURE_ASCII);
    BUG_IF(!text);
    json_decref(doc);
    return text;
}

char *transcript(const char *conversation, const json_t *turns, bool json)
{
    struct buf out = {0};
    const json_t *turn;
    size_t i;
    if (json)
        return as_json(conversation, turns);
    buf_addf(&out, "# Conversation %s\n\n", conversation);
    json_array_foreach((json_t *)turns, i, turn) add_turn(&out, turn);
    return buf_take(&out);
}
