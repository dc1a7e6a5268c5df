/* What a tools/call costs over the server's own time: the console's MCP client on stdio against a
 * server that answers at once (this program with `serve`). Prints p50 and p99 in microseconds of
 * COUNT calls, one after the other. mcp_sdk.mjs measures the same with the official SDK. */
#include "backend/base/clock.h"
#include "backend/connectors/connectors.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { COUNT = 5000, WARM = 200 };

/* A server with as little of its own as can be: one read, one write. */
static int serve(void)
{
    char line[65536];
    while (fgets(line, sizeof line, stdin)) {
        json_t *message = json_loads(line, 0, NULL);
        const char *method = json_str(message, "method", "");
        long long id = json_int(message, "id", -1);
        if (id < 0)
            ;
        else if (strcmp(method, "initialize") == 0)
            printf(
                "{\"jsonrpc\":\"2.0\",\"id\":%lld,\"result\":{\"protocolVersion\":\"2025-11-25\","
                "\"capabilities\":{\"tools\":{}},\"serverInfo\":{\"name\":\"bench\",\"version\":"
                "\"1\"}}}\n",
                id);
        else if (strcmp(method, "tools/list") == 0)
            printf("{\"jsonrpc\":\"2.0\",\"id\":%lld,\"result\":{\"tools\":[{\"name\":\"echo\","
                   "\"inputSchema\":{\"type\":\"object\",\"properties\":{\"text\":{\"type\":"
                   "\"string\"}"
                   "}}}]}}\n",
                   id);
        else if (strcmp(method, "tools/call") == 0)
            printf("{\"jsonrpc\":\"2.0\",\"id\":%lld,\"result\":{\"content\":[{\"type\":\"text\","
                   "\"text\":\"hello\"}]}}\n",
                   id);
        else if (strcmp(method, "ping") == 0)
            printf("{\"jsonrpc\":\"2.0\",\"id\":%lld,\"result\":{}}\n", id);
        else
            printf("{\"jsonrpc\":\"2.0\",\"id\":%lld,\"error\":{\"code\":-32601,\"message\":\"no\"}"
                   "}\n",
                   id);
        fflush(stdout);
        json_decref(message);
    }
    return 0;
}

struct bench {
    struct loop *loop;
    struct conn_registry *registry;
    struct loop_timer *timer;
    json_t *arguments;
    double *us;
    int done;
    uint64_t sent_ns;
    bool failed;
};

static void call_next(struct bench *b);

static void on_done(void *arg, const struct conn_result *r)
{
    struct bench *b = arg;
    if (b->done >= WARM)
        b->us[b->done - WARM] = (double)(clock_mono_ns() - b->sent_ns) / 1000.0;
    b->done++;
    b->failed = r->error.code != ERR_OK;
    if (b->failed || b->done == COUNT + WARM)
        loop_quit(b->loop);
    else
        call_next(b);
}

static void call_next(struct bench *b)
{
    struct error e = {0};
    b->sent_ns = clock_mono_ns();
    if (conn_call(b->registry, "bench", "echo", b->arguments, NULL, on_done, b, &e))
        return;
    fprintf(stderr, "bench_mcp: %s\n", e.detail);
    b->failed = true;
    loop_quit(b->loop);
}

static void on_tick(void *arg)
{
    struct bench *b = arg;
    struct conn_tool tools[64];
    size_t n = conn_tools(b->registry, tools, 64);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(tools[i].connector, "bench") != 0)
            continue;
        loop_timer_stop(b->timer);
        call_next(b);
        return;
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A request written and its answer read, with nothing in between. */
static double bare(const char *self, double *us)
{
    static const char request[] =
        "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\"params\":{\"name\":\"echo\","
        "\"arguments\":{\"text\":\"hello\"}}}\n";
    int in[2], out[2];
    char answer[4096];
    if (pipe(in) || pipe(out))
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[1]);
        execl(self, self, "serve", (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    for (int i = 0; i < COUNT + WARM; i++) {
        uint64_t began = clock_mono_ns();
        if (write(in[1], request, sizeof request - 1) < 0 ||
            read(out[0], answer, sizeof answer) <= 0)
            return -1;
        if (i >= WARM)
            us[i - WARM] = (double)(clock_mono_ns() - began) / 1000.0;
    }
    close(in[1]);
    close(out[0]);
    waitpid(pid, NULL, 0);
    qsort(us, COUNT, sizeof *us, by_value);
    return us[COUNT / 2];
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "serve") == 0)
        return serve();
    char path[] = "/tmp/mcpc-bench-XXXXXX";
    struct error e = {0};
    struct bench b = {.arguments = json_pack("{s:s}", "text", "hello"),
                      .us = xcalloc(COUNT, sizeof(double))};
    int fd = mkstemp(path);
    dprintf(fd, "[connector \"bench\"]\nkind = mcp-stdio\ncommand = '%s' serve\nread_tools = *\n",
            argv[0]);
    close(fd);
    struct conf *conf = conf_load(path, &e);
    unlink(path);
    b.loop = loop_new();
    struct conn_setup setup = {.loop = b.loop, .conf = conf};
    b.registry = conf ? conn_new(&setup, &e) : NULL;
    if (!b.registry) {
        fprintf(stderr, "bench_mcp: %s\n", e.detail);
        return 1;
    }
    b.timer = loop_timer_new(b.loop, on_tick, &b);
    loop_timer_start(b.timer, 1, 5);
    conn_start(b.registry);
    loop_run(b.loop);
    qsort(b.us, COUNT, sizeof *b.us, by_value);
    double p50 = b.us[COUNT / 2], p99 = b.us[COUNT * 99 / 100];
    if (!b.failed)
        printf("%.1f %.1f %.1f\n", p50, p99, bare(argv[0], b.us));
    conn_close(b.registry);
    conn_free(b.registry);
    loop_timer_free(b.timer);
    loop_free(b.loop);
    conf_free(conf);
    json_decref(b.arguments);
    free(b.us);
    return b.failed;
}
