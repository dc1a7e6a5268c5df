/* Shared by the files of the room cost. */
#ifndef COST_INTERNAL_H
#define COST_INTERNAL_H

#include "backend/cost/cost.h"

#define COST__TOKENS_MAX INT64_C(1000000000000)

enum { COST__RATES = 16 };
struct cost__rate {
    char currency[8];
    int64_t nano; /* US dollars a unit, in billionths */
};

struct cost__prices;
struct cost {
    struct store *store;
    struct cost__prices *prices; /* or NULL */
    struct cost__rate rates[COST__RATES];
    size_t rate_count;
};

/* prices.c */
void cost__prices_free(struct cost__prices *p);
/* The prices of one file's text alone, in the place of all others; what cost_prices_load does with
 * each. */
enum err cost__prices_read(struct cost *c, const char *name, const char *text, size_t len,
                           struct error *e);
/* Token counts come from foreign servers; bounded, so that sums over the ledger cannot overflow. */
int64_t cost__tokens(int64_t n);

/* o[key] = the text of a column, "" for NULL. */
void cost__put_text(json_t *o, const char *key, const struct store_row *row, int column);

#endif
