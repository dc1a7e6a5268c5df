/* The terminal side as the views see it: drawing, widgets, actions, the bus.
 *
 * Invariants
 * T1 Only the main thread calls anything here. Nothing waits for the backend.
 * T2 Every text that reaches curses passes through tui_put and so through text_clean: there is no
 *    other way to the screen, and no way to pass attributes or escapes inside a text.
 * T3 What does not fit is cut with a visible mark.
 * T4 Nothing is drawn outside the area given. */
#ifndef TUI_H
#define TUI_H

#include "backend/bus/client.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tui_role {
#define ROLE(id, help) ROLE_##id,
#include "tui/roles.def"
#undef ROLE
    ROLE_COUNT
};
enum tui_glyph {
#define GLYPH(id, utf8, ascii) GLYPH_##id,
#include "tui/glyphs.def"
#undef GLYPH
    GLYPH_COUNT
};
enum tui_action {
    ACTION_NONE,
#define ACTION(id, keys, name, footer, scope, help) ACTION_##id,
#include "tui/actions.def"
#undef ACTION
    ACTION_COUNT
};

/* ---- drawing (tui/draw.c, tui/chart.c) */
struct tui_area { /* a rectangle of the screen, in cells */
    int y, x, height, width;
};
struct tui_area tui_sub(struct tui_area a, int y, int x, int height, int width); /* clipped to a */
/* Puts text at y, x of the area, at most width columns (-1: to the area's edge); cut with an
 * ellipsis. Foreign text is fine. Returns the columns used. */
int tui_put(struct tui_area a, int y, int x, int width, enum tui_role role, const char *text);
int tui_putf(struct tui_area a, int y, int x, int width, enum tui_role role, const char *format,
             ...) __attribute__((format(printf, 6, 7)));
/* The same, right-aligned in width columns that begin at x. */
int tui_put_right(struct tui_area a, int y, int x, int width, enum tui_role role, const char *text);
/* Puts the first len bytes of a text that is already clean and cut (from a tui_text line). */
int tui_put_clean(struct tui_area a, int y, int x, enum tui_role role, const char *text,
                  size_t len);
const char *tui_glyph(enum tui_glyph g); /* in the present charset */
int tui_put_glyph(struct tui_area a, int y, int x, enum tui_role role, enum tui_glyph g);
void tui_fill(struct tui_area a, int y, int x, int width, enum tui_role role, enum tui_glyph g);
void tui_clear(struct tui_area a, enum tui_role role);
/* A text that is looked for: until tui_seek(NULL) its places stand out in what tui_put and its kin
 * draw. With `found` nothing is drawn: it is called with the row of the screen of each place, also
 * of rows outside of the areas; so all of a page is searched by drawing it. Letters of either case
 * are the same; "": no place. */
struct tui_seek {
    const char *needle;
    void (*found)(void *arg, int y);
    void *arg;
};
void tui_seek(struct tui_seek *s);
const char *tui_sought(void); /* NULL: nothing is looked for */
void tui_seek_found(int y);   /* for what searches a text in its own way */
/* Gives a row the SELECTED (or any) role's style over what is already drawn there. */
void tui_restyle(struct tui_area a, int y, int x, int width, enum tui_role role);
/* Where the hardware cursor is to stand; the focused view calls it once a draw. */
void tui_cursor(struct tui_area a, int y, int x);
bool tui_ascii(void);
/* A state's glyph, role and word ("ok", "warn", "fail", "not assessed", "blocked", "stopped",
 * "running", ...) from the words used on the wire; draws "glyph word", returns the columns. */
int tui_put_state(struct tui_area a, int y, int x, const char *state, bool word);
enum tui_role tui_state_role(const char *state);

/* Charts over n values (negative: a failure, drawn as the FAIL glyph); they scale to the maximum.
 */
void tui_sparkline(struct tui_area a, int y, int x, int width, enum tui_role role,
                   const double *values, size_t n);
