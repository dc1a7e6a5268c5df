/* A console of flows: its models are the mock's, its flows are written by the test. On a real state
 * directory, over the bus. */
#ifndef TESTS_FLOW_HARNESS_H
#define TESTS_FLOW_HARNESS_H

#include "backend/base/conf.h"
#include "tests/unit/console_harness.h"
#include "tests/unit/mock_harness.h"
#include <locale.h>

static struct mock_peer mock;

static inline int mock_up(void **state)
{
    (void)state;
    return mock_start(&mock, NULL) ? 0 : -1;
}

static inline int mock_down(void **state)
{
    (void)state;
    return mock_stop(&mock);
}

/* More of the configuration. */
static const char *also = "";

/* A console with these models of the mock, by name and what the mock is to do; and flows of its
 * own, by name and text. */
static inline struct console start(const char *const models[][2], const char *const flows[][2])
{
    char *dir = new_dir(), *path = xasprintf("%s/mcp-console.conf", dir);
    char *folder = xasprintf("%s/config/mcp-console/flows", dir),
         *config = xasprintf("%s/config", dir);
    struct buf names = {0};
    struct error e = {0};
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    for (size_t i = 0; models[i][0]; i++) {
        fprintf(f, "[model \"%s\"]\nkind = openai\nurl = %s/v1\nmodel = %s,%s\n", models[i][0],
                mock.url, models[i][0], models[i][1]);
        buf_addf(&names, " %s", models[i][0]);
    }
    if (names.len)
        fprintf(f, "[copilot]\nmodels =%s\n", names.data);
    fputs(also, f);
    fclose(f);
    assert_int_equal(conf_make_dirs(folder, &e), ERR_OK);
    for (size_t i = 0; flows && flows[i][0]; i++) {
        char *file = xasprintf("%s/%s.json", folder, flows[i][0]);
        f = fopen(file, "we");
        assert_non_null(f);
        for (const char *p = flows[i][1]; *p; p++)
            fputc(*p == '\'' ? '"' : *p == '~' ? '\'' : *p, f);
        fclose(f);
        free(file);
    }
    setenv("XDG_CONFIG_HOME", config, 1);
    struct console c = console_start(dir, path, "operator");
    free(path);
    free(folder);
    free(config);
    buf_release(&names);
    json_decref(mock_ask(&mock, "/mock/reset", "{}"));
    return c;
}

static inline json_t *by(struct console *c, const char *flow)
{
    return ask_with(c, json_pack("{s:s,s:s}", "text", "is the disk filling up?", "flow", flow));
}

static inline const json_t *node(const json_t *trace, const char *id)
{
    size_t i;
    json_t *n;
    json_array_foreach(json_object_get(trace, "nodes"), i, n)
    {
        if (strcmp(json_str(n, "id", ""), id) == 0)
            return n;
    }
    fail_msg("no node %s", id);
    return NULL;
}

static inline void assert_state(const json_t *trace, const char *id, const char *state)
{
    const char *is = json_str(node(trace, id), "state", "");
    if (strcmp(is, state) != 0)
        print_error("%s: %s\n", id, json_str(node(trace, id), "note", ""));
    assert_string_equal(is, state);
}

static inline bool took(const json_t *trace, const char *from, const char *to)
{
    size_t i;
    json_t *step;
    json_array_foreach(json_object_get(trace, "path"), i, step)
    {
        if (strcmp(json_str(step, "from", ""), from) == 0 &&
            strcmp(json_str(step, "to", ""), to) == 0)
            return true;
    }
    return false;
}

/* The payload and parents of the entry of that type that a node made; parents may be NULL. */
static inline json_t *entry_of(struct console *c, const json_t *trace, const char *type,
                               const char *id)
{
    size_t i;
    json_t *seq;
    json_array_foreach(json_object_get(trace, "entries"), i, seq)
    {
        json_t *entry = busc_wait(c->bus, WIRE_evidence_get,
                                  json_pack("{s:O,s:b}", "seq", seq, "payload", 1), WAIT_MS, NULL);
        if (strcmp(json_str(entry, "type", ""), type) == 0 &&
            strcmp(json_str(json_object_get(entry, "payload"), "node", ""), id) == 0)
            return entry;
        json_decref(entry);
    }
    return NULL;
}

