/* How fast an answer comes, for people who watch it: at most twice a second, from the text so far.
 * Tokens are estimates until the call has ended. */
#include "backend/base/clock.h"
#include "backend/orchestrator/internal.h"

enum { TELL_MS = 500, STEADY_MS = 250 /* a rate of less is none */ };

void orch__pace_begin(struct orch_candidate *c, int64_t input_tokens)
{
    c->pace.input = input_tokens;
    c->pace.output = 0;
    c->pace.counted = 0;
    c->pace.first = 0;
    c->pace.began = clock_mono_ms();
}

static json_t *pace_doc(struct orch_candidate *c, uint64_t now)
{
    json_t *doc = json_object();
    uint64_t since = now - c->pace.first;
    double rate = (double)c->pace.output * 1000 / (double)(since ? since : 1);
    const struct gw_usage usage = {
        .input_tokens = c->pace.input, .output_tokens = c->pace.output, .estimated = true};
    struct cost_charge charge;
    struct orch_money money = {.nano = 0};
    orch_charge(c->trace->orch->rooms.cost, c->model, &usage, NULL, &charge);
    orch__money_add(&money, &charge);
    json_puts(doc, "model", c->model->name);
    json_puti(doc, "tokens", c->pace.output);
    json_puti(doc, "first_token_ms", (int64_t)(c->pace.first - c->pace.began));
    json_put(doc, "per_second", since < STEADY_MS ? json_null() : json_real(rate));
    json_put(doc, "cost", orch__money_json(&money));
    return doc;
}

void orch__pace(struct orch_candidate *c)
{
    struct trace *t = c->trace;
    uint64_t now = clock_mono_ms();
    if (!c->pace.first)
        c->pace.first = now;
    if (!t->orch->event || *t->eval || !c->text.data || now - t->paced_ms < TELL_MS)
        return;
    t->paced_ms = now;
    json_t *data = json_object(), *models = json_array();
    for (size_t i = 0; i < t->candidate_count; i++) {
        struct orch_candidate *one = &t->candidates[i];
        if (one->state != CAND_RUNNING || !one->pace.first || !one->text.data)
            continue;
        one->pace.output += gw_estimate_tokens(one->text.data + one->pace.counted);
        one->pace.counted = one->text.len;
        json_array_append_new(models, pace_doc(one, now));
    }
    json_puts(data, "trace_id", t->id);
    json_put(data, "models", models);
    t->orch->event(t->orch->event_arg, "pace", data);
    json_decref(data);
}
