/* Which model of a pool a question gets, and when batch work may run.
 *
 *   of the pool's models: those that can -> those of the tier that the risk asks for -> the
 * cheapest
 *
 * The tiers that count are those of the models that can: low risk takes any, medium risk the middle
 * one of them and above, high risk the highest. */
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "backend/gateway/internal.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DAY = 86400, TIERS = 10 };

/* ---- pools and hours, as configured */

void gw__pools_free(struct gw *g)
{
    for (size_t i = 0; i < g->pool_count; i++) {
        free(g->pools[i].name);
        free(g->pools[i].patterns);
        free(g->pools[i].regions);
    }
    free(g->pools);
    g->pools = NULL;
    g->pool_count = 0;
}

enum err gw__pools_load(struct gw *g, const struct conf *conf, struct error *e)
{
    size_t n = conf_names(conf, "pool", NULL, 0);
    const char **names = xcalloc(n + 1, sizeof *names);
    conf_names(conf, "pool", names, n);
    g->pools = xcalloc(n + 1, sizeof *g->pools);
    enum err code = ERR_OK;
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        struct gw__pool *p = &g->pools[g->pool_count++];
        *p = (struct gw__pool){.name = xstrdup(names[i]),
                               .patterns = xstrdup(conf_str(conf, "pool", names[i], "models")),
                               .regions = xstrdup(conf_str(conf, "pool", names[i], "regions")),
                               .min_context = conf_int(conf, "pool", names[i], "min_context"),
                               .min_throughput = conf_int(conf, "pool", names[i], "min_throughput"),
                               .medium_risk = conf_num(conf, "pool", names[i], "medium_risk"),
                               .high_risk = conf_num(conf, "pool", names[i], "high_risk")};
        bool any = false;
        for (size_t j = 0; j < g->count; j++)
            any |= gw__pool_has(p, g->models[j]);
        if (!any)
            code = err_set(e, ERR_CONFIG, "%s: [pool \"%s\"]: no model is named as \"%s\"",
                           conf_where(conf, "pool", names[i], "models"), names[i], p->patterns);
        else if (p->medium_risk > p->high_risk)
            code = err_set(e, ERR_CONFIG, "%s: [pool \"%s\"]: medium_risk is above high_risk",
                           conf_where(conf, "pool", names[i], "medium_risk"), names[i]);
    }
    free(names);
    return code;
}

const struct gw__pool *gw__pool(const struct gw *g, const char *name)
{
    for (size_t i = 0; strncmp(name, "pool:", 5) == 0 && i < g->pool_count; i++)
        if (strcmp(g->pools[i].name, name + 5) == 0)
            return &g->pools[i];
    return NULL;
}

const char *gw_pool_name(const struct gw *g, size_t i, const char **models)
{
    if (i >= g->pool_count)
        return NULL;
    *models = g->pools[i].patterns;
    return g->pools[i].name;
}

bool gw__pool_has(const struct gw__pool *p, const struct gw__model *m)
{
    return text_any_fits(p->patterns, m->pub.name);
}

bool gw__region_fits(const char *regions, const char *region)
{
    if (!regions || !*regions || strcmp(region, "local") == 0)
        return true;
    size_t wanted = strlen(region);
    while (*(regions += strspn(regions, ", \t"))) {
        size_t len = strcspn(regions, ", \t");
        if (wanted && len == wanted && strncasecmp(regions, region, len) == 0)
            return true;
        regions += len;
    }
    return false;
}

static bool clock_of(const char **text, char end, unsigned *seconds)
{
    const char *t = *text;
    for (int i = 0; i < 5; i++)
        if (i == 2 ? t[i] != ':' : t[i] < '0' || t[i] > '9')
            return false;
    unsigned hours = (unsigned)(t[0] - '0') * 10 + (unsigned)(t[1] - '0');
    unsigned minutes = (unsigned)(t[3] - '0') * 10 + (unsigned)(t[4] - '0');
    *seconds = hours * 3600 + minutes * 60;
    *text += 6;
    return hours < 24 && minutes < 60 && t[5] == end;
}

