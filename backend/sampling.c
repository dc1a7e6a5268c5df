/* Sampling: an MCP server asks a model through this console. It happens only where the connector's
 * `sampling` allows it, within `sampling_tokens` a day, and every request and answer is an entry
 * and a line of the ledger.
 *
 *   asked -> the budget is looked at -> sample (request) durable -> gw_start -> sample (output) ->
 * answered
 *
 * Invariants
 * N1 No model is asked before its request is durable in the log.
 * N2 Every conn_sample is answered once, at the latest in backend__samples_stop.
 * N3 Tokens under way count against the budget with what they may reach. */
#include "backend/base/clock.h"
#include "backend/connectors/mcp_client.h"
#include "backend/internal.h"
#include <stdlib.h>
#include <string.h>

enum { MESSAGES_MAX = 64, TEXT_MAX = 256 * 1024, OUTPUT_MAX = 4096 };

struct sample {
    struct backend *backend;
    struct sample *next;
    struct conn_sample *from; /* NULL: answered */
    char *connector;
    const struct gw_model *model;
    struct gw_message messages[MESSAGES_MAX + 1];
    size_t count;
    char *question; /* the last user's message, for models without a chat */
    int64_t max_tokens, reserved, entry;
    struct gw_call *call;
    bool writing; /* an entry is under way: freed when that ends */
};

static void sample_free(struct sample *s)
{
    struct sample **at = &s->backend->samples;
    while (*at && *at != s)
        at = &(*at)->next;
    BUG_IF(!*at);
    *at = s->next;
    for (size_t i = 0; i < s->count; i++)
        free((char *)s->messages[i].content);
    free(s->question);
    free(s->connector);
    free(s);
}

static void answer(struct sample *s, json_t *result, const char *why)
{
    struct conn_sample *from = s->from;
    s->from = NULL;
    if (from)
        conn_sample_answer(from, result, why);
    else
        json_decref(result);
}

/* ---- budget */

static int64_t used_today(struct backend *b, const char *connector)
{
    char day[16];
    clock_local_day(clock_real_ms(), day);
    int64_t used = store_scalar(
        store_reader(b->store), 0,
        "SELECT sum(input_tokens + output_tokens) FROM ledger WHERE day = ? AND connector = ?",
        "ss", day, connector);
    for (const struct sample *s = b->samples; s; s = s->next) {
        if (strcmp(s->connector, connector) == 0)
            used += s->reserved; /* N3 */
    }
    return used;
}

/* ---- what is asked */

/* The text of a message's content: one block or several; NULL when there is anything else in it. */
static char *text_of(const json_t *content)
{
    struct buf out = {0};
    size_t n = json_is_array(content) ? json_array_size(content) : 1;
    for (size_t i = 0; i < n; i++) {
        const json_t *block = json_is_array(content) ? json_array_get(content, i) : content;
        const char *text = json_str(block, "text", NULL);
        if (!text || strcmp(json_str(block, "type", ""), "text") != 0 ||
            out.len + strlen(text) > TEXT_MAX) {
            buf_release(&out);
            return NULL;
        }
        buf_addf(&out, "%s%s", out.len ? "\n" : "", text);
    }
    return buf_take(&out);
}

static const char *take_messages(struct sample *s, const json_t *params)
{
    const json_t *list = json_object_get(params, "messages");
    const char *system = json_str(params, "systemPrompt", NULL);
    size_t bytes = 0;
    if (json_object_get(params, "tools"))
        return "tools in sampling are not supported";
    if (json_array_size(list) == 0 || json_array_size(list) > MESSAGES_MAX)
        return "there are no messages, or too many";
    if (system)
        s->messages[s->count++] =
            (struct gw_message){.role = "system", .content = xstrndup(system, TEXT_MAX)};
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        bool user = strcmp(json_str(one, "role", ""), "user") == 0;
        char *text = text_of(json_object_get(one, "content"));
        if (!text)
            return "only texts can be sampled";
        bytes += strlen(text);
        s->messages[s->count++] =
            (struct gw_message){.role = user ? "user" : "assistant", .content = text};
        if (user) {
            free(s->question);
            s->question = xstrdup(text);
        }
    }
    return bytes > TEXT_MAX ? "the messages are too long"
           : s->question    ? NULL
                            : "no message is the user's";
}

