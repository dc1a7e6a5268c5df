/* Private to the log: what the files about checkpoints share. */
#ifndef PROV_CHECKPOINT_H
#define PROV_CHECKPOINT_H

#include "backend/provenance/trust.h"

struct prov__waiter;
struct prov__signing {
    struct vault_signer *signer; /* NULL: error says why */
    struct error error;
    bool key_known;   /* key is set: what is signed can be checked, even where nothing may be */
    bool key_swapped; /* it is not the one that the log names: error says how that was seen */
    struct prov__vkey key;
    struct prov__trust trust;
    /* While the key is being replaced (handover.c): the next one, which signs too what ends behind
     * next_first; NULL otherwise. */
    struct vault_signer *next;
    struct prov__vkey next_key;
    int64_t next_first;
    struct prov__handover *handover; /* the one under way, or NULL */
    char *dir;                       /* of the database */
    int64_t entries;
    struct prov__head head;   /* the newest that was signed in the present epoch */
    int64_t fresh;            /* durable entries behind it, without checkpoints and cosignatures */
    struct loop_timer *timer; /* or NULL */
    struct prov__signing_job *job; /* the one in the making, or NULL */
    struct prov__waiter *waiting;  /* for the next one */
    bool again;                    /* make another one when this one is done */
};

/* handover.c: the signing key replaced. */
/* Goes on with one that a crash interrupted: s->next is the key that the log already names. */
void prov__handover_resume(struct prov *p);
void prov__handover_forget(struct prov *p); /* at prov_free */

/* files.c. `checkpoints`: notes, an empty line behind each. */
/* The newest note of `checkpoints`, read from its end; out is empty if there is none. */
enum err prov__files_newest(const char *dir, struct buf *out, struct error *e);
/* On a worker: brings both files up to the table. */
enum err prov__files_write(struct store_db *db, const char *dir, struct error *e);
/* dir/name = bytes, whole or not at all, and durable. */
enum err prov__file_put(const char *dir, const char *name, const struct buf *bytes,
                        struct error *e);
/* Calls note for each whole note of a file of notes (`checkpoint`, `checkpoints`), in order, and
 * other for what else stands between them or behind; read in pieces. Stops when one answers false.
 * A file that is not there is an empty one. */
typedef bool prov__file_part(void *arg, const char *bytes, size_t len);
enum err prov__files_read(const char *dir, const char *name, prov__file_part *note,
                          prov__file_part *other, void *arg, struct error *e);
/* The same over text at hand. */
bool prov__notes_each(const char *text, size_t len, prov__file_part *note, prov__file_part *other,
                      void *arg);

#endif
