/* The stretch of the log that the evidence pane holds: pages around the selection, newest first.
 *
 * Invariants
 * E1 The rows are neighbours: between two of them the log has none that the filter lets through.
 * E2 One request at a time; an answer to another filter than the present one is dropped.
 * E3 At most EVIDENCE_KEPT rows are held; those far from the selection go first. */
#ifndef EVIDENCE_ROWS_H
#define EVIDENCE_ROWS_H

#include "views/common.h"

enum { EVIDENCE_PAGE = 200, EVIDENCE_NEAR = 150, EVIDENCE_KEPT = 800 };

struct evidence_row {
    int64_t seq;
    char id[24];
    json_t *doc;
};

struct evidence_rows {
    void *self; /* the view, for tui_call */
    struct tui_list *list;
    struct evidence_row *row;
    size_t count, capacity;
    int64_t size;         /* of the log, as far as known */
    int64_t newer, older; /* what lies beyond was not looked at: exclusive, as after and before */
    bool newest, oldest;  /* nothing newer, nothing older is left */
    bool from_start;      /* the first page is the oldest one */
    int64_t select;       /* seq to select when rows come, -1: none */
    long owed;            /* rows that the user moved beyond those held */
    json_t *filter;       /* parameters of evidence.search, NULL: all entries */
    bool under_way, drop; /* drop: the answer under way is of no use */
    bool upwards;         /* which way it goes */
    int64_t asked_at;     /* size when it was asked */
    int64_t scanned;      /* entries looked at for the present filter */
    char *error;
};

void evidence_rows_release(struct evidence_rows *r);
/* Another filter (taken; NULL: all), around an entry (-1: the newest). */
void evidence_rows_reset(struct evidence_rows *r, json_t *filter, int64_t around);
/* To the first or the last of all. */
void evidence_rows_end(struct evidence_rows *r, bool last);
/* Asks for what is missing near the selection; in draw and after answers. */
void evidence_rows_pump(struct evidence_rows *r);
/* The log has grown. */
void evidence_rows_grown(struct evidence_rows *r, int64_t size);
/* The user moved beyond the rows. */
void evidence_rows_beyond(struct evidence_rows *r, long rows);

#endif
