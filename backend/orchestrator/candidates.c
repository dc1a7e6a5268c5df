/* The model calls of a trace: a run for each node of the flow in which a model speaks. What becomes
 * of what they wrote is the flow's (engine.c). */
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "backend/compliance/compliance.h"
#include "backend/gateway/fit.h"
#include "backend/orchestrator/internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *orch__state_name(int state)
{
    static const char *const NAMES[] = {"waiting", "running", "done",   "failed",
                                        "dropped", "stopped", "blocked"};
    return NAMES[state];
}

/* ---- what a model is sent */

/* How well a source fits; below 0: the model is not given it. whole: also what the other way of
 * looking brought. */
static double fit_for(const struct orch_candidate *c, const struct orch_source *s, bool whole)
{
    if (!s->text)
        return -1;
    return c->model->builtin && !whole ? s->fit[c->way]
           : s->fit[0] > s->fit[1]     ? s->fit[0]
                                       : s->fit[1];
}

static size_t sources_for(const struct orch_candidate *c, bool whole, struct gw_source *out)
{
    struct trace *t = c->trace;
    size_t n = 0;
    for (size_t i = 0; i < t->source_count; i++) {
        struct orch_source *s = &t->sources[i];
        double fit = fit_for(c, s, whole);
        if (fit < 0)
            continue;
        out[n++] = (struct gw_source){s->id, s->kind, s->ref, s->text, s->data, fit};
    }
    return n;
}

void orch__grounds(const struct orch_candidate *c, bool whole, struct orch_edges *to)
{
    const struct trace *t = c->trace;
    orch__edge(to, t->question_entry, "ask", -1);
    for (size_t i = 0; i < t->source_count; i++) {
        const struct orch_source *s = &t->sources[i];
        double fit = fit_for(c, s, whole);
        if (fit >= 0 && strcmp(s->kind, "tool") == 0)
            orch__edge(to, s->entry, "ground", fit);
    }
    for (size_t i = 0; i < t->retrieval_count; i++)
        if (whole || !c->model->builtin || t->retrievals[i].way == c->way)
            orch__edge(to, t->retrievals[i].entry, "ground", t->retrievals[i].fit);
    if (c->model->builtin)
        return;
    json_t *turns = orch__earlier(t), *turn;
    size_t i;
    json_array_foreach(turns, i, turn)
        orch__edge(to, orch__turn_entry(t, turn, "answer"), "recall", -1);
    json_decref(turns);
}

static void fill_usage(struct orch_candidate *c, const struct gw_usage *u, const char *key)
{
    json_t *usage = json_object();
    json_puti(usage, "input_tokens", u->input_tokens);
    json_puti(usage, "output_tokens", u->output_tokens);
    json_puti(usage, "cached_tokens", u->cached_tokens);
    json_puti(usage, "reasoning_tokens", u->reasoning_tokens);
    json_put(usage, "estimated", json_boolean(u->estimated));
    json_put(c->doc, key, usage);
}

void orch__add_usage(struct orch_candidate *c, const struct gw_spent *spent)
{
    const json_t *before = json_object_get(c->doc, "usage");
    struct gw_usage sum = gw_spent_usage(spent);
    if (json_is_object(before)) {
        sum.input_tokens += json_int(before, "input_tokens", 0);
        sum.output_tokens += json_int(before, "output_tokens", 0);
        sum.cached_tokens += json_int(before, "cached_tokens", 0);
        sum.reasoning_tokens += json_int(before, "reasoning_tokens", 0);
        sum.estimated = sum.estimated || json_flag(before, "estimated", false);
    }
    fill_usage(c, &sum, "usage");
    orch__spent_money(c->trace->orch->rooms.cost, spent, &c->money);
    json_put(c->doc, "cost", orch__money_json(&c->money));
}

static json_t *attempts_json(const struct gw_spent *spent)
{
    json_t *list = json_array();
    for (size_t i = 0; i < spent->count; i++) {
        const struct gw_attempt *a = &spent->at[i];
        json_t *one = json_object();
        json_puts(one, "model", a->model->name);
        json_puts(one, "outcome", a->outcome);
        json_puts(one, "error", a->code ? err_name(a->code) : "");
        json_puti(one, "input_tokens", a->usage.input_tokens);
        json_puti(one, "output_tokens", a->usage.output_tokens);
        json_puti(one, "elapsed_ms", a->elapsed_ms);
        json_array_append_new(list, one);
    }
    return list;
}