void tui_bar(struct tui_area a, int y, int x, int width, enum tui_role role, double fraction);
/* From..to of a waterfall row, fractions of the width; at least one cell. */
void tui_span(struct tui_area a, int y, int x, int width, enum tui_role role, double from,
              double to);
/* A Braille (blocks or ASCII where asked) area chart that fills a; the caller labels it. */
void tui_chart(struct tui_area a, enum tui_role role, const double *values, size_t n, double max);
/* The rows of a chart of `height` rows from row `first` on that a has: for what is scrolled. */
void tui_chart_part(struct tui_area a, enum tui_role role, const double *values, size_t n,
                    double max, int height, int first);

/* ---- texts (tui/text.c, tui/markdown.c): wrapped lines with roles, for chat and details */
struct tui_text;
struct tui_text *tui_text_new(void);
void tui_text_free(struct tui_text *t);
void tui_text_clear(struct tui_text *t);
/* Plain paragraphs; foreign text is fine. indent in columns; bar: a FOREIGN_BAR at the left. */
void tui_text_add(struct tui_text *t, enum tui_role role, int indent, bool bar, const char *text);
void tui_text_addf(struct tui_text *t, enum tui_role role, int indent, bool bar, const char *format,
                   ...) __attribute__((format(printf, 5, 6)));
/* Markdown (GFM) with the FOREIGN roles. For a stream: settled blocks are kept as they are, only
 * the open last block is parsed anew: linear in the length. */
void tui_text_add_markdown(struct tui_text *t, int indent, bool bar, const char *markdown);
struct tui_markdown_stream;
struct tui_markdown_stream *tui_markdown_begin(struct tui_text *t, int indent, bool bar);
void tui_markdown_feed(struct tui_markdown_stream *m, const char *text, size_t len);
void tui_markdown_end(struct tui_markdown_stream *m); /* frees it */
/* Lines at a width (wrapping is kept until the width or the text changes; only new text is
 * wrapped). */
size_t tui_text_lines(struct tui_text *t, int width);
void tui_text_draw(struct tui_text *t, struct tui_area a, size_t first_line);
/* Fewer blank lines where there is little room. 0: all; 1: none before items and code; 2: none. */
void tui_text_tight(struct tui_text *t, int level);
/* The first line from `from` on, downwards (step 1) or upwards (-1), that holds the needle; -1:
 * none. Letters of either case are the same. */
long tui_text_find(struct tui_text *t, int width, const char *needle, long from, int step);
/* Every place of the needle stands out from now on; "" ends that. */
void tui_text_match(struct tui_text *t, const char *needle);
/* The text as plain characters, for copying; the caller frees. */
char *tui_text_plain(const struct tui_text *t);

/* ---- lists (tui/list.c): one widget for every list: filter, sort, mark, scroll, mouse */
struct tui_column {
    const char *title; /* NULL: left out */
    int width;         /* columns; 0: what is left; negative: the same, but at least that many */
    bool right;        /* right-aligned */
    int drop;          /* 0: always shown; otherwise the higher, the sooner left out when narrow */
};
struct tui_list;
struct tui_list_ops {
    size_t (*count)(void *arg);
    /* A cell's text into out (foreign text is fine); role and, for charts, a drawing of its own. */
    void (*cell)(void *arg, size_t row, int column, struct buf *out, enum tui_role *role);
    /* Draws the cell instead; returns false to have `cell` used. May be NULL. */
    bool (*draw)(void *arg, size_t row, int column, struct tui_area a);
    /* A stable id of the row: the selection stays on its item when rows come and go. */
    const char *(*id)(void *arg, size_t row);
    /* Sort order of two rows by a column; NULL: by the cells' texts. */
    int (*compare)(void *arg, size_t a, size_t b, int column);
    /* The text that COPY takes; NULL: the id. */
    void (*copy)(void *arg, size_t row, struct buf *out);
    bool fixed; /* the rows' own order is the only one */
    /* For rows that are a stretch of something longer: all four, or NULL. The list then neither
     * filters nor sorts nor marks; who has the rows does that. */
    void (*filtered)(void *arg, const char *text); /* there is another filter */
    void (*beyond)(void *arg, long rows); /* the user moves on so many rows past an end of these */
    void (*end)(void *arg, bool last);    /* to the first or last row of the whole */
    double (*place)(void *arg, size_t row); /* where in the whole it is, 0..1 */
};
struct tui_list *tui_list_new(const struct tui_column *columns, size_t n,
                              const struct tui_list_ops *ops, void *arg);