bool gw__hours(const char *text, unsigned *begin, unsigned *end)
{
    return clock_of(&text, '-', begin) && clock_of(&text, '\0', end) && *begin != *end;
}

uint64_t gw_off_peak_wait_ms(const struct gw_model *pub, unsigned second)
{
    const struct gw__model *m = (const struct gw__model *)pub; /* its first member */
    unsigned begin = m->off_begin, end = m->off_end;
    bool inside = begin == end ||
                  (begin < end ? second >= begin && second < end : second >= begin || second < end);
    return inside ? 0 : (uint64_t)((begin + DAY - second) % DAY) * 1000;
}

uint64_t gw__off_peak_ms(const struct gw__model *m, const struct gw_request *r)
{
    time_t now = (time_t)(clock_real_ms() / 1000);
    struct tm tm;
    if (r->tag != GW_BATCH || !r->off_peak || !localtime_r(&now, &tm))
        return 0;
    unsigned second = (unsigned)(tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec);
    return gw_off_peak_wait_ms(&m->pub, second < DAY ? second : DAY - 1);
}

/* ---- choosing */

struct offer {
    const struct gw__model *m;
    const char *verdict; /* NULL: it can */
    bool priced;
    int64_t nano;
    double rate; /* tokens a second, below 0: not known */
};

static double rate_of(const struct gw__model *m)
{
    double measured = tel_quantile(&m->lane->rate, 0.5);
    return measured >= 0 ? measured : m->throughput ? (double)m->throughput : -1;
}

/* By the prices of the configuration, which are nano units for 1,000,000 tokens. */
static bool own_price(const struct gw_model *m, int64_t in, int64_t out, int64_t *nano)
{
    *nano =
        (int64_t)(((double)in * (double)m->price_in + (double)out * (double)m->price_out) / 1e6);
    return m->priced;
}

static const char *keeps_out(const struct gw__pool *p, const struct offer *o,
                             const struct gw_need *need)
{
    const struct gw__model *m = o->m;
    for (size_t i = 0; i < need->taken_count; i++)
        if (need->taken[i] == &m->pub)
            return "answers already";
    if (strcmp(m->pub.kind, "moderation") == 0)
        return "judges texts and answers nothing";
    if (!gw__region_fits(need->regions, m->pub.region) ||
        !gw__region_fits(p->regions, m->pub.region))
        return "the data may not go to its region";
    if ((need->tools || need->json) && m->pub.builtin)
        return need->tools ? "calls no tools" : "promises no JSON";
    if (!m->pub.builtin && (m->pub.context < p->min_context ||
                            m->pub.context < need->input_tokens + need->output_tokens))
        return "its context is too short";
    if (p->min_throughput && !m->pub.builtin && o->rate < (double)p->min_throughput)
        return o->rate < 0 ? "its throughput is not known" : "it writes too slowly";
    if (!breaker_lets(&m->lane->breaker))
        return "it failed too often";
    return m->lane->running >= m->policy.parallel && m->lane->waiting >= m->policy.queue
               ? "its queue is full"
               : NULL;
}

static bool is_better(const struct offer *a, const struct offer *b)
{
    if (a->priced != b->priced)
        return a->priced;
    if (a->priced && a->nano != b->nano)
        return a->nano < b->nano;
    const struct gw__lane *la = a->m->lane, *lb = b->m->lane;
    double qa = (double)(la->running + la->waiting) / (double)a->m->policy.parallel;
    double qb = (double)(lb->running + lb->waiting) / (double)b->m->policy.parallel;
    return qa != qb ? qa < qb : a->rate > b->rate;
}

