/* Art. 21 asks for an end of processing when its purpose is reached; the purpose itself only a
 * person can judge. */
#include "backend/compliance/internal.h"

static const int64_t day_ms = 86400000;

/* The job runs daily: without it a class may be over its time by a day. */
static void assess(const struct pol_facts *f, struct pol_finding *out)
{
    const char *class = f->retention_class ? f->retention_class : "payload";
    int64_t days = f->oldest_payload_at <= 0 ? 0 : (f->now - f->oldest_payload_at) / day_ms;
    int64_t idle = f->retention_run_at <= 0 ? -1 : (f->now - f->retention_run_at) / day_ms;
    if (f->retention_days < 0)
        pol__found(out, POL_NOT_ASSESSED, "the time of retention is not known");
    else if (f->retention_days == 0)
        pol__found(out, POL_FAIL, "no time of retention is set");
    else if (f->oldest_payload_at < 0)
        pol__found(out, POL_NOT_ASSESSED, "the age of the oldest payload is not known");
    else if (days > f->retention_days)
        pol__found(out, POL_FAIL, "the oldest %s is %lld days old; %lld days are set", class,
                   (long long)days, (long long)f->retention_days);
    else if (idle > 2)
        pol__found(out, POL_WARN, "%lld days are set; the job that erases last ran %lld days ago",
                   (long long)f->retention_days, (long long)idle);
    else if (f->oldest_payload_at == 0)
        pol__found(out, POL_PASS, "%lld days are set; no payload is stored",
                   (long long)f->retention_days);
    else
        pol__found(out, POL_PASS, "%lld days are set; the oldest %s is %lld days old%s",
                   (long long)f->retention_days, class, (long long)days,
                   idle < 0 ? "; the job that erases has not run yet" : "");
}

const struct pol_control pol__retention = {
    .id = "retention",
    .title = "Payloads are kept no longer than set",
    .title_ru = "Записи хранятся не дольше установленного",
    .law = "152-FZ art. 21",
    .hint = "set days in [retention] and see `mcp-console retention status`",
    .weight = 5,
    .assess = assess,
};
