/* How a step of a plan that the copilot makes is verified and undone, by after.def. */
#include "backend/base/text.h"
#include "backend/orchestrator/internal.h"
#include <stdlib.h>
#include <string.h>

enum { NAME = 128 };

struct known {
    const char *kind, *tool, *check, *check_with, *pointer, *op, *value, *undo, *undo_with;
};
static const struct known KNOWN_ROWS[] = {
#define KNOWN(...) {__VA_ARGS__},
#define OPPOSITE(...)
#include "backend/orchestrator/after.def"
#undef KNOWN
#undef OPPOSITE
};

struct opposite {
    const char *word, *opposite, *property, *value;
};
static const struct opposite OPPOSITES[] = {
#define KNOWN(...)
#define OPPOSITE(...) {__VA_ARGS__},
#include "backend/orchestrator/after.def"
#undef KNOWN
#undef OPPOSITE
};

struct about { /* the step and the tools of its connector */
    const struct conn_tool *tools;
    size_t count;
    const struct conn_tool *tool;
    json_t *step;
};

static const json_t *arguments_of(const struct about *a)
{
    return json_object_get(a->step, "arguments");
}

static const struct conn_tool *tool_named(const struct about *a, const char *name, bool reads)
{
    for (size_t i = 0; i < a->count; i++) {
        const struct conn_tool *t = &a->tools[i];
        if (!strcmp(t->connector, a->tool->connector) && !strcmp(t->name, name) && t->callable &&
            t->input_schema && (t->level == CONN_READ) == reads)
            return t;
    }
    return NULL;
}

static json_t *call_of(const struct conn_tool *t, json_t *arguments)
{
    json_t *call = json_object();
    json_puts(call, "connector", t->connector);
    json_puts(call, "tool", t->name);
    json_put(call, "arguments", arguments);
    return call;
}

static json_t *check_of(const char *pointer, const char *op, json_t *value)
{
    json_t *check = json_object();
    json_puts(check, "pointer", pointer);
    json_puts(check, "op", op);
    json_put(check, "value", value);
    return check;
}

/* ---- tools that are built in */

/* "id=/silence_id name": a call with what it takes from the result and from the step. */
static json_t *call_with(const struct about *a, const char *name, const char *with, bool reads)
{
    const struct conn_tool *t = *name ? tool_named(a, name, reads) : NULL;
    if (!t)
        return NULL;
    json_t *arguments = json_object(), *take = json_object();
    for (size_t n; *with; with += n + (with[n] == ' ')) {
        n = strcspn(with, " ");
        size_t key = strcspn(with, "= ");
        char *argument = xstrndup(with, key < n ? key : n);
        const json_t *own = json_object_get(arguments_of(a), argument);
        if (key < n)
            json_put(take, argument, json_text(with + key + 1, n - key - 1));
        else if (own)
            json_put(arguments, argument, json_deep_copy(own));
        free(argument);
    }
    json_t *call = call_of(t, arguments);
    if (json_object_size(take))
        json_put(call, "take", json_incref(take));
    json_decref(take);
    return call;
}

static void known_rows(const struct about *a, const char *kind)
{
    for (size_t i = 0; i < sizeof KNOWN_ROWS / sizeof *KNOWN_ROWS; i++) {
        const struct known *k = &KNOWN_ROWS[i];
        if (strcmp(k->kind, kind) != 0 || strcmp(k->tool, a->tool->name) != 0)
            continue;
        json_t *verify = call_with(a, k->check, k->check_with, true);
        json_t *undo = call_with(a, k->undo, k->undo_with, false);
        if (verify) {
            json_put(verify, "check",
                     check_of(k->pointer, k->op, json_loads(k->value, JSON_DECODE_ANY, NULL)));
            json_put(a->step, "verify", verify);
        }
        if (undo)
            json_put(a->step, "rollback", undo);
    }
}

/* ---- tools with a name that has an opposite */

