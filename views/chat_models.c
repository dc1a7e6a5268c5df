/* Who answers from the next question on, and how: the lists that /model and /flow open over the
 * chat, and the choice that is kept with a conversation.
 *
 * M1 Enter takes the marked ones, in the order in which they were marked; without marks the
 *    selected one. The first row of each list takes the choice back.
 * M2 While a list is seen its figures are asked for again, one call at a time. */
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "views/chat.h"
#include "views/common.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REFRESH_MS = 2000, CHOSEN_MAX = 4 /* of chat.ask */, HINT_MIN = 10 };

static const char USUAL[] = ""; /* the id of the first row */
static const char DUAL[] = "dual";

/* ---- rows */

/* Flows; or models, and behind them the pools. */
static const json_t *rows_of(const struct chat_models *m)
{
    return json_object_get(m->result, m->flows ? "flows" : "models");
}

static const json_t *pools_of(const struct chat_models *m)
{
    return m->flows ? NULL : json_object_get(m->result, "pools");
}

static size_t count(void *arg)
{
    const struct chat_models *m = &((struct chat *)arg)->models;
    size_t n = json_array_size(rows_of(m));
    return n ? n + 1 + json_array_size(pools_of(m)) : 0;
}

/* NULL: the first row. */
static const json_t *row_at(const struct chat *c, size_t row)
{
    size_t n = json_array_size(rows_of(&c->models));
    return !row       ? NULL
           : row <= n ? json_array_get(rows_of(&c->models), row - 1)
                      : json_array_get(pools_of(&c->models), row - n - 1);
}

static const char *id(void *arg, size_t row)
{
    return row ? json_str(row_at(arg, row), "name", "?") : USUAL;
}

/* Answers it from the next question on, or the next question is answered so? */
static bool is_chosen(const struct chat *c, size_t row)
{
    const struct chat_commands *k = &c->commands;
    const char *name = id((void *)c, row);
    const json_t *one;
    size_t i;
    if (c->models.flows)
        return k->flow ? !strcmp(k->flow, name) : !row;
    json_array_foreach(k->models, i, one)
    {
        if (!strcmp(json_string_value(one), name))
            return true;
    }
    return !k->models && !row;
}

/* "lexical, vector": who is configured. */
static void usual_names(const struct chat *c, struct buf *out)
{
    size_t n = count((void *)c);
    for (size_t i = 1; i < n; i++)
        if (json_flag(row_at(c, i), "usual", false))
            buf_addf(out, "%s%s", out->len ? ", " : "", json_str(row_at(c, i), "name", ""));
}

static void state_cell(const json_t *state, struct buf *out, enum tui_role *role)
{
    const char *breaker = json_str(state, "breaker", "");
    if (!strcmp(breaker, "closed")) {
        buf_addf(out, "%s %s", tui_glyph(GLYPH_OK), _("ok"));
        *role = ROLE_OK;
    } else if (!strcmp(breaker, "half-open")) {
        buf_addf(out, "%s %s", tui_glyph(GLYPH_WARN), _("on trial"));
        *role = ROLE_WARN;
    } else if (!strcmp(breaker, "open")) {
        buf_addf(out, "%s %s %.0f %s", tui_glyph(GLYPH_FAIL), _("cut off"),
                 json_num(state, "breaker_wait_ms", 0) / 1000, _("s"));
        *role = ROLE_FAIL;
    } else {
        buf_addf(out, "%s", tui_glyph(GLYPH_UNKNOWN));
        *role = ROLE_DIM;
    }
}

/* A price for so many tokens needs no ".00". */
static const char *short_price(char *money)
{
    char *zeros = strstr(money, ".00");
    if (zeros && (!zeros[3] || zeros[3] == ' '))
        memmove(zeros, zeros + 3, strlen(zeros + 3) + 1);
    return money;
}

static void price_cell(const json_t *row, struct buf *out, enum tui_role *role)
{
    const json_t *price = json_object_get(row, "price");
    char in[48], put[48];
    if (!json_is_object(price)) {
        buf_adds(out, json_flag(row, "builtin", false) ? _("free") : _("unknown"));
        *role = ROLE_DIM;
        return;
    }
    view_money(json_str(price, "out", NULL), json_str(price, "currency", ""), false, put);
    snprintf(in, sizeof in, "%.40s", json_str(price, "in", "-"));
    buf_addf(out, "%s / %s", short_price(in), short_price(put));
}

