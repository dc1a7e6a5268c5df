/* Selectel: balances and consumption of the account (api.selectel.ru; amounts are in hundredths of
 * the currency), servers of a project by OpenStack's compute API, version 2.1
 * (docs.selectel.ru/api). An API key goes in X-Token; a service user signs in at Keystone, version
 * 3, for the account (scope 0) or for the project (scope 1). */
#include "backend/base/text.h"
#include "backend/connectors/rest.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 100, PAGES = 10, TOLD = 12, SCOPE_ACCOUNT = 0, SCOPE_PROJECT = 1 };
static const int64_t nano_per_hundredth = 10000000;

/* {"auth": {"identity": {...}, "scope": {...}}} */
static void login(const struct rest_view *v, int scope, struct rest_ask *ask)
{
    ask->method = "POST";
    ask->base = REST_IDENTITY_URL;
    buf_adds(&ask->path, "/auth/tokens");
    json_t *domain = json_object(), *user = json_object(), *password = json_object(),
           *identity = json_object(), *methods = json_array(), *to = json_object(),
           *auth = json_object();
    json_puts(domain, "name", v->account);
    json_puts(user, "name", v->user);
    json_put(user, "domain", json_incref(domain));
    json_puts(user, "password", v->password);
    json_put(password, "user", user);
    json_array_append_new(methods, json_string("password"));
    json_put(identity, "methods", methods);
    json_put(identity, "password", password);
    if (scope == SCOPE_PROJECT) {
        json_t *project = json_object();
        json_puts(project, "id", v->project);
        json_put(to, "project", project);
    } else {
        json_put(to, "domain", json_incref(domain));
    }
    json_put(auth, "identity", identity);
    json_put(auth, "scope", to);
    ask->body = json_object();
    json_put(ask->body, "auth", auth);
    json_decref(domain);
}

/* An amount in hundredths. */
static bool hundredths(const json_t *value, int64_t *nano)
{
    if (!json_is_integer(value) ||
        __builtin_mul_overflow((int64_t)json_integer_value(value), nano_per_hundredth, nano))
        return false;
    return true;
}

static void words_of(bool known, int64_t nano, const char *currency, char out[48])
{
    char text[32];
    rest__money(nano, text);
    if (known)
        snprintf(out, 48, "%s%s%s", text, *currency ? " " : "", currency);
    else
        snprintf(out, 48, "?");
}

static bool succeeded(const json_t *answer, struct host_out *out)
{
    const char *status = json_str(answer, "status", "success");
    if (json_is_object(answer) && json_object_get(answer, "data") && strcmp(status, "success") == 0)
        return true;
    err_set(&out->error, ERR_PROTOCOL, "the answer is none of Selectel's");
    return false;
}

static void add_billing(struct host_out *out, json_t *docs, const json_t *billing,
                        const char *currency)
{
    json_t *doc = json_object(), *parts = json_array(), *row;
    char *type = rest__name(json_object_get(billing, "billing_type")), sum[48], owed[48];
    int64_t nano = 0, debt = 0;
    bool known = hundredths(json_object_get(billing, "final_sum"), &nano);
    bool owes = hundredths(json_object_get(billing, "debt_sum"), &debt);
    size_t i;
    json_puts(doc, "billing", type);
    rest__put_money(doc, "final", known, nano);
    rest__put_money(doc, "debt", owes, debt);
    json_array_foreach(json_object_get(billing, "balances"), i, row)
    {
        int64_t amount = 0;
        bool is = hundredths(json_object_get(row, "value"), &amount);
        json_t *part = json_object();
        char *name = rest__name(json_object_get(row, "balance_type"));
        json_puts(part, "type", name);
        rest__put_money(part, "amount", is, amount);
        if (i < REST_MAX_ROWS)
            json_array_append(parts, part);
        json_decref(part);
        free(name);
    }
    json_put(doc, "balances", parts);
    json_array_append_new(docs, doc);
    words_of(known, nano, currency, sum);
    words_of(owes, debt, currency, owed);
    host__say(out, known && nano <= 0 ? HOST_WARN : HOST_OK, "balance", NAN, "",
              xasprintf("Balance at Selectel (%s): %s; debt: %s.", type, sum, owed),
              xasprintf("Баланс в Selectel (%s): %s; долг: %s.", type, sum, owed));
    free(type);
}

