/* Alerts in words: the same for those of Prometheus and those of Alertmanager. Pure. */
#include "backend/base/text.h"
#include "backend/connectors/rest.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TOLD = 12 }; /* alerts with a sentence of their own */

static int rank_of(const struct rest_alert *a)
{
    const char *severity = json_str(a->labels, "severity", "");
    if (strcmp(a->state, "firing") != 0)
        return strcmp(a->state, "pending") == 0 ? 1 : 0;
    if (strcmp(severity, "critical") == 0 || strcmp(severity, "page") == 0)
        return 4;
    return strcmp(severity, "info") == 0 || strcmp(severity, "none") == 0 ? 2 : 3;
}

static int by_rank(const void *a, const void *b)
{
    int x = rank_of(a), y = rank_of(b);
    if (x != y)
        return y - x;
    return strcmp(((const struct rest_alert *)a)->since, ((const struct rest_alert *)b)->since);
}

static const char *state_ru(const char *state)
{
    return strcmp(state, "firing") == 0 ? "активна"
           : strcmp(state, "pending") == 0 ? "ожидает (условие выполнено недолго)"
           : strcmp(state, "suppressed") == 0 ? "заглушена"
                                              : "не обработана";
}

/* "summary" or "description" of the alert, bounded and clean; "" for none. malloc'ed. */
static char *annotation(const struct rest_alert *a)
{
    const char *said = json_str(a->annotations, "summary", "");
    if (!*said)
        said = json_str(a->annotations, "description", "");
    struct buf cut = {0};
    json_t *text = json_text(said, strlen(said));
    rest__words(text, 200, &cut);
    json_decref(text);
    char *clean = text_cleaned(cut.data ? cut.data : "", TEXT_ONE_LINE);
    buf_release(&cut);
    return clean;
}

static void say_one(struct host_out *out, const struct rest_alert *a)
{
    char *name = rest__name(json_object_get(a->labels, "alertname"));
    char *labels = rest__labels(a->labels, "alertname"), *why = annotation(a);
    char *since = host__clean(a->since);
    int rank = rank_of(a);
    if (strlen(since) > 19)
        since[19] = '\0';
    host__say(out,
              rank == 4   ? HOST_FAIL
              : rank == 3 ? HOST_WARN
                          : HOST_OK,
              "alert", NAN, "",
              xasprintf("Alert %s is %s%s%s%s%s%s%s.", name, a->state, *since ? " since " : "",
                        since, *labels ? ": " : "", labels, *why ? "; " : "", why),
              xasprintf("Тревога %s: %s%s%s%s%s%s%s.", name, state_ru(a->state),
                        *since ? ", с " : "", since, *labels ? "; " : "", labels, *why ? "; " : "",
                        why));
    free(name);
    free(labels);
    free(why);
    free(since);
}

static void put_alerts(struct host_out *out, const struct rest_alert *alerts, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *row = json_object();
        char *name = rest__name(json_object_get(alerts[i].labels, "alertname"));
        json_puts(row, "name", name);
        json_puts(row, "state", alerts[i].state);
        json_puts(row, "since", alerts[i].since);
        json_put(row, "labels",
                 json_is_object(alerts[i].labels) ? json_deep_copy(alerts[i].labels)
                                                  : json_object());
        if (json_is_object(alerts[i].annotations))
            json_put(row, "annotations", json_deep_copy(alerts[i].annotations));
        json_array_append_new(list, row);
        free(name);
    }
    json_put(out->data, "alerts", list);
}

void rest__say_alerts(struct host_out *out, struct rest_alert *alerts, size_t n, size_t left_out)
{
    size_t firing = 0, pending = 0, critical = 0;
    qsort(alerts, n, sizeof *alerts, by_rank);
    for (size_t i = 0; i < n; i++) {
        firing += strcmp(alerts[i].state, "firing") == 0;
        pending += strcmp(alerts[i].state, "pending") == 0;
        critical += rank_of(&alerts[i]) == 4;
    }
    size_t other = n - firing - pending;
    host__say(
        out,
        critical ? HOST_FAIL
        : firing ? HOST_WARN
                 : HOST_OK,
        "alerts", (double)firing, "",
        firing ? xasprintf("Alerts firing: %zu (critical: %zu); pending: %zu; suppressed: %zu.",
                           firing, critical, pending, other)
               : xasprintf("No alert is firing; pending: %zu; suppressed: %zu.", pending, other),
        firing ? xasprintf("Активных тревог: %zu (критических: %zu); ожидают: %zu; "
                           "заглушено: %zu.",
                           firing, critical, pending, other)
               : xasprintf("Активных тревог нет; ожидают: %zu; заглушено: %zu.", pending, other));
    for (size_t i = 0; i < n && i < TOLD; i++)
        say_one(out, &alerts[i]);
    if (n > TOLD || left_out)
        host__say(out, HOST_OK, "alerts", NAN, "",
                  xasprintf("Alerts not named here: %zu.", n - (n < TOLD ? n : TOLD) + left_out),
                  xasprintf("Не перечислено тревог: %zu.", n - (n < TOLD ? n : TOLD) + left_out));
    put_alerts(out, alerts, n);
    json_puti(out->data, "firing", (int64_t)firing);
    json_puti(out->data, "pending", (int64_t)pending);
    json_puti(out->data, "left_out", (int64_t)left_out);
}
