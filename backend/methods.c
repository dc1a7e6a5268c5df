/* The methods of wire.def about the console itself: status, connectors, tools, cost; and what the
 * files of methods share. */
#include "backend/methods.h"
#include "backend/base/clock.h"
#include "backend/gateway/fit.h"
#include "backend/orchestrator/flow.h"
#include <stdlib.h>
#include <string.h>

/* ---- parameters */

bool method_limit(struct bus_call *c, const char *key, int64_t otherwise, int64_t min, int64_t max,
                  int64_t *out)
{
    const json_t *value = json_object_get(bus_params(c), key);
    *out = json_is_integer(value) ? json_integer_value(value) : otherwise;
    if ((value && !json_is_integer(value)) || *out < min || *out > max) {
        struct error e = {0};
        err_set(&e, ERR_INVALID, "%s is a whole number from %lld to %lld", key, (long long)min,
                (long long)max);
        bus_fail(c, &e);
        return false;
    }
    return true;
}

bool method_text(struct bus_call *c, const char *key, bool required, const char **out)
{
    const json_t *value = json_object_get(bus_params(c), key);
    *out = json_string_value(value);
    if ((value && !*out && !json_is_null(value)) || (required && !*out)) {
        struct error e = {0};
        err_set(&e, ERR_INVALID, "%s is a text%s", key, required ? " and required" : "");
        bus_fail(c, &e);
        return false;
    }
    return true;
}

void method_answer(struct bus_call *c, json_t *result, const struct error *e)
{
    if (result)
        bus_reply(c, result);
    else
        bus_fail(c, e);
}

json_t *method_page(const char *key, json_t *rows, int64_t limit, enum method_end far)
{
    json_t *result = json_object();
    size_t n = json_array_size(rows);
    bool more = n > (size_t)limit;
    if (more)
        json_array_remove(rows, far == METHOD_FIRST ? 0 : n - 1);
    json_put(result, "more", json_boolean(more));
    json_put(result, key, rows);
    return result;
}

/* ---- the demo role sees that something was said, not what */

void backend__withhold_text(json_t *object, const char *key)
{
    char *words = xasprintf("%s_words", key); /* the same as data */
    if (json_string_length(json_object_get(object, key)))
        json_puts(object, key, "withheld: role demo");
    json_object_del(object, words);
    free(words);
}

/* What a stage notes is ours, but for why one failed: that is a peer's text. */
void backend__withhold_stages(json_t *stages)
{
    size_t i;
    json_t *stage;
    json_array_foreach(stages, i, stage)
    {
        if (strcmp(json_str(stage, "state", ""), "failed") == 0) {
            backend__withhold_text(stage, "note");
            json_object_del(stage, "note_words");
        }
    }
}

/* Errors, command lines and a server's own words may hold what an audience must not see. */
void backend__withhold_connector(json_t *row)
{
    size_t i;
    json_t *tool, *tools = json_object_get(row, "tools");
    backend__withhold_text(row, "last_error");
    json_object_del(row, "command");
    json_object_del(row, "stderr");
    json_object_del(row, "calls");
    json_object_del(row, "noise");
    json_object_del(row, "sign_in_url");
    if (!json_is_array(tools))
        return;
    json_array_foreach(tools, i, tool)
    {
        backend__withhold_text(tool, "title");
        backend__withhold_text(tool, "description");
        json_put(tool, "input_schema", json_object());
        json_object_del(tool, "output_schema");
        json_object_del(tool, "annotations");
    }
}

void backend__withhold_status(json_t *status)
{
    size_t i;
    json_t *alert, *model;
    json_array_foreach(json_object_get(status, "alerts"), i, alert)
        backend__withhold_text(alert, "text");
    json_array_foreach(json_object_get(status, "models"), i, model)
        backend__withhold_text(json_object_get(model, "tokens"), "error");
    backend__withhold_text(json_object_get(json_object_get(status, "serving"), "error"), "detail");
    backend__withhold_text(json_object_get(status, "kill"), "by");
    backend__withhold_text(json_object_get(status, "kill"), "reason");
}