static void shape_balance(const struct rest_view *v, const struct rest_tool *t,
                          const json_t *arguments, const json_t *answers, struct host_out *out)
{
    (void)v;
    (void)t;
    (void)arguments;
    const json_t *answer = json_array_get(answers, 0), *data = json_object_get(answer, "data");
    json_t *docs = json_array(), *row, *agreement;
    size_t i, j;
    char currency[4];
    json_put(out->data, "balances", docs);
    if (!succeeded(answer, out))
        return;
    const json_t *said = rest__at(answer, "/settings/currency");
    rest__currency(said ? said : rest__at(data, "/settings/currency"), currency);
    json_put(out->data, "currency", *currency ? json_string(currency) : json_null());
    json_array_foreach(json_object_get(data, "billings"), i, row) if (i < TOLD)
        add_billing(out, docs, row, currency);
    json_array_foreach(json_object_get(data, "agreements"), j, agreement)
    {
        json_array_foreach(json_object_get(agreement, "billings"), i, row) if (i + j < TOLD)
            add_billing(out, docs, row, currency);
    }
    if (!json_array_size(docs))
        err_set(&out->error, ERR_PROTOCOL, "the answer has no balances");
}

/* ---- consumption */

static enum err next_consumption(const struct rest_view *v, const struct rest_tool *t,
                                 const json_t *arguments, const json_t *answers,
                                 struct rest_ask *ask, bool *more, struct error *e)
{
    (void)e;
    static const char *const keys[] = {"vpc", "mks", "dbaas", "storage", "craas", "cdn", "vmware"};
    const char *period = json_str(arguments, "period", "month");
    int days = strcmp(period, "day") == 0 ? 1 : strcmp(period, "week") == 0 ? 7 : 30;
    char from[32], to[32];
    *more = json_array_size(answers) == 0;
    if (!*more)
        return ERR_OK;
    rest__stamp(v->now_ms - (int64_t)days * 86400000, from);
    rest__stamp(v->now_ms, to);
    from[19] = to[19] = '\0'; /* it takes times without a zone */
    buf_adds(&ask->path, "/v1/cloud_billing/statistic/consumption");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        rest__query(&ask->path, "provider_keys", keys[i]);
    rest__query(&ask->path, "start", from);
    rest__query(&ask->path, "end", to);
    rest__query(&ask->path, "locale", "en");
    rest__query(&ask->path, "group_type", t->own);
    rest__query(&ask->path, "period_group_type", "all");
    return ERR_OK;
}

static void add_consumption(struct host_out *out, json_t *docs, const json_t *row, bool known,
                            int64_t nano)
{
    json_t *doc = json_object();
    const json_t *metric = json_object_get(row, "metric");
    char *project = rest__name(rest__at(row, "/project/name")),
         *product = rest__name(json_object_get(row, "provider_key")), words[48];
    json_puts(doc, "project", project);
    json_puts(doc, "product", product);
    rest__put_money(doc, "cost", known, nano);
    words_of(known, nano, "", words);
    if (json_is_object(metric)) {
        char *id = rest__name(json_object_get(metric, "id")),
             *unit = rest__name(json_object_get(metric, "unit")),
             *quantity = rest__name(json_object_get(metric, "quantity"));
        const json_t *number = json_object_get(metric, "quantity");
        json_puts(doc, "metric", id);
        json_puts(doc, "unit", unit);
        json_put(doc, "quantity", json_is_number(number) ? json_deep_copy(number) : json_null());
        if (json_array_size(docs) < TOLD)
            host__say(
                out, HOST_OK, "balance", NAN, "",
                xasprintf("%s, %s, %s: %s %s for %s.", project, product, id, quantity, unit, words),
                xasprintf("%s, %s, %s: %s %s на %s.", project, product, id, quantity, unit, words));
        free(id);
        free(unit);
        free(quantity);
    } else if (json_array_size(docs) < TOLD) {
        host__say(out, HOST_OK, "balance", NAN, "",
                  xasprintf("Project %s spent %s on %s.", project, words, product),
                  xasprintf("Проект %s потратил %s на %s.", project, words, product));
    }
    json_array_append_new(docs, doc);
    free(project);
    free(product);
}

