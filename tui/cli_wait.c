/* Waiting for the end of what the backend has begun for a subcommand: an answer, an evaluation. */
#include "tui/cli_internal.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_MS = 2000 };

static json_t *params_of(const struct cli__wait *w)
{
    json_t *params = json_object();
    json_puts(params, w->key, w->id);
    return params;
}

static void on_event(void *arg, const char *type, int64_t at, const json_t *data)
{
    struct cli__wait *w = arg;
    (void)at;
    if (strcmp(type, w->event) != 0 || !w->id || strcmp(json_str(data, w->key, ""), w->id) != 0)
        return;
    w->ended = strcmp(json_str(data, "state", ""), "running") != 0;
    if (w->told)
        w->told(data);
}

static void on_resync(void *arg)
{
    struct cli__wait *w = arg;
    w->resync = true;
}

void cli__wait_begin(struct busc *bus, struct cli__wait *w)
{
    busc_events(bus, on_event, on_resync, w);
}

/* False: it could not be told to end. */
static bool stop(struct busc *bus, const struct cli__wait *w, int *status)
{
    cli_complain("not done within %llu s (--timeout): stopped",
                 (unsigned long long)(w->limit_ms / 1000));
    json_t *answer = cli__call(bus, w->stop, params_of(w), status);
    bool told = answer != NULL;
    json_decref(answer);
    *status = EXIT_FAILED;
    return told;
}

json_t *cli__wait_end(struct busc *bus, struct cli__wait *w, int *status)
{
    uint64_t until = clock_mono_ms() + w->limit_ms, look = 0;
    bool stopped = false;
    while (!busc_interrupted(bus)) {
        uint64_t now = clock_mono_ms();
        if (w->ended || w->resync || now >= look) { /* the end may have come before the events */
            json_t *result = cli__call(bus, w->look, params_of(w), status);
            if (!result || strcmp(json_str(result, "state", ""), "running") != 0)
                return result;
            json_decref(result);
            w->resync = false;
            look = now + LOOK_MS;
        }
        if (now >= until) {
            if (stopped || !stop(bus, w, status))
                return NULL;
            stopped = w->resync = true;
            until = now + w->end_ms;
            continue;
        }
        struct pollfd p = {.fd = busc_fd(bus), .events = POLLIN};
        poll(&p, 1, (int)((look < until ? look : until) - now));
        busc_dispatch(bus);
    }
    struct error e = {0};
    err_set(&e, ERR_CANCELLED, "a signal asked for it");
    *status = cli_error(&e);
    return NULL;
}
