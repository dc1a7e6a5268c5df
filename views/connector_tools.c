/* A connector's tools: the list, one whole, its form, and what a call answered. */
#include "tui/form.h"
#include "views/connectors.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SHORT_TYPE = 48 };
enum { COL_NAME, COL_LEVEL, COL_PIN, COL_TITLE };
static const struct tui_column columns[] = {{"tool", 26, false, 0},
                                            {"level", 9, false, 0},
                                            {"definition", 12, false, 2},
                                            {"title", -16, false, 1}};

static const json_t *tool_at(const struct connectors *c, size_t row)
{
    return json_array_get(json_object_get(c->detail, "tools"), row);
}

const json_t *connector_tool(const struct connectors *c, const char *name)
{
    const json_t *tools = json_object_get(c->detail, "tools");
    for (size_t i = 0; name && i < json_array_size(tools); i++)
        if (!strcmp(json_str(json_array_get(tools, i), "name", ""), name))
            return json_array_get(tools, i);
    return NULL;
}

/* What the wire says of a definition, for people. */
static const char *pin_word(const char *pin)
{
    static const char *const words[][2] = {
        {"new", N_("new")}, {"pinned", N_("trusted")}, {"changed", N_("changed")}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(pin, words[i][0]))
            return _(words[i][1]);
    return "-";
}

static const char *level_of(const json_t *tool)
{
    return json_str(tool, "level", json_flag(tool, "read_only", false) ? "read" : "execute");
}

static size_t list_count(void *arg)
{
    return json_array_size(json_object_get(((struct connectors *)arg)->detail, "tools"));
}

static const char *list_id(void *arg, size_t row)
{
    return json_str(tool_at(arg, row), "name", "");
}

static void list_cell(void *arg, size_t row, int column, struct buf *out, enum tui_role *role)
{
    const json_t *tool = tool_at(arg, row);
    const char *pin = json_str(tool, "pin", "");
    switch (column) {
    case COL_NAME:
        buf_adds(out, json_str(tool, "name", "-"));
        break;
    case COL_LEVEL:
        *role = strcmp(level_of(tool), "read") == 0 ? ROLE_TEXT : ROLE_WARN;
        buf_adds(out, _(level_of(tool)));
        break;
    case COL_PIN:
        *role = strcmp(pin, "changed") == 0 ? ROLE_FAIL
                : strcmp(pin, "new") == 0   ? ROLE_WARN
                                            : ROLE_DIM;
        buf_adds(out, pin_word(pin));
        break;
    default:
        *role = ROLE_DIM;
        buf_adds(out, json_str(tool, "title", ""));
        break;
    }
}

struct tui_list *connector_tools_list(struct connectors *c)
{
    static const struct tui_list_ops ops = {.count = list_count, .cell = list_cell, .id = list_id};
    return tui_list_new(columns, sizeof(columns) / sizeof(columns[0]), &ops, c);
}

/* ---- one tool */

static void add_property(struct tui_text *t, const char *name, const json_t *property, bool needed)
{
    const json_t *is = json_object_get(property, "type");
    char *type = json_is_string(is) ? xstrdup(json_string_value(is))
                                    : json_dumps(is, JSON_ENCODE_ANY | JSON_COMPACT);
    char *values = json_dumps(json_object_get(property, "enum"), JSON_COMPACT);
    char *initial =
        json_dumps(json_object_get(property, "default"), JSON_ENCODE_ANY | JSON_COMPACT);
    struct buf b = {0};
    buf_addf(&b, "%s%s  %s", name, needed ? "*" : "", type ? type : "any");
    if (values)
        buf_addf(&b, "  %.*s", SHORT_TYPE, values);
    if (initial)
        buf_addf(&b, "  = %.*s", SHORT_TYPE, initial);
    tui_text_add(t, ROLE_FOREIGN_STRONG, 2, true, b.data);
    if (*json_str(property, "description", ""))
        tui_text_add(t, ROLE_FOREIGN, 4, true, json_str(property, "description", ""));
    buf_release(&b);
    free(type);
    free(values);
    free(initial);
}

static bool required(const json_t *schema, const char *name)
{
    const json_t *list = json_object_get(schema, "required");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *is = json_string_value(json_array_get(list, i));
        if (is && !strcmp(is, name))
            return true;
    }
    return false;
}

static void add_schema(struct tui_text *t, const char *title, const json_t *schema)
{
    json_t *properties = json_object_get(schema, "properties"), *property;
    const char *name;
    if (!json_is_object(schema))
        return;
    tui_text_add(t, ROLE_TEXT, 0, false, "");
    tui_text_add(t, ROLE_DIM, 0, false, title);
    if (!json_object_size(properties))
        tui_text_add(t, ROLE_DIM, 2, false, _("none"));
    json_object_foreach(properties, name, property)
        add_property(t, name, property, required(schema, name));
}

void connector_steers_add(struct tui_text *t, const char *how)
{
    if (*how)
        tui_text_addf(t, ROLE_WARN, 0, false, "%s %s", tui_glyph(GLYPH_STEERS),
                      _("what the server says here tries to steer a model"));
    if (*how)
        tui_text_addf(t, ROLE_WARN, 2, false, "%s", _(how));
}

