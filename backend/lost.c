/* Calls of models that were under way when a console ended without its end (a crash, kill -9): what
 * they came to was never written. The next start finds them and gives each an output of its entry
 * and a line of the ledger, `lost`, with what was expected of it when it was made.
 *
 * Invariants
 * U1 Only calls of sessions that were left unsealed count, of traces that were still running: all
 *    others have their lines. What is written here stands before the seals of those sessions, so a
 *    crash in between repeats nothing and forgets nothing.
 * U2 The line and the output are one transaction; a call whose tokens nobody noted has no price. */
#include "backend/base/clock.h"
#include "backend/gateway/fit.h"
#include "backend/internal.h"
#include <stdlib.h>
#include <string.h>

enum { SESSIONS = 16, CALLS = 256, TOGETHER = 16 };

struct lost {
    char names[SESSIONS][33];
    int64_t first[SESSIONS], seqs[CALLS];
    size_t session_count, count;
};

/* One call: a model that was asked, by the entry `call` with its payload. */
struct missing {
    const json_t *call, *payload;
    const char *model, *task, *type; /* type: of the entry that tells of it */
    int64_t input, output;           /* tokens; input -1: not known */
};

static bool take_session(void *arg, const struct store_row *row)
{
    struct lost *l = arg;
    const char *session = store_text(row, 0);
    snprintf(l->names[l->session_count], sizeof l->names[0], "%s", session ? session : "");
    l->first[l->session_count++] = store_int(row, 1);
    return l->session_count < SESSIONS;
}

static bool take_seq(void *arg, const struct store_row *row)
{
    struct lost *l = arg;
    l->seqs[l->count++] = store_int(row, 0);
    return l->count < CALLS;
}

/* ---- what a call came to */

/* Of the messages that a request to a model was logged with; -1: there are none. */
static int64_t tokens_of(const struct backend *b, const struct missing *m)
{
    const json_t *messages = json_object_get(m->payload, "messages"), *one;
    int64_t tokens = 0;
    size_t i;
    json_array_foreach((json_t *)messages, i, one)
    {
        tokens += gw_count_tokens(b->gw, m->model, json_str(one, "content", ""));
    }
    return json_array_size(messages) ? tokens : -1;
}

static void estimate(const struct backend *b, struct missing *m, const struct gw_model *model)
{
    const json_t *budget = json_object_get(m->payload, "budget");
    if (!budget)
        budget = json_object_get(json_object_get(m->payload, "budgets"), m->model);
    m->input = json_int(m->payload, "input_tokens", tokens_of(b, m));
    m->output = json_int(m->payload, "max_tokens", 0);
    if (json_is_object(budget)) {
        m->input = json_int(budget, "fixed", 0) + json_int(budget, "after", 0);
        m->output = json_int(budget, "forecast", 0);
    } else if (model && model->builtin) {
        m->input = m->output = 0;
    }
}

struct line {
    struct backend *backend;
    struct cost_line *line;
};

static enum err insert(struct store_db *db, void *arg, struct error *e)
{
    return cost_insert(db, ((struct line *)arg)->line, e);
}

static void written(void *arg, int64_t seq, const struct error *e)
{
    struct line *l = arg;
    (void)seq;
    if (e->code == ERR_OK && !l->backend->stopping)
        cost_budgets_sum(l->backend->budgets); /* who asked before has a sum without it */
    cost_line_free(l->line);
    free(l);
}

static json_t *payload_of(const struct missing *m)
{
    json_t *payload = json_object(), *usage = json_object();
    json_puts(payload, "model", m->model);
    if (strcmp(m->type, "sample") == 0) {
        json_puts(payload, "connector", json_str(m->payload, "connector", ""));
        json_puts(payload, "stage", "output");
    } else if (strcmp(m->type, "embedding") == 0) {
        json_puti(payload, "passages", json_int(m->payload, "passages", 0));
        json_puts(payload, "stage", "output");
    }
    json_puts(payload, "text", "");
    json_puts(payload, "outcome", "lost");
    json_puts(payload, "finish_reason", "lost");
    json_puti(usage, "input_tokens", m->input < 0 ? 0 : m->input);
    json_puti(usage, "output_tokens", m->output);
    json_put(usage, "estimated", json_true());
    json_put(payload, "usage", usage);
    return payload;
}

static void tell(struct backend *b, struct missing *m)
{
    const struct gw_model *model = gw_find(b->gw, m->model);
    struct cost_charge charge = {.priced = false};
    struct gw_usage u = {.estimated = true};
    int64_t at = 0;
    estimate(b, m, model);
    u.input_tokens = m->input < 0 ? 0 : m->input;
    u.output_tokens = m->output;
    if (model && m->input >= 0)
        orch_charge(b->cost, model, &u, NULL, &charge);
    if (clock_parse(json_str(m->call, "ts", ""), &at) != 0)
        at = clock_real_ms();
    int64_t entry = json_int(m->call, "seq", -1);
    const char *trace = json_str(m->call, "trace_id", NULL);
    const struct cost_line line = {
        .trace_id = trace,
        .model = m->model,
        .provider = model ? model->provider : json_str(m->payload, "provider", ""),
        .connector = json_str(m->payload, "connector", ""),
        .session = json_str(m->call, "session", ""),
        .project = conf_str(b->conf, "console", "", "project"),
        .flow = m->task,
        .at = at,
        .input_tokens = u.input_tokens,
        .output_tokens = u.output_tokens,
        .estimated = true,
        .priced = charge.priced,
        .amount_nano = charge.nano,
        .currency = charge.currency,
        .price_version = charge.version,
        .outcome = "lost",
        .attempt = 1,
        .first_token_ms = -1,
        .energy_mj = model && m->input >= 0 ? orch_energy_mj(model, &u) : -1,
        .entry = entry};
    struct line *l = xcalloc(1, sizeof *l);
    *l = (struct line){b, cost_line_copy(&line)};
    const struct prov_edge from = {entry, "generate", -1};
    char *actor = xasprintf("model:%s", m->model);
    json_t *payload = payload_of(m);
    const struct prov_entry output = {.type = m->type,
                                      .actor = actor,
                                      .trace_id = trace,
                                      .conversation = json_str(m->call, "conversation", NULL),
                                      .parents = &from,
                                      .parent_count = 1,
                                      .payload = payload};
    prov_append(b->prov, &output, written, l, insert, l);
    json_decref(payload);
    free(actor);
}

