/* What the tools do: each is a call of the bus, or a few, and the shape of its answer. */
#include "backend/base/clock.h"
#include "server/internal.h"
#include <stdlib.h>
#include <string.h>

/* ---- one call of the bus ---- */

void server__wire(struct call *c, enum wire_method m, json_t *params, busc_reply *fn)
{
    enum { TRACEPARENT_MAX = 128 };
    const char *trace = json_str(json_object_get(c->params, "_meta"), "traceparent", NULL);
    if (trace && strlen(trace) <= TRACEPARENT_MAX) { /* the agent's trace goes on here */
        json_t *meta = json_object();
        params = params ? params : json_object();
        json_puts(meta, "traceparent", trace);
        json_put(params, "_meta", meta);
    }
    server__hold(c);
    busc_call(c->server->bus, m, params, fn, c);
}

static void on_reply(void *arg, const json_t *result, const struct error *e)
{
    struct call *c = arg;
    if (c->over)
        ;
    else if (!result)
        server__tool_failed(c, e);
    else if (c->shape)
        server__tool_done(c, c->shape(c, result), NULL);
    else
        server__tool_done(c, json_deep_copy(result), NULL);
    server__release(c);
}

static void pass(struct call *c, enum wire_method m)
{
    server__wire(c, m, json_deep_copy(c->arguments), on_reply);
}

static void start_status(struct call *c)
{
    pass(c, WIRE_status_get);
}

static void start_cost(struct call *c)
{
    pass(c, WIRE_cost_summary);
}

static void start_lineage(struct call *c)
{
    pass(c, WIRE_evidence_lineage);
}

static void start_proof(struct call *c)
{
    pass(c, WIRE_evidence_proof);
}

static void start_trace(struct call *c)
{
    pass(c, WIRE_traces_get);
}

static void start_checkpoint(struct call *c)
{
    pass(c, WIRE_evidence_checkpoint);
}

/* A payload may have many megabytes; a model gets as much of one as of a tool's result. */
json_t *server__shape_entry(struct call *c, const json_t *result)
{
    enum { MOST = 65536 };
    json_t *out = json_deep_copy(result);
    const json_t *payload = json_object_get(out, "payload");
    char *text = payload ? json_write(payload) : xstrdup("");
    size_t len = strlen(text), keep = MOST;
    (void)c;
    if (len > MOST) {
        while (keep > 0 && ((unsigned char)text[keep] & 0xc0) == 0x80)
            keep--;
        json_t *cut = json_object();
        json_put(cut, "bytes", json_integer((json_int_t)len));
        json_put(cut, "begins", json_stringn(text, keep));
        json_put(out, "payload", json_null());
        json_put(out, "cut", cut);
    }
    free(text);
    return out;
}

static void start_get(struct call *c)
{
    c->shape = server__shape_entry;
    json_t *params = json_deep_copy(c->arguments);
    if (c->server->role >= BUS_REVIEWER && !json_object_get(params, "payload"))
        json_put(params, "payload", json_true());
    server__wire(c, WIRE_evidence_get, params, on_reply);
}

static void start_verify(struct call *c)
{
    json_t *params = json_deep_copy(c->arguments);
    json_put(params, "wait", json_true());
    server__wire(c, WIRE_evidence_verify, params, on_reply);
}

/* Times as people write them become milliseconds. */
static bool take_time(struct call *c, json_t *params, const char *key)
{
    const char *text = json_str(params, key, NULL);
    int64_t ms;
    struct error e = {0};
    if (!text)
        return true;
    if (clock_parse(text, &ms) == 0) {
        json_puti(params, key, ms);
        return true;
    }
    err_set(&e, ERR_INVALID, "%s is no time as 2026-11-21T03:12:44.071Z", key);
    server__tool_failed(c, &e);
    return false;
}

static void start_search(struct call *c)
{
    enum { FEW = 20 };
    json_t *params = json_deep_copy(c->arguments);
    if (!json_object_get(params, "limit"))
        json_puti(params, "limit", FEW);
    if (take_time(c, params, "since") && take_time(c, params, "until"))
        server__wire(c, WIRE_evidence_search, params, on_reply);
    else
        json_decref(params);
}

static json_t *shape_connectors(struct call *c, const json_t *result)
{
    json_t *out = json_object(), *rows = json_array(), *row;
    size_t i;
    (void)c;
    if (json_object_get(result, "connectors")) {
        json_array_foreach(json_object_get(result, "connectors"), i, row)
            json_array_append_new(rows, json_deep_copy(row));
    } else {
        json_array_append_new(rows, json_deep_copy(result));
    }
    json_put(out, "connectors", rows);
    return out;
}