enum column { NAME, STATE, FIRST, QUEUE, PRICE, CONTEXT, RATE, KIND, PROVIDER, REGION, ABOUT };
static const struct tui_column columns[] = {
    {N_("model"), -15, false, 0}, {N_("state"), 14, false, 0},      {N_("first p95"), 9, true, 1},
    {N_("queue"), 5, true, 2},    {N_("1M in / out"), 15, true, 3}, {N_("context"), 7, true, 4},
    {N_("tok/s"), 6, true, 7},    {N_("kind"), 10, false, 6},       {N_("provider"), 12, false, 8},
    {N_("region"), 6, false, 5},  {N_("about"), -20, false, 9}};

static void figures_cell(const json_t *row, int column, struct buf *out, enum tui_role *role)
{
    const json_t *state = json_object_get(row, "state");
    char text[32];
    *role = ROLE_DIM;
    switch (column) {
    case STATE:
        state_cell(state, out, role);
        return;
    case FIRST:
        tui_duration(json_num(state, "first_token_p95_ms", -1), text);
        buf_adds(out, text);
        return;
    case QUEUE: /* at work, and waiting */
        buf_addf(out, "%lld+%lld", (long long)json_int(state, "running", 0),
                 (long long)json_int(state, "waiting", 0));
        *role = json_int(state, "waiting", 0) ? ROLE_WARN : ROLE_DIM;
        return;
    case PRICE:
        price_cell(row, out, role);
        return;
    case CONTEXT:
        view_count(json_int(row, "context", 0), text);
        buf_adds(out, json_int(row, "context", 0) > 0 ? text : "-");
        return;
    case RATE:
        view_number(json_object_get(state, "tokens_per_s"), 0, text);
        buf_adds(out, text);
        return;
    case KIND:
        buf_adds(out, json_str(row, "kind", ""));
        return;
    case PROVIDER:
        buf_adds(out, json_str(row, "provider", ""));
        return;
    case REGION:
        buf_adds(out, json_str(row, "region", ""));
        return;
    default:
        buf_adds(out, json_str(row, "about", ""));
        return;
    }
}

static void cell(void *arg, size_t at, int column, struct buf *out, enum tui_role *role)
{
    const struct chat *c = arg;
    const json_t *row = row_at(c, at);
    if (column == NAME) {
        bool chosen = is_chosen(c, at);
        buf_addf(out, "%s %s", chosen ? tui_glyph(GLYPH_OK) : " ",
                 at ? id(arg, at) : _("as configured"));
        *role = chosen ? ROLE_OK : at ? ROLE_TEXT : ROLE_DIM;
    } else if (row && json_is_string(json_object_get(row, "models"))) {
        *role = ROLE_DIM; /* a pool has no figures: its models have */
        if (column == STATE || column == ABOUT)
            buf_adds(out, column == STATE ? _("pool") : json_str(row, "models", ""));
    } else if (row) {
        figures_cell(row, column, out, role);
    } else if (column == ABOUT) {
        usual_names(c, out);
        *role = ROLE_DIM;
    }
}

enum flow_column { FLOW_NAME, FLOW_MODELS, FLOW_ABOUT };
static const struct tui_column flow_columns[] = {
    {N_("flow"), 16, false, 0}, {N_("models"), 7, true, 2}, {N_("about"), -16, false, 1}};

static void flow_cell(void *arg, size_t at, int column, struct buf *out, enum tui_role *role)
{
    const json_t *row = row_at(arg, at);
    if (column == FLOW_NAME) {
        cell(arg, at, NAME, out, role);
        return;
    }
    *role = ROLE_DIM;
    if (!row && column == FLOW_ABOUT)
        usual_names(arg, out);
    else if (row && column == FLOW_MODELS)
        buf_addf(out, "%lld", (long long)json_int(row, "models", 0));
    else if (row)
        buf_adds(out, _(json_str(row, "about", "")));
}

static const struct tui_list_ops model_ops = {.count = count, .cell = cell, .id = id};
static const struct tui_list_ops flow_ops = {.count = count, .cell = flow_cell, .id = id};

/* ---- what is known */

static void got_models(void *self, const json_t *result, const struct error *e)
{
    struct chat *c = self;
    view_ask_done(&c->models.asked);
    if (!result) {
        tui_error(e, "chat.models");
        return;
    }
    json_decref(c->models.result);
    c->models.result = json_incref((json_t *)result); /* nobody changes it */
    if (c->models.list)
        tui_list_changed(c->models.list);
    tui_dirty();
}

