/* Tools by which the console tells of itself: its models, its last verdict, what can be asked. */
#include "backend/internal.h"
#include <stdlib.h>
#include <string.h>

/* A finding that no instrument measured. */
static void tell(json_t *findings, const char *topic, char *en, char *ru)
{
    backend__finding(findings, "ok", topic, en, ru);
    json_put(json_array_get(findings, json_array_size(findings) - 1), "told", json_true());
}

static void say_model(json_t *findings, const struct gw_model *m)
{
    const char *region = *m->region ? m->region : "not declared",
               *region_ru = *m->region ? (m->builtin ? "эта машина" : m->region) : "не указана";
    if (m->builtin) {
        tell(findings, "model",
             xasprintf("Model %s is built in: it quotes measurements and runbooks, "
                       "runs on this machine and costs nothing.",
                       m->name),
             xasprintf("Модель %s встроенная: цитирует измерения и инструкции, "
                       "работает на этой машине и ничего не стоит.",
                       m->name));
        return;
    }
    char in[32], out[32];
    cost_format(m->price_in, in);
    cost_format(m->price_out, out);
    tell(findings, "model",
         m->priced
             ? xasprintf("Model %s (%s, %s): region %s, price per million tokens %s %s in and "
                         "%s %s out.",
                         m->name, m->kind, m->model, region, in, m->currency, out, m->currency)
             : xasprintf("Model %s (%s, %s): region %s, price unknown.", m->name, m->kind, m->model,
                         region),
         m->priced
             ? xasprintf("Модель %s (%s, %s): страна %s, цена за миллион токенов: вход %s %s, "
                         "выход %s %s.",
                         m->name, m->kind, m->model, region_ru, in, m->currency, out, m->currency)
             : xasprintf("Модель %s (%s, %s): страна %s, цена неизвестна.", m->name, m->kind,
                         m->model, region_ru));
}

enum err backend__call_models(void *arg, const json_t *arguments, json_t **data, char **text,
                              struct error *e)
{
    struct backend *b = arg;
    json_t *findings = json_array(), *models = json_array();
    (void)arguments;
    (void)e;
    for (size_t i = 0; i < gw_count(b->gw); i++) {
        const struct gw_model *m = gw_model(b->gw, i);
        if (!gw_is_chosen(b->gw, m->name))
            continue;
        json_t *row = json_object();
        json_puts(row, "name", m->name);
        json_puts(row, "kind", m->kind);
        json_puts(row, "model", m->model);
        json_puts(row, "region", m->region);
        json_array_append_new(models, row);
        say_model(findings, m);
    }
    return backend__tool_answer(findings, models, "models", data, text);
}

static const char *route_ru(const char *route)
{
    static const char *const names[][2] = {
        {"agree", "ответы согласны"},
        {"critique", "после взаимной критики"},
        {"safer", "выбран более безопасный ответ"},
        {"refuted", "ответу с большей оценкой противоречит результат инструмента"},
        {"single", "ответила одна модель"},
        {"dropped", "остальные модели не успели или отказали"},
        {"vote", "победило большинство согласных ответов"},
        {"roles", "последнее слово за последней ролью"},
        {"unanswered", "ни одна модель не нашла ответа"},
        {"none", "ни одна модель не ответила"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i][0], route) == 0)
            return names[i][1];
    }
    return route;
}

static void say_candidate(json_t *findings, const json_t *c)
{
    if (!json_is_number(json_object_get(c, "composite")))
        return;
    const char *name = json_str(c, "model", "");
    char *en = xasprintf("composite %.3f from overlap %.2f, safety risk %.2f and reasoning %.2f",
                         json_num(c, "composite", 0), json_num(c, "overlap", 0),
                         json_num(c, "safety_risk", 0), json_num(c, "reasoning", 0));
    char *figures = xasprintf("итог %.3f из сходства %.2f, риска %.2f и обоснованности %.2f",
                              json_num(c, "composite", 0), json_num(c, "overlap", 0),
                              json_num(c, "safety_risk", 0), json_num(c, "reasoning", 0));
    char *ru = backend__figure_ru(figures);
    tell(findings, "verdict", xasprintf("Answer of %s: %s.", name, en),
         xasprintf("Ответ модели %s: %s.", name, ru));
    free(en);
    free(figures);
    free(ru);
}

enum err backend__call_verdict(void *arg, const json_t *arguments, json_t **data, char **text,
                               struct error *e)
{
    struct backend *b = arg;
    (void)arguments;
    json_t *traces = orch_traces(b->orch, -1, 8, false, e), *t, *last = NULL,
           *findings = json_array();
    size_t i;
    json_array_foreach(traces, i, t)
    {
        if (!last && strcmp(json_str(t, "state", ""), "done") == 0 &&
            json_is_object(json_object_get(t, "verdict")))
            last = t;
    }
    if (!last) {
        tell(findings, "verdict", xstrdup("No question was answered before."),
             xstrdup("До этого вопросов не было."));
    } else {
        const json_t *v = json_object_get(last, "verdict"), *c;
        tell(findings, "verdict",
             xasprintf("The last verdict, on “%s”: %s.", json_str(last, "question", ""),
                       json_str(v, "reason", "")),
             xasprintf("Последний вердикт, на вопрос «%s»: победила %s, %s.",
                       json_str(last, "question", ""), json_str(v, "winner", ""),
                       route_ru(json_str(v, "route", ""))));
        json_array_foreach(json_object_get(last, "candidates"), i, c) say_candidate(findings, c);
    }
    json_t *figures = last ? json_deep_copy(json_object_get(last, "verdict")) : NULL;
    json_decref(traces);
    return backend__tool_answer(findings, figures, "verdict", data, text);
}

enum err backend__call_help(void *arg, const json_t *arguments, json_t **data, char **text,
                            struct error *e)
{
    struct backend *b = arg;
    (void)arguments;
    (void)e;
    json_t *rows = conn_list(b->conn), *row, *findings = json_array();
    struct buf names = {0};
    size_t i, documents = b->know ? know_documents(b->know) : 0;
    long long tools = 0;
    json_array_foreach(rows, i, row)
    {
        if (strcmp(json_str(row, "state", ""), "disabled") == 0)
            continue;
        buf_addf(&names, "%s%s", names.len ? ", " : "", json_str(row, "name", ""));
        tools += json_int(row, "tools", 0);
    }
    tell(findings, "help",
         xasprintf(
             "I answer questions from %lld tools of the connectors %s and from %zu runbooks; I "
             "only read, and change nothing.",
             tools, names.len ? names.data : "-", documents),
         xasprintf("Я отвечаю на вопросы по данным инструментов (%lld) коннекторов %s и по "
                   "инструкциям (%zu); я только читаю и ничего не меняю.",
                   tools, names.len ? names.data : "-", documents));
    tell(
        findings, "help",
        xstrdup("Ask of this machine: “why is it slow?”, “is the disk filling up?”, “which process "
                "eats memory?”."),
        xstrdup("Спросите о машине: «почему тормозит?», «что с диском?», «кто ест память?»."));
    tell(findings, "help",
         xstrdup("Ask of this console or for steps: “what did today cost?”, “is the evidence "
                 "intact?”, “nginx answers 502, what do I do?”."),
         xstrdup("О консоли и что делать: «сколько потратили сегодня?», «журнал цел?», «nginx "
                 "отвечает 502, что делать?»."));
    buf_release(&names);
    return backend__tool_answer(findings, rows, "connectors", data, text);
}
