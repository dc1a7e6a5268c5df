/* The console's own tools, as the connector "console": its connectors, its spending, its log, its
 * score. They answer questions such as "are all connectors healthy?" from live figures. */
#include "backend/internal.h"
#include <stdlib.h>
#include <string.h>

void backend__finding(json_t *findings, const char *severity, const char *topic, char *en, char *ru)
{
    json_t *f = json_object();
    json_puts(f, "severity", severity);
    json_puts(f, "topic", topic);
    json_puts(f, "en", en);
    json_puts(f, "ru", ru);
    json_array_append_new(findings, f);
    free(en);
    free(ru);
}

/* The text that people and foreign models read: one line a finding. */
static char *text_of(const json_t *findings)
{
    struct buf text = {0};
    size_t i;
    json_t *f;
    json_array_foreach(findings, i, f) buf_addf(&text, "%s\n", json_str(f, "en", ""));
    return buf_take(&text);
}

enum err backend__tool_answer(json_t *findings, json_t *figures, const char *key, json_t **data,
                              char **text)
{
    *text = text_of(findings);
    *data = json_object();
    json_put(*data, "findings", findings);
    if (figures)
        json_put(*data, key, figures);
    return ERR_OK;
}

static const char *state_ru(const char *state)
{
    static const char *const names[][2] = {{"ok", "исправен"},
                                           {"warn", "работает с перебоями"},
                                           {"degraded", "работает с перебоями"},
                                           {"fail", "не работает"},
                                           {"starting", "запускается"},
                                           {"disabled", "выключен"},
                                           {"unknown", "ещё не проверен"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i][0], state) == 0)
            return names[i][1];
    }
    return state;
}

/* A figure as Russian writes it: "0,00". The caller frees. */
char *backend__figure_ru(const char *figure)
{
    char *ru = xstrdup(figure);
    for (char *p = ru; *p; p++)
        *p = *p == '.' ? ',' : *p;
    return ru;
}

/* A reference to a law as Russian writes it; the caller frees. */
static char *law_ru(const char *law)
{
    static const char *const words[][2] = {{"house rule", "внутреннее правило"},
                                           {"152-FZ", "152-ФЗ"},
                                           {"63-FZ", "63-ФЗ"},
                                           {"FSTEC 21", "приказ ФСТЭК № 21"},
                                           {"RSB.", "РСБ."},
                                           {"FSB order", "приказ ФСБ №"},
                                           {"order ", "приказ № "},
                                           {"Decree ", "ПП № "},
                                           {"art. ", "ст. "},
                                           {"p. ", "ч. "},
                                           {"cl. ", "п. "}};
    struct buf ru = {0};
    for (const char *p = law; *p;) {
        size_t i = 0, n = sizeof words / sizeof *words;
        while (i < n && strncmp(p, words[i][0], strlen(words[i][0])) != 0)
            i++;
        if (i < n) {
            buf_adds(&ru, words[i][1]);
            p += strlen(words[i][0]);
        } else {
            buf_addc(&ru, *p++);
        }
    }
    return buf_take(&ru);
}

static enum err call_connectors(void *arg, const json_t *arguments, json_t **data, char **text,
                                struct error *e)
{
    struct backend *b = arg;
    (void)arguments;
    (void)e;
    json_t *rows = conn_list(b->conn), *row, *findings = json_array();
    size_t i, ok = 0, all = 0;
    json_array_foreach(rows, i, row)
    {
        const char *state = json_str(row, "state", ""), *name = json_str(row, "name", "");
        if (strcmp(state, "disabled") == 0)
            continue;
        all++;
        const char *error = json_str(row, "last_error", "");
        if (strcmp(state, "ok") == 0) {
            ok++;
            continue;
        }
        bool fail = strcmp(state, "fail") == 0;
        backend__finding(
            findings, fail ? "fail" : "warn", "connector",
            xasprintf("Connector %s is in state %s%s%s.", name, state, *error ? ": " : "", error),
            xasprintf("Коннектор %s: %s%s%s%s.", name, state_ru(state),
                      *error ? ", последняя ошибка: «" : "", error, *error ? "»" : ""));
    }
    if (ok == all)
        backend__finding(findings, "ok", "connector",
                         xasprintf("All %zu connectors are healthy.", all),
                         xasprintf("Все коннекторы (%zu) исправны.", all));
    else
        backend__finding(findings, "warn", "connector",
                         xasprintf("%zu of %zu connectors are healthy.", ok, all),
                         xasprintf("Исправны %zu из %zu коннекторов.", ok, all));
    json_array_foreach(rows, i, row)
    {
        double latency = json_num(row, "latency_ms", -1);
        if (strcmp(json_str(row, "state", ""), "ok") != 0 || latency < 0)
            continue;
        char ms[32];
        snprintf(ms, sizeof ms, "%.1f", latency);
        char *ms_ru = backend__figure_ru(ms);
        const char *name = json_str(row, "name", "");
        long long tools = json_int(row, "tools", 0);
        backend__finding(
            findings, "ok", "connector",
            xasprintf("Connector %s answered its last check in %s ms and offers %lld tools.", name,
                      ms, tools),
            xasprintf("Коннектор %s ответил на последнюю проверку за %s мс, инструментов: %lld.",
                      name, ms_ru, tools));
        free(ms_ru);
    }
    return backend__tool_answer(findings, rows, "connectors", data, text);
}

