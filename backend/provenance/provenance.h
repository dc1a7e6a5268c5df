/* The log: an append-only chain of entries, its Merkle tree, its lineage, and its verification.
 *
 * Entry = JCS {v, seq, session, ts, type, actor, trace_id, conversation, prev, parents, key_id,
 *              payload_sha256, payload_hmac, pii_tags}
 *   v 2; seq from 0 without gaps; prev = hex SHA-256 of the previous entry's bytes (64 zeros for
 * seq 0); parents: the edges to the earlier entries it derives from; payload_sha256 over the
 * ciphertext as stored; payload_hmac: keyed commitment to the plaintext; empty trace_id and
 * conversation are left out. Leaf = SHA-256(0x00 || entry), node = SHA-256(0x01 || left || right)
 * (RFC 6962, 2.1). The payload is JCS JSON, sealed under its own leaf of the session's ring of
 * keys, with the header fields as additional data. Entries of v 1, with bare seqs as parents and
 * one key a session, can be read.
 *
 * Invariants
 * P1 prov_append's done gets ERR_OK only when the entry is durable.
 * P2 seq and hashes are given at submission; entries become durable in that order. When a commit
 *    fails, every entry submitted since fails with it and their numbers are used again.
 * P3 parents are all < seq, so lineage has no cycle.
 * P4 Nothing here changes or removes an entry.
 * P6 With prov_open_scrubbed, nothing is sealed that did not pass it. */
#ifndef PROVENANCE_H
#define PROVENANCE_H

#include "backend/base/errors.h"
#include "backend/base/json.h"
#include "backend/store/store.h"
#include "backend/vault/vault.h"

struct prov;

/* Kinds of payloads by how long they are kept: the second column of types.def. */
enum prov_class { PROV_DIALOGUE, PROV_TELEMETRY, PROV_OPERATION, PROV_GOVERNANCE, PROV_CLASSES };
enum prov_class prov_class_of(const char *type); /* GOVERNANCE for a type that is not known */
const char *prov_class_name(enum prov_class class);

struct prov_edge {
    int64_t seq;           /* of an earlier entry */
    const char *transform; /* a name of transforms.def: what became of it */
    int confidence;        /* per mille, 0 to 1000; -1 unknown */
};

/* A large payload made ready elsewhere than on the loop: new on the loop, work on a worker, append
 * on the loop. payload is taken. OK from work, or why it can be no payload: INVALID, TOO_BIG. */
struct prov_prepared;
struct prov_prepared *prov_prepare_new(const struct prov *p, json_t *payload);
enum err prov_prepare_work(struct prov_prepared *r, struct error *e); /* again: after a change of */
json_t *prov_prepare_payload(struct prov_prepared *r);                /* this, which is borrowed */
void prov_prepare_free(struct prov_prepared *r);

struct prov_entry {           /* what to append; strings are copied */
    const char *type;         /* a name of types.def */
    const char *actor;        /* "operator", "backend", "model:builtin/lexical", "tool:host/disk" */
    const char *trace_id;     /* 32 hex digits, or NULL */
    const char *conversation; /* 32 hex digits, or NULL */
    const struct prov_edge *parents;
    size_t parent_count;                  /* at most 64 */
    const char *const *pii_tags;          /* NULL-terminated, or NULL */
    json_t *payload;                      /* an object; borrowed */
    const struct prov_prepared *prepared; /* or this in its place, made ready; borrowed */
};
/* seq as given at submission. On failure e->code is not OK and the seq is void. */
typedef void prov_done(void *arg, int64_t seq, const struct error *e);

/* Starts a session: appends session.start (with version and start arguments as payload).
 * NULL with *e. Owned by the backend. */
struct prov *prov_open(struct loop *l, struct store *s, struct vault *v, struct error *e);
/* The same; what is stored, payloads and projections, passes through scrub first: it answers a new
 * value, or another reference to the same one. For secrets, which must not be stored at all. */