void orch__log_output(struct orch_candidate *c, const char *type, const char *text,
                      const struct gw_spent *spent, const char *outcome, const char *reason,
                      int64_t elapsed_ms, int64_t first_token_ms)
{
    struct trace *t = c->trace;
    struct gw_usage u = gw_spent_usage(spent);
    json_t *payload = json_object(), *usage = json_object();
    json_puts(payload, "model", c->model->name);
    json_puts(payload, "node", c->node->as->id);
    json_put(payload, "text", json_text(text, strlen(text)));
    json_puts(payload, "outcome", outcome);
    json_puts(payload, "finish_reason", reason);
    if (c->truncated)
        json_puts(payload, "truncated", c->truncated);
    if (c->agent && strcmp(type, "model.output") == 0)
        json_puti(payload, "step", orch__agent_step(c));
    if (c->calls)
        json_put(payload, "tool_calls", json_deep_copy(c->calls));
    if (c->calls && c->thinking)
        json_put(payload, "thinking", json_deep_copy(c->thinking));
    json_puti(usage, "input_tokens", u.input_tokens);
    json_puti(usage, "output_tokens", u.output_tokens);
    json_puti(usage, "cached_tokens", u.cached_tokens);
    json_puti(usage, "reasoning_tokens", u.reasoning_tokens);
    json_put(usage, "estimated", json_boolean(u.estimated));
    json_put(payload, "usage", usage);
    if (json_object_get(c->doc, "answered_by"))
        json_puts(payload, "answered_by", json_str(c->doc, "answered_by", ""));
    if (spent->count > 1)
        json_put(payload, "attempts", attempts_json(spent));
    json_puti(payload, "elapsed_ms", elapsed_ms);
    json_puti(payload, "first_token_ms", first_token_ms);
    const struct orch_payer payer = {.cost = t->orch->rooms.cost,
                                     .trace_id = t->id,
                                     .session = prov_session(t->orch->rooms.prov),
                                     .project =
                                         conf_str(t->orch->rooms.conf, "console", "", "project"),
                                     .flow = strcmp(type, "critique") == 0 ? "critique" : "answer",
                                     .model = c->model,
                                     .entry = c->call_entry};
    char *actor = xasprintf("model:%s", c->model->name);
    struct orch_edges from = {.count = 0};
    orch__edge(&from, c->call_entry, "generate", -1);
    c->output_entry =
        orch__log_spent(t, type, actor, &from, payload, orch_spent_new(spent, &payer, outcome));
    free(actor);
}

/* ---- first answers */

static void candidate_end(struct orch_candidate *c, int state, const char *note)
{
    c->state = state;
    if (state != CAND_DONE)
        orch__stream_cut(c);
    if (state != CAND_DONE)
        orch__check_part(c);
    orch__candidate_doc(c, orch__state_name(state));
    json_puts(c->doc, "error", state == CAND_DONE ? "" : note);
    orch__stage_end(c->trace, c->stage, state == CAND_DONE ? "done" : "failed", note);
    orch__run_over(c, note);
}

static void on_delta(void *arg, const char *text, size_t len)
{
    struct orch_candidate *c = arg;
    buf_add(&c->text, text, len);
    orch__stream(c, len);
    orch__pace(c);
}

static void models_ended(struct trace *t)
{
    orch__engine_step(t);
    orch__settle(t);
}

static void on_answer_checked(struct orch_check *k, bool blocked)
{
    struct orch_candidate *c = k->candidate;
    if (blocked) {
        buf_clear(&c->text);
        candidate_end(c, CAND_BLOCKED, k->words);
    } else {
        const char *other = json_str(c->doc, "answered_by", NULL);
        candidate_end(c, CAND_DONE, "");
        if (other)
            say_put(c->node->doc, "note", say(NULL, SAY_STOOD_IN, "s", other));
    }
    models_ended(c->trace);
}

static void check_answer(struct orch_candidate *c)
{
    c->state = CAND_RUNNING;
    c->check = (struct orch_check){.trace = c->trace,
                                   .candidate = c,
                                   .of = "answer",
                                   .subject = c->output_entry,
                                   .then = on_answer_checked};
    orch__check(&c->check, c->text.data);
}

