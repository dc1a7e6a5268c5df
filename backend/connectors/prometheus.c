/* Prometheus over its HTTP API, version 1 (prometheus.io/docs/prometheus/latest/querying/api). */
#include "backend/connectors/prometheus.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW "5m"
#define REAL_FS "fstype!~\"tmpfs|ramfs|overlay|squashfs|iso9660|devtmpfs|autofs|fuse.*\""
const struct prom_what prom__whats[] = {
    {"load", "node_load1", "", "cpu load", "Load average over 1 minute",
     "Средняя нагрузка за 1 минуту"},
    {"cpu",
     "100 * (1 - avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[" WINDOW "])))",
     "percent", "cpu", "CPU in use", "Занятость процессора"},
    {"memory", "100 * (1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes)", "percent",
     "memory", "Memory in use", "Занято памяти"},
    {"disk",
     "100 * (1 - node_filesystem_avail_bytes{" REAL_FS "} / node_filesystem_size_bytes{" REAL_FS
     "})",
     "percent", "disk", "Disk space in use", "Занято места на диске"},
    {"io", "100 * rate(node_disk_io_time_seconds_total[" WINDOW "])", "percent", "io",
     "Disk busy with input and output", "Занятость диска вводом-выводом"},
    {"network",
     "sum by (instance) (rate(node_network_receive_bytes_total{device!=\"lo\"}[" WINDOW "]) + "
     "rate(node_network_transmit_bytes_total{device!=\"lo\"}[" WINDOW "]))",
     "bytes per second", "network", "Network traffic", "Сетевой трафик"}};
const size_t prom__what_count = sizeof prom__whats / sizeof *prom__whats;

const struct prom_what *prom__what(const char *name)
{
    for (size_t i = 0; i < prom__what_count; i++) {
        if (strcmp(prom__whats[i].name, name) == 0)
            return &prom__whats[i];
    }
    return NULL;
}

int64_t prom__step(int64_t from, int64_t to, int64_t wanted_s)
{
    int64_t span = (to - from) / 1000, step = wanted_s > 0 ? wanted_s : span / 240;
    int64_t least = (span + PROM_MAX_POINTS - 2) / (PROM_MAX_POINTS - 1);
    if (step < least)
        step = least;
    return step < 1 ? 1 : step;
}

static enum err add_range(struct buf *path, const char *query, int64_t from, int64_t to,
                          int64_t step, struct error *e)
{
    char text[32];
    if (from >= to)
        return err_set(e, ERR_INVALID, "start is not before end");
    buf_adds(path, "/api/v1/query_range");
    rest__query(path, "query", query);
    snprintf(text, sizeof text, "%" PRId64 ".%03d", from / 1000, (int)(from % 1000));
    rest__query(path, "start", text);
    snprintf(text, sizeof text, "%" PRId64 ".%03d", to / 1000, (int)(to % 1000));
    rest__query(path, "end", text);
    snprintf(text, sizeof text, "%" PRId64, prom__step(from, to, step));
    rest__query(path, "step", text);
    return ERR_OK;
}

static enum err next_query(const struct rest_view *v, const struct rest_tool *t,
                           const json_t *arguments, const json_t *answers, struct rest_ask *ask,
                           bool *more, struct error *e)
{
    (void)t;
    const char *at = json_str(arguments, "time", "");
    int64_t ms;
    *more = json_array_size(answers) == 0;
    if (!*more)
        return ERR_OK;
    buf_adds(&ask->path, "/api/v1/query");
    rest__query(&ask->path, "query", json_str(arguments, "query", ""));
    if (!*at)
        return ERR_OK;
    if (!rest__time(at, v->now_ms, &ms))
        return err_set(e, ERR_INVALID, "time is none that is known: now-1h, RFC 3339 or seconds");
    char text[32];
    snprintf(text, sizeof text, "%" PRId64 ".%03d", ms / 1000, (int)(ms % 1000));
    rest__query(&ask->path, "time", text);
    return ERR_OK;
}

static enum err next_range(const struct rest_view *v, const struct rest_tool *t,
                           const json_t *arguments, const json_t *answers, struct rest_ask *ask,
                           bool *more, struct error *e)
{
    (void)t;
    int64_t from, to, step = 0;
    const char *step_text = json_str(arguments, "step", "");
    *more = json_array_size(answers) == 0;
    if (!*more)
        return ERR_OK;
    if (!rest__time(json_str(arguments, "start", "now-1h"), v->now_ms, &from) ||
        !rest__time(json_str(arguments, "end", "now"), v->now_ms, &to))
        return err_set(e, ERR_INVALID,
                       "start or end is none that is known: now-1h, RFC 3339 or seconds");
    if (*step_text && !rest__duration(step_text, &step))
        return err_set(e, ERR_INVALID, "step is no duration: 30s, 5m, 1h");
    return add_range(&ask->path, json_str(arguments, "query", ""), from, to, step, e);
}

static enum err next_history(const struct rest_view *v, const struct rest_tool *t,
                             const json_t *arguments, const json_t *answers, struct rest_ask *ask,
                             bool *more, struct error *e)
{
    (void)t;
    const struct prom_what *what = prom__what(json_str(arguments, "what", ""));
    const char *period = json_str(arguments, "period", "hour");
    int64_t span = strcmp(period, "day") == 0     ? 86400
                   : strcmp(period, "week") == 0  ? 7 * 86400
                   : strcmp(period, "month") == 0 ? 30 * 86400
                                                  : 3600;
    *more = json_array_size(answers) == 0;
    if (!*more)
        return ERR_OK;
    if (!what)
        return err_set(e, ERR_INVALID, "what is none that is known");
    return add_range(&ask->path, what->query, v->now_ms - span * 1000, v->now_ms, 0, e);
}

