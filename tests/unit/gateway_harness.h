/* A gateway in front of the mock of models (mock_harness.h), for tests of the gateway room. One at
 * a time. */
#ifndef TESTS_GATEWAY_HARNESS_H
#define TESTS_GATEWAY_HARNESS_H

#include "backend/gateway/gateway.h"
#include "tests/unit/mock_harness.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ANSWER "Disk is 93.5% full [1]. Диск."

static struct mock_peer peer;

static struct world {
    struct loop *loop;
    struct gw *g;
} w;

/* A configuration of this text; %s in it is the mock's address. The caller frees. */
static inline struct conf *conf_of(const char *text)
{
    char path[] = "/tmp/mcpc-gateway-XXXXXX";
    struct error e = {0};
    FILE *f = fdopen(mkstemp(path), "w");
    for (const char *p = text; *p; p++) {
        if (strncmp(p, "%s", 2) == 0)
            fputs((p++, peer.url), f);
        else
            fputc(*p, f);
    }
    fputc('\n', f);
    fclose(f);
    struct conf *conf = conf_load(path, &e);
    if (!conf)
        fail_msg("%s", e.detail);
    unlink(path);
    return conf;
}

/* The mock has forgotten everything then. */
static inline void open_world(const char *text)
{
    struct error e = {0};
    struct conf *conf = conf_of(text);
    json_decref(mock_ask(&peer, "/mock/reset", "{}"));
    w.loop = loop_new();
    w.g = gw_new(w.loop, conf, &e);
    if (!w.g)
        fail_msg("%s", e.detail);
    conf_free(conf);
}

static inline void close_world(void)
{
    gw_free(w.g);
    loop_free(w.loop);
}

/* That text is a configuration which no gateway can be made from: *e says why. */
static inline void refuse_world(const char *text, struct error *e)
{
    struct loop *l = loop_new();
    struct conf *conf = conf_of(text);
    assert_null(gw_new(l, conf, e));
    assert_int_equal(e->code, ERR_CONFIG);
    conf_free(conf);
    loop_free(l);
}

static int start_peer(void **state)
{
    (void)state;
    unsetenv("MODEL_BACKENDS");
    return mock_start(&peer, NULL) ? 0 : -1;
}

static int stop_peer(void **state)
{
    (void)state;
    return mock_stop(&peer);
}

#endif
