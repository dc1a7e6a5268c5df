/* A client for the public conformance suite: the connectors room itself, told by a scenario's
 * context (MCP_CONFORMANCE_CONTEXT, JSON) what a configuration would say, and a person who opens
 * the address of a sign-in and brings back where it led. The server's address is the last argument.
 * It connects, calls every tool that is listed, and ends: 0 if every call was answered. */
#include "backend/base/clock.h"
#include "backend/connectors/connectors.h"
#include "backend/connectors/mcp_client.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LIMIT_MS = 25000, SIGN_INS_MAX = 6, TOOLS = 64, SETTLE_MS = 300 };

struct driver {
    struct loop *loop;
    struct conn_registry *registry;
    struct loop_timer *timer;
    json_t *context;
    uint64_t deadline_ms, idle_since_ms;
    bool signing, calling, failed, done;
    unsigned sign_ins;
    size_t tool;
    struct http_call *browser;
    char *landed, *question; /* the id of a form that waits */
};

static void say(const char *what, const char *more)
{
    fprintf(stderr, "%s: %s\n", what, more);
}

/* ---- the person ---- */
static void on_signed(void *arg, const json_t *answer, const struct error *e);

static void on_page(void *arg, const struct error *e, long status)
{
    struct driver *d = arg;
    struct error why = {0};
    d->browser = NULL;
    if (e->code != ERR_OK || status < 300 || status > 399 || !d->landed) {
        say("the page of the sign-in", e->code ? e->detail : "no redirect");
        d->signing = false;
        d->failed = d->done = true;
        return;
    }
    char *landed = d->landed;
    d->landed = NULL;
    say("the browser comes back", "with an address");
    if (conn_login(d->registry, "t", landed, on_signed, d, &why) != ERR_OK)
        say("login", why.detail);
    free(landed);
}

static void on_page_head(void *arg, long status, const char *type)
{
    struct driver *d = arg;
    (void)status, (void)type;
    const char *location = http_header(d->browser, "Location");
    free(d->landed);
    d->landed = location ? strdup(location) : NULL;
}

static void on_signed(void *arg, const json_t *answer, const struct error *e)
{
    static const struct http_ops ops = {.head = on_page_head, .done = on_page};
    struct driver *d = arg;
    struct error why = {0};
    if (e->code != ERR_OK) { /* a scenario may want exactly that */
        say("the sign-in fails", e->detail);
        d->signing = false;
        d->failed = d->done = true;
        return;
    }
    if (json_flag(answer, "done", false)) {
        say("the sign-in", "is done");
        d->signing = false;
        return;
    }
    say("a sign-in at", json_str(answer, "url", ""));
    d->browser = http_start(d->loop, &(struct http_options){.url = json_str(answer, "url", "")},
                            &ops, d, &why);
    if (!d->browser)
        on_page(d, &why, 0);
}

static void sign_in(struct driver *d)
{
    struct error e = {0};
    if (d->sign_ins++ >= SIGN_INS_MAX) {
        say("the sign-in", "is wanted again and again");
        d->failed = d->done = true;
        return;
    }
    d->signing = true;
    if (conn_login(d->registry, "t", NULL, on_signed, d, &e) != ERR_OK) {
        say("login", e.detail);
        d->failed = d->done = true;
    }
}

/* Fills in nothing: what has a default gets that. */
static void on_question(void *arg, const json_t *row)
{
    struct driver *d = arg;
    if (strcmp(json_str(row, "state", ""), "asked") != 0)
        return;
    say("a form", json_str(row, "message", ""));
    free(d->question);
    d->question = strdup(json_str(row, "id", ""));
}

static void answer_question(struct driver *d)
{
    struct error e = {0};
    char *id = d->question;
    json_t *content = json_object();
    d->question = NULL;
    if (conn_question_answer(d->registry, id, "accept", content, &e) != ERR_OK)
        say("the form", e.detail);
    json_decref(content);
    free(id);
}

