/* Two runs, and what differs between them. */
#ifndef TRACE_DIFF_H
#define TRACE_DIFF_H

#include "views/common.h"

struct trace_diff { /* zeroed: none; trace_diff_clear */
    bool shown;
    char titles[2][64];
    struct diff_row *rows;
    size_t count, room;
    int name; /* columns of the longest name that is not overlong */
    struct view_scroll scroll;
    struct view_finder finder;
};

/* Their figures, verdicts, answers, tools and nodes, each with a mark: the same, different, only A,
 * only B. From now on it is shown. */
void trace_diff_set(struct trace_diff *d, const json_t *a, const json_t *b);
void trace_diff_clear(struct trace_diff *d);
void trace_diff_draw(struct trace_diff *d, struct tui_area a);
bool trace_diff_find(struct trace_diff *d, const char *text, int step); /* as view_ops.find */
char *trace_diff_plain(const struct trace_diff *d);                     /* the caller frees */
/* The answer of a trace: its own, else that of the candidate that was chosen. */
const char *trace_answer(const json_t *trace);

#endif