static void start_health(struct call *c)
{
    const char *name = json_str(c->arguments, "connector", NULL);
    c->shape = shape_connectors;
    json_t *params = json_object();
    if (name)
        json_puts(params, "name", name);
    server__wire(c, name ? WIRE_connectors_get : WIRE_connectors_list, params, on_reply);
}

static json_t *shape_score(struct call *c, const json_t *result)
{
    json_t *out = json_deep_copy(result), *controls = json_array(), *row;
    size_t i;
    json_object_del(out, "history");
    if (!json_flag(c->arguments, "failing_only", false))
        return json_decref(controls), out;
    json_array_foreach(json_object_get(out, "controls"), i, row)
    {
        const char *status = json_str(row, "status", "");
        if (strcmp(status, "warn") == 0 || strcmp(status, "fail") == 0)
            json_array_append(controls, row);
    }
    json_put(out, "controls", controls);
    return out;
}

static void start_score(struct call *c)
{
    c->shape = shape_score;
    server__wire(c, WIRE_score_get, NULL, on_reply);
}

static json_t *shape_done(struct call *c, const json_t *result)
{
    json_t *out = json_object();
    (void)result;
    json_puts(out, "checked", json_str(c->arguments, "name", ""));
    return out;
}

static void start_check(struct call *c)
{
    c->shape = shape_done;
    pass(c, WIRE_connectors_check);
}

static json_t *shape_plan(struct call *c, const json_t *result)
{
    json_t *out = json_object();
    (void)c;
    json_put(out, "plan", json_deep_copy(result));
    return out;
}

static void start_plan(struct call *c)
{
    c->shape = shape_plan;
    pass(c, WIRE_plans_propose);
}

/* ---- ask: the question is taken, stages come as events, the end is looked up ---- */

static json_t *answer_of(const json_t *trace)
{
    static const char *const KEYS[] = {"trace_id", "conversation", "state",
                                       "answer",   "verdict",      "usage",
                                       "entries",  "elapsed_ms",   "error"};
    json_t *out = json_object(), *cited = json_array(), *source;
    size_t i;
    for (i = 0; i < sizeof KEYS / sizeof *KEYS; i++)
        if (json_object_get(trace, KEYS[i]))
            json_put(out, KEYS[i], json_deep_copy(json_object_get(trace, KEYS[i])));
    json_array_foreach(json_object_get(trace, "sources"), i, source)
    {
        if (!json_flag(source, "cited", false))
            continue;
        json_t *copy = json_deep_copy(source);
        json_object_del(copy, "cited");
        json_array_append_new(cited, copy);
    }
    json_put(out, "sources", cited);
    return out;
}

static char *text_of(const json_t *answer)
{
    struct buf text = {0};
    json_t *source;
    size_t i;
    buf_adds(&text, json_str(answer, "answer", ""));
    json_array_foreach(json_object_get(answer, "sources"), i, source)
        buf_addf(&text, "%s[%s] %s %s\n", i ? "" : "\n\n", json_str(source, "id", ""),
                 json_str(source, "kind", ""), json_str(source, "ref", ""));
    return buf_take(&text);
}

static void on_trace(void *arg, const json_t *trace, const struct error *e)
{
    struct call *c = arg;
    const char *state = json_str(trace, "state", "running");
    struct error failed = {.code = ERR_UPSTREAM};
    c->looking = false;
    if (c->over || (trace && strcmp(state, "running") == 0)) {
        server__release(c);
        return;
    }
    if (!trace) {
        server__tool_failed(c, e);
    } else if (strcmp(state, "done") == 0) {
        json_t *answer = answer_of(trace);
        char *text = text_of(answer);
        server__tool_done(c, answer, text);
        free(text);
    } else {
        err_set(&failed,
                strcmp(state, "stopped") == 0   ? ERR_CANCELLED
                : strcmp(state, "blocked") == 0 ? ERR_DENIED
                                                : ERR_UPSTREAM,
                "%s", json_str(trace, "error", "no answer"));
        server__tool_failed(c, &failed);
    }
    server__release(c);
}

static void look(struct call *c)
{
    json_t *params = json_object();
    if (c->looking || c->over) {
        json_decref(params);
        return;
    }
    c->looking = true;
    json_puts(params, "trace_id", c->trace);
    server__wire(c, WIRE_traces_get, params, on_trace);
}

static void on_asked(void *arg, const json_t *result, const struct error *e)
{
    struct call *c = arg;
    if (result && c->over) { /* cancelled before its trace was known */
        json_t *params = json_object();
        json_puts(params, "trace_id", json_str(result, "trace_id", ""));
        busc_call(c->server->bus, WIRE_chat_stop, params, NULL, NULL);
    } else if (result) {
        c->trace = xstrdup(json_str(result, "trace_id", ""));
        server__log(c, 6, "the question is in the log");
        look(c); /* it may have ended before its events are heard */
    } else if (!c->over) {
        server__tool_failed(c, e);
    }
    server__release(c);
}