void tui_list_free(struct tui_list *l);
void tui_list_changed(struct tui_list *l); /* rows were added, removed or changed */
void tui_list_draw(struct tui_list *l, struct tui_area a, bool focused, bool header);
bool tui_list_action(struct tui_list *l, enum tui_action action);  /* false: not for lists */
bool tui_list_click(struct tui_list *l, int y, int x, bool twice); /* cell of its area */
void tui_list_wheel(struct tui_list *l, int rows);
long tui_list_selected(const struct tui_list *l);         /* row number for ops, -1: none */
void tui_list_select(struct tui_list *l, const char *id); /* nothing where no such row is shown */
void tui_list_set_filter(struct tui_list *l, const char *text); /* "" shows all */
const char *tui_list_filter(const struct tui_list *l);
bool tui_list_sorts(const struct tui_list *l);
/* The ids of the marked rows in the order in which they were marked; the list's own, until it
 * changes. */
size_t tui_list_marks(const struct tui_list *l, const char *const **ids);
/* Moves the selection as keys do. */
void tui_list_move(struct tui_list *l, long rows);
/* Selects the first row and stays at the top when rows come, or the last one. */
void tui_list_to_end(struct tui_list *l, bool last);

/* ---- the rest of the console */
void tui_dirty(void); /* something changed: draw again soon */
/* How many answers are being given: the bottom line then says how to stop them. */
void tui_answering(size_t n);
/* Draw again after that time, for elapsed times; of several calls the soonest counts. */
void tui_dirty_in(unsigned ms);
void tui_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void tui_say_nothing(void); /* what was said is over: something else was begun */
/* a message in the footer, 4 s */
void tui_error(const struct error *e,
               const char *where); /* stays until a key is pressed: what, where, what to do */
/* Asks "question [y/N]" in the footer; answer(arg) runs on y only. */
void tui_confirm(const char *question, void (*answer)(void *arg), void *arg);
/* Asks for a line of text in the footer, beginning with `initial`; answer(arg, text) runs on Enter
 * and may ask for the next one. */
void tui_prompt(const char *question, const char *initial,
                void (*answer)(void *arg, const char *text), void *arg);
void tui_copy(const char *text); /* OSC 52, at most 74,994 bytes; says so in the footer */
/* Goes to a view, which is to show the thing with that id; Esc that the view does not take comes
 * back from there. */
void tui_show_item(const char *view, const char *id);
/* Text in a full-pane overlay with scrolling and Esc; takes the text. */
void tui_overlay(const char *title, struct tui_text *text);
/* "4 m", "2 h", "now" from a real time; out has 16 bytes. */
void tui_ago(int64_t at_ms, char out[16]);
/* "0.4 ms", "1.9 s", "2 m"; -1 gives "-". out has 16 bytes. */
void tui_duration(double ms, char out[16]);
/* "9f31…c0de" from a long id; out has 16 bytes. */
void tui_short_id(const char *id, char out[16]);
/* A string that a translation may replace. */
const char *tui_tr(const char *text) __attribute__((format_arg(1)));
/* The form of a text that fits the number n in it. */
const char *tui_tr_n(const char *one, const char *many, size_t n)
    __attribute__((format_arg(1), format_arg(2)));
/* The language of the present texts by ISO 639: "en", or what the catalogue says. */
const char *tui_language(void);
#define _(text) tui_tr(text)
#define _n(one, many, n) tui_tr_n(one, many, n)
#define N_(text) text /* in a table: translated where it is shown */

#endif
