/* How a tui_text is written, for text.c and markdown.c.
 *
 * A text is a row of paragraphs. Each has prefixes (indent, quote marks, bullets), runs of roles
 * over a stretch of one pool of clean bytes, and a way to be laid out. What stands after a mark can
 * be taken back, which is how the open end of a stream is written anew. */
#ifndef TUI_PAPER_H
#define TUI_PAPER_H

#include "tui/tui.h"

enum paper_kind {
    PAPER_WORDS, /* wrapped between words */
    PAPER_CODE,  /* spaces kept; wrapped where the width ends */
    PAPER_ROW,   /* a table's row: cells with a TAB between them */
    PAPER_RULE   /* a line over the table's or the text's width */
};
struct paper_start {
    enum paper_kind kind;
    enum tui_role role; /* of the prefixes */
    int indent;
    bool bar;
    const char *first, *rest; /* prefixes of the first line and of the others, clean; may be NULL */
    int table;                /* of rows and rules; -1: none */
};
struct tui__paper_mark {
    size_t bytes, runs, paras, tables, columns;
};

void tui__paper_begin(struct tui_text *t, const struct paper_start *s);
/* Adds foreign bytes to the paragraph begun last: cleaned, tabs as spaces. A new line in it is a
 * line break of the paragraph (PAPER_WORDS: also wrapped there). */
void tui__paper_add(struct tui_text *t, enum tui_role role, const char *bytes, size_t len);
void tui__paper_cell(struct tui_text *t); /* ends a cell of a PAPER_ROW */
/* A table for rows to come; returns its number. right has `columns` members. */
int tui__paper_table(struct tui_text *t, size_t columns, const bool *right);
struct tui__paper_mark tui__paper_mark(const struct tui_text *t);
void tui__paper_back(struct tui_text *t, struct tui__paper_mark mark);
/* One stream may be open at a text's end: flush writes its open block before lines are counted,
 * drop says that the text is gone or that something else is to be added. NULL ends it. */
struct tui__paper_stream {
    void (*flush)(void *arg);
    void (*drop)(void *arg, bool cleared);
    void *arg;
};
void tui__paper_end_stream(struct tui_text *t); /* calls drop(arg, false) of an open one */
void tui__paper_stream_set(struct tui_text *t, const struct tui__paper_stream *s);

#endif