/* Paths, addresses and what connectors said last. */
void backend__withhold_checks(json_t *checks)
{
    size_t i;
    json_t *check;
    json_array_foreach(checks, i, check) backend__withhold_text(check, "text");
}

void backend__tell(struct backend *b, const char *type, json_t *data,
                   void (*withhold_from)(json_t *))
{
    bus_event_for(b->bus, BUS_REVIEWER, BUS_OPERATOR, type, data);
    json_t *withheld = json_deep_copy(data);
    withhold_from(withheld);
    bus_event_for(b->bus, BUS_NONE, BUS_DEMO, type, withheld);
    json_decref(withheld);
}

/* That something was found, and of which kind, but not the words. */
static void withhold_safety(json_t *safety)
{
    size_t i, n;
    json_t *entry, *found;
    json_array_foreach(safety, i, entry)
    {
        backend__withhold_text(entry, "failure");
        json_array_foreach(json_object_get(entry, "found"), n, found)
            json_object_del(found, "what");
    }
}

/* Words of what was found, and whose text it was. */
static void withhold_injections(json_t *list)
{
    size_t i, n;
    json_t *row, *found;
    json_array_foreach(list, i, row)
    {
        backend__withhold_text(row, "ref");
        json_array_foreach(json_object_get(row, "findings"), n, found)
            json_object_del(found, "words");
    }
}

/* A prompt in a person's own words; one that has a name is the console's. */
static void withhold_prompts(json_t *choice)
{
    static const char *const PROMPTS[] = {"promptA", "promptB"};
    for (size_t i = 0; i < sizeof PROMPTS / sizeof *PROMPTS; i++)
        if (!flow_prompt(json_str(choice, PROMPTS[i], "")))
            backend__withhold_text(choice, PROMPTS[i]);
}

void backend__withhold(json_t *trace)
{
    static const char *const LISTS[] = {"sources", "candidates", "critiques"};
    backend__withhold_text(trace, "question");
    backend__withhold_text(trace, "answer");
    backend__withhold_text(trace, "error");
    withhold_prompts(json_object_get(trace, "choice"));
    backend__withhold_text(json_object_get(trace, "plan"), "title");
    backend__withhold_stages(json_object_get(trace, "stages"));
    for (size_t l = 0; l < sizeof LISTS / sizeof *LISTS; l++) {
        size_t i;
        json_t *item;
        json_array_foreach(json_object_get(trace, LISTS[l]), i, item)
        {
            backend__withhold_text(item, "text");
            backend__withhold_text(item, "error");
            json_object_del(item, "chart");
            json_object_del(item, "refuted_why");
            json_object_del(item, "added");
            json_object_del(item, "dropped");
        }
    }
    size_t n;
    json_t *node;
    json_array_foreach(json_object_get(trace, "nodes"), n, node)
    {
        json_object_del(node, "run");
        backend__withhold_text(node, "note");
        json_object_del(node, "note_words");
    }
    withhold_safety(json_object_get(trace, "safety"));
    withhold_injections(json_object_get(trace, "injections"));
    json_t *verdict = json_object_get(trace, "verdict");
    if (json_is_object(verdict))
        json_put(verdict, "disputed", json_array());
    json_object_del(verdict, "claims");
    json_object_del(json_object_get(trace, "grounding"), "sentences");
    json_object_del(json_object_get(trace, "grounding"), "conflicts");
}

/* ---- status */

static json_t *chain_doc(const struct prov_state *s)
{
    static const char *const NAMES[] = {"unchecked", "intact", "broken"};
    json_t *chain = json_object();
    json_puts(chain, "state", NAMES[s->state]);
    json_puti(chain, "size", s->size);
    json_puti(chain, "verified", s->verified);
    json_puti(chain, "signed", s->signed_size);
    json_puts(chain, "head", s->head);
    json_puti(chain, "epoch", s->epoch);
    json_puti(chain, "base", s->base);
    json_puti(chain, "quarantined", s->quarantined);
    if (s->checked_at) {
        char at[CLOCK_TEXT];
        clock_format(s->checked_at, at);
        json_puts(chain, "checked_at", at);
    } else {
        json_put(chain, "checked_at", json_null());
    }
    return chain;
}

