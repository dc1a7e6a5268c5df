/* Runs a trace by its flow, from the moment when the tools and runbooks were asked until one answer
 * is there. What a node does is in other files: a model's call in candidates.c, the meeting of two
 * answers in critique.c, what judges in judge.c.
 *
 * N1 A node begins at most once, when its join is satisfied; a model's call is durable before.
 * N2 An edge is decided once, when the node that it leads from has ended; `path` of the document
 * has those that were taken, with the variables as they were then. N3 Steps are made in one place
 * (orch__engine_step), never from inside one another. N4 Where the end is not reached, because what
 * led to it failed or was late, the best answer there is ends the trace (AR-3); it fails only
 * without any. N5 A call that nothing waits for any more is cancelled, and what it cost is counted.
 * N6 One set of answers is compared at a time: comparisons, critiques and votes wait for each
 * other.
 */
#include "backend/base/clock.h"
#include "backend/orchestrator/internal.h"
#include <stdlib.h>
#include <string.h>

static int64_t since(const struct trace *t)
{
    return (int64_t)(clock_mono_ms() - t->started_ms);
}

/* ---- the document */

static const char *state_name(const struct orch_node *n)
{
    static const char *const NAMES[] = {"waiting", "running", "done",
                                        "failed",  "skipped", "cancelled"};
    return NAMES[n->state];
}

static int64_t tokens_of(const struct orch_candidate *c)
{
    const json_t *u = c ? json_object_get(c->doc, "usage") : NULL;
    return json_int(u, "input_tokens", 0) + json_int(u, "output_tokens", 0);
}

static void tell_node(struct orch_node *n, const char *note)
{
    json_t *d = n->doc;
    json_puts(d, "state", state_name(n));
    if (n->run) {
        json_puts(d, "model", n->run->model->name);
        json_puti(d, "tokens", tokens_of(n->run));
        json_put(d, "cost", json_deep_copy(json_object_get(n->run->doc, "cost")));
        json_puti(d, "entry",
                  n->run->output_entry >= 0 ? n->run->output_entry : n->run->call_entry);
    }
    if (n->state >= NODE_DONE && n->began_ms)
        json_puti(d, "elapsed_ms", (int64_t)(clock_mono_ms() - n->began_ms));
    if (note) {
        json_puts(d, "note", note);
        json_object_del(d, "note_words");
    }
    n->trace->changed = true;
}

/* All edges as the flow has them now: its file may be another one later. */
static json_t *edges_of(const struct flow *f)
{
    json_t *edges = json_array();
    for (size_t i = 0; i < f->edge_count; i++) {
        const struct flow_edge *e = &f->edges[i];
        json_t *edge = json_object();
        json_puts(edge, "from", f->nodes[e->from].id);
        json_puts(edge, "to", f->nodes[e->to].id);
        json_puts(edge, "when", e->when ? e->when : "");
        json_array_append_new(edges, edge);
    }
    return edges;
}

void orch__engine_begin(struct trace *t)
{
    json_t *nodes = json_array();
    t->node_count = t->flow->node_count;
    for (size_t i = 0; i < t->node_count; i++) {
        struct orch_node *n = &t->nodes[i];
        *n = (struct orch_node){.trace = t, .as = &t->flow->nodes[i], .doc = json_object()};
        json_puts(n->doc, "id", n->as->id);
        json_puts(n->doc, "kind", flow_kind_name(n->as->kind));
        json_puts(n->doc, "role",
                  n->as->kind == FLOW_MODEL || n->as->kind == FLOW_VERIFY ||
                          n->as->kind == FLOW_GUARD
                      ? n->as->role
                      : "");
        json_puts(n->doc, "model", "");
        json_puts(n->doc, "state", "waiting");
        json_put(n->doc, "began_ms", json_null());
        json_put(n->doc, "elapsed_ms", json_null());
        json_puti(n->doc, "tokens", 0);
        json_put(n->doc, "cost", json_null());
        json_put(n->doc, "entry", json_null());
        json_puts(n->doc, "note", "");
        json_array_append_new(nodes, n->doc);
        if (n->as->kind == FLOW_LOOK) {
            n->state = NODE_RUNNING;
            n->began_ms = t->started_ms;
            json_puts(n->doc, "state", "running");
            json_puti(n->doc, "began_ms", 0);
        }
    }
    json_put(t->doc, "nodes", nodes);
    json_put(t->doc, "edges", edges_of(t->flow));
    json_put(t->doc, "path", json_array());
    orch__variable(t, VAR_EXCHANGES, t->exchanges);
}

