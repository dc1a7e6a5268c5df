/* The risk of a plan: points by features that are documented, never by what a text says. */
#include "backend/orchestrator/act_internal.h"
#include <string.h>

enum {
#define RISK(id, points, text) RISK_##id,
#include "backend/orchestrator/risk.def"
#undef RISK
    RISKS
};
static const struct {
    int points;
    const char *text;
} risks[RISKS] = {
#define RISK(id, points, text) {points, text},
#include "backend/orchestrator/risk.def"
#undef RISK
};
static const char RAISED[] = "whoever proposed it says so";
static const char *const ranks[] = {"low", "medium", "high"};

int act__risk_rank(const char *risk)
{
    for (int i = 0; i < 3; i++)
        if (strcmp(ranks[i], risk) == 0)
            return i;
    return -1;
}

static int64_t targets(const json_t *steps)
{
    int64_t n = 0;
    for (size_t i = 0; i < json_array_size(steps); i++) {
        const char *target = json_str(json_array_get(steps, i), "target", "");
        n += !i || strcmp(target, json_str(json_array_get(steps, i - 1), "target", "")) != 0;
    }
    return n;
}

json_t *plans_risk(const json_t *core, const json_t *facts, const struct plans_limits *l)
{
    enum { STEPS_FEW = 4 };
    const json_t *steps = json_object_get(core, "steps");
    bool has[RISKS] = {false};
    for (size_t i = 0; i < json_array_size(steps); i++) {
        const json_t *step = json_array_get(steps, i), *fact = json_array_get(facts, i);
        if (!json_flag(fact, "acting", true))
            continue;
        has[RISK_NO_ROLLBACK] |= !json_object_get(step, "rollback");
        has[RISK_NO_VERIFY] |= !json_object_get(step, "verify");
        has[RISK_DESTRUCTIVE] |= json_flag(fact, "destructive", false);
        has[RISK_PERSONAL] |= json_flag(fact, "personal", false);
        has[RISK_ABROAD] |= json_flag(fact, "abroad", false);
    }
    has[RISK_MANY_TARGETS] = targets(steps) >= l->many_targets;
    has[RISK_MANY_STEPS] = json_array_size(steps) > STEPS_FEW;
    int64_t points = 0;
    json_t *reasons = json_array(), *out = json_object();
    for (int i = 0; i < RISKS; i++) {
        if (!has[i])
            continue;
        points += risks[i].points;
        json_array_append_new(reasons, json_string(risks[i].text));
    }
    int rank = points >= l->high     ? 2
               : points >= l->medium ? 1
                                     : 0,
        given = act__risk_rank(json_str(core, "risk", "low"));
    if (given > rank) { /* a person may raise it */
        rank = given;
        json_array_append_new(reasons, json_string(RAISED));
    }
    json_puts(out, "risk", ranks[rank]);
    json_puti(out, "points", points);
    json_put(out, "reasons", reasons);
    return out;
}
