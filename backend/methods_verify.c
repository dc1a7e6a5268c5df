/* Verification that nobody asks for: at start from what was verified last, and in the background
 * the whole log again and again, slowly. And the report of what was found tampered with. */
#include "backend/methods.h"
#include <stdlib.h>

enum { PACE = 5 /* percent of one processor */, SOON_MS = 60 * 1000, HOUR_MS = 3600 * 1000 };

static void begin(void *arg);

static void schedule(struct backend *b, uint64_t ms)
{
    if (b->stopping || conf_int(b->conf, "evidence", "", "verify_hours") == 0)
        return;
    if (!b->rolling_timer)
        b->rolling_timer = loop_timer_new(b->loop, begin, b);
    loop_timer_start(b->rolling_timer, ms, 0);
}

static void rolled(void *arg, json_t *report)
{
    struct backend *b = arg;
    b->rolling = NULL;
    b->rolling_checked = b->rolling_size = 0;
    backend__verified(b, report, NULL);
    json_decref(report);
    schedule(b, (uint64_t)conf_int(b->conf, "evidence", "", "verify_hours") * HOUR_MS);
}

static void progress(void *arg, int64_t checked, int64_t size)
{
    struct backend *b = arg;
    b->rolling_checked = checked;
    b->rolling_size = size;
}

static void begin(void *arg)
{
    struct backend *b = arg;
    if (b->verify) { /* somebody has it done now */
        schedule(b, SOON_MS);
        return;
    }
    b->rolling = prov_verify_start(b->prov, 0, progress, rolled, b);
    prov_verify_pace(b->rolling, PACE);
}

void backend__rolling_start(struct backend *b, bool full)
{
    uint64_t hours = (uint64_t)conf_int(b->conf, "evidence", "", "verify_hours");
    if (!b->rolling)
        schedule(b, full ? hours * HOUR_MS : SOON_MS);
}

void backend__rolling_stop(struct backend *b)
{
    if (b->rolling)
        prov_verify_cancel(b->rolling);
    b->rolling = NULL;
    loop_timer_free(b->rolling_timer);
    b->rolling_timer = NULL;
}

/* Once for each: a new epoch is more than a line of the status. */
void backend__epoch_tell(struct backend *b, const struct prov_state *chain)
{
    bool first = b->told_epoch == 0;
    if (chain->epoch == b->told_epoch)
        return;
    b->told_epoch = chain->epoch;
    if (first)
        return;
    json_t *data = json_object();
    json_puti(data, "epoch", chain->epoch);
    json_puti(data, "base", chain->base);
    json_puti(data, "quarantined", chain->quarantined);
    json_put(data, "damaged", chain->damaged < 0 ? json_null() : json_integer(chain->damaged));
    bus_event(b->bus, "tamper", data);
    json_decref(data);
}

void on_evidence_report(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    struct error e = {0};
    json_t *report = prov_forensics(b->prov, &e);
    method_answer(c, report, &e);
}