static void shape_consumption(const struct rest_view *v, const struct rest_tool *t,
                              const json_t *arguments, const json_t *answers, struct host_out *out)
{
    (void)v;
    (void)t;
    const json_t *answer = json_array_get(answers, 0), *list = json_object_get(answer, "data");
    json_t *docs = json_array(), *row;
    size_t i, unknown = 0, n = json_array_size(list);
    int64_t sum = 0;
    json_put(out->data, "consumption", docs);
    if (!succeeded(answer, out))
        return;
    if (!json_is_array(list)) {
        err_set(&out->error, ERR_PROTOCOL, "the answer has no list of consumption");
        return;
    }
    json_array_foreach((json_t *)list, i, row)
    {
        int64_t nano = 0;
        bool known = hundredths(json_object_get(row, "value"), &nano);
        unknown += !known;
        if (known && __builtin_add_overflow(sum, nano, &sum)) {
            err_set(&out->error, ERR_PROTOCOL, "the amounts are too large");
            return;
        }
        if (i < REST_MAX_ROWS)
            add_consumption(out, docs, row, known, nano);
    }
    char words[48];
    bool known = n == 0 || unknown < n;
    words_of(known, sum, "", words);
    rest__put_money(out->data, "sum", known, sum);
    json_puti(out->data, "unknown", (int64_t)unknown);
    const char *period = json_str(arguments, "period", "month");
    host__say(out, HOST_OK, "balance", (double)n, "",
              xasprintf("Spent at Selectel in the last %s: %s in %zu lines; amount unknown: %zu.",
                        period, words, n, unknown),
              xasprintf("Потрачено в Selectel (%s): %s, строк %zu; сумма неизвестна: %zu.", period,
                        words, n, unknown));
}

/* ---- servers */

static enum err next_servers(const struct rest_view *v, const struct rest_tool *t,
                             const json_t *arguments, const json_t *answers, struct rest_ask *ask,
                             bool *more, struct error *e)
{
    (void)t;
    (void)arguments;
    size_t n = json_array_size(answers);
    const json_t *list = json_object_get(json_array_get(answers, n ? n - 1 : 0), "servers");
    size_t got = json_array_size(list);
    *more = n == 0 || (got == PAGE && n < PAGES);
    if (!*more)
        return ERR_OK;
    if (!*v->project || !*v->user)
        return err_set(e, ERR_CONFIG,
                       "servers need account, user, password, project and compute_url");
    ask->base = REST_COMPUTE_URL;
    ask->scope = SCOPE_PROJECT;
    buf_addf(&ask->path, "/servers/detail?limit=%d", PAGE);
    if (n)
        rest__query(&ask->path, "marker", json_str(json_array_get(list, got - 1), "id", ""));
    return ERR_OK;
}

