/* The orchestrator's door: questions in, traces out. See orchestrator.h for the invariants. */
#include "backend/base/clock.h"
#include "backend/compliance/inject.h"
#include "backend/orchestrator/flow.h"
#include "backend/orchestrator/internal.h"
#include <stdlib.h>
#include <string.h>

/* Connectors get this long after the start before a question is planned without them. */
enum { SETTLE_MS = 250, SETTLE_STEP_MS = 10 };

struct orch *orch_new(const struct orch_rooms *rooms, orch_event *event, void *arg, struct error *e)
{
    struct orch *o = xcalloc(1, sizeof *o);
    o->rooms = *rooms;
    o->preparer = (struct orch_preparer){.loop = rooms->loop, .prov = rooms->prov};
    o->event = event;
    o->event_arg = arg;
    o->born_ms = clock_mono_ms();
    const struct conf *c = rooms->conf;
    o->limits =
        (struct orch_limits){.divergence = conf_num(c, "arbitration", "", "divergence_threshold"),
                             .safety_gap = conf_num(c, "arbitration", "", "safety_gap_threshold"),
                             .composite = conf_num(c, "arbitration", "", "composite_threshold"),
                             .w_semantic = conf_num(c, "arbitration", "", "w_semantic"),
                             .w_safety = conf_num(c, "arbitration", "", "w_safety"),
                             .w_reasoning = conf_num(c, "arbitration", "", "w_reasoning")};
    o->limits.claims = claims_reader_new();
    o->concepts = concepts_new();
    o->unsupported =
        (enum orch_unsupported)orch_unsupported_find(conf_str(c, "arbitration", "", "unsupported"));
    if (orch__safety_read(o, e) != ERR_OK || orch__embedder_read(o, e) != ERR_OK ||
        orch_flows_read(o, NULL, e) != ERR_OK) {
        pol_filter_free(o->safety.filter);
        pol_injector_free(o->safety.injector);
        claims_reader_free(o->limits.claims);
        concepts_free(o->concepts);
        free(o);
        return NULL;
    }
    return o;
}

static struct trace *find(struct orch *o, const char *id)
{
    for (struct trace *t = o->traces; t; t = t->next) {
        if (strcmp(t->id, id) == 0)
            return t;
    }
    return NULL;
}

static bool under_way(const struct trace *t)
{
    if (t->phase != TRACE_ENDED || t->writes || t->check.under_way || t->embeddings)
        return true;
    for (size_t i = 0; i < t->candidate_count; i++) {
        if (t->candidates[i].call || t->candidates[i].critique_call ||
            t->candidates[i].check.under_way)
            return true;
    }
    return false;
}

static void unlink_trace(struct trace *t)
{
    struct orch *o = t->orch;
    struct trace **at = &o->traces;
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    o->running--;
    orch__trace_free(t);
}

/* Traces are freed from the loop's next turn, so that no caller holds one that is gone. */
static void sweep(void *arg)
{
    struct orch *o = arg;
    for (struct trace *t = o->traces, *next; t; t = next) {
        next = t->next;
        if (!under_way(t))
            unlink_trace(t);
    }
}

void orch__settle(struct trace *t)
{
    if (!under_way(t) && !t->orch->closed)
        loop_post(t->orch->rooms.loop, sweep, t->orch);
}

/* ---- from the question to the plan */

static void plan_when_ready(void *arg)
{
    struct trace *t = arg;
    struct orch *o = t->orch;
    if (t->phase != TRACE_PLANNING)
        return;
    bool settled =
        t->recorded || conn_settled(o->rooms.conn) || clock_mono_ms() - o->born_ms > SETTLE_MS;
    if (o->rooms.know && settled && !orch__passages_reading(o)) {
        loop_timer_free(t->timer);
        t->timer = NULL;
        orch__plan(t);
        return;
    }
    if (!t->timer)
        t->timer = loop_timer_new(o->rooms.loop, plan_when_ready, t);
    loop_timer_start(t->timer, SETTLE_STEP_MS, 0);
}

