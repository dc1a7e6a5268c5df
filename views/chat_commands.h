/* Commands in the chat's input line, and the questions that MCP servers ask of the person in front:
 *   /CONNECTOR:PROMPT [arguments]   a prompt of an MCP server, into the input line; its arguments
 * as chat_words.h reads them /prompts                        which there are /answer, /decline the
 * oldest open question of a server: a form, a URL, a model's answer
 *
 * Q1 A question never takes the keyboard by itself: a notice says that it is there.
 * Q2 A URL is shown whole, with its host apart, and nobody opens it but the person. */
#ifndef CHAT_COMMANDS_H
#define CHAT_COMMANDS_H

#include "tui/input.h"
#include "views/chat_complete.h"
#include "views/view.h"

struct chat_commands { /* zeroed: nothing is known */
    json_t *questions; /* of elicit.list, oldest first; NULL: none */
    char *connector, *prompt;
    char *question; /* the id of the one whose form is open */
    char *typed;    /* what stood behind the prompt's name */
    unsigned listing;
    struct tui_text *listed;
    struct chat_complete complete;
    json_t *models;    /* names of those who answer, or NULL: as configured */
    char *flow;        /* or NULL */
    int64_t exchanges; /* of a flow with two sides; 0: as it is usual */
    char *prompts[2];  /* of sides A and B, by name or as a text; NULL: the flow's */
    bool editing; /* the input line is not to be emptied: /edit filled it, or it is to be mended */
};

/* The view's own; implemented by the view that has the commands. */
struct chat_commands *chat_commands_of(void *view);
struct tui_input *chat_commands_input(void *view);

/* The question that is read, and its trace; NULL: there is none. */
const char *chat_commands_asked(void *view, const char **trace_id);
/* Asks; again: the trace whose question it repeats, or NULL. */
void chat_commands_ask(void *view, const char *text, const char *again);
bool chat_choice_run(void *view, const char *line); /* chat_choice.c */

/* Runs the command that the line is; false: it is none. */
bool chat_commands_run(void *view, const char *line);
void chat_commands_event(void *view, const char *type, const json_t *data);
void chat_commands_refresh(void *view); /* asks for the open questions */
size_t chat_commands_waiting(const struct chat_commands *k);
void chat_commands_release(struct chat_commands *k);

#endif
