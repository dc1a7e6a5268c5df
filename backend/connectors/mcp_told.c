/* What a server tells without being asked: progress, log lines, changes. All of it is foreign and
 * bounded; none of it is obeyed. */
#include "backend/base/clock.h"
#include "backend/connectors/mcp_core.h"
#include <stdlib.h>
#include <string.h>

static void told_progress(struct mcp *m, const json_t *params)
{
    enum { EVERY_MS = 100 };
    const json_t *token = json_object_get(params, "progressToken");
    struct mcp_request *r =
        json_is_integer(token) ? mcp__request_find(m, json_integer_value(token)) : NULL;
    if (!r || !r->call)
        return;
    double done = json_num(params, "progress", 0), total = json_num(params, "total", -1);
    char *message = xasprintf("%.200s", json_str(params, "message", ""));
    conn__call_progress(r->call, done, total, message);
    const struct conn_host *host = conn__host(m->conn);
    uint64_t now = clock_mono_ms();
    if (host && host->progress && now - r->told_ms >= EVERY_MS) {
        r->told_ms = now;
        host->progress(conn__host_arg(m->conn), conn__name(m->conn),
                       json_str(r->params, "name", ""), done, total, message);
    }
    free(message);
}

static void told_log(struct mcp *m, const json_t *params)
{
    const json_t *data = json_object_get(params, "data");
    const char *level = json_str(params, "level", "info"), *logger = json_str(params, "logger", "");
    char *text = json_is_string(data) ? NULL : json_write(data ? data : params);
    char *line = xasprintf("%.16s%s%.64s: %.400s", level, *logger ? " " : "", logger,
                           text ? text : json_string_value(data));
    for (char *p = line; *p; p++) {
        if (*p == '\n')
            *p = ' ';
    }
    m->log_lines++;
    conn__tail_feed(&m->logs, line, strlen(line));
    conn__tail_feed(&m->logs, "\n", 1);
    const struct conn_host *host = conn__host(m->conn);
    if (host && host->log)
        host->log(conn__host_arg(m->conn), conn__name(m->conn), level, line);
    free(line);
    free(text);
}

static void told_updated(struct mcp *m, const json_t *params)
{
    const struct conn_host *host = conn__host(m->conn);
    const char *uri = json_str(params, "uri", "");
    if (host && host->resource && *uri && strlen(uri) <= 2048)
        host->resource(conn__host_arg(m->conn), conn__name(m->conn), uri);
}

void mcp__told(struct mcp *m, const char *method, const json_t *params)
{
    if (mcp__lists_told(m, method))
        return;
    if (strcmp(method, "notifications/progress") == 0)
        told_progress(m, params);
    else if (strcmp(method, "notifications/message") == 0 && json_is_object(params))
        told_log(m, params);
    else if (strcmp(method, "notifications/resources/updated") == 0)
        told_updated(m, params);
    else if (strcmp(method, "notifications/elicitation/complete") == 0)
        mcp__url_complete(m, json_str(params, "elicitationId", ""));
    else if (strcmp(method, "notifications/cancelled") == 0)
        mcp__asked_cancelled(m, json_object_get(params, "requestId"));
}
