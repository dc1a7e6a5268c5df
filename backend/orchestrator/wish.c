/* A question that asks for a change, where a tool fits that would make it: a plan is proposed, and
 * nothing is done. What is asked for stands in the person's own words at their start; what tools
 * and documents say proposes nothing. A model may propose what its node of a flow names (agent.c),
 * for who asked, and that waits for people like every plan. */
#include "backend/base/text.h"
#include "backend/orchestrator/arguments.h"
#include "backend/orchestrator/internal.h"
#include "backend/orchestrator/plans.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TOOLS = 512, WORD_MAX = 128 };

/* Beginnings of the words that order something. */
static const char *const ORDERS[] = {
    "restart", "stop",    "start",    "scale",    "silence", "mute",    "delete",
    "remove",  "drop",    "kill",     "set",      "create",  "disable", "enable",
    "resize",  "reboot",  "rollback", "clear",    "expire",  "acknowl", "switch",
    "add",     "change",  "increase", "decrease", "apply",   "deploy",  "turn",
    "перезап", "останов", "запусти",  "масштаб",  "заглуш",  "удали",   "созда",
    "отключ",  "включ",   "сними",    "постав",   "установ", "измени",  "увелич",
    "уменьш",  "добав",   "очист",    "перезаг",  "откати",  "разверн", "переключ"};
static const char *const PLEASE[] = {"please", "пожалуйста"};

static size_t word_at(const char *text, char out[WORD_MAX])
{
    size_t n = strcspn(text, " \t\n,.!?:;"), used = 0;
    for (size_t at = 0; at < n && used + 4 < WORD_MAX;) {
        size_t len;
        uint32_t cp = text_fold(text + at, n - at, &len);
        if (!len)
            break;
        used += text_encode(cp, out + used);
        at += len;
    }
    out[used] = '\0';
    return n;
}

static bool orders(const char *question)
{
    char word[WORD_MAX];
    const char *at = question + strspn(question, " \t\n");
    size_t n = word_at(at, word);
    for (size_t i = 0; i < sizeof PLEASE / sizeof *PLEASE; i++) {
        if (strcmp(word, PLEASE[i]) == 0) {
            at += n;
            at += strspn(at, " ,\t\n");
            word_at(at, word);
        }
    }
    for (size_t i = 0; i < sizeof ORDERS / sizeof *ORDERS; i++)
        if (*word && strncmp(word, ORDERS[i], strlen(ORDERS[i])) == 0)
            return true;
    return false;
}

/* Looks like a name: quoted words go first, then words with a digit, a sign, or a capital letter
 * that does not begin the sentence. NULL: none that was not used. The caller frees. */
static char *name_in(const char *question, size_t which)
{
    const char *open = strchr(question, '"'), *close = open ? strchr(open + 1, '"') : NULL;
    if (close && close > open + 1 && which-- == 0)
        return xstrndup(open + 1, (size_t)(close - open - 1));
    for (const char *p = question; *p;) {
        size_t n = strcspn(p, " \t\n,!?:;\"");
        bool first = p == question, letter = false, name = false;
        for (size_t i = 0; i < n; i++) {
            unsigned char c = (unsigned char)p[i];
            letter |= isalpha(c) != 0;
            name |= isdigit(c) || (i && i + 1 < n && strchr("-_./", c)) ||
                    (isupper(c) && (i || !first));
        }
        if (n && n < WORD_MAX && letter && name && which-- == 0)
            return xstrndup(p, n);
        p += n;
        p += strspn(p, " \t\n,!?:;\"");
    }
    return NULL;
}

/* What is ordered for "2 hours", "30m", "на 2 часа", as "2h"; NULL: no time is named. The caller
 * frees. */
