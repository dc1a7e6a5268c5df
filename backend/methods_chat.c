/* The methods of the chat: asking, conversations, their export, who can answer, traces. */
#include "backend/base/text.h"
#include "backend/methods.h"
#include "backend/orchestrator/flow.h"
#include "backend/provenance/search.h"
#include "backend/transcript.h"
#include <stdlib.h>
#include <string.h>

static void withhold_traces(const struct bus_call *c, json_t *traces)
{
    size_t i;
    json_t *trace;
    if (bus_session(c)->role >= BUS_REVIEWER)
        return;
    json_array_foreach(traces, i, trace) backend__withhold(trace);
}

static void on_accepted(void *arg, const char *trace_id, const char *conversation, int64_t entry,
                        const struct error *e)
{
    struct bus_call *c = arg;
    if (e->code != ERR_OK) {
        bus_fail(c, e);
        return;
    }
    json_t *result = json_object();
    json_puts(result, "trace_id", trace_id);
    json_puts(result, "conversation", conversation);
    json_puti(result, "entry", entry);
    bus_reply(c, result);
}

/* The names in `models`, into names; false when the call was answered with an error. */
static bool take_models(struct bus_call *c, const char **names, size_t *count)
{
    const json_t *list = json_object_get(bus_params(c), "models"), *one;
    struct error e = {0};
    size_t i;
    *count = 0;
    if (!list || json_is_null(list))
        return true;
    json_array_foreach((json_t *)list, i, one)
    {
        if (json_is_string(one) && *count < ORCH_MODELS)
            names[(*count)++] = json_string_value(one);
        else
            err_set(&e, ERR_INVALID, "models is a list of 1 to %d names", ORCH_MODELS);
    }
    if (!*count)
        err_set(&e, ERR_INVALID, "models is a list of 1 to %d names", ORCH_MODELS);
    if (e.code == ERR_OK)
        return true;
    bus_fail(c, &e);
    return false;
}

/* The two sides of an exchange: models in the place of `models`, prompts, how often. False when the
 * call was answered with an error. */
static bool take_sides(struct bus_call *c, struct orch_ask *ask, const char **names)
{
    static const char *const MODELS[] = {"modelA", "modelB"}, *const PROMPTS[] = {"promptA",
                                                                                  "promptB"};
    const char *models[2];
    for (size_t i = 0; i < 2; i++)
        if (!method_text(c, MODELS[i], false, &models[i]) ||
            !method_text(c, PROMPTS[i], false, &ask->prompts[i]))
            return false;
    if (json_object_get(bus_params(c), "exchanges") &&
        !method_limit(c, "exchanges", 1, 1, ORCH_EXCHANGES, &ask->exchanges))
        return false;
    struct error e = {0};
    if ((models[0] || models[1]) && (ask->model_count || !models[0] || !models[1])) {
        err_set(&e, ERR_INVALID, "modelA and modelB go together, and not with models");
        bus_fail(c, &e);
        return false;
    }
    for (size_t i = 0; i < 2 && models[i]; i++)
        names[ask->model_count++] = models[i];
    bool sides = models[0] || ask->prompts[0] || ask->prompts[1] || ask->exchanges;
    if (sides && !ask->flow)
        ask->flow = "dual";
    return true;
}

void on_chat_ask(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *names[ORCH_MODELS];
    struct orch_ask ask = {.actor = bus_role_name(bus_session(c)->role),
                           .session = bus_session(c)->id,
                           .models = names};
    struct error e = {0};
    if (!method_text(c, "text", true, &ask.text) ||
        !method_text(c, "conversation", false, &ask.conversation) ||
        !method_text(c, "flow", false, &ask.flow) || !method_text(c, "again", false, &ask.again) ||
        !take_models(c, names, &ask.model_count) || !take_sides(c, &ask, names))
        return;
    char user[64];
    if (bus_session(c)->level >= BUS_RECOMMEND) {
        backend__user(user);
        ask.user = user;
    }
    if (orch_ask(b->orch, &ask, on_accepted, c, &e) != ERR_OK)
        bus_fail(c, &e);
}

void on_chat_stop(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *trace_id;
    struct error e = {0};
    if (!method_text(c, "trace_id", false, &trace_id))
        return;
    size_t stopped;
    if (orch_stop(b->orch, trace_id, &stopped, &e) != ERR_OK) {
        bus_fail(c, &e);
        return;
    }
    json_t *result = json_object();
    json_puti(result, "stopped", (int64_t)stopped);
    bus_reply(c, result);
}

void on_chat_resume(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    json_t *result = json_object();
    json_puti(result, "resumed", (int64_t)orch_resume(b->orch));
    bus_reply(c, result);
}