static void on_question_checked(struct orch_check *k, bool blocked)
{
    struct trace *t = k->trace;
    if (blocked) {
        orch__block(t, k->words);
        return;
    }
    t->phase = TRACE_PLANNING;
    plan_when_ready(t);
}

static void on_question_logged(void *arg, int64_t seq, const struct error *e)
{
    struct trace *t = arg;
    struct orch_accepting *a = t->accepting;
    t->accepting = NULL;
    t->writes--;
    a->fn(a->arg, t->id, t->conversation, seq, e);
    orch__store_trace_free(a->projection);
    free(a);
    if (e->code != ERR_OK) {
        t->phase = TRACE_ENDED;
        orch__settle(t);
        return;
    }
    t->question_entry = seq;
    orch__begin(t);
}

void orch__begin(struct trace *t)
{
    t->phase = TRACE_CHECKING;
    orch__stage_end(t, 0, "done", "");
    orch__tell(t, "turn");
    if (t->stopped) {
        const char *by = t->stopped;
        t->stopped = NULL;
        orch__stop(t, by);
        return; /* the rooms that alerts are counted in may be gone by now */
    }
    if (t->orch->rooms.alerts && !*t->eval)
        t->alerts = t->orch->rooms.alerts(t->orch->rooms.alerts_arg);
    t->check = (struct orch_check){
        .trace = t, .of = "question", .subject = t->question_entry, .then = on_question_checked};
    orch__check(&t->check, t->question);
}

/* ---- asking */

static bool is_id(const char *text)
{
    return strlen(text) == 32 && strspn(text, "0123456789abcdef") == 32;
}

/* The entry of the question that is asked once more; -1: there is none. */
static int64_t question_of(const struct orch *o, const char *trace_id)
{
    return store_scalar(store_reader(o->rooms.store), -1,
                        "SELECT max(seq) FROM entries WHERE trace_id = ? AND type = 'question'",
                        "s", trace_id);
}

static void log_question(struct trace *t, int64_t repeats)
{
    json_t *payload = json_object(), *models = json_array();
    struct orch_edges from = {.count = 0};
    orch__edge(&from, repeats, "repeat", -1);
    json_puts(payload, "text", t->question);
    json_puts(payload, "role", t->actor);
    for (size_t i = 0; i < t->chosen_count; i++)
        json_array_append_new(models, json_string(t->chosen[i]));
    json_put(payload, "models", models);
    json_puts(payload, "flow", t->by_risk ? ORCH_BY_RISK : t->flow->name);
    if (t->exchanges > 1)
        json_puti(payload, "exchanges", t->exchanges);
    for (size_t i = 0; i < 2; i++)
        if (t->prompts[i])
            json_puts(payload, i ? "promptB" : "promptA", t->prompts[i]);
    if (json_object_get(t->doc, "choice"))
        json_put(payload, "choice", json_deep_copy(json_object_get(t->doc, "choice")));
    if (repeats >= 0)
        json_puti(payload, "again", repeats);
    if (*t->eval)
        json_puts(payload, "eval", t->eval);
    t->writes++;
    orch__log(t, "question", t->actor, &from, payload, on_question_logged, t, orch__store_trace,
              t->accepting->projection);
}

enum err orch_ask_check(const struct orch *o, const struct orch_ask *ask, struct error *e)
{
    const char *chosen[ORCH_MODELS];
    const struct flow *flow;
    size_t count;
    return orch__choose(o, ask, &flow, chosen, &count, e);
}

struct trace *orch__trace_asked(struct orch *o, const struct orch_ask *ask, const struct flow *flow,
                                const char *const *chosen, size_t count)
{
    struct trace *t = orch__trace_new(o, ask);
    t->next = o->traces;
    o->traces = t;
    o->running++;
    t->flow = flow_hold(flow);
    t->by_risk = orch__by_risk(o, ask);
    for (size_t i = 0; i < count; i++)
        t->chosen[t->chosen_count++] = xstrdup(chosen[i]);
    json_puts(t->doc, "flow", t->flow->name);
    t->exchanges = ask->exchanges ? (unsigned)ask->exchanges : 1;
    for (size_t i = 0; i < 2; i++) {
        const char *known = ask->prompts[i] ? flow_prompt(ask->prompts[i]) : NULL;
        t->prompts[i] = xstrdup_or_null(known ? known : ask->prompts[i]);
    }
    orch__engine_begin(t);
    return t;
}