void connector_tool_text(struct connectors *c)
{
    const json_t *tool = connector_tool(c, c->tool), *hints = json_object_get(tool, "annotations");
    struct tui_text *t = c->text;
    bool read = strcmp(level_of(tool), "read") == 0;
    tui_text_clear(t);
    tui_text_addf(t, ROLE_STRONG, 0, false, "%s  %s", c->tool, json_str(tool, "title", ""));
    tui_text_add(t, read ? ROLE_DIM : ROLE_WARN, 0, false,
                 read ? _("read-only: the console or the configuration says so")
                      : _("may change something: it runs as a step of an approved plan only"));
    if (!strcmp(json_str(tool, "pin", ""), "changed"))
        tui_text_add(t, ROLE_FAIL, 0, false,
                     _("its definition changed since it was approved: it is not called until "
                       "somebody trusts it again (a)"));
    connector_steers_add(t, json_str(tool, "steers", ""));
    if (*json_str(tool, "qualified", ""))
        tui_text_addf(t, ROLE_DIM, 0, false, _("to models: %s"), json_str(tool, "qualified", ""));
    tui_text_add(t, ROLE_TEXT, 0, false, "");
    tui_text_add(t, ROLE_FOREIGN, 0, true, json_str(tool, "description", "-"));
    add_schema(t, _("arguments (* needed)"), json_object_get(tool, "input_schema"));
    add_schema(t, _("what it answers"), json_object_get(tool, "output_schema"));
    if (json_object_size(hints)) {
        char *text = json_dumps(hints, JSON_INDENT(2));
        tui_text_add(t, ROLE_TEXT, 0, false, "");
        tui_text_add(t, ROLE_DIM, 0, false, _("hints of the server, which nothing relies on"));
        tui_text_add(t, ROLE_FOREIGN, 2, true, text ? text : "");
        free(text);
    }
    tui_dirty();
}

/* ---- calling */

static void got_answer(void *self, const json_t *result, const struct error *e)
{
    struct connectors *c = self;
    c->calling = false;
    if (result)
        connector_answer_show(c, result);
    else
        tui_error(e, c->called ? c->called : "");
    connectors_ask_detail(c);
    tui_dirty();
}

static void got_plan(void *self, const json_t *result, const struct error *e)
{
    struct connectors *c = self;
    if (result)
        tui_show_item("approvals", json_str(result, "id", ""));
    else
        tui_error(e, c->called ? c->called : "");
}

static void explained(void *arg, const json_t *words)
{
    struct connectors *c = arg;
    if (!words || !c->open || !c->called || !c->arguments)
        return;
    char *title = xasprintf("%s/%s", c->open, c->called);
    json_t *step = json_pack("{s:s,s:s,s:O,s:s}", "connector", c->open, "tool", c->called,
                             "arguments", c->arguments, "expect", json_str(words, "expect", ""));
    json_t *plan = json_pack("{s:s,s:s,s:[o]}", "title", title, "reason",
                             json_str(words, "reason", ""), "steps", step);
    tui_call(c, WIRE_plans_propose, json_pack("{s:o,s:s}", "plan", plan, "from", "hand"), got_plan);
    free(title);
}

/* What may change something is not called from here: it is proposed as a plan of one step, with
 * what the person expects of it, for whoever approves. */
static void propose(struct connectors *c, const json_t *arguments)
{
    json_decref(c->arguments);
    c->arguments = json_deep_copy(arguments);
    json_t *schema = json_pack(
        "{s:s,s:[s,s],s:{s:{s:s,s:s,s:s,s:i,s:i},s:{s:s,s:s,s:s,s:i,s:i}}}", "type", "object",
        "required", "expect", "reason", "properties", "expect", "type", "string", "title",
        _("what should change"), "description", _("what will be different when it has worked"),
        "minLength", 1, "maxLength", 300, "reason", "type", "string", "title", _("why"),
        "description", _("for whoever approves it"), "minLength", 1, "maxLength", 300);
    char *title = xasprintf(_("A plan: %s/%s"), c->open, c->called);
    tui_form_open(&(struct tui_form_options){.title = title,
                                             .schema = schema,
                                             .submit = _("propose the plan"),
                                             .answer = explained,
                                             .arg = c});
    free(title);
    json_decref(schema);
}

static void filled_in(void *arg, const json_t *value)
{
    struct connectors *c = arg;
    if (!value || !c->open || !c->called)
        return;
    if (strcmp(level_of(connector_tool(c, c->called)), "read") != 0) {
        propose(c, value);
        return;
    }
    c->calling = true;
    tui_say(_("calling %s"), c->called);
    tui_call(
        c, WIRE_tools_call,
        json_pack("{s:s,s:s,s:O}", "connector", c->open, "tool", c->called, "arguments", value),
        got_answer);
}

void connector_tool_form(struct connectors *c, const char *name)
{
    const json_t *tool = connector_tool(c, name);
    if (!tool || c->calling) {
        tui_say("%s", c->calling ? _("a call is under way") : _("there is no such tool any more"));
        return;
    }
    free(c->called);
    c->called = xstrdup(name);
    struct tui_text *about = tui_text_new();
    if (*json_str(tool, "description", ""))
        tui_text_add(about, ROLE_FOREIGN, 0, true, json_str(tool, "description", ""));
    char *title = xasprintf("%s/%s", c->open, name);
    tui_form_open(&(struct tui_form_options){
        .title = title,
        .about = about,
        .schema = json_object_get(tool, "input_schema"),
        .submit = strcmp(level_of(tool), "read") == 0 ? _("call") : _("plan it"),
        .answer = filled_in,
        .arg = c});
    free(title);
}