void on_chat_history(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *conversation;
    int64_t before, limit;
    struct error e = {0};
    if (!method_text(c, "conversation", false, &conversation) ||
        !method_limit(c, "before", -1, -1, INT64_MAX, &before) ||
        !method_limit(c, "limit", 50, 1, 200, &limit))
        return;
    json_t *turns = orch_turns(b->orch, conversation, before, (size_t)limit + 1, &e);
    if (turns)
        withhold_traces(c, turns);
    method_answer(c, turns ? method_page("turns", turns, limit, METHOD_FIRST) : NULL, &e);
}

void on_traces_list(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    int64_t before, limit;
    struct error e = {0};
    if (!method_limit(c, "before", -1, -1, INT64_MAX, &before) ||
        !method_limit(c, "limit", 100, 1, 500, &limit))
        return;
    bool evals = json_flag(bus_params(c), "evals", true);
    json_t *traces = orch_traces(b->orch, before, (size_t)limit + 1, evals, &e);
    if (traces)
        withhold_traces(c, traces);
    method_answer(c, traces ? method_page("traces", traces, limit, METHOD_LAST) : NULL, &e);
}

void on_traces_get(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *id;
    struct error e = {0};
    if (!method_text(c, "trace_id", true, &id))
        return;
    json_t *trace = orch_trace(b->orch, id, &e);
    if (trace && bus_session(c)->role < BUS_REVIEWER)
        backend__withhold(trace);
    method_answer(c, trace, &e);
}

/* ---- conversations */

void on_chat_conversations(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *text;
    int64_t before, limit;
    struct error e = {0};
    bool texts = bus_session(c)->role >= BUS_REVIEWER;
    if (!method_text(c, "text", false, &text) ||
        !method_limit(c, "before", -1, -1, INT64_MAX, &before) ||
        !method_limit(c, "limit", 50, 1, 200, &limit))
        return;
    if (text && strlen(text) > PROV_SEARCH_TEXT)
        err_set(&e, ERR_INVALID, "text is at most %d bytes", PROV_SEARCH_TEXT);
    else if (text && *text && !texts)
        err_set(&e, ERR_DENIED, "the demo role does not search texts");
    if (e.code != ERR_OK) {
        bus_fail(c, &e);
        return;
    }
    json_t *page = orch_conversations(b->orch, before, (size_t)limit, text, &e), *row;
    size_t i;
    json_array_foreach(json_object_get(page, "conversations"), i, row)
    {
        if (!texts)
            backend__withhold_text(row, "title");
    }
    method_answer(c, page, &e);
}

static void on_forked(void *arg, const char *conversation, int64_t entry, const struct error *e)
{
    struct bus_call *c = arg;
    json_t *result = e->code == ERR_OK ? json_object() : NULL;
    if (result) {
        json_puts(result, "conversation", conversation);
        json_puti(result, "entry", entry);
    }
    method_answer(c, result, e);
}

void on_chat_fork(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *conversation, *trace_id;
    struct error e = {0};
    if (!method_text(c, "conversation", true, &conversation) ||
        !method_text(c, "trace_id", true, &trace_id))
        return;
    if (orch_fork(b->orch, conversation, trace_id, bus_role_name(bus_session(c)->role), on_forked,
                  c, &e) != ERR_OK)
        bus_fail(c, &e);
}

/* ---- export */

struct exported {
    struct bus_call *call;
    json_t *result;
};

/* Nothing is given out that was not logged first. */
static void on_export_logged(void *arg, int64_t seq, const struct error *e)
{
    struct exported *x = arg;
    json_puti(x->result, "entry", seq);
    method_answer(x->call, e->code == ERR_OK ? json_incref(x->result) : NULL, e);
    json_decref(x->result);
    free(x);
}

static void export_text(struct backend *b, struct bus_call *c, const char *conversation,
                        const char *format, const json_t *turns, const char *text)
{
    uint8_t digest[VAULT_HASH];
    char hex[2 * VAULT_HASH + 1];
    size_t len = strlen(text);
    vault_sha256(text, len, NULL, 0, digest);
    text_hex(digest, sizeof digest, hex);
    json_t *payload = json_object();
    json_puts(payload, "conversation", conversation);
    json_puts(payload, "format", format);
    json_puti(payload, "turns", (int64_t)json_array_size(turns));
    json_puti(payload, "size", (int64_t)len);
    json_puts(payload, "sha256", hex);
    struct exported *x = xcalloc(1, sizeof *x);
    *x = (struct exported){c, json_object()};
    char *name = xasprintf("conversation-%.8s.%s", conversation,
                           strcmp(format, "json") == 0 ? "json" : "md");
    json_puts(x->result, "name", name);
    json_puti(x->result, "turns", (int64_t)json_array_size(turns));
    json_put(x->result, "text", json_text(text, len));
    json_puts(x->result, "sha256", hex);
    free(name);
    struct prov_entry entry = {.type = "export",
                               .actor = bus_role_name(bus_session(c)->role),
                               .conversation = conversation,
                               .payload = payload};
    prov_append(b->prov, &entry, on_export_logged, x, NULL, NULL);
    json_decref(payload);
}

