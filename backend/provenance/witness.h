/* Witnesses (C2SP tlog-cosignature and tlog-witness): being one for other logs, and asking others
 * to cosign this one's checkpoints.
 *
 * W1 A cosignature leaves only when what it says is durable: where that log stands, and the entry.
 * W2 Of two checkpoints of one origin that were cosigned, the later has at least as many entries
 *    and begins with the earlier one's; its time is not before the earlier one's.
 * W3 One request is judged at a time. */
#ifndef PROV_WITNESS_H
#define PROV_WITNESS_H

#include "backend/provenance/provenance.h"

struct prov_log { /* a log that is known */
    const char *name;
    const char *origin; /* "": the name of each key */
    const char *keys;   /* verifier keys (vkeys of type 0x01), white space between */
};
struct prov_witnessing {
    const char *name;        /* of the witness's key, used when it is made; "": as origin is */
    const char *environment; /* used in that name */
    const struct prov_log *logs;
    size_t log_count;
};
/* Opens or makes the key, `keys/witness.key`. NULL with *e: CONFIG (a name or a key is not in
 * form), NO_KEY, TAMPERED, READ_ONLY, IO. Everything is copied. Freed after the store, before the
 * log. */
struct prov_witness;
struct prov_witness *prov_witness_new(struct prov *p, const struct prov_witnessing *o,
                                      struct error *e);
void prov_witness_free(struct prov_witness *w); /* answers nothing any more; NULL is fine */
const char *prov_witness_key(const struct prov_witness *w); /* vkey of type 0x04 */

struct prov_witnessed { /* what add-checkpoint answers; all of it is borrowed */
    int status;         /* of HTTP: 200, 400, 403, 404, 409, 422, 500, 503 */
    const char *type;   /* content type */
    const char *body;   /* 200: signature lines; 409: a size; else what is wrong */
    const char *reason; /* "" or what is wrong, in words */
    const char *note;   /* 200: the checkpoint with its lines as it was sent, and ours; else "" */
    char origin[VAULT_LABEL]; /* as far as it could be read */
    int64_t old, size;        /* -1: not read */
    int64_t entry;            /* that logs it, -1: none */
};
typedef void prov_witnessed_fn(void *arg, const struct prov_witnessed *a);
/* Judges the body of add-checkpoint. keys: verifier keys trusted for this request besides those
 * configured, or NULL. actor: who asks, for the log. done runs once, may run inside, at the latest
 * inside store_free. Refusals are logged too, but only some a minute: then the next
 * one that is logged says how many were not. A request that still waits when the witness is freed
 * gets 503. */
void prov_witness_add(struct prov_witness *w, const char *request, size_t len, const char *keys,
                      const char *actor, prov_witnessed_fn *done, void *arg);
/* The logs that were cosigned: an array of {origin, size, root, at, known}; known: to w, which may
 * be NULL. Caller owns. */
json_t *prov_witness_logs(struct prov *p, const struct prov_witness *w, struct error *e);

/* Asking witnesses.
 *
 * A1 Nothing waits for a witness: one that is lost costs a timer.
 * A2 Only a checkpoint that is durable is sent; only a cosignature that verifies is kept.
 * A3 What a witness holds against this log is a finding: an entry witness.finding, once. */
struct prov_peer {          /* a witness */
    const char *name, *url; /* url: the submission prefix, without add-checkpoint */
    const char *key;        /* vkey of type 0x04 */
    uint64_t timeout_ms;
};
struct prov_asking {
    const struct prov_peer *peers;
    size_t peer_count;
    int64_t seconds; /* each is asked at most once in so many, but for a failure's retry */
    int64_t quorum;  /* so many should have cosigned the newest checkpoint */
};
/* Right after prov_sign. NULL with *e: CONFIG. Everything is copied. Freed after the store, before
 * the loop and the log. */
struct prov_asker;
struct prov_asker *prov_asker_new(struct prov *p, const struct prov_asking *o, struct error *e);
void prov_asker_close(
    struct prov_asker *a); /* asks nobody any more, ends the waiting; does not block */
void prov_asker_free(struct prov_asker *a); /* NULL is fine */

/* {quorum, newest: entries that the newest checkpoint covers or null, cosigned: witnesses that
 * cosigned that one, witnesses: [{name, url, key, state: new|asking|cosigned|failing|finding, size,
 * at, failures, last_error, finding}]}; size and at: of its last cosignature, or null; finding:
 * {code: rollback|fork, text} or null. Caller owns. a NULL: of none. */
json_t *prov_asker_list(const struct prov_asker *a);
/* Asks those who have not cosigned the newest checkpoint yet, now; done runs when each has answered
 * or failed, or after limit_ms; it may run inside. */
void prov_asker_wait(struct prov_asker *a, uint64_t limit_ms, loop_fn *done, void *arg);
/* Who cosigned the checkpoint of the present epoch over the first size entries of it, by anybody
 * whose line is kept: an array of {witness, key, at, line}. Caller owns. */
json_t *prov_cosigners(struct prov *p, int64_t size);
/* The body of add-checkpoint for the newest checkpoint, from a size that was cosigned before:
 * {text, from, size}. NULL with *e: NOT_FOUND (no checkpoint yet), INVALID. Caller owns. */
json_t *prov_witness_request(struct prov *p, int64_t from, struct error *e);

#endif
