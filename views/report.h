/* A verification of the log as the panes show it: progress, what was found, what it proved. */
#ifndef VIEW_REPORT_H
#define VIEW_REPORT_H

#include "views/common.h"

struct view_report {  /* zeroed */
    json_t *progress; /* {checked, size} while one runs */
    json_t *report;   /* of the last one */
};
void view_report_release(struct view_report *r);
/* A verification was asked for by this pane; not_begun: it did not begin. */
void view_report_begin(struct view_report *r);
void view_report_not_begun(struct view_report *r);
/* The data of a verify event; true when it is a report. */
bool view_report_event(struct view_report *r, const json_t *data);
/* One line at y, if there is something to say; the line behind it. */
int view_report_draw(const struct view_report *r, struct tui_area a, int y);
/* What it proved and found. */
void view_report_text(const struct view_report *r, struct tui_text *t);
/* Opens that, or says that nothing was verified yet. */
void view_report_show(const struct view_report *r);

#endif
