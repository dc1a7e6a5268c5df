/* A past run once more, as it went: read only, in its recorded time or step by step. */
#ifndef TRACE_REPLAY_H
#define TRACE_REPLAY_H

#include "views/common.h"

/* The trace as it stood that many milliseconds after the question: what had not begun waits, what
 * was under way runs, what came later is not there. The caller owns it. Pure. */
json_t *trace_at(const json_t *trace, double ms);

struct trace_replay { /* zeroed: none */
    json_t *whole, *shown;
    double *points; /* ms at which a node began or ended, ascending, from 0 to the end */
    size_t count;
    double at, speed; /* ms; ms of the run in one ms */
    uint64_t ticked;  /* monotonic ms; 0: it stands still */
};
void trace_replay_begin(struct trace_replay *r, const json_t *trace);
void trace_replay_end(struct trace_replay *r);
void trace_replay_play(struct trace_replay *r, bool play);
void trace_replay_speed(struct trace_replay *r, double factor);
void trace_replay_step(struct trace_replay *r, int way); /* to the point before or behind; stands */
/* In draw: time goes on. True: another state is shown. */
bool trace_replay_tick(struct trace_replay *r);
void trace_replay_draw(const struct trace_replay *r, struct tui_area line);

#endif
