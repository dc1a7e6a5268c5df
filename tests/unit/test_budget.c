/* Budgets: B1 to B3 of cost/budget.h, and M1 of spending.c in the whole backend. */
#include "backend/cost/budget.h"
#include "tests/unit/console_harness.h"
#include "tests/unit/mock_harness.h"

struct bench {
    char *dir;
    struct loop *loop;
    struct store *store;
    struct conf *conf;
    struct cost *cost;
    struct cost_budgets *budgets;
    int percents[16];
    size_t warned;
};

static enum err keep(struct store_db *db, void *arg, struct error *e)
{
    const struct cost_warning *w = arg;
    return cost_warned(db, w->budget, w->subject, w->period, w->percent, e);
}

static void kept(void *arg, const struct error *e)
{
    assert_int_equal(e->code, ERR_OK);
    free(arg);
}

static void on_warn(void *arg, const struct cost_warning *w)
{
    struct bench *b = arg;
    assert_true(b->warned < 16);
    b->percents[b->warned++] = w->percent;
    struct warned_text {
        struct cost_warning w;
        char budget[16], subject[16], period[16];
    } *t = xcalloc(1, sizeof *t);
    snprintf(t->budget, sizeof t->budget, "%s", w->budget);
    snprintf(t->subject, sizeof t->subject, "%s", w->subject);
    snprintf(t->period, sizeof t->period, "%s", w->period);
    t->w = (struct cost_warning){t->budget, t->subject, t->period, w->percent, NULL};
    store_write(b->store, keep, kept, t);
}

static void again(struct bench *b)
{
    struct error e = {0};
    cost_budgets_free(b->budgets);
    cost_free(b->cost);
    b->cost = cost_new(b->store);
    assert_int_equal(cost_rates_read(b->cost, b->conf, &e), ERR_OK);
    b->budgets = cost_budgets_new(b->cost, b->conf, on_warn, b, &e);
    if (!b->budgets)
        fail_msg("%s", e.detail);
}

static struct bench opened(const char *text)
{
    struct bench b = {.dir = new_dir(), .loop = loop_new()};
    struct error e = {0};
    char *path = xasprintf("%s/c.conf", b.dir);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    b.conf = conf_load(path, &e);
    free(path);
    if (!b.conf || !(b.store = store_open(b.loop, b.dir, false, &e)))
        fail_msg("%s", e.detail);
    return b;
}

