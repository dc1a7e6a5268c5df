/* The methods of learning: a person's word on an answer, and on what was learnt from such. */
#include "backend/methods.h"
#include "backend/orchestrator/orchestrator.h"

static void on_logged(void *arg, int64_t entry, const struct error *e)
{
    json_t *result = e->code == ERR_OK ? json_object() : NULL;
    if (result)
        json_puti(result, "entry", entry);
    method_answer(arg, result, e);
}

static bool take_flag(struct bus_call *c, const char *key, bool *out)
{
    const json_t *value = json_object_get(bus_params(c), key);
    struct error e = {0};
    *out = json_is_true(value);
    if (json_is_boolean(value))
        return true;
    err_set(&e, ERR_INVALID, "%s is true or false", key);
    bus_fail(c, &e);
    return false;
}

void on_chat_rate(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *trace_id;
    bool good;
    struct error e = {0};
    if (!method_text(c, "trace_id", true, &trace_id) || !take_flag(c, "good", &good))
        return;
    if (orch_rate(b->orch, trace_id, good, bus_role_name(bus_session(c)->role), on_logged, c, &e) !=
        ERR_OK)
        bus_fail(c, &e);
}

void on_chat_release(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *trace_id;
    char user[64];
    struct error e = {0};
    if (!method_text(c, "trace_id", true, &trace_id))
        return;
    backend__user(user);
    if (orch_release(b->orch, trace_id, bus_role_name(bus_session(c)->role), user, on_logged, c,
                     &e) != ERR_OK)
        bus_fail(c, &e);
}

void on_learning_show(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    struct error e = {0};
    json_t *result = orch_learning(b->orch, &e);
    method_answer(c, result, &e);
}

void on_learning_decide(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *kind;
    bool accept;
    struct error e = {0};
    if (!method_text(c, "kind", true, &kind) || !take_flag(c, "accept", &accept))
        return;
    if (orch_learning_decide(b->orch, kind, accept, bus_role_name(bus_session(c)->role), on_logged,
                             c, &e) != ERR_OK)
        bus_fail(c, &e);
}
