/* evidence.lineage: what an entry or a trace derives from, and what derives from it; the audit. */
#include "backend/methods.h"
#include "backend/provenance/lineage.h"
#include <stdlib.h>
#include <string.h>

static void answer(void *arg, json_t *graph, const struct error *e)
{
    method_answer(arg, graph, e);
}

/* A number, or digits in a text: an entry; 32 hex digits: a trace. */
static bool take_id(struct bus_call *c, struct prov_lineage *what)
{
    const json_t *id = json_object_get(bus_params(c), "id");
    const char *text = json_is_string(id) ? json_string_value(id) : "";
    size_t len = strlen(text);
    struct error e = {0};
    if (len == 32 && strspn(text, "0123456789abcdef") == len)
        what->trace_id = text;
    else if (len && len < 17 && strspn(text, "0123456789") == len)
        what->seq = strtoll(text, NULL, 10);
    else if (json_is_integer(id) && json_integer_value(id) >= 0)
        what->seq = json_integer_value(id);
    else
        err_set(&e, ERR_INVALID, "id is the number of an entry, or a trace's 32 hex digits");
    if (e.code == ERR_OK)
        return true;
    bus_fail(c, &e);
    return false;
}

static bool take_direction(struct bus_call *c, struct prov_lineage *what)
{
    const char *direction;
    struct error e = {0};
    if (!method_text(c, "direction", false, &direction))
        return false;
    what->up = !direction || strcmp(direction, "down") != 0;
    what->down = direction && strcmp(direction, "up") != 0;
    if (!direction || strcmp(direction, "up") == 0 || strcmp(direction, "down") == 0 ||
        strcmp(direction, "both") == 0)
        return true;
    err_set(&e, ERR_INVALID, "direction is up, down or both");
    bus_fail(c, &e);
    return false;
}

void on_evidence_lineage(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    struct prov_lineage what = {.texts = bus_session(c)->role >= BUS_REVIEWER};
    int64_t from, to;
    if (json_is_true(json_object_get(bus_params(c), "audit"))) {
        if (method_limit(c, "from", 0, 0, INT64_MAX, &from) &&
            method_limit(c, "to", -1, -1, INT64_MAX, &to))
            prov_lineage_audit(b->prov, from, to, answer, c);
        return;
    }
    if (take_id(c, &what) && take_direction(c, &what))
        prov_lineage(b->prov, &what, answer, c);
}
