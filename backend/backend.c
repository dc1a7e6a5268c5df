/* The backend's thread: start and stop in order. See backend.h.
 *
 * Invariants
 * K1 The bus is there before anything slow begins; requests wait for bus_ready.
 * K2 A failed start leaves a bus that answers every request with the reason.
 * K3 Stopping is: bus closed, answers stopped, connectors asked to end, session sealed, writes
 * drained, then everything freed; backend_stop does not wait for ever: what takes too long is left
 * alone, and the process ends without it. */
#include "backend/base/clock.h"
#include "backend/base/embed.h"
#include "backend/internal.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { STOP_MS = 300, DRAIN_STEP_MS = 5, DRAIN_MS = 150, FIRST_VERIFY_MS = 400, TICK_MS = 30000 };

/* ---- knowledge: indexed on a worker */

struct indexing {
    struct backend *backend;
    struct know *know;
    struct error warning;
    const struct embed_file *builtin;
    char *folder;
};

static void index_work(void *arg)
{
    struct indexing *i = arg;
    i->know = know_new(i->builtin, i->folder, &i->backend->stop_indexing, &i->warning);
}

static void index_done(void *arg, bool cancelled)
{
    struct indexing *i = arg;
    struct backend *b = i->backend;
    if (!cancelled && !b->stopping) {
        b->know = i->know;
        b->know_warning = i->warning;
        orch_set_knowledge(b->orch, b->know);
        backend__changed(b);
    } else {
        know_free(i->know);
    }
    free(i->folder);
    free(i);
}

static void start_indexing(struct backend *b)
{
    static const struct embed_file NONE[] = {{NULL, NULL, 0}};
    struct indexing *i = xcalloc(1, sizeof *i);
    i->backend = b;
    i->builtin = conf_flag(b->conf, "knowledge", "", "builtin") ? embed_runbooks : NONE;
    i->folder = xstrdup(conf_str(b->conf, "knowledge", "", "folder"));
    loop_work(b->loop, index_work, index_done, i);
}

/* ---- what rooms tell */

static void withhold_stage(json_t *event)
{
    backend__withhold_stages(json_object_get(event, "stages"));
}

static void on_orch_event(void *arg, const char *type, const json_t *data)
{
    struct backend *b = arg;
    bool turn = strcmp(type, "turn") == 0;
    if (json_object_get(data, "eval")) { /* nobody's conversation */
        evals_turn(b->evals, data);
        return;
    }
    if (turn) /* an audience sees that something was said, not what */
        backend__tell(b, type, (json_t *)data, backend__withhold);
    else if (strcmp(type, "stage") == 0)
        backend__tell(b, type, (json_t *)data, withhold_stage);
    else
        bus_event_for(b->bus, BUS_REVIEWER, BUS_OPERATOR, type, (json_t *)data);
    if (turn && strcmp(json_str(data, "state", ""), "running") != 0) {
        json_t *summary =
            cost_summary(b->cost, conf_str(b->conf, "console", "", "currency"), 1, NULL);
        if (summary)
            bus_event(b->bus, "cost", json_object_get(summary, "today"));
        json_decref(summary);
        b->score_due = true;
        backend__changed(b);
    }
}

static void on_eval(void *arg, const json_t *progress)
{
    struct backend *b = arg;
    bus_event(b->bus, "eval", (json_t *)progress);
    backend__changed(b);
}

static void on_prov_change(void *arg)
{
    backend__changed(arg);
}

static void on_conn_changed(void *arg, const char *name, enum conn_state from, enum conn_state to,
                            const char *error)
{
    struct backend *b = arg;
    if (b->prov && !b->stopping) {
        json_t *payload = json_object();
        json_puts(payload, "connector", name);
        json_puts(payload, "from", conn_state_name(from));
        json_puts(payload, "to", conn_state_name(to));
        json_puts(payload, "error", error ? error : "");
        struct prov_entry entry = {
            .type = "connector.state", .actor = "backend", .payload = payload};
        prov_append(b->prov, &entry, NULL, NULL, NULL, NULL);
        json_decref(payload);
    }
    json_t *rows = b->conn ? conn_list(b->conn) : NULL, *row;
    size_t i;
    json_array_foreach(rows, i, row)
    {
        if (strcmp(json_str(row, "name", ""), name) == 0)
            backend__tell(b, "health", row, backend__withhold_connector);
    }
    json_decref(rows);
    backend__changed(b);
}

