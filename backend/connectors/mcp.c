/* An MCP server as a child process on stdio (Model Context Protocol, stateful revisions up to
 * 2025-11-25).
 *
 *   down -> start -> (initialize answered) initialized -> (all pages of tools/list) up
 *   any  -> its process ended, a line too long, a stream that is not MCP -> conn__down, down
 *
 * Invariants
 * M1 A request has an id of this run that is never used again; an answer with any other id is
 * noise. M2 A call is sent once (C3). After its end, here or by cancel, its request is forgotten; a
 * late answer is dropped. M3 Everything a server makes us keep is bounded: lines, noise, stderr,
 * tools, text of a result, requests. M4 Servers' own requests are answered, never obeyed: ping with
 * {}, all others with -32601. No roots are declared or sent: they would widen a server's sandbox.
 */
#include "backend/base/clock.h"
#include "backend/connectors/internal.h"
#include "backend/connectors/mcp_frame.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define MCP_REVISION "2025-11-25"
enum {
    MAX_PAGES = 100,
    RESULT_TEXT_MAX = 1 << 20,
    REQUESTS_MAX = CONN_MAX_CALLS + 8,
    LIST_CHANGED_MS = 200,
    LIST_LIMIT_MS = 20000,
    CLOSE_GRACE_MS = 150 /* the whole console stops in under 300 ms */
};

enum request_kind { REQUEST_INITIALIZE, REQUEST_TOOLS, REQUEST_PING, REQUEST_CALL };
struct request {
    int64_t id;
    enum request_kind kind;
    uint64_t sent_ns;
    struct conn_call *call; /* of REQUEST_CALL */
    struct request *next;
};

struct mcp {
    struct conn *conn;
    char *command, *cwd;
    char **argv;
    char **env; /* NULL-terminated K=V */
    char *read_tools;
    struct proc *proc;
    struct mcp_frame frame;
    struct conn__tail errors, noise;
    uint64_t noise_lines;
    struct request *requests;
    size_t request_count;
    int64_t next_id;
    bool up, listing, list_again;
    uint64_t listing_since_ms;
    unsigned pages;
    struct loop_timer *changed; /* debounce of list_changed */
    char *version, *protocol;
};

static void went_wrong(struct mcp *m, enum err code, const char *why);

/* ---- configuration ---- */
static char **environment(const char *names)
{
    static const char *const always[] = {"PATH", "HOME", "LANG", "TERM"};
    enum { MOST = 64 };
    char **env = xcalloc(MOST + 1, sizeof *env), name[128];
    size_t n = 0;
    for (size_t i = 0; i < sizeof always / sizeof *always; i++) {
        if (getenv(always[i]))
            env[n++] = xasprintf("%s=%s", always[i], getenv(always[i]));
    }
    while (*names && n < MOST) {
        names += strspn(names, " \t,;");
        size_t len = strcspn(names, " \t,;");
        if (len && len < sizeof name) {
            memcpy(name, names, len);
            name[len] = '\0';
            if (getenv(name))
                env[n++] = xasprintf("%s=%s", name, getenv(name));
        }
        names += len;
    }
    return env;
}

static void mcp_free(void *arg);

static void on_changed(void *arg);

static void *mcp_make(struct conn *c, const struct conf *conf, struct error *e)
{
    const char *name = conn__name(c);
    struct mcp *m = xcalloc(1, sizeof *m);
    m->conn = c;
    m->command = xstrdup(conf_str(conf, "connector", name, "command"));
    m->cwd = xstrdup(conf_str(conf, "connector", name, "cwd"));
    m->read_tools = xstrdup(conf_str(conf, "connector", name, "read_tools"));
    m->env = environment(conf_str(conf, "connector", name, "env"));
    m->changed = loop_timer_new(conn__loop(c), on_changed, m);
    struct error why = {0};
    m->argv = mcp__split_command(m->command, &why);
    if (!m->argv) {
        const char *where = conf_where(conf, "connector", name, "command");
        err_set(e, ERR_CONFIG, "%s: connector \"%s\": command: %s", where, name, why.detail);
        mcp_free(m);
        return NULL;
    }
    return m;
}

