/* The evidence pane: what its files share. */
#ifndef EVIDENCE_H
#define EVIDENCE_H

#include "views/evidence_rows.h"
#include "views/report.h"

enum { EVIDENCE_WIDE = 110, EVIDENCE_HISTORY = 64 };

/* One request at a time for the entry at hand; an answer for another entry is dropped. */
struct evidence_ask {
    bool under_way;
    int64_t seq; /* asked for, -1: nothing yet */
    json_t *result;
    char *error;
};

struct evidence_node { /* a line of the lineage */
    char id[24];       /* its place */
    int64_t seq;       /* -1: not an entry */
    const json_t *doc; /* of the answer */
    const char *transform;
    int confidence; /* per mille, -1: none */
    int depth;
    uint64_t more;    /* bit d: the line at depth d goes on below */
    bool last, again; /* last of its siblings; again: shown above already */
    const char *heading;
};

struct evidence_tree {
    struct tui_list *list;
    struct evidence_node *node;
    size_t count, capacity;
};

/* An export that is being written. */
struct evidence_export {
    char *scope, *path, *id;
    int fd;
    int64_t size, written, entries;
    char sha256[65];
    bool running;
    char *done; /* what to say of the last one */
};

struct evidence {
    struct evidence_rows rows; /* the first member: see evidence_rows.c */
    struct tui_list *list;
    struct evidence_ask entry, proof, lineage;
    struct evidence_tree tree;
    struct evidence_export export;
    struct view_report report;
    int64_t seq;       /* the entry at hand, -1: none */
    bool open, linked; /* open: it has the pane; linked: another pane asked for what is shown */
    bool on_tree;      /* the lineage has the keys */
    int64_t history[EVIDENCE_HISTORY];
    size_t history_count;
    struct tui_text *text;
    struct view_scroll scroll;
    long found;            /* the line of the text where `/` stands, -1: nowhere */
    int text_width;        /* as it was drawn */
    char bad[64];          /* a word of the filter that is none */
    uint64_t filter_at;    /* when the filter was typed, 0: it is in force */
    uint64_t rested_at;    /* when the selection came to where it is */
    int64_t signed_size;   /* entries that a checkpoint covers, -1: unknown */
    bool started, visible; /* started: the pane was shown once; visible: since the last event */
    int list_rows, list_columns, list_top;
    int tree_top, tree_left; /* where they were drawn */
};

/* evidence_entry.c: the entry at hand */
/* Another entry; whole: its proof and lineage too. */
void evidence_entry_set(struct evidence *v, int64_t seq, bool whole);
void evidence_entry_release(struct evidence *v);
void evidence_entry_draw(struct evidence *v, struct tui_area a);
/* Goes to the next place in its text, as view_ops.find. */
bool evidence_entry_find(struct evidence *v, const char *text, int step);
/* Proof and what else stands in the answer, whole. */
void evidence_proof_show(struct evidence *v);
/* "sealed", "unsigned", "erased", "quarantined", "broken": the state of a row. */
const char *evidence_state(const struct evidence *v, const json_t *row);

/* evidence_tree.c: its lineage */
void evidence_tree_open(struct evidence *v);
void evidence_tree_set(struct evidence *v); /* there is another answer, or none */
void evidence_tree_release(struct evidence *v);
void evidence_tree_draw(struct evidence *v, struct tui_area a, bool focused);
int64_t evidence_tree_selected(const struct evidence *v); /* -1: no entry */

/* evidence_export.c */
void evidence_export_ask(struct evidence *v);
void evidence_export_release(struct evidence *v);
/* A line at y if there is something to say; the line behind it. */
int evidence_export_draw(const struct evidence *v, struct tui_area a, int y);

#endif
