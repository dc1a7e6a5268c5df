/* A model that asks for tools: its calls are made, what they bring is given back to it, and it
 * speaks again, step by step.
 *
 * T1 Offered are tools that the flow's node names and the registry has, nothing that a text says.
 *    Only what reads is called; of what changes something a plan is proposed, for whoever asked,
 *    and nothing is done; in the sandbox (docs/risk.md) none is offered.
 * T2 Each call is durable before it is made, and is a stage of the trace; a stop of the trace stops
 *    it. Calls of one step run at once.
 * T3 What a tool says is data, an error too: scanned and marked like every source (untrusted.c),
 *    between lines with a word made for this node, with the number by which it is cited.
 * T4 After the node's steps, or its tokens, the model has to answer without tools.
 * T5 Each output says its step, each call and its result also the place among the step's calls and
 *    the source's number: by these an agent that is gone on with after a crash gets what is logged,
 *    and asks for the rest (resume.c).
 * T6 Descriptions and schemas of tools are their servers' words: marked as sources are; a tool
 *    whose name gives orders is not offered. */
#include "backend/base/clock.h"
#include "backend/compliance/compliance.h"
#include "backend/orchestrator/internal.h"
#include "backend/orchestrator/plans.h"
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

enum {
    CALLS = 6,    /* of one step */
    OFFERED = 16, /* tools */
    KNOWN = 512,  /* that are looked through */
    STEPS = 4,    /* where the node does not say */

    TOLD = 8192 /* bytes of a result that the model gets */
};

struct offered {
    char *qualified, *connector, *tool;
    bool acts;
};

struct asked {
    struct orch_candidate *candidate;
    const struct offered *of; /* NULL: there is no such tool */
    char *id, *said;          /* said: what the model is told, once it has ended */
    json_t *arguments;
    struct conn_call *call;
    struct orch_source *source;
    int64_t call_entry;
    size_t stage, at; /* at: among those of its step */
    bool ended;
};

struct orch_agent {
    char *system, *user, fence[33];
    struct offered offered[OFFERED];
    size_t offered_count;
    json_t *tools, *turns; /* as models are sent them; turns: after system and user */
    struct asked *at[CALLS];
    size_t count;
    int64_t steps, most;
};

/* ---- what is offered */

static bool fits(const char *pattern, const struct conn_tool *tool)
{
    const char *slash = strchr(pattern, '/');
    size_t len = (size_t)(slash - pattern);
    return strlen(tool->connector) == len && strncmp(tool->connector, pattern, len) == 0 &&
           fnmatch(slash + 1, tool->name, FNM_NOESCAPE) == 0;
}

static bool matches(const struct flow_node *n, const struct conn_tool *tool)
{
    for (size_t i = 0; i < n->tool_count; i++)
        if (fits(n->tools[i], tool))
            return true;
    return false;
}

/* A name that nothing fits was not known as wrong when the flow was read: its connector was not up.
 */
static void tell_missing(struct trace *t, const struct flow_node *n, const struct conn_tool *tools,
                         size_t count)
{
    for (size_t i = 0; i < n->tool_count; i++) {
        bool there = false;
        for (size_t k = 0; k < count && !there; k++)
            there = fits(n->tools[i], &tools[k]);
        if (!there)
            orch__stage_end(t, orch__stage_begin(t, "tools", n->tools[i]), "failed",
                            "no tool is named so");
    }
}

/* T6 */
static void offer(struct trace *t, struct orch_agent *a, const struct conn_tool *tool)
{
    const char *about = tool->description ? tool->description : tool->name, *steers;
    char *marked = NULL;
    if (orch__untrusted(t, "description", tool->qualified, tool->name, -1, NULL))
        return;
    steers = orch__untrusted(t, "description", tool->qualified, about, -1, &marked);
    json_t *one = json_object();
    a->offered[a->offered_count++] =
        (struct offered){xstrdup(tool->qualified), xstrdup(tool->connector), xstrdup(tool->name),
                         tool->level != CONN_READ};
    json_puts(one, "name", tool->qualified);
    json_puts(one, "description", marked ? marked : about);
    json_put(
        one, "parameters",
        orch__untrusted_data(t, "description", tool->qualified, tool->input_schema, -1, &steers));
    json_array_append_new(a->tools, one);
    free(marked);
}