typedef json_t *prov_scrub(const json_t *value);
struct prov *prov_open_scrubbed(struct loop *l, struct store *s, struct vault *v, prov_scrub *scrub,
                                struct error *e);
/* Appends session.seal with the session's Merkle root; does not block. Later entries get
 * ERR_CLOSED. */
void prov_close(struct prov *p);
/* Ends verifications without their callbacks. Entries still queued are written by the store, and
 * their done callbacks run, at the latest inside store_free. */
void prov_free(struct prov *p);

/* Queues an entry; returns its seq at once (-1 with done called later if the payload is no JCS or
 * over 16 MiB, an id is not 32 lower-case hex digits, a parent is not an earlier entry, or the log
 * is closed). done may be NULL and always runs once. A type that types.def lacks, or a transform
 * that transforms.def lacks, is a bug. also, if not NULL, runs in the same transaction right after
 * the entry was inserted: a projection that must agree with the log. */
int64_t prov_append(struct prov *p, const struct prov_entry *entry, prov_done *done, void *arg,
                    store_op *also, void *also_arg);

/* Seals a projection's JSON under a random key of its own, which stands wrapped under the master
 * key in front; appends to out. ERR_INVALID if it is no JCS. What it belongs to must name
 * prov_session(). */
enum err prov_seal(struct prov *p, const json_t *value, struct buf *out);
/* The opposite; session is the one that sealed it. NULL with *e: NO_KEY, TAMPERED. Caller owns. */
json_t *prov_unseal(struct prov *p, const char *session, const void *bytes, size_t len,
                    struct error *e);
/* The same with some of its members only (json.h); NULL: all. */
json_t *prov_unseal_members(struct prov *p, const char *session, const void *bytes, size_t len,
                            const struct json_members *wanted, struct error *e);
const char *prov_session(const struct prov *p);

/* Checkpoints: signed heads of the log (C2SP tlog-checkpoint, a signed note by Ed25519). Each
 * stands in the table `checkpoints`, as an entry of type checkpoint behind what it covers, and in
 * two files beside the database: `checkpoint` is the newest, `checkpoints` has all of them and only
 * grows.
 *
 * P5 Only durable entries are signed, and only a log that begins with what was signed before. */
struct prov_signing {
    const char *origin;       /* "": mcp-console/<environment>/<8 hex digits>; kept with the key */
    const char *environment;  /* used in that name */
    int64_t entries, seconds; /* sign after so many entries, so long after an entry; 0: not so */
};
/* Right after prov_open: opens or makes the key; from then on signs by those rules, on demand and
 * at the end of the session. A console whose key cannot be used runs without: prov_state says why.
 */
void prov_sign(struct prov *p, const struct prov_signing *o);
/* Signs now what is durable. done gets {size, root, key, note, entry} (borrowed), or NULL and e:
 * CLOSED, TAMPERED (P5), NO_KEY, CONFIG, UNSUPPORTED (prov_sign was not called), or why it could
 * not be written; it may run inside. */
typedef void prov_signed(void *arg, json_t *checkpoint, const struct error *e);
void prov_checkpoint(struct prov *p, prov_signed *done, void *arg);

/* Keys replaced. done gets what was done (borrowed), or NULL and e; it may run inside. */
typedef void prov_rotated(void *arg, const json_t *what, const struct error *e);
/* The key that signs checkpoints: a new one is made and sealed, an entry key.rotate holds the
 * statement by both that it follows the old one, a checkpoint is signed by both and checked, then
 * the old secret is overwritten. {what: signing, old, new, first, entry, size}: verifier keys, from
 * how many entries on, the entry, how many entries that checkpoint covers. If the console dies
 * between two steps the next start goes back (before the entry) or on (behind it). by: the actor.
 * BUSY, CLOSED, UNSUPPORTED (prov_sign was not called), TAMPERED, NO_KEY, NO_SPACE, IO. */
void prov_rotate_signing(struct prov *p, const char *by, prov_rotated *done, void *arg);