/* What the mock was told, by name of the model: the system message of its nth request. */
static inline char *system_of(const char *model, size_t nth)
{
    json_t *all = mock_ask(&mock, "/log", NULL), *entry;
    char *found = NULL;
    size_t i;
    json_array_foreach(all, i, entry)
    {
        const json_t *messages = json_object_get(json_object_get(entry, "body"), "messages");
        if (found || strncmp(json_str(entry, "model", ""), model, strlen(model)) != 0 ||
            !json_array_size(messages) || nth-- > 0)
            continue;
        char *user = json_dumps(messages, 0);
        found = user;
    }
    json_decref(all);
    return found;
}

#define AGENT(tools, more)                                                                \
    "{'name':'agent','about':'x','nodes':[{'id':'look','kind':'look'},{'id':'m','kind':"  \
    "'model','model':'chosen:0','tools':[" tools "]" more "},{'id':'end','kind':'end'}]," \
    "'edges':[{'from':'look','to':'m'},{'from':'m','to':'end'}]}"

/* Entries of a type that name the node, or have the model as their actor. */
static inline size_t entries_of(struct console *c, const json_t *trace, const char *type,
                                const char *key, const char *value)
{
    size_t i, n = 0;
    json_t *seq;
    json_array_foreach(json_object_get(trace, "entries"), i, seq)
    {
        json_t *entry = busc_wait(c->bus, WIRE_evidence_get,
                                  json_pack("{s:O,s:b}", "seq", seq, "payload", 1), WAIT_MS, NULL);
        n += strcmp(json_str(entry, "type", ""), type) == 0 &&
             strcmp(json_str(json_object_get(entry, "payload"), key, ""), value) == 0;
        json_decref(entry);
    }
    return n;
}

/* What the mock was asked, by the beginning of the model's name. */
static inline size_t asked(const char *model)
{
    json_t *all = mock_ask(&mock, "/log", NULL), *entry;
    size_t i, n = 0;
    json_array_foreach(all, i, entry) n +=
        strncmp(json_str(entry, "model", ""), model, strlen(model)) == 0;
    json_decref(all);
    return n;
}

static inline json_t *first_trace(struct console *c)
{
    json_t *page =
        busc_wait(c->bus, WIRE_traces_list, json_pack("{s:i}", "limit", 1), WAIT_MS, NULL);
    const char *id = json_str(json_array_get(json_object_get(page, "traces"), 0), "trace_id", "");
    json_t *trace =
        busc_wait(c->bus, WIRE_traces_get, json_pack("{s:s}", "trace_id", id), WAIT_MS, NULL);
    json_decref(page);
    assert_non_null(trace);
    return trace;
}

static inline json_t *ended_trace(struct console *c)
{
    uint64_t until = clock_mono_ms() + WAIT_MS;
    json_t *trace = first_trace(c);
    for (; strcmp(json_str(trace, "state", ""), "running") == 0; trace = first_trace(c)) {
        assert_true(clock_mono_ms() < until);
        json_decref(trace);
        usleep(5000);
    }
    return trace;
}

static inline void assert_lineage(struct console *c)
{
    json_t *audit =
        busc_wait(c->bus, WIRE_evidence_lineage, json_pack("{s:b}", "audit", 1), WAIT_MS, NULL);
    assert_true(json_flag(audit, "ok", false));
    json_decref(audit);
}

static inline bool says(const json_t *value, const char *words)
{
    char *text = json_dumps(value, 0);
    bool found = strstr(text, words);
    free(text);
    return found;
}

static const char *const NO_MODELS[][2] __attribute__((unused)) = {{NULL, NULL}};

/* A console in a process of its own, which asks, and is killed. */
static inline void be_killed(const char *dir, const char *path, const char *flow)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    char *address = xasprintf("inproc://killed-%d", (int)getpid());
    struct backend_options o = {
        .config = path, .state = dir, .role = "operator", .address = address};
    struct backend *b = backend_start(&o);
    struct busc *bus = busc_new(address, "test", "operator", NULL);
    json_decref(busc_wait(bus, WIRE_chat_ask,
                          json_pack("{s:s,s:s}", "text", "is the disk filling up?", "flow", flow),
                          WAIT_MS, NULL));
    for (;;)
        pause();
    backend_stop(b);
}

/* A console that is killed when that model has been asked so often. */
static inline void kill_at(const char *test, const char *dir, const char *path, const char *flow,
                           const char *model, size_t times)
{
    pid_t child = fork();
    if (child == 0) {
        execl("/proc/self/exe", test, dir, path, flow, (char *)NULL);
        _exit(127);
    }
    uint64_t until = clock_mono_ms() + WAIT_MS;
    while (asked(model) < times && clock_mono_ms() < until)
        usleep(5000);
    assert_int_equal(asked(model), times);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

#endif
