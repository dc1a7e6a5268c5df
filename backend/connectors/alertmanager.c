/* Alertmanager over its HTTP API, version 2 (its api/v2/openapi.yaml). Silences are the only thing
 * that is changed: create_silence's rollback is expire_silence, and what they did is seen in
 * silences. */
#include "backend/base/text.h"
#include "backend/connectors/rest.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TOLD = 12, SILENCE_MAX_S = 30 * 86400 };

static const json_t *list_of(const json_t *answers, struct host_out *out)
{
    const json_t *list = json_array_get(answers, 0);
    if (json_is_array(list))
        return list;
    err_set(&out->error, ERR_PROTOCOL, "the answer is no list of Alertmanager");
    return NULL;
}

static const char *state_of(const json_t *alert)
{
    const char *state = json_str(json_object_get(alert, "status"), "state", "");
    return strcmp(state, "active") == 0       ? "firing"
           : strcmp(state, "suppressed") == 0 ? "suppressed"
                                              : "unprocessed";
}

static void shape_alerts(const struct rest_view *v, const struct rest_tool *t,
                         const json_t *arguments, const json_t *answers, struct host_out *out)
{
    (void)v;
    (void)t;
    (void)arguments;
    const json_t *list = list_of(answers, out);
    if (!list)
        return;
    size_t n = json_array_size(list), kept = n < REST_MAX_ROWS ? n : REST_MAX_ROWS;
    struct rest_alert *alerts = xcalloc(kept + 1, sizeof *alerts);
    for (size_t i = 0; i < kept; i++) {
        const json_t *row = json_array_get(list, i);
        alerts[i] = (struct rest_alert){.labels = json_object_get(row, "labels"),
                                        .annotations = json_object_get(row, "annotations"),
                                        .state = state_of(row),
                                        .since = json_str(row, "startsAt", "")};
    }
    rest__say_alerts(out, alerts, kept, n - kept);
    free(alerts);
}

static void shape_groups(const struct rest_view *v, const struct rest_tool *t,
                         const json_t *arguments, const json_t *answers, struct host_out *out)
{
    (void)v;
    (void)t;
    (void)arguments;
    const json_t *list = list_of(answers, out);
    json_t *docs = json_array(), *group;
    size_t i;
    json_put(out->data, "groups", docs);
    json_array_foreach((json_t *)list, i, group)
    {
        size_t n = json_array_size(json_object_get(group, "alerts"));
        char *labels = rest__labels(json_object_get(group, "labels"), "");
        char *to = rest__name(rest__at(group, "/receiver/name"));
        if (i < TOLD)
            host__say(
                out, HOST_OK, "alerts", (double)n, "",
                xasprintf("Group %s of alerts: %zu, to receiver %s.", *labels ? labels : "{}", n,
                          to),
                xasprintf("Группа тревог %s: %zu, получатель %s.", *labels ? labels : "{}", n, to));
        if (i < REST_MAX_ROWS) {
            json_t *doc = json_object();
            json_puts(doc, "labels", labels);
            json_puts(doc, "receiver", to);
            json_puti(doc, "alerts", (int64_t)n);
            json_array_append_new(docs, doc);
        }
        free(labels);
        free(to);
    }
    if (list && !json_array_size(list))
        host__say(out, HOST_OK, "alerts", 0, "", xstrdup("There are no groups of alerts."),
                  xstrdup("Групп тревог нет."));
}

/* "a=b, c=~d" of a silence's matchers; malloc'ed. */
static char *matchers_of(const json_t *silence)
{
    struct buf text = {0};
    size_t i;
    json_t *m;
    json_array_foreach(json_object_get(silence, "matchers"), i, m)
    {
        if (i == 8) {
            buf_adds(&text, ", ...");
            break;
        }
        char *name = rest__name(json_object_get(m, "name"));
        char *value = rest__name(json_object_get(m, "value"));
        bool regex = json_flag(m, "isRegex", false), equal = json_flag(m, "isEqual", true);
        buf_addf(&text, "%s%s%s%s%s", i ? ", " : "", name, equal ? (regex ? "" : "=") : "!",
                 regex ? (equal ? "=~" : "~") : (equal ? "" : "="), value);
        free(name);
        free(value);
    }
    return buf_take(&text);
}