void method_alert(json_t *alerts, const char *severity, const char *source, const char *text)
{
    json_t *alert = json_object();
    json_puts(alert, "severity", severity);
    json_puts(alert, "source", source);
    json_puts(alert, "text", text);
    json_array_append_new(alerts, alert);
}

static void safety_alerts(const json_t *row, json_t *alerts)
{
    char text[160];
    int64_t changed = json_int(row, "drift", 0);
    const char *certificate = json_str(row, "cert_state", "");
    if (changed) {
        snprintf(text, sizeof text,
                 "the definitions of %lld tools have changed and are not called: connectors trust",
                 (long long)changed);
        method_alert(alerts, "warn", json_str(row, "name", ""), text);
    }
    if (strcmp(certificate, "expired") == 0)
        method_alert(alerts, "fail", json_str(row, "name", ""), "its certificate has expired");
    if (strcmp(certificate, "soon") == 0) {
        snprintf(text, sizeof text, "its certificate expires in %lld days",
                 (long long)json_int(row, "cert_days_left", 0));
        method_alert(alerts, "warn", json_str(row, "name", ""), text);
    }
    if (strcmp(json_str(json_object_get(row, "breaker"), "state", ""), "open") == 0)
        method_alert(alerts, "warn", json_str(row, "name", ""),
                     "its calls failed too often: it is left alone for a while");
}

static void flow_alerts(const struct backend *b, json_t *alerts)
{
    const struct flows *all = orch_flows(b->orch);
    for (size_t i = 0; i < all->wrong_count; i++) {
        char *text = xasprintf("%s%s", all->wrong[i].detail,
                               all->kept[i] ? "; what the file was before stays" : "");
        method_alert(alerts, "warn", "flows", text);
        free(text);
    }
}

static void connector_alerts(struct backend *b, json_t *alerts, json_t *counts)
{
    static const char *const STATES[] = {"ok", "warn", "fail", "starting", "disabled"};
    int64_t n[5] = {0};
    json_t *rows = conn_list(b->conn), *row;
    size_t i;
    json_array_foreach(rows, i, row)
    {
        const char *state = json_str(row, "state", "");
        bool sign_in = strcmp(state, "sign-in") == 0;
        state = sign_in ? "warn" : state;
        for (size_t s = 0; s < 5; s++)
            n[s] += strcmp(state, STATES[s]) == 0;
        if (strcmp(state, "fail") == 0 || strcmp(state, "warn") == 0)
            method_alert(alerts, state, json_str(row, "name", ""),
                         sign_in ? "it needs a sign-in: I in its pane, or connectors login"
                                 : json_str(row, "last_error", "degraded"));
        safety_alerts(row, alerts);
    }
    json_decref(rows);
    const char *trouble;
    for (unsigned k = 0; (trouble = conn_trouble(b->conn, k)); k++)
        method_alert(alerts, "fail", "connectors", trouble);
    if (b->reload_error.code != ERR_OK)
        method_alert(alerts, "fail", "configuration", err_words(&b->reload_error));
    flow_alerts(b, alerts);
    for (size_t s = 0; s < 5; s++)
        json_puti(counts, STATES[s], n[s]);
}

static json_t *models_doc(struct backend *b)
{
    json_t *models = json_array();
    for (size_t i = 0; i < gw_count(b->gw); i++) {
        const struct gw_model *m = gw_model(b->gw, i);
        json_t *row = json_object();
        json_puts(row, "name", m->name);
        json_puts(row, "kind", m->kind);
        json_puts(row, "provider", m->provider);
        json_puts(row, "region", m->region);
        json_puts(row, "about", m->about);
        json_put(row, "builtin", json_boolean(m->builtin));
        json_put(row, "tokens", gw_tokens_of_model(b->gw, m->name));
        json_array_append_new(models, row);
    }
    return models;
}

