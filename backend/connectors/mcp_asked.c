/* What a server asks of its client: a form, a URL to be opened, a model's answer, roots. In the
 * stateful era these are requests of the server, in the modern one members of an input_required
 * result.
 *
 *   asked -> (a person) open -> answered by a person, by time, or by the end of its request or run
 *         -> (sampling, allowed) at a model -> answered by conn_sample_answer
 *
 * Invariants
 * A1 Each question is answered once (Q2), to whom it belongs: a server's request, or an input of a
 *    held request, which is sent again when its last input is there.
 * A2 A question whose request or run is over is dropped: its model's answer goes nowhere.
 * A3 While a person is asked, the time limits of the calls that wait for it begin anew. */
#include "backend/base/clock.h"
#include "backend/connectors/mcp_core.h"
#include <stdlib.h>
#include <string.h>

enum { PERSON_MS = 10 * 60 * 1000, TOUCH_MS = 2000, MESSAGE_MAX = 8192 };

struct conn_sample {
    struct mcp_question *question;
};

json_t *mcp__abilities(const struct mcp *m)
{
    const struct conn_host *host = conn__host(m->conn);
    json_t *can = json_object();
    if (host && host->question) {
        json_t *forms = json_object();
        json_put(forms, "form", json_object());
        json_put(forms, "url", json_object());
        json_put(can, "elicitation", forms);
    }
    if (host && host->sample && m->samples)
        json_put(can, "sampling", json_object());
    if (*m->roots)
        json_put(can, "roots", json_object());
    return can;
}

/* ---- answering */

static void answer_server(struct mcp *m, json_t *id, json_t *result, int code, const char *why)
{
    json_t *message = json_object();
    json_put(message, "id", id);
    if (result) {
        json_put(message, "result", result);
    } else {
        json_t *error = json_object();
        json_puti(error, "code", code);
        json_puts(error, "message", why);
        json_put(message, "error", error);
    }
    mcp__send(m, message, &(struct mcp_outgoing){0});
}

/* One input of a held request is there; takes result, or NULL: it cannot be had. */
static void input_there(struct mcp *m, struct mcp_request *r, const char *key, json_t *result,
                        const char *why)
{
    if (!result) {
        mcp__request_fail(m, r, ERR_DENIED, why);
        return;
    }
    json_put(r->inputs, key, result);
    if (--r->waiting)
        return;
    enum err code = mcp__request_send(m, r);
    if (code != ERR_OK)
        mcp__request_fail(m, r, code, "the server does not take the input");
}

static void free_question(struct mcp_question *q)
{
    loop_timer_free(q->timer);
    json_decref(q->params);
    json_decref(q->server_id);
    free(q->key);
    free(q->id);
    free(q);
}

static void unlink_question(struct mcp_question *q)
{
    struct mcp_question **at = &q->mcp->questions;
    while (*at && *at != q)
        at = &(*at)->next;
    BUG_IF(!*at);
    *at = q->next;
    q->mcp->question_count--;
}

/* Ends a question with a result (taken), or with an error. A sample's is freed by its answer. */
static void end_question(struct mcp_question *q, json_t *result, int code, const char *why)
{
    struct mcp *m = q->mcp;
    unlink_question(q);
    if (q->server_id) {
        answer_server(m, json_incref(q->server_id), result, code, why);
    } else if (q->request) {
        struct mcp_request *r = mcp__request_find(m, q->request);
        if (r)
            input_there(m, r, q->key, result, why);
        else
            json_decref(result);
    } else {
        json_decref(result);
    }
    free_question(q);
}

/* Nobody waits for an answer any more. */
static void forget_question(struct mcp_question *q)
{
    unlink_question(q);
    loop_timer_stop(q->timer);
    if (q->open)
        mcp__question_tell(q, "cancel");
    if (q->sampling)
        q->mcp = NULL; /* its model may still answer */
    else
        free_question(q);
}

void mcp__questions_drop(struct mcp *m, int64_t request)
{
    for (struct mcp_question *q = m->questions, *next; q; q = next) {
        next = q->next;
        if (request && q->request != request)
            continue;
        forget_question(q);
    }
}

/* ---- asking */

static void touch_calls(const struct mcp *m, int64_t request)
{
    for (struct mcp_request *r = m->requests; r; r = r->next) {
        if (r->call && (!request || r->id == request))
            conn__call_waits(r->call);
    }
}

static void on_question_timer(void *arg)
{
    struct mcp_question *q = arg;
    if (clock_real_ms() < q->expires_at) {
        touch_calls(q->mcp, q->request); /* A3 */
        return;
    }
    mcp__question_answer(q, "cancel", NULL);
}

