/* What the console tells of itself: GET /metrics at an address, spans and metrics to a collector,
 * and the figures that are looked up rather than counted. See docs/observability.md.
 *
 * Invariants
 * W1 What is told has no text of a question, an answer, a tool or a document in it (T2).
 * W2 A port that is taken, or a collector that is away, stops nothing: it is an alert.
 * W3 A configuration that is read again takes the place of the one before whole or not at all. */
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "backend/methods.h"
#include "backend/telemetry/otlp.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { LAG_MS = 1000 };

struct observe {
    struct backend *backend;
    const struct conf *conf; /* whose [telemetry] counts */
    char *ca_file;           /* of it, or NULL */
    struct httpd *server;    /* NULL: it does not listen */
    struct backend_token *token;
    struct otlp *otlp;
    struct error listen_error;
    struct loop_timer *lag;
    uint64_t lag_due_ns;
    int64_t spent;  /* the last line of the ledger that was counted */
    json_t *alerts; /* as they stood last: ["severity source text"] */
};

/* ---- what is looked up */

static void collect_process(struct tel *t)
{
    struct rusage used;
    struct rlimit files;
    long pages = 0;
    if (getrusage(RUSAGE_SELF, &used) == 0)
        tel_total(t, TEL_process_cpu,
                  (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                      (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6,
                  TEL_NO_LABELS);
    FILE *f = fopen("/proc/self/statm", "re");
    if (f && fscanf(f, "%*d %ld", &pages) == 1)
        tel_set(t, TEL_process_memory, (double)pages * (double)sysconf(_SC_PAGESIZE),
                TEL_NO_LABELS);
    if (f)
        fclose(f);
    int64_t open = -3; /* ".", ".." and the folder itself */
    DIR *dir = opendir("/proc/self/fd");
    while (dir && readdir(dir))
        open++;
    if (dir)
        tel_set(t, TEL_process_fds, (double)open, TEL_NO_LABELS);
    if (dir)
        closedir(dir);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY)
        tel_set(t, TEL_process_max_fds, (double)files.rlim_cur, TEL_NO_LABELS);
}

/* Fields of /proc/self/stat behind the name, which may hold anything (proc(5)): the 18th of them is
 * the number of threads, the 20th when the process started, in ticks since the machine did. */
static void collect_stat(struct tel *t)
{
    char line[1024];
    struct timespec up;
    FILE *f = fopen("/proc/self/stat", "re");
    size_t len = f ? fread(line, 1, sizeof line - 1, f) : 0;
    if (f)
        fclose(f);
    line[len] = 0;
    const char *at = strrchr(line, ')');
    long threads;
    unsigned long long began;
    if (!at || sscanf(at + 1,
                      " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %ld "
                      "%*d %llu",
                      &threads, &began) != 2)
        return;
    tel_set(t, TEL_process_threads, (double)threads, TEL_NO_LABELS);
    if (clock_gettime(CLOCK_BOOTTIME, &up) == 0) {
        double since_boot = (double)up.tv_sec + (double)up.tv_nsec / 1e9;
        double age = since_boot - (double)began / (double)sysconf(_SC_CLK_TCK);
        tel_set(t, TEL_process_start, (double)clock_real_ms() / 1000 - age, TEL_NO_LABELS);
    }
}

static void collect_connectors(struct backend *b)
{
    json_t *rows = conn_list(b->conn), *row;
    size_t i;
    tel_clear(b->tel, TEL_connector_up);
    tel_clear(b->tel, TEL_connector_breaker);
    json_array_foreach(rows, i, row)
    {
        const char *name = json_str(row, "name", ""), *state = json_str(row, "state", "");
        const char *breaker = json_str(json_object_get(row, "breaker"), "state", "closed");
        bool up = strcmp(state, "ok") == 0 || strcmp(state, "warn") == 0;
        if (strcmp(state, "disabled") == 0)
            continue;
        tel_set(b->tel, TEL_connector_up, up, TEL_LABELS(name));
        tel_set(b->tel, TEL_connector_breaker,
                strcmp(breaker, "open") == 0        ? 1
                : strcmp(breaker, "half-open") == 0 ? 0.5
                                                    : 0,
                TEL_LABELS(name));
    }
    json_decref(rows);
}

static void collect_log(struct backend *b)
{
    struct prov_state chain;
    prov_state(b->prov, &chain);
    tel_set(b->tel, TEL_log_entries, (double)chain.size, TEL_NO_LABELS);
    tel_set(b->tel, TEL_log_pending, (double)prov_pending(b->prov), TEL_NO_LABELS);
    tel_set(b->tel, TEL_log_quarantined, (double)chain.quarantined, TEL_NO_LABELS);
    tel_set(b->tel, TEL_log_verified, chain.state == PROV_INTACT, TEL_NO_LABELS);
}

static void count_spent(void *arg, const struct cost_spent *s)
{
    struct observe *w = arg;
    struct tel *t = w->backend->tel;
    double amount = (double)s->amount_nano / 1e9,
           rate = (double)cost_usd_rate(w->backend->cost, s->currency) / 1e9;
    if (s->energy_mj > 0)
        tel_add(t, TEL_model_energy, (double)s->energy_mj / 1000, TEL_LABELS(s->model));
    if (!s->priced) {
        tel_add(t, TEL_model_unpriced, 1, TEL_LABELS(s->model));
        return;
    }
    tel_add(t, TEL_model_cost, amount, TEL_LABELS(s->model, s->currency));
    if (rate > 0)
        tel_add(t, TEL_model_cost_usd, amount * rate, TEL_LABELS(s->model));
}

static void collect_safety(struct backend *b)
{
    const struct orch_safety_state *s = orch_safety(b->orch);
    tel_total(b->tel, TEL_safety_checks, (double)s->passed, TEL_LABELS("passed"));
    tel_total(b->tel, TEL_safety_checks, (double)s->flagged, TEL_LABELS("flagged"));
    tel_total(b->tel, TEL_safety_checks, (double)s->blocked, TEL_LABELS("blocked"));
    tel_total(b->tel, TEL_safety_unjudged, (double)s->unjudged, TEL_NO_LABELS);
}

static void collect(void *arg)
{
    struct observe *w = arg;
    struct backend *b = w->backend;
    if (b->stopping)
        return;
    tel_set(b->tel, TEL_console_build_info, 1,
            TEL_LABELS(MCPC_VERSION, conf_str(b->conf, "console", "", "environment")));
    collect_process(b->tel);
    collect_stat(b->tel);
    collect_connectors(b);
    collect_log(b);
    collect_safety(b);
    bus_collect(b->bus);
    gw_collect(b->gw);
    tel_set(b->tel, TEL_copilot_running, (double)orch_running(b->orch), TEL_NO_LABELS);
    w->spent = cost_since(b->cost, w->spent, count_spent, w);
}

/* How late this very timer is. */
static void on_lag(void *arg)
{
    struct observe *w = arg;
    uint64_t now = clock_mono_ns();
    uint64_t late = now > w->lag_due_ns ? now - w->lag_due_ns : 0;
    tel_observe(w->backend->tel, TEL_loop_lag, (double)late / 1e9, TEL_NO_LABELS);
    w->lag_due_ns = now + LAG_MS * UINT64_C(1000000);
    loop_timer_start(w->lag, LAG_MS, 0);
}

/* ---- alerts */

static bool stands(const json_t *list, const char *text)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        if (strcmp(json_string_value(one), text) == 0)
            return true;
    }
    return false;
}