static enum err call_cost(void *arg, const json_t *arguments, json_t **data, char **text,
                          struct error *e)
{
    struct backend *b = arg;
    (void)arguments;
    json_t *summary = cost_summary(b->cost, conf_str(b->conf, "console", "", "currency"), 7, e);
    if (!summary)
        return e->code;
    json_t *today = json_object_get(summary, "today"), *findings = json_array(), *model;
    const char *currency = json_str(summary, "currency", ""),
               *amount = json_str(today, "amount", "0.00");
    long long calls = json_int(today, "calls", 0), in = json_int(today, "input_tokens", 0),
              out = json_int(today, "output_tokens", 0), unknown = json_int(today, "unknown", 0);
    char *amount_ru = backend__figure_ru(amount);
    backend__finding(
        findings, "ok", "cost",
        xasprintf(
            "Today cost %s %s so far: %lld model calls with %lld input and %lld output tokens.",
            amount, currency, calls, in, out),
        xasprintf(
            "Сегодня потрачено %s %s: вызовов моделей %lld, токенов на входе %lld, на выходе %lld.",
            amount_ru, currency, calls, in, out));
    free(amount_ru);
    if (unknown)
        backend__finding(
            findings, "warn", "cost",
            xasprintf("%lld calls of today have no known price and are not in that sum.", unknown),
            xasprintf("У %lld сегодняшних вызовов цена неизвестна, в сумму они не вошли.",
                      unknown));
    size_t i;
    json_array_foreach(json_object_get(summary, "by_model"), i, model)
    {
        if (i == 3)
            break;
        const char *name = json_str(model, "model", ""), *sum = json_str(model, "amount", "0.00");
        long long of_model = json_int(model, "calls", 0);
        if (of_model &&
            json_int(model, "unknown", 0) + json_int(model, "elsewhere", 0) >= of_model) {
            backend__finding(
                findings, "warn", "cost",
                xasprintf("Model %s: %lld calls in the last 7 days, their cost in %s is not known.",
                          name, of_model, currency),
                xasprintf(
                    "Модель %s: вызовов за последние 7 дней %lld, их стоимость в %s неизвестна.",
                    name, of_model, currency));
            continue;
        }
        char *sum_ru = backend__figure_ru(sum);
        backend__finding(findings, "ok", "cost",
                         xasprintf("Model %s: %s %s in the last 7 days, %lld calls.", name, sum,
                                   currency, of_model),
                         xasprintf("Модель %s: %s %s за последние 7 дней, вызовов %lld.", name,
                                   sum_ru, currency, of_model));
        free(sum_ru);
    }
    return backend__tool_answer(findings, summary, "cost", data, text);
}

static enum err call_score(void *arg, const json_t *arguments, json_t **data, char **text,
                           struct error *e)
{
    struct backend *b = arg;
    (void)arguments;
    (void)e;
    json_t *card = backend__scorecard(b), *findings = json_array(), *control;
    const json_t *counts = json_object_get(card, "counts");
    long long score = json_int(card, "score", 0), pass = json_int(counts, "pass", 0),
              warn = json_int(counts, "warn", 0), fail = json_int(counts, "fail", 0),
              open = json_int(counts, "not_assessed", 0);
    backend__finding(
        findings,
        fail   ? "fail"
        : warn ? "warn"
               : "ok",
        "score",
        xasprintf("The compliance score is %lld of 100: %lld controls pass, %lld warn, %lld "
                  "fail, %lld are not assessed.",
                  score, pass, warn, fail, open),
        xasprintf("Оценка соответствия %lld из 100: выполнено %lld, предупреждений %lld, "
                  "нарушений %lld, не оценено %lld.",
                  score, pass, warn, fail, open));
    size_t i;
    json_array_foreach(json_object_get(card, "controls"), i, control)
    {
        const char *status = json_str(control, "status", "");
        if (strcmp(status, "warn") != 0 && strcmp(status, "fail") != 0)
            continue;
        char *law = law_ru(json_str(control, "law", ""));
        backend__finding(findings, status, "score",
                         xasprintf("Control “%s” %s: %s (%s).", json_str(control, "title", ""),
                                   strcmp(status, "fail") == 0 ? "fails" : "warns",
                                   json_str(control, "reason", ""), json_str(control, "law", "")),
                         xasprintf("Контроль «%s»: %s (%s); причина — в панели 5.",
                                   json_str(control, "title_ru", ""),
                                   strcmp(status, "fail") == 0 ? "нарушение" : "предупреждение",
                                   law));
        free(law);
    }
    return backend__tool_answer(findings, card, "scorecard", data, text);
}