static void sample(struct mcp_question *q)
{
    const struct conn_host *host = conn__host(q->mcp->conn);
    struct conn_sample *s = xcalloc(1, sizeof *s);
    s->question = q;
    q->open = false;
    q->sampling = true;
    host->sample(conn__host_arg(q->mcp->conn), conn__name(q->mcp->conn), q->params, s);
}

void conn_sample_answer(struct conn_sample *s, json_t *result, const char *why)
{
    struct mcp_question *q = s->question;
    free(s);
    if (q->mcp) {
        end_question(q, result, MCP_E_REJECTED, why ? why : "refused");
    } else {
        json_decref(result);
        free_question(q);
    }
}

/* Does what is asked fit what may be asked? *why says what does not. */
static bool kind_of(const struct mcp *m, const char *method, const json_t *params,
                    enum mcp_question_kind *kind, const char **why)
{
    const struct conn_host *host = conn__host(m->conn);
    *why = "Method not found";
    if (strcmp(method, "sampling/createMessage") == 0) {
        *kind = QUESTION_SAMPLE;
        return host && host->sample && m->samples;
    }
    if (strcmp(method, "elicitation/create") != 0 || !host || !host->question)
        return false;
    bool url = strcmp(json_str(params, "mode", "form"), "url") == 0;
    *kind = url ? QUESTION_URL : QUESTION_FORM;
    *why = "Invalid params";
    size_t len = strlen(json_str(params, "message", ""));
    if (len > MESSAGE_MAX)
        return false;
    if (url) {
        const char *to = json_str(params, "url", "");
        return strlen(to) <= 4096 &&
               (strncmp(to, "https://", 8) == 0 || strncmp(to, "http://", 7) == 0);
    }
    return mcp__form_fits(json_object_get(params, "requestedSchema"));
}

static struct mcp_question *new_question(struct mcp *m, enum mcp_question_kind kind,
                                         const json_t *params)
{
    struct mcp_question *q = xcalloc(1, sizeof *q);
    q->mcp = m;
    q->kind = kind;
    q->params = json_is_object(params) ? json_deep_copy(params) : json_object();
    q->at = clock_real_ms();
    q->expires_at = q->at + PERSON_MS;
    q->timer = loop_timer_new(conn__loop(m->conn), on_question_timer, q);
    q->id = xasprintf("%s/%llu", conn__name(m->conn), (unsigned long long)++m->questions_asked);
    struct mcp_question **end = &m->questions;
    while (*end)
        end = &(*end)->next;
    *end = q;
    m->question_count++;
    return q;
}

static void begin_question(struct mcp_question *q)
{
    struct mcp *m = q->mcp;
    if (q->kind == QUESTION_SAMPLE && !m->samples_ask) {
        sample(q);
        return;
    }
    q->open = true;
    touch_calls(m, q->request);
    loop_timer_start(q->timer, TOUCH_MS, TOUCH_MS);
    mcp__question_tell(q, "asked");
}

static json_t *roots_list(const struct mcp *m)
{
    json_t *roots = json_array(), *result = json_object();
    for (const char *p = m->roots; *p;) {
        p += strspn(p, " \t,;");
        size_t n = strcspn(p, " \t,;");
        if (n) {
            char *uri = strncmp(p, "file://", 7) == 0 ? xstrndup(p, n)
                                                      : xasprintf("file://%.*s", (int)n, p);
            json_t *root = json_object();
            json_puts(root, "uri", uri);
            json_array_append_new(roots, root);
            free(uri);
        }
        p += n;
    }
    json_put(result, "roots", roots);
    return result;
}

void mcp__asked(struct mcp *m, const char *method, const json_t *params, const json_t *id)
{
    if (!json_is_integer(id) && !json_is_string(id))
        return;
    enum mcp_question_kind kind;
    const char *why;
    json_t *same = json_deep_copy(id);
    if (strcmp(method, "ping") == 0) {
        answer_server(m, same, json_object(), 0, NULL);
    } else if (strcmp(method, "roots/list") == 0 && *m->roots) {
        answer_server(m, same, roots_list(m), 0, NULL);
    } else if (!kind_of(m, method, params, &kind, &why)) {
        answer_server(m, same, NULL, *why == 'I' ? MCP_E_PARAMS : MCP_E_METHOD, why);
    } else if (m->question_count >= MCP_QUESTIONS_MAX) {
        answer_server(m, same, NULL, MCP_E_REJECTED, "too many questions are open");
    } else {
        struct mcp_question *q = new_question(m, kind, params);
        q->server_id = same;
        begin_question(q);
    }
}

