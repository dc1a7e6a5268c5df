/* What a model call came to, as lines of the ledger: one for each of its tries. */
#include "backend/base/clock.h"
#include "backend/orchestrator/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct orch_spent {
    struct cost_line *lines[GW_ATTEMPTS];
    size_t count;
};

/* The price that the configuration gives, or a built-in model's, which is nothing. */
static void charge_configured(const struct gw_model *m, const struct gw_usage *u,
                              struct cost_charge *out)
{
    int64_t cached = u->cached_tokens < u->input_tokens ? u->cached_tokens : u->input_tokens;
    int64_t thought =
        u->reasoning_tokens < u->output_tokens ? u->reasoning_tokens : u->output_tokens;
    const struct cost_part parts[] = {
        {u->input_tokens - cached, m->price_in},
        {cached, m->price_cached < 0 ? m->price_in : m->price_cached},
        {u->output_tokens - thought, m->price_out},
        {thought, m->price_reasoning < 0 ? m->price_out : m->price_reasoning}};
    out->priced = cost_total(parts, sizeof parts / sizeof *parts, 1000000, &out->nano);
    snprintf(out->currency, sizeof out->currency, "%s", m->currency);
    snprintf(out->version, sizeof out->version, "%s", m->builtin ? "builtin" : "config");
}

void orch_charge(const struct cost *c, const struct gw_model *m, const struct gw_usage *u,
                 const json_t *raw, struct cost_charge *out)
{
    *out = (struct cost_charge){.priced = false};
    if (m->priced) {
        charge_configured(m, u, out);
        return;
    }
    const struct cost_usage usage = {.input = u->input_tokens,
                                     .cached = u->cached_tokens,
                                     .cache_write = u->cache_write_tokens,
                                     .output = u->output_tokens,
                                     .reasoning = u->reasoning_tokens,
                                     .estimated = u->estimated,
                                     .raw = raw};
    cost_price(c, m->provider, m->model, clock_real_ms(), &usage, out);
    if (!out->currency[0])
        snprintf(out->currency, sizeof out->currency, "%s", m->currency);
}

void orch_charge_attempt(const struct cost *c, const struct gw_attempt *a, struct cost_charge *out)
{
    const struct gw_usage *u = &a->usage;
    orch_charge(c, a->model, u, a->raw_usage, out);
    if (out->priced || a->raw_usage || strcmp(a->outcome, "ok") == 0 || u->input_tokens ||
        u->output_tokens || u->cached_tokens || u->cache_write_tokens)
        return;
    out->priced = true; /* whatever the price is: nothing of it was taken */
    out->nano = 0;
    snprintf(out->version, sizeof out->version, "none");
}

void orch__money_add(struct orch_money *to, const struct cost_charge *c)
{
    if (!c->priced) {
        to->unknown = true;
    } else if (c->nano) {
        if (to->nano && strcmp(to->currency, c->currency) != 0)
            to->unknown = true; /* no sum of two currencies */
        to->nano = c->nano > INT64_MAX - to->nano ? INT64_MAX : to->nano + c->nano;
        memcpy(to->currency, c->currency, sizeof to->currency);
    } else if (!to->currency[0]) {
        memcpy(to->currency, c->currency, sizeof to->currency);
    }
}

void orch__money_join(struct orch_money *to, const struct orch_money *more)
{
    struct cost_charge c = {.priced = !more->unknown, .nano = more->nano};
    memcpy(c.currency, more->currency, sizeof c.currency);
    orch__money_add(to, &c);
}

json_t *orch__money_json(const struct orch_money *m)
{
    char amount[32];
    if (m->unknown)
        return json_null();
    json_t *cost = json_object();
    cost_format(m->nano, amount);
    json_puts(cost, "amount", amount);
    json_puts(cost, "currency", m->currency);
    return cost;
}

void orch__spent_money(const struct cost *c, const struct gw_spent *spent, struct orch_money *to)
{
    for (size_t i = 0; i < spent->count; i++) {
        struct cost_charge charge;
        orch_charge_attempt(c, &spent->at[i], &charge);
        orch__money_add(to, &charge);
    }
}

int64_t orch_energy_mj(const struct gw_model *m, const struct gw_usage *u)
{
    const char *source;
    int64_t energy = gw_energy(m, &source);
    if (energy < 0)
        return -1;
    /* joules a thousand tokens are millijoules a token */
    const struct cost_part part = {u->input_tokens + u->output_tokens, energy};
    int64_t mj = 0;
    return cost_total(&part, 1, 1000000000, &mj) ? mj : -1;
}

static struct cost_line *line_of(const struct orch_payer *who, const struct gw_attempt *a)
{
    struct cost_charge charge;
    orch_charge_attempt(who->cost, a, &charge);
    struct cost_line line = {
        .trace_id = who->trace_id,
        .model = a->model->name,
        .provider = a->model->provider,
        .connector = who->connector,
        .session = who->session,
        .project = who->project,
        .flow = who->flow,
        .at = clock_real_ms(),
        .input_tokens = a->usage.input_tokens,
        .cached_tokens = a->usage.cached_tokens,
        .cache_write_tokens = a->usage.cache_write_tokens,
        .output_tokens = a->usage.output_tokens,
        .reasoning_tokens = a->usage.reasoning_tokens,
        .estimated = a->usage.estimated,
        .priced = charge.priced,
        .amount_nano = charge.nano,
        .currency = charge.currency,
        .price_version = charge.version,
        .outcome = a->outcome,
        .error = a->code ? err_name(a->code) : "",
        .queued_ms = a->queued_ms,
        .elapsed_ms = a->elapsed_ms,
        .first_token_ms = a->first_token_ms,
        .energy_mj = orch_energy_mj(a->model, &a->usage),
        .entry = who->entry,
    };
    return cost_line_copy(&line);
}

struct orch_spent *orch_spent_new(const struct gw_spent *spent, const struct orch_payer *who,
                                  const char *outcome)
{
    struct orch_spent *s = xcalloc(1, sizeof *s);
    const struct gw_attempt none = {
        .model = who->model, .outcome = outcome ? outcome : "error", .first_token_ms = -1};
    size_t n = spent->count ? spent->count : 1;
    for (size_t i = 0; i < n; i++) {
        struct gw_attempt a = spent->count ? spent->at[i] : none;
        bool cut = strcmp(a.outcome, "cancelled") == 0;
        if (outcome && (i + 1 == n || (cut && strcmp(outcome, "dropped") == 0)))
            a.outcome = outcome;
        s->lines[i] = line_of(who, &a);
        s->lines[i]->attempt = (int64_t)i + 1;
    }
    s->count = n;
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