/* Latency histories move with every check; clients hear of them every half minute, not every
 * second. */
static void on_tick(void *arg)
{
    struct backend *b = arg;
    json_t *rows = conn_list(b->conn), *row;
    size_t i;
    json_array_foreach(rows, i, row) backend__tell(b, "health", row, backend__withhold_connector);
    json_decref(rows);
    backend__learnt_write(b, false);
    b->score_due = true;
    backend__changed(b);
}

static void first_verify(void *arg)
{
    struct backend *b = arg;
    loop_timer_free(b->tick);
    b->tick = loop_timer_new(b->loop, on_tick, b);
    loop_timer_start(b->tick, TICK_MS, TICK_MS);
    b->score_due = true;
    backend__verify(b, VERIFY_KNOWN, false, NULL, NULL, NULL, NULL);
}

/* ---- start */

/* Its keys first. */
static enum err open_log(struct backend *b, struct error *e)
{
    /* A log without its key gets no new one: the old one is to be looked for first. */
    bool fresh = store_scalar(store_reader(b->store), 1, "SELECT count(*) FROM data_keys", "") == 0;
    struct vault_options keys = {.state_dir = b->state_dir, .create = fresh, .pass = b->pass};
    vault_seal_find(conf_str(b->conf, "vault", "", "seal"), &keys.seal);
    if (!(b->vault = vault_open_as(&keys, e)))
        return e->code;
    if (!(b->prov = prov_open_scrubbed(b->loop, b->store, b->vault, pol_scrub, e)))
        return e->code;
    struct prov_signing signing = {
        .origin = conf_str(b->conf, "evidence", "", "origin"),
        .environment = conf_str(b->conf, "console", "", "environment"),
        .entries = conf_int(b->conf, "evidence", "", "checkpoint_entries"),
        .seconds = conf_int(b->conf, "evidence", "", "checkpoint_seconds")};
    prov_sign(b->prov, &signing);
    prov_set_telemetry(b->prov, b->tel);
    prov_rotate_resume(b->prov);
    return ERR_OK;
}

/* Role and level: the options may lower what the configuration gives, never raise it. */
static enum err take_rights(struct backend *b, struct error *e)
{
    b->max_role = bus_role_find(conf_str(b->conf, "console", "", "role"));
    if (b->role_option) {
        enum bus_role wanted = bus_role_find(b->role_option);
        if (wanted == BUS_NONE)
            return err_set(e, ERR_CONFIG, "--role %s: the roles are operator, reviewer and demo",
                           b->role_option);
        if (wanted > b->max_role)
            return err_set(e, ERR_DENIED,
                           "--role %s: the configuration gives this console at most %s",
                           b->role_option, bus_role_name(b->max_role));
        b->max_role = wanted;
    }
    if (!bus_level_find(conf_str(b->conf, "console", "", "level"), &b->max_level))
        BUG("a level that conf.def has is none");
    enum bus_level level;
    if (b->level_option && !bus_level_find(b->level_option, &level))
        return err_set(e, ERR_CONFIG, "--level %s: the levels are read, recommend and execute",
                       b->level_option);
    if (b->level_option && level > b->max_level)
        return err_set(e, ERR_DENIED, "--level %s: the configuration gives this console at most %s",
                       b->level_option, bus_level_name(b->max_level));
    if (b->level_option)
        b->max_level = level;
    if (b->max_role < BUS_OPERATOR)
        b->max_level = BUS_READ;
    bus_set_level(b->bus, b->max_level);
    return ERR_OK;
}

static enum err open_models(struct backend *b, struct error *e)
{
    if (backend__spending_open(b, e) != ERR_OK)
        return e->code;
    if (!(b->gw = gw_new(b->loop, b->conf, e)))
        return e->code;
    gw_set_vault(b->gw, b->vault);
    gw_set_telemetry(b->gw, b->tel, conf_flag(b->conf, "telemetry", "", "traceparent"));
    backend__learnt_read(b);
    if (backend__spending_start(b, e) == ERR_OK)
        backend__lost_find(b);
    return e->code;
}

