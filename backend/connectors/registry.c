/* The registry: states, health checks, restarts.
 *
 *   DISABLED           enabled = no
 *   STARTING -> OK     conn__up
 *            -> FAIL   conn__down, or no conn__up within START_LIMIT_MS or timeout_ms
 *   OK -> WARN         one failed check          WARN -> OK  a good one
 *   OK, WARN -> FAIL   conn__down, or FAILED_CHECKS failed checks in a row
 *   FAIL -> OK         a restart that came up; a failed start stays FAIL, so that panes do not
 * flicker
 *
 * Invariants
 * R1 A connector is running exactly while ops->start was called and neither stop nor a report of
 * its death came since; up implies running. R2 At most one of check_timer and restart_timer is
 * armed: the first while up, the second while down. R3 The n-th restart in a row waits min(500 ms *
 * 2^n, 30 s) * 0.8..1.2; n is reset by STABLE_MS of life. R4 The first check is made at once; the
 * others at the connector's own phase of its period, so that many do not check together. R5 What a
 * person switched off stays off: when that is not known any more, every configured connector is off
 * until a person says otherwise. */
#include "backend/base/clock.h"
#include "backend/base/hash.h"
#include "backend/base/text.h"
#include "backend/connectors/registry_types.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    START_LIMIT_MS = 20000,
    STABLE_MS = 30000,
    FAILED_CHECKS = 3,
    BACKOFF_MS = 500,
    BACKOFF_MAX_MS = 30000,
    STOP_MS = 200,
    FIRST_CHECK_MS = 50 /* so that a latency is known at once */
};

static const struct conn_ops *const kinds[] = {
#define CONNECTOR(kind, ops, help) &ops,
#include "backend/connectors/connectors.def"
#undef CONNECTOR
};
static const char *const abouts[] = {
#define CONNECTOR(kind, ops, help) help,
#include "backend/connectors/connectors.def"
#undef CONNECTOR
};

const char *conn_state_name(enum conn_state s)
{
    static const char *const names[] = {"disabled", "starting", "ok", "warn", "fail", "sign-in"};
    return (size_t)s < sizeof names / sizeof *names ? names[s] : "fail";
}

const char *conn_level_name(enum conn_level l)
{
    return l == CONN_EXECUTE ? "execute" : l == CONN_RECOMMEND ? "recommend" : "read";
}

const char *conn__name(const struct conn *c)
{
    return c->name;
}

const char *conn__ca_file(const struct conn *c)
{
    return c->ca_file;
}

struct vault *conn__vault(const struct conn *c)
{
    return c->registry->setup.vault;
}

struct loop *conn__loop(const struct conn *c)
{
    return c->registry->loop;
}

const struct conn_host *conn__host(const struct conn *c)
{
    return c->registry->setup.host;
}

void *conn__host_arg(const struct conn *c)
{
    return c->registry->setup.arg;
}

enum err conn__secret(struct conn *c, const char *reference, struct vault_text *out,
                      struct error *e)
{
    return vault_text_get(c->registry->setup.vault, reference, out, e);
}

struct conn *conn__find(const struct conn_registry *r, const char *name)
{
    for (struct conn *c = r->first; c; c = c->next) {
        if (strcmp(c->name, name) == 0)
            return c;
    }
    return NULL;
}

static void set_state(struct conn *c, enum conn_state to)
{
    enum conn_state from = c->state;
    if (from == to)
        return;
    c->state = to;
    const struct conn_setup *s = &c->registry->setup;
    if (s->changed)
        s->changed(s->arg, c->name, from, to,
                   to == CONN_OK || to == CONN_STARTING ? "" : c->last_error);
}

void conn__failed(struct conn *c, enum err code, const char *why)
{
    struct error e = {0};
    err_set(&e, code, "%s%s%s", err_text(code), why && *why ? ": " : "", why ? why : "");
    memcpy(c->last_error, e.detail, sizeof c->last_error);
    c->last_error_at = clock_real_ms();
}

void conn__start_now(struct conn *c)
{
    c->running = true;
    c->starts++;
    c->check_failures = 0;
    c->checking = false;
    loop_timer_start(c->check_limit,
                     c->timeout_ms < START_LIMIT_MS ? c->timeout_ms : START_LIMIT_MS, 0);
    c->ops->start(c->self);
}

