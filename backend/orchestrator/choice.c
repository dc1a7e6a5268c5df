/* Who answers a question, and by which flow. */
#include "backend/orchestrator/flow.h"
#include "backend/orchestrator/internal.h"
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

const char orch_by_risk_about[] =
    "the flow that the risk of the question asks for: single, arbitrate or council";

/* Is there a model, or a pool, of that name? */
static enum err known(const struct orch *o, const char *name, struct error *e)
{
    const struct gw_need nothing = {.risk = 0};
    struct error why = {0};
    if (gw_find(o->rooms.gw, name))
        return ERR_OK;
    if (strncmp(name, "pool:", 5) == 0) {
        gw_route(o->rooms.gw, name, &nothing, NULL, &why);
        if (why.code != ERR_NOT_FOUND)
            return ERR_OK;
    }
    return err_set(e, ERR_NOT_FOUND, "no model is named \"%.64s\"", name);
}

/* By which a question begins whose flow its risk will say: that takes all models. */
static const char BEFORE_RISK[] = "arbitrate";

static const char *named(const struct orch *o, const struct orch_ask *ask)
{
    return ask->flow ? ask->flow : orch_flow_usual(o);
}

bool orch__by_risk(const struct orch *o, const struct orch_ask *ask)
{
    return strcmp(named(o, ask), ORCH_BY_RISK) == 0;
}

/* What the risk says: its route's flow, of the safe one with that model alone. A flow that is not
 * there, or a model, leaves what there is. */
void orch__flow_by_risk(struct trace *t)
{
    static const char *const FLOWS[][2] = {{"cheapest", "single"},
                                           {"critic", "arbitrate"},
                                           {"council", "council"},
                                           {"safe", "single"}};
    const char *route = json_str(t->risk, "route", "");
    const char *safe = conf_str(t->orch->rooms.conf, "risk", "", "safe_model");
    const struct flow *f = NULL;
    for (size_t i = 0; i < sizeof FLOWS / sizeof *FLOWS && !f; i++)
        f = strcmp(FLOWS[i][0], route) == 0 ? flows_find(t->orch->flows, FLOWS[i][1], NULL) : NULL;
    if (!f)
        return;
    if (strcmp(route, "safe") == 0 && known(t->orch, safe, NULL) == ERR_OK) {
        for (size_t i = 0; i < t->chosen_count; i++)
            free(t->chosen[i]);
        t->chosen[0] = xstrdup(safe);
        t->chosen_count = 1;
    }
    flow_free(t->flow);
    t->flow = flow_hold(f);
    json_puts(t->doc, "flow", f->name);
    json_put(t->doc, "by_risk", json_true());
    orch__engine_begin(t);
}

enum err orch__choose(const struct orch *o, const struct orch_ask *ask, const struct flow **flow,
                      const char *chosen[ORCH_MODELS], size_t *count, struct error *e)
{
    const char *usual[ORCH_MODELS], *const *names = ask->model_count ? ask->models : usual;
    size_t n = ask->model_count;
    *flow = flows_find(o->flows, orch__by_risk(o, ask) ? BEFORE_RISK : named(o, ask), e);
    if (!*flow)
        return e->code;
    if (!n) {
        n = gw_chosen(o->rooms.gw, o->rooms.conf, usual, ORCH_MODELS);
        orch__order_learnt(o, ask->text, usual, n);
    }
    if (n > ORCH_MODELS)
        return err_set(e, ERR_INVALID, "at most %d models answer a question", ORCH_MODELS);
    *count = 0;
    for (size_t i = 0; i < n; i++) {
        bool twice = false;
        if (known(o, names[i], e) != ERR_OK)
            return e->code;
        for (size_t j = 0; j < *count; j++) /* a pool gives another model each time */
            twice = twice || (strcmp(chosen[j], names[i]) == 0 && gw_find(o->rooms.gw, names[i]));
        if (!twice && *count < (*flow)->models)
            chosen[(*count)++] = names[i];
    }
    return ERR_OK;
}

/* ---- the flows that there are */

const struct flows *orch_flows(const struct orch *o)
{
    return o->flows;
}

const char *orch_flow_usual(const struct orch *o)
{
    return conf_str(o->rooms.conf, "arbitration", "", "flow");
}

static const char *unknown_model(void *arg, const char *name)
{
    struct orch *o = arg;
    struct error e = {0};
    if (known(o, name, &e) == ERR_OK)
        return NULL;
    memcpy(o->flow_why, e.detail, sizeof o->flow_why);
    return o->flow_why;
}

/* A connector that is not up has tools that nobody knows yet. */
static const char *unknown_tool(void *arg, const char *pattern)
{
    enum { MOST = 512 };
    struct orch *o = arg;
    size_t len = strcspn(pattern, "/"), i, n = 0;
    json_t *rows = conn_list(o->rooms.conn), *row;
    bool there = false, up = false, found = false;
    json_array_foreach(rows, i, row)
    {
        const char *name = json_str(row, "name", ""), *state = json_str(row, "state", "");
        if (strlen(name) != len || strncmp(name, pattern, len) != 0)
            continue;
        there = true;
        up = strcmp(state, "ok") == 0 || strcmp(state, "warn") == 0;
    }
    json_decref(rows);
    struct conn_tool *tools = up ? xcalloc(MOST, sizeof *tools) : NULL;
    n = up ? conn_tools(o->rooms.conn, tools, MOST) : 0;
    for (i = 0; i < n && !found; i++)
        found = strlen(tools[i].connector) == len &&
                strncmp(tools[i].connector, pattern, len) == 0 &&
                fnmatch(pattern + len + 1, tools[i].name, FNM_NOESCAPE) == 0;
    free(tools);
    if (there && (found || !up))
        return NULL;
    snprintf(o->flow_why, sizeof o->flow_why,
             there ? "the connector has no tool %.100s" : "no connector is there for %.100s",
             pattern);
    return o->flow_why;
}

static struct flow_known known_to(struct orch *o)
{
    return (struct flow_known){unknown_model, unknown_tool, o};
}

/* Of own flows; the caller frees it. */
static char *own_dir(void)
{
    char *config = conf_dir(), *dir = xasprintf("%s/flows", config);
    free(config);
    return dir;
}

uint64_t orch_flows_stamp(void)
{
    char *dir = own_dir();
    uint64_t stamp = flows_stamp(dir);
    free(dir);
    return stamp;
}

enum err orch_flows_read(struct orch *o, json_t **changed, struct error *e)
{
    const struct flow_known all = known_to(o);
    char *dir = own_dir();
    struct flows *fresh = flows_load(dir, &all, o->flows, e);
    free(dir);
    if (!fresh)
        return e->code;
    if (changed)
        *changed = flows_changed(o->flows, fresh);
    flows_free(o->flows); /* traces hold theirs */
    o->flows = fresh;
    return ERR_OK;
}

struct flow *orch_flow_check(struct orch *o, const char *file, const char *text, size_t len,
                             struct error *e)
{
    const struct flow_known all = known_to(o);
    return flow_read(file, text, len, &all, e);
}
