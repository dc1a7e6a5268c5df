/* What the files of the approvals pane share. */
#ifndef VIEWS_APPROVALS_H
#define VIEWS_APPROVALS_H

#include "views/common.h"

struct approvals {
    struct tui_list *list;
    json_t *plans, *plan; /* rows of plans.list; the one that is shown whole */
    char *error, *open;   /* open: its id */
    struct view_ask ask;
    struct view_scroll scroll;
    struct tui_text *text;
};

/* A plan whole: what it will do, how that is checked and undone, who approved, what happened. */
void view_plan_text(struct tui_text *t, const json_t *plan);

#endif
