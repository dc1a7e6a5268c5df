/* Parts of a trace's page: what its nodes, its path, its risk have to show. Each draws at p->y and
 * moves it on; nothing where the trace has nothing of the kind. */
#ifndef TRACE_PARTS_H
#define TRACE_PARTS_H

#include "views/common.h"

/* Is the trace one of a flow, with nodes? */
bool trace_has_nodes(const json_t *trace);
/* Nodes as a waterfall: begin, time, tokens, cost; at most `rows` rows, then those that were not
 * skipped, and speakers and judges before the rest. */
void trace_nodes_draw(struct view_page *p, const json_t *trace, int rows);
/* The flow as a graph: what was taken, for which values, and what was not. */
void trace_graph_draw(struct view_page *p, const json_t *trace);
/* The risk with its parts, and what tried to steer a model. brief: the score alone. */
void trace_risk_draw(struct view_page *p, const json_t *trace, bool brief);
/* A feature's name in the language of the screen. */
const char *trace_feature_name(const char *name);
/* The same two as lines of a text. */
void trace_injections_text(struct tui_text *t, const json_t *trace);

/* "name 0.82 bar words": one figure between 0 and 1; its limit, if it has one, as a mark. */
void trace_figure(struct view_page *p, int indent, const char *name, const json_t *number,
                  enum tui_role role, double limit, const char *words);
/* The amount a trace, a candidate or a node cost. */
void trace_cost(const json_t *holder, char out[48]);
/* The values of those variables that a condition names, as "confidence 0.89, verdict revise"; for
 * "else" those that the other conditions of the same node name. */
void trace_values(const json_t *trace, const json_t *step, struct buf *out);

#endif
