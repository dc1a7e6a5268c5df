/* Evaluations, for the arbitration view: runs, what each variant scored, with intervals as bars,
 * and how that moved. */
#ifndef EVAL_PAGE_H
#define EVAL_PAGE_H

#include "views/common.h"

struct eval_page { /* zeroed, then eval_page_open */
    void *view;    /* whose calls these are */
    bool shown;    /* it has the pane */
    bool whole;    /* the selected run has it */
    struct tui_list *list;
    json_t *answer; /* of eval.list; NULL before the first */
    json_t *run;    /* of eval.show, the one at hand; or NULL */
    char *run_id;   /* whose that is, or is asked for */
    char *error;
    struct view_ask ask;
    struct view_scroll scroll;
    struct view_finder finder;
    struct tui_text *cases;
    int list_rows;
};

/* The page of a view that called: it gives that to tui_call. */
struct eval_page *eval_page_of(void *view);
void eval_page_open(struct eval_page *p, void *view);
void eval_page_close(struct eval_page *p);
void eval_page_show(struct eval_page *p); /* from now on it has the pane */
void eval_page_draw(struct eval_page *p, struct tui_area a, bool focused);
/* False: not taken. One step back from the list ends it. */
bool eval_page_action(struct eval_page *p, enum tui_action action);
bool eval_page_click(struct eval_page *p, int y, int x, bool twice);
void eval_page_wheel(struct eval_page *p, int rows);
void eval_page_event(struct eval_page *p, const char *type, const json_t *data);
void eval_page_resync(struct eval_page *p);
/* As view_ops.find and view_ops.hints. */
bool eval_page_find(struct eval_page *p, const char *text, int step);
const enum tui_action *eval_page_hints(const struct eval_page *p);
struct tui_list *eval_page_list(struct eval_page *p);

#endif
