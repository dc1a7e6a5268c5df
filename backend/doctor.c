/* What the backend finds wrong with its surroundings, and how to mend it. */
#include "backend/internal.h"
#include "backend/orchestrator/flow.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

static void add(json_t *checks, const char *name, const char *status, const char *hint, char *text)
{
    json_t *check = json_object();
    json_puts(check, "name", name);
    json_puts(check, "status", status);
    json_puts(check, "text", text);
    json_puts(check, "hint", strcmp(status, "ok") == 0 ? "" : hint);
    json_array_append_new(checks, check);
    free(text);
}

static void check_files(struct backend *b, json_t *checks)
{
    struct stat st;
    struct statvfs vfs;
    struct error e = {0};
    const char *path = conf_path(b->conf);
    add(checks, "configuration", "ok", "",
        *path ? xasprintf("read from %s", path) : xstrdup("no file: built-in defaults"));
    bool tight = stat(b->state_dir, &st) == 0 && (st.st_mode & 077) == 0;
    add(checks, "state directory", tight ? "ok" : "warn", "chmod 700 that directory",
        xasprintf("%s%s", b->state_dir, tight ? "" : ": others may look into it"));
    add(checks, "database", "ok", "", xstrdup(store_path(b->store)));
    bool key = vault_permissions_ok(prov_vault(b->prov), &e);
    add(checks, "master key", key ? "ok" : "fail",
        "chmod 700 the keys directory and 600 the files in it, and make them yours",
        key ? xasprintf("key %s, seal %s, readable by its owner only",
                        vault_kek_id(prov_vault(b->prov)),
                        vault_seal_name(vault_sealed_by(prov_vault(b->prov))))
            : xstrdup(e.detail));
    bool locked = vault_memory_locked();
    add(checks, "locked memory", locked ? "ok" : "warn",
        "raise the limit for locked memory: ulimit -l, or LimitMEMLOCK= of the unit",
        xstrdup(locked ? "keys are kept out of the swap" : "keys may be written to the swap"));
    if (statvfs(b->state_dir, &vfs) == 0 && vfs.f_blocks) {
        unsigned long percent = (unsigned long)(vfs.f_bavail * 100 / vfs.f_blocks);
        add(checks, "disk",
            percent >= 10  ? "ok"
            : percent >= 3 ? "warn"
                           : "fail",
            "free space on the state directory's file system",
            xasprintf("%lu%% free for the log", percent));
    }
}

/* True for an address whose requests leave this machine as they are. */
static bool goes_in_clear(const char *url)
{
    if (strncasecmp(url, "http://", 7) != 0)
        return false;
    const char *host = url + 7;
    size_t len = strcspn(host, *host == '[' ? "]/?#" : ":/?#");
    bool loopback = (len == 9 && strncasecmp(host, "localhost", 9) == 0) ||
                    (len == 4 && strncmp(host, "[::1", 4) == 0) ||
                    (strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == len);
    return !loopback;
}

static void check_model(const struct gw_model *m, json_t *checks)
{
    char *name = xasprintf("model %s", m->name);
    bool clear = m->keyed && goes_in_clear(m->url);
    bool placed = m->builtin || *m->region;
    add(checks, name, placed && !clear ? "ok" : "warn",
        clear ? "use https: its key goes over the network in clear" : "set `region` in its section",
        m->builtin
            ? xstrdup(m->about)
            : xasprintf("%s at %s%s%s", m->model, m->url, placed ? "" : ", region not declared",
                        clear ? ", its key goes over the network in clear" : ""));
    free(name);
}

/* A command line is shown to every user of the machine while the command runs. */
static void check_commands(struct backend *b, json_t *checks)
{
    enum { MOST = 256 };
    const char *names[MOST], *tags[16];
    size_t n = conf_names(b->conf, "connector", names, MOST);
    for (size_t i = 0; i < n && i < MOST; i++) {
        bool secret = false;
        size_t found = pol_pii_tags(conf_str(b->conf, "connector", names[i], "command"), tags, 16);
        for (size_t k = 0; k < found; k++)
            secret = secret || strcmp(tags[k], "secret") == 0;
        if (!secret)
            continue;
        char *name = xasprintf("command of %s", names[i]);
        add(checks, name, "warn", "hand it over as a variable named in `env`",
            xstrdup("it holds what looks like a secret, and every user here can read it"));
        free(name);
    }
}

