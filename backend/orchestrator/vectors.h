/* Vectors of texts, for comparing them: by the model of [knowledge] embedding where one is named,
 * else, and where it cannot be asked or is late, the built-in ones (know_embed).
 *
 * Invariants
 * V1 Each orch__embed_texts ends in one `then`, inside or later, unless orch__embed_cancel came.
 * V2 All vectors of one result are by one maker, of one length, and of unit length (or zero): they
 *    may be compared with each other, and with nothing else but the passages' by the same maker.
 * V3 The model's call is durable before it is made; what it took is in the ledger, also when it was
 *    late or cancelled. */
#ifndef ORCH_VECTORS_H
#define ORCH_VECTORS_H

#include "backend/base/errors.h"
#include <stddef.h>
#include <stdint.h>

struct trace;
struct orch;
struct orch_embedding;

/* Set trace and then, and arg if wanted; the rest is the result, valid from `then` on until
 * orch__embed_release. Zero-initialise. */
struct orch_embed {
    struct trace *trace;
    void (*then)(struct orch_embed *m);
    void *arg;

    float *vectors; /* count of them, one behind the other */
    size_t count, dimensions;
    const char *by; /* the model's name, or "builtin" */
    char *failure; /* why not the model that is named, for people; NULL: it is the model, or none */
    int64_t entry; /* the model.output; -1: none */
    struct orch_embedding *under_way; /* or NULL */
};
/* limit_ms: of all of it; 0: as [knowledge] embedding_ms. At most 64 texts. */
enum { ORCH_EMBED_TEXTS = 64 };
void orch__embed_texts(struct orch_embed *m, const char *const *texts, size_t count,
                       uint64_t limit_ms);
void orch__embed_cancel(struct orch_embed *m); /* if it is under way */
void orch__embed_release(struct orch_embed *m);

/* The model of [knowledge] embedding, or NULL: none, or it has gone since. */
const struct gw_model *orch__embedder(const struct orch *o);
/* Is that configured so that it can be used? ERR_CONFIG. */
enum err orch__embedder_read(const struct orch *o, struct error *e);

#endif