void orch__note_truncated(struct orch_candidate *c, const struct gw_result *r)
{
    bool cut = r->error.code == ERR_OK && strcmp(r->finish_reason, "length") == 0;
    c->truncated = !cut ? NULL : r->over_budget ? "over_budget" : "length";
}

static void on_model_done(void *arg, const struct gw_result *r)
{
    struct orch_candidate *c = arg;
    struct trace *t = c->trace;
    c->call = NULL;
    char *clean = pol_scrub_text(r->text);
    buf_clear(&c->text);
    buf_adds(&c->text, clean ? clean : r->text);
    free(clean);
    orch__add_usage(c, r->spent);
    json_puti(c->doc, "elapsed_ms", r->elapsed_ms);
    json_puti(c->doc, "first_token_ms", r->first_token_ms);
    json_puti(c->doc, "tries", (int64_t)r->spent->count);
    if (r->model != c->model)
        json_puts(c->doc, "answered_by", r->model->name);
    orch__note_truncated(c, r);
    if (c->truncated)
        json_puts(c->doc, "truncated", c->truncated);
    bool wants = orch__agent_wants(c, r), ok = r->error.code == ERR_OK && (r->text[0] || wants);
    c->calls = wants ? r->tool_calls : NULL;
    c->thinking = wants ? r->thinking : NULL;
    orch__log_output(c, "model.output", r->text, r->spent, ok ? "ok" : "error", r->finish_reason,
                     r->elapsed_ms, r->first_token_ms);
    c->text_entry = c->output_entry;
    c->calls = c->thinking = NULL;
    if (wants) {
        orch__agent_calls(c, r);
        orch__settle(t);
        return;
    }
    if (ok) {
        check_answer(c);
        return;
    }
    candidate_end(c, CAND_FAILED,
                  r->error.code == ERR_OK ? "the model answered nothing" : err_words(&r->error));
    models_ended(t);
}

static const struct gw_ops MODEL_OPS = {.delta = on_delta, .done = on_model_done};

/* A stand-in for whose budget the prompt is too much gets its own. */
static json_t *fit_stand_ins(struct orch_candidate *c, const struct gw_source *sources, size_t n,
                             const char *mine, const char *other)
{
    const struct orch_rooms *rooms = &c->trace->orch->rooms;
    const struct gw_model *all[GW_STAND_INS];
    const struct gw_request r = {.messages = c->prompt.messages,
                                 .message_count = c->prompt.count,
                                 .max_output_tokens =
                                     conf_int(rooms->conf, "copilot", "", "max_output_tokens")};
    json_t *budgets = json_object();
    size_t count = gw_stand_ins(rooms->gw, c->model->name, all, GW_STAND_INS);
    for (size_t i = 0; i < count; i++) {
        if (!gw_has_room(rooms->gw, all[i]->name, &r))
            json_put(
                budgets, all[i]->name,
                orch__messages(c, all[i], sources, n, mine, other, &c->stand_in[c->stand_ins++]));
    }
    return budgets;
}

/* What stands for texts that had no room as a whole gets an entry, so that the lineage leads from
 * the call through that to them; it holds no text, only which bytes were kept. */
static void log_summary(struct orch_candidate *c, const char *model, json_t *budget,
                        struct orch_edges *to)
{
    static const char *const MOVED[] = {"entry", "sha256", "kept", "sent"};
    static const char *const WHOLE[] = {"budget", "before", "after"};
    struct orch_edges from = {.count = 0};
    json_t *payload = json_object(), *parts = json_array(), *row;
    size_t i;
    orch__edge(&from, c->trace->question_entry, "fit", -1);
    json_array_foreach(json_object_get(budget, "parts"), i, row)
    {
        if (!json_object_get(row, "kept"))
            continue;
        orch__edge(&from, json_int(row, "entry", -1), "summarise",
                   json_num(row, "after", 0) / fmax(1, json_num(row, "before", 0)));
        json_array_append_new(parts, json_copy(row));
        for (size_t k = 0; k < sizeof MOVED / sizeof *MOVED; k++)
            json_object_del(row, MOVED[k]);
    }
    if (!json_array_size(parts)) {
        json_decref(payload);
        json_decref(parts);
        return;
    }
    json_puts(payload, "model", model);
    for (i = 0; i < sizeof WHOLE / sizeof *WHOLE; i++)
        json_put(payload, WHOLE[i], json_incref(json_object_get(budget, WHOLE[i])));
    json_put(payload, "parts", parts);
    double share = json_num(budget, "after", 0) / fmax(1, json_num(budget, "before", 0));
    int64_t seq = orch__log(c->trace, "summary", "backend", &from, payload, NULL, NULL, NULL, NULL);
    orch__edge(to, seq, "ground", share);
}