static enum err open_connectors(struct backend *b, struct error *e)
{
    struct conn_setup connectors = {.loop = b->loop,
                                    .conf = b->conf,
                                    .vault = b->vault,
                                    .state_dir = b->state_dir,
                                    .changed = on_conn_changed,
                                    .told = backend__conn_told,
                                    .arg = b,
                                    .host = &backend__mcp_host,
                                    .tel = b->tel,
                                    .tells_peers =
                                        conf_flag(b->conf, "telemetry", "", "traceparent")};
    if (!(b->conn = conn_new(&connectors, e)))
        return e->code;
    backend__add_selftools(b);
    return backend__plans_start(b, e);
}

static enum err open_orchestrator(struct backend *b, struct error *e)
{
    struct orch_rooms rooms = {.loop = b->loop,
                               .store = b->store,
                               .conf = b->conf,
                               .prov = b->prov,
                               .gw = b->gw,
                               .conn = b->conn,
                               .cost = b->cost,
                               .tel = b->tel,
                               .plans = b->plans,
                               .alerts = backend__alerts,
                               .alerts_arg = b};
    b->orch = orch_new(&rooms, on_orch_event, b, e);
    if (!b->orch)
        return e->code;
    struct evals_rooms evals = {
        .loop = b->loop, .store = b->store, .prov = b->prov, .orch = b->orch};
    b->evals = evals_new(&evals, on_eval, b);
    return ERR_OK;
}

static enum err open_rooms(struct backend *b, struct error *e)
{
    char *path = conf_find(b->config_path);
    b->conf = conf_load(path, e);
    free(path);
    if (!b->conf)
        return e->code;
    if (take_rights(b, e) != ERR_OK)
        return e->code;
    bus_set_environment(b->bus, conf_str(b->conf, "console", "", "environment"), b->max_role);
    if (!(b->state_dir = conf_state_dir(b->state_option, e)))
        return e->code;
    vault_init();
    pol_set_known(vault_known_in);
    if (!(b->store = store_open(b->loop, b->state_dir, false, e)))
        return e->code;
    if (open_log(b, e) != ERR_OK)
        return e->code;
    if (open_models(b, e) != ERR_OK)
        return e->code;
    if (open_connectors(b, e) != ERR_OK)
        return e->code;
    if (open_orchestrator(b, e) != ERR_OK)
        return e->code;
    backend__exports_start(b);
    if (backend__retention_open(b, e) != ERR_OK)
        return e->code;
    backend__daily_start(b);
    prov_on_change(b->prov, on_prov_change, b);
    if (backend__observe_start(b, e) != ERR_OK)
        return e->code;
    return backend__witness_start(b, e);
}

static void start(void *arg)
{
    struct backend *b = arg;
    struct error e = {0};
    if (open_rooms(b, &e) != ERR_OK) {
        pthread_mutex_lock(&b->lock);
        b->error = e;
        pthread_mutex_unlock(&b->lock);
        bus_ready(b->bus, &e);
        return;
    }
    start_indexing(b);
    conn_start(b->conn);
    backend__reload_start(b);
    b->tick = loop_timer_new(b->loop, first_verify, b);
    loop_timer_start(b->tick, FIRST_VERIFY_MS, 0);
    bus_ready(b->bus, NULL);
}

/* ---- stop */

static void drained(void *arg)
{
    struct backend *b = arg;
    bool pending = (b->prov && prov_pending(b->prov)) || backend__observe_pending(b);
    if (!pending || b->drain_steps++ >= DRAIN_MS / DRAIN_STEP_MS)
        loop_quit(b->loop);
}

static void stop(void *arg)
{
    struct backend *b = arg;
    b->stopping = true;
    __atomic_store_n(&b->stop_indexing, true, __ATOMIC_RELAXED);
    backend__verify_forget(b);
    backend__keys_forget(b);
    backend__retention_stop(b);
    backend__models_stop(b);
    bus_close(b->bus);
    backend__samples_stop(b);
    backend__witness_close(b);
    backend__observe_close(b);
    evals_close(b->evals);
    if (b->orch)
        orch_close(b->orch);
    plans_close(b->plans);
    kill_close(b->kill);
    if (b->conn)
        conn_close(b->conn);
    if (b->prov)
        prov_close(b->prov);
    backend__observe_flush(b);
    b->stop_timer = loop_timer_new(b->loop, drained, b);
    loop_timer_start(b->stop_timer, 1, DRAIN_STEP_MS);
}