void mcp__asked_cancelled(struct mcp *m, const json_t *id)
{
    for (struct mcp_question *q = m->questions; q; q = q->next) {
        if (!q->server_id || !json_equal(q->server_id, id))
            continue;
        forget_question(q);
        return;
    }
}

/* ---- input_required */

static void begin_inputs(struct mcp *m, int64_t id)
{
    for (struct mcp_question *q = m->questions, *next; q; q = next) {
        next = q->next; /* a sample may be answered inside */
        if (q->request == id && !q->open && !q->sampling)
            begin_question(q);
        if (!mcp__request_find(m, id))
            return;
    }
}

/* Makes the questions of one round; NULL, or why there is none. */
static const char *take_inputs(struct mcp *m, struct mcp_request *r, const json_t *wanted)
{
    const char *key, *why;
    json_t *one;
    json_object_foreach((json_t *)wanted, key, one)
    {
        enum mcp_question_kind kind;
        const char *method = json_str(one, "method", "");
        const json_t *params = json_object_get(one, "params");
        if (strcmp(method, "roots/list") == 0 && *m->roots) {
            json_put(r->inputs, key, roots_list(m));
            continue;
        }
        if (!kind_of(m, method, params, &kind, &why))
            return "it asks for input that this console does not give";
        if (m->question_count >= MCP_QUESTIONS_MAX)
            return "too many questions are open";
        struct mcp_question *q = new_question(m, kind, params);
        q->request = r->id;
        q->key = xstrdup(key);
        r->waiting++;
    }
    return NULL;
}

bool mcp__input_required(struct mcp *m, struct mcp_request *r, const json_t *result)
{
    if (m->era != ERA_MODERN || strcmp(json_str(result, "resultType", ""), "input_required") != 0)
        return false;
    const json_t *wanted = json_object_get(result, "inputRequests");
    const json_t *state = json_object_get(result, "requestState");
    const char *why = NULL;
    if (++r->rounds > MCP_ROUNDS_MAX || json_object_size(wanted) > MCP_INPUTS_MAX)
        why = "it asks for input again and again";
    else if (!json_object_size(wanted) && !state)
        why = "it asks for input and does not say which";
    json_decref(r->state);
    json_decref(r->inputs);
    r->state = state ? json_deep_copy(state) : NULL;
    r->inputs = json_object();
    r->id = m->next_id++; /* of the retry; the old one is answered */
    r->held = true;
    r->waiting = 0;
    if (!why)
        why = take_inputs(m, r, wanted);
    if (why) {
        mcp__request_fail(m, r, ERR_UPSTREAM, why);
        return true;
    }
    if (r->waiting) {
        begin_inputs(m, r->id);
        return true;
    }
    enum err code = mcp__request_send(m, r);
    if (code != ERR_OK)
        mcp__request_fail(m, r, code, "the server does not take the input");
    return true;
}

/* ---- URLs (revision 2025-11-25) */

/* The call failed; a person may open the URLs and call again. */
void mcp__url_needed(struct mcp *m, const json_t *error)
{
    const json_t *list = json_object_get(json_object_get(error, "data"), "elicitations");
    for (size_t i = 0; i < json_array_size(list) && m->question_count < MCP_QUESTIONS_MAX; i++) {
        const json_t *one = json_array_get(list, i);
        enum mcp_question_kind kind;
        const char *why;
        if (kind_of(m, "elicitation/create", one, &kind, &why) && kind == QUESTION_URL)
            begin_question(new_question(m, kind, one));
    }
}

void mcp__url_complete(struct mcp *m, const char *id)
{
    for (struct mcp_question *q = m->questions; q; q = q->next) {
        if (q->kind != QUESTION_URL || !*id ||
            strcmp(json_str(q->params, "elicitationId", ""), id) != 0)
            continue;
        mcp__question_tell(q, "complete");
        if (!q->server_id && !q->request) {
            end_question(q, NULL, 0, NULL);
            return;
        }
    }
}

void mcp__question_answer(struct mcp_question *q, const char *action, const json_t *content)
{
    bool yes = strcmp(action, "accept") == 0;
    mcp__question_tell(q, action);
    loop_timer_stop(q->timer);
    if (q->kind == QUESTION_SAMPLE && yes) {
        sample(q);
        return;
    }
    if (q->kind == QUESTION_SAMPLE) {
        end_question(q, NULL, MCP_E_REJECTED, "a person rejected the sampling request");
        return;
    }
    json_t *result = json_object();
    json_puts(result, "action", action);
    if (yes && q->kind == QUESTION_FORM)
        json_put(result, "content", content ? json_deep_copy(content) : json_object());
    end_question(q, result, 0, NULL);
}