static void add_server(struct host_out *out, json_t *docs, const json_t *row, size_t told)
{
    char *name = rest__name(json_object_get(row, "name")),
         *status = rest__name(json_object_get(row, "status")),
         *zone = rest__name(json_object_get(row, "OS-EXT-AZ:availability_zone"));
    const json_t *cores = rest__at(row, "/flavor/vcpus"), *ram = rest__at(row, "/flavor/ram");
    char *c = rest__name(cores), *m = rest__name(ram);
    json_t *doc = json_object();
    json_puts(doc, "id", json_str(row, "id", ""));
    json_puts(doc, "name", name);
    json_puts(doc, "status", status);
    json_puts(doc, "zone", zone);
    json_puts(doc, "created", json_str(row, "created", ""));
    json_put(doc, "cpu", json_is_integer(cores) ? json_deep_copy(cores) : json_null());
    json_put(doc, "ram", json_is_integer(ram) ? json_deep_copy(ram) : json_null());
    json_array_append_new(docs, doc);
    if (told < TOLD)
        host__say(out,
                  strcmp(status, "ERROR") == 0    ? HOST_FAIL
                  : strcmp(status, "ACTIVE") == 0 ? HOST_OK
                                                  : HOST_WARN,
                  "servers", NAN, "",
                  xasprintf("Server %s is %s: %s cores, %s MB of memory, in %s.", name, status, c,
                            m, zone),
                  xasprintf("Сервер %s: %s; ядер %s, памяти %s МБ, %s.", name, status, c, m, zone));
    free(name);
    free(status);
    free(zone);
    free(c);
    free(m);
}

static void shape_servers(const struct rest_view *v, const struct rest_tool *t,
                          const json_t *arguments, const json_t *answers, struct host_out *out)
{
    (void)v;
    (void)t;
    (void)arguments;
    json_t *docs = json_array(), *page, *row;
    size_t i, j, n = 0, active = 0;
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
            active += strcmp(json_str(row, "status", ""), "ACTIVE") == 0;
            if (n++ < REST_MAX_ROWS)
                add_server(out, docs, row, n - 1);
        }
    }
    host__say(out, active < n ? HOST_WARN : HOST_OK, "servers", (double)n, "",
              xasprintf("Servers at Selectel: %zu, %zu are active.", n, active),
              xasprintf("Серверов в Selectel: %zu, работает %zu.", n, active));
    json_puti(out->data, "total", (int64_t)n);
}

#define NO_ARGUMENTS "{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false}"
#define PERIOD                                                                                \
    "{\"type\":\"object\",\"properties\":{\"period\":{\"type\":\"string\",\"enum\":[\"day\"," \
    "\"week\",\"month\"]}},\"additionalProperties\":false}"
static const struct rest_tool tools[] = {
    {"balance", "Balance at Selectel",
     "Account balance, bonuses and debt at Selectel: how much money is left on the account?",
     NO_ARGUMENTS, false, rest__next_path, shape_balance, "/v3/balances"},
    {"billing", "Spending at Selectel by project",
     "Billing at Selectel: what was spent by project and product in the last day, week or month?",
     PERIOD, false, next_consumption, shape_consumption, "project"},
    {"metrics", "Consumption at Selectel by resource",
     "Consumption metrics at Selectel by project and resource: cores, memory, volumes, traffic "
     "with "
     "quantities and costs.",
     PERIOD, false, next_consumption, shape_consumption, "project_metric"},
    {"servers", "Cloud servers at Selectel",
     "Cloud servers (VM, instances) of a project at Selectel: name, status, cores, memory, zone. "
     "Which "
     "cloud servers are active, off or in error?",
     NO_ARGUMENTS, false, next_servers, shape_servers, NULL}};

const struct rest_kind rest__selectel = {.url = "https://api.selectel.ru",
                                         .identity_url =
                                             "https://cloud.api.selcloud.ru/identity/v3",
                                         .tools = tools,
                                         .tool_count = sizeof tools / sizeof *tools,
                                         .check = "/v3/balances",
                                         .check_signs = true,
                                         .token_header = "X-Token: ",
                                         .login = login,
                                         .login_header = "X-Subject-Token",
                                         .signed_header = "X-Auth-Token: "};

static void *make(struct conn *c, const struct conf *conf, struct error *e)
{
    return rest__make(c, conf, &rest__selectel, NULL, NULL, e);
}

const struct conn_ops conn__selectel_ops =
    REST_OPS("selectel", make, "RU", "infrastructure billing");
