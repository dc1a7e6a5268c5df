/* Private to the log: what the files about retention share. */
#ifndef PROV_RETAIN_H
#define PROV_RETAIN_H

#include "backend/provenance/erased.h"
#include "backend/provenance/match.h"
#include "backend/provenance/retention.h"

/* ---- hold.c */
struct retain__hold {
    char id[33];
    int kind;   /* of prov_scope */
    char *text; /* id or subject, or NULL */
    int64_t first, last, entry, at;
};
struct retain__holds {
    struct retain__hold *at;
    size_t count;
};
enum err retain__holds_load(struct prov_retention *r, struct error *e);
void retain__wishes_forget(struct prov_retention *r); /* their done still runs */
void retain__holds_copy(const struct retain__holds *from, struct retain__holds *to);
void retain__holds_release(struct retain__holds *h);
bool retain__scope_ok(const struct prov_scope *scope, struct error *e);
json_t *retain__scope_json(const struct prov_scope *scope, bool with_subject);

/* ---- select.c: on a worker, which payloads of a slice are to go */
enum { RETAIN__BATCH = 512, RETAIN__LISTED = 200 };
struct retain__item {
    int64_t seq, ts;
    enum prov_class class;
    const char *type; /* a literal */
    char session[33], key_id[17], trace_id[33];
    size_t bytes;
    char tags[96]; /* as in the entry: ["email"] */
};
struct retain__sum { /* what goes, by day, class and currency */
    char day[16], currency[8];
    enum prov_class class;
    int64_t entries, bytes, input, output, nano;
};
struct retain__young { /* WINDOW: entries from seq on are no older than that */
    int64_t days, seq;
};
struct retain__selection {
    /* set by the run */
    const char *path;
    struct vault *vault;
    const bool *cancelled; /* read with __atomic_load_n */
    struct prov_scope scope;
    int64_t now, days[PROV_CLASSES], personal_days;
    char present[33]; /* the running session */
    struct retain__holds holds;
    /* kept from slice to slice; worker's */
    struct store_db *db;
    struct prov__keys keys;
    struct buf ad, plain;
    struct prov__match subject, *held; /* held: one for each hold */
    char trace[33];                    /* the last one that was looked at as a whole */
    bool trace_runs, *trace_held;      /* trace_held: by hold */
    size_t type;                       /* WINDOW: index into the types */
    int64_t next;                      /* seq to go on from */
    int64_t *marks;                    /* WINDOW: by type, where the next job begins */
    struct retain__young young[2 * PROV_CLASSES];
    size_t young_count;
    bool started;
    /* what was found in this slice */
    struct retain__item *items;
    size_t count;
    bool end;
    struct error error;
    /* totals */
    int64_t *held_count; /* by hold */
    int64_t governance, under_way, damaged, unreadable;
    struct retain__sum *sums;
    size_t sum_count;
};
size_t retain__types(void);
const char *retain__type(size_t index);
/* On a worker: the next slice. */
void retain__select(struct retain__selection *s);
/* Starts from the beginning; holds as they are now. */
void retain__select_init(struct retain__selection *s, const struct retain__holds *holds);
void retain__select_release(struct retain__selection *s);

/* ---- batch.c: one transaction that destroys */
struct retain__projection {
    char trace_id[33];
    struct buf old, fresh; /* fresh empty: removed */
};
struct retain__batch {
    struct vault *vault;
    char session[33];           /* the running one, which seals projections */
    struct retain__item *items; /* ascending by seq */
    size_t count;
    struct retain__projection *projections;
    size_t projection_count;
    /* set by the write */
    int64_t entry;
    size_t punctured, whole,
        destroyed; /* payload keys; sessions with one key for all; keys removed */
};
enum err retain__batch_write(struct store_db *db, void *batch, struct error *e);
void retain__batch_release(struct retain__batch *b);
/* On the loop: the projections of the traces that the items belong to. */
void retain__projections(struct prov_retention *r, struct retain__batch *b);
/* On the loop, when it is durable: keys in memory. */
void retain__batch_done(struct prov_retention *r, const struct retain__batch *b);

/* ---- totals.c: what an erasure adds up to */
struct retain__totals {
    json_t *classes, *types, *tags, *entries, *ranges, *list;
    struct retain__sum *sums;
    size_t sum_count;
    int64_t erased, bytes, first_ts, last_ts, traces;
    int64_t punctured, whole, destroyed;
};
void retain__totals_init(struct retain__totals *t);
void retain__totals_release(struct retain__totals *t);
/* Adds a batch; the sums of its selection too (may be NULL). */
void retain__totals_add(struct retain__totals *t, const struct retain__item *items, size_t count,
                        const struct retain__sum *sums, size_t sum_count);
/* Adds what an erase entry of the same act says. */
void retain__totals_add_entry(struct retain__totals *t, int64_t seq, const json_t *payload);
/* Members of an erase entry for a batch: classes, types, tags, bytes, first_at, last_at, ranges,
 * keys. */
void retain__describe(json_t *payload, const struct retain__item *items, size_t count);
void retain__totals_report(const struct retain__totals *t, json_t *report);

/* ---- erase.c */
struct retain__run;
struct retain__side;
struct prov_retention {
    struct prov *prov;
    prov_redact *redact;
    struct retain__holds holds;
    uint64_t generation; /* of the holds: moves with each that is set or lifted */
    struct retain__run *run;
    struct retain__wish *wishes; /* holds on their way to the disk */
    struct retain__side *sides;  /* single payloads being erased */
};
void retain__sides_forget(struct prov_retention *r);
/* finish.c. Erases a single governance payload that names a subject (R4), logs that, scrubs. */
void retain__forget_subject(struct prov_retention *r, int64_t seq, const char *act,
                            const char *reason);

#endif
