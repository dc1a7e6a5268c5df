/* Tab in the chat's input line, where a command stands: commands, prompts of MCP servers, the names
 * of their arguments, and what the server proposes for a value. One match is filled in, of several
 * their common beginning; they are listed, and the list narrows as one types.
 *
 * P1 Nothing waits: what is known is shown at once, what is asked comes later.
 * P2 At most one question about a value is under way; an answer to what stands there no more is
 *    dropped, and then what stands there is asked.
 * P3 The text changes only by a key, or by the answer that a Tab still waits for: not once
 * something was typed behind it. */
#ifndef CHAT_COMPLETE_H
#define CHAT_COMPLETE_H

#include "tui/input.h"
#include "views/view.h"

struct chat_complete { /* zeroed: closed, nothing is known */
    bool open;
    bool fill, step;  /* a Tab waits for what is asked; it was not the first one here */
    bool asking;      /* prompts.complete is under way */
    unsigned loading; /* calls for the prompts that are under way */
    json_t *prompts;  /* [{connector, name, description, arguments}]; NULL: not known */
    json_t *fresh;    /* the same, while it is loaded */
    uint64_t loaded_at;
    json_t *items; /* [{text, about, after}]: what may stand from `from` on */
    size_t from;   /* byte of the input where the word begins */
    long marked;   /* -1: none */
    size_t top;
    int rows; /* of items at the last draw, and where they began */
    int y;
    char *asked, *answered; /* what prompts.complete was asked, and what `values` answers */
    json_t *values;
    bool more; /* the server has more values than it said */
};

/* A key while the list is open, or the key that opens it. False: it is not for this. */
bool chat_complete_action(void *view, enum tui_action action);
/* The text or the cursor may have changed. */
void chat_complete_typed(void *view);
/* Draws the list over the last rows of the text above the input line. */
void chat_complete_draw(void *view, struct tui_area a);
/* A click at a row of that area. */
bool chat_complete_click(void *view, int y);
void chat_complete_release(struct chat_complete *k);
/* The command of two letters' difference at most, or NULL. */
const char *chat_command_near(const char *word);

#endif