static void say_silence(struct host_out *out, const json_t *row)
{
    char *what = matchers_of(row), *by = rest__name(json_object_get(row, "createdBy"));
    char *until = rest__name(json_object_get(row, "endsAt"));
    char *why = rest__name(json_object_get(row, "comment"));
    char *id = rest__name(json_object_get(row, "id"));
    host__say(out, HOST_OK, "silence", NAN, "",
              xasprintf("Silence of %s until %s by %s: %s (id %s).", what, until, by, why, id),
              xasprintf("Заглушено %s до %s, автор %s: %s (id %s).", what, until, by, why, id));
    free(what);
    free(by);
    free(until);
    free(why);
    free(id);
}

static void shape_silences(const struct rest_view *v, const struct rest_tool *t,
                           const json_t *arguments, const json_t *answers, struct host_out *out)
{
    (void)v;
    (void)t;
    (void)arguments;
    const json_t *list = list_of(answers, out);
    json_t *docs = json_array(), *row;
    size_t i, active = 0, expired = 0;
    json_put(out->data, "silences", docs);
    json_array_foreach((json_t *)list, i, row)
    {
        bool over = strcmp(json_str(json_object_get(row, "status"), "state", ""), "expired") == 0;
        active += !over;
        expired += over;
        if (i < REST_MAX_ROWS)
            json_array_append_new(docs, json_deep_copy(row));
    }
    if (!list)
        return;
    host__say(out, HOST_OK, "silence", (double)active, "",
              xasprintf("Silences active or pending: %zu; expired: %zu.", active, expired),
              xasprintf("Заглушек действует или ожидает: %zu; истекло: %zu.", active, expired));
    size_t told = 0;
    json_array_foreach((json_t *)list, i, row)
    {
        if (strcmp(json_str(json_object_get(row, "status"), "state", ""), "expired") != 0 &&
            told++ < TOLD)
            say_silence(out, row);
    }
}

static void shape_status(const struct rest_view *v, const struct rest_tool *t,
                         const json_t *arguments, const json_t *answers, struct host_out *out)
{
    (void)v;
    (void)t;
    (void)arguments;
    const json_t *answer = json_array_get(answers, 0);
    const json_t *version = rest__at(answer, "/versionInfo/version");
    const json_t *cluster = rest__at(answer, "/cluster/status");
    if (!json_is_string(version) || !json_is_string(cluster)) {
        err_set(&out->error, ERR_PROTOCOL, "the answer is no status of Alertmanager");
        return;
    }
    char *v_words = rest__name(version), *state = rest__name(cluster);
    char *since = rest__name(json_object_get(answer, "uptime"));
    size_t peers = json_array_size(rest__at(answer, "/cluster/peers"));
    bool fine = strcmp(json_string_value(cluster), "settling") != 0;
    host__say(out, fine ? HOST_OK : HOST_WARN, "alertmanager", (double)peers, "",
              xasprintf("Alertmanager %s runs since %s; cluster: %s, peers: %zu.", v_words, since,
                        state, peers),
              xasprintf("Alertmanager %s работает с %s; кластер: %s, узлов: %zu.", v_words, since,
                        state, peers));
    json_puts(out->data, "version", v_words);
    json_puts(out->data, "cluster", state);
    json_puti(out->data, "peers", (int64_t)peers);
    free(v_words);
    free(state);
    free(since);
}

/* One silence by its id. */
static enum err next_silence(const struct rest_view *v, const struct rest_tool *t,
                             const json_t *arguments, const json_t *answers, struct rest_ask *ask,
                             bool *more, struct error *e)
{
    (void)v;
    (void)t;
    (void)e;
    *more = json_array_size(answers) == 0;
    if (*more) {
        buf_adds(&ask->path, "/api/v2/silence/");
        rest__escape(&ask->path, json_str(arguments, "id", ""));
    }
    return ERR_OK;
}

static void shape_silence(const struct rest_view *v, const struct rest_tool *t,
                          const json_t *arguments, const json_t *answers, struct host_out *out)
{
    (void)v;
    (void)t;
    (void)arguments;
    const json_t *row = json_array_get(answers, 0);
    const json_t *state = rest__at(row, "/status/state");
    if (!json_is_string(state)) {
        err_set(&out->error, ERR_PROTOCOL, "the answer is no silence of Alertmanager");
        return;
    }
    char *words = rest__name(state);
    json_puts(out->data, "state", words);
    json_put(out->data, "silence", json_deep_copy(row));
    host__say(out, HOST_OK, "silence", NAN, "", xasprintf("The silence is %s.", words),
              xasprintf("Состояние заглушки: %s.", words));
    say_silence(out, row);
    free(words);
}

