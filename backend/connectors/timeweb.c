/* Timeweb Cloud over its public API, version 1 (timeweb.cloud/api-docs): a Bearer token, at most 20
 * requests a second, lists by limit and offset. Passwords and scripts that the API shows with
 * servers are left out. */
#include "backend/base/text.h"
#include "backend/connectors/rest.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 100, PAGES = 10, TOLD = 12 };

/* The next page of a list: until meta.total are there, or a page was short. */
static bool more_pages(const json_t *answers, const char *list, size_t *offset)
{
    size_t n = json_array_size(answers);
    *offset = 0;
    for (size_t i = 0; i < n; i++)
        *offset += json_array_size(json_object_get(json_array_get(answers, i), list));
    if (!n)
        return true;
    const json_t *last = json_array_get(answers, n - 1);
    int64_t total = json_int(json_object_get(last, "meta"), "total", -1);
    size_t got = json_array_size(json_object_get(last, list));
    return n < PAGES && got > 0 && (total >= 0 ? (int64_t)*offset < total : got == PAGE);
}

static enum err next_servers(const struct rest_view *v, const struct rest_tool *t,
                             const json_t *arguments, const json_t *answers, struct rest_ask *ask,
                             bool *more, struct error *e)
{
    (void)v;
    (void)t;
    (void)arguments;
    (void)e;
    size_t offset;
    *more = more_pages(answers, "servers", &offset);
    if (*more)
        buf_addf(&ask->path, "/api/v1/servers?limit=%d&offset=%zu", PAGE, offset);
    return ERR_OK;
}

static void say_server(struct host_out *out, const json_t *row)
{
    char *name = rest__name(json_object_get(row, "name")),
         *status = rest__name(json_object_get(row, "status")),
         *place = rest__name(json_object_get(row, "location")),
         *cores = rest__name(json_object_get(row, "cpu")),
         *ram = rest__name(json_object_get(row, "ram")),
         *id = rest__name(json_object_get(row, "id"));
    bool on = strcmp(status, "on") == 0;
    host__say(out, on ? HOST_OK : HOST_WARN, "servers", NAN, "",
              xasprintf("Server %s (id %s) is %s: %s cores, %s MB of memory, in %s.", name, id,
                        status, cores, ram, place),
              xasprintf("Сервер %s (id %s): %s; ядер %s, памяти %s МБ, %s.", name, id, status,
                        cores, ram, place));
    free(name);
    free(status);
    free(place);
    free(cores);
    free(ram);
    free(id);
}

static json_t *server_doc(const json_t *row)
{
    static const char *const keys[] = {"id",  "name", "status",     "location", "availability_zone",
                                       "cpu", "ram",  "created_at", "start_at", "preset_id"};
    json_t *doc = json_object();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *value = json_object_get(row, keys[i]);
        bool plain = value && !json_is_object(value) && !json_is_array(value);
        json_put(doc, keys[i], plain ? json_deep_copy(value) : json_null());
    }
    const json_t *os = rest__at(row, "/os/name");
    json_put(doc, "os", json_is_string(os) ? json_deep_copy(os) : json_null());
    return doc;
}

static void shape_servers(const struct rest_view *v, const struct rest_tool *t,
                          const json_t *arguments, const json_t *answers, struct host_out *out)
{
    (void)v;
    (void)t;
    (void)arguments;
    json_t *docs = json_array(), *page, *row;
    size_t i, j, n = 0, on = 0;
    json_put(out->data, "servers", docs);
    json_array_foreach((json_t *)answers, i, page)
    {
        const json_t *list = json_object_get(page, "servers");
        if (!json_is_array(list)) {
            err_set(&out->error, ERR_PROTOCOL, "the answer has no list of servers");
            return;
        }
        json_array_foreach((json_t *)list, j, row)
        {
            n++;
            on += strcmp(json_str(row, "status", ""), "on") == 0;
            if (json_array_size(docs) < REST_MAX_ROWS)
                json_array_append_new(docs, server_doc(row));
        }
    }
    int64_t total =
        json_int(json_object_get(json_array_get(answers, 0), "meta"), "total", (int64_t)n);
    host__say(
        out, on < n ? HOST_WARN : HOST_OK, "servers", (double)n, "",
        xasprintf("Servers at Timeweb Cloud: %zu of %" PRId64 " read, %zu are on.", n, total, on),
        xasprintf("Серверов в Timeweb Cloud: прочитано %zu из %" PRId64 ", включено %zu.", n, total,
                  on));
    for (i = 0; i < json_array_size(docs) && i < TOLD; i++)
        say_server(out, json_array_get(docs, i));
    json_puti(out->data, "total", total);
}

/* An amount that may be unknown, in words. */
static void amount_words(bool known, int64_t nano, const char *currency, char out[48])
{
    char text[32];
    rest__money(nano, text);
    if (known)
        snprintf(out, 48, "%s%s%s", text, *currency ? " " : "", currency);
    else
        snprintf(out, 48, "?");
}

