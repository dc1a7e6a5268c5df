/* The cost ledger: one line per model call of any outcome, and its totals.
 *
 * Money is a decimal in nano units (1e-9) of a currency, so that a token's price is exact. A
 * missing price is unknown, never zero: unknown calls are counted apart. */
#ifndef COST_H
#define COST_H

#include "backend/base/json.h"
#include "backend/store/store.h"

struct cost;

struct cost_line {
    const char *trace_id, *model, *provider, *connector; /* connector "" */
    int64_t at;                                          /* real ms */
    int64_t input_tokens, output_tokens;                 /* >= 0 */
    bool estimated;                     /* the token counts are ours, not the provider's */
    bool priced;                        /* false: price unknown */
    int64_t amount_nano;                /* valid if priced */
    const char *currency;               /* "RUB" */
    const char *price_version;          /* "builtin", "config", a date */
    const char *outcome;                /* "ok", "error", "cancelled", "dropped" */
    int64_t elapsed_ms, first_token_ms; /* first_token_ms -1: none came */
    int64_t entry;                      /* seq of the model.call entry it was made by */
};

/* tokens_in * price_in + tokens_out * price_out in nano units, rounded half up; INT64_MAX when
 * larger. Nothing may be negative. */
int64_t cost_amount(int64_t in, int64_t nano_in, int64_t out, int64_t nano_out);
/* "41.20", "0.000123": at least two decimals, no trailing zeros after those; out has 32 bytes. */
void cost_format(int64_t nano, char *out);

struct cost *cost_new(struct store *s);
void cost_free(struct cost *c);
/* A store_op for prov_append's `also`: inserts a line. arg comes from cost_line_copy and is freed
 * by cost_line_free after the write. */
enum err cost_insert(struct store_db *db, void *arg, struct error *e);
struct cost_line *cost_line_copy(const struct cost_line *line);
void cost_line_free(struct cost_line *line);

/* {currency, today: {amount, calls, unknown, estimated, input_tokens, output_tokens},
 *  by_model: [{model, provider, calls, input_tokens, output_tokens, amount, currency, unknown,
 * share}], by_day: [{day, calls, input_tokens, output_tokens, amount, unknown}] (days, oldest
 * first, gaps as zero), by_outcome: [{outcome, calls}], total: {...}}; amounts are decimal texts of
 * `currency`; calls in other currencies stand in other_currencies: [{currency, amount, calls}].
 * Caller owns. All but today covers the same `days` local days, today the last. calls, unknown,
 * estimated and tokens count every call; an amount holds only what is priced in `currency`. share
 * (0..1) is of the total amount; when that is 0, of the tokens, and share_of says so ("amount" or
 * "tokens"). */
json_t *cost_summary(struct cost *c, const char *currency, int days, struct error *e);
/* Ledger lines, newest first: [{id, at (real ms), day, trace_id, model, provider, connector,
 * input_tokens, output_tokens, estimated, amount (text, null if unknown), currency, price_version,
 * outcome, elapsed_ms, first_token_ms, entry}]. before is an id; -1: from the newest. */
json_t *cost_ledger(struct cost *c, int64_t before, size_t limit, struct error *e);
/* Every line behind that id, oldest first: what it cost. Answers the last id there is, which is
 * `after` if there is none behind it, or the ledger cannot be read. after -1: nothing is told. */
struct cost_spent {
    const char *model, *currency;
    bool priced;
    int64_t amount_nano;
};
int64_t cost_since(struct cost *c, int64_t after, void (*fn)(void *arg, const struct cost_spent *s),
                   void *arg);

#endif