static void check_telemetry(struct backend *b, json_t *checks)
{
    const char *collector = conf_str(b->conf, "telemetry", "", "otlp");
    bool clear = goes_in_clear(collector) && *conf_str(b->conf, "telemetry", "", "otlp_headers");
    struct error e = {0};
    const char *at = backend__observe_address(b, &e);
    if (*conf_str(b->conf, "telemetry", "", "listen"))
        add(checks, "metrics", at ? "ok" : "warn", "see [telemetry] listen and remote",
            at ? xasprintf("at http://%s/metrics", at) : xstrdup(err_words(&e)));
    if (!*collector)
        return;
    backend__observe_collector(b, &e);
    add(checks, "collector", e.code == ERR_OK && !clear ? "ok" : "warn",
        clear ? "use https: the headers go over the network in clear"
              : "see [telemetry] otlp, otlp_headers and ca_file",
        e.code != ERR_OK ? xstrdup(err_words(&e))
                         : xasprintf("telemetry goes to %s%s", collector,
                                     clear ? ", its headers in clear" : ""));
}

static void check_vectors(struct backend *b, json_t *checks)
{
    struct orch_vectors_state s;
    if (!orch_vectors(b->orch, &s))
        return;
    bool failed = s.last.code != ERR_OK;
    add(checks, "runbook vectors", failed ? "warn" : "ok", "see [knowledge] embedding",
        xasprintf("%zu of %zu passages have one by %s%s%s", s.passages - s.missing, s.passages,
                  s.model, failed ? "; " : "", failed ? err_words(&s.last) : ""));
}

static void check_flows(struct backend *b, json_t *checks)
{
    const struct flows *all = orch_flows(b->orch);
    size_t own = 0;
    for (size_t i = 0; i < all->count; i++)
        own += all->at[i]->own;
    for (size_t i = 0; i < all->wrong_count; i++) {
        char *name = xasprintf("flow %s", all->wrong_name[i]);
        add(checks, name, "fail", "mend it: mcp-console flows check FILE says when it is well",
            xstrdup(err_words(&all->wrong[i])));
        free(name);
    }
    add(checks, "flows", "ok", "", xasprintf("%zu, of these %zu of your own", all->count, own));
}

json_t *backend__doctor(struct backend *b)
{
    json_t *checks = json_array();
    struct prov_state chain;
    check_files(b, checks);
    prov_state(b->prov, &chain);
    static const char *const CHAIN[] = {"not verified yet in this run", "verified",
                                        "DOES NOT VERIFY"};
    add(checks, "evidence log", chain.state == PROV_BROKEN ? "fail" : "ok",
        "run `mcp-console evidence verify` and keep a copy of the database",
        xasprintf("%lld entries, %s", (long long)chain.size, CHAIN[chain.state]));
    if (b->know)
        add(checks, "runbooks",
            know_documents(b->know) && b->know_warning.code == ERR_OK ? "ok" : "warn",
            "set [knowledge] builtin = yes, or a folder with files that can be read",
            xasprintf("%zu documents, %zu passages%s%s", know_documents(b->know),
                      know_chunks(b->know), *b->know_warning.detail ? "; " : "",
                      b->know_warning.detail));
    check_vectors(b, checks);
    check_flows(b, checks);
    if (b->served_address || b->served_error.code)
        add(checks, "MCP server", b->served_address ? "ok" : "warn",
            "see [mcp_server] listen and token",
            b->served_address ? xasprintf("agents reach it at http://%s/mcp", b->served_address)
                              : xstrdup(err_words(&b->served_error)));
    check_telemetry(b, checks);
    for (size_t i = 0; i < gw_count(b->gw); i++)
        check_model(gw_model(b->gw, i), checks);
    check_commands(b, checks);
    json_t *rows = conn_list(b->conn), *row;
    size_t i;
    json_array_foreach(rows, i, row)
    {
        const char *state = json_str(row, "state", "");
        char *name = xasprintf("connector %s", json_str(row, "name", ""));
        bool bad = strcmp(state, "fail") == 0, meh = strcmp(state, "warn") == 0 ||
                                                     strcmp(state, "starting") == 0 ||
                                                     strcmp(state, "sign-in") == 0;
        add(checks, name,
            bad   ? "fail"
            : meh ? "warn"
                  : "ok",
            "see its command and its standard error: mcp-console connectors --json",
            xasprintf("%s, %lld tools%s%s", state, (long long)json_int(row, "tools", 0),
                      json_str(row, "last_error", "")[0] ? ": " : "",
                      json_str(row, "last_error", "")));
        free(name);
    }
    json_decref(rows);
    return checks;
}
