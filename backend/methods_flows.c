/* The methods of flows: which there are, one of them, whether a file is one. */
#include "backend/methods.h"
#include "backend/orchestrator/flow.h"
#include <stdlib.h>
#include <string.h>

void on_flows_list(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const struct flows *all = orch_flows(b->orch);
    json_t *result = json_object(), *flows = json_array(), *wrong = json_array();
    for (size_t i = 0; i < all->count; i++) {
        const struct flow *f = all->at[i];
        json_t *row = json_object();
        json_puts(row, "name", f->name);
        json_puts(row, "about", f->about);
        json_put(row, "own", json_boolean(f->own));
        json_put(row, "usual", json_boolean(strcmp(f->name, orch_flow_usual(b->orch)) == 0));
        json_puti(row, "models", (int64_t)f->models);
        json_puti(row, "nodes", (int64_t)f->node_count);
        json_array_append_new(flows, row);
    }
    json_t *by_risk = json_object();
    json_puts(by_risk, "name", ORCH_BY_RISK);
    json_puts(by_risk, "about", orch_by_risk_about);
    json_put(by_risk, "own", json_false());
    json_put(by_risk, "usual", json_boolean(strcmp(ORCH_BY_RISK, orch_flow_usual(b->orch)) == 0));
    json_puti(by_risk, "models", ORCH_MODELS);
    json_puti(by_risk, "nodes", 0);
    json_array_append_new(flows, by_risk);
    for (size_t i = 0; i < all->wrong_count; i++) {
        json_t *row = json_object();
        json_puts(row, "name", all->wrong_name[i]);
        json_puts(row, "text", all->wrong[i].detail);
        json_put(row, "kept", json_boolean(all->kept[i]));
        if (bus_session(c)->role < BUS_REVIEWER) /* it has paths, and what the file says */
            backend__withhold_text(row, "text");
        json_array_append_new(wrong, row);
    }
    json_put(result, "flows", flows);
    json_put(result, "wrong", wrong);
    bus_reply(c, result);
}

static json_t *whole(const struct flow *f)
{
    json_t *result = json_object();
    struct buf dot = {0};
    flow_dot(f, &dot);
    json_puts(result, "name", f->name);
    json_puts(result, "about", f->about);
    json_puts(result, "file", f->file);
    json_put(result, "own", json_boolean(f->own));
    json_put(result, "flow", json_deep_copy(f->doc));
    json_puts(result, "dot", dot.data);
    buf_release(&dot);
    return result;
}

void on_flows_get(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *name;
    struct error e = {0};
    if (!method_text(c, "name", true, &name))
        return;
    const struct flow *f = flows_find(orch_flows(b->orch), name, &e);
    method_answer(c, f ? whole(f) : NULL, &e);
}

void on_flows_check(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *file, *text;
    struct error e = {0};
    if (!method_text(c, "file", true, &file) || !method_text(c, "text", true, &text))
        return;
    struct flow *f = orch_flow_check(b->orch, file, text, strlen(text), &e);
    method_answer(c, f ? whole(f) : NULL, &e);
    flow_free(f);
}