static void shape_balance(const struct rest_view *v, const struct rest_tool *t,
                          const json_t *arguments, const json_t *answers, struct host_out *out)
{
    (void)v;
    (void)t;
    (void)arguments;
    const json_t *f = json_object_get(json_array_get(answers, 0), "finances");
    if (!json_is_object(f)) {
        err_set(&out->error, ERR_PROTOCOL, "the answer has no finances");
        return;
    }
    static const char *const keys[] = {"balance", "hourly_cost", "monthly_cost", "total_paid"};
    char words[4][48], currency[4];
    rest__currency(json_object_get(f, "currency"), currency);
    for (size_t i = 0; i < 4; i++) {
        int64_t nano = 0;
        bool known = rest__nano(json_object_get(f, keys[i]), &nano);
        rest__put_money(out->data, keys[i], known, nano);
        amount_words(known, nano, currency, words[i]);
    }
    json_put(out->data, "currency", *currency ? json_string(currency) : json_null());
    const json_t *left = json_object_get(f, "hours_left");
    bool known = json_is_number(left);
    double hours = known ? json_number_value(left) : NAN;
    json_put(out->data, "hours_left", known ? json_deep_copy(left) : json_null());
    struct host_figure days = host__decimal(known ? hours / 24 : 0, 1);
    host__say(
        out, known && hours < 72 ? HOST_WARN : HOST_OK, "balance", NAN, "",
        xasprintf("Balance at Timeweb Cloud: %s; services cost %s a month; paid for %s days more.",
                  words[0], words[2], known ? days.en : "?"),
        xasprintf("Баланс в Timeweb Cloud: %s; услуги стоят %s в месяц; оплачено ещё на %s сут.",
                  words[0], words[2], known ? days.ru : "?"));
}

static void shape_billing(const struct rest_view *v, const struct rest_tool *t,
                          const json_t *arguments, const json_t *answers, struct host_out *out)
{
    (void)v;
    (void)t;
    (void)arguments;
    const json_t *list = json_object_get(json_array_get(answers, 0), "services_costs");
    json_t *docs = json_array(), *row;
    size_t i, unknown = 0, n = json_array_size(list);
    int64_t sum = 0;
    json_put(out->data, "services", docs);
    if (!json_is_array(list)) {
        err_set(&out->error, ERR_PROTOCOL, "the answer has no costs of services");
        return;
    }
    json_array_foreach((json_t *)list, i, row)
    {
        int64_t nano = 0;
        bool known = rest__nano(json_object_get(row, "total_cost"), &nano);
        unknown += !known;
        if (known && __builtin_add_overflow(sum, nano, &sum)) {
            err_set(&out->error, ERR_PROTOCOL, "the costs are too large");
            return;
        }
        if (i >= REST_MAX_ROWS)
            continue;
        json_t *doc = json_object();
        char *type = rest__name(json_object_get(row, "type")),
             *name = rest__name(rest__at(row, "/info/name"));
        const json_t *id = json_object_get(row, "service_id");
        json_puts(doc, "type", type);
        json_puts(doc, "name", name);
        json_put(doc, "service_id", json_is_integer(id) ? json_deep_copy(id) : json_null());
        rest__put_money(doc, "cost", known, nano);
        json_array_append_new(docs, doc);
        char words[48];
        amount_words(known, nano, "", words);
        if (i < TOLD)
            host__say(out, HOST_OK, "balance", NAN, "",
                      xasprintf("Service %s %s costs %s a month.", type, name, words),
                      xasprintf("Услуга %s %s стоит %s в месяц.", type, name, words));
        free(type);
        free(name);
    }
    char words[48];
    amount_words(unknown < n || !n, sum, "", words);
    rest__put_money(out->data, "sum", unknown < n || !n, sum);
    json_puti(out->data, "unknown", (int64_t)unknown);
    host__say(out, HOST_OK, "balance", (double)n, "",
              xasprintf("Services at Timeweb Cloud: %zu, together %s a month; cost unknown: %zu.",
                        n, words, unknown),
              xasprintf("Услуг в Timeweb Cloud: %zu, вместе %s в месяц; цена неизвестна: %zu.", n,
                        words, unknown));
}

/* /api/v1/servers/ID/statistics/FROM/HOURS/KEYS */
static enum err next_metrics(const struct rest_view *v, const struct rest_tool *t,
                             const json_t *arguments, const json_t *answers, struct rest_ask *ask,
                             bool *more, struct error *e)
{
    (void)t;
    (void)e;
    char from[32];
    int64_t hours = json_int(arguments, "hours", 1);
    *more = json_array_size(answers) == 0;
    if (!*more)
        return ERR_OK;
    rest__stamp(v->now_ms - hours * 3600000, from);
    buf_addf(&ask->path, "/api/v1/servers/%" PRId64 "/statistics/",
             json_int(arguments, "server_id", 0));
    rest__escape(&ask->path, from);
    buf_addf(&ask->path, "/%" PRId64 "/", hours);
    rest__escape(&ask->path, json_str(arguments, "key", "system.cpu.util"));
    return ERR_OK;
}

