/* Which era a server speaks, and the handshake.
 *
 *   auto: server/discover (2026-07-28) -> its versions name 2026-07-28          -> modern
 *           any error but -32020, -32021; no answer in PROBE_MS; other versions -> initialize
 *         initialize -> a revision that is known                               -> stateful
 *           refused after a probe ("duplicate initialize")  -> the run again, without the probe
 *           refused with a list of revisions that are known -> the run again, with the newest of
 * those
 *
 * Invariants
 * E1 No request but those of the handshake is sent while the era is unknown.
 * E2 A run is begun again at most once for each reason. */
#include "backend/base/clock.h"
#include "backend/connectors/mcp_core.h"
#include <stdlib.h>
#include <string.h>

enum { PROBE_MS = 4000 };

/* Newest first. */
static const char *const stateful[] = {MCP_STATEFUL, "2025-06-18", "2025-03-26", "2024-11-05"};

static bool knows(const char *revision)
{
    for (size_t i = 0; i < sizeof stateful / sizeof *stateful; i++) {
        if (strcmp(stateful[i], revision) == 0)
            return true;
    }
    return false;
}

/* The newest stateful revision in a list of a server's; NULL: none. */
static const char *newest_in(const json_t *list)
{
    for (size_t k = 0; k < sizeof stateful / sizeof *stateful; k++) {
        for (size_t i = 0; i < json_array_size(list) && i < 32; i++) {
            const char *one = json_string_value(json_array_get(list, i));
            if (one && strcmp(one, stateful[k]) == 0)
                return stateful[k];
        }
    }
    return NULL;
}

static bool lists_modern(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list) && i < 32; i++) {
        const char *one = json_string_value(json_array_get(list, i));
        if (one && strcmp(one, MCP_MODERN) == 0)
            return true;
    }
    return false;
}

static json_t *who_we_are(void)
{
    json_t *info = json_object();
    json_puts(info, "name", "mcp-console");
    json_puts(info, "version", MCPC_VERSION);
    return info;
}

void mcp__era_meta(const struct mcp *m, json_t *meta)
{
    json_puts(meta, "io.modelcontextprotocol/protocolVersion", MCP_MODERN);
    json_put(meta, "io.modelcontextprotocol/clientInfo", who_we_are());
    json_put(meta, "io.modelcontextprotocol/clientCapabilities", mcp__abilities(m));
    if (strcmp(m->log_level, "off") != 0 &&
        json_is_object(json_object_get(m->capabilities, "logging")))
        json_puts(meta, "io.modelcontextprotocol/logLevel", m->log_level);
}

/* What both kinds of handshake say of a server. */
static void learn(struct mcp *m, const json_t *result, const json_t *info, const char *revision)
{
    const char *version = json_str(info, "version", ""),
               *words = json_str(result, "instructions", "");
    free(m->version);
    free(m->protocol);
    free(m->instructions);
    m->version =
        xasprintf("%.64s%s%.32s", json_str(info, "name", ""), *version ? " " : "", version);
    m->protocol = xstrdup(revision);
    m->instructions = *words ? xasprintf("%.4096s", words) : NULL;
    json_decref(m->capabilities);
    json_t *can = json_object_get(result, "capabilities");
    m->capabilities = json_is_object(can) ? json_incref(can) : json_object();
}

/* ---- stateful */

static void initialize_answered(struct mcp *m, struct mcp_request *r, const json_t *result,
                                const json_t *error, const struct error *e)
{
    (void)r;
    if (!m->open)
        return;
    if (!result) {
        const json_t *data = json_object_get(error, "data");
        const char *named = newest_in(json_object_get(data, "supported"));
        if (error && m->probed && m->era_hint != ERA_STATEFUL) {
            m->era_hint = ERA_STATEFUL; /* a server that takes one handshake only */
            mcp__again(m);
        } else if (error && named && !m->propose) {
            m->propose = xstrdup(named);
            m->era_hint = ERA_STATEFUL;
            mcp__again(m);
        } else {
            mcp__went_wrong(m, error ? ERR_PROTOCOL : e->code, e->detail);
        }
        return;
    }
    const char *revision = json_str(result, "protocolVersion", "");
    if (!knows(revision)) {
        char *why =
            xasprintf("it speaks MCP revision \"%.32s\", which is not known here", revision);
        mcp__went_wrong(m, ERR_UNSUPPORTED, why);
        free(why);
        return;
    }
    learn(m, result, json_object_get(result, "serverInfo"), revision);
    m->era = m->era_hint = ERA_STATEFUL;
    mcp__notify(m, "notifications/initialized", NULL);
    mcp__lists_begin(m);
}