void backend__observe_alerts(struct backend *b, const json_t *alerts)
{
    struct observe *w = b->observe;
    json_t *now = json_array(), *alert;
    double warn = 0, fail = 0;
    size_t i;
    if (!w) {
        json_decref(now);
        return;
    }
    json_array_foreach(alerts, i, alert)
    {
        const char *severity = json_str(alert, "severity", "warn");
        *(strcmp(severity, "fail") == 0 ? &fail : &warn) += 1;
        char *text = xasprintf("%s %s %s", severity, json_str(alert, "source", ""),
                               json_str(alert, "text", ""));
        if (!stands(w->alerts, text))
            tel_add(b->tel, TEL_alert_raised, 1, TEL_LABELS(severity));
        json_array_append_new(now, json_string(text));
        free(text);
    }
    tel_set(b->tel, TEL_alert_active, warn, TEL_LABELS("warn"));
    tel_set(b->tel, TEL_alert_active, fail, TEL_LABELS("fail"));
    json_decref(w->alerts);
    w->alerts = now;
}

void backend__observe_status(struct backend *b, json_t *alerts)
{
    enum { PATIENCE = 3 }; /* requests: a collector that is started anew is no alert */
    const struct observe *w = b->observe;
    if (!w)
        return;
    const struct error *failed = w->otlp ? otlp_error(w->otlp) : NULL;
    if (w->listen_error.code != ERR_OK)
        method_alert(alerts, "warn", "telemetry", err_words(&w->listen_error));
    if (failed && failed->code != ERR_OK && otlp_failures(w->otlp) >= PATIENCE)
        method_alert(alerts, "warn", "telemetry", err_words(failed));
}