static void closed(struct bench *b)
{
    cost_budgets_free(b->budgets);
    cost_free(b->cost);
    store_close(b->store);
    store_free(b->store);
    loop_free(b->loop);
    conf_free(b->conf);
    nftw(b->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(b->dir);
}

static struct cost_asked asks(const char *model, int64_t nano)
{
    return (struct cost_asked){.model = model,
                               .session = "s1",
                               .charge = {.priced = true, .nano = nano, .currency = "RUB"},
                               .tokens = 10};
}

static const int64_t unit = 1000000000;

static void calls_in_parallel_do_not_slip_past(void **state)
{
    (void)state;
    struct bench b = opened("[budget \"day\"]\nlimit = 15\nwarn = 99\n"
                            "[budget \"m\"]\nscope = model\nonly = big\nlimit = 4\n"
                            "[model \"big\"]\nkind = ollama\nmodel = big\n");
    uint64_t tickets[16], other;
    struct error e = {0};
    again(&b);
    struct cost_asked a = asks("small", unit);
    for (size_t i = 0; i < 15; i++)
        assert_int_equal(cost_reserve(b.budgets, &a, &tickets[i], &e), ERR_OK);
    assert_int_equal(cost_reserve(b.budgets, &a, &other, &e), ERR_BUDGET); /* B1 */
    assert_non_null(strstr(e.detail, "15.00 are held"));
    struct cost_charge cheap = {.priced = true, .nano = unit / 10, .currency = "RUB"};
    for (size_t i = 0; i < 15; i++)
        cost_settle(b.budgets, tickets[i], &cheap, 10);
    assert_int_equal(b.warned, 0); /* 1.50 of 15 are not 99 percent */
    /* B2: what the second budget refuses holds nothing in the first */
    a = asks("big", 5 * unit);
    assert_int_equal(cost_reserve(b.budgets, &a, &other, &e), ERR_BUDGET);
    a = asks("small", 27 * unit / 2);
    assert_int_equal(cost_reserve(b.budgets, &a, &other, &e), ERR_OK);
    cost_settle(b.budgets, other, &a.charge, 10);
    assert_int_equal(b.warned, 1);
    a = asks("small", 0); /* what costs nothing may go on */
    assert_int_equal(cost_reserve(b.budgets, &a, &other, &e), ERR_OK);
    cost_settle(b.budgets, other, &a.charge, 10);
    closed(&b);
}

static void settle(struct bench *b, struct cost_asked a)
{
    uint64_t ticket;
    struct error e = {0};
    if (cost_reserve(b->budgets, &a, &ticket, &e) != ERR_OK)
        fail_msg("%s", e.detail);
    cost_settle(b->budgets, ticket, &a.charge, a.tokens);
}

struct line {
    struct bench *bench;
    struct cost_line *line;
};

static enum err put_line(struct store_db *db, void *arg, struct error *e)
{
    return cost_insert(db, ((struct line *)arg)->line, e);
}

static void line_put(void *arg, const struct error *e)
{
    struct line *l = arg;
    assert_int_equal(e->code, ERR_OK);
    loop_quit(l->bench->loop);
}

static void spend(struct bench *b, int64_t nano)
{
    const struct cost_line from = {.model = "small",
                                   .provider = "p",
                                   .session = "s1",
                                   .at = clock_real_ms(),
                                   .priced = true,
                                   .amount_nano = nano,
                                   .currency = "RUB",
                                   .outcome = "ok",
                                   .energy_mj = -1};
    struct line l = {b, cost_line_copy(&from)};
    store_write(b->store, put_line, line_put, &l);
    loop_run(b->loop);
    cost_line_free(l.line);
}

/* B3 */
static void each_threshold_is_told_of_once(void **state)
{
    (void)state;
    struct bench b = opened("[budget \"s\"]\nscope = session\nlimit = 10\nwarn = 50 80 95\n");
    again(&b);
    settle(&b, asks("small", 5 * unit - 1));
    assert_int_equal(b.warned, 0);
    settle(&b, asks("small", 1));
    settle(&b, asks("small", unit));
    assert_int_equal(b.warned, 1);
    spend(&b, 6 * unit);
    again(&b); /* the ledger has 6 of 10: the half was told of already */
    assert_int_equal(b.warned, 1);
    settle(&b, asks("small", 4 * unit));
    assert_int_equal(b.warned, 3);
    assert_int_equal(b.percents[1], 80);
    assert_int_equal(b.percents[2], 95);
    uint64_t ticket;
    struct error e = {0};
    struct cost_asked a = asks("small", 1);
    assert_int_equal(cost_reserve(b.budgets, &a, &ticket, &e), ERR_BUDGET);
    a.session = "s2"; /* another one has as much */
    assert_int_equal(cost_reserve(b.budgets, &a, &ticket, &e), ERR_OK);
    cost_settle(b.budgets, ticket, &a.charge, 10);
    json_t *list = cost_budgets_list(b.budgets), *row;
    size_t i, seen = 0;
    json_array_foreach(list, i, row)
    {
        if (strcmp(json_str(row, "subject", ""), "s1") != 0)
            continue;
        seen++;
        assert_string_equal(json_str(row, "spent", ""), "10.00");
        assert_int_equal(json_int(row, "refused", 0), 1);
    }
    assert_int_equal(seen, 1);
    json_decref(list);
    closed(&b);
}

static void what_has_no_price_is_refused_unless_it_may_pass(void **state)
{
    (void)state;
    struct bench b = opened("[telemetry]\nusd_rates = RUB=0.01\n"
                            "[budget \"day\"]\nlimit = 10\n"
                            "[budget \"t\"]\ntokens = 25\n");
    struct error e = {0};
    uint64_t ticket;
    again(&b);
    struct cost_asked a = asks("small", 0);
    a.charge.priced = false;
    assert_int_equal(cost_reserve(b.budgets, &a, &ticket, &e), ERR_BUDGET);
    a = asks("small", unit / 5); /* 20 roubles */
    memcpy(a.charge.currency, "USD", 4);
    assert_int_equal(cost_reserve(b.budgets, &a, &ticket, &e), ERR_BUDGET);
    a.charge.nano = unit / 20;
    assert_int_equal(cost_reserve(b.budgets, &a, &ticket, &e), ERR_OK);
    cost_settle(b.budgets, ticket, &a.charge, 20);
    a.charge.nano = 1;
    assert_int_equal(cost_reserve(b.budgets, &a, &ticket, &e), ERR_BUDGET); /* 20 + 10 tokens */
    assert_non_null(strstr(e.detail, "20 of 25 tokens"));
    memcpy(a.charge.currency, "EUR", 4);
    assert_int_equal(cost_reserve(b.budgets, &a, &ticket, &e), ERR_BUDGET); /* no rate */
    closed(&b);
}

static void bad_settings_are_named(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "warn = 50 80 95\n",       "limit = x\n",
        "limit = 1\nwarn = 101\n", "limit = 1\nwarn = 80 50\n",
        "limit = 1\nonly = a\n",   "limit = 1\nscope = model\nonly = typo\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char *text = xasprintf("[budget \"b\"]\n%s", texts[i]);
        struct bench b = opened(text);
        struct error e = {0};
        b.cost = cost_new(b.store);
        assert_null(cost_budgets_new(b.cost, b.conf, NULL, NULL, &e));
        assert_int_equal(e.code, ERR_CONFIG);
        assert_non_null(strstr(e.detail, "[budget \"b\"]"));
        free(text);
        closed(&b);
    }
}