static void initialize(struct mcp *m)
{
    const char *propose = m->propose                  ? m->propose
                          : knows(m->protocol_wanted) ? m->protocol_wanted
                                                      : MCP_STATEFUL;
    json_t *params = json_object();
    json_puts(params, "protocolVersion", propose);
    json_put(params, "capabilities", mcp__abilities(m));
    json_put(params, "clientInfo", who_we_are());
    const struct mcp_request like = {.answered = initialize_answered};
    struct error e = {0};
    if (!mcp__ask(m, "initialize", params, &like, &e) && e.code != ERR_OK && m->open)
        mcp__went_wrong(m, ERR_CLOSED, "its input is closed");
}

/* ---- modern */

static void discovered(struct mcp *m, const json_t *result)
{
    const json_t *meta = json_object_get(result, "_meta");
    const json_t *info = json_object_get(meta, "io.modelcontextprotocol/serverInfo");
    learn(m, result, json_is_object(info) ? info : json_object_get(result, "serverInfo"),
          MCP_MODERN);
    m->era = m->era_hint = ERA_MODERN;
    mcp__lists_begin(m);
}

static void discover(struct mcp *m);

static void discover_answered(struct mcp *m, struct mcp_request *r, const json_t *result,
                              const json_t *error, const struct error *e)
{
    (void)r;
    if (!m->open)
        return;
    loop_timer_stop(m->probe_timer);
    const json_t *versions = json_object_get(result, "supportedVersions");
    if (lists_modern(versions)) {
        discovered(m, result);
        return;
    }
    if (lists_modern(json_object_get(json_object_get(error, "data"), "supported")) &&
        !m->discovered_again) { /* it refuses what it says that it speaks: once more (E2) */
        m->discovered_again = true;
        discover(m);
        return;
    }
    int64_t number = json_int(error, "code", 0);
    bool refused = number == MCP_E_CAPABILITY || number == MCP_E_HEADER;
    bool only = strcmp(m->protocol_wanted, MCP_MODERN) == 0;
    bool nobody = e->code == ERR_UNREACHABLE || e->code == ERR_CERTIFICATE ||
                  e->code == ERR_CONFIG || e->code == ERR_CLOSED;
    if (nobody || refused || (only && e->code != ERR_OK)) {
        mcp__went_wrong(m, refused ? ERR_PROTOCOL : e->code, e->detail);
        return;
    }
    if (only) {
        mcp__went_wrong(m, ERR_UNSUPPORTED, "it does not speak MCP revision " MCP_MODERN);
        return;
    }
    const char *named = newest_in(
        versions ? versions : json_object_get(json_object_get(error, "data"), "supported"));
    if (named && !m->propose)
        m->propose = xstrdup(named);
    initialize(m);
}

static void discover(struct mcp *m)
{
    const struct mcp_request like = {.answered = discover_answered};
    struct error e = {0};
    if (!mcp__ask(m, "server/discover", NULL, &like, &e) && e.code != ERR_OK && m->open)
        mcp__went_wrong(m, ERR_CLOSED, "its input is closed");
}

/* It does not answer what it does not know: an old one. */
static void on_probe_late(void *arg)
{
    struct mcp *m = arg;
    struct mcp_request *r = m->requests;
    while (r && strcmp(r->method, "server/discover") != 0)
        r = r->next;
    if (!m->open || m->era != ERA_UNKNOWN || !r)
        return;
    mcp__request_fail(m, r, ERR_TIMEOUT, "no answer to server/discover");
}

void mcp__era_make(struct mcp *m)
{
    m->probe_timer = loop_timer_new(conn__loop(m->conn), on_probe_late, m);
}

void mcp__era_begin(struct mcp *m)
{
    bool automatic = strcmp(m->protocol_wanted, "auto") == 0;
    m->era = ERA_UNKNOWN;
    free(m->protocol);
    m->protocol = NULL;
    if (m->era_hint == ERA_STATEFUL || knows(m->protocol_wanted)) {
        initialize(m);
        return;
    }
    m->probed = true;
    m->discovered_again = false;
    if (automatic)
        loop_timer_start(m->probe_timer, PROBE_MS, 0);
    discover(m);
}