json_t *orch__prompt_make(struct orch_candidate *c, enum gw_task task, const char *mine,
                          const char *other, struct orch_edges *from)
{
    struct gw_source sources[ORCH_SOURCES];
    orch__prompts_release(c);
    if (c->model->builtin)
        return NULL;
    size_t n = sources_for(c, task != GW_ANSWER, sources);
    json_t *budget = orch__messages(c, c->model, sources, n, mine, other, &c->prompt);
    json_t *others = fit_stand_ins(c, sources, n, mine, other);
    const char *name;
    json_t *one;
    log_summary(c, c->model->name, budget, from);
    json_object_foreach(others, name, one) log_summary(c, name, one, from);
    if (budget && json_object_size(others))
        json_put(budget, "stand_ins", json_incref(others));
    json_decref(others);
    return budget;
}

/* Sources that were shortened are told of with the answer. */
static void tell_fitted(struct orch_candidate *c, const json_t *budget)
{
    static const char *const FIGURES[] = {"before", "after", "dropped"};
    if (json_int(budget, "dropped", 0) <= 0)
        return;
    json_t *fitted = json_object();
    for (size_t i = 0; i < sizeof FIGURES / sizeof *FIGURES; i++)
        json_puti(fitted, FIGURES[i], json_int(budget, FIGURES[i], 0));
    json_put(c->doc, "fitted", fitted);
}

static void prompt_release(struct orch_prompt *p)
{
    buf_release(&p->system);
    buf_release(&p->user);
    *p = (struct orch_prompt){.count = 0};
}

void orch__prompts_release(struct orch_candidate *c)
{
    prompt_release(&c->prompt);
    while (c->stand_ins)
        prompt_release(&c->stand_in[--c->stand_ins]);
}

/* Starts one gateway call for a candidate; another task than GW_ANSWER with mine and other. */
struct gw_call *orch__call_model(struct orch_candidate *c, enum gw_task task, const char *mine,
                                 const char *other, const struct gw_ops *ops, struct error *e)
{
    struct trace *t = c->trace;
    struct gw_source sources[ORCH_SOURCES];
    char traceparent[TEL_TRACEPARENT];
    bool traced = orch__traceparent(t, c->stage, traceparent);
    size_t n = sources_for(c, task != GW_ANSWER, sources);
    const struct flow_node *as = c->node->as;
    uint64_t limit = (uint64_t)conf_int(t->orch->rooms.conf, "copilot", "", "time_limit_ms");
    if (as->time_limit_ms && (uint64_t)as->time_limit_ms < limit)
        limit = (uint64_t)as->time_limit_ms;
    const char *regions = conf_str(t->orch->rooms.conf, "copilot", "", "regions");
    struct gw_request r = {.task = task,
                           .session = prov_session(t->orch->rooms.prov),
                           .project = conf_str(t->orch->rooms.conf, "console", "", "project"),
                           .trace_id = t->id,
                           .traceparent = traced ? traceparent : NULL,
                           .regions = *regions ? regions : NULL,
                           .question = c->model->builtin && t->asked ? t->asked : t->question,
                           .lang = t->lang,
                           .sources = sources,
                           .source_count = n,
                           .mine = mine,
                           .other = other,
                           .looked_at = t->looked_at.data,
                           .max_output_tokens =
                               conf_int(t->orch->rooms.conf, "copilot", "", "max_output_tokens"),
                           .token_budget = as->token_budget,
                           .first_token_ms = limit,
                           .silence_ms = limit,
                           .total_ms = limit};
    struct gw_refit refits[GW_STAND_INS];
    for (size_t i = 0; i < c->stand_ins; i++)
        refits[i] = (struct gw_refit){c->stand_in[i].model->name, c->stand_in[i].messages,
                                      c->stand_in[i].count};
    if (c->prompt.count) {
        r.message_count = c->prompt.count;
        r.messages = c->prompt.messages;
        r.refit_count = c->stand_ins;
        r.refits = refits;
    }
    struct gw_message messages[ORCH_MESSAGES];
    if (c->agent)
        orch__agent_messages(c, &r, messages, ORCH_MESSAGES);
    orch__pace_begin(c, c->prompt.count ? gw_estimate_tokens(c->prompt.system.data) +
                                              gw_estimate_tokens(c->prompt.user.data)
                                        : 0);
    struct gw_call *call = gw_start(t->orch->rooms.gw, c->model->name, &r, ops, c, e);
    orch__prompts_release(c);
    return call;
}