static void add_chain_alert(json_t *alerts, const struct prov_state *s)
{
    if (s->damaged < 0) {
        method_alert(alerts, "fail", "evidence", "the log does not verify");
        return;
    }
    char *text =
        xasprintf("the log does not verify: %lld entries are quarantined, the first is %lld; "
                  "it goes on in epoch %lld",
                  (long long)s->quarantined, (long long)s->damaged, (long long)s->epoch);
    method_alert(alerts, "fail", "evidence", text);
    free(text);
}

static void add_alerts(struct backend *b, const struct prov_state *chain, json_t *status,
                       json_t *alerts, json_t *counts)
{
    connector_alerts(b, alerts, counts);
    if (chain->state == PROV_BROKEN)
        add_chain_alert(alerts, chain);
    if (b->know_warning.code != ERR_OK)
        method_alert(alerts, "warn", "knowledge", b->know_warning.detail);
    if (*evals_alert(b->evals))
        method_alert(alerts, "warn", "evaluation", evals_alert(b->evals));
    char retention[160];
    if (backend__retention_alert(b, retention))
        method_alert(alerts, "warn", "retention", retention);
    if (chain->signing.code != ERR_OK)
        method_alert(alerts, chain->signing.code == ERR_TAMPERED ? "fail" : "warn", "checkpoints",
                     chain->signing.detail);
    backend__witness_status(b, status, alerts);
    if (backend__daily_error(b))
        method_alert(alerts, "warn", "daily bundle", err_words(backend__daily_error(b)));
    if (orch_safety(b->orch)->last.code != ERR_OK) {
        char *text = xasprintf("%s does not judge: %s", orch_safety(b->orch)->judge,
                               orch_safety(b->orch)->last.detail);
        method_alert(alerts, "warn", "safety", text);
        free(text);
    }
    if (b->served_error.code)
        method_alert(alerts, "warn", "mcp_server", err_words(&b->served_error));
    backend__observe_status(b, alerts);
    backend__spending_status(b, alerts);
}

double backend__alerts(void *arg)
{
    struct backend *b = arg;
    struct prov_state chain;
    json_t *status = json_object(), *alerts = json_array(), *counts = json_object(), *alert;
    double n = 0;
    size_t i;
    prov_state(b->prov, &chain);
    add_alerts(b, &chain, status, alerts, counts);
    json_array_foreach(alerts, i, alert) n +=
        strcmp(json_str(alert, "severity", ""), "fail") == 0 ? 1 : 0.5;
    json_decref(status);
    json_decref(alerts);
    json_decref(counts);
    return n;
}

json_t *backend__status(struct backend *b)
{
    struct prov_state chain;
    prov_state(b->prov, &chain);
    json_t *status = json_object(), *alerts = json_array(), *counts = json_object();
    add_alerts(b, &chain, status, alerts, counts);
    json_t *summary = cost_summary(b->cost, conf_str(b->conf, "console", "", "currency"), 1, NULL);
    json_t *today = json_object_get(summary, "today"), *spend = json_object();
    json_puts(spend, "amount", json_str(today, "amount", "0.00"));
    json_puts(spend, "currency", conf_str(b->conf, "console", "", "currency"));
    json_puti(spend, "unknown", json_int(today, "unknown", 0));
    json_decref(summary);
    json_t *runbooks = json_object();
    json_puti(runbooks, "documents", b->know ? (int64_t)know_documents(b->know) : 0);
    json_puti(runbooks, "chunks", b->know ? (int64_t)know_chunks(b->know) : 0);
    json_puts(status, "environment", conf_str(b->conf, "console", "", "environment"));
    json_puts(status, "role", bus_role_name(b->max_role));
    json_puts(status, "level", bus_level_name(b->max_level));
    backend__plans_status(b, status);
    json_put(status, "alerts", alerts);
    json_put(status, "spend_today", spend);
    json_put(status, "chain", chain_doc(&chain));
    json_put(status, "models", models_doc(b));
    json_put(status, "runbooks", runbooks);
    json_put(status, "connectors", counts);
    json_put(status, "serving", backend__served(b));
    return status;
}

