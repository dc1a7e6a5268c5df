/* Private to bundles: what making and checking one share. */
#ifndef PROV_BUNDLE_PARTS_H
#define PROV_BUNDLE_PARTS_H

#include "backend/provenance/bundle.h"
#include "backend/provenance/cosign.h"
#include "backend/provenance/cover.h"
#include "backend/provenance/dsse.h"
#include "backend/provenance/tar.h"

#define BUNDLE__PREDICATE "urn:mcp-console:evidence-bundle:1"
#define BUNDLE__STATEMENT "https://in-toto.io/Statement/v1"
enum {
    BUNDLE__EPOCHS = 64, /* trees that one bundle may touch */
    BUNDLE__NOTES = 32,  /* checkpoints of one tree */
    BUNDLE__WITNESSES = 32,
    BUNDLE__NODES = 5000, /* nodes of lineage.json */
    BUNDLE__PROBLEMS = 100
};

/* The members in their order. Those of trees stand once for each tree: proofs/1, checkpoints/1,
 * proofs/2, ... */
enum bundle__part {
    BUNDLE__README,
    BUNDLE__STATE, /* the statement and its envelope are no subjects of it */
    BUNDLE__DSSE,
    BUNDLE__ENTRIES,
    BUNDLE__PAYLOADS,
    BUNDLE__TREES, /* here they stand */
    BUNDLE__KEYS,
    BUNDLE__POLICY,
    BUNDLE__CONTROLS,
    BUNDLE__SBOM,
    BUNDLE__LINEAGE,
    BUNDLE__REPORT,
    BUNDLE__PARTS
};
extern const char *const bundle__names[BUNDLE__PARTS];
/* What an earlier version called BUNDLE__CONTROLS. */
extern const char bundle__controls_once[];

/* A list of members, as they stand in the archive. */
struct bundle__member {
    char name[TAR__NAME];
    const char *data;
    size_t len;
};

/* entries.jsonl: the bytes of each entry and a new line. */
struct bundle__entries {
    size_t count;
    struct prov__text *text; /* of each; they point into what was read */
    int64_t *seq;
    uint8_t (*leaf)[VAULT_HASH];
};
/* NULL, or what is wrong and in *at which line (from 0): not in form, or seqs that do not ascend.
 */
const char *bundle__entries_read(const char *text, size_t len, struct bundle__entries *out,
                                 size_t *at);
void bundle__entries_release(struct bundle__entries *e);
/* lineage.json of these entries. */
void bundle__lineage(const struct bundle__entries *entries, struct buf *out);

/* payloads.jsonl: a line of canonical JSON for each entry. */
enum bundle__state { BUNDLE__DISCLOSED, BUNDLE__ATTESTED, BUNDLE__WITHHELD, BUNDLE__ERASED };
extern const char *const bundle__states[4];
struct bundle__payload {
    int64_t seq;
    enum bundle__state state;
    struct prov__text plain;           /* DISCLOSED and ATTESTED: canonical JSON */
    uint8_t commit_key[VAULT_KEY];     /* DISCLOSED: the key of payload_hmac */
    uint8_t sealed_sha256[VAULT_HASH]; /* WITHHELD, ERASED */
    struct prov__text reason;          /* WITHHELD: why */
    int64_t erase_entry;               /* ERASED: the entry that says so */
};
void bundle__payload_write(const struct bundle__payload *p, struct buf *out); /* with a new line */
/* One line without its new line; false if it is not exactly one of these forms. */
bool bundle__payload_read(const char *line, size_t len, struct bundle__payload *out);

/* proofs/K. */
struct bundle__tree {
    int64_t epoch, base, size;
    const uint8_t *cover; /* 32 bytes each */
    size_t cover_count;
    struct {
        int64_t from;
        struct prov__proof proof;
    } consistency[BUNDLE__NOTES];
    size_t consistency_count;
};
void bundle__proofs_write(const struct bundle__tree *t, struct buf *out);
/* cover points into *hashes, which the caller releases. False if it is not in form. */
bool bundle__proofs_read(const char *text, size_t len, struct bundle__tree *out,
                         struct buf *hashes);

/* keys: lines `FIRST VKEY`: the key signs checkpoints over more than FIRST entries, up to the next
 * line's. Behind them, for each key but the first, an empty line and the statement by which the key
 * before it hands on to it (trust.h), signed by both. */
enum { BUNDLE__KEYS_MOST = 256 };
struct bundle__keys {
    size_t count;
    struct bundle__key {
        int64_t first;
        struct prov__vkey vkey;
        char *note; /* the statement; NULL for the first */
    } at[BUNDLE__KEYS_MOST];
};
void bundle__keys_write(const struct bundle__keys *keys, struct buf *out);
/* False if it is not in form; to be released in either case. */
bool bundle__keys_read(const char *text, size_t len, struct bundle__keys *out);
void bundle__keys_release(struct bundle__keys *keys);
/* The key that signs checkpoints over `size` entries; NULL: none. */
const struct prov__vkey *bundle__key_at(const struct bundle__keys *keys, int64_t size);

/* bundle_cosigned.c. A checkpoint with the lines of its witnesses, an empty line behind it; the
 * witnesses' keys are added to the list of vkeys. */
enum err bundle__note_add(struct store_db *db, const char *origin, int64_t size, const char *note,
                          json_t *witnesses, struct buf *out, struct error *e);
struct bundle__seen { /* what witnesses cosigned; zeroed before the first call */
    size_t count;
    struct bundle__witness {
        struct prov__vkey key;
        bool given;       /* by the reader; otherwise the bundle names it */
        int64_t size, at; /* the largest: its base and size; by the witness's clock, s; -1: none */
    } at[BUNDLE__WITNESSES];
};
/* named: vkeys of the statement, NULL if it has none; given: NULL or vkeys. False if what is named
 * is not in form. */
bool bundle__seen_begin(struct bundle__seen *s, const json_t *named, const char *given);
/* The name of a witness whose line is false, NULL if there is none. */
const char *bundle__seen_note(struct bundle__seen *s, const struct prov__checkpoint *c,
                              int64_t base);
/* [{witness, key, size, at, given}] of those that cosigned something. Caller owns. */
json_t *bundle__seen_json(const struct bundle__seen *s);

/* The line at the start of text, without its new line, which is cut off text; false if there is
 * none. */
bool bundle__line(struct prov__text *text, struct prov__text *line);
/* A decimal number without a sign or leading zeros, up to 2^53. */
bool bundle__number(struct prov__text text, int64_t *out);

/* The controls (as score.get has them) in OSCAL; the members that it refers to are written already.
 * Caller owns. */
#define BUNDLE__OSCAL "1.1.3" /* the model's version */
json_t *bundle__oscal(const json_t *card, int64_t created, const struct buf *policy,
                      const struct buf *entries);

/* report.html: what it is made of. */
struct bundle__report {
    const json_t *predicate; /* of the statement */
    const struct bundle__entries *entries;
    struct prov__text payloads; /* payloads.jsonl */
    const struct bundle__keys *keys;
    const json_t *policy, *controls;
    const char *note; /* the newest checkpoint */
};
void bundle__report(const struct bundle__report *r, struct buf *out);

#endif