/* The least tier that the risk asks for, of those that offers have. */
static int64_t tier_for(const struct gw__pool *p, double risk, const struct offer *offers, size_t n)
{
    bool has[TIERS] = {false};
    int64_t tiers[TIERS] = {0}, count = 0;
    for (size_t i = 0; i < n; i++)
        if (!offers[i].verdict)
            has[offers[i].m->pub.tier] = true;
    for (int64_t tier = 0; tier < TIERS; tier++)
        if (has[tier])
            tiers[count++] = tier;
    return !count                   ? 0
           : risk >= p->high_risk   ? tiers[count - 1]
           : risk >= p->medium_risk ? tiers[count / 2]
                                    : tiers[0];
}

static json_t *considered(const struct offer *offers, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        const struct offer *o = &offers[i];
        json_t *one = json_object();
        json_puts(one, "model", o->m->pub.name);
        json_puti(one, "tier", o->m->pub.tier);
        json_put(one, "cost", o->priced ? json_real((double)o->nano / 1e9) : json_null());
        json_put(one, "throughput", o->rate < 0 ? json_null() : json_real(o->rate));
        json_puti(one, "running", (int64_t)o->m->lane->running);
        json_puti(one, "waiting", (int64_t)o->m->lane->waiting);
        json_puts(one, "verdict", o->verdict);
        json_array_append_new(list, one);
    }
    return list;
}

static void take_offers(const struct gw *g, const struct gw__pool *p, const struct gw_need *need,
                        struct offer *offers, size_t *n)
{
    for (size_t i = 0; i < g->count; i++) {
        const struct gw__model *m = g->models[i];
        if (!gw__pool_has(p, m))
            continue;
        struct offer *o = &offers[(*n)++];
        *o = (struct offer){.m = m, .rate = rate_of(m)};
        o->priced = g->admission.price
                        ? g->admission.price(g->admission_arg, &m->pub, need->input_tokens,
                                             need->output_tokens, &o->nano)
                        : own_price(&m->pub, need->input_tokens, need->output_tokens, &o->nano);
        o->verdict = keeps_out(p, o, need);
    }
}

const struct gw_model *gw_route(const struct gw *g, const char *name, const struct gw_need *need,
                                json_t **why, struct error *e)
{
    const struct gw__pool *p = gw__pool(g, name);
    const struct gw_model *plain = p ? NULL : gw_find(g, name);
    if (why)
        *why = NULL;
    if (!p && !plain)
        err_set(e, ERR_NOT_FOUND, "no model is named \"%s\"", name);
    if (!p)
        return plain;
    struct offer *offers = xcalloc(g->count, sizeof *offers), *best = NULL;
    size_t n = 0;
    take_offers(g, p, need, offers, &n);
    int64_t tier = tier_for(p, need->risk, offers, n);
    for (size_t i = 0; i < n; i++) {
        struct offer *o = &offers[i];
        if (o->verdict)
            continue;
        o->verdict =
            o->m->pub.tier < tier ? "its tier is below what the risk asks for" : "adequate";
        if (o->m->pub.tier >= tier && (!best || is_better(o, best)))
            best = o;
    }
    if (best)
        best->verdict = "chosen";
    const char *level = need->risk >= p->high_risk     ? "high"
                        : need->risk >= p->medium_risk ? "medium"
                                                       : "low";
    char *reason =
        best ? xasprintf("%s risk (%.2f) asks for tier %lld; %s is %s", level, need->risk,
                         (long long)tier, best->m->pub.name,
                         best->priced ? "the cheapest that can" : "one that can, of unknown price")
             : xasprintf("none of the %zu models of pool \"%s\" can be asked now", n, p->name);
    if (why) {
        *why = json_object();
        json_puts(*why, "pool", p->name);
        json_put(*why, "risk", json_real(need->risk));
        json_puti(*why, "tier", tier);
        json_puts(*why, "reason", reason);
        json_put(*why, "considered", considered(offers, n));
    }
    if (!best)
        err_set(e, ERR_OVERLOADED, "%s", reason);
    const struct gw_model *chosen = best ? &best->m->pub : NULL;
    free(reason);
    free(offers);
    return chosen;
}
