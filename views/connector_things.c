/* What an MCP server has besides tools: resources to read and prompts to fill in. */
#include "tui/form.h"
#include "views/connectors.h"
#include <stdlib.h>
#include <string.h>

enum { SHOWN_MAX = 64 * 1024 };
enum { COL_NAME, COL_TITLE, COL_KIND };
static const struct tui_column columns[] = {
    {"name", 34, false, 0}, {"title", -16, false, 1}, {"kind", 18, false, 2}};

static const json_t *thing_at(const struct connectors *c, size_t row)
{
    return json_array_get(c->things, row);
}

static const char *name_of(const struct connectors *c, size_t row)
{
    return json_str(thing_at(c, row), c->part == PART_RESOURCES ? "uri" : "name", "-");
}

static size_t list_count(void *arg)
{
    return json_array_size(((struct connectors *)arg)->things);
}

static const char *list_id(void *arg, size_t row)
{
    return name_of(arg, row);
}

static void list_cell(void *arg, size_t row, int column, struct buf *out, enum tui_role *role)
{
    const json_t *thing = thing_at(arg, row);
    *role = column == COL_NAME ? ROLE_TEXT : ROLE_DIM;
    if (column == COL_NAME)
        buf_adds(out, name_of(arg, row));
    else if (column == COL_TITLE)
        buf_adds(out, json_str(thing, "title", json_str(thing, "name", "")));
    else
        buf_adds(out, json_str(thing, "mime_type", ""));
}

struct tui_list *connector_things_list(struct connectors *c)
{
    static const struct tui_list_ops ops = {.count = list_count, .cell = list_cell, .id = list_id};
    return tui_list_new(columns, sizeof(columns) / sizeof(columns[0]), &ops, c);
}

static void got_things(void *self, const json_t *result, const struct error *e)
{
    struct connectors *c = self;
    bool resources = json_object_get(result, "resources") != NULL;
    if (!result)
        tui_error(e, c->open ? c->open : "");
    if (!result || resources != (c->part == PART_RESOURCES))
        return;
    json_decref(c->things);
    c->things = json_deep_copy(json_object_get(result, resources ? "resources" : "prompts"));
    free(c->things_error);
    c->things_error =
        *json_str(result, "error", "") ? xstrdup(json_str(result, "error", "")) : NULL;
    tui_list_changed(c->list_of_things);
    tui_dirty();
}

void connector_things_ask(struct connectors *c)
{
    json_decref(c->things);
    c->things = NULL;
    tui_list_set_filter(c->list_of_things, "");
    tui_list_changed(c->list_of_things);
    tui_call(c, c->part == PART_RESOURCES ? WIRE_resources_list : WIRE_prompts_list,
             json_pack("{s:s}", "connector", c->open), got_things);
}

/* ---- reading */

static void add_content(struct tui_text *t, const json_t *content)
{
    const char *text = json_str(content, "text", NULL);
    if (text) {
        char *shown = xstrndup(text, SHOWN_MAX);
        tui_text_add(t, ROLE_FOREIGN, 0, true, shown);
        free(shown);
        if (strlen(text) > SHOWN_MAX)
            tui_text_add(t, ROLE_WARN, 0, false, _("cut here; the whole is in the log"));
    } else {
        tui_text_addf(t, ROLE_DIM, 0, false, _("%s, %lld bytes, not shown"),
                      json_str(content, "mimeType", json_str(content, "type", "?")),
                      (long long)json_int(content, "bytes", 0));
    }
}

static void add_head(struct tui_text *t, const json_t *result)
{
    tui_text_addf(t, ROLE_DIM, 0, false, _("entry %lld of the log"),
                  (long long)json_int(result, "entry", -1));
    connector_steers_add(t, json_str(result, "steers", ""));
}

static void got_resource(void *self, const json_t *result, const struct error *e)
{
    struct connectors *c = self;
    const json_t *content;
    size_t i;
    if (!result) {
        tui_error(e, c->called ? c->called : "");
        return;
    }
    struct tui_text *t = tui_text_new();
    add_head(t, result);
    json_array_foreach(json_object_get(result, "contents"), i, content) add_content(t, content);
    tui_overlay(c->called, t);
}

static void got_prompt(void *self, const json_t *result, const struct error *e)
{
    struct connectors *c = self;
    const json_t *message;
    size_t i;
    if (!result) {
        tui_error(e, c->called ? c->called : "");
        return;
    }
    struct tui_text *t = tui_text_new();
    add_head(t, result);
    json_array_foreach(json_object_get(result, "messages"), i, message)
    {
        tui_text_add(t, ROLE_STRONG, 0, false, json_str(message, "role", "-"));
        add_content(t, json_object_get(message, "content"));
        tui_text_add(t, ROLE_TEXT, 0, false, "");
    }
    tui_overlay(c->called, t);
}

static void prompt_filled(void *arg, const json_t *value)
{
    struct connectors *c = arg;
    if (value && c->open && c->called)
        tui_call(
            c, WIRE_prompts_get,
            json_pack("{s:s,s:s,s:O}", "connector", c->open, "name", c->called, "arguments", value),
            got_prompt);
}

/* The arguments of a prompt are texts; as a schema for the form. */
static json_t *prompt_schema(const json_t *prompt)
{
    json_t *properties = json_object(), *required = json_array();
    const json_t *argument;
    size_t i;
    json_array_foreach(json_object_get(prompt, "arguments"), i, argument)
    {
        const char *name = json_str(argument, "name", "");
        json_put(properties, name,
                 json_pack("{s:s,s:s}", "type", "string", "description",
                           json_str(argument, "description", "")));
        if (json_flag(argument, "required", false))
            json_array_append_new(required, json_string(name));
    }
    return json_pack("{s:s,s:o,s:o}", "type", "object", "properties", properties, "required",
                     required);
}

void connector_thing_open(struct connectors *c)
{
    long row = tui_list_selected(c->list_of_things);
    if (row < 0)
        return;
    const json_t *thing = thing_at(c, (size_t)row);
    char *name = xstrdup(name_of(c, (size_t)row));
    free(c->called);
    c->called = name;
    if (c->part == PART_RESOURCES) {
        tui_call(c, WIRE_resources_read, json_pack("{s:s,s:s}", "connector", c->open, "uri", name),
                 got_resource);
        return;
    }
    struct tui_text *about = tui_text_new();
    if (*json_str(thing, "description", ""))
        tui_text_add(about, ROLE_FOREIGN, 0, true, json_str(thing, "description", ""));
    json_t *schema = prompt_schema(thing);
    char *title = xasprintf("%s/%s", c->open, name);
    tui_form_open(&(struct tui_form_options){.title = title,
                                             .about = about,
                                             .schema = schema,
                                             .submit = _("fill in"),
                                             .answer = prompt_filled,
                                             .arg = c});
    json_decref(schema);
    free(title);
}