static bool reads_only(const struct mcp *m, const char *tool)
{
    size_t len = strlen(tool);
    for (const char *p = m->read_tools; *p;) {
        p += strspn(p, " \t,;");
        size_t n = strcspn(p, " \t,;");
        if ((n == 1 && *p == '*') || (n == len && n && memcmp(p, tool, n) == 0))
            return true;
        p += n;
    }
    return false;
}

/* ---- requests ---- */
static void drop_requests(struct mcp *m)
{
    while (m->requests) {
        struct request *r = m->requests;
        m->requests = r->next;
        free(r);
    }
    m->request_count = 0;
}

/* Sends one message; takes it. */
static enum err send_message(struct mcp *m, json_t *message)
{
    if (!m->proc) {
        json_decref(message);
        return ERR_CLOSED;
    }
    json_puts(message, "jsonrpc", "2.0");
    char *text = json_write(message); /* compact: no new line inside, since JSON escapes them */
    size_t len = strlen(text);
    text[len] = '\n'; /* in the place of the NUL: one write, one line */
    enum err code = proc_write(m->proc, text, len + 1);
    free(text);
    json_decref(message);
    return code;
}

static enum err send_request(struct mcp *m, enum request_kind kind, const char *method,
                             json_t *params, struct conn_call *call)
{
    if (m->request_count >= REQUESTS_MAX) {
        json_decref(params);
        return ERR_BUSY;
    }
    struct request *r = xcalloc(1, sizeof *r);
    r->id = m->next_id++;
    r->kind = kind;
    r->call = call;
    r->sent_ns = clock_mono_ns();
    json_t *message = json_object();
    json_puti(message, "id", r->id);
    json_puts(message, "method", method);
    if (params)
        json_put(message, "params", params);
    enum err code = send_message(m, message);
    if (code != ERR_OK) {
        free(r);
        return code;
    }
    r->next = m->requests;
    m->requests = r;
    m->request_count++;
    return ERR_OK;
}

static void notify(struct mcp *m, const char *method, json_t *params)
{
    json_t *message = json_object();
    json_puts(message, "method", method);
    if (params)
        json_put(message, "params", params);
    send_message(m, message);
}

static struct request *take_request(struct mcp *m, int64_t id)
{
    for (struct request **at = &m->requests; *at; at = &(*at)->next) {
        if ((*at)->id != id)
            continue;
        struct request *r = *at;
        *at = r->next;
        m->request_count--;
        return r;
    }
    return NULL;
}

/* ---- tools ---- */
static void ask_tools(struct mcp *m, const char *cursor)
{
    json_t *params = json_object();
    if (cursor)
        json_puts(params, "cursor", cursor);
    m->listing = true;
    m->listing_since_ms = clock_mono_ms();
    if (send_request(m, REQUEST_TOOLS, "tools/list", params, NULL) != ERR_OK)
        went_wrong(m, ERR_CLOSED, "its input is closed");
}

/* Forgets a list that is not answered, so that a late page cannot mix with the next one. */
static void drop_lists(struct mcp *m)
{
    for (struct request **at = &m->requests; *at;) {
        struct request *r = *at;
        if (r->kind != REQUEST_TOOLS) {
            at = &r->next;
            continue;
        }
        *at = r->next;
        m->request_count--;
        free(r);
    }
}

static void on_changed(void *arg)
{
    struct mcp *m = arg;
    if (!m->proc || !m->up)
        return;
    if (m->listing && clock_mono_ms() - m->listing_since_ms < LIST_LIMIT_MS) {
        m->list_again = true; /* ask again when this list is complete */
        return;
    }
    drop_lists(m);
    m->pages = 0;
    conn__tools_begin(m->conn);
    ask_tools(m, NULL);
}

static void tools_complete(struct mcp *m)
{
    conn__tools_end(m->conn);
    m->listing = false;
    if (!m->up) {
        m->up = true;
        conn__up(m->conn, m->version, m->protocol);
    }
    if (m->list_again) {
        m->list_again = false;
        loop_timer_start(m->changed, LIST_CHANGED_MS, 0);
    }
}