/* R3; the jitter keeps servers that died together from coming back together. */
static uint64_t backoff_ms(struct conn *c)
{
    unsigned n = c->attempts < 10 ? c->attempts : 10;
    uint64_t base = (uint64_t)BACKOFF_MS << n;
    if (base > BACKOFF_MAX_MS)
        base = BACKOFF_MAX_MS;
    uint64_t seed = clock_mono_ns() ^ (uint64_t)(uintptr_t)c ^ (c->starts << 32);
    seed ^= seed >> 33;
    seed *= 0xff51afd7ed558ccdULL; /* the mixer of MurmurHash3: a dice, not a secret */
    seed ^= seed >> 33;
    return base * (800 + seed % 401) / 1000;
}

static void went_down(struct conn *c, enum err code, const char *why)
{
    if (!c->running)
        return;
    bool lasted = c->up && clock_mono_ms() - c->up_since_ms >= STABLE_MS;
    c->running = c->up = c->checking = false;
    loop_timer_stop(c->check_timer);
    loop_timer_stop(c->check_limit);
    conn__failed(c, code, why);
    conn__calls_fail(c, ERR_CLOSED, c->last_error);
    if (!c->registry->closing) {
        if (lasted)
            c->attempts = 0;
        uint64_t wait = backoff_ms(c);
        c->attempts++;
        c->restart_at_ms = clock_mono_ms() + wait;
        loop_timer_start(c->restart_timer, wait, 0);
    }
    set_state(c, CONN_FAIL);
}

void conn__up(struct conn *c, const char *version, const char *protocol)
{
    if (!c->running || c->up)
        return;
    c->up = true;
    c->up_since_ms = clock_mono_ms();
    c->last_success_at = clock_real_ms();
    free(c->version);
    free(c->protocol);
    c->version = version && *version ? xstrndup(version, 128) : NULL;
    c->protocol = protocol && *protocol ? xstrndup(protocol, 32) : NULL;
    loop_timer_stop(c->check_limit);
    c->in_phase = false;
    loop_timer_start(c->check_timer, c->check_ms < FIRST_CHECK_MS ? c->check_ms : FIRST_CHECK_MS,
                     0);
    set_state(c, CONN_OK);
}

void conn__down(struct conn *c, enum err code, const char *why)
{
    went_down(c, code, why);
}

void conn__sign_in(struct conn *c, const char *why, const char *url)
{
    if (!c->running)
        return;
    went_down(c, ERR_DENIED, why);
    loop_timer_stop(c->restart_timer); /* R2: it waits for a person, not for time */
    c->restart_at_ms = 0;
    free(c->sign_in_url);
    c->sign_in_url = xstrdup_or_null(url);
    set_state(c, CONN_SIGN_IN);
}

struct tel *conn__tel(const struct conn *c)
{
    return c->registry->setup.tel;
}

void conn_tell_peers(struct conn_registry *r, bool tells)
{
    r->setup.tells_peers = tells;
}

bool conn__tells_peers(const struct conn *c)
{
    return c->registry->setup.tells_peers;
}

const char *conn__kind(const struct conn *c)
{
    return c->ops->kind;
}

void conn__certificate(struct conn *c, int64_t expires_at)
{
    c->certificate_expires_at = expires_at;
}

void conn__checked(struct conn *c, double latency_ms, enum err code, const char *why)
{
    if (!c->checking)
        return;
    c->checking = false;
    loop_timer_stop(c->check_limit);
    tel_add(conn__tel(c), TEL_connector_checks, 1,
            TEL_LABELS(c->name, code == ERR_OK ? "ok" : "error"));
    if (code == ERR_OK) {
        tel_observe(conn__tel(c), TEL_connector_check, latency_ms > 0 ? latency_ms / 1000 : 0,
                    TEL_LABELS(c->name));
        tel_record(&c->checks, latency_ms);
        c->check_failures = 0;
        c->last_success_at = clock_real_ms();
        set_state(c, CONN_OK);
        return;
    }
    tel_record_failure(&c->checks);
    c->check_failures++;
    conn__failed(c, code, why);
    if (c->check_failures < FAILED_CHECKS) {
        set_state(c, CONN_WARN);
    } else if (c->ops->may_restart) {
        c->ops->stop(c->self, false);
        went_down(c, code, why);
    } else {
        set_state(c, CONN_FAIL);
    }
}

/* R4: from now to the next moment of the clock that is c's. The phase comes from its name, so
 * that it is the same in every run. */
