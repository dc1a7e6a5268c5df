/* Large results on their way to the log, made ready on a worker; private to this room. Invariants:
 * prepare.c. */
#ifndef ORCHESTRATOR_PREPARE_H
#define ORCHESTRATOR_PREPARE_H

#include "backend/orchestrator/orchestrator.h"

struct orch_preparing;
struct orch_preparer { /* whoever has one drops what is under way before it goes */
    struct loop *loop;
    struct prov *prov;
    struct orch_preparing *first;
};
/* As orch_prepare. */
void orch__prepare(struct orch_preparer *p, json_t *payload, json_t *answer, orch_ready_fn *fn,
                   void *arg);
/* Answers all that is under way with CLOSED. */
void orch__prepare_drop(struct orch_preparer *p);

#endif
