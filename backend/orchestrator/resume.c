/* Questions that an earlier run left unanswered when it ended without a word (a crash, a kill):
 * they are answered now, and what the log has of them is not asked again.
 *
 * R1 A trace is gone on with from its question, by the same flow and with the same models; tools,
 *    models and critiques whose outputs are in the log give those.
 *    An agent goes on behind its last step that is logged; calls of that step whose results are not
 *    are made again.
 * R2 Nothing is proposed for anybody: who asked is not here any more.
 * R3 It is logged that this is done (`resume`), before anything acts; at most RESUMES_MOST times
 * for one question, so that one that ends the console does not do so for ever. */
#include "backend/base/clock.h"
#include "backend/compliance/compliance.h"
#include "backend/orchestrator/internal.h"
#include <stdlib.h>
#include <string.h>

enum { RESUMES_MOST = 3 };

/* ---- what the log has */

struct taking {
    struct orch *o;
    json_t *memo, *entries;
    int64_t question;
    size_t resumes;
};

static bool take_entry(void *arg, const struct store_row *row)
{
    static const char *const KEPT[] = {"tool.call", "tool.result", "model.output", "critique"};
    struct taking *g = arg;
    int64_t seq = store_int(row, 0);
    const char *type = store_text(row, 1);
    bool kept = false;
    json_array_append_new(g->entries, json_integer(seq));
    if (strcmp(type, "question") == 0)
        g->question = seq;
    g->resumes += strcmp(type, "resume") == 0;
    for (size_t i = 0; i < sizeof KEPT / sizeof *KEPT; i++)
        kept = kept || strcmp(KEPT[i], type) == 0;
    json_t *one = kept ? json_object() : NULL;
    if (one) {
        json_puti(one, "seq", seq);
        json_puts(one, "type", type);
        json_array_append_new(g->memo, one);
    }
    return true;
}

/* Those whose payloads cannot be read are as if they were not there. */
static void read_payloads(struct taking *g)
{
    for (size_t i = json_array_size(g->memo); i-- > 0;) {
        json_t *one = json_array_get(g->memo, i);
        json_t *payload = prov_payload(g->o->rooms.prov, json_int(one, "seq", -1), NULL);
        if (payload)
            json_put(one, "payload", payload);
        else
            json_array_remove(g->memo, i);
    }
}

static const json_t *newest(const struct trace *t, const char *type, const char *key,
                            const char *value, int64_t *seq)
{
    for (size_t i = json_array_size(t->memo); i-- > 0;) {
        const json_t *one = json_array_get(t->memo, i), *p = json_object_get(one, "payload");
        if (strcmp(json_str(one, "type", ""), type) != 0 ||
            strcmp(json_str(p, key, ""), value) != 0)
            continue;
        *seq = json_int(one, "seq", -1);
        return p;
    }
    return NULL;
}

/* ---- tools */

/* The text of a result's content, as it was logged: a text, or MCP's blocks. The caller frees. */
static char *content_text(const json_t *content)
{
    struct buf text = {0};
    size_t i;
    json_t *block;
    if (json_is_string(content))
        return xstrdup(json_string_value(content));
    json_array_foreach(content, i, block)
    {
        if (strcmp(json_str(block, "type", ""), "text") == 0)
            buf_addf(&text, "%s%s", text.len ? "\n" : "", json_str(block, "text", ""));
    }
    return buf_take(&text);
}

/* Its structure, as far as the log has it; NULL: nothing. The caller owns. */
static json_t *data_of(const json_t *result)
{
    json_t *data = json_object_get(result, "data"), *findings = json_object_get(result, "findings");
    return data ? json_incref(data) : findings ? json_pack("{s:O}", "findings", findings) : NULL;
}

