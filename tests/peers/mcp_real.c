/* Starts the MCP server in MCPC_REAL_COMMAND, or speaks to the one at MCPC_REAL_URL, calls
 * MCPC_REAL_TOOL with MCPC_REAL_ARGUMENTS, and checks that the answer holds MCPC_REAL_EXPECT, that
 * it pings, and that nothing is left after the stop. Run by real_servers.sh; prints one line, ends
 * with 0 when fine. */
#include "backend/base/clock.h"
#include "backend/connectors/connectors.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct real {
    struct loop *loop;
    struct conn_registry *registry;
    struct loop_timer *timer;
    uint64_t started_ms, up_ms, deadline_ms;
    bool called, answered, fine;
    char *text;
};

static void on_done(void *arg, const struct conn_result *result)
{
    struct real *r = arg;
    const char *want = getenv("MCPC_REAL_EXPECT");
    r->answered = true;
    r->fine =
        result->error.code == ERR_OK && !result->is_error && strstr(result->text, want ? want : "");
    r->text = strdup(result->error.code == ERR_OK ? result->text : result->error.detail);
}

static void call_tool(struct real *r)
{
    struct error e = {0};
    json_t *arguments = json_loads(getenv("MCPC_REAL_ARGUMENTS"), 0, NULL);
    r->called = true;
    r->up_ms = clock_mono_ms();
    if (!conn_call(r->registry, "real", getenv("MCPC_REAL_TOOL"), arguments,
                   &(struct conn_call_options){.limit_ms = 10000}, on_done, r, &e)) {
        r->answered = true;
        r->text = strdup(e.detail);
    }
    conn_check(r->registry, "real", &e);
    json_decref(arguments);
}

static void on_tick(void *arg)
{
    struct real *r = arg;
    json_t *row = conn_describe(r->registry, "real");
    const char *state = json_str(row, "state", "");
    if (!r->called && strcmp(state, "ok") == 0)
        call_tool(r);
    bool pinged = json_array_size(json_object_get(row, "history")) > 0;
    if (strcmp(state, "fail") == 0 || clock_mono_ms() > r->deadline_ms || (r->answered && pinged))
        loop_quit(r->loop);
    json_decref(row);
}

static void report(struct real *r)
{
    json_t *row = conn_describe(r->registry, "real");
    json_t *history = json_object_get(row, "history");
    r->fine = r->fine && json_array_size(history) > 0;
    printf("%s %s: protocol %s, tools %zu, up in %llu ms, ping %.1f ms: %.60s %s\n",
           r->fine ? "ok" : "FAILED", json_str(row, "version", "?"), json_str(row, "protocol", "?"),
           json_array_size(json_object_get(row, "tools")),
           (unsigned long long)(r->called ? r->up_ms - r->started_ms : 0),
           json_num(row, "latency_ms", -1), r->text ? r->text : "no answer",
           r->fine ? "" : json_str(row, "last_error", ""));
    json_decref(row);
}

int main(void)
{
    char path[] = "/tmp/mcpc-real-XXXXXX";
    struct error e = {0};
    struct real r = {0};
    const char *url = getenv("MCPC_REAL_URL"), *command = getenv("MCPC_REAL_COMMAND");
    if ((!command && !url) || !getenv("MCPC_REAL_TOOL") || !getenv("MCPC_REAL_ARGUMENTS")) {
        puts("SKIP mcp_real: run tests/peers/real_servers.sh");
        return 77;
    }
    int fd = mkstemp(path);
    if (fd < 0 ||
        dprintf(fd, "[connector \"real\"]\nkind = %s\n%s = %s\nread_tools = *\n",
                url ? "mcp-http" : "mcp-stdio", url ? "url" : "command", url ? url : command) < 0)
        return 1;
    close(fd);
    struct conf *conf = conf_load(path, &e);
    unlink(path);
    r.loop = conf ? loop_new() : NULL;
    r.registry = r.loop ? conn_new(&(struct conn_setup){.loop = r.loop, .conf = conf}, &e) : NULL;
    if (!r.registry) {
        printf("FAILED %s\n", e.detail);
        return 1;
    }
    r.timer = loop_timer_new(r.loop, on_tick, &r);
    r.started_ms = clock_mono_ms();
    r.deadline_ms = r.started_ms + 20000;
    conn_start(r.registry);
    loop_timer_start(r.timer, 0, 5);
    loop_run(r.loop);
    report(&r);
    conn_close(r.registry);
    conn_free(r.registry);
    loop_timer_free(r.timer);
    loop_free(r.loop);
    conf_free(conf);
    free(r.text);
    return r.fine ? 0 : 1;
}
