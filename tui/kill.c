/* The kill switch's key: it asks nothing to stop, and asks to lift. */
#include "tui/app.h"

static void answered(void *arg, const json_t *result, const struct error *e)
{
    struct tui__app *app = arg;
    if (!result)
        tui_error(e, _("kill switch"));
    else if (json_flag(result, "on", false))
        tui_say("%s", _("everything that acts was stopped; the same key lifts it"));
    else
        tui_say("%s", _("the kill switch is off: what is approved may act again"));
    app->dirty = true;
}

static void lift(void *arg, const char *text)
{
    if (!*text) {
        tui_say("%s", _("a reason is needed: it stays in the log"));
        return;
    }
    json_t *params = json_object();
    json_puts(params, "reason", text);
    tui_call(arg, WIRE_kill_clear, params, answered);
}

static void ask_reason(void *arg)
{
    tui_prompt(_("Lift it, because: "), "", lift, arg);
}

bool tui__kill_is_on(const struct tui__app *app)
{
    return json_flag(json_object_get(app->status, "kill"), "on", false);
}

void tui__kill_key(struct tui__app *app)
{
    if (tui__kill_is_on(app)) {
        tui_confirm(_("Lift the kill switch, so that plans may act again?"), ask_reason, app);
        return;
    }
    json_t *params = json_object();
    json_puts(params, "reason", "the key in the console");
    tui_call(app, WIRE_kill_set, params, answered);
}