bool orch__recall_step(struct orch_tool_step *s)
{
    struct trace *t = s->trace;
    for (size_t i = 0; i < json_array_size(t->memo); i++) {
        const json_t *call = json_array_get(t->memo, i), *p = json_object_get(call, "payload");
        if (strcmp(json_str(call, "type", ""), "tool.call") != 0 ||
            strcmp(json_str(p, "connector", ""), s->connector) != 0 ||
            strcmp(json_str(p, "tool", ""), s->tool) != 0 ||
            !json_equal(json_object_get(p, "arguments"), s->arguments))
            continue;
        int64_t seq = json_int(call, "seq", -1);
        for (size_t j = i + 1; j < json_array_size(t->memo); j++) {
            const json_t *result = json_array_get(t->memo, j),
                         *r = json_object_get(result, "payload");
            if (strcmp(json_str(result, "type", ""), "tool.result") != 0 ||
                strcmp(json_str(r, "connector", ""), s->connector) != 0 ||
                strcmp(json_str(r, "tool", ""), s->tool) != 0 || !json_flag(r, "ok", false) ||
                json_int(r, "call", seq) != seq) /* of another call of this tool */
                continue;
            char *text = content_text(json_object_get(r, "content"));
            json_t *data = data_of(r);
            char *said = orch__findings_in(t->lang, data);
            s->call_entry = seq;
            s->ended = true;
            orch__fill_source(t, s->source, said ? said : text, 0, data,
                              json_int(result, "seq", -1));
            orch__stage_end(t, s->stage, "done", "from the log");
            json_decref(data);
            free(said);
            free(text);
            return true;
        }
    }
    return false;
}

/* ---- models */

static void add_usage(json_t *doc, const json_t *more)
{
    static const char *const TOKENS[] = {"input_tokens", "output_tokens", "cached_tokens",
                                         "reasoning_tokens"};
    const json_t *had = json_object_get(doc, "usage");
    json_t *sum = json_object();
    for (size_t i = 0; i < sizeof TOKENS / sizeof *TOKENS; i++)
        json_puti(sum, TOKENS[i], json_int(had, TOKENS[i], 0) + json_int(more, TOKENS[i], 0));
    json_put(
        sum, "estimated",
        json_boolean(json_flag(had, "estimated", false) || json_flag(more, "estimated", false)));
    json_put(doc, "usage", sum);
}

/* The newest output of its model in its node, of that step (0: it takes none), if it was whole. */
static const json_t *output_of(const struct orch_candidate *c, int64_t step, int64_t *seq)
{
    const struct trace *t = c->trace;
    for (size_t i = json_array_size(t->memo); i-- > 0;) {
        const json_t *one = json_array_get(t->memo, i), *p = json_object_get(one, "payload");
        if (strcmp(json_str(one, "type", ""), "model.output") != 0 ||
            strcmp(json_str(p, "node", ""), c->node->as->id) != 0 || json_int(p, "step", 0) != step)
            continue;
        *seq = json_int(one, "seq", -1);
        return strcmp(json_str(p, "outcome", ""), "ok") == 0 &&
                       strcmp(json_str(p, "model", ""), c->model->name) == 0
                   ? p
                   : NULL;
    }
    return NULL;
}

static void take_output(struct orch_candidate *c, const json_t *p, int64_t seq)
{
    static const char *const KEYS[] = {"elapsed_ms", "first_token_ms", "answered_by", "truncated"};
    for (size_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++)
        if (json_object_get(p, KEYS[i]))
            json_put(c->doc, KEYS[i], json_deep_copy(json_object_get(p, KEYS[i])));
    add_usage(c->doc, json_object_get(p, "usage"));
    buf_clear(&c->text);
    buf_adds(&c->text, json_str(p, "text", ""));
    c->output_entry = c->text_entry = seq;
}

bool orch__recall_run(struct orch_candidate *c)
{
    int64_t seq = -1;
    const json_t *p = output_of(c, 0, &seq);
    if (!p || !*json_str(p, "text", "") || json_object_get(p, "tool_calls"))
        return false;
    take_output(c, p, seq);
    return true;
}

/* ---- agents */

bool orch__recall_turn(struct orch_candidate *c, bool *final)
{
    int64_t seq = -1;
    struct orch_edges none = {.count = 0};
    const json_t *p = output_of(c, orch__agent_step(c), &seq);
    const json_t *calls = json_object_get(p, "tool_calls");
    if (!p || (!calls && !*json_str(p, "text", "")))
        return false;
    if (orch__agent_step(c) == 1) { /* what its model was given, which every turn begins with */
        json_decref(orch__prompt_make(c, c->task, NULL, NULL, &none));
        orch__agent_told(c);
        orch__prompts_release(c);
    }
    take_output(c, p, seq);
    *final = !calls;
    if (calls) {
        struct gw_result r = {.text = json_str(p, "text", ""),
                              .tool_calls = calls,
                              .thinking = json_object_get(p, "thinking")};
        orch__agent_calls(c, &r);
    }
    return true;
}

