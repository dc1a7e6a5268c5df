/* Parts of the cost pane that are rows of figures: tokens and energy, calls that were for nothing,
 * budgets, one line of the ledger. */
#ifndef VIEWS_COST_PARTS_H
#define VIEWS_COST_PARTS_H

#include "views/common.h"

/* A total that lacks unknown prices or holds estimates is about right, not right. */
bool cost_inexact(const json_t *sums);
/* Its amount, or that it is not known: sums of which nothing is priced are no zero. "-": all of it
 * is in other currencies. */
void cost_money(const json_t *sums, const char *currency, char out[48]);
/* "48.2 kJ": joules in the unit that keeps them short. */
void cost_energy(double joules, char out[32]);
/* Draws at most so many rows: tokens, what was for nothing, energy. The next free row. */
int cost_figures(const json_t *summary, struct tui_area a, int y, int rows);
/* The budgets nearest to their limits; what has no room is counted in the last row. */
int cost_budgets_draw(const json_t *budgets, struct tui_area a, int y, int rows);
/* A line of the ledger, whole. money: its amount as text. */
void cost_line_draw(const json_t *line, const char *money, struct view_page *p);

#endif