/* A point: {"time": ..., "value": ...} or [time, value]; seconds, milliseconds or RFC 3339. */
static bool add_point(json_t *points, const json_t *row)
{
    const json_t *at = json_is_array(row) ? json_array_get(row, 0) : json_object_get(row, "time");
    const json_t *value =
        json_is_array(row) ? json_array_get(row, 1) : json_object_get(row, "value");
    int64_t ms = 0;
    if (json_is_number(at)) {
        double seconds = json_number_value(at);
        ms = (int64_t)(seconds > 4e10 ? fmin(seconds, 4e13) : fmax(seconds, 0) * 1000);
    } else if (!json_is_string(at) || !rest__time(json_string_value(at), 0, &ms)) {
        return false;
    }
    json_t *point = json_array();
    json_array_append_new(point, json_integer(ms));
    json_array_append_new(point, json_is_number(value) ? json_deep_copy(value) : json_null());
    json_array_append_new(points, point);
    return true;
}

static void shape_metrics(const struct rest_view *v, const struct rest_tool *t,
                          const json_t *arguments, const json_t *answers, struct host_out *out)
{
    (void)v;
    (void)t;
    (void)arguments;
    const json_t *list = json_object_get(json_array_get(answers, 0), "statistics");
    json_t *series = json_array(), *one, *row;
    size_t i, j;
    json_put(out->data, "series", series);
    json_puts(out->data, "unit", "");
    if (!json_is_array(list)) {
        err_set(&out->error, ERR_PROTOCOL, "the answer has no statistics");
        return;
    }
    json_array_foreach((json_t *)list, i, one)
    {
        const json_t *values = json_object_get(one, "list");
        json_t *doc = json_object(), *labels = json_object(), *points = json_array();
        char *name = rest__name(json_object_get(one, "name"));
        size_t refused = 0;
        json_array_foreach((json_t *)values, j, row)
        {
            if (j < 11000)
                refused += !add_point(points, row);
        }
        json_puts(labels, "name", name);
        json_put(doc, "labels", labels);
        json_put(doc, "points", points);
        if (json_array_size(series) < 20)
            json_array_append(series, doc);
        const json_t *last = json_array_get(json_array_get(points, json_array_size(points) - 1), 1);
        char *now = rest__name(last);
        host__say(out, HOST_OK, "servers", NAN, "",
                  xasprintf("%s: %zu points, the last %s; not read: %zu.", name,
                            json_array_size(points), now, refused),
                  xasprintf("%s: точек %zu, последняя %s; не прочитано: %zu.", name,
                            json_array_size(points), now, refused));
        json_decref(doc);
        free(name);
        free(now);
    }
}

#define NO_ARGUMENTS "{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false}"
static const struct rest_tool tools[] = {
    {"servers", "Cloud servers at Timeweb",
     "Cloud servers (VM, VDS) at Timeweb Cloud: name, status, cores, memory, location. Which cloud "
     "servers are on or off?",
     NO_ARGUMENTS, false, next_servers, shape_servers, NULL},
    {"balance", "Balance at Timeweb",
     "Account balance, money left and monthly cost at Timeweb Cloud: how much money is on the "
     "account, "
     "for how long is it paid?",
     NO_ARGUMENTS, false, rest__next_path, shape_balance, "/api/v1/account/finances"},
    {"billing", "Costs of services at Timeweb",
     "Billing at Timeweb Cloud by service: what does each server, disk or database cost a month?",
     NO_ARGUMENTS, false, rest__next_path, shape_billing, "/api/v1/account/services/cost"},
    {"metrics", "Metrics of a cloud server at Timeweb",
     "Statistics of one cloud server at Timeweb Cloud by its id: CPU, memory, disk, network over "
     "hours.",
     "{\"type\":\"object\",\"properties\":{\"server_id\":{\"type\":\"integer\",\"minimum\":1},"
     "\"hours\":{"
     "\"type\":\"integer\",\"minimum\":1,\"maximum\":720},\"key\":{\"type\":\"string\","
     "\"minLength\":1,"
     "\"maxLength\":200,\"description\":\"keys of the API, separated by ;, default "
     "system.cpu.util\"}},"
     "\"required\":[\"server_id\"],\"additionalProperties\":false}",
     false, next_metrics, shape_metrics, NULL}};

const struct rest_kind rest__timeweb = {.url = "https://api.timeweb.cloud",
                                        .tools = tools,
                                        .tool_count = sizeof tools / sizeof *tools,
                                        .check = "/api/v1/account/finances"};

static void *make(struct conn *c, const struct conf *conf, struct error *e)
{
    return rest__make(c, conf, &rest__timeweb, NULL, NULL, e);
}

const struct conn_ops conn__timeweb_ops = REST_OPS("timeweb", make, "RU", "infrastructure billing");