static uint64_t until_phase(const struct conn *c)
{
    uint64_t hash = hash_bytes(HASH_START, c->name, strlen(c->name));
    uint64_t phase = (hash ^ (hash >> 32)) % c->check_ms, now = clock_mono_ms() % c->check_ms;
    return phase > now ? phase - now : phase + c->check_ms - now;
}

static void check_now(struct conn *c)
{
    if (!c->up || c->checking)
        return;
    c->checking = true;
    c->check_started_ms = clock_mono_ms();
    uint64_t limit = c->check_ms < 5000 ? c->check_ms : 5000;
    loop_timer_start(c->check_limit, limit < 100 ? 100 : limit, 0);
    c->ops->check(c->self);
}

static void on_check(void *arg)
{
    struct conn *c = arg;
    if (!c->in_phase)
        loop_timer_start(c->check_timer, until_phase(c), c->check_ms);
    c->in_phase = true;
    check_now(c);
}

/* Either a start or a check took too long. */
static void on_limit(void *arg)
{
    struct conn *c = arg;
    if (!c->running)
        return;
    if (c->up) {
        conn__checked(c, 0, ERR_TIMEOUT, "no answer to the health check");
        return;
    }
    c->ops->stop(c->self, false);
    went_down(c, ERR_TIMEOUT, "it did not come up");
}

static void on_restart(void *arg)
{
    struct conn *c = arg;
    if (!c->running && !c->registry->closing)
        conn__start_now(c);
}

static struct conn *add(struct conn_registry *r, const char *name, const struct conn_ops *ops)
{
    struct conn *c = xcalloc(1, sizeof *c);
    c->registry = r;
    c->ops = ops;
    c->name = xstrdup(name);
    c->region = xstrdup("");
    c->allowed_regions = xstrdup("");
    c->owner = xstrdup("");
    c->data = xstrdup("");
    c->about = xstrdup("");
    c->tools_allow = xstrdup("");
    c->tools_deny = xstrdup("");
    c->alternative = xstrdup("");
    c->ca_file = xstrdup("");
    c->enabled = true;
    c->state = CONN_STARTING;
    c->timeout_ms = 30000;
    c->check_ms = 10000;
    c->check_timer = loop_timer_new(r->loop, on_check, c);
    c->check_limit = loop_timer_new(r->loop, on_limit, c);
    c->restart_timer = loop_timer_new(r->loop, on_restart, c);
    struct conn **end = &r->first;
    while (*end)
        end = &(*end)->next;
    *end = c;
    return c;
}

static void set_text(char **field, const char *text)
{
    free(*field);
    *field = xstrdup(text);
}

static uint64_t bounded(int64_t value, uint64_t least, uint64_t most)
{
    if (value < (int64_t)least)
        return least;
    return (uint64_t)value > most ? most : (uint64_t)value;
}

static bool name_is_fine(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > CONN_MAX_NAME || strcmp(name, CONN_OWN_NAME) == 0)
        return false;
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return false;
    }
    return true;
}

