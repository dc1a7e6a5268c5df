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
#include "views/trace_page.h"

struct chat;

/* What lies over the turns until Esc: a list, or a text that scrolls. */
struct chat_panel {
    const enum tui_action *takes; /* VIEW actions, ends with ACTION_NONE */
    const enum tui_action *hints; /* as view_ops.hints; NULL: from the table */
    void (*draw)(struct chat *c, struct tui_area a, bool focused);
    bool (*action)(struct chat *c, enum tui_action action); /* before its list; false: not taken */
    struct tui_list *(*list)(struct chat *c);               /* NULL: it has none */
    void (*wheel)(struct chat *c, int rows);                /* NULL: the list's */
    bool (*find)(struct chat *c, const char *text, int step); /* where it has no list */
};

struct chat_models { /* chat_models.c; zeroed: never opened */
    struct tui_list *list;
    bool flows;     /* else models */
    json_t *result; /* of chat.models, or NULL */
    struct view_ask asked;
};

enum { CHAT_TALK_COLUMNS = 6 };
struct chat_talks { /* chat_talks.c */
    struct tui_list *list;
    struct tui_column columns[CHAT_TALK_COLUMNS];
    json_t *rows;            /* of chat.conversations, or NULL */
    char *text, *error;      /* what is looked for; why there are no rows, or NULL */
    int64_t next;            /* where to go on, -1: these are all */
    bool asking, asked_once; /* a call is under way; the first page was asked for */
    bool drop;               /* the next answer is to what was looked for before */
    json_t *choice;          /* of the turn that is forked from */
    char forked[40], exported[40];
    char *path; /* of the file that is written */
    int fd;     /* its, -1: none */
};

struct chat_compare { /* chat_compare.c; zeroed: never opened */
    struct trace_page page;
    char trace_id[40];
    json_t *trace; /* that the page shows, or NULL */
    bool opened;
};

struct chat {
    struct chat_commands commands;
    const struct chat_panel *panel; /* NULL: none is open */
    struct chat_models models;
    struct chat_talks talks;
    struct chat_compare compare;
    struct tui_input input;
    bool writing; /* characters go to the input line */
    bool opened, more, asking_older;
    unsigned asked, dropped; /* calls for history under way; of these, whose answer is dropped */
    struct chat_turn **turns;
    size_t count;
    char conversation[40]; /* that the next question belongs to; empty: a new one */
    bool only;             /* its turns alone are shown */
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
/* An exchange, between these two (taken; NULL: between the first two of those who answer anyway);
 * 0: as often as is usual. */
void chat_models_exchange(struct chat *c, json_t *models, int64_t exchanges);
/* What side A (0) or B (1) is told: a name or a text; NULL: what the flow says. */
void chat_models_prompt(struct chat *c, size_t side, const char *prompt);
/* Leaves out, and says so, what of the choice is not there. */
void chat_models_check(struct chat *c);
/* What a conversation was asked with last ({models?, flow?}, or NULL); what is not configured any
 * more is left out, and that is said. */
void chat_models_take(struct chat *c, const json_t *choice);
void chat_models_words(const struct chat *c, struct buf *out); /* nothing: as configured */
void chat_models_release(struct chat_models *m);

/* ---- chat_talks.c: the conversations */
void chat_talks_open(struct chat *c, const char *text); /* text: to look for, or "" */
/* Shows its turns alone and goes on with it, asked as it was last. */
void chat_talks_resume(struct chat *c, const char *conversation, const json_t *choice);
void chat_talks_new(struct chat *c); /* the next question begins one; all turns are shown */
/* Forks that conversation at one of its turns, and goes on with the fork. */
void chat_talks_fork(struct chat *c, const char *conversation, const json_t *turn);
/* Writes it to a file, which is asked for where path is "". */
void chat_talks_export(struct chat *c, const char *conversation, const char *path);
void chat_talks_release(struct chat_talks *k);

/* ---- chat_compare.c: a turn's candidates */
void chat_compare_open(struct chat *c, const struct chat_turn *t); /* t may be NULL */
void chat_compare_event(struct chat *c, const char *trace_id);     /* there is more of it */
void chat_compare_release(struct chat_compare *k);

/* The conversation of the turn that is read; "": there is none. */
const char *chat_conversation(const struct chat *c);

/* ---- chat_history.c: the turns */
/* Forgets all turns and asks for those of a conversation, or for all (""). */
void chat_history_reset(struct chat *c, const char *conversation);
/* A page of turns before that cursor (0: the newest). */
void chat_history_ask(struct chat *c, int64_t before);
/* What was missed while the event stream was broken. */
void chat_history_resync(struct chat *c);
void chat_history_fetch(struct chat *c, struct chat_turn *t); /* its texts */
void chat_history_trim(struct chat *c);                       /* keeps C2 */
struct chat_turn *chat_history_find(struct chat *c, const char *trace_id);
/* The turn of a trace that an event speaks of: known, or just asked here, or new (asked elsewhere).
 * turn: the trace, or NULL. NULL: it is not shown here. */
struct chat_turn *chat_history_turn(struct chat *c, const char *trace_id, const json_t *turn);
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
