/* What other judges reply, and the safety filter's rules on any text: what is found is bounded, and
 * a reply that is safe and unsafe at once is never read. */
#include "backend/base/errors.h"
#include "backend/compliance/compliance.h"

#include <stdlib.h>
#include <string.h>

static void check(const struct pol_moderation *m)
{
    uint32_t seen = 0;
    BUG_IF(m->count > POL_HAZARDS || (m->count == 0) != (m->worst == POL_NONE));
    for (size_t i = 0; i < m->count; i++) {
        BUG_IF(seen >> m->at[i].id & 1);
        seen |= UINT32_C(1) << m->at[i].id;
        BUG_IF(memchr(m->at[i].what, '\0', POL_WHAT) == NULL || m->at[i].severity > m->worst);
    }
    json_decref(pol_moderation_json(m));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pol_filter *filter;
    struct pol_moderation m, head, rest;
    if (filter == NULL)
        filter = pol_filter_new();
    if (size > 1 << 14)
        return 0;
    char *text = xstrndup((const char *)data, size);
    if (pol_guard_read(text, pol_hazards_grave(), &m))
        check(&m);
    json_t *reply = json_read(text, strlen(text), 1 << 14, 32, NULL);
    if (reply && pol_moderation_read(reply, pol_hazards_grave(), &m))
        check(&m);
    json_decref(reply);
    pol_moderate(filter, text, POL_ANSWER, &m);
    check(&m);
    pol_moderate(filter, text, POL_QUESTION, &m);
    check(&m);
    size_t start = pol_sentence_start(text, strlen(text));
    BUG_IF(start > strlen(text));
    char *first = xstrndup(text, start);
    pol_moderate(filter, first, POL_QUESTION, &head);
    pol_moderate(filter, text + start, POL_QUESTION, &rest);
    pol_moderation_add(&head, &rest);
    BUG_IF(head.worst != m.worst);
    free(first);
    free(text);
    return 0;
}