const char *backend__observe_address(const struct backend *b, struct error *e)
{
    *e = b->observe->listen_error;
    return b->observe->server ? httpd_address(b->observe->server) : NULL;
}

void backend__observe_collector(const struct backend *b, struct error *e)
{
    *e = b->observe->otlp ? *otlp_error(b->observe->otlp) : (struct error){.code = ERR_OK};
}

/* ---- GET /metrics */

static void refuse(struct httpd_request *r, int status, const char *headers, const char *words)
{
    httpd_reply(r, status, "text/plain; charset=utf-8", headers, words, strlen(words));
}

static bool may_read(const struct observe *w, struct httpd_request *r)
{
    static const char scheme[] = "Bearer ";
    const char *given = httpd_header(r, "Authorization");
    if (!w->token)
        return true;
    if (!given || strncasecmp(given, scheme, sizeof scheme - 1) != 0)
        return false;
    given += sizeof scheme - 1;
    given += strspn(given, " ");
    return backend_token_good(w->token, given, strlen(given));
}

static void on_request(void *arg, struct httpd_request *r)
{
    struct observe *w = arg;
    const char *path = httpd_path(r);
    struct buf out = {0};
    if (strncmp(path, "/metrics", 8) != 0 || (path[8] && path[8] != '?')) {
        refuse(r, 404, "", "there is no such path; metrics are at /metrics\n");
    } else if (strcmp(httpd_method(r), "GET") != 0) {
        refuse(r, 405, "Allow: GET\r\n", "it takes GET\n");
    } else if (!may_read(w, r)) {
        refuse(r, 401, "WWW-Authenticate: Bearer\r\n", "a token is needed\n");
    } else {
        bool open = tel_wants_openmetrics(httpd_header(r, "Accept"));
        tel_add(w->backend->tel, TEL_telemetry_scrapes, 1, TEL_NO_LABELS);
        tel_exposition(w->backend->tel, open, &out);
        httpd_reply(r, 200, open ? tel_openmetrics_type : tel_text_type, "", out.data, out.len);
    }
    buf_release(&out);
}

static void listen_at(struct observe *w)
{
    struct backend *b = w->backend;
    struct httpd_options o = {.address = conf_str(w->conf, "telemetry", "", "listen"),
                              .remote = conf_flag(w->conf, "telemetry", "", "remote"),
                              .body_max = 0};
    w->listen_error = (struct error){.code = ERR_OK};
    if (*o.address)
        w->server = httpd_new(b->loop, &o, on_request, w, &w->listen_error);
}

/* ---- the collector */

static void headers_wipe(void *arg, char *lines[OTLP_HEADERS], size_t count)
{
    (void)arg;
    for (size_t i = 0; i < count; i++) {
        explicit_bzero(lines[i], strlen(lines[i]));
        free(lines[i]);
    }
}

