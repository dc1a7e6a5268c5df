/* Alerts, targets, rules, metrics and labels of Prometheus. Pure. */
#include "backend/base/text.h"
#include "backend/connectors/prometheus.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TOLD = 12, NAMES_TOLD = 40 };

void prom__shape_alerts(const struct rest_view *v, const struct rest_tool *t,
                        const json_t *arguments, const json_t *answers, struct host_out *out)
{
    (void)v;
    (void)t;
    (void)arguments;
    const json_t *data = prom__data(answers, out), *list = json_object_get(data, "alerts");
    if (!data)
        return;
    if (!json_is_array(list)) {
        err_set(&out->error, ERR_PROTOCOL, "the answer has no alerts");
        return;
    }
    size_t n = json_array_size(list), kept = n < REST_MAX_ROWS ? n : REST_MAX_ROWS;
    struct rest_alert *alerts = xcalloc(kept + 1, sizeof *alerts);
    for (size_t i = 0; i < kept; i++) {
        const json_t *row = json_array_get(list, i);
        bool firing = strcmp(json_str(row, "state", ""), "firing") == 0;
        alerts[i] = (struct rest_alert){.labels = json_object_get(row, "labels"),
                                        .annotations = json_object_get(row, "annotations"),
                                        .state = firing ? "firing" : "pending",
                                        .since = json_str(row, "activeAt", "")};
    }
    rest__say_alerts(out, alerts, kept, n - kept);
    free(alerts);
}

static void say_target(struct host_out *out, const json_t *row)
{
    char *url = rest__name(json_object_get(row, "scrapeUrl"));
    char *why = rest__reason(json_object_get(row, "lastError"));
    char *job = rest__name(json_object_get(json_object_get(row, "labels"), "job"));
    bool unknown = strcmp(json_str(row, "health", ""), "unknown") == 0;
    host__say(out, unknown ? HOST_WARN : HOST_FAIL, "targets", NAN, "",
              xasprintf("Target %s of job %s is %s: %s.", url, job,
                        unknown ? "not scraped yet" : "down", why),
              xasprintf("Цель %s (задание %s) %s: %s.", url, job,
                        unknown ? "ещё не опрошена" : "недоступна", why));
    free(url);
    free(why);
    free(job);
}