static char *duration_in(const char *question)
{
    static const struct {
        const char *begin, *unit;
        bool whole;
    } UNITS[] = {{"m", "m", true},     {"min", "m", false},  {"мин", "m", false},
                 {"h", "h", true},     {"hour", "h", false}, {"час", "h", false},
                 {"d", "d", true},     {"day", "d", false},  {"ден", "d", false},
                 {"дн", "d", false},   {"сут", "d", false},  {"w", "w", true},
                 {"week", "w", false}, {"недел", "w", false}};
    char word[WORD_MAX];
    for (const char *p = question; *p;) {
        char *end;
        bool number =
            isdigit((unsigned char)*p) && (p == question || strchr(" \t\n(\"", p[-1]) != NULL);
        long long n = number ? strtoll(p, &end, 10) : 0;
        if (n > 0 && n < 100000) {
            word_at(end + strspn(end, " "), word);
            for (size_t i = 0; i < sizeof UNITS / sizeof *UNITS; i++) {
                if (UNITS[i].whole ? !strcmp(word, UNITS[i].begin)
                                   : !strncmp(word, UNITS[i].begin, strlen(UNITS[i].begin)))
                    return xasprintf("%lld%s", n, UNITS[i].unit);
            }
        }
        p++;
    }
    return NULL;
}

/* Required texts, in the schema's order, take the names in the question's order. */
static void fill_texts(const char *question, const json_t *schema, json_t *out)
{
    const json_t *required = json_object_get(schema, "required"), *name;
    size_t i, used = 0;
    json_array_foreach((json_t *)required, i, name)
    {
        const json_t *property =
            json_object_get(json_object_get(schema, "properties"), json_string_value(name));
        if (strcmp(json_str(property, "type", ""), "string") != 0 ||
            json_object_get(property, "enum"))
            continue;
        bool time = strcmp(json_string_value(name), "duration") == 0;
        char *value = time ? duration_in(question) : name_in(question, used++);
        if (value)
            json_put(out, json_string_value(name), json_text(value, strlen(value)));
        free(value);
    }
}

static json_t *core_of(const struct trace *t, const struct conn_tool *tools, size_t n,
                       const struct conn_tool *tool, json_t *arguments)
{
    json_t *core = json_object(), *steps = json_array(), *step = json_object();
    const char *title = tool->title && *tool->title ? tool->title : tool->name;
    char *text = xasprintf("%.60s: %.60s", tool->connector, title),
         *reason = xstrndup(t->question, strnlen(t->question, 1900));
    json_put(core, "title", json_text(text, strlen(text)));
    json_put(core, "reason", json_text(reason, strlen(reason)));
    json_puts(step, "connector", tool->connector);
    json_puts(step, "tool", tool->name);
    json_put(step, "arguments", arguments);
    json_put(step, "expect", json_text(title, strlen(title)));
    orch__after(t->orch, tools, n, tool, step);
    json_array_append_new(steps, step);
    json_put(core, "steps", steps);
    free(text);
    free(reason);
    return core;
}

static void proposed(void *arg, const json_t *plan, const struct error *e)
{
    struct trace *t = arg;
    t->writes--;
    t->proposing = false;
    if (e->code == ERR_OK && t->phase < TRACE_ENDING) {
        json_t *doc = json_object();
        json_puts(doc, "id", json_str(plan, "id", ""));
        json_puts(doc, "title", json_str(plan, "title", ""));
        json_puts(doc, "risk", json_str(plan, "risk", ""));
        json_put(t->doc, "plan", doc);
        if (t->phase == TRACE_MODELS)
            orch__withhold_begin(t);
    }
    orch__settle(t);
}