static enum err check_prompts(const struct orch_ask *ask, struct error *e)
{
    for (size_t i = 0; i < 2; i++) {
        const char *text = ask->prompts[i];
        if (text && (!*text || strlen(text) > ORCH_PROMPT))
            return err_set(e, ERR_INVALID, "a prompt has 1 to %d bytes", ORCH_PROMPT);
        if (text && flow_prompt_check(text, e) != ERR_OK)
            return e->code;
    }
    return ERR_OK;
}

enum err orch_ask(struct orch *o, const struct orch_ask *ask, orch_accepted *accepted, void *arg,
                  struct error *e)
{
    size_t len = strlen(ask->text);
    if (!len || len > ORCH_MAX_QUESTION)
        return err_set(e, ERR_INVALID, "a question has 1 to %d bytes, this one has %zu",
                       ORCH_MAX_QUESTION, len);
    if (ask->exchanges < 0 || ask->exchanges > ORCH_EXCHANGES)
        return err_set(e, ERR_INVALID, "there are 1 to %d exchanges", ORCH_EXCHANGES);
    if (check_prompts(ask, e) != ERR_OK)
        return e->code;
    if (ask->conversation && !is_id(ask->conversation))
        return err_set(e, ERR_INVALID, "a conversation is 32 hex digits");
    int64_t repeats = ask->again ? question_of(o, ask->again) : -1;
    if (ask->again && repeats < 0)
        return err_set(e, ERR_NOT_FOUND, "no question %.64s", ask->again);
    const char *chosen[ORCH_MODELS];
    const struct flow *flow;
    size_t chosen_count = 0;
    if (orch__choose(o, ask, &flow, chosen, &chosen_count, e) != ERR_OK)
        return e->code;
    if (o->closed)
        return err_set(e, ERR_CLOSED, "the console is stopping");
    if (o->running >= ORCH_TRACES)
        return err_set(e, ERR_OVERLOADED, "%d questions are being answered; try again in 2 s",
                       ORCH_TRACES);
    struct trace *t = orch__trace_asked(o, ask, flow, chosen, chosen_count);
    struct orch_accepting *a = xcalloc(1, sizeof *a);
    a->fn = accepted;
    a->arg = arg;
    orch__stage_begin(t, "log", "log the question");
    a->projection = orch__store_trace_arg(t, "running");
    t->accepting = a;
    log_question(t, repeats);
    return ERR_OK;
}

void orch_set_knowledge(struct orch *o, const struct know *k)
{
    o->rooms.know = k;
    orch__passages_start(o);
}

size_t orch_running(const struct orch *o)
{
    return o->running;
}

enum err orch_stop(struct orch *o, const char *trace_id, size_t *stopped, struct error *e)
{
    bool found = false;
    *stopped = 0;
    for (struct trace *t = o->traces; t; t = t->next) {
        if (trace_id && strcmp(t->id, trace_id) != 0)
            continue;
        found = true;
        *stopped += orch__stop(t, "operator");
    }
    if (trace_id && !found)
        return err_set(e, ERR_NOT_FOUND, "no answer %s is under way", trace_id);
    return ERR_OK;
}

void orch_close(struct orch *o)
{
    o->event = NULL;
    for (struct trace *t = o->traces; t; t = t->next)
        orch__stop(t, "backend");
    o->closed = true;
    orch__passages_close(o);
}

void orch_free(struct orch *o)
{
    if (!o)
        return;
    o->closed = true;
    orch__prepare_drop(&o->preparer);
    orch__passages_free(o);
    while (o->traces)
        unlink_trace(o->traces);
    pol_filter_free(o->safety.filter);
    pol_injector_free(o->safety.injector);
    flows_free(o->flows);
    claims_reader_free(o->limits.claims);
    concepts_free(o->concepts);
    free(o);
}

/* ---- reading: running traces from memory, ended ones from the projection */