/* ---- what acts */

/* The request that makes a silence; takes the matchers. */
static enum err ask_silence(const struct rest_view *v, const json_t *arguments, json_t *matchers,
                            struct rest_ask *ask, struct error *e)
{
    int64_t seconds;
    char from[32], to[32];
    if (!rest__duration(json_str(arguments, "duration", ""), &seconds) || seconds < 60 ||
        seconds > SILENCE_MAX_S) {
        json_decref(matchers);
        return err_set(e, ERR_INVALID, "duration is from 1m to 30d, as 2h");
    }
    rest__stamp(v->now_ms, from);
    rest__stamp(v->now_ms + seconds * 1000, to);
    ask->method = "POST";
    buf_adds(&ask->path, "/api/v2/silences");
    ask->body = json_object();
    json_put(ask->body, "matchers", matchers);
    json_puts(ask->body, "startsAt", from);
    json_puts(ask->body, "endsAt", to);
    json_puts(ask->body, "createdBy", json_str(arguments, "author", "mcp-console"));
    json_puts(ask->body, "comment", json_str(arguments, "comment", "silenced by mcp-console"));
    return ERR_OK;
}

static void add_matcher(json_t *matchers, const char *name, const char *value, bool regex,
                        bool equal)
{
    json_t *doc = json_object();
    json_puts(doc, "name", name);
    json_puts(doc, "value", value);
    json_put(doc, "isRegex", json_boolean(regex));
    json_put(doc, "isEqual", json_boolean(equal));
    json_array_append_new(matchers, doc);
}

/* All alerts of one name. */
static enum err next_silence_alert(const struct rest_view *v, const struct rest_tool *t,
                                   const json_t *arguments, const json_t *answers,
                                   struct rest_ask *ask, bool *more, struct error *e)
{
    (void)t;
    *more = json_array_size(answers) == 0;
    if (!*more)
        return ERR_OK;
    json_t *matchers = json_array();
    add_matcher(matchers, "alertname", json_str(arguments, "alert", ""), false, true);
    return ask_silence(v, arguments, matchers, ask, e);
}

static enum err next_create(const struct rest_view *v, const struct rest_tool *t,
                            const json_t *arguments, const json_t *answers, struct rest_ask *ask,
                            bool *more, struct error *e)
{
    (void)t;
    *more = json_array_size(answers) == 0;
    if (!*more)
        return ERR_OK;
    json_t *matchers = json_array(), *m;
    size_t i;
    bool any = false;
    json_array_foreach(json_object_get(arguments, "matchers"), i, m)
    {
        bool regex = json_flag(m, "regex", false), equal = json_flag(m, "equal", true);
        add_matcher(matchers, json_str(m, "name", ""), json_str(m, "value", ""), regex, equal);
        any = any || (equal && !regex);
    }
    if (!any) { /* ".*" would silence everything */
        json_decref(matchers);
        return err_set(e, ERR_INVALID, "at least one matcher must be equal to a value");
    }
    return ask_silence(v, arguments, matchers, ask, e);
}

static void shape_create(const struct rest_view *v, const struct rest_tool *t,
                         const json_t *arguments, const json_t *answers, struct host_out *out)
{
    (void)v;
    (void)t;
    const json_t *id = json_object_get(json_array_get(answers, 0), "silenceID");
    if (!json_is_string(id)) {
        err_set(&out->error, ERR_PROTOCOL, "the answer names no silence");
        return;
    }
    char *words = rest__name(id), *for_how = rest__name(json_object_get(arguments, "duration"));
    json_puts(out->data, "silence_id", words);
    host__say(out, HOST_OK, "silence", NAN, "",
              xasprintf("Silence %s was made for %s.", words, for_how),
              xasprintf("Заглушка %s создана на %s.", words, for_how));
    free(words);
    free(for_how);
}

static enum err next_expire(const struct rest_view *v, const struct rest_tool *t,
                            const json_t *arguments, const json_t *answers, struct rest_ask *ask,
                            bool *more, struct error *e)
{
    (void)v;
    (void)t;
    (void)e;
    *more = json_array_size(answers) == 0;
    if (!*more)
        return ERR_OK;
    ask->method = "DELETE";
    buf_adds(&ask->path, "/api/v2/silence/");
    rest__escape(&ask->path, json_str(arguments, "id", ""));
    return ERR_OK;
}

