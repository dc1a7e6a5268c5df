/* How a model is called: its policy, its places and queue, its keys, its breaker.
 *
 * 1 `running` counts tries and places that are kept for calls that were woken; it never exceeds
 *   policy.parallel.
 * 2 Nobody waits while a place is free: who leaves hands its place to the first that waits.
 * 3 A key is left alone after a 429 only: what else fails is not the key's fault. */
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "backend/gateway/internal.h"
#include <stdlib.h>
#include <string.h>

enum { BACKOFF_MS = 500, BACKOFF_MAX_MS = 5000, HEDGE_LEAST = 20, MOST_PARALLEL = 1024 };

static enum err wrong(struct error *e, const struct conf *conf, const char *name, const char *key,
                      const char *what)
{
    return err_set(e, ERR_CONFIG, "%s: [model \"%s\"]: %s: %s",
                   conf_where(conf, "model", name, key), name, key, what);
}

static enum err load_hedge(struct gw__model *m, const struct conf *conf, const char *name,
                           struct error *e)
{
    const char *hedge = conf_str(conf, "model", name, "hedge");
    char *end;
    m->policy.hedge = strcmp(hedge, "no") != 0;
    if (!m->policy.hedge || strcmp(hedge, "p95") == 0)
        return ERR_OK;
    m->policy.hedge_ms = strtoul(hedge, &end, 10);
    return *hedge >= '1' && *hedge <= '9' && !*end && m->policy.hedge_ms < 600000
               ? ERR_OK
               : wrong(e, conf, name, "hedge", "no, p95, or milliseconds such as 800");
}

static enum err load_keys(struct gw__model *m, const struct conf *conf, const char *name,
                          struct error *e)
{
    const char *list = conf_str(conf, "model", name, "key");
    while (*(list += strspn(list, " \t"))) {
        size_t len = strcspn(list, " \t");
        if (m->key_count == GW__KEYS)
            return wrong(e, conf, name, "key", "more than eight keys");
        m->keys[m->key_count++] = xstrndup(list, len); /* conf.c takes references only */
        list += len;
    }
    m->pub.keyed = m->key_count > 0;
    return ERR_OK;
}

enum err gw__policy_load(struct gw__model *m, const struct conf *conf, const char *name,
                         struct error *e)
{
    const struct {
        const char *key;
        uint64_t *to;
    } limits[] = {{"connect_ms", &m->policy.connect_ms},
                  {"first_token_ms", &m->policy.first_token_ms},
                  {"silence_ms", &m->policy.silence_ms},
                  {"total_ms", &m->policy.total_ms}};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        int64_t value = conf_int(conf, "model", name, limits[i].key);
        if (value > 3600000) /* conf.c takes no negative ones */
            return wrong(e, conf, name, limits[i].key, "milliseconds, at most an hour; 0: not set");
        *limits[i].to = (uint64_t)value;
    }
    int64_t retries = conf_int(conf, "model", name, "retries");
    int64_t parallel = conf_int(conf, "model", name, "parallel");
    int64_t queue = conf_int(conf, "model", name, "queue");
    if (retries >= GW_ATTEMPTS)
        return wrong(e, conf, name, "retries", "0 to 7");
    if (parallel < 1 || parallel > MOST_PARALLEL)
        return wrong(e, conf, name, "parallel", "1 to 1024");
    if (queue > 65536)
        return wrong(e, conf, name, "queue", "0 to 65536");
    m->pub.tier = conf_int(conf, "model", name, "tier");
    m->throughput = conf_int(conf, "model", name, "throughput");
    free((char *)m->pub.off_peak);
    m->pub.off_peak = xstrdup(conf_str(conf, "model", name, "off_peak"));
    if (m->pub.tier < 1 || m->pub.tier > 9)
        return wrong(e, conf, name, "tier", "1 to 9");
    if (*m->pub.off_peak && !gw__hours(m->pub.off_peak, &m->off_begin, &m->off_end))
        return wrong(e, conf, name, "off_peak", "local hours such as 23:00-07:00");
    m->policy.retries = (unsigned)retries;
    m->policy.parallel = (size_t)parallel;
    m->policy.queue = (size_t)queue;
    free(m->policy.fallback);
    m->policy.fallback = xstrdup(conf_str(conf, "model", name, "fallback"));
    enum err code = load_hedge(m, conf, name, e);
    return code == ERR_OK ? load_keys(m, conf, name, e) : code;
}

/* The next word of a list, or NULL. The caller frees. */
static char *next_word(const char **list)
{
    *list += strspn(*list, ", \t");
    size_t len = strcspn(*list, ", \t");
    char *word = len ? xstrndup(*list, len) : NULL;
    *list += len;
    return word;
}