/* The name with another word in the place of that one; false: the word is not in it. */
static bool renamed(const char *name, const char *word, const char *by, char out[NAME])
{
    size_t n = strlen(word);
    for (const char *p = name; (p = strstr(p, word)); p++) {
        bool begins = p == name || strchr("_-.", p[-1]), ends = !p[n] || strchr("_-.", p[n]);
        if (begins && ends)
            return snprintf(out, NAME, "%.*s%s%s", (int)(p - name), name, by, p + n) < NAME;
    }
    return false;
}

/* Those arguments of the step that the tool takes; NULL: they are not enough for it. */
static json_t *shared(const struct about *a, const struct conn_tool *t)
{
    json_t *out = json_object(), *value;
    const json_t *properties = json_object_get(t->input_schema, "properties");
    const char *name;
    json_object_foreach((json_t *)arguments_of(a), name, value)
    {
        if (json_object_get(properties, name))
            json_put(out, name, json_deep_copy(value));
    }
    if (conn_schema_check(t->input_schema, out, NULL) == ERR_OK)
        return out;
    json_decref(out);
    return NULL;
}

/* The same thing is meant only if every argument is taken: "stop {name, node}" is not undone by
 * "start {name}". */
static void opposite_undo(const struct about *a, const char *name)
{
    const struct conn_tool *t = tool_named(a, name, false);
    json_t *arguments = t ? shared(a, t) : NULL;
    if (arguments && json_object_size(arguments) == json_object_size(arguments_of(a)))
        json_put(a->step, "rollback", call_of(t, json_incref(arguments)));
    json_decref(arguments);
}

/* Of the step's arguments the one that the reading tool answers and does not take. */
static const char *answered(const struct about *a, const struct conn_tool *t)
{
    const json_t *taken = json_object_get(t->input_schema, "properties"),
                 *answers = json_object_get(t->output_schema, "properties");
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)arguments_of(a), name, value)
    {
        bool scalar = !json_is_object(value) && !json_is_array(value);
        if (scalar && json_object_get(answers, name) && !json_object_get(taken, name) &&
            !strpbrk(name, "/~"))
            return name;
    }
    return NULL;
}

static void opposite_check(const struct about *a, const struct opposite *o)
{
    static const char *const READS[] = {"get", "show", "describe", "status", "read"};
    char name[NAME];
    for (size_t i = 0; i < sizeof READS / sizeof *READS; i++) {
        const struct conn_tool *t =
            renamed(a->tool->name, o->word, READS[i], name) ? tool_named(a, name, true) : NULL;
        const char *property = !t ? NULL : *o->property ? o->property : answered(a, t);
        if (!property ||
            !json_object_get(json_object_get(t->output_schema, "properties"), property))
            continue;
        json_t *arguments = shared(a, t);
        if (!arguments)
            continue;
        json_t *verify = call_of(t, arguments);
        char *pointer = xasprintf("/%s", property);
        json_t *value = *o->property ? json_loads(o->value, JSON_DECODE_ANY, NULL)
                                     : json_deep_copy(json_object_get(arguments_of(a), property));
        json_put(verify, "check", check_of(pointer, "==", value));
        json_put(a->step, "verify", verify);
        free(pointer);
        return;
    }
}

static void opposite_rows(const struct about *a)
{
    char name[NAME];
    for (size_t i = 0; i < sizeof OPPOSITES / sizeof *OPPOSITES; i++) {
        const struct opposite *o = &OPPOSITES[i];
        if (!renamed(a->tool->name, o->word, o->opposite, name))
            continue;
        if (*o->opposite && !json_object_get(a->step, "rollback"))
            opposite_undo(a, name);
        if (!json_object_get(a->step, "verify"))
            opposite_check(a, o);
    }
}

void orch__after(const struct orch *o, const struct conn_tool *tools, size_t n,
                 const struct conn_tool *tool, json_t *step)
{
    const struct about a = {.tools = tools, .count = n, .tool = tool, .step = step};
    json_t *row = conn_describe(o->rooms.conn, tool->connector);
    known_rows(&a, json_str(row, "kind", ""));
    opposite_rows(&a);
    json_decref(row);
}
