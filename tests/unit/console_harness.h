/* A console's backend on a state directory of its own, and a client of it. Included once by each
 * test program that needs one. */
#ifndef CONSOLE_HARNESS_H
#define CONSOLE_HARNESS_H

#include "backend/backend.h"
#include "backend/base/clock.h"
#include "backend/bus/client.h"
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { WAIT_MS = 20000, STOP_LIMIT_MS = 300 };

struct console {
    char *dir, *address;
    struct backend *backend;
    struct busc *bus;
};

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static inline char *new_dir(void)
{
    char *dir = xasprintf("%s/mcpc-console-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(dir));
    return dir;
}

static inline struct console console_start(char *dir, const char *config, const char *role)
{
    static unsigned made;
    struct console c = {.dir = dir};
    c.address = xasprintf("inproc://test-console-%u", made++);
    struct backend_options o = {.config = config, .state = dir, .role = role, .address = c.address};
    c.backend = backend_start(&o);
    c.bus = busc_new(c.address, "test", role, NULL);
    assert_non_null(c.bus);
    return c;
}

static inline void console_stop(struct console *c, bool keep)
{
    busc_free(c->bus);
    uint64_t before = clock_mono_ms();
    backend_stop(c->backend);
#ifdef MCPC_SANITIZED
    /* `make check` runs test_stop without sanitizers too. Sanitizers on a loaded machine make it
     * slower than users find it: it only must end. */
    if (clock_mono_ms() - before >= STOP_LIMIT_MS)
        usleep(1000 * 1000);
#else
    assert_true(clock_mono_ms() - before < STOP_LIMIT_MS);
#endif
    free(c->address);
    if (!keep) {
        nftw(c->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        free(c->dir);
    }
}

/* The answer of a method that must succeed; params is JSON text or NULL. */
static inline json_t *call(struct console *c, enum wire_method m, const char *params)
{
    struct error e = {0};
    json_t *result = busc_wait(c->bus, m, params ? json_loads(params, 0, NULL) : NULL, WAIT_MS, &e);
    if (!result)
        print_error("%s: %s\n", err_name(e.code), e.detail);
    assert_non_null(result);
    return result;
}

static inline enum err refused(struct console *c, enum wire_method m, const char *params,
                               char detail[256])
{
    struct error e = {0};
    json_t *result = busc_wait(c->bus, m, params ? json_loads(params, 0, NULL) : NULL, WAIT_MS, &e);
    assert_null(result);
    if (detail)
        memcpy(detail, e.detail, sizeof e.detail);
    return e.code;
}

/* Asks and polls the trace until it has ended. */
static inline json_t *ask(struct console *c, const char *text)
{
    json_t *params = json_object(), *accepted, *trace;
    json_puts(params, "text", text);
    accepted = busc_wait(c->bus, WIRE_chat_ask, params, WAIT_MS, NULL);
    assert_non_null(accepted);
    uint64_t until = clock_mono_ms() + WAIT_MS;
    for (;;) {
        json_t *get = json_object();
        json_puts(get, "trace_id", json_str(accepted, "trace_id", ""));
        trace = busc_wait(c->bus, WIRE_traces_get, get, WAIT_MS, NULL);
        assert_non_null(trace);
        if (strcmp(json_str(trace, "state", ""), "running") != 0)
            break;
        assert_true(clock_mono_ms() < until);
        json_decref(trace);
        usleep(2000);
    }
    json_decref(accepted);
    return trace;
}

/* Asks, with whatever parameters there are; the trace as it ended. */
static inline json_t *ask_with(struct console *c, json_t *params)
{
    struct error e = {0};
    json_t *accepted = busc_wait(c->bus, WIRE_chat_ask, params, WAIT_MS, &e), *trace = NULL;
    if (!accepted)
        print_error("%s\n", e.detail);
    assert_non_null(accepted);
    uint64_t until = clock_mono_ms() + WAIT_MS;
    do {
        json_decref(trace);
        usleep(2000);
        trace = busc_wait(c->bus, WIRE_traces_get,
                          json_pack("{s:s}", "trace_id", json_str(accepted, "trace_id", "")),
                          WAIT_MS, NULL);
        assert_non_null(trace);
        assert_true(clock_mono_ms() < until);
    } while (strcmp(json_str(trace, "state", ""), "running") == 0);
    json_decref(accepted);
    return trace;
}

/* How many entries of a type the log has, 500 at most. */
static inline int count_entries(struct console *c, const char *type)
{
    char *params = xasprintf("{\"type\":\"%s\",\"limit\":500}", type);
    json_t *list = call(c, WIRE_evidence_list, params);
    int n = (int)json_array_size(json_object_get(list, "entries"));
    json_decref(list);
    free(params);
    return n;
}

#endif