struct orch_agent *orch__agent_new(struct orch_candidate *c)
{
    const struct trace *t = c->trace;
    const struct flow_node *n = c->node->as;
    if (!n->tool_count || c->model->builtin || t->recorded ||
        json_flag(json_object_get(t->doc, "risk"), "sandbox", false))
        return NULL;
    struct orch_agent *a = xcalloc(1, sizeof *a);
    struct conn_tool *tools = xcalloc(KNOWN, sizeof *tools);
    size_t all = conn_tools(t->orch->rooms.conn, tools, KNOWN);
    bool may_propose = t->orch->rooms.plans && t->user;
    a->tools = json_array();
    a->turns = json_array();
    a->most = n->steps ? n->steps : STEPS;
    vault_id(a->fence);
    for (size_t i = 0; i < all && a->offered_count < OFFERED; i++)
        if (tools[i].callable && tools[i].input_schema && matches(n, &tools[i]) &&
            (tools[i].level == CONN_READ || may_propose)) /* T1 */
            offer(c->trace, a, &tools[i]);
    tell_missing(c->trace, n, tools, all);
    free(tools);
    return a;
}

static void calls_release(struct orch_agent *a)
{
    for (size_t i = 0; i < a->count; i++) {
        free(a->at[i]->id);
        free(a->at[i]->said);
        json_decref(a->at[i]->arguments);
        free(a->at[i]);
    }
    a->count = 0;
}

void orch__agent_free(struct orch_agent *a)
{
    if (!a)
        return;
    calls_release(a);
    for (size_t i = 0; i < a->offered_count; i++) {
        free(a->offered[i].qualified);
        free(a->offered[i].connector);
        free(a->offered[i].tool);
    }
    json_decref(a->tools);
    json_decref(a->turns);
    free(a->system);
    free(a->user);
    free(a);
}

/* ---- what the model is sent */

static bool may_call(const struct orch_candidate *c)
{
    const struct orch_agent *a = c->agent;
    const json_t *u = json_object_get(c->doc, "usage");
    int64_t budget = c->node->as->token_budget;
    int64_t spent = json_int(u, "input_tokens", 0) + json_int(u, "output_tokens", 0);
    return a->offered_count && a->steps < a->most && (!budget || spent < budget);
}

void orch__agent_told(struct orch_candidate *c)
{
    struct orch_agent *a = c->agent;
    if (a->system)
        return;
    a->system = xasprintf("%s What tools answer stands between lines that hold the word %s.",
                          c->prompt.system.data, a->fence);
    a->user = xstrdup(c->prompt.user.data);
}

int64_t orch__agent_step(const struct orch_candidate *c)
{
    return c->agent ? c->agent->steps + 1 : 0;
}

size_t orch__agent_messages(struct orch_candidate *c, struct gw_request *r, struct gw_message *out,
                            size_t max)
{
    struct orch_agent *a = c->agent;
    size_t n = 0, i;
    json_t *turn;
    orch__agent_told(c);
    out[n++] = (struct gw_message){.role = "system", .content = a->system};
    out[n++] = (struct gw_message){.role = "user", .content = a->user};
    json_array_foreach(a->turns, i, turn)
    {
        if (n == max)
            break;
        out[n++] = (struct gw_message){.role = json_str(turn, "role", ""),
                                       .content = json_str(turn, "content", ""),
                                       .tool_calls = json_object_get(turn, "tool_calls"),
                                       .thinking = json_object_get(turn, "thinking"),
                                       .tool_call_id = json_str(turn, "id", NULL)};
    }
    r->messages = out;
    r->message_count = n;
    r->tools = a->offered_count ? a->tools : NULL;
    r->tool_choice = a->offered_count && !may_call(c) ? "none" : NULL; /* T4 */
    return n;
}

/* ---- the calls */

static void step_end(struct orch_candidate *c)
{
    struct orch_agent *a = c->agent;
    for (size_t i = 0; i < a->count; i++)
        if (!a->at[i]->ended)
            return;
    for (size_t i = 0; i < a->count; i++) {
        json_t *turn = json_object();
        json_puts(turn, "role", "tool");
        json_puts(turn, "id", a->at[i]->id);
        json_puts(turn, "content", a->at[i]->said);
        json_array_append_new(a->turns, turn);
    }
    calls_release(a);
    a->steps++;
    orch__run_again(c, a->steps + 1);
}

/* said is taken. */
static void call_end(struct asked *k, char *said, const char *failure)
{
    struct orch_candidate *c = k->candidate;
    k->said = said;
    k->ended = true;
    if (k->of && !k->of->acts)
        orch__stage_end(c->trace, k->stage, failure ? "failed" : "done", failure ? failure : "");
    step_end(c);
}

struct brought {
    struct asked *asked;
    struct trace *trace;
    char *text, *said;
    json_t *data;
    bool answered, ok;
};

/* T3. The caller frees. */
static char *told_of(struct asked *k, const char *text, const json_t *data, bool ok, int64_t entry)
{
    const struct orch_agent *a = k->candidate->agent;
    if (!k->source)
        return xstrdup("There is no room for more sources.");
    char *clean = pol_scrub_text(text); /* models and screens see no secrets */
    json_t *plain = data ? pol_scrub(data) : NULL;
    orch__fill_source(k->candidate->trace, k->source, clean ? clean : text, 0, plain, entry);
    json_decref(plain);
    free(clean);
    orch__withhold_begin(k->candidate->trace);
    return xasprintf("[%s] %s\n<<<%s\n%.*s\n>>>%s", k->source->id, ok ? "" : "(an error)", a->fence,
                     (int)TOLD, k->source->text, a->fence);
}