/* ---- calls ---- */
static json_t *sample(const json_t *schema)
{
    const char *type = json_str(schema, "type", "string");
    if (json_object_get(schema, "default"))
        return json_deep_copy(json_object_get(schema, "default"));
    if (strcmp(type, "number") == 0 || strcmp(type, "integer") == 0)
        return json_integer(2);
    if (strcmp(type, "boolean") == 0)
        return json_true();
    if (strcmp(type, "array") == 0)
        return json_array();
    if (strcmp(type, "object") == 0)
        return json_object();
    return json_string("text");
}

/* As a form leaves out what was left empty. */
static json_t *without_nulls(const json_t *arguments)
{
    json_t *out = json_deep_copy(arguments), *value;
    const char *key;
    void *next;
    json_object_foreach_safe(out, next, key, value)
    {
        if (json_is_null(value))
            json_object_del(out, key);
    }
    return out;
}

static json_t *first_schema(const struct driver *d)
{
    struct conn_tool tools[TOOLS];
    size_t n = conn_tools(d->registry, tools, TOOLS);
    for (size_t i = 0; i < n && i < TOOLS; i++) {
        if (strcmp(tools[i].connector, "t") == 0)
            return (json_t *)tools[i].input_schema;
    }
    return NULL;
}

static json_t *arguments_for(const struct driver *d, const struct conn_tool *t)
{
    const json_t *calls = json_object_get(d->context, "toolCalls"), *schema = t->input_schema;
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *one = json_array_get(calls, i);
        if (strcmp(json_str(one, "name", ""), t->name) == 0)
            return without_nulls(json_object_get(one, "arguments"));
    }
    if (strcmp(t->name, "json_schema_echo") == 0) /* what was kept of the other tool's schema */
        return json_pack("{s:O}", "schema", first_schema(d));
    json_t *out = json_object(), *required = json_object_get(schema, "required"), *key;
    size_t i;
    json_array_foreach(required, i, key)
    {
        const char *name = json_string_value(key);
        if (name)
            json_object_set_new(
                out, name, sample(json_object_get(json_object_get(schema, "properties"), name)));
    }
    return out;
}

static void on_called(void *arg, const struct conn_result *result)
{
    struct driver *d = arg;
    d->calling = false;
    say("answer", result->error.code ? result->error.detail : result->text);
    d->failed = d->failed || result->error.code != ERR_OK;
    d->tool++;
}

static void call_next(struct driver *d)
{
    struct conn_tool tools[TOOLS];
    struct error e = {0};
    size_t n = conn_tools(d->registry, tools, TOOLS);
    while (d->tool < n && d->tool < TOOLS && strcmp(tools[d->tool].connector, "t") != 0)
        d->tool++;
    if (d->tool >= n || d->tool >= TOOLS) {
        if (!d->idle_since_ms)
            d->idle_since_ms = clock_mono_ms();
        d->done = clock_mono_ms() - d->idle_since_ms >= SETTLE_MS;
        return;
    }
    json_t *arguments = arguments_for(d, &tools[d->tool]);
    say("call", tools[d->tool].name);
    d->calling = true;
    if (!conn_call(d->registry, "t", tools[d->tool].name, arguments,
                   &(struct conn_call_options){.limit_ms = 15000}, on_called, d, &e)) {
        say("refused", e.detail);
        d->calling = false;
        d->failed = true;
        d->tool++;
    }
    json_decref(arguments);
}

static void on_tick(void *arg)
{
    struct driver *d = arg;
    json_t *row = conn_describe(d->registry, "t");
    const char *state = json_str(row, "state", "");
    if (d->question)
        answer_question(d);
    if (d->done || clock_mono_ms() > d->deadline_ms) {
        loop_quit(d->loop);
    } else if (d->signing || d->calling) {
        /* something is on its way */
    } else if (strcmp(state, "sign-in") == 0) {
        d->tool = 0;
        d->failed = false;
        d->idle_since_ms = 0;
        sign_in(d);
    } else if (strcmp(state, "fail") == 0) {
        say("down", json_str(row, "last_error", ""));
        d->failed = d->done = true;
    } else if (strcmp(state, "ok") == 0 || strcmp(state, "warn") == 0) {
        call_next(d);
    }
    json_decref(row);
}