static void got_tools(struct mcp *m, const json_t *result)
{
    const json_t *list = json_object_get(result, "tools");
    size_t refused = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *t = json_array_get(list, i);
        const char *name = json_str(t, "name", "");
        const char *title =
            json_str(t, "title", json_str(json_object_get(t, "annotations"), "title", name));
        json_t *schema = json_object_get(t, "inputSchema");
        refused += !conn__tools_add(m->conn, name, title, json_str(t, "description", ""),
                                    json_is_object(schema) ? json_incref(schema) : NULL,
                                    reads_only(m, name));
    }
    if (refused) {
        char *line = xasprintf(
            "mcp-console: refused %zu tools with bad or repeated names, or more than %d\n", refused,
            CONN_MAX_TOOLS);
        conn__tail_feed(&m->noise, line, strlen(line));
        free(line);
    }
    const char *next = json_str(result, "nextCursor", "");
    if (*next && ++m->pages < MAX_PAGES)
        ask_tools(m, next);
    else
        tools_complete(m);
}

/* ---- answers ---- */
static bool knows_revision(const char *revision)
{
    static const char *const known[] = {MCP_REVISION, "2025-06-18", "2025-03-26", "2024-11-05"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i], revision) == 0)
            return true;
    }
    return false;
}

static void got_initialize(struct mcp *m, const json_t *result)
{
    const char *revision = json_str(result, "protocolVersion", "");
    if (!knows_revision(revision)) {
        char *why =
            xasprintf("it speaks MCP revision \"%.32s\", which is not known here", revision);
        went_wrong(m, ERR_UNSUPPORTED, why);
        free(why);
        return;
    }
    const json_t *info = json_object_get(result, "serverInfo");
    const char *version = json_str(info, "version", "");
    free(m->version);
    free(m->protocol);
    m->version =
        xasprintf("%.64s%s%.32s", json_str(info, "name", ""), *version ? " " : "", version);
    m->protocol = xstrdup(revision);
    notify(m, "notifications/initialized", NULL);
    m->pages = 0;
    conn__tools_begin(m->conn);
    if (json_is_object(json_object_get(json_object_get(result, "capabilities"), "tools")))
        ask_tools(m, NULL);
    else
        tools_complete(m);
}

static void ping_answered(struct mcp *m, const struct request *r)
{
    /* Any answer, also an error, shows that it lives. */
    conn__checked(m->conn, (double)(clock_mono_ns() - r->sent_ns) / 1e6, ERR_OK, NULL);
}

static void got_error(struct mcp *m, const struct request *r, const json_t *error)
{
    char *why = xasprintf("error %lld: %.180s", (long long)json_int(error, "code", 0),
                          json_str(error, "message", "no message"));
    switch (r->kind) {
    case REQUEST_INITIALIZE:
        went_wrong(m, ERR_PROTOCOL, why);
        break;
    case REQUEST_TOOLS: /* it has said that it has tools; what it had before stays */
        m->listing = false;
        if (!m->up)
            went_wrong(m, ERR_PROTOCOL, why);
        break;
    case REQUEST_PING:
        ping_answered(m, r);
        break;
    case REQUEST_CALL:
        conn__call_fail(r->call, ERR_UPSTREAM, why);
        break;
    }
    free(why);
}

static void got_call(const struct request *r, const json_t *result)
{
    json_t *data = json_object_get(result, "structuredContent");
    conn__call_done(r->call, json_is_true(json_object_get(result, "isError")),
                    mcp__result_text(result, RESULT_TEXT_MAX), data ? json_incref(data) : NULL);
}

static void note(struct mcp *m, const char *line, size_t len)
{
    m->noise_lines++;
    conn__tail_feed(&m->noise, line, len < CONN_LINE_MAX + 1 ? len : CONN_LINE_MAX + 1);
    conn__tail_feed(&m->noise, "\n", 1);
}

