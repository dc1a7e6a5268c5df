/* The bus's round trip over inproc, with the server on a thread of its own as in the console.
 * Prints one JSON object a line: {"name", "value", "unit"}. */
#include "backend/base/clock.h"
#include "backend/bus/client.h"
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
    bus_library_end();
    return 0;
}
