/* Plans from outside: the core, its checks. */
#include "backend/orchestrator/plans.h"
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error e = {0};
    json_t *given = json_read((const char *)data, size, 1 << 18, 24, &e);
    json_t *core = given ? plans_parse(given, &e) : NULL;
    if (core) { /* what was read reads the same again: nothing of it is lost or added */
        json_t *again = plans_parse(core, &e);
        BUG_IF(!again || !json_equal(core, again));
        json_decref(again);
        const struct plans_limits limits = {2, 4, 3};
        json_t *risk = plans_risk(core, NULL, &limits);
        BUG_IF(!json_object_get(risk, "risk"));
        json_decref(risk);
    }
    size_t i;
    json_t *step, *seen = NULL;
    json_array_foreach(json_object_get(core, "steps"), i, step)
    {
        const json_t *check = json_object_get(json_object_get(step, "verify"), "check");
        if (check)
            plans_check(check, given, &seen);
        json_decref(seen);
        seen = NULL;
    }
    json_decref(core);
    json_decref(given);
    return 0;
}