static void tell_status(void *arg)
{
    struct backend *b = arg;
    loop_timer_free(b->status_timer);
    b->status_timer = NULL;
    if (b->stopping)
        return;
    struct prov_state chain;
    prov_state(b->prov, &chain);
    if (chain.size != b->told_size) {
        json_t *entry = json_object();
        b->told_size = chain.size;
        json_puti(entry, "size", chain.size);
        bus_event(b->bus, "entry", entry);
        json_decref(entry);
    }
    backend__epoch_tell(b, &chain);
    if (b->score_due) {
        b->score_due = false;
        backend__score_tell(b);
    }
    json_t *status = backend__status(b);
    backend__observe_alerts(b, json_object_get(status, "alerts"));
    char *text = json_write(status);
    if (!b->last_status || strcmp(text, b->last_status) != 0) {
        free(b->last_status);
        b->last_status = text;
        backend__tell(b, "status", status, backend__withhold_status);
    } else {
        free(text);
    }
    json_decref(status);
}

void backend__changed(struct backend *b)
{
    enum { TOGETHER_MS = 100 };
    if (b->status_timer || b->stopping || !b->loop)
        return;
    b->status_timer = loop_timer_new(b->loop, tell_status, b);
    loop_timer_start(b->status_timer, TOGETHER_MS, 0);
}

void on_status_get(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    json_t *status = backend__status(b);
    json_puts(status, "role", bus_role_name(bus_session(c)->role));
    json_puts(status, "level", bus_level_name(bus_session(c)->level));
    json_t *background = json_null();
    if (b->rolling) {
        background = json_object();
        json_puti(background, "checked", b->rolling_checked);
        json_puti(background, "size", b->rolling_size);
    }
    json_put(json_object_get(status, "chain"), "background", background);
    json_puti(status, "uptime_ms", (int64_t)(clock_mono_ms() - b->started_ms));
    if (bus_session(c)->role < BUS_REVIEWER)
        backend__withhold_status(status);
    bus_reply(c, status);
}

/* ---- connectors and tools */

void on_connectors_list(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    json_t *result = json_object();
    json_t *rows = conn_list(b->conn), *row;
    size_t i;
    if (bus_session(c)->role < BUS_REVIEWER)
        json_array_foreach(rows, i, row) backend__withhold_connector(row);
    json_put(result, "connectors", rows);
    bus_reply(c, result);
}

void on_connectors_get(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *name;
    struct error e = {0};
    if (!method_text(c, "name", true, &name))
        return;
    json_t *row = conn_describe(b->conn, name);
    backend__mark_steering(row, json_object_get(row, "instructions"));
    backend__mark_tools(json_object_get(row, "tools"));
    if (!row)
        err_set(&e, ERR_NOT_FOUND, "no connector \"%s\"", name);
    else if (bus_session(c)->role < BUS_REVIEWER)
        backend__withhold_connector(row);
    method_answer(c, row, &e);
}

void on_connectors_check(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *name;
    struct error e = {0};
    if (!method_text(c, "name", true, &name))
        return;
    method_answer(c, conn_check(b->conn, name, &e) == ERR_OK ? json_object() : NULL, &e);
}

struct restart {
    struct backend *backend;
    struct bus_call *call;
    char *name;
};

/* Nothing is stopped that was not logged first. */
static void restart_logged(void *arg, int64_t seq, const struct error *e)
{
    struct restart *r = arg;
    struct error why = *e;
    (void)seq;
    if (why.code == ERR_OK && r->backend->stopping)
        err_set(&why, ERR_CLOSED, "the console is stopping");
    if (why.code == ERR_OK)
        conn_restart(r->backend->conn, r->name, &why);
    method_answer(r->call, why.code == ERR_OK ? json_object() : NULL, &why);
    free(r->name);
    free(r);
}

