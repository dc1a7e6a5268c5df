/* Arbitration of answers (spec AR-2, AR-3). Pure: texts, sources and limits in, scores and a
 * verdict out.
 *
 *   composite = w_semantic * overlap + w_safety * (1 - safety_risk) + w_reasoning * reasoning
 *   overlap   = mean of: cosine to the sources it cites; mean cosine to the other answers (if any);
 *               0 for an answer that cites nothing that exists: what agrees on nothing is no
 * support reasoning = 0.5 * share of sentences that cite a source that exists
 *             + 0.3 * share of numbers that stand in the cited source
 *             + 0.1 if a measurement is cited + 0.1 if a runbook is cited
 *   D = 1 - cosine(A, B) and S = |risk A - risk B| of the two best composites
 *   S > safety gap: the safer answer wins. Otherwise the highest composite wins; D > divergence
 *   threshold asks for a critique turn first.
 *   An answer that cites nothing is weak, and two such answers need no critique.
 *   reasoning is lessened by the share of claims that a tool's result contradicts. A tool's result
 *   outranks a model's word: where the highest composite belongs to an answer of which a tool says
 *   otherwise, the best of the grounded answers that none refutes wins (S going before).
 *   The winner's claims are compared with each other answer's (claims.h, disputes.h); disputed are
 *   contradictions that are sure enough to act on, and not two readings that each stand in a
 * source. Embeddings are those that are given, else know_embed's; all values lie in 0..1.
 * Of an answer its first 64 KiB are compared; its risk is that of the whole. */
#ifndef ORCH_ARBITRATE_H
#define ORCH_ARBITRATE_H

#include "backend/gateway/gateway.h"
#include "backend/knowledge/knowledge.h"
#include "backend/orchestrator/claims.h"

struct orch_limits {
    double divergence, safety_gap, composite;
    double w_semantic, w_safety, w_reasoning;
    /* What is borrowed for comparing. */
    struct claims_reader *claims;       /* NULL: one is made for each call */
    const struct orch_vectors *vectors; /* NULL: the built-in ones */
};
/* Of each answer's head (orch_compared) and of what it cites (orch_cited), of one maker. */
struct orch_vectors {
    const float *const *answers, *const *grounds;
    size_t dimensions;
};
struct orch_score {
    double overlap, safety_risk, reasoning, composite;
    bool grounded;      /* it cites a source that exists */
    size_t refuted;     /* claims that a tool's result contradicts */
    char why_risky[96]; /* "" if nothing was seen */
    char why_refuted[CLAIMS_WHY];
};
struct orch_answer {
    const char *model, *text;
};
struct orch_verdict {
    int winner;       /* index, -1: none */
    double D, S;      /* -1 with fewer than two answers */
    bool weak;        /* the winner's composite is under its threshold, or it cites nothing */
    bool answered;    /* the winner cites a source */
    int equal;        /* index of an answer with the winner's composite, -1: none */
    bool safer;       /* decided by S */
    bool diverges;    /* D > threshold and S within the gap: a critique turn is due */
    int outranked;    /* the answer with the higher composite that a tool refutes, -1: none */
    json_t *disputed; /* array of sentences, owned by the caller */
    json_t *claims;   /* the winner's against each other one's (disputes.h), owned by the caller */
};

/* Scores n (1..8) answers over the same sources and picks the winner. */
void orch_arbitrate(const struct know *k, const struct orch_limits *limits,
                    const struct orch_answer *answers, size_t n, const struct gw_source *sources,
                    size_t source_count, struct orch_score *scores, struct orch_verdict *verdict);
/* What of an answer is compared, and the texts of what that cites: the caller frees. */
char *orch_compared(const char *text);
char *orch_cited(const char *text, const struct gw_source *sources, size_t n);
/* True if the text cites source id as [id]. */
bool orch_cites(const char *text, const char *id);

#endif
