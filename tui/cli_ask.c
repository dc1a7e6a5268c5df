/* `mcp-console ask`: one question, one answer with its sources. */
#include "tui/cli_internal.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STOP_MS = 5000 };

static json_t *answer_object(const json_t *trace)
{
    static const char *const KEYS[] = {"trace_id", "conversation", "at",
                                       "question", "state",        "answer"};
    static const char *const REST[] = {
        "candidates", "critiques",  "verdict", "usage",     "stages",  "entries",
        "elapsed_ms", "error",      "safety",  "flow",      "nodes",   "path",
        "edges",      "injections", "risk",    "grounding", "withheld"};
    json_t *out = json_object(), *cited = json_array(), *source;
    size_t i;
    for (i = 0; i < sizeof KEYS / sizeof *KEYS; i++)
        json_object_set(out, KEYS[i], json_object_get(trace, KEYS[i]));
    json_array_foreach(json_object_get(trace, "sources"), i, source)
    {
        if (!json_flag(source, "cited", false))
            continue;
        json_t *copy = json_copy(source);
        json_object_del(copy, "cited");
        json_array_append_new(cited, copy);
    }
    json_put(out, "sources", cited);
    for (i = 0; i < sizeof REST / sizeof *REST; i++) {
        if (json_object_get(trace, REST[i]))
            json_object_set(out, REST[i], json_object_get(trace, REST[i]));
    }
    return out;
}

static void print_text(const json_t *answer)
{
    char *text = xstrdup(json_str(answer, "answer", ""));
    for (size_t len = strlen(text); len && text[len - 1] == '\n';)
        text[--len] = '\0';
    cli__put(text, true);
    puts("\n");
    free(text);
}

static void print_answer(const json_t *answer)
{
    size_t i;
    json_t *item;
    print_text(answer);
    json_array_foreach(json_object_get(answer, "sources"), i, item)
    {
        printf("  [");
        cli__put(json_str(item, "id", ""), false);
        printf("] ");
        cli__put(json_str(item, "kind", ""), false);
        putchar(' ');
        cli__put(json_str(item, "ref", ""), false);
        putchar('\n');
    }
    const json_t *verdict = json_object_get(answer, "verdict"),
                 *usage = json_object_get(answer, "usage");
    json_array_foreach(json_object_get(verdict, "disputed"), i, item)
    {
        printf("  disputed: ");
        cli__put(json_string_value(item), false);
        putchar('\n');
    }
    if (json_is_object(verdict)) {
        printf("  verdict%s: ", json_flag(verdict, "weak", false) ? " (weak)" : "");
        cli__put(json_str(verdict, "reason", ""), false);
        putchar('\n');
    }
    const json_t *cost = json_object_get(usage, "cost");
    printf("  %s%lld tokens in, %s%lld out, cost ", json_flag(usage, "estimated", false) ? "~" : "",
           (long long)json_int(usage, "input_tokens", 0),
           json_flag(usage, "estimated", false) ? "~" : "",
           (long long)json_int(usage, "output_tokens", 0));
    cli__put(json_str(cost, "amount", "unknown"), false);
    if (*json_str(cost, "currency", ""))
        putchar(' ');
    cli__put(json_str(cost, "currency", ""), false);
    printf(", %lld ms, trace %s\n", (long long)json_int(answer, "elapsed_ms", 0),
           json_str(answer, "trace_id", ""));
}

static bool is_withheld(const json_t *trace)
{
    return strcmp(json_str(json_object_get(trace, "withheld"), "state", ""), "withheld") == 0;
}

/* Texts that tried to steer a model, and a risk that a person has to know of. */
static void print_risk(const json_t *answer)
{
    const json_t *risk = json_object_get(answer, "risk");
    size_t i, n;
    json_t *row, *found;
    json_array_foreach(json_object_get(answer, "injections"), i, row)
    {
        printf("  tries to steer a model: ");
        cli__put(json_str(row, "of", ""), false);
        putchar(' ');
        cli__put(json_str(row, "ref", ""), false);
        json_array_foreach(json_object_get(row, "findings"), n, found)
        {
            fputs(n ? ", " : ": ", stdout);
            cli__put(json_str(found, "class", ""), false);
            fputs(" (", stdout);
            cli__put(json_str(found, "words", ""), false);
            putchar(')');
        }
        putchar('\n');
    }
    if (is_withheld(answer))
        return;
    if (json_flag(risk, "person", false))
        printf("  risk %.2f: a person has to decide\n", json_num(risk, "score", 0));
}

