/* What several views need: scrolled details, careful asking, figures as text. */
#ifndef VIEWS_COMMON_H
#define VIEWS_COMMON_H

#include "backend/base/json.h"
#include "views/view.h"

/* A page of rows of any kind that scrolls: rows are drawn at page->y, which starts above the area.
 */
struct view_page {
    struct tui_area area;
    int y;
};
struct view_scroll {
    int top, height, rows;
    int width; /* of the area */
    int wide;  /* that of the rows */
};
/* What is looked for in a page, and how far that got. */
struct view_finder { /* zeroed: nothing; view_finder_release */
    char *needle;
    int *rows; /* of the page, as found last */
    size_t count, room;
    int at, top; /* where the last one is, and the scroll then; at -1: none */
};
/* Goes to the next place of the text in the page, as view_ops.find. draw: all of the page into the
 * area, which is as it was drawn last. "": ends it. */
bool view_page_find(struct view_finder *f, struct view_scroll *s, const char *text, int step,
                    void (*draw)(void *arg, struct tui_area a), void *arg);
/* Around each drawing of the page: places stand out. */
void view_finder_begin(const struct view_finder *f, struct tui_seek *seek);
void view_finder_end(void);
void view_finder_release(struct view_finder *f);
struct view_page view_page_begin(struct view_scroll *s, struct tui_area a);
void view_page_end(struct view_scroll *s, const struct view_page *p); /* clamps, draws the mark */
void view_page_text(struct view_page *p, struct tui_text *t);
bool view_scroll_action(struct view_scroll *s, enum tui_action a);
void view_scroll_by(struct view_scroll *s, int rows);

/* When to ask the backend again: one request at a time, at most about one a second. */
struct view_ask {
    uint64_t last;
    bool under_way, wanted;
};
bool view_ask_now(struct view_ask *a);  /* true: ask (and it is noted); false: later, when due */
bool view_ask_due(struct view_ask *a);  /* in draw: what was put off is due now */
void view_ask_done(struct view_ask *a); /* a reply came */

/* What a source is, to read: "tool host/disks", "runbook disk-full › Look first"; without its kind
 * the spaces do not break. */
void view_source_label(const json_t *source, bool kind, struct buf *out);

/* Figures; out has 32 bytes; what is not a number gives "-". */
void view_number(const json_t *number, int decimals, char out[32]);
/* "1 234 567", grouped by narrow spaces of ASCII kind. */
void view_count(int64_t n, char out[32]);
/* An amount (decimal text) with its currency: "41.20 ₽"; "-" for NULL; from a hundredth on in
 * hundredths; estimated: "~" before it, but not before nothing.
 */
void view_money(const char *amount, const char *currency, bool estimated, char out[48]);
/* The array as doubles (null: NAN); *n its length. The caller frees. */
double *view_values(const json_t *array, const char *member, size_t *n);
/* A line of a waiting or failed pane: what, and what to do. */
void view_note(struct tui_area a, enum tui_role role, const char *text, const char *hint);
/* Whose text a row of `injections` is of: "broker/backlog", "the answer of local". */
void view_steerer(const json_t *row, struct buf *out);
/* What the backend says of a run (say.h): the member's sentences in the language of the screen,
 * else its text, translated if that is one of the table's. */
void view_said(const json_t *holder, const char *member, struct buf *out);
/* Keeps an error's words; text is freed and set. */
void view_keep_error(char **text, const struct error *e);
/* Makes a file for its owner alone, never over another; -1, and it is said why not. */
int view_file_new(const char *path);
bool view_file_write(int fd, const void *bytes, size_t len); /* false: errno */
/* A time as milliseconds, from a number or from RFC 3339 text; 0 if there is none. */
int64_t view_at(const json_t *object, const char *member);
/* "03:12:44" local time. */
void view_clock(int64_t at_ms, char out[16]);

#endif