/* The master key: a new one is made and sealed as told, everything that the old one wraps is
 * wrapped anew in slices, all of it is opened with the new one, a checkpoint is signed and
 * verified, and only then the old one is destroyed; any failure before that goes back. Entries
 * key.rotate say when it begins and how it ends. {what: master, step: done, old, new: kek_id, seal,
 * data_keys, projections, signing_keys}: how many were wrapped anew. Errors as vault_stage has
 * them, TAMPERED, NO_SPACE, IO (then the old key is the one), CLOSED (the next start goes on). */
struct prov_rotation {
    enum vault_seal seal;
    struct vault_pass *pass; /* a new passphrase, borrowed until vault_close; NULL: the old one */
    const char *by;          /* the actor */
};
void prov_rotate_master(struct prov *p, const struct prov_rotation *o, prov_rotated *done,
                        void *arg);
/* Right after prov_sign: goes on with one that was interrupted. */
void prov_rotate_resume(struct prov *p);
/* True while one is under way; done and total: rows. */
bool prov_rotating(const struct prov *p, int64_t *done, int64_t *total);
/* What keys there are: {keys: [{kind: master|signing, id, state: active|retired, purpose, ...}]};
 * or whether each opens what it should: {ok, tampered, checks: [{name, ok, text}]}. On a worker.
 * done gets it borrowed, or NULL and e: BUSY (one is being replaced), CLOSED, IO; it may run
 * inside. */
typedef void prov_keyring(void *arg, json_t *keyring, const struct error *e);
void prov_keyring_read(struct prov *p, bool verify, prov_keyring *done, void *arg);
/* The vault whose master key is the present one: the one to close after prov_free. */
struct vault *prov_vault(const struct prov *p);

/* A proof that entry seq is in the tree of the newest checkpoint of its epoch: {seq, epoch, index,
 * size, leaf, root, hashes, checkpoint, text}; index and size count from the epoch's base; leaf,
 * root and hashes are base64, hashes from the leaf up; checkpoint is the note; text is
 * c2sp.org/tlog-proof@v1. If no checkpoint covers it, the tree is that of all durable entries of
 * the epoch, and checkpoint and text are null. NULL with *e: NOT_FOUND. Caller owns. */
json_t *prov_proof(struct prov *p, int64_t seq, struct error *e);
/* A proof that the first `to` entries of an epoch (0: the present one) begin with the first `from`:
 * {epoch, base, from, to, from_root, to_root, hashes}; to -1: all that are durable. NULL with *e.
 * Caller owns. */
json_t *prov_consistency(struct prov *p, int64_t epoch, int64_t from, int64_t to, struct error *e);

struct prov_state {
    int64_t size;        /* durable entries, of all epochs */
    int64_t epoch, base; /* the present epoch and its first entry */
    int64_t quarantined; /* entries that are not to be relied on, */
    int64_t damaged;     /* and the first of them, -1: none */
    int64_t signed_size; /* entries up to the end of what the newest checkpoint of the present epoch
                            covers, -1: there is none */
    struct error signing; /* why nothing is signed; OK if it is */
    int64_t verified;     /* entries checked by the last verification of this run; a part of the log
                             counts only if it has problems */
    enum { PROV_UNCHECKED, PROV_INTACT, PROV_BROKEN } state;
    char head[65]; /* hex SHA-256 of the last durable entry */
    char root[65]; /* hex Merkle root */
    char session[33];
    int64_t checked_at; /* real ms, 0 never */
};
void prov_state(const struct prov *p, struct prov_state *out);
/* Where appends are counted; what is appended while a span is current is a span below it. Borrowed,
 * must outlive the log and the store's last write; NULL: nowhere. */
struct tel;
void prov_set_telemetry(struct prov *p, struct tel *t);
/* Entries submitted and not yet durable, and a checkpoint that is being made. */
size_t prov_pending(const struct prov *p);
/* Called on the loop whenever size or state changed. */
void prov_on_change(struct prov *p, loop_fn *fn, void *arg);

/* The report of the newest breach, for people: {file, report, text}; report is what the entry
 * epoch.start says, with the files of the state directory as they were found. NULL with *e:
 * NOT_FOUND if the log is in its first epoch. Caller owns. */
