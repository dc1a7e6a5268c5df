/* The terminal: taking it, giving it back. */
#ifndef TUI_SCREEN_H
#define TUI_SCREEN_H

#include "tui/tui.h"

struct tui__screen_options {
    bool mouse;
    enum { CHARSET_AUTO, CHARSET_UTF8, CHARSET_ASCII } charset;
};
/* Sets the locale from the environment: C is taken as C.UTF-8. Returns false if nothing but ASCII
 * is possible. Once, at the start of the program. */
bool tui__locale_start(void);
/* Takes the terminal. UNSUPPORTED with the reason if there is none or it cannot place the cursor.
 * From then on whatever is written to standard error is held back until the stop. */
enum err tui__screen_start(const struct tui__screen_options *o, struct error *e);
/* Gives the terminal back as it was; then prints what was held back. Does nothing when not started.
 */
void tui__screen_stop(void);
void tui__screen_suspend(void);  /* stops the process; returns when it was continued */
void tui__screen_continue(void); /* after somebody else stopped and continued the process */
void tui__screen_resize(void);   /* the window has another size */
void tui__screen_mouse(bool on);
/* Writes what was drawn; synchronised where much changed. */
void tui__screen_flush(void);
/* Bytes straight to the terminal (OSC 52). */
void tui__screen_write(const char *bytes, size_t len);

/* ---- signals */
/* Readable when a signal arrived. */
int tui__signals_fd(void);
struct tui__signals {
    bool resize, quit, stop, cont, reload;
};
struct tui__signals tui__signals_take(void);

#endif