/* By the rules of the safety filter; a judge is asked about people's questions only. */
static const char *refused(const struct sample *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (orch_safety_refuses(s->backend->orch, s->messages[i].content, false))
            return "the safety filter blocks the request";
    return NULL;
}

static const char *choose_model(struct sample *s)
{
    struct backend *b = s->backend;
    const char *name = conf_str(b->conf, "connector", s->connector, "sampling_model");
    const char *chosen[8];
    if (!*name && gw_chosen(b->gw, b->conf, chosen, 8) > 0)
        name = chosen[0];
    struct gw_need need = {.output_tokens = OUTPUT_MAX};
    struct error e;
    for (size_t i = 0; i < s->count; i++)
        need.input_tokens += gw_estimate_tokens(s->messages[i].content);
    s->model = gw_route(b->gw, name, &need, NULL, &e);
    return s->model ? NULL : "no such model is configured";
}

static const char *reserve(struct sample *s, const json_t *params)
{
    int64_t budget = conf_int(s->backend->conf, "connector", s->connector, "sampling_tokens");
    int64_t input = 0, wanted = json_int(params, "maxTokens", OUTPUT_MAX);
    for (size_t i = 0; i < s->count; i++)
        input += gw_estimate_tokens(s->messages[i].content);
    int64_t left = budget - used_today(s->backend, s->connector) - input;
    s->max_tokens = wanted < 1 || wanted > OUTPUT_MAX ? OUTPUT_MAX : wanted;
    if (s->max_tokens > left)
        s->max_tokens = left;
    if (left < 1)
        return "the day's budget of tokens for sampling is used up";
    s->reserved = input + s->max_tokens;
    return NULL;
}

/* ---- log and ledger */

static json_t *payload_of(const struct sample *s, const char *stage)
{
    json_t *payload = json_object();
    json_puts(payload, "connector", s->connector);
    json_puts(payload, "stage", stage);
    json_puts(payload, "model", s->model ? s->model->name : "");
    return payload;
}

static void on_output_written(void *arg, int64_t seq, const struct error *e)
{
    (void)seq;
    (void)e;
    orch_spent_free(arg);
}

static void log_output(struct sample *s, const char *text, const char *finish_reason,
                       const struct gw_spent *spent, const char *outcome)
{
    struct gw_usage u = gw_spent_usage(spent);
    json_t *payload = payload_of(s, "output");
    json_put(payload, "text", json_text(text, strlen(text)));
    json_puts(payload, "finish_reason", finish_reason);
    json_puti(payload, "input_tokens", u.input_tokens);
    json_puti(payload, "output_tokens", u.output_tokens);
    json_put(payload, "estimated", json_boolean(u.estimated));
    const struct orch_payer payer = {.cost = s->backend->cost,
                                     .connector = s->connector,
                                     .session = prov_session(s->backend->prov),
                                     .project =
                                         conf_str(s->backend->conf, "console", "", "project"),
                                     .flow = "sampling",
                                     .model = s->model,
                                     .entry = s->entry};
    struct orch_spent *lines = orch_spent_new(spent, &payer, outcome);
    const struct prov_edge from = {s->entry, "generate", -1};
    char *actor = xasprintf("model:%s", s->model->name);
    struct prov_entry entry = {
        .type = "sample", .actor = actor, .parents = &from, .parent_count = 1, .payload = payload};
    prov_append(s->backend->prov, &entry, on_output_written, lines, orch_spent_insert, lines);
    free(actor);
    json_decref(payload);
}

/* ---- the model */

