/* How much is at stake in a question: 1 - product of (1 - weight x value) over its features. It
 * says which tier of a pool's models is asked (gw_route). */
#include "backend/compliance/compliance.h"
#include "backend/orchestrator/internal.h"

enum { TAGS = 8 };

double orch__question_risk(const struct trace *t, json_t **parts)
{
    const char *tags[TAGS];
    const struct {
        const char *name;
        double value, weight;
    } features[] = {
        {"dangerous commands", pol_safety_risk(t->question, NULL), 1.0},
        {"personal data", pol_pii_tags(t->question, tags, TAGS) > 0 ? 1 : 0, 0.4},
    };
    double safe = 1;
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
        json_t *one = json_object();
        safe *= 1 - features[i].weight * features[i].value;
        json_puts(one, "name", features[i].name);
        json_put(one, "value", json_real(features[i].value));
        json_put(one, "weight", json_real(features[i].weight));
        json_array_append_new(list, one);
    }
    if (parts) {
        *parts = json_object();
        json_put(*parts, "score", json_real(1 - safe));
        json_put(*parts, "features", json_incref(list));
    }
    json_decref(list);
    return 1 - safe;
}