void orch__variable(struct trace *t, enum condition_variable v, double value)
{
    t->values.known[v] = true;
    t->values.number[v] = value;
}

void orch__verdict_is(struct trace *t, const char *word)
{
    t->values.known[VAR_VERDICT] = true;
    t->values.text[VAR_VERDICT] = word;
}

static void refresh(struct trace *t)
{
    int64_t tokens = 0;
    for (size_t i = 0; i < t->candidate_count; i++)
        tokens += tokens_of(&t->candidates[i]);
    orch__variable(t, VAR_TOKENS, (double)tokens);
    orch__variable(t, VAR_ELAPSED_MS, (double)since(t));
}

/* ---- edges */

static void take(struct trace *t, size_t at)
{
    const struct flow_edge *e = &t->flow->edges[at];
    json_t *step = json_object(), *values = json_object();
    t->edges[at] = EDGE_TAKEN;
    json_puts(step, "from", t->nodes[e->from].as->id);
    json_puts(step, "to", t->nodes[e->to].as->id);
    json_puts(step, "when", e->when ? e->when : "");
    for (int i = 0; i < VAR_COUNT; i++) {
        if (!t->values.known[i])
            continue;
        if (condition_is_text((enum condition_variable)i))
            json_puts(values, condition_name((enum condition_variable)i), t->values.text[i]);
        else
            json_put(values, condition_name((enum condition_variable)i),
                     json_real(t->values.number[i]));
    }
    json_put(step, "values", values);
    json_array_append_new(json_object_get(t->doc, "path"), step);
}

/* N2. Nothing leads on from a node that was not done. */
static void decide(struct orch_node *n)
{
    struct trace *t = n->trace;
    size_t self = (size_t)(n - t->nodes);
    bool some = false;
    refresh(t);
    for (size_t i = 0; i < t->flow->edge_count; i++) {
        const struct flow_edge *e = &t->flow->edges[i];
        if (e->from != self || e->otherwise)
            continue;
        if (n->state != NODE_DONE ||
            (e->condition && condition_holds(e->condition, &t->values) != 1)) {
            t->edges[i] = EDGE_NOT;
            continue;
        }
        some = some || e->condition;
        take(t, i);
    }
    for (size_t i = 0; i < t->flow->edge_count; i++) {
        const struct flow_edge *e = &t->flow->edges[i];
        if (e->from != self || !e->otherwise)
            continue;
        if (n->state == NODE_DONE && !some)
            take(t, i);
        else
            t->edges[i] = EDGE_NOT;
    }
}

void orch__node_end(struct orch_node *n, int state, const char *note)
{
    n->state = state;
    tell_node(n, note);
    decide(n);
}

void orch__node_ends(struct orch_node *n, int state, json_t *sentences)
{
    say_put(n->doc, "note", sentences);
    orch__node_end(n, state, NULL);
}

static void counts(const struct orch_node *n, size_t *pending, size_t *taken)
{
    const struct trace *t = n->trace;
    *pending = *taken = 0;
    for (size_t i = 0; i < t->flow->edge_count; i++) {
        if (t->flow->edges[i].to != (size_t)(n - t->nodes))
            continue;
        *pending += t->edges[i] == EDGE_PENDING;
        *taken += t->edges[i] == EDGE_TAKEN;
    }
}

