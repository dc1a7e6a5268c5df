/* What the connector tests share: a configuration file, a registry on a loop, calls that are waited
 * for. */
#ifndef TESTS_CONN_HARNESS_H
#define TESTS_CONN_HARNESS_H

#include "backend/base/clock.h"
#include "backend/connectors/connectors.h"
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What connectors ask of the program around them; of the next harness_open. */
static const struct conn_host *harness_host;

struct harness {
    struct loop *loop;
    struct conf *conf;
    struct conn_registry *registry;
    struct loop_timer *tick;
    bool (*until)(struct harness *h);
    uint64_t deadline_ms;
    bool met;
    /* of conn_changed */
    int changes;
    enum conn_state seen[64];
    char changed_error[256];
    const char *name; /* the connector that predicates look at */
    enum conn_state want;
    int restarts_want;
    void *extra; /* a test's own */
};

struct answer {
    struct harness *h;
    int count; /* of done */
    enum err code;
    char detail[256];
    bool is_error;
    char *text, by[64]; /* by: what answered in its place, or "" */
    json_t *data;
};

static inline void harness_changed(void *arg, const char *name, enum conn_state from,
                                   enum conn_state to, const char *error)
{
    struct harness *h = arg;
    assert_int_not_equal(from, to);
    if (h->name && strcmp(name, h->name) == 0 && h->changes < 64) {
        h->seen[h->changes++] = to;
        if (*error)
            snprintf(h->changed_error, sizeof h->changed_error, "%s", error);
    }
}

static inline void harness_tick(void *arg)
{
    struct harness *h = arg;
    h->met = h->until && h->until(h);
    if (h->met || clock_mono_ms() >= h->deadline_ms)
        loop_quit(h->loop);
}

/* Turns the loop until the predicate holds; false when it did not within ms. */
static inline bool harness_run(struct harness *h, bool (*until)(struct harness *h), uint64_t ms)
{
    h->until = until;
    h->met = false;
    h->deadline_ms = clock_mono_ms() + ms;
    loop_timer_start(h->tick, 0, 2);
    loop_run(h->loop);
    loop_timer_stop(h->tick);
    return h->met;
}

static inline void harness_open(struct harness *h, const char *conf_text, const char *name)
{
    char path[] = "/tmp/mcpc-conn-XXXXXX";
    struct error e = {0};
    memset(h, 0, sizeof *h);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, conf_text, strlen(conf_text)), strlen(conf_text));
    close(fd);
    h->conf = conf_load(path, &e);
    unlink(path);
    if (!h->conf)
        fail_msg("%s", e.detail);
    h->loop = loop_new();
    h->tick = loop_timer_new(h->loop, harness_tick, h);
    h->name = name;
    struct conn_setup setup = {.loop = h->loop,
                               .conf = h->conf,
                               .changed = harness_changed,
                               .arg = h,
                               .host = harness_host};
    h->registry = conn_new(&setup, &e);
    if (!h->registry)
        fail_msg("%s", e.detail);
}

static inline void harness_shut(struct harness *h)
{
    conn_close(h->registry);
    conn_free(h->registry);
    loop_timer_free(h->tick);
    loop_free(h->loop);
    conf_free(h->conf);
}

static inline json_t *harness_row(struct harness *h)
{
    json_t *row = conn_describe(h->registry, h->name);
    assert_non_null(row);
    return row;
}

static inline bool until_settled(struct harness *h)
{
    return conn_settled(h->registry);
}

static inline bool until_state(struct harness *h)
{
    json_t *row = harness_row(h);
    bool is = strcmp(json_str(row, "state", ""), conn_state_name(h->want)) == 0 &&
              json_int(row, "restarts", 0) >= h->restarts_want;
    json_decref(row);
    return is;
}

static inline bool harness_wait(struct harness *h, enum conn_state want, uint64_t ms)
{
    h->want = want;
    h->restarts_want = 0;
    return harness_run(h, until_state, ms);
}

static inline void harness_done(void *arg, const struct conn_result *r)
{
    struct answer *a = arg;
    a->count++;
    a->code = r->error.code;
    snprintf(a->detail, sizeof a->detail, "%s", r->error.detail);
    a->is_error = r->is_error;
    snprintf(a->by, sizeof a->by, "%s", r->taken_over_by ? r->taken_over_by : "");
    assert_non_null(r->text);
    a->text = strdup(r->text);
    a->data = r->data ? json_deep_copy(r->data) : NULL;
    loop_quit(a->h->loop);
}

static inline void answer_release(struct answer *a)
{
    free(a->text);
    json_decref(a->data);
    memset(a, 0, sizeof *a);
}

/* Calls and waits; arguments is JSON text. The code of the refusal or of the result. */
static inline enum err harness_call(struct harness *h, const char *tool, const char *arguments,
                                    uint64_t limit_ms, struct answer *a)
{
    struct error e = {0};
    json_t *given = json_loads(arguments, 0, NULL);
    assert_non_null(given);
    memset(a, 0, sizeof *a);
    a->h = h;
    struct conn_call_options options = {.limit_ms = limit_ms};
    struct conn_call *call =
        conn_call(h->registry, h->name, tool, given, &options, harness_done, a, &e);
    json_decref(given);
    if (!call) {
        snprintf(a->detail, sizeof a->detail, "%s", e.detail);
        return a->code = e.code;
    }
    assert_int_equal(a->count, 0); /* L2: never inside the call */
    harness_run(h, NULL, limit_ms + 5000);
    assert_int_equal(a->count, 1); /* C2 */
    return a->code;
}

#endif