json_t *prov_forensics(const struct prov *p, struct error *e);

struct prov_filter {
    int64_t before, after; /* exclusive; -1: open. With before (or neither) newest first, with after
                              oldest first */
    const char *type, *trace_id, *session; /* NULL: any */
    size_t limit;                          /* 1..1001: a page, and one to see if there are more */
};
/* An array of {seq, ts, type, actor, session, trace_id, conversation, parents, edges, hash,
 * erased}; edges: [{seq, transform, confidence: 0..1}], null where the entry does not say; erased:
 * the entry that is said to have erased its payload, left out if none. Caller owns. */
json_t *prov_list(struct prov *p, const struct prov_filter *f, struct error *e);
/* One entry: the above, entry (the exact bytes as text), leaf, and, with_payload, payload or
 * payload_error. NULL with *e: NOT_FOUND. */
json_t *prov_get(struct prov *p, int64_t seq, bool with_payload, struct error *e);
/* The payload only; NULL with *e. Caller owns. */
json_t *prov_payload(struct prov *p, int64_t seq, struct error *e);
/* The same with some of its members only (json.h); NULL: all. */
json_t *prov_payload_members(struct prov *p, int64_t seq, const struct json_members *wanted,
                             struct error *e);

/* Verification: reads every entry from seq `from` in slices on a worker with a reader of its own;
 * checks seq, JCS form, the columns beside it, prev, leaf, payload_sha256, payload presence, the
 * commitment (where the key is at hand), parents, seals, and the stored tree state; `from` is
 * rounded down to a multiple of 1024 from its epoch's base. progress and done run on the loop.
 * report (owned by the callee, to be decref'd) = {ok, intact, checked, payloads_checked, from,
 * size, head, root, proved, checkpoints: {stored, written, given, newest, key, cosigned: [{witness,
 * size, at}]}, problems: [{seq, code, text}] (first 100), problem_count, elapsed_ms}. */
typedef void prov_progress(void *arg, int64_t checked, int64_t size);
typedef void prov_verified(void *arg, json_t *report);
struct prov_verify;
struct prov_verify *prov_verify_start(struct prov *p, int64_t from, prov_progress *progress,
                                      prov_verified *done, void *arg);
/* The same without the payloads, which are neither read nor opened: entries, their chain, the trees
 * and the signatures. payloads_checked is 0, and what session seals, checkpoints and erasures say
 * in theirs is not compared. It leaves prov_state as it was, unless it finds a problem. */
struct prov_verify *prov_verify_chain(struct prov *p, int64_t from, prov_progress *progress,
                                      prov_verified *done, void *arg);
/* The same as the first, from the end of what was verified last as far as that is known by this
 * console (the file `verified`, under a MAC of the master key) and the log is long; otherwise from
 * 0. */
struct prov_verify *prov_verify_known(struct prov *p, prov_progress *progress, prov_verified *done,
                                      void *arg);
/* In the background: takes about so many percent of one processor, and waits while entries queue.
 * Right after prov_verify_start. */
void prov_verify_pace(struct prov_verify *run, int percent);
/* Checkpoints kept elsewhere, one note or several behind each other, that the log must lead to as
 * well; right after prov_verify_start. */
void prov_verify_given(struct prov_verify *run, const char *notes);
/* Witnesses whose cosignatures those are to bear: at most 16 vkeys of type 0x04, white space
 * between; also right after prov_verify_start. A bug if prov_witness_keys_ok says that they are
 * not. */
bool prov_witness_keys_ok(const char *vkeys);
void prov_verify_witnesses(struct prov_verify *run, const char *vkeys);
/* Where the newest of such notes ends, signed or not: the number of the entry behind it. -1 with
 * *e: INVALID. */
int64_t prov_checkpoint_end(const struct prov *p, const char *notes, struct error *e);
void prov_verify_cancel(struct prov_verify *run); /* before done ran; no callback runs any more */

#endif