enum err gw__policies_check(const struct gw *g, const struct conf *conf, struct error *e)
{
    enum err code = ERR_OK;
    for (size_t i = 0; i < g->count && code == ERR_OK; i++) {
        const struct gw__model *m = g->models[i];
        const char *list = m->policy.fallback ? m->policy.fallback : "";
        size_t n = 1;
        for (char *word; code == ERR_OK && (word = next_word(&list)); free(word)) {
            if (++n > GW__CHAIN)
                code = wrong(e, conf, m->pub.name, "fallback", "more than seven models");
            else if (gw__find(g, word) == m)
                code =
                    wrong(e, conf, m->pub.name, "fallback", "a model cannot stand in for itself");
            else if (!gw__find(g, word))
                code =
                    err_set(e, ERR_CONFIG, "%s: [model \"%s\"]: fallback: no model is named \"%s\"",
                            conf_where(conf, "model", m->pub.name, "fallback"), m->pub.name, word);
        }
    }
    return code;
}

size_t gw__chain(const struct gw *g, const struct gw__model *m, const struct gw_request *r,
                 const struct gw__model *out[GW__CHAIN])
{
    const char *list = m->policy.fallback ? m->policy.fallback : "";
    size_t n = 0;
    if (gw__region_fits(r->regions, m->pub.region))
        out[n++] = m;
    for (char *word; (word = next_word(&list)) && n < GW__CHAIN; free(word)) {
        const struct gw__model *other = gw__find(g, word);
        bool seen = false;
        for (size_t i = 0; i < n; i++)
            seen |= out[i] == other;
        /* A built-in model calls no tools and promises no JSON. */
        bool able = !other->pub.builtin || (!r->tools && !r->json_mode);
        const struct gw_request own = gw__request_for(r, other);
        int64_t length = gw__input_estimate(other, &own) + r->max_output_tokens;
        if (!seen && able && gw__region_fits(r->regions, other->pub.region) &&
            (other->pub.builtin || length <= other->pub.context))
            out[n++] = other;
    }
    return n;
}

size_t gw_stand_ins(const struct gw *g, const char *model, const struct gw_model **out, size_t max)
{
    const struct gw__model *m = gw__find(g, model);
    const char *list = m && m->policy.fallback ? m->policy.fallback : "";
    size_t n = 0;
    for (char *word; (word = next_word(&list)); free(word)) {
        const struct gw__model *other = gw__find(g, word);
        if (n < max && !other->pub.builtin)
            out[n++] = &other->pub;
    }
    return n;
}

/* ---- places */

bool gw__lane_take(struct gw *g, const struct gw__model *m)
{
    struct gw__lane *lane = m->lane;
    if (lane->running >= m->policy.parallel)
        return false;
    lane->running++;
    g->load++;
    return true;
}

static struct gw__seat *pop(struct gw__lane *lane)
{
    for (size_t tag = 0; tag < 2; tag++) {
        struct gw__seat *s = lane->first[tag];
        if (!s)
            continue;
        lane->first[tag] = s->behind;
        if (!s->behind)
            lane->last[tag] = NULL;
        s->behind = NULL;
        s->queued = NULL;
        lane->waiting--;
        return s;
    }
    return NULL;
}

void gw__lane_leave(struct gw *g, const struct gw__model *m)
{
    struct gw__seat *s = pop(m->lane);
    BUG_IF(m->lane->running == 0);
    g->load--;
    if (s) {
        s->kept = m;
        loop_timer_start(s->wake, 0, 0);
    } else {
        m->lane->running--;
    }
}

/* When a place may be free for one more that waits, by what tries took so far. */
static uint64_t expected_wait_ms(const struct gw__model *m)
{
    double each = tel_quantile(&m->lane->elapsed, 0.5);
    if (each < 0)
        each = 1000;
    double wait = each * (double)(m->lane->waiting + 1) / (double)m->policy.parallel;
    return wait < 100 ? 100 : wait > 600000 ? 600000 : (uint64_t)wait;
}

enum err gw__lane_wait(struct gw *g, struct gw__seat *s, const struct gw__model *m, struct error *e)
{
    struct gw__lane *lane = m->lane;
    if (lane->waiting >= m->policy.queue && !s->begun)
        return err_set(
            e, ERR_OVERLOADED, "%s: %zu calls are under way and %zu wait; try again in %llu ms",
            m->pub.name, lane->running, lane->waiting, (unsigned long long)expected_wait_ms(m));
    s->queued = m;
    s->behind = NULL;
    if (lane->last[s->tag])
        lane->last[s->tag]->behind = s;
    else
        lane->first[s->tag] = s;
    lane->last[s->tag] = s;
    lane->waiting++;
    g->load++;
    return ERR_OK;
}

static void out_of_queue(struct gw *g, struct gw__seat *s)
{
    struct gw__lane *lane = s->queued->lane;
    struct gw__seat *before = NULL;
    for (struct gw__seat *at = lane->first[s->tag]; at != s; at = at->behind)
        before = at;
    if (before)
        before->behind = s->behind;
    else
        lane->first[s->tag] = s->behind;
    if (lane->last[s->tag] == s)
        lane->last[s->tag] = before;
    s->behind = NULL;
    s->queued = NULL;
    lane->waiting--;
    g->load--;
}