void on_connectors_restart(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *name;
    if (!method_text(c, "name", true, &name))
        return;
    struct restart *r = xcalloc(1, sizeof *r);
    *r = (struct restart){b, c, xstrdup(name)};
    json_t *payload = json_object();
    json_puts(payload, "what", "restart a connector");
    json_puts(payload, "connector", name);
    struct prov_entry entry = {
        .type = "config", .actor = bus_role_name(bus_session(c)->role), .payload = payload};
    prov_append(b->prov, &entry, restart_logged, r, NULL, NULL);
    json_decref(payload);
}

void on_connectors_settled(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    json_t *result = json_object();
    json_put(result, "settled", json_boolean(conn_settled(b->conn)));
    bus_reply(c, result);
}

int64_t backend__log_tagged(struct backend *b, const char *type, const char *actor, json_t *payload,
                            const struct prov_edge *parent, prov_done *done, void *arg)
{
    const char *tags[9];
    char *text = json_write(payload);
    tags[pol_pii_tags(text, tags, 8)] = NULL;
    free(text);
    struct prov_entry entry = {.type = type,
                               .actor = actor,
                               .pii_tags = tags,
                               .parents = parent,
                               .parent_count = parent ? 1 : 0,
                               .payload = payload};
    int64_t seq = prov_append(b->prov, &entry, done, arg, NULL, NULL);
    json_decref(payload);
    return seq;
}

/* A tool called by hand: logged, called when that is durable, its result logged, then answered. */
struct hand_call {
    struct backend *backend;
    struct bus_call *call;
    char *connector, *tool, *actor;
    json_t *arguments, *result;
    int64_t call_entry, result_entry;
};

static void hand_free(struct hand_call *h)
{
    free(h->connector);
    free(h->tool);
    free(h->actor);
    json_decref(h->arguments);
    json_decref(h->result);
    free(h);
}

static int64_t hand_log(struct hand_call *h, const char *type, json_t *payload,
                        const struct prov_edge *parent, prov_done *done)
{
    json_puts(payload, "connector", h->connector);
    json_puts(payload, "tool", h->tool);
    return backend__log_tagged(h->backend, type, h->actor, payload, parent, done, h);
}

static void hand_result_logged(void *arg, int64_t seq, const struct error *e)
{
    struct hand_call *h = arg;
    if (e->code != ERR_OK) {
        bus_fail(h->call, e);
    } else {
        json_t *entries = json_array();
        json_array_append_new(entries, json_integer(h->call_entry));
        json_array_append_new(entries, json_integer(seq));
        json_put(h->result, "entries", entries);
        if (json_flag(h->result, "cut", false)) {
            char *text = xasprintf("%s%s[cut: entry %lld of the log has all %lld bytes]",
                                   json_str(h->result, "text", ""),
                                   *json_str(h->result, "text", "") ? "\n" : "", (long long)seq,
                                   (long long)json_int(h->result, "bytes", 0));
            json_puts(h->result, "text", text);
            free(text);
        }
        bus_reply(h->call, json_incref(h->result));
    }
    hand_free(h);
}

static void hand_ready(void *arg, const struct orch_ready *ready)
{
    struct hand_call *h = arg;
    if (ready->error.code != ERR_OK) {
        bus_fail(h->call, &ready->error);
        hand_free(h);
        return;
    }
    const struct prov_edge parent = {h->call_entry, "call", -1};
    struct prov_entry entry = {.type = "tool.result",
                               .actor = h->actor,
                               .pii_tags = ready->tags,
                               .parents = &parent,
                               .parent_count = 1,
                               .prepared = ready->payload};
    h->result = json_incref(ready->answer);
    prov_append(h->backend->prov, &entry, hand_result_logged, h, NULL, NULL);
}

