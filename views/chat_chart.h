/* The charts under an answer: what its sources measured over time. */
#ifndef CHAT_CHART_H
#define CHAT_CHART_H

#include "tui/tui.h"

struct chat_chart;
/* Reads "chart" of each source of a trace; NULL: none has one. */
struct chat_chart *chat_chart_new(const json_t *trace);
void chat_chart_free(struct chat_chart *c);
/* How many lines at that width; level: how tight (see chat_turn.h). */
int chat_chart_lines(const struct chat_chart *c, int width, int level);
/* Draws from line `first` on into the area. */
void chat_chart_draw(const struct chat_chart *c, struct tui_area a, int level, int first);

#endif