void on_chat_export(struct bus_call *c, void *arg)
{
    enum { TURNS_MAX = 1000, TEXT_MAX = 8 << 20 };
    struct backend *b = arg;
    const char *conversation, *format;
    struct error e = {0};
    if (!method_text(c, "conversation", true, &conversation) ||
        !method_text(c, "format", false, &format))
        return;
    format = format ? format : "markdown";
    bool json = strcmp(format, "json") == 0;
    if (!json && strcmp(format, "markdown") != 0)
        err_set(&e, ERR_INVALID, "format is markdown or json");
    json_t *turns = e.code ? NULL : orch_turns_whole(b->orch, conversation, -1, TURNS_MAX + 1, &e);
    if (turns && !json_array_size(turns))
        err_set(&e, ERR_NOT_FOUND, "no conversation %.64s", conversation);
    else if (json_array_size(turns) > TURNS_MAX)
        err_set(&e, ERR_TOO_BIG, "the conversation has more than %d turns", TURNS_MAX);
    char *text = e.code ? NULL : transcript(conversation, turns, json);
    if (text && strlen(text) > TEXT_MAX)
        err_set(&e, ERR_TOO_BIG, "the text has %zu bytes", strlen(text));
    if (e.code != ERR_OK)
        bus_fail(c, &e);
    else
        export_text(b, c, conversation, format, turns, text);
    free(text);
    json_decref(turns);
}

/* ---- who can answer, and how */

/* What a million tokens cost now, each way; null: not known, or built in. */
static json_t *price_of(const struct backend *b, const struct gw_model *m)
{
    enum { MILLION = 1000000 };
    const struct gw_usage in = {.input_tokens = MILLION, .estimated = true},
                          out = {.output_tokens = MILLION, .estimated = true};
    struct cost_charge charge_in, charge_out;
    char amount[32];
    orch_charge(b->cost, m, &in, NULL, &charge_in);
    orch_charge(b->cost, m, &out, NULL, &charge_out);
    if (m->builtin || !charge_in.priced || !charge_out.priced)
        return json_null();
    json_t *price = json_object();
    cost_format(charge_in.nano, amount);
    json_puts(price, "in", amount);
    cost_format(charge_out.nano, amount);
    json_puts(price, "out", amount);
    json_puts(price, "currency", charge_in.currency);
    return price;
}

static json_t *model_row(const struct backend *b, size_t i)
{
    const struct gw_model *m = gw_model(b->gw, i);
    json_t *row = json_object();
    json_puts(row, "name", m->name);
    json_puts(row, "kind", m->kind);
    json_puts(row, "provider", m->provider);
    json_puts(row, "region", m->region);
    json_puts(row, "about", m->about);
    json_put(row, "builtin", json_boolean(m->builtin));
    json_put(row, "usual", json_boolean(gw_is_chosen(b->gw, m->name)));
    json_puti(row, "context", m->context);
    json_put(row, "price", price_of(b, m));
    json_put(row, "state", gw_state(b->gw, i));
    return row;
}

/* As chat.ask takes them. */
static json_t *pool_rows(const struct backend *b)
{
    json_t *rows = json_array();
    const char *name, *models;
    for (size_t i = 0; (name = gw_pool_name(b->gw, i, &models)); i++) {
        json_t *row = json_object();
        char *word = xasprintf("pool:%s", name);
        json_puts(row, "name", word);
        json_puts(row, "models", models);
        json_put(row, "usual", json_boolean(gw_is_chosen(b->gw, word)));
        json_array_append_new(rows, row);
        free(word);
    }
    return rows;
}

void on_chat_models(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    json_t *result = json_object(), *models = json_array(), *flows = json_array();
    for (size_t i = 0; i < gw_count(b->gw); i++)
        json_array_append_new(models, model_row(b, i));
    for (size_t i = 0; i < orch_flows(b->orch)->count; i++) {
        const struct flow *f = orch_flows(b->orch)->at[i];
        json_t *row = json_object();
        json_puts(row, "name", f->name);
        json_puts(row, "about", f->about);
        json_puti(row, "models", (int64_t)f->models);
        json_put(row, "usual", json_boolean(strcmp(f->name, orch_flow_usual(b->orch)) == 0));
        json_array_append_new(flows, row);
    }
    json_t *by_risk = json_object();
    json_puts(by_risk, "name", ORCH_BY_RISK);
    json_puts(by_risk, "about", orch_by_risk_about);
    json_puti(by_risk, "models", ORCH_MODELS);
    json_put(by_risk, "usual", json_boolean(strcmp(ORCH_BY_RISK, orch_flow_usual(b->orch)) == 0));
    json_array_append_new(flows, by_risk);
    json_put(result, "models", models);
    json_put(result, "pools", pool_rows(b));
    json_put(result, "flows", flows);
    bus_reply(c, result);
}
