/* The bus's round trip over inproc, with the server on a thread of its own as in the console.
 * Beside it nng alone: a request and its reply of the same size between two threads that do nothing
 * else. Prints one JSON object a line: {"name", "value", "unit"}. */
#include "backend/base/clock.h"
#include "backend/bus/client.h"
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { WARM = 500, ROUNDS = 10000, WAKES = 1000 };

struct server {
    struct loop *loop;
    struct bus *bus;
};

static void on_status(struct bus_call *call, void *arg)
{
    (void)arg;
    bus_reply(call, json_object());
}

static bus_handler *const handlers[WIRE_COUNT] = {[WIRE_status_get] = on_status};

static void *serve(void *arg)
{
    struct server *s = arg;
    loop_run(s->loop);
    bus_free(s->bus);
    loop_free(s->loop);
    return NULL;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(const char *name, double *us, size_t n)
{
    qsort(us, n, sizeof *us, by_size);
    printf("{\"name\":\"%s_p50\",\"value\":%.1f,\"unit\":\"us\"}\n", name, us[n / 2]);
    printf("{\"name\":\"%s_p99\",\"value\":%.1f,\"unit\":\"us\"}\n", name, us[n * 99 / 100]);
}

/* From bus_event on the loop to the client's callback, with the long poll waiting. */
struct wakes {
    struct server *server;
    struct busc *client;
    double us[WAKES];
    size_t count;
    uint64_t sent_ns;
};

static void emit(void *arg)
{
    struct wakes *w = arg;
    w->sent_ns = clock_mono_ns();
    bus_event(w->server->bus, "tick", NULL);
}

static void on_event(void *arg, const char *type, int64_t at, const json_t *data)
{
    struct wakes *w = arg;
    (void)type, (void)at, (void)data;
    w->us[w->count++] = (double)(clock_mono_ns() - w->sent_ns) / 1000;
}

static void measure_wakes(struct wakes *w)
{
    busc_events(w->client, on_event, NULL, w);
    while (w->count < WAKES) {
        size_t before = w->count;
        json_decref(
            busc_wait(w->client, WIRE_status_get, NULL, 1000, NULL)); /* the poll is there */
        loop_post(w->server->loop, emit, w);
        while (w->count == before) {
            struct pollfd ready = {.fd = busc_fd(w->client), .events = POLLIN};
            poll(&ready, 1, 1000);
            busc_dispatch(w->client);
        }
    }
    report("bus_event", w->us, w->count);
}

/* ---- the reference */

static const char RAW_REQUEST[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status.get\","
                                  "\"params\":{\"session\":\"0123456789\"}}";
static const char RAW_REPLY[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}";

static void *raw_serve(void *arg)
{
    nng_socket s = *(nng_socket *)arg;
    nng_msg *m;
    while (!nng_recvmsg(s, &m, 0)) {
        nng_msg_clear(m);
        nng_msg_append(m, RAW_REPLY, sizeof RAW_REPLY);
        if (nng_sendmsg(s, m, 0))
            nng_msg_free(m);
    }
    return NULL;
}

static void measure_raw(double *us)
{
    nng_socket rep, req;
    pthread_t thread;
    BUG_IF(nng_rep0_open(&rep) || nng_listen(rep, "inproc://raw", NULL, 0) || nng_req0_open(&req) ||
           nng_dial(req, "inproc://raw", NULL, 0));
    pthread_create(&thread, NULL, raw_serve, &rep);
    for (int i = -WARM; i < ROUNDS; i++) {
        uint64_t before = clock_mono_ns();
        nng_msg *m;
        BUG_IF(nng_msg_alloc(&m, 0) || nng_msg_append(m, RAW_REQUEST, sizeof RAW_REQUEST) ||
               nng_sendmsg(req, m, 0) || nng_recvmsg(req, &m, 0));
        nng_msg_free(m);
        if (i >= 0)
            us[i] = (double)(clock_mono_ns() - before) / 1000;
    }
    nng_close(rep);
    nng_close(req);
    pthread_join(thread, NULL);
    report("nng_round_trip", us, ROUNDS);
}

int main(void)
{
    static double us[ROUNDS];
    static struct wakes wakes;
    struct error e;
    struct server s = {.loop = loop_new()};
    pthread_t thread;
    s.bus = bus_new(s.loop, "inproc://bench", handlers, NULL, BUS_OPERATOR, "bench", &e);
    if (!s.bus)
        return 1;
    bus_ready(s.bus, NULL);
    uint64_t begun = clock_mono_ns();
    pthread_create(&thread, NULL, serve, &s);
    struct busc *c = busc_new("inproc://bench", "bench", NULL, &e);
    for (int i = -WARM; c && i < ROUNDS; i++) {
        uint64_t before = clock_mono_ns();
        json_t *r = busc_wait(c, WIRE_status_get, NULL, 1000, &e);
        if (!r)
            return 1;
        json_decref(r);
        if (i == -WARM)
            printf("{\"name\":\"bus_first_reply\",\"value\":%.1f,\"unit\":\"us\"}\n",
                   (double)(clock_mono_ns() - begun) / 1000);
        if (i >= 0)
            us[i] = (double)(clock_mono_ns() - before) / 1000;
    }
    report("bus_round_trip", us, ROUNDS);
    wakes = (struct wakes){.server = &s, .client = c};
    measure_wakes(&wakes);
    busc_free(c);
    loop_quit(s.loop);
    pthread_join(thread, NULL);
    measure_raw(us);
    bus_library_end();
    return 0;
}
