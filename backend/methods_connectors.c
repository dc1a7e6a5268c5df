/* The methods that change connectors, and the configuration file that is watched.
 *
 * Invariant
 * N1 What changes something is in the log before it is done. */
#include "backend/methods.h"
#include "backend/orchestrator/flow.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { WATCH_MS = 2000 };

struct change {
    struct backend *backend;
    struct bus_call *call; /* NULL: nobody asked (the file has changed) */
    char *name, *tool;
    bool revoke;
    enum err (*run)(struct change *h, json_t *result, struct error *e);
};

static void change_free(struct change *h)
{
    free(h->name);
    free(h->tool);
    free(h);
}

static void change_logged(void *arg, int64_t seq, const struct error *e)
{
    struct change *h = arg;
    struct error why = *e;
    json_t *result = json_object();
    json_puti(result, "entry", seq);
    if (why.code == ERR_OK && h->backend->stopping)
        err_set(&why, ERR_CLOSED, "the console is stopping");
    if (why.code == ERR_OK)
        h->run(h, result, &why);
    if (why.code != ERR_OK) {
        json_decref(result);
        result = NULL;
    }
    backend__changed(h->backend);
    if (h->call)
        method_answer(h->call, result, &why);
    else
        json_decref(result);
    change_free(h);
}

static void change_log(struct change *h, const char *type, json_t *payload)
{
    struct prov_entry entry = {.type = type,
                               .actor =
                                   h->call ? bus_role_name(bus_session(h->call)->role) : "backend",
                               .payload = payload};
    if (h->name)
        json_puts(payload, "connector", h->name);
    prov_append(h->backend->prov, &entry, change_logged, h, NULL, NULL);
    json_decref(payload);
}

/* NULL after the call was answered. */
static struct change *change_new(struct bus_call *c, struct backend *b)
{
    const char *name;
    if (!method_text(c, "name", true, &name))
        return NULL;
    struct change *h = xcalloc(1, sizeof *h);
    *h = (struct change){.backend = b, .call = c, .name = xstrdup(name)};
    return h;
}

/* ---- on and off ---- */

static enum err run_enable(struct change *h, json_t *result, struct error *e)
{
    (void)result;
    return conn_enable(h->backend->conn, h->name, true, e);
}

static enum err run_disable(struct change *h, json_t *result, struct error *e)
{
    (void)result;
    return conn_enable(h->backend->conn, h->name, false, e);
}

void on_connectors_enable(struct bus_call *c, void *arg)
{
    struct change *h = change_new(c, arg);
    if (!h)
        return;
    h->run = run_enable;
    change_log(h, "conn.enable", json_object());
}

void on_connectors_disable(struct bus_call *c, void *arg)
{
    struct change *h = change_new(c, arg);
    if (!h)
        return;
    h->run = run_disable;
    change_log(h, "conn.disable", json_object());
}

/* ---- definitions ---- */

static enum err run_trust(struct change *h, json_t *result, struct error *e)
{
    size_t count = 0;
    enum err code = conn_trust(h->backend->conn, h->name, h->tool, h->revoke, &count, e);
    json_puti(result, "tools", (int64_t)count);
    return code;
}

void on_connectors_trust(struct bus_call *c, void *arg)
{
    const char *tool;
    if (!method_text(c, "tool", false, &tool))
        return;
    struct change *h = change_new(c, arg);
    if (!h)
        return;
    h->tool = xstrdup_or_null(tool);
    h->revoke = json_is_true(json_object_get(bus_params(c), "revoke"));
    h->run = run_trust;
    json_t *payload = json_object();
    json_puts(payload, "tool", tool ? tool : "");
    json_put(payload, "revoke", json_boolean(h->revoke));
    json_puts(payload, "how", "by hand");
    change_log(h, "conn.trust", payload);
}

void on_connectors_drift(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *name;
    struct error e = {0};
    if (!method_text(c, "name", true, &name))
        return;
    json_t *rows = conn_drift(b->conn, name), *result = NULL;
    if (rows) {
        result = json_object();
        json_put(result, "tools", rows);
    } else {
        err_set(&e, ERR_NOT_FOUND, "no connector \"%s\"", name);
    }
    method_answer(c, result, &e);
}

void on_tools_list(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *connector;
    if (!method_text(c, "connector", false, &connector))
        return;
    json_t *result = json_object(), *rows = conn_tools_json(b->conn, connector), *row;
    size_t i;
    if (bus_session(c)->role < BUS_REVIEWER) {
        json_array_foreach(rows, i, row)
        {
            json_object_del(row, "description");
            json_object_del(row, "input_schema");
            json_object_del(row, "output_schema");
            json_object_del(row, "annotations");
        }
    }
    json_put(result, "tools", rows);
    bus_reply(c, result);
}

void backend__conn_told(void *arg, const char *type, const char *name, const json_t *data)
{
    struct backend *b = arg;
    (void)name;
    if (!b->prov || b->stopping)
        return;
    struct prov_entry entry = {.type = type, .actor = "backend", .payload = (json_t *)data};
    prov_append(b->prov, &entry, NULL, NULL, NULL, NULL);
    backend__changed(b);
}

/* ---- the configuration file ---- */

