/* Evaluation: runs are begun, watched, stopped and read. */
#include "backend/methods.h"
#include <string.h>

/* The texts of a list, into out; false when the call was answered with an error. */
static bool take_texts(struct bus_call *c, const char *key, const char **out, size_t max, size_t *n)
{
    const json_t *list = json_object_get(bus_params(c), key);
    struct error e = {0};
    *n = json_array_size(list);
    if (!*n || *n > max)
        err_set(&e, ERR_INVALID, "%s is a list of 1 to %zu texts", key, max);
    for (size_t i = 0; i < *n && e.code == ERR_OK; i++) {
        out[i] = json_string_value(json_array_get(list, i));
        if (!out[i])
            err_set(&e, ERR_INVALID, "%s[%zu] is no text", key, i);
    }
    if (e.code == ERR_OK)
        return true;
    bus_fail(c, &e);
    return false;
}

void on_eval_run(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *variants[EVAL_VARIANTS];
    struct evals_order o = {.variants = variants,
                            .actor = bus_role_name(bus_session(c)->role),
                            .keep = json_flag(bus_params(c), "keep", false)};
    const json_t *baseline = json_object_get(bus_params(c), "baseline");
    int64_t parallel, seed;
    struct error e = {0};
    char id[33];
    if (!method_text(c, "name", true, &o.name) || !method_text(c, "set", false, &o.set) ||
        !take_texts(c, "variants", variants, EVAL_VARIANTS, &o.variant_count) ||
        !method_limit(c, "parallel", 1, 1, EVAL_PARALLEL, &parallel) ||
        !method_limit(c, "seed", 1, 0, (int64_t)1 << 52, &seed))
        return;
    o.parallel = (size_t)parallel;
    o.seed = (uint64_t)seed;
    o.baseline = json_is_object(baseline) ? baseline : NULL;
    if (evals_start(b->evals, &o, id, &e) != ERR_OK) {
        bus_fail(c, &e);
        return;
    }
    json_t *result = json_object();
    json_puts(result, "run", id);
    bus_reply(c, result);
}

void on_eval_stop(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *id;
    struct error e = {0};
    if (!method_text(c, "run", true, &id))
        return;
    if (evals_stop(b->evals, id, &e) != ERR_OK)
        bus_fail(c, &e);
    else
        bus_reply(c, json_object());
}

void on_eval_list(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    int64_t before, limit;
    struct error e = {0};
    if (!method_limit(c, "before", -1, -1, INT64_MAX, &before) ||
        !method_limit(c, "limit", 20, 1, 100, &limit))
        return;
    json_t *runs = evals_list(b->evals, before, (size_t)limit + 1, &e);
    json_t *page = runs ? method_page("runs", runs, limit, METHOD_LAST) : NULL;
    if (page) {
        json_t *running = evals_running(b->evals);
        json_put(page, "sets", evals_sets());
        json_put(page, "running", running ? running : json_null());
    }
    method_answer(c, page, &e);
}

void on_eval_show(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *id;
    struct error e = {0};
    if (!method_text(c, "run", true, &id))
        return;
    json_t *result = evals_get(b->evals, id, &e);
    method_answer(c, result, &e);
}