static void on_model_logged(void *arg, int64_t seq, const struct error *e)
{
    struct orch_candidate *c = arg;
    struct trace *t = c->trace;
    (void)seq;
    t->writes--;
    if (t->phase != TRACE_MODELS || c->state != CAND_WAITING) {
        orch__settle(t);
        return;
    }
    if (e->code != ERR_OK) {
        orch__fail(t, e);
        return;
    }
    struct error why = {0};
    c->state = CAND_RUNNING;
    json_puts(c->doc, "state", "running");
    c->call = orch__call_model(c, c->task, c->mine.data, c->other.data, &MODEL_OPS, &why);
    if (!c->call) {
        const struct gw_spent none = gw_spent_nothing(c->model, why.code);
        orch__log_output(c, "model.output", "", &none, "error", "error", 0, -1);
        candidate_end(c, CAND_FAILED, err_words(&why));
    }
    models_ended(t);
}

/* Ends what is under way of a run; outcome: of what it wrote so far. */
static void cut(struct orch_candidate *c, int state, const char *why, const char *outcome)
{
    struct trace *t = c->trace;
    struct gw_spent used = {.count = 0};
    int64_t elapsed = (int64_t)(clock_mono_ms() - t->started_ms);
    bool checking = c->check.under_way;
    orch__check_cancel(&c->check);
    if (checking && c->state > CAND_RUNNING) { /* of a critique */
        buf_clear(&c->revised);
        orch__stage_end(t, c->stage, "failed", why);
    }
    if (c->critique_call) {
        gw_cancel(c->critique_call, &used);
        c->critique_call = NULL;
        orch__stage_end(t, c->stage, "failed", why);
        orch__add_usage(c, &used);
        orch__log_output(c, "critique", "", &used, outcome, "cancelled", elapsed, -1);
        gw_spent_release(&used);
    }
    if (c->state > CAND_RUNNING)
        return;
    orch__agent_cancel(c);
    if (c->call) {
        gw_cancel(c->call, &used);
        c->call = NULL;
        orch__add_usage(c, &used);
        orch__log_output(c, "model.output", c->text.data ? c->text.data : "", &used, outcome,
                         "cancelled", elapsed, -1);
        gw_spent_release(&used);
    }
    candidate_end(c, state, why);
}

void orch__models_cancel(struct trace *t, int state)
{
    bool late = state == CAND_DROPPED;
    for (size_t i = 0; i < t->candidate_count; i++)
        cut(&t->candidates[i], state, late ? "later than the time limit" : "stopped",
            late ? "dropped" : "cancelled");
}

void orch__run_cancel(struct orch_candidate *c, const char *why)
{
    cut(c, CAND_STOPPED, why, "cancelled");
}

/* ---- the run of a node */

/* What goes on only to models that speak after it is no answer: an internal turn (AR-1). */
static bool is_internal(const struct orch_node *n)
{
    const struct trace *t = n->trace;
    bool some = false, answers = false, otherwise = false;
    for (size_t i = 0; i < t->flow->edge_count; i++) {
        const struct flow_edge *e = &t->flow->edges[i];
        bool speaks = t->nodes[e->to].as->kind == FLOW_MODEL;
        int holds = e->condition ? condition_holds(e->condition, &t->values) : 1;
        if (&t->nodes[e->from] != n)
            continue;
        some = some || (e->condition && holds == 1);
        otherwise = otherwise || (e->otherwise && !speaks);
        answers = answers || (!speaks && !e->otherwise && holds != 0);
    }
    return n->as->kind != FLOW_MODEL || !(answers || (otherwise && !some));
}

