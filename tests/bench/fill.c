/* Asks so many questions over the bus and waits until each has ended: a state with a long history.
 *
 * usage: fill CONF STATE QUESTIONS
 * Prints a JSON line: questions a second. */
#include "backend/backend.h"
#include "backend/base/clock.h"
#include "backend/bus/client.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IN_FLIGHT = 8, LIMIT_MS = 20000 };
static const char ADDRESS[] = "inproc://fill";
static const char *const questions[] = {"why is this machine slow?",   "which process eats memory?",
                                        "are all connectors healthy?", "what did today cost?",
                                        "is the disk filling up?",     "is the evidence intact?"};

struct fill {
    struct busc *bus;
    long left, flying, ended;
    char conversation[40];
};

static void ask(struct fill *f);

static void on_asked(void *arg, const json_t *result, const struct error *e)
{
    struct fill *f = arg;
    if (!result) {
        fprintf(stderr, "fill: %s %s\n", err_name(e->code), e->detail);
        exit(1);
    }
    snprintf(f->conversation, sizeof f->conversation, "%s", json_str(result, "conversation", ""));
}

static void ask(struct fill *f)
{
    json_t *params = json_object();
    json_puts(params, "text",
              questions[(size_t)f->left % (sizeof questions / sizeof questions[0])]);
    if (f->conversation[0])
        json_puts(params, "conversation", f->conversation);
    f->left--;
    f->flying++;
    busc_call(f->bus, WIRE_chat_ask, params, on_asked, f);
}

static void on_event(void *arg, const char *type, int64_t at, const json_t *data)
{
    struct fill *f = arg;
    (void)at;
    if (strcmp(type, "turn") || !strcmp(json_str(data, "state", ""), "running"))
        return;
    f->flying--;
    f->ended++;
    if (f->left > 0)
        ask(f);
}

int main(int argc, char **argv)
{
    struct error e = {0};
    if (argc != 4)
        return 2;
    struct fill f = {.left = strtol(argv[3], NULL, 10)};
    long all = f.left;
    struct backend_options o = {.config = argv[1], .state = argv[2], .address = ADDRESS};
    struct backend *backend = backend_start(&o);
    f.bus = busc_new(ADDRESS, "fill", NULL, &e);
    BUG_IF(!f.bus);
    busc_events(f.bus, on_event, NULL, &f);
    json_decref(busc_wait(f.bus, WIRE_status_get, NULL, LIMIT_MS, &e));
    uint64_t began = clock_mono_ms();
    for (int i = 0; i < IN_FLIGHT && f.left > 0; i++)
        ask(&f);
    while (f.flying > 0) {
        struct pollfd ready = {.fd = busc_fd(f.bus), .events = POLLIN};
        if (poll(&ready, 1, LIMIT_MS) == 0) {
            fprintf(stderr, "fill: nothing came in %d s\n", LIMIT_MS / 1000);
            return 1;
        }
        busc_dispatch(f.bus);
    }
    uint64_t took = clock_mono_ms() - began;
    printf("{\"name\":\"questions answered\",\"value\":%.1f,\"unit\":\"1/s\"}\n",
           (double)all * 1000 / (double)(took ? took : 1));
    busc_free(f.bus);
    backend_stop(backend);
    return 0;
}