static void got_answer(struct mcp *m, const json_t *message, const json_t *id)
{
    struct request *r = json_is_integer(id) ? take_request(m, json_integer_value(id)) : NULL;
    if (!r) { /* M1: late, or never asked for */
        char *text = json_write(message);
        note(m, text, strlen(text));
        free(text);
        return;
    }
    const json_t *result = json_object_get(message, "result"),
                 *error = json_object_get(message, "error");
    if (error) {
        got_error(m, r, error);
    } else if (!json_is_object(result)) {
        if (r->kind == REQUEST_CALL)
            conn__call_fail(r->call, ERR_PROTOCOL, "the answer has neither result nor error");
        else if (r->kind == REQUEST_PING)
            ping_answered(m, r);
        else
            went_wrong(m, ERR_PROTOCOL, "an answer has neither result nor error");
    } else {
        switch (r->kind) {
        case REQUEST_INITIALIZE:
            got_initialize(m, result);
            break;
        case REQUEST_TOOLS:
            got_tools(m, result);
            break;
        case REQUEST_PING:
            ping_answered(m, r);
            break;
        case REQUEST_CALL:
            got_call(r, result);
            break;
        }
    }
    free(r);
}

/* ---- what the server asks or tells ---- */
static void answer_request(struct mcp *m, const char *method, const json_t *id)
{
    if (!json_is_integer(id) && !json_is_string(id))
        return;
    json_t *message = json_object();
    json_put(message, "id", json_deep_copy(id));
    if (strcmp(method, "ping") == 0) {
        json_put(message, "result", json_object());
    } else {
        json_t *error = json_object();
        json_puti(error, "code", -32601);
        json_puts(error, "message", "Method not found");
        json_put(message, "error", error);
    }
    send_message(m, message);
}

static bool on_message(void *arg, const json_t *message)
{
    struct mcp *m = arg;
    const json_t *id = json_object_get(message, "id"), *method = json_object_get(message, "method");
    struct proc *running = m->proc;
    if (json_is_string(method) && id)
        answer_request(m, json_string_value(method), id);
    else if (json_is_string(method) &&
             strcmp(json_string_value(method), "notifications/tools/list_changed") == 0)
        loop_timer_start(m->changed, LIST_CHANGED_MS, 0);
    else if (!method && id)
        got_answer(m, message, id);
    return m->proc == running;
}

static bool on_noise(void *arg, const char *line, size_t len)
{
    note(arg, line, len);
    return true;
}

/* ---- the process ---- */
static void on_output(void *arg, const char *bytes, size_t len)
{
    static const struct mcp_frame_ops ops = {.message = on_message, .noise = on_noise};
    struct mcp *m = arg;
    if (mcp__frame_feed(&m->frame, bytes, len, &ops, m) != ERR_OK)
        went_wrong(m, ERR_TOO_BIG, "it wrote a line longer than 16 MiB");
}

static void on_errors(void *arg, const char *bytes, size_t len)
{
    struct mcp *m = arg;
    conn__tail_feed(&m->errors, bytes, len);
}

static void release_run(struct mcp *m)
{
    loop_timer_stop(m->changed);
    drop_requests(m);
    buf_release(&m->frame.held);
    m->up = m->listing = m->list_again = false;
    if (m->proc) {
        struct proc *p = m->proc;
        m->proc = NULL;
        proc_free(p);
    }
}

/* Ends this run and tells why, with the last words on stderr. */
static void went_wrong(struct mcp *m, enum err code, const char *why)
{
    struct buf text = {0};
    buf_adds(&text, why);
    conn__tail_flush(&m->errors);
    if (m->errors.fresh) {
        buf_adds(&text, "; stderr: ");
        conn__tail_last(&m->errors, 3, &text);
    }
    release_run(m);
    conn__down(m->conn, code, text.data);
    buf_release(&text);
}

static void on_exited(void *arg, int status)
{
    struct mcp *m = arg;
    char *why = WIFSIGNALED(status)
                    ? xasprintf("its process was ended by signal %d", WTERMSIG(status))
                    : xasprintf("its process ended with status %d", WEXITSTATUS(status));
    went_wrong(m, ERR_CLOSED, why);
    free(why);
}