static void on_done(void *arg, const struct gw_result *r)
{
    struct sample *s = arg;
    bool ok = r->error.code == ERR_OK && *r->text;
    s->call = NULL;
    const char *hazard = ok ? orch_safety_refuses(s->backend->orch, r->text, true) : NULL;
    log_output(s, r->text, hazard ? "content_filter" : r->finish_reason, r->spent,
               ok ? "ok" : "error");
    if (hazard) {
        answer(s, NULL, "the safety filter blocks the answer");
    } else if (ok) {
        json_t *result = json_object(), *content = json_object();
        json_puts(content, "type", "text");
        json_put(content, "text", json_text(r->text, strlen(r->text)));
        json_puts(result, "role", "assistant");
        json_put(result, "content", content);
        json_puts(result, "model", s->model->name);
        json_puts(result, "stopReason",
                  strcmp(r->finish_reason, "length") == 0 ? "maxTokens" : "endTurn");
        answer(s, result, NULL);
    } else {
        answer(s, NULL, "the model did not answer");
    }
    sample_free(s);
}

static void on_request_logged(void *arg, int64_t seq, const struct error *e)
{
    static const struct gw_ops ops = {.done = on_done};
    struct sample *s = arg;
    struct error why = *e;
    s->writing = false;
    s->entry = seq;
    if (why.code == ERR_OK && s->from && !s->backend->stopping) {
        struct gw_request r = {.task = GW_ANSWER,
                               .question = s->question,
                               .lang = "en",
                               .messages = s->messages,
                               .message_count = s->count,
                               .looked_at = "",
                               .session = prov_session(s->backend->prov),
                               .project = conf_str(s->backend->conf, "console", "", "project"),
                               .max_output_tokens = s->max_tokens};
        s->call = gw_start(s->backend->gw, s->model->name, &r, &ops, s, &why);
        if (s->call)
            return;
        const struct gw_spent none = gw_spent_nothing(s->model, why.code);
        log_output(s, "", "error", &none, "error");
    }
    answer(s, NULL, "the model cannot be asked now");
    sample_free(s);
}

void backend__sample(void *arg, const char *connector, const json_t *params,
                     struct conn_sample *from)
{
    struct backend *b = arg;
    struct sample *s = xcalloc(1, sizeof *s);
    s->backend = b;
    s->from = from;
    s->connector = xstrdup(connector);
    s->next = b->samples;
    b->samples = s;
    const char *why = b->stopping ? "the console is stopping" : take_messages(s, params);
    why = why ? why : choose_model(s);
    why = why ? why : refused(s);
    why = why ? why : reserve(s, params);
    if (b->stopping) {
        answer(s, NULL, why);
        sample_free(s);
        return;
    }
    json_t *payload = payload_of(s, why ? "refused" : "request"), *messages = json_array();
    for (size_t i = 0; i < s->count; i++) {
        json_t *one = json_object();
        json_puts(one, "role", s->messages[i].role);
        json_puts(one, "content", s->messages[i].content);
        json_array_append_new(messages, one);
    }
    json_put(payload, "messages", messages);
    json_puti(payload, "max_tokens", s->max_tokens);
    if (why)
        json_puts(payload, "reason", why);
    char *actor = xasprintf("tool:%s", connector);
    struct prov_entry entry = {.type = "sample", .actor = actor, .payload = payload};
    s->writing = !why;
    prov_append(b->prov, &entry, why ? NULL : on_request_logged, s, NULL, NULL);
    free(actor);
    json_decref(payload);
    if (why) {
        answer(s, NULL, why);
        sample_free(s);
    }
}

void backend__samples_stop(struct backend *b)
{
    for (struct sample *s = b->samples, *next; s; s = next) {
        next = s->next;
        answer(s, NULL, "the console is stopping");
        if (s->call) {
            struct gw_spent spent;
            gw_cancel(s->call, &spent);
            s->call = NULL;
            log_output(s, "", "cancelled", &spent, "cancelled");
            gw_spent_release(&spent);
        }
        if (!s->writing)
            sample_free(s);
    }
}
