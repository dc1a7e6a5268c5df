/* Epochs: a log whose entries were tampered with goes on in a new one, with a tree of its own.
 * Epoch 1 begins with entry 0, each later one with an entry epoch.start.
 *
 * Invariants
 * E1 Where an epoch begins is read from the entries: the table `epochs` and the column `type` only
 * say where to look. So neither can put a beginning where no epoch.start is. E2 The numbers of
 * epochs ascend with their bases; a number is never used twice. */
#include "backend/provenance/internal.h"

#include <stdlib.h>
#include <string.h>

bool prov__text_is(struct prov__text text, const char *literal)
{
    return text.len == strlen(literal) && memcmp(text.at, literal, text.len) == 0;
}

void prov__epochs_add(struct prov__epochs *list, int64_t epoch, int64_t base)
{
    list->at = xrealloc(list->at, (list->count + 1) * sizeof *list->at);
    list->at[list->count++] = (struct prov__epoch){epoch, base};
}

const struct prov__epoch *prov__epoch_of(const struct prov__epochs *list, int64_t seq)
{
    size_t i = list->count - 1;
    while (i > 0 && list->at[i].base > seq)
        i--;
    return &list->at[i];
}

static bool take_epoch(void *arg, const struct store_row *row)
{
    struct prov__epochs *list = arg;
    struct prov__header h;
    size_t len;
    int64_t seq = store_int(row, 0), epoch = store_int(row, 2);
    const struct prov__epoch *last = &list->at[list->count - 1];
    const char *bytes = store_blob(row, 1, &len);
    if (seq <= last->base || !bytes || prov__entry_read(bytes, len, &h) != NULL || h.seq != seq ||
        !prov__text_is(h.type, "epoch.start")) /* E1 */
        return true;
    prov__epochs_add(list, epoch > last->epoch ? epoch : last->epoch + 1, seq); /* E2 */
    return list->count < PROV__EPOCHS;
}

enum err prov__epochs_load(struct prov__epochs *list, struct store_db *db, struct error *e)
{
    list->count = 0;
    prov__epochs_add(list, 1, 0);
    return store_query(db, e, take_epoch, list,
                       "SELECT seq, entry, (SELECT epoch FROM epochs WHERE base = seq) FROM entries"
                       " WHERE type = 'epoch.start' OR seq IN (SELECT base FROM epochs)"
                       " ORDER BY seq",
                       "");
}