/* Is it of the call at that place of the agent's present step? */
static bool is_of_call(const json_t *one, const char *type, const struct orch_candidate *c,
                       size_t at, const char *connector, const char *tool)
{
    const json_t *p = json_object_get(one, "payload");
    return strcmp(json_str(one, "type", ""), type) == 0 &&
           strcmp(json_str(p, "node", ""), c->node->as->id) == 0 &&
           json_int(p, "step", 0) == orch__agent_step(c) &&
           json_int(p, "call", -1) == (int64_t)at &&
           strcmp(json_str(p, "connector", ""), connector) == 0 &&
           strcmp(json_str(p, "tool", ""), tool) == 0;
}

bool orch__recall_result(const struct orch_candidate *c, size_t at, const char *connector,
                         const char *tool, const json_t *arguments, struct orch_result *out)
{
    const json_t *memo = c->trace->memo, *result = NULL;
    for (size_t i = json_array_size(memo); i-- > 0;) { /* a call stands before its result */
        const json_t *one = json_array_get(memo, i), *p = json_object_get(one, "payload");
        if (!result && is_of_call(one, "tool.result", c, at, connector, tool) &&
            json_object_get(p, "content"))
            result = one;
        if (!result || !is_of_call(one, "tool.call", c, at, connector, tool) ||
            !json_equal(json_object_get(p, "arguments"), arguments))
            continue;
        const json_t *r = json_object_get(result, "payload");
        *out = (struct orch_result){.text = content_text(json_object_get(r, "content")),
                                    .data = data_of(r),
                                    .ok = json_flag(r, "ok", false),
                                    .number = (size_t)json_int(p, "source", 0),
                                    .call_entry = json_int(one, "seq", -1),
                                    .entry = json_int(result, "seq", -1)};
        return true;
    }
    return false;
}

bool orch__recall_critique(struct orch_candidate *c)
{
    int64_t seq = -1;
    const json_t *p = newest(c->trace, "critique", "node", c->node->as->id, &seq);
    const char *text = json_str(p, "text", "");
    if (!p || strcmp(json_str(p, "outcome", ""), "ok") != 0 || !*text ||
        json_object_get(p, "truncated") || orch_safety_refuses(c->trace->orch, text, true))
        return false;
    buf_clear(&c->revised);
    buf_adds(&c->revised, text);
    c->output_entry = seq;
    return true;
}

/* ---- going on */

static void on_resumed(void *arg, int64_t seq, const struct error *e)
{
    struct trace *t = arg;
    (void)seq;
    t->writes--;
    if (e->code != ERR_OK) {
        t->phase = TRACE_ENDED;
        orch__settle(t);
        return;
    }
    orch__begin(t);
}

/* The trace as it was asked; NULL: it cannot be gone on with. */
static struct trace *again(struct orch *o, const json_t *doc, const json_t *p)
{
    const char *names[ORCH_MODELS], *chosen[ORCH_MODELS];
    const struct flow *flow;
    size_t count = 0, i;
    json_t *name;
    struct orch_ask ask = {.text = json_str(p, "text", ""),
                           .conversation = json_str(doc, "conversation", NULL),
                           .actor = json_str(p, "role", ""),
                           .models = names,
                           .flow = json_str(p, "flow", ""),
                           .prompts = {json_str(p, "promptA", NULL), json_str(p, "promptB", NULL)},
                           .again = json_str(doc, "again", NULL),
                           .exchanges = json_int(p, "exchanges", 0)};
    json_array_foreach(json_object_get(p, "models"), i, name)
    {
        if (json_is_string(name) && ask.model_count < ORCH_MODELS)
            names[ask.model_count++] = json_string_value(name);
    }
    if (!*ask.text || ask.exchanges < 0 || ask.exchanges > ORCH_EXCHANGES ||
        orch__choose(o, &ask, &flow, chosen, &count, NULL) != ERR_OK)
        return NULL;
    struct trace *t = orch__trace_asked(o, &ask, flow, chosen, count);
    if (json_object_get(doc, "choice"))
        json_put(t->doc, "choice", json_deep_copy(json_object_get(doc, "choice")));
    else
        json_object_del(t->doc, "choice");
    return t;
}