/* ROW_INSIDE: also what is withheld. */
enum row_form { ROW_WHOLE, ROW_TURN, ROW_LISTED, ROW_INSIDE };

struct rows {
    struct orch *o;
    json_t *out;
    enum row_form form;
};

/* A row of a list: what tells one trace from another. traces.get has the rest, which is a hundred
 * times as much. */
#define LISTED                                                                                 \
    "trace_id", "conversation", "at", "question", "lang", "state", "error", "flow", "by_risk", \
        "again", "eval", "usage", "elapsed_ms"

static json_t *listed(const json_t *doc)
{
    static const char *const MEMBERS[] = {"rowid", LISTED};
    static const char *const OF_VERDICT[] = {"winner", "route", "D", "S", "weak"};
    json_t *row = json_some(doc, MEMBERS, sizeof MEMBERS / sizeof *MEMBERS);
    const json_t *verdict = json_object_get(doc, "verdict");
    json_put(row, "verdict",
             json_is_object(verdict)
                 ? json_some(verdict, OF_VERDICT, sizeof OF_VERDICT / sizeof *OF_VERDICT)
                 : json_null());
    return row;
}

/* A turn of a conversation: neither the texts of candidates nor how the answer came about. */
#define TRACED "nodes", "edges", "path", "grounding", "critiques"

static void as_turn(json_t *doc)
{
    static const char *const MEMBERS[] = {TRACED};
    orch__without_outputs(doc);
    for (size_t i = 0; i < sizeof MEMBERS / sizeof *MEMBERS; i++)
        json_object_del(doc, MEMBERS[i]);
    json_object_del(json_object_get(doc, "verdict"), "claims");
}

/* A trace that was running when an earlier run ended. */
static void mark_interrupted(json_t *doc)
{
    if (strcmp(json_str(doc, "state", ""), "running") == 0) {
        json_puts(doc, "state", "stopped");
        json_puts(doc, "error", "the console ended before the answer was finished");
    }
}

static bool take_entry(void *arg, const struct store_row *row)
{
    json_array_append_new(arg, json_integer(store_int(row, 0)));
    return true;
}

/* What the log holds of an ended trace, its last entry included. */
static json_t *entries_of(struct orch *o, const char *trace_id)
{
    json_t *entries = json_array();
    if (store_query(store_reader(o->rooms.store), NULL, take_entry, entries,
                    "SELECT seq FROM entries WHERE trace_id = ? ORDER BY seq", "s",
                    trace_id) == ERR_OK)
        return entries;
    json_decref(entries);
    return json_null(); /* not known, which is not the same as none */
}

json_t *orch__stored(struct orch *o, const struct store_row *row, const struct json_members *wanted)
{
    const char *id = store_text(row, 1);
    struct trace *t = find(o, id);
    json_t *doc;
    if (t) {
        doc = json_deep_copy(t->doc);
    } else {
        size_t len = 0;
        const void *sealed = store_blob(row, 3, &len);
        struct error e = {0};
        doc = prov_unseal_members(o->rooms.prov, store_text(row, 2), sealed, len, wanted, &e);
        if (!doc) {
            char at[CLOCK_TEXT];
            clock_format(store_int(row, 4), at);
            doc = json_object();
            json_puts(doc, "trace_id", id);
            json_puts(doc, "at", at);
            json_puts(doc, "question", "");
            json_puts(doc, "state", "failed");
            json_puts(doc, "error", err_words(&e));
        }
        mark_interrupted(doc);
    }
    json_puti(doc, "rowid", store_int(row, 0));
    return doc;
}

