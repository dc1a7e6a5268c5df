#include "backend/base/errors.h"
#include "backend/compliance/internal.h"
#include <stdlib.h>

static const struct pol_control *const controls[] = {
#define CONTROL(id, symbol) &pol__##symbol,
#include "backend/compliance/controls.def"
#undef CONTROL
};
enum { CONTROLS = sizeof controls / sizeof *controls };

static const char *const status_names[] = {
    [POL_PASS] = "pass",
    [POL_WARN] = "warn",
    [POL_FAIL] = "fail",
    [POL_NOT_ASSESSED] = "not assessed",
};

const char *pol_status_name(enum pol_status s)
{
    return status_names[s];
}

size_t pol_controls(void)
{
    return CONTROLS;
}

const struct pol_control *pol_control(size_t i)
{
    BUG_IF(i >= CONTROLS);
    return controls[i];
}

static json_t *row_of(const struct pol_control *c, const struct pol_finding *found)
{
    json_t *o = json_object(), *evidence = json_array();
    json_puts(o, "id", c->id);
    json_puts(o, "title", c->title);
    json_puts(o, "title_ru", c->title_ru ? c->title_ru : c->title);
    json_puts(o, "law", c->law);
    json_puts(o, "status", pol_status_name(found->status));
    json_puts(o, "reason", found->reason);
    json_puts(o, "hint", c->hint);
    for (size_t i = 0; i < found->evidence_count; i++)
        BUG_IF(json_array_append_new(evidence, json_integer(found->evidence[i])) != 0);
    json_put(o, "evidence", evidence);
    return o;
}

static const char *known(const char *s)
{
    return s ? s : "";
}

/* Endpoints without NULL in them, so that no control has to look; the caller frees. */
static struct pol_endpoint *known_endpoints(const struct pol_facts *facts)
{
    struct pol_endpoint *list = xcalloc(facts->endpoint_count, sizeof *list);
    for (size_t i = 0; i < facts->endpoint_count; i++) {
        const struct pol_endpoint *e = &facts->endpoints[i];
        list[i] = (struct pol_endpoint){.name = known(e->name),
                                        .what = known(e->what),
                                        .region = known(e->region),
                                        .allowed = known(e->allowed),
                                        .data = known(e->data),
                                        .level = known(e->level),
                                        .owner = known(e->owner)};
    }
    return list;
}

json_t *pol_scorecard(const struct pol_facts *given)
{
    struct pol_facts facts = *given;
    struct pol_endpoint *endpoints = known_endpoints(given);
    facts.endpoints = endpoints;
    int64_t count[POL_NOT_ASSESSED + 1] = {0};
    int weight = 0, halves = 0; /* a pass is worth two halves of its weight, a warning one */
    json_t *rows = json_array();
    for (size_t i = 0; i < CONTROLS; i++) {
        struct pol_finding found = {.status = POL_NOT_ASSESSED};
        controls[i]->assess(&facts, &found);
        count[found.status]++;
        if (found.status != POL_NOT_ASSESSED)
            weight += controls[i]->weight;
        if (found.status == POL_PASS)
            halves += 2 * controls[i]->weight;
        if (found.status == POL_WARN)
            halves += controls[i]->weight;
        BUG_IF(json_array_append_new(rows, row_of(controls[i], &found)) != 0);
    }
    free(endpoints);
    json_t *counts = json_object();
    json_puti(counts, "pass", count[POL_PASS]);
    json_puti(counts, "warn", count[POL_WARN]);
    json_puti(counts, "fail", count[POL_FAIL]);
    json_puti(counts, "not_assessed", count[POL_NOT_ASSESSED]);
    json_t *card = json_object();
    /* Rounded down: 100 means that everything assessed passes. */
    json_put(card, "score", weight ? json_integer(100 * halves / (2 * weight)) : json_null());
    json_put(card, "counts", counts);
    json_put(card, "controls", rows);
    return card;
}