static json_t *target_doc(const json_t *row)
{
    json_t *doc = json_object();
    static const char *const keys[] = {"scrapePool", "scrapeUrl", "health", "lastError",
                                       "lastScrape"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        json_puts(doc, keys[i], json_str(row, keys[i], ""));
    const json_t *labels = json_object_get(row, "labels"),
                 *took = json_object_get(row, "lastScrapeDuration");
    json_put(doc, "labels", json_is_object(labels) ? json_deep_copy(labels) : json_object());
    json_put(doc, "duration_s", json_is_number(took) ? json_deep_copy(took) : json_null());
    return doc;
}

void prom__shape_targets(const struct rest_view *v, const struct rest_tool *t,
                         const json_t *arguments, const json_t *answers, struct host_out *out)
{
    (void)v;
    (void)t;
    (void)arguments;
    const json_t *data = prom__data(answers, out), *list = json_object_get(data, "activeTargets");
    json_t *docs = json_array(), *row;
    size_t i, up = 0, n = json_array_size(list);
    json_put(out->data, "targets", docs);
    if (!data)
        return;
    if (!json_is_array(list)) {
        err_set(&out->error, ERR_PROTOCOL, "the answer has no targets");
        return;
    }
    json_array_foreach((json_t *)list, i, row)
    {
        up += strcmp(json_str(row, "health", ""), "up") == 0;
        if (i < REST_MAX_ROWS)
            json_array_append_new(docs, target_doc(row));
    }
    host__say(
        out,
        up < n ? HOST_FAIL
        : n    ? HOST_OK
               : HOST_WARN,
        "targets", (double)up, "",
        n == up && n ? xasprintf("Prometheus scrapes all its targets: %zu of %zu are up.", up, n)
                     : xasprintf("Prometheus scrapes %zu of %zu targets.", up, n),
        n == up && n ? xasprintf("Prometheus опрашивает все цели: доступны %zu из %zu.", up, n)
                     : xasprintf("Prometheus опрашивает %zu из %zu целей.", up, n));
    size_t told = 0;
    json_array_foreach((json_t *)list, i, row)
    {
        if (strcmp(json_str(row, "health", ""), "up") != 0 && told++ < TOLD)
            say_target(out, row);
    }
    json_puti(out->data, "up", (int64_t)up);
    json_puti(out->data, "all", (int64_t)n);
}

static void add_rule(struct host_out *out, json_t *docs, const json_t *row, size_t *broken)
{
    json_t *doc = json_object();
    static const char *const keys[] = {"type", "name", "query", "state", "health", "lastError"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        json_puts(doc, keys[i], json_str(row, keys[i], ""));
    json_array_append_new(docs, doc);
    if (strcmp(json_str(row, "health", "ok"), "err") != 0 || (*broken)++ >= TOLD)
        return;
    char *name = rest__name(json_object_get(row, "name"));
    char *why = rest__reason(json_object_get(row, "lastError"));
    host__say(out, HOST_FAIL, "alerts", NAN, "",
              xasprintf("Rule %s cannot be evaluated: %s.", name, why),
              xasprintf("Правило %s не вычисляется: %s.", name, why));
    free(name);
    free(why);
}

void prom__shape_rules(const struct rest_view *v, const struct rest_tool *t,
                       const json_t *arguments, const json_t *answers, struct host_out *out)
{
    (void)v;
    (void)t;
    (void)arguments;
    const json_t *data = prom__data(answers, out), *groups = json_object_get(data, "groups");
    json_t *docs = json_array(), *group, *row;
    size_t i, j, alerting = 0, recording = 0, broken = 0;
    json_put(out->data, "rules", docs);
    if (!data)
        return;
    if (!json_is_array(groups)) {
        err_set(&out->error, ERR_PROTOCOL, "the answer has no groups of rules");
        return;
    }
    json_array_foreach((json_t *)groups, i, group)
    {
        json_array_foreach(json_object_get(group, "rules"), j, row)
        {
            bool alert = strcmp(json_str(row, "type", ""), "alerting") == 0;
            alerting += alert;
            recording += !alert;
            if (json_array_size(docs) < REST_MAX_ROWS)
                add_rule(out, docs, row, &broken);
        }
    }
    host__say(
        out, HOST_OK, "alerts", (double)(alerting + recording), "",
        xasprintf("Rules: %zu alerting, %zu recording; broken: %zu.", alerting, recording, broken),
        xasprintf("Правил: %zu для тревог, %zu записывающих; сломано: %zu.", alerting, recording,
                  broken));
    json_puti(out->data, "alerting", (int64_t)alerting);
    json_puti(out->data, "recording", (int64_t)recording);
}

static void say_names(struct host_out *out, const char *en, const char *ru, size_t n,
                      const struct buf *names)
{
    const char *list = names->data ? names->data : "";
    host__say(out, HOST_OK, "prometheus", (double)n, "",
              xasprintf("%s: %zu%s%s.", en, n, *list ? ": " : "", list),
              xasprintf("%s: %zu%s%s.", ru, n, *list ? ": " : "", list));
}

static void add_name(struct buf *names, size_t told, const char *name)
{
    if (told > NAMES_TOLD)
        return;
    char *clean = host__clean(name);
    buf_addf(names, "%s%s", names->len ? ", " : "", told == NAMES_TOLD ? "..." : clean);
    free(clean);
}

void prom__shape_metrics(const struct rest_view *v, const struct rest_tool *t,
                         const json_t *arguments, const json_t *answers, struct host_out *out)
{
    (void)v;
    (void)t;
    const json_t *data = prom__data(answers, out);
    const char *part = json_str(arguments, "contains", ""), *name;
    json_t *docs = json_array(), *about;
    struct buf names = {0};
    size_t n = 0;
    json_put(out->data, "metrics", docs);
    if (!data)
        return;
    if (!json_is_object(data)) {
        err_set(&out->error, ERR_PROTOCOL, "the answer has no metrics");
        return;
    }
    json_object_foreach((json_t *)data, name, about)
    {
        if (*part && !strcasestr(name, part))
            continue;
        const json_t *first = json_array_get(about, 0);
        if (n < REST_MAX_ROWS) {
            json_t *doc = json_object();
            json_puts(doc, "name", name);
            json_puts(doc, "type", json_str(first, "type", ""));
            json_puts(doc, "help", json_str(first, "help", ""));
            json_puts(doc, "unit", json_str(first, "unit", ""));
            json_array_append_new(docs, doc);
        }
        add_name(&names, n++, name);
    }
    say_names(out, "Metrics of Prometheus", "Метрик у Prometheus", n, &names);
    buf_release(&names);
}

void prom__shape_labels(const struct rest_view *v, const struct rest_tool *t,
                        const json_t *arguments, const json_t *answers, struct host_out *out)
{
    (void)v;
    (void)t;
    const json_t *data = prom__data(answers, out);
    bool values = *json_str(arguments, "label", "") != '\0';
    json_t *docs = json_array(), *value;
    struct buf names = {0};
    size_t i, n = 0;
    json_put(out->data, values ? "values" : "labels", docs);
    if (!data)
        return;
    if (!json_is_array(data)) {
        err_set(&out->error, ERR_PROTOCOL, "the answer has no labels");
        return;
    }
    json_array_foreach((json_t *)data, i, value)
    {
        if (!json_is_string(value))
            continue;
        if (n < REST_MAX_ROWS)
            json_array_append(docs, value);
        add_name(&names, n++, json_string_value(value));
    }
    say_names(out, values ? "Values of the label" : "Labels", values ? "Значений метки" : "Меток",
              n, &names);
    buf_release(&names);
}
