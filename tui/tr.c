/* Translations of the console's own texts. */
#include "tui/tui.h"
#include <libintl.h>

const char *tui_tr(const char *text)
{
    return *text ? dgettext("mcp-console", text) : text; /* gettext("") is the catalogue's header */
}

const char *tui_tr_n(const char *one, const char *many, size_t n)
{
    return dngettext("mcp-console", one, many, n);
}

const char *tui_language(void)
{
    /* A code, not a word: what ISO 639 calls the language of this catalogue. */
    return _("en");
}
