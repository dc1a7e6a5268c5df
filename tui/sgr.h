/* Fewer bytes for the same screen: curses sets foreground, background and attributes anew at every
 * change and clears them at the end of every frame. This stands between curses and the terminal
 * and writes a style only where something is about to be drawn with it, and of it only what
 * differs.
 *
 * G1 What is drawn, where and in which style does not change; only sequences that set a style
 *    (SGR, and G0 of the character set) are left out, joined or moved to where they are needed.
 * G2 A style that is not understood is passed on as it came, and nothing is assumed of the
 *    terminal until the next full reset. */
#ifndef TUI_SGR_H
#define TUI_SGR_H

#include "backend/base/buf.h"
#include <stdbool.h>

/* Colours are the number of the sequence, 30 to 39, 90 to 97 (background the same and 10 more), or
 * 1000 and the number among 256. */
struct tui__sgr_style {
    int fg, bg;
    unsigned attrs; /* bit n: SGR n */
    char charset;   /* of ESC ( */
};
struct tui__sgr {
    struct tui__sgr_style shown, wanted;
    bool known;  /* the terminal's style is shown */
    bool opaque; /* G2 */
};

/* The terminal's style is not known, curses believes in a cleared one: at the start and after
 * something else wrote. */
void tui__sgr_forget(struct tui__sgr *s);
/* Appends to out what the terminal needs of bytes; whole frames only. */
void tui__sgr_pass(struct tui__sgr *s, const char *bytes, size_t len, struct buf *out);
/* Appends what gives the terminal the style that curses believes in. */
void tui__sgr_settle(struct tui__sgr *s, struct buf *out);

#endif
