/* Flows and conditions from a file: what is accepted ends, and its edges lead from one node to
 * another; what is refused says why. */
#include "backend/orchestrator/flow.h"
#include <stdlib.h>
#include <string.h>

static void try_condition(const char *text)
{
    struct error e = {0};
    struct condition *c = condition_read(text, &e);
    BUG_IF(!c && !*e.detail);
    if (!c)
        return;
    struct condition_values v = {0};
    int unknown = condition_holds(c, &v);
    for (int i = 0; i < VAR_COUNT; i++) {
        v.known[i] = true;
        v.number[i] = 0.5;
        v.text[i] = "agree";
    }
    int known = condition_holds(c, &v);
    /* what holds when nothing is known holds always */
    BUG_IF(known < 0 || (unknown >= 0 && unknown != known));
    condition_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error e = {0};
    char *text = xstrndup((const char *)data, size);
    try_condition(text);
    struct flow *f = flow_read("x.json", (const char *)data, size, NULL, &e);
    BUG_IF(!f && !*e.detail);
    if (f) {
        struct buf dot = {0};
        BUG_IF(f->node_count < 3 || f->edge_count < 2);
        for (size_t i = 0; i < f->edge_count; i++)
            BUG_IF(f->edges[i].from >= f->node_count || f->edges[i].to >= f->node_count ||
                   f->edges[i].from == f->edges[i].to);
        flow_dot(f, &dot);
        buf_release(&dot);
        flow_free(f);
    }
    free(text);
    return 0;
}