static void mcp_start(void *arg)
{
    static const struct proc_ops ops = {
        .output = on_output, .errors = on_errors, .exited = on_exited};
    struct mcp *m = arg;
    struct error e = {0};
    release_run(m);
    conn__tail_mark(&m->errors); /* an error names this run's stderr only */
    struct proc_options options = {.argv = (const char *const *)m->argv,
                                   .env = (const char *const *)m->env,
                                   .only_env = true,
                                   .cwd = *m->cwd ? m->cwd : NULL};
    m->proc = proc_start(conn__loop(m->conn), &options, &ops, m, &e);
    if (!m->proc) {
        conn__down(m->conn, e.code, e.detail);
        return;
    }
    json_t *params = json_object(), *info = json_object();
    json_puts(params, "protocolVersion", MCP_REVISION);
    json_put(params, "capabilities", json_object());
    json_puts(info, "name", "mcp-console");
    json_puts(info, "version", MCPC_VERSION);
    json_put(params, "clientInfo", info);
    if (send_request(m, REQUEST_INITIALIZE, "initialize", params, NULL) != ERR_OK)
        went_wrong(m, ERR_CLOSED, "its input is closed");
}

static void mcp_stop(void *arg, bool orderly)
{
    struct mcp *m = arg;
    if (orderly && m->proc) { /* the process stays until it ends, or until mcp_free */
        loop_timer_stop(m->changed);
        drop_requests(m);
        m->up = false;
        proc_close(m->proc, CLOSE_GRACE_MS);
        return;
    }
    release_run(m);
}

static void mcp_free(void *arg)
{
    struct mcp *m = arg;
    release_run(m);
    loop_timer_free(m->changed);
    conn__tail_release(&m->errors);
    conn__tail_release(&m->noise);
    for (size_t i = 0; m->env && m->env[i]; i++)
        free(m->env[i]);
    free(m->env);
    free(m->argv);
    free(m->command);
    free(m->cwd);
    free(m->read_tools);
    free(m->version);
    free(m->protocol);
    free(m);
}

static enum err mcp_call(void *arg, struct conn_call *call, const char *tool,
                         const json_t *arguments, struct error *e)
{
    struct mcp *m = arg;
    json_t *params = json_object();
    json_puts(params, "name", tool);
    json_put(params, "arguments", json_deep_copy(arguments));
    enum err code = send_request(m, REQUEST_CALL, "tools/call", params, call);
    return code == ERR_OK ? ERR_OK : err_set(e, code, "the server does not take the call");
}

static void mcp_cancel(void *arg, struct conn_call *call)
{
    struct mcp *m = arg;
    for (struct request *r = m->requests; r; r = r->next) {
        if (r->kind != REQUEST_CALL || r->call != call)
            continue;
        json_t *params = json_object();
        json_puti(params, "requestId", r->id);
        json_puts(params, "reason", "no longer wanted");
        free(take_request(m, r->id));
        notify(m, "notifications/cancelled", params);
        return;
    }
}

static void mcp_check(void *arg)
{
    struct mcp *m = arg;
    if (send_request(m, REQUEST_PING, "ping", NULL, NULL) != ERR_OK)
        conn__checked(m->conn, 0, ERR_CLOSED, "it does not take a ping");
}

static void mcp_describe(void *arg, json_t *into)
{
    struct mcp *m = arg;
    json_puts(into, "command", m->command);
    json_put(into, "stderr", conn__tail_json(&m->errors));
    json_put(into, "noise", conn__tail_json(&m->noise));
    json_puti(into, "noise_lines", (int64_t)m->noise_lines);
}

const struct conn_ops conn__mcp_ops = {.kind = "mcp-stdio",
                                       .may_restart = true,
                                       .make = mcp_make,
                                       .start = mcp_start,
                                       .stop = mcp_stop,
                                       .free = mcp_free,
                                       .call = mcp_call,
                                       .cancel = mcp_cancel,
                                       .check = mcp_check,
                                       .describe = mcp_describe};