size_t orch__node_inputs(const struct orch_node *n, struct orch_node *out[FLOW_NODES])
{
    struct trace *t = n->trace;
    size_t count = 0;
    for (size_t i = 0; i < t->flow->edge_count; i++)
        if (t->edges[i] == EDGE_TAKEN && &t->nodes[t->flow->edges[i].to] == n)
            out[count++] = &t->nodes[t->flow->edges[i].from];
    return count;
}

static void add_answer(struct orch_candidate *c, struct orch_candidate **out, size_t *count)
{
    for (size_t i = 0; i < *count; i++)
        if (out[i] == c)
            return;
    if (c && *count < FLOW_NODES)
        out[(*count)++] = c;
}

/* A vote that another vote leads to counts that one's answers too. */
size_t orch__node_answers(const struct orch_node *n, struct orch_candidate *out[FLOW_NODES])
{
    struct orch_node *from[FLOW_NODES];
    size_t inputs = orch__node_inputs(n, from), count = 0;
    for (size_t i = 0; i < inputs; i++) {
        struct orch_candidate *inner[FLOW_NODES];
        bool votes = n->as->kind == FLOW_VOTE && from[i]->as->kind == FLOW_VOTE;
        size_t more = votes ? orch__node_answers(from[i], inner) : 0;
        for (size_t j = 0; j < more; j++)
            add_answer(inner[j], out, &count);
        if (!votes)
            add_answer(from[i]->carries, out, &count);
    }
    return count;
}

/* ---- nodes */

static void start(struct orch_node *n)
{
    struct trace *t = n->trace;
    n->state = NODE_RUNNING;
    n->began_ms = clock_mono_ms();
    json_puti(n->doc, "began_ms", since(t));
    json_puts(n->doc, "state", "running");
    switch (n->as->kind) {
    case FLOW_MODEL:
        orch__run_start(n);
        break;
    case FLOW_COMPARE:
        orch__compare(n);
        break;
    case FLOW_CRITIQUE:
        orch__critique_start(n);
        break;
    case FLOW_VOTE:
        orch__vote(n, true);
        break;
    case FLOW_VERIFY:
    case FLOW_GUARD:
        orch__judge_start(n);
        break;
    default:
        break;
    }
}

/* The node whose text the end is given: what is judged or compared on its way stays the same. */
static void reach_end(struct orch_node *n)
{
    struct orch_candidate *answers[FLOW_NODES];
    struct trace *t = n->trace;
    size_t count = orch__node_answers(n, answers);
    n->state = NODE_RUNNING;
    n->began_ms = clock_mono_ms();
    json_puti(n->doc, "began_ms", since(t));
    if (!count)
        return; /* N4 */
    n->carries = answers[0];
    orch__node_end(n, NODE_DONE, n->carries->model->name);
    t->final = n->carries;
}

/* What is compared is one set at a time: who judges waits for those who do. */
static bool must_wait(const struct orch_node *n)
{
    bool compares =
        n->as->kind == FLOW_COMPARE || n->as->kind == FLOW_CRITIQUE || n->as->kind == FLOW_VOTE;
    return compares && (n->trace->critiquing || n->trace->near.under_way);
}

/* True if anything has changed. */
static bool look_at(struct orch_node *n)
{
    size_t pending, taken;
    if (n->state == NODE_RUNNING && n->as->kind == FLOW_VOTE)
        return !must_wait(n) && orch__vote(n, false);
    if (n->state != NODE_WAITING)
        return false;
    counts(n, &pending, &taken);
    if (!taken && !pending) {
        orch__node_end(n, NODE_SKIPPED, NULL);
        return true;
    }
    if ((n->as->kind != FLOW_END && n->as->join != FLOW_ALL ? !taken : pending) || must_wait(n))
        return false;
    if (n->as->kind == FLOW_END)
        reach_end(n);
    else
        start(n);
    return true;
}