/* ---- which calls have no line */

static bool has_line(struct backend *b, int64_t entry)
{
    return store_scalar(store_reader(b->store), 1, "SELECT count(*) FROM ledger WHERE entry = ?",
                        "i", entry) > 0;
}

static bool was_running(struct backend *b, const char *trace)
{
    return store_scalar(store_reader(b->store), 0,
                        "SELECT count(*) FROM traces WHERE trace_id = ? AND state = 'running'", "s",
                        trace) > 0;
}

/* The model behind "model:NAME", or NULL. */
static const char *model_of(const json_t *entry)
{
    const char *actor = json_str(entry, "actor", "");
    return strncmp(actor, "model:", 6) == 0 ? actor + 6 : NULL;
}

static bool criticised(const json_t *critiques, int64_t call, const char *model)
{
    size_t i, j;
    json_t *one, *edge;
    json_array_foreach((json_t *)critiques, i, one)
    {
        const char *by = model_of(one);
        json_array_foreach(json_object_get(one, "edges"), j, edge)
        {
            if (by && strcmp(by, model) == 0 && json_int(edge, "seq", -1) == call)
                return true;
        }
    }
    return false;
}

/* One entry asks all models whose answers it names. */
static void look_at_critique(struct backend *b, const json_t *call, const json_t *payload)
{
    const struct prov_filter f = {.before = -1,
                                  .after = -1,
                                  .type = "critique",
                                  .trace_id = json_str(call, "trace_id", ""),
                                  .limit = TOGETHER};
    int64_t seq = json_int(call, "seq", -1);
    json_t *done = prov_list(b->prov, &f, NULL), *edge;
    size_t i;
    json_array_foreach(json_object_get(call, "edges"), i, edge)
    {
        if (strcmp(json_str(edge, "transform", ""), "critique") != 0)
            continue;
        json_t *answer = prov_get(b->prov, json_int(edge, "seq", -1), false, NULL);
        const char *model = model_of(answer);
        struct missing m = {call, payload, model, "critique", "critique", 0, 0};
        if (model && done && !criticised(done, seq, model))
            tell(b, &m);
        json_decref(answer);
    }
    json_decref(done);
}

static void look_at(struct backend *b, int64_t seq)
{
    json_t *call = prov_get(b->prov, seq, true, NULL);
    const json_t *payload = json_object_get(call, "payload");
    const char *task = json_str(payload, "task", "answer"), *model = model_of(call);
    const char *trace = json_str(call, "trace_id", NULL);
    struct missing m = {call, payload, model, "answer", "model.output", 0, 0};
    const char *type = json_str(call, "type", "");
    bool embedding = strcmp(type, "embedding") == 0;
    if (embedding || strcmp(type, "sample") == 0) {
        m = (struct missing){.call = call,
                             .payload = payload,
                             .model = json_str(payload, "model", NULL),
                             .task = embedding ? "embedding" : "sampling",
                             .type = embedding ? "embedding" : "sample"};
        if (strcmp(json_str(payload, "stage", ""), "request") == 0 && m.model && !has_line(b, seq))
            tell(b, &m);
    } else if (call && trace && was_running(b, trace)) {
        if (strcmp(task, "moderate") == 0)
            m.task = "safety";
        if (strcmp(task, "embed") == 0)
            m.task = "embedding";
        if (strcmp(task, "critique") == 0)
            look_at_critique(b, call, payload);
        else if (model && !has_line(b, seq))
            tell(b, &m);
    }
    json_decref(call);
}

void backend__lost_find(struct backend *b)
{
    static const char *const types[] = {"model.call", "sample", "embedding"};
    struct lost *l = xcalloc(1, sizeof *l);
    struct store_db *db = store_reader(b->store);
    store_query(db, NULL, take_session, l,
                "SELECT session, first FROM sessions WHERE seal IS NULL AND session <> ? "
                "ORDER BY first DESC LIMIT 16",
                "s", prov_session(b->prov));
    for (size_t i = 0; i < l->session_count; i++)
        for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
            l->count = 0;
            store_query(db, NULL, take_seq, l,
                        "SELECT seq FROM entries WHERE type = ? AND session = ? AND seq >= ? "
                        "ORDER BY seq DESC LIMIT 256",
                        "ssi", types[t], l->names[i], l->first[i]);
            for (size_t n = l->count; n--;) /* in the order in which they were made */
                look_at(b, l->seqs[n]);
        }
    free(l);
}