/* One "Name: value" or "Name: secret:NAME" of the setting, as a line of a request. */
static enum err header_line(struct backend *b, const char *text, size_t len, char **line,
                            struct error *e)
{
    char *one = xstrndup(text, len), *colon = strchr(one, ':');
    struct vault_text secret = {0};
    enum err code = ERR_OK;
    while (len && one[len - 1] == ' ')
        one[--len] = 0;
    if (!colon || colon == one)
        code = err_set(e, ERR_CONFIG, "otlp_headers: \"%.60s\" is not Name: value", one);
    const char *value = code == ERR_OK ? colon + 1 + strspn(colon + 1, " ") : "";
    if (code == ERR_OK && vault_is_reference(value)) {
        code = vault_text_get(b->prov ? prov_vault(b->prov) : b->vault, value, &secret, e);
        value = secret.text;
    }
    if (code == ERR_OK)
        *line = xasprintf("%.*s: %s", (int)(colon - one), one, value);
    vault_text_wipe(&secret);
    free(one);
    return code;
}

static enum err headers_make(void *arg, char *lines[OTLP_HEADERS], size_t *count, struct error *e)
{
    struct backend *b = arg;
    const char *text = conf_str(b->observe->conf, "telemetry", "", "otlp_headers");
    enum err code = ERR_OK;
    *count = 0;
    while (code == ERR_OK && *(text += strspn(text, "; "))) {
        size_t len = strcspn(text, ";");
        if (*count == OTLP_HEADERS)
            code = err_set(e, ERR_CONFIG, "otlp_headers: %d at most", OTLP_HEADERS);
        else
            code = header_line(b, text, len, &lines[*count], e);
        *count += code == ERR_OK;
        text += len;
    }
    return code;
}

/* What a wrong setting would only show when it is used. */
static enum err check_otlp(struct observe *w, struct error *e)
{
    const struct conf *c = w->conf;
    char *lines[OTLP_HEADERS];
    size_t count = 0;
    int64_t seconds = conf_int(c, "telemetry", "", "metrics_seconds");
    if (!*conf_str(c, "telemetry", "", "otlp"))
        return ERR_OK;
    if (seconds < 1 || seconds > 86400)
        return err_set(e, ERR_CONFIG, "%s: metrics_seconds is from 1 to 86400",
                       conf_where(c, "telemetry", "", "metrics_seconds"));
    enum err code = headers_make(w->backend, lines, &count, e);
    headers_wipe(w->backend, lines, count);
    return code == ERR_CONFIG ? code : ERR_OK;
}

static enum err start_otlp(struct observe *w, struct error *e)
{
    struct backend *b = w->backend;
    const struct conf *c = w->conf;
    char instance[33];
    int64_t seconds = conf_int(c, "telemetry", "", "metrics_seconds");
    if (check_otlp(w, e) != ERR_OK || !*conf_str(c, "telemetry", "", "otlp"))
        return e->code;
    vault_id(instance);
    free(w->ca_file);
    w->ca_file = xstrdup(conf_str(c, "telemetry", "", "ca_file"));
    struct otlp_options o = {.url = conf_str(c, "telemetry", "", "otlp"),
                             .ca_file = w->ca_file,
                             .traces = conf_flag(c, "telemetry", "", "traces"),
                             .metrics = conf_flag(c, "telemetry", "", "metrics"),
                             .share = conf_num(c, "telemetry", "", "trace_share"),
                             .metrics_ms = (uint64_t)seconds * 1000,
                             .version = MCPC_VERSION,
                             .environment = conf_str(b->conf, "console", "", "environment"),
                             .instance = instance,
                             .headers = headers_make,
                             .wipe = headers_wipe,
                             .arg = b};
    w->otlp = otlp_new(b->loop, b->tel, &o, e);
    return w->otlp ? ERR_OK : e->code;
}

/* ---- start and stop */

/* What w->conf wants. */
static enum err begin(struct observe *w, struct error *e)
{
    struct backend *b = w->backend;
    const char *token = conf_str(w->conf, "telemetry", "", "token");
    if (start_otlp(w, e) != ERR_OK)
        return e->code;
    if (*token && !(w->token = backend__token_make(b, token, e)))
        return e->code;
    listen_at(w);
    if (!w->server && !w->otlp)
        return ERR_OK;
    w->lag = loop_timer_new(b->loop, on_lag, w);
    w->lag_due_ns = clock_mono_ns() + LAG_MS * UINT64_C(1000000);
    loop_timer_start(w->lag, LAG_MS, 0);
    return ERR_OK;
}