static void ask(struct chat *c, bool now)
{
    if (now)
        tui_call(c, WIRE_chat_models, NULL, got_models);
}

/* ---- the choice */

static void said(void)
{
    tui_say("%s", _("from the next question on; what is being answered goes on as it began"));
}

void chat_models_set(struct chat *c, json_t *models)
{
    json_decref(c->commands.models);
    c->commands.models = models;
    said();
}

static void flow_set(struct chat *c, const char *flow)
{
    struct chat_commands *k = &c->commands;
    free(k->flow);
    k->flow = xstrdup_or_null(flow);
    k->exchanges = 0; /* what was said for the sides of another flow */
    for (size_t i = 0; i < 2; i++) {
        free(k->prompts[i]);
        k->prompts[i] = NULL;
    }
}

void chat_models_flow(struct chat *c, const char *flow)
{
    flow_set(c, flow);
    said();
}

void chat_models_exchange(struct chat *c, json_t *models, int64_t exchanges)
{
    if (models) {
        json_decref(c->commands.models);
        c->commands.models = models;
    }
    if (!c->commands.flow || strcmp(c->commands.flow, DUAL) != 0)
        flow_set(c, DUAL);
    c->commands.exchanges = exchanges;
    said();
}

void chat_models_prompt(struct chat *c, size_t side, const char *prompt)
{
    char **to = &c->commands.prompts[side];
    if (!c->commands.flow)
        flow_set(c, DUAL);
    free(*to);
    *to = xstrdup_or_null(prompt);
    said();
}

static bool is_known(const json_t *rows, const char *name)
{
    const json_t *one;
    size_t i;
    json_array_foreach(rows, i, one)
    {
        if (!strcmp(json_str(one, "name", ""), name))
            return true;
    }
    return false;
}

/* What a conversation was asked with may be gone by now, and what is typed may have a slip. */
static void got_known(void *self, const json_t *result, const struct error *e)
{
    struct chat *c = self;
    struct chat_commands *k = &c->commands;
    (void)e; /* then the next question says it */
    for (size_t i = json_array_size(k->models); result && i-- > 0;) {
        const char *name = json_string_value(json_array_get(k->models, i));
        if (is_known(json_object_get(result, "models"), name) ||
            is_known(json_object_get(result, "pools"), name))
            continue;
        tui_say(_("%s is not configured: it is left out"), name);
        json_array_remove(k->models, i);
    }
    if (k->models && !json_array_size(k->models)) {
        json_decref(k->models);
        k->models = NULL;
    }
    if (result && k->flow && !is_known(json_object_get(result, "flows"), k->flow)) {
        tui_say(_("%s is not configured: it is left out"), k->flow);
        flow_set(c, NULL);
    }
    tui_dirty();
}

void chat_models_check(struct chat *c)
{
    tui_call(c, WIRE_chat_models, NULL, got_known);
}

void chat_models_take(struct chat *c, const json_t *choice)
{
    struct chat_commands *k = &c->commands;
    const json_t *models = json_object_get(choice, "models"), *one;
    size_t i;
    json_decref(k->models);
    k->models = json_array_size(models) ? json_array() : NULL;
    json_array_foreach(models, i, one)
    {
        if (json_is_string(one))
            json_array_append_new(k->models, json_copy((json_t *)one));
    }
    flow_set(c, json_str(choice, "flow", NULL));
    k->exchanges = json_int(choice, "exchanges", 0);
    for (i = 0; i < 2; i++)
        k->prompts[i] = xstrdup_or_null(json_str(choice, i ? "promptB" : "promptA", NULL));
    if (k->models || k->flow)
        chat_models_check(c);
}

void chat_models_words(const struct chat *c, struct buf *out)
{
    const json_t *one;
    size_t i;
    json_array_foreach(c->commands.models, i, one)
        buf_addf(out, "%s%s", i ? ", " : "", json_string_value(one));
    if (c->commands.flow)
        buf_addf(out, "%s/%s", out->len ? " " : "", c->commands.flow);
    if (c->commands.exchanges)
        buf_addf(out, " x%lld", (long long)c->commands.exchanges);
    for (i = 0; i < 2; i++) {
        const char *prompt = c->commands.prompts[i];
        if (prompt)
            buf_addf(out, " %c:%s", i ? 'B' : 'A',
                     strpbrk(prompt, " \n") ? _("own words") : prompt);
    }
}