static void shape_expire(const struct rest_view *v, const struct rest_tool *t,
                         const json_t *arguments, const json_t *answers, struct host_out *out)
{
    (void)v;
    (void)t;
    (void)answers;
    char *id = rest__name(json_object_get(arguments, "id"));
    host__say(out, HOST_OK, "silence", NAN, "", xasprintf("Silence %s is over.", id),
              xasprintf("Заглушка %s снята.", id));
    free(id);
}

#define NO_ARGUMENTS "{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false}"
#define ONE_ID                                                                          \
    "{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\",\"minLength\":1," \
    "\"maxLength\":"                                                                    \
    "64}},\"required\":[\"id\"],\"additionalProperties\":false}"
static const struct rest_tool tools[] = {
    {"alerts", "Alerts in Alertmanager",
     "Alerts in Alertmanager: which alerts are firing, active, silenced, suppressed or inhibited "
     "now?",
     NO_ARGUMENTS, false, rest__next_path, shape_alerts, "/api/v2/alerts"},
    {"groups", "Groups of alerts",
     "Groups of alerts in Alertmanager and the receivers that they go to.", NO_ARGUMENTS, false,
     rest__next_path, shape_groups, "/api/v2/alerts/groups"},
    {"silences", "Silences",
     "Silences of Alertmanager: what is silenced or muted, by whom, until when and why?",
     NO_ARGUMENTS, false, rest__next_path, shape_silences, "/api/v2/silences"},
    {"silence", "One silence", "One silence of Alertmanager by its id, and whether it is active.",
     ONE_ID, false, next_silence, shape_silence, NULL},
    {"status", "State of Alertmanager", "Alertmanager's own version, uptime and cluster peers.",
     NO_ARGUMENTS, false, rest__next_path, shape_status, "/api/v2/status"},
    {"silence_alert", "Silence an alert",
     "Silences, or mutes, the alert of one name for some time, as 2 hours: it is not sent "
     "meanwhile. "
     "Undone by expire_silence.",
     "{\"type\":\"object\",\"properties\":{\"alert\":{\"type\":\"string\",\"minLength\":1,"
     "\"maxLength\":200,\"description\":\"its name\"},\"duration\":{\"type\":\"string\","
     "\"description\":\"as 2h; 1m to 30d\",\"maxLength\":20},\"comment\":{\"type\":\"string\","
     "\"minLength\":1,\"maxLength\":1000},\"author\":{\"type\":\"string\",\"minLength\":1,"
     "\"maxLength\":100}},\"required\":[\"alert\",\"duration\"],\"additionalProperties\":false}",
     true, next_silence_alert, shape_create, NULL},
    {"create_silence", "Silence alerts",
     "Makes a silence: alerts that match all the matchers are not sent for that time. It is undone "
     "by "
     "expire_silence with the id that it answers, and it is seen in silences.",
     "{\"type\":\"object\",\"properties\":{\"matchers\":{\"type\":\"array\",\"minItems\":1,"
     "\"maxItems\":"
     "20,\"items\":{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\","
     "\"minLength\":1,"
     "\"maxLength\":200},\"value\":{\"type\":\"string\",\"maxLength\":1000},\"regex\":{\"type\":"
     "\"boolean\"},\"equal\":{\"type\":\"boolean\"}},\"required\":[\"name\",\"value\"],"
     "\"additionalProperties\":false}},\"duration\":{\"type\":\"string\",\"description\":\"as 2h; "
     "1m to "
     "30d\",\"maxLength\":20},\"comment\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":1000},"
     "\"author\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":100}},\"required\":["
     "\"matchers\","
     "\"duration\",\"comment\"],\"additionalProperties\":false}",
     true, next_create, shape_create, NULL},
    {"expire_silence", "End a silence",
     "Ends a silence now, so that its alerts are sent again. It is seen in silences.", ONE_ID, true,
     next_expire, shape_expire, NULL}};

const struct rest_kind rest__alertmanager = {.tools = tools,
                                             .tool_count = sizeof tools / sizeof *tools,
                                             .check = "/-/healthy",
                                             .about = "/api/v2/status",
                                             .version_at = "/versionInfo/version"};

static void *make(struct conn *c, const struct conf *conf, struct error *e)
{
    return rest__make(c, conf, &rest__alertmanager, NULL, NULL, e);
}

const struct conn_ops conn__alertmanager_ops = REST_OPS("alertmanager", make, "", "alerts");
