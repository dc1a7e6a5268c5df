/* The chat pane: what its files share.
 *
 * C1 `turns` are in the order of the log, oldest first; the last may not have a trace yet.
 * C2 Only turns near what is shown hold their texts; the others keep their number of lines and are
 * asked for again when they are scrolled to. C3 What is shown begins at line `top_line` of turn
 * `top`. While `follow` is set that is chosen for the user: an answer that is finished and taller
 * than the pane shows its question and first lines; one that streams is moved up until a quarter of
 * the pane is left, so that a stream of tokens writes each line about once. Who scrolled is never
 * moved; at the end (`at_end`) what is new is followed again. */
#ifndef CHAT_H
#define CHAT_H

#include "views/chat_commands.h"
#include "views/chat_turn.h"
#include "views/common.h"

struct chat;

/* What lies over the turns until Esc: a list, or a text that scrolls. */
struct chat_panel {
    const enum tui_action *takes; /* VIEW actions, ends with ACTION_NONE */
    void (*draw)(struct chat *c, struct tui_area a, bool focused);
    bool (*action)(struct chat *c, enum tui_action action); /* before its list; false: not taken */
    struct tui_list *(*list)(struct chat *c);               /* NULL: it has none */
    void (*wheel)(struct chat *c, int rows);                /* NULL: the list's */
};

struct chat_models { /* chat_models.c; zeroed: never opened */
    struct tui_list *list;
    bool flows;     /* else models */
    json_t *result; /* of chat.models, or NULL */
    struct view_ask asked;
};

struct chat {
    struct chat_commands commands;
    const struct chat_panel *panel; /* NULL: none is open */
    struct chat_models models;
    struct tui_input input;
    bool writing; /* characters go to the input line */
    bool opened, more, asking_older;
    struct chat_turn **turns;
    size_t count;
    char conversation[40];
    bool follow, at_end;
    char *needle;              /* what `/` looked for, or NULL */
    struct chat_turn *code_of; /* whose code was copied last, and how much of it */
    size_t code_at;
    size_t top;
    int top_line;
    int height, width; /* of the text at the last draw */
    int input_y;       /* row of the area where the input begins */
};

void chat_panel_close(struct chat *c);

/* ---- chat_models.c: who answers, and how */
void chat_models_open(struct chat *c, bool flows);
/* From the next question on; NULL: as configured. Takes models. */
void chat_models_set(struct chat *c, json_t *models);
void chat_models_flow(struct chat *c, const char *flow);
/* What a conversation was asked with last ({models?, flow?}, or NULL); what is not configured any
 * more is left out, and that is said. */
void chat_models_take(struct chat *c, const json_t *choice);
void chat_models_words(const struct chat *c, struct buf *out); /* nothing: as configured */
void chat_models_release(struct chat_models *m);

/* ---- chat_history.c: the turns */
/* A page of turns before that cursor (0: the newest). */
void chat_history_ask(struct chat *c, int64_t before);
/* What was missed while the event stream was broken. */
void chat_history_resync(struct chat *c);
void chat_history_fetch(struct chat *c, struct chat_turn *t); /* its texts */
void chat_history_trim(struct chat *c);                       /* keeps C2 */
struct chat_turn *chat_history_find(struct chat *c, const char *trace_id);
/* The turn of a trace that an event speaks of: known, or just asked here, or new (asked elsewhere).
 */
struct chat_turn *chat_history_turn(struct chat *c, const char *trace_id, const char *question);
void chat_history_append(struct chat *c, struct chat_turn *t);
void chat_history_remove(struct chat *c, struct chat_turn *t);
void chat_history_count(const struct chat *c); /* says how many are being answered */
void chat_history_release(struct chat *c);

/* ---- and what is shown of them */
/* Lines from the first turn's start to what is shown, and in all. */
long chat_history_lines(struct chat *c, long *before_top);
void chat_history_follow(struct chat *c); /* chooses what is shown (C3) */
void chat_history_scroll(struct chat *c, long rows);
/* The turn that is being read: of those in sight the one with the most lines, the lower of two. */
struct chat_turn *chat_history_read(const struct chat *c);
void chat_history_step(struct chat *c, int step); /* to the next question, or to the one before */
bool chat_history_search(struct chat *c, const char *text, int step); /* as view_ops.find */

#endif