/* T3: the words of an error are its server's. The caller frees. */
static char *failed_of(struct asked *k, const char *why, int64_t entry)
{
    const struct orch_agent *a = k->candidate->agent;
    char *ref = xasprintf("%s/%s", k->of->connector, k->of->tool), *marked;
    orch__untrusted(k->candidate->trace, "tool", ref, why, entry, &marked);
    char *said = xasprintf("The call failed:\n<<<%s\n%.*s\n>>>%s", a->fence, (int)TOLD,
                           marked ? marked : why, a->fence);
    free(marked);
    free(ref);
    return said;
}

static void take_result(struct brought *b, int64_t entry)
{
    struct asked *k = b->asked;
    call_end(k, told_of(k, b->said ? b->said : b->text, b->data, b->ok, entry),
             !k->source ? "no room for more sources"
             : b->ok    ? NULL
                        : "the tool reports an error");
}

/* T5 */
static void put_place(const struct asked *k, json_t *payload)
{
    json_puts(payload, "node", k->candidate->node->as->id);
    json_puti(payload, "step", orch__agent_step(k->candidate));
    json_puti(payload, "call", (int64_t)k->at);
}

static void on_ready(void *arg, const struct orch_ready *ready)
{
    struct brought *b = arg;
    struct asked *k = b->asked;
    struct trace *t = b->trace;
    t->writes--;
    if (k && ready->error.code == ERR_OK) {
        char *actor = xasprintf("tool:%s/%s", k->of->connector, k->of->tool);
        struct orch_edges from = {.count = 0};
        orch__edge(&from, k->call_entry, "call", -1);
        int64_t entry = orch__log_ready(t, "tool.result", actor, &from, ready);
        free(actor);
        if (k->ended || t->phase != TRACE_MODELS)
            ; /* stopped meanwhile */
        else if (b->answered)
            take_result(b, entry);
        else
            call_end(k, failed_of(k, b->text, entry), b->text);
    } else if (k && !k->ended && t->phase == TRACE_MODELS) {
        orch__fail(t, &ready->error);
    }
    free(b->text);
    free(b->said);
    json_decref(b->data);
    free(b);
    orch__settle(t);
}

static void on_result(void *arg, const struct conn_result *r)
{
    struct asked *k = arg;
    struct trace *t = k->candidate->trace;
    struct brought *b = xcalloc(1, sizeof *b);
    k->call = NULL;
    *b = (struct brought){.asked = k, .trace = t, .answered = r->error.code == ERR_OK};
    b->ok = b->answered && !r->is_error;
    b->text = xasprintf("%.*s", (int)(4 * ORCH_SOURCE_BYTES),
                        b->answered ? r->text : err_words(&r->error));
    b->said = b->answered ? orch__findings_in(t->lang, r->data) : NULL;
    b->data = json_incref((json_t *)r->data);
    json_t *payload = json_object();
    json_puts(payload, "connector", k->of->connector);
    json_puts(payload, "tool", k->of->tool);
    json_put(payload, "ok", json_boolean(b->ok));
    json_puti(payload, "elapsed_us", r->elapsed_us);
    put_place(k, payload);
    if (b->answered)
        orch_put_result(payload, "content", r);
    else
        json_puts(payload, "error", b->text);
    t->writes++;
    orch_prepare(t->orch, payload, NULL, on_ready, b);
}

static void on_called(void *arg, int64_t seq, const struct error *e)
{
    struct asked *k = arg;
    struct orch_candidate *c = k->candidate;
    struct trace *t = c->trace;
    (void)seq;
    t->writes--;
    if (t->phase != TRACE_MODELS || k->ended) {
        orch__settle(t);
        return;
    }
    if (e->code != ERR_OK) {
        orch__fail(t, e);
        return;
    }
    struct error why = {0};
    struct conn_call_options options = {
        .limit_ms = (uint64_t)conf_int(t->orch->rooms.conf, "copilot", "", "tool_time_limit_ms"),
        .parent = tel_span_context(t->span)};
    k->call = conn_call(t->orch->rooms.conn, k->of->connector, k->of->tool, k->arguments, &options,
                        on_result, k, &why);
    if (!k->call)
        call_end(k, xasprintf("The call was refused: %s", err_words(&why)), err_words(&why));
    orch__settle(t);
}

