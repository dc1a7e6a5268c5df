/* A turn of the chat: a question and its answer, as lines. */
#ifndef CHAT_TURN_H
#define CHAT_TURN_H

#include "tui/tui.h"
#include "views/chat_chart.h"

enum { CHAT_PARTS = 20 };

/* A word of the line about the answer. */
struct chat_part {
    enum tui_role role;
    int drop; /* the higher, the sooner left out where it is narrow; 0: never */
    char *text;
};

struct chat_turn {
    char trace_id[40]; /* empty until chat.ask is answered */
    int64_t rowid;     /* cursor of chat.history; 0: unknown */
    int64_t at;        /* real ms */
    bool running;
    bool loaded;   /* the texts are here */
    bool fetching; /* they were asked for */
    int lines;     /* at width, also while not loaded */
    int width;
    uint64_t since;       /* monotonic ms, for the elapsed time of a running one */
    char draft_model[64]; /* whose tokens are shown; empty: none yet */
    char *question;       /* NULL while not loaded */
    json_t *stages;       /* of a running one, or NULL */
    json_t *pace;         /* of a running one, or NULL */
    json_t *trace;        /* what the backend said last, or NULL */
    char *failure;        /* why it was not asked, or NULL */
    int level;            /* how tight: 0 roomy, 1, 2 with no blank line */
    struct chat_part parts[CHAT_PARTS];
    size_t part_count;
    struct tui_text *head, *body, *tail;
    struct chat_chart *chart; /* between body and tail, or NULL */
    struct tui_markdown_stream *stream;
};

/* A turn that was just asked; its trace is not known yet. */
struct chat_turn *chat_turn_asked(const char *question);
struct chat_turn *chat_turn_new(const char *trace_id);
void chat_turn_free(struct chat_turn *t);
/* Takes what a trace object says; a running one keeps the draft. */
void chat_turn_set(struct chat_turn *t, const json_t *trace);
void chat_turn_fail(struct chat_turn *t, const struct error *e);
void chat_turn_token(struct chat_turn *t, const char *model, const char *text);
void chat_turn_stages(struct chat_turn *t, const json_t *stages);
/* How fast it comes: `models` of a pace event. */
void chat_turn_pace(struct chat_turn *t, const json_t *models);
void chat_turn_unload(struct chat_turn *t);             /* keeps the number of lines */
void chat_turn_tighten(struct chat_turn *t, int level); /* see level */
int chat_turn_lines(struct chat_turn *t, int width);
/* Draws from the turn's line `first` into the area; returns the rows used. */
int chat_turn_draw(struct chat_turn *t, struct tui_area a, int first);
/* The line at or behind (step 1), at or before (-1) `from` that holds the needle; -1: none. */
long chat_turn_find(struct chat_turn *t, int width, const char *needle, long from, int step);
void chat_turn_match(struct chat_turn *t, const char *needle); /* as tui_text_match */
/* A command of the answer by its number (a block of code, or code of several words); *count: how
 * many there are; NULL: none of that number. The caller frees. */
char *chat_turn_code(const struct chat_turn *t, size_t index, size_t *count);
/* The sources with their whole texts, for an overlay; NULL: there are none. */
struct tui_text *chat_turn_sources(const struct chat_turn *t);
char *chat_turn_plain(const struct chat_turn *t); /* the answer, for copying; the caller frees */

#endif
