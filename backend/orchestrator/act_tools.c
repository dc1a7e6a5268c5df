/* Plans and connectors: which tool is meant, whether it is still the same, and calling it. */
#include "backend/base/text.h"
#include "backend/orchestrator/act_internal.h"
#include "backend/vault/vault.h"
#include <string.h>

enum { TOOLS_MAX = 4096 };

struct found {
    struct conn_tool tools[TOOLS_MAX];
    size_t count;
};

static const struct conn_tool *find(const struct found *f, const json_t *call, struct error *e)
{
    const char *connector = json_str(call, "connector", ""), *tool = json_str(call, "tool", "");
    for (size_t i = 0; i < f->count; i++)
        if (strcmp(f->tools[i].connector, connector) == 0 && strcmp(f->tools[i].name, tool) == 0)
            return &f->tools[i];
    err_set(e, ERR_NOT_FOUND, "connector %.60s has no tool %.60s, or is not up", connector, tool);
    return NULL;
}

static bool acts(const struct conn_tool *t)
{
    return t->level > CONN_READ;
}

/* The definition as a person who approves it saw it. */
static void definition_hash(const struct conn_tool *t, char hex[65])
{
    json_t *d = json_object();
    json_puts(d, "name", t->name);
    json_puts(d, "title", t->title ? t->title : "");
    json_puts(d, "description", t->description ? t->description : "");
    if (t->input_schema) { /* as text: numbers that JCS does not hold must not matter */
        char *schema = json_dumps(t->input_schema, JSON_COMPACT | JSON_SORT_KEYS);
        json_puts(d, "input_schema", schema ? schema : "");
        free(schema);
    }
    if (act__hash(d, hex, NULL) != ERR_OK)
        hex[0] = '\0';
    json_decref(d);
}

static bool names_word(const json_t *list, const char *word)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(json_string_value(json_array_get(list, i))
                       ? json_string_value(json_array_get(list, i))
                       : "",
                   word) == 0)
            return true;
    return false;
}

/* What the risk depends on. */
static json_t *facts_of(struct plans *p, const struct conn_tool *t, struct error *e)
{
    json_t *row = conn_describe(p->rooms.conn, t->connector), *facts = json_object();
    const char *level = json_str(row, "level", "read"), *region = json_str(row, "region", ""),
               *allowed = json_str(row, "allowed_regions", "");
    json_put(facts, "acting", json_boolean(acts(t)));
    json_put(facts, "personal", json_boolean(names_word(json_object_get(row, "data"), "personal")));
    json_put(facts, "abroad", json_boolean(*allowed && !strstr(allowed, region)));
    /* A hint of the server only ever adds to the risk. */
    json_put(facts, "destructive",
             json_boolean(json_flag(t->annotations, "destructiveHint", false)));
    if (acts(t) && strcmp(level, "read") == 0)
        err_set(e, ERR_DENIED, "the level of connector %.60s is read: nothing is planned for it",
                t->connector);
    json_decref(row);
    return facts;
}

/* What is taken from a result is not there yet: the rest is checked when it is called. */
static enum err takes_known(const struct conn_tool *t, const json_t *take, struct error *e)
{
    const json_t *properties = json_object_get(t->input_schema, "properties");
    const char *name;
    json_t *pointer;
    json_object_foreach((json_t *)take, name, pointer)
    {
        if (!json_object_get(properties, name))
            return err_set(e, ERR_INVALID, "%.60s/%.60s has no argument %.60s", t->connector,
                           t->name, name);
    }
    return ERR_OK;
}

static enum err check_call(const struct found *f, const json_t *call, bool must_read,
                           const struct conn_tool **out, struct error *e)
{
    const struct conn_tool *t = find(f, call, e);
    *out = t;
    if (!t)
        return e->code;
    if (!t->callable)
        return err_set(
            e, ERR_DENIED,
            "%.60s/%.60s is not called: its definition is not approved, or a list of the "
            "connector forbids it",
            t->connector, t->name);
    if (must_read && acts(t))
        return err_set(e, ERR_INVALID, "%.60s/%.60s is not known to be read-only", t->connector,
                       t->name);
    if (json_object_get(call, "take"))
        return takes_known(t, json_object_get(call, "take"), e);
    return t->input_schema
               ? conn_schema_check(t->input_schema, json_object_get(call, "arguments"), e)
               : ERR_OK;
}

static enum err check_step(struct plans *p, const struct found *f, const json_t *step, json_t *pins,
                           json_t *facts, struct error *e)
{
    static const char *const PARTS[] = {"preview", "verify", "rollback"};
    const struct conn_tool *t;
    char hash[65];
    json_t *pin = json_object();
    json_array_append_new(pins, pin);
    if (check_call(f, step, false, &t, e) != ERR_OK)
        return e->code;
    definition_hash(t, hash);
    json_puts(pin, "step", hash);
    json_array_append_new(facts, facts_of(p, t, e));
    for (size_t i = 0; e->code == ERR_OK && i < 3; i++) {
        const json_t *part = json_object_get(step, PARTS[i]);
        if (!part || check_call(f, part, i < 2, &t, e) != ERR_OK)
            continue;
        definition_hash(t, hash);
        json_puts(pin, PARTS[i], hash);
        if (acts(t))
            json_decref(facts_of(p, t, e));
    }
    return e->code;
}