/* What the safety filter found: "flagged in the question: S6 specialised advice". */
static void print_safety(const json_t *answer)
{
    size_t i, n;
    json_t *entry, *found;
    json_array_foreach(json_object_get(answer, "safety"), i, entry)
    {
        printf("  safety: ");
        cli__put(json_str(entry, "of", ""), false);
        putchar(' ');
        cli__put(json_str(entry, "model", ""), false);
        if (*json_str(entry, "model", ""))
            putchar(' ');
        cli__put(json_str(entry, "action", ""), false);
        json_array_foreach(json_object_get(entry, "found"), n, found)
        {
            fputs(n ? ", " : ": ", stdout);
            cli__put(json_str(found, "category", ""), false);
            putchar(' ');
            cli__put(json_str(found, "name", ""), false);
        }
        putchar('\n');
    }
}

/* Who is to answer, and how. */
static void put_choice(json_t *params, const struct cli *c)
{
    json_t *models = json_array();
    for (const char *p = c->models ? c->models : ""; *p;) {
        size_t n = strcspn(p, ",");
        if (n)
            json_array_append_new(models, json_text(p, n));
        p += n + (p[n] == ',');
    }
    if (c->models)
        json_put(params, "models", json_incref(models));
    json_decref(models);
    if (c->flow)
        json_puts(params, "flow", c->flow);
    static const char *const SIDES[] = {"modelA", "modelB", "promptA", "promptB"};
    for (size_t i = 0; i < sizeof SIDES / sizeof *SIDES; i++)
        if (c->sides[i])
            json_put(params, SIDES[i], json_text(c->sides[i], strlen(c->sides[i])));
    if (c->exchanges)
        json_puti(params, "exchanges", c->exchanges);
}

/* Its own words say who or what stood in the way: a role, a server or a budget is only one of many.
 */
static int tell_unanswered(const json_t *trace)
{
    bool blocked = strcmp(json_str(trace, "state", ""), "blocked") == 0;
    cli_complain("%s", json_str(trace, "error", "no answer"));
    fprintf(stderr, "  what to do: %s: mcp-console evidence list --trace %s\n",
            blocked ? "docs/safety.md has the categories; the log has what the filter did"
                    : "see what each model was asked and said",
            json_str(trace, "trace_id", ""));
    return blocked ? EXIT_REFUSED : EXIT_FAILED;
}

static int tell_withheld(const json_t *trace)
{
    const json_t *withheld = json_object_get(trace, "withheld");
    cli_complain("the answer is withheld: its risk is %.2f (mostly: %s)",
                 json_num(withheld, "score", 0), json_str(withheld, "why", ""));
    fprintf(stderr,
            "  what to do: a person who answers for it: mcp-console conversations release %s\n",
            json_str(trace, "trace_id", ""));
    return EXIT_REFUSED;
}

int cli__ask(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    struct cli__wait w = {.event = "turn",
                          .key = "trace_id",
                          .look = WIRE_traces_get,
                          .stop = WIRE_chat_stop,
                          .limit_ms = c->timeout_ms,
                          .end_ms = STOP_MS};
    json_t *params = json_object();
    json_puts(params, "text", c->text);
    if (c->conversation)
        json_puts(params, "conversation", c->conversation);
    put_choice(params, c);
    cli__wait_settled(bus, 0);
    cli__wait_begin(bus, &w);
    json_t *accepted = cli__call(bus, WIRE_chat_ask, params, &status);
    if (!accepted)
        return status;
    w.id = json_str(accepted, "trace_id", "");
    json_t *trace = cli__wait_end(bus, &w, &status);
    if (trace) {
        json_t *answer = answer_object(trace);
        bool done = strcmp(json_str(trace, "state", ""), "done") == 0;
        if (c->json)
            cli__print_json(answer);
        else if (done)
            print_answer(answer);
        else if (*json_str(answer, "answer", "")) { /* what came before it ended */
            print_text(answer);
            puts("  it ends early: this is what came of an answer");
        }
        if (!c->json) {
            print_safety(answer);
            print_risk(answer);
        }
        if (!done)
            status = tell_unanswered(trace);
        else if (is_withheld(trace))
            status = tell_withheld(trace);
        json_decref(answer);
    }
    json_decref(trace);
    json_decref(accepted);
    return status;
}
