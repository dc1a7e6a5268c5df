/* What calls may cost: prices, read when the console starts. */
#include "backend/internal.h"
#include <stdlib.h>

enum err backend__spending_open(struct backend *b, struct error *e)
{
    char *config = conf_dir(), *prices = xasprintf("%s/prices", config);
    b->cost = cost_new(b->store);
    enum err code = cost_prices_load(b->cost, prices, e);
    free(prices);
    free(config);
    return code;
}