/* ---- configuration ---- */
static void from_context(FILE *out, const json_t *context, const char *key, const char *as,
                         const char *variable)
{
    const char *value = json_str(context, key, "");
    if (!*value)
        return;
    if (variable)
        setenv(variable, value, 1);
    if (variable)
        fprintf(out, "%s = env:%s\n", as, variable);
    else
        fprintf(out, "%s = %s\n", as, value);
}

static void write_conf(FILE *out, const char *url, const json_t *context)
{
    const char *auth = json_object_get(context, "idp_id_token")      ? "enterprise"
                       : json_object_get(context, "valid_jwt")       ? "enterprise"
                       : json_object_get(context, "private_key_pem") ? "private-key-jwt"
                                                                     : "auto";
    const char *scenario = getenv("MCP_CONFORMANCE_SCENARIO");
    if (scenario && strstr(scenario, "client-credentials-basic"))
        auth = "client-credentials";
    fprintf(out,
            "[connector \"t\"]\nkind = mcp-http\nurl = %s\nread_tools = *\npin = off\nauth = %s\n",
            url, auth);
    fprintf(out, "client_metadata_url = https://conformance-test.local/client-metadata.json\n");
    from_context(out, context, "client_id", "client_id", NULL);
    from_context(out, context, "client_secret", "client_secret", "CONFORMANCE_SECRET");
    from_context(out, context, "private_key_pem", "client_key", "CONFORMANCE_KEY");
    from_context(out, context, "idp_id_token", "id_token", "CONFORMANCE_ID_TOKEN");
    from_context(out, context, "valid_jwt", "id_token", "CONFORMANCE_ID_TOKEN");
    from_context(out, context, "idp_token_endpoint", "idp_url", NULL);
    from_context(out, context, "idp_client_id", "idp_client_id", NULL);
}

static struct conf *make_conf(const char *url, const json_t *context)
{
    char path[] = "/tmp/mcpc-conformance-XXXXXX";
    struct error e = {0};
    int fd = mkstemp(path);
    FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!out)
        return NULL;
    write_conf(out, url, context);
    fclose(out);
    struct conf *conf = conf_load(path, &e);
    unlink(path);
    if (!conf)
        say("configuration", e.detail);
    return conf;
}

int main(int argc, char **argv)
{
    static const struct conn_host host = {.question = on_question};
    const char *context = getenv("MCP_CONFORMANCE_CONTEXT");
    struct driver d = {.deadline_ms = clock_mono_ms() + LIMIT_MS};
    struct error e = {0};
    if (argc < 2)
        return 2;
    d.context = context ? json_loads(context, 0, NULL) : NULL;
    struct conf *conf = make_conf(argv[argc - 1], d.context);
    d.loop = loop_new();
    d.registry =
        conf ? conn_new(
                   &(struct conn_setup){.loop = d.loop, .conf = conf, .host = &host, .arg = &d}, &e)
             : NULL;
    if (!d.registry) {
        say("registry", e.detail);
        return 2;
    }
    d.timer = loop_timer_new(d.loop, on_tick, &d);
    conn_start(d.registry);
    loop_timer_start(d.timer, 10, 10);
    loop_run(d.loop);
    conn_close(d.registry);
    d.deadline_ms = clock_mono_ms() + 200; /* for the DELETE of the session */
    d.done = false;
    d.signing = true;
    loop_run(d.loop);
    conn_free(d.registry);
    loop_timer_free(d.timer);
    http_cancel(d.browser);
    loop_free(d.loop);
    conf_free(conf);
    json_decref(d.context);
    free(d.landed);
    free(d.question);
    return d.failed;
}