static enum err next_labels(const struct rest_view *v, const struct rest_tool *t,
                            const json_t *arguments, const json_t *answers, struct rest_ask *ask,
                            bool *more, struct error *e)
{
    (void)v;
    (void)t;
    (void)e;
    const char *label = json_str(arguments, "label", "");
    *more = json_array_size(answers) == 0;
    if (!*more)
        return ERR_OK;
    buf_adds(&ask->path, *label ? "/api/v1/label/" : "/api/v1/labels");
    if (*label) {
        rest__escape(&ask->path, label);
        buf_adds(&ask->path, "/values");
    }
    return ERR_OK;
}

#define NO_ARGUMENTS "{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false}"
#define QUERY                                                                            \
    "\"query\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":8192,\"description\":" \
    "\"PromQL\"}"
static const struct rest_tool tools[] = {
    {"alerts", "Firing alerts of Prometheus",
     "Alerts of Prometheus that are firing or pending now. Which alerts are firing, active, raised "
     "or triggered? Is there any alert, alarm or warning?",
     NO_ARGUMENTS, false, rest__next_path, prom__shape_alerts, "/api/v1/alerts"},
    {"targets", "Scrape targets of Prometheus",
     "Scrape targets of Prometheus: is Prometheus scraping all targets, which target, exporter or "
     "job "
     "is up, down or unhealthy, last scrape error.",
     NO_ARGUMENTS, false, rest__next_path, prom__shape_targets, "/api/v1/targets?state=active"},
    {"history", "How a figure changed over time",
     "History, trend, graph and chart of load, cpu, memory, disk, io or network traffic from "
     "Prometheus: how did it change, grow, rise or fall over the last hour, day, week or month?",
     "{\"type\":\"object\",\"properties\":{\"what\":{\"type\":\"string\",\"enum\":[\"load\","
     "\"cpu\","
     "\"memory\",\"disk\",\"io\",\"network\"]},\"period\":{\"type\":\"string\",\"enum\":[\"hour\","
     "\"day\",\"week\",\"month\"]}},\"required\":[\"what\"],\"additionalProperties\":false}",
     false, next_history, prom__shape_query, NULL},
    {"query", "PromQL query now",
     "Instant PromQL query of Prometheus: the present value of an expression.",
     "{\"type\":\"object\",\"properties\":{" QUERY
     ",\"time\":{\"type\":\"string\",\"maxLength\":40,\"description\":\"now-1h, RFC 3339 or "
     "seconds; "
     "default now\"}},\"required\":[\"query\"],\"additionalProperties\":false}",
     false, next_query, prom__shape_query, NULL},
    {"query_range", "PromQL query over time",
     "PromQL query of Prometheus over a range of time: graph or chart of an expression.",
     "{\"type\":\"object\",\"properties\":{" QUERY
     ",\"start\":{\"type\":\"string\",\"maxLength\":40,\"description\":\"default "
     "now-1h\"},\"end\":{"
     "\"type\":\"string\",\"maxLength\":40,\"description\":\"default now\"},\"step\":{\"type\":"
     "\"string\",\"maxLength\":20,\"description\":\"as 30s or 5m; chosen if left "
     "out\"}},\"required\":"
     "[\"query\"],\"additionalProperties\":false}",
     false, next_range, prom__shape_query, NULL},
    {"rules", "Rules of Prometheus",
     "Alerting and recording rules of Prometheus, their state, health and last evaluation error. "
     "Is a "
     "rule broken?",
     NO_ARGUMENTS, false, rest__next_path, prom__shape_rules, "/api/v1/rules"},
    {"metrics", "Metrics that Prometheus has",
     "Names, types and meaning of the metrics that Prometheus collects: which metrics are there?",
     "{\"type\":\"object\",\"properties\":{\"contains\":{\"type\":\"string\",\"maxLength\":200}},"
     "\"additionalProperties\":false}",
     false, rest__next_path, prom__shape_metrics, "/api/v1/metadata?limit=5000"},
    {"labels", "Labels that Prometheus has",
     "Label names of Prometheus, or the values of one label, as job or instance.",
     "{\"type\":\"object\",\"properties\":{\"label\":{\"type\":\"string\",\"minLength\":1,"
     "\"maxLength\":200}},\"additionalProperties\":false}",
     false, next_labels, prom__shape_labels, NULL}};

/* {"status":"error","errorType":"bad_data","error":"..."} */
static bool words(const json_t *answer, struct buf *out)
{
    const char *type = json_str(answer, "errorType", "");
    const json_t *said = json_object_get(answer, "error");
    if (!*type || !json_is_string(said))
        return false;
    rest__words(json_object_get(answer, "errorType"), 40, out);
    buf_adds(out, ": ");
    rest__words(said, 180, out);
    return true;
}

static const struct rest_kind kind = {.tools = tools,
                                      .tool_count = sizeof tools / sizeof *tools,
                                      .check = "/-/healthy",
                                      .about = "/api/v1/status/buildinfo",
                                      .version_at = "/data/version",
                                      .words = words};

static void *make(struct conn *c, const struct conf *conf, struct error *e)
{
    return rest__make(c, conf, &kind, NULL, NULL, e);
}

const struct conn_ops conn__prometheus_ops = REST_OPS("prometheus", make, "", "metrics");