static void on_late(void *arg)
{
    struct call *c = arg;
    struct error e = {0};
    if (c->trace) {
        json_t *params = json_object();
        json_puts(params, "trace_id", c->trace);
        busc_call(c->server->bus, WIRE_chat_stop, params, NULL, NULL);
    }
    err_set(&e, ERR_TIMEOUT, "no answer within %lld s",
            (long long)json_int(c->arguments, "time_limit_s", 60));
    server__tool_failed(c, &e);
}

static void start_ask(struct call *c)
{
    json_t *params = json_object();
    json_puts(params, "text", json_str(c->arguments, "question", ""));
    if (json_object_get(c->arguments, "conversation"))
        json_puts(params, "conversation", json_str(c->arguments, "conversation", ""));
    c->limit = loop_timer_new(c->server->loop, on_late, c);
    loop_timer_start(c->limit, (uint64_t)json_int(c->arguments, "time_limit_s", 60) * 1000, 0);
    server__wire(c, WIRE_chat_ask, params, on_asked);
}

/* ---- events ---- */

static void stages(struct call *c, const json_t *data)
{
    json_t *stage;
    size_t i, done = 0, all = json_array_size(json_object_get(data, "stages"));
    const char *label = "";
    json_array_foreach(json_object_get(data, "stages"), i, stage)
    {
        if (strcmp(json_str(stage, "state", ""), "running") == 0)
            label = json_str(stage, "label", "");
        else
            done++;
    }
    /* what is running counts for half, so that each stage's start is told too */
    server__progress(c, (double)done + (done < all ? 0.5 : 0), 0, label);
}

static void on_change(struct server *s, const char *type, const json_t *data)
{
    static const struct {
        const char *type, *uri;
    } ALL[] = {{"health", "console://connectors"}, {"status", "console://status"},
               {"score", "console://scorecard"},   {"cost", "console://cost"},
               {"tamper", "console://status"},     {"entry", "console://checkpoint"}};
    for (size_t i = 0; i < sizeof ALL / sizeof *ALL; i++)
        if (strcmp(ALL[i].type, type) == 0)
            server__touch(s, ALL[i].uri);
    (void)data;
}

void server__on_event(void *arg, const char *type, int64_t at, const json_t *data)
{
    struct server *s = arg;
    const char *trace = json_str(data, "trace_id", "");
    struct call *c, *next;
    (void)at;
    on_change(s, type, data);
    for (c = TAILQ_FIRST(&s->calls); c; c = next) {
        next = TAILQ_NEXT(c, link);
        if (c->over)
            continue;
        if (c->trace && strcmp(c->trace, trace) == 0) {
            if (strcmp(type, "stage") == 0)
                stages(c, data);
            else if (strcmp(type, "turn") == 0 &&
                     strcmp(json_str(data, "state", ""), "running") != 0)
                look(c);
        } else if (strcmp(type, "verify") == 0 && c->tool && c->tool->row->start == start_verify &&
                   json_object_get(data, "checked")) {
            server__progress(c, json_num(data, "checked", 0), json_num(data, "size", 0),
                             "verifying");
        }
    }
}

void server__on_resync(void *arg)
{
    struct server *s = arg;
    struct call *c, *next;
    for (c = TAILQ_FIRST(&s->calls); c; c = next) {
        next = TAILQ_NEXT(c, link);
        if (c->trace)
            look(c);
    }
}

const struct tool_row server__tool_rows[] = {
    {"ask", BUS_OPERATOR, false, true, start_ask},
    {"search_evidence", BUS_DEMO, false, false, start_search},
    {"get_evidence", BUS_DEMO, false, false, start_get},
    {"verify_evidence", BUS_DEMO, false, true, start_verify},
    {"prove_evidence", BUS_DEMO, false, false, start_proof},
    {"lineage", BUS_DEMO, false, false, start_lineage},
    {"explain_answer", BUS_DEMO, false, false, start_trace},
    {"connector_health", BUS_DEMO, false, false, start_health},
    {"cost_summary", BUS_DEMO, false, false, start_cost},
    {"scorecard", BUS_DEMO, false, false, start_score},
    {"console_status", BUS_DEMO, false, false, start_status},
    {"check_connector", BUS_OPERATOR, true, false, start_check},
    {"propose_plan", BUS_OPERATOR, true, false, start_plan},
    {"sign_checkpoint", BUS_REVIEWER, true, false, start_checkpoint},
    {NULL, BUS_NONE, false, false, NULL},
};
