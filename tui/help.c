/* Help: what every key does here, from actions.def. */
#include "tui/app.h"
#include "tui/paper.h"
#include <stdio.h>
#include <string.h>

enum { KEYS_WIDTH = 16 };

/* "^P, :" from "C-p :". */
static void keys_show(enum tui_action a, char *out, size_t size)
{
    const char *p = tui__action(a)->keys;
    size_t at = 0;
    out[0] = 0;
    for (uint32_t code; (code = tui__key_next(&p));) {
        char key[16];
        tui__key_show(code, key);
        int n = snprintf(out + at, size - at, at ? ", %s" : "%s", key);
        if (n < 0 || (size_t)n >= size - at) {
            out[at] = 0;
            return;
        }
        at += (size_t)n;
    }
}

static void section(struct tui__app *app, struct tui_text *t, const char *title,
                    enum tui__scope scope)
{
    static const char rest[] = "                 "; /* KEYS_WIDTH and a gap */
    bool any = false;
    for (int i = 1; i < ACTION_COUNT; i++) {
        enum tui_action a = (enum tui_action)i;
        const struct tui__action_row *row = tui__action(a);
        bool here = row->scope == scope && (scope == SCOPE_INPUT ? tui__app_ops(app)->text != NULL
                                                                 : tui__app_offers(app, a));
        if (!here)
            continue;
        if (!any)
            tui_text_addf(t, ROLE_STRONG, 0, false, "%s", title);
        any = true;
        char keys[KEYS_WIDTH + 1];
        keys_show(a, keys, sizeof(keys));
        char first[KEYS_WIDTH + 8];
        snprintf(first, sizeof(first), "%-*s ", KEYS_WIDTH, keys);
        struct paper_start s = {PAPER_WORDS, ROLE_KEY, 1, false, first, rest, -1};
        tui__paper_begin(t, &s);
        tui__paper_add(t, ROLE_TEXT, _(row->help), strlen(_(row->help)));
    }
    if (any)
        tui_text_add(t, ROLE_TEXT, 0, false, "");
}

static void states(struct tui_text *t)
{
    tui_text_add(t, ROLE_STRONG, 0, false, _("Marks"));
    tui_text_addf(t, ROLE_TEXT, 2, false, "%s %s   %s %s   %s %s   %s %s   %s %s   %s %s   %s %s",
                  tui_glyph(GLYPH_OK), _("ok"), tui_glyph(GLYPH_WARN), _("warn"),
                  tui_glyph(GLYPH_FAIL), _("fail"), tui_glyph(GLYPH_UNKNOWN), _("not assessed"),
                  tui_glyph(GLYPH_BLOCKED), _("blocked"), tui_glyph(GLYPH_STOPPED), _("stopped"),
                  tui_glyph(GLYPH_RUNNING), _("running"));
    tui_text_addf(t, ROLE_TEXT, 2, false, "~ %s   %s %s", _("an estimate"), tui_glyph(GLYPH_BAR),
                  _("text from models, tools and documents"));
}

/* Where the console serves agents, or what keeps it from that. */
static void serving(const json_t *status, struct tui_text *t)
{
    const json_t *now = json_object_get(status, "serving"), *error = json_object_get(now, "error");
    const char *address = json_str(now, "address", "");
    if (!json_is_object(now))
        return;
    tui_text_add(t, ROLE_TEXT, 0, false, "");
    tui_text_add(t, ROLE_STRONG, 0, false, _("Agents"));
    if (*address)
        tui_text_addf(t, ROLE_TEXT, 2, false, _("served at http://%s/mcp"), address);
    else
        tui_text_addf(t, ROLE_TEXT, 2, false, "%s %s: %s", tui_glyph(GLYPH_WARN),
                      _(err_text(err_from_name(json_str(error, "name", "")))),
                      json_str(error, "detail", ""));
}

void tui__help_open(struct tui__app *app)
{
    struct tui_text *t = tui_text_new();
    char title[96];
    section(app, t, _("In this pane"), SCOPE_VIEW);
    section(app, t, _("In the input line"), SCOPE_INPUT);
    section(app, t, _("In lists and texts"), SCOPE_LIST);
    section(app, t, _("Everywhere (single characters only where nothing is typed)"), SCOPE_GLOBAL);
    states(t);
    serving(app->status, t);
    snprintf(title, sizeof(title), "%s: %s", _("Keys"), _(tui__views[app->focus].title));
    tui_overlay(title, t);
}
