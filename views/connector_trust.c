/* Trusting what a connector's tools say of themselves, and switching a connector on and off. */
#include "views/connectors.h"
#include <stdlib.h>
#include <string.h>

/* Keeps what the question in the footer is about. */
static void ask_about(struct connectors *c, const char *name, const char *tool)
{
    char *asked = xstrdup(name), *one = tool ? xstrdup(tool) : NULL;
    free(c->asked);
    free(c->asked_tool);
    c->asked = asked;
    c->asked_tool = one;
}

static void told(struct connectors *c, const json_t *result, const struct error *e, const char *say)
{
    if (result)
        tui_say("%s", say);
    else
        tui_error(e, c->asked);
    connectors_ask_rows(c);
    connectors_ask_detail(c);
}

/* ---- trust: the difference first */

static void trusted(void *self, const json_t *result, const struct error *e)
{
    told(self, result, e, _("trusted as it is now"));
}

static void trust(void *self)
{
    struct connectors *c = self;
    json_t *params = json_pack("{s:s}", "name", c->asked);
    if (c->asked_tool)
        json_puts(params, "tool", c->asked_tool);
    tui_call(c, WIRE_connectors_trust, params, trusted);
}

static size_t add_differences(const struct connectors *c, struct tui_text *t, const json_t *tools)
{
    const json_t *one;
    size_t i, n = 0;
    json_array_foreach(tools, i, one)
    {
        const char *name = json_str(one, "tool", "-"), *pin = json_str(one, "pin", "");
        if (c->asked_tool && strcmp(name, c->asked_tool) != 0)
            continue;
        n++;
        tui_text_addf(t, ROLE_STRONG, 0, false, "%s  %s", name,
                      strcmp(pin, "changed") == 0 ? _("changed since it was trusted")
                                                  : _("was never trusted"));
        tui_text_add(t, ROLE_FOREIGN_CODE, 0, true, json_str(one, "difference", ""));
        tui_text_add(t, ROLE_TEXT, 0, false, "");
    }
    return n;
}

static void got_drift(void *self, const json_t *result, const struct error *e)
{
    struct connectors *c = self;
    if (!result) {
        tui_error(e, c->asked);
        return;
    }
    struct tui_text *t = tui_text_new();
    size_t n = add_differences(c, t, json_object_get(result, "tools"));
    if (!n) {
        tui_text_free(t);
        tui_say("%s", _("every definition is the one that was trusted"));
        return;
    }
    char *title = xasprintf(_("Definitions of %s"), c->asked);
    char *question = xasprintf(_n("Trust this definition?", "Trust these %zu definitions?", n), n);
    tui_overlay(title, t);
    tui_confirm(question, trust, c);
    free(title);
    free(question);
}

void connector_trust(struct connectors *c, const char *name, const char *tool)
{
    ask_about(c, name, tool);
    tui_call(c, WIRE_connectors_drift, json_pack("{s:s}", "name", name), got_drift);
}

/* ---- on and off */

static void switched(void *self, const json_t *result, const struct error *e)
{
    told(self, result, e, _("switched; it stays so after a restart"));
}

static void disable(void *self)
{
    struct connectors *c = self;
    tui_call(c, WIRE_connectors_disable, json_pack("{s:s}", "name", c->asked), switched);
}

void connector_switch(struct connectors *c, const char *name, bool disabled)
{
    ask_about(c, name, NULL);
    if (disabled) {
        tui_call(c, WIRE_connectors_enable, json_pack("{s:s}", "name", name), switched);
        return;
    }
    char *question = xasprintf(_("Stop %s and keep it off?"), name);
    tui_confirm(question, disable, c);
    free(question);
}