static bool take_spent(void *arg, const struct store_row *row)
{
    struct cost_charge charge = {.priced = store_int(row, 0) != 0, .nano = store_int(row, 1)};
    snprintf(charge.currency, sizeof charge.currency, "%s", store_text(row, 2));
    orch__money_add(arg, &charge);
    return true;
}

/* What the ledger has of the question already. */
static void spent_before(struct orch *o, const char *id, struct orch_money *to)
{
    store_query(store_reader(o->rooms.store), NULL, take_spent, to,
                "SELECT priced, ifnull(amount_nano, 0), ifnull(currency, '') FROM ledger "
                "WHERE trace_id = ?",
                "s", id);
}

static bool resume(struct orch *o, const char *id, const json_t *doc)
{
    struct taking g = {.o = o, .memo = json_array(), .entries = json_array(), .question = -1};
    struct trace *t = NULL;
    enum err code =
        store_query(store_reader(o->rooms.store), NULL, take_entry, &g,
                    "SELECT seq, type FROM entries WHERE trace_id = ? ORDER BY seq", "s", id);
    json_t *payload = code == ERR_OK && g.question >= 0 && g.resumes < RESUMES_MOST
                          ? prov_payload(o->rooms.prov, g.question, NULL)
                          : NULL;
    if (payload)
        t = again(o, doc, payload);
    json_decref(payload);
    if (!t) {
        json_decref(g.memo);
        json_decref(g.entries);
        return false;
    }
    read_payloads(&g);
    spent_before(o, id, &t->before);
    t->memo = g.memo;
    t->question_entry = g.question;
    snprintf(t->id, sizeof t->id, "%s", id);
    json_puts(t->doc, "trace_id", id);
    json_puts(t->doc, "at", json_str(doc, "at", ""));
    json_put(t->doc, "entries", g.entries);
    json_puti(t->doc, "resumed", (int64_t)g.resumes + 1);
    orch__stage_begin(t, "log", "go on from the log");
    json_t *entry = json_object();
    struct orch_edges from = {.count = 0};
    orch__edge(&from, g.question, "resume", -1);
    json_puti(entry, "entries", (int64_t)json_array_size(g.entries));
    json_puti(entry, "outputs", (int64_t)json_array_size(g.memo));
    t->writes++;
    orch__log(t, "resume", "backend", &from, entry, on_resumed, t, NULL, NULL);
    return true;
}

static bool take_left(void *arg, const struct store_row *row)
{
    json_t *one = json_object(), *doc = orch__stored(((struct taking *)arg)->o, row, NULL);
    json_puts(one, "id", store_text(row, 1));
    json_put(one, "doc", doc);
    json_array_append_new(((struct taking *)arg)->memo, one);
    return true;
}

size_t orch_resume(struct orch *o)
{
    int64_t minutes = conf_int(o->rooms.conf, "copilot", "", "resume_minutes");
    struct taking g = {.o = o, .memo = json_array()};
    size_t resumed = 0, i;
    json_t *one;
    if (minutes > 0 && !o->closed)
        store_query(store_reader(o->rooms.store), NULL, take_left, &g,
                    "SELECT rowid, trace_id, session, sealed, at FROM traces "
                    "WHERE state = 'running' AND at >= ? ORDER BY rowid LIMIT ?",
                    "ii", clock_real_ms() - minutes * 60000, (int64_t)ORCH_TRACES);
    json_array_foreach(g.memo, i, one)
    {
        const char *id = json_str(one, "id", "");
        const json_t *doc = json_object_get(one, "doc");
        bool ours = false, evaluated = json_object_get(doc, "eval") != NULL;
        for (const struct trace *t = o->traces; t; t = t->next)
            ours = ours || strcmp(t->id, id) == 0;
        if (!ours && !evaluated && o->running < ORCH_TRACES)
            resumed += resume(o, id, doc);
    }
    json_decref(g.memo);
    return resumed;
}