/* Does anything still wait for this node? */
static bool needed(const struct orch_node *n)
{
    const struct trace *t = n->trace;
    for (size_t i = 0; i < t->flow->edge_count; i++) {
        const struct flow_edge *e = &t->flow->edges[i];
        const struct orch_node *to = &t->nodes[e->to];
        if (&t->nodes[e->from] != n)
            continue;
        bool late =
            to->state != NODE_WAITING && (to->as->join == FLOW_FIRST ||
                                          (to->as->kind == FLOW_VOTE && to->state != NODE_RUNNING));
        if (!late && (to->state == NODE_WAITING || to->as->join != FLOW_ALL))
            return true;
    }
    return false;
}

/* N5 */
static bool cancel_unneeded(struct trace *t)
{
    bool moved = false;
    for (size_t i = t->node_count; i-- > 0;) {
        struct orch_node *n = &t->nodes[i];
        if (n->state > NODE_RUNNING || n->as->kind == FLOW_END || n->as->kind == FLOW_LOOK ||
            needed(n))
            continue;
        if (n->run && n->state == NODE_RUNNING)
            orch__run_cancel(n->run, "not needed any more");
        orch__critique_cancel(n);
        if (n->state <= NODE_RUNNING)
            orch__node_end(n, NODE_CANCELLED, "not needed any more");
        moved = true;
    }
    return moved;
}

static bool is_running(const struct trace *t)
{
    for (size_t i = 0; i < t->node_count; i++)
        if (t->nodes[i].state == NODE_RUNNING && t->nodes[i].as->kind != FLOW_END)
            return true;
    return false;
}

/* N4: what was compared last, else what was written last, by whoever writes answers. */
static struct orch_candidate *best_there_is(struct trace *t)
{
    struct orch_candidate *best = NULL;
    if (t->verdict.winner >= 0)
        return &t->candidates[t->verdict.winner];
    for (size_t i = 0; i < t->candidate_count; i++) {
        struct orch_candidate *c = &t->candidates[i];
        if (c->state == CAND_DONE && c->node->as->kind == FLOW_MODEL &&
            strcmp(c->node->as->role, "critic") != 0)
            best = c;
    }
    return best;
}

static void finish(struct trace *t)
{
    bool moved = true;
    while (moved)
        moved = cancel_unneeded(t);
    for (size_t i = 0; i < t->node_count; i++) {
        struct orch_node *n = &t->nodes[i];
        if (n->state == NODE_RUNNING && n->run)
            orch__run_cancel(n->run, "not needed any more");
        if (n->state <= NODE_RUNNING)
            orch__node_end(n, n->state == NODE_RUNNING ? NODE_CANCELLED : NODE_SKIPPED, NULL);
    }
    t->final = t->final ? t->final : best_there_is(t);
    orch__final(t);
    orch__conclude(t);
}

void orch__engine_step(struct trace *t)
{
    bool moved = true;
    if (t->stepping || t->phase != TRACE_MODELS)
        return;
    t->stepping = true;
    while (moved && !t->final && t->phase == TRACE_MODELS) {
        moved = false;
        for (size_t i = 0; i < t->node_count && !t->final && t->phase == TRACE_MODELS; i++)
            moved |= look_at(&t->nodes[i]);
        if (!t->final && t->phase == TRACE_MODELS)
            moved |= cancel_unneeded(t);
    }
    if (t->phase == TRACE_MODELS && (t->final || !is_running(t)))
        finish(t);
    t->stepping = false;
    if (t->changed)
        orch__tell(t, "turn");
    t->changed = false;
}

void orch__run_over(struct orch_candidate *c, const char *note)
{
    struct orch_node *n = c->node;
    if (n->state != NODE_RUNNING)
        return;
    if (n->as->kind != FLOW_MODEL) {
        orch__judge_end(n);
    } else if (c->state == CAND_DONE) {
        n->carries = c;
        orch__node_end(n, NODE_DONE, note);
    } else {
        bool cut = c->state == CAND_DROPPED || c->state == CAND_STOPPED;
        orch__node_end(n, cut ? NODE_CANCELLED : NODE_FAILED, note);
    }
}