/* ---- the log: verified now, not remembered */

static void verified(void *arg, const json_t *report)
{
    struct conn_native_reply *reply = arg;
    struct error stopping = {.code = ERR_CLOSED};
    if (!report) {
        conn_native_answer(reply, NULL, NULL, &stopping);
        return;
    }
    json_t *findings = json_array(), *data = NULL;
    char *text = NULL;
    long long checked = json_int(report, "checked", 0),
              problems = json_int(report, "problem_count", 0),
              ms = json_int(report, "elapsed_ms", 0);
    if (json_flag(report, "ok", false))
        backend__finding(
            findings, "ok", "evidence",
            xasprintf("The evidence log is intact: %lld entries verified just now in %lld ms, no "
                      "problem found.",
                      checked, ms),
            xasprintf("Журнал доказательств цел: проверено записей %lld за %lld мс, нарушений нет.",
                      checked, ms));
    else
        backend__finding(
            findings, "fail", "evidence",
            xasprintf("The evidence log does NOT verify: %lld problems in %lld entries.", problems,
                      checked),
            xasprintf("Журнал доказательств НЕ проходит проверку: нарушений %lld, записей %lld.",
                      problems, checked));
    if (json_flag(report, "ok", false))
        backend__finding(
            findings, "ok", "evidence",
            xstrdup("That shows that no entry was changed, taken out or moved; it cannot show "
                    "that nothing was cut off at the end or that the whole database is not an "
                    "older copy."),
            xstrdup("Значит, ни одна запись не изменена, не вынута и не переставлена; но "
                    "так нельзя доказать, что с конца ничего не отрезано и что вся база не "
                    "подменена старой копией."));
    json_t *figures = json_deep_copy(report);
    backend__tool_answer(findings, figures, "report", &data, &text);
    conn_native_answer(reply, data, text, NULL);
}

static void start_evidence(void *arg, const json_t *arguments, struct conn_native_reply *reply)
{
    (void)arguments;
    backend__verify(arg, 0, false, NULL, NULL, verified, reply);
}

static const char NO_ARGUMENTS[] =
    "{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false}";

static const struct conn_native_tool TOOLS[] = {
    {.name = "connectors",
     .title = "Connector health",
     .input_schema = NO_ARGUMENTS,
     .call = call_connectors,
     .description = "Health of all connectors and MCP servers of this console: healthy, degraded "
                    "or failed, last error, latency."},
    {.name = "cost",
     .title = "Cost and spending of models",
     .input_schema = NO_ARGUMENTS,
     .call = call_cost,
     .description = "What was spent today and this week: cost, price, money, budget, tokens and "
                    "calls."},
    {.name = "scorecard",
     .title = "Compliance scorecard",
     .input_schema = NO_ARGUMENTS,
     .call = call_score,
     .description = "Compliance score and controls by law 152-FZ: what is met, what is violated."},
    {.name = "evidence",
     .title = "Evidence log integrity",
     .input_schema = NO_ARGUMENTS,
     .start = start_evidence,
     .description = "Verifies the evidence log now: is the hash chain intact, was an entry "
                    "changed, tampered with or removed."},
    {.name = "models",
     .title = "Models that answer",
     .input_schema = NO_ARGUMENTS,
     .call = backend__call_models,
     .description = "Which models (LLM) are connected and used to answer here: kind, region, "
                    "price for tokens."},
    {.name = "arbitration",
     .title = "The last verdict",
     .input_schema = NO_ARGUMENTS,
     .call = backend__call_verdict,
     .description = "Why was the last answer chosen: arbitration, verdict, winner, composite and "
                    "divergence of the models' answers."},
    {.name = "help",
     .title = "What can be asked",
     .input_schema = NO_ARGUMENTS,
     .call = backend__call_help,
     .description = "Hello and help: what this copilot can do, what can be asked, examples."},
};

void backend__add_selftools(struct backend *b)
{
    conn_add_native(b->conn, CONN_OWN_NAME, TOOLS, sizeof TOOLS / sizeof *TOOLS, b);
}