static void free_rooms(struct backend *b)
{
    backend__reload_stop(b);
    loop_timer_free(b->tick);
    loop_timer_free(b->status_timer);
    loop_timer_free(b->stop_timer);
    conn_free(b->conn);
    backend__learnt_write(b, true);
    gw_free(b->gw);
    cost_budgets_free(b->budgets);
    store_free(
        b->store); /* waits for queued writes: their done callbacks still find prov and orch */
    backend__witness_free(b);
    orch_free(b->orch);
    evals_free(b->evals);
    plans_free(b->plans);
    kill_free(b->kill);
    backend__retention_free(b);
    if (b->prov)
        b->vault = prov_vault(b->prov); /* a rotation put another in its place */
    prov_free(b->prov);
    cost_free(b->cost);
    bus_free(b->bus);
    backend__observe_free(b);
    backend__daily_free(b);
    backend__exports_free(b);
    loop_free(b->loop);
    know_free(b->know);
    vault_close(b->vault);
    vault_pass_free(b->pass);
    vault_pass_free(b->new_pass);
    vault_text_wipe(&b->secret);
    conf_free(b->conf);
    conf_free(b->conn_conf);
    free(b->state_dir);
    free(b->served_address);
    free(b->last_status);
    json_decref(b->last_score);
    json_decref(b->verify_report);
    tel_free(b->tel); /* requests that rooms held until now had spans */
}

static void release(struct backend *b)
{
    pthread_mutex_destroy(&b->lock);
    free(b->config_path);
    free(b->state_option);
    free(b->role_option);
    free(b->level_option);
    free(b->address);
    free(b);
}

static void *run(void *arg)
{
    struct backend *b = arg;
    struct error e = {0};
    b->started_ms = clock_mono_ms();
    struct loop *l = loop_new();
    BUG_IF(!l);
    pthread_mutex_lock(&b->lock);
    b->loop = l;
    pthread_mutex_unlock(&b->lock);
    b->max_role = BUS_OPERATOR;
    b->verify_entry = -1;
    b->tel = tel_new();
    b->bus = bus_new(l, b->address, backend__handlers, b, b->max_role, "", &e);
    BUG_IF(!b->bus);
    bus_set_telemetry(b->bus, b->tel);
    loop_post(l, start, b);
    loop_run(l);
    free_rooms(b);
    pthread_mutex_lock(&b->lock);
    b->ended = true;
    bool abandoned = b->abandoned;
    pthread_mutex_unlock(&b->lock);
    if (abandoned)
        release(b);
    return NULL;
}

struct backend *backend_start(const struct backend_options *o)
{
    struct backend *b = xcalloc(1, sizeof *b);
    b->config_path = xstrdup_or_null(o->config);
    b->state_option = xstrdup_or_null(o->state);
    b->role_option = xstrdup_or_null(o->role);
    b->level_option = xstrdup_or_null(o->level);
    b->address = xstrdup_or_null(o->address);
    b->pass = o->pass;
    b->new_pass = o->new_pass;
    if (o->secret)
        b->secret = vault_text_of(o->secret, o->secret_len);
    pthread_mutex_init(&b->lock, NULL);
    /* The terminal's signals belong to the main thread. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&b->thread, NULL, run, b);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    BUG_IF(failed);
    return b;
}

enum err backend_error(struct backend *b, struct error *e)
{
    pthread_mutex_lock(&b->lock);
    struct error now = b->error;
    pthread_mutex_unlock(&b->lock);
    if (e)
        *e = now;
    return now.code;
}

struct loop *backend__loop(struct backend *b)
{
    for (;;) { /* the thread may not have made it yet */
        pthread_mutex_lock(&b->lock);
        struct loop *l = b->loop;
        pthread_mutex_unlock(&b->lock);
        if (l)
            return l;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

bool backend_stop(struct backend *b)
{
    loop_post(backend__loop(b), stop, b);
    /* By the clock that nobody sets: the other may jump while this waits. */
    uint64_t until = clock_mono_ms() + STOP_MS;
    while (pthread_tryjoin_np(b->thread, NULL) == EBUSY) {
        if (clock_mono_ms() < until) {
            nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
            continue;
        }
        /* K3: everything acknowledged is durable; what hangs is somebody else's */
        pthread_mutex_lock(&b->lock);
        b->abandoned = !b->ended;
        bool abandoned = b->abandoned;
        if (abandoned)
            pthread_detach(b->thread);
        pthread_mutex_unlock(&b->lock);
        if (abandoned)
            return false;
        pthread_join(b->thread, NULL);
        break;
    }
    release(b);
    return true;
}