/* O2, O4: whoever is late is dropped; what needs no model goes on. */
static void on_time_limit(void *arg)
{
    struct trace *t = arg;
    if (t->phase != TRACE_MODELS)
        return;
    t->late = true;
    t->stepping = true;
    orch__models_cancel(t, CAND_DROPPED);
    orch__near_give_up(t);
    if (t->critiquing)
        orch__critiques_end(t);
    t->stepping = false;
    orch__engine_step(t);
    orch__settle(t);
}

/* Those that were chosen, pools as the models that they give for this question. False with *e: none
 * can be asked. */
static bool resolve(struct trace *t, struct error *e)
{
    enum { PROMPT_TOKENS = 400 }; /* of instructions around question and sources */
    const struct orch *o = t->orch;
    const char *regions = conf_str(o->rooms.conf, "copilot", "", "regions");
    t->need = (struct gw_need){.input_tokens = PROMPT_TOKENS + gw_estimate_tokens(t->question),
                               .output_tokens =
                                   conf_int(o->rooms.conf, "copilot", "", "max_output_tokens"),
                               .regions = *regions ? regions : NULL,
                               .taken = t->models};
    t->need.risk = orch__question_risk(t, &t->risk);
    orch__variable(t, VAR_RISK, t->need.risk);
    if (t->by_risk)
        orch__flow_by_risk(t);
    orch__withhold_begin(t);
    for (size_t i = 0; i < t->source_count; i++)
        if (t->sources[i].text)
            t->need.input_tokens += gw_estimate_tokens(t->sources[i].text);
    for (size_t i = 0; i < t->chosen_count; i++) {
        const struct gw_model *m = orch__route(t, t->chosen[i], &t->routes[t->need.taken_count], e);
        if (m)
            t->models[t->need.taken_count++] = m;
    }
    return t->need.taken_count > 0 || !t->flow->models; /* it may name all of them itself */
}

const struct gw_model *orch__route(struct trace *t, const char *name, json_t **why, struct error *e)
{
    json_decref(*why);
    const struct gw_model *m = gw_route(t->orch->rooms.gw, name, &t->need, why, e);
    if (*why)
        json_put(*why, "features", json_incref(json_object_get(t->risk, "features")));
    return m;
}

static uint64_t time_limit(const struct trace *t)
{
    uint64_t all = (uint64_t)conf_int(t->orch->rooms.conf, "copilot", "", "time_limit_ms");
    uint64_t own = (uint64_t)t->flow->time_ms;
    return own && own < all ? own : all;
}

/* What was looked through, for the node that looked. */
static json_t *looked_at(const struct trace *t)
{
    struct buf tools = {0};
    json_t *all = NULL;
    for (size_t i = 0; i < t->tool_count; i++)
        buf_addf(&tools, "%s%s/%s", i ? ", " : "", t->tools[i].connector, t->tools[i].tool);
    if (tools.len)
        all = say(all, SAY_TEXT, "s", tools.data);
    buf_release(&tools);
    return say(all, SAY_RUNBOOKS, "n", know_documents(orch__know(t)));
}

void orch__engine_start(struct trace *t)
{
    struct error none = {0};
    t->phase = TRACE_MODELS;
    if (!resolve(t, &none)) {
        orch__fail(t, &none);
        return;
    }
    t->timer = loop_timer_new(t->orch->rooms.loop, on_time_limit, t);
    loop_timer_start(t->timer, time_limit(t), 0);
    for (size_t i = 0; i < t->node_count; i++)
        if (t->nodes[i].as->kind == FLOW_LOOK)
            orch__node_ends(&t->nodes[i], NODE_DONE, looked_at(t));
    orch__engine_step(t);
}

void orch__engine_abandon(struct trace *t)
{
    orch__embed_cancel(&t->near);
    for (size_t i = 0; i < t->node_count; i++) {
        struct orch_node *n = &t->nodes[i];
        if (n->state > NODE_RUNNING)
            continue;
        n->state = n->state == NODE_RUNNING ? NODE_CANCELLED : NODE_SKIPPED;
        tell_node(n, NULL);
    }
}
