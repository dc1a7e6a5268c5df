/* The input line of the chat: several lines, history, cutting and putting back. */
#ifndef TUI_INPUT_H
#define TUI_INPUT_H

#include "tui/tui.h"

enum { TUI_INPUT_MAX = 16384, TUI_INPUT_HISTORY_MAX = 200 };

struct tui_input { /* zeroed: empty */
    struct buf text;
    size_t cursor;  /* byte offset, at a character's start */
    char *cut;      /* what YANK puts back, or NULL */
    char **history; /* oldest first */
    size_t history_len;
    size_t history_at; /* history_len: the user's own text */
    char *own;         /* the user's own text while history is shown */
    int width;         /* columns at the last draw */
    int top;           /* first row shown */
};

void tui_input_release(struct tui_input *in);
/* Inserts typed or pasted text; what cannot stand in a line (controls, invisible characters) is
 * left out. False: there was no room for all of it. */
bool tui_input_insert(struct tui_input *in, const char *bytes, size_t len);
/* Puts a text in the place of what stands between a byte offset and the cursor. */
void tui_input_replace(struct tui_input *in, size_t from, const char *text);
bool tui_input_action(struct tui_input *in, enum tui_action action);
/* Rows that the text takes at a width, at least 1. */
int tui_input_rows(struct tui_input *in, int width);
void tui_input_draw(struct tui_input *in, struct tui_area a, bool focused);
void tui_input_click(struct tui_input *in, int y, int x);
const char *tui_input_text(const struct tui_input *in);
/* Empties the line; the text goes to the history (not twice in a row). */
void tui_input_store(struct tui_input *in);
void tui_input_remember(struct tui_input *in, const char *text);
void tui_input_set(struct tui_input *in, const char *text);

#endif