static struct orch_candidate *add_candidate(struct orch_node *n, const struct gw_model *m)
{
    struct trace *t = n->trace;
    struct orch_candidate *c = &t->candidates[t->candidate_count++];
    json_t *all = json_object_get(t->doc, "candidates");
    n->run = c;
    c->trace = t;
    c->node = n;
    c->model = m;
    c->internal = is_internal(n);
    c->way = strstr(m->name, "vector") && m->builtin ? KNOW_VECTOR : KNOW_LEXICAL;
    c->output_entry = c->text_entry = -1;
    c->doc = json_object();
    json_puts(c->doc, "model", m->name);
    json_puts(c->doc, "provider", m->provider);
    json_puts(c->doc, "state", "waiting");
    json_puts(c->doc, "text", "");
    static const char *const UNKNOWN[] = {"usage",   "cost",        "elapsed_ms", "first_token_ms",
                                          "overlap", "safety_risk", "reasoning",  "composite"};
    for (size_t i = 0; i < sizeof UNKNOWN / sizeof *UNKNOWN; i++)
        json_put(c->doc, UNKNOWN[i], json_null());
    json_put(c->doc, "chosen", json_false());
    json_puts(c->doc, "error", "");
    if (c->internal) {
        json_put(n->doc, "run", c->doc);
    } else {
        json_puti(n->doc, "candidate", (int64_t)json_array_size(all));
        json_array_append_new(all, c->doc);
    }
    return c;
}

/* The model that speaks in a node. NULL with *e. */
static const struct gw_model *model_of(struct orch_node *n, json_t **route, struct error *e)
{
    struct trace *t = n->trace;
    *route = NULL;
    if (n->as->model)
        return orch__route(t, n->as->model, route, e);
    size_t at = (size_t)n->as->chosen % t->need.taken_count;
    *route = json_incref(t->routes[at]);
    return t->models[at];
}

/* A built-in model says the same each time: what it says to the same is not asked twice. */
static const struct orch_node *said_already(const struct orch_node *n, const struct gw_model *m)
{
    const struct trace *t = n->trace;
    for (size_t i = 0; i < t->node_count && m->builtin && !n->heard_count; i++) {
        const struct orch_node *other = &t->nodes[i];
        if (other != n && other->run && other->run->model == m && !other->heard_count &&
            strcmp(other->as->role, n->as->role) == 0)
            return other;
    }
    return NULL;
}

static void hear(struct orch_node *n)
{
    struct orch_node *from[FLOW_NODES];
    size_t count = orch__node_inputs(n, from);
    n->heard_count = 0;
    for (size_t i = 0; i < count; i++) {
        bool twice = false;
        for (size_t j = 0; j < n->heard_count; j++)
            twice = twice || n->heard[j].from == from[i]->carries;
        if (from[i]->carries && !twice)
            n->heard[n->heard_count++] =
                (struct orch_heard){from[i]->as->id, from[i]->carries->text.data, from[i]->carries};
        if (from[i]->said.len && n->heard_count < ORCH_HEARD)
            n->heard[n->heard_count++] =
                (struct orch_heard){from[i]->as->id, from[i]->said.data, from[i]->run};
    }
}

/* What a built-in model does in the role, and what it is given for that. */
static enum gw_task built_in_task(struct orch_candidate *c)
{
    const struct orch_node *n = c->node;
    bool critic = strcmp(n->as->role, "critic") == 0, first = true;
    if (!n->heard_count || (!critic && strcmp(n->as->role, "synthesizer") != 0))
        return GW_ANSWER;
    buf_clear(&c->mine);
    buf_clear(&c->other);
    for (size_t i = 0; i < n->heard_count; i++) {
        struct buf *to = first && !critic ? &c->mine : &c->other;
        buf_addf(to, "%s%s", to->len ? "\n" : "", n->heard[i].text);
        first = false;
    }
    return critic ? GW_REVIEW : GW_CRITIQUE;
}