void gw__lane_unwait(struct gw *g, struct gw__seat *s)
{
    if (s->queued)
        out_of_queue(g, s);
    if (s->kept)
        gw__lane_leave(g, s->kept);
    s->kept = NULL;
}

/* ---- keys, hedges, how it went */

unsigned gw__lane_key(const struct gw__model *m)
{
    uint64_t now = clock_mono_ms();
    for (unsigned i = 0; i < m->key_count; i++) {
        unsigned key = (m->lane->key + i) % (unsigned)m->key_count;
        if (m->lane->key_until[key] <= now)
            return key;
    }
    return m->lane->key;
}

bool gw__lane_rotate(const struct gw__model *m, unsigned key, uint64_t pause_ms)
{
    if (m->key_count < 2)
        return false;
    uint64_t now = clock_mono_ms();
    m->lane->key_until[key] = now + pause_ms;
    m->lane->key = (key + 1) % (unsigned)m->key_count;
    m->lane->key = gw__lane_key(m);
    return m->lane->key_until[m->lane->key] <= now;
}

uint64_t gw__lane_hedge_ms(const struct gw__model *m)
{
    if (!m->policy.hedge || m->policy.hedge_ms)
        return m->policy.hedge_ms;
    if (m->lane->first_token.count < HEDGE_LEAST)
        return 0;
    double p95 = tel_quantile(&m->lane->first_token, 0.95);
    return p95 < 1 ? 1 : (uint64_t)p95;
}

void gw__lane_ended(const struct gw__model *m, const struct gw__try *t, const char *outcome,
                    enum err code)
{
    struct gw__lane *lane = m->lane;
    uint64_t now = clock_mono_ms();
    if (strcmp(outcome, "ok") != 0 && strcmp(outcome, "error") != 0) {
        if (t->probe)
            breaker_forget(&lane->breaker);
        return;
    }
    bool refused = t->http_status >= 400 && t->http_status < 500 && t->http_status != 408;
    breaker_end(&lane->breaker, code && refused ? ERR_REFUSED : code, t->probe);
    if (t->spoke)
        tel_record(&lane->first_token, (double)(t->spoke - t->started));
    if (code == ERR_OK)
        tel_record(&lane->elapsed, (double)(now - t->started));
    else if (!refused)
        tel_record_failure(&lane->elapsed);
    if (code == ERR_OK && t->spoke && t->output_tokens > 1 && now > t->spoke)
        tel_record(&lane->rate, (double)t->output_tokens * 1000 / (double)(now - t->spoke));
}

uint64_t gw__backoff_ms(unsigned n)
{
    unsigned char random;
    vault_random(&random, sizeof random);
    uint64_t wait = n < 4 ? (uint64_t)BACKOFF_MS << n : BACKOFF_MAX_MS;
    return (wait < BACKOFF_MAX_MS ? wait : BACKOFF_MAX_MS) * (800 + random * 400U / 255) / 1000;
}

json_t *gw_state(const struct gw *g, size_t i)
{
    BUG_IF(i >= g->count);
    const struct gw__model *m = g->models[i];
    const struct gw__lane *lane = m->lane;
    json_t *out = json_object();
    uint64_t now = clock_mono_ms();
    size_t resting = 0;
    for (size_t key = 0; key < m->key_count; key++)
        resting += lane->key_until[key] > now;
    json_puts(out, "breaker", breaker_state(&lane->breaker));
    json_puti(out, "breaker_wait_ms", (int64_t)breaker_wait_ms(&lane->breaker));
    json_puti(out, "running", (int64_t)lane->running);
    json_puti(out, "waiting", (int64_t)lane->waiting);
    json_puti(out, "keys", (int64_t)m->key_count);
    json_puti(out, "keys_resting", (int64_t)resting);
    const struct {
        const char *name;
        const struct tel_history *of;
        double quantile;
    } figures[] = {{"first_token_p50_ms", &lane->first_token, 0.5},
                   {"first_token_p95_ms", &lane->first_token, 0.95},
                   {"tokens_per_s", &lane->rate, 0.5}};
    for (size_t j = 0; j < sizeof figures / sizeof *figures; j++) {
        double value = tel_quantile(figures[j].of, figures[j].quantile);
        json_put(out, figures[j].name, value < 0 ? json_null() : json_real(value));
    }
    const char *source;
    int64_t energy = gw_energy(&m->pub, &source);
    json_put(out, "energy_j_per_1k", energy < 0 ? json_null() : json_real((double)energy / 1e9));
    json_puts(out, "energy_source", source);
    json_put(out, "error_rate",
             lane->elapsed.count ? json_real(tel_error_rate(&lane->elapsed)) : json_null());
    return out;
}
