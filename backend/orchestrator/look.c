/* Which read-only tools a question gets: first those that it is for, then, in at most two further
 * looks, those that what these found is for: the sessions of the database that a pool waits for,
 * the events of the pod that was killed.
 *
 * K1 What tools say chooses among those that the first look might have chosen: they only read (O3),
 *    their level, pin and switches are looked at again when they are called. It adds no tool.
 * K2 What tries to steer a model is no clue. Of the others only lines that speak of trouble are
 *    read, cut, with names of things at most as arguments (arguments.h).
 * K3 All looks together take no more tools than [copilot] max_tools, and none begins when the time
 *    of one call is over. */
#include "backend/base/clock.h"
#include "backend/orchestrator/arguments.h"
#include "backend/orchestrator/internal.h"
#include "backend/orchestrator/names.h"
#include "backend/orchestrator/pick.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What one way makes of a tool the other gets too, at least at this share: figures are facts, and
 * the models differ in what they make of them. */
static const double LENT_FIT = 0.8;
/* What decided, on the scale of fits: x / (x + 0.7). */
static const double HALF_FIT = 0.7;

enum { CLUE_BYTES = 400, CLUES_BYTES = 1200, FURTHER_EACH = 2, SHARE_FURTHER = 3 };

static void add_tool(struct trace *t, const struct conn_tool *tool, const double fit[2],
                     json_t *arguments)
{
    struct orch_tool_step *s = &t->tools[t->tool_count++];
    s->trace = t;
    s->connector = xstrdup(tool->connector);
    s->tool = xstrdup(tool->name);
    s->title = xstrdup(tool->title && *tool->title ? tool->title : tool->name);
    s->arguments = arguments;
    s->recording = orch__recording(t, tool);
    s->look = t->looks;
    s->fit[0] = fit[0];
    s->fit[1] = fit[1];
}

/* Who asks nothing ("help", "?", "what can you do") is told what can be asked. */
static size_t help_if_empty(const struct trace *t, const struct pick_tool *tools, size_t n,
                            struct pick *picks, size_t picked)
{
    char *stems = know_stems(t->asked);
    bool empty = !*stems;
    for (const char *p = t->asked; *p && empty; p++)
        empty = !isdigit((unsigned char)*p);
    free(stems);
    for (size_t i = 0; empty && i < n; i++) {
        if (strcmp(tools[i].as->connector, CONN_OWN_NAME) == 0 &&
            strcmp(tools[i].as->name, "help") == 0) {
            picks[0] = (struct pick){.tool = i, .fit = {1, 1}};
            return 1;
        }
    }
    return picked;
}

static bool was_taken(const struct trace *t, const struct conn_tool *tool, const json_t *arguments)
{
    for (size_t i = 0; i < t->tool_count; i++)
        if (strcmp(t->tools[i].connector, tool->connector) == 0 &&
            strcmp(t->tools[i].tool, tool->name) == 0 &&
            json_equal(t->tools[i].arguments, arguments))
            return true;
    return false;
}

static bool gave_clues(const struct trace *t, const char *connector)
{
    for (size_t i = 0; i < t->tool_count; i++)
        if (t->tools[i].clue && strcmp(t->tools[i].connector, connector) == 0)
            return true;
    return false;
}

/* The arguments of a tool that may be called; false: some nobody names. */
static bool fill(const struct trace *t, const struct conn_tool *tool, const char *found,
                 struct pick_tool *out)
{
    const struct know *know = t->orch->rooms.know;
    struct arguments_from from = {.question = t->asked, .reads = true};
    json_t *arguments = orch__recorded_arguments(orch__recording(t, tool));
    bool can = arguments_fill(know, &from, tool->input_schema, arguments);
    *out = (struct pick_tool){.as = tool, .arguments = arguments};
    if (!can && found) {
        from.found = found;
        out->filled = can = arguments_fill(know, &from, tool->input_schema, arguments);
    }
    out->taken = was_taken(t, tool, arguments);
    out->near = gave_clues(t, tool->connector);
    if (!can) {
        json_decref(arguments);
        out->arguments = NULL;
    }
    return can;
}

/* The tools that may be called; each one's arguments are the caller's to free. One whose required
 * arguments nobody names takes no place from the others. */
static size_t known_tools(const struct trace *t, const char *found, struct conn_tool *tools,
                          struct pick_tool *out)
{
    size_t all = orch__tools(t, tools, PICK_TOOLS), n = 0;
    for (size_t i = 0; i < all; i++)
        if (tools[i].level == CONN_READ && tools[i].callable) /* O3, K1 */
            n += fill(t, &tools[i], found, &out[n]);
    return n;
}