static int64_t stamp_of(const struct backend *b)
{
    struct stat st;
    const char *path = conf_path(b->conf);
    if (!*path || stat(path, &st) != 0)
        return 0;
    return (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec + (int64_t)st.st_size +
           (int64_t)st.st_ino;
}

static json_t *lines_json(const char *lines)
{
    json_t *names = json_array();
    for (const char *at = lines; at && *at;) {
        size_t len = strcspn(at, "\n");
        json_array_append_new(names, json_text(at, len));
        at += len + (at[len] == '\n');
    }
    return names;
}

/* Which flows differ now, and which files were refused: an entry, if there are any. */
static void log_flows(struct backend *b, json_t *changed)
{
    const struct flows *all = orch_flows(b->orch);
    json_t *payload = json_object(), *wrong = json_array();
    for (size_t i = 0; i < all->wrong_count; i++)
        json_array_append_new(wrong, json_string(all->wrong[i].detail));
    bool some = json_array_size(changed) || json_array_size(wrong);
    json_put(payload, "flows", json_incref(changed));
    json_put(payload, "wrong", wrong);
    struct prov_entry entry = {.type = "conf.reload", .actor = "backend", .payload = payload};
    if (some)
        prov_append(b->prov, &entry, NULL, NULL, NULL, NULL);
    json_decref(payload);
}

/* They name models and tools: they are checked against those that there are now. */
static enum err read_flows(struct backend *b, json_t *result, struct error *e)
{
    json_t *changed = NULL;
    b->flows_stamp = orch_flows_stamp();
    if (orch_flows_read(b->orch, &changed, e) != ERR_OK)
        return e->code;
    log_flows(b, changed);
    json_put(result, "flows", changed);
    return ERR_OK;
}

static enum err read_flows_alone(struct change *h, json_t *result, struct error *e)
{
    json_put(result, "changed", json_array());
    json_put(result, "models", json_array());
    json_put(result, "telemetry", json_false());
    return read_flows(h->backend, result, e);
}

static enum err run_reload(struct change *h, json_t *result, struct error *e)
{
    struct backend *b = h->backend;
    const char *path = conf_path(b->conf);
    char *changes = NULL, *models = NULL;
    bool telemetry = false;
    struct conf *fresh = *path ? conf_load(path, e) : NULL;
    if (!*path)
        return read_flows_alone(h, result, e);
    if (!fresh)
        return e->code;
    if (gw_reload(b->gw, fresh, NULL, e) != ERR_OK ||
        backend__observe_reload(b, fresh, false, &telemetry, e) != ERR_OK ||
        conn_reload(b->conn, fresh, &changes, e) != ERR_OK) {
        conf_free(fresh);
        return e->code;
    }
    enum err code = gw_reload(b->gw, fresh, &models, e);
    struct error why = {0}; /* the one before is let go of in any case */
    if (backend__observe_reload(b, fresh, true, &telemetry, &why) != ERR_OK && code == ERR_OK)
        code = err_set(e, why.code, "%s", why.detail);
    conf_free(b->conn_conf); /* nobody holds what was in it: kinds copy what they need */
    b->conn_conf = fresh;
    json_put(result, "changed", lines_json(changes));
    json_put(result, "models", lines_json(models));
    json_put(result, "telemetry", json_boolean(telemetry));
    free(models);
    free(changes);
    if (read_flows(b, result, code == ERR_OK ? e : &why) != ERR_OK && code == ERR_OK)
        code = e->code;
    return code;
}

static enum err run_watched(struct change *h, json_t *result, struct error *e)
{
    struct backend *b = h->backend;
    b->reload_error = (struct error){0};
    enum err code = run_reload(h, result, e);
    if (code == ERR_OK)
        return ERR_OK;
    b->reload_error = *e;
    json_t *payload = json_object();
    json_puts(payload, "error", err_words(e));
    struct prov_entry entry = {.type = "conf.reload", .actor = "backend", .payload = payload};
    prov_append(b->prov, &entry, NULL, NULL, NULL, NULL);
    json_decref(payload);
    return code;
}

static void reload(struct backend *b, struct bus_call *c, const char *why, bool flows_alone)
{
    struct change *h = xcalloc(1, sizeof *h);
    *h = (struct change){
        .backend = b, .call = c, .run = flows_alone ? read_flows_alone : run_watched};
    json_t *payload = json_object();
    json_puts(payload, "why", why);
    if (!flows_alone)
        b->conf_stamp = stamp_of(b);
    b->flows_stamp = orch_flows_stamp();
    change_log(h, "conf.reload", payload);
}

void on_connectors_reload(struct bus_call *c, void *arg)
{
    reload(arg, c, "asked for", false);
}

static int wanted; /* atomic: a signal says so */

void backend_reload(void)
{
    __atomic_store_n(&wanted, 1, __ATOMIC_RELAXED);
}

static void look(void *arg)
{
    struct backend *b = arg;
    int64_t now = stamp_of(b);
    if (__atomic_exchange_n(&wanted, 0, __ATOMIC_RELAXED) && !b->stopping) {
        reload(b, NULL, "SIGHUP", false);
        return;
    }
    /* A file that is away for a moment is being replaced. */
    if (now && now != b->conf_stamp && !b->stopping)
        reload(b, NULL, "the file has changed", false);
    else if (orch_flows_stamp() != b->flows_stamp && !b->stopping)
        reload(b, NULL, "flows have changed", true);
}

void backend__reload_start(struct backend *b)
{
    b->conf_stamp = stamp_of(b);
    b->flows_stamp = orch_flows_stamp();
    b->reload_timer = loop_timer_new(b->loop, look, b);
    loop_timer_start(b->reload_timer, WATCH_MS, WATCH_MS);
}

void backend__reload_stop(struct backend *b)
{
    loop_timer_free(b->reload_timer);
    b->reload_timer = NULL;
}