/* The acting tool that fits best and whose arguments the question gives; -1: none. */
static long best_tool(const struct trace *t, const struct conn_tool *tools, size_t n,
                      json_t **arguments)
{
    static const double FLOOR = 0.3;
    const struct orch *o = t->orch;
    const struct arguments_from from = {.question = t->asked};
    const char **texts = xcalloc(n + 1, sizeof *texts);
    char **owned = xcalloc(n + 1, sizeof *owned);
    double *fit = xcalloc(n + 1, sizeof *fit);
    long best = -1;
    for (size_t i = 0; i < n; i++)
        texts[i] = owned[i] =
            xasprintf("%s. %s. %s", tools[i].name, tools[i].title ? tools[i].title : "",
                      tools[i].description ? tools[i].description : "");
    know_fit(o->rooms.know, KNOW_LEXICAL, t->asked, texts, n, fit);
    for (size_t i = 0; i < n; i++) {
        if (fit[i] < FLOOR || (best >= 0 && fit[i] <= fit[best]))
            continue;
        json_t *given = json_object();
        fill_texts(t->question, tools[i].input_schema, given);
        if (!arguments_fill(o->rooms.know, &from, tools[i].input_schema, given) ||
            conn_schema_check(tools[i].input_schema, given, NULL) != ERR_OK) {
            json_decref(given);
            continue;
        }
        json_decref(*arguments);
        *arguments = given;
        best = (long)i;
    }
    for (size_t i = 0; i < n; i++)
        free(owned[i]);
    free(owned);
    free(texts);
    free(fit);
    return best;
}

/* Takes the arguments. */
static void hand_in(struct trace *t, const struct conn_tool *tools, size_t n,
                    const struct conn_tool *tool, json_t *arguments)
{
    const struct plans_who who = {
        .role = t->actor, .session = t->session, .user = t->user, .from = "copilot"};
    json_t *core = core_of(t, tools, n, tool, arguments);
    t->writes++;
    t->proposing = true;
    plans_propose(t->orch->rooms.plans, core, &who, t->question_entry, proposed, t);
    json_decref(core);
}

bool orch__propose(struct trace *t, const char *connector, const char *tool,
                   const json_t *arguments)
{
    struct conn_tool *tools = xcalloc(MOST_TOOLS, sizeof *tools);
    size_t all = conn_tools(t->orch->rooms.conn, tools, MOST_TOOLS), i = 0;
    while (i < all && (strcmp(tools[i].connector, connector) != 0 ||
                       strcmp(tools[i].name, tool) != 0 || tools[i].level == CONN_READ))
        i++;
    bool fits = i < all && tools[i].callable && tools[i].input_schema &&
                conn_schema_check(tools[i].input_schema, arguments, NULL) == ERR_OK;
    if (fits && t->orch->rooms.plans && t->user)
        hand_in(t, tools, all, &tools[i], json_deep_copy(arguments));
    free(tools);
    return fits;
}

void orch__wish(struct trace *t)
{
    struct orch *o = t->orch;
    json_t *arguments = NULL;
    if (!o->rooms.plans || !t->user || t->recorded || !orders(t->question) || orch__risk_sandbox(t))
        return;
    struct conn_tool *tools = xcalloc(MOST_TOOLS, sizeof *tools);
    struct conn_tool *acting = xcalloc(MOST_TOOLS, sizeof *acting);
    size_t all = conn_tools(o->rooms.conn, tools, MOST_TOOLS), n = 0;
    for (size_t i = 0; i < all; i++)
        if (tools[i].level > CONN_READ && tools[i].callable && tools[i].input_schema)
            acting[n++] = tools[i];
    long best = n ? best_tool(t, acting, n, &arguments) : -1;
    if (best >= 0)
        hand_in(t, tools, all, &acting[best], arguments);
    free(acting);
    free(tools);
}

char *orch__wish_noted(const struct trace *t, const char *answer)
{
    const json_t *plan = json_object_get(t->doc, "plan");
    if (!plan)
        return xstrdup(answer);
    return xasprintf(strcmp(t->lang, "ru") == 0
                         ? "%s\n\nПредложен план «%s» (%.8s). Ничего не сделано: план ждёт "
                           "согласования на панели «Согласования»."
                         : "%s\n\nA plan was proposed: %s (%.8s). Nothing was done: it waits for "
                           "approval in the approvals pane.",
                     answer, json_str(plan, "title", ""), json_str(plan, "id", ""));
}
