/* What calls may cost: prices and budgets, read when the console starts; each try of a model asks
 * here before it is sent.
 *
 * Invariants
 * M1 A try is let in only with room in every budget for the most it may come to, whichever model of
 *    a chain makes it (gateway.h, G4).
 * M2 That a threshold was passed is an entry of the log, written once; the alert stands for as long
 *    as the budget's period. */
#include "backend/internal.h"
#include "backend/methods.h"
#include <stdlib.h>
#include <string.h>

enum err backend__spending_open(struct backend *b, struct error *e)
{
    char *config = conf_dir(), *prices = xasprintf("%s/prices", config);
    b->cost = cost_new(b->store);
    enum err code = cost_prices_load(b->cost, prices, e);
    if (code == ERR_OK)
        code = cost_rates_read(b->cost, b->conf, e);
    free(prices);
    free(config);
    return code;
}

/* ---- thresholds */

struct warning {
    char *budget, *subject, *period;
    int percent;
};

static void warning_free(struct warning *w)
{
    free(w->budget);
    free(w->subject);
    free(w->period);
    free(w);
}

static enum err keep_warning(struct store_db *db, void *arg, struct error *e)
{
    const struct warning *w = arg;
    return cost_warned(db, w->budget, w->subject, w->period, w->percent, e);
}

static void warning_kept(void *arg, int64_t seq, const struct error *e)
{
    struct warning *w = arg;
    (void)seq;
    (void)e; /* untold in the table, it is told again after the next start */
    warning_free(w);
}

static void on_warning(void *arg, const struct cost_warning *from)
{
    struct backend *b = arg;
    struct warning *w = xcalloc(1, sizeof *w);
    *w = (struct warning){.budget = xstrdup(from->budget),
                          .subject = xstrdup(from->subject),
                          .period = xstrdup(from->period),
                          .percent = from->percent};
    json_t *payload = json_object();
    json_puts(payload, "budget", from->budget);
    json_puts(payload, "subject", from->subject);
    json_puts(payload, "period", from->period);
    json_puti(payload, "percent", from->percent);
    json_puts(payload, "text", from->text);
    struct prov_entry entry = {.type = "budget", .actor = "backend", .payload = payload};
    prov_append(b->prov, &entry, warning_kept, w, keep_warning, w);
    json_decref(payload);
    backend__changed(b);
}

static void add_alert(void *arg, const char *severity, const char *text)
{
    method_alert(arg, severity, "budget", text);
}

void backend__spending_status(struct backend *b, json_t *alerts)
{
    if (b->budgets)
        cost_budgets_alerts(b->budgets, add_alert, alerts);
}

/* ---- admission */

/* The most that a try may come to. Our count of the input may be short of the provider's; what a
 * model thinks is part of its output. */
static struct cost_asked most_of(const struct backend *b, const struct gw_model *m,
                                 const struct gw_request *r, int64_t input, int64_t output)
{
    enum { MARGIN = 5 }; /* a fifth more */
    struct gw_usage u = {.input_tokens = input + input / MARGIN, .estimated = true};
    int64_t rest = m->context - u.input_tokens;
    u.output_tokens = output > 0 ? output : rest > 0 ? rest : 0;
    if (m->price_reasoning > m->price_out)
        u.reasoning_tokens = u.output_tokens;
    struct cost_asked asked = {.model = m->name,
                               .session = r->session,
                               .project = r->project,
                               .tokens = u.input_tokens + u.output_tokens};
    orch_charge(b->cost, m, &u, NULL, &asked.charge);
    return asked;
}

static enum err reserve(void *arg, const struct gw_model *m, const struct gw_request *r,
                        int64_t input_tokens, int64_t output_tokens, uint64_t *ticket,
                        struct error *e)
{
    struct backend *b = arg;
    *ticket = 0;
    if (m->builtin)
        return ERR_OK;
    struct cost_asked asked = most_of(b, m, r, input_tokens, output_tokens);
    enum err code = cost_reserve(b->budgets, &asked, ticket, e);
    if (code != ERR_OK)
        backend__changed(b);
    return code;
}

static void settle(void *arg, uint64_t ticket, const struct gw_attempt *a)
{
    struct backend *b = arg;
    struct cost_charge charge;
    if (!ticket)
        return;
    orch_charge_attempt(b->cost, a, &charge);
    cost_settle(b->budgets, ticket, &charge, a->usage.input_tokens + a->usage.output_tokens);
}

/* In the console's currency. */
static bool price(void *arg, const struct gw_model *m, int64_t input_tokens, int64_t output_tokens,
                  int64_t *nano)
{
    const struct backend *b = arg;
    const struct gw_usage u = {
        .input_tokens = input_tokens, .output_tokens = output_tokens, .estimated = true};
    struct cost_charge charge;
    orch_charge(b->cost, m, &u, NULL, &charge);
    return charge.priced && cost_convert(b->cost, charge.nano, charge.currency,
                                         conf_str(b->conf, "console", "", "currency"), nano);
}

enum err backend__spending_start(struct backend *b, struct error *e)
{
    static const struct gw_admission admission = {
        .reserve = reserve, .price = price, .settle = settle};
    if (!(b->budgets = cost_budgets_new(b->cost, b->conf, on_warning, b, e)))
        return e->code;
    gw_set_admission(b->gw, &admission, b);
    return ERR_OK;
}

/* ---- the method */

void on_cost_budgets(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    json_t *result = json_object();
    json_put(result, "budgets", cost_budgets_list(b->budgets));
    bus_reply(c, result);
}