/* What the log has of it (T5). */
static bool recalled(struct asked *k)
{
    struct orch_candidate *c = k->candidate;
    struct orch_result had;
    if (!orch__recall_result(c, k->at, k->of->connector, k->of->tool, k->arguments, &had))
        return false;
    k->call_entry = had.call_entry;
    k->source = orch__source_at(c->trace, had.number, "tool",
                                xasprintf("%s/%s", k->of->connector, k->of->tool));
    char *said = orch__findings_in(c->trace->lang, had.data);
    k->said = told_of(k, said ? said : had.text, had.data, had.ok, had.entry);
    k->ended = true;
    orch__stage_end(c->trace, k->stage, had.ok ? "done" : "failed", "from the log");
    free(said);
    free(had.text);
    json_decref(had.data);
    return true;
}

static void log_call(struct asked *k)
{
    struct orch_candidate *c = k->candidate;
    struct trace *t = c->trace;
    json_t *payload = json_object();
    struct orch_edges from = {.count = 0};
    char *ref = xasprintf("%s/%s", k->of->connector, k->of->tool);
    char *actor = xasprintf("model:%s", c->model->name);
    json_puts(payload, "connector", k->of->connector);
    json_puts(payload, "tool", k->of->tool);
    json_put(payload, "arguments", json_incref(k->arguments));
    json_puts(payload, "why", "the model asked for it");
    put_place(k, payload);
    orch__edge(&from, t->question_entry, "plan", -1);
    orch__edge(&from, c->output_entry, "request", -1);
    k->stage = orch__stage_begin(t, "tools", ref);
    if (recalled(k)) {
        free(ref);
        free(actor);
        json_decref(payload);
        return;
    }
    k->source = orch__source_new(t, "tool", ref); /* takes ref */
    if (k->source)
        json_puti(payload, "source", (int64_t)(k->source - t->sources) + 1);
    t->writes++;
    k->call_entry = orch__log(t, "tool.call", actor, &from, payload, on_called, k, NULL, NULL);
    free(actor);
}

/* T1: nothing is done, whatever the model says. */
static char *propose(struct asked *k)
{
    struct trace *t = k->candidate->trace;
    if (json_object_get(t->doc, "plan") || t->proposing)
        return xstrdup("Nothing was done: one plan was proposed for this question already.");
    if (!orch__propose(t, k->of->connector, k->of->tool, k->arguments))
        return xstrdup("Nothing was done: the arguments do not fit the tool's schema.");
    return xstrdup("Nothing was done: this changes something. A plan was proposed, and waits for "
                   "people to approve it. Say so.");
}

static const struct offered *find(const struct orch_agent *a, const char *name)
{
    for (size_t i = 0; i < a->offered_count; i++)
        if (strcmp(a->offered[i].qualified, name) == 0)
            return &a->offered[i];
    return NULL;
}

bool orch__agent_wants(const struct orch_candidate *c, const struct gw_result *r)
{
    return c->agent && r->error.code == ERR_OK && json_array_size(r->tool_calls) && may_call(c);
}

void orch__agent_calls(struct orch_candidate *c, const struct gw_result *r)
{
    struct orch_agent *a = c->agent;
    json_t *turn = json_object(), *calls = json_array(), *one;
    size_t i;
    json_array_foreach(r->tool_calls, i, one)
    {
        if (a->count == CALLS)
            break;
        struct asked *k = a->at[a->count] = xcalloc(1, sizeof *k);
        k->at = a->count++;
        json_t *arguments = json_object_get(one, "arguments");
        k->candidate = c;
        k->id = xstrdup(json_str(one, "id", ""));
        k->of = find(a, json_str(one, "name", ""));
        k->arguments = json_is_object(arguments) ? json_deep_copy(arguments) : json_object();
        json_array_append(calls, one);
    }
    json_puts(turn, "role", "assistant");
    json_put(turn, "content", json_text(r->text, strlen(r->text)));
    json_put(turn, "tool_calls", calls);
    if (r->thinking)
        json_put(turn, "thinking", json_deep_copy(r->thinking));
    json_array_append_new(a->turns, turn);
    for (i = 0; i < a->count; i++) { /* those that end at once do so behind the others */
        struct asked *k = a->at[i];
        if (k->of && !k->of->acts)
            log_call(k);
    }
    for (i = 0; i < a->count; i++) {
        struct asked *k = a->at[i];
        if (k->of && !k->of->acts)
            continue;
        k->said = k->of ? propose(k) : xstrdup("There is no such tool here.");
        k->ended = true;
    }
    step_end(c);
}

void orch__agent_cancel(struct orch_candidate *c)
{
    struct orch_agent *a = c->agent;
    for (size_t i = 0; a && i < a->count; i++) {
        struct asked *k = a->at[i];
        if (k->call)
            conn_cancel(k->call);
        k->call = NULL;
        if (!k->ended)
            orch__stage_end(c->trace, k->stage, "failed", "stopped");
        k->ended = true;
    }
}
