/* The cost ledger: one line per model call of any outcome, and its totals.
 *
 * Money is a decimal in nano units (1e-9) of a currency, so that a token's price is exact. A
 * missing price is unknown, never zero: unknown calls are counted apart. */
#ifndef COST_H
#define COST_H

#include "backend/base/conf.h"
#include "backend/base/json.h"
#include "backend/store/store.h"

struct cost;

struct cost_line {
    const char *trace_id, *model, *provider, *connector; /* connector "" */
    const char *session, *project; /* the log's session, and whom it is for; "" nobody */
    const char *flow;              /* "answer", "critique", "safety", "sampling", "embedding" */
    int64_t at;                    /* real ms */
    int64_t input_tokens, output_tokens;       /* >= 0 */
    int64_t cached_tokens, cache_write_tokens; /* parts of the input */
    int64_t reasoning_tokens;                  /* part of the output */
    bool estimated;                            /* the token counts are ours, not the provider's */
    bool priced;                               /* false: price unknown */
    int64_t amount_nano;                       /* valid if priced */
    const char *currency;                      /* "RUB" */
    const char *price_version; /* "builtin", "config", "openai/2026-07-30", "" unknown */
    const char *outcome;       /* "ok", "error", "cancelled", "dropped", "hedged", "lost" */
    const char *error;         /* its name in errors.def, "" none */
    int64_t attempt;           /* which try of its call, from 1 */
    int64_t queued_ms, elapsed_ms, first_token_ms; /* first_token_ms -1: none came */
    int64_t energy_mj;                             /* millijoules; -1: unknown */
    int64_t entry;                                 /* seq of the model.call entry it was made by */
};

/* Counts times rates in nano units per `per`, rounded half up; INT64_MAX when larger. A rate may be
 * a discount; false (and *nano as it was) when the sum is below 0. */
struct cost_part {
    int64_t count, nano;
};
bool cost_total(const struct cost_part *parts, size_t n, int64_t per, int64_t *nano);
/* "41.20", "0.000123": at least two decimals, no trailing zeros after those; out has 32 bytes. */
void cost_format(int64_t nano, char *out);

struct cost *cost_new(struct store *s);
void cost_free(struct cost *c);

/* Prices: the built-in files (prices.c has their form), each replaced by one of the same name in
 * dir, and those that are only there. dir NULL, or not there: the built-in ones alone. Without this
 * no price is known. ERR_CONFIG names file and what is wrong. */
enum err cost_prices_load(struct cost *c, const char *dir, struct error *e);

/* What other currencies are worth, from [telemetry] usd_rates; ERR_CONFIG. */
enum err cost_rates_read(struct cost *c, const struct conf *conf, struct error *e);
/* Billionths of a US dollar that one unit is worth; 0: unknown. */
int64_t cost_usd_rate(const struct cost *c, const char *currency);
/* An amount in another currency by these rates, rounded up; false: a rate is not known. */
bool cost_convert(const struct cost *c, int64_t nano, const char *from, const char *to,
                  int64_t *out);

struct cost_usage {
    int64_t input, cached, cache_write; /* the latter two are part of input */
    int64_t output, reasoning;          /* the latter is part of output */
    bool estimated;                     /* input or output is ours */
    const json_t *raw;                  /* the provider's own object, or NULL */
};
struct cost_charge {
    bool priced;      /* false: unknown, which is not zero */
    int64_t nano;     /* valid if priced */
    char currency[8]; /* "": unknown */
    char version[64]; /* of the price, "": there is none */
};
/* What a call at that time (real ms) costs. The provider's usage is read by the price's own
 * pointers; where it is missing or cut short, our estimate is priced. A member that a price needs
 * and the usage lacks makes the cost unknown. */
void cost_price(const struct cost *c, const char *provider, const char *model, int64_t at,
                const struct cost_usage *u, struct cost_charge *out);

/* A store_op for prov_append's `also`: inserts a line. arg comes from cost_line_copy and is freed
 * by cost_line_free after the write. */
enum err cost_insert(struct store_db *db, void *arg, struct error *e);
struct cost_line *cost_line_copy(const struct cost_line *line);
void cost_line_free(struct cost_line *line);

/* {currency, today: SUMS, by_model: [{model, provider, SUMS, currency, share, share_of}], by_day:
 * [{day, SUMS}] (oldest first, gaps as zero), by_outcome: [{outcome, calls}], total: SUMS} with
 * SUMS = amount, calls, unknown, elsewhere, estimated, input_tokens, output_tokens, cached_tokens,
 * reasoning_tokens, metered, energy_j. Amounts are decimal texts of `currency`; calls in other
 * currencies stand in other_currencies: [{currency, amount, calls}]. Caller owns. All but today
 * covers the same `days` local days, today the last. calls, unknown, elsewhere (priced in another
 * currency), estimated and tokens count every call (a try is one); an amount holds only what is
 * priced in `currency`, energy_j (joules, null if there are none) only the metered ones. share
 * (0..1) is of the total amount; when that is 0, of the tokens, and share_of says so ("amount" or
 * "tokens"). */
json_t *cost_summary(struct cost *c, const char *currency, int days, struct error *e);
/* Ledger lines, newest first: [{id, at (real ms), day, trace_id, model, provider, connector,
 * session, project, flow, input_tokens, cached_tokens, cache_write_tokens, output_tokens,
 * reasoning_tokens, estimated, source (reported|estimated), amount (text, null if unknown),
 * currency, price_version, outcome, error, attempt, queued_ms, elapsed_ms, first_token_ms, energy_j
 * (null if unknown), entry}]. before is an id; -1: from the newest. */
json_t *cost_ledger(struct cost *c, int64_t before, size_t limit, struct error *e);
/* Every line behind that id, oldest first: what it cost. Answers the last id there is, which is
 * `after` if there is none behind it, or the ledger cannot be read. after -1: nothing is told. */
struct cost_spent {
    const char *model, *currency;
    bool priced;
    int64_t amount_nano, energy_mj; /* energy_mj -1: unknown */
};
int64_t cost_since(struct cost *c, int64_t after, void (*fn)(void *arg, const struct cost_spent *s),
                   void *arg);

#endif