static void add_picked(struct trace *t, const struct pick_tool *tools, const struct pick *p)
{
    double fit[2];
    for (int way = 0; way < 2; way++)
        fit[way] =
            fmax(fmax(p->fit[way], LENT_FIT * p->fit[1 - way]), p->total / (p->total + HALF_FIT));
    add_tool(t, tools[p->tool].as, fit, json_incref((json_t *)tools[p->tool].arguments));
}

/* clues NULL: it is the first look. */
static size_t choose(struct trace *t, const char *clues, size_t max)
{
    struct conn_tool *tools = xcalloc(PICK_TOOLS, sizeof *tools);
    struct pick_tool *known = xcalloc(PICK_TOOLS, sizeof *known);
    struct pick picks[ORCH_TOOLS];
    size_t n = known_tools(t, clues, tools, known);
    size_t picked =
        pick_tools(t->orch->rooms.know, t->orch->concepts,
                   &(struct pick_for){.question = t->asked, .clues = clues}, known, n, max, picks);
    if (max && !clues)
        picked = help_if_empty(t, known, n, picks, picked);
    for (size_t i = 0; i < picked; i++)
        add_picked(t, known, &picks[i]);
    for (size_t i = 0; i < n; i++)
        json_decref((json_t *)known[i].arguments);
    free(known);
    free(tools);
    return picked;
}

/* Of all looks. */
static size_t most_tools(const struct trace *t)
{
    size_t max = (size_t)conf_int(t->orch->rooms.conf, "copilot", "", "max_tools");
    return max > ORCH_TOOLS ? ORCH_TOOLS : max;
}

size_t orch__look(struct trace *t)
{
    size_t max = most_tools(t), n = choose(t, NULL, max - max / SHARE_FURTHER);
    t->looks = 1;
    return n;
}

/* ---- further */

/* What the console's own tools judge bad, in their words. */
static void bad_findings(const json_t *findings, struct buf *to)
{
    size_t i;
    json_t *f;
    json_array_foreach(findings, i, f)
    {
        const char *severity = json_str(f, "severity", "ok"), *text = json_str(f, "en", "");
        if ((strcmp(severity, "warn") == 0 || strcmp(severity, "fail") == 0) &&
            to->len + strlen(text) < CLUE_BYTES)
            buf_addf(to, "%s\n", text);
    }
}

static void name_kind(void *arg, const char *name, size_t len)
{
    struct buf *kinds = arg;
    if (len > 6 && isdigit((unsigned char)*name) && !kinds->len)
        buf_adds(kinds, "address\n");
}

/* What a step found that speaks of trouble; K2. */
static bool add_clues(struct orch_tool_step *s, struct buf *to)
{
    const struct orch_source *source = s->source;
    struct buf bad = {0}, kinds = {0};
    if (!source || !source->text || source->steers)
        return false;
    const json_t *findings = json_object_get(source->data, "findings");
    char *lines = findings ? NULL : gw_trouble(source->text, CLUE_BYTES);
    bad_findings(findings, &bad);
    if (lines)
        buf_adds(&bad, lines);
    free(lines);
    if (bad.len && to->len + bad.len < CLUES_BYTES) {
        names_in(bad.data, name_kind, &kinds);
        buf_adds(to, bad.data);
        if (kinds.len)
            buf_adds(to, kinds.data);
        s->clue = true;
    }
    buf_release(&bad);
    buf_release(&kinds);
    return s->clue;
}

size_t orch__look_further(struct trace *t)
{
    size_t max = most_tools(t), room = max > t->tool_count ? max - t->tool_count : 0;
    uint64_t limit = (uint64_t)conf_int(t->orch->rooms.conf, "copilot", "", "tool_time_limit_ms");
    struct buf clues = {0};
    if (!room || !t->tool_count || t->looks >= ORCH_LOOKS ||
        clock_mono_ms() - t->started_ms >= limit) /* K3 */
        return 0;
    for (size_t i = 0; i < t->tool_count; i++)
        if (t->tools[i].look + 1 == t->looks)
            add_clues(&t->tools[i], &clues);
    size_t n = clues.len ? choose(t, clues.data, room < FURTHER_EACH ? room : FURTHER_EACH) : 0;
    t->looks++;
    if (n) {
        size_t stage = orch__stage_begin(t, "plan", "look further");
        orch__stage_ends(t, stage, "done",
                         n == 1 ? say(NULL, SAY_TOOL, "") : say(NULL, SAY_TOOLS, "n", n));
    }
    buf_release(&clues);
    return n;
}