/* M1: a fallback from a free model to one that costs something is no way past a budget. */
static void a_fallback_does_not_escape(void **state)
{
    (void)state;
    struct mock_peer m;
    assert_true(mock_start(&m, NULL));
    char *dir = new_dir(), *path = xasprintf("%s/c.conf", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f,
            "[copilot]\nmodels = free\n"
            "[budget \"day\"]\nlimit = 0.001\nwarn = 50\n"
            "[model \"free\"]\nkind = openai\nurl = %s/v1\nmodel = a,status=500\nprice_in = 0\n"
            "price_out = 0\nretries = 0\nfallback = paid\n"
            "[model \"paid\"]\nkind = openai\nurl = %s/v1\nmodel = b\nprice_in = 1000\n"
            "price_out = 1000\n",
            m.url, m.url);
    fclose(f);
    assert_int_equal(chmod(path, 0600), 0);
    struct console c = console_start(dir, path, "operator");
    free(path);
    json_t *asked = call(&c, WIRE_chat_ask, "{\"text\": \"how is the disk\"}");
    char *params = xasprintf("{\"trace_id\": \"%s\"}", json_str(asked, "trace_id", "")), *words;
    json_t *trace = NULL;
    uint64_t until = clock_mono_ms() + WAIT_MS;
    do {
        json_decref(trace);
        usleep(20000);
        trace = call(&c, WIRE_traces_get, params);
    } while (strcmp(json_str(trace, "state", ""), "running") == 0 && clock_mono_ms() < until);
    words = json_write(trace);
    assert_non_null(strstr(words, "may cost"));
    json_t *count = mock_ask(&m, "/mock/count", NULL);
    assert_null(json_object_get(json_object_get(count, "models"), "b"));
    json_t *budgets = call(&c, WIRE_cost_budgets, NULL);
    const json_t *row = json_array_get(json_object_get(budgets, "budgets"), 0);
    assert_int_equal(json_int(row, "refused", 0), 1);
    assert_string_equal(json_str(row, "spent", ""), "0.00");
    json_decref(budgets);
    json_decref(count);
    json_decref(trace);
    json_decref(asked);
    free(words);
    free(params);
    console_stop(&c, false);
    mock_stop(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_in_parallel_do_not_slip_past),
        cmocka_unit_test(each_threshold_is_told_of_once),
        cmocka_unit_test(what_has_no_price_is_refused_unless_it_may_pass),
        cmocka_unit_test(bad_settings_are_named),
        cmocka_unit_test(a_fallback_does_not_escape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