static void log_call(struct orch_candidate *c)
{
    struct trace *t = c->trace;
    const struct orch_node *n = c->node;
    json_t *payload = json_object(), *given = json_array();
    struct gw_source sources[ORCH_SOURCES];
    struct orch_edges from = {.count = 0};
    size_t count = sources_for(c, c->task != GW_ANSWER, sources);
    for (size_t j = 0; j < count; j++)
        json_array_append_new(given, json_text(sources[j].ref, strlen(sources[j].ref)));
    json_puts(payload, "model", c->model->name);
    json_puts(payload, "provider", c->model->provider);
    json_puts(payload, "region", c->model->region);
    json_puts(payload, "task", strcmp(n->as->role, "answerer") == 0 ? "answer" : n->as->role);
    json_puts(payload, "node", n->as->id);
    if (c->route)
        json_put(payload, "route", json_incref(c->route));
    json_put(payload, "sources", given);
    orch__grounds(c, c->task != GW_ANSWER, &from);
    for (size_t i = 0; i < n->heard_count; i++)
        if (n->heard[i].from)
            orch__edge(&from, n->heard[i].from->text_entry, "hand", -1);
    json_t *budget = orch__prompt_make(c, c->task, NULL, NULL, &from);
    if (budget) {
        tell_fitted(c, budget);
        json_put(payload, "budget", budget);
    }
    t->writes++;
    char *actor = xasprintf("model:%s", c->model->name);
    c->call_entry =
        orch__log(t, "model.call", actor, &from, payload, on_model_logged, c, NULL, NULL);
    free(actor);
}

/* By what an earlier run logged of its present step. */
static bool gone_on_with(struct orch_candidate *c)
{
    bool final = false;
    if (!c->agent && !orch__recall_run(c))
        return false;
    if (c->agent && !orch__recall_turn(c, &final))
        return false;
    if (!c->agent || final)
        check_answer(c);
    return true;
}

void orch__run_again(struct orch_candidate *c, int64_t step)
{
    struct trace *t = c->trace;
    json_t *payload = json_object();
    struct orch_edges from = {.count = 0};
    buf_clear(&c->text); /* what it said before its calls is in the log */
    buf_clear(&c->told);
    c->line = c->judged = 0;
    c->state = CAND_WAITING;
    if (gone_on_with(c)) {
        json_decref(payload);
        return;
    }
    json_puts(payload, "model", c->model->name);
    json_puts(payload, "provider", c->model->provider);
    json_puts(payload, "region", c->model->region);
    json_puts(payload, "task", c->node->as->role);
    json_puts(payload, "node", c->node->as->id);
    json_puti(payload, "step", step);
    orch__grounds(c, true, &from);
    orch__edge(&from, c->output_entry, "hand", -1);
    c->state = CAND_WAITING;
    t->writes++;
    char *actor = xasprintf("model:%s", c->model->name);
    c->call_entry =
        orch__log(t, "model.call", actor, &from, payload, on_model_logged, c, NULL, NULL);
    free(actor);
}

void orch__run_start(struct orch_node *n)
{
    struct trace *t = n->trace;
    struct error why = {0};
    json_t *route = NULL;
    const char *skip = NULL;
    hear(n);
    if (t->late)
        skip = "no time is left";
    else if (n->as->optional && n->as->chosen >= (int)t->need.taken_count)
        skip = "fewer models were chosen";
    else if (t->flow->tokens && t->values.number[VAR_TOKENS] >= (double)t->flow->tokens)
        skip = "the flow's tokens are spent";
    const struct gw_model *m = skip ? NULL : model_of(n, &route, &why);
    if (m && n->as->kind != FLOW_MODEL && m->builtin) { /* the rules are what it would judge by */
        json_puts(n->doc, "model", m->name);
        orch__judge_end(n);
    } else if (m && said_already(n, m)) {
        orch__node_end(n, NODE_SKIPPED, "a built-in model says the same each time");
    } else if (m) {
        struct orch_candidate *c = add_candidate(n, m);
        bool answers = strcmp(n->as->role, "answerer") == 0;
        char *label = answers ? xstrdup(m->name) : xasprintf("%s: %s", n->as->id, m->name);
        c->route = json_incref(route);
        if (route)
            json_puts(c->doc, "route", json_str(route, "reason", ""));
        c->stage = orch__stage_begin(t, "model", label);
        free(label);
        c->agent = orch__agent_new(c);
        c->task = m->builtin ? built_in_task(c) : n->heard_count ? GW_CRITIQUE : GW_ANSWER;
        if (!gone_on_with(c))
            log_call(c);
    } else if (n->as->kind != FLOW_MODEL) {
        orch__judge_end(n);
    } else {
        orch__node_end(n, skip ? NODE_SKIPPED : NODE_FAILED, skip ? skip : err_words(&why));
    }
    json_decref(route);
}
