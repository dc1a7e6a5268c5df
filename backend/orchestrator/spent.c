/* What a model call came to, as lines of the ledger: one for each of its tries. */
#include "backend/base/clock.h"
#include "backend/orchestrator/orchestrator.h"
#include <stdlib.h>
#include <string.h>

struct orch_spent {
    struct cost_line *lines[GW_ATTEMPTS];
    size_t count;
};

struct orch_spent *orch_spent_new(const struct gw_spent *spent, const char *trace_id,
                                  const char *connector, const char *outcome, int64_t entry)
{
    struct orch_spent *s = xcalloc(1, sizeof *s);
    for (size_t i = 0; i < spent->count; i++) {
        const struct gw_attempt *a = &spent->at[i];
        const struct gw_model *m = a->model;
        bool last = i + 1 == spent->count;
        struct cost_line line = {
            .trace_id = trace_id,
            .model = m->name,
            .provider = m->provider,
            .connector = connector,
            .at = clock_real_ms(),
            .input_tokens = a->usage.input_tokens,
            .output_tokens = a->usage.output_tokens,
            .estimated = a->usage.estimated,
            .priced = m->priced,
            .amount_nano = m->priced ? cost_amount(a->usage.input_tokens, m->price_in,
                                                   a->usage.output_tokens, m->price_out)
                                     : 0,
            .currency = m->currency,
            .price_version = m->builtin ? "builtin" : "config",
            .outcome = last && outcome ? outcome : a->outcome,
            .elapsed_ms = a->elapsed_ms,
            .first_token_ms = a->first_token_ms,
            .entry = entry,
        };
        s->lines[s->count++] = cost_line_copy(&line);
    }
    return s;
}

enum err orch_spent_insert(struct store_db *db, void *arg, struct error *e)
{
    const struct orch_spent *s = arg;
    enum err code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < s->count; i++)
        code = cost_insert(db, s->lines[i], e);
    return code;
}

void orch_spent_free(struct orch_spent *s)
{
    for (size_t i = 0; s && i < s->count; i++)
        cost_line_free(s->lines[i]);
    free(s);
}
