/* Private to the log: what is done when the present epoch does not verify. */
#ifndef PROV_TAMPER_H
#define PROV_TAMPER_H

#include "backend/provenance/checkpoint.h"

enum { PROV__FAR = 1000000 }; /* a number so far behind the end was made up */
/* JCS holds no greater number than this; one that somebody made up may be. */
static inline int64_t prov__clip(int64_t seq)
{
    return seq > INT64_C(1) << 53 ? INT64_C(1) << 53 : seq < -1 ? -1 : seq;
}

/* Entries from..to are not to be relied on. */
struct prov__zone {
    int64_t from, to;
    char code[24];
};
struct prov__zones {
    struct prov__zone *at;
    size_t count;
};

/* The present epoch is broken and the next one has not begun: what its epoch.start will say. */
struct prov__breach {
    json_t *problems; /* {seq, to?, code, text}, the first 100 */
    int64_t count;
    int64_t beyond; /* the new epoch begins behind this many entries, or later */
    int64_t after;  /* and its number is greater than this */
};

/* Adds a problem and, until prov__begin, no entry of the present epoch is relied on. */
void prov__breach_add(struct prov *p, int64_t from, int64_t to, const char *code,
                      const char *format, ...) __attribute__((format(printf, 5, 6)));
/* What a verification found: a breach, unless it is all known. True if it is one. */
bool prov__breach_found(struct prov *p, const json_t *problems, int64_t count);
void prov__breach_free(struct prov *p);
/* The first entry of the next epoch: behind everything that is there and was not made up. */
int64_t prov__breach_base(struct prov *p);
/* The payload of epoch.start for the breach; the caller owns. */
json_t *prov__breach_payload(struct prov *p, int64_t epoch, int64_t base);
/* Such a payload, of an entry that is durable: what it quarantines is remembered. */
void prov__breach_learn(struct prov *p, const json_t *payload);
/* The quarantined ranges of the log's epochs, read at opening. */
void prov__breach_load(struct prov *p);
const struct prov__zone *prov__quarantined(const struct prov *p, int64_t seq);

/* chain.c: begins what is due: an epoch, a session. */
void prov__begin(struct prov *p);

/* forensics.c: writes the report of a breach to STATE/forensics, on a worker. */
void prov__forensics_write(struct prov *p, int64_t epoch, int64_t seq, const json_t *payload);

#endif
