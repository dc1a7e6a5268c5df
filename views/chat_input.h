/* The input line of the chat: several lines, history, cutting and putting back. */
#ifndef CHAT_INPUT_H
#define CHAT_INPUT_H

#include "tui/tui.h"

enum { CHAT_INPUT_MAX = 16384, CHAT_HISTORY_MAX = 200 };

struct chat_input { /* zeroed: empty */
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

void chat_input_release(struct chat_input *in);
/* Inserts typed or pasted text; what cannot stand in a line (controls, invisible characters) is
 * left out. False: there was no room for all of it. */
bool chat_input_insert(struct chat_input *in, const char *bytes, size_t len);
bool chat_input_action(struct chat_input *in, enum tui_action action);
/* Rows that the text takes at a width, at least 1. */
int chat_input_rows(struct chat_input *in, int width);
void chat_input_draw(struct chat_input *in, struct tui_area a, bool focused);
void chat_input_click(struct chat_input *in, int y, int x);
const char *chat_input_text(const struct chat_input *in);
/* Empties the line; the text goes to the history (not twice in a row). */
void chat_input_store(struct chat_input *in);
void chat_input_remember(struct chat_input *in, const char *text);
void chat_input_set(struct chat_input *in, const char *text);

#endif
