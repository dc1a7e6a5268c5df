/* Signing in to a connector: the whole address to open anywhere, and the code that comes back.
 *
 * The address is shown and never opened: it is the server's word. */
#include "tui/form.h"
#include "views/connectors.h"
#include <stdlib.h>
#include <string.h>

static void done(struct connectors *c)
{
    tui_say(_("signed in to %s"), c->asked);
    connectors_ask_detail(c);
    tui_dirty();
}

static void got_end(void *self, const json_t *result, const struct error *e)
{
    struct connectors *c = self;
    if (!result)
        tui_error(e, c->asked);
    else if (json_flag(result, "done", false))
        done(c);
}

static void pasted(void *arg, const json_t *value)
{
    struct connectors *c = arg;
    const char *code = json_str(value, "code", "");
    if (value && *code)
        tui_call(c, WIRE_connectors_login, json_pack("{s:s,s:s}", "name", c->asked, "code", code),
                 got_end);
}

static void got_address(void *self, const json_t *result, const struct error *e)
{
    struct connectors *c = self;
    if (!result) {
        tui_error(e, c->asked);
        return;
    }
    if (json_flag(result, "done", false)) {
        done(c);
        return;
    }
    struct tui_text *about = tui_text_new();
    tui_text_add(about, ROLE_TEXT, 0, false,
                 _("Open this address in a browser on any machine. It is the server's word: look "
                   "whether you know its host."));
    tui_text_add(about, ROLE_TEXT, 0, false, "");
    tui_text_add(about, ROLE_FOREIGN, 0, true, json_str(result, "url", "-"));
    if (*json_str(result, "user_code", "")) {
        tui_text_add(about, ROLE_TEXT, 0, false, "");
        tui_text_addf(about, ROLE_STRONG, 0, false, _("the code to type there: %s"),
                      json_str(result, "user_code", ""));
    }
    json_t *schema = json_pack(
        "{s:s,s:{s:{s:s,s:s,s:s}}}", "type", "object", "properties", "code", "type", "string",
        "title", _("what came back"), "description",
        _("The code that the page shows, or the whole address that the browser ended at. Nothing "
          "is needed if the browser runs on this machine."));
    char *title = xasprintf(_("Sign in to %s"), c->asked);
    tui_form_open(&(struct tui_form_options){.title = title,
                                             .about = about,
                                             .schema = schema,
                                             .submit = _("sign in"),
                                             .answer = pasted,
                                             .arg = c});
    json_decref(schema);
    free(title);
}

void connector_sign_in(struct connectors *c, const char *name)
{
    char *copy = xstrdup(name);
    free(c->asked);
    c->asked = copy;
    tui_call(c, WIRE_connectors_login, json_pack("{s:s}", "name", name), got_address);
}
