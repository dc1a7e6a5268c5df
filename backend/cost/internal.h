/* Shared by the files of the room cost. */
#ifndef COST_INTERNAL_H
#define COST_INTERNAL_H

#include "backend/cost/cost.h"

struct cost {
    struct store *store;
};

/* o[key] = the text of a column, "" for NULL. */
void cost__put_text(json_t *o, const char *key, const struct store_row *row, int column);

#endif