enum err backend__observe_start(struct backend *b, struct error *e)
{
    struct observe *w = b->observe = xcalloc(1, sizeof *w);
    w->backend = b;
    w->conf = b->conf;
    w->spent = cost_since(b->cost, -1, NULL, NULL);
    w->alerts = json_array();
    tel_on_collect(b->tel, collect, w);
    return begin(w, e);
}

/* ---- another configuration */

/* W3: all that can be wrong with it is found before anything is let go of. */
static enum err check_fresh(struct observe *w, const struct conf *fresh, struct error *e)
{
    const struct conf *before = w->conf;
    const char *token = conf_str(fresh, "telemetry", "", "token");
    const char *url = conf_str(fresh, "telemetry", "", "otlp");
    double share = conf_num(fresh, "telemetry", "", "trace_share");
    struct cost *rates = cost_new(NULL);
    enum err code = cost_rates_read(rates, fresh, e);
    cost_free(rates);
    if (code == ERR_OK && *url && strncmp(url, "http://", 7) != 0 &&
        strncmp(url, "https://", 8) != 0)
        code = err_set(e, ERR_CONFIG, "%s: otlp is an http or https address",
                       conf_where(fresh, "telemetry", "", "otlp"));
    if (code == ERR_OK && !(share >= 0 && share <= 1))
        code = err_set(e, ERR_CONFIG, "%s: trace_share is from 0 to 1",
                       conf_where(fresh, "telemetry", "", "trace_share"));
    if (code == ERR_OK && *token) {
        struct backend_token *made = backend__token_make(w->backend, token, e);
        code = made ? ERR_OK : e->code;
        backend_token_free(made);
    }
    w->conf = fresh;
    if (code == ERR_OK)
        code = check_otlp(w, e);
    w->conf = before;
    return code;
}

static bool is_same(const struct conf *a, const struct conf *b)
{
    char *x = conf_section_text(a, "telemetry", ""), *y = conf_section_text(b, "telemetry", "");
    bool same = strcmp(x, y) == 0;
    free(x);
    free(y);
    return same;
}

enum err backend__observe_reload(struct backend *b, const struct conf *fresh, bool apply,
                                 bool *changed, struct error *e)
{
    struct observe *w = b->observe;
    *changed = !is_same(w->conf, fresh);
    if (!*changed || !apply) {
        w->conf = apply ? fresh : w->conf;
        return *changed ? check_fresh(w, fresh, e) : ERR_OK;
    }
    bool traceparent = conf_flag(fresh, "telemetry", "", "traceparent");
    backend__observe_close(b);
    otlp_close(w->otlp);
    otlp_free(w->otlp);
    backend_token_free(w->token);
    w->otlp = NULL;
    w->token = NULL;
    w->conf = fresh;
    gw_set_telemetry(b->gw, b->tel, traceparent);
    conn_tell_peers(b->conn, traceparent);
    enum err code = cost_rates_read(b->cost, fresh, e);
    return code == ERR_OK ? begin(w, e) : code;
}

void backend__observe_close(struct backend *b)
{
    struct observe *w = b->observe;
    if (!w)
        return;
    httpd_free(w->server);
    w->server = NULL;
    loop_timer_free(w->lag);
    w->lag = NULL;
}

void backend__observe_flush(struct backend *b)
{
    if (b->observe)
        otlp_close(b->observe->otlp);
}

bool backend__observe_pending(const struct backend *b)
{
    return b->observe && otlp_pending(b->observe->otlp);
}

void backend__observe_free(struct backend *b)
{
    struct observe *w = b->observe;
    if (!w)
        return;
    backend__observe_close(b);
    otlp_free(w->otlp);
    backend_token_free(w->token);
    json_decref(w->alerts);
    free(w->ca_file);
    free(w);
    b->observe = NULL;
}