static void take(struct chat *c)
{
    struct chat_models *m = &c->models;
    const char *const *marks;
    size_t n = m->flows ? 0 : tui_list_marks(m->list, &marks);
    long row = tui_list_selected(m->list);
    if (row < 0)
        return;
    if (n > CHOSEN_MAX) {
        tui_say(_("at most %d models answer a question"), CHOSEN_MAX);
        return;
    }
    const char *name = id(c, (size_t)row);
    if (m->flows) {
        chat_models_flow(c, *name ? name : NULL);
    } else {
        json_t *models = json_array();
        for (size_t i = 0; i < n; i++)
            if (*marks[i])
                json_array_append_new(models, json_text(marks[i], strlen(marks[i])));
        if (!n && *name)
            json_array_append_new(models, json_text(name, strlen(name)));
        if (!json_array_size(models)) {
            json_decref(models);
            models = NULL;
        }
        chat_models_set(c, models);
    }
    chat_panel_close(c);
}

/* ---- the panel */

static void part_set(struct chat *c, bool flows)
{
    struct chat_models *m = &c->models;
    tui_list_free(m->list);
    m->flows = flows;
    m->list =
        flows ? tui_list_new(flow_columns, sizeof flow_columns / sizeof *flow_columns, &flow_ops, c)
              : tui_list_new(columns, sizeof columns / sizeof *columns, &model_ops, c);
    tui_dirty();
}

/* What the selected flow is for, whole, at the end of an area; returns how many rows it took. */
static int draw_about(const struct chat *c, struct tui_area a)
{
    enum { ROWS = 3 };
    long selected = tui_list_selected(c->models.list);
    const char *about = selected > 0 ? json_str(row_at(c, (size_t)selected), "about", "") : "";
    if (!c->models.flows || !*about || a.height < HINT_MIN)
        return 0;
    struct tui_text *t = tui_text_new();
    tui_text_add(t, ROLE_TEXT, 1, false, about);
    int rows = tui_text_lines(t, a.width) < ROWS ? (int)tui_text_lines(t, a.width) : ROWS;
    tui_text_draw(t, tui_sub(a, a.height - rows, 0, rows, a.width), 0);
    tui_text_free(t);
    return rows;
}

static void draw(struct chat *c, struct tui_area a, bool focused)
{
    struct chat_models *m = &c->models;
    bool hint = a.height >= HINT_MIN;
    bool old = clock_mono_ms() - m->asked.last >= REFRESH_MS;
    ask(c, old ? view_ask_now(&m->asked) : view_ask_due(&m->asked)); /* M2 */
    tui_dirty_in(REFRESH_MS);
    int x = 1;
    tui_fill(a, 0, 0, a.width, ROLE_RULE, GLYPH_RULE);
    x += tui_putf(a, 0, x, -1, m->flows ? ROLE_DIM : ROLE_TITLE_FOCUS, " %s ", _("Models"));
    tui_putf(a, 0, x, -1, m->flows ? ROLE_TITLE_FOCUS : ROLE_DIM, " %s ", _("Flow"));
    if (!m->result)
        tui_put(a, 1, 1, -1, ROLE_DIM, _("asking the backend"));
    struct tui_area inner = tui_sub(a, 1, 0, a.height - 1 - hint, a.width);
    int about = draw_about(c, inner);
    tui_list_draw(m->list, tui_sub(inner, 0, 0, inner.height - about, a.width), focused,
                  a.height > 4);
    if (hint)
        tui_put(a, a.height - 1, 1, -1, ROLE_DIM,
                m->flows ? _("Enter takes it, Left: models, Esc back")
                         : _("Enter takes it, Space marks several, Right: flow, Esc back"));
}

static bool action(struct chat *c, enum tui_action action)
{
    switch (action) {
    case ACTION_OPEN:
        take(c);
        return true;
    case ACTION_NEXT_PART:
    case ACTION_PREV_PART:
        part_set(c, action == ACTION_NEXT_PART);
        return true;
    default:
        return false;
    }
}

static struct tui_list *list(struct chat *c)
{
    return c->models.list;
}

static const enum tui_action takes[] = {ACTION_NEXT_PART, ACTION_PREV_PART, ACTION_NONE};
static const struct chat_panel panel = {
    .takes = takes, .draw = draw, .action = action, .list = list};

void chat_models_open(struct chat *c, bool flows)
{
    part_set(c, flows);
    c->panel = &panel;
    ask(c, view_ask_now(&c->models.asked));
}

void chat_models_release(struct chat_models *m)
{
    tui_list_free(m->list);
    json_decref(m->result);
}