static bool take_row(void *arg, const struct store_row *row)
{
    struct rows *r = arg;
    const char *id = store_text(row, 1);
    static const char *const OF_LIST[] = {LISTED,      "verdict.winner", "verdict.route",
                                          "verdict.D", "verdict.S",      "verdict.weak"},
                             *const BUT[] = {TRACED, "verdict.claims", "candidates.text"};
    static const struct json_members forms[] = {
        [ROW_TURN] = {BUT, sizeof BUT / sizeof *BUT, true},
        [ROW_LISTED] = {OF_LIST, sizeof OF_LIST / sizeof *OF_LIST, false}};
    json_t *doc = orch__stored(
        r->o, row, r->form == ROW_TURN || r->form == ROW_LISTED ? &forms[r->form] : NULL);
    if (r->form != ROW_INSIDE)
        orch__withhold_hide(doc);
    if (r->form == ROW_LISTED) {
        json_array_append_new(r->out, listed(doc));
        json_decref(doc);
        return true;
    }
    if (r->form == ROW_TURN)
        as_turn(doc);
    else if (!find(r->o, id))
        json_put(doc, "entries", entries_of(r->o, id));
    json_array_append_new(r->out, doc);
    return true;
}

static json_t *trace_in(struct orch *o, const char *trace_id, enum row_form form, struct error *e)
{
    struct rows r = {o, json_array(), form};
    enum err code =
        store_query(store_reader(o->rooms.store), e, take_row, &r,
                    "SELECT rowid, trace_id, session, sealed, at FROM traces WHERE trace_id = ?",
                    "s", trace_id);
    json_t *doc = code == ERR_OK ? json_incref(json_array_get(r.out, 0)) : NULL;
    if (code == ERR_OK && !doc)
        err_set(e, ERR_NOT_FOUND, "no trace %s", trace_id);
    json_decref(r.out);
    return doc;
}

json_t *orch_trace(struct orch *o, const char *trace_id, struct error *e)
{
    return trace_in(o, trace_id, ROW_WHOLE, e);
}

json_t *orch__trace_whole(struct orch *o, const char *trace_id, struct error *e)
{
    return trace_in(o, trace_id, ROW_INSIDE, e);
}

json_t *orch_traces(struct orch *o, int64_t before, size_t limit, bool evals, struct error *e)
{
    struct rows r = {o, json_array(), ROW_LISTED};
    enum err code =
        store_query(store_reader(o->rooms.store), e, take_row, &r,
                    "SELECT rowid, trace_id, session, sealed, at FROM traces "
                    "WHERE rowid < ? AND (? OR conversation IS NOT NULL) "
                    "ORDER BY rowid DESC LIMIT ?",
                    "iii", before < 0 ? INT64_MAX : before, (int64_t)evals, (int64_t)limit);
    if (code == ERR_OK)
        return r.out;
    json_decref(r.out);
    return NULL;
}

static json_t *turns_of(struct orch *o, const char *conversation, int64_t before, size_t limit,
                        bool whole, struct error *e)
{
    static const char LINE[] =
        ORCH__LINE "SELECT t.rowid, t.trace_id, t.session, t.sealed, t.at FROM line JOIN traces t "
                   "ON t.conversation = line.id AND t.rowid <= line.upto WHERE t.rowid < ?2 "
                   "ORDER BY t.rowid DESC LIMIT ?3";
    static const char ALL[] = "SELECT rowid, trace_id, session, sealed, at FROM traces "
                              "WHERE rowid < ?2 AND ?1 IS NULL AND conversation IS NOT NULL "
                              "ORDER BY rowid DESC LIMIT ?3";
    struct rows r = {o, json_array(), whole ? ROW_WHOLE : ROW_TURN};
    enum err code =
        store_query(store_reader(o->rooms.store), e, take_row, &r, conversation ? LINE : ALL, "sii",
                    conversation, before < 0 ? INT64_MAX : before, (int64_t)limit);
    if (code != ERR_OK) {
        json_decref(r.out);
        return NULL;
    }
    json_t *oldest_first = json_array();
    for (size_t i = json_array_size(r.out); i-- > 0;)
        json_array_append(oldest_first, json_array_get(r.out, i));
    json_decref(r.out);
    return oldest_first;
}

json_t *orch_turns_whole(struct orch *o, const char *conversation, int64_t before, size_t limit,
                         struct error *e)
{
    return turns_of(o, conversation, before, limit, true, e);
}

json_t *orch_turns(struct orch *o, const char *conversation, int64_t before, size_t limit,
                   struct error *e)
{
    return turns_of(o, conversation, before, limit, false, e);
}
