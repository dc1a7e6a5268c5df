/* Retention: erasing payloads, holds that stop it, and what stays of an erasure.
 *
 * An erasure is logged before it acts: an entry `erase.request`, then for each batch an entry
 * `erase` in the very transaction that destroys: the payloads' keys are punctured out of their
 * sessions' rings, the sealed bytes removed, the projections that repeat them rewritten under a
 * fresh key, the look-up `erased` filled. Then the database's files are scrubbed (store_scrub).
 * When the act is written, an entry `retention.act` commits to its bytes and the erasure is done.
 * What was cut off half way is taken up again at the next start.
 *
 * Invariants
 * R1 A payload is destroyed only in the transaction of the erase entry that lists its seq.
 * R2 What a hold covers, and what belongs to an answer under way, is not erased. A hold counts from
 *    the moment it was asked for; one whose subject cannot be read covers everything.
 * R3 A payload that is not what its entry says is not erased: it is evidence of tampering.
 * R4 Payloads of class GOVERNANCE are not erased, but for the texts that name a subject in a
 * finished erase.request or a released hold.set. R5 One erasure at a time. */
#ifndef RETENTION_H
#define RETENTION_H

#include "backend/provenance/provenance.h"

struct prov_retention;

struct prov_scope {
    enum {
        PROV_BY_WINDOW, /* what has expired; no hold has this */
        PROV_BY_ALL,    /* holds only */
        PROV_BY_TRACE,
        PROV_BY_SESSION,
        PROV_BY_RANGE,
        PROV_BY_SUBJECT
    } kind;
    const char *text;    /* a trace or session id (32 hex digits), or the subject */
    int64_t first, last; /* RANGE, inclusive */
};
/* "window", "all", "trace", "session", "range", "subject". */
const char *prov_scope_name(int kind);
/* The kind of such a name, -1 for another. */
int prov_scope_kind(const char *name);

/* Takes what was erased out of a projection's document: types are those of the payloads that went,
 * all of the trace named by the projection. */
typedef void prov_redact(json_t *doc, const char *const *types, size_t count);

/* Loads the holds. NULL with *e. Free it before the prov. */
struct prov_retention *prov_retention_new(struct prov *p, prov_redact *redact, struct error *e);
/* An erasure under way stops after the batch in flight, without its done. */
void prov_retention_free(struct prov_retention *r);

/* ---- holds. done gets {id, entry} or NULL and e, borrowed; a refusal may come inside the call. */
typedef void prov_retained(void *arg, json_t *result, const struct error *e);
void prov_hold_set(struct prov_retention *r, const struct prov_scope *scope, const char *reason,
                   const char *by, prov_retained *done, void *arg);
/* Also erases the subject's text in the hold. NOT_FOUND if there is no such hold any more. */
void prov_hold_release(struct prov_retention *r, const char *id, const char *reason, const char *by,
                       prov_retained *done, void *arg);
/* [{id, kind, value, reason, by, at, entry, released: seq|null}], newest first. subjects: with
 * their texts, for those who may read payloads. Caller owns. */
json_t *prov_holds(struct prov_retention *r, bool subjects);
size_t prov_holds_count(const struct prov_retention *r); /* in force */

/* ---- erasing */
struct prov_erasing {
    struct prov_scope scope;
    const char *code;           /* "window", "request", "subject" */
    const char *reason, *basis; /* in words; they stay in the log for ever: no personal data */
    const char *by;             /* the actor of the entries */
    int64_t now;                /* WINDOW: real ms */
    int64_t days[PROV_CLASSES]; /* WINDOW: 0 for ever */
    int64_t personal_days; /* WINDOW: for entries with tags of personal data; 0: as the others */
    bool dry_run;
};
/* done gets the report, or NULL and e when it stopped (what was erased until then is logged; it is
 * taken up again later): {act, request, dry_run, scope, subject?, code, reason, basis, by, at,
 * erased, bytes, classes: {name: n}, types, tags, first_at, last_at, entries: [erase entries],
 * ranges, traces, sessions, keys: {punctured, whole, destroyed}, held: {count, holds: {id: n}},
 * governance, under_way, damaged, unreadable, list: [{seq, at, type, trace_id}] (first 200),
 * summary: [{day, class, entries, bytes, input_tokens, output_tokens, amount, currency}],
 * scrubbed}. With dry_run nothing is logged and erased is what would be. ERR_BUSY by R5, INVALID.
 */
enum err prov_erase(struct prov_retention *r, const struct prov_erasing *o, prov_retained *done,
                    void *arg, struct error *e);
bool prov_erasing(const struct prov_retention *r);
/* After the act was written: logs it; result is what the entry says. The request's subject is then
 * erased. done gets {entry}. */
void prov_erase_finish(struct prov_retention *r, const json_t *report, json_t *result,
                       prov_retained *done, void *arg);
/* Takes up the oldest erasure that was never finished; false if there is none (or it cannot be
 * read: then *e says so). done as for prov_erase. */
bool prov_erase_resume(struct prov_retention *r, prov_retained *done, void *arg, struct error *e);
/* [{act, request, at, done: seq|null}], newest first. */
json_t *prov_erasures(struct prov_retention *r);
/* Oldest payload that is there still: real ms, -1 unknown, 0 none. */
int64_t prov_oldest_payload(struct prov_retention *r, enum prov_class class);
/* A small number that survives restarts, such as when the job last ran; `otherwise` if there is
 * none.
 */
int64_t prov_remembered(struct prov_retention *r, const char *name, int64_t otherwise);
void prov_remember(struct prov_retention *r, const char *name, int64_t value);
/* Scrubs the files if an erasure could not; done may be NULL. */
void prov_scrub_files(struct prov_retention *r);

/* act.c: the act of destruction and the extract of the log (order 179 of Roskomnadzor
 * of 28.10.2022, items 3 and 5), from a report. Pure. */
struct prov_operator {
    const char *name, *address, *inn, *processor, *system, *responsible, *position;
};
/* {act, extract, missing: [field]}: what the order asks for, by its letters; missing names the
 * fields that the configuration leaves empty. Caller owns. */
json_t *prov_act(const struct prov_operator *o, const json_t *report);
/* Names of fields that the order asks for and the act (as prov_act made it, or as read from a file)
 * lacks; an empty array if it has all. Caller owns. */
json_t *prov_act_missing(const json_t *act);
/* The same as a Russian text with places for signatures. Caller frees. */
char *prov_act_text(const json_t *act);

#endif
