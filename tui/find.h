/* Searching in texts and lists: letters of either case are the same. */
#ifndef TUI_FIND_H
#define TUI_FIND_H

#include "tui/tui.h"

/* The code point at s in lower case; *n: its bytes. */
uint32_t tui__fold(const char *s, size_t len, size_t *n);

#endif