enum err act__tools_check(struct plans *p, const json_t *core, json_t **pins, json_t **facts,
                          struct error *e)
{
    struct found *f = xcalloc(1, sizeof *f);
    const json_t *steps = json_object_get(core, "steps");
    f->count = conn_tools(p->rooms.conn, f->tools, TOOLS_MAX);
    *pins = json_array();
    *facts = json_array();
    for (size_t i = 0; e->code == ERR_OK && i < json_array_size(steps); i++) {
        if (check_step(p, f, json_array_get(steps, i), *pins, *facts, e) != ERR_OK) {
            char detail[sizeof e->detail];
            memcpy(detail, e->detail, sizeof detail);
            err_set(e, e->code, "step %zu: %.220s", i + 1, detail);
        }
    }
    free(f);
    return e->code;
}

json_t *act__part(const struct plan *plan, size_t at, const char *part, struct error *e)
{
    const json_t *step = act__step(plan, at), *call = part ? json_object_get(step, part) : step;
    const json_t *take = json_object_get(call, "take"), *taken = json_object_get(step, "taken");
    json_t *made = json_object(), *arguments = json_deep_copy(json_object_get(call, "arguments"));
    const char *name;
    json_t *pointer;
    json_puts(made, "connector", json_str(call, "connector", ""));
    json_puts(made, "tool", json_str(call, "tool", ""));
    json_object_foreach((json_t *)take, name, pointer)
    {
        const json_t *value = json_object_get(taken, json_string_value(pointer));
        if (value)
            json_put(arguments, name, json_incref((json_t *)value));
        else
            err_set(e, ERR_NOT_FOUND, "the result of the step has nothing at %.100s",
                    json_string_value(pointer));
    }
    json_put(made, "arguments", arguments);
    return made;
}

json_t *act__taken(const json_t *step, const json_t *value)
{
    static const char *const PARTS[] = {"verify", "rollback"};
    json_t *taken = json_object(), *pointer;
    const char *name;
    for (size_t i = 0; i < 2; i++) {
        json_object_foreach(json_object_get(json_object_get(step, PARTS[i]), "take"), name, pointer)
        {
            const json_t *at = act__pointer(value, json_string_value(pointer));
            if (json_is_number(at) || json_is_boolean(at) ||
                (json_is_string(at) && json_string_length(at) <= ACT_TEXT))
                json_put(taken, json_string_value(pointer), json_incref((json_t *)at));
        }
    }
    return taken;
}

struct conn_call *act__call(struct plan *plan, size_t at, const char *part, conn_done *done,
                            struct error *e)
{
    struct plans *p = plan->owner;
    const json_t *step = act__step(plan, at);
    json_t *call = act__part(plan, at, part, e);
    struct found *f = xcalloc(1, sizeof *f);
    const struct conn_tool *t;
    struct conn_call *started = NULL;
    char hash[65] = "";
    bool reads = part && strcmp(part, "rollback") != 0;
    f->count = conn_tools(p->rooms.conn, f->tools, TOOLS_MAX);
    if (e->code != ERR_OK || check_call(f, call, reads, &t, e) != ERR_OK)
        goto out;
    definition_hash(t, hash);
    if (strcmp(hash, json_str(json_object_get(step, "pins"), part ? part : "step", "")) != 0) {
        err_set(e, ERR_DENIED, "the definition of %.60s/%.60s changed since it was approved",
                t->connector, t->name);
        goto out;
    }
    char key[96];
    snprintf(key, sizeof key, "%s/%zu/%s", plan->id, at, part ? part : "step");
    struct conn_call_options options = {.limit_ms = p->step_ms,
                                        .max_ms = p->step_ms,
                                        .level = reads ? CONN_READ : CONN_EXECUTE,
                                        .parent = *plan->context.trace_id ? &plan->context : NULL,
                                        .idempotency = reads ? NULL : key};
    started = conn_call(p->rooms.conn, t->connector, t->name, json_object_get(call, "arguments"),
                        &options, done, plan, e);
out:
    json_decref(call);
    free(f);
    return started;
}

json_t *act__value(const struct conn_result *r)
{
    enum { DEPTH = 32 };
    size_t len = strlen(r->text);
    if (r->data)
        return json_deep_copy(r->data);
    json_t *value = json_read(r->text, len, ACT_BYTES, DEPTH, NULL);
    return value ? value : json_text(r->text, len < ACT_TEXT ? len : ACT_TEXT);
}