static void hand_done(void *arg, const struct conn_result *r)
{
    struct hand_call *h = arg;
    bool ok = r->error.code == ERR_OK && !r->is_error;
    const char *text = r->error.code == ERR_OK ? r->text : err_words(&r->error);
    json_t *payload = json_object(), *answer = json_object();
    json_puts(payload, "connector", h->connector);
    json_puts(payload, "tool", h->tool);
    json_put(payload, "ok", json_boolean(ok));
    if (r->taken_over_by)
        json_puts(payload, "taken_over_by", r->taken_over_by);
    json_puti(payload, "elapsed_us", r->elapsed_us);
    if (r->error.code == ERR_OK)
        orch_put_result(payload, ok ? "content" : "error", r);
    else
        json_puts(payload, "error", text);
    json_put(answer, "ok", json_boolean(ok));
    json_put(answer, "text", json_text(text, strlen(text)));
    json_put(answer, "data", r->data ? json_incref((json_t *)r->data) : json_null());
    if (r->text_bytes > strlen(r->text))
        json_put(answer, "cut", json_true());
    json_puti(answer, "bytes", (int64_t)(r->error.code == ERR_OK ? r->text_bytes : strlen(text)));
    if (r->taken_over_by)
        json_puts(answer, "taken_over_by", r->taken_over_by);
    json_puti(answer, "elapsed_us", r->elapsed_us);
    orch_prepare(h->backend->orch, payload, answer, hand_ready, h);
}

static void hand_call_logged(void *arg, int64_t seq, const struct error *e)
{
    struct hand_call *h = arg;
    struct error why = *e;
    h->call_entry = seq;
    const struct conn_call_options options = {
        .limit_ms = 30000, .max_ms = 300000, .parent = bus_context(h->call)};
    if (h->backend->stopping) /* the connectors may be gone already */
        err_set(&why, ERR_CLOSED, "the console is stopping");
    if (why.code == ERR_OK && conn_call(h->backend->conn, h->connector, h->tool, h->arguments,
                                        &options, hand_done, h, &why))
        return;
    bus_fail(h->call, &why);
    hand_free(h);
}

void on_tools_call(struct bus_call *c, void *arg)
{
    const char *connector, *tool;
    if (!method_text(c, "connector", true, &connector) || !method_text(c, "tool", true, &tool))
        return;
    json_t *arguments = json_object_get(bus_params(c), "arguments");
    struct hand_call *h = xcalloc(1, sizeof *h);
    h->backend = arg;
    h->call = c;
    h->connector = xstrdup(connector);
    h->tool = xstrdup(tool);
    h->actor = xstrdup(bus_role_name(bus_session(c)->role));
    h->arguments = json_is_object(arguments) ? json_deep_copy(arguments) : json_object();
    json_t *payload = json_object();
    json_put(payload, "arguments", json_incref(h->arguments));
    json_puts(payload, "why", "called by hand");
    hand_log(h, "tool.call", payload, NULL, hand_call_logged);
}

/* ---- cost */

/* Where the energy of each model is known from now; "" of one that is configured no more. */
static void put_energy_sources(const struct backend *b, json_t *summary)
{
    json_t *row;
    size_t i;
    json_array_foreach(json_object_get(summary, "by_model"), i, row)
    {
        const struct gw_model *m = gw_find(b->gw, json_str(row, "model", ""));
        const char *source = "";
        if (m)
            gw_energy(m, &source);
        json_puts(row, "energy_source", source);
    }
}

void on_cost_summary(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    int64_t days;
    struct error e = {0};
    if (!method_limit(c, "days", 30, 1, 366, &days))
        return;
    json_t *result =
        cost_summary(b->cost, conf_str(b->conf, "console", "", "currency"), (int)days, &e);
    put_energy_sources(b, result);
    method_answer(c, result, &e);
}

void on_cost_ledger(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    int64_t before, limit;
    struct error e = {0};
    if (!method_limit(c, "before", -1, -1, INT64_MAX, &before) ||
        !method_limit(c, "limit", 100, 1, 500, &limit))
        return;
    json_t *lines = cost_ledger(b->cost, before, (size_t)limit + 1, &e);
    method_answer(c, lines ? method_page("lines", lines, limit, METHOD_LAST) : NULL, &e);
}

/* ---- the table */

bus_handler *const backend__handlers[WIRE_COUNT] = {
#define WIRE(id, name, role, mutates, params, result, help) [WIRE_##id] = on_##id,
#define on_session_hello NULL
#define on_session_bye NULL
#define on_session_ping NULL
#define on_events_next NULL
#include "backend/bus/wire.def"
#undef WIRE
};
