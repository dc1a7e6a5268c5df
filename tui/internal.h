/* What the files of tui share and views do not see. The only header that brings curses in. */
#ifndef TUI_INTERNAL_H
#define TUI_INTERNAL_H

#ifndef NCURSES_WIDECHAR
#define NCURSES_WIDECHAR 1
#endif
#ifndef NCURSES_NOMACROS
#define NCURSES_NOMACROS 1
#endif
#include "backend/base/errors.h"
#include "tui/tui.h"
#include <curses.h>

/* ---- themes (tui/theme.c) */
enum tui__depth { DEPTH_256, DEPTH_8, DEPTH_NONE, DEPTH_COUNT };
struct tui__style {
    short fg, bg; /* -1: the terminal's own */
    attr_t attrs;
};
struct tui__theme {
    char name[48];
    struct tui__style roles[ROLE_COUNT][DEPTH_COUNT];
};
/* A theme file: a line `ROLE = fg bg attrs | fg bg attrs | attrs` a role: with 256 colours, with 8,
 * with none. A colour is a number, a name (black red green yellow blue magenta cyan white),
 * `default` (the terminal's own) or `-` (that of TEXT, which must stand first). Attributes: bold
 * dim italic underline reverse. `#` begins a comment. A missing or unknown role or word is
 * ERR_CONFIG naming file, line, role. */
enum err tui__theme_parse(const char *file, const char *data, size_t len, struct tui__theme *out,
                          struct error *e);
/* A theme by name: NAME.theme in the configuration's themes/ directory, else a built-in one. */
enum err tui__theme_load(const char *name, struct tui__theme *out, struct error *e);
/* Name of the built-in theme after this one, around; the first for an unknown one. */
const char *tui__theme_next(const char *name);
/* What the terminal and NO_COLOR allow; after curses has started. */
enum tui__depth tui__theme_depth(void);
/* Makes the theme the screen's; after curses has started. */
void tui__theme_apply(const struct tui__theme *t, enum tui__depth depth);

/* ---- drawing (tui/draw.c) */
void tui__style_set(enum tui_role role, attr_t attrs, int pair);
attr_t tui__style(enum tui_role role, int *pair);
void tui__ascii_set(bool ascii);
/* The hardware cursor as the last tui_cursor left it; false: nobody called since the reset. */
void tui__cursor_reset(void);
bool tui__cursor_get(int *y, int *x);

#endif