static enum err unknown_kind(const struct conf *conf, const char *name, const char *kind,
                             struct error *e)
{
    const char *names[sizeof kinds / sizeof *kinds];
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        names[i] = kinds[i]->kind;
    const char *near = text_nearest(kind, names, sizeof names / sizeof *names);
    return err_set(e, ERR_CONFIG, "%s: [connector \"%s\"]: kind \"%s\" is not known%s%s%s",
                   conf_where(conf, "connector", name, "kind"), name, kind,
                   near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

/* What the configuration says, else what the kind declares. */
static const char *declared(const char *configured, const char *by_kind)
{
    return *configured || !by_kind ? configured : by_kind;
}

static enum err add_configured(struct conn_registry *r, const struct conf *conf, const char *name,
                               struct error *e)
{
    const char *kind = conf_str(conf, "connector", name, "kind");
    size_t k = 0;
    while (k < sizeof kinds / sizeof *kinds && strcmp(kinds[k]->kind, kind) != 0)
        k++;
    if (k == sizeof kinds / sizeof *kinds)
        return unknown_kind(conf, name, kind, e);
    if (!name_is_fine(name))
        return err_set(
            e, ERR_CONFIG,
            "%s: a connector's name has 1 to %d printable characters and is not " CONN_OWN_NAME,
            conf_where(conf, "connector", name, "kind"), CONN_MAX_NAME);
    struct conn *c = add(r, name, kinds[k]);
    set_text(&c->about, abouts[k]);
    set_text(&c->region, declared(conf_str(conf, "connector", name, "region"), c->ops->region));
    set_text(&c->allowed_regions, conf_str(conf, "connector", name, "allowed_regions"));
    set_text(&c->owner, conf_str(conf, "connector", name, "owner"));
    set_text(&c->data, declared(conf_str(conf, "connector", name, "data"), c->ops->data));
    const char *level = conf_str(conf, "connector", name, "level");
    c->level = strcmp(level, "execute") == 0     ? CONN_EXECUTE
               : strcmp(level, "recommend") == 0 ? CONN_RECOMMEND
                                                 : CONN_READ;
    const char *pin = conf_str(conf, "connector", name, "pin");
    c->pin_mode = strcmp(pin, "off") == 0   ? CONN__PIN_OFF
                  : strcmp(pin, "ask") == 0 ? CONN__PIN_ASK
                                            : CONN__PIN_AUTO;
    set_text(&c->tools_allow, conf_str(conf, "connector", name, "tools_allow"));
    set_text(&c->tools_deny, conf_str(conf, "connector", name, "tools_deny"));
    set_text(&c->alternative, conf_str(conf, "connector", name, "alternative"));
    set_text(&c->ca_file, conf_str(conf, "connector", name, "ca_file"));
    c->fingerprint = conn__fingerprint(conf, name);
    if (r->switches_damaged) /* R5 */
        json_put(r->switches, name, json_false());
    const json_t *said = json_object_get(r->switches, name);
    c->enabled =
        json_is_boolean(said) ? json_is_true(said) : conf_flag(conf, "connector", name, "enabled");
    if (!c->enabled)
        c->state = CONN_DISABLED;
    c->timeout_ms = bounded(conf_int(conf, "connector", name, "timeout_ms"), 10, 3600000);
    c->check_ms = bounded(conf_int(conf, "connector", name, "check_ms"), 100, 86400000);
    conn__pins_lost(c);
    c->self = c->ops->make(c, conf, e);
    return c->self ? ERR_OK : ERR_CONFIG;
}

static void read_switches(struct conn_registry *r)
{
    const char *name;
    json_t *said;
    r->switches = conn__state_read(r, "switches.json", &r->switches_damaged);
    json_object_foreach(r->switches, name, said)
    {
        if (!json_is_boolean(said))
            r->switches_damaged = true;
    }
}

struct conn_registry *conn_new(const struct conn_setup *s, struct error *e)
{
    struct conn_registry *r = xcalloc(1, sizeof *r);
    const struct conf *conf = s->conf;
    r->setup = *s;
    r->loop = s->loop;
    conn__pins_open(r);
    read_switches(r);
    size_t n = conf_names(conf, "connector", NULL, 0);
    const char **names = xcalloc(n + 1, sizeof *names);
    conf_names(conf, "connector", names, n);
    bool host = false;
    for (size_t i = 0; i < n; i++) {
        if (add_configured(r, conf, names[i], e) != ERR_OK) {
            free(names);
            conn_free(r);
            return NULL;
        }
        host = host || strcmp(conf_str(conf, "connector", names[i], "kind"), "host") == 0;
    }
    free(names);
    if (!host && !conn__find(r, "host")) {
        struct conn *c = add(r, "host", &conn__host_ops);
        set_text(&c->about, "this machine: /proc, /sys, systemd, kernel messages");
        set_text(&c->region, "local");
        set_text(&c->data, "metrics processes");
        set_text(&c->owner, "this console");
        c->self = c->ops->make(c, NULL, e);
    }
    return r;
}

void conn_add_native(struct conn_registry *r, const char *name,
                     const struct conn_native_tool *tools, size_t n, void *arg)
{
    BUG_IF(conn__find(r, name)); /* name_is_fine keeps the configuration off it */
    struct conn *c = add(r, name, &conn__native_ops);
    set_text(&c->about, "this console: its own figures");
    set_text(&c->region, "local");
    set_text(&c->data, "metrics");
    set_text(&c->owner, "this console");
    c->self = conn__native_make(c, tools, n, arg);
    if (r->started)
        conn__start_now(c);
}

void conn_start(struct conn_registry *r)
{
    r->started = true;
    for (struct conn *c = r->first; c; c = c->next) {
        if (c->enabled && !c->running)
            conn__start_now(c);
    }
}

static void stop_timers(struct conn *c)
{
    loop_timer_stop(c->check_timer);
    loop_timer_stop(c->check_limit);
    loop_timer_stop(c->restart_timer);
}

void conn_close(struct conn_registry *r)
{
    r->closing = true;
    for (struct conn *c = r->first; c; c = c->next) {
        stop_timers(c);
        conn__calls_fail(c, ERR_CLOSED, "the console is stopping");
        if (c->running)
            c->ops->stop(c->self, true);
        c->running = c->up = c->checking = false;
    }
}

static void free_tools(struct conn__tool *tools, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(tools[i].name);
        free(tools[i].title);
        free(tools[i].description);
        free(tools[i].qualified);
        free(tools[i].hash);
        json_decref(tools[i].definition);
        json_decref(tools[i].schema);
        json_decref(tools[i].output_schema);
        json_decref(tools[i].annotations);
    }
    free(tools);
}

void conn__free_one(struct conn *c)
{
    conn__calls_drop(c);
    if (c->self)
        c->ops->free(c->self);
    loop_timer_free(c->check_timer);
    loop_timer_free(c->check_limit);
    loop_timer_free(c->restart_timer);
    free_tools(c->tools, c->tool_count);
    free_tools(c->incoming, c->incoming_count);
    free(c->name);
    free(c->region);
    free(c->allowed_regions);
    free(c->owner);
    free(c->data);
    free(c->about);
    free(c->sign_in_url);
    free(c->past);
    free(c->tools_allow);
    free(c->tools_deny);
    free(c->alternative);
    free(c->ca_file);
    free(c->fingerprint);
    free(c->version);
    free(c->protocol);
    free(c);
}

void conn_free(struct conn_registry *r)
{
    if (!r)
        return;
    r->closing = true;
    conn__reload_free(r);
    conn__pins_close(r);
    for (struct conn *c = r->first, *next; c; c = next) {
        next = c->next;
        conn__free_one(c);
    }
    json_decref(r->switches);
    free(r);
}

void conn__tools_begin(struct conn *c)
{
    free_tools(c->incoming, c->incoming_count);
    c->incoming = NULL;
    c->incoming_count = 0;
}

/* A copy of at most max bytes, cut at a character's end with a mark. */
static char *bounded_text(const char *text, size_t max)
{
    size_t len = strlen(text);
    if (len <= max)
        return xstrdup(text);
    while (max > 0 && ((unsigned char)text[max] & 0xc0) == 0x80)
        max--;
    return xasprintf("%.*s...", (int)max, text);
}

/* connector__tool in the characters that models' APIs take. What was changed or cut to get there
 * ends in a hash of the whole, so that two tools never share a name. */
static char *qualified_name(const char *connector, const char *tool)
{
    enum { LONGEST = 64, HASH = 8 };
    char *whole = xasprintf("%s__%s", connector, tool), *out = xstrdup(whole);
    bool changed = strlen(out) > LONGEST || strstr(connector, "__");
    for (char *p = out; *p; p++) {
        if (!isalnum((unsigned char)*p) && *p != '_' && *p != '-') {
            *p = '_';
            changed = true;
        }
    }
    if (changed) {
        uint8_t hash[VAULT_HASH];
        char digits[HASH + 1];
        vault_sha256(connector, strlen(connector) + 1, tool, strlen(tool), hash);
        text_hex(hash, HASH / 2, digits);
        char *cut = xasprintf("%.*s_%s", LONGEST - HASH - 1, out, digits);
        free(out);
        out = cut;
    }
    free(whole);
    return out;
}

bool conn__tools_add(struct conn *c, const struct conn_definition *d)
{
    const char *name = d->name;
    bool fine = c->incoming_count < CONN_MAX_TOOLS && name && *name && strlen(name) <= 128;
    for (const char *p = name; fine && *p; p++)
        fine = *p > 0x20 && *p < 0x7f;
    for (size_t i = 0; fine && i < c->incoming_count; i++)
        fine = strcmp(c->incoming[i].name, name) != 0;
    if (!fine) {
        json_decref(d->input_schema);
        json_decref(d->output_schema);
        json_decref(d->annotations);
        return false;
    }
    c->incoming = xrealloc(c->incoming, (c->incoming_count + 1) * sizeof *c->incoming);
    c->incoming[c->incoming_count++] = (struct conn__tool){
        .name = xstrdup(name),
        .title = bounded_text(d->title && *d->title ? d->title : name, CONN_MAX_TITLE),
        .description = bounded_text(d->description ? d->description : "", CONN_MAX_DESCRIPTION),
        .qualified = qualified_name(c->name, name),
        .definition = conn__definition_of(d),
        .schema = d->input_schema,
        .output_schema = d->output_schema,
        .annotations = d->annotations,
        .level = d->read_only ? CONN_READ : CONN_EXECUTE,
        .pin = CONN_PINNED,
        .listed = true};
    return true;
}

void conn__tools_end(struct conn *c)
{
    conn__pins_judge(c, c->incoming, c->incoming_count);
    free_tools(c->tools, c->tool_count);
    c->tools = c->incoming;
    c->tool_count = c->incoming_count;
    c->incoming = NULL;
    c->incoming_count = 0;
}

enum err conn_check(struct conn_registry *r, const char *name, struct error *e)
{
    struct conn *c = conn__find(r, name);
    if (!c)
        return err_set(e, ERR_NOT_FOUND, "no connector is named %s", name);
    if (!c->enabled)
        return err_set(e, ERR_CLOSED, "connector %s is disabled in the configuration", name);
    if (c->up) {
        check_now(c);
    } else if (!c->running && !r->closing) { /* a check of what is down is a new attempt */
        loop_timer_stop(c->restart_timer);
        conn__start_now(c);
    }
    return ERR_OK;
}

void conn__stop_now(struct conn *c, const char *why, bool orderly)
{
    stop_timers(c);
    conn__calls_fail(c, ERR_CLOSED, why);
    if (c->running)
        c->ops->stop(c->self, orderly);
    c->running = c->up = c->checking = false;
    c->restart_at_ms = 0;
    c->attempts = 0;
}

enum err conn_restart(struct conn_registry *r, const char *name, struct error *e)
{
    struct conn *c = conn__find(r, name);
    if (!c)
        return err_set(e, ERR_NOT_FOUND, "no connector is named %s", name);
    if (!c->enabled || r->closing)
        return err_set(e, ERR_CLOSED, "connector %s is not started", name);
    bool wait = c->running && c->ops->may_restart; /* for its process to end by itself */
    conn__stop_now(c, "the connector is restarted", wait);
    c->breaker = (struct breaker){0};
    set_state(c, CONN_STARTING);
    if (wait)
        loop_timer_start(c->restart_timer, STOP_MS, 0);
    else
        conn__start_now(c);
    return ERR_OK;
}

enum err conn_enable(struct conn_registry *r, const char *name, bool on, struct error *e)
{
    struct conn *c = conn__find(r, name);
    if (!c)
        return err_set(e, ERR_NOT_FOUND, "no connector is named %s", name);
    if (strcmp(name, CONN_OWN_NAME) == 0)
        return err_set(e, ERR_UNSUPPORTED, "%s is this console itself", name);
    json_t *before = json_object_get(r->switches, name);
    json_incref(before);
    json_put(r->switches, name, json_boolean(on));
    enum err code = conn__state_write(r, "switches.json", r->switches, e);
    if (code != ERR_OK) { /* what would not last is not done */
        if (before)
            json_put(r->switches, name, json_incref(before));
        else
            json_object_del(r->switches, name);
    } else {
        r->switches_damaged = false; /* the file is whole again, and has what was assumed */
    }
    if (code == ERR_OK && on != c->enabled) {
        c->enabled = on;
        if (!on)
            conn__stop_now(c, "the connector is disabled", true);
        set_state(c, on ? CONN_STARTING : CONN_DISABLED);
        if (on && r->started && !r->closing)
            conn__start_now(c);
    }
    json_decref(before);
    return code;
}

const char *conn_trouble(const struct conn_registry *r, unsigned i)
{
    const char *const all[] = {
        conn__pins_words(r),
        r->switches_damaged
            ? "connectors/switches.json is damaged: which connectors were switched off is not "
              "known, and every configured one is off until `mcp-console connectors enable NAME`"
            : NULL};
    for (unsigned k = 0; k < sizeof all / sizeof *all; k++) {
        if (all[k] && i-- == 0)
            return all[k];
    }
    return NULL;
}

bool conn_settled(const struct conn_registry *r)
{
    for (const struct conn *c = r->first; c; c = c->next) {
        if (c->state == CONN_STARTING)
            return false;
    }
    return true;
}
